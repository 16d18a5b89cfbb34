"""THE table: one row per attribute of the Document Sharing metadata (ITI TF-3: 4.2.3, 4.2.2; optionality Table 4.3.1-3).

The codec, the rules and the generated integration statement are driven by it. A row names the attribute as IHE does
(which is also the field of `metadata.model`), where ebRIM carries it, its data type, how often it may occur, and what each
sending actor owes. `ATTRIBUTES` is in the standard's order; the dictionaries at the end are views of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from metadata import schemes
from metadata.datatypes import DataType
from metadata.vocabulary import ObjectKind


class Carrier(Enum):
    """Where ebRIM 3.0 holds an attribute. For the last four `Attribute.key` says which slot, scheme or node."""

    ID = "@id"
    LID = "@lid"
    HOME = "@home"
    STATUS = "@status"
    OBJECT_TYPE = "@objectType"
    MIME_TYPE = "@mimeType"
    ASSOCIATION_TYPE = "@associationType"
    SOURCE_OBJECT = "@sourceObject"
    TARGET_OBJECT = "@targetObject"
    NAME = "Name"
    DESCRIPTION = "Description"
    VERSION_INFO = "VersionInfo/@versionName"
    SLOT = "Slot"
    CLASSIFICATION = "Classification/@classificationScheme"
    CLASSIFICATION_NODE = "Classification/@classificationNode"
    EXTERNAL_IDENTIFIER = "ExternalIdentifier/@identificationScheme"


class Sender(Enum):
    """The columns of Table 4.3.1-3: who sends, in which transaction."""

    DOCUMENT_SOURCE = "XDS Document Source, ITI-41"
    DOCUMENT_REPOSITORY = "XDS Document Repository, ITI-42"
    MEDIA_CREATOR = "XDM Portable Media Creator"
    XDR_DOCUMENT_SOURCE = "XDR Document Source, ITI-41"
    METADATA_LIMITED_SOURCE = "XDR Metadata-Limited Document Source, ITI-41"
    ON_DEMAND_SOURCE = "XDS On-Demand Document Source, ITI-61"
    INITIATING_GATEWAY = "XCDR Initiating Gateway, ITI-80"


class Optionality(Enum):
    REQUIRED = "R"
    REQUIRED_IF_KNOWN = "R2"
    OPTIONAL = "O"
    FORBIDDEN = "X"
    UNDEFINED = "-"


@dataclass(frozen=True, slots=True)
class Attribute:
    """One row. `least` and `most` count values (classifications for a coded attribute); `most` is None for no upper bound."""

    kind: ObjectKind
    name: str
    carrier: Carrier
    key: str
    type: DataType
    least: int
    most: int | None
    section: str
    sent: dict[Sender, Optionality]
    identifier_name: str = ""

    @property
    def many(self) -> bool:
        return self.most != 1

    @property
    def multiplicity(self) -> str:
        """`0..1`, `1..1`, `0..n`."""
        return f"{self.least}..{'n' if self.most is None else self.most}"

    @property
    def place(self) -> str:
        """Where to look for it in the message, for a message to a person: `Slot 'creationTime'`."""
        return f"{self.carrier.value} '{self.key}'" if self.key else self.carrier.value

    def optionality(self, sender: Sender) -> Optionality:
        return self.sent[sender]


# Columns in the order of `Sender`; one word stands for all seven.
_ALL_REQUIRED = "R"
_ALL_R2 = "R2"
_ALL_OPTIONAL = "O"
_CODED = "R R R2 R R2 R R"
_PATIENT = "R R R2 R R2 R R2"
_LIMITED = "X X O X R X X"
_UPDATE_ONLY = "O O O O O O -"

_C = Carrier
_T = DataType
_DE = ObjectKind.DOCUMENT_ENTRY
_SS = ObjectKind.SUBMISSION_SET
_FOL = ObjectKind.FOLDER
_AS = ObjectKind.ASSOCIATION


def _row(
    kind: ObjectKind,
    name: str,
    carrier: Carrier,
    key: str,
    data_type: DataType,
    multiplicity: str,
    section: str,
    columns: str,
) -> Attribute:
    least, _, most = multiplicity.partition("..")
    words = columns.split()
    words = words * len(Sender) if len(words) == 1 else words
    sent = {sender: Optionality(word) for sender, word in zip(Sender, words, strict=True)}
    identifier_name = f"XDS{kind.value}.{name}" if carrier is Carrier.EXTERNAL_IDENTIFIER else ""
    upper = None if most == "n" else int(most)
    return Attribute(kind, name, carrier, key, data_type, int(least), upper, f"ITI TF-3: {section}", sent, identifier_name)


ATTRIBUTES: tuple[Attribute, ...] = (
    # ------------------------------------------------------------------------------------------------- DocumentEntry
    _row(_DE, "author", _C.CLASSIFICATION, schemes.DE_AUTHOR, _T.AUTHOR, "0..n", "4.2.3.2.1", _ALL_R2),
    _row(_DE, "availabilityStatus", _C.STATUS, "", _T.STATUS, "0..1", "4.2.3.2.2", _ALL_OPTIONAL),
    _row(_DE, "classCode", _C.CLASSIFICATION, schemes.DE_CLASS_CODE, _T.CODE, "0..1", "4.2.3.2.3", _CODED),
    _row(_DE, "comments", _C.DESCRIPTION, "", _T.STRING, "0..1", "4.2.3.2.4", _ALL_OPTIONAL),
    _row(_DE, "confidentialityCode", _C.CLASSIFICATION, schemes.DE_CONFIDENTIALITY_CODE, _T.CODE, "0..n", "4.2.3.2.5", _CODED),
    _row(_DE, "creationTime", _C.SLOT, "creationTime", _T.DTM, "0..1", "4.2.3.2.6", "R R R2 R R2 X R"),
    _row(_DE, "entryUUID", _C.ID, "", _T.UUID, "1..1", "4.2.3.2.7", _ALL_REQUIRED),
    _row(_DE, "eventCodeList", _C.CLASSIFICATION, schemes.DE_EVENT_CODE, _T.CODE, "0..n", "4.2.3.2.8", _ALL_OPTIONAL),
    _row(_DE, "formatCode", _C.CLASSIFICATION, schemes.DE_FORMAT_CODE, _T.CODE, "0..1", "4.2.3.2.9", _CODED),
    _row(_DE, "hash", _C.SLOT, "hash", _T.SHA1, "0..1", "4.2.3.2.10", "O R R O O X O"),
    _row(
        _DE,
        "healthcareFacilityTypeCode",
        _C.CLASSIFICATION,
        schemes.DE_HEALTHCARE_FACILITY_TYPE_CODE,
        _T.CODE,
        "0..1",
        "4.2.3.2.11",
        _CODED,
    ),
    _row(_DE, "homeCommunityId", _C.HOME, "", _T.HOME_COMMUNITY_ID, "0..1", "4.2.3.2.12", _ALL_OPTIONAL),
    _row(_DE, "languageCode", _C.SLOT, "languageCode", _T.LANGUAGE, "0..1", "4.2.3.2.13", _CODED),
    _row(_DE, "legalAuthenticator", _C.SLOT, "legalAuthenticator", _T.XCN, "0..1", "4.2.3.2.14", _ALL_OPTIONAL),
    _row(_DE, "mimeType", _C.MIME_TYPE, "", _T.MIME_TYPE, "1..1", "4.2.3.2.15", _ALL_REQUIRED),
    _row(_DE, "patientId", _C.EXTERNAL_IDENTIFIER, schemes.DE_PATIENT_ID, _T.CX, "0..1", "4.2.3.2.16", _PATIENT),
    _row(_DE, "practiceSettingCode", _C.CLASSIFICATION, schemes.DE_PRACTICE_SETTING_CODE, _T.CODE, "0..1", "4.2.3.2.17", _CODED),
    _row(_DE, "repositoryUniqueId", _C.SLOT, "repositoryUniqueId", _T.OID, "0..1", "4.2.3.2.18", "O R O O O R O"),
    _row(_DE, "serviceStartTime", _C.SLOT, "serviceStartTime", _T.DTM, "0..1", "4.2.3.2.19", "R2 R2 R2 R2 R2 O R2"),
    _row(_DE, "serviceStopTime", _C.SLOT, "serviceStopTime", _T.DTM, "0..1", "4.2.3.2.20", "R2 R2 R2 R2 R2 O R2"),
    _row(_DE, "size", _C.SLOT, "size", _T.INTEGER, "0..1", "4.2.3.2.21", "O R R O O X O"),
    _row(_DE, "sourcePatientId", _C.SLOT, "sourcePatientId", _T.CX, "0..1", "4.2.3.2.22", _CODED),
    _row(_DE, "sourcePatientInfo", _C.SLOT, "sourcePatientInfo", _T.FIELD, "0..n", "4.2.3.2.23", "O O R2 O R2 O O"),
    _row(_DE, "title", _C.NAME, "", _T.STRING, "0..1", "4.2.3.2.24", _ALL_OPTIONAL),
    _row(_DE, "typeCode", _C.CLASSIFICATION, schemes.DE_TYPE_CODE, _T.CODE, "0..1", "4.2.3.2.25", _CODED),
    _row(_DE, "uniqueId", _C.EXTERNAL_IDENTIFIER, schemes.DE_UNIQUE_ID, _T.IDENTIFIER, "1..1", "4.2.3.2.26", _ALL_REQUIRED),
    _row(_DE, "URI", _C.SLOT, "URI", _T.URI, "0..1", "4.2.3.2.27", "O O R O O O O"),
    _row(_DE, "referenceIdList", _C.SLOT, schemes.REFERENCE_ID_LIST_SLOT, _T.CXI, "0..n", "4.2.3.2.28", _ALL_OPTIONAL),
    _row(_DE, "limitedMetadata", _C.CLASSIFICATION_NODE, schemes.DE_LIMITED_METADATA, _T.FLAG, "0..1", "4.2.3.2.29", _LIMITED),
    _row(
        _DE,
        "documentAvailability",
        _C.SLOT,
        "documentAvailability",
        _T.DOCUMENT_AVAILABILITY,
        "0..1",
        "4.2.3.2.30",
        "O O O O O X -",
    ),
    _row(_DE, "logicalID", _C.LID, "", _T.UUID, "0..1", "4.2.3.2.31", _UPDATE_ONLY),
    _row(_DE, "version", _C.VERSION_INFO, "", _T.INTEGER, "0..1", "4.2.3.2.32", _UPDATE_ONLY),
    _row(_DE, "objectType", _C.OBJECT_TYPE, "", _T.UUID, "1..1", "4.2.5.2", _ALL_REQUIRED),
    # ------------------------------------------------------------------------------------------------- SubmissionSet
    _row(_SS, "author", _C.CLASSIFICATION, schemes.SS_AUTHOR, _T.AUTHOR, "0..n", "4.2.3.3.1", _ALL_R2),
    _row(_SS, "availabilityStatus", _C.STATUS, "", _T.STATUS, "0..1", "4.2.3.3.2", _ALL_OPTIONAL),
    _row(_SS, "comments", _C.DESCRIPTION, "", _T.STRING, "0..1", "4.2.3.3.3", _ALL_OPTIONAL),
    _row(_SS, "contentTypeCode", _C.CLASSIFICATION, schemes.SS_CONTENT_TYPE_CODE, _T.CODE, "0..1", "4.2.3.3.4", _CODED),
    _row(_SS, "entryUUID", _C.ID, "", _T.UUID, "1..1", "4.2.3.3.5", _ALL_REQUIRED),
    _row(_SS, "homeCommunityId", _C.HOME, "", _T.HOME_COMMUNITY_ID, "0..1", "4.2.3.3.6", _ALL_OPTIONAL),
    _row(_SS, "intendedRecipient", _C.SLOT, "intendedRecipient", _T.RECIPIENT, "0..n", "4.2.3.3.7", "O O R2 R2 R2 O R2"),
    _row(_SS, "patientId", _C.EXTERNAL_IDENTIFIER, schemes.SS_PATIENT_ID, _T.CX, "0..1", "4.2.3.3.8", _PATIENT),
    _row(_SS, "sourceId", _C.EXTERNAL_IDENTIFIER, schemes.SS_SOURCE_ID, _T.OID, "1..1", "4.2.3.3.9", _ALL_REQUIRED),
    _row(_SS, "submissionTime", _C.SLOT, "submissionTime", _T.DTM, "1..1", "4.2.3.3.10", _ALL_REQUIRED),
    _row(_SS, "title", _C.NAME, "", _T.STRING, "0..1", "4.2.3.3.11", _ALL_OPTIONAL),
    _row(_SS, "uniqueId", _C.EXTERNAL_IDENTIFIER, schemes.SS_UNIQUE_ID, _T.OID, "1..1", "4.2.3.3.12", _ALL_REQUIRED),
    _row(_SS, "limitedMetadata", _C.CLASSIFICATION_NODE, schemes.SS_LIMITED_METADATA, _T.FLAG, "0..1", "4.2.3.3.13", _LIMITED),
    # -------------------------------------------------------------------------------------------------------- Folder
    _row(_FOL, "availabilityStatus", _C.STATUS, "", _T.STATUS, "0..1", "4.2.3.4.1", _ALL_OPTIONAL),
    _row(_FOL, "codeList", _C.CLASSIFICATION, schemes.FOLDER_CODE_LIST, _T.CODE, "0..n", "4.2.3.4.2", _CODED),
    _row(_FOL, "comments", _C.DESCRIPTION, "", _T.STRING, "0..1", "4.2.3.4.3", _ALL_OPTIONAL),
    _row(_FOL, "entryUUID", _C.ID, "", _T.UUID, "1..1", "4.2.3.4.4", _ALL_REQUIRED),
    _row(_FOL, "homeCommunityId", _C.HOME, "", _T.HOME_COMMUNITY_ID, "0..1", "4.2.3.4.5", _ALL_OPTIONAL),
    _row(_FOL, "lastUpdateTime", _C.SLOT, "lastUpdateTime", _T.DTM, "0..1", "4.2.3.4.6", _ALL_OPTIONAL),
    _row(_FOL, "patientId", _C.EXTERNAL_IDENTIFIER, schemes.FOLDER_PATIENT_ID, _T.CX, "0..1", "4.2.3.4.7", _PATIENT),
    _row(_FOL, "title", _C.NAME, "", _T.STRING, "0..1", "4.2.3.4.8", "R R O R O R R"),
    _row(_FOL, "uniqueId", _C.EXTERNAL_IDENTIFIER, schemes.FOLDER_UNIQUE_ID, _T.OID, "1..1", "4.2.3.4.9", _ALL_REQUIRED),
    _row(
        _FOL, "limitedMetadata", _C.CLASSIFICATION_NODE, schemes.FOLDER_LIMITED_METADATA, _T.FLAG, "0..1", "4.2.3.4.10", _LIMITED
    ),
    _row(_FOL, "logicalID", _C.LID, "", _T.UUID, "0..1", "4.2.3.4.11", _ALL_OPTIONAL),
    _row(_FOL, "version", _C.VERSION_INFO, "", _T.INTEGER, "0..1", "4.2.3.4.12", _ALL_OPTIONAL),
    # --------------------------------------------------------------------------------------------------- Association
    _row(_AS, "entryUUID", _C.ID, "", _T.UUID, "1..1", "4.2.2", _ALL_REQUIRED),
    _row(_AS, "associationType", _C.ASSOCIATION_TYPE, "", _T.ASSOCIATION_TYPE, "1..1", "4.2.2", _ALL_REQUIRED),
    _row(_AS, "sourceObject", _C.SOURCE_OBJECT, "", _T.UUID, "1..1", "4.2.2", _ALL_REQUIRED),
    _row(_AS, "targetObject", _C.TARGET_OBJECT, "", _T.UUID, "1..1", "4.2.2", _ALL_REQUIRED),
    _row(_AS, "availabilityStatus", _C.STATUS, "", _T.STATUS, "0..1", "4.2.2", _ALL_OPTIONAL),
    _row(_AS, "submissionSetStatus", _C.SLOT, "SubmissionSetStatus", _T.STRING, "0..1", "4.2.2.1.1", _ALL_OPTIONAL),
    _row(_AS, "previousVersion", _C.SLOT, "PreviousVersion", _T.INTEGER, "0..1", "4.2.2.1.1", _UPDATE_ONLY),
    _row(_AS, "originalStatus", _C.SLOT, "OriginalStatus", _T.STATUS, "0..1", "4.2.2", _UPDATE_ONLY),
    _row(_AS, "newStatus", _C.SLOT, "NewStatus", _T.STATUS, "0..1", "4.2.2", _UPDATE_ONLY),
    _row(_AS, "associationPropagation", _C.SLOT, "AssociationPropagation", _T.STRING, "0..1", "4.2.2", _UPDATE_ONLY),
    _row(
        _AS, "documentation", _C.CLASSIFICATION, schemes.ASSOCIATION_DOCUMENTATION, _T.CODE, "0..n", "4.2.2.2", _ALL_OPTIONAL
    ),
)

#: Slots of an author Classification: field of `metadata.model.Author`, data type, multiplicity (ITI TF-3: 4.2.3.1.4).
AUTHOR_SLOTS: dict[str, tuple[DataType, str]] = {
    "authorPerson": (DataType.XCN, "0..1"),
    "authorInstitution": (DataType.XON, "0..n"),
    "authorRole": (DataType.CODED_STRING, "0..n"),
    "authorSpecialty": (DataType.CODED_STRING, "0..n"),
    "authorTelecommunication": (DataType.XTN, "0..n"),
}

OF_KIND: dict[ObjectKind, tuple[Attribute, ...]] = {k: tuple(a for a in ATTRIBUTES if a.kind is k) for k in ObjectKind}
BY_NAME: dict[tuple[ObjectKind, str], Attribute] = {(a.kind, a.name): a for a in ATTRIBUTES}


def keyed(kind: ObjectKind, carrier: Carrier) -> dict[str, Attribute]:
    """The rows of one object kind on one carrier, by slot name, scheme or node."""
    return {a.key: a for a in OF_KIND[kind] if a.carrier is carrier}


#: The fixed Name of each ExternalIdentifier, by scheme (ITI TF-3: 4.2.3.1.3).
IDENTIFIER_NAMES: dict[str, str] = {a.key: a.identifier_name for a in ATTRIBUTES if a.identifier_name}

#: The schemes under which a patientId stands (the registry fills them at query time).
PATIENT_ID_SCHEMES = frozenset(
    a.key for a in ATTRIBUTES if a.name == "patientId" and a.carrier is Carrier.EXTERNAL_IDENTIFIER
)
