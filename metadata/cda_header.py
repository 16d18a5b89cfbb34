"""DocumentEntry attributes from a CDA header (CI-SIS: mapping of the CDA header to XDS metadata; ITI TF-3: 4.2.3.2).

`open_header` reads a document as far as its body and no further, so that a document of any size costs the same. What a header
does not say stays out of `attributes_of`. classCode and formatCode are deduced elsewhere: they do not stand in a header.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, BinaryIO

from lxml import etree

from metadata.french import PS_OID, PS_TYPE, STRUCTURE_OID, STRUCTURE_TYPE
from metadata.hl7 import escape
from metadata.ins import AUTHORITIES, cx
from metadata.model import Author, Code
from metadata.scalars import is_oid, problem_with_dtm
from schemas.namespaces import HL7V3, q

_NS = {"c": HL7V3}
_ROOT, _STRUCTURED, _TEXT = q(HL7V3, "ClinicalDocument"), q(HL7V3, "structuredBody"), q(HL7V3, "text")
_TITLE = 128
_TS = re.compile(r"([0-9]{4,14})(?:\.[0-9]+)?(?:([+-])([0-9]{2})([0-9]{2}))?")
#: Codes of a service event that say "no act": they are no eventCodeList.
_NO_ACT = frozenset({("40617009", "2.16.840.1.113883.6.96")})
_OID_NAME_TYPE = {PS_OID: PS_TYPE, STRUCTURE_OID: STRUCTURE_TYPE, **dict.fromkeys(AUTHORITIES, "NH")}


class HeaderError(ValueError):
    """The file is XML that cannot be read as a CDA document; the text says where and why."""


def is_cda(start: bytes) -> bool:
    """Whether a file that begins with these octets is worth reading as CDA."""
    return b"ClinicalDocument" in start.replace(b"\x00", b"")


def open_header(stream: BinaryIO) -> tuple[etree._Element, str]:
    """The root element of a CDA document, filled as far as its body, and the media type of a body that is no XML.

    Raises HeaderError for what is not well-formed, has a DOCTYPE or another root element.
    """
    root: etree._Element | None = None
    body_type = ""
    try:
        parsed = etree.iterparse(
            stream, events=("start",), resolve_entities=False, no_network=True, load_dtd=False, remove_pis=True, huge_tree=True
        )
        for _, element in parsed:
            if root is None:
                root = element
                check_root(root)
            if element.tag == _STRUCTURED:
                break
            if element.tag == _TEXT:
                body_type = element.get("mediaType", "")
                break
    except etree.XMLSyntaxError as error:
        raise HeaderError(f"the file is not well-formed XML: {error.msg}") from None
    if root is None:
        raise HeaderError("the file is empty")
    return root, body_type


def check_root(root: etree._Element) -> None:
    """Raises HeaderError for a DOCTYPE and for another root element."""
    if root.getroottree().docinfo.internalDTD is not None:
        raise HeaderError("the file has a DOCTYPE, which CDA does not use; remove it")
    if root.tag != _ROOT:
        raise HeaderError(f"its root element is {root.tag}, not ClinicalDocument of {HL7V3}")


def _one(element: etree._Element, path: str) -> etree._Element | None:
    """The first element at `a/b`, every step in the namespace of CDA and without nullFlavor at its end."""
    steps = "/".join(f"c:{step}" for step in path.split("/"))
    return next((found for found in element.iterfind(steps, _NS) if found.get("nullFlavor") is None), None)


def _text(element: etree._Element | None) -> str:
    return " ".join("".join(str(piece) for piece in element.itertext()).split()) if element is not None else ""


def _code(element: etree._Element | None) -> Code | None:
    if element is None or not element.get("code"):
        return None
    code = element.get("code", "")
    return Code(code, element.get("codeSystem", ""), element.get("displayName", "") or code)


def attributes_of(root: etree._Element, dmp: bool = False) -> Iterator[tuple[str, Any]]:
    """Name and value of each attribute that the header tells; empty where it does not.

    With `dmp` the patient ids carry their type (CX-5), which IHE leaves empty.
    """
    language = _one(root, "languageCode")
    confidentiality = _code(_one(root, "confidentialityCode"))
    event = _main_event(root)
    yield "uniqueId", _document_id(_one(root, "id"))
    yield "title", _text(_one(root, "title"))[:_TITLE]
    yield "mimeType", "text/xml"
    yield "languageCode", language.get("code", "") if language is not None else ""
    yield "creationTime", _utc(_one(root, "effectiveTime"))
    yield "typeCode", _code(_one(root, "code"))
    yield "confidentialityCode", (confidentiality,) if confidentiality else ()
    yield "eventCodeList", tuple(_events(root))
    yield "author", tuple(_author(element) for element in root.iterfind("c:author", _NS))
    yield "legalAuthenticator", _person(_one(root, "legalAuthenticator/assignedEntity"))
    yield "healthcareFacilityTypeCode", _code(_one(root, "componentOf/encompassingEncounter/location/healthCareFacility/code"))
    yield from _patient(root, dmp)
    if event is not None:
        organization = "performer/assignedEntity/representedOrganization/standardIndustryClassCode"
        yield "practiceSettingCode", _code(_one(event, organization))
        yield "serviceStartTime", _utc(_one(event, "effectiveTime/low")) or _utc(_one(event, "effectiveTime"))
        yield "serviceStopTime", _utc(_one(event, "effectiveTime/high"))


def _main_event(root: etree._Element) -> etree._Element | None:
    """The main service event: the one whose performer's structure has a sector (CI-SIS), else the first."""
    events = root.findall("c:documentationOf/c:serviceEvent", _NS)
    sector = "performer/assignedEntity/representedOrganization/standardIndustryClassCode"
    return next((event for event in events if _one(event, sector) is not None), events[0] if events else None)


def _events(root: etree._Element) -> Iterator[Code]:
    for element in root.iterfind("c:documentationOf/c:serviceEvent/c:code", _NS):
        code = _code(element)
        if code is not None and element.get("nullFlavor") is None and (code.code, code.scheme) not in _NO_ACT:
            yield code


def _patient(root: etree._Element, dmp: bool) -> Iterator[tuple[str, Any]]:
    """patientId is the INS, or the first id where there is none; sourcePatientId another id, or the same."""
    role = _one(root, "recordTarget/patientRole")
    if role is None:
        return
    ids = [e for e in role.iterfind("c:id", _NS) if e.get("root") and e.get("extension")]
    ins = next((e for e in ids if e.get("root") in AUTHORITIES), None)
    local = next((e for e in ids if e.get("root") not in AUTHORITIES), None)
    own = _cx(local, dmp) if local is not None else ""
    national = _cx(ins, dmp) if ins is not None else ""
    yield "patientId", national or own
    yield "sourcePatientId", own or national
    yield "sourcePatientInfo", tuple(_patient_info(role))


def patient_ids_of(root: etree._Element) -> tuple[str, ...]:
    """Every id of the patient, as CX without type."""
    ids = root.iterfind("c:recordTarget/c:patientRole/c:id", _NS)
    return tuple(_cx(element, False) for element in ids if element.get("root") and element.get("extension"))


def family_names_of(root: etree._Element) -> frozenset[str]:
    """Every family name of the patient (at birth, used, ...), as `name_key` compares them."""
    families = root.iterfind("c:recordTarget/c:patientRole/c:patient/c:name/c:family", _NS)
    return frozenset(name_key(_text(element)) for element in families if _text(element))


def name_key(name: str) -> str:
    """The letters of a name in capitals, without accents: names are spelled in many ways."""
    return "".join(c for c in unicodedata.normalize("NFD", name.upper()) if c.isalpha())


def _cx(element: etree._Element, dmp: bool) -> str:
    number, oid = element.get("extension", ""), element.get("root", "")
    whole = cx(number, oid) if oid in AUTHORITIES else f"{escape(number)}^^^&{oid}&ISO^PI"
    return whole if dmp else whole.rpartition("^")[0]


def _patient_info(role: etree._Element) -> Iterator[str]:
    """ITI TF-3: 4.2.3.2.23: the name at birth, birth date, sex, address."""
    family, given = _names(role.findall("c:patient/c:name", _NS))
    if family or given:
        yield f"PID-5|{escape(family)}^{escape(given)}^^^^^L"
    birth, sex = _one(role, "patient/birthTime"), _one(role, "patient/administrativeGenderCode")
    if birth is not None and birth.get("value"):
        yield f"PID-7|{birth.get('value', '')[:8]}"
    if sex is not None and sex.get("code"):
        # CDA says UN for undifferentiated, HL7 v2 table 0001 says O.
        yield f"PID-8|{'O' if sex.get('code') == 'UN' else sex.get('code')}"
    address = _one(role, "addr")
    if address is not None:
        street, city, postal_code = (escape(_text(_one(address, n))) for n in ("streetAddressLine", "city", "postalCode"))
        if street or city or postal_code:
            yield f"PID-11|{street}^^{city}^^{postal_code}^{escape(_text(_one(address, 'country'))) or 'FRA'}"


def _names(names: list[etree._Element]) -> tuple[str, str]:
    """Family and first given name: those marked as of birth (BR) before others."""
    result = []
    for part in ("family", "given"):
        found = [e for name in names for e in name.iterfind(f"c:{part}", _NS) if e.get("nullFlavor") is None]
        of_birth = [e for e in found if "BR" in (e.get("qualifier") or "").split()]
        result.append(_text(next(iter(of_birth or found), None)))
    return result[0], result[1]


def _document_id(element: etree._Element | None) -> str:
    """The OID alone, or OID^extension, as XDS allows (ITI TF-3: 4.2.3.2.26)."""
    if element is None:
        return ""
    root, extension = element.get("root", ""), element.get("extension", "")
    if not is_oid(root):
        return ""
    return f"{root}^{extension}" if extension else root


def _author(author: etree._Element) -> Author:
    assigned = _one(author, "assignedAuthor")
    if assigned is None:
        return Author()
    role = _one(author, "functionCode")
    specialty = _one(assigned, "code")
    organization = _organization(_one(assigned, "representedOrganization"))
    words = [specialty.get(name, "") for name in ("code", "displayName", "codeSystem")] if specialty is not None else []
    return Author(
        authorPerson=tuple(filter(None, (_person(assigned),))),
        authorInstitution=tuple(filter(None, (organization,))),
        authorRole=tuple(filter(None, (role.get("displayName", "") if role is not None else "",))),
        authorSpecialty=("^".join(map(escape, words)),) if any(words) else (),
    )


def _person(assigned: etree._Element | None) -> str:
    """XCN of an assignedAuthor or assignedEntity: a person (name type D) or a device (U)."""
    if assigned is None:
        return ""
    identity = _one(assigned, "id")
    oid = identity.get("root", "") if identity is not None else ""
    number = (identity.get("extension") or oid) if identity is not None else ""
    device = _one(assigned, "assignedAuthoringDevice")
    if device is not None:
        family, given = (_text(_one(device, name)) for name in ("softwareName", "manufacturerModelName"))
        name_type, id_type = "U", "RI"
    else:
        family, given = _names(assigned.findall("c:assignedPerson/c:name", _NS))
        name_type, id_type = "D", _OID_NAME_TYPE.get(oid, "")
    if not (number or family):
        return ""
    authority = f"&{oid}&ISO" if is_oid(oid) else ""
    return f"{escape(number)}^{escape(family)}^{escape(given)}^^^^^^{authority}^{name_type}^^^{id_type}".rstrip("^")


def _organization(element: etree._Element | None) -> str:
    """XON: name, and the structure's id where there is one."""
    if element is None:
        return ""
    name, identity = escape(_text(_one(element, "name"))), _one(element, "id")
    if identity is None or not identity.get("root"):
        return name
    oid, number = identity.get("root", ""), identity.get("extension", "")
    if not number:
        return f"{name}^^^^^^^^^{oid}"
    return f"{name}^^^^^&{oid}&ISO^{_OID_NAME_TYPE.get(oid, 'XX')}^^^{escape(number)}"


def _utc(element: etree._Element | None) -> str:
    """DTM in UTC of an HL7 TS; "" for what is none. Its precision is kept; a clock time without offset is taken as UTC."""
    match = _TS.fullmatch(element.get("value", "")) if element is not None else None
    if match is None or problem_with_dtm(match[1]):
        return ""
    digits, sign, hours, minutes = match.groups()
    if len(digits) <= 8 or not sign:
        return str(digits)
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    try:
        local = datetime.strptime((digits + "0000")[:14], "%Y%m%d%H%M%S")
        return _in_utc(local.replace(tzinfo=timezone(-offset if sign == "-" else offset)))[: len(digits)]
    except (ValueError, OverflowError):
        return ""


def _in_utc(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y%m%d%H%M%S")


def replaced_by_header(root: etree._Element) -> Iterator[str]:
    """The uniqueIds of the documents that this one replaces (relatedDocument RPLC)."""
    for related in root.iterfind("c:relatedDocument", _NS):
        if related.get("typeCode") == "RPLC":
            for element in related.iterfind("c:parentDocument/c:id", _NS):
                unique_id = _document_id(element)
                if unique_id:
                    yield unique_id
