"""The audit trail: records in lanes, the end of each lane, how far readers have come."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision: str | None = "0003"
branch_labels: str | None = None
depends_on: str | None = None

_LANES = 64


def upgrade() -> None:
    op.create_table(
        "audit_record",
        sa.Column("lane", sa.Integer(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("patient", sa.BigInteger()),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("mac", sa.LargeBinary(32), nullable=False),
        sa.PrimaryKeyConstraint("lane", "number", name="pk_audit_record"),
        sqlite_with_rowid=False,
    )
    op.create_index("audit_record_patient", "audit_record", ["patient"])
    lanes = op.create_table(
        "audit_lane",
        sa.Column("lane", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("mac", sa.LargeBinary(32), nullable=False),
        sa.PrimaryKeyConstraint("lane"),
    )
    op.bulk_insert(lanes, [{"lane": lane, "number": 0, "mac": b""} for lane in range(_LANES)])
    op.create_table(
        "audit_mark",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("lane", sa.Integer(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", "lane", name="pk_audit_mark"),
    )


def downgrade() -> None:
    """The older program keeps no audit trail: what was written is lost here, and the forwarded records remain where they went."""
    op.drop_table("audit_mark")
    op.drop_table("audit_lane")
    op.drop_table("audit_record")
