"""Where plans are sent, and how their patients become known there."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from conformance.wire import Client

ASSIGNING_AUTHORITY = "1.3.6.1.4.1.21367.13.20.1000"


@dataclass
class Target:
    """Where to send, and how a patient becomes known there."""

    client: Client
    repository_id: str
    announce: Callable[[Iterable[str]], None]
    mllp: str = ""


class Patients:
    """Fresh patient ids, made known to the target in advance: a command for each would take longer than the plans."""

    def __init__(self, target: Target, advance: int) -> None:
        self._target = target
        self._advance = advance
        self._ready: list[str] = []
        self._stem = f"N{time.time_ns() // 1_000_000}"
        self._count = itertools.count(1)
        self._known: set[str] = set()

    def new(self) -> str:
        """A patient id that no step has used yet and the target knows."""
        if not self._ready:
            self._ready = [self.unknown() for _ in range(self._advance)]
            self._target.announce(self._ready)
            self._known.update(self._ready)
        return self._ready.pop()

    def unknown(self) -> str:
        """A patient id that was never announced."""
        return f"{self._stem}-{next(self._count)}^^^&{ASSIGNING_AUTHORITY}&ISO"

    def make_known(self, patients: Iterable[str]) -> None:
        """These very ids, where they are not known yet."""
        missing = sorted(set(patients) - self._known)
        if missing:
            self._target.announce(missing)
            self._known.update(missing)
