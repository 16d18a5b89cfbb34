"""Our schemas against the official ones: they accept and reject the same, but for the differences listed in DIFFERENCES.

The official files are not part of the project: these tests are skipped where the reference material is absent.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from bodies import BODY_NAMES, SAMPLES, mutated, samples, shared_bodies
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from metadata.fragments import build_submit_objects_request
from schemas.namespaces import LCM, QUERY, RIM, RMD, RS, XDS, XSI, q
from schemas.validate import ROOTS, XSD_FOLDER, validate
from server.description import build_submission
from server.sample import make_documents
from server.sample_people import make_patients

#: Every deliberate difference: its number in `docs/schemas.md`, and what that page must say of it.
DIFFERENCES = {
    "SCH-1": "An `xop:Include` may stand in `xds:Document`",
    "SCH-2": "A missing `id` of Classification, ExternalIdentifier or Association",
    "SCH-3": "The content of `rim:QueryExpression` is not looked into",
    "SCH-4": "`rmd:RemoveDocumentsRequest` takes several `xds:DocumentRequest`",
    "SCH-5": "Requests that no IHE transaction uses",
    "SCH-6": "A `rim:Identifiable` does not take the type of a RegistryObject by `xsi:type`",
}
_XS = "{http://www.w3.org/2001/XMLSchema}"
_XSI_TYPE = q(XSI, "type")
_DOCS = Path(__file__).resolve().parents[2] / "docs" / "schemas.md"

Verdict = Callable[[etree._Element], bool]


def ours(body: etree._Element) -> bool:
    """The server's verdict. What is the root of no body is refused before any schema looks."""
    return body.tag in BODY_NAMES and not validate(body, BODY_NAMES[str(body.tag)])


@pytest.fixture(scope="session")
def official_folder(shared: Path) -> Path:
    return shared / "data" / "official-xsd"


@pytest.fixture(scope="session")
def official(official_folder: Path) -> Verdict:
    """The official verdict: all schemas in one, compiled once."""
    files = {RIM: "ebRS30/rim.xsd", RS: "ebRS30/rs.xsd", LCM: "ebRS30/lcm.xsd", QUERY: "ebRS30/query.xsd", XDS: "IHE/IHEXDSB.xsd"}
    return _compiled([(namespace, official_folder / name) for namespace, name in files.items()])


def _compiled(files: list[tuple[str, Path]]) -> Verdict:
    imports = "".join(f'<xs:import namespace="{namespace}" schemaLocation="{path.as_uri()}"/>' for namespace, path in files)
    schema = etree.XMLSchema(etree.fromstring(f'<xs:schema xmlns:xs="{_XS[1:-1]}">{imports}</xs:schema>'))
    return lambda body: bool(schema.validate(body))


def disagreement(body: etree._Element, official: Verdict) -> str:
    """Empty where both say the same; else who refuses, and the body. What is the root of no body is SCH-5."""
    theirs, mine = official(body), ours(body)
    if theirs == mine or body.tag not in BODY_NAMES:
        return ""
    said = [f.message for f in validate(body, BODY_NAMES[str(body.tag)])]
    return f"official: {theirs}, ours: {mine} {said}\n{etree.tostring(body, pretty_print=True).decode()}"


# ------------------------------------------------------------------------------------------------------- real messages


@pytest.mark.parametrize("name", SAMPLES)
def test_a_full_body_of_every_kind_is_accepted_by_both(name: str, official: Verdict) -> None:
    body = etree.fromstring(SAMPLES[name])
    assert official(body) and validate(body, name.partition(",")[0]) == []


def test_the_samples_have_every_root_that_has_an_official_schema() -> None:
    assert {etree.fromstring(text).tag for text in SAMPLES.values()} == set(BODY_NAMES) - {ROOTS["RemoveDocumentsRequest"]}


@pytest.mark.parametrize("place", ["nist", "samples-soap"])
def test_messages_of_others(place: str, shared: Path, official: Verdict) -> None:
    found = [(name, body) for name, body in shared_bodies(shared / "data" / place) if body.tag != ROOTS["RemoveDocumentsRequest"]]
    assert len(found) >= (300 if place == "nist" else 5)
    assert {name: said for name, body in found if (said := disagreement(body, official))} == {}


def test_our_own_documents(official: Verdict) -> None:
    """The generated sample set, as ITI-41 carries it."""
    for seed, patient in enumerate(make_patients(5, 7)):
        documents = list(make_documents(patient, 10, seed))
        submission = build_submission([d.description for d in documents], source_id="1.2.3")
        body = etree.fromstring(build_submit_objects_request(submission))
        assert official(body) and ours(body), disagreement(body, official)


# ----------------------------------------------------------------------------------------------------------- mutations


@settings(max_examples=10 * (settings.default or settings()).max_examples)
@given(number=st.integers(0, len(SAMPLES) - 1), chance=st.randoms(use_true_random=False), times=st.integers(1, 3))
def test_mutations_of_our_samples(number: int, chance: random.Random, times: int, official: Verdict) -> None:
    body = mutated(samples()[number][1], chance, times)
    said = disagreement(body, official)
    assert not said, said


def test_a_sweep_of_mutations(shared: Path, official: Verdict, rounds: Callable[[int, int], int]) -> None:
    """Many small steps from real messages too; the seed is fixed, so a failure comes again."""
    chance = random.Random(20240131)
    chosen = [body for _, body in shared_bodies(shared / "data" / "nist") if body.tag != ROOTS["RemoveDocumentsRequest"]][::8]
    bodies = [*(body for _, body in samples()), *(body for body in chosen if sum(1 for _ in body.iter()) < 300)]
    accepted = 0
    tried = rounds(2_000, 100_000)
    for _ in range(tried):
        body = mutated(chance.choice(bodies), chance, chance.choice((1, 1, 1, 2)))
        said = disagreement(body, official)
        assert not said, said
        accepted += ours(body)
    assert tried // 10 < accepted < tried * 9 // 10, "mutations that are all refused, or none, would prove nothing"


def _declared(paths: list[Path], what: str) -> list[str]:
    """Names of the global declarations of one sort, as {namespace}name."""
    found = []
    for path in paths:
        root = etree.parse(str(path)).getroot()
        names = [declaration.get("name") for declaration in root.iterchildren(_XS + what)]
        found += [q(root.get("targetNamespace") or "", name) for name in names if name]
    return sorted(found)


@pytest.fixture(scope="session")
def official_files(official_folder: Path) -> list[Path]:
    return [*sorted((official_folder / "ebRS30").glob("[!c]*.xsd")), official_folder / "IHE" / "IHEXDSB.xsd"]


def test_every_official_element_in_every_place(official: Verdict, official_files: list[Path], long: bool) -> None:
    """Each element of the official schemas as last child of each element of the samples."""
    tags = _declared(official_files, "element")
    step = 1 if long else 5
    for _, body in samples():
        for place in list(body.iter())[::step]:
            for tag in tags:
                place.append(etree.Element(tag, id="x"))
                said = disagreement(body, official)
                assert not said or place.tag == q(RIM, "QueryExpression"), f"SCH-3 does not cover this: {said}"
                place.remove(place[-1])


def test_every_official_type_in_every_place(official: Verdict, official_files: list[Path], long: bool) -> None:
    """xsi:type with each official complex type on each element of the samples."""
    types = [etree.QName(name) for name in _declared(official_files, "complexType")]
    step = 1 if long else 5
    for _, body in samples():
        prefixes = {uri: prefix for prefix, uri in body.nsmap.items()}
        for place in list(body.iter())[::step]:
            for name in types:
                if name.namespace in prefixes:
                    place.set(_XSI_TYPE, f"{prefixes[name.namespace]}:{name.localname}")
                    said = disagreement(body, official)
                    assert not said or place.tag == q(RIM, "Identifiable"), f"SCH-6 does not cover this: {said}"
            place.attrib.pop(_XSI_TYPE, None)


#: Small faults planted into a copy of our schemas: file, what stands there, what is put there.
PLANTED = [
    ("rim.xsd", '<xs:maxLength value="256"/>', '<xs:maxLength value="255"/>'),
    ("rim.xsd", '<xs:maxLength value="1024"/>', '<xs:maxLength value="1025"/>'),
    ("rim.xsd", '<xs:attribute name="classifiedObject" type="rim:referenceURI" use="required"/>',
     '<xs:attribute name="classifiedObject" type="rim:referenceURI"/>'),
    ("rim.xsd", '<xs:element ref="rim:Name" minOccurs="0"/>', '<xs:element ref="rim:Name" minOccurs="0" maxOccurs="2"/>'),
    ("rim.xsd", '<xs:attribute name="lid" type="xs:anyURI"/>', '<xs:attribute name="lid" type="rim:ShortName"/>'),
    ("rim.xsd", '<xs:element ref="rim:AdhocQuery"/>', ""),
    ("rs.xsd", '<xs:attribute name="codeContext" type="xs:string" use="required"/>', '<xs:attribute name="codeContext"/>'),
    ("query.xsd", '<xs:enumeration value="ObjectRef"/>', ""),
    ("query.xsd", '<xs:element ref="query:ResponseOption"/>', '<xs:element ref="query:ResponseOption" minOccurs="0"/>'),
    ("xds.xsd", '<xs:element name="Document" type="xs:base64Binary"/>', '<xs:element name="Document" type="xs:string"/>'),
]  # fmt: skip


@pytest.mark.parametrize(("name", "right", "wrong"), PLANTED, ids=range(len(PLANTED)))
def test_the_comparison_finds_a_planted_fault(name: str, right: str, wrong: str, official: Verdict, tmp_path: Path) -> None:
    for path in XSD_FOLDER.glob("*.xsd"):
        text = path.read_text(encoding="utf-8")
        if path.name == name:
            assert right in text
            text = text.replace(right, wrong, 1)
        (tmp_path / path.name).write_text(text, encoding="utf-8")
    files = {RIM: "rim.xsd", RS: "rs.xsd", LCM: "lcm.xsd", QUERY: "query.xsd", XDS: "xds.xsd"}
    planted = _compiled([(namespace, tmp_path / file) for namespace, file in files.items()])
    chance = random.Random(1)
    bodies = [body for _, body in samples()]
    tried = (mutated(chance.choice(bodies), chance, 1) for _ in range(40_000))
    assert any(planted(body) != official(body) for body in tried)


# --------------------------------------------------------------------------------------------- the listed differences


def test_the_differences_are_listed_in_the_docs() -> None:
    text = _DOCS.read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| (SCH-\d+) \| (.*?) \|", text, re.MULTILINE))
    assert set(rows) == set(DIFFERENCES)
    assert {id: said for id, said in DIFFERENCES.items() if said not in rows[id]} == {}


@pytest.mark.parametrize("name", ["ProvideAndRegisterDocumentSetRequest", "RetrieveDocumentSetResponse"])
def test_sch_1_include(name: str, official: Verdict) -> None:
    text = SAMPLES[name].replace("UERG", '<x:Include xmlns:x="http://www.w3.org/2004/08/xop/include" href="cid:a"/>')
    body = etree.fromstring(text)
    assert ours(body) and not official(body)
    beside = etree.fromstring(text.replace("<x:Include", "text<x:Include"))
    assert not ours(beside) and not official(beside)
    twice = etree.fromstring(re.sub(r"(<x:Include[^>]*>)", r"\1\1", text))
    assert not ours(twice) and not official(twice)


@pytest.mark.parametrize("tag", ["Classification", "ExternalIdentifier", "Association", "ExtrinsicObject", "RegistryPackage"])
def test_sch_2_ids_that_nobody_refers_to(tag: str, official: Verdict) -> None:
    body = etree.fromstring(SAMPLES["SubmitObjectsRequest"])
    for element in body.iter(q(RIM, tag)):
        del element.attrib["id"]
    assert not official(body) and not ours(body)
    lenient = validate(body, "SubmitObjectsRequest", lenient=True)
    assert (lenient == []) is (tag in ("Classification", "ExternalIdentifier", "Association"))


def test_sch_3_query_expressions(official: Verdict) -> None:
    text = SAMPLES["SubmitObjectsRequest, all of ebRIM"].replace("SELECT", "<query:StringFilter/>")
    body = etree.fromstring(text)
    assert ours(body) and not official(body)
    unknown = etree.fromstring(text.replace("query:StringFilter", "rim:Slot"))
    assert not ours(unknown) and not official(unknown)


def test_sch_4_several_documents_to_remove(shared: Path, official: Verdict) -> None:
    helper = _compiled([(RMD, shared / "data" / "nist" / "schema" / "v3" / "rmd.xsd")])
    text = SAMPLES["RetrieveDocumentSetRequest"].replace("xds:RetrieveDocumentSetRequest", "rmd:RemoveDocumentsRequest")
    two = etree.fromstring(text)
    assert ours(two) and not helper(two) and not official(two)
    two.remove(two[0])
    assert ours(two) and helper(two)
    two.remove(two[0])
    assert not ours(two) and not helper(two)


def test_sch_6_types_of_an_identifiable(official: Verdict) -> None:
    text = SAMPLES["SubmitObjectsRequest, all of ebRIM"].replace(
        '<rim:Identifiable id="i"', f'<rim:Identifiable id="i" xmlns:xsi="{XSI}" xsi:type="rim:RegistryObjectType"'
    )
    body = etree.fromstring(text)
    assert official(body) and not ours(body)
    own = etree.fromstring(text.replace("rim:RegistryObjectType", "rim:IdentifiableType"))
    assert official(own) and ours(own)


def test_sch_5_other_requests(official_files: list[Path], official_folder: Path, official: Verdict) -> None:
    """What is declared there and not here: requests and filters that no IHE transaction uses, and nothing of ebRIM."""
    mine = sorted(XSD_FOLDER.glob("*.xsd"))
    theirs = [*official_files, official_folder / "ebRS30" / "cms.xsd"]
    for what in ("element", "complexType", "simpleType"):
        missing = {etree.QName(n) for n in set(_declared(theirs, what)) - set(_declared(mine, what))}
        assert {n.namespace for n in missing} <= {LCM, QUERY, "urn:oasis:names:tc:ebxml-regrep:xsd:cms:3.0"}
        of_queries = {n.localname for n in missing if n.namespace == QUERY}
        assert [name for name in of_queries if not re.search(r"(Query|Filter|Branch)(Type)?$", name)] == []
        assert {n.localname for n in missing if n.namespace == LCM} <= {
            "AcceptObjectsRequest", "ApproveObjectsRequest", "DeprecateObjectsRequest", "RelocateObjectsRequest",
            "UndeprecateObjectsRequest", "UpdateObjectsRequest",
        }  # fmt: skip
    update = etree.fromstring(SAMPLES["SubmitObjectsRequest"].replace("SubmitObjectsRequest", "UpdateObjectsRequest"))
    assert official(update) and not ours(update)
