"""A repository whose registry is elsewhere: its own record of each ITI-42 and ITI-18 that it sends, beside the registry's."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from metadata.model import Submission
from metadata.query_table import FIND_FOLDERS
from metadata.vocabulary import ResponseStatus, Transaction
from repository.index import Deposit
from repository.registry_port import Outcome, Request
from schemas.parse import parse
from security.audit import AuditSource
from security.audit_store import AuditStore, Kind
from server.audit import Trail
from server.audit_events import Deed
from server.audit_sent import AuditedPort, sent_events
from soap.call import Call, Caller
from soap.client import Client
from storage.database import open_database
from storage.errors import StorageUnavailable
from storage.migrate import prepare
from tests.server.audit_reader import Message, Thing, checked, messages
from tests.server.audit_table import DESTINATION, PATIENT_NUMBER, SOURCE, TABLE
from tests.server.exchange import GET_DOCUMENTS, PATIENT, Package, announce, fetch, package
from tests.server.test_audit_records import same_object
from tests.server.test_audit_trail import DOCTOR, Nobody
from tests.server_process import ServerProcess

REPOSITORY = ("--set", "role.repository_unique_id=1.2.3.4.5.6.7")
OWN = f"https://{socket.gethostname()}"
ENVIRON = {"CARNET_AUDIT_SITE": "site 7", "CARNET_AUDIT_SOURCE": "node 3"}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    data = tmp_path_factory.mktemp("apart-registry") / "data"
    announce(data)
    with ServerProcess(data, "--role", "registry") as server:
        yield server


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory, registry: ServerProcess) -> Iterator[ServerProcess]:
    data = tmp_path_factory.mktemp("apart-repository") / "data"
    line = ("--role", "repository", "--registry", registry.registry, *REPOSITORY)
    with ServerProcess(data, *line, environ=ENVIRON) as server:
        yield server
    assert checked(data).wrong == ()


def after(server: ServerProcess, act: Callable[[], object]) -> dict[str, list[Message]]:
    """The records that an act leaves in a server's trail, by transaction, once every beginning has its end."""
    before = len(messages(server.data))
    act()
    deadline = time.monotonic() + 60
    while True:
        found = messages(server.data, since=before)
        if sum(one.kind == "begun" for one in found) == sum(one.kind == "end" for one in found):
            break
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    told: dict[str, list[Message]] = {}
    for one in found:
        told.setdefault(one.types[0][0], []).append(one)
    return told


def fields(name: str, message: Message, server: ServerProcess, url: str, outcome: str) -> None:
    """Everything that the table says of what this server sends, but for its objects."""
    expected = TABLE[f"{name} sent"]
    assert (message.id, message.types) == (expected.event, [(name, "IHE Transactions", expected.name)])
    assert (message.event["EventActionCode"], message.event["EventOutcomeIndicator"]) == (expected.action, outcome)
    assert bool(message.description) is (outcome != "0")
    assert [roles for _, roles in message.participants] == [[SOURCE], [DESTINATION]]
    (source, _), (destination, _) = message.participants
    assert source.pop("AlternativeUserID") in {str(pid) for pid in server.workers}
    ours = {"UserID": OWN, "UserIsRequestor": "true", "NetworkAccessPointID": socket.gethostname().lower()}
    assert source == {**ours, "NetworkAccessPointTypeCode": "1"}
    theirs = {"UserID": url, "UserIsRequestor": "false", "NetworkAccessPointID": "127.0.0.1"}
    assert destination == {**theirs, "NetworkAccessPointTypeCode": "2"}
    reporter = message.root.find("AuditSourceIdentification")
    assert reporter is not None
    assert (reporter.get("AuditSourceID"), reporter.get("AuditEnterpriseSiteID")) == ("node 3", "site 7")


def set_of(sent: Package) -> str:
    """The uniqueId of a package's SubmissionSet."""
    named = {e.get("identificationScheme"): e.get("value") for e in parse(sent.metadata).iter("{*}ExternalIdentifier")}
    found = named["urn:uuid:96fdda7c-d067-4183-912e-bf5ee74998a8"]
    assert found
    return found


def registration(told: dict[str, list[Message]], server: ServerProcess, url: str, sent: Package, outcome: str) -> Message:
    """The end of the one ITI-42, compared with the table; its beginning stood there first."""
    assert [one.kind for one in told["ITI-42"]] == ["begun", "end"]
    end = told["ITI-42"][1]
    fields("ITI-42", end, server, url, outcome)
    patient, subject = end.objects
    assert (patient.type, patient.role, patient.idType) == ("1", "1", PATIENT_NUMBER)
    assert subject.id == set_of(sent)
    same_object(subject, "ITI-42", TABLE["ITI-42 sent"].object, TABLE["ITI-42 sent"].name)
    return end


def test_a_registration_is_recorded_by_both_sides(registry: ServerProcess, repository: ServerProcess) -> None:
    sent = package(b"both sides")
    before = len(messages(registry.data))
    told = after(repository, lambda: sent.send(repository))
    end = registration(told, repository, registry.registry, sent, "0")
    (theirs,) = messages(registry.data, since=before)
    assert (theirs.id, theirs.types) == (TABLE["ITI-42"].event, end.types)
    assert [one.id for one in theirs.objects] == [one.id for one in end.objects] == [PATIENT, set_of(sent)]
    assert [one.kind for one in told["ITI-41"]] == ["begun", "end"]


def test_what_the_registry_refuses_is_recorded_as_refused(registry: ServerProcess, repository: ServerProcess) -> None:
    sent = package(b"refused", patient_id="nobody^^^&1.2.3.4.5&ISO")
    end = registration(after(repository, lambda: sent.send(repository)), repository, registry.registry, sent, "8")
    assert (end.description, end.objects[0].id) == ("XDSUnknownPatientId", "nobody^^^&1.2.3.4.5&ISO")


def test_what_the_repository_refuses_itself_is_not_sent(repository: ServerProcess) -> None:
    sent = package(b"never sent")

    def send() -> None:
        with Client(repository=repository.repository) as client:
            assert not client.provide(sent.metadata, ()).accepted

    told = after(repository, send)
    assert [*told] == ["ITI-41"]
    assert [(one.kind, one.event["EventOutcomeIndicator"]) for one in told["ITI-41"]] == [("done", "8")]


def question(found: Message, repository: ServerProcess, registry: ServerProcess) -> Thing:
    """What an ITI-18 of the repository asked; everything else of its record is compared with the table."""
    fields("ITI-18", found, repository, registry.registry, "0")
    asked = found.objects[-1]
    same_object(asked, "ITI-18", TABLE["ITI-18 sent"].object, TABLE["ITI-18 sent"].name)
    assert {*TABLE["ITI-18 sent"].details} <= {*asked.details}
    return asked


def test_what_the_repository_asks_its_registry_is_recorded(registry: ServerProcess, repository: ServerProcess) -> None:
    """A duplicate may be the same submission: the registry is asked what it knows. Before a document is given the registry is
    asked whether the patient's record is closed."""
    sent = package(b"twice")
    assert sent.send(repository).accepted
    told = after(repository, lambda: sent.send(repository))
    registration(told, repository, registry.registry, sent, "8")
    (known,) = told["ITI-18"]
    asked = question(known, repository, registry)
    assert asked.id == GET_DOCUMENTS and sent.unique_ids[0] in asked.query and len(known.objects) == 1
    told = after(repository, lambda: fetch(repository.repository, registry.registry, sent))
    (closed,) = told["ITI-18"]
    assert question(closed, repository, registry).id == FIND_FOLDERS.id
    assert closed.objects[0].id == PATIENT
    assert [one.kind for one in told["ITI-43"]] == ["begun", "end"]


def test_a_registry_that_is_not_there(tmp_path: Path) -> None:
    url = "http://127.0.0.1:1/xds/registry"
    line = ("--role", "repository", "--registry", url, *REPOSITORY)
    with ServerProcess(tmp_path / "data", *line, environ=ENVIRON) as server:
        sent = package(b"nobody there")
        end = registration(after(server, lambda: sent.send(server)), server, url, sent, "8")
        assert re.fullmatch(r"XDSRegistryNotAvailable \[[A-Z]+-\d+\]", end.description)


class Port:
    """A way to a registry that answers `outcome`, or fails before anything is written."""

    def __init__(self, outcome: Outcome | None) -> None:
        self.outcome = outcome

    def register(self, request: Request, deposit: Deposit) -> Outcome:
        if self.outcome is None:
            raise StorageUnavailable("no room")
        return self.outcome


@pytest.fixture
def trail(tmp_path: Path) -> Iterator[Trail]:
    url = f"sqlite:///{tmp_path / 'trail.sqlite'}"
    prepare(url)
    database = open_database(url)
    yield Trail(AuditStore(database, bytes(32)), Nobody(), OWN, AuditSource("node"))
    database.close()


def registering(trail: Trail, outcome: Outcome | None) -> list[int]:
    """The kinds of the records after a registration by this port."""
    request = Request(parse(package(b"x").metadata), Submission())
    AuditedPort(Port(outcome), trail, "https://registry/xds/registry").register(request, Deposit([], {}))
    trail.store.flush()
    return [one.kind for one in trail.store.all(0)]


def test_what_no_submission_is_behind_is_recorded_by_itself(trail: Trail) -> None:
    """A document that was made on demand, and is kept."""
    assert registering(trail, Outcome(ResponseStatus.SUCCESS)) == [Kind.BEGUN, Kind.END]


def test_what_was_never_written_was_never_sent(trail: Trail) -> None:
    call = Call(Transaction.ITI_41, parse(b"<x/>"), caller=Caller("192.0.2.7"), endpoint_url=f"{OWN}/xds/repository")
    with trail.deed(call, []) as act:
        with pytest.raises(StorageUnavailable):
            registering(trail, None)
        assert act.opened == []
    assert list(trail.store.all(0)) == []


def test_the_person_for_whom_it_is_registered_is_named(trail: Trail) -> None:
    body = parse(package(b"x").metadata)
    deed = Deed(Transaction.ITI_42, Caller("192.0.2.7", assertion=DOCTOR), "https://registry/xds/registry", body=body)
    (event,) = sent_events(trail, deed)
    assert [one.requestor for one in event.participants] == [False, True, False]
    assert event.participants[1].person == "Anne Martin"
    assert [one.code for one in event.purposes] == ["bris_de_glace"]
