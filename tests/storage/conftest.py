"""A store with the program's schema, opened once of each kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from storage.database import Database, DatabaseOptions, open_database
from storage.migrate import prepare

Opens = Callable[..., Database]


@pytest.fixture
def opens() -> Iterator[Opens]:
    """Opens a store, with options by name; everything opened is closed at the end."""
    opened: list[Database] = []

    def one(url: str, **options: int | float) -> Database:
        opened.append(open_database(url, DatabaseOptions(**options)))  # type: ignore[arg-type]  # each option has its own type
        return opened[-1]

    yield one
    for database in opened:
        database.close()


@pytest.fixture
def database(store_url: str, opens: Opens) -> Database:
    prepare(store_url)
    return opens(store_url)
