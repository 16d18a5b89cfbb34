"""Who writes to a SQLite file: one process at a time, by a lock beside the file.

SQLite before 3.51.3 can lose committed frames of the WAL when two connections write or checkpoint at the same instant (the
WAL-reset bug, sqlite.org/wal.html). Here only one connection of a process ever writes, it checkpoints only as part of its own
commits, and it does both under this lock, as every command on the same data does: the instant never comes.
"""

from __future__ import annotations

import fcntl
import os
import time

from storage.errors import StorageUnavailable

_STEP = 0.002


class WriterLock:
    """A context manager: inside it, no other process writes. Lost with the process that holds it, however that ends."""

    def __init__(self, path: str, timeout: float) -> None:
        self._path = path
        self._timeout = timeout
        try:
            self._file = os.open(f"{path}-writer", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise StorageUnavailable(f"{path}: {error.strerror}") from error

    def __enter__(self) -> None:
        deadline = time.monotonic() + self._timeout
        while not self._taken():
            if time.monotonic() > deadline:
                raise StorageUnavailable(f"{self._path}: locked by another process for more than {self._timeout} s")
            time.sleep(_STEP)

    def _taken(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def __exit__(self, *_: object) -> None:
        fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Give the file up; the object is of no use afterwards."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
