"""Random submissions for a model registry, right ones and wrong ones, and their ebRIM text.

The randomness is a `random.Random` whose seed Hypothesis draws: its own favours repetition, and two objects with one entryUUID
or a document related to itself are cases for the tests of single rules.
"""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from random import Random

from tests.model.registry_model import (
    APND,
    RELATIONS,
    RPLC,
    SIGNS,
    SNAPSHOT,
    XFRM,
    XFRM_RPLC,
    Document,
    Held,
    RegistryModel,
    Sent,
    new_uuid,
    unassigned,
)
from tests.proof.messages import REPOSITORY, Association, Entry, Folder, Submission, slot
from tests.registry.search_model import (
    APPROVED,
    HAS_MEMBER,
    OFFLINE,
    ON_DEMAND,
    ONLINE,
    STABLE,
    ModelAssociation,
    ModelEntry,
    ModelFolder,
    ModelSet,
)

CODES = ["A^^1.2.250.9.1", "B^^1.2.250.9.1", "A^^2.16.840.1"]
AUTHORS = ["^Martin^Jean^^^Dr", "^O'Neil^Ann_a", "50%[x]^MARTIN^Zoé"]
REFERENCES = ["ACC1^^^&1.2.3&ISO^urn:ihe:iti:xds:2013:accession", "ORD_9^^^&1.2.3&ISO^urn:ihe:iti:xds:2013:order"]
TITLES = ["Compte rendu", "Ordonnance d'été"]
TIMES = ["2004", "200502", "20050202", "2005020213", "20050202131415", "20241231235959"]
SOURCES = ["1.2.250.9.8.1", "1.2.250.9.8.2"]
HASHES = ["da39a3ee5e6b4b0d3255bfef95601890afd80709", "a94a8fe5ccb19ba61c4c0873d391e987982fbbd3"]

_STEM = f"1.2.250.9.{time.time_ns() // 1000}"
_numbers = itertools.count(1)


def new_oid() -> str:
    return f"{_STEM}.{next(_numbers)}"


def some(random: Random, pool: list[str], least: int = 0) -> list[str]:
    return random.sample(pool, random.randint(least, 2))


def draw_document(random: Random, patient: int, symbolic: bool = False, on_demand: bool = False) -> Document:
    own = unassigned() if symbolic else new_uuid()
    start = random.choice(["", "", *TIMES[:5]])
    return Document(
        uuid=own,
        lid=own,
        patient=patient,
        uniqueId=new_oid(),
        type=ON_DEMAND if on_demand else STABLE,
        availability=OFFLINE if not on_demand and random.random() < 0.1 else ONLINE,
        classCode=random.choice(CODES),
        typeCode=random.choice(CODES),
        formatCode=random.choice(CODES),
        facility=random.choice(CODES),
        practice=random.choice(CODES),
        confidentiality=some(random, CODES, least=1),
        events=some(random, CODES),
        authors=some(random, AUTHORS),
        references=some(random, REFERENCES),
        creation="" if on_demand else random.choice(TIMES),
        start=start,
        stop=TIMES[-1] if start and random.random() < 0.5 else "",
        title=random.choice(["", *TITLES]),
        hash="" if on_demand else HASHES[0],
        size="" if on_demand else random.choice("07"),
    )


def draw_folder(random: Random, patient: int, symbolic: bool = False) -> ModelFolder:
    own = unassigned() if symbolic else new_uuid()
    return ModelFolder(own, patient, new_oid(), "", lid=own, codes=some(random, CODES, least=1))


def draw_set(random: Random, patient: int, symbolic: bool = False) -> ModelSet:
    return ModelSet(
        uuid=unassigned() if symbolic else new_uuid(),
        patient=patient,
        uniqueId=new_oid(),
        sourceId=random.choice(SOURCES),
        submissionTime=random.choice(TIMES),
        contentType=random.choice(CODES),
        authors=[random.choice(AUTHORS)],
    )


# ------------------------------------------------------------------------------------------------------------- building


class Builder:
    """A submission for one patient, put together piece by piece."""

    def __init__(self, model: RegistryModel, random: Random, patient: int) -> None:
        self.model, self.random, self.patient = model, random, patient
        self.symbolic = random.random() < 0.3
        self.on_demand = random.random() < 0.12
        self.sent = Sent(draw_set(random, patient, self.symbolic))

    def _id(self) -> str:
        return unassigned() if self.symbolic else new_uuid()

    def link(self, kind: str, source: str, target: str, label: str = "") -> ModelAssociation:
        made = ModelAssociation(self._id(), kind, source, target, label=label)
        self.sent.links.append(made)
        return made

    def document(self) -> Document:
        made = draw_document(self.random, self.patient, self.symbolic, self.on_demand)
        self.sent.entries.append(made)
        self.link(HAS_MEMBER, self.sent.set.uuid, made.uuid, "Original")
        return made

    def folder(self) -> ModelFolder:
        made = draw_folder(self.random, self.patient, self.symbolic)
        self.sent.folders.append(made)
        self.link(HAS_MEMBER, self.sent.set.uuid, made.uuid)
        return made

    def file(self, folder: str, document: str) -> None:
        """FD-DE with its SS-HM; what the message says already is not said twice."""
        if not any((a.source, a.target) == (folder, document) for a in self.sent.links):
            membership = self.link(HAS_MEMBER, folder, document)
            self.link(HAS_MEMBER, self.sent.set.uuid, membership.uuid)

    def refer(self, document: str) -> None:
        if not any((a.source, a.target) == (self.sent.set.uuid, document) for a in self.sent.links):
            self.link(HAS_MEMBER, self.sent.set.uuid, document, "Reference")

    # ------------------------------------------------------------------------------------------------- what is there

    def _mine(self, held: Held) -> bool:
        return not isinstance(held, ModelAssociation) and self.model.cluster(held.patient) == self.model.cluster(self.patient)

    def known_document(self, of_anybody: bool = False) -> ModelEntry | None:
        """An Approved document of this person; one in twelve is another one, of whatever status and patient."""
        anyone = self.random.random() < 1 / 12
        entries = self.model.world.entries
        fit = [e for e in entries if anyone or (e.status == APPROVED and (of_anybody or self._mine(e)))]
        chance = self.random.random()
        if fit and chance < 0.5:
            return fit[-1]  # chains grow
        if chance < 0.75:  # and lose their ground
            fit = [e for e in fit if depth(self.model, e.uuid) > 1] or fit
        return self.random.choice(fit) if fit else None

    def known_folder(self) -> ModelFolder | None:
        anyone = self.random.random() < 1 / 12
        fit = [f for f in self.model.world.folders if anyone or (f.status == APPROVED and self._mine(f))]
        return self.random.choice(fit) if fit else None


def depth(model: RegistryModel, uuid: str, most: int = 2) -> int:
    """How far the addenda and transformations of a document go on: 0 for none, at most `most`."""
    sources = [a.source for a in model.world.associations if a.target == uuid and a.type in (APND, XFRM)]
    return 1 + max(depth(model, one, most - 1) for one in sources) if sources and most else 0


def draw_patient(model: RegistryModel, random: Random) -> int:
    """Mostly an id under which submissions are accepted; the more were merged away, the more often one of those."""
    people = range(len(model.world.patients))
    gone = [number for number in people if model.is_subsumed(number)]
    chance = random.random()
    if gone and chance < min(0.3, 0.12 * len(gone)):
        return random.choice(gone)
    return random.choice(sorted(model.unknown) if model.unknown and chance > 0.97 else model.alive())


def draw_filed(model: RegistryModel, random: Random) -> Sent:
    """Documents in a new Folder."""
    build = Builder(model, random, random.choice(model.alive()))
    folder = build.folder()
    for _ in range(random.choice([1, 2, 3])):
        build.file(folder.uuid, build.document().uuid)
    return build.sent


def draw_submission(model: RegistryModel, random: Random) -> Sent:
    """New documents and Folders, filed in new and known Folders; known documents filed or referred to."""
    build = Builder(model, random, draw_patient(model, random))
    documents = [build.document() for _ in range(random.choice([0, 1, 1, 2, 3]))]
    folders = [build.folder() for _ in range(random.choice([0, 0, 1, 2]))]
    places = [*folders, *filter(None, [build.known_folder() if random.random() < 0.6 else None])]
    content = [*documents, *filter(None, [build.known_document() if random.random() < 0.4 else None])]
    for place in places:
        for document in random.sample(content, random.randint(0, len(content))):
            build.file(place.uuid, document.uuid)
    referred = build.known_document(of_anybody=True) if random.random() < 0.3 else None
    if referred:
        build.refer(referred.uuid)
    if len(documents) > 1 and random.random() < 0.4:
        build.link(random.choice([APND, XFRM, SIGNS]), documents[0].uuid, documents[1].uuid)
    if not build.sent.links:
        build.document()
    return build.sent


def draw_relation(model: RegistryModel, random: Random) -> Sent | None:
    """One new document that replaces, transforms, is added to or signs known ones; None while nothing is known.

    Addenda of addenda grow more often than chance would have it, and what others lean on is replaced more often.
    """
    patient = draw_patient(model, random)
    if model.world.entries and random.random() < 0.6 and model.world.patients[patient].alive:
        recent = model.cluster(model.world.entries[-1].patient)
        patient = next((number for number in model.alive() if model.cluster(number) == recent), patient)
    build = Builder(model, random, patient)
    targets = [t for t in (build.known_document() for _ in range(random.choice([1, 1, 1, 1, 1, 2]))) if t]
    if not targets:
        return None
    document = build.document()
    for target in {t.uuid: t for t in targets}.values():
        kinds = [[XFRM, APND, APND, APND, SIGNS, RPLC], [RPLC, APND, XFRM_RPLC], [RPLC, RPLC, RPLC, SIGNS]]
        kinds_here = kinds[depth(model, target.uuid)]
        kind = random.choice(kinds_here)
        if target.type == ON_DEMAND and not build.on_demand:
            kind = random.choice([SNAPSHOT, kind])
        build.link(kind, document.uuid, target.uuid)
    folder = build.known_folder() if random.random() < 0.3 else None
    if folder:
        build.file(folder.uuid, document.uuid)
    if random.random() < 0.15:
        replace_content(model, random, build.sent)
    return build.sent


def replace_content(model: RegistryModel, random: Random, sent: Sent) -> None:
    """The new document has the uniqueId of a known one: allowed for the same bytes."""
    document = sent.entries[0]
    known = [e for e in model.world.entries if isinstance(e, Document) and e.type == document.type]
    if known:
        other = random.choice(known)
        document.uniqueId, document.hash, document.size = other.uniqueId, other.hash, other.size


def spoil(model: RegistryModel, random: Random, sent: Sent) -> str:
    """One thing wrong with a submission; returns what, empty when the thing is not there to be spoilt."""
    world, taken = model.world, [one.uniqueId for one in model.objects()]
    what = random.choice(["patient", "set id", "folder id", "double id", "hash", "size", "target", "inner replacement", "kind"])
    known = [e for e in world.entries if isinstance(e, Document) and e.type == STABLE]
    if what == "patient" and sent.entries and len(model.alive()) > 1:
        sent.entries[-1].patient = random.choice([n for n in model.alive() if n != sent.set.patient])
    elif what == "set id" and taken:
        sent.set.uniqueId = random.choice(taken)
    elif what == "folder id" and sent.folders and taken:
        sent.folders[0].uniqueId = random.choice(taken)
    elif what == "double id" and len(sent.entries) > 1:
        sent.entries[0].uniqueId = sent.entries[1].uniqueId
    elif what in ("hash", "size") and sent.entries and known and not sent.on_demand:
        other = random.choice(known)
        sent.entries[0].uniqueId, sent.entries[0].hash, sent.entries[0].size = other.uniqueId, other.hash, other.size
        if what == "hash":
            sent.entries[0].hash = HASHES[1] if other.hash == HASHES[0] else HASHES[0]
        else:
            sent.entries[0].size = "8"
    elif what == "target" and sent.entries:
        kind = random.choice(RELATIONS)
        sent.links.append(ModelAssociation(new_uuid(), kind, sent.entries[0].uuid, new_uuid()))
    elif what == "inner replacement" and len(sent.entries) > 1:
        sent.links.append(ModelAssociation(new_uuid(), RPLC, sent.entries[0].uuid, sent.entries[1].uuid))
    elif what == "kind" and sent.entries and world.folders:
        sent.links.append(ModelAssociation(new_uuid(), SIGNS, sent.entries[0].uuid, random.choice(world.folders).uuid))
    else:
        return ""
    return what


# ----------------------------------------------------------------------------------------------------------------- text


@dataclass(frozen=True)
class Writer:
    """Model objects as ebRIM. Only here a patient's number becomes its CX."""

    model: RegistryModel

    def _cx(self, patient: int) -> str:
        return self.model.world.patients[patient].cx

    def entry(self, one: Document) -> Entry:
        kind = _OnDemandEntry if one.type == ON_DEMAND else Entry
        return kind(
            self._cx(one.patient), symbol(one.uuid), one.uniqueId, title=one.title, class_code=one.classCode,
            type_code=one.typeCode, format_code=one.formatCode, facility=one.facility, practice=one.practice,
            confidentiality=one.confidentiality, events=one.events, authors=one.authors, creation=one.creation or None,
            start=one.start or None, stop=one.stop or None, references=one.references, hash=one.hash or None,
            size=int(one.size) if one.size else None,
            repository=REPOSITORY, extra=slot("documentAvailability", one.availability) if one.availability == OFFLINE else "",
        )  # fmt: skip

    def folder(self, one: ModelFolder) -> Folder:
        return Folder(self._cx(one.patient), symbol(one.uuid), one.uniqueId, codes=one.codes)

    def association(self, one: ModelAssociation) -> Association:
        return Association(one.type, symbol(one.source), symbol(one.target), symbol(one.uuid), one.label)

    def submission_set(self, one: ModelSet) -> Submission:
        """The SubmissionSet alone."""
        return _Written(
            self._cx(one.patient), id=symbol(one.uuid), uid=one.uniqueId, source=one.sourceId, time=one.submissionTime,
            author=one.authors[0], content_type=one.contentType,
        )  # fmt: skip

    def submission(self, sent: Sent) -> bytes:
        """lcm:SubmitObjectsRequest."""
        whole = self.submission_set(sent.set)
        whole.entries = [self.entry(e) for e in sent.entries]
        whole.folders = [self.folder(f) for f in sent.folders]
        whole.associations = [self.association(a) for a in sent.links]
        return whole.xml()


class _OnDemandEntry(Entry):
    def xml(self) -> str:
        return super().xml().replace(STABLE, ON_DEMAND)


class _Written(Submission):
    """All associations are given; none is added."""

    def members(self) -> list[Association]:
        return []


def symbol(uuid: str) -> str:
    """`?7` is sent as a symbolic id."""
    return uuid.replace("?", "symbol-")

