"""The messages by which the French DMP manages a record (`asip:ci-sis:gdp:2010`): requests read, answers written.

PatientGetDemographics (PRPA_IN201307UV02, 201308), PatientAdd (201311; 201312 or 201313) and PatientRevise (201314; 201315 or
201316). Codes and places are those of the sample messages of the DMP's integration kit (TD0.2, TD1.3a, TD1.3b, TD1.4) and of
HL7 v3 Patient Registry; `schemas/xsd/hl7v3.xsd` is their schema.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from xml.sax.saxutils import escape, quoteattr

from lxml import etree

from metadata.demographics import Demographics, Part, Representative, Telecom
from schemas.namespaces import GDP, HL7V3, XSI
from soap.body.patient_identity import InstanceIdentifier

QUERY, ADD, REVISE = "PRPA_IN201307UV02", "PRPA_IN201311UV02", "PRPA_IN201314UV02"
#: The answers of each request: accepted, refused, and wsa:Action.
ANSWERS: Mapping[str, tuple[str, str, str]] = {
    QUERY: ("PRPA_IN201308UV02", "PRPA_IN201308UV02", f"{HL7V3}:PRPA_IN201308UV02"),
    ADD: ("PRPA_IN201312UV02", "PRPA_IN201313UV02", f"{HL7V3}:PRPA_IN201311ResponseUV02"),
    REVISE: ("PRPA_IN201315UV02", "PRPA_IN201316UV02", f"{HL7V3}:PRPA_IN201314ResponseUV02"),
}
#: controlActProcess/reasonCode: why a message is sent, with the transaction and the name of the code.
REASONS_SYSTEM = "1.2.250.1.213.1.1.4.11"
TEST, CONSULT, CREATE, REACTIVATE, MODIFY, CLOSE = "TEST_EXST", "CNSLT_DATA", "CREA_RD", "REAC", "MODIF_DATA", "FERM"
REASONS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    QUERY: {
        TEST: ("TD0.2", "Test d'existence de dossier"),
        CONSULT: ("TD1.3a", "Consultation des données de gestion de dossier"),
    },
    ADD: {CREATE: ("TD1.1", "Création de dossier")},
    REVISE: {
        REACTIVATE: ("TD1.2", "Réactivation de dossier"),
        MODIFY: ("TD1.3b", "Modification des données de gestion du dossier"),
        CLOSE: ("TD1.4", "Fermeture de dossier"),
    },
}
#: Observations about the patient, booleans.
OBSERVATIONS = "1.2.250.1.213.4.1.2.3"
CONSENT_OPEN, CONSENT_REACTIVATE = "CONSENTEMENT_OUVERTURE_DMP", "CONSENTEMENT_REACTIVATION_DMP"
OPPOSED_GLASS, OPPOSED_CENTRE = "OPPOSITION_BRIS_DE_GLACE", "OPPOSITION_ACCES_URGENCE"
#: Observations that an existence test answers: a patient's account on the internet, and Mon espace santé. A server has neither.
_OWN = (("COMPTE_INTERNET_OUVERT", "1.2.250.1.213.4.1.2.9"), ("RATTACHEMENT_ENS", OBSERVATIONS))
#: Why a record is closed (detectedIssueEvent).
CLOSING_SYSTEM, CLOSING = "1.2.250.1.213.4.1.2.4", "FERMETURE_DEMANDE_PATIENT"
#: attentionLine: key words and value of the authorisation.
_AUTHORISATION, _STATES, _TREATING = "1.2.250.1.213.4.1.2.6.1", "1.2.250.1.213.4.1.2.6.2", "1.2.250.1.213.4.1.2.6.3"
#: Roots of the ids of a professional and of a structure (national ids).
PROFESSIONAL, STRUCTURE = "1.2.250.1.71.4.2.1", "1.2.250.1.71.4.2.2"

_INTERACTION_ROOT = "2.16.840.1.113883.1.6"
_NS = {"v3": HL7V3}
_ACT = "v3:controlActProcess"
_REQUEST = f"{_ACT}/v3:subject/v3:registrationRequest"
_PATIENT = f"{_REQUEST}/v3:subject1/v3:patient"
_ASKED = f"{_ACT}/v3:queryByParameter"
#: The pieces of names and addresses that are written.
_PIECES = frozenset(
    "prefix family given suffix country state county city postalCode streetAddressLine houseNumber houseNumberNumeric direction "
    "streetName streetNameBase streetNameType additionalLocator unitID unitType careOf censusTract deliveryAddressLine "
    "buildingNumberSuffix postBox precinct".split()
)
_NO_ID, _NO_PERSON = InstanceIdentifier(), Demographics()


@dataclass(frozen=True, slots=True)
class Device:
    """Sender or receiver."""

    id: InstanceIdentifier = _NO_ID
    software: str = ""


@dataclass(frozen=True, slots=True)
class RecordAuthor:
    """Who asks for a change: national ids of the professional and of the structure, names."""

    id: str = ""
    structure: str = ""
    family: str = ""
    given: str = ""


_NO_DEVICE, _NO_AUTHOR = Device(), RecordAuthor()


@dataclass(frozen=True, slots=True)
class RecordRequest:
    """One request; what is missing is empty. `name` is the element, `reasons` code and code system of each reasonCode, `ids`
    those of the patient, `status` patient/statusCode, `observations` those of the DMP by code, `closing` are codes and texts of
    detectedIssueEvents."""

    name: str
    interaction: str = ""
    id: InstanceIdentifier = _NO_ID
    sender: Device = _NO_DEVICE
    receiver: Device = _NO_DEVICE
    reasons: tuple[tuple[str, str], ...] = ()
    query_id: InstanceIdentifier = _NO_ID
    ids: tuple[InstanceIdentifier, ...] = ()
    status: str = ""
    person: Demographics = _NO_PERSON
    observations: Mapping[str, bool] = field(default_factory=dict)
    author: RecordAuthor = _NO_AUTHOR
    closing: tuple[tuple[str, str], ...] = ()

    @property
    def reason(self) -> str:
        """The code of the only reason; empty where there is none, or are several, or none of the DMP's."""
        codes = [code for code, system in self.reasons if system == REASONS_SYSTEM]
        return codes[0] if len(codes) == len(self.reasons) == 1 else ""

    @property
    def transaction(self) -> str:
        """TD0.2, TD1.1 and so on; empty for a reason that is none of this message."""
        return REASONS.get(self.name, {}).get(self.reason, ("", ""))[0]


@dataclass(frozen=True, slots=True)
class Found:
    """What an answer says of a record. `closed` is when it was closed (UTC, YYYYMMDDhhmmss), empty of an open one, `why` the code
    of that; `observations` are the DMP's by code; `authorisation` and `treating` are told where they are known."""

    ids: Sequence[InstanceIdentifier]
    person: Demographics
    closed: str = ""
    why: str = ""
    observations: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Attention:
    """What TD0.2 tells a caller about himself: VALIDE, EXPIRE, INTERDIT or NON_EXISTE, and whether he treats the patient."""

    authorisation: str
    treating: bool


# ----------------------------------------------------------------------------------------------------------------- reading


def parse_record_request(element: etree._Element) -> RecordRequest:
    """Of a body that is one of the three; whatever else it holds, nothing is raised."""
    name = etree.QName(element).localname
    ids = f"{_ASKED}/v3:parameterList/v3:patientIdentifier/v3:value" if name == QUERY else f"{_PATIENT}/v3:id"
    status = element.find(f"{_PATIENT}/v3:statusCode", _NS)
    person = element.find(f"{_PATIENT}/v3:patientPerson", _NS)
    return RecordRequest(
        name=name,
        interaction=_first(element, "v3:interactionId").extension,
        id=_first(element, "v3:id"),
        sender=_device(element, "v3:sender"),
        receiver=_device(element, "v3:receiver"),
        reasons=tuple((one.get("code", ""), one.get("codeSystem", "")) for one in element.iterfind(f"{_ACT}/v3:reasonCode", _NS)),
        query_id=_first(element, f"{_ASKED}/v3:queryId"),
        ids=tuple(_ids(element, ids)),
        status="" if status is None else status.get("code", ""),
        person=_NO_PERSON if person is None else _person(person),
        observations=_observations(element),
        author=_author(element),
        closing=tuple(
            (one.get("code", "") if one.get("codeSystem") == CLOSING_SYSTEM else "", _text(one.getparent(), "v3:text"))
            for one in element.iterfind(f"{_ACT}/v3:reasonOf/v3:detectedIssueEvent/v3:code", _NS)
        ),
    )


def _ids(element: etree._Element, path: str) -> list[InstanceIdentifier]:
    """Those with a value."""
    return [
        InstanceIdentifier(one.get("root", "").strip(), one.get("extension", "").strip(), one.get("assigningAuthorityName", ""))
        for one in element.iterfind(path, _NS)
        if one.get("nullFlavor") is None and (one.get("root") or one.get("extension"))
    ]


def _first(element: etree._Element, path: str) -> InstanceIdentifier:
    return next(iter(_ids(element, path)), _NO_ID)


def _device(element: etree._Element, path: str) -> Device:
    return Device(_first(element, f"{path}/v3:device/v3:id"), _text(element, f"{path}/v3:device/v3:softwareName"))


def _text(element: etree._Element | None, path: str) -> str:
    return "" if element is None else (element.findtext(path, "", _NS) or "").strip()


def _person(element: etree._Element) -> Demographics:
    gender, birth = (element.find(f"v3:{name}", _NS) for name in ("administrativeGenderCode", "birthTime"))
    return Demographics(
        name=_parts(element.find("v3:name", _NS)),
        telecoms=_telecoms(element),
        gender="" if gender is None else gender.get("code", ""),
        birth="" if birth is None else birth.get("value", ""),
        address=_parts(element.find("v3:addr", _NS)),
        representatives=tuple(_representative(one) for one in element.iterfind("v3:personalRelationship", _NS)),
    )


def _representative(element: etree._Element) -> Representative:
    code = element.find("v3:code", _NS)
    return Representative(
        code="" if code is None else code.get("code", ""),
        system="" if code is None else code.get("codeSystem", ""),
        name=_parts(element.find("v3:relationshipHolder1/v3:name", _NS)),
        telecoms=_telecoms(element),
        address=_parts(element.find("v3:addr", _NS)),
    )


def _parts(element: etree._Element | None) -> tuple[Part, ...]:
    """The pieces of a name or an address that hold text."""
    found = [] if element is None else [one for one in element if isinstance(one.tag, str)]
    return tuple(
        Part(etree.QName(one).localname, text, one.get("qualifier", "")) for one in found if (text := (one.text or "").strip())
    )


def _telecoms(element: etree._Element) -> tuple[Telecom, ...]:
    return tuple(
        Telecom(one.get("value", ""), one.get("use", "")) for one in element.iterfind("v3:telecom", _NS) if one.get("value")
    )


def _observations(element: etree._Element) -> dict[str, bool]:
    found: dict[str, bool] = {}
    for one in element.iterfind(f"{_PATIENT}/v3:subjectOf/v3:administrativeObservation", _NS):
        code, value = one.find("v3:code", _NS), one.find("v3:value", _NS)
        if code is not None and value is not None and code.get("codeSystem") == OBSERVATIONS:
            found[code.get("code", "")] = value.get("value", "").strip() in ("true", "1")
    return found


def _author(element: etree._Element) -> RecordAuthor:
    entity = f"{_REQUEST}/v3:author/v3:assignedEntity"
    person = next((one.extension for one in _ids(element, f"{entity}/v3:id") if one.root == PROFESSIONAL), "")
    structures = _ids(element, f"{entity}/v3:representedOrganization/v3:id")
    return RecordAuthor(
        id=person,
        structure=next((one.extension for one in structures if one.root == STRUCTURE), ""),
        family=_text(element, f"{entity}/v3:assignedPerson/v3:name/v3:family"),
        given=_text(element, f"{entity}/v3:assignedPerson/v3:name/v3:given"),
    )


# ----------------------------------------------------------------------------------------------------------------- writing


def build_found(request: RecordRequest, found: Found | None, attention: Attention | None = None) -> bytes:
    """PRPA_IN201308UV02, accepted: the record, or that there is none (queryResponseCode NF)."""
    subject = "" if found is None else _event(request, found)
    why = "" if found is None or not found.why else _reason_of(found.why)
    return _message(request, "A", "AA", (), subject + why + _query_ack(request, "NF" if found is None else "OK"), attention)


def build_accepted(request: RecordRequest) -> bytes:
    """The wrapped answer to a change that was made."""
    status, name = escape(request.status), _name(request.person.name)
    person = f'<patientPerson classCode="PSN" determinerCode="INSTANCE">{name}</patientPerson>'
    patient = f'<patient classCode="PAT"><statusCode code="{status}"/>{person}</patient>'
    return _message(request, "A", "AA", (), _subject(request, patient))


def build_refused(request: RecordRequest, type_code: str, details: Sequence[tuple[str, str]]) -> bytes:
    """The answer to what was not done: `type_code` is AE or AR, `details` are codes and texts."""
    return _message(request, "E", type_code, details, _query_ack(request, "AE") if request.name == QUERY else "")


def _message(
    request: RecordRequest,
    outcome: str,
    type_code: str,
    details: Sequence[tuple[str, str]],
    content: str,
    attention: Attention | None = None,
) -> bytes:
    name = ANSWERS[request.name][0 if outcome == "A" else 1]
    told = "".join(
        f'<acknowledgementDetail typeCode="E"><code code={quoteattr(code)}/><text>{escape(text)}</text></acknowledgementDetail>'
        for code, text in details
    )
    code = request.reason
    label = REASONS[request.name].get(code, ("", ""))[1]
    shown = f' displayName={quoteattr(label)}' if label else ""
    reason = f'<reasonCode code={quoteattr(code)} codeSystem="{REASONS_SYSTEM}"{shown}/>' if code else ""
    message = (
        f'<{name} xmlns="{HL7V3}" ITSVersion="XML_1.0"><id root="{uuid.uuid4()}"/>'
        f'<creationTime value="{datetime.now(UTC):%Y%m%d%H%M%S}"/><interactionId root="{_INTERACTION_ROOT}" extension="{name}"/>'
        '<processingCode code="P"/><processingModeCode code="T"/><acceptAckCode code="NE"/>'
        f'<receiver typeCode="RCV">{_device_xml(request.sender)}</receiver>'
        f'<sender typeCode="SND">{_device_xml(request.receiver)}</sender>{_attention(attention)}'
        f'<acknowledgement typeCode="{type_code}"><targetMessage>{_ii(request.id)}</targetMessage>{told}</acknowledgement>'
        f'<controlActProcess classCode="CACT" moodCode="EVN">{reason}{content}</controlActProcess></{name}>'
    )
    if request.name == QUERY:
        return message.encode()
    return f'<gdp:{request.name}_Response xmlns:gdp="{GDP}">{message}</gdp:{request.name}_Response>'.encode()


def _attention(attention: Attention | None) -> str:
    if attention is None:
        return ""
    state, treats = attention.authorisation, "true" if attention.treating else "false"
    return (
        f'<attentionLine><keyWordText code="AUTORISATION" codeSystem="{_AUTHORISATION}"/>'
        f'<value xmlns:xsi="{XSI}" xsi:type="CV" code="{state}" codeSystem="{_STATES}"/></attentionLine>'
        f'<attentionLine><keyWordText code="STATUT_MT" codeSystem="{_TREATING}"/>'
        f'<value xmlns:xsi="{XSI}" xsi:type="BL" value="{treats}"/></attentionLine>'
    )


def _event(request: RecordRequest, found: Found) -> str:
    """subject/registrationEvent of a record that was found."""
    test = request.reason == TEST
    person = found.person
    relations = "" if test else "".join(map(_relation, person.representatives))
    address = "" if test else _pieces("addr", person.address)
    gender = f"<administrativeGenderCode code={quoteattr(person.gender)}/>" if person.gender else ""
    birth = f"<birthTime value={quoteattr(person.birth)}/>" if person.birth else ""
    observed = [(code, system, False) for code, system in _OWN] if test else [
        (code, OBSERVATIONS, value) for code, value in found.observations.items()
    ]  # fmt: skip
    status = "terminated" if found.closed else "active"
    patient = (
        f'<patient classCode="PAT">{"".join(map(_ii, found.ids))}<statusCode code="{status}"/>'
        f'<patientPerson classCode="PSN" determinerCode="INSTANCE">{_name(person.name)}{_telecom(person.telecoms)}{gender}{birth}'
        f"{address}{relations}</patientPerson>{''.join(_observation(*one) for one in observed)}</patient>"
    )
    return _subject(request, patient, found.closed)


def _subject(request: RecordRequest, patient: str, closed: str = "") -> str:
    at = f'<effectiveTime value="{closed}"/>' if closed else ""
    return (
        '<subject typeCode="SUBJ" contextConductionInd="false"><registrationEvent classCode="REG" moodCode="EVN">'
        f'<statusCode code="completed"/>{at}<subject1 typeCode="SBJ">{patient}</subject1><custodian typeCode="CST">'
        f'<assignedEntity classCode="ASSIGNED">{_ii(request.receiver.id)}</assignedEntity></custodian>'
        "</registrationEvent></subject>"
    )


def _reason_of(code: str) -> str:
    return (
        '<reasonOf typeCode="RSON"><detectedIssueEvent classCode="ALRT" moodCode="EVN">'
        f'<code code={quoteattr(code)} codeSystem="{CLOSING_SYSTEM}"/></detectedIssueEvent></reasonOf>'
    )


def _query_ack(request: RecordRequest, code: str) -> str:
    query_id = _ii(request.query_id).replace("<id ", "<queryId ", 1)
    return f'<queryAck>{query_id}<queryResponseCode code="{code}"/></queryAck>'


def _relation(one: Representative) -> str:
    system = f" codeSystem={quoteattr(one.system)}" if one.system else ""
    return (
        f'<personalRelationship classCode="PRS"><code code={quoteattr(one.code)}{system}/>{_pieces("addr", one.address)}'
        f'{_telecom(one.telecoms)}<relationshipHolder1 classCode="PSN" determinerCode="INSTANCE">{_name(one.name)}'
        "</relationshipHolder1></personalRelationship>"
    )


def _observation(code: str, system: str, value: bool) -> str:
    return (
        '<subjectOf typeCode="SBJ"><administrativeObservation classCode="OBS" moodCode="EVN">'
        f'<code code={quoteattr(code)} codeSystem="{system}"/><value xmlns:xsi="{XSI}" xsi:type="BL" '
        f'value="{"true" if value else "false"}"/></administrativeObservation></subjectOf>'
    )


def _name(parts: Sequence[Part]) -> str:
    """A name is demanded: one that is not known says so."""
    return _pieces("name", parts) or '<name nullFlavor="UNK"/>'


def _pieces(element: str, parts: Sequence[Part]) -> str:
    inner = "".join(
        f"<{one.kind}{f' qualifier={quoteattr(one.qualifier)}' if one.qualifier else ''}>{escape(one.text)}</{one.kind}>"
        for one in parts
        if one.kind in _PIECES
    )
    return f"<{element}>{inner}</{element}>" if inner else ""


def _telecom(telecoms: Sequence[Telecom]) -> str:
    return "".join(
        f"<telecom{f' use={quoteattr(one.use)}' if one.use else ''} value={quoteattr(one.value)}/>" for one in telecoms
    )


def _device_xml(device: Device) -> str:
    software = f"<softwareName>{escape(device.software)}</softwareName>" if device.software else ""
    return f'<device classCode="DEV" determinerCode="INSTANCE">{_ii(device.id)}{software}</device>'


def _ii(one: InstanceIdentifier) -> str:
    return one.xml() if one.root or one.extension else '<id nullFlavor="UNK"/>'
