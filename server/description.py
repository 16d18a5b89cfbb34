"""What a Document Source says of a document, and the submission made of it (ITI TF-3: 4.2.1, 4.2.3).

A `Description` holds the DocumentEntry attributes that a source gives. `build_submission` turns descriptions into the raw
objects of ebRIM, driven by the attribute table: one SubmissionSet, one DocumentEntry each, and their Associations.
"""

from __future__ import annotations

import dataclasses
import secrets
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from metadata import schemes
from metadata.attributes import ATTRIBUTES, Attribute, Carrier
from metadata.ebrim import submission_of
from metadata.model import Author, Classification, Code, ExternalIdentifier, LocalizedString, RegistryObject, Slot, Submission
from metadata.vocabulary import AssociationType, ObjectKind

CONTENT_TYPE = Code("07", "1.2.250.1.213.2.2", "Consultation")


@dataclass(frozen=True, slots=True)
class Description:
    """Names and values are those of the DocumentEntry (ITI TF-3: 4.2.3.2); times are UTC as XDS writes them."""

    uniqueId: str
    patientId: str
    mimeType: str
    creationTime: str
    classCode: Code
    typeCode: Code
    formatCode: Code
    healthcareFacilityTypeCode: Code
    practiceSettingCode: Code
    confidentialityCode: tuple[Code, ...]
    languageCode: str
    sourcePatientId: str
    title: str = ""
    sourcePatientInfo: tuple[str, ...] = ()
    serviceStartTime: str = ""
    serviceStopTime: str = ""
    author: tuple[Author, ...] = ()
    legalAuthenticator: str | None = None
    eventCodeList: tuple[Code, ...] = ()
    comments: str = ""
    referenceIdList: tuple[str, ...] = ()


_CODES = frozenset({"classCode", "typeCode", "formatCode", "healthcareFacilityTypeCode", "practiceSettingCode"})
_CODE_LISTS = frozenset({"confidentialityCode", "eventCodeList"})


def to_json(description: Description) -> dict[str, Any]:
    """The attributes that have a value, as JSON holds them: codes and authors as objects, lists as lists."""
    values = {f.name: getattr(description, f.name) for f in dataclasses.fields(description)}
    return {name: _plain(value) for name, value in values.items() if value}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {name: _plain(item) for name, item in dataclasses.asdict(value).items() if item}
    return value


def attributes_from_json(data: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes that `to_json` wrote. Raises ValueError for a name that is no attribute and for a value of another shape."""
    known = {f.name for f in dataclasses.fields(Description)}
    attributes: dict[str, Any] = {}
    for name, value in data.items():
        if name not in known:
            raise ValueError(f"'{name}' is no attribute of a document; there are {', '.join(sorted(known))}")
        try:
            attributes[name] = _read(name, value)
        except (TypeError, KeyError) as error:
            raise ValueError(f"{name}: the value {value!r} has not the right shape ({error})") from None
    return attributes


def _read(name: str, value: Any) -> Any:
    if name in _CODES:
        return Code(value["code"], value["scheme"], value.get("display", ""))
    if name in _CODE_LISTS:
        return tuple(Code(item["code"], item["scheme"], item.get("display", "")) for item in value)
    if name == "author":
        return tuple(Author(**{field: tuple(values) for field, values in item.items()}) for item in value)
    if name in ("sourcePatientInfo", "referenceIdList"):
        if isinstance(value, str):
            raise TypeError("a list is expected")
        return tuple(map(str, value))
    if not isinstance(value, str):
        raise TypeError("text is expected")
    return value


@dataclass(frozen=True, slots=True)
class Replacement:
    """The entry that a description replaces: RPLC to this entryUUID (ITI TF-3: 4.2.2.2.3)."""

    entryUUID: str


def utc_time(moment: datetime) -> str:
    """DTM with seconds, in UTC (ITI TF-3: Table 4.2.3.1.7-2)."""
    return moment.astimezone(UTC).strftime("%Y%m%d%H%M%S")


def new_oid() -> str:
    """A unique OID of this moment, under 2.25 (a UUID as one arc)."""
    return f"2.25.{uuid.uuid4().int}"


def document_id(number: int) -> str:
    """The symbolic entryUUID of the document at `number` in a submission; also its Content-ID."""
    return f"Document{number + 1:02d}"


def build_submission(
    descriptions: Sequence[Description],
    *,
    source_id: str,
    replacements: Sequence[Replacement | None] = (),
    content_type: Code = CONTENT_TYPE,
    unique_id: str = "",
    submission_time: str = "",
    author: tuple[Author, ...] = (),
    signs: Sequence[tuple[str, str]] = (),
) -> Submission:
    """One SubmissionSet with these documents (ITI TF-3: 4.2.1.4). Document i carries the id `document_id(i)`.

    `author` of the set: that of the first document by default. `signs`: from the id of a signature to what it signs.
    """
    first = descriptions[0]
    objects = [
        _registry_object(
            ObjectKind.SUBMISSION_SET,
            "SubmissionSet01",
            {
                "uniqueId": unique_id or new_oid(),
                "sourceId": source_id,
                "patientId": first.patientId,
                "submissionTime": submission_time or utc_time(datetime.now(UTC)),
                "contentTypeCode": content_type,
                "author": author or first.author,
                "title": first.title,
            },
        )
    ]
    for number, description in enumerate(descriptions):
        values = {f.name: getattr(description, f.name) for f in dataclasses.fields(description)}
        objects.append(_registry_object(ObjectKind.DOCUMENT_ENTRY, document_id(number), values))
    for number in range(len(descriptions)):
        objects.append(_member(number))
    for number, replaced in enumerate(replacements):
        if replaced:
            objects.append(
                _association(f"Replacement{number + 1:02d}", AssociationType.RPLC, document_id(number), replaced.entryUUID)
            )
    for number, (signature, target) in enumerate(signs):
        objects.append(_association(f"Signs{number + 1:02d}", AssociationType.SIGNS, signature, target))
    return submission_of(objects)


def _registry_object(kind: ObjectKind, symbolic_id: str, values: dict[str, object]) -> RegistryObject:
    """The raw object of these attributes; empty ones are left out."""
    slots: list[Slot] = []
    classifications: list[Classification] = []
    identifiers: list[ExternalIdentifier] = []
    names: dict[Carrier, tuple[LocalizedString, ...]] = {}
    mime_type = None
    for row in ATTRIBUTES:
        value = values.get(row.name) if row.kind is kind else None
        if not value:
            continue
        items = value if isinstance(value, tuple) else (value,)
        if row.carrier is Carrier.SLOT:
            slots.append(Slot(row.key, tuple(map(str, items))))
        elif row.carrier is Carrier.CLASSIFICATION:
            classifications += [_classification(row, symbolic_id, item) for item in items]
        elif row.carrier is Carrier.EXTERNAL_IDENTIFIER:
            title = (LocalizedString(row.identifier_name),)
            identifiers.append(ExternalIdentifier(_new_id(), row.key, symbolic_id, str(value), title))
        elif row.carrier is Carrier.MIME_TYPE:
            mime_type = str(value)
        elif row.carrier in (Carrier.NAME, Carrier.DESCRIPTION):
            names[row.carrier] = (LocalizedString(str(value)),)
    if kind is ObjectKind.SUBMISSION_SET:
        classifications.append(Classification(_new_id(), None, schemes.SUBMISSION_SET_NODE, symbolic_id, None))
    is_entry = kind is ObjectKind.DOCUMENT_ENTRY
    return RegistryObject(
        element="ExtrinsicObject" if is_entry else "RegistryPackage",
        id=symbolic_id,
        objectType=schemes.STABLE if is_entry else None,
        mimeType=mime_type,
        name=names.get(Carrier.NAME, ()),
        description=names.get(Carrier.DESCRIPTION, ()),
        slots=tuple(slots),
        classifications=tuple(classifications),
        externalIdentifiers=tuple(identifiers),
    )


def _classification(row: Attribute, symbolic_id: str, value: object) -> Classification:
    if isinstance(value, Author):
        slots = tuple(Slot(f.name, getattr(value, f.name)) for f in dataclasses.fields(value) if getattr(value, f.name))
        return Classification(_new_id(), row.key, None, symbolic_id, "", (), slots)
    if not isinstance(value, Code):
        raise TypeError(f"{row.name} takes codes, not {value!r}")
    slots = (Slot("codingScheme", (value.scheme,)),)
    return Classification(_new_id(), row.key, None, symbolic_id, value.code, (LocalizedString(value.display),), slots)


def _member(number: int) -> RegistryObject:
    status = (Slot("SubmissionSetStatus", ("Original",)),)
    return _association(f"Member{number + 1:02d}", AssociationType.HAS_MEMBER, "SubmissionSet01", document_id(number), status)


def _association(name: str, kind: AssociationType, source: str, target: str, slots: tuple[Slot, ...] = ()) -> RegistryObject:
    return RegistryObject(
        element="Association", id=name, associationType=kind.urn, sourceObject=source, targetObject=target, slots=slots
    )


def _new_id() -> str:
    """Nested objects need some id of their own that is an XML ID; nobody refers to it."""
    return f"id{secrets.token_hex(8)}"
