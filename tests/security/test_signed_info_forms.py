"""A SignedInfo in its common form is read out of its canonical octets: with the same outcome as element by element, always."""

from __future__ import annotations

import copy
import uuid
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from security import signed_info
from security.message_writer import Block, MessageSigner
from security.refusal import Denied
from security.signed_info import ids_of, read_signature
from soap.signing import sign_request
from tests.security.foreign_signing import PARTS, Pki, build, ds, make_pki, parse, part, sign, wsu

EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
SHA512 = "http://www.w3.org/2001/04/xmlenc#sha512"
BODY = b"<q/>"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return make_pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def ours(pki: Pki) -> etree._Element:
    """A message as our own writer signs it: in the common form."""
    peer = pki.peer("carole")
    blocks = [Block("Action", "urn:a", must_understand=True), Block("MessageID", uuid.uuid4().urn), Block("To", "http://x/")]
    head, _ = sign_request(MessageSigner(peer.certificate, peer.key), blocks, [BODY], {})
    return parse(head + BODY + b"</s:Body></s:Envelope>")


def outcome(message: etree._Element) -> object:
    """What is read: ids, values and octets, or the rule that refuses."""
    signature = part(message, "Signature")
    try:
        info = read_signature(signature, ids_of(message))
    except Denied as denied:
        return denied.rule
    read = [(r.element.get(wsu("Id")), r.algorithm, r.value, r.prefixes, r.via_token) for r in info.references]
    return info.method, info.value, info.octets, read


def both_ways(message: etree._Element, patch: pytest.MonkeyPatch) -> tuple[object, object, bool]:
    """The outcome, that element by element, and whether the message was in the common form."""
    used: list[bool] = []
    read_common = signed_info._read_common

    def watched(info: etree._Element, ids: signed_info.Ids, signature: etree._Element) -> object:
        found = read_common(info, ids, signature)
        used.append(found is not None)
        return found

    with patch.context() as watching:
        watching.setattr(signed_info, "_read_common", watched)
        one = outcome(message)
    with patch.context() as without:
        without.setattr(signed_info, "_read_common", lambda info, ids, signature: None)
        other = outcome(message)
    return one, other, used == [True]


def test_what_our_writer_signs_is_in_the_common_form(ours: etree._Element, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other, common = both_ways(ours, monkeypatch)
    assert one == other and common and not isinstance(one, str)


def test_another_form_is_read_element_by_element(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    """xmlsec's template has line breaks between its elements."""
    message = sign(build(BODY, "urn:a", "http://x/"), pki.peer("carole"), PARTS)
    one, other, common = both_ways(message, monkeypatch)
    assert one == other and not common and not isinstance(one, str)


def _references(message: etree._Element) -> list[etree._Element]:
    return list(part(message, "SignedInfo").iter(ds("Reference")))


def _comment_in_digest(message: etree._Element) -> None:
    value = next(part(message, "SignedInfo").iter(ds("DigestValue")))
    comment = etree.Comment("x")
    value.insert(0, comment)
    comment.tail, value.text = (value.text or "")[4:], (value.text or "")[:4]


def _many(message: etree._Element) -> None:
    info, first = part(message, "SignedInfo"), _references(message)[0]
    info.extend([copy.deepcopy(first) for _ in range(16)])


def _prefixes(message: etree._Element) -> None:
    transform = next(part(message, "SignedInfo").iter(ds("Transform")))
    etree.SubElement(transform, f"{{{EXCLUSIVE}}}InclusiveNamespaces", PrefixList="s wsa")


def _set(tag: str, name: str, value: str) -> Callable[[etree._Element], None]:
    return lambda message: next(part(message, "SignedInfo").iter(ds(tag))).set(name, value)


def _inside(message: etree._Element) -> None:
    part(message, "KeyInfo").set(wsu("Id"), "in")
    _references(message)[0].set("URI", "#in")


def _short_digest(message: etree._Element) -> None:
    next(part(message, "SignedInfo").iter(ds("DigestValue"))).text = "AAAA"


def _none(message: etree._Element) -> None:
    for reference in _references(message):
        part(message, "SignedInfo").remove(reference)


CHANGES: dict[str, Callable[[etree._Element], None]] = {
    "a comment within a digest": _comment_in_digest,
    "too many references": _many,
    "no reference": _none,
    "a prefix list": _prefixes,
    "a type": _set("Reference", "Type", "urn:x"),
    "an id of its own": _set("Reference", "Id", "r"),
    "a URI elsewhere": _set("Reference", "URI", "http://x/"),
    "a dangling URI": _set("Reference", "URI", "#nobody"),
    "a part inside the signature": _inside,
    "another digest, too short": _set("DigestMethod", "Algorithm", SHA512),
    "a short digest": _short_digest,
    "an unknown digest": _set("DigestMethod", "Algorithm", "urn:x"),
    "an unknown method": _set("SignatureMethod", "Algorithm", "urn:x"),
    "an unknown transform": _set("Transform", "Algorithm", "urn:x"),
    "another canonicalisation": _set("CanonicalizationMethod", "Algorithm", EXCLUSIVE + "WithComments"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_differs_is_judged_element_by_element(change: str, ours: etree._Element, monkeypatch: pytest.MonkeyPatch) -> None:
    message = copy.deepcopy(ours)
    CHANGES[change](message)
    one, other, common = both_ways(message, monkeypatch)
    assert one == other and not common
    assert isinstance(one, str) != (change in ("a prefix list", "an id of its own"))


_TEXTS = st.sampled_from(["", " ", "\n", "A", "=", "AAAA", "&<", "#", "\r", "x" * 200, EXCLUSIVE, SHA512])


@given(st.integers(0, 10**6), st.sampled_from(["text", "tail", "attribute", "double", "remove", "comment", "rename"]), _TEXTS)
def test_both_ways_of_reading_agree(ours: etree._Element, place: int, kind: str, text: str) -> None:
    """Any one change anywhere in SignedInfo."""
    message = copy.deepcopy(ours)
    elements = list(part(message, "SignedInfo").iter(etree.Element))
    element = elements[place % len(elements)]
    parent = element.getparent()
    assert parent is not None
    if kind == "text":
        element.text = text
    elif kind == "tail":
        element.tail = text
    elif kind == "attribute":
        names = ["URI", "Algorithm", "Id", "Type", "{urn:x}a"]
        element.set(names[place % len(names)], text)
    elif kind == "double":
        parent.insert(parent.index(element), copy.deepcopy(element))
    elif kind == "remove":
        parent.remove(element)
    elif kind == "comment":
        element.append(etree.Comment(text.replace("-", "")))
    else:
        element.tag = ds("Reference") if place % 2 else "{urn:x}Reference"
    with pytest.MonkeyPatch.context() as patch:
        if message.find(f".//{ds('SignedInfo')}") is not None:
            one, other, _ = both_ways(message, patch)
            assert one == other
