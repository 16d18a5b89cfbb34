"""New versions against what is registered (ITI TF-2: 3.57.4.1.3; ITI TF-3: 4.1.5).

All of these ask `Facts` and run inside the write transaction. Statuses, associations and patients: `update_linked.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

from metadata.model import DocumentEntry, Folder, Submission
from metadata.rules.association import UNRESOLVED
from metadata.rules.declare import UPDATES, alike, rule
from metadata.rules.rule import Context, Existing, Fault, Finding
from metadata.rules.update import ITI_57
from metadata.update import operations_of, outlook, previous_version, versioned_objects
from metadata.vocabulary import AvailabilityStatus, ErrorCode, Severity

_UPDATE = alike(ErrorCode.XDSMetadataUpdateError)
_IDENTIFIER = alike(ErrorCode.XDSMetadataIdentifierError)
_SECTION = "ITI TF-2: 3.57.4.1.3"
_APPROVED = AvailabilityStatus.APPROVED.urn

#: Rules that speak only where no other refuses (ITI TF-2: 3.57.4.1.3): a wrong version means that all else is right.
LAST = frozenset({"last"})


def settled(findings: list[Finding], last: frozenset[str]) -> list[Finding]:
    """The findings without those of the rules `last` where another one refuses."""
    if any(f.severity is Severity.ERROR and f.rule not in last for f in findings):
        return [f for f in findings if f.rule not in last]
    return findings


def _previous(context: Context) -> Iterator[tuple[DocumentEntry | Folder, Existing]]:
    """Each updated object with the registered version that it follows, where there is one."""
    for entity in versioned_objects(context.submission):
        found = previous_version(context.registry, entity)
        if found is not None:
            yield entity, found


# ------------------------------------------------------------------------------------------------------------ new versions


@rule(
    "UPD-101",
    _SECTION,
    Submission,
    codes=UNRESOLVED,
    transactions=UPDATES,
    needs_facts=True,
    remedy="Query the object (ITI-18) and send the lid that the registry returned with it.",
)
def logical_objects_exist(context: Context, submission: Submission) -> Iterator[Fault]:
    """The logicalID of an updated object is that of a registered DocumentEntry or Folder."""
    for entity in versioned_objects(submission):
        if entity.logicalID and previous_version(context.registry, entity) is None:
            message = "nothing with this logicalID is registered"
            yield Fault(message, "logicalID", entity.logicalID, object=entity.entryUUID, line=entity.raw.line)


@rule(
    "UPD-102",
    "ITI TF-2: 3.57.4.1.3; ITI TF-3: 4.1.5",
    Submission,
    codes=_IDENTIFIER,
    transactions=ITI_57,
    needs_facts=True,
    remedy="All versions of an object have one kind, uniqueId, logicalID and objectType; replace the document to change them.",
)
def identity_stays(context: Context, submission: Submission) -> Iterator[Fault]:
    """A new version has the uniqueId and the objectType of the version before it, and is of the same kind."""
    for entity, found in _previous(context):
        if entity.kind is not found.kind:
            message = f"the logicalID is that of a {found.kind.value}"
            yield Fault(message, "logicalID", entity.logicalID or "", object=entity.entryUUID, line=entity.raw.line)
            continue
        yield from unique_id_changed(entity, found)
        if isinstance(entity, DocumentEntry) and entity.objectType != found.objectType:
            message = f"the objectType of the registered version is {found.objectType}"
            yield Fault(message, "objectType", entity.objectType or "", object=entity.entryUUID, line=entity.raw.line)


def unique_id_changed(entity: DocumentEntry | Folder, found: Existing) -> Iterator[Fault]:
    """A uniqueId that is not that of the version before."""
    if entity.uniqueId and entity.uniqueId != found.uniqueId:
        message = f"the uniqueId of the registered version is {found.uniqueId}"
        yield Fault(message, "uniqueId", entity.uniqueId, object=entity.entryUUID, line=entity.raw.line)


@rule(
    "UPD-103",
    _SECTION,
    Submission,
    codes=_UPDATE,
    transactions=ITI_57,
    needs_facts=True,
    remedy="Approve the Folder first, with UpdateAvailabilityStatus in another message.",
)
def updated_folders_are_approved(context: Context, submission: Submission) -> Iterator[Fault]:
    """A Folder that gets a new version is Approved."""
    for entity, found in _previous(context):
        if isinstance(entity, Folder) and found.kind is entity.kind and found.status != _APPROVED:
            message = f"the Folder {found.entryUUID} is {found.status.rpartition(':')[2]}, not Approved"
            yield Fault(message, "availabilityStatus", object=entity.entryUUID, line=entity.raw.line)


@rule(
    "UPD-104",
    "ITI TF-2: 3.57.4.1.3; ITI TF-3: 4.1.5",
    Submission,
    codes=alike(ErrorCode.XDSMetadataVersionError),
    transactions=UPDATES,
    needs_facts=True,
    tags=LAST,
    remedy="Query the object again (ITI-18), apply the change to what is registered now, and send it with that version.",
)
def versions_follow(context: Context, submission: Submission) -> Iterator[Fault]:
    """PreviousVersion is the current version of the registered object."""
    for update in operations_of(submission).updates:
        found = previous_version(context.registry, update.entity)
        if found is not None and update.previousVersion not in (None, found.version):
            message = f"version {found.version} is registered under {found.entryUUID}"
            yield Fault(
                message,
                "PreviousVersion",
                str(update.previousVersion),
                object=update.entity.entryUUID,
                line=update.trigger.raw.line,
            )


@rule(
    "UPD-105",
    _SECTION,
    Submission,
    codes=_UPDATE,
    transactions=ITI_57,
    needs_facts=True,
    remedy="Give both the same AssociationPropagation, or send them in two messages.",
)
def propagation_agrees(context: Context, submission: Submission) -> Iterator[Fault]:
    """Updated objects that an association joins have the same AssociationPropagation."""
    ahead = outlook(context.submission, context.registry)
    if len({update.propagates for update in ahead.previous.values()}) < 2:
        return
    for uuid, update in ahead.previous.items():
        for link in context.registry.links_of(uuid) if update.propagates else ():
            other = ahead.previous.get(link.other.entryUUID)
            if other is not None and not other.propagates:
                message = f"AssociationPropagation differs from that of {other.entity.entryUUID}, to which it is linked"
                yield Fault(message, "AssociationPropagation", object=update.entity.entryUUID, line=update.trigger.raw.line)


RULES = (
    logical_objects_exist,
    identity_stays,
    updated_folders_are_approved,
    versions_follow,
    propagation_agrees,
)
