"""Is a certificate good, and for what: path, use, dates, key, policy, revocation, enrolment. Real certificates throughout."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from certificates import (
    CA_EXTENSIONS,
    LEAF_EXTENSIONS,
    NOW,
    certificate,
    name,
    new_key,
    revocation_list,
    usage,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from security.pki import TestAuthority
from security.refusal import Denied
from security.trust import Partner, TrustOptions, TrustStore, Use

ROOT_NAME = name("ROOT")
ROOT_KEY = new_key()
ROOT = certificate(ROOT_NAME, ROOT_KEY.public_key(), ROOT_NAME, ROOT_KEY, *CA_EXTENSIONS)
LEAF_KEY = new_key()
LEAF = certificate(name("leaf"), LEAF_KEY.public_key(), ROOT_NAME, ROOT_KEY, *LEAF_EXTENSIONS)


def store(*lists: x509.CertificateRevocationList, **options: Any) -> TrustStore:
    """A store that trusts ROOT, with its empty list unless others are given."""
    made = TrustStore(options=TrustOptions(**options))
    made.replace([ROOT], lists or [revocation_list(ROOT_NAME, ROOT_KEY)])
    return made


def leaf(*extensions: tuple[x509.ExtensionType, bool], key: Any = None, **dates: datetime) -> x509.Certificate:
    public = key.public_key() if key else LEAF_KEY.public_key()
    return certificate(name("leaf"), public, ROOT_NAME, ROOT_KEY, *(extensions or LEAF_EXTENSIONS), **dates)


def refusal(trust: TrustStore, candidate: x509.Certificate, use: Use = Use.AUTHENTICATION, at: datetime | None = None) -> Denied:
    with pytest.raises(Denied) as caught:
        trust.check(candidate, use, at=at)
    denied = caught.value
    assert denied.text_en and denied.text_fr and denied.text_en != denied.text_fr
    assert denied.rule in str(denied)
    return denied


# ------------------------------------------------------------------------------------------------------------ path


@pytest.mark.parametrize("use", list(Use))
def test_a_card_is_good_for_what_its_bits_allow(use: Use) -> None:
    assert store().check(LEAF, use) is LEAF


def test_without_authorities_nobody_is_trusted() -> None:
    assert refusal(TrustStore(), LEAF).rule == "PKI-001"


def test_another_authority_of_the_same_name_is_not_ours() -> None:
    forger = new_key()
    forged = certificate(name("leaf"), LEAF_KEY.public_key(), ROOT_NAME, forger, *LEAF_EXTENSIONS)
    assert refusal(store(), forged).rule == "PKI-001"


def test_a_self_signed_certificate_is_refused() -> None:
    own = certificate(name("me"), LEAF_KEY.public_key(), name("me"), LEAF_KEY, *LEAF_EXTENSIONS)
    assert refusal(store(), own).rule == "PKI-001"


def test_a_card_cannot_issue_cards() -> None:
    issued_by_card = certificate(name("x"), new_key().public_key(), LEAF.subject, LEAF_KEY, *LEAF_EXTENSIONS)
    trust = TrustStore()
    trust.replace([ROOT, LEAF], [revocation_list(ROOT_NAME, ROOT_KEY)])
    assert refusal(trust, issued_by_card).rule == "PKI-001"


def test_an_intermediate_authority_needs_a_list_of_its_own() -> None:
    key = new_key()
    middle = certificate(name("MIDDLE"), key.public_key(), ROOT_NAME, ROOT_KEY, *CA_EXTENSIONS)
    below = certificate(name("below"), LEAF_KEY.public_key(), middle.subject, key, *LEAF_EXTENSIONS)
    trust = TrustStore()
    trust.replace([ROOT, middle], [revocation_list(ROOT_NAME, ROOT_KEY)])
    assert refusal(trust, below).rule == "PKI-005"
    trust.replace([ROOT, middle], [revocation_list(middle.subject, key)])
    assert trust.check(below, Use.SIGNATURE) is below
    trust.replace([ROOT, middle], [revocation_list(middle.subject, key, below.serial_number, number=2)])
    assert refusal(trust, below).rule == "PKI-004"


# ------------------------------------------------------------------------------------------------- use, key, policy


def test_a_certificate_without_the_bit_is_refused_for_that_use() -> None:
    signs_only = leaf((usage(content_commitment=True), True))
    assert store().check(signs_only, Use.NON_REPUDIATION) is signs_only
    assert store().check(signs_only, Use.SIGNATURE) is signs_only
    denied = refusal(store(), signs_only, Use.AUTHENTICATION)
    assert denied.rule == "PKI-002" and "authentication" in denied.text_en
    assert refusal(store(), leaf((usage(digital_signature=True), True)), Use.NON_REPUDIATION).rule == "PKI-002"


def test_a_certificate_without_key_usage_is_refused() -> None:
    bare = leaf((x509.BasicConstraints(ca=False, path_length=None), True))
    assert refusal(store(), bare).rule in ("PKI-001", "PKI-002")


def test_an_authority_does_not_act_as_a_partner() -> None:
    constraints = x509.BasicConstraints(ca=True, path_length=None)
    both = leaf((constraints, True), (usage(digital_signature=True, key_cert_sign=True), True))
    assert refusal(store(), both).rule == "PKI-012"


@pytest.mark.parametrize(
    "key", [rsa.generate_private_key(65537, 1024), ed25519.Ed25519PrivateKey.generate(), dsa.generate_private_key(1024)]
)
def test_weak_and_unusual_keys_are_refused(key: Any) -> None:
    assert refusal(store(), leaf(key=key)).rule == "PKI-007"


def test_a_policy_when_wanted_must_be_present() -> None:
    wanted = "1.2.250.1.71.1.2"
    policy = x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier(wanted), None)])
    trust = store(policies=frozenset({wanted}))
    with_policy = leaf(*LEAF_EXTENSIONS, (policy, False))
    assert trust.check(with_policy, Use.SIGNATURE) is with_policy
    denied = refusal(trust, LEAF)
    assert denied.rule == "PKI-006" and wanted in denied.text_en


# ----------------------------------------------------------------------------------------------------------- dates


def test_dates_are_kept_at_both_ends() -> None:
    short = leaf(begins=NOW - timedelta(days=10), ends=NOW + timedelta(days=10))
    assert store().check(short, Use.SIGNATURE, at=NOW) is short
    assert refusal(store(), short, at=NOW + timedelta(days=11)).rule == "PKI-003"
    denied = refusal(store(), short, at=NOW - timedelta(days=11))
    assert denied.rule == "PKI-003" and "clocks" in denied.remedy


# ------------------------------------------------------------------------------------------------------ revocation


def test_a_revoked_card_is_refused_from_the_moment_the_list_is_in_force() -> None:
    trust = store()
    assert trust.check(LEAF, Use.AUTHENTICATION) is LEAF  # this verdict is remembered, and must not outlive the list
    trust.replace([ROOT], [revocation_list(ROOT_NAME, ROOT_KEY, LEAF.serial_number, number=2)])
    assert refusal(trust, LEAF).rule == "PKI-004"


def test_a_list_taken_back_to_an_older_number_is_ignored() -> None:
    trust = store(revocation_list(ROOT_NAME, ROOT_KEY, LEAF.serial_number, number=7))
    trust.replace([ROOT], [revocation_list(ROOT_NAME, ROOT_KEY, number=6)])
    assert refusal(trust, LEAF).rule == "PKI-004"
    assert "older" in trust.warnings[-1]


def test_no_list_means_nobody_unless_the_options_say_otherwise() -> None:
    trust = TrustStore()
    trust.replace([ROOT], [])
    assert refusal(trust, LEAF).rule == "PKI-005"
    relaxed = TrustStore(options=TrustOptions(crl_required=False))
    relaxed.replace([ROOT], [])
    assert relaxed.check(LEAF, Use.SIGNATURE) is LEAF


def test_a_stale_list_serves_under_grace_with_a_warning_and_then_no_more() -> None:
    trust = store(revocation_list(ROOT_NAME, ROOT_KEY, ends=NOW - timedelta(hours=2)), crl_grace=timedelta(hours=3))
    assert trust.check(LEAF, Use.SIGNATURE, at=NOW) is LEAF
    assert "grace" in trust.warnings[-1]
    assert refusal(trust, LEAF, at=NOW + timedelta(hours=2)).rule == "PKI-005"


def test_a_stale_list_still_revokes_under_grace() -> None:
    trust = store(revocation_list(ROOT_NAME, ROOT_KEY, LEAF.serial_number, ends=NOW - timedelta(hours=2)))
    assert refusal(trust, LEAF).rule == "PKI-004"


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        (revocation_list(ROOT_NAME, new_key(), number=9), "signature"),
        (revocation_list(name("SOMEBODY"), ROOT_KEY, number=9), "not trusted"),
        (revocation_list(ROOT_NAME, ROOT_KEY, number=9, delta=True), "delta"),
    ],
)
def test_a_list_that_cannot_be_used_is_ignored_and_the_one_in_force_stays(bad: x509.CertificateRevocationList, word: str) -> None:
    trust = store(revocation_list(ROOT_NAME, ROOT_KEY, LEAF.serial_number, number=2))
    trust.replace([ROOT], [bad])
    assert word in trust.warnings[-1]
    assert refusal(trust, LEAF).rule == "PKI-004"


def test_a_list_without_a_number_counts_as_the_oldest() -> None:
    trust = store(revocation_list(ROOT_NAME, ROOT_KEY, LEAF.serial_number, number=1))
    trust.replace([ROOT], [revocation_list(ROOT_NAME, ROOT_KEY, number=None)])
    assert refusal(trust, LEAF).rule == "PKI-004"


def test_of_lists_without_a_number_an_older_one_is_ignored() -> None:
    """Whoever keeps an old list could give it again otherwise: it is signed, and http is what lists are fetched by."""
    trust = store(revocation_list(ROOT_NAME, ROOT_KEY, LEAF.serial_number, number=None))
    trust.replace([ROOT], [revocation_list(ROOT_NAME, ROOT_KEY, number=None, ends=NOW + timedelta(days=29))])
    assert refusal(trust, LEAF).rule == "PKI-004" and "older" in trust.warnings[-1]
    trust.replace([ROOT], [revocation_list(ROOT_NAME, ROOT_KEY, number=None, ends=NOW + timedelta(days=31))])
    assert trust.check(LEAF, Use.SIGNATURE) is LEAF


def test_an_old_signature_is_judged_by_a_list_of_today() -> None:
    """Whoever states an early SigningTime does not get around a list that has ended since."""
    trust = store(revocation_list(ROOT_NAME, ROOT_KEY, ends=NOW - timedelta(hours=12)), crl_grace=timedelta(hours=1))
    assert refusal(trust, LEAF, Use.SIGNATURE, at=NOW - timedelta(hours=18)).rule == "PKI-005"


def test_an_authority_taken_out_takes_its_list_along() -> None:
    trust = store(revocation_list(ROOT_NAME, ROOT_KEY, LEAF.serial_number, number=9))
    trust.replace([], [])
    assert refusal(trust, LEAF).rule == "PKI-001"
    trust.replace([ROOT], [revocation_list(ROOT_NAME, ROOT_KEY, number=1)])
    assert trust.check(LEAF, Use.SIGNATURE) is LEAF


def test_warnings_are_bounded() -> None:
    trust = store()
    for _ in range(300):
        trust.replace([ROOT], [revocation_list(ROOT_NAME, ROOT_KEY, number=0)])
    assert len(trust.warnings) == 100


def test_the_further_check_is_asked_with_the_issuer_and_may_refuse() -> None:
    asked = []

    def ocsp(subject: x509.Certificate, issuer: x509.Certificate) -> None:
        asked.append((subject, issuer))
        raise Denied("PKI-004", "the responder says revoked", "le répondeur dit révoqué")

    trust = store()
    trust.ocsp = ocsp
    assert refusal(trust, LEAF).text_en == "the responder says revoked"
    assert asked == [(LEAF, ROOT)]


def test_lists_are_replaced_while_requests_are_checked() -> None:
    """Whatever the moment, a good card is good: no half-replaced state is ever seen."""
    trust, stop, failures = store(), threading.Event(), []

    def ask() -> None:
        while not stop.is_set():
            try:
                trust.check(LEAF, Use.SIGNATURE)
            except Denied as denied:
                failures.append(denied)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(2, 60):
        trust.replace([ROOT], [revocation_list(ROOT_NAME, ROOT_KEY, number=number)])
    stop.set()
    for thread in threads:
        thread.join(60)
    assert failures == []


# ------------------------------------------------------------------------------------------------------- enrolment


def test_only_enrolled_certificates_are_partners() -> None:
    trust = store()
    fingerprint = LEAF.fingerprint(hashes.SHA256()).hex()
    with pytest.raises(Denied) as caught:
        trust.partner(LEAF)
    assert caught.value.rule == "PKI-008" and fingerprint in caught.value.remedy
    partner = Partner(fingerprint, "Clinique du Lac")
    trust.replace([ROOT], [], {fingerprint: partner})
    assert trust.partner(LEAF) is partner


def test_what_the_test_authority_issues_is_trusted_and_what_it_revokes_is_not(tmp_path: Path) -> None:
    authority = TestAuthority.create(tmp_path / "pki")
    for who, kind, days in (("card", "person", 730), ("clinic", "structure", 730), ("web", "server", 730), ("old", "person", -1)):
        authority.issue(kind, who, key_type="ec", days=days)

    def load(file: str) -> x509.Certificate:
        return x509.load_pem_x509_certificate((authority.folder / file).read_bytes())

    def crl() -> x509.CertificateRevocationList:
        return x509.load_pem_x509_crl((authority.folder / "ca.crl").read_bytes())

    trust = TrustStore()
    trust.replace([authority.certificate], [crl()])
    for who in ("card", "clinic"):
        trust.check(load(f"{who}.crt"), Use.NON_REPUDIATION)
    trust.check(load("web.crt"), Use.AUTHENTICATION)
    assert refusal(trust, load("web.crt"), Use.NON_REPUDIATION).rule == "PKI-002"
    assert refusal(trust, load("old.crt")).rule == "PKI-003"
    assert refusal(trust, authority.certificate).rule == "PKI-012"
    authority.revoke("clinic")
    trust.replace([authority.certificate], [crl()])
    assert refusal(trust, load("clinic.crt")).rule == "PKI-004"
    authority.write_crl(days=-2)
    stale = TrustStore()
    stale.replace([authority.certificate], [crl()])
    assert refusal(stale, load("card.crt")).rule == "PKI-005"


# ------------------------------------------------------------------------------------------------------- damage

_DER = LEAF.public_bytes(serialization.Encoding.DER)


@given(position=st.integers(0, len(_DER) - 1), flip=st.integers(1, 255))
@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_a_certificate_whose_signed_part_is_damaged_is_never_accepted(position: int, flip: int) -> None:
    """Damage outside it (the count of unused bits of the signature) may pass: it changes no word, and the enrolment fails."""
    damaged = bytearray(_DER)
    damaged[position] ^= flip
    try:
        candidate = x509.load_der_x509_certificate(bytes(damaged))
    except (ValueError, x509.InvalidVersion):
        return
    trust = store()
    if candidate.tbs_certificate_bytes != LEAF.tbs_certificate_bytes:
        refusal(trust, candidate)
        return
    trust.replace([ROOT], [], {LEAF.fingerprint(hashes.SHA256()).hex(): Partner("", "Clinique du Lac")})
    with pytest.raises(Denied):
        trust.partner(candidate)
