"""The patient identity feed out of the settings: whose identifiers are the domain's, and the listener of ITI-8."""

from __future__ import annotations

import atexit
import socket
import time
from collections.abc import Callable
from pathlib import Path

from metadata.datatypes import is_oid
from metadata.model import Code
from metadata.vocabulary import Transaction
from registry.codes import CodeBook
from registry.iti64 import Moved, NotifyLinkChange
from registry.patient_feed import LINK_CHANGE, PatientIdentityFeed, Reply
from registry.patient_identity import Authorities, IdentityFeed
from security.access import Ihe
from security.tls import LiveContext, TlsError
from security.trust import require_transaction
from security.trust_files import LiveTrust
from server.access import policy_in_force
from server.audit import Trail
from server.audit_feed import audited
from server.explain_page import explain_base
from server.metrics import Metrics
from server.mllp import MllpListener, MllpOptions, Secured
from server.settings import SettingError, Settings
from server.trust import context_of, node_of
from storage.database import Database


def authorities(settings: Settings) -> Authorities:
    """The assigning authorities of the domain. Raises SettingError for what is no OID."""
    by_namespace: dict[str, str] = {}
    accepted: set[str] = set()
    for item in filter(None, (piece.strip() for piece in settings.domain.authorities.split(","))):
        namespace, _, oid = item.removesuffix("&ISO").rpartition("&")
        if not is_oid(oid):
            place = settings.origins.get("domain.authorities")
            raise SettingError(f"{place}: domain.authorities: {item!r} is not accepted; accepted: OID or NAMESPACE&OID")
        accepted.add(oid)
        if namespace:
            by_namespace[namespace] = oid
    domain = settings.domain
    return Authorities(frozenset(accepted), by_namespace, check_ins=domain.ins == "check", merges=domain.merge == "accept")


def link_change_code(settings: Settings) -> Code | None:
    """The contentTypeCode of link changes; None where the domain takes none. Raises SettingError for what is no coded value."""
    said = settings.domain.link_change
    if not said:
        return None
    code, *rest = said.split("^")
    if len(rest) != 2 or not code or not rest[1]:
        place = settings.origins.get("domain.link_change")
        raise SettingError(f"{place}: domain.link_change: {said!r} is not accepted; accepted: CODE^DISPLAY^SCHEME")
    return Code(code, rest[1], rest[0])


def identity_feed(
    database: Database,
    settings: Settings,
    metrics: Metrics,
    listener: socket.socket,
    moved: Moved | None = None,
    trail: Trail | None = None,
    secured: Secured | None = None,
) -> MllpListener:
    """ITI-8, and ITI-64 where it is switched on, on a listening socket, begun; ended with the process, when the messages begun
    are answered. `moved` takes the documents of a link change along; every message leaves a record in `trail`.
    `secured` is its TLS."""
    code = link_change_code(settings)
    link_changes = NotifyLinkChange(database, CodeBook(), code, moved) if code else None
    allowed = feed_allowed(settings)
    feed = IdentityFeed(database, authorities(settings))
    answer: Callable[[bytes], Reply] = PatientIdentityFeed(feed, link_changes, allowed, _explain_base(settings))
    if trail is not None:
        answer = audited(trail, answer)

    def counted(message: bytes) -> Reply:
        began = time.perf_counter()
        reply = answer(message)
        codes = [finding.code.value for finding in reply.findings]
        transaction = Transaction.ITI_64 if reply.event == LINK_CHANGE else Transaction.ITI_8
        metrics.transaction(transaction.code, reply.code, time.perf_counter() - began, codes)
        return reply

    mllp = MllpListener(listener, counted, mllp_options(settings), secured)
    mllp.start()
    atexit.register(mllp.close)
    return mllp


def _explain_base(settings: Settings) -> str:
    """Where refusals link to; nowhere while no setting names an address: MLLP does not tell how the server is reached."""
    base = explain_base(settings)
    if base.startswith("/"):
        public = settings.server.public_url.rstrip("/")
        return public + base if public else ""
    return base


def feed_allowed(settings: Settings) -> Callable[[str], None] | None:
    """Who may send identities over MLLP, by the matrix of rights: a sender is proved by the certificate that the listener asks
    for. None where everybody may. Raises SettingError."""
    policy = policy_in_force(settings)
    return None if isinstance(policy, Ihe) else lambda code: policy.demand_feed(code, None, _proved(settings))


def mllp_options(settings: Settings) -> MllpOptions:
    """The listener of ITI-8."""
    mllp = settings.mllp
    return MllpOptions(mllp.message, mllp.connections, mllp.idle, mllp.message_seconds, settings.server.drain_seconds)


def _proved(settings: Settings) -> bool:
    """Whether every sender has shown a certificate."""
    return bool(settings.mllp.authorities) or settings.security.secure


def mllp_tls(settings: Settings) -> LiveContext | None:
    """TLS of ITI-8; None where it is plain. On a secured server it is that of the listener unless `mllp` has its own. Raises
    SettingError for files that cannot be used."""
    mllp, secure = settings.mllp, settings.security.secure
    if secure and ((mllp.certificate and not mllp.authorities) or (not mllp.certificate and settings.security.front != "off")):
        raise SettingError(
            "mllp.port: with security.secure every sender shows a certificate: set mllp.certificate, mllp.key, mllp.authorities"
        )
    if not mllp.certificate:
        return context_of(settings) if secure else None
    try:
        authorities = [Path(mllp.authorities)] if mllp.authorities else []
        return LiveContext(Path(mllp.certificate), Path(mllp.key), authorities)
    except TlsError as error:
        raise SettingError(f"mllp.certificate, mllp.key, mllp.authorities: {error}") from None


def mllp_secured(settings: Settings, trust: LiveTrust, failed: Callable[[str, Exception], None]) -> Secured | None:
    """How connections of ITI-8 are secured: on a secured server senders are enrolled partners. Raises SettingError."""
    context, node = mllp_tls(settings), node_of(settings, trust)
    if context is None:
        return None

    def admit(certificate: bytes | None) -> None:
        assert node is not None
        partner = node(certificate).partner
        if Transaction.ITI_64.code not in partner.transactions:
            require_transaction(partner, Transaction.ITI_8.code)

    return Secured(context, admit if node is not None else None, failed)
