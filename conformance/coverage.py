"""Which rules the cases prove, and which none does.

A rule of the table that no message over the wire can break, or only one that the standard's schemas refuse before any rule is
asked, stands in `OUT_OF_REACH` with the reason.
"""

from __future__ import annotations

from collections.abc import Iterable

from conformance.case import Case
from metadata.rules.removal import RULES as REMOVAL_RULES
from metadata.rules.table import RULES

#: Rule to the reason, English.
OUT_OF_REACH: dict[str, str] = {
    "PAT-009": "a record is closed and destroyed by its keeper's own means, for which the standard has no message",
    "RM-010": "a record is closed by its keeper's own means, for which the standard has no message",
    "ADV-001": "advice is given by `carnet conformance check` and by the sandbox, never in an answer",
    "ADV-002": "advice is given by `carnet conformance check` and by the sandbox, never in an answer",
    "ADV-003": "advice is given by `carnet conformance check` and by the sandbox, never in an answer",
    "ADV-004": "advice is given by `carnet conformance check` and by the sandbox, never in an answer",
    "ADV-005": "advice is given by `carnet conformance check` and by the sandbox, never in an answer",
}


def rule_ids() -> tuple[str, ...]:
    """Every rule of the shared table: of submissions, and of removals."""
    return tuple(sorted({rule.id for rule in RULES} | {rule.id for rule in REMOVAL_RULES}))


def coverage_of(cases: Iterable[Case], rules: Iterable[str] = ()) -> dict[str, tuple[str, ...]]:
    """Rule id to the ids of the cases that prove it, by id. Of `rules` even those of which no case speaks are there."""
    found: dict[str, list[str]] = {rule: [] for rule in rules}
    for case in cases:
        for rule in case.proves:
            found.setdefault(rule, []).append(case.id)
    return {rule: tuple(found[rule]) for rule in sorted(found)}
