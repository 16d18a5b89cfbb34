"""Masking against a model: random worlds, codes and callers, every stored query; and leaks that are planted are found.

The model answers from a world in which what the caller must not see has never been. What is hidden is said once more here, by
loops over the world: no line is shared with the product's conditions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

import pytest
import sqlalchemy as sa

from registry import rights_visibility
from registry.codes import CodeBook
from registry.identifiers import uuid_bytes, uuid_text
from registry.rights_entries import by_uuid
from registry.rights_visibility import SightVisibility
from registry.search import Search, SearchOptions
from registry.search_sql import Condition, Item, any_like
from registry.tables import code, document_entry, entry_writer
from security.access import Sight
from storage.database import Connection, Database
from tests.registry.search_model import HAS_MEMBER, Model, ModelEntry, ModelFolder, ModelSet, World
from tests.registry.search_store import fill
from tests.registry.search_worlds import build_world, draw_query
from tests.registry.test_search import ask, check

Rounds = Callable[[int, int], int]
SYSTEM = "1.2.250.1.213.1.1.4.13"
WORDS = ("MASQUE_PS", "INVISIBLE_PATIENT", "INVISIBLE_REPRESENTANTS_LEGAUX")
NUMBERS = {word: 901 + n for n, word in enumerate(WORDS)}
SIGNATURE, SIGNATURE_NUMBER = "http://www.w3.org/2000/09/xmldsig#", 910
PEOPLE, HOUSES = ("899900000001", "899900000002"), ("10B0000001", "10B0000002")
_WRITER_NUMBERS = {"person": 1, "structure": 2, "patient": 3}


@dataclass
class Masked:
    """What the world does not say: masks by entryUUID, writers by logicalID (kind, who)."""

    world: World
    masks: dict[str, set[str]] = field(default_factory=dict)
    signatures: set[str] = field(default_factory=set)
    writers: dict[str, set[tuple[str, str]]] = field(default_factory=dict)

    def hides(self, entry: ModelEntry, sight: Sight) -> bool:
        if sight.patients is not None and entry.patient + 1 not in sight.patients:
            return True
        if entry.uuid in self.signatures:
            return True
        same = [one for one in self.world.entries if one.lid == entry.lid and one.version >= entry.version]
        masks = set().union(*(self.masks[one.uuid] for one in same))
        mine = {("person", sight.person), ("structure", sight.structure)} - {("person", ""), ("structure", "")}
        mine |= {("patient", "")} if sight.patient_writes else set()
        return bool(masks & sight.invisible) or (
            sight.masked and "MASQUE_PS" in masks and not mine & self.writers[entry.lid]
        )


@dataclass
class Seen(World):
    """A part of a world; which version is the latest is told by the whole."""

    whole: World = field(default_factory=World)

    def latest(self, item: ModelEntry | ModelFolder) -> bool:
        return self.whole.latest(item)


def seen_by(masked: Masked, sight: Sight) -> Seen:
    """The world without what this caller must not see."""
    world = masked.world
    links = {link.uuid: link for link in world.associations}
    hidden = {entry.uuid for entry in world.entries if masked.hides(entry, sight)}
    documents = {entry.uuid for entry in world.entries}

    def elsewhere(item: ModelSet | ModelFolder) -> bool:
        return sight.patients is not None and item.patient + 1 not in sight.patients

    def members(uuid: str) -> list[str]:
        return [link.target for link in world.associations if link.source == uuid and link.type == HAS_MEMBER]

    def absent(uuid: str) -> bool:
        """A document or Folder that is not seen, or an association with such an end."""
        if uuid in links:
            return absent(links[uuid].source) or absent(links[uuid].target)
        return uuid in hidden

    hidden |= {one.uuid for one in (*world.sets, *world.folders) if elsewhere(one)}
    for folder in world.folders:
        held = set(members(folder.uuid)) & documents
        if held and held <= hidden:
            hidden.add(folder.uuid)
    hidden |= {one.uuid for one in world.sets if all(map(absent, members(one.uuid)))}
    shown = [link for link in world.associations if not absent(link.uuid)]
    return Seen(
        world.patients,
        [one for one in world.entries if one.uuid not in hidden],
        [one for one in world.sets if one.uuid not in hidden],
        [one for one in world.folders if one.uuid not in hidden],
        shown,
        whole=world,
    )


def masked_world(random: Random) -> Masked:
    """A world in which versions stay with their patient and no association is the member of one that has one as member."""
    world = build_world(random)
    first = {entry.lid: entry for entry in reversed(world.entries)}
    for entry in world.entries:
        entry.patient = first[entry.lid].patient
    links = {link.uuid: link for link in world.associations}
    world.associations = [
        link for link in world.associations if link.target not in links or links[link.target].target not in links
    ]
    left = {link.uuid for link in world.associations}
    world.associations = [link for link in world.associations if link.target not in links or link.target in left]
    masked = Masked(world)
    for lid, entry in first.items():
        kinds = [("person", one) for one in PEOPLE] + [("structure", one) for one in HOUSES] + [("patient", "")]
        masked.writers[lid] = set(random.sample(kinds, random.randint(0, 2)))
        if random.random() < 0.15:
            for one in world.entries:
                if one.lid == lid:
                    one.formatCode = f"{SIGNATURE}^^URN"
                    masked.signatures.add(one.uuid)
        assert entry.lid == lid
    for entry in world.entries:
        masked.masks[entry.uuid] = set(random.sample(WORDS, random.choice([0, 0, 1, 1, 2])))
    return masked


def fill_masked(database: Database, masked: Masked) -> None:
    """The world with its masks and writers."""
    fill(database, masked.world)

    def work(connection: Connection) -> None:
        connection.execute(_CLEAR)
        named = {**{number: (word, SYSTEM) for word, number in NUMBERS.items()}, SIGNATURE_NUMBER: (SIGNATURE, "URN")}
        connection.execute_many(_CODE, [{"id": number, "code": word, "scheme": of} for number, (word, of) in named.items()])
        for entry in masked.world.entries:
            numbers = "".join(f",{NUMBERS[word]}" for word in masked.masks[entry.uuid])
            key = uuid_bytes(entry.uuid)
            if numbers:
                connection.execute(_MASK, {"key": key, "more": numbers + ","})
            if entry.uuid in masked.signatures:
                connection.execute(_SIGNATURE, {"key": key, "number": SIGNATURE_NUMBER})
        rows = [
            {"lid": uuid_bytes(lid), "role": _WRITER_NUMBERS[kind], "who": who}
            for lid, writers in masked.writers.items()
            for kind, who in writers
        ]
        connection.execute_many(_WRITER, rows)

    database.write(work)


_CLEAR = sa.delete(entry_writer)
_CODE, _WRITER = sa.insert(code), sa.insert(entry_writer)
_of_key = document_entry.c.uuid == sa.bindparam("key")
_codes = document_entry.c.confidentiality_codes
_MASK = sa.update(document_entry).where(_of_key).values(
    confidentiality_codes=sa.func.coalesce(_codes, "") + sa.bindparam("more", type_=sa.Text)
)  # fmt: skip
_SIGNATURE = sa.update(document_entry).where(_of_key).values(format_code=sa.bindparam("number"))


def draw_sight(masked: Masked, random: Random) -> Sight:
    """A professional, a structure, a patient or a representative of one of the persons."""
    patients = masked.world.patients
    cluster = random.choice(patients).cluster
    own_side = random.random() < 0.4
    return Sight(
        patients=tuple(n for n, one in enumerate(patients, 1) if one.cluster == cluster),
        masked=random.random() < 0.7,
        invisible=frozenset(random.sample(WORDS[1:], random.randint(0, 2))) if own_side else frozenset(),
        person=random.choice(["", *PEOPLE]),
        structure=random.choice(["", *HOUSES]),
        patient_writes=own_side,
    )


Make = Callable[[Connection, CodeBook, Sight], SightVisibility]


def compare(database: Database, searches: dict[int, Search], seeds: range, make: Make) -> None:
    """Every drawn query of every world, as the model answers it."""
    codes = CodeBook()
    for seed in seeds:
        random = Random(seed)
        masked = masked_world(random)
        fill_masked(database, masked)
        for _ in range(2):
            sight = draw_sight(masked, random)
            model = Model(seen_by(masked, sight))
            with database.read() as connection:
                visibility = make(connection, codes, sight)
            for limit, search in searches.items():
                for _ in range(9):
                    name, slots = draw_query(masked.world, random)
                    leaf = random.random() < 0.6
                    expected = model.ask(name, slots, "LeafClass" if leaf else "ObjectRef", limit)
                    check(ask(search, name, slots, leaf, visibility), expected, (seed, name, slots, leaf, sight))


@pytest.fixture(scope="module")
def searches(database: Database) -> dict[int, Search]:
    codes = CodeBook()
    return {limit: Search(database, codes, SearchOptions(limit, limit)) for limit in (5_000, 3)}


def test_no_query_tells_of_what_is_hidden(database: Database, searches: dict[int, Search], rounds: Rounds) -> None:
    compare(database, searches, range(rounds(10, 600)), SightVisibility)


class ForgetsSets(SightVisibility):
    """A leak: a SubmissionSet of hidden documents shows."""

    def sets(self, connection: Connection, hidden: Sequence[bytes]) -> Sequence[bytes]:
        return []


class ForgetsFolders(SightVisibility):
    """A leak: so does a Folder."""

    def folders(self, connection: Connection, hidden: Sequence[bytes]) -> Sequence[bytes]:
        return []


class ForgetsLinks(SightVisibility):
    """A leak: that an association is hidden does not hide what has it as an end."""

    def links(self, connection: Connection, hidden: Sequence[bytes]) -> Sequence[bytes]:
        return []


class ForgetsWriters(SightVisibility):
    """A leak: what anybody wrote is everybody's."""

    def own(self, item: Item) -> Condition:
        return sa.exists().where(entry_writer.c.lid == sa.func.coalesce(item.c.lid, item.c.uuid))


class ForgetsHistory(SightVisibility):
    """A leak: a version is judged by its own codes alone."""

    def masked(self, item: Item) -> Condition:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                rights_visibility, "_now_or_later", lambda one, name: any_like(one.c.confidentiality_codes, name)
            )
            return super().masked(item)


@pytest.mark.parametrize("leak", [ForgetsSets, ForgetsFolders, ForgetsLinks, ForgetsWriters, ForgetsHistory])
def test_a_planted_leak_is_found(database: Database, searches: dict[int, Search], leak: type[SightVisibility]) -> None:
    if database.dialect != "sqlite":
        pytest.skip("the comparison is the same on both databases: that it bites is shown on SQLite")
    with pytest.raises(AssertionError):
        compare(database, searches, range(120), leak)


def test_what_decides_in_memory_decides_like_the_conditions(database: Database, rounds: Rounds) -> None:
    """Retrieval and updates judge `EntryState`; it must not see more, nor less."""
    codes = CodeBook()
    for seed in range(rounds(15, 1_000)):
        random = Random(-1 - seed)
        masked = masked_world(random)
        fill_masked(database, masked)
        sight = draw_sight(masked, random)
        keys = [key for entry in masked.world.entries if (key := uuid_bytes(entry.uuid))]
        with database.read() as connection:
            known = by_uuid(connection, codes, keys)
        assert len(known) == len(keys)
        hidden = {uuid_text(one.uuid) for one in known if sight.hides(one.state)}
        assert hidden == {entry.uuid for entry in masked.world.entries if masked.hides(entry, sight)}, (seed, sight)
        newest = {uuid_text(one.uuid) for one in known if one.newest}
        assert newest == {entry.uuid for entry in masked.world.entries if masked.world.latest(entry)}
