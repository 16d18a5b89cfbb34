"""CDA R2 documents of the sample set: header and structured body (HL7 CDA R2, with the header constants of the CI-SIS).

A document is described by `Content` (what it says) and built by `build_cda` (where CDA puts it). Elements stand in the order
of the CDA schema; each coded entry points to the text it codes (`<reference value="#...">`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from lxml import etree

from metadata.french import PS_OID, STRUCTURE_OID
from metadata.ins import INS_NIR_TEST
from schemas.namespaces import HL7V3, XSI
from server.sample_people import IPP_OID, SPECIALTY_OID, Patient, Professional, Structure

LOINC = "2.16.840.1.113883.6.1"
CIM10 = "2.16.840.1.113883.6.3"
SECTOR_OID = "1.2.250.1.71.4.2.4"
PRACTICE_OID = "1.2.250.1.213.1.1.4.9"
CONFIDENTIALITY_OID = "2.16.840.1.113883.5.25"
#: What stands for the specialty of an author who is the patient (code, code system, name).
EXP_PATIENT = ("EXP_PATIENT", "1.2.250.1.213.1.1.4.6", "Expression personnelle du patient")
CODE_SYSTEM_NAMES = {LOINC: "LOINC", CIM10: "CIM-10", SPECIALTY_OID: "TRE_R04", SECTOR_OID: "TRE_R02"}


@dataclass(frozen=True, slots=True)
class Coded:
    """A coded statement of a section: what is observed or given, and its value when it has one.

    `kind` is `observation`, `medication` or `vaccination`. `quantity` is (value, UCUM unit); `concept` a code as value.
    """

    kind: str
    code: tuple[str, str, str]
    quantity: tuple[str, str] | None = None
    concept: tuple[str, str, str] | None = None
    lot: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """`rows` are cells of text; row i is coded by `coded[i]` where there is one."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    coded: Sequence[Coded] = ()


@dataclass(frozen=True, slots=True)
class Section:
    code: tuple[str, str]
    title: str
    paragraphs: Sequence[str] = ()
    items: Sequence[str] = ()
    table: Table | None = None


@dataclass(frozen=True, slots=True)
class Content:
    """One document: header values and sections. Codes are (code, code system OID, display name)."""

    type_code: tuple[str, str, str]
    title: str
    unique_id: str
    set_id: str
    version: int
    time: datetime
    start: datetime
    end: datetime
    event: tuple[str, str, str]
    practice: tuple[str, str]
    author: Professional | None
    custodian: Structure
    sections: Sequence[Section]


def _el(name: str, *children: etree._Element | str | None, **attributes: str) -> etree._Element:
    element = etree.Element(f"{{{HL7V3}}}{name}", attributes)
    for child in children:
        if isinstance(child, str):
            element.text = child
        elif child is not None:
            element.append(child)
    return element


def _code(name: str, code: tuple[str, str, str]) -> etree._Element:
    attributes = {"code": code[0], "codeSystem": code[1], "displayName": code[2]}
    if code[1] in CODE_SYSTEM_NAMES:
        attributes["codeSystemName"] = CODE_SYSTEM_NAMES[code[1]]
    return _el(name, **attributes)


def local_time(moment: datetime) -> str:
    """HL7 TS with its offset."""
    return moment.strftime("%Y%m%d%H%M%S%z")


def _interval(start: datetime, end: datetime) -> etree._Element:
    return _el("effectiveTime", _el("low", value=local_time(start)), _el("high", value=local_time(end)))


def _organization(name: str, structure: Structure) -> etree._Element:
    return _el(
        name,
        _el("id", root=STRUCTURE_OID, extension=structure.id, assigningAuthorityName="GIP-CPS"),
        _el("name", structure.name),
        _el("telecom", value="tel:+33240000000", use="WP"),
        _el("addr", _el("postalCode", structure.postal_code), _el("city", structure.city)),
    )


def _person(tag: str, professional: Professional) -> etree._Element:
    name = _el("name", _el("family", professional.family), _el("given", professional.given), _el("prefix", professional.title))
    specialty = professional.specialty
    return _el(
        tag,
        _el("id", root=PS_OID, extension=professional.id, assigningAuthorityName="GIP-CPS"),
        _code("code", (specialty[0], SPECIALTY_OID, specialty[1])),
        _el("telecom", nullFlavor="NASK"),
        _el("assignedPerson", name),
        _organization("representedOrganization", professional.structure),
    )


def _record_target(patient: Patient) -> etree._Element:
    address = _el(
        "addr", _el("streetAddressLine", patient.street), _el("postalCode", patient.postal_code), _el("city", patient.city)
    )
    names = [_el("family", patient.family, qualifier="BR"), _el("given", " ".join(patient.given))]
    names.append(_el("given", patient.given[0], qualifier="BR"))
    sex = ("F", "Féminin") if patient.sex == "F" else ("M", "Masculin")
    person = _el(
        "patient",
        _el("name", *names),
        _code("administrativeGenderCode", (sex[0], "2.16.840.1.113883.5.1", sex[1])),
        _el("birthTime", value=f"{patient.birth:%Y%m%d}"),
        _el("birthplace", _el("place", _el("addr", _el("county", patient.birth_code), _el("city", patient.birth_place)))),
    )
    role = _el(
        "patientRole",
        _el("id", root=INS_NIR_TEST, extension=patient.ins),
        _el("id", root=IPP_OID, extension=patient.ipp),
        address,
        _el("telecom", value=f"tel:{patient.phone}", use="MC"),
        person,
    )
    return _el("recordTarget", role)


def _author(patient: Patient, content: Content) -> etree._Element:
    time = _el("time", value=local_time(content.time))
    if content.author:
        return _el("author", time, _person("assignedAuthor", content.author))
    name = _el("name", _el("family", patient.family), _el("given", patient.given[0]))
    assigned = _el(
        "assignedAuthor",
        _el("id", root=INS_NIR_TEST, extension=patient.ins),
        _code("code", EXP_PATIENT),
        _el("assignedPerson", name),
    )
    return _el("author", time, assigned)


def _legal_authenticator(patient: Patient, content: Content) -> etree._Element:
    if content.author:
        entity = _person("assignedEntity", content.author)
    else:
        name = _el("name", _el("family", patient.family), _el("given", patient.given[0]))
        entity = _el("assignedEntity", _el("id", root=INS_NIR_TEST, extension=patient.ins), _el("assignedPerson", name))
    return _el("legalAuthenticator", _el("time", value=local_time(content.time)), _el("signatureCode", code="S"), entity)


def _documentation_of(content: Content) -> etree._Element:
    practice = (content.practice[0], PRACTICE_OID, content.practice[1])
    organization = _organization("representedOrganization", content.custodian)
    organization.append(_code("standardIndustryClassCode", practice))
    if content.author:
        entity = _person("assignedEntity", content.author)
        entity.replace(entity[-1], organization)
    else:
        entity = _el("assignedEntity", _el("id", nullFlavor="UNK"), organization)
    event = _el(
        "serviceEvent",
        _code("code", content.event),
        _interval(content.start, content.end),
        _el("performer", entity, typeCode="PRF"),
    )
    return _el("documentationOf", event)


def _component_of(content: Content) -> etree._Element:
    structure = content.custodian
    place = _el("location", _el("name", structure.name), _el("addr", _el("city", structure.city)))
    facility = _el("healthCareFacility", _code("code", (structure.sector, SECTOR_OID, structure.sector_name)), place)
    encounter = _el("encompassingEncounter", _interval(content.start, content.end), _el("location", facility))
    return _el("componentOf", encounter)


def _header(patient: Patient, content: Content) -> Iterable[etree._Element]:
    yield _el("realmCode", code="FR")
    yield _el("typeId", root="2.16.840.1.113883.1.3", extension="POCD_HD000040")
    yield _el("templateId", root="2.16.840.1.113883.2.8.2.1")
    yield _el("templateId", root="1.2.250.1.213.1.1.1.1")
    yield _el("id", root=content.unique_id)
    yield _code("code", content.type_code)
    yield _el("title", content.title)
    yield _el("effectiveTime", value=local_time(content.time))
    yield _code("confidentialityCode", ("N", CONFIDENTIALITY_OID, "Normal"))
    yield _el("languageCode", code="fr-FR")
    yield _el("setId", root=content.set_id)
    yield _el("versionNumber", value=str(content.version))
    yield _record_target(patient)
    yield _author(patient, content)
    custodian = _organization("representedCustodianOrganization", content.custodian)
    yield _el("custodian", _el("assignedCustodian", custodian))
    yield _legal_authenticator(patient, content)
    yield _documentation_of(content)
    yield _component_of(content)


def _narrative(section: Section, prefix: str) -> etree._Element:
    text = _el("text", *(_el("paragraph", p) for p in section.paragraphs))
    if section.items:
        text.append(_el("list", *(_el("item", i) for i in section.items)))
    if section.table:
        head = _el("thead", _el("tr", *(_el("th", h) for h in section.table.head)))
        body = _el("tbody")
        for number, row in enumerate(section.table.rows, 1):
            body.append(_el("tr", *(_el("td", cell) for cell in row), ID=f"{prefix}-{number}"))
        text.append(_el("table", head, body, border="1"))
    return text


def _entry(coded: Coded, reference: str, time: datetime, entry_id: str) -> etree._Element:
    text = _el("text", _el("reference", value=f"#{reference}"))
    status = _el("statusCode", code="completed")
    when = _el("effectiveTime", value=local_time(time))
    identity = _el("id", root=entry_id)
    if coded.kind == "observation":
        act = _el("observation", identity, _code("code", coded.code), text, status, when, classCode="OBS", moodCode="EVN")
        value = _value(coded)
        if value is not None:
            act.append(value)
    else:
        material = _el("manufacturedMaterial", _code("code", coded.code))
        if coded.lot:
            material.append(_el("lotNumberText", coded.lot))
        mood = "EVN" if coded.kind == "vaccination" else "INT"
        act = _el("substanceAdministration", identity, text, status, when, classCode="SBADM", moodCode=mood)
        if coded.quantity:
            act.append(_el("doseQuantity", value=coded.quantity[0], unit=coded.quantity[1]))
        act.append(_el("consumable", _el("manufacturedProduct", material)))
    return _el("entry", act)


def _value(coded: Coded) -> etree._Element | None:
    if coded.quantity:
        value = _el("value", value=coded.quantity[0], unit=coded.quantity[1])
        value.set(f"{{{XSI}}}type", "PQ")
    elif coded.concept:
        value = _code("value", coded.concept)
        value.set(f"{{{XSI}}}type", "CD")
    else:
        return None
    return value


def _section(section: Section, number: int, content: Content) -> etree._Element:
    prefix = f"s{number}"
    element = _el(
        "section",
        _el("id", root=f"{content.unique_id}.{number}"),
        _code("code", (section.code[0], LOINC, section.code[1])),
        _el("title", section.title),
        _narrative(section, prefix),
    )
    for row, coded in enumerate(section.table.coded if section.table else (), 1):
        element.append(_entry(coded, f"{prefix}-{row}", content.end, f"{content.unique_id}.{number}.{row}"))
    return element


def build_cda(patient: Patient, content: Content) -> bytes:
    """The document in UTF-8; the same arguments give the same bytes."""
    namespaces: dict[str | None, str] = {None: HL7V3, "xsi": XSI}
    root = etree.Element(f"{{{HL7V3}}}ClinicalDocument", nsmap=namespaces)  # type: ignore[arg-type]
    root.extend(_header(patient, content))
    body = _el("structuredBody", *(_el("component", _section(s, n, content)) for n, s in enumerate(content.sections, 1)))
    root.append(_el("component", body))
    etree.indent(root)
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True) + b"\n"
