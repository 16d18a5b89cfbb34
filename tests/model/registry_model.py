"""The registry as plain lists: what a submission may say, and what it changes (ITI TF-2: 3.42.4.1.3; ITI TF-3: 4.2.2).

The objects and the stored queries are those of `tests.registry.search_model`. Here stands the other half: judging and applying.
It shares no line with `registry/` and `metadata/rules/`; where the standard leaves a choice, it is named where it is made.
An entryUUID that the registry will assign begins with `?` until `tests.model.sight` has learnt it.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.registry.search_model import (
    APPROVED,
    DEPRECATED,
    HAS_MEMBER,
    ON_DEMAND,
    Model,
    ModelAssociation,
    ModelEntry,
    ModelFolder,
    ModelPatient,
    ModelSet,
    World,
)

RPLC, XFRM, APND, XFRM_RPLC, SIGNS = (
    f"urn:ihe:iti:2007:AssociationType:{name}" for name in ("RPLC", "XFRM", "APND", "XFRM_RPLC", "signs")
)
SNAPSHOT = "urn:ihe:iti:2010:AssociationType:IsSnapshotOf"
RELATIONS = (RPLC, XFRM, APND, XFRM_RPLC, SIGNS, SNAPSHOT)
REPLACING = (RPLC, XFRM_RPLC)

DOES_NOT_MATCH = "XDSPatientIdDoesNotMatch"
DUPLICATE = "XDSDuplicateUniqueIdInRegistry"
METADATA = "XDSRegistryMetadataError"
UNRESOLVED = "UnresolvedReferenceException"

_numbers = itertools.count(1)


def new_uuid() -> str:
    return uuid.uuid4().urn


def unassigned() -> str:
    """The place of an entryUUID that the registry will choose."""
    return f"?{next(_numbers)}"


@dataclass
class Document(ModelEntry):
    """A DocumentEntry with what identifies its bytes: an On-Demand one has none."""

    hash: str = ""
    size: str = ""


@dataclass(frozen=True)
class Verdict:
    """Error codes: `sure` are in the answer, all of them; `perhaps` may be: the message is wrong already, and where a value is
    wrong by itself the registry need not say what else it is."""

    sure: frozenset[str] | set[str] = frozenset()
    perhaps: frozenset[str] | set[str] = frozenset()

    def allows(self, codes: set[str]) -> bool:
        return self.sure <= codes <= self.sure | self.perhaps


@dataclass
class Sent:
    """A submission: the SubmissionSet, the new objects, and all associations in the order of the message."""

    set: ModelSet
    entries: list[Document] = field(default_factory=list)
    folders: list[ModelFolder] = field(default_factory=list)
    links: list[ModelAssociation] = field(default_factory=list)

    def objects(self) -> Iterator[ModelSet | Document | ModelFolder]:
        yield self.set
        yield from self.entries
        yield from self.folders

    @property
    def on_demand(self) -> bool:
        """Whether this is for ITI-61."""
        return any(entry.type == ON_DEMAND for entry in self.entries)

    def __contains__(self, uuid: str) -> bool:
        return any(one.uuid == uuid for one in (*self.objects(), *self.links))


Held = ModelEntry | ModelSet | ModelFolder | ModelAssociation


class RegistryModel:
    """The state and its changes. `judge_*` gives the error codes of a request, empty when it holds; `apply_*` changes the state.

    `touched` collects the Folders whose lastUpdateTime the registry is about to set: the model cannot know the second.
    """

    def __init__(self) -> None:
        self.world = World()
        self.queries = Model(self.world)
        self.touched: set[str] = set()
        self.unknown: set[int] = set()

    # ------------------------------------------------------------------------------------------------------- questions

    def objects(self) -> Iterator[ModelEntry | ModelSet | ModelFolder]:
        yield from self.world.entries
        yield from self.world.sets
        yield from self.world.folders

    def versioned(self) -> Iterator[ModelEntry | ModelFolder]:
        yield from self.world.entries
        yield from self.world.folders

    def find(self, uuid: str) -> Held | None:
        return next((one for one in (*self.objects(), *self.world.associations) if one.uuid == uuid), None)

    def with_unique_id(self, unique_id: str) -> list[ModelEntry | ModelSet | ModelFolder]:
        return [one for one in self.objects() if one.uniqueId == unique_id]

    def cluster(self, patient: int) -> int:
        return self.world.patients[patient].cluster

    def surviving(self, patient: int) -> str:
        """The CX under which the objects of this patient are told."""
        return next(p.cx for p in self.world.patients if p.cluster == self.cluster(patient) and p.head)

    def alive(self) -> list[int]:
        return [number for number, p in enumerate(self.world.patients) if p.alive]

    def holders(self, uuid: str) -> list[ModelFolder]:
        """The Approved Folders that hold an entry by an Approved association."""
        held = {a.source for a in self.world.associations if (a.type, a.target, a.status) == (HAS_MEMBER, uuid, APPROVED)}
        return [f for f in self.world.folders if f.uuid in held and f.status == APPROVED]

    def add_patient(self, cx: str, known: bool = True) -> None:
        """An id that the feed has announced, or one that nobody has."""
        number = len(self.world.patients)
        self.world.patients.append(ModelPatient(cx, number, alive=known))
        if not known:
            self.unknown.add(number)

    # ------------------------------------------------------------------------------------------------------ submissions

    def judge_submission(self, sent: Sent) -> Verdict:
        """What the message shows, and what the registry's state shows."""
        message, registry = set(self._message_faults(sent)), set(self._registry_faults(sent))
        return Verdict(message, registry) if message else Verdict(registry)

    def _message_faults(self, sent: Sent) -> Iterator[str]:
        if any(one.patient != sent.set.patient for one in sent.objects()):
            yield DOES_NOT_MATCH
        unique_ids = [one.uniqueId for one in sent.objects()]
        if len(set(unique_ids)) < len(unique_ids):
            yield "XDSRegistryDuplicateUniqueIdInMessage"
        if any(a.type in (*REPLACING, SNAPSHOT) and a.target in sent for a in sent.links):
            yield UNRESOLVED
        if any(a.type == SNAPSHOT for a in sent.links) and sent.on_demand:
            yield METADATA
        transformed = {a.source for a in sent.links if a.type == XFRM}
        if any(a.type == APND and a.target in transformed and a.target in sent for a in sent.links):
            yield METADATA

    def _registry_faults(self, sent: Sent) -> Iterator[str]:
        if not self.world.patients[sent.set.patient].alive:
            yield "XDSUnknownPatientId"
        again = self._is_repeated(sent)
        if self.with_unique_id(sent.set.uniqueId):
            yield DUPLICATE
        if not again and any(self.with_unique_id(f.uniqueId) for f in sent.folders):
            yield DUPLICATE
        if not again and any(self.find(one.uuid) for one in (*sent.objects(), *sent.links)):
            yield METADATA
        for entry in sent.entries:
            yield from self._document_faults(entry)
        for link in sent.links:
            yield from self._link_faults(sent, link)

    def _is_repeated(self, sent: Sent) -> bool:
        """A submission that is registered already: told once, by its SubmissionSet (our choice)."""
        known = {(one.uniqueId, one.sourceId) for one in self.world.sets}
        stored = {(one.uniqueId, one.hash) for one in self.world.entries if isinstance(one, Document)}
        documents = {(one.uniqueId, one.hash) for one in sent.entries}
        return (sent.set.uniqueId, sent.set.sourceId) in known and documents <= stored

    def _document_faults(self, entry: Document) -> Iterator[str]:
        for other in self.with_unique_id(entry.uniqueId):
            if not isinstance(other, Document):
                yield METADATA
                continue
            if other.type != entry.type:
                yield METADATA
            if other.hash and entry.hash and other.hash != entry.hash:
                yield "XDSNonIdenticalHash"
            if other.size and entry.size and other.size != entry.size:
                yield "XDSNonIdenticalSize"

    def _link_faults(self, sent: Sent, link: ModelAssociation) -> Iterator[str]:
        ends = [link.target] if link.type in RELATIONS else [link.source, link.target]
        for end in ends:
            if end not in sent:
                yield from self._end_faults(self.find(end), is_source=end == link.source)
        target = self.find(link.target)
        if link.type in RELATIONS and isinstance(target, ModelEntry) and link.target not in sent:
            if self.cluster(target.patient) != self.cluster(sent.set.patient):
                yield DOES_NOT_MATCH
            if link.type == APND and self.is_transformation(link.target):
                yield METADATA
            if link.type == SNAPSHOT and target.type != ON_DEMAND:
                yield METADATA
        if link.type in REPLACING:
            holders = self.holders(link.target)
            if any(self.cluster(f.patient) != self.cluster(sent.set.patient) for f in holders):
                yield DOES_NOT_MATCH
        yield from self._membership_faults(sent, link)

    def _end_faults(self, found: Held | None, is_source: bool) -> Iterator[str]:
        """A registered end: it exists, is of the right kind, and is Approved (3.42.4.1.3.4, 4.2.2)."""
        if found is None:
            yield UNRESOLVED
        elif not isinstance(found, ModelFolder if is_source else ModelEntry):
            yield METADATA
            if isinstance(found, ModelEntry) and found.status != APPROVED:
                yield "XDSRegistryDeprecatedDocumentError"
        elif found.status != APPROVED:
            yield METADATA if is_source else "XDSRegistryDeprecatedDocumentError"

    def _membership_faults(self, sent: Sent, link: ModelAssociation) -> Iterator[str]:
        """SubmissionSet, Folder and document have one patient (4.2.2.1.3)."""
        if link.type != HAS_MEMBER or link.source == sent.set.uuid:
            return
        ends = [self._patient_of(sent, link.source), self._patient_of(sent, link.target)]
        mine = self.cluster(sent.set.patient)
        folder, document = (None if end is None else self.cluster(end) for end in ends)
        if folder is not None and document is not None and folder != document:
            yield DOES_NOT_MATCH
        if link.source not in sent and link.target not in sent and folder not in (None, mine):
            yield DOES_NOT_MATCH

    def _patient_of(self, sent: Sent, uuid: str) -> int | None:
        new = {one.uuid: one.patient for one in sent.objects()}
        found = self.find(uuid)
        return new.get(uuid, found.patient if isinstance(found, ModelEntry | ModelFolder) else None)

    def is_transformation(self, uuid: str) -> bool:
        return any(a.type == XFRM and a.source == uuid and a.status == APPROVED for a in self.world.associations)

    def apply_submission(self, sent: Sent) -> None:
        replaced = [(a.source, a.target) for a in sent.links if a.type in REPLACING]
        holders = {target: self.holders(target) for _, target in replaced}
        self._deprecate([target for _, target in replaced])
        self.world.sets.append(sent.set)
        self.world.entries.extend(sent.entries)
        self.world.folders.extend(sent.folders)
        self.world.associations.extend(sent.links)
        self.touched.update(f.uuid for f in sent.folders)
        self.touched.update(a.source for a in sent.links if isinstance(self.find(a.source), ModelFolder))
        for source, target in replaced:
            for folder in holders[target]:
                self.put_into(folder.uuid, source, sent.set.uuid)

    def _deprecate(self, targets: list[str]) -> None:
        """The replaced entries with their transformations and addenda, at any depth (4.2.2.2.3; the depth is our choice). What
        the submission itself brings stays Approved (3.42.4.1.3.3.5), whatever it leans on."""
        waiting, seen = list(targets), set(targets)
        while waiting:
            uuid = waiting.pop()
            entry = self.find(uuid)
            if isinstance(entry, ModelEntry) and entry.status == APPROVED:
                entry.status = DEPRECATED
            for link in self.world.associations:
                holds = link.target == uuid and link.type in (XFRM, APND) and link.status == APPROVED
                if holds and link.source not in seen:
                    seen.add(link.source)
                    waiting.append(link.source)

    def put_into(self, folder: str, entry: str, submission_set: str) -> None:
        """What the registry does by itself: FD-DE and SS-HM, once for each Folder and document of a submission."""
        if any((a.source, a.target) == (folder, entry) for a in self.world.associations):
            return
        membership = ModelAssociation(unassigned(), HAS_MEMBER, folder, entry)
        self.world.associations.append(membership)
        self.world.associations.append(ModelAssociation(unassigned(), HAS_MEMBER, submission_set, membership.uuid))
        self.touched.add(folder)

    # --------------------------------------------------------------------------------------------------------- removals

    def judge_removal(self, ids: list[str]) -> set[str]:
        """ITI RMD: 3.62.4.1.3: no reference into nothing, nothing without a SubmissionSet, no SubmissionSet emptied (the last
        and the rule for versions are our choice)."""
        gone, found = set(ids), set()
        links = self.world.associations
        if any(self.find(uuid) is None for uuid in ids):
            found.add(UNRESOLVED)
        if any(a.uuid not in gone and gone & {a.source, a.target} for a in links):
            found.add("ReferencesExistException")
        if any(one.uuid not in gone and one.lid in gone for one in self.versioned()):
            found.add("ReferencesExistException")
        sets = {one.uuid for one in self.world.sets}
        memberships = [a for a in links if a.type == HAS_MEMBER and a.source in sets]
        for lost in [a for a in memberships if a.uuid in gone]:
            others = [a for a in memberships if a.target == lost.target]
            if lost.target not in gone and all(a.uuid in gone for a in others):
                found.add("XDSUnreferencedObjectException")
            if lost.source not in gone and all(a.uuid in gone for a in memberships if a.source == lost.source):
                found.add("XDSUnreferencedObjectException")
        return found

    def apply_removal(self, ids: list[str]) -> None:
        world = self.world
        world.entries[:] = [one for one in world.entries if one.uuid not in ids]
        world.sets[:] = [one for one in world.sets if one.uuid not in ids]
        world.folders[:] = [one for one in world.folders if one.uuid not in ids]
        world.associations[:] = [one for one in world.associations if one.uuid not in ids]

    # -------------------------------------------------------------------------------------------------------- patients

    def refuses_merge(self, old: int, new: int) -> bool:
        """ITI TF-2: 3.8.4.2.4, 3.44.4.2.4: equal ids, unknown ones, and ids that were merged away already."""
        return old == new or not all(self.world.patients[number].alive for number in (old, new))

    def is_subsumed(self, patient: int) -> bool:
        return not self.world.patients[patient].alive and patient not in self.unknown

    def apply_merge(self, old: int, new: int) -> None:
        """The person `old` is the person `new`. Aliases of either stay valid ids of the one person (our choice)."""
        going, staying = self.world.patients[old], self.world.patients[new]
        going.alive = False
        if going.cluster == staying.cluster:
            staying.head = staying.head or going.head
            going.head = False
            return
        former = going.cluster
        for patient in self.world.patients:
            if patient.cluster == former:
                patient.cluster, patient.head = staying.cluster, False

    def _is_filled(self, patient: int) -> bool:
        return any(self.cluster(one.patient) == self.cluster(patient) for one in self.objects())

    def refuses_alias(self, patients: list[int]) -> bool:
        """Ids that were merged away come back for nobody; two records that both hold something need a merge (our choice)."""
        filled = {self.cluster(patient) for patient in patients if self._is_filled(patient)}
        return any(map(self.is_subsumed, patients)) or len(filled) > 1

    def apply_alias(self, patients: list[int]) -> None:
        """These ids are one person's, told under the id of the record that holds something, or of the oldest (our choice)."""
        first = min(patients, key=lambda patient: (not self._is_filled(patient), patient in self.unknown, patient))
        joined = {self.cluster(patient) for patient in patients} - {self.cluster(first)}
        for patient in self.world.patients:
            if patient.cluster in joined:
                patient.cluster, patient.head = self.cluster(first), False
        for number in patients:
            self.world.patients[number].alive = True
        self.unknown -= set(patients)

    # ---------------------------------------------------------------------------------------------------------- naming

    def rename(self, old: str, new: str) -> None:
        """An entryUUID that the registry has assigned becomes known."""
        for one in (*self.objects(), *self.world.associations):
            one.uuid = new if one.uuid == old else one.uuid
            if isinstance(one, ModelEntry | ModelFolder) and one.lid == old:
                one.lid = new
            if isinstance(one, ModelAssociation):
                one.source = new if one.source == old else one.source
                one.target = new if one.target == old else one.target
        if old in self.touched:
            self.touched.remove(old)
            self.touched.add(new)
