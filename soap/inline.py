"""Messages too large to be parsed as a whole, because documents are inside as base64.

libxml2 tells what it reads as it arrives. The text of each xds:Document is decoded straight into a `Part`; everything else
builds the tree, under the same limits as any message. On the element whose text was taken out stands the attribute `MARK`.
"""

from __future__ import annotations

from typing import Any, cast

from lxml import etree

from schemas.namespaces import XDS, q
from soap.fault import Fault, FaultCode, sender
from soap.limits import Limits
from soap.mime import Base64Decoder
from soap.receive import too_large, too_much
from soap.staging import Part, PartWriter, Staging
from soap.wire import Wire

DOCUMENT = q(XDS, "Document")
#: Attribute that stands for an inline document already decoded: its value is the part's place in `staged`. `soap/request.py`
#: takes it off at once; a message cannot forge it, since one that carries it is refused.
MARK = "{urn:carnet:inline}part"
#: How libxml2 tells a target of an ampersand in an attribute where entities are not replaced: it expects to be asked again.
_AMPERSAND = "&#38;"


class InlineParser:
    """Feed octets, then `close` for the root element. The parts are appended to `staged`; `MARK` gives their place."""

    def __init__(self, limits: Limits, wire: Wire, staging: Staging, staged: list[Part]) -> None:
        self._target = _Target(limits, wire, staging, staged)
        self._limits = limits
        self._begun = False
        self._outside = self._silent = 0
        self._parser = etree.XMLParser(
            target=cast(Any, self._target),
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            recover=False,
            huge_tree=True,
            remove_comments=False,
        )

    def feed(self, chunk: bytes) -> None:
        before = self._target.inside
        try:
            self._parser.feed(chunk)
            self._begun = self._begun or not chunk.isspace()
            if self._begun:
                self._count(len(chunk), self._target.inside - before)
        except etree.XMLSyntaxError as error:
            self._target.abort()
            raise self._not_well_formed(error) from None
        except BaseException:
            self._target.abort()
            raise

    def _count(self, octets: int, told: int) -> None:
        """What is no document's, and what comes inside one without a character of it: libxml2 keeps a comment or an attribute
        whole before it tells of it. `told` are the characters of documents that these octets gave."""
        if self._target.in_document:
            self._silent = 0 if told else self._silent + octets
        else:
            self._outside += max(0, octets - 2 * told)  # UTF-16 has two octets for each; that it is not taken is told at the end
            self._silent = 0
        if max(self._silent, self._outside) > self._limits.root:
            raise too_large("XML of the message", max(self._silent, self._outside), self._limits.root, "limits.root_part")

    def close(self) -> etree._Element:
        try:
            root = cast(etree._Element | None, self._parser.close())
        except etree.XMLSyntaxError as error:
            self._target.abort()
            raise self._not_well_formed(error) from None
        if root is None:
            raise sender("The envelope has no root element", rule="XML-001")
        return root

    @staticmethod
    def _not_well_formed(error: etree.XMLSyntaxError) -> Fault:
        line, column = error.position
        return sender(f"The envelope is not well-formed XML: {error.msg} (line {line}, column {column})", rule="XML-001")


class _Target:
    """lxml parser target: the tree without the documents."""

    def __init__(self, limits: Limits, wire: Wire, staging: Staging, staged: list[Part]) -> None:
        self._builder: Any = etree.TreeBuilder()
        self._limits = limits
        self._wire = wire
        self._staging = staging
        self._staged = staged
        self._depth = 0
        self._elements = 0
        self._markup = 0
        self._decoded = 0
        self._writer: PartWriter | None = None
        self._decoder: Base64Decoder | None = None
        self._open: etree._Element | None = None
        self._defaults = [""]
        self.inside = 0
        """Characters of documents so far."""

    def start(self, tag: str, given: dict[str, str], nsmap: dict[str, str] | None = None) -> None:
        attributes = {name: value.replace(_AMPERSAND, "&") for name, value in given.items()}
        self._depth += 1
        self._elements += 1
        self._markup += 2 * len(tag) + sum(len(k) + len(v) for k, v in attributes.items())
        self._check(len(attributes))
        if self._decoder is not None:
            self._not_inline()
        if MARK in attributes:
            raise sender(f"The attribute {MARK} is reserved", rule="SOAP-BODY", remedy="Leave it out.")
        declared = self._declared(nsmap or {})
        if tag != DOCUMENT or attributes.get("href"):
            self._builder.start(tag, attributes, declared)
            return
        place = len(self._staged)
        self._writer = PartWriter(self._staging, self._limits.memory, f"inline-{place}", "")
        self._decoder = Base64Decoder(self._take, self._wire, "WIRE-046-raw")
        self._open = self._builder.start(tag, {**attributes, MARK: str(place)}, declared)

    def _declared(self, nsmap: dict[str, str]) -> dict[str | None, str]:
        """The declarations on an element as the builder takes them, to which the default namespace is None. It cannot end one:
        the canonical form of the tree would then be another than that of the octets, and a signature cover what is not read."""
        default = nsmap.get("", self._defaults[-1])
        if self._defaults[-1] and not default:
            raise sender(
                'xmlns="" ends a default namespace; this is not read where documents are inside as base64',
                rule="SOAP-BODY",
                remedy="Declare the namespace by a prefix, or send the documents as MIME parts with xop:Include.",
            )
        self._defaults.append(default)
        return {prefix or None: uri for prefix, uri in nsmap.items() if uri}

    @property
    def in_document(self) -> bool:
        return self._decoder is not None

    def data(self, text: str) -> None:
        if self._decoder is None:
            self._markup += len(text)
            self._check(0)
            self._builder.data(text)
            return
        self.inside += len(text)
        try:
            self._decoder.write(text.encode("ascii"))
        except UnicodeEncodeError:
            raise self._wire.refuse("WIRE-046-raw", "it holds characters that are not ASCII") from None

    def end(self, tag: str) -> None:
        self._depth -= 1
        self._defaults.pop()
        self._builder.end(tag)
        if tag != DOCUMENT or self._decoder is None or self._writer is None:
            return
        self._decoder.close()
        self._staged.append(self._writer.finish())
        self._decoder = self._writer = self._open = None

    def doctype(self, name: str, public_id: str | None, system_url: str | None) -> None:
        raise self._wire.refuse("WIRE-050", "DOCTYPE")

    def pi(self, target: str, data: str | None = None) -> None:
        raise self._wire.refuse("WIRE-050", "processing instruction")

    def comment(self, text: str) -> None:
        """Kept as in any message, so that a value that is interrupted by one is seen to be; but for those around the root and
        within a document."""
        self._markup += len(text)
        self._check(0)
        if self._depth and self._decoder is None:
            self._builder.comment(text)

    def close(self) -> etree._Element | None:
        """None when the root element has no end: lxml also asks after an exception, and that one must not be hidden."""
        if self._depth or not self._elements:
            return None
        root: etree._Element = self._builder.close()
        return root

    def abort(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def _not_inline(self) -> None:
        """An element begins inside xds:Document: an xop:Include, so the content is elsewhere."""
        if self._writer is None or self._open is None or self._decoder is None:
            return
        if self._writer.size or self._decoder.pending:
            raise self._wire.refuse("WIRE-046-raw", "it holds text and an element")
        self._writer.close()
        del self._open.attrib[MARK]
        self._writer = self._decoder = self._open = None

    def _take(self, chunk: bytes | memoryview) -> None:
        assert self._writer is not None
        self._decoded += len(chunk)
        if self._decoded > self._limits.inline:
            raise Fault(
                FaultCode.SENDER,
                f"The documents sent inline have {self._decoded} octets or more, the limit is {self._limits.inline}",
                rule="LIM-001",
                remedy="Send them as MIME parts with xop:Include.",
                status=413,
            )
        self._writer.write(bytes(chunk))

    def _check(self, attributes: int) -> None:
        if self._markup > self._limits.root:
            raise too_large("XML of the message", self._markup, self._limits.root, "limits.root_part")
        if self._depth > self._limits.depth:
            raise too_much("levels of elements", self._depth, self._limits.depth)
        if self._elements > self._limits.elements:
            raise too_much("elements", self._elements, self._limits.elements)
        if attributes > self._limits.attributes:
            raise too_much("attributes on one element", attributes, self._limits.attributes)
