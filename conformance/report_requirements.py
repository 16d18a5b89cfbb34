"""The matrix of a report by requirement code: one row for each, those that no case shows with the reason."""

from __future__ import annotations

import html

from conformance.report_words import word
from conformance.result import Required, Run, Status


def build_requirements(run: Run, language: str) -> str:
    """The section of the page; empty where the run has no requirements."""
    if not run.required:
        return ""
    groups: dict[str, list[Required]] = {}
    for one in run.required:
        groups.setdefault(one.referential.in_(language), []).append(one)
    matrix = "".join(_cells(name, rows, run, language) for name, rows in groups.items())
    heads = "".join(f"<th>{_text(word(name, language))}</th>" for name in ("code", "status", "covered_by"))
    rows = "".join(_row(one, run, language) for one in run.required)
    return (
        f'<h2>{_text(word("requirements", language))}</h2><p class="quiet">{_text(word("requirements_said", language))}</p>'
        f'<div class="matrix">{matrix}</div><table class="required"><tr>{heads}</tr>{rows}</table>'
    )


def status_word(one: Required, run: Run) -> str:
    """A word of the reports: that of the status, `partly` where it passed and not all its cases were performed, `unasked` where
    none ran, `not_covered` where it has none."""
    if not one.cases:
        return "not_covered"
    status = run.status_of(one.cases)
    passed = sum(1 for case in run.cases if case.id in one.cases and case.status is Status.PASSED)
    if status is Status.PASSED and passed < len(one.cases):
        return "partly"
    return status.value if status else "unasked"


def _cells(name: str, rows: list[Required], run: Run, language: str) -> str:
    cells = "".join(
        f'<a class="{status_word(one, run)}" href="#required-{_text(one.code)}" title="{_text(one.code)} '
        f'({_text(word(status_word(one, run), language))}): {_text(one.title.in_(language))}"></a>'
        for one in rows
    )
    return f'<div>{_text(name)}</div><div class="cells">{cells}</div>'


def _row(one: Required, run: Run, language: str) -> str:
    name = status_word(one, run)
    here = {case.id for case in run.cases}
    shown = ", ".join(f'<a href="#{_text(id)}">{_text(id)}</a>' if id in here else _text(id) for id in one.cases)
    reason = f'<span class="quiet">{_text(one.reason.in_(language))}</span>' if one.reason else ""
    return (
        f'<tr id="required-{_text(one.code)}"><td><b>{_text(one.code)}</b><br>{_text(one.title.in_(language))}</td>'
        f'<td class="{name}">{_text(word(name, language))}</td><td>{"<br>".join(filter(None, (shown, reason)))}</td></tr>'
    )


def _text(value: object) -> str:
    return html.escape(str(value), quote=True)
