"""The table of all rules about submissions, and how it is applied.

`check` runs the rules that need the message alone, `check_facts` those that ask the registry's state: the server runs the first
outside its write transaction and the second inside. All findings are returned, never only the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from functools import cache
from typing import Any

from metadata.model import Association, DocumentEntry, Folder, Submission, SubmissionSet
from metadata.rules import (
    author,
    carriers,
    document_entry,
    folder,
    limited,
    structure,
    submission_set,
)
from metadata.rules.declare import Family, Scan
from metadata.rules.rule import Context, Fault, Finding, Rule
from metadata.vocabulary import Severity, Transaction

RULES: tuple[Rule, ...] = (
    *structure.RULES,
    *carriers.RULES,
    *submission_set.RULES,
    *document_entry.RULES,
    *folder.RULES,
    *author.RULES,
    *limited.RULES,
)
FAMILIES: tuple[Family, ...] = (
    *carriers.FAMILIES,
    *submission_set.FAMILIES,
    *document_entry.FAMILIES,
    *folder.FAMILIES,
    *author.FAMILIES,
)

_BY_ID = {r.id: r for r in RULES}
_SUBJECTS = (Submission, SubmissionSet, DocumentEntry, Folder, Association)


class Policy(Enum):
    """What an affinity domain makes of one rule, against the severity in the table."""

    REFUSE = "refuse"
    WARN = "warn"
    OFF = "off"


def rule(id: str) -> Rule:
    """The rule with this id; KeyError names an id that does not exist."""
    return _BY_ID[id]


def check(context: Context, policies: Mapping[str, Policy] | None = None) -> list[Finding]:
    """Judge a submission; with `context.facts` the rules that need them are applied as well."""
    findings = _apply(context, needs_facts=False)
    if context.facts is not None:
        findings += _apply(context, needs_facts=True)
    return under(policies, findings) if findings and policies else findings


def check_facts(context: Context, policies: Mapping[str, Policy] | None = None) -> list[Finding]:
    """Judge a submission by the rules that need `context.facts`, and by no other."""
    if context.facts is None:
        raise ValueError("check_facts needs Context.facts")
    findings = _apply(context, needs_facts=True)
    return under(policies, findings) if findings and policies else findings


def under(policies: Mapping[str, Policy] | None, findings: Iterable[Finding]) -> list[Finding]:
    """The findings as the affinity domain wants them: refused, warned of, or dropped."""
    severities = {Policy.REFUSE: Severity.ERROR, Policy.WARN: Severity.WARNING}
    kept = []
    for finding in findings:
        policy = (policies or {}).get(finding.rule)
        if policy is None:
            kept.append(finding)
        elif policy is not Policy.OFF:
            kept.append(replace(finding, severity=severities[policy]))
    return kept


@dataclass(frozen=True, slots=True)
class _Pass:
    """What is applied to each object of one class."""

    judges: tuple[tuple[Rule, Callable[[Context, Any], Iterable[Fault]]], ...]
    scans: tuple[Scan, ...]


@cache
def _passes(transaction: Transaction, needs_facts: bool) -> dict[type, _Pass]:
    """The applicable rules by class of object: computed once for each transaction."""
    passes = {}
    for of in _SUBJECTS:
        judges = tuple(
            (r, r.judge)
            for r in RULES
            if r.of is of and r.judge and r.needs_facts is needs_facts and transaction in r.transactions
        )
        scans = tuple(f.walk for f in FAMILIES if of in f.of and not needs_facts and _covers(f, transaction))
        passes[of] = _Pass(judges, scans)
    return passes


def _covers(family: Family, transaction: Transaction) -> bool:
    return any(transaction in r.transactions for r in family.rules)


def _apply(context: Context, *, needs_facts: bool) -> list[Finding]:
    passes = _passes(context.transaction, needs_facts)
    submission, actor = context.submission, context.actor
    findings = [
        row.finding(fault, actor) for row, judge in passes[Submission].judges for fault in judge(context, submission)
    ]
    for of, objects in (
        (SubmissionSet, submission.submissionSets),
        (DocumentEntry, submission.documentEntries),
        (Folder, submission.folders),
        (Association, submission.associations),
    ):
        to_apply = passes[of]
        for entity in objects:
            for walk in to_apply.scans:
                for row, fault in walk(context, entity):
                    findings.append(row.finding(fault, actor, entity.entryUUID))
            for row, judge in to_apply.judges:
                for fault in judge(context, entity):
                    findings.append(row.finding(fault, actor, entity.entryUUID))
    return findings
