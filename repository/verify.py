"""Is everything that was acknowledged still there, whole, and known on both sides?

`check_store` reads every stored byte again and compares three things: what the repository's index says, what the store
holds, and what the registry says of the documents. It changes nothing and may run beside a working server; a document that
comes or goes while it runs is judged by what is true when its row or file is met.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from repository.content import FileStore
from repository.index import DocumentIndex, StoredDocument
from repository.tables import DocumentState


class Defect(Enum):
    """What can be wrong. `DAMAGED`, `MISSING` and `UNSTORED` mean that a document cannot be delivered."""

    DAMAGED = "the stored bytes do not agree with their SHA-256"
    MISSING = "the index knows the document, the store does not hold its bytes"
    WRONG_SIZE = "the stored bytes are more or fewer than the index says"
    UNSTORED = "the registry knows the document, the repository does not"
    DIFFERENT = "registry and repository disagree on hash or size"
    UNREGISTERED = "the repository holds the document as registered, the registry does not know it"
    ORPHAN = "stored bytes that belong to no document"
    PENDING = "stored, and its registration was never answered"
    REMOVED = "the registry knows the document, which was removed here (ITI-86)"


#: Left behind by interrupted submissions and removed by the collector, or meant so: no reason to call the store unsound.
HARMLESS = frozenset({Defect.ORPHAN, Defect.PENDING, Defect.REMOVED})


@dataclass(frozen=True, slots=True)
class StoreFinding:
    """One defect. `subject` is a document's uniqueId or a content's SHA-256."""

    defect: Defect
    subject: str


@dataclass(slots=True)
class StoreReport:
    """What was read (documents, contents, bytes, registered entries) and what was found. `findings` holds the first `limit`."""

    documents: int = 0
    contents: int = 0
    bytes: int = 0
    entries: int = 0
    counts: Counter[Defect] = field(default_factory=Counter)
    findings: list[StoreFinding] = field(default_factory=list)
    limit: int = 10_000

    @property
    def sound(self) -> bool:
        """True when every document can be delivered and both sides agree."""
        return not set(self.counts) - HARMLESS

    def add(self, defect: Defect, subject: str) -> None:
        self.counts[defect] += 1
        if len(self.findings) < self.limit:
            self.findings.append(StoreFinding(defect, subject))


@dataclass(frozen=True, slots=True)
class RegisteredDocument:
    """What the registry says of a stable DocumentEntry of this repository. `hash` is SHA-1 in hex, `size` in bytes."""

    uniqueId: str
    hash: str
    size: int


class RegistryView(Protocol):
    """The registry as the check needs it; the wiring answers it, from the same database or by stored queries."""

    def documents(self) -> Iterator[Sequence[RegisteredDocument]]:
        """Every stable DocumentEntry whose repositoryUniqueId is this repository's, in pages, in any order."""

    def registered(self, unique_ids: Sequence[str]) -> Mapping[str, Set[str]]:
        """Those of the uniqueIds that some DocumentEntry has, with the hashes (SHA-1, lower-case hex) it is registered with."""


Progress = Callable[[StoreReport], None]


def check_store(
    store: FileStore, index: DocumentIndex, registry: RegistryView | None = None, progress: Progress | None = None
) -> StoreReport:
    """Read everything. `registry` None checks the repository alone; `progress` is called after each page of work."""
    report = StoreReport()
    tell = progress or (lambda _: None)
    _check_rows(store, index, registry, report, tell)
    _check_blobs(index, report, tell)
    _check_files(store, index, report, tell)
    if registry is not None:
        _check_entries(index, registry, report, tell)
    return report


def _check_rows(
    store: FileStore, index: DocumentIndex, registry: RegistryView | None, report: StoreReport, tell: Progress
) -> None:
    """Each row of the index: are its bytes there, as many as it says, and does the registry know it?"""
    for page in index.rows():
        known = registry.registered([d.uniqueId for d, _ in page]) if registry is not None else None
        for found, in_row in page:
            if found.state is DocumentState.REMOVED:
                continue
            report.documents += 1
            size = in_row if in_row is not None else _file_size(store, found)
            if size is None:
                report.add(Defect.MISSING, found.uniqueId)
            elif size != found.size:
                report.add(Defect.WRONG_SIZE, found.uniqueId)
            if found.state is DocumentState.PENDING:
                report.add(Defect.PENDING, found.uniqueId)
            elif known is not None and found.uniqueId not in known and found.state is not DocumentState.HIDDEN:
                report.add(Defect.UNREGISTERED, found.uniqueId)
        tell(report)


def _file_size(store: FileStore, found: StoredDocument) -> int | None:
    content = store.stat(found.sha256.hex())
    return None if content is None else content.size


def _check_blobs(index: DocumentIndex, report: StoreReport, tell: Progress) -> None:
    for page in index.blobs():
        referenced = index.referenced([sha256 for sha256, _ in page])
        for sha256, content in page:
            sound = hashlib.sha256(content).digest() == sha256
            _count_content(report, sha256, len(content), sound, sha256 in referenced)
        tell(report)


def _check_files(store: FileStore, index: DocumentIndex, report: StoreReport, tell: Progress) -> None:
    for contents in store.folders():
        referenced = index.referenced([bytes.fromhex(c.sha256) for c in contents])
        for content in contents:
            sound = store.digest(content.sha256) == content.sha256
            sha256 = bytes.fromhex(content.sha256)
            _count_content(report, sha256, content.size, sound, sha256 in referenced)
            tell(report)


def _count_content(report: StoreReport, sha256: bytes, size: int, sound: bool, referenced: bool) -> None:
    report.contents += 1
    report.bytes += size
    if not sound:
        report.add(Defect.DAMAGED, sha256.hex())
    if not referenced:
        report.add(Defect.ORPHAN, sha256.hex())


def _check_entries(index: DocumentIndex, registry: RegistryView, report: StoreReport, tell: Progress) -> None:
    for page in registry.documents():
        stored = index.find(entry.uniqueId for entry in page)
        withdrawn = index.withdrawn([entry.uniqueId for entry in page if entry.uniqueId not in stored])
        for entry in page:
            report.entries += 1
            found = stored.get(entry.uniqueId)
            if found is None:
                report.add(Defect.REMOVED if entry.uniqueId in withdrawn else Defect.UNSTORED, entry.uniqueId)
            elif not _agree(entry, found):
                report.add(Defect.DIFFERENT, entry.uniqueId)
        tell(report)


def _agree(entry: RegisteredDocument, found: StoredDocument) -> bool:
    return entry.hash.lower() == found.sha1.hex() and entry.size == found.size
