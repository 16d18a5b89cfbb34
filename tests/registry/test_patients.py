"""Patients as the commands see them, documents as the check of the store sees them."""

from __future__ import annotations

import pytest

from registry import patients
from registry.codes import CodeBook
from registry.documents import PAGE, RegisteredDocuments
from registry.iti42 import RegisterDocumentSet
from registry.tables import PatientState
from storage.database import Connection, Database
from tests.registry.submissions import (
    HAS_MEMBER,
    REPOSITORY,
    documents,
    entry,
    folder,
    link,
    new_oid,
    new_patient,
    original,
    submission,
    submission_set,
)


@pytest.fixture(scope="module")
def registry(database: Database) -> RegisterDocumentSet:
    return RegisterDocumentSet(database, CodeBook())


def test_a_patient_is_added_once(database: Database) -> None:
    cx = f"{new_oid()}^^^&1.2.3&ISO"
    assert patients.add(database, cx)
    assert not patients.add(database, cx)
    assert not patients.add(database, cx + "^PI"), "a type code and trailing components say nothing about who it is"
    assert [p.cx for p in patients.list_patients(database) if p.cx.startswith(cx)] == [cx]


def test_a_record_counts_what_is_registered(database: Database, registry: RegisterDocumentSet) -> None:
    cx = new_patient(database)
    also = (folder(cx), link(HAS_MEMBER, "SubmissionSet01", "Folder01"))
    registry.register(documents(cx, "Document01", "Document02", also=also))
    record = patients.show(database, cx)
    assert record is not None
    assert (record.documentEntries, record.submissionSets, record.folders) == (2, 1, 1)
    assert (record.asked.surviving, record.asked.state) == (cx, PatientState.ACTIVE)
    assert [p.cx for p in record.identifiers] == [cx]
    assert patients.show(database, "nobody^^^&1.2.3&ISO") is None


def test_patients_are_listed_in_pages(database: Database) -> None:
    added = [new_patient(database) for _ in range(5)]
    listed: list[str] = []
    after = 0
    while page := patients.list_patients(database, after, 2):
        assert len(page) <= 2
        listed += [p.cx for p in page]
        after = page[-1].id
    assert [cx for cx in listed if cx in added] == added
    assert len(listed) == len(set(listed))


def test_a_locked_patient_is_found_on_the_way(database: Database) -> None:
    cx = new_patient(database)

    def work(connection: Connection) -> None:
        locked = patients.lock(connection, [cx, "nobody^^^&1.2.3&ISO"])
        assert locked.keys() == {cx}
        assert patients.lock_by_id(connection, [locked[cx].id])[locked[cx].id] == locked[cx]

    database.write(work)


# ------------------------------------------------------------------------------------------- documents, for check-store


def test_every_stable_document_of_a_repository_is_told_with_hash_and_size(
    database: Database, registry: RegisterDocumentSet
) -> None:
    cx, count = new_patient(database), PAGE + 20
    ids = [f"Document{n}" for n in range(count)]
    unique = {id: new_oid() for id in ids}
    entries = [entry(cx, id, unique_id=unique[id], hash=f"{n:040x}", size=str(n)) for n, id in enumerate(ids)]
    registry.register(submission(submission_set(cx), *entries, *map(original, ids)))
    told = [one for page in RegisteredDocuments(database, REPOSITORY).pages() for one in page]
    assert len(told) == len(set(told))
    mine = {one.uniqueId: (one.hash, one.size) for one in told if one.uniqueId in unique.values()}
    assert mine == {unique[id]: (f"{n:040x}", n) for n, id in enumerate(ids)}
    assert list(RegisteredDocuments(database, "1.2.3.elsewhere").pages()) == []


def test_hashes_are_told_by_unique_id(database: Database, registry: RegisterDocumentSet) -> None:
    cx, unique_id = new_patient(database), new_oid()
    for _ in range(2):
        registry.register(submission(submission_set(cx), entry(cx, unique_id=unique_id), original()))
    found = RegisteredDocuments(database, REPOSITORY).hashes([unique_id, "1.2.3.unknown"])
    assert found == {unique_id: {"da39a3ee5e6b4b0d3255bfef95601890afd80709"}}
