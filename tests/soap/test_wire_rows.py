"""Every quirk of the wire, once: what is done about it by default and in the strict profile.

The expectations are typed from the standards and from what real clients send, not from `soap/wire.py`. A, N and R: accepted in
silence, accepted with a note, refused by a fault that carries the row's id. Rows that another floor meets stand in `ELSEWHERE`
with the test that meets them.
"""

# ruff: noqa: E501 - a case is read as a row

from __future__ import annotations

import base64
import gzip
import quopri
import zlib
from pathlib import Path

import pytest
from lxml import etree

from metadata.queries import read_query
from metadata.rules.rule import Refused
from metadata.vocabulary import Transaction
from soap.body.adhoc_query import parse_adhoc_query
from soap.wire import QUIRKS, Do, Seat, Wire
from tests.soap.messages import (
    DOCUMENT,
    ITI_18,
    ITI_41,
    ITI_43,
    MESSAGE_ID,
    QUERY,
    RETRIEVE,
    S11,
    S12,
    Recorder,
    Repeated,
    Sent,
    envelope,
    mtom,
    package,
    plain,
    provide,
)

A, N, R = "accept", "note", "refuse"
B64 = base64.b64encode(DOCUMENT)
SECURITY = (
    '<w:Security xmlns:w="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd" s:mustUnderstand="1">'
    "{}</w:Security>"
)
XOP_TOKEN = SECURITY.format(
    '<w:BinarySecurityToken><i:Include xmlns:i="http://www.w3.org/2004/08/xop/include" href="cid:doc@x"/></w:BinarySecurityToken>'
)
INCLUDE = b'<xop:Include xmlns:xop="http://www.w3.org/2004/08/xop/include" href="cid:doc@x"/>'
HREF = b'href="cid:doc@x"'
ACTION = b'<wsa:Action s:mustUnderstand="1">'
END = b"--MIMEBoundary_1--\r\n"
DOC_HEAD = b"Content-ID: <doc@x>\r\n\r\n"


def boundary(name: str, quotes: str = '"') -> Sent:
    return mtom().typed('"MIMEBoundary_1"', quotes + name + quotes).swap_all(b"MIMEBoundary_1", name.encode())


def second_part(head: bytes, content: bytes = b"more") -> Sent:
    return mtom().swap(END, b"--MIMEBoundary_1\r\n" + head + b"\r\n\r\n" + content + b"\r\n" + END)


def encoded(name: bytes, content: bytes) -> Sent:
    return mtom(document=content).swap(
        b"Content-Transfer-Encoding: binary\r\nContent-ID: <doc@x>", b"Content-Transfer-Encoding: " + name + b"\r\nContent-ID: <doc@x>"
    )


def compressed(data: bytes, coding: str = "gzip") -> Sent:
    return Sent("/xds/registry", plain().content_type, data).with_headers(HTTP_CONTENT_ENCODING=coding)


def soap11() -> Sent:
    return plain().swap_all(S12.encode(), S11.encode()).typed("application/soap+xml", "text/xml")


def lf(sent: Sent) -> Sent:
    """MIME lines of LF alone; the document keeps its bytes."""
    return sent.swap(DOCUMENT, b"@@").swap_all(b"\r\n", b"\n").swap(b"@@", DOCUMENT)


def utf16(sent: Sent, charset: str) -> Sent:
    return Sent(sent.path, sent.content_type.replace("UTF-8", charset), sent.body.decode().encode("utf-16"))


#: id, the request, default, strict, and what it shows.
CASES: list[tuple[str, Sent, str, str, str]] = [
    ("WIRE-002", mtom().with_headers(CONTENT_LENGTH=None, HTTP_TRANSFER_ENCODING="chunked"), A, A, "chunked"),
    ("WIRE-002-two", mtom().with_headers(HTTP_TRANSFER_ENCODING="chunked"), R, R, "length and chunked"),
    ("WIRE-002-two", plain().with_headers(CONTENT_LENGTH="12, 12"), R, R, "two lengths"),
    ("WIRE-002-two", plain().with_headers(CONTENT_LENGTH="+12"), R, R, "signed length"),
    ("WIRE-004", compressed(gzip.compress(plain().body)), A, R, "gzip"),
    ("WIRE-004", compressed(zlib.compress(plain().body), "deflate"), A, R, "deflate"),
    ("WIRE-004", compressed(zlib.compress(plain().body)[2:-4], "deflate"), A, R, "deflate without zlib header"),
    ("WIRE-004-coding", plain().with_headers(HTTP_CONTENT_ENCODING="br"), R, R, "brotli"),
    ("WIRE-004-coding", compressed(gzip.compress(gzip.compress(plain().body)), "gzip, gzip"), R, R, "two codings"),
    ("WIRE-004-bomb", compressed(gzip.compress(b" " * 50_000_000)), R, "WIRE-004", "50 MB of blanks"),
    ("WIRE-004-bomb", compressed(gzip.compress(plain().body) + b"more"), R, "WIRE-004", "octets behind the end"),
    ("WIRE-004-bomb", compressed(b"\x1f\x8bnot gzip"), R, "WIRE-004", "damaged"),
    ("WIRE-005", plain().with_headers(HTTP_ACCEPT_ENCODING="none"), A, A, "none"),
    ("WIRE-006", plain().with_headers(HTTP_ACCEPT="text/html,image/png"), A, A, "no SOAP type"),
    ("WIRE-007", mtom().swap_all(b"Content-ID", b"CONTENT-id"), A, A, "MIME names"),
    ("WIRE-008", plain().with_headers(HTTP_SOAPACTION='""'), A, A, "empty"),
    ("WIRE-008", plain().with_headers(HTTP_SOAPACTION=f'"{ITI_18}"'), A, A, "same value"),
    ("WIRE-009", plain().with_headers(HTTP_SOAPACTION='"urn:other"'), N, R, "SOAPAction"),
    ("WIRE-009", plain().typed(ITI_18, "urn:ihe:iti:2007:Other"), N, R, "action parameter"),
    ("WIRE-010", mtom().typed("multipart/related", "Multipart/Related"), A, A, "case"),
    ("WIRE-011", Sent("/xds/repository", 'multipart/related;charset=utf-8;start="<root@x>";type="application/xop+xml";'
                      'start-info="application/soap+xml";boundary="MIMEBoundary_1"', mtom().body), A, A, "order and charset"),
    ("WIRE-011-broken", mtom().typed("boundary=", "boundary=x; boundary="), R, R, "boundary twice"),
    ("WIRE-011-broken", mtom().typed("; type=", "; =x; type="), R, R, "no name"),
    ("WIRE-012", boundary("==a=b", ""), A, A, "unquoted with ="),
    ("WIRE-013", boundary("--uuid:1+/=="), A, A, "hyphens in front"),
    ("WIRE-013-illegal", boundary("x" * 71), R, R, "71 characters"),
    ("WIRE-013-illegal", mtom().typed("MIMEBoundary_1", "a;b<c>"), R, R, "characters"),
    ("WIRE-014", Sent("/xds/repository", "multipart/related; type=application/xop+xml",
                      b"MIME-Version: 1.0\r\nContent-Type: " + mtom().content_type.encode() + b"\r\n\r\n" + mtom().body), N, R, "preamble"),
    ("WIRE-014-nowhere", mtom().typed('boundary="MIMEBoundary_1"; ', ""), R, "WIRE-014-nowhere", "nowhere"),
    ("WIRE-015", mtom().typed("MIMEBoundary_1", "MIMEBoundary_2"), R, R, "another"),
    ("WIRE-016", mtom().typed('start-info="application/soap+xml"', f'start-info="application/soap+xml;action=\\"{ITI_41}\\""'), A, A, "start-info"),
    ("WIRE-017", mtom().typed('start-info="application/soap+xml"', 'start-info="text/xml"'), N, R, "start-info"),
    ("WIRE-017", mtom().swap(b'type="application/soap+xml"', b'type="text/xml"'), N, R, "part type"),
    ("WIRE-017", plain().typed("application/soap+xml", "text/xml"), N, R, "HTTP"),
    ("WIRE-018", mtom().typed('type="application/xop+xml"', 'type="text/xml"'), N, R, "text/xml"),
    ("WIRE-019", mtom().typed('type="application/xop+xml"; ', ""), N, R, "no type"),
    ("WIRE-019", mtom().typed('start="<root@x>"; ', ""), N, R, "no start"),
    ("WIRE-019", mtom().typed("<root@x>", "root@x"), N, R, "start without <>"),
    ("WIRE-019", mtom().typed("<root@x>", "<nothing@x>"), N, R, "start names no part"),
    ("WIRE-019-empty", Sent("/xds/repository", mtom().content_type, END), R, R, "no part"),
    ("WIRE-020", mtom().swap(b'application/xop+xml; charset=UTF-8; type="application/soap+xml"', b"application/soap+xml"), N, R, "soap+xml"),
    ("WIRE-020", mtom().swap(b'type="application/soap+xml"', b'type=""'), N, R, "empty"),
    ("WIRE-021", mtom().swap(b'charset=UTF-8; type="application/soap+xml"', b'charset=UTF-8;\r\n\ttype="application/soap+xml";'), A, A, "folded"),
    ("WIRE-022", plain().typed("application/soap+xml", "application/xop+xml"), R, R, "bare xop"),
    ("WIRE-022-type", plain().typed("application/soap+xml", "application/json"), R, R, "json"),
    ("WIRE-022-type", plain().with_headers(CONTENT_TYPE=None), R, R, "none"),
    ("WIRE-023", soap11(), R, R, "SOAP 1.1"),
    ("WIRE-023-other", plain().swap_all(S12.encode(), b"urn:soap:13"), R, R, "unknown version"),
    ("WIRE-023-other", Sent("/xds/registry", plain().content_type, QUERY.encode()), R, R, "no envelope"),
    ("WIRE-024", Sent("/xds/repository", mtom().content_type, b"\r\n\r\n" + mtom().body), A, A, "CRLF before"),
    ("WIRE-025", Sent("/xds/repository", mtom().content_type, b"for old readers\r\n" + mtom().body + b"the end"), A, A, "preamble, epilogue"),
    ("WIRE-025", mtom().swap(b"--MIMEBoundary_1\r\n", b"--MIMEBoundary_1 \t\r\n"), A, A, "padding"),
    ("WIRE-026", mtom().swap(END, END[:-2]), A, A, "no CRLF at the end"),
    ("WIRE-027", mtom().swap(END, b""), R, R, "no closing boundary"),
    ("WIRE-027", mtom().swap(END, b"--MIMEBoundary_1\r\n"), R, R, "not closed"),
    ("WIRE-048", Sent("/xds/registry", plain().content_type.replace("UTF-8", "utf-16le"), plain().body.decode().encode("utf-16-le")), A, A, "UTF-16 without BOM"),
    ("WIRE-027", mtom().with_headers(CONTENT_LENGTH=str(len(mtom().body) + 1)), R, R, "short of its length, package"),
    ("WIRE-027", plain().with_headers(CONTENT_LENGTH=str(len(plain().body) + 9)), R, R, "short of its length, plain"),
    ("WIRE-027", Sent("/xds/repository", mtom().content_type, b""), R, R, "empty"),
    ("WIRE-028", lf(mtom()), N, R, "LF alone"),
    ("WIRE-028-mixed", mtom().swap(b"binary\r\nContent-ID: <doc", b"binary\nContent-ID: <doc"), R, R, "header"),
    ("WIRE-028-mixed", mtom().swap(b"--MIMEBoundary_1\r\nContent-Type: text", b"--MIMEBoundary_1\nContent-Type: text"), R, R, "boundary"),
    ("WIRE-029", mtom(document=b"--MIMEBoundary\r\n--MIMEBoundary_12\r\n--\r\n-"), A, A, "near boundaries"),
    ("WIRE-030", mtom().swap(b"Content-Transfer-Encoding: binary\r\nContent-ID: <root@x>", b"Content-ID: <root@x>"), A, A, "no encoding"),
    ("WIRE-031", mtom().swap(b"<doc@x>", b"<http://tempuri.org/1*2>").swap(HREF, b'href="cid:http://tempuri.org/1*2"'), A, A, "URL"),
    ("WIRE-032", mtom().swap(HREF, b'href="cid:doc%40x"'), A, A, "%40 in href"),
    ("WIRE-033", mtom().swap(b"<doc@x>", b"<doc%40x>"), A, A, "%40 in Content-ID"),
    ("WIRE-034", mtom().swap(b"<doc@x>", b"<a+b@x>").swap(HREF, b'href="cid:a+b@x"'), A, A, "plus"),
    ("WIRE-034", mtom().swap(b"<doc@x>", b"<a+b@x>").swap(HREF, b'href="cid:a%2Bb@x"'), A, A, "encoded plus"),
    ("WIRE-035", mtom().swap(b"<doc@x>", b"<a b@x>").swap(HREF, b'href="cid:a b@x"'), N, R, "blank"),
    ("WIRE-035", mtom().swap(b"<doc@x>", "<é@x>".encode()).swap(HREF, b'href="cid:%C3%A9@x"'), N, R, "not ASCII"),
    ("WIRE-035-double", mtom().swap(DOC_HEAD, b"Content-ID: <doc@x>\r\nContent-ID: <other@x>\r\n\r\n"), R, R, "twice"),
    ("WIRE-035-double", mtom().swap(DOC_HEAD, b"no field\r\n" + DOC_HEAD), R, R, "no field"),
    *[("WIRE-036", mtom().swap(HREF, b'href="' + url + b'"'), R, R, url.decode())
      for url in (b"http://192.0.2.1/x", b"file:///etc/passwd", b"//host/x", b"doc@x", b"", b"data:,x", b"c%69d:doc@x")],
    ("WIRE-036-place", mtom(provide('text<xop:Include xmlns:xop="http://www.w3.org/2004/08/xop/include" href="cid:doc@x"/>')), R, R, "company"),
    ("WIRE-036-place", mtom(provide(2 * INCLUDE.decode())), R, R, "two"),
    ("WIRE-036-place", mtom().swap(b"<rim:RegistryObjectList xml", INCLUDE + b"<rim:RegistryObjectList xml"), R, R, "in metadata"),
    ("WIRE-036-place", mtom(provide().replace("xds:Document ", "Document ").replace("/xds:Document>", "/Document>")), R, R, "no namespace"),
    ("WIRE-036-place", mtom(more=f'<h:H xmlns:h="urn:h">{INCLUDE.decode()}</h:H>'), R, R, "in a header"),
    ("WIRE-037", encoded(b"base64", base64.encodebytes(DOCUMENT)), N, R, "base64"),
    ("WIRE-037", encoded(b"Quoted-Printable", quopri.encodestring(b"a=b \xff")), N, R, "quoted-printable"),
    ("WIRE-037", encoded(b"7bit", b"plain"), N, R, "7bit"),
    ("WIRE-037-bad", encoded(b"base64", b"@@@@"), R, "WIRE-037", "no base64"),
    ("WIRE-037-bad", encoded(b"base64", b"QUJD=RA="), R, "WIRE-037", "padding inside"),
    ("WIRE-037-bad", encoded(b"x-uuencode", b"x"), R, R, "unknown"),
    ("WIRE-038", mtom().swap(b"Content-Transfer-Encoding: binary\r\nContent-ID: <root", b"Content-Transfer-Encoding: 8bit\r\nContent-ID: <root"), A, A, "8bit"),
    ("WIRE-039", mtom().swap(DOC_HEAD, b'Content-Disposition: attachment; filename="../../etc/x"\r\n' + DOC_HEAD), A, A, "path-like"),
    ("WIRE-040", mtom().swap(b"Content-Type: text/plain", b"Content-Type: text/xml"), N, R, "text/xml"),
    ("WIRE-041", second_part(b"Content-ID: <more@x>"), N, R, "unreferenced"),
    ("WIRE-041-twice", mtom(provide().replace("</xds:Provide", provide()[provide().index("<xds:Document "):].replace("01", "02").split("</xds:Provide")[0] + "</xds:Provide")), A, R, "twice"),
    ("WIRE-041-missing", mtom().swap(HREF, b'href="cid:other@x"'), R, R, "missing"),
    ("WIRE-041-missing", mtom(document=None), R, R, "no part"),
    ("WIRE-041-double", second_part(b"Content-ID: <doc@x>"), R, R, "two parts"),
    ("WIRE-041-double", second_part(b"Content-ID: <doc%40x>"), R, R, "two parts, one encoded"),
    ("WIRE-041-double", second_part(b"Content-ID: <root@x>").swap(HREF, b'href="cid:root@x"'), R, R, "a part named like the root"),
    ("WIRE-041-missing", mtom().swap(HREF, b'href="cid:root@x"'), R, R, "the root itself"),
    ("WIRE-042", mtom(provide(B64.decode()), document=None), A, A, "inline in MTOM"),
    ("WIRE-043", plain(provide(B64.decode()), ITI_41, path="/xds/repository"), R, R, "plain ITI-41"),
    ("WIRE-043-retrieve", plain(RETRIEVE, ITI_43, path="/xds/repository"), A, R, "plain ITI-43"),
    ("WIRE-044", mtom(provide(B64.decode()), more=XOP_TOKEN), A, A, "certificate as part"),
    ("WIRE-045", mtom(provide(" ", attributes=' href="cid:doc@x"')), R, R, "href"),
    ("WIRE-046", mtom(provide(base64.encodebytes(DOCUMENT).decode()), document=None), A, A, "line breaks"),
    ("WIRE-046-raw", mtom(provide("<a/>"), document=None), R, R, "XML"),
    ("WIRE-046-raw", mtom(provide("déjà"), document=None), R, R, "text"),
    ("WIRE-046-raw", mtom(provide("QUI"), document=None), R, R, "cut"),
    ("WIRE-047", Sent("/xds/registry", plain().content_type, b"\xef\xbb\xbf" + plain().body), A, A, "BOM"),
    ("WIRE-048", utf16(plain(), "UTF-16"), A, A, "UTF-16"),
    ("WIRE-048-name", Sent("/xds/registry", plain().content_type, b'<?xml version="1.0" encoding="ISO-8859-1"?>' + plain().body), A, R, "prolog, ASCII only"),
    ("WIRE-048-name", Sent("/xds/registry", plain().content_type.replace("UTF-8", "ISO-8859-1"), b"\xef\xbb\xbf" + plain().body), A, R, "header against BOM"),
    ("WIRE-048-two", plain().typed("UTF-8", "UTF-16"), R, R, "header says UTF-16"),
    ("WIRE-048-two", plain().typed("UTF-8", "ISO-8859-1").swap(b"st3498702", "é".encode()), R, R, "contradiction"),
    ("WIRE-048-two", plain().typed("UTF-8", "utf-7").swap(b"st3498702", "é".encode()), R, R, "not read here"),
    ("WIRE-049", Sent("/xds/registry", plain().content_type, b"\r\n \n<?xml version='1.0'?>" + plain().body), N, R, "blank lines"),
    ("WIRE-050", Sent("/xds/registry", plain().content_type, b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + plain().body), R, R, "DOCTYPE"),
    ("WIRE-050", plain(more='<?php x?>'), R, R, "processing instruction"),
    ("WIRE-050", plain(more='<x:include xmlns:x="http://www.w3.org/2001/XInclude" href="file:///etc/passwd"/>'), R, R, "XInclude"),
    ("WIRE-051", Sent("/xds/registry", plain().content_type, b'<?xml version="1.0" standalone="yes"?>\n'
                      + plain().body.replace(b"<s:Body>", f'\n  <t:Body xmlns:t="{S12}">\n'.encode()).replace(b"</s:Body>", b"\n</t:Body>\n")), A, A, "two prefixes"),
    ("WIRE-052", plain(more='<wsu:Timestamp/>'), R, R, "wsu"),
    ("WIRE-053", plain().swap(ACTION + ITI_18.encode() + b"</wsa:Action>", b""), N, R, "no Action"),
    ("WIRE-053", Sent("/xds/registry", plain().content_type, f'<s:Envelope xmlns:s="{S12}"><s:Body>{QUERY}</s:Body></s:Envelope>'.encode()), N, R, "no Header"),
    ("WIRE-054", plain().swap(ACTION, ACTION + b"\n  "), N, R, "blanks"),
    ("WIRE-055", plain().swap(b'mustUnderstand="1"', b'mustUnderstand="true"'), A, A, "true"),
    ("WIRE-055", plain().swap(b'mustUnderstand="1"', b'mustUnderstand="True"'), A, A, "True"),
    ("WIRE-055-absent", plain().swap(b' s:mustUnderstand="1"', b""), N, R, "absent"),
    ("WIRE-056", plain().swap_all(b"http://www.w3.org/2005/08/addressing", b"http://schemas.xmlsoap.org/ws/2004/08/addressing"), R, R, "2004"),
    ("WIRE-057", plain().swap(MESSAGE_ID.encode(), b"uuid:not-a-urn"), A, A, "no urn"),
    ("WIRE-058", plain(more="<wsa:ReplyTo><wsa:Address>http://192.0.2.1/cb</wsa:Address></wsa:ReplyTo>"), R, R, "ReplyTo"),
    ("WIRE-058", plain(more="<wsa:FaultTo><wsa:Address>http://192.0.2.1/cb</wsa:Address></wsa:FaultTo>"), R, R, "FaultTo"),
    ("WIRE-059", plain(more=SECURITY.format("")), A, A, "Security"),
    ("WIRE-060", plain(more='<h:H xmlns:h="urn:h" s:mustUnderstand="1"/>'), R, R, "another header"),
    ("WIRE-065", mtom(body=None).on("/xds/iti41"), A, A, "own address"),
]  # fmt: skip

#: Rows that are met outside this package, and the test that meets them.
ELSEWHERE = {
    "WIRE-001": "test_wire_server.py::test_expect_continue",
    "WIRE-003": "test_wire_server.py::test_http_1_0",
    "WIRE-061": "test_wire_retrieve.py::test_prefix_of_an_identifier",
    "WIRE-062": "test_wire_rows.py::test_rows_of_the_signature_check",
    "WIRE-063": "test_wire_rows.py::test_rows_of_the_signature_check",
    "WIRE-064": "test_wire_rows.py::test_more_than_two_gigabytes",
    "WIRE-066": "test_wire_rows.py::test_query_parameter_given_twice",
}


def _ids(case: tuple[str, Sent, str, str, str]) -> str:
    return f"{case[0]} {case[4]}"


@pytest.mark.parametrize("case", CASES, ids=_ids)
@pytest.mark.parametrize("profile", ["default", "strict"])
def test_row(case: tuple[str, Sent, str, str, str], profile: str, tmp_path: Path) -> None:
    row, sent, default, strict, _ = case
    recorder = Recorder(tmp_path, Wire(strict=profile == "strict"))
    got = recorder.post(sent)
    expected = default if profile == "default" else strict
    if expected in (A, N):
        assert got.status == 200, got.reason
        assert recorder.calls
        assert (row in got.notes) == (expected == N)
        assert got.exchange.status is not None
    else:
        assert got.rule == (row if expected == R else expected), got.reason
        assert got.status >= 400
        assert not recorder.documents  # WIRE-040 is met by the handler, with the metadata in hand
        assert row == "WIRE-040" or not recorder.calls
        assert got.exchange.fault == got.rule
        assert got.exchange.status is None
    assert not recorder.staged()


@pytest.mark.parametrize("case", [c for c in CASES if c[2] in (A, N)], ids=_ids)
def test_row_byte_by_byte(case: tuple[str, Sent, str, str, str], recorder: Recorder) -> None:
    """A message that comes octet by octet says the same as one that comes whole."""
    whole = recorder.post(case[1])
    split = recorder.post(case[1], chunk=1)
    assert (split.status, split.notes) == (whole.status, whole.notes)
    assert recorder.documents[1::2] == recorder.documents[::2]


def test_every_row_has_a_test() -> None:
    assert {case[0] for case in CASES} | set(ELSEWHERE) == set(QUIRKS)
    here = Path(__file__).parent
    for place in ELSEWHERE.values():
        file, _, name = place.partition("::")
        assert f"def {name}(" in (here / file).read_text(encoding="utf-8"), place


def test_every_number_of_the_list_of_quirks_has_a_row() -> None:
    assert {row[5:8] for row in QUIRKS} == {f"{n:03d}" for n in range(1, 67)}


def test_a_strict_server_takes_what_is_right(strict: Recorder) -> None:
    for sent in (mtom(), plain(), package(envelope(RETRIEVE, ITI_43), None)):
        got = strict.post(sent)
        assert (got.status, got.notes) == (200, set()), got.reason
    assert strict.documents == [{"Document01": DOCUMENT}]


def test_the_document_is_the_octets_that_were_sent(recorder: Recorder) -> None:
    for sent in (mtom(), lf(mtom()), mtom(provide(B64.decode()), document=None), encoded(b"base64", base64.encodebytes(DOCUMENT))):
        assert recorder.post(sent).status == 200
    assert recorder.documents == [{"Document01": DOCUMENT}] * 4


@pytest.mark.parametrize("row", [row for row in QUIRKS.values() if not row.fixed], ids=lambda row: row.id)
def test_rows_that_the_settings_may_change(row: object) -> None:
    assert Wire(overrides={row.id: Do.NOTE}).action(row.id) is Do.NOTE  # type: ignore[attr-defined]
    assert Wire(strict=True, overrides={row.id: Do.NOTE}).action(row.id) is Do.NOTE  # type: ignore[attr-defined]


@pytest.mark.parametrize("row", [row for row in QUIRKS.values() if row.fixed], ids=lambda row: row.id)
def test_rows_that_nobody_may_change(row: object) -> None:
    with pytest.raises(ValueError, match="refused always"):
        Wire(overrides={row.id: Do.NOTE})  # type: ignore[attr-defined]


def test_an_unknown_row_is_named() -> None:
    with pytest.raises(ValueError, match="'WIRE-999' is no row"):
        Wire(overrides={"WIRE-999": Do.NOTE})


def test_fixed_rows_are_those_that_can_be_read_in_two_ways_or_make_us_fetch() -> None:
    assert {row.id for row in QUIRKS.values() if row.fixed} >= {
        "WIRE-002-two", "WIRE-011-broken", "WIRE-015", "WIRE-027", "WIRE-028-mixed", "WIRE-035-double", "WIRE-036", "WIRE-041-double",
        "WIRE-041-missing", "WIRE-048-two", "WIRE-050",
    }  # fmt: skip
    assert all(row.default is Do.REFUSE and row.strict is Do.REFUSE for row in QUIRKS.values() if row.fixed)


def test_rows_of_the_signature_check() -> None:
    """WIRE-062, WIRE-063: both refused; SHA-1 may be allowed by a setting, a changed assertion never."""
    assert {row.id for row in QUIRKS.values() if row.seat is Seat.SECURITY} == {"WIRE-062", "WIRE-063"}
    assert Wire().action("WIRE-062") is Do.REFUSE and not QUIRKS["WIRE-062"].fixed
    assert Wire().action("WIRE-063") is Do.REFUSE and QUIRKS["WIRE-063"].fixed


def test_query_parameter_given_twice() -> None:
    """WIRE-066: refused by the query table, the slot named."""
    slot = etree.fromstring(QUERY).find(".//{*}Slot")
    assert slot is not None
    query = etree.fromstring(QUERY)
    query.find(".//{*}Slot").addnext(slot)
    request = parse_adhoc_query(query)
    with pytest.raises(Refused, match=r"\$XDSDocumentEntryPatientId"):
        read_query(request.id, request.slots, Transaction.ITI_18, return_type="ObjectRef")


def test_more_than_two_gigabytes(tmp_path: Path, long: bool) -> None:
    """WIRE-064: a length over 2 GiB is read to its end; the quick run announces it and breaks off."""
    sent = mtom(document=b"@@")
    head, tail = sent.body.split(b"@@")
    block = bytes(1024 * 1024)
    times = 2049 if long else 3
    source = Repeated(head, block, times, tail)
    recorder = Recorder(tmp_path)
    announced = source.length if long else 3 * 1024**3
    got = recorder.post(sent.with_headers(CONTENT_LENGTH=str(announced)), source=source)
    if long:
        assert got.status == 200
        assert recorder.calls[0].parts["doc@x"].size == times * len(block)
    else:
        assert (got.status, got.rule) == (400, "WIRE-027")
        assert f"Content-Length is {announced}" in got.reason
    assert not recorder.staged()
