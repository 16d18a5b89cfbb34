"""Every known way to make a server believe what was not signed, each refused by its rule; the message that is attacked passes.

Signature wrapping after McIntosh and Austel, and Somorovsky; algorithm downgrade (CVE-2025-48994, CVE-2009-0217), key confusion
(CVE-2021-21239, CVE-2021-40690), dereferencing (CVE-2023-36661), void canonicalisation (CVE-2025-66568), values with comments
(CVE-2025-29775), zero ECDSA (CVE-2022-21449). The messages are signed by xmlsec as a whole, not by our own writer. The table is
one piece, so that what is missing shows.
"""

from __future__ import annotations

import base64
import copy
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import xmlsec
from lxml import etree

from tests.security import foreign_signing as peer
from tests.security.foreign_signing import PARTS, Pki, T, ds, parse, part, soap, wsa, wsse, wsu
from tests.soap.messages import ITI_18, ITI_42, QUERY, Got, Recorder, Sent

URL = "http://xds.example.org/xds/registry"
NEW = "{urn:w}Wrapper"
E = etree._Element
Result = E | bytes


@dataclass(frozen=True)
class Attack:
    """What is done to a good message, and the rule that refuses the result."""

    rule: str
    run: Callable[[E, Pki], Result]


ATTACKS: dict[str, Attack] = {}


def attack(name: str, rule: str) -> Callable[[Callable[[E, Pki], Result]], Callable[[E, Pki], Result]]:
    def keep(run: Callable[[E, Pki], Result]) -> Callable[[E, Pki], Result]:
        assert name not in ATTACKS
        ATTACKS[name] = Attack(rule, run)
        return run

    return keep


def fresh(pki: Pki, who: str = "alice", *, to: str = URL, parts: tuple[str, ...] = (*PARTS, "Token"), **how: object) -> E:
    """A signed ITI-18. `how` goes to `build` (now, ttl) and `sign` (method, digest, prefixes)."""
    built = {key: how.pop(key) for key in ("now", "ttl", "message_id") if key in how}
    envelope = peer.build(QUERY.encode(), ITI_18, to, **built)  # type: ignore[arg-type]
    return peer.sign(envelope, pki.peer(who), parts, **how)  # type: ignore[arg-type]


def post(recorder: Recorder, message: Result, path: str = "/xds/registry", action: str = ITI_18) -> Got:
    octets = message if isinstance(message, bytes) else etree.tostring(message)
    return recorder.post(Sent(path, f'application/soap+xml; charset=UTF-8; action="{action}"', octets))


def evil_body(envelope: E, *, same_id: bool = False) -> E:
    """A copy of the Body that asks something else."""
    body = copy.deepcopy(part(envelope, "Body"))
    next(body.iter("{*}Value")).text = "'evil^^^&1.2.3&ISO'"
    if not same_id:
        body.set(wsu("Id"), "evil")
    return body


# ------------------------------------------------------------------------------------------------------------- wrapping


@attack("a tampered Body", "SIG-019")
def _(e: E, pki: Pki) -> Result:
    next(part(e, "Body").iter("{*}Value")).text = "'evil^^^&1.2.3&ISO'"
    return e


@attack("XSW 1: the signed Body in a new header, a new Body without id", "SIG-022")
def _(e: E, pki: Pki) -> Result:
    evil = evil_body(e)
    etree.SubElement(part(e, "Header"), NEW).append(part(e, "Body"))
    e.append(evil)
    return e


@attack("XSW 2: the signed Body in a new header, a new Body with the same id", "SIG-012")
def _(e: E, pki: Pki) -> Result:
    evil = evil_body(e, same_id=True)
    etree.SubElement(part(e, "Header"), NEW).append(part(e, "Body"))
    e.append(evil)
    return e


@attack("XSW 3: a second Body behind the signed one", "SOAP-ENVELOPE")
def _(e: E, pki: Pki) -> Result:
    e.append(evil_body(e))
    return e


@attack("XSW 4: a second Body before the signed one", "SOAP-ENVELOPE")
def _(e: E, pki: Pki) -> Result:
    e.insert(1, evil_body(e))
    return e


@attack("XSW 5: the signed Body inside the new one", "SOAP-ENVELOPE")
def _(e: E, pki: Pki) -> Result:
    evil, old = evil_body(e), part(e, "Body")
    e.append(evil)
    evil.append(old)
    return e


@attack("XSW 5b: the signed Body deep inside the new one", "SIG-022")
def _(e: E, pki: Pki) -> Result:
    evil, old = evil_body(e), part(e, "Body")
    e.append(evil)
    evil[0][0].append(old)
    return e


@attack("XSW 6: the signed Body in a ds:Object", "SIG-004")
def _(e: E, pki: Pki) -> Result:
    evil = evil_body(e)
    etree.SubElement(part(e, "Signature"), ds("Object")).append(part(e, "Body"))
    e.append(evil)
    return e


@attack("XSW 7: the signed Body in an extension of wsse:Security", "SIG-022")
def _(e: E, pki: Pki) -> Result:
    evil = evil_body(e)
    etree.SubElement(part(e, "Security"), NEW).append(part(e, "Body"))
    e.append(evil)
    return e


@attack("XSW 8: the signed Body in KeyInfo", "SIG-013")
def _(e: E, pki: Pki) -> Result:
    evil = evil_body(e)
    part(e, "KeyInfo").append(part(e, "Body"))
    e.append(evil)
    return e


@attack("XSW of the Timestamp: the signed one moved aside", "SIG-022")
def _(e: E, pki: Pki) -> Result:
    old = part(e, "Timestamp")
    new = copy.deepcopy(old)
    new.set(wsu("Id"), "new-time")
    etree.SubElement(part(e, "Header"), NEW).append(old)
    part(e, "Security").insert(0, new)
    return e


@attack("XSW of the Timestamp inside wsse:Security", "SIG-024")
def _(e: E, pki: Pki) -> Result:
    old = part(e, "Timestamp")
    new = copy.deepcopy(old)
    new.set(wsu("Id"), "new-time")
    part(e, "Security").insert(0, new)
    etree.SubElement(part(e, "Security"), NEW).append(old)
    return e


@attack("XSW of wsa:To: the signed one moved aside", "SIG-022")
def _(e: E, pki: Pki) -> Result:
    old = part(e, "To")
    new = copy.deepcopy(old)
    new.set(wsu("Id"), "new-to")
    etree.SubElement(part(e, "Header"), NEW).append(old)
    part(e, "Header").append(new)
    return e


@attack("XSW of wsa:Action: the signed one inside an unsigned header", "SIG-022")
def _(e: E, pki: Pki) -> Result:
    old = part(e, "Action")
    new = copy.deepcopy(old)
    new.attrib.pop(wsu("Id"))
    part(e, "Header").replace(old, new)
    etree.SubElement(part(e, "Header"), NEW).append(old)
    return e


@attack("a second wsse:Security for another actor", "SIG-002")
def _(e: E, pki: Pki) -> Result:
    second = etree.SubElement(part(e, "Header"), wsse("Security"))
    second.set(soap("role"), "http://www.w3.org/2003/05/soap-envelope/role/next")
    etree.SubElement(second, "{urn:w}nothing")
    return e


@attack("a second wsse:Security inside another header", "SIG-002")
def _(e: E, pki: Pki) -> Result:
    etree.SubElement(etree.SubElement(part(e, "Header"), NEW), wsse("Security"))
    return e


@attack("wsse:Security with the signature in the Body only", "SIG-001")
def _(e: E, pki: Pki) -> Result:
    part(e, "Body")[0].append(part(e, "Security"))
    return e


@attack("no signature", "SIG-001")
def _(e: E, pki: Pki) -> Result:
    part(e, "Security").remove(part(e, "Signature"))
    return e


@attack("an unsigned FaultTo", "SIG-022")
def _(e: E, pki: Pki) -> Result:
    etree.SubElement(etree.SubElement(part(e, "Header"), wsa("FaultTo")), wsa("Address")).text = peer.WSA + "/anonymous"
    return e


@attack("an unsigned RelatesTo", "SIG-022")
def _(e: E, pki: Pki) -> Result:
    etree.SubElement(part(e, "Header"), wsa("RelatesTo")).text = "urn:uuid:9c5d7b39-6d64-4d2c-9d2f-5ab8d6c60001"
    return e


@attack("an unsigned From", "SIG-022")
def _(e: E, pki: Pki) -> Result:
    etree.SubElement(etree.SubElement(part(e, "Header"), wsa("From")), wsa("Address")).text = "urn:somebody"
    return e


# ------------------------------------------------------------------------------------------------------------------ ids


@attack("the same id as Id on another element", "SIG-012")
def _(e: E, pki: Pki) -> Result:
    etree.SubElement(part(e, "Header"), NEW).set("Id", str(part(e, "Body").get(wsu("Id"))))
    return e


@attack("the same id as xml:id, earlier in the document", "SIG-012")
def _(e: E, pki: Pki) -> Result:
    new = etree.Element(NEW)
    new.set("{http://www.w3.org/XML/1998/namespace}id", str(part(e, "Body").get(wsu("Id"))))
    part(e, "Header").insert(0, new)
    return e


@attack("the same id as AssertionID", "SIG-012")
def _(e: E, pki: Pki) -> Result:
    etree.SubElement(part(e, "Header"), NEW).set("AssertionID", str(part(e, "Timestamp").get(wsu("Id"))))
    return e


@attack("the same id as ID in the Body", "SIG-012")
def _(e: E, pki: Pki) -> Result:
    part(e, "Body")[0].set("ID", str(part(e, "Body").get(wsu("Id"))))
    return e


@attack("an id that does not exist", "SIG-011")
def _(e: E, pki: Pki) -> Result:
    next(part(e, "Signature").iter(ds("Reference"))).set("URI", "#nobody")
    return e


@attack("ebRIM's lower-case id is none", "SIG-011")
def _(e: E, pki: Pki) -> Result:
    part(e, "Body")[0].set("id", "lower")
    next(part(e, "Signature").iter(ds("Reference"))).set("URI", "#lower")
    return e


# ----------------------------------------------------------------------------------------------------------- algorithms


def signed_with(**how: object) -> Callable[[E, Pki], Result]:
    return lambda e, pki: fresh(pki, **how)  # type: ignore[arg-type]


for _name, _rule, _how in (
    ("RSA with SHA-1", "SIG-006", {"method": T.RSA_SHA1}),
    ("RSA with MD5", "SIG-006", {"method": T.RSA_MD5}),
    ("RSA with RIPEMD-160", "SIG-006", {"method": T.RSA_RIPEMD160}),
    ("RSA with SHA-224", "SIG-006", {"method": T.RSA_SHA224}),
    ("digests with SHA-1", "SIG-007", {"digest": T.SHA1}),
    ("digests with MD5", "SIG-007", {"digest": T.MD5}),
    ("digests with SHA-224", "SIG-007", {"digest": T.SHA224}),
):
    attack(_name, _rule)(signed_with(**_how))

for _name in PARTS:
    attack(f"{_name} is not signed", "SIG-022")(signed_with(parts=tuple(one for one in PARTS if one != _name)))


@attack("HMAC keyed with the public certificate", "SIG-006")
def _(e: E, pki: Pki) -> Result:
    signature = part(e, "Signature")
    next(signature.iter(ds("SignatureMethod"))).set("Algorithm", "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256")
    key_info = part(e, "KeyInfo")
    signature.remove(key_info)
    context = xmlsec.SignatureContext()
    context.key = xmlsec.Key.from_binary_data(xmlsec.KeyData.HMAC, pki.peer("alice").certificate)
    xmlsec.tree.add_ids(e, ["Id"])
    context.sign(signature)
    signature.append(key_info)
    return e


@attack("HMACOutputLength in SignatureMethod", "SIG-004")
def _(e: E, pki: Pki) -> Result:
    etree.SubElement(next(part(e, "Signature").iter(ds("SignatureMethod"))), ds("HMACOutputLength")).text = "8"
    return e


@attack("the method of another family than the key", "SIG-020")
def _(e: E, pki: Pki) -> Result:
    next(part(e, "Signature").iter(ds("SignatureMethod"))).set("Algorithm", "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256")
    return e


@attack("SignedInfo canonicalised inclusively", "SIG-005")
def _(e: E, pki: Pki) -> Result:
    method = next(part(e, "Signature").iter(ds("CanonicalizationMethod")))
    method.set("Algorithm", "http://www.w3.org/TR/2001/REC-xml-c14n-20010315")
    return e


@attack("SignedInfo canonicalised with comments", "SIG-005")
def _(e: E, pki: Pki) -> Result:
    method = next(part(e, "Signature").iter(ds("CanonicalizationMethod")))
    method.set("Algorithm", "http://www.w3.org/2001/10/xml-exc-c14n#WithComments")
    return e


@attack("something else below the canonicalisation", "SIG-004")
def _(e: E, pki: Pki) -> Result:
    etree.SubElement(next(part(e, "Signature").iter(ds("CanonicalizationMethod"))), ds("XPath")).text = "/"
    return e


# ----------------------------------------------------------------------------------------------------------- references


def first_reference(e: E) -> E:
    return next(part(e, "Signature").iter(ds("Reference")))


def named(uri: str) -> Callable[[E, Pki], Result]:
    def run(e: E, pki: Pki) -> Result:
        first_reference(e).set("URI", uri)
        return e

    return run


for _name in (
    "file:///dev/zero", "/dev/zero", "http://127.0.0.1:9/", "", "#", "#xpointer(/)", "#xpointer(id('x'))", "cid:a@b", "#a b",
    "#1", "##x", "#" + "a" * 200,
):  # fmt: skip
    attack(f"reference to '{_name[:30]}'", "SIG-010")(named(_name))


@attack("reference without URI", "SIG-010")
def _(e: E, pki: Pki) -> Result:
    first_reference(e).attrib.pop("URI")
    return e


def transformed(algorithm: str, inner: str = "", *, only: bool = False) -> Callable[[E, Pki], Result]:
    def run(e: E, pki: Pki) -> Result:
        transforms = next(part(e, "Signature").iter(ds("Transforms")))
        if only:
            del transforms[:]
        transform = etree.Element(ds("Transform"), Algorithm=algorithm)
        if inner:
            transform.append(etree.fromstring(inner))
        transforms.insert(0, transform)
        return e

    return run


_XSLT = '<xsl:stylesheet xmlns:xsl="http://www.w3.org/1999/XSL/Transform" version="1.0"/>'
_XPATH = f'<XPath xmlns="{peer.DS}">not(ancestor-or-self::*[local-name()="Value"])</XPath>'
attack("XSLT", "SIG-008")(transformed("http://www.w3.org/TR/1999/REC-xslt-19991116", _XSLT))
attack("XPath that hides a part", "SIG-008")(transformed("http://www.w3.org/TR/1999/REC-xpath-19991116", _XPATH))
attack("XPath filter 2", "SIG-008")(transformed("http://www.w3.org/2002/06/xmldsig-filter2"))
attack("base64", "SIG-008")(transformed(peer.DS + "base64"))
attack("enveloped signature", "SIG-008")(transformed(peer.DS + "enveloped-signature"))
attack("inclusive canonicalisation", "SIG-008")(transformed("http://www.w3.org/TR/2001/REC-xml-c14n-20010315", only=True))
attack("with comments", "SIG-008")(transformed("http://www.w3.org/2001/10/xml-exc-c14n#WithComments", only=True))
attack("a decryption transform", "SIG-008")(transformed("http://www.w3.org/2002/07/decrypt#XML", only=True))
_STR = peer._OASIS + "soap-message-security-1.0#STR-Transform"
attack("STR-Transform without parameters", "SIG-031")(transformed(_STR, only=True))
attack("STR-Transform over the Body", "SIG-031")(
    transformed(
        _STR,
        f'<wsse:TransformationParameters xmlns:wsse="{peer.WSSE}"><ds:CanonicalizationMethod xmlns:ds="{peer.DS}" '
        'Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/></wsse:TransformationParameters>',
        only=True,
    )
)


@attack("no Transforms", "SIG-008")
def _(e: E, pki: Pki) -> Result:
    reference = first_reference(e)
    reference.remove(reference[0])
    return e


@attack("no transform in Transforms", "SIG-008")
def _(e: E, pki: Pki) -> Result:
    del first_reference(e)[0][:]
    return e


@attack("a reference of type Manifest", "SIG-014")
def _(e: E, pki: Pki) -> Result:
    first_reference(e).set("Type", peer.DS + "Manifest")
    return e


@attack("64 references more", "SIG-009")
def _(e: E, pki: Pki) -> Result:
    reference = first_reference(e)
    for _ in range(64):
        part(e, "SignedInfo").append(copy.deepcopy(reference))
    return e


@attack("no reference", "SIG-009")
def _(e: E, pki: Pki) -> Result:
    del part(e, "SignedInfo")[2:]
    return e


@attack("a reference to the signature's own KeyInfo", "SIG-013")
def _(e: E, pki: Pki) -> Result:
    part(e, "KeyInfo").set("Id", "key-info")
    first_reference(e).set("URI", "#key-info")
    return e


@attack("a digest with a comment in it", "SIG-021")
def _(e: E, pki: Pki) -> Result:
    next(part(e, "Signature").iter(ds("DigestValue"))).append(etree.Comment("x"))
    return e


@attack("a digest that is no base64", "SIG-021")
def _(e: E, pki: Pki) -> Result:
    next(part(e, "Signature").iter(ds("DigestValue"))).text = "!!!!"
    return e


@attack("a digest cut short", "SIG-021")
def _(e: E, pki: Pki) -> Result:
    next(part(e, "Signature").iter(ds("DigestValue"))).text = base64.b64encode(b"x" * 16).decode()
    return e


@attack("something else in SignedInfo", "SIG-004")
def _(e: E, pki: Pki) -> Result:
    etree.SubElement(part(e, "SignedInfo"), ds("Object"))
    return e


# ------------------------------------------------------------------------------------------------- key and signature value


def key_value(pki: Pki, who: str) -> E:
    numbers = pki.peer(who).x509.public_key().public_numbers()  # type: ignore[union-attr]
    octets = [n.to_bytes((n.bit_length() + 7) // 8, "big") for n in (numbers.n, numbers.e)]  # type: ignore[union-attr]
    value = etree.Element(ds("KeyValue"))
    rsa = etree.SubElement(value, ds("RSAKeyValue"))
    for name, one in zip(("Modulus", "Exponent"), octets, strict=True):
        etree.SubElement(rsa, ds(name)).text = base64.b64encode(one).decode()
    return value


@attack("the attacker's RSAKeyValue instead of a token", "SIG-015")
def _(e: E, pki: Pki) -> Result:
    message = fresh(pki, "xmallory")
    key_info = part(message, "KeyInfo")
    del key_info[:]
    key_info.append(key_value(pki, "xmallory"))
    return message


@attack("RetrievalMethod to the attacker's RSAKeyValue elsewhere", "SIG-015")
def _(e: E, pki: Pki) -> Result:
    message = fresh(pki, "xmallory")
    value = key_value(pki, "xmallory")[0]
    value.set("Id", "kv")
    etree.SubElement(part(message, "Header"), NEW).append(value)
    key_info = part(message, "KeyInfo")
    del key_info[:]
    etree.SubElement(key_info, ds("RetrievalMethod"), URI="#kv", Type=peer.DS + "RSAKeyValue")
    return message


@attack("a token reference and a KeyValue beside it", "SIG-015")
def _(e: E, pki: Pki) -> Result:
    part(e, "KeyInfo").append(key_value(pki, "xmallory"))
    return e


@attack("KeyName", "SIG-015")
def _(e: E, pki: Pki) -> Result:
    del part(e, "KeyInfo")[:]
    etree.SubElement(part(e, "KeyInfo"), ds("KeyName")).text = "alice"
    return e


@attack("the certificate bare in KeyInfo", "SIG-015")
def _(e: E, pki: Pki) -> Result:
    del part(e, "KeyInfo")[:]
    data = etree.SubElement(part(e, "KeyInfo"), ds("X509Data"))
    etree.SubElement(data, ds("X509Certificate")).text = base64.b64encode(pki.peer("alice").der).decode()
    return e


@attack("a token of another header", "SIG-015")
def _(e: E, pki: Pki) -> Result:
    etree.SubElement(part(e, "Header"), NEW).append(part(e, "Token"))
    return e


@attack("a token behind the signature", "SIG-015")
def _(e: E, pki: Pki) -> Result:
    part(e, "Security").append(part(e, "Token"))
    return e


@attack("a token of type PKIPath", "SIG-015")
def _(e: E, pki: Pki) -> Result:
    part(e, "Token").set("ValueType", peer._OASIS + "x509-token-profile-1.0#X509PKIPathv1")
    return e


@attack("a token that is no certificate", "SIG-017")
def _(e: E, pki: Pki) -> Result:
    part(e, "Token").text = base64.b64encode(b"0\x82nothing").decode()
    return e


@attack("a token with a comment in it", "SIG-017")
def _(e: E, pki: Pki) -> Result:
    part(e, "Token").append(etree.Comment("x"))
    return e


def named_key(inner: str) -> Callable[[E, Pki], Result]:
    def run(e: E, pki: Pki) -> Result:
        reference = part(e, "KeyInfo")[0]
        del reference[:]
        reference.append(etree.fromstring(inner))
        return e

    return run


_SERIAL = (
    f'<ds:X509Data xmlns:ds="{peer.DS}"><ds:X509IssuerSerial><ds:X509IssuerName>CN=nobody</ds:X509IssuerName>'
    "<ds:X509SerialNumber>{}</ds:X509SerialNumber></ds:X509IssuerSerial></ds:X509Data>"
)
attack("a serial number that nobody has", "SIG-016")(named_key(_SERIAL.format("12345")))
attack("a serial number that is none", "SIG-015")(named_key(_SERIAL.format("0x12")))
_THUMB = (
    f'<wsse:KeyIdentifier xmlns:wsse="{peer.WSSE}" EncodingType="{peer.BASE64}" '
    'ValueType="http://docs.oasis-open.org/wss/oasis-wss-soap-message-security-1.1#{}">{}</wsse:KeyIdentifier>'
)
attack("a thumbprint that nobody has", "SIG-016")(
    named_key(_THUMB.format("ThumbprintSHA1", base64.b64encode(b"x" * 20).decode()))
)
attack("a key identifier of another kind", "SIG-015")(named_key(_THUMB.format("EncryptedKeySHA1", "AAAA")))


@attack("the attacker signs, the token is the victim's", "SIG-018")
def _(e: E, pki: Pki) -> Result:
    message = fresh(pki, "xmallory", parts=PARTS)
    part(message, "Token").text = base64.b64encode(pki.peer("alice").der).decode()
    return message


@attack("a second signature, the attacker's", "SIG-003")
def _(e: E, pki: Pki) -> Result:
    part(e, "Security").append(part(fresh(pki, "xmallory"), "Signature"))
    return e


@attack("a certificate of another authority", "PKI-001")
def _(e: E, pki: Pki) -> Result:
    return fresh(pki, "xmallory")


@attack("a revoked certificate", "PKI-004")
def _(e: E, pki: Pki) -> Result:
    return fresh(pki, "revoked")


@attack("an expired certificate", "PKI-003")
def _(e: E, pki: Pki) -> Result:
    return fresh(pki, "expired")


@attack("the authority's own certificate", "PKI-012")
def _(e: E, pki: Pki) -> Result:
    folder = pki.folder / "believed"
    authority = peer.Peer((folder / "ca.crt").read_bytes(), (folder / "ca.key").read_bytes())
    return peer.sign(peer.build(QUERY.encode(), ITI_18, URL), authority)


@attack("an ECDSA value of zeros", "SIG-018")
def _(e: E, pki: Pki) -> Result:
    message = fresh(pki, "carole")
    next(message.iter(ds("SignatureValue"))).text = base64.b64encode(bytes(64)).decode()
    return message


@attack("an ECDSA value of another length", "SIG-021")
def _(e: E, pki: Pki) -> Result:
    message = fresh(pki, "carole")
    next(message.iter(ds("SignatureValue"))).text = base64.b64encode(bytes(66)).decode()
    return message


@attack("a signature value cut short", "SIG-021")
def _(e: E, pki: Pki) -> Result:
    next(e.iter(ds("SignatureValue"))).text = base64.b64encode(bytes(255)).decode()
    return e


@attack("SignedInfo changed", "SIG-018")
def _(e: E, pki: Pki) -> Result:
    next(e.iter(ds("DigestValue"))).text = base64.b64encode(b"x" * 32).decode()
    return e


@attack("KeyInfo before SignedInfo", "SIG-004")
def _(e: E, pki: Pki) -> Result:
    part(e, "Signature").insert(0, part(e, "KeyInfo"))
    return e


@attack("an encrypted key beside", "SIG-032")
def _(e: E, pki: Pki) -> Result:
    etree.SubElement(part(e, "Security"), "{http://www.w3.org/2001/04/xmlenc#}EncryptedKey")
    return e


# --------------------------------------------------------------------------------------------------------------- octets


@attack("a DTD with an entity", "WIRE-050")
def _(e: E, pki: Pki) -> Result:
    return b'<!DOCTYPE x [<!ENTITY e "v">]>' + etree.tostring(e)


@attack("a DTD that declares an ID attribute", "WIRE-050")
def _(e: E, pki: Pki) -> Result:
    return b"<!DOCTYPE x [<!ATTLIST y foo ID #IMPLIED>]>" + etree.tostring(e)


@attack("a processing instruction", "WIRE-050")
def _(e: E, pki: Pki) -> Result:
    return etree.tostring(e).replace(b"<query:ResponseOption", b"<?evil ?><query:ResponseOption")


@attack("a relative namespace that canonicalisation cannot do", "SIG-030")
def _(e: E, pki: Pki) -> Result:
    return etree.tostring(e).replace(b"<query:ResponseOption", b'<query:ResponseOption xmlns:n="1"')


@attack("a comment that splits MessageID", "SIG-023")
def _(e: E, pki: Pki) -> Result:
    element = part(e, "MessageID")
    text = element.text or ""
    comment = etree.Comment("x")
    element.text, comment.tail = text[:20], text[20:]
    element.append(comment)
    return e


# ------------------------------------------------------------------------------------------------- time and destination


def at(**shift: float) -> Callable[[E, Pki], Result]:
    return lambda e, pki: fresh(pki, now=datetime.now(UTC) + timedelta(**shift))


attack("created two hours ago", "SIG-026")(at(hours=-2))
attack("created 361 seconds ago", "SIG-026")(at(seconds=-361))
attack("created in two hours", "SIG-025")(at(hours=2))
attack("created in 65 seconds", "SIG-025")(at(seconds=65))
attack("expired 61 seconds ago", "SIG-026")(signed_with(now=datetime.now(UTC) - timedelta(seconds=71), ttl=10))
attack("valid for a hundred years, made two hours ago", "SIG-026")(
    lambda e, pki: fresh(pki, now=datetime.now(UTC) - timedelta(hours=2), ttl=3_153_600_000)
)


def timed(change: Callable[[E], None]) -> Callable[[E, Pki], Result]:
    """A message whose Timestamp is odd and signed."""

    def run(e: E, pki: Pki) -> Result:
        envelope = peer.build(QUERY.encode(), ITI_18, URL)
        change(part(envelope, "Timestamp"))
        return peer.sign(envelope, pki.peer("alice"))

    return run


def _set(place: int, change: Callable[[str], str]) -> Callable[[E], None]:
    def run(timestamp: E) -> None:
        timestamp[place].text = change(timestamp[place].text or "")

    return run


def _swap(timestamp: E) -> None:
    timestamp[0].text, timestamp[1].text = timestamp[1].text, timestamp[0].text


for _name, _change in (
    ("no Expires", lambda t: t.remove(t[1])),
    ("no Created", lambda t: t.remove(t[0])),
    ("two Created", lambda t: t.insert(0, copy.deepcopy(t[0]))),
    ("more than two moments", lambda t: etree.SubElement(t, wsu("Received"))),
    ("a comment in Created", lambda t: t[0].append(etree.Comment("x"))),
    ("local time", _set(0, lambda text: text.replace("Z", "+01:00"))),
    ("a time without zone", _set(0, lambda text: text.replace("Z", ""))),
    ("a leap second", _set(1, lambda text: text[:17] + "60Z")),
    ("a month that is none", _set(1, lambda text: text[:5] + "13" + text[7:])),
    ("other digits", _set(0, lambda text: text.replace("2", "\u0662", 1))),
    ("Expires before Created", _swap),
):
    attack(f"a Timestamp with {_name}", "SIG-024")(timed(_change))  # type: ignore[arg-type]


@attack("no Timestamp", "SIG-024")
def _(e: E, pki: Pki) -> Result:
    envelope = peer.build(QUERY.encode(), ITI_18, URL)
    part(envelope, "Security").remove(part(envelope, "Timestamp"))
    return peer.sign(envelope, pki.peer("alice"), [name for name in PARTS if name != "Timestamp"])


for _name in ("MessageID", "To", "Action"):

    def _without(e: E, pki: Pki, name: str = _name) -> Result:
        envelope = peer.build(QUERY.encode(), ITI_18, URL)
        part(envelope, "Header").remove(part(envelope, name))
        return peer.sign(envelope, pki.peer("alice"), [one for one in PARTS if one != name])

    attack(f"no {_name}", "SIG-023")(_without)


@attack("an empty MessageID", "SIG-023")
def _(e: E, pki: Pki) -> Result:
    envelope = peer.build(QUERY.encode(), ITI_18, URL)
    part(envelope, "MessageID").text = " "
    return peer.sign(envelope, pki.peer("alice"))


for _name in (
    "http://other.example.org/xds/registry", "http://xds.example.org/xds/repository", "https://xds.example.org/xds/registry",
    "http://xds.example.org:8080/xds/registry", "http://xds.example.org/xds/registry?x=1", "http://user@xds.example.org/xds/registry",
    "http://xds.example.org/xds/../xds/registry", peer.WSA + "/anonymous",
):  # fmt: skip
    attack(f"meant for {_name}", "SIG-027")(signed_with(to=_name))


# ---------------------------------------------------------------------------------------------------------------- tests


@pytest.mark.parametrize("name", ATTACKS)
def test_the_attack_is_refused_by_its_rule(name: str, signed: Recorder, pki: Pki) -> None:
    one = ATTACKS[name]
    answer = post(signed, one.run(fresh(pki), pki))
    assert (answer.rule, signed.calls) == (one.rule, [])
    assert answer.status in (400, 500)


def test_there_are_more_attacks_than_were_known() -> None:
    assert len(ATTACKS) >= 51


def test_the_message_that_is_attacked_passes(signed: Recorder, pki: Pki) -> None:
    answer = post(signed, fresh(pki))
    assert answer.status == 200, answer.body
    assert signed.calls[0].caller.signer_der == pki.peer("alice").der


def test_a_second_wsa_to_is_refused_before_any_signature(signed: Recorder, pki: Pki) -> None:
    message = fresh(pki)
    etree.SubElement(part(message, "Header"), wsa("To")).text = "http://evil.example.org/"
    assert "occurs twice" in post(signed, message).reason
    assert signed.calls == []


def test_the_action_of_http_must_be_the_signed_one(signed: Recorder, pki: Pki) -> None:
    assert post(signed, fresh(pki), action=ITI_42).rule == "SIG-028"
    assert signed.calls == []


def test_a_message_for_another_address_of_this_server_is_refused(signed: Recorder, pki: Pki) -> None:
    assert post(signed, fresh(pki), path="/xds/iti18").rule == "SIG-027"
    assert post(signed, fresh(pki, to="http://XDS.example.org:80/xds/iti18/"), path="/xds/iti18").status == 200


def test_a_message_counts_once(signed: Recorder, pki: Pki) -> None:
    message = etree.tostring(fresh(pki))
    assert post(signed, message).status == 200
    again = post(signed, message)
    assert (again.rule, len(signed.calls)) == ("SIG-029", 1)
    # The same MessageID of another signer is another message, so that nobody uses up the ids of others.
    other = part(parse(message), "MessageID").text or ""
    assert post(signed, fresh(pki, "carole", message_id=other)).status == 200


def test_a_fifo_that_a_reference_names_is_never_opened(signed: Recorder, pki: Pki, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    message = fresh(pki)
    first_reference(message).set("URI", f"file://{tmp_path}/fifo")
    assert post(signed, message).rule == "SIG-010"


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"who": "carole"},
        {"prefixes": ["s", "wsa"]},
        {"prefixes": ["#default", "s", "query", "unused"]},
        {"method": T.RSA_SHA384, "digest": T.SHA384},
        {"method": T.RSA_SHA512, "digest": T.SHA512},
    ],
    ids=str,
)
def test_what_other_stacks_send_is_accepted(how: dict[str, object], signed: Recorder, pki: Pki) -> None:
    answer = post(signed, fresh(pki, **how))  # type: ignore[arg-type]
    assert answer.status == 200, answer.body


@pytest.mark.parametrize("seconds", [-200, 30])
def test_clocks_may_differ_a_little(seconds: int, signed: Recorder, pki: Pki) -> None:
    answer = post(signed, fresh(pki, now=datetime.now(UTC) + timedelta(seconds=seconds)))
    assert answer.status == 200, answer.body


@pytest.mark.parametrize("digits", ["", ".5", ".25", ".123", ".1234567", ".123456789"])
def test_moments_of_any_precision(digits: str, signed: Recorder, pki: Pki) -> None:
    envelope = peer.build(QUERY.encode(), ITI_18, URL)
    for moment in part(envelope, "Timestamp"):
        moment.text = f"{(moment.text or '').partition('.')[0]}{digits}Z"
    assert post(signed, peer.sign(envelope, pki.peer("alice"))).status == 200


def test_every_refusal_is_told_in_both_languages(signed: Recorder, pki: Pki) -> None:
    answer = post(signed, ATTACKS["a tampered Body"].run(fresh(pki), pki)).envelope
    texts = {text.get("{http://www.w3.org/XML/1998/namespace}lang"): text.text or "" for text in answer.iter(soap("Text"))}
    assert "the digest of Body differs" in texts["en"]
    assert "l'empreinte de Body diffère" in texts["fr"]
    assert answer.xpath("string(//*[local-name()='Subcode']/*[local-name()='Subcode']/*[local-name()='Value'])") == "own:SIG-019"
