"""Documents as the wire hands them over, for the repository's tests."""

from __future__ import annotations

import hashlib

from repository.content import FileStore, StoreOptions
from soap.staging import Part, PartWriter

ROOMY = StoreOptions(headroom=0)


def staged(store: FileStore, content: bytes, content_id: str = "d1", memory: int = 64 * 1024) -> Part:
    """`content` received as the wire receives it: in memory when small, else in a staging file of the store."""
    writer = PartWriter(store.staging, memory, content_id, "application/octet-stream")
    for start in range(0, len(content), 256 * 1024):
        writer.write(content[start : start + 256 * 1024])
    return writer.finish()


def name_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
