"""Before a store is used: its folder, its schema, its name. Done once, in a process of its own that ends.

The schema's tools take 10 MB and are not needed afterwards; a worker that never loaded them is the smaller for it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from server.settings import Settings


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
        if settings.role.role != "registry" and not settings.role.repository_unique_id:
            from server.identity import repository_unique_id

            database = open_database(settings.database_url())
            try:
                repository_unique_id(database)
            finally:
                database.close()
    except StorageError as error:
        raise StoreError(f"store.database = {settings.value('store.database', secret=False) or 'SQLite'}: {error}") from None


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
