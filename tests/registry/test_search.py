"""Every stored query against the in-memory model, on SQLite and, where CARNET_TEST_POSTGRES names a server, on PostgreSQL."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from random import Random
from uuid import uuid4

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metadata.rules.rule import Refused
from registry.identifiers import uuid_text
from registry.search import UUID, Found, Search, SearchOptions
from storage.database import Database, open_database
from tests.registry.search_model import Model, Slots
from tests.registry.search_model import Found as Expected
from tests.registry.search_store import create_tables, fill, stored_query
from tests.registry.search_worlds import build_world, draw_query

POSTGRES = os.environ.get("CARNET_TEST_POSTGRES", "")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('search') / 'registry.db'}"
        create_tables(url)
        store = open_database(url)
        yield store
        store.close()
        return
    if not POSTGRES:
        pytest.skip("CARNET_TEST_POSTGRES is not set to the URL of a PostgreSQL server")
    admin = sa.create_engine(POSTGRES, isolation_level="AUTOCOMMIT")
    name = f"search_{uuid4().hex[:12]}"
    with admin.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    url = sa.make_url(POSTGRES).set(database=name).render_as_string(hide_password=False)
    create_tables(url)
    store = open_database(url)
    yield store
    store.close()
    with admin.connect() as connection:
        connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


def ask(search: Search, name: str, slots: Slots, leaf: bool) -> Found | str:
    try:
        return search.find(stored_query(name, slots), leaf=leaf)
    except Refused as refused:
        return refused.findings[0].code.value


def check(found: Found | str, expected: Expected, hint: object) -> None:
    if isinstance(found, str) or expected.error:
        assert found == expected.error, hint
        return
    assert [uuid_text(row[UUID]) for row in found.entries] == expected.entries, hint
    assert [uuid_text(row[UUID]) for row in found.sets] == expected.sets, hint
    assert [uuid_text(row[UUID]) for row in found.folders] == expected.folders, hint
    links = [uuid_text(row[UUID]) for row in found.associations]
    assert len(links) == len(set(links)), hint
    assert set(links) == expected.associations, hint


SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@SETTINGS
@given(random=st.randoms(use_true_random=False))
def test_every_query_answers_like_the_model(database: Database, random: Random) -> None:
    world = build_world(random)
    codes = fill(database, world)
    model = Model(world)
    for limit in (5_000, 3):
        search = Search(database, codes, SearchOptions(limit, limit))
        for _ in range(15):
            name, slots = draw_query(world, random)
            leaf = random.random() < 0.6
            expected = model.ask(name, slots, "LeafClass" if leaf else "ObjectRef", limit)
            check(ask(search, name, slots, leaf), expected, (name, slots, leaf, limit))
