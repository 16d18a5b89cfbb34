"""What is done for the audit trail beside the requests: anchors, delivery, events whose end nobody will tell any more.

Every process of a store has a keeper; two locks beside the store see to it that one of them writes anchors and one delivers. A
process that dies leaves its place to another.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from security.audit import SERIOUS, AuditEvent, End
from security.audit_chain import AnchorFile, unended
from security.audit_forward import Forwarder, Lag
from security.audit_store import AuditStore, entry
from security.syslog import NotDelivered
from storage.crash import spared
from storage.errors import StorageError

LOG = logging.getLogger("carnet.audit")

UNKNOWN_END = "the end is not known"
#: Seconds between two looks, and the longest wait after a failed delivery.
_STEP = 1.0
_LONGEST_WAIT = 60.0


@dataclass(frozen=True, slots=True)
class KeeperOptions:
    """Times in seconds; `docs/settings.md`, group audit."""

    anchor_seconds: float = 60.0
    anchor_records: int = 1000
    unknown_seconds: float = 3600.0
    alarm_seconds: float = 3600.0
    backlog: int = 20_000_000


class Keeper:
    """`start` begins two threads; `stop` ends them after a last anchor. `alarm` counts what an operator must look at."""

    def __init__(
        self,
        store: AuditStore,
        anchors: AnchorFile,
        folder: Path,
        forwarder: Forwarder | None,
        options: KeeperOptions | None = None,
        alarm: Callable[[str], None] = lambda kind: None,
    ) -> None:
        self._store = store
        self._anchors = anchors
        self._folder = folder
        self._forwarder = forwarder
        self._options = options or KeeperOptions()
        self._alarm = alarm
        self._ended = threading.Event()
        self._threads: list[threading.Thread] = []
        self._anchored: dict[int, tuple[int, bytes]] = {}
        self._anchored_at = -1e9
        self._settled_at = -1e9
        self._wait = _STEP
        self.lag = Lag(0, 0.0)

    @property
    def full(self) -> bool:
        """Whether so much waits for delivery that no more may be added but in an emergency."""
        return self.lag.records > self._options.backlog

    def start(self) -> None:
        tasks = [("audit-keeper", self._keep)]
        if self._forwarder is not None:
            tasks.append(("audit-forward", self._forward))
        for name, task in tasks:
            thread = threading.Thread(target=self._while_mine, args=(name, task), name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Ends both threads; what is not delivered waits for the next start."""
        self._ended.set()
        for thread in self._threads:
            thread.join(10)

    def _while_mine(self, name: str, task: Callable[[bool], float]) -> None:
        """Run `task` again and again while this process has the lock; once more at the end."""
        descriptor = os.open(self._folder / name, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        wait = 0.0
        mine = False
        while not self._ended.wait(wait):
            wait = _STEP
            if not mine:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    mine = True
                except BlockingIOError:
                    self._look()
                    continue
            wait = self._tried(task, last=False)
        if mine:
            self._tried(task, last=True)
        os.close(descriptor)

    def _tried(self, task: Callable[[bool], float], *, last: bool) -> float:
        try:
            with spared():
                return task(last)
        except (StorageError, OSError, ValueError) as error:
            self._alarm("audit")
            LOG.error("the audit trail could not be kept, it will be tried again: %s", error)
            return _STEP

    # ------------------------------------------------------------------------------------------- anchors, open ends

    def _keep(self, last: bool) -> float:
        """An anchor when one is due, the ends of events that have none."""
        heads = self._store.heads()
        fresh = {lane: head for lane, head in heads.items() if self._anchored.get(lane) != head}
        count = sum(head[0] - self._anchored.get(lane, (0, b""))[0] for lane, head in fresh.items())
        options = self._options
        now = time.monotonic()
        if fresh and (last or count >= options.anchor_records or now - self._anchored_at >= options.anchor_seconds):
            self._anchors.add(fresh)
            self._anchored, self._anchored_at = heads, now
        if not last and now - self._settled_at >= max(_STEP, options.unknown_seconds / 4):
            self._settled_at = now
            self._settle()
        return _STEP

    def _settle(self) -> None:
        """An event that began long ago and has no end, because its process died: said so, once."""
        now = time.time_ns() // 1_000_000
        begun, marks = unended(self._store, now - int(self._options.unknown_seconds * 1000))
        ends = []
        for place in begun:
            record = self._store.get(place)
            if record is not None and isinstance(event := record.readable, AuditEvent):
                ends.append(entry(End(place, now, SERIOUS, UNKNOWN_END, patient=event.patient)))
        self._store.write(ends)
        if marks:
            self._store.advance("settled", marks)

    # ------------------------------------------------------------------------------------------------------ delivery

    def _forward(self, last: bool) -> float:
        """Deliver what there is. After a failure the pause grows; the failure is told once, and so is its end."""
        assert self._forwarder is not None
        try:
            self._forwarder.run()
        except NotDelivered as error:
            if self._wait == _STEP:
                LOG.warning("audit records are not delivered and wait: %s", error)
            self._wait = min(self._wait * 2, _LONGEST_WAIT)
        else:
            if self._wait != _STEP:
                LOG.warning("audit records are delivered again")
            self._wait = _STEP
        self._look()
        return self._wait

    def _look(self) -> None:
        """How far the receiver is behind, for metrics and for the bound; an alarm when it is too far."""
        if self._forwarder is None:
            return
        self.lag = self._forwarder.lag()
        if self.lag.seconds > self._options.alarm_seconds:
            self._alarm("audit-lag")
