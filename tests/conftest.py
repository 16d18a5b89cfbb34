"""What every test may ask for: `--long`, the shared material, a PostgreSQL database of its own, a number of rounds.

`CARNET_TEST_POSTGRES` names a PostgreSQL server on which tests may make and drop databases
(`postgresql+psycopg://user@host:port/postgres`); without it tests marked `postgres` are skipped.
`CARNET_SHARED` names the folder of reference material that is no part of the project; unset, `../shared` beside the checkout.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parents[1]
POSTGRES = os.environ.get("CARNET_TEST_POSTGRES", "")
_NO_POSTGRES = "CARNET_TEST_POSTGRES names no PostgreSQL server"

_CALM = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large]}
# The same examples every time, so that a commit is judged by what it changes; `--long` looks for new ones.
settings.register_profile("quick", max_examples=30, derandomize=True, **_CALM)  # type: ignore[arg-type]  # several types
settings.register_profile("long", max_examples=2000, **_CALM)  # type: ignore[arg-type]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="search and repeat far longer: 2000 examples a property, all rounds")


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("long" if config.getoption("--long") else "quick")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not POSTGRES:
        for item in items:
            if "postgres" in item.keywords:
                item.add_marker(pytest.mark.skip(reason=_NO_POSTGRES))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Beside the failure of a test stands what the servers say of it: a fault on the wire gives only a reference number."""
    report = yield
    if report.failed:
        from tests.server_process import SERVERS

        for server in SERVERS:
            if "reference" in server.log():
                report.sections.append((f"log of the server at {server.url}", server.log()[-8000:]))
    return report


@pytest.fixture(scope="session")
def long(pytestconfig: pytest.Config) -> bool:
    """Whether `--long` was given."""
    return bool(pytestconfig.getoption("--long"))


@pytest.fixture(scope="session")
def rounds(long: bool) -> Callable[[int, int], int]:
    """`rounds(10, 200)`: how often to repeat, 10 times or, with `--long`, 200 times."""
    return lambda few, many: many if long else few


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference material; the test is skipped where it is absent."""
    named = os.environ.get("CARNET_SHARED", "")
    folder = Path(named) if named else ROOT.parent / "shared"
    if not (folder / "data").is_dir():
        pytest.skip(f"the reference material is not here: {'CARNET_SHARED' if named else '../shared'} has no folder data/")
    return folder


@contextlib.contextmanager
def new_postgres_database() -> Iterator[str]:
    """The URL of a new empty database, dropped at the end. Skips without a server."""
    if not POSTGRES:
        pytest.skip(_NO_POSTGRES)
    name = f"carnet_test_{secrets.token_hex(8)}"
    admin = sa.create_engine(POSTGRES, isolation_level="AUTOCOMMIT")
    try:
        with admin.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        try:
            yield sa.make_url(POSTGRES).set(database=name).render_as_string(hide_password=False)
        finally:
            with admin.connect() as connection:
                connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        admin.dispose()


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """An empty PostgreSQL database of this test's own."""
    with new_postgres_database() as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database, once of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'store.sqlite'}"
        return
    with new_postgres_database() as url:
        yield url
