"""Signed messages as another stack makes them: whole xmlsec with its templates, none of our own writer.

Names are typed again here, so that an error in the code's own constants cannot hide.
"""

from __future__ import annotations

import base64
import copy
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import xmlsec
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from lxml import etree

from security.pki import TestAuthority, signing_files
from security.trust_files import LiveTrust, TrustSources

S12 = "http://www.w3.org/2003/05/soap-envelope"
WSA = "http://www.w3.org/2005/08/addressing"
_OASIS = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-"
WSSE, WSU = _OASIS + "wssecurity-secext-1.0.xsd", _OASIS + "wssecurity-utility-1.0.xsd"
DS = "http://www.w3.org/2000/09/xmldsig#"
X509V3 = _OASIS + "x509-token-profile-1.0#X509v3"
BASE64 = _OASIS + "soap-message-security-1.0#Base64Binary"
XOP = "http://www.w3.org/2004/08/xop/include"
DOCUMENT = "{urn:ihe:iti:xds-b:2007}Document"

T: Any = xmlsec.Transform
PARTS = ("Body", "Timestamp", "Action", "MessageID", "To", "ReplyTo")


def wsse(local: str) -> str:
    return f"{{{WSSE}}}{local}"


def wsu(local: str) -> str:
    return f"{{{WSU}}}{local}"


def wsa(local: str) -> str:
    return f"{{{WSA}}}{local}"


def ds(local: str) -> str:
    return f"{{{DS}}}{local}"


def soap(local: str) -> str:
    return f"{{{S12}}}{local}"


@dataclass(frozen=True, slots=True)
class Peer:
    """A key and its certificate, PEM."""

    certificate: bytes
    key: bytes

    @property
    def x509(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.certificate)

    @property
    def der(self) -> bytes:
        return self.x509.public_bytes(serialization.Encoding.DER)


@dataclass(frozen=True, slots=True)
class Pki:
    """An authority that the server believes, and one that it does not."""

    folder: Path
    trust: LiveTrust

    def peer(self, name: str) -> Peer:
        certificate, key = signing_files(self.folder / ("other" if name.startswith("x") else "believed"), name)
        return Peer(certificate.read_bytes(), key.read_bytes())


@lru_cache(maxsize=4)
def make_pki(folder: Path) -> Pki:
    """Signers `alice` (RSA), `carole` (EC), `server`; `revoked`, `expired`; `xmallory` of another authority."""
    believed, other = TestAuthority.create(folder / "believed"), TestAuthority.create(folder / "other", "ANOTHER AUTHORITY")
    believed.issue("structure", "alice")
    believed.issue("structure", "carole", key_type="ec")
    believed.issue("server", "server")
    believed.issue("structure", "revoked", key_type="ec")
    believed.issue("structure", "expired", key_type="ec", days=-1)
    believed.revoke("revoked")
    other.issue("structure", "xmallory")
    sources = TrustSources(
        authorities=(folder / "believed" / "ca.crt",),
        lists=(folder / "believed" / "ca.crl",),
        index=folder / "believed" / "index.json",
    )
    return Pki(folder, LiveTrust(sources))


def parse(data: bytes) -> etree._Element:
    return etree.fromstring(data, etree.XMLParser(remove_comments=False, collect_ids=False, huge_tree=True))


def build(
    body: bytes | etree._Element, action: str, to: str, *, now: datetime | None = None, ttl: float = 300, message_id: str = ""
) -> etree._Element:
    """An envelope with addressing headers and a Timestamp, not signed yet."""
    now = now or datetime.now(UTC)
    envelope = etree.Element(soap("Envelope"), nsmap={"s": S12, "wsa": WSA})
    header = etree.SubElement(envelope, soap("Header"))
    for name, value in (("Action", action), ("MessageID", message_id or uuid.uuid4().urn), ("To", to)):
        element = etree.SubElement(header, wsa(name))
        element.text = value
        if name == "Action":
            element.set(soap("mustUnderstand"), "1")
    etree.SubElement(etree.SubElement(header, wsa("ReplyTo")), wsa("Address")).text = WSA + "/anonymous"
    security = etree.SubElement(header, wsse("Security"), nsmap={"wsse": WSSE, "wsu": WSU})
    security.set(soap("mustUnderstand"), "1")
    timestamp = etree.SubElement(security, wsu("Timestamp"))
    etree.SubElement(timestamp, wsu("Created")).text = moment(now)
    etree.SubElement(timestamp, wsu("Expires")).text = moment(now + timedelta(seconds=ttl))
    content = etree.SubElement(envelope, soap("Body"))
    content.append(etree.fromstring(body) if isinstance(body, bytes) else body)
    return envelope


def moment(value: datetime) -> str:
    return f"{value:%Y-%m-%dT%H:%M:%S}.{value.microsecond // 1000:03d}Z"


def part(envelope: etree._Element, name: str) -> etree._Element:
    """Body, Security, Signature, Timestamp, Token, or an addressing header, by name."""
    header = envelope.find(soap("Header"))
    assert header is not None
    security = header.find(wsse("Security"))
    assert security is not None
    places = {
        "Header": header,
        "Body": envelope.find(soap("Body")),
        "Security": security,
        "Timestamp": security.find(wsu("Timestamp")),
        "Token": security.find(wsse("BinarySecurityToken")),
        "Signature": security.find(ds("Signature")),
        "KeyInfo": security.find(f"{ds('Signature')}/{ds('KeyInfo')}"),
        "SignedInfo": security.find(f"{ds('Signature')}/{ds('SignedInfo')}"),
    }
    found = places[name] if name in places else header.find(wsa(name))
    assert found is not None, name
    return found


def sign(
    envelope: etree._Element,
    peer: Peer,
    parts: Sequence[str | etree._Element] = (*PARTS, "Token"),
    *,
    method: Any = None,
    digest: Any = None,
    prefixes: Sequence[str] = (),
) -> etree._Element:
    """Signs in place with a BinarySecurityToken; the message as it comes out of a parser, as a receiver has it."""
    security = part(envelope, "Security")
    token = etree.Element(wsse("BinarySecurityToken"), EncodingType=BASE64, ValueType=X509V3)
    token.set(wsu("Id"), f"X509-{uuid.uuid4()}")
    token.text = base64.b64encode(peer.der).decode()
    security.insert(0, token)
    kind = "EC" if hasattr(peer.x509.public_key(), "curve") else "RSA"
    method = method or (T.ECDSA_SHA256 if kind == "EC" else T.RSA_SHA256)
    signature = xmlsec.template.create(envelope, T.EXCL_C14N, method, ns="ds")
    security.append(signature)
    elements = [part(envelope, one) if isinstance(one, str) else one for one in parts]
    for element in elements:
        name = element.get(wsu("Id")) or f"id-{uuid.uuid4()}"
        element.set(wsu("Id"), name)
        reference = xmlsec.template.add_reference(signature, digest or T.SHA256, uri="#" + name)
        transform = xmlsec.template.add_transform(reference, T.EXCL_C14N)
        if prefixes:
            xmlsec.template.transform_add_c14n_inclusive_namespaces(transform, list(prefixes))
    named = etree.SubElement(xmlsec.template.ensure_key_info(signature), wsse("SecurityTokenReference"))
    etree.SubElement(named, wsse("Reference"), URI="#" + str(token.get(wsu("Id"))), ValueType=X509V3)
    compute(signature, peer, elements)
    return parse(etree.tostring(envelope))


def compute(signature: etree._Element, peer: Peer, elements: Sequence[etree._Element]) -> None:
    """Digests and signature value of a finished template."""
    context: Any = xmlsec.SignatureContext()
    context.key = xmlsec.Key.from_memory(peer.key, xmlsec.KeyFormat.PEM, None)
    for element in elements:
        context.register_id(element, "Id", WSU)
    context.sign(signature)


def verify(envelope: etree._Element, certificate: x509.Certificate) -> None:
    """Whole xmlsec over the whole message, with this key: every digest and the value. Raises xmlsec.Error."""
    context: Any = xmlsec.SignatureContext()
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    context.key = xmlsec.Key.from_memory(pem, xmlsec.KeyFormat.CERT_PEM, None)
    for element in envelope.iter(etree.Element):
        if element.get(wsu("Id")):
            context.register_id(element, "Id", WSU)
    context.verify(part(envelope, "Signature"))


def optimise(envelope: etree._Element, *, token: bool = False) -> tuple[bytes, dict[str, bytes]]:
    """The message as MTOM sends it: base64 out of the tree, one part for each, an xop:Include in its place."""
    envelope = copy.deepcopy(envelope)
    parts: dict[str, bytes] = {}
    wanted = [*envelope.iter(DOCUMENT), *(envelope.iter(wsse("BinarySecurityToken")) if token else ())]
    for element in wanted:
        content_id = f"p{len(parts)}@peer"
        parts[content_id] = base64.b64decode(element.text or "")
        element.text = None
        etree.SubElement(element, f"{{{XOP}}}Include", nsmap={"xop": XOP}, href=f"cid:{content_id}")
    return etree.tostring(envelope), parts
