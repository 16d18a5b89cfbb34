"""One HTTP exchange with both messages kept whole, and one MLLP exchange.

The request is written here octet by octet, since some cases depend on it; the answer is read by the standard library. Connections
are kept for as long as the server keeps them, one for each thread.
"""

from __future__ import annotations

import errno
import http.client
import socket
import ssl
import threading
import time
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field

from conformance.result import Message

TIMEOUT_SECONDS = 60.0
#: Octets of an answer. What is kept of each exchange stands in memory: nobody's answer to a case of the suite is near it.
MOST_ANSWERED = 256 * 1024 * 1024
#: Octets of an acknowledgement (HL7 v2).
MOST_ACKNOWLEDGED = 1024 * 1024
_PIECE = 1024 * 1024
#: A server that is just being started again is given this long before the second try.
PAUSE_SECONDS = 0.5
_START, _END = b"\x0b", b"\x1c\r"


class ExchangeError(Exception):
    """No answer; the text says why. `request` is what was sent as far as it was built. `hung_up`: the other side ended a TLS
    connection, in its handshake or instead of an answer."""

    def __init__(self, text: str, request: Message, hung_up: bool = False) -> None:
        super().__init__(text)
        self.request = request
        self.hung_up = hung_up


class Unreachable(ExchangeError):
    """Nobody can be asked there at all: nothing listens, no such host, no route, or a certificate that is not believed."""


@dataclass(frozen=True, slots=True)
class Exchanged:
    """Both messages, the answer's HTTP status and Content-Type."""

    request: Message
    response: Message
    status: int
    content_type: str


@dataclass(slots=True)
class Connections:
    """Sends to any address. `context` is what TLS is done with; without it the system's authorities are believed.

    `unreachable` says why, once nobody could be asked at some address. Of an answer at most `most` octets are read.
    """

    context: ssl.SSLContext | None = None
    timeout: float = TIMEOUT_SECONDS
    most: int = MOST_ANSWERED
    unreachable: str = ""
    _local: threading.local = field(default_factory=threading.local)

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Exchanged:
        """POST `body`. A header with an empty value is not sent; Content-Length is added unless the body is sent in chunks.

        Raises ExchangeError.
        """
        parts = urllib.parse.urlsplit(url)
        sent = {"Host": parts.netloc, "User-Agent": "carnet-conformance", **headers}
        chunked = sent.get("Transfer-Encoding") == "chunked"
        if not chunked:
            sent.setdefault("Content-Length", str(len(body)))
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        lines = [f"POST {target} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items() if value)]
        request = Message(("\r\n".join(lines) + "\r\n\r\n").encode(), _in_chunks(body) if chunked else body)
        for fresh in (False, True):
            try:
                return self._exchange(parts, request, fresh)
            except _Stale:
                continue
            except (OSError, http.client.HTTPException) as error:
                self._drop(parts)
                told = _failed(url, error, request)
                if isinstance(told, Unreachable):
                    self.unreachable = str(told)
                raise told from None
        raise ExchangeError(f"{url}: the connection was closed without an answer", request, url.startswith("https:"))

    def _exchange(self, parts: urllib.parse.SplitResult, request: Message, fresh: bool) -> Exchanged:
        kept = None if fresh else self._kept().pop(parts.netloc, None)
        connection = kept or self._connect(parts)
        try:
            connection.sendall(request.octets)
            response = http.client.HTTPResponse(connection, method="POST")
            response.begin()
        except (OSError, http.client.HTTPException):
            connection.close()
            if kept is not None:
                raise _Stale from None
            raise
        try:
            content = _whole_body(response, self.most)
        except (OSError, http.client.HTTPException):
            connection.close()
            raise
        if response.will_close:
            connection.close()
        else:
            self._kept()[parts.netloc] = connection
        head = [f"HTTP/1.1 {response.status} {response.reason}", *(f"{n}: {v}" for n, v in response.headers.items())]
        answer = Message(("\r\n".join(head) + "\r\n\r\n").encode("latin-1", "replace"), content)
        return Exchanged(request, answer, response.status, response.getheader("Content-Type", ""))

    def _connect(self, parts: urllib.parse.SplitResult) -> socket.socket:
        secure = parts.scheme == "https"
        connection = _dial(parts.hostname or "", parts.port or (443 if secure else 80), self.timeout)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if secure:
            context = self.context or ssl.create_default_context()
            return context.wrap_socket(connection, server_hostname=parts.hostname)
        return connection

    def _kept(self) -> dict[str, socket.socket]:
        if not hasattr(self._local, "kept"):
            self._local.kept = {}
        kept: dict[str, socket.socket] = self._local.kept
        return kept

    def _drop(self, parts: urllib.parse.SplitResult) -> None:
        connection = self._kept().pop(parts.netloc, None)
        if connection is not None:
            connection.close()


class _Stale(Exception):
    """The server had closed a kept connection."""


class _TooLong(http.client.HTTPException):
    """An answer of more octets than are read; the connection is of no further use."""

    def __init__(self, most: int) -> None:
        super().__init__(f"the answer is longer than {most:,} bytes; the rest was not read")


def _whole_body(response: http.client.HTTPResponse, most: int) -> bytes:
    """The body of an answer, read in pieces. Raises HTTPException for one that is longer, or shorter than it says."""
    if (response.length or 0) > most:
        raise _TooLong(most)
    content = bytearray()
    while piece := response.read(min(_PIECE, most + 1 - len(content))):
        content += piece
        if len(content) > most:
            raise _TooLong(most)
    if response.length:
        raise http.client.IncompleteRead(bytes(content), response.length)
    return bytes(content)


def _in_chunks(body: bytes) -> bytes:
    half = max(1, len(body) // 2)
    pieces = [piece for piece in (body[:half], body[half:]) if piece]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def _dial(host: str, port: int, timeout: float) -> socket.socket:
    """A connection, at the second try where nothing listens at first."""
    try:
        return socket.create_connection((host, port), timeout)
    except ConnectionRefusedError:
        time.sleep(PAUSE_SECONDS)
        return socket.create_connection((host, port), timeout)


def _failed(address: str, error: Exception, request: Message) -> ExchangeError:
    hopeless = isinstance(error, ConnectionRefusedError | socket.gaierror | ssl.SSLCertVerificationError) or (
        isinstance(error, OSError) and error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH)
    )
    if hopeless:
        return Unreachable(f"{address}: {_why(error)}", request)
    ended = isinstance(error, ssl.SSLError | ConnectionResetError | BrokenPipeError | http.client.RemoteDisconnected)
    return ExchangeError(f"{address}: {_why(error)}", request, address.startswith("https:") and ended)


def _why(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there"
    if isinstance(error, TimeoutError):
        return f"no answer within {TIMEOUT_SECONDS:g} seconds"
    return str(error) or type(error).__name__


def mllp(address: str, message: str, timeout: float = TIMEOUT_SECONDS) -> Exchanged:
    """One HL7 v2 message to `mllp://HOST:PORT`; the answer without its frame. Raises ExchangeError."""
    parts = urllib.parse.urlsplit(address)
    request = Message(b"", message.encode())
    answer = b""
    try:
        with _dial(parts.hostname or "", parts.port or 2575, timeout) as connection:
            connection.sendall(_START + request.body + _END)
            while not answer.endswith(_END):
                piece = connection.recv(4096)
                if not piece:
                    raise ExchangeError(f"{address}: the connection was closed without an answer", request)
                answer += piece
                if len(answer) > MOST_ACKNOWLEDGED:
                    raise ExchangeError(f"{address}: {_TooLong(MOST_ACKNOWLEDGED)}", request)
    except OSError as error:
        raise _failed(address, error, request) from None
    return Exchanged(request, Message(b"", answer.removeprefix(_START).removesuffix(_END)), 0, "")
