"""The schema of a store, made and brought up to date: one transaction, alone, all or nothing.

`prepare` is what a server calls at its start: it makes the schema in an empty database and refuses any other version than its
own. `upgrade` and `downgrade` change a filled store (`carnet migrate`). Any number of processes may call them at once: the
first does the work, the others find it done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from storage.database import DatabaseOptions
from storage.errors import StorageError, StorageUnavailable, StoreVersionError

__all__ = ["current", "downgrade", "head", "prepare", "upgrade"]

_HOME = Path(__file__).parent / "migrations"

#: The advisory lock under which PostgreSQL's schema changes: nobody else's number, and the same for every Carnet.
_LOCK = 0x0063_6172_6E65_7400

#: A table of the first step: a database that has it and no version was not made by these steps.
_WITNESS = "document_entry"

Step = tuple[str, str | None]


@dataclass(frozen=True, slots=True)
class History:
    """The known steps. `folders` are where their files stand; another list than the shipped one is for tests."""

    folders: Sequence[Path] = (_HOME / "versions",)

    def scripts(self) -> ScriptDirectory:
        return ScriptDirectory(str(_HOME), version_locations=[str(folder) for folder in self.folders])

    def head(self) -> str:
        """The version that this program writes."""
        return self.scripts().get_current_head() or ""


_SHIPPED = History()


def head(history: History = _SHIPPED) -> str:
    """The version of the schema that this program writes."""
    return history.head()


def current(url: str) -> str | None:
    """The version of the store; None for an empty database. Raises StorageUnavailable when it cannot be opened."""
    with _alone(url) as connection:
        return _version(connection)


def prepare(url: str, history: History = _SHIPPED) -> None:
    """Make the schema in an empty database; raise StoreVersionError for a store of another version, older or newer."""
    with _alone(url) as connection:
        version = _version(connection)
        if version is None:
            _run(connection, history, None, history.head())
        elif version != history.head():
            _known(version, history)
            raise StoreVersionError(
                f"the store {_shown(url)} has schema version {version}, this program works with {history.head()}: "
                "stop every server on it, make a backup, and run 'carnet migrate'"
            )


def upgrade(url: str, history: History = _SHIPPED) -> tuple[str | None, str]:
    """Bring the store to this program's version, keeping all it holds; an empty database gets the schema.

    Returns the version before and after. Raises StoreVersionError for a store of a newer version or one that no Carnet made;
    nothing is changed then.
    """
    with _alone(url) as connection:
        version = _version(connection)
        if version is not None:
            _known(version, history)
        _run(connection, history, version, history.head())
        return version, history.head()


def downgrade(url: str, revision: str, history: History = _SHIPPED) -> tuple[str, str]:
    """Bring the store back to an older version, for the program that wrote it. Returns the version before and after.

    Raises StoreVersionError when the store is empty, newer than this program, or older than `revision`; ValueError for a
    version that does not exist. There is no way back before the first: that would be an empty store.
    """
    known = [step for step, _ in _steps(history)]
    if revision not in known:
        raise ValueError(f"there is no schema version {revision}: known are {', '.join(known)}")
    with _alone(url) as connection:
        version = _version(connection)
        if version is None:
            raise StoreVersionError(f"the database {_shown(url)} holds no store: there is nothing to bring back")
        _known(version, history)
        if known.index(version) < known.index(revision):
            raise StoreVersionError(f"the store {_shown(url)} has version {version}, older than {revision}: run 'carnet migrate'")
        _run(connection, history, version, revision, back=True)
        return version, revision


def _steps(history: History) -> list[Step]:
    """The steps from the first to the last, each with the one before it."""
    steps = [(s.revision, str(s.down_revision or "") or None) for s in history.scripts().walk_revisions()]
    return steps[::-1]


def _known(version: str, history: History) -> None:
    known = [step for step, _ in _steps(history)]
    if version not in known:
        raise StoreVersionError(
            f"the store has schema version {version}, which this program does not know (it knows {', '.join(known)}): a newer "
            "Carnet has written it. Run that version, bring the store back with its 'carnet migrate --to', or restore a backup"
        )


def _version(connection: sa.Connection) -> str | None:
    version = MigrationContext.configure(connection).get_current_revision()
    if version is None and sa.inspect(connection).has_table(_WITNESS):
        raise StoreVersionError(
            f"the database holds a table {_WITNESS} and no schema version: no Carnet made it. Name an empty database"
        )
    return version


def _run(connection: sa.Connection, history: History, version: str | None, goal: str, *, back: bool = False) -> None:
    """The steps from `version` to `goal` in the transaction that is open."""
    scripts = history.scripts()

    def steps(revision: Any, _: MigrationContext) -> Any:
        return scripts._downgrade_revs(goal, revision) if back else scripts._upgrade_revs(goal, revision)

    with EnvironmentContext(Config(), scripts, fn=steps) as environment:
        environment.configure(connection=connection, transactional_ddl=True)
        try:
            environment.run_migrations()
        except CommandError as error:
            raise StoreVersionError(f"from schema version {version} there is no way to {goal}: {error}") from error


# ------------------------------------------------------------------------------------------------------------ connection


@contextmanager
def _alone(url: str) -> Iterator[sa.Connection]:
    """A transaction in which nobody else changes the schema; committed at the end."""
    parsed = sa.make_url(url)
    engine = _sqlite(parsed) if parsed.drivername == "sqlite" else _postgresql(parsed)
    try:
        with _writer_lock(parsed), engine.connect() as connection:
            if parsed.drivername == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            yield connection
            connection.commit()
    except sa.exc.OperationalError as error:
        raise StorageUnavailable(f"{_shown(url)}: {error.orig}") from error
    except sa.exc.DBAPIError as error:
        raise StorageError(f"{_shown(url)}: {error.orig}") from error
    finally:
        engine.dispose()


def _sqlite(url: sa.URL) -> sa.Engine:
    """On connections as the store opens them: the page size and the journal are settled before the first table."""
    from storage.sqlite import SqliteConnection, driver  # the drivers are loaded only where they are used

    path = url.database or ""
    connect: Callable[[], Any] = lambda: SqliteConnection(path, DatabaseOptions(), writes=True).raw  # noqa: E731
    return sa.create_engine("sqlite://", module=driver, creator=connect, poolclass=sa.pool.NullPool)


@contextmanager
def _writer_lock(url: sa.URL) -> Iterator[None]:
    """On SQLite the lock of every writer; PostgreSQL's own is taken inside the transaction."""
    if url.drivername != "sqlite":
        yield
        return
    from storage.sqlite_lock import WriterLock

    lock = WriterLock(url.database or "", DatabaseOptions().busy_timeout)
    try:
        with lock:
            yield
    finally:
        lock.close()


def _postgresql(url: sa.URL) -> sa.Engine:
    timeout = {"connect_timeout": DatabaseOptions().connect_timeout}
    return sa.create_engine(url.set(drivername="postgresql+psycopg"), connect_args=timeout, poolclass=sa.pool.NullPool)


def _shown(url: str) -> str:
    return sa.make_url(url).render_as_string(hide_password=True)
