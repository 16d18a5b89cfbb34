"""One database, SQLite or PostgreSQL: the shapes on which the rooms above agree.

Statements are declared with SQLAlchemy Core, compiled once per dialect and run on the bare driver's cursor. A write is a
function: `Database.write(work)` runs it in one transaction, makes it durable, and only then returns its result. On SQLite
one writer at a time takes all waiting functions into one commit (each under its own savepoint); on PostgreSQL each runs on
its caller's connection. `work` may be run again after a serialisation failure: it must have no effect but on the database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import sqlalchemy as sa

from storage.statement import in_list

__all__ = ["METADATA", "Connection", "Database", "DatabaseOptions", "Row", "in_list", "open_database"]

T = TypeVar("T")
Row = Sequence[Any]

#: Every table of the store: the rooms above declare theirs in it, the migrations are compared with it.
METADATA = sa.MetaData()


class Connection(Protocol):
    """A driver connection inside (write, snapshot) or outside (read) a transaction."""

    dialect: str  # "sqlite" | "postgresql"

    def execute(self, statement: sa.Executable, parameters: Mapping[str, Any] | None = None) -> list[Row]:
        """Rows of a statement (compiled once per statement object: build it at import time). Empty list for writes."""

    def execute_many(self, statement: sa.Executable, parameters: Iterable[Mapping[str, Any]]) -> None:
        """The same write once per mapping, in one round trip where the driver can."""


class Database(Protocol):
    """All methods may be called from any thread. Errors are those of `storage.errors`; what `work` raises passes through."""

    dialect: str
    url: str

    def read(self) -> AbstractContextManager[Connection]:
        """This thread's connection, autocommit: for one statement."""

    def snapshot(self) -> AbstractContextManager[Connection]:
        """A read transaction: several statements that see one moment."""

    def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction; return its result once it is durable. An exception leaves nothing and is re-raised."""

    def ride(self, work: Callable[[Connection], T]) -> Callable[[], T]:
        """Let `work` go along with the next transaction that anybody writes. What is returned is called once: it waits until that
        is durable, writes it where nobody has yet, and gives its result or raises its error, as `write` does."""

    def scrub(self) -> None:
        """Let nothing that was deleted stay readable in the database's journal, unless a reader holds on to it for long."""

    def close(self) -> None:
        """Close every connection. Nothing may be under way."""


@dataclass(frozen=True, slots=True)
class DatabaseOptions:
    """How a store is opened. Times are seconds.

    `busy_timeout`: how long SQLite waits for another process's write. `page_size`: of a new SQLite file, in bytes: an entry
    with its fragment must fit into a quarter of a page, or it spills into a page of its own. `retries`: how often a
    PostgreSQL transaction is run again after a serialisation failure or a deadlock. `connect_timeout`: to PostgreSQL.
    """

    busy_timeout: float = 5.0
    page_size: int = 8192
    retries: int = 5
    connect_timeout: int = 5


def open_database(url: str, options: DatabaseOptions | None = None) -> Database:
    """`sqlite:///relative`, `sqlite:////absolute` or `postgresql+psycopg://user@host:port/name`.

    The store's tables are not made here: `storage.migrate.prepare(url)` does it. Raises ValueError for another kind of URL,
    StorageUnavailable when the store cannot be opened.
    """
    options = options or DatabaseOptions()
    parsed = sa.make_url(url)
    if parsed.drivername == "sqlite" and parsed.database and parsed.database != ":memory:":
        from storage.sqlite import SqliteDatabase

        return SqliteDatabase(url, options)
    if parsed.drivername in ("postgresql", "postgresql+psycopg"):
        from storage.postgresql import PostgresDatabase  # the driver is loaded only where it is used

        return PostgresDatabase(url, options)
    raise ValueError(f"database URL '{parsed.render_as_string()}': expected sqlite:///FILE or postgresql+psycopg://USER@HOST:PORT/NAME")
