"""The messages of the French DMP about a record as a whole (`asip:ci-sis:gdp:2010`), as a client makes them, and their answers.

Written from the samples of the DMP's integration kit; nothing is shared with the server.
"""

from __future__ import annotations

from html import escape

from lxml import etree

TRANSACTION = "DMP-patients"
V3 = "urn:hl7-org:v3"
#: wsa:Action of the answers.
ANSWERS = tuple(f"{V3}:{name}" for name in ("PRPA_IN201308UV02", "PRPA_IN201311ResponseUV02", "PRPA_IN201314ResponseUV02"))
_NS = {"v3": V3}
_QUERY, _ADD, _REVISE = (f"PRPA_IN2013{n}UV02" for n in ("07", "11", "14"))
#: What a step asks for: message, reasonCode, patient/statusCode, consent.
_ACTS = {
    "test": (_QUERY, "TEST_EXST", "", ""),
    "read": (_QUERY, "CNSLT_DATA", "", ""),
    "open": (_ADD, "CREA_RD", "active", "CONSENTEMENT_OUVERTURE_DMP"),
    "reopen": (_REVISE, "REAC", "active", "CONSENTEMENT_REACTIVATION_DMP"),
    "modify": (_REVISE, "MODIF_DATA", "active", ""),
    "close": (_REVISE, "FERM", "terminated", ""),
}
_CLOSING = (
    '<reasonOf typeCode="RSON"><detectedIssueEvent classCode="ALRT" moodCode="EVN"><code code="FERMETURE_DEMANDE_PATIENT" '
    'codeSystem="1.2.250.1.213.4.1.2.4"/><text>FERMETURE_DEMANDE_PATIENT</text></detectedIssueEvent></reasonOf>'
)
_PERSON = (
    '<patientPerson classCode="PSN" determinerCode="INSTANCE"><name><family qualifier="SP">DUPONT</family><given>Marie</given>'
    '</name><administrativeGenderCode code="F"/><birthTime value="19560527"/></patientPerson>'
)
_AUTHOR = (
    '<author typeCode="AUT"><assignedEntity classCode="ASSIGNED"><id root="1.2.250.1.71.4.2.1" extension="899900063480"/>'
    '<assignedPerson classCode="PSN" determinerCode="INSTANCE"><name><family>LIBRE</family><given>MAX</given></name>'
    '</assignedPerson><representedOrganization classCode="ORG" determinerCode="INSTANCE"><id root="1.2.250.1.71.4.2.2" '
    'extension="499900063480001"/><name>CABINET DR LIBRE</name></representedOrganization></assignedEntity></author>'
)


def action_of(act: str) -> str:
    """wsa:Action of a request."""
    return f"{V3}:{_ACTS[act][0]}"


def record_message(act: str, patient: str, message_id: str) -> bytes:
    """One request; `act` is test, read, open, reopen, modify or close, `patient` a CX. Raises KeyError for another act."""
    name, reason, status, consent = _ACTS[act]
    id, _, rest = patient.partition("^^^&")
    ii = f'root="{escape(rest.partition("&")[0])}" extension="{escape(id)}"'
    if name == _QUERY:
        content = (
            f'<queryByParameter><queryId root="{message_id}" extension="q"/><statusCode code="new"/><parameterList>'
            f"<patientIdentifier><value {ii}/><semanticsText>Patient.id</semanticsText></patientIdentifier></parameterList>"
            "</queryByParameter>"
        )
    else:
        observed = _observation(consent) if consent else ""
        content = (
            '<subject typeCode="SUBJ" contextConductionInd="false"><registrationRequest classCode="REG" moodCode="RQO">'
            f'<statusCode code="active"/><subject1 typeCode="SBJ"><patient classCode="PAT"><id {ii}/>'
            f'<statusCode code="{status}"/>{_PERSON}{observed}</patient></subject1>{_AUTHOR}</registrationRequest></subject>'
            + (_CLOSING if act == "close" else "")
        )
    device = '<device classCode="DEV" determinerCode="INSTANCE"><id root="{}"/><softwareName>{}</softwareName></device>'
    return (
        f'<{name} xmlns="{V3}" ITSVersion="XML_1.0"><id root="{message_id}" extension="m"/><creationTime value="20240131101500"/>'
        f'<interactionId root="2.16.840.1.113883.1.6" extension="{name}"/><processingCode code="D"/>'
        '<processingModeCode code="T"/><acceptAckCode code="AL"/>'
        f'<receiver typeCode="RCV">{device.format("1.2.250.1.213.4.1.1.1", "DMP")}</receiver>'
        f'<sender typeCode="SND">{device.format("1.2.250.1.213.99.3", "KIT")}</sender>'
        f'<controlActProcess classCode="CACT" moodCode="EVN"><reasonCode code="{reason}" codeSystem="1.2.250.1.213.1.1.4.11"/>'
        f"{content}</controlActProcess></{name}>"
    ).encode()


def _observation(code: str) -> str:
    return (
        '<subjectOf typeCode="SBJ"><administrativeObservation classCode="OBS" moodCode="EVN">'
        f'<code code="{code}" codeSystem="1.2.250.1.213.4.1.2.3"/><value xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        'xsi:type="BL" value="true"/></administrativeObservation></subjectOf>'
    )


def read_acknowledgement(body: etree._Element) -> tuple[str, list[tuple[str, str]]]:
    """typeCode of the acknowledgement, wrapped or not, and codes and texts of its details. Empty where there is none."""
    found = body.find(".//v3:acknowledgement", _NS)
    if found is None:
        return "", []
    details = found.findall("v3:acknowledgementDetail", _NS)
    codes = (one.find("v3:code", _NS) for one in details)
    texts = ("".join(one.findtext("v3:text", "", _NS).split("\n")) for one in details)
    return found.get("typeCode", ""), [
        ("" if code is None else code.get("code", ""), text) for code, text in zip(codes, texts, strict=True)
    ]
