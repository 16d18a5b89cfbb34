"""Whose signature is it? The certificate, from the one place that the profile allows (WSS X.509 Token Profile 1.1: 3.2).

A certificate comes as a BinarySecurityToken or inside a KeyIdentifier; where it is only named (issuer and serial number, subject
key identifier, thumbprint) it must be an enrolled one. KeyValue, KeyName, RetrievalMethod and whatever else KeyInfo may hold
are never looked at. Whether the certificate is good is asked of `security.trust`.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from lxml import etree

from schemas.namespaces import DS, WSSE, q
from security import rules_signature as rules
from security.distinguished_name import same_name
from security.signed_info import Ids

_PROFILE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-x509-token-profile-1.0#"
X509V3 = _PROFILE + "X509v3"
SUBJECT_KEY = _PROFILE + "X509SubjectKeyIdentifier"
THUMBPRINT = "http://docs.oasis-open.org/wss/oasis-wss-soap-message-security-1.1#ThumbprintSHA1"
BASE64 = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#Base64Binary"

TOKEN, _TOKEN_REFERENCE = q(WSSE, "BinarySecurityToken"), q(WSSE, "SecurityTokenReference")
_DIRECT, _KEY_IDENTIFIER, _EMBEDDED = q(WSSE, "Reference"), q(WSSE, "KeyIdentifier"), q(DS, "X509Data")
_ISSUER_SERIAL, _ISSUER, _SERIAL = q(DS, "X509IssuerSerial"), q(DS, "X509IssuerName"), q(DS, "X509SerialNumber")
_MOST = 16 * 1024


@dataclass(slots=True)
class Enrolled:
    """The certificates that a sender may name without sending them. `certificates` is asked at each look, and may change."""

    certificates: Callable[[], Iterable[x509.Certificate]] = tuple
    _source: object = field(default=None, repr=False)
    _index: dict[tuple[str, object], list[x509.Certificate]] = field(default_factory=dict, repr=False)

    def find(self, form: str, value: object) -> list[x509.Certificate]:
        """`form` is "serial", "subject key identifier" or "thumbprint"."""
        source = self.certificates()
        if source is not self._source:
            self._source, self._index = source, _indexed(source)
        return self._index.get((form, value), [])


def _indexed(certificates: Iterable[x509.Certificate]) -> dict[tuple[str, object], list[x509.Certificate]]:
    index: dict[tuple[str, object], list[x509.Certificate]] = {}
    for certificate in certificates:
        # X.509 Token Profile 1.1: 3.2.1: the thumbprint is the SHA-1 of the certificate; it only names, it proves nothing.
        keys: list[tuple[str, object]] = [
            ("serial", certificate.serial_number),
            ("thumbprint", certificate.fingerprint(hashes.SHA1())),
        ]
        try:
            subject_key = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
            keys.append(("subject key identifier", subject_key))
        except (x509.ExtensionNotFound, ValueError):
            pass
        for key in keys:
            index.setdefault(key, []).append(certificate)
    return index


@dataclass(frozen=True, slots=True)
class Signer:
    """The certificate, and the BinarySecurityToken that it came in, if it did."""

    certificate: x509.Certificate
    token: etree._Element | None = None


def find_signer(key_info: etree._Element, header: etree._Element, ids: Ids, enrolled: Enrolled) -> Signer:
    """Who KeyInfo says has signed; `header` is the wsse:Security around it. Raises Denied SIG-015, 016 and 017."""
    reference = _one(key_info, "KeyInfo")
    if reference.tag != _TOKEN_REFERENCE:
        raise rules.TOKEN_FORM.denied(problem=f"it holds {etree.QName(reference).localname}")
    named = _one(reference, "SecurityTokenReference")
    if named.tag == _DIRECT:
        token = _token(named, key_info, header, ids)
        return Signer(_certificate(token), token)
    if named.tag == _KEY_IDENTIFIER:
        return Signer(_by_key_identifier(named, enrolled))
    if named.tag == _EMBEDDED:
        return Signer(_by_issuer_serial(named, enrolled))
    raise rules.TOKEN_FORM.denied(problem=f"SecurityTokenReference holds {etree.QName(named).localname}")


def _one(parent: etree._Element, name: str) -> etree._Element:
    children = [child for child in parent if isinstance(child.tag, str)]
    if len(children) != 1:
        raise rules.TOKEN_FORM.denied(problem=f"{name} has {len(children)} children")
    return children[0]


def _token(named: etree._Element, key_info: etree._Element, header: etree._Element, ids: Ids) -> etree._Element:
    uri = named.get("URI") or ""
    token = ids.get(uri[1:]) if uri.startswith("#") else None
    if token is None or token.tag != TOKEN or token.getparent() is not header:
        raise rules.TOKEN_FORM.denied(problem=f"'{uri[:60]}' is no BinarySecurityToken of this header")
    signature = key_info.getparent()
    if signature is not None and header.index(token) > header.index(signature):
        raise rules.TOKEN_FORM.denied(problem="the BinarySecurityToken stands behind the signature")
    if token.get("ValueType") != X509V3 or token.get("EncodingType", BASE64) != BASE64:
        raise rules.TOKEN_FORM.denied(problem=f"the token is of type '{(token.get('ValueType') or '')[-60:]}'")
    return token


def _certificate(element: etree._Element) -> x509.Certificate:
    return _load(_base64(element))


@lru_cache(maxsize=1024)
def _load(text: str) -> x509.Certificate:
    """Senders are few and send their certificate with every message."""
    try:
        return x509.load_der_x509_certificate(_decoded(text))
    except (ValueError, TypeError, x509.InvalidVersion):
        raise rules.TOKEN_UNREADABLE.denied() from None


def _octets(element: etree._Element) -> bytes:
    return _decoded(_base64(element))


def _base64(element: etree._Element) -> str:
    text = "".join((element.text or "").split())
    if len(element) or not text or len(text) > _MOST:
        raise rules.TOKEN_UNREADABLE.denied()
    return text


def _decoded(text: str) -> bytes:
    try:
        return binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except (ValueError, binascii.Error):
        raise rules.TOKEN_UNREADABLE.denied() from None


def _by_key_identifier(named: etree._Element, enrolled: Enrolled) -> x509.Certificate:
    kind = named.get("ValueType") or ""
    if named.get("EncodingType", BASE64) != BASE64:
        raise rules.TOKEN_FORM.denied(problem="the KeyIdentifier is not Base64Binary")
    if kind == X509V3:
        return _certificate(named)
    forms = {SUBJECT_KEY: "subject key identifier", THUMBPRINT: "thumbprint"}
    if kind not in forms:
        raise rules.TOKEN_FORM.denied(problem=f"the KeyIdentifier is of type '{kind[-60:]}'")
    return _known(enrolled.find(forms[kind], _octets(named)), forms[kind])


def _by_issuer_serial(named: etree._Element, enrolled: Enrolled) -> x509.Certificate:
    pair = _one(named, "X509Data")
    children = [child for child in pair if isinstance(child.tag, str)]
    serial = (children[1].text or "").strip() if len(children) == 2 else ""
    if pair.tag != _ISSUER_SERIAL or [c.tag for c in children] != [_ISSUER, _SERIAL] or not re.fullmatch(r"[0-9]{1,60}", serial):
        raise rules.TOKEN_FORM.denied(problem="X509Data is not one X509IssuerSerial with a name and a decimal number")
    issuer = children[0].text or ""
    return _known([c for c in enrolled.find("serial", int(serial)) if same_name(issuer, c.issuer)], "issuer and serial number")


def _known(found: list[x509.Certificate], form: str) -> x509.Certificate:
    """One certificate; the same one enrolled twice is one."""
    if not found or any(other != found[0] for other in found[1:]):
        raise rules.TOKEN_UNKNOWN.denied(form=form)
    return found[0]
