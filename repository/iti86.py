"""ITI-86 Remove Documents (ITI RMD: 3.86): each document that may go goes, and one error for each that does not.

It stands by itself: the registry's metadata are ITI-62's, and no commit joins the two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass

from metadata.rules.removal import RemovalPolicy
from metadata.rules.rule import Finding, Refused
from metadata.vocabulary import ResponseStatus
from repository import refusals, removal
from repository.content import FileStore
from repository.index import DocumentIndex, StoredDocument
from repository.iti41 import RepositoryOptions
from repository.requested import MayRetrieve, NotOpen, all_open, elsewhere, everything, spellings, stored_under
from soap.body.registry_response import build_registry_response
from soap.body.remove import parse_remove_documents
from soap.body.retrieve import DocumentRequest
from soap.call import Answer, Call

#: Those of the uniqueIds that the registry describes by some DocumentEntry. Raises ConnectionError without an answer.
Registered = Callable[[Sequence[str]], Mapping[str, Set[str]]]


@dataclass(frozen=True, slots=True)
class RemoveOptions:
    """What removing means here. `registered`: documents that a DocumentEntry still describes may go as well."""

    policy: RemovalPolicy = RemovalPolicy.HIDE
    registered: bool = True


class RemoveDocuments:
    """The handler of ITI-86. Safe for threads."""

    def __init__(
        self,
        store: FileStore,
        index: DocumentIndex,
        options: RepositoryOptions,
        registered: Registered,
        removing: RemoveOptions | None = None,
        not_open: NotOpen = all_open,
        may_remove: MayRetrieve = everything,
    ) -> None:
        self._store = store
        self._index = index
        self._options = options
        self._registered = registered
        self._may_remove = may_remove
        self._removing = removing or RemoveOptions()
        self._not_open = not_open

    def __call__(self, call: Call) -> Answer:
        """rmd:RemoveDocumentsRequest in, rs:RegistryResponse out. The same document named twice is removed once."""
        requests = parse_remove_documents(call.body)
        if len(requests) > self._options.retrieve_documents:
            raise Refused([refusals.too_many(len(requests), self._options.retrieve_documents)])
        removable, findings = self._judge(call, requests)
        self._remove(removable)
        status = ResponseStatus.SUCCESS
        if findings:
            status = ResponseStatus.PARTIAL_SUCCESS if removable else ResponseStatus.FAILURE
        return Answer([build_registry_response(status, findings, call.explain_base)], status, findings)

    def _judge(self, call: Call, requests: Sequence[DocumentRequest]) -> tuple[list[StoredDocument], list[Finding]]:
        options = self._options
        own, home = options.repository_unique_id, options.home_community_id
        wanted: dict[str, DocumentRequest] = {}
        findings: list[Finding] = []
        for request in requests:
            finding = elsewhere(call, request, own, home)
            if finding is not None:
                findings.append(finding)
            else:
                wanted.setdefault(request.documentUniqueId, request)
        asked = list(dict.fromkeys(s for unique_id in wanted for s in spellings(unique_id)))
        rows = self._index.find(asked)
        allowed = self._may_remove(call.caller, asked) if asked else frozenset()
        stored = stored_under(call, list(wanted.values()), rows, allowed)
        kept = {**self._kept(sorted({d.uniqueId for d in stored.values()})), **self._closed(list(stored.values()))}
        removable: dict[str, StoredDocument] = {}
        for unique_id in wanted:
            found = stored.get(unique_id)
            if found is None:
                findings.append(refusals.unknown_document(unique_id, refusals.REMOVE))
            elif found.uniqueId in kept:
                findings.append(refusals.not_removable(unique_id, *kept[found.uniqueId]))
            else:
                removable[found.uniqueId] = found
        return list(removable.values()), findings

    def _kept(self, unique_ids: Sequence[str]) -> dict[str, tuple[str, str]]:
        """Why documents stay, and what can be done about it, by uniqueId."""
        if self._removing.policy is RemovalPolicy.REFUSE:
            return dict.fromkeys(unique_ids, ("this repository removes no documents", "Ask the operator of the repository"))
        if self._removing.registered or not unique_ids:
            return {}
        try:
            known = self._registered(unique_ids)
        except ConnectionError:
            reason = "the registry does not say whether a DocumentEntry describes it"
            return dict.fromkeys(unique_ids, (reason, "Try again when the registry answers"))
        return dict.fromkeys(known, ("a DocumentEntry still describes it", "Remove the metadata first (ITI-62)"))

    def _closed(self, documents: Sequence[StoredDocument]) -> dict[str, tuple[str, str]]:
        """Those whose patient's record is closed: it is kept as it is until it is destroyed as a whole."""
        patients = {d.uniqueId: d.patientId for d in documents if d.patientId}
        states = self._not_open(set(patients.values())) if patients else {}
        reasons = {unique_id: states[patient] for unique_id, patient in patients.items() if patient in states}
        remedy = "Ask the operator to reopen the record"
        return {unique_id: (f"the record of its patient is {state}", remedy) for unique_id, state in reasons.items()}

    def _remove(self, documents: Sequence[StoredDocument]) -> None:
        if not documents:
            return
        if self._removing.policy is RemovalPolicy.HIDE:
            removal.hide(self._index, documents)
        else:
            removal.delete(self._store, self._index, documents)
