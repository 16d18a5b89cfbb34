"""Where audit records are kept: rows of the database, each sealed by a key to the one before it.

`append` works inside the caller's transaction: the record of an act is committed with the act. A record's seal is
HMAC-SHA256(key, place, time, kind, patient, seal before it, body); whoever changes, removes, swaps or inserts rows without the
key is found by `audit_chain.verify`. A tail that is cut off is found by the anchors, which stand in a file.
"""

from __future__ import annotations

import hmac
import random
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import islice
from typing import NamedTuple

import sqlalchemy as sa

from security.audit import AuditEvent, End, pack, patient_key, unpack
from security.audit_tables import LANES, audit_lane, audit_mark, audit_record
from storage.crash import spared
from storage.database import Connection, Database, Row, in_list
from storage.errors import StorageError

#: Records that may wait for company.
_MOST_LATER = 10_000


class Kind(IntEnum):
    """The column `kind`. What has only begun is sent nowhere until its end is known; an END may also correct a DONE."""

    DONE = 1
    BEGUN = 2
    END = 3


class Place(NamedTuple):
    """The name of a record."""

    lane: int
    number: int

    def __str__(self) -> str:
        return f"{self.lane}.{self.number}"


@dataclass(frozen=True, slots=True)
class Entry:
    """A record to be written, made ready outside the transaction."""

    kind: Kind
    at: int
    patient: int | None
    body: bytes


@dataclass(frozen=True, slots=True)
class Stored:
    """A record as it stands there. ValueError from `content` when its body was never written by us."""

    place: Place
    at: int
    kind: int
    patient: int | None
    body: bytes
    mac: bytes

    @property
    def content(self) -> AuditEvent | End:
        return unpack(self.body, self.at)

    @property
    def readable(self) -> AuditEvent | End | None:
        """`content`; None where that is not as it was written (`audit_chain.verify` tells of it)."""
        try:
            return self.content
        except ValueError:
            return None


def entry(what: AuditEvent | End, *, begun: bool = False) -> Entry:
    """The record of an event that is over, that has `begun`, or of an end."""
    if isinstance(what, End):
        return Entry(Kind.END, what.at, patient_key(what.patient), pack(what))
    return Entry(Kind.BEGUN if begun else Kind.DONE, what.at, patient_key(what.patient), pack(what))


_RECORD = (
    audit_record.c.lane, audit_record.c.number, audit_record.c.at, audit_record.c.kind, audit_record.c.patient,
    audit_record.c.body, audit_record.c.mac,
)  # fmt: skip
_HEAD = sa.select(audit_lane.c.lane, audit_lane.c.number, audit_lane.c.mac)
#: The first lane that nobody holds; on SQLite, where nobody else writes, the first.
_FREE = _HEAD.order_by(audit_lane.c.lane).limit(1).with_for_update(skip_locked=True)
_ANY = _HEAD.where(audit_lane.c.lane == sa.bindparam("wanted")).with_for_update()
_ADVANCE = (
    sa.update(audit_lane)
    .where(audit_lane.c.lane == sa.bindparam("of_lane"))
    .values(number=sa.bindparam("new_number"), mac=sa.bindparam("new_mac"))
)
_INSERT = sa.insert(audit_record)
_HEADS = _HEAD.where(audit_lane.c.number > 0).order_by(audit_lane.c.lane)
_AFTER = (
    sa.select(*_RECORD)
    .where(audit_record.c.lane == sa.bindparam("in_lane"), audit_record.c.number > sa.bindparam("after"))
    .order_by(audit_record.c.number)
    .limit(sa.bindparam("limit", type_=sa.Integer))
)
_ONE = sa.select(*_RECORD).where(
    audit_record.c.lane == sa.bindparam("in_lane"), audit_record.c.number == sa.bindparam("wanted")
)
_OF_PATIENT = (
    sa.select(*_RECORD)
    .where(in_list(audit_record.c.patient, "patients"), audit_record.c.at >= sa.bindparam("since"))
    .order_by(audit_record.c.at, audit_record.c.lane, audit_record.c.number)
)
_LANES_USED = sa.select(audit_record.c.lane).distinct().order_by(audit_record.c.lane)
_MARKS = sa.select(audit_mark.c.lane, audit_mark.c.number).where(audit_mark.c.name == sa.bindparam("of_name"))
_UNMARK = sa.delete(audit_mark).where(
    audit_mark.c.name == sa.bindparam("of_name"),
    audit_mark.c.lane == sa.bindparam("of_lane"),
    audit_mark.c.number < sa.bindparam("below"),
)
_MARK = sa.insert(audit_mark)
_IS_MARKED = sa.select(audit_mark.c.number).where(
    audit_mark.c.name == sa.bindparam("of_name"), audit_mark.c.lane == sa.bindparam("of_lane")
)


def seal(key: bytes, record: Stored, before: bytes) -> bytes:
    """The seal that a record must carry after the record sealed by `before`."""
    return _seal(key, record.place, record.at, record.kind, record.patient, before, record.body)


def _seal(key: bytes, place: Place, at: int, kind: int, patient: int | None, before: bytes, body: bytes) -> bytes:
    told = f"{place.lane}|{place.number}|{at}|{kind}|{'' if patient is None else patient}|".encode()
    return hmac.digest(key, b"".join((told, before, body)), "sha256")


class _Job:
    """Entries that somebody waits for; `wake` is released when they are written, or when he must write for all."""

    __slots__ = ("done", "entries", "error", "places", "wake")

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = entries
        self.places: list[Place] = []
        self.error: Exception | None = None
        self.done = False
        self.wake = threading.Lock()
        self.wake.acquire()


class AuditStore:
    """The audit trail in one database. Safe for threads."""

    def __init__(self, database: Database, key: bytes) -> None:
        self.database = database
        self._key = key
        self._mutex = threading.Lock()
        self._waiting: list[_Job] = []
        self._leads = False
        self._later: deque[Entry] = deque()

    # --------------------------------------------------------------------------------------------------------- writing

    def append(self, connection: Connection, entries: Sequence[Entry]) -> list[Place]:
        """Write records in the caller's transaction; they are kept when it is committed. Call it last: it holds a lane."""
        if not entries:
            return []
        rows = connection.execute(_FREE) or connection.execute(_ANY, {"wanted": random.randrange(LANES)})
        lane, number, mac = rows[0]
        written: list[Stored] = []
        for one in entries:
            number += 1
            place, kind = Place(lane, number), int(one.kind)
            mac = _seal(self._key, place, one.at, kind, one.patient, mac, one.body)
            written.append(Stored(place, one.at, kind, one.patient, one.body, mac))
        connection.execute_many(_INSERT, [_row(one) for one in written])
        connection.execute(_ADVANCE, {"of_lane": lane, "new_number": number, "new_mac": mac})
        return [one.place for one in written]

    def write(self, entries: Sequence[Entry]) -> list[Place]:
        """Records that belong to no act: durable when it returns.

        Who finds nobody at work writes for all that wait, and for `later`, in one transaction; then the first that has come
        meanwhile does.
        """
        if not entries:
            return []
        job = _Job(entries)
        with self._mutex:
            self._waiting.append(job)
            leads, self._leads = not self._leads, True
        if not leads:
            job.wake.acquire()
        if not job.done:
            self._lead()
        if job.error is not None:
            raise job.error
        return job.places

    def later(self, one: Entry) -> bool:
        """A record that nobody waits for: it goes with the next ones, or with `flush`. False when too many wait already."""
        self._later.append(one)
        return len(self._later) < _MOST_LATER

    def flush(self) -> None:
        """Write what waits."""
        late = self._taken_later()
        try:
            self.write(late)
        except StorageError:
            self._later.extendleft(reversed(late))
            raise

    def _taken_later(self) -> list[Entry]:
        taken: list[Entry] = []
        while len(taken) < _MOST_LATER:
            try:
                taken.append(self._later.popleft())
            except IndexError:
                break
        return taken

    def _lead(self) -> None:
        with self._mutex:
            batch, self._waiting = self._waiting, []
        late = self._taken_later()
        entries = [one for job in batch for one in job.entries] + late
        error: Exception | None = None
        places: list[Place] = []
        try:
            with spared():  # the steps are those of what messages write
                places = self.database.write(lambda connection: self.append(connection, entries))
        except Exception as raised:  # raised again by each that waits
            error = raised
            self._later.extendleft(reversed(late))
        taken = iter(places)
        for job in batch:
            job.error, job.places, job.done = error, list(islice(taken, len(job.entries))), True
        with self._mutex:
            successor = self._waiting[0] if self._waiting else None
            self._leads = successor is not None
        if successor is not None:
            successor.wake.release()
        for job in batch:
            job.wake.release()

    def advance(self, name: str, marks: dict[int, int]) -> None:
        """Everything up to these numbers is done for `name`, by lane. A mark never goes back."""

        def work(connection: Connection) -> None:
            for lane, number in marks.items():
                connection.execute(_UNMARK, {"of_name": name, "of_lane": lane, "below": number})
                if not connection.execute(_IS_MARKED, {"of_name": name, "of_lane": lane}):
                    connection.execute_many(_MARK, [{"name": name, "lane": lane, "number": number}])

        self.database.write(work)

    # --------------------------------------------------------------------------------------------------------- reading

    def heads(self) -> dict[int, tuple[int, bytes]]:
        """The end of each lane that is in use: number and seal of its last record."""
        with self.database.read() as connection:
            return {lane: (number, mac) for lane, number, mac in connection.execute(_HEADS)}

    def lanes(self) -> list[int]:
        """The lanes that hold records."""
        with self.database.read() as connection:
            return [row[0] for row in connection.execute(_LANES_USED)]

    def after(self, lane: int, number: int, limit: int = 500) -> list[Stored]:
        """The records of a lane that follow `number`."""
        with self.database.read() as connection:
            rows = connection.execute(_AFTER, {"in_lane": lane, "after": number, "limit": limit})
        return [_stored(row) for row in rows]

    def all(self, lane: int) -> Iterator[Stored]:
        """Every record of a lane, in order."""
        number = -(1 << 62)
        while page := self.after(lane, number):
            yield from page
            number = page[-1].place.number

    def get(self, place: Place) -> Stored | None:
        """One record."""
        with self.database.read() as connection:
            rows = connection.execute(_ONE, {"in_lane": place.lane, "wanted": place.number})
        return _stored(rows[0]) if rows else None

    def of_patients(self, cxs: Sequence[str], since: int = 0) -> list[Stored]:
        """The records of a patient under any of these identifiers, oldest first; `since` in milliseconds since 1970."""
        keys = [key for cx in cxs if (key := patient_key(cx)) is not None]
        with self.database.read() as connection:
            rows = connection.execute(_OF_PATIENT, {"patients": keys, "since": since})
        return [_stored(row) for row in rows]

    def marks(self, name: str) -> dict[int, int]:
        """How far `name` has come, by lane."""
        with self.database.read() as connection:
            return {row[0]: row[1] for row in connection.execute(_MARKS, {"of_name": name})}


def _row(record: Stored) -> dict[str, object]:
    return {
        "lane": record.place.lane, "number": record.place.number, "at": record.at, "kind": record.kind,
        "patient": record.patient, "body": record.body, "mac": record.mac,
    }  # fmt: skip


def _stored(row: Row) -> Stored:
    lane, number, at, kind, patient, body, mac = row
    return Stored(Place(lane, number), at, kind, patient, _octets(body), _octets(mac))


def _octets(value: object) -> bytes:
    """SQLite keeps a text or a number where somebody has put one: it is no octets of ours, and no seal fits it."""
    return bytes(value) if isinstance(value, bytes | memoryview) else repr(value).encode("utf-8", "replace")
