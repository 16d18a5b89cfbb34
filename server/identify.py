"""Who is calling: the node at the other end of the connection, and the person or automaton that its assertion proves.

One `Identify` is composed of both for the endpoint. An assertion is looked at where `security.assertions` says so; without any
authority or issuer to believe (a plain server as it comes) there is nothing to look at it with.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from lxml import etree

from metadata.vocabulary import Transaction
from security import rules_assertion
from security.refusal import Denied
from security.saml import Sender, Verifier, VerifierOptions
from security.saml_issuers import DEFAULT_ISSUERS, Issuer, IssuerFileError, read_issuers
from security.saml_signature import find_assertion
from security.saml_uses import StoredUses
from security.trust_files import LiveTrust
from server.settings import SettingError, Settings
from server.trust import identify_node, node_of
from soap.call import Answer, Call, Caller, Handler
from soap.request import Identify
from soap.signing import SIGNER
from storage.database import Database

LOG = logging.getLogger("carnet.trust")


def identify_of(settings: Settings, trust: LiveTrust, database: Database) -> Identify:
    """The endpoint's. Raises SettingError."""
    node = identify_node(node_of(settings, trust), settings)
    verifier = verifier_of(settings, trust, database)
    if verifier is None:
        return node

    def identify(environ: Mapping[str, Any], headers: Sequence[etree._Element]) -> Caller:
        caller = node(environ, headers)
        sender = Sender(caller.certificate_der, caller.partner, environ.get(SIGNER))
        try:
            if sender.relays and find_assertion(headers) is None:
                return caller  # a repository asks in its own name; `Asserted` says what it may ask
            assertion = verifier.verify(headers, sender)
        except Denied as denied:
            denied.caller = caller
            raise
        return replace(caller, assertion=assertion)

    return identify


class Asserted:
    """A handler where each message needs an assertion, but a stored query that an enrolled repository asks in its own name."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    def __call__(self, call: Call) -> Answer:
        """Raises Denied SAM-001."""
        if call.caller.assertion is None and call.transaction is not Transaction.ITI_18:
            raise rules_assertion.REQUIRED.denied()
        return self._handler(call)


def verifier_of(settings: Settings, trust: LiveTrust, database: Database) -> Verifier | None:
    """Who verifies assertions; None where they are not looked at. Raises SettingError."""
    if assertions(settings) == "off":
        return None
    return Verifier(trust.refresh, verifier_options(settings), StoredUses(database))


def verifier_options(settings: Settings) -> VerifierOptions:
    """How assertions are judged. Raises SettingError."""
    security = settings.security
    return VerifierOptions(
        issuers=issuers_of(settings),
        required=assertions(settings) == "require",
        secured=security.secure,
        audience=audiences(settings),
        skew=timedelta(seconds=security.assertion_skew),
        warn=_warn,
    )


def _warn(text: str) -> None:
    LOG.warning("assertion let pass: %s", text)


def assertions(settings: Settings) -> str:
    """off, accept or require: what `security.assertions` means on this server."""
    security = settings.security
    if security.assertions != "auto":
        return security.assertions
    if security.secure:
        return "require"
    return "accept" if security.authorities or security.pki or security.assertion_issuers else "off"


def audiences(settings: Settings) -> tuple[str, ...]:
    """The URIs by which an assertion may name this server."""
    named = [piece.strip() for piece in settings.security.assertion_audience.split(",")]
    return tuple(dict.fromkeys(filter(None, (*named, settings.server.public_url.rstrip("/")))))


def issuers_of(settings: Settings) -> tuple[Issuer, ...]:
    """Whose assertions are believed. Raises SettingError."""
    path = settings.security.assertion_issuers
    if not path:
        return DEFAULT_ISSUERS
    try:
        return read_issuers(Path(path))
    except IssuerFileError as error:
        raise SettingError(f"{settings.origins.get('security.assertion_issuers')}: security.assertion_issuers: {error}") from None


def check(settings: Settings) -> None:
    """What can be told before the server starts. Raises SettingError."""
    issuers = issuers_of(settings)
    security = settings.security
    believed = security.authorities or security.pki or any(one.store is not None or one.pinned for one in issuers)
    if security.assertions in ("accept", "require") and not believed:
        raise SettingError(
            f"{settings.origins.get('security.assertions')}: security.assertions = {security.assertions} needs authorities whose "
            "certificates sign assertions: set security.authorities, security.pki or security.assertion_issuers"
        )
