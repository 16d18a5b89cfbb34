"""Documents leave the repository: hidden from every request, or deleted with their bytes.

A deleted document leaves its row as the evidence that it was removed (state REMOVED, without the patient), and nothing of its
content. The order is such that a death between two steps leaves nothing that could be delivered, and nothing undone for long:

1. one transaction marks the rows and deletes the bytes of small documents, unless another document has the same content;
2. the files go, each under the exclusive lock of the store, unless a document has come to be that content in the meantime;
3. the mark that a file may be left is taken off. The collector does 2 and 3 for whatever still carries it.

On SQLite the freed pages are overwritten (secure_delete) and the journal is cut; on PostgreSQL old rows go with its vacuum.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import sqlalchemy as sa

from repository.content import FileStore
from repository.index import DocumentIndex, StoredDocument
from repository.tables import DocumentState, blob, document
from storage.crash import crash_point
from storage.database import Connection, in_list

#: `document.attempt` of a removed document whose file may still be there.
UNFINISHED = "removal"

#: How long the files' lock is waited for, in seconds; then the collector has to do it.
PATIENCE = 2.0


def hide(index: DocumentIndex, documents: Sequence[StoredDocument]) -> None:
    """Take documents out of every answer; their bytes stay."""
    index.database.write(lambda connection: connection.execute_many(_HIDE, _keys(documents)))


def delete(store: FileStore, index: DocumentIndex, documents: Sequence[StoredDocument]) -> None:
    """Delete documents with their bytes. What a lock that nobody gives up keeps from being done is left to the collector."""
    contents = list(dict.fromkeys(d.sha256 for d in documents))

    def work(connection: Connection) -> None:
        connection.execute_many(_REMOVE, _keys(documents))
        _delete_rows(connection, contents)

    index.database.write(work)
    crash_point("removal-committed")
    index.database.scrub()
    finish(store, index, contents)


def _delete_rows(connection: Connection, contents: Sequence[bytes]) -> None:
    """The bytes of small documents that nothing else is. A deposit writes its blob before its rows: who holds the blob's lock
    sees whether somebody has come to refer to it."""
    if connection.dialect == "sqlite":
        connection.execute(_SECURE_ON)
    else:
        connection.execute(_LOCK_BLOBS, {"contents": contents})
    connection.execute(_DELETE_BLOBS, {"contents": contents})
    if connection.dialect == "sqlite":
        connection.execute(_SECURE_OFF)


def finish(store: FileStore, index: DocumentIndex, contents: Iterable[bytes]) -> int:
    """Delete the files of removed documents. Returns how many files went."""
    gone = 0
    done: list[bytes] = []
    for content in contents:
        with store.try_lock(PATIENCE) as held:
            if not held:
                continue
            if not index.referenced([content]):
                gone += store.delete(content.hex())
                crash_point("removal-unlinked")
        done.append(content)
    if done:
        index.database.write(lambda connection: connection.execute(_FINISHED, {"contents": done}))
    return gone


def unfinished(index: DocumentIndex) -> list[bytes]:
    """Contents of removed documents whose files may still be there."""
    with index.database.read() as connection:
        return [row[0] for row in connection.execute(_UNFINISHED)]


def _keys(documents: Sequence[StoredDocument]) -> list[dict[str, object]]:
    return [{"at_id": d.uniqueId, "at_content": d.sha256} for d in documents]


_SECURE_ON, _SECURE_OFF = sa.text("PRAGMA secure_delete=ON"), sa.text("PRAGMA secure_delete=OFF")
_THIS = (document.c.unique_id == sa.bindparam("at_id"), document.c.sha256 == sa.bindparam("at_content"))
_IS_REMOVED = document.c.state == sa.literal_column(str(int(DocumentState.REMOVED)))
_HIDE = sa.update(document).where(*_THIS).values(state=sa.literal_column(str(int(DocumentState.HIDDEN))), attempt=sa.null())
_REMOVE = (
    sa.update(document)
    .where(*_THIS)
    .values(
        state=sa.literal_column(str(int(DocumentState.REMOVED))),
        attempt=sa.literal_column(f"'{UNFINISHED}'"),
        patient_id=sa.null(),
    )
)
_LOCK_BLOBS = sa.select(blob.c.sha256).where(in_list(blob.c.sha256, "contents")).order_by(blob.c.sha256).with_for_update()
_DELETE_BLOBS = sa.delete(blob).where(
    in_list(blob.c.sha256, "contents"),
    ~sa.exists().where(document.c.sha256 == blob.c.sha256, ~_IS_REMOVED),
)
_IS_UNFINISHED = (_IS_REMOVED, document.c.attempt == sa.literal_column(f"'{UNFINISHED}'"))
_FINISHED = sa.update(document).where(in_list(document.c.sha256, "contents"), *_IS_UNFINISHED).values(attempt=sa.null())
_UNFINISHED = sa.select(document.c.sha256).where(*_IS_UNFINISHED).distinct().limit(sa.literal_column("1000"))
