"""The audit trail of a serving process (ATNA, ITI-20): every request leaves a record before its answer leaves.

What is written in one transaction (a submission, an update, a removal, an identity message) has its record in that same
transaction: `watched` opens the deed, and the database that `around` makes writes the record with the first write. What only
reads has its record made durable by `record`, before the first octet of the answer; a retrieve is recorded as begun, and its
end, with what was really sent, follows when the last octet is out. So is ITI-86, and ITI-41 whose registry is elsewhere: what
becomes of them is known only after they have written. A record of success that turned out to be none is corrected by an end of
its own.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from metadata.rules.rule import Finding
from metadata.vocabulary import ErrorCode, ResponseStatus, Severity, Transaction
from repository.index import SignatureRecord
from security.audit import (
    MAJOR,
    MINOR,
    ROLE_REPORT,
    SERIOUS,
    SUCCESS,
    AuditEvent,
    AuditObject,
    AuditSource,
    End,
    Participant,
    patient_object,
)
from security.audit_codes import (
    APPLICATION,
    APPLICATION_ACTIVITY,
    APPLICATION_START,
    APPLICATION_STOP,
    DESTINATION,
    DIGITAL_SIGNATURE,
    EMERGENCY_OVERRIDE,
    NODE_AUTHENTICATION,
    REPORT_NUMBER,
    REPORT_VERIFICATION,
    SECURITY_ALERT,
    SOURCE,
)
from security.audit_store import AuditStore, Entry, Place, entry
from server.audit_events import Deed, Owners, events_of, human, is_emergency
from soap.call import Answer, Call, Caller, Handler
from soap.endpoint import Exchange
from storage.database import Connection, Database
from storage.errors import StorageError, StorageUnavailable

LOG = logging.getLogger("carnet.audit")
T = TypeVar("T")

#: What only reads: recorded between the work and the answer.
READS = frozenset({Transaction.ITI_18, Transaction.ITI_43, Transaction.ITI_51})
#: Findings that tell of a moment, not of a mistake: outcome 4.
_BUSY = frozenset({ErrorCode.XDSRegistryBusy, ErrorCode.XDSRepositoryBusy})
#: The longest that the end of an event waits for others to be written with.
_FLUSH_SECONDS = 0.1
#: Findings named in one description.
_SHOWN = 5
#: Refusals of rights are no failure of authentication.
_RIGHTS = "ACC-"


@dataclass(slots=True)
class Opened:
    """An event that has begun on the way of another; `place` once its record is written."""

    event: AuditEvent
    place: Place | None = None


@dataclass(slots=True)
class _Act:
    """The deed under way in a thread: its events, and where their records stand once they are written. `more` happened on the
    way and has an outcome of its own; `opened` will have one."""

    call: Call
    events: list[AuditEvent]
    begun: bool
    places: list[Place] | None = None
    more: list[AuditEvent] = field(default_factory=list)
    opened: list[Opened] = field(default_factory=list)


@dataclass(slots=True)
class Begun:
    """What `record` keeps with an exchange until it is over: events recorded as begun, and where. `over`: recorded as done, and
    told again only if the answer breaks off."""

    events: Sequence[AuditEvent]
    places: Sequence[Place]
    over: bool = False


@dataclass(slots=True)
class Trail:
    """One for a process; safe for threads. `base_url` is what records call this server where no request has named it.

    `two_steps`: writing transactions that are recorded as begun. `failed` counts alarms; `full` tells that more records wait for
    delivery than may.
    """

    store: AuditStore
    owners: Owners
    base_url: str
    source: AuditSource
    two_steps: frozenset[Transaction] = frozenset({Transaction.ITI_86})
    failed: Callable[[str], None] = lambda kind: None
    full: Callable[[], bool] = lambda: False
    _local: threading.local = field(default_factory=threading.local)
    _stopped: threading.Event = field(default_factory=threading.Event)
    _flusher: threading.Thread | None = None

    # ------------------------------------------------------------------------------------------------------ life

    def start(self) -> None:
        """The server has started: said in the trail, durable before the first request is taken."""
        self.store.write([entry(self._activity(True))])
        self._flusher = threading.Thread(target=self._flush_always, name="audit", daemon=True)
        self._flusher.start()

    def stop(self) -> None:
        """The server stops: every end that waits is written, then this."""
        self._stopped.set()
        if self._flusher is not None:
            self._flusher.join()
        self._flush()
        self.store.write([entry(self._activity(False))])

    def _activity(self, starts: bool) -> AuditEvent:
        process = str(os.getpid())
        own = Participant(self.base_url, False, (APPLICATION,), alternative=process)
        kind = APPLICATION_START if starts else APPLICATION_STOP
        return AuditEvent(APPLICATION_ACTIVITY, "E", _now(), types=(kind,), participants=(own,), source=self.source)

    # -------------------------------------------------------------------------------------------------- handlers

    def watched(self, handlers: Mapping[Transaction, Handler]) -> dict[Transaction, Handler]:
        """The same handlers; what they write carries the record of the deed."""
        return {t: h if t in READS else self._watched(h) for t, h in handlers.items()}

    def _watched(self, handler: Handler) -> Handler:
        def handle(call: Call) -> Answer:
            process = str(os.getpid())
            deed = Deed(call.transaction, call.caller, call.endpoint_url, call.reply_to, call.body, (), process, self.source)
            with self.deed(call, self.events_of(deed), begun=call.transaction in self.two_steps):
                return handler(call)

        return handle

    def events_of(self, deed: Deed) -> list[AuditEvent]:
        """The events of a request, by this process and this source."""
        return events_of(deed if deed.process else replace(deed, process=str(os.getpid()), source=self.source), self.owners)

    @contextmanager
    def deed(self, call: Any, events: list[AuditEvent], *, begun: bool = False) -> Iterator[_Act]:
        """Inside it, this thread's first write takes the record of `events` along. `call` is what `record` knows it by."""
        self._local.act = act = _Act(call, events, begun)
        yield act

    def around(self, database: Database) -> Database:
        """The database as handlers get it."""
        return _Watched(database, self)

    # ------------------------------------------------------------------------------------------------- one request

    def record(self, exchange: Exchange) -> None:
        """Before the answer leaves: the record of what was not recorded yet. Raises StorageError where the answer would give
        something; an answer that refuses leaves all the same, and the missing record is an alarm."""
        try:
            self._record(exchange)
        except StorageError as error:
            if exchange.status not in (None, ResponseStatus.FAILURE):
                raise
            self.failed("audit")
            LOG.error("a refusal of %s could not be recorded: %s", exchange.path, error)

    def _record(self, exchange: Exchange) -> None:
        if exchange.denied is not None and not exchange.denied.rule.startswith(_RIGHTS):
            self.alarm(exchange.caller, exchange.denied.rule)
        if exchange.transaction is None:
            return
        outcome, description = outcome_of(exchange)
        act = self._taken(exchange.call)
        if act is not None and act.places:
            self._settle(act, exchange, outcome, description)
        elif exchange.transaction in READS and exchange.status not in (None, ResponseStatus.FAILURE) and exchange.call:
            self._read(exchange, outcome, description)
        else:
            events = act.events if act is not None else self._events(exchange)
            told = [one.ended(outcome, description) for one in events]
            more = act.more if act is not None else []
            self.store.write([entry(one) for one in (*told, *more, *self._overrides(exchange))])

    def over(self, exchange: Exchange) -> None:
        """After the last octet: the end of what had only begun, and of an answer that broke off or was given up."""
        begun = exchange.trace
        given_up = exchange.status in (None, ResponseStatus.FAILURE)  # after its record: that told of another answer
        if not isinstance(begun, Begun) or (begun.over and not exchange.broken and not given_up):
            return
        outcome, text = outcome_of(exchange) if given_up else (SUCCESS, "")
        if exchange.broken:
            outcome, text = MINOR, f"the answer broke off after {exchange.sent} octets"
        for event, place in zip(begun.events, begun.places, strict=True):
            self.later(entry(End(place, _now(), outcome, text, exchange.sent, patient=event.patient)))

    def alarm(self, caller: Caller, rule: str) -> None:
        """Somebody could not prove who he is (DICOM PS3.15 A.5.3.11: Security Alert, Node Authentication)."""
        self.store.write([entry(self._alert(caller, rule))])

    def node_failure(self, address: str, reason: str, subject: str = "") -> None:
        """A TLS handshake that failed: `reason` as the library says it, `subject` of the certificate where there was one."""
        try:
            self.alarm(Caller(address=address, subject=subject), reason)
        except StorageError as error:
            LOG.error("a failed handshake of %s could not be recorded: %s", address, error)

    def verified(self, patient: str, signature: SignatureRecord) -> None:
        """The signature of a submission set was looked at (IHE DSG): recorded with the submission, or with its refusal."""
        thing = AuditObject(signature.signature, REPORT_NUMBER, details=(("SubmissionSet", signature.submissionSet),))
        act = self.current()
        people = act.events[0].participants if act is not None else ()
        own = Participant(self.base_url, False, (APPLICATION,), alternative=str(os.getpid()))
        event = AuditEvent(
            REPORT_VERIFICATION, "R", _now(), SERIOUS if signature.rules else SUCCESS, (DIGITAL_SIGNATURE,), people or (own,),
            (*((patient_object(patient),) if patient else ()), thing), description=", ".join(signature.rules),
            source=self.source,
        )  # fmt: skip
        if act is not None:
            act.more.append(event)
        else:
            self.say([event])

    def say(self, events: Sequence[AuditEvent]) -> None:
        """Events of others (signatures checked, the log read), durable when it returns."""
        self.store.write([entry(replace(one, source=one.source or self.source)) for one in events])

    def begin(self, event: AuditEvent) -> Opened:
        """An event on the way of this thread's deed, recorded as begun: with the next write, which is the deed's first; without
        a deed at once. `end` it."""
        act = self.current()
        if act is None:
            return Opened(event, self.store.write([entry(event, begun=True)])[0])
        act.opened.append(Opened(event))
        return act.opened[-1]

    def end(self, opened: Opened, outcome: int, description: str = "") -> None:
        """How it ended. Of what was never written, because the deed failed first, there is nothing to tell."""
        if opened.place is not None:
            self.later(entry(End(opened.place, _now(), outcome, description, patient=opened.event.patient)))
        elif (act := self.current()) is not None:
            act.opened.remove(opened)

    # ---------------------------------------------------------------------------------------------------- helpers

    def _events(self, exchange: Exchange) -> list[AuditEvent]:
        """The events of an exchange, however little of it was understood."""
        assert exchange.transaction is not None
        call = exchange.call
        url = call.endpoint_url if call else self.base_url + exchange.path[:200]
        reply_to = call.reply_to if call else ""
        body, asked, patients = (call.body, call.asked, call.patients) if call else (None, None, {})
        who, process = exchange.caller, str(os.getpid())
        deed = Deed(exchange.transaction, who, url, reply_to, body, (), process, self.source, asked, patients)
        return self.events_of(deed)

    def _read(self, exchange: Exchange, outcome: int, description: str) -> None:
        """Something is about to be given. What cannot be delivered to the receiver of the trail is not given."""
        if self.full() and not is_emergency(exchange.caller.assertion):
            raise StorageUnavailable("the audit trail is full: too many of its records wait for their receiver (audit.backlog)")
        if exchange.transaction is Transaction.ITI_43:
            self._begin(exchange)
            return
        told = [one.ended(outcome, description) for one in self._events(exchange)]
        places = self.store.write([entry(one) for one in (*told, *self._overrides(exchange))])
        exchange.trace = Begun(told, places[: len(told)], over=True)

    def _begin(self, exchange: Exchange) -> None:
        """ITI-43: what will be given has begun; what is refused is over, in a record of its own (ITI TF-2: 3.43.5)."""
        failed = {finding.object: finding for finding in exchange.findings}
        given: list[AuditEvent] = []
        refused: list[AuditEvent] = []
        for event in self._events(exchange):
            for wanted, kept in ((False, given), (True, refused)):
                ids = [one.id for one in event.objects if one.role == ROLE_REPORT and (one.id in failed) is wanted]
                if ids:
                    said = _described([failed[id] for id in ids]) if wanted else ""
                    kept.append(event.ended(SERIOUS if wanted else SUCCESS, said, ids if failed else ()))
        entries = [entry(one, begun=True) for one in given]
        more = [entry(one) for one in (*refused, *self._overrides(exchange))]
        places = self.store.write([*entries, *more])
        exchange.trace = Begun(given, places[: len(given)])

    def _settle(self, act: _Act, exchange: Exchange, outcome: int, description: str) -> None:
        """The record stands already: it is completed where it had only begun, corrected where it was wrong."""
        assert act.places is not None
        overrides = [entry(one) for one in self._overrides(exchange)]
        if not act.begun and outcome == SUCCESS:
            self.store.write(overrides)
            return
        failed = {finding.object for finding in exchange.findings if finding.severity is Severity.ERROR}
        ends: list[Entry] = []
        for event, place in zip(act.events, act.places, strict=True):
            ids = [one.id for one in event.objects if one.role == ROLE_REPORT]
            done = [id for id in ids if id not in failed]
            if exchange.status is ResponseStatus.PARTIAL_SUCCESS and done and len(done) < len(ids):
                ends.append(entry(End(place, _now(), SUCCESS, objects=tuple(done), patient=event.patient)))
                ends.append(entry(event.ended(outcome, description, [id for id in ids if id in failed])))
            else:
                kept = outcome if not done or exchange.status is not ResponseStatus.PARTIAL_SUCCESS else SUCCESS
                ends.append(entry(End(place, _now(), kept, description if kept else "", patient=event.patient)))
        self.store.write([*ends, *overrides])

    def _overrides(self, exchange: Exchange) -> list[AuditEvent]:
        """A glass that was broken is an alert of its own, beside the record of what was done."""
        assertion = exchange.caller.assertion
        if not is_emergency(assertion):
            return []
        return [
            replace(one, event=SECURITY_ALERT, action="E", types=(EMERGENCY_OVERRIDE, *one.types), outcome=SUCCESS)
            for one in self._events(exchange)
        ]

    def _alert(self, caller: Caller, rule: str) -> AuditEvent:
        person = human(caller.assertion)
        theirs = Participant(caller.subject or caller.address or "unknown", person is None, (SOURCE,), address=caller.address)
        own = Participant(self.base_url, False, (DESTINATION,), alternative=str(os.getpid()))
        people = (theirs, person, own) if person is not None else (theirs, own)
        said = f"authentication failed: {rule}"
        return AuditEvent(
            SECURITY_ALERT, "E", _now(), SERIOUS, (NODE_AUTHENTICATION,), people, description=said, source=self.source
        )

    def _taken(self, call: Call | None) -> _Act | None:
        """The deed of this call, once."""
        act: _Act | None = getattr(self._local, "act", None)
        self._local.act = None
        return act if act is not None and call is not None and act.call is call else None

    def current(self) -> _Act | None:
        """This thread's deed, while nothing of it is written."""
        act: _Act | None = getattr(self._local, "act", None)
        return act if act is not None and act.places is None else None

    # ------------------------------------------------------------------------------------------------------- ends

    def later(self, end: Entry) -> None:
        """Nobody waits for an end: it goes with others. If it is lost, its event is one whose end is not known."""
        if not self.store.later(end) or self._stopped.is_set():
            self._flush()

    def _flush_always(self) -> None:
        while not self._stopped.wait(_FLUSH_SECONDS):
            self._flush()

    def _flush(self) -> None:
        try:
            self.store.flush()
        except StorageError as error:
            self.failed("audit")
            LOG.error("ends of events could not be written and wait: %s", error)


class _Watched:
    """A database whose writes take the record of the thread's deed along."""

    def __init__(self, database: Database, trail: Trail) -> None:
        self._inner = database
        self._trail = trail
        self.dialect = database.dialect
        self.url = database.url
        self.read = database.read
        self.snapshot = database.snapshot
        self.ride = database.ride
        self.scrub = database.scrub
        self.close = database.close

    def write(self, work: Callable[[Connection], T]) -> T:
        act = self._trail.current()
        if act is None:
            return self._inner.write(work)
        entries = [*(entry(one, begun=act.begun) for one in act.events), *map(entry, act.more)]
        opened = [entry(one.event, begun=True) for one in act.opened]
        store = self._trail.store

        def both(connection: Connection) -> tuple[T, list[Place]]:
            result = work(connection)
            return result, store.append(connection, [*entries, *opened])

        result, places = self._inner.write(both)
        act.places = places[: len(act.events)]
        for one, place in zip(act.opened, places[len(entries) :], strict=True):
            one.place = place
        return result


# ----------------------------------------------------------------------------------------------------------------- outcome


def outcome_of(exchange: Exchange) -> tuple[int, str]:
    """EventOutcomeIndicator, and EventOutcomeDescription: codes and rules, never a text, which may quote what was sent."""
    if exchange.reference:
        return MAJOR, f"{exchange.fault or _described(exchange.findings)} (reference {exchange.reference})"
    if exchange.fault:
        return SERIOUS, exchange.fault
    return outcome_of_response(exchange.status, exchange.findings)


def outcome_of_response(status: ResponseStatus | None, findings: Sequence[Finding]) -> tuple[int, str]:
    """The same of a response, whoever gave it."""
    if status is ResponseStatus.SUCCESS:
        return SUCCESS, ""
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    minor = not errors or all(finding.code in _BUSY for finding in errors)
    return MINOR if minor else SERIOUS, _described(findings)


def _described(findings: Sequence[Finding]) -> str:
    counts = Counter(f"{finding.code.value} [{finding.rule}]" if finding.rule else finding.code.value for finding in findings)
    more = f" and {len(counts) - _SHOWN} more" if len(counts) > _SHOWN else ""
    return ", ".join(name for name, _ in counts.most_common(_SHOWN)) + more


def _now() -> int:
    return time.time_ns() // 1_000_000
