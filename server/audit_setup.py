"""The audit trail out of the settings: its key, its receiver, and the trail of a serving process."""

from __future__ import annotations

import atexit
import hashlib
import socket
import ssl
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from metadata.vocabulary import Transaction
from registry.whose import Whose
from repository.index import DocumentIndex
from security.audit import AuditSource
from security.audit_chain import ANCHOR_FILE, KEY_FILE, AnchorFile, AuditKeyError, make_key, read_key
from security.audit_forward import Forwarder
from security.audit_store import AuditStore
from security.syslog import Receiver
from server.audit import Trail
from server.audit_keeper import Keeper, KeeperOptions
from server.audit_sent import AuditedClient, AuditedPort
from server.relay import caller_passed_on
from server.settings import SettingError, Settings
from server.trust import log_handshake_failure
from soap.call import Handler
from soap.endpoint import EndpointOptions, Exchange
from storage.database import Database

if TYPE_CHECKING:
    from server.metrics import Metrics
    from server.wiring import Kit


def key_path(settings: Settings) -> Path:
    """The file of the key."""
    return Path(settings.audit.key or Path(settings.store.data) / KEY_FILE)


def prepare_key(settings: Settings, database: Database) -> None:
    """Make the key of a trail that has no record yet. Raises AuditKeyError and OSError."""
    path = key_path(settings)
    if not path.exists() and AuditStore(database, b"").heads():
        remedy = "bring it back from a backup, or from the other server of this database"
        raise AuditKeyError(f"{path}: the key of the audit trail is missing; {remedy}")
    make_key(path)
    read_key(path)


def anchors_of(settings: Settings, key: bytes) -> AnchorFile:
    """The anchors beside the store."""
    return AnchorFile(Path(settings.store.data) / ANCHOR_FILE, key)


def source_of(settings: Settings) -> AuditSource:
    """Who reports."""
    return AuditSource(settings.audit.source or socket.gethostname(), settings.audit.site)


def store_id(key: bytes) -> str:
    """The name of this trail in the messages that leave it: it tells nothing of the key."""
    return hashlib.sha256(b"trail|" + key).hexdigest()[:8]


def receiver_of(settings: Settings) -> Receiver | None:
    """The Audit Record Repository; None where records stay. Raises SettingError."""
    audit = settings.audit
    if not audit.syslog:
        return None
    host, _, port = audit.syslog.rpartition(":")
    place = settings.origins.get("audit.syslog")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise SettingError(f"{place}: audit.syslog = {audit.syslog!r} is not accepted; accepted: HOST:PORT")
    receiver = Receiver(
        host.strip("[]"), int(port), audit.syslog_authorities, audit.syslog_certificate, audit.syslog_key,
        fin=audit.syslog_end == "fin",
    )  # fmt: skip
    try:
        receiver.context()
    except (OSError, ssl.SSLError) as error:
        names = "audit.syslog_authorities, audit.syslog_certificate, audit.syslog_key"
        raise SettingError(f"{names}: {error}") from None
    return receiver


class KnownOwners:
    """Whose documents are, by the repository's index and else by the registry; whose objects, by the registry."""

    def __init__(self, index: DocumentIndex, whose: Whose) -> None:
        self._index = index
        self._whose = whose

    def documents(self, unique_ids: Iterable[str]) -> Mapping[str, str]:
        ids = list(dict.fromkeys(unique_ids))
        known = {id: document.patientId for id, document in self._index.find(ids).items() if document.patientId}
        missing = [id for id in ids if id not in known]
        return {**(self._whose.documents(missing) if missing else {}), **known}

    def objects(self, entry_uuids: Iterable[str]) -> Mapping[str, str]:
        return self._whose.objects(entry_uuids)


@dataclass(slots=True)
class Audit:
    """What runs for the trail in one process; without a trail where it is switched off. `close` may be called twice."""

    trail: Trail | None = None
    keeper: Keeper | None = None

    def watched(self, handlers: Mapping[Transaction, Handler]) -> Mapping[Transaction, Handler]:
        """The handlers, whose writes take their records along."""
        return self.trail.watched(handlers) if self.trail is not None else handlers

    def recording(self, options: EndpointOptions) -> EndpointOptions:
        """The endpoint's options with the records of what is read and refused."""
        trail = self.trail
        if trail is None:
            return options

        def over(exchange: Exchange) -> None:
            trail.over(exchange)
            options.observe(exchange)

        return replace(options, record=trail.record, observe=over)

    def handshake_failed(self, address: str, error: Exception) -> None:
        """A TLS connection that did not come about: in the log, and in the trail."""
        log_handshake_failure(address, error)
        if self.trail is not None:
            self.trail.node_failure(address, f"TLS handshake, {getattr(error, 'reason', None) or type(error).__name__}")

    def close(self) -> None:
        trail, keeper = self.trail, self.keeper
        self.trail = self.keeper = None
        if trail is not None and keeper is not None:
            trail.stop()
            keeper.stop()


def watch(kit: Kit, metrics: Metrics, gauges: dict[str, tuple[str, Callable[[], float]]]) -> Audit:
    """The trail of this process, begun: from now on whatever `kit` writes takes its record along. Raises AuditKeyError,
    SettingError, StorageError. It ends with the process, after whatever was begun later has ended."""
    audit = start_audit(kit.settings, kit.database, metrics.alarm)
    trail = audit.trail
    if trail is not None:
        kit.database = trail.around(kit.database)
        kit.index = DocumentIndex(kit.database)
        kit.verified = trail.verified
        if kit.client is not None:
            kit.client = AuditedClient.of(kit.client, trail)
            kit.relay = kit.relay and AuditedClient.of(kit.relay, trail, caller_passed_on)
            kit.sent = lambda port: AuditedPort(port, trail, kit.settings.role.registry_url)
        atexit.register(audit.close)
    keeper = audit.keeper
    if keeper is not None and kit.settings.audit.syslog:
        gauges["carnet_audit_waiting"] = (
            "Audit records that their receiver has not got yet.", lambda: float(keeper.lag.records)
        )  # fmt: skip
        gauges["carnet_audit_lag_seconds"] = ("Age of the oldest of them.", lambda: keeper.lag.seconds)
    return audit


def start_audit(settings: Settings, database: Database, alarm: Callable[[str], None]) -> Audit:
    """The trail of a process on this database, begun. Raises AuditKeyError, SettingError, StorageError."""
    if not settings.audit.enabled:
        return Audit()
    key = read_key(key_path(settings))
    store = AuditStore(database, key)
    two_steps = {Transaction.ITI_86, *([Transaction.ITI_41] if settings.role.role == "repository" else [])}
    owners = KnownOwners(DocumentIndex(database), Whose(database))
    keeper = Keeper(
        store, anchors_of(settings, key), Path(settings.store.data), forwarder_of(settings, store, key),
        keeper_options(settings), alarm,
    )  # fmt: skip
    trail = Trail(store, owners, own_url(settings), source_of(settings), frozenset(two_steps), alarm, lambda: keeper.full)
    trail.start()
    keeper.start()
    return Audit(trail, keeper)


def forwarder_of(settings: Settings, store: AuditStore, key: bytes) -> Forwarder | None:
    """Who delivers; None where records stay here."""
    receiver = receiver_of(settings)
    if receiver is None:
        return None
    return Forwarder(store, receiver, source_of(settings), socket.gethostname(), store_id(key))


def own_url(settings: Settings) -> str:
    """What records call this server where no request has named it."""
    return settings.server.public_url.rstrip("/") or f"https://{socket.gethostname()}"


def keeper_options(settings: Settings) -> KeeperOptions:
    """The keeper's."""
    audit = settings.audit
    return KeeperOptions(
        audit.anchor_seconds, audit.anchor_records, audit.unknown_seconds, audit.alarm_seconds, audit.backlog
    )
