"""One patient in a submission, known to the registry, the same across associations (ITI TF-2: 3.42.4.1.3.3.2, 3.42.4.1.3.5).

sourcePatientId is never compared with anything.
"""

from __future__ import annotations

from collections.abc import Iterator

from metadata.datatypes import canonical_cx
from metadata.model import Association, DocumentEntry, Folder, Submission
from metadata.rules.association import is_of_a_folder, is_registered, is_relationship
from metadata.rules.declare import SUBMISSIONS, alike, identified, rule
from metadata.rules.rule import Context, Existing, Fault
from metadata.vocabulary import ASSOCIATION_BY_URN, AvailabilityStatus, ErrorCode, ObjectKind

_SECTION = "ITI TF-2: 3.42.4.1.3.3.2"
_DIFFERS = alike(ErrorCode.XDSPatientIdDoesNotMatch)
_UNKNOWN = alike(ErrorCode.XDSUnknownPatientId)


def _differs(context: Context, entity: DocumentEntry | Folder) -> Iterator[Fault]:
    submission_set = context.submission.submissionSet
    expected = submission_set.patientId if submission_set else None
    if not expected or not entity.patientId or entity.patientId == expected:
        return
    if canonical_cx(entity.patientId) != canonical_cx(expected):
        message = f"the patientId of the {entity.kind.value} is not that of the SubmissionSet, '{expected}'"
        yield Fault(message, "patientId", entity.patientId, line=entity.raw.line)


@rule(
    "PAT-001",
    _SECTION,
    DocumentEntry,
    transactions=SUBMISSIONS,
    codes=_DIFFERS,
    remedy="Send one patientId in the whole submission.",
)
def entry_has_the_patient(context: Context, entry: DocumentEntry) -> Iterator[Fault]:
    """A new DocumentEntry has the patientId of its SubmissionSet."""
    return _differs(context, entry)


@rule(
    "PAT-002",
    "ITI TF-3: 4.2.2.1.2",
    Folder,
    transactions=SUBMISSIONS,
    codes=_DIFFERS,
    remedy="Send one patientId in the whole submission.",
)
def folder_has_the_patient(context: Context, folder: Folder) -> Iterator[Fault]:
    """A new Folder has the patientId of its SubmissionSet."""
    return _differs(context, folder)


def _patient_of(submission: Submission) -> tuple[str, str, int | None]:
    """The patientId of the submission, the id and the line of the object that says it."""
    for entity in identified(submission):
        if entity.patientId:
            return entity.patientId, entity.entryUUID, entity.raw.line
    return "", "", None


@rule("PAT-003", _SECTION, Submission, codes=_UNKNOWN, needs_facts=True)
def patient_known(context: Context, submission: Submission) -> Iterator[Fault]:
    """The patientId is known to the registry."""
    facts = context.registry
    patient, object, line = _patient_of(submission)
    if patient and not (facts.patient_is_known(patient) or facts.subsumed_by(patient) or facts.record_state(patient)):
        remedy = (
            "Correct the id and its assigning authority, or make the patient known first: by the identity feed (ITI-8, ITI-44) "
            f"or with the command ./carnet patient add '{patient}' --data DIR, DIR being the registry's store."
        )
        yield Fault("the patient is not known to the registry", "patientId", patient, remedy, object, line)


@rule("PAT-004", _SECTION, Submission, codes=_UNKNOWN, needs_facts=True)
def patient_not_subsumed(context: Context, submission: Submission) -> Iterator[Fault]:
    """The patientId was not merged into another one."""
    facts = context.registry
    patient, object, line = _patient_of(submission)
    survivor = facts.subsumed_by(patient) if patient else ""
    if survivor and not facts.patient_is_known(patient):
        message = f"the patient was merged into {survivor}"
        yield Fault(message, "patientId", patient, f"Send {survivor}.", object, line)


@rule(
    "PAT-005",
    "ITI TF-2: 3.42.4.1.3.5",
    Association,
    transactions=SUBMISSIONS,
    codes=_DIFFERS,
    needs_facts=True,
    remedy="Relate documents of one patient only; check the entryUUID in targetObject.",
)
def related_documents_share_the_patient(context: Context, association: Association) -> Iterator[Fault]:
    """Both documents of a relationship have the same patient, merges taken into account."""
    if not is_relationship(association) or not is_registered(context, association.targetObject):
        return
    source = context.members.get(association.sourceObject)
    target = context.registry.find(association.targetObject)
    if not isinstance(source, DocumentEntry) or not source.patientId:
        return
    if target is None or target.kind is not ObjectKind.DOCUMENT_ENTRY:
        return
    if not context.registry.same_patient(source.patientId, target.patientId):
        message = "the related document belongs to another patient"
        yield Fault(message, "targetObject", association.targetObject, line=association.raw.line)


@rule(
    "PAT-006",
    "ITI TF-3: 4.2.2.1.3",
    Association,
    transactions=SUBMISSIONS,
    codes=_DIFFERS,
    needs_facts=True,
    remedy="Put documents of one patient only into a Folder; check the entryUUIDs of the association.",
)
def folder_and_document_share_the_patient(context: Context, association: Association) -> Iterator[Fault]:
    """A Folder and the DocumentEntries put into it have the same patient, merges taken into account."""
    if not is_of_a_folder(context, association):
        return
    ends = (association.sourceObject, association.targetObject)
    if not any(is_registered(context, id) for id in ends):
        return  # both new: PAT-001 and PAT-002 compare them
    folder, document = (_patient_behind(context, id) for id in ends)
    if folder and document and not context.registry.same_patient(folder, document):
        message = "the Folder and the document belong to different patients"
        yield Fault(message, "targetObject", association.targetObject, line=association.raw.line)


@rule(
    "PAT-007",
    "ITI TF-2: 3.42.4.1.3.5",
    Association,
    transactions=SUBMISSIONS,
    codes=_DIFFERS,
    needs_facts=True,
    remedy="Give the replacement the patient of the Folders that hold the replaced document.",
)
def replacement_fits_the_folders(context: Context, association: Association) -> Iterator[Fault]:
    """A replacement has the patient of every approved Folder that holds the replaced document."""
    known = ASSOCIATION_BY_URN.get(association.associationType)
    source = context.members.get(association.sourceObject)
    if known is None or not known.replaces or not isinstance(source, DocumentEntry) or not source.patientId:
        return
    if not is_registered(context, association.targetObject):
        return
    for folder in context.registry.folders_of(association.targetObject):
        approved = folder.status == AvailabilityStatus.APPROVED.urn
        if approved and not context.registry.same_patient(source.patientId, folder.patientId):
            message = f"the replaced document is in the Folder {folder.entryUUID} of another patient"
            yield Fault(message, "patientId", source.patientId, line=association.raw.line)


@rule(
    "PAT-008",
    "ITI TF-3: 4.2.2.1.3, 4.2.2.1.5",
    Association,
    transactions=SUBMISSIONS,
    codes=_DIFFERS,
    needs_facts=True,
    remedy="Send the association in a submission for the patient of the Folder.",
)
def set_has_the_patient_of_the_folder(context: Context, association: Association) -> Iterator[Fault]:
    """A registered document enters a registered Folder by a SubmissionSet of their patient, merges taken into account."""
    submission_set = context.submission.submissionSet
    ends = (association.sourceObject, association.targetObject)
    if not submission_set or not submission_set.patientId or not is_of_a_folder(context, association):
        return
    if not all(is_registered(context, id) for id in ends):
        return  # one of them is new, and has the patient of the SubmissionSet: PAT-001, PAT-002
    folder = _patient_behind(context, association.sourceObject)
    if folder and not context.registry.same_patient(submission_set.patientId, folder):
        message = f"the SubmissionSet is for '{submission_set.patientId}', the Folder belongs to another patient"
        yield Fault(message, "sourceObject", association.sourceObject, line=association.raw.line)


def _patient_behind(context: Context, id: str) -> str:
    """The patientId of a new or registered Folder or DocumentEntry; empty for anything else."""
    member = context.members.get(id)
    if isinstance(member, Folder | DocumentEntry):
        return member.patientId or ""
    found: Existing | None = context.registry.find(id) if member is None else None
    return found.patientId if found and found.kind in (ObjectKind.FOLDER, ObjectKind.DOCUMENT_ENTRY) else ""


@rule("PAT-009", "ITI TF-2: 3.42.4.1.3", Submission, codes=alike(ErrorCode.XDSRegistryError), needs_facts=True)
def record_is_open(context: Context, submission: Submission) -> Iterator[Fault]:
    """The record of the patient is neither closed nor destroyed."""
    facts = context.registry
    patient, object, line = _patient_of(submission)
    state = facts.record_state(patient) if patient and not facts.subsumed_by(patient) else ""
    if state:
        remedy = "Ask the operator of the registry to reopen it." if state == "closed" else "It does not come back."
        yield Fault(f"the record of the patient is {state}", "patientId", patient, remedy, object, line)


RULES = (
    entry_has_the_patient,
    folder_has_the_patient,
    patient_known,
    patient_not_subsumed,
    related_documents_share_the_patient,
    folder_and_document_share_the_patient,
    replacement_fits_the_folders,
    set_has_the_patient_of_the_folder,
    record_is_open,
)
