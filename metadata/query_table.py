"""The stored queries as a table (ITI TF-2: 3.18.4.1.2.3.7, 3.51.4.1.2).

A `QueryDefinition` says what a query is called, what it answers, which parameters it takes and in which transactions it
is known. One row is one query; parameters that several queries share are written once. `metadata.queries` reads a request
against it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import Enum

from metadata.vocabulary import Transaction


class ParameterType(Enum):
    """How the values of a parameter are read."""

    PATIENT_ID = "patient id"
    STRING = "string"
    CODE = "code"
    TIME = "time"
    STATUS = "status"
    UUID = "UUID"
    NUMBER = "number"
    LIKE = "pattern"
    DOCUMENT_TYPE = "document entry type"
    ASSOCIATION_TYPE = "association type"


class Returned(Enum):
    """What a query answers with (the column "Returns")."""

    DOCUMENT_ENTRIES = "DocumentEntry"
    SUBMISSION_SETS = "SubmissionSet"
    FOLDERS = "Folder"
    ASSOCIATIONS = "Association"
    DOCUMENT_ENTRIES_AND_ASSOCIATIONS = "DocumentEntry and Association"
    SUBMISSION_SETS_AND_ASSOCIATIONS = "SubmissionSet and Association"
    EVERYTHING = "SubmissionSet, DocumentEntry, Folder and Association"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter. `conjunctive`: the Slot may be repeated, repetitions are joined by AND. `group`: see QueryDefinition."""

    name: str
    type: ParameterType
    many: bool = False
    required: bool = False
    conjunctive: bool = False
    group: str = ""


@dataclass(frozen=True, slots=True)
class QueryDefinition:
    """One row of the table.

    Parameters that share `group` "one" are alternatives of which exactly one must be given; those of group "some" are
    such that at least one must be given (multi-patient queries). `single_patient`: a LeafClass answer may hold one
    patient only (XDSResultNotSinglePatient). `extension`: not of the Technical Framework, known only where it is switched on.
    """

    name: str
    id: str
    section: str
    returns: Returned
    transactions: frozenset[Transaction]
    parameters: tuple[Parameter, ...]
    single_patient: bool = False
    extension: bool = False
    by_name: dict[str, Parameter] = field(init=False, compare=False, repr=False)
    groups: dict[str, tuple[Parameter, ...]] = field(init=False, compare=False, repr=False)
    required: tuple[Parameter, ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {p.name: p for p in self.parameters})
        names = {p.group for p in self.parameters}
        object.__setattr__(self, "groups", {name: tuple(p for p in self.parameters if p.group == name) for name in names})
        object.__setattr__(self, "required", tuple(p for p in self.parameters if p.required))

    def group(self, name: str) -> tuple[Parameter, ...]:
        return self.groups.get(name, ())


#: Groups of parameters.
EXACTLY_ONE = "one"
AT_LEAST_ONE = "some"


# --------------------------------------------------------------------------------------------------- parameters, once

_T = ParameterType
_ANY_QUERY = frozenset({Transaction.ITI_18})
_MULTI_PATIENT = frozenset({Transaction.ITI_51})


def _one(name: str, type_: ParameterType, *, required: bool = False, group: str = "") -> Parameter:
    return Parameter("$" + name, type_, required=required, group=group)


def _many(
    name: str, type_: ParameterType, *, required: bool = False, conjunctive: bool = False, group: str = ""
) -> Parameter:
    return Parameter("$" + name, type_, many=True, required=required, conjunctive=conjunctive, group=group)


def _in_group(parameters: Iterable[Parameter], names: frozenset[str], group: str) -> tuple[Parameter, ...]:
    return tuple(replace(p, group=group) if p.name in names else p for p in parameters)


_LEVEL = _one("MetadataLevel", _T.NUMBER)
_ASSOCIATION_STATUS = _many("XDSAssociationStatus", _T.STATUS)

_DE_PATIENT = _one("XDSDocumentEntryPatientId", _T.PATIENT_ID, required=True)
_DE_STATUS = _many("XDSDocumentEntryStatus", _T.STATUS, required=True)
_DE_TYPE = _many("XDSDocumentEntryType", _T.DOCUMENT_TYPE)
_DE_FORMAT = _many("XDSDocumentEntryFormatCode", _T.CODE)
_DE_CONFIDENTIALITY = _many("XDSDocumentEntryConfidentialityCode", _T.CODE, conjunctive=True)
_DE_REFERENCES = _many("XDSDocumentEntryReferenceIdList", _T.LIKE, required=True, conjunctive=True)
_DE_FILTERS = (
    _many("XDSDocumentEntryClassCode", _T.CODE),
    _many("XDSDocumentEntryTypeCode", _T.CODE),
    _many("XDSDocumentEntryPracticeSettingCode", _T.CODE),
    _one("XDSDocumentEntryCreationTimeFrom", _T.TIME),
    _one("XDSDocumentEntryCreationTimeTo", _T.TIME),
    _one("XDSDocumentEntryServiceStartTimeFrom", _T.TIME),
    _one("XDSDocumentEntryServiceStartTimeTo", _T.TIME),
    _one("XDSDocumentEntryServiceStopTimeFrom", _T.TIME),
    _one("XDSDocumentEntryServiceStopTimeTo", _T.TIME),
    _many("XDSDocumentEntryHealthcareFacilityTypeCode", _T.CODE),
    _many("XDSDocumentEntryEventCodeList", _T.CODE, conjunctive=True),
    _DE_CONFIDENTIALITY,
    _many("XDSDocumentEntryAuthorPerson", _T.LIKE),
    _DE_FORMAT,
    _DE_STATUS,
    _DE_TYPE,
    _many("XDSDocumentEntryDocumentAvailability", _T.STRING),
    _LEVEL,
)
_CONTENT_FILTERS = (_DE_FORMAT, _DE_CONFIDENTIALITY, _DE_TYPE)

_DE_IDS = (
    _many("XDSDocumentEntryEntryUUID", _T.UUID, group=EXACTLY_ONE),
    _many("XDSDocumentEntryUniqueId", _T.STRING, group=EXACTLY_ONE),
)
_DE_ID = (
    _one("XDSDocumentEntryEntryUUID", _T.UUID, group=EXACTLY_ONE),
    _one("XDSDocumentEntryUniqueId", _T.STRING, group=EXACTLY_ONE),
)
_FOLDER_FILTERS = (
    _one("XDSFolderLastUpdateTimeFrom", _T.TIME),
    _one("XDSFolderLastUpdateTimeTo", _T.TIME),
    _many("XDSFolderCodeList", _T.CODE, conjunctive=True),
    _many("XDSFolderStatus", _T.STATUS, required=True),
)
_UUIDS = _many("uuid", _T.UUID, required=True)

_MULTI_PATIENT_DOCUMENTS = _in_group(
    (_many("XDSDocumentEntryPatientId", _T.PATIENT_ID), *(p for p in _DE_FILTERS if p is not _LEVEL)),
    frozenset(
        {
            "$XDSDocumentEntryPatientId",
            "$XDSDocumentEntryClassCode",
            "$XDSDocumentEntryEventCodeList",
            "$XDSDocumentEntryHealthcareFacilityTypeCode",
        }
    ),
    AT_LEAST_ONE,
)


def _registry_query(
    number: int, name: str, id_: str, returns: Returned, *parameters: Parameter, single_patient: bool = False
) -> QueryDefinition:
    section = f"ITI TF-2: 3.18.4.1.2.3.7.{number}"
    return QueryDefinition(name, "urn:uuid:" + id_, section, returns, _ANY_QUERY, parameters, single_patient)


def _multi_patient_query(section: str, name: str, id_: str, returns: Returned, *parameters: Parameter) -> QueryDefinition:
    return QueryDefinition(name, "urn:uuid:" + id_, section, returns, _MULTI_PATIENT, parameters)


# ---------------------------------------------------------------------------------------------------------- the table

FIND_DOCUMENTS = _registry_query(
    1,
    "FindDocuments",
    "14d4debf-8f97-4251-9a74-a90016b0af0d",
    Returned.DOCUMENT_ENTRIES,
    _DE_PATIENT,
    *_DE_FILTERS,
)
FIND_SUBMISSION_SETS = _registry_query(
    2,
    "FindSubmissionSets",
    "f26abbcb-ac74-4422-8a30-edb644bbc1a9",
    Returned.SUBMISSION_SETS,
    _one("XDSSubmissionSetPatientId", _T.PATIENT_ID, required=True),
    _many("XDSSubmissionSetSourceId", _T.STRING),
    _one("XDSSubmissionSetSubmissionTimeFrom", _T.TIME),
    _one("XDSSubmissionSetSubmissionTimeTo", _T.TIME),
    _one("XDSSubmissionSetAuthorPerson", _T.LIKE),
    _many("XDSSubmissionSetContentType", _T.CODE),
    _many("XDSSubmissionSetStatus", _T.STATUS, required=True),
)
FIND_FOLDERS = _registry_query(
    3,
    "FindFolders",
    "958f3006-baad-4929-a4de-ff1114824431",
    Returned.FOLDERS,
    _one("XDSFolderPatientId", _T.PATIENT_ID, required=True),
    *_FOLDER_FILTERS,
    _LEVEL,
)
GET_ALL = _registry_query(
    4,
    "GetAll",
    "10b545ea-725c-446d-9b95-8aeb444eddf3",
    Returned.EVERYTHING,
    _one("patientId", _T.PATIENT_ID, required=True),
    _DE_STATUS,
    _many("XDSSubmissionSetStatus", _T.STATUS, required=True),
    _many("XDSFolderStatus", _T.STATUS, required=True),
    *_CONTENT_FILTERS,
    _ASSOCIATION_STATUS,
    _LEVEL,
)
GET_DOCUMENTS = _registry_query(
    5,
    "GetDocuments",
    "5c4f972b-d56b-40ac-a5fc-c8ca9b40b9d4",
    Returned.DOCUMENT_ENTRIES,
    *_DE_IDS,
    _many("XDSDocumentEntryLogicalID", _T.UUID, group=EXACTLY_ONE),
    _LEVEL,
    single_patient=True,
)
GET_FOLDERS = _registry_query(
    6,
    "GetFolders",
    "5737b14c-8a1a-4539-b659-e03a34a5e1e4",
    Returned.FOLDERS,
    _many("XDSFolderEntryUUID", _T.UUID, group=EXACTLY_ONE),
    _many("XDSFolderUniqueId", _T.STRING, group=EXACTLY_ONE),
    _many("XDSFolderLogicalID", _T.UUID, group=EXACTLY_ONE),
    _LEVEL,
    single_patient=True,
)
GET_ASSOCIATIONS = _registry_query(
    7,
    "GetAssociations",
    "a7ae438b-4bc2-4642-93e9-be891f7bb155",
    Returned.ASSOCIATIONS,
    _UUIDS,
    _ASSOCIATION_STATUS,
    _LEVEL,
)
GET_DOCUMENTS_AND_ASSOCIATIONS = _registry_query(
    8,
    "GetDocumentsAndAssociations",
    "bab9529a-4a10-40b3-a01f-f68a615d247a",
    Returned.DOCUMENT_ENTRIES_AND_ASSOCIATIONS,
    *_DE_IDS,
    _ASSOCIATION_STATUS,
    _LEVEL,
    single_patient=True,
)
GET_SUBMISSION_SETS = _registry_query(
    9,
    "GetSubmissionSets",
    "51224314-5390-4169-9b91-b1980040715a",
    Returned.SUBMISSION_SETS_AND_ASSOCIATIONS,
    _UUIDS,
    _LEVEL,
    single_patient=True,
)
GET_SUBMISSION_SET_AND_CONTENTS = _registry_query(
    10,
    "GetSubmissionSetAndContents",
    "e8e3cb2c-e39c-46b9-99e4-c12f57260b83",
    Returned.EVERYTHING,
    _one("XDSSubmissionSetEntryUUID", _T.UUID, group=EXACTLY_ONE),
    _one("XDSSubmissionSetUniqueId", _T.STRING, group=EXACTLY_ONE),
    *_CONTENT_FILTERS,
    _LEVEL,
    single_patient=True,
)
GET_FOLDER_AND_CONTENTS = _registry_query(
    11,
    "GetFolderAndContents",
    "b909a503-523d-4517-8acf-8e5834dfc4c7",
    Returned.EVERYTHING,
    _one("XDSFolderEntryUUID", _T.UUID, group=EXACTLY_ONE),
    _one("XDSFolderUniqueId", _T.STRING, group=EXACTLY_ONE),
    *_CONTENT_FILTERS,
    _ASSOCIATION_STATUS,
    _LEVEL,
    single_patient=True,
)
GET_FOLDERS_FOR_DOCUMENT = _registry_query(
    12,
    "GetFoldersForDocument",
    "10cae35a-c7f9-4cf5-b61e-fc3278ffb578",
    Returned.FOLDERS,
    *_DE_ID,
    _ASSOCIATION_STATUS,
    _LEVEL,
    single_patient=True,
)
GET_RELATED_DOCUMENTS = _registry_query(
    13,
    "GetRelatedDocuments",
    "d90e5407-b356-4d91-a89f-873917b4b0e6",
    Returned.DOCUMENT_ENTRIES_AND_ASSOCIATIONS,
    *_DE_ID,
    _many("AssociationTypes", _T.ASSOCIATION_TYPE, required=True),
    _DE_TYPE,
    _ASSOCIATION_STATUS,
    _LEVEL,
    single_patient=True,
)
FIND_DOCUMENTS_BY_REFERENCE_ID = _registry_query(
    14,
    "FindDocumentsByReferenceId",
    "12941a89-e02e-4be5-967c-ce4bfc8fe492",
    Returned.DOCUMENT_ENTRIES,
    _DE_PATIENT,
    _DE_REFERENCES,
    *_DE_FILTERS,
)
#: EXTENSION, not IHE's: a query in use in Germany, by a pattern of the title (docs/integration-statement.md).
FIND_DOCUMENTS_BY_TITLE = QueryDefinition(
    "FindDocumentsByTitle",
    "urn:uuid:ab474085-82b5-402d-8115-3f37cb1e2405",
    "gematik: FindDocumentsByTitle",
    Returned.DOCUMENT_ENTRIES,
    _ANY_QUERY,
    (_DE_PATIENT, _many("XDSDocumentEntryTitle", _T.LIKE, required=True), *_DE_FILTERS),
    extension=True,
)
FIND_DOCUMENTS_FOR_MULTIPLE_PATIENTS = _multi_patient_query(
    "ITI TF-2: 3.51.4.1.2.1",
    "FindDocumentsForMultiplePatients",
    "3d1bdb10-39a2-11de-89c2-2f44d94eaa9f",
    Returned.DOCUMENT_ENTRIES,
    *_MULTI_PATIENT_DOCUMENTS,
)
FIND_FOLDERS_FOR_MULTIPLE_PATIENTS = _multi_patient_query(
    "ITI TF-2: 3.51.4.1.2.2",
    "FindFoldersForMultiplePatients",
    "50d3f5ac-39a2-11de-a1ca-b366239e58df",
    Returned.FOLDERS,
    *_in_group(
        (_many("XDSFolderPatientId", _T.PATIENT_ID), *_FOLDER_FILTERS),
        frozenset({"$XDSFolderPatientId", "$XDSFolderCodeList"}),
        AT_LEAST_ONE,
    ),
)
FIND_DOCUMENTS_BY_REFERENCE_ID_FOR_MULTIPLE_PATIENTS = _multi_patient_query(
    "ITI TF-2: 3.51.4.1.2",
    "FindDocumentsByReferenceIdForMultiplePatients",
    "1191642d-86c4-42d8-b784-f95445f9f0d5",
    Returned.DOCUMENT_ENTRIES,
    _many("XDSDocumentEntryPatientId", _T.PATIENT_ID),
    _DE_REFERENCES,
    *(p for p in _DE_FILTERS if p is not _LEVEL),
)

QUERIES: tuple[QueryDefinition, ...] = (
    FIND_DOCUMENTS,
    FIND_SUBMISSION_SETS,
    FIND_FOLDERS,
    GET_ALL,
    GET_DOCUMENTS,
    GET_FOLDERS,
    GET_ASSOCIATIONS,
    GET_DOCUMENTS_AND_ASSOCIATIONS,
    GET_SUBMISSION_SETS,
    GET_SUBMISSION_SET_AND_CONTENTS,
    GET_FOLDER_AND_CONTENTS,
    GET_FOLDERS_FOR_DOCUMENT,
    GET_RELATED_DOCUMENTS,
    FIND_DOCUMENTS_BY_REFERENCE_ID,
    FIND_DOCUMENTS_BY_TITLE,
    FIND_DOCUMENTS_FOR_MULTIPLE_PATIENTS,
    FIND_FOLDERS_FOR_MULTIPLE_PATIENTS,
    FIND_DOCUMENTS_BY_REFERENCE_ID_FOR_MULTIPLE_PATIENTS,
)

QUERY_BY_ID: dict[str, QueryDefinition] = {query.id: query for query in QUERIES}
