"""Cases of the form and the signature of assertions, each with the one rule that it trips.

The attacks of the signature wrapping family (XSW 1 to 8), comments in values and swapped keys are those that broke other
implementations; each stands here with the rule that stops it. What is said is in `saml_said_cases.py`.
"""

from __future__ import annotations

import base64
import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from lxml import etree

from schemas.namespaces import DS, SAML, q
from security import saml_names as names
from security.assertion_writer import build_assertion, instant
from security.identity import Coded
from security.saml import Sender
from security.saml_issuers import Issuer
from tests.security.assertions import (
    OTHER_PATIENT,
    World,
    attribute,
    child,
    headers_of,
    sign_by_hand,
    text64,
)

Headers = list[etree._Element]
Options = Callable[[World], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Case:
    """`headers` makes the message; `options` are the verifier's, `sender` who sends it."""

    rule: str
    what: str
    headers: Callable[[World], Headers]
    options: Options = lambda world: {}
    sender: Callable[[World], Sender | None] = lambda world: None


CASES: list[Case] = []


def case(rule: str, what: str, **more: Any) -> Callable[[Callable[[World], Headers]], Callable[[World], Headers]]:
    def add(headers: Callable[[World], Headers]) -> Callable[[World], Headers]:
        CASES.append(Case(rule, what, headers, **more))
        return headers

    return add


def said(
    rule: str, what: str, who: str = "doctor", options: Callable[[World], dict[str, Any]] = lambda world: {}, **changes: Any
) -> None:
    """A case that lies in what is said: the statement of a good assertion with changes, well signed."""
    case(rule, what, options=options)(lambda world: headers_of(world.signed(world.statement(who, **changes), who)))


def changed(rule: str, what: str, change: Callable[[etree._Element], Any], who: str = "doctor", **more: Any) -> None:
    """A case that lies in the XML before it is signed."""
    profile = {"profile": more.pop("profile")} if "profile" in more else {}
    case(rule, what, **more)(lambda world: headers_of(world.signed(world.statement(who, **profile), who, change)))


def broken(rule: str, what: str, change: Callable[[etree._Element], Any], **more: Any) -> None:
    """A case that lies in what was done to a good assertion after it was signed."""

    def make(world: World) -> Headers:
        element = world.signed()
        change(element)
        return headers_of(element)

    case(rule, what, **more)(make)


def removed(element: etree._Element | None) -> None:
    assert element is not None
    parent = element.getparent()
    assert parent is not None
    parent.remove(element)


def put(element: etree._Element, text: str) -> None:
    element.text = text


def only(issuer: Issuer) -> Options:
    """One row instead of the default ones."""
    return lambda world: {"issuers": (issuer,)}


def roles(profession: str, know_how: str) -> tuple[Coded, ...]:
    return Coded(profession, names.PROFESSIONS), Coded(know_how, names.KNOW_HOWS)


# ------------------------------------------------------------------------------------- one assertion, where it belongs


case("SAM-001", "no assertion where one is required")(lambda world: headers_of())
case("SAM-002", "two good ones")(lambda world: headers_of(world.signed(), world.signed()))
case("SAM-002", "in the Header, not in wsse:Security")(lambda world: headers_of(beside=[world.signed()]))
case("SAM-002", "two wsse:Security")(lambda world: headers_of(world.signed(), securities=2))
case("SIG-012", "the Body has the same id")(
    lambda world: (lambda good: headers_of(good, body_id=str(good.get("ID"))))(world.signed())
)


def evil(good: etree._Element, *, signature: bool = True, same_id: bool = False) -> etree._Element:
    """What an attacker makes of a good assertion: another person in it."""
    made = copy.deepcopy(good)
    child(made, "Subject", "NameID").text = "899912345678"
    if not same_id:
        made.set("ID", "_evil")
    if not signature:
        removed(child(made, "ds:Signature"))
    return made


def wrapped(rule: str, what: str) -> Callable[[Callable[[etree._Element], Headers]], None]:
    def add(wrap: Callable[[etree._Element], Headers]) -> None:
        case(rule, what)(lambda world: wrap(world.signed()))

    return add


wrapped("SAM-002", "XSW1: evil behind the original")(lambda good: headers_of(good, evil(good, signature=False)))
wrapped("SAM-002", "XSW2: evil before the original")(lambda good: headers_of(evil(good, signature=False), good))


@wrapped("SAM-002", "XSW3: the original inside evil, which has a copy of the signature")
def _(good: etree._Element) -> Headers:
    bad = evil(good)
    bad.append(good)
    return headers_of(bad)


def in_object(good: etree._Element, bad: etree._Element, signature: etree._Element) -> Headers:
    inner = copy.deepcopy(good)
    removed(child(inner, "ds:Signature"))
    etree.SubElement(signature, q(DS, "Object")).append(inner)
    return headers_of(bad)


@wrapped("SAM-002", "XSW4: the original in an Object of the signature")
def _(good: etree._Element) -> Headers:
    bad = evil(good)
    return in_object(good, bad, child(bad, "ds:Signature"))


wrapped("SAM-010", "XSW5: evil with the ID of the original")(lambda good: headers_of(evil(good, same_id=True)))


@wrapped("SAM-002", "XSW6: the original elsewhere in the header under the same ID")
def _(good: etree._Element) -> Headers:
    extension = etree.Element("{urn:x}Extension")
    extension.append(copy.deepcopy(good))
    return headers_of(evil(good, same_id=True), beside=[extension])


@wrapped("SAM-002", "XSW7: the original in the Advice of evil")
def _(good: etree._Element) -> Headers:
    bad = evil(good)
    etree.SubElement(bad, q(SAML, "Advice")).append(copy.deepcopy(good))
    return headers_of(bad)


@wrapped("SAM-002", "XSW8: evil, whose signature holds the original")
def _(good: etree._Element) -> Headers:
    bad = evil(good, signature=False)
    signature = copy.deepcopy(child(good, "ds:Signature"))
    bad.insert(1, signature)
    return in_object(good, bad, signature)


wrapped("SAM-005", "signature exclusion")(lambda good: headers_of(evil(good, signature=False)))
wrapped("SAM-007", "evil with a copy of the signature")(lambda good: headers_of(evil(good)))

# ------------------------------------------------------------------------------------------------------------- the form

broken("SAM-003", "of version 1.1", lambda a: a.set("Version", "1.1"))
case("SAM-003", "SAML 1.1")(lambda world: headers_of(etree.Element("{urn:oasis:names:tc:SAML:1.0:assertion}Assertion")))
case("SAM-003", "encrypted")(lambda world: headers_of(etree.Element(q(SAML, "EncryptedAssertion"))))
changed(
    "SAM-003", "an encrypted attribute", lambda a: etree.SubElement(child(a, "AttributeStatement"), q(SAML, "EncryptedAttribute"))
)
changed("SAM-004", "no Subject", lambda a: removed(child(a, "Subject")))
changed("SAM-004", "no NameID", lambda a: removed(child(a, "Subject", "NameID")))
changed("SAM-004", "an empty NameID", lambda a: put(child(a, "Subject", "NameID"), " "))
changed("SAM-004", "no AuthnStatement", lambda a: removed(child(a, "AuthnStatement")))
changed("SAM-004", "two Conditions", lambda a: a.append(copy.deepcopy(child(a, "Conditions"))))
broken("SAM-004", "no ID", lambda a: a.attrib.pop("ID"))
broken("SAM-004", "an ID that is an expression", lambda a: a.set("ID", "x' or '1'='1"))
broken("SAM-004", "far too long", lambda a: put(child(a, "Subject", "NameID"), "8" * 70_000))
broken("SAM-005", "the signature at the end", lambda a: a.append(child(a, "ds:Signature")))
broken("SAM-005", "two signatures", lambda a: a.insert(2, copy.deepcopy(child(a, "ds:Signature"))))
broken("SAM-005", "the signature inside the Subject", lambda a: child(a, "Subject").append(child(a, "ds:Signature")))
broken("SAM-006", "an Object", lambda a: etree.SubElement(child(a, "ds:Signature"), q(DS, "Object")))
broken(
    "SAM-006",
    "inclusive canonicalisation",
    lambda a: child(a, "ds:Signature", "ds:SignedInfo", "ds:CanonicalizationMethod").set(
        "Algorithm", "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
    ),
)
broken(
    "SAM-006",
    "HMACOutputLength",
    lambda a: etree.SubElement(child(a, "ds:Signature", "ds:SignedInfo", "ds:SignatureMethod"), q(DS, "HMACOutputLength")),
)
broken("SAM-006", "a value that is no base64", lambda a: put(child(a, "ds:Signature", "ds:SignatureValue"), "=not=base64="))
broken(
    "SAM-006",
    "a comment in DigestValue",
    lambda a: child(a, "ds:Signature", "ds:SignedInfo", "ds:Reference", "ds:DigestValue").append(etree.Comment("x")),
)


def reference(a: etree._Element) -> etree._Element:
    return child(a, "ds:Signature", "ds:SignedInfo", "ds:Reference")


for uri in ("", "#other", "#xpointer(/)", "file:///dev/zero", "http://127.0.0.1/x", "cid:1"):
    broken("SAM-007", f"reference to '{uri}'", lambda a, uri=uri: reference(a).set("URI", uri))
broken("SAM-007", "a reference without URI", lambda a: reference(a).attrib.pop("URI"))
broken("SAM-007", "a Manifest", lambda a: reference(a).set("Type", DS + "Manifest"))
broken("SAM-007", "two references", lambda a: reference(a).addnext(copy.deepcopy(reference(a))))
broken("SAM-007", "no transform", lambda a: removed(child(reference(a), "ds:Transforms")[1]))
for transform in ("http://www.w3.org/TR/1999/REC-xslt-19991116", "http://www.w3.org/TR/1999/REC-xpath-19991116"):
    broken(
        "SAM-007",
        transform[-20:],
        lambda a, transform=transform: child(reference(a), "ds:Transforms")[1].set("Algorithm", transform),
    )


def algorithm(tag: str, name: str) -> Callable[[etree._Element], Any]:
    path = ("ds:Signature", "ds:SignedInfo", "ds:SignatureMethod") if tag == "ds:SignatureMethod" else ()
    return lambda a: (child(a, *path) if path else child(reference(a), tag)).set("Algorithm", name)


_MORE = "http://www.w3.org/2001/04/xmldsig-more#"
for name in (DS + "hmac-sha1", _MORE + "hmac-sha256", _MORE + "rsa-md5", DS + "dsa-sha1", "none", ""):
    broken("SAM-008", f"signature method '{name[-12:]}'", algorithm("ds:SignatureMethod", name))
broken("SAM-008", "RSA over a key that is EC", algorithm("ds:SignatureMethod", _MORE + "rsa-sha256"))
broken("SAM-008", "MD5", algorithm("ds:DigestMethod", _MORE + "md5"))


@case("SAM-008", "well signed with SHA-1")
def _(world: World) -> Headers:
    card = world.card("legacy")
    statement = replace(world.statement("clinic"), structure=world.partner("legacy").identifier)
    return headers_of(sign_by_hand(build_assertion(statement, card.subject), card, "sha1"))


def key_info(a: etree._Element) -> etree._Element:
    return child(a, "ds:Signature", "ds:KeyInfo")


def replaced_key_info(content: str) -> Callable[[etree._Element], None]:
    def change(a: etree._Element) -> None:
        holder = key_info(a)
        removed(holder[0])
        holder.append(etree.fromstring(f'<ds:KeyInfo xmlns:ds="{DS}">{content}</ds:KeyInfo>')[0])

    return change


broken("SAM-009", "KeyName", replaced_key_info("<ds:KeyName>doctor</ds:KeyName>"))
broken("SAM-009", "a bare key", replaced_key_info("<ds:KeyValue><ds:RSAKeyValue/></ds:KeyValue>"))
broken("SAM-009", "RetrievalMethod", replaced_key_info('<ds:RetrievalMethod URI="file:///dev/zero"/>'))
broken(
    "SAM-009",
    "a certificate that is none",
    replaced_key_info("<ds:X509Data><ds:X509Certificate>AAAA</ds:X509Certificate></ds:X509Data>"),
)


def damaged(a: etree._Element) -> None:
    """The subject of the certificate is no text any more: it loads, and fails when the name is asked for."""
    holder = key_info(a)[0][0]
    octets = base64.b64decode(holder.text or "")
    assert b"Medecin" in octets
    holder.text = text64(octets.replace(b"Medecin", b"\xff\xfe\xfdecin"))


broken("SAM-009", "a certificate with a damaged name", damaged)
broken("SAM-009", "a second certificate", lambda a: key_info(a)[0].append(copy.deepcopy(key_info(a)[0][0])))
broken("SAM-009", "a comment in the certificate", lambda a: key_info(a)[0][0].append(etree.Comment("x")))

# ------------------------------------------------------------------------------------------------------- the signature

broken("SAM-010", "another NameID", lambda a: put(child(a, "Subject", "NameID"), "899912345678"))
broken("SAM-010", "another patient", lambda a: put(attribute(a, names.RESOURCE_ID)[0], OTHER_PATIENT))
broken("SAM-010", "a blank more", lambda a: put(child(a, "AttributeStatement"), " "))
broken(
    "SAM-010", "longer life", lambda a: child(a, "Conditions").set("NotOnOrAfter", instant(datetime.now(UTC) + timedelta(days=1)))
)
broken("SAM-010", "a value of nought", lambda a: put(child(a, "ds:Signature", "ds:SignatureValue"), "A" * 85 + "A=="))
broken("SAM-010", "a value too short", lambda a: put(child(a, "ds:Signature", "ds:SignatureValue"), "AAAA"))


@case("SAM-010", "signed by a colleague, under the doctor's certificate")
def _(world: World) -> Headers:
    element = world.signed(world.statement("doctor", issuer=""), "doctor")
    ours = key_info(element)[0][0].text
    other = world.card("colleague")
    forged = sign_by_hand(build_assertion(world.statement("doctor"), world.card("doctor").subject), other)
    key_info(forged)[0][0].text = ours
    return headers_of(forged)


def comment_in(*path: str) -> Callable[[etree._Element], None]:
    """Splits the text of a value by a comment: the signature stays right, `.text` gives the first half."""

    def change(a: etree._Element) -> None:
        value = child(a, *path)
        text = value.text or ""
        value.text = text[:4]
        note = etree.Comment("x")
        note.tail = text[4:]
        value.append(note)

    return change


for where in (("Issuer",), ("Subject", "NameID"), ("AuthnStatement", "AuthnContext", "AuthnContextClassRef")):
    changed("SAM-011", f"a comment in {where[-1]}", comment_in(*where))
changed("SAM-011", "a comment in Audience", comment_in("Conditions", "AudienceRestriction", "Audience"), "clinic", profile="xua")
for name in (names.STRUCTURE, names.RESOURCE_ID, names.ROLE):
    changed("SAM-011", f"a comment in {name[-12:]}", lambda a, name=name: attribute(a, name)[0].append(etree.Comment("x")))
changed("SAM-011", "text around a coded value", lambda a: put(attribute(a, names.ROLE)[0], "21"))
changed("SAM-011", "an element in an element", lambda a: etree.SubElement(attribute(a, names.ROLE)[0][0], "x"))
