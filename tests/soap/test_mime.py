"""MIME grammar: content types, boundaries, part headers, transfer encodings; and a corpus of packages that must be refused."""

from __future__ import annotations

import base64
import io
import quopri
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soap.call import Note
from soap.fault import Fault
from soap.limits import Limits
from soap.mime import Base64Decoder, Scanner, check_boundary, decoder_for, parse_content_type, percent_decode, read_fields
from soap.wire import Wire
from tests.soap.messages import Recorder, Sent, mtom

WIRE = Wire()


@pytest.mark.parametrize(
    ("value", "media", "parameters"),
    [
        ("text/xml", "text/xml", {}),
        ("Text/XML ; Charset=UTF-8", "text/xml", {"charset": "UTF-8"}),
        ('a/b;c="d;e"', "a/b", {"c": "d;e"}),
        (r'a/b;c="d\"e\\f"', "a/b", {"c": 'd"e\\f'}),
        ("a/b; c=d;", "a/b", {"c": "d"}),
        ("a/b; c===d:e/f", "a/b", {"c": "==d:e/f"}),
        ('a/b; c=""', "a/b", {"c": ""}),
    ],
)
def test_content_type(value: str, media: str, parameters: dict[str, str]) -> None:
    assert parse_content_type(value, WIRE) == (media, parameters)


@pytest.mark.parametrize(
    "value", ["", "text", "/xml", "a/b; c", "a/b; c=d; C=e", 'a/b; c="d', "a/b c=d", 'a/b; c="d"e', "a/b" + "; x=y" * 2000]
)
def test_content_type_that_cannot_be_read_in_one_way(value: str) -> None:
    with pytest.raises(Fault) as caught:
        parse_content_type(value, WIRE)
    assert caught.value.rule == "WIRE-011-broken"


@given(st.text(max_size=200))
def test_any_content_type_is_read_or_refused(value: str) -> None:
    try:
        media, _ = parse_content_type(value, WIRE)
    except Fault as fault:
        assert fault.rule == "WIRE-011-broken"
    else:
        assert media.count("/") == 1 and media == media.lower()


@pytest.mark.parametrize("boundary", ["", " ", "ends ", "x" * 71, "a\r\nb", "é", 'a"b', "a;b", "a@b"])
def test_illegal_boundary(boundary: str) -> None:
    with pytest.raises(Fault) as caught:
        check_boundary(boundary, WIRE)
    assert caught.value.rule == "WIRE-013-illegal"


@pytest.mark.parametrize("boundary", ["x", "x" * 70, "a b", "'()+_,-./:=?", "--x"])
def test_legal_boundary(boundary: str) -> None:
    assert check_boundary(boundary, WIRE) == b"--" + boundary.encode()


@pytest.mark.parametrize(
    ("text", "decoded"), [("a%40b", "a@b"), ("a+b", "a+b"), ("%", "%"), ("%zz", "%zz"), ("%ff", "%ff"), ("%C3%A9", "é")]
)
def test_percent_decode(text: str, decoded: str) -> None:
    assert percent_decode(text) == decoded


def scanner(octets: bytes, size: int = 5) -> Scanner:
    stream = io.BytesIO(octets)
    return Scanner(lambda: stream.read(size), WIRE)


def test_part_header() -> None:
    octets = b"Content-Type: a/b;\r\n\tc=d\r\nX-Empty:\r\nCONTENT-ID:<x>\r\n\r\nrest"
    notes: list[Note] = []
    fields = read_fields(scanner(octets), True, WIRE, Limits(), notes)
    assert fields == {"content-type": "a/b; c=d", "x-empty": "", "content-id": "<x>"}


def decode(name: str, octets: bytes, size: int) -> bytes:
    out: list[bytes] = []
    decoder = decoder_for(name, lambda chunk: out.append(bytes(chunk)), WIRE, [])
    assert decoder is not None
    for start in range(0, len(octets), size):
        decoder.write(octets[start : start + size])
    decoder.close()
    return b"".join(out)


@given(content=st.binary(max_size=300), size=st.integers(1, 80))
def test_transfer_encodings(content: bytes, size: int) -> None:
    assert decode("Base64", base64.encodebytes(content), size) == content
    assert decode("quoted-printable", quopri.encodestring(content), size) == content


@given(octets=st.text("QUJD=+/ \r\n@", max_size=40).map(str.encode), size=st.integers(1, 9))
def test_base64_is_judged_the_same_in_any_pieces(octets: bytes, size: int) -> None:
    def attempt(pieces: Iterator[bytes]) -> bytes | None:
        out: list[bytes] = []
        decoder = Base64Decoder(lambda chunk: out.append(bytes(chunk)), WIRE)
        try:
            for piece in pieces:
                decoder.write(piece)
            decoder.close()
        except Fault:
            return None
        return b"".join(out)

    whole = attempt(iter([octets]))
    assert attempt(octets[start : start + size] for start in range(0, len(octets), size)) == whole
    stripped = bytes(c for c in octets if c not in b" \r\n")
    try:
        expected: bytes | None = base64.b64decode(stripped, validate=True)
    except ValueError:
        expected = None
    if b"=" not in stripped[:-2] and len(stripped) % 4 == 0:  # b64decode lets wrong padding at the end pass
        assert whole == expected


# --------------------------------------------------------------------------------- the corpus: refuse instead of guess

PART = b"Content-Type: text/plain\r\nContent-Transfer-Encoding: binary\r\nContent-ID: <doc@x>\r\n\r\n"
REFUSED: dict[str, Sent] = {
    "content type too long": mtom().typed("; start-info", "; x=" + "y" * 5000 + "; start-info"),
    "not related": mtom().typed("multipart/related", "multipart/mixed"),
    "form data": mtom().typed("multipart/related", "multipart/form-data"),
    "boundary with a line end": mtom().typed("MIMEBoundary_1", "a\r\nb"),
    "boundary of blanks": mtom().typed("MIMEBoundary_1", " "),
    "text after a boundary": mtom().swap(b"--MIMEBoundary_1\r\nContent-Type: text", b"--MIMEBoundary_1 x\r\nContent-Type: text"),
    "preamble without end": Sent("/xds/repository", mtom().content_type, b"x" * 20_000 + b"\r\n" + mtom().body),
    "many preamble lines": Sent("/xds/repository", mtom().content_type, b"x\r\n" * 20_000 + mtom().body),
    "header line without colon": mtom().swap(PART, b"Content-ID <doc@x>\r\n\r\n"),
    "header name with a blank": mtom().swap(PART, b"Content ID: <doc@x>\r\n\r\n"),
    "header folded before its first line": mtom().swap(PART, b" folded\r\n" + PART),
    "header NUL": mtom().swap(PART, b"Content-ID\x00: <doc@x>\r\n\r\n"),
    "header without end": Sent("/xds/repository", mtom().content_type, b"--MIMEBoundary_1\r\nContent-ID: <root@x>\r\n"),
    "no part": Sent("/xds/repository", mtom().content_type, b"--MIMEBoundary_1--"),
    "ten thousand parts": mtom().swap(b"--MIMEBoundary_1--", b"--MIMEBoundary_1\r\n\r\n\r\n" * 10_000 + b"--MIMEBoundary_1--"),
    "a megabyte of header": mtom().swap(PART, b"X: " + b"y" * 1_000_000 + b"\r\n" + PART),
    "a megabyte of epilogue": Sent("/xds/repository", mtom().content_type, mtom().body + b"z" * 1_000_000),
    "root is the document": mtom().typed("<root@x>", "<doc@x>"),
    "the root of another package": mtom().swap(b"<s:Envelope", b"--MIMEBoundary_1\r\n\r\n<s:Envelope"),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("strict", [False, True])
def test_refused(name: str, strict: bool, tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, Wire(strict=strict), Limits(memory=4))
    for chunk in (0, 4096):
        got = recorder.post(REFUSED[name], chunk)
        assert got.status in (400, 413, 415, 500), got.reason
        assert not recorder.calls
        assert not recorder.staged()
