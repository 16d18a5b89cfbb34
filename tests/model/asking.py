"""Random stored queries about what a model registry holds: all fourteen, the multi-patient ones and the one by title."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random

from tests.model.registry_model import RegistryModel, new_uuid
from tests.model.submitting import CODES, SOURCES, TIMES, TITLES
from tests.proof.messages import query, quoted, single
from tests.registry.search_model import APPROVED, DEPRECATED, OFFLINE, ON_DEMAND, ONLINE, STABLE, Slots, World
from tests.registry.search_worlds import RELATIONS

STATUSES = [APPROVED, DEPRECATED]
TYPES = [STABLE, ON_DEMAND]
PATTERNS = ["%Martin%", "^Martin^Jean^^^Dr", "%", "_Martin%", "%'%", "50%[x]%", "%Zo_", "nobody"]
REFERENCE_PATTERNS = ["ACC%", "ORD_9^^^&1.2.3&ISO^urn:ihe:iti:xds:2013:order", "%&1.2.3&%", "nothing"]
TITLE_PATTERNS = [*TITLES, "%été%", "compte%"]

_BARE = ("From", "To", "MetadataLevel")
_SINGLE = ("PatientId", "patientId", "XDSSubmissionSetAuthorPerson")


@dataclass(frozen=True)
class Question:
    """One stored query. `error` is the code of a question that is wrong as it stands."""

    name: str
    slots: Slots
    return_type: str = "LeafClass"
    error: str = ""

    @property
    def transaction(self) -> str:
        return "ITI-51" if self.name.endswith("MultiplePatients") else "ITI-18"

    def message(self) -> bytes:
        """query:AdhocQueryRequest."""
        many = self.name.endswith("MultiplePatients")
        pairs = [(name, written(name, values, many)) for name, repetitions in self.slots.items() for values in repetitions]
        return query(self.name, pairs, self.return_type)


def written(name: str, values: list[str], many_patients: bool = False) -> list[str]:
    """The Values of one Slot (ITI TF-2: 3.18.4.1.2.3.5)."""
    if name.endswith(_BARE):
        return values
    if name.endswith(_SINGLE) and not many_patients:
        return [single(values[0])]
    return [quoted(*values)] if len(values) < 3 else [quoted(values[0]), quoted(*values[1:])]


def draw_question(model: RegistryModel, random: Random) -> Question:
    name = random.choice(list(_DRAW))
    slots = _DRAW[name](_Pools(model, random))
    if not name.endswith("MultiplePatients") and name != "FindSubmissionSets" and random.random() < 0.5:
        slots["$MetadataLevel"] = [[random.choice("12")]]
    question = Question(name, slots, "LeafClass" if random.random() < 0.6 else "ObjectRef")
    return _spoilt(question, random) if random.random() < 0.05 else question


def _spoilt(question: Question, random: Random) -> Question:
    """A question that is refused whatever the registry holds (ITI TF-2: 3.18.4.1.3, 3.18.4.1.2.3.6)."""
    slots = dict(question.slots)
    statuses = [name for name in slots if name.endswith("Status") and name != "$XDSAssociationStatus"]
    by_uuid = [name for name in slots if name.endswith("EntryUUID")]
    if statuses and random.random() < 0.5:
        slots.pop(statuses[0])
    elif statuses:
        slots[statuses[0]] = [["urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Approved"]]
    elif by_uuid:
        slots[by_uuid[0].replace("EntryUUID", "UniqueId")] = [["1.2.3"]]
        return Question(question.name, slots, question.return_type, "XDSStoredQueryParamNumber")
    else:
        return Question(new_uuid(), {}, question.return_type, "XDSUnknownStoredQuery")
    return Question(question.name, slots, question.return_type, "XDSStoredQueryMissingParam")


# ---------------------------------------------------------------------------------------------------------------- pieces


class _Pools:
    """What there is to ask about, and pieces of questions. Everything is chosen by its place in the model's lists."""

    def __init__(self, model: RegistryModel, random: Random) -> None:
        self.random = random
        self.world: World = model.world

    def cx(self) -> str:
        return self.random.choice(self.world.patients).cx

    def some(self, pool: Iterable[str], most: int = 3) -> list[str]:
        """One to `most` different values; an unknown one where there is none."""
        listed = list(dict.fromkeys(pool)) or [new_uuid()]
        return self.random.sample(listed, self.random.randint(1, min(most, len(listed))))

    def optional(self, slots: Slots, name: str, pool: list[str], chance: float = 0.08, repeat: bool = False) -> Slots:
        if self.random.random() < chance:
            slots[name] = [self.some(pool) for _ in range(self.random.randint(1, 2) if repeat else 1)]
        return slots

    def times(self, slots: Slots, stem: str, pool: list[str]) -> None:
        for end in ("From", "To"):
            if self.random.random() < 0.07:
                slots[stem + end] = [[self.random.choice(pool)]]

    def contents(self, slots: Slots) -> Slots:
        self.optional(slots, "$XDSDocumentEntryFormatCode", CODES)
        self.optional(slots, "$XDSDocumentEntryConfidentialityCode", CODES, repeat=True)
        return self.optional(slots, "$XDSDocumentEntryType", TYPES, 0.4)

    def statuses(self) -> list[list[str]]:
        return [self.random.choice([[APPROVED], STATUSES, STATUSES, [DEPRECATED]])]

    def link_statuses(self, slots: Slots) -> Slots:
        return self.optional(slots, "$XDSAssociationStatus", STATUSES, 0.3)

    def filters(self, slots: Slots) -> Slots:
        stem = "$XDSDocumentEntry"
        slots[f"{stem}Status"] = self.statuses()
        self.contents(slots)
        for name in ("ClassCode", "TypeCode", "PracticeSettingCode", "HealthcareFacilityTypeCode"):
            self.optional(slots, stem + name, CODES, 0.05)
        self.optional(slots, f"{stem}EventCodeList", CODES, repeat=True)
        self.optional(slots, f"{stem}AuthorPerson", PATTERNS)
        self.optional(slots, f"{stem}DocumentAvailability", [ONLINE, OFFLINE], 0.06)
        for name in ("CreationTime", "ServiceStartTime", "ServiceStopTime"):
            self.times(slots, stem + name, TIMES)
        return slots

    def ids(self, stem: str, items: Iterable[object], single: bool = False, lids: bool = False) -> Slots:
        ways = {"EntryUUID": "uuid", "UniqueId": "uniqueId", **({"LogicalID": "lid"} if lids else {})}
        suffix = self.random.choice(list(ways))
        pool = [getattr(item, ways[suffix]) for item in items]
        pool.append(new_uuid())
        return {f"{stem}{suffix}": [self.some(pool, 1 if single else 3)]}

    def documents(self, single: bool = False, lids: bool = False) -> Slots:
        return self.ids("$XDSDocumentEntry", self.world.entries, single, lids)

    def folders(self, single: bool = False) -> Slots:
        return self.ids("$XDSFolder", self.world.folders, single, lids=not single)

    def anything(self) -> Slots:
        world = self.world
        pool = [one.uuid for kind in (world.entries, world.sets, world.folders, world.associations) for one in kind]
        return {"$uuid": [self.some(pool, 5)]}


# --------------------------------------------------------------------------------------------------------------- queries


def _find_documents(pools: _Pools) -> Slots:
    return pools.filters({"$XDSDocumentEntryPatientId": [[pools.cx()]]})


def _by_reference(pools: _Pools) -> Slots:
    return pools.optional(_find_documents(pools), "$XDSDocumentEntryReferenceIdList", REFERENCE_PATTERNS, 1, repeat=True)


def _by_title(pools: _Pools) -> Slots:
    return pools.optional(_find_documents(pools), "$XDSDocumentEntryTitle", TITLE_PATTERNS, 1)


def _multi_documents(pools: _Pools) -> Slots:
    return pools.filters({"$XDSDocumentEntryPatientId": [pools.some(p.cx for p in pools.world.patients)]})


def _multi_reference(pools: _Pools) -> Slots:
    return pools.optional(_multi_documents(pools), "$XDSDocumentEntryReferenceIdList", REFERENCE_PATTERNS, 1, repeat=True)


def _folder_filters(pools: _Pools, slots: Slots) -> Slots:
    slots["$XDSFolderStatus"] = pools.statuses()
    pools.optional(slots, "$XDSFolderCodeList", CODES, repeat=True)
    pools.times(slots, "$XDSFolderLastUpdateTime", [*(f.lastUpdate for f in pools.world.folders), *TIMES])
    return slots


def _find_folders(pools: _Pools) -> Slots:
    return _folder_filters(pools, {"$XDSFolderPatientId": [[pools.cx()]]})


def _multi_folders(pools: _Pools) -> Slots:
    return _folder_filters(pools, {"$XDSFolderPatientId": [pools.some(p.cx for p in pools.world.patients)]})


def _find_sets(pools: _Pools) -> Slots:
    stem = "$XDSSubmissionSet"
    slots: Slots = {f"{stem}PatientId": [[pools.cx()]], f"{stem}Status": pools.statuses()}
    pools.optional(slots, f"{stem}SourceId", SOURCES)
    pools.optional(slots, f"{stem}ContentType", CODES)
    if pools.random.random() < 0.2:
        slots[f"{stem}AuthorPerson"] = [[pools.random.choice(PATTERNS)]]
    pools.times(slots, f"{stem}SubmissionTime", TIMES)
    return slots


def _get_all(pools: _Pools) -> Slots:
    slots: Slots = {"$patientId": [[pools.cx()]]}
    for kind in ("DocumentEntry", "SubmissionSet", "Folder"):
        slots[f"$XDS{kind}Status"] = pools.statuses()
    return pools.link_statuses(pools.contents(slots))


def _set_contents(pools: _Pools) -> Slots:
    return pools.contents(pools.ids("$XDSSubmissionSet", pools.world.sets, single=True))


def _related(pools: _Pools) -> Slots:
    slots = pools.link_statuses(pools.documents(single=True))
    slots["$AssociationTypes"] = [pools.some(RELATIONS, 4)]
    return pools.optional(slots, "$XDSDocumentEntryType", TYPES, 0.4)


_DRAW: dict[str, Callable[[_Pools], Slots]] = {
    "FindDocuments": _find_documents,
    "FindSubmissionSets": _find_sets,
    "FindFolders": _find_folders,
    "GetAll": _get_all,
    "GetDocuments": lambda pools: pools.documents(lids=True),
    "GetFolders": lambda pools: pools.folders(),
    "GetAssociations": lambda pools: pools.link_statuses(pools.anything()),
    "GetDocumentsAndAssociations": lambda pools: pools.link_statuses(pools.documents()),
    "GetSubmissionSets": lambda pools: pools.anything(),
    "GetSubmissionSetAndContents": _set_contents,
    "GetFolderAndContents": lambda pools: pools.link_statuses(pools.contents(pools.folders(single=True))),
    "GetFoldersForDocument": lambda pools: pools.link_statuses(pools.documents(single=True)),
    "GetRelatedDocuments": _related,
    "FindDocumentsByReferenceId": _by_reference,
    "FindDocumentsByTitle": _by_title,
    "FindDocumentsForMultiplePatients": _multi_documents,
    "FindFoldersForMultiplePatients": _multi_folders,
    "FindDocumentsByReferenceIdForMultiplePatients": _multi_reference,
}


def everything(cx: str) -> Question:
    """All that the registry holds for one person, every version and status."""
    slots: Slots = {f"$XDS{kind}Status": [STATUSES] for kind in ("DocumentEntry", "SubmissionSet", "Folder")}
    return Question("GetAll", {"$patientId": [[cx]], **slots, "$XDSDocumentEntryType": [TYPES], "$MetadataLevel": [["2"]]})
