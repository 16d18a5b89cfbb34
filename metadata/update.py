"""What an update asks for: the triggers of ITI-57 and ITI-92 decoded (ITI TF-2: 3.57.4.1.2, 3.57.4.1.3).

An update is a SubmissionSet with updated objects and associations. An association that starts at the SubmissionSet is a
trigger: HasMember to an updated object makes a new version of it, UpdateAvailabilityStatus changes the status of a registered
object, SubmitAssociation adds another association of the message. What is no part of one of these matches no operation.
The decoding forgives: rules (`metadata/rules/update.py`) name what is wrong, the plan sees only what they let pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from metadata.model import Association, DocumentEntry, Folder, Submission
from metadata.rules.rule import Existing, Facts
from metadata.vocabulary import STATUS_BY_URN, AssociationType, AvailabilityStatus, ObjectKind

#: Put into `Context.options` by a domain that archives and deletes documents by their status (DMP).
ARCHIVE = "update-archive"

HAS_MEMBER = AssociationType.HAS_MEMBER.urn
UPDATE_STATUS = AssociationType.UPDATE_AVAILABILITY_STATUS.urn
SUBMIT_ASSOCIATION = AssociationType.SUBMIT_ASSOCIATION.urn

#: The slots that a trigger may carry (ITI TF-2: 3.57.4.1.2).
ANNOTATIONS = ("PreviousVersion", "AssociationPropagation", "OriginalStatus", "NewStatus")

_ORDINARY = (AvailabilityStatus.APPROVED, AvailabilityStatus.DEPRECATED)


@dataclass(frozen=True, slots=True)
class MetadataUpdate:
    """A new version of a DocumentEntry or Folder. `previousVersion` is None where the slot holds no positive number."""

    entity: DocumentEntry | Folder
    trigger: Association

    @property
    def previousVersion(self) -> int | None:
        return version_number(self.trigger.previousVersion)

    @property
    def propagates(self) -> bool:
        """Association Propagation: on unless it is switched off."""
        return self.trigger.associationPropagation != "no"


@dataclass(frozen=True, slots=True)
class Operations:
    """The operations of one message. `unmatched` are the associations that belong to none of them."""

    updates: tuple[MetadataUpdate, ...] = ()
    statuses: tuple[Association, ...] = ()
    links: tuple[Association, ...] = ()
    unmatched: tuple[Association, ...] = ()


def operations_of(submission: Submission) -> Operations:
    """Decode a message, right or wrong."""
    sources = {one.entryUUID for one in submission.submissionSets}
    versioned = {one.entryUUID: one for one in versioned_objects(submission)}
    others = {
        link.entryUUID: link
        for link in submission.associations
        if link.sourceObject not in sources and link.associationType not in (UPDATE_STATUS, SUBMIT_ASSOCIATION)
    }
    updates, statuses, unmatched = [], [], []
    submitted: dict[str, int] = {}
    for link in submission.associations:
        target, is_trigger = link.targetObject, link.sourceObject in sources
        if is_trigger and link.associationType == HAS_MEMBER and target in versioned:
            updates.append(MetadataUpdate(versioned[target], link))
        elif is_trigger and link.associationType == UPDATE_STATUS:
            statuses.append(link)
        elif is_trigger and link.associationType == SUBMIT_ASSOCIATION and target in others:
            submitted[target] = submitted.get(target, 0) + 1
        elif is_trigger or link.associationType in (UPDATE_STATUS, SUBMIT_ASSOCIATION):
            unmatched.append(link)
    links = tuple(link for id, link in others.items() if submitted.get(id) == 1)
    unmatched += [link for id, link in others.items() if submitted.get(id) != 1]
    return Operations(tuple(updates), tuple(statuses), links, tuple(unmatched))


def versioned_objects(submission: Submission) -> Iterator[DocumentEntry | Folder]:
    """The objects of which an update makes new versions."""
    yield from submission.documentEntries
    yield from submission.folders


def version_number(text: str | None) -> int | None:
    """A version as PreviousVersion writes it: a positive integer; None for anything else."""
    if text is None or not text.isascii() or not text.isdigit() or len(text) > 9:
        return None
    return int(text) or None


def statuses_of(options: frozenset[str]) -> tuple[AvailabilityStatus, ...]:
    """The statuses that an update may name in this domain."""
    return tuple(AvailabilityStatus) if ARCHIVE in options else _ORDINARY


def previous_version(facts: Facts, entity: DocumentEntry | Folder) -> Existing | None:
    """The registered object that the sent one is a new version of: the newest with its logicalID, None where there is none."""
    lid = entity.logicalID
    found = facts.latest(lid) if lid and lid != entity.entryUUID else None
    if found is None or found.logicalID != lid or found.kind not in (ObjectKind.DOCUMENT_ENTRY, ObjectKind.FOLDER):
        return None
    return found


@dataclass(frozen=True, slots=True)
class Outlook:
    """What registered objects will be once the update is done.

    `previous` leads from the entryUUID of a version that gets a successor to the update that makes it; `by_id` from the id of a
    new version to the version before it. `statuses` holds the new status by the entryUUID or id that it is set on: that of the
    new version where there is one.
    """

    operations: Operations
    previous: Mapping[str, MetadataUpdate] = field(default_factory=dict)
    by_id: Mapping[str, Existing] = field(default_factory=dict)
    statuses: Mapping[str, str] = field(default_factory=dict)

    def successor(self, entry_uuid: str) -> str:
        """The id under which an object goes on: that of its new version, or the same."""
        update = self.previous.get(entry_uuid)
        return update.entity.entryUUID if update else entry_uuid

    def patient(self, existing: Existing) -> str:
        """The patient of the object, or of its new version."""
        update = self.previous.get(existing.entryUUID)
        return (update.entity.patientId or "") if update else existing.patientId

    def status(self, existing: Existing) -> str:
        """The status of the object, or of its new version, which takes over that of the version before."""
        return self.statuses.get(self.successor(existing.entryUUID), existing.status)

    def is_approved(self, existing: Existing) -> bool:
        return self.status(existing) == AvailabilityStatus.APPROVED.urn


def outlook(submission: Submission, facts: Facts) -> Outlook:
    """Decode a message and look up what its new versions follow."""
    operations = operations_of(submission)
    previous: dict[str, MetadataUpdate] = {}
    by_id: dict[str, Existing] = {}
    for update in operations.updates:
        found = previous_version(facts, update.entity)
        if found is not None:
            previous.setdefault(found.entryUUID, update)
            by_id[update.entity.entryUUID] = found
    statuses: dict[str, str] = {}
    for trigger in operations.statuses:
        superseded = previous.get(trigger.targetObject)
        id = superseded.entity.entryUUID if superseded else trigger.targetObject
        if trigger.newStatus in STATUS_BY_URN:
            statuses.setdefault(id, trigger.newStatus)
    return Outlook(operations, previous, by_id, statuses)
