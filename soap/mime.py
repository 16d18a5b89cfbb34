"""The grammar of MIME as far as MTOM needs it: Content-Type, part headers, delimiters, transfer encodings.

Sources: RFC 2045: 5.1 and 6, RFC 2046: 5.1.1, RFC 2387. Nothing here knows SOAP. The scan for the delimiter looks at each
chunk once and joins two chunks only where a delimiter lies across their seam.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Protocol
from urllib.parse import unquote_to_bytes

from soap.call import Note
from soap.limits import Limits
from soap.receive import too_much
from soap.wire import Wire

Sink = Callable[[bytes | memoryview], None]

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_MEDIA = re.compile(rf"\s*({_TOKEN}/{_TOKEN})\s*")
#: An unquoted value ends at a semicolon or blank: boundaries with '=' or ':' come unquoted (WIRE-012).
_PARAMETER = re.compile(rf';\s*({_TOKEN})\s*=\s*(?:"((?:[^"\\\r\n]|\\.)*)"|([^\s;"]*))\s*')
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*:")
_PADDING = 1024

Fields = dict[str, str]


@lru_cache(maxsize=512)
def _split_content_type(value: str) -> tuple[str, tuple[tuple[str, str], ...]] | None:
    """Media type in lower case and parameters in order; None when it cannot be read in exactly one way."""
    match = _MEDIA.match(value) if len(value) <= 4096 else None
    if match is None:
        return None
    parameters: dict[str, str] = {}
    position = match.end()
    while position < len(value):
        found = _PARAMETER.match(value, position)
        if found is None:
            if value[position:].strip("; \t"):
                return None
            break
        name = found[1].lower()
        if name in parameters:
            return None
        parameters[name] = re.sub(r"\\(.)", r"\1", found[2]) if found[2] is not None else found[3]
        position = found.end()
    return match[1].lower(), tuple(parameters.items())


def parse_content_type(value: str, wire: Wire) -> tuple[str, Fields]:
    """`multipart/related; boundary=x` -> ("multipart/related", {"boundary": "x"}). Raises WIRE-011-broken."""
    parsed = _split_content_type(value)
    if parsed is None:
        raise wire.refuse("WIRE-011-broken", f"'{value[:200]}'")
    return parsed[0], dict(parsed[1])


def check_boundary(boundary: str, wire: Wire) -> bytes:
    """The delimiter `--boundary`. Raises WIRE-013-illegal."""
    if not _BOUNDARY.fullmatch(boundary):
        raise wire.refuse("WIRE-013-illegal", f"'{boundary[:100]}'")
    return b"--" + boundary.encode("ascii")


def percent_decode(text: str) -> str:
    """%40 -> @; '+' stays '+'; sequences that are no UTF-8 stay as they are."""
    if "%" not in text:
        return text
    try:
        return unquote_to_bytes(text).decode("utf-8")
    except UnicodeDecodeError:
        return text


class Scanner:
    """Reads lines, and content up to a delimiter, from a source of chunks. `consumed` is the position in the body."""

    def __init__(self, read: Callable[[], bytes], wire: Wire, announced: str = "") -> None:
        """`announced` is what the request says of its length, for the fault that it was cut."""
        self._read = read
        self._announced = announced
        self._wire = wire
        self._data = b""
        self._position = 0
        self._before = 0
        self._end = False

    @property
    def consumed(self) -> int:
        return self._before + self._position

    @property
    def ended(self) -> bool:
        """Nothing is left to read."""
        return self._end and self._position >= len(self._data)

    def _more(self) -> bool:
        """Appends a chunk to what is left. False at the end of the body."""
        chunk = self._read() if not self._end else b""
        if not chunk:
            self._end = True
            return False
        self._before += self._position
        self._data = self._data[self._position :] + chunk if self._position < len(self._data) else chunk
        self._position = 0
        return True

    def line(self, limit: int) -> bytes | None:
        """The next line with its end; without one at the end of the body; None behind it or when longer than `limit`."""
        while (end := self._data.find(b"\n", self._position, self._position + limit)) < 0:
            if len(self._data) - self._position >= limit:
                return None
            if not self._more():
                line, self._position = self._data[self._position :], len(self._data)
                return line or None
        line, self._position = self._data[self._position : end + 1], end + 1
        return line

    def rest(self, limit: int) -> bool:
        """Reads to the end of the body. False when more than `limit` octets were left."""
        limit -= len(self._data) - self._position
        self._position = len(self._data)
        while limit >= 0 and self._more():
            limit -= len(self._data)
            self._position = len(self._data)
        return limit >= 0

    def content(self, delimiter: bytes, crlf: bool, sink: Sink) -> bool:
        """Passes content to `sink` up to the delimiter line and drops that. True when it was the closing one.

        `delimiter` is `--boundary`; `crlf` the line end of this package. Raises WIRE-027 when the body ends first and
        WIRE-028-mixed when the line ends do not agree.
        """
        mark = (b"\r\n" if crlf else b"\n") + delimiter
        search = self._position
        last = b""
        while True:
            found = self._data.find(mark, search)
            cut = found if found >= 0 else max(self._position, len(self._data) - len(mark) + 1)
            if cut > self._position:
                sink(memoryview(self._data)[self._position : cut])
                last = self._data[cut - 1 : cut]
            self._position = cut
            if found < 0:
                if not self._more():
                    end_of_body = f"the end of the body at octet {self._before + len(self._data)}{self._announced}"
                    missing = f"{delimiter[:80].decode('ascii', 'replace')}--"
                    raise self._wire.refuse("WIRE-027", f"no closing boundary {missing} up to {end_of_body}")
                search = 0
                continue
            end = self._delimiter_end(len(mark), crlf)
            if end is None:
                search = self._position + 1
                continue
            if not crlf and last == b"\r":
                raise self._wire.refuse("WIRE-028-mixed", f"before octet {self.consumed}")
            closing = self._data.startswith(b"--", self._position + len(mark))
            self._position = end
            return closing

    def _delimiter_end(self, length: int, crlf: bool) -> int | None:
        """Where the delimiter line that begins at the current position ends; None when it is content after all (WIRE-029).

        A delimiter is followed by `--` or nothing, then blanks, then the line end; after `--` the body may end too.
        """
        while True:
            start = self._position + length
            tail = self._data[start : start + _PADDING]
            closing = tail.startswith(b"--")
            rest = tail[2 if closing else 0 :].lstrip(b" \t")
            decided = len(rest) >= 2 or rest not in (b"", b"-", b"\r") or len(tail) >= _PADDING
            if decided or not self._more():
                break
        end = start + len(tail) - len(rest)
        if closing:
            return end if rest[:1] in (b"", b"\r", b"\n") else None
        if rest.startswith((b"\n", b"\r\n")):
            if rest.startswith(b"\r\n") != crlf:
                raise self._wire.refuse("WIRE-028-mixed", f"after the boundary at octet {self.consumed}")
            return end + (2 if crlf else 1)
        return None


def read_fields(scanner: Scanner, crlf: bool, wire: Wire, limits: Limits, notes: list[Note]) -> Fields:
    """The header of one part up to its blank line, names in lower case, folded lines joined (WIRE-021)."""
    lines: list[bytes] = []
    left = limits.part_header
    while True:
        line = scanner.line(left)
        if line is None or not line.endswith(b"\n"):
            if line is None and not scanner.ended:
                raise too_much("octets or more in one part header", limits.part_header, limits.part_header)
            raise wire.refuse("WIRE-027", f"the header of a part has no end, at octet {scanner.consumed}")
        left -= len(line)
        if line.endswith(b"\r\n") != crlf:
            raise wire.refuse("WIRE-028-mixed", f"in a part header before octet {scanner.consumed}")
        line = line.rstrip(b"\r\n")
        if not line:
            return _fields(lines, wire)
        if line[:1] in (b" ", b"\t") and lines:
            lines[-1] += b" " + line.strip()
            continue
        lines.append(line)
        if len(lines) > limits.part_header_lines:
            raise too_much("fields in one part header", len(lines), limits.part_header_lines)


def _fields(lines: list[bytes], wire: Wire) -> Fields:
    fields: Fields = {}
    for line in lines:
        match = _FIELD.match(line)
        if match is None:
            raise wire.refuse("WIRE-035-double", f"'{line[:60].decode('utf-8', 'replace')}' is no header field")
        name = match[1].decode("ascii").lower()
        if name in fields:
            raise wire.refuse("WIRE-035-double", f"'{name}' occurs twice")
        value = line[match.end() :].strip()
        fields[name] = value.decode("utf-8", "replace")
    return fields


class Decoder(Protocol):
    """Undoes a Content-Transfer-Encoding chunk by chunk. Raises WIRE-037-bad."""

    def write(self, chunk: bytes | memoryview) -> None: ...

    def close(self) -> None: ...


class Base64Decoder:
    """Base64 with line breaks, in chunks of any size. `rule` is the row that a wrong character breaks."""

    _SPACE = b" \t\r\n"

    def __init__(self, sink: Sink, wire: Wire, rule: str = "WIRE-037-bad") -> None:
        self._sink = sink
        self._wire = wire
        self._rule = rule
        self._rest = b""

    @property
    def pending(self) -> bool:
        """Some characters wait for their group of four to be complete."""
        return bool(self._rest)

    def write(self, chunk: bytes | memoryview) -> None:
        data = self._rest + bytes(chunk).translate(None, self._SPACE)
        whole = len(data) & ~3
        # The last group stays back: padding may follow, and nothing may follow padding.
        whole = max(0, whole - 4) if whole == len(data) else whole
        self._rest = data[whole:]
        if whole:
            self._decode(data[:whole])

    def close(self) -> None:
        if self._rest:
            self._decode(self._rest)

    def _decode(self, data: bytes) -> None:
        try:
            self._sink(binascii.a2b_base64(data, strict_mode=True))
        except binascii.Error as error:
            raise self._wire.refuse(self._rule, f"the content is not base64 ({error})") from None


class QuotedPrintableDecoder:
    """Quoted-printable; lines are decoded whole, since a soft line break belongs to its line."""

    _LONGEST = 64 * 1024

    def __init__(self, sink: Sink, wire: Wire) -> None:
        self._sink = sink
        self._wire = wire
        self._rest = b""

    def write(self, chunk: bytes | memoryview) -> None:
        data = self._rest + bytes(chunk)
        cut = data.rfind(b"\n") + 1
        self._rest = data[cut:]
        if len(self._rest) > self._LONGEST:
            raise self._wire.refuse("WIRE-037-bad", "a quoted-printable line has no end")
        if cut:
            self._sink(binascii.a2b_qp(data[:cut]))

    def close(self) -> None:
        if self._rest:
            self._sink(binascii.a2b_qp(self._rest))
            self._rest = b""


def decoder_for(encoding: str, sink: Sink, wire: Wire, notes: list[Note]) -> Decoder | None:
    """The decoder that a part's Content-Transfer-Encoding needs; None where the octets are the content."""
    name = encoding.strip().lower()
    if name in ("", "binary", "8bit"):
        return None
    if name == "7bit":
        wire.meet("WIRE-037", notes, "7bit")
        return None
    if name not in ("base64", "quoted-printable"):
        raise wire.refuse("WIRE-037-bad", f"Content-Transfer-Encoding '{name[:40]}'")
    wire.meet("WIRE-037", notes, name)
    return Base64Decoder(sink, wire) if name == "base64" else QuotedPrintableDecoder(sink, wire)
