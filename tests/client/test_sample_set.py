"""The sample set: the same for the same seed, every document judged against CDA, every header against its metadata."""

from __future__ import annotations

import dataclasses
import hashlib
import re

import pytest
from lxml import etree

from metadata import ins
from metadata.cda import check_cda
from metadata.ebrim import parse_submission
from metadata.fragments import build_submit_objects_request
from metadata.hl7 import problem_with_cx, problem_with_xcn, problem_with_xon
from metadata.model import Code
from metadata.scalars import problem_with_dtm, problem_with_identifier
from schemas.namespaces import HL7V3
from schemas.validate import validate
from server.cda import read_header
from server.description import Description, attributes_from_json, build_submission, document_id, to_json
from server.sample import KINDS, SampleDocument, make_documents
from server.sample_people import PROFESSIONALS, STRUCTURES, Patient, make_patients

PEOPLE = make_patients(12, 1)
DOCUMENTS = [(patient, document) for patient in PEOPLE for document in make_documents(patient, 10, 1)]
CDA = [(patient, document) for patient, document in DOCUMENTS if document.kind.mime_type == "text/xml"]
NS = {"c": HL7V3}

#: What issue the set answers: the ten kinds, with their type codes, typed again.
TYPES = {
    "discharge": "34112-3", "consultation": "11488-4", "laboratory": "11502-2", "imaging": "18748-4",
    "prescription": "57833-6", "vaccination": "87273-9", "patient-note": "EXPPAT_1", "reimbursements": "REMB",
    "certificate": "CERT_DECL", "letter": "DOCPAT01",
}  # fmt: skip


def test_the_ten_kinds() -> None:
    assert {kind.name: kind.type_code[0] for kind in KINDS} == TYPES
    assert [d.kind.name for p, d in DOCUMENTS[:10]] == list(TYPES)
    assert sum(kind.mime_type == "text/xml" for kind in KINDS) == 8


def test_same_seed_same_bytes() -> None:
    again = [d for patient in make_patients(12, 1) for d in make_documents(patient, 10, 1)]
    assert [d.data for d in again] == [d.data for _, d in DOCUMENTS]
    assert [d.description for d in again] == [d.description for _, d in DOCUMENTS]
    assert make_patients(12, 2) != PEOPLE
    digest = hashlib.sha256(b"".join(d.data for _, d in DOCUMENTS[:10])).hexdigest()
    other = hashlib.sha256(b"".join(d.data for d in make_documents(PEOPLE[0], 10, 2))).hexdigest()
    assert digest != other


def test_ids_are_unique_and_files_have_names_of_their_own() -> None:
    assert len({d.description.uniqueId for _, d in DOCUMENTS}) == len(DOCUMENTS)
    assert len({patient.ins for patient in make_patients(300, 3)}) == 300
    assert len({(p.ins, d.file_name) for p, d in DOCUMENTS}) == len(DOCUMENTS)


@pytest.mark.parametrize("patient", PEOPLE, ids=lambda p: p.ins)
def test_ins_is_valid_and_agrees_with_the_person(patient: Patient) -> None:
    assert ins.check(patient.ins) == ins.Identifier("INS-NIR", patient.ins)
    assert ins.check(patient.ins_c).kind == "INS-C"
    assert patient.ins[0] == ("2" if patient.sex == "F" else "1")
    assert patient.ins[1:5] == f"{patient.birth:%y%m}"
    assert patient.ins[5:10] == patient.birth_code
    assert problem_with_cx(patient.cx()) is None
    assert problem_with_cx(patient.cx(dmp=True), type_code=True) is None
    assert patient.cx(dmp=True) == f"{patient.ins}^^^&1.2.250.1.213.1.4.10&ISO^NH"
    assert problem_with_cx(patient.source_cx()) is None


def test_professionals_and_structures_have_right_ids() -> None:
    for person in PROFESSIONALS.values():
        assert re.fullmatch(r"8[0-9]{11}", person.id)
        assert problem_with_xcn(person.xcn) is None
    for structure in STRUCTURES.values():
        assert re.fullmatch(r"1[0-9]{9}|3[0-9]{14}", structure.id)
        assert problem_with_xon(structure.xon) is None


@pytest.mark.parametrize(("patient", "document"), CDA, ids=lambda value: getattr(getattr(value, "kind", None), "name", None))
def test_cda_is_right_and_about_this_patient(patient: Patient, document: SampleDocument) -> None:
    root = etree.fromstring(document.data)
    assert [finding.text() for finding in check_cda(root)] == []
    role = root.find("c:recordTarget/c:patientRole", NS)
    assert role is not None
    assert [e.get("extension") for e in role.findall("c:id", NS)] == [patient.ins, patient.ipp]
    assert role.findtext("c:patient/c:name/c:family", None, NS) == patient.family
    assert len(root.findall("c:component/c:structuredBody/c:component/c:section", NS)) >= 1
    assert len(b"".join(document.data.split())) > 2000


@pytest.mark.parametrize(("patient", "document"), CDA[:16], ids=lambda value: getattr(getattr(value, "kind", None), "name", None))
def test_header_says_what_the_metadata_say(patient: Patient, document: SampleDocument) -> None:
    header = read_header(document.data)
    assert header.replaces == ()
    assert Description(**header.attributes) == document.description
    names = [code.display for code in _codes(document.description)]
    assert [code.display for code in _codes(Description(**header.attributes))] == names
    with_types = read_header(document.data, dmp=True).attributes
    assert with_types["patientId"] == patient.cx(dmp=True)
    assert with_types["sourcePatientId"] == patient.source_cx(dmp=True)


def _codes(description: Description) -> list[Code]:
    values = [getattr(description, field.name) for field in dataclasses.fields(description)]
    return [code for value in values for code in (value if isinstance(value, tuple) else (value,)) if isinstance(code, Code)]


@pytest.mark.parametrize("document", [d for _, d in DOCUMENTS[:10]], ids=lambda d: d.kind.name)
def test_metadata_are_right_and_survive_json(document: SampleDocument) -> None:
    d = document.description
    for time in (d.creationTime, d.serviceStartTime, d.serviceStopTime):
        assert problem_with_dtm(time) is None
        assert len(time) == 14
    assert d.serviceStartTime <= d.serviceStopTime <= d.creationTime
    assert problem_with_identifier(d.uniqueId) is None
    assert len(d.uniqueId) <= 64
    assert Description(**attributes_from_json(to_json(d))) == d


def test_times_are_utc() -> None:
    """The header has Paris time with its offset, the metadata have UTC."""
    document = CDA[0][1]
    effective = re.search(rb'<effectiveTime value="([0-9]{14})\+0100"', document.data)
    assert effective is not None
    local = effective[1].decode()
    assert document.description.creationTime[8:10] == f"{(int(local[8:10]) - 1) % 24:02d}"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"titel": "x"}, "'titel' is no attribute of a document"),
        ({"classCode": "10"}, "classCode: the value '10' has not the right shape"),
        ({"classCode": {"code": "10"}}, "classCode: .*scheme"),
        ({"title": ["x"]}, "title: .*text is expected"),
        ({"author": [{"person": ["x"]}]}, "author: "),
        ({"sourcePatientInfo": "PID-5|X"}, "sourcePatientInfo: .*a list is expected"),
    ],
)
def test_wrong_json_is_refused_with_its_place(data: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        attributes_from_json(data)


def test_submission_of_the_set_is_schema_valid_and_says_the_same() -> None:
    documents = [document for _, document in DOCUMENTS[:10]]
    submission = build_submission([d.description for d in documents], source_id="1.2.3")
    element = etree.fromstring(build_submit_objects_request(submission))
    assert validate(element, "SubmitObjectsRequest") == []
    entries = parse_submission(element).documentEntries
    assert [entry.uniqueId for entry in entries] == [d.description.uniqueId for d in documents]
    assert [entry.entryUUID for entry in entries] == [document_id(n) for n in range(10)]
    for entry, document in zip(entries, documents, strict=True):
        for field in dataclasses.fields(Description):
            said = getattr(document.description, field.name)
            assert getattr(entry, field.name) == (said or type(said)() or None or getattr(entry, field.name)), field.name


def test_pdf_and_text() -> None:
    by_kind = {d.kind.name: d.data for _, d in DOCUMENTS[:10]}
    pdf = by_kind["certificate"]
    assert pdf.startswith(b"%PDF-1.4")
    assert pdf.rstrip().endswith(b"%%EOF")
    start = int(pdf.rsplit(b"startxref\n", 1)[1].split()[0])
    assert pdf[start : start + 4] == b"xref"
    for line in re.findall(rb"^([0-9]{10}) 00000 n $", pdf, re.MULTILINE):
        assert re.match(rb"[0-9]+ 0 obj", pdf[int(line) :])
    assert "Docteur," in by_kind["letter"].decode()
