"""ITI-43 Retrieve Document Set (ITI TF-2: 3.43.4): each document that can be given, and one error for each that cannot.

A document whose bytes no longer agree with their hash is never delivered. Up to `RepositoryOptions.check_before` bytes it is
read and checked before the answer begins, and refused with an error of its own. A larger one is checked while it is sent: on a
mismatch the stream ends with an exception before its last chunk, so that the answer breaks before its closing delimiter.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from metadata.rules.rule import Finding, Refused
from metadata.vocabulary import ResponseStatus
from repository import refusals
from repository.content import ContentMismatch, ContentStore
from repository.delivery import Delivery
from repository.index import DocumentIndex, StoredDocument
from repository.iti41 import RepositoryOptions
from repository.requested import MayRetrieve, NotOpen, all_open, elsewhere, everything, spellings, stored_under
from soap.body.retrieve import DocumentRequest, Retrieved, build_retrieve_answer, parse_document_requests
from soap.call import Answer, Call, Caller
from storage.errors import StorageError


@dataclass(frozen=True, slots=True)
class ProducedDocument:
    """An On-Demand document, made for this request (ITI TF-2: 3.43.4.2.3). `newRepositoryUniqueId` where it was kept as well."""

    newUniqueId: str
    mimeType: str
    size: int
    chunks: Iterable[bytes]
    newRepositoryUniqueId: str = ""


class NotProduced(Exception):
    """An On-Demand document could not be made, or not be kept where it has to be; the text says why."""


class OnDemandSource(Protocol):
    """Makes the documents of On-Demand DocumentEntries."""

    def produce(self, unique_id: str, caller: Caller) -> ProducedDocument | None:
        """The document, None when this uniqueId is no On-Demand entry of ours that the caller may have. Raises `NotProduced`."""


class RetrieveDocumentSet:
    """The handler of ITI-43. Safe for threads."""

    def __init__(
        self,
        store: ContentStore,
        index: DocumentIndex,
        options: RepositoryOptions,
        may_retrieve: MayRetrieve = everything,
        on_demand: OnDemandSource | None = None,
        not_open: NotOpen = all_open,
    ) -> None:
        self._store = store
        self._index = index
        self._options = options
        self._may_retrieve = may_retrieve
        self._on_demand = on_demand
        self._not_open = not_open

    def __call__(self, call: Call) -> Answer:
        """Raises `Refused` when the request as a whole cannot be served.

        The same document asked for twice is given twice.
        """
        requests = parse_document_requests(call.body)
        if len(requests) > self._options.retrieve_documents:
            raise Refused([refusals.too_many(len(requests), self._options.retrieve_documents)])
        try:
            found, findings = self._answer_each(call, requests)
        except StorageError as error:
            raise refusals.of_storage_error(error) from error
        status = ResponseStatus.SUCCESS
        if findings:
            status = ResponseStatus.PARTIAL_SUCCESS if found else ResponseStatus.FAILURE
        return build_retrieve_answer(call, status, found, findings, call.explain_base)

    def _answer_each(self, call: Call, requests: Sequence[DocumentRequest]) -> tuple[list[Retrieved], list[Finding]]:
        own, home = self._options.repository_unique_id, self._options.home_community_id
        refused = [elsewhere(call, request, own, home) for request in requests]
        wanted = [r for r, finding in zip(requests, refused, strict=True) if finding is None]
        stored = self._lookup(call, wanted)
        closed = self._not_open({d.patientId for d in stored.values() if d.patientId}) if stored else {}
        delivery = Delivery(self._store, self._index, list(stored.values()), self._options.check_before)
        found: list[Retrieved] = []
        findings: list[Finding] = []
        for request, refusal in zip(requests, refused, strict=True):
            if refusal is not None:
                findings.append(refusal)
                continue
            document = stored.get(request.documentUniqueId)
            if document is not None and (document.patientId or "") in closed:
                findings.append(refusals.closed(request.documentUniqueId, closed[document.patientId or ""]))
                continue
            answer = self._produce(call, request) if document is None else self._deliver(request, document, delivery)
            if isinstance(answer, Finding):
                findings.append(answer)
            else:
                found.append(answer)
        return found, findings

    def _lookup(self, call: Call, requests: Sequence[DocumentRequest]) -> dict[str, StoredDocument]:
        """The document of each DocumentUniqueId as requested, where there is one and the caller may have it."""
        asked = list(dict.fromkeys(s for r in requests for s in spellings(r.documentUniqueId)))
        rows = self._index.find(asked)
        call.patients = {id: document.patientId for id, document in rows.items() if document.patientId}
        allowed = self._may_retrieve(call.caller, asked) if asked else frozenset()
        return stored_under(call, requests, rows, allowed)

    def _produce(self, call: Call, request: DocumentRequest) -> Retrieved | Finding:
        try:
            produced = self._on_demand.produce(request.documentUniqueId, call.caller) if self._on_demand is not None else None
        except NotProduced as error:
            return refusals.not_produced(request.documentUniqueId, str(error))
        if produced is None:
            return refusals.unknown_document(request.documentUniqueId)
        return Retrieved(
            request, produced.mimeType, produced.size, produced.chunks, produced.newRepositoryUniqueId, produced.newUniqueId
        )

    def _deliver(self, request: DocumentRequest, document: StoredDocument, delivery: Delivery) -> Retrieved | Finding:
        try:
            chunks = delivery.chunks(document)
        except ContentMismatch:
            return refusals.damaged(request.documentUniqueId)
        except refusals.StoreRefusal as refusal:
            return refusals.undelivered(request.documentUniqueId, refusal)
        return Retrieved(request, document.mimeType, document.size, chunks)

