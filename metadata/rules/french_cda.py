"""The header of a CDA document against the DocumentEntry that describes it (CI-SIS: Structuration minimale 1.16).

Judged by the repository, for documents that it holds in memory (setting `store.small_document`), where the affinity domain has
the option `CI_SIS`. What the header does not say is not judged, and elements beyond the model are no finding. People and
structures are compared by their ids: names are spelled in many ways.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from metadata.cda_header import (
    HeaderError,
    attributes_of,
    family_names_of,
    is_cda,
    name_key,
    open_header,
    patient_ids_of,
)
from metadata.hl7 import canonical_cx, unescape
from metadata.ins import AUTHORITIES
from metadata.model import Author, Code, DocumentEntry
from metadata.rules.declare import rule
from metadata.rules.domain import authority_of
from metadata.rules.french import TAGS
from metadata.rules.repository import DOCUMENTS
from metadata.rules.rule import Context, Fault, Rule
from metadata.vocabulary import Transaction

_SECTION = "CI-SIS: Structuration minimale 1.16"
_ITI_41 = frozenset({Transaction.ITI_41})
_BOTH = TAGS | DOCUMENTS
#: Media types of a CDA document; the second is that of one that brings its own presentation.
_TYPES = ("text/xml", "application/xslt+xml")
_HEADER = "CDA header"


def _read(content: bytes) -> dict[str, Any] | str:
    """What the header says, or why it cannot be read."""
    try:
        root, _ = open_header(io.BytesIO(content))
    except HeaderError as error:
        return str(error)
    return {**dict(attributes_of(root)), "patientIds": patient_ids_of(root), "familyNames": family_names_of(root)}


def _header(context: Context, entry: DocumentEntry) -> dict[str, Any] | str:
    received = (context.documents or {}).get(entry.entryUUID)
    if received is None or received.content is None or entry.mimeType not in _TYPES:
        return {}
    if _HEADER not in received.memo:
        received.memo[_HEADER] = _read(received.content) if is_cda(received.content) else {}
    header: dict[str, Any] | str = received.memo[_HEADER]
    return header


@rule("FR-100", _SECTION, DocumentEntry, transactions=_ITI_41, tags=_BOTH, remedy="Send the CDA document as it was made.")
def header_can_be_read(context: Context, entry: DocumentEntry) -> Iterator[Fault]:
    """A CDA document is well-formed as far as its body, without DOCTYPE."""
    header = _header(context, entry)
    if isinstance(header, str):
        yield Fault(header, "Document", line=entry.raw.line)


# --------------------------------------------------------------------------------------- what is compared, and in which form


def _same(value: Any) -> Iterable[str]:
    return (" ".join(value.split()),) if value else ()


def _codes(value: Code | tuple[Code, ...] | None) -> Iterable[str]:
    return [f"{one.code}^^{one.scheme}" for one in (value if isinstance(value, tuple) else (value,) if value else ())]


def _cx(value: str | None) -> Iterable[str]:
    return (canonical_cx(value),) if value else ()


def _persons(value: tuple[Author, ...]) -> Iterable[str]:
    return [_person(text) for author in value for text in author.authorPerson]


def _signer(value: str | None) -> Iterable[str]:
    return (_person(value),) if value else ()


def _person(xcn: str) -> str:
    components = [*xcn.split("^"), *[""] * 9]
    return f"{components[0]} of {_oid(components[8])}"


def _oid(authority: str) -> str:
    return authority.split("&")[1] if "&" in authority else ""


def _institutions(value: tuple[Author, ...]) -> Iterable[str]:
    found = []
    for text in (text for author in value for text in author.authorInstitution):
        components = [*text.split("^"), *[""] * 10]
        found.append(f"{components[9]} of {_oid(components[5])}")
    return [one for one in found if one != " of "]


def _specialties(value: tuple[Author, ...]) -> Iterable[str]:
    return [f"{t.partition('^')[0]} of {t.rpartition('^')[2]}" for author in value for t in author.authorSpecialty]


def _traits(value: tuple[str, ...]) -> Iterable[str]:
    """Birth date and sex."""
    return [text[:14] for text in value if text.startswith(("PID-7|", "PID-8|"))]


#: Rule, attribute, its place in the header, and the form in which both sides are compared.
_ROWS: tuple[tuple[str, str, str, str, Callable[[Any], Iterable[str]]], ...] = (
    ("FR-101", "uniqueId", "uniqueId", "id/@root", _same),
    ("FR-102", "typeCode", "typeCode", "code", _codes),
    ("FR-103", "title", "title", "title, cut at 128 characters", _same),
    ("FR-104", "creationTime", "creationTime", "effectiveTime in UTC", _same),
    ("FR-105", "confidentialityCode", "confidentialityCode", "confidentialityCode", _codes),
    ("FR-106", "languageCode", "languageCode", "languageCode", _same),
    ("FR-110", "authorPerson", "author", "author/assignedAuthor/id", _persons),
    ("FR-111", "authorInstitution", "author", "author/assignedAuthor/representedOrganization/id", _institutions),
    ("FR-112", "authorSpecialty", "author", "author/assignedAuthor/code", _specialties),
    ("FR-113", "legalAuthenticator", "legalAuthenticator", "legalAuthenticator/assignedEntity/id", _signer),
    ("FR-114", "eventCodeList", "eventCodeList", "documentationOf/serviceEvent/code", _codes),
    ("FR-115", "serviceStartTime", "serviceStartTime", "the main serviceEvent/effectiveTime/low in UTC", _same),
    ("FR-116", "serviceStopTime", "serviceStopTime", "the main serviceEvent/effectiveTime/high in UTC", _same),
    ("FR-117", "practiceSettingCode", "practiceSettingCode", "standardIndustryClassCode of the main act", _codes),
    ("FR-118", "healthcareFacilityTypeCode", "healthcareFacilityTypeCode", "healthCareFacility/code", _codes),
)


def _agreement(id: str, attribute: str, source: str, place: str, form: Callable[[Any], Iterable[str]]) -> Rule:
    def judge(context: Context, entry: DocumentEntry) -> Iterator[Fault]:
        header = _header(context, entry)
        said = list(form(header[source])) if isinstance(header, dict) and header.get(source) else []
        sent = list(form(getattr(entry, source) or ())) if said else []
        missing = [one for one in said if one not in sent]
        if missing:
            message = f"the CDA header says {', '.join(missing)} ({place})"
            yield Fault(message, attribute, ", ".join(sent), line=entry.raw.line)

    judge.__doc__ = f"The {attribute} of a CDA document is that of its header: {place}."
    remedy = "Take the attribute from the header of the document that is sent, or correct the document."
    return rule(id, _SECTION, DocumentEntry, transactions=_ITI_41, tags=_BOTH, remedy=remedy)(judge)


def _patient_ids(context: Context, entry: DocumentEntry) -> tuple[str, ...]:
    header = _header(context, entry)
    return tuple(canonical_cx(one) for one in header.get("patientIds", ())) if isinstance(header, dict) else ()


@rule("FR-107", _SECTION, DocumentEntry, transactions=_ITI_41, tags=_BOTH, remedy="Send the INS of the document's patient.")
def patient_is_that_of_the_header(context: Context, entry: DocumentEntry) -> Iterator[Fault]:
    """The patientId of a CDA document is an INS of its header: recordTarget/patientRole/id."""
    national = [id for id in _patient_ids(context, entry) if authority_of(id) in AUTHORITIES]
    if national and entry.patientId and canonical_cx(entry.patientId) not in national:
        message = f"the CDA header is about the patient {', '.join(national)}"
        yield Fault(message, "patientId", entry.patientId, line=entry.raw.line)


@rule("FR-108", _SECTION, DocumentEntry, transactions=_ITI_41, tags=_BOTH, remedy="Send one of the ids of the header.")
def source_patient_is_that_of_the_header(context: Context, entry: DocumentEntry) -> Iterator[Fault]:
    """The sourcePatientId of a CDA document is one of the ids of its header: recordTarget/patientRole/id."""
    ids = _patient_ids(context, entry)
    if ids and entry.sourcePatientId and canonical_cx(entry.sourcePatientId) not in ids:
        message = f"the CDA header has the ids {', '.join(ids)}"
        yield Fault(message, "sourcePatientId", entry.sourcePatientId, line=entry.raw.line)


@rule("FR-109", _SECTION, DocumentEntry, transactions=_ITI_41, tags=_BOTH, remedy="Take the traits from the header.")
def traits_are_those_of_the_header(context: Context, entry: DocumentEntry) -> Iterator[Fault]:
    """The sourcePatientInfo of a CDA document has birth date, sex and a family name of its header's patient."""
    header = _header(context, entry)
    if not isinstance(header, dict) or not entry.sourcePatientInfo:
        return
    said, sent = _traits(header.get("sourcePatientInfo") or ()), _traits(entry.sourcePatientInfo)
    for trait in said:
        if trait not in sent:
            message = f"the CDA header says {trait} (recordTarget/patientRole/patient)"
            yield Fault(message, "sourcePatientInfo", ", ".join(sent), line=entry.raw.line)
    names = header.get("familyNames") or frozenset()
    for field in entry.sourcePatientInfo:
        if names and field.startswith("PID-5|"):
            families = [unescape(name.partition("^")[0]) for name in field[6:].split("~")]
            if not any(name_key(family) in names for family in families):
                message = "the patient of the CDA header has another family name"
                yield Fault(message, "sourcePatientInfo", field, line=entry.raw.line)


RULES = (
    header_can_be_read,
    *(_agreement(*row) for row in _ROWS[:6]),
    patient_is_that_of_the_header,
    source_patient_is_that_of_the_header,
    traits_are_those_of_the_header,
    *(_agreement(*row) for row in _ROWS[6:]),
)
