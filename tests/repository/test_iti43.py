"""ITI-43 with a real store and database: each document or one error for it, and nothing told to whom it is not due."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence, Set

import pytest
from lxml import etree

from metadata.rules.rule import Refused
from metadata.vocabulary import ErrorCode, ResponseStatus, Transaction
from repository.content import FileStore
from repository.index import DocumentIndex
from repository.iti41 import RepositoryOptions
from repository.iti43 import ProducedDocument, RetrieveDocumentSet
from repository.refusals import of_os_error
from soap.body.retrieve import build_retrieve_request
from soap.call import Answer, Call, Caller, Inline
from soap.fault import Fault
from soap.wire import Wire
from storage.database import Database
from tests.repository.received import large, small

OWN, HOME = "1.2.250.1.999.7", "urn:oid:1.2.250.1.999"
SMALL, LARGE = b"un compte rendu", os.urandom(70_000)

Ask = Callable[..., Answer]


@pytest.fixture(autouse=True)
def filled(store: FileStore, database: Database) -> None:
    database.write(small({"1.1": SMALL, "2.25.5^ext": b"with an extension", "urn:uuid:7a": b"under a urn"}).store)
    database.write(large(store, {"1.2": LARGE}).store)


@pytest.fixture
def ask(store: FileStore, index: DocumentIndex) -> Ask:
    """`ask("1.1", ("9.9", "1.2"))`: uniqueIds, or (repository, uniqueId), or (home, repository, uniqueId)."""

    def request(*wanted: object, mtom: bool = True, wire: Wire | None = None, **given: object) -> Answer:
        options = {"repository_unique_id": OWN, **given.pop("options", {})}  # type: ignore[dict-item]
        handler = RetrieveDocumentSet(store, index, RepositoryOptions(**options), **given)  # type: ignore[arg-type]
        keys = [one if isinstance(one, tuple) else (OWN, one) for one in wanted]
        requests = [key if len(key) == 3 else ("", *key) for key in keys]
        body = etree.fromstring(build_retrieve_request(requests))
        return handler(Call(Transaction.ITI_43, body, mtom=mtom, wire=wire or Wire()))

    return request


def contents(answer: Answer) -> list[bytes]:
    return [b"".join(attachment.chunks) for attachment in answer.attachments]


def findings(answer: Answer) -> list[tuple[ErrorCode, str]]:
    return [(finding.code, finding.location) for finding in answer.findings]


def response(answer: Answer) -> etree._Element:
    return etree.fromstring(b"".join(piece for piece in answer.payload if isinstance(piece, bytes)))


def test_documents_come_in_the_order_asked_with_type_and_size(ask: Ask) -> None:
    answer = ask("1.2", "1.1")
    assert (answer.status, answer.findings) == (ResponseStatus.SUCCESS, [])
    assert [(a.content_type, a.size) for a in answer.attachments] == [("text/plain", len(LARGE)), ("text/plain", len(SMALL))]
    assert contents(answer) == [LARGE, SMALL]
    assert [e.text for e in response(answer).iter("{*}DocumentUniqueId")] == ["1.2", "1.1"]


def test_the_same_document_twice(ask: Ask) -> None:
    assert contents(ask("1.1", "1.2", "1.1")) == [SMALL, LARGE, SMALL]


def test_a_plain_answer_carries_them_inline(ask: Ask) -> None:
    answer = ask("1.1", mtom=False)
    (inline,) = (piece for piece in answer.payload if isinstance(piece, Inline))
    assert b"".join(inline.attachment.chunks) == SMALL
    assert answer.attachments == []


def test_some_are_missing(ask: Ask) -> None:
    answer = ask("1.1", "1.9", ("9.9", "1.2"))
    assert answer.status is ResponseStatus.PARTIAL_SUCCESS
    assert findings(answer) == [(ErrorCode.XDSDocumentUniqueIdError, "1.9"), (ErrorCode.XDSUnknownRepositoryId, "1.2")]
    assert contents(answer) == [SMALL]


def test_all_are_missing(ask: Ask) -> None:
    answer = ask("1.8", "1.9")
    assert (answer.status, contents(answer)) == (ResponseStatus.FAILURE, [])
    assert len(answer.findings) == 2


def test_the_community_is_echoed_and_checked_where_we_have_one(ask: Ask) -> None:
    assert ask((HOME, OWN, "1.1")).status is ResponseStatus.SUCCESS, "without one of our own any will do"
    own = {"home_community_id": HOME}
    answer = ask((HOME, OWN, "1.1"), options=own)
    assert answer.status is ResponseStatus.SUCCESS
    assert [e.text for e in response(answer).iter("{*}HomeCommunityId")] == [HOME]
    assert findings(ask(("urn:oid:9.9", OWN, "1.1"), options=own)) == [(ErrorCode.XDSUnknownCommunity, "1.1")]
    assert [e.text for e in response(ask("1.1", options=own)).iter("{*}HomeCommunityId")] == []


@pytest.mark.parametrize("asked", ["urn:oid:1.1", "urn:uuid:7a", "7a", "2.25.5^ext"])
def test_prefixes_less_or_more(ask: Ask, asked: str) -> None:
    answer = ask(asked)
    assert answer.status is ResponseStatus.SUCCESS
    assert [e.text for e in response(answer).iter("{*}DocumentUniqueId")] == [asked], "the echo is what was sent"


def test_prefixes_in_the_strict_profile(ask: Ask) -> None:
    assert ask("1.1", wire=Wire(strict=True)).status is ResponseStatus.SUCCESS
    with pytest.raises(Fault):
        ask("urn:oid:1.1", wire=Wire(strict=True))


def test_what_the_caller_may_not_have_looks_like_what_is_not_there(ask: Ask) -> None:
    questions: list[Sequence[str]] = []

    def only_large(caller: Caller, unique_ids: Sequence[str]) -> Set[str]:
        questions.append(unique_ids)
        return {id for id in unique_ids if id == "1.2"}

    answer = ask("1.1", "1.2", "1.9", may_retrieve=only_large)
    assert {"1.1", "1.2", "1.9"} <= set(questions[0]), "asked of what is not stored too: the answer takes as long"
    assert contents(answer) == [LARGE]
    texts = [finding.text().replace(finding.location, "X") for finding in answer.findings]
    assert texts[0] == texts[1]


def test_too_many_at_once(ask: Ask) -> None:
    with pytest.raises(Refused) as refused:
        ask("1.1", "1.2", "1.1", options={"retrieve_documents": 2})
    assert [finding.code for finding in refused.value.findings] == [ErrorCode.XDSTooManyResults]


def test_a_disk_that_cannot_be_read_is_no_damage(ask: Ask, store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(*given: object) -> None:
        raise of_os_error(OSError(errno.EMFILE, "Too many open files"), "a document was read")

    monkeypatch.setattr(store, "check", check)
    answer = ask("1.1", "1.2")
    assert findings(answer) == [(ErrorCode.XDSRepositoryError, "1.2")]
    assert "EMFILE" in answer.findings[0].text() and "not known to be damaged" in answer.findings[0].text()
    assert contents(answer) == [SMALL]


class OnDemand:
    """Makes one document anew for each request."""

    def produce(self, unique_id: str, caller: Caller) -> ProducedDocument | None:
        return ProducedDocument("2.25.77", "text/xml", 4, [b"<a/>"]) if unique_id == "3.1" else None


def test_a_document_made_on_demand_has_a_name_of_its_own(ask: Ask) -> None:
    answer = ask("3.1", "3.2", "1.1", on_demand=OnDemand())
    assert contents(answer) == [b"<a/>", SMALL]
    assert findings(answer) == [(ErrorCode.XDSDocumentUniqueIdError, "3.2")]
    assert [e.text for e in response(answer).iter("{*}NewDocumentUniqueId")] == ["2.25.77"]
    assert list(response(answer).iter("{*}NewRepositoryUniqueId")) == []
