"""An in-memory registry that answers every stored query by plain loops: the oracle of the search tests.

Written from ITI TF-2: 3.18.4.1.2.3 and 3.51 alone; it shares neither the query table nor a line of SQL with the product. A query
is its name and a dict of slots: each slot a list (the repetitions, AND) of lists (the values, OR), everything unquoted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

HAS_MEMBER = "urn:oasis:names:tc:ebxml-regrep:AssociationType:HasMember"
STABLE = "urn:uuid:7edca82f-054d-47f2-a032-9b2a5b5186c1"
ON_DEMAND = "urn:uuid:34268e47-fdf5-41a6-ba33-82133c465248"
ONLINE = "urn:ihe:iti:2010:DocumentAvailability:Online"
OFFLINE = "urn:ihe:iti:2010:DocumentAvailability:Offline"
APPROVED = "urn:oasis:names:tc:ebxml-regrep:StatusType:Approved"
DEPRECATED = "urn:oasis:names:tc:ebxml-regrep:StatusType:Deprecated"

Slots = dict[str, list[list[str]]]


@dataclass
class ModelPatient:
    """`alive` is False for a subsumed id; patients with one `cluster` are one person, `head` its surviving id."""

    cx: str
    cluster: int
    alive: bool = True
    head: bool = True


@dataclass
class ModelEntry:
    uuid: str
    patient: int
    uniqueId: str
    lid: str = ""
    version: int = 1
    status: str = APPROVED
    type: str = STABLE
    availability: str = ONLINE
    classCode: str = ""
    typeCode: str = ""
    formatCode: str = ""
    facility: str = ""
    practice: str = ""
    confidentiality: list[str] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    authors: list[str] = field(default_factory=list)
    references: list[str] = field(default_factory=list)
    creation: str = ""
    start: str = ""
    stop: str = ""
    title: str = ""


@dataclass
class ModelSet:
    uuid: str
    patient: int
    uniqueId: str
    sourceId: str
    submissionTime: str
    contentType: str = ""
    authors: list[str] = field(default_factory=list)
    status: str = APPROVED


@dataclass
class ModelFolder:
    uuid: str
    patient: int
    uniqueId: str
    lastUpdate: str
    lid: str = ""
    version: int = 1
    status: str = APPROVED
    codes: list[str] = field(default_factory=list)


@dataclass
class ModelAssociation:
    uuid: str
    type: str
    source: str
    target: str
    status: str = APPROVED
    label: str = ""


@dataclass
class World:
    """All lists are in registration order."""

    patients: list[ModelPatient] = field(default_factory=list)
    entries: list[ModelEntry] = field(default_factory=list)
    sets: list[ModelSet] = field(default_factory=list)
    folders: list[ModelFolder] = field(default_factory=list)
    associations: list[ModelAssociation] = field(default_factory=list)
    hidden: Callable[[ModelEntry], bool] = lambda entry: False

    def cluster_of(self, item: ModelEntry | ModelSet | ModelFolder) -> int:
        return self.patients[item.patient].cluster

    def latest(self, item: ModelEntry | ModelFolder) -> bool:
        same = [o for o in (self.entries if isinstance(item, ModelEntry) else self.folders) if o.lid == item.lid]
        return item.version == max(o.version for o in same)


@dataclass
class Found:
    """What a query must return: the uuids per kind, in registration order, or one of the error codes that hold."""

    entries: list[str] = field(default_factory=list)
    sets: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    associations: set[str] = field(default_factory=set)
    clusters: set[int] = field(default_factory=set)
    errors: set[str] = field(default_factory=set)


def like(pattern: str, text: str) -> bool:
    """SQL LIKE without an escape character, case-sensitive (3.18.4.1.2.3.5)."""
    parts = {"%": ".*", "_": "."}
    return re.fullmatch("".join(parts.get(c, re.escape(c)) for c in pattern), text, re.DOTALL) is not None


def padded(time: str) -> str:
    """A partial DTM as the first second it names."""
    return time + "00000101000000"[len(time):]


def in_range(value: str, low: str, high: str) -> bool:
    return (not low or padded(value) >= padded(low)) and (not high or padded(value) < padded(high))


def one(slots: Slots, name: str) -> str:
    return slots[name][0][0] if name in slots else ""


def any_of(slots: Slots, name: str, values: Iterable[str]) -> bool:
    """Every repetition of the slot shares a value with `values`; True when the slot is absent."""
    mine = set(values)
    return all(mine & set(wanted) for wanted in slots.get(name, []))


def any_like(slots: Slots, name: str, values: list[str]) -> bool:
    return all(any(like(p, v) for p in wanted for v in values) for wanted in slots.get(name, []))


class Model:
    """Answers one query name with one method of the same name."""

    def __init__(self, world: World) -> None:
        self.world = world

    def ask(self, query: str, slots: Slots, return_type: str = "LeafClass", limit: int = 10**9) -> Found:
        found: Found = getattr(self, query)(slots)
        single = query != "GetAssociations" and not query.endswith("MultiplePatients")
        errors = set()
        if return_type == "LeafClass" and single and len(found.clusters) > 1:
            errors.add("XDSResultNotSinglePatient")
        if len(found.entries) + len(found.sets) + len(found.folders) + len(found.associations) > limit:
            errors.add("XDSTooManyResults")
        if errors:
            return Found(errors=errors)
        return found

    # --------------------------------------------------------------------------------------------------------- pieces

    def _patients(self, cxs: list[str]) -> set[int]:
        clusters = {p.cluster for p in self.world.patients if p.alive and p.cx in cxs}
        return {i for i, p in enumerate(self.world.patients) if p.cluster in clusters}

    def _level(self, slots: Slots) -> int:
        return int(one(slots, "$MetadataLevel") or 1)

    def _shown(self, entry: ModelEntry, slots: Slots) -> bool:
        if self.world.hidden(entry):
            return False
        return self._level(slots) > 1 or (entry.availability == ONLINE and self.world.latest(entry))

    def _folder_shown(self, folder: ModelFolder, slots: Slots, status_decides: bool = False) -> bool:
        if self._level(slots) > 1:
            return True
        return self.world.latest(folder) and (status_decides or folder.status == APPROVED)

    def _links(self, slots: Slots) -> list[ModelAssociation]:
        """The associations this query may follow or return."""
        entries = {e.uuid: e for e in self.world.entries}
        inner = {a.uuid: a for a in self.world.associations}

        def hidden(uuid: str) -> bool:
            if uuid in entries:
                return self.world.hidden(entries[uuid])
            return uuid in inner and (hidden(inner[uuid].source) or hidden(inner[uuid].target))

        return [
            a
            for a in self.world.associations
            if any_of(slots, "$XDSAssociationStatus", [a.status])
            and (self._level(slots) > 1 or a.status == APPROVED)
            and not hidden(a.source)
            and not hidden(a.target)
        ]

    def _type(self, entry: ModelEntry, slots: Slots) -> bool:
        name = "$XDSDocumentEntryType"
        return any_of({name: slots.get(name, [[STABLE]])}, name, [entry.type])

    def _content(self, entry: ModelEntry, slots: Slots) -> bool:
        """The filters of the "and contents" queries."""
        return (
            self._shown(entry, slots)
            and self._type(entry, slots)
            and any_of(slots, "$XDSDocumentEntryFormatCode", [entry.formatCode])
            and any_of(slots, "$XDSDocumentEntryConfidentialityCode", entry.confidentiality)
        )

    def _document_filters(self, e: ModelEntry, slots: Slots) -> bool:
        name = "$XDSDocumentEntry"

        def time(stem: str, value: str, skip: bool = False) -> bool:
            return skip or not value or in_range(value, one(slots, f"{name}{stem}From"), one(slots, f"{name}{stem}To"))

        return (
            self._content(e, slots)
            and any_of(slots, f"{name}Status", [e.status])
            and any_of(slots, f"{name}ClassCode", [e.classCode])
            and any_of(slots, f"{name}TypeCode", [e.typeCode])
            and any_of(slots, f"{name}PracticeSettingCode", [e.practice])
            and any_of(slots, f"{name}HealthcareFacilityTypeCode", [e.facility])
            and any_of(slots, f"{name}EventCodeList", e.events)
            and any_of(slots, f"{name}DocumentAvailability", [e.availability])
            and any_like(slots, f"{name}AuthorPerson", e.authors)
            and any_like(slots, f"{name}ReferenceIdList", e.references)
            and any_like(slots, f"{name}Title", [e.title] if e.title else [])
            and time("CreationTime", e.creation, skip=e.type == ON_DEMAND)
            and time("ServiceStartTime", e.start)
            and time("ServiceStopTime", e.stop)
        )

    def _documents(self, chosen: Iterable[ModelEntry]) -> Found:
        ordered = sorted(chosen, key=lambda e: e.patient)
        return Found(entries=[e.uuid for e in ordered], clusters={self.world.cluster_of(e) for e in ordered})

    def _add(self, found: Found, **items: list[ModelEntry] | list[ModelSet] | list[ModelFolder]) -> Found:
        for kind, chosen in items.items():
            ordered: list[ModelEntry | ModelSet | ModelFolder] = sorted(chosen, key=lambda i: i.patient)
            getattr(found, kind).extend(i.uuid for i in ordered)
            found.clusters |= {self.world.cluster_of(i) for i in ordered}
        return found

    def _anchors(self, slots: Slots, stem: str, items: Iterable[ModelEntry | ModelSet | ModelFolder]) -> list[str]:
        uuids = {u for wanted in slots.get(f"{stem}EntryUUID", []) for u in wanted}
        unique = {u for wanted in slots.get(f"{stem}UniqueId", []) for u in wanted}
        lids = {u for wanted in slots.get(f"{stem}LogicalID", []) for u in wanted}
        return [i.uuid for i in items if i.uuid in uuids or i.uniqueId in unique or getattr(i, "lid", None) in lids]

    # -------------------------------------------------------------------------------------------------------- queries

    def FindDocuments(self, slots: Slots) -> Found:
        mine = self._patients(slots["$XDSDocumentEntryPatientId"][0])
        return self._documents(e for e in self.world.entries if e.patient in mine and self._document_filters(e, slots))

    FindDocumentsByReferenceId = FindDocuments
    FindDocumentsByTitle = FindDocuments

    def FindDocumentsForMultiplePatients(self, slots: Slots) -> Found:
        everyone = set(range(len(self.world.patients)))
        mine = self._patients(slots["$XDSDocumentEntryPatientId"][0]) if "$XDSDocumentEntryPatientId" in slots else everyone
        return self._documents(e for e in self.world.entries if e.patient in mine and self._document_filters(e, slots))

    FindDocumentsByReferenceIdForMultiplePatients = FindDocumentsForMultiplePatients

    def FindSubmissionSets(self, slots: Slots) -> Found:
        mine = self._patients(slots["$XDSSubmissionSetPatientId"][0])
        name = "$XDSSubmissionSet"
        return self._add(
            Found(),
            sets=[
                s
                for s in self.world.sets
                if s.patient in mine
                and any_of(slots, f"{name}Status", [s.status])
                and any_of(slots, f"{name}SourceId", [s.sourceId])
                and any_of(slots, f"{name}ContentType", [s.contentType])
                and any_like(slots, f"{name}AuthorPerson", s.authors)
                and in_range(s.submissionTime, one(slots, f"{name}SubmissionTimeFrom"), one(slots, f"{name}SubmissionTimeTo"))
            ],
        )

    def _folder_filters(self, f: ModelFolder, slots: Slots) -> bool:
        name = "$XDSFolder"
        return (
            self._folder_shown(f, slots, status_decides=True)
            and any_of(slots, f"{name}Status", [f.status])
            and any_of(slots, f"{name}CodeList", f.codes)
            and in_range(f.lastUpdate, one(slots, f"{name}LastUpdateTimeFrom"), one(slots, f"{name}LastUpdateTimeTo"))
        )

    def FindFolders(self, slots: Slots) -> Found:
        mine = self._patients(slots["$XDSFolderPatientId"][0])
        return self._add(Found(), folders=[f for f in self.world.folders if f.patient in mine and self._folder_filters(f, slots)])

    def FindFoldersForMultiplePatients(self, slots: Slots) -> Found:
        everyone = set(range(len(self.world.patients)))
        mine = self._patients(slots["$XDSFolderPatientId"][0]) if "$XDSFolderPatientId" in slots else everyone
        return self._add(Found(), folders=[f for f in self.world.folders if f.patient in mine and self._folder_filters(f, slots)])

    def GetAll(self, slots: Slots) -> Found:
        mine = self._patients(slots["$patientId"][0])
        found = self._add(
            Found(),
            entries=[
                e
                for e in self.world.entries
                if e.patient in mine and self._content(e, slots) and any_of(slots, "$XDSDocumentEntryStatus", [e.status])
            ],
            sets=[s for s in self.world.sets if s.patient in mine and any_of(slots, "$XDSSubmissionSetStatus", [s.status])],
            folders=[
                f
                for f in self.world.folders
                if f.patient in mine
                and self._folder_shown(f, slots, status_decides=True)
                and any_of(slots, "$XDSFolderStatus", [f.status])
            ],
        )
        ends = {*found.entries, *found.sets, *found.folders}
        found.associations = {a.uuid for a in self._links(slots) if a.source in ends or a.target in ends}
        return found

    def GetDocuments(self, slots: Slots) -> Found:
        wanted = self._anchors(slots, "$XDSDocumentEntry", self.world.entries)
        return self._documents(e for e in self.world.entries if e.uuid in wanted and self._shown(e, slots))

    def GetFolders(self, slots: Slots) -> Found:
        wanted = self._anchors(slots, "$XDSFolder", self.world.folders)
        return self._add(Found(), folders=[f for f in self.world.folders if f.uuid in wanted and self._folder_shown(f, slots)])

    def GetAssociations(self, slots: Slots) -> Found:
        wanted = set(slots["$uuid"][0])
        return Found(associations={a.uuid for a in self._links(slots) if a.source in wanted or a.target in wanted})

    def GetDocumentsAndAssociations(self, slots: Slots) -> Found:
        found = self.GetDocuments(slots)
        found.associations = {a.uuid for a in self._links(slots) if a.source in found.entries or a.target in found.entries}
        return found

    def GetSubmissionSets(self, slots: Slots) -> Found:
        wanted = set(slots["$uuid"][0])
        sets = {s.uuid for s in self.world.sets}
        links = [a for a in self._links(slots) if a.type == HAS_MEMBER and a.source in sets and a.target in wanted]
        found = self._add(Found(), sets=[s for s in self.world.sets if s.uuid in {a.source for a in links}])
        found.associations = {a.uuid for a in links}
        return found

    def GetSubmissionSetAndContents(self, slots: Slots) -> Found:
        anchors = self._anchors(slots, "$XDSSubmissionSet", self.world.sets)
        members = [a for a in self._links(slots) if a.type == HAS_MEMBER and a.source in anchors]
        targets = {a.target for a in members}
        found = self._add(
            Found(),
            sets=[s for s in self.world.sets if s.uuid in anchors],
            entries=[e for e in self.world.entries if e.uuid in targets and self._content(e, slots)],
            folders=[f for f in self.world.folders if f.uuid in targets and self._folder_shown(f, slots)],
        )
        ends = {*found.sets, *found.entries, *found.folders}
        inner = {a.uuid for a in self._links(slots) if a.uuid in targets and a.source in ends and a.target in ends}
        found.associations = inner | {a.uuid for a in members if a.target in ends | inner}
        return found

    def GetFolderAndContents(self, slots: Slots) -> Found:
        wanted = self._anchors(slots, "$XDSFolder", self.world.folders)
        folders = [f for f in self.world.folders if f.uuid in wanted and self._folder_shown(f, slots)]
        shown = {f.uuid for f in folders}
        members = [a for a in self._links(slots) if a.type == HAS_MEMBER and a.source in shown]
        targets = {a.target for a in members}
        entries = [e for e in self.world.entries if e.uuid in targets and self._content(e, slots)]
        found = self._add(Found(), folders=folders, entries=entries)
        found.associations = {a.uuid for a in members if a.target in found.entries}
        return found

    def GetFoldersForDocument(self, slots: Slots) -> Found:
        wanted = self._anchors(slots, "$XDSDocumentEntry", self.world.entries)
        holders = {a.source for a in self._links(slots) if a.type == HAS_MEMBER and a.target in wanted}
        return self._add(Found(), folders=[f for f in self.world.folders if f.uuid in holders and self._folder_shown(f, slots)])

    def GetRelatedDocuments(self, slots: Slots) -> Found:
        wanted = set(self._anchors(slots, "$XDSDocumentEntry", self.world.entries))
        fit = {e.uuid for e in self.world.entries if self._shown(e, slots) and self._type(e, slots)}
        links = [
            a
            for a in self._links(slots)
            if any_of(slots, "$AssociationTypes", [a.type])
            and (a.source in wanted or a.target in wanted)
            and a.source in fit
            and a.target in fit
        ]
        ends = {a.source for a in links} | {a.target for a in links}
        found = self._documents(e for e in self.world.entries if e.uuid in ends)
        found.associations = {a.uuid for a in links}
        return found
