"""What an answer says and what the model says, in one form that can be compared.

The reading of ebRIM is typed from ITI TF-3: 4.2.3; it shares no line with `metadata/`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lxml import etree

from tests.model.registry_model import Document, RegistryModel
from tests.nist.wire import RIM, Answer
from tests.proof import messages as said
from tests.registry.search_model import ModelAssociation, ModelEntry, ModelFolder, ModelSet

Told = dict[str, Any]

_ENTRY_CODES = {
    "classCode": said.CLASS, "typeCode": said.TYPE, "formatCode": said.FORMAT, "facility": said.FACILITY,
    "practice": said.PRACTICE, "confidentiality": said.CONFIDENTIALITY, "events": said.EVENT,
}  # fmt: skip


def _q(name: str) -> str:
    return f"{{{RIM}}}{name}"


def _slot(element: etree._Element, name: str) -> list[str]:
    return [v.text or "" for s in element.findall(_q("Slot")) if s.get("name") == name for v in s.iter(_q("Value"))]


def _one(element: etree._Element, name: str) -> str:
    return "".join(_slot(element, name))


def _codes(element: etree._Element, scheme: str) -> list[str]:
    found = [c for c in element.findall(_q("Classification")) if c.get("classificationScheme") == scheme]
    return [f"{c.get('nodeRepresentation')}^^{_one(c, 'codingScheme')}" for c in found]


def _authors(element: etree._Element, scheme: str) -> list[str]:
    found = [c for c in element.findall(_q("Classification")) if c.get("classificationScheme") == scheme]
    return [person for c in found for person in _slot(c, "authorPerson")]


def _identifier(element: etree._Element, scheme: str) -> str:
    found = [e.get("value", "") for e in element.findall(_q("ExternalIdentifier")) if e.get("identificationScheme") == scheme]
    return " and ".join(found)


def _version(element: etree._Element) -> int:
    info = element.find(_q("VersionInfo"))
    return int(info.get("versionName", "0")) if info is not None else 0


def _entry(element: etree._Element) -> Told:
    title = element.find(f"{_q('Name')}/{_q('LocalizedString')}")
    return {
        "uuid": element.get("id"),
        "lid": element.get("lid"),
        "version": _version(element),
        "status": element.get("status"),
        "type": element.get("objectType"),
        "patient": _identifier(element, said.ENTRY_PATIENT),
        "uniqueId": _identifier(element, said.ENTRY_UID),
        "authors": _authors(element, said.ENTRY_AUTHOR),
        "references": _slot(element, "urn:ihe:iti:xds:2013:referenceIdList"),
        "creation": _one(element, "creationTime"),
        "start": _one(element, "serviceStartTime"),
        "stop": _one(element, "serviceStopTime"),
        "hash": _one(element, "hash"),
        "size": _one(element, "size"),
        "availability": _one(element, "documentAvailability"),
        "title": "" if title is None else title.get("value"),
        **{name: _codes(element, scheme) for name, scheme in _ENTRY_CODES.items()},
    }


def _set(element: etree._Element) -> Told:
    return {
        "uuid": element.get("id"),
        "status": element.get("status"),
        "patient": _identifier(element, said.SET_PATIENT),
        "uniqueId": _identifier(element, said.SET_UID),
        "sourceId": _identifier(element, said.SET_SOURCE),
        "submissionTime": _one(element, "submissionTime"),
        "authors": _authors(element, said.SET_AUTHOR),
        "contentType": _codes(element, said.CONTENT_TYPE),
    }


def _folder(element: etree._Element) -> Told:
    return {
        "uuid": element.get("id"),
        "lid": element.get("lid"),
        "version": _version(element),
        "status": element.get("status"),
        "patient": _identifier(element, said.FOLDER_PATIENT),
        "uniqueId": _identifier(element, said.FOLDER_UID),
        "lastUpdate": _one(element, "lastUpdateTime"),
        "codes": _codes(element, said.CODE_LIST),
    }


def _association(element: etree._Element) -> Told:
    return {
        "uuid": element.get("id"),
        "type": element.get("associationType"),
        "source": element.get("sourceObject"),
        "target": element.get("targetObject"),
        "status": element.get("status"),
        "label": _one(element, "SubmissionSetStatus"),
    }


class Seen:
    """The objects of an answer per kind, in the answer's order; `references` are ObjectRefs."""

    def __init__(self, answer: Answer) -> None:
        self.entries: list[Told] = []
        self.sets: list[Told] = []
        self.folders: list[Told] = []
        self.associations: list[Told] = []
        self.references: list[str] = []
        found = answer.body.find(_q("RegistryObjectList"))
        for element in found if found is not None else ():
            self._take(element)

    def _take(self, element: etree._Element) -> None:
        if element.tag == _q("ExtrinsicObject"):
            self.entries.append(_entry(element))
        elif element.tag == _q("Association"):
            self.associations.append(_association(element))
        elif element.tag == _q("ObjectRef"):
            self.references.append(element.get("id", ""))
        else:
            nodes = {c.get("classificationNode") for c in element.findall(_q("Classification"))}
            if said.SET_NODE in nodes:
                self.sets.append(_set(element))
            else:
                self.folders.append(_folder(element))


# ---------------------------------------------------------------------------------------------------------------- model


def told_entry(model: RegistryModel, one: ModelEntry) -> Told:
    """As `_entry` would read it. The defaults of absent attributes: ITI TF-3: 4.2.3.2.30."""
    codes = {name: [getattr(one, name)] for name in ("classCode", "typeCode", "formatCode", "facility", "practice")}
    plain = ("uuid", "lid", "version", "status", "type", "uniqueId", "authors", "references", "creation", "start", "stop")
    return {
        **{name: getattr(one, name) for name in (*plain, "title")},
        **codes,
        "confidentiality": one.confidentiality,
        "events": one.events,
        "patient": model.surviving(one.patient),
        "availability": one.availability if one.availability.endswith("Offline") else "",
        "hash": one.hash if isinstance(one, Document) else "",
        "size": one.size if isinstance(one, Document) else "",
    }


def told_set(model: RegistryModel, one: ModelSet) -> Told:
    plain = ("uuid", "status", "uniqueId", "sourceId", "submissionTime", "authors")
    told = {name: getattr(one, name) for name in plain}
    return {**told, "contentType": [one.contentType], "patient": model.surviving(one.patient)}


def told_folder(model: RegistryModel, one: ModelFolder) -> Told:
    plain = ("uuid", "lid", "version", "status", "uniqueId", "lastUpdate", "codes")
    return {**{name: getattr(one, name) for name in plain}, "patient": model.surviving(one.patient)}


def told_association(one: ModelAssociation) -> Told:
    return {name: getattr(one, name) for name in ("uuid", "type", "source", "target", "status", "label")}


# -------------------------------------------------------------------------------------------------------------- learning


def learn(model: RegistryModel, seen: Seen, earliest: str, latest: str) -> None:
    """Take over what the registry alone decides: the entryUUIDs of symbolic ids and of its own associations, and lastUpdateTime.

    `earliest` and `latest` enclose the request: a lastUpdateTime outside is no answer. What cannot be matched stays `?`, and
    the comparison that follows shows it.
    """
    known = {one.uuid for one in (*model.objects(), *model.world.associations)}
    for kind, mine in (("entries", model.world.entries), ("sets", model.world.sets), ("folders", model.world.folders)):
        new = {told["uniqueId"]: told["uuid"] for told in getattr(seen, kind) if told["uuid"] not in known}
        for one in [one for one in mine if one.uuid.startswith("?")]:
            if one.uniqueId in new:
                model.rename(one.uuid, new.pop(one.uniqueId))
    _learn_associations(model, [told for told in seen.associations if told["uuid"] not in known])
    for told in seen.folders:
        folder = next((f for f in model.world.folders if f.uuid == told["uuid"]), None)
        if folder is not None and folder.uuid in model.touched:
            assert earliest <= told["lastUpdate"] <= latest, f"lastUpdateTime {told['lastUpdate']} of {folder.uuid}"
            folder.lastUpdate = told["lastUpdate"]
            model.touched.remove(folder.uuid)


def _learn_associations(model: RegistryModel, new: list[Told]) -> None:
    """SubmissionSet > association comes after the association it points at: its target must be known first."""
    for _ in range(2):
        for one in [a for a in model.world.associations if a.uuid.startswith("?")]:
            key = (one.type, one.source, one.target, one.label)
            match = next((t for t in new if (t["type"], t["source"], t["target"], t["label"]) == key), None)
            if match:
                new.remove(match)
                model.rename(one.uuid, match["uuid"])


# ------------------------------------------------------------------------------------------------------------ comparing


def differences(expected: Iterable[Told], seen: Iterable[Told]) -> list[str]:
    """What one side has and the other has not, object by object and attribute by attribute."""
    mine: Mapping[str, Told] = {told["uuid"]: told for told in expected}
    theirs: Mapping[str, Told] = {told["uuid"]: told for told in seen}
    found = [f"missing: {told}" for uuid, told in mine.items() if uuid not in theirs]
    found += [f"too many: {told}" for uuid, told in theirs.items() if uuid not in mine]
    for uuid in mine.keys() & theirs.keys():
        for name, value in mine[uuid].items():
            if theirs[uuid].get(name) != value:
                found.append(f"{uuid} {name}: expected {value!r}, seen {theirs[uuid].get(name)!r}")
    return found
