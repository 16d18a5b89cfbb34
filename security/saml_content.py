"""What an assertion says, read below the element that its signature covers and nowhere else.

Values are taken whole or not at all: one with a comment or an element in it is refused, since two readers could see two
different texts in it while the signature stays right. Repeated statements and attributes are joined, none is ever the first
to win. Source: SAML 2.0 Core: 2; ITI TF-2: 3.40.4.1.2.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from lxml import etree

from schemas.namespaces import DS, HL7V3, SAML, q
from security import rules_assertion as rules
from security import rules_vihf
from security.identity import Coded
from security.saml_signature import Signed, read_certificate

_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?Z", re.ASCII)
_ISSUER, _SUBJECT, _NAME_ID = q(SAML, "Issuer"), q(SAML, "Subject"), q(SAML, "NameID")
_CONFIRMATION, _DATA = q(SAML, "SubjectConfirmation"), q(SAML, "SubjectConfirmationData")
_CONDITIONS, _RESTRICTION, _AUDIENCE = q(SAML, "Conditions"), q(SAML, "AudienceRestriction"), q(SAML, "Audience")
_ONE_TIME, _PROXY = q(SAML, "OneTimeUse"), q(SAML, "ProxyRestriction")
_AUTHN, _CONTEXT, _CLASS = q(SAML, "AuthnStatement"), q(SAML, "AuthnContext"), q(SAML, "AuthnContextClassRef")
_STATEMENT, _ATTRIBUTE, _VALUE = q(SAML, "AttributeStatement"), q(SAML, "Attribute"), q(SAML, "AttributeValue")
_ENCRYPTED = (q(SAML, "EncryptedID"), q(SAML, "EncryptedAttribute"))
_KEY = f".//{q(DS, 'X509Certificate')}"


@dataclass(frozen=True, slots=True)
class Confirmation:
    """One SubjectConfirmation: the method, when it holds, the certificate of holder-of-key."""

    method: str
    not_before: datetime | None
    not_on_or_after: datetime | None
    holder: x509.Certificate | None


@dataclass(frozen=True, slots=True)
class Content:
    """Everything that an assertion says. Attributes by name; values are texts or coded values, in their order.

    `audiences` has one entry per AudienceRestriction. `not_before` and `not_on_or_after` are those of Conditions.
    """

    id: str
    issuer: str
    issued: datetime
    certificate: x509.Certificate
    sha1: bool
    subject: str
    alias: str
    authenticated: datetime
    context: str
    not_before: datetime | None
    not_on_or_after: datetime | None
    audiences: tuple[tuple[str, ...], ...]
    one_time: bool
    confirmations: tuple[Confirmation, ...]
    texts: Mapping[str, tuple[str, ...]]
    coded: Mapping[str, tuple[Coded, ...]]

    def one(self, name: str) -> str:
        """The text of an attribute of one value, empty when it is absent. Raises Denied SAM-032."""
        values = dict.fromkeys(self.texts.get(name, ()))
        if len(values) > 1:
            raise rules_vihf.REPEATED.denied(name=name, count=len(values))
        return next(iter(values), "")


def read_content(signed: Signed) -> Content:
    """Raises Denied SAM-003, 004, 009, 011, 019, 021, 033."""
    root = signed.element
    if next((e for tag in _ENCRYPTED for e in root.iter(tag)), None) is not None:
        raise rules.VERSION_2.denied(found="encrypted in parts")
    issued = _time("IssueInstant", root.get("IssueInstant"))
    subject = _only(root, _SUBJECT)
    name = _only(subject, _NAME_ID)
    authn = _only(root, _AUTHN)
    context = authn.find(_CONTEXT)
    classes = context.findall(_CLASS) if context is not None else []
    not_before, not_on_or_after, audiences, one_time = _conditions(root)
    texts, coded = _attributes(root)
    return Content(
        id=signed.id,
        issuer=_text(_only(root, _ISSUER)),
        issued=issued,
        certificate=signed.certificate,
        sha1=signed.sha1,
        subject=_text(name),
        alias=name.get("SPProvidedID") or "",
        authenticated=_time("AuthnInstant", authn.get("AuthnInstant")),
        context=_text(classes[0]) if len(classes) == 1 else "",
        not_before=not_before,
        not_on_or_after=not_on_or_after,
        audiences=audiences,
        one_time=one_time,
        confirmations=tuple(_confirmation(one) for one in subject.iterchildren(_CONFIRMATION)),
        texts=texts,
        coded=coded,
    )


def _conditions(root: etree._Element) -> tuple[datetime | None, datetime | None, tuple[tuple[str, ...], ...], bool]:
    found = root.findall(_CONDITIONS)
    if not found:
        return None, None, (), False
    conditions = _only(root, _CONDITIONS)
    audiences = []
    one_time = False
    for child in conditions.iterchildren("*"):
        if child.tag == _RESTRICTION:
            audiences.append(tuple(_text(one) for one in child.iterchildren(_AUDIENCE)))
        elif child.tag == _ONE_TIME:
            one_time = True
        elif child.tag != _PROXY:  # who passes assertions on is told by it; nobody does here
            raise rules.CONDITION.denied(name=etree.QName(child).localname)
    return (
        _optional_time("NotBefore", conditions),
        _optional_time("NotOnOrAfter", conditions),
        tuple(audiences),
        one_time,
    )


def _confirmation(confirmation: etree._Element) -> Confirmation:
    method = confirmation.get("Method") or ""
    data = confirmation.find(_DATA)
    if data is None:
        return Confirmation(method, None, None, None)
    keys = data.findall(_KEY)
    holder = read_certificate(keys[0], "SubjectConfirmationData") if len(keys) == 1 else None
    return Confirmation(method, _optional_time("NotBefore", data), _optional_time("NotOnOrAfter", data), holder)


def _attributes(root: etree._Element) -> tuple[Mapping[str, tuple[str, ...]], Mapping[str, tuple[Coded, ...]]]:
    texts: dict[str, tuple[str, ...]] = {}
    coded: dict[str, tuple[Coded, ...]] = {}
    for statement in root.iterchildren(_STATEMENT):
        for attribute in statement.iterchildren(_ATTRIBUTE):
            name = attribute.get("Name") or ""
            for value in attribute.iterchildren(_VALUE):
                if len(value):
                    coded[name] = (*coded.get(name, ()), _coded(name, value))
                else:
                    texts[name] = (*texts.get(name, ()), value.text or "")
    return texts, coded


def _coded(name: str, value: etree._Element) -> Coded:
    """The hl7 CE (or II) in an AttributeValue; blanks may stand around it."""
    child = value[0]
    if (
        len(value) != 1
        or not isinstance(child.tag, str)
        or len(child)
        or (value.text or "").strip()
        or (child.tail or "").strip()
    ):
        raise rules.MIXED.denied(name=name)
    if etree.QName(child).namespace != HL7V3:
        raise rules_vihf.ATTRIBUTE.denied(
            name=name,
            value=child.tag,
            problem="an element of HL7 v3 is expected",
            form="text or <Role xmlns='urn:hl7-org:v3' .../>",
        )
    if "root" in child.attrib:
        return Coded(child.get("extension") or "", child.get("root") or "", child.get("assigningAuthorityName") or "")
    return Coded(child.get("code") or "", child.get("codeSystem") or "", child.get("displayName") or "")


def _only(parent: etree._Element, tag: str) -> etree._Element:
    found = parent.findall(tag)
    if len(found) != 1:
        raise rules.FORM.denied(problem=f"{len(found)} {etree.QName(tag).localname}")
    return found[0]


def _text(element: etree._Element) -> str:
    if len(element):
        raise rules.MIXED.denied(name=etree.QName(element).localname)
    text = (element.text or "").strip()
    if not text:
        raise rules.FORM.denied(problem=f"an empty {etree.QName(element).localname}")
    return text


def _optional_time(name: str, element: etree._Element) -> datetime | None:
    return _time(name, element.get(name)) if element.get(name) is not None else None


def _time(name: str, value: str | None) -> datetime:
    found = _TIME.fullmatch(value or "")
    try:
        if found is None:
            raise ValueError
        return datetime.fromisoformat(found.group(1) + (found.group(2) or "")[:7] + "+00:00")
    except ValueError:
        raise rules.TIME.denied(name=name, value=value or "") from None
