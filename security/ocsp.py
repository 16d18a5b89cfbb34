"""OCSP: what the responder of the settings says of a certificate (RFC 6960), remembered until it is to be asked again.

An answer counts when it is about this certificate, signed by its issuer or by a responder that this issuer has certified for it
(id-kp-OCSPSigning), and not out of date; a nonce in it must be ours. Without an answer that counts the last one serves until its
nextUpdate; after that `OcspOptions.required` decides: the certificate is refused, or the revocation list alone has the word. A
responder that did not answer is left alone for half a minute; where its answer about one certificate does not count, it is left
alone about that one, so that whoever holds a certificate that it does not know silences it for nobody else.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from security import rules_pki as rules
from security.outbound import Unanswered, ask

LOG = logging.getLogger("carnet.trust")
_SKEW = timedelta(minutes=5)
_WITHOUT_NEXT_UPDATE = timedelta(minutes=15)
_LONGEST = timedelta(hours=1)
_PAUSE_SECONDS = 30.0
_ANSWER_BYTES = 64 * 1024
_REMEMBERED = 10_000
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class OcspOptions:
    """The responder's address; whether a certificate is refused without its word; how long it is waited for."""

    url: str
    required: bool = False
    seconds: float = 2.0


@dataclass(frozen=True, slots=True)
class _Verdict:
    revoked: bool
    ask_again: datetime
    ends: datetime


class OcspResponder:
    """`TrustStore.ocsp`: called with a certificate and its issuer, raises `Denied` for one that is not good. Safe for threads."""

    def __init__(self, options: OcspOptions, ask: Callable[..., bytes] = ask) -> None:
        self._options = options
        self._ask = ask
        self._known: dict[bytes, _Verdict] = {}
        self._lock = threading.Lock()
        self._pause_until = 0.0
        self._pauses: dict[bytes, float] = {}

    def __call__(self, certificate: x509.Certificate, issuer: x509.Certificate) -> None:
        now = datetime.now(UTC)
        key = certificate.fingerprint(hashes.SHA256())
        verdict = self._known.get(key)
        reason = ""
        if verdict is None or verdict.ask_again <= now:
            try:
                verdict = self._fresh(key, certificate, issuer, now)
                self._remember(self._known, key, verdict)
            except Unanswered as error:
                reason = str(error)
                # What was revoked stays so until the responder says otherwise.
                verdict = verdict if verdict is not None and (verdict.revoked or verdict.ends > now) else None
        if verdict is None:
            if self._options.required:
                raise rules.NO_OCSP.denied(
                    subject=certificate.subject.rfc4514_string(), reason="no answer that counts", log=reason
                )
            return
        if verdict.revoked:
            raise rules.REVOKED.denied(subject=certificate.subject.rfc4514_string(), serial=f"{certificate.serial_number:x}")

    def _remember(self, memory: dict[bytes, T], key: bytes, value: T) -> None:
        with self._lock:
            if len(memory) >= _REMEMBERED:
                memory.clear()
            memory[key] = value

    def _fresh(self, key: bytes, certificate: x509.Certificate, issuer: x509.Certificate, now: datetime) -> _Verdict:
        if time.monotonic() < max(self._pause_until, self._pauses.get(key, 0.0)):
            raise Unanswered(f"{self._options.url} did not answer a moment ago")
        nonce = os.urandom(16)
        request = (
            ocsp.OCSPRequestBuilder()
            .add_certificate(certificate, issuer, hashes.SHA1())  # names the certificate; what responders know
            .add_extension(x509.OCSPNonce(nonce), critical=False)
            .build()
        )
        try:
            data = self._ask(
                self._options.url,
                body=request.public_bytes(Encoding.DER),
                media_type="application/ocsp-request",
                seconds=self._options.seconds,
                limit=_ANSWER_BYTES,
            )
        except Unanswered as error:
            self._pause_until = time.monotonic() + _PAUSE_SECONDS
            LOG.warning("OCSP: %s", error)
            raise
        try:
            return read_answer(data, certificate, issuer, nonce, now)
        except Unanswered as error:
            self._remember(self._pauses, key, time.monotonic() + _PAUSE_SECONDS)
            LOG.warning("OCSP: %s", error)
            raise


def read_answer(data: bytes, certificate: x509.Certificate, issuer: x509.Certificate, nonce: bytes, now: datetime) -> _Verdict:
    """What the answer says of `certificate`. Raises Unanswered for one that does not count."""
    try:
        answer = ocsp.load_der_ocsp_response(data)
        if answer.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise Unanswered(f"the responder says {answer.response_status.name.lower()}")
        single = _single(answer, certificate, issuer)
        _check_signature(answer, issuer, now)
        _check_nonce(answer, nonce)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
        raise Unanswered(f"the answer is damaged: {error or type(error).__name__}") from None
    begins, ends = single.this_update_utc, single.next_update_utc
    if begins > now + _SKEW:
        raise Unanswered("thisUpdate of the answer lies in the future")
    ends = ends if ends is not None else begins + _WITHOUT_NEXT_UPDATE
    if ends + _SKEW < now:
        raise Unanswered("nextUpdate of the answer has passed")
    if single.certificate_status is ocsp.OCSPCertStatus.UNKNOWN:
        raise Unanswered("the responder does not know the certificate")
    return _Verdict(single.certificate_status is ocsp.OCSPCertStatus.REVOKED, min(max(ends, now), now + _LONGEST), ends)


def _single(answer: ocsp.OCSPResponse, certificate: x509.Certificate, issuer: x509.Certificate) -> ocsp.OCSPSingleResponse:
    """The part of the answer about this certificate: serial number, name and key of the issuer are those asked for."""
    for single in answer.responses:
        wanted = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, single.hash_algorithm).build()
        if (single.serial_number, single.issuer_name_hash, single.issuer_key_hash) == (
            certificate.serial_number,
            wanted.issuer_name_hash,
            wanted.issuer_key_hash,
        ):
            return single
    raise Unanswered("the answer is about another certificate")


def _check_nonce(answer: ocsp.OCSPResponse, nonce: bytes) -> None:
    try:
        said = answer.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
    except x509.ExtensionNotFound:
        return  # answers made in advance have none
    # Some responders wrap the value in one more OCTET STRING.
    if said not in (nonce, bytes((4, len(nonce))) + nonce):
        raise Unanswered("the nonce of the answer is not ours")


def _check_signature(answer: ocsp.OCSPResponse, issuer: x509.Certificate, now: datetime) -> None:
    for signer in (issuer, *answer.certificates):
        if not _signed_by(answer, signer):
            continue
        if signer.public_key() == issuer.public_key() or _may_answer(signer, issuer, now):
            return
    raise Unanswered("the answer is not signed by the issuer, nor by a responder of its own")


def _signed_by(answer: ocsp.OCSPResponse, signer: x509.Certificate) -> bool:
    key, algorithm = signer.public_key(), answer.signature_hash_algorithm
    if algorithm is None or isinstance(algorithm, hashes.SHA1 | hashes.MD5):
        return False
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(answer.signature, answer.tbs_response_bytes, padding.PKCS1v15(), algorithm)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(answer.signature, answer.tbs_response_bytes, ec.ECDSA(algorithm))
        else:
            return False
    except InvalidSignature:
        return False
    return True


def _may_answer(signer: x509.Certificate, issuer: x509.Certificate, now: datetime) -> bool:
    """Whether the issuer itself has certified this responder, and it is in force (RFC 6960: 4.2.2.2)."""
    try:
        signer.verify_directly_issued_by(issuer)
        uses = signer.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    in_force = signer.not_valid_before_utc <= now <= signer.not_valid_after_utc
    return in_force and ExtendedKeyUsageOID.OCSP_SIGNING in uses
