"""ITI-41 with a real store, database and registry: what is refused by whom, what is kept where, and that nothing is left half."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace

import pytest
from lxml import etree

from metadata.fragments import build_submit_objects_request
from metadata.rules.rule import Refused
from metadata.rules.table import Policy
from metadata.vocabulary import ErrorCode, ResponseStatus, Transaction
from registry.codes import CodeBook
from registry.documents import RegisteredDocuments
from registry.iti42 import RegisterDocumentSet, RegisterOptions
from repository.content import FileStore, StoreOptions
from repository.index import DocumentIndex
from repository.iti41 import ProvideAndRegister, RepositoryOptions
from repository.registry_port import InProcess, Outcome
from repository.tables import DocumentState
from schemas.namespaces import RIM, q
from server.description import Description, build_submission, document_id
from server.wiring import registering_here
from soap.call import Call, StagedPart
from storage.database import Database
from storage.errors import CommitUncertain, StorageUnavailable
from tests.repository.received import name_of, staged
from tests.repository.submissions import describe

OWN = "1.2.250.1.999.7"
SMALL = b"un compte rendu"
LARGE = os.urandom(70_000)


class Source:
    """A Document Source beside the repository: provides documents by uniqueId, no wire between them."""

    def __init__(self, store: FileStore, index: DocumentIndex, **options: object) -> None:
        self.store = store
        self.index = index
        registry = RegisterDocumentSet(index.database, CodeBook(), RegisterOptions(open_domain=True))
        port = InProcess(registering_here(registry))
        self.handler = ProvideAndRegister(store, index, port, RepositoryOptions(OWN, **options))  # type: ignore[arg-type]

    def message(self, *described: Description, unique_id: str = "") -> etree._Element:
        submission = build_submission(described, source_id="1.2.3", unique_id=unique_id)
        return etree.fromstring(build_submit_objects_request(submission))

    def parts(self, *contents: bytes) -> dict[str, StagedPart]:
        return {document_id(n): staged(self.store, content) for n, content in enumerate(contents)}

    def provide(self, documents: Mapping[str, bytes], unique_id: str = "") -> Outcome:
        message = self.message(*map(describe, documents), unique_id=unique_id)
        return self.handler.provide(message, self.parts(*documents.values()))


@pytest.fixture
def source(store: FileStore, index: DocumentIndex) -> Source:
    return Source(store, index)


def refusal(source: Source, message: etree._Element, parts: Mapping[str, StagedPart]) -> list[tuple[ErrorCode, str]]:
    """Codes and texts of a refusal by the repository itself."""
    with pytest.raises(Refused) as refused:
        source.handler.provide(message, parts)
    return [(finding.code, finding.text()) for finding in refused.value.findings]


def everything(source: Source) -> tuple[int, int]:
    """Rows of documents and of small contents."""
    return sum(len(page) for page in source.index.rows()), sum(len(page) for page in source.index.blobs())


def slot(message: etree._Element, name: str, value: str, entry: int = 0) -> None:
    of = next(e for e in message.iter(q(RIM, "ExtrinsicObject")) if e.get("id") == document_id(entry))
    added = etree.Element(q(RIM, "Slot"), name=name)
    etree.SubElement(etree.SubElement(added, q(RIM, "ValueList")), q(RIM, "Value")).text = value
    of.insert(0, added)


def test_small_and_large_are_registered_together(source: Source, database: Database) -> None:
    outcome = source.provide({"1.2.1": SMALL, "1.2.2": LARGE, "1.2.3": b""})
    assert (outcome.status, outcome.findings) == (ResponseStatus.SUCCESS, ())
    found = source.index.find(["1.2.1", "1.2.2", "1.2.3"])
    assert {key: (d.size, d.state, d.mimeType) for key, d in found.items()} == {
        "1.2.1": (len(SMALL), DocumentState.REGISTERED, "text/plain"),
        "1.2.2": (len(LARGE), DocumentState.REGISTERED, "text/plain"),
        "1.2.3": (0, DocumentState.REGISTERED, "text/plain"),
    }
    assert source.store.stat(name_of(LARGE)) is not None
    assert source.store.stat(name_of(SMALL)) is None, "it is a row"
    registered = [one for page in RegisteredDocuments(database, OWN).pages() for one in page]
    assert {(one.uniqueId, one.hash, one.size) for one in registered} == {
        (key, document.sha1.hex(), document.size) for key, document in found.items()
    }


def test_the_same_bytes_twice_are_kept_once(source: Source) -> None:
    assert source.provide({"1.2.1": LARGE, "1.2.2": LARGE, "1.2.3": SMALL, "1.2.4": SMALL}).status is ResponseStatus.SUCCESS
    assert everything(source) == (4, 1)
    assert sum(len(contents) for contents in source.store.folders()) == 1


def test_documents_and_entries_are_compared_and_all_is_told(source: Source) -> None:
    message = source.message(describe("1.2.1"), describe("1.2.2"), describe("1.2.3"))
    slot(message, "hash", "0" * 40, entry=0)
    slot(message, "size", "99", entry=0)
    parts = source.parts(SMALL, LARGE)
    parts["Document77"] = staged(source.store, b"nobody's")
    found = refusal(source, message, parts)
    assert sorted(code.value for code, _ in found) == [
        "XDSMissingDocument",
        "XDSMissingDocumentMetadata",
        "XDSRepositoryMetadataError",
        "XDSRepositoryMetadataError",
    ]
    assert everything(source) == (0, 0)


def test_the_metadata_are_the_registrys_to_judge(source: Source) -> None:
    """Its findings are an outcome, and no row of its documents is left."""
    message = source.message(describe("1.2.1"), replace(describe("1.2.2"), languageCode=""))
    outcome = source.handler.provide(message, source.parts(SMALL, LARGE))
    assert outcome.status is ResponseStatus.FAILURE
    assert {finding.code for finding in outcome.findings} == {ErrorCode.XDSRegistryMetadataError}
    assert everything(source) == (0, 0)


def test_the_same_document_again_is_accepted_and_another_is_not(source: Source) -> None:
    assert source.provide({"1.2.1": SMALL, "1.2.2": LARGE}).status is ResponseStatus.SUCCESS
    assert source.provide({"1.2.1": SMALL, "1.2.2": LARGE}).status is ResponseStatus.SUCCESS
    message = source.message(describe("1.2.1"), describe("1.2.2"))
    found = refusal(source, message, source.parts(SMALL[::-1], LARGE[:-1]))
    assert [code for code, _ in found] == [ErrorCode.XDSNonIdenticalHash, ErrorCode.XDSNonIdenticalSize]
    assert everything(source) == (2, 1)


def test_a_retry_is_told_that_it_is_registered_already(source: Source) -> None:
    message = source.message(describe("1.2.1"), unique_id="1.2.9")
    again = etree.fromstring(etree.tostring(message))
    assert source.handler.provide(message, source.parts(SMALL)).status is ResponseStatus.SUCCESS
    outcome = source.handler.provide(again, source.parts(SMALL))
    assert [finding.code for finding in outcome.findings] == [ErrorCode.XDSDuplicateUniqueIdInRegistry]
    assert "this very submission is registered already" in outcome.findings[0].text()


def test_a_rule_that_the_affinity_domain_warns_of(store: FileStore, index: DocumentIndex) -> None:
    """Warnings of the repository stand before the registry's answer."""
    source = Source(store, index, policies={"REP-004": Policy.WARN})
    message = source.message(describe("1.2.1"))
    slot(message, "size", "99")
    outcome = source.handler.provide(message, source.parts(SMALL))
    assert outcome.findings[0].rule == "REP-004"


def test_without_room_nothing_is_kept(source: Source) -> None:
    free = os.statvfs(source.store.root)
    source.store.options = StoreOptions(headroom=free.f_blocks * free.f_frsize)
    found = refusal(source, source.message(describe("1.2.1")), source.parts(SMALL))
    assert [code for code, _ in found] == [ErrorCode.XDSRepositoryOutOfResources]
    assert everything(source) == (0, 0)


FAILURES = {
    "unavailable": (StorageUnavailable("disk I/O error"), ErrorCode.XDSRepositoryError, "cannot be written now"),
    "full": (StorageUnavailable("database or disk is full"), ErrorCode.XDSRepositoryOutOfResources, "no room left"),
    "postgresql full": (
        StorageUnavailable('could not extend file "base/1/2": No space left on device'),
        ErrorCode.XDSRepositoryOutOfResources,
        "no room left",
    ),
    "uncertain": (CommitUncertain("broken during COMMIT"), ErrorCode.XDSRepositoryError, "may have been registered"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_database_that_fails_while_it_registers(source: Source, failure: str, monkeypatch: pytest.MonkeyPatch) -> None:
    error, code, text = FAILURES[failure]

    def write(work: object) -> object:
        raise error

    monkeypatch.setattr(source.index.database, "write", write)
    ((found, told),) = refusal(source, source.message(describe("1.2.1")), source.parts(SMALL))
    assert found is code
    assert text in told


class _Contents:
    """The wire's resolution of xds:Document, for one call."""

    def __init__(self, parts: Mapping[str, StagedPart]) -> None:
        self._parts = parts

    def of(self, element: etree._Element) -> StagedPart:
        return self._parts[element.get("id", "")]


def call(source: Source, message: etree._Element, *ids: str) -> Call:
    body = etree.Element("{urn:ihe:iti:xds-b:2007}ProvideAndRegisterDocumentSetRequest")
    body.append(message)
    for id in ids:
        etree.SubElement(body, "{urn:ihe:iti:xds-b:2007}Document", id=id)
    contents = _Contents(dict.fromkeys(ids, staged(source.store, SMALL)))
    return Call(Transaction.ITI_41, body, contents=contents)  # type: ignore[arg-type]


def test_the_answer(source: Source) -> None:
    answer = source.handler(call(source, source.message(describe("1.2.1")), document_id(0)))
    assert answer.status is ResponseStatus.SUCCESS
    response = etree.fromstring(b"".join(map(bytes, answer.payload)))  # type: ignore[arg-type]
    assert (etree.QName(response).localname, response.get("status")) == ("RegistryResponse", ResponseStatus.SUCCESS.value)


def test_two_documents_of_one_id_are_refused(source: Source) -> None:
    with pytest.raises(Refused) as refused:
        source.handler(call(source, source.message(describe("1.2.1")), document_id(0), document_id(0)))
    assert [(f.code, f.object) for f in refused.value.findings] == [(ErrorCode.XDSRepositoryMetadataError, document_id(0))]
    assert everything(source) == (0, 0)
