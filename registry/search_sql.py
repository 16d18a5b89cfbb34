"""The SQL words of the stored queries: patterns over lists, the patient joins, the ways to an object's row.

Everything here builds SQLAlchemy expressions whose text depends on the shape of a query alone, never on its values: each
value travels as a parameter, a list of any length as one parameter.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from metadata.vocabulary import AssociationType, AvailabilityStatus
from registry.tables import (
    Kind,
    PatientState,
    association,
    document_entry,
    folder,
    object_locator,
    patient,
    submission_set,
    unique_identifier,
)
from storage.database import in_list
from storage.statement import list_parameter

Condition = sa.ColumnElement[bool]
Item = sa.FromClause

TABLES = {
    Kind.DOCUMENT_ENTRY: document_entry,
    Kind.SUBMISSION_SET: submission_set,
    Kind.FOLDER: folder,
    Kind.ASSOCIATION: association,
}

APPROVED = AvailabilityStatus.APPROVED.db
HAS_MEMBER = AssociationType.HAS_MEMBER.db


# ------------------------------------------------------------------------------------------- patterns (LIKE, no escape)


class _AnyLike(FunctionElement[bool]):
    name = "any_like"
    type = sa.Boolean()
    inherit_cache = True


class _AnyItemLike(FunctionElement[bool]):
    name = "any_item_like"
    type = sa.Boolean()
    inherit_cache = True


@compiles(_AnyLike, "sqlite")
def _any_like_sqlite(element: _AnyLike, compiler: SQLCompiler, **options: Any) -> str:
    column, patterns = (compiler.process(c, **options) for c in element.clauses)
    return f"EXISTS (SELECT 1 FROM json_each({patterns}) AS p WHERE {column} LIKE p.value)"


@compiles(_AnyLike, "postgresql")
def _any_like_postgresql(element: _AnyLike, compiler: SQLCompiler, **options: Any) -> str:
    column, patterns = (compiler.process(c, **options) for c in element.clauses)
    return f"EXISTS (SELECT 1 FROM unnest({patterns}::text[]) AS p (value) WHERE {column} LIKE p.value ESCAPE '')"


@compiles(_AnyItemLike, "sqlite")
def _any_item_like_sqlite(element: _AnyItemLike, compiler: SQLCompiler, **options: Any) -> str:
    column, patterns = (compiler.process(c, **options) for c in element.clauses)
    return f"EXISTS (SELECT 1 FROM json_each({column}) AS i JOIN json_each({patterns}) AS p ON i.value LIKE p.value)"


@compiles(_AnyItemLike, "postgresql")
def _any_item_like_postgresql(element: _AnyItemLike, compiler: SQLCompiler, **options: Any) -> str:
    column, patterns = (compiler.process(c, **options) for c in element.clauses)
    return (
        f"EXISTS (SELECT 1 FROM json_array_elements_text({column}::json) AS i (value) "
        f"JOIN unnest({patterns}::text[]) AS p (value) ON i.value LIKE p.value ESCAPE '')"
    )


def any_like(column: sa.ColumnElement[Any], name: str) -> Condition:
    """The text column matches one of the patterns in list parameter `name`. `%` and `_` alone have a meaning; case counts.

    No escape character: a query cannot ask for a literal `%` (ITI TF-2: 3.18.4.1.2.3.5 has none). SQLite's connections run
    with case_sensitive_like.
    """
    return _AnyLike(column, list_parameter(name))


def any_item_like(column: sa.ColumnElement[Any], name: str) -> Condition:
    """One item of the JSON array in the column matches one of the patterns in list parameter `name`."""
    return _AnyItemLike(column, list_parameter(name))


def true_only(condition: Condition) -> Condition:
    """The condition with NULL counted as false, so that its negation holds for rows without the value."""
    return sa.func.coalesce(condition, sa.false())


# ------------------------------------------------------------------------------------------------------ patient joins

#: `asked`: the row of the id in the query; `root`: the row that stands for the person; `member`: every row of the person.
ASKED, ROOT, MEMBER = patient.alias("asked"), patient.alias("root"), patient.alias("member")


def of_patient(item: Item) -> tuple[sa.FromClause, list[Condition]]:
    """Everything of the person whom parameter `patient` names; a subsumed id names nobody."""
    rows = ASKED.join(ROOT, ROOT.c.id == ASKED.c.cluster).join(MEMBER, MEMBER.c.cluster == ASKED.c.cluster)
    rows = rows.join(item, item.c.patient == MEMBER.c.id)
    asked = sa.bindparam("patient", type_=sa.Text, required=True)
    return rows, [ASKED.c.cx == asked, ASKED.c.state != PatientState.SUBSUMED.value]


def of_patients(item: Item) -> tuple[sa.FromClause, list[Condition]]:
    """Everything of the persons whom list parameter `patients` names."""
    clusters = sa.select(ASKED.c.cluster).where(in_list(ASKED.c.cx, "patients"), ASKED.c.state != PatientState.SUBSUMED.value)
    rows = MEMBER.join(ROOT, ROOT.c.id == MEMBER.c.cluster).join(item, item.c.patient == MEMBER.c.id)
    return rows, [MEMBER.c.cluster.in_(clusters)]


def of_anybody(item: Item) -> tuple[sa.FromClause, list[Condition]]:
    """Everything there is: for multi-patient queries without a patient."""
    return with_patient(item, item), []


def with_patient(rows: sa.FromClause, item: Item) -> sa.FromClause:
    """`rows` joined to the row that stands for the item's person."""
    return rows.join(MEMBER, MEMBER.c.id == item.c.patient).join(ROOT, ROOT.c.id == MEMBER.c.cluster)


# ------------------------------------------------------------------------------------------------- ways to one object


def by_uuid(item: Item, kind: Kind) -> tuple[sa.FromClause, list[Condition]]:
    """The objects of this kind with the entryUUIDs of list parameter `uuids`."""
    there = object_locator.alias("there")
    rows = there.join(item, sa.and_(item.c.patient == there.c.patient, item.c.id == there.c.id))
    return with_patient(rows, item), [in_list(there.c.uuid, "uuids"), there.c.kind == kind.value]


def by_unique_id(item: Item, kind: Kind) -> tuple[sa.FromClause, list[Condition]]:
    """The objects of this kind whose uniqueId has its key in list parameter `digests`."""
    there = unique_identifier.alias("there")
    rows = there.join(item, sa.and_(item.c.patient == there.c.patient, item.c.id == there.c.id))
    return with_patient(rows, item), [in_list(there.c.digest, "digests"), there.c.kind == kind.value]


def by_logical_id(item: Item, kind: Kind) -> tuple[sa.FromClause, list[Condition]]:
    """Every version of the logical objects of list parameter `uuids`: the first has no lid of its own, its uuid is the lid."""
    table = TABLES[kind].alias("version")
    there = object_locator.alias("there")
    first = (
        sa.select(table.c.patient, table.c.id)
        .select_from(there.join(table, sa.and_(table.c.patient == there.c.patient, table.c.id == there.c.id)))
        .where(in_list(there.c.uuid, "uuids"), there.c.kind == kind.value, table.c.lid.is_(None))
    )
    later = sa.select(table.c.patient, table.c.id).where(in_list(table.c.lid, "uuids"))
    return by_keys(item, sa.union_all(first, later).subquery("keys")), []


def by_keys(item: Item, keys: sa.Subquery) -> sa.FromClause:
    """The rows whose (patient, id) stands in `keys`, which holds no key twice."""
    rows = keys.join(item, sa.and_(item.c.patient == keys.c.patient, item.c.id == keys.c.id))
    return with_patient(rows, item)


def members_of(item: Item, kind: Kind, links: Callable[[Item], list[Condition]]) -> tuple[sa.FromClause, list[Condition]]:
    """The objects of this kind that are HasMember targets of the objects of list parameter `sources`.

    `links` gives further conditions on the association that is followed.
    """
    return _linked(item, kind, links, start="source", end="target", name="sources")


def holders_of(item: Item, kind: Kind, links: Callable[[Item], list[Condition]]) -> tuple[sa.FromClause, list[Condition]]:
    """The objects of this kind that have the objects of list parameter `targets` as HasMember targets."""
    return _linked(item, kind, links, start="target", end="source", name="targets")


def _linked(
    item: Item, kind: Kind, links: Callable[[Item], list[Condition]], *, start: str, end: str, name: str
) -> tuple[sa.FromClause, list[Condition]]:
    here, link, there = object_locator.alias("here"), association.alias("link"), object_locator.alias("there")
    rows = here.join(link, sa.and_(link.c.patient == here.c.patient, link.c[start] == here.c.uuid))
    rows = rows.join(there, there.c.uuid == link.c[end])
    keys = (
        sa.select(there.c.patient, there.c.id)
        .select_from(rows)
        .where(in_list(here.c.uuid, name), link.c.type == HAS_MEMBER, there.c.kind == kind.value, *links(link))
        .distinct()
    )
    return by_keys(item, keys.subquery("keys")), []


# ----------------------------------------------------------------------------------------------------- metadata level


def is_latest(item: Item, kind: Kind) -> Condition:
    """No newer version of the same logical object. An Approved version is the newest (ITI TF-3: 4.1.5): it is not looked up."""
    newer = TABLES[kind].alias("newer")
    lid = sa.func.coalesce(item.c.lid, item.c.uuid)
    return sa.or_(item.c.status == APPROVED, ~sa.exists().where(newer.c.lid == lid, newer.c.version > item.c.version))


# -------------------------------------------------------------------------------------------------------- statements


class Statements:
    """Statements by shape, each built once. Clients decide on shapes, so their number is bounded: when full, all are dropped."""

    LIMIT = 512

    def __init__(self) -> None:
        self._built: dict[Hashable, sa.Executable] = {}
        self._lock = threading.Lock()

    def get(self, shape: Hashable, build: Callable[[], sa.Executable]) -> sa.Executable:
        found = self._built.get(shape)
        if found is None:
            with self._lock:
                if len(self._built) >= self.LIMIT:
                    self._built.clear()
                found = self._built.setdefault(shape, build())
        return found

    def __len__(self) -> int:
        return len(self._built)


def ordered(statement: sa.Select[Any], keys: Sequence[sa.ColumnElement[Any]], limit: int) -> sa.Select[Any]:
    """In the order of registration, at most `limit` rows.

    The limit stands in the text: SQLite looks at a limit that is a parameter, and prepares the statement anew at every use.
    """
    return statement.order_by(*keys).limit(sa.literal_column(str(limit))).offset(sa.literal_column("0"))
