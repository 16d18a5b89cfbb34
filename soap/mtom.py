"""MTOM packages, read and written as streams (XOP 1.0, MTOM 1.0, RFC 2387; ITI TF-2: V.8).

Reading: the root part goes to a `RootSink` (bounded), every other part to a `PartWriter` while it arrives; at no moment is
more than a chunk of a large part in memory. What is odd is judged by the `Wire` table. Writing: pieces with an exact length.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from soap.call import Attachment, Note, StagedPart
from soap.limits import Limits
from soap.mime import Fields, Scanner, Sink, check_boundary, decoder_for, parse_content_type, percent_decode, read_fields
from soap.receive import CHUNK, Body, too_much
from soap.root import RootSink
from soap.staging import Part, PartWriter, Staging
from soap.wire import Wire

XOP_TYPE = "application/xop+xml"
SOAP_TYPE = "application/soap+xml"


class Parts(Mapping[str, StagedPart]):
    """The parts of one package by Content-ID, and the resolution of `cid:` references to them."""

    def __init__(self, parts: Sequence[Part] = (), root_id: str = "") -> None:
        self._parts = list(parts)
        self._root_id = root_id
        self._by_id: dict[str, list[Part]] = {}
        self._used: set[int] = set()
        for part in self._parts:
            for name in {part.content_id, percent_decode(part.content_id)}:
                self._by_id.setdefault(name, []).append(part)

    def __getitem__(self, content_id: str) -> StagedPart:
        return self._by_id[content_id][0]

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(part.content_id for part in self._parts))

    def __len__(self) -> int:
        return len({part.content_id for part in self._parts})

    def include(self, href: str, wire: Wire, notes: list[Note]) -> Part:
        """The part that `href` of an xop:Include names, which counts as used now.

        Raises the faults of WIRE-036, WIRE-041-missing and WIRE-041-double.
        """
        part = self.find(href, wire)
        if id(part) in self._used:
            wire.meet("WIRE-041-twice", notes, f"<{part.content_id}>")
        self._used.add(id(part))
        return part

    def find(self, href: str, wire: Wire) -> Part:
        """The part that `href` names (RFC 2392: `cid:` and the percent-encoded Content-ID). Raises as `include`."""
        href = href.strip()
        if href[:4].lower() != "cid:":
            raise wire.refuse("WIRE-036", f"href='{href[:100]}'")
        sent = href[4:]
        names = {sent, percent_decode(sent)}
        found = list({id(part): part for name in names for part in self._by_id.get(name, ())}.values())
        if not found:
            raise wire.refuse(
                "WIRE-041-missing",
                f"href='{href[:100]}'; parts are {', '.join(f'<{name}>' for name in list(self)[:8]) or 'none'}",
            )
        if len(found) > 1 or (self._root_id and names & {self._root_id, percent_decode(self._root_id)}):
            raise wire.refuse("WIRE-041-double", f"href='{href[:100]}'")
        return found[0]

    def left(self, found: Collection[StagedPart]) -> list[str]:
        """Content-IDs of the parts that are neither used so far nor among `found`."""
        known = self._used | {id(part) for part in found}
        return [part.content_id for part in self._parts if id(part) not in known]

    def note_unreferenced(self, wire: Wire, notes: list[Note]) -> None:
        """Parts to which no `include` led (WIRE-041)."""
        for part in self._parts:
            if id(part) not in self._used:
                wire.meet("WIRE-041", notes, f"<{part.content_id}>")


@dataclass(slots=True)
class Package:
    """A package read to its end: the root part's content is in the `RootSink`."""

    root_charset: str | None
    parts: Parts
    action: str = ""
    announced: tuple[str, ...] = field(default=())
    """Media types that start-info and the root part's type announce for the envelope."""


def read_package(
    body: Body,
    parameters: Fields,
    root: RootSink,
    staging: Staging,
    wire: Wire,
    limits: Limits,
    notes: list[Note],
    staged: list[Part],
) -> Package:
    """Reads a whole multipart/related body.

    `parameters` are those of the HTTP Content-Type. Every part is also appended to `staged` as soon as it is complete, so
    that the caller can remove its file whatever happens. Raises Fault with the row that was broken.
    """
    return _Reader(body, root, staging, wire, limits, notes, staged).run(parameters)


class _Reader:
    def __init__(
        self, body: Body, root: RootSink, staging: Staging, wire: Wire, limits: Limits, notes: list[Note], staged: list[Part]
    ) -> None:
        self._body = body
        self._root = root
        self._staging = staging
        self._wire = wire
        self._limits = limits
        self._notes = notes
        self._staged = staged
        announced = f" (Content-Length is {body.length})" if body.length is not None else ""
        self._scanner = Scanner(lambda: body.read(CHUNK), wire, announced)
        self._crlf = True
        self._in_memory = 0
        self._root_fields: Fields | None = None
        self._root_id = ""
        self._parts: list[Part] = []

    def run(self, parameters: Fields) -> Package:
        if "boundary" not in parameters:
            parameters = self._recover_parameters()
        delimiter = check_boundary(parameters["boundary"], self._wire)
        self._judge_type(parameters)
        start = parameters.get("start", "").strip()
        if start and not (start.startswith("<") and start.endswith(">")):
            self._wire.meet("WIRE-019", self._notes, f"start='{start[:100]}'")
        start = _bare(start)
        if self._preamble(delimiter):
            raise self._wire.refuse("WIRE-019-empty")
        count, closing = 0, False
        while not closing:
            count += 1
            if count > self._limits.parts:
                raise too_much("MIME parts or more", count, self._limits.parts)
            closing = self._part(delimiter, start)
        if not self._scanner.rest(self._limits.epilogue):
            raise too_much("octets or more behind the closing boundary", self._limits.epilogue, self._limits.epilogue)
        if self._root_fields is None:
            self._first_is_root(start)
        return self._package(parameters)

    def _package(self, parameters: Fields) -> Package:
        fields = self._root_fields or {}
        media, inner = parse_content_type(fields.get("content-type") or XOP_TYPE, self._wire)
        self._judge_root(media, fields)
        announced = []
        for value in (parameters.get("start-info", ""), inner.get("type", "") if media == XOP_TYPE else media):
            announced.append(value.split(";")[0].strip().lower())
        return Package(
            root_charset=inner.get("charset"),
            parts=Parts(self._parts, self._root_id),
            action=parameters.get("action", "")
            or _nested_action(parameters.get("start-info", ""))
            or _nested_action(inner.get("type", "")),
            announced=tuple(word for word in announced if word),
        )

    def _recover_parameters(self) -> Fields:
        """WIRE-014: the MIME header that belongs into HTTP stands at the start of the body."""
        left = self._limits.preamble
        header = b""
        while (line := self._scanner.line(left)) is not None and left > 0:
            left -= len(line)
            if line.startswith(b"--"):
                break
            if not line.strip():
                if header:
                    break
                continue
            header += b" " + line.strip() if line[:1] in (b" ", b"\t") else b"\n" + line.strip()
        for field_line in header.decode("latin-1").split("\n"):
            name, _, value = field_line.partition(":")
            if name.strip().lower() == "content-type":
                media, parameters = parse_content_type(value.strip(), self._wire)
                if media == "multipart/related" and "boundary" in parameters:
                    self._wire.meet("WIRE-014", self._notes)
                    return parameters
        if self._scanner.ended and not self._scanner.consumed:
            raise self._wire.refuse("WIRE-027", "the body is empty")
        raise self._wire.refuse("WIRE-014-nowhere")

    def _preamble(self, delimiter: bytes) -> bool:
        """Skips to the first delimiter and takes the line end of the package from it. True when it is the closing one."""
        limit = left = self._limits.preamble
        seen = b""
        while left > 0 and (line := self._scanner.line(left)) is not None:
            left -= len(line)
            if line.startswith(delimiter):
                rest = line[len(delimiter) :].strip(b" \t\r\n")
                if rest in (b"", b"--") and (line.endswith(b"\n") or rest):
                    self._crlf = line.endswith(b"\r\n")
                    if not self._crlf and not rest:
                        self._wire.meet("WIRE-028", self._notes)
                    return rest == b"--"
            if line.startswith(b"--") and not seen:
                seen = line.strip()[:80]
        if self._scanner.ended and not self._scanner.consumed:
            raise self._wire.refuse("WIRE-027", "the body is empty")
        found = (
            f", the body begins a part with '{seen.decode('latin-1')}'"
            if seen
            else f", nothing like it stands in the first {limit} octets"
        )
        raise self._wire.refuse("WIRE-015", f"header '{delimiter[2:].decode()}'{found}")

    def _part(self, delimiter: bytes, start: str) -> bool:
        """Reads one part, root or other. True when the closing delimiter followed."""
        fields = read_fields(self._scanner, self._crlf, self._wire, self._limits, self._notes)
        content_id = self._content_id(fields)
        is_root = self._root_fields is None and (
            not start or content_id == start or percent_decode(content_id) == percent_decode(start)
        )
        encoding = fields.get("content-transfer-encoding", "")
        if is_root:
            self._root_fields, self._root_id = fields, content_id
            return self._content(delimiter, encoding, self._root.write)
        held = self._limits.memory if self._in_memory < self._limits.memory_total else 0
        with PartWriter(self._staging, held, content_id, fields.get("content-type", "").strip()) as writer:
            closing = self._content(delimiter, encoding, self._bounded(writer))
            part = writer.finish()
        self._staged.append(part)
        self._parts.append(part)
        if part.path() is None:
            self._in_memory += part.size
        return closing

    def _bounded(self, writer: PartWriter) -> Sink:
        most = self._limits.part

        def sink(chunk: bytes | memoryview) -> None:
            if writer.size + len(chunk) > most:
                raise too_much("octets or more in one part", writer.size + len(chunk), most)
            writer.write(chunk)

        return sink

    def _content(self, delimiter: bytes, encoding: str, sink: Sink) -> bool:
        decoder = decoder_for(encoding, sink, self._wire, self._notes)
        if decoder is None:
            return self._scanner.content(delimiter, self._crlf, sink)
        closing = self._scanner.content(delimiter, self._crlf, decoder.write)
        decoder.close()
        return closing

    def _content_id(self, fields: Fields) -> str:
        value = fields.get("content-id", "")
        content_id = _bare(value)
        if not content_id.isascii() or any(c.isspace() or not c.isprintable() for c in content_id):
            self._wire.meet("WIRE-035", self._notes, ascii(content_id[:80]))
        return content_id

    def _first_is_root(self, start: str) -> None:
        """WIRE-019: `start` names no part, so the first one is the root; it was staged like any other."""
        self._wire.meet("WIRE-019", self._notes, f"start='<{start[:100]}>' names no part")
        first = self._parts.pop(0)
        self._root_fields, self._root_id = {"content-type": first.content_type}, first.content_id
        for chunk in first.chunks():
            self._root.write(chunk)

    def _judge_type(self, parameters: Fields) -> None:
        if "type" not in parameters or "start" not in parameters:
            self._wire.meet(
                "WIRE-019", self._notes, ", ".join(name for name in ("type", "start") if name not in parameters) + " absent"
            )
        announced = parameters.get("type", XOP_TYPE).split(";")[0].strip().lower()
        if announced != XOP_TYPE:
            self._wire.meet("WIRE-018", self._notes, f"type='{announced[:60]}'")

    def _judge_root(self, media: str, fields: Fields) -> None:
        empty_type = 'type=""' in fields.get("content-type", "").replace(" ", "")
        if media != XOP_TYPE or empty_type or not fields.get("content-type"):
            self._wire.meet("WIRE-020", self._notes, f"'{fields.get('content-type', '')[:80]}'")


def _bare(content_id: str) -> str:
    """Without the angle brackets."""
    content_id = content_id.strip()
    return content_id[1:-1] if content_id.startswith("<") and content_id.endswith(">") else content_id


def _nested_action(value: str) -> str:
    """The action inside `application/soap+xml;action="..."` (WIRE-016)."""
    _, _, action = value.partition("action=")
    return action.strip('" ')


# --------------------------------------------------------------------------------------------------------------- writing


@dataclass(frozen=True, slots=True)
class Written:
    """An outgoing package: Content-Type, exact Content-Length, and the octets piece by piece."""

    content_type: str
    length: int
    pieces: Iterable[bytes]


def write_package(root: Sequence[bytes], attachments: Sequence[Attachment], action: str) -> Written:
    """A package around the finished envelope `root`. Attachments are streamed; their `size` must be exact.

    A shorter or longer attachment breaks the stream with ValueError before the closing boundary, so that no receiver can take
    a damaged document for a whole one.
    """
    unique = os.urandom(16).hex()
    boundary, root_id = f"MIME_{unique}", f"root.{unique}@carnet"
    head = (
        f'--{boundary}\r\nContent-Type: {XOP_TYPE}; charset=UTF-8; type="{SOAP_TYPE}"\r\n'
        f"Content-Transfer-Encoding: binary\r\nContent-ID: <{root_id}>\r\n\r\n"
    ).encode()
    heads = [
        f"\r\n--{boundary}\r\nContent-Type: {_header_safe(a.content_type)}\r\nContent-Transfer-Encoding: binary\r\n"
        f"Content-ID: <{a.content_id}>\r\n\r\n".encode()
        for a in attachments
    ]
    tail = f"\r\n--{boundary}--\r\n".encode()
    start = b"".join((head, *root))
    length = len(start) + sum(map(len, heads)) + sum(a.size for a in attachments) + len(tail)
    content_type = f'multipart/related; boundary="{boundary}"; type="{XOP_TYPE}"; start="<{root_id}>"; start-info="{SOAP_TYPE}"'
    if action:
        content_type += f'; action="{action}"'
    if not attachments:
        return Written(content_type, length, (start + tail,))
    return Written(content_type, length, _stream(start, heads, attachments, tail))


def _stream(start: bytes, heads: Sequence[bytes], attachments: Sequence[Attachment], tail: bytes) -> Iterator[bytes]:
    """Small neighbours travel in one piece; a chunk of an attachment travels as it comes."""
    with ExitStack() as opened:
        waiting = start
        for head, attachment in zip(heads, attachments, strict=True):
            waiting += head
            sent = 0
            chunks = iter(attachment.chunks)
            close = getattr(chunks, "close", None)
            if close is not None:
                opened.callback(close)
            for chunk in chunks:
                sent += len(chunk)
                if sent > attachment.size:
                    break
                if len(waiting) + len(chunk) <= CHUNK:
                    waiting += chunk
                    continue
                yield waiting
                waiting = chunk
            if sent != attachment.size:
                raise ValueError(f"attachment {attachment.content_id} has not the {attachment.size} octets that were announced")
        yield waiting + tail


def _header_safe(value: str) -> str:
    """A media type from stored metadata as a header value: nothing in it can end the line."""
    cleaned = "".join(c for c in value if " " <= c <= "~")
    return cleaned or "application/octet-stream"
