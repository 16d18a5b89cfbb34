"""One stored query under way: its statements, each built once per shape of request, and what they have found.

A statement's text depends on the shape of the request only (which parameters, how many repetitions), so it is built once and
stays prepared. Nothing is filtered in memory: what a statement returns is in the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from metadata.queries import StoredQuery
from metadata.rules.rule import Finding, Refused
from metadata.vocabulary import ASSOCIATION_BY_URN, ErrorCode
from registry import search_sql as sql
from registry.identifiers import uuid_bytes
from registry.search_filters import (
    TYPE_FILTER,
    CodeIds,
    Filter,
    filter_conditions,
    filter_parameters,
    filter_shape,
    status_numbers,
)
from registry.search_visibility import Visibility, visible
from registry.tables import EntryType, Kind, PatientState, association, object_locator, unique_id_key
from storage.database import Connection, Row, in_list

DE, SS, FD = "$XDSDocumentEntry", "$XDSSubmissionSet", "$XDSFolder"
_STEM = {Kind.DOCUMENT_ENTRY: DE, Kind.SUBMISSION_SET: SS, Kind.FOLDER: FD}
_TYPE, _ASSOCIATION_STATUS = f"{DE}Type", "$XDSAssociationStatus"

#: Columns of every row: the row of the person it belongs to (id, CX, state), the entryUUID, and then `fragment` for a
#: LeafClass answer or `home` for ObjectRefs. Association rows go on with type, source, target, status, label.
ROOT_ID, ROOT_CX, ROOT_STATE, UUID, CONTENT, TYPE, SOURCE, TARGET, STATUS, LABEL = range(10)

_OPEN = PatientState.ACTIVE.value


@dataclass(slots=True)
class Found:
    """The rows of an answer per kind, each list in the order of registration. `leaf`: with fragments."""

    leaf: bool
    entries: Sequence[Row] = ()
    sets: Sequence[Row] = ()
    folders: Sequence[Row] = ()
    associations: list[Row] = field(default_factory=list)

    def objects(self) -> Iterable[Row]:
        """The rows that belong to a patient by an attribute of their own: all but associations."""
        return (*self.entries, *self.sets, *self.folders)

    def closed(self) -> set[tuple[str, PatientState]]:
        """The patients among these whose record is not open, with its state."""
        rows = (*self.entries, *self.sets, *self.folders, *self.associations)
        return {(row[ROOT_CX], PatientState(row[ROOT_STATE])) for row in rows if row[ROOT_STATE] != _OPEN}

    def leave_out_closed(self) -> None:
        """Only open records stay."""
        kinds = (self.entries, self.sets, self.folders, self.associations)
        self.entries, self.sets, self.folders, self.associations = (
            [row for row in rows if row[ROOT_STATE] == _OPEN] for rows in kinds
        )

    def __len__(self) -> int:
        return len(self.entries) + len(self.sets) + len(self.folders) + len(self.associations)


def _too_many(query: StoredQuery, limit: int, leaf: bool) -> Finding:
    narrower = "Ask with returnType='ObjectRef' and fetch the objects in portions, or narrow the query"
    return Finding(
        rule="SQ-TOO-MANY",
        code=ErrorCode.XDSTooManyResults,
        message=f"more than {limit} objects match, the limit of this registry for {'LeafClass' if leaf else 'ObjectRef'}",
        remedy=narrower if leaf else "Narrow the query",
        object=query.definition.name,
        section="ITI TF-2: 3.18.4.1.2.6",
    )


_PATIENT_WAYS = {"patient": sql.of_patient, "patients": sql.of_patients, "anybody": sql.of_anybody}
_KEY_WAYS = {"uuids": sql.by_uuid, "digests": sql.by_unique_id, "lids": sql.by_logical_id}
_LINK_WAYS = {"sources": sql.members_of, "targets": sql.holders_of}


class Run:
    """One query under way: its connection, its parameters, and what it has found."""

    def __init__(
        self,
        connection: Connection,
        statements: sql.Statements,
        query: StoredQuery,
        leaf: bool,
        visibility: Visibility | None,
        limit: int,
        ids: CodeIds,
    ) -> None:
        self.query = query
        self.found = Found(leaf)
        self._connection = connection
        self._statements = statements
        self._visibility = visibility
        self._vshape = visibility.shape if visibility else None
        self._limit = limit
        self._ids = ids
        self._level = query.metadata_level
        self._by_status = _ASSOCIATION_STATUS in query.parameters
        self._common: dict[str, Any] = {**visibility.parameters} if visibility else {}
        if self._by_status:
            self._common["association_status"] = status_numbers(query.any_of(_ASSOCIATION_STATUS))

    def _execute(self, shape: Hashable, build: Callable[[], sa.Executable], parameters: Mapping[str, Any]) -> list[Row]:
        key = (shape, self.found.leaf, self._limit, self._level > 1, self._by_status, self._vshape)
        rows = self._connection.execute(self._statements.get(key, build), {**self._common, **parameters})
        if len(rows) + len(self.found) > self._limit:
            raise Refused([_too_many(self.query, self._limit, self.found.leaf)])
        return rows

    # -------------------------------------------------------------------------------------------------------- objects

    def objects(
        self,
        kind: Kind,
        way: str,
        values: Any,
        filters: Mapping[str, Filter] | None = None,
        *,
        shown_by_status: bool = False,
        typed: bool = False,
    ) -> list[Row]:
        """Rows of one kind reached by `way` (a key of the three tables of ways) from `values`.

        `typed`: without $XDSDocumentEntryType the answer holds stable entries only. `shown_by_status`: the query's own
        status parameter decides about deprecated folders, not the metadata level.
        """
        filters = filters or {}
        shape = filter_shape(filters, self.query)
        stable = typed and _TYPE not in self.query.parameters
        approved = f"{_STEM[kind]}Status" in filters and self.query.any_of(f"{_STEM[kind]}Status") == _APPROVED_ONLY

        def build() -> sa.Executable:
            item = sql.TABLES[kind].alias("item")
            rows, conditions = self._way(way, item, kind)
            conditions += filter_conditions(filters, shape, item)
            conditions += [item.c.kind == EntryType.STABLE.value] if stable else []
            conditions += self._shown(kind, item, shown_by_status=shown_by_status, approved=approved)
            content = item.c.fragment if self.found.leaf else item.c.home
            columns = (sql.ROOT.c.id, sql.ROOT.c.cx, sql.ROOT.c.state, item.c.uuid, content)
            # Ordering by the join's own column lets SQLite read in order instead of sorting.
            by = sql.MEMBER.c.id if way != "anybody" else item.c.patient
            statement = sa.select(*columns).select_from(rows).where(*conditions)
            return sql.ordered(statement, (by, item.c.id), self._limit + 1)

        parameters = filter_parameters(filters, shape, self.query, self._ids)
        if way != "anybody":
            parameters["uuids" if way == "lids" else way] = values
        return self._execute((kind, way, shape, stable, approved, shown_by_status), build, parameters)

    def _way(self, way: str, item: sql.Item, kind: Kind) -> tuple[sa.FromClause, list[sql.Condition]]:
        if way in _PATIENT_WAYS:
            return _PATIENT_WAYS[way](item)
        if way in _KEY_WAYS:
            return _KEY_WAYS[way](item, kind)
        return _LINK_WAYS[way](item, kind, self._links)

    def _shown(self, kind: Kind, item: sql.Item, *, shown_by_status: bool = False, approved: bool = False) -> list[sql.Condition]:
        """What $MetadataLevel 1 leaves out (ITI TF-2: 3.18.4.1.2.3.5.1.1), and what the caller must not see."""
        conditions = visible(self._visibility, kind, item)
        if self._level > 1 or kind is Kind.SUBMISSION_SET:
            return conditions
        if kind is Kind.DOCUMENT_ENTRY:
            conditions.append(item.c.offline.is_(None))
        elif not shown_by_status:
            return [*conditions, item.c.status == sql.APPROVED]  # the approved version is the newest
        if not approved:
            conditions.append(sql.is_latest(item, kind))
        return conditions

    def anchors(self, kind: Kind) -> list[Row]:
        """The objects that the request names by entryUUID, uniqueId or logicalID, whatever the metadata level says of them."""
        return self.objects(kind, *self._named(kind))

    def _named(self, kind: Kind) -> tuple[str, list[bytes]]:
        stem, query = _STEM[kind], self.query
        if f"{stem}UniqueId" in query.parameters:
            return "digests", [unique_id_key(value) for value in query.texts(f"{stem}UniqueId")]
        if f"{stem}LogicalID" in query.parameters:
            return "lids", uuids_of(query.texts(f"{stem}LogicalID"))
        return "uuids", uuids_of(query.texts(f"{stem}EntryUUID"))

    def anchor_uuids(self, kind: Kind) -> list[bytes]:
        """Their entryUUIDs, for following associations: taken from the request where it gives them."""
        way, values = self._named(kind)
        if way == "uuids":
            return values
        item = sql.TABLES[kind].alias("item")
        rows, conditions = sql.by_unique_id(item, kind)
        statement = self._statements.get(("anchors", kind), lambda: sa.select(item.c.uuid).select_from(rows).where(*conditions))
        return [row[0] for row in self._connection.execute(statement, {"digests": values})]

    # --------------------------------------------------------------------------------------------------- associations

    def _links(self, link: sql.Item) -> list[sql.Condition]:
        """The associations that this query may return and follow."""
        conditions = visible(self._visibility, Kind.ASSOCIATION, link)
        if self._by_status:
            conditions.append(in_list(link.c.status, "association_status"))
        if self._level == 1:
            conditions.append(link.c.status == sql.APPROVED)
        return conditions

    def _columns(self, link: sql.Item) -> tuple[sa.ColumnElement[Any], ...]:
        root = sql.ROOT.c
        ends = (link.c.type, link.c.source, link.c.target, link.c.status, link.c.label)
        return (root.id, root.cx, root.state, link.c.uuid, link.c.fragment if self.found.leaf else sa.null().label("home"), *ends)

    def touching(self, uuids: Sequence[bytes], *, related: bool = False) -> list[Row]:
        """Associations with one end among `uuids`.

        `related`: of one of the types in $AssociationTypes, between two documents that are both shown by the type filter.
        """
        shape = filter_shape(TYPE_FILTER, self.query) if related else ()

        def build() -> sa.Executable:
            here, link = object_locator.alias("here"), association.alias("link")
            halves = []
            for end in ("source", "target"):
                rows = here.join(link, sa.and_(link.c.patient == here.c.patient, link.c[end] == here.c.uuid))
                conditions = [in_list(here.c.uuid, "uuids"), *self._links(link)]
                if end == "target":  # the other half has those with both ends in the list
                    conditions.append(~in_list(link.c.source, "uuids"))
                if related:
                    conditions += [in_list(link.c.type, "types"), *self._documents_at_both_ends(link, shape)]
                halves.append(sa.select(link.c.patient, link.c.id).select_from(rows).where(*conditions))
            return self._by_keys(sa.union_all(*halves).subquery("keys"))

        parameters: dict[str, Any] = {"uuids": uuids, **filter_parameters(TYPE_FILTER, shape, self.query, self._ids)}
        if related:
            wanted = self.query.texts("$AssociationTypes")
            parameters["types"] = [ASSOCIATION_BY_URN[urn].db for urn in wanted if urn in ASSOCIATION_BY_URN]
        return self._execute(("touching", related, shape), build, parameters)

    def _by_keys(self, keys: sa.Subquery) -> sa.Executable:
        link = association.alias("link")
        statement = sa.select(*self._columns(link)).select_from(sql.by_keys(link, keys))
        return sql.ordered(statement, (link.c.id, link.c.patient), self._limit + 1)

    def _documents_at_both_ends(self, link: sql.Item, shape: tuple[tuple[str, int], ...]) -> list[sql.Condition]:
        conditions: list[sql.Condition] = []
        for end in ("source", "target"):
            there, entry = object_locator.alias(f"{end}_there"), sql.TABLES[Kind.DOCUMENT_ENTRY].alias(f"{end}_entry")
            of_type = filter_conditions(TYPE_FILTER, shape, entry) or [entry.c.kind == EntryType.STABLE.value]
            same = (there.c.uuid == link.c[end], entry.c.patient == there.c.patient, entry.c.id == there.c.id)
            shown = self._shown(Kind.DOCUMENT_ENTRY, entry)
            conditions.append(sa.exists().where(there.c.kind == Kind.DOCUMENT_ENTRY.value, *same, *of_type, *shown))
        return conditions

    def members(self, sources: Sequence[bytes], targets: Sequence[bytes]) -> list[Row]:
        """HasMember associations from one of `sources` to one of `targets`."""

        def build() -> sa.Executable:
            here, link = object_locator.alias("here"), association.alias("link")
            rows = here.join(link, sa.and_(link.c.patient == here.c.patient, link.c.source == here.c.uuid))
            conditions = [in_list(here.c.uuid, "sources"), in_list(link.c.target, "targets"), link.c.type == sql.HAS_MEMBER]
            keys = sa.select(link.c.patient, link.c.id).select_from(rows).where(*conditions, *self._links(link))
            return self._by_keys(keys.subquery("keys"))

        return self._execute("members", build, {"sources": sources, "targets": targets})

    def members_by_target(self, targets: Sequence[bytes]) -> list[Row]:
        """HasMember associations from any SubmissionSet to one of `targets`."""

        def build() -> sa.Executable:
            here, link, there = object_locator.alias("here"), association.alias("link"), object_locator.alias("there")
            rows = here.join(link, sa.and_(link.c.patient == here.c.patient, link.c.target == here.c.uuid))
            rows = rows.join(there, there.c.uuid == link.c.source)
            from_set = there.c.kind == Kind.SUBMISSION_SET.value
            conditions = [in_list(here.c.uuid, "targets"), link.c.type == sql.HAS_MEMBER, from_set]
            keys = sa.select(link.c.patient, link.c.id).select_from(rows).where(*conditions, *self._links(link))
            return self._by_keys(keys.subquery("keys"))

        return self._execute("members by target", build, {"targets": targets})

    def contained_links(self, sources: Sequence[bytes], ends: Sequence[bytes]) -> list[Row]:
        """Associations that are HasMember targets of `sources` and have both their ends among `ends`."""

        def build() -> sa.Executable:
            here, membership = object_locator.alias("here"), association.alias("membership")
            there, link = object_locator.alias("there"), association.alias("link")
            rows = here.join(membership, sa.and_(membership.c.patient == here.c.patient, membership.c.source == here.c.uuid))
            rows = rows.join(there, there.c.uuid == membership.c.target)
            rows = rows.join(link, sa.and_(link.c.patient == there.c.patient, link.c.id == there.c.id))
            conditions = [
                in_list(here.c.uuid, "sources"),
                membership.c.type == sql.HAS_MEMBER,
                *self._links(membership),
                there.c.kind == Kind.ASSOCIATION.value,
                in_list(link.c.source, "ends"),
                in_list(link.c.target, "ends"),
                *self._links(link),
            ]
            keys = sa.select(link.c.patient, link.c.id).select_from(rows).where(*conditions).distinct()
            return self._by_keys(keys.subquery("keys"))

        return self._execute("contained links", build, {"sources": sources, "ends": ends})


#: The status parameter as a single value: then no older version can be among the results.
_APPROVED_ONLY = ("urn:oasis:names:tc:ebxml-regrep:StatusType:Approved",)


def uuids_of(texts: Iterable[str]) -> list[bytes]:
    """entryUUIDs as stored; what is no UUID names nothing."""
    return [key for key in map(uuid_bytes, texts) if key is not None]


def found_uuids(rows: Iterable[Row]) -> list[bytes]:
    """The entryUUIDs of rows, as stored."""
    return [row[UUID] for row in rows]
