"""What the submissions of the suite say: metadata that IHE allows everywhere, and metadata as the French CI-SIS wants them.

A target may put codes of its own affinity domain in place of these (`[codes]` of its file).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from metadata.schemes import REFERENCE_ID_LIST_SLOT

SOURCE_PATIENT_INFO = ["PID-3|77^^^&1.2.250.1.99&ISO", "PID-5|DUPONT^Marie", "PID-7|19560527", "PID-8|F"]


def _letter(unique_id: str, patient: str) -> bytes:
    return f"Letter {unique_id}\nfor {patient}\n".encode()


@dataclass(frozen=True, slots=True)
class Style:
    """The values of one affinity domain. Codes are code^display^codingScheme; `document` makes a document of uniqueId and CX."""

    mime_type: str
    document: Callable[[str, str], bytes]
    title: str
    set_title: str
    submitted: str
    source: str
    content_type: str
    folder_code: str
    author: Mapping[str, str]
    entry_codes: Mapping[str, list[str]]
    slots: Mapping[str, list[str]]
    made: Mapping[str, list[str]] = field(default_factory=dict)

    def entry_slots(self, patient: str, on_demand: bool) -> dict[str, list[str]]:
        """The slots of a DocumentEntry; an On-Demand one has none of what only a finished document has."""
        return {**({} if on_demand else self.made), **self.slots}

    def with_codes(self, codes: Mapping[str, str]) -> Style:
        """With the codes of another affinity domain, by attribute."""
        entry = {name: [codes[name]] if name in codes else found for name, found in self.entry_codes.items()}
        return replace(
            self,
            entry_codes=entry,
            content_type=codes.get("contentTypeCode", self.content_type),
            folder_code=codes.get("codeList", self.folder_code),
        )


IHE = Style(
    mime_type="text/plain",
    document=_letter,
    title="Discharge report",
    set_title="Discharge",
    submitted="20240131101500",
    source="1.2.250.1.213.99.1",
    content_type="CONTENT^Content^1.2.3",
    folder_code="FOLDER^Episode^1.2.3",
    author={
        "authorPerson": "801234567897^Dupont^Anne^^^^^^&1.2.250.1.71.4.2.1&ISO",
        "authorInstitution": "Hospital",
        "authorRole": "physician",
        "authorSpecialty": "cardiology",
    },
    entry_codes={
        "classCode": ["CLASS^Class^1.2.3"],
        "typeCode": ["TYPE^Type^1.2.3"],
        "formatCode": ["FORMAT^Format^1.2.3"],
        "healthcareFacilityTypeCode": ["FACILITY^Facility^1.2.3"],
        "practiceSettingCode": ["PRACTICE^Practice^1.2.3"],
        "confidentialityCode": ["N^Normal^2.16.840.1.113883.5.25"],
        "eventCodeList": ["EVENT^Event^1.2.3"],
    },
    slots={
        "languageCode": ["fr-FR"],
        "serviceStartTime": ["20240130"],
        "serviceStopTime": ["202401311015"],
        "sourcePatientId": ["77^^^&1.2.250.1.99&ISO"],
        "sourcePatientInfo": SOURCE_PATIENT_INFO,
        REFERENCE_ID_LIST_SLOT: ["2013001^^^&1.2.3.4&ISO^urn:ihe:iti:xds:2013:accession"],
        "urn:example:ward": ["B2"],
    },
    made={
        "creationTime": ["20240131"],
        "URI": ["report.txt"],
        "legalAuthenticator": ["801234567897^Dupont^Anne^^^^^^&1.2.250.1.71.4.2.1&ISO"],
    },
)

DOCTOR = "801234567897^Dupont^Anne^^^^^^&1.2.250.1.71.4.2.1&ISO^D^^^IDNPS"
HOSPITAL = "Hospital^^^^^&1.2.250.1.71.4.2.2&ISO^IDNST^^^1750000001"

_CDA = """<?xml version="1.0" encoding="UTF-8"?>
<ClinicalDocument xmlns="urn:hl7-org:v3"><realmCode code="FR"/><typeId root="2.16.840.1.113883.1.3" extension="POCD_HD000040"/>
<templateId root="2.16.840.1.113883.2.8.2.1"/><templateId root="1.2.250.1.213.1.1.1.1"/>
<id root="{uid}"/><code code="11488-4" codeSystem="2.16.840.1.113883.6.1" displayName="CR de consultation"/>
<title>Compte rendu de consultation</title><effectiveTime value="20240131111500+0100"/>
<confidentialityCode code="N" codeSystem="2.16.840.1.113883.5.25"/><languageCode code="fr-FR"/>
<setId root="{uid}"/><versionNumber value="1"/>
<recordTarget><patientRole><id root="{root}" extension="{extension}"/><id root="1.2.250.1.99" extension="77"/>
<addr nullFlavor="NASK"/><telecom nullFlavor="NASK"/>
<patient><name><family>DUPONT</family><given>Marie</given></name><administrativeGenderCode code="F"
 codeSystem="2.16.840.1.113883.5.1"/><birthTime value="19560527"/></patient></patientRole></recordTarget>
<author><time value="20240131111500+0100"/><assignedAuthor><id root="1.2.250.1.71.4.2.1" extension="801234567897"/>
<code code="G15_10/SM26" codeSystem="1.2.250.1.213.1.1.4.5" displayName="Generaliste"/>
<assignedPerson><name><family>Dupont</family><given>Anne</given></name></assignedPerson>
<representedOrganization><id root="1.2.250.1.71.4.2.2" extension="1750000001"/><name>Hospital</name></representedOrganization>
</assignedAuthor></author>
<custodian><assignedCustodian><representedCustodianOrganization><id root="1.2.250.1.71.4.2.2" extension="1750000001"/>
<name>Hospital</name></representedCustodianOrganization></assignedCustodian></custodian>
<legalAuthenticator><time value="20240131111500+0100"/><signatureCode code="S"/>
<assignedEntity><id root="1.2.250.1.71.4.2.1" extension="801234567897"/>
<assignedPerson><name><family>Dupont</family><given>Anne</given></name></assignedPerson></assignedEntity></legalAuthenticator>
<documentationOf><serviceEvent><code code="40617009" codeSystem="2.16.840.1.113883.6.96" displayName="acte"/>
<effectiveTime><low value="20240130090000+0100"/><high value="20240131111500+0100"/></effectiveTime>
<performer typeCode="PRF"><assignedEntity><id root="1.2.250.1.71.4.2.1" extension="801234567897"/>
<representedOrganization><standardIndustryClassCode code="AMBULATOIRE" codeSystem="1.2.250.1.213.1.1.4.9"/>
</representedOrganization></assignedEntity></performer></serviceEvent></documentationOf>
<componentOf><encompassingEncounter><effectiveTime><low value="20240130090000+0100"/></effectiveTime>
<location><healthCareFacility><code code="SA07" codeSystem="1.2.250.1.71.4.2.4"/></healthCareFacility></location>
</encompassingEncounter></componentOf>
<component><structuredBody><component><section><title>Conclusion</title><text>Rien à signaler.</text></section></component>
</structuredBody></component></ClinicalDocument>
"""


def _consultation(unique_id: str, patient: str) -> bytes:
    extension, _, rest = patient.partition("^^^&")
    return _CDA.format(uid=unique_id, root=rest.partition("&")[0], extension=extension).encode()


CI_SIS = replace(
    IHE,
    mime_type="text/xml",
    document=_consultation,
    title="Compte rendu de consultation",
    set_title="Consultation",
    submitted="20240131101600",
    content_type="04^Hospitalisation^1.2.250.1.213.2.2",
    author={
        "authorPerson": DOCTOR,
        "authorInstitution": HOSPITAL,
        "authorSpecialty": "G15_10/SM26^Generaliste^1.2.250.1.213.1.1.4.5",
    },
    entry_codes={
        "classCode": ["10^Compte rendu^1.2.250.1.213.1.1.4.1"],
        "typeCode": ["11488-4^CR de consultation^2.16.840.1.113883.6.1"],
        "formatCode": ["urn:ihe:pcc:xds-ms:2007^Résumé médical^1.3.6.1.4.1.19376.1.2.3"],
        "healthcareFacilityTypeCode": ["SA07^Cabinet^1.2.250.1.71.4.2.4"],
        "practiceSettingCode": ["AMBULATOIRE^Ambulatoire^1.2.250.1.213.1.1.4.9"],
        "confidentialityCode": ["N^Normal^2.16.840.1.113883.5.25"],
    },
    slots={
        "languageCode": ["fr-FR"],
        "serviceStartTime": ["20240130080000"],
        "serviceStopTime": ["20240131101500"],
        "sourcePatientId": ["77^^^&1.2.250.1.99&ISO^PI"],
        "sourcePatientInfo": ["PID-5|DUPONT^Marie^^^^^D", "PID-7|19560527", "PID-8|F"],
    },
    made={"creationTime": ["20240131101500"], "legalAuthenticator": [DOCTOR]},
)

STYLES = {"": IHE, "ci-sis": CI_SIS}
