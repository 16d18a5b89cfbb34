"""Behind a real nginx with the shipped configuration: who comes through, what never arrives, what slow and large senders cost."""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import stat
import subprocess
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

from security.pki import TestAuthority
from security.tls import client_context
from soap.client import Client
from tests.server.exchange import announce, fetch_by, package
from tests.server.front import PROGRAM, Front
from tests.server.test_secure import CERTIFICATES_ALONE, QUERY, irregular, rule_of
from tests.server.test_secure_lists import over_socket
from tests.server_process import ServerProcess

_ARRIVED = 'carnet_http_requests_total{path="/xds/registry"'
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="nginx is not installed")


@dataclass(frozen=True, slots=True)
class Place:
    """nginx, the server behind it, and who has cards."""

    front: Front
    server: ServerProcess
    authority: TestAuthority
    others: Path

    def context(self, who: str) -> ssl.SSLContext:
        folder = self.others if (self.others / f"{who}.crt").exists() else self.authority.folder
        root = str(self.authority.folder / "ca.crt")
        return client_context(root, str(folder / f"{who}.crt"), str(folder / f"{who}.key")) if who else client_context(root)

    def ask(self, who: str, headers: dict[str, str] | None = None, body: bytes = QUERY) -> tuple[int, bytes]:
        """One ITI-18 as `who`: status and body."""
        connection = http.client.HTTPSConnection("localhost", self.front.port, timeout=60, context=self.context(who))
        connection.request("POST", "/xds/registry", body, {"Content-Type": "application/soap+xml", **(headers or {})})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, content

    def arrived(self) -> float:
        """How many requests have reached the server; each is counted before it is answered."""
        text = over_socket(self.authority.folder.parent / "carnet.sock", "/metrics").decode()
        return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(_ARRIVED))

    def open(self, who: str) -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", self.front.port), timeout=60)
        return self.context(who).wrap_socket(plain, server_hostname="localhost")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    home = tmp_path_factory.mktemp("front")
    authority = TestAuthority.create(home / "pki")
    for kind, who in (("server", "server"), ("person", "card"), ("structure", "clinic"), ("person", "gone")):
        authority.issue(kind, who, key_type="ec")
    authority.issue("person", "expired", key_type="ec", days=-1)
    authority.issue("structure", "writer", key_type="ec", transactions=("ITI-41",))
    authority.revoke("gone")
    irregular(authority, home / "others")
    announce(home / "store")
    path = home / "carnet.sock"
    front = Front(home / "nginx", authority.folder, path)
    server = ServerProcess(
        home / "store", "--secure", "--pki", str(authority.folder), "--socket", str(path), "--set", "security.front=nginx",
        "--set", f"server.public_url=https://localhost:{front.port}", "--set", "server.metrics=everyone",
        "--set", "domain.dmp_services=true", *CERTIFICATES_ALONE,
    )  # fmt: skip
    with server.start(healthy=False), front:
        yield Place(front, server, authority, home / "others")


def test_nginx_finds_nothing_wrong_with_the_configuration(place: Place) -> None:
    done = subprocess.run(place.front.command("-t"), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and "[warn]" not in done.stderr, done.stderr


def test_the_socket_is_for_the_group_alone_and_there_is_no_port(place: Place) -> None:
    path = place.authority.folder.parent / "carnet.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert f"unix socket {path}" in place.server.log()


@pytest.mark.parametrize("who", ["card", "clinic"])
def test_who_is_enrolled_is_served(place: Place, who: str) -> None:
    status, body = place.ask(who)
    assert status == 200 and b"StatusType:Success" in body


_SERVICES = ("xds/registry", "xds/repository", "xds/iti44", "xds/iti51", "dmp/patients", "dmp/habilitations")


@pytest.mark.parametrize("path", _SERVICES)
def test_every_service_is_reached(place: Place, path: str) -> None:
    url = f"https://localhost:{place.front.port}/{path}"
    with urllib.request.urlopen(f"{url}?wsdl", timeout=60, context=place.context("card")) as answer:
        assert answer.status == 200 and f'location="{url}"'.encode() in answer.read()


@pytest.mark.parametrize(
    ("who", "rule"), [("gone", "PKI-004"), ("stranger", "PKI-008"), ("writer", "PKI-011"), ("sub-authority", "PKI-012")]
)
def test_what_nginx_does_not_look_at_the_server_does(place: Place, who: str, rule: str) -> None:
    status, body = place.ask(who)
    assert status == 400 and rule_of(body) == rule


@pytest.mark.parametrize(("who", "verdict"), [("", "NONE"), ("expired", "FAILED:certificate has expired"), ("forged", "FAILED:")])
def test_what_nginx_refuses_never_reaches_the_server_and_is_logged(place: Place, who: str, verdict: str) -> None:
    before = place.arrived()
    status, body = place.ask(who)
    assert status == 400 and b"Envelope" not in body
    assert place.arrived() == before
    assert place.front.logs(" 400 ", verdict)


_NAMES = ["X-SSL-Client-Cert", "x-ssl-client-cert", "X_SSL_Client_Cert", "X-Ssl_Client-Cert", "X-SSL-CLIENT-CERT"]


@pytest.mark.parametrize("name", _NAMES)
def test_a_certificate_in_a_header_of_the_client_never_arrives(place: Place, name: str) -> None:
    """`writer` may not ask; `card`, whose certificate it sends along, may."""
    borrowed = quote((place.authority.folder / "card.crt").read_text(), safe="/")
    status, body = place.ask("writer", {name: borrowed, name.replace("Cert", "Verify").replace("cert", "verify"): "SUCCESS"})
    assert status == 400 and rule_of(body) == "PKI-011"
    status, body = place.ask("", {name: borrowed, "X-SSL-Client-Verify": "SUCCESS"})
    assert status == 400 and b"Envelope" not in body


def test_an_address_in_a_header_of_the_client_never_arrives(place: Place) -> None:
    forged = {"X-Real-IP": "203.0.113.7", "X-Forwarded-For": "203.0.113.7", "Forwarded": "for=203.0.113.7"}
    mark = uuid.uuid4().urn
    header = f"<a:MessageID>{mark}</a:MessageID></s:Header>".encode()
    assert place.ask("gone", forged, QUERY.replace(b"</s:Header>", header))[0] == 400
    assert "203.0.113.7" not in place.server.told(f"from 127.0.0.1 {mark} FAULT")


# -------------------------------------------------------------------------------------------------------------- framing

_HEAD = b"POST /xds/registry HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/soap+xml\r\n"
_LENGTH = b"Content-Length: %d\r\n" % len(QUERY)
_CHUNKED = b"Transfer-Encoding: chunked\r\n"
_CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (len(QUERY), QUERY)
_SMUGGLED = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


def message(head: bytes, body: bytes) -> bytes:
    return head + b"Connection: close\r\n\r\n" + body


@pytest.mark.parametrize(
    "sent",
    [message(_HEAD + _LENGTH, QUERY), message(_HEAD + _CHUNKED, _CHUNKS)],
    ids=["length", "chunked"],
)
def test_right_framing_is_answered_once(place: Place, sent: bytes) -> None:
    assert statuses(place, sent) == [200]


_BAD: dict[str, bytes] = {
    "length-and-chunked": message(_HEAD + _LENGTH + _CHUNKED, _CHUNKS + _SMUGGLED),
    "chunked-and-length": message(_HEAD + _CHUNKED + _LENGTH, b"0\r\n\r\n" + _SMUGGLED),
    "two-lengths": message(_HEAD + _LENGTH + b"Content-Length: 5\r\n", QUERY),
    "two-lengths-in-one": message(_HEAD + b"Content-Length: %d, 5\r\n" % len(QUERY), QUERY),
    "length-plus": message(_HEAD + b"Content-Length: +%d\r\n" % len(QUERY), QUERY),
    "length-underscore": message(_HEAD + b"Content-Length: 0_%d\r\n" % len(QUERY), QUERY),
    "length-minus": message(_HEAD + b"Content-Length: -1\r\n", QUERY),
    "length-hexadecimal": message(_HEAD + b"Content-Length: 0x5\r\n", QUERY),
    "space-before-colon": message(_HEAD + b"Content-Length : %d\r\n" % len(QUERY), QUERY),
    "folded-header": message(_HEAD + b"X-A: b\r\n c: d\r\n" + _LENGTH, QUERY),
    "nul-in-a-value": message(_HEAD + b"X-A: b\0c\r\n" + _LENGTH, QUERY),
    "chunk-size-0x": message(_HEAD + _CHUNKED, b"0x" + _CHUNKS),
    "chunk-size-negative": message(_HEAD + _CHUNKED, b"-" + _CHUNKS),
    "chunk-end-missing": message(_HEAD + _CHUNKED, b"%x\r\n%sXX0\r\n\r\n" % (len(QUERY), QUERY)),
    "chunked-twice": message(_HEAD + b"Transfer-Encoding: chunked, chunked\r\n", _CHUNKS),
    "chunked-with-a-tab": message(_HEAD + b"Transfer-Encoding:\x0bchunked\r\n", _CHUNKS),
    "coding-unknown": message(_HEAD + b"Transfer-Encoding: gzip, chunked\r\n", _CHUNKS),
    "header-of-100-kB": message(_HEAD + b"X-A: " + b"b" * 100_000 + b"\r\n" + _LENGTH, QUERY),
    "500-headers": message(_HEAD + b"".join(b"X-%d: b\r\n" % n for n in range(500)) + _LENGTH, QUERY),
    "no-host": message(_HEAD.replace(b"Host: localhost\r\n", b"") + _LENGTH, QUERY),
    "two-hosts": message(_HEAD + b"Host: other\r\n" + _LENGTH, QUERY),
    "version-9": message(_HEAD.replace(b"HTTP/1.1", b"HTTP/9.1") + _LENGTH, QUERY),
    "space-in-the-target": message(_HEAD.replace(b"/xds/registry", b"/xds/ registry") + _LENGTH, QUERY),
}  # fmt: skip


def statuses(place: Place, sent: bytes, who: str = "card") -> list[int]:
    """The status of every answer to what was sent on one connection."""
    data = b""
    with place.open(who) as sock:
        try:
            sock.sendall(sent)
            while piece := sock.recv(65536):
                data += piece
        except (ConnectionError, ssl.SSLError):
            pass
    return [int(code) for code in re.findall(rb"HTTP/1\.[01] (\d{3}) ", data)]


@pytest.mark.parametrize("form", _BAD)
def test_bad_framing_is_never_served_and_never_answered_twice(place: Place, form: str) -> None:
    answers = statuses(place, _BAD[form])
    assert len(answers) <= 1 and 200 not in answers, answers


def test_lines_that_end_in_lf_alone_make_no_second_request(place: Place) -> None:
    """nginx reads them (RFC 9112: 2.2 lets it) and hands on one request of its own making."""
    sent = message(_HEAD + _LENGTH, b"").replace(b"\r\n", b"\n") + QUERY
    assert statuses(place, sent) == [200]


@pytest.mark.parametrize("cut", [message(_HEAD + _LENGTH, QUERY[:-40]), message(_HEAD + _CHUNKED, _CHUNKS[:-60])])
def test_a_body_that_ends_too_early_is_not_served(place: Place, cut: bytes) -> None:
    before = place.arrived()
    with place.open("gone") as sock:
        sock.sendall(cut)
    assert place.ask("clinic")[0] == 200
    assert place.arrived() == before + 1


# ----------------------------------------------------------------------------------------------------- large and slow


def test_a_large_document_goes_through_and_large_metadata_does_not(place: Place) -> None:
    content = b"0123456789abcdef" * 300_000
    sent = package(content)
    base = f"https://localhost:{place.front.port}/xds"
    with Client(f"{base}/repository", f"{base}/registry", ssl_context=place.context("clinic")) as client:
        assert client.provide(sent.metadata, sent.documents).accepted
        assert list(fetch_by(client, sent).values()) == [content]
    assert place.ask("card", body=b"x" * (2 * 1024 * 1024 + 1))[0] == 413


def test_two_hundred_slow_senders_keep_nobody_waiting(place: Place) -> None:
    """A hundred that never end their header, a hundred that never end their body: four times the threads of the server."""
    slow = []
    try:
        for number in range(200):
            sock = place.open("clinic")
            slow.append(sock)
            sock.sendall(_HEAD if number % 2 else message(_HEAD + b"Content-Length: 100000\r\n", b"x"))
        for _ in range(20):
            assert place.ask("card")[0] == 200
    finally:
        for sock in slow:
            sock.close()


def test_a_server_that_is_down_or_full_is_told_as_such(tmp_path: Path, place: Place) -> None:
    with Front(tmp_path / "alone", place.authority.folder, tmp_path / "nobody.sock") as front:
        connection = http.client.HTTPSConnection("localhost", front.port, timeout=60, context=place.context("card"))
        connection.request("GET", "/health")
        answer = connection.getresponse()
        assert answer.status == 503 and answer.getheader("Retry-After")
    slow = "$carnet_partner zone=carnet_requests:4m rate=1r/m"
    changed = {"limit_req_zone": slow, "limit_req": "zone=carnet_requests", "client_header_timeout": "1s"}
    with Front(tmp_path / "few", place.authority.folder, place.authority.folder.parent / "carnet.sock", **changed) as front:
        connection = http.client.HTTPSConnection("localhost", front.port, timeout=60, context=place.context("card"))
        found = []
        for _ in range(2):
            connection.request("GET", "/health")
            answer = connection.getresponse()
            answer.read()
            found.append((answer.status, answer.getheader("Retry-After") is not None))
        assert found == [(200, False), (503, True)]
        with socket.create_connection(("127.0.0.1", front.port), timeout=60) as plain:
            sock = place.context("card").wrap_socket(plain, server_hostname="localhost")
            sock.sendall(b"GET / HTTP/1.1\r\n")
            assert b"200" not in sock.recv(1000)
