"""ITI-41 and the signatures of a set: off, warn or refuse, and the row that stays beside the documents (ITI TF-3: 5.5)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from metadata.fragments import build_submit_objects_request
from metadata.model import Author
from metadata.rules.rule import Refused
from metadata.signature_entry import SIGNS_SET
from metadata.vocabulary import ResponseStatus, Severity
from registry.codes import CodeBook
from registry.iti42 import RegisterDocumentSet, RegisterOptions
from repository.content import FileStore
from repository.index import DocumentIndex, SignatureRecord
from repository.iti41 import ProvideAndRegister, RepositoryOptions
from repository.registry_port import InProcess, Outcome
from repository.requested import MayRetrieve, NotOpen, all_open, everything
from repository.signed_sets import SignatureCheck, SignedSetOptions, SignedSets
from schemas.parse import parse
from security.document_signature import FRENCH_FORM, IHE_FORM, SignatureForm
from security.document_signature_block import LARGEST
from security.pki import TestAuthority
from security.trust import TrustStore
from security.trust_files import LiveTrust, TrustSources
from server.commands.submit_signature import SetSignature, signature_over
from server.description import build_submission, document_id
from server.wiring import registering_here
from soap.call import Caller, StagedPart
from tests.repository.received import small, staged
from tests.repository.submissions import describe

SET = "2.25.555"
CDA = b'<?xml-stylesheet href="x"?><ClinicalDocument xmlns="urn:hl7-org:v3"/>'
DOCUMENTS = {"2.25.1": CDA, "2.25.2": b"%PDF" + bytes(range(256)) * 400}


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    authority = TestAuthority.create(folder)
    for kind, name in (("person", "doctor"), ("structure", "hospital"), ("person", "revoked")):
        authority.issue(kind, name)
    authority.revoke("revoked")
    return folder


class Source:
    """A Document Source that signs, beside a repository."""

    def __init__(self, store: FileStore, index: DocumentIndex, pki: Path, folder: Path) -> None:
        self.store, self.index, self.pki, self.folder = store, index, pki, folder
        self.trust: Callable[[], TrustStore] | None = LiveTrust(
            TrustSources(authorities=(pki / "ca.crt",), lists=(pki / "ca.crl",))
        ).refresh

    def signature(self, name: str = "doctor", french: bool = False, set_id: str = SET, **documents: bytes) -> SetSignature:
        described = []
        for id, content in (documents or DOCUMENTS).items():
            path = self.folder / f"{id}.bin"
            path.write_bytes(content)
            described.append((describe(id, mime_type="text/xml" if content.startswith(b"<") else "application/pdf"), path))
        return signature_over(described, set_id, self.pki, name, french)

    def provide(
        self,
        signature: SetSignature | None,
        check: SignatureCheck = SignatureCheck.REFUSE,
        form: SignatureForm = IHE_FORM,
        required: bool = False,
        author: tuple[Author, ...] | None = None,
        **documents: bytes,
    ) -> Outcome:
        given = documents or DOCUMENTS
        described = [describe(id, mime_type="text/xml" if c.startswith(b"<") else "application/pdf") for id, c in given.items()]
        contents = list(given.values())
        if signature is not None:
            described.append(signature.description)
            contents.append(signature.content)
        of_set = author if author is not None else ((signature.author,) if signature else ())
        signs = [(document_id(len(given)), target) for target in signature.targets] if signature else []
        submission = build_submission(described, source_id="1.2.3", unique_id=SET, author=of_set, signs=signs)
        parts: dict[str, StagedPart] = {document_id(n): staged(self.store, content) for n, content in enumerate(contents)}
        domain = RegisterOptions(open_domain=True, options=frozenset({SIGNS_SET}))
        registry = InProcess(registering_here(RegisterDocumentSet(self.index.database, CodeBook(), domain)))
        looks = SignedSets(self.store, self.index, SignedSetOptions(check, required, form), self.trust)
        handler = ProvideAndRegister(self.store, self.index, registry, RepositoryOptions("1.2.250.1"))
        return handler.provide(parse(build_submit_objects_request(submission)), parts, signed_sets=looks)

    def refused(self, *given: object, **options: object) -> list[str]:
        with pytest.raises(Refused) as caught:
            self.provide(*given, **options)  # type: ignore[arg-type]
        assert list(self.index.rows()) == [] and list(self.index.signatures()) == []
        assert all(f.severity is Severity.ERROR and f.section and "(" in f.text() for f in caught.value.findings)
        return [finding.rule for finding in caught.value.findings]

    def records(self) -> list[SignatureRecord]:
        return [record for page in self.index.signatures() for record in page]


@pytest.fixture
def source(store: FileStore, index: DocumentIndex, pki: Path, tmp_path: Path) -> Source:
    return Source(store, index, pki, tmp_path)


@pytest.mark.parametrize("french", [False, True], ids=["ihe", "dmp-fr"])
@pytest.mark.parametrize("name", ["doctor", "hospital"])
def test_a_signed_set_is_taken_and_the_result_stays(source: Source, name: str, french: bool) -> None:
    signature = source.signature(name, french)
    outcome = source.provide(signature, form=FRENCH_FORM if french else IHE_FORM)
    assert outcome.status is ResponseStatus.SUCCESS and not outcome.findings, [f.text() for f in outcome.findings]
    [record] = source.records()
    assert (record.signature, record.submissionSet, record.rules) == (signature.description.uniqueId, SET, ())
    assert "C=FR" in record.signer and record.signing_time.endswith("Z")
    stored = source.index.find([signature.description.uniqueId])[signature.description.uniqueId]
    assert source.index.load([stored.sha256])[stored.sha256] == signature.content, "not one octet is changed"


def test_what_is_wrong_refuses_or_warns_or_is_not_looked_at(source: Source) -> None:
    signature = source.signature()
    other = {**DOCUMENTS, "2.25.1": CDA + b" "}
    assert source.refused(signature, **other) == ["DSG-014"]
    outcome = source.provide(signature, SignatureCheck.WARN, **other)
    assert outcome.status is ResponseStatus.SUCCESS
    assert [(f.rule, f.severity) for f in outcome.findings] == [("DSG-014", Severity.WARNING)]
    assert [record.rules for record in source.records()] == [("DSG-014",)]


def test_off_looks_at_nothing(source: Source) -> None:
    assert source.provide(source.signature("revoked"), SignatureCheck.OFF).findings == ()
    assert source.records() == []


@pytest.mark.parametrize(("required", "broken"), [(True, ["DSG-001"]), (False, [])])
def test_where_sets_have_to_be_signed(source: Source, required: bool, broken: list[str]) -> None:
    if broken:
        assert source.refused(None, required=required) == broken
    assert [f.rule for f in source.provide(None, SignatureCheck.WARN, required=required).findings] == broken


def test_signers_who_are_not_believed(source: Source) -> None:
    assert source.refused(source.signature("revoked")) == ["DSG-012"]
    nobody = (Author(("899900000017^GUERIN^Helene^^^^^^&1.2.250.1.71.4.2.1&ISO^D^^^IDNPS",)),)
    french = source.signature(french=True)
    assert source.refused(french, form=FRENCH_FORM, author=nobody) == ["DSG-013"], "its own entry does not speak for it there"
    assert source.provide(source.signature(), author=nobody).status is ResponseStatus.SUCCESS
    source.trust = None
    assert "DSG-012" in [f.rule for f in source.provide(source.signature(), SignatureCheck.WARN).findings]


def test_a_set_is_complete_and_this_one(source: Source) -> None:
    assert source.refused(source.signature(), **DOCUMENTS, **{"2.25.3": b"more"}) == ["DSG-015"]
    assert source.refused(source.signature(set_id="2.25.556")) == ["DSG-017"]
    signature = source.signature()
    targets = SetSignature(signature.description, signature.content, signature.author, signature.targets[:1])
    assert source.refused(targets, **{"2.25.1": CDA}) == ["DSG-016"]


def test_a_signature_over_what_is_stored_already(source: Source, store: FileStore) -> None:
    """A document that was submitted before, small or a file: its signature comes later, in a set of its own."""
    source.provide(None)
    signature = source.signature(set_id="")
    for id, content, broken in (("2.25.1", DOCUMENTS["2.25.1"], []), ("2.25.2", DOCUMENTS["2.25.2"][:-1] + b"!", ["DSG-014"])):
        signature = source.signature(set_id="", **{id: content})
        uuid = "urn:uuid:6a3b5d5e-1111-4444-8888-0123456789ab"
        submission = build_submission(
            [signature.description], source_id="1.2.3", author=(signature.author,), signs=[(document_id(0), uuid)]
        )
        looks = SignedSets(store, source.index, SignedSetOptions(SignatureCheck.WARN), source.trust)
        looked = looks.look(submission, {document_id(0): staged(store, signature.content)})
        assert [f.rule for f in looked.findings] == broken


def test_a_stored_document_that_the_submitter_may_not_know_is_an_unknown_one(source: Source, store: FileStore) -> None:
    """Hidden or of a closed record, the same content or another: the words are those for what was never stored."""
    uuid = "urn:uuid:6a3b5d5e-1111-4444-8888-0123456789ab"
    contents = {"the same": DOCUMENTS["2.25.1"], "another": CDA + b" "}
    asked: list[tuple[Caller, list[str]]] = []

    def nothing(caller: Caller, unique_ids: Sequence[str]) -> frozenset[str]:
        asked.append((caller, list(unique_ids)))
        return frozenset()

    def closed(patient_ids: Iterable[str]) -> dict[str, str]:
        return dict.fromkeys(patient_ids, "closed")

    def told(content: bytes, may_know: MayRetrieve = everything, not_open: NotOpen = all_open) -> list[tuple[str, str, str]]:
        signature = source.signature(set_id="", **{"2.25.1": content})
        submission = build_submission(
            [signature.description], source_id="1.2.3", author=(signature.author,), signs=[(document_id(0), uuid)]
        )
        options = SignedSetOptions(SignatureCheck.REFUSE)
        looks = SignedSets(store, source.index, options, source.trust, may_know=may_know, not_open=not_open)
        looked = looks.look(submission, {document_id(0): staged(store, signature.content)}, Caller("10.0.0.1"))
        return [(f.rule, f.message, f.remedy) for f in looked.findings]

    unknown = told(contents["the same"])
    assert [rule for rule, _, _ in unknown] == ["DSG-016"]
    source.provide(None)
    assert told(contents["the same"]) == [] and [rule for rule, _, _ in told(contents["another"])] == ["DSG-014"]
    for content in contents.values():
        assert told(content, may_know=nothing) == told(content, not_open=closed) == unknown
    assert asked == [(Caller("10.0.0.1"), ["2.25.1"])] * 2
    source.trust = None
    assert [rule for rule, _, _ in told(contents["another"], may_know=nothing)] == ["DSG-012"] and len(asked) == 2


def test_a_signature_too_large_to_be_one(source: Source, store: FileStore) -> None:
    signature = source.signature()
    large = SetSignature(signature.description, b"<a>" + b" " * LARGEST + b"</a>", signature.author, signature.targets)
    assert source.refused(large) == ["DSG-002"]


def test_the_same_set_again_renews_its_result(source: Source) -> None:
    signature = source.signature("revoked")
    source.provide(signature, SignatureCheck.WARN)
    assert [r.rules for r in source.records()] == [("DSG-012",)]


def test_with_a_registry_elsewhere_the_result_is_kept_when_it_has_accepted(source: Source, store: FileStore) -> None:
    deposit = small({"2.25.9": b"<a/>"})
    record = SignatureRecord("2.25.9", SET, "CN=x", "2026-01-01T00:00:00Z", ("DSG-014", "DSG-015"), 5)
    deposit = replace(deposit, signatures=(record,))
    source.index.database.write(deposit.announce)
    assert source.records() == []
    source.index.database.write(deposit.confirm)
    assert source.records() == [record]
