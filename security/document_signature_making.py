"""A detached signature over a submission set is made here, in the form of IHE or in the French one (ITI TF-3: 5.5.2, 5.5.3).

    sign_set(SetToSign("2.25.1", {"2.25.2": content}), certificate_pem, key_pem, FRENCH_FORM)

Both forms list the set and its documents in a ds:Manifest, so that any XML Signature program can verify the block without having
the documents.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from lxml import etree

from schemas.namespaces import DS, XADES, q
from security.document_signature import (
    DIGESTS,
    METHODS,
    POLICY,
    RSA_SHA1,
    SHA1,
    SHA256,
    Content,
    SignatureForm,
    canonical_document,
    canonical_part,
)
from security.document_signature_block import C14N, C14N11, COMMENTS, MANIFEST_TYPE, XADES_FRENCH

#: ASTM E1762: the source vouches for the set.
_PURPOSE = "1.2.840.10065.1.12.1.14"
_MORE = "http://www.w3.org/2001/04/xmldsig-more#"


@dataclass(frozen=True, slots=True)
class SetToSign:
    """`uniqueId` of the SubmissionSet (empty: the documents alone are signed) and its documents by uniqueId. Those whose ids
    stand in `canonical` are signed in canonical form, the others as octets."""

    uniqueId: str
    documents: Mapping[str, Content]
    canonical: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Names:
    """How the form writes things."""

    space: str
    canonicalization: str
    digest: str
    set_digest: str
    properties_type: str


_IHE = _Names(XADES, C14N11 + COMMENTS, SHA256, "MA==", "http://uri.etsi.org/01903#SignedProperties")
_FRENCH = _Names(XADES_FRENCH, C14N + COMMENTS, SHA1, "AA==", XADES_FRENCH + "SignedProperties")


def sign_set(
    signed: SetToSign, certificate_pem: bytes, key_pem: bytes, form: SignatureForm, time: datetime | None = None
) -> bytes:
    """The signature document. `time` is SigningTime (now by default).

    Raises ValueError for a key that signs nothing here, and ParseError for a document to canonicalise that is no XML.
    """
    names = _FRENCH if form.signs_set else _IHE
    certificate = x509.load_pem_x509_certificate(certificate_pem)
    key = serialization.load_pem_private_key(key_pem, None)
    method = _method(key, form)
    root = etree.Element(q(DS, "Signature"), {"Id": "Signature"}, nsmap={"ds": DS})
    info = etree.SubElement(root, q(DS, "SignedInfo"))
    etree.SubElement(info, q(DS, "CanonicalizationMethod"), Algorithm=names.canonicalization)
    etree.SubElement(info, q(DS, "SignatureMethod"), Algorithm=method)
    value = etree.SubElement(root, q(DS, "SignatureValue"))
    data = etree.SubElement(etree.SubElement(root, q(DS, "KeyInfo")), q(DS, "X509Data"))
    der = certificate.public_bytes(serialization.Encoding.DER)
    etree.SubElement(data, q(DS, "X509Certificate")).text = base64.b64encode(der).decode()
    if form.signs_set:
        purpose = etree.SubElement(etree.SubElement(root, q(DS, "Object")), q(DS, "SignatureProperties"))
        property = etree.SubElement(purpose, q(DS, "SignatureProperty"), Id="purposeOfSignature", Target="#Signature")
        property.text = _PURPOSE
    manifest = _manifest(root, signed, names)
    properties = _properties(root, certificate, names, time or datetime.now(UTC), ihe=not form.signs_set)
    for part, type, id in ((manifest, MANIFEST_TYPE, "IHEManifest"), (properties, names.properties_type, "SignedProperties")):
        _reference(info, f"#{id}", _digest(names.digest, canonical_part(part, C14N)), names.digest, type)
    octets = canonical_part(info, names.canonicalization)
    value.text = base64.b64encode(sign_octets(key, method, octets)).decode()
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def _method(key: object, form: SignatureForm) -> str:
    if isinstance(key, rsa.RSAPrivateKey):
        return RSA_SHA1 if form.sha1 else _MORE + "rsa-sha256"
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return _MORE + "ecdsa-sha256"
    raise ValueError(f"documents are signed with RSA and EC keys, not with {type(key).__name__}")


def sign_octets(key: object, method: str, octets: bytes) -> bytes:
    """The signature value over the canonical SignedInfo; ECDSA as r and s side by side (XML Signature 1.1: 6.4.3)."""
    algorithm = METHODS[method][1]
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(octets, padding.PKCS1v15(), algorithm)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("no key of a kind that signs")
    half = (key.curve.key_size + 7) // 8
    return b"".join(n.to_bytes(half, "big") for n in decode_dss_signature(key.sign(octets, ec.ECDSA(algorithm))))


def sign_octets_of_pem(key_pem: bytes, method: str, octets: bytes) -> bytes:
    """The same with a key in a PEM file. Raises ValueError for one that signs nothing here."""
    return sign_octets(serialization.load_pem_private_key(key_pem, None), method, octets)


def resign(block: bytes, key_pem: bytes) -> bytes:
    """A signature document whose parts were changed, made right again: the digests of its parts, and its value."""
    root = etree.fromstring(block, etree.XMLParser(resolve_entities=False, no_network=True))
    info, value = root[0], root[1]
    parts = {element.get("Id", ""): element for element in root.iter(etree.Element)}
    for reference in info.iterchildren(q(DS, "Reference")):
        part, method = parts.get(reference.get("URI", "")[1:]), reference.find(q(DS, "DigestMethod"))
        algorithm = method.get("Algorithm", "") if method is not None else ""
        if part is not None and algorithm in DIGESTS:
            reference[-1].text = _digest(algorithm, canonical_part(part, C14N))
    octets = canonical_part(info, info[0].get("Algorithm", C14N))
    value.text = base64.b64encode(sign_octets_of_pem(key_pem, info[1].get("Algorithm", ""), octets)).decode()
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def _digest(method: str, octets: bytes) -> str:
    return base64.b64encode(hashlib.new(DIGESTS[method], octets).digest()).decode()


def _reference(parent: etree._Element, uri: str, digest: str, method: str, type: str = "", canonicalization: str = "") -> None:
    reference = etree.SubElement(parent, q(DS, "Reference"), URI=uri)
    if type:
        reference.set("Type", type)
    if canonicalization:
        transforms = etree.SubElement(reference, q(DS, "Transforms"))
        etree.SubElement(transforms, q(DS, "Transform"), Algorithm=canonicalization)
    etree.SubElement(reference, q(DS, "DigestMethod"), Algorithm=method)
    etree.SubElement(reference, q(DS, "DigestValue")).text = digest


def _manifest(root: etree._Element, signed: SetToSign, names: _Names) -> etree._Element:
    manifest = etree.SubElement(etree.SubElement(root, q(DS, "Object")), q(DS, "Manifest"), Id="IHEManifest")
    if signed.uniqueId:
        _reference(manifest, _uri(signed.uniqueId), names.set_digest, names.digest)
    for id, content in signed.documents.items():
        if id in signed.canonical:
            octets = canonical_document(b"".join(content.chunks()), C14N + COMMENTS)
            _reference(manifest, _uri(id), _digest(names.digest, octets), names.digest, canonicalization=C14N + COMMENTS)
        else:
            octets = bytes.fromhex(content.sha1 if names.digest == SHA1 else content.sha256)
            _reference(manifest, _uri(id), base64.b64encode(octets).decode(), names.digest)
    return manifest


def _uri(unique_id: str) -> str:
    return unique_id if unique_id.startswith("urn:") else f"urn:oid:{unique_id}"


def _properties(root: etree._Element, certificate: x509.Certificate, names: _Names, time: datetime, ihe: bool) -> etree._Element:
    def add(parent: etree._Element, local: str, text: str = "", space: str = names.space, **attributes: str) -> etree._Element:
        made = etree.SubElement(parent, q(space, local), attributes)
        made.text = text or None
        return made

    outer = etree.SubElement(
        etree.SubElement(root, q(DS, "Object")),
        q(names.space, "QualifyingProperties"),
        {"Target": "#Signature"},
        nsmap={"xades": names.space},
    )
    properties = add(outer, "SignedProperties", Id="SignedProperties")
    signature = add(properties, "SignedSignatureProperties")
    add(signature, "SigningTime", time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
    cert = add(add(signature, "SigningCertificate"), "Cert")
    digest = add(cert, "CertDigest")
    # XAdES 1.1.1 has these two in its own namespace, 1.3.2 in that of XML Signature.
    inner = DS if ihe else names.space
    add(digest, "DigestMethod", space=inner, Algorithm=names.digest)
    add(digest, "DigestValue", _digest(names.digest, certificate.public_bytes(serialization.Encoding.DER)), space=inner)
    serial = add(cert, "IssuerSerial")
    add(serial, "X509IssuerName", certificate.issuer.rfc4514_string(), space=DS)
    add(serial, "X509SerialNumber", str(certificate.serial_number), space=DS)
    identifier = add(signature, "SignaturePolicyIdentifier")
    if not ihe:
        add(identifier, "SignaturePolicyImplied")
        return properties
    policy = add(identifier, "SignaturePolicyId")
    add(add(policy, "SigPolicyId"), "Identifier", POLICY)
    hash = add(policy, "SigPolicyHash")
    add(hash, "DigestMethod", space=DS, Algorithm=SHA256)
    add(hash, "DigestValue", _digest(SHA256, POLICY.encode()), space=DS)
    commitment = add(add(properties, "SignedDataObjectProperties"), "CommitmentTypeIndication")
    add(add(commitment, "CommitmentTypeId"), "Identifier", f"urn:oid:{_PURPOSE}")
    add(commitment, "AllSignedDataObjects")
    return properties
