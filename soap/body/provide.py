"""xds:ProvideAndRegisterDocumentSetRequest: the submission and its documents (ITI TF-2: 3.41.4.1.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from lxml import etree

from schemas.namespaces import LCM, XDS, XOP, q
from soap.call import Call, Note, StagedPart
from soap.fault import Fault, FaultCode, sender
from soap.inline import DOCUMENT
from soap.limits import Limits
from soap.mime import Base64Decoder
from soap.mtom import Parts
from soap.staging import Part, PartWriter, Staging
from soap.wire import Wire

_SUBMIT = q(LCM, "SubmitObjectsRequest")
_INCLUDE = q(XOP, "Include")


@dataclass(frozen=True, slots=True)
class ProvidedDocument:
    """One xds:Document: the id of its DocumentEntry and its content."""

    id: str
    part: StagedPart
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Provided:
    """`submit` is the lcm:SubmitObjectsRequest; `documents` come in order, an id may occur twice (the repository judges that)."""

    submit: etree._Element
    documents: tuple[ProvidedDocument, ...]

    def by_id(self) -> Mapping[str, StagedPart]:
        """Content by DocumentEntry id; the last wins where an id occurs twice."""
        return {document.id: document.part for document in self.documents}


class Contents:
    """Resolves the content of xds:Document elements: xop:Include to a part, base64 to a new part.

    `inline` are the elements whose base64 was decoded while the envelope came. `resolve` is called once, before the body is
    validated; afterwards `of` knows the content of each element.
    """

    def __init__(
        self,
        parts: Parts,
        inline: Mapping[etree._Element, Part],
        staging: Staging,
        staged: list[Part],
        limits: Limits,
        wire: Wire,
    ) -> None:
        self._parts = parts
        self._inline = inline
        self._staging = staging
        self._staged = staged
        self._limits = limits
        self._wire = wire
        self._decoded = 0
        self._of: dict[etree._Element, StagedPart] = {}

    def resolve(self, body: etree._Element, notes: list[Note]) -> None:
        """Finds the content of every xds:Document; parts to which nothing refers are noted (WIRE-041).

        Raises the faults of WIRE-036, 041, 045 and 046.
        """
        for element in body.iterchildren(DOCUMENT):
            self._of[element] = self._find(element, notes)
        for include in body.iter(_INCLUDE):
            if include.getparent() not in self._of:
                raise self._wire.refuse("WIRE-036-place", _where(include))
        self._parts.note_unreferenced(self._wire, notes)

    def of(self, element: etree._Element) -> StagedPart:
        """The content of one xds:Document of the resolved body."""
        return self._of[element]

    def _find(self, element: etree._Element, notes: list[Note]) -> StagedPart:
        if element.get("href") is not None:
            raise self._wire.refuse("WIRE-045", f"href='{element.get('href', '')[:100]}'")
        if element in self._inline:
            return self._inline[element]
        children = [child for child in element if isinstance(child.tag, str)]
        if children:
            return self._included(element, children, notes)
        return self._base64(element, notes)

    def _included(self, element: etree._Element, children: list[etree._Element], notes: list[Note]) -> StagedPart:
        include = children[0]
        if include.tag != _INCLUDE:
            raise self._wire.refuse("WIRE-046-raw", f"it holds the element {str(include.tag)[:100]}")
        if len(children) > 1 or len(include) or (element.text or "").strip() or (include.tail or "").strip():
            raise self._wire.refuse("WIRE-036-place", "in xds:Document beside other content")
        return self._parts.include(include.get("href") or "", self._wire, notes)

    def _base64(self, element: etree._Element, notes: list[Note]) -> StagedPart:
        text = "".join(str(piece) for piece in element.itertext())
        element.text = None
        content_id = f"inline-{len(self._staged)}"
        with PartWriter(self._staging, self._limits.memory, content_id, "") as writer:
            decoder = Base64Decoder(writer.write, self._wire, "WIRE-046-raw")
            try:
                decoder.write(text.encode("ascii"))
            except UnicodeEncodeError:
                raise self._wire.refuse("WIRE-046-raw", "it holds characters that are not ASCII") from None
            decoder.close()
            part = writer.finish()
        self._staged.append(part)
        self._decoded += part.size
        if self._decoded > self._limits.inline:
            raise Fault(
                FaultCode.SENDER,
                f"The documents sent inline have {self._decoded} octets or more, the limit is {self._limits.inline}",
                rule="LIM-001",
                remedy="Send them as MIME parts with xop:Include.",
                status=413,
            )
        return part


def _where(include: etree._Element) -> str:
    """The element around an xop:Include, and the commonest reason why that is not xds:Document: another namespace or none."""
    parent = include.getparent()
    if parent is None:
        return "in the SOAP Body"
    name = etree.QName(parent)
    if name.localname != "Document":
        return f"in {str(parent.tag)[:120]}"
    namespace = f"the namespace {name.namespace[:80]}" if name.namespace else "no namespace"
    return f"in a Document of {namespace}, where xds:Document is of {XDS}"


def parse_provide(call: Call) -> Provided:
    """The submission and its documents. Whether each document has its entry is the repository's question."""
    submit = call.body.find(_SUBMIT)
    if submit is None:
        raise sender("The body has no lcm:SubmitObjectsRequest", rule="SOAP-BODY", remedy="Send the metadata as its first child.")
    contents = call.contents
    if contents is None:
        raise ValueError("this call was made without contents; soap/request.py gives them to every call")
    documents = tuple(
        ProvidedDocument(element.get("id", ""), contents.of(element), cast(Any, element.sourceline))
        for element in call.body.iterchildren(DOCUMENT)
    )
    return Provided(submit, documents)


def judge_media_type(document: ProvidedDocument, mime_type: str, call: Call) -> None:
    """WIRE-040: the part's media type against the mimeType of its DocumentEntry. Inline content has none."""
    sent = document.part.content_type.split(";")[0].strip().lower()
    if call.wire is not None and sent and mime_type and sent != mime_type.strip().lower():
        call.wire.meet("WIRE-040", call.notes, f"part '{sent[:60]}', metadata '{mime_type[:60]}'")


def build_provide_head(submission: bytes) -> bytes:
    """Opens the request around a finished lcm:SubmitObjectsRequest."""
    return f'<xds:ProvideAndRegisterDocumentSetRequest xmlns:xds="{XDS}">'.encode() + submission


def build_document(entry_id: str, content_id: str) -> bytes:
    """One xds:Document whose content is the part `content_id`."""
    document = etree.Element(DOCUMENT, id=entry_id, nsmap={"xds": XDS})
    etree.SubElement(document, _INCLUDE, href=f"cid:{content_id}", nsmap={"xop": XOP})
    return etree.tostring(document)


PROVIDE_TAIL = b"</xds:ProvideAndRegisterDocumentSetRequest>"
