"""Objects leave the registry: what the rules of ITI-62 ask, and the statements that take the rows away.

Everything happens in one transaction that has locked the patients of the objects, so that no submission can come to refer to
an object that is on its way out. Hidden or deleted, the rows leave the registry's tables, so that no query, rule or later
transaction has to know of removals; hidden ones are kept in the table `removed`, from which nothing of the program reads.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from metadata.rules.rule import Existing
from metadata.vocabulary import AssociationType, ObjectKind
from registry.facts import Location, SqlFacts
from registry.identifiers import uuid_bytes
from registry.search_sql import TABLES
from registry.tables import (
    KIND_OF,
    Kind,
    association,
    entry_writer,
    object_locator,
    removed,
    unique_id_key,
    unique_identifier,
)
from storage.database import Connection, Row, in_list

_here = object_locator.alias("here")
_link = association.alias("link")
_HAS_MEMBER = AssociationType.HAS_MEMBER.db


def _touching(end: str) -> sa.Select[Any]:
    """The Associations that have an object of list parameter `uuids` at this end."""
    rows = _here.join(_link, sa.and_(_link.c.patient == _here.c.patient, _link.c[end] == _here.c.uuid))
    return sa.select(_link.c.uuid).select_from(rows).where(in_list(_here.c.uuid, "uuids"))


def _later(table: sa.Table) -> sa.Select[Any]:
    return sa.select(table.c.uuid).where(in_list(table.c.lid, "uuids"))


_BY_SOURCE, _BY_TARGET = _touching("source"), _touching("target")
_LATER = {kind: _later(TABLES[kind]) for kind in (Kind.DOCUMENT_ENTRY, Kind.FOLDER)}
_ROWS = {
    kind: sa.select(table).where(in_list(table.c.patient, "patients"), in_list(table.c.id, "ids"))
    for kind, table in TABLES.items()
}
_DELETE = {
    kind: sa.delete(table).where(table.c.patient == sa.bindparam("at_patient"), table.c.id == sa.bindparam("at_id"))
    for kind, table in TABLES.items()
}
_DELETE_LOCATORS = sa.delete(object_locator).where(in_list(object_locator.c.uuid, "uuids"))
_DELETE_IDENTIFIER = sa.delete(unique_identifier).where(
    unique_identifier.c.digest == sa.bindparam("at_digest"),
    unique_identifier.c.patient == sa.bindparam("at_patient"),
    unique_identifier.c.id == sa.bindparam("at_id"),
)
_DELETE_WRITERS = sa.delete(entry_writer).where(in_list(entry_writer.c.lid, "uuids"))
_KEEP = sa.insert(removed)


class RemovalState:
    """`metadata.rules.removal.RemovalFacts` inside a transaction. The patients of all objects named are locked."""

    def __init__(self, connection: Connection, facts: SqlFacts, ids: Iterable[str]) -> None:
        self._connection = connection
        self._facts = facts
        facts.know(ids)

    def find(self, entry_uuid: str) -> Existing | None:
        return self._facts.find(entry_uuid)

    def referring(self, removed: Sequence[str]) -> Sequence[Existing]:
        return self._links(removed, _BY_SOURCE, _BY_TARGET)

    def members_of(self, entry_uuid: str) -> Sequence[Existing]:
        return [link for link in self._links([entry_uuid], _BY_SOURCE) if _is_membership(link)]

    def sets_of(self, entry_uuid: str) -> Sequence[Existing]:
        links = [link for link in self._links([entry_uuid], _BY_TARGET) if _is_membership(link)]
        self._facts.know(link.sourceObject for link in links)
        sources = {link.entryUUID: self.find(link.sourceObject) for link in links}
        return [link for link in links if (s := sources[link.entryUUID]) and s.kind is ObjectKind.SUBMISSION_SET]

    def record_state(self, cx: str) -> str:
        return self._facts.record_state(cx)

    def versions_of(self, logical_id: str) -> Sequence[Existing]:
        first = self.find(logical_id)
        kind = Kind.FOLDER if first and first.kind is ObjectKind.FOLDER else Kind.DOCUMENT_ENTRY
        return self._found(self._connection.execute(_LATER[kind], {"uuids": [uuid_bytes(logical_id)]}))

    def _links(self, ends: Sequence[str], *statements: sa.Select[Any]) -> Sequence[Existing]:
        asked = {"uuids": [key for end in ends if (key := uuid_bytes(end)) is not None]}
        return self._found([row for statement in statements for row in self._connection.execute(statement, asked)])

    def _found(self, rows: Iterable[Row]) -> Sequence[Existing]:
        return self._facts.known(row[0] for row in rows)


def _is_membership(link: Existing) -> bool:
    return link.associationType == AssociationType.HAS_MEMBER.urn


# ------------------------------------------------------------------------------------------------------------------ write


def take_away(connection: Connection, facts: SqlFacts, objects: Sequence[Existing], *, keep: bool) -> None:
    """Take these objects, which `facts` has loaded, out of the registry; `keep` them in the table `removed`."""
    places = _places(facts, objects)
    if keep:
        _keep(connection, facts, objects, places)
    for kind, located in places.items():
        connection.execute_many(_DELETE[kind], [{"at_patient": p, "at_id": i} for p, i in located])
    identified = [one for one in objects if one.uniqueId]
    connection.execute_many(_DELETE_IDENTIFIER, [_identifier(one.uniqueId, facts.location(one.entryUUID)) for one in identified])
    uuids = [uuid_bytes(one.entryUUID) for one in objects]
    connection.execute(_DELETE_LOCATORS, {"uuids": uuids})
    connection.execute(_DELETE_WRITERS, {"uuids": uuids})  # the first version goes last, and with it the logical object


def _places(facts: SqlFacts, objects: Sequence[Existing]) -> dict[Kind, list[Location]]:
    """Where the rows stand. An Association between two patients has a second row under the target's."""
    places: dict[Kind, list[Location]] = {}
    for one in objects:
        patient, number = facts.location(one.entryUUID)
        located = places.setdefault(KIND_OF[one.kind], [])
        located.append((patient, number))
        if one.kind is ObjectKind.ASSOCIATION:
            target = facts.find(one.targetObject)
            other = facts.location(one.targetObject)[0] if target else patient
            if other != patient:
                located.append((other, number))
    return places


def _identifier(unique_id: str, at: Location) -> dict[str, Any]:
    return {"at_digest": unique_id_key(unique_id), "at_patient": at[0], "at_id": at[1]}


def _keep(
    connection: Connection, facts: SqlFacts, objects: Sequence[Existing], places: dict[Kind, list[Location]]
) -> None:
    """Every row as JSON, bytes as hex, deflated; under the entryUUID of its object."""
    kept: dict[bytes, list[dict[str, Any]]] = {}
    for kind, located in places.items():
        columns = [column.name for column in TABLES[kind].columns]
        wanted = set(located)
        asked = {"patients": sorted({p for p, _ in located}), "ids": sorted({i for _, i in located})}
        for row in connection.execute(_ROWS[kind], asked):
            values = dict(zip(columns, row, strict=True))
            if (values["patient"], values["id"]) in wanted:
                told = {name: bytes(v).hex() if isinstance(v, bytes | memoryview) else v for name, v in values.items()}
                kept.setdefault(bytes(values["uuid"]), []).append(told)
    now = int(datetime.now(UTC).strftime("%Y%m%d%H%M%S"))
    rows = []
    for one in objects:
        key = uuid_bytes(one.entryUUID) or b""
        patient, number = facts.location(one.entryUUID)
        content = zlib.compress(json.dumps(kept[key], ensure_ascii=False).encode())
        rows.append(
            {"uuid": key, "patient": patient, "kind": int(KIND_OF[one.kind]), "id": number, "removed_at": now, "content": content}
        )
    connection.execute_many(_KEEP, rows)
