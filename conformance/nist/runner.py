"""Runs test plans against a target: prepare, send, check, remember what later steps ask for.

A test that asks for values of another test makes that one run first, so that any choice of tests can be run alone.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lxml import etree

from conformance.nist import message
from conformance.nist.checks import Context, check_step
from conformance.nist.exceptions import Exceptions
from conformance.nist.plan import Link, Section, Step, Test
from conformance.nist.state import Memory, Record, Unresolved
from conformance.nist.target import Patients, Target
from conformance.wire import Answer, WireError, move_patient

CORE = {"Register", "ProvideAndRegister", "XDRProvideAndRegister", "StoredQuery", "Retrieve", "Http", "Null"}
"""Kinds that need ITI-41, 42, 18 or 43 alone."""
PREPARED = {"PatientIdentityFeed", "None"}
"""Steps that only want another patient: it is made known by the target's own means, not by the feed."""
BASE_DATA = ("12346", "12361", "12318", "15807")
"""Tests that load what others look for, not all of whom say so; the first test to run has them run before."""
_REGISTRY = {
    "Register": "ITI-42",
    "StoredQuery": "ITI-18",
    "MPQ": "ITI-51",
    "Mu": "ITI-57",
    "Rmu": "ITI-92",
    "RegisterODDE": "ITI-61",
    "RemoveMetadata": "ITI-62",
}
#: Set-up tests whose patient a person who runs the kit selects as the current one.
_CURRENT_PATIENT = {"15817", "15818"}
_SUBMISSIONS = {"Register", "ProvideAndRegister", "XDRProvideAndRegister", "Mu", "Rmu", "RegisterODDE"}


class Outcome(enum.Enum):
    PASSED = "passed"
    FAILED = "FAILED"
    EXCEPTED = "exception"
    NOT_YET = "not yet"
    STALE = "STALE"
    PREPARED = "prepared"


@dataclass
class Result:
    """What became of one step. `core`: it needs nothing but the four transactions, nor does anything it follows."""

    step: str
    kind: str
    outcome: Outcome
    texts: list[str]
    core: bool
    answer: Answer | None = None
    expected: str = ""

    @property
    def bad(self) -> bool:
        return self.outcome in (Outcome.FAILED, Outcome.STALE)

    def row(self) -> list[str]:
        """What the summary needs, in a form that goes from process to process."""
        return [self.step, self.kind, self.outcome.name, "core" if self.core else ""]

    @classmethod
    def of_row(cls, row: list[str]) -> Result:
        return cls(row[0], row[1], Outcome[row[2]], [], bool(row[3]))

    def line(self) -> str:
        tail = f": {'; '.join(self.texts)}" if self.texts else ""
        return f"{self.outcome.value:9} {self.step} ({self.kind}){tail}"


@dataclass
class _Scope:
    """What holds inside one test."""

    patient: str
    other_patient: str
    spoiled: str = ""
    logs: dict[str, etree._Element] = field(default_factory=dict)


class Runner:
    """All tests of a folder against one target. `fallback` are tests that others may ask for (base data kept elsewhere)."""

    def __init__(self, tests: Mapping[str, Test], target: Target, exceptions: Exceptions, fallback: Mapping[str, Test]) -> None:
        self._tests = {**fallback, **tests}
        self._target = target
        self._exceptions = exceptions
        self._memory = Memory()
        self._oids = message.Oids()
        self._patients = Patients(target, advance=20 + 2 * len(tests))
        self._results: dict[str, list[Result]] = {}
        self._running: list[str] = []
        self._tainted: dict[tuple[str, str, str], str] = {}
        self._submitted: dict[str, bytes] = {}
        self._uuids_asked = _uuids_asked(self._tests.values())

    def run(self, name: str) -> list[Result]:
        """The results of one test, run once."""
        if name in self._results:
            return self._results[name]
        test = self._tests[name]
        self._running.append(name)
        for other in [*BASE_DATA, *sorted(test.needs)]:
            if other in self._tests and other not in self._running and other not in self._results:
                self.run(other)
        scope = _Scope(self._patients.new(), self._patients.new())
        results = [self._step(test, section, step, scope) for section in test.sections for step in section.steps]
        self._running.pop()
        self._results[name] = results
        return results

    # ------------------------------------------------------------------------------------------------------ one step

    def _step(self, test: Test, section: Section, step: Step, scope: _Scope) -> Result:
        name = f"{test.name}/{section.name}/{step.id}"
        taint = scope.spoiled or self._taint(test, section, step)
        texts = list(self._attempt(test, section, step, scope))
        not_yet = self._exceptions.not_yet.get(step.kind, "")
        core = step.kind in CORE and not taint
        if not_yet:
            scope.spoiled = scope.spoiled or not_yet
        if not_yet or taint:
            self._tainted[test.name, section.name, step.id] = not_yet or taint
        if step.kind in PREPARED and not texts:
            return Result(name, step.kind, Outcome.PREPARED, [], False)
        outcome, texts = self._judge(name, texts, not_yet, taint)
        expected = " ".join([" or ".join(step.statuses), step.error_code]).strip()
        return Result(name, step.kind, outcome, texts, core, self._memory.answer(test.name, section.name, step), expected)

    def _judge(self, name: str, texts: list[str], not_yet: str, taint: str) -> tuple[Outcome, list[str]]:
        listed = self._exceptions.steps.get(name)
        if listed and texts:
            return Outcome.EXCEPTED, [f"{listed[0]}: {listed[1]}", *texts]
        if listed:
            return Outcome.STALE, ["listed as an exception, and it passes"]
        if not_yet and not texts:
            return Outcome.STALE, [f"listed as not yet ({not_yet}), and it passes"]
        if not_yet:
            return Outcome.NOT_YET, [not_yet]
        if taint and texts:
            return Outcome.NOT_YET, [f"follows {taint}"]
        return (Outcome.FAILED if texts else Outcome.PASSED), texts

    def _taint(self, test: Test, section: Section, step: Step) -> str:
        """What is not there yet and this step asks for."""
        if step.transaction is not None:
            for link in test.links(section, step.transaction):
                found = self._tainted.get((link.test or test.name, link.section, link.step))
                if found:
                    return found
        return ""

    def _attempt(self, test: Test, section: Section, step: Step, scope: _Scope) -> Iterator[str]:
        """Do it; yield what is wrong."""
        if step.new_patient or step.kind == "PatientIdentityFeed":
            scope.patient = self._patients.new()
        record = Record(patient=scope.patient)
        log = scope.logs.setdefault(section.name, etree.Element("TestResults"))
        try:
            values = self._values(test, section, step, scope)
            if step.kind not in (*PREPARED, "Null"):
                _wait(step)
                self._send(test, section, step, scope, values, record)
        except (Unresolved, WireError, OSError) as error:
            yield str(error) or type(error).__name__
            return
        finally:
            _append(log, step, record)
            self._memory.keep(test.name, section.name, step, record)
        context = Context(
            values, self._submitted, self._described(test, section, step), lambda e: self._named(test, section, e), section.folder
        )
        try:
            yield from check_step(step, record, log, context)
        except (Unresolved, WireError) as error:
            yield str(error)

    def _described(self, test: Test, section: Section, step: Step) -> list[etree._Element]:
        """The answers that ReferenceMetadata names."""
        found = [] if step.transaction is None else step.transaction.findall("ReferenceMetadata")
        names = [(Path(e.get("testdir", section.name)).name, e.get("step", "")) for e in found]
        return self._memory.answers(test.name, names)

    def _named(self, test: Test, section: Section, element: etree._Element) -> str:
        """The value of the one UseId below `element`."""
        return next(self._memory.value(test.name, link) for link in test.links(section, element))

    # -------------------------------------------------------------------------------------------------------- values

    def _values(self, test: Test, section: Section, step: Step, scope: _Scope) -> dict[str, str]:
        """Symbol to value for this step."""
        values = {
            **message.clock(),
            "$patientid$": scope.patient,
            "$patient_id$": scope.patient,
            "$Patient_ID$": scope.patient,
            "$patientid1$": scope.patient,
            "$patient_id1$": self._session("15819"),
            "$altpatientid$": scope.other_patient,
            "$patientid2$": scope.other_patient,
            "$patient_id2$": self._session("15820"),
        }
        if self._target.repository_id:
            values |= dict.fromkeys(("$repuid$", "$repositoryuid$", "$repositoryUniqueId$"), self._target.repository_id)
        if step.transaction is not None:
            for link in test.links(section, step.transaction):
                values[link.symbol] = self._value(test, link, scope)
        return values

    def _value(self, test: Test, link: Link, scope: _Scope) -> str:
        if link.test and link.test not in self._tests and link.name == "$patientid$":
            # The kit's own set-up tests, which announce a patient; they are no part of the folder. Some steps of one test ask
            # for it and others take the current patient: it is the same one.
            return scope.patient if link.test in _CURRENT_PATIENT else self._session(link.test)
        return self._memory.value(test.name, link)

    def _session(self, test: str) -> str:
        """The patient that this set-up test announces: 15819 and 15820 those of the multi-patient data (12361)."""
        return self._memory.session_patient(test, self._patients.new)

    # ------------------------------------------------------------------------------------------------------- sending

    def _send(self, test: Test, section: Section, step: Step, scope: _Scope, values: Mapping[str, str], record: Record) -> None:
        if step.kind == "Http":
            record.answer = self._send_raw(step, section.folder, scope)
            return
        if step.kind == "PatientMove":
            self._move(values, scope)
            return
        if step.kind in self._exceptions.not_yet and step.kind not in {*_REGISTRY, "Rd"}:
            raise Unresolved(f"{step.kind} has no sender in this runner")
        if not step.metadata_file:
            raise Unresolved(f"a step of kind {step.kind} without MetadataFile")
        prepared = self._prepare(test, section, step, scope, values)
        record.take(prepared)
        record.answer = self._dispatch(step, prepared, section.folder)

    def _prepare(self, test: Test, section: Section, step: Step, scope: _Scope, values: Mapping[str, str]) -> message.Prepared:
        path = section.folder / step.metadata_file
        try:
            payload = message.payload_of(message.parse(path.read_bytes()))
        except (OSError, etree.XMLSyntaxError) as error:
            raise Unresolved(f"{path.name}: {error}") from None
        prepared = message.Prepared(payload)
        if step.kind in _SUBMISSIONS:
            kept, keep_all = step.kept_uids
            message.assign_unique_ids(prepared, self._oids, kept, keep_all)
        message.substitute(payload, values)
        if step.kind in _SUBMISSIONS:
            prepared.uids = {item.get("id", ""): i.get("value", "") for item, i in _unique(payload)}
            literal = step.flag("NoPatientId") or step.alternative_patient
            message.assign_patients(prepared, None if literal else scope.patient)
            if "Success" in step.statuses:
                self._patients.make_known(p for p in prepared.patients.values() if "$" not in p)
            message.assign_uuids(prepared, step.flag("AssignUuids") or (test.name, section.name, step.id) in self._uuids_asked)
        if step.flag("CleanParams"):
            message.drop_unresolved_slots(payload)
        return prepared

    def _dispatch(self, step: Step, prepared: message.Prepared, folder: Path) -> Answer:
        client, body = self._target.client, prepared.serialised()
        if step.kind == "MPQ":
            return client.soap("ITI-51", body, client.multi_patient)
        if step.kind in _REGISTRY:
            return client.soap(_REGISTRY[step.kind], body)
        if step.kind == "Retrieve":
            return client.retrieve(body)
        if step.kind == "Rd":
            return client.soap("ITI-86", body, client.repository)
        if step.kind in ("ProvideAndRegister", "XDRProvideAndRegister"):
            documents = {}
            for name, file in step.documents:
                content = (folder / file).read_bytes()
                documents[prepared.uuids.get(name, name)] = content
                if name in prepared.uids:
                    self._submitted[prepared.uids[name]] = content
            return client.provide(body, documents)
        raise Unresolved(f"{step.kind} has no sender in this runner")

    def _move(self, values: Mapping[str, str], scope: _Scope) -> None:
        """ITI-64: only AA is what the plans expect."""
        local, before = values["$NewLocalPID$"], [values["$OldXADPID$"]]
        if "$OldLocalPID$" in values:
            before.append(values["$OldLocalPID$"])
            if before[1] == local:  # 16103 takes the kit's current patient, which no feed of the test has changed there
                local = scope.other_patient
        code, text = move_patient(self._target.mllp, f"{values['$NewXADPID$']}~{local}", "~".join(before))
        if code != "AA":
            raise WireError(f"answered {code}: {text}")

    def _send_raw(self, step: Step, folder: Path, scope: _Scope) -> Answer:
        """A whole HTTP body from a file. Its lines end as the file has them: that too is what some client sends."""
        headers = {}
        for line in step.text("Headers").splitlines():
            name, _, value = line.strip().partition(":")
            headers[name.strip().lower()] = value.strip()
        content = message.renew_raw((folder / step.text("BodyFile")).read_bytes(), self._oids, scope.patient)
        client = self._target.client
        registry = step.transaction is not None and step.transaction.get("type", "pr.b").startswith(("r.", "sq"))
        return client.post(client.registry if registry else client.repository, headers.pop("content-type", ""), content, headers)


def _wait(step: Step) -> None:
    """WaitBefore is there so that a time of one second's precision moves on: wait for the next second, not longer."""
    if step.flag("WaitBefore"):
        time.sleep(1.05 - time.time() % 1)


def _unique(payload: etree._Element) -> Iterator[tuple[etree._Element, etree._Element]]:
    return (pair for pair in message.identifiers(payload) if pair[1].get("identificationScheme") in message.UNIQUE_IDS)


def _append(log: etree._Element, step: Step, record: Record) -> None:
    """The step in the shape in which the kit's XPaths see it."""
    entry = record.log = etree.SubElement(log, "TestStep", id=step.id)
    transaction = etree.SubElement(entry, f"{step.kind}Transaction", step=step.id)
    etree.SubElement(transaction, "InputMetadata").extend(record.copy_of_request())
    etree.SubElement(transaction, "Result").extend(record.copy_of_answer())


def _uuids_asked(tests: Iterable[Test]) -> set[tuple[str, str, str]]:
    """Steps whose UUIDs a later step asks for: the client has to assign them, the answer does not tell."""
    return {
        (link.test or test.name, link.section, link.step)
        for test in tests
        for _, _, link in test.all_links
        if link.table == "AssignedUuids" or (link.table == "Report" and link.name.endswith("_uuid"))
    }
