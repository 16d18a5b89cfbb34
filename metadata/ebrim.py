"""ebRIM to model: one walk over the children, no XPath, lines kept (ITI TF-3: 4.2.1, 4.2.3.1).

Two steps. `parse_registry_object` mirrors one element in the raw layer, right or wrong; `document_entry` and its sisters
name the IHE attributes by the table in `metadata.attributes`. Neither judges: rules do. The other direction is in
`metadata.fragments`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from lxml import etree

from metadata import schemes
from metadata.attributes import Carrier, keyed
from metadata.model import (
    Association,
    Author,
    Classification,
    Code,
    DocumentEntry,
    Entity,
    ExternalIdentifier,
    Folder,
    LocalizedString,
    RegistryObject,
    Slot,
    Submission,
    SubmissionSet,
)
from metadata.vocabulary import ObjectKind
from schemas.namespaces import LCM, RIM, RS, XML, q

_SLOT = q(RIM, "Slot")
_VALUE_LIST = q(RIM, "ValueList")
_VALUE = q(RIM, "Value")
_NAME = q(RIM, "Name")
_DESCRIPTION = q(RIM, "Description")
_VERSION_INFO = q(RIM, "VersionInfo")
_LOCALIZED_STRING = q(RIM, "LocalizedString")
_CLASSIFICATION = q(RIM, "Classification")
_EXTERNAL_IDENTIFIER = q(RIM, "ExternalIdentifier")
_OBJECT_REF = q(RIM, "ObjectRef")
_REGISTRY_OBJECT_LIST = q(RIM, "RegistryObjectList")
_REQUEST_SLOT_LIST = q(RS, "RequestSlotList")
_LANG = q(XML, "lang")

SUBMIT_OBJECTS_REQUEST = q(LCM, "SubmitObjectsRequest")

_PACKAGE_KINDS = {
    schemes.SUBMISSION_SET_NODE: ObjectKind.SUBMISSION_SET,
    schemes.FOLDER_NODE: ObjectKind.FOLDER,
}

# ------------------------------------------------------------------------------------------------------------ raw layer


def parse_slot(element: etree._Element) -> Slot:
    """One rim:Slot, with the values of all its ValueLists."""
    values = []
    for value_list in element:
        if value_list.tag == _VALUE_LIST:
            for value in value_list:
                if value.tag == _VALUE:
                    # A comment splits the text: what stands after it counts as well.
                    values.append(str(value.xpath("string()")) if len(value) else value.text or "")
    line: Any = element.sourceline  # the stubs know no type for it
    return Slot(element.get("name", ""), tuple(values), line)


def _localized(element: etree._Element) -> tuple[LocalizedString, ...]:
    strings = []
    for child in element:
        if child.tag == _LOCALIZED_STRING:
            get = child.get
            strings.append(LocalizedString(get("value", ""), get(_LANG), get("charset")))
    return tuple(strings)


def parse_classification(element: etree._Element) -> Classification:
    """One rim:Classification, nested or standing beside the objects."""
    name: tuple[LocalizedString, ...] = ()
    slots = []
    for child in element:
        tag = child.tag
        if tag == _SLOT:
            slots.append(parse_slot(child))
        elif tag == _NAME:
            name = _localized(child)
    get = element.get
    line: Any = element.sourceline
    return Classification(
        get("id"),
        get("classificationScheme"),
        get("classificationNode"),
        get("classifiedObject"),
        get("nodeRepresentation"),
        name,
        tuple(slots),
        line,
    )


def _external_identifier(element: etree._Element) -> ExternalIdentifier:
    name: tuple[LocalizedString, ...] = ()
    for child in element:
        if child.tag == _NAME:
            name = _localized(child)
    get = element.get
    line: Any = element.sourceline
    return ExternalIdentifier(get("id"), get("identificationScheme"), get("registryObject"), get("value"), name, line)


def _local_name(tag: str) -> str:
    return tag.rpartition("}")[2]


def parse_registry_object(element: etree._Element) -> RegistryObject:
    """One child of rim:RegistryObjectList as sent. A missing @id is the empty string."""
    name: tuple[LocalizedString, ...] = ()
    description: tuple[LocalizedString, ...] = ()
    version = None
    slots = []
    classifications = []
    identifiers = []
    for child in element:
        tag = child.tag
        if tag == _SLOT:
            slots.append(parse_slot(child))
        elif tag == _CLASSIFICATION:
            classifications.append(parse_classification(child))
        elif tag == _EXTERNAL_IDENTIFIER:
            identifiers.append(_external_identifier(child))
        elif tag == _NAME:
            name = _localized(child)
        elif tag == _DESCRIPTION:
            description = _localized(child)
        elif tag == _VERSION_INFO:
            version = child.get("versionName")
    get = element.get
    line: Any = element.sourceline
    return RegistryObject(
        _local_name(element.tag),
        get("id", ""),
        get("lid"),
        get("home"),
        get("status"),
        get("objectType"),
        get("mimeType"),
        get("associationType"),
        get("sourceObject"),
        get("targetObject"),
        version,
        name,
        description,
        tuple(slots),
        tuple(classifications),
        tuple(identifiers),
        line,
    )


# ---------------------------------------------------------------------------------------------------------- typed layer


def code(classification: Classification) -> Code:
    """ITI TF-3: 4.2.3.1.2. Missing parts are empty strings."""
    scheme = next(iter(classification.values("codingScheme")), "")
    display = classification.name[0].value if classification.name else ""
    return Code(classification.nodeRepresentation or "", scheme, display)


def author(classification: Classification) -> Author:
    """ITI TF-3: 4.2.3.1.4."""
    values: dict[str, tuple[str, ...]] = {}
    for slot in classification.slots:
        if slot.name in _AUTHOR_FIELDS:
            values[slot.name] = values.get(slot.name, ()) + slot.values
    return Author(**values)


_AUTHOR_FIELDS = frozenset(Author.__dataclass_fields__)


class _Columns:
    """The table, seen by the typed builders: key of the carrier to field, for one kind of object."""

    def __init__(self, kind: ObjectKind) -> None:
        self.slots = {key: (a.name, a.many) for key, a in keyed(kind, Carrier.SLOT).items()}
        self.identifiers = {key: a.name for key, a in keyed(kind, Carrier.EXTERNAL_IDENTIFIER).items()}
        self.nodes = {key: a.name for key, a in keyed(kind, Carrier.CLASSIFICATION_NODE).items()}
        self.codes: dict[str, tuple[str, bool, Callable[[Classification], Code | Author]]] = {
            key: (a.name, a.many, author if a.name == "author" else code)
            for key, a in keyed(kind, Carrier.CLASSIFICATION).items()
        }


_COLUMNS = {kind: _Columns(kind) for kind in ObjectKind}


def _attributes(raw: RegistryObject, kind: ObjectKind, loose: Iterable[Classification] = ()) -> dict[str, Any]:
    """Fields that stand in slots, classifications and external identifiers. Sent twice: the first value counts."""
    columns = _COLUMNS[kind]
    found: dict[str, Any] = {}
    for slot in raw.slots:
        column = columns.slots.get(slot.name)
        if column is None or not slot.values:
            continue
        name, many = column
        if many:
            found[name] = found.get(name, ()) + slot.values
        elif name not in found:
            found[name] = slot.values[0]
    for classification in raw.classifications:
        coded = columns.codes.get(classification.classificationScheme or "")
        if coded is None:
            node = columns.nodes.get(classification.classificationNode or "")
            if node is not None:
                found[node] = True
            continue
        name, many, build = coded
        if many:
            found[name] = (*found.get(name, ()), build(classification))
        elif name not in found:
            found[name] = build(classification)
    for identifier in raw.externalIdentifiers:
        field = columns.identifiers.get(identifier.identificationScheme or "")
        if field is not None and field not in found and identifier.value is not None:
            found[field] = identifier.value
    for classification in loose:
        node = columns.nodes.get(classification.classificationNode or "")
        if node is not None and classification.classifiedObject == raw.id:
            found[node] = True
    return found


def _first(strings: tuple[LocalizedString, ...]) -> str | None:
    return strings[0].value if strings else None


def document_entry(raw: RegistryObject, loose: Iterable[Classification] = ()) -> DocumentEntry:
    """Name the attributes of a rim:ExtrinsicObject. `loose` are Classifications that stand beside it."""
    return DocumentEntry(
        raw=raw,
        entryUUID=raw.id,
        objectType=raw.objectType,
        availabilityStatus=raw.status,
        comments=_first(raw.description),
        homeCommunityId=raw.home,
        logicalID=raw.lid,
        mimeType=raw.mimeType,
        title=_first(raw.name),
        version=raw.versionName,
        **_attributes(raw, ObjectKind.DOCUMENT_ENTRY, loose),
    )


def submission_set(raw: RegistryObject, loose: Iterable[Classification] = ()) -> SubmissionSet:
    """Name the attributes of a rim:RegistryPackage marked as SubmissionSet."""
    return SubmissionSet(
        raw=raw,
        entryUUID=raw.id,
        availabilityStatus=raw.status,
        comments=_first(raw.description),
        homeCommunityId=raw.home,
        title=_first(raw.name),
        **_attributes(raw, ObjectKind.SUBMISSION_SET, loose),
    )


def folder(raw: RegistryObject, loose: Iterable[Classification] = ()) -> Folder:
    """Name the attributes of a rim:RegistryPackage marked as Folder."""
    return Folder(
        raw=raw,
        entryUUID=raw.id,
        availabilityStatus=raw.status,
        comments=_first(raw.description),
        homeCommunityId=raw.home,
        logicalID=raw.lid,
        title=_first(raw.name),
        version=raw.versionName,
        **_attributes(raw, ObjectKind.FOLDER, loose),
    )


def association(raw: RegistryObject) -> Association:
    """Name the attributes of a rim:Association."""
    return Association(
        raw=raw,
        entryUUID=raw.id,
        associationType=raw.associationType or "",
        sourceObject=raw.sourceObject or "",
        targetObject=raw.targetObject or "",
        availabilityStatus=raw.status,
        **_attributes(raw, ObjectKind.ASSOCIATION),
    )


def package_kind(raw: RegistryObject, loose: Iterable[Classification] = ()) -> ObjectKind | None:
    """SubmissionSet or Folder by the first marker Classification, nested or beside (ITI TF-3: 4.2.1.2.1, 4.2.1.3.1)."""
    for classification in raw.classifications:
        kind = _PACKAGE_KINDS.get(classification.classificationNode or "")
        if kind is not None:
            return kind
    for classification in loose:
        kind = _PACKAGE_KINDS.get(classification.classificationNode or "")
        if kind is not None and classification.classifiedObject == raw.id:
            return kind
    return None


def typed(raw: RegistryObject, loose: Iterable[Classification] = ()) -> Entity | None:
    """The typed object of one raw one; None for what IHE does not know (other elements, packages without marker)."""
    if raw.element == "ExtrinsicObject":
        return document_entry(raw, loose)
    if raw.element == "Association":
        return association(raw)
    if raw.element == "RegistryPackage":
        kind = package_kind(raw, loose)
        if kind is ObjectKind.SUBMISSION_SET:
            return submission_set(raw, loose)
        if kind is ObjectKind.FOLDER:
            return folder(raw, loose)
    return None


def submission_of(
    raws: Iterable[RegistryObject], loose: Iterable[Classification] = (), request_slots: Iterable[Slot] = ()
) -> Submission:
    """Sort raw objects into a Submission, in their order."""
    loose = tuple(loose)
    beside: dict[str, list[Classification]] = {}  # by the object they name: packages and Classifications may be many
    for classification in loose:
        beside.setdefault(classification.classifiedObject or "", []).append(classification)
    sets: list[SubmissionSet] = []
    entries: list[DocumentEntry] = []
    folders: list[Folder] = []
    associations: list[Association] = []
    others: list[RegistryObject] = []
    for raw in raws:
        entity = typed(raw, beside.get(raw.id, ()))
        if isinstance(entity, DocumentEntry):
            entries.append(entity)
        elif isinstance(entity, Association):
            associations.append(entity)
        elif isinstance(entity, SubmissionSet):
            sets.append(entity)
        elif isinstance(entity, Folder):
            folders.append(entity)
        else:
            others.append(raw)
    return Submission(
        tuple(sets), tuple(entries), tuple(folders), tuple(associations), tuple(others), loose, tuple(request_slots)
    )


# ------------------------------------------------------------------------------------------------------------- messages


def parse_submission(element: etree._Element) -> Submission:
    """lcm:SubmitObjectsRequest to Submission (ITI TF-3: 4.2.1.4). ObjectRefs are dropped, all else is kept."""
    raws: list[RegistryObject] = []
    loose: list[Classification] = []
    request_slots: list[Slot] = []
    for child in element:
        if child.tag == _REGISTRY_OBJECT_LIST:
            _collect(child, raws, loose)
        elif child.tag == _REQUEST_SLOT_LIST:
            request_slots.extend(parse_slot(slot) for slot in child if slot.tag == _SLOT)
    return submission_of(raws, loose, request_slots)


def parse_response_objects(registry_object_list: etree._Element) -> Submission:
    """The rim:RegistryObjectList of a query answer, in the shape of a Submission; ObjectRefs: `parse_object_refs`."""
    raws: list[RegistryObject] = []
    loose: list[Classification] = []
    _collect(registry_object_list, raws, loose)
    return submission_of(raws, loose)


def parse_object_refs(element: etree._Element) -> tuple[tuple[str, str | None], ...]:
    """(@id, @home) of each rim:ObjectRef child (answers with returnType ObjectRef, ITI-62 requests)."""
    return tuple((child.get("id", ""), child.get("home")) for child in element if child.tag == _OBJECT_REF)


def _collect(objects: etree._Element, raws: list[RegistryObject], loose: list[Classification]) -> None:
    for child in objects:
        tag = child.tag
        if not isinstance(tag, str) or tag == _OBJECT_REF:
            continue  # comments, processing instructions, references
        if tag == _CLASSIFICATION:
            loose.append(parse_classification(child))
            continue
        raw = parse_registry_object(child)
        raws.append(raw)
        if raw.element == "RegistryPackage":
            # ebRIM lets a package hold its members; IHE does not use it. Read them, so that nothing is lost in silence.
            nested = child.find(_REGISTRY_OBJECT_LIST)
            if nested is not None:
                _collect(nested, raws, loose)


def without_lines(raw: RegistryObject) -> RegistryObject:
    """The same object without line numbers: two objects said the same thing when these are equal."""
    return cast(RegistryObject, _without_lines(raw))


def _without_lines(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_without_lines(v) for v in value)
    fields: Mapping[str, Any] | None = getattr(value, "__dataclass_fields__", None)
    if fields is None:
        return value
    return type(value)(**{f: None if f == "line" else _without_lines(getattr(value, f)) for f in fields})
