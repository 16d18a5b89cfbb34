"""Trust out of the settings: which files hold certificates, authorities, lists and partners, and what runs beside the server.

With `security.pki` everything that is not set otherwise comes from that folder, and a certificate for the listener is issued
there when it holds none.
"""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lxml import etree

from security.node import NodeAuthentication, front_address, front_certificate
from security.ocsp import OcspOptions, OcspResponder
from security.pki import PkiError, TestAuthority
from security.refusal import Denied
from security.revocation import ListFetcher, check_address
from security.tls import LiveContext, TlsError, client_context, handshake_failure
from security.trust import TrustOptions
from security.trust_files import LiveTrust, TrustFileError, TrustSources, read_certificates
from server.http import Tls, peer_certificate
from server.settings import SettingError, Settings
from soap.call import Caller
from soap.endpoint import anonymous
from soap.request import Identify

LOG = logging.getLogger("carnet.trust")


@dataclass(frozen=True, slots=True)
class Listener:
    """The files of the listener's own certificate."""

    certificate: Path
    key: Path


def sources_of(settings: Settings) -> TrustSources:
    """Where trust comes from."""
    security = settings.security
    pki = Path(security.pki) if security.pki else None
    authorities, lists = _paths(security.authorities), _paths(security.crl_files)
    fetched = _fetched_folder(settings) if security.crl_urls else None
    return TrustSources(
        authorities=authorities or ((pki / "ca.crt",) if pki else ()),
        lists=lists or ((pki / "ca.crl",) if pki and not security.crl_urls else ()),
        fetched=fetched,
        index=pki / "index.json" if pki and not security.partners else None,
        partners=Path(security.partners) if security.partners else None,
    )


def trust_options(settings: Settings) -> TrustOptions:
    """How certificates are judged."""
    security = settings.security
    return TrustOptions(
        crl_required=security.crl_required,
        crl_grace=timedelta(hours=security.crl_grace_hours),
        policies=frozenset(_words(security.policies)),
        minimum_rsa=security.minimum_rsa,
    )


def ocsp_options(settings: Settings) -> OcspOptions | None:
    """Which responder is asked; None: none is."""
    security = settings.security
    return OcspOptions(security.ocsp_url, required=security.ocsp == "require") if security.ocsp_url else None


def fetcher_of(settings: Settings, trust: LiveTrust) -> ListFetcher | None:
    """Who fetches revocation lists; None: nobody need."""
    urls = _words(settings.security.crl_urls)
    if not urls:
        return None
    return ListFetcher(urls, _fetched_folder(settings), fetch_interval(settings), trust)


def fetch_interval(settings: Settings) -> timedelta:
    """How old a fetched list may become."""
    return timedelta(minutes=settings.security.crl_minutes)


def gauges_of(settings: Settings, trust: LiveTrust) -> dict[str, tuple[str, Callable[[], float]]]:
    """What whoever watches the server should see coming: certificates and lists that end."""
    gauges: dict[str, tuple[str, Callable[[], float]]] = {}
    if trust.sources.lists or trust.sources.fetched is not None:
        about = "Share of its life that the oldest revocation list in force has used; 1 at its nextUpdate."
        gauges["carnet_revocation_list_age"] = (about, lambda: trust.refresh().list_age() or 0.0)
    if settings.security.secure and settings.security.front == "off":
        file = listener_files(settings).certificate
        gauges["carnet_certificate_days"] = ("Days until the listener's certificate ends.", lambda: _days_left(file))
    return gauges


def _days_left(file: Path) -> float:
    try:
        ends = min(one.not_valid_after_utc for one in read_certificates(file))
    except TrustFileError:
        return 0.0
    return (ends - datetime.now(UTC)).total_seconds() / 86_400


def check(settings: Settings) -> None:
    """What can be told before the server starts: files that cannot be used, addresses that are none. Raises SettingError."""
    security = settings.security
    for key in ("crl_urls", "ocsp_url"):
        for url in _words(getattr(security, key)):
            try:
                check_address(url)
            except ValueError as error:
                raise SettingError(f"{settings.origins.get(f'security.{key}')}: security.{key}: {error}") from None
    if not security.secure:
        return
    if security.pki and not (Path(security.pki) / "ca.crt").is_file():
        raise SettingError(
            f"{settings.origins.get('security.pki')}: security.pki = {security.pki} holds no authority: make one with "
            f"'carnet pki init {security.pki}'"
        )
    if security.front == "off":
        context_of(settings)
    trust_of(settings)


def trust_of(settings: Settings) -> LiveTrust:
    """Authorities, lists and partners in force. Raises SettingError."""
    sources = sources_of(settings)
    if sources.fetched is not None:
        sources.fetched.mkdir(parents=True, exist_ok=True)
    try:
        trust = LiveTrust(sources, trust_options(settings))
    except TrustFileError as error:
        raise SettingError(str(error)) from None
    ocsp = ocsp_options(settings)
    if ocsp is not None:
        trust.store.ocsp = OcspResponder(ocsp)
    return trust


def node_of(settings: Settings, trust: LiveTrust) -> NodeAuthentication | None:
    """Who checks the certificate of a connection; None on a plain server."""
    return NodeAuthentication(trust) if settings.security.secure else None


def context_of(settings: Settings) -> LiveContext:
    """TLS of the listener. Raises SettingError."""
    own = listener_files(settings)
    try:
        return LiveContext(own.certificate, own.key, sources_of(settings).authorities)
    except TlsError as error:
        raise SettingError(f"security: {error}") from None


def registry_tls(settings: Settings) -> ssl.SSLContext | None:
    """As whom a repository calls its registry over https: with the certificate of the listener. None on a plain server."""
    if not settings.security.secure or not settings.role.registry_url.lower().startswith("https:"):
        return None
    own = listener_files(settings)
    try:
        context = client_context(str(sources_of(settings).authorities[0]), str(own.certificate), str(own.key))
        for file in sources_of(settings).authorities[1:]:
            context.load_verify_locations(file)
    except (TlsError, OSError) as error:
        raise SettingError(f"security: {error}") from None
    return context


def identify_node(node: NodeAuthentication | None, settings: Settings) -> Identify:
    """Who is calling, by the certificate of the connection alone; nobody in particular on a plain server."""
    if node is None:
        return anonymous

    def identify(environ: Mapping[str, Any], headers: Sequence[etree._Element]) -> Caller:
        return node_caller(node, environ, front=settings.security.front == "nginx")

    return identify


def node_caller(node: NodeAuthentication, environ: Mapping[str, Any], front: bool) -> Caller:
    """The authenticated node at the other end of the connection, or beyond the proxy in `front`. Raises Denied."""
    shown = Caller(address=front_address(environ) if front else environ.get("REMOTE_ADDR", ""))
    try:
        shown = replace(shown, certificate_der=front_certificate(environ) if front else peer_certificate(environ))
        found = node(shown.certificate_der)
    except Denied as denied:
        # The record of the refusal says where it came from, and with which certificate.
        denied.caller = replace(shown, subject=node.name_in(shown.certificate_der))
        raise
    return replace(shown, subject=found.subject, partner=found.partner)


def tls_of(settings: Settings) -> Tls | None:
    """What the listener needs to speak https; None where it speaks http."""
    if not settings.security.secure or settings.security.front != "off":
        return None
    return Tls(context_of(settings), log_handshake_failure)


def log_handshake_failure(address: str, error: Exception) -> None:
    """One line for the operator."""
    LOG.warning("no TLS connection with %s: %s", address, handshake_failure(error))


def listener_files(settings: Settings) -> Listener:
    """Certificate and key of the listener; made, where a test authority has issued none for a server. Raises SettingError."""
    security = settings.security
    if security.certificate:
        return Listener(Path(security.certificate), Path(security.key))
    folder = Path(security.pki)
    try:
        authority = TestAuthority(folder)
        now = datetime.now(UTC).isoformat()
        rows = [r for r in authority.issued() if r.kind == "server" and not r.revoked and r.not_after > now]
        named = next((r.name for r in reversed(rows) if (folder / f"{r.name}.key").is_file()), "")
        if not named:
            taken = {row.name for row in authority.issued() if not row.revoked}
            name = next(n for n in ("server", *(f"server-{i}" for i in range(2, 1000))) if n not in taken)
            named = authority.issue("server", name, hosts=_hosts(settings)).name
    except (PkiError, OSError) as error:
        raise SettingError(f"{settings.origins.get('security.pki')}: security.pki: {error}") from None
    return Listener(folder / f"{named}.crt", folder / f"{named}.key")


def _hosts(settings: Settings) -> tuple[str, ...]:
    """The names under which clients may reach the listener; the first stands in the certificate's CN."""
    public = urlsplit(settings.server.public_url).hostname
    names = ["localhost", "127.0.0.1", "::1", socket.gethostname(), settings.server.host, public or ""]
    return tuple(dict.fromkeys(name for name in names if name and name not in ("0.0.0.0", "::")))


def _fetched_folder(settings: Settings) -> Path:
    return Path(settings.store.data) / "revocation"


def _words(text: str) -> tuple[str, ...]:
    return tuple(filter(None, (piece.strip() for piece in text.split(","))))


def _paths(text: str) -> tuple[Path, ...]:
    return tuple(Path(piece) for piece in _words(text))
