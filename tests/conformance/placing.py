"""Puts the fragment of an explanation into a whole message, where a reader would put it.

The message is the right submission of the rule tests. Slots, Classifications, ExternalIdentifiers and Names go into the object
that the entry names (`on`, by default the document) in place of what stands there under the same name or scheme; an object whose
id is in the message gives it its attributes, another one is added. `absent` names what is taken away.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from lxml import etree

from conformance.explanations.catalogue import Explanation
from metadata.attributes import BY_NAME, Attribute, Carrier
from metadata.ebrim import parse_classification, parse_registry_object
from metadata.model import RegistryObject
from metadata.vocabulary import ObjectKind, Transaction
from schemas.namespaces import LCM, QUERY, RIM, XDS, XOP

# The messages of the rule tests know one another by their last names alone.
sys.path.append(str(Path(__file__).resolve().parents[1] / "metadata" / "rules"))

from french_cases import FrenchMessage
from rules_message import Message, document_entry, folder
from update_cases import base as update

_BY_CODE = {t.code: t for t in Transaction}
_OBJECT_ATTRIBUTES = ("id", "lid", "home", "status", "objectType", "mimeType", "associationType", "sourceObject", "targetObject")


def fragment(text: str) -> etree._Element:
    """The parsed fragment, under one root that declares the prefixes."""
    for length in (257, 1025):
        text = text.replace(f"{{{length} characters}}", "x" * length)
    declarations = {"rim": RIM, "xds": XDS, "xop": XOP, "lcm": LCM, "query": QUERY}
    declared = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in declarations.items())
    return etree.fromstring(f"<fragment {declared}>{text}</fragment>")


def message_of(one: Explanation) -> Message:
    """The message that an example bends."""
    place = one.place
    usual = {"cda": "ITI-41", "update": "ITI-57"}.get(place.get("base", ""), "ITI-42")
    transaction = _BY_CODE[place.get("transaction", usual)]
    if place.get("base") == "update":
        return update(transaction)
    message = FrenchMessage(transaction) if place.get("base") in ("french", "cda") else \
        Message(transaction, full=place.get("base") == "full" or place.get("on") == "folder")  # fmt: skip
    message.options |= frozenset(place.get("options", ()))
    return message


def placed(one: Explanation, text: str, take_away: bool) -> Message:
    """The message with the fragment in it."""
    message = message_of(one)
    root = fragment(text)
    on = one.place.get("on", "doc")
    for name in one.place.get("absent", ()) if take_away else ():
        _take_away(message, name)
    _put(message, root, on, one.place.get("state", ""))
    return message


def _put(message: Message, parent: etree._Element, on: str, state: str) -> None:
    slots, schemes = set(), set()
    for child in parent:
        if not isinstance(child.tag, str) or etree.QName(child).namespace != RIM:
            continue
        name = etree.QName(child).localname
        if on == "request":
            message.request_slots += _raw(child, "RegistryPackage").slots
        elif name in ("ExtrinsicObject", "RegistryPackage", "Association", "Service"):
            _put_object(message, child, state)
        elif name == "Classification" and "loose" in (state, child.get("id")):
            message.loose.append(parse_classification(child))
        else:
            _put_part(message, child, on, slots, schemes)


def _put_part(message: Message, child: etree._Element, on: str, slots: set[str], schemes: set[str]) -> None:
    raw = message.objects[on]
    sent = _raw(child, raw.element)
    for slot in sent.slots:
        kept = raw.slots if slot.name in slots else tuple(s for s in raw.slots if s.name != slot.name)
        slots.add(slot.name)
        raw = replace(raw, slots=(*kept, slot))
    for item in sent.classifications:
        key = item.classificationScheme or item.classificationNode or ""
        same = (c for c in raw.classifications if key not in (c.classificationScheme, c.classificationNode) or key in schemes)
        raw = replace(raw, classifications=(*same, item))
        schemes.add(key)
    for identifier in sent.externalIdentifiers:
        key = identifier.identificationScheme or ""
        others = (i for i in raw.externalIdentifiers if i.identificationScheme != key or key in schemes)
        raw = replace(raw, externalIdentifiers=(*others, identifier))
        schemes.add(key)
    if sent.name:
        raw = replace(raw, name=sent.name)
    if sent.description:
        raw = replace(raw, description=sent.description)
    message.objects[on] = raw


def _put_object(message: Message, child: etree._Element, state: str) -> None:
    id = child.get("id", "")
    raw = parse_registry_object(child)
    if state == "again":
        message.again(raw)
    elif id not in message.objects or raw.element == "Association":
        message.add(_filled(raw))
    else:
        given = {name: child.get(name) for name in _OBJECT_ATTRIBUTES if child.get(name) is not None}
        message.objects[id] = replace(message.objects[id], **given)
        _put(message, child, id, "")


def _filled(raw: RegistryObject) -> RegistryObject:
    """A new document or Folder of an example has everything that the example is not about."""
    makers: dict[str, Callable[[str, str], RegistryObject]] = {"ExtrinsicObject": document_entry, "RegistryPackage": folder}
    whole = makers.get(raw.element)
    return whole(raw.id, "1.2.250.1.213.99") if whole else raw


def _raw(child: etree._Element, element: str) -> RegistryObject:
    holder = etree.Element(f"{{{RIM}}}{element}", id="holder")
    holder.append(etree.fromstring(etree.tostring(child, with_tail=False)))
    return parse_registry_object(holder)


def _take_away(message: Message, name: str) -> None:
    """`ss-doc` an object, `ss.urn:uuid:...` a Classification of it, `DocumentEntry.title` an attribute."""
    if name in message.objects:
        message.remove(name)
        return
    head, _, tail = name.partition(".")
    if tail.startswith("urn:"):
        message.classification(head, tail)
        return
    kind = ObjectKind(head)
    id = {"DocumentEntry": "doc", "SubmissionSet": "ss", "Folder": "folder"}[head]
    message.objects[id] = replace(message.objects[id], **dict(_without(message.objects[id], BY_NAME[kind, tail])))


def _without(raw: RegistryObject, attribute: Attribute) -> Iterator[tuple[str, Any]]:
    key = attribute.key
    if attribute.carrier is Carrier.SLOT:
        yield "slots", tuple(s for s in raw.slots if s.name != key)
    elif attribute.carrier is Carrier.CLASSIFICATION:
        yield "classifications", tuple(c for c in raw.classifications if c.classificationScheme != key)
    elif attribute.carrier is Carrier.EXTERNAL_IDENTIFIER:
        yield "externalIdentifiers", tuple(i for i in raw.externalIdentifiers if i.identificationScheme != key)
    elif attribute.carrier is Carrier.NAME:
        yield "name", ()
    else:
        yield {Carrier.MIME_TYPE: "mimeType", Carrier.HOME: "home", Carrier.LID: "lid"}[attribute.carrier], None
