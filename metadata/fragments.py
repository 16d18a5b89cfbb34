"""Model to ebRIM: the finished fragments a registry stores and returns, and whole requests (ITI TF-3: 4.2.1, 4.2.3.1).

A *fragment* is one registry object as bytes, complete and self-contained under the prefix `rim`, which the envelope
declares. It is built once, when the object is registered; a query joins fragments and builds nothing. What may change
afterwards stands where it can be exchanged without a parse: @status in the start tag, and the patient id is the one
byte `PATIENT_MARKER`, which the registry replaces when it answers, so that a merge of patients rewrites nothing.

Everything is written in exclusive canonical form from the start (Exclusive XML Canonicalization 1.0; Canonical XML 1.0: 2.3):
attributes by name, end tags always, its escapes and no others. So the digest of an answer that is signed is that of the joined
octets, and nothing is parsed for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from hashlib import sha1

from lxml import etree

from metadata import schemes
from metadata.attributes import IDENTIFIER_NAMES, PATIENT_ID_SCHEMES
from metadata.ebrim import parse_registry_object, typed
from metadata.model import (
    Association,
    Classification,
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
from schemas.namespaces import LCM, RIM, RS

#: Stands for the value of patientId in a stored fragment. It cannot occur in XML 1.0, so it cannot be mistaken.
PATIENT_MARKER = b"\x01"
_PATIENT = PATIENT_MARKER.decode()

# ----------------------------------------------------------------------------------------------------------- characters

_SPECIAL = re.compile("[&<>\"\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_IN_ATTRIBUTE = {
    "&": "&amp;",
    "<": "&lt;",
    '"': "&quot;",
    "\t": "&#x9;",
    "\n": "&#xA;",
    "\r": "&#xD;",
}
_IN_TEXT = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#xD;"}
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def attribute_text(value: str) -> str:
    """`value` as it stands between double quotes. Raises ValueError for characters that XML 1.0 cannot hold."""
    if not _SPECIAL.search(value):
        return value
    return _escaped(value, _IN_ATTRIBUTE)


def _element_text(value: str) -> str:
    if not _SPECIAL.search(value):
        return value
    return _escaped(value, _IN_TEXT)


def _escaped(value: str, references: Mapping[str, str]) -> str:
    illegal = _ILLEGAL.search(value)
    if illegal:
        raise ValueError(f"XML cannot hold the character U+{ord(illegal[0]):04X} at position {illegal.start() + 1}")
    return _SPECIAL.sub(lambda m: references.get(m[0], m[0]), value)


# ------------------------------------------------------------------------------------------------------ raw layer to XML


def _attribute(name: str, value: str | None) -> str:
    return "" if value is None else f' {name}="{attribute_text(value)}"'


def _slot(slot: Slot) -> str:
    values = "</rim:Value><rim:Value>".join([_element_text(v) for v in slot.values])
    inner = f"<rim:Value>{values}</rim:Value>" if slot.values else ""
    return f'<rim:Slot name="{attribute_text(slot.name)}"><rim:ValueList>{inner}</rim:ValueList></rim:Slot>'


def _international(element: str, strings: Sequence[LocalizedString]) -> str:
    if not strings:
        return ""
    inner = "".join(
        f"<rim:LocalizedString{_attribute('charset', s.charset)} value=\"{attribute_text(s.value)}\""
        f"{_attribute('xml:lang', s.lang)}></rim:LocalizedString>"
        for s in strings
    )
    return f"<rim:{element}>{inner}</rim:{element}>"


def _classification(c: Classification) -> str:
    inner = "".join(map(_slot, c.slots)) + _international("Name", c.name)
    return (
        f"<rim:Classification{_attribute('classificationNode', c.classificationNode)}"
        f"{_attribute('classificationScheme', c.classificationScheme)}"
        f"{_attribute('classifiedObject', c.classifiedObject)}{_attribute('id', c.id)}"
        f"{_attribute('nodeRepresentation', c.nodeRepresentation)}"
        f' objectType="{schemes.OBJECT_TYPE_CLASSIFICATION}">{inner}</rim:Classification>'
    )


def _external_identifier(e: ExternalIdentifier, patient_marker: bool) -> str:
    marked = patient_marker and e.identificationScheme in PATIENT_ID_SCHEMES
    value = f' value="{_PATIENT}"' if marked else _attribute("value", e.value)
    return (
        f"<rim:ExternalIdentifier{_attribute('id', e.id)}{_attribute('identificationScheme', e.identificationScheme)}"
        f' objectType="{schemes.OBJECT_TYPE_EXTERNAL_IDENTIFIER}"{_attribute("registryObject", e.registryObject)}{value}>'
        f"{_international('Name', e.name)}</rim:ExternalIdentifier>"
    )


def _version(name: str) -> str:
    return f'<rim:VersionInfo versionName="{attribute_text(name)}"></rim:VersionInfo>'


def _registry_object(raw: RegistryObject, patient_marker: bool = False) -> str:
    """Exactly what `raw` holds, in the order the schema wants."""
    return "".join(
        (
            f"<rim:{raw.element}",
            _attribute("associationType", raw.associationType),
            _attribute("home", raw.home),
            _attribute("id", raw.id),
            _attribute("lid", raw.lid),
            _attribute("mimeType", raw.mimeType),
            _attribute("objectType", raw.objectType),
            _attribute("sourceObject", raw.sourceObject),
            _attribute("status", raw.status),
            _attribute("targetObject", raw.targetObject),
            ">",
            *map(_slot, raw.slots),
            _international("Name", raw.name),
            _international("Description", raw.description),
            "" if raw.versionName is None else _version(raw.versionName),
            *map(_classification, raw.classifications),
            *(_external_identifier(e, patient_marker) for e in raw.externalIdentifiers),
            f"</rim:{raw.element}>",
        )
    )


# ----------------------------------------------------------------------------------------------------------- canonical

_MARKERS = {SubmissionSet: schemes.SUBMISSION_SET_NODE, Folder: schemes.FOLDER_NODE}
_LIMITED = {
    SubmissionSet: schemes.SS_LIMITED_METADATA,
    DocumentEntry: schemes.DE_LIMITED_METADATA,
    Folder: schemes.FOLDER_LIMITED_METADATA,
}
_OBJECT_TYPES = {
    "Association": schemes.OBJECT_TYPE_ASSOCIATION,
    "RegistryPackage": schemes.OBJECT_TYPE_REGISTRY_PACKAGE,
}


class _NestedIds:
    """Ids of nested objects, derived from the id of their owner: the same fragment comes out twice, and none is random."""

    def __init__(self, owner: str) -> None:
        digest = sha1(owner.encode(), usedforsecurity=False).hexdigest()
        self._prefix = f"urn:uuid:{digest[:8]}-{digest[8:12]}-5{digest[12:15]}-a{digest[15:18]}-{digest[18:26]}"
        self._count = 0

    def __call__(self, sent: str | None) -> str:
        """The id that was sent when it is a UUID, else the next derived one."""
        self._count += 1
        if sent is not None and sent.startswith("urn:uuid:"):
            return sent
        return f"{self._prefix}{self._count:04x}"


def with_slots(raw: RegistryObject, slots: Mapping[str, Sequence[str]]) -> RegistryObject:
    """`raw` with these slots set: one of the name is replaced in its place, others are appended; no values, no slot."""
    left = dict(slots)
    out: list[Slot] = []
    for slot in raw.slots:
        if slot.name not in slots:
            out.append(slot)
        elif left.get(slot.name):
            out.append(Slot(slot.name, tuple(left.pop(slot.name)), slot.line))
    out += [Slot(name, tuple(values)) for name, values in left.items() if values]
    return replace(raw, slots=tuple(out))


def canonical(
    entity: Entity,
    *,
    id: str | None = None,
    lid: str | None = None,
    status: str | None = None,
    version: int | str | None = None,
    home: str | None = None,
    source: str | None = None,
    target: str | None = None,
    slots: Mapping[str, Sequence[str]] | None = None,
) -> RegistryObject:
    """The raw object as a registry returns it (ITI TF-3: 4.2.1.2.1, 4.2.3.1.2, 4.2.3.1.3).

    `id` is the final entryUUID (default: the one sent), `lid` the logicalID (default: that id), `version` 1 by default.
    All that was sent is kept; nested objects get ids and point to the final id, the marker Classification is nested, each
    ExternalIdentifier has its fixed Name. `source` and `target` are the final ends of an Association; `slots` are set
    over those sent.
    """
    raw = entity.raw
    final = id or entity.entryUUID
    nested_id = _NestedIds(final)
    classifications = [  # spelled out: dataclasses.replace costs four times as much, on the way of every submission
        Classification(
            nested_id(c.id), c.classificationScheme, c.classificationNode, final, c.nodeRepresentation, c.name, c.slots, c.line
        )
        for c in raw.classifications
    ]
    present = {c.classificationNode for c in raw.classifications}
    nodes = [_MARKERS.get(type(entity))]
    if not isinstance(entity, Association) and entity.limitedMetadata:
        nodes.append(_LIMITED[type(entity)])
    classifications += [
        Classification(nested_id(None), None, node, final, None) for node in nodes if node and node not in present
    ]
    identifiers = [
        ExternalIdentifier(nested_id(e.id), e.identificationScheme, final, e.value, e.name or _identifier_name(e), e.line)
        for e in raw.externalIdentifiers
    ]
    result = replace(
        raw,
        id=final,
        lid=lid or final,
        status=status if status is not None else raw.status,
        home=home if home is not None else raw.home,
        objectType=_OBJECT_TYPES.get(raw.element, raw.objectType),
        versionName=str(version) if version is not None else "1",
        sourceObject=source if source is not None else raw.sourceObject,
        targetObject=target if target is not None else raw.targetObject,
        classifications=tuple(classifications),
        externalIdentifiers=tuple(identifiers),
    )
    return with_slots(result, slots) if slots else result


def _identifier_name(identifier: ExternalIdentifier) -> tuple[LocalizedString, ...]:
    name = IDENTIFIER_NAMES.get(identifier.identificationScheme or "")
    return (LocalizedString(name),) if name else ()


# ----------------------------------------------------------------------------------------------------------- fragments


def build_fragment(
    entity: Entity,
    *,
    id: str | None = None,
    lid: str | None = None,
    status: str | None = None,
    version: int | str | None = None,
    home: str | None = None,
    source: str | None = None,
    target: str | None = None,
    slots: Mapping[str, Sequence[str]] | None = None,
    patient_marker: bool = False,
) -> bytes:
    """The fragment of one object, UTF-8. Arguments as for `canonical`; with `patient_marker` the patient id is that byte."""
    raw = canonical(
        entity, id=id, lid=lid, status=status, version=version, home=home, source=source, target=target, slots=slots
    )
    return _registry_object(raw, patient_marker).encode()


def build_association(
    id: str,
    association_type: str,
    source: str,
    target: str,
    *,
    status: str,
    home: str | None = None,
    slots: Mapping[str, Sequence[str]] | None = None,
) -> bytes:
    """The fragment of an Association from its columns, for those the registry itself makes (`association_type` is the URN)."""
    inner = "".join(_slot(Slot(name, tuple(values))) for name, values in (slots or {}).items())
    return (
        f'<rim:Association associationType="{attribute_text(association_type)}"{_attribute("home", home)} id="{id}" lid="{id}"'
        f' objectType="{schemes.OBJECT_TYPE_ASSOCIATION}" sourceObject="{attribute_text(source)}" status="{status}"'
        f' targetObject="{attribute_text(target)}">{inner}{_version("1")}</rim:Association>'
    ).encode()


def build_object_ref(uuid: str, home: str | None = None) -> bytes:
    """rim:ObjectRef, for answers with returnType ObjectRef and for ITI-62 requests."""
    return f'<rim:ObjectRef{_attribute("home", home)} id="{attribute_text(uuid)}"></rim:ObjectRef>'.encode()


#: The start tag of a fragment, whichever order its attributes have: a value may hold `>`.
_START = re.compile(rb'^<rim:\w+(?: \w+="[^"]*")*>')
_STATUS = re.compile(rb'^(<rim:\w+(?: \w+="[^"]*")*? status=")[^"]*"')


def with_status(fragment: bytes, status: str) -> bytes:
    """The stored fragment with another availabilityStatus. Raises ValueError for a fragment without @status."""
    changed, count = _STATUS.subn(rb'\g<1>' + attribute_text(status).encode() + b'"', fragment, count=1)
    if not count:
        raise ValueError("the fragment does not begin with an element that has the attribute status")
    return changed


def with_slot_value(fragment: bytes, name: str, value: str) -> bytes:
    """The stored fragment with another value in one of the object's own slots (Folder.lastUpdateTime).

    The slot is added when there is none. Raises ValueError when the fragment is not one of ours.
    """
    slot = _slot(Slot(name, (value,))).encode()
    start = fragment.find(f'<rim:Slot name="{attribute_text(name)}">'.encode())
    own_end = fragment.find(b"<rim:Classification")  # slots of the object stand before its first nested object
    if start >= 0 and (own_end < 0 or start < own_end):
        end = fragment.index(b"</rim:Slot>", start) + len(b"</rim:Slot>")
        return fragment[:start] + slot + fragment[end:]
    tag = _START.match(fragment)
    if tag is None:
        raise ValueError("the fragment does not begin with the start tag of an object")
    return fragment[: tag.end()] + slot + fragment[tag.end() :]


def with_patient(fragment: bytes, patient_id: str) -> bytes:
    """The fragment as it leaves the registry: the marker replaced by the id under which the patient is known now."""
    return fragment.replace(PATIENT_MARKER, _patient_bytes(patient_id))


@lru_cache(maxsize=4096)
def _patient_bytes(patient_id: str) -> bytes:
    """Escaped once for the many fragments of one answer."""
    return attribute_text(patient_id).encode()


_PARSER = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)


def parse_fragment(fragment: bytes, patient_id: str = "") -> Entity:
    """A stored fragment back as a typed object (its own format, never a message from outside)."""
    document = b'<f xmlns:rim="%s">%s</f>' % (RIM.encode(), with_patient(fragment, patient_id))
    entity = typed(parse_registry_object(etree.fromstring(document, _PARSER)[0]))
    if entity is None:
        raise ValueError("the fragment is no object of the Document Sharing metadata")
    return entity


def is_canonical(fragment: bytes) -> bool:
    """Whether a fragment of any origin stands in the form that is written here; what is no XML does not."""
    octets = b'<rim:f xmlns:rim="%s">%s</rim:f>' % (RIM.encode(), with_patient(fragment, ""))
    try:
        element = etree.fromstring(octets, _PARSER)
    except etree.XMLSyntaxError:
        return False
    return etree.tostring(element, method="c14n", exclusive=True) == octets


# ------------------------------------------------------------------------------------------------------------ requests


def build_registry_object_list(submission: Submission) -> bytes:
    """rim:RegistryObjectList with every object as it stands in the model, loose Classifications last."""
    raws: Iterable[RegistryObject] = (*(e.raw for e in submission.entities()), *submission.others)
    body = "".join(map(_registry_object, raws)) + "".join(map(_classification, submission.looseClassifications))
    return f"<rim:RegistryObjectList>{body}</rim:RegistryObjectList>".encode()


def build_submit_objects_request(submission: Submission) -> bytes:
    """lcm:SubmitObjectsRequest, its prefixes declared, for clients and for a registry elsewhere (ITI TF-3: 4.2.1.4).

    The objects are written as their raw layer holds them: what was received is passed on, not improved.
    """
    slots = "".join(map(_slot, submission.requestSlots))
    request_slots = f"<rs:RequestSlotList>{slots}</rs:RequestSlotList>" if slots else ""
    return b"".join(
        (
            f'<lcm:SubmitObjectsRequest xmlns:lcm="{LCM}" xmlns:rim="{RIM}" xmlns:rs="{RS}">{request_slots}'.encode(),
            build_registry_object_list(submission),
            b"</lcm:SubmitObjectsRequest>",
        )
    )
