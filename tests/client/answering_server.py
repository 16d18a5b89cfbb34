"""A real HTTP server in a thread that answers what a test tells it, to see how the client takes it."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

#: Takes the handler with the request body already read (bytes) and writes an answer, or closes without one.
Answer = Callable[[BaseHTTPRequestHandler, bytes], None]


class AnsweringServer:
    """`requests` are (path, headers, body) of what came; `early` answers before the body is read."""

    def __init__(self, answer: Answer, early: bool = False, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = b"" if early else self.rfile.read(int(self.headers.get("Content-Length", "0")))
                outer.requests.append((self.path, dict(self.headers.items()), body))
                answer(self, body)

            def log_message(self, format: str, *args: object) -> None:
                """Silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self._server.server_address[1]}/xds/any"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> AnsweringServer:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def answer(status: int, content_type: str, body: bytes, *, length: int | None = None) -> Answer:
    """One fixed answer. `length` announces another Content-Length than the true one; the connection closes after it."""

    def write(handler: BaseHTTPRequestHandler, request: bytes) -> None:
        handler.send_response(status)
        if content_type:
            handler.send_header("Content-Type", content_type)
        handler.send_header("Content-Length", str(len(body) if length is None else length))
        handler.end_headers()
        handler.wfile.write(body)
        handler.close_connection = length is not None

    return write


def hang_up(handler: BaseHTTPRequestHandler, request: bytes) -> None:
    """No answer at all."""
    handler.close_connection = True
