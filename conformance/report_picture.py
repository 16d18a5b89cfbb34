"""The exchange of one case as a picture: two lifelines, an arrow for each message, in SVG without script."""

from __future__ import annotations

import html

from conformance.report_words import word
from conformance.result import CaseResult

_LEFT, _RIGHT, _TOP, _STEP = 150, 690, 40, 52


def build_picture(case: CaseResult, language: str) -> str:
    """An svg element; empty for a case without exchanges."""
    if not case.steps:
        return ""
    height = _TOP + _STEP * len(case.steps) + 14
    parts = [
        f'<svg viewBox="0 0 840 {height}" width="840" role="img" aria-label="{html.escape(word("timeline", language))}">',
        f'<text x="{_LEFT}" y="18" text-anchor="middle">{html.escape(word("here", language))}</text>',
        f'<text x="{_RIGHT}" y="18" text-anchor="middle">{html.escape(word("there", language))}</text>',
        *(f'<line x1="{x}" y1="26" x2="{x}" y2="{height - 6}"/>' for x in (_LEFT, _RIGHT)),
    ]
    for index, step in enumerate(case.steps):
        y = _TOP + _STEP * index
        mark = "failed" if step.findings else "passed"
        clock = step.started[11:19]
        sent = f"{step.transaction} {step.title.in_(language)}"
        came = f"{step.outcome or '-'} ({len(step.response.octets):,} B, {step.seconds * 1000:.0f} ms)"
        parts.append(
            f'<text class="quiet" x="{_LEFT - 12}" y="{y + 12}" text-anchor="end">{clock}</text>'
            f'<text x="{_LEFT + 14}" y="{y + 8}">{html.escape(_short(sent))} <tspan class="quiet">'
            f"({len(step.request.octets):,} B)</tspan></text>"
            f'<path d="M{_LEFT} {y + 14} H{_RIGHT - 2} m-8 -4 l8 4 l-8 4"/>'
            f'<text x="{_RIGHT - 14}" y="{y + 30}" text-anchor="end">{html.escape(_short(came))}</text>'
            f'<path d="M{_RIGHT} {y + 36} H{_LEFT + 2} m8 -4 l-8 4 l8 4" stroke-dasharray="4 3"/>'
            f'<circle class="{mark}" cx="{_RIGHT + 16}" cy="{y + 26}" r="5"/>'
        )
    return "".join([*parts, "</svg>"])


def _short(text: str) -> str:
    return text if len(text) <= 78 else text[:77] + "\u2026"
