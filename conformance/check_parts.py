"""What came beside an envelope: the parts of its package, and the content of each xds:Document, judged one by one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from tempfile import gettempdir

from lxml import etree

from conformance.check_capture import Capture
from conformance.check_lint import LIMITS, Lint
from conformance.check_places import NOWHERE, Passage, Place, Tree
from schemas.namespaces import XDS, XOP, q
from soap.body.provide import Contents
from soap.call import Note
from soap.fault import Fault
from soap.mtom import Parts
from soap.staging import FolderStaging, Part

INCLUDE, _DOCUMENT = q(XOP, "Include"), q(XDS, "Document")
#: Only what is larger than `LIMITS.memory` ever goes to a file there.
STAGING = FolderStaging(gettempdir())


@dataclass(slots=True)
class Transport:
    """What the levels below the envelope gave. `parts` is None where the package could not be taken apart or did not come."""

    capture: Capture | None = None
    package: Passage | None = None
    parts: Parts | None = None
    staged: list[Part] = field(default_factory=list)
    charset: str | None = None
    announced: tuple[str, ...] = ()
    http_actions: tuple[str, ...] = ()
    mtom: bool = False


def documents_of(lint: Lint, tree: Tree, body: etree._Element, transport: Transport) -> Mapping[etree._Element, Passage] | None:
    """The content of each xds:Document, of a request or a response; None where the package is not at hand."""
    elements = list(body.iter(_DOCUMENT))
    parts = transport.parts
    if parts is None:
        if not elements or any(e.find(INCLUDE) is not None for e in elements):
            return None
        parts = Parts()
    contents = _Contents(parts, {}, STAGING, transport.staged, LIMITS, lint.wire)
    found: dict[etree._Element, Passage] = {}
    for element in elements:
        include = element.find(INCLUDE)
        inline = include is None
        try:
            part = contents.find(element, lint.notes)
        except Fault as fault:
            of_include = include is not None and fault.rule.startswith(("WIRE-036", "WIRE-041"))
            attribute = "href" if fault.rule in ("WIRE-036", "WIRE-041-missing", "WIRE-045") else ""
            lint.fault(fault, tree.place(include if of_include else element, attribute), tree.part)
            lint.notes.clear()
            continue
        spot = include if include is not None else element
        lint.tell(lambda id, detail, spot=spot: tree.place(spot), tree.part)  # type: ignore[misc]
        octets = b"".join(part.chunks())
        found[element] = passage = _passage(lint, transport, octets, f"document {element.get('id', '')}".strip(), inline)
        _media_type(lint, tree, element, part, transport, passage)
    _strays(lint, tree, body, parts, transport)
    return found


def _media_type(lint: Lint, tree: Tree, element: etree._Element, part: Part, transport: Transport, passage: Passage) -> None:
    """WIRE-040: the media type of the part against the mimeType of the entry that the document belongs to."""
    sent = part.content_type.split(";")[0].strip().lower()
    named = (e.get("mimeType", "") for e in tree.elements if e.get("id") == element.get("id") and e.get("mimeType"))
    wanted = next(named, "").strip().lower()
    if not sent or not wanted or sent == wanted or transport.package is None:
        return
    lint.wire.meet("WIRE-040", lint.notes, f"part '{sent[:60]}', metadata '{wanted[:60]}'")
    package = transport.package
    content = package.text.find(passage.text)
    heads = [m.start() for m in re.finditer(rb"^Content-Type:", package.text[: max(content, 0)], re.IGNORECASE | re.MULTILINE)]
    lint.tell(lambda id, detail: package.place(heads[-1]) if heads else package.place(0), package.name)


class _Contents(Contents):
    """The contents one by one, so that one that is wrong does not hide the next."""

    def find(self, element: etree._Element, notes: list[Note]) -> Part:
        found = self._find(element, notes)
        assert isinstance(found, Part)
        return found


def _passage(lint: Lint, transport: Transport, octets: bytes, name: str, inline: bool) -> Passage:
    """Where the content stands in the file; decoded content stands nowhere and counts its own lines."""
    package = transport.package
    start = package.text.find(octets) if package is not None and octets and not inline else -1
    if package is None or start < 0:
        return Passage(lint.source, octets, (), name)
    return package.part(start, len(octets), name)


def _strays(lint: Lint, tree: Tree, body: etree._Element, parts: Parts, transport: Transport) -> None:
    """Includes elsewhere, and parts to which nothing leads."""
    for include in body.iter(INCLUDE):
        parent = include.getparent()
        if parent is None or parent.tag != _DOCUMENT:
            where = str(getattr(parent, "tag", ""))[:120]
            lint.fault(lint.wire.refuse("WIRE-036-place", f"in {where}"), tree.place(include), tree.part)
    parts.note_unreferenced(lint.wire, lint.notes)
    package = transport.package

    def place(id: str, detail: str) -> Place:
        if package is None:
            return NOWHERE
        offset = package.find(rb"^Content-ID:[ \t]*" + re.escape(detail.encode("utf-8", "replace")))
        return package.place(max(offset, 0))

    lint.tell(place, package.name if package is not None else "")
