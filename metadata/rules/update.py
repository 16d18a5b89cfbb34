"""An update by its message alone: triggers, annotations, one operation for each (ITI TF-2: 3.57.4.1.2, 3.57.4.1.3).

What is registered is asked in `metadata/rules/update_registered.py`; what ITI-92 restricts is in `update_restricted.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

from metadata.datatypes import canonical_cx
from metadata.model import Association, DocumentEntry, Folder, Submission, SubmissionSet
from metadata.rules.carriers import UUID_URN
from metadata.rules.declare import UPDATES, alike, rule
from metadata.rules.rule import Context, Fault
from metadata.update import (
    ANNOTATIONS,
    ARCHIVE,
    MetadataUpdate,
    operations_of,
    statuses_of,
    version_number,
    versioned_objects,
)
from metadata.vocabulary import STATUS_BY_URN, AssociationType, ErrorCode, Transaction

ITI_57 = frozenset({Transaction.ITI_57})
_SECTION = "ITI TF-2: 3.57.4.1.2"
_OPERATION = alike(ErrorCode.XDSMetadataUpdateOperationError)
_UPDATE = alike(ErrorCode.XDSMetadataUpdateError)
_INITIAL = alike(ErrorCode.XDSInvalidRequestException)
PATIENT = alike(ErrorCode.XDSPatientIDReconciliationError)

#: What a SubmitAssociation may bring: nothing that replaces, which is a submission's to say.
_SUBMITTED = tuple(
    t.urn
    for t in (
        AssociationType.HAS_MEMBER,
        AssociationType.XFRM,
        AssociationType.APND,
        AssociationType.SIGNS,
        AssociationType.IS_SNAPSHOT_OF,
    )
)


@rule(
    "UPD-001",
    "ITI TF-2: 3.57.4.1.3; ITI TF-3: 4.1.5",
    Submission,
    codes=_INITIAL,
    transactions=UPDATES,
    remedy="Set @lid to the logicalID of the registered object and @id to another name; register new objects with ITI-42.",
)
def no_initial_versions(context: Context, submission: Submission) -> Iterator[Fault]:
    """An update brings later versions only: the logicalID of a DocumentEntry or Folder is sent and is not its id."""
    for entity in versioned_objects(submission):
        lid = entity.raw.lid
        if lid is None or (lid == entity.entryUUID and UUID_URN.fullmatch(lid)):  # any other form is OBJ-003
            message = "the logicalID is missing" if lid is None else "the logicalID is the id: this is a first version"
            yield Fault(message, "logicalID", lid or "", object=entity.entryUUID, line=entity.raw.line)


def members(submission: Submission) -> Iterator[tuple[DocumentEntry | Folder, list[MetadataUpdate]]]:
    """Each updated object with the triggers that point at it."""
    updates = operations_of(submission).updates
    for entity in versioned_objects(submission):
        yield entity, [u for u in updates if u.entity is entity]


@rule(
    "UPD-002",
    _SECTION,
    Submission,
    codes=_OPERATION,
    transactions=ITI_57,
    remedy="Let one HasMember association from the SubmissionSet, with the slot PreviousVersion, point at it.",
)
def one_trigger(context: Context, submission: Submission) -> Iterator[Fault]:
    """Each updated DocumentEntry and Folder is the target of exactly one HasMember association of the SubmissionSet."""
    for entity, triggers in members(submission):
        if len(triggers) != 1:
            found = len(triggers) or "no"
            message = f"{found} HasMember associations of the SubmissionSet point at this {entity.kind.value}"
            yield Fault(message, object=entity.entryUUID, line=entity.raw.line)


@rule(
    "UPD-003",
    _SECTION,
    Submission,
    codes=_OPERATION,
    transactions=ITI_57,
    remedy="Add the slot with the version that the registry returned in VersionInfo/@versionName.",
)
def previous_version_sent(context: Context, submission: Submission) -> Iterator[Fault]:
    """HasMember from the SubmissionSet to an updated object has the slot PreviousVersion with one positive integer."""
    yield from versions_missing(submission)


def versions_missing(submission: Submission) -> Iterator[Fault]:
    """The triggers of new versions that do not say which version they follow."""
    for update in operations_of(submission).updates:
        values = update.trigger.raw.values("PreviousVersion")
        if len(values) != 1 or version_number(values[0]) is None:
            message = "PreviousVersion is no single positive integer" if values else "the slot PreviousVersion is missing"
            sent = " ".join(values)
            yield Fault(
                message, "PreviousVersion", sent, object=update.entity.entryUUID, line=update.trigger.raw.line
            )


@rule("UPD-004", _SECTION, Submission, codes=_UPDATE, transactions=ITI_57, remedy="Write yes or no, or leave the slot out: yes.")
def propagation_known(context: Context, submission: Submission) -> Iterator[Fault]:
    """AssociationPropagation, where it is sent, is yes or no."""
    for update in operations_of(submission).updates:
        values = update.trigger.raw.values("AssociationPropagation")
        if values and values not in (("yes",), ("no",)):
            message = "AssociationPropagation is neither yes nor no"
            yield Fault(
                message, "AssociationPropagation", " ".join(values), object=update.entity.entryUUID, line=update.trigger.raw.line
            )


@rule(
    "UPD-005",
    _SECTION,
    Submission,
    codes=_OPERATION,
    transactions=ITI_57,
    remedy="Leave the slot out: it belongs to another operation.",
)
def annotations_fit(context: Context, submission: Submission) -> Iterator[Fault]:
    """An association carries the annotations of its own operation only."""
    operations = operations_of(submission)
    own = {u.trigger.entryUUID: ("PreviousVersion", "AssociationPropagation") for u in operations.updates}
    own |= {link.entryUUID: ("OriginalStatus", "NewStatus") for link in operations.statuses}
    for link in submission.associations:
        for slot in link.raw.slots:
            if slot.name in ANNOTATIONS and slot.name not in own.get(link.entryUUID, ()):
                message = f"{slot.name} has no meaning in this association"
                yield Fault(message, slot.name, " ".join(slot.values), object=link.entryUUID, line=slot.line)


@rule(
    "UPD-006",
    "ITI TF-2: 3.57.4.1.3",
    Submission,
    codes=_OPERATION,
    transactions=ITI_57,
    remedy="Let the SubmissionSet point by HasMember at an updated object, by UpdateAvailabilityStatus at a registered one, "
    "or by one SubmitAssociation at each other association.",
)
def operations_match(context: Context, submission: Submission) -> Iterator[Fault]:
    """Every association is a trigger of the SubmissionSet, or is submitted by exactly one SubmitAssociation."""
    for link in operations_of(submission).unmatched:
        if isinstance(context.members.get(link.targetObject), SubmissionSet):
            continue  # AS-006, AS-003
        name = link.associationType.rpartition(":")[2]
        yield Fault(
            f"this {name} matches none of the six operations, or several of them",
            "associationType",
            link.associationType,
            object=link.entryUUID,
            line=link.raw.line,
        )


@rule("UPD-007", _SECTION, Submission, codes=_OPERATION, transactions=ITI_57)
def statuses_known(context: Context, submission: Submission) -> Iterator[Fault]:
    """UpdateAvailabilityStatus has one OriginalStatus and one NewStatus, both known in this domain, and they differ."""
    accepted = tuple(status.urn for status in statuses_of(context.options))
    for trigger in operations_of(submission).statuses:
        sent = {name: trigger.raw.values(name) for name in ("OriginalStatus", "NewStatus")}
        for name, values in sent.items():
            if len(values) != 1 or values[0] not in accepted:
                message = f"{name} is no status of this domain" if values else f"the slot {name} is missing"
                remedy = f"Send the slot with one of: {', '.join(accepted)}."
                if any(value in STATUS_BY_URN for value in values) and len(values) == 1:
                    remedy += f" Other statuses need the domain's option {ARCHIVE}."
                yield Fault(message, name, " ".join(values), remedy, trigger.entryUUID, trigger.raw.line)
        if sent["OriginalStatus"] == sent["NewStatus"] and len(sent["NewStatus"]) == 1 and sent["NewStatus"][0] in accepted:
            remedy = "Send the status that the object has now, and the one that it shall have."
            message = "OriginalStatus and NewStatus are the same"
            yield Fault(message, "NewStatus", sent["NewStatus"][0], remedy, trigger.entryUUID, trigger.raw.line)


@rule(
    "UPD-008",
    "ITI TF-2: 3.57.4.1.3",
    Submission,
    codes=_OPERATION,
    transactions=UPDATES,
    remedy="Send one new version of an object in a message, and the next one in another.",
)
def one_update_each(context: Context, submission: Submission) -> Iterator[Fault]:
    """At most one new version of each logical object is sent in a message."""
    seen: set[str] = set()
    for entity in versioned_objects(submission):
        lid = entity.logicalID
        if lid and lid in seen:
            message = "another object of this message has the same logicalID"
            yield Fault(message, "logicalID", lid, object=entity.entryUUID, line=entity.raw.line)
        seen.add(lid or "")


@rule(
    "UPD-009",
    "ITI TF-2: 3.57.4.1.3",
    Submission,
    codes=_OPERATION,
    transactions=ITI_57,
    remedy="Submit HasMember from a Folder to a document, XFRM, APND, signs or IsSnapshotOf; replace a document with ITI-42.",
)
def submitted_types(context: Context, submission: Submission) -> Iterator[Fault]:
    """SubmitAssociation brings an association of a Folder to a document, or between documents, that replaces nothing."""
    known = {t.urn for t in AssociationType}
    for link in operations_of(submission).links:
        sent = link.associationType
        if sent in known and sent not in _SUBMITTED:  # an unknown type is AS-001
            message = "an update does not replace documents"
            yield Fault(message, "associationType", sent, object=link.entryUUID, line=link.raw.line)


@rule(
    "UPD-010",
    "ITI TF-2: 3.57.4.1.3",
    Submission,
    codes=_OPERATION,
    transactions=ITI_57,
    remedy="Send a new version, a change of status, or an association to add.",
)
def something_is_updated(context: Context, submission: Submission) -> Iterator[Fault]:
    """An update holds at least one operation."""
    if not submission.associations and not submission.documentEntries and not submission.folders:
        yield Fault("the message asks for no operation", object=_set_id(submission))


def _set_id(submission: Submission) -> str:
    return submission.submissionSets[0].entryUUID if submission.submissionSets else ""


@rule(
    "UPD-011",
    "ITI TF-2: 3.57.4.1.3.4",
    Submission,
    codes=PATIENT,
    transactions=UPDATES,
    remedy="Send one patientId in the whole message: that which the new versions shall have.",
)
def one_patient(context: Context, submission: Submission) -> Iterator[Fault]:
    """A new version of a DocumentEntry or Folder has the patientId of the SubmissionSet."""
    expected = submission.submissionSets[0].patientId if submission.submissionSets else None
    for entity in versioned_objects(submission):
        sent = entity.patientId
        if expected and sent and sent != expected and canonical_cx(sent) != canonical_cx(expected):
            message = f"the patientId of the {entity.kind.value} is not that of the SubmissionSet, '{expected}'"
            yield Fault(message, "patientId", sent, object=entity.entryUUID, line=entity.raw.line)


@rule(
    "UPD-012",
    "ITI TF-2: 3.57.4.1.3",
    Association,
    codes=_OPERATION,
    transactions=ITI_57,
    remedy="Refer to a registered object by its entryUUID, or to a new version by its id.",
)
def statuses_of_objects(context: Context, association: Association) -> Iterator[Fault]:
    """UpdateAvailabilityStatus points at a registered object, a new version of one, or an association that is submitted."""
    if association.associationType != AssociationType.UPDATE_AVAILABILITY_STATUS.urn:
        return
    target = association.targetObject
    member = context.members.get(target)
    if isinstance(member, Association) and member.entryUUID != association.entryUUID:
        submitted = {link.entryUUID for link in operations_of(context.submission).links}
        if target not in submitted:
            yield Fault("the target is a trigger of this message", "targetObject", target, line=association.raw.line)


RULES = (
    no_initial_versions,
    one_trigger,
    previous_version_sent,
    propagation_known,
    annotations_fit,
    operations_match,
    statuses_known,
    one_update_each,
    submitted_types,
    something_is_updated,
    one_patient,
    statuses_of_objects,
)
