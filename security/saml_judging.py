"""An assertion whose signature is right, judged anew at every message: issuer, certificate, times, audience, sender.

What depends on the clock, on revocation or on who sends is never remembered. Source: dmp VIHF, checks 4 to 8; SAML 2.0 Core: 2.5;
ITI TF-2: 3.40.4.1.2.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from security import rules_assertion as rules
from security import saml_names as names
from security.distinguished_name import same_name
from security.identity import Assertion, Mode
from security.saml_content import Confirmation, Content
from security.saml_issuers import Issuer
from security.saml_uses import Uses
from security.trust import Partner, TrustStore, Use, fingerprint_of

#: How far in the future an IssueInstant may lie: clocks of hospitals are not those of laboratories.
_FUTURE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends the message: TLS certificate (DER) and its enrolment, the certificate that signed the message, whether that
    signature covers the assertion too."""

    certificate_der: bytes | None = None
    partner: Partner | None = None
    signer_der: bytes | None = None
    covered: bool = False

    @property
    def relays(self) -> bool:
        """Whether it is a repository that passes on what its own callers sent it (`security.trust.Partner`)."""
        return self.partner is not None and self.partner.relays


def find_issuer(content: Content, issuers: Sequence[Issuer]) -> Issuer:
    """The row by which the assertion is judged: that of its Issuer's name, else one without a name. Raises Denied SAM-013."""
    profile = "vihf" if names.VIHF_VERSION in content.texts else "xua"
    rows = [row for row in issuers if row.profile == profile]
    named = [row for row in rows if row.name == content.issuer] or [row for row in rows if not row.name]
    if not named:
        raise rules.ISSUER.denied(issuer=content.issuer)
    fingerprint = fingerprint_of(content.certificate).hex()
    fitting = [row for row in named if not row.certificates or fingerprint in row.certificates]
    if not fitting:
        raise rules.CERTIFICATE.denied(problem="it is none of the issuer's")
    return fitting[0]


def judge_issued(content: Content, issuer: Issuer, mode: Mode) -> None:
    """Whether the certificate is the issuer's, and made for this. Raises Denied SAM-012 and 014."""
    certificate = content.certificate
    if not issuer.name and not same_name(content.issuer, certificate.subject):
        raise rules.ISSUER_NAME.denied(issuer=content.issuer, subject=certificate.subject.rfc4514_string())
    _judge_use(certificate, issuer.uses[mode], required=not issuer.pinned)


def judge_certificate(content: Content, issuer: Issuer, mode: Mode, store: TrustStore, now: datetime) -> None:
    """Whether the certificate is good today. Raises Denied SAM-014, 049 and PKI-..."""
    certificate = content.certificate
    if issuer.pinned:
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            raise rules.CERTIFICATE.denied(problem=f"it is valid until {certificate.not_valid_after_utc:%Y-%m-%d} only")
        key = certificate.public_key()
        if isinstance(key, rsa.RSAPublicKey) and key.key_size < store.options.minimum_rsa:
            raise rules.CERTIFICATE.denied(problem=f"its key has {key.key_size} bits only")
        return
    (issuer.store or store).check(certificate, Use.SIGNATURE)
    if mode is Mode.XUA and not issuer.name and not issuer.certificates:
        fingerprint = fingerprint_of(certificate).hex()
        partner = store.partners.get(fingerprint)
        if partner is None or partner.kind in ("person", "server"):
            raise rules.XUA_ISSUER.denied(subject=certificate.subject.rfc4514_string())


def _judge_use(certificate: x509.Certificate, use: Use, *, required: bool) -> None:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        if not required:
            return
        raise rules.CERTIFICATE.denied(problem="it has no KeyUsage") from None
    except (ValueError, x509.DuplicateExtension) as wrong:
        raise rules.CERTIFICATE.denied(problem="its extensions cannot be read", log=str(wrong)) from None
    if not any(getattr(usage, bit) for bit in use.value):
        wanted = " or ".join("nonRepudiation" if bit == "content_commitment" else "digitalSignature" for bit in use.value)
        raise rules.CERTIFICATE.denied(problem=f"its KeyUsage lacks {wanted}")


def judge_times(content: Content, issuer: Issuer, now: datetime, skew: timedelta) -> None:
    """Raises Denied SAM-015 to 018 and 036."""
    if content.not_before is not None and content.not_before > now + skew:
        raise rules.NOT_BEFORE.denied(limit=_shown(content.not_before))
    if content.not_on_or_after is not None and content.not_on_or_after <= now - skew:
        raise rules.EXPIRED.denied(limit=_shown(content.not_on_or_after))
    if not now - issuer.life - skew <= content.issued <= now + _FUTURE:
        raise rules.AGE.denied(issued=_shown(content.issued), minutes=int(issuer.life.total_seconds() // 60))
    if not content.issued - issuer.session <= content.authenticated <= content.issued + skew:
        raise rules.AUTHENTICATED.denied(instant=_shown(content.authenticated), issued=_shown(content.issued))
    if issuer.contexts and content.context not in issuer.contexts:
        raise rules.CONTEXT.denied(context=content.context, accepted=", ".join(sorted(issuer.contexts)))


def judge_audience(content: Content, accepted: Sequence[str], *, required: bool) -> None:
    """Raises Denied SAM-020."""
    if not content.audiences and not required:
        return
    for restriction in content.audiences or ((),):
        if not set(restriction) & set(accepted):
            raise rules.AUDIENCE.denied(audience=", ".join(restriction) or "nobody", accepted=", ".join(accepted))


def judge_confirmation(content: Content, sender: Sender, now: datetime, skew: timedelta) -> str:
    """The method that holds: holder-of-key before bearer before sender-vouches. Raises Denied SAM-023 to 025.

    A VIHF without a SubjectConfirmation is a bearer's.
    """
    if not content.confirmations:
        return names.BEARER
    methods = {c.method: c for c in content.confirmations if _in_time(c, now, skew)}
    if names.HOLDER_OF_KEY in methods:
        holder = methods[names.HOLDER_OF_KEY].holder
        der = holder.public_bytes(Encoding.DER) if holder is not None else None
        if der is not None and der in (sender.certificate_der, sender.signer_der):
            return names.HOLDER_OF_KEY
        if names.BEARER not in methods:
            raise rules.HOLDER.denied()
    if names.BEARER in methods:
        return names.BEARER
    if names.SENDER_VOUCHES in methods:
        if sender.covered and sender.signer_der is not None:
            return names.SENDER_VOUCHES
        raise rules.VOUCHES.denied()
    stated = ", ".join(c.method.rpartition(":")[2] for c in content.confirmations)
    raise rules.CONFIRMATION.denied(problem=f"{stated}: unknown, or outside its times")


def judge_relayed(content: Content, now: datetime, skew: timedelta) -> None:
    """An assertion that an enrolled repository passes on: there it was judged whether the connection, the key or the signature is
    that of its subject, and whether it was used before. Here only its times are. Raises Denied SAM-025."""
    methods = (names.HOLDER_OF_KEY, names.BEARER, names.SENDER_VOUCHES)
    if content.confirmations and not any(c.method in methods and _in_time(c, now, skew) for c in content.confirmations):
        raise rules.CONFIRMATION.denied(problem="unknown, or outside its times")


def _in_time(confirmation: Confirmation, now: datetime, skew: timedelta) -> bool:
    begins, ends = confirmation.not_before, confirmation.not_on_or_after
    return (begins is None or begins <= now + skew) and (ends is None or ends > now - skew)


def judge_sender(said: Assertion, method: str, sender: Sender, *, secured: bool) -> None:
    """Whether it comes over a connection of the person or structure that it names. Raises Denied SAM-027 and 048.

    Who vouches by signing the message must be one of these too: the connection may be anybody's where there is no TLS.
    """
    vouches = method == names.SENDER_VOUCHES and sender.signer_der is not None
    if vouches and not _belongs(said, sender.signer_der or b"", None):
        raise rules.SAME_STRUCTURE.denied(subject=said.subject, structure=said.structure or said.organisation)
    if sender.certificate_der is None:
        if secured and method == names.BEARER:
            raise rules.NO_TLS.denied()
        return
    if method != names.HOLDER_OF_KEY and not _belongs(said, sender.certificate_der, sender.partner):
        raise rules.SAME_STRUCTURE.denied(subject=said.subject, structure=said.structure or said.organisation)


def _belongs(said: Assertion, certificate_der: bytes, partner: Partner | None) -> bool:
    holder = _holder_of(certificate_der)
    if holder.subject == _holder_of(said.certificate_der).subject:
        return True
    named = {value for value in (said.subject, said.structure) if value}
    if named & holder.names or (partner is not None and partner.identifier in named):
        return True
    if said.mode is not Mode.XUA:
        return False
    # An XUA assertion need not name an organisation: then any enrolled node may carry it, always the same one.
    if not said.organisation:
        return not said.structure
    stated = said.organisation.casefold()
    return stated in holder.organisations or (partner is not None and partner.organisation.casefold() == stated)


@dataclass(frozen=True, slots=True)
class _Holder:
    """Of whom a certificate is: its subject (DER), the values of CN and OU, and those of O in lower case."""

    subject: bytes
    names: frozenset[str]
    organisations: frozenset[str]


@lru_cache(maxsize=1024)
def _holder_of(certificate_der: bytes) -> _Holder:
    subject = x509.load_der_x509_certificate(certificate_der).subject

    def values(oid: x509.ObjectIdentifier) -> list[str]:
        return [str(one.value) for one in subject.get_attributes_for_oid(oid)]

    return _Holder(
        subject.public_bytes(),
        frozenset((*values(NameOID.COMMON_NAME), *values(NameOID.ORGANIZATIONAL_UNIT_NAME))),
        frozenset(value.casefold() for value in values(NameOID.ORGANIZATION_NAME)),
    )


def judge_use(content: Content, method: str, sender: Sender, until: datetime, uses: Uses) -> None:
    """OneTimeUse serves once; a bearer's assertion stays with the certificate that brought it. Raises Denied SAM-022, 026."""
    identity = hashlib.sha256(fingerprint_of(content.certificate) + content.id.encode()).digest()
    if content.one_time and not uses.once(identity, until):
        raise rules.ONE_TIME.denied()
    brought = sender.certificate_der or sender.signer_der
    if method == names.BEARER and brought is not None:
        holder = hashlib.sha256(brought).digest()
        if uses.holder(identity, holder, until) != holder:
            raise rules.BEARER.denied()


def _shown(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
