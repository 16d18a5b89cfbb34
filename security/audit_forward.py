"""Store and forward: the records of the store, lane after lane, to an Audit Record Repository, each at least once.

(ITI TF-2: 3.20.4.1.1: what cannot be delivered is kept and sent later.) How far each lane was delivered is a mark in the
database, moved only when the receiver has read the batch. After a failure the same records are sent again, the same octets.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from security.audit import (
    MAJOR,
    ROLE_SECURITY_RESOURCE,
    SERIOUS,
    AuditEvent,
    AuditObject,
    AuditSource,
    End,
    Participant,
    is_moment,
)
from security.audit_codes import APPLICATION, OBJECT_CHANGED, SECURITY_ALERT, URI
from security.audit_message import build_audit_message
from security.audit_store import AuditStore, Kind, Place, Stored
from security.syslog import NOTICE, WARNING, Receiver, build_syslog, deliver

#: Records of one batch, and the octets after which a batch is full: what has to be sent again after a failure.
BATCH = 500
BATCH_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Lag:
    """What is not delivered: records, and the age of the oldest in seconds."""

    records: int
    seconds: float


class Forwarder:
    """Delivers what is new. One process of a store at a time does it; two at once send twice and lose nothing."""

    def __init__(
        self,
        store: AuditStore,
        receiver: Receiver,
        source: AuditSource,
        host: str,
        store_id: str,
        send: Callable[[Receiver, ssl.SSLContext, Sequence[bytes]], None] = deliver,
    ) -> None:
        self._store = store
        self._receiver = receiver
        self._context = receiver.context()
        self._source = source
        self._host = host
        self._store_id = store_id
        self._send = send
        self._name = f"sent {receiver.host}:{receiver.port}"

    def run(self) -> int:
        """Deliver everything there is, and return how many records that were. Raises syslog.NotDelivered; what was delivered
        before is marked, and stays so."""
        total = 0
        marks = self._store.marks(self._name)
        for lane, (end, _) in self._store.heads().items():
            number = marks.get(lane, 0)
            while number < end and (page := self._store.after(lane, number, BATCH)):
                batch, number = self._batch(page)
                if batch:
                    self._send(self._receiver, self._context, batch)
                self._store.advance(self._name, {lane: number})
                total += len(batch)
        return total

    def lag(self) -> Lag:
        """How far the receiver is behind."""
        marks = self._store.marks(self._name)
        records, oldest = 0, 0.0
        for lane, (end, _) in self._store.heads().items():
            number = marks.get(lane, 0)
            records += end - number
            waiting = self._store.after(lane, number, 1)
            if waiting and is_moment(waiting[0].at):
                oldest = max(oldest, time.time() - waiting[0].at / 1000)
        return Lag(records, oldest)

    def _batch(self, page: Sequence[Stored]) -> tuple[list[bytes], int]:
        """The messages of a page as far as they go into one batch, and the number of the last record in it."""
        batch: list[bytes] = []
        size = 0
        for record in page:
            event = self._event(record)
            if event is not None:
                octets = self._message(record.place, event)
                if batch and size + len(octets) > BATCH_BYTES:
                    return batch, record.place.number - 1
                batch.append(octets)
                size += len(octets)
        return batch, page[-1].place.number

    def _event(self, record: Stored) -> AuditEvent | None:
        """What a record tells the receiver; None for an event that has only begun: its end will tell. A record that was damaged
        or removed keeps back none of those behind it: that there is such a one is told in its place."""
        if record.kind == Kind.BEGUN:
            return None
        try:
            return told(self._store, record)
        except ValueError:
            return self._damaged(record)

    def _damaged(self, record: Stored) -> AuditEvent:
        own = Participant(self._source.id, False, (APPLICATION,))
        thing = AuditObject(f"audit record {self._store_id}.{record.place}", URI, role=ROLE_SECURITY_RESOURCE)
        said = f"audit record {record.place} is not as it was written: carnet audit verify"
        at = record.at if is_moment(record.at) else 0  # the same octets each time
        return AuditEvent(SECURITY_ALERT, "E", at, MAJOR, (OBJECT_CHANGED,), (own,), (thing,), description=said)

    def _message(self, place: Place, event: AuditEvent) -> bytes:
        severity = WARNING if event.outcome in (SERIOUS, MAJOR) else NOTICE
        message = build_audit_message(event, self._source)
        return build_syslog(message, at=event.at, host=self._host, id=f"{self._store_id}.{place}", severity=severity)


def told(store: AuditStore, record: Stored) -> AuditEvent:
    """The event of a record; of an end, the event that ended. ValueError for an end whose beginning is not there."""
    content = record.content
    if isinstance(content, End):
        begun = store.get(Place(*content.of))
        event = begun.content if begun is not None else None
        if not isinstance(event, AuditEvent):
            raise ValueError(f"audit record {record.place} ends {Place(*content.of)}, which is not there")
        return event.ended(content.outcome, content.description, content.objects)
    return content
