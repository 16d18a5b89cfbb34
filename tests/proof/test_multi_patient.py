"""ITI-51 at its own address, FindDocumentsByTitle, and answers that are the same twice: over the wire."""

from __future__ import annotations

from pathlib import Path

import pytest
from lxml import etree

from tests.nist.wire import RIM, Answer, soap_request
from tests.nist.wire import post_raw as raw
from tests.proof.conftest import Proof, open_proof
from tests.proof.messages import APPROVED, Entry, Folder, Submission, new_uuid, query, quoted, single

EVENT = "MPQ-EVENT^^1.2.3"
ORDER = "O-{}^^^&1.2.3.9&ISO^urn:ihe:iti:xds:2013:order"


def put(proof: Proof, *entries: Entry, folders: tuple[Folder, ...] = ()) -> None:
    for entry in entries:
        entry.registered()
    answer = proof.client.register(Submission(entries[0].patient, entries, folders).xml())
    assert answer.status == "Success", answer.errors


def multi(proof: Proof, name: str, slots: dict[str, str], return_type: str = "LeafClass") -> Answer:
    return proof.client.soap("ITI-51", query(name, slots, return_type), proof.client.multi_patient)


def ids(answer: Answer) -> set[str]:
    found = answer.body.find(f"{{{RIM}}}RegistryObjectList")
    assert answer.status == "Success" and found is not None, answer.errors
    return {e.get("id", "") for e in found}


def test_documents_of_several_patients(proof: Proof) -> None:
    """By patients, by code without a patient; a LeafClass answer may hold several patients."""
    event = f"{new_uuid()[9:]}^^1.2.3"
    one, other, third = (Entry(proof.patient(), events=[event]) for _ in range(3))
    for entry in (one, other, third):
        put(proof, entry)
    status = {"$XDSDocumentEntryStatus": quoted(APPROVED)}
    by_patient = {"$XDSDocumentEntryPatientId": quoted(one.patient, other.patient), **status}
    assert ids(multi(proof, "FindDocumentsForMultiplePatients", by_patient)) == {one.id, other.id}
    by_code = {"$XDSDocumentEntryEventCodeList": quoted(event), **status}
    assert ids(multi(proof, "FindDocumentsForMultiplePatients", by_code, "ObjectRef")) == {one.id, other.id, third.id}
    assert ids(multi(proof, "FindDocumentsForMultiplePatients", {**by_code, **by_patient})) == {one.id, other.id}


def test_folders_and_reference_ids_of_several_patients(proof: Proof) -> None:
    code, order = f"{new_uuid()[9:]}^^1.2.3", ORDER.format(new_uuid()[9:])
    entries = [Entry(proof.patient(), references=[order]) for _ in range(2)]
    folders = [Folder(entry.patient, codes=[code]) for entry in entries]
    for entry, folder in zip(entries, folders, strict=True):
        put(proof, entry, folders=(folder,))
    found = multi(
        proof, "FindFoldersForMultiplePatients", {"$XDSFolderCodeList": quoted(code), "$XDSFolderStatus": quoted(APPROVED)}
    )
    assert ids(found) == {folder.id for folder in folders}
    slots = {"$XDSDocumentEntryReferenceIdList": quoted(order), "$XDSDocumentEntryStatus": quoted(APPROVED)}
    assert ids(multi(proof, "FindDocumentsByReferenceIdForMultiplePatients", slots)) == {entry.id for entry in entries}


@pytest.mark.parametrize(
    ("name", "slots", "code"),
    [
        ("FindDocumentsForMultiplePatients", {"$XDSDocumentEntryStatus": quoted(APPROVED)}, "XDSStoredQueryMissingParam"),
        ("FindFoldersForMultiplePatients", {"$XDSFolderCodeList": quoted("A^^B")}, "XDSStoredQueryMissingParam"),
        ("FindDocuments", {}, "XDSUnknownStoredQuery"),
        ("FindDocumentsForMultiplePatients", {"$XDSDocumentEntryClassCode": "('A' 'B')"}, "XDSRegistryError"),
        (
            "FindDocumentsForMultiplePatients",
            {"$XDSDocumentEntryStatus": quoted(APPROVED), "$XDSDocumentEntryClassCode": quoted("A^^B"),
             "$XDSDocumentEntryCreationTimeFrom": "(20200101,20210101)"},
            "XDSStoredQueryParamNumber",
        ),
    ],
)  # fmt: skip
def test_refusals(proof: Proof, name: str, slots: dict[str, str], code: str) -> None:
    answer = multi(proof, name, slots)
    assert answer.status == "Failure" and code in answer.codes, answer.errors


def test_too_many_results(tmp_path: Path) -> None:
    with open_proof(tmp_path / "data", environ={"CARNET_LIMITS_QUERY_RESULTS": "1"}, known=2) as narrow:
        for _ in range(2):
            put(narrow, Entry(narrow.patient(), events=[EVENT]))
        slots = {"$XDSDocumentEntryEventCodeList": quoted(EVENT), "$XDSDocumentEntryStatus": quoted(APPROVED)}
        assert multi(narrow, "FindDocumentsForMultiplePatients", slots).codes == ["XDSTooManyResults"]


def test_its_own_address_and_its_own_switch(proof: Proof, tmp_path: Path) -> None:
    """The registry's shared address does not answer ITI-51; switched off there is no address at all."""
    body = query("FindDocumentsForMultiplePatients", {"$XDSDocumentEntryStatus": quoted(APPROVED)})
    shared = proof.client.soap("ITI-51", body)
    assert shared.fault and "ActionNotSupported" in etree.tostring(shared.envelope).decode()
    assert proof.client.soap("ITI-18", body).codes == ["XDSUnknownStoredQuery"]
    with open_proof(tmp_path / "data", environ={"CARNET_DOMAIN_MULTI_PATIENT": "false"}, known=1) as closed:
        address = closed.client.multi_patient
        status, _, _ = raw(address, *soap_request("urn:ihe:iti:2009:MultiPatientStoredQuery", body, address))
        assert status == 404


def by_title(proof: Proof, patient: str, pattern: str) -> Answer:
    slots = {
        "$XDSDocumentEntryPatientId": single(patient),
        "$XDSDocumentEntryStatus": quoted(APPROVED),
        "$XDSDocumentEntryTitle": quoted(pattern),
    }
    return proof.client.query(query("FindDocumentsByTitle", slots))


def test_find_documents_by_title(proof: Proof, tmp_path: Path) -> None:
    """The extension finds by a pattern of the title; with the strict profile, or switched off, the registry does not know it."""
    patient = proof.patient()
    report, note = Entry(patient, title="Compte rendu d'hospitalisation"), Entry(patient, title="Note")
    put(proof, report, note)
    assert ids(by_title(proof, patient, "%d'hospital%")) == {report.id}
    assert ids(by_title(proof, patient, "note")) == set()
    for name, value in (("TITLE_QUERY", "false"), ("WIRE", "strict")):
        with open_proof(tmp_path / name, environ={f"CARNET_DOMAIN_{name}": value}, known=1) as strict:
            answer = by_title(strict, strict.patient(), "%")
            assert (answer.status, answer.codes) == ("Failure", ["XDSUnknownStoredQuery"])
            assert "FindDocumentsByTitle" in answer.errors[0].context


@pytest.mark.parametrize("name", ["FindDocuments", "GetAll", "FindDocumentsForMultiplePatients"])
def test_equal_queries_give_equal_bytes(proof: Proof, name: str) -> None:
    """The same request twice, octet for octet: the order is that of registration, and nothing in the answer is random."""
    patient = proof.patient()
    for _ in range(3):
        put(proof, *(Entry(patient) for _ in range(4)))
    status = {f"$XDS{kind}Status": quoted(APPROVED) for kind in ("DocumentEntry", "SubmissionSet", "Folder")}
    key = "$patientId" if name == "GetAll" else "$XDSDocumentEntryPatientId"
    value = quoted(patient) if "Multiple" in name else single(patient)
    transaction = "ITI-51" if "Multiple" in name else "ITI-18"
    address = proof.client.multi_patient if "Multiple" in name else proof.client.registry
    action = {"ITI-18": "urn:ihe:iti:2007:RegistryStoredQuery", "ITI-51": "urn:ihe:iti:2009:MultiPatientStoredQuery"}[transaction]
    request = soap_request(action, query(name, {key: value, **status}), address)
    first, second = (raw(address, *request) for _ in range(2))
    assert first[0] == 200 and first == second and first[2].count(b"<rim:ExtrinsicObject") == 12
