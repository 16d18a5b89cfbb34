"""Each signed message counts once: the memory of message ids that all workers share, in the store's own database.

The key is the signer's certificate and wsa:MessageID, so that nobody can use up the ids of others. A row is kept until the
message has become too old to be accepted anyway. When the database does not answer, nothing is accepted: `StorageError` passes.

Source: WSS SOAP Message Security 1.1: 13.1.
"""

from __future__ import annotations

import hashlib
import time
from datetime import datetime

import sqlalchemy as sa

from security import rules_signature as rules
from storage.database import METADATA, Connection, Database
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

_INSERT = sa.insert(MESSAGE_SEEN).values(key=sa.bindparam("key", required=True), until=sa.bindparam("until", required=True))
_FORGET = sa.delete(MESSAGE_SEEN).where(MESSAGE_SEEN.c.until < sa.bindparam("now", required=True))
_FORGET_EVERY = 60.0


class ReplayStore:
    """Safe for threads; any number of processes may use the same database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._forget_at = 0.0

    def first(self, key: bytes, until: datetime) -> bool:
        """True for whoever brings this key (32 octets) first; the row is durable then. Raises StorageError."""
        now = time.time()
        forget = now >= self._forget_at

        def work(connection: Connection) -> None:
            connection.execute(_INSERT, {"key": key, "until": int(until.timestamp()) + 1})

        try:
            self._database.write(work)
        except UniqueViolation:
            return False
        if forget:
            # Apart from the row above: what an insert of others waits for should be over soon.
            self._forget_at = now + _FORGET_EVERY
            self._database.write(lambda connection: connection.execute(_FORGET, {"now": int(now)}))
        return True

    def message(self, certificate_der: bytes, message_id: str, until: datetime) -> None:
        """Raises Denied SIG-029 for a message of this signer that was here before."""
        signer = hashlib.sha256(certificate_der).digest()
        if not self.first(hashlib.sha256(signer + message_id.encode()).digest(), until):
            raise rules.REPLAY.denied(id=message_id)
