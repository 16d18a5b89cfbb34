"""What an affinity domain limits beside codes: sizes, and the assigning authorities of patient ids.

Where `Context.codes` is None, or has no such limit, nothing is judged.
"""

from __future__ import annotations

from collections.abc import Iterator

from metadata.model import DocumentEntry, Submission
from metadata.rules.declare import identified, rule
from metadata.rules.rule import Context, Fault


@rule("DOM-001", "ITI TF-2: 3.42.4.1.3", DocumentEntry, remedy="Send a smaller document: the domain sets the limit.")
def document_size_limited(context: Context, entry: DocumentEntry) -> Iterator[Fault]:
    """The size of a DocumentEntry does not exceed what the affinity domain allows for one document."""
    limit = context.codes.limit("documentSize") if context.codes else None
    size = (entry.size or "").lstrip("+0")
    if limit is not None and size.isdecimal() and (len(size) > 19 or int(size) > limit):
        yield Fault(f"the document has more than {limit} octets", "size", entry.size or "", line=entry.raw.line)


@rule("DOM-002", "ITI TF-2: 3.42.4.1.3", Submission, remedy="Send the documents in several submissions.")
def documents_limited(context: Context, submission: Submission) -> Iterator[Fault]:
    """A submission brings no more documents than the affinity domain allows."""
    limit = context.codes.limit("documents") if context.codes else None
    if limit is not None and len(submission.documentEntries) > limit:
        count = len(submission.documentEntries)
        yield Fault(f"the submission brings {count} documents, {limit} are allowed", "DocumentEntry", str(count))


@rule("DOM-003", "ITI TF-3: 4.2.3.2.16", Submission)
def patient_authority_known(context: Context, submission: Submission) -> Iterator[Fault]:
    """Every patientId stands under an assigning authority of the affinity domain."""
    authorities = context.codes.authorities("patient") if context.codes else {}
    if not authorities:
        return
    for entity in identified(submission):
        sent = entity.patientId or ""
        oid = authority_of(sent)
        if oid and oid not in authorities:
            listed = ", ".join(authorities)
            fault = f"the assigning authority {oid} is none of this affinity domain"
            yield Fault(fault, "patientId", sent, f"Send an id of {listed}.", entity.entryUUID, entity.raw.line)


def authority_of(cx: str) -> str:
    """The OID in component 4 of a CX; "" where there is none (the form is judged elsewhere)."""
    components = cx.split("^")
    parts = components[3].split("&") if len(components) > 3 else []
    return parts[1] if len(parts) > 1 else ""


RULES = (document_size_limited, documents_limited, patient_authority_known)
