"""Patient identifiers: which are known, and which stand for the same person (ITI TF-2: 3.42.4.1.3.3.2, 3.8.4.2.4).

A cluster is one person: the row that stands for it (`cluster` = its own id), its aliases, and the ids that were merged into
it. `cx` is always the canonical form, `id^^^&OID&ISO` (`metadata.datatypes.canonical_cx`): callers bring that form. Merging and
adding an alias move rows from cluster to cluster; nothing else in the store changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from metadata.datatypes import canonical_cx
from registry.tables import PatientState, document_entry, folder, patient, submission_set
from storage.database import Connection, Database, in_list
from storage.statement import insert_or_ignore

_root = patient.alias("root")

_COLUMNS = (patient.c.id, patient.c.cx, patient.c.cluster, patient.c.state, _root.c.cx, patient.c.created, _root.c.state)
_FROM = patient.join(_root, _root.c.id == patient.c.cluster)
_BY_CX = sa.select(*_COLUMNS).select_from(_FROM).where(in_list(patient.c.cx, "cxs"))
_BY_ID = sa.select(*_COLUMNS).select_from(_FROM).where(in_list(patient.c.id, "ids"))
_BY_CLUSTER = sa.select(*_COLUMNS).select_from(_FROM).where(patient.c.cluster == sa.bindparam("cluster")).order_by(patient.c.id)
_ALL = (
    sa.select(*_COLUMNS)
    .select_from(_FROM)
    .where(patient.c.id > sa.bindparam("after"))
    .order_by(patient.c.id)
    .limit(sa.bindparam("limit", type_=sa.Integer))
)
#: The asked rows and those that stand for their clusters, locked in one order: who writes about a person is alone.
_LOCK_BY_CX = _BY_CX.order_by(patient.c.cluster, patient.c.id).with_for_update(key_share=True)
_LOCK_BY_ID = _BY_ID.order_by(patient.c.cluster, patient.c.id).with_for_update(key_share=True)

_INSERT = insert_or_ignore(patient, "cx", "cluster", "state", "created")
_OWN_CLUSTER = (
    sa.update(patient).where(patient.c.cx == sa.bindparam("name"), patient.c.cluster == 0).values(cluster=patient.c.id)
)


@dataclass(frozen=True, slots=True)
class Patient:
    """One identifier. `surviving` is the CX that stands for the person: its own, or that of the record it was merged into."""

    id: int
    cx: str
    cluster: int
    state: PatientState
    surviving: str
    created: str
    cluster_state: PatientState

    @property
    def accepts(self) -> bool:
        """Whether submissions may name this identifier: it was not merged away, and the record of the person is open."""
        return self.state in (PatientState.ACTIVE, PatientState.ALIAS) and self.cluster_state is PatientState.ACTIVE


@dataclass(frozen=True, slots=True)
class PatientRecord:
    """One person as `patient show` prints it: every identifier of the cluster, and how many objects of each kind there are."""

    asked: Patient
    identifiers: Sequence[Patient]
    documentEntries: int
    submissionSets: int
    folders: int


def _patient(row: Sequence[object]) -> Patient:
    number, cx, cluster, state, surviving, created, cluster_state = row
    return Patient(
        number, cx, cluster, PatientState(state), surviving, str(created), PatientState(cluster_state)  # type: ignore[arg-type]
    )


def find(connection: Connection, cxs: Iterable[str]) -> dict[str, Patient]:
    """The rows of these identifiers, by CX; unknown ones are absent. One statement."""
    return {p.cx: p for p in map(_patient, connection.execute(_BY_CX, {"cxs": list(cxs)}))}


def find_by_id(connection: Connection, ids: Iterable[int]) -> dict[int, Patient]:
    """The rows with these ids. One statement."""
    return {p.id: p for p in map(_patient, connection.execute(_BY_ID, {"ids": list(ids)}))}


def cluster_of(connection: Connection, cluster: int) -> list[Patient]:
    """Every identifier of one person."""
    return [_patient(row) for row in connection.execute(_BY_CLUSTER, {"cluster": cluster})]


def lock(connection: Connection, cxs: Iterable[str]) -> dict[str, Patient]:
    """`find`, and nobody else writes about these persons until the transaction ends.

    On PostgreSQL a row that changed its cluster while we waited for it drops out of the locked answer; it is then asked for
    again. SQLite has one writer anyway.
    """
    wanted = list(dict.fromkeys(cxs))
    if connection.dialect == "sqlite":
        return find(connection, wanted)
    found = {p.cx: p for p in map(_patient, connection.execute(_LOCK_BY_CX, {"cxs": wanted}))}
    missing = [cx for cx in wanted if cx not in found]
    if missing:
        found.update({p.cx: p for p in map(_patient, connection.execute(_LOCK_BY_CX, {"cxs": missing}))})
    return found


def lock_by_id(connection: Connection, ids: Iterable[int]) -> dict[int, Patient]:
    """The same for rows known by id: the patients of objects that a submission refers to."""
    if connection.dialect == "sqlite":
        return find_by_id(connection, ids)
    wanted = list(ids)
    found = {p.id: p for p in map(_patient, connection.execute(_LOCK_BY_ID, {"ids": wanted}))}
    missing = [number for number in wanted if number not in found]
    if missing:
        found.update({p.id: p for p in map(_patient, connection.execute(_LOCK_BY_ID, {"ids": missing}))})
    return found


def announce(connection: Connection, cxs: Iterable[str]) -> None:
    """Make identifiers known, each as a person of its own; known ones are left as they are."""
    ordered = sorted(set(cxs))
    created = int(datetime.now(UTC).strftime("%Y%m%d%H%M%S"))
    rows = [{"cx": cx, "cluster": 0, "state": int(PatientState.ACTIVE), "created": created} for cx in ordered]
    connection.execute_many(_INSERT, rows)
    connection.execute_many(_OWN_CLUSTER, [{"name": cx} for cx in ordered])


def add(database: Database, cx: str) -> bool:
    """`carnet patient add`: True when the identifier is new. The caller has checked its form."""
    cx = canonical_cx(cx)

    def work(connection: Connection) -> bool:
        if find(connection, [cx]):
            return False
        announce(connection, [cx])
        return True

    return database.write(work)


def list_patients(database: Database, after: int = 0, limit: int = 1000) -> list[Patient]:
    """A page of identifiers in the order of their announcement; `after` is the id of the last one of the page before."""
    with database.read() as connection:
        return [_patient(row) for row in connection.execute(_ALL, {"after": after, "limit": limit})]


def _count(table: sa.Table) -> sa.ScalarSelect[int]:
    return sa.select(sa.func.count()).select_from(table).where(in_list(table.c.patient, "ids")).scalar_subquery()


_COUNTS = sa.select(_count(document_entry), _count(submission_set), _count(folder))


def show(database: Database, cx: str) -> PatientRecord | None:
    """The person behind an identifier; None when nobody has announced it."""
    cx = canonical_cx(cx)
    with database.snapshot() as connection:
        asked = find(connection, [cx]).get(cx)
        if asked is None:
            return None
        identifiers = cluster_of(connection, asked.cluster)
        ((entries, sets, folders),) = connection.execute(_COUNTS, {"ids": [p.id for p in identifiers]})
        return PatientRecord(asked, identifiers, entries, sets, folders)
