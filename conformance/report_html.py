"""A run as one HTML file that needs nothing else: no address is asked, script and style are known to the page by their hashes.

Cases that failed stand in it as they are; the messages of all cases are packed and unpacked when a case is opened, which
keeps hundreds of cases in a few megabytes.
"""

from __future__ import annotations

import base64
import hashlib
import html
import zlib
from collections.abc import Sequence
from importlib import resources
from typing import Any

from conformance.coverage import OUT_OF_REACH
from conformance.explanations.catalogue import explanations
from conformance.message_rows import Rows, rows_of
from conformance.phrases import french_context
from conformance.report_picture import build_picture
from conformance.report_requirements import build_requirements
from conformance.report_words import alternatives, label, told_already, verdict, word
from conformance.result import CaseResult, Finding, Run, Status, StepResult

#: Rows of one message that the page shows at most.
_MOST_ROWS = 600


def build_html(run: Run, language: str, history: Sequence[dict[str, Any]] = ()) -> str:
    """The whole page. `history` are summaries of earlier runs, oldest first (`conformance.report.summary`)."""
    style, script = _asset("report.css"), _asset("report.js")
    csp = (
        f"default-src 'none'; style-src 'sha256-{_hash(style)}'; script-src 'sha256-{_hash(script)}'; base-uri 'none'; "
        "form-action 'none'"
    )
    body = "".join(
        [
            _head(run, language), _trend(run, language, history), _matrix(run, language), build_requirements(run, language),
            _rules(run, language), _cases(run, language),
        ]
    )  # fmt: skip
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{csp}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_text(label('report', language))} {_text(run.target)}</title><style>{style}</style></head>"
        f'<body data-open-error="{_text(word("open_error", language))}"><main>{body}</main>'
        f"<script>{script}</script></body></html>\n"
    )


def _asset(name: str) -> str:
    return (resources.files("conformance") / "report_assets" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


def _text(value: object) -> str:
    return html.escape(str(value), quote=True)


def _head(run: Run, language: str) -> str:
    counts = ", ".join(f"{label(name, language)} {count}" for name, count in run.counts.items())
    facts = (
        ("target", run.target), ("profile", run.profile), ("suite", run.suite), ("started", run.started[:19].replace("T", " ")),
        ("took", f"{run.seconds:.1f} s"), ("cases", counts), ("kit", run.software), ("options", ", ".join(run.options) or "-"),
        ("endpoints", ", ".join(dict.fromkeys(run.endpoints.values()))),
    )  # fmt: skip
    rows = "".join(f"<dt>{_text(word(name, language))}</dt><dd>{_text(value)}</dd>" for name, value in facts)
    return (
        f"<h1>{_text(word('report', language))}</h1>"
        f'<p class="verdict {"passed" if run.passed else "failed"}">{_text(verdict(run, language))}</p>'
        f'{_bar(run)}<dl class="facts">{rows}</dl>'
    )


def _bar(run: Run) -> str:
    """Shares by status, as a picture: a style attribute is what the page's own policy forbids."""
    total = len(run.cases) or 1
    x, parts = 0.0, []
    for name, count in run.counts.items():
        width = 1000 * count / total
        if count:
            parts.append(f'<rect class="bar-{name}" x="{x:.1f}" y="0" width="{width:.1f}" height="12"/>')
        x += width
    return f'<svg class="shares" viewBox="0 0 1000 12" width="1000" height="12" preserveAspectRatio="none">{"".join(parts)}</svg>'


def _trend(run: Run, language: str, history: Sequence[dict[str, Any]]) -> str:
    if not history:
        return ""
    last = set(history[-1]["bad"])
    now = {case.id for case in run.cases if case.bad}
    known = {case.id for case in run.cases}
    said = []
    for name, ids in (("newly_failed", now - last), ("newly_passed", (last - now) & known)):
        if ids:
            links = ", ".join(f'<a href="#{_text(id)}">{_text(id)}</a>' for id in sorted(ids))
            said.append(f"<p>{_text(label(name, language))} {links}</p>")
    rows = "".join(
        f"<tr><td>{_text(one['started'][:19].replace('T', ' '))}</td>"
        + "".join(f'<td class="{name}">{count}</td>' for name, count in one["counts"].items())
        + "</tr>"
        for one in [*history[-9:], {"started": run.started, "counts": run.counts}]
    )
    heads = "".join(f"<th>{_text(word(name, language))}</th>" for name in ("started", *(status.value for status in Status)))
    said = said or [f"<p>{_text(word('unchanged', language))}</p>"]
    return f"<h2>{_text(word('trend', language))}</h2>{''.join(said)}<table><tr>{heads}</tr>{rows}</table>"


def _matrix(run: Run, language: str) -> str:
    rows = []
    for transaction in dict.fromkeys(case.transaction for case in run.cases):
        cells = "".join(
            f'<a class="{case.status.value}" href="#{_text(case.id)}" '
            f'title="{_text(case.id)}: {_text(case.title.in_(language))}"></a>'
            for case in run.cases
            if case.transaction == transaction
        )
        rows.append(f'<div>{_text(transaction)}</div><div class="cells">{cells}</div>')
    return f'<h2>{_text(word("cases", language))}</h2><div class="matrix">{"".join(rows)}</div>'


def _rules(run: Run, language: str) -> str:
    known = run.rule_status()
    families: dict[str, list[str]] = {}
    for rule, status in known.items():
        name = status.value if status else "unasked"
        one = explanations().get(rule)
        said = one.statement.of(language) if one is not None else ""
        first = next((id for id in run.coverage[rule]), "")
        families.setdefault(rule.partition("-")[0], []).append(
            f'<a class="{name}" href="#{_text(first)}" title="{_text(rule)} ({_text(word(name, language))}): {_text(said)}"></a>'
        )
    rows = "".join(f'<div>{_text(name)}</div><div class="cells">{"".join(cells)}</div>' for name, cells in families.items())
    uncovered = [rule for rule, ids in run.coverage.items() if not ids]
    reasons = "".join(f"<dt>{_text(rule)}</dt><dd>{_text(_out_of_reach(rule, language))}</dd>" for rule in uncovered)
    missing = f'<p>{_text(label("uncovered", language))}</p><dl class="facts">{reasons}</dl>' if uncovered else ""
    return (
        f'<h2>{_text(word("rules", language))}</h2><p class="quiet">{_text(word("rules_said", language))}</p>'
        f'<div class="matrix">{rows}</div>{missing}'
    )


def _out_of_reach(rule: str, language: str) -> str:
    return OUT_OF_REACH[rule].in_(language) if rule in OUT_OF_REACH else "-"


def _cases(run: Run, language: str) -> str:
    buttons = "".join(
        f'<button data-status="{name}" aria-pressed="{str(name == "all").lower()}">{_text(word(name, language))}</button>'
        for name in ("all", *(status.value for status in Status))
    )
    ordered = sorted(run.cases, key=lambda case: not case.bad)
    return (
        f'<div class="tools">{buttons}<input id="search" type="search" placeholder="{_text(word("search", language))}" '
        f'aria-label="{_text(word("search", language))}"></div>{"".join(_case(case, language) for case in ordered)}'
    )


def _case(case: CaseResult, language: str) -> str:
    words = " ".join([case.id, case.title.in_(language), case.transaction, *case.proves, *case.requirements]).lower()
    packed = base64.b64encode(zlib.compress(_messages(case, language).encode(), 9)).decode("ascii") if case.steps else ""
    messages = f'<h3>{_text(word("opens", language))}</h3><div data-packed="{packed}"></div>' if packed else ""
    return (
        f'<details class="case" id="{_text(case.id)}" data-status="{case.status.value}" data-text="{_text(words)}"><summary>'
        f'<span class="status {case.status.value}">{_text(word(case.status.value, language))}</span><code>{_text(case.id)}</code>'
        f'<span class="title">{_text(case.title.in_(language))}</span>'
        f'<span class="quiet">{_text(case.transaction)}</span></summary>'
        f'<div class="inside">{_about(case, language)}{messages}</div></details>'
    )


def _about(case: CaseResult, language: str) -> str:
    facts = [(word("section", language), _text(case.section)), (word("proves", language), _linked(case.proves, language))]
    facts.append((word("requirements", language), _text(", ".join(case.requirements))))
    facts += [(word(name, language), _text(text.in_(language))) for name, text in _explained(case)]
    rows = "".join(f"<dt>{_text(name)}</dt><dd>{value}</dd>" for name, value in facts if value)
    found = "".join(_finding(step, finding, language) for step, finding in case.findings)
    examples = "".join(_example(rule, language) for rule in case.proves[:2]) if case.bad else ""
    return f'<dl class="facts">{rows}</dl>{found}{examples}{build_picture(case, language)}'


def _explained(case: CaseResult) -> list[tuple[str, Any]]:
    return [("reason", case.reason), *([("why", case.why), ("mend", case.mend)] if case.bad else [])]


def _linked(rules: Sequence[str], language: str) -> str:
    """Rule ids with what they say."""
    shown = []
    for rule in rules:
        one = explanations().get(rule)
        shown.append(f"<b>{_text(rule)}</b>{f' {_text(one.statement.of(language))}' if one is not None else ''}")
    return "<br>".join(shown)


def _example(rule: str, language: str) -> str:
    one = explanations().get(rule)
    if one is None:
        return ""
    shown = one.examples(language)
    return "".join(
        f'<h3>{_text(word(name, language))} ({_text(rule)})</h3><pre class="{name}">{_text(text)}</pre>' for name, text in shown
    )


def _finding(step: StepResult, finding: Finding, language: str) -> str:
    place = f" ({_text(word('line', language))} {finding.anchor.line})" if finding.anchor else ""
    said = f"<b>{_text(step.title.in_(language) or step.name)}</b>{place}: {_text(finding.text.in_(language))}"
    if not told_already(finding):
        said += (
            f'<br><span class="quiet">{_text(word("expected", language))}</span> {_text(alternatives(finding.expected))} '
            f'<span class="quiet">{_text(word("got", language))}</span> {_text(finding.got)}'
        )
    return f'<div class="finding">{said}</div>'


# ---- the messages, packed ----


def _messages(case: CaseResult, language: str) -> str:
    return "".join(_step(step, language) for step in case.steps)


def _step(step: StepResult, language: str) -> str:
    mark = f" ({word('prepares', language)})" if step.prepares else f" ({word('cleans', language)})" if step.cleans else ""
    told = "".join(f"<li><code>{_text(one.code)}</code> {_told(one.context, language)}</li>" for one in step.told)
    said = f"<p>{_text(label('told', language))}</p><ul>{told}</ul>" if told else ""
    expected = alternatives(step.expected) or "-"
    outcome = f"{label('expected', language)} {expected}; {label('got', language)} {step.outcome or '-'}"
    parts = [f"<h3>{_text(step.transaction)} {_text(step.title.in_(language))}{_text(mark)}</h3><p>{_text(outcome)}</p>{said}"]
    for which, message in (("request", step.request), ("response", step.response)):
        if message:
            found = [one for one in step.findings if one.anchor and one.anchor.message == which]
            parts.append(f"<p>{_text(word(which, language))}</p>{_rows(rows_of(message.octets), found, language)}")
    return "".join(parts)


def _told(context: str, language: str) -> str:
    """The target's own words; what a server of this project says is translated, with the words themselves below."""
    ours = french_context(context) if language == "fr" else None
    return f'{_text(ours)}<br><span class="quiet" lang="en">{_text(context)}</span>' if ours else _text(context)


def _rows(rows: Rows, found: Sequence[Finding], language: str) -> str:
    at: dict[int, list[Finding]] = {}
    for one in found:
        assert one.anchor is not None
        at.setdefault(_row_of(rows, one), []).append(one)
    lines = []
    for index, row in enumerate(rows.rows[:_MOST_ROWS]):
        hit = ' class="hit"' if index in at else ""
        lines.append(f'<tr{hit}><td class="n">{row.line if row.first else ""}</td><td>{_text(row.text)}</td></tr>')
        notes = (_text(one.text.in_(language)) for one in at.get(index, ()))
        lines += [f'<tr class="note"><td class="n"></td><td>{note}</td></tr>' for note in notes]
    cut = rows.cut or len(rows.rows) > _MOST_ROWS
    more = f'<p class="quiet">{_text(word("cut", language))}</p>' if cut else ""
    return f'<div class="rows"><table>{"".join(lines)}</table></div>{more}'


def _row_of(rows: Rows, finding: Finding) -> int:
    """The row that shows a finding: within its line the one with the excerpt."""
    assert finding.anchor is not None
    first = rows.index_of(finding.anchor.line, 1)
    if finding.anchor.excerpt:
        for index in range(first, len(rows.rows)):
            if rows.rows[index].line != finding.anchor.line:
                break
            if finding.anchor.excerpt in rows.rows[index].text:
                return index
    return first
