"""SQLite: group commit, savepoints, settings that lose nothing, and a disk that says no."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from storage.database import Connection, DatabaseOptions, open_database
from storage.errors import StorageUnavailable, UniqueViolation
from storage.migrate import prepare
from storage.sqlite import SqliteConnection, SqliteDatabase, driver
from storage.sqlite_lock import WriterLock
from tests.storage.words import put, words


@pytest.fixture
def database(tmp_path: Path) -> Iterator[SqliteDatabase]:
    url = f"sqlite:///{tmp_path}/store.db"
    prepare(url)
    store = open_database(url)
    assert isinstance(store, SqliteDatabase)
    yield store
    store.close()


def together(database: SqliteDatabase, works: list[Callable[[Connection], None]]) -> list[Future[None]]:
    """The works in one batch: they wait while another write is under way, and all are there when it ends."""
    begun, release = threading.Event(), threading.Event()

    def hold(connection: Connection) -> None:
        begun.set()
        assert release.wait(60)

    with ThreadPoolExecutor(len(works) + 1) as threads:
        held = threads.submit(database.write, hold)
        assert begun.wait(60)
        futures = [threads.submit(database.write, work) for work in works]
        while len(database._waiting) < len(works):
            threading.Event().wait(0.001)
        release.set()
        held.result(60)
    return futures


def traced(database: SqliteDatabase) -> list[str]:
    """The statements of the writer from now on."""
    statements: list[str] = []
    database._writer.raw.set_trace_callback(statements.append)
    return statements


# -------------------------------------------------------------------------------------------------------- group commit


def test_all_that_wait_are_committed_at_once(database: SqliteDatabase) -> None:
    statements = traced(database)
    futures = together(database, [lambda c, n=n: put(c, f"{n}") for n in range(9)])  # type: ignore[misc]  # a default binds n
    assert [future.exception() for future in futures] == [None] * 9
    assert words(database) == [f"{n}" for n in range(9)]
    assert statements.count("COMMIT") == 2, "one for the write that held them up, one for the nine"
    assert statements.count("SAVEPOINT work") == 9


def test_a_lone_write_needs_no_savepoint(database: SqliteDatabase) -> None:
    statements = traced(database)
    database.write(lambda connection: put(connection, "one"))
    assert statements[0] == "BEGIN IMMEDIATE" and statements[-1] == "COMMIT"
    assert "SAVEPOINT work" not in statements


def test_a_failing_write_undoes_itself_alone(database: SqliteDatabase) -> None:
    database.write(lambda connection: put(connection, "taken"))

    def fails(connection: Connection) -> None:
        put(connection, "half")
        put(connection, "taken")

    def raises(connection: Connection) -> None:
        put(connection, "other half")
        raise LookupError("mine")

    futures = together(database, [lambda c: put(c, "a"), fails, lambda c: put(c, "b"), raises, lambda c: put(c, "c")])
    kinds = [type(future.exception()) for future in futures]
    assert kinds == [type(None), UniqueViolation, type(None), LookupError, type(None)]
    assert words(database) == ["a", "b", "c", "taken"]


def test_a_commit_that_fails_is_everybodys_failure(database: SqliteDatabase) -> None:
    """A deferred constraint is judged by COMMIT: nobody may believe that his work is there."""

    def poison(connection: Connection) -> None:
        database._writer.control("PRAGMA defer_foreign_keys=ON")
        database._writer.control("INSERT INTO association VALUES (99, 1, x'00', 1, x'00', x'00', 1, NULL, 0, NULL)")

    futures = together(database, [lambda c: put(c, "a"), poison, lambda c: put(c, "b")])
    assert all("FOREIGN KEY" in str(future.exception()) for future in futures)
    assert words(database) == []
    database.write(lambda connection: put(connection, "afterwards"))
    assert words(database) == ["afterwards"]


def test_a_lock_that_fails_is_everybodys_failure(database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a file system without locks: an error of the system, not of the family."""

    def no_locks(*_: object) -> None:
        raise OSError(37, "No locks available")

    with monkeypatch.context() as patch:
        patch.setattr("fcntl.flock", no_locks)
        with pytest.raises(OSError, match="No locks"):
            database.write(lambda connection: put(connection, "one"))
    assert words(database) == []
    database.write(lambda connection: put(connection, "two"))
    assert words(database) == ["two"]


# ------------------------------------------------------------------------------------------------------- a disk says no


def test_a_full_disk_is_unavailable_until_there_is_room(database: SqliteDatabase) -> None:
    raw = database._writer.raw
    (pages,) = raw.execute("PRAGMA page_count").fetchone()
    raw.execute(f"PRAGMA max_page_count={pages}")
    with pytest.raises(StorageUnavailable, match="full"):
        database.write(lambda connection: put(connection, *(f"{n}" + "x" * 2_000 for n in range(50))))
    assert words(database) == []
    raw.execute("PRAGMA max_page_count=1000000")
    database.write(lambda connection: put(connection, "one"))
    assert words(database) == ["one"]


def test_a_full_disk_hits_the_big_write_and_not_its_neighbours(database: SqliteDatabase) -> None:
    raw = database._writer.raw
    (pages,) = raw.execute("PRAGMA page_count").fetchone()
    raw.execute(f"PRAGMA max_page_count={pages + 1}")
    big = lambda c: put(c, *(f"{n}" + "x" * 2_000 for n in range(50)))  # noqa: E731
    futures = together(database, [lambda c: put(c, "a"), big, lambda c: put(c, "b")])
    assert [type(future.exception()) for future in futures] == [type(None), StorageUnavailable, type(None)]
    assert words(database) == ["a", "b"]


def test_a_read_only_store_is_unavailable_and_still_read(database: SqliteDatabase) -> None:
    database.write(lambda connection: put(connection, "one"))
    database._writer.control("PRAGMA query_only=ON")
    with pytest.raises(StorageUnavailable, match="readonly"):
        database.write(lambda connection: put(connection, "two"))
    assert words(database) == ["one"]
    database._writer.control("PRAGMA query_only=OFF")
    database.write(lambda connection: put(connection, "two"))
    assert words(database) == ["one", "two"]


_HOLDER = """
import sys
from storage.sqlite_lock import WriterLock
with WriterLock(sys.argv[1], 1):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_another_process_that_writes_is_waited_for_and_then_named(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    prepare(url)
    database = open_database(url, DatabaseOptions(busy_timeout=0.05))
    holder = subprocess.Popen([sys.executable, "-c", _HOLDER, f"{tmp_path}/store.db"], stdin=-1, stdout=-1, text=True)
    assert holder.stdout and holder.stdout.readline() == "held\n"
    with pytest.raises(StorageUnavailable, match="locked by another process"):
        database.write(lambda connection: put(connection, "one"))
    holder.kill()  # a lock dies with its process, however that ends
    holder.communicate()
    database.write(lambda connection: put(connection, "one"))
    assert words(database) == ["one"]
    database.close()


def test_a_foreign_writer_is_waited_for_and_then_named(tmp_path: Path) -> None:
    """Somebody's own tool, which knows nothing of our lock."""
    url = f"sqlite:///{tmp_path}/store.db"
    prepare(url)
    database = open_database(url, DatabaseOptions(busy_timeout=0.05))
    other = driver.connect(f"{tmp_path}/store.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageUnavailable, match="locked"):
        database.write(lambda connection: put(connection, "one"))
    other.execute("ROLLBACK")
    database.write(lambda connection: put(connection, "one"))
    assert words(database) == ["one"]
    other.close()
    database.close()


# ----------------------------------------------------------------------------------------------------------- settings


def pragmas(connection: SqliteConnection) -> dict[str, object]:
    names = (
        "journal_mode synchronous foreign_keys busy_timeout wal_autocheckpoint trusted_schema cell_size_check page_size "
        "query_only"
    )
    return {name: connection.raw.execute(f"PRAGMA {name}").fetchone()[0] for name in names.split()}


def test_the_settings_are_those_that_lose_nothing(database: SqliteDatabase) -> None:
    """As measured under power loss: synchronous below FULL loses what was acknowledged."""
    common = {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "busy_timeout": 5000,
        "trusted_schema": 0,
        "cell_size_check": 1,
        "page_size": 8192,
    }
    assert pragmas(database._writer) == common | {"wal_autocheckpoint": 1000, "query_only": 0}
    assert pragmas(database.read()) == common | {"wal_autocheckpoint": 0, "query_only": 1}


def test_a_reading_connection_changes_nothing(database: SqliteDatabase) -> None:
    """One connection writes and checkpoints: so two of them never meet, and the WAL-reset bug has no room."""
    with database.read() as connection, pytest.raises(StorageUnavailable, match="readonly"):
        put(connection, "one")
    assert words(database) == []


def test_every_commit_holds_the_lock_of_writers(database: SqliteDatabase) -> None:
    other = WriterLock(database.path, 0)

    def work(connection: Connection) -> None:
        with pytest.raises(StorageUnavailable), other:
            pass

    database.write(work)
    with other:
        assert words(database) == [], "readers need no lock"
    other.close()


def test_patterns_tell_case_apart(database: SqliteDatabase) -> None:
    assert database.read().raw.execute("SELECT 'Martin' LIKE 'martin', 'Martin' LIKE 'M%'").fetchone() == (0, 1)
