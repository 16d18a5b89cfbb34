"""One database, SQLite or PostgreSQL: the shapes on which the rooms above agree. (Skeleton.)

Statements are declared with SQLAlchemy Core, compiled once per dialect and run on the bare driver's cursor. A write is a
function: `Database.write(work)` runs it in one transaction, makes it durable, and only then returns its result. On SQLite
one writer thread takes all waiting functions into one commit (each under its own savepoint); on PostgreSQL each runs on
its caller's connection. `work` may be run again after a serialisation failure: it must have no effect but on the database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

import sqlalchemy as sa

T = TypeVar("T")
Row = Sequence[Any]


class Connection(Protocol):
    """A driver connection inside (write) or outside (read) a transaction."""

    dialect: str  # "sqlite" | "postgresql"

    def execute(self, statement: sa.Executable, parameters: Mapping[str, Any] | None = None) -> list[Row]:
        """Rows of a statement (compiled once per statement object: build it at import time). Empty list for writes."""

    def execute_many(self, statement: sa.Executable, parameters: Iterable[Mapping[str, Any]]) -> None: ...


class Database(Protocol):
    dialect: str
    url: str

    def read(self) -> AbstractContextManager[Connection]:
        """This thread's connection, autocommit: for one statement."""

    def snapshot(self) -> AbstractContextManager[Connection]:
        """A read transaction: several statements that see one moment."""

    def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction; return its result once it is durable. An exception leaves nothing and is re-raised."""

    def close(self) -> None: ...
