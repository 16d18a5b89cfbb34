"""Our service descriptions and schemas as a server hands them out: `?wsdl` and `?xsd=rim.xsd`.

The files under `wsdl/` and `xsd/` refer to one another by relative location, so that a tool can load them from disk.
Served, every location is the absolute URL of the endpoint with `?xsd=` behind it, and `soap12:address` is the endpoint
itself.
Source: ITI TF-2: V.3.2.1.1 (names), WSDL 1.1 binding for SOAP 1.2.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from lxml import etree

from schemas.namespaces import WSDL, WSDL_SOAP12, XSD, q
from schemas.validate import XSD_FOLDER

__all__ = ["DMP_WSDL_NAMES", "SERVED_XSD", "WSDL_FOLDER", "WSDL_NAMES", "wsdl", "xsd"]

_ACTION = "{http://www.w3.org/2007/05/addressing/metadata}Action"
WSDL_FOLDER = Path(__file__).parent / "wsdl"

#: The actors that have a description.
WSDL_NAMES = ("DocumentRegistry", "DocumentRepository")
#: So have the services of the DMP.
DMP_WSDL_NAMES = ("GestionDossierPatientPartage", "Habilitations")
#: The schemas that are served; no other file name is ever opened for a request.
SERVED_XSD = (
    "xml.xsd", "rim.xsd", "rs.xsd", "lcm.xsd", "query.xsd", "xds.xsd", "rmd.xsd", "hl7v3.xsd", "gdp.xsd", "habilitations.xsd"
)  # fmt: skip


def wsdl(name: str, base_url: str, actions: Collection[str] | None = None) -> bytes:
    """The description `name` (of WSDL_NAMES or DMP_WSDL_NAMES) of the endpoint at `base_url`. Raises KeyError for another name.

    `base_url` is absolute and without a query: `https://xds.example.org/xds/registry`. With `actions` it holds the operations of
    these wsa:Actions only, so that nobody is offered what the endpoint does not serve.
    """
    if name not in WSDL_NAMES + DMP_WSDL_NAMES:
        raise KeyError(f"There is no WSDL {name!r}; there are {', '.join(WSDL_NAMES + DMP_WSDL_NAMES)}")
    root = _load(WSDL_FOLDER / f"{name}.wsdl")
    if actions is not None:
        _keep(root, actions)
    for address in root.iter(q(WSDL_SOAP12, "address")):
        address.set("location", base_url)
    return _located(root, base_url)


def xsd(name: str, base_url: str) -> bytes:
    """The schema `name` (one of SERVED_XSD) with its imports pointing back to `base_url`. Raises KeyError for another name."""
    if name not in SERVED_XSD:
        raise KeyError(f"There is no schema {name!r}; there are {', '.join(SERVED_XSD)}")
    return _located(_load(XSD_FOLDER / name), base_url)


def _keep(root: etree._Element, actions: Collection[str]) -> None:
    """Take out every operation, of the port type and of the binding, whose request has another action."""
    offered = {
        operation.get("name")
        for operation in root.iterfind(f"{q(WSDL, 'portType')}/{q(WSDL, 'operation')}")
        if any(message.get(_ACTION) in actions for message in operation.iterchildren(q(WSDL, "input")))
    }
    for parent in (*root.iterchildren(q(WSDL, "portType")), *root.iterchildren(q(WSDL, "binding"))):
        for operation in list(parent.iterchildren(q(WSDL, "operation"))):
            if operation.get("name") not in offered:
                parent.remove(operation)


def _load(path: Path) -> etree._Element:
    """One of our own files; comments stay behind."""
    return etree.parse(str(path), etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True)).getroot()


def _located(root: etree._Element, base_url: str) -> bytes:
    for reference in root.iter(q(XSD, "import")):
        name = PurePosixPath(reference.get("schemaLocation") or "").name
        reference.set("schemaLocation", f"{base_url}?xsd={quote(name)}")
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")
