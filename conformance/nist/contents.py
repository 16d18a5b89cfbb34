"""What a plan expects of the objects in an answer (`ExpectedContents`), each word one small function.

A word yields the sentences that tell what is wrong; none means that it holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lxml import etree

from conformance.wire import RIM

SUBMISSION_SET = "urn:uuid:a54d6aa5-d40d-43f9-88c5-b4633d873bdd"
FOLDER = "urn:uuid:d9d542f3-6cc4-48b6-8870-ea235fbc94c2"
STATUS = "urn:oasis:names:tc:ebxml-regrep:StatusType:"
HAS_MEMBER = "urn:oasis:names:tc:ebxml-regrep:AssociationType:HasMember"
RELATION = "urn:ihe:iti:2007:AssociationType:"
SNAPSHOT = "urn:ihe:iti:2010:AssociationType:IsSnapshotOf"


@dataclass
class Objects:
    """The objects of an AdhocQueryResponse, sorted by kind."""

    documents: list[etree._Element]
    submission_sets: list[etree._Element]
    folders: list[etree._Element]
    associations: list[etree._Element]
    references: list[etree._Element]

    @classmethod
    def of(cls, body: etree._Element) -> Objects:
        container = body.find(f"{{{RIM}}}RegistryObjectList")
        children = [] if container is None else list(container)
        packages = [e for e in children if e.tag == f"{{{RIM}}}RegistryPackage"]
        return cls(
            documents=[e for e in children if e.tag == f"{{{RIM}}}ExtrinsicObject"],
            submission_sets=[e for e in packages if _is(e, SUBMISSION_SET)],
            folders=[e for e in packages if _is(e, FOLDER)],
            associations=[e for e in children if e.tag == f"{{{RIM}}}Association"],
            references=[e for e in children if e.tag == f"{{{RIM}}}ObjectRef"],
        )

    def linked(self, source: etree._Element, target: etree._Element) -> bool:
        return any(
            a.get("associationType") == HAS_MEMBER
            and a.get("sourceObject") == source.get("id")
            and a.get("targetObject") == target.get("id")
            for a in self.associations
        )

    def of_type(self, association_type: str) -> list[etree._Element]:
        return [a for a in self.associations if a.get("associationType") == association_type]


def _is(package: etree._Element, node: str) -> bool:
    return any(c.get("classificationNode") == node for c in package.iterfind(f"{{{RIM}}}Classification"))


def check(expected: etree._Element, body: etree._Element, uuid_of: Callable[[etree._Element], str]) -> Iterator[str]:
    """Every word of `expected` against the answer. `uuid_of` resolves the UseId of a DocumentEntry that is named."""
    objects = Objects.of(body)
    for word in expected:
        name = str(etree.QName(word).localname)
        if name in _COUNTED:
            count = word.get("count")
            if count is not None and len(_COUNTED[name](objects)) != int(count):
                yield f"{name}: {count} expected, {len(_COUNTED[name](objects))} returned"
        elif name in _PATTERNS:
            yield from _pattern(name, objects)
        elif name in _WORDS:
            yield from (f"{name}: {text}" for text in _WORDS[name](objects))
        elif name == "DocumentEntries":
            yield from _entries(word, objects, uuid_of)
        elif name != "RegistryResponseIsValid":
            yield f"the word {name} is not known to this runner"


_COUNTED: dict[str, Callable[[Objects], list[etree._Element]]] = {
    "Documents": lambda o: o.documents,
    "SubmissionSets": lambda o: o.submission_sets,
    "Folders": lambda o: o.folders,
    "Associations": lambda o: o.associations,
    "ObjectRefs": lambda o: o.references,
}


@dataclass(frozen=True)
class _Pattern:
    """A SubmissionSet with so many DocumentEntries and Folders, so many of the entries in the Folder."""

    documents: int
    folders: int = 0
    in_folder: int = 0


_PATTERNS = {
    "SSwithOneDoc": _Pattern(1),
    "SSwithOneDocOnly": _Pattern(1),
    "SSwithTwoDoc": _Pattern(2),
    "SSwithTwoDocOnly": _Pattern(2),
    "SSwithOneFol": _Pattern(0, 1),
    "SSwithOneDocOneFol": _Pattern(1, 1, 1),
    "SSwithTwoDocOneFol": _Pattern(2, 1, 2),
    "SSwithTwoDocOneFolOneDocInFol": _Pattern(2, 1, 1),
}


def _pattern(name: str, objects: Objects) -> Iterator[str]:
    pattern = _PATTERNS[name]
    for kind, wanted in (("SubmissionSets", 1), ("Documents", pattern.documents), ("Folders", pattern.folders)):
        got = len(_COUNTED[kind](objects))
        if got != wanted:
            yield f"{name}: {wanted} {kind} expected, {got} returned"
    if len(objects.submission_sets) != 1:
        return
    top = objects.submission_sets[0]
    for member in [*objects.documents, *objects.folders]:
        if not objects.linked(top, member):
            yield f"{name}: no HasMember from the SubmissionSet to {member.get('id')}"
    held = sum(objects.linked(folder, document) for folder in objects.folders for document in objects.documents)
    if held != pattern.in_folder:
        yield f"{name}: {pattern.in_folder} DocumentEntries in the Folder expected, {held} returned"
    if name.endswith("Only") and len(objects.associations) != pattern.documents:
        yield f"{name}: {pattern.documents} Associations expected, {len(objects.associations)} returned"


def _all(status: str, kind: str) -> Callable[[Objects], Iterator[str]]:
    def check_all(objects: Objects) -> Iterator[str]:
        for element in _COUNTED[kind](objects):
            if element.get("status") != STATUS + status:
                yield f"{element.get('id')} has status {element.get('status')}"

    return check_all


def _one(status: str) -> Callable[[Objects], Iterator[str]]:
    def check_one(objects: Objects) -> Iterator[str]:
        count = sum(element.get("status") == STATUS + status for element in objects.documents)
        if count != 1:
            yield f"{count} DocumentEntries are {status}"

    return check_one


def _has(association_type: str, both_ends: bool = False) -> Callable[[Objects], Iterator[str]]:
    def check_has(objects: Objects) -> Iterator[str]:
        ids = {element.get("id") for element in objects.documents}
        found = objects.of_type(association_type)
        if both_ends:
            found = [a for a in found if {a.get("sourceObject"), a.get("targetObject")} <= ids]
        if not found:
            yield f"no association of type {association_type}" + (" with both DocumentEntries" if both_ends else "")

    return check_has


def _none(*kinds: str) -> Callable[[Objects], Iterator[str]]:
    def check_none(objects: Objects) -> Iterator[str]:
        for kind in kinds:
            if _COUNTED[kind](objects):
                yield f"{len(_COUNTED[kind](objects))} {kind} returned"

    return check_none


_WORDS: dict[str, Callable[[Objects], Iterator[str]]] = {
    "DocApp": _all("Approved", "Documents"),
    "DocDep": _all("Deprecated", "Documents"),
    "FolApp": _all("Approved", "Folders"),
    "FolDep": _all("Deprecated", "Folders"),
    "SSApproved": _all("Approved", "SubmissionSets"),
    "OneDocApp": _one("Approved"),
    "OneDocDep": _one("Deprecated"),
    "HasRPLC": _has(RELATION + "RPLC"),
    "HasAPND": _has(RELATION + "APND"),
    "HasXFRM": _has(RELATION + "XFRM"),
    "HasXFRM_RPLC": _has(RELATION + "XFRM_RPLC"),
    "DocRplcDoc": _has(RELATION + "RPLC", both_ends=True),
    "HasSnapshotPattern": _has(SNAPSHOT, both_ends=True),
    "None": _none("Documents", "SubmissionSets", "Folders", "Associations", "ObjectRefs"),
    "NoSubmissionSet": _none("SubmissionSets"),
    "NoDocument": _none("Documents"),
}


def _entries(word: etree._Element, objects: Objects, uuid_of: Callable[[etree._Element], str]) -> Iterator[str]:
    """Include: these are among the DocumentEntries; MustOnlyInclude: these and no others."""
    types = {element.get("id"): element.get("objectType") for element in objects.documents}
    for rule in word:
        named = {}
        for entry in rule.iterfind("DocumentEntry"):
            named[uuid_of(entry)] = (entry.findtext("DocumentEntryType") or "").strip()
        for entry_uuid, object_type in named.items():
            if entry_uuid not in types:
                yield f"DocumentEntry {entry_uuid} is not in the answer"
            elif object_type and types[entry_uuid] != object_type:
                yield f"DocumentEntry {entry_uuid} has objectType {types[entry_uuid]}, expected {object_type}"
        if etree.QName(rule).localname == "MustOnlyInclude":
            yield from (f"DocumentEntry {other} is too much" for other in set(types) - set(named))
