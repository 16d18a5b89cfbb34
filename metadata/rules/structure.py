"""The submission as a whole: what it holds, who is whose marker, which ids it uses twice (ITI TF-3: 4.2.1)."""

from __future__ import annotations

from collections.abc import Iterator

from metadata import schemes
from metadata.datatypes import DataType, problem_with
from metadata.model import DocumentEntry, Folder, RegistryObject, Submission, SubmissionSet
from metadata.rules.carriers import NODES
from metadata.rules.declare import SUBMISSIONS, UPDATES, identified, rule
from metadata.rules.rule import Context, Fault
from metadata.vocabulary import Actor, AssociationType, ErrorCode

_MARKERS = (schemes.SUBMISSION_SET_NODE, schemes.FOLDER_NODE)
_IN_MESSAGE = {
    Actor.REGISTRY: ErrorCode.XDSRegistryDuplicateUniqueIdInMessage,
    Actor.REPOSITORY: ErrorCode.XDSRepositoryDuplicateUniqueIdInMessage,
}


@rule("SUB-001", "ITI TF-3: 4.2.1.4", Submission, remedy="Send each SubmissionSet in a message of its own.")
def one_submission_set(context: Context, submission: Submission) -> Iterator[Fault]:
    """A submission holds exactly one SubmissionSet."""
    count = len(submission.submissionSets)
    if count == 0:
        yield Fault(
            "the submission holds no SubmissionSet",
            remedy=f"Add a RegistryPackage with a Classification whose classificationNode is {schemes.SUBMISSION_SET_NODE}.",
        )
    for extra in submission.submissionSets[1:]:
        yield Fault(f"the submission holds {count} SubmissionSets, one is allowed", object=extra.entryUUID, line=extra.raw.line)


@rule("SUB-002", "ITI TF-3: 4.2.1.2.1, 4.2.1.3.1", Submission)
def packages_are_marked(context: Context, submission: Submission) -> Iterator[Fault]:
    """Every RegistryPackage is marked by a Classification as SubmissionSet or as Folder."""
    for other in submission.others:
        if other.element == "RegistryPackage":
            yield Fault(
                "the RegistryPackage is marked neither as SubmissionSet nor as Folder",
                object=other.id,
                remedy=f"Nest a Classification with classificationNode {schemes.SUBMISSION_SET_NODE} (SubmissionSet) or "
                f"{schemes.FOLDER_NODE} (Folder), or put it beside the package with classifiedObject = the package's id.",
                line=other.line,
            )


@rule("SUB-003", "ITI TF-3: 4.2.1.4", Submission, remedy="Leave the element out: it has no meaning here.")
def known_elements(context: Context, submission: Submission) -> Iterator[Fault]:
    """A RegistryObjectList holds ExtrinsicObject, RegistryPackage, Association and Classification, nothing else."""
    for other in submission.others:
        if other.element != "RegistryPackage":
            yield Fault(f"rim:{other.element} is not part of a submission", object=other.id, line=other.line)


@rule("SUB-004", "ITI TF-3: 4.2.1.2.1, 4.2.1.3.1", Submission, remedy="Keep one of the two marker Classifications.")
def one_marker(context: Context, submission: Submission) -> Iterator[Fault]:
    """A RegistryPackage is marked either as SubmissionSet or as Folder, not as both."""
    loose: dict[str, set[str]] = {}
    for classification in submission.looseClassifications:
        if classification.classificationNode in _MARKERS:
            loose.setdefault(classification.classifiedObject or "", set()).add(classification.classificationNode)
    packages: tuple[SubmissionSet | Folder, ...] = (*submission.submissionSets, *submission.folders)
    for package in packages:
        nodes = {c.classificationNode for c in package.raw.classifications if c.classificationNode in _MARKERS}
        if len(nodes | loose.get(package.entryUUID, set())) > 1:
            yield Fault(
                "the RegistryPackage is marked as SubmissionSet and as Folder at once",
                object=package.entryUUID,
                line=package.raw.line,
            )


@rule("SUB-005", "ITI TF-3: 4.2.1.2.1, 4.2.1.3.1", Submission)
def loose_classifications(context: Context, submission: Submission) -> Iterator[Fault]:
    """A Classification beside the objects names an object of this submission in classifiedObject."""
    if not submission.looseClassifications:
        return
    known = {o.id for o in submission.others} | context.members.keys()
    for classification in submission.looseClassifications:
        if classification.classifiedObject not in known:
            yield Fault(
                "the Classification names an object that is not in this submission",
                object=classification.id or "",
                attribute="classifiedObject",
                value=classification.classifiedObject or "",
                remedy="Set classifiedObject to the id of the RegistryPackage that it marks.",
                line=classification.line,
            )


@rule("SUB-006", "ITI TF-3: 4.2.1.4", Submission, remedy="Give every object an id of its own.")
def ids_unique(context: Context, submission: Submission) -> Iterator[Fault]:
    """No two objects of a submission have the same id."""
    entities = tuple(submission.entities())
    if len(context.members) == len(entities) and not submission.others:
        return
    seen: set[str] = set()
    raws: list[RegistryObject] = [e.raw for e in entities]
    raws.extend(submission.others)
    for raw in raws:
        if raw.id and raw.id in seen:
            yield Fault("another object of this submission has the same id", object=raw.id, attribute="id", line=raw.line)
        seen.add(raw.id)


@rule("SUB-007", "ITI TF-3: 4.2.2.1.1", Submission, transactions=SUBMISSIONS)
def entries_are_members(context: Context, submission: Submission) -> Iterator[Fault]:
    """The SubmissionSet has a HasMember association to every DocumentEntry of the submission."""
    members = _members_of_the_set(submission)
    for entry in submission.documentEntries:
        if members is not None and entry.entryUUID not in members:
            yield _not_a_member("DocumentEntry", entry.entryUUID, entry.raw, " and the slot SubmissionSetStatus = Original")


@rule("SUB-008", "ITI TF-3: 4.2.2.1.2", Submission, transactions=SUBMISSIONS)
def folders_are_members(context: Context, submission: Submission) -> Iterator[Fault]:
    """The SubmissionSet has a HasMember association to every Folder of the submission."""
    members = _members_of_the_set(submission) if submission.folders else None
    for folder in submission.folders:
        if members is not None and folder.entryUUID not in members:
            yield _not_a_member("Folder", folder.entryUUID, folder.raw, "")


def _members_of_the_set(submission: Submission) -> set[str] | None:
    """The targets of the SubmissionSet's HasMember associations; None where the set is not one (SUB-001 says so)."""
    if len(submission.submissionSets) != 1:
        return None
    source = submission.submissionSets[0].entryUUID
    has_member = AssociationType.HAS_MEMBER.urn
    return {a.targetObject for a in submission.associations if a.sourceObject == source and a.associationType == has_member}


def _not_a_member(kind: str, id: str, raw: RegistryObject, more: str) -> Fault:
    return Fault(
        f"the SubmissionSet has no HasMember association to this {kind}",
        object=id,
        remedy=f"Add an Association of type {AssociationType.HAS_MEMBER.urn} from the SubmissionSet to it{more}.",
        line=raw.line,
    )


@rule("SUB-009", "ITI TF-3: Table 4.2.4.1-2", Submission, codes=_IN_MESSAGE, remedy="Give every object a uniqueId of its own.")
def unique_ids_unique(context: Context, submission: Submission) -> Iterator[Fault]:
    """No uniqueId is used twice in a submission, whatever the kind of the objects."""
    seen: set[str] = set()
    for entity in identified(submission):
        if entity.uniqueId and entity.uniqueId in seen and not _is_second_update(context, entity):
            yield Fault(
                "another object of this submission has the same uniqueId",
                object=entity.entryUUID,
                attribute="uniqueId",
                value=entity.uniqueId,
                line=entity.raw.line,
            )
        seen.add(entity.uniqueId or "")


def _is_second_update(context: Context, entity: SubmissionSet | DocumentEntry | Folder) -> bool:
    """True in an update for an object whose logicalID another one has: they share the uniqueId by right (UPD-008)."""
    if context.transaction not in UPDATES or isinstance(entity, SubmissionSet) or not entity.logicalID:
        return False
    versioned: tuple[DocumentEntry | Folder, ...] = (*context.submission.documentEntries, *context.submission.folders)
    return any(other.logicalID == entity.logicalID and other is not entity for other in versioned)


@rule("SUB-010", "ITI TF-3: 4.2.1.4", Submission, remedy="Write urn:oid: and the OID of the community, or leave the slot out.")
def request_home_community(context: Context, submission: Submission) -> Iterator[Fault]:
    """A homeCommunityId in the RequestSlotList is one OID in URN form."""
    for slot in submission.requestSlots:
        if slot.name != "homeCommunityId":
            continue
        if len(slot.values) != 1:
            yield Fault(f"the request slot has {len(slot.values)} values, one is expected", slot.name, line=slot.line)
        elif problem := problem_with(DataType.HOME_COMMUNITY_ID, slot.values[0]):
            yield Fault(problem, slot.name, slot.values[0], line=slot.line)


@rule("SUB-011", "ITI TF-3: 4.2.1.2.1, 4.2.1.3.1, 4.2.3.1.2", Submission)
def loose_classifications_mark(context: Context, submission: Submission) -> Iterator[Fault]:
    """A Classification beside the objects is a marker of the object that it names; codes and authors are nested in theirs."""
    for classification in submission.looseClassifications:
        entity = context.members.get(classification.classifiedObject or "")
        if entity is None or classification.classificationNode in NODES[entity.kind]:
            continue
        meant = classification.classificationScheme or classification.classificationNode or ""
        yield Fault(
            f"the Classification beside the {entity.kind.value} is no marker of it",
            object=entity.entryUUID,
            attribute="Classification",
            value=meant,
            remedy="Nest a code or an author in its object; leave out what marks nothing.",
            line=classification.line,
        )


RULES = (
    one_submission_set,
    packages_are_marked,
    known_elements,
    one_marker,
    loose_classifications,
    ids_unique,
    entries_are_members,
    folders_are_members,
    unique_ids_unique,
    request_home_community,
    loose_classifications_mark,
)
