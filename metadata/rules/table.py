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
    advice,
    association,
    author,
    carriers,
    codes,
    document_entry,
    domain,
    folder,
    french,
    french_cda,
    lifecycle,
    limited,
    patient,
    reference_id,
    repository,
    structure,
    submission_set,
    update,
    update_linked,
    update_registered,
    update_restricted,
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
    *reference_id.RULES,
    *limited.RULES,
    *association.RULES,
    *patient.RULES,
    *codes.RULES,
    *domain.RULES,
    *lifecycle.RULES,
    *update.RULES,
    *update_registered.RULES,
    *update_linked.RULES,
    *update_restricted.RULES,
    *repository.RULES,
    *advice.RULES,
    *french.RULES,
    *french_cda.RULES,
)
FAMILIES: tuple[Family, ...] = (
    *carriers.FAMILIES,
    *submission_set.FAMILIES,
    *document_entry.FAMILIES,
    *folder.FAMILIES,
    *author.FAMILIES,
)

_BY_ID = {r.id: r for r in RULES}
#: Options by which a domain switches whole sets of rules on: the rules carry the option as their tag.
SWITCHES = frozenset({french.CI_SIS})
#: Rules that ask `Context.codes` and nothing else.
_LISTS = (*codes.RULES, *domain.RULES)
_SUBJECTS = (Submission, SubmissionSet, DocumentEntry, Folder, Association)


class Policy(Enum):
    """What an affinity domain makes of one rule, against the severity in the table."""

    REFUSE = "refuse"
    WARN = "warn"
    OFF = "off"


#: Rule id to policy: what a domain changed.
Policies = Mapping[str, Policy]


class _Needs(Enum):
    """The rounds in which rules are applied, by what they look at."""

    MESSAGE = "the message alone"
    DOCUMENTS = "Context.documents"
    FACTS = "Context.facts"
    ADVICE = "the message alone, where the options ask for advice"


def rule(id: str) -> Rule:
    """The rule with this id; KeyError names an id that does not exist."""
    return _BY_ID[id]


def check(context: Context, policies: Policies | None = None) -> list[Finding]:
    """Judge a submission by its message; where `context.documents` or `context.facts` are given, by the rules about them too.

    Recommendations are judged where `context.options` holds `metadata.rules.advice.ADVICE`.
    """
    findings = _apply(context, _Needs.MESSAGE)
    if advice.ADVICE in context.options:
        findings += _apply(context, _Needs.ADVICE)
    if context.documents is not None:
        findings += _apply(context, _Needs.DOCUMENTS)
    if context.facts is not None:
        findings += _apply(context, _Needs.FACTS)
    return under(policies, findings) if findings and policies else findings


def check_facts(context: Context, policies: Policies | None = None) -> list[Finding]:
    """Judge a submission by the rules that need `context.facts`, and by no other. ValueError when there are none."""
    if context.facts is None:
        raise ValueError("check_facts asks the registry's state: give Context.facts")
    findings = _apply(context, _Needs.FACTS)
    return under(policies, findings) if findings and policies else findings


def check_documents(context: Context, policies: Policies | None = None) -> list[Finding]:
    """Judge what is the repository's own in ITI-41, and nothing else: documents against entries (ITI TF-2: 3.41.4.1.3.2)."""
    if context.documents is None:
        raise ValueError("check_documents compares entries with what arrived: give Context.documents")
    findings = _apply(context, _Needs.DOCUMENTS)
    if not all(entry.uniqueId and entry.mimeType for entry in context.submission.documentEntries):
        for id in repository.NEEDED:
            findings += _BY_ID[id].check(context)
    return under(policies, findings) if findings and policies else findings


def under(policies: Policies | None, findings: Iterable[Finding]) -> list[Finding]:
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


def _needs(row: Rule) -> _Needs:
    if row.needs_facts:
        return _Needs.FACTS
    if advice.ADVICE in row.tags:
        return _Needs.ADVICE
    return _Needs.DOCUMENTS if row.tags >= repository.DOCUMENTS else _Needs.MESSAGE


@cache
def _passes(transaction: Transaction, needs: _Needs, switched_on: frozenset[str], listed: bool) -> dict[type, _Pass]:
    """The applicable rules by class of object: computed once for each transaction and choice of `SWITCHES`.

    `listed`: there is an affinity domain with lists; without one its rules have nothing to say and are left out.
    """
    passes: dict[type, _Pass] = {}
    for of in _SUBJECTS:
        judges = tuple(
            (row, row.judge)
            for row in RULES
            if row.of is of and row.judge and _needs(row) is needs and transaction in row.transactions
            and row.tags & SWITCHES <= switched_on
            and (listed or row not in _LISTS)
        )
        scans = tuple(f.walk for f in FAMILIES if of in f.of and any(transaction in row.transactions for row in f.rules))
        passes[of] = _Pass(judges, scans if needs is _Needs.MESSAGE else ())
    return passes


def _apply(context: Context, needs: _Needs) -> list[Finding]:
    passes = _passes(context.transaction, needs, context.options & SWITCHES, context.codes is not None)
    submission, actor = context.submission, context.actor
    findings = [row.finding(fault, actor) for row, judge in passes[Submission].judges for fault in judge(context, submission)]
    for of, objects in (
        (SubmissionSet, submission.submissionSets),
        (DocumentEntry, submission.documentEntries),
        (Folder, submission.folders),
        (Association, submission.associations),
    ):
        applicable = passes[of]
        for entity in objects:
            for walk in applicable.scans:
                for row, fault in walk(context, entity):
                    findings.append(row.finding(fault, actor, entity.entryUUID))
            for row, judge in applicable.judges:
                for fault in judge(context, entity):
                    findings.append(row.finding(fault, actor, entity.entryUUID))
    return findings
