"""Affinity domains as data: what a file may say, what is refused with its key, and what the rules are answered."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
from lxml import etree

from metadata.domain import Domain
from metadata.domain_reading import ATTRIBUTES, LIMITS, OPTIONS, ROLES, DomainError, read_domain, read_nist_codes
from metadata.rules.codes import RULES as CODE_RULES
from metadata.rules.table import RULES, Policy
from server.domain import SHIPPED, load_domain
from server.sample import CLASS_OID, KINDS

FRENCH = load_domain("dmp-fr")
LOINC = "2.16.840.1.113883.6.1"
CONTENT: dict[str, Any] = {
    "name": "test",
    "title": "For this test",
    "options": list(OPTIONS),
    "rules": {"DE-005": "warn", "FR-001": "off", "OBJ-021": "refuse"},
    "settings": {"patients": "open"},
    "limits": {"documentSize": 1000, "documents": 7},
    "authorities": {"patient": {"1.2.3": "NH"}},
    "codes": {
        "typeCode": [
            {"scheme": "1.2.3", "name": "N", "mark": "S", "codes": [
                {"code": "a", "display": "A"},
                {"code": "old", "until": "2020-12-31", "replacedBy": "a"},
                {"code": "new", "from": "2030-01-01"},
                {"code": "fading", "replacedBy": "a"}]},
            {"scheme": "1.2.4", "list": "partial", "codes": [{"code": "b"}]},
            {"scheme": "1.2.5", "list": "any"},
        ],
        "mimeType": [{"codes": [{"code": "text/xml"}, {"code": "application/pdf"}]}],
    },
    "classes": [{"typeScheme": "1.2.3", "classScheme": "1.2.9", "classes": {"a": "10"}}],
}  # fmt: skip


@pytest.fixture
def domain() -> Domain:
    return replace(read_domain(CONTENT, "test.toml"), today=lambda: "2024-06-01")


def test_what_stands_in_the_file_stands_in_the_domain(domain: Domain) -> None:
    assert (domain.name, domain.title, domain.judges) == ("test", "For this test", True)
    assert domain.options == set(OPTIONS)
    assert domain.policies == {"DE-005": Policy.WARN, "FR-001": Policy.OFF, "OBJ-021": Policy.REFUSE}
    assert domain.settings == {"patients": "open"}
    assert [domain.limit(name) for name in LIMITS] == [1000, 7]
    assert domain.authorities("patient") == {"1.2.3": "NH"}
    assert domain.authorities("structure") == {}
    assert domain.class_of("a", "1.2.3") == ("10", "1.2.9")
    assert domain.class_of("a", "1.2.4") is None


@pytest.mark.parametrize(
    ("code", "scheme", "allowed", "known"),
    [
        ("a", "1.2.3", True, True),
        ("x", "1.2.3", False, True),
        ("old", "1.2.3", False, True),
        ("new", "1.2.3", False, True),
        ("fading", "1.2.3", True, False),
        ("b", "1.2.4", True, True),
        ("x", "1.2.4", True, False),
        ("x", "1.2.5", True, True),
        ("a", "1.2.6", False, True),
    ],
)
def test_a_code_is_allowed_and_known_by_its_list(domain: Domain, code: str, scheme: str, allowed: bool, known: bool) -> None:
    assert (domain.allows("typeCode", code, scheme), domain.knows("typeCode", code, scheme)) == (allowed, known)


def test_what_has_no_list_is_allowed(domain: Domain) -> None:
    assert domain.allows("classCode", "x", "y") and domain.knows("classCode", "x", "y")
    assert domain.nearest("classCode", "x", "y") == ()


@pytest.mark.parametrize(
    ("day", "old", "new"), [("2020-12-31", True, False), ("2021-01-01", False, False), ("2030-01-01", False, True)]
)
def test_dates_are_days_both_ends_included(domain: Domain, day: str, old: bool, new: bool) -> None:
    on = replace(domain, today=lambda: day)
    assert (on.allows("typeCode", "old", "1.2.3"), on.allows("typeCode", "new", "1.2.3")) == (old, new)


def test_the_nearest_are_valid_codes_the_successor_first(domain: Domain) -> None:
    assert domain.nearest("typeCode", "old", "1.2.3")[0] == "a^A^1.2.3"
    assert domain.nearest("typeCode", "a", "1.2.4")[0] == "a^A^1.2.3", "the right code of another system"
    assert domain.nearest("mimeType", "text/xm", "") == ("text/xml", "application/pdf")
    near = {text for code in ("old", "new", "zzz") for text in domain.nearest("typeCode", code, "1.2.3")}
    assert not {text for text in near if text.startswith(("old", "new"))}
    assert len(FRENCH.nearest("typeCode", "11502-3", LOINC)) == 3
    assert FRENCH.nearest("typeCode", "11502-3", LOINC)[0].startswith("11502-2^")
    assert FRENCH.nearest("typeCode", "x" * 100_000, LOINC), "a long value costs no more than a short one"


def put(path: str, value: Any) -> Any:
    """CONTENT with `value` at `a/b/0/c`."""
    content: Any = copy.deepcopy(CONTENT)
    place = content
    *steps, last = path.split("/")
    for step in steps:
        place = place[int(step) if step.isdigit() else step]
    place[int(last) if last.isdigit() else last] = value
    return content


WRONG = [
    ("name", "", "name = ''", "text"),
    ("colour", 1, "colour: there is no such key", "name, title, options"),
    ("options", ["french"], "options = ['french']", "ci-sis"),
    ("options", "ci-sis", "options", "a list of"),
    ("rules/DE-999", "warn", "rules.DE-999", "docs/rules.md"),
    ("rules/DE-005", "maybe", "rules.DE-005 = 'maybe'", "refuse, warn, off"),
    ("rules", [], "rules = []", "a table"),
    ("limits/documentSize", 0, "limits.documentSize = 0", "above 0"),
    ("limits/documents", True, "limits.documents = True", "above 0"),
    ("limits/pages", 1, "limits.pages", ", ".join(LIMITS)),
    ("authorities/nurse", {}, "authorities.nurse", ", ".join(ROLES)),
    ("authorities/patient", {"1.02": "NH"}, "authorities.patient.1.02", "an OID"),
    ("codes/colour", [], "codes.colour", ATTRIBUTES[0]),
    ("codes/typeCode", {}, "codes.typeCode = {}", "a list of tables"),
    ("codes/typeCode/0/scheme", "", "codes.typeCode[1].scheme = ''", "text"),
    ("codes/typeCode/1/scheme", "1.2.3", "codes.typeCode[2].scheme = '1.2.3'", "no other list"),
    ("codes/typeCode/0/list", "open", "codes.typeCode[1].list = 'open'", "complete, partial, any"),
    ("codes/typeCode/0/list", ["any"], "codes.typeCode[1].list = ['any']", "complete, partial, any"),
    ("codes/typeCode/0/colour", 1, "codes.typeCode[1].colour", "scheme, name, list"),
    ("codes/typeCode/0/codes/0/code", "", "codes.typeCode[1].codes[1].code = ''", "text"),
    ("codes/typeCode/0/codes/1/code", "a", "codes.typeCode[1].codes = 'a'", "each code once"),
    ("codes/typeCode/0/codes/0/from", "2020-13-01", "codes.typeCode[1].codes[1].from = '2020-13-01'", "YYYY-MM-DD"),
    ("codes/typeCode/0/codes/1/until", "20201231", "codes.typeCode[1].codes[2].until = '20201231'", "YYYY-MM-DD"),
    ("codes/typeCode/0/codes/1/from", "2021-01-01", "codes.typeCode[1].codes[2].until = '2020-12-31'", "not before 2021-01-01"),
    ("codes/typeCode/0/codes/0/display", 1, "codes.typeCode[1].codes[1].display = 1", "text"),
    ("classes", {}, "classes = {}", "a list of tables"),
    ("classes/0/classes", {"a": 10}, "classes[1].classes.a = 10", "as text"),
    ("classes/0/typeScheme", 1, "classes[1].typeScheme = 1", "text"),
]


@pytest.mark.parametrize(("path", "value", "key", "accepted"), WRONG, ids=[f"{row[0]}-{row[1]}" for row in WRONG])
def test_a_wrong_key_is_refused_with_file_key_and_what_is_accepted(path: str, value: Any, key: str, accepted: str) -> None:
    with pytest.raises(DomainError) as refused:
        read_domain(put(path, value), "some/test.toml")
    (line,) = [line for line in str(refused.value).splitlines() if key in line]
    assert line.startswith("some/test.toml: ") and accepted in line.partition("accepted: ")[2]


def test_everything_that_is_wrong_is_told_at_once() -> None:
    content = put("rules/DE-999", "maybe") | {"limits": {"documents": 0}, "options": ["x"]}
    with pytest.raises(DomainError) as refused:
        read_domain(content, "f")
    assert len(str(refused.value).splitlines()) == 4


def test_every_coded_attribute_of_the_rules_may_have_a_list() -> None:
    named = {row.statement.split()[1] for row in CODE_RULES if row.statement.startswith("The ")}
    assert named <= set(ATTRIBUTES)


# ----------------------------------------------------------------------------------------------------------- those that ship


def test_the_default_domain_judges_nothing_and_changes_nothing() -> None:
    domain = load_domain()
    assert (domain.name, domain.judges) == ("ihe", False)
    assert not (domain.options or domain.policies or domain.settings)


def test_two_domains_ship_under_the_names_of_their_files() -> None:
    assert {path.name: load_domain(path.stem).name for path in SHIPPED.iterdir()} == {"ihe.toml": "ihe", "dmp-fr.toml": "dmp-fr"}


def test_the_french_domain_knows_the_codes_of_the_sample_set() -> None:
    for kind in KINDS:
        code, scheme, _ = kind.type_code
        assert FRENCH.knows("typeCode", code, scheme) and FRENCH.allows("typeCode", code, scheme), kind.name
        assert FRENCH.knows("classCode", kind.class_code[0], CLASS_OID), kind.name
        assert FRENCH.class_of(code, scheme) == (kind.class_code[0], CLASS_OID), kind.name


def test_what_is_from_memory_only_warns_in_the_french_domain() -> None:
    """The reasons stand in the file beside each."""
    assert FRENCH.policies == dict.fromkeys(("FR-010", "FR-013", "FR-018", "FR-019"), Policy.WARN)
    assert {row.id for row in RULES if row.id.startswith("FR-")} >= set(FRENCH.policies)


# ------------------------------------------------------------------------------------------------------- NIST's codes.xml

NIST = """<Codes><CodeType name="classCode" classScheme="urn:uuid:1"><Code code="a" display="A" codingScheme="1.2.3" system="x"/>
<Code code="a" display="A" codingScheme="1.2.3"/><Code code="b" display="B" codingScheme="1.2.4"/></CodeType>
<CodeType name="folderCodeList"><Code code="f" display="F" codingScheme="1.2.3"/></CodeType>
<CodeType name="associationDocumentation"><Code code="d" display="D" codingScheme="1.2.3"/></CodeType>
<CodeType name="mimeType"><Code code="text/plain"/></CodeType></Codes>"""


def test_nist_codes_are_read_as_closed_lists() -> None:
    domain = read_nist_codes(etree.fromstring(NIST), "codes", "codes.xml")
    assert domain.name == "codes"
    assert domain.allows("classCode", "b", "1.2.4") and not domain.allows("classCode", "b", "1.2.3")
    assert domain.allows("codeList", "f", "1.2.3") and not domain.allows("codeList", "a", "1.2.3")
    assert domain.allows("documentation", "d", "1.2.3") and not domain.allows("documentation", "x", "1.2.3")
    assert domain.allows("mimeType", "text/plain", "") and not domain.allows("mimeType", "text/xml", "")
    assert domain.allows("typeCode", "x", "1.2.3"), "no list of it"
    with pytest.raises(DomainError, match="accepted: Codes"):
        read_nist_codes(etree.fromstring("<Code/>"), "codes", "codes.xml")
    with pytest.raises(DomainError, match=r"codes\.colour"):
        read_nist_codes(etree.fromstring("<Codes><CodeType name='colour'/></Codes>"), "codes", "codes.xml")
