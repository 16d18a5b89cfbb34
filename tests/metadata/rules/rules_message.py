"""A right submission that a case bends at one place, and a registry's state in dictionaries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from metadata import schemes
from metadata.ebrim import submission_of
from metadata.ins import AUTHORITIES
from metadata.model import Classification, DocumentEntry, ExternalIdentifier, LocalizedString, RegistryObject, Slot, Submission
from metadata.rules.rule import Context, Existing, Linked, ReceivedDocument
from metadata.vocabulary import Actor, ObjectKind, Transaction

PATIENT = "IPP1001^^^&1.2.250.1.71.4.2.7&ISO"
OTHER_PATIENT = "IPP2002^^^&1.2.250.1.71.4.2.7&ISO"
MERGED_PATIENT = "IPP3003^^^&1.2.250.1.71.4.2.7&ISO"
PATIENT_INFO = ("PID-3|77^^^&1.2.250.1.99&ISO", "PID-5|DUPONT^Marie", "PID-7|19560527", "PID-8|F")
HASH = "da39a3ee5e6b4b0d3255bfef95601890afd80709"
APPROVED = "urn:oasis:names:tc:ebxml-regrep:StatusType:Approved"
DEPRECATED = "urn:oasis:names:tc:ebxml-regrep:StatusType:Deprecated"
HAS_MEMBER = "urn:oasis:names:tc:ebxml-regrep:AssociationType:HasMember"
IHE_2007 = "urn:ihe:iti:2007:AssociationType:"
SNAPSHOT = "urn:ihe:iti:2010:AssociationType:IsSnapshotOf"


def uuid(number: int) -> str:
    return f"urn:uuid:00000000-0000-4000-8000-{number:012d}"


# What stands in the registry of `RegistryState`.
DOCUMENT, OLD_DOCUMENT, FOREIGN_DOCUMENT, DYNAMIC = uuid(1), uuid(2), uuid(3), uuid(4)
FOLDER, OLD_FOLDER, FOREIGN_FOLDER, REGISTERED_SET = uuid(5), uuid(6), uuid(7), uuid(8)
TRANSFORMED = uuid(9)
UNKNOWN = uuid(99)


class RegistryState:
    """`Facts` in memory."""

    def __init__(self) -> None:
        entry, folder = ObjectKind.DOCUMENT_ENTRY, ObjectKind.FOLDER
        stable = {"objectType": schemes.STABLE, "hash": HASH, "size": "100"}
        self.objects = [
            Existing(entry, DOCUMENT, PATIENT, APPROVED, "1.2.3.1", **stable),
            Existing(entry, OLD_DOCUMENT, PATIENT, DEPRECATED, "1.2.3.2", **stable),
            Existing(entry, FOREIGN_DOCUMENT, OTHER_PATIENT, APPROVED, "1.2.3.3", **stable),
            Existing(entry, DYNAMIC, PATIENT, APPROVED, "1.2.3.4", objectType=schemes.ON_DEMAND),
            Existing(folder, FOLDER, PATIENT, APPROVED, "1.2.3.5"),
            Existing(folder, OLD_FOLDER, PATIENT, DEPRECATED, "1.2.3.6"),
            Existing(folder, FOREIGN_FOLDER, OTHER_PATIENT, APPROVED, "1.2.3.7"),
            Existing(ObjectKind.SUBMISSION_SET, REGISTERED_SET, PATIENT, APPROVED, "1.2.3.8"),
            Existing(entry, TRANSFORMED, PATIENT, APPROVED, "1.2.3.9", **stable),
        ]
        self.patients = {PATIENT, OTHER_PATIENT}
        self.merged = {MERGED_PATIENT: PATIENT}
        self.closed: set[str] = set()
        self.holders: dict[str, list[Existing]] = {}
        self.resubmitted = False
        self.linked: dict[str, list[Linked]] = {}
        self.entries: dict[str, DocumentEntry] = {}

    def patient_is_known(self, cx: str) -> bool:
        return cx in self.patients and cx not in self.closed

    def record_state(self, cx: str) -> str:
        return "closed" if cx in self.closed else ""

    def subsumed_by(self, cx: str) -> str:
        return self.merged.get(cx, "")

    def same_patient(self, a: str, b: str) -> bool:
        return self.merged.get(a, a) == self.merged.get(b, b)

    def find(self, entry_uuid: str) -> Existing | None:
        return next((o for o in self.objects if o.entryUUID == entry_uuid), None)

    def with_unique_id(self, unique_id: str) -> Sequence[Existing]:
        return [o for o in self.objects if o.uniqueId == unique_id]

    def folders_of(self, entry_uuid: str) -> Sequence[Existing]:
        return self.holders.get(entry_uuid, [])

    def latest(self, logical_id: str) -> Existing | None:
        versions = [o for o in self.objects if logical_id in (o.entryUUID, o.logicalID)]
        return max(versions, key=lambda o: o.version, default=None)

    def same_submission(self, unique_id: str, submission: Submission) -> bool:
        return self.resubmitted

    def is_transformation(self, entry_uuid: str) -> bool:
        return entry_uuid == TRANSFORMED

    def links_of(self, entry_uuid: str) -> Sequence[Linked]:
        return self.linked.get(entry_uuid, [])

    def document_entry(self, entry_uuid: str) -> DocumentEntry | None:
        return self.entries.get(entry_uuid)


class Codes:
    """`CodeSets` that know one code to refuse, one to warn of, one class, one limit of each kind."""

    def allows(self, attribute: str, code: str, scheme: str) -> bool:
        return code not in ("unlisted", "text/unlisted")

    def nearest(self, attribute: str, code: str, scheme: str) -> Sequence[str]:
        return ["60591-5^Patient summary^2.16.840.1.113883.6.1"]

    def knows(self, attribute: str, code: str, scheme: str) -> bool:
        return code not in ("unknown", "text/unknown")

    def class_of(self, code: str, scheme: str) -> tuple[str, str] | None:
        return ("code", "1.2.3") if (code, scheme) == ("code", "1.2.3") else None

    def authorities(self, role: str) -> Mapping[str, str]:
        return dict.fromkeys(("1.2.3", "1.2.250.1.71.4.2.7", *AUTHORITIES), "NH") if role == "patient" else {"1.2.4": "NAM"}

    def limit(self, name: str) -> int | None:
        return {"documentSize": 1000, "documents": 2}[name]


def text(value: str) -> tuple[LocalizedString, ...]:
    return (LocalizedString(value),)


def coded(of: str, scheme: str, code: str = "code", system: str = "1.2.3") -> Classification:
    slots = (Slot("codingScheme", (system,)),)
    return Classification(f"{of}-{scheme[-4:]}", scheme, None, of, code, text(code), slots)


def marker(of: str, node: str) -> Classification:
    return Classification(f"{of}-node", None, node, of, "")


def author(of: str, scheme: str, **slots: str) -> Classification:
    sent = slots or {"authorPerson": "801234567897^Dupont^Anne^^^^^^&1.2.250.1.71.4.2.1&ISO", "authorInstitution": "Hospital"}
    return Classification(f"{of}-author", scheme, None, of, "", (), tuple(Slot(n, (v,)) for n, v in sent.items()))


def identifier(of: str, scheme: str, value: str, name: str) -> ExternalIdentifier:
    return ExternalIdentifier(f"{of}-{scheme[-4:]}", scheme, of, value, text(name))


def submission_set(id: str, unique_id: str) -> RegistryObject:
    return RegistryObject(
        "RegistryPackage",
        id,
        name=text("Discharge"),
        slots=(Slot("submissionTime", ("20240131101500",)), Slot("intendedRecipient", ("Hospital|^Welby^Marcus",))),
        classifications=(
            marker(id, schemes.SUBMISSION_SET_NODE),
            author(id, schemes.SS_AUTHOR),
            coded(id, schemes.SS_CONTENT_TYPE_CODE),
        ),
        externalIdentifiers=(
            identifier(id, schemes.SS_PATIENT_ID, PATIENT, "XDSSubmissionSet.patientId"),
            identifier(id, schemes.SS_SOURCE_ID, "1.2.250.1.213", "XDSSubmissionSet.sourceId"),
            identifier(id, schemes.SS_UNIQUE_ID, unique_id, "XDSSubmissionSet.uniqueId"),
        ),
    )


def folder(id: str, unique_id: str) -> RegistryObject:
    return RegistryObject(
        "RegistryPackage",
        id,
        name=text("Episode"),
        slots=(Slot("lastUpdateTime", ("20240131101500",)),),
        classifications=(marker(id, schemes.FOLDER_NODE), coded(id, schemes.FOLDER_CODE_LIST)),
        externalIdentifiers=(
            identifier(id, schemes.FOLDER_PATIENT_ID, PATIENT, "XDSFolder.patientId"),
            identifier(id, schemes.FOLDER_UNIQUE_ID, unique_id, "XDSFolder.uniqueId"),
        ),
    )


def document_entry(id: str, unique_id: str, on_demand: bool = False) -> RegistryObject:
    made = (
        ("creationTime", "20240131"),
        ("hash", HASH),
        ("size", "100"),
        ("URI", "report.xml"),
        ("legalAuthenticator", "801234567897^Dupont^Anne^^^^^^&1.2.250.1.71.4.2.1&ISO"),
    )
    slots = (
        *(() if on_demand else made),
        ("languageCode", "fr-FR"),
        ("repositoryUniqueId", "1.2.250.1.213.9"),
        ("serviceStartTime", "20240130"),
        ("serviceStopTime", "202401311015"),
        ("sourcePatientId", "77^^^&1.2.250.1.99&ISO"),
        (schemes.REFERENCE_ID_LIST_SLOT, "2013001^^^&1.2.3.4&ISO^urn:ihe:iti:xds:2013:accession"),
        ("urn:example:ward", "B2"),
    )
    coded_by = (
        schemes.DE_CLASS_CODE,
        schemes.DE_EVENT_CODE,
        schemes.DE_FORMAT_CODE,
        schemes.DE_HEALTHCARE_FACILITY_TYPE_CODE,
        schemes.DE_PRACTICE_SETTING_CODE,
        schemes.DE_TYPE_CODE,
    )
    return RegistryObject(
        "ExtrinsicObject",
        id,
        objectType=schemes.ON_DEMAND if on_demand else schemes.STABLE,
        mimeType="text/xml",
        name=text("Discharge report"),
        slots=(*(Slot(n, (v,)) for n, v in slots), Slot("sourcePatientInfo", PATIENT_INFO)),
        classifications=(
            author(id, schemes.DE_AUTHOR),
            coded(id, schemes.DE_CONFIDENTIALITY_CODE, "N", "2.16.840.1.113883.5.25"),
            *(coded(id, s) for s in coded_by),
        ),
        externalIdentifiers=(
            identifier(id, schemes.DE_PATIENT_ID, PATIENT, "XDSDocumentEntry.patientId"),
            identifier(id, schemes.DE_UNIQUE_ID, unique_id, "XDSDocumentEntry.uniqueId"),
        ),
    )


def association(id: str, type: str, source: str, target: str, status: str = "") -> RegistryObject:
    slots = (Slot("SubmissionSetStatus", (status,)),) if status else ()
    return RegistryObject("Association", id, associationType=type, sourceObject=source, targetObject=target, slots=slots)


class Message:
    """A submission under construction: `ss`, `doc`, and in the full form `folder`, `doc2` (an addendum to `doc`)."""

    def __init__(self, transaction: Transaction = Transaction.ITI_42, full: bool = True) -> None:
        on_demand = transaction is Transaction.ITI_61
        self.transaction = transaction
        self.actor = transaction.actor
        self.objects: dict[str, RegistryObject] = {}
        self.loose: list[Classification] = []
        self.request_slots: list[Slot] = []
        self.options: frozenset[str] = frozenset()
        self.facts: RegistryState | None = RegistryState()
        self.documents: dict[str, ReceivedDocument] | None = None
        self.add(
            submission_set("ss", "1.2.250.1.213.1"),
            document_entry("doc", "1.2.250.1.213.2", on_demand),
            association("ss-doc", HAS_MEMBER, "ss", "doc", "Original"),
        )
        if full:
            self.add(
                folder("folder", "1.2.250.1.213.3"),
                document_entry("doc2", "1.2.250.1.213.4", on_demand),
                association("ss-doc2", HAS_MEMBER, "ss", "doc2", "Original"),
                association("ss-folder", HAS_MEMBER, "ss", "folder"),
                association("folder-doc", HAS_MEMBER, "folder", "doc"),
                association("ss-folder-doc", HAS_MEMBER, "ss", "folder-doc"),
                association("relation", IHE_2007 + "APND", "doc2", "doc"),
            )
            self.change("relation", classifications=(coded("relation", schemes.ASSOCIATION_DOCUMENTATION),))
        if transaction is Transaction.ITI_41:
            entries = [o.id for o in self.objects.values() if o.element == "ExtrinsicObject"]
            self.documents = {id: ReceivedDocument(100, HASH) for id in entries}

    @property
    def state(self) -> RegistryState:
        assert self.facts is not None
        return self.facts

    # ------------------------------------------------------------------------------------------------------ bending it

    def add(self, *objects: RegistryObject) -> None:
        for item in objects:
            self.objects[item.id] = item

    def again(self, copy: RegistryObject) -> None:
        """Add an object whose id is in use."""
        self.objects[f"again {copy.id}"] = copy

    def remove(self, *ids: str) -> None:
        for id in ids:
            del self.objects[id]

    def change(self, id_: str, /, **changes: Any) -> None:
        self.objects[id_] = replace(self.objects[id_], **changes)

    def slot(self, id: str, name: str, *values: str) -> None:
        """Give a slot these values; without values it goes."""
        kept = tuple(s for s in self.objects[id].slots if s.name != name)
        self.change(id, slots=(*kept, Slot(name, values)) if values else kept)

    def classify(self, id: str, *added: Classification) -> None:
        self.change(id, classifications=(*self.objects[id].classifications, *added))

    def classification(self, id: str, scheme: str, **changes: Any) -> None:
        """Change the Classifications of a scheme or node; without changes they go."""
        self.change(id, classifications=self._changed(self.objects[id].classifications, scheme, changes))

    def identifier(self, id: str, scheme: str, **changes: Any) -> None:
        """Change the ExternalIdentifier of a scheme; without changes it goes."""
        self.change(id, externalIdentifiers=self._changed(self.objects[id].externalIdentifiers, scheme, changes))

    def identify(self, id: str, added: ExternalIdentifier) -> None:
        self.change(id, externalIdentifiers=(*self.objects[id].externalIdentifiers, added))

    def relate(self, type: str, target: str) -> None:
        """Let the relationship of the full form be of another type, to another target."""
        urn = type if type.startswith("urn:") else IHE_2007 + type
        self.change("relation", associationType=urn, targetObject=target)

    @staticmethod
    def _changed(items: tuple[Any, ...], scheme: str, changes: dict[str, Any]) -> tuple[Any, ...]:
        def is_meant(item: Any) -> bool:
            if isinstance(item, ExternalIdentifier):
                return item.identificationScheme == scheme
            return scheme in (item.classificationScheme, item.classificationNode)

        assert any(is_meant(i) for i in items), f"nothing has the scheme {scheme}"
        return tuple(replace(i, **changes) if is_meant(i) else i for i in items if changes or not is_meant(i))

    # --------------------------------------------------------------------------------------------------------- seeing it

    def submission(self) -> Submission:
        return submission_of(self.objects.values(), self.loose, self.request_slots)

    def context(self, actor: Actor | None = None) -> Context:
        return Context(
            self.transaction, self.submission(), actor or self.actor, self.facts, Codes(), self.options, self.documents
        )
