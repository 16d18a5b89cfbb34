"""The frame of every page, and the headers under which a browser gets it.

What came from outside is escaped where it enters the page (`text`); no page holds a script or a style of its own: the
Content-Security-Policy allows those of `static/` only.
"""

from __future__ import annotations

import html
from importlib import resources

from web.words import word

Headers = list[tuple[str, str]]

CSP = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
SAFE_HEADERS: Headers = [
    ("Content-Security-Policy", CSP),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-store"),
]
#: File of `static/` -> media type.
STATIC = {"sandbox.css": "text/css; charset=utf-8", "sandbox.js": "text/javascript; charset=utf-8"}


def text(value: object) -> str:
    """Escaped for element content and for attribute values in double quotes."""
    return html.escape(str(value), quote=True)


def page(title: str, content: str, language: str, *, other: str = "", live: str = "") -> str:
    """A whole page. `content` is finished HTML; `other` the address of the same page in the other language; `live` that of the
    events which tell of new messages."""
    switch = f'<a class="switch" href="{text(other)}">{text(word("other", language))}</a>' if other else ""
    events = f' data-events="{text(live)}"' if live else ""
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8"><title>{text(title)} - Carnet</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="stylesheet" href="/static/sandbox.css">'
        f'<script src="/static/sandbox.js" defer></script></head><body{events}>'
        f'<header><a href="/?lang={language}">Carnet</a>{switch}</header>'
        f"<main><h1>{text(title)}</h1>{content}</main></body></html>\n"
    )


def static(name: str) -> tuple[str, bytes] | None:
    """Media type and octets of a file of `static/`."""
    kind = STATIC.get(name)
    return (kind, (resources.files("web") / "static" / name).read_bytes()) if kind else None
