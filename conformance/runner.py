"""Runs the suite against a target: chooses the cases, performs them side by side, notes each as it ends.

    run = Runner(target, suite).run(chosen(suite, target, ("registry",)))

Each case works for patients of its own, so that cases may run at the same time; those marked `alone` run at the end, one by one.
A journal in the folder of the report holds what is done, so that an interrupted run is taken up again. Where nobody can be asked
at the target's address, at a second try either, the run stops: what is left is told as skipped, and is not in the journal.
"""

from __future__ import annotations

import fnmatch
import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from conformance.case import INTEGRATED, PROFILES, Case
from conformance.coverage import coverage_of, rule_ids
from conformance.exchange import Connections
from conformance.performer import BadCase, Performer
from conformance.phrases import french
from conformance.result import CaseResult, Required, Run, Status, Text, case_of_json, case_to_json
from conformance.scene import Names
from conformance.target import OPTIONS, Target

Progress = Callable[[CaseResult, int, int], None]

JOURNAL = "journal.jsonl"


def chosen(suite: Mapping[str, Case], profiles: Iterable[str], patterns: Sequence[str] = ()) -> list[Case]:
    """The cases of these profiles, in the order of the suite; with `patterns` those whose id matches one of them.

    Raises ValueError for a profile that does not exist and for a pattern that matches nothing.
    """
    wanted = set(profiles)
    unknown = wanted - {*PROFILES, INTEGRATED}
    if unknown:
        raise ValueError(f"--profile {', '.join(sorted(unknown))}: known are {', '.join((*PROFILES, INTEGRATED))}")
    cases = [case for case in suite.values() if INTEGRATED in wanted or wanted & set(case.profiles)]
    for pattern in patterns:
        if not any(fnmatch.fnmatchcase(case.id, pattern) for case in cases):
            raise ValueError(f"--case {pattern}: no case of this profile has such an id")
    return [case for case in cases if not patterns or any(fnmatch.fnmatchcase(case.id, pattern) for pattern in patterns)]


@dataclass(slots=True)
class Runner:
    """One run. `journal` is the file that notes each result; `jobs` cases run at the same time; `clean` tidies up behind each.

    `required` are the requirements that the report is to speak of (`conformance.referential`).
    """

    target: Target
    suite: Mapping[str, Case]
    jobs: int = 4
    journal: Path | None = None
    clean: bool = True
    progress: Progress | None = None
    software: str = ""
    required: Sequence[Required] = ()
    _performer: Performer = field(init=False)
    _results: dict[str, CaseResult] = field(default_factory=dict)
    _locks: dict[str, threading.Lock] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _done: int = 0
    _total: int = 0

    def __post_init__(self) -> None:
        connections = Connections(self.target.context)
        self._performer = Performer(self.target, connections, Names(self.target.assigning_authority), self.clean)
        self._locks = {case.needs: threading.Lock() for case in self.suite.values() if case.needs}

    def run(self, cases: Sequence[Case], profile: str, lang: str = "en", known: Mapping[str, CaseResult] | None = None) -> Run:
        """Performs `cases`, and those on which they build; the results in `known` are taken over."""
        run = Run(
            self.target.name, profile, "carnet", lang, _now(), software=self.software, endpoints=dict(self.target.endpoints),
            options=tuple(sorted(self.target.options)), required=tuple(self.required),
        )  # fmt: skip
        begun = time.monotonic()
        cases = self._with_needed(cases, known or {})
        todo = [case for case in cases if case.id not in (known or {})]
        self._total, self._done = len(todo), 0
        self._note_head(run)
        for result in (known or {}).values():
            self._note(result)
        beside = [case for case in todo if not case.alone]
        with ThreadPoolExecutor(self.jobs, "case") as pool:
            try:
                for future in [pool.submit(self._case, case) for case in beside]:
                    future.result()
            except BaseException:  # an interrupted run ends with the cases that are under way
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        for case in todo:
            if case.alone:
                self._case(case)
        self._tidy_needed()
        run.cases = [(known or {}).get(case.id) or self._results[case.id] for case in cases]
        run.stopped = self._stopped()
        run.finished, run.seconds = _now(), round(time.monotonic() - begun, 3)
        run.coverage = coverage_of(self.suite.values(), rule_ids())
        return run

    # ---------------------------------------------------------------------------------------------------------- a case

    def _case(self, case: Case) -> CaseResult:
        if case.id in self._locks:
            with self._locks[case.id]:
                return self._results.get(case.id) or self._perform(case)
        return self._perform(case)

    def _perform(self, case: Case) -> CaseResult:
        stopped = self._stopped()
        reason = stopped or self._reason(case)
        result = _unperformed(case, Status.SKIPPED, reason) if reason else self._performed(case)
        with self._lock:
            self._results[case.id] = result
            self._done += 1
            if not self._performer.unreachable:
                self._note(result)
            if self.progress is not None:
                self.progress(result, self._done, max(self._total, self._done))
        return result

    def _performed(self, case: Case) -> CaseResult:
        """A case that cannot be made for this target (of codes of its own, say) is an error of its own, no end of the run."""
        try:
            result = self._performer.perform(case)
        except BadCase as error:
            said = Text(f"The case cannot be made: {error}", f"Le cas ne peut être construit : {error}")
            return _unperformed(case, Status.ERROR, said)
        if case.id not in self._locks:
            self._performer.tidy(case, result)
        return result

    def _stopped(self) -> Text:
        """Why the run is not gone on with; empty while it is."""
        why = self._performer.unreachable
        return Text(f"The run was stopped: {why}", f"Le passage a été arrêté : {french(why)}") if why else Text()

    def _with_needed(self, cases: Sequence[Case], known: Mapping[str, CaseResult]) -> list[Case]:
        """With those on which they build: without them in the report, nobody would see why the others are skipped."""
        found = {case.id: case for case in cases}
        for case in cases:
            while case.needs and case.id not in known:
                case = self.suite[case.needs]
                found.setdefault(case.id, case)
        return list(found.values())

    def _reason(self, case: Case) -> Text | None:
        """Why a case cannot be performed."""
        for option in case.options:
            refused = option.startswith("!")
            name = option.removeprefix("!")
            if (name in self.target.options) == refused:
                said, word = OPTIONS[name], ("without", "sans") if refused else ("with", "avec")
                return Text(
                    f"it is for targets {word[0]} the option {name} ({said.en})",
                    f"il vaut pour les cibles {word[1]} l'option {name} ({said.fr})",
                )
        if case.domain and case.domain != self.target.domain:
            return Text(f"it is for the affinity domain {case.domain}", f"il vaut pour le domaine d'affinité {case.domain}")
        for transaction in sorted(case.transactions):
            if not self.target.url(transaction):
                return Text(
                    f"the target names no address of {transaction}", f"la cible ne donne pas d'adresse pour {transaction}"
                )
        if case.needs:
            needed = self._case(self.suite[case.needs])
            if needed.status is not Status.PASSED:
                en, fr = (
                    f"the case {case.needs}, on which it builds, has not passed",
                    f"le cas {case.needs}, son préalable, n'a pas réussi",
                )
                return Text(en, fr)
        return None

    def _tidy_needed(self) -> None:
        for name in self._locks:
            if name in self._results and name in self._performer.scenes:
                self._performer.tidy(self.suite[name], self._results[name])

    # --------------------------------------------------------------------------------------------------------- journal

    def _note_head(self, run: Run) -> None:
        if self.journal is not None:
            self.journal.parent.mkdir(parents=True, exist_ok=True)
            head = {"target": run.target, "profile": run.profile, "started": run.started}
            self.journal.write_text(json.dumps(head) + "\n", encoding="utf-8")

    def _note(self, result: CaseResult) -> None:
        if self.journal is not None:
            with self.journal.open("a", encoding="utf-8") as file:
                file.write(json.dumps(case_to_json(result)) + "\n")


def read_journal(path: Path) -> tuple[dict[str, Any], dict[str, CaseResult]]:
    """What the last run in this folder has noted: about which target, and the results by case; a cut last line is left out.

    Raises ValueError where there is no journal or it is none.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}: nothing was begun in this folder") from None
    found: dict[str, CaseResult] = {}
    head: dict[str, Any] = {}
    for number, line in enumerate(lines):
        try:
            data = json.loads(line)
        except ValueError:
            if number == len(lines) - 1:
                break
            raise ValueError(f"{path}: line {number + 1} is no JSON") from None
        if number == 0:
            head = data
        else:
            found[data["id"]] = case_of_json(data)
    return head, found


def _unperformed(case: Case, status: Status, reason: Text) -> CaseResult:
    return CaseResult(
        case.id, case.title, case.transaction, case.profiles, case.proves, case.section, status, case.requirements, reason,
        case.why, case.mend, started=_now(),
    )  # fmt: skip


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
