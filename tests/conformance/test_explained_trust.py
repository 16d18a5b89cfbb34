"""Examples of the rules of trust: each wrong one, put into a good assertion, message or signature, trips its rule and no other.

The right one passes. The cards, messages and signatures are those of the tests of `security`.
"""

from __future__ import annotations

import base64
import copy
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from lxml import etree

from conformance.explanations.catalogue import Explanation, explanations
from schemas.namespaces import DS, QUERY, SAML, SOAP12, WSA, WSSE, WSU, XADES, q
from security.document_signature import FRENCH_FORM
from security.refusal import Denied
from security.saml import Sender
from security.saml_content import read_content
from security.saml_issuers import Issuer, Structures
from security.saml_judging import judge_times
from security.saml_signature import find_assertion, read_signed
from security.signed_message import MessageVerifier
from soap.signing import RequestVerifier
from tests.security import foreign_signing as peer
from tests.security.assertions import World, headers_of, make_world
from tests.security.signed_sets import Cards, resigned

BOOK = {one.id: one for one in explanations().values() if one.kind == "trust" and not one.unjudged}
SETS = tuple(id for id in BOOK if id.startswith("DSG-"))
MESSAGES = tuple(id for id in BOOK if id.startswith("SIG-"))
ASSERTIONS = tuple(id for id in BOOK if id.startswith("SAM-"))
E = etree._Element

_PREFIXES = {"saml2": SAML, "ds": DS, "wsse": WSSE, "wsu": WSU, "wsa": WSA, "s": SOAP12, "xades": XADES, "query": QUERY}
_DECLARED = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in _PREFIXES.items())
_START_TAG = re.compile(r"^(<[\w:]+ [^<>]*[^/<>])>$", re.MULTILINE)
_MOMENT = re.compile(r"<!-- (?:\S+ )?(\d[\d:TZ-]+) -->")


def parts(text: str) -> list[E]:
    """The elements of a fragment; a start tag alone is an element of which only the attributes count."""
    try:
        return list(etree.fromstring(f"<fragment {_DECLARED}>{text}</fragment>").iterchildren(etree.Element))
    except etree.XMLSyntaxError:
        closed = _START_TAG.sub(r"\1/>", text)
        return list(etree.fromstring(f"<fragment {_DECLARED}>{closed}</fragment>").iterchildren(etree.Element))


def moment(text: str) -> datetime:
    """The time at which an example is read."""
    found = _MOMENT.match(text)
    assert found
    form = "%Y-%m-%dT%H:%M:%SZ" if "-" in found[1] else "%Y%m%d%H%M%S"
    return datetime.strptime(found[1], form).replace(tzinfo=UTC)


def filled(part: E, root: E) -> E:
    """The part with what its dots stand for, taken from the element of that name in `root`."""
    part = copy.deepcopy(part)
    part.tail = None
    for element in list(part.iter(etree.Element)):
        text, whole = (element.text or "").strip(), like(element, root)
        if len(element) or not text.endswith("...") or whole is None:
            continue
        if text != "...":
            element.text = whole.text
            continue
        new = copy.deepcopy(whole)
        new.tail = element.tail
        new.attrib.update({name: value for name, value in element.attrib.items() if name in ("URI", q(WSU, "Id"))})
        parent = element.getparent()
        if parent is None:
            return new
        parent.replace(element, new)
    return part


def like(part: E, root: E) -> E | None:
    """The element that a part of an example is about: of its name and, of several References, that with its URI."""
    named = list(root.iter(part.tag))
    return next((one for one in named if part.get("URI") and one.get("URI") == part.get("URI")), named[0] if named else None)


def put(root: E, text: str) -> None:
    """Each element of the fragment in the place of that of its name; an empty one gives its attributes only."""
    named: set[str] = set()
    for part in parts(text):
        old = like(part, root)
        if part.tag == q(SAML, "Attribute"):
            _put_attribute(root, part, named)
        elif old is None:
            next(root.iter(q(SAML, "Conditions"))).append(part)
        elif not len(part) and not (part.text or "").strip():
            if part.prefix in ("ds", "s"):
                old.attrib.clear()
            old.attrib.update(part.attrib)
        else:
            _put_instead(old, filled(part, root))


def _put_instead(old: E, new: E) -> None:
    """In place, so that attributes keep their prefixes, which are signed too."""
    old.attrib.update({name: value for name, value in new.attrib.items() if old.get(name) != value})
    if old.tag == q(DS, "Reference"):
        new.extend(copy.deepcopy(child) for child in old if new.find(child.tag) is None)
    old.text = new.text
    old[:] = list(new)


def _put_attribute(root: E, part: E, named: set[str]) -> None:
    name = part.get("Name", "")
    statement = next(root.iter(q(SAML, "AttributeStatement")))
    if name not in named:
        for old in [one for one in statement if one.get("Name", "").casefold() == name.casefold()]:
            statement.remove(old)
    named.add(name)
    statement.append(copy.deepcopy(part))


def rule_of(judge: Callable[[], object]) -> str:
    try:
        judge()
    except Denied as denied:
        return denied.rule
    return ""


def both(one: Explanation, judge: Callable[[str], str]) -> None:
    assert judge(one.wrong) == one.id
    assert judge(one.right) == ""


# ---------------------------------------------------------------------------------------------------------- assertions


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


#: What the verifier of an example is told where it is not the usual.
_OPTIONS: dict[str, tuple[Issuer, ...]] = {
    "SAM-036": (Issuer("vihf", contexts=frozenset({"urn:oasis:names:tc:SAML:2.0:ac:classes:SmartcardPKI"})),),
    "SAM-045": (Issuer("vihf", software=frozenset({"CARNET-TEST"}), software_refused=True),),
    "SAM-046": (Issuer("vihf", structures=Structures({"300000017334691": frozenset({"899918387918"})})),),
    "SAM-047": (
        Issuer("vihf", structures=Structures({
            "300000017334691": frozenset({"899918387918"}), "1750000001": frozenset({"899900000001"})
        })),
    ),
}  # fmt: skip
_IN_HEADER = ("SAM-001", "SAM-002", "SAM-003")
_IN_TIME = ("SAM-015", "SAM-016", "SAM-017", "SAM-018")
_AFTER = ("SAM-006", "SAM-009", "SAM-010")


def verdict(world: World, assertion: E, one: Explanation) -> str:
    options = {"issuers": _OPTIONS[one.id]} if one.id in _OPTIONS else {}
    sender = world.sender("doctor") if one.id == "SAM-024" else None
    return rule_of(lambda: world.verify(headers_of(assertion), sender, **options))


def before_signing(world: World, one: Explanation) -> Callable[[str], str]:
    card = one.place.get("card", "clinic" if one.id == "SAM-020" else "doctor")
    more = {"profile": "xua", "audience": ()} if one.id == "SAM-020" else {}

    def change(text: str) -> Callable[[E], None]:
        def changed(assertion: E) -> None:
            put(assertion, text)
            for holder in assertion.iter(q(DS, "X509Certificate")):
                holder.text = base64.b64encode(world.tls("doctor")).decode()

        return changed

    return lambda text: verdict(world, world.signed(world.statement(card, **more), card, change(text)), one)


def after_signing(world: World, one: Explanation) -> Callable[[str], str]:
    def judge(text: str) -> str:
        assertion = world.signed()
        put(assertion, text)
        return verdict(world, assertion, one)

    return judge


def in_header(world: World, one: Explanation) -> Callable[[str], str]:
    def judge(text: str) -> str:
        header = etree.fromstring(f'<s:Header xmlns:s="{SOAP12}"/>')
        header.extend(filled(part, world.signed()) for part in parts(text))
        return rule_of(lambda: world.verify(list(header)))

    return judge


def in_time(world: World, one: Explanation) -> Callable[[str], str]:
    """The times alone: the cards of the tests are younger than the moment of the example."""

    def judge(text: str) -> str:
        now = moment(text)

        def change(assertion: E) -> None:
            issued = f"{now:%Y-%m-%dT%H:%M:%SZ}"
            assertion.set("IssueInstant", issued)
            next(assertion.iter(q(SAML, "AuthnStatement"))).set("AuthnInstant", issued)
            next(assertion.iter(q(SAML, "Conditions"))).attrib.clear()
            put(assertion, text)

        found = find_assertion(headers_of(world.signed(change=change)))
        assert found
        return rule_of(lambda: judge_times(read_content(read_signed(found)), Issuer("vihf"), now, timedelta(seconds=60)))

    return judge


def put_in_order(world: World, one: Explanation) -> Callable[[str], str]:
    def judge(text: str) -> str:
        assertion = world.signed()
        for part in parts(text)[0]:
            assertion.append(next(child for child in assertion if child.tag == part.tag))
        return verdict(world, assertion, one)

    return judge


def reference(world: World, one: Explanation) -> Callable[[str], str]:
    def judge(text: str) -> str:
        uri = parts(text)[0].get("URI", "")
        card = world.card("doctor")
        assertion = world.signed(change=lambda a: a.set("ID", uri[1:] or "_1"))
        assert card and next(assertion.iter(q(DS, "Reference"))).get("URI")
        put(assertion, text)
        return verdict(world, assertion, one)

    return judge


def with_rsa(world: World, one: Explanation) -> Callable[[str], str]:
    def judge(text: str) -> str:
        statement = replace(world.statement("clinic"), structure=world.partner("legacy").identifier)
        assertion = world.signed(statement, "legacy")
        put(assertion, text)
        return verdict(world, assertion, one)

    return judge


def instant(world: World, one: Explanation) -> Callable[[str], str]:
    def judge(text: str) -> str:
        found = find_assertion(headers_of(world.signed(change=lambda a: put(a, text))))
        assert found
        return rule_of(lambda: read_content(read_signed(found)))

    return judge


def in_sequence(world: World, one: Explanation) -> Callable[[str], str]:
    def judge(text: str) -> str:
        verifier, made = world.verifier(), {}
        for part in parts(text):
            id = part.get("ID", "")
            if id not in made:
                made[id] = world.signed(world.statement(one_time=True), change=lambda a, id=id: a.set("ID", id))  # type: ignore[misc]
        sent = [made[part.get("ID", "")] for part in parts(text)]
        return "".join(rule_of(lambda one=one: verifier.verify(headers_of(copy.deepcopy(one)), Sender())) for one in sent)  # type: ignore[misc]

    return judge


_SPECIAL = {"SAM-005": put_in_order, "SAM-007": reference, "SAM-008": with_rsa, "SAM-019": instant, "SAM-022": in_sequence}


@pytest.mark.parametrize("id", ASSERTIONS)
def test_an_assertion(id: str, world: World) -> None:
    one = BOOK[id]
    usual = in_header if id in _IN_HEADER else in_time if id in _IN_TIME else after_signing if id in _AFTER else before_signing
    both(one, _SPECIAL.get(id, usual)(world, one))


# ------------------------------------------------------------------------------------------------------------ messages

_URL = "http://xds.example.org/xds/registry"
_QUERY_ACTION = "urn:ihe:iti:2007:RegistryStoredQuery"
_NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
_BEFORE = ("SIG-023", "SIG-024", "SIG-025", "SIG-026", "SIG-027", "SIG-028", "SIG-032")


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> peer.Pki:
    return peer.make_pki(tmp_path_factory.mktemp("messages"))


def message_of(pki: peer.Pki, text: str = "", signed: tuple[str, ...] = (*peer.PARTS, "Token")) -> E:
    """A signed query, made at noon of the day of the examples, with the fragment in it from before."""
    built = peer.build(f'<query:AdhocQueryRequest xmlns:query="{QUERY}"/>'.encode(), _QUERY_ACTION, _URL, now=_NOON)
    peer.part(built, "Body").set(q(WSU, "Id"), "Body-4f1c")
    peer.part(built, "Timestamp").set(q(WSU, "Id"), "TS-8a20")
    put(built, text)
    return peer.sign(built, pki.peer("alice"), signed)


def message_verdict(pki: peer.Pki, message: E, actions: tuple[str, ...] = ()) -> str:
    verifier = RequestVerifier(MessageVerifier(pki.trust.refresh, clock=lambda: _NOON), lambda *_: lambda: None, required=True)
    root = peer.parse(etree.tostring(message))
    return rule_of(lambda: verifier.verify(root, list(root[0]), {}, _URL, "/xds/registry", actions))


def signed_before(pki: peer.Pki, text: str) -> str:
    header, _, rest = text.rpartition("\n\n")
    stated = re.findall(r'action="([^"]+)"', header)
    return message_verdict(pki, message_of(pki, rest), tuple(stated))


def changed_after(pki: peer.Pki, text: str, again: bool = False) -> str:
    """`again`: signed again after the change."""
    message = message_of(pki)
    put(message, text.replace("X509-1", peer.part(message, "Token").get(q(WSU, "Id"), "")))
    if again:
        signed = [element for element in message.iter(etree.Element) if element.get(q(WSU, "Id"))]
        peer.compute(peer.part(message, "Signature"), pki.peer("alice"), signed)
    return message_verdict(pki, message)


def header_twice(pki: peer.Pki, text: str) -> str:
    built = message_of(pki)
    header = peer.part(built, "Header")
    header.extend(parts(text)[1:])
    return message_verdict(pki, built)


def security_header(pki: peer.Pki, text: str) -> str:
    """One wsse:Security or more, whose dots stand for what a signed message has there."""
    message = message_of(pki)
    security, header = peer.part(message, "Security"), peer.part(message, "Header")
    made = []
    for part in parts(text):
        new = etree.SubElement(header, part.tag, nsmap={"wsse": WSSE, "wsu": WSU})
        made.append(new)
        for child in part:
            found = security.find(child.tag)
            new.append(copy.deepcopy(found if found is not None else child))
    header.remove(security)
    return message_verdict(pki, message)


def listed(signature: E, text: str) -> None:
    """The signature with the children that the fragment lists."""
    wanted = [child.tag for child in parts(text)[0]]
    for child in [child for child in signature if child.tag not in wanted]:
        signature.remove(child)
    for child in parts(text)[0]:
        if signature.find(child.tag) is None:
            signature.append(copy.deepcopy(child))


def children_of_signature(pki: peer.Pki, text: str) -> str:
    message = message_of(pki)
    listed(peer.part(message, "Signature"), text)
    return message_verdict(pki, message)


def signed_parts(pki: peer.Pki, text: str) -> str:
    return message_verdict(pki, message_of(pki, signed=tuple(one.get("URI", "")[1:] for one in parts(text)[0])))


def relative_namespace(pki: peer.Pki, text: str) -> str:
    """No toolkit signs what cannot be canonicalised: it is put in afterwards."""
    return changed_after(pki, text) if 'xmlns:x="demande"' in text else signed_before(pki, text)


_OF_MESSAGES = {
    "SIG-001": security_header, "SIG-002": security_header, "SIG-003": security_header, "SIG-004": children_of_signature,
    "SIG-022": signed_parts, "SIG-023": header_twice, "SIG-030": relative_namespace,
}  # fmt: skip


@pytest.mark.parametrize("id", MESSAGES)
def test_a_message(id: str, pki: peer.Pki) -> None:
    judge = _OF_MESSAGES.get(id, signed_before if id in _BEFORE else changed_after)
    assert judge(pki, BOOK[id].wrong) == id
    again = id in ("SIG-008", "SIG-009", "SIG-031")  # the right example has blanks in SignedInfo where the message has none
    told = changed_after(pki, BOOK[id].right, True) if again else judge(pki, BOOK[id].right)
    assert told == ("SIG-022" if id == "SIG-009" else ""), "of the References the right example shows one"


# ---------------------------------------------------------------------------------------------------------- signed sets


@pytest.fixture(scope="module")
def cards(tmp_path_factory: pytest.TempPathFactory) -> Cards:
    return Cards(tmp_path_factory.mktemp("sets"))


def of_set(cards: Cards, id: str, text: str) -> set[str]:
    """The rules that the signature of a set breaks with the fragment in it, signed again."""
    card = "doctor" if id == "DSG-004" else "colleague"  # the method of the example is RSA's
    root = etree.fromstring(cards.sign(card))
    more: dict[str, Any] = {"targets": frozenset()} if id == "DSG-015" else {}
    if id == "DSG-002":
        return set(cards.broken(etree.tostring(filled(parts(text)[0], root))))
    if id == "DSG-003":
        listed(root, text)
        return set(cards.broken(etree.tostring(root)))
    if id == "DSG-011":
        root = etree.fromstring(cards.sign(card, FRENCH_FORM))
        next(root.iter("{*}SigningTime")).text = parts(text)[0].text
        more = {"form": FRENCH_FORM, "submission_time": moment(text)}
    elif id == "DSG-005":
        next(one for one in root.iter(q(DS, "Reference")) if one.get("URI") == "urn:oid:2.25.101").set(
            "URI", parts(text)[0].get("URI", "")
        )
    else:
        put(root, text)
    content = etree.tostring(root)
    return set(cards.broken(content if id in ("DSG-004", "DSG-009") else resigned(cards, content, card), **more))


@pytest.mark.parametrize("id", SETS)
def test_a_signed_set(id: str, cards: Cards) -> None:
    # The cards of the tests are younger than the moment of the example.
    beside = {"DSG-012"} if id == "DSG-011" else set()
    assert of_set(cards, id, BOOK[id].wrong) - beside == {id}
    assert of_set(cards, id, BOOK[id].right) - beside == set()
