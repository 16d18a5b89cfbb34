"""What is counted within an hour: all or nothing, given back, for all processes, and anew in the next hour."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from security.hourly import HOURLY_USE, Amount, HourlyUse, named
from storage.database import Connection, Database, open_database
from storage.migrate import prepare

SOURCE, PATIENT, OTHER, ASKER = named("source", "a"), named("patient", "1"), named("patient", "2"), named("asker", "a")
START = 1_700_000_000


class Clock:
    """Stands still until it is set."""

    now = float(START)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def databases(store_url: str) -> Iterator[tuple[Database, Database]]:
    """Two processes on one store."""
    prepare(store_url)
    both = open_database(store_url), open_database(store_url)
    yield both
    for one in both:
        one.close()


def test_all_or_nothing_is_counted_whoever_asks(databases: tuple[Database, Database]) -> None:
    clock = Clock()
    one, other = (HourlyUse(database, clock) for database in databases)
    source = Amount(SOURCE, 3, 300, documents_limit=5, octets_limit=1000)
    assert one.take([source, Amount(PATIENT, 3, 300)]).over is None
    assert other.take([source, Amount(PATIENT, 3, 300)]).over == source  # 6 documents
    bytes_ = Amount(SOURCE, 1, 701, 5, 1000)
    assert other.take([bytes_]).over == bytes_
    patient = Amount(PATIENT, 2, 0, documents_limit=4)
    assert other.take([Amount(SOURCE, 2, 700, 5, 1000), patient]).over == patient  # and nothing of the source is counted
    assert other.take([Amount(SOURCE, 2, 700, 5, 1000)]).over is None
    assert one.take([Amount(SOURCE, 1, 0, 5, 1000)]).over is not None
    assert one.take([Amount(OTHER, 10**9, 10**15)]).over is None  # no limit


def test_what_came_to_nothing_is_given_back_to_its_own_hour(databases: tuple[Database, Database]) -> None:
    clock = Clock()
    use = HourlyUse(databases[0], clock)
    whole = Amount(SOURCE, 5, 0, documents_limit=5)
    taken = use.take([whole])
    use.give_back(taken)
    taken = use.take([whole])
    assert taken.over is None and use.take([whole]).over == whole
    clock.now += 3600
    assert use.take([whole]).over is None
    use.give_back(taken)  # of the hour before
    assert use.take([whole]).over == whole


def test_an_hour_that_is_over_leaves_nothing(databases: tuple[Database, Database]) -> None:
    clock = Clock()
    use = HourlyUse(databases[0], clock)
    use.take([Amount(SOURCE, 1, 1)])
    assert use.meets(ASKER, [PATIENT], 1)
    assert 0 < use.seconds_left() <= 3600
    clock.now += 3600
    assert use.meets(ASKER, [OTHER], 1)
    with databases[1].read() as connection:
        hours = {row[0] for row in connection.execute(HOURLY_USE.select().with_only_columns(HOURLY_USE.c.hour))}
    assert hours == {int(clock.now) // 3600}


def test_patients_met_may_be_asked_about_again_and_further_ones_up_to_the_limit(databases: tuple[Database, Database]) -> None:
    clock = Clock()
    one, other = (HourlyUse(database, clock) for database in databases)
    a, b, c = (named("asked", name) for name in "abc")
    assert one.meets(ASKER, [a], 2) and other.meets(ASKER, [a], 2) and other.meets(ASKER, [b], 2)
    assert not one.meets(ASKER, [c], 2)
    assert not one.meets(ASKER, [a, c], 2)  # all that a question is about, or nothing
    assert one.meets(ASKER, [a, b], 2) and other.meets(ASKER, [a], 2)
    assert one.meets(named("asker", "another"), [c], 2)
    assert not other.meets(named("asker", "a third"), [a, b, c], 2)
    clock.now += 3600
    assert one.meets(ASKER, [c], 2)


def test_who_was_met_while_the_hour_passed_is_met_anew(databases: tuple[Database, Database]) -> None:
    """What was counted in the hour before is not remembered for the next one, which another thread has begun."""
    clock = Clock()
    use = HourlyUse(databases[0], clock)
    a, b, write = named("asked", "a"), named("asked", "b"), databases[0].write

    def write_and_pass(work: Callable[[Connection], bool]) -> bool:
        done = write(work)
        if clock.now == START:
            clock.now += 3600
            assert use.meets(named("asker", "another"), [a], 1)
        return done

    assert use.meets(ASKER, [], 1)  # the hour has begun
    databases[0].write = write_and_pass  # type: ignore[method-assign, assignment]
    assert use.meets(ASKER, [a], 1)
    assert use.meets(ASKER, [b], 1) and not use.meets(ASKER, [a], 1)


def test_the_limit_holds_however_many_ask_at_once(databases: tuple[Database, Database]) -> None:
    # SQLite serves one process: its threads. PostgreSQL any number.
    served = databases if databases[0].dialect == "postgresql" else databases[:1] * 2
    uses = [HourlyUse(database, Clock()) for database in served]

    def ask(number: int) -> tuple[bool, bool]:
        use = uses[number % 2]
        taken = use.take([Amount(PATIENT, 1, 0), Amount(SOURCE, 1, 0, documents_limit=5)])
        return taken.over is None, use.meets(ASKER, [named("asked", str(number))], 5)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(24)))
    assert [sum(column) for column in zip(*answers, strict=True)] == [5, 5]
