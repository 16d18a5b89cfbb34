"""A test authority and cards like the real ones, in one folder (`./carnet pki ...`).

The folder holds `ca.crt`, `ca.key`, `ca.crl`, one `NAME.crt` and `NAME.key` per issued certificate, and `index.json`, which is
also the enrolment list of a server started with `--pki`. Shapes follow the French health PKI (IGC-Sante): a person's
certificate names the national id in CN and carries profession and know-how in private extensions; a structure's names its
national id in OU. Nothing here is fit for production: keys lie unencrypted beside the certificates.

A real card has two certificates, one to authenticate and one to sign. `NAME.crt` may do both unless they are asked for apart:
then `NAME.crt` authenticates only and `NAME.sign.crt` signs only (`tls_files` and `signing_files` tell which to use).
"""

from __future__ import annotations

import fcntl
import ipaddress
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

#: Private extensions of a health professional's certificate: profession, know-how.
PROFESSION_OID = x509.ObjectIdentifier("1.2.250.1.71.1.2.7")
KNOW_HOW_OID = x509.ObjectIdentifier("1.2.250.1.71.4.2.5")

KINDS = ("person", "structure", "server")
#: Professions (1.2.250.1.71.1.2.7) as a card's subject writes them.
_TITLES = {"10": "Medecin", "21": "Pharmacien", "40": "Chirurgien-Dentiste", "50": "Sage-Femme", "60": "Infirmier"}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


class PkiError(Exception):
    """A command on the authority's folder cannot be done; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Issued:
    """One line of `index.json`. Times are ISO 8601 UTC; `revoked` is empty while the certificate is good.

    `identifier` is PS_IdNat or Struct_IdNat; `structure` the Struct_IdNat of a person's workplace. `transactions` are those it
    may send (`ITI-41`), all when empty. `relays`: a repository that passes on who calls it (`security.trust.Partner`).
    """

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
    structure: str = ""
    transactions: tuple[str, ...] = ()
    relays: bool = False


@dataclass(frozen=True, slots=True)
class Holder:
    """Of whom a certificate is asked. `identifier` is PS_IdNat for a person, Struct_IdNat for a structure; made up (stable for a
    name) when empty. `profession` and `know_how` are a person's (TRE_G15, TRE_R38), `structure` its workplace."""

    kind: str
    name: str
    organisation: str = ""
    identifier: str = ""
    profession: str = "10"
    know_how: str = "SM26"
    structure: str = ""
    hosts: tuple[str, ...] = ("localhost", "127.0.0.1")


#: What a certificate may be used for: KeyUsage bits, and extended uses.
_Purpose = tuple[dict[str, bool], tuple[x509.ObjectIdentifier, ...]]
_SERVES: _Purpose = ({"digital_signature": True}, (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH))
_AUTHENTICATES: _Purpose = ({"digital_signature": True}, (ExtendedKeyUsageOID.CLIENT_AUTH,))
_SIGNS: _Purpose = ({"content_commitment": True}, (ExtendedKeyUsageOID.EMAIL_PROTECTION,))
_BOTH: _Purpose = ({**_AUTHENTICATES[0], **_SIGNS[0]}, (*_AUTHENTICATES[1], *_SIGNS[1]))


def tls_files(folder: Path | str, name: str) -> tuple[Path, Path]:
    """Certificate and key by which `name` connects. Raises PkiError when they are not there."""
    return _files(Path(folder), name)


def signing_files(folder: Path | str, name: str) -> tuple[Path, Path]:
    """Certificate and key by which `name` signs: those made for it alone, or the ones that do both. Raises PkiError."""
    apart = Path(folder) / f"{name}.sign.crt"
    return _files(Path(folder), f"{name}.sign" if apart.is_file() else name)


def _files(folder: Path, name: str) -> tuple[Path, Path]:
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    if not certificate.is_file() or not key.is_file():
        known = sorted(p.stem for p in folder.glob("*.crt") if p.stem != "ca" and p.with_suffix(".key").is_file())
        raise PkiError(f"{folder} holds no certificate with key '{name}'; it holds: {', '.join(known) or 'none'}")
    return certificate, key


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
        return read_index(self.folder / "index.json")

    def issue(
        self,
        kind: str,
        name: str,
        *,
        days: int = 730,
        key_type: str = "rsa",
        transactions: tuple[str, ...] = (),
        apart: bool = False,
        relays: bool = False,
        **about: Any,
    ) -> Issued:
        """Make key and certificate `NAME.key`, `NAME.crt` and enrol them for `transactions` (all when empty).

        `about` are the fields of `Holder`. `days` may be negative: an expired certificate is needed to test refusals. `apart`
        makes `NAME.crt` for authentication only and `NAME.sign.crt` for signatures only. `relays` enrols a repository that passes
        on who calls it.
        """
        if kind not in KINDS:
            raise PkiError(f"unknown kind '{kind}': accepted are {', '.join(KINDS)}")
        if not _NAME.fullmatch(name) or name == "ca":
            raise PkiError(f"'{name}' cannot be a file name here: letters, digits, '.', '_' and '-', at most 64, and not 'ca'")
        if kind != "person" and apart:
            raise PkiError("two certificates, one of them for signatures, are a person's: kind 'person' is expected")
        holder = self._complete(Holder(kind, name, **about))
        purposes = {
            "": _SERVES if kind == "server" else _AUTHENTICATES if apart else _BOTH,
            **({".sign": _SIGNS} if apart else {}),
        }
        with self._alone():
            taken = {row.name for row in self.issued() if not row.revoked}
            for again in (name + suffix for suffix in purposes if name + suffix in taken):
                remedy = f"revoke it first ('./carnet pki revoke {self.folder} {again}') or take another name"
                raise PkiError(f"'{again}' is already issued: {remedy}")
            rows = [self._make(replace(holder, name=name + suffix), p, days, key_type) for suffix, p in purposes.items()]
            rows = [replace(row, transactions=tuple(transactions), relays=relays) for row in rows]
            self._write_index([*self.issued(), *rows])
        return rows[0]

    def _complete(self, holder: Holder) -> Holder:
        """With an identifier and an organisation; the workplace may be named by the certificate of a structure."""
        workplaces = {row.name: row for row in self.issued() if row.kind == "structure" and not row.revoked}
        workplace = workplaces.get(holder.structure)
        named = holder.organisation or (workplace.organisation if workplace else "")
        try:
            for text in (holder.profession, holder.know_how):
                _printable(text)
        except UnicodeEncodeError:
            raise PkiError(f"profession {holder.profession!r} and know-how {holder.know_how!r} are codes, in ASCII") from None
        return replace(
            holder,
            identifier=holder.identifier or _made_up_identifier(holder.kind, holder.name),
            organisation=named or (holder.name if holder.kind == "structure" else "CARNET TEST"),
            structure=workplace.identifier if workplace else holder.structure,
        )

    def _make(self, holder: Holder, purpose: _Purpose, days: int, key_type: str) -> Issued:
        """Key and certificate in their files, and their line of the index."""
        key: _PrivateKey = ec.generate_private_key(ec.SECP256R1()) if key_type == "ec" else rsa.generate_private_key(65537, 2048)
        certificate = self._certificate(holder, key, purpose, days)
        _write(self.folder / f"{holder.name}.key", _pem(key), 0o600)
        _write(self.folder / f"{holder.name}.crt", certificate.public_bytes(serialization.Encoding.PEM), 0o644)
        person = holder.kind == "person"
        return Issued(
            name=holder.name,
            kind=holder.kind,
            serial=f"{certificate.serial_number:x}",
            sha256=certificate.fingerprint(hashes.SHA256()).hex(),
            subject=certificate.subject.rfc4514_string(),
            organisation=holder.organisation,
            not_after=certificate.not_valid_after_utc.isoformat(),
            profession=holder.profession if person else "",
            know_how=holder.know_how if person else "",
            identifier=holder.identifier,
            structure=holder.structure if person else "",
        )

    def revoke(self, name: str) -> Issued:
        """Put the certificate of `name`, and `name.sign` when there is one, on the list; running servers see it at once."""
        with self._alone():
            rows = self.issued()
            now = datetime.now(UTC).isoformat(timespec="seconds")
            hit = {i for i, row in enumerate(rows) if row.name in (name, f"{name}.sign") and not row.revoked}
            if not hit:
                known = ", ".join(r.name for r in rows if not r.revoked) or "none"
                raise PkiError(f"no certificate '{name}' in force here; in force: {known}")
            rows = [replace(row, revoked=now) if i in hit else row for i, row in enumerate(rows)]
            self._write_index(rows)
            self.write_crl()
            return rows[min(hit)]

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """No two commands change the index at once."""
        with open(self.folder / "ca.key", "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

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

    def _certificate(self, holder: Holder, key: _PrivateKey, purpose: _Purpose, days: int) -> x509.Certificate:
        now = datetime.now(UTC)
        bits, uses = purpose
        builder = (
            x509.CertificateBuilder()
            .subject_name(_subject(holder))
            .issuer_name(self.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=max(0, -days) + 1))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .add_extension(_key_usage(**bits), critical=True)
            .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        )
        if holder.kind == "server":
            names = [_general_name(host) for host in holder.hosts]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        if holder.kind == "person":
            for oid, code in ((PROFESSION_OID, holder.profession), (KNOW_HOW_OID, holder.know_how)):
                if code:
                    builder = builder.add_extension(x509.UnrecognizedExtension(oid, _printable(code)), critical=False)
        return builder.sign(self._key, hashes.SHA256())


def read_index(file: Path) -> list[Issued]:
    """The lines of an `index.json`. Raises OSError, and PkiError for a file that is none."""
    try:
        return [
            Issued(**{**row, "transactions": tuple(row.get("transactions", ()))}) for row in json.loads(file.read_text("utf-8"))
        ]
    except (ValueError, TypeError, AttributeError) as wrong:
        raise PkiError(f"{file} is no index of a test authority: {wrong}") from None


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


def _subject(holder: Holder) -> x509.Name:
    country = x509.NameAttribute(NameOID.COUNTRY_NAME, "FR")
    if holder.kind == "person":
        person = (
            x509.NameAttribute(NameOID.COMMON_NAME, holder.identifier),
            x509.NameAttribute(NameOID.SURNAME, holder.name.removesuffix(".sign").upper()),
            x509.NameAttribute(NameOID.GIVEN_NAME, "Test"),
        )
        title = x509.NameAttribute(NameOID.TITLE, _TITLES.get(holder.profession, "Professionnel de sante"))
        # One RDN of three values, as on the cards in use.
        return x509.Name([x509.RelativeDistinguishedName(part) for part in ([country], [title], person)])
    attributes = [country, x509.NameAttribute(NameOID.ORGANIZATION_NAME, holder.organisation)]
    if holder.kind == "structure":
        attributes.insert(1, x509.NameAttribute(NameOID.STATE_OR_PROVINCE_NAME, "Paris (75)"))
        attributes.append(x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, holder.identifier))
    common = holder.name if holder.kind == "structure" else holder.hosts[0]
    return x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, common)])
