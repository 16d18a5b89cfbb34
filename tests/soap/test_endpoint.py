"""The endpoint as a whole: routing, forms, errors at their one border, limits, what is observed.

Its lines stand in one file because the endpoint is one border.
"""

from __future__ import annotations

import base64
import errno
import io
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from metadata.rules.rule import Finding
from metadata.vocabulary import ErrorCode, ResponseStatus, Severity, Transaction
from soap.body.retrieve import DocumentRequest, Retrieved, build_retrieve_answer
from soap.call import Answer, Call, Caller
from soap.endpoint import Endpoint, EndpointOptions
from soap.fault import Fault, FaultCode
from soap.limits import Limits
from soap.staging import FolderStaging
from soap.wire import Do, Wire
from storage.errors import CommitUncertain, StorageUnavailable, UniqueViolation
from tests.soap.messages import (
    DOCUMENT,
    ITI_18,
    ITI_41,
    ITI_42,
    ITI_43,
    MESSAGE_ID,
    QUERY,
    RETRIEVE,
    SUBMIT,
    Got,
    Recorder,
    envelope,
    mtom,
    package,
    plain,
    provide,
    refuse,
)

FINDING = Finding("DE-017", ErrorCode.XDSRegistryMetadataError, "this is wrong", "mend it", "Document01", "title", "x")
OTHER = Finding("DE-018", ErrorCode.XDSUnknownPatientId, "and this", severity=Severity.WARNING)


def raising(error: BaseException) -> Any:
    def handler(call: Call) -> Answer:
        raise error

    return handler


def errors(got: Got) -> list[tuple[str, str]]:
    return [(e.get("errorCode", ""), e.get("codeContext", "")) for e in got.envelope.iterfind(".//{*}RegistryError")]


# ------------------------------------------------------------------------------------------------------------- routing


@pytest.mark.parametrize(
    ("path", "action", "body"),
    [
        ("/xds/registry", ITI_18, QUERY),
        ("/xds/registry/", ITI_18, QUERY),
        ("/xds/iti18", ITI_18, QUERY),
        ("/xds/registry", ITI_42, SUBMIT),
        ("/xds/iti42", ITI_42, SUBMIT),
    ],
)
def test_an_actor_has_an_address_and_each_transaction_too(path: str, action: str, body: str, recorder: Recorder) -> None:
    assert recorder.post(plain(body, action, path=path)).status == 200
    assert recorder.calls[0].transaction.action == action
    assert recorder.calls[0].endpoint_url == f"http://xds.example.org{path}"


def test_a_query_at_the_repository_is_a_clear_fault(recorder: Recorder) -> None:
    got = recorder.post(plain(path="/xds/repository"))
    assert (got.status, got.rule) == (400, "WSA-ACTION")
    assert "ITI-18 is not served at /xds/repository. Send it to /xds/registry or /xds/iti18" in got.reason
    assert got.header("Action") == "http://www.w3.org/2005/08/addressing/fault"
    assert got.envelope.xpath("string(//*[local-name()='Subcode']/*)") == "sub:ActionNotSupported"


def test_an_unknown_path_names_the_known_ones(recorder: Recorder) -> None:
    got = recorder.post(plain(path="/soap"))
    assert got.status == 404
    assert "/xds/registry, /xds/repository" in got.reason


def test_description(recorder: Recorder) -> None:
    for path in ("/xds/registry", "/xds/repository", "/xds/iti18"):
        got = recorder.get(path, "wsdl")
        assert (got.status, got.headers["Content-Type"]) == (200, "text/xml; charset=UTF-8")
        (address,) = etree.fromstring(got.body).iterfind(".//{http://schemas.xmlsoap.org/wsdl/soap12/}address")
        assert address.get("location") == f"http://xds.example.org{path}"
    assert b"xs:schema" in recorder.get("/xds/registry", "xsd=rim.xsd").body
    for query in ("xsd=../parse.py", "xsd=/etc/passwd", "xsd="):
        assert recorder.get("/xds/registry", query).status == 404
    assert b"?wsdl" in recorder.get("/xds/registry").body
    assert ITI_42.encode() not in recorder.get("/xds/iti18", "wsdl").body
    assert recorder.get("/xds/registry", "wsdl", host='x"><script>').status == 400
    refused = recorder.get("/xds/registry", method="DELETE")
    assert (refused.status, refused.headers["Allow"]) == (405, "GET, POST")


def test_public_url_beats_the_host(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, public_url="https://xds.hospital.example/")
    assert b'location="https://xds.hospital.example/xds/registry"' in recorder.get("/xds/registry", "wsdl").body


# --------------------------------------------------------------------------------------------------------------- forms


def test_plain_in_plain_out(recorder: Recorder) -> None:
    got = recorder.post(plain())
    assert got.headers["Content-Type"] == f'application/soap+xml; charset=UTF-8; action="{ITI_18}Response"'
    assert (got.header("Action"), got.header("RelatesTo")) == (ITI_18 + "Response", MESSAGE_ID)


def test_mtom_in_mtom_out(recorder: Recorder) -> None:
    got = recorder.post(mtom())
    assert got.headers["Content-Type"].startswith('multipart/related; boundary="')
    assert 'type="application/xop+xml"; start="<' in got.headers["Content-Type"]
    assert (got.header("Action"), got.header("RelatesTo")) == (ITI_41 + "Response", MESSAGE_ID)


def test_a_query_as_mtom_is_answered_as_mtom(recorder: Recorder) -> None:
    got = recorder.post(package(envelope(QUERY, ITI_18), None, path="/xds/registry"))
    assert got.headers["Content-Type"].startswith("multipart/related")


def test_a_document_comes_back_as_part_or_inline(recorder: Recorder) -> None:
    got = recorder.post(package(envelope(RETRIEVE, ITI_43), None))
    assert b"Content-Type: text/plain\r\n" in got.body and b"\r\n\r\n" + DOCUMENT + b"\r\n--" in got.body
    got = recorder.post(plain(RETRIEVE, ITI_43, path="/xds/repository"))
    assert got.envelope.findtext(".//{*}Document") == base64.b64encode(DOCUMENT).decode()


def test_faults_take_the_form_of_the_request(recorder: Recorder) -> None:
    assert recorder.post(mtom(provide("<a/>"))).headers["Content-Type"].startswith("multipart/related")
    assert recorder.post(plain("<a/>")).headers["Content-Type"].startswith("application/soap+xml")
    unread = recorder.post(mtom().typed("MIMEBoundary_1", "other"))
    assert unread.headers["Content-Type"].startswith("application/soap+xml")


def test_soap_1_1_is_refused_in_soap_1_1(tmp_path: Path) -> None:
    soap11 = plain().swap_all(b"http://www.w3.org/2003/05/soap-envelope", b"http://schemas.xmlsoap.org/soap/envelope/")
    got = Recorder(tmp_path).post(soap11.typed("application/soap+xml", "text/xml"))
    assert (got.status, got.headers["Content-Type"]) == (500, "text/xml; charset=UTF-8")
    assert got.envelope.findtext(".//faultcode") == "e:VersionMismatch"
    assert got.envelope.xpath("//*[local-name()='SupportedEnvelope']/@qname") == ["ns1:Envelope"]
    allowed = Recorder(tmp_path, Wire(overrides={"WIRE-023": Do.ACCEPT})).post(soap11)
    assert (allowed.status, allowed.headers["Content-Type"]) == (200, "text/xml; charset=UTF-8")
    assert allowed.envelope.tag == "{http://schemas.xmlsoap.org/soap/envelope/}Envelope"


def test_not_understood_headers_are_named(recorder: Recorder) -> None:
    got = recorder.post(plain(more='<h:A xmlns:h="urn:h" s:mustUnderstand="1"/><h:B xmlns:h="urn:h" s:mustUnderstand="true"/>'))
    assert (got.status, got.exchange.fault) == (500, "WIRE-060")
    code = got.envelope.findtext(".//{*}Code/{*}Value")
    assert code == "s:MustUnderstand"
    assert got.envelope.xpath("//*[local-name()='NotUnderstood']/@qname") == ["nu:A", "nu:B"]


def test_understood_headers(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, understood=frozenset({"{urn:h}A"}))
    assert recorder.post(plain(more='<h:A xmlns:h="urn:h" s:mustUnderstand="1"/>')).status == 200
    assert recorder.calls[0].headers[-1].tag == "{urn:h}A"


# -------------------------------------------------------------------------------------------------------------- errors


def test_a_refusal_carries_every_finding(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, explain_base="https://x.example/rules/")
    recorder.instead = refuse(FINDING, OTHER)
    for sent, root in (
        (mtom(), "RegistryResponse"),
        (plain(), "AdhocQueryResponse"),
        (package(envelope(RETRIEVE, ITI_43), None), "RetrieveDocumentSetResponse"),
    ):
        got = recorder.post(sent)
        assert got.status == 200
        assert got.exchange.findings == (FINDING, OTHER)
        assert got.exchange.status is ResponseStatus.FAILURE
        assert etree.QName(got.envelope[1][0]).localname == root
        assert [code for code, _ in errors(got)] == ["XDSRegistryMetadataError", "XDSUnknownPatientId"]
        assert "https://x.example/rules/DE-017" in errors(got)[0][1]
        assert got.envelope.xpath("//*/@highestSeverity") == ["urn:oasis:names:tc:ebxml-regrep:ErrorSeverityType:Error"]


def test_a_body_that_breaks_the_schema_is_refused_with_every_finding(recorder: Recorder) -> None:
    broken = QUERY.replace("returnType", "returntype").replace('id="urn:uuid:14d4', 'wrong="urn:uuid:14d4')
    got = recorder.post(plain(broken))
    assert got.status == 200 and not recorder.calls
    assert len(errors(got)) >= 3
    assert {code for code, _ in errors(got)} == {"XDSRegistryError"}
    assert all("[XSD-001]" in context for _, context in errors(got))
    got = recorder.post(mtom(provide(submit=SUBMIT.replace("RegistryObjectList", "List"))))
    assert {code for code, _ in errors(got)} == {"XDSRepositoryMetadataError"}


@pytest.mark.parametrize(
    ("error", "registry", "repository"),
    [
        (StorageUnavailable("database is locked"), "XDSRegistryBusy", "XDSRepositoryBusy"),
        (StorageUnavailable("database or disk is full"), "XDSRegistryOutOfResources", "XDSRepositoryOutOfResources"),
        (StorageUnavailable("attempt to write a readonly database"), "XDSRegistryError", "XDSRepositoryError"),
        (CommitUncertain("gone"), "XDSRegistryError", "XDSRepositoryError"),
        (UniqueViolation("t", "t.x"), "XDSRegistryError", "XDSRepositoryError"),
        (OSError(errno.ENOSPC, "No space left on device"), "XDSRegistryOutOfResources", "XDSRepositoryOutOfResources"),
        (OSError(errno.EIO, "Input/output error"), "XDSRegistryError", "XDSRepositoryError"),
    ],
)
def test_a_store_that_fails(
    error: Exception, registry: str, repository: str, recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    recorder.instead = raising(error)
    for sent, code in ((plain(), registry), (mtom(), repository)):
        got = recorder.post(sent)
        assert (got.status, [c for c, _ in errors(got)]) == (200, [code])
        assert got.exchange.reference and got.exchange.reference in caplog.text
        assert str(error) not in got.body.decode()


def test_an_unexpected_exception_tells_nothing_but_a_number(recorder: Recorder, caplog: pytest.LogCaptureFixture) -> None:
    recorder.instead = raising(ZeroDivisionError("secret /var/lib/carnet"))
    got = recorder.post(plain())
    assert (got.status, got.rule) == (500, "SRV-005")
    assert got.envelope.findtext(".//{*}Code/{*}Value") == "s:Receiver"
    assert got.exchange.reference in got.reason and got.exchange.reference in caplog.text
    assert b"secret" not in got.body and b"ZeroDivision" not in got.body
    assert "ZeroDivisionError: secret" in caplog.text
    assert got.header("RelatesTo") == MESSAGE_ID
    assert got.envelope.xpath("//*[local-name()='Text']/@xml:lang") == ["en", "fr"]


def test_memory_that_is_missing_is_a_503(recorder: Recorder) -> None:
    recorder.instead = raising(MemoryError())
    got = recorder.post(plain())
    assert (got.status, got.headers["Retry-After"]) == (503, "5")


def test_a_fault_of_a_handler(recorder: Recorder) -> None:
    recorder.instead = raising(Fault(FaultCode.SENDER, "no", rule="X-1", remedy="yes", subcode=("urn:s", "Why"), status=403))
    got = recorder.post(plain())
    assert (got.status, got.rule, got.reason) == (403, "X-1", "no. yes [X-1]")


class FullStaging:
    """A disk without room."""

    def create(self) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_no_room_for_a_document(tmp_path: Path) -> None:
    """The envelope came first: the answer is that of the transaction, with its MessageID."""
    recorder = Recorder(tmp_path)
    options = EndpointOptions(FullStaging(), observe=recorder.exchanges.append)
    recorder.endpoint = Endpoint({Transaction.ITI_41: recorder._handle}, options)
    got = recorder.post(mtom(document=bytes(100_000)))
    assert (got.status, [code for code, _ in errors(got)]) == (200, ["XDSRepositoryOutOfResources"])
    assert got.header("RelatesTo") == MESSAGE_ID
    assert not recorder.calls


# -------------------------------------------------------------------------------------------------------------- limits


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (Limits(total=300), "limit is 300"),
        (Limits(root=300), "300"),
        (Limits(part=10), "limit is 10"),
        (Limits(parts=1), "limit is 1"),
        (Limits(part_header=40), "limit is 40"),
        (Limits(part_header_lines=2), "limit is 2"),
        (Limits(preamble=10), "WIRE-015"),
        (Limits(depth=4), "XML-008"),
        (Limits(elements=4), "XML-009"),
        (Limits(receive_seconds=-1), "longer than -1 seconds"),
    ],
)
def test_limit(limits: Limits, said: str, tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, limits=limits)
    got = recorder.post(mtom())
    assert got.status in (400, 408, 413)
    assert said in got.reason
    assert not recorder.calls and not recorder.staged()


def test_the_strict_profile_has_narrower_limits_where_nobody_chose_one(tmp_path: Path) -> None:
    many = mtom().swap(b"Content-Type: text/plain", b"".join(b"X-%d: y\r\n" % n for n in range(16)) + b"Content-Type: text/plain")
    assert Recorder(tmp_path).post(many).status == 200
    assert "limit is 16" in Recorder(tmp_path, Wire(strict=True)).post(many).reason
    assert Recorder(tmp_path, Wire(strict=True), Limits(part_header_lines=40)).post(many).status == 200
    assert (Limits().strict().parts, Limits(parts=500).strict().parts) == (64, 500)


def test_inline_documents_have_a_limit_of_their_own(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, limits=Limits(inline=1000, root=4096))
    assert recorder.post(mtom(provide("QUJD" * 200), document=None)).status == 200
    for length in (500, 5000):
        got = recorder.post(mtom(provide("QUJD" * length), document=None))
        assert (got.status, "the limit is 1000" in got.reason) == (413, True)
    assert not recorder.staged()


def test_a_limit_of_size_names_what_is_too_large_and_the_setting(tmp_path: Path) -> None:
    got = Recorder(tmp_path, limits=Limits(root=4096)).post(plain(SUBMIT + "<x>" + "y" * 200_000 + "</x>"))
    assert got.status == 413
    assert "XML of the message" in got.reason and "limit is 4096" in got.reason and "limits.root_part" in got.reason
    got = Recorder(tmp_path, limits=Limits(total=4096)).post(plain("y" * 5000))
    assert got.status == 413
    assert "The request has" in got.reason and "limits.body" in got.reason


def test_transactions_at_once(tmp_path: Path) -> None:
    """Over `working` an understood request is answered Busy, in its own response."""
    recorder = Recorder(tmp_path, limits=Limits(working=1, working_wait=0.05))
    entered, leave = threading.Event(), threading.Event()

    def slow(call: Call) -> Answer:
        entered.set()
        leave.wait(60)
        return refuse(FINDING)(call)

    recorder.instead = slow
    first = threading.Thread(target=recorder.post, args=(plain(),))
    first.start()
    try:
        assert entered.wait(60)
        assert [code for code, _ in errors(recorder.post(plain()))] == ["XDSRegistryBusy"]
        assert [code for code, _ in errors(recorder.post(mtom()))] == ["XDSRepositoryBusy"]
    finally:
        leave.set()
        first.join()
    assert [code for code, _ in errors(recorder.post(plain()))] == ["XDSRegistryMetadataError"]
    assert len(recorder.calls) == 2


# ------------------------------------------------------------------------------------------------------------ observed


def test_every_request_is_observed_once(recorder: Recorder) -> None:
    started = time.perf_counter()
    sent = mtom()
    recorder.post(sent)
    (exchange,) = recorder.exchanges
    assert exchange.transaction is Transaction.ITI_41
    assert (exchange.method, exchange.path, exchange.http_status) == ("POST", "/xds/repository", 200)
    assert exchange.status is ResponseStatus.SUCCESS
    assert (exchange.message_id, exchange.action, exchange.mtom) == (MESSAGE_ID, ITI_41, True)
    assert exchange.received == len(sent.body) and exchange.sent > 0 and not exchange.broken
    assert 0 < exchange.seconds <= time.perf_counter() - started
    assert exchange.caller == Caller(address="192.0.2.7")
    recorder.post(plain("<a/>"))
    recorder.get("/xds/registry", "wsdl")
    recorder.get("/nothing")
    assert [e.fault for e in recorder.exchanges] == ["", "SOAP-BODY", "", "SRV-006"]


def test_an_observer_that_fails_harms_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder(tmp_path)

    def observe(exchange: Any) -> None:
        recorder.exchanges.append(exchange)
        raise ValueError("observer")

    options = EndpointOptions(FolderStaging(tmp_path), observe=observe)
    recorder.endpoint = Endpoint({Transaction.ITI_18: recorder._handle}, options)
    assert recorder.post(plain()).status == 200
    assert "ValueError: observer" in caplog.text


def test_who_is_calling_is_asked_before_anything_is_done(tmp_path: Path) -> None:
    seen: list[Any] = []

    def identify(environ: Any, headers: Any) -> Caller:
        seen.append((environ["REMOTE_ADDR"], [etree.QName(h).localname for h in headers]))
        raise Fault(FaultCode.SENDER, "who are you", rule="SEC-1", status=403, reason_fr="qui êtes-vous")

    recorder = Recorder(tmp_path, identify=identify)
    got = recorder.post(mtom(document=bytes(100_000)))
    assert (got.status, got.rule, recorder.calls) == (403, "SEC-1", [])
    assert seen == [("192.0.2.7", ["Action", "MessageID"])]
    assert not recorder.staged()


# ----------------------------------------------------------------------------------------------------------- streaming


class Failing:
    """A document that breaks off after `good` octets of `size`; it knows whether it was closed."""

    def __init__(self, size: int, good: int) -> None:
        self.size, self.good, self.closed = size, good, False

    def __iter__(self) -> Any:
        try:
            for _ in range(0, self.good, 65536):
                yield bytes(65536)
            if self.good < self.size:
                raise ArithmeticError("hash differs")
        finally:
            self.closed = True


def retrieving(source: Failing) -> Any:
    def handler(call: Call) -> Answer:
        found = Retrieved(DocumentRequest("", "1", "2"), "text/plain", source.size, source)
        return build_retrieve_answer(call, ResponseStatus.SUCCESS, [found])

    return handler


def start(recorder: Recorder, form: str) -> tuple[Any, list[Any]]:
    sent = package(envelope(RETRIEVE, ITI_43), None) if form == "mtom" else plain(RETRIEVE, ITI_43, path="/xds/repository")
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": sent.path,
        "CONTENT_TYPE": sent.content_type,
        "CONTENT_LENGTH": str(len(sent.body)),
        "wsgi.input": io.BytesIO(sent.body),
    }
    started: list[Any] = []
    return recorder.endpoint(environ, lambda status, headers: started.extend((status, dict(headers)))), started


@pytest.mark.parametrize("form", ["mtom", "plain"])
def test_an_answer_that_fails_breaks_before_its_end(form: str, recorder: Recorder, caplog: pytest.LogCaptureFixture) -> None:
    source = Failing(2 * 1024 * 1024, 1024 * 1024)
    recorder.instead = retrieving(source)
    answer, started = start(recorder, form)
    sent = b""
    with pytest.raises(ArithmeticError):
        for piece in answer:
            sent += piece
    answer.close()
    assert started[0] == "200 OK"
    assert 0 < len(sent) < int(started[1]["Content-Length"])
    assert b"Envelope>" not in sent[-200:] and not sent.endswith(b"--\r\n")
    (exchange,) = recorder.exchanges
    assert exchange.broken and exchange.sent == len(sent) and exchange.reference in caplog.text


def test_a_small_answer_that_fails_is_a_fault(recorder: Recorder) -> None:
    recorder.instead = retrieving(Failing(100_000, 65536))
    got = recorder.post(package(envelope(RETRIEVE, ITI_43), None))
    assert (got.status, got.rule) == (500, "SRV-005")


def test_a_client_that_goes_away_closes_the_document(recorder: Recorder) -> None:
    source = Failing(2 * 1024 * 1024, 2 * 1024 * 1024)
    recorder.instead = retrieving(source)
    answer, _ = start(recorder, "mtom")
    pieces = iter(answer)
    next(pieces)
    answer.close()
    del pieces
    assert source.closed
    assert recorder.exchanges[0].broken


@pytest.mark.parametrize("form", ["mtom", "plain"])
def test_a_large_answer_is_streamed_with_its_exact_length(form: str, recorder: Recorder) -> None:
    source = Failing(3 * 1024 * 1024, 3 * 1024 * 1024)
    recorder.instead = retrieving(source)
    answer, started = start(recorder, form)
    sizes = [len(piece) for piece in answer]
    answer.close()
    assert sum(sizes) == int(started[1]["Content-Length"])
    assert max(sizes) <= 512 * 1024
    assert not recorder.exchanges[0].broken


def test_staged_parts_that_a_handler_leaves_are_removed(recorder: Recorder) -> None:
    for handler in (None, refuse(FINDING), raising(ZeroDivisionError())):
        recorder.instead = handler
        recorder.post(mtom(document=bytes(200_000)))
        assert recorder.calls[-1].parts["doc@x"].path()
        assert not recorder.staged()
