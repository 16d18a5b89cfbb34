"""The ids of signed messages that were accepted: none counts twice."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision: str | None = "0004"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.create_table(
        "message_seen",
        sa.Column("key", sa.LargeBinary(32), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_message_seen"),
        sqlite_with_rowid=False,
    )
    op.create_index("message_seen_until", "message_seen", ["until"])


def downgrade() -> None:
    op.drop_table("message_seen")
