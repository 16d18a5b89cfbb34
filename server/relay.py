"""A repository whose registry is elsewhere: who is calling is passed on, and the registry says what he may do.

Rights stand beside the metadata, so the registry alone decides. With ITI-42 goes the assertion that came with ITI-41, as it was
signed; before ITI-43 and ITI-86 the registry is asked by ITI-18, GetDocuments by uniqueId and again with that assertion, which of
the documents the caller may have (`server/access.py` answers). What it does not name is unknown, whether hidden or not there;
without an answer nothing is given. The registry believes a passed-on assertion of an enrolled repository only
(`security.trust.Partner.relays`), for here it was judged whether the caller may show it at all.

Source: ITI TF-2: 3.40.4.1.2, 3.18.4.1.2.3, 3.43.4.1.3.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import partial

from metadata.query_table import GET_DOCUMENTS
from metadata.rules.rule import Refused
from metadata.vocabulary import ResponseStatus, Transaction
from repository import refusals
from repository.iti43 import OnDemandSource, ProducedDocument
from schemas.namespaces import SOAP12, WSSE
from security import rules_access as rules
from security import rules_assertion
from security.refusal import Denied
from security.rules import TRUST_RULES
from security.rules_access import ACCESS_RULES
from security.saml_signature import find_assertion
from server.access import ON_BEHALF, ROWS_OF, UNIQUE_IDS, in_steps, listed
from server.settings import Settings
from soap.call import Answer, Call, Caller, Handler
from soap.client import Client
from soap.client_errors import ClientError, SoapFault

#: uniqueIds asked at once.
_ASKED = 100
#: Characters of a rim:Value by the schema. Longer ids are nobody's, and one of them would spoil the question about the others.
_MOST_VALUE = 256
#: The uniqueId of a question about no document.
_NO_DOCUMENT = "0.0"
#: Refusals of the registry that are the caller's. All others are between the two servers: an enrolment that is missing, say.
_RIGHTS = frozenset(rule.id for rule in ACCESS_RULES if rule is not rules.NO_RELAY)
_BETWEEN = frozenset(
    rule.id for rule in (
        rules_assertion.REQUIRED, rules_assertion.SAME_STRUCTURE, rules_assertion.NO_TLS, rules_assertion.BEARER,
        rules_assertion.HOLDER, rules_assertion.VOUCHES,
    )
)  # fmt: skip
_CALL: ContextVar[Call | None] = ContextVar("passed_on", default=None)


def relaying(settings: Settings) -> bool:
    """Whether who is calling is passed on to a registry elsewhere."""
    role = settings.role
    return role.role == "repository" and (role.relay or settings.security.policy != "ihe")


@contextmanager
def _passing_on(call: Call) -> Iterator[None]:
    token = _CALL.set(call)
    try:
        yield
    finally:
        _CALL.reset(token)


def caller_passed_on() -> Caller:
    """For whom the registry is asked now; nobody outside a call."""
    call = _CALL.get()
    return call.caller if call is not None else Caller()


def security_passed_on(transaction: Transaction) -> bytes:
    """wsse:Security with the assertion of the call that is worked on, for `Client.security`; empty where it has none."""
    call = _CALL.get()
    found = find_assertion(call.headers) if call is not None and call.caller.assertion is not None else None
    if found is None:
        return b""
    start = f'<wsse:Security xmlns:wsse="{WSSE}" xmlns:s="{SOAP12}" s:mustUnderstand="1">'
    return start.encode() + found.octets + b"</wsse:Security>"


def denied_by(fault: SoapFault) -> Denied | None:
    """The registry's refusal of our caller, as our own; None for a fault that is not about him."""
    rule = fault.rule
    if rule not in _RIGHTS and (not rule.startswith("SAM-") or rule in _BETWEEN):
        return None
    row = next((one for one in TRUST_RULES if one.id == rule), None)
    remedy_fr = row.remedy_fr if row is not None else ""

    def reason(line: str, remedy: str) -> str:
        """Of the line of a fault, without remedy and rule (`soap.fault.Fault.text`)."""
        return line.removesuffix(f"[{rule}]").rstrip().removesuffix(remedy).rstrip().removesuffix(".")

    return Denied(
        rule, reason(fault.reason, fault.remedy), reason(fault.reason_fr, remedy_fr), fault.remedy, remedy_fr=remedy_fr,
        subcode=fault.subcode, log="said by the registry",
    )  # fmt: skip


class PassedOn:
    """A handler whose messages to the registry carry the assertion of its caller, if he has one."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    def __call__(self, call: Call) -> Answer:
        """As the handler; raises Denied too."""
        with _passing_on(call):
            return self._handler(call)


class RemoteGuard:
    """A handler of a repository under a matrix that its registry asks, before ITI-43 and ITI-86 by `RemoteAccess`, and with
    ITI-42. What the repository refuses by itself before that (a uniqueId that is taken) is told to whom may feed only."""

    def __init__(self, access: RemoteAccess, handler: Handler) -> None:
        self._access = access
        self._handler = handler

    def __call__(self, call: Call) -> Answer:
        """Raises Denied."""
        assertion = call.caller.assertion
        if assertion is None:
            raise rules.NO_ASSERTION.denied()
        if not assertion.patient:
            raise rules.NO_PATIENT.denied()
        if call.transaction not in ROWS_OF:
            raise rules.NOT_IN_MATRIX.denied(row=call.transaction.code, column=assertion.mode.value)
        with _passing_on(call):
            return in_steps(partial(self._judged, call))

    def _judged(self, call: Call) -> Answer:
        try:
            return self._handler(call)
        except Refused:
            if call.transaction is Transaction.ITI_41:
                self._access.demand_feeding()
            raise


@dataclass(frozen=True, slots=True)
class RemoteAccess:
    """The rights of a registry elsewhere. `client` passes on who is calling. Safe for threads."""

    client: Client

    def guarded(self, handlers: Mapping[Transaction, Handler]) -> dict[Transaction, Handler]:
        """Every handler with the registry's policy before it."""
        return {transaction: RemoteGuard(self, handler) for transaction, handler in handlers.items()}

    def may_retrieve(self, caller: Caller, unique_ids: Sequence[str]) -> Set[str]:
        """`repository.requested.MayRetrieve`. Raises Denied, and Refused without an answer."""
        return self._allowed(Transaction.ITI_43, unique_ids)

    def may_remove(self, caller: Caller, unique_ids: Sequence[str]) -> Set[str]:
        """`repository.iti86.MayRemove`. Raises Denied for a document that the caller sees and may not delete, and Refused."""
        return self._allowed(Transaction.ITI_86, unique_ids)

    def summaries(self, source: OnDemandSource) -> OnDemandSource:
        """On-Demand documents, made for whom may read their entry."""
        return _Asked(self, source)

    def demand_feeding(self) -> None:
        """Raises Denied for a caller who may feed nothing, and Refused."""
        self._allowed(Transaction.ITI_41, [_NO_DOCUMENT])

    def _allowed(self, transaction: Transaction, unique_ids: Sequence[str]) -> Set[str]:
        found: set[str] = set()
        possible = [one for one in unique_ids if len(listed([one])[0]) <= _MOST_VALUE] or [_NO_DOCUMENT]
        for start in range(0, len(possible), _ASKED):
            slots = [(UNIQUE_IDS, listed(possible[start : start + _ASKED])), (ON_BEHALF, [f"'{transaction.code}'"])]
            try:
                answer = self.client.query(GET_DOCUMENTS.id, slots)
            except ClientError as error:
                denied = denied_by(error) if isinstance(error, SoapFault) else None
                raise denied or no_answer(str(error)) from error
            if answer.response.status is not ResponseStatus.SUCCESS:
                raise no_answer(", ".join(f"{error.error_code}: {error.code_context}" for error in answer.errors))
            found |= {entry.uniqueId for entry in answer.objects.documentEntries if entry.uniqueId}
        return found & set(unique_ids)


def no_answer(reason: str) -> Refused:
    """Nothing is given where the registry does not say to whom."""
    remedy = "Send the same request again when the registry answers"
    return Refused([replace(refusals.registry_not_available(reason), remedy=remedy, section=refusals.RETRIEVE)])


class _Asked:
    """`repository.iti43.OnDemandSource` for whom may read the entry."""

    def __init__(self, access: RemoteAccess, source: OnDemandSource) -> None:
        self._access = access
        self._source = source

    def produce(self, unique_id: str, caller: Caller) -> ProducedDocument | None:
        """None as well where the caller may not read it."""
        return self._source.produce(unique_id, caller) if self._access.may_retrieve(caller, [unique_id]) else None
