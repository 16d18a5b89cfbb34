"""SQLite runs as the experiments say that it loses nothing: WAL with FULL, or where its WAL is broken TRUNCATE with EXTRA."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.database import DatabaseOptions, open_database
from storage.sqlite import SqliteDatabase, driver, wal_is_safe
from tests.durability.wire import SUCCESS, Wire, submission
from tests.server_process import ServerProcess

#: What `PRAGMA name` answers in a connection that is as it should be; the first two depend on the version.
SETTINGS = {
    "foreign_keys": 1,
    "busy_timeout": 5000,
    "wal_autocheckpoint": 1000,
    "trusted_schema": 0,
    "cell_size_check": 1,
    "mmap_size": 0,
    "read_uncommitted": 0,
}
FULL, EXTRA = 2, 3


def pragma(connection: object, name: str) -> object:
    return connection.raw.execute(f"PRAGMA {name}").fetchone()[0]  # type: ignore[attr-defined]


def test_every_connection_is_set(tmp_path: Path) -> None:
    """The writer's and a reader's: `synchronous` and most others are not stored in the file, each connection has its own."""
    database = open_database(f"sqlite:///{tmp_path / 'store.sqlite'}", DatabaseOptions())
    assert isinstance(database, SqliteDatabase)
    safe = wal_is_safe(driver.sqlite_version_info)
    with database.read() as reader:
        for connection in (reader, database._writer):
            assert {name: pragma(connection, name) for name in SETTINGS} == SETTINGS
            assert pragma(connection, "journal_mode") == ("wal" if safe else "truncate")
            assert pragma(connection, "synchronous") == (FULL if safe else EXTRA)
    database.close()


@pytest.mark.parametrize(
    "version, safe",
    [
        ((3, 53, 0), True),
        ((3, 51, 3), True),
        ((3, 51, 2), False),
        ((3, 51, 1), False),
        ((3, 50, 7), True),
        ((3, 50, 6), False),
        ((3, 49, 99), False),
        ((3, 44, 6), True),
        ((3, 44, 5), False),
        ((3, 40, 1), False),
        ((4, 0, 0), True),
    ],
)
def test_versions_with_the_wal_reset_bug(version: tuple[int, int, int], safe: bool) -> None:
    """SQLite 3.7.0 to 3.51.2 but for the branches on which it was mended."""
    assert wal_is_safe(version) is safe


def test_a_running_server_leaves_a_file_in_that_mode(tmp_path: Path) -> None:
    """The header of the file itself: version 2 is WAL (sqlite.org/fileformat.html: 1.3.3)."""
    with ServerProcess(tmp_path / "data", "--patients", "open") as server:
        assert Wire(server.repository, server.registry).provide(submission(1_000)).status == SUCCESS
        header = (tmp_path / "data" / "carnet.sqlite").read_bytes()[:20]
        journal = {path.name for path in (tmp_path / "data").glob("carnet.sqlite-*")}
    wal = wal_is_safe(driver.sqlite_version_info)
    assert header[18:20] == (b"\2\2" if wal else b"\1\1")
    assert ("carnet.sqlite-wal" in journal) is wal
