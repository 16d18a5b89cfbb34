"""referenceIdList: what each type of id asks of the CXi that carries it (ITI TF-3: 4.2.3.1.7, 4.2.3.2.28).

That a value is a CXi at all, with the assigning authority that its type demands, is DE-428.
"""

from __future__ import annotations

from collections.abc import Iterator

from metadata.model import DocumentEntry
from metadata.rules.declare import rule
from metadata.rules.rule import Context, Fault
from metadata.vocabulary import Severity

_SECTION = "ITI TF-3: 4.2.3.1.7"
_ATTRIBUTE = "referenceIdList"
UNIQUE_ID = "urn:ihe:iti:xds:2013:uniqueId"
ACCESSION = "urn:ihe:iti:xds:2013:accession"
REFERRAL = "urn:ihe:iti:xds:2013:referral"
ORDER = "urn:ihe:iti:xds:2013:order"
WORKFLOW_INSTANCE_ID = "urn:ihe:iti:xdw:2013:workflowInstanceId"
STUDY_INSTANCE_UID = "urn:ihe:iti:xds:2016:studyInstanceUID"
ENCOUNTER_ID = "urn:ihe:iti:xds:2015:encounterId"

_WITH_AUTHORITY = frozenset({REFERRAL, ORDER, ENCOUNTER_ID})
_ALONE = frozenset({WORKFLOW_INSTANCE_ID, STUDY_INSTANCE_UID})
_DEFINED = _WITH_AUTHORITY | _ALONE | {UNIQUE_ID, ACCESSION}


def _references(entry: DocumentEntry) -> Iterator[tuple[str, str, str]]:
    """(whole value, CXi.4, CXi.5) of each reference that has a type."""
    for value in entry.referenceIdList:
        parts = value.split("^")
        if len(parts) >= 5:
            yield value, parts[3], parts[4]


@rule(
    "RID-001",
    _SECTION,
    DocumentEntry,
    severity=Severity.WARNING,
    remedy="Check the spelling: " + ", ".join(sorted(_DEFINED)) + "; name a type of your own with a URN that you own.",
)
def type_defined(context: Context, entry: DocumentEntry) -> Iterator[Fault]:
    """A reference id type (CXi.5) that starts with urn:ihe: is one that the standard defines."""
    for value, _, type in _references(entry):
        if type.lower().startswith("urn:ihe:") and type not in _DEFINED:
            yield Fault(f"the reference id type {type} is not defined", _ATTRIBUTE, value, line=entry.raw.line)


@rule(
    "RID-002",
    _SECTION,
    DocumentEntry,
    severity=Severity.WARNING,
    remedy="Write 'id^^^^type' and nothing else.",
)
def unique_ids_stand_alone(context: Context, entry: DocumentEntry) -> Iterator[Fault]:
    """A workflowInstanceId or studyInstanceUID has no assigning authority: it is unique by itself."""
    for value, authority, type in _references(entry):
        if type in _ALONE and authority:
            yield Fault(f"the id of type {type} has an assigning authority", _ATTRIBUTE, value, line=entry.raw.line)


RULES = (type_defined, unique_ids_stand_alone)
