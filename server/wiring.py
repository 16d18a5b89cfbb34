"""Everything meets here: settings become options of the rooms, the rooms become one WSGI application.

`build` is called in each worker, after the fork: it opens the database. `Kit` is what is needed by whoever works on a store
without serving (`check-store`, `patient`).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lxml import etree

from metadata.model import Submission
from metadata.rules.rule import Finding
from metadata.vocabulary import Transaction
from registry.codes import CodeBook
from registry.dmp_habilitations import PatientAuthorizations
from registry.dmp_patients import PatientRecords
from registry.documents import RegisteredDocuments
from registry.iti18 import RegistryStoredQuery
from registry.iti42 import RegisterDocumentSet
from registry.iti57 import UpdateDocumentSet
from registry.iti61 import RegisterOnDemandDocumentEntry, ResponseAction
from registry.iti62 import RemoveMetadata
from registry.iti92 import RestrictedUpdateDocumentSet
from registry.patient_feed_v3 import PatientIdentityFeedV3
from registry.patient_identity import IdentityFeed
from registry.record import Records
from registry.search import Search
from registry.whose import Whose
from repository.collector import collect
from repository.content import Alarms, FileStore
from repository.index import DocumentIndex, SignatureRecord
from repository.iti41 import ProvideAndRegister
from repository.iti43 import OnDemandSource, RetrieveDocumentSet
from repository.iti86 import Registered, RemoveDocuments
from repository.registry_port import (
    InProcess,
    Knows,
    Registers,
    RegistryError,
    RegistryNotReached,
    RegistryPort,
    RegistryUnreachable,
    Remote,
    Sends,
)
from repository.requested import NotOpen, all_open, everything
from repository.verify import RegistryView
from server.access import Access, access_of, checked
from server.audit_setup import Audit, KnownOwners, watch
from server.enumeration import Enumeration
from server.explain_page import explain_base
from server.health import HealthCheck
from server.hourly import bounded, limits_met
from server.housekeeping import Housekeeping
from server.identify import Asserted, assertions, identify_of
from server.identity import repository_unique_id
from server.identity_feed import authorities, identity_feed, mllp_secured
from server.journal import Journal
from server.metrics import Metrics
from server.mllp import MllpListener
from server.relay import PassedOn, RemoteAccess, denied_by, relaying, security_passed_on
from server.room_options import (
    limits_of,
    query_options,
    register_options,
    removal_options,
    remove_options,
    repository_options,
    search_options,
    store_options,
    wire_of,
)
from server.settings import Settings
from server.signed_sets import signed_sets_of
from server.signing import request_signer, with_signatures
from server.site import Site
from server.trust import fetcher_of, gauges_of, registry_tls, trust_of
from soap.call import Handler
from soap.endpoint import Endpoint, EndpointOptions, Exchange, anonymous
from soap.request import Identify
from storage.database import Connection, Database, open_database

if TYPE_CHECKING:
    from security.trust_files import LiveTrust
    from server.summary_records import Ask
    from soap.client import Client


@dataclass(slots=True)
class Kit:
    """An open store. `registry` sees the registry's side of its documents: from the same database, or by ITI-18. `relay` is the
    client that passes on to a registry elsewhere who is calling; None where nobody is passed on."""

    settings: Settings
    database: Database
    store: FileStore
    index: DocumentIndex
    repository_unique_id: str
    client: Client | None
    relay: Client | None = None
    trust: LiveTrust | None = None
    verified: Callable[[str, SignatureRecord], None] = lambda patient, record: None
    sent: Callable[[RegistryPort], RegistryPort] = lambda port: port

    @property
    def registry(self) -> RegistryView:
        from server.registry_view import LocalView, RemoteView

        if self.client is not None:
            return RemoteView(self.client)
        return LocalView(RegisteredDocuments(self.database, self.repository_unique_id))

    def close(self) -> None:
        self.database.close()
        for client in (self.client, self.relay):
            if client is not None:
                client.close()


def open_kit(settings: Settings, alarm: Callable[[str], None] | None = None) -> Kit:
    """Open a store that `preparation.prepare` has made. Raises `storage.errors.StorageError` and OSError."""
    role = settings.role
    database = open_database(settings.database_url())
    store = FileStore(settings.store.data, store_options(settings), Alarms(alarm))
    client = None
    if role.role == "repository":
        from soap.client import Client

        client = Client(
            registry=role.registry_url,
            timeout=role.registry_seconds,
            ssl_context=registry_tls(settings),
            signer=request_signer(settings),
        )
    name = role.repository_unique_id or ("" if role.role == "registry" else repository_unique_id(database))
    relay = replace(client, security=security_passed_on) if client is not None and relaying(settings) else None
    return Kit(settings, database, store, DocumentIndex(database), name, client, relay)


@dataclass(slots=True)
class Application:
    """The built server: `wsgi` answers requests, `audit` keeps their records, `close` ends what runs beside it."""

    wsgi: Site
    kit: Kit
    housekeeping: Housekeeping
    audit: Audit
    mllp: MllpListener | None = None

    def close(self) -> None:
        self.housekeeping.stop()
        if self.mllp is not None:
            self.mllp.close()
        self.audit.close()
        self.kit.close()


def build(
    settings: Settings, feed: socket.socket | None = None, observer: Callable[[Exchange], None] | None = None
) -> Application:
    """Open the store and put everything together. The housekeeping runs from now on, and ITI-8 is taken from `feed`.

    `observer` is told of every exchange when its answer is out, last of all observers.
    """
    gauges: dict[str, tuple[str, Callable[[], float]]] = {}
    metrics = Metrics(gauges)
    kit = open_kit(settings, metrics.alarm)
    gauges["carnet_store_free_bytes"] = ("Room left on the disk of the document store.", lambda: free_bytes(kit.store))
    journal, enumeration = Journal(), Enumeration(settings.security.enumeration, metrics.alarm)

    def over(exchange: Exchange) -> None:
        enumeration(exchange)
        journal(exchange)
        observe(metrics, exchange)  # last: whoever sees an exchange counted finds whatever else is told of it
        if observer is not None:
            observer(exchange)

    uncounted = kit.database  # what is counted before a message is worked on takes no record of it along
    audit = watch(kit, metrics, gauges)
    trust = kit.trust = trust_of(settings)
    fetcher = fetcher_of(settings, trust)
    if fetcher is not None:
        fetcher.start()
    gauges.update(gauges_of(settings, trust))
    identify = identify_of(settings, trust, kit.database)
    options = with_signatures(endpoint_options(kit, over, identify), settings, trust, kit.database)
    owners = KnownOwners(kit.index, Whose(kit.database))
    endpoint = Endpoint(bounded(audit.watched(handlers(kit)), settings, uncounted, owners), audit.recording(options))
    housekeeping = Housekeeping(
        lambda: collect(kit.store, kit.index, kit.registry), Path(settings.store.data) / "collected", settings.store.collect_hours
    )
    housekeeping.start()
    site = Site(endpoint, HealthCheck(kit.database, kit.store), metrics, settings)
    mllp = None
    if feed is not None:
        secured = mllp_secured(settings, trust, audit.handshake_failed)
        mllp = identity_feed(kit.database, settings, metrics, feed, kit.index.move, audit.trail, secured)
    return Application(site, kit, housekeeping, audit, mllp)


# ----------------------------------------------------------------------------------------------------------- transactions


def handlers(kit: Kit) -> dict[Transaction, Handler]:
    """The transactions of the role, with the policy of rights before each."""
    codes = CodeBook()
    here = access_of(kit.settings, kit.database, codes)
    access = RemoteAccess(kit.relay) if here is not None and kit.relay is not None else here
    served: dict[Transaction, Handler] = {}
    if kit.settings.role.role != "repository":
        served |= registry_handlers(kit, codes, here)
    if kit.settings.role.role != "registry":
        served |= repository_handlers(kit, codes, access)
    if access is not None:
        guarded = access.guarded(served)
    elif kit.relay is not None:
        guarded = {transaction: PassedOn(handler) for transaction, handler in served.items()}
    else:
        guarded = checked(served, kit.database)
    if assertions(kit.settings) != "require":
        return guarded
    return {transaction: Asserted(handler) for transaction, handler in guarded.items()}


def registry_handlers(kit: Kit, codes: CodeBook, access: Access | None = None) -> dict[Transaction, Handler]:
    """The Document Registry."""
    search = Search(kit.database, codes, search_options(kit.settings))
    visibility_of = access.visibility_of if access else None
    queries = RegistryStoredQuery(kit.database, search, query_options(kit.settings), visibility_of)
    registering = _registering(kit, codes)
    served: dict[Transaction, Handler] = {
        Transaction.ITI_42: registering,
        Transaction.ITI_18: queries,
        Transaction.ITI_61: RegisterOnDemandDocumentEntry(
            registering, ResponseAction[kit.settings.domain.iti61_response.upper()]
        ),
        Transaction.ITI_57: UpdateDocumentSet(kit.database, codes, register_options(kit.settings)),
        Transaction.ITI_92: RestrictedUpdateDocumentSet(kit.database, codes, register_options(kit.settings)),
    }
    served[Transaction.ITI_62] = RemoveMetadata(kit.database, codes, removal_options(kit.settings))
    served[Transaction.ITI_44] = PatientIdentityFeedV3(IdentityFeed(kit.database, authorities(kit.settings)))
    if kit.settings.domain.multi_patient:
        served[Transaction.ITI_51] = queries
    if kit.settings.domain.dmp_services:
        records = Records(kit.database, kit.settings.domain.retention_years)
        served[Transaction.DMP_PATIENTS] = PatientRecords(kit.database, records, authorities(kit.settings))
        served[Transaction.DMP_HABILITATIONS] = PatientAuthorizations(kit.database)
    return served


def repository_handlers(kit: Kit, codes: CodeBook, access: Access | RemoteAccess | None = None) -> dict[Transaction, Handler]:
    """The Document Repository, with its registry in this process or elsewhere."""
    options = repository_options(kit.settings, kit.repository_unique_id)
    port: RegistryPort
    if kit.client is not None:
        port = kit.sent(Remote(kit.database, sending(kit.relay or kit.client), asking(kit.registry)))
    else:
        port = InProcess(registering_here(_registering(kit, codes)))
    signed_sets = signed_sets_of(kit.settings, kit.store, kit.index, kit.trust, kit.verified, access, _not_open(kit))
    provide = ProvideAndRegister(kit.store, kit.index, port, options, signed_sets=signed_sets)
    on_demand = _on_demand(kit, codes, provide, access)
    may_retrieve, may_remove = (access.may_retrieve, access.may_remove) if access else (everything, everything)
    return {
        Transaction.ITI_41: provide,
        Transaction.ITI_43: RetrieveDocumentSet(kit.store, kit.index, options, may_retrieve, on_demand, _not_open(kit)),
        Transaction.ITI_86: RemoveDocuments(
            kit.store, kit.index, options, registered(kit.registry), remove_options(kit.settings), _not_open(kit), may_remove
        ),
    }


def _on_demand(
    kit: Kit, codes: CodeBook, provide: ProvideAndRegister, access: Access | RemoteAccess | None = None
) -> OnDemandSource | None:
    """Who makes the documents of On-Demand entries."""
    wanted = kit.settings.domain.on_demand
    if wanted == "off":
        return None
    from server.summary import SummarySource
    from server.summary_records import Records as Summarised
    from server.summary_records import ask_elsewhere

    ask = ask_elsewhere(kit.client) if kit.client is not None else _ask_here(kit, codes, access)
    keeps = provide if wanted == "persist" else None
    source = SummarySource(Summarised(ask), kit.index, kit.repository_unique_id, keeps, _not_open(kit))
    return access.summaries(source) if access else source


def _ask_here(kit: Kit, codes: CodeBook, access: Access | RemoteAccess | None) -> Ask:
    from server.summary_records import ask_here

    return ask_here(Search(kit.database, codes), access.public if isinstance(access, Access) else None)


def _not_open(kit: Kit) -> NotOpen:
    """Which records are closed: by the registry here, or asked of the one elsewhere."""
    if kit.client is None:
        return Records(kit.database).not_open
    rights = kit.settings.security.policy != "ihe"
    if not kit.settings.role.ask_closed and not rights:
        return all_open
    from server.closed_elsewhere import ClosedElsewhere

    return ClosedElsewhere(kit.client, demanded=rights)


def _registering(kit: Kit, codes: CodeBook) -> RegisterDocumentSet:
    return RegisterDocumentSet(kit.database, codes, register_options(kit.settings))


def registering_here(registry: RegisterDocumentSet) -> Registers:
    """The registry of this process as the repository's port wants it."""

    def register(submission: Submission, companion: Callable[[Connection], None]) -> Sequence[Finding]:
        return registry.register(submission, companion=companion).findings

    return register


def sending(client: Client) -> Sends:
    """ITI-42 as the repository's port wants it: no usable answer is `RegistryUnreachable`, and `RegistryNotReached` when
    nothing was sent. Raises Denied where the registry refuses whom the message is sent for."""
    from soap.client_errors import ClientError, NotConnected, SoapFault

    def send(element: etree._Element) -> tuple[str, Sequence[RegistryError]]:
        try:
            status, errors = client.send_register(element)
        except NotConnected as error:
            raise RegistryNotReached(str(error)) from error
        except ClientError as error:
            denied = denied_by(error) if isinstance(error, SoapFault) and client.security is not None else None
            raise denied or RegistryUnreachable(str(error)) from error
        return status, [RegistryError(e.error_code, e.code_context, e.severity, e.location) for e in errors]

    return send


def registered(registry: RegistryView) -> Registered:
    """What ITI-86 asks the registry."""
    from soap.client_errors import ClientError

    def described(unique_ids: Sequence[str]) -> Mapping[str, Set[str]]:
        try:
            return registry.registered(unique_ids)
        except ClientError as error:
            raise ConnectionError(str(error)) from error

    return described


def asking(registry: RegistryView) -> Knows:
    """What a registry elsewhere knows, as the repository's port wants it."""
    from soap.client_errors import ClientError

    def knows(unique_ids: Sequence[str]) -> Mapping[str, Set[str]]:
        try:
            return registry.registered(unique_ids)
        except (ClientError, ConnectionError) as error:
            raise RegistryUnreachable(str(error)) from error

    return knows


# ---------------------------------------------------------------------------------------------------------------- options


def endpoint_options(kit: Kit, observer: Callable[[Exchange], None], identify: Identify = anonymous) -> EndpointOptions:
    """The endpoint's options out of the settings."""
    settings = kit.settings
    return EndpointOptions(
        staging=kit.store.staging,
        limits=limits_of(settings),
        wire=wire_of(settings),
        public_url=settings.server.public_url,
        explain_base=explain_base(settings),
        observe=observer,
        identify=identify,
    )


def free_bytes(store: FileStore) -> float:
    """Room on the disk of the store, in bytes."""
    state = os.statvfs(store.root)
    return float(state.f_bavail * state.f_frsize)


def observe(metrics: Metrics, exchange: Exchange) -> None:
    """Counts one exchange."""
    if exchange.transaction is None:
        return
    outcome = exchange.status.name if exchange.status is not None else "FAULT"
    codes = [finding.code.value for finding in exchange.findings] or ([exchange.fault] if exchange.fault else [])
    metrics.transaction(exchange.transaction.code, outcome, exchange.seconds, codes)
    for rule in {finding.rule for finding in exchange.findings if finding.rule.startswith("DSG-")}:
        metrics.signature(rule)
    for rule in limits_met(exchange.findings, exchange.denied.rule if exchange.denied is not None else ""):
        metrics.limit(rule)
    for note in exchange.notes:
        metrics.note(note.id)
