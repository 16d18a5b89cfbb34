"""Every stored query against the in-memory model, on SQLite and, where CARNET_TEST_POSTGRES names a server, on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
import sqlalchemy as sa

from metadata.rules.rule import Refused
from registry.codes import CodeBook
from registry.identifiers import uuid_text
from registry.search import Found, Search, SearchOptions
from registry.search_run import UUID
from registry.search_sql import Condition, Item
from registry.search_visibility import Visibility
from registry.tables import Kind
from storage.database import Connection, Database
from tests.registry.search_model import Found as Expected
from tests.registry.search_model import Model, Slots
from tests.registry.search_store import CODE_IDS, fill, stored_query
from tests.registry.search_worlds import CODES, build_world, draw_query

Rounds = Callable[[int, int], int]


def ask(search: Search, name: str, slots: Slots, leaf: bool, visibility: Visibility | None = None) -> Found | str:
    try:
        return search.find(stored_query(name, slots), leaf=leaf, visibility=visibility)
    except Refused as refused:
        return refused.findings[0].code.value


def check(found: Found | str, expected: Expected, hint: object) -> None:
    if isinstance(found, str) or expected.errors:
        assert isinstance(found, str) and found in expected.errors, hint
        return
    assert [uuid_text(row[UUID]) for row in found.entries] == expected.entries, hint
    assert [uuid_text(row[UUID]) for row in found.sets] == expected.sets, hint
    assert [uuid_text(row[UUID]) for row in found.folders] == expected.folders, hint
    links = [uuid_text(row[UUID]) for row in found.associations]
    assert len(links) == len(set(links)), hint
    assert set(links) == expected.associations, hint


@pytest.fixture(scope="module")
def searches(database: Database) -> dict[int, Search]:
    """One Search per limit for all worlds, which share their codes: statements are built once."""
    codes = CodeBook()
    return {limit: Search(database, codes, SearchOptions(limit, limit)) for limit in (5_000, 3)}


def test_every_query_answers_like_the_model(database: Database, searches: dict[int, Search], rounds: Rounds) -> None:
    """A world and its questions come from one number: Hypothesis's own randomness favours repetition, and a world in which
    two objects share an entryUUID cannot be."""
    for seed in range(rounds(20, 4_000)):
        random = Random(seed)
        world = build_world(random)
        fill(database, world)
        model = Model(world)
        for limit, search in searches.items():
            for _ in range(15):
                name, slots = draw_query(world, random)
                leaf = random.random() < 0.6
                expected = model.ask(name, slots, "LeafClass" if leaf else "ObjectRef", limit)
                check(ask(search, name, slots, leaf), expected, (seed, name, slots, leaf, limit))


class HidesACode:
    """A caller who must not learn of documents with one class code."""

    shape = "hides a class code"

    def __init__(self, number: int) -> None:
        self.parameters: dict[str, object] = {"visible_code": number}

    def settled(self, connection: Connection) -> HidesACode:
        return self

    def hidden(self, kind: Kind, item: Item) -> Condition | None:
        if kind is not Kind.DOCUMENT_ENTRY:
            return None
        hidden: Condition = item.c.class_code == sa.bindparam("visible_code", type_=sa.Integer, required=True)
        return hidden


def test_what_is_hidden_shows_in_no_answer_no_count_and_no_error(
    database: Database, searches: dict[int, Search], rounds: Rounds
) -> None:
    """The door for rights: the model without the hidden documents answers the same."""
    for seed in range(rounds(8, 2_000)):
        random = Random(-1 - seed)
        world = build_world(random)
        fill(database, world)
        world.hidden = lambda entry: entry.classCode == CODES[0]
        model, visibility = Model(world), HidesACode(CODE_IDS[CODES[0]])
        for limit, search in searches.items():
            for _ in range(15):
                name, slots = draw_query(world, random)
                expected = model.ask(name, slots, "LeafClass", limit)
                found = ask(search, name, slots, True, visibility)
                check(found, expected, (seed, name, slots, limit))
