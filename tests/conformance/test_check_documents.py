"""Lint of CDA documents and SAML assertions: exact places, alone and inside a message; Schematron sets of a user's own."""

# ruff: noqa: E501 - a case is read as a row

from __future__ import annotations

import base64
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from lxml import etree

import conformance.schematron as schematron
from conformance.check import CheckOptions, check_octets
from conformance.check_result import Checked, Level
from conformance.schematron import RuleSet
from conformance.schematron_compiler import SchematronError, compile_schematron
from server.__main__ import program
from tests.conformance import files
from tests.conformance.files import at

sys.path.append(str(Path(__file__).resolve().parents[1] / "security"))

from assertions import World, child, make_world


def rules(checked: Checked) -> list[str]:
    return [one.rule for one in checked.found]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A patient's folder of right documents."""
    folder = tmp_path_factory.mktemp("sample") / "set"
    result = CliRunner().invoke(program, ["sample", str(folder), "--patients", "1", "--documents", "10"])
    assert result.exit_code == 0, result.output
    return next(path for path in folder.iterdir() if path.is_dir())


@pytest.fixture(scope="module")
def cda(sample: Path) -> bytes:
    return (sample / "consultation-2.xml").read_bytes()


# --------------------------------------------------------------------------------------------------------------------- CDA


def test_right_documents_have_no_finding(sample: Path) -> None:
    kinds = [check_octets(path.read_bytes()) for path in sorted(sample.glob("*.xml"))]
    assert len(kinds) == 8 and all((one.kind, one.found) == ("cda", []) for one in kinds)


#: Rule, what is replaced, by what, where the finding begins.
CASES = (
    ("CDA-001", "<ClinicalDocument xmlns=\"urn:hl7-org:v3\"", "<ClinicalDocument xmlns=\"urn:hl7-org:v2\"", "<ClinicalDocument"),
    ("CDA-002", "<languageCode code=\"fr-FR\"/>", "<languageCode code=\"fr-FR\"/><realmCode code=\"FR\"/>", "<ClinicalDocument"),
    ("CDA-003", "<versionNumber value=\"1\"/>", "", "<ClinicalDocument"),
    ("CDA-004", "<realmCode code=\"FR\"/>", "", "<ClinicalDocument"),
    ("CDA-005", "nullFlavor=\"NASK\"", "nullFlavor=\"NI\"", "<telecom nullFlavor=\"NI\""),
    ("CDA-006", "<setId root=\"", "<setId extension=\"7\" root=\"", "<setId extension"),
    ("CDA-007", "<confidentialityCode code=\"N\"", "<confidentialityCode code=\"X\"", "<confidentialityCode"),
    ("CDA-008", "<effectiveTime value=\"20240316171500+0100\"/>", "<effectiveTime value=\"2024-03-16\"/>", "<effectiveTime value=\"2024-03-16\""),
    ("CDA-009", "extension=\"103116748231282\"", "extension=\"103116748231283\"", "<id root=\"1.2.250.1.213.1.4.10\""),
    ("CDA-011", "<versionNumber value=\"1\"/>", "<versionNumber value=\"one\"/>", "<versionNumber"),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_a_finding_of_a_document_stands_at_its_element(case: tuple[str, str, str, str], cda: bytes) -> None:
    rule, old, new, place = case
    assert old.encode() in cda
    data = cda.replace(old.encode(), new.encode(), 1)
    found = next(one for one in check_octets(data).found if one.rule == rule)
    assert (found.line, found.column) == at(data, place), found


def test_a_document_of_another_country_is_judged_by_the_standard_alone(cda: bytes) -> None:
    data = cda.replace(b'<realmCode code="FR"/>', b'<realmCode code="DE"/>').replace(b'<versionNumber value="1"/>', b"")
    assert check_octets(data).found == []
    assert "CDA-010" in rules(
        check_octets(
            data.replace(b"</title>", b"</title>", 1).replace(b"<title>", b"<tytle>", 2).replace(b"</title>", b"</tytle>", 2)
        )
    )


def test_a_broken_document_is_judged_as_far_as_it_goes(cda: bytes) -> None:
    data = cda.replace(b'<versionNumber value="1"/>', b'<versionNumber value="one"/>').replace(
        b"<city>Brest</city>", b"<city>Brest & Co</city>"
    )
    checked = check_octets(data)
    assert {"XML-001", "CDA-011"} <= set(rules(checked))
    broken = next(one for one in checked.found if one.rule == "XML-001")
    assert broken.line == at(data, "Brest & Co")[0]


def test_a_document_in_a_message_is_judged_where_it_stands(cda: bytes) -> None:
    wrong = cda.replace(b'<versionNumber value="1"/>', b'<versionNumber value="one"/>')
    body = files.provide(wrong).replace('mimeType="application/pdf"', 'mimeType="text/xml"')
    data = files.request(files.package(files.envelope(body), wrong, "text/xml"))
    checked = check_octets(data)
    found = next(one for one in checked.found if one.rule == "CDA-011")
    assert (found.line, found.column) == at(data, "<versionNumber")
    headers = {one.rule for one in checked.found if one.rule.startswith("FR-1")}
    assert {"FR-101", "FR-102", "FR-103", "FR-104", "FR-107"} <= headers
    place = next(one for one in checked.found if one.rule == "FR-101")
    assert (place.line, place.column) == at(data, 'value="1.2.250.1.213.2"')


def test_a_document_in_base64_counts_its_own_lines(cda: bytes) -> None:
    wrong = cda.replace(b'<versionNumber value="1"/>', b'<versionNumber value="one"/>')
    include = '<xop:Include xmlns:xop="http://www.w3.org/2004/08/xop/include" href="cid:doc@example.org"/>'
    body = files.provide(wrong).replace(include, base64.b64encode(wrong).decode())
    found = next(one for one in check_octets(files.envelope(body).encode()).found if one.rule == "CDA-011")
    assert (found.line, found.column, found.part) == (*at(wrong, "<versionNumber"), "document doc")


def test_a_wrong_media_type_is_told(cda: bytes) -> None:
    data = files.request(files.package(files.envelope(files.provide(cda)), cda))
    found = next(one for one in check_octets(data).found if one.rule == "InvalidDocumentContent")
    assert found.level is Level.WARNING and (found.line, found.column) == at(data, 'mimeType="application/pdf"')


# -------------------------------------------------------------------------------------------------------------- Schematron

SET = """<sch:schema xmlns:sch="http://purl.oclc.org/dsdl/schematron" queryBinding="xslt2">
<sch:ns prefix="cda" uri="urn:hl7-org:v3"/>
<sch:let name="languages" value="document('languages.xml')//code/@value"/>
<sch:pattern id="coded" abstract="true">
  <sch:let name="here" value="//$element"/>
  <sch:rule context="$element">
    <sch:assert id="system" test="@codeSystem">A <sch:name/> has a codeSystem, this one is <sch:value-of select="@code"/> of <sch:value-of select="count($here)"/></sch:assert>
  </sch:rule>
</sch:pattern>
<sch:pattern is-a="coded" id="c1"><sch:param name="element" value="cda:code"/></sch:pattern>
<sch:pattern is-a="coded" id="c2"><sch:param name="element" value="cda:confidentialityCode"/></sch:pattern>
<sch:pattern>
  <sch:rule abstract="true" id="listed"><sch:assert id="listed" test="@code = $languages">unknown language '<sch:value-of select="@code"/>'</sch:assert></sch:rule>
  <sch:rule context="cda:languageCode"><sch:extends rule="listed"/></sch:rule>
  <sch:rule context="cda:title"><sch:report id="shouts" role="warning" test="matches(., '^[A-Z ]+$')">the title shouts</sch:report></sch:rule>
</sch:pattern>
</sch:schema>
"""
VALUES = '<list><code value="fr-FR"/></list>'


@pytest.fixture
def set_file(tmp_path: Path) -> Iterator[Path]:
    pytest.importorskip("saxonche", reason="the optional package saxonche is not installed")
    (tmp_path / "values").mkdir()
    (tmp_path / "values" / "languages.xml").write_text(VALUES)
    (tmp_path / "own.sch").write_text(SET)
    yield tmp_path / "own.sch"


def test_a_set_judges_with_abstract_patterns_and_value_sets(set_file: Path, cda: bytes) -> None:
    options = CheckOptions(rule_sets=[RuleSet(set_file, set_file.parent / "values")])
    assert check_octets(cda, options=options).found == []
    data = cda.replace(b'<languageCode code="fr-FR"/>', b'<languageCode code="en-US"/>', 1).replace(
        b"<title>Compte rendu de consultation<", b"<title>REPORT<", 1
    )
    place = {one.rule: (one.line, one.column, one.level) for one in check_octets(data, options=options).found}
    assert place == {"own:listed": (*at(data, "<languageCode"), Level.ERROR), "own:shouts": (*at(data, "<title>"), Level.WARNING)}
    data = cda.replace(b'<confidentialityCode code="N" codeSystem="2.16.840.1.113883.5.25"', b'<confidentialityCode code="N"', 1)
    found = next(one for one in check_octets(data, options=options).found if one.rule == "own:system")
    assert (found.line, found.column) == at(data, "<confidentialityCode")
    assert found.message == "A confidentialityCode has a codeSystem, this one is N of 1"


def test_a_set_that_was_compiled_elsewhere_is_run_as_it_is(set_file: Path, cda: bytes, tmp_path: Path) -> None:
    compiled = tmp_path / "own.xsl"
    compiled.write_bytes(compile_schematron(set_file))
    data = cda.replace(b'<languageCode code="fr-FR"/>', b'<languageCode code="en-US"/>', 1)
    assert rules(check_octets(data, options=CheckOptions(rule_sets=[RuleSet(compiled, tmp_path / "values")]))) == ["own:listed"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("languages.xml", "absent.xml", "--value-sets"), ("'languages.xml'", "'http://example.org/a.xml'", "only files"),
        ("'languages.xml'", "'file:///etc/hostname'", "not there"), ('queryBinding="xslt2"', 'queryBinding="stx"', "queryBinding"),
        ('is-a="coded" id="c1"', 'is-a="other" id="c1"', "no abstract pattern"), ('rule="listed"', 'rule="none"', "no abstract rule"),
        ("<sch:ns ", "<sch:ns", "cannot be read"), ('test="@codeSystem"', 'test="@@"', "cannot be compiled"),
        ("sch:schema", "sch:scheme", "expected is sch:schema"),
    ],
)  # fmt: skip
def test_a_set_that_cannot_be_used_is_told_in_words(set_file: Path, old: str, new: str, words: str) -> None:
    assert old in SET
    set_file.write_text(SET.replace(old, new))
    with pytest.raises(SchematronError, match=words):
        RuleSet(set_file, set_file.parent / "values")


def test_a_set_reads_nothing_but_its_own_folders(set_file: Path, cda: bytes, tmp_path: Path) -> None:
    """An address that is made while the set runs is not looked at beforehand: what it may reach is a file, never a network."""
    made = SET.replace("document('languages.xml')//code/@value", "document(concat('http://127.0.0.1:9/', 'x.xml'))//code/@value")
    set_file.write_text(made)
    checked = check_octets(cda, options=CheckOptions(rule_sets=[RuleSet(set_file)]))
    assert rules(checked) == ["own"] and checked.found[0].level is Level.ERROR


FN = "http://www.w3.org/2005/xpath-functions"
#: How a set might get at the file SECRET, which lies beside its folder.
WAYS_OUT = {
    "made while it runs": "doc(concat('file://SECRET', '.xml'))",
    "up": "doc(concat('..', '/secret.xml'))",
    "up, escaped": "doc(concat('%2e%2e', '/secret.xml'))",
    "by another prefix": f"Q{{{FN}}}doc(concat('file://SECRET', '.xml'))",
    "as a step": "./document(concat('file://SECRET', '.xml'))",
    "text": "unparsed-text('file://SECRET.txt')",
    "text, with a comment": "unparsed-text (: :) ('file://SECRET.txt')",
    "text, by reference": "for $f in unparsed-text#1 return $f('file://SECRET.txt')",
    "doc by reference": "for $f in doc#1 return $f('file://SECRET.xml')",
    "a folder": "collection('file://FOLDER?select=*.xml')",
    "the environment": "environment-variable('SECRET')",
    "an entity of a value set": "doc('entity.xml')",
    "an entity of a text": "parse-xml('&lt;!DOCTYPE a [&lt;!ENTITY x SYSTEM &quot;file://SECRET.txt&quot;>]>&lt;a>&amp;x;&lt;/a>')",
}


@pytest.mark.parametrize("way", WAYS_OUT)
def test_no_way_leads_a_set_out_of_its_folders(
    set_file: Path, cda: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    secret = tmp_path / "secret"
    Path(f"{secret}.xml").write_text("<a>top-secret</a>")
    Path(f"{secret}.txt").write_text("top-secret")
    monkeypatch.setenv("SECRET", "top-secret")
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "entity.xml").write_text(f'<!DOCTYPE a [<!ENTITY x SYSTEM "file://{secret}.txt">]><a>-&x;-</a>')
    said = WAYS_OUT[way].replace("SECRET", str(secret)).replace("FOLDER", str(tmp_path))
    own = folder / "own.sch"
    own.write_text(
        '<sch:schema xmlns:sch="http://purl.oclc.org/dsdl/schematron" queryBinding="xslt3"><sch:pattern><sch:rule context="/*">'
        f'<sch:assert id="said" test="false()">it says <sch:value-of select="{said}"/></sch:assert></sch:rule></sch:pattern></sch:schema>'
    )
    try:
        found = [one.message for one in check_octets(cda, options=CheckOptions(rule_sets=[RuleSet(own)])).found]
    except SchematronError as refused:
        found = [str(refused)]
    assert found and "top-secret" not in " ".join(found)


@pytest.mark.parametrize(
    ("markup", "word"),
    [
        ('<xsl:include href="other.xsl"/>', "xsl:include"), ('<xsl:import href="other.xsl"/>', "xsl:import"),
        ('<xsl:template name="a"><xsl:evaluate xpath="1"/></xsl:template>', "xsl:evaluate"),
        ('<xsl:template name="a"><xsl:result-document href="a.xml"><a/></xsl:result-document></xsl:template>', "xsl:result-document"),
        ('<xsl:template name="a"><xsl:value-of _select="1"/></xsl:template>', "_select"),
        ('<xsl:template name="a" expand-text="yes">{1}</xsl:template>', "expand-text"),
    ],
)  # fmt: skip
def test_a_set_judges_and_does_nothing_else(set_file: Path, tmp_path: Path, markup: str, word: str) -> None:
    own = tmp_path / "own.xsl"
    own.write_text(f'<xsl:stylesheet version="3.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">{markup}</xsl:stylesheet>')
    with pytest.raises(SchematronError, match=word):
        RuleSet(own)


def test_value_sets_may_be_named_while_a_set_runs(set_file: Path, cda: bytes, tmp_path: Path) -> None:
    """As the sets of the ANS do, whose lists lie in a folder beside theirs."""
    said = SET.replace(
        "document('languages.xml')//code/@value", "for $name in ('languages') return document(concat('values/', $name, '.xml'))//@value"
    )
    assert said != SET
    set_file.write_text(said)
    options = CheckOptions(rule_sets=[RuleSet(set_file)])
    assert check_octets(cda, options=options).found == []
    data = cda.replace(b'<languageCode code="fr-FR"/>', b'<languageCode code="en-US"/>', 1)
    assert rules(check_octets(data, options=options)) == ["own:listed"]


def test_without_the_package_the_command_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cda: bytes) -> None:
    monkeypatch.setattr(schematron, "find_spec", lambda name: None)
    (tmp_path / "own.sch").write_text(SET)
    (tmp_path / "document.xml").write_bytes(cda)
    result = CliRunner().invoke(
        program, ["conformance", "check", str(tmp_path / "document.xml"), "--schematron", str(tmp_path / "own.sch")]
    )
    assert result.exit_code == 2 and "pip install" in result.output and "saxonche" in result.output


def test_the_command_runs_a_set(set_file: Path, cda: bytes, tmp_path: Path) -> None:
    (tmp_path / "document.xml").write_bytes(cda.replace(b'<languageCode code="fr-FR"/>', b'<languageCode code="en-US"/>', 1))
    words = [
        "conformance",
        "check",
        str(tmp_path / "document.xml"),
        "--schematron",
        str(set_file),
        "--value-sets",
        str(tmp_path / "values"),
    ]
    result = CliRunner().invoke(program, words)
    assert result.exit_code == 1 and "own:listed" in result.output and "unknown language 'en-US'" in result.output


# ---------------------------------------------------------------------------------------------------------------- assertions


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("cards"))


def octets(assertion: etree._Element) -> bytes:
    return etree.tostring(assertion)


def test_a_right_assertion_has_no_finding(world: World) -> None:
    for by, changes in (("doctor", {}), ("clinic", {}), ("clinic", {"profile": "xua"})):
        checked = check_octets(octets(world.signed(world.statement(by, **changes), by=by)))
        assert (checked.kind, [(one.rule, one.message) for one in checked.found]) == ("saml", [])
        assert any("signed with SHA-2" in fact for fact in checked.says)


def test_what_was_changed_after_signing_is_told_at_its_digest(world: World) -> None:
    data = octets(world.signed()).replace(b">3.0<", b">4.0<")
    found = check_octets(data).found
    assert [one.rule for one in found] == ["SAM-010"]
    assert (found[0].line, found[0].column) == at(data, "<ds:DigestValue")


def test_a_missing_attribute_is_told_beside_the_broken_signature(world: World) -> None:
    def without(element: etree._Element) -> None:
        for one in list(element.iter("{*}Attribute")):
            if one.get("Name") in ("LPS_Nom", "LPS_Version"):
                parent = one.getparent()
                assert parent is not None
                parent.remove(one)

    data = octets(world.signed(change=without))
    found = check_octets(data).found
    assert [one.rule for one in found] == ["SAM-031", "SAM-031"]
    assert {"LPS_Nom", "LPS_Version"} <= set(" ".join(one.message for one in found).replace("'", " ").split())
    changed = check_octets(data.replace(b">3.0<", b"> 3.0<")).found
    assert {"SAM-010", "SAM-031", "SAM-033"} <= {one.rule for one in changed}


def test_an_assertion_that_is_over_is_told(world: World) -> None:
    def old(element: etree._Element) -> None:
        child(element, "Conditions").set("NotOnOrAfter", "2020-01-01T00:00:00Z")

    data = octets(world.signed(change=old))
    found = next(one for one in check_octets(data).found if one.rule == "SAM-016")
    assert found.level is Level.WARNING and (found.line, found.column) == at(data, "NotOnOrAfter", 2)


def test_an_assertion_without_signature_is_told(world: World) -> None:
    element = world.signed()
    signature = element.find("{*}Signature")
    assert signature is not None
    element.remove(signature)
    found = check_octets(octets(element)).found
    assert [one.rule for one in found] == ["SAM-005"] and (found[0].line, found[0].column) == (1, 1)


def test_an_assertion_in_a_message_is_judged_there(world: World) -> None:
    wsse = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
    data = octets(world.signed()).replace(b">3.0<", b">4.0<").decode()
    security = f'<wsse:Security xmlns:wsse="{wsse}" s:mustUnderstand="1">{data}</wsse:Security>\n'
    message = files.request(files.package(files.envelope(files.provide(), security=security)))
    found = check_octets(message).found
    assert [one.rule for one in found] == ["SAM-010"]
    assert (found[0].line, found[0].column) == at(message, "<ds:DigestValue")
