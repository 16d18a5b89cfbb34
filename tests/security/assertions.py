"""What tests of assertions share: cards, envelopes, and a second way to sign that has nothing of xmlsec in it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from lxml import etree

from schemas.namespaces import DS, SAML, SOAP12, WSSE, WSU, q
from security.assertion_writer import SigningCard, Statement, build_assertion, card_statement
from security.identity import Assertion
from security.pki import TestAuthority, signing_files, tls_files
from security.refusal import Denied
from security.saml import Sender, Verifier, VerifierOptions
from security.signature import sign_enveloped
from security.trust import Partner
from security.trust_files import LiveTrust, TrustSources

PATIENT = "279035121518989^^^&1.2.250.1.213.1.4.10&ISO^NH"
OTHER_PATIENT = "153078987658513^^^&1.2.250.1.213.1.4.10&ISO^NH"
AUDIENCE = "urn:oid:1.2.250.1.999"

Change = Callable[[etree._Element], Any]


@dataclass(slots=True)
class World:
    """A test authority with its cards, a stranger's, and a verifier that believes the first."""

    authority: TestAuthority
    stranger: TestAuthority
    trust: LiveTrust
    options: VerifierOptions = field(default_factory=lambda: VerifierOptions(audience=(AUDIENCE,), required=True))

    def card(self, who: str) -> SigningCard:
        folder = self.stranger.folder if (self.stranger.folder / f"{who}.crt").exists() else self.authority.folder
        certificate, key = signing_files(folder, who)
        return SigningCard(certificate.read_bytes(), key.read_bytes())

    def tls(self, who: str) -> bytes:
        """The certificate (DER) with which `who` connects."""
        pem = tls_files(self.authority.folder, who)[0].read_bytes()
        return x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER)

    def partner(self, who: str) -> Partner:
        return self.trust.store.partner(x509.load_der_x509_certificate(self.tls(who)))

    def sender(self, who: str) -> Sender:
        return Sender(self.tls(who), self.partner(who))

    def statement(self, who: str = "doctor", **changes: Any) -> Statement:
        """What a good assertion of `who` says (a structure speaks for `doctor`), with changes."""
        structure = who in ("clinic", "hospital")
        profile = changes.get("profile", "vihf")
        folder = self.stranger.folder if who == "attacker" else self.authority.folder
        _, said = card_statement(folder, who, patient=PATIENT, person="doctor" if structure else "", profile=profile)
        if profile == "xua":
            said = replace(said, audience=(AUDIENCE,))
        return replace(said, **changes)

    def signed(self, statement: Statement | None = None, by: str = "doctor", change: Change | None = None) -> etree._Element:
        """A signed assertion; `change` is made before it is signed."""
        card = self.card(by)
        element = build_assertion(statement or self.statement(by), card.subject)
        if change is not None:
            change(element)
        return etree.fromstring(sign_enveloped(element, card.key_pem, card.certificate_pem))

    def verifier(self, **options: Any) -> Verifier:
        return Verifier(self.trust.refresh, replace(self.options, **options))

    def verify(self, headers: Sequence[etree._Element], sender: Sender | None = None, **options: Any) -> Assertion | None:
        return self.verifier(**options).verify(headers, sender)


def make_world(home: Path) -> World:
    authority = TestAuthority.create(home / "pki")
    issued: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("structure", "clinic", {}),
        ("structure", "hospital", {}),
        ("structure", "legacy", {"key_type": "rsa"}),
        ("person", "doctor", {"structure": "clinic"}),
        ("person", "colleague", {"structure": "clinic"}),
        ("person", "nurse", {"structure": "clinic", "profession": "60", "know_how": ""}),
        ("person", "apart", {"structure": "clinic", "apart": True}),
        ("person", "gone", {"structure": "clinic"}),
        ("person", "expired", {"structure": "clinic", "days": -1}),
        ("server", "machine", {}),
    )
    for kind, name, more in issued:
        authority.issue(kind, name, **{"key_type": "ec", **more})
    authority.revoke("gone")
    stranger = TestAuthority.create(home / "stranger")
    stranger.issue("person", "attacker", key_type="ec")
    folder = authority.folder
    sources = TrustSources(
        authorities=(folder / "ca.crt",), lists=(folder / "ca.crl",), fetched=None, index=folder / "index.json", partners=None
    )
    return World(authority, stranger, LiveTrust(sources))


# -------------------------------------------------------------------------------------------------------------- messages


def headers_of(*security: etree._Element, beside: Sequence[etree._Element] = (), body_id: str = "", securities: int = 1) -> Any:
    """The header blocks of a message with these children of wsse:Security; `beside` stand in the Header itself."""
    envelope = etree.Element(q(SOAP12, "Envelope"), nsmap={"s": SOAP12})
    header = etree.SubElement(envelope, q(SOAP12, "Header"))
    places = [etree.SubElement(header, q(WSSE, "Security")) for _ in range(securities)]
    for number, child in enumerate(security):
        places[number % len(places)].append(child)
    header.extend(beside)
    body = etree.SubElement(envelope, q(SOAP12, "Body"))
    if body_id:
        body.set(q(WSU, "Id"), body_id)
    return list(etree.fromstring(etree.tostring(envelope))[0])


def refused(rule: str, ask: Callable[[], object]) -> Denied:
    """The refusal, which is by `rule` and by no other."""
    with pytest.raises(Denied) as caught:
        ask()
    assert caught.value.rule == rule, caught.value
    return caught.value


def child(element: etree._Element, *path: str) -> etree._Element:
    """The first descendant by local names of SAML elements (ds: for those of a signature)."""
    for step in path:
        namespace, local = (DS, step[3:]) if step.startswith("ds:") else (SAML, step)
        found = element.find(q(namespace, local))
        assert found is not None, step
        element = found
    return element


def attribute(element: etree._Element, name: str) -> etree._Element:
    found = [one for one in element.iter(q(SAML, "Attribute")) if one.get("Name") == name]
    assert len(found) == 1
    return found[0]


# ----------------------------------------------------------------------------------------------------------- another signer


def sign_by_hand(element: etree._Element, card: SigningCard, digest: str = "sha256", *, method: str = "") -> etree._Element:
    """An enveloped signature computed with lxml, hashlib and `cryptography` alone. `digest` is sha1, sha256, sha384, sha512."""
    key = serialization.load_pem_private_key(card.key_pem, None)
    family = "rsa" if isinstance(key, rsa.RSAPrivateKey) else "ecdsa"
    more = "http://www.w3.org/2001/04/xmldsig-more#"
    methods = {"sha1": DS + "rsa-sha1"} if digest == "sha1" else {digest: f"{more}{family}-{digest}"}
    digests = {"sha1": DS + "sha1", "sha384": more + "sha384"}
    value = hashlib.new(digest, canonical(element)).digest()
    certificate = x509.load_pem_x509_certificate(card.certificate_pem).public_bytes(serialization.Encoding.DER)
    exclusive = "http://www.w3.org/2001/10/xml-exc-c14n#"
    signature = etree.fromstring(
        f'<ds:Signature xmlns:ds="{DS}"><ds:SignedInfo><ds:CanonicalizationMethod Algorithm="{exclusive}"/>'
        f'<ds:SignatureMethod Algorithm="{method or methods[digest]}"/><ds:Reference URI="#{element.get("ID")}"><ds:Transforms>'
        f'<ds:Transform Algorithm="{DS}enveloped-signature"/><ds:Transform Algorithm="{exclusive}"/></ds:Transforms>'
        f'<ds:DigestMethod Algorithm="{digests.get(digest, "http://www.w3.org/2001/04/xmlenc#" + digest)}"/>'
        f"<ds:DigestValue>{text64(value)}</ds:DigestValue></ds:Reference></ds:SignedInfo><ds:SignatureValue/><ds:KeyInfo>"
        f"<ds:X509Data><ds:X509Certificate>{text64(certificate)}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></ds:Signature>"
    )
    algorithm = getattr(hashes, digest.upper())()
    octets = canonical(child(signature, "ds:SignedInfo"))
    if isinstance(key, rsa.RSAPrivateKey):
        made = key.sign(octets, padding.PKCS1v15(), algorithm)
    else:
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        size = (key.curve.key_size + 7) // 8
        made = b"".join(number.to_bytes(size, "big") for number in decode_dss_signature(key.sign(octets, ec.ECDSA(algorithm))))
    child(signature, "ds:SignatureValue").text = text64(made)
    element.insert(1, signature)
    return etree.fromstring(etree.tostring(element))


def canonical(element: etree._Element) -> bytes:
    alone = etree.fromstring(etree.tostring(element, with_tail=False))
    octets: bytes = etree.tostring(alone, method="c14n", exclusive=True, with_comments=False)
    return octets


def text64(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


def ago(**time: float) -> datetime:
    return datetime.now(UTC) - timedelta(**time)
