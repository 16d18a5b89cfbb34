"""The trail of a server: who acts by an assertion, emergencies, what is shown, what a death leaves, what no record stops."""

from __future__ import annotations

import json
import os
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from metadata.vocabulary import ResponseStatus, Transaction
from repository.index import SignatureRecord
from security.audit import SERIOUS, AuditSource
from security.audit_chain import AnchorFile
from security.audit_forward import Forwarder, told
from security.audit_store import AuditStore
from security.identity import Assertion, Coded
from security.pki import TestAuthority, tls_files
from security.refusal import Denied
from security.saml_names import PURPOSES
from security.syslog import Receiver
from server.__main__ import program
from server.audit import Trail
from server.audit_events import Deed
from server.audit_keeper import Keeper, KeeperOptions
from server.audit_report import traces
from server.audit_setup import receiver_of
from server.settings import SettingError, load
from soap.call import Call, Caller
from soap.endpoint import Exchange
from storage.database import open_database
from storage.errors import StorageUnavailable
from storage.migrate import prepare
from tests.durability.wire import NoAnswer, Wire, submission
from tests.proof.messages import query, single
from tests.server.audit_reader import checked, messages
from tests.server.exchange import PATIENT, announce, package
from tests.server_process import ServerProcess

CX = "4711^^^&1.2.3.4.5&ISO"
DOCTOR = Assertion(
    id="_1", issuer="CN=CPS", subject="801234567890", alias="drm", name="Anne Martin", structure="10B0123456",
    roles=(Coded("10", "1.2.250.1.71.1.2.7", "Médecin"), Coded("SM05", "1.2.250.1.71.4.2.5", "Cardiologie")), patient=CX,
    purpose=Coded("bris_de_glace", "1.2.250.1.213.1.1.4.248", "Bris de glace"), reason="unconscious",
)  # fmt: skip


class Nobody:
    """Owners of nothing."""

    def documents(self, unique_ids: Iterable[str]) -> dict[str, str]:
        return {}

    def objects(self, entry_uuids: Iterable[str]) -> dict[str, str]:
        return {}


@pytest.fixture
def trail(tmp_path: Path) -> Iterator[Trail]:
    url = f"sqlite:///{tmp_path / 'trail.sqlite'}"
    prepare(url)
    database = open_database(url)
    yield Trail(AuditStore(database, bytes(32)), Nobody(), "https://h", AuditSource("node"))
    database.close()


def asked(caller: Caller, **outcome: Any) -> Exchange:
    from schemas.parse import parse

    body = parse(query("GetDocuments", {"$XDSDocumentEntryUniqueId": single("1.2.3")}))
    call = Call(Transaction.ITI_18, body, caller=caller, endpoint_url="https://h/xds/registry")
    return Exchange("POST", "/xds/registry", Transaction.ITI_18, caller, call=call, **outcome)


# ------------------------------------------------------------------------------------------------------------ who acts


def test_who_acts_is_told_by_the_assertion(trail: Trail) -> None:
    caller = Caller("192.0.2.7", b"x", "CN=hospital,O=CHU", replace(DOCTOR, purpose=Coded("normal", "1.2", "Accès normal")))
    trail.record(asked(caller, status=ResponseStatus.SUCCESS))
    (record,) = trail.store.all(0)
    event = told(trail.store, record)
    system, person, ours = event.participants
    assert (system.name, system.requestor, system.address) == ("hospital", False, "192.0.2.7")
    assert (person.userID, person.name, person.requestor) == ("drm<801234567890@CN=CPS>", "drm<801234567890@CN=CPS>", True)
    assert [(role.code, role.text) for role in person.roles] == [("10", "Médecin"), ("SM05", "Cardiologie")]
    assert (ours.requestor, [one.code for one in event.purposes]) == (False, ["normal"])
    assert event.patient == CX, "the message names no patient: that of the assertion"


def test_an_emergency_is_an_alert_of_its_own_and_stands_out(trail: Trail) -> None:
    trail.record(asked(Caller("192.0.2.7", assertion=DOCTOR), status=ResponseStatus.SUCCESS))
    done, alert = traces(trail.store, [CX])
    assert done.emergency and alert.emergency
    assert (alert.event.event.code, [one.code for one in alert.event.types]) == ("110113", ["110127", "ITI-18"])
    fields = done.fields("fr")
    assert (fields["who"], fields["role"], fields["organisation"]) == ("Anne Martin", "Médecin, Cardiologie", "10B0123456")
    assert (fields["purpose"], fields["reason"], fields["action"]) == ("bris de glace", "unconscious", "recherche")
    assert alert.words("fr")["action"] == "ACCÈS EN URGENCE"


def test_a_purpose_is_told_by_its_code_and_not_by_what_the_sender_calls_it(trail: Trail) -> None:
    for purpose in (Coded("bris_de_glace", PURPOSES, "Accès normal"), Coded("TREATMENT", "1.2", "Treatment"), Coded("X", "1.2")):
        trail.record(asked(Caller("192.0.2.7", assertion=replace(DOCTOR, purpose=purpose)), status=ResponseStatus.SUCCESS))
    told = [one.words("en")["purpose"] for one in traces(trail.store, [CX]) if one.event.types[0].code == "ITI-18"]
    assert told == ["breaking the glass", "Treatment", "X"]


def test_who_cannot_prove_himself_is_an_alert(trail: Trail) -> None:
    for rule, alerts in (("SAM-007", 1), ("ACC-003", 0)):
        denied = Denied(rule, "no", "non")
        exchange = asked(Caller("192.0.2.7", subject="CN=x"), denied=denied, fault=rule)
        exchange.call = None
        before = len(list(trail.store.all(0)))
        trail.record(exchange)
        events = [told(trail.store, record) for record in list(trail.store.all(0))[before:]]
        assert [(one.event.code, one.outcome) for one in events] == [("110113", SERIOUS)] * alerts + [("110112", SERIOUS)]
        assert all(rule in one.description for one in events)
    trail.node_failure("192.0.2.9", "TLS handshake, CERTIFICATE_VERIFY_FAILED", "CN=bad")
    last = told(trail.store, list(trail.store.all(0))[-1])
    assert [one.code for one in last.types] == ["110126"] and last.participants[0].userID == "CN=bad"


def test_a_signature_that_was_looked_at_is_recorded_with_its_submission(trail: Trail) -> None:
    call = asked(Caller("192.0.2.7")).call
    assert call is not None
    good, bad = (SignatureRecord("1.2.9", "1.2.8", "CN=x", "2026", rules, 1) for rules in ((), ("DSG-007", "DSG-012")))
    database = trail.around(trail.store.database)
    events = trail.events_of(Deed(Transaction.ITI_41, Caller("192.0.2.7"), "https://h/xds/repository"))
    with trail.deed(call, events):
        trail.verified(CX, good)
        trail.verified(CX, bad)
        database.write(lambda connection: None)
    first, *checks = [told(trail.store, record) for record in trail.store.all(0)]
    assert first.types[0].code == "ITI-41"
    assert [(one.event.code, one.action, one.types[0].code, one.outcome, one.description, one.patient) for one in checks] == [
        ("110007", "R", "urn:ihe:iti:dsg", 0, "", CX), ("110007", "R", "urn:ihe:iti:dsg", 8, "DSG-007, DSG-012", CX),
    ]  # fmt: skip
    assert checks[0].objects[1].id == "1.2.9" and checks[0].participants == events[0].participants
    with trail.deed(call, events):
        trail.verified(CX, bad)
    exchange = replace(asked(Caller("192.0.2.7")), call=call, transaction=Transaction.ITI_41, status=ResponseStatus.FAILURE)
    trail.record(exchange)
    refused = [told(trail.store, record) for record in trail.store.all(0)][3:]
    assert [(one.types[0].code, one.outcome) for one in refused] == [("ITI-41", 4), ("urn:ihe:iti:dsg", 8)]


# ------------------------------------------------------------------------------------------------ what no record stops


def test_without_a_record_nothing_is_read(tmp_path: Path) -> None:
    """The trail cannot be written: a refusal instead of the answer. When it can be written again, all goes on."""
    data = tmp_path / "data"
    announce(data)
    with ServerProcess(data) as server:
        sent = package(b"a document")
        assert sent.send(server).response.status is ResponseStatus.SUCCESS
        wire = Wire(server.repository, server.registry)
        with _broken(data):
            answer, parts = wire.retrieve("1.2.3", sent.unique_ids)
            assert not parts and answer.status.endswith("Failure"), str(answer)
        assert {*wire.query(sent.unique_ids)} == {*sent.unique_ids}
    assert checked(data).wrong == ()


class _broken:
    """Meanwhile no audit record can be inserted."""

    def __init__(self, data: Path) -> None:
        self._path = str(data / "carnet.sqlite")

    def _run(self, statement: str) -> None:
        import pysqlite3.dbapi2 as sqlite

        connection = sqlite.connect(self._path, timeout=60)
        connection.execute(statement)
        connection.commit()
        connection.close()

    def __enter__(self) -> None:
        self._run("CREATE TRIGGER broken BEFORE INSERT ON audit_record BEGIN SELECT RAISE(ABORT, 'disk is full'); END")

    def __exit__(self, *_: object) -> None:
        self._run("DROP TRIGGER broken")


def test_with_too_many_records_waiting_only_emergencies_read(trail: Trail) -> None:
    trail.full = lambda: True
    normal = Caller("192.0.2.7", assertion=replace(DOCTOR, purpose=None))
    with pytest.raises(StorageUnavailable, match=r"audit\.backlog"):
        trail.record(asked(normal, status=ResponseStatus.SUCCESS))
    trail.record(asked(Caller("192.0.2.7", assertion=DOCTOR), status=ResponseStatus.SUCCESS))
    trail.record(asked(normal, status=ResponseStatus.FAILURE))
    assert len(list(trail.store.all(0))) == 3


# ----------------------------------------------------------------------------------------------------------- the death


def test_what_a_death_interrupts_is_told_as_that(tmp_path: Path) -> None:
    """The server is killed while a document leaves it."""
    data = tmp_path / "data"
    announce(data)
    environ = {"CARNET_AUDIT_UNKNOWN_SECONDS": "0"}
    server = ServerProcess(data, environ=environ).start()
    sent = package(os.urandom(40_000_000))
    assert sent.send(server).response.status is ResponseStatus.SUCCESS
    _hang_and_kill(server, sent.unique_ids[0])
    last = messages(data)[-1]
    assert (last.kind, last.objects[1].id) == ("begun", sent.unique_ids[0])
    shown = audit(data, "show", "--patient", PATIENT)
    assert "begun, end unknown" in shown.stdout
    with ServerProcess(data, environ=environ):
        deadline = time.monotonic() + 60
        while messages(data)[-1].kind != "end":
            assert time.monotonic() < deadline
            time.sleep(0.1)
        end = messages(data)[-1]
    assert (end.event["EventOutcomeIndicator"], end.description) == ("8", "the end is not known")
    assert checked(data).wrong == ()


def _hang_and_kill(server: ServerProcess, unique_id: str) -> None:
    """A client that takes the first octets of the document and no more; then the power cut."""
    import socket
    from urllib.parse import urlsplit

    from benchmarks.messages import retrieve

    repository = _repository_of(server)
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname or "", address.port or 0), 30) as connection:
        connection.sendall(retrieve(repository, unique_id))
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
        server.kill()


def _repository_of(server: ServerProcess) -> str:
    from server.identity import repository_unique_id
    from tests.server.audit_reader import settings_for

    database = open_database(settings_for(server.data).database_url())
    try:
        return repository_unique_id(database)
    finally:
        database.close()


@pytest.mark.parametrize("step", ["rows-inserted", "commit-before", "commit-after"])
def test_a_submission_and_its_record_are_both_there_or_neither(tmp_path: Path, step: str) -> None:
    data = tmp_path / "data"
    announce(data)
    sent = submission(900)
    server = ServerProcess(data, "--patients", "open", environ={"CARNET_CRASH_AT": step}).start(healthy=False)
    with pytest.raises(NoAnswer):
        Wire(server.repository, server.registry).provide(sent)
    server.kill()
    with ServerProcess(data, "--patients", "open") as again:
        registered = {*Wire(again.repository, again.registry).query(sent.documents)}
    recorded = [m for m in messages(data) if m.types and m.types[0][0] == "ITI-41"]
    assert bool(registered) is bool(recorded)
    assert checked(data).wrong == ()


def test_a_server_without_a_trail(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with ServerProcess(data, "--patients", "open", "--set", "audit.enabled=false") as server:
        sent = submission(900)
        wire = Wire(server.repository, server.registry)
        assert wire.provide(sent).status.endswith("Success") and {*wire.query(sent.documents)} == {*sent.documents}
    assert not (data / "audit-key").exists() and not (data / "audit-anchors").exists()


def test_the_receiver_out_of_the_settings(tmp_path: Path) -> None:
    authority = TestAuthority.create(tmp_path / "pki")
    authority.issue("server", "localhost")
    certificate, key = (str(path) for path in tls_files(tmp_path / "pki", "localhost"))
    given = {
        "audit.syslog": "[::1]:6514", "audit.syslog_authorities": str(tmp_path / "pki" / "ca.crt"),
        "audit.syslog_certificate": certificate, "audit.syslog_key": key, "audit.syslog_end": "fin",
    }  # fmt: skip
    receiver = receiver_of(load(options=given, environ={}))
    assert receiver == Receiver("::1", 6514, given["audit.syslog_authorities"], certificate, key, fin=True)
    for name, value, said in (
        ("audit.syslog", "nowhere", "accepted: HOST:PORT"),
        ("audit.syslog", "host:99999", "accepted: HOST:PORT"),
        ("audit.syslog_authorities", "/no/such/file", r"audit\.syslog_authorities, .*No such file"),
        ("audit.syslog_key", given["audit.syslog_authorities"], r"audit\.syslog_key"),
    ):
        with pytest.raises(SettingError, match=said):
            receiver_of(load(options={**given, name: value}, environ={}))


def test_a_start_without_the_key_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "data"
    announce(data)
    with ServerProcess(data):
        pass
    (data / "audit-key").unlink()
    with pytest.raises(AssertionError, match="the key of the audit trail is missing"):
        ServerProcess(data).start()


# ------------------------------------------------------------------------------------------------------------ commands


def audit(data: Path, *arguments: str) -> Result:
    return CliRunner().invoke(program, ["audit", *arguments, "--data", str(data)])


def test_what_the_commands_say(tmp_path: Path) -> None:
    data = tmp_path / "data"
    announce(data)
    with ServerProcess(data) as server:
        sent = package(b"one", b"two")
        sent.send(server)
        Wire(server.repository, server.registry).retrieve(_repository_of(server), sent.unique_ids[:1])
        _settled(data)
        done = audit(data, "verify")
        assert (done.exit_code, done.stdout.split()[-2:]) == (0, ["nothing", "wrong"]), done.output
        shown = json.loads(audit(data, "show", "--patient", PATIENT, "--json").stdout)
    assert [one["action"] for one in shown] == ["documents submitted", "documents read"]
    assert (shown[1]["documents"], shown[1]["outcome"]) == ([sent.unique_ids[0]], "done") and shown[1]["octets"] > 3
    french = audit(data, "show", "--patient", PATIENT, "--lang", "fr", "--since", "2020-01-01").stdout
    assert "documents consultés" in french and "traces consultées" in french and "fait" in french
    assert audit(data, "show", "--patient", PATIENT, "--since", "2999-01-01", "--json").stdout.strip() == "[]"
    assert audit(data, "show", "--patient", CX, "--json").stdout.strip() == "[]"
    wrong = audit(data, "show", "--patient", PATIENT, "--since", "tomorrow")
    assert (wrong.exit_code, "YYYY-MM-DD" in wrong.output) == (2, True)
    used = [m for m in messages(data) if m.id == ("110101", "DCM", "Audit Log Used")]
    assert [[o.id for o in m.objects if o.role == "1"] for m in used] == [[], [PATIENT], [PATIENT], [PATIENT], [CX]]


def test_verify_names_what_was_changed(tmp_path: Path) -> None:
    import pysqlite3.dbapi2 as sqlite

    data = tmp_path / "data"
    announce(data)
    with ServerProcess(data) as server:
        package(b"one").send(server)
    connection = sqlite.connect(str(data / "carnet.sqlite"))
    connection.execute("UPDATE audit_record SET patient = 1 WHERE number = 2")
    connection.execute("DELETE FROM audit_record WHERE number = 3")
    connection.commit()
    connection.close()
    done = audit(data, "verify")
    assert done.exit_code == 1
    assert done.stdout.splitlines()[0] == "record 0.2 was changed, swapped or put in" and "record 0.3 is missing" in done.stdout


def test_an_exported_record_takes_its_traces_along(tmp_path: Path) -> None:
    data = tmp_path / "data"
    announce(data)
    with ServerProcess(data) as server:
        package(b"one").send(server)
    done = CliRunner().invoke(program, ["patient", "export", PATIENT, str(tmp_path / "out.zip"), "--data", str(data)])
    assert done.exit_code == 0, done.output
    record = json.loads(zipfile.ZipFile(tmp_path / "out.zip").read("record.json"))
    assert [one["action"] for one in record["traces"]] == ["documents submitted"]


def _settled(data: Path) -> None:
    deadline = time.monotonic() + 60
    while sum(m.kind == "begun" for m in messages(data)) > sum(m.kind == "end" for m in messages(data)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


# -------------------------------------------------------------------------------------------------------------- keeper


def test_anchors_come_with_records_and_at_the_end(trail: Trail, tmp_path: Path) -> None:
    anchors = AnchorFile(tmp_path / "anchors", bytes(32))
    keeper = Keeper(trail.store, anchors, tmp_path, None, KeeperOptions(anchor_seconds=1000, anchor_records=5))
    keeper._keep(False)
    assert anchors.read() == ([], []), "nothing to anchor"
    person = Caller("192.0.2.7")
    for count, expected in ((1, 1), (3, 1), (5, 2)):
        for _ in range(count):
            trail.record(asked(person, status=ResponseStatus.SUCCESS))
        keeper._keep(False)
        assert len(anchors.read()[0]) == expected
    keeper._keep(True)
    assert len(anchors.read()[0]) == 2, "the end was anchored already"


def test_one_of_two_keepers_works_until_it_ends(trail: Trail, tmp_path: Path) -> None:
    sent: list[str] = []

    def forwarder(name: str) -> Forwarder:
        def send(receiver: object, context: object, batch: Sequence[bytes]) -> None:
            sent.extend(name for _ in batch)

        return Forwarder(trail.store, Receiver("localhost", 1, ""), AuditSource("n"), "h", "t", send)

    anchors = AnchorFile(tmp_path / "anchors", bytes(32))
    first, second = (Keeper(trail.store, anchors, tmp_path, forwarder(name)) for name in "ab")
    first.start()
    trail.record(asked(Caller(), status=ResponseStatus.SUCCESS))
    _until(lambda: sent == ["a"])
    second.start()
    trail.record(asked(Caller(), status=ResponseStatus.SUCCESS))
    _until(lambda: sent == ["a", "a"])
    first.stop()
    trail.record(asked(Caller(), status=ResponseStatus.SUCCESS))
    _until(lambda: sent == ["a", "a", "b"])
    second.stop()
    assert second.lag.records == 0


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
