"""What was found of the signatures over submission sets."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision: str | None = "0006"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.create_table(
        "signed_set",
        sa.Column("signature", sa.Text(), nullable=False),
        sa.Column("submission_set", sa.Text(), nullable=False),
        sa.Column("signer", sa.Text(), nullable=False),
        sa.Column("signing_time", sa.Text(), nullable=False),
        sa.Column("rules", sa.Text(), nullable=False),
        sa.Column("checked_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("signature", name="pk_signed_set"),
    )


def downgrade() -> None:
    """The older program checks no signatures; the signatures themselves are documents and stay."""
    op.drop_table("signed_set")
