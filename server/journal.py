"""What the log tells of the exchanges: each refusal in one line, each quirk of the wire when it is met first.

A success is silent; the metrics count it. A line holds codes, rule ids, the caller's address and the message's own UUID, so that
whoever is asked "why was my message refused?" finds it; never a text of a finding, which may quote what the message says of a
patient.
"""

from __future__ import annotations

import logging
import re
import threading
from collections import Counter

from soap.endpoint import Exchange

LOG = logging.getLogger("carnet.exchange")
_UUID = re.compile(r"(?:urn:)?uuid:[0-9A-Fa-f-]{36}")
#: Findings named in one line; one message may have thousands.
_SHOWN = 5


class Journal:
    """Called with each exchange when it is over. One object serves all threads of a process."""

    def __init__(self) -> None:
        self._met: set[str] = set()
        self._guard = threading.Lock()

    def __call__(self, exchange: Exchange) -> None:
        if exchange.fault or exchange.findings:
            LOG.info("%s %s: %s", _who(exchange), _outcome(exchange), _reasons(exchange))
        for note in exchange.notes:
            with self._guard:
                first = note.id not in self._met
                self._met.add(note.id)
            if first:
                LOG.info("%s noted %s, further ones are counted in carnet_wire_notes_total", _who(exchange), note.id)


def _who(exchange: Exchange) -> str:
    what = exchange.transaction.code if exchange.transaction is not None else exchange.method
    message = f" {exchange.message_id}" if _UUID.fullmatch(exchange.message_id) else ""
    return f"{what} from {exchange.caller.address or 'unknown'}{message}"


def _outcome(exchange: Exchange) -> str:
    return exchange.status.name if exchange.status is not None else f"FAULT, HTTP {exchange.http_status}"


def _reasons(exchange: Exchange) -> str:
    if exchange.fault:
        return exchange.fault
    counts = Counter(f"{finding.code.value} [{finding.rule}]" for finding in exchange.findings)
    named = [name if count == 1 else f"{name} x{count}" for name, count in counts.most_common(_SHOWN)]
    return ", ".join(named) + (f" and {len(counts) - _SHOWN} more" if len(counts) > _SHOWN else "")
