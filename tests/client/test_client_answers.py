"""What other servers may answer, and what the client makes of it: clear words, typed, nothing hidden."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import re
import socket
import ssl
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from lxml import etree

from metadata.query_table import FIND_DOCUMENTS
from metadata.vocabulary import ResponseStatus
from schemas.namespaces import LCM, QUERY, RIM, RS, SOAP11, SOAP12, XDS, XOP, q
from soap.client import Client, Content, Wanted
from soap.client_errors import BadAnswer, ClientError, HttpError, SoapFault, Unreachable
from soap.fault import build_fault, sender
from tests.client.answering_server import Answer, AnsweringServer, answer, hang_up
from tests.ports import deaf_port

SOAP = "application/soap+xml; charset=UTF-8"
FAILURE = "urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Failure"
SUCCESS = "urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Success"
ERROR = "urn:oasis:names:tc:ebxml-regrep:ErrorSeverityType:Error"
SUBMISSION = (
    f'<lcm:SubmitObjectsRequest xmlns:lcm="{LCM}" xmlns:rim="{RIM}"><rim:RegistryObjectList/></lcm:SubmitObjectsRequest>'
).encode()


def envelope(body: str) -> bytes:
    return f'<s:Envelope xmlns:s="{SOAP12}"><s:Header/><s:Body>{body}</s:Body></s:Envelope>'.encode()


def registry_response(status: str, errors: str = "") -> bytes:
    return envelope(f'<rs:RegistryResponse xmlns:rs="{RS}" status="{status}">{errors}</rs:RegistryResponse>')


def find(client: Client) -> object:
    return client.query(FIND_DOCUMENTS.id, [("$XDSDocumentEntryPatientId", ["'1^^^&1.2.3&ISO'"])])


def ask(url: str) -> object:
    with Client(registry=url, repository=url, timeout=5) as client:
        return find(client)


# ------------------------------------------------------------------------------------------------------- no usable answer


def test_nobody_listens() -> None:
    url = f"http://127.0.0.1:{deaf_port()}/xds/registry"
    with pytest.raises(Unreachable, match="connection refused; nothing listens there"):
        ask(url)


def test_host_name_is_not_known() -> None:
    with pytest.raises(Unreachable, match="host name is not known"):
        ask("http://no-such-host.invalid/xds/registry")


@pytest.mark.parametrize("url", ["ftp://host/x", "host/xds", "http://", "http://host:port/x", "http://host:0/x"])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(ClientError, match="is no address of a server"):
        Client(registry=url)


def test_an_address_that_was_not_given() -> None:
    with pytest.raises(ClientError, match="ITI-18 needs the address of a registry"):
        find(Client(repository="http://127.0.0.1:1/x"))


def test_server_hangs_up() -> None:
    with AnsweringServer(hang_up) as server, pytest.raises(Unreachable, match="ended the connection before it answered"):
        ask(server.url)


def test_server_says_nothing_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = Client(registry=f"http://127.0.0.1:{silent.getsockname()[1]}/x", timeout=0.2)
        with pytest.raises(Unreachable, match="did not answer in time"):
            find(client)


def test_bad_gateway_page() -> None:
    page = b"<html><head><title>502 Bad Gateway</title></head><body><h1>Bad Gateway</h1><p>nginx</p></body></html>"
    with AnsweringServer(answer(502, "text/html", page)) as server, pytest.raises(HttpError) as caught:
        ask(server.url)
    assert caught.value.status == 502
    assert "HTTP 502 Bad Gateway without a SOAP envelope (text/html)" in str(caught.value)
    assert "<p>nginx</p>" in str(caught.value)
    assert "proxy stands in front" in str(caught.value)


@pytest.mark.parametrize("status", [401, 404, 405, 503])
def test_http_error_without_a_word(status: int) -> None:
    with AnsweringServer(answer(status, "", b"")) as server, pytest.raises(HttpError, match=f"HTTP {status} .*empty body"):
        ask(server.url)


def test_html_that_claims_success() -> None:
    page = answer(200, "text/html", b"<p>Please log in</p>")
    with AnsweringServer(page) as server, pytest.raises(BadAnswer, match=r"'text/html', not SOAP.*Please log in"):
        ask(server.url)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "empty"),
        (b"Internal error", "not well-formed|no XML"),
        (envelope("<x/>")[:60], "not well-formed"),
        (b"<answer/>", "not a SOAP envelope"),
        (envelope(""), "0 child elements"),
        (envelope("<a/><b/>"), "2 child elements"),
        (envelope("<hello/>"), "it holds hello, not .*AdhocQueryResponse"),
        (b'<!DOCTYPE x [<!ENTITY a "b">]>' + envelope("<x/>"), "DOCTYPE|document type"),
        (envelope(f'<query:AdhocQueryResponse xmlns:query="{QUERY}"/>'), "names no status"),
    ],
)
def test_answers_that_are_none(body: bytes, words: str) -> None:
    with AnsweringServer(answer(200, SOAP, body)) as server, pytest.raises(BadAnswer, match=words):
        ask(server.url)


def test_answer_cut_short() -> None:
    body = registry_response(SUCCESS)
    cut = answer(200, SOAP, body[:100], length=len(body))
    with AnsweringServer(cut) as server, pytest.raises(BadAnswer, match="it was cut short"):
        ask(server.url)


def test_our_own_fault() -> None:
    fault = sender("wsa:Action is missing", rule="WIRE-053", remedy="Send it.", subcode=("urn:x", "Sub"))
    with AnsweringServer(answer(400, SOAP, build_fault(fault))) as server, pytest.raises(SoapFault) as caught:
        ask(server.url)
    assert (caught.value.status, caught.value.code, caught.value.subcode) == (400, "Sender", "Sub")
    assert (caught.value.rule, caught.value.remedy) == ("WIRE-053", "Send it.")
    assert "wsa:Action is missing" in str(caught.value)


def test_fault_of_soap_11_with_a_detail() -> None:
    body = (
        f'<e:Envelope xmlns:e="{SOAP11}"><e:Body><e:Fault><faultcode>e:Server</faultcode><faultstring>It broke</faultstring>'
        "<detail><x>line 3 of job.sql</x></detail></e:Fault></e:Body></e:Envelope>"
    ).encode()
    with AnsweringServer(answer(500, "text/xml", body)) as server, pytest.raises(SoapFault) as caught:
        ask(server.url)
    assert "Server, HTTP 500: It broke (line 3 of job.sql)" in str(caught.value)
    assert caught.value.detail == "line 3 of job.sql"


def test_early_refusal_of_a_large_message_is_heard(tmp_path: Path) -> None:
    """The server answers 413 and closes while the client is still sending: what it said is reported, not the broken pipe."""
    large = tmp_path / "large.bin"
    with large.open("wb") as file:
        file.truncate(64 * 1024 * 1024)

    def refuse(handler: BaseHTTPRequestHandler, request: bytes) -> None:
        answer(413, SOAP, build_fault(sender("The request is too large")))(handler, request)
        handler.close_connection = True

    with AnsweringServer(refuse, early=True) as server:
        client = Client(repository=server.url, timeout=5)
        with pytest.raises((SoapFault, Unreachable)) as caught:
            client.provide(SUBMISSION, [Content("Document01", "application/octet-stream", large)])
    assert "too large" in str(caught.value) or "while the message was sent" in str(caught.value)


# ------------------------------------------------------------------------------------------------------ refused, understood


def test_every_error_is_kept_as_it_was_said() -> None:
    errors = (
        f'<rs:RegistryErrorList highestSeverity="{ERROR}">'
        f'<rs:RegistryError errorCode="XDSUnknownPatientId" codeContext="who?" severity="{ERROR}" location="here"/>'
        f'<rs:RegistryError errorCode="VendorsOwn" codeContext="&lt;odd&gt;" severity="{ERROR}"/></rs:RegistryErrorList>'
    )
    with AnsweringServer(answer(200, SOAP, registry_response(FAILURE, errors))) as server:
        client = Client(registry=server.url)
        reply = client.register(SUBMISSION)
        status, sent = client.send_register(etree.fromstring(SUBMISSION))
    assert not reply.accepted
    assert reply.response.status is ResponseStatus.FAILURE
    assert [(e.error_code, e.code_context, e.location) for e in reply.errors] == [
        ("XDSUnknownPatientId", "who?", "here"),
        ("VendorsOwn", "<odd>", ""),
    ]
    assert (status, tuple(sent)) == (FAILURE, reply.errors)


def test_a_status_that_nobody_knows_is_no_success() -> None:
    with AnsweringServer(answer(200, SOAP, registry_response("urn:perhaps"))) as server:
        reply = Client(registry=server.url).register(SUBMISSION)
    assert not reply.accepted
    assert reply.response.status_text == "urn:perhaps"


# --------------------------------------------------------------------------------------------------------------- documents


def retrieve_response(documents: str) -> str:
    return (
        f'<xds:RetrieveDocumentSetResponse xmlns:xds="{XDS}"><rs:RegistryResponse xmlns:rs="{RS}" status="{SUCCESS}"/>'
        f"{documents}</xds:RetrieveDocumentSetResponse>"
    )


def document_response(content: str) -> str:
    return (
        "<xds:DocumentResponse><xds:RepositoryUniqueId>1.2.3</xds:RepositoryUniqueId><xds:DocumentUniqueId>1.2.9</xds:DocumentUniqueId>"
        f"<xds:mimeType>text/plain</xds:mimeType><xds:Document>{content}</xds:Document></xds:DocumentResponse>"
    )


INCLUDE = f'<xop:Include xmlns:xop="{XOP}" href="cid:one%40test"/>'
MTOM = 'multipart/related; boundary="b0"; type="application/xop+xml"; start="<root@test>"; start-info="application/soap+xml"'


def package(content: bytes, closing: bytes = b"\r\n--b0--\r\n") -> bytes:
    root = envelope(retrieve_response(document_response(INCLUDE)))
    head = b'--b0\r\nContent-Type: application/xop+xml; type="application/soap+xml"\r\nContent-ID: <root@test>\r\n\r\n'
    part = b"\r\n--b0\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: binary\r\nContent-ID: <one@test>\r\n\r\n"
    return head + root + part + content + closing


@pytest.mark.parametrize("size", [0, 10, 300_000])
def test_documents_come_by_mtom_and_are_checked(size: int, tmp_path: Path) -> None:
    content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    right = hashlib.sha1(content, usedforsecurity=False).hexdigest().upper()
    wanted = [Wanted("1.2.3", "1.2.9", hash=right, size=str(size))]
    seen: list[int] = []
    with AnsweringServer(answer(200, MTOM, package(content))) as server, Client(repository=server.url) as client:
        with client.retrieve(wanted, tmp_path, seen.append) as retrieved:
            (document,) = retrieved.documents
            assert (document.bytes(), document.mimeType, document.damage) == (content, "text/plain", "")
            document.save(tmp_path / "saved")
        assert [path.name for path in tmp_path.iterdir()] == ["saved"]
        assert (tmp_path / "saved").read_bytes() == content
        assert sum(seen) == len(package(content))
        (_, headers, request) = server.requests[0]
    assert headers["Content-Type"].startswith("multipart/related")
    assert b"<xds:DocumentUniqueId>1.2.9</xds:DocumentUniqueId>" in request


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (Wanted("1.2.3", "1.2.9", hash="0" * 40, size="5"), "the SHA-1 of the bytes that came is .*, the metadata say 0000"),
        (Wanted("1.2.3", "1.2.9", size="6"), "5 bytes came, the metadata say 6"),
        (Wanted("1.2.3", "1.2.8"), "document 1.2.9 was not asked for"),
    ],
)
def test_wrong_content_is_seen(wanted: Wanted, words: str, tmp_path: Path) -> None:
    with AnsweringServer(answer(200, MTOM, package(b"hello"))) as server, Client(repository=server.url) as client:
        retrieved = client.retrieve([wanted], tmp_path)
    assert re.match(words, retrieved.documents[0].damage)


def test_inline_base64_is_taken_too(tmp_path: Path) -> None:
    """Small in the tree, and above 2 MB of XML decoded on its way to a file."""
    for content in (b"hello", b"0123456789" * 300_000):
        body = envelope(retrieve_response(document_response(base64.b64encode(content).decode())))
        with AnsweringServer(answer(200, SOAP, body)) as server, Client(repository=server.url) as client:
            retrieved = client.retrieve([Wanted("1.2.3", "1.2.9")], tmp_path)
        with retrieved:
            assert retrieved.documents[0].bytes() == content
        assert list(tmp_path.iterdir()) == []


def test_package_cut_short_leaves_nothing(tmp_path: Path) -> None:
    content = b"0123456789" * 30_000
    with AnsweringServer(answer(200, MTOM, package(content, b""))) as server, pytest.raises(BadAnswer, match="cut short"):
        Client(repository=server.url).retrieve([Wanted("1.2.3", "1.2.9")], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_include_that_leads_nowhere(tmp_path: Path) -> None:
    body = package(b"x" * 100_000).replace(b"cid:one%40test", b"cid:two%40test")
    with AnsweringServer(answer(200, MTOM, body)) as server, pytest.raises(BadAnswer, match="not in the package"):
        Client(repository=server.url).retrieve([Wanted("1.2.3", "1.2.9")], tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("prefix", ["", "urn:oid:"])
def test_ids_of_the_answer_may_carry_a_prefix(prefix: str, tmp_path: Path) -> None:
    body = package(b"hello").replace(b">1.2.", f">{prefix}1.2.".encode())
    with AnsweringServer(answer(200, MTOM, body)) as server, Client(repository=server.url) as client:
        retrieved = client.retrieve([Wanted("1.2.3", "1.2.9", size="5")], tmp_path)
    assert [(d.repositoryUniqueId, d.documentUniqueId, d.damage) for d in retrieved.documents] == [("1.2.3", "1.2.9", "")]


def chunked(content_type: str, body: bytes, size: int, closing: bytes = b"0\r\n\r\n") -> Answer:
    def write(handler: BaseHTTPRequestHandler, request: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", content_type)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for start in range(0, len(body), size):
            piece = body[start : start + size]
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        handler.wfile.write(closing)
        handler.close_connection = not closing

    return write


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_chunks_of_any_size_are_put_together(size: int, tmp_path: Path) -> None:
    content = b"hello" if size < 100 else b"0123456789" * 50_000
    with AnsweringServer(chunked(MTOM, package(content), size)) as server, Client(repository=server.url) as client:
        for _ in range(2):
            retrieved = client.retrieve([Wanted("1.2.3", "1.2.9")], tmp_path)
            with retrieved:
                assert retrieved.documents[0].bytes() == content
    assert list(tmp_path.iterdir()) == []


def test_chunks_without_their_end_are_a_cut_answer(tmp_path: Path) -> None:
    endless = chunked(SOAP, registry_response(SUCCESS), 50, b"")
    with AnsweringServer(endless) as server, pytest.raises(BadAnswer, match="cut short"):
        Client(registry=server.url).register(SUBMISSION)


# --------------------------------------------------------------------------------------------------------------------- TLS


def test_tls_with_trust_and_a_client_certificate(tmp_path: Path) -> None:
    ours, trust = certificates(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ours)
    context.load_verify_locations(trust)
    context.verify_mode = ssl.CERT_REQUIRED
    with AnsweringServer(answer(200, SOAP, registry_response(SUCCESS)), tls=context) as server:
        with pytest.raises(Unreachable, match="certificate is not trusted"):
            Client(registry=server.url, timeout=5).register(SUBMISSION)
        trusting = ssl.create_default_context(cafile=str(trust))
        with pytest.raises((Unreachable, BadAnswer)):
            Client(registry=server.url, timeout=5, ssl_context=trusting).register(SUBMISSION)
        trusting.load_cert_chain(ours)
        assert Client(registry=server.url, timeout=5, ssl_context=trusting).register(SUBMISSION).accepted


def certificates(folder: Path) -> tuple[Path, Path]:
    """A key with a certificate for 127.0.0.1 that signed itself: what both sides show and trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "client test")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = builder.add_extension(address, False).add_extension(x509.BasicConstraints(True, None), True)
    certificate = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    plain = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "ours.pem").write_bytes(plain + certificate)
    (folder / "trust.pem").write_bytes(certificate)
    return folder / "ours.pem", folder / "trust.pem"


# ----------------------------------------------------------------------------------------------------------------- sending


def test_documents_are_sent_from_files_as_parts(tmp_path: Path) -> None:
    content = b"0123456789abcdef" * 40_000
    (tmp_path / "file").write_bytes(content)
    seen: list[int] = []
    with AnsweringServer(answer(200, SOAP, registry_response(SUCCESS))) as server, Client(repository=server.url) as client:
        documents = [Content("Document01", "text/plain", tmp_path / "file"), Content("Document02", "text/xml", b"<a/>")]
        assert client.provide(SUBMISSION, documents, seen.append).accepted
        assert client.provide(SUBMISSION, documents).accepted
        (_, headers, body) = server.requests[0]
    assert headers["Content-Type"].startswith('multipart/related; boundary="')
    assert 'type="application/xop+xml"' in headers["Content-Type"]
    assert content in body
    assert b'<xds:Document xmlns:xds="urn:ihe:iti:xds-b:2007" id="Document02">' in body
    assert sum(seen) == len(content) + 4


def test_file_that_shrinks_on_the_way_is_never_a_whole_message(tmp_path: Path) -> None:
    class Shrinking(Content):
        @property
        def size(self) -> int:
            return super().size + 1

    (tmp_path / "file").write_bytes(b"x" * 1000)
    with AnsweringServer(answer(200, SOAP, registry_response(SUCCESS))) as server:
        client = Client(repository=server.url, timeout=5)
        with pytest.raises(ValueError, match="has not the 1001 octets"):
            client.provide(SUBMISSION, [Shrinking("Document01", "text/plain", tmp_path / "file")])


def test_security_header_and_addressing_are_sent() -> None:
    header = b'<o:Security xmlns:o="urn:o">token</o:Security>'
    with AnsweringServer(answer(200, SOAP, registry_response(SUCCESS))) as server:
        client = Client(registry=server.url, security=lambda transaction: header)
        client.register(SUBMISSION)
        (path, headers, body) = server.requests[0]
    root = etree.fromstring(body)
    assert path == "/xds/any"
    assert headers["Content-Type"] == 'application/soap+xml; charset=UTF-8; action="urn:ihe:iti:2007:RegisterDocumentSet-b"'
    assert [etree.QName(child).localname for child in root[0]] == ["Action", "MessageID", "ReplyTo", "To", "Security"]
    assert root[0][0].get(q(SOAP12, "mustUnderstand")) == "1"
    assert root[1][0].tag == q(LCM, "SubmitObjectsRequest")


def test_connection_is_kept_and_replaced_when_the_server_dropped_it() -> None:
    ports: list[int] = []

    def once_then_close(handler: BaseHTTPRequestHandler, request: bytes) -> None:
        ports.append(handler.client_address[1])
        answer(200, SOAP, registry_response(SUCCESS))(handler, request)
        handler.close_connection = len(ports) == 2

    with AnsweringServer(once_then_close) as server, Client(registry=server.url, timeout=5) as client:
        for _ in range(3):
            assert client.register(SUBMISSION).accepted
    assert ports[0] == ports[1]
    assert ports[2] != ports[1]
