"""Where the envelope's octets collect, whether it comes alone or as the root part of a package.

Up to the limit for XML they are kept and parsed by the hardened parser. A larger message is only right when documents are
inside as base64: then `soap.inline` parses it as it arrives and decodes each document to its own `Part`.
"""

from __future__ import annotations

import codecs
import re

from lxml import etree

from schemas.parse import Limits as ParseLimits
from schemas.parse import ParseError, ParseNote, parse
from soap.call import Note
from soap.fault import Fault, FaultCode
from soap.inline import InlineParser
from soap.limits import Limits
from soap.staging import Part, Staging
from soap.wire import Wire

_PROLOG = 200
_ENCODING = re.compile(rb"""\s*<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]+)""")
_NAMESPACE_PREFIX = "amespace prefix"
_ROWS = {
    "XML-003": "WIRE-050",
    "XML-004": "WIRE-050",
    "XML-005": "WIRE-048-two",
    "XML-006": "WIRE-048-two",
    "XML-011": "WIRE-050",
    "XML-101": "WIRE-049",
    "XML-102": "WIRE-048-name",
}


class RootSink:
    """Takes the octets of the envelope; `close` gives its root element. Raises Fault; never holds more than the limits allow."""

    def __init__(self, limits: Limits, wire: Wire, notes: list[Note], staging: Staging, staged: list[Part]) -> None:
        self._limits = limits
        self._parse_limits = ParseLimits(limits.root, limits.depth, limits.elements, limits.attributes)
        self._wire = wire
        self._notes = notes
        self._staging = staging
        self._staged = staged
        self._held: list[bytes] = []
        self.size = 0
        self._inline: InlineParser | None = None
        self._prolog = b""

    @property
    def streamed(self) -> bool:
        """The envelope is a large one: its documents have been decoded while it came."""
        return self._inline is not None

    def write(self, chunk: bytes | memoryview) -> None:
        self.size += len(chunk)
        if self._inline is not None:
            self._inline.feed(bytes(chunk))
            return
        self._held.append(bytes(chunk))
        if self.size > self._limits.root:
            self._prolog = self._held[0][:_PROLOG]
            self._inline = InlineParser(self._limits, self._wire, self._staging, self._staged)
            for held in self._held:
                self._inline.feed(held)
            self._held.clear()

    def close(self, charset: str | None) -> etree._Element:
        """`charset` is the charset parameter of the Content-Type that covers these octets."""
        if self._inline is not None:
            self._check_charset(charset)
            return self._inline.close()
        met: list[ParseNote] = []
        data = self._held[0] if len(self._held) == 1 else b"".join(self._held)
        self._held.clear()
        try:
            root = parse(data, limits=self._parse_limits, what="envelope", charset=charset, notes=met)
        except ParseError as error:
            raise fault_of(error, self._wire) from None
        for note in met:
            self._wire.meet(_ROWS[note.rule], self._notes, note.message)
        return root

    def _check_charset(self, charset: str | None) -> None:
        """A large envelope is parsed as it comes, so it has to be UTF-8 by all that is said of it."""
        declared = _ENCODING.match(self._prolog.removeprefix(codecs.BOM_UTF8))
        names = [charset or "", declared[1].decode("ascii") if declared else ""]
        if self._prolog.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in self._prolog[:4]:
            names.append("UTF-16")
        for name in names:
            if name.strip().lower() not in ("", "utf-8", "utf8", "us-ascii"):
                raise self._wire.refuse("WIRE-048-two", f"an envelope of more than {self._limits.root} octets in '{name[:40]}'")


def fault_of(error: ParseError, wire: Wire) -> Fault:
    """The fault for octets that are not read as a message, with line and column."""
    place = f" (line {error.line}, column {error.column})" if error.line else ""
    row = _ROWS.get(error.rule)
    if error.rule == "XML-001" and _NAMESPACE_PREFIX in error.message:
        row = "WIRE-052"
    if row is not None:
        return wire.refuse(row, f"{error.message}{place}")
    status = 413 if error.rule == "XML-007" else None
    return Fault(FaultCode.SENDER, f"{error.message}{place}", rule=error.rule, remedy=error.remedy, status=status)
