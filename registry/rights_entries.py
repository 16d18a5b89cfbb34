"""What of registered documents decides about rights (`security.access.EntryState`), read for a few of them at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from metadata.french import MASKING_OID
from metadata.signature_entry import FORMAT_CODES, SIGNATURE_CLASS
from metadata.vocabulary import AvailabilityStatus
from registry.codes import CodeBook
from registry.rights import Writer
from registry.tables import Kind, document_entry, entry_writer, object_locator, unique_id_key, unique_identifier
from security.access import MASKS, EntryState
from storage.database import Connection, Row, in_list

_entry = document_entry.c
_COLUMNS = (
    _entry.uuid, _entry.lid, _entry.version, _entry.patient, _entry.status, _entry.confidentiality_codes, _entry.format_code,
    _entry.class_code, _entry.unique_id,
)  # fmt: skip
UUID, LID, VERSION, PATIENT, STATUS, MASKING, FORMAT, CLASS, UNIQUE_ID = range(9)
_BY_UUID = (
    sa.select(*_COLUMNS)
    .select_from(
        object_locator.join(
            document_entry, sa.and_(_entry.patient == object_locator.c.patient, _entry.id == object_locator.c.id)
        )
    )
    .where(in_list(object_locator.c.uuid, "uuids"), object_locator.c.kind == sa.literal_column(str(int(Kind.DOCUMENT_ENTRY))))
)
_BY_UNIQUE_ID = (
    sa.select(*_COLUMNS)
    .select_from(
        unique_identifier.join(
            document_entry, sa.and_(_entry.patient == unique_identifier.c.patient, _entry.id == unique_identifier.c.id)
        )
    )
    .where(in_list(unique_identifier.c.digest, "digests"))
)
_LATER = sa.select(*_COLUMNS).where(in_list(_entry.lid, "lids"))
_WRITERS = sa.select(entry_writer.c.lid, entry_writer.c.role, entry_writer.c.who).where(in_list(entry_writer.c.lid, "lids"))
_STATUS_NAMES = {status.db: status.name for status in AvailabilityStatus}


@dataclass(frozen=True, slots=True)
class Known:
    """One version of a document: entryUUID and logicalID as stored, and what decides. `newest`: no later version is there."""

    uuid: bytes
    lid: bytes
    uniqueId: str
    newest: bool
    state: EntryState


def by_uuid(connection: Connection, codes: CodeBook, uuids: Collection[bytes]) -> list[Known]:
    """The DocumentEntries with these entryUUIDs; what is none is left out."""
    return _known(connection, codes, connection.execute(_BY_UUID, {"uuids": list(uuids)}), uuids) if uuids else []


def by_unique_id(connection: Connection, codes: CodeBook, unique_ids: Collection[str]) -> list[Known]:
    """Every version of every DocumentEntry with one of these uniqueIds."""
    digests = {unique_id_key(one) for one in unique_ids}
    rows = connection.execute(_BY_UNIQUE_ID, {"digests": list(digests)}) if digests else []
    wanted = set(unique_ids)
    return _known(connection, codes, [row for row in rows if row[UNIQUE_ID] in wanted], digests)


def _known(connection: Connection, codes: CodeBook, rows: Sequence[Row], asked: Collection[bytes]) -> list[Known]:
    """Statements are the same whether any row was found or not, so that what is hidden takes no longer than what is unknown:
    then they are `asked` about keys that no version has."""
    lids = {_lid(row) for row in rows} or set(asked)
    versions: dict[bytes, list[Row]] = defaultdict(list)
    for row in connection.execute(_LATER, {"lids": list(lids)}):
        versions[bytes(row[LID])].append(row)
    writers: dict[bytes, list[tuple[int, str]]] = defaultdict(list)
    for lid, role, who in connection.execute(_WRITERS, {"lids": list(lids)}):
        writers[bytes(lid)].append((role, who))
    numbers = {number: mask for (mask, _), number in codes.known(connection, [(m, MASKING_OID) for m in MASKS]).items()}
    found = []
    for row in rows:
        lid = _lid(row)
        later = [one for one in versions[lid] if one[VERSION] > row[VERSION]]
        masks = frozenset(mask for one in (row, *later) for mask in _masks(one[MASKING], numbers))
        state = EntryState(
            patient=row[PATIENT],
            masks=masks,
            signature=_is_signature(connection, codes, row),
            status=_STATUS_NAMES[row[STATUS]],
            persons=_who(writers[lid], Writer.PERSON),
            structures=_who(writers[lid], Writer.STRUCTURE),
            by_patient=any(role == Writer.PATIENT for role, _ in writers[lid]),
        )
        found.append(Known(bytes(row[UUID]), lid, row[UNIQUE_ID] or "", not later, state))
    return found


def _lid(row: Row) -> bytes:
    return bytes(row[LID] or row[UUID])


def _masks(numbers_text: str | None, numbers: dict[int, str]) -> list[str]:
    listed = [int(one) for one in (numbers_text or "").split(",") if one]
    return [numbers[one] for one in listed if one in numbers]


def _is_signature(connection: Connection, codes: CodeBook, row: Row) -> bool:
    format_code = codes.key(connection, row[FORMAT])[0] if row[FORMAT] else ""
    class_code = codes.key(connection, row[CLASS])[0] if row[CLASS] else ""
    return format_code in FORMAT_CODES or class_code == SIGNATURE_CLASS


def _who(writers: Iterable[tuple[int, str]], role: Writer) -> frozenset[str]:
    return frozenset(who for kind, who in writers if kind == role and who)
