"""lcm:RemoveObjectsRequest (ITI-62) and rmd:RemoveDocumentsRequest (ITI-86) (IHE RMD: 3.62.4.1.2, 3.86.4.1.2)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lxml import etree

from schemas.namespaces import LCM, RIM, RMD, XDS, q
from soap.body.retrieve import DocumentRequest, parse_document_requests

_LIST, _REF = q(RIM, "ObjectRefList"), q(RIM, "ObjectRef")


@dataclass(frozen=True, slots=True)
class RemoveObjectsRequest:
    """The entryUUIDs to remove, in order, repetitions kept. `adhocQuery` and `deletionScope` tell that a part of ebRS was used
    which the transaction forbids."""

    ids: tuple[str, ...]
    adhocQuery: bool = False
    deletionScope: str = ""


def parse_remove_objects(element: etree._Element) -> RemoveObjectsRequest:
    """Of a schema-valid lcm:RemoveObjectsRequest."""
    ids = tuple(reference.get("id", "") for reference in element.iterfind(f"{_LIST}/{_REF}"))
    return RemoveObjectsRequest(ids, element.find(q(RIM, "AdhocQuery")) is not None, element.get("deletionScope", ""))


def build_remove_objects(ids: Iterable[str]) -> bytes:
    """A finished lcm:RemoveObjectsRequest."""
    root = etree.Element(q(LCM, "RemoveObjectsRequest"), nsmap={"lcm": LCM, "rim": RIM})
    references = etree.SubElement(root, _LIST)
    for entry_uuid in ids:
        etree.SubElement(references, _REF, id=entry_uuid)
    return etree.tostring(root)


def parse_remove_documents(element: etree._Element) -> tuple[DocumentRequest, ...]:
    """The documents that an rmd:RemoveDocumentsRequest names; ids as in ITI-43."""
    return parse_document_requests(element)


def build_remove_documents(documents: Iterable[tuple[str, str]]) -> bytes:
    """A finished rmd:RemoveDocumentsRequest of (repositoryUniqueId, documentUniqueId)."""
    root = etree.Element(q(RMD, "RemoveDocumentsRequest"), nsmap={"rmd": RMD, "xds": XDS})
    for repository, document in documents:
        item = etree.SubElement(root, q(XDS, "DocumentRequest"))
        etree.SubElement(item, q(XDS, "RepositoryUniqueId")).text = repository
        etree.SubElement(item, q(XDS, "DocumentUniqueId")).text = document
    return etree.tostring(root)
