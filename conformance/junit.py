"""A run as JUnit XML, for CI servers: one test suite per transaction, one test case per case."""

from __future__ import annotations

import re
from xml.sax.saxutils import escape, quoteattr

from conformance.result import CaseResult, Run, Status

_FORBIDDEN = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def build_junit(run: Run, language: str) -> bytes:
    """The whole file, UTF-8."""
    suites = []
    for transaction in dict.fromkeys(case.transaction for case in run.cases):
        cases = [case for case in run.cases if case.transaction == transaction]
        suites.append(
            f"  <testsuite name={_attribute(transaction)} {_counts(cases)} timestamp={_attribute(run.started[:19])}>\n"
            + "".join(_case(case, language) for case in cases)
            + "  </testsuite>\n"
        )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name={_attribute(run.target)} {_counts(run.cases)}>\n'
        f"{''.join(suites)}</testsuites>\n"
    ).encode()


def _counts(cases: list[CaseResult]) -> str:
    def count(status: Status) -> int:
        return sum(1 for case in cases if case.status is status)

    seconds = sum(case.seconds for case in cases)
    return (
        f'tests="{len(cases)}" failures="{count(Status.FAILED)}" errors="{count(Status.ERROR)}" '
        f'skipped="{count(Status.SKIPPED)}" time="{seconds:.3f}"'
    )


def _case(case: CaseResult, language: str) -> str:
    head = (
        f"    <testcase classname={_attribute(case.transaction)} name={_attribute(f'{case.id} {case.title.in_(language)}')} "
        f'time="{case.seconds:.3f}"'
    )
    if case.status is Status.PASSED:
        return f"{head}/>\n"
    reason = case.reason.in_(language)
    if case.status is Status.SKIPPED:
        return f"{head}><skipped message={_attribute(reason)}/></testcase>\n"
    lines = [finding.text.in_(language) for _, finding in case.findings]
    kind = "failure" if case.status is Status.FAILED else "error"
    shown = "\n".join([*lines, *filter(None, (reason, case.why.in_(language), case.mend.in_(language)))])
    rules = ", ".join(case.proves) or case.section
    message = lines[0] if lines else reason
    return f"{head}><{kind} message={_attribute(message)} type={_attribute(rules)}>{_text(shown)}</{kind}></testcase>\n"


def _clean(text: str) -> str:
    """Without what XML 1.0 forbids: a target's own words may hold anything."""
    return _FORBIDDEN.sub("\ufffd", text)


def _text(text: str) -> str:
    return escape(_clean(text))


def _attribute(text: str) -> str:
    return quoteattr(_clean(text))
