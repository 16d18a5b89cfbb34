"""The test authority: what its folder holds, what its certificates say, and that OpenSSL reads them as we do."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from security.pki import (
    KNOW_HOW_OID,
    PROFESSION_OID,
    PkiError,
    TestAuthority,
    read_index,
    read_private_extension,
    signing_files,
    tls_files,
)
from security.trust import signed_by


@pytest.fixture
def authority(tmp_path: Path) -> TestAuthority:
    return TestAuthority.create(tmp_path / "pki")


def load(authority: TestAuthority, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((authority.folder / f"{name}.crt").read_bytes())


def text(certificate: x509.Certificate, oid: x509.ObjectIdentifier) -> str:
    return str(certificate.subject.get_attributes_for_oid(oid)[0].value)


def test_a_new_authority_signs_itself_and_keeps_its_key_to_its_owner(authority: TestAuthority) -> None:
    assert sorted(p.name for p in authority.folder.iterdir()) == ["ca.crl", "ca.crt", "ca.key", "index.json"]
    assert signed_by(authority.certificate, authority.certificate)
    assert authority.certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert stat.S_IMODE((authority.folder / "ca.key").stat().st_mode) == 0o600
    crl = x509.load_pem_x509_crl((authority.folder / "ca.crl").read_bytes())
    assert crl.is_signature_valid(authority.certificate.public_key()) and list(crl) == []  # type: ignore[arg-type]
    assert authority.issued() == []


def test_a_person_carries_the_national_id_profession_and_know_how(authority: TestAuthority) -> None:
    row = authority.issue("person", "dr-martin", identifier="899900012345", profession="10", know_how="SM05", key_type="ec")
    certificate = load(authority, "dr-martin")
    assert text(certificate, NameOID.COMMON_NAME) == row.identifier == "899900012345"
    assert read_private_extension(certificate, PROFESSION_OID) == row.profession == "10"
    assert read_private_extension(certificate, KNOW_HOW_OID) == row.know_how == "SM05"
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature and usage.content_commitment and not usage.key_cert_sign
    assert text(certificate, NameOID.TITLE) == "Medecin"
    assert [len(rdn) for rdn in certificate.subject.rdns] == [1, 1, 3]  # C, title, CN + SN + GN
    assert ExtendedKeyUsageOID.CLIENT_AUTH in certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value


def test_a_structure_names_its_national_id_in_its_unit(authority: TestAuthority) -> None:
    row = authority.issue("structure", "clinic", organisation="Clinique du Lac", key_type="ec")
    certificate = load(authority, "clinic")
    assert text(certificate, NameOID.ORGANIZATIONAL_UNIT_NAME) == row.identifier
    assert text(certificate, NameOID.ORGANIZATION_NAME) == "Clinique du Lac"
    assert row.identifier.startswith("3") and len(row.identifier) == 15
    assert read_private_extension(certificate, PROFESSION_OID) == ""


def test_a_person_works_at_a_structure_named_by_its_certificate_or_its_id(authority: TestAuthority) -> None:
    clinic = authority.issue("structure", "clinic", organisation="Clinique du Lac", key_type="ec")
    row = authority.issue("person", "dr-martin", structure="clinic", key_type="ec")
    assert (row.structure, row.organisation) == (clinic.identifier, "Clinique du Lac")
    assert authority.issue("person", "dr-other", structure="3123", key_type="ec").structure == "3123"


def test_authentication_and_signature_apart_as_on_a_real_card(authority: TestAuthority) -> None:
    row = authority.issue("person", "dr-martin", apart=True, transactions=("ITI-18",), key_type="ec")
    assert [(one.name, one.identifier, one.transactions) for one in authority.issued()] == [
        (name, row.identifier, ("ITI-18",)) for name in ("dr-martin", "dr-martin.sign")
    ]
    usage = [
        load(authority, name).extensions.get_extension_for_class(x509.KeyUsage).value for name in ("dr-martin", "dr-martin.sign")
    ]
    assert [(u.digital_signature, u.content_commitment) for u in usage] == [(True, False), (False, True)]
    assert load(authority, "dr-martin").subject == load(authority, "dr-martin.sign").subject
    assert tls_files(authority.folder, "dr-martin")[0].name == "dr-martin.crt"
    assert [p.name for p in signing_files(authority.folder, "dr-martin")] == ["dr-martin.sign.crt", "dr-martin.sign.key"]
    authority.revoke("dr-martin")
    assert all(one.revoked for one in authority.issued())
    authority.issue("person", "dr-both", key_type="ec")
    assert signing_files(authority.folder, "dr-both") == tls_files(authority.folder, "dr-both")


def test_commands_at_once_lose_no_line_of_the_index(authority: TestAuthority) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: TestAuthority(authority.folder).issue("person", f"card{n}", key_type="ec"), range(8)))
    assert {row.name for row in authority.issued()} == {f"card{n}" for n in range(8)}


def test_an_index_that_is_none_is_told(tmp_path: Path) -> None:
    for wrong in ("", "{}x", "[1]", '[{"name": "a"}]'):
        (tmp_path / "index.json").write_text(wrong)
        with pytest.raises(PkiError, match="is no index of a test authority"):
            read_index(tmp_path / "index.json")


def test_a_server_is_named_by_its_hosts(authority: TestAuthority) -> None:
    authority.issue("server", "web", hosts=("xds.example", "127.0.0.1", "::1"), key_type="ec")
    certificate = load(authority, "web")
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["xds.example"]
    assert [str(a) for a in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    assert not certificate.extensions.get_extension_for_class(x509.KeyUsage).value.content_commitment


@pytest.mark.parametrize("key_type", ["rsa", "ec"])
def test_key_certificate_and_index_belong_together(authority: TestAuthority, key_type: str) -> None:
    row = authority.issue("person", "card", key_type=key_type)
    certificate = load(authority, "card")
    key = serialization.load_pem_private_key((authority.folder / "card.key").read_bytes(), None)
    assert key.public_key() == certificate.public_key()
    assert stat.S_IMODE((authority.folder / "card.key").stat().st_mode) == 0o600
    assert row.sha256 == certificate.fingerprint(hashes.SHA256()).hex()
    assert row.serial == f"{certificate.serial_number:x}"
    assert json.loads((authority.folder / "index.json").read_text())[0]["sha256"] == row.sha256
    assert TestAuthority(authority.folder).issued() == [row]
    assert signed_by(certificate, authority.certificate) and not signed_by(authority.certificate, certificate)


def test_made_up_identifiers_depend_on_the_name_alone(authority: TestAuthority, tmp_path: Path) -> None:
    other = TestAuthority.create(tmp_path / "other")
    assert authority.issue("person", "a", key_type="ec").identifier == other.issue("person", "a", key_type="ec").identifier
    assert authority.issue("person", "b", key_type="ec").identifier != authority.issued()[0].identifier


def test_revocation_reaches_the_list_and_frees_the_name(authority: TestAuthority) -> None:
    first = authority.issue("person", "card", key_type="ec")
    assert authority.revoke("card").revoked
    crl = x509.load_pem_x509_crl((authority.folder / "ca.crl").read_bytes())
    assert [entry.serial_number for entry in crl] == [int(first.serial, 16)]
    second = authority.issue("person", "card", key_type="ec")
    assert second.serial != first.serial and [bool(row.revoked) for row in authority.issued()] == [True, False]


def test_each_list_has_a_higher_number(authority: TestAuthority) -> None:
    def number() -> int:
        crl = x509.load_pem_x509_crl((authority.folder / "ca.crl").read_bytes())
        return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number

    before = number()
    authority.issue("person", "card", key_type="ec")
    authority.revoke("card")
    assert number() > before


@pytest.mark.parametrize("name", ["ca", "", ".hidden", "../ca", "a/b", "a b", "é", "x" * 65, "a\n"])
def test_a_name_that_is_no_file_name_is_refused(authority: TestAuthority, name: str) -> None:
    with pytest.raises(PkiError, match="cannot be a file name"):
        authority.issue("person", name)
    assert authority.issued() == []


def test_refusals_name_the_remedy(authority: TestAuthority, tmp_path: Path) -> None:
    with pytest.raises(PkiError, match="person, structure, server"):
        authority.issue("robot", "r2")
    authority.issue("person", "card", key_type="ec")
    with pytest.raises(PkiError, match=r"pki revoke .* card"):
        authority.issue("person", "card")
    with pytest.raises(PkiError, match="in force: card"):
        authority.revoke("other")
    with pytest.raises(PkiError, match="already holds an authority"):
        TestAuthority.create(authority.folder)
    with pytest.raises(PkiError, match="carnet pki init"):
        TestAuthority(tmp_path / "nowhere")
    with pytest.raises(PkiError, match="no certificate with key 'other'; it holds: card"):
        tls_files(authority.folder, "other")
    with pytest.raises(PkiError, match="person"):
        authority.issue("structure", "clinic", apart=True)
    with pytest.raises(PkiError, match="in ASCII"):
        authority.issue("person", "dr", profession="médecin")
    assert [row.name for row in authority.issued()] == ["card"]


def test_openssl_comes_to_the_same_verdicts(authority: TestAuthority) -> None:
    program = shutil.which("openssl")
    if not program:
        pytest.skip("the openssl program is not installed")

    def verdict(name: str) -> str:
        command = [program, "verify", "-crl_check", "-CAfile", "ca.crt", "-CRLfile", "ca.crl", f"{name}.crt"]
        done = subprocess.run(command, cwd=authority.folder, capture_output=True, text=True, timeout=300)
        return done.stdout + done.stderr

    authority.issue("person", "good", key_type="ec")
    authority.issue("person", "gone", key_type="ec")
    authority.issue("person", "old", key_type="ec", days=-1)
    authority.revoke("gone")
    assert "good.crt: OK" in verdict("good")
    assert "certificate revoked" in verdict("gone")
    assert "certificate has expired" in verdict("old")
