"""The bodies, built and parsed: what is built is valid by the official words of the XSD and says the same when it is read."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from metadata.rules.rule import Finding
from metadata.vocabulary import ErrorCode, ResponseStatus, Severity, Transaction
from schemas.validate import validate
from soap.body.adhoc_query import build_adhoc_query, build_adhoc_query_response, build_object_ref, parse_adhoc_query
from soap.body.provide import PROVIDE_TAIL, build_document, build_provide_head
from soap.body.registry_response import build_registry_response, parse_registry_response
from soap.body.remove import build_remove_documents, build_remove_objects, parse_remove_documents, parse_remove_objects
from soap.body.retrieve import (
    DocumentRequest,
    Retrieved,
    base64_size,
    base64_stream,
    build_retrieve_answer,
    build_retrieve_request,
    parse_document_requests,
)
from soap.call import Call, Inline
from tests.soap.messages import SUBMIT

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=40)
IDS = TEXT.map(str.strip)
FINDINGS = st.builds(
    Finding,
    rule=st.just("A-1"),
    code=st.sampled_from(ErrorCode),
    message=TEXT,
    value=TEXT,
    location=TEXT,
    severity=st.sampled_from(Severity),
)


def valid(octets: bytes, root: str) -> etree._Element:
    element = etree.fromstring(octets)
    assert not validate(element, root)
    return element


@given(st.lists(FINDINGS, max_size=4), st.sampled_from(ResponseStatus))
def test_registry_response(findings: list[Finding], status: ResponseStatus) -> None:
    element = valid(build_registry_response(status, findings, "https://x/?r="), "RegistryResponse")
    response = parse_registry_response(element)
    assert response.status is status
    assert [(e.error_code, e.severity, e.location) for e in response.errors] == [
        (f.code.value, f.severity.value, f.location) for f in findings
    ]
    for error, finding in zip(response.errors, findings, strict=True):
        assert error.code_context == f"{finding.text()} https://x/?r=A-1"
    highest = element.xpath("string(//@highestSeverity)")
    if findings:
        assert highest == max((f.severity.value for f in findings), key=lambda s: s.endswith(":Error"))


def test_a_status_that_the_standard_does_not_know() -> None:
    response = parse_registry_response(etree.fromstring('<a status="urn:x"/>'))
    assert (response.status, response.status_text) == (None, "urn:x")
    assert parse_registry_response(etree.fromstring("<a/>")).status_text == ""


@given(
    st.lists(st.tuples(IDS.filter(bool), st.lists(IDS, min_size=1, max_size=3)), max_size=4),
    st.sampled_from(["LeafClass", "ObjectRef"]),
)
def test_adhoc_query(slots: list[tuple[str, list[str]]], return_type: str) -> None:
    element = valid(build_adhoc_query("urn:uuid:1", slots, return_type, "urn:oid:1"), "AdhocQueryRequest")
    request = parse_adhoc_query(element)
    assert (request.id, request.returnType, request.returnComposedObjects, request.home) == (
        "urn:uuid:1",
        return_type,
        True,
        "urn:oid:1",
    )
    assert [(slot.name, [value.strip() for value in slot.values]) for slot in request.slots] == slots


@pytest.mark.parametrize("status", ResponseStatus)
def test_adhoc_query_response(status: ResponseStatus) -> None:
    finding = Finding("A-1", ErrorCode.XDSRegistryError, "wrong")
    objects = [build_object_ref("urn:uuid:1"), build_object_ref('urn:<">&', "urn:oid:1")]
    element = valid(b"".join(build_adhoc_query_response(status, objects, [finding])), "AdhocQueryResponse")
    assert [child.get("id") for child in element[1]] == ["urn:uuid:1", 'urn:<">&']
    empty = valid(b"".join(build_adhoc_query_response(status)), "AdhocQueryResponse")
    assert [etree.QName(child).localname for child in empty] == ["RegistryObjectList"]


def test_provide() -> None:
    octets = build_provide_head(SUBMIT.encode()) + build_document('a"<b', "c@x") + PROVIDE_TAIL
    element = valid(octets, "ProvideAndRegisterDocumentSetRequest")
    assert element[1].get("id") == 'a"<b'
    assert element[1][0].get("href") == "cid:c@x"


@given(st.lists(st.tuples(IDS, IDS.filter(bool), IDS.filter(bool)), min_size=1, max_size=3))
def test_retrieve_request(requests: list[tuple[str, str, str]]) -> None:
    element = valid(build_retrieve_request(requests), "RetrieveDocumentSetRequest")
    found = [(r.home, r.repositoryUniqueId, r.documentUniqueId) for r in parse_document_requests(element)]
    assert found == requests


def pieces(content: bytes) -> Iterator[bytes]:
    for start in range(0, len(content), 7):
        yield content[start : start + 7]


@given(contents=st.lists(st.binary(max_size=60), min_size=1, max_size=3), mtom=st.booleans())
def test_retrieve_answer(contents: list[bytes], mtom: bool) -> None:
    call = Call(Transaction.ITI_43, etree.Element("x"), mtom=mtom)
    documents = [
        Retrieved(DocumentRequest("urn:oid:1", "1.2", f"1.<{n}>"), "text/plain", len(c), pieces(c), "9", "9.9")
        for n, c in enumerate(contents)
    ]
    answer = build_retrieve_answer(call, ResponseStatus.SUCCESS, documents)
    octets = b"".join(
        b"".join(base64_stream(piece.attachment.chunks)) if isinstance(piece, Inline) else piece for piece in answer.payload
    )
    element = valid(octets, "RetrieveDocumentSetResponse")
    assert element.xpath("//*[local-name()='DocumentUniqueId']/text()") == [f"1.<{n}>" for n in range(len(contents))]
    if mtom:
        assert [b"".join(a.chunks) for a in answer.attachments] == contents
        assert [a.size for a in answer.attachments] == [len(c) for c in contents]
    else:
        found = [base64.b64decode(e.text or "") for e in element.iterfind(".//{*}Document")]
        assert (found, answer.attachments) == (contents, [])


@given(st.lists(st.binary(max_size=20), max_size=10))
def test_base64_as_a_stream(chunks: list[bytes]) -> None:
    whole = b"".join(base64_stream(chunks))
    assert whole == base64.b64encode(b"".join(chunks))
    assert len(whole) == base64_size(sum(map(len, chunks)))


def test_removals() -> None:
    objects = parse_remove_objects(valid(build_remove_objects(["urn:uuid:1", "urn:uuid:1"]), "RemoveObjectsRequest"))
    assert (objects.ids, objects.adhocQuery, objects.deletionScope) == (("urn:uuid:1", "urn:uuid:1"), False, "")
    documents = parse_remove_documents(valid(build_remove_documents([("1.2", "1.2.3")]), "RemoveDocumentsRequest"))
    assert [(d.repositoryUniqueId, d.documentUniqueId) for d in documents] == [("1.2", "1.2.3")]
