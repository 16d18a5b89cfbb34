"""A store on real files and a database of each kind, empty for every test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

import registry.tables  # noqa: F401  # declares the registry's tables in METADATA
import repository.tables  # noqa: F401
from repository.content import Alarms, FileStore
from repository.index import DocumentIndex
from storage.database import METADATA, Database, open_database
from tests.conftest import new_postgres_database
from tests.repository.received import ROOMY


def make_tables(url: str) -> None:
    """Every table of the store, as the migrations would make them."""
    engine = sa.create_engine(url)
    METADATA.create_all(engine)
    engine.dispose()


@pytest.fixture(scope="session")
def shared_postgres_url() -> Iterator[str]:
    """One database for the whole run: making one costs more than most tests."""
    with new_postgres_database() as url:
        make_tables(url)
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty database; a PostgreSQL one is emptied afterwards."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'store.sqlite'}"
        make_tables(url)
    else:
        url = request.getfixturevalue("shared_postgres_url")
    opened = open_database(url)
    yield opened
    if request.param == "postgresql":
        tables = list(reversed(METADATA.sorted_tables))
        opened.write(lambda connection: [connection.execute(sa.delete(table)) for table in tables])
    opened.close()


@pytest.fixture
def index(database: Database) -> DocumentIndex:
    return DocumentIndex(database)


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "data", ROOMY, Alarms())
