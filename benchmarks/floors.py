"""What the machine can do at best: the same SQL by the bare driver, the same bytes made durable, the same octets by the server.

SQL is not typed again here. A recording connection stands between the registry and its database, so that a floor runs the
very statements, with the very parameters, that the registry runs.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from storage.database import Connection, Database, Row
from storage.statement import compiled

#: One statement as the driver gets it: text, parameters, and whether rows come back.
Statement = tuple[str, tuple[Any, ...], bool]


@dataclass(slots=True)
class _Recorder:
    """A connection that notes what it is asked."""

    inner: Connection
    statements: list[Statement] = field(default_factory=list)
    dialect: str = ""

    def __post_init__(self) -> None:
        self.dialect = self.inner.dialect

    def execute(self, statement: sa.Executable, parameters: Mapping[str, Any] | None = None) -> list[Row]:
        plan = compiled(statement, self.inner.dialect)
        self.statements.append((plan.sql, plan.bind(parameters or {}), plan.returns_rows))
        return self.inner.execute(statement, parameters)

    def execute_many(self, statement: sa.Executable, parameters: Iterable[Mapping[str, Any]]) -> None:
        rows = list(parameters)
        plan = compiled(statement, self.inner.dialect)
        self.statements += [(plan.sql, plan.bind(row), False) for row in rows]
        self.inner.execute_many(statement, rows)


class RecordingDatabase:
    """A database whose work is noted, one list of statements for each transaction or read."""

    def __init__(self, inner: Database) -> None:
        self._inner = inner
        self.dialect, self.url = inner.dialect, inner.url
        self.work: list[list[Statement]] = []

    @contextmanager
    def read(self) -> Iterator[Connection]:
        with self._inner.read() as connection:
            yield self._noting(connection)

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        with self._inner.snapshot() as connection:
            yield self._noting(connection)

    def write(self, work: Callable[[Any], Any]) -> Any:
        return self._inner.write(lambda connection: work(self._noting(connection)))

    def ride(self, work: Callable[[Any], Any]) -> Callable[[], Any]:
        return self._inner.ride(lambda connection: work(self._noting(connection)))

    def scrub(self) -> None:
        self._inner.scrub()

    def close(self) -> None:
        self._inner.close()

    def _noting(self, connection: Connection) -> Connection:
        recorder = _Recorder(connection)
        self.work.append(recorder.statements)
        return recorder


# ------------------------------------------------------------------------------------------------------------ bare drivers


def _open(url: str, writes: bool = False) -> Any:
    """A driver connection with the pragmas and the way of binding that the store uses."""
    from storage.database import DatabaseOptions

    if url.startswith("sqlite"):
        from storage.sqlite import SqliteConnection

        return SqliteConnection(sa.make_url(url).database or "", DatabaseOptions(busy_timeout=60), writes=writes).raw.cursor()
    import psycopg

    plain = sa.make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    raw = psycopg.connect(plain, autocommit=True, prepare_threshold=0)
    raw.prepared_max = 512
    return raw.cursor(binary=True)


def _read_for(arguments: tuple[str, Sequence[Sequence[Statement]], float]) -> float:
    url, work, seconds = arguments
    cursor = _open(url)
    done = 0
    start = time.perf_counter()
    end = start + seconds
    while time.perf_counter() < end:
        for sql, parameters, _ in work[done % len(work)]:
            cursor.execute(sql, parameters).fetchall()
        done += 1
    return done / (time.perf_counter() - start)


def sql_reads(url: str, work: Sequence[Sequence[Statement]], clients: int, seconds: float) -> float:
    """S: reads per second by as many processes as there are clients."""
    with get_context("fork").Pool(clients) as pool:
        return sum(pool.map(_read_for, [(url, [*work[n:], *work[:n]], seconds) for n in range(clients)]))


def _write_all(arguments: tuple[str, Sequence[Sequence[Statement]], int]) -> tuple[float, float]:
    """Transactions of `batch` submissions each: begun and ended (monotonic seconds)."""
    url, work, batch = arguments
    cursor = _open(url, writes=True)
    begin = "BEGIN IMMEDIATE" if url.startswith("sqlite") else "BEGIN"
    start = time.monotonic()
    for first in range(0, len(work), batch):
        cursor.execute(begin)
        for statements in work[first : first + batch]:
            for sql, parameters, returns_rows in statements:
                cursor.execute(sql, parameters)
                if returns_rows:
                    cursor.fetchall()
        cursor.execute("COMMIT")
    return start, time.monotonic()


def sql_writes(url: str, work: Sequence[Sequence[Statement]], clients: int, grouped: bool = False) -> float:
    """D: durable submissions per second, their insert statements alone, a commit for each.

    PostgreSQL: one process a client; the server shares flushes among them. SQLite has one writer whatever one does: one process,
    one commit after the other. `grouped` (SQLite): as many submissions in a commit as there are clients, the most that waiting
    clients can be served with one flush; no bare program does that, so it is shown beside D and judged by nobody.
    """
    if url.startswith("sqlite"):
        start, end = _write_all((url, work, clients if grouped else 1))
        return len(work) / (end - start)
    share = len(work) // clients
    with get_context("fork").Pool(clients) as pool:
        spans = pool.map(_write_all, [(url, work[n * share : (n + 1) * share], 1) for n in range(clients)], chunksize=1)
    return share * clients / (max(end for _, end in spans) - min(start for start, _ in spans))


def inserts(work: Sequence[Statement]) -> list[Statement]:
    """What of a recorded transaction changes data."""
    return [s for s in work if s[0].lstrip().upper().startswith(("INSERT", "UPDATE", "DELETE"))]


# ------------------------------------------------------------------------------------------------------------------- files

CHUNK = 256 * 1024


def hash_and_write(folder: Path, size: int) -> float:
    """Bytes per second: both digests that ITI-41 takes, write, fsync."""
    chunk = os.urandom(CHUNK)
    sha1, sha256 = hashlib.sha1(usedforsecurity=False), hashlib.sha256()
    path = folder / "floor.bin"
    start = time.perf_counter()
    with open(path, "wb", buffering=0) as file:
        for _ in range(size // CHUNK):
            sha1.update(chunk)
            sha256.update(chunk)
            file.write(chunk)
        os.fsync(file.fileno())
    seconds = time.perf_counter() - start
    path.unlink()
    return size / seconds


def hashing(size: int) -> float:
    """Bytes per second of SHA-256 alone."""
    chunk = os.urandom(CHUNK)
    digest = hashlib.sha256()
    start = time.perf_counter()
    for _ in range(size // CHUNK):
        digest.update(chunk)
    return size / (time.perf_counter() - start)


def durable_files(folder: Path, content: bytes, seconds: float) -> float:
    """Files per second: write, fsync, rename, folder fsync, one after the other."""
    place = folder / "durable"
    place.mkdir(exist_ok=True)
    done = 0
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        temporary = place / f"t{done}"
        with open(temporary, "xb", buffering=0) as file:
            file.write(content)
            os.fsync(file.fileno())
        temporary.rename(place / f"f{done}")
        descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(descriptor)
        os.close(descriptor)
        done += 1
    return done / (time.perf_counter() - start)
