"""The service descriptions as served: IHE's names, the actions of the transactions, and references that lead somewhere."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from lxml import etree

from metadata.vocabulary import Transaction
from schemas.namespaces import WSDL, WSDL_SOAP12, XDS, XSD, q
from schemas.validate import XSD_FOLDER
from schemas.wsdl import SERVED_XSD, WSDL_NAMES, wsdl, xsd

URL = "https://xds.example.org:8443/xds/registry"
WSAM_ACTION = "{http://www.w3.org/2007/05/addressing/metadata}Action"


def described(name: str) -> etree._Element:
    return etree.fromstring(wsdl(name, URL))


@pytest.mark.parametrize("name", WSDL_NAMES)
def test_names(name: str) -> None:
    """ITI TF-2: V.3.2.1.1."""
    root = described(name)
    assert (root.get("name"), root.get("targetNamespace")) == (name, XDS)
    suffixes = {"portType": "PortType", "binding": "Binding_Soap12", "port": "Port_Soap12"}
    for element, expected in ((element, f"{name}_{suffix}") for element, suffix in suffixes.items()):
        assert [e.get("name") for e in root.iter(q(WSDL, element))] == [expected]
    operations = [o.get("name") or "" for o in root.iterfind(f"{q(WSDL, 'portType')}/{q(WSDL, 'operation')}")]
    assert operations and all(o.startswith(f"{name}_") for o in operations)
    messages = {m.get("name") for m in root.iterchildren(q(WSDL, "message"))}
    transactions = [o.removeprefix(f"{name}_") for o in operations]
    assert messages == {f"{t}_Message" for t in transactions} | {f"{t}Response_Message" for t in transactions}


@pytest.mark.parametrize("name", WSDL_NAMES)
def test_actions_are_those_of_the_transactions(name: str) -> None:
    root = described(name)
    found = {}
    for operation in root.iterfind(f"{q(WSDL, 'portType')}/{q(WSDL, 'operation')}"):
        sent, answered = operation.find(q(WSDL, "input")), operation.find(q(WSDL, "output"))
        assert sent is not None and answered is not None
        found[operation.findtext(q(WSDL, "documentation"))] = (sent.get(WSAM_ACTION), answered.get(WSAM_ACTION))
    by_code = {t.code: (t.action, t.response_action) for t in Transaction}
    assert found == {code: by_code[code or ""] for code in found}
    assert {"DocumentRegistry": {"ITI-18", "ITI-42"}, "DocumentRepository": {"ITI-41", "ITI-43"}}[name] <= set(found)
    bound = [o.get("soapAction") for o in root.iter(q(WSDL_SOAP12, "operation"))]
    assert bound == [action for action, _ in found.values()]
    assert {o.get("soapActionRequired") for o in root.iter(q(WSDL_SOAP12, "operation"))} == {"false"}


@pytest.mark.parametrize("name", WSDL_NAMES)
def test_every_reference_is_served_and_compiles(name: str) -> None:
    """All schemas reached from the description, fetched as a client would: by the URLs that stand in them."""
    root = described(name)
    assert [a.get("location") for a in root.iter(q(WSDL_SOAP12, "address"))] == [URL]
    waiting, seen = [root], set()
    while waiting:
        for reference in waiting.pop().iter(q(XSD, "import")):
            location = reference.get("schemaLocation") or ""
            assert location.startswith(f"{URL}?xsd=")
            file = parse_qs(urlsplit(location).query)["xsd"][0]
            if file not in seen:
                seen.add(file)
                served = etree.fromstring(xsd(file, URL))
                assert served.get("targetNamespace") == reference.get("namespace")
                waiting.append(served)
    assert seen <= set(SERVED_XSD) and {"rim.xsd", "rs.xsd", "xml.xsd"} <= seen


def test_every_element_that_a_message_names_is_declared() -> None:
    declared = set()
    for path in XSD_FOLDER.glob("*.xsd"):
        schema = etree.parse(str(path)).getroot()
        declared |= {q(schema.get("targetNamespace") or "", e.get("name") or "") for e in schema.iterchildren(q(XSD, "element"))}
    for name in WSDL_NAMES:
        for part in described(name).iter(q(WSDL, "part")):
            prefix, _, local = (part.get("element") or "").partition(":")
            assert q(part.nsmap[prefix], local) in declared


@pytest.mark.parametrize("name", ["", "bodies.xsd", "../parse.py", "DocumentRegistry.wsdl", "rim.xsd/", "RIM.XSD", "\x00"])
def test_no_other_file_is_opened(name: str) -> None:
    with pytest.raises(KeyError):
        xsd(name, URL)
    with pytest.raises(KeyError):
        wsdl(name, URL)


def test_an_address_with_special_characters_stays_one_attribute() -> None:
    url = 'http://[::1]:8080/a&b"<c>'
    root = etree.fromstring(wsdl("DocumentRegistry", url))
    assert [a.get("location") for a in root.iter(q(WSDL_SOAP12, "address"))] == [url]


def test_only_the_operations_of_the_given_actions_are_described() -> None:
    root = etree.fromstring(wsdl("DocumentRegistry", URL, {Transaction.ITI_18.action, Transaction.ITI_43.action}))
    for parent in ("portType", "binding"):
        names = [one.get("name") for one in root.iterfind(f"{q(WSDL, parent)}/{q(WSDL, 'operation')}")]
        assert names == ["DocumentRegistry_RegistryStoredQuery"], parent


@pytest.mark.parametrize("name", SERVED_XSD)
def test_no_attribute_is_declared_any_simple_type(name: str) -> None:
    """No type means the same; with it, PHP's SoapClient ends an answer that holds one: "Nesting level too deep"."""
    types = {attribute.get("type") for attribute in etree.fromstring(xsd(name, URL)).iter(q(XSD, "attribute"))}
    assert "xs:anySimpleType" not in types
