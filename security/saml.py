"""Verifies the assertion of a message: one question, `Verifier.verify`, asked once per message (ITI-40 XUA; VIHF of the DMP).

The order is that of cost and of danger: the form, whose it would be, its certificate, the cryptography, then the clock, the
audience, what is said, who sends it. Nothing of an assertion is returned before all of it has passed.

What is remembered: for the octets of an assertion (their SHA-256) that the signature was right and what they say, since both
depend on nothing but those octets. Issuer, revocation, times, audience and sender are judged at every message; that the
message is about the patient of its assertion (SAM-040) is asked by `server/access.py`, which knows the aliases of a patient.

Source: ITI TF-2: 3.40.4.1; WSS SAML Token Profile 1.1; CI-SIS couche transport (VIHF).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import cast

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
    judge_sender,
    judge_times,
    judge_use,
)
from security.saml_signature import SECURITY, Signed, find_assertion, read_signed, verify
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


@dataclass(slots=True)
class Verifier:
    """`store` gives the authorities and partners in force. Safe for threads."""

    store: Callable[[], TrustStore]
    options: VerifierOptions = field(default_factory=VerifierOptions)
    uses: Uses = field(default_factory=MemoryUses)
    _right: OrderedDict[bytes, Content] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def verify(
        self, headers: Sequence[etree._Element], sender: Sender | None = None, *, at: datetime | None = None
    ) -> Assertion | None:
        """What the assertion in these SOAP header blocks proves; None when there is none and none is required.

        `at` replaces the clock. Raises Denied (SAM-..., PKI-..., SIG-012) and, from the memory of uses, StorageError.
        """
        found = find_assertion(headers)
        if found is None:
            if self.options.required:
                raise rules.REQUIRED.denied()
            return None
        now = at or datetime.now(UTC)
        known = self._recall(found.digest)
        signed = read_signed(found) if known is None else None
        content = known or read_content(cast(Signed, signed))
        issuer = find_issuer(content, self.options.issuers)
        mode = mode_of(content, issuer)
        judge_certificate(content, issuer, mode, self.store(), now)
        sha1 = issuer.accepts_sha1(now.date())
        if signed is not None:
            verify(signed, sha1=sha1)
            self._remember(found.digest, content)
        elif content.sha1 and not sha1:
            raise rules.ALGORITHM.denied(algorithm="SHA-1")
        return self._judge(content, issuer, mode, _covered(headers, content.id, sender or Sender()), now)

    def _judge(self, content: Content, issuer: Issuer, mode: Mode, sender: Sender, now: datetime) -> Assertion:
        options = self.options
        judge_times(content, issuer, now, options.skew)
        judge_audience(content, issuer.audience or options.audience, required=mode is Mode.XUA)
        said = judge_statements(content, issuer, mode, options.warn)
        method = judge_confirmation(content, sender, now, options.skew)
        judge_sender(said, content, method, sender, secured=options.secured)
        ends = content.issued + issuer.life
        if content.not_on_or_after is not None:
            ends = min(ends, content.not_on_or_after)
        judge_use(content, method, sender, ends + 2 * options.skew, self.uses)
        return replace(said, not_on_or_after=ends, certificate_der=content.certificate.public_bytes(Encoding.DER))

    def _recall(self, digest: bytes) -> Content | None:
        with self._lock:
            content = self._right.get(digest)
            if content is not None:
                self._right.move_to_end(digest)
            return content

    def _remember(self, digest: bytes, content: Content) -> None:
        with self._lock:
            self._right[digest] = content
            if len(self._right) > _REMEMBERED:
                self._right.popitem(last=False)


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
