"""Assertions on the wire: `carnet assertion` prints one, `serve --secure` demands it, refusals name their rule twice over."""

from __future__ import annotations

import base64
import http.client
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result
from lxml import etree

from schemas.namespaces import SAML, SOAP12, WSSE
from security.audit import AuditEvent, unpack
from security.audit_tables import audit_record
from security.pki import TestAuthority
from security.tls import client_context
from server.__main__ import program
from storage.database import open_database
from tests.server.exchange import PATIENT, announce
from tests.server_process import ServerProcess

_NS = {"s": SOAP12, "d": "urn:carnet:diagnosis:1", "w": WSSE}
_XML = "{http://www.w3.org/XML/1998/namespace}lang"


def query(security: str, patient: str = PATIENT) -> bytes:
    """ITI-18 FindDocuments with `security` in wsse:Security."""
    return (
        f'<s:Envelope xmlns:s="{SOAP12}" xmlns:a="http://www.w3.org/2005/08/addressing"><s:Header>'
        "<a:Action>urn:ihe:iti:2007:RegistryStoredQuery</a:Action>"
        f'<w:Security xmlns:w="{WSSE}" s:mustUnderstand="true">{security}</w:Security></s:Header><s:Body>'
        '<q:AdhocQueryRequest xmlns:q="urn:oasis:names:tc:ebxml-regrep:xsd:query:3.0" '
        'xmlns="urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0">'
        '<q:ResponseOption returnType="ObjectRef"/><AdhocQuery id="urn:uuid:14d4debf-8f97-4251-9a74-a90016b0af0d">'
        f"<Slot name=\"$XDSDocumentEntryPatientId\"><ValueList><Value>'{patient.replace('&', '&amp;')}'</Value></ValueList>"
        "</Slot>"
        "<Slot name=\"$XDSDocumentEntryStatus\"><ValueList><Value>('urn:oasis:names:tc:ebxml-regrep:StatusType:Approved')</Value>"
        "</ValueList></Slot></AdhocQuery></q:AdhocQueryRequest></s:Body></s:Envelope>"
    ).encode()


@dataclass(frozen=True, slots=True)
class Wire:
    server: ServerProcess
    pki: Path

    def ask(self, who: str, security: str, server: ServerProcess | None = None) -> tuple[int, etree._Element]:
        """One query over the card of `who`: HTTP status and the root of the answer."""
        folder = self.pki
        context = client_context(str(folder / "ca.crt"), str(folder / f"{who}.crt"), str(folder / f"{who}.key"))
        parts = urlsplit((server or self.server).url)
        connection = http.client.HTTPSConnection("localhost", parts.port, timeout=60, context=context)
        connection.request("POST", "/xds/registry", query(security), {"Content-Type": "application/soap+xml"})
        answer = connection.getresponse()
        return answer.status, etree.fromstring(answer.read())

    def assertion(self, who: str, *more: str) -> str:
        result = printed(self.pki, who, *more)
        assert result.exit_code == 0, result.output
        return result.output.strip()


def printed(pki: Path, who: str, *more: str) -> Result:
    patient = () if "--patient" in more else ("--patient", PATIENT)
    return CliRunner().invoke(program, ["assertion", "--pki", str(pki), "--as", who, *patient, *more])


@pytest.fixture(scope="module")
def wire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    home = tmp_path_factory.mktemp("wire")
    authority = TestAuthority.create(home / "pki")
    authority.issue("structure", "clinic", key_type="ec")
    authority.issue("structure", "hospital", key_type="ec")
    authority.issue("person", "doctor", key_type="ec", structure="clinic")
    announce(home / "store")
    server = ServerProcess(home / "store", "--secure", "--pki", str(authority.folder))
    with server.start(healthy=False):
        yield Wire(server, authority.folder)


def succeeded(answer: tuple[int, etree._Element]) -> bool:
    return answer[0] == 200 and b"StatusType:Success" in etree.tostring(answer[1])


def fault(answer: tuple[int, etree._Element]) -> tuple[str, str, dict[str, str]]:
    """Rule, the WS-Security code, and the reasons by language."""
    status, root = answer
    assert status == 400
    (code,) = root.findall("s:Body/s:Fault/s:Code/s:Subcode/s:Value", _NS)
    (own,) = root.findall("s:Body/s:Fault/s:Code/s:Subcode/s:Subcode/s:Value", _NS)
    (diagnosis,) = root.findall(".//d:Diagnosis", _NS)
    rule = str(diagnosis.get("rule"))
    assert (own.text or "").endswith(":" + rule)
    texts = {str(text.get(_XML)): text.text or "" for text in root.findall("s:Body/s:Fault/s:Reason/s:Text", _NS)}
    return rule, (code.text or "").rpartition(":")[2], texts


# ------------------------------------------------------------------------------------------------------------- served


@pytest.mark.parametrize(
    ("who", "more"),
    [
        ("doctor", ()),
        ("doctor", ("--purpose", "bris_de_glace", "--reason", "coma")),
        ("clinic", ("--person", "doctor")),
        ("clinic", ("--person", "doctor", "--mode", "INDIRECTE_RENFORCEE")),
        ("clinic", ("--profile", "xua", "--person", "doctor")),
        ("clinic", ("--profile", "xua", "--audience", "urn:dmp")),
    ],
)
def test_who_proves_who_acts_is_served(wire: Wire, who: str, more: tuple[str, ...]) -> None:
    assert succeeded(wire.ask(who, wire.assertion(who, *more)))


def test_an_assertion_serves_many_messages_one_for_one_use_serves_once(wire: Wire) -> None:
    many, once = wire.assertion("doctor"), wire.assertion("doctor", "--one-time")
    assert all(succeeded(wire.ask("doctor", many)) for _ in range(3))
    assert succeeded(wire.ask("doctor", once))
    rule, code, _ = fault(wire.ask("doctor", once))
    assert (rule, code) == ("SAM-022", "FailedAuthentication")


# ------------------------------------------------------------------------------------------------------------ refused


def test_refusals_are_faults_with_a_rule_in_two_languages(wire: Wire) -> None:
    good = wire.assertion("doctor")
    element = etree.fromstring(good)
    name = element.find(f".//{{{SAML}}}NameID")
    assert name is not None
    name.text = "899912345678"
    changed = etree.tostring(element).decode()
    cases = [
        ("doctor", "", "SAM-001", "SecurityTokenUnavailable", "assertion"),
        ("doctor", good + good, "SAM-002", "InvalidSecurity", "assertions"),
        ("doctor", changed, "SAM-010", "FailedCheck", "signature"),
        ("hospital", good, "SAM-027", "FailedAuthentication", "certificat TLS"),
        ("doctor", wire.assertion("doctor", "--audience", "urn:other"), "SAM-020", "FailedAuthentication", "urn:other"),
        (
            "clinic",
            wire.assertion("clinic", "--profile", "xua", "--audience", "urn:x"),
            "SAM-020",
            "FailedAuthentication",
            "urn:x",
        ),
    ]
    for who, security, rule, code, french in cases:
        found, subcode, texts = fault(wire.ask(who, security))
        assert (found, subcode) == (rule, code)
        assert set(texts) == {"en", "fr"} and french in texts["fr"] and f"[{rule}]" in texts["en"]


def test_the_first_certificate_that_brings_an_assertion_keeps_it(wire: Wire) -> None:
    good = wire.assertion("clinic", "--person", "doctor")
    assert succeeded(wire.ask("clinic", good))
    assert fault(wire.ask("doctor", good))[0] == "SAM-026"


def test_the_patient_of_the_message_is_that_of_the_assertion(wire: Wire) -> None:
    other = wire.assertion("doctor", "--patient", "153078987658513^^^&1.2.250.1.213.1.4.10&ISO^NH")
    rule, code, texts = fault(wire.ask("doctor", other))
    assert (rule, code) == ("SAM-040", "FailedAuthentication") and "XDSPatientIdDoesNotMatch" in texts["en"]
    assert succeeded(wire.ask("doctor", wire.assertion("doctor", "--patient", PATIENT + "^NH")))


def test_the_audit_trail_names_the_node_whose_assertion_was_refused(wire: Wire) -> None:
    assert fault(wire.ask("hospital", wire.assertion("clinic", "--person", "doctor")))[0] == "SAM-027"
    with closing(open_database(f"sqlite:///{wire.server.data / 'carnet.sqlite'}")) as database, database.read() as connection:
        kept = [unpack(bytes(body), at) for at, body in connection.execute(sa.select(audit_record.c.at, audit_record.c.body))]
    alarms = [one for one in kept if isinstance(one, AuditEvent) and one.description == "authentication failed: SAM-027"]
    assert any(person.userID.startswith("CN=hospital,") for event in alarms for person in event.participants)


def test_nothing_of_an_assertion_reaches_the_log(wire: Wire) -> None:
    wire.ask("hospital", wire.assertion("doctor", "--reason", "canary-in-the-reason"))
    assert "canary-in-the-reason" not in wire.server.log() and "AttributeValue" not in wire.server.log()


# ------------------------------------------------------------------------------------------------------------ settings


def test_accept_lets_pass_who_says_nothing_and_the_file_of_issuers_is_obeyed(wire: Wire, tmp_path: Path) -> None:
    announce(tmp_path / "store")
    issuers = tmp_path / "issuers.toml"
    issuers.write_text('[[issuer]]\nmodes = ["DIRECTE"]\n', "utf-8")
    options = ("--set", "security.assertions=accept", "--set", f"security.assertion_issuers={issuers}")
    server = ServerProcess(tmp_path / "store", "--secure", "--pki", str(wire.pki), *options)
    with server.start(healthy=False):
        assert succeeded(wire.ask("doctor", "", server))
        assert succeeded(wire.ask("doctor", wire.assertion("doctor"), server))
        assert fault(wire.ask("hospital", wire.assertion("doctor"), server))[0] == "SAM-027"
        assert fault(wire.ask("clinic", wire.assertion("clinic"), server))[0] == "SAM-035"
        assert fault(wire.ask("clinic", wire.assertion("clinic", "--profile", "xua"), server))[0] == "SAM-013"


def test_a_file_of_issuers_that_cannot_be_used_is_told_before_the_server_starts(tmp_path: Path) -> None:
    path = tmp_path / "issuers.toml"
    path.write_text("[[issuer]]\nminutes = 0\n", "utf-8")
    result = CliRunner().invoke(
        program, ["serve", "--data", str(tmp_path / "d"), "--port", "0", "--set", f"security.assertion_issuers={path}"]
    )
    assert result.exit_code == 2 and "issuers.toml: issuer 1: minutes = 0" in result.output


def test_requiring_assertions_needs_somebody_to_believe(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        program, ["serve", "--data", str(tmp_path / "d"), "--port", "0", "--set", "security.assertions=require"]
    )
    assert result.exit_code == 2 and "security.assertions = require needs authorities" in result.output


# -------------------------------------------------------------------------------------------------------- the command


def test_the_command_prints_base64_for_scripts(wire: Wire) -> None:
    octets = base64.b64decode(wire.assertion("doctor", "--base64"))
    assert etree.fromstring(octets).tag == f"{{{SAML}}}Assertion"


@pytest.mark.parametrize(
    ("who", "more", "words"),
    [
        ("nobody", (), "holds no person or structure 'nobody'; it holds: "),
        ("clinic", ("--mode", "DIRECTE"), "give --as PERSON or --mode INDIRECTE"),
        ("doctor", ("--purpose", "bris_de_glace"), "needs --reason TEXT"),
        ("doctor", ("--purpose", "curiosity"), "accepted: normal, bris_de_glace, centre_15"),
    ],
)
def test_the_command_says_what_it_cannot_write(wire: Wire, who: str, more: tuple[str, ...], words: str) -> None:
    result = printed(wire.pki, who, *more)
    assert result.exit_code == 2 and words in result.output
