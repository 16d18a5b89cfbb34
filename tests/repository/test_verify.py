"""The check of the store: every defect is found, named, and told from what is harmless."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path

import pytest
import sqlalchemy as sa

from repository.content import FileStore
from repository.index import DocumentIndex
from repository.tables import blob, document
from repository.verify import Defect, RegisteredDocument, RegistryView, StoreReport, check_store
from storage.database import Database
from tests.repository.received import large, name_of, small, staged

SMALL = {"1.1": b"premier", "1.2": b"second"}
LARGE = {"2.1": os.urandom(70_000), "2.2": os.urandom(80_000)}


def sha1(content: bytes) -> str:
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()


class Registered(RegistryView):
    """A registry with these entries."""

    def __init__(self, entries: Sequence[RegisteredDocument]) -> None:
        self.entries = list(entries)

    def documents(self) -> Iterator[Sequence[RegisteredDocument]]:
        yield self.entries

    def registered(self, unique_ids: Sequence[str]) -> Mapping[str, Set[str]]:
        return {e.uniqueId: {e.hash} for e in self.entries if e.uniqueId in unique_ids}


@pytest.fixture
def registry() -> Registered:
    return Registered([RegisteredDocument(key, sha1(content).upper(), len(content)) for key, content in (SMALL | LARGE).items()])


@pytest.fixture(autouse=True)
def filled(store: FileStore, database: Database) -> None:
    database.write(small(SMALL).store)
    database.write(large(store, LARGE).store)


def blob_path(store: FileStore, content: bytes) -> Path:
    name = name_of(content)
    return store.blobs / name[:2] / name[2:4] / name


def found(report: StoreReport) -> set[tuple[Defect, str]]:
    return {(finding.defect, finding.subject) for finding in report.findings}


def test_a_sound_store(store: FileStore, index: DocumentIndex, registry: Registered) -> None:
    pages: list[int] = []
    report = check_store(store, index, registry, progress=lambda so_far: pages.append(so_far.documents))
    assert (report.documents, report.contents, report.entries) == (4, 4, 4)
    assert report.bytes == sum(map(len, (SMALL | LARGE).values()))
    assert report.sound and not report.findings
    assert pages[-1] == 4


def change_row(database: Database, content: bytes, new: bytes) -> None:
    statement = sa.update(blob).where(blob.c.sha256 == sa.bindparam("key")).values(bytes=sa.bindparam("content"))
    database.write(lambda c: c.execute(statement, {"key": bytes.fromhex(name_of(content)), "content": new}))


def test_damaged_contents(store: FileStore, database: Database, index: DocumentIndex, registry: Registered) -> None:
    change_row(database, b"premier", b"premieR")
    with blob_path(store, LARGE["2.1"]).open("r+b") as file:
        file.write(bytes([LARGE["2.1"][0] ^ 1]))
    report = check_store(store, index, registry)
    assert not report.sound
    assert found(report) == {(Defect.DAMAGED, name_of(b"premier")), (Defect.DAMAGED, name_of(LARGE["2.1"]))}


def test_missing_and_cut_contents(store: FileStore, database: Database, index: DocumentIndex, registry: Registered) -> None:
    gone = sa.delete(blob).where(blob.c.sha256 == sa.bindparam("key"))
    database.write(lambda c: c.execute(gone, {"key": bytes.fromhex(name_of(b"premier"))}))
    change_row(database, b"second", b"secon")
    blob_path(store, LARGE["2.1"]).unlink()
    os.truncate(blob_path(store, LARGE["2.2"]), 1)
    report = check_store(store, index, registry)
    assert found(report) == {
        (Defect.MISSING, "1.1"),
        (Defect.WRONG_SIZE, "1.2"),
        (Defect.DAMAGED, name_of(b"second")),
        (Defect.MISSING, "2.1"),
        (Defect.WRONG_SIZE, "2.2"),
        (Defect.DAMAGED, name_of(LARGE["2.2"])),
    }
    assert report.counts[Defect.MISSING] == 2


def test_registry_and_repository_disagree(store: FileStore, index: DocumentIndex, registry: Registered) -> None:
    registry.entries[0] = RegisteredDocument("1.1", "0" * 40, len(b"premier"))
    registry.entries[1] = RegisteredDocument("1.9", sha1(b"second"), len(b"second"))
    registry.entries[2] = RegisteredDocument("2.1", sha1(LARGE["2.1"]), 1)
    report = check_store(store, index, registry)
    assert found(report) == {
        (Defect.DIFFERENT, "1.1"),
        (Defect.UNREGISTERED, "1.2"),
        (Defect.UNSTORED, "1.9"),
        (Defect.DIFFERENT, "2.1"),
    }


def test_leftovers_are_told_and_harmless(
    store: FileStore, database: Database, index: DocumentIndex, registry: Registered
) -> None:
    store.keep(staged(store, b"of no document", memory=-1))
    refused = small({"3.1": b"refused"})
    database.write(refused.announce)
    database.write(refused.withdraw)
    database.write(small({"3.2": b"unanswered"}).announce)
    report = check_store(store, index, registry)
    assert found(report) == {
        (Defect.ORPHAN, name_of(b"of no document")),
        (Defect.ORPHAN, name_of(b"refused")),
        (Defect.PENDING, "3.2"),
    }
    assert report.sound


def test_the_repository_alone(store: FileStore, database: Database, index: DocumentIndex) -> None:
    assert check_store(store, index).sound
    database.write(lambda c: c.execute(sa.delete(document)))
    assert check_store(store, index).counts[Defect.ORPHAN] == 4
    assert check_store(store, index).entries == 0


def test_the_list_of_findings_is_bounded_and_the_counts_are_not() -> None:
    report = StoreReport(limit=3)
    for number in range(10):
        report.add(Defect.MISSING, str(number))
    assert len(report.findings) == 3
    assert report.counts[Defect.MISSING] == 10
