"""PostgreSQL: transactions that must be run again, connections that break, commits that nobody can vouch for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from registry.tables import code
from storage.database import Connection, Database
from storage.errors import CommitUncertain, StorageError, StorageUnavailable
from storage.migrate import prepare
from tests.storage.words import put, words

pytestmark = pytest.mark.postgres

Opens = Callable[..., Database]
_KILL_OTHERS = sa.text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


@pytest.fixture
def url(postgres_url: str) -> str:
    prepare(postgres_url)
    return f"{postgres_url}?options=-c%20deadlock_timeout%3D20ms"


@pytest.fixture
def database(url: str, opens: Opens) -> Database:
    return opens(url)


def statement(url: str, *texts: str) -> None:
    """Run statements on a connection of their own."""
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for text in texts:
            connection.exec_driver_sql(text)
    engine.dispose()


def at_commit(url: str, body: str) -> None:
    """What the server does when a transaction that wrote a word commits."""
    statement(
        url,
        f"CREATE FUNCTION judge() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} RETURN NULL; END $$",
        "CREATE CONSTRAINT TRIGGER judge AFTER INSERT ON code DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION judge()",
    )


def test_a_deadlock_is_run_again_until_both_have_written(database: Database) -> None:
    database.write(lambda connection: put(connection, "a", "b"))
    touch = sa.update(code).where(code.c.code == sa.bindparam("word")).values(scheme=sa.bindparam("to"))
    met = threading.Barrier(2)
    attempts: list[str] = []

    def crossing(name: str, order: str) -> None:
        def work(connection: Connection) -> None:
            attempts.append(name)
            connection.execute(touch, {"word": order[0], "to": name})
            if attempts.count(name) == 1:
                met.wait(60)
            connection.execute(touch, {"word": order[1], "to": name})

        database.write(work)

    with ThreadPoolExecutor(2) as threads:
        for future in (threads.submit(crossing, "x", "ab"), threads.submit(crossing, "y", "ba")):
            future.result(60)
    assert len(attempts) == 3, "one of the two was the victim, once"


def test_what_never_succeeds_is_given_up(url: str, opens: Opens) -> None:
    database = opens(url, retries=2)
    fail = sa.text("DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = '40001'; END $$")
    runs: list[int] = []

    def work(connection: Connection) -> None:
        runs.append(1)
        connection.execute(fail)

    with pytest.raises(StorageUnavailable, match="given up after 3 attempts"):
        database.write(work)
    assert len(runs) == 3
    database.write(lambda connection: put(connection, "one"))
    assert words(database) == ["one"]


def test_a_serialisation_failure_at_commit_is_run_again(url: str, database: Database) -> None:
    statement(url, "CREATE SEQUENCE tries")
    at_commit(url, "IF nextval('tries') < 3 THEN RAISE EXCEPTION 'again' USING ERRCODE = '40001'; END IF;")
    database.write(lambda connection: put(connection, "one"))
    assert words(database) == ["one"]


def test_a_connection_that_breaks_in_a_write_leaves_nothing(url: str, database: Database) -> None:
    def work(connection: Connection) -> None:
        put(connection, "one")
        engine = sa.create_engine(url)
        with engine.connect() as admin:
            admin.execute(_KILL_OTHERS)
        engine.dispose()
        put(connection, "two")

    with pytest.raises(StorageUnavailable):
        database.write(work)
    database.write(lambda connection: put(connection, "three"))
    assert words(database) == ["three"]


def test_a_connection_that_broke_between_requests_is_not_noticed(url: str, database: Database) -> None:
    database.write(lambda connection: put(connection, "one"))
    for use in (lambda: words(database), lambda: database.write(lambda c: put(c, "two")), lambda: _in_snapshot(database)):
        engine = sa.create_engine(url)
        with engine.connect() as admin:
            admin.execute(_KILL_OTHERS)
        engine.dispose()
        use()
    assert words(database) == ["one", "two"]


def _in_snapshot(database: Database) -> list[str]:
    with database.snapshot() as connection:
        return [row[0] for row in connection.execute(sa.select(code.c.code))]


def test_a_connection_that_breaks_during_commit_is_uncertain(url: str, database: Database) -> None:
    at_commit(url, "PERFORM pg_terminate_backend(pg_backend_pid());")
    with pytest.raises(CommitUncertain, match="during COMMIT"):
        database.write(lambda connection: put(connection, "one"))
    statement(url, "DROP TRIGGER judge ON code")
    database.write(lambda connection: put(connection, "two"))
    assert words(database) == ["two"]


def test_a_commit_with_a_warning_is_uncertain(url: str, database: Database) -> None:
    """So a server says that a wait for its standby was cut short: the data may be on one machine alone."""
    at_commit(url, "RAISE WARNING 'canceling wait for synchronous replication due to user request';")
    with pytest.raises(CommitUncertain, match="canceling wait"):
        database.write(lambda connection: put(connection, "one"))
    assert words(database) == ["one"], "committed, and the caller has been told that it is not certain"


def test_a_warning_before_the_commit_is_no_doubt(url: str, database: Database) -> None:
    body = "BEGIN RAISE WARNING 'by the way'; RETURN 1; END"
    statement(url, f"CREATE FUNCTION warn() RETURNS integer LANGUAGE plpgsql AS $$ {body} $$")

    def work(connection: Connection) -> None:
        assert connection.execute(sa.text("SELECT warn()")) == [(1,)]
        put(connection, "one")

    database.write(work)
    assert words(database) == ["one"]


def test_a_refusal_at_commit_leaves_nothing(url: str, database: Database) -> None:
    at_commit(url, "RAISE EXCEPTION 'no' USING ERRCODE = '23514';")
    with pytest.raises(StorageError, match="no"):
        database.write(lambda connection: put(connection, "one"))
    assert words(database) == []


def test_a_server_that_cannot_be_reached_is_unavailable(opens: Opens) -> None:
    with pytest.raises(StorageUnavailable):
        opens("postgresql+psycopg://nobody@127.0.0.1:9/nothing", connect_timeout=1)


def test_statements_are_prepared_on_the_server(database: Database) -> None:
    with database.read() as connection:
        for _ in range(2):
            connection.execute(sa.select(code.c.code))
        rows = connection.execute(sa.text("SELECT statement FROM pg_prepared_statements"))
    assert any("FROM code" in row[0] for row in rows)
