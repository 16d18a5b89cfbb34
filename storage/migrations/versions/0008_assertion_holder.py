"""Who brought an assertion first."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision: str | None = "0007"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.create_table(
        "assertion_holder",
        sa.Column("assertion", sa.LargeBinary(32), nullable=False),
        sa.Column("holder", sa.LargeBinary(32), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("assertion", name="pk_assertion_holder"),
        sqlite_with_rowid=False,
    )
    op.create_index("assertion_holder_until", "assertion_holder", ["until"])


def downgrade() -> None:
    op.drop_table("assertion_holder")
