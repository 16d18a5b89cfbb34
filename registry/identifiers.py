"""entryUUIDs as the 16 bytes of a column, and new ones that grow with time."""

from __future__ import annotations

import os
import time
from uuid import UUID

_PREFIX = "urn:uuid:"


def uuid_bytes(entry_uuid: str) -> bytes | None:
    """`urn:uuid:...` as 16 bytes; None for a symbolic id or anything else."""
    if len(entry_uuid) != 45 or not entry_uuid.startswith(_PREFIX):
        return None
    try:
        return bytes.fromhex(entry_uuid[9:].replace("-", ""))
    except ValueError:
        return None


def uuid_text(value: bytes) -> str:
    """16 bytes as `urn:uuid:...`, in lower case."""
    h = value.hex()
    return f"{_PREFIX}{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"


def new_uuid() -> str:
    """A version 7 UUID (RFC 9562, 5.7): new keys stand side by side in the index instead of all over it."""
    milliseconds = time.time_ns() // 1_000_000
    number = (milliseconds << 80) | (7 << 76) | int.from_bytes(os.urandom(10), "big")
    number &= ~(0xF << 76) | (7 << 76)
    number = number & ~(0x3 << 62) | (0x2 << 62)
    return UUID(int=number).urn
