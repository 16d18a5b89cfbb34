"""What each caller and each patient has had within the hour, counted for all workers in the store's own database.

An hour is one of the clock (UTC). Names are digests under a prefix of their own: nothing that a sender wrote reaches the
database. Rows of hours that are over are given up. When the database does not answer nothing is let in: StorageError.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from storage.database import METADATA, Connection, Database
from storage.statement import insert_or_ignore

HOUR = 3600
#: `what` is the digest of a patient, or empty for the sums of `who`.
HOURLY_USE = sa.Table(
    "hourly_use",
    METADATA,
    sa.Column("who", sa.LargeBinary(32), nullable=False),
    sa.Column("hour", sa.BigInteger(), nullable=False),
    sa.Column("what", sa.LargeBinary(32), nullable=False),
    sa.Column("documents", sa.BigInteger(), nullable=False),
    sa.Column("octets", sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint("who", "hour", "what", name="pk_hourly_use"),
    sa.Index("hourly_use_hour", "hour"),
    sqlite_with_rowid=False,
)
_row = HOURLY_USE.c
_THIS = (
    _row.who == sa.bindparam("this_who", required=True), _row.hour == sa.bindparam("this_hour", required=True),
    _row.what == sa.bindparam("this_what", required=True),
)  # fmt: skip
_BEGIN = insert_or_ignore(HOURLY_USE, "who", "hour", "what", "documents", "octets")
#: An UPDATE locks the row: whoever adds to the same sums waits for the end of this transaction.
_ADD = sa.update(HOURLY_USE).where(*_THIS).values(
    documents=_row.documents + sa.bindparam("more_documents", required=True),
    octets=_row.octets + sa.bindparam("more_octets", required=True),
)  # fmt: skip
_SUMS = sa.select(_row.documents, _row.octets).where(*_THIS)
_FORGET = sa.delete(HOURLY_USE).where(_row.hour < sa.bindparam("begun", required=True))
_SUM = b""
_REMEMBERED = 100_000


@dataclass(frozen=True, slots=True)
class Amount:
    """So many documents with so many octets, of `who`; `documents_limit` and `octets_limit` are what he may have within the hour,
    0: any number."""

    who: bytes
    documents: int
    octets: int
    documents_limit: int = 0
    octets_limit: int = 0


@dataclass(frozen=True, slots=True)
class Taken:
    """What was counted in which hour; `over` is what was too much, and then nothing was."""

    hour: int
    amounts: tuple[Amount, ...]
    over: Amount | None = None


def named(kind: str, name: str) -> bytes:
    """The digest under which `name` is counted; `kind` keeps sources and patients of one name apart."""
    return hashlib.sha256(f"hourly|{kind}|{name}".encode()).digest()


class _Over(Exception):
    """An amount that is too much: nothing of the transaction stays."""

    def __init__(self, amount: Amount) -> None:
        super().__init__()
        self.amount = amount


class HourlyUse:
    """The counts over one database, which any number of processes may share. `clock` gives Unix seconds. Safe for threads."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        self._lock = threading.Lock()
        self._hour = 0
        self._met: set[tuple[bytes, bytes]] = set()

    def take(self, amounts: Sequence[Amount]) -> Taken:
        """Count all of these, or none when one is too much: that one is `Taken.over`."""
        hour = self._begin_hour()

        def work(connection: Connection) -> None:
            for amount in sorted(amounts, key=lambda one: one.who):  # in one order, so that nobody waits for who waits
                documents, octets = _added(connection, amount, hour, 1)
                if 0 < amount.documents_limit < documents or 0 < amount.octets_limit < octets:
                    raise _Over(amount)

        try:
            self._database.write(work)
        except _Over as over:
            return Taken(hour, (), over.amount)
        return Taken(hour, tuple(amounts))

    def give_back(self, taken: Taken) -> None:
        """Take off again what came to nothing, from the hour in which it was counted."""

        def work(connection: Connection) -> None:
            for amount in sorted(taken.amounts, key=lambda one: one.who):
                _added(connection, amount, taken.hour, -1)

        self._database.write(work)

    def meets(self, who: bytes, patients: Sequence[bytes], limit: int) -> bool:
        """Whether `who` may ask about these patients: those met within the hour, and further ones up to `limit` in all. Only
        then they count."""
        hour = self._begin_hour()
        fresh = sorted({one for one in patients if (who, one) not in self._met})
        if not fresh:
            return True

        def work(connection: Connection) -> bool:
            sums = Amount(who, 0, 0)
            met, _ = _added(connection, sums, hour, 1)  # the lock comes first
            new = [one for one in fresh if not connection.execute(_SUMS, _this(who, hour, one))]
            if met + len(new) > limit:
                return False
            _added(connection, Amount(who, len(new), 0), hour, 1)
            connection.execute_many(_BEGIN, [_row_of(who, hour, one) for one in new])
            return True

        allowed = self._database.write(work)
        if allowed:
            with self._lock:
                if len(self._met) > _REMEMBERED:
                    self._met.clear()
                if self._hour == hour:  # else another thread has begun the next one, in which these are not met yet
                    self._met.update((who, one) for one in fresh)
        return allowed

    def _begin_hour(self) -> int:
        """The hour of now; the first one of a process that comes here in a new hour gives the old ones up."""
        hour = int(self._clock()) // HOUR
        with self._lock:
            if hour == self._hour:
                return hour
            self._hour = hour
            self._met.clear()
        self._database.write(lambda connection: connection.execute(_FORGET, {"begun": hour}))
        return hour

    def seconds_left(self) -> int:
        """Until the hour is over."""
        return HOUR - int(self._clock()) % HOUR


def _this(who: bytes, hour: int, what: bytes) -> dict[str, object]:
    return {"this_who": who, "this_hour": hour, "this_what": what}


def _row_of(who: bytes, hour: int, what: bytes) -> dict[str, object]:
    return {"who": who, "hour": hour, "what": what, "documents": 0, "octets": 0}


def _added(connection: Connection, amount: Amount, hour: int, sign: int) -> tuple[int, int]:
    """The sums of `amount.who` with it."""
    this = _this(amount.who, hour, _SUM)
    connection.execute_many(_BEGIN, [_row_of(amount.who, hour, _SUM)])
    connection.execute(_ADD, {**this, "more_documents": sign * amount.documents, "more_octets": sign * amount.octets})
    (found,) = connection.execute(_SUMS, this)
    return int(found[0]), int(found[1])
