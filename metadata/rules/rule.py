"""A rule, a finding, and what a rule may ask. This file knows no single rule.

A rule is one row or one small function: it yields findings and never raises, logs or does I/O. What needs the registry's
state asks `Facts`, answered by SQL in the server and by a dict in tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import quote

from metadata.model import DocumentEntry, Entity, Submission
from metadata.vocabulary import Actor, ErrorCode, ObjectKind, Severity, Transaction


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong (or worth a warning): becomes one rs:RegistryError.

    `rule` is the stable id (`DE-017`); `code` the wire code; `object` the id of the object meant (entryUUID or symbolic id,
    uniqueId for a document); `attribute` the IHE name; `value` what was sent, shortened by `text()`; `message` what is wrong;
    `remedy` how to mend it; `section` the place in the standard. `location` is `@location` where a transaction defines it.
    """

    rule: str
    code: ErrorCode
    message: str
    remedy: str = ""
    object: str = ""
    attribute: str = ""
    value: str = ""
    section: str = ""
    severity: Severity = Severity.ERROR
    location: str = ""
    line: int | None = None

    def text(self) -> str:
        """`@codeContext`: object, attribute, value, what is wrong, remedy, rule and section, in one line."""
        where = " ".join(p for p in (self.object, self.attribute) if p)
        shown = self.value if len(self.value) <= 120 else self.value[:117] + "..."
        parts = [f"{where}: " if where else "", self.message]
        if shown:
            parts.append(f" (value: '{shown}')")
        parts.append(".")
        if self.remedy:
            parts.append(f" {self.remedy}" if self.remedy.endswith((".", "!", "?")) else f" {self.remedy}.")
        parts.append(f" [{self.rule}{', ' + self.section if self.section else ''}]")
        return "".join(parts)

    def linked(self, explain_base: str) -> str:
        """`text()`, and behind it the address of the page that explains the rule: `explain_base` + id. Empty base: no address."""
        return f"{self.text()} {explain_base}{quote(self.rule)}" if explain_base and self.rule else self.text()


@dataclass(frozen=True, slots=True)
class Fault:
    """What a check saw, before its rule signs it with id, code, section and severity.

    `object` may stay empty where the check judges one object: the rule then names that object. `remedy` may stay empty where
    the rule's own remedy says it all.
    """

    message: str
    attribute: str = ""
    value: str = ""
    remedy: str = ""
    object: str = ""
    line: int | None = None


class Refused(Exception):
    """A business refusal: the transaction leaves nothing and answers with these findings."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("; ".join(f.text() for f in self.findings))


@dataclass(frozen=True, slots=True)
class Existing:
    """What the registry knows of one registered object. `patientId` is the id under which it is found now (merge applied)."""

    kind: ObjectKind
    entryUUID: str
    patientId: str
    status: str
    uniqueId: str = ""
    logicalID: str = ""
    version: int = 1
    objectType: str = ""
    hash: str = ""
    size: str = ""
    repositoryUniqueId: str = ""
    associationType: str = ""
    sourceObject: str = ""
    targetObject: str = ""
    submissionSet: str = ""


@dataclass(frozen=True, slots=True)
class Linked:
    """One association of a registered object, with the object at its other end. `newest`: that is the newest version of its
    logical object."""

    association: Existing
    other: Existing
    newest: bool = True


class Facts(Protocol):
    """The registry's state as a rule may ask for it. Every answer holds at one moment, that of the write transaction."""

    def patient_is_known(self, cx: str) -> bool:
        """False for never announced, subsumed and foreign ids; always True where the domain is open."""

    def subsumed_by(self, cx: str) -> str:
        """The surviving id when `cx` was merged away, else an empty string."""

    def record_state(self, cx: str) -> str:
        """`closed` or `destroyed` where the record of this patient takes nothing in, else an empty string."""

    def same_patient(self, a: str, b: str) -> bool:
        """Merge- and alias-aware equality of two CX ids."""

    def find(self, entry_uuid: str) -> Existing | None:
        """The registered object with this entryUUID, whatever its kind and status."""

    def with_unique_id(self, unique_id: str) -> Sequence[Existing]:
        """Every DocumentEntry, SubmissionSet and Folder registered with this uniqueId."""

    def folders_of(self, entry_uuid: str) -> Sequence[Existing]:
        """The approved Folders that hold this DocumentEntry by an approved association."""

    def latest(self, logical_id: str) -> Existing | None:
        """The newest version of a logical object."""

    def same_submission(self, unique_id: str, submission: Submission) -> bool:
        """True when the SubmissionSet registered with `unique_id` is this very submission: the same sourceId, and the same
        documents by uniqueId and hash (an earlier attempt whose answer was lost)."""

    def is_transformation(self, entry_uuid: str) -> bool:
        """True when this registered DocumentEntry is the source of an approved XFRM association."""

    def links_of(self, entry_uuid: str) -> Sequence[Linked]:
        """The approved associations of this DocumentEntry or Folder with others, those of SubmissionSets left out."""

    def document_entry(self, entry_uuid: str) -> DocumentEntry | None:
        """All that is registered of this DocumentEntry."""


class CodeSets(Protocol):
    """The affinity domain's lists, as a rule may ask for them (ITI TF-2: 3.42.4.1.3.3.3). What it does not list it allows."""

    def allows(self, attribute: str, code: str, scheme: str) -> bool: ...

    def knows(self, attribute: str, code: str, scheme: str) -> bool:
        """False for a code that is allowed only because the domain's list of that scheme is not complete, or is superseded."""

    def class_of(self, code: str, scheme: str) -> tuple[str, str] | None:
        """The class (code, scheme) that goes with a type of document; None where the domain does not say."""

    def authorities(self, role: str) -> Mapping[str, str]:
        """The assigning authorities (OID to HL7 type of the id) of `patient`, `professional` or `structure`; empty: any."""

    def limit(self, name: str) -> int | None:
        """`documentSize` in bytes, `documents` of one submission; None: no limit of the domain's."""

    def nearest(self, attribute: str, code: str, scheme: str) -> Sequence[str]:
        """At most three `code^display^scheme` that resemble the refused one, for the remedy."""


@dataclass(frozen=True, slots=True)
class ReceivedDocument:
    """One xds:Document as it arrived: octets counted, SHA-1 in lower-case hex.

    `content` is given where rules read documents and this one is held in memory (`metadata/rules/french_cda.py`); in `memo` a
    rule leaves what it has read for the rules after it.
    """

    size: int
    sha1: str
    content: bytes | None = field(default=None, repr=False, compare=False)
    memo: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Context:
    """What one check sees. `facts` is None when only the message is judged (lint, repository, client side).

    `documents` (Document/@id -> what arrived) is None where no documents travel. `options` are the affinity domain's choices
    that change a rule (`metadata/rules/limited.py` names one). `members` is derived: the object of the submission behind each id,
    the first one where an id is used twice.
    """

    transaction: Transaction
    submission: Submission
    actor: Actor = Actor.REGISTRY
    facts: Facts | None = None
    codes: CodeSets | None = None
    options: frozenset[str] = frozenset()
    documents: Mapping[str, ReceivedDocument] | None = None
    members: Mapping[str, Entity] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        members: dict[str, Entity] = {}
        for entity in self.submission.entities():
            members.setdefault(entity.entryUUID, entity)
        object.__setattr__(self, "members", members)

    @property
    def registry(self) -> Facts:
        """`facts`, for a rule that needs them; ValueError where it is applied without."""
        if self.facts is None:
            raise ValueError("this rule asks the registry's state: give Context.facts")
        return self.facts


Check = Callable[[Context], Iterable[Finding]]


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table. `statement` is one sentence; `codes` the error code per answering actor.

    `check` judges a whole message by this rule alone. `of` and `judge` are the same check for one object, which lets the table
    apply all rules in one pass; they are None for the rows of a family (`metadata/rules/declare.py`).
    """

    id: str
    section: str
    statement: str
    codes: dict[Actor, ErrorCode]
    transactions: frozenset[Transaction]
    check: Check
    needs_facts: bool = False
    severity: Severity = Severity.ERROR
    remedy: str = ""
    tags: frozenset[str] = field(default_factory=frozenset)
    of: type | None = None
    judge: Callable[[Context, Any], Iterable[Fault]] | None = None

    def code(self, actor: Actor) -> ErrorCode:
        return self.codes[actor]

    def finding(self, fault: Fault, actor: Actor, about: str = "") -> Finding:
        """The fault signed by this rule; `about` is the object judged, where the fault names none."""
        return Finding(
            rule=self.id,
            code=self.codes[actor],
            message=fault.message,
            remedy=fault.remedy or self.remedy,
            object=fault.object or about,
            attribute=fault.attribute,
            value=fault.value,
            section=self.section,
            severity=self.severity,
            line=fault.line,
        )
