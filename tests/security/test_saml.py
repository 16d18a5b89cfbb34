"""Assertions verified: what is proved, what is remembered and what never is, who may send them, other signers."""

from __future__ import annotations

import base64
import copy
import hashlib
import random
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from lxml import etree

from metadata.french import problem_with_ps_id
from schemas.namespaces import DS, EXC_C14N, SAML, q
from security import saml_names as names
from security.assertion_writer import SigningCard, Statement, assertion_of_card, build_assertion, write_assertion
from security.identity import Coded, Mode
from security.pki import PkiError
from security.refusal import Denied
from security.saml import Sender, Verifier, VerifierOptions
from security.saml_issuers import Issuer, Structures
from security.saml_signature import find_assertion, read_signed
from security.saml_uses import MemoryUses
from security.trust import TrustStore
from tests.security.assertions import (
    AUDIENCE,
    PATIENT,
    World,
    attribute,
    canonical,
    child,
    headers_of,
    make_world,
    refused,
    sign_by_hand,
)
from tests.security.certificates import certificate, name, new_key

#: A namespace declared above the assertion, which no name in it has.
NAMESPACED = b'<s:Header xmlns:xs="urn:x">'


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    yield make_world(tmp_path_factory.mktemp("world"))


# --------------------------------------------------------------------------------------------------------- what is proved


def test_a_card_proves_its_holder(world: World) -> None:
    said = world.verify(headers_of(world.signed()), world.sender("doctor"))
    assert said is not None and said.mode is Mode.DIRECT and said.version == "3.0"
    assert said.subject == world.partner("doctor").identifier and problem_with_ps_id(said.subject) is None
    assert [(role.code, role.system) for role in said.roles] == [("10", names.PROFESSIONS), ("SM26", names.KNOW_HOWS)]
    assert said.structure == world.partner("clinic").identifier and said.sector == Coded("SA07", names.SECTORS)
    assert said.patient == PATIENT and said.purpose is not None and said.purpose.code == "normal"
    assert said.certificate_der == world.tls("doctor")
    assert said.user_name == f"<{said.subject}@{said.issuer}>"


@pytest.mark.parametrize("mode", [Mode.INDIRECT, Mode.REINFORCED])
def test_a_structure_proves_its_people(world: World, mode: Mode) -> None:
    statement = world.statement("clinic", mode=mode, alias="DrT")
    said = world.verify(headers_of(world.signed(statement, "clinic")), world.sender("clinic"))
    assert said is not None and said.mode is mode and said.name == "doctor" and said.alias == "DrT"
    assert said.structure == world.partner("clinic").identifier
    assert said.subject == world.partner("doctor").identifier


def test_xua_proves_what_it_names(world: World) -> None:
    statement = world.statement(
        "clinic", profile="xua", alias="jdoe", purpose=Coded("TREATMENT", names.XUA_PURPOSES), consents=("urn:oid:1.2.3",)
    )
    more = {names.NPI: "1234567890", names.HOME_COMMUNITY: "urn:oid:1.2.3.4"}
    said = world.verify(
        headers_of(world.signed(replace(statement, attributes=more), "clinic")), world.sender("clinic"), secured=True
    )
    assert said is not None and said.mode is Mode.XUA and said.organisation == world.partner("clinic").organisation
    assert said.purpose is not None and said.purpose.code == "TREATMENT" and said.consents == ("urn:oid:1.2.3",)
    assert said.attributes[names.NPI] == ("1234567890",)
    assert said.user_name == f"jdoe<{said.subject}@{said.issuer}>"


def test_an_emergency_says_why_and_a_secret_session_is_known(world: World) -> None:
    secret = Coded("INVISIBLE_REPRESENTANTS_LEGAUX", names.MASKING)
    statement = world.statement(purpose=Coded(names.EMERGENCY, names.PURPOSES), reason=" coma ", session=(secret,))
    said = world.verify(headers_of(world.signed(statement)))
    assert said is not None and said.reason == "coma" and said.session == ("INVISIBLE_REPRESENTANTS_LEGAUX",)


def test_repeated_statements_and_attributes_are_joined(world: World) -> None:
    """ITI TF-2: 3.40.4.1.2: several AttributeStatements, several Attributes of one name."""

    def split(element: etree._Element) -> None:
        roles = attribute(element, names.ROLE)
        second = etree.SubElement(element, q(SAML, "AttributeStatement"))
        other = etree.SubElement(second, q(SAML, "Attribute"), Name=names.ROLE)
        other.append(roles[1])
        second.append(copy.deepcopy(attribute(element, names.STRUCTURE)))

    said = world.verify(headers_of(world.signed(change=split)))
    assert said is not None and [role.code for role in said.roles] == ["10", "SM26"]


def test_without_any_it_is_none_unless_required(world: World) -> None:
    assert world.verify(headers_of(), required=False) is None
    assert world.verifier(required=False).verify([]) is None
    refused("SAM-001", lambda: world.verify([]))


@pytest.mark.parametrize("place", ["CanonicalizationMethod", "Transform[2]"])
@pytest.mark.parametrize(("count", "rule"), [(32, "SAM-010"), (33, "SAM-006")])
def test_a_prefix_list_has_an_end(world: World, place: str, count: int, rule: str) -> None:
    element = world.signed()
    method = element.find(f".//{{{DS}}}{place}")
    assert method is not None
    words = " ".join(f"p{number}" for number in range(count))
    etree.SubElement(method, f"{{{EXC_C14N}}}InclusiveNamespaces", PrefixList=words)
    refused(rule, lambda: world.verify(headers_of(element)))


# ---------------------------------------------------------------------------------------------------- another signer


@pytest.mark.parametrize(
    ("who", "digest"), [("doctor", "sha256"), *(("legacy", digest) for digest in ("sha256", "sha384", "sha512"))]
)
def test_what_another_program_signed_verifies(world: World, who: str, digest: str) -> None:
    card = world.card(who)
    statement = world.statement("doctor") if who == "doctor" else _spoken_by(world, who)
    assert world.verify(headers_of(sign_by_hand(build_assertion(statement, card.subject), card, digest)))


def test_what_we_sign_is_right_for_another_verifier(world: World) -> None:
    """The digest over the assertion without its signature, computed with nothing of xmlsec."""
    element = etree.fromstring(write_assertion(world.card("legacy"), _spoken_by(world, "legacy")))
    signature = child(element, "ds:Signature")
    info = child(signature, "ds:SignedInfo")
    value = base64.b64decode("".join((child(signature, "ds:SignatureValue").text or "").split()))
    key = x509.load_pem_x509_certificate(world.card("legacy").certificate_pem).public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    key.verify(value, canonical(info), padding.PKCS1v15(), hashes.SHA256())
    stated = base64.b64decode(child(info, "ds:Reference", "ds:DigestValue").text or "")
    element.remove(signature)
    assert hashlib.sha256(canonical(element)).digest() == stated


@pytest.mark.skipif(shutil.which("xmlsec1") is None, reason="the program xmlsec1 (Debian: xmlsec1) is not installed")
@pytest.mark.parametrize("who", ["doctor", "legacy"])
def test_what_we_sign_is_right_for_the_program_xmlsec1(world: World, tmp_path: Path, who: str) -> None:
    statement = world.statement("doctor") if who == "doctor" else _spoken_by(world, who)
    card = world.card(who)
    written = write_assertion(card, statement)
    (tmp_path / "signer.crt").write_bytes(card.certificate_pem)
    for octets, right in ((written, True), (written.replace(b"urn:dmp", b"urn:dmq"), False)):
        (tmp_path / "assertion.xml").write_bytes(octets)
        command = ["xmlsec1", "--verify", "--id-attr:ID", f"{SAML}:Assertion", "--pubkey-cert-pem", "signer.crt", "assertion.xml"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=300, check=False)
        assert (done.returncode == 0) is right, done.stderr


def _spoken_by(world: World, structure: str) -> Statement:
    return world.statement("clinic", structure=world.partner(structure).identifier)


def test_sha1_is_an_exemption_with_a_date(world: World) -> None:
    """RSA-SHA1 over SHA-1, as the DMP's old samples have it: never, unless the issuer's row says until when."""
    card = world.card("legacy")
    old = sign_by_hand(build_assertion(_spoken_by(world, "legacy"), card.subject), card, "sha1")
    today = datetime.now(UTC).date()
    until: list[tuple[date, bool]] = [(today, True), (today - timedelta(days=1), False)]
    for day, accepted in until:
        verifier = world.verifier(issuers=(Issuer("vihf", sha1_until=day),))
        if accepted:
            assert verifier.verify(headers_of(old))
            assert verifier.verify(headers_of(old))
        else:
            refused("SAM-008", lambda verifier=verifier: verifier.verify(headers_of(old)))
    broken = copy.deepcopy(old)
    child(broken, "Subject", "NameID").text = "899912345678"
    refused("SAM-010", lambda: world.verify(headers_of(broken), issuers=(Issuer("vihf", sha1_until=today),)))


def test_an_exemption_that_ends_ends_for_what_is_remembered_too(world: World) -> None:
    card = world.card("legacy")
    now = datetime.now(UTC)
    old = headers_of(sign_by_hand(build_assertion(_spoken_by(world, "legacy"), card.subject), card, "sha1"))
    verifier = world.verifier(issuers=(Issuer("vihf", sha1_until=now.date()),))
    assert verifier.verify(old)
    verifier.options = replace(verifier.options, issuers=(Issuer("vihf", sha1_until=now.date() - timedelta(days=1)),))
    refused("SAM-008", lambda: verifier.verify(old))


# ------------------------------------------------------------------------------------------- remembered, and what never is


def test_the_second_look_at_an_assertion_judges_it_anew(world: World) -> None:
    verifier = world.verifier()
    headers = headers_of(world.signed())
    now = datetime.now(UTC)
    assert verifier.verify(headers) == verifier.verify(headers)
    refused("SAM-016", lambda: verifier.verify(headers, at=now + timedelta(minutes=45)))
    refused("SAM-027", lambda: verifier.verify(headers, world.sender("hospital")))
    verifier.options = replace(verifier.options, issuers=(Issuer("xua"),))
    refused("SAM-013", lambda: verifier.verify(headers))


def test_a_card_that_is_revoked_is_refused_with_the_assertion_that_was_good(world: World) -> None:
    world.authority.issue("person", "leaver", key_type="ec")
    store = TrustStore()
    authorities = [world.authority.certificate]

    def lists() -> list[x509.CertificateRevocationList]:
        return [x509.load_pem_x509_crl((world.authority.folder / "ca.crl").read_bytes())]

    store.replace(authorities, lists())
    verifier = Verifier(lambda: store)
    headers = headers_of(world.signed(world.statement("leaver"), "leaver"))
    assert verifier.verify(headers)
    world.authority.revoke("leaver")
    store.replace(authorities, lists())
    refused("PKI-004", lambda: verifier.verify(headers))


def test_no_change_of_an_octet_is_believed(world: World, long: bool) -> None:
    """Any octet of a good assertion changed: refused, or it says the same (blanks and base64 have several spellings)."""
    good = etree.tostring(world.signed())
    verifier = world.verifier()
    expected = verifier.verify(headers_of(etree.fromstring(good)))
    chosen = random.Random(4)
    believed = 0
    for position in range(len(good)) if long else chosen.sample(range(len(good)), 400):
        octets = bytearray(good)
        octets[position] = (octets[position] + chosen.randrange(1, 255)) % 256
        try:
            element = etree.fromstring(bytes(octets))
            headers = headers_of(element)
        except (etree.XMLSyntaxError, ValueError):
            continue
        try:
            found = verifier.verify(headers)
        except Denied:
            continue
        assert found == expected
        believed += 1
    assert believed < 40


def test_an_assertion_is_read_from_its_own_octets_with_the_namespaces_around_it(world: World) -> None:
    """The signature stays right when a peer declares its namespaces above, and wherever else in Security it stands."""
    good = world.signed()
    envelope = etree.fromstring(
        etree.tostring(headers_of(good)[0].getroottree()).replace(b"<s:Header>", b'<s:Header xmlns:xs="urn:x">')
    )
    headers = list(envelope[0])
    assert world.verify(headers)
    found = find_assertion(headers)
    assert found is not None and read_signed(found).id == good.get("ID")


# ------------------------------------------------------------------------------------------------------------ who sends


def test_who_may_carry_an_assertion(world: World) -> None:
    direct, spoken = headers_of(world.signed()), headers_of(world.signed(world.statement("clinic"), "clinic"))
    xua = headers_of(world.signed(world.statement("clinic", profile="xua"), "clinic"))
    for headers, allowed in (
        (direct, ("doctor", "clinic")),
        (spoken, ("clinic", "doctor")),
        (xua, ("clinic", "doctor", "colleague")),
    ):
        for who in ("doctor", "clinic", "hospital", "colleague"):
            ask = world.verifier(secured=True)
            if who in allowed:
                assert ask.verify(headers, world.sender(who)), who
            else:
                refused("SAM-027", lambda ask=ask, headers=headers, who=who: ask.verify(headers, world.sender(who)))


def test_a_bearers_assertion_stays_with_who_brought_it_first(world: World) -> None:
    verifier = world.verifier(secured=True)
    headers = headers_of(world.signed())
    assert verifier.verify(headers, world.sender("doctor"))
    assert verifier.verify(headers, world.sender("doctor"))
    refused("SAM-026", lambda: verifier.verify(headers, world.sender("clinic")))
    other = headers_of(world.signed())
    assert verifier.verify(other, world.sender("clinic"))
    refused("SAM-026", lambda: verifier.verify(other, world.sender("doctor")))


def test_one_time_use_is_once(world: World) -> None:
    verifier = world.verifier()
    headers = headers_of(world.signed(world.statement(one_time=True)))
    assert verifier.verify(headers)
    refused("SAM-022", lambda: verifier.verify(headers))
    again = headers_of(world.signed())
    assert verifier.verify(again) and verifier.verify(again)


def test_a_refused_message_does_not_use_up_an_assertion(world: World) -> None:
    verifier = world.verifier(secured=True)
    headers = headers_of(world.signed(world.statement(one_time=True)))
    refused("SAM-027", lambda: verifier.verify(headers, world.sender("hospital")))
    assert verifier.verify(headers, world.sender("doctor"))


def test_holder_of_key_is_the_connection_or_the_signature_of_the_message(world: World) -> None:
    held = headers_of(world.signed(world.statement(confirmation="holder-of-key", holder=world.tls("hospital"))))
    assert world.verify(held, world.sender("hospital"), secured=True), "the key proves more than the structure"
    assert world.verify(held, Sender(signer_der=world.tls("hospital")))
    refused("SAM-024", lambda: world.verify(held, Sender(world.tls("doctor"), world.partner("doctor"), world.tls("clinic"))))


def test_sender_vouches_needs_one_signature_over_message_and_assertion(world: World) -> None:
    """What the message's signature covers was verified before; here only its references are read."""
    element = world.signed(world.statement(confirmation="sender-vouches"))
    for uri, accepted in (("#" + str(element.get("ID")), True), ("#body", False)):
        signature = etree.fromstring(
            f'<d:Signature xmlns:d="{DS}"><d:SignedInfo><d:Reference URI="{uri}"/></d:SignedInfo></d:Signature>'
        )
        headers = headers_of(copy.deepcopy(element), signature)
        sender = Sender(world.tls("doctor"), world.partner("doctor"), world.tls("doctor"))
        if accepted:
            assert world.verify(headers, sender)
        else:
            refused("SAM-025", lambda headers=headers, sender=sender: world.verify(headers, sender))
        refused("SAM-025", lambda headers=headers: world.verify(headers, world.sender("doctor")))
        if accepted:
            stranger = Sender(signer_der=world.tls("hospital"))
            refused("SAM-027", lambda headers=headers, sender=stranger: world.verify(headers, sender))


# --------------------------------------------------------------------------------------------------------- issuers by row


def _provider() -> tuple[SigningCard, x509.Certificate]:
    """A certificate that an identity provider made for itself: no authority, no KeyUsage."""
    key = new_key()
    made = certificate(name("idp"), key.public_key(), name("idp"), key)
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return SigningCard(made.public_bytes(serialization.Encoding.PEM), key.private_bytes(*plain)), made


def test_a_provider_with_a_pinned_certificate_and_a_name_of_its_own(world: World) -> None:
    card, made = _provider()
    pinned = frozenset({made.fingerprint(hashes.SHA256()).hex()})
    issuers = (Issuer("xua", name="https://idp.example.org", certificates=pinned, audience=("urn:here",)), Issuer("vihf"))
    statement = Statement(
        PATIENT,
        "jdoe",
        profile="xua",
        mode=Mode.XUA,
        issuer="https://idp.example.org",
        organisation="clinic",
        audience=("urn:here",),
    )
    headers = headers_of(etree.fromstring(write_assertion(card, replace(statement, purpose=None))))
    said = world.verify(headers, world.sender("clinic"), issuers=issuers, secured=True)
    assert said is not None and said.issuer == "https://idp.example.org" and said.purpose is None
    assert world.verify(headers_of(world.signed()), issuers=issuers), "the other row still holds"
    other, _ = _provider()
    stolen = headers_of(etree.fromstring(write_assertion(other, statement)))
    refused("SAM-014", lambda: world.verify(stolen, issuers=issuers))
    refused("SAM-014", lambda: world.verify(headers, issuers=(replace(issuers[0], certificates=frozenset()),)))
    late = datetime.now(UTC) + timedelta(days=200)
    refused("SAM-014", lambda: world.verifier(issuers=issuers).verify(headers, at=late))


def test_an_issuer_with_authorities_of_its_own(world: World) -> None:
    store = TrustStore()
    store.replace([world.stranger.certificate], [x509.load_pem_x509_crl((world.stranger.folder / "ca.crl").read_bytes())])
    issuers = (Issuer("vihf", store=store),)
    headers = headers_of(world.signed(world.statement("attacker"), "attacker"))
    assert world.verify(headers, issuers=issuers)
    refused("PKI-001", lambda: world.verify(headers_of(world.signed()), issuers=issuers))


def test_software_is_let_pass_with_a_warning_in_test_mode(world: World) -> None:
    told: list[str] = []
    issuers = (Issuer("vihf", software=frozenset({"DMP-1"})),)
    assert world.verify(headers_of(world.signed()), issuers=issuers, warn=told.append)
    assert len(told) == 1 and "CARNET-TEST" in told[0] and "SAM-045" in told[0]


def test_listed_structures_and_their_people(world: World) -> None:
    said = world.statement()
    for people in ({said.subject}, set()):
        listed = Structures({said.structure: frozenset(people)})
        assert world.verify(headers_of(world.signed(said)), issuers=(Issuer("vihf", structures=listed),))


def test_a_patient_acts_for_himself(world: World) -> None:
    """The role of 1.2.250.1.213.1.1.4.6; the NameID is no professional's."""
    patient = world.statement("clinic", subject="279035121518989", roles=(Coded(names.PATIENT_ROLE, names.OTHER_ROLES),))
    said = world.verify(headers_of(world.signed(patient, "clinic")))
    assert said is not None and said.subject == "279035121518989"


# ------------------------------------------------------------------------------------------------------------- the writer


def test_the_writer_takes_cards_of_a_folder(world: World) -> None:
    folder = world.authority.folder
    verifier = Verifier(world.trust.refresh, VerifierOptions(audience=(AUDIENCE,)), MemoryUses())
    written = [
        assertion_of_card(folder, "doctor", patient=PATIENT),
        assertion_of_card(folder, "apart", patient=PATIENT),
        assertion_of_card(folder, "clinic", patient=PATIENT),
        assertion_of_card(folder, "clinic", patient=PATIENT, person="doctor", mode=Mode.REINFORCED),
        assertion_of_card(folder, "doctor", patient=PATIENT, mode=Mode.INDIRECT),
        assertion_of_card(folder, "doctor", patient=PATIENT, mode=Mode.INDIRECT, structure="clinic", purpose="centre_15"),
        assertion_of_card(folder, "clinic", patient=PATIENT, profile="xua", audience=AUDIENCE, purpose="TREATMENT"),
    ]
    assert all(verifier.verify(headers_of(etree.fromstring(one))) for one in written)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"name": "nobody"}, "no person or structure 'nobody'"),
        ({"name": "clinic", "mode": Mode.DIRECT}, "a person's card signs in the mode DIRECTE"),
        ({"name": "clinic", "person": "hospital"}, "no person 'hospital'"),
        ({"name": "doctor", "mode": Mode.INDIRECT, "structure": "nowhere"}, "which structure speaks for 'doctor'"),
    ],
)
def test_the_writer_says_what_it_cannot_write(world: World, given: dict[str, object], words: str) -> None:
    with pytest.raises(PkiError, match=words):
        assertion_of_card(world.authority.folder, patient=PATIENT, **given)  # type: ignore[arg-type]  # words of a table
