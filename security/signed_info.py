"""The structural gate in front of all cryptography: what a ds:Signature may look like at all (XML Signature 1.1: 4; BSP 1.1: 8).

What passes holds listed algorithms only, names its parts by ids of the same document, each id once, and has nothing in it that
anybody would have to fetch, run or follow. Every refusal is a rule of `rules_signature.py`.

The form in which nearly all signatures come, that of the standard's examples without blanks and parameters, is read by one
regular expression out of the canonical octets, which are what the signature value is over; whatever differs from it anywhere is
read element by element, and what is wrong is told there alone.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from lxml import etree

from schemas.namespaces import DS, EXC_C14N, WSSE, WSU, XML, q
from security import rules_signature as rules
from security.canonical import DIGESTS, MOST_PREFIXES, canonical, prefix_list
from security.signature import METHODS

MOST_REFERENCES = 16
STR_TRANSFORM = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#STR-Transform"

_SIGNED_INFO, _VALUE, KEY_INFO = q(DS, "SignedInfo"), q(DS, "SignatureValue"), q(DS, "KeyInfo")
_CANONICALIZATION, _METHOD, _REFERENCE = q(DS, "CanonicalizationMethod"), q(DS, "SignatureMethod"), q(DS, "Reference")
_TRANSFORMS, _TRANSFORM = q(DS, "Transforms"), q(DS, "Transform")
_DIGEST_METHOD, _DIGEST_VALUE = q(DS, "DigestMethod"), q(DS, "DigestValue")
_INCLUSIVE = q(EXC_C14N, "InclusiveNamespaces")
_PARAMETERS = q(WSSE, "TransformationParameters")
_URI = re.compile(r"#[A-Za-z_][\w.\-]{0,127}", re.ASCII)
_DIGEST_SIZE = {"sha256": 32, "sha384": 48, "sha512": 64}

_ID_ATTRIBUTES = etree.XPath("//@wsu:Id | //@Id | //@ID | //@AssertionID | //@xml:id", namespaces={"wsu": WSU, "xml": XML})

Ids = Mapping[str, etree._Element]


@dataclass(frozen=True, slots=True)
class Reference:
    """One signed part: the element itself, hashlib's name of the digest, its value, and how the part is canonicalised.

    `via_token` tells that `element` is the SecurityTokenReference and the digest is that of the token it names (STR-Transform).
    """

    element: etree._Element
    algorithm: str
    value: bytes
    prefixes: tuple[str, ...]
    via_token: bool = False


@dataclass(frozen=True, slots=True)
class SignedInfo:
    """A signature that passed the gate. `octets` are the canonical form of `element`, the ds:SignedInfo."""

    signature: etree._Element
    element: etree._Element
    method: str
    value: bytes
    octets: bytes
    references: tuple[Reference, ...]
    key_info: etree._Element


def ids_of(root: etree._Element) -> Ids:
    """Every element that has an id, by it: wsu:Id, Id, ID, AssertionID and xml:id in one name space. Raises SIG-012.

    ebRIM's `id` in lower case is none.
    """
    found: dict[str, etree._Element] = {}
    for value in cast(list[Any], _ID_ATTRIBUTES(root)):  # strings that know their element
        element = value.getparent()
        if found.setdefault(str(value), element) is not element:
            raise rules.DUPLICATE_ID.denied(id=value)
    return found


def read_signature(signature: etree._Element, ids: Ids) -> SignedInfo:
    """The signature as far as its form is right. Nothing is computed here. Raises Denied SIG-004 to 014, 021 and 031."""
    children = [child.tag for child in signature if isinstance(child.tag, str)]
    if children != [_SIGNED_INFO, _VALUE, KEY_INFO]:
        raise rules.FORM.denied(problem=f"its children are {_names(children)}")
    info, value, key_info = (child for child in signature if isinstance(child.tag, str))
    common = _read_common(info, ids, signature)
    if common is not None:
        return SignedInfo(signature, info, common.method, _base64(value), common.octets, common.references, key_info)
    names = [child.tag for child in info if isinstance(child.tag, str)]
    if names[:2] != [_CANONICALIZATION, _METHOD] or any(name != _REFERENCE for name in names[2:]):
        raise rules.FORM.denied(problem=f"the children of SignedInfo are {_names(names)}")
    if not 1 <= len(names) - 2 <= MOST_REFERENCES:
        raise rules.REFERENCES.denied(count=len(names) - 2)
    canonicalization, method, *references = (child for child in info if isinstance(child.tag, str))
    if canonicalization.get("Algorithm") != EXC_C14N:
        raise rules.CANONICALIZATION.denied(algorithm=canonicalization.get("Algorithm") or "without a name")
    _only_inclusive(canonicalization)
    algorithm = method.get("Algorithm") or ""
    if algorithm not in METHODS:
        raise rules.METHOD.denied(algorithm=algorithm or "without a name")
    if len(method):
        raise rules.FORM.denied(problem="SignatureMethod has parameters")
    octets_of_value = _base64(value)
    read = tuple(_read_reference(reference, ids, signature, key_info) for reference in references)
    octets = canonical(info, prefix_list(canonicalization))
    return SignedInfo(signature, info, algorithm, octets_of_value, octets, read, key_info)


# ---------------------------------------------------------------------------------------------------------- common form

_COMMON_HEAD = re.compile(
    (
        f'<ds:SignedInfo xmlns:ds="{re.escape(DS)}"><ds:CanonicalizationMethod Algorithm="{re.escape(EXC_C14N)}">'
        '</ds:CanonicalizationMethod><ds:SignatureMethod Algorithm="([^"&<>]+)"></ds:SignatureMethod>'
    ).encode()
)
_COMMON_REFERENCE = re.compile(
    (
        r'<ds:Reference URI="#([A-Za-z_][\w.\-]{0,127})"><ds:Transforms>'
        f'<ds:Transform Algorithm="{re.escape(EXC_C14N)}"></ds:Transform></ds:Transforms>'
        '<ds:DigestMethod Algorithm="([^"&<>]+)"></ds:DigestMethod><ds:DigestValue>([A-Za-z0-9+/=]+)</ds:DigestValue>'
        "</ds:Reference>"
    ).encode()
)
_COMMON_TAIL = b"</ds:SignedInfo>"


@dataclass(frozen=True, slots=True)
class _Common:
    method: str
    octets: bytes
    references: tuple[Reference, ...]


def _read_common(info: etree._Element, ids: Ids, signature: etree._Element) -> _Common | None:
    """A SignedInfo in its common form, right in all; None for every other one."""
    octets = canonical(info)
    head = _COMMON_HEAD.match(octets)
    if head is None or next(info.iter(etree.Comment), None) is not None:  # canonical form has no comments
        return None
    method, place = head[1].decode(), head.end()
    references: list[Reference] = []
    while (found := _COMMON_REFERENCE.match(octets, place)) is not None:
        algorithm, element = DIGESTS.get(found[2].decode()), ids.get(found[1].decode())
        value = _digest_value(found[3], algorithm)
        if algorithm is None or element is None or value is None or _is_inside(element, signature):
            return None
        references.append(Reference(element, algorithm, value, ()))
        place = found.end()
    right = method in METHODS and 1 <= len(references) <= MOST_REFERENCES and octets[place:] == _COMMON_TAIL
    return _Common(method, octets, tuple(references)) if right else None


def _digest_value(text: bytes, algorithm: str | None) -> bytes | None:
    try:
        value = binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error:
        return None
    return value if algorithm is not None and len(value) == _DIGEST_SIZE[algorithm] else None


def _is_inside(element: etree._Element, signature: etree._Element) -> bool:
    return element is signature or any(ancestor is signature for ancestor in element.iterancestors(signature.tag))


# ------------------------------------------------------------------------------------------------------------- any form


def _read_reference(reference: etree._Element, ids: Ids, signature: etree._Element, key_info: etree._Element) -> Reference:
    uri = reference.get("URI")
    if uri is None or not _URI.fullmatch(uri):
        raise rules.URI.denied(uri=f"'{uri}'" if uri is not None else "without URI")
    if reference.get("Type"):
        raise rules.TYPE.denied(type=reference.get("Type"))
    children = [child for child in reference if isinstance(child.tag, str)]
    if [child.tag for child in children] != [_TRANSFORMS, _DIGEST_METHOD, _DIGEST_VALUE]:
        if not any(child.tag == _TRANSFORMS for child in children):
            raise rules.TRANSFORMS.denied(algorithms="(none)")
        raise rules.FORM.denied(problem=f"the children of a Reference are {_names([child.tag for child in children])}")
    prefixes, via_token = _read_transforms(children[0])
    algorithm = DIGESTS.get(children[1].get("Algorithm") or "")
    if algorithm is None or len(children[1]):
        raise rules.DIGEST_METHOD.denied(algorithm=children[1].get("Algorithm") or "without a name")
    value = _base64(children[2])
    if len(value) != _DIGEST_SIZE[algorithm]:
        raise rules.ENCODING.denied(name="DigestValue")
    element = ids.get(uri[1:])
    if element is None:
        raise rules.DANGLING.denied(uri=uri)
    if _is_inside(element, signature):
        if not (via_token and element.getparent() is key_info):
            raise rules.INSIDE.denied(uri=uri)
    elif via_token:
        raise rules.STR_TRANSFORM.denied(problem="it does not stand over the KeyInfo of this signature")
    return Reference(element, algorithm, value, prefixes, via_token)


def _read_transforms(transforms: etree._Element) -> tuple[tuple[str, ...], bool]:
    """The PrefixList of the one accepted transform, and whether it is STR-Transform."""
    children = [child for child in transforms if isinstance(child.tag, str)]
    algorithms = [child.get("Algorithm") or "" for child in children]
    if any(child.tag != _TRANSFORM for child in children) or algorithms not in ([EXC_C14N], [STR_TRANSFORM]):
        raise rules.TRANSFORMS.denied(algorithms=" ".join(algorithms) or "(none)")
    if algorithms == [EXC_C14N]:
        _only_inclusive(children[0])
        return prefix_list(children[0]), False
    parameters = [child for child in children[0] if isinstance(child.tag, str)]
    methods = [child for child in parameters[0] if isinstance(child.tag, str)] if len(parameters) == 1 else []
    right = len(methods) == 1 and parameters[0].tag == _PARAMETERS and methods[0].tag == _CANONICALIZATION
    if not right or methods[0].get("Algorithm") != EXC_C14N:
        raise rules.STR_TRANSFORM.denied(problem="its TransformationParameters are not exclusive canonicalisation")
    _only_inclusive(methods[0])
    return prefix_list(methods[0]), True


def _only_inclusive(method: etree._Element) -> None:
    """Below exclusive canonicalisation stands nothing but one InclusiveNamespaces, which is empty."""
    children = [child for child in method if isinstance(child.tag, str)]
    if len(children) > 1 or any(child.tag != _INCLUSIVE or len(child) for child in children):
        raise rules.FORM.denied(
            problem=f"the children of {etree.QName(method).localname} are {_names([c.tag for c in children])}"
        )
    if len(prefix_list(method)) > MOST_PREFIXES:
        raise rules.FORM.denied(problem=f"a PrefixList names more than {MOST_PREFIXES} prefixes")


def _base64(element: etree._Element) -> bytes:
    """The octets of a value that is text and nothing else. White space between its characters is no content (RFC 2045: 6.8)."""
    text = "".join((element.text or "").split())
    try:
        if len(element) or not text:
            raise ValueError
        return binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except (ValueError, binascii.Error):
        raise rules.ENCODING.denied(name=etree.QName(element).localname) from None


def _names(tags: list[str]) -> str:
    return ", ".join(etree.QName(tag).localname for tag in tags[:8]) or "none"
