"""Who asks about patient after patient without being let near them: an alarm for the operator (docs/operations.md).

Refusals are all alike, so that one tells nothing; many of them, about different patients, tell of somebody who tries numbers.
Counted are the distinct patients of whom one caller was refused something within an hour, by each worker for itself. Nothing of a
patient is kept but a number that means nothing elsewhere, and none of it reaches the log.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator

from metadata.vocabulary import ErrorCode
from security.rules_access import NO_CONSENT, NOT_AUTHORISED, TOO_MANY_PATIENTS
from security.rules_vihf import OTHER_PATIENT
from soap.call import Caller
from soap.endpoint import Exchange

LOG = logging.getLogger("carnet.trust")
_REFUSALS = frozenset({NOT_AUTHORISED.id, NO_CONSENT.id, OTHER_PATIENT.id, TOO_MANY_PATIENTS.id})
_WINDOW = 3600.0
#: Callers that are counted at once; further ones wait for the next hour.
_CALLERS = 10_000


class Enumeration:
    """Called with each exchange when it is over; tells `alarm` once an hour of who was refused `limit` patients. 0: never.

    One object serves all threads of a process. `clock` gives seconds.
    """

    def __init__(self, limit: int, alarm: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._alarm = alarm
        self._clock = clock
        self._guard = threading.Lock()
        self._began = clock()
        self._salt = os.urandom(16)
        self._refused: dict[str, set[bytes]] = {}

    def __call__(self, exchange: Exchange) -> None:
        patients = set(_refused_patients(exchange)) if self._limit else set()
        if not patients:
            return
        who = _who(exchange.caller)
        if self._reached(who, {hashlib.blake2b(cx.encode(), key=self._salt, digest_size=16).digest() for cx in patients}):
            LOG.critical("alarm enumeration: %s was refused %d different patients within an hour", who, self._limit)
            self._alarm("enumeration")

    def _reached(self, who: str, patients: set[bytes]) -> bool:
        """Whether these are the ones with which the limit is reached."""
        with self._guard:
            if self._clock() - self._began > _WINDOW:
                self._began = self._clock()
                self._refused.clear()
            if who not in self._refused and len(self._refused) >= _CALLERS:
                return False
            known = self._refused.setdefault(who, set())
            if len(known) >= self._limit:
                return False
            known |= patients
            return len(known) >= self._limit


def _refused_patients(exchange: Exchange) -> Iterator[str]:
    assertion = exchange.caller.assertion
    if exchange.denied is not None:
        if exchange.denied.rule in _REFUSALS and assertion is not None:
            yield assertion.patient
        return
    yield from (one.value for one in exchange.findings if one.code is ErrorCode.XDSUnknownPatientId and one.value)


def _who(caller: Caller) -> str:
    """The person where one is proved, else the certificate, else the address."""
    if caller.assertion is not None:
        return repr(caller.assertion.subject)
    if caller.certificate_der is not None:
        return f"the certificate with SHA-256 {hashlib.sha256(caller.certificate_der).hexdigest()}"
    return caller.address or "unknown"
