"""The DMP's service for records over the wire: a whole life, clients made from the WSDL, races, the trail, what is not served."""

from __future__ import annotations

import json
import sys
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import zeep
from lxml import etree

from registry.record import Records
from server.settings import load
from storage.database import Database, open_database
from tests.conftest import new_postgres_database
from tests.nist.target import run_command
from tests.nist.wire import Client, post, soap_request
from tests.proof import dmp_messages as m
from tests.proof.conftest import Proof
from tests.proof.dmp_messages import new_ins, question, told
from tests.proof.messages import Entry, Submission, query, quoted, single
from tests.proof.rights_callers import refused_by
from tests.server.audit_reader import messages
from tests.server.audit_table import TABLE
from tests.server_process import ServerProcess

APPROVED = "urn:oasis:names:tc:ebxml-regrep:StatusType:Approved"
SETTINGS = {"CARNET_DOMAIN_DMP_SERVICES": "true"}


@dataclass
class World:
    server: ServerProcess
    client: Client
    database: Database

    @property
    def url(self) -> str:
        return self.server.url

    def done(self, *texts: str) -> None:
        for text in texts:
            answer = told(self.url, text)
            assert answer.type == "AA", answer.text

    def submit(self, cx: str) -> tuple[str, list[str]]:
        answer = self.client.register(Submission(cx, [Entry(cx).registered()]).xml())
        return answer.status, answer.codes

    def find(self, cx: str) -> tuple[list[str], str]:
        """The ids found, or the message of what is wrong."""
        slots = {"$XDSDocumentEntryPatientId": single(cx), "$XDSDocumentEntryStatus": quoted(APPROVED)}
        answer = self.client.query(query("FindDocuments", slots, "ObjectRef"))
        return [one.get("id", "") for one in answer.body.iter("{*}ObjectRef")], " ".join(e.context for e in answer.errors)


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    data = tmp_path_factory.mktemp("dmp") / "data"
    if request.param == "sqlite":
        with ServerProcess(data, environ=SETTINGS) as server:
            yield from _world(server, f"sqlite:///{data / 'carnet.sqlite'}")
    else:
        with (
            new_postgres_database() as url,
            ServerProcess(data, "--workers", "2", database=url, environ=SETTINGS) as server,
        ):
            yield from _world(server, url)


def _world(server: ServerProcess, url: str) -> Iterator[World]:
    database = open_database(url)
    try:
        yield World(server, Client(server.registry, server.repository), database)
    finally:
        database.close()


def test_the_life_of_a_record(world: World) -> None:
    """Open, feed, close, refused, reactivate, as before; what the commands see is the same record."""
    cx = new_ins()
    assert world.submit(cx) == ("Failure", ["XDSUnknownPatientId"])
    assert told(world.url, question("TEST_EXST", cx)).xpath("//v3:queryResponseCode/@code") == ["NF"]
    world.done(m.opening(cx))
    assert told(world.url, m.opening(cx)).codes == ["DMPFound"]
    assert world.submit(cx) == ("Success", [])
    before, _ = world.find(cx)
    assert len(before) == 1
    world.done(m.closing(cx))
    assert told(world.url, question("TEST_EXST", cx)).xpath("//v3:patient/v3:statusCode/@code") == ["terminated"]
    assert world.submit(cx) == ("Failure", ["XDSRegistryError"])
    found, reason = world.find(cx)
    assert found == [] and "closed" in reason
    assert told(world.url, m.modifying(cx)).codes == ["DMPClosed"]
    records = Records(world.database)
    records.reopen(cx)
    records.close(cx, "by the operator")
    world.done(m.reactivating(cx))
    assert world.find(cx) == (before, "")
    assert [one.event.value for one in records.events(cx)] == ["opened", "closed", "reopened", "closed", "reopened"]


def test_the_operator_sees_who_it_is(world: World) -> None:
    if world.database.dialect != "sqlite":
        pytest.skip("the command is asked about the store in a folder")
    cx = new_ins()
    world.done(m.opening(cx))
    command = [sys.executable, "-m", "server", "patient", "show", cx, "--data", str(world.server.data)]
    told = json.loads(run_command([*command, "--json"]))["demographics"]
    assert (told["birth"], told["gender"]) == ("19790328", "F")
    assert "M  patb-quatre  LAURENCE  19790328  F" in run_command(command)


def test_a_record_that_the_operator_closed_has_no_code_of_a_reason(world: World) -> None:
    cx = new_ins()
    records = Records(world.database)
    records.open(cx)
    records.close(cx, "moved")
    found = told(world.url, question("CNSLT_DATA", cx))
    assert found.xpath("//v3:detectedIssueEvent") == []
    assert found.xpath("//v3:patient/v3:statusCode/@code") == ["terminated"]


@pytest.mark.parametrize("act", [m.opening, m.closing, m.reactivating])
def test_of_two_at_once_one_does_it(world: World, act: object) -> None:
    cx = new_ins()
    if act is not m.opening:
        world.done(m.opening(cx))
    if act is m.reactivating:
        world.done(m.closing(cx))
    gate, codes = threading.Barrier(4), []

    def run() -> None:
        gate.wait(60)
        codes.append(told(world.url, act(cx)).codes)  # type: ignore[operator]

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    refused = ["DMPClosed"] if act is m.closing else ["DMPFound"]
    assert sorted(codes) == [[], refused, refused, refused]


# --------------------------------------------------------------------------------------------------------------- the WSDL


def test_a_client_made_from_the_wsdl(world: World) -> None:
    """zeep reads WSDL and schemas as they are served, and has every answer by its type."""
    client = zeep.Client(f"{world.url}/dmp/patients?wsdl")
    cx = new_ins()

    def of(name: str) -> Any:
        return client.get_type(f"{{{m.V3}}}{name}")

    id = of("II")(root=m.TEST_OID, extension=cx.partition("^")[0])

    def device(root: str) -> object:
        return of("Communication")(
            typeCode="RCV", device=of("Device")(classCode="DEV", determinerCode="INSTANCE", id=[of("II")(root=root)])
        )

    def head(name: str) -> dict[str, object]:
        return {
            "ITSVersion": "XML_1.0", "id": of("II")(root="1.2.3", extension="1"), "creationTime": of("TS")(value="20240101"),
            "interactionId": of("II")(root="2.16.840.1.113883.1.6", extension=name), "processingCode": of("CS")(code="P"),
            "processingModeCode": of("CS")(code="T"), "acceptAckCode": of("CS")(code="AL"), "receiver": [device("1.2.4")],
            "sender": device("1.2.5"),
        }  # fmt: skip

    def reason(code: str) -> list[object]:
        return [of("CE")(code=code, codeSystem=m.REASONS)]

    def asked(code: str) -> Any:
        parameters = of("ParameterList")(patientIdentifier=of("PatientIdentifier")(value=[id], semanticsText="Patient.id"))
        by = of("QueryByParameter")(statusCode=of("CS")(code="new"), parameterList=parameters)
        act = of("QueryAct")(classCode="CACT", moodCode="EVN", reasonCode=reason(code), queryByParameter=by)
        answer = client.service.PatientGetDemographics_PRPA_IN201307UV02(**head(m.QUERY), controlActProcess=act)
        assert answer.acknowledgement[0].typeCode == "AA"
        return answer

    assert asked("TEST_EXST").controlActProcess.queryAck.queryResponseCode.code == "NF"
    consent = of("Observation")(
        classCode="OBS", moodCode="EVN", code=of("CD")(code="CONSENTEMENT_OUVERTURE_DMP", codeSystem=m.OBSERVATIONS),
        value=of("BL")(value=True),
    )  # fmt: skip
    name = [{"family": {"_value_1": "DURAND", "qualifier": "BR"}}, {"given": {"_value_1": "ZOÉ"}}]
    person = of("Person")(classCode="PSN", determinerCode="INSTANCE", name=[of("PN")(_value_1=name)])
    patient = of("Patient")(
        classCode="PAT", id=[id], statusCode=of("CS")(code="active"), patientPerson=person,
        subjectOf=[of("SubjectOf")(typeCode="SBJ", administrativeObservation=consent)],
    )  # fmt: skip
    requester = of("AssignedEntity")(
        classCode="ASSIGNED", id=[of("II")(root="1.2.250.1.71.4.2.1", extension="899900063480")],
        assignedPerson=of("AssignedPerson")(classCode="PSN", determinerCode="INSTANCE", name=[of("EN")(_value_1=name)]),
    )  # fmt: skip
    request = of("RegistrationRequest")(
        classCode="REG", moodCode="RQO", statusCode=of("CS")(code="active"),
        subject1=of("PatientSubject")(typeCode="SBJ", patient=patient),
        author=of("Author")(typeCode="AUT", assignedEntity=requester),
    )  # fmt: skip
    act = of("RequestAct")(
        classCode="CACT", moodCode="EVN", reasonCode=reason("CREA_RD"),
        subject=of("RequestSubject")(typeCode="SUBJ", registrationRequest=request),
    )  # fmt: skip
    opened = client.service.PatientAdd_PRPA_IN201311UV02(**head(m.ADD), controlActProcess=act)
    assert opened.PRPA_IN201312UV02.acknowledgement[0].typeCode == "AA" and opened.PRPA_IN201313UV02 is None
    again = client.service.PatientAdd_PRPA_IN201311UV02(**head(m.ADD), controlActProcess=act)
    [detail] = again.PRPA_IN201313UV02.acknowledgement[0].acknowledgementDetail
    assert detail.code.code == "DMPFound" and "[DMP-002, " in detail.text._value_1
    found = asked("CNSLT_DATA").controlActProcess.subject[0].registrationEvent.subject1.patient
    assert [one.extension for one in found.id] == [cx.partition("^")[0]] and found.statusCode.code == "active"


@pytest.mark.parametrize("path", ["patients", "habilitations"])
def test_the_description_is_served_with_its_schemas(world: World, path: str) -> None:
    def got(query: str) -> etree._Element:
        with urllib.request.urlopen(f"{world.url}/dmp/{path}?{query}", timeout=60) as answer:
            return etree.fromstring(answer.read())

    described = got("wsdl")
    locations = [one.get("schemaLocation", "") for one in described.iter("{http://www.w3.org/2001/XMLSchema}import")]
    assert locations and all(one.startswith(f"{world.url}/dmp/{path}?xsd=") for one in locations)
    for one in locations:
        assert got(one.partition("?")[2]).get("elementFormDefault") == "qualified"
    with urllib.request.urlopen(f"{world.url}/dmp/{path}", timeout=60) as answer:
        assert f"/dmp/{path}?wsdl" in answer.read().decode()


# ---------------------------------------------------------------------------------------------------------- what goes wrong


def test_what_is_no_message_of_the_service_is_a_fault(world: World) -> None:
    cx = new_ins()
    for text, action, rule in (
        (question("TEST_EXST", cx), f"{m.V3}:PRPA_IN201305UV02", "WSA-ACTION"),
        (question("TEST_EXST", cx), f"{m.V3}:PRPA_IN201301UV02", "WSA-ACTION"),
        (question("TEST_EXST", cx).replace(m.QUERY, "PRPA_IN201309UV02"), f"{m.V3}:{m.QUERY}", "SOAP-BODY"),
        (question("TEST_EXST", cx)[:-5], f"{m.V3}:{m.QUERY}", ""),
    ):
        answer = m.send(world.url, text, action)
        assert answer.fault and (not rule or refused_by(answer) == rule), (answer.fault, rule)
    assert told(world.url, m.opening(cx, observed="")).codes == ["DMP-004"]
    assert told(world.url, f'<{m.REVISE} xmlns="{m.V3}"/>').type == "AR"


def test_without_an_action_the_body_says_which_message_it_is(world: World) -> None:
    answer = m.send(world.url, question("TEST_EXST", new_ins()), "")
    assert m.read_told(m.QUERY, answer).type == "AA"


def test_every_message_leaves_its_record(world: World) -> None:
    cx, data = new_ins(), world.server.data
    if world.database.dialect != "sqlite":
        pytest.skip("the trail of a PostgreSQL store is read by another key; its records are the same")
    for text, name, outcome in (
        (m.opening(cx), "add", "0"), (m.opening(cx), "add", "8"), (question("TEST_EXST", cx), "read", "0"),
        (m.closing(cx), "revise", "0"), (m.modifying(cx), "revise", "8"),
    ):  # fmt: skip
        before, expected = len(messages(data)), TABLE[f"DMP-patients {name}"]
        told(world.url, text)
        (one,) = messages(data, since=before)
        assert (one.id, one.types[0]) == (expected.event, ("DMP-patients", "IHE Transactions", expected.name))
        assert (one.event["EventActionCode"], one.event["EventOutcomeIndicator"]) == (expected.action, outcome)
        assert one.objects[0].id == cx and one.objects[0].details == {"II": "1.3.6.1.4.1.48364.1.1^m-1"}


def test_nothing_of_it_is_served_where_it_is_not_switched_on(proof: Proof) -> None:
    for path, body in (("patients", question("TEST_EXST", new_ins())), ("habilitations", f'<{m.LIST} xmlns="{m.HAB}"/>')):
        target = f"{proof.server.url}/dmp/{path}"
        answer = post(target, *soap_request(f"{m.V3}:{m.QUERY}", body.encode(), target))
        assert refused_by(answer) == "SRV-006" and "/dmp" not in answer.fault.partition("served here")[2]
    assert not load(environ={}).domain.dmp_services
    assert load(options={"domain.profile": "dmp-fr"}, environ={}).domain.dmp_services
