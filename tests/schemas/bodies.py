"""Bodies to hold against the schemas: samples of every kind written here, those of the shared material, and mutations."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
from pathlib import Path

from lxml import etree

from schemas.namespaces import LCM, QUERY, RIM, RMD, RS, XDS
from schemas.validate import ROOTS

_NS = f'xmlns:lcm="{LCM}" xmlns:query="{QUERY}" xmlns:rim="{RIM}" xmlns:rs="{RS}" xmlns:xds="{XDS}" xmlns:rmd="{RMD}"'
BODY_NAMES = {tag: name for name, tag in ROOTS.items()}

_SLOT = '<rim:Slot name="a" slotType="urn:x"><rim:ValueList><rim:Value>v</rim:Value><rim:Value/></rim:ValueList></rim:Slot>'
_TEXTS = '<rim:LocalizedString xml:lang="fr" charset="UTF-8" value="v"/><rim:LocalizedString value=""/>'
_COMMON = f"{_SLOT}<rim:Name>{_TEXTS}</rim:Name><rim:Description>{_TEXTS}</rim:Description>"
_NESTED = (
    f'<rim:Classification id="c" lid="c" home="urn:oid:1" objectType="o" status="s" classificationScheme="urn:x" '
    f'classifiedObject="d" nodeRepresentation="n">{_SLOT}<rim:Name>{_TEXTS}</rim:Name></rim:Classification>'
    f'<rim:Classification id="m" classifiedObject="d" classificationNode="urn:y"/>'
    f'<rim:ExternalIdentifier id="e" registryObject="d" identificationScheme="urn:z" value="v"><rim:Name>{_TEXTS}</rim:Name>'
    "</rim:ExternalIdentifier>"
)
_VERSION = '<rim:VersionInfo versionName="1" comment="c"/>'
_OBJECTS = (
    '<rim:ExtrinsicObject id="d" lid="d" home="urn:oid:1" objectType="o" status="s" mimeType="text/xml" isOpaque="false">'
    f'{_COMMON}{_VERSION}{_NESTED}<rim:ContentVersionInfo versionName="1"/></rim:ExtrinsicObject>'
    f'<rim:RegistryPackage id="p">{_COMMON}{_VERSION}{_NESTED}<rim:RegistryObjectList/></rim:RegistryPackage>'
    f'<rim:Association id="a" associationType="urn:t" sourceObject="p" targetObject="d">{_COMMON}{_VERSION}</rim:Association>'
    '<rim:Classification id="k" classifiedObject="p" classificationNode="urn:y"/>'
    '<rim:ObjectRef id="r" home="urn:oid:1" createReplica="true"/>'
    f'<rim:ExternalIdentifier id="x" registryObject="d" identificationScheme="z" value="v"/>'
)
#: The rest of ebRIM, which may stand in a RegistryObjectList though IHE stores none of it.
_REST = (
    f'<rim:Identifiable id="i">{_SLOT}</rim:Identifiable><rim:RegistryObject id="o">{_COMMON}</rim:RegistryObject>'
    '<rim:ClassificationScheme id="s" isInternal="true" nodeType="urn:n">'
    '<rim:ClassificationNode id="n" parent="s" code="c" path="/">'
    '<rim:ClassificationNode id="nn"/></rim:ClassificationNode></rim:ClassificationScheme>'
    '<rim:ClassificationNode id="cn"/><rim:ExternalLink id="l" externalURI="http://example.org/"/>'
    '<rim:AuditableEvent id="v" eventType="e" timestamp="2024-01-01T00:00:00Z" user="u" requestId="r"><rim:affectedObjects>'
    '<rim:ObjectRef id="r"/></rim:affectedObjects></rim:AuditableEvent>'
    '<rim:Organization id="g" parent="p" primaryContact="c"><rim:Address street="s" streetNumber="1" postalCode="1" city="c" '
    'stateOrProvince="s" country="c"/><rim:TelephoneNumber countryCode="33" areaCode="1" number="2" extension="3" phoneType="t"/>'
    '<rim:EmailAddress address="a@b.c" type="t"/></rim:Organization>'
    '<rim:Person id="h"><rim:Address/><rim:PersonName firstName="f" middleName="m" lastName="l"/><rim:TelephoneNumber/>'
    '<rim:EmailAddress address="a@b.c"/></rim:Person><rim:User id="u"/>'
    '<rim:Service id="w"><rim:ServiceBinding id="b" service="w" accessURI="http://example.org/" targetBinding="t">'
    '<rim:SpecificationLink id="q" serviceBinding="b" specificationObject="o"><rim:UsageDescription/><rim:UsageParameter>p'
    "</rim:UsageParameter></rim:SpecificationLink></rim:ServiceBinding></rim:Service>"
    '<rim:Registry id="y" operator="o" specificationVersion="3.0" replicationSyncLatency="P1D" catalogingLatency="P1D" '
    'conformanceProfile="registryFull"/><rim:Federation id="f" replicationSyncLatency="P2D"/>'
    '<rim:Subscription id="z" selector="s" startTime="2024-01-01T00:00:00" endTime="2024-01-02T00:00:00" '
    'notificationInterval="P1D"><rim:NotifyAction notificationOption="urn:n" endPoint="http://example.org/"/></rim:Subscription>'
    f'<rim:AdhocQuery id="j">{_SLOT}<rim:QueryExpression queryLanguage="urn:sql">SELECT</rim:QueryExpression></rim:AdhocQuery>'
)
_REQUEST = f"<rs:RequestSlotList>{_SLOT}</rs:RequestSlotList>"
_ERRORS = (
    '<rs:RegistryErrorList highestSeverity="urn:e">'
    '<rs:RegistryError errorCode="c" codeContext="x" location="l" severity="urn:e"/>'
    '<rs:RegistryError errorCode="c" codeContext="">text</rs:RegistryError></rs:RegistryErrorList>'
)
_ANSWERED = f'status="urn:s" requestId="urn:r"><rs:ResponseSlotList>{_SLOT}</rs:ResponseSlotList>{_ERRORS}'
_REFERENCE = (
    "<xds:HomeCommunityId>urn:oid:1</xds:HomeCommunityId><xds:RepositoryUniqueId>1.2</xds:RepositoryUniqueId>"
    "<xds:DocumentUniqueId>1.3</xds:DocumentUniqueId>"
)
_SUBMIT = f'{_REQUEST}<rim:RegistryObjectList>{_OBJECTS}</rim:RegistryObjectList>'

#: One body of every kind, as full as the schema allows.
SAMPLES: dict[str, str] = {
    "SubmitObjectsRequest": f'<lcm:SubmitObjectsRequest {_NS} id="urn:i" comment="c">{_SUBMIT}</lcm:SubmitObjectsRequest>',
    "SubmitObjectsRequest, all of ebRIM": f"<lcm:SubmitObjectsRequest {_NS}>"
    f"<rim:RegistryObjectList>{_REST}</rim:RegistryObjectList></lcm:SubmitObjectsRequest>",
    "RemoveObjectsRequest": f'<lcm:RemoveObjectsRequest {_NS} deletionScope="urn:d">{_REQUEST}<rim:AdhocQuery id="q"/>'
    '<rim:ObjectRefList><rim:ObjectRef id="a"/><rim:ObjectRef id="b"/></rim:ObjectRefList></lcm:RemoveObjectsRequest>',
    "AdhocQueryRequest": f'<query:AdhocQueryRequest {_NS} federated="false" federation="urn:f" startIndex="0" maxResults="-1">'
    f'{_REQUEST}<query:ResponseOption returnType="LeafClass" returnComposedObjects="true"/>'
    f'<rim:AdhocQuery id="urn:q" home="urn:h">{_SLOT}{_SLOT}</rim:AdhocQuery></query:AdhocQueryRequest>',
    **{
        f"AdhocQueryRequest, {returned}": f'<query:AdhocQueryRequest {_NS}><query:ResponseOption returnType="{returned}"/>'
        '<rim:AdhocQuery id="q"/></query:AdhocQueryRequest>'
        for returned in ("ObjectRef", "RegistryObject", "LeafClassWithRepositoryItem")
    },
    "AdhocQueryResponse": f'<query:AdhocQueryResponse {_NS} startIndex="0" totalResultCount="7" {_ANSWERED}'
    f"<rim:RegistryObjectList>{_OBJECTS}</rim:RegistryObjectList></query:AdhocQueryResponse>",
    "RegistryResponse": f"<rs:RegistryResponse {_NS} {_ANSWERED}</rs:RegistryResponse>",
    "ProvideAndRegisterDocumentSetRequest": f"<xds:ProvideAndRegisterDocumentSetRequest {_NS}><lcm:SubmitObjectsRequest>{_SUBMIT}"
    '</lcm:SubmitObjectsRequest><xds:Document id="d">UERG</xds:Document><xds:Document id="e"/>'
    "</xds:ProvideAndRegisterDocumentSetRequest>",
    "RetrieveDocumentSetRequest": f"<xds:RetrieveDocumentSetRequest {_NS}><xds:DocumentRequest>{_REFERENCE}</xds:DocumentRequest>"
    f"<xds:DocumentRequest>{_REFERENCE}</xds:DocumentRequest></xds:RetrieveDocumentSetRequest>",
    "RetrieveDocumentSetResponse": f"<xds:RetrieveDocumentSetResponse {_NS}>"
    f"<rs:RegistryResponse {_ANSWERED}</rs:RegistryResponse><xds:DocumentResponse>{_REFERENCE}"
    "<xds:NewRepositoryUniqueId>1</xds:NewRepositoryUniqueId><xds:NewDocumentUniqueId>2</xds:NewDocumentUniqueId><xds:mimeType>text/xml</xds:mimeType><xds:Document>UERG</xds:Document></xds:DocumentResponse>"
    "</xds:RetrieveDocumentSetResponse>",
}


def samples() -> list[tuple[str, etree._Element]]:
    return [(name, etree.fromstring(text)) for name, text in SAMPLES.items()]


def shared_bodies(folder: Path) -> Iterator[tuple[str, etree._Element]]:
    """Every outermost body in the XML files of a folder, with the file's name."""
    for path in sorted(folder.rglob("*.xml")):
        try:
            tree = etree.parse(str(path), etree.XMLParser(resolve_entities=False, no_network=True))
        except etree.XMLSyntaxError:
            continue
        for element in tree.iter(*BODY_NAMES):
            if not any(ancestor.tag in BODY_NAMES for ancestor in element.iterancestors()):
                yield str(path.relative_to(folder)), etree.fromstring(etree.tostring(element, with_tail=False))


# ---------------------------------------------------------------------------------------------------------- mutations

_TAGS = sorted({str(e.tag) for text in SAMPLES.values() for e in etree.fromstring(text).iter()})
_VALUES = ("", " ", "x", "maybe", "-1", "1.5", "1", "true", "urn:x y", "%zz", "http://[", "fr_FR", "en", "2024-01-01", "P1D", "P",
           "=", "UERG", "é", "ObjectRef", "RegistryObject", "LeafClassWithRepositoryItem")  # fmt: skip
_LENGTHS = (4, 5, 8, 9, 16, 17, 32, 33, 64, 65, 256, 257, 1024, 1025)
_NAMES = ("id", "lid", "status", "name", "value", "home", "mimeType", "objectType", "versionName", "unknown", "{urn:x}y",
          "{http://www.w3.org/XML/1998/namespace}lang", "{http://www.w3.org/2001/XMLSchema-instance}nil")  # fmt: skip


def _remove(element: etree._Element, chance: random.Random) -> None:
    parent = element.getparent()
    if parent is not None:
        parent.remove(element)


def _duplicate(element: etree._Element, chance: random.Random) -> None:
    if element.getparent() is not None:
        element.addnext(copy.deepcopy(element))


def _reorder(element: etree._Element, chance: random.Random) -> None:
    parent = element.getparent()
    if parent is not None:
        parent.insert(chance.randrange(len(parent)), element)


def _rename(element: etree._Element, chance: random.Random) -> None:
    element.tag = chance.choice(_TAGS)


def _misspell(element: etree._Element, chance: random.Random) -> None:
    element.tag = str(element.tag) + "s"


def _other_namespace(element: etree._Element, chance: random.Random) -> None:
    local = etree.QName(element).localname
    element.tag = f"{{{chance.choice([RIM, RS, LCM, QUERY, XDS, 'urn:x'])}}}{local}"


def _insert(element: etree._Element, chance: random.Random) -> None:
    element.insert(chance.randrange(len(element) + 1), etree.Element(chance.choice([*_TAGS, "{urn:x}new", "new"])))


def _move(element: etree._Element, chance: random.Random) -> None:
    root = element.getroottree().getroot()
    inside = set(element.iter())
    places = [e for e in root.iter("*") if e not in inside]
    if places:
        place = chance.choice(places)
        place.insert(chance.randrange(len(place) + 1), element)


def _drop_attribute(element: etree._Element, chance: random.Random) -> None:
    if element.attrib:
        del element.attrib[chance.choice(sorted(map(str, element.attrib)))]


def _change_attribute(element: etree._Element, chance: random.Random) -> None:
    if element.attrib:
        element.set(chance.choice(sorted(map(str, element.attrib))), chance.choice(_VALUES))


def _long_attribute(element: etree._Element, chance: random.Random) -> None:
    if element.attrib:
        element.set(chance.choice(sorted(map(str, element.attrib))), "x" * chance.choice(_LENGTHS))


def _add_attribute(element: etree._Element, chance: random.Random) -> None:
    element.set(chance.choice(_NAMES), chance.choice(_VALUES))


def _change_text(element: etree._Element, chance: random.Random) -> None:
    element.text = chance.choice([*_VALUES, *("x" * length for length in _LENGTHS)])


MUTATIONS: tuple[Callable[[etree._Element, random.Random], None], ...] = (
    _remove, _duplicate, _reorder, _rename, _misspell, _other_namespace, _insert, _move, _drop_attribute, _change_attribute,
    _long_attribute, _add_attribute, _change_text,
)  # fmt: skip


def mutated(body: etree._Element, chance: random.Random, times: int) -> etree._Element:
    """A copy of `body`, changed at `times` random places."""
    root = copy.deepcopy(body)
    for _ in range(times):
        element = chance.choice([e for e in root.iter() if isinstance(e.tag, str)])
        chance.choice(MUTATIONS)(element, chance)
    return root
