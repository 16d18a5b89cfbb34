"""Lint of a file: right files of each kind have no finding, broken ones exactly those, at exactly that line and column."""

# ruff: noqa: E501 - a case is read as a row

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from conformance.check import CheckOptions, check_octets
from conformance.check_result import Checked, Found, Level
from conformance.explanations.catalogue import explanations
from metadata.vocabulary import Transaction
from server.__main__ import program
from tests.conformance import files
from tests.conformance.files import at
from tests.soap.messages import Recorder, mtom, plain

RIGHT = files.iti41()
QUERY = files.iti18()


def rules(checked: Checked, *levels: Level) -> list[str]:
    return [one.rule for one in checked.found if not levels or one.level in levels]


def only(data: bytes, rule: str) -> Found:
    checked = check_octets(data)
    assert rules(checked) == [rule], [(one.rule, one.message, one.line) for one in checked.found]
    return checked.found[0]


def bent(old: str, new: str, data: bytes = RIGHT, count: int = 1) -> bytes:
    """The file with something else in one place, its Content-Length in step."""
    assert old.encode() in data
    head, _, body = data.partition(b"\r\n\r\n")
    if old.encode() in body:
        body = body.replace(old.encode(), new.encode(), count)
        head = re.sub(rb"Content-Length: \d+", b"Content-Length: %d" % len(body), head)
        return head + b"\r\n\r\n" + body
    return data.replace(old.encode(), new.encode(), count)


# ------------------------------------------------------------------------------------------------------------- right files


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (RIGHT, "http-request"), (QUERY, "http-request"), (files.package(files.envelope(files.provide())), "mime"),
        (f"MIME-Version: 1.0\r\nContent-Type: {files.MTOM}\r\n\r\n".encode() + files.package(files.envelope(files.provide())), "mime"),
        (files.envelope(files.provide()).encode(), "envelope"), (files.provide().encode(), "body"),
        (files.query().encode(), "body"),
    ],
)  # fmt: skip
def test_a_right_file_has_no_finding(data: bytes, kind: str) -> None:
    checked = check_octets(data)
    assert (checked.kind, checked.readable) == (kind, True)
    assert [(one.rule, one.message) for one in checked.found] == []


def test_a_right_fragment_has_no_finding() -> None:
    namespace = ' xmlns:rim="urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0"'
    fragment = files.entry().replace("<rim:ExtrinsicObject", f"<rim:ExtrinsicObject{namespace}", 1)
    checked = check_octets(fragment.encode())
    assert (checked.kind, checked.found) == ("fragment", [])
    objects = files.submission().partition("<rim:RegistryObjectList>")[2].partition("</rim:RegistryObjectList>")[0]
    checked = check_octets(f"<rim:RegistryObjectList{namespace}>{objects}</rim:RegistryObjectList>".encode())
    assert (checked.kind, checked.found) == ("fragment", [])


# ----------------------------------------------------------------------------------------------------------- one thing wrong

Case = tuple[str, str, str, str | Callable[[bytes], tuple[int, int]]]

#: Rule, what is replaced, by what, where the finding stands (the text at which it begins).
METADATA: tuple[Case, ...] = (
    ("DE-406", "20240131101500<", "2024-01-31<", "<rim:Value>2024-01-31<"),
    ("DE-415", 'mimeType="application/pdf"', 'mimeType="application/pdf; a=b"', 'mimeType="application/pdf; a'),
    ("OBJ-008", 'name="languageCode"', 'name="LanguageCode"', '<rim:Slot name="LanguageCode"'),
    ("OBJ-014", "41a5887f-8865-4c09-adf7-e362475b143a", "41a5887f-8865-4c09-adf7-e362475b143b", '<rim:Classification id="class"'),
    ("AS-001", "regrep:AssociationType:HasMember", "regrep:AssociationType:Contains", "associationType="),
    ("AS-008", '<rim:Slot name="SubmissionSetStatus"><rim:ValueList><rim:Value>Original</rim:Value></rim:ValueList></rim:Slot>', "",
     '<rim:Association id="ss-doc"'),
    ("OBJ-011", 'classifiedObject="doc" nodeRepresentation="GP"', 'classifiedObject="dok" nodeRepresentation="GP"',
     '<rim:Classification id="practice"'),
    ("SS-409", 'value="1.2.250.1.213"', 'value="urn:oid:1.2.250.1.213"', 'value="urn:oid:1.2.250.1.213"'),
    ("ADV-002", "2.16.840.1.113883.5.25", "1.2.3", '<rim:Classification id="confidentiality"'),
    ("REP-003", 'name="hash"><rim:ValueList><rim:Value>', 'name="hash"><rim:ValueList><rim:Value>0', ""),
)  # fmt: skip


@pytest.mark.parametrize("case", METADATA, ids=lambda case: case[0])
def test_a_finding_of_the_metadata_stands_at_its_attribute(case: Case) -> None:
    rule, old, new, place = case
    data = bent(old, new)
    checked = check_octets(data)
    found = next(one for one in checked.found if one.rule == rule or not place)
    if place:
        assert isinstance(place, str)
        assert (found.line, found.column) == at(data, place), found
    assert found.level is (Level.ADVICE if rule.startswith("ADV") else Level.WARNING if rule == "OBJ-014" else Level.ERROR)


def test_columns_are_right_in_a_message_of_one_line() -> None:
    flat = re.sub(r"\n\s*", " ", files.envelope(files.provide())).replace("20240131101500", "2024-01-31", 1)
    data = files.request(files.package(flat))
    assert (found := only(data, "DE-406")) and (found.line, found.column) == at(data, "<rim:Value>2024-01-31")


def test_accents_before_it_count_as_one_column() -> None:
    flat = re.sub(r"\n\s*", " ", files.envelope(files.provide())).replace('targetObject="doc"', 'targetObject="dok"', 1)
    data = files.request(files.package(flat))
    found = next(one for one in check_octets(data).found if one.rule == "AS-004")
    assert (found.line, found.column) == at(data, 'targetObject="dok"')
    assert "é".encode() in data[: data.index(b'targetObject="dok"')]


WIRE: tuple[Case, ...] = (
    ("WIRE-009", "start-info=", 'action="urn:ihe:iti:2007:RegistryStoredQuery"; start-info=', "<wsa:Action"),
    ("WIRE-014-nowhere", ' boundary="MIME_a1";', "", "Content-Type: multipart"),
    ("WIRE-017", 'start-info="application/soap+xml"', 'start-info="text/xml"', "Content-Type: multipart"),
    ("WIRE-018", 'type="application/xop+xml"', 'type="text/xml"', "Content-Type: multipart"),
    ("WIRE-019", 'start="<root@example.org>"', 'start="root@example.org"', "Content-Type: multipart"),
    ("WIRE-020", "Content-Type: application/xop+xml; charset", "Content-Type: text/xml; charset", "Content-Type: text/xml"),
    ("WIRE-035", "<doc@example.org>", "<doc été@example.org>", "Content-ID: <doc"),
    ("WIRE-037", "binary\r\nContent-ID: <doc", "7bit\r\nContent-ID: <doc", "Content-Transfer-Encoding: 7bit"),
    ("WIRE-041-missing", "href=\"cid:doc@", "href=\"cid:dok@", "href="),
    ("WIRE-036", "href=\"cid:doc@example.org\"", "href=\"http://example.org/\"", "href="),
    ("WIRE-045", "<xds:Document id=\"doc\">", "<xds:Document id=\"doc\" href=\"cid:doc@example.org\">", "href=\"cid:doc@example.org\"><xop"),
    ("WIRE-052", "<rim:Slot name=\"size\">", "<rim:Slot wsu:Id=\"a\" name=\"size\">", ""),
    ("WIRE-053", "<wsa:Action s:mustUnderstand=\"1\">urn:ihe:iti:2007:ProvideAndRegisterDocumentSet-b</wsa:Action>", "", "<s:Header>"),
    ("WIRE-054", ">urn:ihe:iti:2007:Prov", "> urn:ihe:iti:2007:Prov", "<wsa:Action"),
    ("WIRE-055-absent", " s:mustUnderstand=\"1\"", "", "<wsa:Action"),
    ("WIRE-056", "</s:Header>", "<a:To xmlns:a=\"http://schemas.xmlsoap.org/ws/2004/08/addressing\">x</a:To></s:Header>", "<a:To"),
    ("WIRE-058", "</s:Header>", "<wsa:ReplyTo><wsa:Address>http://x</wsa:Address></wsa:ReplyTo></s:Header>", "<wsa:ReplyTo>"),
    ("WIRE-060", "</s:Header>", "<t:T xmlns:t=\"urn:t\" s:mustUnderstand=\"1\"/></s:Header>", "<t:T"),
    ("WSA-ACTION", "DocumentSet-b</wsa", "DocumentSet</wsa", "<wsa:Action"),
    ("WIRE-022-type", "multipart/related", "text/plain", "Content-Type: text/plain"),
    ("XML-001", "</rim:Name>", "</rim:Nome>", ""),
)  # fmt: skip


@pytest.mark.parametrize("case", WIRE, ids=lambda case: case[0])
def test_a_quirk_of_the_wire_stands_where_it_was_sent(case: Case) -> None:
    rule, old, new, place = case
    data = bent(old, new)
    found = [one for one in check_octets(data).found if one.rule == rule]
    assert found, rules(check_octets(data))
    if isinstance(place, str) and place:
        assert (found[0].line, found[0].column) == at(data, place), found[0]
    tolerated = "WIRE-009 WIRE-017 WIRE-018 WIRE-019 WIRE-020 WIRE-035 WIRE-037 WIRE-053 WIRE-054 WIRE-055-absent".split()
    assert found[0].level is (Level.TOLERATED if rule in tolerated else Level.ERROR)


def test_soap_1_1_is_one_finding_and_the_rest_is_judged() -> None:
    old, new = "http://www.w3.org/2003/05/soap-envelope", "http://schemas.xmlsoap.org/soap/envelope/"
    data = bent("LeafClass", "Leaf", bent(old, new, QUERY)).replace(b"application/soap+xml", b"text/xml")
    checked = check_octets(data)
    assert rules(checked) == ["WIRE-023", "XSD-001", "SQ-RETURN-TYPE"]
    assert (checked.found[0].line, checked.found[0].column) == at(data, "<s:Envelope")


def test_the_right_namespace_and_the_right_action_are_named() -> None:
    data = bent("ebxml-regrep:xsd:rim:3.0", "ebxml-regrep:rim:xsd:3.0")
    found = next(one for one in check_octets(data).found if one.rule == "XSD-001")
    assert (found.line, found.column) == at(data, "<rim:RegistryObjectList>")
    assert "ebxml-regrep:rim:xsd:3.0" in found.message and "urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0" in found.remedy
    assert only(bent("DocumentSet-b</wsa", "DocumentSet</wsa"), "WSA-ACTION").remedy == (
        "Write urn:ihe:iti:2007:ProvideAndRegisterDocumentSet-b."
    )


def test_plain_soap_is_refused_for_iti_41_at_its_content_type() -> None:
    body = files.envelope(files.provide()).replace(
        '<xop:Include xmlns:xop="http://www.w3.org/2004/08/xop/include" href="cid:doc@example.org"/>', "JVBERi0xLjQ="
    )
    data = files.request(body.encode(), "application/soap+xml")
    checked = check_octets(data)
    assert "WIRE-043" in rules(checked) and {"REP-003", "REP-004"} <= set(rules(checked))
    found = next(one for one in checked.found if one.rule == "WIRE-043")
    assert (found.line, found.column) == at(data, "Content-Type")


# ------------------------------------------------------------------------------------------------------- never only the first


def test_every_level_is_judged_although_each_is_broken() -> None:
    """One file with a mistake in HTTP, MIME, envelope, addressing, schema, rules and documents: each has its finding."""
    data = RIGHT
    for old, new in (
        ("start-info=\"application/soap+xml\"", "start-info=\"text/xml\""), ("type=\"application/xop+xml\"; start", "start"),
        ("Content-Transfer-Encoding: binary\r\nContent-ID: <doc", "Content-Transfer-Encoding: 7bit\r\nContent-ID: <doc"),
        (" s:mustUnderstand=\"1\"", ""), ("<rim:Name><rim:LocalizedString value=\"Compte", "<rim:Nom/><rim:Name><rim:LocalizedString value=\"Compte"),
        ("20240131101500<", "2024-01-31<"), ("value=\"1.2.250.1.213.1\"", "value=\"x\""), ("Original", "original"),
    ):  # fmt: skip
        data = bent(old, new, data)
    data = data.replace(b"%PDF-1.4", b"%PDF-1.5")
    wanted = {"WIRE-017", "WIRE-019", "WIRE-037", "WIRE-055-absent", "XSD-001", "DE-406", "SS-412", "AS-009", "REP-003"}
    assert wanted <= set(rules(check_octets(data)))


def test_a_package_that_cannot_be_taken_apart_does_not_hide_the_envelope() -> None:
    data = bent("20240131101500<", "2024-01-31<").replace(b'boundary="MIME_a1"', b'boundary="other"')
    found = rules(check_octets(data))
    assert "WIRE-015" in found and "DE-406" in found


def test_broken_xml_does_not_hide_what_follows() -> None:
    data = bent('value="Compte rendu été"/>', 'value="A & B"/>', bent("Original", "original"))
    checked = check_octets(data)
    assert {"XML-001", "AS-009"} <= set(rules(checked))
    broken = next(one for one in checked.found if one.rule == "XML-001")
    assert broken.line == at(data, 'value="A & B"')[0]


def test_every_wrong_document_has_its_finding() -> None:
    body = files.provide().replace("</xds:ProvideAndRegisterDocumentSetRequest>", "".join(
        f'<xds:Document id="{name}">{content}</xds:Document>\n' for name, content in (("a", "<b/>"), ("b", "no base64!"), ("doc", ""))
    ) + "</xds:ProvideAndRegisterDocumentSetRequest>")  # fmt: skip
    found = check_octets(files.request(files.package(files.envelope(body)))).found
    assert [one.rule for one in found].count("WIRE-046-raw") == 2
    assert "STORE-010" in {one.rule for one in found}


def test_a_cut_upload_says_where_it_ends() -> None:
    data = RIGHT[:-30]
    found = [one for one in check_octets(data).found if one.rule == "WIRE-027"]
    assert len(found) == 1 and (found[0].line, found[0].column) == at(data + b"\0", b"\0")


def test_chunks_and_packing_are_undone() -> None:
    body = files.package(files.envelope(files.provide()).replace("20240131101500", "2024-01-31", 1))
    chunks = (
        b"".join(b"%x\r\n%s\r\n" % (len(body[n : n + 1000]), body[n : n + 1000]) for n in range(0, len(body), 1000))
        + b"0\r\n\r\n"
    )
    head = f"POST /xds/repository HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Type: {files.MTOM}\r\n\r\n".encode()
    found = only(head + chunks, "DE-406")
    assert (found.line, found.column) == at(head + chunks, "<rim:Value>2024-01-31")
    plain = files.envelope(files.query(), "urn:ihe:iti:2007:RegistryStoredQuery").replace("LeafClass", "Leaf")
    packed = gzip.compress(plain.encode())
    checked = check_octets(files.request(packed, "application/soap+xml", "/xds/registry", "Content-Encoding: gzip\r\n"))
    place = {one.rule: (one.line, one.column, one.part) for one in checked.found}
    assert place["WIRE-004"] == (4, 1, "")
    assert place["SQ-RETURN-TYPE"] == (*at(plain.encode(), "returnType="), "unpacked body")


def test_a_query_is_judged_at_its_slots() -> None:
    data = bent("('urn:oasis:names:tc:ebxml-regrep:StatusType:Approved')", "'Approved'", QUERY)
    found = only(data, "SQ-MISSING")
    assert (found.line, found.column) == at(data, "<rim:Value>'Approved'")
    data = bent("urn:uuid:14d4debf", "urn:uuid:24d4debf", QUERY)
    assert (found := only(data, "SQ-UNKNOWN-QUERY")) and (found.line, found.column) == at(data, 'id="urn:uuid:24d4debf')


def test_a_removal_is_judged() -> None:
    text = (
        b'<lcm:RemoveObjectsRequest xmlns:lcm="urn:oasis:names:tc:ebxml-regrep:xsd:lcm:3.0" '
        b'deletionScope="urn:oasis:names:tc:ebxml-regrep:DeletionScopeType:DeleteRepositoryItemOnly">'
        b'<rim:ObjectRefList xmlns:rim="urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0"/></lcm:RemoveObjectsRequest>'
    )
    checked = check_octets(text)
    assert {"RM-002", "RM-003"} <= set(rules(checked))
    found = next(one for one in checked.found if one.rule == "RM-002")
    assert (found.line, found.column) == at(text, "deletionScope")


def test_an_answer_is_judged() -> None:
    text = """<rs:RegistryResponse xmlns:rs="urn:oasis:names:tc:ebxml-regrep:xsd:rs:3.0"
  status="urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Success">
<rs:RegistryErrorList><rs:RegistryError errorCode="Oops" codeContext="it broke"
  severity="urn:oasis:names:tc:ebxml-regrep:ErrorSeverityType:Error"/></rs:RegistryErrorList></rs:RegistryResponse>"""
    body = files.envelope(text, "urn:ihe:iti:2007:RegisterDocumentSet-bResponse").encode()
    data = f"HTTP/1.1 200 OK\r\nContent-Type: application/soap+xml\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    checked = check_octets(data)
    assert checked.kind == "http-response"
    place = {one.rule: (one.line, one.column) for one in checked.found}
    assert place["ANS-001"] == at(data, "errorCode=") and place["ANS-002"] == at(data, "status=")
    assert "ANS-003" in place and any("it broke" in fact for fact in checked.says)


def test_a_fragment_is_judged_as_far_as_it_goes() -> None:
    namespace = ' xmlns:rim="urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0"'
    text = files.entry().replace("<rim:ExtrinsicObject", f"<rim:ExtrinsicObject{namespace}", 1).replace("fr-FR", "fr_FR")
    checked = check_octets(text.encode())
    assert rules(checked) == ["DE-413"]
    as_42 = check_octets(text.encode(), options=CheckOptions(transaction=Transaction.ITI_42))
    assert set(rules(as_42)) == {"DE-413", "DE-118"}


def test_a_file_of_utf_16_has_the_lines_of_its_text() -> None:
    text = files.envelope(files.query(), "urn:ihe:iti:2007:RegistryStoredQuery").replace('"LeafClass"', '"Leaf"')
    for codec in ("utf-16", "utf-16-le", "utf-16-be"):
        found = next(one for one in check_octets(text.encode(codec)).found if one.rule == "SQ-RETURN-TYPE")
        assert (found.line, found.column, found.part) == (*at(text.encode(), "returnType="), ""), codec


def test_the_answers_of_our_server_are_right(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    for sent, fault in ((plain(), False), (mtom(), False), (plain(action="urn:nobody"), True), (plain(body="<a/>"), True)):
        got = recorder.post(sent)
        head = "".join(f"{name}: {value}\r\n" for name, value in got.headers.items())
        checked = check_octets(f"HTTP/1.1 {got.status} OK\r\n{head}\r\n".encode() + got.body)
        assert (checked.kind, checked.found) == ("http-response", [])
        assert any("SOAP fault" in fact for fact in checked.says) == fault


def test_what_is_no_message_is_unreadable() -> None:
    for data in (b"", b"hello", b"<html/>", b"\x00\x01\x02", b"{}"):
        checked = check_octets(data)
        assert not checked.readable and checked.found


@given(st.integers(0, len(RIGHT) - 1), st.integers(1, 40), st.binary(max_size=6))
def test_a_damaged_file_is_judged_and_never_breaks_the_lint(start: int, length: int, other: bytes) -> None:
    data = RIGHT[:start] + other + RIGHT[start + length :]
    checked = check_octets(data)
    for one in checked.found:
        assert one.message and (one.rule in explanations() or one.rule), one
        assert 0 <= one.line <= data.count(b"\n") + 1 or one.part


def test_the_files_of_real_clients_are_read(shared: Path) -> None:
    expected = {
        "gsoap-2.8.124-mtom.http": {"WIRE-053"}, "mono-6.8-wcf-mtom.http": {"WIRE-014", "WIRE-020"},
        "node-soap-1.13-forceMTOM.http": {"WIRE-017", "WIRE-055-absent"}, "php-8.2-soapclient-gzip.http": {"WIRE-004", "WIRE-053"},
        "suds-1.2.0.http": {"WIRE-023", "WIRE-053"}, "metro-2.3.0.2-mtom-chunked-truncated.http": {"WIRE-027"},
        "zeep-4.3.3-soap12.http": {"WIRE-053"}, "metro-2.3.0.2-mtom.http": set(),
    }  # fmt: skip
    for name, wanted in expected.items():
        checked = check_octets((shared / "data" / "captures" / name).read_bytes())
        # Their bodies are dummies: what is judged is the wire.
        assert {rule for rule in rules(checked) if rule.startswith("WIRE")} - {"WIRE-036-place", "WIRE-041"} == wanted, name


def test_the_samples_of_the_lab_are_right(shared: Path) -> None:
    for path in sorted((shared / "data" / "samples-soap").glob("iti*.xml")):
        checked = check_octets(path.read_bytes(), path.name)
        negative = {"iti18-neg-missing-status.soap.xml": ["SQ-MISSING"], "iti18-neg-unknown-query.soap.xml": ["SQ-UNKNOWN-QUERY"]}
        assert rules(checked, Level.ERROR, Level.WARNING, Level.TOLERATED) == negative.get(path.name, []), path.name


# -------------------------------------------------------------------------------------------------------------- the command


def run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(
        program, ["conformance", "check", *words], env={"LC_ALL": None, "LANG": None, "LC_MESSAGES": None}
    )
    return result.exit_code, result.output


def test_the_command_ends_with_0_1_and_2(tmp_path: Path) -> None:
    (tmp_path / "right.http").write_bytes(RIGHT)
    (tmp_path / "wrong.http").write_bytes(bent("20240131101500<", "2024-01-31<"))
    (tmp_path / "none.txt").write_bytes(b"hello")
    assert run(str(tmp_path / "right.http"))[0] == 0
    status, text = run(str(tmp_path / "right.http"), str(tmp_path / "wrong.http"))
    line, column = at((tmp_path / "wrong.http").read_bytes(), "<rim:Value>2024-01-31")
    assert status == 1 and f"{line}:{column} error DE-406" in text and "nothing found" in text
    assert run(str(tmp_path / "none.txt"))[0] == 2
    assert run(str(tmp_path / "absent"))[0] == 2
    status, text = run(str(tmp_path / "absent"), str(tmp_path / "wrong.http"), str(tmp_path / "gone"))
    assert status == 2 and "error DE-406" in text and "absent: cannot be read: No such" in text and "gone: cannot" in text
    assert run("--transaction", "ITI-99", str(tmp_path / "right.http"))[0] == 2
    assert run("--domain", "nowhere", str(tmp_path / "right.http"))[0] == 2


def test_french_and_json(tmp_path: Path) -> None:
    (tmp_path / "wrong.http").write_bytes(bent("20240131101500<", "2024-01-31<"))
    status, text = run(str(tmp_path / "wrong.http"), "--lang", "fr")
    assert status == 1 and "erreur DE-406" in text and "L'attribut creationTime" in text and "Convertissez en UTC" in text
    assert "l'heure contient autre chose que des chiffres" in text
    (tmp_path / "entry.xml").write_text('<r:ExtrinsicObject xmlns:r="urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0" id="a"/>')
    assert "ExtrinsicObject, jugé comme dans ITI-41" in run(str(tmp_path / "entry.xml"), "--lang", "fr")[1]
    told = json.loads(run(str(tmp_path / "wrong.http"), "--json")[1])
    assert told[0]["findings"][0]["rule"] == "DE-406" and told[0]["findings"][0]["statement"]["fr"].startswith("L'attribut")
    assert told[0]["findings"][0]["message_fr"] == "l'heure contient autre chose que des chiffres"


def test_a_domain_judges_codes(tmp_path: Path) -> None:
    (tmp_path / "message.http").write_bytes(RIGHT)
    status, text = run(str(tmp_path / "message.http"), "--domain", "dmp-fr")
    assert status == 1 and "CODE-001" in text and "FR-001" in text
