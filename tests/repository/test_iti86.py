"""ITI-86 with a real store and database: what goes, what stays, and that deleted bytes are nowhere."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set

import pytest
import sqlalchemy as sa
from lxml import etree

from metadata.rules.removal import RemovalPolicy
from metadata.rules.rule import Refused
from metadata.vocabulary import ErrorCode, ResponseStatus, Transaction
from repository import removal
from repository.collector import collect
from repository.content import FileStore
from repository.index import Deposit, DocumentIndex
from repository.iti41 import RepositoryOptions
from repository.iti86 import RemoveDocuments, RemoveOptions
from repository.tables import DocumentState, blob, document
from repository.verify import Defect, RegisteredDocument, check_store
from soap.body.remove import build_remove_documents
from soap.call import Answer, Call
from soap.wire import Wire
from storage.database import Database
from tests.repository.received import large, name_of, row, small, staged

OWN = "1.2.250.1.999.7"
SMALL, LARGE = b"un compte rendu", os.urandom(70_000)
Ask = Callable[..., Answer]


def nobody(unique_ids: Sequence[str]) -> Mapping[str, Set[str]]:
    """A registry that describes none of them."""
    return {}


def silent(unique_ids: Sequence[str]) -> Mapping[str, Set[str]]:
    raise ConnectionError("no answer")


@pytest.fixture(autouse=True)
def filled(store: FileStore, database: Database) -> None:
    database.write(small({"1.1": SMALL, "urn:uuid:7a": b"under a urn", "1.5": b"shared", "1.6": b"shared"}).store)
    database.write(large(store, {"1.2": LARGE, "1.3": LARGE}).store)


@pytest.fixture
def ask(store: FileStore, index: DocumentIndex) -> Ask:
    def request(
        *wanted: str | tuple[str, str],
        policy: RemovalPolicy = RemovalPolicy.DELETE,
        registered: bool = True,
        registry: Callable[[Sequence[str]], Mapping[str, Set[str]]] = nobody,
        limit: int = 1000,
        closed: Mapping[str, str] | None = None,
    ) -> Answer:
        options = RepositoryOptions(OWN, retrieve_documents=limit)
        removing = RemoveOptions(policy, registered)
        handler = RemoveDocuments(store, index, options, registry, removing, lambda patients: closed or {})
        keys = [one if isinstance(one, tuple) else (OWN, one) for one in wanted]
        return handler(Call(Transaction.ITI_86, etree.fromstring(build_remove_documents(keys)), wire=Wire()))

    return request


def findings(answer: Answer) -> list[tuple[ErrorCode, str]]:
    for finding in answer.findings:
        assert finding.location in finding.text()
    return [(finding.code, finding.location) for finding in answer.findings]


def states(database: Database) -> dict[str, DocumentState]:
    with database.read() as connection:
        return {row[0]: DocumentState(row[1]) for row in connection.execute(sa.select(document.c.unique_id, document.c.state))}


def blobs(database: Database) -> set[bytes]:
    with database.read() as connection:
        return {bytes(row[0]) for row in connection.execute(sa.select(blob.c.bytes))}


def test_a_small_document_is_deleted_with_its_row_of_bytes(ask: Ask, index: DocumentIndex, database: Database) -> None:
    answer = ask("1.1", "1.1")
    assert (answer.status, findings(answer)) == (ResponseStatus.SUCCESS, [])
    assert index.find(["1.1"]) == {} and SMALL not in blobs(database)
    with database.read() as connection:
        columns = (document.c.state, document.c.patient_id, document.c.attempt)
        evidence = connection.execute(sa.select(*columns).where(document.c.unique_id == "1.1"))
    assert [tuple(one) for one in evidence] == [(DocumentState.REMOVED, None, None)]


def test_content_that_another_document_shares_stays_until_that_goes(
    ask: Ask, store: FileStore, index: DocumentIndex, database: Database
) -> None:
    ask("1.5", "1.2")
    assert b"shared" in blobs(database) and store.stat(name_of(LARGE)) is not None
    assert set(index.find(["1.5", "1.6", "1.2", "1.3"])) == {"1.6", "1.3"}
    ask("1.6", "1.3")
    assert b"shared" not in blobs(database) and store.stat(name_of(LARGE)) is None
    assert removal.unfinished(index) == []


def test_what_was_set_aside_under_the_name_goes_too(ask: Ask, store: FileStore) -> None:
    (store.quarantine / f"{name_of(LARGE)}.1700000000").write_bytes(LARGE)
    ask("1.2", "1.3")
    assert not [f for f in store.root.rglob("*") if f.is_file() and f.read_bytes() == LARGE]


def test_hidden_documents_keep_their_bytes(ask: Ask, store: FileStore, index: DocumentIndex, database: Database) -> None:
    assert ask("1.1", "1.2", policy=RemovalPolicy.HIDE).status is ResponseStatus.SUCCESS
    assert index.find(["1.1", "1.2"]) == {} and SMALL in blobs(database) and store.stat(name_of(LARGE)) is not None
    assert check_store(store, index).sound
    collect(store, index, now=4_000_000_000)
    assert SMALL in blobs(database) and store.stat(name_of(LARGE)) is not None
    answer = ask("1.1")
    assert findings(answer) == [(ErrorCode.XDSDocumentUniqueIdError, "1.1")]


def test_each_refusal_beside_what_goes(ask: Ask, index: DocumentIndex) -> None:
    answer = ask("1.1", ("1.2.3", "1.2"), "9.9")
    assert answer.status is ResponseStatus.PARTIAL_SUCCESS
    assert findings(answer) == [(ErrorCode.XDSUnknownRepositoryId, "1.2"), (ErrorCode.XDSDocumentUniqueIdError, "9.9")]
    assert set(index.find(["1.1", "1.2"])) == {"1.2"}
    answer = ask("1.1")
    assert (answer.status, findings(answer)) == (ResponseStatus.FAILURE, [(ErrorCode.XDSDocumentUniqueIdError, "1.1")])


def test_the_policy_to_refuse(ask: Ask, index: DocumentIndex) -> None:
    answer = ask("1.1", "9.9", policy=RemovalPolicy.REFUSE)
    assert answer.status is ResponseStatus.FAILURE
    assert findings(answer) == [(ErrorCode.XDSRemoveDocumentsError, "1.1"), (ErrorCode.XDSDocumentUniqueIdError, "9.9")]
    assert set(index.find(["1.1"])) == {"1.1"}


def test_what_the_registry_describes_may_have_to_stay(ask: Ask, index: DocumentIndex) -> None:
    def one(unique_ids: Sequence[str]) -> Mapping[str, Set[str]]:
        return {"1.1": {"hash"}} if "1.1" in unique_ids else {}

    answer = ask("1.1", "1.5", registered=False, registry=one)
    assert answer.status is ResponseStatus.PARTIAL_SUCCESS
    assert findings(answer) == [(ErrorCode.XDSRemoveDocumentsError, "1.1")] and "ITI-62" in answer.findings[0].text()
    assert set(index.find(["1.1", "1.5"])) == {"1.1"}
    answer = ask("1.1", registered=False, registry=silent)
    assert findings(answer) == [(ErrorCode.XDSRemoveDocumentsError, "1.1")]
    assert ask("1.1", registry=silent).status is ResponseStatus.SUCCESS  # not asked where the answer changes nothing


def test_documents_of_a_closed_record_stay(ask: Ask, index: DocumentIndex) -> None:
    answer = ask("1.1", closed={"P1^^^&1.2.3&ISO": "closed"})
    assert findings(answer) == [(ErrorCode.XDSRemoveDocumentsError, "1.1")] and "is closed" in answer.findings[0].text()
    assert set(index.find(["1.1"])) == {"1.1"}


def test_a_urn_prefix_more_is_noted(ask: Ask, index: DocumentIndex) -> None:
    assert ask("7a").status is ResponseStatus.SUCCESS and index.find(["urn:uuid:7a"]) == {}


def test_more_documents_than_one_request_may_name(ask: Ask, index: DocumentIndex) -> None:
    with pytest.raises(Refused) as caught:
        ask("1.1", "1.5", limit=1)
    assert [f.code for f in caught.value.findings] == [ErrorCode.XDSTooManyResults] and set(index.find(["1.1"])) == {"1.1"}


@pytest.mark.parametrize("policy", [RemovalPolicy.HIDE, RemovalPolicy.DELETE])
def test_a_removed_document_can_be_submitted_again(
    ask: Ask, store: FileStore, index: DocumentIndex, database: Database, policy: RemovalPolicy
) -> None:
    """With the same bytes its row comes to life, in one process and apart; with others it is a new document."""
    ask("1.1", "1.2", "1.3", policy=policy)
    deposit = small({"1.1": SMALL})
    assert index.conflicts(deposit.documents) == []
    database.write(deposit.announce)
    assert index.find(["1.1"])["1.1"].state is DocumentState.PENDING
    database.write(deposit.confirm)
    database.write(large(store, {"1.2": LARGE}).store)
    assert {d.state for d in index.find(["1.1", "1.2"]).values()} == {DocumentState.REGISTERED}
    assert index.find(["1.1"])["1.1"].patientId and not removal.unfinished(index)
    database.write(small({"1.3": b"other bytes"}).store)
    assert index.find(["1.3"])["1.3"].sha256.hex() == name_of(b"other bytes")
    assert check_store(store, index).sound


def test_an_announced_row_that_was_withdrawn_leaves_no_document(ask: Ask, index: DocumentIndex, database: Database) -> None:
    ask("1.1")
    deposit = small({"1.1": SMALL})
    database.write(deposit.announce)
    database.write(deposit.withdraw)
    assert index.find(["1.1"]) == {}


# ------------------------------------------------------------------------------------------------- files, and who holds them


def test_a_file_that_is_being_kept_again_is_not_taken(store: FileStore, index: DocumentIndex, database: Database) -> None:
    """A submission has found the file in place and has not committed yet: the removal waits for it, and leaves the file."""
    kept, go = threading.Event(), threading.Event()

    def submit() -> None:
        with store.lock(exclusive=False):
            store.keep(staged(store, LARGE, memory=-1))
            kept.set()
            go.wait(60)
            database.write(Deposit((row("1.9", LARGE),), {}).store)

    submitting = threading.Thread(target=submit)
    submitting.start()
    assert kept.wait(60)
    removing = threading.Thread(target=removal.delete, args=(store, index, list(index.find(["1.2", "1.3"]).values())))
    removing.start()
    until = time.monotonic() + 60
    while DocumentState.REMOVED not in states(database).values():
        assert time.monotonic() < until, "the rows are marked before the lock is waited for"
        time.sleep(0.005)
    go.set()
    submitting.join(60)
    removing.join(60)
    assert store.stat(name_of(LARGE)) is not None and set(index.find(["1.2", "1.9"])) == {"1.9"}
    assert check_store(store, index).sound


def test_what_was_left_undone_is_done_by_the_collector(
    store: FileStore, index: DocumentIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = list(index.find(["1.2", "1.3"]).values())
    monkeypatch.setattr(removal, "PATIENCE", 0.0)
    with store.lock(exclusive=False):
        removal.delete(store, index, documents)
    assert store.stat(name_of(LARGE)) is not None and removal.unfinished(index) == [documents[0].sha256]
    report = check_store(store, index)
    assert report.sound and set(report.counts) == {Defect.ORPHAN}
    assert collect(store, index).removed == 1
    assert store.stat(name_of(LARGE)) is None and removal.unfinished(index) == []
    assert check_store(store, index).counts == {}


class Registry:
    """A registry that still describes 1.1."""

    def documents(self) -> Iterator[Sequence[RegisteredDocument]]:
        stored = row("1.1", SMALL)
        yield [RegisteredDocument("1.1", stored.sha1.hex(), stored.size)]

    def registered(self, unique_ids: Sequence[str]) -> Mapping[str, Set[str]]:
        return {u: {"x"} for u in unique_ids}


@pytest.mark.parametrize("policy", [RemovalPolicy.HIDE, RemovalPolicy.DELETE])
def test_check_store_knows_what_was_removed(ask: Ask, store: FileStore, index: DocumentIndex, policy: RemovalPolicy) -> None:
    assert check_store(store, index, Registry()).counts == {}
    ask("1.1", policy=policy)
    report = check_store(store, index, Registry())
    assert report.sound and dict(report.counts) == {Defect.REMOVED: 1}
