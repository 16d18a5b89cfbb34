"""Registering from the repository: in one process one commit; elsewhere every answer, and none, leaves the right documents."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence, Set

import pytest
from lxml import etree

from metadata.fragments import build_submit_objects_request
from metadata.model import Submission
from metadata.rules.rule import Finding, Refused
from metadata.vocabulary import ErrorCode, ResponseStatus, Severity
from repository.index import Deposit, DocumentIndex
from repository.registry_port import (
    InProcess,
    Knows,
    RegistryError,
    RegistryNotReached,
    RegistryUnreachable,
    Remote,
    Request,
    relayed,
)
from repository.tables import DocumentState
from server.description import build_submission
from storage.database import Connection, Database
from storage.errors import StorageUnavailable
from tests.repository.received import small
from tests.repository.submissions import describe

WARNING = Finding(rule="REG-900", code=ErrorCode.XDSExtraMetadataNotSaved, message="kept without it", severity=Severity.WARNING)
ERROR = Finding(rule="REG-901", code=ErrorCode.XDSRegistryMetadataError, message="no such thing")


@pytest.fixture
def request_() -> Request:
    submission = build_submission([describe("1.1")], source_id="1.2.3")
    return Request(etree.fromstring(build_submit_objects_request(submission)), submission)


@pytest.fixture
def deposit() -> Deposit:
    return small({"1.1": b"a document"})


def state(index: DocumentIndex) -> DocumentState | None:
    document = index.find(["1.1"]).get("1.1")
    return document.state if document else None


# ------------------------------------------------------------------------------------------------------------ in one process


def test_success_takes_the_deposit_along(database: Database, index: DocumentIndex, request_: Request, deposit: Deposit) -> None:
    def register(submission: Submission, companion: Callable[[Connection], None]) -> Sequence[Finding]:
        assert submission is request_.submission
        database.write(companion)
        return [WARNING]

    outcome = InProcess(register).register(request_, deposit)
    assert (outcome.status, outcome.findings) == (ResponseStatus.SUCCESS, (WARNING,))
    assert state(index) is DocumentState.REGISTERED


def test_a_refusal_is_an_outcome(index: DocumentIndex, request_: Request, deposit: Deposit) -> None:
    def register(submission: Submission, companion: Callable[[Connection], None]) -> Sequence[Finding]:
        raise Refused([ERROR, WARNING])

    outcome = InProcess(register).register(request_, deposit)
    assert (outcome.status, outcome.findings) == (ResponseStatus.FAILURE, (ERROR, WARNING))
    assert state(index) is None


# ----------------------------------------------------------------------------------------------------------------- elsewhere


class Elsewhere:
    """An ITI-42 client whose registry answers what the test says; `seen` is the document's state while it was asked."""

    def __init__(self, index: DocumentIndex, *errors: RegistryError, status: str = ResponseStatus.SUCCESS.value) -> None:
        self._index = index
        self._answer = status, errors
        self.seen: list[DocumentState | None] = []

    def __call__(self, element: etree._Element) -> tuple[str, Sequence[RegistryError]]:
        self.seen.append(state(self._index))
        return self._answer


def nothing(unique_ids: Sequence[str]) -> Mapping[str, Set[str]]:
    """A registry that knows no document."""
    return {}


def knowing(content: bytes) -> Knows:
    """A registry that knows these bytes under every id asked."""
    sha1 = hashlib.sha1(content, usedforsecurity=False).hexdigest()
    return lambda unique_ids: {key: {sha1} for key in unique_ids}


def silent(unique_ids: Sequence[str]) -> Mapping[str, Set[str]]:
    raise RegistryUnreachable("it did not answer in time")


def unreachable(element: etree._Element) -> tuple[str, Sequence[RegistryError]]:
    raise RegistryUnreachable("it did not answer in time")


def not_there(element: etree._Element) -> tuple[str, Sequence[RegistryError]]:
    raise RegistryNotReached("the connection was refused")


def failure(index: DocumentIndex, code: str = "XDSRegistryMetadataError") -> Elsewhere:
    return Elsewhere(index, RegistryError(code, "why", Severity.ERROR.value, "there"), status=ResponseStatus.FAILURE.value)


def test_the_document_is_retrievable_before_it_is_registered(
    database: Database, index: DocumentIndex, request_: Request, deposit: Deposit
) -> None:
    send = Elsewhere(index, RegistryError("XDSExtraMetadataNotSaved", "kept without it", Severity.WARNING.value))
    outcome = Remote(database, send, nothing).register(request_, deposit)
    assert send.seen == [DocumentState.PENDING]
    assert state(index) is DocumentState.REGISTERED
    assert outcome.status is ResponseStatus.SUCCESS
    assert [(f.code, f.severity, f.text()) for f in outcome.findings] == [
        (ErrorCode.XDSExtraMetadataNotSaved, Severity.WARNING, "kept without it")
    ]


def test_a_refusal_takes_the_document_back(
    database: Database, index: DocumentIndex, request_: Request, deposit: Deposit
) -> None:
    outcome = Remote(database, failure(index), nothing).register(request_, deposit)
    assert outcome.status is ResponseStatus.FAILURE
    assert [(f.code, f.text(), f.location) for f in outcome.findings] == [(ErrorCode.XDSRegistryMetadataError, "why", "there")]
    assert state(index) is None


def test_a_registry_that_is_not_there_takes_the_document_back(
    database: Database, index: DocumentIndex, request_: Request, deposit: Deposit
) -> None:
    """Nothing was sent, so nothing can have been registered."""
    outcome = Remote(database, not_there, silent).register(request_, deposit)
    assert [f.code for f in outcome.findings] == [ErrorCode.XDSRegistryNotAvailable]
    assert state(index) is None


def test_without_an_answer_the_document_waits(
    database: Database, index: DocumentIndex, request_: Request, deposit: Deposit
) -> None:
    outcome = Remote(database, unreachable, nothing).register(request_, deposit)
    assert [f.code for f in outcome.findings] == [ErrorCode.XDSRegistryNotAvailable]
    assert "it did not answer in time" in outcome.findings[0].text()
    assert state(index) is DocumentState.PENDING


DOUBTS: dict[str, tuple[Knows, DocumentState]] = {
    "the registry knows it": (knowing(b"a document"), DocumentState.REGISTERED),
    "the registry cannot be asked": (silent, DocumentState.PENDING),
}


@pytest.mark.parametrize("doubt", DOUBTS)
def test_a_duplicate_after_a_lost_answer(database: Database, index: DocumentIndex, request_: Request, doubt: str) -> None:
    """The registry had accepted the first attempt: the second may not take the document away."""
    knows, expected = DOUBTS[doubt]
    Remote(database, unreachable, nothing).register(request_, small({"1.1": b"a document"}))
    port = Remote(database, failure(index, "XDSDuplicateUniqueIdInRegistry"), knows)
    outcome = port.register(request_, small({"1.1": b"a document"}))
    assert [f.code for f in outcome.findings] == [ErrorCode.XDSDuplicateUniqueIdInRegistry]
    assert state(index) is expected


@pytest.mark.parametrize("code", ["XDSDuplicateUniqueIdInRegistry", "XDSRegistryError", "VendorSaysNo"])
@pytest.mark.parametrize("doubt", DOUBTS)
def test_a_doubtful_refusal_keeps_what_the_registry_may_know(
    database: Database, index: DocumentIndex, request_: Request, deposit: Deposit, code: str, doubt: str
) -> None:
    """Its failure may have come after its commit: an entry whose document is gone would be half of a submission."""
    knows, expected = DOUBTS[doubt]
    assert Remote(database, failure(index, code), knows).register(request_, deposit).status is ResponseStatus.FAILURE
    assert state(index) is expected


@pytest.mark.parametrize("knows", [nothing, knowing(b"other bytes")], ids=["nothing", "other bytes"])
def test_a_doubtful_refusal_of_what_the_registry_does_not_know(
    database: Database, index: DocumentIndex, request_: Request, deposit: Deposit, knows: Knows
) -> None:
    Remote(database, failure(index, "XDSDuplicateUniqueIdInRegistry"), knows).register(request_, deposit)
    assert state(index) is None


def test_a_retry_that_succeeds_settles_the_document_that_waits(
    database: Database, index: DocumentIndex, request_: Request
) -> None:
    Remote(database, unreachable, nothing).register(request_, small({"1.1": b"a document"}))
    outcome = Remote(database, Elsewhere(index), nothing).register(request_, small({"1.1": b"a document"}))
    assert outcome.status is ResponseStatus.SUCCESS
    assert state(index) is DocumentState.REGISTERED


def test_a_code_that_is_not_the_standards_stands_in_the_text() -> None:
    finding = relayed(RegistryError("VendorSaysNo", "because", Severity.ERROR.value))
    assert finding.code is ErrorCode.XDSRegistryError
    assert finding.text() == "VendorSaysNo: because"


def test_a_partial_success_of_a_registration_is_a_failure(
    database: Database, index: DocumentIndex, request_: Request, deposit: Deposit
) -> None:
    """ITI-42 knows Success and Failure only (ITI TF-2: 3.42.4.2.3): anything else is not an acceptance."""
    send = Elsewhere(index, status="urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:PartialSuccess")
    assert Remote(database, send, nothing).register(request_, deposit).status is ResponseStatus.FAILURE
    assert state(index) is None


@pytest.mark.parametrize("accepted", [True, False])
def test_an_answer_that_cannot_be_noted_stands_all_the_same(
    database: Database, index: DocumentIndex, request_: Request, deposit: Deposit, accepted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The documents are durable and retrievable since they were announced: whoever was told Success finds them."""
    real = database.write

    def write(work: Callable[[Connection], object]) -> object:
        if work != deposit.announce:
            raise StorageUnavailable("database or disk is full")
        return real(work)

    monkeypatch.setattr(database, "write", write)
    send = Elsewhere(index) if accepted else failure(index)
    outcome = Remote(database, send, nothing).register(request_, deposit)
    assert outcome.status is (ResponseStatus.SUCCESS if accepted else ResponseStatus.FAILURE)
    assert [f.code for f in outcome.findings] == ([] if accepted else [ErrorCode.XDSRegistryMetadataError])
    assert state(index) is DocumentState.PENDING
