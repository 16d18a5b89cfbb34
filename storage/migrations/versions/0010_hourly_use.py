"""What callers did within the hour: quotas, and how many patients they asked about."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision: str | None = "0009"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.create_table(
        "hourly_use",
        sa.Column("who", sa.LargeBinary(32), nullable=False),
        sa.Column("hour", sa.BigInteger(), nullable=False),
        sa.Column("what", sa.LargeBinary(32), nullable=False),
        sa.Column("documents", sa.BigInteger(), nullable=False),
        sa.Column("octets", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("who", "hour", "what", name="pk_hourly_use"),
        sqlite_with_rowid=False,
    )
    op.create_index("hourly_use_hour", "hourly_use", ["hour"])


def downgrade() -> None:
    op.drop_table("hourly_use")
