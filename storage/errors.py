"""What a database may answer instead of doing what it was asked: one family for both drivers."""

from __future__ import annotations


class StorageError(Exception):
    """The root: anything below means that the transaction left nothing, but for `CommitUncertain`."""


class UniqueViolation(StorageError):
    """A row with this key exists. `table` is the name of the table whose constraint refused."""

    def __init__(self, table: str, message: str) -> None:
        super().__init__(message)
        self.table = table


class StorageUnavailable(StorageError):
    """The store cannot work now: disk full, read-only, locked too long, server gone. A later attempt may succeed."""


#: What drivers say when somebody else has the database, and in a moment no longer.
_BUSY_WORDS = ("locked", "busy", "timeout", "given up", "too many", "starting up", "shutting down")


def is_busy(error: BaseException) -> bool:
    """Whether the same attempt may well succeed in a moment: nothing has to be mended."""
    return isinstance(error, StorageUnavailable) and any(word in str(error).lower() for word in _BUSY_WORDS)


class CommitUncertain(StorageError):
    """COMMIT was sent and its durability is not known: the connection broke, or a wait for a standby was cut short.

    The caller must answer a failure and let the client retry: the retry finds either nothing or its own submission.
    """


class StoreVersionError(StorageError):
    """The schema of the store is not the one that this program writes. The text says what to do."""
