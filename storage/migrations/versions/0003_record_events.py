"""What was done to a patient's record as a whole: opened, closed, exported, destroyed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision: str | None = "0002"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.create_table(
        "record_event",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), sa.Identity(), nullable=False),
        sa.Column("patient", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("record_event_patient", "record_event", ["patient"])


def downgrade() -> None:
    """The older program keeps no record of this: closed records are open to it, destroyed ones stay empty."""
    op.drop_table("record_event")
    # Closed and destroyed are not known there; such a row would be refused as damaged.
    op.execute("UPDATE patient SET state = 1 WHERE state IN (4, 5)")
