"""Which charset a message is in, decided before any parser sees it (XML 1.0: 4.3.3 and appendix F; RFC 7303: 3).

Only UTF-8 and UTF-16 are read. A byte order mark beats the charset of the HTTP or MIME header, and the header beats
the XML declaration. Where a lower voice contradicts a higher one, the message is accepted with a note as long as the
contradiction changes no character of the bytes at hand; bytes that could be read in two ways are refused. After
`decode` the parser receives UTF-8 and nothing else, so what is looked for in the bytes (a DOCTYPE, a processing
instruction) cannot hide behind an encoding.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from schemas.problems import ParseError, ParseNote

_BLANKS = b" \t\r\n"

#: XMLDecl of XML 1.0, production 23, on 8-bit bytes.
_DECLARATION = re.compile(
    rb"""<\?xml\s+version\s*=\s*(?:"1\.[0-9]+"|'1\.[0-9]+')
         (?:\s+encoding\s*=\s*(?:"(?P<double>[A-Za-z][A-Za-z0-9._\-]*)"|'(?P<single>[A-Za-z][A-Za-z0-9._\-]*)'))?
         (?:\s+standalone\s*=\s*(?:"(?:yes|no)"|'(?:yes|no)'))?
         \s*\?>""",
    re.VERBOSE,
)

_UTF8 = {"utf-8", "utf8"}
_UTF16 = {"utf-16": "", "utf16": "", "utf-16le": "utf-16-le", "utf-16be": "utf-16-be"}
_ASCII = {"us-ascii", "ascii"}
#: Charsets that share the 128 ASCII characters with UTF-8: harmless while only those occur.
_ASCII_BASED = re.compile(r"us-ascii|ascii|latin-?1|iso-8859-\d{1,2}|windows-125\d|cp125\d")

_REMEDY = "Send UTF-8 and say so in the Content-Type and in the XML declaration, or leave the charset out of both."


@dataclass(frozen=True, slots=True)
class Text:
    """A message as UTF-8.

    `root_search` is the offset behind the XML declaration; `forced` says that the declaration names another charset
    than the bytes are in now, so that the parser must be told.
    """

    data: bytes
    root_search: int
    forced: bool


def decode(data: bytes, header: str | None, notes: list[ParseNote] | None) -> Text:
    """`data` as UTF-8, whichever of the allowed charsets it came in.

    `header` is the charset parameter of the HTTP or MIME Content-Type, None when there was none. Raises ParseError
    XML-005 for a charset that is not read here and XML-006 for charsets that contradict one another in these bytes.
    """
    named = header.strip().strip('"').lower() if header else ""
    if data.startswith(codecs.BOM_UTF8):
        _note_header(named, _UTF8, "UTF-8", notes)
        return _declared(_drop_blank_lines(data[3:], notes), "utf-8", decided=True, notes=notes)
    wide = _wide_codec(data)
    if wide:
        return _decode_wide(data, *wide, named, notes)
    if named in _UTF16:
        raise _contradiction(f"the Content-Type says {header!r}, the bytes are of an 8-bit charset")
    if named and named not in _UTF8 and not (named in _ASCII and data.isascii()):
        message = f"The Content-Type names the charset {header!r}; only UTF-8 and UTF-16 are read"
        raise ParseError("XML-005", message, remedy=_REMEDY)
    return _declared(_drop_blank_lines(data, notes), "utf-8", decided=bool(named), notes=notes)


def _wide_codec(data: bytes) -> tuple[str, bool] | None:
    """The UTF-16 codec the first bytes show and whether a byte order mark showed it; None for 8-bit text."""
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE, b"<\0\0\0", b"\0\0")):
        raise ParseError("XML-005", "The bytes are UTF-32; only UTF-8 and UTF-16 are read", remedy=_REMEDY)
    if data.startswith(codecs.BOM_UTF16_LE):
        return "utf-16-le", True
    if data.startswith(codecs.BOM_UTF16_BE):
        return "utf-16-be", True
    if data.startswith((b"<\0", b"\r\0", b"\n\0", b" \0", b"\t\0")):
        return "utf-16-le", False
    if data.startswith(b"\0"):
        return "utf-16-be", False
    return None


def _decode_wide(data: bytes, codec: str, bom: bool, named: str, notes: list[ParseNote] | None) -> Text:
    """UTF-16 turned into UTF-8. Where only its zero bytes show it, the header must not contradict them."""
    if bom:
        _note_header(named, _UTF16, "UTF-16", notes)
    elif named and (named not in _UTF16 or _UTF16[named] not in ("", codec)):
        raise _contradiction(f"the Content-Type says {named!r}, the bytes are {codec.upper()}")
    try:
        text = data[2 if bom else 0 :].decode(codec).encode()
    except UnicodeDecodeError as error:
        message = f"The bytes are not valid UTF-16: {error.reason} at byte {error.start}"
        raise ParseError("XML-005", message, remedy=_REMEDY) from None
    found = _declared(_drop_blank_lines(text, notes), "utf-16", decided=True, notes=notes)
    return Text(found.data, found.root_search, True)


def _drop_blank_lines(data: bytes, notes: list[ParseNote] | None) -> bytes:
    """Blank characters are allowed before the root element but not before an XML declaration: those are dropped."""
    if data[:1] not in (b" ", b"\t", b"\r", b"\n"):
        return data
    stripped = data.lstrip(_BLANKS)
    if not stripped.startswith(b"<?xml"):
        return data
    count = len(data) - len(stripped)
    _note(notes, "XML-101", f"{count} blank characters stood before the XML declaration and were dropped")
    return stripped


def _declared(data: bytes, actual: str, *, decided: bool, notes: list[ParseNote] | None) -> Text:
    """Weighs the encoding the XML declaration names against `actual`; `decided`: a higher voice has named `actual`."""
    if not data.startswith(b"<?xml") or data[5:6] not in (b" ", b"\t", b"\r", b"\n"):
        return Text(data, 0, False)
    match = _DECLARATION.match(data)
    if match is None:
        remedy = 'Write <?xml version="1.0" encoding="UTF-8"?> or leave it out.'
        raise ParseError("XML-001", "The XML declaration is malformed", line=1, column=1, remedy=remedy)
    declared = (match["double"] or match["single"] or b"").decode("ascii").lower()
    expected = _UTF8 if actual == "utf-8" else _UTF16
    if not declared or declared in expected:
        return Text(data, match.end(), False)
    ascii_only = declared in _ASCII and data.isascii()
    if not ascii_only:
        _weigh(data, declared, actual, decided=decided, notes=notes)
    return Text(data, match.end(), True)


def _weigh(data: bytes, declared: str, actual: str, *, decided: bool, notes: list[ParseNote] | None) -> None:
    """An XML declaration that names another charset than `actual`: a note, or a refusal."""
    unicode = declared in _UTF8 or declared in _UTF16
    ascii_based = _ASCII_BASED.fullmatch(declared) is not None
    if not unicode and not (ascii_based and decided):
        message = f"The XML declaration names the encoding {declared!r}; only UTF-8 and UTF-16 are read"
        raise ParseError("XML-005", message, line=1, column=1, remedy=_REMEDY)
    if ascii_based and not data.isascii():
        raise _contradiction(f"the XML declaration says {declared!r}, the message is read as {actual.upper()}")
    message = f"The XML declaration names the encoding {declared!r}, the bytes are {actual.upper()}: they were followed"
    _note(notes, "XML-102", message)


def _note_header(named: str, agreeing: set[str] | dict[str, str], actual: str, notes: list[ParseNote] | None) -> None:
    if named and named not in agreeing:
        message = f"The Content-Type names the charset {named!r}, the byte order mark says {actual}: it was followed"
        _note(notes, "XML-102", message)


def _contradiction(what: str) -> ParseError:
    return ParseError("XML-006", f"The charsets contradict one another in these bytes: {what}", remedy=_REMEDY)


def _note(notes: list[ParseNote] | None, rule: str, message: str) -> None:
    if notes is not None:
        notes.append(ParseNote(rule, message))
