"""What a vendor's software is expected to show, and whether it has: expectations tick themselves off as messages arrive.

An expectation is a row of `expectations.toml`: a sentence in English and French, the section of the standard, and criteria, typed
from the standard and independent of the rules. `facts_of` reads from one message what criteria ask; `Progress` keeps which rows
are met, and by which message. Criteria that need an earlier message (`known`) look at what the sandbox has seen.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from lxml import etree

from schemas.namespaces import RIM, RMD, XDS, q

_ROWS = Path(__file__).with_name("expectations.toml")
_SCHEMES = {
    "urn:uuid:41a5887f-8865-4c09-adf7-e362475b143a": "classCode",
    "urn:uuid:f0306f51-975f-434e-a61c-c59651d33983": "typeCode",
    "urn:uuid:f4f85eac-e6cb-4883-b524-f2705394840f": "confidentialityCode",
    "urn:uuid:2c6b8cb7-8b2a-4051-b291-b1ae6a575ef4": "eventCodeList",
    "urn:uuid:a09d5840-386c-46f2-b5ad-9c3699a4309d": "formatCode",
    "urn:uuid:93606bcf-9494-43ec-9b4e-a7748d1a838d": "author",
    "urn:uuid:1ba97051-7806-41a8-a48b-8fce7af683c5": "codeList",
}
_UNIQUE_ID = "urn:uuid:2e82c1f6-a085-4c72-9da3-8640a32e42ab"
_FOLDER = "urn:uuid:d9d542f3-6cc4-48b6-8870-ea235fbc94c2"
#: Most objects and values that the facts of one message hold.
_MOST = 2_000

Facts = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Expectation:
    """One row. `group` gathers rows for display; `when` maps a criterion to what it wants (see `CRITERIA`)."""

    id: str
    group: str
    en: str
    fr: str
    section: str
    when: Mapping[str, Any]

    def in_(self, language: str) -> str:
        return self.fr if language == "fr" else self.en


@lru_cache(maxsize=1)
def expectations() -> tuple[Expectation, ...]:
    """Every row, in the order of the file. Raises ValueError for a row with an unknown criterion."""
    rows = tomllib.loads(_ROWS.read_text(encoding="utf-8"))["expectation"]
    found = tuple(Expectation(**row) for row in rows)
    for one in found:
        unknown = set(one.when) - CRITERIA.keys()
        if unknown:
            known = ", ".join(sorted(CRITERIA))
            raise ValueError(f"{one.id}: criteria {', '.join(sorted(unknown))} are not known; known: {known}")
    return found


# ---- what a message says ----


def facts_of(body: etree._Element | None, sizes: Iterable[int] = ()) -> Facts:
    """What criteria ask of the child of the SOAP body: entries, associations, query, documents asked for, sizes of documents."""
    facts: Facts = {"sizes": list(sizes)[:_MOST]}
    if body is None:
        return facts
    facts["entries"] = [_entry(one) for one in _some(body, q(RIM, "ExtrinsicObject"))]
    facts["folders"] = sum(1 for one in _some(body, q(RIM, "Classification")) if one.get("classificationNode") == _FOLDER)
    facts["associations"] = [_association(one) for one in _some(body, q(RIM, "Association"))]
    query = body.find(q(RIM, "AdhocQuery"))
    if query is not None:
        option = body.find("{*}ResponseOption")
        facts["query"] = query.get("id", "")
        facts["parameters"] = {slot.get("name", ""): _values(slot) for slot in _some(query, q(RIM, "Slot"))}
        facts["returnType"] = option.get("returnType", "") if option is not None else ""
    facts["wanted"] = [
        (request.findtext(q(XDS, "DocumentUniqueId")) or "").strip()
        for request in [*_some(body, q(XDS, "DocumentRequest")), *_some(body, q(RMD, "DocumentRequest"))]
    ]
    return facts


def _some(element: etree._Element, tag: str) -> list[etree._Element]:
    return [one for one, _ in zip(element.iter(tag), range(_MOST), strict=False)]


def _values(slot: etree._Element) -> list[str]:
    return [(value.text or "").strip() for value in _some(slot, q(RIM, "Value"))]


def _association(element: etree._Element) -> dict[str, Any]:
    slots = {slot.get("name", ""): _values(slot) for slot in element.findall(q(RIM, "Slot"))}
    return {"type": element.get("associationType", "").rpartition(":")[2], "slots": slots}


def _entry(element: etree._Element) -> dict[str, Any]:
    codes: dict[str, list[str]] = {}
    authored: set[str] = set()
    for one in element.findall(q(RIM, "Classification")):
        attribute = _SCHEMES.get(one.get("classificationScheme", ""))
        if attribute:
            codes.setdefault(attribute, []).append(one.get("nodeRepresentation", ""))
            if attribute == "author":
                authored |= {slot.get("name", "") for slot in one.findall(q(RIM, "Slot"))}
    identifiers = element.findall(q(RIM, "ExternalIdentifier"))
    unique = [one.get("value", "") for one in identifiers if one.get("identificationScheme") == _UNIQUE_ID]
    return {
        "mimeType": element.get("mimeType", ""),
        "codes": codes,
        "slots": sorted({slot.get("name", "") for slot in element.findall(q(RIM, "Slot"))} | authored),
        "uniqueId": unique[0] if unique else "",
        "id": element.get("id", ""),
    }


# ---- whether it is what was expected ----


@dataclass(slots=True)
class Seen:
    """What a sandbox has seen: uniqueIds of documents that were taken in."""

    documents: set[str] = field(default_factory=set)


def _one_of(wanted: Any) -> set[str]:
    return set(wanted) if isinstance(wanted, list) else {wanted}


def _any_entry(name: str, facts: Facts, wanted: Any) -> bool:
    return any(_one_of(wanted) & set(entry["codes"].get(name, ())) for entry in facts.get("entries", ()))


#: Criterion -> whether a message (its facts, with `transaction`, `status`, `mtom`, `notes` beside them) meets it.
CRITERIA: dict[str, Any] = {
    "transaction": lambda facts, wanted, seen: facts["transaction"] in _one_of(wanted),
    "status": lambda facts, wanted, seen: facts["status"] in _one_of(wanted),
    "mtom": lambda facts, wanted, seen: facts["mtom"] is wanted,
    "tolerated": lambda facts, wanted, seen: len(facts["notes"]) <= wanted,
    "query": lambda facts, wanted, seen: facts.get("query", "") in _one_of(wanted),
    "returnType": lambda facts, wanted, seen: facts.get("returnType", "") == wanted,
    "parameters": lambda facts, wanted, seen: set(wanted) <= facts.get("parameters", {}).keys(),
    "association": lambda facts, wanted, seen: any(one["type"] in _one_of(wanted) for one in facts.get("associations", ())),
    "associationSlot": lambda facts, wanted, seen: any(
        set(wanted.items()) <= {(name, value) for name, values in one["slots"].items() for value in values}
        for one in facts.get("associations", ())
    ),
    "documents": lambda facts, wanted, seen: len(facts.get("entries", ())) >= wanted,
    "folders": lambda facts, wanted, seen: facts.get("folders", 0) >= wanted,
    "size": lambda facts, wanted, seen: any(size >= wanted for size in facts.get("sizes", ())),
    "mimeType": lambda facts, wanted, seen: any(one["mimeType"] in _one_of(wanted) for one in facts.get("entries", ())),
    "classCode": lambda facts, wanted, seen: _any_entry("classCode", facts, wanted),
    "typeCode": lambda facts, wanted, seen: _any_entry("typeCode", facts, wanted),
    "formatCode": lambda facts, wanted, seen: _any_entry("formatCode", facts, wanted),
    "confidentialityCode": lambda facts, wanted, seen: _any_entry("confidentialityCode", facts, wanted),
    "eventCodes": lambda facts, wanted, seen: any(
        len(one["codes"].get("eventCodeList", ())) >= wanted for one in facts.get("entries", ())
    ),
    "slots": lambda facts, wanted, seen: any(set(wanted) <= set(one["slots"]) for one in facts.get("entries", ())),
    "known": lambda facts, wanted, seen: bool(facts.get("wanted")) and (set(facts["wanted"]) <= seen.documents) is wanted,
    "wanted": lambda facts, wanted, seen: len(facts.get("wanted", ())) >= wanted,
}


@dataclass(slots=True)
class Progress:
    """Which expectations of one sandbox are met: id of the row -> number of the first message that met it."""

    met: dict[str, int] = field(default_factory=dict)
    seen: Seen = field(default_factory=Seen)

    def take(self, number: int, facts: Facts) -> list[Expectation]:
        """One more message; the rows that it meets first. `facts` are those of `facts_of` with what became of the message."""
        fresh = [one for one in expectations() if one.id not in self.met and self._meets(one, facts)]
        self.met.update((one.id, number) for one in fresh)
        if facts["transaction"] in ("ITI-41", "ITI-42", "ITI-61") and facts["status"] == "Success":
            self.seen.documents.update(one["uniqueId"] for one in facts.get("entries", ()))
        return fresh

    def _meets(self, one: Expectation, facts: Facts) -> bool:
        return all(CRITERIA[name](facts, wanted, self.seen) for name, wanted in one.when.items())
