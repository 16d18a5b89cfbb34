"""SQLite runs as the experiments say that it loses nothing: WAL with FULL, one connection that writes and checkpoints."""

from __future__ import annotations

from pathlib import Path

from storage.database import DatabaseOptions, open_database
from storage.sqlite import SqliteDatabase
from tests.durability.wire import SUCCESS, Wire, submission
from tests.server_process import ServerProcess

#: What `PRAGMA name` answers in a connection that is as it should be.
SETTINGS = {
    "journal_mode": "wal",
    "synchronous": 2,
    "foreign_keys": 1,
    "busy_timeout": 5000,
    "trusted_schema": 0,
    "cell_size_check": 1,
    "mmap_size": 0,
    "read_uncommitted": 0,
}


def pragma(connection: object, name: str) -> object:
    return connection.raw.execute(f"PRAGMA {name}").fetchone()[0]  # type: ignore[attr-defined]


def test_every_connection_is_set(tmp_path: Path) -> None:
    """The writer's and a reader's: `synchronous` and most others are not stored in the file, each connection has its own."""
    database = open_database(f"sqlite:///{tmp_path / 'store.sqlite'}", DatabaseOptions())
    assert isinstance(database, SqliteDatabase)
    with database.read() as reader:
        for connection in (reader, database._writer):
            assert {name: pragma(connection, name) for name in SETTINGS} == SETTINGS
    database.close()


def test_a_running_server_leaves_a_file_in_that_mode(tmp_path: Path) -> None:
    """The header of the file itself: version 2 is WAL (sqlite.org/fileformat.html: 1.3.3)."""
    with ServerProcess(tmp_path / "data", "--patients", "open") as server:
        assert Wire(server.repository, server.registry).provide(submission(1_000)).status == SUCCESS
        header = (tmp_path / "data" / "carnet.sqlite").read_bytes()[:20]
        journal = {path.name for path in (tmp_path / "data").glob("carnet.sqlite-*")}
    assert header[18:20] == b"\2\2"
    assert "carnet.sqlite-wal" in journal
