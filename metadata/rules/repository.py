"""What the repository judges itself in ITI-41: documents against entries (ITI TF-2: 3.41.4.1.3, 3.41.4.1.3.2).

Presence and content of all other metadata it leaves to the registry.
"""

from __future__ import annotations

from collections.abc import Iterator

from metadata.model import DocumentEntry, Submission
from metadata.rules.declare import alike, rule
from metadata.rules.rule import Context, Fault
from metadata.schemes import ON_DEMAND
from metadata.vocabulary import ErrorCode, Transaction

#: Rules with this tag need `Context.documents`.
DOCUMENTS = frozenset({"documents"})
#: Rows of the attribute table without which the repository can neither store nor deliver: mimeType and uniqueId.
NEEDED = ("DE-115", "DE-126")

_ITI_41 = frozenset({Transaction.ITI_41})


@rule(
    "REP-001",
    "ITI TF-2: 3.41.4.1.2; ITI TF-3: Table 4.2.4.1-2",
    DocumentEntry,
    codes=alike(ErrorCode.XDSMissingDocument),
    transactions=_ITI_41,
    remedy="Add an xds:Document whose id is the id of the ExtrinsicObject.",
    tags=DOCUMENTS,
)
def every_entry_has_its_document(context: Context, entry: DocumentEntry) -> Iterator[Fault]:
    """Every DocumentEntry comes with its document."""
    documents = context.documents or {}
    if entry.entryUUID not in documents and entry.objectType != ON_DEMAND:
        yield Fault("the document is missing", "Document", line=entry.raw.line)


@rule(
    "REP-002",
    "ITI TF-2: 3.41.4.1.2; ITI TF-3: Table 4.2.4.1-2",
    Submission,
    codes=alike(ErrorCode.XDSMissingDocumentMetadata),
    transactions=_ITI_41,
    remedy="Set Document/@id to the id of its ExtrinsicObject, or leave the document out.",
    tags=DOCUMENTS,
)
def every_document_has_its_entry(context: Context, submission: Submission) -> Iterator[Fault]:
    """Every document comes with its DocumentEntry."""
    for id in context.documents or ():
        if not isinstance(context.members.get(id), DocumentEntry):
            yield Fault("no DocumentEntry has the id of this document", "Document", id, object=id)


@rule(
    "REP-003",
    "ITI TF-2: 3.41.4.1.3",
    DocumentEntry,
    transactions=_ITI_41,
    remedy="Send the SHA-1 of the octets that are sent, or leave the slot out: the repository computes it.",
    tags=DOCUMENTS,
)
def hash_agrees(context: Context, entry: DocumentEntry) -> Iterator[Fault]:
    """The hash of a DocumentEntry, when sent, is the SHA-1 of the document received."""
    received = (context.documents or {}).get(entry.entryUUID)
    if received and entry.hash and entry.hash.lower() != received.sha1.lower():
        message = f"the document received has the hash {received.sha1}"
        yield Fault(message, "hash", entry.hash, line=entry.raw.line)


@rule(
    "REP-004",
    "ITI TF-2: 3.41.4.1.3",
    DocumentEntry,
    transactions=_ITI_41,
    remedy="Send the number of octets that are sent, or leave the slot out: the repository counts them.",
    tags=DOCUMENTS,
)
def size_agrees(context: Context, entry: DocumentEntry) -> Iterator[Fault]:
    """The size of a DocumentEntry, when sent, is that of the document received."""
    received = (context.documents or {}).get(entry.entryUUID)
    if received and entry.size and (entry.size.lstrip("+0") or "0") != str(received.size):
        message = f"the document received has {received.size} octets"
        yield Fault(message, "size", entry.size, line=entry.raw.line)


RULES = (every_entry_has_its_document, every_document_has_its_entry, hash_agrees, size_agrees)
