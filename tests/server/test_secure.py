"""`serve --secure` as a process: who is let in, who is refused by which rule, and what happens when certificates are replaced."""

from __future__ import annotations

import http.client
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from lxml import etree

from security.pki import TestAuthority
from security.tls import client_context
from server.settings import TABLE
from soap.client import Client
from soap.client_errors import ClientError
from tests.security.certificates import CA_EXTENSIONS, LEAF_EXTENSIONS, certificate, name, new_key, usage
from tests.server.exchange import PATIENT, announce, fetch_by, package
from tests.server_process import ServerProcess

QUERY = (
    '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://www.w3.org/2005/08/addressing"><s:Header>'
    "<a:Action>urn:ihe:iti:2007:RegistryStoredQuery</a:Action></s:Header><s:Body>"
    '<q:AdhocQueryRequest xmlns:q="urn:oasis:names:tc:ebxml-regrep:xsd:query:3.0" '
    'xmlns="urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0">'
    '<q:ResponseOption returnType="ObjectRef"/><AdhocQuery id="urn:uuid:14d4debf-8f97-4251-9a74-a90016b0af0d">'
    f"<Slot name=\"$XDSDocumentEntryPatientId\"><ValueList><Value>'{PATIENT.replace('&', '&amp;')}'</Value></ValueList></Slot>"
    "<Slot name=\"$XDSDocumentEntryStatus\"><ValueList><Value>('urn:oasis:names:tc:ebxml-regrep:StatusType:Approved')</Value>"
    "</ValueList></Slot></AdhocQuery></q:AdhocQueryRequest></s:Body></s:Envelope>"
).encode()
#: Who is connected is what these tests are about, not who acts.
CERTIFICATES_ALONE = ("--set", "security.assertions=off") if "security.assertions" in TABLE else ()


@dataclass(frozen=True, slots=True)
class Secure:
    """A server with its authority, and a folder of certificates that the authority would not issue."""

    server: ServerProcess
    authority: TestAuthority
    others: Path

    def context(self, who: str) -> ssl.SSLContext:
        """TLS of the card `who`; of nobody when empty."""
        folder = self.others if (self.others / f"{who}.crt").exists() else self.authority.folder
        root = str(self.authority.folder / "ca.crt")
        return client_context(root, str(folder / f"{who}.crt"), str(folder / f"{who}.key")) if who else client_context(root)

    def connection(self, who: str) -> http.client.HTTPSConnection:
        parts = urlsplit(self.server.url)
        return http.client.HTTPSConnection("localhost", parts.port, timeout=60, context=self.context(who))


def write(folder: Path, who: str, made: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    (folder / f"{who}.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / f"{who}.key").write_bytes(key.private_bytes(*plain))


def irregular(authority: TestAuthority, folder: Path) -> None:
    """What only somebody with the authority's key, or an authority of his own, can make."""
    folder.mkdir()
    root_key = serialization.load_pem_private_key((authority.folder / "ca.key").read_bytes(), None)
    root_name, key = authority.certificate.subject, new_key()
    public = key.public_key()
    write(folder, "stranger", certificate(name("stranger"), public, root_name, root_key, *LEAF_EXTENSIONS), key)
    below = (CA_EXTENSIONS[0], (usage(key_cert_sign=True, digital_signature=True), True))
    write(folder, "sub-authority", certificate(name("SUB"), public, root_name, root_key, *below), key)
    forger = new_key()
    write(folder, "forged", certificate(name("card"), public, root_name, forger, *LEAF_EXTENSIONS), key)


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secure]:
    home = tmp_path_factory.mktemp("secure")
    authority = TestAuthority.create(home / "pki")
    authority.issue("person", "card", key_type="ec")
    authority.issue("structure", "clinic")
    authority.issue("person", "gone", key_type="ec")
    authority.issue("person", "expired", key_type="ec", days=-1)
    authority.issue("person", "apart", key_type="ec", apart=True)
    authority.issue("structure", "writer", key_type="ec", transactions=("ITI-41", "ITI-42"))
    authority.revoke("gone")
    irregular(authority, home / "others")
    announce(home / "store")
    server = ServerProcess(home / "store", "--secure", "--pki", str(authority.folder), *CERTIFICATES_ALONE)
    with server.start(healthy=False):
        yield Secure(server, authority, home / "others")


def asked(connection: http.client.HTTPSConnection) -> tuple[int, bytes]:
    """One ITI-18: HTTP status and body."""
    connection.request("POST", "/xds/registry", QUERY, {"Content-Type": "application/soap+xml"})
    answer = connection.getresponse()
    return answer.status, answer.read()


def rule_of(body: bytes) -> str:
    """The rule that a fault names."""
    diagnosis = etree.fromstring(body).find(".//{urn:carnet:diagnosis:1}Diagnosis")
    assert diagnosis is not None, body
    return str(diagnosis.get("rule"))


# --------------------------------------------------------------------------------------------------------- who is let in


@pytest.mark.parametrize("who", ["card", "clinic", "server", "apart"])
def test_who_is_enrolled_is_served(secure: Secure, who: str) -> None:
    """`server` was issued by the first start, for the listener."""
    status, body = asked(secure.connection(who))
    assert status == 200 and b"StatusType:Success" in body


@pytest.mark.parametrize(
    ("who", "rule"), [("gone", "PKI-004"), ("stranger", "PKI-008"), ("writer", "PKI-011"), ("sub-authority", "PKI-012")]
)
def test_who_passes_tls_and_may_not_call_is_told_the_rule(secure: Secure, who: str, rule: str) -> None:
    status, body = asked(secure.connection(who))
    assert status == 400 and rule_of(body) == rule
    texts = {t.get("{http://www.w3.org/XML/1998/namespace}lang"): t.text for t in etree.fromstring(body).iter("{*}Text")}
    assert texts["en"] and texts["fr"] and f"[{rule}]" in texts["en"]
    secure.server.told(f"FAULT, HTTP 400: {rule}")


@pytest.mark.parametrize(
    ("who", "rule"), [("", "PKI-010"), ("expired", "PKI-003"), ("forged", "PKI-001"), ("apart.sign", "PKI-002")]
)
def test_who_does_not_pass_tls_is_logged_with_the_rule(secure: Secure, who: str, rule: str) -> None:
    told = f"no TLS connection with 127.0.0.1: {rule}"
    before = secure.server.log().count(told)
    with pytest.raises(OSError):
        asked(secure.connection(who))
    secure.server.told(told, times=before + 1)


def test_nothing_is_spoken_but_https(secure: Secure) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(secure.server.url).port, timeout=60)
    with pytest.raises((OSError, http.client.HTTPException)):
        connection.request("GET", "/health")
        connection.getresponse()


@pytest.mark.parametrize(("version", "served"), [("TLSv1", False), ("TLSv1_1", False), ("TLSv1_2", True), ("TLSv1_3", True)])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_versions_of_tls(secure: Secure, version: str, served: bool) -> None:
    connection = secure.connection("card")
    context = secure.context("card")
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    connection = http.client.HTTPSConnection("localhost", urlsplit(secure.server.url).port, timeout=60, context=context)
    if served:
        assert asked(connection)[0] == 200
    else:
        with pytest.raises(OSError):
            asked(connection)


def test_the_wsdl_and_the_greeting_say_https(secure: Secure) -> None:
    assert secure.server.url.startswith("https://") and "listens on" not in secure.server.log().split("ready")[0]
    connection = secure.connection("card")
    connection.request("GET", "/xds/registry?wsdl")
    assert b'location="https://localhost' in connection.getresponse().read()


def test_a_revocation_holds_for_a_connection_that_is_open(secure: Secure) -> None:
    secure.authority.issue("person", "leaver", key_type="ec")
    connection = secure.connection("leaver")
    assert asked(connection)[0] == 200
    secure.authority.revoke("leaver")
    status, body = asked(connection)
    assert status == 400 and rule_of(body) == "PKI-004"


def test_a_document_goes_in_and_comes_out(secure: Secure) -> None:
    content = bytes(range(256)) * 2000
    sent = package(content)
    with Client(secure.server.repository, secure.server.registry, ssl_context=secure.context("clinic")) as client:
        assert client.provide(sent.metadata, sent.documents).accepted
        assert list(fetch_by(client, sent).values()) == [content]


def test_a_partner_does_what_it_is_enrolled_for(secure: Secure) -> None:
    sent = package(b"by the writer")
    with Client(secure.server.repository, secure.server.registry, ssl_context=secure.context("writer")) as client:
        assert client.provide(sent.metadata, sent.documents).accepted
        with pytest.raises(ClientError, match="PKI-011"):
            fetch_by(client, sent)


def test_who_never_ends_the_handshake_keeps_nobody_waiting(secure: Secure) -> None:
    """More of them than there are threads."""
    address = ("127.0.0.1", urlsplit(secure.server.url).port)
    slow = [socket.create_connection(address, timeout=60) for _ in range(60)]
    try:
        for sock in slow:
            sock.sendall(b"\x16\x03\x01")
        assert asked(secure.connection("card"))[0] == 200
    finally:
        for sock in slow:
            sock.close()


def test_requests_in_one_tls_record_are_all_answered(secure: Secure) -> None:
    """Pipelined: the second is decrypted with the first, and the socket never becomes readable for it."""
    request = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    address = ("127.0.0.1", urlsplit(secure.server.url).port)
    with (
        socket.create_connection(address, timeout=60) as plain,
        secure.context("card").wrap_socket(plain, server_hostname="localhost") as sock,
    ):
        sock.sendall(request * 3 + request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        data = b""
        while piece := sock.recv(65536):
            data += piece
    assert data.count(b"HTTP/1.1 200 OK") == 4


# ------------------------------------------------------------------------------------------------- replaced while serving


@dataclass(slots=True)
class Load:
    """Threads that ask without pause, on new connections and on kept ones, each with its card."""

    port: int
    contexts: list[ssl.SSLContext]
    done: list[int]
    failed: list[str]
    stop: threading.Event

    def run(self, number: int, keep: bool) -> None:
        connection = None
        while not self.stop.is_set():
            try:
                if connection is None:
                    connection = http.client.HTTPSConnection("localhost", self.port, timeout=60, context=self.contexts[number])
                status, body = asked(connection)
                if status != 200:
                    self.failed.append(rule_of(body))
                self.done[number] += 1
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(repr(error))
            if not keep and connection is not None:
                connection.close()
                connection = None

    def goes_on(self) -> None:
        """Waits until each thread has been answered some times more."""
        wanted = [count + 3 for count in self.done]
        while any(count < want for count, want in zip(self.done, wanted, strict=True)):
            assert not self.failed, self.failed[:3]
            time.sleep(0.01)


def put(source: Path, target: Path) -> None:
    """As an operator's tool replaces a file: in one step."""
    partial = target.with_suffix(".new")
    partial.write_bytes(source.read_bytes())
    partial.replace(target)


def test_certificate_key_authorities_and_lists_are_replaced_without_a_failed_request(tmp_path: Path) -> None:
    old, new = TestAuthority.create(tmp_path / "old"), TestAuthority.create(tmp_path / "new", "CARNET SECOND AUTHORITY")
    for who in ("server", "client"):
        for authority in (old, new):
            authority.issue("server", who, key_type="ec")
    site = tmp_path / "site"
    site.mkdir()
    roots = tmp_path / "roots.crt"
    roots.write_bytes(b"".join((a.folder / "ca.crt").read_bytes() for a in (old, new)))
    enrolled = "".join(
        f'[[partner]]\norganisation = "{a.folder.name}"\ncertificate = "{a.folder}/client.crt"\n' for a in (old, new)
    )
    for target, source in {
        "server.crt": "server.crt",
        "server.key": "server.key",
        "ca.crt": "ca.crt",
        "old.crl": "ca.crl",
    }.items():
        put(old.folder / source, site / target)
    put(new.folder / "ca.crl", site / "new.crl")
    (site / "partners.toml").write_text(enrolled)
    files = {
        "certificate": "server.crt", "key": "server.key", "authorities": "ca.crt", "crl_files": "old.crl,{}/new.crl",
        "partners": "partners.toml",
    }  # fmt: skip
    options = [o for key, file in files.items() for o in ("--set", f"security.{key}={site}/{file.format(site)}")]
    announce(tmp_path / "store")
    server = ServerProcess(tmp_path / "store", "--secure", *options, *CERTIFICATES_ALONE)
    with server.start(healthy=False):
        port = urlsplit(server.url).port or 0
        contexts = [
            client_context(str(roots), str(a.folder / "client.crt"), str(a.folder / "client.key")) for a in (old, old, new, new)
        ]
        load = Load(port, contexts, [0, 0], [], threading.Event())
        threads = [threading.Thread(target=load.run, args=(n, bool(n))) for n in range(2)]
        for thread in threads:
            thread.start()
        try:
            load.goes_on()
            put(new.folder / "server.crt", site / "server.crt")  # for a moment it does not fit the key: the old pair stays
            load.goes_on()
            put(new.folder / "server.key", site / "server.key")
            load.goes_on()
            assert issuer_shown(port, contexts[0]) == new.certificate.subject
            old.revoke("server")
            put(old.folder / "ca.crl", site / "old.crl")
            load.goes_on()
            put(roots, site / "ca.crt")
            load.goes_on()
            load.done += [0, 0]
            threads += [threading.Thread(target=load.run, args=(n, n == 3)) for n in (2, 3)]
            for thread in threads[2:]:
                thread.start()
            load.goes_on()
        finally:
            load.stop.set()
            for thread in threads:
                thread.join(60)
        assert load.failed == [] and all(count > 3 for count in load.done)
        old.revoke("client")
        put(old.folder / "ca.crl", site / "old.crl")
        assert rule_of(asked(http.client.HTTPSConnection("localhost", port, timeout=60, context=contexts[0]))[1]) == "PKI-004"


def issuer_shown(port: int, context: ssl.SSLContext) -> x509.Name:
    """Who issued the certificate that the server shows."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=60) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as sock,
    ):
        return x509.load_der_x509_certificate(sock.getpeercert(True) or b"").issuer


# ----------------------------------------------------------------------------------------------------------- more servers


def test_a_repository_calls_its_registry_with_its_own_certificate(secure: Secure, tmp_path: Path) -> None:
    apart = ServerProcess(
        tmp_path / "repository", "--secure", "--pki", str(secure.authority.folder), *CERTIFICATES_ALONE,
        "--role", "repository", "--registry", f"{secure.server.url.replace('127.0.0.1', 'localhost')}/xds/registry",
    )  # fmt: skip
    with apart.start(healthy=False):
        sent = package(b"kept elsewhere")
        with Client(apart.repository, secure.server.registry, ssl_context=secure.context("clinic")) as client:
            assert client.provide(sent.metadata, sent.documents).accepted
            assert list(fetch_by(client, sent).values()) == [b"kept elsewhere"]


@pytest.mark.skipif(not shutil.which("curl"), reason="the curl program is not installed")
def test_curl_with_a_card_is_served(secure: Secure, tmp_path: Path) -> None:
    """A client that shares no code with the server."""
    (tmp_path / "query.xml").write_bytes(QUERY)
    folder = secure.authority.folder
    done = subprocess.run(
        ["curl", "--silent", "--show-error", "--cacert", f"{folder}/ca.crt", "--cert", f"{folder}/card.crt", "--key",
         f"{folder}/card.key", "--header", "Content-Type: application/soap+xml", "--data-binary", f"@{tmp_path}/query.xml",
         f"https://localhost:{urlsplit(secure.server.url).port}/xds/registry"],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0 and "StatusType:Success" in done.stdout, done.stdout + done.stderr


def test_the_certificate_made_for_the_listener_and_when_it_ends(secure: Secure) -> None:
    made = x509.load_pem_x509_certificate((secure.authority.folder / "server.crt").read_bytes())
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "localhost" in names.get_values_for_type(x509.DNSName)
    connection = secure.connection("card")
    connection.request("GET", "/metrics")
    metrics = connection.getresponse().read().decode()
    days = re.search(r"^carnet_certificate_days(?:{.*})? ([\d.]+)$", metrics, re.MULTILINE)
    age = re.search(r"^carnet_revocation_list_age(?:{.*})? ([\d.e-]+)$", metrics, re.MULTILINE)
    assert days and 700 < float(days[1]) <= 730
    assert age and 0 <= float(age[1]) < 0.1
