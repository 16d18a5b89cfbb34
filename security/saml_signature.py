"""The one assertion of a message, and its signature: form first, then the certificate, the cryptography last.

Nothing of an assertion is believed before `verified` has returned, and everything is read below the element that it returns:
a tree of its own, made of the octets of the one assertion, whose signature covers just that element. So nothing that stands
elsewhere in the message can be taken for it (signature wrapping). Source: SAML 2.0 Core: 5.4; ITI TF-2: 3.40.4.1.2.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from lxml import etree

from schemas.namespaces import DS, EXC_C14N, SAML, WSSE, q
from security import rules_assertion as rules
from security.canonical import MOST_PREFIXES, prefix_list
from security.signature import METHODS, BadSignature, family_of, value_size, verify_enveloped
from security.signed_info import ids_of

ASSERTION, SECURITY = q(SAML, "Assertion"), q(WSSE, "Security")
_ENCRYPTED = q(SAML, "EncryptedAssertion")
_SAML_1 = "{urn:oasis:names:tc:SAML:1.0:assertion}Assertion"
_SIGNATURE, _ISSUER = q(DS, "Signature"), q(SAML, "Issuer")
_SHAPE = [q(DS, "SignedInfo"), q(DS, "SignatureValue"), q(DS, "KeyInfo")]
_INFO = [q(DS, "CanonicalizationMethod"), q(DS, "SignatureMethod"), q(DS, "Reference")]
_REFERENCE = [q(DS, "Transforms"), q(DS, "DigestMethod"), q(DS, "DigestValue")]
_TRANSFORM, _INCLUSIVE = q(DS, "Transform"), q(EXC_C14N, "InclusiveNamespaces")
_DATA, _CERTIFICATE = q(DS, "X509Data"), q(DS, "X509Certificate")
_ENVELOPED = DS + "enveloped-signature"
_RSA_SHA1, _SHA1 = DS + "rsa-sha1", DS + "sha1"
_DIGESTS = {
    "http://www.w3.org/2001/04/xmlenc#sha256": 32,
    "http://www.w3.org/2001/04/xmldsig-more#sha384": 48,
    "http://www.w3.org/2001/04/xmlenc#sha512": 64,
}
_ID = re.compile(r"[A-Za-z_][\w.\-]{0,127}", re.ASCII)
_MOST = 64 * 1024
#: The ways in which `cryptography` says that octets are no certificate.
_DAMAGE = (
    ValueError, TypeError, x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, UnsupportedAlgorithm,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Found:
    """The assertion of a message as it came: its octets, with the namespaces that it inherits, and their SHA-256."""

    octets: bytes
    digest: bytes


@dataclass(frozen=True, slots=True)
class Signed:
    """An assertion whose form is right: the tree of it alone, its ID, the certificate in it, and whether SHA-1 signs it."""

    element: etree._Element
    id: str
    certificate: x509.Certificate
    sha1: bool


def find_assertion(headers: Sequence[etree._Element], *, ids_checked: bool = False) -> Found | None:
    """The assertion of the message that has these header blocks; None when it has none. `ids_checked`: that no id of the message
    occurs twice is known, because its own signature was verified. Raises Denied SAM-002, 003, SIG-012."""
    if not headers:
        return None
    root = headers[0].getroottree().getroot()
    for tag, found in ((_ENCRYPTED, "an EncryptedAssertion"), (_SAML_1, "a SAML 1.1 assertion")):
        if next(root.iter(tag), None) is not None:
            raise rules.VERSION_2.denied(found=found)
    everywhere = list(root.iter(ASSERTION))
    if not everywhere:
        return None
    placed = [child for header in headers if header.tag == SECURITY for child in header.iterchildren(ASSERTION)]
    securities = sum(1 for header in headers if header.tag == SECURITY)
    if len(everywhere) != 1 or len(placed) != 1 or securities != 1:
        raise rules.ONE.denied(count=len(everywhere), placed=len(placed))
    if not ids_checked:
        ids_of(root)
    octets: bytes = etree.tostring(placed[0], with_tail=False)
    if len(octets) > _MOST:
        raise rules.FORM.denied(problem=f"more than {_MOST} octets")
    return Found(octets, hashlib.sha256(octets).digest())


def read_signed(found: Found) -> Signed:
    """The structural gate: what passes holds one signature over itself, by listed algorithms. Raises Denied SAM-003 to 009."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, collect_ids=False)
    element = etree.fromstring(found.octets, parser)
    if element.get("Version") != "2.0":
        raise rules.VERSION_2.denied(found=f"of version '{element.get('Version', '')}'")
    id = element.get("ID") or ""
    if not _ID.fullmatch(id):
        raise rules.FORM.denied(problem=f"the ID '{id}'" if id else "no ID")
    everywhere = list(element.iter(_SIGNATURE))
    children = _children(element)
    placed = [child for child in children[:2] if child.tag == _SIGNATURE]
    if len(everywhere) != 1 or len(placed) != 1 or children[0].tag != _ISSUER:
        raise rules.SIGNATURE.denied(count=len(everywhere), placed=len(placed))
    signature = placed[0]
    if _tags(signature) != _SHAPE:
        raise rules.SHAPE.denied(problem=f"its children are {_names(signature)}")
    info, value, key_info = _children(signature)
    method = _method(info)
    sha1 = _reference(_children(info)[2], id)
    certificate = _certificate(key_info)
    _value(value, certificate, method)
    return Signed(element, id, certificate, sha1 or method == _RSA_SHA1)


def verify(signed: Signed, *, sha1: bool) -> None:
    """The cryptography, with the key of the certificate that was judged before. Raises Denied SAM-008 and 010."""
    if signed.sha1 and not sha1:
        raise rules.ALGORITHM.denied(algorithm="SHA-1")
    try:
        verify_enveloped(signed.element, signed.certificate, sha1=signed.sha1)
    except BadSignature as wrong:
        raise rules.VALUE.denied(log=str(wrong)) from None


def read_certificate(data: etree._Element, name: str) -> x509.Certificate:
    """The certificate in a ds:X509Certificate. Raises Denied SAM-009."""
    try:
        if len(data):
            raise ValueError("it has other nodes in it")
        octets = binascii.a2b_base64("".join((data.text or "").split()).encode("ascii"), strict_mode=True)
        certificate = x509.load_der_x509_certificate(octets)
        # `cryptography` reads the rest only when it is asked for: damage has to show here, not later.
        _ = certificate.public_key(), certificate.subject, certificate.issuer, certificate.extensions
        _ = certificate.not_valid_before_utc, certificate.not_valid_after_utc, certificate.signature_hash_algorithm
    except _DAMAGE as wrong:
        raise rules.KEY_INFO.denied(problem=f"{name} holds no certificate", log=str(wrong)) from None
    return certificate


def _method(info: etree._Element) -> str:
    if _tags(info) != _INFO:
        if _tags(info)[:2] == _INFO[:2]:
            raise rules.REFERENCE.denied(problem=f"it has {len(_children(info)) - 2} references")
        raise rules.SHAPE.denied(problem=f"the children of SignedInfo are {_names(info)}")
    canonicalization, method, _ = _children(info)
    if canonicalization.get("Algorithm") != EXC_C14N or any(child.tag != _INCLUSIVE for child in canonicalization):
        raise rules.SHAPE.denied(problem=f"CanonicalizationMethod is {canonicalization.get('Algorithm', '')}")
    _few_prefixes(canonicalization)
    algorithm = method.get("Algorithm") or ""
    if algorithm not in METHODS and algorithm != _RSA_SHA1:
        raise rules.ALGORITHM.denied(algorithm=algorithm or "without a name")
    if len(method):
        raise rules.SHAPE.denied(problem="SignatureMethod has parameters")
    return algorithm


def _reference(reference: etree._Element, id: str) -> bool:
    """Judges the one Reference; whether its digest is SHA-1."""
    if reference.get("URI") != "#" + id:
        raise rules.REFERENCE.denied(problem=f"URI is '{reference.get('URI', '')}', the ID of the assertion '{id}'")
    if reference.get("Type"):
        raise rules.REFERENCE.denied(problem="the Reference has a Type")
    if _tags(reference) != _REFERENCE:
        raise rules.SHAPE.denied(problem=f"the children of Reference are {_names(reference)}")
    transforms, digest, value = _children(reference)
    steps = _children(transforms)
    if [step.get("Algorithm") for step in steps] != [_ENVELOPED, EXC_C14N] or any(step.tag != _TRANSFORM for step in steps):
        raise rules.REFERENCE.denied(problem=f"the transforms are {' '.join(step.get('Algorithm', '') for step in steps)}")
    if len(steps[0]) or any(child.tag != _INCLUSIVE or len(child) for child in steps[1]):
        raise rules.SHAPE.denied(problem="a Transform has parameters")
    _few_prefixes(steps[1])
    algorithm = digest.get("Algorithm") or ""
    if algorithm not in _DIGESTS and algorithm != _SHA1:
        raise rules.ALGORITHM.denied(algorithm=algorithm or "without a name")
    if len(digest) or len(_octets(value)) != _DIGESTS.get(algorithm, 20):
        raise rules.SHAPE.denied(problem="DigestValue has not the length of its algorithm")
    return algorithm == _SHA1


def _few_prefixes(method: etree._Element) -> None:
    if len(method) > 1 or len(prefix_list(method)) > MOST_PREFIXES:
        raise rules.SHAPE.denied(problem=f"a PrefixList names more than {MOST_PREFIXES} prefixes, or there are several")


def _certificate(key_info: etree._Element) -> x509.Certificate:
    if _tags(key_info) != [_DATA]:
        raise rules.KEY_INFO.denied(problem=f"it holds {_names(key_info)}")
    data = _children(key_info)[0]
    if _tags(data) != [_CERTIFICATE]:
        raise rules.KEY_INFO.denied(problem=f"X509Data holds {_names(data)}")
    return read_certificate(_children(data)[0], "X509Certificate")


def _value(value: etree._Element, certificate: x509.Certificate, method: str) -> None:
    family = "RSA" if method == _RSA_SHA1 else METHODS[method].family
    if family != family_of(certificate):
        raise rules.ALGORITHM.denied(algorithm=f"{method} with a key of the kind {family_of(certificate)}")
    if len(_octets(value)) != value_size(certificate):
        raise rules.VALUE.denied(log="the value has not the length that the key makes")


def _octets(element: etree._Element) -> bytes:
    """Strict base64: text and nothing else."""
    try:
        if len(element):
            raise ValueError
        return binascii.a2b_base64("".join((element.text or "").split()).encode("ascii"), strict_mode=True)
    except ValueError:
        raise rules.SHAPE.denied(problem=f"{etree.QName(element).localname} is no base64") from None


def _children(element: etree._Element) -> list[etree._Element]:
    return [child for child in element if isinstance(child.tag, str)]


def _tags(element: etree._Element) -> list[str]:
    return [str(child.tag) for child in _children(element)]


def _names(element: etree._Element) -> str:
    return ", ".join(etree.QName(tag).localname for tag in _tags(element)[:8]) or "none"
