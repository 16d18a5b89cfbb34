"""Cards that must not be taken: each is wrong in its one way, for the store of trust that takes the right one."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from security.pki import Issued, PkiError, TestAuthority
from security.refusal import Denied
from security.trust import TrustStore, Use
from security.trust_files import LiveTrust, TrustSources
from security.wrong_cards import WRONG, make_wrong_card

BROKEN = {
    "foreign": "PKI-001", "signature": "PKI-002", "expired": "PKI-003", "weak": "PKI-007", "unenrolled": "PKI-008",
    "damaged": "PKI-009", "authority": "PKI-012",
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("authority") / "pki"
    TestAuthority.create(folder).issue("person", "anne")
    return folder


def own(folder: Path) -> Issued:
    return TestAuthority(folder).issued()[0]


def broken(store: TrustStore, certificate: x509.Certificate, use: Use = Use.AUTHENTICATION) -> str:
    try:
        store.partner(store.check(certificate, use))
    except Denied as denied:
        return denied.rule
    return ""


def load(folder: Path) -> x509.Certificate:
    damaged = folder / "anne.der"
    if damaged.is_file():
        return x509.load_der_x509_certificate(damaged.read_bytes())
    return x509.load_pem_x509_certificate((folder / "anne.crt").read_bytes())


def test_each_breaks_its_rule_and_no_other(folder: Path, tmp_path: Path) -> None:
    index = (folder / "index.json").read_bytes()
    store = LiveTrust(TrustSources((folder / "ca.crt",), (folder / "ca.crl",), index=folder / "index.json")).refresh()
    assert broken(store, load(folder)) == ""
    found = {}
    for word in WRONG:
        make_wrong_card(word, folder, tmp_path / word, own(folder))
        certificate = load(tmp_path / word)
        found[word] = broken(store, certificate, Use.NON_REPUDIATION if word == "authentication" else Use.AUTHENTICATION)
        if word != "damaged":
            key = serialization.load_pem_private_key((tmp_path / word / "anne.key").read_bytes(), None)
            assert key.public_key() == certificate.public_key()
            assert certificate.subject == load(folder).subject
    assert found == {**BROKEN, "authentication": "PKI-002"}
    assert (folder / "index.json").read_bytes() == index
    assert sorted(p.name for p in folder.glob("anne*")) == ["anne.crt", "anne.key"]


def test_a_structure_has_no_two_certificates(folder: Path, tmp_path: Path) -> None:
    hospital = TestAuthority(folder).issue("structure", "hospital", key_type="ec")
    with pytest.raises(PkiError, match="'hospital' is a structure, whose card is not two: act as a person"):
        make_wrong_card("signature", folder, tmp_path / "made", hospital)
    make_wrong_card("unenrolled", folder, tmp_path / "made", hospital)
    assert (tmp_path / "made" / "hospital.crt").is_file()
