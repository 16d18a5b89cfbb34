"""The evidence archive: one directory per requirement code, with the raw messages, the verdict and the rule's text.

    PAT-003/rule.txt                    what the requirement says, in both languages
    PAT-003/verdict.json                passed (not all asked: a case was skipped), failed, not asked, not covered; by which cases
    PAT-003/ITI42-REG-004/01-request.http, 01-response.http
    manifest.json                       SHA-256 of every file

A code is one of the homologation's referential (`requirements` of a case) or the id of a rule that a case proves; a case without
either stands under its own id. A requirement that no case shows has its directory too, with the reason. The same run gives the
same octets.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

from conformance.explanations.catalogue import explanations
from conformance.result import CaseResult, Required, Run, Status

_STAMP = (1980, 1, 1, 0, 0, 0)
_UNSAFE = str.maketrans(dict.fromkeys(['/', *'\\:*?"<>| \x7f', *map(chr, range(32))], "_"))


def codes_of(case: CaseResult) -> tuple[str, ...]:
    """The requirement codes under which a case stands."""
    return (*case.requirements, *case.proves) or (case.id,)


def write_evidence(run: Run, path: Path) -> None:
    """Write the archive."""
    by_code: dict[str, list[CaseResult]] = {one.code: [] for one in run.required}
    required = {one.code: one for one in run.required}
    for case in run.cases:
        for code in codes_of(case):
            by_code.setdefault(code, []).append(case)
    manifest: dict[str, str] = {}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        folders: set[str] = set()
        for code in sorted(by_code):
            folder = _folder(code, folders)
            for name, content in _files(folder, code, by_code[code], required.get(code)):
                archive.writestr(zipfile.ZipInfo(name, _STAMP), content, zipfile.ZIP_DEFLATED)
                manifest[name] = hashlib.sha256(content).hexdigest()
        head = {"target": run.target, "profile": run.profile, "suite": run.suite, "started": run.started, "kit": run.software}
        whole = json.dumps({**head, "counts": run.counts, "sha256": manifest}, ensure_ascii=False, indent=1)
        archive.writestr(zipfile.ZipInfo("manifest.json", _STAMP), whole.encode(), zipfile.ZIP_DEFLATED)


def _folder(code: str, taken: set[str]) -> str:
    """The directory of a code: none leads out of the archive, whatever a vendor's own case has as code, and no two share one."""
    name = made = code.translate(_UNSAFE).strip(".") or "_"
    number = 1
    while made.casefold() in taken:
        number += 1
        made = f"{name}-{number}"
    taken.add(made.casefold())
    return made


def _files(folder: str, code: str, cases: list[CaseResult], required: Required | None) -> Iterator[tuple[str, bytes]]:
    yield f"{folder}/rule.txt", (_required_text(required) if required else _rule_text(code, cases)).encode()
    asked = [case for case in cases if case.status is not Status.SKIPPED]
    uncovered = required is not None and not required.cases
    verdict = {
        "code": code,
        "verdict": "not covered" if uncovered else _word(asked, len(required.cases if required else cases)),
        **({"reason": {"en": required.reason.en, "fr": required.reason.fr}} if required and required.reason else {}),
        "cases": [_verdict(case) for case in cases],
    }
    yield f"{folder}/verdict.json", json.dumps(verdict, ensure_ascii=False, indent=1).encode()
    inside: set[str] = set()
    for case in cases:
        inner = _folder(case.id, inside)
        for number, step in enumerate(case.steps, 1):
            for which, message in (("request", step.request), ("response", step.response)):
                if message:
                    yield f"{folder}/{inner}/{number:02}-{which}.http", message.octets


def _word(asked: list[CaseResult], wanted: int) -> str:
    if not asked:
        return "not asked"
    if any(case.bad for case in asked):
        return "failed"
    return "passed" if len(asked) >= wanted else "passed, not all asked"


def _verdict(case: CaseResult) -> dict[str, object]:
    return {
        "case": case.id,
        "title": {"en": case.title.en, "fr": case.title.fr},
        "status": case.status.value,
        "section": case.section,
        "reason": {"en": case.reason.en, "fr": case.reason.fr},
        "findings": [
            {"step": step.name, "expected": one.expected, "got": one.got, "en": one.text.en, "fr": one.text.fr}
            for step, one in case.findings
        ],
    }


def _required_text(one: Required) -> str:
    lines = [f"{one.code}  {one.referential.en} / {one.referential.fr}", one.title.en, one.title.fr]
    if one.reason:
        lines += [one.reason.en, one.reason.fr]
    return "\n\n".join(lines) + "\n"


def _rule_text(code: str, cases: list[CaseResult]) -> str:
    """What the requirement says: the rule where it is one of ours, else what its cases ask."""
    known = explanations().get(code)
    if known is not None:
        return f"{code}  {known.section}\n\n{known.statement.of('en')}\n\n{known.statement.of('fr')}\n"
    lines = [f"{case.id}  {case.section}\n{case.title.en}\n{case.title.fr}" for case in cases]
    return f"{code}\n\n" + "\n\n".join(lines) + "\n"
