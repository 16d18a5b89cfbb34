"""The client's side of HTTP: one POST at a time on a kept connection, bodies streamed both ways.

http.client of the standard library sends an iterable body piece by piece under a stated length and hands the answer over as a
stream, which is all that is needed; proxies and redirections are not followed, because a message with patient data goes where
its address says and nowhere else.
"""

from __future__ import annotations

import http.client
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import SplitResult, urlsplit

from soap.client_errors import ClientError, NotConnected, Unreachable

DEFAULT_TIMEOUT = 300.0
_KEPT = 8


class Response:
    """One HTTP answer: `read(n)` gives the octets as they come, b"" at the end."""

    def __init__(self, response: http.client.HTTPResponse, url: str) -> None:
        self.raw = response
        self.url = url
        self.status = response.status
        self.reason = response.reason

    def header(self, name: str) -> str:
        return self.raw.getheader(name, "")

    def read(self, n: int) -> bytes:
        """Raises Unreachable for a timeout, and OSError or EOFError where the connection ends too early."""
        try:
            return self.raw.read1(n) if self.raw.length is None else self.raw.read(n)
        except TimeoutError:
            raise Unreachable(f"{self.url} stopped answering in the middle of its answer") from None
        except http.client.HTTPException as error:
            raise EOFError(str(error)) from None

    def environ(self) -> dict[str, Any]:
        """The answer as `soap.receive.Body` reads a request."""
        length = self.raw.getheader("Content-Length")
        chunked = "chunked" in self.header("Transfer-Encoding").lower()
        return {
            "wsgi.input": self,
            "CONTENT_LENGTH": None if chunked else length,
            "HTTP_TRANSFER_ENCODING": "chunked" if chunked else "",
            "HTTP_CONTENT_ENCODING": self.header("Content-Encoding"),
            "wsgi.input_terminated": True,
        }

    @property
    def finished(self) -> bool:
        """Read to its end, so that the connection may carry the next request."""
        return self.raw.isclosed() and not self.raw.will_close


class Connections:
    """Connections to any address, kept and used again. Safe for several threads. `ssl_context` carries trust and client key."""

    def __init__(self, timeout: float = DEFAULT_TIMEOUT, ssl_context: ssl.SSLContext | None = None) -> None:
        self._timeout = timeout
        self._ssl_context = ssl_context
        self._idle: dict[tuple[str, str], list[http.client.HTTPConnection]] = {}
        self._lock = threading.Lock()

    @contextmanager
    def post(self, url: str, headers: Mapping[str, str], pieces: Iterable[bytes]) -> Iterator[Response]:
        """Sends and yields the answer, whose body is read inside the `with`. `headers` hold a Content-Length.

        Raises Unreachable. What a piece raises while it is made passes through; the connection is dropped then, so that the
        server never sees a whole message.
        """
        parts = split_url(url)
        connection = self._take(parts)
        keep = False
        try:
            response = Response(self._exchange(connection, url, headers, pieces), url)
            yield response
            keep = response.finished
        finally:
            if keep:
                self._give_back(parts, connection)
            else:
                connection.close()

    def close(self) -> None:
        with self._lock:
            for kept in self._idle.values():
                for connection in kept:
                    connection.close()
            self._idle.clear()

    def _exchange(
        self, connection: http.client.HTTPConnection, url: str, headers: Mapping[str, str], pieces: Iterable[bytes]
    ) -> http.client.HTTPResponse:
        parts = urlsplit(url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            if connection.sock is None:
                connection.connect()  # sets TCP_NODELAY
        except (OSError, http.client.HTTPException) as error:
            raise NotConnected(f"{url} cannot be reached: {_why(error)}") from None
        connection.putrequest("POST", path, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        # With TLS 1.3 a server refuses a missing client certificate only here, after the handshake.
        broken = _network_error(connection.endheaders)
        source = iter(pieces)
        while broken is None and (piece := next(source, None)) is not None:
            broken = _network_error(connection.send, piece)
        try:
            # A server that refuses early has answered before it closed its side: what it said counts, not the broken pipe.
            return connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            when = "while the message was sent" if broken is not None else "before it answered"
            raise Unreachable(f"{url} ended the connection {when}: {_why(broken or error)}") from None

    def _take(self, parts: SplitResult) -> http.client.HTTPConnection:
        with self._lock:
            kept = self._idle.get((parts.scheme, parts.netloc), [])
            while kept:
                connection = kept.pop()
                if connection.sock is not None and not select.select([connection.sock], [], [], 0)[0]:
                    return connection
                connection.close()
        host, port = parts.hostname or "", parts.port
        if parts.scheme == "https":
            context = self._ssl_context or ssl.create_default_context()
            return http.client.HTTPSConnection(host, port, timeout=self._timeout, context=context)
        return http.client.HTTPConnection(host, port, timeout=self._timeout)

    def _give_back(self, parts: SplitResult, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            kept = self._idle.setdefault((parts.scheme, parts.netloc), [])
            if len(kept) < _KEPT:
                kept.append(connection)
                return
        connection.close()


def _network_error(send: Callable[..., None], *piece: bytes) -> OSError | None:
    """Only what the socket raises: an error of the source of the pieces must not be taken for one of the network."""
    try:
        send(*piece)
    except OSError as error:
        return error
    return None


def split_url(url: str) -> SplitResult:
    """The parts of an http or https address. Raises ClientError for anything else."""
    parts = urlsplit(url)
    try:
        right = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        right = False
    if not right:
        raise ClientError(f"'{url}' is no address of a server: http://host:port/path or https://host/path is expected")
    return parts


def _why(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message})"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({error.reason or error})"
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused; nothing listens there"
    if isinstance(error, socket.gaierror):
        return f"the host name is not known ({error.strerror})"
    return (error.strerror if isinstance(error, OSError) and error.strerror else str(error)) or type(error).__name__
