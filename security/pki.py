"""A test authority and cards like the real ones, in one folder (`./carnet pki ...`).

The folder holds `ca.crt`, `ca.key`, `ca.crl`, one `NAME.crt` and `NAME.key` per issued certificate, and `index.json`, which is
also the enrolment list of a server started with `--pki`. Shapes follow the French health PKI (IGC-Sante): a person's
certificate names the national id in CN and carries profession and know-how in private extensions; a structure's names its
national id in OU. Nothing here is fit for production: keys lie unencrypted beside the certificates.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

#: Private extensions of a health professional's certificate: profession, know-how.
PROFESSION_OID = x509.ObjectIdentifier("1.2.250.1.71.1.2.7")
KNOW_HOW_OID = x509.ObjectIdentifier("1.2.250.1.71.4.2.5")

KINDS = ("person", "structure", "server")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


class PkiError(Exception):
    """A command on the authority's folder cannot be done; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Issued:
    """One line of `index.json`. Times are ISO 8601 UTC; `revoked` is empty while the certificate is good."""

    name: str
    kind: str
    serial: str
    sha256: str
    subject: str
    organisation: str
    not_after: str
    revoked: str = ""
    profession: str = ""
    know_how: str = ""
    identifier: str = ""


def _printable(value: str) -> bytes:
    """DER PrintableString, the form of the private extensions (values are short)."""
    data = value.encode("ascii")
    return bytes((0x13, len(data))) + data


def read_private_extension(certificate: x509.Certificate, oid: x509.ObjectIdentifier) -> str:
    """The text of a private extension, empty when absent. Accepts PrintableString, UTF8String and IA5String."""
    try:
        value = certificate.extensions.get_extension_for_oid(oid).value
    except x509.ExtensionNotFound:
        return ""
    data = value.value if isinstance(value, x509.UnrecognizedExtension) else b""
    if len(data) >= 2 and data[0] in (0x0C, 0x13, 0x16) and data[1] == len(data) - 2:
        return data[2:].decode("utf-8", "replace")
    return ""


def _write(path: Path, data: bytes, mode: int) -> None:
    """Whole or not at all: a reader (a running server) never sees half a file."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    partial.replace(path)


def _pem(key: _PrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


class TestAuthority:
    """The authority kept in `folder`. `create` makes a new one; the constructor opens an existing one."""

    __test__ = False  # not a test class, whatever its name suggests to a collector

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        if not (self.folder / "ca.key").is_file():
            raise PkiError(
                f"{self.folder} holds no authority (ca.key is missing): make one with './carnet pki init {self.folder}'"
            )
        self.certificate = x509.load_pem_x509_certificate((self.folder / "ca.crt").read_bytes())
        key = serialization.load_pem_private_key((self.folder / "ca.key").read_bytes(), None)
        if not isinstance(key, _PrivateKey):
            raise PkiError(f"{self.folder}/ca.key is not an RSA or EC key")
        self._key = key

    @classmethod
    def create(cls, folder: Path | str, name: str = "CARNET TEST AUTHORITY") -> TestAuthority:
        folder = Path(folder)
        if (folder / "ca.key").exists():
            raise PkiError(f"{folder} already holds an authority: give another folder, or remove this one first")
        folder.mkdir(parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.COUNTRY_NAME, "FR"),
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "CARNET TEST"),
                x509.NameAttribute(NameOID.COMMON_NAME, name),
            ]
        )
        now = datetime.now(UTC)
        usage = _key_usage(key_cert_sign=True, crl_sign=True)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + timedelta(days=3650))
            .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        _write(folder / "ca.key", _pem(key), 0o600)
        _write(folder / "ca.crt", certificate.public_bytes(serialization.Encoding.PEM), 0o644)
        _write(folder / "index.json", b"[]\n", 0o644)
        authority = cls(folder)
        authority.write_crl()
        return authority

    def issued(self) -> list[Issued]:
        """Everything this authority issued, oldest first."""
        return [Issued(**row) for row in json.loads((self.folder / "index.json").read_text("utf-8"))]

    def issue(
        self,
        kind: str,
        name: str,
        *,
        organisation: str = "",
        identifier: str = "",
        profession: str = "10",
        know_how: str = "SM26",
        hosts: tuple[str, ...] = ("localhost", "127.0.0.1"),
        days: int = 730,
        key_type: str = "rsa",
    ) -> Issued:
        """Make key and certificate `NAME.key`, `NAME.crt` and enrol them.

        `identifier` is PS_IdNat for a person, Struct_IdNat for a structure; made up (stable for a name) when empty.
        `days` may be negative: an expired certificate is needed to test refusals.
        """
        if kind not in KINDS:
            raise PkiError(f"unknown kind '{kind}': accepted are {', '.join(KINDS)}")
        if not _NAME.fullmatch(name) or name == "ca":
            raise PkiError(f"'{name}' cannot be a file name here: letters, digits, '.', '_' and '-', at most 64, and not 'ca'")
        if any(row.name == name and not row.revoked for row in self.issued()):
            raise PkiError(
                f"'{name}' is already issued: revoke it first ('./carnet pki revoke {self.folder} {name}') or take another name"
            )
        identifier = identifier or _made_up_identifier(kind, name)
        organisation = organisation or (name if kind == "structure" else "CARNET TEST")
        key: _PrivateKey = ec.generate_private_key(ec.SECP256R1()) if key_type == "ec" else rsa.generate_private_key(65537, 2048)
        certificate = self._certificate(kind, name, key, identifier, organisation, profession, know_how, hosts, days)
        _write(self.folder / f"{name}.key", _pem(key), 0o600)
        _write(self.folder / f"{name}.crt", certificate.public_bytes(serialization.Encoding.PEM), 0o644)
        person = kind == "person"
        row = Issued(
            name=name,
            kind=kind,
            serial=f"{certificate.serial_number:x}",
            sha256=certificate.fingerprint(hashes.SHA256()).hex(),
            subject=certificate.subject.rfc4514_string(),
            organisation=organisation,
            not_after=certificate.not_valid_after_utc.isoformat(),
            profession=profession if person else "",
            know_how=know_how if person else "",
            identifier=identifier,
        )
        self._write_index([*self.issued(), row])
        return row

    def revoke(self, name: str) -> Issued:
        """Put the certificate of `name` on the list; running servers read it at their next refresh."""
        rows = self.issued()
        for position in range(len(rows) - 1, -1, -1):
            row = rows[position]
            if row.name == name and not row.revoked:
                revoked = Issued(**{**asdict(row), "revoked": datetime.now(UTC).isoformat(timespec="seconds")})
                self._write_index([*rows[:position], revoked, *rows[position + 1 :]])
                self.write_crl()
                return revoked
        known = ", ".join(r.name for r in rows if not r.revoked) or "none"
        raise PkiError(f"no certificate '{name}' in force here; in force: {known}")

    def write_crl(self, days: int = 365) -> None:
        """Sign `ca.crl` anew over everything revoked so far. `days` until its nextUpdate; negative makes a stale one."""
        now = datetime.now(UTC)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(now - timedelta(days=max(1, 1 - days)))
            .next_update(now + timedelta(days=days))
            .add_extension(x509.CRLNumber(int(now.timestamp() * 1000)), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        for row in self.issued():
            if row.revoked:
                builder = builder.add_revoked_certificate(
                    x509.RevokedCertificateBuilder()
                    .serial_number(int(row.serial, 16))
                    .revocation_date(datetime.fromisoformat(row.revoked))
                    .build()
                )
        _write(self.folder / "ca.crl", builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM), 0o644)

    def _write_index(self, rows: list[Issued]) -> None:
        text = json.dumps([asdict(row) for row in rows], indent=1, ensure_ascii=False)
        _write(self.folder / "index.json", (text + "\n").encode(), 0o644)

    def _certificate(
        self,
        kind: str,
        name: str,
        key: _PrivateKey,
        identifier: str,
        organisation: str,
        profession: str,
        know_how: str,
        hosts: tuple[str, ...],
        days: int,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(_subject(kind, name, identifier, organisation, hosts))
            .issuer_name(self.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=max(0, -days) + 1))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .add_extension(_key_usage(digital_signature=True, content_commitment=kind != "server"), critical=True)
        )
        if kind == "server":
            names: list[x509.GeneralName] = [_general_name(host) for host in hosts]
            uses = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        else:
            uses = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.EMAIL_PROTECTION]
        builder = builder.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        if kind == "person":
            builder = builder.add_extension(x509.UnrecognizedExtension(PROFESSION_OID, _printable(profession)), critical=False)
            if know_how:
                builder = builder.add_extension(x509.UnrecognizedExtension(KNOW_HOW_OID, _printable(know_how)), critical=False)
        return builder.sign(self._key, hashes.SHA256())


def _key_usage(
    *, digital_signature: bool = False, content_commitment: bool = False, key_cert_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=content_commitment,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _made_up_identifier(kind: str, name: str) -> str:
    """An identifier of the national form for tests: PS_IdNat 8 + RPPS (11 digits), Struct_IdNat 3 + SIRET-like (14 digits)."""
    number = sum((index + 1) * byte for index, byte in enumerate(name.encode())) * 7919
    return f"8999{number % 10**8:08d}" if kind == "person" else f"3{number % 10**14:014d}"


def _subject(kind: str, name: str, identifier: str, organisation: str, hosts: tuple[str, ...]) -> x509.Name:
    country = x509.NameAttribute(NameOID.COUNTRY_NAME, "FR")
    if kind == "person":
        return x509.Name(
            [
                country,
                x509.NameAttribute(NameOID.TITLE, "Professionnel de sante"),
                x509.NameAttribute(NameOID.SURNAME, name.upper()),
                x509.NameAttribute(NameOID.GIVEN_NAME, "Test"),
                x509.NameAttribute(NameOID.COMMON_NAME, identifier),
            ]
        )
    common = name if kind == "structure" else hosts[0]
    attributes = [country, x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation)]
    if kind == "structure":
        attributes.append(x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, identifier))
    return x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, common)])
