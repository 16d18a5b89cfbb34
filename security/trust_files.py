"""Trust out of files, replaced while requests are served: authorities, revocation lists, enrolled partners.

`LiveTrust.refresh` looks at the files (a `stat` each) and reads them again when one has changed. What cannot be read is told and
changes nothing: what was in force stays. The first reading must succeed.
"""

from __future__ import annotations

import logging
import re
import threading
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from security.pki import PkiError, read_index
from security.tls import file_state
from security.trust import Partner, TrustOptions, TrustStore

LOG = logging.getLogger("carnet.trust")
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_TRANSACTION = re.compile(r"ITI-[0-9]{1,3}|DMP-[a-z]{1,32}")
_KEYS: Mapping[str, type] = {
    "organisation": str, "name": str, "kind": str, "identifier": str, "certificate": str, "sha256": list, "transactions": list,
    "relays": bool,
}  # fmt: skip
_KINDS: Mapping[type, str] = {str: "a text", list: "a list of texts", bool: "true or false"}


class TrustFileError(Exception):
    """A file of authorities, lists or partners that cannot be used; the text names it, the place and what is accepted."""


@dataclass(frozen=True, slots=True)
class TrustSources:
    """Where trust comes from: PEM files of authorities, revocation lists (PEM or DER), a folder of fetched lists (`*.crl`), the
    `index.json` of a test authority, the TOML file of partners."""

    authorities: tuple[Path, ...] = ()
    lists: tuple[Path, ...] = ()
    fetched: Path | None = None
    index: Path | None = None
    partners: Path | None = None

    def files(self) -> Iterator[Path]:
        """Everything of which a change counts. A list renamed into `fetched` changes that folder."""
        yield from (*self.authorities, *self.lists)
        yield from (one for one in (self.fetched, self.index, self.partners) if one is not None)


class LiveTrust:
    """A `TrustStore` that follows its files. Raises TrustFileError when they cannot be read at first. Safe for threads."""

    def __init__(self, sources: TrustSources, options: TrustOptions | None = None) -> None:
        self.sources = sources
        self.store = TrustStore(options=options or TrustOptions())
        self._lock = threading.Lock()
        self._seen = file_state([*sources.files()])
        self._read()

    def refresh(self) -> TrustStore:
        """The store, as the files are now."""
        state = file_state([*self.sources.files()])
        if state != self._seen and self._lock.acquire(blocking=False):
            try:
                self._seen = state
                self._read()
                LOG.info("authorities, revocation lists and partners were read again")
            except TrustFileError as error:
                LOG.error("%s; what was in force stays", error)
            finally:
                self._lock.release()
        return self.store

    def _read(self) -> None:
        sources = self.sources
        authorities = [one for file in sources.authorities for one in read_certificates(file)]
        lists = [read_list(file) for file in sources.lists]
        lists += [one for one in map(_fetched, _fetched_files(sources.fetched)) if one is not None]
        partners: dict[str, Partner] = {}
        if sources.index is not None:
            partners |= partners_of_index(sources.index)
        if sources.partners is not None:
            partners |= partners_of_toml(sources.partners)
        self.store.replace(authorities, lists, partners)


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise TrustFileError(f"{file} cannot be read: {error.strerror}") from None


def read_certificates(file: Path) -> list[x509.Certificate]:
    """The certificates of a PEM file, one at least. Raises TrustFileError."""
    try:
        return x509.load_pem_x509_certificates(_content(file))
    except ValueError as wrong:
        raise TrustFileError(
            f"{file} holds no certificates in PEM form ({wrong}); expected: -----BEGIN CERTIFICATE-----"
        ) from None


def fingerprints(file: Path) -> list[str]:
    """SHA-256 of each certificate of a PEM file, in hexadecimal. Raises TrustFileError."""
    return [one.fingerprint(hashes.SHA256()).hex() for one in read_certificates(file)]


def parse_list(data: bytes) -> x509.CertificateRevocationList:
    """A revocation list, PEM or DER. Raises ValueError."""
    crl = x509.load_pem_x509_crl(data) if data.lstrip().startswith(b"-----") else x509.load_der_x509_crl(data)
    list(crl.extensions)  # read now, so that damage shows here
    return crl


def read_list(file: Path) -> x509.CertificateRevocationList:
    """Raises TrustFileError."""
    try:
        return parse_list(_content(file))
    except (ValueError, x509.DuplicateExtension) as wrong:
        raise TrustFileError(f"{file} is no revocation list in PEM or DER form ({wrong})") from None


def _fetched_files(folder: Path | None) -> list[Path]:
    return sorted(folder.glob("*.crl")) if folder is not None else []


def _fetched(file: Path) -> x509.CertificateRevocationList | None:
    """A list that was fetched; it was good when it was kept, and a damaged one must not stop the server."""
    try:
        return read_list(file)
    except TrustFileError as error:
        LOG.error("%s; it is fetched again", error)
        return None


# --------------------------------------------------------------------------------------------------------------- partners


def partners_of_index(file: Path) -> dict[str, Partner]:
    """Everything that a test authority issued, by SHA-256 of the certificate: revoked ones too, the list tells of them."""
    try:
        rows = read_index(file)
    except OSError as error:
        raise TrustFileError(f"{file} cannot be read: {error.strerror}") from None
    except PkiError as error:
        raise TrustFileError(str(error)) from None
    return {
        row.sha256: Partner(
            row.sha256,
            row.organisation,
            row.name,
            row.kind,
            row.identifier,
            frozenset(row.transactions),
            row.relays,
        )
        for row in rows
    }


def partners_of_toml(file: Path) -> dict[str, Partner]:
    """The `[[partner]]` tables of a TOML file, by SHA-256 of each certificate.

    `organisation` is wanted, and `certificate` (a PEM file, beside this one unless absolute) or `sha256` (a list of
    fingerprints): old and new certificate of a partner may both be enrolled. `transactions` (`["ITI-41"]`) are those it may send,
    when left out `Partner.allowed`; `name`, `kind`, `identifier`, `relays` as in `Partner`. Raises TrustFileError with all
    that is wrong.
    """
    try:
        content = tomllib.loads(_content(file).decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise TrustFileError(f"{file} cannot be read: {error}") from None
    tables = content.get("partner", [])
    wrong = [f"{file}: there is no key {key}; accepted: [[partner]]" for key in content if key != "partner"]
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        wrong.append(f"{file}: partner must be a list of tables: write [[partner]] above each")
        tables = []
    partners: dict[str, Partner] = {}
    for number, table in enumerate(tables, 1):
        try:
            for partner in _partners_of_table(table, file):
                if partner.sha256 in partners:
                    raise TrustFileError(f"certificate {partner.sha256} is enrolled twice")
                partners[partner.sha256] = partner
        except TrustFileError as error:
            wrong.append(f"{file}: partner {number} ({table.get('organisation', 'unnamed')}): {error}")
    if wrong:
        raise TrustFileError("\n".join(wrong))
    return partners


def _partners_of_table(table: Mapping[str, Any], file: Path) -> list[Partner]:
    for key, value in table.items():
        if key not in _KEYS:
            raise TrustFileError(f"there is no key {key}; accepted: {', '.join(_KEYS)}")
        if not isinstance(value, _KEYS[key]) or (isinstance(value, list) and not all(isinstance(one, str) for one in value)):
            kind = _KINDS[_KEYS[key]]
            raise TrustFileError(f"{key} = {value!r}: {kind} is expected")
    if not table.get("organisation"):
        raise TrustFileError("organisation is missing")
    prints = [one.replace(":", "").lower() for one in table.get("sha256", [])]
    for one in prints:
        if not _FINGERPRINT.fullmatch(one):
            raise TrustFileError(
                f"sha256 {one!r}: 64 hexadecimal digits are expected, as 'openssl x509 -fingerprint -sha256' prints"
            )
    for transaction in table.get("transactions", []):
        if not _TRANSACTION.fullmatch(transaction):
            raise TrustFileError(f"transactions {transaction!r}: names like ITI-41 or DMP-patients are expected")
    if "certificate" in table:
        prints += fingerprints(file.parent / table["certificate"])
    if not prints:
        raise TrustFileError("certificate (a PEM file) or sha256 (a list of fingerprints) is missing")
    about = {key: table.get(key, "") for key in ("organisation", "name", "kind", "identifier")}
    relays, transactions = table.get("relays", False), frozenset(table.get("transactions", []))
    return [Partner(sha256=one, transactions=transactions, relays=relays, **about) for one in prints]
