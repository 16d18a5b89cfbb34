"""The signatures of a submission, looked at before anything of it is kept (ITI TF-3: 5.5; the signed set of the French DMP).

What a signature is over is here: documents of the message, or of this repository. Whether it is right is judged by
`security/document_signature.py`. The octets are never changed, and no document is held but one that is signed in canonical form.
A document of this repository is compared for whoever could retrieve it; for anybody else it is like one that is unknown.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import Enum
from functools import partial

from metadata.model import Author, DocumentEntry, Submission
from metadata.rules.rule import Finding
from metadata.scalars import pad_dtm, problem_with_dtm
from metadata.signature_entry import signature_entries, signed_by
from metadata.vocabulary import ErrorCode, Severity
from repository.content import ContentStore
from repository.index import DocumentIndex, SignatureRecord, StoredDocument
from repository.requested import MayRetrieve, NotOpen, all_open, everything
from security import rules_document_signature as rules
from security.document_signature import IHE_FORM, Allowance, Content, SignatureForm, SignedSet, Verdict, verify_signed_set
from security.document_signature_block import LARGEST
from security.refusal import Denied
from security.trust import TrustStore
from soap.call import Caller, StagedPart

_NOBODY = Caller()


class SignatureCheck(Enum):
    """What is done with signatures: nothing, a warning for each finding, or a refusal."""

    OFF = "off"
    WARN = "warn"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class SignedSetOptions:
    """`required`: a submission without a signature breaks DSG-001. `form` is the affinity domain's."""

    check: SignatureCheck = SignatureCheck.OFF
    required: bool = False
    form: SignatureForm = IHE_FORM


@dataclass(frozen=True, slots=True)
class Looked:
    """What was found: for the answer, and for the row beside the document."""

    findings: tuple[Finding, ...] = ()
    records: tuple[SignatureRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class _Stored:
    """A document of this repository as a signature sees it."""

    row: StoredDocument
    store: ContentStore
    index: DocumentIndex

    @property
    def size(self) -> int:
        return self.row.size

    @property
    def sha1(self) -> str:
        return self.row.sha1.hex()

    @property
    def sha256(self) -> str:
        return self.row.sha256.hex()

    def chunks(self) -> Iterator[bytes]:
        small = self.index.load([self.row.sha256]).get(self.row.sha256)
        return iter([small]) if small is not None else self.store.chunks(self.sha256, self.size)


class SignedSets:
    """Looks at the signatures of submissions. `trust` gives the store of certificates in force. Safe for threads."""

    def __init__(
        self,
        store: ContentStore,
        index: DocumentIndex,
        options: SignedSetOptions,
        trust: Callable[[], TrustStore] | None = None,
        clock: Callable[[], float] = time.time,
        told: Callable[[str, SignatureRecord], None] = lambda patient, record: None,
        may_know: MayRetrieve = everything,
        not_open: NotOpen = all_open,
    ) -> None:
        """`told` hears of every signature that was looked at: whose it is, and what was found. `may_know` and `not_open` decide
        with which documents of this repository a signature is compared, as they decide at ITI-43 what is given out."""
        self._told = told
        self._may_know = may_know
        self._not_open = not_open
        self._store = store
        self._index = index
        self._options = options
        self._trust = trust
        self._clock = clock

    def look(self, submission: Submission, documents: Mapping[str, StagedPart], caller: Caller = _NOBODY) -> Looked:
        """Every finding against every signature. `documents` are what came, by the id of their entry, from `caller`."""
        if self._options.check is SignatureCheck.OFF:
            return Looked()
        entries = signature_entries(submission)
        if not entries and self._options.required:
            set_id = submission.submissionSet.entryUUID if submission.submissionSet else ""
            return Looked((self._finding(rules.UNSIGNED.denied(), set_id),))
        stored, allowance = partial(self._stored, caller), Allowance()
        findings: list[Finding] = []
        records: list[SignatureRecord] = []
        for entry in entries:
            part = documents.get(entry.entryUUID)
            if part is None or not entry.uniqueId:
                continue  # about to be refused for that
            signed = replace(self._signed(submission, entry, documents), stored=stored, allowance=allowance)
            verdict = self._verdict(part, signed)
            findings += [self._finding(denied, entry.entryUUID) for denied in verdict.findings]
            broken = tuple(dict.fromkeys(denied.rule for denied in verdict.findings))
            now = int(self._clock())
            records.append(
                SignatureRecord(entry.uniqueId, signed.uniqueId, verdict.signer, verdict.signing_time[:64], broken, now)
            )
            self._told(entry.patientId or "", records[-1])
        return Looked(tuple(findings), tuple(records))

    def _verdict(self, part: StagedPart, signed: SignedSet) -> Verdict:
        if part.size > LARGEST:
            problem = f"it has {part.size} bytes, the limit is {LARGEST}"
            return Verdict(findings=[rules.UNREADABLE.denied(problem=problem)])
        content = part.bytes()
        if content is None:
            content = b"".join(part.chunks())
        trust = self._trust() if self._trust is not None else None
        return verify_signed_set(content, signed, self._options.form, trust, datetime.fromtimestamp(self._clock(), UTC))

    def _signed(self, submission: Submission, signature: DocumentEntry, documents: Mapping[str, StagedPart]) -> SignedSet:
        """The submission as the signature's check sees it."""
        entries = {e.entryUUID: e for e in submission.documentEntries if e.uniqueId and e is not signature}
        optional = frozenset(e.uniqueId or "" for e in signature_entries(submission))
        contents: dict[str, Content] = {e.uniqueId or "": documents[id] for id, e in entries.items() if id in documents}
        set_ = submission.submissionSet
        ends = [association.targetObject for association in signed_by(submission, signature)]
        answerable = [e for e in entries.values() if e.uniqueId not in optional]
        if self._options.form.own_author:
            answerable.append(signature)
        authors = [a for e in answerable for a in e.author] + list(set_.author if set_ else ())
        return SignedSet(
            uniqueId=(set_.uniqueId or "") if set_ else "",
            submission_time=_moment(set_.submissionTime or "") if set_ else None,
            documents=contents,
            optional=optional,
            targets=frozenset(entries[end].uniqueId or "" for end in ends if end in entries),
            signs_set=set_ is not None and set_.entryUUID in ends,
            elsewhere=sum(end.startswith("urn:uuid:") and end not in entries for end in ends),
            people=_people(authors) | {_component(e.legalAuthenticator or "", 1) for e in answerable} - {""},
            structures=_structures(authors),
        )

    def _stored(self, caller: Caller, unique_ids: Sequence[str]) -> Mapping[str, Content]:
        """Those that the caller may know. All are asked about, so that what is hidden takes as long as what is unknown."""
        rows = self._index.find(unique_ids)
        allowed = self._may_know(caller, unique_ids)
        known = {id: row for id, row in rows.items() if id in allowed}
        closed = self._not_open({row.patientId for row in known.values() if row.patientId}) if known else {}
        return {id: _Stored(row, self._store, self._index) for id, row in known.items() if (row.patientId or "") not in closed}

    def _finding(self, denied: Denied, object: str) -> Finding:
        severity = Severity.ERROR if self._options.check is SignatureCheck.REFUSE else Severity.WARNING
        section = next(row.section for row in rules.RULES if row.id == denied.rule)
        return Finding(
            rule=denied.rule,
            code=ErrorCode.XDSRepositoryError,
            message=f"{denied.text_en} ({denied.text_fr})",
            remedy=denied.remedy,
            object=object,
            section=section,
            severity=severity,
        )


def _component(text: str, number: int) -> str:
    parts = text.split("^")
    return parts[number - 1] if len(parts) >= number else ""


def _people(authors: list[Author]) -> frozenset[str]:
    """XCN.1 of each authorPerson."""
    return frozenset(_component(person, 1) for author in authors for person in author.authorPerson) - {""}


def _structures(authors: list[Author]) -> frozenset[str]:
    """XON.10 of each authorInstitution."""
    return frozenset(_component(one, 10) for author in authors for one in author.authorInstitution) - {""}


def _moment(dtm: str) -> datetime | None:
    """A submissionTime as a moment; None where it does not even name the day."""
    if problem_with_dtm(dtm) or len(dtm) < 8:
        return None
    return datetime.strptime(str(pad_dtm(dtm)), "%Y%m%d%H%M%S").replace(tzinfo=UTC)
