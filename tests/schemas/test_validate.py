"""Findings of the schema: where, what, and what is allowed; and bodies made of faults."""

from __future__ import annotations

import threading

import pytest
from bodies import BODY_NAMES, SAMPLES
from lxml import etree

from schemas.namespaces import LCM, RIM, RMD, XDS, q
from schemas.parse import parse
from schemas.validate import MOST_FINDINGS, ROOTS, SchemaFinding, validate

SUBMIT = SAMPLES["SubmitObjectsRequest"]
HEAD = f'<lcm:SubmitObjectsRequest xmlns:lcm="{LCM}" xmlns:rim="{RIM}">\n<rim:RegistryObjectList>'
MANY_ATTRIBUTES = " ".join(f'a{number}=""' for number in range(60))
TAIL = "</rim:RegistryObjectList></lcm:SubmitObjectsRequest>"


def findings(objects: str, lenient: bool = False) -> list[SchemaFinding]:
    return validate(parse((HEAD + objects + TAIL).encode()), "SubmitObjectsRequest", lenient=lenient)


def entry(inner: str = "", attributes: str = 'id="d"') -> str:
    return f"\n<rim:ExtrinsicObject {attributes}>{inner}</rim:ExtrinsicObject>"


def slot(value: str) -> str:
    return f'<rim:Slot name="x"><rim:ValueList><rim:Value>{value}</rim:Value></rim:ValueList></rim:Slot>'


#: What is sent, the path behind SubmitObjectsRequest/RegistryObjectList, and the message.
CASES = [
    (entry(attributes=""), "/ExtrinsicObject", "rim:ExtrinsicObject has no attribute id, which is required"),
    (entry(attributes='id="d" colour="b"'), "/ExtrinsicObject",
     "rim:ExtrinsicObject carries the attribute colour, which is not allowed there"),
    (entry("text"), "/ExtrinsicObject", "rim:ExtrinsicObject contains text; only elements are allowed there"),
    (entry() + entry('<rim:Slot name="x"/>'), "/ExtrinsicObject[2]/Slot", "rim:Slot ends too early: expected is rim:ValueList"),
    (entry("<rim:Name/>" + slot("v")), "/ExtrinsicObject/Slot",
     "rim:Slot is not allowed here in rim:ExtrinsicObject: expected is one of "
     "rim:Description, rim:VersionInfo, rim:Classification, rim:ExternalIdentifier, rim:ContentVersionInfo"),
    (entry(slot("x" * 257)), "/ExtrinsicObject/Slot/ValueList/Value",
     f"rim:Value has 257 characters, allowed are at most 256: '{'x' * 80}...'"),
    (entry(slot("<b/>")), "/ExtrinsicObject/Slot/ValueList/Value", "rim:Value contains elements; only text is allowed there"),
    (entry(attributes='id="d" isOpaque="maybe"'), "/ExtrinsicObject",
     "rim:ExtrinsicObject/@isOpaque is 'maybe', allowed is true, false, 1 or 0"),
    ("\n<rim:Unknown/>", "/Unknown",
     "rim:Unknown is not allowed here in rim:RegistryObjectList: expected is one of rim:ExtrinsicObject"),
]  # fmt: skip


@pytest.mark.parametrize(("objects", "path", "message"), CASES, ids=range(len(CASES)))
def test_a_finding_names_place_value_and_what_is_allowed(objects: str, path: str, message: str) -> None:
    (finding,) = findings(objects)
    assert finding.path == "SubmitObjectsRequest/RegistryObjectList" + path
    assert finding.message.startswith(message) and (finding.message == message or message.endswith("rim:ExtrinsicObject"))
    assert finding.line == objects.count("\n") + 2
    assert finding.element == "rim:" + path.rpartition("/")[2].partition("[")[0]


def test_all_findings_come_at_once() -> None:
    said = findings(entry(slot("x" * 257) + slot("y" * 300), 'lid="d"') + entry("text"))
    assert [f.path.rpartition("RegistryObjectList/")[2] for f in said] == [
        "ExtrinsicObject[1]",
        "ExtrinsicObject[1]/Slot[1]/ValueList/Value",
        "ExtrinsicObject[1]/Slot[2]/ValueList/Value",
        "ExtrinsicObject[2]",
    ]


def test_another_body_than_the_one_expected() -> None:
    (finding,) = validate(etree.fromstring(SUBMIT), "AdhocQueryRequest")
    assert finding.message == "The body is lcm:SubmitObjectsRequest, expected is query:AdhocQueryRequest"
    with pytest.raises(KeyError):
        validate(etree.fromstring(SUBMIT), "Submit")


def test_any_prefix_will_do() -> None:
    text = SUBMIT.replace("rim:", "a:").replace("xmlns:rim", "xmlns:a").replace("lcm:", "").replace("xmlns:lcm", "xmlns")
    text = text.replace("ebxml-regrep:xsd:3.0", "ebxml-regrep:xsd:lcm:3.0").replace("xsd:a:3.0", "xsd:rim:3.0")
    text = text.replace("urn:oasis:names:tc:ebxml-regrep:xsd:3.0", LCM)
    body = etree.fromstring(text)
    assert body.tag == ROOTS["SubmitObjectsRequest"] and body.prefix is None
    assert validate(body, "SubmitObjectsRequest") == []
    place = next(body.iter(q(RIM, "ExtrinsicObject")))
    del place.attrib["id"]
    (finding,) = validate(body, "SubmitObjectsRequest")
    assert finding.path == "SubmitObjectsRequest/RegistryObjectList/ExtrinsicObject"


def test_the_tree_is_left_as_it_was() -> None:
    """An Include is taken out while the schema looks and put back, with the white space around it."""
    include = '<xop:Include xmlns:xop="http://www.w3.org/2004/08/xop/include" href="cid:a"/>'
    text = SAMPLES["ProvideAndRegisterDocumentSetRequest"].replace("UERG", f"\n {include}\n ")
    body = etree.fromstring(text)
    before = etree.tostring(body)
    assert validate(body, "ProvideAndRegisterDocumentSetRequest") == []
    assert etree.tostring(body) == before


def test_remove_documents() -> None:
    ids = "<xds:RepositoryUniqueId>1</xds:RepositoryUniqueId><xds:DocumentUniqueId>2</xds:DocumentUniqueId>"
    one = f"<xds:DocumentRequest>{ids}</xds:DocumentRequest>"
    text = f'<rmd:RemoveDocumentsRequest xmlns:rmd="{RMD}" xmlns:xds="{XDS}">{{}}</rmd:RemoveDocumentsRequest>'
    assert validate(etree.fromstring(text.format(one)), "RemoveDocumentsRequest") == []
    assert len(validate(etree.fromstring(text.format("")), "RemoveDocumentsRequest")) == 1


def test_threads_do_not_mix_their_findings() -> None:
    wrong: list[str] = []

    def work(length: int) -> None:
        for _ in range(50):
            said = findings(entry(slot("x" * length)))
            if [f.message.split()[2] for f in said] != [str(length)]:
                wrong.append(f"{length}: {said}")

    threads = [threading.Thread(target=work, args=(n,)) for n in (257, 258, 259, 260)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# ------------------------------------------------------------------------------------------------ bodies made of faults


@pytest.mark.parametrize(
    ("fault", "count"),
    [
        ("<rim:ObjectRef/>", 60_000),  # the same fault at 60 000 siblings
        (f'<rim:ObjectRef id="x" {MANY_ATTRIBUTES}/>', 1_500),
        ('<rim:Association id="a"/>', 30_000),
        ("<rim:ExtrinsicObject id='d'><rim:Slot/></rim:ExtrinsicObject>", 20_000),
    ],
    ids=["elements", "attributes", "associations", "nested"],
)
def test_a_body_full_of_faults_is_answered(fault: str, count: int) -> None:
    """Each of these took libxml2 minutes while it counted the siblings before every fault."""
    said = findings(fault * count)
    assert 2 <= len(said) <= MOST_FINDINGS
    assert said[-1].type == "MORE" and "findings in this body" in said[-1].message
    assert len({f.message for f in said}) == len(said), "each sort of fault is named once"
    assert all(f.element and f.message for f in said)


def test_a_body_with_many_faults_tells_the_first_hundred() -> None:
    said = findings("<rim:ObjectRef/>" * 3000)
    assert len(said) == MOST_FINDINGS
    assert [f.path.rpartition("/")[2] for f in said[:-1]] == [f"ObjectRef[{n}]" for n in range(1, MOST_FINDINGS)]
    assert said[-1].message == "The schema has up to 2901 further findings in this body"
    assert len(findings("<rim:ObjectRef/>" * MOST_FINDINGS)) == MOST_FINDINGS


def test_a_large_body_with_few_faults_tells_their_places() -> None:
    said = findings('<rim:ObjectRef id="x"/>' * 9000 + entry(attributes=""))
    assert [(f.path, f.line) for f in said] == [("SubmitObjectsRequest/RegistryObjectList/ExtrinsicObject", 3)]


def test_a_large_right_body_is_right() -> None:
    assert findings('<rim:ObjectRef id="x"/>' * 20_000) == []


def test_missing_ids_of_a_large_body_are_let_pass_where_that_is_lenient() -> None:
    association = '<rim:Association associationType="t" sourceObject="a" targetObject="b"/>'
    assert findings(association * 15_000, lenient=True) == []
    said = findings(association * 15_000)
    assert said[0].message == "rim:Association has no attribute id, which is required"


def test_every_body_has_a_root() -> None:
    assert set(ROOTS) == set(BODY_NAMES.values())
