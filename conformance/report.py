"""The report of a run: report.html, report.pdf, junit.xml, report.json and evidence.zip, in one folder.

`report.json` keeps the summaries of earlier runs in the same folder, so that the page can show what has changed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from conformance.evidence import write_evidence
from conformance.junit import build_junit
from conformance.pdf import build_pdf
from conformance.report_html import build_html
from conformance.result import Run, Status

#: So many earlier runs are remembered.
_REMEMBERED = 50


def summary(run: Run) -> dict[str, Any]:
    """What is remembered of a run: when, counts by status, ids of the cases that failed."""
    return {"started": run.started, "counts": run.counts, "bad": sorted(case.id for case in run.cases if case.bad)}


def write(run: Run, folder: Path, language: str) -> list[Path]:
    """Write the five files in `en` or `fr`; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    history = _history(folder / "report.json")
    content: dict[str, bytes] = {
        "report.html": build_html(run, language, history).encode(),
        "report.pdf": build_pdf(run, language),
        "junit.xml": build_junit(run, language),
        "report.json": json.dumps({**run.to_json(), "history": [*history, summary(run)]}, ensure_ascii=False).encode(),
    }
    for name, octets in content.items():
        (folder / name).write_bytes(octets)
    write_evidence(run, folder / "evidence.zip")
    return [folder / name for name in (*content, "evidence.zip")]


def _history(path: Path) -> list[dict[str, Any]]:
    """The summaries in an earlier report.json of the folder; none where there is no readable one."""
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
        return [one for one in read["history"] if _is_summary(one)][-_REMEMBERED:]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []


def _is_summary(one: dict[str, Any]) -> bool:
    """Whether it is what `summary` has made: the file may have come from elsewhere."""
    started, counts, bad = one.get("started"), one.get("counts"), one.get("bad")
    if not (isinstance(started, str) and isinstance(counts, dict) and isinstance(bad, list)):
        return False
    statuses = {status.value for status in Status}
    right = all(name in statuses and type(count) is int for name, count in counts.items())
    return right and all(isinstance(id, str) for id in bad)
