"""What is done to a plan's request file before it is sent: ids, uniqueIds, patient ids, values of earlier steps.

The rules are those that the kit's own client follows: every uniqueId becomes a fresh OID but those in NoAssignUids, every
patientId becomes the current patient unless the plan says NoPatientId, symbolic ids become UUIDs with AssignUuids.
"""

from __future__ import annotations

import itertools
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from lxml import etree

from conformance.wire import LCM, RIM

PATIENT_IDS = {
    "urn:uuid:58a6f841-87b3-4a3e-92fd-a8ffeff98427",  # DocumentEntry.patientId
    "urn:uuid:6b5aea1a-874d-4603-a4bc-96a0a7b38446",  # SubmissionSet.patientId
    "urn:uuid:f64ffdf0-4b97-4e06-b79f-a52b38ec2f8a",  # Folder.patientId
}
UNIQUE_IDS = {
    "urn:uuid:2e82c1f6-a085-4c72-9da3-8640a32e42ab",  # DocumentEntry.uniqueId
    "urn:uuid:96fdda7c-d067-4183-912e-bf5ee74998a8",  # SubmissionSet.uniqueId
    "urn:uuid:75df8f67-9973-4fbe-a900-df66cefecc5a",  # Folder.uniqueId
}
SOURCE_ID = "urn:uuid:554ac39e-e3fe-47fe-b233-965d2a147832"
SENDER = "1.3.6.1.4.1.21367.4"
_MESSAGES = ("SubmitObjects", "AdhocQuery", "RetrieveDocumentSet", "RemoveObjects", "RemoveDocuments")
_TOKEN = re.compile(r"\$[A-Za-z][A-Za-z0-9_]*\$")
_PARSER = etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True)


class Oids:
    """OIDs that no other run has used."""

    def __init__(self, root: str = "1.2.42") -> None:
        self._base = f"{root}.{time.time_ns() // 1000}"
        self._count = itertools.count(1)

    def next(self) -> str:
        return f"{self._base}.{next(self._count)}"


@dataclass
class Prepared:
    """A request ready to be sent, and what was assigned on the way, by the object's id in the file."""

    payload: etree._Element
    uids: dict[str, str] = field(default_factory=dict)
    uuids: dict[str, str] = field(default_factory=dict)
    patients: dict[str, str] = field(default_factory=dict)
    unresolved: list[str] = field(default_factory=list)

    def serialised(self) -> bytes:
        return etree.tostring(self.payload, encoding="UTF-8")


def parse(content: bytes) -> etree._Element:
    return etree.fromstring(content, _PARSER)


def payload_of(root: etree._Element) -> etree._Element:
    """The message itself, where a file wraps it (`<X><SubmitObjectsRequest/></X>` of hand-written plans)."""
    for element in root.iter(*(f"{{*}}{name}Request" for name in _MESSAGES)):
        if element.tag.endswith("SubmitObjectsRequest") and etree.QName(element).namespace != LCM:
            continue
        return element
    return root


def clock() -> dict[str, str]:
    """The words for dates (UTC, as DTM has it)."""
    now = datetime.now(UTC)
    return {
        "$DATE$": now.strftime("%Y%m%d"),
        "$now$": now.strftime("%Y%m%d%H%M%S"),
        "$lastyear$": now.replace(year=now.year - 1, day=min(now.day, 28)).strftime("%Y%m%d%H%M%S"),
    }


def replace(text: str, values: Mapping[str, str]) -> str:
    """`text` with every symbol replaced; longer symbols first, so that none eats the beginning of another."""
    for symbol in sorted(values, key=len, reverse=True):
        if symbol and symbol in text:
            text = text.replace(symbol, values[symbol])
    return text


def substitute(root: etree._Element, values: Mapping[str, str]) -> None:
    """Every symbol in text and attributes, in place."""
    for element in root.iter():
        if isinstance(element.tag, str):
            if element.text and not element.text.isspace():
                element.text = replace(element.text, values)
            for name, value in element.attrib.items():
                element.set(name, replace(str(value), values))


def unresolved(root: etree._Element) -> list[str]:
    """`$x$` that nothing replaced, outside the names of query parameters."""
    found = []
    for element in root.iter():
        if isinstance(element.tag, str):
            texts = [element.text or "", *element.attrib.values()]
            found += [token for text in texts for token in _TOKEN.findall(text)]
    return sorted(set(found))


def drop_unresolved_slots(root: etree._Element) -> None:
    """CleanParams: a Slot one of whose values was never filled in goes."""
    for slot in list(root.iter(f"{{{RIM}}}Slot")):
        if any(_TOKEN.search(value.text or "") for value in slot.iter(f"{{{RIM}}}Value")):
            parent = slot.getparent()
            assert parent is not None
            parent.remove(slot)


def objects(root: etree._Element) -> Iterator[etree._Element]:
    """DocumentEntries, SubmissionSets and Folders."""
    yield from root.iter(f"{{{RIM}}}ExtrinsicObject", f"{{{RIM}}}RegistryPackage")


def identifiers(root: etree._Element) -> Iterator[tuple[etree._Element, etree._Element]]:
    """Object and ExternalIdentifier."""
    for item in objects(root):
        for identifier in item.iterfind(f"{{{RIM}}}ExternalIdentifier"):
            yield item, identifier


def assign_unique_ids(prepared: Prepared, oids: Oids, kept: set[str], keep_all: bool) -> None:
    """A fresh uniqueId for every object but those kept; sourceId is the sender's."""
    for item, identifier in identifiers(prepared.payload):
        scheme, name = identifier.get("identificationScheme"), item.get("id", "")
        if scheme == SOURCE_ID:
            identifier.set("value", SENDER)
        elif scheme in UNIQUE_IDS:
            if not keep_all and name not in kept:
                identifier.set("value", oids.next())
            prepared.uids[name] = identifier.get("value", "")


def assign_patients(prepared: Prepared, patient: str | None) -> None:
    """Every patientId becomes `patient` (None: stays); noted by object."""
    for item, identifier in identifiers(prepared.payload):
        if identifier.get("identificationScheme") in PATIENT_IDS:
            if patient is not None:
                identifier.set("value", patient)
            prepared.patients[item.get("id", "")] = identifier.get("value", "")


def assign_uuids(prepared: Prepared, assign: bool) -> None:
    """Symbolic ids of objects and associations become UUIDs, wherever they are named; noted either way."""
    names = {}
    for element in prepared.payload.iter(f"{{{RIM}}}ExtrinsicObject", f"{{{RIM}}}RegistryPackage", f"{{{RIM}}}Association"):
        name = element.get("id", "")
        if name and not name.startswith("urn:uuid:"):
            if assign:
                names[name] = f"urn:uuid:{uuid.uuid4()}"
        elif name:
            prepared.uuids[name] = name
    prepared.uuids.update(names)
    for element in prepared.payload.iter():
        if isinstance(element.tag, str):
            for attribute in ("id", "sourceObject", "targetObject", "classifiedObject", "registryObject"):
                if element.get(attribute) in names:
                    element.set(attribute, names[element.get(attribute, "")])


def literal_patients(content: bytes) -> set[str]:
    """Patient ids that a file names outright."""
    return {
        identifier.get("value", "")
        for _, identifier in identifiers(parse(content))
        if identifier.get("identificationScheme") in PATIENT_IDS and "$" not in identifier.get("value", "$")
    }


_RAW_IDENTIFIER = re.compile(rb"<(?:[\w.-]+:)?ExternalIdentifier\b[^>]*>", re.DOTALL)
_RAW_VALUE = re.compile(rb"""(\svalue=)(["'])(.*?)\2""", re.DOTALL)
_RAW_UUID = re.compile(rb"""\sid=["'](urn:uuid:[0-9a-fA-F-]{36})["']""")
_RAW_KIND = re.compile(rb"""(?:Scheme|classificationNode|objectType)=["'](urn:uuid:[0-9a-fA-F-]{36})["']""")
_RAW_SCHEME = re.compile(rb"""\sidentificationScheme=["']([^"']*)["']""")


def renew_raw(content: bytes, oids: Oids, patient: str) -> bytes:
    """A whole HTTP body as it stands in a file, with the patient, uniqueIds and UUIDs of this run and nothing else touched."""

    def identifier(match: re.Match[bytes]) -> bytes:
        scheme = _RAW_SCHEME.search(match[0])
        name = scheme[1].decode() if scheme else ""
        if name in PATIENT_IDS:
            return _RAW_VALUE.sub(_quoted(patient), match[0])
        if name in UNIQUE_IDS:
            return _RAW_VALUE.sub(_quoted(oids.next()), match[0])
        return match[0]

    content = _RAW_IDENTIFIER.sub(identifier, content)
    known = set(_RAW_KIND.findall(content))  # some files give an identifier the UUID of its scheme as id
    for own in set(_RAW_UUID.findall(content)) - known:
        content = content.replace(own, f"urn:uuid:{uuid.uuid4()}".encode())
    return content


def _quoted(value: str) -> Callable[[re.Match[bytes]], bytes]:
    escaped = value.replace("&", "&amp;").encode()
    return lambda match: match[1] + match[2] + escaped + match[2]
