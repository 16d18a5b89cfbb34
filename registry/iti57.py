"""ITI-57 Update Document Set: registered objects change, all that a message asks for or nothing (ITI TF-2: 3.57).

The steps are those of `iti42.py`: the rules that need the message alone, then one transaction that locks the patients, reads
the facts, judges, plans and writes. Who comes second with a new version of the same object waits for that lock, and is then told
that the version has moved on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from metadata.ebrim import parse_submission
from metadata.model import Submission
from metadata.rules.rule import Context, Finding, Refused
from metadata.rules.table import RULES, check, check_facts
from metadata.rules.update_registered import LAST, settled
from metadata.update import outlook
from metadata.vocabulary import ResponseStatus, Transaction
from registry import store
from registry.codes import CodeBook, CodeKey
from registry.facts import SqlFacts
from registry.iti42 import Outcome, RegisterOptions, accepted, lost_race
from registry.rights_acting import ACTING
from registry.update_plan import plan_update
from soap.body.registry_response import build_registry_response
from soap.call import Answer, Call
from storage.crash import crash_point
from storage.database import Connection, Database
from storage.errors import UniqueViolation

_LAST = frozenset(row.id for row in RULES if row.tags >= LAST)


class UpdateDocumentSet:
    """The Document Registry's Metadata Update Option. One object serves all threads.

    `options` are those by which submissions are judged; `metadata.update.ARCHIVE` among `options.options` lets documents be
    archived and deleted by their status.
    """

    transaction = Transaction.ITI_57

    def __init__(self, database: Database, codes: CodeBook, options: RegisterOptions | None = None) -> None:
        self._database = database
        self._codes = codes
        self._options = options or RegisterOptions()

    def __call__(self, call: Call) -> Answer:
        """The SOAP door: lcm:SubmitObjectsRequest in, rs:RegistryResponse out."""
        outcome = self.update(parse_submission(call.body))
        payload = build_registry_response(ResponseStatus.SUCCESS, outcome.findings, call.explain_base)
        return Answer([payload], ResponseStatus.SUCCESS, outcome.findings)

    def update(self, submission: Submission) -> Outcome:
        """Carry out every operation of the message.

        Raises `Refused` with every finding when anything is wrong, and `storage.errors.StorageError` when the store could
        not do it; nothing is left behind either way.
        """
        try:
            return self._update(submission)
        except Refused as refused:
            raise Refused(located(refused.findings)) from refused

    def _update(self, submission: Submission) -> Outcome:
        policies = self._options.policies
        warnings = accepted(check(self._context(submission), policies))
        fresh: Mapping[CodeKey, int] = {}
        acting = ACTING.get()

        def work(connection: Connection) -> Outcome:
            nonlocal fresh
            opened = self._options.open_domain
            facts = SqlFacts.load(connection, self._codes, submission, open_domain=opened, acting=acting)
            crash_point("facts-read")
            more = accepted(settled(check_facts(self._context(submission, facts), policies), _LAST))
            if acting is not None:
                acting.judge_update(connection, facts, outlook(submission, facts))
            plan = plan_update(submission, facts, datetime.now(UTC).strftime("%Y%m%d%H%M%S"))
            numbers, fresh = self._codes.interned(connection, store.codes_of(plan))
            store.write(connection, plan, facts, numbers)
            crash_point("rows-inserted")
            return Outcome(located((*warnings, *more)), plan.ids, plan)

        try:
            outcome = self._database.write(work)
        except UniqueViolation as violation:
            raise Refused([lost_race(violation, submission)]) from violation
        self._codes.remember(fresh)
        return outcome

    def _context(self, submission: Submission, facts: SqlFacts | None = None) -> Context:
        options: dict[str, Any] = {"codes": self._options.codes, "options": self._options.options}
        return Context(self.transaction, submission, facts=facts, **options)


def located(findings: Iterable[Finding]) -> Sequence[Finding]:
    """The findings with the id of their object in @location as well as in @codeContext (ITI TF-2: 3.57.4.2.2)."""
    return tuple(replace(f, location=f.location or f.object) for f in findings)
