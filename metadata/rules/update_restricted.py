"""ITI-92, Restricted Update Document Set: DocumentEntries only, not all of their attributes (ITI TF-2: 3.92.4.1.2, 3.92.4.1.3).

What both updates share is in `update.py` and `update_registered.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

from metadata.model import DocumentEntry, Submission
from metadata.rules.declare import alike, rule
from metadata.rules.rule import Context, Fault
from metadata.rules.update import members, versions_missing
from metadata.rules.update_registered import unique_id_changed
from metadata.update import operations_of, previous_version
from metadata.vocabulary import ErrorCode, ObjectKind, Transaction

_ITI_92 = frozenset({Transaction.ITI_92})
_ANNOTATION = alike(ErrorCode.XDSMetadataAnnotationError)
_UNMODIFIABLE = alike(ErrorCode.UnmodifiableMetadataError)
_OBJECT_TYPE = alike(ErrorCode.XDSObjectTypeError)
_SECTION = "ITI TF-2: 3.92.4.1.2"

#: What tells the document, its place and its origin apart, and so is the registry's and the source's to say.
_FIXED = ("repositoryUniqueId", "hash", "size", "sourcePatientId", "documentAvailability")


@rule(
    "RMU-001",
    _SECTION,
    Submission,
    codes=_OBJECT_TYPE,
    transactions=_ITI_92,
    remedy="Send Folders with ITI-57 (Update Document Set).",
)
def no_folders(context: Context, submission: Submission) -> Iterator[Fault]:
    """A restricted update changes DocumentEntries, not Folders."""
    for folder in submission.folders:
        yield Fault("a Folder is not updated by ITI-92", object=folder.entryUUID, line=folder.raw.line)


@rule(
    "RMU-002",
    _SECTION,
    Submission,
    codes=_UNMODIFIABLE,
    transactions=_ITI_92,
    remedy="Change statuses and associations with ITI-57 (Update Document Set).",
)
def no_other_operations(context: Context, submission: Submission) -> Iterator[Fault]:
    """A restricted update changes neither statuses nor associations."""
    operations = operations_of(submission)
    own = {update.trigger.entryUUID for update in operations.updates}
    for link in submission.associations:
        if link.entryUUID not in own:
            name = link.associationType.rpartition(":")[2]
            message = f"{name} is no part of a restricted update"
            yield Fault(message, "associationType", link.associationType, object=link.entryUUID, line=link.raw.line)


@rule(
    "RMU-003",
    _SECTION,
    Submission,
    codes=_ANNOTATION,
    transactions=_ITI_92,
    remedy="Let one HasMember association from the SubmissionSet point at it, with the slot PreviousVersion: a positive integer.",
)
def annotated(context: Context, submission: Submission) -> Iterator[Fault]:
    """Each updated DocumentEntry is the target of exactly one HasMember association with PreviousVersion."""
    for entity, triggers in members(submission):
        if len(triggers) != 1:
            found = len(triggers) or "no"
            message = f"{found} HasMember associations of the SubmissionSet point at it"
            yield Fault(message, object=entity.entryUUID, line=entity.raw.line)
    yield from versions_missing(submission)


@rule(
    "RMU-004",
    "ITI TF-2: 3.92.4.1.2.2.2",
    Submission,
    codes=_ANNOTATION,
    transactions=_ITI_92,
    remedy="Write yes, or leave the slot out: yes.",
)
def always_propagated(context: Context, submission: Submission) -> Iterator[Fault]:
    """AssociationPropagation, where it is sent in a restricted update, is yes."""
    for update in operations_of(submission).updates:
        values = update.trigger.raw.values("AssociationPropagation")
        if values and values != ("yes",):
            message = "AssociationPropagation is not yes"
            sent = " ".join(values)
            yield Fault(
                message, "AssociationPropagation", sent, object=update.entity.entryUUID, line=update.trigger.raw.line
            )


@rule(
    "RMU-005",
    _SECTION,
    Submission,
    codes=_ANNOTATION,
    transactions=_ITI_92,
    remedy="Add the new version of a DocumentEntry.",
)
def something_is_changed(context: Context, submission: Submission) -> Iterator[Fault]:
    """A restricted update holds at least one DocumentEntry."""
    if not submission.documentEntries and not submission.folders and not submission.associations:
        yield Fault(
            "the message holds no DocumentEntry",
            object=submission.submissionSets[0].entryUUID if submission.submissionSets else "",
        )


def _previous(context: Context, submission: Submission) -> Iterator[tuple[DocumentEntry, str]]:
    for entry in submission.documentEntries:
        found = previous_version(context.registry, entry)
        if found is not None and found.kind is ObjectKind.DOCUMENT_ENTRY:
            yield entry, found.entryUUID


@rule(
    "RMU-101",
    "ITI TF-2: 3.92.4.1.3",
    Submission,
    codes=alike(ErrorCode.XDSMetadataIdentifierError),
    transactions=_ITI_92,
    needs_facts=True,
    remedy="Send uniqueId and logicalID of one registered DocumentEntry; replace the document to give it another uniqueId.",
)
def restricted_identity_stays(context: Context, submission: Submission) -> Iterator[Fault]:
    """In a restricted update a new version has the uniqueId of the version before it, which is a DocumentEntry."""
    for entry in submission.documentEntries:
        found = previous_version(context.registry, entry)
        if found is not None and found.kind is ObjectKind.DOCUMENT_ENTRY:
            yield from unique_id_changed(entry, found)
        elif found is not None:
            message = f"the logicalID is that of a {found.kind.value}"
            yield Fault(message, "logicalID", entry.logicalID or "", object=entry.entryUUID, line=entry.raw.line)


@rule(
    "RMU-102",
    "ITI TF-2: 3.92.4.1.3",
    Submission,
    codes=_OBJECT_TYPE,
    transactions=_ITI_92,
    needs_facts=True,
    remedy="Send the objectType of the registered version.",
)
def object_type_stays(context: Context, submission: Submission) -> Iterator[Fault]:
    """In a restricted update a new version has the objectType of the version before it."""
    for entry, uuid in _previous(context, submission):
        found = context.registry.find(uuid)
        if found is not None and entry.objectType and entry.objectType != found.objectType:
            message = f"the objectType of the registered version is {found.objectType}"
            yield Fault(message, "objectType", entry.objectType, object=entry.entryUUID, line=entry.raw.line)


@rule(
    "RMU-103",
    "ITI TF-2: 3.92.4.1.3",
    Submission,
    codes=_UNMODIFIABLE,
    transactions=_ITI_92,
    needs_facts=True,
    remedy="Repeat the registered value; an administrator changes it with ITI-57 (Update Document Set).",
)
def fixed_attributes_stay(context: Context, submission: Submission) -> Iterator[Fault]:
    """In a restricted update patientId, sourcePatientId, hash, size and where the document is stay as they are."""
    for entry, uuid in _previous(context, submission):
        found, before = context.registry.find(uuid), context.registry.document_entry(uuid)
        if found is None or before is None:
            continue
        if entry.patientId and not context.registry.same_patient(entry.patientId, found.patientId):
            yield Fault(
                "the DocumentEntry belongs to another patient", "patientId", entry.patientId, "", entry.entryUUID, entry.raw.line
            )
        for name in _FIXED:
            sent, registered = getattr(entry, name) or "", getattr(before, name) or ""
            if sent.lower() != registered.lower():
                message = f"{name} is '{registered}' in the registered version"
                yield Fault(message, name, sent, object=entry.entryUUID, line=entry.raw.line)


RULES = (
    no_folders,
    no_other_operations,
    annotated,
    always_propagated,
    something_is_changed,
    restricted_identity_stays,
    object_type_stays,
    fixed_attributes_stay,
)
