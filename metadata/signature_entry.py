"""Which DocumentEntry is a signature over documents, and what such an entry says (ITI TF-3: 5.5.3; the French signed set).

A signature travels as a document of its own: a detached XAdES block, joined by `signs` to what it signs. Two vocabularies are in
use, that of IHE and the older one of the French DMP; both are recognised everywhere, since their codes mean nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

from metadata.french import CONFIDENTIALITY_OID, INVISIBLE_PATIENT, MASKING_OID, MASQUE_PS, SIGNATURE_TYPE
from metadata.model import Association, Code, DocumentEntry, Submission
from metadata.schemes import STABLE
from metadata.vocabulary import AssociationType

#: Format of a detached signature, by its code: IHE's (scheme 1.3.6.1.4.1.19376.1.2.3) and the French one (scheme URN).
DETACHED = "urn:ihe:iti:dsg:detached:2014"
FRENCH_FORMAT = "http://www.w3.org/2000/09/xmldsig#"
FORMAT_CODES = frozenset({DETACHED, FRENCH_FORMAT})
#: Class "Digital Signature" of the French entries (scheme URN).
SIGNATURE_CLASS = "urn:oid:1.3.6.1.4.1.19376.1.2.1.1.1"
#: ASTM E1762: what signatures are made for. 14: the source vouches for the set.
PURPOSE_SCHEME = "1.2.840.10065.1.12"
PURPOSE_SOURCE = f"{PURPOSE_SCHEME}.1.14"
LANGUAGE = "art"
#: Option of an affinity domain: signatures are over whole sets, `signs` ends at the SubmissionSet, and the algorithms of 2001 are
#: accepted, as in the French DMP.
SIGNS_SET = "signs-set"


def is_signature_entry(entry: DocumentEntry) -> bool:
    """True for the entry of a detached signature, by formatCode or classCode."""
    return is_signature_coded(entry.formatCode, entry.classCode)


def is_signature_coded(format_code: Code | None, class_code: Code | None) -> bool:
    """The same, of the two codes. A domain that hides signatures from searches (the DMP) hides what this is true for."""
    return (format_code is not None and format_code.code in FORMAT_CODES) or (
        class_code is not None and class_code.code == SIGNATURE_CLASS
    )


@dataclass(frozen=True, slots=True)
class SignatureVocabulary:
    """The codes of a signature's entry; what is None is copied from the signed documents."""

    formatCode: Code
    classCode: Code
    typeCode: Code
    purpose: Code
    confidentialityCode: tuple[Code, ...]
    title: str


_NORMAL = Code("N", CONFIDENTIALITY_OID, "Normal")
_CLASS = Code(SIGNATURE_CLASS, "URN", "Digital Signature")
_TYPE = Code(*SIGNATURE_TYPE, "Full Document")
_PURPOSE = Code(PURPOSE_SOURCE, PURPOSE_SCHEME, "Source")

IHE = SignatureVocabulary(
    Code(DETACHED, "1.3.6.1.4.1.19376.1.2.3", "DSG Detached Document"), _CLASS, _TYPE, _PURPOSE, (_NORMAL,), "Source"
)
#: Masked to professionals and invisible to the patient: nobody looks for signatures.
FRENCH = SignatureVocabulary(
    Code(FRENCH_FORMAT, "URN", "Default Signature Style"),
    _CLASS,
    _TYPE,
    _PURPOSE,
    (
        _NORMAL,
        Code(MASQUE_PS, MASKING_OID, "Masqué aux professionnels de santé"),
        Code(INVISIBLE_PATIENT, MASKING_OID, "Document non visible par le patient"),
    ),
    "Source",
)


def signature_entries(submission: Submission) -> list[DocumentEntry]:
    """The Stable entries of the submission that are signatures."""
    return [e for e in submission.documentEntries if is_signature_entry(e) and e.objectType in (None, STABLE)]


def signed_by(submission: Submission, entry: DocumentEntry) -> list[Association]:
    """The `signs` associations that begin at this entry."""
    signs = AssociationType.SIGNS.urn
    return [a for a in submission.associations if a.associationType == signs and a.sourceObject == entry.entryUUID]
