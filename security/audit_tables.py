"""The tables of the audit trail.

*Lanes.* Records stand in lanes, each a chain of its own: who writes takes a lane for the length of his transaction, so that
transactions which commit at the same time do not wait for one another. SQLite, with its one writer, uses the first only.
A record is named by lane and number (`3.1412`); numbers of a lane have no gap.
"""

from __future__ import annotations

import sqlalchemy as sa

from storage.database import METADATA

#: Rows of `audit_lane`.
LANES = 64

#: `patient` is `security.audit.patient_key`, `kind` `security.audit_store.Kind`; `body` is `security.audit.pack`.
audit_record = sa.Table(
    "audit_record",
    METADATA,
    sa.Column("lane", sa.Integer, nullable=False),
    sa.Column("number", sa.BigInteger, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),  # milliseconds since 1970
    sa.Column("kind", sa.SmallInteger, nullable=False),
    sa.Column("patient", sa.BigInteger),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("mac", sa.LargeBinary(32), nullable=False),
    sa.PrimaryKeyConstraint("lane", "number", name="pk_audit_record"),
    sqlite_with_rowid=False,
)

sa.Index("audit_record_patient", audit_record.c.patient)

#: The end of each lane.
audit_lane = sa.Table(
    "audit_lane",
    METADATA,
    sa.Column("lane", sa.Integer, autoincrement=False, primary_key=True),
    sa.Column("number", sa.BigInteger, nullable=False),
    sa.Column("mac", sa.LargeBinary(32), nullable=False),
)

#: How far somebody has come in each lane: the forwarder (`sent`), the search for events without an end (`settled`).
audit_mark = sa.Table(
    "audit_mark",
    METADATA,
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("lane", sa.Integer, nullable=False),
    sa.Column("number", sa.BigInteger, nullable=False),
    sa.PrimaryKeyConstraint("name", "lane", name="pk_audit_mark"),
)
