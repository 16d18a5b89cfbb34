"""As whom the kit acts: a card of a test authority's folder, which connects (TLS) and signs an assertion of each message.

A case may have the assertion made wrong: `none`, `expired`, `future`, `altered`, `unsigned`, `twice`, `other-patient`,
`audience`, `no-purpose`, `unknown-purpose`, `no-role`, `no-patient`, `reason-missing`, `saml-1`; or say something else that is
right: `emergency` (bris de glace, with its reason), `secret` (a session that is hidden from legal representatives).
What else may be said is said in rows (`conformance.saying`), by another card if the case wants that (`conformance.cards`).
How signatures of messages are made wrong is said in `conformance.signing`.
"""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from conformance.cards import Cards
from conformance.saying import Speaker, written
from conformance.set_signature import SetSigner
from conformance.signing import Signing
from metadata.french import MASKING_OID
from schemas.namespaces import WSSE
from security import saml_names
from security.access import SECRET
from security.assertion_writer import SigningCard, Statement, card_statement, write_assertion
from security.identity import Coded, Mode
from security.pki import TestAuthority, signing_files, tls_files
from security.tls import client_context

_HEADER_END = b"</soap:Header>"
_XUA, _WORKPLACE = "xua", "workplace"
#: Of IHE XUA, which has to name whom an assertion is made for: that of a Carnet (`security.assertion_audience`) and of the DMP.
_AUDIENCE = ("urn:carnet:xds", "urn:dmp")
#: An assertion is valid for half an hour.
_KEPT_SECONDS = 600.0
_ANY_HEADER_END = re.compile(rb"</(?:[\w.-]+:)?Header\s*>")
_CHANGES: dict[str, Callable[[Statement], Statement]] = {
    "": lambda said: said,
    "expired": lambda said: replace(said, age=timedelta(hours=3), valid=timedelta(minutes=30)),
    "future": lambda said: replace(said, age=timedelta(hours=-2)),
    "audience": lambda said: replace(said, audience=("urn:example:elsewhere",)),
    "no-purpose": lambda said: replace(said, purpose=None),
    "no-role": lambda said: replace(said, roles=()),
    "emergency": lambda said: replace(said, purpose=Coded(saml_names.EMERGENCY, saml_names.PURPOSES), reason="inconscient"),
    "secret": lambda said: replace(said, session=(Coded(SECRET, MASKING_OID),)),
    "no-patient": lambda said: replace(said, patient=""),
    "unknown-purpose": lambda said: replace(said, purpose=Coded("research", saml_names.PURPOSES)),
    "reason-missing": lambda said: replace(said, purpose=Coded(saml_names.EMERGENCY, saml_names.PURPOSES), reason=""),
}


@dataclass(slots=True)
class Card:
    """The card `name` of `folder`. Assertions are kept for a while, for each patient. Raises PkiError where there is none.

    `ca` is a file of authorities believed of the target instead of the folder's.
    """

    folder: Path
    name: str
    ca: str = ""
    _made: dict[tuple[object, ...], tuple[float, bytes]] = field(default_factory=dict)
    _signing: Signing | None = None
    _set_signer: SetSigner | None = None
    _cards: Cards | None = None
    _found: dict[tuple[Path, str], Card] = field(default_factory=dict)

    def context(self, certificate: str = "", key: str = "") -> ssl.SSLContext:
        """Believes the folder's authority, or `ca`; shows the card, or `certificate`. Raises PkiError, security.tls.TlsError."""
        shown = (certificate, key) if certificate else tuple(map(str, tls_files(self.folder, self.name)))
        return client_context(self.ca or str(self.folder / "ca.crt"), *shown)

    def put_into(self, envelope: bytes, assertion: bytes) -> bytes:
        """The message with wsse:Security at the end of its header; as it is, without an assertion."""
        if not assertion:
            return envelope
        security = b'<wsse:Security xmlns:wsse="%s" soap:mustUnderstand="true">%s</wsse:Security>' % (WSSE.encode(), assertion)
        return envelope.replace(_HEADER_END, security + _HEADER_END, 1)

    def put_about_nobody(self, package: bytes) -> bytes:
        """A message of any writer with an assertion of IHE XUA that names no patient; as it is, where it has no Header.

        A structure signs it: that of `name`, or that in which `name` works. Raises PkiError where the folder has none.
        """
        end = _ANY_HEADER_END.search(package)
        if end is None:
            return package
        assertion = self._assertion("", _XUA)
        security = b'<wsse:Security xmlns:wsse="%s">%s</wsse:Security>' % (WSSE.encode(), assertion)
        return package[: end.start()] + security + package[end.start() :]

    def assertion(self, patient: str, other_patient: str, how: str = "") -> bytes:
        """What says who acts; empty for `none`."""
        return b"" if how == "none" else self._assertion(other_patient if how == "other-patient" else patient, how)

    def check_signing(self) -> None:
        """Raises PkiError, ValueError and security.trust_files.TrustFileError for a card that cannot sign messages."""
        self._signing = Signing(self.folder, self.name)

    @property
    def signing(self) -> Signing:
        """Signs messages with this card. Raises PkiError and security.trust_files.TrustFileError."""
        if self._signing is None:
            self._signing = Signing(self.folder, self.name)
        return self._signing

    def set_signer(self, french: bool) -> SetSigner:
        """Signs submission sets with this card. Raises PkiError."""
        if self._set_signer is None or self._set_signer.french != french:
            self._set_signer = SetSigner(self.folder, self.name, french)
        return self._set_signer

    def by(self, word: str, transaction: str) -> Card:
        """The card of this word (`conformance.cards`), itself for none. Raises PkiError where there is no such card."""
        if not word:
            return self
        if self._cards is None:
            self._cards = Cards(self.folder, self.name)
        key = self._cards.find(word, transaction)
        if key not in self._found:
            self._found[key] = Card(*key, self.ca or str(self.folder / "ca.crt"))
        return self._found[key]

    @property
    def identifier(self) -> str:
        """PS_IdNat or Struct_IdNat of its holder. Raises PkiError."""
        rows = [row for row in TestAuthority(self.folder).issued() if row.name == self.name]
        return rows[-1].identifier if rows else ""

    def der(self) -> bytes:
        """The certificate with which it connects; a damaged one as it is."""
        damaged = self.folder / f"{self.name}.der"
        if damaged.is_file():
            return damaged.read_bytes()
        pem = tls_files(self.folder, self.name)[0].read_text("ascii")
        return ssl.PEM_cert_to_DER_cert(pem)

    def saying(self, patient: str, rows: tuple[tuple[str, ...], ...], speaker: str, transaction: str) -> bytes:
        """The assertion as `rows` want it, signed by the card of the word `speaker`; the same for the same patient and rows."""
        key, now = (patient, rows, speaker), time.monotonic()
        kept = self._made.get(key)
        if kept is None or now - kept[0] > _KEPT_SECONDS:
            made = written(self._speaker(patient, speaker, transaction), rows, lambda word: self.by(word, transaction).der())
            kept = self._made[key] = now, made
        return kept[1]

    def _speaker(self, patient: str, word: str, transaction: str) -> Speaker:
        if word == _WORKPLACE:
            self.by(word, transaction)  # tells what is missing
            return Speaker(*card_statement(self.folder, self.name, patient=patient, mode=Mode.INDIRECT))
        card, said = card_statement(self.folder, self.name, patient=patient)
        if word:
            other = self.by(word, transaction)
            certificate, key = signing_files(other.folder, other.name)
            card = SigningCard(certificate.read_bytes(), key.read_bytes())
        return Speaker(card, said)

    def _assertion(self, patient: str, how: str) -> bytes:
        key, now = (patient, how), time.monotonic()
        made = self._made.get(key)
        if made is None or now - made[0] > _KEPT_SECONDS:
            made = self._made[key] = now, self._write(patient, how)
        return made[1]

    def _write(self, patient: str, how: str) -> bytes:
        profile = "xua" if how == _XUA else "vihf"
        card, said = card_statement(self.folder, self.name, patient=patient, profile=profile)
        if how == _XUA:
            return write_assertion(card, replace(said, purpose=Coded("TREATMENT", saml_names.XUA_PURPOSES), audience=_AUDIENCE))
        written = write_assertion(card, _CHANGES.get(how, _CHANGES[""])(said))
        if how == "altered":
            return written.replace(said.subject.encode(), said.subject[::-1].encode(), 1)
        if how == "unsigned":
            start, end = written.index(b"<ds:Signature"), written.index(b"</ds:Signature>") + len(b"</ds:Signature>")
            return written[:start] + written[end:]
        if how == "twice":
            return written + write_assertion(card, said)
        if how == "saml-1":
            return written.replace(b"urn:oasis:names:tc:SAML:2.0:assertion", b"urn:oasis:names:tc:SAML:1.0:assertion")
        return written
