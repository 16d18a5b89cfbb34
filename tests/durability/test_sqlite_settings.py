"""SQLite runs as the experiments say that it loses nothing: WAL with FULL, and never two writers or checkpoints at one instant.

The latter because SQLite 3.7.0 to 3.51.2 can lose committed frames then (the WAL-reset bug): only one connection of a process
writes and checkpoints, and those of several processes take turns.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import sqlalchemy as sa

from storage.database import DatabaseOptions, open_database
from storage.sqlite import SqliteDatabase, driver
from tests.conftest import ROOT
from tests.durability.wire import SUCCESS, Wire, submission
from tests.server_process import ServerProcess

FULL = 2
#: What `PRAGMA name` answers in a connection that is as it should be.
SETTINGS = {
    "journal_mode": "wal",
    "synchronous": FULL,
    "foreign_keys": 1,
    "busy_timeout": 5000,
    "trusted_schema": 0,
    "cell_size_check": 1,
    "mmap_size": 0,
    "read_uncommitted": 0,
}
WRITER = {**SETTINGS, "wal_autocheckpoint": 1000, "query_only": 0}
READER = {**SETTINGS, "wal_autocheckpoint": 0, "query_only": 1}
WRITES = 150
_WRITER_PROCESS = f"""
import sys
import sqlalchemy as sa
from storage.database import open_database
database = open_database(sys.argv[1])
# A checkpoint after every few commits, each of which is about as large: where two processes could meet in one.
database._writer.raw.execute("PRAGMA wal_autocheckpoint=8").fetchall()
for number in range({WRITES}):
    insert = sa.text("INSERT INTO item VALUES (:id, :text)")
    database.write(lambda c: c.execute(insert, {{"id": int(sys.argv[2]) + number, "text": "x" * 4000}}))
    print(number, flush=True)
database.close()
"""


def pragmas(connection: object, names: object) -> dict[str, object]:
    raw = connection.raw  # type: ignore[attr-defined]
    return {name: raw.execute(f"PRAGMA {name}").fetchone()[0] for name in names}  # type: ignore[attr-defined]


def test_every_connection_is_set(tmp_path: Path) -> None:
    """Most settings are not stored in the file: each connection, the writer's and a reader's, has its own."""
    database = open_database(f"sqlite:///{tmp_path / 'store.sqlite'}", DatabaseOptions())
    assert isinstance(database, SqliteDatabase)
    with database.read() as reader:
        assert pragmas(reader, READER) == READER
    assert pragmas(database._writer, WRITER) == WRITER
    database.close()


def test_a_running_server_leaves_such_a_file(tmp_path: Path) -> None:
    """The header of the file itself: version 2 is WAL (sqlite.org/fileformat.html: 1.3.3)."""
    with ServerProcess(tmp_path / "data", "--patients", "open") as server:
        assert Wire(server.repository, server.registry).provide(submission(1_000)).status == SUCCESS
        assert (tmp_path / "data" / "carnet.sqlite-wal").stat().st_size > 0
        assert (tmp_path / "data" / "carnet.sqlite").read_bytes()[18:20] == b"\2\2"


def test_two_processes_that_write_and_checkpoint_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    setup = driver.connect(str(path))
    setup.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, text TEXT)")
    setup.close()
    command = [sys.executable, "-c", _WRITER_PROCESS, f"sqlite:///{path}"]
    writers = [
        subprocess.Popen([*command, str(first)], cwd=ROOT, stdout=subprocess.PIPE, text=True) for first in (0, 100_000)
    ]
    acknowledged = [writer.communicate(timeout=120)[0].split() for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0]
    assert [len(numbers) for numbers in acknowledged] == [WRITES] * 2
    database = open_database(f"sqlite:///{path}")
    with database.read() as connection:
        assert connection.execute(sa.text("PRAGMA integrity_check")) == [("ok",)]
        assert connection.execute(sa.text("SELECT count(*) FROM item")) == [(2 * WRITES,)]
    database.close()
