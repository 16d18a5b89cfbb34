"""PostgreSQL: the store of a large site. One connection per thread, reads in autocommit, every statement prepared and binary.

A write runs in one READ COMMITTED transaction on its caller's connection; who must be alone locks rows (or takes an
advisory lock) first. A commit counts only when the server says so without a warning: a wait for a synchronous standby that
is cut short answers COMMIT with a warning, and the data may then be on one machine alone.
"""

from __future__ import annotations

import random
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import Any, TypeVar

import psycopg
import sqlalchemy as sa
from psycopg import errors as pg
from psycopg.conninfo import make_conninfo
from psycopg.pq import TransactionStatus

from storage.crash import crash_point
from storage.database import DatabaseOptions, Row
from storage.errors import CommitUncertain, StorageError, StorageUnavailable, UniqueViolation
from storage.statement import compiled

T = TypeVar("T")

#: Up to so many rows are one statement: each count is a text of its own that stays prepared.
_IN_ONE = 8
_RETRY = (pg.SerializationFailure, pg.DeadlockDetected)


def _translated(error: psycopg.Error) -> StorageError:
    """The family's error for one of the driver's."""
    if isinstance(error, pg.UniqueViolation):
        return UniqueViolation(error.diag.table_name or "", str(error))
    if isinstance(error, psycopg.OperationalError):
        return StorageUnavailable(str(error))
    return StorageError(f"{type(error).__name__}: {error}")


def _conninfo(url: sa.URL) -> str:
    """The URL in libpq's words. Its own text is not libpq's: a blank in a parameter is a plus sign there."""
    more = {name: value if isinstance(value, str) else ",".join(value) for name, value in url.query.items()}
    parts = {"host": url.host, "port": url.port, "dbname": url.database, "user": url.username, "password": url.password}
    return make_conninfo("", **(parts | more))


class _Again(StorageError):
    """A serialisation failure or a deadlock: the transaction may be run again."""


class PostgresConnection:
    """One driver connection, used by one thread."""

    dialect = "postgresql"

    def __init__(self, conninfo: str, options: DatabaseOptions) -> None:
        self._conninfo = conninfo
        self._options = options
        self._warnings: list[str] = []
        self._in_write = False
        self._connect()

    def _connect(self) -> None:
        try:
            self.raw = psycopg.connect(
                self._conninfo, autocommit=True, prepare_threshold=0, connect_timeout=self._options.connect_timeout
            )
        except psycopg.Error as error:
            raise StorageUnavailable(str(error)) from error
        self.raw.prepared_max = 512
        self.raw.add_notice_handler(self._on_notice)
        self._cursor = self.raw.cursor(binary=True)

    def _on_notice(self, notice: psycopg.errors.Diagnostic) -> None:
        if notice.severity_nonlocalized == "WARNING":
            self._warnings.append(notice.message_primary or "")

    def execute(self, statement: sa.Executable, parameters: Mapping[str, Any] | None = None) -> list[Row]:
        plan = compiled(statement, "postgresql")
        values = plan.bind(parameters or {})
        try:
            return self._fetch(plan.sql, values, plan.returns_rows)
        except psycopg.OperationalError as error:
            # A lone read on a connection that the server has dropped meanwhile is simply asked again on a new one.
            if self._in_write or not self.raw.closed or self.raw.info.transaction_status is TransactionStatus.INTRANS:
                raise self._known(error) from error
            self._connect()
        except psycopg.Error as error:
            raise self._known(error) from error
        try:
            return self._fetch(plan.sql, values, plan.returns_rows)
        except psycopg.Error as error:
            raise self._known(error) from error

    def _fetch(self, sql: str, values: tuple[Any, ...], returns_rows: bool) -> list[Row]:
        cursor = self._cursor.execute(sql, values)
        rows: list[Any] = cursor.fetchall() if returns_rows else []
        return rows

    def execute_many(self, statement: sa.Executable, parameters: Iterable[Mapping[str, Any]]) -> None:
        plan = compiled(statement, "postgresql")
        rows = [plan.bind(p) for p in parameters]
        try:
            if len(rows) == 1:
                self._cursor.execute(plan.sql, rows[0])
            elif 1 < len(rows) <= _IN_ONE and (sql := plan.several(len(rows))):
                self._cursor.execute(sql, tuple(chain.from_iterable(rows)))
            elif rows:
                self._cursor.executemany(plan.sql, rows)
        except psycopg.Error as error:
            raise self._known(error) from error

    @staticmethod
    def _known(error: psycopg.Error) -> StorageError:
        return _Again(str(error)) if isinstance(error, _RETRY) else _translated(error)

    # ------------------------------------------------------------------------------------------------ transactions

    def begin(self, sql: str) -> None:
        """Open a transaction, on a new connection when the old one has been lost."""
        if self.raw.closed:
            self._connect()
        try:
            self._cursor.execute(sql)
        except psycopg.OperationalError as error:
            if not self.raw.closed:
                raise _translated(error) from error
            self._connect()
            self._cursor.execute(sql)

    def commit(self) -> None:
        """COMMIT; raises CommitUncertain unless the server has confirmed it without a warning."""
        self._warnings.clear()
        try:
            self._cursor.execute("COMMIT")
        except _RETRY as error:
            raise _Again(str(error)) from error
        except psycopg.OperationalError as error:
            raise CommitUncertain(f"the connection broke during COMMIT: {error}") from error
        except psycopg.Error as error:
            raise _translated(error) from error
        if self._warnings:
            raise CommitUncertain(f"the server committed with a warning: {'; '.join(self._warnings)}")

    def roll_back(self) -> None:
        """ROLLBACK if anything is open; a broken connection is dropped, which rolls back as well."""
        if self.raw.closed or self.raw.info.transaction_status is TransactionStatus.IDLE:
            return
        try:
            self._cursor.execute("ROLLBACK")
        except psycopg.Error:
            self.raw.close()

    def run(self, work: Callable[[PostgresConnection], T]) -> T:
        """One transaction around `work`."""
        self.begin("BEGIN")
        self._in_write = True
        try:
            crash_point("write-begun")
            result = work(self)
            crash_point("commit-before")
            self.commit()
            crash_point("commit-after")
            return result
        finally:
            self._in_write = False
            self.roll_back()

    def __enter__(self) -> PostgresConnection:
        return self

    def __exit__(self, *_: object) -> None:
        return None


class _Snapshot:
    """A read transaction on a thread's connection."""

    def __init__(self, connection: PostgresConnection) -> None:
        self._connection = connection

    def __enter__(self) -> PostgresConnection:
        self._connection.begin("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        return self._connection

    def __exit__(self, *_: object) -> None:
        self._connection.roll_back()


class PostgresDatabase:
    """The store of any number of processes and threads. Open it after forking: a connection cannot be shared."""

    dialect = "postgresql"

    def __init__(self, url: str, options: DatabaseOptions) -> None:
        self.url = url
        self._options = options
        self._conninfo = _conninfo(sa.make_url(url))
        self._threads = threading.local()
        self._mutex = threading.Lock()
        self._connections: weakref.WeakSet[PostgresConnection] = weakref.WeakSet()  # a thread's goes with its thread
        self._mine()

    def _mine(self) -> PostgresConnection:
        try:
            return self._threads.connection  # type: ignore[no-any-return]
        except AttributeError:
            connection = self._threads.connection = PostgresConnection(self._conninfo, self._options)
            with self._mutex:
                self._connections.add(connection)
            return connection

    def read(self) -> PostgresConnection:
        return self._mine()

    def snapshot(self) -> _Snapshot:
        return _Snapshot(self._mine())

    def write(self, work: Callable[[PostgresConnection], T]) -> T:
        connection = self._mine()
        if connection._in_write:
            raise RuntimeError("write() inside a write: pass the connection on instead")
        for attempt in range(self._options.retries):
            try:
                return connection.run(work)
            except _Again:
                time.sleep(random.uniform(0, 0.002) * (1 << attempt))
        try:
            return connection.run(work)
        except _Again as error:
            raise StorageUnavailable(f"given up after {self._options.retries + 1} attempts: {error}") from error

    def ride(self, work: Callable[[PostgresConnection], T]) -> Callable[[], T]:
        """In a transaction of its own, when its result is asked for: transactions belong to threads here."""
        return lambda: self.write(work)

    def scrub(self) -> None:
        """Nothing to do: old row versions are the server's, its vacuum gives them up and its log is recycled."""

    def close(self) -> None:
        with self._mutex:
            for connection in self._connections:
                connection.raw.close()
            self._connections = weakref.WeakSet()
        self._threads = threading.local()
