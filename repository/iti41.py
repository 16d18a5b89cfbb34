"""ITI-41 Provide and Register Document Set-b, as the repository does it (ITI TF-2: 3.41.4.1.3.2).

Check what is the repository's own, complete the metadata, make the documents durable, register, answer with everything that
the registry said. The metadata itself is the registry's to judge.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from lxml import etree

from metadata.ebrim import parse_submission
from metadata.model import Submission
from metadata.rules.french import CI_SIS
from metadata.rules.rule import Context, Finding, ReceivedDocument, Refused
from metadata.rules.table import Policies, check_documents
from metadata.vocabulary import Actor, Severity, Transaction
from repository import refusals
from repository.completion import complete
from repository.content import ContentStore
from repository.index import Deposit, DocumentIndex, StoredDocument
from repository.registry_port import Outcome, RegistryPort, Request
from repository.signed_sets import Looked, SignedSets
from repository.tables import DocumentState
from soap.body.provide import judge_media_type, parse_provide
from soap.body.registry_response import build_registry_response
from soap.call import Answer, Call, Caller, StagedPart
from storage.errors import StorageError


@dataclass(frozen=True, slots=True)
class RepositoryOptions:
    """This repository. `home_community_id` (urn:oid:...) is checked in requests only where it is set.

    `check_before`: documents up to this many bytes are read and checked before the first byte of an answer, larger ones while
    they are sent. `retrieve_documents`: most documents of one ITI-43. `policies`: the affinity domain's changes to single rules;
    `options`: its choices, of which `ci-sis` compares CDA headers held in memory with their entries.
    """

    repository_unique_id: str
    home_community_id: str = ""
    check_before: int = 8 * 1024 * 1024
    retrieve_documents: int = 1000
    policies: Policies | None = None
    options: frozenset[str] = frozenset()


class ProvideAndRegister:
    """The handler of ITI-41. Safe for threads."""

    def __init__(
        self,
        store: ContentStore,
        index: DocumentIndex,
        registry: RegistryPort,
        options: RepositoryOptions,
        clock: Callable[[], float] = time.time,
        signed_sets: SignedSets | None = None,
    ) -> None:
        self._store = store
        self._index = index
        self._registry = registry
        self._options = options
        self._clock = clock
        self._signed_sets = signed_sets

    def __call__(self, call: Call) -> Answer:
        """Raises `Refused` for what the repository itself refuses; a registry's refusal is an answer."""
        provided = parse_provide(call)
        twice = [id for id, count in Counter(document.id for document in provided.documents).items() if count > 1]
        if twice:
            raise Refused([refusals.document_twice(id) for id in twice])

        def judge(submission: Submission) -> None:
            entries = {entry.entryUUID: entry for entry in submission.documentEntries}
            for document in provided.documents:
                if document.id in entries:
                    judge_media_type(document, entries[document.id].mimeType or "", call)

        outcome = self.provide(provided.submit, provided.by_id(), judge, self._signed_sets, call.caller)
        payload = build_registry_response(outcome.status, outcome.findings, call.explain_base)
        return Answer([payload], outcome.status, outcome.findings)

    def provide(
        self,
        request: etree._Element,
        documents: Mapping[str, StagedPart],
        judge: Callable[[Submission], None] | None = None,
        signed_sets: SignedSets | None = None,
        caller: Caller | None = None,
    ) -> Outcome:
        """`request` is lcm:SubmitObjectsRequest (it is completed in place), `documents` what came by Document/@id.

        `judge` sees the submission before anything is done with it, and may raise. `signed_sets` looks at its signatures: not at
        what this server submits itself. `caller` is who submits.
        After Success every document is durable and registered; after anything else nothing of it can be found.
        """
        complete(request, documents, self._options.repository_unique_id)
        submission = parse_submission(request)
        if judge is not None:
            judge(submission)
        try:
            looked = signed_sets.look(submission, documents, caller or Caller()) if signed_sets is not None else Looked()
            warnings = self._check(submission, documents, looked.findings)
            deposit = replace(self._deposit(submission, documents), signatures=looked.records)
            conflicts = self._index.conflicts(deposit.documents)
            if conflicts:
                raise Refused([*warnings, *conflicts])
            outcome = self._keep(documents, deposit, Request(request, submission))
        except StorageError as error:
            raise refusals.of_storage_error(error) from error
        return replace(outcome, findings=(*warnings, *outcome.findings))

    def _check(
        self, submission: Submission, documents: Mapping[str, StagedPart], signatures: Sequence[Finding]
    ) -> list[Finding]:
        """What is the repository's own, with what was found of `signatures`; returns warnings only."""
        options = self._options.options
        reads = CI_SIS in options
        received = {id: ReceivedDocument(part.size, part.sha1, part.bytes() if reads else None) for id, part in documents.items()}
        context = Context(Transaction.ITI_41, submission, Actor.REPOSITORY, options=options, documents=received)
        findings = [*check_documents(context, self._options.policies), *signatures]
        if any(f.severity is Severity.ERROR for f in findings):
            raise Refused(findings)
        return findings

    def _deposit(self, submission: Submission, documents: Mapping[str, StagedPart]) -> Deposit:
        """The rows and small contents. An entry without a document or without uniqueId is about to be refused by the registry."""
        now = int(self._clock())
        rows: dict[tuple[str, bytes], StoredDocument] = {}
        blobs: dict[bytes, bytes] = {}
        for entry in submission.documentEntries:
            part = documents.get(entry.entryUUID)
            if part is None or not entry.uniqueId:
                continue
            sha256 = bytes.fromhex(part.sha256)
            rows[entry.uniqueId, sha256] = StoredDocument(
                uniqueId=entry.uniqueId,
                sha256=sha256,
                sha1=bytes.fromhex(part.sha1),
                size=part.size,
                mimeType=entry.mimeType or "application/octet-stream",
                patientId=entry.patientId,
                state=DocumentState.REGISTERED,
                stored_at=now,
            )
            content = part.bytes() if part.size <= self._store.options.inline_limit else None
            if content is not None:
                blobs[sha256] = content
        return Deposit(tuple(rows.values()), blobs)

    def _keep(self, documents: Mapping[str, StagedPart], deposit: Deposit, request: Request) -> Outcome:
        """Documents first, then the registration. Files are kept under the store's lock until rows speak of them: a removal
        must not take a content away that this submission has found in place."""
        files = any(d.sha256 not in deposit.blobs for d in deposit.documents)
        with self._store.lock(exclusive=False) if files else contextlib.nullcontext():
            self._make_durable(documents, deposit)
            return self._registry.register(request, deposit)

    def _make_durable(self, documents: Mapping[str, StagedPart], deposit: Deposit) -> None:
        """Files now; what travels as rows only needs room."""
        self._store.admit(sum(map(len, deposit.blobs.values())))
        large = {d.sha256.hex() for d in deposit.documents if d.sha256 not in deposit.blobs}
        for part in documents.values():
            if part.sha256 in large:
                self._store.keep(part)
                large.discard(part.sha256)
