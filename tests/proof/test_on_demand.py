"""On-Demand entries over the wire: registered by ITI-61, found by those who ask for them, their rules and error codes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.nist.wire import Answer
from tests.proof.conftest import Proof, open_proof, unknown_patient
from tests.proof.messages import (
    APPROVED,
    REPOSITORY,
    RPLC,
    STABLE,
    Association,
    Entry,
    Folder,
    Submission,
    new_oid,
    new_uuid,
    query,
    quoted,
    single,
)

ON_DEMAND = "urn:uuid:34268e47-fdf5-41a6-ba33-82133c465248"


def on_demand(patient: str, uid: str = "", **fields: str) -> Entry:
    """An On-Demand entry: no creationTime, no hash, no size."""
    entry = Entry(patient, uid=uid or new_oid(), creation=None, repository=REPOSITORY, object_type=ON_DEMAND)
    for name, value in fields.items():
        setattr(entry, name, value)
    return entry


def register(proof: Proof, submission: Submission) -> Answer:
    return proof.client.soap("ITI-61", submission.xml())


def registered(proof: Proof, entry: Entry, *associations: Association) -> Entry:
    answer = register(proof, Submission(entry.patient, [entry], associations=associations))
    assert answer.status == "Success", answer.errors
    return entry


def found(proof: Proof, patient: str, *types: str, name: str = "FindDocuments") -> set[str]:
    slots = {
        "$patientId" if name == "GetAll" else "$XDSDocumentEntryPatientId": single(patient),
        **{f"$XDS{kind}Status": quoted(APPROVED) for kind in ("DocumentEntry", "SubmissionSet", "Folder")},
    }
    if types:
        slots["$XDSDocumentEntryType"] = quoted(*types)
    answer = proof.client.query(query(name, slots))
    assert answer.status == "Success", answer.errors
    return {e.get("id", "") for e in answer.body.iter("{*}ExtrinsicObject")}


@pytest.mark.parametrize("name", ["FindDocuments", "GetAll"])
def test_who_asks_for_them_finds_them(proof: Proof, name: str) -> None:
    patient = proof.patient()
    entry = registered(proof, on_demand(patient))
    stable = Entry(patient).registered()
    assert proof.client.register(Submission(patient, [stable]).xml()).status == "Success"
    assert found(proof, patient, name=name) == {stable.id}
    assert found(proof, patient, ON_DEMAND, name=name) == {entry.id}
    assert found(proof, patient, ON_DEMAND, STABLE, name=name) == {entry.id, stable.id}


def test_an_on_demand_entry_replaces_and_is_replaced(proof: Proof) -> None:
    """Stable by on-demand, on-demand by on-demand, and into a Folder (ITI TF-2: 3.61.4.1.2)."""
    patient = proof.patient()
    stable = Entry(patient).registered()
    assert proof.client.register(Submission(patient, [stable]).xml()).status == "Success"
    first = on_demand(patient)
    registered(proof, first, Association(RPLC, first.id, stable.id))
    second = on_demand(patient, uid=first.uid)
    folder = Folder(patient)
    member = Association("urn:oasis:names:tc:ebxml-regrep:AssociationType:HasMember", folder.id, second.id)
    links = [Association(RPLC, second.id, first.id), member]
    answer = register(proof, Submission(patient, [second], [folder], links))
    assert answer.status == "Success", answer.errors
    assert found(proof, patient, ON_DEMAND, STABLE) == {second.id}


def test_the_response_action_is_a_setting(proof: Proof, tmp_path: Path) -> None:
    patient = proof.patient()
    answer = register(proof, Submission(patient, [on_demand(patient)]))
    assert answer.action == "urn:ihe:iti:2010:RegisterOnDemandDocumentEntryResponse"
    with open_proof(tmp_path / "data", environ={"CARNET_DOMAIN_ITI61_RESPONSE": "document"}, known=1) as other:
        patient = other.patient()
        answer = register(other, Submission(patient, [on_demand(patient)]))
    assert answer.action == "urn:ihe:iti:2010:RegisterOnDemandDocumentResponse" and answer.status == "Success"


# -------------------------------------------------------------------------------------------------------------- refusals

Builds = Callable[[Proof], Submission]


def _of(entry: Callable[[str], Entry]) -> Builds:
    def build(proof: Proof) -> Submission:
        patient = proof.patient()
        return Submission(patient, [entry(patient)])

    return build


def _uid_of_a_stable_one(proof: Proof) -> Submission:
    stable = Entry(proof.patient()).registered()
    assert proof.client.register(Submission(stable.patient, [stable]).xml()).status == "Success"
    return Submission(stable.patient, [on_demand(stable.patient, uid=stable.uid)])


def _of_nobody(proof: Proof) -> Submission:
    patient = unknown_patient()
    return Submission(patient, [on_demand(patient)])


def _replaces_nothing(proof: Proof) -> Submission:
    entry = on_demand(proof.patient())
    return Submission(entry.patient, [entry], associations=[Association(RPLC, entry.id, new_uuid())])


def _replaces_what_is_deprecated(proof: Proof) -> Submission:
    patient = proof.patient()
    first, second, third = (on_demand(patient) for _ in range(3))
    registered(proof, first)
    registered(proof, second, Association(RPLC, second.id, first.id))
    return Submission(patient, [third], associations=[Association(RPLC, third.id, first.id)])


def _set_again(proof: Proof) -> Submission:
    patient = proof.patient()
    first = Submission(patient, [on_demand(patient)])
    assert register(proof, first).status == "Success"
    return Submission(patient, [on_demand(patient)], uid=first.uid)


def _two_patients(proof: Proof) -> Submission:
    return Submission(proof.patient(), [on_demand(proof.patient())])


def _uid_twice(proof: Proof) -> Submission:
    patient, uid = proof.patient(), new_oid()
    return Submission(patient, [on_demand(patient)], [Folder(patient, uid=uid), Folder(patient, uid=uid)])


_WRONG = "XDSRegistryMetadataError"
REFUSALS: list[tuple[str, str, Builds]] = [
    ("with creationTime", _WRONG, _of(lambda p: on_demand(p, creation="20240101"))),
    ("with a hash", _WRONG, _of(lambda p: on_demand(p, hash="a" * 40))),
    ("with a size", _WRONG, _of(lambda p: on_demand(p, size=5))),  # type: ignore[arg-type]
    ("without repositoryUniqueId", _WRONG, _of(lambda p: on_demand(p, repository=None))),  # type: ignore[arg-type]
    ("a stable one", _WRONG, _of(lambda p: Entry(p).registered())),
    ("no entry", _WRONG, lambda proof: Submission(patient := proof.patient(), folders=[Folder(patient)])),
    ("the uniqueId of a stable one", _WRONG, _uid_of_a_stable_one),
    ("of nobody", "XDSUnknownPatientId", _of_nobody),
    ("replaces nothing", "UnresolvedReferenceException", _replaces_nothing),
    ("replaces a deprecated one", "XDSRegistryDeprecatedDocumentError", _replaces_what_is_deprecated),
    ("a SubmissionSet again", "XDSDuplicateUniqueIdInRegistry", _set_again),
    ("two patients", "XDSPatientIdDoesNotMatch", _two_patients),
    ("one uniqueId twice", "XDSRegistryDuplicateUniqueIdInMessage", _uid_twice),
]


@pytest.mark.parametrize(("code", "build"), [row[1:] for row in REFUSALS], ids=[row[0] for row in REFUSALS])
def test_refused(proof: Proof, code: str, build: Builds) -> None:
    """The code comes with Failure, and nothing of the submission can be found."""
    submission = build(proof)
    answer = register(proof, submission)
    assert answer.status == "Failure" and set(answer.codes) == {code}, answer.errors
    ids = [submission.id, *(entry.id for entry in submission.entries)]
    there = proof.client.query(query("GetAssociations", {"$uuid": quoted(*ids)}))
    assert there.status == "Success" and not list(there.body.iter("{*}Association"))


def test_iti_42_takes_no_on_demand_entry(proof: Proof) -> None:
    patient = proof.patient()
    answer = proof.client.register(Submission(patient, [on_demand(patient)]).xml())
    assert answer.status == "Failure" and _WRONG in answer.codes
