"""What the registry knows of a person, for the documents that are made of it: asked by stored queries, here or elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from metadata.fragments import parse_fragment
from metadata.model import DocumentEntry, Slot
from metadata.queries import read_query
from metadata.query_table import FIND_DOCUMENTS, GET_DOCUMENTS, GET_RELATED_DOCUMENTS, QueryDefinition
from metadata.rules.rule import Refused
from metadata.schemes import ON_DEMAND, STABLE
from metadata.vocabulary import AssociationType, AvailabilityStatus, ResponseStatus, Transaction
from registry.fragments import unpack
from registry.search import Search
from registry.search_run import CONTENT, ROOT_CX
from registry.search_visibility import Visibility
from soap.client import Client
from soap.client_errors import ClientError
from storage.errors import StorageError

Slots = Sequence[tuple[str, str]]

#: A stored query with its parameters: the DocumentEntries that it finds. Raises `NoAnswer`.
Ask = Callable[[QueryDefinition, Slots], Sequence[DocumentEntry]]

_APPROVED = AvailabilityStatus.APPROVED.urn


class NoAnswer(Exception):
    """The registry did not say; the text tells why, without names of persons."""


def ask_here(search: Search, visibility_of: Callable[[], Visibility] | None = None) -> Ask:
    """The registry of this process. `visibility_of` tells of each question what is left out."""

    def ask(query: QueryDefinition, slots: Slots) -> Sequence[DocumentEntry]:
        sent = [Slot(name, (value,)) for name, value in slots]
        try:
            visibility = visibility_of() if visibility_of else None
            found = search.find(read_query(query.id, sent, Transaction.ITI_18), leaf=True, visibility=visibility)
            entries = [parse_fragment(unpack(row[CONTENT]), row[ROOT_CX]) for row in found.entries]
        except Refused as refused:
            raise NoAnswer("; ".join(finding.message for finding in refused.findings)) from refused
        except StorageError as error:
            raise NoAnswer("the registry cannot be read now") from error
        return [entry for entry in entries if isinstance(entry, DocumentEntry)]

    return ask


def ask_elsewhere(client: Client) -> Ask:
    """A registry that is another server."""

    def ask(query: QueryDefinition, slots: Slots) -> Sequence[DocumentEntry]:
        try:
            found = client.query(query.id, [(name, [value]) for name, value in slots])
        except ClientError as error:
            raise NoAnswer("the registry does not answer") from error
        if found.response.status is not ResponseStatus.SUCCESS:
            raise NoAnswer("the registry refused to answer: " + ", ".join(error.error_code for error in found.errors))
        return found.objects.documentEntries

    return ask


class Records:
    """The questions of an On-Demand Document Source."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def on_demand(self, unique_id: str, repository: str) -> DocumentEntry | None:
        """The On-Demand entry with this uniqueId and repositoryUniqueId, an approved one before others, then the youngest."""
        slots = [("$XDSDocumentEntryUniqueId", _listed(unique_id)), ("$MetadataLevel", "2")]
        entries = [
            e for e in self._ask(GET_DOCUMENTS, slots) if e.objectType == ON_DEMAND and e.repositoryUniqueId == repository
        ]
        entries.sort(key=lambda e: (e.availabilityStatus == _APPROVED, int(e.version or 1)))
        return entries[-1] if entries else None

    def documents(self, patient: str) -> Sequence[DocumentEntry]:
        """The approved stable documents of a person, in the order of their registration."""
        slots = [("$XDSDocumentEntryPatientId", _quoted(patient)), ("$XDSDocumentEntryStatus", _listed(_APPROVED))]
        return self._ask(FIND_DOCUMENTS, slots)

    def snapshots(self, entry_uuid: str) -> Sequence[DocumentEntry]:
        """The approved snapshots of an On-Demand entry."""
        slots = [
            ("$XDSDocumentEntryEntryUUID", _quoted(entry_uuid)),
            ("$AssociationTypes", _listed(AssociationType.IS_SNAPSHOT_OF.urn)),
            ("$XDSDocumentEntryType", f"('{STABLE}','{ON_DEMAND}')"),
        ]
        found = self._ask(GET_RELATED_DOCUMENTS, slots)
        return [e for e in found if e.objectType == STABLE and e.availabilityStatus == _APPROVED]


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _listed(value: str) -> str:
    return f"({_quoted(value)})"
