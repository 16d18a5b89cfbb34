"""ITI-62 in the registry: what may go, what may not, and that nothing is left of what went."""

from __future__ import annotations

import json
import threading
import zlib
from collections.abc import Mapping
from typing import Any

import pytest
import sqlalchemy as sa

from metadata.rules.removal import Removal, RemovalPolicy
from metadata.rules.rule import Refused
from registry.codes import CodeBook
from registry.iti42 import RegisterDocumentSet
from registry.iti62 import RemovalOptions, RemoveMetadata
from registry.record import Records
from registry.search_sql import TABLES
from registry.tables import object_locator, removed, unique_identifier
from storage.database import METADATA, Database
from tests.registry.submissions import (
    APND,
    HAS_MEMBER,
    RPLC,
    documents,
    entry,
    folder,
    link,
    new_oid,
    new_patient,
    new_uuid,
    original,
    register_one,
    replacement,
    submission,
    submission_set,
)

OBJECT_TABLES = [*TABLES.values(), object_locator, unique_identifier]


@pytest.fixture
def registry(database: Database) -> RegisterDocumentSet:
    return RegisterDocumentSet(database, CodeBook())


@pytest.fixture(params=[RemovalPolicy.HIDE, RemovalPolicy.DELETE], ids=lambda policy: policy.value)
def remover(request: pytest.FixtureRequest, database: Database) -> RemoveMetadata:
    return RemoveMetadata(database, CodeBook(), RemovalOptions(request.param))


def counts(database: Database, *tables: sa.Table) -> list[int]:
    with database.read() as connection:
        return [connection.execute(sa.select(sa.func.count()).select_from(table))[0][0] for table in tables or OBJECT_TABLES]


def state(database: Database) -> dict[str, list[Any]]:
    with database.read() as connection:
        return {t.name: sorted(map(repr, connection.execute(sa.select(t)))) for t in METADATA.sorted_tables}


def remove(remover: RemoveMetadata, *ids: str) -> None:
    remover.remove(Removal(ids))


def codes(remover: RemoveMetadata, *ids: str) -> dict[str, set[str]]:
    """Error codes by object of a removal that is refused."""
    with pytest.raises(Refused) as caught:
        remove(remover, *ids)
    found: dict[str, set[str]] = {}
    for finding in caught.value.findings:
        found.setdefault(finding.object, set()).add(finding.code.value)
        assert finding.object in finding.text()
    return found


def register(registry: RegisterDocumentSet, *objects: str) -> Mapping[str, str]:
    return registry.register(submission(*objects)).ids


def one(registry: RegisterDocumentSet, patient: str) -> Mapping[str, str]:
    """A submission of one document; its HasMember is `HM`."""
    member = link(HAS_MEMBER, "SubmissionSet01", "Document01", id="HM", label="Original")
    return register(registry, submission_set(patient), entry(patient), member)


def test_a_whole_submission_goes_without_a_trace(
    registry: RegisterDocumentSet, remover: RemoveMetadata, database: Database
) -> None:
    patient = new_patient(database)
    before = counts(database)
    ids = one(registry, patient)
    assert counts(database) != before
    remove(remover, *ids.values(), *ids.values())  # named twice is named
    assert counts(database) == before
    kept = counts(database, removed)[0]
    with database.read() as connection:
        rows = connection.execute(sa.select(removed.c.content).where(removed.c.uuid == sa.literal(_key(ids["Document01"]))))
    if remover._options.policy is RemovalPolicy.DELETE:
        assert rows == []
    else:
        (content,) = (json.loads(zlib.decompress(row[0])) for row in rows)
        assert kept >= 3 and content[0]["title"] == "Compte rendu" and bytes.fromhex(content[0]["fragment"])


def _key(entry_uuid: str) -> bytes:
    return bytes.fromhex(entry_uuid.removeprefix("urn:uuid:").replace("-", ""))


def test_a_removed_unique_id_and_uuid_can_be_used_again(
    registry: RegisterDocumentSet, remover: RemoveMetadata, database: Database
) -> None:
    patient, set_uid, uid, uuid = new_patient(database), new_oid(), new_oid(), new_uuid()
    objects = [submission_set(patient, unique_id=set_uid), entry(patient, uuid, unique_id=uid)]
    for content in ("a" * 40, "b" * 40):
        objects[1] = entry(patient, uuid, unique_id=uid, hash=content)
        ids = register(registry, *objects, link(HAS_MEMBER, "SubmissionSet01", uuid, id="HM", label="Original"))
        remove(remover, *ids.values())


def test_what_is_not_registered_is_told_and_nothing_else_happens(
    registry: RegisterDocumentSet, remover: RemoveMetadata, database: Database
) -> None:
    ids = one(registry, new_patient(database))
    before = state(database)
    unknown = new_uuid()
    assert codes(remover, *ids.values(), unknown, "Document01") == {
        unknown: {"UnresolvedReferenceException"}, "Document01": {"UnresolvedReferenceException"},
    }  # fmt: skip
    assert state(database) == before


def test_references_that_would_stay(registry: RegisterDocumentSet, remover: RemoveMetadata, database: Database) -> None:
    ids = one(registry, new_patient(database))
    assert codes(remover, ids["SubmissionSet01"]) == {ids["SubmissionSet01"]: {"ReferencesExistException"}}
    assert codes(remover, ids["Document01"]) == {ids["Document01"]: {"ReferencesExistException"}}
    found = codes(remover, ids["Document01"], ids["HM"])
    assert found == {ids["SubmissionSet01"]: {"XDSUnreferencedObjectException"}}
    found = codes(remover, ids["SubmissionSet01"], ids["HM"])
    assert found == {ids["Document01"]: {"XDSUnreferencedObjectException"}}
    assert codes(remover, ids["HM"]) == {
        ids["SubmissionSet01"]: {"XDSUnreferencedObjectException"}, ids["Document01"]: {"XDSUnreferencedObjectException"},
    }  # fmt: skip


def test_a_document_in_a_folder(registry: RegisterDocumentSet, remover: RemoveMetadata, database: Database) -> None:
    """FD-DE and the SS-HM that holds it belong to the document; one of two documents may go alone with them."""
    patient = new_patient(database)
    ids = register(
        registry, submission_set(patient), entry(patient), entry(patient, "Document02"), folder(patient),
        link(HAS_MEMBER, "SubmissionSet01", "Document01", id="HM1", label="Original"), original("Document02"),
        link(HAS_MEMBER, "SubmissionSet01", "Folder01"), link(HAS_MEMBER, "Folder01", "Document01", id="FD1"),
        link(HAS_MEMBER, "SubmissionSet01", "FD1", id="SSHM1"),
    )  # fmt: skip
    assert codes(remover, ids["Document01"], ids["HM1"]) == {ids["Document01"]: {"ReferencesExistException"}}
    assert codes(remover, ids["Document01"], ids["HM1"], ids["FD1"]) == {ids["FD1"]: {"ReferencesExistException"}}
    assert codes(remover, ids["SSHM1"]) == {ids["FD1"]: {"XDSUnreferencedObjectException"}}
    remove(remover, ids["Document01"], ids["HM1"], ids["FD1"], ids["SSHM1"])


def test_a_document_held_by_two_sets_may_lose_one(
    registry: RegisterDocumentSet, remover: RemoveMetadata, database: Database
) -> None:
    """The second SubmissionSet refers to it, for another patient: the row under that patient goes as well."""
    mother, child = new_patient(database), new_patient(database)
    document = one(registry, mother)["Document01"]
    before = counts(database)
    reference = link(HAS_MEMBER, "SubmissionSet01", document, id="HM", label="Reference")
    ids = register(registry, submission_set(child), reference)
    remove(remover, *ids.values())
    assert counts(database) == before


@pytest.mark.parametrize("kind", [RPLC, APND])
def test_relationships(registry: RegisterDocumentSet, remover: RemoveMetadata, database: Database, kind: str) -> None:
    patient = new_patient(database)
    first = one(registry, patient)
    outcome = registry.register(
        submission(
            submission_set(patient), entry(patient), link(kind, "Document01", first["Document01"], id="R"),
            link(HAS_MEMBER, "SubmissionSet01", "Document01", id="HM", label="Original"),
        )
    )  # fmt: skip
    ids = outcome.ids
    assert codes(remover, *first.values()) == {first["Document01"]: {"ReferencesExistException"}}
    without = [id for name, id in ids.items() if name != "R"]
    assert codes(remover, *without) == {ids["Document01"]: {"ReferencesExistException"}}
    remove(remover, *first.values(), ids["R"])
    remove(remover, *without)


def test_all_findings_at_once(registry: RegisterDocumentSet, database: Database) -> None:
    refusing = RemoveMetadata(database, CodeBook(), RemovalOptions(RemovalPolicy.REFUSE))
    document = register_one(registry, new_patient(database))
    with pytest.raises(Refused) as caught:
        refusing.remove(Removal((document, new_uuid()), True, "DeleteAll"))
    assert {f.rule for f in caught.value.findings} == {"RM-001", "RM-002", "RM-004", "RM-005", "RM-006"}
    with pytest.raises(Refused) as caught:
        refusing.remove(Removal(()))
    assert {f.rule for f in caught.value.findings} == {"RM-003", "RM-004"}


def test_a_removal_and_a_submission_that_refers_to_it(database: Database) -> None:
    """At the same moment: one of the two is refused, and no Association is ever left without its end."""
    registry, remover = RegisterDocumentSet(database, CodeBook()), RemoveMetadata(database, CodeBook())
    for _ in range(8):
        patient = new_patient(database)
        ids = one(registry, patient)
        outcomes: list[str] = []
        start = threading.Barrier(2)

        def append(
            patient: str = patient,
            target: str = ids["Document01"],
            start: threading.Barrier = start,
            outcomes: list[str] = outcomes,
        ) -> None:
            start.wait(60)
            try:
                registry.register(replacement(patient, target, APND))
            except Refused as refused:
                outcomes.append(refused.findings[0].code.value)

        other = threading.Thread(target=append)
        other.start()
        start.wait(60)
        try:
            remove(remover, *ids.values())
        except Refused as refused:
            outcomes.append(refused.findings[0].code.value)
        other.join(60)
        assert len(outcomes) == 1 and outcomes[0] in ("UnresolvedReferenceException", "ReferencesExistException")


def test_a_closed_record_keeps_what_it_has(
    registry: RegisterDocumentSet, remover: RemoveMetadata, database: Database
) -> None:
    patient = new_patient(database)
    ids = one(registry, patient)
    records = Records(database)
    records.close(patient)
    with pytest.raises(Refused) as caught:
        remove(remover, *ids.values())
    assert [(f.rule, f.value) for f in caught.value.findings] == [("RM-010", patient)]
    records.reopen(patient)
    remove(remover, *ids.values())


def test_a_hundred_documents_go_at_once(
    registry: RegisterDocumentSet, remover: RemoveMetadata, database: Database
) -> None:
    patient = new_patient(database)
    before = counts(database)
    ids = registry.register(documents(patient, *(f"Document{n}" for n in range(100)))).ids
    remove(remover, *ids.values())
    assert counts(database) == before
