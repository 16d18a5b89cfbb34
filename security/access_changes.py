"""Which rows of the matrix a change of metadata asks: new versions of DocumentEntries, and their statuses (TD3.3a to d)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields

from metadata.french import MASKING_OID
from metadata.model import Code, DocumentEntry
from metadata.vocabulary import AvailabilityStatus
from security.access import INVISIBLE, MASKED, MASKS, SECRET

#: What the registry sets, what is the object's own name, and what is compared for itself.
_NOT_COMPARED = frozenset(
    {"raw", "entryUUID", "logicalID", "version", "availabilityStatus", "patientId", "confidentialityCode", "limitedMetadata"}
)
_APPROVED, _ARCHIVED, _DELETED = AvailabilityStatus.APPROVED.urn, AvailabilityStatus.ARCHIVED.urn, AvailabilityStatus.DELETED.urn
_STATUS_ROWS = {(_APPROVED, _ARCHIVED): "TD3.3d-archive", (_ARCHIVED, _APPROVED): "TD3.3d-unarchive"}


def masks_of(codes: Iterable[Code]) -> frozenset[str]:
    """The masking codes among confidentiality codes."""
    return frozenset(one.code for one in codes if one.scheme == MASKING_OID and one.code in MASKS)


def rows_of_version(before: DocumentEntry, after: DocumentEntry) -> tuple[list[str], list[str]]:
    """The rows that a new version asks, and the attributes whose change no row is for. Display names do not count."""
    old, new = masks_of(before.confidentialityCode), masks_of(after.confidentialityCode)
    rows = [row for row, changed in (
        ("TD3.3a-mask", MASKED in new - old),
        ("TD3.3a-unmask", MASKED in old - new),
        ("TD3.3b-visible", bool((old - new) & {INVISIBLE, SECRET})),
    ) if changed]  # fmt: skip
    others = [f"confidentialityCode {code}" for code in sorted((new - old) & {INVISIBLE, SECRET})]
    if _plain(before.confidentialityCode) != _plain(after.confidentialityCode):
        others.append("confidentialityCode")
    for one in fields(DocumentEntry):
        if one.name not in _NOT_COMPARED and _told(getattr(before, one.name)) != _told(getattr(after, one.name)):
            others.append(one.name)
    return rows, others


def row_of_status(before: str, after: str) -> str | None:
    """The row that a change of availabilityStatus (URNs) asks; None where no row is for it."""
    if after == _DELETED and before != _DELETED:
        return "TD3.3c-delete"
    return _STATUS_ROWS.get((before, after))


def _plain(codes: Iterable[Code]) -> set[tuple[str, str]]:
    return {(one.code, one.scheme) for one in codes if one.scheme != MASKING_OID or one.code not in MASKS}


def _told(value: object) -> object:
    if isinstance(value, Code):
        return value.code, value.scheme
    if isinstance(value, tuple):
        return tuple(_told(one) for one in value)
    return value or None
