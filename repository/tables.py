"""The repository's tables: which document is which content, the content of small documents, and what was found of signatures.

A document is found by its uniqueId (ITI TF-2: 3.43.4.1.2) and its bytes by their SHA-256, so the same bytes under two ids are
kept once. `document` is keyed by both, because a document whose registration is not answered yet (state PENDING, only when
the registry is elsewhere) may stand beside another content under the same id until the registry has decided. One content per
uniqueId at most is REGISTERED.

Digests are raw bytes, times are seconds since 1970 (UTC).
"""

from __future__ import annotations

from enum import IntEnum

import sqlalchemy as sa

from storage.database import METADATA


class DocumentState(IntEnum):
    """`document.state`. The first two can be retrieved: a document is retrievable before it is registered
    (ITI TF-2: 3.41.4.1.3.2). The others were taken away by ITI-86 (`removal.py`): a hidden one has its bytes still, of a removed
    one only this row is left."""

    PENDING = 1
    REGISTERED = 2
    HIDDEN = 3
    REMOVED = 4


#: One row per document. `patient_id` is DocumentEntry.patientId as submitted (a later merge does not rewrite it);
#: `attempt` marks the submission that wrote a PENDING row, so that only the one who made it may take it back, and
#: a REMOVED row whose file may still be there.
document = sa.Table(
    "document",
    METADATA,
    sa.Column("unique_id", sa.Text, nullable=False),
    sa.Column("sha256", sa.LargeBinary(32), nullable=False),
    sa.Column("sha1", sa.LargeBinary(20), nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("mime_type", sa.Text, nullable=False),
    sa.Column("patient_id", sa.Text),
    sa.Column("state", sa.SmallInteger, nullable=False),
    sa.Column("stored_at", sa.BigInteger, nullable=False),
    sa.Column("attempt", sa.Text),
    sa.PrimaryKeyConstraint("unique_id", "sha256", name="pk_document"),
    sqlite_with_rowid=False,
)

#: From a content to its documents: asked by the collector and by removal before bytes are given up.
sa.Index("ix_document_sha256", document.c.sha256)

#: The content of a small document. A content without a row here is a file of the content store.
blob = sa.Table(
    "blob",
    METADATA,
    sa.Column("sha256", sa.LargeBinary(32), nullable=False),
    sa.Column("stored_at", sa.BigInteger, nullable=False),
    sa.Column("bytes", sa.LargeBinary, nullable=False),
    sa.PrimaryKeyConstraint("sha256", name="pk_blob"),
)

#: One row per signature over a submission set that was looked at (`signed_sets.py`), by the uniqueId of its document.
#: `signer` (RFC 4514) and `signing_time` are what the signature says, `rules` the ids of those it breaks, blank-separated: none
#: where it is good.
signed_set = sa.Table(
    "signed_set",
    METADATA,
    sa.Column("signature", sa.Text, nullable=False),
    sa.Column("submission_set", sa.Text, nullable=False),
    sa.Column("signer", sa.Text, nullable=False),
    sa.Column("signing_time", sa.Text, nullable=False),
    sa.Column("rules", sa.Text, nullable=False),
    sa.Column("checked_at", sa.BigInteger, nullable=False),
    sa.PrimaryKeyConstraint("signature", name="pk_signed_set"),
)

#: Documents are mostly compressed or small already: PostgreSQL must not spend time on compressing them again.
BLOB_STORAGE_POSTGRESQL = "ALTER TABLE blob ALTER COLUMN bytes SET STORAGE EXTERNAL"


@sa.event.listens_for(blob, "after_create")
def _store_uncompressed(_: sa.Table, connection: sa.Connection, **options: object) -> None:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(BLOB_STORAGE_POSTGRESQL)
