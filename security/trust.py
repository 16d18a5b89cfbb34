"""Is this certificate good, and for what? Path, use, revocation, enrolment, all by our own check with `cryptography`.

The TLS layer checks a certificate too; this check is made again above it, because there the server sees less (no purpose,
no policy, no enrolment) and because messages and assertions are signed by certificates that TLS never sees.

Stale revocation lists, the stated rule: within `crl_grace` after nextUpdate the last good list is used and every use is
reported by `TrustStore.warnings`; after that every certificate of that issuer is refused (fail closed). A list counts for the
key that signed it: an authority that renews its key under the same name has two lists.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.x509.oid import ExtensionOID
from cryptography.x509.verification import Criticality, ExtensionPolicy, Policy, PolicyBuilder, Store, VerificationError

from security import rules_pki as rules
from security.refusal import Denied

LOG = logging.getLogger("carnet.trust")
_NEVER = datetime.min.replace(tzinfo=UTC)
#: By these words of our own the reason of a failed path is recognised.
_NO_BIT = "carnet: no bit of KeyUsage"
_IS_AUTHORITY = "carnet: basicConstraints cA"
#: What a repository sends to its registry, in its own name or with the assertion of who calls it.
RELAYED = frozenset({"ITI-18", "ITI-42"})


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
    """One enrolled certificate: whose it is and what it may do. `transactions` empty means all. `relays`: a repository that
    passes on the assertions of those who call it; its word is taken for who they are, and empty means what it passes on with."""

    sha256: str
    organisation: str
    name: str = ""
    kind: str = ""
    identifier: str = ""
    transactions: frozenset[str] = frozenset()
    relays: bool = False

    @property
    def allowed(self) -> frozenset[str]:
        """The transactions that it may send; empty: all."""
        return self.transactions or (RELAYED if self.relays else frozenset())


@dataclass(frozen=True, slots=True)
class _List:
    crl: x509.CertificateRevocationList
    number: int
    revoked: frozenset[int]

    @property
    def age(self) -> tuple[int, datetime]:
        """What grows from list to list: the number, and thisUpdate where authorities give none."""
        return self.number, self.crl.last_update_utc


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
        accepted: dict[bytes, _List] = {}
        for crl in lists:
            taken = self._accept(crl, fresh)
            if taken is not None and (taken[0] not in accepted or accepted[taken[0]].age <= taken[1].age):
                accepted[taken[0]] = taken[1]
        with self._lock:
            kept = {key: old for key, old in self._lists.items() if any(_key_of(a) == key for a in fresh)}
            self.authorities, self._lists, self._good = fresh, {**kept, **accepted}, {}
            if partners is not None:
                self.partners = dict(partners)

    def accepts(self, crl: x509.CertificateRevocationList) -> bool:
        """Whether `replace` would take this list; the reason against it is added to `warnings`."""
        return self._accept(crl, self.authorities) is not None

    def _accept(
        self, crl: x509.CertificateRevocationList, authorities: tuple[x509.Certificate, ...]
    ) -> tuple[bytes, _List] | None:
        label = crl.issuer.rfc4514_string()
        named = [a for a in authorities if a.subject == crl.issuer]
        issuer = next((a for a in named if _signed_list(crl, a)), None)
        if issuer is None:
            why = "its signature is wrong" if named else "that authority is not trusted here"
            self._warn(f"revocation list of {label} ignored: {why}")
            return None
        problem = _scope_problem(crl)
        if problem:
            self._warn(f"revocation list of {label} ignored: {problem}")
            return None
        try:
            number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        except x509.ExtensionNotFound:
            number = 0
        found = _List(crl, number, frozenset(entry.serial_number for entry in crl))
        known = self._lists.get(_key_of(issuer))
        if known is not None and found.age < known.age:
            shown = " of ".join((str(number), f"{crl.last_update_utc:%Y-%m-%d %H:%M} UTC"))
            in_force = " of ".join((str(known.number), f"{known.crl.last_update_utc:%Y-%m-%d %H:%M} UTC"))
            self._warn(f"revocation list of {label} ignored: number {shown} is older than {in_force} in force")
            return None
        return _key_of(issuer), found

    def _warn(self, text: str) -> None:
        if text not in self.warnings[-10:]:
            LOG.warning("%s", text)
        del self.warnings[:-99]
        self.warnings.append(text)

    def check(self, certificate: x509.Certificate, use: Use, *, at: datetime | None = None) -> x509.Certificate:
        """The certificate when it is good now (or `at`) for `use`; `Denied` with the rule otherwise.

        A good verdict is remembered for a minute at most, and never across `replace`.
        """
        now = at or datetime.now(UTC)
        key = (fingerprint_of(certificate), use)
        good = self._good
        if at is None and good.get(key, _NEVER) > now:
            return certificate
        try:
            _check_key(certificate, self.options.minimum_rsa)
            _check_dates(certificate, now)
            issuer = self._issuer(certificate, use, now)
            self._check_policies(certificate)
            self._check_revocation(certificate, issuer, now)
        except (ValueError, TypeError, x509.DuplicateExtension, UnsupportedAlgorithm) as wrong:
            # `cryptography` reads names, key and extensions only when they are asked for: damage shows here, not at loading.
            raise rules.UNREADABLE.denied(problem=wrong) from None
        if self.ocsp is not None:
            self.ocsp(certificate, issuer)
        if at is None:
            with self._lock:
                if len(good) > 10_000:
                    good.clear()
                # The dictionary of the start: a verdict made under lists that were replaced meanwhile is forgotten with it.
                good[key] = min(now + timedelta(minutes=1), certificate.not_valid_after_utc)
        return certificate

    def partner(self, certificate: x509.Certificate) -> Partner:
        """The enrolment of this certificate; `Denied` when it has none."""
        fingerprint = fingerprint_of(certificate).hex()
        found = self.partners.get(fingerprint)
        if found is None:
            raise rules.NOT_ENROLLED.denied(subject=_name(certificate), fingerprint=fingerprint)
        return found

    def list_age(self, now: datetime | None = None) -> float | None:
        """How much of its life the oldest list in force has used, 1.0 at nextUpdate; None without lists. For alarms."""
        moment = now or datetime.now(UTC)
        ages = [
            (moment - known.crl.last_update_utc) / (until - known.crl.last_update_utc)
            for known in self._lists.values()
            if (until := known.crl.next_update_utc) is not None and until > known.crl.last_update_utc
        ]
        return max(ages, default=None)

    def _issuer(self, certificate: x509.Certificate, use: Use, now: datetime) -> x509.Certificate:
        def key_usage(_: Policy, __: x509.Certificate, extension: x509.KeyUsage) -> None:
            if not any(getattr(extension, bit) for bit in use.value):
                raise ValueError(_NO_BIT)

        def no_authority(_: Policy, __: x509.Certificate, extension: x509.BasicConstraints | None) -> None:
            if extension is not None and extension.ca:
                raise ValueError(_IS_AUTHORITY)

        leaf = (
            ExtensionPolicy.permit_all()
            .require_present(x509.KeyUsage, Criticality.AGNOSTIC, key_usage)
            .may_be_present(x509.BasicConstraints, Criticality.AGNOSTIC, no_authority)
        )
        authorities = self.authorities
        if not authorities:
            raise rules.NO_PATH.denied(subject=_name(certificate), issuer=certificate.issuer.rfc4514_string())
        verifier = (
            PolicyBuilder()
            .store(Store(list(authorities)))
            .time(now.astimezone(UTC).replace(tzinfo=None))
            .max_chain_depth(self.options.maximum_depth)
            .extension_policies(ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=leaf)
            .build_client_verifier()
        )
        try:
            chain = verifier.verify(certificate, [a for a in authorities if a.issuer != a.subject]).chain
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
            raise rules.NO_POLICY.denied(subject=_name(certificate), wanted=", ".join(sorted(self.options.policies)))

    def _check_revocation(self, certificate: x509.Certificate, issuer: x509.Certificate, now: datetime) -> None:
        known = self._lists.get(_key_of(issuer))
        label = issuer.subject.rfc4514_string()
        if known is None:
            if self.options.crl_required:
                raise rules.NO_LIST.denied(issuer=label, reason="-")
            return
        until = known.crl.next_update_utc
        now = max(now, datetime.now(UTC))  # a signature may be old, the list that judges its certificate may not
        if until is not None and now > until:
            if now > until + self.options.crl_grace:
                raise rules.NO_LIST.denied(issuer=label, reason=f"nextUpdate {until:%Y-%m-%d %H:%M} UTC")
            self._warn(f"stale revocation list of {label} used under grace, ended {until:%Y-%m-%d %H:%M} UTC")
        if certificate.serial_number in known.revoked:
            raise rules.REVOKED.denied(subject=_name(certificate), serial=f"{certificate.serial_number:x}")


@lru_cache(maxsize=4096)
def fingerprint_of(certificate: x509.Certificate) -> bytes:
    """SHA-256 of the certificate (DER). Reckoned once: it is asked several times for each message, and partners are few."""
    return certificate.fingerprint(hashes.SHA256())


@lru_cache(maxsize=4096)
def der_of(certificate: x509.Certificate) -> bytes:
    """The certificate's octets, written once."""
    return certificate.public_bytes(serialization.Encoding.DER)


def require_transaction(partner: Partner | None, transaction: str) -> None:
    """`Denied` when the partner is enrolled for other transactions than this one (`ITI-41`); None may send any."""
    allowed = partner.allowed if partner is not None else frozenset()
    if partner is not None and allowed and transaction not in allowed:
        raise rules.NOT_ALLOWED.denied(organisation=partner.organisation, transaction=transaction)


def _name(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string()


def _key_of(certificate: x509.Certificate) -> bytes:
    """Name and public key of an authority: what a revocation list belongs to."""
    key = certificate.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return certificate.subject.public_bytes() + key


def _signed_list(crl: x509.CertificateRevocationList, authority: x509.Certificate) -> bool:
    try:
        return crl.is_signature_valid(authority.public_key())  # type: ignore[arg-type]  # what is no RSA or EC key raises
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False


def _scope_problem(crl: x509.CertificateRevocationList) -> str:
    """Why this list does not tell of every revoked certificate of its authority; empty when it does (RFC 5280: 5.2)."""
    for extension in crl.extensions:
        if extension.oid == ExtensionOID.DELTA_CRL_INDICATOR:
            return "delta lists are not supported, give the complete one"
        if isinstance(extension.value, x509.IssuingDistributionPoint):
            scope = extension.value
            if scope.indirect_crl or scope.only_some_reasons or scope.only_contains_attribute_certs:
                return "its scope (issuingDistributionPoint) leaves certificates or reasons out"
            if scope.only_contains_ca_certs:
                return "it tells of authorities only (issuingDistributionPoint)"
        elif extension.critical:
            return f"its critical extension {extension.oid.dotted_string} is not known here"
    return ""


def _check_key(certificate: x509.Certificate, minimum_rsa: int) -> None:
    key = certificate.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey) or (isinstance(key, rsa.RSAPublicKey) and key.key_size >= minimum_rsa):
        return
    if isinstance(key, rsa.RSAPublicKey):
        kind = f"RSA {key.key_size} bits"
    else:
        kind = "DSA" if isinstance(key, dsa.DSAPublicKey) else type(key).__name__
    raise rules.WEAK_KEY.denied(subject=_name(certificate), kind=kind, minimum=minimum_rsa)


def _check_dates(certificate: x509.Certificate, now: datetime) -> None:
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not begins <= now <= ends:
        shown = {"begins": f"{begins:%Y-%m-%d %H:%M}", "ends": f"{ends:%Y-%m-%d %H:%M}"}
        raise rules.DATES.denied(subject=_name(certificate), **shown)


def _path_refusal(certificate: x509.Certificate, use: Use, wrong: VerificationError) -> Denied:
    text = str(wrong)
    if _NO_BIT in text:
        words = {"subject": _name(certificate), "use": use.name.lower().replace("_", " "), "wanted": ", ".join(use.value)}
        return rules.WRONG_USE.denied(**words)
    if _IS_AUTHORITY in text:
        return rules.AUTHORITY.denied(subject=_name(certificate))
    return rules.NO_PATH.denied(subject=_name(certificate), issuer=certificate.issuer.rfc4514_string(), log=text)


def signed_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """True when `authority`'s key signed `certificate` (no path building: for tools and tests)."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
