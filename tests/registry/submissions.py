"""Submissions for the registry's tests, as ebRIM text: what a Document Source writes, read by the real codec.

Every object is complete by default; a test names only what it is about. Ids and uniqueIds are new in each call, so that tests
share a store and never meet.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Mapping
from xml.sax.saxutils import escape, quoteattr

from lxml import etree

from metadata.ebrim import parse_submission
from metadata.model import Submission
from registry.iti42 import RegisterDocumentSet
from registry.patients import add
from storage.database import Database

HAS_MEMBER = "urn:oasis:names:tc:ebxml-regrep:AssociationType:HasMember"
RPLC, XFRM, APND, XFRM_RPLC, SIGNS = (
    f"urn:ihe:iti:2007:AssociationType:{name}" for name in ("RPLC", "XFRM", "APND", "XFRM_RPLC", "signs")
)
STABLE = "urn:uuid:7edca82f-054d-47f2-a032-9b2a5b5186c1"
REPOSITORY = "1.2.250.1.999.7"
APPROVED = "urn:oasis:names:tc:ebxml-regrep:StatusType:Approved"
DEPRECATED = "urn:oasis:names:tc:ebxml-regrep:StatusType:Deprecated"

_SUBMIT = (
    '<lcm:SubmitObjectsRequest xmlns:lcm="urn:oasis:names:tc:ebxml-regrep:xsd:lcm:3.0" '
    'xmlns:rim="urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0"><rim:RegistryObjectList>{}</rim:RegistryObjectList>'
    "</lcm:SubmitObjectsRequest>"
)
_numbers = itertools.count(1)
_RUN = uuid.uuid4().int % 10**9


def new_oid() -> str:
    return f"1.2.250.1.999.{_RUN}.{next(_numbers)}"


def new_patient(database: Database) -> str:
    """A patient id of this test's own, known to the registry."""
    cx = f"P{_RUN}x{next(_numbers)}^^^&1.2.250.1.999.1&ISO"
    add(database, cx)
    return cx


def new_uuid() -> str:
    return uuid.uuid4().urn


def slot(name: str, *values: str) -> str:
    items = "".join(f"<rim:Value>{escape(value)}</rim:Value>" for value in values)
    return f"<rim:Slot name={quoteattr(name)}><rim:ValueList>{items}</rim:ValueList></rim:Slot>"


def _code(owner: str, scheme: str, code: str, coding_scheme: str = "1.2.3.4") -> str:
    return (
        f'<rim:Classification id="c{next(_numbers)}" classificationScheme="urn:uuid:{scheme}" classifiedObject="{owner}" '
        f'nodeRepresentation={quoteattr(code)}>{slot("codingScheme", coding_scheme)}'
        f'<rim:Name><rim:LocalizedString value={quoteattr(code)}/></rim:Name></rim:Classification>'
    )


def _identifier(owner: str, scheme: str, name: str, value: str) -> str:
    return (
        f'<rim:ExternalIdentifier id="x{next(_numbers)}" registryObject="{owner}" identificationScheme="urn:uuid:{scheme}" '
        f'value={quoteattr(value)}><rim:Name><rim:LocalizedString value="{name}"/></rim:Name></rim:ExternalIdentifier>'
    )


def _marker(owner: str, node: str) -> str:
    return f'<rim:Classification id="m{next(_numbers)}" classifiedObject="{owner}" classificationNode="urn:uuid:{node}"/>'


def entry(
    patient: str,
    id: str = "Document01",
    *,
    unique_id: str = "",
    hash: str = "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    size: str = "0",
    slots: Mapping[str, tuple[str, ...]] | None = None,
    title: str = "Compte rendu",
    class_code: str = "10",
) -> str:
    """A DocumentEntry as ITI-42 carries it."""
    told = {
        "creationTime": ("20240102030405",),
        "hash": (hash,),
        "languageCode": ("fr-FR",),
        "repositoryUniqueId": (REPOSITORY,),
        "size": (size,),
        "sourcePatientId": (patient,),
        **(slots or {}),
    }
    return (
        f'<rim:ExtrinsicObject id="{id}" mimeType="text/plain" objectType="{STABLE}">'
        + "".join(slot(name, *values) for name, values in told.items())
        + f"<rim:Name><rim:LocalizedString value={quoteattr(title)}/></rim:Name>"
        + _code(id, "41a5887f-8865-4c09-adf7-e362475b143a", class_code)
        + _code(id, "f4f85eac-e6cb-4883-b524-f2705394840f", "N")
        + _code(id, "a09d5840-386c-46f2-b5ad-9c3699a4309d", "urn:ihe:iti:xds:2017:mimeTypeSufficient")
        + _code(id, "f33fb8ac-18af-42cc-ae0e-ed0b0bdb91e1", "SA01")
        + _code(id, "cccf5598-8b07-4b77-a05e-ae952c785ead", "AMBULATOIRE")
        + _code(id, "f0306f51-975f-434e-a61c-c59651d33983", "11488-4")
        + _identifier(id, "58a6f841-87b3-4a3e-92fd-a8ffeff98427", "XDSDocumentEntry.patientId", patient)
        + _identifier(id, "2e82c1f6-a085-4c72-9da3-8640a32e42ab", "XDSDocumentEntry.uniqueId", unique_id or new_oid())
        + "</rim:ExtrinsicObject>"
    )


def submission_set(patient: str, id: str = "SubmissionSet01", *, unique_id: str = "", source_id: str = "1.2.250.1.999.8") -> str:
    return (
        f'<rim:RegistryPackage id="{id}">'
        + slot("submissionTime", "20240102030405")
        + _code(id, "aa543740-bdda-424e-8c96-df4873be8500", "07")
        + _marker(id, "a54d6aa5-d40d-43f9-88c5-b4633d873bdd")
        + _identifier(id, "6b5aea1a-874d-4603-a4bc-96a0a7b38446", "XDSSubmissionSet.patientId", patient)
        + _identifier(id, "554ac39e-e3fe-47fe-b233-965d2a147832", "XDSSubmissionSet.sourceId", source_id)
        + _identifier(id, "96fdda7c-d067-4183-912e-bf5ee74998a8", "XDSSubmissionSet.uniqueId", unique_id or new_oid())
        + "</rim:RegistryPackage>"
    )


def folder(patient: str, id: str = "Folder01", *, unique_id: str = "") -> str:
    return (
        f'<rim:RegistryPackage id="{id}">'
        + slot("lastUpdateTime", "20010101")
        + "<rim:Name><rim:LocalizedString value='Grossesse'/></rim:Name>"
        + _code(id, "1ba97051-7806-41a8-a48b-8fce7af683c5", "Folder-A")
        + _marker(id, "d9d542f3-6cc4-48b6-8870-ea235fbc94c2")
        + _identifier(id, "f64ffdf0-4b97-4e06-b79f-a52b38ec2f8a", "XDSFolder.patientId", patient)
        + _identifier(id, "75df8f67-9973-4fbe-a900-df66cefecc5a", "XDSFolder.uniqueId", unique_id or new_oid())
        + "</rim:RegistryPackage>"
    )


def link(kind: str, source: str, target: str, *, id: str = "", label: str = "") -> str:
    """An Association; `label` is its SubmissionSetStatus."""
    own = id or f"Association{next(_numbers)}"
    inner = slot("SubmissionSetStatus", label) if label else ""
    return (
        f'<rim:Association id="{own}" associationType="{kind}" sourceObject="{source}" targetObject="{target}">{inner}'
        "</rim:Association>"
    )


def original(target: str = "Document01") -> str:
    """SubmissionSet01 holds a document of its own."""
    return link(HAS_MEMBER, "SubmissionSet01", target, label="Original")


def message(*objects: str) -> etree._Element:
    """lcm:SubmitObjectsRequest."""
    return etree.fromstring(_SUBMIT.format("".join(objects)))


def submission(*objects: str) -> Submission:
    return parse_submission(message(*objects))


def documents(patient: str, *ids: str, also: tuple[str, ...] = ()) -> Submission:
    """A SubmissionSet with new documents of these symbolic ids, and further objects."""
    entries = [entry(patient, id) for id in ids]
    return submission(submission_set(patient), *entries, *map(original, ids), *also)


def register_one(registry: RegisterDocumentSet, patient: str, *also: str) -> str:
    """Register one document; returns its entryUUID."""
    return registry.register(documents(patient, "Document01", also=also)).ids["Document01"]


def replacement(patient: str, target: str, kind: str = RPLC, *also: str) -> Submission:
    """One new document that stands in the relationship `kind` to a registered one."""
    return documents(patient, "Document01", also=(link(kind, "Document01", target), *also))
