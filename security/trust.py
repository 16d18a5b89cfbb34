"""Is this certificate good, and for what? Path, use, revocation, enrolment, all by our own check with `cryptography`.

The TLS layer checks a certificate too; this check is made again above it, because there the server sees less (no purpose,
no policy, no enrolment) and because messages and assertions are signed by certificates that TLS never sees.

Stale revocation lists, the stated rule: within `crl_grace` after nextUpdate the last good list is used and every use is
reported by `TrustStore.warnings`; after that every certificate of that issuer is refused (fail closed).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.x509.oid import ExtensionOID
from cryptography.x509.verification import Criticality, ExtensionPolicy, Policy, PolicyBuilder, Store, VerificationError

from security.refusal import Denied


class Use(Enum):
    """What a certificate is used for: the KeyUsage bits of which one must be set."""

    AUTHENTICATION = ("digital_signature",)
    SIGNATURE = ("digital_signature", "content_commitment")
    NON_REPUDIATION = ("content_commitment",)


@dataclass(frozen=True, slots=True)
class TrustOptions:
    """`crl_required`: an issuer without a list refuses everybody. `crl_grace`: how long a stale list may still serve.
    `policies`: when not empty, one of these certificate policy OIDs must be in the leaf. `minimum_rsa`: bits."""

    crl_required: bool = True
    crl_grace: timedelta = timedelta(hours=24)
    policies: frozenset[str] = frozenset()
    minimum_rsa: int = 2048
    maximum_depth: int = 3


@dataclass(frozen=True, slots=True)
class Partner:
    """One enrolled certificate: whose it is and what it may do. `transactions` empty means all."""

    sha256: str
    organisation: str
    name: str = ""
    kind: str = ""
    identifier: str = ""
    transactions: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _List:
    crl: x509.CertificateRevocationList
    number: int
    revoked: frozenset[int]


OcspCheck = Callable[[x509.Certificate, x509.Certificate], None]


@dataclass(slots=True)
class TrustStore:
    """Authorities, revocation lists and partners in force. `replace` swaps them in one step while requests run."""

    authorities: tuple[x509.Certificate, ...] = ()
    options: TrustOptions = field(default_factory=TrustOptions)
    partners: Mapping[str, Partner] = field(default_factory=dict)
    ocsp: OcspCheck | None = None
    warnings: list[str] = field(default_factory=list)
    _lists: dict[bytes, _List] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _good: dict[tuple[bytes, Use], datetime] = field(default_factory=dict)

    def replace(
        self,
        authorities: Iterable[x509.Certificate],
        lists: Iterable[x509.CertificateRevocationList],
        partners: Mapping[str, Partner] | None = None,
    ) -> None:
        """Put new authorities, lists and partners in force. A list that is not signed by one of the authorities, or that is
        older than the one in force, is refused with a warning and the one in force stays."""
        fresh = tuple(authorities)
        accepted = {}
        for crl in lists:
            taken = self._accept(crl, fresh)
            if taken is not None:
                accepted[crl.issuer.public_bytes()] = taken
        with self._lock:
            kept = {name: old for name, old in self._lists.items() if any(a.subject.public_bytes() == name for a in fresh)}
            self.authorities, self._lists, self._good = fresh, {**kept, **accepted}, {}
            if partners is not None:
                self.partners = dict(partners)

    def _accept(self, crl: x509.CertificateRevocationList, authorities: tuple[x509.Certificate, ...]) -> _List | None:
        name = crl.issuer.public_bytes()
        label = crl.issuer.rfc4514_string()
        issuer = next((a for a in authorities if a.subject.public_bytes() == name), None)
        if issuer is None:
            self._warn(f"revocation list of {label} ignored: that authority is not trusted here")
            return None
        if not crl.is_signature_valid(issuer.public_key()):  # type: ignore[arg-type]  # an authority's key is RSA or EC
            self._warn(f"revocation list of {label} ignored: its signature is wrong")
            return None
        try:
            number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        except x509.ExtensionNotFound:
            number = 0
        if any(e.oid == ExtensionOID.DELTA_CRL_INDICATOR for e in crl.extensions):
            self._warn(f"revocation list of {label} ignored: delta lists are not supported, give the complete one")
            return None
        known = self._lists.get(name)
        if known is not None and number < known.number:
            self._warn(f"revocation list of {label} ignored: number {number} is older than {known.number} in force")
            return None
        return _List(crl, number, frozenset(entry.serial_number for entry in crl))

    def _warn(self, text: str) -> None:
        del self.warnings[:-99]
        self.warnings.append(text)

    def check(self, certificate: x509.Certificate, use: Use, *, at: datetime | None = None) -> x509.Certificate:
        """The certificate when it is good now (or `at`) for `use`; `Denied` with the rule otherwise.

        A good verdict is remembered for a minute at most, and never across `replace`.
        """
        now = at or datetime.now(UTC)
        key = (certificate.fingerprint(hashes.SHA256()), use)
        if at is None and self._good.get(key, datetime.min.replace(tzinfo=UTC)) > now:
            return certificate
        try:
            _check_key(certificate, self.options.minimum_rsa)
            _check_dates(certificate, now)
            issuer = self._issuer(certificate, use, now)
            self._check_policies(certificate)
            self._check_revocation(certificate, issuer, now)
        except (ValueError, TypeError, x509.DuplicateExtension, UnsupportedAlgorithm) as wrong:
            # `cryptography` reads names, key and extensions only when they are asked for: damage shows here, not at loading.
            raise Denied(
                "PKI-009",
                f"the certificate cannot be read: {wrong}",
                "le certificat est illisible",
                "send the certificate as its authority issued it",
            ) from None
        if self.ocsp is not None:
            self.ocsp(certificate, issuer)
        if at is None:
            with self._lock:
                if len(self._good) > 10_000:
                    self._good.clear()
                self._good[key] = now + timedelta(minutes=1)
        return certificate

    def partner(self, certificate: x509.Certificate) -> Partner:
        """The enrolment of this certificate; `Denied` when it has none."""
        fingerprint = certificate.fingerprint(hashes.SHA256()).hex()
        found = self.partners.get(fingerprint)
        if found is None:
            raise Denied(
                "PKI-008",
                f"the certificate {certificate.subject.rfc4514_string()} is not enrolled with this server",
                "le certificat n'est pas enrôlé sur ce serveur",
                "ask the operator to enrol it: SHA-256 " + fingerprint,
            )
        return found

    def _issuer(self, certificate: x509.Certificate, use: Use, now: datetime) -> x509.Certificate:
        def key_usage(_: Policy, __: x509.Certificate, extension: x509.KeyUsage) -> None:
            if not any(getattr(extension, bit) for bit in use.value):
                raise ValueError(f"KeyUsage has none of {', '.join(use.value)}")

        def no_authority(_: Policy, __: x509.Certificate, extension: x509.BasicConstraints | None) -> None:
            if extension is not None and extension.ca:
                raise ValueError("it is an authority's certificate")

        leaf = (
            ExtensionPolicy.permit_all()
            .require_present(x509.KeyUsage, Criticality.AGNOSTIC, key_usage)
            .may_be_present(x509.BasicConstraints, Criticality.AGNOSTIC, no_authority)
        )
        verifier = (
            (
                PolicyBuilder()
                .store(Store(list(self.authorities)))
                .time(now.replace(tzinfo=None))
                .max_chain_depth(self.options.maximum_depth)
                .extension_policies(ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=leaf)
                .build_client_verifier()
            )
            if self.authorities
            else None
        )
        if verifier is None:
            raise Denied("PKI-001", "no authority is trusted on this server", "aucune autorité n'est reconnue par ce serveur")
        try:
            chain = verifier.verify(certificate, [a for a in self.authorities if a.issuer != a.subject]).chain
        except VerificationError as wrong:
            raise _path_refusal(certificate, use, wrong) from None
        return chain[1] if len(chain) > 1 else chain[0]

    def _check_policies(self, certificate: x509.Certificate) -> None:
        if not self.options.policies:
            return
        try:
            present = {
                p.policy_identifier.dotted_string
                for p in certificate.extensions.get_extension_for_class(x509.CertificatePolicies).value
            }
        except x509.ExtensionNotFound:
            present = set()
        if not present & self.options.policies:
            raise Denied(
                "PKI-006",
                f"the certificate carries none of the accepted policies {', '.join(sorted(self.options.policies))}",
                "le certificat ne porte aucune des politiques acceptées",
            )

    def _check_revocation(self, certificate: x509.Certificate, issuer: x509.Certificate, now: datetime) -> None:
        known = self._lists.get(issuer.subject.public_bytes())
        if known is None:
            if self.options.crl_required:
                raise Denied(
                    "PKI-005",
                    f"no revocation list of {issuer.subject.rfc4514_string()} is known here: nobody is accepted",
                    "aucune liste de révocation de l'autorité n'est connue : refus",
                    "the operator must provide the list",
                )
            return
        until = known.crl.next_update_utc
        if until is not None and now > until:
            if now > until + self.options.crl_grace:
                raise Denied(
                    "PKI-005",
                    f"the revocation list of {issuer.subject.rfc4514_string()} ended on {until:%Y-%m-%d %H:%M} UTC",
                    "la liste de révocation de l'autorité est périmée",
                    "the operator must provide a fresh list",
                )
            self._warn(
                f"stale revocation list of {issuer.subject.rfc4514_string()} used under grace, ended {until:%Y-%m-%d %H:%M} UTC"
            )
        if certificate.serial_number in known.revoked:
            raise Denied("PKI-004", "the certificate is revoked", "le certificat est révoqué", "use a certificate in force")


def _check_key(certificate: x509.Certificate, minimum_rsa: int) -> None:
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < minimum_rsa:
            raise Denied(
                "PKI-007",
                f"RSA key of {key.key_size} bits; at least {minimum_rsa} are wanted",
                f"clé RSA de {key.key_size} bits ; au moins {minimum_rsa} sont exigés",
            )
    elif not isinstance(key, ec.EllipticCurvePublicKey):
        kind = "DSA" if isinstance(key, dsa.DSAPublicKey) else type(key).__name__
        raise Denied("PKI-007", f"keys of kind {kind} are not accepted; RSA or EC", f"clé de type {kind} refusée ; RSA ou EC")


def _check_dates(certificate: x509.Certificate, now: datetime) -> None:
    if now > certificate.not_valid_after_utc:
        raise Denied(
            "PKI-003",
            f"the certificate ended on {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC",
            "le certificat a expiré",
            "renew it",
        )
    if now < certificate.not_valid_before_utc:
        raise Denied(
            "PKI-003",
            f"the certificate begins on {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC",
            "le certificat n'est pas encore valide",
            "check the clocks of both sides",
        )


def _path_refusal(certificate: x509.Certificate, use: Use, wrong: VerificationError) -> Denied:
    text = str(wrong)
    if "KeyUsage" in text or "authority's certificate" in text:
        return Denied(
            "PKI-002",
            f"the certificate may not be used for {use.name.lower().replace('_', ' ')}: {text}",
            "le certificat n'est pas fait pour cet usage",
            "use the certificate made for this purpose",
        )
    return Denied(
        "PKI-001",
        f"no trusted path from {certificate.issuer.rfc4514_string()}: {text}",
        "le certificat n'est pas émis par une autorité reconnue",
        "use a certificate of an authority that this server trusts",
    )


def signed_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """True when `authority`'s key signed `certificate` (no path building: for tools and tests)."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
