"""The one place where rights are asked: before every transaction, feed and command, by the policy of the settings.

Under the policy `ihe` a message must only be about the patient of its assertion, if it has one (`PatientCheck`); nothing is paid
where it has none. Under a matrix a `Guard` stands before each handler: it reads the caller's rights on the record of his
assertion, judges what the message shows, and lets the handler run as `ACTING`, to which what is hidden from him is unknown.
A transaction that the guard does not know is refused.

A repository elsewhere (`server/relay.py`) asks by ITI-18 which documents its caller may read or remove: that question is judged
by the rows of ITI-43 and ITI-86 (`Guard._for_repository`). What it asks in its own name is which of its documents are registered,
whether a record is closed, and what summaries are made of; of the last, only what nobody is kept from is told.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial

from lxml import etree

from metadata.datatypes import canonical_cx
from metadata.ebrim import parse_submission
from metadata.model import Submission
from metadata.queries import StoredQuery, read_query
from metadata.query_table import GET_DOCUMENTS
from metadata.rules.rule import Refused
from metadata.vocabulary import ResponseStatus, Transaction
from registry.codes import CodeBook
from registry.consents import Consents
from registry.iti18 import objects_of
from registry.rights import Rights
from registry.rights_acting import ACTING, Acting
from registry.rights_entries import Known, by_unique_id
from registry.rights_visibility import SightVisibility
from registry.rights_writers import SUBMITTER
from registry.search import Search
from registry.search_visibility import Visibility
from repository.iti43 import OnDemandSource, ProducedDocument
from schemas.namespaces import LCM, RIM, q
from security import rules_access as rules
from security.access import INVISIBLE, SECRET, Grant, Ihe, MatrixPolicy, Policy, Reading, Sight, policy_of
from security.access_changes import masks_of
from security.rules_vihf import OTHER_PATIENT
from security.saml_names import NORMAL
from security.submitter import submitter_of
from server.identify import assertions
from server.settings import SettingError, Settings
from soap.body.adhoc_query import build_adhoc_query_response, parse_adhoc_query
from soap.body.gdp import parse_record_request
from soap.body.habilitations import parse_authorization_request
from soap.call import Answer, Call, Caller, Handler
from storage.database import Database

_SUBMIT, _SLOT = q(LCM, "SubmitObjectsRequest"), q(RIM, "Slot")
READ_ROWS = tuple(f"TD3.2-{state}" for state in ("plain", "masked", "invisible", "archived", "obsolete", "deleted"))
CHANGE_ROWS = (
    "TD3.3a-mask", "TD3.3a-unmask", "TD3.3b-visible", "TD3.3d-archive", "TD3.3d-unarchive", "TD3.3c-delete"
)  # fmt: skip
#: The rows of the matrix that a transaction asks; the feeds have a table of their own.
ROWS_OF: Mapping[Transaction, tuple[str, ...]] = {
    Transaction.ITI_41: ("TD2.1", "TD2.2"),
    Transaction.ITI_42: ("TD2.1", "TD2.2"),
    Transaction.ITI_61: ("TD2.1", "TD2.2"),
    Transaction.ITI_18: ("TD3.1-meta", "TD3.1-ref"),
    Transaction.ITI_51: ("TD3.1-meta", "TD3.1-ref"),
    Transaction.ITI_43: READ_ROWS,
    Transaction.ITI_57: CHANGE_ROWS,
    Transaction.ITI_92: CHANGE_ROWS,
    Transaction.ITI_62: ("TD3.3c-delete",),
    Transaction.ITI_86: ("TD3.3c-delete",),
    Transaction.DMP_PATIENTS: ("TD0.2", "TD1.1", "TD1.2", "TD1.3a", "TD1.3b", "TD1.4"),
    Transaction.DMP_HABILITATIONS: ("TD0.3-add", "TD0.3-remove", "TD0.3-removeMT", "TD1.6"),
}
_FEEDING = (Transaction.ITI_41, Transaction.ITI_42, Transaction.ITI_61)
_READING = (Transaction.ITI_18, Transaction.ITI_51, Transaction.ITI_43)
_UPDATING = (Transaction.ITI_57, Transaction.ITI_92)
#: The parameter of a stored query in which a repository says for which transaction of its caller it asks. A registry that does
#: not know it passes over it, as the standard demands (ITI TF-2: 3.18.4.1.2.3).
ON_BEHALF = "$carnetTransaction"
UNIQUE_IDS, _LEVEL = "$XDSDocumentEntryUniqueId", "$MetadataLevel"
#: Seconds. What does not succeed ends at a whole number of these after it began: to find what is hidden and keep silent about it
#: takes a little longer than to find nothing. Refusing takes a fraction of one.
_STEP = 0.02


def policy_in_force(settings: Settings) -> Policy:
    """The policy of `security.policy`. Raises SettingError for a matrix or a reading that cannot be used."""
    security = settings.security
    try:
        policy = policy_of(security.policy, security.rights_reading)
    except ValueError as error:
        accepted = "accepted: ihe, dmp-fr or the path of a file of that form"
        raise SettingError(f"security.policy = {security.policy!r}, security.rights_reading: {error}; {accepted}") from None
    if isinstance(policy, Ihe) and security.consent_policies:
        raise SettingError(
            f"security.consent_policies = {security.consent_policies} is asked by a matrix of rights: set security.policy as well"
        )
    return policy


def check(settings: Settings) -> None:
    """What can be told before the server starts. Raises SettingError."""
    security, role = settings.security, settings.role
    relays = role.role == "repository" and (role.relay or security.policy != "ihe")
    what = "role.relay" if role.relay and security.policy == "ihe" else f"security.policy = {security.policy}"
    if (relays or not isinstance(policy_in_force(settings), Ihe)) and assertions(settings) == "off":
        raise SettingError(
            f"{what} asks who acts, and assertions are not looked at: give --secure and --pki, or security.assertions with "
            "security.authorities"
        )
    if relays and not (security.secure and role.registry_url.lower().startswith("https:")):
        raise SettingError(
            f"{what} with role.role = repository: the registry decides, and believes about who is calling only a repository that "
            "shows its certificate: set security.secure (option --secure) and an https address as role.registry_url"
        )
    if relays and security.policy != "ihe" and settings.domain.on_demand == "persist":
        raise SettingError(
            f"domain.on_demand = persist is not possible with {what} and role.role = repository: what a summary becomes would be "
            "registered in nobody's name; set domain.on_demand = summary, or serve registry and repository together"
        )


@dataclass(frozen=True, slots=True)
class Access:
    """A matrix in force over one database. `consents` are the policies of which one must be acknowledged for reading."""

    policy: MatrixPolicy
    rights: Rights
    codes: CodeBook
    database: Database
    consents: frozenset[str] = frozenset()

    def demand_consent(self, grant: Grant) -> None:
        """Raises Denied, for an unknown patient as for one who has not acknowledged."""
        purpose = grant.assertion.purpose
        if not self.consents or grant.sheet == "own" or (purpose is not None and purpose.code != NORMAL):
            return
        if not Consents(self.database).in_force(grant.rights.rows, self.consents):
            raise rules.NO_CONSENT.denied(policies=", ".join(sorted(self.consents)))

    def guarded(self, handlers: Mapping[Transaction, Handler]) -> dict[Transaction, Handler]:
        """Every handler with the policy before it."""
        return {transaction: Guard(self, handler) for transaction, handler in handlers.items()}

    def acting(self, caller: Caller) -> Acting:
        """What the caller may do. Raises Denied."""
        return Acting(self.policy.grant(caller.assertion, self.rights.of_caller), self.codes)

    # ----------------------------------------------------------------------------------------- what the handlers ask

    def visibility_of(self, query: StoredQuery, leaf: bool) -> Visibility | None:
        """`registry.iti18.VisibilityOf`. Raises Denied."""
        if _ASKS_ITSELF.get():
            return None if query.definition is GET_DOCUMENTS else self.public()
        acting = _acting()
        refuse_other_patients(acting.grant.same_patient, query.patient_ids)
        acting.grant.demand_references(query.definition.name, leaf)
        with self.database.read() as connection:
            return acting.visibility(connection)

    def may_retrieve(self, caller: Caller, unique_ids: Sequence[str]) -> Set[str]:
        """`repository.requested.MayRetrieve`: every entry in force of the document is one that the caller may read."""
        grant = _acting().grant
        return {id for id, known in self._entries(unique_ids).items() if _readable(grant, known)}

    def may_remove(self, caller: Caller, unique_ids: Sequence[str]) -> Set[str]:
        """`repository.iti86.MayRemove`. Raises Denied for a document that the caller sees and may not delete."""
        grant = _acting().grant
        seen: set[str] = set()
        for id, known in self._entries(unique_ids).items():
            if known and not any(grant.sight.hides(one.state) for one in known):
                for one in known:
                    grant.judge("TD3.3c-delete", one.state)
                seen.add(id)
        return seen

    def _entries(self, unique_ids: Iterable[str]) -> dict[str, list[Known]]:
        """The newest version of each DocumentEntry by uniqueId."""
        found: dict[str, list[Known]] = {id: [] for id in unique_ids}
        with self.database.snapshot() as connection:
            for one in by_unique_id(connection, self.codes, found.keys()):
                if one.newest:
                    found[one.uniqueId].append(one)
        return found

    def summaries(self, source: OnDemandSource) -> OnDemandSource:
        """On-Demand documents, made for whom may read their entry."""
        return _Guarded(self, source)

    def public(self) -> Visibility:
        """What a summary is made of: documents that nobody is kept from."""
        with self.database.read() as connection:
            return SightVisibility(connection, self.codes, Sight(None, masked=True, invisible=frozenset({INVISIBLE, SECRET})))


def _readable(grant: Grant, known: Sequence[Known]) -> bool:
    return bool(known) and all(grant.reads(one.state) for one in known)


class Guard:
    """A handler with the policy before it."""

    def __init__(self, access: Access, handler: Handler) -> None:
        self._access = access
        self._handler = handler

    def __call__(self, call: Call) -> Answer:
        """Raises Denied."""
        transaction, caller = call.transaction, call.caller
        if transaction is Transaction.ITI_44:
            self._access.policy.demand_feed(transaction.code, caller.assertion, caller.partner is not None)
            return self._handler(call)
        if transaction is Transaction.ITI_18:
            relays = caller.partner is not None and caller.partner.relays
            behalf = _behalf_of(call)
            if behalf is not None:  # without an assertion too: on behalf of nobody nothing is told
                return self._for_repository(call, behalf, relays)
            if relays and caller.assertion is None:
                with _asking_itself():
                    return self._handler(call)
        acting = self._access.acting(caller)
        rows = ROWS_OF.get(transaction)
        if rows is None:
            raise rules.NOT_IN_MATRIX.denied(row=transaction.code, column=acting.grant.column)
        acting.grant.demand(*_rows_of(call, acting.grant))
        if transaction in _READING:
            self._access.demand_consent(acting.grant)
        if transaction in _FEEDING or transaction in _UPDATING:
            _judge_submission(acting.grant, call, feeding=transaction in _FEEDING)
        elif transaction is Transaction.DMP_PATIENTS:
            refuse_other_patients(acting.grant.same_patient, _patients_of(call))
        with _as(acting), _submitting(call, acting.grant.opened):
            return in_steps(partial(self._handler, call))

    def _for_repository(self, call: Call, behalf: Transaction, relays: bool) -> Answer:
        """GetDocuments by uniqueId of a repository: those of the documents that its caller may read (ITI-43) or remove (ITI-86);
        none, where he may feed (ITI-41). What is hidden from him and what is unknown is not in the answer. Raises Denied as that
        transaction would here, and ACC-016 for who is no repository."""
        if not relays:
            raise rules.NO_RELAY.denied()
        access = self._access
        acting = access.acting(call.caller)
        acting.grant.demand(*((acting.grant.feeding_row,) if behalf in _FEEDING else ROWS_OF[behalf]))
        if behalf in _READING:
            access.demand_consent(acting.grant)
        request = parse_adhoc_query(call.body)
        query = read_query(request.id, request.slots, call.transaction, return_type=request.returnType)
        if query.definition is not GET_DOCUMENTS:
            raise rules.NOT_IN_MATRIX.denied(row=query.definition.name, column=acting.grant.column)
        with _as(acting):
            may = {Transaction.ITI_43: access.may_retrieve, Transaction.ITI_86: access.may_remove}.get(behalf)
            allowed = tuple(sorted(may(call.caller, query.texts(UNIQUE_IDS)))) if may is not None else ()
        with access.database.read() as connection:
            sight = acting.visibility(connection)
        # Closed records too: whether it is closed the repository asks apart, and says so of what the caller may have only.
        named = StoredQuery(GET_DOCUMENTS, {UNIQUE_IDS: (allowed,), _LEVEL: ((2,),)})
        found = Search(access.database, access.codes).find(named, leaf=True, visibility=sight) if allowed else None
        objects = list(objects_of(found)) if found is not None else []
        return Answer(build_adhoc_query_response(ResponseStatus.SUCCESS, objects), ResponseStatus.SUCCESS)


def in_steps(work: Callable[[], Answer]) -> Answer:
    """What does not succeed ends at a whole number of steps after it began."""
    begun, answer = time.monotonic(), None
    try:
        answer = work()
        return answer
    finally:
        if answer is None or answer.status is not ResponseStatus.SUCCESS:
            time.sleep(_STEP - (time.monotonic() - begun) % _STEP)


def listed(values: Iterable[str]) -> list[str]:
    """Each text as a value of a multi-valued parameter: one rim:Value each, for the schema allows a Value 256 characters."""
    return ["('" + one.replace("'", "''") + "')" for one in values]


def _behalf_of(call: Call) -> Transaction | None:
    """For which transaction of its caller a repository asks; None where it does not say so. Raises Denied ACC-016."""
    if not any(slot.get("name") == ON_BEHALF for slot in call.body.iter(_SLOT)):
        return None
    said = [value for slot in parse_adhoc_query(call.body).slots if slot.name == ON_BEHALF for value in slot.values]
    known = {one.code: one for one in (Transaction.ITI_41, Transaction.ITI_43, Transaction.ITI_86)}
    found = known.get(said[0].strip("()'")) if len(said) == 1 else None
    if found is None:
        raise rules.NO_RELAY.denied()
    return found


#: A repository asks in its own name.
_ASKS_ITSELF: ContextVar[bool] = ContextVar("asks_itself", default=False)


@contextmanager
def _asking_itself() -> Iterator[None]:
    token = _ASKS_ITSELF.set(True)
    try:
        yield
    finally:
        _ASKS_ITSELF.reset(token)


def _rows_of(call: Call, grant: Grant) -> Sequence[str]:
    """The rows of which one must be open. A service of the DMP has a row for each thing that it does; what is none of them is
    its handler's to refuse, before whom any row will do."""
    rows, row = ROWS_OF[call.transaction], ""
    if call.transaction in _FEEDING:
        row = grant.feeding_row
    elif call.transaction is Transaction.DMP_PATIENTS:
        row = parse_record_request(call.body).transaction
    elif call.transaction is Transaction.DMP_HABILITATIONS:
        row = parse_authorization_request(call.body).row
    return (row,) if row else rows


@contextmanager
def _as(acting: Acting | None) -> Iterator[None]:
    token = ACTING.set(acting)
    try:
        yield
    finally:
        ACTING.reset(token)


@contextmanager
def _submitting(call: Call, opened: frozenset[Reading] = frozenset()) -> Iterator[None]:
    """Who submits is known to the registry while a submission is worked on."""
    caller = call.caller
    submitter = submitter_of(caller.assertion, caller.partner, opened) if call.transaction in _FEEDING else None
    token = SUBMITTER.set(submitter)
    try:
        yield
    finally:
        SUBMITTER.reset(token)


def _acting() -> Acting:
    acting = ACTING.get()
    if acting is None:
        raise rules.NO_ASSERTION.denied(log="a handler ran outside its guard")
    return acting


def _judge_submission(grant: Grant, call: Call, *, feeding: bool) -> None:
    submission = _submission(call.body)
    refuse_other_patients(grant.same_patient, _named_patients(submission))
    if feeding:
        institutions = [
            xon for one in submission.submissionSets for author in one.author for xon in author.authorInstitution
        ]
        grant.demand_feeding(institutions, [masks_of(entry.confidentialityCode) for entry in submission.documentEntries])


def _submission(body: etree._Element) -> Submission:
    found = body if body.tag == _SUBMIT else body.find(_SUBMIT)
    return Submission() if found is None else parse_submission(found)


def refuse_other_patients(same: Callable[[str], bool], cxs: Iterable[str]) -> None:
    """Raises Denied (SAM-040) for an identifier that is not one of the person whom the assertion names."""
    if not all(map(same, cxs)):
        raise OTHER_PATIENT.denied()


class PatientCheck:
    """A handler where everything is allowed, but for this: a message is about the patient of its assertion, if it names one."""

    def __init__(self, rights: Rights, handler: Handler) -> None:
        self._rights = rights
        self._handler = handler

    def __call__(self, call: Call) -> Answer:
        """Raises Denied."""
        assertion = call.caller.assertion
        if call.transaction is Transaction.ITI_18 and _behalf_of(call) is not None:
            raise rules.NO_RELAY.denied()  # everything is allowed here, and who asks believes that rights were judged
        if assertion is not None and assertion.patient:
            refuse_other_patients(partial(self._same, canonical_cx(assertion.patient)), _patients_of(call))
        with _submitting(call):
            return self._handler(call)

    def _same(self, own: str, cx: str) -> bool:
        other = canonical_cx(cx)
        return other == own or {own, other} <= self._rights.of_caller(own, "", "").identifiers


def _patients_of(call: Call) -> list[str]:
    """The patients that a message names itself; what it names cannot be read is left to the handler to refuse."""
    if call.transaction in (Transaction.ITI_18, Transaction.ITI_51):
        request = parse_adhoc_query(call.body)
        try:
            query = read_query(
                request.id, request.slots, call.transaction, return_type=request.returnType, typed_patient_ids=True
            )
        except Refused:
            return []
        return list(query.patient_ids)
    if call.transaction in _FEEDING or call.transaction in _UPDATING:
        return _named_patients(_submission(call.body))
    if call.transaction is Transaction.DMP_PATIENTS:
        return [f"{one.extension}^^^&{one.root}&ISO" for one in parse_record_request(call.body).ids]
    return []


def _named_patients(submission: Submission) -> list[str]:
    named = [one.patientId for one in submission.submissionSets]
    named += [entry.patientId for entry in submission.documentEntries] + [folder.patientId for folder in submission.folders]
    return [cx for cx in named if cx]


class _Guarded:
    """`repository.iti43.OnDemandSource` for whom may read the entry."""

    def __init__(self, access: Access, source: OnDemandSource) -> None:
        self._access = access
        self._source = source

    def produce(self, unique_id: str, caller: Caller) -> ProducedDocument | None:
        """None as well where the caller may not read it."""
        grant = _acting().grant
        if not _readable(grant, self._access._entries([unique_id])[unique_id]):
            return None
        with _as(None):  # what is kept of it is nobody's in particular
            return self._source.produce(unique_id, caller)


def checked(handlers: Mapping[Transaction, Handler], database: Database) -> dict[Transaction, Handler]:
    """Every handler under the policy `ihe`."""
    rights = Rights(database)
    return {transaction: PatientCheck(rights, handler) for transaction, handler in handlers.items()}


def access_of(settings: Settings, database: Database, codes: CodeBook) -> Access | None:
    """The matrix in force; None where everything is allowed. Raises SettingError."""
    policy = policy_in_force(settings)
    if isinstance(policy, Ihe):
        return None
    consents = filter(None, map(str.strip, settings.security.consent_policies.split(",")))
    return Access(policy, Rights(database), codes, database, frozenset(consents))
