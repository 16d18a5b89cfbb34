"""The lines that a run prints: one a step, a summary, and what the summary stands for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from conformance.nist.runner import Outcome, Result

PROPERTY = "nist-step"
"""Name of the property under which a test's report carries its steps."""


def summary(results: Iterable[Result]) -> Iterator[str]:
    """The last two lines."""
    results = list(results)
    counts = Counter(result.outcome for result in results)
    failed = counts[Outcome.FAILED] + counts[Outcome.STALE]
    core = [result for result in results if result.core]
    excepted = sum(result.outcome is Outcome.EXCEPTED for result in core)
    passed = sum(result.outcome is Outcome.PASSED for result in core)
    yield (
        f"{len(core)} steps need ITI-41, ITI-42, ITI-18 or ITI-43 alone: {passed} pass, {excepted} are listed exceptions, "
        f"{len(core) - passed - excepted} fail"
    )
    yield (
        f"{counts[Outcome.PASSED]} passed, {failed} failed, {counts[Outcome.EXCEPTED]} exceptions, "
        f"{counts[Outcome.NOT_YET]} not yet, {counts[Outcome.PREPARED]} prepared by the target's own means"
    )
