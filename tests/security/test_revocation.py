"""Revocation lists fetched, and OCSP asked, of a real HTTP server on this machine; and that nothing else is ever asked."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from certificates import CA_EXTENSIONS, LEAF_EXTENSIONS, NOW, certificate, name, new_key, revocation_list
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from security.ocsp import OcspOptions, OcspResponder
from security.outbound import Unanswered, ask, check_address
from security.refusal import Denied
from security.revocation import ListFetcher
from security.trust import Use
from security.trust_files import LiveTrust, TrustSources
from tests.ports import deaf_port

ROOT_NAME, ROOT_KEY = name("ROOT"), new_key()
ROOT = certificate(ROOT_NAME, ROOT_KEY.public_key(), ROOT_NAME, ROOT_KEY, *CA_EXTENSIONS)
LEAF = certificate(name("leaf"), new_key().public_key(), ROOT_NAME, ROOT_KEY, *LEAF_EXTENSIONS)

Answer = tuple[int, dict[str, str], bytes]


class Web:
    """An HTTP server whose answers are set while it runs; `asked` counts requests, `bodies` are what was sent."""

    def __init__(self) -> None:
        self.answer: Callable[[bytes], Answer] = lambda _: (404, {}, b"")
        self.asked: list[str] = []
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._do(b"")

            def do_POST(self) -> None:
                self._do(self.rfile.read(int(self.headers["Content-Length"])))

            def _do(self, body: bytes) -> None:
                web.asked.append(f"{self.command} {self.path}")
                status, headers, content = web.answer(body)
                self.send_response(status)
                for key, value in {"Content-Length": str(len(content)), **headers}.items():
                    self.send_header(key, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:
                """Says nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self._thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def gives(self, content: bytes, status: int = 200, **headers: str) -> None:
        self.answer = lambda _: (status, {key.replace("_", "-"): value for key, value in headers.items()}, content)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def web() -> Iterator[Web]:
    made = Web()
    yield made
    made.close()


# ------------------------------------------------------------------------------------------------------------- outbound


@pytest.mark.parametrize(
    "url",
    [
        "", "https://lists.example/ca.crl", "ftp://lists.example/", "file:///etc/passwd", "//lists.example/", "http://",
        "http:///ca.crl", "http://user@lists.example/", "http://user:pw@lists.example/", "http://lists.example:99999/",
        "http://lists.example:x/", "http://lists.example/#a", "http://lists.example/a b", "http://lists.example\\@other.example/",
        "http://lists.example/\r\nHost: other", "http://li%73ts.example/", "http://-x/", "ldap://lists.example/", "javascript:1",
        "http://lists.example\t/", "gopher://lists.example/", "http://[zz]/",
    ],
)  # fmt: skip
def test_what_is_no_plain_http_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError):
        check_address(url)


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("http://lists.example/ca.crl", ("lists.example", 80, "/ca.crl")),
        ("http://10.0.0.1:8080/x?y=1", ("10.0.0.1", 8080, "/x?y=1")),
        ("http://[::1]:81", ("::1", 81, "/")),
    ],
)
def test_the_parts_of_an_address(url: str, parts: tuple[str, int, str]) -> None:
    assert check_address(url) == parts


def test_an_answer_is_taken_as_it_is(web: Web) -> None:
    web.gives(b"x" * 100_000)
    assert ask(web.url + "/a?b") == b"x" * 100_000
    web.answer = lambda body: (200, {}, body)
    assert ask(web.url, body=b"question", media_type="application/ocsp-request") == b"question"
    assert web.asked == ["GET /a?b", "POST /"]


def test_a_redirection_is_not_followed(web: Web) -> None:
    web.gives(b"", 302, Location=f"{web.url}/elsewhere")
    with pytest.raises(Unanswered, match=r"302.*not followed"):
        ask(f"{web.url}/here")
    assert web.asked == ["GET /here"]


def test_no_proxy_of_the_environment_is_used(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9/")
    web.gives(b"direct")
    assert ask(web.url) == b"direct"


def test_an_answer_that_is_too_long_or_too_short_is_not_taken(web: Web) -> None:
    web.gives(b"x" * 2000)
    with pytest.raises(Unanswered, match="more than 1999 bytes"):
        ask(web.url, limit=1999)
    web.gives(b"x" * 2000, Content_Length="3000")
    web.server.timeout = 1
    with pytest.raises(Unanswered):
        ask(web.url, seconds=0.5)


@pytest.mark.parametrize("piece", [b"H", b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\nx"])
def test_who_trickles_is_left_alone(piece: bytes) -> None:
    """One octet now and then keeps a socket's own timeout from ever ending."""
    stop = threading.Event()

    def trickle(listener: socket.socket) -> None:
        with listener.accept()[0] as sock:
            while not stop.wait(0.05):
                try:
                    sock.sendall(piece)
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=trickle, args=(listener,), daemon=True)
        thread.start()
        with pytest.raises(Unanswered):
            ask(f"http://127.0.0.1:{listener.getsockname()[1]}/", seconds=0.4, limit=1 << 30)
        stop.set()
        thread.join(60)


def test_where_nobody_listens_there_is_no_answer() -> None:
    with pytest.raises(Unanswered, match="refused"):
        ask(f"http://127.0.0.1:{deaf_port()}/")


# ---------------------------------------------------------------------------------------------------------------- lists


@pytest.fixture
def trust(tmp_path: Path) -> LiveTrust:
    (tmp_path / "root.crt").write_bytes(ROOT.public_bytes(Encoding.PEM))
    (tmp_path / "fetched").mkdir()
    return LiveTrust(TrustSources((tmp_path / "root.crt",), fetched=tmp_path / "fetched"))


def fetcher(trust: LiveTrust, *urls: str, minutes: float = 0.0) -> ListFetcher:
    assert trust.sources.fetched is not None
    return ListFetcher(urls, trust.sources.fetched, timedelta(minutes=minutes), trust, seconds=60)


def listed(*serials: int, number: int = 1, key: Any = ROOT_KEY, **about: Any) -> bytes:
    return revocation_list(ROOT_NAME, key, *serials, number=number, **about).public_bytes(Encoding.DER)


def test_a_list_is_fetched_kept_and_in_force(web: Web, trust: LiveTrust) -> None:
    with pytest.raises(Denied) as caught:
        trust.store.check(LEAF, Use.AUTHENTICATION)
    assert caught.value.rule == "PKI-005"
    web.gives(listed())
    assert fetcher(trust, f"{web.url}/ca.crl").fetch() == []
    assert trust.store.check(LEAF, Use.AUTHENTICATION) is LEAF
    web.gives(listed(LEAF.serial_number, number=2))
    fetcher(trust, f"{web.url}/ca.crl").fetch()
    with pytest.raises(Denied, match="revoked"):
        trust.store.check(LEAF, Use.AUTHENTICATION)
    again = LiveTrust(trust.sources)  # a restart, with the authority out of reach
    with pytest.raises(Denied, match="revoked"):
        again.store.check(LEAF, Use.AUTHENTICATION)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (listed(number=4), "older than 5"),
        (listed(number=9, key=new_key()), "signature is wrong"),
        (listed(number=9, delta=True), "delta"),
        (b"<html>moved</html>", "no revocation list"),
        (listed(number=9)[:-30], "no revocation list"),
        (b"", "no revocation list"),
    ],
)
def test_what_is_no_better_list_never_replaces_the_one_in_force(web: Web, trust: LiveTrust, bad: bytes, words: str) -> None:
    url = f"{web.url}/ca.crl"
    one = fetcher(trust, url)
    web.gives(listed(LEAF.serial_number, number=5))
    one.fetch()
    kept = one.file_of(url).read_bytes()
    web.gives(bad)
    (wrong,) = one.fetch()
    assert words in wrong and url in wrong
    assert one.file_of(url).read_bytes() == kept
    with pytest.raises(Denied, match="revoked"):
        trust.store.check(LEAF, Use.AUTHENTICATION)


def test_a_list_is_not_fetched_again_before_its_time_and_not_by_two_at_once(web: Web, trust: LiveTrust) -> None:
    web.gives(listed())
    one = fetcher(trust, f"{web.url}/ca.crl", minutes=15)
    one.fetch()
    one.fetch()
    fetcher(trust, f"{web.url}/ca.crl", minutes=15).fetch()
    assert web.asked == ["GET /ca.crl"]
    gate, inside = threading.Event(), threading.Event()

    def slow(_: bytes) -> Answer:
        inside.set()
        gate.wait(60)
        return 200, {}, listed(number=2)

    web.answer = slow
    first = threading.Thread(target=fetcher(trust, f"{web.url}/other.crl").fetch)
    first.start()
    assert inside.wait(60)
    assert fetcher(trust, f"{web.url}/other.crl").fetch() == []
    gate.set()
    first.join(60)
    assert web.asked == ["GET /ca.crl", "GET /other.crl"]


def test_one_address_that_fails_keeps_no_other_from_being_fetched(web: Web, trust: LiveTrust) -> None:
    web.answer = lambda _: (200, {}, listed()) if web.asked[-1] == "GET /good.crl" else (500, {}, b"")
    (wrong,) = fetcher(trust, f"{web.url}/bad.crl", f"{web.url}/good.crl").fetch()
    assert "bad.crl answered 500" in wrong
    assert trust.store.check(LEAF, Use.AUTHENTICATION) is LEAF


def test_a_damaged_list_on_disk_does_not_stop_the_server(web: Web, trust: LiveTrust) -> None:
    one = fetcher(trust, f"{web.url}/ca.crl")
    one.file_of(f"{web.url}/ca.crl").write_bytes(b"half")
    LiveTrust(trust.sources)
    web.gives(listed())
    one.fetch()
    assert trust.store.check(LEAF, Use.AUTHENTICATION) is LEAF


def test_the_thread_fetches_until_it_is_stopped(web: Web, trust: LiveTrust) -> None:
    web.gives(listed())
    one = fetcher(trust, f"{web.url}/ca.crl", minutes=0.0005)
    one.start()
    until = time.monotonic() + 60
    while len(web.asked) < 3 and time.monotonic() < until:
        time.sleep(0.01)
    one.stop()
    assert len(web.asked) >= 3


# ----------------------------------------------------------------------------------------------------------------- OCSP

RESPONDER_KEY = new_key()


def responder(*uses: x509.ObjectIdentifier, issuer_key: Any = ROOT_KEY, **dates: Any) -> x509.Certificate:
    extended = ((x509.ExtendedKeyUsage(uses), False),) if uses else ()
    return certificate(name("OCSP"), RESPONDER_KEY.public_key(), ROOT_NAME, issuer_key, *LEAF_EXTENSIONS, *extended, **dates)


def answered(
    request: bytes,
    status: ocsp.OCSPCertStatus = ocsp.OCSPCertStatus.GOOD,
    *,
    about: x509.Certificate = LEAF,
    signer: x509.Certificate | None = None,
    key: Any = None,
    begins: datetime | None = None,
    ends: datetime | None = None,
    nonce: bytes | None = b"",
) -> bytes:
    """`nonce` empty: that of the request; None: none. Signed by the authority unless a `signer` is given."""
    now = datetime.now(UTC)
    revoked = status is ocsp.OCSPCertStatus.REVOKED
    builder = (
        ocsp.OCSPResponseBuilder()
        .add_response(
            cert=about,
            issuer=ROOT,
            algorithm=hashes.SHA1(),
            cert_status=status,
            this_update=begins or now - timedelta(minutes=1),
            next_update=ends or now + timedelta(minutes=10),
            revocation_time=now - timedelta(hours=1) if revoked else None,
            revocation_reason=None,
        )
        .responder_id(ocsp.OCSPResponderEncoding.HASH, signer or ROOT)
    )
    if signer is not None:
        builder = builder.certificates([signer])
    if nonce is not None:
        asked = ocsp.load_der_ocsp_request(request).extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
        builder = builder.add_extension(x509.OCSPNonce(nonce or asked), critical=False)
    default = RESPONDER_KEY if signer is not None else ROOT_KEY
    return builder.sign(key or default, hashes.SHA256()).public_bytes(Encoding.DER)


def verdict(web: Web, required: bool = True) -> str:
    """`good`, or the rule of the refusal."""
    try:
        OcspResponder(OcspOptions(web.url, required, seconds=60))(LEAF, ROOT)
    except Denied as denied:
        return denied.rule
    return "good"


OTHER = certificate(name("other"), new_key().public_key(), ROOT_NAME, ROOT_KEY, *LEAF_EXTENSIONS)
SIGNING = (ExtendedKeyUsageOID.OCSP_SIGNING,)


@pytest.mark.parametrize(
    ("about", "expected"),
    [
        ({}, "good"),
        ({"nonce": None}, "good"),
        ({"signer": responder(*SIGNING)}, "good"),
        ({"status": ocsp.OCSPCertStatus.REVOKED}, "PKI-004"),
        ({"status": ocsp.OCSPCertStatus.REVOKED, "signer": responder(*SIGNING)}, "PKI-004"),
        ({"status": ocsp.OCSPCertStatus.UNKNOWN}, "PKI-013"),
        ({"about": OTHER}, "PKI-013"),
        ({"nonce": b"another nonce 16"}, "PKI-013"),
        ({"key": new_key()}, "PKI-013"),
        ({"signer": responder()}, "PKI-013"),
        ({"signer": responder(ExtendedKeyUsageOID.CLIENT_AUTH)}, "PKI-013"),
        ({"signer": responder(*SIGNING, issuer_key=new_key())}, "PKI-013"),
        ({"signer": responder(*SIGNING, ends=NOW - timedelta(hours=1))}, "PKI-013"),
        ({"begins": NOW + timedelta(hours=1), "ends": NOW + timedelta(hours=2)}, "PKI-013"),
        ({"begins": NOW - timedelta(hours=2), "ends": NOW - timedelta(hours=1)}, "PKI-013"),
    ],
)
def test_which_answers_of_a_responder_count(web: Web, about: dict[str, Any], expected: str) -> None:
    web.answer = lambda request: (200, {}, answered(request, **about))
    assert verdict(web) == expected
    assert verdict(web, required=False) == (expected if expected == "PKI-004" else "good")


@pytest.mark.parametrize("damage", [b"", b"nonsense", b"\x30\x03\x0a\x01\x06", b"\x30\x03\x0a\x01\x03"])
def test_what_is_no_answer_does_not_count(web: Web, damage: bytes) -> None:
    web.gives(damage)
    assert verdict(web) == "PKI-013" and verdict(web, required=False) == "good"


def test_an_answer_damaged_anywhere_never_turns_revoked_into_good(web: Web) -> None:
    whole: list[bytes] = []

    def revoked(request: bytes) -> Answer:
        whole.append(answered(request, ocsp.OCSPCertStatus.REVOKED, nonce=None))
        return 200, {}, whole[-1]

    web.answer = revoked
    assert verdict(web) == "PKI-004"
    for position in range(0, len(whole[0]), 3):
        broken = bytearray(whole[0])
        broken[position] ^= 0x01
        web.gives(bytes(broken))
        assert verdict(web) in ("PKI-004", "PKI-013"), position


def test_an_answer_is_remembered_and_a_dead_responder_left_alone(web: Web) -> None:
    one = OcspResponder(OcspOptions(web.url, required=True, seconds=60))
    web.answer = lambda request: (200, {}, answered(request))
    for _ in range(5):
        one(LEAF, ROOT)
    assert len(web.asked) == 1
    web.gives(b"", 500)
    for _ in range(5):
        with pytest.raises(Denied):
            one(OTHER, ROOT)
    assert len(web.asked) == 2
    one(LEAF, ROOT)


def test_a_certificate_that_the_responder_does_not_know_silences_it_for_nobody_else(web: Web) -> None:
    one = OcspResponder(OcspOptions(web.url, required=False, seconds=60))
    web.answer = lambda request: (200, {}, answered(request, ocsp.OCSPCertStatus.UNKNOWN))
    for _ in range(3):
        one(OTHER, ROOT)
    assert len(web.asked) == 1
    web.answer = lambda request: (200, {}, answered(request, ocsp.OCSPCertStatus.REVOKED))
    with pytest.raises(Denied) as caught:
        one(LEAF, ROOT)
    assert caught.value.rule == "PKI-004" and len(web.asked) == 2


def test_what_was_revoked_stays_revoked_when_the_responder_is_gone(web: Web) -> None:
    one = OcspResponder(OcspOptions(web.url, required=False, seconds=60))
    past = datetime.now(UTC) - timedelta(seconds=30)  # within the difference of clocks that is allowed, and to be asked again
    web.answer = lambda request: (200, {}, answered(request, ocsp.OCSPCertStatus.REVOKED, ends=past))
    with pytest.raises(Denied):
        one(LEAF, ROOT)
    web.gives(b"", 500)
    with pytest.raises(Denied) as caught:
        one(LEAF, ROOT)
    assert caught.value.rule == "PKI-004" and len(web.asked) == 2


def test_the_store_asks_the_responder_of_each_certificate(web: Web, trust: LiveTrust) -> None:
    web.gives(listed())
    fetcher(trust, f"{web.url}/ca.crl").fetch()
    trust.store.ocsp = OcspResponder(OcspOptions(web.url, required=True, seconds=60))
    web.answer = lambda request: (200, {}, answered(request, ocsp.OCSPCertStatus.REVOKED))
    with pytest.raises(Denied) as caught:
        trust.store.check(LEAF, Use.AUTHENTICATION)
    assert caught.value.rule == "PKI-004"
