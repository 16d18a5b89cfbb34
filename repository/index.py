"""Which document is which content: the rows of `document` and `blob`, read and written in bounded numbers of statements.

A submission's documents travel as one `Deposit`. Registered in the same process, it is written inside the registry's own
transaction (`store`). Registered elsewhere, it is announced before (retrievable, PENDING), then confirmed or withdrawn.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from metadata.rules.rule import Finding
from repository import refusals
from repository.tables import DocumentState, blob, document, signed_set
from storage.database import Connection, Database, Row, in_list

#: Rows of one statement: it bounds what a reader holds, not what it can find.
PAGE = 500


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """One row of the index. Digests are raw bytes, `stored_at` is seconds since 1970."""

    uniqueId: str
    sha256: bytes
    sha1: bytes
    size: int
    mimeType: str
    patientId: str | None
    state: DocumentState
    stored_at: int


@dataclass(frozen=True, slots=True)
class SignatureRecord:
    """One row of `signed_set`: what was found of the signature with this uniqueId. `rules` is empty where it is good."""

    signature: str
    submissionSet: str
    signer: str
    signing_time: str
    rules: tuple[str, ...]
    checked_at: int

    def row(self) -> dict[str, Any]:
        """As the table has it."""
        return {
            "signature": self.signature,
            "submission_set": self.submissionSet,
            "signer": self.signer,
            "signing_time": self.signing_time,
            "rules": " ".join(self.rules),
            "checked_at": self.checked_at,
        }


@dataclass(frozen=True, slots=True)
class Deposit:
    """The documents of one submission, the bytes of the small ones by SHA-256, and what was found of its signatures."""

    documents: Sequence[StoredDocument]
    blobs: dict[bytes, bytes]
    attempt: str = field(default_factory=lambda: uuid.uuid4().hex)
    signatures: tuple[SignatureRecord, ...] = ()

    def store(self, connection: Connection) -> None:
        """Write everything as registered: for the registry's own transaction."""
        self._write(connection, DocumentState.REGISTERED)

    def announce(self, connection: Connection) -> None:
        """Write everything as pending: the documents can be retrieved, and a registry elsewhere is asked next."""
        self._write(connection, DocumentState.PENDING)

    def confirm(self, connection: Connection) -> None:
        """The registry has accepted. Rows that another attempt withdrew in the meantime are written again."""
        self._write(connection, DocumentState.REGISTERED)

    def withdraw(self, connection: Connection) -> None:
        """The registry has refused: take back the rows that this attempt alone has written. Bytes are left to the collector.

        A row that stood here before, or that another attempt has announced since, stays: it may be registered, with the
        registry's answer lost on the way.
        """
        connection.execute(_WITHDRAW, {"ids": [d.uniqueId for d in self.documents], "attempt": self.attempt})

    def _write(self, connection: Connection, state: DocumentState) -> None:
        registered = state is DocumentState.REGISTERED
        if registered and self.signatures:
            connection.execute_many(_PUT_SIGNATURE[connection.dialect], [one.row() for one in self.signatures])
        if self.blobs:
            now = max(d.stored_at for d in self.documents)
            rows = [{"sha256": key, "stored_at": now, "bytes": content} for key, content in self.blobs.items()]
            connection.execute_many(_PUT_BLOB[connection.dialect], rows)
        connection.execute_many(
            (_PUT_REGISTERED if registered else _PUT_PENDING)[connection.dialect],
            [
                {
                    "unique_id": d.uniqueId,
                    "sha256": d.sha256,
                    "sha1": d.sha1,
                    "size": d.size,
                    "mime_type": d.mimeType,
                    "patient_id": d.patientId,
                    "state": int(state),
                    "stored_at": d.stored_at,
                    "attempt": None if registered else self.attempt,
                }
                for d in self.documents
            ],
        )


class DocumentIndex:
    """The reading side. Every method is one statement for each `PAGE` ids."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def find(self, unique_ids: Iterable[str]) -> dict[str, StoredDocument]:
        """What is retrievable under these ids. Where several contents wait under one id, the registered or else the newest."""
        found: dict[str, StoredDocument] = {}
        with self.database.read() as connection:
            for ids in pages(list(dict.fromkeys(unique_ids))):
                for row in connection.execute(_FIND, {"ids": ids}):
                    found[row[0]] = _document(row)
        return found

    def of_patients(self, patient_ids: Iterable[str], unique_ids: Iterable[str]) -> list[StoredDocument]:
        """The documents submitted for these patients, or under these uniqueIds, hidden ones included: a scan of the table."""
        with self.database.read() as connection:
            rows = connection.execute(_OF_PATIENTS, {"patients": list(patient_ids), "ids": list(unique_ids)})
        return [_document(row) for row in rows]

    def move(self, connection: Connection, unique_ids: Sequence[str], patient_id: str) -> None:
        """These documents are another patient's from now on, in the caller's transaction."""
        for ids in pages(list(dict.fromkeys(unique_ids))):
            connection.execute(_MOVE, {"ids": ids, "patient": patient_id})

    def conflicts(self, documents: Sequence[StoredDocument]) -> list[Finding]:
        """A uniqueId that stands registered for other bytes (ITI TF-2: 3.41.4.1.3.2). The same bytes again are no conflict."""
        findings = []
        standing = self.find(d.uniqueId for d in documents)
        for new in documents:
            old = standing.get(new.uniqueId)
            if old is not None and old.state is DocumentState.REGISTERED and old.sha256 != new.sha256:
                findings.append(refusals.other_content(new.uniqueId, same_size=old.size == new.size))
        return findings

    def load(self, contents: Sequence[bytes]) -> dict[bytes, bytes]:
        """The bytes of small documents by SHA-256; a content that is a file is not in the answer."""
        with self.database.read() as connection:
            return {row[0]: row[1] for row in connection.execute(_LOAD, {"contents": contents})}

    def rows(self) -> Iterator[Sequence[tuple[StoredDocument, int | None]]]:
        """Every document with the length of its blob row (None: its content is a file), in pages."""
        after, content = "", b""
        while True:
            with self.database.read() as connection:
                page = connection.execute(_ROWS, {"after": after, "content": content})
            if not page:
                return
            yield [(_document(row), row[8]) for row in page]
            after, content = page[-1][0], page[-1][1]

    def blobs(self) -> Iterator[Sequence[tuple[bytes, bytes]]]:
        """Every blob row (SHA-256, bytes), in pages."""
        after = b""
        while True:
            with self.database.read() as connection:
                page = connection.execute(_BLOBS, {"after": after})
            if not page:
                return
            yield [(row[0], row[1]) for row in page]
            after = page[-1][0]

    def signatures(self) -> Iterator[Sequence[SignatureRecord]]:
        """Everything that was found of signatures, in pages."""
        after = ""
        while True:
            with self.database.read() as connection:
                page = connection.execute(_SIGNATURES, {"after": after})
            if not page:
                return
            yield [SignatureRecord(row[0], row[1], row[2], row[3], tuple(row[4].split()), row[5]) for row in page]
            after = page[-1][0]

    def withdrawn(self, unique_ids: Sequence[str]) -> set[str]:
        """Those of the ids under which a document was hidden or removed (ITI-86)."""
        with self.database.read() as connection:
            return {row[0] for ids in pages(unique_ids) for row in connection.execute(_WITHDRAWN, {"ids": ids})}

    def referenced(self, contents: Sequence[bytes]) -> set[bytes]:
        """Those of the contents that some document is that was not removed."""
        with self.database.read() as connection:
            return {row[0] for ids in pages(contents) for row in connection.execute(_REFERENCED, {"contents": ids})}


def pages(ids: Sequence[bytes] | Sequence[str]) -> Iterator[Sequence[bytes] | Sequence[str]]:
    """`ids` in pieces of at most `PAGE`."""
    for start in range(0, len(ids), PAGE):
        yield ids[start : start + PAGE]


def _document(row: Row) -> StoredDocument:
    return StoredDocument(row[0], row[1], row[2], row[3], row[4], row[5], DocumentState(row[6]), row[7])


# --------------------------------------------------------------------------------------------------------------- statements

#: The states up to this one can be retrieved.
_RETRIEVABLE: sa.ColumnElement[int] = sa.literal_column(str(int(DocumentState.REGISTERED)))
_INSERT: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def _put(registered: bool) -> dict[str, sa.Executable]:
    """Insert; a row that stands becomes registered, or (pending) nobody's to withdraw; one that was removed begins anew."""
    statements: dict[str, sa.Executable] = {}
    for dialect, insert in _INSERT.items():
        new = insert(document).values({c.name: sa.bindparam(c.name) for c in document.columns})
        gone = document.c.state > _RETRIEVABLE
        changed = {
            "attempt": sa.null() if registered else sa.case((gone, new.excluded.attempt), else_=sa.null()),
            "state": new.excluded.state if registered else sa.case((gone, new.excluded.state), else_=document.c.state),
            "patient_id": sa.func.coalesce(document.c.patient_id, new.excluded.patient_id),
            "stored_at": sa.case((gone, new.excluded.stored_at), else_=document.c.stored_at),
        }
        statements[dialect] = new.on_conflict_do_update(index_elements=["unique_id", "sha256"], set_=changed)
    return statements


def _put_blob() -> dict[str, sa.Executable]:
    """Insert, or renew: the bytes at hand have just been hashed, the bytes that stand may have decayed; and the collector
    sees a young row."""
    statements: dict[str, sa.Executable] = {}
    for dialect, insert in _INSERT.items():
        new = insert(blob).values({c.name: sa.bindparam(c.name) for c in blob.columns})
        renewed = {"stored_at": new.excluded.stored_at, "bytes": new.excluded.bytes}
        statements[dialect] = new.on_conflict_do_update(index_elements=["sha256"], set_=renewed)
    return statements


def _put_signature() -> dict[str, sa.Executable]:
    """Insert, or renew: the same submission sent again was looked at again."""
    statements: dict[str, sa.Executable] = {}
    for dialect, insert in _INSERT.items():
        new = insert(signed_set).values({c.name: sa.bindparam(c.name) for c in signed_set.columns})
        renewed = {c.name: new.excluded[c.name] for c in signed_set.columns if c.name != "signature"}
        statements[dialect] = new.on_conflict_do_update(index_elements=["signature"], set_=renewed)
    return statements


_PUT_SIGNATURE = _put_signature()
_PUT_REGISTERED = _put(registered=True)
_PUT_PENDING = _put(registered=False)
_PUT_BLOB = _put_blob()
_COLUMNS = tuple(
    document.c[name] for name in ("unique_id", "sha256", "sha1", "size", "mime_type", "patient_id", "state", "stored_at")
)

# The last row of an id wins in `find`: the registered one, or else the newest.
_FIND = (
    sa.select(*_COLUMNS)
    .where(in_list(document.c.unique_id, "ids"), document.c.state <= _RETRIEVABLE)
    .order_by(document.c.state, document.c.stored_at)
)
_WITHDRAWN = sa.select(document.c.unique_id).where(in_list(document.c.unique_id, "ids"), document.c.state > _RETRIEVABLE)
_OF_PATIENTS = sa.select(*_COLUMNS).where(
    sa.or_(in_list(document.c.unique_id, "ids"), in_list(document.c.patient_id, "patients")),
    document.c.state != sa.literal_column(str(int(DocumentState.REMOVED))),
)
_MOVE = (
    sa.update(document)
    .where(
        in_list(document.c.unique_id, "ids"), document.c.state != sa.literal_column(str(int(DocumentState.REMOVED)))
    )
    .values(patient_id=sa.bindparam("patient"))
)
_LOAD = sa.select(blob.c.sha256, blob.c.bytes).where(in_list(blob.c.sha256, "contents"))
_REFERENCED = (
    sa.select(document.c.sha256)
    .where(
        in_list(document.c.sha256, "contents"), document.c.state != sa.literal_column(str(int(DocumentState.REMOVED)))
    )
    .distinct()
)
_WITHDRAW = sa.delete(document).where(
    in_list(document.c.unique_id, "ids"),
    document.c.attempt == sa.bindparam("attempt"),
    document.c.state == sa.literal_column(str(int(DocumentState.PENDING))),
)
_ROWS = (
    sa.select(*_COLUMNS, sa.func.length(blob.c.bytes))
    .select_from(document.outerjoin(blob, blob.c.sha256 == document.c.sha256))
    .where(sa.tuple_(document.c.unique_id, document.c.sha256) > sa.tuple_(sa.bindparam("after"), sa.bindparam("content")))
    .order_by(document.c.unique_id, document.c.sha256)
    .limit(sa.literal_column(str(PAGE)))
)
_SIGNATURES = (
    sa.select(*signed_set.columns)
    .where(signed_set.c.signature > sa.bindparam("after"))
    .order_by(signed_set.c.signature)
    .limit(sa.literal_column(str(PAGE)))
)
_BLOBS = (
    sa.select(blob.c.sha256, blob.c.bytes)
    .where(blob.c.sha256 > sa.bindparam("after"))
    .order_by(blob.c.sha256)
    .limit(sa.literal_column("64"))
)
