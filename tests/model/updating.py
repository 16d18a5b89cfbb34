"""Random updates for ITI-57, right ones and wrong ones, and their text."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from tests.model.registry_model import APND, RPLC, SIGNS, XFRM, Document, Held, RegistryModel, new_uuid
from tests.model.submitting import CODES, TITLES, Writer, draw_patient, draw_set, new_oid, some
from tests.model.update_model import NewVersion, StatusChange, Update, UpdateModel
from tests.proof.messages import Submission
from tests.proof.update_messages import Update as Message
from tests.registry.search_model import (
    APPROVED,
    DEPRECATED,
    HAS_MEMBER,
    OFFLINE,
    ONLINE,
    STABLE,
    ModelAssociation,
    ModelEntry,
    ModelFolder,
)


def draw_versions(model: RegistryModel, random: Random) -> Update | None:
    """One new version, or two of objects that may be linked; some with a change of status."""
    chosen = _chosen(model, random)
    if not chosen:
        return None
    update = Update(draw_set(random, _patient_for(model, random, chosen[0])))
    propagates = random.random() < 0.85
    for old in chosen:
        previous = old.version + (random.choice([-1, 1, 5]) if random.random() < 0.12 else 0)
        agrees = propagates if random.random() < 0.9 else not propagates
        update.versions.append(NewVersion(_changed(random, old, update.set.patient), max(previous, 1), agrees))
    newest = update.versions[0].object
    if random.random() < 0.15:
        status = chosen[0].status
        update.statuses.append(StatusChange(newest.uuid, status, DEPRECATED if status == APPROVED else APPROVED))
    _spoil(random, newest)
    return update


def _chosen(model: RegistryModel, random: Random) -> list[Document | ModelFolder]:
    world = model.world
    newest = [one for one in model.versioned() if world.latest(one)]
    objects = [one for one in newest if isinstance(one, Document | ModelFolder)]
    if not objects:
        return []
    first = random.choice(objects)
    linked = {a.target for a in world.associations if a.source == first.uuid}
    linked |= {a.source for a in world.associations if a.target == first.uuid}
    others = [one for one in objects if one.uuid in linked and one is not first]
    return [first, random.choice(others)] if others and random.random() < 0.4 else [first]


def _patient_for(model: RegistryModel, random: Random, one: Document | ModelFolder) -> int:
    same = [number for number in model.alive() if model.cluster(number) == model.cluster(one.patient)]
    return random.choice(same) if same and random.random() < 0.85 else draw_patient(model, random)


def _changed(random: Random, old: Document | ModelFolder, patient: int) -> Document | ModelFolder:
    """A new version, not yet numbered."""
    if isinstance(old, ModelFolder):
        return replace(old, uuid=new_uuid(), patient=patient, codes=some(random, CODES, least=1), lastUpdate="")
    availability = random.choice([OFFLINE, ONLINE, ONLINE]) if old.type == STABLE else ONLINE
    title, kind = random.choice(["", *TITLES]), random.choice(CODES)
    return replace(old, uuid=new_uuid(), patient=patient, title=title, typeCode=kind, availability=availability)


def _spoil(random: Random, one: Document | ModelFolder) -> None:
    chance = random.random()
    if chance < 0.04:
        one.uniqueId = new_oid()
    elif chance < 0.07:
        one.lid = new_uuid()
    elif chance < 0.1 and isinstance(one, Document):
        one.patient = 0


def draw_status(model: RegistryModel, random: Random) -> Update:
    """A change of status of a document, a Folder or an association; some of what cannot change."""
    world = model.world
    set_ids = {one.uuid for one in world.sets}
    links = [a for a in world.associations if a.source not in set_ids]
    kinds: list[list[Held]] = [[*world.entries], [*world.entries], [*world.folders], [*links], [*links]]
    pools = [pool for pool in kinds if pool]
    everything: list[Held] = [*model.objects(), *world.associations]
    one = random.choice(random.choice(pools) if pools and random.random() < 0.9 else everything)
    if isinstance(one, ModelEntry | ModelFolder) and random.random() < 0.7:
        lid = one.lid
        one = max((o for o in model.versioned() if o.lid == lid), key=lambda o: o.version)
    original, new = (one.status, DEPRECATED if one.status == APPROVED else APPROVED)
    if random.random() < 0.08:
        original, new = random.choice([(new, original), (new, new)])
    patient = one.patient if not isinstance(one, ModelAssociation) else random.choice(model.alive())
    update = Update(draw_set(random, patient if model.world.patients[patient].alive else random.choice(model.alive())))
    update.statuses.append(StatusChange(new_uuid() if random.random() < 0.05 else one.uuid, original, new))
    return update


def draw_links(model: RegistryModel, random: Random) -> Update | None:
    """An association between registered objects, mostly of one person."""
    entries, folders = model.world.entries, model.world.folders
    fit = [e for e in entries if e.status == APPROVED or random.random() < 0.05]
    if len(fit) < 2:
        return None
    target = random.choice(fit)
    mine = [e for e in fit if e is not target and model.cluster(e.patient) == model.cluster(target.patient)]
    holders = [f for f in folders if f.status == APPROVED and model.cluster(f.patient) == model.cluster(target.patient)]
    if random.random() < 0.1:
        mine, holders = [e for e in entries if e is not target], folders
    kind = random.choice([HAS_MEMBER, HAS_MEMBER, XFRM, APND, SIGNS, RPLC if random.random() < 0.2 else SIGNS])
    sources = [one.uuid for one in (holders if kind == HAS_MEMBER else mine)]
    if not sources:
        return None
    update = Update(draw_set(random, random.choice(model.alive())))
    update.links.append(ModelAssociation(new_uuid(), kind, random.choice(sources), target.uuid))
    return update


def touched_patients(model: RegistryModel, update: Update) -> list[int]:
    """The patients of everything that an update names."""
    named = [s.target for s in update.statuses] + [end for link in update.links for end in (link.source, link.target)]
    named += [old.uuid for old in UpdateModel(model, update).before.values() if old]
    found = [one.patient for one in model.objects() if one.uuid in named]
    ends = {e for a in model.world.associations if a.uuid in named for e in (a.source, a.target)}
    found += [one.patient for one in model.objects() if one.uuid in ends]
    return [update.set.patient, *found, *(v.object.patient for v in update.versions)]


class _Written(Message):
    """A message whose SubmissionSet is the model's."""

    def __init__(self, submission: Submission) -> None:
        self._set = submission
        self._parts = [submission.set_xml()]


def update_message(writer: Writer, update: Update) -> bytes:
    """lcm:SubmitObjectsRequest."""
    message = _Written(writer.submission_set(update.set))
    for version in update.versions:
        one = version.object
        slots = {} if version.propagates else {"AssociationPropagation": "no"}
        if isinstance(one, ModelFolder):
            message.folder(writer.folder(one), one.lid, str(version.previous), **slots)
        else:
            message.entry(writer.entry(one), one.lid, str(version.previous), **slots)
    for change in update.statuses:
        message.status(change.target, change.original, change.new)
    for link in update.links:
        message.submit(link.type, link.source, link.target, link.uuid)
    return message.xml()
