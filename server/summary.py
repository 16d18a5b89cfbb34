"""The built-in On-Demand Document Source: a patient summary, made of what is registered when it is asked for.

Every On-Demand entry whose repositoryUniqueId is ours is answered with one (ITI TF-2: 3.43.4.2.3). The NewDocumentUniqueId
stands for the very bytes: while nothing is registered that changes the summary, it is the same. With `persist` the summary is
kept and registered as a Stable snapshot (IsSnapshotOf, RPLC of the snapshot before it) before it is delivered.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime

from lxml import etree

from metadata.ebrim import submission_of
from metadata.fragments import build_submit_objects_request
from metadata.model import Code, DocumentEntry, RegistryObject, Submission
from metadata.rules.rule import Finding, Refused
from metadata.vocabulary import AssociationType, ResponseStatus
from repository.index import DocumentIndex
from repository.iti41 import ProvideAndRegister
from repository.iti43 import NotProduced, ProducedDocument
from server.description import Description, Replacement, build_submission, document_id
from server.summary_cda import Summary, build_summary
from server.summary_records import NoAnswer, Records
from soap.call import Caller
from soap.staging import Part

LOG = logging.getLogger("carnet.summary")

MIME_TYPE = "text/xml"

#: Those of the patients whose record is closed: nothing is made of it.
NotOpen = Callable[[Iterable[str]], Mapping[str, str]]


def _everyone(patients: Iterable[str]) -> Mapping[str, str]:
    return {}


class SummarySource:
    """`repository.iti43.OnDemandSource`. `provide` keeps and registers the snapshots; None keeps none. Safe for threads."""

    def __init__(
        self,
        records: Records,
        index: DocumentIndex,
        repository_unique_id: str,
        provide: ProvideAndRegister | None = None,
        not_open: NotOpen = _everyone,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._records = records
        self._index = index
        self._repository = repository_unique_id
        self._provide = provide
        self._not_open = not_open
        self._clock = clock

    def produce(self, unique_id: str, caller: Caller) -> ProducedDocument | None:
        """See `OnDemandSource`. Raises `NotProduced` when the summary could not be made, or not be kept where it has to be.

        A registry that does not say whether this is an On-Demand entry leaves a document that nobody knows.
        """
        try:
            entry = self._records.on_demand(unique_id, self._repository)
        except NoAnswer as error:
            LOG.warning("whether a document is an On-Demand one could not be asked: %s", error)
            return None
        if entry is None or not entry.patientId or self._not_open([entry.patientId]):
            return None
        return self._produce(entry, entry.patientId)

    def _produce(self, entry: DocumentEntry, patient: str) -> ProducedDocument:
        try:
            documents = [d for d in self._records.documents(patient) if d.typeCode != entry.typeCode]
            summary = build_summary(entry, documents, self._repository, self._clock().strftime("%Y%m%d"))
            if self._provide is not None:
                self._keep(self._provide, entry, summary)
        except NoAnswer as error:
            raise NotProduced(str(error)) from error
        kept = self._repository if self._provide is not None else ""
        mime_type = entry.mimeType or MIME_TYPE
        return ProducedDocument(summary.unique_id, mime_type, len(summary.content), [summary.content], kept)

    def _keep(self, provide: ProvideAndRegister, entry: DocumentEntry, summary: Summary) -> None:
        """Keep and register the snapshot, unless it is there already: because nothing has changed, or because somebody else has
        asked at the same moment."""
        if self._is_kept(summary):
            return
        request = etree.fromstring(build_submit_objects_request(self._snapshot(entry, summary)))
        refused: Sequence[Finding]
        try:
            outcome = provide.provide(request, {document_id(0): _part(summary.content)})
            refused = outcome.findings if outcome.status is not ResponseStatus.SUCCESS else ()
        except Refused as error:
            refused = error.findings
        if refused and not self._is_kept(summary):
            raise NotProduced("the snapshot could not be registered: " + "; ".join(f.text() for f in refused))

    def _is_kept(self, summary: Summary) -> bool:
        found = self._index.find([summary.unique_id]).get(summary.unique_id)
        return found is not None and found.sha256 == hashlib.sha256(summary.content).digest()

    def _snapshot(self, entry: DocumentEntry, summary: Summary) -> Submission:
        """SubmissionSet, Stable entry, IsSnapshotOf, and RPLC of the approved snapshot before it (ITI TF-2: 3.43.4.2.3)."""
        before = self._records.snapshots(entry.entryUUID)
        replaced = Replacement(before[-1].entryUUID) if before else None
        submission = build_submission(
            [_described(entry, summary)],
            source_id=self._repository,
            replacements=[replaced],
            content_type=entry.classCode or _code(entry.typeCode),
        )
        link = RegistryObject(
            element="Association",
            id="Snapshot01",
            associationType=AssociationType.IS_SNAPSHOT_OF.urn,
            sourceObject=document_id(0),
            targetObject=entry.entryUUID,
        )
        return submission_of([*(one.raw for one in submission.entities()), link])


def _described(entry: DocumentEntry, summary: Summary) -> Description:
    """The Stable entry: what the On-Demand entry says of the document, and what only these bytes have."""
    return Description(
        uniqueId=summary.unique_id,
        patientId=entry.patientId or "",
        mimeType=entry.mimeType or MIME_TYPE,
        creationTime=summary.time,
        classCode=_code(entry.classCode),
        typeCode=_code(entry.typeCode),
        formatCode=_code(entry.formatCode),
        healthcareFacilityTypeCode=_code(entry.healthcareFacilityTypeCode),
        practiceSettingCode=_code(entry.practiceSettingCode),
        confidentialityCode=entry.confidentialityCode or (summary.confidentiality,),
        languageCode=entry.languageCode or "",
        sourcePatientId=entry.sourcePatientId or entry.patientId or "",
        title=entry.title or "",
        sourcePatientInfo=entry.sourcePatientInfo,
        author=entry.author,
        comments=entry.comments or "",
    )


def _code(code: Code | None) -> Code:
    """A registered On-Demand entry has its codes (ITI TF-3: Table 4.3.1-3)."""
    if code is None:
        raise NotProduced("the On-Demand entry lacks a code that a snapshot must have")
    return code


def _part(content: bytes) -> Part:
    """The document as one that has been received."""
    sha1 = hashlib.sha1(content, usedforsecurity=False).hexdigest()
    return Part(document_id(0), MIME_TYPE, len(content), sha1, hashlib.sha256(content).hexdigest(), content, None)
