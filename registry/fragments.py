"""Stored fragments: each object's finished ebRIM element, deflated against a preset dictionary (ITI TF-3: 4.2.1, 4.2.3.1).

The first byte of a packed fragment names its dictionary; the rest is a raw deflate stream. A dictionary lives for ever: a new
one gets a new number and a new file beside the old ones, because every stored row needs the one it was packed with. The number
tells the form too: what was packed with 1 has the attributes in another order and is no canonical XML, and it keeps its number
when it is changed; whatever has number 2 is (`metadata/fragments.py`).
`benchmarks/fragment_dictionary.py` makes one and tells what it gains: a DocumentEntry of 6.7 kB becomes 450 bytes.
"""

from __future__ import annotations

import zlib
from functools import cache
from pathlib import Path
from typing import Any

from metadata.fragments import build_fragment, is_canonical
from metadata.fragments import with_slot_value as _with_slot_value
from metadata.fragments import with_status as _with_status
from metadata.model import DocumentEntry, Folder, SubmissionSet
from metadata.vocabulary import AvailabilityStatus
from registry.plan import FIRST, NewAssociation, Version

#: The dictionary that new fragments are packed with.
CURRENT = 2
#: The one of fragments that are no canonical XML.
OTHER_FORM = 1

_RAW_DEFLATE = -15
_APPROVED = AvailabilityStatus.APPROVED.urn


@cache
def _dictionary(number: int) -> bytes:
    return (Path(__file__).parent / f"dictionary_{number}.dict").read_bytes()


@cache
def _compressor(number: int) -> zlib._Compress:
    """An unused compressor, its dictionary digested once; each use copies it."""
    return zlib.compressobj(6, zlib.DEFLATED, _RAW_DEFLATE, 8, zlib.Z_DEFAULT_STRATEGY, _dictionary(number))


@cache
def _decompressor(number: int) -> zlib._Decompress:
    return zlib.decompressobj(_RAW_DEFLATE, _dictionary(number))


def pack(fragment: bytes, number: int = CURRENT) -> bytes:
    """The bytes of the column `fragment`, packed with the dictionary `number`."""
    compressor = _compressor(number).copy()
    return b"".join((bytes((number,)), compressor.compress(fragment), compressor.flush()))


def pack_foreign(fragment: bytes) -> bytes:
    """The same for a fragment that comes from another store, in whichever form it is."""
    return pack(fragment, CURRENT if is_canonical(fragment) else OTHER_FORM)


def canonical(packed: bytes) -> bool:
    """Whether the fragment in it is canonical XML where it stands in an answer."""
    return packed[0] != OTHER_FORM


def unpack(packed: bytes) -> bytes:
    """The fragment that `pack` was given. zlib.error or FileNotFoundError when the row is damaged."""
    decompressor = _decompressor(packed[0]).copy()
    fragment = decompressor.decompress(packed[1:])
    if not decompressor.eof:
        raise zlib.error("the stored fragment is cut off")
    return fragment


# ------------------------------------------------------------------------------------------------------------- new objects


def entry_fragment(entry: DocumentEntry, uuid: str, version: Version = FIRST) -> bytes:
    """A new DocumentEntry: Approved and the first version unless `version` says otherwise."""
    return pack(build_fragment(entry, id=uuid, patient_marker=True, **_versioned(version)))


def set_fragment(one: SubmissionSet, uuid: str) -> bytes:
    """A new SubmissionSet."""
    return pack(build_fragment(one, id=uuid, status=_APPROVED, patient_marker=True))


def folder_fragment(one: Folder, uuid: str, now: str, version: Version = FIRST) -> bytes:
    """A new Folder: its lastUpdateTime is the registry's, whatever was sent (ITI TF-2: 3.42.4.1.3.6)."""
    slots = {"lastUpdateTime": (now,)}
    return pack(build_fragment(one, id=uuid, slots=slots, patient_marker=True, **_versioned(version)))


def _versioned(version: Version) -> dict[str, Any]:
    return {"lid": version.logicalID or None, "version": version.number, "status": version.status.urn}


def association_fragment(link: NewAssociation) -> bytes | None:
    """A new Association, or None when its columns say all of it: type, ends, status and SubmissionSetStatus."""
    sent = link.sent
    if sent is None:
        return None
    raw = sent.raw
    more = raw.home or raw.name or raw.description or raw.classifications or raw.externalIdentifiers
    if not more and all(slot.name == "SubmissionSetStatus" for slot in raw.slots):
        return None
    return pack(build_fragment(sent, id=link.uuid, status=link.status.urn, source=link.source, target=link.target))


# ----------------------------------------------------------------------------------------------------------------- changes


def with_status(packed: bytes, status: AvailabilityStatus) -> bytes:
    """The same object with another availabilityStatus."""
    return pack(_with_status(unpack(packed), status.urn), packed[0])


def with_last_update_time(packed: bytes, now: str) -> bytes:
    """The same Folder with another lastUpdateTime."""
    return pack(_with_slot_value(unpack(packed), "lastUpdateTime", now), packed[0])
