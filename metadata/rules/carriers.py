"""What carries the metadata: ids, slots, Classifications and ExternalIdentifiers of any object (ITI TF-3: 4.2.3.1).

One walk over an object judges all of these rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from metadata.attributes import ATTRIBUTES, IDENTIFIER_NAMES, Carrier, keyed
from metadata.datatypes import DataType
from metadata.model import Association, Classification, DocumentEntry, Entity, ExternalIdentifier, Folder, Slot, SubmissionSet
from metadata.rules.declare import SUBMISSIONS, UPDATES, Family
from metadata.rules.rule import Context, Fault, Rule
from metadata.schemes import FOLDER_NODE, SUBMISSION_SET_NODE
from metadata.vocabulary import ObjectKind, Severity

# ITI TF-3: 4.2.3.1.5: RFC 4122, lower case only.
UUID_URN = re.compile(r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
# RFC 8141: urn:<NID>:<NSS>; the NSS is not looked into.
_URN = re.compile(r"[uU][rR][nN]:[A-Za-z0-9][A-Za-z0-9-]{0,31}:\S+")
# rim:LongName and rim:FreeFormText of the ebRIM 3.0 schema.
_LONG_NAME = 256
_FREE_FORM_TEXT = 1024

_SLOT_NAMES = {kind: frozenset(keyed(kind, Carrier.SLOT)) for kind in ObjectKind}
_SCHEMES = {kind: keyed(kind, Carrier.CLASSIFICATION) for kind in ObjectKind}
_IDENTIFIERS = {kind: keyed(kind, Carrier.EXTERNAL_IDENTIFIER) for kind in ObjectKind}
_NODES = {kind: frozenset(keyed(kind, Carrier.CLASSIFICATION_NODE)) for kind in ObjectKind}
_NODES[ObjectKind.SUBMISSION_SET] |= {SUBMISSION_SET_NODE, FOLDER_NODE}  # two markers on one package: SUB-004
_NODES[ObjectKind.FOLDER] |= {SUBMISSION_SET_NODE, FOLDER_NODE}
#: The markers that each kind of object may carry.
NODES = _NODES
_KNOWN = {a.key: a for a in ATTRIBUTES if a.carrier in (Carrier.CLASSIFICATION, Carrier.EXTERNAL_IDENTIFIER)}

FAMILY = Family(SubmissionSet, DocumentEntry, Folder, Association)

ID_MISSING = FAMILY.row(
    "OBJ-001",
    "ITI TF-3: 4.2.3.1.5",
    "Every object has an id: a UUID in URN form or a symbolic name.",
    remedy="Set @id, for example to a name that is used once in the message.",
)
ID_FORM = FAMILY.row(
    "OBJ-002",
    "ITI TF-3: 4.2.3.1.5",
    "An id that starts with urn:uuid: is a well-formed UUID in lower case.",
    remedy="Write urn:uuid: and 8-4-4-4-12 lower-case hexadecimal digits, or a symbolic name without that prefix.",
)
LID_FORM = FAMILY.row(
    "OBJ-003",
    "ITI TF-3: 4.1.5, 4.2.3.2.31",
    "A logicalID (lid) is a UUID in URN form, never a symbolic name.",
    remedy="Leave @lid out: the registry sets it for a first version.",
)
LID_OTHER = FAMILY.row(
    "OBJ-004",
    "ITI TF-3: 4.1.5",
    "A submission brings first versions only: a logicalID (lid), when sent, equals the id.",
    transactions=SUBMISSIONS,
    remedy="Leave @lid out; a new version of a registered object is sent with ITI-57 (Update Document Set).",
)
SLOT_NAME = FAMILY.row("OBJ-005", "ITI TF-3: 4.2.3.1.6", "Every slot has a name.", remedy="Set Slot/@name.")
SLOT_TWICE = FAMILY.row(
    "OBJ-006",
    "ITI TF-3: 4.2.3.1.6",
    "No two slots of one object or of one Classification have the same name.",
    remedy="Put all values into the ValueList of one slot.",
)
SLOT_LENGTH = FAMILY.row(
    "OBJ-007",
    "ITI TF-3: 4.2.3.1.1",
    "A slot value has at most 256 characters.",
    remedy="Shorten the value; a list is spread over several Value elements.",
)
SLOT_EXTRA = FAMILY.row(
    "OBJ-008",
    "ITI TF-3: 4.2.3.1.6",
    "A slot that the standard does not define is named by a URN of its sender, not one that starts with urn:ihe:.",
    remedy="Correct the spelling if an IHE attribute is meant; name a slot of your own with a URN that you own, or leave it out.",
)
TEXT_LENGTH = FAMILY.row(
    "OBJ-009",
    "ITI TF-3: 4.2.3.1.1",
    "Comments and the display name of a code have at most 1024 characters.",
    remedy="Shorten the text: the ebRIM schema allows a LocalizedString 1024 characters.",
)
NAME_LENGTH = FAMILY.row(
    "OBJ-010",
    "ITI TF-3: 4.2.3.1.1",
    "A code (nodeRepresentation) and a patientId have at most 256 characters.",
    remedy="Shorten the value: the ebRIM schema allows 256 characters.",
)
CLASSIFIED_OBJECT = FAMILY.row(
    "OBJ-011",
    "ITI TF-3: 4.2.3.1.2",
    "The classifiedObject of a nested Classification is the id of the object that encloses it.",
    remedy="Set classifiedObject to the id of the enclosing object.",
)
CLASSIFICATION_FORM = FAMILY.row(
    "OBJ-012",
    "ITI TF-3: 4.2.3.1.2",
    "A Classification has a classificationScheme (a coded value or an author) or a classificationNode (a marker).",
    remedy="Set classificationScheme to the UUID of the attribute, or leave the Classification out.",
)
SCHEME_ELSEWHERE = FAMILY.row(
    "OBJ-013",
    "ITI TF-3: 4.2.5",
    "The scheme of a Classification or ExternalIdentifier belongs to the kind of object that carries it.",
)
SCHEME_UNKNOWN = FAMILY.row(
    "OBJ-014",
    "ITI TF-3: 4.2.5",
    "The scheme of a Classification or ExternalIdentifier is one that the standard defines.",
    severity=Severity.WARNING,
    remedy="Check the UUID digit by digit if an IHE attribute is meant; otherwise leave the element out.",
)
NODE_UNKNOWN = FAMILY.row(
    "OBJ-015",
    "ITI TF-3: 4.2.1.2.1, 4.2.1.3.1, 4.2.3.2.29",
    "A classificationNode is a marker that the standard defines for this kind of object.",
    remedy="Check the UUID digit by digit; only the SubmissionSet, Folder and limitedMetadata markers exist.",
)
CODE_VALUE = FAMILY.row(
    "OBJ-016",
    "ITI TF-3: 4.2.3.1.2",
    "A coded value has its code in nodeRepresentation.",
    remedy="Put the code itself, not its display name, into nodeRepresentation.",
)
CODE_SCHEME = FAMILY.row(
    "OBJ-017",
    "ITI TF-3: 4.2.3.1.2",
    "A coded value has a slot codingScheme with exactly one value.",
    remedy="Nest a Slot named codingScheme that holds the OID of the code system.",
)
CODE_DISPLAY = FAMILY.row(
    "OBJ-018",
    "ITI TF-3: 4.2.3.1.2",
    "A coded value has a display name.",
    remedy="Nest a Name with a LocalizedString whose value is the display name of the code.",
)
IDENTIFIED_OBJECT = FAMILY.row(
    "OBJ-019",
    "ITI TF-3: 4.2.3.1.3",
    "The registryObject of an ExternalIdentifier is the id of the object that encloses it.",
    remedy="Set registryObject to the id of the enclosing object.",
)
IDENTIFIER_VALUE = FAMILY.row(
    "OBJ-020", "ITI TF-3: 4.2.3.1.3", "An ExternalIdentifier has a value.", remedy="Set ExternalIdentifier/@value."
)
IDENTIFIER_NAME = FAMILY.row(
    "OBJ-021",
    "ITI TF-3: 4.2.3.1.3",
    "An ExternalIdentifier has the Name that the standard fixes for its scheme.",
    severity=Severity.WARNING,
)


@FAMILY.scan
def walk(context: Context, entity: Entity) -> Iterator[tuple[Rule, Fault]]:
    """Ids, slots, Classifications and ExternalIdentifiers of one object, in this order."""
    raw, kind = entity.raw, entity.kind
    yield from _ids(entity, updates=context.transaction in UPDATES)
    yield from _slots(raw.slots, "")
    known = _SLOT_NAMES[kind]
    for slot in raw.slots:
        name = slot.name
        if name and name not in known and (not _URN.fullmatch(name) or name[:8].lower() == "urn:ihe:"):
            problem = "is reserved for IHE and not defined" if name[:8].lower() == "urn:ihe:" else "is no attribute and no URN"
            yield SLOT_EXTRA, Fault(f"the slot name '{name}' {problem}", name, line=slot.line)
    for text in raw.description:
        if len(text.value) > _FREE_FORM_TEXT:
            yield TEXT_LENGTH, _too_long("the Description", "comments", text.value, _FREE_FORM_TEXT, raw.line)
    for classification in raw.classifications:
        yield from _classification(classification, raw.id, kind)
    for identifier in raw.externalIdentifiers:
        yield from _identifier(identifier, raw.id, kind)


def _ids(entity: Entity, *, updates: bool) -> Iterator[tuple[Rule, Fault]]:
    raw = entity.raw
    id, lid = raw.id, raw.lid
    if not id:
        yield ID_MISSING, Fault(f"the rim:{raw.element} has no id", "id", line=raw.line)
    elif id.startswith("urn:uuid:") and not UUID_URN.fullmatch(id):
        yield ID_FORM, Fault("the id is not a UUID in lower case", "id", id, line=raw.line)
    if lid is None:
        return
    if not UUID_URN.fullmatch(lid):
        yield LID_FORM, Fault("the lid is not a UUID in URN form", "logicalID", lid, line=raw.line)
    elif lid != id and not updates:
        yield LID_OTHER, Fault("the lid differs from the id", "logicalID", lid, line=raw.line)


def _slots(slots: tuple[Slot, ...], within: str) -> Iterator[tuple[Rule, Fault]]:
    """Slots of an object or, where `within` names its attribute, of a Classification."""
    if len({s.name for s in slots}) != len(slots):
        seen: set[str] = set()
        for slot in slots:
            if slot.name and slot.name in seen:
                yield SLOT_TWICE, Fault(f"the slot {slot.name} stands here twice", within or slot.name, line=slot.line)
            seen.add(slot.name)
    for slot in slots:
        if not slot.name:
            yield SLOT_NAME, Fault("a slot has no name", within, line=slot.line)
        for value in slot.values:
            if len(value) > _LONG_NAME:
                message = f"a value of the slot {slot.name} has {len(value)} characters, {_LONG_NAME} are allowed"
                yield SLOT_LENGTH, Fault(message, within or slot.name, value, line=slot.line)


def _too_long(what: str, attribute: str, value: str, allowed: int, line: int | None) -> Fault:
    return Fault(f"{what} has {len(value)} characters, {allowed} are allowed", attribute, value, line=line)


def _classification(item: Classification, enclosing: str, kind: ObjectKind) -> Iterator[tuple[Rule, Fault]]:
    row = _SCHEMES[kind].get(item.classificationScheme or "")
    name = row.name if row else ""
    if item.slots:
        yield from _slots(item.slots, name or item.classificationScheme or "Classification")
    if item.classifiedObject != enclosing:
        message = "the Classification names another object than the one that encloses it"
        yield CLASSIFIED_OBJECT, Fault(message, name or "classifiedObject", item.classifiedObject or "", line=item.line)
    if row is None:
        yield from _unusual(item, kind)
    elif row.type is DataType.CODE:
        if not item.nodeRepresentation or item.nodeRepresentation.isspace():
            yield CODE_VALUE, Fault("the coded value has no code", name, line=item.line)
        elif len(item.nodeRepresentation) > _LONG_NAME:
            yield NAME_LENGTH, _too_long("the nodeRepresentation", name, item.nodeRepresentation, _LONG_NAME, item.line)
        schemes = item.values("codingScheme")
        if len(schemes) != 1 or not schemes[0]:
            count = len([s for s in schemes if s])
            message = f"the coded value has {count or 'no'} codingScheme{'s' if count > 1 else ''}"
            yield CODE_SCHEME, Fault(message, name, item.nodeRepresentation or "", line=item.line)
        if not any(s.value and not s.value.isspace() for s in item.name):
            yield CODE_DISPLAY, Fault("the coded value has no display name", name, item.nodeRepresentation or "", line=item.line)
        for text in item.name:
            if len(text.value) > _FREE_FORM_TEXT:
                yield TEXT_LENGTH, _too_long("the display name", name, text.value, _FREE_FORM_TEXT, item.line)


def _unusual(item: Classification, kind: ObjectKind) -> Iterator[tuple[Rule, Fault]]:
    """A Classification that is no attribute of this kind of object: a marker, or something out of place."""
    scheme, node = item.classificationScheme, item.classificationNode
    if not scheme and not node:
        message = "the Classification has neither classificationScheme nor classificationNode"
        yield CLASSIFICATION_FORM, Fault(message, "Classification", item.nodeRepresentation or "", line=item.line)
    elif scheme:
        yield _foreign(scheme, "Classification", kind, item.line)
    elif node not in _NODES[kind]:
        message = f"the classificationNode is not defined for a {kind.value}"
        yield NODE_UNKNOWN, Fault(message, "classificationNode", node or "", line=item.line)


def _foreign(scheme: str, element: str, kind: ObjectKind, line: int | None) -> tuple[Rule, Fault]:
    meant = _KNOWN.get(scheme)
    if meant is None:
        message = f"the scheme of the {element} is not defined: the element has no meaning"
        return SCHEME_UNKNOWN, Fault(message, element, scheme, line=line)
    own = next((k for k, a in {**_SCHEMES[kind], **_IDENTIFIERS[kind]}.items() if a.name == meant.name), "")
    remedy = f"Use {own} for {meant.name} of a {kind.value}." if own else f"A {kind.value} has no {meant.name}: leave it out."
    message = f"the scheme of the {element} is that of {meant.name} of a {meant.kind.value}, not of a {kind.value}"
    return SCHEME_ELSEWHERE, Fault(message, meant.name, scheme, remedy, line=line)


def _identifier(item: ExternalIdentifier, enclosing: str, kind: ObjectKind) -> Iterator[tuple[Rule, Fault]]:
    scheme = item.identificationScheme or ""
    row = _IDENTIFIERS[kind].get(scheme)
    name = row.name if row else "ExternalIdentifier"
    if item.registryObject != enclosing:
        message = "the ExternalIdentifier names another object than the one that encloses it"
        yield IDENTIFIED_OBJECT, Fault(message, name, item.registryObject or "", line=item.line)
    if row is None:
        yield _foreign(scheme, "ExternalIdentifier", kind, item.line)
        return
    if not item.value:
        yield IDENTIFIER_VALUE, Fault("the ExternalIdentifier has no value", name, line=item.line)
    elif len(item.value) > _LONG_NAME and row.type is DataType.CX:  # the grammars of the other types know their length
        yield NAME_LENGTH, _too_long("the ExternalIdentifier", name, item.value, _LONG_NAME, item.line)
    fixed = IDENTIFIER_NAMES[scheme]
    if not item.name or item.name[0].value != fixed:
        sent = item.name[0].value if item.name else ""
        message = f"the Name of the ExternalIdentifier is not {fixed}"
        yield IDENTIFIER_NAME, Fault(message, name, sent, f"Nest a Name with the LocalizedString value {fixed}.", line=item.line)


RULES = tuple(FAMILY.rules)
FAMILIES = (FAMILY,)
