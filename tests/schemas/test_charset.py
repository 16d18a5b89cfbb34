"""Which charset a message is in: byte order mark over header over XML declaration, and nothing readable in two ways."""

from __future__ import annotations

import pytest

from schemas.parse import ParseError, parse
from schemas.problems import ParseNote


def message(declared: str | None, text: str = "é") -> str:
    head = f'<?xml version="1.0" encoding="{declared}"?>' if declared else ""
    return f"{head}<a>{text}</a>"


#: bytes' codec, declared encoding, charset of the header, text -> the rule that refuses or notes, None when nothing is said.
CASES: list[tuple[str, str | None, str | None, str, str | None]] = [
    ("utf-8", None, None, "é", None),
    ("utf-8", "UTF-8", "utf-8", "é", None),
    ("utf-8", "utf-8", '"UTF-8"', "é", None),
    ("utf-8-sig", "UTF-8", None, "é", None),
    ("utf-8-sig", "UTF-8", "utf-8", "é", None),
    ("utf-8", "US-ASCII", None, "e", None),
    ("utf-8", None, "us-ascii", "e", None),
    ("utf-16", "UTF-16", "utf-16", "é", None),
    ("utf-16", None, None, "é", None),
    ("utf-16-le", None, None, "é", None),
    ("utf-16-be", None, None, "é", None),
    ("utf-16-be", "UTF-16", "utf-16be", "é", None),
    ("utf-16-le", "UTF-16LE", "utf-16", "é", None),
    # overruled by the bytes
    ("utf-8", "UTF-16", None, "é", "XML-102"),
    ("utf-8", "UTF-16", "utf-8", "é", "XML-102"),
    ("utf-8-sig", "UTF-16", None, "é", "XML-102"),
    ("utf-8-sig", "UTF-8", "utf-16", "é", "XML-102"),
    ("utf-8-sig", "UTF-8", "iso-8859-1", "é", "XML-102"),
    ("utf-16", "UTF-8", None, "é", "XML-102"),
    ("utf-16", "UTF-16", "utf-8", "é", "XML-102"),
    ("utf-8", "ISO-8859-1", "utf-8", "e", "XML-102"),
    # not read
    ("iso-8859-1", "ISO-8859-1", None, "é", "XML-005"),
    ("iso-8859-1", "ISO-8859-1", "iso-8859-1", "é", "XML-005"),
    ("iso-8859-1", None, "iso-8859-1", "e", "XML-005"),
    ("utf-8", "ISO-8859-1", None, "e", "XML-005"),
    ("utf-8", "UTF-7", None, "e", "XML-005"),
    ("utf-8", "UTF-7", "utf-8", "e", "XML-005"),
    ("utf-8", None, "utf-7", "e", "XML-005"),
    ("utf-8", "x-nonsense", None, "e", "XML-005"),
    ("utf-8", None, "us-ascii", "é", "XML-005"),
    ("utf-32", "UTF-32", None, "e", "XML-005"),
    ("utf-32-le", None, None, "e", "XML-005"),
    ("utf-32-be", None, None, "e", "XML-005"),
    # readable in two ways
    ("utf-8", "ISO-8859-1", "utf-8", "é", "XML-006"),
    ("utf-8-sig", "windows-1252", None, "é", "XML-006"),
    ("utf-8", "UTF-8", "utf-16", "é", "XML-006"),
    ("utf-16-le", "UTF-16", "utf-8", "é", "XML-006"),
    ("utf-16-le", "UTF-16", "utf-16be", "é", "XML-006"),
    # broken
    ("iso-8859-1", None, None, "é", "XML-001"),
    ("iso-8859-1", "UTF-8", "utf-8", "é", "XML-001"),
    ("cp500", None, None, "e", "XML-001"),
]


@pytest.mark.parametrize(("codec", "declared", "header", "text", "rule"), CASES)
def test_charset(codec: str, declared: str | None, header: str | None, text: str, rule: str | None) -> None:
    data = message(declared, text).encode(codec)
    notes: list[ParseNote] = []
    if rule is None or rule.startswith("XML-1"):
        assert parse(data, charset=header, notes=notes).text == text
        assert [note.rule for note in notes] == ([rule] if rule else [])
    else:
        with pytest.raises(ParseError) as caught:
            parse(data, charset=header, notes=notes)
        assert caught.value.rule == rule


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_blank_lines_before_the_declaration_are_dropped_with_a_note(codec: str) -> None:
    notes: list[ParseNote] = []
    declared = "utf-16" if "16" in codec else "utf-8"
    assert parse(("\r\n \n" + message(declared)).encode(codec), notes=notes).text == "é"
    assert [note.rule for note in notes] == ["XML-101"]


def test_blank_lines_before_the_root_need_no_note() -> None:
    notes: list[ParseNote] = []
    assert parse(b"\n\n<a/>", notes=notes).tag == "a"
    assert notes == []


@pytest.mark.parametrize("data", [b"\xff\xfe<\0a\0/\0>", b"<\0a\0>\0\0\xd8<\0/\0a\0>\0"])
def test_broken_utf_16(data: bytes) -> None:
    with pytest.raises(ParseError) as caught:
        parse(data)
    assert caught.value.rule == "XML-005"


@pytest.mark.parametrize(
    "declaration",
    [b'<?xml version="1.0" encoding=UTF-8?>', b"<?xml ?>", b'<?xml encoding="utf-8"?>', b'<?xml version="1.0" '],
)
def test_malformed_declaration(declaration: bytes) -> None:
    with pytest.raises(ParseError) as caught:
        parse(declaration + b"<a/>")
    assert caught.value.rule == "XML-001"
