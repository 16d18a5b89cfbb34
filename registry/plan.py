"""What a submission changes, decided before anything is written (ITI TF-2: 3.42.4.1.3; ITI TF-3: 4.2.2.2).

A pure function of the submission and the facts: symbolic ids become UUIDs, replaced documents and what hangs on them lose
their approval, the replacement enters the Folders of what it replaces, and every Folder that gains a document is touched.
The submission has passed the rules: what they refuse does not come here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Protocol

from metadata.model import Association, DocumentEntry, Folder, Submission, SubmissionSet
from metadata.rules.rule import Existing, Facts
from metadata.vocabulary import ASSOCIATION_BY_URN, AssociationType, AvailabilityStatus, ObjectKind
from registry.identifiers import new_uuid, uuid_bytes
from registry.tables import Label

LABELS = {"Original": Label.ORIGINAL, "Reference": Label.REFERENCE}


class PlanFacts(Facts, Protocol):
    """The rules' facts, and one question more."""

    def dependents(self, entry_uuids: Iterable[str]) -> Sequence[Existing]:
        """Approved transformations and addenda of these entries, and of those, and so on."""


@dataclass(frozen=True, slots=True)
class NewAssociation:
    """One Association to write. `sent` is the submitted one, None for those that its columns describe."""

    uuid: str
    type: AssociationType
    source: str
    target: str
    label: Label | None = None
    sent: Association | None = None
    status: AvailabilityStatus = AvailabilityStatus.APPROVED


@dataclass(frozen=True, slots=True)
class Version:
    """What a new object is of its logical object (ITI TF-3: 4.1.5). `logicalID` is empty for the first version: its own id."""

    logicalID: str = ""
    number: int = 1
    status: AvailabilityStatus = AvailabilityStatus.APPROVED


FIRST = Version()


@dataclass(frozen=True, slots=True)
class Plan:
    """All that one transaction writes. `ids` leads from every submitted id to the registered entryUUID; `now` is a DTM.

    `versions` says by submitted id which new objects are no first versions; `statuses` are the registered objects that get
    another status than by replacement.
    """

    now: str
    ids: Mapping[str, str]
    submissionSet: SubmissionSet
    documentEntries: Sequence[DocumentEntry]
    folders: Sequence[Folder]
    associations: Sequence[NewAssociation]
    deprecated: Sequence[Existing]
    touched: Sequence[Existing]
    versions: Mapping[str, Version] = field(default_factory=dict)
    statuses: Sequence[tuple[Existing, AvailabilityStatus]] = ()


def plan_submission(
    submission: Submission, facts: PlanFacts, now: str, make_uuid: Callable[[], str] = new_uuid
) -> Plan:
    """Plan a submission that the rules have accepted. `now` is UTC, YYYYMMDDhhmmss."""
    submission_set = submission.submissionSets[0]
    ids = {e.entryUUID: registered_id(e.entryUUID, make_uuid) for e in submission.entities()}
    links = [_resolved(link, ids) for link in submission.associations]
    replacements = [link for link in links if link.type.replaces]
    deprecated = _deprecated(replacements, facts)
    inherited, holders = _inherited(replacements, links, ids[submission_set.entryUUID], facts, make_uuid)
    touched = {f.entryUUID: f for f in holders}
    touched.update((f.entryUUID, f) for f in _gaining(links, frozenset(ids.values()), facts))
    return Plan(
        now=now,
        ids=ids,
        submissionSet=submission_set,
        documentEntries=submission.documentEntries,
        folders=submission.folders,
        associations=(*links, *inherited),
        deprecated=deprecated,
        touched=tuple(touched.values()),
    )


def registered_id(submitted: str, make_uuid: Callable[[], str]) -> str:
    """A submitted UUID is kept; a symbolic id, or none, becomes a new UUID (ITI TF-2: 3.42.4.1.3.3.7)."""
    return submitted if uuid_bytes(submitted) is not None else make_uuid()


def _resolved(link: Association, ids: Mapping[str, str]) -> NewAssociation:
    return NewAssociation(
        ids[link.entryUUID],
        ASSOCIATION_BY_URN[link.associationType],
        ids.get(link.sourceObject, link.sourceObject),
        ids.get(link.targetObject, link.targetObject),
        LABELS.get(link.submissionSetStatus or ""),
        link,
    )


def _deprecated(replacements: Sequence[NewAssociation], facts: PlanFacts) -> tuple[Existing, ...]:
    """The replaced entries, and their transformations and addenda at any depth (ITI TF-3: 4.2.2.2.3)."""
    if not replacements:
        return ()
    targets = [facts.find(link.target) for link in replacements]
    losing = {e.entryUUID: e for e in targets if e is not None}
    losing.update((e.entryUUID, e) for e in facts.dependents(list(losing)))
    return tuple(losing.values())


def _inherited(
    replacements: Sequence[NewAssociation],
    links: Sequence[NewAssociation],
    submission_set: str,
    facts: Facts,
    make_uuid: Callable[[], str],
) -> tuple[list[NewAssociation], list[Existing]]:
    """FD-DE and SS-HM for each Folder that holds a replaced entry, and those Folders (ITI TF-2: 3.42.4.1.3.5)."""
    present = {(link.source, link.target) for link in links}
    made: list[NewAssociation] = []
    holders: list[Existing] = []
    for link in replacements:
        for folder in facts.folders_of(link.target):
            if (folder.entryUUID, link.source) in present:
                continue  # the submission says so itself, or two replaced entries share the Folder
            present.add((folder.entryUUID, link.source))
            membership = NewAssociation(make_uuid(), AssociationType.HAS_MEMBER, folder.entryUUID, link.source)
            made.append(membership)
            made.append(NewAssociation(make_uuid(), AssociationType.HAS_MEMBER, submission_set, membership.uuid))
            holders.append(folder)
    return made, holders


def _gaining(links: Sequence[NewAssociation], new: Set[str], facts: Facts) -> list[Existing]:
    """Registered Folders to which the submission adds a document (ITI TF-2: 3.42.4.1.3.6). `new` objects need no looking up."""
    sources = dict.fromkeys(link.source for link in links if link.type is AssociationType.HAS_MEMBER)
    existing = (facts.find(source) for source in sources if source not in new)
    return [e for e in existing if e is not None and e.kind is ObjectKind.FOLDER]
