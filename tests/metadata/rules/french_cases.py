"""The French rules: a right submission as the CI-SIS wants it, and for each rule how to bend it. See `rule_cases`."""

from __future__ import annotations

from dataclasses import replace

from rule_cases import Bend, Row, all_of, change, classified, identified, recoded, slot
from rules_message import Message, coded, folder

from metadata import schemes
from metadata.ins import INS_NIR_TEST
from metadata.model import Slot
from metadata.rules.attribute_rows import TYPED_PATIENT_ID
from metadata.rules.french import CI_SIS
from metadata.vocabulary import Transaction

INS = f"279035121518989^^^&{INS_NIR_TEST}&ISO^NH"
OTHER_INS = f"153078987658513^^^&{INS_NIR_TEST}&ISO^NH"
IPP = "77^^^&1.2.250.1.99&ISO^PI"
DOCTOR = "801234567897^Dupont^Anne^^^^^^&1.2.250.1.71.4.2.1&ISO^D^^^IDNPS"
HOSPITAL = "Hospital^^^^^&1.2.250.1.71.4.2.2&ISO^IDNST^^^1750000001"
SPECIALTY = "G15_10/SM26^Generaliste^1.2.250.1.213.1.1.4.5"
MASKING = "1.2.250.1.213.1.1.4.13"
HL7_CODES = "2.16.840.1.113883.5.25"
ITI_41 = Transaction.ITI_41

CDA = """<ClinicalDocument xmlns="urn:hl7-org:v3">
<id root="1.2.250.1.213.2"/><code code="code" codeSystem="1.2.3"/><title>Discharge report</title>
<effectiveTime value="20240131111500+0100"/><confidentialityCode code="N" codeSystem="2.16.840.1.113883.5.25"/>
<languageCode code="fr-FR"/>
<recordTarget><patientRole><id root="1.2.250.1.213.1.4.10" extension="279035121518989"/>
<id root="1.2.250.1.99" extension="77"/><patient><name><family>DUPONT</family><given>Marie</given></name>
<administrativeGenderCode code="F"/><birthTime value="19560527"/></patient></patientRole></recordTarget>
<author><assignedAuthor><id root="1.2.250.1.71.4.2.1" extension="801234567897"/>
<code code="G15_10/SM26" codeSystem="1.2.250.1.213.1.1.4.5" displayName="Generaliste"/>
<representedOrganization><id root="1.2.250.1.71.4.2.2" extension="1750000001"/><name>Hospital</name></representedOrganization>
</assignedAuthor></author>
<legalAuthenticator><assignedEntity><id root="1.2.250.1.71.4.2.1" extension="801234567897"/></assignedEntity></legalAuthenticator>
<documentationOf><serviceEvent><code code="code" codeSystem="1.2.3"/>
<effectiveTime><low value="20240130090000+0100"/><high value="20240131111500+0100"/></effectiveTime>
<performer><assignedEntity><representedOrganization><standardIndustryClassCode code="code" codeSystem="1.2.3"/>
</representedOrganization></assignedEntity></performer></serviceEvent></documentationOf>
<componentOf><encompassingEncounter><location><healthCareFacility><code code="code" codeSystem="1.2.3"/></healthCareFacility>
</location></encompassingEncounter></componentOf>
<component><structuredBody/></component></ClinicalDocument>"""


class FrenchMessage(Message):
    """The short form, as a French source sends it; in ITI-41 with a CDA document whose header agrees."""

    def __init__(self, transaction: Transaction = Transaction.ITI_42) -> None:
        super().__init__(transaction, full=False)
        self.options = frozenset({CI_SIS, TYPED_PATIENT_ID})
        self.state.patients |= {INS, OTHER_INS}
        for id, scheme in (("ss", schemes.SS_PATIENT_ID), ("doc", schemes.DE_PATIENT_ID)):
            self.identifier(id, scheme, value=INS)
        values = {"authorPerson": DOCTOR, "authorInstitution": HOSPITAL, "authorSpecialty": SPECIALTY}
        for id, scheme in (("ss", schemes.SS_AUTHOR), ("doc", schemes.DE_AUTHOR)):
            self.classification(id, scheme, slots=tuple(Slot(name, (value,)) for name, value in values.items()))
        self.slot("doc", "sourcePatientId", IPP)
        if transaction is not Transaction.ITI_61:
            self.slot("doc", "legalAuthenticator", DOCTOR)
            self.slot("doc", "creationTime", "20240131101500")
        self.slot("doc", "serviceStartTime", "20240130080000")
        self.slot("doc", "serviceStopTime", "20240131101500")
        if self.documents is not None:
            self.attach(CDA)

    def attach(self, document: str) -> None:
        assert self.documents is not None
        self.documents["doc"] = replace(self.documents["doc"], content=document.encode())


def in_header(old: str, new: str) -> Bend:
    """The document says something else in its header than the entry does."""

    def bend(message: Message) -> None:
        assert isinstance(message, FrenchMessage) and old in CDA
        message.attach(CDA.replace(old, new))

    return bend


def author(**slots: str) -> Bend:
    kept = {"authorPerson": DOCTOR, "authorInstitution": HOSPITAL, "authorSpecialty": SPECIALTY, **slots}
    return recoded(schemes.DE_AUTHOR, slots=tuple(Slot(name, (value,)) for name, value in kept.items()))


def patient(cx: str) -> Bend:
    def bend(message: Message) -> None:
        message.state.patients.add(cx)
        message.identifier("ss", schemes.SS_PATIENT_ID, value=cx)
        message.identifier("doc", schemes.DE_PATIENT_ID, value=cx)

    return bend


def masked(*codes: str) -> Bend:
    added = (coded("doc", schemes.DE_CONFIDENTIALITY_CODE, code, MASKING) for code in codes)
    return all_of(*(classified(one) for one in added))


def with_folder(message: Message) -> None:
    message.add(folder("folder", "1.2.250.1.213.3"))
    message.identifier("folder", schemes.FOLDER_PATIENT_ID, value=INS)
    message.objects["ss-folder"] = replace(message.objects["ss-doc"], id="ss-folder", targetObject="folder", slots=())


DOCTOR_ID, OTHER_ID = (f'<id root="1.2.250.1.71.4.2.1" extension="{id}"/>' for id in ("801234567897", "801234567898"))
C = schemes.DE_CONFIDENTIALITY_CODE
FRENCH: tuple[Row, ...] = (
    ("FR-001", patient(INS.removesuffix("^NH"))),
    ("FR-001", patient(INS.replace("^NH", "^INS-C"))),
    ("FR-002", patient(INS.replace("989^", "980^"))),
    ("FR-002", patient("0529782301522593359679^^^&1.2.250.1.213.1.4.8&ISO^NH")),
    ("FR-003", slot("sourcePatientId", "77^^^&1.2.250.1.99&ISO")),
    ("FR-003", slot("sourcePatientId", INS.replace("^NH", "^PI"))),
    ("FR-004", slot("sourcePatientInfo", "PID-5|DUPONT^Marie", "PID-7|19560527")),
    ("FR-005", author(authorPerson="801234567897^Dupont^Anne")),
    ("FR-005", author(authorPerson=DOCTOR.replace("801234567897", "8012345"))),
    ("FR-005", author(authorPerson=DOCTOR.replace("801234567897", "701234567897"))),
    ("FR-005", author(authorPerson=f"279035121518989^Dupont^Anne^^^^^^&{INS_NIR_TEST}&ISO^L^^^NH")),
    ("FR-005", author(authorPerson=f"279035121518980^Dupont^Anne^^^^^^&{INS_NIR_TEST}&ISO^D^^^NH")),
    ("FR-006", author(authorPerson=DOCTOR.replace("^Anne", "^"))),
    ("FR-007", author(authorInstitution=HOSPITAL.replace("1750000001", "9750000001"))),
    ("FR-007", author(authorInstitution=HOSPITAL.replace("IDNST", "XX"))),
    ("FR-007", author(authorInstitution=HOSPITAL.replace("1.2.250.1.71.4.2.2", "1.2.9"))),
    ("FR-007", author(authorInstitution="Hospital^^^^^^^^^1.2.250.1.71.4.2.2")),
    ("FR-008", slot("legalAuthenticator")),
    ("FR-008", slot("legalAuthenticator", "^Dupont^Anne")),
    ("FR-009", author(authorSpecialty="unlisted^Label^1.2.250.1.213.1.1.4.5")),
    ("FR-009", author(authorSpecialty="Cardiology")),
    ("FR-010", recoded(schemes.DE_CLASS_CODE, nodeRepresentation="other")),
    ("FR-011", masked("MASQUE_PS", "INVISIBLE_PATIENT")),
    ("FR-012", recoded(C, slots=(Slot("codingScheme", (MASKING,)),))),
    ("FR-012", classified(coded("doc", C, "R", HL7_CODES))),
    ("FR-012", masked("a", "b", "c", "d")),
    ("FR-013", slot("languageCode", "unlisted")),
    ("FR-014", identified(schemes.DE_UNIQUE_ID, "1.2.250.1.213^17")),
    ("FR-015", slot("serviceStartTime")),
    ("FR-016", slot("creationTime", "20240131")),
    ("FR-016", slot("serviceStopTime", "202401311015")),
    ("FR-017", slot("creationTime", "20240131101501")),
    ("FR-018", with_folder),
    ("FR-019", change("doc", home="urn:oid:1.2.3")),
    ("FR-100", in_header("<id root", "<!DOCTYPE x><id root"), ITI_41),
    ("FR-100", in_header("<author>", "<author"), ITI_41),
    ("FR-101", in_header('root="1.2.250.1.213.2"', 'root="1.2.250.1.213.99"'), ITI_41),
    ("FR-102", in_header('<code code="code" codeSystem="1.2.3"/><title', '<code code="x" codeSystem="1.2.3"/><title'), ITI_41),
    ("FR-103", in_header("Discharge report", "Laboratory report"), ITI_41),
    ("FR-104", in_header("111500+0100\"/><conf", "111500+0000\"/><conf"), ITI_41),
    ("FR-105", in_header('<confidentialityCode code="N"', '<confidentialityCode code="R"'), ITI_41),
    ("FR-106", in_header("fr-FR", "de-CH"), ITI_41),
    ("FR-107", in_header("279035121518989", "153078987658513"), ITI_41),
    ("FR-108", in_header('extension="77"', 'extension="78"'), ITI_41),
    ("FR-109", in_header("19560527", "19560528"), ITI_41),
    ("FR-109", in_header(">DUPONT<", ">DURAND<"), ITI_41),
    ("FR-110", in_header(f"<assignedAuthor>{DOCTOR_ID}", f"<assignedAuthor>{OTHER_ID}"), ITI_41),
    ("FR-111", in_header("1750000001", "1750000002"), ITI_41),
    ("FR-112", in_header("SM26", "SM04"), ITI_41),
    ("FR-113", in_header(f"<assignedEntity>{DOCTOR_ID}", f"<assignedEntity>{OTHER_ID}"), ITI_41),
    ("FR-114", in_header('<serviceEvent><code code="code"', '<serviceEvent><code code="x"'), ITI_41),
    ("FR-115", in_header("20240130090000", "20240130090001"), ITI_41),
    ("FR-116", in_header('<high value="20240131111500', '<high value="20240131111501'), ITI_41),
    ("FR-117", in_header('<standardIndustryClassCode code="code"', '<standardIndustryClassCode code="x"'), ITI_41),
    ("FR-118", in_header('<healthCareFacility><code code="code"', '<healthCareFacility><code code="x"'), ITI_41),
)  # fmt: skip


def french_messages() -> list[tuple[str, Message]]:
    """Every case as (rule id, bent message)."""
    found: list[tuple[str, Message]] = []
    for row in FRENCH:
        message = FrenchMessage(row[2] if len(row) == 3 else Transaction.ITI_42)
        row[1](message)
        found.append((row[0], message))
    return found

