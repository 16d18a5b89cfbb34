"""Trust out of files: what is read, what is refused with place and remedy, and that changes take effect without a restart."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from certificates import CA_EXTENSIONS, LEAF_EXTENSIONS, NOW, certificate, name, new_key, revocation_list
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from security.node import NodeAuthentication, front_certificate
from security.pki import TestAuthority
from security.refusal import Denied
from security.tls import LiveContext, TlsError, server_context
from security.trust import TrustStore, Use, require_transaction
from security.trust_files import LiveTrust, TrustFileError, TrustSources, partners_of_toml, read_list


@pytest.fixture
def authority(tmp_path: Path) -> TestAuthority:
    return TestAuthority.create(tmp_path / "pki")


def sources(authority: TestAuthority) -> TrustSources:
    folder = authority.folder
    return TrustSources((folder / "ca.crt",), (folder / "ca.crl",), index=folder / "index.json")


def der(authority: TestAuthority, who: str) -> bytes:
    made = x509.load_pem_x509_certificate((authority.folder / f"{who}.crt").read_bytes())
    return made.public_bytes(Encoding.DER)


def denied(node: NodeAuthentication, shown: bytes | None) -> str:
    with pytest.raises(Denied) as caught:
        node(shown)
    return caught.value.rule


# ------------------------------------------------------------------------------------------------------------ following


def test_what_is_issued_and_revoked_counts_at_once(authority: TestAuthority) -> None:
    node = NodeAuthentication(LiveTrust(sources(authority)))
    issued = authority.issue("person", "card", transactions=("ITI-18",), key_type="ec")
    found = node(der(authority, "card"))
    assert (found.partner.name, found.partner.identifier, found.subject) == ("card", issued.identifier, issued.subject)
    require_transaction(found.partner, "ITI-18")
    with pytest.raises(Denied, match="not enrolled for ITI-41") as caught:
        require_transaction(found.partner, "ITI-41")
    assert caught.value.rule == "PKI-011"
    require_transaction(None, "ITI-41")
    authority.issue("server", "repository", relays=True, key_type="ec")
    repository = node(der(authority, "repository")).partner
    for transaction in ("ITI-18", "ITI-42"):  # what it passes on with; nothing else unless that is said
        require_transaction(repository, transaction)
    with pytest.raises(Denied, match="not enrolled for ITI-57"):
        require_transaction(repository, "ITI-57")
    authority.revoke("card")
    assert denied(node, der(authority, "card")) == "PKI-004"
    assert denied(node, None) == "PKI-010"
    assert denied(node, b"\x30\x03abc") == "PKI-009"


@pytest.mark.parametrize("file", ["ca.crt", "ca.crl", "index.json"])
def test_a_file_that_becomes_unreadable_changes_nothing_until_it_is_mended(
    authority: TestAuthority, file: str, caplog: pytest.LogCaptureFixture
) -> None:
    authority.issue("person", "card", key_type="ec")
    node = NodeAuthentication(LiveTrust(sources(authority)))
    path = authority.folder / file
    good = path.read_bytes()
    path.write_bytes(good[: len(good) // 2])
    node(der(authority, "card"))
    assert file in caplog.text and "what was in force stays" in caplog.text
    path.unlink()
    node(der(authority, "card"))
    path.write_bytes(good)
    authority.revoke("card")
    assert denied(node, der(authority, "card")) == "PKI-004"


@pytest.mark.parametrize(
    ("file", "words"),
    [("ca.crt", "no certificates in PEM form"), ("ca.crl", "no revocation list"), ("index.json", "no index of a test authority")],
)
def test_a_file_that_cannot_be_used_at_the_start_is_told(authority: TestAuthority, file: str, words: str) -> None:
    (authority.folder / file).write_text("nonsense")
    with pytest.raises(TrustFileError, match=words) as caught:
        LiveTrust(sources(authority))
    assert file in str(caught.value)
    (authority.folder / file).unlink()
    with pytest.raises(TrustFileError, match="cannot be read: No such file"):
        LiveTrust(sources(authority))


def test_lists_are_read_in_both_forms(authority: TestAuthority, tmp_path: Path) -> None:
    pem = authority.folder / "ca.crl"
    (tmp_path / "list.der").write_bytes(read_list(pem).public_bytes(Encoding.DER))
    assert read_list(tmp_path / "list.der") == read_list(pem)


def test_an_authority_that_renews_its_key_under_its_name_has_two_lists() -> None:
    keys, root = (new_key(), new_key()), name("ROOT")
    roots = [certificate(root, key.public_key(), root, key, *CA_EXTENSIONS) for key in keys]
    leaves = [certificate(name("leaf"), new_key().public_key(), root, key, *LEAF_EXTENSIONS) for key in keys]
    store = TrustStore()
    lists = [revocation_list(root, keys[0], leaves[0].serial_number, number=5), revocation_list(root, keys[1], number=1)]
    store.replace(roots, lists)
    with pytest.raises(Denied, match="revoked"):
        store.check(leaves[0], Use.SIGNATURE)
    assert store.check(leaves[1], Use.SIGNATURE) is leaves[1]
    age = store.list_age(NOW + timedelta(days=30))
    assert age is not None and abs(age - 1) < 0.01


@pytest.mark.parametrize(
    ("scope", "taken"),
    [
        ({}, True),
        ({"only_contains_user_certs": True}, True),
        ({"only_contains_ca_certs": True}, False),
        ({"indirect_crl": True}, False),
        ({"only_contains_attribute_certs": True}, False),
        ({"only_some_reasons": frozenset({x509.ReasonFlags.key_compromise})}, False),
    ],
)
def test_a_list_whose_scope_leaves_something_out_is_ignored(scope: dict[str, object], taken: bool) -> None:
    key, root = new_key(), name("ROOT")
    point = {
        "full_name": [x509.UniformResourceIdentifier("http://lists.example/ca.crl")], "relative_name": None,
        "only_contains_user_certs": False, "only_contains_ca_certs": False, "only_some_reasons": None, "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }  # fmt: skip
    crl = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(root)
        .last_update(NOW - timedelta(days=1))
        .next_update(NOW + timedelta(days=1))
        .add_extension(x509.IssuingDistributionPoint(**{**point, **scope}), critical=True)  # type: ignore[arg-type]
        .sign(key, hashes.SHA256())
    )
    store = TrustStore()
    store.replace([certificate(root, key.public_key(), root, key, *CA_EXTENSIONS)], [])
    assert store.accepts(crl) is taken
    assert taken or "issuingDistributionPoint" in store.warnings[-1]


def test_a_list_with_a_critical_extension_that_is_not_known_is_ignored() -> None:
    key, root = new_key(), name("ROOT")
    odd = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    crl = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(root)
        .last_update(NOW - timedelta(days=1))
        .next_update(NOW + timedelta(days=1))
        .add_extension(odd, critical=True)
        .sign(key, hashes.SHA256())
    )
    store = TrustStore()
    store.replace([certificate(root, key.public_key(), root, key, *CA_EXTENSIONS)], [])
    assert not store.accepts(crl) and "1.2.3.4" in store.warnings[-1]


# ----------------------------------------------------------------------------------------------------------------- TLS


def test_a_context_follows_its_files_and_survives_half_a_pair(authority: TestAuthority, tmp_path: Path) -> None:
    for who in ("one", "two"):
        authority.issue("server", who, key_type="ec")
    own = [tmp_path / "own.crt", tmp_path / "own.key"]

    def put(who: str, file: Path) -> None:
        file.with_suffix(".new").write_bytes((authority.folder / f"{who}{file.suffix}").read_bytes())
        file.with_suffix(".new").replace(file)

    for file in own:
        put("one", file)
    live = LiveContext(own[0], own[1], [authority.folder / "ca.crt"])
    first = live()
    assert live() is first
    put("two", own[0])
    assert live() is first
    put("two", own[1])
    assert live() is not first
    own[1].unlink()
    assert live() is live()
    with pytest.raises(TlsError, match=r"own\.key"):
        server_context(str(own[0]), str(own[1]))
    one = [str(authority.folder / f"one.{end}") for end in ("crt", "key")]
    with pytest.raises(TlsError, match=r"authorities .*own\.key"):
        server_context(one[0], one[1], str(own[1]))


# ------------------------------------------------------------------------------------------------------------- partners

_PRINT = "ab" * 32


def enrolled(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "partners.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_partners_are_enrolled_by_certificate_or_fingerprint(authority: TestAuthority, tmp_path: Path) -> None:
    row = authority.issue("structure", "clinic", key_type="ec")
    colons = ":".join(["CD"] * 32)
    file = enrolled(
        tmp_path,
        '[[partner]]\norganisation = "Clinique du Lac"\ncertificate = "pki/clinic.crt"\ntransactions = ["ITI-41"]\n'
        f'[[partner]]\norganisation = "Laboratoire"\nname = "lab"\nkind = "structure"\nidentifier = "3123"\n'
        f'sha256 = ["{_PRINT}", "{colons}"]\n',
    )
    found = partners_of_toml(file)
    assert set(found) == {row.sha256, _PRINT, "cd" * 32}
    assert found[row.sha256].transactions == {"ITI-41"} and found[row.sha256].organisation == "Clinique du Lac"
    assert (found[_PRINT].name, found[_PRINT].identifier, found[_PRINT].transactions) == ("lab", "3123", frozenset())


def test_the_enrolment_of_the_operators_page_is_read(authority: TestAuthority, tmp_path: Path) -> None:
    authority.issue("structure", "pasteur", key_type="ec")
    page = (Path(__file__).resolve().parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")
    shown = re.findall(r"^```toml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(shown) == 1
    (tmp_path / "pasteur.crt").write_bytes((authority.folder / "pasteur.crt").read_bytes())
    found = partners_of_toml(enrolled(tmp_path, shown[0]))
    assert sorted((one.organisation, len(one.transactions)) for one in found.values()) == [
        ("Clinique du Lac", 3), ("Clinique du Lac", 3), ("Laboratoire Pasteur", 0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x", "cannot be read"),
        ("partners = []", "no key partners; accepted"),
        ("partner = 1", "write [[partner]]"),
        ("[[partner]]\nsha256 = []", "organisation is missing"),
        ('[[partner]]\norganisation = "A"', "certificate (a PEM file) or sha256"),
        ('[[partner]]\norganisation = "A"\nsha256 = ["12"]', "64 hexadecimal digits"),
        ('[[partner]]\norganisation = "A"\nsha256 = "12"', "a list of texts is expected"),
        ("[[partner]]\norganisation = 1", "a text is expected"),
        (f'[[partner]]\norganisation = "A"\nsha256 = ["{_PRINT}"]\ntransactions = ["41"]', "names like ITI-41"),
        ('[[partner]]\norganisation = "A"\ncertificate = "gone.crt"', "gone.crt cannot be read"),
        (f'[[partner]]\norganisation = "A"\nsha256 = ["{_PRINT}", "{_PRINT}"]', "enrolled twice"),
        ('[[partner]]\norganisation = "A"\nfingerprint = "1"', "no key fingerprint; accepted: organisation"),
    ],
)
def test_a_wrong_enrolment_is_told_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(TrustFileError) as caught:
        partners_of_toml(enrolled(tmp_path, text))
    assert words in str(caught.value) and "partners.toml" in str(caught.value)


def test_everything_that_is_wrong_with_an_enrolment_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(TrustFileError) as caught:
        partners_of_toml(enrolled(tmp_path, 'x = 1\n[[partner]]\norganisation = "A"\n[[partner]]\nsha256 = []\n'))
    assert [line.split(": ")[1] for line in str(caught.value).splitlines()] == [
        "there is no key x; accepted", "partner 1 (A)", "partner 2 (unnamed)",
    ]  # fmt: skip


# ---------------------------------------------------------------------------------------------------- the proxy in front


def handed_over(authority: TestAuthority, **changes: str) -> dict[str, str]:
    pem = (authority.folder / "card.crt").read_text()
    return {
        "REMOTE_ADDR": "", "HTTP_X_SSL_CLIENT_VERIFY": "SUCCESS", "HTTP_X_SSL_CLIENT_CERT": quote(pem, safe="/"), **changes,
    }  # fmt: skip


def test_what_the_proxy_hands_over_is_read(authority: TestAuthority) -> None:
    authority.issue("person", "card", key_type="ec")
    assert front_certificate(handed_over(authority)) == der(authority, "card")


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"REMOTE_ADDR": "127.0.0.1"}, "PKI-014"),
        ({"HTTP_X_SSL_CLIENT_VERIFY": "NONE"}, "PKI-010"),
        ({"HTTP_X_SSL_CLIENT_VERIFY": ""}, "PKI-014"),
        ({"HTTP_X_SSL_CLIENT_VERIFY": "FAILED:certificate has expired"}, "PKI-014"),
        ({"HTTP_X_SSL_CLIENT_VERIFY": "SUCCESS,SUCCESS"}, "PKI-014"),
        ({"HTTP_X_SSL_CLIENT_CERT": ""}, "PKI-014"),
        ({"HTTP_X_SSL_CLIENT_CERT": "a" * 40_000}, "PKI-014"),
        ({"HTTP_X_SSL_CLIENT_CERT": "abc"}, "PKI-009"),
        ({"HTTP_X_SSL_CLIENT_CERT": "-----BEGIN CERTIFICATE-----%0A"}, "PKI-009"),
    ],
)
def test_what_the_proxy_cannot_have_sent_is_refused(authority: TestAuthority, changes: dict[str, str], rule: str) -> None:
    authority.issue("person", "card", key_type="ec")
    with pytest.raises(Denied) as caught:
        front_certificate(handed_over(authority, **changes))
    assert caught.value.rule == rule


def test_two_certificates_in_the_header_are_refused(authority: TestAuthority) -> None:
    authority.issue("person", "card", key_type="ec")
    one = handed_over(authority)["HTTP_X_SSL_CLIENT_CERT"]
    for joined, rule in ((f"{one},{one}", "PKI-014"), (one + one, "PKI-009")):
        with pytest.raises(Denied) as caught:
            front_certificate(handed_over(authority, HTTP_X_SSL_CLIENT_CERT=joined))
        assert caught.value.rule == rule
