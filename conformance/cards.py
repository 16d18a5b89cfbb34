"""Cards by a word: those of a test authority's folder, and wrong ones that the kit makes with the authority's key.

    other         a second professional of the same profession        workplace   the structure in which the acting person works
    revoked       one that was revoked                                 limited     one that may not send the transaction
    expired  unenrolled  authentication  signature  weak  authority  damaged    made here for the acting person, enrolled nowhere
    foreign       of another authority of the same name                nobody      no card at all

What is made lies in a folder of its own, which goes with the process: nothing is written into that of the user.
`authentication` may connect and not sign, `signature` the other way round; `authority` may sign certificates; `damaged` has a
key that nobody can read.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from security.pki import Issued, PkiError, TestAuthority

MADE = ("expired", "unenrolled", "authentication", "signature", "weak", "authority", "damaged", "foreign")
FOUND = ("other", "workplace", "revoked", "limited")
NOBODY = "nobody"
WORDS = (*FOUND, *MADE, NOBODY)
_RSA = bytes.fromhex("06092a864886f70d010101")
_NO_SUCH = bytes.fromhex("06092a864886f70d010163")


@dataclass(slots=True)
class Cards:
    """Finds and makes the cards of whoever acts as `name` of `folder`. Raises PkiError with the command that is missing."""

    folder: Path
    name: str
    _made: tempfile.TemporaryDirectory[str] | None = None
    _names: dict[str, tuple[Path, str]] = field(default_factory=dict)

    def find(self, word: str, transaction: str) -> tuple[Path, str]:
        """Folder and name of the card. `transaction` is the one that `limited` must not send."""
        if word in FOUND:
            row = self._found(word, transaction)
            return self.folder, row.name
        if word not in self._names:
            self._names[word] = self._make(word)
        return self._names[word]

    def _found(self, word: str, transaction: str) -> Issued:
        rows = [row for row in TestAuthority(self.folder).issued() if not row.name.endswith(".sign")]
        own = self._own(rows)
        good: Callable[[Issued], bool] = lambda row: not row.revoked and row.not_after > datetime.now(UTC).isoformat()  # noqa: E731
        tests: dict[str, Callable[[Issued], bool]] = {
            "other": lambda row: (
                good(row) and row.kind == "person" and row.identifier != own.identifier and row.profession == own.profession
                and not row.transactions
            ),
            "workplace": lambda row: good(row) and row.kind == "structure" and row.identifier == own.structure,
            "revoked": lambda row: bool(row.revoked) and row.kind != "server" and (self.folder / f"{row.name}.key").is_file(),
            "limited": lambda row: good(row) and bool(row.transactions) and transaction not in row.transactions,
        }  # fmt: skip
        found = [row for row in rows if tests[word](row)]
        if not found:
            raise PkiError(f"{self.folder} holds {_MISSING[word].format(name=self.name, folder=self.folder)}")
        return found[0]

    def _own(self, rows: list[Issued]) -> Issued:
        own = [row for row in rows if row.name == self.name and not row.revoked]
        if not own:
            raise PkiError(f"{self.folder} holds no card '{self.name}' in force")
        return own[-1]

    # ---------------------------------------------------------------------------------------------------------- made

    def _make(self, word: str) -> tuple[Path, str]:
        """A card for the acting person, or for a structure of the same name, by another authority or by that of the folder."""
        own = self._own(TestAuthority(self.folder).issued())
        if self._made is None:
            self._made = tempfile.TemporaryDirectory(prefix="carnet-cards-")
        folder = Path(self._made.name) / word
        authority = TestAuthority.create(folder) if word == "foreign" else _copied(self.folder, folder)
        kind = own.kind if own.kind in ("person", "structure") else "structure"
        about: dict[str, Any] = {"identifier": own.identifier, "organisation": own.organisation}
        if kind == "person":
            about |= {"profession": own.profession, "know_how": own.know_how, "structure": own.structure}
        apart = word in ("authentication", "signature")
        if apart and kind != "person":
            raise PkiError(f"'{own.name}' is a {own.kind}, whose card is not two: act as a person (--as)")
        authority.issue(kind, own.name, days=-1 if word == "expired" else 30, apart=apart, **about)
        for end in (".crt", ".key") if apart else ():
            made = folder / f"{own.name}.sign{end}"
            made.replace(folder / f"{own.name}{end}") if word == "signature" else made.unlink()
        if word in ("weak", "authority"):
            _reissue(folder, own.name, word)
        if word == "damaged":
            _damage(folder / f"{own.name}.crt")
        return folder, own.name


_MISSING = {
    "other": "no second professional of the profession of '{name}': ./carnet pki issue {folder} NAME --kind person",
    "workplace": "no structure in which '{name}' works: issue one (--kind structure), then '{name}' with --structure",
    "revoked": "no revoked card: ./carnet pki issue {folder} lost --kind person, then ./carnet pki revoke {folder} lost",
    "limited": "no card that is kept to other transactions: ./carnet pki issue {folder} NAME --kind person --transaction ITI-8",
}


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
