"""What patients have said about their records: who is authorised, blocked, treats or represents them, what they oppose.

One row of `patient_right` for each. A person's rights are those of all its identifiers: a merge joins them, and blocked wins. An
authorisation holds a year (DMP: TD0.3). `holder` is the national id of a professional or a structure, of a representative the
id in his assertions, of an opposition the purpose of use.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum

import sqlalchemy as sa

from registry import patients
from registry.patients import Patient
from registry.record import expect, now, of
from registry.search_sql import ASKED, MEMBER
from registry.tables import PatientState, patient_right
from security import saml_names as names
from security.access import Authorisation, RecordRights
from storage.database import Connection, Database, in_list
from storage.statement import insert_or_ignore

#: How long an authorisation holds.
VALIDITY = timedelta(days=365)
#: Purposes that a patient can oppose.
EMERGENCIES = (names.EMERGENCY, names.CENTRE_15)


class Right(IntEnum):
    """The column `kind` of `patient_right`."""

    AUTHORISED = 1
    BLOCKED = 2
    TREATING = 3
    REPRESENTATIVE = 4
    OPPOSED = 5
    MASKED_IN_EMERGENCY = 6  # masked documents may be read in an emergency; holder is empty


class Writer(IntEnum):
    """The column `role` of `entry_writer`."""

    PERSON = 1  # who sent the document, or is an author of its first version
    STRUCTURE = 2  # in whose name it was sent
    PATIENT = 3  # the patient's side wrote it; who is empty


_COLUMNS = (MEMBER.c.id, MEMBER.c.cx, MEMBER.c.state, patient_right.c.kind, patient_right.c.holder, patient_right.c.at)
_OF_CALLER = (
    sa.select(*_COLUMNS)
    .select_from(
        ASKED.join(MEMBER, MEMBER.c.cluster == ASKED.c.cluster).outerjoin(
            patient_right, sa.and_(patient_right.c.patient == MEMBER.c.id, in_list(patient_right.c.holder, "holders"))
        )
    )
    .where(ASKED.c.cx == sa.bindparam("cx"), ASKED.c.state != PatientState.SUBSUMED.value)
)
_LISTED = (
    sa.select(patient_right.c.kind, patient_right.c.holder, patient_right.c.at)
    .where(in_list(patient_right.c.patient, "rows"))
    .order_by(patient_right.c.kind, patient_right.c.holder, patient_right.c.at)
)
_GIVE = insert_or_ignore(patient_right, "patient", "kind", "holder", "at")
_TAKE = sa.delete(patient_right).where(
    in_list(patient_right.c.patient, "rows"), patient_right.c.kind == sa.bindparam("which"),
    patient_right.c.holder == sa.bindparam("whom"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Given:
    """One row. `at` is UTC, YYYYMMDDhhmmss; `state` that of an authorisation, else empty."""

    right: Right
    holder: str
    at: str
    state: str = ""


class Rights:
    """The rights of all records over one database. Each change is one transaction and raises `Refused` where it may not be."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def of_caller(self, patient: str, person: str, structure: str) -> RecordRights:
        """What the record of `patient` (canonical CX) says of a caller: one statement, whether the patient is known or not."""
        holders = list({person, structure, *EMERGENCIES, ""})
        with self.database.read() as connection:
            found = connection.execute(_OF_CALLER, {"cx": patient, "holders": holders})
        given: dict[tuple[int, str], str] = {}
        for _, _, _, kind, holder, at in found:
            if kind is not None:
                given[kind, holder] = max(given.get((kind, holder), ""), str(at))
        return RecordRights(
            rows=tuple(sorted({row[0] for row in found})),
            identifiers=frozenset(row[1] for row in found if row[2] != PatientState.SUBSUMED.value),
            authorisation=_state(given, person),
            structure=_state(given, structure),
            treating=bool(person) and (Right.TREATING, person) in given,
            represents=bool(person) and (Right.REPRESENTATIVE, person) in given,
            opposed=frozenset(purpose for purpose in EMERGENCIES if (Right.OPPOSED, purpose) in given),
            masked_allowed=(Right.MASKED_IN_EMERGENCY, "") in given,
        )

    def give(self, cx: str, right: Right, holder: str = "") -> bool:
        """Write it, anew if it was there: an authorisation then begins again. True when it is new. The record must be open.

        Who becomes treating physician is authorised as well.
        """

        return self.database.write(lambda c: give_in(c, expect(c, cx, PatientState.ACTIVE), right, holder))

    def take(self, cx: str, right: Right, holder: str = "") -> bool:
        """Take it away. False when it was not there."""

        return self.database.write(lambda c: take_in(c, expect(c, cx, PatientState.ACTIVE), right, holder))

    def listed(self, cx: str) -> list[Given]:
        """All rights of a record, by kind and holder. Raises Refused for an unknown patient."""
        with self.database.snapshot() as connection:
            return listed_in(connection, of(connection, cx, lock=False))


def give_in(connection: Connection, one: Patient, right: Right, holder: str = "") -> bool:
    """`Rights.give` for a locked record, inside the caller's transaction."""
    rows = _rows(connection, one)
    kinds = (right, Right.AUTHORISED) if right is Right.TREATING else (right,)
    before = {(kind, whom) for kind, whom, _ in connection.execute(_LISTED, {"rows": rows})}
    for kind in kinds:
        connection.execute(_TAKE, {"rows": rows, "which": int(kind), "whom": holder})
    at = int(now())
    written = [{"patient": one.cluster, "kind": int(kind), "holder": holder, "at": at} for kind in kinds]
    connection.execute_many(_GIVE, written)
    return (int(right), holder) not in before


def take_in(connection: Connection, one: Patient, right: Right, holder: str = "") -> bool:
    """`Rights.take` for a locked record, inside the caller's transaction."""
    rows = _rows(connection, one)
    before = {(kind, whom) for kind, whom, _ in connection.execute(_LISTED, {"rows": rows})}
    connection.execute(_TAKE, {"rows": rows, "which": int(right), "whom": holder})
    return (int(right), holder) in before


def listed_in(connection: Connection, one: Patient) -> list[Given]:
    """All rights of a record, by kind and holder."""
    rows = connection.execute(_LISTED, {"rows": _rows(connection, one)})
    given = {(kind, holder): str(at) for kind, holder, at in rows}
    return [
        Given(Right(kind), holder, at, _state(given, holder).value if kind == Right.AUTHORISED else "")
        for (kind, holder), at in given.items()
    ]


def _rows(connection: Connection, one: Patient) -> Sequence[int]:
    return [member.id for member in patients.cluster_of(connection, one.cluster)]


def _state(given: Mapping[tuple[int, str], str], holder: str) -> Authorisation:
    if not holder:
        return Authorisation.NONE
    if (Right.BLOCKED, holder) in given:
        return Authorisation.BLOCKED
    at = given.get((Right.AUTHORISED, holder))
    if at is None:
        return Authorisation.NONE
    since = datetime.strptime(at, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    return Authorisation.VALID if datetime.now(UTC) - since < VALIDITY else Authorisation.EXPIRED
