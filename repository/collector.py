"""Takes away what interrupted submissions left behind, slowly and with doubts.

Candidates are a day old (longer than any request and any clock skew): staging files; contents that no document is; documents
whose registration was never answered and that the registry, asked again after a week, does not know; files of removed
documents that a death or a busy store has left. A content in a file is
moved to the quarantine and deleted from there only after a month. When more than a small share of the files would go, nothing
goes: then the index is wrong (a restore under way, another store's database), not the files.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from repository.content import FileStore, StoredContent
from repository.index import DocumentIndex
from repository.removal import finish, unfinished
from repository.tables import DocumentState, blob, document
from repository.verify import RegistryView
from storage.database import Connection

DAY = 86_400


@dataclass(frozen=True, slots=True)
class CollectorOptions:
    """Ages in seconds. `share`: largest part of all files that one run may give up; `floor`: so many may always go."""

    age: int = DAY
    pending_age: int = 7 * DAY
    quarantine_age: int = 30 * DAY
    share: float = 0.01
    floor: int = 20


@dataclass(slots=True)
class Collected:
    """What one run took away (counts). `refused` says why the files were left alone, or is empty."""

    staging: int = 0
    pending: int = 0
    blobs: int = 0
    files: int = 0
    quarantined: int = 0
    removed: int = 0
    refused: str = ""


def collect(
    store: FileStore,
    index: DocumentIndex,
    registry: RegistryView | None = None,
    options: CollectorOptions | None = None,
    now: float | None = None,
) -> Collected:
    """One run. Without `registry`, unanswered documents stay. `now` is seconds since 1970."""
    options = options or CollectorOptions()
    now = time.time() if now is None else now
    done = Collected()
    for stray in store.strays(now - options.age):
        done.staging += _delete(stray)
    done.blobs = index.database.write(lambda connection: _give_up_blobs(connection, int(now - options.age)))
    left = unfinished(index)
    if left:
        index.database.scrub()
        done.removed = finish(store, index, left)
    _give_up_files(store, index, options, now, done)
    for stray in store.quarantined(now - options.quarantine_age):
        done.quarantined += _delete(stray)
    if registry is not None:  # the last: a registry that does not answer must not keep the rest from being done
        done.pending = _give_up_pending(index, registry, int(now - options.pending_age))
    return done


def _delete(path: Path) -> int:
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
        return 1
    return 0


def _give_up_pending(index: DocumentIndex, registry: RegistryView, before: int) -> int:
    """Settle old pending rows: a content that the registry knows becomes registered, the others go."""
    with index.database.read() as connection:
        waiting = connection.execute(_OLD_PENDING, {"before": before})
    if not waiting:
        return 0
    known = registry.registered([row[0] for row in waiting])
    rows = [({"unique_id": row[0], "content": row[1]}, row[2].hex() in known.get(row[0], ())) for row in waiting]

    def settle(connection: Connection) -> None:
        connection.execute_many(_SETTLE, [key for key, is_known in rows if is_known])
        connection.execute_many(_DROP_PENDING, [key for key, is_known in rows if not is_known])

    index.database.write(settle)
    return sum(not is_known for _, is_known in rows)


def _give_up_blobs(connection: Connection, before: int) -> int:
    return len(connection.execute(_DROP_BLOBS, {"before": before}))


def _give_up_files(store: FileStore, index: DocumentIndex, options: CollectorOptions, now: float, done: Collected) -> None:
    """Two passes: count first, because a store that would lose much is not the store that the index describes."""
    total, orphans = 0, list[str]()
    for contents in store.folders():
        total += len(contents)
        orphans += _orphans(index, contents, now - options.age)
    if len(orphans) > max(options.floor, total * options.share):
        done.refused = f"{len(orphans)} of {total} files belong to no document: too many to be leftovers, nothing was removed"
        store.alarms.sound("collector", done.refused)
        return
    for sha256 in orphans:
        with store.lock(exclusive=True):
            again = store.stat(sha256)
            if again is not None and _orphans(index, [again], now - options.age):
                store.set_aside(sha256, now)
                done.files += 1


def _orphans(index: DocumentIndex, contents: Sequence[StoredContent], before: float) -> list[str]:
    old = [c.sha256 for c in contents if c.modified < before]
    referenced = index.referenced([bytes.fromhex(name) for name in old]) if old else set()
    return [name for name in old if bytes.fromhex(name) not in referenced]


_IS_PENDING = document.c.state == sa.literal_column(str(int(DocumentState.PENDING)))
_THIS = (document.c.unique_id == sa.bindparam("unique_id"), document.c.sha256 == sa.bindparam("content"), _IS_PENDING)
_OLD_PENDING = (
    sa.select(document.c.unique_id, document.c.sha256, document.c.sha1)
    .where(_IS_PENDING, document.c.stored_at < sa.bindparam("before"))
    .limit(sa.literal_column("1000"))
)
_DROP_PENDING = sa.delete(document).where(*_THIS)
_SETTLE = sa.update(document).where(*_THIS).values(state=sa.literal_column(str(int(DocumentState.REGISTERED))), attempt=sa.null())
_REMOVED: sa.ColumnElement[int] = sa.literal_column(str(int(DocumentState.REMOVED)))
_DROP_BLOBS = (
    sa.delete(blob)
    .where(blob.c.stored_at < sa.bindparam("before"))
    .where(~sa.exists().where(document.c.sha256 == blob.c.sha256, document.c.state != _REMOVED))
    .returning(blob.c.sha256)
)
