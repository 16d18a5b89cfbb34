"""Who a patient is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision: str | None = "0008"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.create_table(
        "patient_demographics",
        sa.Column("patient", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("patient"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """The older program asks for no names, and shows none."""
    op.drop_table("patient_demographics")
