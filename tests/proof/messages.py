"""Submissions, queries and retrievals as text, typed from ITI TF-3 4.2 and ITI TF-2 3.18: nothing of ours writes them.

An object is described by keyword; what a test wants wrong it changes in the text.
"""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

RIM = "urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0"
STABLE = "urn:uuid:7edca82f-054d-47f2-a032-9b2a5b5186c1"
APPROVED = "urn:oasis:names:tc:ebxml-regrep:StatusType:Approved"
DEPRECATED = "urn:oasis:names:tc:ebxml-regrep:StatusType:Deprecated"
HAS_MEMBER = "urn:oasis:names:tc:ebxml-regrep:AssociationType:HasMember"
_RELATION = "urn:ihe:iti:2007:AssociationType:"
RPLC, APND, XFRM, XFRM_RPLC, SIGNS = (_RELATION + t for t in ("RPLC", "APND", "XFRM", "XFRM_RPLC", "signs"))
REPOSITORY = "1.3.6.1.4.1.21367.2011.2.3.7"
ENTRY_PATIENT = "urn:uuid:58a6f841-87b3-4a3e-92fd-a8ffeff98427"
ENTRY_UID = "urn:uuid:2e82c1f6-a085-4c72-9da3-8640a32e42ab"
SET_PATIENT = "urn:uuid:6b5aea1a-874d-4603-a4bc-96a0a7b38446"
SET_UID = "urn:uuid:96fdda7c-d067-4183-912e-bf5ee74998a8"
SET_SOURCE = "urn:uuid:554ac39e-e3fe-47fe-b233-965d2a147832"
FOLDER_PATIENT = "urn:uuid:f64ffdf0-4b97-4e06-b79f-a52b38ec2f8a"
FOLDER_UID = "urn:uuid:75df8f67-9973-4fbe-a900-df66cefecc5a"
CLASS, TYPE, FORMAT = (
    "urn:uuid:41a5887f-8865-4c09-adf7-e362475b143a",
    "urn:uuid:f0306f51-975f-434e-a61c-c59651d33983",
    "urn:uuid:a09d5840-386c-46f2-b5ad-9c3699a4309d",
)
FACILITY, PRACTICE = "urn:uuid:f33fb8ac-18af-42cc-ae0e-ed0b0bdb91e1", "urn:uuid:cccf5598-8b07-4b77-a05e-ae952c785ead"
CONFIDENTIALITY, EVENT = "urn:uuid:f4f85eac-e6cb-4883-b524-f2705394840f", "urn:uuid:2c6b8cb7-8b2a-4051-b291-b1ae6a575ef4"
ENTRY_AUTHOR, SET_AUTHOR = "urn:uuid:93606bcf-9494-43ec-9b4e-a7748d1a838d", "urn:uuid:a7058bb9-b4e4-4307-ba5b-e3f0ab85e12d"
CONTENT_TYPE = "urn:uuid:aa543740-bdda-424e-8c96-df4873be8500"
CODE_LIST = "urn:uuid:1ba97051-7806-41a8-a48b-8fce7af683c5"
SET_NODE, FOLDER_NODE = "urn:uuid:a54d6aa5-d40d-43f9-88c5-b4633d873bdd", "urn:uuid:d9d542f3-6cc4-48b6-8870-ea235fbc94c2"

_numbers = itertools.count(1)
_BASE = f"1.2.42.{time.time_ns() // 1000}"


def new_oid() -> str:
    return f"{_BASE}.{next(_numbers)}"


def new_uuid() -> str:
    return f"urn:uuid:{uuid.uuid4()}"


def slot(name: str, *values: str) -> str:
    inner = "".join(f"<rim:Value>{escape(value)}</rim:Value>" for value in values)
    return f'<rim:Slot name="{escape(name)}"><rim:ValueList>{inner}</rim:ValueList></rim:Slot>'


def text(element: str, value: str) -> str:
    return f'<rim:{element}><rim:LocalizedString value="{escape(value)}"/></rim:{element}>' if value else ""


def code(parent: str, scheme: str, value: str) -> str:
    """`value` is code^^codingScheme."""
    word, _, system = value.partition("^^")
    return (
        f'<rim:Classification id="c{next(_numbers)}" classificationScheme="{scheme}" classifiedObject="{parent}" '
        f'nodeRepresentation="{escape(word)}">{slot("codingScheme", system)}{text("Name", word)}</rim:Classification>'
    )


def author(parent: str, scheme: str, person: str) -> str:
    return (
        f'<rim:Classification id="c{next(_numbers)}" classificationScheme="{scheme}" classifiedObject="{parent}" '
        f'nodeRepresentation="">{slot("authorPerson", person)}</rim:Classification>'
    )


def identifier(parent: str, scheme: str, value: str, name: str) -> str:
    return (
        f'<rim:ExternalIdentifier id="e{next(_numbers)}" registryObject="{parent}" identificationScheme="{scheme}" '
        f'value="{escape(value)}">{text("Name", name)}</rim:ExternalIdentifier>'
    )


@dataclass
class Entry:
    """A DocumentEntry. Fields that are None are left out."""

    patient: str
    id: str = field(default_factory=new_uuid)
    uid: str = field(default_factory=new_oid)
    mime_type: str = "text/plain"
    object_type: str = STABLE
    title: str = ""
    class_code: str = "CLASS^^1.2.3"
    type_code: str = "TYPE^^1.2.3"
    format_code: str = "FORMAT^^1.2.3"
    facility: str = "FACILITY^^1.2.3"
    practice: str = "PRACTICE^^1.2.3"
    confidentiality: Sequence[str] = ("N^^2.16.840.1.113883.5.25",)
    events: Sequence[str] = ()
    authors: Sequence[str] = ("^Martin^Anne",)
    creation: str | None = "20240102030405"
    start: str | None = None
    stop: str | None = None
    references: Sequence[str] = ()
    hash: str | None = None
    size: int | None = None
    repository: str | None = None
    extra: str = ""

    def xml(self) -> str:
        i = self.id
        optional = {
            "creationTime": self.creation,
            "serviceStartTime": self.start,
            "serviceStopTime": self.stop,
            "hash": self.hash,
            "size": None if self.size is None else str(self.size),
            "repositoryUniqueId": self.repository,
        }
        slots = "".join(slot(name, value) for name, value in optional.items() if value is not None)
        slots += slot("languageCode", "fr-FR") + slot("sourcePatientId", "77^^^&1.2.3.4&ISO")
        if self.references:
            slots += slot("urn:ihe:iti:xds:2013:referenceIdList", *self.references)
        singles = ((CLASS, self.class_code), (TYPE, self.type_code), (FORMAT, self.format_code), (FACILITY, self.facility))
        codes = "".join(code(i, scheme, value) for scheme, value in (*singles, (PRACTICE, self.practice)))
        codes += "".join(code(i, CONFIDENTIALITY, value) for value in self.confidentiality)
        codes += "".join(code(i, EVENT, value) for value in self.events)
        authors = "".join(author(i, ENTRY_AUTHOR, person) for person in self.authors)
        return (
            f'<rim:ExtrinsicObject id="{i}" objectType="{self.object_type}" mimeType="{self.mime_type}">{slots}{self.extra}'
            f"{text('Name', self.title)}{authors}{codes}"
            f"{identifier(i, ENTRY_PATIENT, self.patient, 'XDSDocumentEntry.patientId')}"
            f"{identifier(i, ENTRY_UID, self.uid, 'XDSDocumentEntry.uniqueId')}</rim:ExtrinsicObject>"
        )

    def registered(self, digest: str = "da39a3ee5e6b4b0d3255bfef95601890afd80709", size: int = 4) -> Entry:
        """With what a repository adds before it registers."""
        self.hash, self.size, self.repository = digest, size, REPOSITORY
        return self


@dataclass
class Folder:
    patient: str
    id: str = field(default_factory=new_uuid)
    uid: str = field(default_factory=new_oid)
    title: str = "Dossier"
    codes: Sequence[str] = ("FOLDER^^1.2.3",)

    def xml(self) -> str:
        i = self.id
        return (
            f'<rim:RegistryPackage id="{i}">{text("Name", self.title)}{"".join(code(i, CODE_LIST, c) for c in self.codes)}'
            f'<rim:Classification id="c{next(_numbers)}" classifiedObject="{i}" classificationNode="{FOLDER_NODE}"/>'
            f"{identifier(i, FOLDER_PATIENT, self.patient, 'XDSFolder.patientId')}"
            f"{identifier(i, FOLDER_UID, self.uid, 'XDSFolder.uniqueId')}</rim:RegistryPackage>"
        )


@dataclass
class Association:
    type: str
    source: str
    target: str
    id: str = field(default_factory=new_uuid)
    status: str = ""
    """SubmissionSetStatus."""

    def xml(self) -> str:
        inner = slot("SubmissionSetStatus", self.status) if self.status else ""
        return (
            f'<rim:Association id="{self.id}" associationType="{self.type}" sourceObject="{self.source}" '
            f'targetObject="{self.target}">{inner}</rim:Association>'
        )


@dataclass
class Submission:
    """A SubmissionSet with everything in it. `reached` gives every Folder membership its SubmissionSet HasMember."""

    patient: str
    entries: Sequence[Entry] = ()
    folders: Sequence[Folder] = ()
    associations: Sequence[Association] = ()
    references: Sequence[str] = ()
    id: str = field(default_factory=new_uuid)
    uid: str = field(default_factory=new_oid)
    source: str = "1.2.3.4.5"
    time: str = "20240102030405"
    author: str = "^Durand^Jean"
    content_type: str = "CONTENT^^1.2.3"
    title: str = ""
    extra: str = ""

    def members(self) -> list[Association]:
        found = [Association(HAS_MEMBER, self.id, e.id, status="Original") for e in self.entries]
        found += [Association(HAS_MEMBER, self.id, f.id) for f in self.folders]
        found += [Association(HAS_MEMBER, self.id, r, status="Reference") for r in self.references]
        found += [Association(HAS_MEMBER, self.id, a.id) for a in self.associations if a.type == HAS_MEMBER]
        return found

    def set_xml(self) -> str:
        i = self.id
        return (
            f'<rim:RegistryPackage id="{i}">{slot("submissionTime", self.time)}{self.extra}{text("Name", self.title)}'
            f"{author(i, SET_AUTHOR, self.author)}{code(i, CONTENT_TYPE, self.content_type)}"
            f'<rim:Classification id="c{next(_numbers)}" classifiedObject="{i}" classificationNode="{SET_NODE}"/>'
            f"{identifier(i, SET_PATIENT, self.patient, 'XDSSubmissionSet.patientId')}"
            f"{identifier(i, SET_UID, self.uid, 'XDSSubmissionSet.uniqueId')}"
            f"{identifier(i, SET_SOURCE, self.source, 'XDSSubmissionSet.sourceId')}</rim:RegistryPackage>"
        )

    def xml(self) -> bytes:
        inner = self.set_xml() + "".join(e.xml() for e in self.entries) + "".join(f.xml() for f in self.folders)
        inner += "".join(a.xml() for a in [*self.associations, *self.members()])
        return (
            f'<lcm:SubmitObjectsRequest xmlns:lcm="urn:oasis:names:tc:ebxml-regrep:xsd:lcm:3.0" xmlns:rim="{RIM}">'
            f"<rim:RegistryObjectList>{inner}</rim:RegistryObjectList></lcm:SubmitObjectsRequest>"
        ).encode()


QUERIES = {
    "FindDocuments": "14d4debf-8f97-4251-9a74-a90016b0af0d",
    "FindSubmissionSets": "f26abbcb-ac74-4422-8a30-edb644bbc1a9",
    "FindFolders": "958f3006-baad-4929-a4de-ff1114824431",
    "GetAll": "10b545ea-725c-446d-9b95-8aeb444eddf3",
    "GetDocuments": "5c4f972b-d56b-40ac-a5fc-c8ca9b40b9d4",
    "GetFolders": "5737b14c-8a1a-4539-b659-e03a34a5e1e4",
    "GetAssociations": "a7ae438b-4bc2-4642-93e9-be891f7bb155",
    "GetDocumentsAndAssociations": "bab9529a-4a10-40b3-a01f-f68a615d247a",
    "GetSubmissionSets": "51224314-5390-4169-9b91-b1980040715a",
    "GetSubmissionSetAndContents": "e8e3cb2c-e39c-46b9-99e4-c12f57260b83",
    "GetFolderAndContents": "b909a503-523d-4517-8acf-8e5834dfc4c7",
    "GetFoldersForDocument": "10cae35a-c7f9-4cf5-b61e-fc3278ffb578",
    "GetRelatedDocuments": "d90e5407-b356-4d91-a89f-873917b4b0e6",
    "FindDocumentsByReferenceId": "12941a89-e02e-4be5-967c-ce4bfc8fe492",
}
#: Those of ITI-51, and an extension that is not IHE's.
FURTHER_QUERIES = {
    "FindDocumentsForMultiplePatients": "3d1bdb10-39a2-11de-89c2-2f44d94eaa9f",
    "FindFoldersForMultiplePatients": "50d3f5ac-39a2-11de-a1ca-b366239e58df",
    "FindDocumentsByReferenceIdForMultiplePatients": "1191642d-86c4-42d8-b784-f95445f9f0d5",
    "FindDocumentsByTitle": "ab474085-82b5-402d-8115-3f37cb1e2405",
}


def quoted(*values: str) -> str:
    """A list value: ('a','b')."""
    return "(" + ",".join("'" + value.replace("'", "''") + "'" for value in values) + ")"


def single(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


Slots = Mapping[str, str | Sequence[str]] | Iterable[tuple[str, str | Sequence[str]]]


def query(name: str, slots: Slots, return_type: str = "LeafClass") -> bytes:
    """A stored query. A slot's value is one Value or several; pairs instead of a mapping may repeat a slot (AND)."""
    pairs = slots.items() if isinstance(slots, Mapping) else slots
    inner = "".join(slot(key, *([value] if isinstance(value, str) else value)) for key, value in pairs)
    identity = f"urn:uuid:{QUERIES.get(name) or FURTHER_QUERIES.get(name, name)}"
    return (
        f'<query:AdhocQueryRequest xmlns:query="urn:oasis:names:tc:ebxml-regrep:xsd:query:3.0" xmlns:rim="{RIM}">'
        f'<query:ResponseOption returnComposedObjects="true" returnType="{return_type}"/>'
        f'<rim:AdhocQuery id="{identity}">{inner}</rim:AdhocQuery></query:AdhocQueryRequest>'
    ).encode()


def retrieval(uids: Iterable[str], repository: str = REPOSITORY) -> bytes:
    inner = "".join(
        f"<x:DocumentRequest><x:RepositoryUniqueId>{repository}</x:RepositoryUniqueId>"
        f"<x:DocumentUniqueId>{escape(uid)}</x:DocumentUniqueId></x:DocumentRequest>"
        for uid in uids
    )
    return f'<x:RetrieveDocumentSetRequest xmlns:x="urn:ihe:iti:xds-b:2007">{inner}</x:RetrieveDocumentSetRequest>'.encode()
