"""The gate against whole xmlsec: what ours accepts, xmlsec accepts under the same key, and it says what was signed."""

from __future__ import annotations

import base64
import copy
import hashlib
import random
import string
import threading
from typing import Any

import pytest
import xmlsec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from schemas.namespaces import EXC_C14N
from security.canonical import canonical, digest, self_test
from security.distinguished_name import parse_name, same_name
from security.pki import TestAuthority
from security.refusal import Denied
from security.rules import TRUST_RULES
from security.rules_signature import SIGNATURE_RULES
from security.signature import METHODS, BadSignature, SigningKey, value_size, verify_octets
from security.signed_message import Expected, MessageVerifier
from security.signer import Enrolled
from tests.security import foreign_signing as peer
from tests.security.foreign_signing import Pki, ds, make_pki, parse, part, wsse, wsu

URL = "https://xds.example.org/xds/registry"
ACTION = "urn:ihe:iti:2007:RegistryStoredQuery"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return make_pki(tmp_path_factory.mktemp("pki"))


def verdict(envelope: etree._Element, pki: Pki, enrolled: Enrolled | None = None) -> str:
    """The rule that refuses; "" for acceptance."""
    try:
        MessageVerifier(pki.trust.refresh, enrolled or Enrolled()).verify(envelope, {}, Expected((URL,)))
    except Denied as denied:
        return denied.rule
    return ""


# ------------------------------------------------------------------------------------------------------------ properties

_NAMES = st.text(string.ascii_letters, min_size=1, max_size=6)
_SPACES = st.sampled_from(["", "urn:a", "urn:b", "urn:c"])
_PREFIXES = st.sampled_from([None, "p", "q", "wsa", "s"])
_TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=12)


@st.composite
def trees(draw: st.DrawFn, depth: int = 3) -> etree._Element:
    """Any element: namespaces declared where they are used or above, default ones, comments, all kinds of text."""
    space = draw(_SPACES)
    declared = {prefix: name for prefix, name in draw(st.dictionaries(_PREFIXES, _SPACES, max_size=2)).items() if name}
    element = etree.Element(f"{{{space}}}{draw(_NAMES)}" if space else draw(_NAMES), nsmap=declared)
    for name, value in draw(st.dictionaries(_NAMES, _TEXTS, max_size=3)).items():
        if name.lower() != "id":
            element.set(f"{{{draw(_SPACES) or 'urn:d'}}}{name}" if draw(st.booleans()) else name, value)
    element.text = draw(_TEXTS)
    for _ in range(draw(st.integers(0, 3)) if depth else 0):
        child = draw(trees(depth=depth - 1)) if draw(st.integers(0, 4)) else etree.Comment("c")
        child.tail = draw(_TEXTS)
        element.append(child)
    return element


@given(trees(), st.lists(st.sampled_from(["#default", "p", "q", "s", "wsa", "none"]), max_size=3, unique=True))
def test_ours_and_whole_xmlsec_agree(pki: Pki, body: etree._Element, prefixes: list[str]) -> None:
    """On any Body; what lxml writes of a tree that was put together may read as another one, and then both refuse."""
    message = peer.sign(peer.build(etree.tostring(body), ACTION, URL), pki.peer("carole"), prefixes=prefixes)
    try:
        peer.verify(message, pki.peer("carole").x509)
        expected = ""
    except xmlsec.Error:
        expected = "SIG-019"
    assert verdict(message, pki) == expected


def _signed_form(message: etree._Element) -> list[bytes]:
    """What the receiver acts on, in canonical form."""
    return [canonical(part(message, name)) for name in ("Body", "Action", "MessageID", "To", "ReplyTo", "Timestamp")]


def _mutate(message: etree._Element, seed: int) -> etree._Element:
    """A few random changes of a tree, of the kinds that attackers make."""
    choose = random.Random(seed)
    message = copy.deepcopy(message)
    for _ in range(choose.randint(1, 3)):
        elements = [element for element in message.iter(etree.Element) if element.getparent() is not None]
        one, other = choose.choice(elements), choose.choice(elements)
        kind = choose.randrange(7)
        if kind == 0 and one not in other.iterancestors() and one is not other:
            other.append(one)
        elif kind == 1:
            one.addnext(copy.deepcopy(one))
        elif kind == 2:
            one.getparent().remove(one)  # type: ignore[union-attr]
        elif kind == 3:
            one.text = (one.text or "") + choose.choice([" ", "x", "\n"])
        elif kind == 4 and one.attrib:
            name = choose.choice(sorted(map(str, one.attrib)))
            one.set(name, choose.choice([*other.attrib.values(), "y"]))  # type: ignore[list-item]
        elif kind == 5:
            one.insert(0, etree.Comment("z"))
        elif kind == 6 and one not in other.iterancestors() and other not in one.iterancestors() and one is not other:
            copied = copy.deepcopy(other)
            one.getparent().replace(one, copied)  # type: ignore[union-attr]
    return parse(etree.tostring(message))


@given(st.integers(0, 2**32))
def test_a_changed_message_is_refused_or_says_the_same(pki: Pki, seed: int) -> None:
    body = b"<q xmlns='urn:q' a='1'><r>one</r><r>two</r><!-- c --></q>"
    message = peer.sign(peer.build(body, ACTION, URL), pki.peer("carole"))
    changed = _mutate(message, seed)
    if changed.tag == message.tag and verdict(changed, pki) == "":
        assert _signed_form(changed) == _signed_form(message)
        peer.verify(changed, pki.peer("carole").x509)


# --------------------------------------------------------------------------------------------------------- the other names


def _name_token(message: etree._Element, inner: etree._Element) -> etree._Element:
    """The token goes away, KeyInfo names the certificate another way; KeyInfo is not signed."""
    reference = part(message, "KeyInfo")[0]
    del reference[:]
    reference.append(inner)
    part(message, "Security").remove(part(message, "Token"))
    return parse(etree.tostring(message))


def _key_identifier(kind: str, octets: bytes) -> etree._Element:
    element = etree.Element(wsse("KeyIdentifier"), ValueType=kind, EncodingType=peer.BASE64)
    element.text = base64.b64encode(octets).decode()
    return element


def _issuer_serial(certificate: x509.Certificate, name: str = "") -> etree._Element:
    data = etree.Element(ds("X509Data"))
    pair = etree.SubElement(data, ds("X509IssuerSerial"))
    etree.SubElement(pair, ds("X509IssuerName")).text = name or certificate.issuer.rfc4514_string()
    etree.SubElement(pair, ds("X509SerialNumber")).text = str(certificate.serial_number)
    return data


THUMBPRINT = "http://docs.oasis-open.org/wss/oasis-wss-soap-message-security-1.1#ThumbprintSHA1"
SUBJECT_KEY = peer._OASIS + "x509-token-profile-1.0#X509SubjectKeyIdentifier"


def _forms(certificate: x509.Certificate) -> dict[str, etree._Element]:
    der = certificate.public_bytes(peer.serialization.Encoding.DER)
    subject_key = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    return {
        "X509v3": _key_identifier(peer.X509V3, der),
        "thumbprint": _key_identifier(THUMBPRINT, hashlib.sha1(der).digest()),
        "subject key": _key_identifier(SUBJECT_KEY, subject_key),
        "issuer and serial": _issuer_serial(certificate),
        "issuer as Java writes it": _issuer_serial(certificate, "CN=CARNET TEST AUTHORITY, O=CARNET TEST, C=FR"),
    }


FORMS = ("X509v3", "thumbprint", "subject key", "issuer and serial", "issuer as Java writes it")


@pytest.mark.parametrize("form", FORMS)
def test_the_ways_to_name_a_certificate(form: str, pki: Pki) -> None:
    alice = pki.peer("alice")
    message = peer.sign(peer.build(b"<q/>", ACTION, URL), alice, peer.PARTS)
    named = _name_token(message, _forms(alice.x509)[form])
    assert verdict(named, pki, Enrolled(lambda: (pki.peer("carole").x509, alice.x509, alice.x509))) == ""
    # Only named and not enrolled: unknown. Sent whole, it needs no enrolment to be read.
    assert verdict(named, pki, Enrolled(lambda: (pki.peer("carole").x509,))) == ("" if form == "X509v3" else "SIG-016")


def test_a_serial_number_of_another_issuer_is_not_the_certificate(pki: Pki) -> None:
    alice = pki.peer("alice")
    message = peer.sign(peer.build(b"<q/>", ACTION, URL), alice, peer.PARTS)
    named = _name_token(message, _issuer_serial(alice.x509, "CN=ANOTHER AUTHORITY,O=CARNET TEST,C=FR"))
    assert verdict(named, pki, Enrolled(lambda: (alice.x509,))) == "SIG-016"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("CN=a,O=b,C=FR", "CN=A, O=B, C=fr"),
        ("CN=a\\,b,C=FR", 'CN="a\\2cb", C=FR'),
        ("CN=Caf\u00e9,C=FR", "2.5.4.3=Caf\\c3\\a9,C=FR"),
        ("OU=x+CN=y,C=FR", "CN=y + OU=x, C=FR"),
        ("CN=a  b,C=FR", "CN=A B;C=FR"),
        ("E=x@y.z,C=FR", "EMAILADDRESS=x@y.z, C=FR"),
        ("CN=#0c0161,C=FR", "CN=a,C=FR"),
    ],
)
def test_one_name_written_in_two_ways(one: str, other: str) -> None:
    assert parse_name(one) == parse_name(other) != ()


@pytest.mark.parametrize("other", ["CN=b,O=a,C=FR", "O=b,CN=a,C=FR", "CN=a,C=FR", "CN=a", "", "a", "=a", "CN=a,O=b,C=DE"])
def test_two_names_are_two(other: str) -> None:
    assert not same_name(other, x509.Name.from_rfc4514_string("CN=a,O=b,C=FR"))


@pytest.mark.parametrize("place", ["CanonicalizationMethod", "Transform"])
@pytest.mark.parametrize(("count", "rule"), [(32, "SIG-018"), (33, "SIG-004"), (5000, "SIG-004")])
def test_a_prefix_list_has_an_end(pki: Pki, place: str, count: int, rule: str) -> None:
    """libxml2 takes the square of it for each element, before anything is known of the sender. A shorter one spoils the value."""
    message = peer.sign(peer.build(b"<q/>", ACTION, URL), pki.peer("alice"), peer.PARTS)
    method = next(part(message, "SignedInfo").iter(ds(place)))
    words = " ".join(f"p{number}" for number in range(count))
    etree.SubElement(method, f"{{{EXC_C14N}}}InclusiveNamespaces", PrefixList=words)
    assert verdict(message, pki) == rule


def test_a_token_that_is_no_certificate_is_refused(pki: Pki) -> None:
    """`cryptography` has an exception of its own for a version that X.509 does not know."""
    alice = pki.peer("alice")
    der = alice.x509.public_bytes(Encoding.DER)
    version = der.index(bytes.fromhex("a003020102")) + 4
    for octets in (der[:version] + b"\x07" + der[version + 1 :], der[:-1], b"\x30\x00"):
        message = peer.sign(peer.build(b"<q/>", ACTION, URL), alice, peer.PARTS)
        assert verdict(_name_token(message, _key_identifier(peer.X509V3, octets)), pki, Enrolled(tuple)) == "SIG-017"


# --------------------------------------------------------------------------------------------------------------- pieces


def test_str_transform_over_the_token(pki: Pki) -> None:
    """As WSS4J makes it when asked: the digest of the token with xmlns="" on it, under the reference to it."""
    alice = pki.peer("alice")
    message = peer.sign(peer.build(b"<q/>", ACTION, URL), alice, peer.PARTS)
    info, reference = part(message, "SignedInfo"), part(message, "KeyInfo")[0]
    reference.set(wsu("Id"), "STR-1")
    form = canonical(part(message, "Token")).replace(b"BinarySecurityToken", b'BinarySecurityToken xmlns=""', 1)
    added = copy.deepcopy(info[-1])
    added.set("URI", "#STR-1")
    transform = added[0][0]
    transform.set("Algorithm", peer._OASIS + "soap-message-security-1.0#STR-Transform")
    parameters = etree.SubElement(transform, wsse("TransformationParameters"))
    method = etree.SubElement(parameters, ds("CanonicalizationMethod"))
    method.set("Algorithm", "http://www.w3.org/2001/10/xml-exc-c14n#")
    added[2].text = base64.b64encode(hashlib.sha256(form).digest()).decode()
    info.append(added)
    resigned = _sign_again(message, alice)
    assert verdict(resigned, pki) == ""
    changed = etree.tostring(resigned).replace(b"<s:Envelope", b'<s:Envelope xmlns="urn:default"')
    assert verdict(parse(changed), pki) == "SIG-031"


def _sign_again(message: etree._Element, signer: peer.Peer) -> etree._Element:
    """Another signature value over SignedInfo as it is."""
    value = SigningKey(signer.certificate, signer.key).sign(canonical(part(message, "SignedInfo")))
    next(message.iter(ds("SignatureValue"))).text = base64.b64encode(value).decode()
    return parse(etree.tostring(message))


def test_the_canonical_form_is_proved_before_anything_is_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    self_test()
    monkeypatch.setattr("security.canonical._FORMS", {(): b"<other/>"})
    with pytest.raises(RuntimeError, match="signatures cannot be verified"):
        self_test()


def test_a_streamed_digest_is_that_of_the_whole() -> None:
    root = etree.fromstring("<r xmlns:p='urn:p'><p:d>\n<i/>\n</p:d>between<p:d><i/></p:d></r>")
    before = etree.tostring(root)
    streamed = digest(root, (), "sha256", {root[0]: lambda: [b"AB", b"CD"], root[1]: lambda: []})
    assert etree.tostring(root) == before
    root[0].text, root[1].text = "ABCD", None
    del root[0][:], root[1][:]
    assert streamed == hashlib.sha256(canonical(root)).digest()


def test_a_long_document_is_hashed_beside_its_making() -> None:
    """The same digest by two threads; where the document breaks off, the second one ends too."""
    root = etree.fromstring("<r><d/></r>")
    pieces = [bytes([65 + n % 26]) * 300_000 for n in range(30)]
    expected = hashlib.sha256(b"<r><d>" + b"".join(pieces) + b"</d></r>").digest()
    assert digest(root, (), "sha256", {root[0]: lambda: pieces}) == expected

    def broken() -> Any:
        yield from pieces
        raise OSError("gone")

    before = threading.active_count()
    with pytest.raises(OSError, match="gone"):
        digest(root, (), "sha256", {root[0]: broken})
    assert threading.active_count() == before


def test_the_tree_comes_back_when_a_document_cannot_be_read() -> None:
    def broken() -> Any:
        raise OSError("gone")

    root = etree.fromstring("<r><d><i/></d></r>")
    before = etree.tostring(root)
    with pytest.raises(OSError, match="gone"):
        digest(root, (), "sha256", {root[0]: broken})
    assert etree.tostring(root) == before


@pytest.mark.parametrize("method", METHODS)
def test_every_listed_method_verifies_and_nothing_else_passes(method: str, pki: Pki) -> None:
    signer = pki.peer("carole" if METHODS[method].family == "EC" else "alice")
    context: Any = xmlsec.SignatureContext()
    context.key = xmlsec.Key.from_memory(signer.key, xmlsec.KeyFormat.PEM, None)  # type: ignore[attr-defined]
    value = context.sign_binary(b"octets", METHODS[method].transform)
    verify_octets(signer.x509, method, b"octets", value)
    for octets, wrong in ((b"octetz", value), (b"octets", value[:-1] + bytes([value[-1] ^ 1])), (b"octets", bytes(len(value)))):
        with pytest.raises(BadSignature):
            verify_octets(signer.x509, method, octets, wrong)
    assert value_size(signer.x509) == len(value)


def test_another_certificate_s_key_never_verifies(pki: Pki, tmp_path: Any) -> None:
    other = TestAuthority.create(tmp_path / "pki")
    other.issue("structure", "bob")
    key = SigningKey((tmp_path / "pki" / "bob.crt").read_bytes(), (tmp_path / "pki" / "bob.key").read_bytes())
    with pytest.raises(BadSignature):
        verify_octets(pki.peer("alice").x509, key.method, b"octets", key.sign(b"octets"))


def test_the_rules_are_whole() -> None:
    """Each has its texts in both languages, the same values in both, an id of its own."""
    assert len({rule.id for rule in TRUST_RULES}) == len(TRUST_RULES)
    for rule in SIGNATURE_RULES:
        fields = [{f for _, f, _, _ in string.Formatter().parse(text) if f} for text in (rule.text_en, rule.text_fr)]
        assert fields[0] == fields[1], rule.id
        assert all((rule.statement_en, rule.statement_fr, rule.remedy_en, rule.remedy_fr, rule.section)), rule.id
