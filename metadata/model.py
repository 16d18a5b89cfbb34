"""What a message says, as frozen values (ITI TF-3: 4.2).

Two layers. The *raw* layer (`RegistryObject` and its parts) mirrors ebRIM one to one and keeps everything that was sent,
right or wrong, with line numbers: rules about the carrier read it. The *typed* layer (`DocumentEntry`, `SubmissionSet`,
`Folder`, `Association`) names the IHE attributes; its values are the strings of the wire, untouched, and an attribute that
was sent twice or badly keeps its first value there while the raw layer keeps all. Fields that are IHE attributes keep
IHE's spelling.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from metadata.vocabulary import ObjectKind

# ------------------------------------------------------------------------------------------------------------ raw layer


@dataclass(frozen=True, slots=True)
class LocalizedString:
    value: str
    lang: str | None = None
    charset: str | None = None


@dataclass(frozen=True, slots=True)
class Slot:
    name: str
    values: tuple[str, ...]
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Classification:
    id: str | None
    classificationScheme: str | None
    classificationNode: str | None
    classifiedObject: str | None
    nodeRepresentation: str | None
    name: tuple[LocalizedString, ...] = ()
    slots: tuple[Slot, ...] = ()
    line: int | None = None

    def values(self, slot_name: str) -> tuple[str, ...]:
        """All values of the slots called `slot_name`."""
        return tuple(v for s in self.slots if s.name == slot_name for v in s.values)


@dataclass(frozen=True, slots=True)
class ExternalIdentifier:
    id: str | None
    identificationScheme: str | None
    registryObject: str | None
    value: str | None
    name: tuple[LocalizedString, ...] = ()
    line: int | None = None


@dataclass(frozen=True, slots=True)
class RegistryObject:
    """One child of rim:RegistryObjectList, as sent. `element` is its local name."""

    element: str
    id: str
    lid: str | None = None
    home: str | None = None
    status: str | None = None
    objectType: str | None = None
    mimeType: str | None = None
    associationType: str | None = None
    sourceObject: str | None = None
    targetObject: str | None = None
    versionName: str | None = None
    name: tuple[LocalizedString, ...] = ()
    description: tuple[LocalizedString, ...] = ()
    slots: tuple[Slot, ...] = ()
    classifications: tuple[Classification, ...] = ()
    externalIdentifiers: tuple[ExternalIdentifier, ...] = ()
    line: int | None = None

    def slot(self, name: str) -> Slot | None:
        return next((s for s in self.slots if s.name == name), None)

    def values(self, name: str) -> tuple[str, ...]:
        return tuple(v for s in self.slots if s.name == name for v in s.values)

    def value(self, name: str) -> str | None:
        return next(iter(self.values(name)), None)


# ---------------------------------------------------------------------------------------------------------- typed layer


@dataclass(frozen=True, slots=True)
class Code:
    """A coded value (ITI TF-3: 4.2.3.1.2): equality is code and scheme; the display name never counts."""

    code: str
    scheme: str
    display: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Author:
    """ITI TF-3: 4.2.3.1.4. Values are the raw XCN, XON, XTN strings."""

    authorPerson: tuple[str, ...] = ()
    authorInstitution: tuple[str, ...] = ()
    authorRole: tuple[str, ...] = ()
    authorSpecialty: tuple[str, ...] = ()
    authorTelecommunication: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DocumentEntry:
    raw: RegistryObject
    entryUUID: str
    objectType: str | None = None
    uniqueId: str | None = None
    patientId: str | None = None
    author: tuple[Author, ...] = ()
    availabilityStatus: str | None = None
    classCode: Code | None = None
    comments: str | None = None
    confidentialityCode: tuple[Code, ...] = ()
    creationTime: str | None = None
    documentAvailability: str | None = None
    eventCodeList: tuple[Code, ...] = ()
    formatCode: Code | None = None
    hash: str | None = None
    healthcareFacilityTypeCode: Code | None = None
    homeCommunityId: str | None = None
    languageCode: str | None = None
    legalAuthenticator: str | None = None
    limitedMetadata: bool = False
    logicalID: str | None = None
    mimeType: str | None = None
    practiceSettingCode: Code | None = None
    referenceIdList: tuple[str, ...] = ()
    repositoryUniqueId: str | None = None
    serviceStartTime: str | None = None
    serviceStopTime: str | None = None
    size: str | None = None
    sourcePatientId: str | None = None
    sourcePatientInfo: tuple[str, ...] = ()
    title: str | None = None
    typeCode: Code | None = None
    URI: str | None = None
    version: str | None = None

    kind = ObjectKind.DOCUMENT_ENTRY


@dataclass(frozen=True, slots=True)
class SubmissionSet:
    raw: RegistryObject
    entryUUID: str
    uniqueId: str | None = None
    sourceId: str | None = None
    patientId: str | None = None
    author: tuple[Author, ...] = ()
    availabilityStatus: str | None = None
    comments: str | None = None
    contentTypeCode: Code | None = None
    homeCommunityId: str | None = None
    intendedRecipient: tuple[str, ...] = ()
    limitedMetadata: bool = False
    submissionTime: str | None = None
    title: str | None = None

    kind = ObjectKind.SUBMISSION_SET


@dataclass(frozen=True, slots=True)
class Folder:
    raw: RegistryObject
    entryUUID: str
    uniqueId: str | None = None
    patientId: str | None = None
    availabilityStatus: str | None = None
    codeList: tuple[Code, ...] = ()
    comments: str | None = None
    homeCommunityId: str | None = None
    lastUpdateTime: str | None = None
    limitedMetadata: bool = False
    logicalID: str | None = None
    title: str | None = None
    version: str | None = None

    kind = ObjectKind.FOLDER


@dataclass(frozen=True, slots=True)
class Association:
    """ITI TF-3: 4.2.2. `associationType`, `sourceObject`, `targetObject` are empty strings when missing."""

    raw: RegistryObject
    entryUUID: str
    associationType: str
    sourceObject: str
    targetObject: str
    availabilityStatus: str | None = None
    submissionSetStatus: str | None = None
    previousVersion: str | None = None
    originalStatus: str | None = None
    newStatus: str | None = None
    associationPropagation: str | None = None
    documentation: tuple[Code, ...] = ()

    kind = ObjectKind.ASSOCIATION


Entity = DocumentEntry | SubmissionSet | Folder | Association


@dataclass(frozen=True, slots=True)
class Submission:
    """One lcm:SubmitObjectsRequest (ITI TF-3: 4.2.1.4).

    `submissionSets` has one item in a right message; `others` holds RegistryPackages without marker and elements that IHE
    does not know, kept so that rules can name them. ObjectRefs are dropped by the codec. `requestSlots` are those of
    rs:RequestSlotList.
    """

    submissionSets: tuple[SubmissionSet, ...] = ()
    documentEntries: tuple[DocumentEntry, ...] = ()
    folders: tuple[Folder, ...] = ()
    associations: tuple[Association, ...] = ()
    others: tuple[RegistryObject, ...] = ()
    looseClassifications: tuple[Classification, ...] = ()
    requestSlots: tuple[Slot, ...] = ()

    @property
    def submissionSet(self) -> SubmissionSet | None:
        return self.submissionSets[0] if self.submissionSets else None

    def entities(self) -> Iterator[Entity]:
        yield from self.submissionSets
        yield from self.documentEntries
        yield from self.folders
        yield from self.associations
