"""The page at `/explain/RULE`: what a rule or an error code means, in English or French; `/explain/` lists them all.

Every refusal carries its address. The page is plain HTML without script; what came from outside (the id, the language) is
escaped, and the Content-Security-Policy lets a browser load nothing and apply one style, known by its hash.

`site_pages` gives the same pages as files: behind mutual TLS nobody reads them without a certificate, so an operator may put them
on any web server (setting `server.explain_url`).
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Iterator
from functools import lru_cache
from urllib.parse import parse_qs, quote

from conformance.explanations.catalogue import LANGUAGES, Explanation, explain, explanations, nearest
from server.settings import Settings

#: Where the pages stand: the base of the links in refusals.
EXPLAIN_PATH = "/explain/"

Headers = list[tuple[str, str]]

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem;color:#1b1b1b;background:#fff}"
    "h1{font-size:1.4rem}h2{font-size:1rem;margin:1.4rem 0 .3rem}pre{background:#f4f4f2;padding:.8rem;overflow:auto;"
    "font-size:.85rem;border-left:4px solid #999}pre.wrong{border-color:#b3261e}pre.right{border-color:#1e7b34}small{color:#555}"
    "@media(prefers-color-scheme:dark){body{color:#eee;background:#161616}pre{background:#242424}a{color:#8ab4f8}small{color:#aaa}}"
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_CSP = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

_WORDS = {
    "en": {
        "why": "What it means", "fix": "Usual cause, and what to change", "remedy": "In one line", "wrong": "Wrong",
        "right": "Right", "section": "Standard", "codes": "Answered as", "transactions": "In",
        "related": "See also", "all": "All rules and codes",
        "unknown": "There is no rule and no code of this name.", "near": "Did you mean", "other": "Français", "rule": "Rule",
        "wire": "Wire", "code": "Error code", "trust": "Trust", "fault": "Fault or refusal",
    },
    "fr": {
        "why": "Ce que cela veut dire", "fix": "Cause habituelle, et que changer", "remedy": "En une ligne", "wrong": "Faux",
        "right": "Juste", "section": "Norme", "codes": "Code rendu", "transactions": "Dans", "related": "Voir aussi",
        "all": "Toutes les règles et tous les codes", "unknown": "Aucune règle ni aucun code ne porte ce nom.",
        "near": "Vouliez-vous dire", "other": "English", "rule": "Règle", "wire": "Fil", "code": "Code d'erreur",
        "trust": "Confiance", "fault": "Faute ou refus",
    },
}  # fmt: skip


def explain_base(settings: Settings) -> str:
    """What stands before the id in the links of refusals: an address of the operator's choice, or a path of this server."""
    return f"{settings.server.explain_url.rstrip('/')}/" if settings.server.explain_url else EXPLAIN_PATH


def explain_page(rule: str, query: str = "", accept_language: str = "") -> tuple[str, str, Headers]:
    """HTTP status line, HTML and headers for `/explain/` + `rule`.

    `query` is the query string (`lang=fr` wins), `accept_language` the header of the browser. An unknown id is 404 with the ids
    that resemble it; an empty one is the list of all.
    """
    language = language_of(query, accept_language)
    headers = [("Content-Security-Policy", _CSP), ("Content-Language", language), ("Vary", "Accept-Language")]
    headers.append(("Referrer-Policy", "no-referrer"))
    if not rule:
        return "200 OK", _index(language), headers
    try:
        one = explain(rule)
    except KeyError:
        return "404 Not Found", _unknown(rule[:100], language), headers
    return "200 OK", _page(one, language), headers


def language_of(query: str, accept_language: str) -> str:
    """`lang=` of the query, else the language that the browser prefers, else English."""
    asked = parse_qs(query[:1000]).get("lang", [""])[0].lower()
    if asked in LANGUAGES:
        return asked
    wishes = []
    for place, piece in enumerate(accept_language[:500].split(",")):
        tag, _, weight = piece.strip().partition(";q=")
        try:
            wishes.append((-float(weight or 1), place, tag.strip().lower()[:2]))
        except ValueError:
            continue
    return next((tag for weight, _, tag in sorted(wishes) if tag in LANGUAGES and weight < 0), "en")


def _link(id: str, language: str) -> str:
    return f'<a href="{EXPLAIN_PATH}{quote(id)}?lang={language}">{html.escape(id)}</a>'


def _frame(title: str, body: str, language: str, here: str) -> str:
    other = "en" if language == "fr" else "fr"
    words = _WORDS[language]
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head><body>{body}"
        f'<p><small><a href="{EXPLAIN_PATH}?lang={language}">{words["all"]}</a> - '
        f'<a href="{EXPLAIN_PATH}{quote(here)}?lang={other}" hreflang="{other}">{words["other"]}</a></small></p></body></html>\n'
    )


@lru_cache(maxsize=1024)
def _page_of(id: str, language: str) -> str:
    one, words = explanations()[id], _WORDS[language]
    facts = [f"{words[one.kind]}", f"{words['section']}: {html.escape(one.section)}"]
    if one.codes:
        facts.append(f"{words['codes']}: {', '.join(_code(code, language) for code in one.codes)}")
    if one.transactions:
        facts.append(f"{words['transactions']}: {', '.join(one.transactions)}")
    title = f"{one.id}: {one.statement.of(language)}"
    parts = [f"<h1>{html.escape(title)}</h1><p><small>{' - '.join(facts)}</small></p>"]
    parts.append(f"<h2>{words['why']}</h2><p>{html.escape(one.why.of(language))}</p>")
    parts.append(f"<h2>{words['fix']}</h2><p>{html.escape(one.fix.of(language))}</p>")
    if one.remedy.of(language) not in ("", one.fix.of(language)):
        parts.append(f"<h2>{words['remedy']}</h2><p>{html.escape(one.remedy.of(language))}</p>")
    of = f" ({_link(one.example, language)})" if one.example else ""
    for name, example in one.examples(language):
        parts.append(f'<h2>{words[name]}{of}</h2><pre class="{name}">{html.escape(example)}</pre>')
    if one.related:
        parts.append(f"<p>{words['related']}: {', '.join(_link(id, language) for id in one.related)}</p>")
    return _frame(f"{one.id} - Carnet", "".join(parts), language, one.id)


def _code(code: str, language: str) -> str:
    return _link(code, language) if code in explanations() else html.escape(code)


def _page(one: Explanation, language: str) -> str:
    return _page_of(one.id, language)


@lru_cache(maxsize=2)
def _index(language: str) -> str:
    words = _WORDS[language]
    rows = []
    for kind in ("rule", "wire", "fault", "trust", "code"):
        rows.append(f"<h2>{words[kind]}</h2><ul>")
        rows += [
            f"<li>{_link(one.id, language)} {html.escape(one.statement.of(language))}</li>"
            for one in explanations().values()
            if one.kind == kind
        ]
        rows.append("</ul>")
    return _frame(f"{words['all']} - Carnet", f"<h1>{words['all']}</h1>{''.join(rows)}", language, "")


def _unknown(rule: str, language: str) -> str:
    words = _WORDS[language]
    near = nearest(rule)
    hint = f"<p>{words['near']}: {', '.join(_link(id, language) for id in near)}?</p>" if near else ""
    return _frame("404 - Carnet", f"<h1>{html.escape(rule)}</h1><p>{words['unknown']}</p>{hint}", language, rule)


# ------------------------------------------------------------------------------------------------------------- pages as files

_ADDRESS = re.compile(rf'href="{EXPLAIN_PATH}([^"?]*)\?lang=(en|fr)"')


def site_pages() -> Iterator[tuple[str, str]]:
    """Every page as a file, path and HTML: `index.html`, `DE-406/index.html`, and the French ones in a folder `fr` below each.

    The address of a refusal's link, `.../DE-406`, is that of a folder. Links between pages are relative.
    """
    for language in LANGUAGES:
        yield _file("", language), _relative(_index(language), "", language)
        for id in explanations():
            yield _file(id, language), _relative(_page_of(id, language), id, language)


def _file(id: str, language: str) -> str:
    return "/".join(filter(None, (quote(id), "fr" if language == "fr" else "", "index.html")))


def _relative(page: str, id: str, language: str) -> str:
    up = "../" * _file(id, language).count("/")
    return _ADDRESS.sub(lambda link: f'href="{up}{_file(link[1], link[2])}"', page)
