"""Random small registries and random stored queries for them, drawn from pools so small that filters hit and miss."""

from __future__ import annotations

import uuid
from random import Random

from tests.registry.search_model import (
    APPROVED,
    DEPRECATED,
    HAS_MEMBER,
    OFFLINE,
    ON_DEMAND,
    ONLINE,
    STABLE,
    ModelAssociation,
    ModelEntry,
    ModelFolder,
    ModelPatient,
    ModelSet,
    Slots,
    World,
)

SCHEME = "1.2.250.1.213.1.1.4.1"
CODES = [f"{code}^^{scheme}" for code in ("A", "B", "C%") for scheme in (SCHEME, "2.16.840.1")]
AUTHORS = [
    "^Martin^Jean^^^Dr", "801234^Durand^Zoé^^^^^^&1.2.250.1.71.4.2.1&ISO", "^O'Neil^Ann_a", "^MARTIN^Jean", "50%\\^[x]*?^",
]
PATTERNS = [
    "%Martin%", "^Martin^Jean^^^Dr", "%^Zo_^%", "%", "_Martin%", "%'%", "50%\\^[x]*?^", "%[x]%", "%\\^%", "nobody", "%*%", "%?%",
]
REFERENCES = [
    "ACC1^^^&1.2.3&ISO^urn:ihe:iti:xds:2013:accession", "ORD_9^^^&1.2.3&ISO^urn:ihe:iti:xds:2013:order", "ORDX9^^^&1.2.3&ISO^x",
]
REFERENCE_PATTERNS = [*REFERENCES, "ACC%", "%&1.2.3&%", "nothing"]
TITLES = ["Compte rendu", "Ordonnance d'été", "تقرير"]
TITLE_PATTERNS = ["Compte rendu", "%été%", "compte%", "تقرير"]
TIMES = ["2004", "200502", "20050202", "2005020213", "200502021314", "20050202131415", "20241231235959"]
AVAILABILITY = [ONLINE, OFFLINE]
STATUSES = [APPROVED, DEPRECATED]
TYPES = [STABLE, ON_DEMAND]
RELATIONS = [f"urn:ihe:iti:2007:AssociationType:{t}" for t in ("RPLC", "APND", "XFRM", "signs")]
UNIQUE_IDS = [f"1.2.3.{n}" for n in range(6)]


def new_uuid(random: Random) -> str:
    return f"urn:uuid:{uuid.UUID(int=random.getrandbits(128), version=4)}"


def some(random: Random, pool: list[str], most: int = 2) -> list[str]:
    return random.sample(pool, random.randint(0, min(most, len(pool))))


def maybe(random: Random, pool: list[str]) -> str:
    return random.choice(["", *pool])


def build_world(random: Random) -> World:
    """At most 5 patients (alias, merged, plain), 12 entries, 5 sets, 4 folders, 18 associations."""
    world = World()
    for number in range(random.randint(1, 5)):
        cx = f"P{number}'x^^^&1.2.250.1.213.1.4.8&ISO"
        if number and random.random() < 0.4:
            cluster = world.patients[random.randrange(number)].cluster
            world.patients.append(ModelPatient(cx, cluster, alive=random.random() < 0.5, head=False))
        else:
            world.patients.append(ModelPatient(cx, number))
    for _ in range(random.randint(0, 12)):
        _add_entry(world, random)
    for number in range(random.randint(0, 5)):
        world.sets.append(
            ModelSet(
                uuid=new_uuid(random),
                patient=random.randrange(len(world.patients)),
                uniqueId=f"1.2.4.{number}",
                sourceId=random.choice(UNIQUE_IDS[:3]),
                submissionTime=random.choice(TIMES),
                contentType=random.choice(CODES),
                authors=some(random, AUTHORS),
            )
        )
    for _ in range(random.randint(0, 4)):
        _add_folder(world, random)
    for _ in range(random.randint(0, 18)):
        _add_association(world, random)
    return world


def _add_entry(world: World, random: Random) -> None:
    own = new_uuid(random)
    entry = ModelEntry(
        uuid=own,
        lid=own,
        patient=random.randrange(len(world.patients)),
        uniqueId=random.choice(UNIQUE_IDS),
        status=random.choice([APPROVED, *STATUSES]),
        type=random.choice([STABLE, *TYPES]),
        availability=random.choice([ONLINE, *AVAILABILITY]),
        classCode=maybe(random, CODES[:3]),
        typeCode=maybe(random, CODES[:3]),
        formatCode=maybe(random, CODES[:3]),
        facility=maybe(random, CODES[:2]),
        practice=maybe(random, CODES[:2]),
        confidentiality=some(random, CODES),
        events=some(random, CODES, 3),
        authors=some(random, AUTHORS),
        references=some(random, REFERENCES),
        start=maybe(random, TIMES),
        stop=maybe(random, TIMES),
        title=maybe(random, TITLES),
    )
    older = [e for e in world.entries if world.latest(e)]
    if older and random.random() < 0.25:
        previous = random.choice(older)
        previous.status = DEPRECATED
        entry.lid, entry.uniqueId, entry.type = previous.lid, previous.uniqueId, previous.type
        entry.version = previous.version + 1
    entry.creation = maybe(random, TIMES) if entry.type == ON_DEMAND else random.choice(TIMES)
    world.entries.append(entry)


def _add_folder(world: World, random: Random) -> None:
    own = new_uuid(random)
    folder = ModelFolder(
        uuid=own,
        lid=own,
        patient=random.randrange(len(world.patients)),
        uniqueId=f"1.2.5.{len(world.folders)}",
        lastUpdate="20050202131415" if random.random() < 0.5 else "20240101000000",
        status=random.choice([APPROVED, *STATUSES]),
        codes=some(random, CODES),
    )
    older = [f for f in world.folders if world.latest(f)]
    if older and random.random() < 0.3:
        previous = random.choice(older)
        previous.status = DEPRECATED
        folder.lid, folder.uniqueId, folder.version = previous.lid, previous.uniqueId, previous.version + 1
    world.folders.append(folder)


def _add_association(world: World, random: Random) -> None:
    entries = [e.uuid for e in world.entries]
    sets = [s.uuid for s in world.sets]
    folders = [f.uuid for f in world.folders]
    links = [a.uuid for a in world.associations]
    kind = random.choice(["set", "set", "folder", "relation", "relation", "set-folder", "set-link"])
    source, targets = {
        "set": (sets, entries),
        "folder": (folders, entries),
        "relation": (entries, entries),
        "set-folder": (sets, folders),
        "set-link": (sets, links),
    }[kind]
    if not source or not targets:
        return
    start, end = random.choice(source), random.choice(targets)
    taken = {(a.type, a.source, a.target) for a in world.associations}
    type = random.choice(RELATIONS) if kind == "relation" else HAS_MEMBER
    if start == end or (type, start, end) in taken:
        return
    status = random.choice([APPROVED, APPROVED, DEPRECATED])
    label = random.choice(["Original", "Reference"]) if kind == "set" else ""
    world.associations.append(ModelAssociation(new_uuid(random), type, start, end, status, label))


# ------------------------------------------------------------------------------------------------------------- queries


def draw_query(world: World, random: Random) -> tuple[str, Slots]:
    """A query name and slots that the parameter rules accept."""
    name = random.choice(list(_DRAW))
    slots = _DRAW[name](world, random)
    if not name.endswith("MultiplePatients") and random.random() < 0.5:
        slots["$MetadataLevel"] = [[random.choice(["1", "2"])]]
    return name, slots


def _patient(world: World, random: Random) -> str:
    known = random.random() < 0.95
    return random.choice(world.patients).cx if known else "nobody^^^&9.9&ISO"


def _optional(slots: Slots, random: Random, name: str, pool: list[str], repeat: bool = False, chance: float = 0.15) -> None:
    if random.random() < chance:
        count = random.randint(1, 2) if repeat else 1
        slots[name] = [random.sample(pool, random.randint(1, min(3, len(pool)))) for _ in range(count)]


def _contents(slots: Slots, random: Random) -> Slots:
    _optional(slots, random, "$XDSDocumentEntryFormatCode", CODES)
    _optional(slots, random, "$XDSDocumentEntryConfidentialityCode", CODES, repeat=True)
    _optional(slots, random, "$XDSDocumentEntryType", TYPES, chance=0.5)
    return slots


def _times(slots: Slots, random: Random, stem: str) -> None:
    for end in ("From", "To"):
        if random.random() < 0.15:
            slots[stem + end] = [[random.choice(TIMES)]]


def _filters(slots: Slots, random: Random) -> Slots:
    name = "$XDSDocumentEntry"
    slots[f"{name}Status"] = [random.choice([[APPROVED], [DEPRECATED], STATUSES])]
    _contents(slots, random)
    for stem in ("ClassCode", "TypeCode", "PracticeSettingCode", "HealthcareFacilityTypeCode"):
        _optional(slots, random, name + stem, CODES)
    _optional(slots, random, f"{name}EventCodeList", CODES, repeat=True)
    _optional(slots, random, f"{name}AuthorPerson", PATTERNS)
    _optional(slots, random, f"{name}DocumentAvailability", AVAILABILITY)
    for stem in ("CreationTime", "ServiceStartTime", "ServiceStopTime"):
        _times(slots, random, name + stem)
    return slots


def _find_documents(world: World, random: Random) -> Slots:
    return _filters({"$XDSDocumentEntryPatientId": [[_patient(world, random)]]}, random)


def _by_reference(world: World, random: Random) -> Slots:
    slots = _find_documents(world, random)
    _optional(slots, random, "$XDSDocumentEntryReferenceIdList", REFERENCE_PATTERNS, repeat=True, chance=1)
    return slots


def _by_title(world: World, random: Random) -> Slots:
    slots = _find_documents(world, random)
    _optional(slots, random, "$XDSDocumentEntryTitle", TITLE_PATTERNS, chance=1)
    return slots


def _multi(world: World, random: Random) -> Slots:
    slots = _filters({}, random)
    if random.random() < 0.6:
        slots["$XDSDocumentEntryPatientId"] = [sorted({_patient(world, random) for _ in range(2)})]
    elif not slots.keys() & {f"$XDSDocumentEntry{stem}" for stem in ("ClassCode", "EventCodeList", "HealthcareFacilityTypeCode")}:
        slots["$XDSDocumentEntryClassCode"] = [CODES[:3]]
    return slots


def _multi_reference(world: World, random: Random) -> Slots:
    slots = _multi(world, random)
    _optional(slots, random, "$XDSDocumentEntryReferenceIdList", REFERENCE_PATTERNS, repeat=True, chance=1)
    return slots


def _find_sets(world: World, random: Random) -> Slots:
    name = "$XDSSubmissionSet"
    slots: Slots = {f"{name}PatientId": [[_patient(world, random)]], f"{name}Status": [random.choice([[APPROVED], STATUSES])]}
    _optional(slots, random, f"{name}SourceId", UNIQUE_IDS)
    _optional(slots, random, f"{name}ContentType", CODES)
    if random.random() < 0.2:
        slots[f"{name}AuthorPerson"] = [[random.choice(PATTERNS)]]
    _times(slots, random, f"{name}SubmissionTime")
    return slots


def _folder_filters(slots: Slots, random: Random) -> Slots:
    slots["$XDSFolderStatus"] = [random.choice([[APPROVED], [DEPRECATED], STATUSES])]
    _optional(slots, random, "$XDSFolderCodeList", CODES, repeat=True)
    _times(slots, random, "$XDSFolderLastUpdateTime")
    return slots


def _find_folders(world: World, random: Random) -> Slots:
    return _folder_filters({"$XDSFolderPatientId": [[_patient(world, random)]]}, random)


def _multi_folders(world: World, random: Random) -> Slots:
    slots = _folder_filters({}, random)
    if random.random() < 0.5 or "$XDSFolderCodeList" not in slots:
        slots["$XDSFolderPatientId"] = [sorted({_patient(world, random) for _ in range(2)})]
    return slots


def _get_all(world: World, random: Random) -> Slots:
    slots: Slots = {"$patientId": [[_patient(world, random)]]}
    for kind in ("DocumentEntry", "SubmissionSet", "Folder"):
        slots[f"$XDS{kind}Status"] = [random.choice([[APPROVED], [DEPRECATED], STATUSES])]
    return _associations(_contents(slots, random), random)


def _associations(slots: Slots, random: Random) -> Slots:
    _optional(slots, random, "$XDSAssociationStatus", STATUSES)
    return slots


def _ids(random: Random, stem: str, uuids: list[str], unique: list[str], lids: list[str], single: bool = False) -> Slots:
    ways = [("EntryUUID", uuids), ("UniqueId", unique), *([("LogicalID", lids)] if lids else [])]
    suffix, pool = random.choice(ways)
    pool = sorted({*pool, "urn:uuid:00000000-0000-4000-8000-000000000000"})
    return {stem + suffix: [random.sample(pool, 1 if single else random.randint(1, min(4, len(pool))))]}


def _documents_by_id(world: World, random: Random, single: bool = False, lids: bool = False) -> Slots:
    entries = world.entries
    logical = [e.lid for e in entries] if lids else []
    return _ids(random, "$XDSDocumentEntry", [e.uuid for e in entries], UNIQUE_IDS, logical, single)


def _folders_by_id(world: World, random: Random, single: bool = False) -> Slots:
    folders = world.folders
    lids = [] if single else [f.lid for f in folders]
    return _ids(random, "$XDSFolder", [f.uuid for f in folders], [f.uniqueId for f in folders], lids, single)


def _any_uuids(world: World, random: Random) -> Slots:
    packages = [*(s.uuid for s in world.sets), *(f.uuid for f in world.folders)]
    pool = [*(e.uuid for e in world.entries), *packages, *(a.uuid for a in world.associations)]
    pool = pool or ["urn:uuid:00000000-0000-4000-8000-000000000000"]
    return {"$uuid": [random.sample(pool, random.randint(1, min(5, len(pool))))]}


def _set_contents(world: World, random: Random) -> Slots:
    ids = _ids(random, "$XDSSubmissionSet", [s.uuid for s in world.sets], [s.uniqueId for s in world.sets], [], single=True)
    return _contents(ids, random)


def _related(world: World, random: Random) -> Slots:
    slots = _associations(_documents_by_id(world, random, single=True), random)
    slots["$AssociationTypes"] = [random.sample(RELATIONS, random.randint(1, 4))]
    _optional(slots, random, "$XDSDocumentEntryType", TYPES, chance=0.5)
    return slots


_DRAW = {
    "FindDocuments": _find_documents,
    "FindDocumentsByReferenceId": _by_reference,
    "FindDocumentsByTitle": _by_title,
    "FindDocumentsForMultiplePatients": _multi,
    "FindDocumentsByReferenceIdForMultiplePatients": _multi_reference,
    "FindFoldersForMultiplePatients": _multi_folders,
    "FindSubmissionSets": _find_sets,
    "FindFolders": _find_folders,
    "GetAll": _get_all,
    "GetDocuments": lambda w, r: _documents_by_id(w, r, lids=True),
    "GetFolders": lambda w, r: _folders_by_id(w, r),
    "GetAssociations": lambda w, r: _associations(_any_uuids(w, r), r),
    "GetDocumentsAndAssociations": lambda w, r: _associations(_documents_by_id(w, r), r),
    "GetSubmissionSets": _any_uuids,
    "GetSubmissionSetAndContents": _set_contents,
    "GetFolderAndContents": lambda w, r: _associations(_contents(_folders_by_id(w, r, single=True), r), r),
    "GetFoldersForDocument": lambda w, r: _associations(_documents_by_id(w, r, single=True), r),
    "GetRelatedDocuments": _related,
}
