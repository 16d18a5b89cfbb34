"""A store of any size in minutes: ten real submissions are registered, their rows read back and repeated under other ids.

So every row is one that the registry itself has written, down to the packed fragment; only ids and patients differ.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing import get_context
from typing import Any

import sqlalchemy as sa

from benchmarks.messages import SOURCE, patient_cx, unique_id
from metadata.ebrim import submission_of
from metadata.model import Slot, Submission
from registry import tables
from registry.codes import CodeBook
from registry.fragments import pack, unpack
from registry.identifiers import uuid_text
from registry.iti42 import RegisterDocumentSet, RegisterOptions
from server.description import build_submission
from server.sample import KINDS, make_documents
from server.sample_people import make_patients
from storage.database import METADATA, Database, open_database
from storage.migrate import upgrade

PER_PATIENT = 200
REPOSITORY = "1.2.250.1.213.99.9"
#: Object ids of repeated rows begin here: in the past of every real one.
_FIRST_ID = 1_000_000_000_000

_TABLES = ("document_entry", "submission_set", "association", "object", "unique_identifier")

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Template:
    """The rows of one submission, by table name, and what in them is to be exchanged."""

    entry: dict[str, Any]
    entry_fragment: bytes
    submission_set: dict[str, Any]
    set_fragment: bytes
    association: dict[str, Any]


def submissions(count: int) -> Iterator[Submission]:
    """One-document submissions of the sample set, all kinds in turn."""
    (patient,) = make_patients(1, 7)
    for number, document in enumerate(make_documents(patient, count, 7)):
        unique_id = f"1.2.250.1.213.99.5.{number}"
        described = replace(
            document.description, patientId=patient_cx(10**9), sourcePatientId=patient_cx(0), uniqueId=unique_id
        )
        submission = build_submission([described], source_id=SOURCE, unique_id=f"1.2.250.1.213.99.6.{number}")
        yield submission


def fill(
    url: str, entries: int, progress: Callable[[int, int], None] | None = None, per_patient: int = PER_PATIENT
) -> None:
    """Make the schema and `entries` entries, `per_patient` for each patient, in an empty database."""
    upgrade(url)
    database = open_database(url)
    try:
        register = RegisterDocumentSet(database, CodeBook(), RegisterOptions(open_domain=True))
        for submission in submissions(len(KINDS)):
            register.register(_completed(submission))
        templates = _read(database)
    finally:
        database.close()
    patients = max(1, entries // per_patient)
    writer = _SqliteWriter(url) if url.startswith("sqlite") else _PostgresWriter(url)
    try:
        first = writer.patients(patients)
        with get_context("fork").Pool(2, _start, (templates, first, per_patient)) as pool:
            for done, rows in enumerate(pool.imap(_repeat, range(patients), chunksize=4), 1):
                writer.write(rows)
                if progress and (done % 50 == 0 or done == patients):
                    progress(done, patients)
    finally:
        writer.close()


def _completed(submission: Submission) -> Submission:
    """With what the repository adds: hash, size and its own id."""
    added = (Slot("hash", ("da39a3ee5e6b4b0d3255bfef95601890afd80709",)), Slot("size", ("20000",)))
    raws = [
        replace(raw, slots=(*raw.slots, *added, Slot("repositoryUniqueId", (REPOSITORY,))))
        if raw.element == "ExtrinsicObject"
        else raw
        for raw in (entity.raw for entity in submission.entities())
    ]
    return submission_of(raws)


def _read(database: Database) -> list[Template]:
    """The templates, from the rows of the one patient that is there."""
    found: dict[str, list[dict[str, Any]]] = {}
    with database.read() as connection:
        for table in (tables.document_entry, tables.submission_set, tables.association):
            rows = connection.execute(sa.select(table).order_by(table.c.id))
            found[table.name] = [dict(zip(table.c.keys(), row, strict=True)) for row in rows]
    return [
        Template(entry, unpack(entry["fragment"]), one, unpack(one["fragment"]), link)
        for entry, one, link in zip(found["document_entry"], found["submission_set"], found["association"], strict=True)
    ]


# ------------------------------------------------------------------------------------------------------------ repetition

_templates: list[Template] = []
_first_patient = 0
_per_patient = PER_PATIENT


def _start(templates: list[Template], first: int, per_patient: int) -> None:
    global _templates, _first_patient, _per_patient
    _templates, _first_patient, _per_patient = templates, first, per_patient


def _repeat(number: int) -> dict[str, list[Row]]:
    """The rows of all entries of one patient, by table, in the order of the tables' columns."""
    draw = random.Random(number)
    patient = _first_patient + number
    rows: dict[str, list[Row]] = {name: [] for name in _TABLES}
    for turn in range(_per_patient):
        template = _templates[turn % len(_templates)]
        base = _FIRST_ID + (number * _per_patient + turn) * 3
        entry_uuid, set_uuid, link_uuid = (draw.getrandbits(128).to_bytes(16, "big") for _ in range(3))
        entry_id, set_id = unique_id(number, turn), f"1.2.250.1.213.99.4.{number + 1}.{turn + 1}"
        entry = _renamed(template.entry, template.entry_fragment, entry_uuid, entry_id)
        one = _renamed(template.submission_set, template.set_fragment, set_uuid, set_id)
        link = {**template.association, "uuid": link_uuid, "source": set_uuid, "target": entry_uuid}
        for kind, name, values in ((1, "document_entry", entry), (2, "submission_set", one), (4, "association", link)):
            values["patient"], values["id"] = patient, base + kind % 3
            rows[name].append(tuple(values.values()))
            rows["object"].append((values["uuid"], patient, kind, values["id"]))
        rows["unique_identifier"].append((tables.unique_id_key(entry_id), entry["id"], 1, patient, entry["id"]))
        rows["unique_identifier"].append((tables.unique_id_key(set_id), 0, 2, patient, one["id"]))
    return rows


def _renamed(row: dict[str, Any], fragment: bytes, uuid: bytes, id: str) -> dict[str, Any]:
    """The row of another object, alike in all but its ids."""
    changed = fragment.replace(uuid_text(row["uuid"]).encode(), uuid_text(uuid).encode())
    changed = changed.replace(row["unique_id"].encode(), id.encode())
    return {**row, "uuid": uuid, "unique_id": id, "fragment": pack(changed)}


# ------------------------------------------------------------------------------------------------------------ bulk writers


def _columns(name: str) -> list[str]:
    return [c.name for c in METADATA.tables[name].columns]


def _patient_rows(count: int, first: int) -> Iterable[Row]:
    return ((first + n, patient_cx(n), first + n, 1, 20260101000000) for n in range(count))


class _SqliteWriter:
    """One connection, one transaction for some hundred patients. Durability is not asked of a bulk load."""

    def __init__(self, url: str) -> None:
        self._raw = sqlite3.connect(sa.make_url(url).database or "", isolation_level=None)
        self._raw.execute("PRAGMA synchronous=OFF")
        self._raw.execute("PRAGMA cache_size=-400000")
        self._written = 0

    def patients(self, count: int) -> int:
        """Insert them; the id of the first."""
        first = int(self._raw.execute("SELECT max(id) + 1 FROM patient").fetchone()[0])
        self._raw.execute("BEGIN")
        self._insert("patient", _patient_rows(count, first))
        self._raw.execute("COMMIT")
        self._raw.execute("BEGIN")
        return first

    def _insert(self, name: str, rows: Iterable[Row]) -> None:
        columns = _columns(name)
        self._raw.executemany(f"INSERT INTO {name} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})", rows)

    def write(self, rows: dict[str, list[Row]]) -> None:
        for name, values in rows.items():
            self._insert(name, values)
        self._written += 1
        if self._written % 250 == 0:
            self._raw.execute("COMMIT")
            self._raw.execute("BEGIN")

    def close(self) -> None:
        self._raw.execute("COMMIT")
        self._raw.execute("ANALYZE")
        self._raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._raw.close()


class _PostgresWriter:
    """COPY, one transaction for every hundred patients."""

    def __init__(self, url: str) -> None:
        import psycopg

        plain = sa.make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._raw = psycopg.connect(plain)
        self._raw.execute("SET synchronous_commit = off")
        self._written = 0

    def patients(self, count: int) -> int:
        """Insert them; the id of the first."""
        row = self._raw.execute("SELECT max(id) + 1 FROM patient").fetchone()
        first = int(row[0]) if row else 1
        self._copy("patient", _patient_rows(count, first))
        self._raw.execute("SELECT setval(pg_get_serial_sequence('patient', 'id'), %s)", (first + count,))
        self._raw.commit()
        return first

    def _copy(self, name: str, rows: Iterable[Row]) -> None:
        with self._raw.cursor().copy(f"COPY {name} ({', '.join(_columns(name))}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)

    def write(self, rows: dict[str, list[Row]]) -> None:
        for name, values in rows.items():
            self._copy(name, values)
        self._written += 1
        if self._written % 100 == 0:
            self._raw.commit()

    def close(self) -> None:
        self._raw.commit()
        self._raw.autocommit = True
        self._raw.execute("VACUUM ANALYZE")
        self._raw.execute("CHECKPOINT")
        self._raw.close()


def bytes_per_entry(url: str, entries: int) -> dict[str, float]:
    """Bytes of the database for each DocumentEntry: its row, its indexes, its share of the locators."""
    own = ("document_entry", "object", "unique_identifier")
    sizes = _sqlite_sizes(url) if url.startswith("sqlite") else _postgres_sizes(url)
    rows = {"document_entry": 1.0, "object": 1 / 3, "unique_identifier": 1 / 2}
    found = {name: sizes[name] * rows[name] / entries for name in own}
    return {**found, "entry": sum(found.values()), "submission": sum(sizes.values()) / entries}


def _sqlite_sizes(url: str) -> dict[str, float]:
    raw = sqlite3.connect(sa.make_url(url).database or "")
    names = dict(raw.execute("SELECT name, tbl_name FROM sqlite_schema").fetchall())
    sizes: dict[str, float] = {}
    for name, size in raw.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name"):
        table = names.get(name, name)
        sizes[table] = sizes.get(table, 0) + size
    raw.close()
    return sizes


def _postgres_sizes(url: str) -> dict[str, float]:
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        rows: Sequence[Any] = connection.execute(
            sa.text(
                "SELECT relname, pg_total_relation_size(oid) FROM pg_class "
                "WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
            )
        ).fetchall()
    engine.dispose()
    return {name: float(size) for name, size in rows}
