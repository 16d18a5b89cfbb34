"""The certificates of enrolled partners that lie beside their enrolment, for signatures that only name one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from security.trust_files import LiveTrust, TrustFileError, read_certificates


class EnrolledFiles:
    """The certificates of enrolled partners of which there are files: a sender may name such a one without sending it."""

    def __init__(self, trust: LiveTrust) -> None:
        self._trust = trust
        self._partners: object = None
        self._certificates: tuple[x509.Certificate, ...] = ()

    def __call__(self) -> Sequence[x509.Certificate]:
        """The same object until the partners change."""
        partners = self._trust.refresh().partners
        if partners is not self._partners:
            known = (one for file in self._files() for one in _readable(file))
            self._certificates = tuple(one for one in known if one.fingerprint(hashes.SHA256()).hex() in partners)
            self._partners = partners
        return self._certificates

    def _files(self) -> list[Path]:
        sources = self._trust.sources
        folders = {file.parent for file in (sources.index, sources.partners) if file is not None}
        return sorted(file for folder in folders for kind in ("*.crt", "*.pem") for file in folder.rglob(kind))


def _readable(file: Path) -> list[x509.Certificate]:
    try:
        return read_certificates(file)
    except TrustFileError:
        return []  # a key, or something else that is none of the partners' certificates
