"""Where objects are kept that were removed and are not to be lost."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision: str | None = "0001"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.create_table(
        "removed",
        sa.Column("uuid", sa.LargeBinary(16), nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("patient", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("removed_at", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("uuid", "id"),
        sqlite_with_rowid=False,
    )
    op.create_index("removed_patient", "removed", ["patient"])


def downgrade() -> None:
    """What was hidden goes with its table: it was out of every answer already."""
    op.drop_table("removed")
