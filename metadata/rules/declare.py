"""How rules are declared: one function with a decorator, or a family of rows judged in one walk over an object.

A check yields `Fault`s about one subject (the Submission, or one object of it) and knows neither its id nor its code; the
declaration binds them. The statement of a rule is the first line of the function's docstring, so that text and check stand
together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, TypeVar

from metadata.model import Association, DocumentEntry, Entity, Folder, Submission, SubmissionSet
from metadata.rules.rule import Context, Fault, Finding, Rule
from metadata.vocabulary import Actor, ErrorCode, Severity, Transaction

#: The transactions that bring new objects.
SUBMISSIONS = frozenset({Transaction.ITI_41, Transaction.ITI_42, Transaction.ITI_61})
#: The transactions that change registered ones: new versions, statuses, associations between what is registered.
UPDATES = frozenset({Transaction.ITI_57, Transaction.ITI_92})
#: All that carry a SubmissionSet with metadata.
MESSAGES = SUBMISSIONS | UPDATES

#: "Metadata wrong", in the spelling of the answering actor (ITI TF-3: Table 4.2.4.1-2).
METADATA = {Actor.REGISTRY: ErrorCode.XDSRegistryMetadataError, Actor.REPOSITORY: ErrorCode.XDSRepositoryMetadataError}


def alike(code: ErrorCode) -> dict[Actor, ErrorCode]:
    """A code that both actors spell the same way."""
    return {Actor.REGISTRY: code, Actor.REPOSITORY: code}


Subject = TypeVar("Subject", Submission, SubmissionSet, DocumentEntry, Folder, Association)
Judge = Callable[[Context, Any], Iterable[Fault]]
Scan = Callable[[Context, Any], Iterable[tuple[Rule, Fault]]]


def subjects(context: Context, of: type) -> Iterable[Submission | Entity]:
    """What a check declared for `of` has to look at in this message."""
    submission = context.submission
    if of is Submission:
        return (submission,)
    if of is SubmissionSet:
        return submission.submissionSets
    if of is DocumentEntry:
        return submission.documentEntries
    if of is Folder:
        return submission.folders
    return submission.associations


def identified(submission: Submission) -> Iterator[SubmissionSet | DocumentEntry | Folder]:
    """The objects that have a uniqueId and a patientId of their own: all but Associations."""
    yield from submission.submissionSets
    yield from submission.documentEntries
    yield from submission.folders


def name_of(subject: Submission | Entity) -> str:
    """The id by which a finding names its object; a Submission is named by nothing."""
    return "" if isinstance(subject, Submission) else subject.entryUUID


def rule(
    id: str,
    section: str,
    of: type[Subject],
    *,
    codes: dict[Actor, ErrorCode] = METADATA,
    transactions: frozenset[Transaction] = MESSAGES,
    needs_facts: bool = False,
    severity: Severity = Severity.ERROR,
    remedy: str = "",
    tags: frozenset[str] = frozenset(),
) -> Callable[[Callable[[Context, Subject], Iterable[Fault]]], Rule]:
    """Declare the decorated function as one rule about each object of the class `of`."""

    def declare(judge: Callable[[Context, Subject], Iterable[Fault]]) -> Rule:
        def check(context: Context) -> Iterable[Finding]:
            for subject in subjects(context, of):
                for fault in judge(context, subject):  # type: ignore[arg-type]  # `subjects` answers objects of `of`
                    yield row.finding(fault, context.actor, name_of(subject))

        row: Rule = Rule(
            id,
            section,
            (judge.__doc__ or "").strip().partition("\n")[0],
            codes,
            transactions,
            check,
            needs_facts,
            severity,
            remedy,
            tags,
            of,
            judge,
        )
        return row

    return declare


class Family:
    """Rules that share one walk over an object: twenty rows about slots cost one loop, not twenty.

    `of` are the classes of the objects walked; `row` adds a rule; the walk itself is attached with `@family.scan`.
    """

    def __init__(self, *of: type) -> None:
        self.of = of
        self.rules: list[Rule] = []
        self.walk: Scan = _nothing

    def row(
        self,
        id: str,
        section: str,
        statement: str,
        *,
        codes: dict[Actor, ErrorCode] = METADATA,
        transactions: frozenset[Transaction] = MESSAGES,
        severity: Severity = Severity.ERROR,
        remedy: str = "",
    ) -> Rule:
        """Add one rule to the family."""
        check = partial(self._check, id)
        row = Rule(id, section, statement, codes, transactions, check, False, severity, remedy)
        self.rules.append(row)
        return row

    def scan(self, walk: Scan) -> Scan:
        """Decorator: `walk(context, object)` yields (rule, fault) for every row of the family."""
        self.walk = walk
        return walk

    def _check(self, id: str, context: Context) -> Iterator[Finding]:
        for of in self.of:
            for subject in subjects(context, of):
                for row, fault in self.walk(context, subject):
                    if row.id == id:
                        yield row.finding(fault, context.actor, name_of(subject))


def _nothing(context: Context, subject: Any) -> Iterable[tuple[Rule, Fault]]:
    """The walk of a family whose own is not attached yet."""
    return ()
