"""A raw HTTP capture taken apart without judging it: head lines, body (chunks joined, packing undone), where everything stands.

Judging is done by the same readers that serve requests; this module only knows where a header stands in the file.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from conformance.check_places import Passage, Place, Source, whole

_REQUEST = re.compile(rb"(?P<method>[A-Z]{3,10}) (?P<target>\S+)(?: HTTP/(?P<version>[0-9.]+))?\r?\n")
_RESPONSE = re.compile(rb"HTTP/(?P<version>[0-9.]+) (?P<status>[0-9]{3})[^\r\n]*\r?\n")
_FIELD = re.compile(rb"(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]++)[ \t]*+:[ \t]*+(?P<value>[^\r\n]*+(?:\r?\n[ \t]++[^\r\n]*+)*)\r?\n")
_LENGTH = re.compile(r"[0-9]{1,18}")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})[^\r\n]*\r?\n")
#: A packed body of a capture is unpacked up to this size.
_MOST = 64 * 1024 * 1024
#: The factor by which a server lets it grow.
_GROWTH = 100


@dataclass(slots=True)
class Capture:
    """One HTTP message. `fields` has each header once, by lower-case name: value and offset of the line in the file."""

    source: Source
    method: str = ""
    target: str = ""
    status: int = 0
    version: str = "1.1"
    fields: dict[str, tuple[str, int]] = field(default_factory=dict)
    twice: list[tuple[str, int]] = field(default_factory=list)
    raw: Passage | None = None
    """The body as it stands in the file."""
    body: Passage | None = None
    """The body with chunks joined and packing undone."""
    short: str = ""
    """Why the body ends too early, empty where it is whole."""
    damaged: str = ""

    def value(self, name: str) -> str:
        return self.fields.get(name, ("", 0))[0]

    def place(self, name: str) -> Place:
        """Where the header line stands; the first line where there is no such header."""
        return self.source.place(self.fields[name][1]) if name in self.fields else (1, 1)

    def environ(self) -> Mapping[str, Any]:
        """The headers as WSGI names them."""
        named = {f"HTTP_{name.upper().replace('-', '_')}": value for name, (value, _) in self.fields.items()}
        return {**named, "CONTENT_TYPE": self.value("content-type"), "REQUEST_METHOD": self.method or "POST"}


def read_capture(source: Source) -> Capture | None:
    """The capture, or None where the file does not begin as an HTTP message (blank lines before it are passed over)."""
    data = source.data
    start = len(data) - len(data.lstrip(b"\r\n"))
    request, response = _REQUEST.match(data, start), _RESPONSE.match(data, start)
    if response:
        capture = Capture(source, status=int(response["status"]), version=response["version"].decode())
    elif request and (request["version"] or request["target"].startswith(b"/")):
        capture = Capture(source, request["method"].decode(), request["target"].decode("latin-1"))
        capture.version = (request["version"] or b"1.0").decode()
    else:
        return None
    _read_body(capture, _read_fields(capture, (response or request).end()))  # type: ignore[union-attr]  # one of them matched
    return capture


def _read_fields(capture: Capture, position: int) -> int:
    data = capture.source.data
    while found := _FIELD.match(data, position):
        name = found["name"].decode("ascii").lower()
        value = " ".join(found["value"].decode("latin-1").split("\r\n")).strip()
        if name in capture.fields:
            capture.twice.append((name, position))
        else:
            capture.fields[name] = (value, position)
        position = found.end()
    blank = re.compile(rb"\r?\n").match(data, position)
    return blank.end() if blank else position


def _read_body(capture: Capture, start: int) -> None:
    file = whole(capture.source)
    rest = len(capture.source.data) - start
    capture.raw = file.part(start, rest)
    if "chunked" in capture.value("transfer-encoding").lower():
        capture.body = _dechunked(capture, start)
    else:
        stated = _LENGTH.fullmatch(capture.value("content-length"))
        length = int(stated[0]) if stated else rest
        if rest < length:
            capture.short = f"{rest} octets came, Content-Length is {length}"
        capture.body = file.part(start, min(rest, length))
    coding = capture.value("content-encoding").lower()
    if coding in ("gzip", "x-gzip", "deflate"):
        capture.body = _unpacked(capture, capture.body, coding)


def _dechunked(capture: Capture, start: int) -> Passage:
    data, pieces, content = capture.source.data, [], []
    position = size = 0
    at = start
    while True:
        head = _CHUNK.match(data, at)
        if head is None:
            capture.short = f"the chunks end after {size} octets without the last one"
            break
        count, at = int(head[1], 16), head.end()
        if count == 0:
            break
        piece = data[at : at + count]
        pieces.append((position, at))
        content.append(piece)
        position += len(piece)
        size = position
        if len(piece) < count:
            capture.short = f"a chunk of {count} octets has {len(piece)}"
            break
        at += count
        at += 2 if data[at : at + 2] == b"\r\n" else 1
    return Passage(capture.source, b"".join(content), pieces or [(0, start)])


def _unpacked(capture: Capture, body: Passage, coding: str) -> Passage:
    bare = coding == "deflate" and body.text[:1] and body.text[0] & 0x0F != 8
    inflater = zlib.decompressobj(-15 if bare else 31 if "gzip" in coding else 15)
    try:
        text = inflater.decompress(body.text, _MOST)
    except zlib.error as error:
        capture.damaged = str(error)
        return Passage(capture.source, b"", (), "unpacked body")
    if len(text) > 1024 * 1024 and len(text) > _GROWTH * len(body.text):
        capture.damaged = f"{len(body.text)} octets grow to more than {_GROWTH * len(body.text)}"
        text = b""
    elif inflater.unused_data:
        capture.damaged = "octets follow the end of the compressed body"
    elif not inflater.eof and not capture.short:
        capture.short = "the compressed body has no end"
    return Passage(capture.source, text, (), "unpacked body")
