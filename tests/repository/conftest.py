"""A store on real files and a database of each kind, empty for every test."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from received import ROOMY

from repository.content import Alarms, FileStore
from repository.index import DocumentIndex
from repository.tables import blob, document
from storage.database import Database, open_database

POSTGRES = os.environ.get("CARNET_TEST_POSTGRES", "")


def make_tables(url: str) -> None:
    """The repository's tables alone; the whole store is made by the migrations."""
    engine = sa.create_engine(url)
    for table in (document, blob):
        table.create(engine)
    engine.dispose()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'store.sqlite'}"
        return
    if not POSTGRES:
        pytest.skip("CARNET_TEST_POSTGRES names no PostgreSQL server")
    name = f"carnet_repository_{secrets.token_hex(6)}"
    admin = sa.create_engine(POSTGRES, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    yield sa.make_url(POSTGRES).set(database=name).render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    admin.dispose()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    make_tables(database_url)
    opened = open_database(database_url)
    yield opened
    opened.close()


@pytest.fixture
def index(database: Database) -> DocumentIndex:
    return DocumentIndex(database)


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "data", ROOMY, Alarms())
