"""Limited metadata: the marker that excuses missing attributes (ITI TF-3: 4.2.3.2.29, 4.3.1; ITI TF-1: 15.2.3)."""

from __future__ import annotations

from collections.abc import Iterator

from metadata.model import DocumentEntry, Folder, Submission, SubmissionSet
from metadata.rules.declare import identified, rule
from metadata.rules.rule import Context, Fault

#: Put into `Context.options` by a domain that accepts limited metadata (XDR Recipient, Accepts Limited Metadata Option).
ACCEPT_LIMITED_METADATA = "limitedMetadata"

_SECTION = "ITI TF-3: 4.2.3.2.29, Table 4.3.1-3"


def is_accepted(context: Context) -> bool:
    """True when the domain takes objects marked as limited metadata."""
    return ACCEPT_LIMITED_METADATA in context.options


def _marked(submission: Submission) -> Iterator[SubmissionSet | DocumentEntry | Folder]:
    for entity in identified(submission):
        if entity.limitedMetadata:
            yield entity


@rule("LM-001", _SECTION, Submission, remedy="Send the full metadata and leave the limitedMetadata Classification out.")
def limited_metadata_accepted(context: Context, submission: Submission) -> Iterator[Fault]:
    """An XDS actor sends no limitedMetadata marker, unless the affinity domain accepts limited metadata."""
    if is_accepted(context):
        return
    for entity in _marked(submission):
        message = f"the {entity.kind.value} is marked as limited metadata, which is not accepted here"
        yield Fault(message, "limitedMetadata", object=entity.entryUUID, line=entity.raw.line)


@rule("LM-002", _SECTION, Submission, remedy="Mark the SubmissionSet, every DocumentEntry and every Folder, or none of them.")
def limited_metadata_throughout(context: Context, submission: Submission) -> Iterator[Fault]:
    """Where one object is marked as limited metadata, the SubmissionSet, all DocumentEntries and all Folders are."""
    if not is_accepted(context) or next(_marked(submission), None) is None:
        return
    for entity in identified(submission):
        if not entity.limitedMetadata:
            message = f"the {entity.kind.value} is not marked as limited metadata, another object of the submission is"
            yield Fault(message, "limitedMetadata", object=entity.entryUUID, line=entity.raw.line)


RULES = (limited_metadata_accepted, limited_metadata_throughout)
