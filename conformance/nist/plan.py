"""NIST test plans as data: what a folder of them holds, in the order in which it is to be run.

A test is a folder; its sections are the folders below it that hold a `testplan.xml` (or the test's folder itself); a section
has steps; a step has one transaction, or none (`NewPatientId`). Nothing is sent here.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from lxml import etree


class PlanError(Exception):
    """A plan that cannot be read; the text names the file."""


@dataclass(frozen=True)
class Link:
    """`symbol` is to be replaced by what an earlier step yielded.

    `test` is empty for the same test. `table` is what of that step is asked (AssignedUids, AssignedUuids, AssignedPatientId,
    Report for a named report, ObjectRef, XPath; Value for one that is given outright), `name` which of it.
    """

    symbol: str
    test: str
    section: str
    step: str
    table: str
    name: str

    def __str__(self) -> str:
        return f"{self.symbol} from {self.test or '.'}/{self.section or '.'}/{self.step} {self.table} {self.name}"


@dataclass(frozen=True)
class Report:
    """A value that later steps may ask for: an XPath over the request (InputMetadata) or the answer (Result)."""

    name: str
    section: str
    xpath: str


@dataclass(frozen=True)
class Step:
    """One step. `transaction` is the element `<...Transaction>` or None; `kind` its name without that ending."""

    id: str
    statuses: tuple[str, ...]
    error_code: str
    error_message: str
    new_patient: bool
    alternative_patient: bool
    transaction: etree._Element | None

    @property
    def kind(self) -> str:
        if self.transaction is None:
            return "None"
        return str(etree.QName(self.transaction).localname).removesuffix("Transaction")

    def flag(self, name: str) -> bool:
        return self.transaction is not None and self.transaction.find(name) is not None

    def text(self, name: str) -> str:
        return "" if self.transaction is None else (self.transaction.findtext(name) or "").strip()

    @property
    def metadata_file(self) -> str:
        return "" if self.flag("NoMetadata") else self.text("MetadataFile")

    @property
    def documents(self) -> list[tuple[str, str]]:
        """Document id and file of an ITI-41."""
        found = [] if self.transaction is None else self.transaction.findall("Document")
        return [(e.get("id", ""), (e.text or "").strip()) for e in found]

    @property
    def reference_documents(self) -> list[tuple[str, str]]:
        found = [] if self.transaction is None else self.transaction.findall("ReferenceDocument")
        return [(e.get("uid", ""), (e.text or "").strip()) for e in found]

    @property
    def kept_uids(self) -> tuple[set[str], bool]:
        """Ids of the objects whose uniqueId stays as it is, and whether all do."""
        found = [] if self.transaction is None else self.transaction.findall("NoAssignUids")
        return {e.get("id", "") for e in found if e.get("id")}, any(not e.get("id") for e in found)

    @property
    def reports(self) -> list[Report]:
        found = [] if self.transaction is None else self.transaction.findall("Report")
        return [Report(e.get("name", ""), e.get("section", ""), (e.text or "").strip()) for e in found]

    @property
    def expected_contents(self) -> etree._Element | None:
        return None if self.transaction is None else self.transaction.find("ExpectedContents")

    @property
    def assertions(self) -> list[tuple[str, str, str]]:
        """Name, XPath and process (`equalsIgnoreCase` or nothing) of each."""
        found = [] if self.transaction is None else self.transaction.iterfind("Assertions/Assert")
        return [(e.get("id", ""), (e.text or "").strip(), e.get("process", "")) for e in found]


@dataclass
class Section:
    name: str
    folder: Path
    steps: list[Step]


@dataclass
class Test:
    """One test. `name` is the folder's name; `part` the folder in which it was found (tests, testdata-registry, ...)."""

    __test__: ClassVar[bool] = False  # pytest: not a class of tests
    name: str
    part: str
    folder: Path
    sections: list[Section] = field(default_factory=list)

    def links(self, section: Section, element: etree._Element) -> list[Link]:
        """UseId, UseReport, UseObjectRef and UseXPath below `element`, with the test and the section they ask."""
        return [*self._id_links(section, element), *self._report_links(section, element), *self._log_links(section, element)]

    def _place(self, section: Section, directory: str) -> tuple[str, str]:
        """Test (empty: this one) and section that a `testdir` names."""
        if not directory:
            return "", section.name
        # Written from the section's folder; some plans write it from the test's.
        start = section.folder if directory.startswith("..") else self.folder
        path = Path(os.path.normpath(start / directory))
        if path.parent == self.folder.parent and path != self.folder:
            return path.name, "."
        return ("" if path.parent == self.folder else path.parent.name), path.name

    def _id_links(self, section: Section, element: etree._Element) -> Iterator[Link]:
        for use in element.iterfind("UseId"):
            symbol = _symbol(use.get("symbol", ""))
            if use.get("value"):
                yield Link(symbol, "", "", "", "Value", use.get("value", ""))
                continue
            test, asked = self._place(section, use.get("testdir", ""))
            yield Link(symbol, test, asked, use.get("step", ""), use.get("section", ""), use.get("id", ""))

    def _log_links(self, section: Section, element: etree._Element) -> Iterator[Link]:
        for use in element.iterfind("UseObjectRef"):
            test, asked = self._place(section, use.get("testdir", ""))
            yield Link(_symbol(use.get("symbol", "")), test, asked, use.get("step", ""), "ObjectRef", use.get("index", ""))
        for use in element.iterfind("UseXPath"):
            test, asked = self._place(section, use.get("testdir", ""))
            yield Link(_symbol(use.get("symbol", "")), test, asked, use.get("step", ""), "XPath", (use.text or "").strip())

    def _report_links(self, section: Section, element: etree._Element) -> Iterator[Link]:
        for use in element.iterfind("UseReport"):
            asked = use.get("section", "")
            test = use.get("test", "")
            yield Link(
                _symbol(use.get("useAs", "")),
                "" if test == self.name else test,
                section.name if asked in ("", "THIS") and not test else asked,
                use.get("step", ""),
                "Report",
                use.get("reportName", ""),
            )

    @cached_property
    def all_links(self) -> list[tuple[str, str, Link]]:
        """Section, step and link of every transaction of the test."""
        return [
            (section.name, step.id, link)
            for section in self.sections
            for step in section.steps
            if step.transaction is not None
            for link in self.links(section, step.transaction)
        ]

    @property
    def needs(self) -> set[str]:
        """Other tests whose steps this one asks."""
        return {link.test for _, _, link in self.all_links if link.test}


def _symbol(text: str) -> str:
    """`$x` is written where `$x$` is meant."""
    return f"{text}$" if text.startswith("$") and not text.endswith("$") else text


def read_plan(path: Path) -> list[Step]:
    try:
        root = etree.parse(str(path), etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True)).getroot()
    except (OSError, etree.XMLSyntaxError) as error:
        raise PlanError(f"{path}: {error}") from None
    return [_step(element, path) for element in root.iterfind("TestStep")]


def _step(element: etree._Element, path: Path) -> Step:
    transactions = [e for e in element if isinstance(e.tag, str) and e.tag.endswith("Transaction")]
    if len(transactions) > 1:
        raise PlanError(f"{path}: step {element.get('id')} has {len(transactions)} transactions")
    statuses = [word for e in element.iterfind("ExpectedStatus") for word in re.split(r"[,\s]+", e.text or "") if word]
    return Step(
        id=element.get("id", ""),
        statuses=tuple(statuses),
        error_code=(element.findtext("ExpectedErrorCode") or "").strip(),
        error_message=(element.findtext("ExpectedErrorMessage") or "").strip(),
        new_patient=element.find("NewPatientId") is not None,
        alternative_patient=element.find("AltPatientId") is not None,
        transaction=transactions[0] if transactions else None,
    )


def read_folder(folder: Path) -> dict[str, Test]:
    """Every test below `folder`, by name: a folder with plans right below it or in it, at most two levels down."""
    if not folder.is_dir():
        raise PlanError(f"{folder} is no folder")
    listed = {**_described(folder / "INDEX.md"), **_listed(folder / "expected.tsv")}
    tests: dict[str, Test] = {}
    for place in _places(folder):
        part = place.parent.name
        if place.name in tests:
            raise PlanError(f"two tests are named {place.name}: {tests[place.name].folder} and {place}")
        test = Test(place.name, part, place)
        plans = [place, *sorted(child for child in place.iterdir() if child.is_dir())]
        for section in plans:
            if (section / "testplan.xml").is_file():
                name = "." if section == place else section.name
                test.sections.append(Section(name, section, read_plan(section / "testplan.xml")))
        _order(test, _index(place) or listed.get(place.name, []))
        tests[place.name] = test
    return tests


def _places(folder: Path) -> Iterator[Path]:
    """Folders that are tests: the plan is in them or one level below. `folder` may itself hold the tests, or parts of them."""
    if _is_test(folder):
        yield folder
        return
    for child in sorted(p for p in folder.iterdir() if p.is_dir()):
        if _is_test(child):
            yield child
        else:
            yield from (p for p in sorted(child.iterdir()) if p.is_dir() and _is_test(p))


def _is_test(folder: Path) -> bool:
    """A plan in the folder, or in sections that hold their files themselves."""
    if (folder / "testplan.xml").is_file():
        return True
    children = [p for p in folder.iterdir() if p.is_dir()]
    sections = [p for p in children if (p / "testplan.xml").is_file()]
    # A part (testdata-registry) may hold a test whose plan is in its own folder: then its neighbours are tests as well.
    grown = any((grandchild / "testplan.xml").is_file() for p in children for grandchild in p.iterdir() if grandchild.is_dir())
    return bool(sections) and not grown


def _index(place: Path) -> list[str]:
    """The kit's own order of sections, where it came along."""
    path = place / "index.idx"
    return path.read_text(encoding="utf-8").split() if path.is_file() else []


def _listed(path: Path) -> dict[str, list[str]]:
    """Test to its sections in the order of `expected.tsv`."""
    order: dict[str, list[str]] = {}
    if path.is_file():
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
                sections = order.setdefault(row["test"], [])
                if row["section"] not in sections:
                    sections.append(row["section"])
    return order


def _described(path: Path) -> dict[str, list[str]]:
    """The same from `INDEX.md`: below a heading `### part/test` a line "- `section` ..." for each step."""
    order: dict[str, list[str]] = {}
    test = ""
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        if line.startswith("#"):
            test = line.rpartition("/")[2].strip() if line.startswith("### ") else ""
        elif test and (match := re.match(r"- `([^`]+)`", line)):
            sections = order.setdefault(test, [])
            if match[1] not in sections:
                sections.append(match[1])
    return order


def _order(test: Test, listed: list[str]) -> None:
    """Sections as listed, and none before those whose values it asks for."""
    rank = {name: n for n, name in enumerate(listed)}
    # Without a list: first what makes a patient, for the other sections are for that patient.
    waiting = sorted(test.sections, key=lambda s: (rank.get(s.name, len(rank) + 1 - (not listed and _feeds(s))), s.name))
    names = {section.name for section in waiting}
    asked = {
        section.name: {
            link.section
            for step in section.steps
            if step.transaction is not None
            for element in step.transaction.iter(tag=etree.Element)
            for link in test.links(section, element)
            if not link.test and link.section in names - {section.name}
        }
        for section in waiting
    }
    ordered: list[Section] = []
    while waiting:
        done = {section.name for section in ordered}
        ready = next((s for s in waiting if asked[s.name] <= done), waiting[0])
        waiting.remove(ready)
        ordered.append(ready)
    test.sections = ordered


def _feeds(section: Section) -> bool:
    return any(step.kind == "PatientIdentityFeed" for step in section.steps)
