"""What an update changes, decided before anything is written (ITI TF-2: 3.57.4.1.3).

First all new versions are planned, then the associations that they inherit, so that two updated objects end up linked new to
new; then the submitted associations, and last the statuses. The message has passed the rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from metadata.model import Association, Entity, Submission
from metadata.rules.rule import Existing, Facts, Linked
from metadata.update import ANNOTATIONS, MetadataUpdate, Outlook, outlook
from metadata.vocabulary import ASSOCIATION_BY_URN, STATUS_BY_URN, AssociationType, AvailabilityStatus, ObjectKind
from registry.identifiers import new_uuid
from registry.plan import LABELS, NewAssociation, Plan, Version, registered_id

_HAS_MEMBER = AssociationType.HAS_MEMBER


def plan_update(submission: Submission, facts: Facts, now: str, make_uuid: Callable[[], str] = new_uuid) -> Plan:
    """Plan an update that the rules have accepted. `now` is UTC, YYYYMMDDhhmmss."""
    ahead = outlook(submission, facts)
    operations = ahead.operations
    stored: tuple[Entity, ...] = (
        *submission.submissionSets,
        *submission.documentEntries,
        *submission.folders,
        *(update.trigger for update in operations.updates),
        *operations.links,
    )
    ids = {entity.entryUUID: registered_id(entity.entryUUID, make_uuid) for entity in stored}
    set_uuid = ids[submission.submissionSets[0].entryUUID]
    links = [_membership(update.trigger, ids, set_uuid) for update in operations.updates]
    inherited = list(_inherited(ahead, facts, ids, make_uuid))
    submitted = [_submitted(link, ahead, ids) for link in operations.links]
    of_folders = [link for link in (*inherited, *submitted) if link.type is _HAS_MEMBER]
    links += [*inherited, *submitted]
    links += [NewAssociation(make_uuid(), _HAS_MEMBER, set_uuid, link.uuid) for link in of_folders]
    return Plan(
        now=now,
        ids=ids,
        submissionSet=submission.submissionSets[0],
        documentEntries=submission.documentEntries,
        folders=submission.folders,
        associations=links,
        deprecated=(),
        touched=_gaining(of_folders, facts),
        versions={id: _version(before, ahead) for id, before in ahead.by_id.items()},
        statuses=tuple(_statuses(ahead, facts)),
    )


def _version(before: Existing, ahead: Outlook) -> Version:
    """The next version: with the status of the one before it, unless this update sets another."""
    return Version(before.logicalID, before.version + 1, STATUS_BY_URN[ahead.status(before)])


def _membership(trigger: Association, ids: Mapping[str, str], set_uuid: str) -> NewAssociation:
    """HasMember from the SubmissionSet to a new version; the annotations were for this registry and are not kept."""
    slots = tuple(slot for slot in trigger.raw.slots if slot.name not in ANNOTATIONS)
    sent = replace(trigger, raw=replace(trigger.raw, slots=slots))
    label = LABELS.get(trigger.submissionSetStatus or "")
    return NewAssociation(ids[trigger.entryUUID], _HAS_MEMBER, set_uuid, ids[trigger.targetObject], label, sent)


def _submitted(link: Association, ahead: Outlook, ids: Mapping[str, str]) -> NewAssociation:
    status = STATUS_BY_URN[ahead.statuses.get(link.entryUUID, AvailabilityStatus.APPROVED.urn)]
    ends = (ahead.successor(end) for end in (link.sourceObject, link.targetObject))
    source, target = (ids.get(end, end) for end in ends)
    type = ASSOCIATION_BY_URN[link.associationType]
    return NewAssociation(ids[link.entryUUID], type, source, target, LABELS.get(link.submissionSetStatus or ""), link, status)


# ------------------------------------------------------------------------------------------------- association propagation


def _inherited(ahead: Outlook, facts: Facts, ids: Mapping[str, str], make_uuid: Callable[[], str]) -> Iterator[NewAssociation]:
    """The associations of the versions before, once more for the new ones."""
    done: set[str] = set()
    for uuid, update in ahead.previous.items():
        for link in facts.links_of(uuid) if update.propagates else ():
            if link.association.entryUUID not in done and _goes_on(update, link, ahead, facts):
                done.add(link.association.entryUUID)
                ends = (ahead.successor(end) for end in (link.association.sourceObject, link.association.targetObject))
                source, target = (ids.get(end, end) for end in ends)
                yield NewAssociation(make_uuid(), ASSOCIATION_BY_URN[link.association.associationType], source, target)


def _goes_on(update: MetadataUpdate, link: Linked, ahead: Outlook, facts: Facts) -> bool:
    """Whether a new version inherits this association.

    None joins two patients: where an update may, since an end is Deprecated, and with a link change (ITI-64) it stays behind. A
    superseded version at the other end has a successor that holds the association too. A Folder passes its Approved documents
    on, and a document stays in its Approved Folders; a relationship goes on whatever became of the other document.
    """
    if not link.newest or not facts.same_patient(ahead.patient(link.other), update.entity.patientId or ""):
        return False
    return link.association.associationType != _HAS_MEMBER.urn or ahead.is_approved(link.other)


def _gaining(links: list[NewAssociation], facts: Facts) -> tuple[Existing, ...]:
    """Registered Folders that get another document (ITI TF-2: 3.42.4.1.3.6)."""
    found = (facts.find(source) for source in dict.fromkeys(link.source for link in links))
    return tuple(e for e in found if e is not None and e.kind is ObjectKind.FOLDER)


def _statuses(ahead: Outlook, facts: Facts) -> Iterator[tuple[Existing, AvailabilityStatus]]:
    """Registered objects with another status: superseded versions, and the targets of UpdateAvailabilityStatus."""
    for before in ahead.by_id.values():
        if before.status != AvailabilityStatus.DEPRECATED.urn:
            yield before, AvailabilityStatus.DEPRECATED
    for id, status in ahead.statuses.items():
        found = facts.find(id) if id.startswith("urn:uuid:") and id not in ahead.by_id else None
        if found is not None:
            yield found, STATUS_BY_URN[status]
