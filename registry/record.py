"""A patient's record as one thing: open, closed, reopened, at last destroyed; and the events that tell of it.

(French DMP: closing keeps the record for the time of retention and gives it to nobody; destruction follows, in two steps.) The
state stands at the row that stands for the person, so it covers every identifier. Closing changes no object: reopened, the
record answers as before.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, TypeVar

import sqlalchemy as sa

from metadata.datatypes import canonical_cx
from metadata.rules.rule import Finding, Refused
from metadata.vocabulary import ErrorCode
from registry import patients
from registry.patient_identity import make_known
from registry.patients import Patient
from registry.tables import PatientState, patient, record_event
from storage.database import Connection, Database, in_list

T = TypeVar("T")

_SECTION = "carnet patient"
_SET_STATE = sa.update(patient).where(patient.c.id == sa.bindparam("row")).values(state=sa.bindparam("new_state"))
_TELL = sa.insert(record_event).values({name: sa.bindparam(name) for name in ("patient", "at", "event", "detail")})
_EVENTS = (
    sa.select(record_event.c.at, record_event.c.event, record_event.c.detail)
    .select_from(record_event.join(patient, patient.c.id == record_event.c.patient))
    .where(patient.c.cluster == sa.bindparam("cluster"))
    .order_by(record_event.c.id)
)
_root = patient.alias("root")
_STATES = (
    sa.select(patient.c.cx, _root.c.state)
    .select_from(patient.join(_root, _root.c.id == patient.c.cluster))
    .where(in_list(patient.c.cx, "cxs"), _root.c.state != PatientState.ACTIVE.value)
)


class Event(StrEnum):
    """What can happen to a record."""

    OPENED = "opened"
    CLOSED = "closed"
    REOPENED = "reopened"
    EXPORTED = "exported"
    IMPORTED = "imported"
    DESTRUCTION_ASKED = "destruction asked"
    DESTROYED = "destroyed"


@dataclass(frozen=True, slots=True)
class Told:
    """One event: `at` is UTC, YYYYMMDDhhmmss."""

    at: str
    event: Event
    detail: Mapping[str, Any]


def now() -> str:
    """UTC, YYYYMMDDhhmmss."""
    return datetime.now(UTC).strftime("%Y%m%d%H%M%S")


def refusal(rule: str, message: str, remedy: str, value: str) -> Refused:
    """Why an operation on a record is not done."""
    return Refused([
        Finding(rule=rule, code=ErrorCode.XDSRegistryError, message=message, remedy=remedy, attribute="patientId", value=value,
                section=_SECTION)
    ])  # fmt: skip


class WrongState(Refused):
    """The record is not in the state that an operation needs; `state` is the one that it is in."""

    def __init__(self, refused: Refused, state: PatientState) -> None:
        self.state = state
        super().__init__(refused.findings)


class Records:
    """The operations on records over one database. Each is one transaction and raises `Refused` where it may not be.

    What ends in `_in` is the same inside the caller's transaction; `detail` is kept with the event.
    """

    def __init__(self, database: Database, retention_years: float = 10) -> None:
        self.database = database
        self._retention = timedelta(days=365.25 * retention_years)

    def open(self, cx: str) -> None:
        """A new record for an identifier that nobody knows yet."""
        self.database.write(lambda connection: self.open_in(connection, [cx]))

    def open_in(self, connection: Connection, cxs: Sequence[str], **detail: Any) -> Patient:
        """A new record for a person whom nobody knows yet under any of these identifiers."""
        wanted = [canonical_cx(cx) for cx in cxs]
        known = patients.find(connection, wanted)
        if not known:
            make_known(connection, wanted)
            one = of(connection, wanted[0])
            known = {one.cx: one} if events(connection, one) else {}  # somebody has opened it at the same moment
        if known:
            state = next(iter(known.values())).cluster_state
            remedy = "Look at the record: carnet patient show."
            raise WrongState(refusal("REC-001", "the patient is known already", remedy, next(iter(known))), state)
        tell(connection, one, Event.OPENED, **detail)
        return one

    def close(self, cx: str, reason: str = "") -> None:
        """From now on nothing enters the record, and nobody reads it."""
        self.database.write(lambda connection: self.close_in(connection, cx, reason=reason))

    def close_in(self, connection: Connection, cx: str, **detail: Any) -> None:
        one = expect(connection, cx, PatientState.ACTIVE)
        set_state(connection, one.cluster, PatientState.CLOSED)
        tell(connection, one, Event.CLOSED, **detail)

    def reopen(self, cx: str, reason: str = "") -> None:
        """The record answers as before it was closed. Refused when the time of retention is over; ends an asked destruction."""
        self.database.write(lambda connection: self.reopen_in(connection, cx, reason=reason))

    def reopen_in(self, connection: Connection, cx: str, **detail: Any) -> None:
        one = expect(connection, cx, PatientState.CLOSED)
        if self.retained_until(connection, one) <= now():
            raise refusal("REC-004", "the time of retention is over", "Destroy the record: carnet patient destroy.", one.cx)
        set_state(connection, one.cluster, PatientState.ACTIVE)
        tell(connection, one, Event.REOPENED, **detail)

    def ask_destruction(self, cx: str, reason: str = "", *, on_request: bool = False) -> str:
        """The first step: the word with which the second is confirmed. Nothing is destroyed yet, and reopening ends it.

        Refused unless the record is closed and its retention over; `on_request`: the patient asks, and need not wait.
        """
        word = secrets.token_hex(4)

        def work(connection: Connection) -> None:
            one = expect(connection, cx, PatientState.CLOSED)
            until = self.retained_until(connection, one)
            if until > now() and not on_request:
                remedy = "Wait, or say that the patient asks for it: --on-request."
                raise refusal("REC-005", f"the record is retained until {until} UTC", remedy, one.cx)
            asked_by = "patient" if on_request else "retention"
            tell(connection, one, Event.DESTRUCTION_ASKED, reason=reason, because=asked_by, confirm=word)

        self.database.write(work)
        return word

    def begin_destruction(self, cx: str, word: str) -> Patient:
        """The second step begins: nobody can read or reopen the record any more. It may be begun again after a death."""

        def work(connection: Connection) -> Patient:
            one = of(connection, cx)
            if one.cluster_state is not PatientState.DESTROYED:
                expect(connection, cx, PatientState.CLOSED)
            last = events(connection, one)[-1:]
            if not last or last[0].event is not Event.DESTRUCTION_ASKED or last[0].detail["confirm"] != word:
                remedy = "Ask for the destruction first, and confirm with the word that it gives: carnet patient destroy."
                raise refusal("REC-006", "the destruction was not asked for with this word", remedy, one.cx)
            set_state(connection, one.cluster, PatientState.DESTROYED)
            return one

        return self.database.write(work)

    def events(self, cx: str) -> list[Told]:
        """What has happened to the record, oldest first."""
        with self.database.snapshot() as connection:
            return events(connection, of(connection, cx, lock=False))

    def retained_until(self, connection: Connection, one: Patient) -> str:
        """When the retention of a closed record ends, as the events have it."""
        closed = [told.at for told in events(connection, one) if told.event is Event.CLOSED]
        begun = datetime.strptime(closed[-1], "%Y%m%d%H%M%S").replace(tzinfo=UTC) if closed else datetime.now(UTC)
        return (begun + self._retention).strftime("%Y%m%d%H%M%S")

    def not_open(self, cxs: Iterable[str]) -> dict[str, str]:
        """Those of the identifiers whose record is closed or destroyed, with that word. One statement."""
        with self.database.read() as connection:
            rows = connection.execute(_STATES, {"cxs": list({canonical_cx(cx) for cx in cxs})})
        return {cx: PatientState(state).name.lower() for cx, state in rows}


def of(connection: Connection, cx: str, *, lock: bool = True) -> Patient:
    """The row of an identifier, locked unless the transaction only reads. Raises Refused for one unknown or merged away."""
    canonical = canonical_cx(cx)
    one = (patients.lock if lock else patients.find)(connection, [canonical]).get(canonical)
    if one is None:
        raise refusal("REC-002", "the patient is not known", "Correct the identifier: carnet patient list.", canonical)
    if one.state is PatientState.SUBSUMED:
        raise refusal("REC-002", f"the patient was merged into {one.surviving}", f"Name {one.surviving}.", canonical)
    return one


def expect(connection: Connection, cx: str, state: PatientState, *, lock: bool = True) -> Patient:
    """`of`, refused (WrongState) unless the record is in this state."""
    one = of(connection, cx, lock=lock)
    if one.cluster_state is not state:
        wanted = "open" if state is PatientState.ACTIVE else state.name.lower()
        is_now = "open" if one.cluster_state is PatientState.ACTIVE else one.cluster_state.name.lower()
        remedy = "Close it first: carnet patient close." if state is PatientState.CLOSED else "It stays as it is."
        raise WrongState(refusal("REC-003", f"the record is {is_now}, not {wanted}", remedy, one.cx), one.cluster_state)
    return one


def set_state(connection: Connection, cluster: int, state: PatientState) -> None:
    connection.execute(_SET_STATE, {"row": cluster, "new_state": int(state)})


def tell(connection: Connection, one: Patient, event: Event, **detail: Any) -> None:
    """Write an event; empty details are left out."""
    said = json.dumps({name: value for name, value in detail.items() if value not in ("", None)})
    connection.execute_many(_TELL, [{"patient": one.cluster, "at": int(now()), "event": event.value, "detail": said}])


def events(connection: Connection, one: Patient) -> list[Told]:
    rows = connection.execute(_EVENTS, {"cluster": one.cluster})
    return [Told(str(at), Event(event), json.loads(detail)) for at, event, detail in rows]


#: The identifiers among these whose record is closed or destroyed, with the word for it.
NotOpen = Callable[[Iterable[str]], Mapping[str, str]]
