"""Which rules the cases prove, and which none does.

A rule of the table that no message over the wire can break, or only one that the standard's schemas refuse before any rule is
asked, stands in `OUT_OF_REACH` with the reason.
"""

from __future__ import annotations

from collections.abc import Iterable

from conformance.case import Case

#: Rule to the reason, English.
OUT_OF_REACH: dict[str, str] = {}


def coverage_of(cases: Iterable[Case]) -> dict[str, tuple[str, ...]]:
    """Rule id to the ids of the cases that prove it, by id; rules of which no case speaks are not in it."""
    found: dict[str, list[str]] = {}
    for case in cases:
        for rule in case.proves:
            found.setdefault(rule, []).append(case.id)
    return {rule: tuple(found[rule]) for rule in sorted(found)}
