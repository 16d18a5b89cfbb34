"""`carnet serve`: the registry and the repository, until SIGTERM."""

from __future__ import annotations

import gc
import importlib
import ipaddress
import logging
import os
import shlex
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from server.commands.options import UsageError, settings_of, takes_settings
from server.launcher import program
from server.settings import Settings

if TYPE_CHECKING:
    from server.http import Tls

_WIDER = (
    "warning: listens on {host} without TLS: everybody who reaches this address can read and submit documents.\n"
    "         Put a TLS proxy with client certificates in front of it, or listen on 127.0.0.1."
)


@click.command("serve")
@takes_settings(
    "data", "host", "port", "database", "workers", "role", "registry", "patients", "mllp_port", "secure", "pki", "socket"
)
def command(**given: Any) -> None:
    """Serve a document registry and a document repository; the store is made on first use.

    SIGTERM (or Ctrl-C) finishes what was begun and ends with 0.
    """
    serve(settings_of(given))


def serve(settings: Settings) -> None:
    """Prepare the store, then answer requests until a signal comes."""
    # The program is loaded once, before any fork: the first start takes half the time, and a worker that must be replaced is
    # there again after a twentieth of a second instead of half a second.
    importlib.import_module("server.wiring")
    from server import access, audit_setup, http, identify, identity_feed, metrics, preparation, room_options, signing, trust
    from server.settings import SettingError

    try:
        room_options.wire_of(settings)
        room_options.policies(settings)
        identity_feed.authorities(settings)
        audit_setup.receiver_of(settings)
        trust.check(settings)
        signing.check(settings)
        identify.check(settings)
        access.check(settings)
        tls = trust.tls_of(settings)
    except SettingError as error:
        raise UsageError(str(error)) from None
    gc.freeze()  # what is loaded stays shared between the processes
    if preparation.apart(lambda: preparation.prepare(settings)):
        sys.exit(1)
    try:
        preparation.hold(settings)  # until this process and its workers end
    except preparation.StoreError as error:
        raise click.ClickException(str(error)) from None
    try:
        socket_path = settings.server.socket
        listener = http.listen_at(socket_path) if socket_path else http.listen(settings.server.host, settings.server.port)
    except OSError as error:
        if socket_path:
            raise UsageError(f"server.socket = {socket_path}: {error.strerror or error}; choose another with --socket") from None
        place = f"server.host = {settings.server.host}, server.port = {settings.server.port}"
        raise UsageError(f"{place}: {error.strerror}; choose another with --host and --port (0: any free port)") from None
    feed = _feed_listener(settings)
    port = 0 if socket_path else listener.getsockname()[1]
    if not (is_local(settings.server.host) or tls or socket_path):
        click.echo(_WIDER.format(host=settings.server.host), err=True)
    remove_counts = metrics.prepare(settings.server.workers)
    parent = os.getpid()
    try:
        http.serve(
            listener, lambda: _load(settings, feed, tls), options_of(settings), lambda: click.echo(greeting(settings, port)), tls
        )
    finally:
        if os.getpid() == parent:
            remove_counts()


def _feed_listener(settings: Settings) -> socket.socket | None:
    """The socket of ITI-8, made before the workers so that all of them take from it; None where it is not served."""
    if not settings.mllp.port:
        return None
    from server import http, identity_feed
    from server.settings import SettingError

    try:
        identity_feed.mllp_tls(settings)
        return http.listen(settings.server.host, settings.mllp.port)
    except SettingError as error:
        raise UsageError(str(error)) from None
    except OSError as error:
        raise UsageError(f"mllp.port = {settings.mllp.port}: {error.strerror}; choose another with --mllp-port") from None


def _load(settings: Settings, feed: socket.socket | None, tls: Tls | None) -> Callable[..., Any]:
    """In a worker: the application."""
    from server import wiring

    logging.basicConfig(
        level=settings.server.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
    # It greets at every start; what goes wrong on the wire is told by our own border.
    logging.getLogger("spyne").setLevel(logging.ERROR)
    application = wiring.build(settings, feed)
    if tls is not None:
        tls.failed = application.audit.handshake_failed
    return application.wsgi


def options_of(settings: Settings) -> Any:
    """The listener's options out of the settings."""
    from server.http import HttpOptions

    server = settings.server
    return HttpOptions(
        workers=server.workers,
        threads=server.threads,
        connections=server.connections,
        busy=server.busy,
        uploads=server.uploads,
        keepalive=server.keepalive,
        header_seconds=server.header_seconds,
        stall_seconds=server.stall_seconds,
        body_rate=server.body_rate,
        drain_seconds=server.drain_seconds,
        header_line=server.header_line,
        header_count=server.header_count,
        log_level=server.log_level,
        access_log=server.access_log,
    )


def is_local(host: str) -> bool:
    """Whether only this machine can reach a listener on `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def greeting(settings: Settings, port: int) -> str:
    """What a person needs next: the addresses, where the store is, and one command to type."""
    from server.version import version

    base = settings.base_url(port)
    role = settings.role.role
    lines = [f"Carnet {version()} is ready."]
    if settings.server.socket:
        lines.append(f"  listens on  unix socket {settings.server.socket}")
    if role != "registry":
        lines.append(f"  repository  {base}/xds/repository   ITI-41, ITI-43, ITI-86   (WSDL: ?wsdl)")
    if role != "repository":
        lines.append(f"  registry    {base}/xds/registry   ITI-18, ITI-42, ITI-57, ITI-61, ITI-62, ITI-92   (WSDL: ?wsdl)")
        lines.append(f"              {base}/xds/iti44   ITI-44")
        if settings.domain.multi_patient:
            lines.append(f"              {base}/xds/iti51   ITI-51")
        if settings.domain.dmp_services:
            lines.append(f"              {base}/dmp/patients   {base}/dmp/habilitations   services of the DMP")
    else:
        lines.append(f"  registry    elsewhere: {settings.role.registry_url}")
    if settings.mllp.port:
        secure = " with TLS" if settings.mllp.certificate or settings.security.secure else ""
        taken = "ITI-8, ITI-64" if settings.domain.link_change else "ITI-8"
        lines.append(f"  identities  {settings.server.host}:{settings.mllp.port}   {taken} over MLLP{secure}")
    if settings.security.secure:
        lines.append(f"  trust       {_trust(settings)}")
    lines.append(f"  watch       {base}/health   {base}/metrics")
    database = settings.value("store.database", secret=False)
    lines.append(f"  store       {settings.store.data}, database {database or 'SQLite in it'}")
    if role != "repository":
        lines.append(f"  patients    {settings.domain.patients}")
    lines += ["", "Type next:", f"  {example(settings, base)}"]
    return "\n".join(lines)


def _trust(settings: Settings) -> str:
    """Who is let in, in a few words."""
    from server.identify import assertions

    security = settings.security
    partners = security.partners or f"{security.pki} (carnet pki issue)"
    said = {"off": "assertions are not looked at", "accept": "assertions accepted", "require": "signed assertions required"}
    return f"client certificates of the partners in {partners}; {said[assertions(settings)]}"


def _shown_to_the_server(settings: Settings) -> str:
    """The options of curl by which a secured server lets it in: its own certificate, and whom it believes itself."""
    security = settings.security
    if not security.secure:
        return ""
    folder = Path(security.pki)
    files = (
        ("--cacert", security.authorities or folder / "ca.crt"),
        ("--cert", security.certificate or folder / "server.crt"),
        ("--key", security.key or folder / "server.key"),
    )
    return "".join(f" {option} {shlex.quote(str(file))}" for option, file in files)


def example(settings: Settings, base: str) -> str:
    """A command that works on this server as it stands."""
    if settings.role.role == "repository":
        return f"curl{_shown_to_the_server(settings)} {base}/health"
    if settings.domain.patients == "open":
        return f"{program()} query --patient '4711^^^&1.2.3.4.5&ISO' --registry {base}/xds/registry"
    where = f"--data {shlex.quote(settings.store.data)}"
    if settings.store.database:
        where += f" --database {shlex.quote(settings.value('store.database', secret=False))}"
    return f"{program()} patient add '4711^^^&1.2.3.4.5&ISO' {where}"
