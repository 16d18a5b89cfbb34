"""The rules of ITI-57 and ITI-92, each broken by a bend of a right update (`rules_message.Message` holds the objects)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from rules_message import (
    APPROVED,
    DEPRECATED,
    DOCUMENT,
    DYNAMIC,
    FOLDER,
    FOREIGN_DOCUMENT,
    HAS_MEMBER,
    HASH,
    IHE_2007,
    OLD_DOCUMENT,
    OLD_FOLDER,
    OTHER_PATIENT,
    REGISTERED_SET,
    SNAPSHOT,
    UNKNOWN,
    Message,
    association,
    document_entry,
    folder,
    uuid,
)

from metadata import schemes
from metadata.ebrim import typed
from metadata.model import DocumentEntry, Slot
from metadata.rules.rule import Existing, Linked
from metadata.vocabulary import ObjectKind, Transaction

IHE_2010 = "urn:ihe:iti:2010:AssociationType:"
STATUS, SUBMIT = IHE_2010 + "UpdateAvailabilityStatus", IHE_2010 + "SubmitAssociation"
ARCHIVED, DELETED = (f"urn:asip:ci-sis:2010:StatusType:{name}" for name in ("Archived", "Deleted"))
ITI_57, ITI_92 = Transaction.ITI_57, Transaction.ITI_92
NEWER, LINK, SET_LINK, FAR_LINK = uuid(11), uuid(12), uuid(13), uuid(14)

Bend = Callable[[Message], None]


def _annotated(message: Message, id: str, **slots: str) -> None:
    for name, value in slots.items():
        message.slot(id, name, value)


def base(transaction: Transaction = ITI_57) -> Message:
    """A right update: version 2 of DOCUMENT. The registry knows its metadata, a Folder and a SubmissionSet that hold it."""
    message = Message(transaction, full=False)
    message.change("doc", lid=DOCUMENT)
    message.identifier("doc", schemes.DE_UNIQUE_ID, value="1.2.3.1")
    _annotated(message, "ss-doc", PreviousVersion="1")
    state = message.state
    state.objects = [o if o.logicalID else replace(o, logicalID=o.entryUUID) for o in state.objects]
    within: dict[str, Any] = {"associationType": HAS_MEMBER, "targetObject": DOCUMENT}
    link = Existing(ObjectKind.ASSOCIATION, LINK, o_patient(message), APPROVED, sourceObject=FOLDER, **within)
    state.objects += [
        link,
        Existing(ObjectKind.ASSOCIATION, SET_LINK, o_patient(message), APPROVED, sourceObject=REGISTERED_SET, **within),
        replace(link, entryUUID=FAR_LINK, status=DEPRECATED, targetObject=FOREIGN_DOCUMENT),
    ]
    registered = typed(replace(document_entry(DOCUMENT, "1.2.3.1"), lid=DOCUMENT))
    assert isinstance(registered, DocumentEntry)
    state.entries[DOCUMENT] = registered
    return message


def o_patient(message: Message) -> str:
    found = message.state.find(DOCUMENT)
    assert found is not None
    return found.patientId


def with_folder(message: Message) -> None:
    """Version 2 of FOLDER too."""
    message.add(folder("folder", "1.2.3.5"), association("ss-folder", HAS_MEMBER, "ss", "folder"))
    message.change("folder", lid=FOLDER)
    _annotated(message, "ss-folder", PreviousVersion="1")


def linked(message: Message) -> None:
    """The registry links DOCUMENT and FOLDER."""
    document, container, link = (message.state.find(id) for id in (DOCUMENT, FOLDER, LINK))
    assert document and container and link
    message.state.linked = {DOCUMENT: [Linked(link, container)], FOLDER: [Linked(link, document)]}


def status(target: str, original: str = APPROVED, new: str = DEPRECATED, id: str = "status") -> Bend:
    def bend(message: Message) -> None:
        message.add(association(id, STATUS, "ss", target))
        _annotated(message, id, OriginalStatus=original, NewStatus=new)

    return bend


def submitted(type: str, source: str, target: str) -> Bend:
    def bend(message: Message) -> None:
        message.add(association("submit", SUBMIT, "ss", "link"), association("link", type, source, target))

    return bend


def only(*bends: Bend) -> Bend:
    """Without the new version of DOCUMENT."""

    def bend(message: Message) -> None:
        message.remove("doc", "ss-doc")
        for one in bends:
            one(message)

    return bend


def all_of(*bends: Bend) -> Bend:
    def bend(message: Message) -> None:
        for one in bends:
            one(message)

    return bend


def slot(id: str, name: str, *values: str) -> Bend:
    return lambda m: m.slot(id, name, *values)


def change(id: str, **changes: Any) -> Bend:
    return lambda m: m.change(id, **changes)


def identified(id: str, scheme: str, value: str) -> Bend:
    return lambda m: m.identifier(id, scheme, value=value)


def added(*objects: Any) -> Bend:
    return lambda m: m.add(*objects)


def removed(*ids: str) -> Bend:
    return lambda m: m.remove(*ids)


def registered(id: str, **changes: Any) -> Bend:
    """The registry's object is another than usual."""

    def bend(message: Message) -> None:
        message.state.objects = [replace(o, **changes) if o.entryUUID == id else o for o in message.state.objects]

    return bend


def newer_version(message: Message) -> None:
    """The registry has a second version of DOCUMENT, the first is Deprecated."""
    first = message.state.find(DOCUMENT)
    assert first is not None
    registered(DOCUMENT, status=DEPRECATED)(message)
    message.state.objects.append(replace(first, entryUUID=NEWER, version=2))


def archiving(message: Message) -> None:
    message.options |= {"update-archive"}


def second_update(message: Message) -> None:
    message.add(
        replace(message.objects["doc"], id="doc-again"),
        association("ss-doc-again", HAS_MEMBER, "ss", "doc-again", "Original"),
    )
    _annotated(message, "ss-doc-again", PreviousVersion="1")
    message.change(
        "doc-again",
        classifications=tuple(replace(c, classifiedObject="doc-again") for c in message.objects["doc"].classifications),
        externalIdentifiers=tuple(replace(e, registryObject="doc-again") for e in message.objects["doc"].externalIdentifiers),
    )


def for_the_other_patient(message: Message) -> None:
    message.identifier("ss", schemes.SS_PATIENT_ID, value=OTHER_PATIENT)
    message.identifier("doc", schemes.DE_PATIENT_ID, value=OTHER_PATIENT)


#: (rule, bend[, transaction]): ITI-57 unless said.
ROWS: tuple[tuple[Any, ...], ...] = (
    ("UPD-001", change("doc", lid=None)),
    ("UPD-001", change("doc", lid=None), ITI_92),
    ("UPD-002", removed("ss-doc")),
    (
        "UPD-002",
        added(
            replace(
                association("x", HAS_MEMBER, "ss", "doc", "Original"),
                slots=(Slot("SubmissionSetStatus", ("Original",)), Slot("PreviousVersion", ("1",))),
            )
        ),
    ),
    ("UPD-003", slot("ss-doc", "PreviousVersion")),
    ("UPD-003", slot("ss-doc", "PreviousVersion", "first")),
    ("UPD-003", slot("ss-doc", "PreviousVersion", "0")),
    ("UPD-003", slot("ss-doc", "PreviousVersion", "1", "2")),
    ("UPD-004", slot("ss-doc", "AssociationPropagation", "perhaps")),
    ("UPD-005", slot("ss-doc", "NewStatus", DEPRECATED)),
    ("UPD-005", only(status(FOLDER), slot("status", "PreviousVersion", "1"))),
    ("UPD-006", added(association("x", HAS_MEMBER, "ss", OLD_DOCUMENT, "Reference"))),
    ("UPD-006", added(association("x", IHE_2007 + "APND", DOCUMENT, DYNAMIC))),
    ("UPD-006", added(association("x", SUBMIT, "ss", "ss-doc"))),
    ("UPD-006", all_of(submitted(IHE_2007 + "APND", DOCUMENT, DYNAMIC), added(association("y", SUBMIT, "ss", "link")))),
    ("UPD-006", only(added(association("x", STATUS, FOLDER, DOCUMENT), association("y", STATUS, DOCUMENT, FOLDER)))),
    ("UPD-007", only(status(FOLDER), slot("status", "OriginalStatus"))),
    ("UPD-007", only(status(FOLDER), slot("status", "NewStatus"))),
    ("UPD-007", only(status(FOLDER, new="Deprecated"))),
    ("UPD-007", only(status(DOCUMENT, new=ARCHIVED))),
    ("UPD-007", only(status(FOLDER, new=APPROVED))),
    ("UPD-008", second_update),
    ("UPD-008", second_update, ITI_92),
    ("UPD-009", only(submitted(IHE_2007 + "RPLC", DOCUMENT, FOREIGN_DOCUMENT), registered(FOREIGN_DOCUMENT, patientId="")),),
    ("UPD-010", only()),
    ("UPD-011", identified("doc", schemes.DE_PATIENT_ID, OTHER_PATIENT)),
    ("UPD-012", status("ss-doc")),
    ("UPD-101", change("doc", lid=UNKNOWN)),
    ("UPD-101", change("doc", lid=UNKNOWN), ITI_92),
    ("UPD-101", change("doc", lid=LINK)),
    ("UPD-102", identified("doc", schemes.DE_UNIQUE_ID, "1.2.3.99")),
    ("UPD-102", registered(DOCUMENT, objectType=schemes.ON_DEMAND)),
    ("UPD-102", change("doc", lid=FOLDER)),
    ("UPD-103", only(with_folder, registered(FOLDER, status=DEPRECATED))),
    ("UPD-104", slot("ss-doc", "PreviousVersion", "2")),
    ("UPD-104", slot("ss-doc", "PreviousVersion", "2"), ITI_92),
    ("UPD-104", newer_version),
    ("UPD-105", all_of(with_folder, linked, slot("ss-doc", "AssociationPropagation", "no"))),
    ("UPD-106", only(status(UNKNOWN))),
    ("UPD-106", only(submitted(IHE_2007 + "APND", UNKNOWN, DOCUMENT))),
    ("UPD-107", only(status(REGISTERED_SET))),
    ("UPD-107", only(status(SET_LINK))),
    ("UPD-108", all_of(only(newer_version, status(DOCUMENT, DEPRECATED, APPROVED)))),
    ("UPD-109", only(status(DOCUMENT, DEPRECATED, APPROVED))),
    ("UPD-109", status("doc", DEPRECATED, APPROVED)),
    ("UPD-109", only(submitted(IHE_2007 + "APND", DYNAMIC, DOCUMENT), status("link", DEPRECATED, APPROVED))),
    ("UPD-110", only(archiving, status(FOLDER, APPROVED, ARCHIVED))),
    ("UPD-110", only(archiving, status(LINK, APPROVED, DELETED))),
    ("UPD-110", only(archiving, registered(DOCUMENT, status=DELETED), status(DOCUMENT, DELETED, APPROVED))),
    ("UPD-111", only(status(DOCUMENT), status(DOCUMENT, id="again"))),
    ("UPD-111", all_of(status("doc"), status(DOCUMENT, id="again"))),
    ("UPD-112", only(submitted(HAS_MEMBER, DOCUMENT, DYNAMIC))),
    ("UPD-112", only(submitted(IHE_2007 + "APND", DOCUMENT, FOLDER))),
    ("UPD-112", only(submitted(SNAPSHOT, DOCUMENT, DOCUMENT.replace("0001", "0009")))),
    ("UPD-113", only(submitted(IHE_2007 + "APND", DOCUMENT, OLD_DOCUMENT))),
    ("UPD-113", only(submitted(IHE_2007 + "XFRM", OLD_DOCUMENT, DOCUMENT))),
    ("UPD-114", only(submitted(HAS_MEMBER, OLD_FOLDER, DOCUMENT))),
    ("UPD-115", only(submitted(IHE_2007 + "APND", DOCUMENT, FOREIGN_DOCUMENT))),
    ("UPD-115", all_of(linked, for_the_other_patient)),
    ("UPD-115", only(status(FAR_LINK, DEPRECATED, APPROVED))),
    (
        "UPD-115",
        only(linked, registered(DOCUMENT, status=DEPRECATED), registered(FOLDER, patientId=OTHER_PATIENT), linked,
             status(DOCUMENT, DEPRECATED, APPROVED)),
    ),
    ("RMU-001", with_folder, ITI_92),
    ("RMU-002", status(FOLDER), ITI_92),
    ("RMU-002", submitted(IHE_2007 + "APND", DOCUMENT, DYNAMIC), ITI_92),
    ("RMU-003", removed("ss-doc"), ITI_92),
    ("RMU-003", slot("ss-doc", "PreviousVersion"), ITI_92),
    ("RMU-004", slot("ss-doc", "AssociationPropagation", "no"), ITI_92),
    ("RMU-005", only(), ITI_92),
    ("RMU-101", identified("doc", schemes.DE_UNIQUE_ID, "1.2.3.99"), ITI_92),
    ("RMU-101", change("doc", lid=FOLDER), ITI_92),
    ("RMU-102", registered(DOCUMENT, objectType=schemes.ON_DEMAND), ITI_92),
    ("RMU-103", slot("doc", "size", "101"), ITI_92),
    ("RMU-103", slot("doc", "hash", HASH[::-1]), ITI_92),
    ("RMU-103", slot("doc", "repositoryUniqueId", "1.2.3"), ITI_92),
    ("RMU-103", slot("doc", "sourcePatientId", "78^^^&1.2.250.1.99&ISO"), ITI_92),
    ("RMU-103", slot("doc", "documentAvailability", schemes.DOCUMENT_AVAILABILITY_OFFLINE), ITI_92),
    ("RMU-103", for_the_other_patient, ITI_92),
)


def update_messages() -> list[tuple[str, Message]]:
    """Every case as (rule id, bent message)."""
    found = []
    for row in ROWS:
        message = base(row[2] if len(row) == 3 else ITI_57)
        row[1](message)
        found.append((row[0], message))
    return found
