"""The pages of the sandbox: all sandboxes, one sandbox, one message, two messages beside each other.

Pages are functions from what is shown to finished HTML. Shapes of what is shown stand here; `server/sandbox*.py` fills them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from conformance.check_result import Checked, Found
from conformance.expectations import Expectation
from conformance.explanations.catalogue import explanations
from conformance.message_rows import Rows, compare
from conformance.phrases import french, french_context
from web.layout import page, text
from web.words import word


@dataclass(frozen=True, slots=True)
class Arrived:
    """One message in the list. `outcome` is Success, Failure, PartialSuccess, or empty for a fault, whose rule is `fault`."""

    number: int
    at: str
    sender: str
    transaction: str
    outcome: str
    fault: str
    http_status: int
    findings: int
    tolerated: int
    received: int
    sent: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Answered:
    """One finding or note of the answer."""

    level: str
    rule: str
    code: str
    said: str


@dataclass(frozen=True, slots=True)
class SandboxView:
    """`base` is the address of the sandbox's pages (`/v/acme`), `url` the absolute one under which software reaches it."""

    name: str
    base: str
    url: str
    patients: Sequence[str]
    messages: Sequence[Arrived]
    expectations: Sequence[Expectation]
    met: Mapping[str, int]
    said: str = ""
    dmp: bool = False


@dataclass(frozen=True, slots=True)
class MessageView:
    """One message, open."""

    name: str
    base: str
    arrived: Arrived
    whole: bool
    request: Rows
    response: Rows
    checked: Checked
    answered: Sequence[Answered]
    curl: str
    others: Sequence[int] = field(default_factory=tuple)


_SERVED = (
    ("xds/repository", "ITI-41, ITI-43, ITI-86"), ("xds/registry", "ITI-18, ITI-42, ITI-57, ITI-62"), ("xds/iti44", "ITI-44"),
)  # fmt: skip
_DMP = (("dmp/patients", "TD0.2, TD1.1 - TD1.4"), ("dmp/habilitations", "TD0.3, TD1.6"))


def _good(outcome: str, fault: str) -> str:
    return "good" if outcome == "Success" else "warn" if outcome == "PartialSuccess" else "bad"


def _outcome(one: Arrived, language: str) -> str:
    shown = one.outcome or (f"{word('fault', language)} {one.fault}" if one.fault else f"HTTP {one.http_status}")
    return f'<span class="{_good(one.outcome, one.fault)}">{text(shown)}</span>'


def _table(heads: Iterable[str], rows: Iterable[str]) -> str:
    return f'<div class="scroll"><table><tr>{"".join(heads)}</tr>{"".join(rows)}</table></div>'


def front_page(names: Sequence[str], language: str, said: str = "") -> str:
    """All sandboxes, and a form to open one."""
    rows = "".join(f'<li><a href="/v/{quote(name)}/?lang={language}">{text(name)}</a></li>' for name in names)
    content = (
        f"<p>{text(word('front', language))}</p>{_said(said)}<ul>{rows}</ul>"
        f'<form method="post" action="/open?lang={language}"><label>{text(word("name", language))} '
        f'<input name="name" required maxlength="40" pattern="[A-Za-z0-9][A-Za-z0-9_\\-]*"></label> '
        f'<button>{text(word("open", language))}</button></form>'
    )
    return page(word("sandboxes", language), content, language, other=f"/?lang={_other(language)}")


def sandbox_page(view: SandboxView, language: str) -> str:
    """One sandbox: where to send, what is expected, what has arrived."""
    addresses = "".join(
        f'<li><code>{text(view.url)}/{one}</code> <span class="quiet">{what}</span></li>'
        for one, what in (*_SERVED, *(_DMP if view.dmp else ()))
    )
    # As a message has to name them: the French domain wants the type of the id (FR-001).
    type = "^NH" if view.dmp else ""
    patients = "".join(f"<li><code>{text(one + type)}</code></li>" for one in view.patients)
    content = (
        f'{_said(view.said)}<div class="columns"><section><h2>{text(word("addresses", language))}</h2>'
        f'<ul class="plain">{addresses}</ul></section>'
        f'<section><h2>{text(word("patients", language))}</h2><ul class="plain">{patients}</ul>'
        f'<form class="inline" method="post" action="{view.base}/patients?lang={language}"><input name="patient" required '
        f'placeholder="4711^^^&amp;1.2.3.4.5&amp;ISO" aria-label="{text(word("add_patient", language))}"> '
        f'<button>{text(word("add_patient", language))}</button></form></section></div>'
        f'<p class="actions"><a href="{view.base}/evidence.zip">{text(word("evidence", language))}</a></p>'
        f"{_messages(view, language)}{_expectations(view, language)}"
    )
    return page(
        f"{word('title', language)} {view.name}", content, language,
        other=f"{view.base}/?lang={_other(language)}", live=f"{view.base}/events",
    )  # fmt: skip


def _messages(view: SandboxView, language: str) -> str:
    heads = [f"<th>{text(word(name, language))}</th>" for name in ("number", "at", "transaction", "outcome", "findings")]
    heads += [f'<th class="wide">{text(word(name, language))}</th>' for name in ("size", "took", "from")]
    rows = [
        f'<tr id="message-{one.number}"><td><a href="{view.base}/messages/{one.number}?lang={language}">{one.number}</a></td>'
        f"<td>{text(one.at[:19].replace('T', ' '))}</td><td>{text(one.transaction or '?')}</td><td>{_outcome(one, language)}</td>"
        f"<td>{one.findings or ''}{_tolerated(one, language)}</td>"
        f'<td class="wide">{one.received:,} / {one.sent:,}</td><td class="wide">{one.seconds * 1000:.0f} ms</td>'
        f'<td class="wide">{text(one.sender)}</td></tr>'
        for one in reversed(view.messages)
    ]
    nothing = f'<p class="quiet">{text(word("none", language))} {text(word("waiting", language))}</p>'
    shown = _table(heads, rows) if rows else nothing
    return f'<section id="messages" data-live><h2>{text(word("messages", language))}</h2>{shown}</section>'


def _tolerated(one: Arrived, language: str) -> str:
    said = word("tolerated", language).split(" ")[0]
    return f' <span class="warn">+{one.tolerated} {text(said)}</span>' if one.tolerated else ""


def _expectations(view: SandboxView, language: str) -> str:
    groups = []
    for group in dict.fromkeys(one.group for one in view.expectations):
        rows = "".join(_expectation(view, one, language) for one in view.expectations if one.group == group)
        groups.append(f'<div><h3>{text(word(group, language))}</h3><ul class="plain">{rows}</ul></div>')
    count = f"{len(view.met)}/{len(view.expectations)}"
    return (
        f'<section id="expectations" data-live><h2>{text(word("expectations", language))} <span class="quiet">{count}</span></h2>'
        f'<div class="columns">{"".join(groups)}</div></section>'
    )


def _expectation(view: SandboxView, one: Expectation, language: str) -> str:
    number = view.met.get(one.id)
    met = (
        f' <a class="quiet" href="{view.base}/messages/{number}?lang={language}">{text(word("met_by", language))} {number}</a>'
        if number
        else ""
    )
    return (
        f'<li class="expectation{" met" if number else ""}" id="{text(one.id)}" title="{text(one.id)}, {text(one.section)}">'
        f"{text(one.in_(language))}{met}</li>"
    )


def message_page(view: MessageView, language: str) -> str:
    """One message: what was answered, what the check found, both messages with the findings at their lines."""
    one, here = view.arrived, f"{view.base}/messages/{view.arrived.number}"
    anchored = [found for found in view.checked.found if found.line and not found.part]
    whole = "" if view.whole else f'<p class="bad">{text(word("not_whole", language))}</p>'
    answered = "".join(_answered(each, language) for each in view.answered) or f"<p>{text(word('clean', language))}</p>"
    checked = "".join(_found(each, view, language) for each in view.checked.found) or f"<p>{text(word('clean', language))}</p>"
    options = "".join(f"<option>{number}</option>" for number in view.others)
    comparing = (
        f'<form class="inline" action="{view.base}/compare"><input type="hidden" name="lang" value="{language}">'
        f'<input type="hidden" name="b" value="{one.number}"><label>{text(word("compare_with", language))} '
        f'<select name="a">{options}</select></label> <button>{text(word("compare", language))}</button></form>'
        if options
        else ""
    )
    content = (
        f'<p><a href="{view.base}/?lang={language}">{text(word("back", language))}</a></p>'
        f"<p>{_outcome(one, language)} - {text(one.at[:19].replace('T', ' '))} UTC, {one.seconds * 1000:.0f} ms, "
        f"{text(word('from', language).lower())} {text(one.sender)}</p>{whole}"
        f'<div class="actions"><form class="inline" method="post" action="{here}/replay?lang={language}">'
        f'<button>{text(word("replay", language))}</button></form>{comparing}</div>'
        f"<h2>{text(word('answered', language))}</h2>{answered}<h2>{text(word('checked', language))}</h2>{checked}"
        f"<h2>{text(word('request', language))}</h2>{_downloads(here, 'request', language)}"
        f"{_rows(view.request, anchored, 'q', language)}"
        f"<h2>{text(word('response', language))}</h2>{_downloads(here, 'response', language)}"
        f"{_rows(view.response, [], 'a', language)}"
        f'<h2>{text(word("curl", language))}</h2><pre id="curl">{text(view.curl)}</pre>'
        f'<button data-copy="curl" data-done="{text(word("copied", language))}">{text(word("copy", language))}</button>'
    )
    title = f"{view.name}: {one.transaction or word('messages', language)} {one.number}"
    return page(title, content, language, other=f"{here}?lang={_other(language)}")


def _downloads(here: str, which: str, language: str) -> str:
    body = f' <a href="{here}/body">{text(word("body", language))}</a>' if which == "request" else ""
    return f'<p class="actions"><a href="{here}/{which}">{text(word("download", language))}</a>{body}</p>'


def _rule(rule: str, language: str) -> str:
    return f'<a class="rule" href="/explain/{quote(rule)}?lang={language}">{text(rule)}</a>' if rule else ""


def _answered(one: Answered, language: str) -> str:
    code = f"<code>{text(one.code)}</code> " if one.code else ""
    said = text(one.said)
    if language == "fr":  # what goes over the wire is English
        known = explanations().get(one.rule)
        ours = french_context(one.said) or (known.statement.of("fr") if known is not None else "")
        said = f'{text(ours)}<br><span class="quiet" lang="en">{said}</span>' if ours else said
    return f'<div class="finding {text(one.level)}">{_rule(one.rule, language)} {code}{said}</div>'


def _found(one: Found, view: MessageView, language: str) -> str:
    where = text(french(one.part) if language == "fr" else one.part)
    if one.line and not one.part:
        at = view.request.index_of(one.line, one.column)
        where = f'<a href="#q{at}">{text(word("line", language))} {one.line}:{one.column}</a>'
    said, hint = one.said(language), one.hint(language)
    value = f" <code>{text(one.value[:200])}</code>" if one.value else ""
    return (
        f'<div class="finding {one.level.value}">{_rule(one.rule, language)} '
        f'<span class="quiet">{text(word(one.level.value, language))}, {where or text(one.section)}</span><br>'
        f"{text(said)}{value}<br>{text(hint)}</div>"
    )


def _rows(rows: Rows, found: Sequence[Found], prefix: str, language: str) -> str:
    at: dict[int, list[Found]] = {}
    for one in found:
        at.setdefault(rows.index_of(one.line, one.column), []).append(one)
    lines = []
    for index, row in enumerate(rows.rows):
        hit = at.get(index, [])
        soft = " soft" if hit and all(one.level.value != "error" for one in hit) else ""
        lines.append(
            f'<tr id="{prefix}{index}"{f" class={chr(34)}hit{soft}{chr(34)}" if hit else ""}>'
            f'<td class="n">{row.line if row.first else ""}</td><td>{text(row.text)}</td></tr>'
        )
        lines += [
            f'<tr class="note"><td class="n"></td><td>{_rule(one.rule, language)} {text(one.said(language))}</td></tr>'
            for one in hit
        ]
    cut = f'<p class="quiet">{text(word("cut", language))}</p>' if rows.cut else ""
    return f'<div class="rows"><table>{"".join(lines)}</table></div>{cut}'


def compare_page(name: str, base: str, a: tuple[Arrived, Rows], b: tuple[Arrived, Rows], language: str) -> str:
    """Two requests side by side, and how each was answered."""
    pairs = compare(a[1], b[1])
    same = all(pair.kind == "same" for pair in pairs)
    lines = "".join(
        f'<tr class="{pair.kind}"><td class="l">{text(pair.left)}</td><td class="r">{text(pair.right)}</td></tr>'
        for pair in pairs
    )
    heads = "".join(
        f'<th><a href="{base}/messages/{one.number}?lang={language}">{text(one.transaction)} {one.number}</a> '
        f"{_outcome(one, language)} ({one.findings} {text(word('findings', language).lower())})</th>"
        for one in (a[0], b[0])
    )
    content = (
        f'<p><a href="{base}/?lang={language}">{text(word("back", language))}</a></p>'
        + (f"<p>{text(word('same', language))}</p>" if same else "")
        + f'<div class="rows compare"><table><tr>{heads}</tr>{lines}</table></div>'
    )
    here = f"{base}/compare?a={a[0].number}&b={b[0].number}"
    return page(f"{name}: {word('compare', language)}", content, language, other=f"{here}&lang={_other(language)}")


def unknown_page(language: str) -> str:
    """404."""
    return page("404", f"<p>{text(word('unknown', language))}</p>", language)


def _said(said: str) -> str:
    return f'<p class="bad">{text(said)}</p>' if said else ""


def _other(language: str) -> str:
    return "fr" if language == "en" else "en"
