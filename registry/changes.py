"""What a transaction changes of registered rows: a status, a lastUpdateTime, and the fragments that tell of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from metadata.rules.rule import Existing
from metadata.vocabulary import AvailabilityStatus, ObjectKind
from registry import fragments
from registry.facts import Location, SqlFacts
from registry.tables import association, document_entry, folder
from storage.database import Connection, in_list


def _fragments_of(table: sa.Table) -> sa.Select[Any]:
    return sa.select(table.c.patient, table.c.id, table.c.fragment).where(
        in_list(table.c.patient, "patients"), in_list(table.c.id, "ids")
    )


def _update(table: sa.Table, *columns: str) -> sa.Update:
    """UPDATE of `columns` in the row at (at_patient, at_id)."""
    return (
        sa.update(table)
        .where(table.c.patient == sa.bindparam("at_patient"), table.c.id == sa.bindparam("at_id"))
        .values({c: sa.bindparam(c) for c in columns})
    )


_TABLES = {
    ObjectKind.DOCUMENT_ENTRY: document_entry,
    ObjectKind.FOLDER: folder,
    ObjectKind.ASSOCIATION: association,
}
_FRAGMENTS = {kind: _fragments_of(table) for kind, table in _TABLES.items()}
_SET_STATUS = {kind: _update(table, "status", "fragment") for kind, table in _TABLES.items()}
_SET_LAST_UPDATE = _update(folder, "last_update", "fragment")


def _stored(connection: Connection, statement: sa.Select[Any], places: Iterable[Location]) -> dict[Location, bytes | None]:
    wanted = set(places)
    asked = {"patients": sorted({p for p, _ in wanted}), "ids": sorted({i for _, i in wanted})}
    return {(p, i): fragment for p, i, fragment in connection.execute(statement, asked) if (p, i) in wanted}


def set_statuses(connection: Connection, facts: SqlFacts, changed: Sequence[tuple[Existing, AvailabilityStatus]]) -> None:
    """Give registered DocumentEntries, Folders and Associations another availabilityStatus, in both rows of an association
    whose ends belong to two patients."""
    by_kind: dict[ObjectKind, dict[Location, AvailabilityStatus]] = {}
    for existing, status in changed:
        for place in _places(facts, existing):
            by_kind.setdefault(existing.kind, {})[place] = status
    for kind, statuses in by_kind.items():
        stored = _stored(connection, _FRAGMENTS[kind], statuses)
        rows = [
            {
                "at_patient": place[0],
                "at_id": place[1],
                "status": statuses[place].db,
                "fragment": fragments.with_status(packed, statuses[place]) if packed is not None else None,
            }
            for place, packed in stored.items()
        ]
        connection.execute_many(_SET_STATUS[kind], rows)


def _places(facts: SqlFacts, existing: Existing) -> set[Location]:
    patient, number = facts.location(existing.entryUUID)
    places = {(patient, number)}
    if existing.kind is ObjectKind.ASSOCIATION:
        for end in (existing.sourceObject, existing.targetObject):
            if facts.find(end) is not None:
                places.add((facts.location(end)[0], number))
    return places


def touch(connection: Connection, places: Sequence[Location], now: str) -> None:
    """lastUpdateTime of Folders that gain a document (ITI TF-2: 3.42.4.1.3.6)."""
    stored = _stored(connection, _FRAGMENTS[ObjectKind.FOLDER], places)
    changed = [
        {"at_patient": p, "at_id": i, "last_update": int(now), "fragment": fragments.with_last_update_time(packed, now)}
        for (p, i), packed in stored.items()
        if packed is not None
    ]
    connection.execute_many(_SET_LAST_UPDATE, changed)
