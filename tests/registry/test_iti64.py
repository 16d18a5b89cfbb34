"""A link change and what it does to documents, relationships and Folders, seen through stored queries (ITI TF-2: 3.64.4.1.3)."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from xml.sax.saxutils import escape

import pytest

from metadata.model import Code, DocumentEntry, Submission
from metadata.rules.attribute_rows import TYPED_PATIENT_ID
from metadata.rules.rule import Refused
from registry.codes import CodeBook
from registry.iti42 import RegisterDocumentSet, RegisterOptions
from registry.iti57 import UpdateDocumentSet
from registry.iti64 import LinkChange, NotifyLinkChange
from registry.patient_feed import PatientIdentityFeed
from registry.patient_identity import Authorities, IdentityFeed
from registry.record import Records
from storage.database import Connection, Database
from tests.registry.asking import BOTH, Consumer
from tests.registry.submissions import (
    APND,
    APPROVED,
    DEPRECATED,
    HAS_MEMBER,
    RPLC,
    entry,
    folder,
    link,
    new_oid,
    new_patient,
    original,
    submission,
    submission_set,
)
from tests.registry.updates import new_entry, update

LOCAL = "1.2.250.1.999.64"
SENDER = "1.2.250.1.999.6"
CONTENT_TYPE = Code("LINK", "1.2.250.1.999.65", "Link change")


@dataclass
class Registry:
    """The doors of one store, and what moved with the last link changes."""

    database: Database
    registers: RegisterDocumentSet
    updates: UpdateDocumentSet
    asks: Consumer
    changes: NotifyLinkChange
    moved: list[tuple[list[str], str]]

    def change(self, previous: str, new: str, local: str, subsumed: str = "") -> int:
        return self.changes.change(LinkChange(previous, new, local, subsumed, SENDER))

    def refused(self, previous: str, new: str, local: str, subsumed: str = "") -> list[str]:
        with pytest.raises(Refused) as caught:
            self.change(previous, new, local, subsumed)
        return [finding.rule for finding in caught.value.findings]

    def documents(self, patient: str, status: str = APPROVED) -> list[DocumentEntry]:
        slots = {"$XDSDocumentEntryPatientId": f"'{patient}'", "$XDSDocumentEntryStatus": f"('{status}')", "$MetadataLevel": "2"}
        return list(self.asks.ask("FindDocuments", slots).documentEntries)

    def relations(self, *uuids: str) -> set[tuple[str, str]]:
        """(source, target) of the approved associations between documents."""
        return {
            (a.sourceObject, a.targetObject)
            for a in self.asks.links(*uuids)
            if a.associationType != HAS_MEMBER and a.availabilityStatus == APPROVED
        }

    def sets(self, patient: str) -> Submission:
        slots = {"$XDSSubmissionSetPatientId": f"'{patient}'", "$XDSSubmissionSetStatus": f"('{APPROVED}')"}
        return self.asks.ask("FindSubmissionSets", slots)


@pytest.fixture(scope="module")
def registry(database: Database) -> Registry:
    codes = CodeBook()
    moved: list[tuple[list[str], str]] = []

    def move(connection: Connection, unique_ids: Sequence[str], patient: str) -> None:
        moved.append((list(unique_ids), patient))

    return Registry(
        database,
        RegisterDocumentSet(database, codes, RegisterOptions(options=frozenset({TYPED_PATIENT_ID}))),
        UpdateDocumentSet(database, codes),
        Consumer(database),
        NotifyLinkChange(database, codes, CONTENT_TYPE, move),
        moved,
    )


def local_id() -> str:
    return f"L{new_oid()}^^^&{LOCAL}&ISO"


def of(patient: str, source: str, id: str = "Document01", unique_id: str = "") -> str:
    """A DocumentEntry that a source has brought in under its own identifier, and its membership."""
    return entry(patient, id, unique_id=unique_id, slots={"sourcePatientId": (source,)}) + original(id)


def register(registry: Registry, patient: str, *parts: str) -> dict[str, str]:
    return dict(registry.registers.register(submission(submission_set(patient), *parts)).ids)


# ------------------------------------------------------------------------------------------------------------- documents


def test_the_documents_of_the_local_id_and_no_others_go_over(registry: Registry) -> None:
    old, new, ours, other = new_patient(registry.database), new_patient(registry.database), local_id(), local_id()
    unique_id = new_oid()
    ids = register(registry, old, of(old, f"{ours}^PI", unique_id=unique_id), of(old, other, "Document02"))
    assert registry.change(old, new, ours) == 1
    (stays,), (goes,) = registry.documents(old), registry.documents(new)
    assert stays.entryUUID == ids["Document02"]
    assert (goes.uniqueId, goes.patientId, goes.version) == (unique_id, new, "2")
    assert goes.logicalID == ids["Document01"] != goes.entryUUID
    assert goes.sourcePatientId == f"{ours}^PI"
    (before,) = registry.documents(old, DEPRECATED)
    assert before.entryUUID == ids["Document01"]
    nested = [c.id for c in goes.raw.classifications] + [e.id for e in goes.raw.externalIdentifiers]
    known = {c.id for c in before.raw.classifications} | {e.id for e in before.raw.externalIdentifiers}
    assert len(set(nested)) == len(nested) and not known & set(nested), "what it holds has ids of its own"
    assert registry.moved[-1] == ([unique_id], new)


def test_the_submission_set_tells_of_the_change(registry: Registry) -> None:
    old, new, ours = new_patient(registry.database), new_patient(registry.database), local_id()
    register(registry, old, of(old, ours))
    registry.change(old, new, ours)
    (one,) = registry.sets(new).submissionSets
    assert (one.patientId, one.sourceId, one.author) == (new, SENDER, ())
    assert one.contentTypeCode == CONTENT_TYPE and one.uniqueId and one.submissionTime
    (goes,) = registry.documents(new)
    (membership,) = (a for a in registry.asks.links(one.entryUUID) if a.targetObject == goes.entryUUID)
    assert (membership.submissionSetStatus, membership.previousVersion) == ("Original", "1")


def test_the_newest_version_goes_over(registry: Registry) -> None:
    old, new, ours, unique_id = new_patient(registry.database), new_patient(registry.database), local_id(), new_oid()
    ids = register(registry, old, of(old, ours, unique_id=unique_id))
    second = new_entry(old, ids["Document01"], unique_id).replace(f">{escape(old)}<", f">{escape(ours)}<")
    registry.updates.update(update(old, second))
    assert registry.change(old, new, ours) == 1
    (goes,) = registry.documents(new)
    assert (goes.version, goes.logicalID, goes.title) == ("3", ids["Document01"], "Version")
    assert len(registry.documents(old, DEPRECATED)) == 2


def test_a_change_that_concerns_no_document_writes_nothing(registry: Registry) -> None:
    old, new = new_patient(registry.database), new_patient(registry.database)
    register(registry, old, of(old, local_id()))
    assert registry.change(old, new, local_id()) == 0
    assert len(registry.documents(old)) == 1 and not registry.sets(new).submissionSets


def test_a_subsumed_local_id_is_replaced_and_keeps_its_type(registry: Registry) -> None:
    old, new, stays, goes = new_patient(registry.database), new_patient(registry.database), local_id(), local_id()
    register(registry, old, of(old, f"{goes}^PI"), of(old, stays, "Document02"))
    assert registry.change(old, new, stays, goes) == 2
    assert sorted(one.sourcePatientId or "" for one in registry.documents(new)) == [stays, f"{stays}^PI"]
    assert not registry.documents(old)


def test_a_merge_of_local_ids_alone_changes_their_documents_only(registry: Registry) -> None:
    patient, stays, goes = new_patient(registry.database), local_id(), local_id()
    membership = link(HAS_MEMBER, "Folder01", "Document01", id="Held")
    ids = register(
        registry, patient, of(patient, goes), of(patient, stays, "Document02"), folder(patient), membership,
        link(HAS_MEMBER, "SubmissionSet01", "Folder01"), link(HAS_MEMBER, "SubmissionSet01", "Held"),
    )  # fmt: skip
    assert registry.change(patient, patient, stays, goes) == 1
    documents = registry.documents(patient)
    assert {one.sourcePatientId for one in documents} == {stays} and len(documents) == 2
    held = registry.asks.ask("GetFolderAndContents", {"$XDSFolderEntryUUID": f"'{ids['Folder01']}'"}).documentEntries
    assert [one.version for one in held] == ["2"], "the Folder holds the new version"


def test_of_two_changes_at_once_one_moves_the_documents(registry: Registry) -> None:
    old, ours = new_patient(registry.database), local_id()
    register(registry, old, *(of(old, ours, f"Document{n}") for n in range(5)))
    goals, gate = [new_patient(registry.database) for _ in range(4)], threading.Barrier(4)

    def change(goal: str) -> int:
        gate.wait(60)
        return registry.change(old, goal, ours)

    with ThreadPoolExecutor(len(goals)) as threads:
        counts = list(threads.map(change, goals))
    assert sorted(counts) == [0, 0, 0, 5]
    assert [len(registry.documents(goal)) for goal in goals] == counts
    assert len(registry.documents(old, DEPRECATED)) == 5


# --------------------------------------------------------------------------------------------------- what hangs on them


def test_a_relationship_goes_over_with_both_ends_or_stays_behind(registry: Registry) -> None:
    old, new, ours, other = new_patient(registry.database), new_patient(registry.database), local_id(), local_id()
    ids = register(registry, old, of(old, ours), of(old, other, "Document02"))
    addenda = register(
        registry, old, of(old, ours, "Document03"), link(APND, "Document03", ids["Document01"]),
        of(old, ours, "Document04"), link(APND, "Document04", ids["Document02"]),
    )  # fmt: skip
    assert registry.change(old, new, ours) == 3
    by_lid = {one.logicalID or "": one.entryUUID for one in registry.documents(new)}
    first, third, fourth = (by_lid[uuid] for uuid in (ids["Document01"], addenda["Document03"], addenda["Document04"]))
    assert registry.relations(first, third, fourth) == {(third, first)}
    assert registry.relations(ids["Document02"]) == {(addenda["Document04"], ids["Document02"])}, "the old version keeps it"


def test_a_replaced_document_stays_and_its_replacement_goes(registry: Registry) -> None:
    old, new, ours = new_patient(registry.database), new_patient(registry.database), local_id()
    ids = register(registry, old, of(old, ours))
    register(registry, old, of(old, ours, "Document02"), link(RPLC, "Document02", ids["Document01"]))
    assert registry.change(old, new, ours) == 1
    (goes,) = registry.documents(new)
    assert not registry.relations(goes.entryUUID), "its target is Deprecated and cannot change its patient"


@pytest.mark.parametrize("mixed", [False, True], ids=["whole", "mixed"])
def test_a_folder_goes_over_with_all_its_documents_or_not_at_all(registry: Registry, mixed: bool) -> None:
    old, new, ours = new_patient(registry.database), new_patient(registry.database), local_id()
    parts = [of(old, ours), folder(old), link(HAS_MEMBER, "SubmissionSet01", "Folder01")]
    if mixed:
        parts.append(of(old, local_id(), "Document02"))
    for n in range(1, 3 if mixed else 2):
        parts += [
            link(HAS_MEMBER, "Folder01", f"Document0{n}", id=f"Held{n}"), link(HAS_MEMBER, "SubmissionSet01", f"Held{n}"),
        ]  # fmt: skip
    ids = register(registry, old, *parts)
    assert registry.change(old, new, ours) == 1
    slots = {"$XDSFolderStatus": f"('{APPROVED}')", "$MetadataLevel": "2"}
    stays = registry.asks.ask("FindFolders", {"$XDSFolderPatientId": f"'{old}'", **slots}).folders
    goes = registry.asks.ask("FindFolders", {"$XDSFolderPatientId": f"'{new}'", **slots}).folders
    if mixed:
        assert [one.entryUUID for one in stays] == [ids["Folder01"]] and not goes
        return
    assert not stays and [(one.logicalID, one.version, one.patientId) for one in goes] == [(ids["Folder01"], "2", new)]
    held = registry.asks.ask("GetFolderAndContents", {"$XDSFolderEntryUUID": f"'{goes[0].entryUUID}'"})
    assert [one.entryUUID for one in held.documentEntries] == [one.entryUUID for one in registry.documents(new)]
    (made,) = registry.sets(new).submissionSets
    inner = {a.entryUUID for a in held.associations if a.sourceObject == goes[0].entryUUID}
    assert inner <= {a.targetObject for a in registry.asks.links(made.entryUUID)}


def test_a_submission_set_that_refers_to_the_document_refers_to_its_new_version(registry: Registry) -> None:
    old, new, ours = new_patient(registry.database), new_patient(registry.database), local_id()
    ids = register(registry, old, of(old, ours))
    refers = register(
        registry, old, of(old, local_id(), "Document02"),
        link(HAS_MEMBER, "SubmissionSet01", ids["Document01"], label="Reference", id="Refers"),
    )  # fmt: skip
    registry.change(old, new, ours)
    (goes,) = registry.documents(new)
    slots = {"$uuid": f"('{refers['SubmissionSet01']}')", "$XDSAssociationStatus": BOTH, "$MetadataLevel": "2"}
    found = {
        a.targetObject: a.availabilityStatus
        for a in registry.asks.ask("GetAssociations", slots).associations
        if a.submissionSetStatus == "Reference"
    }
    assert found == {ids["Document01"]: DEPRECATED, goes.entryUUID: APPROVED}


# -------------------------------------------------------------------------------------------------------------- refusals


def test_a_refused_change_changes_nothing_and_says_every_reason(registry: Registry) -> None:
    old, new, ours = new_patient(registry.database), new_patient(registry.database), local_id()
    register(registry, old, of(old, ours))
    unknown, unknown_too = (f"U{new_oid()}^^^&1.2.250.1.999.1&ISO" for _ in range(2))
    assert registry.refused(unknown, unknown_too, ours) == ["XPC-004", "XPC-004"]
    assert registry.refused(old, old, ours) == ["XPC-003"]
    assert registry.refused(old, new, ours, ours) == ["XPC-001"]
    assert registry.refused(old, old, local_id(), "1^^^&1.2.250.1.999.66&ISO") == ["XPC-002"]
    subsumed = new_patient(registry.database)
    IdentityFeed(registry.database).merge(subsumed, new_patient(registry.database))
    assert registry.refused(old, subsumed, ours) == ["PIF-005"]
    alias = new_patient(registry.database)
    IdentityFeed(registry.database).join([old, alias])
    assert registry.refused(old, alias, ours) == ["XPC-003"]
    Records(registry.database).close(new)
    assert registry.refused(old, new, ours) == ["PIF-006"]
    assert len(registry.documents(old)) == 1 and not registry.documents(old, DEPRECATED)


# --------------------------------------------------------------------------------------------------------------- by HL7 2


def a43(pid3: str, mrg1: str, sender: str = SENDER) -> bytes:
    return (
        f"MSH|^~\\&|{sender}|A|B|C|20240102||ADT^A43^ADT_A43|77|P|2.5\rEVN||20240102\rPID|||{pid3}|| \rMRG|{mrg1}\r".encode()
    )


@pytest.fixture(scope="module")
def feed(registry: Registry) -> PatientIdentityFeed:
    domain = Authorities(frozenset({"1.2.250.1.999.1"}))
    return PatientIdentityFeed(IdentityFeed(registry.database, domain), registry.changes)


def test_an_a43_moves_documents_and_is_acknowledged_in_hl7_25(registry: Registry, feed: PatientIdentityFeed) -> None:
    old, new, ours = new_patient(registry.database), new_patient(registry.database), local_id()
    register(registry, old, of(old, ours))
    reply = feed(a43(f"{new}~{ours}", old, f"PIX^{SENDER}^ISO"))
    assert reply.code == "AA", reply.text
    header = reply.message.decode().split("\r")[0].split("|")
    assert (header[8], header[11]) == ("ACK^A43", "2.5")
    assert len(registry.documents(new)) == 1
    assert registry.sets(new).submissionSets[0].sourceId == SENDER
    again = feed(a43(f"{new}~{ours}", old))
    assert (again.code, again.text) == ("AA", "no document of the local identifier: nothing was to be done")


@pytest.mark.parametrize(
    ("pid3", "mrg1", "sender", "said"),
    [
        ("{new}", "{old}", SENDER, "PID-3"),
        ("{new}~{ours}~{ours}", "{old}", SENDER, "PID-3"),
        ("{new}~{ours}", "{old}~{ours}~{ours}", SENDER, "MRG-1"),
        ("{new}~{ours}", "{old}", "PIX", "MSH-3"),
        ("{ours}~{new}", "{old}", SENDER, "PIF-008"),
        ("{new}~7^^^HERE", "{old}", SENDER, "XPC-005"),
        ("{new}~", "{old}", SENDER, "P"),
        ("{new}~{ours}", "{new}", SENDER, "XPC-003"),
    ],
)
def test_a_wrong_a43_is_refused_with_the_reason(
    registry: Registry, feed: PatientIdentityFeed, pid3: str, mrg1: str, sender: str, said: str
) -> None:
    old, new, ours = new_patient(registry.database), new_patient(registry.database), local_id()
    register(registry, old, of(old, ours))
    values = {"old": old, "new": new, "ours": ours}
    reply = feed(a43(pid3.format(**values), mrg1.format(**values), sender))
    assert reply.code == "AE" and said in reply.text, reply.text
    assert len(registry.documents(old)) == 1 and not registry.documents(new)


def test_an_a43_without_the_option_is_rejected(database: Database) -> None:
    reply = PatientIdentityFeed(IdentityFeed(database))(a43("a~b", "c"))
    assert reply.code == "AR" and "A43 in MSH-9" in reply.text
