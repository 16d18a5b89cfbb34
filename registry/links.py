"""What hangs on a registered DocumentEntry or Folder, for updates: its associations, and which ends have newer versions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import sqlalchemy as sa

from metadata.rules.rule import Existing, Linked
from metadata.vocabulary import AssociationType, AvailabilityStatus, ObjectKind
from registry.identifiers import uuid_bytes, uuid_text
from registry.tables import association, document_entry, folder, object_locator
from storage.database import Connection, Row, in_list

_COLUMNS = tuple(association.c[name] for name in ("patient", "id", "uuid", "status", "type", "source", "target"))


def _touching(end: str) -> sa.Select[tuple[object, ...]]:
    """Approved associations with this end at the object `uuid`, under the object's patient."""
    joined = object_locator.join(
        association, sa.and_(association.c.patient == object_locator.c.patient, association.c[end] == object_locator.c.uuid)
    )
    return (
        sa.select(*_COLUMNS)
        .select_from(joined)
        .where(
            object_locator.c.uuid == sa.bindparam("uuid", type_=sa.LargeBinary),
            association.c.status == AvailabilityStatus.APPROVED.db,
        )
        .order_by(association.c.id)
    )


_TRANSFORMS: sa.Select[tuple[str]] = (
    sa.select(sa.literal_column("1"))
    .select_from(
        object_locator.join(
            association,
            sa.and_(association.c.patient == object_locator.c.patient, association.c.source == object_locator.c.uuid),
        )
    )
    .where(
        object_locator.c.uuid == sa.bindparam("uuid", type_=sa.LargeBinary),
        # Not XFRM_RPLC: its source stands in for a deprecated document, and would have no way to get an addendum.
        association.c.type == AssociationType.XFRM.db,
        association.c.status == AvailabilityStatus.APPROVED.db,
    )
    .limit(sa.literal_column("1"))
)

_FROM_HERE, _TO_HERE = _touching("source"), _touching("target")


def _newest(table: sa.Table) -> sa.Select[tuple[bytes, int]]:
    return sa.select(table.c.lid, sa.func.max(table.c.version)).where(in_list(table.c.lid, "lids")).group_by(table.c.lid)


_NEWEST = {ObjectKind.DOCUMENT_ENTRY: _newest(document_entry), ObjectKind.FOLDER: _newest(folder)}


def approved(connection: Connection, uuid: bytes) -> list[Row]:
    """(patient, id, uuid, status, type, source, target) of the approved associations of this object, those that start at it
    first."""
    return [*connection.execute(_FROM_HERE, {"uuid": uuid}), *connection.execute(_TO_HERE, {"uuid": uuid})]


def is_transformation(connection: Connection, uuid: bytes) -> bool:
    """Whether this DocumentEntry is the source of an approved XFRM association."""
    return bool(connection.execute(_TRANSFORMS, {"uuid": uuid}))


def linked(
    connection: Connection, associations: Sequence[Existing], far: Mapping[str, str], known: Mapping[str, Existing]
) -> list[Linked]:
    """The associations with the DocumentEntry or Folder at their far end (`far`: by their entryUUID), those of SubmissionSets
    left out."""
    ends = [(one, known.get(far[one.entryUUID])) for one in associations]
    between = [(one, other) for one, other in ends if other is not None and other.kind in _NEWEST]
    old = superseded(connection, (other for _, other in between))
    return [Linked(one, other, other.entryUUID not in old) for one, other in between]


def superseded(connection: Connection, objects: Iterable[Existing]) -> set[str]:
    """The entryUUIDs of those DocumentEntries and Folders that have a newer version. One statement for each kind."""
    by_kind: dict[ObjectKind, list[Existing]] = {}
    for one in objects:
        by_kind.setdefault(one.kind, []).append(one)
    old: set[str] = set()
    for kind, found in by_kind.items():
        lids = sorted({b for e in found if (b := uuid_bytes(e.logicalID))})
        newest = {uuid_text(lid): version for lid, version in connection.execute(_NEWEST[kind], {"lids": lids})}
        old.update(e.entryUUID for e in found if newest.get(e.logicalID, 1) > e.version)
    return old
