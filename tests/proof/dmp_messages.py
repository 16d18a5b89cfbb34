"""Messages of the DMP's services, typed from the samples of its integration kit, and what their answers say."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lxml import etree

from metadata.ins import nir_key
from tests.nist.wire import Answer, post, soap_request
from tests.proof.rights_callers import WSSE, RightsWorld

V3, GDP, HAB = "urn:hl7-org:v3", "asip:ci-sis:gdp:2010", "urn:si-dmp-habilitations"
SET, LIST = "setAuthorization", "listAuthorizationByPatient"
QUERY, ADD, REVISE = "PRPA_IN201307UV02", "PRPA_IN201311UV02", "PRPA_IN201314UV02"
REASONS = "1.2.250.1.213.1.1.4.11"
TEST_OID, INS_C = "1.2.250.1.213.1.4.10", "1.2.250.1.213.1.4.2"
OBSERVATIONS = "1.2.250.1.213.4.1.2.3"
NS = {"v3": V3, "gdp": GDP, "hab": HAB}
SCHEMA = Path(__file__).resolve().parents[2] / "schemas" / "xsd" / "dmp.xsd"
PERSON = (
    '<name><prefix>M</prefix><family qualifier="SP">patb-quatre</family><given>LAURENCE</given></name>'
    '<telecom value="tel:0123456789" use="HP"/><administrativeGenderCode code="F"/><birthTime value="19790328"/>'
    "<addr><streetAddressLine>20 rue des edelweiss</streetAddressLine><postalCode>75005</postalCode><city>Paris</city></addr>"
)
_orders = itertools.count(1)


def new_ins() -> str:
    """The CX of an INS (test) that nobody has."""
    number = next(_orders)
    nir = f"27903512{number // 1000:02}{number % 1000:03}"
    return f"{nir}{nir_key(nir)}^^^&{TEST_OID}&ISO"


def ii(cx: str) -> str:
    id, _, rest = cx.partition("^^^&")
    return f'root="{rest.partition("&")[0]}" extension="{id}"'


def observation(code: str, value: bool) -> str:
    return (
        '<subjectOf typeCode="SBJ"><administrativeObservation classCode="OBS" moodCode="EVN">'
        f'<code code="{code}" codeSystem="{OBSERVATIONS}"/><value xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        f'xsi:type="BL" value="{str(value).lower()}"/></administrativeObservation></subjectOf>'
    )


OPENING, REACTIVATION = observation("CONSENTEMENT_OUVERTURE_DMP", True), observation("CONSENTEMENT_REACTIVATION_DMP", True)
CLOSING = (
    '<reasonOf typeCode="RSON"><detectedIssueEvent classCode="ALRT" moodCode="EVN">'
    '<code code="FERMETURE_DEMANDE_PATIENT" codeSystem="1.2.250.1.213.4.1.2.4"/><text>the patient asks</text>'
    "</detectedIssueEvent></reasonOf>"
)
AUTHOR = (
    '<author typeCode="AUT"><assignedEntity classCode="ASSIGNED"><id root="1.2.250.1.71.4.2.1" extension="899900063480"/>'
    '<assignedPerson classCode="PSN" determinerCode="INSTANCE"><name><family>LIBRE</family><given>MAX</given></name>'
    '</assignedPerson><representedOrganization classCode="ORG" determinerCode="INSTANCE"><id root="1.2.250.1.71.4.2.2" '
    'extension="499900063480001"/><name>CABINET DR LIBRE</name></representedOrganization></assignedEntity></author>'
)


def wrapped(name: str, act: str) -> str:
    """The message around its controlActProcess."""
    device = '<device classCode="DEV" determinerCode="INSTANCE"><id root="{}"/><softwareName>{}</softwareName></device>'
    return (
        f'<{name} xmlns="{V3}" ITSVersion="XML_1.0"><id root="1.3.6.1.4.1.48364.1.1" extension="m-1"/>'
        f'<creationTime value="20210519174507"/><interactionId root="2.16.840.1.113883.1.6" extension="{name}"/>'
        '<processingCode code="D"/><processingModeCode code="T"/><acceptAckCode code="AL"/>'
        f'<receiver typeCode="RCV">{device.format("1.2.250.1.213.4.1.1.1", "DMP")}</receiver>'
        f'<sender typeCode="SND">{device.format("1.3.6.1.4.1.48364", "LPS")}</sender>'
        f'<controlActProcess classCode="CACT" moodCode="EVN">{act}</controlActProcess></{name}>'
    )


def question(reason: str, cx: str, *more: str) -> str:
    """PatientGetDemographics."""
    values = "".join(f"<value {ii(one)}/>" for one in (cx, *more))
    return wrapped(
        QUERY,
        f'<reasonCode code="{reason}" codeSystem="{REASONS}"/><queryByParameter><queryId root="1.3.6.1.4.1.48364.2" '
        'extension="q-1"/><statusCode code="new"/><parameterList><patientIdentifier>'
        f"{values}<semanticsText>Patient.id</semanticsText></patientIdentifier></parameterList></queryByParameter>",
    )


def change(
    name: str,
    reason: str,
    cxs: Sequence[str],
    *,
    status: str = "active",
    person: str = PERSON,
    observed: str = "",
    author: str = AUTHOR,
    closing: str = "",
) -> str:
    """PatientAdd and PatientRevise."""
    ids = "".join(f"<id {ii(one)}/>" for one in cxs)
    return wrapped(
        name,
        f'<reasonCode code="{reason}" codeSystem="{REASONS}"/><subject typeCode="SUBJ" contextConductionInd="false">'
        '<registrationRequest classCode="REG" moodCode="RQO"><statusCode code="active"/><subject1 typeCode="SBJ">'
        f'<patient classCode="PAT">{ids}<statusCode code="{status}"/><patientPerson classCode="PSN" '
        f'determinerCode="INSTANCE">{person}</patientPerson>{observed}</patient></subject1>{author}</registrationRequest>'
        f"</subject>{closing}",
    )


def opening(*cxs: str, person: str = PERSON, observed: str = OPENING) -> str:
    return change(ADD, "CREA_RD", cxs, person=person, observed=observed)


def closing(cx: str) -> str:
    return change(REVISE, "FERM", [cx], status="terminated", closing=CLOSING)


def reactivating(cx: str) -> str:
    return change(REVISE, "REAC", [cx], observed=REACTIVATION)


def modifying(cx: str, person: str = PERSON, observed: str = "") -> str:
    return change(REVISE, "MODIF_DATA", [cx], person=person, observed=observed)


@dataclass(frozen=True)
class Told:
    """An acknowledgement: typeCode, codes of the details, their texts in one, the message inside its wrapper."""

    type: str
    codes: list[str]
    text: str
    message: etree._Element
    answer: Answer

    def xpath(self, path: str) -> list[str]:
        return [str(one) for one in self.message.xpath(path, namespaces=NS)]  # type: ignore[union-attr]


_ACTIONS = {QUERY: "PRPA_IN201308UV02", ADD: "PRPA_IN201311ResponseUV02", REVISE: "PRPA_IN201314ResponseUV02"}


def send(url: str, text: str, action: str | None = None) -> Answer:
    """One message of `/dmp/patients`; `url` is the server's."""
    target, name = f"{url}/dmp/patients", text[1:].partition(" ")[0]
    return post(target, *soap_request(f"{V3}:{name}" if action is None else action, text.encode(), target))


def told(url: str, text: str) -> Told:
    """The acknowledgement of a message, checked against the schema and the rules of its wrapper."""
    name, answer = text[1:].partition(" ")[0], send(url, text)
    assert not answer.fault, answer.fault
    assert answer.action == f"{V3}:{_ACTIONS[name]}"
    return read_told(name, answer)


def read_told(name: str, answer: Answer) -> Told:
    body = answer.body
    schema = etree.XMLSchema(etree.parse(str(SCHEMA)))
    assert schema.validate(body), schema.error_log
    if name != QUERY:
        assert body.tag == f"{{{GDP}}}{name}_Response"
    message = body if name == QUERY else body[0]
    detail = message.findall("v3:acknowledgement/v3:acknowledgementDetail", NS)
    type_code = message.find("v3:acknowledgement", NS).get("typeCode")  # type: ignore[union-attr]
    done = {QUERY: "PRPA_IN201308UV02", ADD: "PRPA_IN201312UV02", REVISE: "PRPA_IN201315UV02"}[name]
    refused = {QUERY: "PRPA_IN201308UV02", ADD: "PRPA_IN201313UV02", REVISE: "PRPA_IN201316UV02"}[name]
    assert etree.QName(message).localname == (done if type_code == "AA" else refused)
    return Told(
        str(type_code),
        [one.find("v3:code", NS).get("code", "") for one in detail],  # type: ignore[union-attr]
        " ".join(one.findtext("v3:text", "", NS) for one in detail),
        message,
        answer,
    )


# --------------------------------------------------------------------------------------------- with an assertion


def dmp(world: RightsWorld, assertion: bytes, path: str, action: str, body: str) -> Answer:
    """A message of a service with an assertion in its header; none where it is empty."""
    target = world.proof.client.registry.replace("/xds/registry", f"/dmp/{path}")
    kind, package = soap_request(action, body.encode(), target)
    if assertion:
        security = f'<wsse:Security xmlns:wsse="{WSSE}">'.encode() + assertion + b"</wsse:Security></soap:Header>"
        package = package.replace(b"</soap:Header>", security, 1)
    return world.post(assertion, target, kind, package)


def ask_record(world: RightsWorld, assertion: bytes, text: str) -> Answer:
    """A message of `/dmp/patients`."""
    return dmp(world, assertion, "patients", f"{V3}:{text[1:].partition(' ')[0]}", text)


def authorise(world: RightsWorld, assertion: bytes, *words: str, operation: str = "") -> Answer:
    """setAuthorization with action and role, or another operation with its mode."""
    names = ("mode",) if operation == LIST else ("action", "role")
    inner = "".join(f"<{name}>{word}</{name}>" for name, word in zip(names, words, strict=False))
    name = operation or SET
    body, action = f'<{name} xmlns="{HAB}">{inner}</{name}>', f"{HAB}:HabilitationsEndPoint:{name}"
    return dmp(world, assertion, "habilitations", action, body)


def status_of(answer: Answer) -> tuple[str, str]:
    """Status and context of an answer of `/dmp/habilitations`, checked against the schema."""
    schema = etree.XMLSchema(etree.parse(str(SCHEMA)))
    assert answer.fault or schema.validate(answer.body), schema.error_log
    output = answer.body.find("hab:output", NS)
    return ("", "") if output is None else (output.findtext("hab:status", "", NS), output.findtext("hab:context", "", NS))
