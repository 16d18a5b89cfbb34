"""Which rules the cases prove, and which none does.

A rule of the table that no message over the wire can break, or only one that the standard's schemas refuse before any rule is
asked, stands in `OUT_OF_REACH` with the reason.
"""

from __future__ import annotations

from collections.abc import Iterable

from conformance.case import Case

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


def coverage_of(cases: Iterable[Case]) -> dict[str, tuple[str, ...]]:
    """Rule id to the ids of the cases that prove it, by id; rules of which no case speaks are not in it."""
    found: dict[str, list[str]] = {}
    for case in cases:
        for rule in case.proves:
            found.setdefault(rule, []).append(case.id)
    return {rule: tuple(found[rule]) for rule in sorted(found)}
