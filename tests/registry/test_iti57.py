"""What an update does to the registry, seen through stored queries (ITI TF-2: 3.57.4.1.3; ITI TF-3: 4.1.5)."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from metadata.model import Submission
from metadata.rules.rule import Refused
from metadata.vocabulary import ErrorCode
from registry.codes import CodeBook
from registry.iti42 import RegisterDocumentSet
from registry.iti57 import UpdateDocumentSet
from registry.iti92 import RestrictedUpdateDocumentSet
from registry.patients import announce
from storage.database import Database
from tests.registry.asking import BOTH, Consumer
from tests.registry.submissions import (
    APND,
    APPROVED,
    DEPRECATED,
    HAS_MEMBER,
    RPLC,
    SIGNS,
    documents,
    folder,
    link,
    new_patient,
    new_uuid,
    register_one,
    replacement,
)
from tests.registry.updates import new_entry, new_folder, status, submit, update


@dataclass
class Registry:
    """The three doors of one store."""

    registers: RegisterDocumentSet
    updates: UpdateDocumentSet
    restricted: RestrictedUpdateDocumentSet
    asks: Consumer

    def refused(self, sent: Submission) -> list[str]:
        with pytest.raises(Refused) as caught:
            self.updates.update(sent)
        return [finding.code.value for finding in caught.value.findings]

    def members(self, folder: str, level: str = "1") -> set[str]:
        """The documents in this version of a Folder."""
        slots = {"$XDSFolderEntryUUID": f"'{folder}'", "$MetadataLevel": level, "$XDSAssociationStatus": BOTH}
        return {e.entryUUID for e in self.asks.ask("GetFolderAndContents", slots).documentEntries}

    def relations(self, *uuids: str) -> set[tuple[str, str, str]]:
        """(type, source, target) of the approved associations between documents."""
        return {
            (a.associationType, a.sourceObject, a.targetObject)
            for a in self.asks.links(*uuids)
            if a.associationType != HAS_MEMBER and a.availabilityStatus == APPROVED
        }

    def unique_id(self, uuid: str) -> str:
        return self.asks.entry(uuid).uniqueId or ""


@pytest.fixture(scope="module")
def registry(database: Database) -> Registry:
    codes = CodeBook()
    return Registry(
        RegisterDocumentSet(database, codes),
        UpdateDocumentSet(database, codes),
        RestrictedUpdateDocumentSet(database, codes),
        Consumer(database),
    )


@pytest.fixture
def patient(database: Database) -> str:
    return new_patient(database)


def in_a_folder(registry: Registry, patient: str) -> tuple[str, str, str]:
    """(Folder, its uniqueId, the document in it)."""
    own = folder(patient)
    inside = (
        own,
        link(HAS_MEMBER, "SubmissionSet01", "Folder01"),
        link(HAS_MEMBER, "Folder01", "Document01", id="Membership"),
        link(HAS_MEMBER, "SubmissionSet01", "Membership"),
    )
    outcome = registry.registers.register(documents(patient, "Document01", also=inside))
    found = registry.asks.folder(outcome.ids["Folder01"])
    return found.entryUUID, found.uniqueId or "", outcome.ids["Document01"]


# ------------------------------------------------------------------------------------------------------------- versions


def test_versions_are_counted_and_only_the_newest_is_approved(registry: Registry, patient: str) -> None:
    first = register_one(registry.registers, patient)
    uid = registry.unique_id(first)
    second, third = new_uuid(), new_uuid()
    registry.updates.update(update(patient, new_entry(patient, first, uid, 1, second, "Second")))
    registry.updates.update(update(patient, new_entry(patient, first, uid, 2, third, "Third")))
    found = [registry.asks.entry(uuid) for uuid in (first, second, third)]
    assert [(e.version, e.availabilityStatus, e.logicalID, e.title) for e in found] == [
        ("1", DEPRECATED, first, "Compte rendu"),
        ("2", DEPRECATED, first, "Second"),
        ("3", APPROVED, first, "Third"),
    ]


def test_a_symbolic_id_becomes_a_uuid(registry: Registry, patient: str) -> None:
    first = register_one(registry.registers, patient)
    outcome = registry.updates.update(update(patient, new_entry(patient, first, registry.unique_id(first), id="Document01")))
    assert registry.asks.entry(outcome.ids["Document01"]).version == "2"


def test_a_new_version_and_a_status_in_one_message(registry: Registry, patient: str) -> None:
    first, second = register_one(registry.registers, patient), new_uuid()
    registry.updates.update(update(patient, new_entry(patient, first, registry.unique_id(first), 1, second), status(second)))
    assert [registry.asks.entry(u).availabilityStatus for u in (first, second)] == [DEPRECATED, DEPRECATED]
    registry.updates.update(update(patient, status(second, DEPRECATED, APPROVED)))
    assert registry.asks.entry(second).availabilityStatus == APPROVED
    assert registry.refused(update(patient, status(first, DEPRECATED, APPROVED))) == [ErrorCode.XDSMetadataUpdateError]


def test_a_wrong_version_is_told_only_where_all_else_is_right(registry: Registry, patient: str) -> None:
    first = register_one(registry.registers, patient)
    uid = registry.unique_id(first)
    assert registry.refused(update(patient, new_entry(patient, first, uid, 2))) == [ErrorCode.XDSMetadataVersionError]
    assert registry.refused(update(patient, new_entry(patient, first, uid + ".1", 2))) == [ErrorCode.XDSMetadataIdentifierError]


def test_a_logical_id_is_that_of_the_first_version(registry: Registry, patient: str) -> None:
    first, second = register_one(registry.registers, patient), new_uuid()
    uid = registry.unique_id(first)
    registry.updates.update(update(patient, new_entry(patient, first, uid, 1, second)))
    assert registry.refused(update(patient, new_entry(patient, second, uid, 2))) == [ErrorCode.UnresolvedReferenceException]


# -------------------------------------------------------------------------------------------------------- propagation


def test_a_document_stays_in_its_folder(registry: Registry, patient: str) -> None:
    container, _, first = in_a_folder(registry, patient)
    second = new_uuid()
    before = registry.asks.folder(container).lastUpdateTime
    outcome = registry.updates.update(update(patient, new_entry(patient, first, registry.unique_id(first), 1, second)))
    assert registry.members(container) == {second}
    assert registry.members(container, "2") == {first, second}
    (membership,) = (a for a in registry.asks.links(second) if a.sourceObject == container)
    of_set = [a.sourceObject for a in registry.asks.links(membership.entryUUID)]
    assert of_set == [outcome.ids["SubmissionSet01"]], "what the registry adds to a Folder is a member of the SubmissionSet"
    assert (registry.asks.folder(container).lastUpdateTime or "") >= (before or "")


def test_without_propagation_the_folder_loses_the_document(registry: Registry, patient: str) -> None:
    container, _, first = in_a_folder(registry, patient)
    registry.updates.update(update(patient, new_entry(patient, first, registry.unique_id(first), propagation="no")))
    assert registry.members(container) == set()
    assert registry.members(container, "2") == {first}


def test_a_new_folder_holds_what_the_old_one_held(registry: Registry, patient: str) -> None:
    container, uid, document = in_a_folder(registry, patient)
    renewed = new_uuid()
    registry.updates.update(update(patient, new_folder(patient, container, uid, 1, renewed)))
    found = registry.asks.folder(renewed)
    assert (found.version, found.logicalID, found.availabilityStatus) == ("2", container, APPROVED)
    assert registry.members(renewed) == {document}
    third = new_uuid()
    registry.updates.update(update(patient, new_folder(patient, container, uid, 2, third, propagation="no")))
    assert registry.members(third) == set()


def test_a_folder_passes_approved_documents_on(registry: Registry, patient: str) -> None:
    container, uid, document = in_a_folder(registry, patient)
    renewed = new_uuid()
    registry.updates.update(update(patient, status(document)))
    registry.updates.update(update(patient, new_folder(patient, container, uid, 1, renewed)))
    assert registry.members(renewed, "2") == set()


def test_two_updated_ends_are_linked_new_to_new(registry: Registry, patient: str) -> None:
    container, uid, first = in_a_folder(registry, patient)
    renewed, second = new_uuid(), new_uuid()
    entry_uid = registry.unique_id(first)
    registry.updates.update(
        update(patient, new_folder(patient, container, uid, 1, renewed), new_entry(patient, first, entry_uid, 1, second))
    )
    found = registry.asks.links(first, second)
    links = {(a.sourceObject, a.targetObject) for a in found if a.sourceObject in (container, renewed)}
    assert links == {(container, first), (renewed, second)}


def test_propagation_that_disagrees_is_refused(registry: Registry, patient: str) -> None:
    container, uid, first = in_a_folder(registry, patient)
    entry_uid = registry.unique_id(first)
    parts = new_folder(patient, container, uid, propagation="no"), new_entry(patient, first, entry_uid)
    assert registry.refused(update(patient, *parts)) == [ErrorCode.XDSMetadataUpdateError]


def test_relationships_go_on_with_the_newest_versions(registry: Registry, patient: str) -> None:
    old = register_one(registry.registers, patient)
    new = registry.registers.register(replacement(patient, old)).ids["Document01"]
    addendum = registry.registers.register(replacement(patient, new, APND)).ids["Document01"]
    renewed, again, added = new_uuid(), new_uuid(), new_uuid()
    uid = registry.unique_id(new)
    registry.updates.update(update(patient, new_entry(patient, new, uid, 1, renewed)))
    assert registry.relations(renewed) == {(RPLC, renewed, old), (APND, addendum, renewed)}
    registry.updates.update(update(patient, new_entry(patient, new, uid, 2, again)))
    registry.updates.update(update(patient, new_entry(patient, addendum, registry.unique_id(addendum), 1, added)))
    assert registry.relations(added) == {(APND, added, again)}, "not to the superseded versions"


# ------------------------------------------------------------------------------------------------ statuses, associations


def test_a_folder_is_deprecated_and_approved(registry: Registry, patient: str) -> None:
    container, uid, _ = in_a_folder(registry, patient)
    registry.updates.update(update(patient, status(container)))
    slots = {"$patientId": f"'{patient}'", **{f"$XDS{k}Status": BOTH for k in ("DocumentEntry", "SubmissionSet", "Folder")}}
    (found,) = registry.asks.ask("GetAll", {**slots, "$MetadataLevel": "2"}).folders
    assert found.availabilityStatus == DEPRECATED
    assert registry.refused(update(patient, new_folder(patient, container, uid))) == [ErrorCode.XDSMetadataUpdateError]
    registry.updates.update(update(patient, status(container, DEPRECATED, APPROVED)))
    assert registry.asks.folder(container).availabilityStatus == APPROVED


def test_an_association_is_deprecated_and_approved(registry: Registry, patient: str) -> None:
    one, other = register_one(registry.registers, patient), register_one(registry.registers, patient)
    own = new_uuid()
    registry.updates.update(update(patient, submit(SIGNS, one, other, own)))
    assert registry.relations(one) == {(SIGNS, one, other)}
    registry.updates.update(update(patient, status(own)))
    assert registry.relations(one) == set()
    registry.updates.update(update(patient, status(own, DEPRECATED, APPROVED)))
    assert registry.relations(one) == {(SIGNS, one, other)}


def test_a_document_enters_a_folder_by_an_update(registry: Registry, patient: str) -> None:
    container, _, first = in_a_folder(registry, patient)
    other, own = register_one(registry.registers, patient), new_uuid()
    outcome = registry.updates.update(update(patient, submit(HAS_MEMBER, container, other, own)))
    assert registry.members(container) == {first, other}
    assert [a.sourceObject for a in registry.asks.links(own)] == [outcome.ids["SubmissionSet01"]]


def test_a_submitted_association_may_join_new_versions(registry: Registry, patient: str) -> None:
    one, other = register_one(registry.registers, patient), register_one(registry.registers, patient)
    renewed = new_uuid()
    parts = new_entry(patient, one, registry.unique_id(one), 1, renewed), submit(APND, one, other)
    registry.updates.update(update(patient, *parts))
    assert registry.relations(one, renewed) == {(APND, renewed, other)}


def test_triggers_leave_no_association_behind(registry: Registry, patient: str) -> None:
    document = register_one(registry.registers, patient)
    registry.updates.update(update(patient, status(document)))
    found = registry.asks.everything(patient)
    assert {a.associationType for a in found.associations} == {HAS_MEMBER}
    assert len(found.submissionSets) == 2


# ------------------------------------------------------------------------------------------------------------- patients


def test_a_document_moves_to_another_patient_alone(registry: Registry, patient: str, database: Database) -> None:
    container, _, first = in_a_folder(registry, patient)
    other, second = new_patient(database), new_uuid()
    uid = registry.unique_id(first)
    assert registry.refused(update(other, new_entry(other, first, uid))) == [ErrorCode.XDSPatientIDReconciliationError]
    registry.updates.update(update(other, new_entry(other, first, uid, 1, second, propagation="no")))
    assert registry.asks.entry(second).patientId == other
    assert registry.members(container) == set()
    third = new_uuid()
    registry.updates.update(update(other, new_entry(other, first, uid, 2, third)))
    assert (registry.asks.entry(third).version, registry.asks.entry(third).patientId) == ("3", other)


def test_folder_and_document_move_together(registry: Registry, patient: str, database: Database) -> None:
    container, uid, first = in_a_folder(registry, patient)
    other, renewed, second = new_patient(database), new_uuid(), new_uuid()
    entry_uid = registry.unique_id(first)
    registry.updates.update(
        update(other, new_folder(other, container, uid, 1, renewed), new_entry(other, first, entry_uid, 1, second))
    )
    assert registry.members(renewed) == {second}


def test_approval_brings_patients_together_again(registry: Registry, patient: str, database: Database) -> None:
    one, other = register_one(registry.registers, patient), register_one(registry.registers, patient)
    own, elsewhere = new_uuid(), new_patient(database)
    registry.updates.update(update(patient, submit(APND, one, other, own)))
    registry.updates.update(update(patient, status(own)))
    moved = new_uuid()
    registry.updates.update(update(elsewhere, new_entry(elsewhere, one, registry.unique_id(one), 1, moved)))
    assert registry.refused(update(patient, submit(APND, moved, other))) == [ErrorCode.XDSPatientIDReconciliationError]
    registry.updates.update(update(patient, status(own, DEPRECATED, APPROVED)))  # `one` is Deprecated: nothing is joined


# ------------------------------------------------------------------------------------------------------------ ITI-92, whole


def test_a_restricted_update_keeps_the_status(registry: Registry, patient: str) -> None:
    first, second = register_one(registry.registers, patient), new_uuid()
    registry.updates.update(update(patient, status(first)))
    registry.restricted.update(update(patient, new_entry(patient, first, registry.unique_id(first), 1, second, "Corrected")))
    found = registry.asks.entry(second)
    assert (found.version, found.availabilityStatus, found.title) == ("2", DEPRECATED, "Corrected")


def test_a_refused_update_leaves_nothing(registry: Registry, patient: str) -> None:
    one, other = register_one(registry.registers, patient), register_one(registry.registers, patient)
    before = registry.asks.everything(patient)
    parts = new_entry(patient, one, registry.unique_id(one)), new_entry(patient, other, registry.unique_id(other), 9)
    assert registry.refused(update(patient, *parts)) == [ErrorCode.XDSMetadataVersionError]
    assert registry.asks.everything(patient) == before


def test_findings_name_their_object_in_location_too(registry: Registry, patient: str) -> None:
    first = register_one(registry.registers, patient)
    own = new_uuid()
    with pytest.raises(Refused) as caught:
        registry.updates.update(update(patient, new_entry(patient, first, registry.unique_id(first), 5, own)))
    (finding,) = caught.value.findings
    assert finding.location == own and finding.text().startswith(own)


def test_the_patient_of_a_new_version_is_known(registry: Registry, patient: str, database: Database) -> None:
    first, unknown = register_one(registry.registers, patient), patient.replace("P", "Q", 1)
    uid = registry.unique_id(first)
    sent = update(unknown, new_entry(unknown, first, uid, propagation="no"))
    assert ErrorCode.XDSUnknownPatientId in registry.refused(sent)
    database.write(lambda connection: announce(connection, [unknown]))
    registry.updates.update(update(unknown, new_entry(unknown, first, uid, propagation="no")))
