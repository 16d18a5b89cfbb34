"""One store of each kind for a module of tests; tests keep apart by their patients."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from storage.database import Database, open_database
from storage.migrate import prepare
from tests.conftest import new_postgres_database


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    if request.param == "sqlite":
        yield from _opened(f"sqlite:///{tmp_path_factory.mktemp('store') / 'carnet.db'}")
    else:
        with new_postgres_database() as url:
            yield from _opened(url)


def _opened(url: str) -> Iterator[Database]:
    prepare(url)
    store = open_database(url)
    yield store
    store.close()
