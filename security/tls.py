"""TLS contexts: which versions and certificates a listener of ours takes (RFC 9325; ITI TF-2: 3.19.6.2), and their replacement.

`LiveContext` gives the context of the next handshake: when a file has changed, a new one; connections that are open keep theirs.
"""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Sequence
from pathlib import Path

from security.rules_pki import DATES, NO_CERTIFICATE, NO_PATH, WEAK_KEY, WRONG_USE

LOG = logging.getLogger("carnet.trust")

#: OpenSSL's codes of a failed verification (`openssl verify`, X509_V_ERR_...) and the rule each of them breaks.
_RULES = {
    2: NO_PATH, 7: NO_PATH, 9: DATES, 10: DATES, 18: NO_PATH, 19: NO_PATH, 20: NO_PATH, 21: NO_PATH, 22: NO_PATH, 24: NO_PATH,
    26: WRONG_USE, 66: WEAK_KEY, 67: WEAK_KEY, 68: WEAK_KEY, 79: NO_PATH,
}  # fmt: skip


class TlsError(Exception):
    """A certificate, key or authority file that cannot be used; the text names it."""


def server_context(certificate: str, key: str, authorities: str | Sequence[str] = ()) -> ssl.SSLContext:
    """The context of a listener: TLS 1.2 and 1.3, PEM files. With `authorities` every client must show a certificate of theirs.

    Raises TlsError.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Without tickets no resumed connection outlives the files that it was judged by.
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
    context.num_tickets = 0
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise TlsError(f"certificate {certificate} with key {key}: {error}") from None
    files = [authorities] if isinstance(authorities, str) else authorities
    for file in filter(None, files):
        try:
            context.load_verify_locations(file)
        except (OSError, ssl.SSLError) as error:
            raise TlsError(f"authorities {file}: {error}") from None
        context.verify_mode = ssl.CERT_REQUIRED
        # An authority that is named is believed, whoever issued it.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def client_context(authorities: str, certificate: str = "", key: str = "") -> ssl.SSLContext:
    """The context of a client that believes `authorities` (PEM; empty: the system's) and shows `certificate`. Raises TlsError."""
    try:
        context = ssl.create_default_context(cafile=authorities or None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if certificate:
            context.load_cert_chain(certificate, key or None)
    except (OSError, ssl.SSLError) as error:
        raise TlsError(
            f"the certificates cannot be used ({', '.join(filter(None, (authorities, certificate, key)))}): {error}"
        ) from None
    return context


class LiveContext:
    """Calling it gives the context for one handshake. Raises TlsError when the files cannot be used at first. Safe for threads.

    Certificate and key are two files: while only one of them has been replaced they do not fit, and the context in force stays.
    """

    def __init__(self, certificate: Path, key: Path, authorities: Sequence[Path]) -> None:
        self._files = (certificate, key, *authorities)
        self._lock = threading.Lock()
        self._seen = self._state()
        self._context = self._make()

    def __call__(self) -> ssl.SSLContext:
        state = self._state()
        if state != self._seen and self._lock.acquire(blocking=False):
            try:
                self._seen = state
                self._context = self._make()
                LOG.info("certificate, key and authorities of the listener were read again")
            except TlsError as error:
                LOG.error("%s; what was in force stays", error)
            finally:
                self._lock.release()
        return self._context

    def _make(self) -> ssl.SSLContext:
        certificate, key, *authorities = (str(file) for file in self._files)
        return server_context(certificate, key, authorities)

    def _state(self) -> tuple[object, ...]:
        return file_state(self._files)


def file_state(files: Sequence[Path]) -> tuple[object, ...]:
    """What changes when one of the files does."""

    def of(file: Path) -> object:
        try:
            state = file.stat()
        except OSError as error:
            return error.errno
        return state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns

    return tuple(of(file) for file in files)


def handshake_failure(error: Exception) -> str:
    """Why a handshake failed, for log and audit: the rule where there is one, and OpenSSL's words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        rule = _RULES.get(error.verify_code, NO_PATH)
        return f"{rule.id} {error.verify_message}"
    reason = error.reason if isinstance(error, ssl.SSLError) else None
    if reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
        return f"{NO_CERTIFICATE.id} no client certificate was shown"
    return reason.replace("_", " ").lower() if reason else str(error) or type(error).__name__
