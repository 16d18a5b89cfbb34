"""What goes along with another's transaction: durable when it is settled, whoever wrote it, and of no harm to the others."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from storage.database import Connection, Database
from storage.errors import UniqueViolation
from tests.storage.words import put, words


def putting(word: str, *more: str) -> Callable[[Connection], str]:
    def work(connection: Connection) -> str:
        put(connection, word, *more)
        return word

    return work


def test_what_rides_alone_is_written_when_it_is_settled(database: Database) -> None:
    settle = database.ride(putting("one"))
    assert settle() == "one"
    assert words(database) == ["one"]


def test_what_rides_fails_alone(database: Database) -> None:
    database.write(putting("one"))
    settle, other = database.ride(putting("two", "one")), database.ride(putting("three"))
    database.write(putting("four"))
    with pytest.raises(UniqueViolation):
        settle()
    assert other() == "three"
    assert sorted(words(database)) == ["four", "one", "three"]


def test_who_rides_is_not_harmed_by_who_fails(database: Database) -> None:
    settle = database.ride(putting("one"))

    def fails(connection: Connection) -> None:
        put(connection, "two")
        raise LookupError("mine")

    with pytest.raises(LookupError):
        database.write(fails)
    assert settle() == "one"
    assert words(database) == ["one"]


def test_many_ride_and_write_at_once_and_all_is_there(database: Database) -> None:
    def one(number: int) -> list[str]:
        settle = database.ride(putting(f"r{number}"))
        wrote = [database.write(putting(f"w{number}"))] if number % 3 else []
        return [settle(), *wrote]

    with ThreadPoolExecutor(8) as threads:
        told = [word for found in threads.map(one, range(60)) for word in found]
    assert sorted(words(database)) == sorted(told)


def test_an_embedded_store_writes_what_rides_with_the_next_commit(database: Database) -> None:
    if database.dialect != "sqlite":
        pytest.skip("PostgreSQL has a transaction for each thread: what rides is written when it is settled")
    settle = database.ride(putting("one"))
    assert words(database) == []
    database.write(putting("two"))
    assert sorted(words(database)) == ["one", "two"]
    assert settle() == "one"
