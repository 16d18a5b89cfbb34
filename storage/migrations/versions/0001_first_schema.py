"""The first schema: patients, interned codes, the registry's objects and their locators, the repository's documents."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision: str | None = None
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    _patients_and_codes()
    _document_entries()
    _packages()
    _associations()
    _locators()
    _documents()


def downgrade() -> None:
    tables = "blob document unique_identifier object association submission_set folder document_entry code patient"
    for table in tables.split():
        op.drop_table(table)


def _column(name: str, kind: type[sa.types.TypeEngine[Any]], *, needed: bool = False) -> sa.Column[Any]:
    return sa.Column(name, kind(), nullable=not needed)


def _digest(name: str, length: int, *, needed: bool = True) -> sa.Column[bytes]:
    return sa.Column(name, sa.LargeBinary(length), nullable=not needed)


def _key(table: str) -> list[sa.schema.SchemaItem]:
    """Patient and id: the key of every object."""
    return [
        sa.Column("patient", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(["patient"], ["patient.id"], name=f"{table}_patient"),
        sa.PrimaryKeyConstraint("patient", "id"),
    ]


def _index_of_lid(table: str) -> None:
    later = sa.text("lid IS NOT NULL")
    op.create_index(f"{table}_lid", table, ["lid"], sqlite_where=later, postgresql_where=later)


def _patients_and_codes() -> None:
    op.create_table(
        "patient",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), sa.Identity(), nullable=False),
        _column("cx", sa.Text, needed=True),
        _column("cluster", sa.BigInteger, needed=True),
        _column("state", sa.SmallInteger, needed=True),
        _column("created", sa.BigInteger, needed=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("cx", name="patient_cx"),
    )
    op.create_index("patient_cluster", "patient", ["cluster"])
    op.create_table(
        "code",
        sa.Column("id", sa.Integer(), sa.Identity(), nullable=False),
        _column("code", sa.Text, needed=True),
        _column("scheme", sa.Text, needed=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("code", "scheme", name="code_value"),
    )


def _document_entries() -> None:
    op.create_table(
        "document_entry",
        *_key("document_entry"),
        _digest("uuid", 16),
        _digest("lid", 16, needed=False),
        _column("version", sa.SmallInteger, needed=True),
        _column("status", sa.SmallInteger, needed=True),
        _column("kind", sa.SmallInteger, needed=True),
        _column("class_code", sa.Integer),
        _column("type_code", sa.Integer),
        _column("format_code", sa.Integer),
        _column("facility_code", sa.Integer),
        _column("practice_code", sa.Integer),
        _column("creation_time", sa.BigInteger),
        _column("service_start", sa.BigInteger),
        _column("service_stop", sa.BigInteger),
        _column("confidentiality_codes", sa.Text),
        _column("event_codes", sa.Text),
        _column("author_persons", sa.Text),
        _column("reference_ids", sa.Text),
        _column("title", sa.Text),
        _column("offline", sa.SmallInteger),
        _column("home", sa.Text),
        _digest("hash", 20, needed=False),
        _column("size", sa.BigInteger),
        _column("repository", sa.Integer),
        _column("unique_id", sa.Text),
        _column("fragment", sa.LargeBinary, needed=True),
        sqlite_with_rowid=False,
    )
    op.create_index("document_entry_class", "document_entry", ["patient", "status", "class_code"])
    _index_of_lid("document_entry")


def _packages() -> None:
    op.create_table(
        "submission_set",
        *_key("submission_set"),
        _digest("uuid", 16),
        _column("status", sa.SmallInteger, needed=True),
        _column("source_id", sa.Text),
        _column("submission_time", sa.BigInteger),
        _column("content_type_code", sa.Integer),
        _column("author_persons", sa.Text),
        _column("home", sa.Text),
        _column("unique_id", sa.Text),
        _column("fragment", sa.LargeBinary, needed=True),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "folder",
        *_key("folder"),
        _digest("uuid", 16),
        _digest("lid", 16, needed=False),
        _column("version", sa.SmallInteger, needed=True),
        _column("status", sa.SmallInteger, needed=True),
        _column("last_update", sa.BigInteger),
        _column("codes", sa.Text),
        _column("home", sa.Text),
        _column("unique_id", sa.Text),
        _column("fragment", sa.LargeBinary, needed=True),
        sqlite_with_rowid=False,
    )
    _index_of_lid("folder")


def _associations() -> None:
    op.create_table(
        "association",
        *_key("association"),
        _digest("uuid", 16),
        _column("type", sa.SmallInteger, needed=True),
        _digest("source", 16),
        _digest("target", 16),
        _column("status", sa.SmallInteger, needed=True),
        _column("label", sa.SmallInteger),
        _column("mirror", sa.SmallInteger, needed=True),
        _column("fragment", sa.LargeBinary),
        sqlite_with_rowid=False,
    )
    op.create_index("association_source", "association", ["patient", "source"])
    op.create_index("association_target", "association", ["patient", "target"])


def _locators() -> None:
    op.create_table(
        "object",
        _digest("uuid", 16),
        _column("patient", sa.BigInteger, needed=True),
        _column("kind", sa.SmallInteger, needed=True),
        _column("id", sa.BigInteger, needed=True),
        sa.PrimaryKeyConstraint("uuid"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "unique_identifier",
        _digest("digest", 16),
        sa.Column("turn", sa.BigInteger(), autoincrement=False, nullable=False),
        _column("kind", sa.SmallInteger, needed=True),
        _column("patient", sa.BigInteger, needed=True),
        _column("id", sa.BigInteger, needed=True),
        sa.PrimaryKeyConstraint("digest", "turn"),
        sqlite_with_rowid=False,
    )


def _documents() -> None:
    op.create_table(
        "document",
        _column("unique_id", sa.Text, needed=True),
        _digest("sha256", 32),
        _digest("sha1", 20),
        _column("size", sa.BigInteger, needed=True),
        _column("mime_type", sa.Text, needed=True),
        _column("patient_id", sa.Text),
        _column("state", sa.SmallInteger, needed=True),
        _column("stored_at", sa.BigInteger, needed=True),
        _column("attempt", sa.Text),
        sa.PrimaryKeyConstraint("unique_id", "sha256", name="pk_document"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_document_sha256", "document", ["sha256"])
    op.create_table(
        "blob",
        _digest("sha256", 32),
        _column("stored_at", sa.BigInteger, needed=True),
        _column("bytes", sa.LargeBinary, needed=True),
        sa.PrimaryKeyConstraint("sha256", name="pk_blob"),
    )
    if op.get_context().dialect.name == "postgresql":
        op.execute("ALTER TABLE blob ALTER COLUMN bytes SET STORAGE EXTERNAL")  # documents are compressed already
