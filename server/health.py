"""Can this server really take a document now? Asked of both stores by writing to them."""

from __future__ import annotations

import errno
import os
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa

from metadata.rules.rule import Refused
from repository.content import FileStore
from storage.database import Connection, Database
from storage.errors import StorageError

#: Probes of several watchers at once share one answer of at most this age.
FRESH_SECONDS = 0.5
#: As much as a small document.
_PROBE = bytes(64 * 1024)
_version = sa.table("alembic_version", sa.column("version_num"))
#: Writes a page and commits it, and changes nothing.
_TOUCH = sa.update(_version).values(version_num=_version.c.version_num)


@dataclass(frozen=True, slots=True)
class Health:
    """`database` and `documents` are `ok` or say what is wrong; an actor that is not served has no document store."""

    database: str
    documents: str

    @property
    def ok(self) -> bool:
        return self.database == self.documents == "ok"


class HealthCheck:
    """Safe for threads."""

    def __init__(self, database: Database, store: FileStore) -> None:
        self._database = database
        self._store = store
        self._guard = threading.Lock()
        self._last: Health | None = None
        self._checked = 0.0

    def __call__(self) -> Health:
        with self._guard:
            if self._last is None or time.monotonic() - self._checked > FRESH_SECONDS:
                self._last = Health(_tried(self._write_row), _tried(self._write_file))
                self._checked = time.monotonic()
            return self._last

    def _write_row(self) -> None:
        def work(connection: Connection) -> None:
            connection.execute(_TOUCH)

        self._database.write(work)

    def _write_file(self) -> None:
        self._store.admit(len(_PROBE))
        path = self._store.root / "tmp" / f"health-{secrets.token_hex(8)}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            if os.write(descriptor, _PROBE) != len(_PROBE):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
            path.unlink(missing_ok=True)


def _tried(write: Callable[[], None]) -> str:
    """`ok`, or the reason without a path or an address: whoever may ask for the health need not know them."""
    try:
        write()
    except Refused as refused:
        return "; ".join(finding.message for finding in refused.findings)
    except StorageError as error:
        return f"cannot be written: {type(error).__name__}"
    except OSError as error:
        return f"cannot be written: {error.strerror or type(error).__name__}"
    return "ok"
