"""What a run of the suite has found, as data: the runner writes it, reports and evidence are made of it, and it survives as JSON.

    Run            one run against one target
      CaseResult   one case: status, what it proves, why and how to mend, in English and French
        StepResult one exchange: request and response whole, what was expected and what came
          Finding  one expectation that was not met, with the line of the message that shows it

`Run.to_json` and `Run.of_json` are each other's inverse; octets are base64. Times are ISO 8601 in UTC, durations seconds.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

#: Version of the JSON shape.
FORMAT = 1


class Status(StrEnum):
    """PASSED: as expected. FAILED: the target is at fault. SKIPPED: not performed, with the reason. ERROR: no usable answer."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Text:
    """One sentence in both languages."""

    en: str = ""
    fr: str = ""

    def in_(self, lang: str) -> str:
        """In `fr` or `en`; English where French is missing."""
        return (self.fr or self.en) if lang == "fr" else self.en

    def __bool__(self) -> bool:
        return bool(self.en)


@dataclass(frozen=True, slots=True)
class Message:
    """One HTTP message as it went over the wire: start line and headers, then the body. MLLP has an empty head."""

    head: bytes = b""
    body: bytes = b""

    @property
    def octets(self) -> bytes:
        """The whole capture."""
        return self.head + self.body

    def __bool__(self) -> bool:
        return bool(self.head or self.body)


@dataclass(frozen=True, slots=True)
class Anchor:
    """A place in a message: `message` is "request" or "response", `line` counts from 1 in the octets of head and body together.

    `excerpt` are characters that stand there, for whoever lays the message out anew.
    """

    message: str
    line: int
    excerpt: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One expectation not met. `check` names its kind (status, code, fault, content, document, header, connection ...)."""

    check: str
    expected: str
    got: str
    text: Text
    anchor: Anchor | None = None
    rules: tuple[str, ...] = ()
    section: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """An rs:RegistryError or a fault of the answer, in the target's own words."""

    code: str
    context: str
    severity: str = ""
    location: str = ""


@dataclass(slots=True)
class StepResult:
    """One exchange. `expected` and `outcome` are words a person reads: `Failure XDSUnknownPatientId`, `Success`, `Fault Sender`.

    `prepares`: the step prepares the case (a patient announced, an earlier submission) and `cleans`: it tidies up.
    """

    name: str
    title: Text
    transaction: str
    url: str = ""
    started: str = ""
    seconds: float = 0.0
    request: Message = field(default_factory=Message)
    response: Message = field(default_factory=Message)
    http_status: int = 0
    expected: str = ""
    outcome: str = ""
    told: tuple[Told, ...] = ()
    findings: list[Finding] = field(default_factory=list)
    prepares: bool = False
    cleans: bool = False


@dataclass(slots=True)
class CaseResult:
    """One case. `reason` says why it was skipped, or what error kept it from being judged."""

    id: str
    title: Text
    transaction: str
    profiles: tuple[str, ...]
    proves: tuple[str, ...]
    section: str
    status: Status
    requirements: tuple[str, ...] = ()
    reason: Text = field(default_factory=Text)
    why: Text = field(default_factory=Text)
    mend: Text = field(default_factory=Text)
    steps: list[StepResult] = field(default_factory=list)
    patients: tuple[str, ...] = ()
    started: str = ""
    seconds: float = 0.0

    @property
    def bad(self) -> bool:
        return self.status in (Status.FAILED, Status.ERROR)

    @property
    def findings(self) -> Iterator[tuple[StepResult, Finding]]:
        return ((step, finding) for step in self.steps for finding in step.findings)


@dataclass(frozen=True, slots=True)
class Required:
    """A requirement code of a homologation: its title, the referential that it is of, the ids of the cases of the suite that show
    it; `reason` says why none does, or what of it none shows."""

    code: str
    title: Text
    referential: Text = field(default_factory=Text)
    cases: tuple[str, ...] = ()
    reason: Text = field(default_factory=Text)


@dataclass(slots=True)
class Run:
    """One run. `endpoints`: transaction to address. `coverage`: rule id to the ids of the cases of the suite that prove it.

    `required` are the requirements of the referentials in force. `stopped` says why the run was not gone on with; empty where it
    went through.
    """

    target: str
    profile: str
    suite: str
    lang: str
    started: str
    finished: str = ""
    seconds: float = 0.0
    software: str = ""
    endpoints: dict[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    cases: list[CaseResult] = field(default_factory=list)
    coverage: dict[str, tuple[str, ...]] = field(default_factory=dict)
    required: tuple[Required, ...] = ()
    stopped: Text = field(default_factory=Text)

    @property
    def counts(self) -> dict[str, int]:
        """Cases by status, every status named."""
        counted = Counter(case.status for case in self.cases)
        return {status.value: counted[status] for status in Status}

    @property
    def passed(self) -> bool:
        """A case passed, and none failed or ended in an error: where all were skipped, nothing is proved."""
        some = any(case.status is Status.PASSED for case in self.cases)
        return some and not self.stopped and not any(case.bad for case in self.cases)

    def rule_status(self) -> dict[str, Status | None]:
        """Rule to what this run says of it: failed when one of its cases is bad, passed when one passed, None when none ran."""
        return {rule: self.status_of(ids) for rule, ids in self.coverage.items()}

    def status_of(self, ids: Iterable[str]) -> Status | None:
        """What the cases of these ids say together; None where none of them is in this run."""
        by_id = {case.id: case.status for case in self.cases}
        statuses = {by_id[id] for id in ids if id in by_id}
        order = (Status.FAILED, Status.ERROR, Status.PASSED, Status.SKIPPED)
        return next((status for status in order if status in statuses), None)

    def to_json(self) -> dict[str, Any]:
        """As `json.dumps` takes it."""
        return {"format": FORMAT, "counts": self.counts, **_plain(self)}

    @classmethod
    def of_json(cls, data: Mapping[str, Any]) -> Run:
        """Raises ValueError for another version of the format, KeyError and TypeError for what is no run."""
        if data.get("format") != FORMAT:
            raise ValueError(f"the format of this report is {data.get('format')!r}; {FORMAT} is read here")
        own = set(cls.__dataclass_fields__) - {"cases", "coverage", "options", "required", "stopped"}
        kept = {key: value for key, value in data.items() if key in own}
        return cls(
            **kept,
            options=tuple(data["options"]),
            cases=[case_of_json(case) for case in data["cases"]],
            coverage={rule: tuple(ids) for rule, ids in data["coverage"].items()},
            required=tuple(_required(one) for one in data.get("required", ())),
            stopped=Text(**data.get("stopped", {})),
        )


def case_to_json(case: CaseResult) -> dict[str, Any]:
    """One case, as it is noted while a run goes on."""
    plain: dict[str, Any] = _plain(case)
    return plain


def case_of_json(data: Mapping[str, Any]) -> CaseResult:
    """The inverse of `case_to_json`."""
    texts = {name: Text(**data[name]) for name in ("title", "reason", "why", "mend")}
    lists = {name: tuple(data[name]) for name in ("profiles", "proves", "requirements", "patients")}
    steps = [_step_of_json(step) for step in data["steps"]]
    return CaseResult(**{**data, **texts, **lists, "status": Status(data["status"]), "steps": steps})


def _required(data: Mapping[str, Any]) -> Required:
    texts = {name: Text(**data[name]) for name in ("title", "referential", "reason")}
    return Required(**{**data, **texts, "cases": tuple(data["cases"])})


def _step_of_json(data: Mapping[str, Any]) -> StepResult:
    return StepResult(
        **{
            **data,
            "title": Text(**data["title"]),
            "request": _message(data["request"]),
            "response": _message(data["response"]),
            "told": tuple(Told(**told) for told in data["told"]),
            "findings": [_finding(finding) for finding in data["findings"]],
        }
    )


def _message(data: Mapping[str, str]) -> Message:
    return Message(base64.b64decode(data["head"]), base64.b64decode(data["body"]))


def _finding(data: Mapping[str, Any]) -> Finding:
    anchor = Anchor(**data["anchor"]) if data["anchor"] else None
    return Finding(**{**data, "text": Text(**data["text"]), "anchor": anchor, "rules": tuple(data["rules"])})


def _plain(value: Any) -> Any:
    """Dataclasses as objects, tuples as arrays, octets as base64."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    return value
