"""The judge of CDA documents: each broken document trips its rule, what CDA allows trips none."""

from __future__ import annotations

import io
import re

import pytest
from lxml import etree

from metadata.cda import CdaFinding, check_cda
from metadata.cda_grammar import MODELS, order_problem
from metadata.model import Author, Code
from server.cda import HeaderError, is_cda, read_header
from server.sample import make_documents
from server.sample_people import make_patients

PATIENT = make_patients(1, 1)[0]
DISCHARGE = next(iter(make_documents(PATIENT, 1, 1))).data.decode()


def findings(text: str) -> list[CdaFinding]:
    return check_cda(etree.fromstring(text.encode()))


def changed(pattern: str, replacement: str, text: str = DISCHARGE) -> str:
    result, count = re.subn(pattern, replacement, text, count=1, flags=re.DOTALL)
    assert count == 1, pattern
    return result


@pytest.mark.parametrize(
    ("pattern", "replacement", "rule", "words"),
    [
        (r"<title>.*?</title>", "", "CDA-003", "title is missing"),
        (r"(<title>.*?</title>)\s*(<effectiveTime [^>]*/>)", r"\2\1", "CDA-002", "title stands too late"),
        (r"<custodian>.*?</custodian>", "", "CDA-002", "custodian is missing before legalAuthenticator"),
        (r"<custodian>.*?</custodian>", "", "CDA-003", "custodian/.* is missing"),
        (r"<assignedPerson>", "<extra/><assignedPerson>", "CDA-002", "extra does not belong here"),
        (r"<setId [^>]*/>", '<setId nullFlavor="UNK"/>', "CDA-003", "nullFlavor stands where"),
        (r'<realmCode code="FR"/>', '<realmCode code="US"/>', "CDA-004", "realmCode is not FR"),
        (r'extension="POCD_HD000040"', 'extension="POCD_HD000041"', "CDA-004", "typeId is not"),
        (r'<templateId root="1.2.250.1.213.1.1.1.1"/>', "", "CDA-004", "templateId 1.2.250.1.213.1.1.1.1 is missing"),
        (r'<telecom nullFlavor="NASK"/>', '<telecom nullFlavor="NI"/>', "CDA-005", "nullFlavor 'NI'"),
        (r'<id root="2\.25\.[0-9.]*"/>', '<id root="02.25.1"/>', "CDA-006", "neither an OID nor a UUID"),
        (r'<id root="(2\.25\.[0-9.]*)"/>', r'<id root="\1" extension="7"/>', "CDA-006", "extension stands beside"),
        (r'<code code="34112-3" codeSystem="[^"]*"', '<code code="34112-3"', "CDA-007", "@codeSystem is missing"),
        (r'<confidentialityCode code="N"', '<confidentialityCode code="X"', "CDA-007", "none of N, R, V"),
        (r'<languageCode code="fr-FR"/>', '<languageCode code="fr_FR"/>', "CDA-007", "'_' where '-'"),
        (r'(<effectiveTime value="[0-9]{14})\+0100', r"\1", "CDA-008", "no seconds or no offset"),
        (r'<low value="20', '<low value="29', "CDA-008", "ends before it begins"),
        (r'<low value="20', '<low value="20XX', "CDA-008", "is no time"),
        (rf'extension="{PATIENT.ins}"', 'extension="103116748231283"', "CDA-009", "the key of NIR"),
        (r'<family qualifier="BR">', "<family>", "CDA-009", "birth name .* is missing"),
        (r"<birthplace>.*?</birthplace>", "", "CDA-009", "INSEE code of the birth place is missing"),
        (r'<reference value="#s2-1"/>', '<reference value="#nowhere"/>', "CDA-010", "leads to nothing"),
        (r'ID="s2-1"', 'ID="s4-1"', "CDA-010", "occurs twice"),
        (r"(<section>.*?)<title>.*?</title>", r"\1", "CDA-010", "a section has no title"),
        (r'<versionNumber value="1"/>', '<versionNumber value="one"/>', "CDA-011", "is no number"),
    ],
)
def test_each_fault_trips_its_rule(pattern: str, replacement: str, rule: str, words: str) -> None:
    found = [finding.text() for finding in findings(changed(pattern, replacement)) if finding.rule == rule]
    assert any(re.search(words, text) for text in found), found


def test_all_findings_come_at_once_with_their_lines() -> None:
    text = changed(r"<custodian>.*?</custodian>", "", changed(r'<realmCode code="FR"/>', ""))
    found = findings(text)
    assert {finding.rule for finding in found} == {"CDA-002", "CDA-003", "CDA-004"}
    assert all(finding.line for finding in found)


def test_another_document_is_one_finding() -> None:
    assert [f.rule for f in findings("<html/>")] == ["CDA-001"]


def test_what_cda_allows_is_no_finding() -> None:
    """Elements of other namespaces, more templateIds, a second author, an intended recipient, a comment."""
    text = changed(r"(<author>.*?</author>)", r'\1\1<!-- x --><x:extension xmlns:x="urn:x"/>')
    text = changed(r'(<templateId root="1.2.250.1.213.1.1.1.1"/>)', r'\1<templateId root="1.2.3"/>', text)
    recipient = '<informationRecipient><intendedRecipient><id nullFlavor="UNK"/></intendedRecipient></informationRecipient>'
    text = changed(r"(</custodian>)", rf"\1{recipient}", text)
    assert [finding.text() for finding in findings(text)] == []


@pytest.mark.parametrize(
    ("model", "children", "problem"),
    [
        ("a b? c*", "a", ""),
        ("a b? c*", "typeId a b c c", ""),
        ("a b? c*", "", "a is missing at the end"),
        ("a b? c*", "b", "a is missing before b"),
        ("a b? c*", "a b b", "b stands too late or too often"),
        ("a b? c*", "a c b", "b stands too late or too often"),
        ("a b? c*", "a d", "d does not belong here"),
        ("a+ b", "a a b", ""),
        ("a+ b", "a a", "b is missing at the end"),
        ("a+ b", "b", "a is missing before b"),
        ("a|b c", "b c", ""),
        ("a|b c", "c", "a or b is missing before c"),
    ],
)
def test_order_is_told_in_words(model: str, children: str, problem: str) -> None:
    assert order_problem(model, children.split()) == problem


def test_every_model_accepts_its_own_order() -> None:
    for name, model in MODELS.items():
        children = [word.rstrip("?*+").split("|")[0] for word in model.split()]
        assert order_problem(model, children) == "", name
        if len(children) > 1 and len(set(children)) == len(children):
            assert order_problem(model, children[::-1]) != "", name


# -------------------------------------------------------------------------------------------------------------- the header


def head(pattern: str, replacement: str) -> dict[str, object]:
    return read_header(changed(pattern, replacement).encode()).attributes


@pytest.mark.parametrize(
    ("value", "utc"),
    [
        ("20240307152400+0100", "20240307142400"),
        ("20240701003000+0200", "20240630223000"),
        ("20240101003000.5+0100", "20231231233000"),
        ("20240307152400-0430", "20240307195400"),
        ("202403071524+0100", "202403071424"),
        ("20240307152400", "20240307152400"),
        ("20240307", "20240307"),
        ("2024", "2024"),
    ],
)
def test_times_become_utc_with_their_precision(value: str, utc: str) -> None:
    assert head(r'<effectiveTime value="[^"]*"/>', f'<effectiveTime value="{value}"/>')["creationTime"] == utc


@pytest.mark.parametrize("value", ["yesterday", "", "2024-03-07", "20241399000000+0100"])
def test_what_is_no_time_is_left_out(value: str) -> None:
    assert "creationTime" not in head(r'<effectiveTime value="[^"]*"/>', f'<effectiveTime value="{value}"/>')


def test_replaced_documents() -> None:
    related = (
        '<relatedDocument typeCode="RPLC"><parentDocument><id root="1.2.3"/></parentDocument></relatedDocument>'
        '<relatedDocument typeCode="APND"><parentDocument><id root="1.2.4"/></parentDocument></relatedDocument>'
    )
    assert read_header(changed("<componentOf>", f"{related}<componentOf>").encode()).replaces == ("1.2.3",)


def test_title_is_cut_and_extension_kept() -> None:
    assert head(r"<title>.*?</title>", f"<title>{'x' * 200}</title>")["title"] == "x" * 128
    assert head(r'<id root="2\.25[^"]*"/>', '<id root="1.2.3" extension="A7"/>')["uniqueId"] == "1.2.3^A7"


def test_local_id_stands_in_for_a_missing_ins() -> None:
    attributes = head(rf'<id root="[^"]*" extension="{PATIENT.ins}"/>', "")
    assert attributes["patientId"] == attributes["sourcePatientId"] == PATIENT.source_cx()


def test_special_characters_are_escaped_as_hl7_wants() -> None:
    author = head(r"<family>GUÉRIN</family>", "<family>GUÉ^RIN&amp;CO</family>")["author"]
    assert isinstance(author, tuple)
    assert isinstance(author[0], Author)
    assert author[0].authorPerson[0].split("^")[1] == r"GUÉ\S\RIN\T\CO"


def test_device_as_author() -> None:
    device = (
        '<assignedAuthor><id root="1.2.3" extension="D1"/><assignedAuthoringDevice>'
        "<manufacturerModelName>M</manufacturerModelName><softwareName>S</softwareName></assignedAuthoringDevice></assignedAuthor>"
    )
    author = head(r"<assignedAuthor>.*?</assignedAuthor>", device)["author"]
    assert author == (Author(authorPerson=("D1^S^M^^^^^^&1.2.3&ISO^U^^^RI",)),)


def test_format_of_an_unstructured_body_and_of_an_unknown_type() -> None:
    text = '<text mediaType="application/pdf" representation="B64">JVBERi0=</text>'
    body = f"<component><nonXMLBody>{text}</nonXMLBody></component>"
    format_code = head(r"<component>\s*<structuredBody>.*</structuredBody>\s*</component>", body)["formatCode"]
    assert format_code == Code("urn:ihe:iti:xds-sd:pdf:2008", "1.3.6.1.4.1.19376.1.2.3")
    attributes = head(r'<code code="34112-3"', '<code code="1-2"')
    assert "classCode" not in attributes
    assert attributes["formatCode"] == Code("urn:ihe:iti:xds:2017:mimeTypeSufficient", "1.3.6.1.4.1.19376.1.2.3")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not well-formed|empty"),
        (b'<ClinicalDocument xmlns="urn:hl7-org:v3"><id></title>', "not well-formed"),
        (b"<html/>", "root element is html"),
        (b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hosts">]><ClinicalDocument xmlns="urn:hl7-org:v3">&e;</x>', "DOCTYPE"),
    ],
)
def test_what_is_no_cda(data: bytes, words: str) -> None:
    with pytest.raises(HeaderError, match=words):
        read_header(data)


def test_body_is_not_read() -> None:
    """The file ends within its body: the header is complete all the same, and nothing behind it was asked for."""
    cut = DISCHARGE.encode().partition(b"<structuredBody>")
    stream = io.BytesIO(cut[0] + cut[1] + b"<component><section>" + b"<!-- -->" * 1_000_000)
    assert read_header(stream).attributes["title"] == "Compte rendu d'hospitalisation"
    assert stream.tell() < 200_000
    assert is_cda(DISCHARGE.encode())
    assert is_cda(DISCHARGE.encode("utf-16"))
