"""SQLite: the embedded store. One file, one writer at a time, many readers, group commit.

Durability is that of `synchronous=FULL` in WAL mode: a write returns after the WAL has been flushed. All writes of a process
go through one connection, those of several processes take turns at `storage.sqlite_lock`; the others only read.
"""

from __future__ import annotations

import contextlib
import re
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import sqlalchemy as sa
from pysqlite3 import dbapi2 as driver  # brings its own recent SQLite

from storage.crash import crash_point
from storage.database import DatabaseOptions, Row
from storage.errors import StorageError, StorageUnavailable, UniqueViolation
from storage.sqlite_lock import WriterLock
from storage.statement import Compiled, compiled

__all__ = ["SqliteConnection", "SqliteDatabase", "driver"]

T = TypeVar("T")

_UNIQUE = re.compile(r"UNIQUE constraint failed: (\w+)\.")
_SAVEPOINT, _RELEASE, _ROLLBACK_TO = "SAVEPOINT work", "RELEASE work", "ROLLBACK TO work"


def _translated(error: Exception) -> StorageError:
    """The family's error for one of the driver's."""
    text = str(error)
    match = _UNIQUE.search(text)
    if match:
        return UniqueViolation(match.group(1), text)
    if isinstance(error, driver.OperationalError):
        return StorageUnavailable(text)
    return StorageError(f"{type(error).__name__}: {text}")


class SqliteConnection:
    """One driver connection, used by one thread at a time. Without `writes` it refuses to change anything.

    Who writes holds a `WriterLock` meanwhile.
    """

    dialect = "sqlite"

    def __init__(self, path: str, options: DatabaseOptions, *, writes: bool = False) -> None:
        try:
            self.raw = driver.connect(
                path, timeout=options.busy_timeout, isolation_level=None, check_same_thread=False, cached_statements=512
            )
            self._prepare(options, writes)
        except driver.Error as error:
            raise StorageUnavailable(f"{path}: {error}") from error
        self._cursor = self.raw.cursor()

    def _prepare(self, options: DatabaseOptions, writes: bool) -> None:
        if driver.sqlite_version_info < (3, 41):
            self.raw.create_function("unhex", 1, bytes.fromhex, deterministic=True)
        for pragma in (
            f"page_size={options.page_size}",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            f"busy_timeout={int(options.busy_timeout * 1000)}",
            f"wal_autocheckpoint={1000 if writes else 0}",
            f"query_only={'OFF' if writes else 'ON'}",
            "trusted_schema=OFF",
            "cell_size_check=ON",
            "case_sensitive_like=ON",
        ):
            self.raw.execute(f"PRAGMA {pragma}").fetchall()

    def execute(self, statement: sa.Executable, parameters: Mapping[str, Any] | None = None) -> list[Row]:
        plan = compiled(statement, "sqlite")
        try:
            rows: list[Row] = self._cursor.execute(plan.sql, plan.bind(parameters or {})).fetchall()
            return rows
        except driver.Error as error:
            raise _translated(error) from error

    def execute_many(self, statement: sa.Executable, parameters: Iterable[Mapping[str, Any]]) -> None:
        plan: Compiled = compiled(statement, "sqlite")
        try:
            self._cursor.executemany(plan.sql, map(plan.bind, parameters))
        except driver.Error as error:
            raise _translated(error) from error

    def control(self, sql: str) -> None:
        """BEGIN, COMMIT, SAVEPOINT and their kin."""
        try:
            self._cursor.execute(sql)
        except driver.Error as error:
            raise _translated(error) from error

    def __enter__(self) -> SqliteConnection:
        return self

    def __exit__(self, *_: object) -> None:
        return None


class _Snapshot:
    """A read transaction on a thread's connection."""

    def __init__(self, connection: SqliteConnection) -> None:
        self._connection = connection

    def __enter__(self) -> SqliteConnection:
        self._connection.control("BEGIN")
        return self._connection

    def __exit__(self, *_: object) -> None:
        self._connection.control("COMMIT")


class _Job:
    """One waiting write: its function, then its outcome. `wake` is released when it is done, or when it must lead."""

    __slots__ = ("done", "error", "result", "wake", "work")

    def __init__(self, work: Callable[[Any], Any]) -> None:
        self.work = work
        self.done = False
        self.result: Any = None
        self.error: BaseException | None = None
        self.wake = threading.Lock()
        self.wake.acquire()

    def run(self, connection: SqliteConnection) -> None:
        self.result = self.error = None
        self.result = self.work(connection)

    def outcome(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.result


class SqliteDatabase:
    """The store of one process; a second process (a command on the same data) waits its turn at the file's lock.

    Group commit: the thread that finds no writer at work leads. It takes every function that waits, runs each under its own
    savepoint, commits once, wakes their callers, and hands the lead to the first that has come meanwhile.
    """

    dialect = "sqlite"

    def __init__(self, url: str, options: DatabaseOptions) -> None:
        self.url = url
        self.path = sa.make_url(url).database or ""
        self._options = options
        self._threads = threading.local()
        self._mutex = threading.Lock()
        self._connections: weakref.WeakSet[SqliteConnection] = weakref.WeakSet()  # a thread's goes with its thread
        self._waiting: list[_Job] = []
        self._riding: list[_Job] = []
        self._leader: int | None = None
        self._scrubbing = False
        self._lock = WriterLock(self.path, options.busy_timeout)
        with self._lock:  # a new file becomes a WAL file here
            self._writer = self._open(writes=True)

    def _open(self, *, writes: bool = False) -> SqliteConnection:
        connection = SqliteConnection(self.path, self._options, writes=writes)
        with self._mutex:
            self._connections.add(connection)
        return connection

    def _mine(self) -> SqliteConnection:
        try:
            return self._threads.connection  # type: ignore[no-any-return]
        except AttributeError:
            connection = self._threads.connection = self._open()
            return connection

    def read(self) -> SqliteConnection:
        return self._mine()

    def snapshot(self) -> _Snapshot:
        return _Snapshot(self._mine())

    def close(self) -> None:
        with self._mutex:
            for connection in self._connections:
                connection.raw.close()
            self._connections = weakref.WeakSet()
            self._lock.close()
        self._threads = threading.local()

    def scrub(self) -> None:
        """Write the journal back into the file and cut it to nothing: old frames hold what was deleted. By the writer, after a
        commit: nobody else may checkpoint."""
        self._scrubbing = True
        self.write(lambda connection: None)

    # ------------------------------------------------------------------------------------------------ group commit

    def write(self, work: Callable[[SqliteConnection], T]) -> T:
        if self._leader == threading.get_ident():
            raise RuntimeError("write() inside a write: pass the connection on instead")
        job = _Job(work)
        with self._mutex:
            leads = self._join(job)
        self._await(job, leads)
        return job.outcome()  # type: ignore[no-any-return]

    def ride(self, work: Callable[[SqliteConnection], T]) -> Callable[[], T]:
        """Whoever leads next takes it along; nobody is asked to lead for it until its result is wanted."""
        job = _Job(work)
        with self._mutex:
            self._riding.append(job)

        def settle() -> T:
            if not job.done:
                with self._mutex:
                    stays = job in self._riding  # else a leader has taken it, and wakes who waits
                    if stays:
                        self._riding.remove(job)
                    leads = stays and self._join(job)
                self._await(job, leads)
            return job.outcome()  # type: ignore[no-any-return]

        return settle

    def _join(self, job: _Job) -> bool:
        """Wait with the others; whether this thread has to lead."""
        self._waiting.append(job)
        leads = self._leader is None
        if leads:
            self._leader = threading.get_ident()
        return leads

    def _await(self, job: _Job, leads: bool) -> None:
        if not leads:
            job.wake.acquire()
        if not job.done:
            self._lead()

    def _lead(self) -> None:
        """Commit all that wait, this thread's own job among them, and hand over."""
        with self._mutex:
            self._leader = threading.get_ident()
            batch = self._waiting + self._riding
            self._waiting, self._riding = [], []
        try:
            self._commit(batch)
        finally:
            with self._mutex:
                successor = self._waiting[0] if self._waiting else None
                self._leader = -1 if successor else None  # -1: promised, so that no newcomer takes it
            for job in batch:
                job.done = True
            if successor:
                successor.wake.release()
            for job in batch:
                job.wake.release()

    def _commit(self, batch: list[_Job]) -> None:
        """Run the jobs in one transaction, no other process writing; every outcome is set afterwards."""
        try:
            with self._lock:
                self._commit_alone(batch)
                if self._scrubbing:
                    self._scrubbing = False
                    with contextlib.suppress(driver.Error):
                        self._writer.raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except BaseException as error:  # whatever it was: nobody may take his work for done
            for job in batch:
                job.error = job.error or error

    def _commit_alone(self, batch: list[_Job]) -> None:
        writer = self._writer
        try:
            writer.control("BEGIN IMMEDIATE")
            crash_point("write-begun")
            for job in batch:
                self._run_one(writer, job, alone=len(batch) == 1)
                if not writer.raw.in_transaction:  # disk full and I/O errors may undo the whole transaction
                    self._after_lost_transaction(batch, job)
                    return
            crash_point("commit-before")
            if any(job.error is None for job in batch):
                writer.control("COMMIT")
                crash_point("commit-after")
        except BaseException as error:  # the commit itself failed: nobody's work is there
            for job in batch:
                job.error = job.error or error
        finally:
            if writer.raw.in_transaction:
                writer.raw.rollback()

    def _run_one(self, writer: SqliteConnection, job: _Job, alone: bool) -> None:
        """A failing job undoes its own savepoint; one that is alone has the whole transaction for itself."""
        try:
            if not alone:
                writer.control(_SAVEPOINT)
            job.run(writer)
            if not alone:
                writer.control(_RELEASE)
        except BaseException as error:  # re-raised in the caller's thread by outcome()
            job.error = error
            if not alone and writer.raw.in_transaction:
                writer.control(_ROLLBACK_TO)
                writer.control(_RELEASE)

    def _after_lost_transaction(self, batch: list[_Job], culprit: _Job) -> None:
        """The jobs beside the one that lost the transaction are run again, each alone."""
        for job in batch:
            if job is not culprit and (job.error is None or isinstance(job.error, StorageError)):
                self._commit_alone([job])
