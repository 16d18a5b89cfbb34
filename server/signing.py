"""Signed messages out of the settings: who verifies requests, who signs answers."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from security.canonical import self_test
from security.enrolled import EnrolledFiles
from security.message_writer import Message, MessageSigner, SignedHead
from security.replay import ReplayStore
from security.signed_message import MessageVerifier, Window
from security.signer import Enrolled
from security.tls import file_state
from security.trust_files import LiveTrust
from server.settings import SettingError, Settings
from server.trust import listener_files
from soap.endpoint import EndpointOptions
from soap.signing import RequestVerifier
from storage.database import Database


def with_signatures(options: EndpointOptions, settings: Settings, trust: LiveTrust, database: Database) -> EndpointOptions:
    """The endpoint's options with what signed messages need. Raises SettingError."""
    verifier = verifier_of(settings, trust, database)
    signer = signer_of(settings)
    always = settings.security.sign_answers == "always"
    return replace(options, verifier=verifier, signer=signer, sign_always=always)


def verifier_of(settings: Settings, trust: LiveTrust, database: Database) -> RequestVerifier | None:
    """Who verifies signed requests. None where signatures are not looked at: by setting, or because no authority is believed."""
    security = settings.security
    if security.signed_messages == "off" or not trust.sources.authorities:
        return None
    self_test()
    messages = MessageVerifier(trust.refresh, Enrolled(EnrolledFiles(trust)), window_of(settings))
    required = security.signed_messages == "require"
    return RequestVerifier(messages, ReplayStore(database).message, required, addresses_of(settings))


def window_of(settings: Settings) -> Window:
    """How old a signed message may be, and how far clocks may differ."""
    return Window(timedelta(seconds=settings.security.message_seconds), timedelta(seconds=settings.security.message_skew))


def signer_of(settings: Settings) -> LiveSigner | None:
    """Who signs answers. None where none are signed: by setting, or because there is no key. Raises SettingError."""
    security = settings.security
    if security.sign_answers == "never":
        return None
    if security.signing_certificate:
        return LiveSigner(Path(security.signing_certificate), Path(security.signing_key))
    if security.certificate or security.pki:
        own = listener_files(settings)
        return LiveSigner(own.certificate, own.key)
    return None


def request_signer(settings: Settings) -> LiveSigner | None:
    """Who signs the messages of a repository to its registry elsewhere: `security.signing_certificate`, where it is set."""
    security = settings.security
    return LiveSigner(Path(security.signing_certificate), Path(security.signing_key)) if security.signing_certificate else None


def check(settings: Settings) -> None:
    """What can be told before the server starts. Raises SettingError."""
    security, origins = settings.security, settings.origins
    trusted = bool(security.authorities or security.pki)
    if security.signed_messages == "require" and not trusted:
        raise SettingError(
            f"{origins.get('security.signed_messages')}: security.signed_messages = require needs authorities whose certificates "
            "are believed: set security.authorities or security.pki"
        )
    if bool(security.signing_certificate) != bool(security.signing_key):
        raise SettingError("security.signing_certificate and security.signing_key are set together or not at all")
    if security.sign_answers == "always" and not (security.signing_certificate or security.certificate or security.pki):
        raise SettingError(
            f"{origins.get('security.sign_answers')}: security.sign_answers = always needs a certificate: set "
            "security.signing_certificate and security.signing_key"
        )
    addresses_of(settings)
    signer_of(settings)


def addresses_of(settings: Settings) -> tuple[str, ...]:
    """The base addresses that wsa:To may name beside the one that was asked. Raises SettingError."""
    found = tuple(filter(None, (piece.strip() for piece in settings.security.message_addresses.split(","))))
    for url in found:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise SettingError(
                f"{settings.origins.get('security.message_addresses')}: security.message_addresses: {url!r} is no base address; "
                "expected: https://host or https://host:port/path, separated by commas"
            )
    return found


class LiveSigner:
    """The signer of a certificate and key that may be replaced while requests are served. Raises SettingError at first."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self._certificate, self._key = certificate, key
        self._lock = threading.Lock()
        self._seen = file_state((certificate, key))
        try:
            self._signer = self._read()
        except (OSError, ValueError, TypeError) as error:
            raise SettingError(f"messages cannot be signed with certificate {certificate} and key {key}: {error}") from None

    def _read(self) -> MessageSigner:
        return MessageSigner(self._certificate.read_bytes(), self._key.read_bytes())

    def sign(self, message: Message) -> SignedHead:
        """With the signer in force."""
        return self().sign(message)

    def __call__(self) -> MessageSigner:
        """The signer in force: as the files are now, or as they were while they do not fit together."""
        state = file_state((self._certificate, self._key))
        if state != self._seen and self._lock.acquire(blocking=False):
            try:
                self._signer = self._read()
                self._seen = state
            except (OSError, ValueError, TypeError):
                pass  # half of a pair: the other half is being written
            finally:
                self._lock.release()
        return self._signer
