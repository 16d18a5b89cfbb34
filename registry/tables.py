"""The registry's tables. The patient leads every key, so that PostgreSQL can partition by patient without another design.

*Patients.* A row per identifier (CX). `cluster` is the row of the identifier that stands for the person: a merge or an alias
changes patient rows only, never a document's. A query resolves CX -> cluster -> the ids of all rows of the cluster, and reads
`WHERE patient IN (those ids)`.

*Objects.* `id` grows with registration (`new_ids`): sorting by it gives every query the same stable order. Coded values are the
small integers of `code`; several of them stand in one text `,12,15,` searched by LIKE. Authors and reference ids are JSON arrays
of strings. Times are the DTM digits padded to 14 (`padded_time`). `fragment` is the finished ebRIM element (`fragments.py`), in
which the patient id is a marker, replaced at query time by the identifier that stands for the person.

*Locators.* `object` and `unique_identifier` lead from an entryUUID or a uniqueId to the patient and the id; a partitioned
table could not have those unique keys itself.
"""

from __future__ import annotations

import hashlib
import threading
import time
from enum import IntEnum

import sqlalchemy as sa

from metadata.vocabulary import ObjectKind
from storage.database import METADATA


class Kind(IntEnum):
    """The column `kind` of the locators."""

    DOCUMENT_ENTRY = 1
    SUBMISSION_SET = 2
    FOLDER = 3
    ASSOCIATION = 4


KIND_OF = {
    ObjectKind.DOCUMENT_ENTRY: Kind.DOCUMENT_ENTRY,
    ObjectKind.SUBMISSION_SET: Kind.SUBMISSION_SET,
    ObjectKind.FOLDER: Kind.FOLDER,
    ObjectKind.ASSOCIATION: Kind.ASSOCIATION,
}
OBJECT_KIND = {small: kind for kind, small in KIND_OF.items()}


class PatientState(IntEnum):
    """The column `state` of a patient row."""

    ACTIVE = 1
    SUBSUMED = 2  # merged away: nothing is registered or found under this id any more
    ALIAS = 3  # another identifier of the same person: as good as the one that stands for the cluster
    CLOSED = 4  # the record: of the row that stands for the person only
    DESTROYED = 5  # the record: nothing but its identifiers and its events is left


class EntryType(IntEnum):
    """The column `kind` of a DocumentEntry (its objectType)."""

    STABLE = 1
    ON_DEMAND = 2


class Label(IntEnum):
    """The column `label` of an Association: SubmissionSetStatus (ITI TF-3: 4.2.2.1.1)."""

    ORIGINAL = 1
    REFERENCE = 2


#: `code.scheme` of interned values that are no coded values.
REPOSITORY_SCHEME = "#repositoryUniqueId"

_OBJECT_KEY = ("patient", "id")


def _key(name: str) -> list[sa.Column[int]]:
    return [
        sa.Column(
            "patient", sa.BigInteger, sa.ForeignKey("patient.id", name=f"{name}_patient"), primary_key=True, autoincrement=False
        ),
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    ]


patient = sa.Table(
    "patient",
    METADATA,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), sa.Identity(), primary_key=True),
    sa.Column("cx", sa.Text, nullable=False),
    sa.Column("cluster", sa.BigInteger, nullable=False),
    sa.Column("state", sa.SmallInteger, nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),  # UTC, YYYYMMDDhhmmss
    sa.UniqueConstraint("cx", name="patient_cx"),
    sa.Index("patient_cluster", "cluster"),
)

code = sa.Table(
    "code",
    METADATA,
    sa.Column("id", sa.Integer, sa.Identity(), primary_key=True),
    sa.Column("code", sa.Text, nullable=False),
    sa.Column("scheme", sa.Text, nullable=False),
    sa.UniqueConstraint("code", "scheme", name="code_value"),
)

document_entry = sa.Table(
    "document_entry",
    METADATA,
    *_key("document_entry"),
    sa.Column("uuid", sa.LargeBinary(16), nullable=False),
    sa.Column("lid", sa.LargeBinary(16)),  # NULL: the first version, whose logicalID is its entryUUID
    sa.Column("version", sa.SmallInteger, nullable=False),
    sa.Column("status", sa.SmallInteger, nullable=False),  # AvailabilityStatus.db
    sa.Column("kind", sa.SmallInteger, nullable=False),  # EntryType
    sa.Column("class_code", sa.Integer),
    sa.Column("type_code", sa.Integer),
    sa.Column("format_code", sa.Integer),
    sa.Column("facility_code", sa.Integer),
    sa.Column("practice_code", sa.Integer),
    sa.Column("creation_time", sa.BigInteger),
    sa.Column("service_start", sa.BigInteger),
    sa.Column("service_stop", sa.BigInteger),
    sa.Column("confidentiality_codes", sa.Text),  # ,12,15,
    sa.Column("event_codes", sa.Text),  # ,12,15,
    sa.Column("author_persons", sa.Text),  # JSON array of XCN
    sa.Column("reference_ids", sa.Text),  # JSON array of CXi
    sa.Column("title", sa.Text),  # for FindDocumentsByTitle
    sa.Column("offline", sa.SmallInteger),  # 1: documentAvailability Offline; NULL: online or not said
    sa.Column("home", sa.Text),  # homeCommunityId
    sa.Column("hash", sa.LargeBinary(20)),
    sa.Column("size", sa.BigInteger),
    sa.Column("repository", sa.Integer),  # code.id under REPOSITORY_SCHEME
    sa.Column("unique_id", sa.Text),
    sa.Column("fragment", sa.LargeBinary, nullable=False),
    sa.Index("document_entry_class", "patient", "status", "class_code"),
    sa.Index("document_entry_lid", "lid", sqlite_where=sa.text("lid IS NOT NULL"), postgresql_where=sa.text("lid IS NOT NULL")),
    sqlite_with_rowid=False,
)

submission_set = sa.Table(
    "submission_set",
    METADATA,
    *_key("submission_set"),
    sa.Column("uuid", sa.LargeBinary(16), nullable=False),
    sa.Column("status", sa.SmallInteger, nullable=False),
    sa.Column("source_id", sa.Text),
    sa.Column("submission_time", sa.BigInteger),
    sa.Column("content_type_code", sa.Integer),
    sa.Column("author_persons", sa.Text),  # JSON array of XCN
    sa.Column("home", sa.Text),
    sa.Column("unique_id", sa.Text),
    sa.Column("fragment", sa.LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

folder = sa.Table(
    "folder",
    METADATA,
    *_key("folder"),
    sa.Column("uuid", sa.LargeBinary(16), nullable=False),
    sa.Column("lid", sa.LargeBinary(16)),
    sa.Column("version", sa.SmallInteger, nullable=False),
    sa.Column("status", sa.SmallInteger, nullable=False),
    sa.Column("last_update", sa.BigInteger),
    sa.Column("codes", sa.Text),  # ,12,15,
    sa.Column("home", sa.Text),
    sa.Column("unique_id", sa.Text),
    sa.Column("fragment", sa.LargeBinary, nullable=False),
    sa.Index("folder_lid", "lid", sqlite_where=sa.text("lid IS NOT NULL"), postgresql_where=sa.text("lid IS NOT NULL")),
    sqlite_with_rowid=False,
)

#: The row stands under the source's patient; when the target is another patient's, a second row (`mirror` = 1, same id, same
#: uuid) stands under the target's. `fragment` is NULL when the columns say all: type, ends, status, label.
association = sa.Table(
    "association",
    METADATA,
    *_key("association"),
    sa.Column("uuid", sa.LargeBinary(16), nullable=False),
    sa.Column("type", sa.SmallInteger, nullable=False),  # AssociationType.db
    sa.Column("source", sa.LargeBinary(16), nullable=False),
    sa.Column("target", sa.LargeBinary(16), nullable=False),
    sa.Column("status", sa.SmallInteger, nullable=False),
    sa.Column("label", sa.SmallInteger),  # Label
    sa.Column("mirror", sa.SmallInteger, nullable=False),
    sa.Column("fragment", sa.LargeBinary),
    sa.Index("association_source", "patient", "source"),
    sa.Index("association_target", "patient", "target"),
    sqlite_with_rowid=False,
)

object_locator = sa.Table(
    "object",
    METADATA,
    sa.Column("uuid", sa.LargeBinary(16), primary_key=True),
    sa.Column("patient", sa.BigInteger, nullable=False),
    sa.Column("kind", sa.SmallInteger, nullable=False),
    sa.Column("id", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

#: `digest` is `unique_id_key(uniqueId)`. `turn` is 0 for SubmissionSets and Folders, whose uniqueId nobody else may have, and the
#: entry's id for DocumentEntries, several of which may share one.
unique_identifier = sa.Table(
    "unique_identifier",
    METADATA,
    sa.Column("digest", sa.LargeBinary(16), primary_key=True),
    sa.Column("turn", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.SmallInteger, nullable=False),
    sa.Column("patient", sa.BigInteger, nullable=False),
    sa.Column("id", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)


#: Objects that ITI-62 took out of every answer under the policy `hide`: their rows, deflated JSON. Nothing but the destruction of
#: a record reads or writes here again.
removed = sa.Table(
    "removed",
    METADATA,
    sa.Column("uuid", sa.LargeBinary(16), primary_key=True),  # may be registered, and removed, again
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("patient", sa.BigInteger, nullable=False),
    sa.Column("kind", sa.SmallInteger, nullable=False),
    sa.Column("removed_at", sa.BigInteger, nullable=False),  # UTC, YYYYMMDDhhmmss
    sa.Column("content", sa.LargeBinary, nullable=False),
    sa.Index("removed_patient", "patient"),
    sqlite_with_rowid=False,
)


#: What was done to a record as a whole: the evidence that outlives its content. `patient` is the row that stood for the person.
record_event = sa.Table(
    "record_event",
    METADATA,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), sa.Identity(), primary_key=True),
    sa.Column("patient", sa.BigInteger, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),  # UTC, YYYYMMDDhhmmss
    sa.Column("event", sa.Text, nullable=False),  # registry.record.Event
    sa.Column("detail", sa.Text, nullable=False),  # JSON
    sa.Index("record_event_patient", "patient"),
)


#: What a patient has said about who may read the record, and who treats or represents them (`registry/rights.py`). `patient` is
#: any row of the person, `holder` a national id or "".
patient_right = sa.Table(
    "patient_right",
    METADATA,
    sa.Column("patient", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.SmallInteger, primary_key=True, autoincrement=False),  # registry.rights.Kind
    sa.Column("holder", sa.Text, primary_key=True),
    sa.Column("at", sa.BigInteger, nullable=False),  # UTC, YYYYMMDDhhmmss
    sqlite_with_rowid=False,
)


#: Whose a document is, by its logicalID: who sent it, and whom its first version names as author (`registry/rights_writers.py`).
entry_writer = sa.Table(
    "entry_writer",
    METADATA,
    sa.Column("lid", sa.LargeBinary(16), primary_key=True),
    sa.Column("role", sa.SmallInteger, primary_key=True, autoincrement=False),  # registry.rights.Writer
    sa.Column("who", sa.Text, primary_key=True),
    sqlite_with_rowid=False,
)


#: Who the patient is, where a service of the DMP has said it (`registry/demographics.py`). `patient` is any row of the person.
patient_demographics = sa.Table(
    "patient_demographics",
    METADATA,
    sa.Column("patient", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("content", sa.Text, nullable=False),  # JSON
    sqlite_with_rowid=False,
)


def unique_id_key(unique_id: str) -> bytes:
    """The key of a uniqueId in `unique_identifier`: 16 bytes whatever its length, a third of the usual OID^extension."""
    return hashlib.sha256(unique_id.encode()).digest()[:16]


def padded_time(value: str | None) -> int | None:
    """A DTM of any precision as 14 digits, missing ones at their lowest (`200412` -> 20041201000000); None when it is no DTM."""
    if not value or not value.isascii() or not value.isdigit() or not 4 <= len(value) <= 14:
        return None
    return int(value + "00000101000000"[len(value):])


class _Clock:
    """Ids that grow with time: microseconds since 1970, never twice the same in one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def take(self, count: int) -> range:
        with self._lock:
            first = max(self._last + 1, time.time_ns() // 1000)
            self._last = first + count - 1
            return range(first, first + count)


_clock = _Clock()


def new_ids(count: int) -> range:
    """`count` consecutive object ids. Unique under one patient, whose row the caller has locked; they need no sequence."""
    return _clock.take(count)
