"""The gate to xmlsec: the only file that imports it, and the only place where an XML signature is computed or verified.

xmlsec never chooses a key here and never follows a reference: the key is pinned to a certificate that our own code took from the
one place the profile allows, algorithms come from lists, and a structural gate stands in front of every call
(`security/saml_signature.py` for assertions, `security/signed_info.py` for messages). A message's digests are computed by us
(`security/canonical.py`), since xmlsec only digests what is in the tree: of a message it verifies the value over SignedInfo.
Source: XML Signature Syntax and Processing 1.1.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import xmlsec as _xmlsec
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from lxml import etree

xmlsec: Any = _xmlsec  # its type stubs lack half of the module
_T = xmlsec.Transform
#: Digests and transforms of references that are computed at all.
_REFERENCE = (_T.EXCL_C14N, _T.ENVELOPED, _T.SHA256, _T.SHA384, _T.SHA512)
#: Signature methods that are computed at all.
_SIGNATURE = (_T.EXCL_C14N, _T.RSA_SHA256, _T.RSA_SHA384, _T.RSA_SHA512, _T.ECDSA_SHA256, _T.ECDSA_SHA384)
_SHA1 = (_T.SHA1,)
_RSA_SHA1 = (_T.RSA_SHA1,)


_MORE = "http://www.w3.org/2001/04/xmldsig-more#"


@dataclass(frozen=True, slots=True)
class Method:
    """One accepted signature method: the key's family, and its name in xmlsec."""

    family: str
    transform: Any


#: The whole list of signature methods of messages, by URI (XML Signature 1.1: 6.4; RFC 6931: 2.3).
METHODS = {
    _MORE + "rsa-sha256": Method("RSA", _T.RSA_SHA256),
    _MORE + "rsa-sha384": Method("RSA", _T.RSA_SHA384),
    _MORE + "rsa-sha512": Method("RSA", _T.RSA_SHA512),
    _MORE + "ecdsa-sha256": Method("EC", _T.ECDSA_SHA256),
    _MORE + "ecdsa-sha384": Method("EC", _T.ECDSA_SHA384),
}


class BadSignature(Exception):
    """The value does not fit the key, or what was signed has changed. The text is for the operator's log."""


@lru_cache(maxsize=512)
def _public_key(certificate: x509.Certificate) -> Any:
    """The bare key: with the certificate around it each use would copy and parse that again."""
    pem = certificate.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return xmlsec.Key.from_memory(pem, xmlsec.KeyFormat.PEM, None)


def verify_enveloped(element: etree._Element, certificate: x509.Certificate, *, sha1: bool = False) -> None:
    """Verify the enveloped signature that is the direct child of `element`, with the key of `certificate` and no other.

    The reference names `element` by its attribute `ID`. Only for an element whose signature passed the structural gate. `sha1`
    also lets RSA-SHA1 and SHA-1 pass (an issuer's dated exemption). Raises BadSignature.
    """
    signature = element.find("{http://www.w3.org/2000/09/xmldsig#}Signature")
    if signature is None:
        raise BadSignature("no signature")
    context = xmlsec.SignatureContext()
    context.key = copy.copy(_public_key(certificate))
    context.set_enabled_key_data([xmlsec.KeyData.X509])
    for transform in _REFERENCE + (_SHA1 if sha1 else ()):
        context.enable_reference_transform(transform)
    for transform in _SIGNATURE + (_RSA_SHA1 if sha1 else ()):
        context.enable_signature_transform(transform)
    context.register_id(element, "ID")
    try:
        context.verify(signature)
    except xmlsec.Error as error:
        raise BadSignature(str(error)) from None


def sign_enveloped(element: etree._Element, key_pem: bytes, certificate_pem: bytes, *, position: int = 1) -> bytes:
    """Put an enveloped signature over `element` (named by its attribute `ID`) at `position` among its children; the octets.

    Exclusive canonical form, SHA-256, RSA or ECDSA as the key is; the certificate stands in ds:KeyInfo.
    """
    # The certificate tells the family: to load an RSA key checks its primes, which takes longer than to sign.
    family = family_of(x509.load_pem_x509_certificate(certificate_pem))
    method = _T.ECDSA_SHA256 if family == "EC" else _T.RSA_SHA256
    signature = xmlsec.template.create(element, _T.EXCL_C14N, method, ns="ds")
    element.insert(position, signature)
    reference = xmlsec.template.add_reference(signature, _T.SHA256, uri="#" + element.get("ID", ""))
    xmlsec.template.add_transform(reference, _T.ENVELOPED)
    xmlsec.template.add_transform(reference, _T.EXCL_C14N)
    data = xmlsec.template.add_x509_data(xmlsec.template.ensure_key_info(signature))
    xmlsec.template.x509_data_add_certificate(data)
    context = xmlsec.SignatureContext()
    context.key = xmlsec.Key.from_memory(key_pem, xmlsec.KeyFormat.PEM, None)
    context.key.load_cert_from_memory(certificate_pem, xmlsec.KeyFormat.CERT_PEM)
    context.register_id(element, "ID")
    context.sign(signature)
    return etree.tostring(element)


def family_of(certificate: x509.Certificate) -> str:
    """The kind of its key: RSA, EC, or another name."""
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return "RSA"
    return "EC" if isinstance(key, ec.EllipticCurvePublicKey) else type(key).__name__


def value_size(certificate: x509.Certificate) -> int:
    """Octets of every right signature value under this certificate's key; 0 for a key that no method here has."""
    key = certificate.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        return 2 * ((key.curve.key_size + 7) // 8)
    return (key.key_size + 7) // 8 if isinstance(key, rsa.RSAPublicKey) else 0


def verify_octets(certificate: x509.Certificate, method: str, octets: bytes, value: bytes) -> None:
    """Verify `value` over `octets` (the canonical SignedInfo) with the key of `certificate` and no other.

    `method` is a URI of METHODS. Raises BadSignature.
    """
    transform = METHODS[method].transform
    context = xmlsec.SignatureContext()
    context.key = copy.copy(_public_key(certificate))
    context.set_enabled_key_data([xmlsec.KeyData.X509])
    context.enable_signature_transform(transform)
    try:
        context.verify_binary(octets, transform, value)
    except xmlsec.Error as error:
        raise BadSignature(str(error)) from None


class SigningKey:
    """A private key and its certificate. Raises ValueError when they do not belong together or no method here has such a key."""

    def __init__(self, certificate_pem: bytes, key_pem: bytes) -> None:
        self.certificate = x509.load_pem_x509_certificate(certificate_pem)
        key = serialization.load_pem_private_key(key_pem, None)
        if key.public_key() != self.certificate.public_key():
            raise ValueError("the key is not that of the certificate")
        if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
            raise ValueError(f"messages are signed with RSA and EC keys, not with {type(key).__name__}")
        self.method = _MORE + ("rsa-sha256" if isinstance(key, rsa.RSAPrivateKey) else "ecdsa-sha256")
        plain = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        self._key = xmlsec.Key.from_memory(plain, xmlsec.KeyFormat.PEM, None)

    def sign(self, octets: bytes) -> bytes:
        """The signature value of `octets` under `method`; ECDSA as r and s side by side."""
        context = xmlsec.SignatureContext()
        context.key = copy.copy(self._key)
        value: bytes = context.sign_binary(octets, METHODS[self.method].transform)
        return value
