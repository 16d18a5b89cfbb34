"""What the standard recommends without demanding it: judged only where somebody asks for advice.

A server that answers a submission keeps silent about these; a lint and the homologation kit put `ADVICE` into
`Context.options`. All of them are warnings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from metadata.datatypes import is_oid, is_uuid
from metadata.model import DocumentEntry, SubmissionSet
from metadata.rules.declare import rule
from metadata.rules.rule import Context, Fault
from metadata.vocabulary import Severity, Transaction

#: Put into `Context.options` to have recommendations judged too; also the tag of these rules.
ADVICE = "advice"
_TAGS = frozenset({ADVICE})

_RECOMMENDED_FIELDS = ("PID-3", "PID-5", "PID-7", "PID-8")
#: HL7 code system "Confidentiality" (HCS).
_CONFIDENTIALITY = "2.16.840.1.113883.5.25"
_URI_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")


@rule(
    "ADV-001",
    "ITI TF-3: 4.2.3.2.23",
    DocumentEntry,
    severity=Severity.WARNING,
    tags=_TAGS,
    remedy="Add the field, or leave sourcePatientInfo out.",
)
def patient_is_described(context: Context, entry: DocumentEntry) -> Iterator[Fault]:
    """sourcePatientInfo should hold PID-3 (ids), PID-5 (name), PID-7 (birth date) and PID-8 (sex)."""
    if not entry.sourcePatientInfo:
        return
    sent = {value.partition("|")[0] for value in entry.sourcePatientInfo}
    for name in _RECOMMENDED_FIELDS:
        if name not in sent:
            yield Fault(f"{name} is not sent", "sourcePatientInfo", line=entry.raw.line)


@rule(
    "ADV-002",
    "ITI TF-3: 4.2.3.2.5",
    DocumentEntry,
    severity=Severity.WARNING,
    tags=_TAGS,
    remedy=f"Send one of U, L, M, N, R, V with the codingScheme {_CONFIDENTIALITY}, beside codes of your own.",
)
def one_hl7_confidentiality(context: Context, entry: DocumentEntry) -> Iterator[Fault]:
    """Exactly one confidentialityCode should come from the HL7 code system Confidentiality."""
    if not entry.confidentialityCode:
        return
    count = sum(code.scheme == _CONFIDENTIALITY for code in entry.confidentialityCode)
    if count != 1:
        yield Fault(f"{count or 'none'} of the codes is from {_CONFIDENTIALITY}", "confidentialityCode", line=entry.raw.line)


@rule(
    "ADV-003",
    "ITI TF-3: 4.2.3.2.26",
    DocumentEntry,
    severity=Severity.WARNING,
    tags=_TAGS,
    remedy="Use an OID, OID^extension (as a CDA id), or the URN of a UUID: urn:uuid:...",
)
def unique_id_is_globally_unique(context: Context, entry: DocumentEntry) -> Iterator[Fault]:
    """The creator of a document should give it an OID, OID^extension, or a URI as uniqueId."""
    sent = entry.uniqueId
    if not sent:
        return
    if not is_oid(sent.partition("^")[0]) and not is_uuid(sent) and not _URI_SCHEME.match(sent):
        yield Fault("the uniqueId is globally unique by no known rule", "uniqueId", sent, line=entry.raw.line)


@rule(
    "ADV-004",
    "ITI TF-2: 3.61.4.1.2",
    DocumentEntry,
    transactions=frozenset({Transaction.ITI_61}),
    severity=Severity.WARNING,
    tags=_TAGS,
    remedy="Leave it out: nobody can have signed content that is yet to be made.",
)
def nobody_signed_the_future(context: Context, entry: DocumentEntry) -> Iterator[Fault]:
    """An On-Demand DocumentEntry should have no legalAuthenticator."""
    if entry.legalAuthenticator:
        yield Fault("a legalAuthenticator is sent", "legalAuthenticator", entry.legalAuthenticator, line=entry.raw.line)


@rule(
    "ADV-005",
    "ITI TF-3: 4.2.3.1.4, Table 4.3.1-3",
    SubmissionSet,
    severity=Severity.WARNING,
    tags=_TAGS,
    remedy="Name who sends the documents: a person, an organization or a device.",
)
def submissions_have_an_author(context: Context, submission_set: SubmissionSet) -> Iterator[Fault]:
    """The author of a SubmissionSet is sent where it is known, and it should be."""
    if not submission_set.author:
        yield Fault("no author is sent", "author", line=submission_set.raw.line)


RULES = (
    patient_is_described,
    one_hl7_confidentiality,
    unique_id_is_globally_unique,
    nobody_signed_the_future,
    submissions_have_an_author,
)
