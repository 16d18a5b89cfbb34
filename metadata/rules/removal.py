"""What ITI-62 Remove Metadata may take away (ITI RMD: 3.62.4.1.3): one row for each thing that can be wrong with a request.

A removal is no submission, so these rows have a table of their own, `RULES`, applied by `check`. They ask `RemovalFacts`,
answered by SQL in the server and by a dict in tests. Every finding is returned, and one finding is enough to refuse it all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from metadata.rules.rule import Existing, Fault, Finding
from metadata.vocabulary import AssociationType, ErrorCode, ObjectKind, Transaction

#: The default of the schema: toolkits that know the schema send it for an attribute that nobody has set.
DELETE_ALL = "urn:oasis:names:tc:ebxml-regrep:DeletionScopeType:DeleteAll"
_HAS_MEMBER = AssociationType.HAS_MEMBER.urn


class RemovalPolicy(Enum):
    """What the affinity domain makes of a removal, of metadata and of documents."""

    REFUSE = "refuse"
    HIDE = "hide"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Removal:
    """What was asked for. `adhocQuery` and `deletionScope`: parts of ebRS that the transaction forbids."""

    ids: tuple[str, ...]
    adhocQuery: bool = False
    deletionScope: str = ""


class RemovalFacts(Protocol):
    """The registry's state as these rules ask for it, at one moment."""

    def find(self, entry_uuid: str) -> Existing | None:
        """The registered object with this entryUUID."""

    def referring(self, removed: Sequence[str]) -> Sequence[Existing]:
        """Every Association with an end among these objects, whatever its status, those among them included."""

    def members_of(self, entry_uuid: str) -> Sequence[Existing]:
        """The HasMember Associations from this SubmissionSet."""

    def sets_of(self, entry_uuid: str) -> Sequence[Existing]:
        """The HasMember Associations to this object whose source is a SubmissionSet."""

    def record_state(self, cx: str) -> str:
        """`closed` or `destroyed` where the record of this patient is not open, else an empty string."""

    def versions_of(self, logical_id: str) -> Sequence[Existing]:
        """The later versions of the logical object whose first version has this entryUUID."""


Judge = Callable[[Removal, RemovalFacts, RemovalPolicy], Iterable[Fault]]


@dataclass(frozen=True, slots=True)
class RemovalRule:
    """One row, in the shape of `metadata.rules.rule.Rule`; `judge` sees the request, the state and the domain's policy."""

    id: str
    section: str
    statement: str
    code: ErrorCode
    remedy: str
    judge: Judge
    transactions: frozenset[Transaction] = frozenset({Transaction.ITI_62})

    def finding(self, fault: Fault) -> Finding:
        """The fault signed by this rule; `@codeContext` names the object."""
        remedy = fault.remedy or self.remedy
        return Finding(self.id, self.code, fault.message, remedy, fault.object, fault.attribute, fault.value, self.section)


RULES: list[RemovalRule] = []


def _rule(id: str, section: str, code: ErrorCode, remedy: str) -> Callable[[Judge], Judge]:
    def declare(judge: Judge) -> Judge:
        RULES.append(RemovalRule(id, section, (judge.__doc__ or "").strip().partition("\n")[0], code, remedy, judge))
        return judge

    return declare


def check(removal: Removal, facts: RemovalFacts, policy: RemovalPolicy) -> list[Finding]:
    """Every finding against a request; an empty list lets it pass."""
    return [rule.finding(fault) for rule in RULES for fault in rule.judge(removal, facts, policy)]


_E = ErrorCode
_REQUEST, _ACTIONS = "ITI RMD: 3.62.4.1.2", "ITI RMD: 3.62.4.1.3"


@_rule("RM-001", _REQUEST, _E.XDSRegistryError, "Find the objects with a stored query, and name them by ObjectRef.")
def no_query(removal: Removal, facts: RemovalFacts, policy: RemovalPolicy) -> Iterator[Fault]:
    """A removal names its objects and holds no rim:AdhocQuery."""
    if removal.adhocQuery:
        yield Fault("the request holds a rim:AdhocQuery", "AdhocQuery")


@_rule("RM-002", _REQUEST, _E.XDSRegistryError, "Leave the attribute out: objects are removed whole.")
def no_deletion_scope(removal: Removal, facts: RemovalFacts, policy: RemovalPolicy) -> Iterator[Fault]:
    """A removal has no deletionScope but the one that its absence means."""
    if removal.deletionScope not in ("", DELETE_ALL):
        yield Fault("the request has a deletionScope", "deletionScope", removal.deletionScope)


@_rule("RM-003", _REQUEST, _E.XDSRegistryError, "Name at least one object: rim:ObjectRefList/rim:ObjectRef/@id.")
def something_is_named(removal: Removal, facts: RemovalFacts, policy: RemovalPolicy) -> Iterator[Fault]:
    """A removal names at least one object."""
    if not removal.ids:
        yield Fault("no object is named", "ObjectRefList")


@_rule("RM-004", _ACTIONS, _E.XDSRegistryError, "Deprecate the objects instead, or ask the operator of the registry.")
def removal_is_allowed(removal: Removal, facts: RemovalFacts, policy: RemovalPolicy) -> Iterator[Fault]:
    """The affinity domain lets metadata be removed."""
    if policy is RemovalPolicy.REFUSE:
        yield Fault("this registry removes no metadata: its policy is to refuse it")


@_rule("RM-005", _ACTIONS, _E.UnresolvedReferenceException, "Name entryUUIDs (urn:uuid:...) of objects that a query returns.")
def objects_are_registered(removal: Removal, facts: RemovalFacts, policy: RemovalPolicy) -> Iterator[Fault]:
    """Every object to be removed is registered."""
    for id in dict.fromkeys(removal.ids):
        if facts.find(id) is None:
            yield Fault("no object with this entryUUID is registered", "ObjectRef/@id", id, object=id)


@_rule("RM-006", _ACTIONS, _E.ReferencesExistException, "Name the Association in the same request, or keep the object.")
def nothing_refers_to_them(removal: Removal, facts: RemovalFacts, policy: RemovalPolicy) -> Iterator[Fault]:
    """After the removal no Association is left that has an end among the removed objects."""
    removed = _registered(removal, facts)
    for link in facts.referring(list(removed)):
        if link.entryUUID not in removed:
            ends = [end for end in (link.sourceObject, link.targetObject) if end in removed]
            for end in dict.fromkeys(ends):
                kind = link.associationType.rpartition(":")[2]
                yield Fault(f"the Association {link.entryUUID} ({kind}) refers to it and would stay", object=end)


@_rule("RM-007", _ACTIONS, _E.ReferencesExistException, "Remove the later versions as well; a query by logicalID finds them.")
def no_version_loses_its_first(removal: Removal, facts: RemovalFacts, policy: RemovalPolicy) -> Iterator[Fault]:
    """After the removal no version is left whose logicalID is the entryUUID of a removed object."""
    removed = _registered(removal, facts)
    for id, existing in removed.items():
        if existing.kind in (ObjectKind.DOCUMENT_ENTRY, ObjectKind.FOLDER) and existing.logicalID == id:
            for later in facts.versions_of(id):
                if later.entryUUID not in removed:
                    message = f"version {later.version}, {later.entryUUID}, has it as its logicalID and would stay"
                    yield Fault(message, object=id)


@_rule("RM-008", _ACTIONS, _E.XDSUnreferencedObjectException, "Name the object in the same request, or keep the Association.")
def nothing_is_left_without_a_submission_set(removal: Removal, facts: RemovalFacts, policy: RemovalPolicy) -> Iterator[Fault]:
    """After the removal no object is left without a SubmissionSet that holds it."""
    removed = _registered(removal, facts)
    for link in _memberships(removed, facts):
        target = link.targetObject
        if target not in removed and all(other.entryUUID in removed for other in facts.sets_of(target)):
            yield Fault("it would be left without a SubmissionSet that holds it", object=target)


@_rule("RM-009", _ACTIONS, _E.XDSUnreferencedObjectException, "Name the SubmissionSet in the same request.")
def no_submission_set_is_emptied(removal: Removal, facts: RemovalFacts, policy: RemovalPolicy) -> Iterator[Fault]:
    """After the removal no SubmissionSet is left that has lost all it held."""
    removed = _registered(removal, facts)
    emptied = dict.fromkeys(link.sourceObject for link in _memberships(removed, facts) if link.sourceObject not in removed)
    for holder in emptied:
        if all(member.entryUUID in removed for member in facts.members_of(holder)):
            yield Fault("the SubmissionSet would be left with nothing in it", object=holder)


@_rule("RM-010", _ACTIONS, _E.XDSRegistryError, "Ask the operator of the registry to reopen the record.")
def records_are_open(removal: Removal, facts: RemovalFacts, policy: RemovalPolicy) -> Iterator[Fault]:
    """The records of the patients are open: a closed one is kept as it is until it is destroyed as a whole."""
    told: set[str] = set()
    for id, existing in _registered(removal, facts).items():
        state = facts.record_state(existing.patientId) if existing.patientId not in told else ""
        told.add(existing.patientId)
        if state:
            yield Fault(f"the record of its patient is {state}", "patientId", existing.patientId, object=id)


def _registered(removal: Removal, facts: RemovalFacts) -> dict[str, Existing]:
    found = {id: facts.find(id) for id in dict.fromkeys(removal.ids)}
    return {id: existing for id, existing in found.items() if existing is not None}


def _memberships(removed: dict[str, Existing], facts: RemovalFacts) -> Iterator[Existing]:
    """The removed HasMember Associations of SubmissionSets."""
    for link in removed.values():
        if link.kind is ObjectKind.ASSOCIATION and link.associationType == _HAS_MEMBER:
            source = facts.find(link.sourceObject)
            if source is not None and source.kind is ObjectKind.SUBMISSION_SET:
                yield link
