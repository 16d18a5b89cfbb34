"""How a case makes a message wrong: a small vocabulary of changes to the metadata, in place.

A change is `[object, place, values...]`. `object` is a name of the notation (`entry`, `set`, `set>entry`), `list` for the
RegistryObjectList or `request` for the whole message. Places:

    slot:NAME      the slot has these values, and without values is not there      +slot:NAME   one more slot
    code:ATTRIBUTE the coded values, code^display^codingScheme each                +code:ATTRIBUTE   one more
    author:SLOT    a slot of the author's Classification                           +author:SLOT
    id:ATTRIBUTE   the ExternalIdentifiers (patientId, uniqueId, sourceId)         +id:ATTRIBUTE
    @ATTRIBUTE     an XML attribute; without value it is not there
    Name, Description   the text; without value it is not there
    drop           the whole object goes
    xml            one more child element, as text
    xpath:EXPRESSION   the attributes or texts that it selects have this value; without value what it selects goes
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from lxml import etree

from conformance.submission import CODES, Thing, code_xml, identifier_xml
from metadata import schemes
from schemas.namespaces import LCM, RIM

_NS = {"rim": RIM, "lcm": LCM}
_ORDER = ("Slot", "Name", "Description", "VersionInfo", "Classification", "ExternalIdentifier")
_AUTHORS = (schemes.DE_AUTHOR, schemes.SS_AUTHOR)
#: (kind of object, attribute) to identificationScheme and Name.
IDENTIFIERS = {
    ("entry", "patientId"): (schemes.DE_PATIENT_ID, "XDSDocumentEntry.patientId"),
    ("entry", "uniqueId"): (schemes.DE_UNIQUE_ID, "XDSDocumentEntry.uniqueId"),
    ("set", "patientId"): (schemes.SS_PATIENT_ID, "XDSSubmissionSet.patientId"),
    ("set", "uniqueId"): (schemes.SS_UNIQUE_ID, "XDSSubmissionSet.uniqueId"),
    ("set", "sourceId"): (schemes.SS_SOURCE_ID, "XDSSubmissionSet.sourceId"),
    ("folder", "patientId"): (schemes.FOLDER_PATIENT_ID, "XDSFolder.patientId"),
    ("folder", "uniqueId"): (schemes.FOLDER_UNIQUE_ID, "XDSFolder.uniqueId"),
}


class ChangeError(ValueError):
    """A change that says nothing: the object or the place is not there."""


def changed(xml: str, changes: Sequence[Sequence[str]], things: Mapping[str, Thing]) -> bytes:
    """The message with all `changes`, serialised. Raises ChangeError."""
    root = etree.fromstring(xml.encode())
    found = {element.get("id", ""): element for element in root.iter(*(f"{{{RIM}}}{n}" for n in _OBJECTS))}
    for name, place, *values in changes:
        if name == "request":
            _apply(root, "", place, values)
        elif name == "list":
            _apply(root[0], "", place, values)
        elif name in things and things[name].id in found:
            _apply(found[things[name].id], things[name].kind, place, values)
        else:
            raise ChangeError(f"{[name, place, *values]}: the message has no object {name}; it has {', '.join(things)}")
    return etree.tostring(root)


_OBJECTS = ("ExtrinsicObject", "RegistryPackage", "Association")


def _apply(element: etree._Element, kind: str, place: str, values: list[str]) -> None:
    word, _, argument = place.partition(":")
    more, word = word.startswith("+"), word.removeprefix("+")
    if place.startswith("@"):
        _attribute(element, place[1:], values)
    elif word in ("Name", "Description"):
        text = "".join(f'<rim:LocalizedString value="{_escape(value)}"/>' for value in values)
        _replace(element, element.findall(f"rim:{word}", _NS), [f"<rim:{word}>{text}</rim:{word}>"] if values else [])
    elif word == "drop":
        _remove([element])
    elif word == "xml":
        _replace(element, [], values)
    elif word == "xpath":
        _select(element, argument, values)
    elif word in _PLACES:
        old, new = _PLACES[word](element, kind, argument, values)
        _replace(element if word != "author" else _author(element), [] if more else old, new)
    else:
        raise ChangeError(f"{place}: no such place")


def _attribute(element: etree._Element, name: str, values: list[str]) -> None:
    if values:
        element.set(name, values[0])
    elif name in element.attrib:
        del element.attrib[name]
    else:
        raise ChangeError(f"@{name} is not there")


def _slots(element: etree._Element, kind: str, name: str, values: list[str]) -> tuple[list[etree._Element], list[str]]:
    inner = "".join(f"<rim:Value>{_escape(value)}</rim:Value>" for value in values)
    new = [f'<rim:Slot name="{_escape(name)}"><rim:ValueList>{inner}</rim:ValueList></rim:Slot>'] if values else []
    return [slot for slot in element.findall("rim:Slot", _NS) if slot.get("name") == name], new


def _codes(element: etree._Element, kind: str, name: str, values: list[str]) -> tuple[list[etree._Element], list[str]]:
    scheme, parent = CODES[name], element.get("id", "")
    old = [c for c in element.findall("rim:Classification", _NS) if c.get("classificationScheme") == scheme]
    return old, [code_xml(f"{name}-{n}-{parent[-8:]}", parent, scheme, value) for n, value in enumerate(values)]


def _identifiers(element: etree._Element, kind: str, name: str, values: list[str]) -> tuple[list[etree._Element], list[str]]:
    scheme, title = IDENTIFIERS["entry" if kind == "demand" else kind, name]
    parent = element.get("id", "")
    old = [e for e in element.findall("rim:ExternalIdentifier", _NS) if e.get("identificationScheme") == scheme]
    return old, [identifier_xml(f"{name}-{n}-{parent[-8:]}", parent, scheme, value, title) for n, value in enumerate(values)]


def _author_slots(element: etree._Element, kind: str, name: str, values: list[str]) -> tuple[list[etree._Element], list[str]]:
    return _slots(_author(element), kind, name, values)


def _author(element: etree._Element) -> etree._Element:
    for classification in element.findall("rim:Classification", _NS):
        if classification.get("classificationScheme") in _AUTHORS:
            return classification
    raise ChangeError("the object has no author")


_Place = Callable[[etree._Element, str, str, list[str]], tuple[list[etree._Element], list[str]]]
_PLACES: dict[str, _Place] = {"slot": _slots, "code": _codes, "id": _identifiers, "author": _author_slots}


def _replace(element: etree._Element, old: list[etree._Element], new: list[str]) -> None:
    """New children where the schema wants them."""
    _remove(old)
    for text in new:
        child = etree.fromstring(f'<x xmlns:rim="{RIM}">{text}</x>')[0]
        rank = _rank(child)
        after = [n for n, other in enumerate(element) if _rank(other) <= rank]
        element.insert(after[-1] + 1 if after else 0, child)


def _rank(element: etree._Element) -> int:
    name = etree.QName(element).localname
    if name == "RequestSlotList":
        return -1
    return _ORDER.index(name) if name in _ORDER else len(_ORDER)


def _select(element: etree._Element, expression: str, values: list[str]) -> None:
    found = element.xpath(expression, namespaces=_NS)
    nodes = found if isinstance(found, list) else []
    if not nodes:
        raise ChangeError(f"xpath:{expression} selects nothing")
    for node in nodes:
        parent, attribute = node.getparent(), getattr(node, "attrname", None)  # type: ignore[union-attr]  # nodes and strings
        if attribute is not None and parent is not None:
            parent.attrib.pop(attribute)
            if values:
                parent.set(attribute, values[0])
        elif isinstance(node, etree._Element) and values:
            node.text = values[0]
        elif isinstance(node, etree._Element):
            _remove([node])


def _remove(elements: Sequence[etree._Element]) -> None:
    for element in elements:
        parent = element.getparent()
        if parent is not None:
            parent.remove(element)


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
