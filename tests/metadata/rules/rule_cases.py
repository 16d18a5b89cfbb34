"""For each rule of the table, how to bend the right submission so that this rule is broken and no other.

A case is (rule id, bend) or (rule id, bend, transaction); without a transaction it is ITI-42. Cases in `SHORT` bend the
short form (one DocumentEntry), cases in `FULL` the one with two entries, a Folder and a relationship. The file is long because
it is one table: a row for each way to break a rule.
The table is one piece: a rule is looked up in it by its id.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rules_message import (
    APPROVED,
    DOCUMENT,
    DYNAMIC,
    FOLDER,
    FOREIGN_DOCUMENT,
    FOREIGN_FOLDER,
    HAS_MEMBER,
    IHE_2007,
    MERGED_PATIENT,
    OLD_DOCUMENT,
    OLD_FOLDER,
    OTHER_PATIENT,
    PATIENT,
    PATIENT_INFO,
    REGISTERED_SET,
    SNAPSHOT,
    TRANSFORMED,
    UNKNOWN,
    Message,
    association,
    coded,
    document_entry,
    folder,
    identifier,
    marker,
    submission_set,
    text,
    uuid,
)
from update_cases import update_messages

from metadata import schemes
from metadata.model import Classification, RegistryObject, Slot
from metadata.rules.advice import ADVICE
from metadata.rules.limited import ACCEPT_LIMITED_METADATA
from metadata.rules.rule import ReceivedDocument
from metadata.vocabulary import Transaction

Bend = Callable[[Message], None]
Row = tuple[str, Bend] | tuple[str, Bend, Transaction]

ITI_41, ITI_61 = Transaction.ITI_41, Transaction.ITI_61
IHE_2010 = "urn:ihe:iti:2010:AssociationType:"
NO_SIGNER = Slot("legalAuthenticator", ())
LONG_CX = "x" * 250 + "^^^&1.2.3&ISO"
HL7_CONFIDENTIALITY = "2.16.840.1.113883.5.25"
MY_SYSTEM = (Slot("codingScheme", ("1.2.3",)),)
PATIENT_IDS = (("ss", schemes.SS_PATIENT_ID), ("doc", schemes.DE_PATIENT_ID))
SS_FOLDER_2 = association("ss-folder2", HAS_MEMBER, "ss", "folder2")
TYPED_PATIENT = PATIENT + "^PI"


def slot(name: str, *values: str, of: str = "doc") -> Bend:
    """The slot has these values; without values it is not there."""
    return lambda m: m.slot(of, name, *values)


def change(object: str, /, **changes: Any) -> Bend:
    return lambda m: m.change(object, **changes)


def uncoded(scheme: str, of: str = "doc") -> Bend:
    return lambda m: m.classification(of, scheme)


def recoded(scheme: str, of: str = "doc", **changes: Any) -> Bend:
    return lambda m: m.classification(of, scheme, **changes)


def classified(*added: Classification, of: str = "doc") -> Bend:
    return lambda m: m.classify(of, *added)


def authored(**slots: tuple[str, ...]) -> Bend:
    return recoded(schemes.DE_AUTHOR, slots=tuple(Slot(name, values) for name, values in slots.items()))


def unidentified(scheme: str, of: str = "doc") -> Bend:
    return lambda m: m.identifier(of, scheme)


def identified(scheme: str, value: str, of: str = "doc") -> Bend:
    return lambda m: m.identifier(of, scheme, value=value)


def identified_twice(scheme: str, name: str, value: str, of: str = "doc") -> Bend:
    return lambda m: m.identify(of, identifier(of, scheme, value, name))


def related(type: str, target: str) -> Bend:
    return lambda m: m.relate(type, target)


def added(*objects: RegistryObject) -> Bend:
    return lambda m: m.add(*objects)


def removed(*ids: str) -> Bend:
    return lambda m: m.remove(*ids)


def all_of(*bends: Bend) -> Bend:
    def bend(message: Message) -> None:
        for one in bends:
            one(message)

    return bend


def optional(*options: str) -> Bend:
    def bend(message: Message) -> None:
        message.options = frozenset(options)

    return bend


def loose(item: Classification) -> Bend:
    return lambda m: m.loose.append(item)


def requested(*values: str) -> Bend:
    return lambda m: m.request_slots.append(Slot("homeCommunityId", values))


def known(cx: str) -> Bend:
    """The registry knows this patient too."""
    return lambda m: m.state.patients.add(cx)


def received(id: str, document: ReceivedDocument | None) -> Bend:
    """What arrived under this Document/@id; None for nothing."""

    def bend(message: Message) -> None:
        assert message.documents is not None
        message.documents.pop(id, None)
        if document:
            message.documents[id] = document

    return bend


def linked(source: str, target: str) -> Bend:
    """A HasMember of a Folder, itself a member of the SubmissionSet."""
    return added(association("link", HAS_MEMBER, source, target), association("ss-link", HAS_MEMBER, "ss", "link"))


def held_by_a_foreign_folder(message: Message) -> None:
    holder = message.state.find(FOREIGN_FOLDER)
    assert holder is not None
    message.state.holders[DOCUMENT] = [holder]


HASH_2 = "0123456789abcdef0123456789abcdef01234567"
WARD = "urn:example:ward"
EVENT = schemes.DE_EVENT_CODE

SHORT: tuple[Row, ...] = (
    ("SUB-001", removed("ss", "ss-doc")),
    ("SUB-001", added(submission_set("ss2", "1.2.250.1.213.8"))),
    ("SUB-002", added(RegistryObject("RegistryPackage", "package"))),
    ("SUB-003", added(RegistryObject("Service", "service"))),
    ("SUB-004", classified(marker("ss", schemes.FOLDER_NODE), of="ss")),
    ("SUB-004", loose(marker("ss", schemes.FOLDER_NODE))),
    ("SUB-005", loose(marker("nowhere", schemes.FOLDER_NODE))),
    ("SUB-006", lambda m: m.again(association("ss-doc", HAS_MEMBER, "ss", "doc", "Original"))),
    ("SUB-007", removed("ss-doc")),
    ("SUB-010", requested("1.2.3")),
    ("SUB-010", requested("urn:oid:1.2.3", "urn:oid:1.2.4")),
    ("SUB-011", loose(coded("doc", EVENT))),
    ("SUB-011", loose(marker("doc", schemes.FOLDER_NODE))),
    # ---------------------------------------------------------------------------------------------------- carriers
    ("OBJ-001", change("ss-doc", id="")),
    ("OBJ-002", change("ss-doc", id="urn:uuid:1234")),
    ("OBJ-002", change("ss-doc", id="urn:uuid:ABCDEF00-0000-4000-8000-000000000000")),
    ("OBJ-003", change("doc", lid="doc")),
    ("OBJ-004", change("doc", lid=uuid(50))),
    ("OBJ-005", slot("", "value")),
    ("OBJ-006", lambda m: m.change("doc", slots=(*m.objects["doc"].slots, Slot(WARD, ("B3",))))),
    ("OBJ-006", recoded(EVENT, slots=(Slot("codingScheme", ("1.2.3",)), Slot("codingScheme", ())))),
    ("OBJ-007", slot(WARD, "x" * 257)),
    ("OBJ-008", slot("ward", "B2")),
    ("OBJ-008", slot("urn:ihe:iti:2031:colour", "blue")),
    ("OBJ-009", change("doc", description=text("x" * 1025))),
    ("OBJ-009", recoded(EVENT, name=text("x" * 1025))),
    ("OBJ-010", recoded(EVENT, nodeRepresentation="x" * 257)),
    ("OBJ-010", all_of(*(identified(scheme, LONG_CX, of) for of, scheme in PATIENT_IDS), known(LONG_CX))),
    ("OBJ-011", recoded(EVENT, classifiedObject="ss")),
    ("OBJ-012", classified(Classification("c", None, None, "doc", "code"))),
    ("OBJ-013", classified(coded("doc", schemes.FOLDER_CODE_LIST))),
    ("OBJ-013", classified(coded("doc", schemes.SS_CONTENT_TYPE_CODE))),
    ("OBJ-013", lambda m: m.identify("doc", identifier("doc", schemes.SS_SOURCE_ID, "1.2.3", "XDSSubmissionSet.sourceId"))),
    ("OBJ-014", classified(coded("doc", uuid(70)))),
    ("OBJ-014", lambda m: m.identify("doc", identifier("doc", uuid(70), "1.2.3", "mine"))),
    ("OBJ-015", classified(marker("doc", uuid(70)))),
    ("OBJ-015", classified(marker("ss", schemes.DE_LIMITED_METADATA), of="ss")),
    ("OBJ-016", recoded(EVENT, nodeRepresentation="")),
    ("OBJ-016", recoded(EVENT, nodeRepresentation=None)),
    ("OBJ-017", recoded(EVENT, slots=())),
    ("OBJ-017", recoded(EVENT, slots=(Slot("codingScheme", ("1.2.3", "1.2.4")),))),
    ("OBJ-017", recoded(EVENT, slots=(Slot("codingScheme", ("",)),))),
    ("OBJ-018", recoded(EVENT, name=())),
    ("OBJ-018", recoded(EVENT, name=text(" "))),
    ("OBJ-019", lambda m: m.identifier("doc", schemes.DE_UNIQUE_ID, registryObject="ss")),
    ("OBJ-020", identified(schemes.SS_SOURCE_ID, "", "ss")),
    ("OBJ-021", lambda m: m.identifier("doc", schemes.DE_UNIQUE_ID, name=text("uniqueId"))),
    ("OBJ-021", lambda m: m.identifier("doc", schemes.DE_UNIQUE_ID, name=())),
    # ----------------------------------------------------------------------------------------------- SubmissionSet
    ("SS-104", uncoded(schemes.SS_CONTENT_TYPE_CODE, "ss")),
    ("SS-304", classified(coded("ss", schemes.SS_CONTENT_TYPE_CODE), of="ss")),
    ("SS-406", change("ss", home="1.2.3")),
    ("SS-407", slot("intendedRecipient", "||", of="ss")),
    ("SS-407", slot("intendedRecipient", "|^Welby|^^Internet^welby", of="ss")),
    ("SS-108", unidentified(schemes.SS_PATIENT_ID, "ss")),
    ("SS-308", identified_twice(schemes.SS_PATIENT_ID, "XDSSubmissionSet.patientId", PATIENT, "ss")),
    ("SS-408", all_of(identified(schemes.SS_PATIENT_ID, TYPED_PATIENT, "ss"), known(TYPED_PATIENT))),
    ("SS-109", unidentified(schemes.SS_SOURCE_ID, "ss")),
    ("SS-309", identified_twice(schemes.SS_SOURCE_ID, "XDSSubmissionSet.sourceId", "1.2.4", "ss")),
    ("SS-409", identified(schemes.SS_SOURCE_ID, "hospital", "ss")),
    ("SS-110", slot("submissionTime", of="ss")),
    ("SS-310", slot("submissionTime", "20240101", "20240102", of="ss")),
    ("SS-410", slot("submissionTime", "2024-01-01", of="ss")),
    ("SS-411", change("ss", name=text("x" * 256))),
    ("SS-112", unidentified(schemes.SS_UNIQUE_ID, "ss")),
    ("SS-312", identified_twice(schemes.SS_UNIQUE_ID, "XDSSubmissionSet.uniqueId", "1.2.4", "ss")),
    ("SS-412", identified(schemes.SS_UNIQUE_ID, "urn:oid:1.2.4", "ss")),
    # ----------------------------------------------------------------------------------------------- DocumentEntry
    ("DE-001", change("doc", objectType=uuid(71))),
    ("DE-001", change("doc", objectType=None)),
    ("DE-002", change("doc", objectType=schemes.ON_DEMAND)),
    ("DE-002", change("doc", objectType=schemes.ON_DEMAND), ITI_41),
    ("DE-003", change("doc", objectType=schemes.STABLE), ITI_61),
    ("DE-004", removed("doc", "ss-doc"), ITI_61),
    ("DE-005", slot("serviceStartTime", "202402")),
    ("DE-006", slot("sourcePatientInfo", "PID-7|19560527", "PID-7|19560528")),
    ("DE-006", slot("sourcePatientInfo", "PID-8|F", "PID-8|M")),
    ("DE-007", slot("sourcePatientInfo", "PID-19|256057512345678")),
    ("DE-103", uncoded(schemes.DE_CLASS_CODE)),
    ("DE-103", uncoded(schemes.DE_CLASS_CODE), ITI_41),
    ("DE-303", classified(coded("doc", schemes.DE_CLASS_CODE))),
    ("DE-105", uncoded(schemes.DE_CONFIDENTIALITY_CODE)),
    ("DE-106", slot("creationTime")),
    ("DE-106", slot("creationTime"), ITI_41),
    ("DE-206", slot("creationTime", "20240131"), ITI_61),
    ("DE-306", slot("creationTime", "20240131", "20240130")),
    ("DE-406", slot("creationTime", "20240230")),
    ("DE-109", uncoded(schemes.DE_FORMAT_CODE)),
    ("DE-309", classified(coded("doc", schemes.DE_FORMAT_CODE))),
    ("DE-110", slot("hash")),
    ("DE-210", slot("hash", HASH_2), ITI_61),
    ("DE-310", slot("hash", HASH_2, HASH_2)),
    ("DE-410", slot("hash", "abc")),
    ("DE-111", uncoded(schemes.DE_HEALTHCARE_FACILITY_TYPE_CODE)),
    ("DE-311", classified(coded("doc", schemes.DE_HEALTHCARE_FACILITY_TYPE_CODE))),
    ("DE-412", change("doc", home="1.2.3")),
    ("DE-113", slot("languageCode")),
    ("DE-313", slot("languageCode", "fr", "en")),
    ("DE-413", slot("languageCode", "fr_FR")),
    ("DE-314", slot("legalAuthenticator", "^A", "^B")),
    ("DE-314", all_of(slot("legalAuthenticator"), lambda m: m.change("doc", slots=(*m.objects["doc"].slots, NO_SIGNER)))),
    ("DE-414", slot("legalAuthenticator", "^^Anne")),
    ("DE-115", change("doc", mimeType=None)),
    ("DE-415", change("doc", mimeType="text/xml; charset=UTF-8")),
    ("DE-116", unidentified(schemes.DE_PATIENT_ID)),
    ("DE-316", identified_twice(schemes.DE_PATIENT_ID, "XDSDocumentEntry.patientId", PATIENT)),
    ("DE-416", identified(schemes.DE_PATIENT_ID, TYPED_PATIENT)),
    ("DE-117", uncoded(schemes.DE_PRACTICE_SETTING_CODE)),
    ("DE-317", classified(coded("doc", schemes.DE_PRACTICE_SETTING_CODE))),
    ("DE-118", slot("repositoryUniqueId")),
    ("DE-118", slot("repositoryUniqueId"), ITI_61),
    ("DE-318", slot("repositoryUniqueId", "1.2.3", "1.2.4")),
    ("DE-418", slot("repositoryUniqueId", "1.2.03")),
    ("DE-319", slot("serviceStartTime", "2023", "2024")),
    ("DE-419", slot("serviceStartTime", "yesterday")),
    ("DE-320", slot("serviceStopTime", "2024", "2025")),
    ("DE-420", slot("serviceStopTime", "20241301")),
    ("DE-121", slot("size")),
    ("DE-221", slot("size", "100"), ITI_61),
    ("DE-321", slot("size", "100", "101")),
    ("DE-421", slot("size", "100 kB")),
    ("DE-122", slot("sourcePatientId")),
    ("DE-322", slot("sourcePatientId", "77^^^&1.2.250.1.99&ISO", "78^^^&1.2.250.1.99&ISO")),
    ("DE-422", slot("sourcePatientId", "77^^^Hospital")),
    ("DE-423", slot("sourcePatientInfo", "PID-5 DUPONT")),
    ("DE-423", slot("sourcePatientInfo", "PV1-2|I")),
    ("DE-424", change("doc", name=text("x" * 128))),
    ("DE-125", uncoded(schemes.DE_TYPE_CODE)),
    ("DE-325", classified(coded("doc", schemes.DE_TYPE_CODE))),
    ("DE-126", unidentified(schemes.DE_UNIQUE_ID)),
    ("DE-326", identified_twice(schemes.DE_UNIQUE_ID, "XDSDocumentEntry.uniqueId", "1.2.4")),
    ("DE-426", identified(schemes.DE_UNIQUE_ID, "1.2.4 ")),
    ("DE-426", identified(schemes.DE_UNIQUE_ID, "1.2." + "4" * 253)),
    ("DE-327", slot("URI", "a.xml", "b.xml")),
    ("DE-427", slot("URI", "my report.xml")),
    ("DE-428", slot(schemes.REFERENCE_ID_LIST_SLOT, "2013001^^^&1.2.3.4&ISO")),
    ("DE-230", slot("documentAvailability", schemes.DOCUMENT_AVAILABILITY_ONLINE), ITI_61),
    ("DE-330", slot("documentAvailability", schemes.DOCUMENT_AVAILABILITY_ONLINE, schemes.DOCUMENT_AVAILABILITY_OFFLINE)),
    ("DE-430", slot("documentAvailability", "Online")),
    # ------------------------------------------------------------------------------------------------------ author
    ("AU-001", recoded(schemes.DE_AUTHOR, nodeRepresentation="author")),
    ("AU-001", recoded(schemes.DE_AUTHOR, nodeRepresentation=None)),
    ("AU-002", authored(authorPerson=("^Dupont", "^Martin"))),
    ("AU-003", authored(authorRole=("surgeon",))),
    ("AU-003", lambda m: m.classification("ss", schemes.SS_AUTHOR, slots=())),
    ("AU-004", authored(authorPerson=("^Dupont",), authorPhone=("0123456789",))),
    ("AU-101", authored(authorPerson=("^^Anne",))),
    ("AU-102", authored(authorInstitution=("Hospital^^^^^^^^^42",))),
    ("AU-103", authored(authorPerson=("^Dupont",), authorRole=("^^^&1.2.3&ISO",))),
    ("AU-104", authored(authorPerson=("^Dupont",), authorSpecialty=("x^y^^&1.2.3&ISO",))),
    ("AU-105", authored(authorTelecommunication=("0123456789",))),
    # ------------------------------------------------------------------------------ reference ids, limited metadata
    ("RID-001", slot(schemes.REFERENCE_ID_LIST_SLOT, "7^^^&1.2.3.4&ISO^urn:ihe:iti:xds:2013:episode")),
    ("RID-002", slot(schemes.REFERENCE_ID_LIST_SLOT, "1.2.3^^^&1.2.3.4&ISO^urn:ihe:iti:xds:2016:studyInstanceUID")),
    ("RID-002", slot(schemes.REFERENCE_ID_LIST_SLOT, "1.2.3^^^&1.2.3.4&ISO^urn:ihe:iti:xdw:2013:workflowInstanceId")),
    ("LM-001", classified(marker("doc", schemes.DE_LIMITED_METADATA))),
    ("LM-001", loose(marker("ss", schemes.SS_LIMITED_METADATA))),
    ("LM-002", all_of(optional(ACCEPT_LIMITED_METADATA), classified(marker("ss", schemes.SS_LIMITED_METADATA), of="ss"))),
    # ---------------------------------------------------------------------------------------- associations, patient
    ("AS-004", added(association("x", HAS_MEMBER, "ss", "nowhere", "Reference"))),
    ("AS-008", slot("SubmissionSetStatus", of="ss-doc")),
    ("AS-008", added(association("x", HAS_MEMBER, "ss", DOCUMENT))),
    ("AS-009", slot("SubmissionSetStatus", "Copy", of="ss-doc")),
    ("AS-009", slot("SubmissionSetStatus", "Original", "Original", of="ss-doc")),
    ("AS-010", added(association("x", HAS_MEMBER, "ss", DOCUMENT, "Original"))),
    ("AS-011", slot("SubmissionSetStatus", "Reference", of="ss-doc")),
    ("AS-013", classified(coded("ss-doc", schemes.ASSOCIATION_DOCUMENTATION), of="ss-doc")),
    ("AS-020", change("ss-doc", status=APPROVED)),
    ("PAT-001", identified(schemes.DE_PATIENT_ID, OTHER_PATIENT)),
    ("PAT-003", lambda m: m.state.patients.clear()),
    ("PAT-009", lambda m: m.state.closed.add(PATIENT)),
    ("PAT-004", all_of(*(identified(scheme, MERGED_PATIENT, of) for of, scheme in PATIENT_IDS))),
    # -------------------------------------------------------------------------------------------------------- codes
    ("CODE-001", recoded(schemes.DE_CLASS_CODE, nodeRepresentation="unlisted")),
    ("CODE-002", recoded(schemes.DE_TYPE_CODE, nodeRepresentation="unlisted")),
    ("CODE-003", recoded(schemes.DE_FORMAT_CODE, nodeRepresentation="unlisted")),
    ("CODE-004", recoded(schemes.DE_CONFIDENTIALITY_CODE, nodeRepresentation="unlisted")),
    ("CODE-005", recoded(EVENT, nodeRepresentation="unlisted")),
    ("CODE-006", recoded(schemes.DE_HEALTHCARE_FACILITY_TYPE_CODE, nodeRepresentation="unlisted")),
    ("CODE-007", recoded(schemes.DE_PRACTICE_SETTING_CODE, nodeRepresentation="unlisted")),
    ("CODE-008", recoded(schemes.SS_CONTENT_TYPE_CODE, "ss", nodeRepresentation="unlisted")),
    ("CODE-011", change("doc", mimeType="text/unlisted")),
    ("CODE-012", recoded(schemes.DE_TYPE_CODE, nodeRepresentation="unknown")),
    ("CODE-012", recoded(schemes.SS_CONTENT_TYPE_CODE, "ss", nodeRepresentation="unknown")),
    ("CODE-012", change("doc", mimeType="text/unknown")),
    # ---------------------------------------------------------------------------------------------- affinity domain
    ("DOM-001", slot("size", "1001")),
    ("DOM-001", slot("size", "1" * 19)),
    ("DOM-003", all_of(*(identified(scheme, "77^^^&1.2.99&ISO", of) for of, scheme in PATIENT_IDS), known("77^^^&1.2.99&ISO"))),
    # --------------------------------------------------------------------------------------- registered, received
    ("REG-001", identified(schemes.SS_UNIQUE_ID, "1.2.3.8", "ss")),
    ("REG-001", identified(schemes.SS_UNIQUE_ID, "1.2.3.1", "ss")),
    ("REG-003", all_of(identified(schemes.DE_UNIQUE_ID, "1.2.3.1"), slot("hash", HASH_2))),
    ("REG-004", all_of(identified(schemes.DE_UNIQUE_ID, "1.2.3.1"), slot("size", "101"))),
    ("REG-005", identified(schemes.DE_UNIQUE_ID, "1.2.3.4")),
    ("REG-005", identified(schemes.DE_UNIQUE_ID, "1.2.3.1"), ITI_61),
    ("REG-006", identified(schemes.DE_UNIQUE_ID, "1.2.3.8")),
    ("REG-006", identified(schemes.DE_UNIQUE_ID, "1.2.3.5")),
    ("REG-007", change("ss-doc", id=DOCUMENT)),
    ("REG-008", added(association("x", HAS_MEMBER, "ss", UNKNOWN, "Reference"))),
    ("REG-011", added(association("x", HAS_MEMBER, "ss", FOLDER, "Reference"))),
    ("REP-001", received("doc", None), ITI_41),
    ("REP-002", received("other", ReceivedDocument(100, HASH_2)), ITI_41),
    ("REP-002", received("ss", ReceivedDocument(100, HASH_2)), ITI_41),
    ("REP-003", received("doc", ReceivedDocument(100, HASH_2)), ITI_41),
    ("REP-004", slot("size", "101"), ITI_41),
    # ------------------------------------------------------------------------------------------------------- advice
    ("ADV-001", all_of(optional(ADVICE), slot("sourcePatientInfo", *PATIENT_INFO[1:]))),
    ("ADV-002", all_of(optional(ADVICE), recoded(schemes.DE_CONFIDENTIALITY_CODE, nodeRepresentation="x", slots=MY_SYSTEM))),
    ("ADV-002", all_of(optional(ADVICE), classified(coded("doc", schemes.DE_CONFIDENTIALITY_CODE, "R", HL7_CONFIDENTIALITY)))),
    ("ADV-003", all_of(optional(ADVICE), identified(schemes.DE_UNIQUE_ID, "Document01"))),
    ("ADV-004", all_of(optional(ADVICE), slot("legalAuthenticator", "^Dupont")), ITI_61),
    ("ADV-005", all_of(optional(ADVICE), uncoded(schemes.SS_AUTHOR, "ss"))),
)

FULL: tuple[Row, ...] = (
    ("SUB-008", removed("ss-folder")),
    ("SUB-009", identified(schemes.DE_UNIQUE_ID, "1.2.250.1.213.2", "doc2")),
    ("SUB-009", identified(schemes.FOLDER_UNIQUE_ID, "1.2.250.1.213.2", "folder")),
    # ------------------------------------------------------------------------------------------------------ Folder
    ("FD-001", slot("lastUpdateTime", "20240131", of="folder")),
    ("FD-102", uncoded(schemes.FOLDER_CODE_LIST, "folder")),
    ("FD-405", change("folder", home="urn:oid:1.2.03")),
    ("FD-306", slot("lastUpdateTime", "20240131101500", "20240131101501", of="folder")),
    ("FD-406", slot("lastUpdateTime", "20240131101500+0100", of="folder")),
    ("FD-107", unidentified(schemes.FOLDER_PATIENT_ID, "folder")),
    ("FD-307", identified_twice(schemes.FOLDER_PATIENT_ID, "XDSFolder.patientId", PATIENT, "folder")),
    ("FD-407", identified(schemes.FOLDER_PATIENT_ID, TYPED_PATIENT, "folder")),
    ("FD-108", change("folder", name=())),
    ("FD-408", change("folder", name=text("x" * 257))),
    ("FD-109", unidentified(schemes.FOLDER_UNIQUE_ID, "folder")),
    ("FD-309", identified_twice(schemes.FOLDER_UNIQUE_ID, "XDSFolder.uniqueId", "1.2.4", "folder")),
    ("FD-409", identified(schemes.FOLDER_UNIQUE_ID, "folder-1", "folder")),
    # ------------------------------------------------------------------------------------------------ associations
    ("AS-001", related("urn:ihe:iti:2007:AssociationType:APND_TXFM", "doc")),
    ("AS-001", change("relation", associationType="APND")),
    ("AS-001", change("relation", associationType=None)),
    ("AS-002", related(IHE_2010 + "UpdateAvailabilityStatus", "doc")),
    ("AS-002", related(IHE_2010 + "SubmitAssociation", "doc")),
    ("AS-003", related("APND", "doc2")),
    ("AS-003", change("relation", targetObject=None)),
    ("AS-003", change("relation", associationType="urn:ihe:iti:2007:AssociationType:signs", sourceObject=None)),
    ("AS-004", related("APND", "nowhere")),
    ("AS-005", added(association("x", HAS_MEMBER, "doc", "doc2"))),
    ("AS-005", added(association("x", HAS_MEMBER, "ss-doc", "doc2"))),
    ("AS-006", related("APND", "ss")),
    ("AS-007", all_of(linked("folder", "folder2"), added(folder("folder2", "1.2.4"), SS_FOLDER_2))),
    ("AS-007", linked("folder", "ss-doc")),
    ("AS-012", removed("ss-folder-doc")),
    ("AS-012", added(association("x", HAS_MEMBER, FOLDER, "doc"))),
    ("AS-014", classified(coded("relation", schemes.ASSOCIATION_DOCUMENTATION), of="relation")),
    ("AS-015", added(association("x", IHE_2007 + "APND", DOCUMENT, "doc"))),
    ("AS-015", change("relation", sourceObject="folder")),
    ("AS-016", related("RPLC", "doc")),
    ("AS-016", related("XFRM_RPLC", "doc")),
    ("AS-016", related(SNAPSHOT, "doc")),
    ("AS-017", related("APND", "folder")),
    ("AS-017", related("signs", "ss-doc")),
    ("AS-018", related(SNAPSHOT, DYNAMIC), ITI_61),
    ("AS-019", added(association("x", IHE_2007 + "XFRM", "doc", DOCUMENT))),
    ("AS-021", related("APND", DOCUMENT.replace("4000", "400F"))),
    ("AS-021", related("APND", "urn:uuid:document")),
    ("DOM-002", added(document_entry("doc3", "1.2.250.1.213.5"), association("ss-doc3", HAS_MEMBER, "ss", "doc3", "Original"))),
    ("CODE-009", recoded(schemes.FOLDER_CODE_LIST, "folder", nodeRepresentation="unlisted")),
    ("CODE-010", recoded(schemes.ASSOCIATION_DOCUMENTATION, "relation", nodeRepresentation="unlisted")),
    # ----------------------------------------------------------------------------------------------------- patient
    ("PAT-002", identified(schemes.FOLDER_PATIENT_ID, OTHER_PATIENT, "folder")),
    ("PAT-005", related("APND", FOREIGN_DOCUMENT)),
    ("PAT-006", linked(FOREIGN_FOLDER, "doc")),
    ("PAT-006", linked("folder", FOREIGN_DOCUMENT)),
    ("PAT-007", all_of(related("RPLC", DOCUMENT), held_by_a_foreign_folder)),
    ("PAT-008", linked(FOREIGN_FOLDER, FOREIGN_DOCUMENT)),
    # -------------------------------------------------------------------------------------------------- registered
    ("REG-002", identified(schemes.FOLDER_UNIQUE_ID, "1.2.3.5", "folder")),
    ("REG-008", related("APND", UNKNOWN)),
    ("REG-008", linked(UNKNOWN, "doc")),
    ("REG-009", related("APND", OLD_DOCUMENT)),
    ("REG-009", related("RPLC", OLD_DOCUMENT)),
    ("REG-009", linked("folder", OLD_DOCUMENT)),
    ("REG-010", linked(OLD_FOLDER, "doc")),
    ("REG-011", linked(DOCUMENT, "doc")),
    ("REG-011", linked(REGISTERED_SET, "doc")),
    ("REG-011", related("APND", REGISTERED_SET)),
    ("REG-012", related(SNAPSHOT, DOCUMENT)),
    ("REG-013", related("APND", TRANSFORMED)),
)


def messages() -> list[tuple[str, Message]]:
    """Every case as (rule id, bent message)."""
    found = []
    for rows, full in ((SHORT, False), (FULL, True)):
        for row in rows:
            message = Message(row[2] if len(row) == 3 else Transaction.ITI_42, full)
            row[1](message)
            found.append((row[0], message))
    return found + update_messages()
