"""NIST plans as a suite: a test is a case of the report, a step of its plan a step."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path

from conformance import messages
from conformance.case import read_suite
from conformance.exchange import Connections, ExchangeError, Unreachable, mllp
from conformance.judge import anchor_of, read_reply
from conformance.nist.exceptions import Exceptions, read_exceptions
from conformance.nist.plan import PlanError, Test, read_folder
from conformance.nist.runner import Outcome, Result, Runner
from conformance.nist.target import Target as Place
from conformance.performer import Performer
from conformance.phrases import french
from conformance.result import CaseResult, Finding, Run, Status, StepResult, Text, Told
from conformance.scene import Names
from conformance.target import OPTIONS, Target, TargetError
from conformance.wire import Client
from security.pki import PkiError

#: Kind of transaction in a plan to what the report calls it.
TRANSACTIONS = {
    "Register": "ITI-42", "ProvideAndRegister": "ITI-41", "XDRProvideAndRegister": "ITI-41", "StoredQuery": "ITI-18",
    "Retrieve": "ITI-43", "MPQ": "ITI-51", "Mu": "ITI-57", "Rmu": "ITI-92", "RegisterODDE": "ITI-61", "RemoveMetadata": "ITI-62",
    "Rd": "ITI-86", "PatientMove": "ITI-64", "PatientIdentityFeed": "ITI-8", "Http": "ITI-41",
}  # fmt: skip
_MEND = Text(
    "Read the plan of this test (testplan.xml) beside what was sent and what came back.",
    "Lire le plan de ce test (testplan.xml) à côté de ce qui a été envoyé et de la réponse.",
)
_NO_LISTENER = Text(
    "the target names no listener of ITI-64: --feed mllp://HOST:PORT",
    "la cible ne donne pas d'écouteur ITI-64 : --feed mllp://HÔTE:PORT",
)
_NO_MOVES = Text(
    f"it is for targets with the option link-change ({OPTIONS['link-change'].en})",
    f"il vaut pour les cibles avec l'option link-change ({OPTIONS['link-change'].fr})",
)
_STATUS = {Outcome.FAILED: Status.FAILED, Outcome.STALE: Status.FAILED, Outcome.PASSED: Status.PASSED}


def run_plans(
    folder: Path,
    target: Target,
    lang: str,
    patterns: Sequence[str] = (),
    progress: Callable[[CaseResult, int, int], None] | None = None,
) -> Run:
    """The plans of `folder` whose names match. Raises TargetError for a target that cannot be asked, ValueError for the plans."""
    try:
        tests = read_folder(folder)
    except (PlanError, OSError) as error:
        raise ValueError(f"--plans {folder}: {error}") from None
    # Numbered tests before those that load an environment: 12364 counts what all patients have.
    names = sorted(name for name in tests if not patterns or any(fnmatchcase(name, pattern) for pattern in patterns))
    if not names:
        raise ValueError(f"--plans {folder}: there is no test {' '.join(patterns) or 'at all'}")
    run = Run(target.name, "nist", "nist", lang, _now(), endpoints=dict(target.endpoints), options=tuple(sorted(target.options)))
    begun = time.monotonic()
    exceptions = read_exceptions()
    connections = Connections(target.context)
    runner = Runner(tests, _place(target, connections), exceptions, {})
    for number, name in enumerate(names, 1):
        before = time.monotonic()
        reason = _stopped(connections) or (_no_move(target) if _moves(tests[name]) else None)
        results: Sequence[Result] = ()
        try:
            results = () if reason else runner.run(name)
        except TargetError:
            if not connections.unreachable:
                raise
        run.stopped = _stopped(connections)
        case = _case(tests[name], results, exceptions, reason or run.stopped or None)
        case.seconds = round(time.monotonic() - before, 3)
        run.cases.append(case)
        if progress is not None:
            progress(case, number, len(names))
    run.finished, run.seconds = _now(), round(time.monotonic() - begun, 3)
    return run


def _place(target: Target, connections: Connections) -> Place:
    if not (target.url("ITI-42") and target.url("ITI-41")):
        raise TargetError("NIST plans need a registry (ITI-42, ITI-18) and a repository (ITI-41, ITI-43)")
    secured = _secured(target)
    client = Client(target.url("ITI-42"), target.url("ITI-41"), connections, secured)

    def announce(patients: Iterable[str]) -> None:
        for number, cx in enumerate(patients):
            _announce(target, connections, cx, f"1.2.250.1.213.99.{time.time_ns()}.{number}")

    return Place(
        client, target.repository_unique_id or _asked(target, connections), announce, target.feed.removeprefix("mllp://")
    )


def _secured(target: Target) -> Callable[[bytes], bytes] | None:
    """Plans speak of many patients in one test, therefore their assertions name none."""
    if target.card is None:
        return None
    try:
        target.card.put_about_nobody(b"<Envelope><Header></Header></Envelope>")
    except PkiError as error:
        raise TargetError(f"--suite nist --as: {error}") from None
    return target.card.put_about_nobody


def _asked(target: Target, connections: Connections) -> str:
    """The repositoryUniqueId, by a document of our own suite; empty where none can be submitted and found."""
    if not all(target.url(transaction) for transaction in ("ITI-41", "ITI-18", "ITI-43")):
        return ""
    case = read_suite()["iti43-one"]
    performer = Performer(target, connections, Names(target.assigning_authority))
    performer.tidy(case, performer.perform(case))
    return performer.repository


def _announce(target: Target, connections: Connections, cx: str, id: str) -> None:
    transaction = target.feed_transaction
    if not transaction:
        return
    try:
        if transaction == "ITI-8":
            exchanged = mllp(target.url("ITI-8"), messages.identity_v2("add", cx, "", id[-20:]))
        else:
            url = target.url("ITI-44")
            message = messages.soap("ITI-44", messages.identity_v3("add", cx, "", id), url, "urn:hl7-org:v3:PRPA_IN201301UV02")
            body = target.card.put_about_nobody(message.body) if target.card is not None else message.body
            exchanged = connections.post(url, message.headers, body)
    except ExchangeError as error:
        if isinstance(error, Unreachable):
            connections.unreachable = str(error)
        raise TargetError(f"the patient {cx} cannot be announced: {error}") from None
    reply = read_reply(transaction, exchanged)
    if reply.status not in ("AA", "CA"):
        raise TargetError(f"the target takes no patient {cx}: {reply.outcome} {reply.told}")


def _stopped(connections: Connections) -> Text:
    """Why the run is not gone on with; empty while it is."""
    why = connections.unreachable
    return Text(f"The run was stopped: {why}", f"Le passage a été arrêté : {french(why)}") if why else Text()


def _no_move(target: Target) -> Text | None:
    """Why link changes cannot be asked of this target."""
    if not target.url("ITI-64"):
        return _NO_LISTENER
    return None if "link-change" in target.options else _NO_MOVES


def _moves(test: Test) -> bool:
    """Whether it sends link changes, for which HL7 v2 is the only form."""
    return any(step.kind == "PatientMove" for section in test.sections for step in section.steps)


def _case(test: Test, results: Sequence[Result], exceptions: Exceptions, reason: Text | None) -> CaseResult:
    outcomes = {result.outcome for result in results}
    order = (Outcome.FAILED, Outcome.STALE, Outcome.PASSED)
    status = next((_STATUS[outcome] for outcome in order if outcome in outcomes), Status.SKIPPED)
    left = [result for result in results if result.outcome in (Outcome.EXCEPTED, Outcome.NOT_YET)]
    reasons = [f"{result.step}: {'; '.join(result.texts)}" for result in left]
    french_reasons = [f"{result.step}: {'; '.join(map(french, result.texts))}" for result in left]
    steps = [_step(result) for result in results]
    kinds = [step.transaction for step in steps if step.transaction]
    title = Text(f"NIST test {test.name}", f"Test NIST {test.name}")
    return CaseResult(
        f"nist-{test.name}", title, kinds[-1] if kinds else "", ("nist",), (), "NIST XDS Toolkit", status, (test.name,),
        reason or Text("\n".join(reasons), exceptions.in_french("\n".join(french_reasons))), mend=_MEND, steps=steps,
        started=_now(),
    )  # fmt: skip


def _step(result: Result) -> StepResult:
    step = StepResult(result.step, Text(result.step, result.step), TRANSACTIONS.get(result.kind, ""), expected=result.expected)
    answer = result.answer
    if answer is not None:
        step.outcome = " ".join([answer.status, *dict.fromkeys(answer.codes)]) if not answer.fault else f"Fault {answer.fault}"
        step.told = tuple(Told(e.code, e.context, e.severity, e.location) for e in answer.errors)
        if answer.exchanged is not None:
            step.request, step.response = answer.exchanged.request, answer.exchanged.response
            step.http_status = answer.exchanged.status
    if result.bad:
        anchor = anchor_of(step.response.octets, "status=")
        step.findings = [
            Finding("plan", result.expected, step.outcome, Text(text, f"Écart au plan : {french(text)}"), anchor)
            for text in result.texts
        ]
    return step


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
