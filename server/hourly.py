"""Limits of one hour: how much a source may send and a patient may get, and about how many patients a caller may ask.

All are off by default (`limits.source_documents` and its neighbours, `security.patients_per_hour`). They are asked before
rights, so that a refusal tells nothing of them; what came to nothing of a submission is given back. The counts are those of all
workers (`security/hourly.py`). What a repository passes on to its registry was counted at the repository.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

from metadata.datatypes import canonical_cx
from metadata.ebrim import parse_submission
from metadata.model import Submission
from metadata.queries import read_query
from metadata.query_table import ParameterType
from metadata.rules.rule import Finding, Refused
from metadata.vocabulary import Actor, ErrorCode, ResponseStatus, Transaction
from repository.requested import spellings
from schemas.namespaces import LCM, q
from security.hourly import Amount, HourlyUse, Taken, named
from security.rules_access import TOO_MANY_PATIENTS
from server.settings import Settings
from soap.body.adhoc_query import parse_adhoc_query
from soap.body.gdp import parse_record_request
from soap.body.provide import parse_provide
from soap.body.retrieve import parse_document_requests
from soap.call import Answer, Call, Caller, Handler
from storage.database import Database
from storage.errors import StorageError

#: The rules by which a source and a patient have had enough.
SOURCE, PATIENT = "SRV-007", "SRV-008"
FEEDING = frozenset({Transaction.ITI_41, Transaction.ITI_42, Transaction.ITI_61})
ASKING = frozenset({Transaction.ITI_18, Transaction.ITI_51, Transaction.ITI_43, Transaction.DMP_PATIENTS})
_BUSY = {Actor.REGISTRY: ErrorCode.XDSRegistryBusy, Actor.REPOSITORY: ErrorCode.XDSRepositoryBusy}
#: More than any message has: what ITI-42 and ITI-61 say of sizes is the sender's word, and sums must stay numbers of 64 bits.
_MOST_OCTETS = 1 << 42
_SUBMIT = q(LCM, "SubmitObjectsRequest")
_LOG = logging.getLogger(__name__)


class Owners(Protocol):
    """Whose objects are, by entryUUID and by uniqueId (`server.audit_setup.KnownOwners`)."""

    def documents(self, unique_ids: Iterable[str]) -> Mapping[str, str]: ...

    def objects(self, entry_uuids: Iterable[str]) -> Mapping[str, str]: ...


def source_of(caller: Caller) -> str:
    """Which system sends: by its certificate, else by who signed, else by the person, else by the address."""
    der = caller.certificate_der or caller.signer_der
    if der is not None:
        return hashlib.sha256(der).hexdigest()
    return caller.assertion.subject if caller.assertion is not None else caller.address


def asker_of(caller: Caller) -> str:
    """Who asks: the person where one is proved, else the system."""
    return caller.assertion.subject if caller.assertion is not None else source_of(caller)


class Quota:
    """A handler of submissions, with the limits of its source and of its patients before it."""

    def __init__(self, handler: Handler, use: HourlyUse, settings: Settings) -> None:
        self._handler = handler
        self._use = use
        self._limits = settings.limits

    def __call__(self, call: Call) -> Answer:
        """Raises Refused: XDSRepositoryBusy or XDSRegistryBusy."""
        partner = call.caller.partner
        if call.transaction is Transaction.ITI_42 and partner is not None and partner.relays:
            return self._handler(call)
        source, patients = self._amounts(call)
        taken = self._use.take([source, *patients])
        if taken.over is not None:
            raise Refused([self._finding(call.transaction, taken.over, SOURCE if taken.over == source else PATIENT)])
        answer = None
        try:
            answer = self._handler(call)
            return answer
        finally:
            if answer is None or answer.status is ResponseStatus.FAILURE:
                self._give_back(taken)

    def _give_back(self, taken: Taken) -> None:
        """Where the store does not let it be, it stays counted until the hour is over: what was refused is told all the same."""
        try:
            self._use.give_back(taken)
        except StorageError:
            _LOG.exception("what came to nothing stays counted until the hour is over")

    def _amounts(self, call: Call) -> tuple[Amount, list[Amount]]:
        """What the message brings: of its source, and of each patient that it names."""
        if call.transaction is Transaction.ITI_41:
            provided = parse_provide(call)
            submission = parse_submission(provided.submit)
            octets = {document.id: document.part.size for document in provided.documents}
        else:
            found = call.body if call.body.tag == _SUBMIT else call.body.find(_SUBMIT)
            submission = Submission() if found is None else parse_submission(found)
            sizes = {entry.entryUUID: entry.size or "" for entry in submission.documentEntries}
            octets = {id: int(size) for id, size in sizes.items() if size.isdecimal()}
        limits = self._limits
        count = max(len(submission.documentEntries), len(octets) if call.transaction is Transaction.ITI_41 else 0)
        name = named("source", source_of(call.caller))
        source = Amount(name, count, min(sum(octets.values()), _MOST_OCTETS), limits.source_documents, limits.source_bytes)
        most = limits.patient_documents, limits.patient_bytes
        per_patient: dict[str, list[int]] = {}
        for entry in submission.documentEntries:
            per_patient.setdefault(canonical_cx(entry.patientId or ""), []).append(octets.get(entry.entryUUID, 0))
        patients = [
            Amount(named("patient", cx), len(all_of), min(sum(all_of), _MOST_OCTETS), *most)
            for cx, all_of in per_patient.items()
        ]
        return source, patients

    def _finding(self, transaction: Transaction, over: Amount, rule: str) -> Finding:
        whose = "one source" if rule == SOURCE else "one patient"
        documents, octets = over.documents_limit, over.octets_limit
        if documents and octets:
            message = f"this server takes at most {documents} documents and {octets} bytes of {whose} within an hour"
        elif documents:
            message = f"this server takes at most {documents} documents of {whose} within an hour"
        else:
            message = f"this server takes at most {octets} bytes of {whose} within an hour"
        free = datetime.now(UTC) + timedelta(seconds=self._use.seconds_left())
        return Finding(
            rule=rule,
            code=_BUSY[transaction.actor],
            message=message,
            remedy=f"Send it again after {free:%H:%M} UTC, in smaller parts if it alone is more; nothing of it was kept",
            section="ITI TF-3: 4.2.4.1",
        )


class PatientBound:
    """A handler of questions, with the number of patients that its caller may ask about within the hour before it."""

    def __init__(self, handler: Handler, use: HourlyUse, limit: int, owners: Owners, *, everything: bool) -> None:
        """`everything`: nothing is hidden from anybody (policy `ihe`), so that what is named may be another patient's."""
        self._handler = handler
        self._use = use
        self._limit = limit
        self._owners = owners
        self._everything = everything

    def __call__(self, call: Call) -> Answer:
        """Raises Denied ACC-017."""
        caller = call.caller
        asks_itself = caller.partner is not None and caller.partner.relays and caller.assertion is None
        patients = [] if asks_itself else sorted(set(map(canonical_cx, self._patients(call))))
        met = [named("asked", cx) for cx in patients]
        if met and not self._use.meets(named("asker", asker_of(caller)), met, self._limit):
            raise TOO_MANY_PATIENTS.denied(limit=self._limit)
        return self._handler(call)

    def _patients(self, call: Call) -> Iterable[str]:
        """Whom the message is about: those that are named, or whose the named things are; else the patient of the assertion.
        Under a matrix he comes first: it lets nobody else be asked about, and a refusal must not tell whose a hidden thing is."""
        assertion = call.caller.assertion
        own = [assertion.patient] if assertion is not None and assertion.patient else []
        return (self._named(call) or own) if self._everything else (own or self._named(call))

    def _named(self, call: Call) -> Collection[str]:
        if call.transaction is Transaction.ITI_43:
            asked = [spelt for one in parse_document_requests(call.body) for spelt in spellings(one.documentUniqueId)]
            return set(self._owners.documents(asked).values())
        if call.transaction is Transaction.DMP_PATIENTS:
            return [f"{one.extension}^^^&{one.root}&ISO" for one in parse_record_request(call.body).ids]
        return self._of_query(call)

    def _of_query(self, call: Call) -> Collection[str]:
        request = parse_adhoc_query(call.body)
        try:
            query = read_query(
                request.id, request.slots, call.transaction, return_type=request.returnType, typed_patient_ids=True
            )
        except Refused:
            return ()  # the handler refuses it with every finding
        if query.patient_ids:
            return query.patient_ids
        uuids: list[str] = []
        unique_ids: list[str] = []
        for parameter in query.definition.parameters:
            values = [str(one) for clause in query.all_of(parameter.name) for one in clause]
            if parameter.type is ParameterType.UUID:
                uuids += values
            elif parameter.name.endswith("UniqueId"):
                unique_ids += values
        return {*self._owners.objects(uuids).values(), *self._owners.documents(unique_ids).values()}


def bounded(
    handlers: Mapping[Transaction, Handler], settings: Settings, database: Database, owners: Owners
) -> dict[Transaction, Handler]:
    """Every handler with the limits of the settings before it; the same handlers where there are none."""
    limits, most = settings.limits, settings.security.patients_per_hour
    quotas = any((limits.source_documents, limits.source_bytes, limits.patient_documents, limits.patient_bytes))
    if not quotas and not most:
        return dict(handlers)
    use = HourlyUse(database)

    def before(transaction: Transaction, handler: Handler) -> Handler:
        if quotas and transaction in FEEDING:
            return Quota(handler, use, settings)
        if most and transaction in ASKING:
            return PatientBound(handler, use, most, owners, everything=settings.security.policy == "ihe")
        return handler

    return {transaction: before(transaction, handler) for transaction, handler in handlers.items()}


def limits_met(findings: Sequence[Finding], denied_rule: str) -> list[str]:
    """The rules of these limits by which a request was refused, for the metrics."""
    return [rule for rule in (SOURCE, PATIENT) if any(one.rule == rule for one in findings)] + (
        [denied_rule] if denied_rule == TOO_MANY_PATIENTS.id else []
    )
