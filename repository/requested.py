"""Documents as requests name them (ITI-43, ITI-86): which repository is meant, which of our documents, and for whom.

A urn: prefix too many or too few is met by WIRE-061: noted, or a fault in the strict profile. Only the repository can judge it,
for it alone knows how an id is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import TypeVar

from metadata.rules.rule import Finding
from repository import refusals
from soap.body.retrieve import DocumentRequest
from soap.call import Call, Caller
from soap.wire import Wire

Found = TypeVar("Found")

_PREFIXES = ("urn:oid:", "urn:uuid:")
#: Which of these uniqueIds the caller may have; it is asked of every spelling of what is requested, stored here or not, so that
#: what is refused is answered like what is unknown, and as late.
MayRetrieve = Callable[[Caller, Sequence[str]], Set[str]]
#: Those of the patients whose record is closed or destroyed, with the word for it.
NotOpen = Callable[[Iterable[str]], Mapping[str, str]]


def all_open(patient_ids: Iterable[str]) -> Mapping[str, str]:
    """The answer of a repository whose registry is elsewhere: it knows of no record that is closed."""
    return {}


def everything(caller: Caller, unique_ids: Sequence[str]) -> Set[str]:
    """The access decision of a repository without access control."""
    return set(unique_ids)


def elsewhere(call: Call, request: DocumentRequest, own: str, own_home: str) -> Finding | None:
    """The finding for a request that names another repository than `own`, or another community than `own_home`."""
    if not _same(call, request.repositoryUniqueId, own, "RepositoryUniqueId"):
        return refusals.unknown_repository(request.documentUniqueId, request.repositoryUniqueId, own)
    if request.home and own_home and not _same(call, request.home, own_home, "HomeCommunityId"):
        return refusals.unknown_community(request.documentUniqueId, request.home, own_home)
    return None


def spellings(unique_id: str) -> list[str]:
    """The id as requested first, then with a urn: prefix less or more."""
    bare = _bare(unique_id)
    return list(dict.fromkeys([unique_id, bare, *(prefix + bare for prefix in _PREFIXES)]))


def stored_under(
    call: Call, requests: Sequence[DocumentRequest], rows: Mapping[str, Found], allowed: Set[str]
) -> dict[str, Found]:
    """The row of each DocumentUniqueId as requested, among the `rows` by stored id that are `allowed`."""
    stored: dict[str, Found] = {}
    for requested in dict.fromkeys(request.documentUniqueId for request in requests):
        spelling = next((s for s in spellings(requested) if s in allowed and s in rows), None)
        if spelling is not None:
            stored[requested] = rows[spelling]
            if spelling != requested:
                _wire(call).meet("WIRE-061", call.notes, "DocumentUniqueId")
    return stored


def _wire(call: Call) -> Wire:
    return call.wire or Wire()


def _bare(identifier: str) -> str:
    return next((identifier[len(p) :] for p in _PREFIXES if identifier.lower().startswith(p)), identifier)


def _same(call: Call, requested: str, own: str, attribute: str) -> bool:
    """Equal, if need be without the urn: prefix; that is noted or, in the strict profile, a fault."""
    if requested == own:
        return True
    if _bare(requested) != _bare(own):
        return False
    _wire(call).meet("WIRE-061", call.notes, attribute)
    return True
