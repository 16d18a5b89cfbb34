"""Runs the collector now and then: one run for all processes that share a store, remembered over restarts."""

from __future__ import annotations

import fcntl
import logging
import os
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

from repository.collector import Collected

LOG = logging.getLogger("carnet.housekeeping")

#: How often a process looks whether a run is due, in seconds.
LOOK_SECONDS = 600


class Housekeeping:
    """`collect` every `hours`, in a thread of its own. `stamp` is a file whose time is that of the last run."""

    def __init__(self, collect: Callable[[], Collected], stamp: Path, hours: float) -> None:
        self._collect = collect
        self._stamp = stamp
        self._seconds = hours * 3600
        self._ended = threading.Event()

    def start(self) -> None:
        """Does nothing when `hours` is 0."""
        if self._seconds:
            threading.Thread(target=self._run, name="housekeeping", daemon=True).start()

    def stop(self) -> None:
        """A run under way is not waited for: each of its steps stands alone."""
        self._ended.set()

    def _run(self) -> None:
        # Processes that start together do not look together.
        while not self._ended.wait(min(LOOK_SECONDS, self._seconds) * random.uniform(0.8, 1.2)):
            try:
                self.run_when_due()
            except Exception:
                LOG.exception("the collector failed; it will be tried again")

    def run_when_due(self) -> Collected | None:
        """One run, unless the last one is too young or another process is at it."""
        descriptor = os.open(self._stamp, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return None
            state = os.fstat(descriptor)
            if state.st_size and time.time() - state.st_mtime < self._seconds:
                return None
            done = self._collect()
            os.pwrite(descriptor, b"1", 0)
            os.utime(descriptor)
        finally:
            os.close(descriptor)
        LOG.info(
            "collector: removed %d staging files, %d unanswered documents, %d rows, %d files, %d from quarantine, "
            "%d of removed documents%s",
            done.staging, done.pending, done.blobs, done.files, done.quarantined, done.removed,
            f"; {done.refused}" if done.refused else "",
        )  # fmt: skip
        return done
