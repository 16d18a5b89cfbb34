"""What the repository itself has to say against a request: one builder per finding, its id, code and section.

What a message alone shows to be wrong (a document without entry, a false hash) is in `metadata/rules/repository.py`; here is
what only the store, the index or the configuration can know.
"""

from __future__ import annotations

import errno
from dataclasses import replace

from metadata.rules.rule import Finding, Refused
from metadata.vocabulary import ErrorCode
from storage.errors import CommitUncertain, StorageError, is_busy

PROVIDE = "ITI TF-2: 3.41.4.1.3"
RETRIEVE = "ITI TF-2: 3.43.4.2.3"
REMOVE = "ITI RMD: 3.86.4.1.3"
ERRORS = "ITI TF-3: 4.2.4.1"

#: What a full disk, a full quota and a file that grew too large say.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class StoreRefusal(Refused):
    """The store cannot take or give a document now. Nothing was kept; the next request is served as if this one never was."""


def full(message: str) -> Finding:
    """The store has no room, or would fall under its headroom."""
    return Finding(
        rule="STORE-001",
        code=ErrorCode.XDSRepositoryOutOfResources,
        message=message,
        remedy="Submit again when the operator has made room; nothing of this submission was kept",
        section=ERRORS,
    )


def closed(unique_id: str, state: str) -> Finding:
    """The record of the document's patient is closed or destroyed."""
    return Finding(
        rule="RET-CLOSED",
        code=ErrorCode.XDSRepositoryError,
        message=f"the record of the document's patient is {state}",
        remedy="Ask the operator of the registry",
        object=unique_id,
        section=RETRIEVE,
    )


def unwritable(message: str) -> Finding:
    """The store cannot be written: read-only, a broken disk, wrong rights."""
    return Finding(
        rule="STORE-002",
        code=ErrorCode.XDSRepositoryError,
        message=message,
        remedy="Submit again when the operator has mended the store; nothing of this submission was kept",
        section=ERRORS,
    )


def busy() -> Finding:
    """Somebody else has the database."""
    return Finding(
        rule="SRV-001",
        code=ErrorCode.XDSRepositoryBusy,
        message="the database is busy",
        remedy="Submit again in a moment; nothing of this submission was kept",
        section=ERRORS,
    )


def of_os_error(error: OSError, doing: str) -> StoreRefusal:
    """The refusal for an operating-system error met while `doing`. Names the error, never a path."""
    reason = f"the document store failed while {doing}: {errno.errorcode.get(error.errno or 0, 'I/O error')}"
    return StoreRefusal([full(reason) if error.errno in _FULL else unwritable(reason)])


def of_storage_error(error: StorageError) -> StoreRefusal:
    """The refusal for a database that cannot take the submission, or does not know whether it has."""
    if isinstance(error, CommitUncertain):
        text = "the database broke off while it confirmed the submission, which may have been registered"
        return StoreRefusal([replace(unwritable(text), remedy="Submit the same submission again: the answer will say if it was")])
    if any(word in str(error).lower() for word in ("is full", "no space left", "disk full")):
        return StoreRefusal([full("the database has no room left")])
    if is_busy(error):
        return StoreRefusal([busy()])
    return StoreRefusal([unwritable("the database cannot be written now")])


def document_twice(id: str) -> Finding:
    """Two xds:Document with one id: nobody can tell which of them the entry describes."""
    return Finding(
        rule="STORE-010",
        code=ErrorCode.XDSRepositoryMetadataError,
        message="two xds:Document have this id",
        remedy="Give each xds:Document the id of its own ExtrinsicObject",
        object=id,
        attribute="Document/@id",
        section=PROVIDE + ".2",
    )


def other_content(unique_id: str, same_size: bool) -> Finding:
    """The uniqueId stands already for other bytes."""
    return Finding(
        rule="STORE-003",
        code=ErrorCode.XDSNonIdenticalHash if same_size else ErrorCode.XDSNonIdenticalSize,
        message=f"this repository holds another document under this uniqueId, with another {'hash' if same_size else 'size'}",
        remedy="Give the new document a uniqueId of its own, and relate it by RPLC to the one it corrects",
        object=unique_id,
        attribute="uniqueId",
        section=PROVIDE + ".2",
    )


def damaged(unique_id: str) -> Finding:
    """The stored bytes are not those that were received."""
    return Finding(
        rule="STORE-004",
        code=ErrorCode.XDSRepositoryError,
        message="the stored bytes of this document are gone or no longer agree with their hash, so it is not delivered",
        remedy="The operator has been alarmed; retrieve again after the document was restored",
        object=unique_id,
        section=RETRIEVE,
        location=unique_id,
    )


def undelivered(unique_id: str, refusal: StoreRefusal) -> Finding:
    """The disk does not give the document now; that says nothing of its bytes."""
    return Finding(
        rule="STORE-011",
        code=ErrorCode.XDSRepositoryError,
        message="; ".join(finding.message for finding in refusal.findings),
        remedy="Retrieve again later; the document itself is not known to be damaged",
        object=unique_id,
        section=RETRIEVE,
        location=unique_id,
    )


def not_produced(unique_id: str, reason: str) -> Finding:
    """An On-Demand document that cannot be had now."""
    return Finding(
        rule="STORE-013",
        code=ErrorCode.XDSRepositoryError,
        message=f"the On-Demand document could not be made: {reason}",
        remedy="Retrieve again later",
        object=unique_id,
        section=RETRIEVE,
        location=unique_id,
    )


def unknown_document(unique_id: str, section: str = RETRIEVE) -> Finding:
    """No such document, or none for this caller: one text for both, so that a refusal tells nothing."""
    return Finding(
        rule="STORE-005",
        code=ErrorCode.XDSDocumentUniqueIdError,
        message="no document with this uniqueId is available from this repository",
        remedy="Take DocumentUniqueId and RepositoryUniqueId together from one DocumentEntry",
        object=unique_id,
        section=section,
        location=unique_id,
    )


def not_removable(unique_id: str, reason: str, remedy: str) -> Finding:
    """The document is here and stays."""
    return Finding(
        rule="STORE-012",
        code=ErrorCode.XDSRemoveDocumentsError,
        message=f"the document was not removed: {reason}",
        remedy=remedy,
        object=unique_id,
        section=REMOVE,
        location=unique_id,
    )


def unknown_repository(unique_id: str, requested: str, own: str) -> Finding:
    """The request names another repository."""
    return Finding(
        rule="STORE-006",
        code=ErrorCode.XDSUnknownRepositoryId,
        message=f"this repository is {own}",
        remedy="Send the request to the repository named in DocumentEntry.repositoryUniqueId",
        object=unique_id,
        attribute="RepositoryUniqueId",
        value=requested,
        section=RETRIEVE,
        location=unique_id,
    )


def unknown_community(unique_id: str, requested: str, own: str) -> Finding:
    """The request names another community."""
    return Finding(
        rule="STORE-007",
        code=ErrorCode.XDSUnknownCommunity,
        message=f"this repository belongs to the community {own}",
        remedy="Send the request to a gateway of the community named, or leave HomeCommunityId out",
        object=unique_id,
        attribute="HomeCommunityId",
        value=requested,
        section=RETRIEVE,
        location=unique_id,
    )


def too_many(requested: int, limit: int) -> Finding:
    """More documents than one request may ask for."""
    return Finding(
        rule="STORE-008",
        code=ErrorCode.XDSTooManyResults,
        message=f"{requested} documents were asked for at once; this repository answers at most {limit}",
        remedy="Ask for them in several requests",
        section=ERRORS,
    )


def registry_not_available(reason: str) -> Finding:
    """ITI-42 got no answer."""
    return Finding(
        rule="STORE-009",
        code=ErrorCode.XDSRegistryNotAvailable,
        message=f"the document registry did not answer: {reason}",
        remedy="Submit the same submission again; if it was registered in the meantime, the answer will say so",
        section=PROVIDE + ".2",
    )
