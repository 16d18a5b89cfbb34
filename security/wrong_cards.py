"""Cards that must not be taken, made with the key of a test authority, to show that they are refused.

They lie in a folder of their own, which looks like one of the authority, and are enrolled nowhere. Nothing is written into the
folder of the authority itself.
"""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from security.pki import Issued, PkiError, TestAuthority

#: `authentication` may connect and not sign, `signature` the other way round; `authority` may sign certificates; `damaged` has a
#: key that nobody can read; `foreign` is of another authority of the same name.
WRONG = ("expired", "unenrolled", "authentication", "signature", "weak", "authority", "damaged", "foreign")
_RSA = bytes.fromhex("06092a864886f70d010101")
_NO_SUCH = bytes.fromhex("06092a864886f70d010163")


def make_wrong_card(word: str, authority: Path, folder: Path, own: Issued) -> None:
    """Makes `folder` with the card of `own`, wrong as the `word` of WRONG says, under the same name: NAME.crt, NAME.key.

    `damaged` has NAME.der, the certificate that cannot be used. Raises PkiError for a holder who cannot have such a card.
    """
    kind, apart = own.kind if own.kind in ("person", "structure") else "structure", word in ("authentication", "signature")
    if apart and kind != "person":
        raise PkiError(f"'{own.name}' is a {own.kind}, whose card is not two: act as a person (--as)")
    made = TestAuthority.create(folder) if word == "foreign" else _copied(authority, folder)
    about: dict[str, Any] = {"identifier": own.identifier, "organisation": own.organisation}
    if kind == "person":
        about |= {"profession": own.profession, "know_how": own.know_how, "structure": own.structure}
    made.issue(kind, own.name, days=-1 if word == "expired" else 30, apart=apart, **about)
    for end in (".crt", ".key") if apart else ():
        signs = folder / f"{own.name}.sign{end}"
        signs.replace(folder / f"{own.name}{end}") if word == "signature" else signs.unlink()
    if word in ("weak", "authority"):
        _reissue(folder, own.name, word)
    if word == "damaged":
        _damage(folder / f"{own.name}.crt")


def _copied(source: Path, folder: Path) -> TestAuthority:
    """The same authority with an empty index: what it issues there is enrolled nowhere."""
    folder.mkdir()
    for name in ("ca.crt", "ca.key", "ca.crl"):
        shutil.copy(source / name, folder / name)
    (folder / "index.json").write_text("[]\n", encoding="utf-8")
    return TestAuthority(folder)


def _reissue(folder: Path, name: str, word: str) -> None:
    """The certificate once more: with a key of 1024 bits, or as that of an authority which may also sign messages."""
    file = folder / f"{name}.crt"
    old = x509.load_pem_x509_certificate(file.read_bytes())
    signer = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey)
    key = rsa.generate_private_key(65537, 1024 if word == "weak" else 2048)
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(old.subject)
        .issuer_name(old.issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
    )
    for extension in old.extensions:
        value = extension.value
        if isinstance(value, x509.SubjectKeyIdentifier):
            value = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        if isinstance(value, x509.BasicConstraints) and word == "authority":
            value = x509.BasicConstraints(ca=True, path_length=0)
        builder = builder.add_extension(value, extension.critical)
    file.write_bytes(builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    (folder / f"{name}.key").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))


def _damage(file: Path) -> None:
    """The key of the certificate is of an algorithm that does not exist: it loads, and cannot be used."""
    der = x509.load_pem_x509_certificate(file.read_bytes()).public_bytes(serialization.Encoding.DER)
    file.with_suffix(".der").write_bytes(der.replace(_RSA, _NO_SUCH, 1))
