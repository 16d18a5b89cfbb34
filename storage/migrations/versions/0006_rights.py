"""Who may read a record, and whose a document is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision: str | None = "0005"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.create_table(
        "patient_right",
        sa.Column("patient", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("patient", "kind", "holder"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "entry_writer",
        sa.Column("lid", sa.LargeBinary(16), nullable=False),
        sa.Column("role", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("lid", "role", "who"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("entry_writer")
    op.drop_table("patient_right")
