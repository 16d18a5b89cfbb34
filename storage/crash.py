"""Named steps at which a test may kill the process, as `kill -9` or a power cut would.

`CARNET_CRASH_AT=name` kills at the first passage of that step, `CARNET_CRASH_AT=name:3` at the third. Without the variable
`crash_point` compares one global and returns. The names, in the order of one submission:

=================  ==========================================================================
staging-opened     the staging file of a document exists, empty
staging-written    all its bytes are written, none is durable
staging-synced     the file is durable under its staging name
blob-renamed       it carries its final name, the folder entry is not durable
blob-folder-synced the folder entry is durable: the document survives, and no row speaks of it
write-begun        the database transaction is open, empty
facts-read         the registry's state has been read and the patient is locked
rows-inserted      the registry's rows are in the transaction
companion-done     the repository's rows are in the transaction
commit-before      everything is in the transaction, COMMIT has not been sent
commit-after       COMMIT has returned: the submission is durable, nobody knows
answer-before      the answer is built, no byte of it is sent
=================  ==========================================================================

and of a removal of documents (`REMOVAL_POINTS`), after the commit that marks them:

=================  ==========================================================================
removal-committed  no document can be retrieved any more, the files are there
removal-unlinked   a file is deleted, the mark that it may be there stands
=================  ==========================================================================
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator, Mapping

CRASH_POINTS = (
    "staging-opened",
    "staging-written",
    "staging-synced",
    "blob-renamed",
    "blob-folder-synced",
    "write-begun",
    "facts-read",
    "rows-inserted",
    "companion-done",
    "commit-before",
    "commit-after",
    "answer-before",
)

REMOVAL_POINTS = ("removal-committed", "removal-unlinked")

VARIABLE = "CARNET_CRASH_AT"


def read_order(environment: Mapping[str, str]) -> tuple[str, int]:
    """The step to die at and its how-manieth passage; an empty name for none. ValueError for an unknown step."""
    name, _, count = environment.get(VARIABLE, "").partition(":")
    known = (*CRASH_POINTS, *REMOVAL_POINTS)
    if name and name not in known:
        raise ValueError(f"{VARIABLE}={name}: no such step; known steps are {', '.join(known)}")
    return name, int(count or 1)


_target, _remaining = read_order(os.environ)
_spared = threading.local()


@contextlib.contextmanager
def spared() -> Iterator[None]:
    """What this thread does inside passes no step: it belongs to no message (the start of a process, what it writes beside)."""
    _spared.now = True
    try:
        yield
    finally:
        _spared.now = False


def crash_point(name: str) -> None:
    """Die here if this is the step a test asked for."""
    if _target and name == _target and not getattr(_spared, "now", False):
        _die_when_due()


def _die_when_due() -> None:
    global _remaining
    _remaining -= 1
    if _remaining <= 0:
        os.kill(os.getpid(), signal.SIGKILL)
