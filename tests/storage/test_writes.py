"""What both databases promise: a write is whole and durable when it returns, or nothing of it is there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from registry.tables import code, document_entry, patient
from storage import crash
from storage.database import Connection, Database, open_database
from storage.errors import CommitUncertain, StorageError, StorageUnavailable, StoreVersionError, UniqueViolation
from storage.statement import compiled, in_list
from tests.storage.words import ALL, DELETE, put, words

#: Every column of a DocumentEntry; those that must not be empty are filled.
_ROW = {c.name: None if c.nullable else 1 for c in document_entry.columns} | {
    "uuid": bytes(range(16)),
    "fragment": bytes(range(256)),
}


def test_a_write_returns_its_result_and_is_seen_by_every_thread(database: Database) -> None:
    def work(connection: Connection) -> int:
        put(connection, "one")
        return 42

    assert database.write(work) == 42
    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(words, database).result() == ["one"]


def test_an_exception_leaves_nothing_and_passes_through(database: Database) -> None:
    def work(connection: Connection) -> None:
        put(connection, "one")
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        database.write(work)
    assert words(database) == []
    database.write(lambda connection: put(connection, "two"))
    assert words(database) == ["two"]


def test_a_taken_key_names_its_table(database: Database) -> None:
    database.write(lambda connection: put(connection, "one"))
    with pytest.raises(UniqueViolation) as caught:
        database.write(lambda connection: put(connection, "two", "one"))
    assert caught.value.table == "code"
    assert words(database) == ["one"]


def test_a_broken_reference_is_refused(database: Database) -> None:
    row = {**_ROW, "patient": 77}
    with pytest.raises(StorageError):
        database.write(lambda connection: connection.execute_many(sa.insert(document_entry), [row]))


def test_a_write_within_a_write_is_a_mistake(database: Database) -> None:
    with pytest.raises(RuntimeError, match="pass the connection on"):
        database.write(lambda _: database.write(lambda connection: put(connection, "one")))
    database.write(lambda connection: put(connection, "two"))
    assert words(database) == ["two"]


def test_a_snapshot_sees_one_moment(database: Database) -> None:
    database.write(lambda connection: put(connection, "one"))
    with database.snapshot() as connection:
        before = connection.execute(ALL)
        with ThreadPoolExecutor(1) as threads:
            threads.submit(database.write, lambda other: put(other, "two")).result()
        assert connection.execute(ALL) == before
    assert words(database) == ["one", "two"]


def test_many_threads_write_and_read(database: Database) -> None:
    def one(number: int) -> None:
        database.write(lambda connection: put(connection, f"{number:03}"))
        assert f"{number:03}" in words(database)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(one, range(64)))
    assert words(database) == [f"{number:03}" for number in range(64)]


def test_lists_of_any_length_are_one_parameter(database: Database) -> None:
    statement = sa.select(code.c.code).where(in_list(code.c.code, "words")).order_by(code.c.code)
    database.write(lambda connection: put(connection, "one", "it's", "zoé"))
    with database.read() as connection:
        for asked in ([], ["one"], ["zoé", "it's", "'"], [f"w{n}" for n in range(2_000)] + ["one"]):
            found = [row[0] for row in connection.execute(statement, {"words": asked})]
            assert found == sorted(set(asked) & {"one", "it's", "zoé"})
    assert compiled(statement, database.dialect) is compiled(statement, database.dialect)


def test_bytes_and_numbers_come_back_as_they_went(database: Database) -> None:
    row = {**_ROW, "size": 2**62}
    person = {"id": 1, "cx": "1^^^&1.2&ISO", "cluster": 1, "state": 1, "created": 20240101000000}

    def work(connection: Connection) -> None:
        connection.execute_many(sa.insert(patient), [person])
        connection.execute_many(sa.insert(document_entry), [row])

    database.write(work)
    with database.read() as connection:
        columns = (document_entry.c.uuid, document_entry.c.fragment, document_entry.c.size)
        statement = sa.select(*columns).where(in_list(document_entry.c.uuid, "uuids"))
        ((uuid, fragment, size),) = connection.execute(statement, {"uuids": [bytes(range(16)), b"x" * 16]})
    assert (bytes(uuid), bytes(fragment), size) == (bytes(range(16)), bytes(range(256)), 2**62)


def test_a_closed_store_opens_again_for_who_comes_later(database: Database) -> None:
    database.write(lambda connection: put(connection, "one"))
    database.close()
    again = open_database(database.url)
    assert words(again) == ["one"]
    again.close()


def test_every_error_is_of_the_family() -> None:
    for kind in (UniqueViolation, StorageUnavailable, CommitUncertain, StoreVersionError):
        assert issubclass(kind, StorageError)


@pytest.mark.parametrize("url", ["mysql://x/y", "sqlite://", "sqlite:///:memory:", "oracle://scott:tiger@h/x"])
def test_other_databases_are_refused_with_what_is_accepted(url: str) -> None:
    with pytest.raises(ValueError, match=r"expected sqlite:///FILE or postgresql\+psycopg://") as caught:
        open_database(url)
    assert "tiger" not in str(caught.value)


# ------------------------------------------------------------------------------------------------------- crash points

_PROGRAM = """
import sys
from storage.database import open_database
from tests.storage.words import put
open_database(sys.argv[1]).write(lambda connection: put(connection, "one"))
"""


def die(url: str, step: str) -> int:
    """The exit status of a program that writes one word and is killed at that step."""
    environment = {**os.environ, crash.VARIABLE: step}
    return subprocess.run([sys.executable, "-c", _PROGRAM, url], env=environment, timeout=300, check=False).returncode


@pytest.mark.parametrize(("step", "left"), [("write-begun", []), ("commit-before", []), ("commit-after", ["one"])])
def test_a_killed_writer_leaves_all_or_nothing(database: Database, step: str, left: list[str]) -> None:
    assert die(database.url, step) == -signal.SIGKILL
    assert words(database) == left
    database.write(lambda connection: put(connection, "two"))
    assert words(database) == [*left, "two"]


def test_the_second_passage_can_be_asked_for(database: Database) -> None:
    assert die(database.url, "commit-after:2") == 0
    assert words(database) == ["one"]


def test_an_unknown_step_is_refused() -> None:
    with pytest.raises(ValueError, match="no such step"):
        crash.read_order({crash.VARIABLE: "tea-break"})


def test_the_steps_are_those_that_the_table_explains() -> None:
    explained = [line.split()[0] for line in (crash.__doc__ or "").splitlines() if "-" in line.split(" ")[0] and "=" not in line]
    assert explained == [*crash.CRASH_POINTS, *crash.REMOVAL_POINTS]
    assert len(crash.CRASH_POINTS) == 12


def test_the_writer_is_free_after_a_failure_in_every_thread(database: Database) -> None:
    """Errors in some of many writes at once: nobody waits for ever, and exactly the others are there."""
    barrier = threading.Barrier(8)

    def one(number: int) -> None:
        def work(connection: Connection) -> None:
            put(connection, f"{number}")
            if number % 2:
                raise LookupError

        barrier.wait()
        if number % 2:
            with pytest.raises(LookupError):
                database.write(work)
        else:
            database.write(work)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(one, range(8)))
    assert words(database) == ["0", "2", "4", "6"]
    database.write(lambda connection: connection.execute_many(DELETE, [{"word": "0"}, {"word": "2"}]))
    assert words(database) == ["4", "6"]
