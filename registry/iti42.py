"""ITI-42 Register Document Set-b: a submission becomes part of the registry, whole or not at all (ITI TF-2: 3.42).

`register` is also what a repository in the same process calls, and what ITI-61 uses: the rules that need the message alone run
first, outside any transaction; then one transaction locks the patient, reads the facts, judges, plans, writes, and takes the
repository's own rows along.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from metadata.ebrim import parse_submission
from metadata.model import Submission
from metadata.rules.rule import CodeSets, Context, Finding, Refused
from metadata.rules.table import Policy, check, check_facts
from metadata.vocabulary import ErrorCode, ResponseStatus, Severity, Transaction
from registry import store
from registry.codes import CodeBook, CodeKey
from registry.facts import SqlFacts
from registry.plan import Plan, plan_submission
from registry.rights_acting import ACTING
from registry.rights_writers import SUBMITTER, keep_writers
from soap.body.registry_response import build_registry_response
from soap.call import Answer, Call
from storage.crash import crash_point
from storage.database import Connection, Database
from storage.errors import UniqueViolation

#: Rows that another room writes in the same transaction.
Companion = Callable[[Connection], None]


@dataclass(frozen=True, slots=True)
class RegisterOptions:
    """How submissions are judged.

    `open_domain`: a patient that nobody has announced becomes known by the first submission (setting `patients = open`).
    `policies`: rules that this affinity domain refuses, warns of or drops against the table's own severity. `codes`: the
    affinity domain's code sets; None checks none. `options`: switches that single rules ask for.
    """

    open_domain: bool = False
    policies: Mapping[str, Policy] | None = None
    codes: CodeSets | None = None
    options: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a registered submission became: warnings, and the entryUUID of every submitted id."""

    findings: Sequence[Finding]
    ids: Mapping[str, str]
    plan: Plan = field(repr=False)


class RegisterDocumentSet:
    """The Document Registry's half of a submission. One object serves all threads."""

    def __init__(self, database: Database, codes: CodeBook, options: RegisterOptions | None = None) -> None:
        self._database = database
        self._codes = codes
        self._options = options or RegisterOptions()

    def __call__(self, call: Call) -> Answer:
        """The SOAP door: lcm:SubmitObjectsRequest in, rs:RegistryResponse out."""
        outcome = self.register(parse_submission(call.body), transaction=call.transaction)
        payload = build_registry_response(ResponseStatus.SUCCESS, outcome.findings, call.explain_base)
        return Answer([payload], ResponseStatus.SUCCESS, outcome.findings)

    def register(
        self,
        submission: Submission,
        *,
        transaction: Transaction = Transaction.ITI_42,
        companion: Companion | None = None,
    ) -> Outcome:
        """Register a submission. `companion` writes its rows in the same transaction, after the registry's.

        Raises `Refused` with every finding when anything is wrong, and `storage.errors.StorageError` when the store could
        not do it; nothing is left behind either way.
        """
        said = check(self._context(transaction, submission), self._options.policies)
        fresh: Mapping[CodeKey, int] = {}
        acting, submitter = ACTING.get(), SUBMITTER.get()

        def work(connection: Connection) -> Outcome:
            nonlocal fresh
            opened = self._options.open_domain
            facts = SqlFacts.load(connection, self._codes, submission, open_domain=opened, acting=acting)
            crash_point("facts-read")
            judged = self._context(transaction, submission, facts)
            warnings = accepted(together(said, check_facts(judged, self._options.policies)))
            plan = plan_submission(submission, facts, datetime.now(UTC).strftime("%Y%m%d%H%M%S"))
            numbers, fresh = self._codes.interned(connection, store.codes_of(plan))
            store.write(connection, plan, facts, numbers)
            if submitter is not None:
                keep_writers(connection, plan, submitter)
            crash_point("rows-inserted")
            if companion:
                companion(connection)
            crash_point("companion-done")
            return Outcome(warnings, plan.ids, plan)

        try:
            outcome = self._database.write(work)
        except UniqueViolation as violation:
            raise Refused([lost_race(violation, submission)]) from violation
        self._codes.remember(fresh)
        return outcome

    def _context(self, transaction: Transaction, submission: Submission, facts: SqlFacts | None = None) -> Context:
        options: dict[str, Any] = {"codes": self._options.codes, "options": self._options.options}
        return Context(transaction, submission, facts=facts, **options)


def together(said: Sequence[Finding], more: Sequence[Finding]) -> Sequence[Finding]:
    """What the message shows and what the registry's state shows, in one answer: nobody should have to send twice to learn it.

    Of a value that is wrong by itself the registry's state has nothing to tell: a malformed patient id is also unknown.
    """
    if not said or not more:
        return said or more
    wrong = {(f.object, f.attribute) for f in said if f.severity is Severity.ERROR}
    return (*said, *(f for f in more if (f.object, f.attribute) not in wrong))


def accepted(findings: Sequence[Finding]) -> Sequence[Finding]:
    """The findings when they are warnings only; raises Refused otherwise."""
    if any(f.severity is Severity.ERROR for f in findings):
        raise Refused(findings)
    return findings


def lost_race(violation: UniqueViolation, submission: Submission) -> Finding:
    """The finding for a key that somebody else took between our look and our write."""
    one = submission.submissionSet
    if violation.table == "unique_identifier":
        return Finding(
            rule="REG-001",
            code=ErrorCode.XDSDuplicateUniqueIdInRegistry,
            message="a uniqueId of this submission has been registered at the same moment by another one",
            remedy="Use a new uniqueId for each SubmissionSet and Folder.",
            object=one.entryUUID if one else "",
            attribute="uniqueId",
            value=one.uniqueId or "" if one else "",
            section="ITI TF-2: 3.42.4.1.3.3.7",
        )
    return Finding(
        rule="REG-007",
        code=ErrorCode.XDSRegistryMetadataError,
        message="an entryUUID of this submission has been registered at the same moment by another one",
        remedy="Use new UUIDs, or symbolic ids: the registry then assigns the UUIDs.",
        object=one.entryUUID if one else "",
        attribute="entryUUID",
        section="ITI TF-2: 3.42.4.1.3.7",
    )
