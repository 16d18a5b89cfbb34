"""The sample set: patients and documents of ten kinds, with their metadata, the same for the same seed.

    for document in make_documents(patient, count=20, seed=1): ...

Eight kinds are CDA R2 with a structured body, one is a PDF, one plain text. Codes are those of the French nomenclature
(CI-SIS) where this project knows them; the permissive `ihe` domain accepts them all.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from metadata.model import Author, Code
from server import sample_contents as contents
from server.description import Description, utc_time
from server.sample_cda import CONFIDENTIALITY_OID, EXP_PATIENT, LOINC, PRACTICE_OID, SECTOR_OID, Content, build_cda
from server.sample_pdf import build_pdf
from server.sample_people import PROFESSIONALS, ROOT, SPECIALTY_OID, STRUCTURES, Patient

ASIP_TYPE = "1.2.250.1.213.1.1.4.12"
CLASS_OID = "1.2.250.1.213.1.1.4.1"
FORMAT_OID = "1.3.6.1.4.1.19376.1.2.3"
PARIS = timezone(timedelta(hours=1))
_SUFFICIENT = ("urn:ihe:iti:xds:2017:mimeTypeSufficient", "Type MIME suffisant")


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of document. `place` names author and structure (`""`: the patient), `days` is the length of what it reports."""

    name: str
    type_code: tuple[str, str, str]
    class_code: tuple[str, str]
    format_code: tuple[str, str]
    title: str
    place: str
    practice: tuple[str, str]
    event: tuple[str, str, str]
    days: int
    mime_type: str
    writer: contents.Writer | None


_HOSPITAL = ("ETABLISSEMENT", "Etablissement de santé")
_AMBULATORY = ("AMBULATOIRE", "Ambulatoire")
_NO_ACT = ("40617009", "2.16.840.1.113883.6.96", "acte non précisé")

KINDS: tuple[Kind, ...] = (
    Kind(
        "discharge",
        ("34112-3", LOINC, "CR hospitalier (séjour)"),
        ("10", "Compte rendu"),
        ("urn:ihe:pcc:xds-ms:2007", "Résumé médical"),
        "Compte rendu d'hospitalisation",
        "hospital",
        _HOSPITAL,
        ("DEQP003", contents.CCAM, "Électrocardiographie"),
        6,
        "text/xml",
        contents.discharge,
    ),
    Kind(
        "consultation",
        ("11488-4", LOINC, "CR ou fiche de consultation ou de visite"),
        ("10", "Compte rendu"),
        ("urn:ihe:pcc:xds-ms:2007", "Résumé médical"),
        "Compte rendu de consultation",
        "practice",
        _AMBULATORY,
        _NO_ACT,
        0,
        "text/xml",
        contents.consultation,
    ),
    Kind(
        "laboratory",
        ("11502-2", LOINC, "CR d'examens biologiques"),
        ("10", "Compte rendu"),
        ("urn:ihe:lab:xd-lab:2008", "CR de biologie"),
        "Compte rendu d'examens biologiques",
        "laboratory",
        _AMBULATORY,
        _NO_ACT,
        0,
        "text/xml",
        contents.laboratory,
    ),
    Kind(
        "imaging",
        ("18748-4", LOINC, "CR d'imagerie médicale"),
        ("31", "Imagerie médicale"),
        ("urn:ihe:rad:CDA:ImagingReportStructuredHeadings:2013", "CR d'imagerie"),
        "Compte rendu de scanner",
        "imaging",
        _AMBULATORY,
        ("ZBQK002", contents.CCAM, "Radiographie du thorax"),
        0,
        "text/xml",
        contents.imaging,
    ),
    Kind(
        "prescription",
        ("57833-6", LOINC, "Prescription de médicaments"),
        ("42", "Traitements"),
        ("urn:ihe:pharm:pre:2010", "Prescription"),
        "Prescription de médicaments",
        "practice",
        _AMBULATORY,
        _NO_ACT,
        0,
        "text/xml",
        contents.prescription,
    ),
    Kind(
        "vaccination",
        ("87273-9", LOINC, "Note de vaccination"),
        ("10", "Compte rendu"),
        ("urn:ihe:pcc:ic:2009", "Vaccinations"),
        "Note de vaccination",
        "practice",
        _AMBULATORY,
        _NO_ACT,
        0,
        "text/xml",
        contents.vaccination,
    ),
    Kind(
        "patient-note",
        ("EXPPAT_1", ASIP_TYPE, "Note du patient"),
        ("90", "Expression du patient"),
        _SUFFICIENT,
        "Note personnelle",
        "",
        _AMBULATORY,
        _NO_ACT,
        0,
        "text/xml",
        contents.patient_note,
    ),
    Kind(
        "reimbursements",
        ("REMB", ASIP_TYPE, "Données de remboursement"),
        ("60", "Données de remboursement"),
        _SUFFICIENT,
        "Historique des remboursements",
        "practice",
        ("AMO", "Assurance maladie obligatoire"),
        _NO_ACT,
        180,
        "text/xml",
        contents.reimbursements,
    ),
    Kind(
        "certificate",
        ("CERT_DECL", ASIP_TYPE, "Certificat, déclaration"),
        ("52", "Certificat, déclaration"),
        _SUFFICIENT,
        "Certificat médical",
        "practice",
        _AMBULATORY,
        _NO_ACT,
        0,
        "application/pdf",
        None,
    ),
    Kind(
        "letter",
        ("DOCPAT01", ASIP_TYPE, "Document du patient"),
        ("90", "Expression du patient"),
        _SUFFICIENT,
        "Courrier du patient",
        "",
        _AMBULATORY,
        _NO_ACT,
        0,
        "text/plain",
        None,
    ),
)


@dataclass(frozen=True, slots=True)
class SampleDocument:
    kind: Kind
    data: bytes
    description: Description

    @property
    def file_name(self) -> str:
        suffix = {"text/xml": "xml", "application/pdf": "pdf", "text/plain": "txt"}[self.kind.mime_type]
        return f"{self.kind.name}-{self.description.uniqueId.rsplit('.', 1)[1]}.{suffix}"


def make_documents(patient: Patient, count: int, seed: int, dmp: bool = False) -> Iterator[SampleDocument]:
    """`count` documents of `patient`, all kinds in turn, newest last. With `dmp` patient ids carry their type (CX-5)."""
    draw = random.Random(f"carnet-documents-{seed}-{patient.ins}")
    moment = datetime(2024, 1, 8, 9, 30, tzinfo=PARIS) + timedelta(days=draw.randrange(60), minutes=draw.randrange(480))
    for number in range(1, count + 1):
        kind = KINDS[(number - 1) % len(KINDS)]
        moment += timedelta(days=draw.randint(1, 20), minutes=draw.randrange(60))
        yield _make(patient, kind, draw, moment, f"{ROOT}.3.{seed}.{patient.ins_c.lstrip('0')}.{number}", dmp)


def _make(patient: Patient, kind: Kind, draw: random.Random, end: datetime, unique_id: str, dmp: bool) -> SampleDocument:
    start = end - timedelta(days=kind.days, minutes=0 if kind.days else 20)
    written = end + timedelta(minutes=25)
    author = PROFESSIONALS.get(kind.place)
    custodian = STRUCTURES[kind.place or "practice"]
    if kind.writer:
        data = build_cda(
            patient,
            Content(
                type_code=kind.type_code,
                title=kind.title,
                unique_id=unique_id,
                set_id=unique_id.replace(f"{ROOT}.3.", f"{ROOT}.4.", 1),
                version=1,
                time=written,
                start=start,
                end=end,
                event=kind.event,
                practice=kind.practice,
                author=author,
                custodian=custodian,
                sections=kind.writer(draw, start, end),
            ),
        )
    else:
        data = _page(patient, kind, end)
    return SampleDocument(kind, data, _describe(patient, kind, unique_id, (start, end, written), dmp))


def _page(patient: Patient, kind: Kind, day: datetime) -> bytes:
    name = f"{patient.given[0]} {patient.family}"
    if kind.mime_type == "application/pdf":
        lines = [
            f"Je soussigné, docteur Jean-François MOREL, certifie avoir examiné ce jour {name},",
            f"né(e) le {patient.birth:%d/%m/%Y} à {patient.birth_place}, et n'avoir constaté ce jour",
            "aucune contre-indication à la pratique du sport.",
            "",
            f"Fait à Rennes, le {day:%d/%m/%Y}.",
        ]
        return build_pdf(kind.title, lines)
    appointment = f"{day + timedelta(days=14):%d/%m/%Y}"
    return f"Docteur,\n\nje vous confirme mon rendez-vous du {appointment}. Mes résultats sont joints.\n\n{name}\n".encode()


def _describe(
    patient: Patient, kind: Kind, unique_id: str, times: tuple[datetime, datetime, datetime], dmp: bool
) -> Description:
    start, end, written = times
    author = PROFESSIONALS.get(kind.place)
    structure = STRUCTURES[kind.place or "practice"]
    if author:
        writer = Author(
            (author.xcn,), (author.structure.xon,), (), (f"{author.specialty[0]}^{author.specialty[1]}^{SPECIALTY_OID}",), ()
        )
    else:
        writer = Author((patient.xcn,), (), (), (f"{EXP_PATIENT[0]}^{EXP_PATIENT[2]}^{EXP_PATIENT[1]}",))
    return Description(
        uniqueId=unique_id,
        patientId=patient.cx(dmp=dmp),
        sourcePatientId=patient.source_cx(dmp),
        sourcePatientInfo=patient.source_info,
        title=kind.title,
        mimeType=kind.mime_type,
        languageCode="fr-FR",
        creationTime=utc_time(written),
        serviceStartTime=utc_time(start),
        serviceStopTime=utc_time(end),
        author=(writer,),
        legalAuthenticator=author.xcn if author else patient.xcn,
        classCode=Code(kind.class_code[0], CLASS_OID, kind.class_code[1]),
        typeCode=Code(*kind.type_code),
        formatCode=Code(kind.format_code[0], FORMAT_OID, kind.format_code[1]),
        healthcareFacilityTypeCode=Code(structure.sector, SECTOR_OID, structure.sector_name),
        practiceSettingCode=Code(kind.practice[0], PRACTICE_OID, kind.practice[1]),
        confidentialityCode=(Code("N", CONFIDENTIALITY_OID, "Normal"),),
        eventCodeList=(Code(*kind.event),) if kind.event[1] == contents.CCAM else (),
    )


def now() -> str:
    """The present as an XDS time."""
    return utc_time(datetime.now(UTC))
