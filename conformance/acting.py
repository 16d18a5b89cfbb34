"""As whom the kit acts: a card of a test authority's folder, which connects (TLS) and signs an assertion of each message.

A case may have the assertion made wrong: `none`, `expired`, `future`, `altered`, `unsigned`, `twice`, `other-patient`,
`audience`, `no-purpose`, `unknown-purpose`, `no-role`, `no-patient`, `reason-missing`, `saml-1`; or say something else that is
right: `emergency` (bris de glace, with its reason), `secret` (a session that is hidden from legal representatives).
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

from conformance.set_signature import SetSigner
from conformance.signing import Signing
from metadata.french import MASKING_OID
from schemas.namespaces import WSSE
from security import saml_names
from security.access import SECRET
from security.assertion_writer import Statement, card_statement, write_assertion
from security.identity import Coded
from security.pki import PkiError, TestAuthority, tls_files
from security.tls import client_context

_HEADER_END = b"</soap:Header>"
_XUA = "xua"
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
    _made: dict[tuple[str, str], tuple[float, bytes]] = field(default_factory=dict)
    _signing: Signing | None = None
    _set_signer: SetSigner | None = None
    _other: Card | None = None

    def context(self, certificate: str = "", key: str = "") -> ssl.SSLContext:
        """Believes the folder's authority, or `ca`, and shows the card, or `certificate`. Raises PkiError, security.tls.TlsError."""
        shown = (certificate, key) if certificate else tuple(map(str, tls_files(self.folder, self.name)))
        return client_context(self.ca or str(self.folder / "ca.crt"), *shown)

    def put_into(self, envelope: bytes, patient: str, other_patient: str, how: str = "") -> bytes:
        """The message with wsse:Security at the end of its header; as it is, for `none`."""
        assertion = self.assertion(patient, other_patient, how)
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

    @property
    def other(self) -> Card:
        """Another professional of the same folder. Raises PkiError where there is none."""
        if self._other is None:
            rows = [row for row in TestAuthority(self.folder).issued() if row.kind == "person" and not row.revoked]
            own = next((row for row in rows if row.name == self.name), None)
            others = [row for row in rows if own and row.identifier != own.identifier and row.profession == own.profession]
            if not others:
                raise PkiError(f"{self.folder} holds no second professional of the profession of '{self.name}'")
            self._other = Card(self.folder, others[0].name, self.ca)
        return self._other

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
