"""ITI-62 over the wire: every error code, what queries find afterwards, and the policies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nist.wire import LCM, RIM, Answer
from tests.proof.conftest import Proof, open_proof
from tests.proof.messages import (
    APND,
    APPROVED,
    Association,
    Entry,
    Submission,
    new_uuid,
    query,
    quoted,
    single,
)

SCOPE = "urn:oasis:names:tc:ebxml-regrep:DeletionScopeType:DeleteRepositoryItemOnly"


def removal(*ids: str, inside: str = "", attributes: str = "") -> bytes:
    references = "".join(f'<rim:ObjectRef id="{id}"/>' for id in ids)
    return (
        f'<lcm:RemoveObjectsRequest xmlns:lcm="{LCM}" xmlns:rim="{RIM}"{attributes}>{inside}'
        f"<rim:ObjectRefList>{references}</rim:ObjectRefList></lcm:RemoveObjectsRequest>"
    ).encode()


def remove(proof: Proof, *ids: str, inside: str = "", attributes: str = "") -> Answer:
    return proof.client.soap("ITI-62", removal(*ids, inside=inside, attributes=attributes))


def submitted(proof: Proof, patient: str, *associations: Association) -> tuple[Submission, list[str]]:
    """One document, registered; and the entryUUIDs of the whole submission."""
    entry = Entry(patient).registered()
    if associations:
        associations[0].source = entry.id
    submission = Submission(patient, [entry], associations=associations)
    answer = proof.client.register(submission.xml())
    assert answer.status == "Success", answer.errors
    found = proof.client.query(query("GetSubmissionSetAndContents", {"$XDSSubmissionSetEntryUUID": single(submission.id)}))
    listed = found.body.find(f"{{{RIM}}}RegistryObjectList")
    assert listed is not None
    ids = [e.get("id", "") for e in listed]
    assert len(ids) == 3
    return submission, [*ids, *(a.id for a in associations)]


def found(proof: Proof, patient: str) -> list[str]:
    both = quoted(APPROVED, APPROVED.replace("Approved", "Deprecated"))
    status = {f"$XDS{kind}Status": both for kind in ("DocumentEntry", "SubmissionSet", "Folder")}
    answer = proof.client.query(query("GetAll", {"$patientId": single(patient), **status}))
    assert answer.status == "Success"
    listed = answer.body.find(f"{{{RIM}}}RegistryObjectList")
    assert listed is not None
    return [e.get("id", "") for e in listed]


@pytest.fixture(scope="module")
def deleting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proof]:
    with open_proof(tmp_path_factory.mktemp("deleting") / "data", environ={"CARNET_DOMAIN_REMOVAL": "delete"}) as opened:
        yield opened


@pytest.mark.parametrize("policy", ["hide", "delete"])
def test_what_is_removed_is_found_by_no_query(proof: Proof, deleting: Proof, policy: str) -> None:
    server = proof if policy == "hide" else deleting
    patient = server.patient()
    submission, ids = submitted(server, patient)
    other, _ = submitted(server, patient)
    answer = remove(server, *ids)
    assert (answer.status, answer.errors) == ("Success", [])
    assert answer.action == "urn:ihe:iti:2010:DeleteDocumentSetResponse"
    assert not set(found(server, patient)) & set(ids) and other.entries[0].id in found(server, patient)
    for asked in (
        query("GetDocuments", {"$XDSDocumentEntryUniqueId": quoted(submission.entries[0].uid)}),
        query("GetDocuments", {"$XDSDocumentEntryEntryUUID": quoted(submission.entries[0].id), "$MetadataLevel": "2"}),
        query("GetAssociations", {"$uuid": quoted(submission.id)}),
        query("GetSubmissionSetAndContents", {"$XDSSubmissionSetUniqueId": single(submission.uid)}),
    ):
        answer = server.client.query(asked)
        assert answer.status == "Success" and not list(answer.body.iter(f"{{{RIM}}}ExtrinsicObject", f"{{{RIM}}}Association"))
    assert remove(server, ids[0]).codes == ["UnresolvedReferenceException"]
    assert server.client.register(submission.xml()).status == "Success"


def test_each_refusal_and_that_nothing_went(proof: Proof) -> None:
    patient = proof.patient()
    first, ids = submitted(proof, patient)
    _, later = submitted(proof, patient, Association(APND, "", first.entries[0].id))
    before = found(proof, patient)
    asked = {
        "unknown": (remove(proof, *ids, new_uuid()), {"UnresolvedReferenceException", "ReferencesExistException"}),
        "referred to": (remove(proof, *ids), {"ReferencesExistException"}),
        "set alone": (remove(proof, first.id), {"ReferencesExistException"}),
        "by query": (remove(proof, later[-1], inside=f'<rim:AdhocQuery id="{new_uuid()}"/>'), {"XDSRegistryError"}),
        "with a scope": (remove(proof, later[-1], attributes=f' deletionScope="{SCOPE}"'), {"XDSRegistryError"}),
    }
    for name, (answer, codes) in asked.items():
        assert (answer.status, set(answer.codes)) == ("Failure", codes), (name, answer.errors)
        assert all(error.context for error in answer.errors)
    assert found(proof, patient) == before
    assert remove(proof, *later).status == "Success" and remove(proof, *ids).status == "Success"
    assert found(proof, patient) == []


def test_an_object_that_nobody_would_hold(proof: Proof) -> None:
    patient = proof.patient()
    submission, ids = submitted(proof, patient)
    without_set = [id for id in ids if id != submission.id]
    answer = remove(proof, *without_set)
    assert (answer.status, answer.codes) == ("Failure", ["XDSUnreferencedObjectException"])
    assert submission.id in answer.errors[0].context
    without_document = [id for id in ids if id != submission.entries[0].id]
    answer = remove(proof, *without_document)
    assert answer.codes == ["XDSUnreferencedObjectException"] and submission.entries[0].id in answer.errors[0].context


def test_the_policy_to_refuse(tmp_path: Path) -> None:
    with open_proof(tmp_path / "data", environ={"CARNET_DOMAIN_REMOVAL": "refuse"}, known=1) as refusing:
        patient = refusing.patient()
        _, ids = submitted(refusing, patient)
        answer = remove(refusing, *ids)
        assert (answer.status, answer.codes) == ("Failure", ["XDSRegistryError"])
        assert "policy" in answer.errors[0].context
        assert set(ids) <= set(found(refusing, patient))


def test_it_answers_at_its_own_address_too(proof: Proof) -> None:
    patient = proof.patient()
    _, ids = submitted(proof, patient)
    address = proof.client.registry.replace("/registry", "/iti62")
    assert proof.client.soap("ITI-62", removal(*ids), address).status == "Success"
