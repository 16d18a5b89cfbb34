"""Bytes for an answer: from rows and files, in bounded memory, never damaged ones."""

from __future__ import annotations

import os

import pytest
import sqlalchemy as sa

from repository.content import CHUNK, ContentMismatch, FileStore
from repository.delivery import HELD, Delivery
from repository.index import DocumentIndex, StoredDocument
from repository.tables import blob
from storage.database import Database
from tests.repository.received import large, name_of, row, small, staged

BEFORE = 8 * 1024 * 1024


def delivery(store: FileStore, index: DocumentIndex, *documents: StoredDocument, check_before: int = BEFORE) -> Delivery:
    return Delivery(store, index, documents, check_before)


def damage_row(database: Database, content: bytes) -> None:
    broken = sa.update(blob).where(blob.c.sha256 == sa.bindparam("key")).values(bytes=sa.bindparam("content"))
    database.write(lambda c: c.execute(broken, {"key": bytes.fromhex(name_of(content)), "content": content[:-1] + b"?"}))


def damage_file(store: FileStore, content: bytes) -> None:
    name = name_of(content)
    with open(store.blobs / name[:2] / name[2:4] / name, "r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(bytes([content[-1] ^ 1]))


def test_rows_and_files_in_the_order_asked(store: FileStore, database: Database, index: DocumentIndex) -> None:
    contents = {"1.1": b"small", "1.2": os.urandom(CHUNK + 5), "1.3": b"", "1.4": b"small"}
    database.write(small({key: contents[key] for key in ("1.1", "1.3", "1.4")}).store)
    database.write(large(store, {"1.2": contents["1.2"]}).store)
    found = index.find(contents)
    one = delivery(store, index, *(found[key] for key in contents))
    streams = {key: one.chunks(found[key]) for key in contents}
    assert {key: b"".join(stream) for key, stream in streams.items()} == contents


def test_more_small_documents_than_are_held(store: FileStore, database: Database, index: DocumentIndex) -> None:
    contents = {f"1.{n}": os.urandom(60_000) for n in range(2 * HELD // 60_000)}
    database.write(small(contents).store)
    found = index.find(contents)
    one = delivery(store, index, *found.values())
    streams = {key: one.chunks(found[key]) for key in contents}
    assert {key: b"".join(stream) for key, stream in streams.items()} == contents
    assert sum(map(len, one._held.values())) <= HELD


def test_a_row_that_was_larger_than_todays_limit(store: FileStore, database: Database, index: DocumentIndex) -> None:
    """The setting may change between two starts: where a document is, the store tells, not its size."""
    content = os.urandom(store.options.inline_limit + 1)
    database.write(small({"1.1": content}).store)
    document = index.find(["1.1"])["1.1"]
    assert b"".join(delivery(store, index, document).chunks(document)) == content


def test_a_file_that_is_smaller_than_todays_limit(store: FileStore, database: Database, index: DocumentIndex) -> None:
    database.write(large(store, {"1.1": b"tiny"}).store)
    document = index.find(["1.1"])["1.1"]
    assert b"".join(delivery(store, index, document).chunks(document)) == b"tiny"


def test_a_damaged_row_is_met_before_the_answer_begins(store: FileStore, database: Database, index: DocumentIndex) -> None:
    database.write(small({"1.1": b"a document", "1.2": b"another"}).store)
    damage_row(database, b"a document")
    found = index.find(["1.1", "1.2"])
    one = delivery(store, index, *found.values())
    with pytest.raises(ContentMismatch):
        one.chunks(found["1.1"])
    assert store.alarms.counts["damaged"] == 1
    assert b"".join(one.chunks(found["1.2"])) == b"another"


@pytest.mark.parametrize("loss", ["damaged", "gone"])
def test_a_row_lost_between_check_and_sending(store: FileStore, database: Database, index: DocumentIndex, loss: str) -> None:
    contents = {f"1.{n}": os.urandom(60_000) for n in range(HELD // 60_000 + 1)}
    database.write(small(contents).store)
    found = index.find(contents)
    one = delivery(store, index, *found.values())
    streams = [one.chunks(document) for document in found.values()]
    first = next(iter(found.values()))
    if loss == "damaged":
        damage_row(database, contents[first.uniqueId])
    else:
        database.write(lambda c: c.execute(sa.delete(blob)))
    with pytest.raises(ContentMismatch):
        list(streams[0])


def test_a_damaged_file_up_to_the_limit_is_met_before(store: FileStore, database: Database, index: DocumentIndex) -> None:
    content = os.urandom(CHUNK * 2)
    database.write(large(store, {"1.1": content}).store)
    damage_file(store, content)
    document = index.find(["1.1"])["1.1"]
    with pytest.raises(ContentMismatch):
        delivery(store, index, document, check_before=len(content)).chunks(document)


def test_a_larger_damaged_file_breaks_off_before_its_last_chunk(
    store: FileStore, database: Database, index: DocumentIndex
) -> None:
    content = os.urandom(CHUNK * 2 + 1)
    database.write(large(store, {"1.1": content}).store)
    damage_file(store, content)
    document = index.find(["1.1"])["1.1"]
    stream = delivery(store, index, document, check_before=len(content) - 1).chunks(document)
    sent = b""
    with pytest.raises(ContentMismatch):
        for chunk in stream:
            sent += chunk
    assert 0 < len(sent) < len(content)


def test_bytes_that_are_nowhere(store: FileStore, index: DocumentIndex) -> None:
    document = row("1.1", b"never stored")
    with pytest.raises(ContentMismatch):
        delivery(store, index, document).chunks(document)
    assert store.alarms.counts["damaged"] == 1


def test_a_file_put_back_is_delivered_again(store: FileStore, database: Database, index: DocumentIndex) -> None:
    content = os.urandom(CHUNK)
    database.write(large(store, {"1.1": content}).store)
    damage_file(store, content)
    store.keep(staged(store, content, memory=-1))
    document = index.find(["1.1"])["1.1"]
    assert b"".join(delivery(store, index, document).chunks(document)) == content
