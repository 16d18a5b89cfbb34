"""Words the standard fixes: transactions, actors, error codes, statuses, association types.

Sources: ITI TF-3: 4.2.2 (associations), 4.2.4 (errors, Table 4.2.4.1-2), ITI TF-2 (wsa:Action of each transaction).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, StrEnum


class Actor(Enum):
    """The actor that answers a transaction. Error codes are spelled differently per actor."""

    REGISTRY = "Document Registry"
    REPOSITORY = "Document Repository"


class Transaction(Enum):
    """One IHE transaction, or a service of the DMP: `code`, wsa:Action of request and response, answering actor."""

    ITI_8 = ("ITI-8", "", "", Actor.REGISTRY)
    ITI_18 = ("ITI-18", "urn:ihe:iti:2007:RegistryStoredQuery", "urn:ihe:iti:2007:RegistryStoredQueryResponse", Actor.REGISTRY)
    ITI_41 = (
        "ITI-41",
        "urn:ihe:iti:2007:ProvideAndRegisterDocumentSet-b",
        "urn:ihe:iti:2007:ProvideAndRegisterDocumentSet-bResponse",
        Actor.REPOSITORY,
    )
    ITI_42 = (
        "ITI-42",
        "urn:ihe:iti:2007:RegisterDocumentSet-b",
        "urn:ihe:iti:2007:RegisterDocumentSet-bResponse",
        Actor.REGISTRY,
    )
    ITI_43 = ("ITI-43", "urn:ihe:iti:2007:RetrieveDocumentSet", "urn:ihe:iti:2007:RetrieveDocumentSetResponse", Actor.REPOSITORY)
    # One address, three messages: the action is that of the message (PRPA_IN201301UV02, ...02UV02, ...04UV02).
    ITI_44 = ("ITI-44", "urn:hl7-org:v3:PRPA_IN201301UV02", "urn:hl7-org:v3:MCCI_IN000002UV01", Actor.REGISTRY)
    ITI_51 = (
        "ITI-51",
        "urn:ihe:iti:2009:MultiPatientStoredQuery",
        "urn:ihe:iti:2009:MultiPatientStoredQueryResponse",
        Actor.REGISTRY,
    )
    ITI_57 = ("ITI-57", "urn:ihe:iti:2010:UpdateDocumentSet", "urn:ihe:iti:2010:UpdateDocumentSetResponse", Actor.REGISTRY)
    ITI_61 = (
        "ITI-61",
        "urn:ihe:iti:2010:RegisterOnDemandDocumentEntry",
        "urn:ihe:iti:2010:RegisterOnDemandDocumentEntryResponse",
        Actor.REGISTRY,
    )
    ITI_62 = ("ITI-62", "urn:ihe:iti:2010:DeleteDocumentSet", "urn:ihe:iti:2010:DeleteDocumentSetResponse", Actor.REGISTRY)
    ITI_64 = ("ITI-64", "", "", Actor.REGISTRY)
    ITI_86 = ("ITI-86", "urn:ihe:iti:2017:RemoveDocuments", "urn:ihe:iti:2017:RemoveDocumentsResponse", Actor.REPOSITORY)
    ITI_92 = (
        "ITI-92",
        "urn:ihe:iti:2018:RestrictedUpdateDocumentSet",
        "urn:ihe:iti:2018:RestrictedUpdateDocumentSetResponse",
        Actor.REGISTRY,
    )
    # Services of the French DMP, no IHE transactions: one address each, with the several messages of the service.
    DMP_PATIENTS = ("DMP-patients", "urn:hl7-org:v3:PRPA_IN201307UV02", "urn:hl7-org:v3:PRPA_IN201308UV02", Actor.REGISTRY)
    DMP_HABILITATIONS = (
        "DMP-habilitations",
        "urn:si-dmp-habilitations:HabilitationsEndPoint:setAuthorization",
        "urn:si-dmp-habilitations:HabilitationsEndPoint:setAuthorizationResponse",
        Actor.REGISTRY,
    )

    def __init__(self, code: str, action: str, response_action: str, actor: Actor) -> None:
        self.code = code
        self.action = action
        self.response_action = response_action
        self.actor = actor

    @property
    def path(self) -> str:
        """The URL path of this transaction alone, `/xds/iti41`; `/dmp/patients` of a service of the DMP."""
        if self.code.startswith("DMP-"):
            return "/dmp/" + self.code.removeprefix("DMP-")
        return "/xds/" + self.code.replace("-", "").lower()


class ErrorCode(StrEnum):
    """`rs:RegistryError/@errorCode` (ITI TF-3: Table 4.2.4.1-2 and the supplements)."""

    DocumentQueued = "DocumentQueued"
    InvalidDocumentContent = "InvalidDocumentContent"
    LocalPolicyRestrictionError = "LocalPolicyRestrictionError"
    ReferencesExistException = "ReferencesExistException"
    UnmodifiableMetadataError = "UnmodifiableMetadataError"
    UnresolvedReferenceException = "UnresolvedReferenceException"
    XDSDocumentUniqueIdError = "XDSDocumentUniqueIdError"
    XDSDuplicateUniqueIdInRegistry = "XDSDuplicateUniqueIdInRegistry"
    XDSExtraMetadataNotSaved = "XDSExtraMetadataNotSaved"
    XDSInvalidRequestException = "XDSInvalidRequestException"
    XDSMetadataAnnotationError = "XDSMetadataAnnotationError"
    XDSMetadataIdentifierError = "XDSMetadataIdentifierError"
    XDSMetadataUpdateError = "XDSMetadataUpdateError"
    XDSMetadataUpdateOperationError = "XDSMetadataUpdateOperationError"
    XDSMetadataVersionError = "XDSMetadataVersionError"
    XDSMissingDocument = "XDSMissingDocument"
    XDSMissingDocumentMetadata = "XDSMissingDocumentMetadata"
    XDSMissingHomeCommunityId = "XDSMissingHomeCommunityId"
    XDSNonIdenticalHash = "XDSNonIdenticalHash"
    XDSNonIdenticalSize = "XDSNonIdenticalSize"
    XDSObjectTypeError = "XDSObjectTypeError"
    XDSPatientIDReconciliationError = "XDSPatientIDReconciliationError"
    XDSPatientIdDoesNotMatch = "XDSPatientIdDoesNotMatch"
    XDSRegistryBusy = "XDSRegistryBusy"
    XDSRegistryDeprecatedDocumentError = "XDSRegistryDeprecatedDocumentError"
    XDSRegistryDuplicateUniqueIdInMessage = "XDSRegistryDuplicateUniqueIdInMessage"
    XDSRegistryError = "XDSRegistryError"
    XDSRegistryMetadataError = "XDSRegistryMetadataError"
    XDSRegistryNotAvailable = "XDSRegistryNotAvailable"
    XDSRegistryOutOfResources = "XDSRegistryOutOfResources"
    XDSRemoveDocumentsError = "XDSRemoveDocumentsError"
    XDSRepositoryBusy = "XDSRepositoryBusy"
    XDSRepositoryDuplicateUniqueIdInMessage = "XDSRepositoryDuplicateUniqueIdInMessage"
    XDSRepositoryError = "XDSRepositoryError"
    XDSRepositoryMetadataError = "XDSRepositoryMetadataError"
    XDSRepositoryOutOfResources = "XDSRepositoryOutOfResources"
    XDSResultNotSinglePatient = "XDSResultNotSinglePatient"
    XDSStoredQueryMissingParam = "XDSStoredQueryMissingParam"
    XDSStoredQueryParamNumber = "XDSStoredQueryParamNumber"
    XDSTooManyResults = "XDSTooManyResults"
    XDSUnknownCommunity = "XDSUnknownCommunity"
    XDSUnknownPatientId = "XDSUnknownPatientId"
    XDSUnknownRepositoryId = "XDSUnknownRepositoryId"
    XDSUnknownStoredQuery = "XDSUnknownStoredQuery"
    XDSUnreferencedObjectException = "XDSUnreferencedObjectException"


class Severity(Enum):
    ERROR = "urn:oasis:names:tc:ebxml-regrep:ErrorSeverityType:Error"
    WARNING = "urn:oasis:names:tc:ebxml-regrep:ErrorSeverityType:Warning"


class ResponseStatus(Enum):
    SUCCESS = "urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Success"
    PARTIAL_SUCCESS = "urn:ihe:iti:2007:ResponseStatusType:PartialSuccess"
    FAILURE = "urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Failure"


class AvailabilityStatus(Enum):
    """`availabilityStatus`; `db` is the small integer stored in the status column."""

    APPROVED = ("urn:oasis:names:tc:ebxml-regrep:StatusType:Approved", 1)
    DEPRECATED = ("urn:oasis:names:tc:ebxml-regrep:StatusType:Deprecated", 2)
    # French extension of ITI-57 (DMP): only reachable where the affinity domain allows them.
    ARCHIVED = ("urn:asip:ci-sis:2010:StatusType:Archived", 3)
    DELETED = ("urn:asip:ci-sis:2010:StatusType:Deleted", 4)

    def __init__(self, urn: str, db: int) -> None:
        self.urn = urn
        self.db = db


class AssociationType(Enum):
    """Association types (ITI TF-3: 4.2.2); `db` is the small integer stored in the type column."""

    HAS_MEMBER = ("urn:oasis:names:tc:ebxml-regrep:AssociationType:HasMember", 1)
    RPLC = ("urn:ihe:iti:2007:AssociationType:RPLC", 2)
    XFRM = ("urn:ihe:iti:2007:AssociationType:XFRM", 3)
    APND = ("urn:ihe:iti:2007:AssociationType:APND", 4)
    XFRM_RPLC = ("urn:ihe:iti:2007:AssociationType:XFRM_RPLC", 5)
    SIGNS = ("urn:ihe:iti:2007:AssociationType:signs", 6)
    IS_SNAPSHOT_OF = ("urn:ihe:iti:2010:AssociationType:IsSnapshotOf", 7)
    UPDATE_AVAILABILITY_STATUS = ("urn:ihe:iti:2010:AssociationType:UpdateAvailabilityStatus", 8)
    SUBMIT_ASSOCIATION = ("urn:ihe:iti:2010:AssociationType:SubmitAssociation", 9)

    def __init__(self, urn: str, db: int) -> None:
        self.urn = urn
        self.db = db

    @property
    def is_relationship(self) -> bool:
        """True for the document-to-document types (ITI TF-3: 4.2.2.2)."""
        return 2 <= self.db <= 7

    @property
    def replaces(self) -> bool:
        return self in (AssociationType.RPLC, AssociationType.XFRM_RPLC)


ASSOCIATION_BY_URN = {t.urn: t for t in AssociationType}
STATUS_BY_URN = {s.urn: s for s in AvailabilityStatus}
TRANSACTION_BY_ACTION = {t.action: t for t in Transaction if t.action}


class ObjectKind(Enum):
    DOCUMENT_ENTRY = "DocumentEntry"
    SUBMISSION_SET = "SubmissionSet"
    FOLDER = "Folder"
    ASSOCIATION = "Association"


#: What IHE calls each transaction: in the integration statement, and beside EventTypeCode in audit records.
TRANSACTION_NAMES: Mapping[Transaction, str] = {
    Transaction.ITI_8: "Patient Identity Feed",
    Transaction.ITI_18: "Registry Stored Query",
    Transaction.ITI_41: "Provide and Register Document Set-b",
    Transaction.ITI_42: "Register Document Set-b",
    Transaction.ITI_43: "Retrieve Document Set",
    Transaction.ITI_44: "Patient Identity Feed HL7 V3",
    Transaction.ITI_51: "Multi-Patient Stored Query",
    Transaction.ITI_57: "Update Document Set",
    Transaction.ITI_61: "Register On-Demand Document Entry",
    Transaction.ITI_62: "Remove Metadata",
    Transaction.ITI_64: "Notify XAD-PID Link Change",
    Transaction.ITI_86: "Remove Documents",
    Transaction.ITI_92: "Restricted Update Document Set",
    Transaction.DMP_PATIENTS: "Gestion du dossier patient partagé",
    Transaction.DMP_HABILITATIONS: "Habilitations",
}
