"""Documents as the wire hands them over, for the repository's tests."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from repository.content import FileStore, StoreOptions
from repository.index import Deposit, StoredDocument
from repository.tables import DocumentState
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


def row(unique_id: str, content: bytes, state: DocumentState = DocumentState.REGISTERED, stored_at: int = 1000) -> StoredDocument:
    """The index row of `content` under `unique_id`."""
    sha1 = hashlib.sha1(content, usedforsecurity=False).digest()
    digest = hashlib.sha256(content).digest()
    return StoredDocument(unique_id, digest, sha1, len(content), "text/plain", "P1^^^&1.2.3&ISO", state, stored_at)


def small(documents: Mapping[str, bytes], stored_at: int = 1000) -> Deposit:
    """A deposit of small documents (uniqueId -> bytes)."""
    rows = tuple(row(unique_id, content, stored_at=stored_at) for unique_id, content in documents.items())
    return Deposit(rows, {hashlib.sha256(content).digest(): content for content in documents.values()})


def large(store: FileStore, documents: Mapping[str, bytes], stored_at: int = 1000) -> Deposit:
    """A deposit of documents that are kept as files (uniqueId -> bytes)."""
    for content in documents.values():
        store.keep(staged(store, content, memory=-1))
    return Deposit(tuple(row(unique_id, content, stored_at=stored_at) for unique_id, content in documents.items()), {})
