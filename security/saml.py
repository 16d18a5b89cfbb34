"""Verifies the assertion of a message: one question, `Verifier.verify`, asked once per message (ITI-40 XUA; VIHF of the DMP).

The order is that of cost and of danger: the form, whose it would be, its certificate, the cryptography, then the clock, the
audience, what is said, who sends it. Nothing of an assertion is returned before all of it has passed.

What is remembered: for the octets of an assertion (their SHA-256) that the signature was right, what they say, that the issuer
may say it, since all that depends on nothing but those octets and the rows of issuers. Revocation, times, audience and sender are
judged at every message; that the message is about the patient of its assertion (SAM-040) is asked by `server/access.py`, which
knows the aliases of a patient.

Source: ITI TF-2: 3.40.4.1; WSS SAML Token Profile 1.1; CI-SIS couche transport (VIHF).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree

from schemas.namespaces import DS, q
from security import rules_assertion as rules
from security.identity import Assertion, Mode
from security.saml_content import Content, read_content
from security.saml_issuers import DEFAULT_ISSUERS, Issuer
from security.saml_judging import (
    Sender,
    find_issuer,
    judge_audience,
    judge_certificate,
    judge_confirmation,
    judge_issued,
    judge_relayed,
    judge_sender,
    judge_times,
    judge_use,
)
from security.saml_names import SENDER_VOUCHES
from security.saml_signature import SECURITY, Found, find_assertion, read_signed, verify
from security.saml_uses import MemoryUses, Uses
from security.saml_vihf import Warn, judge_statements, mode_of
from security.trust import TrustStore

__all__ = ["Sender", "Verifier", "VerifierOptions"]

_REMEMBERED = 2_000
_SIGNATURE, _INFO, _REFERENCE = q(DS, "Signature"), q(DS, "SignedInfo"), q(DS, "Reference")


def _silent(text: str) -> None:
    """Warns nobody."""


@dataclass(frozen=True, slots=True)
class VerifierOptions:
    """`required`: a message without an assertion is refused. `secured`: messages come over TLS with client certificates.

    `audience` are the URIs by which assertions may name this server, where the issuer's row has none. `skew` is how far the clock
    of a sender may differ from ours. `warn` is told of what is let pass in test mode.
    """

    issuers: tuple[Issuer, ...] = DEFAULT_ISSUERS
    required: bool = False
    secured: bool = False
    audience: tuple[str, ...] = ()
    skew: timedelta = timedelta(seconds=60)
    warn: Warn = _silent


@dataclass(frozen=True, slots=True)
class _Known:
    """What depends on the octets of an assertion and on the rows of issuers alone."""

    content: Content
    issuer: Issuer
    issuers: tuple[Issuer, ...]
    said: Assertion


@dataclass(slots=True)
class Verifier:
    """`store` gives the authorities and partners in force. Safe for threads."""

    store: Callable[[], TrustStore]
    options: VerifierOptions = field(default_factory=VerifierOptions)
    uses: Uses = field(default_factory=MemoryUses)
    _known: OrderedDict[bytes, _Known] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def verify(
        self, headers: Sequence[etree._Element], sender: Sender | None = None, *, at: datetime | None = None
    ) -> Assertion | None:
        """What the assertion in these SOAP header blocks proves; None when there is none and none is required.

        `at` replaces the clock. Raises Denied (SAM-..., PKI-..., SIG-012) and, from the memory of uses, StorageError.
        """
        sender = sender or Sender()
        found = find_assertion(headers, ids_checked=sender.signer_der is not None)
        if found is None:
            if self.options.required:
                raise rules.REQUIRED.denied()
            return None
        now = at or datetime.now(UTC)
        known = self._recall(found.digest)
        if known is None:
            known = self._look(found, now)
            self._remember(found.digest, known)
        else:
            self._judge(known.content, known.issuer, known.said.mode, now)
        if any(one.method == SENDER_VOUCHES for one in known.content.confirmations):  # nobody else asks whether it is covered
            sender = _covered(headers, known.content.id, sender)
        self._judge_sender(known, sender, now)
        return known.said

    def _look(self, found: Found, now: datetime) -> _Known:
        """The first look at these octets: everything but who sends them."""
        issuers = self.options.issuers
        signed = read_signed(found)
        content = read_content(signed)
        issuer = find_issuer(content, issuers)
        mode = mode_of(content, issuer)
        judge_issued(content, issuer, mode)
        judge_certificate(content, issuer, mode, self.store(), now)
        verify(signed, sha1=issuer.accepts_sha1(now.date()))
        self._judge_time(content, issuer, mode, now)
        said = judge_statements(content, issuer, mode, self.options.warn)
        ends = content.issued + issuer.life
        if content.not_on_or_after is not None:
            ends = min(ends, content.not_on_or_after)
        der = content.certificate.public_bytes(Encoding.DER)
        return _Known(content, issuer, issuers, replace(said, not_on_or_after=ends, certificate_der=der))

    def _judge(self, content: Content, issuer: Issuer, mode: Mode, now: datetime) -> None:
        """What may have changed since the first look."""
        judge_certificate(content, issuer, mode, self.store(), now)
        if content.sha1 and not issuer.accepts_sha1(now.date()):
            raise rules.ALGORITHM.denied(algorithm="SHA-1")
        self._judge_time(content, issuer, mode, now)

    def _judge_time(self, content: Content, issuer: Issuer, mode: Mode, now: datetime) -> None:
        judge_times(content, issuer, now, self.options.skew)
        judge_audience(content, issuer.audience or self.options.audience, required=mode is Mode.XUA)

    def _judge_sender(self, known: _Known, sender: Sender, now: datetime) -> None:
        options = self.options
        if sender.relays:
            judge_relayed(known.content, now, options.skew)
            return
        method = judge_confirmation(known.content, sender, now, options.skew)
        judge_sender(known.said, method, sender, secured=options.secured)
        ends = known.said.not_on_or_after or now
        judge_use(known.content, method, sender, ends + 2 * options.skew, self.uses)

    def _recall(self, digest: bytes) -> _Known | None:
        with self._lock:
            known = self._known.get(digest)
            if known is None or known.issuers is not self.options.issuers:
                return None
            self._known.move_to_end(digest)
            return known

    def _remember(self, digest: bytes, known: _Known) -> None:
        with self._lock:
            self._known[digest] = known
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)


def _covered(headers: Sequence[etree._Element], id: str, sender: Sender) -> Sender:
    """The sender, with whether the verified signature of the message covers the assertion: a Reference of it names the ID, which
    is unique in the message."""
    if sender.signer_der is None:
        return sender
    uris = {
        reference.get("URI")
        for header in headers
        if header.tag == SECURITY
        for signature in header.iterchildren(_SIGNATURE)
        for info in signature.iterchildren(_INFO)
        for reference in info.iterchildren(_REFERENCE)
    }
    return replace(sender, covered="#" + id in uris)
