"""The index: what is found under an id while submissions come, go and cross one another."""

from __future__ import annotations

import hashlib

import pytest

from metadata.vocabulary import ErrorCode
from repository.index import PAGE, Deposit, DocumentIndex
from repository.tables import DocumentState
from storage.database import Database
from tests.repository.received import row, small

CONTENT = b"un compte rendu"
OTHER = b"un autre compte rendu"


def digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def test_what_is_stored_is_found_and_loaded(database: Database, index: DocumentIndex) -> None:
    database.write(small({"1.2.1": CONTENT, "1.2.2": OTHER, "1.2.3": CONTENT}).store)
    found = index.find(["1.2.1", "1.2.3", "1.2.9", "1.2.1"])
    assert found == {"1.2.1": row("1.2.1", CONTENT), "1.2.3": row("1.2.3", CONTENT)}
    assert index.load([digest(CONTENT), digest(b"unknown")]) == {digest(CONTENT): CONTENT}
    assert index.referenced([digest(CONTENT), digest(b"unknown")]) == {digest(CONTENT)}


def test_more_ids_than_a_page(database: Database, index: DocumentIndex) -> None:
    documents = {f"1.2.{n}": b"%d" % (n % 7) for n in range(PAGE + 3)}
    database.write(small(documents).store)
    assert set(index.find(documents)) == set(documents)
    assert sum(len(page) for page in index.rows()) == PAGE + 3
    assert {d.uniqueId: length for page in index.rows() for d, length in page} == dict.fromkeys(documents, 1)
    assert [key for page in index.blobs() for key, _ in page] == sorted(digest(b"%d" % n) for n in range(7))


@pytest.mark.parametrize("other, code", [(OTHER, ErrorCode.XDSNonIdenticalSize), (CONTENT[::-1], ErrorCode.XDSNonIdenticalHash)])
def test_an_id_registered_for_other_bytes_is_a_conflict(
    database: Database, index: DocumentIndex, other: bytes, code: ErrorCode
) -> None:
    database.write(small({"1.2.1": CONTENT}).store)
    assert index.conflicts([row("1.2.1", CONTENT), row("1.2.2", other)]) == []
    (finding,) = index.conflicts([row("1.2.1", other)])
    assert (finding.code, finding.object, finding.attribute) == (code, "1.2.1", "uniqueId")


def test_a_pending_document_can_be_retrieved_and_is_no_conflict(database: Database, index: DocumentIndex) -> None:
    database.write(small({"1.2.1": CONTENT}).announce)
    assert index.find(["1.2.1"])["1.2.1"].state is DocumentState.PENDING
    assert index.conflicts([row("1.2.1", OTHER)]) == []


def test_under_one_id_the_registered_document_wins_then_the_newest(database: Database, index: DocumentIndex) -> None:
    database.write(small({"1.2.1": CONTENT}, stored_at=10).announce)
    database.write(small({"1.2.1": OTHER}, stored_at=20).announce)
    assert index.find(["1.2.1"])["1.2.1"].sha256 == digest(OTHER)
    database.write(small({"1.2.1": CONTENT}, stored_at=10).confirm)
    assert index.find(["1.2.1"])["1.2.1"].sha256 == digest(CONTENT)


def test_an_attempt_takes_back_only_what_it_alone_has_written(database: Database, index: DocumentIndex) -> None:
    first, second = small({"1.2.1": CONTENT, "1.2.2": OTHER}), small({"1.2.2": OTHER, "1.2.3": OTHER})
    database.write(first.announce)
    database.write(second.announce)
    database.write(second.withdraw)
    assert set(index.find(["1.2.1", "1.2.2", "1.2.3"])) == {"1.2.1", "1.2.2"}, "the first attempt's answer may be lost"
    database.write(first.withdraw)
    assert set(index.find(["1.2.1", "1.2.2"])) == {"1.2.2"}, "two attempts have announced it: the collector asks the registry"


def test_a_confirmation_restores_what_another_attempt_withdrew(database: Database, index: DocumentIndex) -> None:
    first = small({"1.2.1": CONTENT})
    database.write(first.announce)
    database.write(first.withdraw)
    assert index.find(["1.2.1"]) == {}
    database.write(first.confirm)
    assert index.find(["1.2.1"])["1.2.1"].state is DocumentState.REGISTERED
    database.write(first.withdraw)
    assert "1.2.1" in index.find(["1.2.1"]), "a registered document is nobody's to take back"


def test_a_registered_document_stays_registered_when_it_is_announced_again(database: Database, index: DocumentIndex) -> None:
    database.write(small({"1.2.1": CONTENT}).store)
    again = small({"1.2.1": CONTENT})
    database.write(again.announce)
    database.write(again.withdraw)
    assert index.find(["1.2.1"])["1.2.1"].state is DocumentState.REGISTERED


def test_bytes_sent_again_replace_decayed_ones(database: Database, index: DocumentIndex) -> None:
    good = small({"1.2.1": CONTENT})
    decayed = Deposit(good.documents, {digest(CONTENT): CONTENT[:-1] + b"?"})
    database.write(decayed.store)
    database.write(good.store)
    assert index.load([digest(CONTENT)]) == {digest(CONTENT): CONTENT}


def test_a_transaction_that_fails_leaves_neither_row_nor_bytes(database: Database, index: DocumentIndex) -> None:
    class Interrupted(Exception):
        pass

    deposit = small({"1.2.1": CONTENT})

    def work(connection: object) -> None:
        deposit.store(connection)  # type: ignore[arg-type]
        raise Interrupted

    with pytest.raises(Interrupted):
        database.write(work)
    assert index.find(["1.2.1"]) == {}
    assert index.load([digest(CONTENT)]) == {}
