"""Examples of the wire, of queries and of CDA headers: each wrong one, put into a right file, has the lint find its rule."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from lxml import etree

from conformance.check import check_octets
from conformance.explanations.catalogue import explanations
from server.__main__ import program
from tests.conformance import files
from tests.conformance.placing import fragment

BOOK = explanations()
ACTION_41 = "urn:ihe:iti:2007:ProvideAndRegisterDocumentSet-b"
QUERY = "urn:ihe:iti:2007:RegistryStoredQuery"
#: What the tests below judge.
JUDGED_FILES = frozenset(
    """WIRE-011-broken WIRE-013-illegal WIRE-015 WIRE-017 WIRE-018 WIRE-019 WIRE-022 WIRE-022-type WIRE-004-coding WIRE-004
    WIRE-009 WIRE-043 WIRE-002-two HTTP-001 WIRE-020 WIRE-035 WIRE-035-double WIRE-037 WIRE-040 WIRE-054 WIRE-055-absent
    WSA-ACTION WIRE-058 WIRE-060 WIRE-036 WIRE-036-place WIRE-041-missing WIRE-045 WIRE-046-raw WIRE-023 WIRE-023-other
    WIRE-050 XML-003 WIRE-053 SOAP-ENVELOPE SQ-SYNTAX SQ-VALUE SQ-MISSING SQ-RETURN-TYPE SQ-UNKNOWN-QUERY WIRE-061 XML-001
    XSD-001 RM-001 RM-002 RM-003 REP-001 REP-002 ANS-001 ANS-002 ANS-003 CDA-001 CDA-004 CDA-005 CDA-006 CDA-007 CDA-008
    CDA-010 CDA-011""".split()
)
_ACTION = re.compile(r"<wsa:Action.*?</wsa:Action>", re.DOTALL)
_DOCUMENT = re.compile(r"<xds:Document .*?</xds:Document>", re.DOTALL)


def rules(data: bytes) -> set[str]:
    return {one.rule for one in check_octets(data).found}


def judged(id: str, wrong: bytes, right: bytes) -> None:
    assert id in rules(wrong), rules(wrong)
    assert id not in rules(right)


def typed(example: str) -> bytes:
    """A request under the Content-Type of the example; its package has the boundary of the example's body, else of its header."""
    header = example.splitlines()[0].removeprefix("Content-Type: ")
    named = re.search(r'boundary="?([^";]+)', header)
    in_body = re.search(r"^--(\w+)$", example, re.MULTILINE)
    boundary = in_body[1] if in_body else named[1] if named else "b"
    return files.request(files.package(files.envelope(files.provide()), boundary=boundary), header)


@pytest.mark.parametrize(
    "id", ["WIRE-011-broken", "WIRE-013-illegal", "WIRE-015", "WIRE-017", "WIRE-018", "WIRE-019", "WIRE-022"]
)
def test_a_content_type(id: str) -> None:
    judged(id, typed(BOOK[id].wrong), typed(BOOK[id].right))


def test_a_content_type_of_plain_soap() -> None:
    body = files.envelope(files.query(), QUERY).encode()
    for id in ("WIRE-022-type", "WIRE-004-coding", "WIRE-004"):
        plain = files.request(body, "application/soap+xml", "/xds/registry")
        stated = b"Content-Type: application/soap+xml"
        lines = [example.encode() for example in (BOOK[id].wrong, BOOK[id].right)]
        headers = [line if line.startswith(b"Content-Type") else stated + b"\r\n" + line for line in lines]
        wrong, right = (plain.replace(stated, header) for header in headers)
        judged(id, wrong, right)
    wrong, right = (
        files.request(
            _ACTION.sub(lines[1], files.envelope(files.query(), QUERY)).encode(), lines[0].removeprefix("Content-Type: ")
        )
        for lines in (BOOK["WIRE-009"].wrong.splitlines(), BOOK["WIRE-009"].right.splitlines())
    )
    judged("WIRE-009", wrong, right)
    bare = files.request(files.envelope(files.provide()).encode(), BOOK["WIRE-043"].wrong.removeprefix("Content-Type: "))
    judged("WIRE-043", bare, typed(BOOK["WIRE-043"].right))
    twice = files.iti18().replace(re.search(rb"Content-Length: \d+", files.iti18())[0], BOOK["WIRE-002-two"].wrong.encode())  # type: ignore[index]
    judged("WIRE-002-two", twice, files.iti18())
    for line, wanted in ((BOOK["HTTP-001"].wrong, True), (BOOK["HTTP-001"].right, False)):
        data = files.iti18().replace(b"POST /xds/registry HTTP/1.1", line.encode())
        assert ("HTTP-001" in rules(data)) == wanted


@pytest.mark.parametrize("id", ["WIRE-020", "WIRE-035", "WIRE-035-double", "WIRE-037", "WIRE-040"])
def test_a_header_of_a_part(id: str) -> None:
    package = files.package(files.envelope(files.provide()), media="text/xml" if id == "WIRE-040" else "application/pdf")
    for example, wanted in ((BOOK[id].wrong, True), (BOOK[id].right, False)):
        line = example.splitlines()[-1] if example.startswith("--") else example
        name = line.partition(":")[0].encode()
        at = package.rindex(name) if id != "WIRE-020" else package.index(name)
        body = package[:at] + line.replace("\n", "\r\n").encode() + package[package.index(b"\r\n", at) :]
        if id == "WIRE-040":
            body = body.replace(b'mimeType="application/pdf"', b'mimeType="text/xml"')
        assert (id in rules(files.request(body))) == wanted, example


@pytest.mark.parametrize("id", ["WIRE-054", "WIRE-055-absent", "WSA-ACTION"])
def test_an_action(id: str) -> None:
    action, body = (ACTION_41, files.provide()) if id == "WSA-ACTION" else (QUERY, files.query())
    wrong, right = (_ACTION.sub(lambda _, text=text: text, files.envelope(body, action)).encode()
                    for text in (BOOK[id].wrong, BOOK[id].right))  # fmt: skip
    judged(id, wrong, right)


@pytest.mark.parametrize("id", ["WIRE-058", "WIRE-060"])
def test_another_header(id: str) -> None:
    wrong, right = (files.envelope(files.query(), QUERY, text).encode() for text in (BOOK[id].wrong, BOOK[id].right))
    judged(id, wrong, right)


@pytest.mark.parametrize("id", ["WIRE-036", "WIRE-036-place", "WIRE-041-missing", "WIRE-045", "WIRE-046-raw"])
def test_the_content_of_a_document(id: str) -> None:
    def data(example: str) -> bytes:
        text = example.replace("<", "&lt;").replace(">", "&gt;") if id == "" else example
        text = text if text.startswith("<xds:Document") else f'<xds:Document id="doc">{text}</xds:Document>'
        text = text.replace("cid:<doc1@example.org>", "cid:&lt;doc1@example.org&gt;")
        if "xmlns:xop" not in text:
            text = text.replace("<xop:Include", '<xop:Include xmlns:xop="http://www.w3.org/2004/08/xop/include"')
        root = files.envelope(_DOCUMENT.sub(lambda _: text, files.provide()))
        return files.request(files.package(root).replace(b"<doc@example.org>", b"<doc1@example.org>"))

    judged(id, data(BOOK[id].wrong), data(BOOK[id].right))


@pytest.mark.parametrize("id", ["WIRE-023", "WIRE-023-other", "WIRE-050", "XML-003"])
def test_an_envelope(id: str) -> None:
    def data(example: str) -> bytes:
        start = example.splitlines()[-1]
        prefix = re.match(r"<(?:(\w+):)?Envelope", start)
        assert prefix
        text = files.envelope(files.query(), QUERY)
        text = text.partition(">")[2].replace("s:", f"{prefix[1]}:" if prefix[1] else "")
        start = start.replace(">", ' xmlns:wsa="http://www.w3.org/2005/08/addressing">')
        return ("\n".join([*example.splitlines()[:-1], start]) + text).encode()

    wanted = "WIRE-050" if id == "XML-003" else id  # in a message the row of the wire answers
    assert wanted in rules(data(BOOK[id].wrong))
    assert wanted not in rules(data(BOOK[id].right))


def test_an_envelope_without_action() -> None:
    wrong, right = (text.replace("...", files.query()).encode() for text in (BOOK["WIRE-053"].wrong, BOOK["WIRE-053"].right))
    judged("WIRE-053", wrong, right)
    empty = (
        files.envelope(files.query(), QUERY)
        .replace(files.query(), "")
        .replace("<s:Body>\n\n</s:Body>", BOOK["SOAP-ENVELOPE"].wrong)
    )
    judged("SOAP-ENVELOPE", empty.encode(), files.envelope(files.query(), QUERY).encode())


@pytest.mark.parametrize("id", ["SQ-SYNTAX", "SQ-VALUE", "SQ-MISSING", "SQ-RETURN-TYPE", "SQ-UNKNOWN-QUERY"])
def test_a_query(id: str) -> None:
    def data(example: str) -> bytes:
        text = files.query()
        tag = re.match(r"<([\w:]+)", example)
        assert tag
        if tag[1] == "rim:Slot":
            name = re.search(r'name="([^"]+)"', example)
            assert name
            text = re.sub(rf'<rim:Slot name="{re.escape(name[1])}">.*?</rim:Slot>', "", text, flags=re.DOTALL)
            text = text.replace("</rim:AdhocQuery>", example + "</rim:AdhocQuery>")
        else:
            text = re.sub(rf"<{tag[1]}[^>]*>", lambda _: example, text)
        return files.envelope(text, QUERY).encode()

    judged(id, data(BOOK[id].wrong), data(BOOK[id].right))


def test_identifiers_and_schema() -> None:
    retrieve = (
        '<xds:RetrieveDocumentSetRequest xmlns:xds="urn:ihe:iti:xds-b:2007"><xds:DocumentRequest>{}'
        "<xds:DocumentUniqueId>1.2</xds:DocumentUniqueId></xds:DocumentRequest></xds:RetrieveDocumentSetRequest>"
    )
    wrong, right = (retrieve.format(text).encode() for text in (BOOK["WIRE-061"].wrong, BOOK["WIRE-061"].right))
    judged("WIRE-061", wrong, right)
    ampersand = files.provide().replace("<rim:Value>77^^^&amp;1.2.250.1.99&amp;ISO</rim:Value>", BOOK["XML-001"].wrong)
    judged("XML-001", ampersand.encode(), files.provide().encode())
    entry = BOOK["XSD-001"]
    for example, wanted in ((entry.wrong, True), (entry.right, False)):
        text = files.provide().replace(files.entry(), example)
        assert ("XSD-001" in rules(text.encode())) == wanted


@pytest.mark.parametrize("id", ["RM-001", "RM-002", "RM-003"])
def test_a_removal(id: str) -> None:
    wrong, right = (etree.tostring(fragment(text)[0]) for text in (BOOK[id].wrong, BOOK[id].right))
    judged(id, wrong, right)


@pytest.mark.parametrize("id", ["REP-001", "REP-002"])
def test_a_document_and_its_entry(id: str) -> None:
    def data(example: str) -> bytes:
        text = example.replace("cid:1@", "cid:doc@").replace(
            "<xop:Include", '<xop:Include xmlns:xop="http://www.w3.org/2004/08/xop/include"'
        )
        return files.request(files.package(files.envelope(_DOCUMENT.sub(lambda _: text, files.provide()))))

    judged(id, data(BOOK[id].wrong), data(BOOK[id].right))


@pytest.mark.parametrize("id", ["ANS-001", "ANS-002", "ANS-003"])
def test_an_answer(id: str) -> None:
    def data(example: str) -> bytes:
        success = "urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Success"
        body = f'<rs:RegistryResponse xmlns:rs="urn:oasis:names:tc:ebxml-regrep:xsd:rs:3.0" status="{success}"/>'
        if id == "ANS-001":
            failure = body.replace("Success", "Failure")[:-2]
            body = f"{failure}><rs:RegistryErrorList>{example}</rs:RegistryErrorList></rs:RegistryResponse>"
        elif id == "ANS-002":
            body = example.replace(
                "<rs:RegistryResponse", '<rs:RegistryResponse xmlns:rs="urn:oasis:names:tc:ebxml-regrep:xsd:rs:3.0"'
            )
        text = files.envelope(body, QUERY + "Response")
        if id == "ANS-003":
            text = re.sub(r"<s:Header>.*?</s:Header>", lambda _: example, text, flags=re.DOTALL)
        return text.encode()

    judged(id, data(BOOK[id].wrong), data(BOOK[id].right))


@pytest.fixture(scope="module")
def cda(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder: Path = tmp_path_factory.mktemp("explained") / "set"
    result = CliRunner().invoke(program, ["sample", str(folder), "--patients", "1", "--documents", "10"])
    assert result.exit_code == 0, result.output
    return next(folder.rglob("consultation-2.xml")).read_text("utf-8")


@pytest.mark.parametrize("id", ["CDA-004", "CDA-006", "CDA-007", "CDA-008", "CDA-011"])
def test_the_header_of_a_document(id: str, cda: str) -> None:
    """The wrong element takes the place of the document's own, which is right."""
    wrong = BOOK[id].wrong
    tag = re.match(r"<(\w+)", wrong)
    assert tag
    bent, count = re.subn(rf"<{tag[1]} [^>]*/>", lambda _: wrong, cda, count=1)
    assert count == 1
    judged(id, bent.encode(), cda.encode())


def test_a_null_flavor_and_a_body(cda: str) -> None:
    judged("CDA-005", cda.replace('<telecom nullFlavor="NASK"/>', BOOK["CDA-005"].wrong, 1).encode(),
           cda.replace('<telecom nullFlavor="NASK"/>', BOOK["CDA-005"].right, 1).encode())  # fmt: skip
    body = re.sub(r"<structuredBody>.*</structuredBody>", lambda _: BOOK["CDA-010"].wrong, cda, flags=re.DOTALL)
    right = re.sub(r"<structuredBody>.*</structuredBody>", lambda _: BOOK["CDA-010"].right, cda, flags=re.DOTALL)
    judged("CDA-010", body.encode(), right.encode())
    judged(
        "CDA-001",
        re.sub(r"<ClinicalDocument [^>]*>", lambda _: BOOK["CDA-001"].wrong, cda).replace("xsi:", "").encode(),
        cda.encode(),
    )
