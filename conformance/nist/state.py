"""What steps leave behind for later steps."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field

from lxml import etree

from conformance.nist.message import Prepared
from conformance.nist.plan import Link, Step
from conformance.wire import Answer


class Unresolved(Exception):
    """A step cannot be done: a value, a file or a way to send is missing."""


@dataclass
class Record:
    """One step: what was sent, what was assigned, what came back."""

    request: etree._Element | None = None
    answer: Answer | None = None
    uids: dict[str, str] = field(default_factory=dict)
    uuids: dict[str, str] = field(default_factory=dict)
    patients: dict[str, str] = field(default_factory=dict)
    patient: str = ""
    log: etree._Element | None = None

    def take(self, prepared: Prepared) -> None:
        self.request = prepared.payload
        self.uids, self.uuids, self.patients = prepared.uids, prepared.uuids, prepared.patients

    def copy_of_request(self) -> list[etree._Element]:
        return [] if self.request is None else [copy.deepcopy(self.request)]

    def copy_of_answer(self) -> list[etree._Element]:
        return [] if self.answer is None else [copy.deepcopy(self.answer.body)]

    def named(self, name: str) -> str | None:
        """The reports that every submission has without being told: `Document01_uid`, `Document01_uuid`, `$patientid$`."""
        if name in ("$patientid$", "patientid"):
            return next(iter(self.patients.values()), self.patient)
        bare = name.strip("$")
        for ending, table in (("_uid", self.uids), ("_uuid", self.uuids)):
            if bare.endswith(ending) and bare.removesuffix(ending) in table:
                return table[bare.removesuffix(ending)]
        return None


class Memory:
    """All records by test, section and step, and the reports they declared."""

    def __init__(self) -> None:
        self._records: dict[tuple[str, str, str], tuple[Step, Record]] = {}
        self._session: dict[str, str] = {}

    def keep(self, test: str, section: str, step: Step, record: Record) -> None:
        self._records[test, section, step.id] = step, record

    def answers(self, test: str, names: list[tuple[str, str]]) -> list[etree._Element]:
        """The bodies that came back in these sections and steps of a test."""
        records = [self._records[test, *name][1] for name in names if (test, *name) in self._records]
        return [record.answer.body for record in records if record.answer is not None]

    def answer(self, test: str, section: str, step: Step) -> Answer | None:
        """What came back to this step."""
        return self._records[test, section, step.id][1].answer

    def session_patient(self, test: str, new: Callable[[], str]) -> str:
        """The patient of a set-up test that is no part of the folder; the same for all that ask."""
        if test not in self._session:
            self._session[test] = new()
        return self._session[test]

    def value(self, test: str, link: Link) -> str:
        """Raises `Unresolved` when no step has left it."""
        if link.table == "Value":
            return link.name
        key = link.test or test, link.section, link.step
        if key not in self._records:
            raise Unresolved(f"{link}: that step has not been run")
        step, record = self._records[key]
        found = self._report(step, record, link.name) if link.table == "Report" else self._asked(record, link)
        if found is None:
            raise Unresolved(f"{link}: that step has left no such value")
        return found

    def _asked(self, record: Record, link: Link) -> str | None:
        if link.table == "AssignedPatientId":
            return record.patients.get(link.name) or record.patient or None
        if link.table == "ObjectRef":
            return None if record.answer is None else object_at(record.answer.body, link.name)
        if link.table == "XPath":
            return None if record.log is None else as_text(record.log.xpath(link.name))
        table = {"AssignedUids": record.uids, "AssignedUuids": record.uuids}.get(link.table)
        if table is None:
            raise Unresolved(f"{link}: the table {link.table} is not known to this runner")
        return table.get(link.name)

    def _report(self, step: Step, record: Record, name: str) -> str | None:
        for report in step.reports:
            if report.name == name:
                root = record.request
                if report.section != "InputMetadata":
                    root = None if record.answer is None else record.answer.body
                return None if root is None else first_text(root, report.xpath)
        return record.named(name)


def first_text(root: etree._Element, xpath: str) -> str | None:
    """The string value of the first node, or of what the expression yields. `root` is seen as a child of a Result."""
    holder = etree.Element("Result")
    holder.append(copy.deepcopy(root))
    return as_text(holder.xpath(xpath))


def object_at(body: etree._Element, index: str) -> str | None:
    """The id of the object at `index`, counted from 0, of an AdhocQueryResponse."""
    found = body.xpath("//*[local-name()='RegistryObjectList']/*/@id")
    return str(found[int(index)]) if isinstance(found, list) and index.isdecimal() and int(index) < len(found) else None


def as_text(found: object) -> str | None:
    """The string value of what an XPath yields: of its first node, where it yields nodes."""
    if isinstance(found, list) and not found:
        return None
    first = found[0] if isinstance(found, list) else found
    if isinstance(first, etree._Element):
        return "".join(str(text) for text in first.itertext()).strip()
    return str(first).strip()
