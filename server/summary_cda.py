"""A patient summary as CDA R2: a header from the On-Demand entry, and a section for each class of registered documents.

The same entry and the same documents give the same bytes, whenever and by whomever it is built: the document's id is derived from
what it says, its time is that of the youngest document in it (HL7 CDA R2, with the header constants of the CI-SIS).
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from lxml import etree

from metadata.cda import CI_SIS, CONFIDENTIALITY, HL7_FRANCE
from metadata.model import Code, DocumentEntry
from schemas.namespaces import HL7V3
from server.version import version

_SEX = "2.16.840.1.113883.5.1"
#: Confidentiality of a document that holds several: the highest of theirs.
_LEVELS = ("N", "R", "V")
_HEAD = ("Date", "Document", "Type", "Author", "Institution", "Identifier")
_NOTHING = Code("60591-5", "2.16.840.1.113883.6.1", "Patient summary document")


@dataclass(frozen=True, slots=True)
class Summary:
    """One summary: `unique_id` (an OID) of these bytes, `time` as DTM in UTC, `confidentiality` as a code of HL7."""

    unique_id: str
    time: str
    confidentiality: Code
    content: bytes


def build_summary(entry: DocumentEntry, documents: Sequence[DocumentEntry], repository: str, today: str) -> Summary:
    """The summary for `entry` of the registered `documents`. `repository` is the OID of the source; `today` (YYYYMMDD) dates a
    summary in which there is no document."""
    listed = sorted(documents, key=lambda d: (d.creationTime or "", d.entryUUID), reverse=True)
    time = (max((d.creationTime or "" for d in listed), default="") or today).ljust(14, "0")
    time = _padded(time)
    unique_id = _oid("\n".join([version(), entry.entryUUID, entry.uniqueId or "", time, *map(_state, listed)]))
    level = max((c.code for d in listed for c in d.confidentialityCode if c.code in _LEVELS), key=_LEVELS.index, default="N")
    root = etree.Element(f"{{{HL7V3}}}ClinicalDocument", nsmap={None: HL7V3})  # type: ignore[dict-item]
    confidentiality = Code(level, CONFIDENTIALITY, {"N": "Normal", "R": "Restricted", "V": "Very restricted"}[level])
    root.extend(_header(entry, listed, repository, unique_id, time, confidentiality))
    sections = _sections(entry, listed, unique_id)
    root.append(_el("component", _el("structuredBody", *(_el("component", section) for section in sections))))
    etree.indent(root)
    content = etree.tostring(root, xml_declaration=True, encoding="UTF-8")
    return Summary(unique_id, time, confidentiality, content)


def _state(document: DocumentEntry) -> str:
    return "|".join((document.entryUUID, document.version or "1", document.hash or "", document.title or ""))


def _oid(text: str) -> str:
    """An OID under 2.25 that stands for a text: a version 8 UUID of its hash."""
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")
    number = number & ~(0xF << 76) | (8 << 76)
    number = number & ~(0x3 << 62) | (0x2 << 62)
    return f"2.25.{uuid.UUID(int=number).int}"


def _padded(digits: str) -> str:
    """14 digits that are a real time: a month or day that was not said is the first."""
    year, month, day = digits[:4], digits[4:6], digits[6:8]
    return year + (month if month != "00" else "01") + (day if day != "00" else "01") + digits[8:]


# ---------------------------------------------------------------------------------------------------------------- elements


def _el(name: str, *children: etree._Element | str | None, **attributes: str) -> etree._Element:
    element = etree.Element(f"{{{HL7V3}}}{name}", attributes)
    for child in children:
        if isinstance(child, str):
            element.text = child
        elif child is not None:
            element.append(child)
    return element


def _said(name: str, value: str, **attributes: str) -> etree._Element:
    """An element with text, or one that says that it is unknown."""
    return _el(name, value, **attributes) if value else _el(name, nullFlavor="UNK", **attributes)


def _code(name: str, code: Code | None) -> etree._Element:
    if code is None:
        return _el(name, nullFlavor="UNK")
    return _el(name, code=code.code, codeSystem=code.scheme.removeprefix("urn:oid:"), displayName=code.display or code.code)


def _stamp(time: str) -> str:
    return f"{_padded(time.ljust(14, '0'))}+0000"


def _id(cx: str) -> etree._Element:
    number, _, authority = cx.partition("^^^")
    return _el("id", root=authority.strip("&").partition("&")[0], extension=number)


def _interval(documents: Sequence[DocumentEntry], time: str) -> etree._Element:
    starts = [d.serviceStartTime or d.creationTime for d in documents if d.serviceStartTime or d.creationTime]
    low = _stamp(min((s for s in starts if s), default=time))
    return _el("effectiveTime", _el("low", value=min(low, _stamp(time))), _el("high", value=_stamp(time)))


def _organization(name: str, repository: str, practice: Code | None = None) -> etree._Element:
    element = _el(name, _el("id", root=repository), _el("name", "Carnet"))
    if practice is not None:
        element.append(_code("standardIndustryClassCode", practice))
    return element


def _header(
    entry: DocumentEntry, documents: Sequence[DocumentEntry], repository: str, unique_id: str, time: str, confidentiality: Code
) -> Iterable[etree._Element]:
    yield _el("realmCode", code="FR")
    yield _el("typeId", root="2.16.840.1.113883.1.3", extension="POCD_HD000040")
    yield _el("templateId", root=HL7_FRANCE)
    yield _el("templateId", root=CI_SIS)
    yield _el("id", root=unique_id)
    yield _code("code", entry.typeCode)
    yield _el("title", entry.title or (entry.typeCode.display if entry.typeCode else "") or "Patient summary")
    yield _el("effectiveTime", value=_stamp(time))
    yield _code("confidentialityCode", confidentiality)
    yield _el("languageCode", code=entry.languageCode or "fr-FR")
    yield _el("setId", root=_oid(f"set of {entry.uniqueId}"))
    yield _el("versionNumber", value="1")
    yield _el("recordTarget", _patient_role(entry, documents))
    device = _el("assignedAuthoringDevice", _el("softwareName", f"Carnet {version()}"))
    yield _el("author", _el("time", value=_stamp(time)), _el("assignedAuthor", _el("id", root=repository), device))
    custodian = _organization("representedCustodianOrganization", repository)
    yield _el("custodian", _el("assignedCustodian", custodian))
    signer = _el("assignedEntity", _el("id", root=repository), _organization("representedOrganization", repository))
    yield _el("legalAuthenticator", _el("time", value=_stamp(time)), _el("signatureCode", code="S"), signer)
    practice = _organization("representedOrganization", repository, entry.practiceSettingCode)
    performer = _el("performer", _el("assignedEntity", _el("id", nullFlavor="UNK"), practice), typeCode="PRF")
    yield _el("documentationOf", _el("serviceEvent", _code("code", entry.typeCode), _interval(documents, time), performer))
    facility = _el("location", _el("healthCareFacility", _code("code", entry.healthcareFacilityTypeCode)))
    yield _el("componentOf", _el("encompassingEncounter", _interval(documents, time), facility))


def _patient_role(entry: DocumentEntry, documents: Sequence[DocumentEntry]) -> etree._Element:
    """The person, with the traits that the entry or else its documents tell; the others are said to be unknown."""
    traits: dict[str, str] = {}
    for one in (entry, *documents):
        for item in one.sourcePatientInfo:
            name, _, value = item.partition("|")
            traits.setdefault(name, value)
    family, given = (*traits.get("PID-5", "").split("~")[0].split("^"), "", "")[:2]
    sex = traits.get("PID-8", "")
    names = [_said("family", family, qualifier="BR"), _said("given", given), _said("given", given.split(" ")[0], qualifier="BR")]
    known = _code("administrativeGenderCode", Code(sex, _SEX)) if sex in ("F", "M") else _el(
        "administrativeGenderCode", nullFlavor="UNK"
    )  # fmt: skip
    birth = traits.get("PID-7", "")[:8]
    born = _el("birthTime", value=birth) if birth.isdigit() else _el("birthTime", nullFlavor="UNK")
    place = _el("birthplace", _el("place", _el("addr", _el("county", nullFlavor="UNK"))))
    return _el("patientRole", _id(entry.patientId or ""), _el("patient", _el("name", *names), known, born, place))


# -------------------------------------------------------------------------------------------------------------------- body


def _sections(entry: DocumentEntry, documents: Sequence[DocumentEntry], unique_id: str) -> Iterator[etree._Element]:
    by_class: dict[Code, list[DocumentEntry]] = {}
    for document in documents:
        by_class.setdefault(document.classCode or _NOTHING, []).append(document)
    if not by_class:
        text = _el("text", _el("paragraph", "No document is registered."))
        yield _section(f"{unique_id}.1", entry.typeCode or _NOTHING, text)
    for number, (code, members) in enumerate(by_class.items(), 1):
        head = _el("thead", _el("tr", *(_el("th", word) for word in _HEAD)))
        body = _el("tbody")
        for line, document in enumerate(members, 1):
            body.append(_el("tr", *(_el("td", cell) for cell in _cells(document)), ID=f"d{number}-{line}"))
        yield _section(f"{unique_id}.{number}", code, _el("text", _el("table", head, body, border="1")))


def _section(id: str, code: Code, text: etree._Element) -> etree._Element:
    return _el("section", _el("id", root=id), _code("code", code), _el("title", code.display or code.code), text)


def _cells(document: DocumentEntry) -> Iterator[str]:
    yield _date(document.creationTime or "")
    yield document.title or ""
    yield (document.typeCode.display or document.typeCode.code) if document.typeCode else ""
    yield ", ".join(_person(person) for author in document.author for person in author.authorPerson)
    yield ", ".join(institution.partition("^")[0] for author in document.author for institution in author.authorInstitution)
    yield document.uniqueId or ""


def _person(xcn: str) -> str:
    _, family, given, *_rest = (*xcn.split("^"), "", "")
    return " ".join(filter(None, (given, family))) or xcn.partition("^")[0]


def _date(time: str) -> str:
    if len(time) < 8:
        return time
    return datetime.strptime(time[:8], "%Y%m%d").replace(tzinfo=UTC).date().isoformat()
