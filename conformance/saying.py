"""Assertions made otherwise, as a case says it in rows (`said`), in the order in which they are applied:

    ["version", "9.9"]                      a field of the statement, as text: subject issuer name structure reason context
                                            confirmation version profile mode audience
    ["age", "90"] ["valid", "180"] ["authenticated", "780"]    minutes
    ["one-time"]                            OneTimeUse
    ["role", "10^1.2.250.1.71.1.2.7", ...]  the roles, in this order        ["purpose", "CODE^SYSTEM"]
    ["attribute", NAME, VALUE]              a plain attribute; an empty value removes it
    ["holder", WORD]                        the certificate of holder-of-key is that of this card (`conformance.cards`)
    ["xpath", EXPRESSION, TEXT]             before it is signed: what is selected becomes TEXT, or goes where there is none
    ["into", EXPRESSION, XML]               before it is signed: XML becomes the last child of what is selected
    ["after", PATTERN, TEXT]                once it is signed: the first match of the pattern becomes TEXT
    ["sha1"]                                signed with SHA-1                ["wrapping"]   the signed one inside a forged one

Prefixes saml and ds. Source: SAML 2.0 Core; CI-SIS couche transport (VIHF).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from lxml import etree

from schemas.namespaces import DS, SAML
from security.assertion_writer import SigningCard, Statement, build_assertion
from security.document_signature import RSA_SHA1
from security.document_signature_making import sign_octets_of_pem
from security.identity import Coded, Mode
from security.signature import sign_enveloped

_NS = {"saml": SAML, "ds": DS}
_ID = re.compile(rb' ID="[^"]+"')
_SIGNATURE = re.compile(rb"<ds:Signature .*</ds:Signature>|<Signature .*</Signature>", re.DOTALL)
_VALUE = re.compile(rb"(<(?:ds:)?SignatureValue>)[^<]*")
_METHOD = re.compile(rb'(?<=SignatureMethod Algorithm=")[^"]+')
_PARSER = etree.XMLParser(resolve_entities=False, no_network=True)


class SaidError(ValueError):
    """A row that says nothing; the text names it."""


@dataclass(frozen=True, slots=True)
class Speaker:
    """Who signs, and the statement as it would be right."""

    card: SigningCard
    said: Statement


def written(speaker: Speaker, rows: Sequence[Sequence[str]], holder: Callable[[str], bytes]) -> bytes:
    """The assertion as `rows` want it. `holder` gives the certificate (DER) of a card by its word. Raises SaidError."""
    said = speaker.said
    for word, *values in rows:
        if word in _STATEMENT:
            said = _STATEMENT[word](said, values)
        elif word == "holder":
            said = replace(said, confirmation="holder-of-key", holder=holder(values[0]))
        elif word not in _TREE and word not in _SIGNED:
            raise SaidError(f"said: {word}: known are {', '.join(sorted({*_STATEMENT, 'holder', *_TREE, *_SIGNED}))}")
    root = build_assertion(said, speaker.card.subject)
    for word, *values in rows:
        if word in _TREE:
            _TREE[word](root, values)
    octets = sign_enveloped(root, speaker.card.key_pem, speaker.card.certificate_pem)
    for word, *values in rows:
        if word in _SIGNED:
            octets = _SIGNED[word](octets, values, speaker.card)
    return octets


# ------------------------------------------------------------------------------------------------------- the statement

_Change = Callable[[Statement, list[str]], Statement]


def _text(name: str) -> _Change:
    return lambda said, values: replace(said, **{name: values[0]})  # type: ignore[arg-type]  # fields that are texts


def _minutes(name: str) -> _Change:
    return lambda said, values: replace(said, **{name: timedelta(minutes=float(values[0]))})  # type: ignore[arg-type]


def _coded(value: str) -> Coded:
    code, _, system = value.partition("^")
    return Coded(code, system)


def _attribute(said: Statement, values: list[str]) -> Statement:
    return replace(said, attributes={**said.attributes, values[0]: values[1]})


_STATEMENT: dict[str, _Change] = {
    **{
        name: _text(name)
        for name in "subject issuer name structure reason context confirmation version profile patient".split()
    },
    **{name: _minutes(name) for name in ("age", "valid", "authenticated")},
    "mode": lambda said, values: replace(said, mode=Mode(values[0])),
    "audience": lambda said, values: replace(said, audience=tuple(values)),
    "one-time": lambda said, _: replace(said, one_time=True),
    "role": lambda said, values: replace(said, roles=tuple(map(_coded, values))),
    "purpose": lambda said, values: replace(said, purpose=_coded(values[0])),
    "attribute": _attribute,
}

# ------------------------------------------------------------------------------------------------------------ the tree


def _select(root: etree._Element, expression: str) -> list[Any]:
    found = root.xpath(expression, namespaces=_NS)
    if not isinstance(found, list) or not found:
        raise SaidError(f"said: {expression} selects nothing in the assertion")
    return found


def _set(root: etree._Element, values: list[str]) -> None:
    expression, *text = values
    for node in _select(root, expression):
        parent = node.getparent()
        if getattr(node, "is_attribute", False):
            parent.attrib.pop(node.attrname)
            if text:
                parent.set(node.attrname, text[0])
        elif text:
            node.text = text[0]
        else:
            parent.remove(node)


def _into(root: etree._Element, values: list[str]) -> None:
    expression, xml = values
    for node in _select(root, expression):
        node.append(etree.fromstring(f'<x xmlns:saml="{SAML}">{xml}</x>', _PARSER)[0])


_TREE: dict[str, Callable[[etree._Element, list[str]], None]] = {"xpath": _set, "into": _into}

# --------------------------------------------------------------------------------------------------------- once signed


def _after(octets: bytes, values: list[str], card: SigningCard) -> bytes:
    pattern, text = (value.encode() for value in values)
    changed, count = re.subn(pattern, text, octets, count=1, flags=re.DOTALL)
    if not count:
        raise SaidError(f"said: {values[0]} does not occur in the signed assertion")
    return changed


def _sha1(octets: bytes, values: list[str], card: SigningCard) -> bytes:
    """As old toolkits sign unless they are told otherwise. An EC key has no such method: its name alone is wrong."""
    changed = _METHOD.sub(RSA_SHA1.encode(), octets)
    (info,) = etree.fromstring(changed, _PARSER).iter(f"{{{DS}}}SignedInfo")
    form: bytes = etree.tostring(info, method="c14n", exclusive=True, with_tail=False)
    value = sign_octets_of_pem(card.key_pem, RSA_SHA1, form)
    return _VALUE.sub(rb"\g<1>" + base64.b64encode(value), changed)


def _wrapping(octets: bytes, values: list[str], card: SigningCard) -> bytes:
    """XML signature wrapping: a forged assertion stands where it is looked for, the signed one inside it."""
    forged = _ID.sub(b' ID="_forged"', _SIGNATURE.sub(b"", octets), count=1)
    end = forged.rindex(b"</")
    advice = b'<saml2:Advice xmlns:saml2="%s">%s</saml2:Advice>' % (SAML.encode(), octets)
    return forged[:end] + advice + forged[end:]


_SIGNED: dict[str, Callable[[bytes, list[str], SigningCard], bytes]] = {"after": _after, "sha1": _sha1, "wrapping": _wrapping}
