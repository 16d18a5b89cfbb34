"""The octets of one request, as they come: counted, limited, timed, unpacked.

A WSGI server hands over a short body without a word when the client dies on the way, so the length is checked here
(WIRE-027); where there is none, the MIME reader demands the closing boundary and the parser the end of the envelope.
"""

from __future__ import annotations

import re
import time
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from soap.call import Note
from soap.fault import Fault, FaultCode, sender
from soap.limits import Limits
from soap.wire import Wire

#: The MIME scan is fast from 64 kB on; shorter chunks let a sender choose content that makes it slow.
CHUNK = 256 * 1024
#: So much of a refused body is still read; a connection with more is the HTTP server's to close.
LEFTOVER = 1024 * 1024
_DIGITS = re.compile(r"[0-9]{1,18}")


class Body:
    """The request body. `read` returns up to `n` octets and b"" at the end; `received` counts what came over the wire."""

    def __init__(self, environ: Mapping[str, Any], wire: Wire, limits: Limits, notes: list[Note]) -> None:
        self._raw: Callable[[int], bytes] = environ["wsgi.input"].read
        self._wire = wire
        self._limits = limits
        self._deadline = time.monotonic() + limits.receive_seconds
        self.received = 0
        self.length = _length(environ, wire)
        if self.length is not None and self.length > limits.total:
            raise too_large("request", self.length, limits.total, "limits.body")
        self._unpack = _unpacker(environ, self, wire, limits, notes)

    def read(self, n: int = CHUNK) -> bytes:
        if self._unpack is not None:
            return self._unpack.read(n)
        return self.read_wire(n)

    def read_wire(self, n: int) -> bytes:
        """Octets before any unpacking. Raises WIRE-027 when they end before the stated length."""
        if self.length is not None:
            left = self.length - self.received
            if left <= 0:
                return b""
            n = min(n, left)
        try:
            data = self._raw(n)
        except (OSError, EOFError) as error:
            raise self._wire.refuse(
                "WIRE-027", f"the connection ended after {self.received} octets ({type(error).__name__})"
            ) from None
        if not data:
            if self.length is not None:
                raise self._wire.refuse("WIRE-027", f"{self.received} octets came, Content-Length is {self.length}")
            return b""
        self.received += len(data)
        if self.received > self._limits.total:
            raise too_large("request", self.received, self._limits.total, "limits.body")
        if time.monotonic() > self._deadline:
            raise Fault(
                FaultCode.SENDER,
                f"The request took longer than {self._limits.receive_seconds:g} seconds to arrive",
                rule="LIM-003",
                remedy="Send it again over a faster line, or have the server's setting limits.receive_seconds raised.",
                status=408,
            )
        return data

    def drain(self) -> None:
        """Reads and drops a little that is left after a refusal, so that the connection can carry the next request."""
        if self.length is not None and self.length - self.received > LEFTOVER:
            return
        start = self.received
        with suppress(Fault):
            while self.received - start <= LEFTOVER and self.read_wire(CHUNK):
                pass


class _Unpacker:
    """gzip or deflate, bounded at every step: never more than `n` octets come out of one call."""

    def __init__(self, body: Body, wbits: int, wire: Wire, limits: Limits) -> None:
        self._body = body
        self._wbits = wbits
        self._wire = wire
        self._most = limits.total
        self._ratio = limits.expansion
        self._inflater: Any = None
        self._waiting = b""
        self._out = 0

    def read(self, n: int) -> bytes:
        while True:
            if self._inflater is not None and self._inflater.eof:
                if self._waiting or self._inflater.unused_data or self._body.read_wire(1):
                    raise self._wire.refuse("WIRE-004-bomb", "octets follow the end of the compressed body")
                return b""
            if not self._waiting:
                self._waiting = self._body.read_wire(64 * 1024)
                if not self._waiting:
                    raise self._wire.refuse("WIRE-027", "the compressed body has no end")
            data = self._inflate(n)
            if data:
                return data

    def _inflate(self, n: int) -> bytes:
        if self._inflater is None:
            # "deflate" is a zlib stream by the book and a bare one by habit: the first octet tells (CMF 0x78).
            bare = self._wbits > 0 and self._wbits <= 15 and self._waiting[0] & 0x0F != 8
            self._inflater = zlib.decompressobj(-15 if bare else self._wbits)
        try:
            data: bytes = self._inflater.decompress(self._waiting, n)
        except zlib.error as error:
            raise self._wire.refuse("WIRE-004-bomb", str(error)) from None
        self._waiting = self._inflater.unconsumed_tail
        self._out += len(data)
        if self._out > self._most or (self._out > 1024 * 1024 and self._out > self._ratio * self._body.received):
            raise self._wire.refuse("WIRE-004-bomb", f"{self._body.received} octets grow to more than {self._out}")
        return data


def _length(environ: Mapping[str, Any], wire: Wire) -> int | None:
    """Content-Length, None for chunked transfer. Raises WIRE-002-two for two lengths."""
    stated = environ.get("CONTENT_LENGTH")
    chunked = "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower()
    if stated in (None, ""):
        # Without either the message has no body (RFC 9112: 6.3); some servers mark an unframed, terminated stream instead.
        return None if chunked or environ.get("wsgi.input_terminated") else 0
    if chunked or not _DIGITS.fullmatch(stated):
        raise wire.refuse(
            "WIRE-002-two", f"Content-Length '{stated[:40]}'" + (" and Transfer-Encoding: chunked" if chunked else "")
        )
    return int(stated)


def _unpacker(environ: Mapping[str, Any], body: Body, wire: Wire, limits: Limits, notes: list[Note]) -> _Unpacker | None:
    coding = environ.get("HTTP_CONTENT_ENCODING", "").strip().lower()
    if coding in ("", "identity"):
        return None
    wbits = {"gzip": 31, "x-gzip": 31, "deflate": 15}.get(coding)
    if wbits is None:
        raise wire.refuse("WIRE-004-coding", f"'{coding[:40]}'")
    wire.meet("WIRE-004", notes, coding)
    return _Unpacker(body, wbits, wire, limits)


def too_large(what: str, size: int, limit: int, setting: str) -> Fault:
    """`what` ("request", "XML of the message") has at least `size` octets; `setting` is the server's name for the limit."""
    return Fault(
        FaultCode.SENDER,
        f"The {what} has {size} octets or more, the limit is {limit}",
        rule="LIM-001",
        remedy=f"Send less in one message, or have the server's setting {setting} raised.",
        status=413,
    )


def too_much(what: str, count: int, limit: int) -> Fault:
    """A limit on the number or size of something inside the message was passed."""
    return sender(
        f"The message has {count} {what}, the limit is {limit}",
        rule="LIM-002",
        remedy="Send less in one message, or let the server raise the limit.",
    )
