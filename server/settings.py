"""Every setting, once: name, type, default, range, unit, meaning. `docs/settings.md` and `carnet config` are made from here.

A setting is a field of one of the groups below. Its value comes from, in rising order of precedence: the default; the file
`carnet.toml` (`[group]` then `key = value`); the environment (`CARNET_GROUP_KEY`); the command line (`--set group.key=value`
or the option a command has for it). A wrong key or value is refused at start with the place, the key and what is accepted.
Lower floors never see this module: `server/wiring.py` fills their option dataclasses from it. The file is one piece because it
is one table: a line or two for each setting.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: The password of a URL.
_PASSWORD = re.compile(r"(://[^/@:\s]*:)[^@\s]*@")
#: An address of a server.
_URL = re.compile(r"https?://[^/\s]+(/\S*)?$")

KB = 1024
MB = 1024 * 1024
GB = 1024 * MB


def setting(
    default: Any,
    meaning: str,
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """One row of the table. `low` and `high` are inclusive bounds; `choices` are the accepted words."""
    return field(default=default, metadata={"meaning": meaning, "unit": unit, "low": low, "high": high, "choices": choices})


@dataclass(frozen=True, slots=True)
class Server:
    """The listener and what one process may take on at once."""

    host: str = setting("127.0.0.1", "address to listen on; 0.0.0.0 opens the server to the network")
    port: int = setting(8080, "TCP port; 0 takes a free one", low=0, high=65535)
    socket: str = setting(
        "", "path of a unix socket to listen on instead of `host` and `port`, for a proxy on this machine; its mode is 0660"
    )
    public_url: str = setting("", "URL under which clients reach the server (WSDL, examples); empty: http://host:port")
    explain_url: str = setting(
        "", "URL under which the pages of rules stand that refusals link to, for readers without a certificate: those of "
        "`carnet explain --site DIR` on any web server, or /explain/ of this one; empty: /explain/ under `public_url`",
    )  # fmt: skip
    workers: int = setting(1, "processes; more than one needs PostgreSQL", low=1, high=64)
    threads: int = setting(48, "requests worked on at once by one process", low=2, high=512)
    connections: int = setting(1000, "open connections of one process", unit="connections", low=10, high=100_000)
    busy: int = setting(
        44, "requests worked on at once before others are answered 503 with Retry-After; below `threads`, so that "
        "a refusal and /health still find a thread", unit="requests", low=1, high=512,
    )  # fmt: skip
    uploads: int = setting(
        16, "of these, requests with a body above 64 kB (they hold a thread while they arrive)", unit="requests", low=1, high=512
    )
    keepalive: int = setting(30, "how long an idle connection is kept open", unit="seconds", low=1, high=3600)
    header_seconds: float = setting(10.0, "a request's header must have arrived by then", unit="seconds", low=0.1, high=600)
    stall_seconds: float = setting(
        30.0, "longest silence while a body is sent to us or an answer taken from us", unit="seconds", low=0.1, high=3600
    )
    body_rate: int = setting(
        16 * KB, "slowest average rate of a body after its first `stall_seconds`", unit="bytes/second", low=0, high=GB
    )
    drain_seconds: int = setting(
        30, "how long SIGTERM waits for requests that are being answered", unit="seconds", low=0, high=3600
    )
    header_line: int = setting(8190, "longest header line", unit="bytes", low=512, high=65536)
    header_count: int = setting(60, "most header fields of a request", low=10, high=1000)
    metrics: str = setting("local", "who may read /metrics", choices=("local", "everyone", "nobody"))
    log_level: str = setting("info", "least severity that is logged", choices=("debug", "info", "warning", "error"))
    access_log: bool = setting(False, "log one line for every request: address, path, status, bytes, seconds")


@dataclass(frozen=True, slots=True)
class Store:
    """Where things are kept."""

    data: str = setting("carnet-data", "folder of the store: documents, and the SQLite database unless `database` says otherwise")
    database: str = setting("", "postgresql+psycopg://user@host/name or sqlite:////path; empty: SQLite in `data`")
    small_document: int = setting(
        64 * KB, "documents up to this size live in the database, larger ones in files", unit="bytes", low=0, high=16 * MB
    )
    headroom: int = setting(
        256 * MB, "room left free on the disk of `data`; below it submissions are answered XDSRepositoryOutOfResources",
        unit="bytes", low=0, high=1024 * GB,
    )  # fmt: skip
    check_before: int = setting(
        8 * MB, "documents up to this size are read and checked against their hash before the first byte of an answer, larger "
        "ones while they are sent", unit="bytes", low=0, high=16 * GB,
    )  # fmt: skip
    collect_hours: float = setting(
        24.0, "time between two removals of what interrupted submissions left behind; 0: never", unit="hours", low=0, high=8760
    )


@dataclass(frozen=True, slots=True)
class Role:
    """Which actors this server is."""

    role: str = setting("all", "actors served", choices=("all", "registry", "repository"))
    registry_url: str = setting("", "ITI-42 address of the registry; needed with role = repository")
    registry_seconds: float = setting(
        60.0, "longest silence of that registry; then a submission is answered XDSRegistryNotAvailable", unit="seconds",
        low=0.1, high=3600,
    )  # fmt: skip
    ask_closed: bool = setting(
        True, "ask that registry before documents are given out or removed (ITI-43, ITI-86) whether the patient's record is "
        "closed; no answer hides nothing; needless where the registry is not a Carnet; under a matrix of rights it is always "
        "asked, and without an answer nothing is given",
    )  # fmt: skip
    relay: bool = setting(
        False, "pass on to that registry the assertion of who is calling, with ITI-42 (docs/rights.md); under a matrix of rights "
        "(security.policy) it is passed on whatever stands here, and the registry is asked before ITI-43 and ITI-86",
    )  # fmt: skip
    repository_unique_id: str = setting("", "repositoryUniqueId (an OID); empty: made once and kept in the store")
    home_community_id: str = setting("", "homeCommunityId put on answers (urn:oid:...); empty: none")


@dataclass(frozen=True, slots=True)
class Domain:
    """The affinity domain's choices."""

    profile: str = setting(
        "ihe", "name of the domain file (docs/affinity-domain.md): ihe and dmp-fr ship, others stand in `domain.folder`; where "
        "it gives values for this group, they hold unless set elsewhere",
    )  # fmt: skip
    folder: str = setting(
        "", "folder of further domain files, NAME.toml, NAME.json, or NAME.xml as NIST's codes.xml; empty: none"
    )
    patients: str = setting(
        "known",
        "known: submissions for patients that were never announced are refused; open: accepted",
        choices=("known", "open"),
    )
    ins: str = setting(
        "check",
        "check: an identifier under an INS authority (1.2.250.1.213.1.4...) is made known only with the right form and key; "
        "accept: whatever it is",
        choices=("check", "accept"),
    )
    merge: str = setting(
        "accept", "merges of patients (A40, ITI-44, `carnet patient merge`): accept; refuse: every one is answered with an error",
        choices=("accept", "refuse"),
    )  # fmt: skip
    link_change: str = setting(
        "", "contentTypeCode, as `CODE^DISPLAY^SCHEME`, of the SubmissionSets in which link changes (A43, ITI-64) are recorded: "
        "with it they are taken by the listener of `mllp.port`; empty: they are refused",
    )  # fmt: skip
    retention_years: float = setting(
        10.0, "how long a closed record is kept: until then it can be reopened, and is destroyed on the patient's request only",
        unit="years", low=0, high=200,
    )  # fmt: skip
    authorities: str = setting(
        "", "assigning authorities of the domain as `NAMESPACE&OID` or `OID`, separated by commas; identity feeds ignore the ids "
        "of others; empty: every authority is accepted",
    )  # fmt: skip
    rules: str = setting(
        "", "single rules judged otherwise than by default, as `RULE=refuse|warn|off`, separated by commas"
    )
    wire: str = setting(
        "tolerant", "tolerant: what real clients send is accepted with a note; strict: every departure is refused",
        choices=("tolerant", "strict"),
    )  # fmt: skip
    removal: str = setting(
        "hide", "what ITI-62 and ITI-86 do: refuse; hide: out of every answer, kept in the store; delete: gone for good",
        choices=("refuse", "hide", "delete"),
    )  # fmt: skip
    remove_registered: bool = setting(
        True, "let ITI-86 remove documents that a DocumentEntry still describes; false: their metadata must go first (ITI-62)"
    )
    multi_patient: bool = setting(True, "answer queries over several patients, ITI-51, at /xds/iti51 and nowhere else")
    title_query: bool = setting(
        True, "answer FindDocumentsByTitle, an extension that is not IHE's; never with `wire` = strict"
    )
    on_demand: str = setting(
        "summary", "what ITI-43 gives for On-Demand entries of this repository: off nothing; summary a patient summary made of "
        "what is registered; persist the same, kept and registered as a snapshot before it is given",
        choices=("off", "summary", "persist"),
    )  # fmt: skip
    iti61_response: str = setting(
        "entry", "wsa:Action of ITI-61 responses: entry ...RegisterOnDemandDocumentEntryResponse, document "
        "...RegisterOnDemandDocumentResponse; the standard has both", choices=("entry", "document"),
    )  # fmt: skip
    dmp_services: bool = setting(
        False, "serve the French DMP's own services: records as objects at /dmp/patients, authorisations at /dmp/habilitations "
        "(docs/dmp-services.md)",
    )  # fmt: skip
    wire_rows: str = setting(
        "", "single rows of docs/wire.md treated otherwise than `wire` says: `WIRE-017=accept|note|refuse`, separated by commas"
    )


@dataclass(frozen=True, slots=True)
class Mllp:
    """The listener of the patient identity feed, ITI-8 (HL7 version 2 over MLLP), at the address of `server.host`."""

    port: int = setting(0, "TCP port of the identity feed ITI-8 over MLLP; 0: it is not served", low=0, high=65535)
    certificate: str = setting("", "PEM file of the listener's certificate and chain: every connection is TLS; empty: none is")
    key: str = setting("", "PEM file of the key of that certificate")
    authorities: str = setting(
        "", "PEM file of the authorities of which every sender must show a certificate; empty: none is asked for"
    )
    message: int = setting(256 * KB, "one message", unit="bytes", low=KB, high=16 * MB)
    connections: int = setting(64, "open connections of one process; others wait", unit="connections", low=1, high=1000)
    idle: float = setting(300.0, "longest silence between two messages of a connection", unit="seconds", low=0.1, high=86_400)
    message_seconds: float = setting(
        30.0, "from the first byte of a message to its last, and for the TLS handshake", unit="seconds", low=0.1, high=600
    )


@dataclass(frozen=True, slots=True)
class Security:
    """Who may call, and how callers prove who they are."""

    secure: bool = setting(
        False, "https only, with client certificates of enrolled partners (option --secure); behind `front` the proxy does TLS"
    )
    pki: str = setting(
        "", "folder of a test authority (`carnet pki`): gives certificate, key, authorities, crl_files and partners that are "
        "not set here",
    )  # fmt: skip
    certificate: str = setting("", "PEM file of the listener's certificate and chain; read again when it changes")
    key: str = setting("", "PEM file of the key of that certificate; read again when it changes")
    authorities: str = setting(
        "", "PEM files, separated by commas, of the authorities whose certificates are believed; read again when they change"
    )
    crl_files: str = setting("", "revocation lists (PEM or DER), separated by commas; read again when they change")
    crl_urls: str = setting("", "http addresses of revocation lists, separated by commas, fetched and kept in `store.data`")
    crl_minutes: float = setting(15.0, "time between two fetches of a list", unit="minutes", low=0.01, high=10_080)
    crl_grace_hours: float = setting(
        24.0, "how long after its nextUpdate a list still serves, with a warning; then its authority's certificates are refused",
        unit="hours", low=0, high=8760,
    )  # fmt: skip
    crl_required: bool = setting(True, "an authority of which no revocation list is known is not believed")
    ocsp_url: str = setting("", "http address of the OCSP responder asked about each certificate; empty: none is asked")
    ocsp: str = setting(
        "prefer", "without a usable answer of that responder: prefer: the revocation list alone decides; require: refused",
        choices=("prefer", "require"),
    )  # fmt: skip
    partners: str = setting(
        "", "TOML file of the enrolled partners: certificates, organisation, transactions; read again when it changes"
    )
    policies: str = setting(
        "", "certificate policies (OIDs, separated by commas) of which a certificate must carry one; empty: any"
    )
    minimum_rsa: int = setting(2048, "shortest RSA key of a certificate", unit="bits", low=1024, high=16_384)
    signed_messages: str = setting(
        "accept", "signatures of SOAP messages (WS-Security): off: not looked at; accept: verified where a message has one; "
        "require: an unsigned message is refused; without authorities none is looked at", choices=("off", "accept", "require"),
    )  # fmt: skip
    sign_answers: str = setting(
        "signed", "which answers are signed, where there is a certificate: those to signed requests, always, or never",
        choices=("signed", "always", "never"),
    )  # fmt: skip
    signing_certificate: str = setting(
        "", "PEM file of the certificate that signs answers, and a repository's messages to a registry elsewhere; empty: answers "
        "are signed with that of the listener; read again when it changes",
    )  # fmt: skip
    signing_key: str = setting("", "PEM file of the key of that certificate; read again when it changes")
    message_addresses: str = setting(
        "", "base addresses (https://host), separated by commas, that a signed wsa:To may begin with beside `server.public_url`; "
        "without that one, the host that the request names counts",
    )  # fmt: skip
    message_seconds: float = setting(
        300.0, "how long a signed message counts after its Created, whatever its Expires says", unit="seconds", low=10, high=3600
    )
    message_skew: float = setting(
        60.0, "how far the clock of a sender may differ from ours", unit="seconds", low=0, high=600
    )
    assertions: str = setting(
        "auto", "assertions of who acts (IHE XUA, VIHF; docs/assertions.md): off: not looked at; accept: verified where a "
        "message has one; require: a message without is refused; auto: require with `secure`, else accept where there are "
        "authorities",
        choices=("auto", "off", "accept", "require"),
    )  # fmt: skip
    assertion_issuers: str = setting(
        "", "TOML file of the issuers of assertions ([[issuer]], docs/assertions.md); empty: a VIHF signed by card or structure "
        "of `authorities`, and XUA signed by an enrolled structure",
    )  # fmt: skip
    assertion_audience: str = setting(
        "urn:carnet:xds,urn:dmp", "URIs, separated by commas, by which an assertion's Audience may name this server beside "
        "`server.public_url`",
    )  # fmt: skip
    assertion_skew: float = setting(
        60.0, "how far the clock of an issuer of assertions may differ from ours", unit="seconds", low=0, high=600
    )
    document_signatures: str = setting(
        "warn", "signatures over submission sets (docs/security.md): off: not looked at; warn: what is wrong is a warning of the "
        "answer; refuse: it refuses the submission", choices=("off", "warn", "refuse"),
    )  # fmt: skip
    signed_sets: bool = setting(False, "a submission without a signature is wrong as well (rule DSG-001)")
    front: str = setting(
        "off", "nginx: take the client certificate from X-SSL-Client-Cert as deploy/nginx.conf sets it; only with server.socket",
        choices=("off", "nginx"),
    )  # fmt: skip
    policy: str = setting(
        "ihe", "who may do what with a record: ihe: every caller everything; dmp-fr: the matrix of the French DMP "
        "(docs/rights.md); or the path of a matrix of that form",
    )  # fmt: skip
    rights_reading: str = setting(
        "strict", "where a matrix can be read in two ways: strict, open, or the notes of docs/rights.md that are opened, "
        "separated by commas",
    )  # fmt: skip
    consent_policies: str = setting(
        "", "with a matrix: consent policies (codes of BPPC documents, separated by commas) of which the patient must have "
        "acknowledged one for the record to be read, but in an emergency and by the patient; empty: consents are only shown",
    )  # fmt: skip
    enumeration: int = setting(
        50, "alarm `enumeration` when one caller was refused something of that many different patients within an hour, counted "
        "by each worker; 0: none", unit="patients", low=0, high=100_000,
    )  # fmt: skip
    patients_per_hour: int = setting(
        0, "patients that one caller may ask about within an hour (ITI-18, ITI-43, ITI-51, /dmp/patients), counted for all "
        "workers; about further ones it is refused (ACC-017), in an emergency too; 0: any number",
        unit="patients", low=0, high=10_000_000,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Audit:
    """The audit trail (docs/audit.md)."""

    enabled: bool = setting(True, "keep an audit record of every request, durable before its answer leaves")
    key: str = setting(
        "", "file of the key that seals the records, mode 0600; empty: `audit-key` in `store.data`, made with the store; servers "
        "that share a database share the key",
    )  # fmt: skip
    source: str = setting("", "AuditSourceID of this server; empty: the name of the machine")
    site: str = setting("", "AuditEnterpriseSiteID; empty: none")
    syslog: str = setting("", "HOST:PORT of an Audit Record Repository that takes syslog over TLS; empty: records stay here")
    syslog_authorities: str = setting(
        "", "PEM file of the authorities whose certificate that repository has; empty: those of this machine"
    )
    syslog_certificate: str = setting("", "PEM file of our certificate and chain, where that repository asks for one")
    syslog_key: str = setting("", "PEM file of the key of that certificate")
    syslog_end: str = setting(
        "close_notify", "how the repository must end a connection before a batch counts as received: with close_notify of TLS, "
        "or by TCP alone (fin), which one that is killed does as well", choices=("close_notify", "fin"),
    )  # fmt: skip
    alarm_seconds: float = setting(
        3600.0, "age of the oldest record that is not delivered from which an alarm is given", unit="seconds", low=1, high=604_800
    )
    backlog: int = setting(
        20_000_000, "records that may wait for the repository; with more, nothing but an emergency is read here",
        unit="records", low=1000, high=1_000_000_000,
    )  # fmt: skip
    unknown_seconds: float = setting(
        3600.0, "an event that began and whose end is not recorded after this time is told as one whose end is not known",
        unit="seconds", low=0, high=604_800,
    )  # fmt: skip
    anchor_seconds: float = setting(
        60.0, "longest time between two anchors of the trail, when there are new records", unit="seconds", low=1, high=86_400
    )
    anchor_records: int = setting(
        1000, "records after which an anchor is written (looked at every second)", unit="records", low=1, high=1_000_000
    )


@dataclass(frozen=True, slots=True)
class Limits:
    """What one message may cost. Over a limit a request is refused by a SOAP Fault, or by the error named."""

    root_part: int = setting(2 * MB, "XML of one message, document bytes not counted", unit="bytes", low=16 * KB, high=512 * MB)
    inline_base64: int = setting(32 * MB, "inline base64 documents of one message together", unit="bytes", low=0, high=512 * MB)
    body: int = setting(8 * GB, "one request as a whole", unit="bytes", low=64 * KB, high=1024 * GB)
    document: int = setting(4 * GB, "one document", unit="bytes", low=64 * KB, high=1024 * GB)
    memory: int = setting(
        16 * MB, "small documents of one message held in memory together; beyond it they go to files as well",
        unit="bytes", low=0, high=GB,
    )  # fmt: skip
    depth: int = setting(96, "levels of XML elements", unit="levels", low=16, high=4096)
    elements: int = setting(400_000, "XML elements of one message", unit="elements", low=100, high=50_000_000)
    attributes: int = setting(64, "attributes of one XML element", unit="attributes", low=16, high=10_000)
    parts: int = setting(1024, "MIME parts of one message", unit="parts", low=1, high=100_000)
    part_header: int = setting(8 * KB, "header of one MIME part", unit="bytes", low=256, high=64 * KB)
    part_header_lines: int = setting(32, "header fields of one MIME part", unit="fields", low=3, high=1000)
    expansion: int = setting(100, "times that a compressed body may grow", low=2, high=10_000)
    receive_seconds: float = setting(600.0, "from the first byte of a request to its last", unit="seconds", low=1, high=86_400)
    working: int = setting(
        32, "transactions run at once by one process; others wait `working_wait`, then are answered XDSRegistryBusy or "
        "XDSRepositoryBusy", unit="requests", low=1, high=512,
    )  # fmt: skip
    working_wait: float = setting(2.0, "how long a request waits for its turn", unit="seconds", low=0, high=600)
    query_results: int = setting(
        5_000,
        "objects one LeafClass query may return; more are answered XDSTooManyResults",
        unit="objects",
        low=1,
        high=10_000_000,
    )
    query_references: int = setting(
        50_000,
        "objects one ObjectRef query may return; more are answered XDSTooManyResults",
        unit="objects",
        low=1,
        high=10_000_000,
    )
    retrieve_documents: int = setting(1000, "documents one ITI-43 may ask for", unit="documents", low=1, high=100_000)
    source_documents: int = setting(
        0, "documents that one source (its certificate, else its person, else its address) may submit within an hour, counted "
        "for all workers; more are answered XDSRepositoryBusy or XDSRegistryBusy; 0: any number",
        unit="documents", low=0, high=1_000_000_000,
    )  # fmt: skip
    source_bytes: int = setting(0, "bytes of the same; 0: any number", unit="bytes", low=0, high=1024 * 1024 * GB)
    patient_documents: int = setting(
        0, "documents that may be submitted for one patient within an hour, by whomever, and answered in the same way; 0: any "
        "number", unit="documents", low=0, high=1_000_000_000,
    )  # fmt: skip
    patient_bytes: int = setting(0, "bytes of the same; 0: any number", unit="bytes", low=0, high=1024 * 1024 * GB)


@dataclass(frozen=True, slots=True)
class Settings:
    """All groups, and where each value came from (`origins["server.port"]`)."""

    server: Server = Server()
    store: Store = Store()
    role: Role = Role()
    domain: Domain = Domain()
    mllp: Mllp = Mllp()
    security: Security = Security()
    audit: Audit = Audit()
    limits: Limits = Limits()
    origins: Mapping[str, str] = field(default_factory=dict)

    def database_url(self) -> str:
        """The database in use; SQLite beside the documents when none is named."""
        return self.store.database or f"sqlite:///{Path(self.store.data).resolve() / 'carnet.sqlite'}"

    def value(self, key: str, secret: bool = True) -> Any:
        """The value of `group.key`; without `secret` a password in it is masked. Raises KeyError for an unknown key."""
        group, _, name = key.partition(".")
        if key not in TABLE:
            raise KeyError(key)
        value = getattr(getattr(self, group), name)
        return value if secret or not isinstance(value, str) else _PASSWORD.sub(r"\1***@", value)

    def base_url(self, port: int = 0) -> str:
        """The URL under which clients reach the server, without a slash at its end; `port` is the one really taken."""
        host = f"[{self.server.host}]" if ":" in self.server.host else self.server.host
        scheme = "https" if self.security.secure else "http"
        return (self.server.public_url or f"{scheme}://{host}:{port or self.server.port}").rstrip("/")


class SettingError(Exception):
    """A setting that cannot be used; the text names the place, the key and what is accepted."""


@dataclass(frozen=True, slots=True)
class Row:
    """One setting as the documentation, the `config` command and the parser see it."""

    key: str
    type: type
    default: Any
    meaning: str
    unit: str
    low: float | None
    high: float | None
    choices: tuple[str, ...]

    @property
    def variable(self) -> str:
        return "CARNET_" + self.key.replace(".", "_").upper()

    def accepted(self) -> str:
        """What may stand there, for errors and documentation."""
        if self.choices:
            return " | ".join(self.choices)
        if self.type is bool:
            return "true | false"
        if self.type is str:
            return "text"
        kind = "whole number" if self.type is int else "number"
        bounds = f" {_number(self.low)} to {_number(self.high)}" if self.low is not None and self.high is not None else ""
        return kind + bounds + (f" {self.unit}" if self.unit else "")


GROUPS: dict[str, type] = {
    "server": Server, "store": Store, "role": Role, "domain": Domain, "mllp": Mllp, "security": Security, "audit": Audit,
    "limits": Limits,
}  # fmt: skip
_TYPES: dict[str, type] = {"str": str, "int": int, "float": float, "bool": bool}


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}" if value != int(value) else str(int(value))


def rows() -> Iterator[Row]:
    """The table, group by group."""
    for name, group in GROUPS.items():
        for item in dataclasses.fields(group):
            yield Row(key=f"{name}.{item.name}", type=_TYPES[str(item.type)], default=item.default, **item.metadata)


TABLE: dict[str, Row] = {row.key: row for row in rows()}


def read_value(row: Row, value: Any, place: str) -> Any:
    """`value` of a file or of text, as the row's type, or `SettingError`."""
    try:
        converted = _convert(row, value)
    except (ValueError, TypeError):
        raise SettingError(f"{place}: {row.key} = {value!r} is not accepted; accepted: {row.accepted()}") from None
    if row.choices and converted not in row.choices:
        raise SettingError(f"{place}: {row.key} = {value!r} is not accepted; accepted: {row.accepted()}")
    if (row.type in (int, float) and not (row.low is None or row.low <= converted)) or (
        row.high is not None and converted > row.high
    ):
        raise SettingError(f"{place}: {row.key} = {value!r} is out of range; accepted: {row.accepted()}")
    return converted


def _convert(row: Row, value: Any) -> Any:
    if row.type is bool:
        if isinstance(value, bool):
            return value
        words = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
        if not isinstance(value, str) or value.lower() not in words:
            raise ValueError
        return words[value.lower()]
    if (
        isinstance(value, bool)
        or (row.type is str and not isinstance(value, str))
        or (row.type is int and isinstance(value, float))
    ):
        raise TypeError
    return row.type(value)


def unknown_key(key: str, place: str, groups: bool = False) -> SettingError:
    known = list(GROUPS) if groups else list(TABLE)
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    group = key.partition(".")[0]
    if group in GROUPS and not groups:
        known = [name for name in known if name.startswith(f"{group}.")]
    hint = f"; did you mean {near[0]}?" if near else "."
    return SettingError(f"{place}: there is no setting {key}{hint} Known: {', '.join(known)}")


def load(
    file: str | None = None,
    options: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """The settings in force. `file` must exist when it is named; `carnet.toml` of the working folder is read when it is there.

    `options` maps `group.key` to a value or text; None values are skipped. Raises `SettingError` with everything that is wrong,
    one line each; what one value alone cannot show is looked at when there is nothing else.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    wrong: list[str] = []

    def take(key: str, value: Any, place: str) -> None:
        try:
            if key not in TABLE:
                raise unknown_key(key, place)
            values[key] = read_value(TABLE[key], value, place)
            origins[key] = place
        except SettingError as error:
            wrong.append(str(error))

    for key, value, place in _from_file(file, wrong):
        take(key, value, place)
    for key, value, place in _from_environment(os.environ if environ is None else environ, wrong):
        take(key, value, place)
    for key, value in (options or {}).items():
        if value is not None:
            take(key, value, "command line")
    if wrong:
        raise SettingError("\n".join(wrong))
    for key, value, place in _from_domain(values, origins):
        if key not in values:
            take(key, value, place)
    if wrong:
        raise SettingError("\n".join(wrong))
    settings = Settings(
        origins=origins,
        **{
            name: group(**{k.split(".", 1)[1]: v for k, v in values.items() if k.split(".", 1)[0] == name})
            for name, group in GROUPS.items()
        },
    )
    check(settings)
    return settings


def _from_file(file: str | None, wrong: list[str]) -> Iterator[tuple[str, Any, str]]:
    path = Path(file or "carnet.toml")
    if file is None and not path.exists():
        return
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingError(f"{path}: cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingError(f"{path}: cannot be read: {error}") from None
    for group, keys in content.items():
        if group not in GROUPS:
            wrong.append(str(unknown_key(group, str(path), groups=True)))
            continue
        if not isinstance(keys, dict):
            wrong.append(f"{path}: {group} must be a table: write [{group}] on a line of its own, its keys below it")
            continue
        for key, value in keys.items():
            yield f"{group}.{key}", value, str(path)


def _from_domain(values: Mapping[str, Any], origins: Mapping[str, str]) -> list[tuple[str, Any, str]]:
    """What the file of the affinity domain sets in the group `domain`."""
    chosen = {key: values.get(f"domain.{key}", TABLE[f"domain.{key}"].default) for key in ("profile", "folder")}
    if chosen == {"profile": "ihe", "folder": ""}:
        return []  # sets nothing, and a command that judges nothing need not load the rules
    from metadata.domain_reading import DomainError
    from server.domain import load_domain

    try:
        domain = load_domain(**chosen)
    except DomainError as error:
        raise SettingError(f"{origins.get('domain.profile', 'default')}: {error}") from None
    place = f"domain {domain.name}"
    for key in domain.settings:
        if key in ("profile", "folder", "rules") or f"domain.{key}" not in TABLE:
            names = (row.key.partition(".")[2] for row in TABLE.values() if row.key.startswith("domain."))
            accepted = ", ".join(name for name in names if name not in ("profile", "folder", "rules"))
            raise SettingError(f"{place}: settings.{key}: there is no such key; accepted: {accepted}")
    return [(f"domain.{key}", value, place) for key, value in domain.settings.items()]


def _from_environment(environ: Mapping[str, str], wrong: list[str]) -> Iterator[tuple[str, str, str]]:
    """Variables that begin like a group must name a setting; CARNET_PYTHON and the like belong to others."""
    by_variable = {row.variable: row.key for row in TABLE.values()}
    prefixes = tuple(f"CARNET_{group.upper()}_" for group in GROUPS)
    for name, text in environ.items():
        if name in by_variable:
            yield by_variable[name], text, f"environment {name}"
        elif name.startswith(prefixes):
            near = difflib.get_close_matches(name, by_variable, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]}?" if near else "."
            known = (one for one in by_variable if one.startswith(next(p for p in prefixes if name.startswith(p))))
            wrong.append(f"environment: {name} names no setting{hint} Known: {', '.join(known)}")


def check(settings: Settings) -> None:
    """What one value alone cannot show. Raises `SettingError`."""
    server, role = settings.server, settings.role
    if server.workers > 1 and settings.database_url().startswith("sqlite"):
        raise SettingError(
            f"{settings.origins.get('server.workers', 'default')}: server.workers = {server.workers} needs PostgreSQL: SQLite is "
            "served from one process, whose threads share one commit. Accepted: server.workers = 1, or "
            "store.database = postgresql+psycopg://..."
        )
    if server.busy >= server.threads:
        raise SettingError(
            f"server.busy = {server.busy} must be below server.threads = {server.threads}, so that a refusal still finds a thread"
        )
    if not settings.database_url().startswith(("sqlite:///", "postgresql+psycopg://")):
        raise SettingError(
            f"{settings.origins.get('store.database')}: store.database = {settings.store.database!r} is not accepted; "
            "accepted: postgresql+psycopg://user@host/name, sqlite:////path, or nothing for SQLite in store.data"
        )
    _check_security(settings)
    mllp = settings.mllp
    if bool(mllp.certificate) != bool(mllp.key) or (mllp.authorities and not mllp.certificate):
        raise SettingError("mllp.certificate and mllp.key are given together; mllp.authorities needs both")
    if role.role == "repository" and mllp.port:
        raise SettingError("mllp.port is the registry's: with role.role = repository the feed goes to the registry")
    explain_url = settings.server.explain_url
    if explain_url and not _URL.match(explain_url):
        raise SettingError(
            f"{settings.origins.get('server.explain_url')}: server.explain_url = {explain_url!r} is not accepted; accepted: "
            "https://host/path or http://host/path"
        )
    if role.role == "repository" and not role.registry_url:
        raise SettingError(
            "role.role = repository needs role.registry_url (option --registry): the ITI-42 address of the registry"
        )
    if role.registry_url and not _URL.match(role.registry_url):
        raise SettingError(
            f"{settings.origins.get('role.registry_url')}: role.registry_url = {role.registry_url!r} is not accepted; accepted: "
            "http://host:port/path or https://host/path"
        )
    if role.role != "repository" and role.relay:
        raise SettingError(f"role.relay is only used with role.role = repository; role.role is {role.role}")
    if role.role != "repository" and role.registry_url:
        raise SettingError(f"role.registry_url is only used with role.role = repository; role.role is {role.role}")


def _check_security(settings: Settings) -> None:
    security = settings.security
    if bool(security.certificate) != bool(security.key):
        raise SettingError("security.certificate and security.key are given together")
    front = security.front == "nginx"
    if front and not (settings.server.socket and security.secure):
        raise SettingError(
            "security.front = nginx needs security.secure = true and server.socket (option --socket): a header is believed from "
            "a unix socket only, which the proxy alone can reach"
        )
    if not security.secure:
        return
    if settings.server.socket and not front:
        raise SettingError("security.secure with server.socket needs security.front = nginx: over a socket the proxy does TLS")
    if not security.pki and not (security.authorities and security.partners and (front or security.certificate)):
        raise SettingError(
            "security.secure needs security.pki (option --pki DIR, a folder of 'carnet pki init'), or security.certificate, "
            "security.key, security.authorities and security.partners"
        )
