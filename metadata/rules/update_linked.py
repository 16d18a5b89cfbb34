"""Statuses, associations and patients of an update against what is registered (ITI TF-2: 3.57.4.1.3, 3.57.4.1.3.4).

All of these ask `Facts` and run inside the write transaction.
"""

from __future__ import annotations

from collections.abc import Iterator

from metadata.model import Association, DocumentEntry, Folder, Submission
from metadata.rules.association import UNRESOLVED, is_registered
from metadata.rules.declare import alike, rule
from metadata.rules.rule import Context, Existing, Fault
from metadata.rules.update import ITI_57, PATIENT
from metadata.schemes import ON_DEMAND, STABLE
from metadata.update import Outlook, operations_of, outlook
from metadata.vocabulary import ASSOCIATION_BY_URN, STATUS_BY_URN, AssociationType, AvailabilityStatus, ErrorCode, ObjectKind

_UPDATE = alike(ErrorCode.XDSMetadataUpdateError)
_OPERATION = alike(ErrorCode.XDSMetadataUpdateOperationError)
_SECTION = "ITI TF-2: 3.57.4.1.3"
_HAS_MEMBER = AssociationType.HAS_MEMBER.urn
_APPROVED = AvailabilityStatus.APPROVED.urn
_DELETED = AvailabilityStatus.DELETED.urn
_DOCUMENTS_ONLY = (AvailabilityStatus.ARCHIVED.urn, _DELETED)
_VERSIONED = (ObjectKind.DOCUMENT_ENTRY, ObjectKind.FOLDER)


def _word(urn: str) -> str:
    return urn.rpartition(":")[2]


def _outlook(context: Context) -> Outlook:
    return outlook(context.submission, context.registry)


# ---------------------------------------------------------------------------------------------------------------- statuses


def _status_targets(context: Context) -> Iterator[tuple[Association, Existing]]:
    """Each UpdateAvailabilityStatus with the registered object that it points at, or of which it points at the new version."""
    ahead = _outlook(context)
    for trigger in ahead.operations.statuses:
        found = ahead.by_id.get(trigger.targetObject)
        if found is None and is_registered(context, trigger.targetObject):
            found = context.registry.find(trigger.targetObject)
        if found is not None:
            yield trigger, found


@rule(
    "UPD-106",
    _SECTION,
    Submission,
    codes=UNRESOLVED,
    transactions=ITI_57,
    needs_facts=True,
    remedy="Find the entryUUID of the object with a query (ITI-18).",
)
def update_references_resolve(context: Context, submission: Submission) -> Iterator[Fault]:
    """An entryUUID in an update is that of a registered object."""
    operations = operations_of(submission)
    ends = [(trigger, "targetObject", trigger.targetObject) for trigger in operations.statuses]
    for link in operations.links:
        ends += [(link, "sourceObject", link.sourceObject), (link, "targetObject", link.targetObject)]
    for association, attribute, id in ends:
        if is_registered(context, id) and context.registry.find(id) is None:
            message = "no object with this entryUUID is registered"
            yield Fault(message, attribute, id, object=association.entryUUID, line=association.raw.line)


@rule(
    "UPD-107",
    _SECTION,
    Submission,
    codes=_OPERATION,
    transactions=ITI_57,
    needs_facts=True,
    remedy="Change the status of a DocumentEntry, a Folder, an association of a Folder, or one between documents.",
)
def statuses_may_change(context: Context, submission: Submission) -> Iterator[Fault]:
    """The status of a SubmissionSet, and of its associations, does not change."""
    for trigger, found in _status_targets(context):
        of_set = found.kind is ObjectKind.ASSOCIATION and _is_of_a_set(context, found)
        if of_set or found.kind is ObjectKind.SUBMISSION_SET:
            what = "an association of a SubmissionSet" if of_set else "a SubmissionSet"
            message = f"the target is {what}"
            yield Fault(message, "targetObject", trigger.targetObject, object=trigger.entryUUID, line=trigger.raw.line)


def _is_of_a_set(context: Context, found: Existing) -> bool:
    source = context.registry.find(found.sourceObject) if found.associationType == _HAS_MEMBER else None
    return source is not None and source.kind is ObjectKind.SUBMISSION_SET


@rule(
    "UPD-108",
    "ITI TF-2: 3.57.4.1.3; ITI TF-3: 4.1.5",
    Submission,
    codes=_UPDATE,
    transactions=ITI_57,
    needs_facts=True,
    remedy="Change the status of the newest version: query by LogicalID (ITI-18) finds it.",
)
def newest_versions_change(context: Context, submission: Submission) -> Iterator[Fault]:
    """UpdateAvailabilityStatus points at the newest version of an object."""
    for trigger, found in _status_targets(context):
        newest = context.registry.latest(found.logicalID) if found.kind in _VERSIONED else None
        if newest is not None and newest.entryUUID != found.entryUUID:
            message = f"version {found.version} is superseded by version {newest.version}, {newest.entryUUID}"
            yield Fault(message, "targetObject", found.entryUUID, object=trigger.entryUUID, line=trigger.raw.line)


@rule(
    "UPD-109",
    _SECTION,
    Submission,
    codes=_UPDATE,
    transactions=ITI_57,
    needs_facts=True,
    remedy="Send the status that the registry returned in @status.",
)
def original_status_is_true(context: Context, submission: Submission) -> Iterator[Fault]:
    """OriginalStatus is the status that the object has."""
    for trigger, found in _status_targets(context):
        sent = trigger.originalStatus
        if sent in STATUS_BY_URN and sent != found.status:
            message = f"the object is {_word(found.status)}"
            yield Fault(message, "OriginalStatus", sent or "", object=trigger.entryUUID, line=trigger.raw.line)
    links = {link.entryUUID for link in operations_of(submission).links}
    for trigger in operations_of(submission).statuses:
        if trigger.targetObject in links and trigger.originalStatus in STATUS_BY_URN and trigger.originalStatus != _APPROVED:
            sent = trigger.originalStatus or ""
            yield Fault("a new association is Approved", "OriginalStatus", sent, object=trigger.entryUUID, line=trigger.raw.line)


@rule(
    "UPD-110",
    _SECTION,
    Submission,
    codes=_UPDATE,
    transactions=ITI_57,
    needs_facts=True,
    remedy="Archive or delete DocumentEntries only; what is deleted stays so.",
)
def new_status_is_reachable(context: Context, submission: Submission) -> Iterator[Fault]:
    """Only a DocumentEntry is archived or deleted, and a deleted one has no other status any more."""
    for trigger, found in _status_targets(context):
        new, line = trigger.newStatus or "", trigger.raw.line
        if new in _DOCUMENTS_ONLY and found.kind is not ObjectKind.DOCUMENT_ENTRY:
            article = "an" if found.kind is ObjectKind.ASSOCIATION else "a"
            message = f"{article} {found.kind.value} cannot be {_word(new)}"
            yield Fault(message, "NewStatus", new, object=trigger.entryUUID, line=line)
        elif found.status == _DELETED:
            yield Fault("the DocumentEntry is Deleted for good", "NewStatus", new, object=trigger.entryUUID, line=line)


@rule(
    "UPD-111",
    _SECTION,
    Submission,
    codes=_OPERATION,
    transactions=ITI_57,
    needs_facts=True,
    remedy="Send one UpdateAvailabilityStatus for an object in a message, and the next one in another.",
)
def one_status_each(context: Context, submission: Submission) -> Iterator[Fault]:
    """The status of a logical object is changed at most once in a message."""
    ahead = _outlook(context)
    seen: set[str] = set()
    for trigger in ahead.operations.statuses:
        id = ahead.successor(trigger.targetObject)
        if id in seen:
            message = "the status of this object is changed twice"
            yield Fault(message, "targetObject", trigger.targetObject, object=trigger.entryUUID, line=trigger.raw.line)
        seen.add(id)


# ------------------------------------------------------------------------------------------------------------ associations


def _end(context: Context, ahead: Outlook, id: str) -> Existing | None:
    """What stands at one end of a submitted association: a registered object, or the version before a new one."""
    return ahead.by_id.get(id) or (context.registry.find(id) if is_registered(context, id) else None)


@rule(
    "UPD-112",
    "ITI TF-2: 3.57.4.1.3; ITI TF-3: 4.2.2",
    Submission,
    codes=_UPDATE,
    transactions=ITI_57,
    needs_facts=True,
    remedy="Join a Folder (source) to a DocumentEntry by HasMember, and two DocumentEntries by a relationship.",
)
def submitted_ends_fit(context: Context, submission: Submission) -> Iterator[Fault]:
    """A submitted association joins registered objects of the kinds and object types that its type allows."""
    ahead = _outlook(context)
    for link in ahead.operations.links:
        type = ASSOCIATION_BY_URN.get(link.associationType)
        if type is None:
            continue  # AS-001
        holds = type is AssociationType.HAS_MEMBER
        wanted = {
            "sourceObject": ObjectKind.FOLDER if holds else ObjectKind.DOCUMENT_ENTRY,
            "targetObject": ObjectKind.DOCUMENT_ENTRY,
        }
        types = {"sourceObject": STABLE, "targetObject": ON_DEMAND} if type is AssociationType.IS_SNAPSHOT_OF else {}
        for attribute, kind in wanted.items():
            id = getattr(link, attribute)
            found = _end(context, ahead, id)
            if found is not None and found.kind is not kind:
                message = f"the {attribute} is no {kind.value} but of kind {found.kind.value}"
                yield Fault(message, attribute, id, object=link.entryUUID, line=link.raw.line)
            elif found is not None and types.get(attribute, found.objectType) != found.objectType:
                message = "IsSnapshotOf leads from a Stable to an On-Demand DocumentEntry"
                yield Fault(message, attribute, id, object=link.entryUUID, line=link.raw.line)


@rule(
    "UPD-113",
    "ITI TF-3: 4.2.2",
    Submission,
    codes=alike(ErrorCode.XDSRegistryDeprecatedDocumentError),
    transactions=ITI_57,
    needs_facts=True,
    remedy="Refer to the newest version, or approve the document first, in another message.",
)
def submitted_documents_are_approved(context: Context, submission: Submission) -> Iterator[Fault]:
    """A DocumentEntry that is not Approved takes no association from an update."""
    yield from _not_approved(context, ObjectKind.DOCUMENT_ENTRY)


@rule(
    "UPD-114",
    "ITI TF-2: 3.57.4.1.3, 3.42.4.1.3.4",
    Submission,
    codes=_UPDATE,
    transactions=ITI_57,
    needs_facts=True,
    remedy="Use the newest version of the Folder, or approve it first, in another message.",
)
def submitted_folders_are_approved(context: Context, submission: Submission) -> Iterator[Fault]:
    """A Folder that is not Approved takes no association from an update."""
    yield from _not_approved(context, ObjectKind.FOLDER)


def _not_approved(context: Context, kind: ObjectKind) -> Iterator[Fault]:
    ahead = _outlook(context)
    for link in ahead.operations.links:
        for attribute, id in (("sourceObject", link.sourceObject), ("targetObject", link.targetObject)):
            found = _end(context, ahead, id)
            if found is not None and found.kind is kind and found.status != _APPROVED:
                message = f"the {kind.value} is {_word(found.status)}, not Approved"
                yield Fault(message, attribute, id, object=link.entryUUID, line=link.raw.line)


# ---------------------------------------------------------------------------------------------------------------- patients


@rule(
    "UPD-115",
    "ITI TF-2: 3.57.4.1.3.4",
    Submission,
    codes=PATIENT,
    transactions=ITI_57,
    needs_facts=True,
    remedy="Change or deprecate the linked objects too, or switch AssociationPropagation off: what is approved and "
    "linked has one patient.",
)
def patients_agree(context: Context, submission: Submission) -> Iterator[Fault]:
    """After the update, approved objects joined by an approved association have the same patient, merges taken into account."""
    ahead = _outlook(context)
    yield from _of_new_versions(context, ahead)
    yield from _of_approvals(context, ahead)
    for link in ahead.operations.links:
        source, target = _end(context, ahead, link.sourceObject), _end(context, ahead, link.targetObject)
        if source is not None and target is not None and {source.kind, target.kind} <= set(_VERSIONED):
            yield from _differing(context, ahead, source, target, link)


def _differing(
    context: Context, ahead: Outlook, one: Existing, other: Existing, cause: Association | DocumentEntry | Folder
) -> Iterator[Fault]:
    patients = ahead.patient(one), ahead.patient(other)
    if all(patients) and not context.registry.same_patient(*patients):
        message = f"{one.entryUUID} and {other.entryUUID} are linked and would belong to different patients"
        yield Fault(message, "patientId", patients[0], object=cause.entryUUID, line=cause.raw.line)


def _of_new_versions(context: Context, ahead: Outlook) -> Iterator[Fault]:
    """Associations that the new versions inherit."""
    for id, before in ahead.by_id.items():
        update = ahead.previous[before.entryUUID]
        if update.entity.entryUUID != id or not update.propagates or not ahead.is_approved(before):
            continue
        for link in context.registry.links_of(before.entryUUID):
            if link.newest and ahead.is_approved(link.other):
                yield from _differing(context, ahead, before, link.other, update.entity)


def _of_approvals(context: Context, ahead: Outlook) -> Iterator[Fault]:
    """What comes back by a change of status to Approved."""
    for trigger, found in _status_targets(context):
        if trigger.newStatus != _APPROVED or trigger.targetObject in ahead.by_id:
            continue
        if found.kind is ObjectKind.ASSOCIATION:
            ends = context.registry.find(found.sourceObject), context.registry.find(found.targetObject)
            if ends[0] is not None and ends[1] is not None and ahead.is_approved(ends[0]) and ahead.is_approved(ends[1]):
                yield from _differing(context, ahead, ends[0], ends[1], trigger)
        elif found.kind in _VERSIONED:
            for link in context.registry.links_of(found.entryUUID):
                if ahead.is_approved(link.other):
                    yield from _differing(context, ahead, found, link.other, trigger)


RULES = (
    update_references_resolve,
    statuses_may_change,
    newest_versions_change,
    original_status_is_true,
    new_status_is_reachable,
    one_status_each,
    submitted_ends_fit,
    submitted_documents_are_approved,
    submitted_folders_are_approved,
    patients_agree,
)
