"""Node authentication (ITI-19): the certificate of whoever is connected, checked on every request, and its enrolment.

The TLS layer has checked it once, when the connection was made; since then it may have been revoked, and a connection lives long.
Behind a proxy that does TLS the certificate comes in two headers, which are believed from a unix socket only.

Source: ITI TF-2: 3.19.6.1.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from security import rules_pki as rules
from security.refusal import Denied
from security.trust import Partner, Use
from security.trust_files import LiveTrust

#: As `deploy/nginx.conf` sets them.
_VERIFY, _CERTIFICATE, _ADDRESS = "HTTP_X_SSL_CLIENT_VERIFY", "HTTP_X_SSL_CLIENT_CERT", "HTTP_X_REAL_IP"
_LONGEST = 32 * 1024


@dataclass(frozen=True, slots=True)
class Node:
    """An authenticated node: its certificate (DER), the name in it (RFC 4514), its enrolment."""

    certificate_der: bytes
    subject: str
    partner: Partner


class NodeAuthentication:
    """Asked with the certificate of a connection, answers who that is. Safe for threads."""

    def __init__(self, trust: LiveTrust) -> None:
        self.trust = trust
        self._read: dict[bytes, tuple[x509.Certificate, str]] = {}

    def __call__(self, certificate_der: bytes | None) -> Node:
        """Raises `Denied` (PKI-...)."""
        if not certificate_der:
            raise rules.NO_CERTIFICATE.denied()
        certificate, subject = self._read.get(certificate_der) or self._parsed(certificate_der)
        store = self.trust.refresh()
        store.check(certificate, Use.AUTHENTICATION)
        return Node(certificate_der, subject, store.partner(certificate))

    def name_in(self, certificate_der: bytes | None) -> str:
        """The subject of a certificate that was refused, for the record; empty when it cannot be read."""
        try:
            return self._parsed(certificate_der)[1] if certificate_der else ""
        except Denied:
            return ""

    def _parsed(self, certificate_der: bytes) -> tuple[x509.Certificate, str]:
        """The certificate and its name. Remembered: what is asked of it is judged anew each time, its octets stay the same."""
        try:
            certificate = x509.load_der_x509_certificate(certificate_der)
            found = certificate, certificate.subject.rfc4514_string()
        except (ValueError, x509.InvalidVersion) as wrong:
            raise rules.UNREADABLE.denied(problem=wrong) from None
        if len(self._read) >= 1000:
            self._read.clear()
        self._read[certificate_der] = found
        return found


def front_certificate(environ: Mapping[str, Any]) -> bytes:
    """The client's certificate (DER) as the proxy in front hands it over. Raises `Denied`.

    The proxy sets both headers always, and its word is not enough: the certificate is checked again like any other.
    """
    if environ.get("REMOTE_ADDR"):
        raise rules.FRONT.denied(reason="the request did not come over the unix socket")
    verdict = environ.get(_VERIFY, "")
    if verdict == "NONE":
        raise rules.NO_CERTIFICATE.denied()
    if verdict != "SUCCESS":
        raise rules.FRONT.denied(reason=verdict or "X-SSL-Client-Verify is missing")
    escaped = environ.get(_CERTIFICATE, "")
    if not escaped or len(escaped) > _LONGEST or "," in escaped:
        raise rules.FRONT.denied(reason="X-SSL-Client-Cert holds no single certificate")
    pem = unquote_to_bytes(escaped)
    try:
        if pem.count(b"-----BEGIN ") != 1:
            raise ValueError("one certificate is expected")
        return x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
    except (ValueError, x509.InvalidVersion) as wrong:
        raise rules.UNREADABLE.denied(problem=wrong) from None


def front_address(environ: Mapping[str, Any]) -> str:
    """The client's address as the proxy in front saw it; empty when it says none."""
    address: str = environ.get(_ADDRESS, "")
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return ""
