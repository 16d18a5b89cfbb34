"""Which charset a message is in, decided before any parser sees it (XML 1.0, 4.3.3 and appendix F; RFC 7303, 3).

Only UTF-8 and UTF-16 are read. A byte order mark beats the charset of the HTTP or MIME header, and the header beats the XML declaration.
Where a lower voice contradicts a higher one the message is accepted with a note as long as the contradiction changes no character of
the bytes at hand; bytes that could be read in two ways are refused. After `decode` the parser receives UTF-8 and nothing else, so what
is looked for in the bytes (a DOCTYPE, a processing instruction) cannot hide behind an encoding.
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
#: Charsets that share the 128 ASCII characters with UTF-8: harmless while only those occur.
_ASCII_BASED = re.compile(r"us-ascii|ascii|latin-?1|iso-8859-\d{1,2}|windows-125\d|cp125\d")

_REMEDY = "Send the message in UTF-8 and say so in the Content-Type and in the XML declaration, or leave the charset out of both."


@dataclass(frozen=True, slots=True)
class Text:
    """A message as UTF-8. `root_search` is the offset behind the XML declaration; `forced` says that the declaration names another
    charset than the bytes are in now, so the parser must be told."""

    data: bytes
    root_search: int
    forced: bool


def decode(data: bytes, header: str | None, notes: list[ParseNote] | None) -> Text:
    """`data` as UTF-8, whatever of the allowed charsets it came in.

    `header` is the charset parameter of the HTTP or MIME Content-Type, None when there was none. Raises ParseError XML-005 for a
    charset that is not read here and XML-006 for charsets that contradict one another in these bytes.
    """
    declared_by_header = header.strip().strip('"').lower() if header else ""
    if data.startswith(codecs.BOM_UTF8):
        return _finish(data[3:], "utf-8", declared_by_header, bom=True, transcoded=False, notes=notes)
    wide = _wide_codec(data)
    if wide:
        codec, bom = wide
        _agree_wide(codec, bom, declared_by_header)
        try:
            text = data[2 if bom else 0 :].decode(codec)
        except UnicodeDecodeError as error:
            raise ParseError("XML-005", f"The bytes are not valid UTF-16: {error.reason} at byte {error.start}", remedy=_REMEDY) from None
        return _finish(text.encode(), "utf-16", declared_by_header, bom=bom, transcoded=True, notes=notes)
    if declared_by_header in _UTF16:
        raise _contradiction(f"the Content-Type says {header!r}, the bytes are of an 8-bit charset")
    if declared_by_header and declared_by_header not in _UTF8 and not (declared_by_header in {"us-ascii", "ascii"} and data.isascii()):
        raise ParseError("XML-005", f"The Content-Type names the charset {header!r}; only UTF-8 and UTF-16 are read", remedy=_REMEDY)
    return _finish(data, "utf-8", declared_by_header, bom=False, transcoded=False, notes=notes)


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


def _agree_wide(codec: str, bom: bool, header: str) -> None:
    """UTF-16 that shows itself by its zero bytes only must not be contradicted by the header."""
    if bom or not header:
        return
    if header not in _UTF16 or _UTF16[header] not in ("", codec):
        raise _contradiction(f"the Content-Type says {header!r}, the bytes are {codec.upper()}")


def _finish(data: bytes, actual: str, header: str, *, bom: bool, transcoded: bool, notes: list[ParseNote] | None) -> Text:
    """Strips blank lines before the XML declaration and weighs the encoding it names against the bytes."""
    if data[:1] in (b" ", b"\t", b"\r", b"\n"):
        stripped = data.lstrip(_BLANKS)
        if stripped.startswith(b"<?xml"):
            _note(notes, "XML-101", f"{len(data) - len(stripped)} blank characters stood before the XML declaration and were dropped")
            data = stripped
    if header and header not in (_UTF8 if actual == "utf-8" else _UTF16) and not (header in {"us-ascii", "ascii"} and data.isascii()):
        _note(notes, "XML-102", f"The Content-Type names the charset {header!r}, the byte order mark says {actual.upper()}: the mark was followed")
    if not data.startswith(b"<?xml") or data[5:6] not in (b" ", b"\t", b"\r", b"\n"):
        return Text(data, 0, transcoded)
    match = _DECLARATION.match(data)
    if match is None:
        raise ParseError("XML-001", "The XML declaration is malformed", line=1, column=1,
                         remedy='Write <?xml version="1.0" encoding="UTF-8"?> or leave it out.')
    declared = (match["double"] or match["single"] or b"").decode("ascii").lower()
    if not declared or declared in _UTF8 and actual == "utf-8":
        return Text(data, match.end(), transcoded)
    if declared in _UTF16 and actual == "utf-16":
        return Text(data, match.end(), True)
    _weigh_declaration(data, declared, actual, decided=bom or bool(header) or transcoded, notes=notes)
    return Text(data, match.end(), True)


def _weigh_declaration(data: bytes, declared: str, actual: str, *, decided: bool, notes: list[ParseNote] | None) -> None:
    """An XML declaration that names another charset than the one already decided: a note, or a refusal."""
    known = declared in _UTF8 or declared in _UTF16 or _ASCII_BASED.fullmatch(declared) is not None
    ascii_only = declared in {"us-ascii", "ascii"} and data.isascii()
    if not known or not (decided or ascii_only or declared in _UTF16):
        raise ParseError("XML-005", f"The XML declaration names the encoding {declared!r}; only UTF-8 and UTF-16 are read",
                         line=1, column=1, remedy=_REMEDY)
    if _ASCII_BASED.fullmatch(declared) and not data.isascii():
        raise _contradiction(f"the XML declaration says {declared!r}, the message is read as {actual.upper()}")
    if not ascii_only:
        _note(notes, "XML-102", f"The XML declaration names the encoding {declared!r}, the bytes are {actual.upper()}: the bytes were followed")


def _contradiction(what: str) -> ParseError:
    return ParseError("XML-006", f"The charsets contradict one another in these bytes: {what}", remedy=_REMEDY)


def _note(notes: list[ParseNote] | None, rule: str, message: str) -> None:
    if notes is not None:
        notes.append(ParseNote(rule, message))
