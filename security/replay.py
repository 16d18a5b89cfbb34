"""Each signed message counts once: the memory of message ids that all workers share, in the store's own database.

The key is the signer's certificate and wsa:MessageID, so that nobody can use up the ids of others. A row is kept until the
message has become too old to be accepted anyway. When the database does not answer, nothing is accepted: `StorageError` passes.

A message is told from its copy before anything is done for it, and its row is durable before its answer leaves. On PostgreSQL
the unique index decides for all workers at once, and the row reaches the disk with the next commit of this server (the audit
record of the same request), at the latest after three times `wal_writer_delay`. On SQLite, which one process serves, its memory
decides, the index stands behind it, and the row goes along with what the request writes anyway, its audit record at the least.

Source: WSS SOAP Message Security 1.1: 13.1.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from security import rules_signature as rules
from storage.database import METADATA, Database
from storage.errors import UniqueViolation

#: `key` is the SHA-256 of what must be unique, `until` the Unix time from which the row is of no use.
MESSAGE_SEEN = sa.Table(
    "message_seen",
    METADATA,
    sa.Column("key", sa.LargeBinary(32), nullable=False),
    sa.Column("until", sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint("key", name="pk_message_seen"),
    sa.Index("message_seen_until", "until"),
    sqlite_with_rowid=False,
)

_VALUES: dict[str, Any] = {"key": sa.bindparam("key", required=True), "until": sa.bindparam("until", required=True)}
_INSERT = sa.insert(MESSAGE_SEEN).values(_VALUES)
_INSERT_NEW = postgresql.insert(MESSAGE_SEEN).values(_VALUES).on_conflict_do_nothing().returning(MESSAGE_SEEN.c.key)
#: The same as a transaction of its own that waits for no flush, in one round trip. Asked twice, because its connection broke, it
#: finds its own row: the message is refused then.
_NO_FLUSH = sa.func.set_config("synchronous_commit", "off", sa.true()) == "off"
_TYPED = [sa.cast(value, MESSAGE_SEEN.c[name].type) for name, value in _VALUES.items()]
_INSERT_UNFLUSHED = (
    postgresql.insert(MESSAGE_SEEN)
    .from_select(list(_VALUES), sa.select(*_TYPED).where(_NO_FLUSH))
    .on_conflict_do_nothing()
    .returning(MESSAGE_SEEN.c.key)
)
_KNOWN = sa.select(MESSAGE_SEEN.c.key, MESSAGE_SEEN.c.until).where(MESSAGE_SEEN.c.until >= sa.bindparam("now", required=True))
_FORGET = sa.delete(MESSAGE_SEEN).where(MESSAGE_SEEN.c.until < sa.bindparam("now", required=True))
_FORGET_EVERY = 60.0

#: Waits until the row is durable. Raises StorageError when it is not, Denied when another process had it first.
Settle = Callable[[], None]


class ReplayStore:
    """Safe for threads; any number of processes may use the same database. Raises StorageError."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._forget_at = 0.0
        self._claims = _Claims(database) if database.dialect == "sqlite" else None

    def first(self, key: bytes, until: datetime) -> bool:
        """True for whoever brings this key (32 octets) first; the row is durable then."""
        try:
            self._database.write(lambda connection: connection.execute(_INSERT, {"key": key, "until": _unix(until)}))
        except UniqueViolation:
            return False
        self._forget()
        return True

    def message(self, certificate_der: bytes, message_id: str, until: datetime) -> Settle:
        """Raises Denied SIG-029 for a message of this signer that was here before. What is returned is called before the answer
        leaves."""
        signer = hashlib.sha256(certificate_der).digest()
        key = hashlib.sha256(signer + message_id.encode()).digest()
        if self._claims is None:
            with self._database.read() as connection:
                new = connection.execute(_INSERT_UNFLUSHED, {"key": key, "until": _unix(until)})
            if not new:
                raise rules.REPLAY.denied(id=message_id)
            self._forget()
            return _settled
        claim = self._claims.claim(key, _unix(until))
        if claim is None:
            raise rules.REPLAY.denied(id=message_id)
        self._forget()

        def settle() -> None:
            if not claim():
                raise rules.REPLAY.denied(id=message_id)

        return settle

    def _forget(self) -> None:
        """Now and then, and apart from the row above: what an insert of others waits for should be over soon."""
        now = time.time()
        if now < self._forget_at:
            return
        self._forget_at = now + _FORGET_EVERY
        self._database.write(lambda connection: connection.execute(_FORGET, {"now": int(now)}))
        if self._claims is not None:
            self._claims.forget(int(now))


def _unix(until: datetime) -> int:
    return int(until.timestamp()) + 1


def _settled() -> None:
    """Nothing is left to wait for."""


class _Claims:
    """What this process has seen. The rows go along with what is written next."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        with database.read() as connection:
            self._seen: dict[bytes, int] = {bytes(k): u for k, u in connection.execute(_KNOWN, {"now": int(time.time())})}

    def claim(self, key: bytes, until: int) -> Callable[[], bool] | None:
        """None for a key that was here; else what waits until it is durable, and tells whether it was the first of all
        processes."""
        with self._lock:
            if key in self._seen:
                return None
            self._seen[key] = until
        return self._database.ride(lambda connection: bool(connection.execute(_INSERT_NEW, {"key": key, "until": until})))

    def forget(self, now: int) -> None:
        with self._lock:
            self._seen = {key: until for key, until in self._seen.items() if until >= now}
