"""The hardened parser: the only door by which XML from outside becomes a tree.

It refuses document type declarations (so no entity is ever defined, in any charset), processing instructions, XInclude,
charsets other than UTF-8 and UTF-16, and whatever exceeds its limits; it fetches nothing and expands nothing. Its extra
checks cost about a fifth of the parse: cheap searches in the bytes beforehand, one compiled XPath expression over the
finished tree. What must not even reach the tree (a flood of elements or attributes in a large message) is counted in
the bytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import cast

from lxml import etree

from schemas.charset import decode
from schemas.problems import RULES, ParseError, ParseNote

__all__ = ["RULES", "FeedParser", "Limits", "ParseError", "ParseNote", "parse"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a message may cost.

    The defaults carry a submission of some 300 documents sent by MTOM; inline base64 needs a larger `max_bytes`.
    """

    #: Bytes of the message as received. 2 MiB of attribute-dense XML is about 105 MB of tree.
    max_bytes: int = 2 * 1024 * 1024
    #: Levels of elements; a submission has 10.
    max_depth: int = 96
    #: Elements in all.
    max_elements: int = 400_000
    #: Attributes on one element; in messages above 256 kB its namespace declarations count too.
    max_attributes: int = 64


#: From this size on floods are counted in the bytes, before a tree of 50 times their size is built.
_COUNT_IN_BYTES = 256 * 1024
#: Up to so many tags are looked at one by one; in a message of more, one pass over all bytes first asks whether it is worth it.
_WALKED = 10_000
#: libxml2 refuses text nodes above 10 000 000 characters unless told otherwise.
_HUGE_TEXT = 9_000_000
#: libxml2 refuses deeper trees unless told otherwise.
_DEPTH = 256
_ROOT = re.compile(rb"[ \t\r\n]*<[A-Za-z_:\x80-\xff]")
_MISC = re.compile(rb"[ \t\r\n]*(?:<!--.*?-->[ \t\r\n]*)*", re.DOTALL)
_MISC_WITH_INSTRUCTIONS = re.compile(rb"[ \t\r\n]*(?:(?:<!--.*?-->|<\?.*?\?>)[ \t\r\n]*)*", re.DOTALL)
_TAG = re.compile(rb"""<(?:[^"'<>]++|"[^"]*+"|'[^']*+')*+""")
_QUOTED = re.compile(rb""""[^"]*"|'[^']*'""")
#: The first one only: libxml2 collects many nodes in a time that grows with their square.
_INSTRUCTIONS = etree.XPath("/descendant::processing-instruction()[1]")
_NO_DOCTYPE = "Remove it: SOAP 1.2 forbids document type declarations and entities."
_PLAIN = "No IHE message needs as much: send the message itself."
_XINCLUDE = b"http://www.w3.org/2001/XInclude"
_DELETE = bytes(set(range(256)) - set(b"<="))


def parse(
    data: bytes,
    *,
    limits: Limits = Limits(),
    what: str = "message",
    charset: str | None = None,
    notes: list[ParseNote] | None = None,
    instructions: bool = False,
) -> etree._Element:
    """The root element of `data`.

    `what` names the bytes in error messages; `charset` is the charset parameter of the HTTP or MIME Content-Type;
    tolerated oddities are appended to `notes`; with `instructions` processing instructions may stand in it (a document, not a
    message). Comments stay in the tree, CDATA sections become text. Raises ParseError
    with one of RULES. Source: SOAP 1.2 part 1: 5 (no DTD, no processing instruction); XML 1.0.
    """
    if len(data) > limits.max_bytes:
        raise _too_many_bytes(what, len(data), limits)
    if not data or data.isspace():
        raise ParseError("XML-002", f"The {what} is empty", remedy="Send a SOAP envelope.")
    text = decode(data, charset, notes)
    data = text.data
    _refuse_doctype(data, text.root_search, what, instructions)
    if len(data) > _COUNT_IN_BYTES or len(data) > 4 * limits.max_elements:
        _refuse_floods(data, limits, what)
    try:
        root = etree.fromstring(data, _parser(forced=text.forced, huge=len(data) > _HUGE_TEXT or limits.max_depth >= _DEPTH))
    except etree.XMLSyntaxError as error:
        raise _not_well_formed(error, what, limits) from None
    _check_tree(root, data, text.root_search, limits, what, instructions)
    return root


class FeedParser:
    """Takes a message in chunks as they arrive, bounded by `limits.max_bytes`, and parses it on `close`.

    The chunks are kept and parsed in one go: feeding lxml piecewise is slower, and the checks that protect the tree read
    the bytes first.
    """

    def __init__(
        self,
        *,
        limits: Limits = Limits(),
        what: str = "message",
        charset: str | None = None,
        notes: list[ParseNote] | None = None,
    ) -> None:
        self._limits = limits
        self._what = what
        self._charset = charset
        self._notes = notes
        self._buffer = bytearray()

    def feed(self, chunk: bytes | memoryview) -> None:
        """Adds bytes. Raises ParseError XML-007 as soon as the limit is passed."""
        self._buffer += chunk
        if len(self._buffer) > self._limits.max_bytes:
            size = len(self._buffer)
            self._buffer = bytearray()
            raise _too_many_bytes(self._what, size, self._limits)

    def close(self) -> etree._Element:
        """The root element of everything fed; the bytes are let go. Raises ParseError like `parse`."""
        data = bytes(self._buffer)
        self._buffer = bytearray()
        return parse(data, limits=self._limits, what=self._what, charset=self._charset, notes=self._notes)


def _parser(*, forced: bool, huge: bool) -> etree.XMLParser:
    """A fresh parser: one is never shared between messages, since it keeps state. `forced` overrules the declared encoding."""
    return etree.XMLParser(
        encoding="utf-8" if forced else None,
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        recover=False,
        huge_tree=huge,
        remove_comments=False,
        remove_pis=False,
        remove_blank_text=False,
        strip_cdata=True,
        collect_ids=False,
    )


def _refuse_doctype(data: bytes, start: int, what: str, instructions: bool) -> None:
    """A DOCTYPE can only stand before the root element: it is refused there, before libxml2 could act on it."""
    if _ROOT.match(data, start):
        return
    found = (_MISC_WITH_INSTRUCTIONS if instructions else _MISC).match(data, start)
    position = found.end() if found else start
    if data.startswith(b"<!DOCTYPE", position):
        line, column = _place(data, position)
        raise ParseError("XML-003", f"The {what} carries a DOCTYPE", line=line, column=column, remedy=_NO_DOCTYPE)
    if data.startswith(b"<?", position):
        line, column = _place(data, position)
        raise _instruction(what, line, column)


def _refuse_floods(data: bytes, limits: Limits, what: str) -> None:
    """Elements and attributes counted in the bytes; markup inside comments and CDATA sections counts as well."""
    brackets = data.count(b"<")
    opened = brackets - data.count(b"</")
    if opened > limits.max_elements:
        message = f"The {what} has about {opened} elements, the limit is {limits.max_elements}"
        raise ParseError("XML-009", message, remedy="Split the submission, or raise the limit in the settings.")
    if brackets > _WALKED and b"=" * (limits.max_attributes + 1) not in data.translate(None, _DELETE):
        return
    start = data.find(b"<")
    while start >= 0:
        following = data.find(b"<", start + 1)
        end = following if following >= 0 else len(data)
        if data.count(b"=", start, end) > limits.max_attributes:
            tag = _TAG.match(data, start)
            if tag and _QUOTED.sub(b"", tag.group()).count(b"=") > limits.max_attributes:
                line, column = _place(data, start)
                raise _too_many_attributes(what, line, column, limits)
        start = following


_suspicions: dict[Limits, etree.XPath] = {}


def _suspicion(limits: Limits) -> etree.XPath:
    """One expression that is true when the tree breaks a limit; compiled once for each set of limits."""
    found = _suspicions.get(limits)
    if found is None:
        deeper = "/*" * (limits.max_depth + 1)
        found = etree.XPath(f"boolean({deeper}) or boolean(//@*[{limits.max_attributes + 1}])")
        _suspicions[limits] = found
    return found


def _check_tree(
    root: etree._Element, data: bytes, root_search: int, limits: Limits, what: str, instructions: bool = False
) -> None:
    if root.getroottree().docinfo.internalDTD is not None:
        raise ParseError("XML-003", f"The {what} carries a DOCTYPE", remedy=_NO_DOCTYPE)
    if not instructions and data.find(b"?", root_search) >= 0:
        for instruction in cast(list[etree._Element], _INSTRUCTIONS(root)):
            raise _instruction(what, _line(instruction), 1)
    # Fewer tags than levels, fewer equals signs than attributes: nothing can be too deep or too many.
    if (data.count(b"<") > limits.max_depth or data.count(b"=") > limits.max_attributes) and _suspicion(limits)(root):
        _name_the_fault(root, limits, what)
    if _XINCLUDE in data:
        for element in root.iter(f"{{{_XINCLUDE.decode()}}}*"):
            remedy = "Send the text itself: nothing is fetched on a message's say-so."
            raise ParseError("XML-011", f"The {what} asks for an XInclude", line=_line(element), column=1, remedy=remedy)


def _name_the_fault(root: etree._Element, limits: Limits, what: str) -> None:
    """The tree breaks a limit: finds which and where, and raises."""
    for element in root.iterfind("." + "/*" * limits.max_depth):
        raise _too_deep(what, _line(element), 1, limits)
    for element in root.iter("*"):
        if len(element.attrib) > limits.max_attributes:
            raise _too_many_attributes(what, _line(element), 1, limits)


def _too_many_bytes(what: str, size: int, limits: Limits) -> ParseError:
    remedy = "Send documents as MTOM parts and not inline, split the submission, or raise the limit in the settings."
    return ParseError("XML-007", f"The {what} has {size} bytes or more, the limit is {limits.max_bytes}", remedy=remedy)


def _too_deep(what: str, line: int, column: int, limits: Limits) -> ParseError:
    message = f"The elements of the {what} are nested deeper than {limits.max_depth} levels"
    return ParseError("XML-008", message, line=line, column=column, remedy=_PLAIN)


def _too_many_attributes(what: str, line: int, column: int, limits: Limits) -> ParseError:
    message = f"An element of the {what} has more than {limits.max_attributes} attributes"
    return ParseError("XML-010", message, line=line, column=column, remedy=_PLAIN)


def _instruction(what: str, line: int, column: int) -> ParseError:
    remedy = "Remove it: SOAP 1.2 forbids processing instructions."
    return ParseError("XML-004", f"The {what} carries a processing instruction", line=line, column=column, remedy=remedy)


def _not_well_formed(error: etree.XMLSyntaxError, what: str, limits: Limits) -> ParseError:
    line, column = error.position
    reason = re.sub(r", line \d+, column \d+.*$", "", error.msg or "syntax error", flags=re.DOTALL)
    if "Excessive depth" in reason:
        return _too_deep(what, line, column, limits)
    remedy = "Check the message with any XML parser before it is sent."
    message = f"The {what} is not well-formed XML: {reason}"
    return ParseError("XML-001", message, line=line, column=column, remedy=remedy)


def _line(element: etree._Element) -> int:
    return cast(int, element.sourceline) or 0


def _place(data: bytes, position: int) -> tuple[int, int]:
    """Line and column of a byte, both from 1; counted behind a byte order mark or blank lines that were dropped."""
    line = data.count(b"\n", 0, position) + 1
    return line, position - data.rfind(b"\n", 0, position)
