"""Files for the lint: right ones of each kind, written out over many lines, and where in them something stands."""

# ruff: noqa: E501 - a case is read as a row

from __future__ import annotations

import hashlib

CRLF = b"\r\n"
PDF = b"%PDF-1.4\n1 0 obj\n--not a boundary\n%%EOF\n"
PATIENT = "IPP1001^^^&amp;1.2.250.1.71.4.2.7&amp;ISO"

_CODES = (
    ("class", "41a5887f-8865-4c09-adf7-e362475b143a", "REPORT"), ("type", "f0306f51-975f-434e-a61c-c59651d33983", "34133-9"),
    ("format", "a09d5840-386c-46f2-b5ad-9c3699a4309d", "PDF"), ("facility", "f33fb8ac-18af-42cc-ae0e-ed0b0bdb91e1", "HOSP"),
    ("practice", "cccf5598-8b07-4b77-a05e-ae952c785ead", "GP"),
)  # fmt: skip


def coded(of: str, name: str, scheme: str, code: str, system: str = "1.2.3") -> str:
    return f"""<rim:Classification id="{name}" classifiedObject="{of}" nodeRepresentation="{code}"
    classificationScheme="urn:uuid:{scheme}">
  <rim:Slot name="codingScheme"><rim:ValueList><rim:Value>{system}</rim:Value></rim:ValueList></rim:Slot>
  <rim:Name><rim:LocalizedString value="{name}"/></rim:Name>
</rim:Classification>"""


def identifier(of: str, kind: str, name: str, scheme: str, value: str) -> str:
    return f"""<rim:ExternalIdentifier id="{of}-{name}" registryObject="{of}" value="{value}"
    identificationScheme="urn:uuid:{scheme}">
  <rim:Name><rim:LocalizedString value="XDS{kind}.{name}"/></rim:Name>
</rim:ExternalIdentifier>"""


def entry(content: bytes = PDF) -> str:
    """A right ExtrinsicObject of ITI-41."""
    codes = "\n".join(coded("doc", name, scheme, code) for name, scheme, code in _CODES)
    return f"""<rim:ExtrinsicObject id="doc" mimeType="application/pdf"
    objectType="urn:uuid:7edca82f-054d-47f2-a032-9b2a5b5186c1">
  <rim:Slot name="creationTime"><rim:ValueList><rim:Value>20240131101500</rim:Value></rim:ValueList></rim:Slot>
  <rim:Slot name="hash"><rim:ValueList><rim:Value>{hashlib.sha1(content).hexdigest()}</rim:Value></rim:ValueList></rim:Slot>
  <rim:Slot name="languageCode"><rim:ValueList><rim:Value>fr-FR</rim:Value></rim:ValueList></rim:Slot>
  <rim:Slot name="size"><rim:ValueList><rim:Value>{len(content)}</rim:Value></rim:ValueList></rim:Slot>
  <rim:Slot name="sourcePatientId"><rim:ValueList><rim:Value>77^^^&amp;1.2.250.1.99&amp;ISO</rim:Value></rim:ValueList></rim:Slot>
  <rim:Name><rim:LocalizedString value="Compte rendu été"/></rim:Name>
{coded("doc", "confidentiality", "f4f85eac-e6cb-4883-b524-f2705394840f", "N", "2.16.840.1.113883.5.25")}
{codes}
{identifier("doc", "DocumentEntry", "patientId", "58a6f841-87b3-4a3e-92fd-a8ffeff98427", PATIENT)}
{identifier("doc", "DocumentEntry", "uniqueId", "2e82c1f6-a085-4c72-9da3-8640a32e42ab", "1.2.250.1.213.2")}
</rim:ExtrinsicObject>"""


def submission(content: bytes = PDF) -> str:
    """A right lcm:SubmitObjectsRequest as a Document Source writes it."""
    return f"""<lcm:SubmitObjectsRequest xmlns:lcm="urn:oasis:names:tc:ebxml-regrep:xsd:lcm:3.0"
    xmlns:rim="urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0">
<rim:RegistryObjectList>
{entry(content)}
<rim:RegistryPackage id="ss">
  <rim:Slot name="submissionTime"><rim:ValueList><rim:Value>20240131101500</rim:Value></rim:ValueList></rim:Slot>
  <rim:Classification id="author" classifiedObject="ss" nodeRepresentation=""
      classificationScheme="urn:uuid:a7058bb9-b4e4-4307-ba5b-e3f0ab85e12d">
    <rim:Slot name="authorPerson"><rim:ValueList><rim:Value>^Martin^Anne</rim:Value></rim:ValueList></rim:Slot>
  </rim:Classification>
{coded("ss", "content", "aa543740-bdda-424e-8c96-df4873be8500", "04")}
  <rim:Classification id="node" classifiedObject="ss" nodeRepresentation=""
      classificationNode="urn:uuid:a54d6aa5-d40d-43f9-88c5-b4633d873bdd"/>
{identifier("ss", "SubmissionSet", "patientId", "6b5aea1a-874d-4603-a4bc-96a0a7b38446", PATIENT)}
{identifier("ss", "SubmissionSet", "sourceId", "554ac39e-e3fe-47fe-b233-965d2a147832", "1.2.250.1.213")}
{identifier("ss", "SubmissionSet", "uniqueId", "96fdda7c-d067-4183-912e-bf5ee74998a8", "1.2.250.1.213.1")}
</rim:RegistryPackage>
<rim:Association id="ss-doc" sourceObject="ss" targetObject="doc"
    associationType="urn:oasis:names:tc:ebxml-regrep:AssociationType:HasMember">
  <rim:Slot name="SubmissionSetStatus"><rim:ValueList><rim:Value>Original</rim:Value></rim:ValueList></rim:Slot>
</rim:Association>
</rim:RegistryObjectList>
</lcm:SubmitObjectsRequest>"""


def provide(content: bytes = PDF) -> str:
    """A right ITI-41 body with one document as a part."""
    return f"""<xds:ProvideAndRegisterDocumentSetRequest xmlns:xds="urn:ihe:iti:xds-b:2007">
{submission(content)}
<xds:Document id="doc"><xop:Include xmlns:xop="http://www.w3.org/2004/08/xop/include" href="cid:doc@example.org"/></xds:Document>
</xds:ProvideAndRegisterDocumentSetRequest>"""


def query() -> str:
    """A right ITI-18 body."""
    return f"""<query:AdhocQueryRequest xmlns:query="urn:oasis:names:tc:ebxml-regrep:xsd:query:3.0"
    xmlns:rim="urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0">
  <query:ResponseOption returnComposedObjects="true" returnType="LeafClass"/>
  <rim:AdhocQuery id="urn:uuid:14d4debf-8f97-4251-9a74-a90016b0af0d">
    <rim:Slot name="$XDSDocumentEntryPatientId">
      <rim:ValueList><rim:Value>'{PATIENT}'</rim:Value></rim:ValueList>
    </rim:Slot>
    <rim:Slot name="$XDSDocumentEntryStatus">
      <rim:ValueList><rim:Value>('urn:oasis:names:tc:ebxml-regrep:StatusType:Approved')</rim:Value></rim:ValueList>
    </rim:Slot>
  </rim:AdhocQuery>
</query:AdhocQueryRequest>"""


def envelope(body: str, action: str = "urn:ihe:iti:2007:ProvideAndRegisterDocumentSet-b", security: str = "") -> str:
    return f"""<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:wsa="http://www.w3.org/2005/08/addressing">
<s:Header>
<wsa:Action s:mustUnderstand="1">{action}</wsa:Action>
<wsa:MessageID>urn:uuid:0fbfdced-6c01-4d09-a110-2201afedaa02</wsa:MessageID>
{security}</s:Header>
<s:Body>
{body}
</s:Body>
</s:Envelope>"""


def package(root: str, content: bytes = PDF, media: str = "application/pdf", boundary: str = "MIME_a1") -> bytes:
    """A right MTOM package with one document."""
    return (
        f'--{boundary}\r\nContent-Type: application/xop+xml; charset=UTF-8; type="application/soap+xml"\r\n'
        f"Content-Transfer-Encoding: binary\r\nContent-ID: <root@example.org>\r\n\r\n{root}\r\n--{boundary}\r\n"
        f"Content-Type: {media}\r\nContent-Transfer-Encoding: binary\r\nContent-ID: <doc@example.org>\r\n\r\n"
    ).encode() + content + f"\r\n--{boundary}--\r\n".encode()  # fmt: skip


MTOM = (
    'multipart/related; boundary="MIME_a1"; type="application/xop+xml"; start="<root@example.org>"; '
    'start-info="application/soap+xml"'
)


def request(body: bytes, content_type: str = MTOM, path: str = "/xds/repository", more: str = "") -> bytes:
    """A raw HTTP request."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: xds.example.org\r\nContent-Type: {content_type}\r\n{more}Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def iti41(content: bytes = PDF) -> bytes:
    """A right ITI-41 request."""
    return request(package(envelope(provide(content)), content))


def iti18() -> bytes:
    """A right ITI-18 request."""
    body = envelope(query(), "urn:ihe:iti:2007:RegistryStoredQuery").encode()
    return request(body, "application/soap+xml; charset=utf-8", "/xds/registry")


def at(data: bytes, needle: bytes | str, number: int = 1) -> tuple[int, int]:
    """Line and column (characters) of the `number`th occurrence."""
    if isinstance(needle, str):
        needle = needle.encode()
    offset = -1
    for _ in range(number):
        offset = data.index(needle, offset + 1)
    start = data.rfind(b"\n", 0, offset) + 1
    return data.count(b"\n", 0, offset) + 1, len(data[start:offset].decode("utf-8", "replace")) + 1
