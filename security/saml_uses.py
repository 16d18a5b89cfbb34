"""Which assertions were used, and by whom first: the memory that all workers share, in the store's own database.

One assertion serves many messages by design; only one with OneTimeUse serves once. A bearer's assertion belongs to the TLS
certificate that brought it first: another certificate cannot use it, even one of the same structure. Keys are digests, so nothing
that a sender wrote reaches the database. When the database does not answer, nothing is accepted: `StorageError` passes.

Source: SAML 2.0 Core: 2.5.1.5; SAML 2.0 Profiles: 4.1.4.5.
"""

from __future__ import annotations

import threading
import time
from datetime import datetime
from typing import Protocol

import sqlalchemy as sa

from security.replay import ReplayStore
from storage.database import METADATA, Connection, Database
from storage.errors import UniqueViolation

#: `assertion` is the SHA-256 of what names the assertion, `holder` that of the certificate, `until` a Unix time.
ASSERTION_HOLDER = sa.Table(
    "assertion_holder",
    METADATA,
    sa.Column("assertion", sa.LargeBinary(32), nullable=False),
    sa.Column("holder", sa.LargeBinary(32), nullable=False),
    sa.Column("until", sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint("assertion", name="pk_assertion_holder"),
    sa.Index("assertion_holder_until", "until"),
    sqlite_with_rowid=False,
)

_INSERT = sa.insert(ASSERTION_HOLDER).values(
    {name: sa.bindparam(name, required=True) for name in ("assertion", "holder", "until")}
)
_HOLDER = sa.select(ASSERTION_HOLDER.c.holder).where(ASSERTION_HOLDER.c.assertion == sa.bindparam("assertion", required=True))
_FORGET = sa.delete(ASSERTION_HOLDER).where(ASSERTION_HOLDER.c.until < sa.bindparam("now", required=True))
_FORGET_EVERY = 60.0
_REMEMBERED = 10_000


class Uses(Protocol):
    """What is remembered of assertions. `assertion` and `holder` are digests of 32 octets. Safe for threads."""

    def once(self, assertion: bytes, until: datetime) -> bool:
        """True for whoever asks first."""

    def holder(self, assertion: bytes, holder: bytes, until: datetime) -> bytes:
        """Who brought the assertion first: `holder` when nobody did before."""


class MemoryUses:
    """Remembers in this process only: for a store that one process serves, and for tests of what stands above."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._once: set[bytes] = set()
        self._holders: dict[bytes, bytes] = {}

    def once(self, assertion: bytes, until: datetime) -> bool:
        with self._lock:
            if assertion in self._once:
                return False
            self._once.add(assertion)
            return True

    def holder(self, assertion: bytes, holder: bytes, until: datetime) -> bytes:
        with self._lock:
            return self._holders.setdefault(assertion, holder)


class StoredUses:
    """Remembers in the database; any number of processes may use the same. Raises StorageError."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen = ReplayStore(database)
        self._known: dict[bytes, bytes] = {}
        self._forget_at = 0.0

    def once(self, assertion: bytes, until: datetime) -> bool:
        return self._seen.first(assertion, until)

    def holder(self, assertion: bytes, holder: bytes, until: datetime) -> bytes:
        known = self._known.get(assertion)
        if known is not None:  # a row is never changed, so what was read once stays true
            return known
        found = self._read(assertion)
        if found is None:
            found = self._write(assertion, holder, int(until.timestamp()) + 1)
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[assertion] = found
        return found

    def _read(self, assertion: bytes) -> bytes | None:
        with self._database.read() as connection:
            rows = connection.execute(_HOLDER, {"assertion": assertion})
        return bytes(rows[0][0]) if rows else None

    def _write(self, assertion: bytes, holder: bytes, until: int) -> bytes:
        now = time.time()

        def work(connection: Connection) -> None:
            connection.execute(_INSERT, {"assertion": assertion, "holder": holder, "until": until})

        try:
            self._database.write(work)
        except UniqueViolation:
            return self._read(assertion) or b""
        if now >= self._forget_at:
            self._forget_at = now + _FORGET_EVERY
            self._database.write(lambda connection: connection.execute(_FORGET, {"now": int(now)}))
        return holder
