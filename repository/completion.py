"""What the repository adds to a submission before it is registered (ITI TF-2: 3.41.4.1.3.2): hash, size, repositoryUniqueId.

Written into the message itself, before it is parsed: the message is what travels to a registry elsewhere, and a registry in
this process reads the same one.
"""

from __future__ import annotations

from collections.abc import Mapping

from lxml import etree

from schemas.namespaces import RIM, q
from soap.call import StagedPart

_ENTRY = q(RIM, "ExtrinsicObject")
_SLOT = q(RIM, "Slot")
_VALUE_LIST = q(RIM, "ValueList")
_VALUE = q(RIM, "Value")


def complete(request: etree._Element, documents: Mapping[str, StagedPart], repository_unique_id: str) -> None:
    """Complete every DocumentEntry of `request` (lcm:SubmitObjectsRequest) whose document came with it.

    hash and size are added where they are missing and left alone where they were sent; repositoryUniqueId becomes ours
    whatever was sent.
    """
    for entry in request.iter(_ENTRY):
        part = documents.get(entry.get("id", ""))
        if part is None:
            continue
        slots = {slot.get("name"): slot for slot in reversed(entry.findall(_SLOT))}
        if "hash" not in slots:
            _add_slot(entry, "hash", part.sha1)
        if "size" not in slots:
            _add_slot(entry, "size", str(part.size))
        if "repositoryUniqueId" in slots:
            _set_value(slots["repositoryUniqueId"], repository_unique_id)
        else:
            _add_slot(entry, "repositoryUniqueId", repository_unique_id)


def _add_slot(entry: etree._Element, name: str, value: str) -> None:
    """Slots stand before every other child of a RegistryObject (ebRIM 3.0: 2.5)."""
    slot = entry.makeelement(_SLOT, {"name": name}, nsmap={"rim": RIM})
    entry.insert(0, slot)
    _set_value(slot, value)


def _set_value(slot: etree._Element, value: str) -> None:
    for old in slot.findall(_VALUE_LIST):
        slot.remove(old)
    etree.SubElement(etree.SubElement(slot, _VALUE_LIST), _VALUE).text = value
