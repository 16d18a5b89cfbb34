"""TLS contexts: which versions and certificates a listener of ours takes (RFC 9325; ITI TF-2: 3.19.6.2)."""

from __future__ import annotations

import ssl


class TlsError(Exception):
    """A certificate, key or authority file that cannot be used; the text names it."""


def server_context(certificate: str, key: str, authorities: str = "") -> ssl.SSLContext:
    """The context of a listener: TLS 1.2 and 1.3, PEM files. With `authorities` every client must show a certificate of theirs.

    Raises TlsError.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise TlsError(f"certificate {certificate} with key {key}: {error}") from None
    if authorities:
        try:
            context.load_verify_locations(authorities)
        except (OSError, ssl.SSLError) as error:
            raise TlsError(f"authorities {authorities}: {error}") from None
        context.verify_mode = ssl.CERT_REQUIRED
    return context
