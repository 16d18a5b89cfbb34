"""Before a store is used: its folder, its schema, its name. Done once, in a process of its own that ends.

The schema's tools take 10 MB and are not needed afterwards; a worker that never loaded them is the smaller for it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from server.settings import Settings

#: How long a server that starts waits for one that is just ending: a worker outlives a killed parent by about a second.
HANDOVER_SECONDS = 5.0


class StoreError(Exception):
    """The store cannot be used; the text says why and what to do."""


def prepare(settings: Settings) -> None:
    """Make or check the store of `settings`. Raises StoreError."""
    from storage import migrate
    from storage.database import open_database
    from storage.errors import StorageError

    folder = Path(settings.store.data)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"store.data = {folder}: the folder cannot be made: {error.strerror}") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StoreError(f"store.data = {folder}: the folder cannot be written by this user")
    try:
        migrate.prepare(settings.database_url())
        _prepare_audit(settings)
        if settings.role.role != "registry" and not settings.role.repository_unique_id:
            from server.identity import repository_unique_id

            database = open_database(settings.database_url())
            try:
                repository_unique_id(database)
            finally:
                database.close()
    except StorageError as error:
        named = settings.value("store.database", secret=False)
        raise StoreError(f"store.database{'' if named else ' (SQLite)'}: {error}{_remedy(str(error))}") from None


def _prepare_audit(settings: Settings) -> None:
    """The key of the audit trail, made with the store. Raises StoreError."""
    if not settings.audit.enabled:
        return
    from security.audit_chain import AuditKeyError
    from server.audit_setup import key_path, prepare_key
    from storage.database import open_database

    database = open_database(settings.database_url())
    try:
        prepare_key(settings, database)
    except AuditKeyError as error:
        raise StoreError(str(error)) from None
    except OSError as error:
        raise StoreError(f"{key_path(settings)}: the key of the audit trail cannot be made: {error.strerror}") from None
    finally:
        database.close()


def is_new(settings: Settings) -> bool:
    """Whether `prepare` would make the store: SQLite without a file. A database server always has its database."""
    url = settings.database_url()
    return url.startswith("sqlite") and not Path(url.removeprefix("sqlite:///")).exists()


def _remedy(told: str) -> str:
    if "does not exist" in told and "database" in told:
        return "; make it first (createdb NAME), the tables are made by this program"
    return ""


def hold(settings: Settings) -> int | None:
    """Claim the SQLite store of `settings` for one server, until the descriptor that is returned is closed or its process ends.

    None on PostgreSQL, which several servers may share. Raises StoreError when another server has it.
    """
    url = settings.database_url()
    if not url.startswith("sqlite"):
        return None
    path = url.removeprefix("sqlite:///") + "-server"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from None
    deadline = time.monotonic() + HANDOVER_SECONDS
    while True:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        if time.monotonic() > deadline:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise StoreError(
                f"store.data = {settings.store.data}: another server (process {holder or 'unknown'}) serves this store. Stop it, "
                "or give this one a store of its own (--data); several processes on one store need PostgreSQL"
            )
        time.sleep(0.05)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
    return descriptor


def apart(work: Callable[[], None]) -> int:
    """Run `work` in a child of this process and return its exit status: 0, or 1 with the StoreError's text on stderr.

    Call it before any thread or connection is made.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = 1
    try:
        work()
        status = 0
    except StoreError as error:
        print(f"Error: {error}", file=sys.stderr, flush=True)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(status)
