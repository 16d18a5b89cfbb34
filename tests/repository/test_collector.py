"""What the collector takes, what it must leave, and when it must doubt itself."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence, Set

import pytest

from repository.collector import DAY, CollectorOptions, collect
from repository.content import FileStore
from repository.index import DocumentIndex
from repository.tables import DocumentState
from repository.verify import RegisteredDocument, RegistryView
from storage.database import Database
from tests.repository.received import large, name_of, small, staged

NOW = 2_000_000_000.0
LONG_AGO = int(NOW) - 40 * DAY


class Registered(RegistryView):
    """A registry that knows these documents (uniqueId -> bytes)."""

    def __init__(self, documents: Mapping[str, bytes]) -> None:
        self._hashes = {key: hashlib.sha1(value, usedforsecurity=False).hexdigest() for key, value in documents.items()}

    def documents(self) -> Iterator[Sequence[RegisteredDocument]]:
        return iter(())

    def registered(self, unique_ids: Sequence[str]) -> Mapping[str, Set[str]]:
        return {key: {self._hashes[key]} for key in unique_ids if key in self._hashes}


def keep(store: FileStore, content: bytes, age: float) -> None:
    """`content` as a file of the store, of that age in seconds, and of no document."""
    store.keep(staged(store, content, memory=-1))
    name = name_of(content)
    os.utime(store.blobs / name[:2] / name[2:4] / name, (NOW - age, NOW - age))


def test_staging_files_of_ended_requests_go(store: FileStore, index: DocumentIndex) -> None:
    old, young = staged(store, b"left behind", memory=-1), staged(store, b"arriving", memory=-1)
    os.utime(old.path() or "", (NOW - DAY - 1, NOW - DAY - 1))
    os.utime(young.path() or "", (NOW - DAY + 1, NOW - DAY + 1))
    assert collect(store, index, now=NOW).staging == 1
    assert [str(path) for path in (store.root / "tmp").iterdir()] == [young.path()]


def test_a_file_of_no_document_goes_to_the_quarantine_and_later_for_good(store: FileStore, index: DocumentIndex) -> None:
    keep(store, b"orphan", DAY + 1)
    keep(store, b"young", DAY - 1)
    assert collect(store, index, now=NOW).files == 1
    assert store.stat(name_of(b"orphan")) is None
    assert store.stat(name_of(b"young")) is not None
    (aside,) = store.quarantine.iterdir()
    assert aside.read_bytes() == b"orphan"
    assert collect(store, index, now=NOW + 29 * DAY).quarantined == 0
    assert collect(store, index, now=NOW + 31 * DAY).quarantined == 1
    assert [path.name.partition(".")[0] for path in store.quarantine.iterdir()] == [name_of(b"young")], "its turn came later"


def test_a_file_of_a_document_stays_whatever_its_age(store: FileStore, database: Database, index: DocumentIndex) -> None:
    keep(store, b"kept", 400 * DAY)
    database.write(large(store, {"1.1": b"kept"}, stored_at=LONG_AGO).store)
    os.utime(store.blobs / name_of(b"kept")[:2] / name_of(b"kept")[2:4] / name_of(b"kept"), (1, 1))
    done = collect(store, index, Registered({}), now=NOW)
    assert (done.files, done.refused) == (0, "")
    assert store.stat(name_of(b"kept")) is not None


def test_when_too_much_would_go_nothing_goes(store: FileStore, index: DocumentIndex) -> None:
    """An empty index beside a full store is another store's index."""
    for n in range(5):
        keep(store, b"document %d" % n, 2 * DAY)
    done = collect(store, index, options=CollectorOptions(floor=4), now=NOW)
    assert done.files == 0
    assert "5 of 5 files" in done.refused
    assert store.alarms.counts["collector"] == 1
    assert all(store.stat(name_of(b"document %d" % n)) for n in range(5))
    assert collect(store, index, options=CollectorOptions(floor=5), now=NOW).files == 5


def test_bytes_in_a_row_of_no_document_go(store: FileStore, database: Database, index: DocumentIndex) -> None:
    def announce_and_withdraw(stored_at: int, unique_id: str, content: bytes) -> None:
        deposit = small({unique_id: content}, stored_at=stored_at)
        database.write(deposit.announce)
        database.write(deposit.withdraw)

    announce_and_withdraw(LONG_AGO, "1.1", b"refused long ago")
    announce_and_withdraw(int(NOW) - 10, "1.2", b"refused now")
    database.write(small({"1.3": b"registered"}, stored_at=LONG_AGO).store)
    assert collect(store, index, now=NOW).blobs == 1
    left = {key for page in index.blobs() for key, _ in page}
    assert left == {hashlib.sha256(content).digest() for content in (b"refused now", b"registered")}


def test_pending_documents_become_what_the_registry_says(store: FileStore, database: Database, index: DocumentIndex) -> None:
    database.write(small({"1.1": b"accepted", "1.2": b"refused", "1.3": b"other bytes"}, stored_at=LONG_AGO).announce)
    database.write(small({"1.4": b"yesterday"}, stored_at=int(NOW) - DAY).announce)
    registry = Registered({"1.1": b"accepted", "1.3": b"the bytes registered under this id"})
    assert collect(store, index, now=NOW).pending == 0, "without a registry to ask nothing is known"
    assert collect(store, index, registry, now=NOW).pending == 2
    found = index.find(["1.1", "1.2", "1.3", "1.4"])
    assert {key: document.state for key, document in found.items()} == {
        "1.1": DocumentState.REGISTERED,
        "1.4": DocumentState.PENDING,
    }
    assert collect(store, index, registry, now=NOW).blobs == 2, "what they were made of goes with the next run"
    left = {key for page in index.blobs() for key, _ in page}
    assert left == {hashlib.sha256(content).digest() for content in (b"accepted", b"yesterday")}


def test_a_registry_that_does_not_answer_keeps_nothing_else_waiting(
    store: FileStore, database: Database, index: DocumentIndex
) -> None:
    class Silent(Registered):
        def registered(self, unique_ids: Sequence[str]) -> Mapping[str, Set[str]]:
            raise ConnectionError("it did not answer in time")

    keep(store, b"orphan", DAY + 1)
    database.write(small({"1.1": b"unanswered"}, stored_at=LONG_AGO).announce)
    with pytest.raises(ConnectionError):
        collect(store, index, Silent({}), now=NOW)
    assert store.stat(name_of(b"orphan")) is None
    assert index.find(["1.1"])["1.1"].state is DocumentState.PENDING, "no answer is no no"


@pytest.mark.parametrize("moment", ["kept again", "registered"])
def test_a_file_wanted_again_while_it_is_counted(
    store: FileStore, database: Database, index: DocumentIndex, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the count and the removal a submission may have brought the same bytes: it is looked at again, under the lock."""
    keep(store, b"orphan", 2 * DAY)
    real = store.lock

    def wanted_again(exclusive: bool) -> object:
        if exclusive:
            monkeypatch.setattr(store, "lock", real)
            if moment == "registered":
                database.write(large(store, {"1.1": b"orphan"}).store)
                keep(store, b"orphan", 2 * DAY)
            else:
                keep(store, b"orphan", 0)
        return real(exclusive)

    monkeypatch.setattr(store, "lock", wanted_again)
    assert collect(store, index, now=NOW).files == 0
    assert store.stat(name_of(b"orphan")) is not None
