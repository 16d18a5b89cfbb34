"""Associations of a submission, as far as the message alone tells (ITI TF-3: 4.2.2; ITI TF-2: 3.42.4.1.3.5).

An id that starts with urn:uuid: and is no object of the submission means a registered object: what holds for that one is in
`metadata/rules/lifecycle.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

from metadata.datatypes import is_uuid
from metadata.model import Association, DocumentEntry, Entity, Folder, Submission, SubmissionSet
from metadata.rules.declare import SUBMISSIONS, alike, rule
from metadata.rules.rule import Context, Fault
from metadata.schemes import ASSOCIATION_DOCUMENTATION, STABLE
from metadata.signature_entry import SIGNS_SET
from metadata.vocabulary import ASSOCIATION_BY_URN, AssociationType, ErrorCode, Severity

UNRESOLVED = alike(ErrorCode.UnresolvedReferenceException)

_HAS_MEMBER = AssociationType.HAS_MEMBER.urn
_UPDATE_TYPES = (AssociationType.UPDATE_AVAILABILITY_STATUS.urn, AssociationType.SUBMIT_ASSOCIATION.urn)
_REGISTERED_TARGET = tuple(t.urn for t in (AssociationType.RPLC, AssociationType.XFRM_RPLC, AssociationType.IS_SNAPSHOT_OF))
_STATUSES = ("Original", "Reference")


def _a(entity: Entity) -> str:
    """`a Folder`, `an Association`."""
    return f"{'an' if isinstance(entity, Association) else 'a'} {entity.kind.value}"


def is_registered(context: Context, id: str) -> bool:
    """True for an id that can only mean an object of the registry. One that begins as a UUID and is none is AS-021."""
    return id.startswith("urn:uuid:") and id not in context.members and is_uuid(id)


def is_relationship(association: Association) -> bool:
    """True for a document-to-document association (ITI TF-3: 4.2.2.2)."""
    known = ASSOCIATION_BY_URN.get(association.associationType)
    return known is not None and known.is_relationship


def is_of_the_set(context: Context, association: Association) -> bool:
    """True for a HasMember association whose source is the SubmissionSet of this message."""
    return association.associationType == _HAS_MEMBER and isinstance(context.members.get(association.sourceObject), SubmissionSet)


def is_of_a_folder(context: Context, association: Association) -> bool:
    """True for a HasMember association whose source is a Folder, of this message or of the registry."""
    source = association.sourceObject
    return association.associationType == _HAS_MEMBER and (
        isinstance(context.members.get(source), Folder) or is_registered(context, source)
    )


@rule("AS-001", "ITI TF-3: 4.2.2", Association)
def type_known(context: Context, association: Association) -> Iterator[Fault]:
    """The associationType is one of those that the standard defines, written as URN."""
    sent = association.associationType
    if sent not in ASSOCIATION_BY_URN:
        meant = next((t.urn for t in AssociationType if sent and t.urn.endswith(f":{sent.rpartition(':')[2]}")), "")
        remedy = f"Write {meant}." if meant else "Use HasMember, RPLC, XFRM, APND, XFRM_RPLC, signs or IsSnapshotOf, as URN."
        message = "the associationType is not defined" if sent else "the associationType is missing"
        yield Fault(message, "associationType", sent, remedy, line=association.raw.line)


@rule(
    "AS-002",
    "ITI TF-2: 3.57.4.1.3",
    Association,
    transactions=SUBMISSIONS,
    remedy="Send the change with ITI-57 (Update Document Set).",
)
def no_update_types(context: Context, association: Association) -> Iterator[Fault]:
    """UpdateAvailabilityStatus and SubmitAssociation are sent in an update only."""
    if association.associationType in _UPDATE_TYPES:
        name = association.associationType.rpartition(":")[2]
        message = f"{name} has no meaning in {context.transaction.code}"
        yield Fault(message, "associationType", association.associationType, line=association.raw.line)


@rule("AS-003", "ITI TF-3: 4.2.2", Association, remedy="Set sourceObject and targetObject to the ids of two different objects.")
def two_ends(context: Context, association: Association) -> Iterator[Fault]:
    """An association has a sourceObject and a targetObject, and they are different objects."""
    if not association.sourceObject:
        yield Fault("the sourceObject is missing", "sourceObject", line=association.raw.line)
    if not association.targetObject:
        yield Fault("the targetObject is missing", "targetObject", line=association.raw.line)
    elif association.sourceObject == association.targetObject:
        message = "the association joins an object to itself"
        yield Fault(message, "targetObject", association.targetObject, line=association.raw.line)


@rule(
    "AS-004",
    "ITI TF-3: 4.2.1.4, 4.2.3.1.5",
    Association,
    codes=UNRESOLVED,
    remedy="Name an object of the submission by its id, a registered object by its entryUUID (urn:uuid:...).",
)
def symbols_resolve(context: Context, association: Association) -> Iterator[Fault]:
    """A symbolic id in an association is the id of an object in the same submission."""
    for attribute, id in (("sourceObject", association.sourceObject), ("targetObject", association.targetObject)):
        if id and id not in context.members and not id.startswith("urn:uuid:"):
            yield Fault("no object of this submission has this symbolic id", attribute, id, line=association.raw.line)


@rule("AS-005", "ITI TF-3: 4.2.2.1", Association, remedy="Let the SubmissionSet or a Folder be the sourceObject.")
def holder_holds(context: Context, association: Association) -> Iterator[Fault]:
    """The source of a HasMember association is the SubmissionSet or a Folder."""
    source = context.members.get(association.sourceObject)
    if association.associationType == _HAS_MEMBER and isinstance(source, DocumentEntry | Association):
        message = f"{_a(source)} cannot have members"
        yield Fault(message, "sourceObject", association.sourceObject, line=association.raw.line)


@rule("AS-006", "ITI TF-3: 4.2.1.2, 4.2.2.1", Association, remedy="Leave the association out.")
def set_is_no_member(context: Context, association: Association) -> Iterator[Fault]:
    """A SubmissionSet is never the target of an association, except of signs in a domain that signs whole sets."""
    id = association.targetObject
    if SIGNS_SET in context.options and association.associationType == AssociationType.SIGNS.urn:
        return
    if isinstance(context.members.get(id), SubmissionSet) and id != association.sourceObject:  # joined to itself: AS-003
        yield Fault("a SubmissionSet cannot be the target of an association", "targetObject", id, line=association.raw.line)


@rule("AS-007", "ITI TF-3: 4.2.1.3, 4.2.2.1.3", Association, remedy="Put DocumentEntries into the Folder, nothing else.")
def folders_hold_entries(context: Context, association: Association) -> Iterator[Fault]:
    """A Folder holds DocumentEntries only: Folders are not nested."""
    id = association.targetObject
    target = context.members.get(id)
    if isinstance(target, Folder | Association) and id != association.sourceObject and is_of_a_folder(context, association):
        yield Fault(f"a Folder cannot hold {_a(target)}", "targetObject", id, line=association.raw.line)


def _is_set_to_entry(context: Context, association: Association) -> bool:
    """An SS-DE association: to a new DocumentEntry, or to a registered object, which can only be one."""
    target = association.targetObject
    return is_of_the_set(context, association) and (
        isinstance(context.members.get(target), DocumentEntry) or is_registered(context, target)
    )


@rule("AS-008", "ITI TF-3: 4.2.2.1.1", Association)
def status_sent(context: Context, association: Association) -> Iterator[Fault]:
    """HasMember from the SubmissionSet to a DocumentEntry has the slot SubmissionSetStatus."""
    if association.submissionSetStatus is None and _is_set_to_entry(context, association):
        status = "Original" if association.targetObject in context.members else "Reference"
        yield Fault(
            "the slot SubmissionSetStatus is missing",
            "SubmissionSetStatus",
            remedy=f"Add the slot with the value {status}.",
            line=association.raw.line,
        )


@rule(
    "AS-009",
    "ITI TF-3: 4.2.2.1.1",
    Association,
    remedy="Write Original for a new DocumentEntry, Reference for a registered one.",
)
def status_known(context: Context, association: Association) -> Iterator[Fault]:
    """SubmissionSetStatus has one value: Original or Reference."""
    values = association.raw.values("SubmissionSetStatus")
    if len(values) > 1:
        yield Fault(f"SubmissionSetStatus has {len(values)} values", "SubmissionSetStatus", values[1], line=association.raw.line)
    elif values and values[0] not in _STATUSES:
        message = "SubmissionSetStatus is neither Original nor Reference"
        yield Fault(message, "SubmissionSetStatus", values[0], line=association.raw.line)


@rule(
    "AS-010",
    "ITI TF-3: 4.2.2.1.1",
    Association,
    remedy="Put the DocumentEntry into this submission, or write Reference for one that is registered already.",
)
def originals_are_here(context: Context, association: Association) -> Iterator[Fault]:
    """SubmissionSetStatus Original points at a DocumentEntry of this submission."""
    target = association.targetObject
    if association.submissionSetStatus == "Original" and is_of_the_set(context, association) and is_registered(context, target):
        yield Fault("no DocumentEntry of this submission has this id", "targetObject", target, line=association.raw.line)


@rule("AS-011", "ITI TF-3: 4.2.2.1.1", Association, remedy="Write Original: the DocumentEntry comes with this submission.")
def references_are_elsewhere(context: Context, association: Association) -> Iterator[Fault]:
    """SubmissionSetStatus Reference points at a DocumentEntry that is registered already."""
    target = context.members.get(association.targetObject)
    is_reference = association.submissionSetStatus == "Reference"
    if is_reference and isinstance(target, DocumentEntry) and is_of_the_set(context, association):
        message = "the DocumentEntry is part of this submission"
        yield Fault(message, "SubmissionSetStatus", "Reference", line=association.raw.line)


@rule("AS-012", "ITI TF-3: 4.2.2.1.3, 4.2.2.1.4", Submission, transactions=SUBMISSIONS)
def folder_links_are_members(context: Context, submission: Submission) -> Iterator[Fault]:
    """HasMember from a Folder to a DocumentEntry is itself a member of the SubmissionSet."""
    links = [a for a in submission.associations if is_of_a_folder(context, a)]
    if not links or len(submission.submissionSets) != 1:
        return
    members = {a.targetObject for a in submission.associations if is_of_the_set(context, a)}
    for link in links:
        if link.entryUUID not in members:
            yield Fault(
                "the SubmissionSet has no HasMember association to this association of a Folder",
                object=link.entryUUID,
                remedy=f"Add an Association of type {_HAS_MEMBER} whose sourceObject is the SubmissionSet and whose targetObject "
                "is the id of this association.",
                line=link.raw.line,
            )


@rule(
    "AS-013",
    "ITI TF-3: 4.2.2.1, 4.2.2.2",
    Association,
    remedy="Leave the Classification out: only relationships have documentation.",
)
def no_documentation_of_members(context: Context, association: Association) -> Iterator[Fault]:
    """A HasMember association has no documentation code."""
    if association.documentation and association.associationType == _HAS_MEMBER:
        code = association.documentation[0].code
        yield Fault("HasMember carries a documentation code", "documentation", code, line=association.raw.line)


@rule("AS-014", "ITI TF-3: 4.2.2.2", Association, remedy=f"Send one Classification with the scheme {ASSOCIATION_DOCUMENTATION}.")
def one_documentation(context: Context, association: Association) -> Iterator[Fault]:
    """A relationship association has at most one documentation code."""
    codes = association.documentation
    if len(codes) > 1 and association.associationType != _HAS_MEMBER:
        message = f"the association carries {len(codes)} documentation codes"
        yield Fault(message, "documentation", codes[1].code, line=association.raw.line)


@rule(
    "AS-015",
    "ITI TF-2: 3.42.4.1.3.5",
    Association,
    transactions=SUBMISSIONS,
    codes=UNRESOLVED,
    remedy="Let the new DocumentEntry of this submission be the sourceObject, and the older document the targetObject.",
)
def relationship_source_is_here(context: Context, association: Association) -> Iterator[Fault]:
    """The source of a relationship is a DocumentEntry of this submission."""
    source = association.sourceObject
    if not is_relationship(association) or isinstance(context.members.get(source), DocumentEntry):
        return
    if source in context.members or is_registered(context, source):  # any other symbol is AS-004
        yield Fault("the sourceObject is no DocumentEntry of this submission", "sourceObject", source, line=association.raw.line)


@rule(
    "AS-016",
    "ITI TF-2: 3.41.4.1.2, 3.42.4.1.3.5",
    Association,
    transactions=SUBMISSIONS,
    codes=UNRESOLVED,
    remedy="Submit the target first, then refer to it by its entryUUID.",
)
def replaced_is_registered(context: Context, association: Association) -> Iterator[Fault]:
    """The target of RPLC, XFRM_RPLC and IsSnapshotOf is registered already, not part of this submission."""
    target = association.targetObject
    if association.associationType not in _REGISTERED_TARGET or target == association.sourceObject:
        return
    if isinstance(context.members.get(target), DocumentEntry):
        name = association.associationType.rpartition(":")[2]
        yield Fault(f"the target of {name} is part of this submission", "targetObject", target, line=association.raw.line)


@rule("AS-017", "ITI TF-3: 4.2.2.2", Association, remedy="Let a DocumentEntry be the targetObject.")
def relationship_target_is_entry(context: Context, association: Association) -> Iterator[Fault]:
    """The target of a relationship is a DocumentEntry."""
    target = context.members.get(association.targetObject)
    if isinstance(target, Folder | Association) and is_relationship(association):
        message = f"the targetObject is {_a(target)}"
        yield Fault(message, "targetObject", association.targetObject, line=association.raw.line)


@rule(
    "AS-018",
    "ITI TF-2: 3.42.4.1.3.5",
    Association,
    transactions=SUBMISSIONS,
    remedy="Register the snapshot as a Stable document with ITI-41 or ITI-42.",
)
def snapshots_are_stable(context: Context, association: Association) -> Iterator[Fault]:
    """The source of IsSnapshotOf is a Stable DocumentEntry."""
    if association.associationType == AssociationType.IS_SNAPSHOT_OF.urn:
        source = context.members.get(association.sourceObject)
        if isinstance(source, DocumentEntry) and source.objectType != STABLE:
            message = "the sourceObject of IsSnapshotOf is not a Stable DocumentEntry"
            yield Fault(message, "sourceObject", association.sourceObject, line=association.raw.line)


@rule(
    "AS-019",
    "ITI TF-3: 4.2.2.2.1",
    Submission,
    transactions=SUBMISSIONS,
    remedy="Append to the document from which the transformation was made.",
)
def nothing_appended_to_transformations(context: Context, submission: Submission) -> Iterator[Fault]:
    """Nothing is appended to a document that this submission brings as a transformation."""
    appended = [a for a in submission.associations if a.associationType == AssociationType.APND.urn]
    if not appended:
        return
    made = {a.sourceObject for a in submission.associations if a.associationType == AssociationType.XFRM.urn}
    for association in appended:
        if association.targetObject in made and association.targetObject in context.members:
            yield Fault(
                "the target of APND is a transformation",
                "targetObject",
                association.targetObject,
                object=association.entryUUID,
                line=association.raw.line,
            )


@rule(
    "AS-020",
    "ITI TF-3: 4.2.2",
    Association,
    severity=Severity.WARNING,
    remedy="Leave @status out: the registry sets it.",
)
def status_is_not_sent(context: Context, association: Association) -> Iterator[Fault]:
    """The status of an Association is set by the registry and not sent."""
    if association.availabilityStatus is not None:
        sent = association.availabilityStatus
        yield Fault("the status is not taken over", "availabilityStatus", sent, line=association.raw.line)


@rule(
    "AS-021",
    "ITI TF-3: 4.2.1.4, 4.2.3.1.5",
    Association,
    remedy="Write urn:uuid: and 8-4-4-4-12 lower-case hexadecimal digits, as the registry returned the entryUUID.",
)
def references_are_uuids(context: Context, association: Association) -> Iterator[Fault]:
    """A reference that starts with urn:uuid: is a well-formed UUID in lower case."""
    for attribute, id in (("sourceObject", association.sourceObject), ("targetObject", association.targetObject)):
        if id.startswith("urn:uuid:") and id not in context.members and not is_uuid(id):
            yield Fault("the reference is not a UUID in lower case", attribute, id, line=association.raw.line)


RULES = (
    type_known,
    no_update_types,
    two_ends,
    symbols_resolve,
    holder_holds,
    set_is_no_member,
    folders_hold_entries,
    status_sent,
    status_known,
    originals_are_here,
    references_are_elsewhere,
    folder_links_are_members,
    no_documentation_of_members,
    one_documentation,
    relationship_source_is_here,
    replaced_is_registered,
    relationship_target_is_entry,
    snapshots_are_stable,
    nothing_appended_to_transformations,
    status_is_not_sent,
    references_are_uuids,
)
