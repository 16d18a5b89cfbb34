"""The server under test, driven in process: real SOAP messages through the WSGI application that `server.wiring` builds."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

from server.preparation import prepare
from server.settings import load
from server.wiring import Application, build
from tests.nist.wire import ACTIONS, Answer, read_answer, soap_request

OWN_PATH = {"ITI-51": "/xds/iti51", "ITI-44": "/xds/iti44"}


class Server:
    """One application, and the requests that it gets."""

    def __init__(self, application: Application) -> None:
        self.application = application

    def soap(self, transaction: str, body: bytes, action: str = "") -> Answer:
        """POST to the registry's address, or to the transaction's own where it has only that."""
        path = OWN_PATH.get(transaction, "/xds/registry")
        content_type, content = soap_request(action or ACTIONS[transaction], body, f"http://localhost{path}")
        return read_answer(*self.post(path, content_type, content))

    def post(self, path: str, content_type: str, content: bytes) -> tuple[int, str, bytes]:
        """Status, Content-Type and body of the answer."""
        environ: dict[str, Any] = {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": path,
            "CONTENT_TYPE": content_type,
            "CONTENT_LENGTH": str(len(content)),
            "wsgi.input": io.BytesIO(content),
        }
        setup_testing_defaults(environ)
        told: list[Any] = []
        chunks = self.application.wsgi(environ, lambda status, headers, *rest: told.extend((status, dict(headers))))
        try:
            body = b"".join(chunks)
        finally:
            getattr(chunks, "close", lambda: None)()
        return int(told[0][:3]), told[1].get("Content-Type", ""), body


@contextlib.contextmanager
def open_server(data: Path, database_url: str) -> Iterator[Server]:
    """A server with every setting at its default, but for those that switch transactions on."""
    settings = load(options={"store.data": str(data), "store.database": database_url, **SWITCHES}, environ={})
    prepare(settings)
    application = build(settings)
    try:
        yield Server(application)
    finally:
        application.close()


#: Settings that differ from their defaults, so that every transaction of the model is served.
SWITCHES: dict[str, str] = {"domain.multi_patient": "true"}
