"""Signed submission sets: what is right passes in both forms, and each rule is tripped alone (ITI TF-3: 5.5).

The cases are one piece with the cards and the set that they share: that is why the module has so many lines.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import re
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from signed_sets import CDA, DOCUMENTS, FIRST, FORMS, PDF, SECOND, SET, Cards, Octets, Stored, Unread, resigned

from schemas.namespaces import DS, XADES, q
from security.document_signature import CANONICAL, FRENCH_FORM, IHE_FORM, canonical_document, canonical_part
from security.document_signature_block import C14N, C14N11, CANONICALIZATIONS, COMMENTS, XADES_FRENCH
from security.document_signature_making import SetToSign, sign_set
from security.rules_document_signature import RULES
from security.trust import TrustStore


@pytest.fixture(scope="module")
def cards(tmp_path_factory: pytest.TempPathFactory) -> Cards:
    return Cards(tmp_path_factory.mktemp("pki"))


def changed(cards: Cards, old: bytes, new: bytes, content: bytes | None = None, name: str = "doctor") -> bytes:
    content = content or cards.sign(name)
    assert old in content, old
    return resigned(cards, content.replace(old, new), name)


# ------------------------------------------------------------------------------------------------------------ what is right


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("name", ["doctor", "colleague", "hospital"])
def test_what_we_sign_is_right(cards: Cards, form: object, name: str) -> None:
    verdict = cards.verdict(cards.sign(name, form), form)  # type: ignore[arg-type]
    assert verdict.good, verdict.findings
    assert verdict.signer == cards.certificate(name).subject.rfc4514_string()
    assert verdict.signing_time.endswith("Z")


def test_a_single_document_is_signed_long_before_it_is_shared(cards: Cards) -> None:
    content = cards.sign(uniqueId="", documents={FIRST: DOCUMENTS[FIRST]}, time=datetime.now(UTC) - timedelta(minutes=3))
    assert cards.broken(content, targets=frozenset({FIRST})) == []
    old = datetime.now(UTC) + timedelta(days=40)
    assert cards.broken(content, targets=frozenset({FIRST}), submission_time=old) == []


def test_a_document_stored_before_is_compared_with_what_is_stored(cards: Cards) -> None:
    content = cards.sign(uniqueId="", documents={FIRST: DOCUMENTS[FIRST]})
    other = {SECOND: DOCUMENTS[SECOND]}
    apart = {"documents": other, "targets": frozenset(), "elsewhere": 1}
    assert cards.broken(content, stored=Stored(DOCUMENTS), **apart) == []
    assert cards.broken(content, stored=Stored({FIRST: Octets(b"other")}), **apart) == ["DSG-014"]
    assert cards.broken(content, **apart) == ["DSG-016"]


def test_other_signatures_need_not_be_listed(cards: Cards) -> None:
    more = {**DOCUMENTS, "2.25.103": Octets(b"<other/>")}
    assert cards.broken(cards.sign(), documents=more, optional=frozenset({"2.25.103"})) == []


def test_a_block_that_costs_more_than_it_says_is_refused_before_it_is_canonicalised(cards: Cards) -> None:
    """Canonical forms cost the square of the prefixes for each element: a block of 30 kB kept a server busy for minutes."""
    root = etree.fromstring(cards.sign())
    info = root.find(q(DS, "SignedInfo"))
    assert info is not None
    part = etree.SubElement(root, q(DS, "Object"), Id="big")
    declared = " ".join(f'xmlns:p{number}="urn:{number}"' for number in range(40))
    part.append(etree.fromstring(f"<x {declared}>{'<a/>' * 50}</x>"))
    denied = cards.verdict(etree.tostring(root)).findings
    assert [one.rule for one in denied] == ["DSG-003"] and "prefixes" in denied[0].text_en
    root.remove(part)
    naming = next(r for r in info if (r.get("URI") or "").startswith("#") and r.get("URI") != "#IHEManifest")
    for _ in range(2):
        info.append(copy.deepcopy(naming))
    denied = cards.verdict(etree.tostring(root)).findings
    assert [one.rule for one in denied] == ["DSG-003"] and "referenced twice" in denied[0].text_en


def test_comments_beside_elements_are_read_in_one_pass(cards: Cards) -> None:
    """Nothing is timed: looked at anew for each comment they would take hours."""
    signed = cards.sign().replace(b"</ds:Signature>", b"<ds:Object>" + b"<!---->" * 150_000 + b"<a/></ds:Object></ds:Signature>")
    assert cards.broken(signed) == []
    assert cards.broken(signed.replace(b"<a/></ds:Object>", b"</ds:Object>")) == ["DSG-003"]


def test_references_may_stand_in_signed_info(cards: Cards) -> None:
    """IHE's text speaks of one ds:Reference per document; some signers put them into SignedInfo and have no Manifest."""
    root = etree.fromstring(cards.sign())
    info, manifest = root.find(q(DS, "SignedInfo")), root.find(f".//{q(DS, 'Manifest')}")
    assert info is not None and manifest is not None
    naming = next(r for r in info if r.get("URI") == "#IHEManifest")
    for reference in list(manifest):
        info.append(reference)
    info.remove(naming)
    holder = manifest.getparent()
    assert holder is not None
    root.remove(holder)
    assert cards.broken(resigned(cards, etree.tostring(root))) == []


@pytest.mark.parametrize("algorithm", ["sha384", "sha512"])
def test_longer_digests_are_computed_while_reading(cards: Cards, algorithm: str) -> None:
    uri = {"sha384": "http://www.w3.org/2001/04/xmldsig-more#sha384", "sha512": "http://www.w3.org/2001/04/xmlenc#sha512"}
    root = etree.fromstring(cards.sign())
    reference = next(r for r in root.iter(q(DS, "Reference")) if r.get("URI") == f"urn:oid:{SECOND}")
    reference[0].set("Algorithm", uri[algorithm])
    reference[1].text = base64.b64encode(hashlib.new(algorithm, PDF).digest()).decode()
    content = resigned(cards, etree.tostring(root))
    assert cards.broken(content) == []
    assert cards.broken(content, documents={**DOCUMENTS, SECOND: Octets(PDF + b"!")}) == ["DSG-014"]


def test_no_document_is_read_for_digests_that_are_known(cards: Cards) -> None:
    """SHA-1 and SHA-256 were computed while the document came."""
    assert cards.broken(cards.sign(), documents={id: Unread(octets.data) for id, octets in DOCUMENTS.items()}) == []


@pytest.mark.parametrize("digest", ["0", "MA==", "AA=="])
def test_the_digest_of_the_set_is_nothing_in_three_spellings(cards: Cards, digest: str) -> None:
    assert cards.broken(changed(cards, b">MA==<", f">{digest}<".encode())) == []


# ---------------------------------------------------------------------------------------------------- each rule tripped alone


def test_every_rule_has_a_case_here_or_at_the_repository() -> None:
    import tests.repository.test_signed_sets as there

    text = Path(__file__).read_text() + Path(there.__file__ or "").read_text()
    assert {rule.id for rule in RULES} == set(re.findall(r'"(DSG-\d{3})"', text))
    for rule in RULES:
        assert rule.statement_en != rule.statement_fr and rule.text_en != rule.text_fr and rule.remedy_en and rule.remedy_fr


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no xml",
        b'<!DOCTYPE x [<!ENTITY e "1">]><x>&e;</x>',
        b'<w xmlns="http://www.w3.org/2000/09/xmldsig#"><Signature/></w>',
        b"<a>" * 200,
        b"<!--" + b"x" * (2 * 1024 * 1024) + b"--><a/>",
    ],
    ids=["empty", "no xml", "DTD", "wrapped", "deep", "large"],
)
def test_what_cannot_be_read(cards: Cards, content: bytes) -> None:
    assert cards.broken(content) == ["DSG-002"]


def test_a_wrapped_signature_is_refused(cards: Cards) -> None:
    content = cards.sign().split(b"?>", 1)[1]
    assert cards.broken(b"<wrapper>" + content + b"</wrapper>") == ["DSG-002"]
    second = b"<ds:Object>" + content.replace(b'Id="', b'Id="x') + b"</ds:Object>"
    inside = content.replace(b"</ds:Signature>", second + b"</ds:Signature>")
    assert cards.broken(inside) == ["DSG-003"], "a signature within a signature"
    forged = re.sub(rb"<ds:Object><ds:Manifest.*?</ds:Object>", lambda m: m[0] + m[0], content)
    assert cards.broken(forged) == ["DSG-003"], "one Id twice"


FORM_CHANGES = {
    "no KeyInfo": (rb"<ds:KeyInfo>.*?</ds:KeyInfo>", b""),
    "foreign child": (rb"<ds:KeyInfo>", b"<ds:Other/><ds:KeyInfo>"),
    "xml:base": (rb"<ds:Manifest ", b'<ds:Manifest xml:base="urn:x" '),
    "listed twice": (rb"(<ds:Reference URI=\"urn:oid:2.25.102\">.*?</ds:Reference>)", rb"\1\1"),
    "comment in a value": (rb"(<xades:SigningTime>....)", rb"\1<!-- -->"),
    "parameters": (rb'(<ds:SignatureMethod [^>]*)/>', rb"\1><ds:HMACOutputLength>1</ds:HMACOutputLength></ds:SignatureMethod>"),
    "value no base64": (rb"<ds:SignatureValue>.*?</ds:SignatureValue>", b"<ds:SignatureValue>?</ds:SignatureValue>"),
    "no reference": (rb"<ds:Reference .*</ds:Reference></ds:SignedInfo>", b"</ds:SignedInfo>"),
    "empty manifest": (rb"(<ds:Manifest [^>]*>).*</ds:Manifest>", rb"\1</ds:Manifest>"),
    "two digests": (rb"(<ds:DigestValue>.*?</ds:DigestValue>)", rb"\1\1"),
}  # fmt: skip


@pytest.mark.parametrize("change", FORM_CHANGES.values(), ids=FORM_CHANGES)
def test_another_form(cards: Cards, change: tuple[bytes, bytes]) -> None:
    content, count = re.subn(*change, cards.sign(), count=1, flags=re.DOTALL)
    assert count == 1
    assert cards.broken(content) == ["DSG-003"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"http://www.w3.org/2001/04/xmldsig-more#rsa-sha256", b"http://www.w3.org/2000/09/xmldsig#rsa-sha1"),
        (b"http://www.w3.org/2001/04/xmldsig-more#rsa-sha256", b"http://www.w3.org/2001/04/xmldsig-more#rsa-md5"),
        (b"http://www.w3.org/2001/04/xmldsig-more#rsa-sha256", b"http://www.w3.org/2001/04/xmldsig-more#hmac-sha256"),
        (C14N11.encode() + b"#WithComments", b"http://www.w3.org/TR/1999/REC-xslt-19991116"),
    ],
)
def test_algorithms_that_are_not_accepted(cards: Cards, old: bytes, new: bytes) -> None:
    assert cards.broken(cards.sign().replace(old, new)) == ["DSG-004"]


def test_sha1_is_for_the_french_domain(cards: Cards) -> None:
    french = cards.sign(form=FRENCH_FORM)
    assert cards.broken(french, FRENCH_FORM) == []
    assert set(cards.broken(french, replace(FRENCH_FORM, sha1=False))) == {"DSG-004", "DSG-010"}
    assert cards.broken(cards.sign(), FRENCH_FORM, signs_set=True) == [], "SHA-256 and XAdES 1.3.2 pass there as well"


@pytest.mark.parametrize(
    "uri",
    ["file:///etc/passwd", "http://127.0.0.1:1/x", "", "#xpointer(/)", "../x", "FILE:/dev/zero", "urn:oid:", "1.02", "cid:a"],
)
@pytest.mark.parametrize("place", ["manifest", "SignedInfo"])
def test_references_are_never_followed(cards: Cards, uri: str, place: str) -> None:
    old = f'URI="urn:oid:{SECOND}"' if place == "manifest" else 'URI="#IHEManifest"'
    assert cards.broken(changed(cards, old.encode(), f'URI="{uri}"'.encode())) == ["DSG-005"]


@pytest.mark.parametrize("part", ["#Signature", "#nothing"])
def test_a_part_stands_in_an_object(cards: Cards, part: str) -> None:
    assert cards.broken(changed(cards, b'URI="#IHEManifest"', f'URI="{part}"'.encode())) == ["DSG-005"]


@pytest.mark.parametrize(
    "transforms",
    [
        '<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116"/>',
        '<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116"><ds:XPath>1</ds:XPath></ds:Transform>',
        '<ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"/>',
        f'<ds:Transform Algorithm="{C14N}"/><ds:Transform Algorithm="{C14N}"/>',
        f'<ds:Transform Algorithm="{C14N}"><ds:XPath>1</ds:XPath></ds:Transform>',
    ],
)
def test_transforms_are_one_canonicalisation(cards: Cards, transforms: str) -> None:
    new = f'URI="urn:oid:{FIRST}"><ds:Transforms>{transforms}</ds:Transforms>'
    assert cards.broken(changed(cards, f'URI="urn:oid:{FIRST}">'.encode(), new.encode())) == ["DSG-006"]


def test_signed_properties_are_signed(cards: Cards) -> None:
    type = b' Type="http://uri.etsi.org/01903#SignedProperties"'
    assert cards.broken(changed(cards, type, b"")) == ["DSG-007"]
    assert cards.broken(changed(cards, type, b"", cards.sign(form=FRENCH_FORM).replace(
        b' Type="http://uri.etsi.org/01903/v1.1.1#SignedProperties"', type)), FRENCH_FORM) == ["DSG-007"]  # fmt: skip
    content = re.sub(rb"<ds:Reference URI=\"#SignedProperties\".*?</ds:Reference>", b"", cards.sign())
    assert cards.broken(resigned(cards, content)) == ["DSG-007"]
    other = content.replace(b'URI="#IHEManifest" Type="', b'URI="#IHEManifest"' + type + b' x="')
    assert cards.broken(resigned(cards, other)) == ["DSG-007"], "their Type on something else"


@pytest.mark.parametrize("name", ["doctor", "colleague"])
def test_a_wrong_value(cards: Cards, name: str) -> None:
    root = etree.fromstring(cards.sign(name))
    value = root.find(q(DS, "SignatureValue"))
    assert value is not None and value.text
    octets = bytearray(base64.b64decode(value.text))
    octets[-1] ^= 1
    value.text = base64.b64encode(octets).decode()
    assert cards.broken(etree.tostring(root)) == ["DSG-008"]
    value.text = base64.b64encode(bytes(octets[:-1])).decode()
    assert cards.broken(etree.tostring(root)) == ["DSG-008"]
    assert cards.broken(cards.sign(name).replace(b'Type="', b'x="1" Type="', 1)) == ["DSG-008"]


def test_the_value_is_made_by_the_key_of_the_named_certificate(cards: Cards) -> None:
    """The colleague's certificate beside a value that the doctor made."""
    doctor, hospital = cards.pem("doctor"), cards.pem("hospital")
    content = sign_set(SetToSign(SET, DOCUMENTS), hospital[0], doctor[1], IHE_FORM)
    assert cards.broken(content) == ["DSG-008"]


@pytest.mark.parametrize("change", [(b"urn:oid:2.25.101", b"urn:oid:2.25.105"), (b'Target="#Signature"', b'Target="#Other"')])
def test_what_is_signed_inside_cannot_be_changed(cards: Cards, change: tuple[bytes, bytes]) -> None:
    content = cards.sign()
    assert change[0] in content
    broken = cards.broken(content.replace(*change))
    assert broken[:1] == ["DSG-009"] if b"oid" in change[0] else broken == []


def test_one_octet_of_the_properties(cards: Cards) -> None:
    content = re.sub(rb"(<xades:X509IssuerName>|<ds:X509IssuerName>)", rb"\1 ", cards.sign())
    assert cards.broken(content) == ["DSG-009"]


def test_the_certificate_is_named_and_given(cards: Cards) -> None:
    other = base64.b64encode(cards.certificate("colleague").public_bytes(serialization.Encoding.DER))
    own = base64.b64encode(cards.certificate("doctor").public_bytes(serialization.Encoding.DER))
    content = cards.sign()
    assert cards.broken(content.replace(own, other)) == ["DSG-010"]
    assert cards.broken(content.replace(own, b"AAAA")) == ["DSG-010"]
    assert cards.broken(content.replace(b"<ds:X509Certificate>" + own + b"</ds:X509Certificate>", b"")) == ["DSG-010"]
    both = b"<ds:X509Certificate>" + other + b"</ds:X509Certificate>"
    assert cards.broken(content.replace(b"<ds:X509Certificate>", both + b"<ds:X509Certificate>")) == [], "a chain may stand there"
    without = re.sub(rb"<xades:SigningCertificate>.*?</xades:SigningCertificate>", b"", content)
    assert cards.broken(resigned(cards, without)) == ["DSG-010"]


@pytest.mark.parametrize(
    "time",
    ["", "yesterday", "2024-01-01T00:00:00", "{tomorrow}", "{long ago}"],
)
def test_signing_time_is_plausible(cards: Cards, time: str) -> None:
    now = datetime.now(UTC)
    text = time.format(**{"tomorrow": (now + timedelta(days=1)).isoformat(), "long ago": (now - timedelta(days=3)).isoformat()})
    content = re.sub(rb"(<xades:SigningTime>).*?<", rb"\g<1>" + text.encode() + b"<", cards.sign(form=FRENCH_FORM))
    assert cards.broken(resigned(cards, content), FRENCH_FORM) == ["DSG-011"]


def test_the_signer_is_trusted(cards: Cards, tmp_path: Path) -> None:
    assert cards.broken(cards.sign("revoked")) == ["DSG-012"], "revoked, whatever SigningTime says"
    early = datetime.now(UTC) - timedelta(minutes=3)
    assert cards.broken(cards.sign("revoked", time=early)) == ["DSG-012"]
    assert cards.broken(cards.sign(), trust=TrustStore()) == ["DSG-012"]
    two_days_ago = datetime.now(UTC) - timedelta(days=2)
    before = cards.sign(time=two_days_ago)
    assert cards.broken(before, submission_time=two_days_ago) == ["DSG-012"], "before the card was issued"
    cards.authority.issue("person", "apart", apart=True)
    certificate, key = (cards.folder / f"apart.{kind}" for kind in ("crt", "key"))
    content = sign_set(SetToSign(SET, DOCUMENTS), certificate.read_bytes(), key.read_bytes(), IHE_FORM)
    people = frozenset({cards.identifier("apart")})
    assert cards.broken(content, people=people) == ["DSG-012"], "a certificate to authenticate"
    assert cards.broken(cards.sign("apart"), people=people) == []


def test_another_signer(cards: Cards) -> None:
    assert cards.broken(cards.sign(), people=frozenset({cards.identifier("colleague")})) == ["DSG-013"]
    assert cards.broken(cards.sign("hospital"), structures=frozenset({"1750000001"})) == ["DSG-013"]
    as_person = {"people": frozenset({cards.identifier("hospital")}), "structures": frozenset()}
    assert cards.broken(cards.sign("hospital"), **as_person) == ["DSG-013"]


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_one_byte_of_a_document(cards: Cards, form: object) -> None:
    content = cards.sign(form=form)  # type: ignore[arg-type]
    for id, data in ((FIRST, CDA), (SECOND, PDF)):
        other = {**DOCUMENTS, id: Octets(data.replace(b"a", b"b", 1) if id == SECOND else data.replace(b"v3", b"v4"))}
        verdict = cards.verdict(content, form, documents=other)  # type: ignore[arg-type]
        assert [d.rule for d in verdict.findings] == ["DSG-014"] and id in verdict.findings[0].text_en


@pytest.mark.parametrize("digest", ["0", "MA==", "AA==", "?", ""])
def test_a_document_has_a_digest_of_its_own(cards: Cards, digest: str) -> None:
    """What stands for nothing stands for the set only."""
    content = re.sub(rb"(urn:oid:2.25.102.*?<ds:DigestValue>).*?<", rb"\g<1>" + digest.encode() + b"<", cards.sign())
    assert cards.broken(resigned(cards, content)) == ["DSG-014"]


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_complete_both_ways(cards: Cards, form: object) -> None:
    some = {FIRST: DOCUMENTS[FIRST]}
    targets = frozenset() if form is FRENCH_FORM else frozenset(some)
    missing = cards.verdict(cards.sign(form=form, documents=some), form, targets=targets)  # type: ignore[arg-type]
    assert [d.rule for d in missing.findings] == ["DSG-015"] and SECOND in missing.findings[0].text_en
    extra = cards.verdict(cards.sign(form=form), form, documents=some, targets=targets, stored=Stored(DOCUMENTS))  # type: ignore[arg-type]
    assert [d.rule for d in extra.findings] == ["DSG-016"] and SECOND in extra.findings[0].text_en


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_the_wrong_set(cards: Cards, form: object) -> None:
    assert cards.broken(cards.sign(form=form, uniqueId="2.25.999"), form) == ["DSG-017"]  # type: ignore[arg-type]
    content = cards.sign(form=form)  # type: ignore[arg-type]
    set_digest = b">AA==<" if form is FRENCH_FORM else b">MA==<"
    assert cards.broken(changed(cards, set_digest, b">AQ==<", content), form) == ["DSG-017"]  # type: ignore[arg-type]
    if form is FRENCH_FORM:
        assert cards.broken(cards.sign(form=FRENCH_FORM, uniqueId=""), FRENCH_FORM) == ["DSG-017"]


def test_where_signs_ends(cards: Cards) -> None:
    assert cards.broken(cards.sign(), signs_set=True) == ["DSG-018"], "IHE: at the entries"
    assert cards.broken(cards.sign(), targets=frozenset()) == [], "of a whole set it may be left out"
    assert cards.broken(cards.sign(), targets=frozenset({FIRST, "2.25.7"})) == ["DSG-018"]
    single = cards.sign(uniqueId="", documents={FIRST: DOCUMENTS[FIRST]})
    assert cards.broken(single, targets=frozenset(DOCUMENTS)) == ["DSG-018"], "one that is not signed"
    assert cards.broken(single, targets=frozenset()) == ["DSG-018"], "none"
    french = cards.sign(form=FRENCH_FORM)
    assert cards.broken(french, FRENCH_FORM, signs_set=False) == ["DSG-018"]
    assert cards.broken(french, FRENCH_FORM, signs_set=False, targets=frozenset(DOCUMENTS)) == []


def test_an_unknown_policy(cards: Cards) -> None:
    assert cards.broken(changed(cards, b"urn:ihe:iti:dsg:detached:2014<", b"urn:example:policy<")) == ["DSG-019"]


@pytest.mark.parametrize(
    "data",
    [b"no xml", b"<!DOCTYPE a><a/>", b"<a>" + b" " * CANONICAL.max_bytes + b"</a>"],
    ids=["no xml", "DTD", "large"],
)
def test_documents_without_canonical_form(cards: Cards, data: bytes) -> None:
    content = cards.sign(form=FRENCH_FORM)
    assert cards.broken(content, FRENCH_FORM, documents={**DOCUMENTS, FIRST: Octets(data)}) == ["DSG-020"]


def test_every_finding_is_told_at_once(cards: Cards) -> None:
    content = cards.sign("revoked", uniqueId="2.25.999", documents={FIRST: Octets(b"other"), "2.25.104": Octets(b"x")})
    assert set(cards.broken(content, people=frozenset())) == {f"DSG-{n:03d}" for n in (12, 13, 14, 15, 16, 17, 18)}


@pytest.fixture(scope="module")
def right(cards: Cards) -> bytes:
    return cards.sign()


@given(st.data())
def test_no_damage_passes(cards: Cards, right: bytes, data: st.DataObject) -> None:
    """A byte of a signed place changed anywhere is found, and nothing but findings ever comes out."""
    content = bytearray(right)
    place = data.draw(st.integers(content.index(b"<ds:SignedInfo>"), len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    broken = cards.broken(bytes(content))
    assert all(rule.startswith("DSG-") for rule in broken)
    assert broken or _same_meaning(bytes(content), right)


def _same_meaning(one: bytes, other: bytes) -> bool:
    """True where SignedInfo, the manifest and the properties are the same: the change hit what nobody signed."""

    def signed(content: bytes) -> list[bytes]:
        root = etree.fromstring(content)
        parts = [*root.iter(q(DS, "SignedInfo"), q(DS, "Manifest")), *root.iter(q(XADES, "SignedProperties"))]
        return [canonical_part(part, C14N) for part in parts]

    return signed(one) == signed(other)


# --------------------------------------------------------------------------------------------------------- canonical forms


@given(st.sampled_from(sorted(CANONICALIZATIONS)), st.integers(0, 5))
def test_the_form_of_a_part_is_that_of_the_whole(algorithm: str, seed: int) -> None:
    """libxml2's own form of the whole document holds the part's form, but for what is declared above: here nothing."""
    source = (
        f'<a><b xmlns="urn:d{seed}" xmlns:x="urn:x" z="1" x:y="&#9;2"><!-- c --><c xmlns="" t="&lt;&#13;"/>'
        f'<x:e xmlns:u="urn:u">&gt;\u00e9<?pi data?></x:e></b></a>'
    )
    root = etree.fromstring(source)
    exclusive, comments = CANONICALIZATIONS[algorithm]
    whole = etree.tostring(root.getroottree(), method="c14n", exclusive=exclusive, with_comments=comments)
    assert b"<a>" + canonical_part(root[0], algorithm) + b"</a>" == whole
    assert canonical_document(source.encode(), algorithm) == whole


def test_the_form_of_a_part_carries_what_is_declared_above() -> None:
    root = etree.fromstring('<r xmlns="urn:d" xmlns:u="urn:unused" xmlns:a="urn:a"><a:b><c/></a:b></r>')
    expected = b'<a:b xmlns="urn:d" xmlns:a="urn:a" xmlns:u="urn:unused"><c></c></a:b>'
    assert canonical_part(root[0], C14N) == expected
    assert canonical_part(root[0], C14N + COMMENTS) == expected


# ------------------------------------------------------------------------------------------------------------ other programs


@pytest.mark.skipif(shutil.which("xmlsec1") is None, reason="the program xmlsec1 is not installed")
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("name", ["doctor", "colleague"])
def test_xmlsec1_verifies_ours(cards: Cards, tmp_path: Path, form: object, name: str) -> None:
    """Core validation by another program: value, manifest and SignedProperties (documents are beyond it)."""
    file = tmp_path / "signature.xml"
    content = cards.sign(name, form)  # type: ignore[arg-type]
    space = XADES_FRENCH if form is FRENCH_FORM else XADES
    ids = ["--id-attr:Id", f"{space}:SignedProperties"]
    command = ["xmlsec1", "--verify", "--ignore-manifests", "--trusted-pem", str(cards.folder / "ca.crt"), *ids]
    file.write_bytes(content)
    ran = subprocess.run([*command, str(file)], capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stderr
    file.write_bytes(content.replace(b"urn:oid:2.25.102", b"urn:oid:2.25.103"))
    ran = subprocess.run([*command, str(file)], capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode != 0


@pytest.mark.skipif(shutil.which("xmlsec1") is None, reason="the program xmlsec1 is not installed")
def test_ours_verifies_what_xmlsec1_signs(cards: Cards, tmp_path: Path) -> None:
    root = etree.fromstring(cards.sign())
    for value in [root.find(q(DS, "SignatureValue")), *root.find(q(DS, "SignedInfo")).iter(q(DS, "DigestValue"))]:  # type: ignore[union-attr]
        assert value is not None
        value.text = None
    template = tmp_path / "template.xml"
    template.write_bytes(etree.tostring(root))
    certificate, key = (cards.folder / f"doctor.{kind}" for kind in ("crt", "key"))
    command = ["xmlsec1", "--sign", "--ignore-manifests", "--id-attr:Id", f"{XADES}:SignedProperties"]
    command += ["--privkey-pem", f"{key},{certificate}", "--output", str(tmp_path / "signed.xml"), str(template)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stderr
    assert cards.broken((tmp_path / "signed.xml").read_bytes()) == []


# --------------------------------------------------------------------------------------------- as other signers write the form


def test_the_french_form_as_older_software_writes_it(cards: Cards) -> None:
    """Without prefix, SignatureProperties outside every namespace, schemaLocation on the signed parts, the chain in
    SigningCertificate, fractions and zone in SigningTime."""
    content = cards.sign(form=FRENCH_FORM).replace(b"xmlns:ds=", b"xmlns=").replace(b"<ds:", b"<").replace(b"</ds:", b"</")
    location = b' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="urn:x x.xsd"'
    content = content.replace(b"<SignatureProperties>", b'<SignatureProperties xmlns="">').replace(
        b'<Manifest Id="IHEManifest"', b"<Manifest" + location + b' Id="IHEManifest"'
    )
    content = re.sub(rb"(<xades:SigningTime>[^<]*)Z<", rb"\g<1>.123+00:00<", content)
    root = etree.fromstring(content)
    named = next(root.iter(q(XADES_FRENCH, "Cert")))
    above = etree.fromstring(etree.tostring(named))
    next(above.iter(q(XADES_FRENCH, "DigestValue"))).text = base64.b64encode(b"0" * 20).decode()
    named.addnext(above)
    assert cards.broken(resigned(cards, etree.tostring(root)), FRENCH_FORM) == []
