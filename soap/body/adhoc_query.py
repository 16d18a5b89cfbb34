"""query:AdhocQueryRequest and query:AdhocQueryResponse (ITI TF-2: 3.18.4.1.2, 3.18.4.1.3)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from lxml import etree

from metadata.ebrim import parse_slot
from metadata.fragments import attribute_text
from metadata.model import Slot
from metadata.rules.rule import Finding
from metadata.vocabulary import ResponseStatus
from schemas.namespaces import QUERY, RIM, q
from soap.body.registry_response import build_error_list

_OPTION, _ADHOC_QUERY, _SLOT = q(QUERY, "ResponseOption"), q(RIM, "AdhocQuery"), q(RIM, "Slot")

LEAF_CLASS = "LeafClass"
OBJECT_REF = "ObjectRef"


@dataclass(frozen=True, slots=True)
class AdhocQueryRequest:
    """A stored query as sent. `id` is the query's UUID urn; `slots` keep order and repetitions (repeated means AND).

    `returnType` is empty when it was absent (the schema's default is one that IHE does not support).
    """

    id: str
    slots: tuple[Slot, ...] = ()
    returnType: str = ""
    returnComposedObjects: bool = False
    home: str = ""
    line: int | None = None


def parse_adhoc_query(element: etree._Element) -> AdhocQueryRequest:
    """Of a schema-valid query:AdhocQueryRequest. What is missing stays empty: the query table judges it."""
    option = query = None
    for child in element:
        tag = child.tag
        if tag == _OPTION and option is None:
            option = child
        elif tag == _ADHOC_QUERY and query is None:
            query = child
    return_type = option.get("returnType", "") if option is not None else ""
    composed = option is not None and option.get("returnComposedObjects", "false").strip() in ("true", "1")
    if query is None:
        return AdhocQueryRequest("", (), return_type, composed, "", cast(Any, element.sourceline))
    slots = tuple(parse_slot(child) for child in query if child.tag == _SLOT)
    return AdhocQueryRequest(
        query.get("id", ""), slots, return_type, composed, query.get("home", ""), cast(Any, query.sourceline)
    )


def build_adhoc_query(
    query_id: str, slots: Iterable[tuple[str, Sequence[str]]], return_type: str = LEAF_CLASS, home: str = ""
) -> bytes:
    """A finished query:AdhocQueryRequest; values are written as given (quotes and parentheses are the caller's)."""
    request = etree.Element(q(QUERY, "AdhocQueryRequest"), nsmap={"query": QUERY, "rim": RIM})
    etree.SubElement(request, _OPTION, returnComposedObjects="true", returnType=return_type)
    query = etree.SubElement(request, _ADHOC_QUERY, id=query_id)
    if home:
        query.set("home", home)
    for name, values in slots:
        slot = etree.SubElement(query, _SLOT, name=name)
        value_list = etree.SubElement(slot, q(RIM, "ValueList"))
        for value in values:
            etree.SubElement(value_list, q(RIM, "Value")).text = value
    return etree.tostring(request)


# Each prefix is declared where exclusive canonical form has it, so that finished objects in that form make an answer in it.
_HEAD = {
    status: f'<query:AdhocQueryResponse xmlns:query="{QUERY}" status="{status.value}">'.encode() for status in ResponseStatus
}
_OPEN = f'<rim:RegistryObjectList xmlns:rim="{RIM}">'.encode()
_CLOSE = b"</rim:RegistryObjectList></query:AdhocQueryResponse>"


def build_adhoc_query_response(
    status: ResponseStatus, objects: Sequence[bytes] = (), findings: Iterable[Finding] = (), explain_base: str = ""
) -> list[bytes]:
    """The finished query:AdhocQueryResponse in pieces, for `Answer.payload`.

    `objects` are finished ebRIM fragments (or `build_object_ref`), joined and not looked at: the prefix rim is declared around
    them. The object list is always written, since the schema demands it (ITI TF-3: 4.2.4). Without findings the answer is in
    exclusive canonical form when the objects are.
    """
    return [_HEAD[status] + build_error_list(findings, explain_base) + _OPEN, *objects, _CLOSE]


def build_object_ref(entry_uuid: str, home: str = "") -> bytes:
    """One rim:ObjectRef, in canonical form."""
    at_home = f' home="{attribute_text(home)}"' if home else ""
    return f'<rim:ObjectRef{at_home} id="{attribute_text(entry_uuid)}"></rim:ObjectRef>'.encode()
