"""As whom the kit acts: a card of a test authority's folder, which connects (TLS) and signs an assertion of each message.

A case may have the assertion made wrong: `none`, `expired`, `future`, `altered`, `unsigned`, `twice`, `other-patient`,
`audience`, `no-purpose`, `no-role`, `reason-missing`, `saml-1`.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from schemas.namespaces import WSSE
from security import saml_names
from security.assertion_writer import Statement, card_statement, write_assertion
from security.identity import Coded
from security.pki import tls_files
from security.tls import client_context

_HEADER_END = b"</soap:Header>"
_CHANGES: dict[str, Callable[[Statement], Statement]] = {
    "": lambda said: said,
    "expired": lambda said: replace(said, age=timedelta(hours=3), valid=timedelta(minutes=30)),
    "future": lambda said: replace(said, age=timedelta(hours=-2)),
    "audience": lambda said: replace(said, audience=("urn:example:elsewhere",)),
    "no-purpose": lambda said: replace(said, purpose=None),
    "no-role": lambda said: replace(said, roles=()),
    "reason-missing": lambda said: replace(said, purpose=Coded(saml_names.EMERGENCY, saml_names.PURPOSES), reason=""),
}


@dataclass(slots=True)
class Card:
    """The card `name` of `folder`. Assertions are made once for each patient and kept. Raises PkiError where there is none."""

    folder: Path
    name: str
    _made: dict[tuple[str, str], bytes] = field(default_factory=dict)

    def context(self) -> ssl.SSLContext:
        """Believes the folder's authority and shows the card. Raises PkiError and security.tls.TlsError."""
        certificate, key = tls_files(self.folder, self.name)
        return client_context(str(self.folder / "ca.crt"), str(certificate), str(key))

    def put_into(self, envelope: bytes, patient: str, other_patient: str, how: str = "") -> bytes:
        """The message with wsse:Security at the end of its header; as it is, for `none`."""
        if how == "none":
            return envelope
        assertion = self._assertion(other_patient if how == "other-patient" else patient, how)
        security = b'<wsse:Security xmlns:wsse="%s" soap:mustUnderstand="true">%s</wsse:Security>' % (WSSE.encode(), assertion)
        return envelope.replace(_HEADER_END, security + _HEADER_END, 1)

    def _assertion(self, patient: str, how: str) -> bytes:
        key = (patient, how)
        if key not in self._made:
            self._made[key] = self._write(patient, how)
        return self._made[key]

    def _write(self, patient: str, how: str) -> bytes:
        card, said = card_statement(self.folder, self.name, patient=patient)
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
