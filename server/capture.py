"""Both messages of every exchange, whole, in a folder: what the sandbox shows and the pytest plugin hands out.

    messages/000001/request.http    the request as HTTP/1.1: its line, its headers, its body (chunks joined)
    messages/000001/response.http   the answer
    messages/000001/message.json    what the server made of it (`Message`)

A request that was refused before its end is kept as far as it was read, and says so.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from server.admission import Environ, StartResponse, WSGIApp
from soap.endpoint import Exchange


@dataclass(frozen=True, slots=True)
class Message:
    """One exchange. `status` is that of the response ("Success"), empty for a fault, whose rule is `fault`.

    `findings` are what was answered: rule, code, severity, text. `notes` are quirks of the wire that were tolerated: id, text.
    `whole` is false where the request was not read to its end. `facts` are for expectations (`conformance.expectations`).
    """

    number: int
    at: str
    sender: str
    method: str
    path: str
    http_status: int
    transaction: str = ""
    status: str = ""
    fault: str = ""
    fault_text: str = ""
    findings: tuple[dict[str, str], ...] = ()
    notes: tuple[dict[str, str], ...] = ()
    seconds: float = 0.0
    received: int = 0
    sent: int = 0
    whole: bool = True
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def accepted(self) -> bool:
        return self.status == "Success"


class Messages:
    """The captured messages of one folder, oldest first. Safe for threads of one process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._last = max((int(one.name) for one in folder.iterdir() if one.name.isdigit()), default=0)

    def new(self) -> Path:
        """The folder of the next message."""
        with self._lock:
            self._last += 1
            made = self._folder / f"{self._last:06}"
        made.mkdir(mode=0o700)
        return made

    @property
    def last(self) -> int:
        """The number of the newest message, which may still be on its way."""
        with self._lock:
            return self._last

    def folder(self, number: int) -> Path:
        return self._folder / f"{number:06}"

    def get(self, number: int) -> Message:
        """Raises KeyError where there is no such message, or where it is still on its way."""
        try:
            read = json.loads((self.folder(number) / "message.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, json.JSONDecodeError):
            raise KeyError(number) from None
        return Message(**{**read, "findings": tuple(read["findings"]), "notes": tuple(read["notes"])})

    def __iter__(self) -> Iterator[Message]:
        for folder in sorted(self._folder.iterdir()):
            if folder.name.isdigit() and (folder / "message.json").exists():
                yield self.get(int(folder.name))

    def request(self, number: int) -> bytes:
        return (self.folder(number) / "request.http").read_bytes()

    def response(self, number: int) -> bytes:
        return (self.folder(number) / "response.http").read_bytes()


class Capturing:
    """WSGI: an application with every POST kept in `messages`.

    `observe` must be among the endpoint's observers; `arrived` is told of each message when it is whole on disk, `facts_of`
    reads from the exchange what expectations need.
    """

    def __init__(
        self,
        messages: Messages,
        arrived: Callable[[Message], None] = lambda message: None,
        facts_of: Callable[[Exchange], dict[str, Any]] = lambda exchange: {},
    ) -> None:
        self.messages = messages
        self._arrived = arrived
        self._facts_of = facts_of
        self._here = threading.local()

    def observe(self, exchange: Exchange) -> None:
        """The endpoint calls it in the thread that ends the answer."""
        self._here.exchange = exchange

    def around(self, app: WSGIApp) -> WSGIApp:
        """`app` with its POST requests captured."""

        def captured(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
            if environ["REQUEST_METHOD"] != "POST":
                return app(environ, start_response)
            return _Capture(self, environ, app, start_response)

        return captured

    def finish(self, folder: Path, environ: Environ, status: int, whole: bool) -> None:
        exchange: Exchange | None = self._here.__dict__.pop("exchange", None)
        message = _message(int(folder.name), environ, status, whole, exchange, self._facts_of)
        written = folder / "message.tmp"
        written.write_text(json.dumps(asdict(message), ensure_ascii=False, indent=1), encoding="utf-8")
        written.rename(folder / "message.json")
        self._arrived(message)


class _Capture:
    """One exchange on its way: the answer of the wrapped application, copied while it is sent."""

    def __init__(self, capturing: Capturing, environ: Environ, app: WSGIApp, start_response: StartResponse) -> None:
        self._capturing = capturing
        self._environ = environ
        self._folder = capturing.messages.new()
        self._status = 0
        self._start_response = start_response
        request = (self._folder / "request.http").open("wb")
        request.write(_request_head(environ))
        self._input = _Input(environ["wsgi.input"], request)
        self._answer = (self._folder / "response.http").open("wb")
        self._body = app({**environ, "wsgi.input": self._input}, self._start)

    def _start(self, status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
        self._status = int(status[:3])
        head = "".join(f"{name}: {value}\r\n" for name, value in headers)
        self._answer.write(f"HTTP/1.1 {status}\r\n{head}\r\n".encode("latin-1"))
        return self._start_response(status, headers, *rest)

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._body:
            self._answer.write(piece)
            yield piece

    def close(self) -> None:
        close = getattr(self._body, "close", None)
        try:
            if close is not None:
                close()
        finally:
            self._answer.close()
            self._input.copy.close()
            length = self._environ.get("CONTENT_LENGTH") or ""
            whole = self._input.ended or str(self._input.count) == length.strip()
            self._capturing.finish(self._folder, self._environ, self._status, whole)


class _Input:
    """`wsgi.input`, copied while it is read. `ended`: the reader has seen its end."""

    def __init__(self, source: Any, copy: IO[bytes]) -> None:
        self._source = source
        self.copy = copy
        self.count = 0
        self.ended = False

    def read(self, size: int = -1) -> bytes:
        return self._kept(self._source.read(size), size)

    def readline(self, size: int = -1) -> bytes:
        return self._kept(self._source.readline(size), size)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")

    def _kept(self, data: bytes, size: int) -> bytes:
        if not data and size != 0:
            self.ended = True
        self.count += len(data)
        if not self.copy.closed:
            self.copy.write(data)
        return data


def _request_head(environ: Environ) -> bytes:
    """The request line and the headers. Their names are written anew: WSGI has kept no case."""
    path = environ.get("RAW_URI") or environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    named = {name[5:]: value for name, value in environ.items() if name.startswith("HTTP_")}
    named |= {"CONTENT_TYPE": environ.get("CONTENT_TYPE", ""), "CONTENT_LENGTH": environ.get("CONTENT_LENGTH", "")}
    chunked = named.pop("TRANSFER_ENCODING", "")  # the chunks are joined in what follows
    lines = [f"{'-'.join(word.capitalize() for word in name.split('_'))}: {value}" for name, value in named.items() if value]
    if chunked:
        lines.append(f"X-Carnet-Was: Transfer-Encoding {chunked}")
    return ("\r\n".join([f"{environ['REQUEST_METHOD']} {path} HTTP/1.1", *lines]) + "\r\n\r\n").encode("latin-1", "replace")


def _message(
    number: int,
    environ: Environ,
    status: int,
    whole: bool,
    exchange: Exchange | None,
    facts_of: Callable[[Exchange], dict[str, Any]],
) -> Message:
    known: dict[str, Any] = {}
    if exchange is not None:
        known = {
            "transaction": exchange.transaction.code if exchange.transaction else "",
            "status": exchange.status.value.rpartition(":")[2] if exchange.status else "",
            "fault": exchange.fault,
            "fault_text": exchange.fault_text,
            "findings": tuple(
                {"rule": one.rule, "code": one.code.value, "severity": one.severity.name, "text": one.text()}
                for one in exchange.findings
            ),
            "notes": tuple({"id": note.id, "text": note.text} for note in exchange.notes),
            "seconds": round(exchange.seconds, 6),
            "received": exchange.received,
            "sent": exchange.sent,
            "facts": facts_of(exchange),
        }
    return Message(
        number=number,
        at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        sender=environ.get("REMOTE_ADDR", ""),
        method=environ["REQUEST_METHOD"],
        path=environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", ""),
        http_status=status,
        whole=whole,
        **known,
    )
