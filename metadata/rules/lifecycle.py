"""The submission against what is registered: ids in use, references, statuses (ITI TF-2: 3.42.4.1.3; ITI TF-3: 4.2.2).

All of these ask `Facts` and run inside the write transaction. What they ask about is written in the submission (its ids,
uniqueIds, references), so that the registry can load the answers beforehand in a bounded number of statements.
"""

from __future__ import annotations

from collections.abc import Iterator

from metadata.model import Association, DocumentEntry, Folder, Submission, SubmissionSet
from metadata.rules.association import UNRESOLVED, is_of_the_set, is_registered, is_relationship
from metadata.rules.declare import SUBMISSIONS, alike, rule
from metadata.rules.rule import Context, Existing, Fault
from metadata.schemes import ON_DEMAND
from metadata.vocabulary import AssociationType, AvailabilityStatus, ErrorCode, ObjectKind

_DUPLICATE = alike(ErrorCode.XDSDuplicateUniqueIdInRegistry)
_HAS_MEMBER = AssociationType.HAS_MEMBER.urn
_APPROVED = AvailabilityStatus.APPROVED.urn
_ALREADY = "this very submission is registered already: an earlier attempt succeeded"
_NOTHING_TO_DO = "There is nothing to send again; for a new submission use a new SubmissionSet.uniqueId."


def _is_registered_already(context: Context) -> bool:
    submission_set = context.submission.submissionSet
    unique_id = submission_set.uniqueId if submission_set else None
    return bool(unique_id) and context.registry.same_submission(unique_id or "", context.submission)


@rule("REG-001", "ITI TF-2: 3.42.4.1.3.3.7", SubmissionSet, codes=_DUPLICATE, needs_facts=True)
def set_unique_id_is_new(context: Context, submission_set: SubmissionSet) -> Iterator[Fault]:
    """The uniqueId of a SubmissionSet is used by no registered object."""
    unique_id = submission_set.uniqueId
    found = context.registry.with_unique_id(unique_id) if unique_id else ()
    if not found:
        return
    if _is_registered_already(context):
        message, remedy = _ALREADY, _NOTHING_TO_DO
    else:
        message = f"the uniqueId of the SubmissionSet is that of a registered {found[0].kind.value}"
        remedy = "Use a new uniqueId for each submission."
    yield Fault(message, "uniqueId", unique_id or "", remedy, line=submission_set.raw.line)


@rule("REG-002", "ITI TF-3: Table 4.2.4.1-2", Folder, transactions=SUBMISSIONS, codes=_DUPLICATE, needs_facts=True)
def folder_unique_id_is_new(context: Context, folder: Folder) -> Iterator[Fault]:
    """The uniqueId of a Folder is used by no registered object."""
    found = context.registry.with_unique_id(folder.uniqueId) if folder.uniqueId else ()
    if found and not _is_registered_already(context):
        message = f"the uniqueId of the Folder is that of a registered {found[0].kind.value}"
        remedy = "Use a new uniqueId, or refer to the registered Folder by its entryUUID instead of sending it again."
        yield Fault(message, "uniqueId", folder.uniqueId or "", remedy, line=folder.raw.line)


def _same_document(context: Context, entry: DocumentEntry) -> Iterator[Existing]:
    """The registered DocumentEntries with the uniqueId of this one."""
    if entry.uniqueId:
        for found in context.registry.with_unique_id(entry.uniqueId):
            if found.kind is ObjectKind.DOCUMENT_ENTRY:
                yield found


@rule(
    "REG-003",
    "ITI TF-2: 3.42.4.1.3.3.1",
    DocumentEntry,
    transactions=SUBMISSIONS,
    codes=alike(ErrorCode.XDSNonIdenticalHash),
    needs_facts=True,
    remedy="Give changed content a new uniqueId, and replace the older document with RPLC.",
)
def same_id_same_hash(context: Context, entry: DocumentEntry) -> Iterator[Fault]:
    """A uniqueId that is registered comes again only with the same hash."""
    for found in _same_document(context, entry):
        if entry.hash and found.hash and entry.hash.lower() != found.hash.lower():
            message = f"document {entry.uniqueId} is registered with the hash {found.hash}, this one has {entry.hash}"
            yield Fault(message, "uniqueId", entry.uniqueId or "", line=entry.raw.line)
            return


@rule(
    "REG-004",
    "ITI TF-2: 3.42.4.1.3.3.1",
    DocumentEntry,
    transactions=SUBMISSIONS,
    codes=alike(ErrorCode.XDSNonIdenticalSize),
    needs_facts=True,
    remedy="Give changed content a new uniqueId, and replace the older document with RPLC.",
)
def same_id_same_size(context: Context, entry: DocumentEntry) -> Iterator[Fault]:
    """A uniqueId that is registered comes again only with the same size."""
    for found in _same_document(context, entry):
        if entry.size and found.size and entry.size.lstrip("+0") != found.size.lstrip("+0"):
            message = f"document {entry.uniqueId} is registered with {found.size} octets, this one has {entry.size}"
            yield Fault(message, "uniqueId", entry.uniqueId or "", line=entry.raw.line)
            return


@rule(
    "REG-005",
    "ITI TF-2: 3.61.4.1.3",
    DocumentEntry,
    transactions=SUBMISSIONS,
    needs_facts=True,
    remedy="Use another uniqueId: one id means either a Stable or an On-Demand document.",
)
def same_id_same_type(context: Context, entry: DocumentEntry) -> Iterator[Fault]:
    """A uniqueId names Stable or On-Demand DocumentEntries, never both."""
    for found in _same_document(context, entry):
        if found.objectType and entry.objectType and found.objectType != entry.objectType:
            kind = "an On-Demand" if found.objectType == ON_DEMAND else "a Stable"
            message = f"the uniqueId is that of {kind} DocumentEntry that is registered"
            yield Fault(message, "uniqueId", entry.uniqueId or "", line=entry.raw.line)
            return


@rule(
    "REG-006",
    "ITI TF-3: 4.2.3.2.26",
    DocumentEntry,
    transactions=SUBMISSIONS,
    needs_facts=True,
    remedy="Give the document a uniqueId of its own.",
)
def document_id_is_of_documents(context: Context, entry: DocumentEntry) -> Iterator[Fault]:
    """The uniqueId of a DocumentEntry is not that of a registered SubmissionSet or Folder."""
    for found in context.registry.with_unique_id(entry.uniqueId) if entry.uniqueId else ():
        if found.kind is not ObjectKind.DOCUMENT_ENTRY:
            message = f"the uniqueId is that of a registered {found.kind.value}"
            yield Fault(message, "uniqueId", entry.uniqueId or "", line=entry.raw.line)
            return


@rule(
    "REG-007",
    "ITI TF-2: 3.42.4.1.3.7",
    Submission,
    needs_facts=True,
    remedy="Use a new UUID, or a symbolic id: the registry then assigns the UUID.",
)
def ids_are_new(context: Context, submission: Submission) -> Iterator[Fault]:
    """A UUID that the submission assigns to an object is not in use in the registry."""
    already: bool | None = None
    for entity in submission.entities():
        id = entity.entryUUID
        found = context.registry.find(id) if id.startswith("urn:uuid:") else None
        if found is None:
            continue
        if already is None:
            already = _is_registered_already(context)
        if not already:
            message = f"the id is that of a registered {found.kind.value}"
            yield Fault(message, "entryUUID", id, object=id, line=entity.raw.line)


def _registered_ends(context: Context, association: Association) -> Iterator[tuple[str, str]]:
    """(attribute, id) of the ends that mean registered objects. The source of a relationship never may: AS-015."""
    if not is_relationship(association) and is_registered(context, association.sourceObject):
        yield "sourceObject", association.sourceObject
    if is_registered(context, association.targetObject):
        yield "targetObject", association.targetObject


@rule(
    "REG-008",
    "ITI TF-2: 3.42.4.1.3.5",
    Association,
    transactions=SUBMISSIONS,
    codes=UNRESOLVED,
    needs_facts=True,
    remedy="Find the entryUUID of the object with a query (ITI-18), or submit the object first.",
)
def references_resolve(context: Context, association: Association) -> Iterator[Fault]:
    """An entryUUID in an association is that of an object of the submission or of the registry."""
    for attribute, id in _registered_ends(context, association):
        if context.registry.find(id) is None:
            yield Fault("no object with this entryUUID is registered", attribute, id, line=association.raw.line)


@rule(
    "REG-009",
    "ITI TF-3: 4.2.2; ITI TF-2: 3.42.4.1.3.5",
    Association,
    transactions=SUBMISSIONS,
    codes=alike(ErrorCode.XDSRegistryDeprecatedDocumentError),
    needs_facts=True,
    remedy="Refer to the document that replaced it: query GetRelatedDocuments (ITI-18) finds it.",
)
def documents_are_approved(context: Context, association: Association) -> Iterator[Fault]:
    """A DocumentEntry that is not Approved takes no new association."""
    for attribute, id in _registered_ends(context, association):
        found = context.registry.find(id)
        if found is not None and found.kind is ObjectKind.DOCUMENT_ENTRY and found.status != _APPROVED:
            message = f"the DocumentEntry is {found.status.rpartition(':')[2]}, not Approved"
            yield Fault(message, attribute, id, line=association.raw.line)


@rule(
    "REG-010",
    "ITI TF-2: 3.42.4.1.3.4",
    Association,
    transactions=SUBMISSIONS,
    needs_facts=True,
    remedy="Use an approved Folder, or a new one.",
)
def folders_are_approved(context: Context, association: Association) -> Iterator[Fault]:
    """A Folder that is not Approved takes no new document."""
    if association.associationType == _HAS_MEMBER and is_registered(context, association.sourceObject):
        found = context.registry.find(association.sourceObject)
        if found is not None and found.kind is ObjectKind.FOLDER and found.status != _APPROVED:
            message = f"the Folder is {found.status.rpartition(':')[2]}, not Approved"
            yield Fault(message, "sourceObject", association.sourceObject, line=association.raw.line)


@rule("REG-011", "ITI TF-3: 4.2.1.2, 4.2.1.3, 4.2.2", Association, transactions=SUBMISSIONS, needs_facts=True)
def references_fit(context: Context, association: Association) -> Iterator[Fault]:
    """A registered object takes part in an association as its kind allows."""
    for attribute, id in _registered_ends(context, association):
        found = context.registry.find(id)
        kind = found.kind if found else None
        if attribute == "sourceObject" and kind not in (None, ObjectKind.FOLDER):
            message = f"the registered source is no Folder but of kind {_name(kind)}"
            if kind is ObjectKind.SUBMISSION_SET:
                message = "a registered SubmissionSet is closed"
            remedy = "Let the SubmissionSet of this message or a registered Folder be the sourceObject."
            yield Fault(message, attribute, id, remedy, line=association.raw.line)
        elif attribute == "targetObject" and kind not in (None, ObjectKind.DOCUMENT_ENTRY):
            message = f"the registered target is no DocumentEntry but of kind {_name(kind)}"
            holder = "The SubmissionSet refers to" if is_of_the_set(context, association) else "The association needs"
            yield Fault(message, attribute, id, f"{holder} a registered DocumentEntry.", line=association.raw.line)


def _name(kind: ObjectKind | None) -> str:
    return kind.value if kind else ""


@rule(
    "REG-012",
    "ITI TF-2: 3.42.4.1.3.5",
    Association,
    transactions=SUBMISSIONS,
    needs_facts=True,
    remedy="Let the On-Demand DocumentEntry from which the snapshot was made be the targetObject.",
)
def snapshots_of_on_demand(context: Context, association: Association) -> Iterator[Fault]:
    """The target of IsSnapshotOf is an On-Demand DocumentEntry."""
    target = association.targetObject
    if association.associationType == AssociationType.IS_SNAPSHOT_OF.urn and is_registered(context, target):
        found = context.registry.find(target)
        if found is not None and found.kind is ObjectKind.DOCUMENT_ENTRY and found.objectType != ON_DEMAND:
            yield Fault("the target of IsSnapshotOf is a Stable document", "targetObject", target, line=association.raw.line)


@rule(
    "REG-013",
    "ITI TF-3: 4.2.2.2.1",
    Association,
    needs_facts=True,
    remedy="Append to the document from which the transformation was made.",
)
def nothing_appended_to_registered_transformations(context: Context, association: Association) -> Iterator[Fault]:
    """Nothing is appended to a registered document that is a transformation of another."""
    target = association.targetObject
    if association.associationType != AssociationType.APND.urn or not is_registered(context, target):
        return
    if context.registry.is_transformation(target):
        yield Fault("the target of APND is a transformation", "targetObject", target, line=association.raw.line)


RULES = (
    set_unique_id_is_new,
    folder_unique_id_is_new,
    same_id_same_hash,
    same_id_same_size,
    same_id_same_type,
    document_id_is_of_documents,
    ids_are_new,
    references_resolve,
    documents_are_approved,
    folders_are_approved,
    references_fit,
    snapshots_of_on_demand,
    nothing_appended_to_registered_transformations,
)
