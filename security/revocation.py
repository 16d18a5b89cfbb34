"""Revocation lists from their authorities, fetched over HTTP and kept on disk: a restart or a dead authority costs nothing.

Each address has one file in the folder, named by the SHA-256 of the address. It is replaced in one step, and only by a list
that the store accepts: signed by a trusted authority, whole in its scope, with a number not below the last. Of several
processes on one folder one fetches (a lock), all read (`LiveTrust` sees that the folder has changed).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from security.outbound import Unanswered, ask, check_address
from security.trust_files import LiveTrust, parse_list

LOG = logging.getLogger("carnet.trust")

__all__ = ["ListFetcher", "check_address"]

#: The largest list taken: those of national authorities have some megabytes.
LIST_BYTES = 64 * 1024 * 1024
_RETRY_SECONDS = 60.0


class ListFetcher:
    """Keeps the lists of `urls` in `folder` not older than `interval`. `start` does so on a thread of its own until `stop`."""

    def __init__(self, urls: Sequence[str], folder: Path, interval: timedelta, trust: LiveTrust, seconds: float = 30.0) -> None:
        self._urls = tuple(urls)
        self._folder = folder
        self._interval = interval.total_seconds()
        self._trust = trust
        self._seconds = seconds
        self._stop = threading.Event()
        self._once = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, wait: float = 10.0) -> None:
        """Returns when every list has been asked for once, or after `wait` seconds: without a list nobody is let in."""
        self._thread = threading.Thread(target=self._run, name="revocation", daemon=True)
        self._thread.start()
        self._once.wait(wait)

    def stop(self) -> None:
        self._stop.set()

    def fetch(self) -> list[str]:
        """Fetch what is due; what went wrong, one text for each address."""
        wrong = []
        for url in self._urls:
            with self._alone(url) as file:
                if file is None or not self._due(file):
                    continue
                try:
                    self._keep(file, self._parsed(url))
                except (Unanswered, OSError) as error:
                    wrong.append(f"revocation list not fetched: {error}")
        if wrong:
            LOG.warning("%s", "; ".join(wrong))
        self._trust.refresh()
        return wrong

    def file_of(self, url: str) -> Path:
        """Where the list of this address is kept (DER)."""
        return self._folder / f"{hashlib.sha256(url.encode()).hexdigest()[:32]}.crl"

    def _run(self) -> None:
        while not self._stop.is_set():
            wrong = self.fetch()
            self._once.set()
            age = self._trust.store.list_age()
            if age is not None and age > 0.5:
                LOG.warning("the oldest revocation list in force has used %d %% of its life", age * 100)
            self._stop.wait(min(self._interval, _RETRY_SECONDS) if wrong else self._interval)

    def _due(self, file: Path) -> bool:
        try:
            age = time.time() - file.stat().st_mtime
        except FileNotFoundError:
            return True
        return not 0 <= age < self._interval * 0.9

    def _parsed(self, url: str) -> x509.CertificateRevocationList:
        data = ask(url, seconds=self._seconds, limit=LIST_BYTES)
        try:
            crl = parse_list(data)
        except (ValueError, x509.DuplicateExtension) as error:
            raise Unanswered(f"{url} gave no revocation list: {error}") from None
        if not self._trust.store.accepts(crl):
            raise Unanswered(f"{url}: {self._trust.store.warnings[-1]}")
        return crl

    def _keep(self, file: Path, crl: x509.CertificateRevocationList) -> None:
        partial = file.with_suffix(f".{os.getpid()}")
        with open(partial, "wb") as out:
            out.write(crl.public_bytes(Encoding.DER))
            out.flush()
            os.fsync(out.fileno())
        partial.replace(file)

    @contextlib.contextmanager
    def _alone(self, url: str) -> Iterator[Path | None]:
        """The file of `url`, for one process at a time; None while another one is at it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        file = self.file_of(url)
        with open(file.with_suffix(".lock"), "ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield None
                return
            yield file
