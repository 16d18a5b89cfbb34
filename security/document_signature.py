"""Is a signed submission set what its signer signed? (ITI TF-3: 5.5; the French form differs in names and algorithms only.)

Three levels, all judged, every finding told: the block is whole; its signer is known, trusted at SigningTime and one of those who
answer for the documents; the documents are those that were signed, all of them and no others. References to documents are no
business of XML Signature's core validation (they may stand in a Manifest): their digests are compared here with the octets
received. Documents that are not in the submission are looked for when the signature itself has proved good, so that nobody asks
by signatures of no worth what is stored here. Level B: a certificate that is revoked today is refused whatever SigningTime says,
since nothing proves that time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.x509.oid import NameOID
from lxml import etree

from schemas.parse import Limits, ParseError, parse
from security import rules_document_signature as rules
from security.document_signature_block import C14N, CANONICALIZATIONS, Block, Reference, read_block
from security.refusal import Denied
from security.trust import TrustStore, Use

_MORE = "http://www.w3.org/2001/04/xmldsig-more#"
SHA1 = "http://www.w3.org/2000/09/xmldsig#sha1"
SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
RSA_SHA1 = "http://www.w3.org/2000/09/xmldsig#rsa-sha1"
#: hashlib's names; SHA-1 only where the domain allows it.
DIGESTS = {SHA1: "sha1", SHA256: "sha256", _MORE + "sha384": "sha384", "http://www.w3.org/2001/04/xmlenc#sha512": "sha512"}
#: Those that are known of each document, without reading it.
_KEPT = ("sha1", "sha256")
METHODS: dict[str, tuple[str, hashes.HashAlgorithm]] = {
    RSA_SHA1: ("RSA", hashes.SHA1()),
    _MORE + "rsa-sha256": ("RSA", hashes.SHA256()),
    _MORE + "rsa-sha384": ("RSA", hashes.SHA384()),
    _MORE + "rsa-sha512": ("RSA", hashes.SHA512()),
    _MORE + "ecdsa-sha256": ("EC", hashes.SHA256()),
    _MORE + "ecdsa-sha384": ("EC", hashes.SHA384()),
}
#: What stands for the digest of the set itself, which has no octets: the literal, its base64, the base64 of a zero octet.
SET_DIGESTS = frozenset({"0", "MA==", "AA=="})
POLICY = "urn:ihe:iti:dsg:detached:2014"
#: A document is parsed as a whole to be canonicalised: its tree costs up to fifty times its octets.
CANONICAL = Limits(max_bytes=8 * 1024 * 1024, max_depth=200)
#: Findings that leave a signature its worth: a trusted signer made it, and signed what it lists.
_BESIDE = frozenset({rules.POLICY.id, rules.SIGNER.id})
_SKEW, _NEAR = timedelta(minutes=5), timedelta(days=1)


class Content(Protocol):
    """One document: octets counted, digests in lower-case hex, its octets from the start at each call of `chunks`."""

    @property
    def size(self) -> int: ...
    @property
    def sha1(self) -> str: ...
    @property
    def sha256(self) -> str: ...
    def chunks(self) -> Iterator[bytes]: ...


@dataclass(frozen=True, slots=True)
class SignatureForm:
    """What the affinity domain asks. `sha1`: also the algorithms of 2001. `signs_set`: `signs` may end at the SubmissionSet, and
    every signature is one of the whole set. `own_author`: the author of the signature's entry may be the signer."""

    sha1: bool = False
    signs_set: bool = False
    own_author: bool = True

    def accepts(self, algorithm: str) -> bool:
        """Of digest and signature methods."""
        return (algorithm in DIGESTS or algorithm in METHODS) and (self.sha1 or algorithm not in (SHA1, RSA_SHA1))


IHE_FORM = SignatureForm()
FRENCH_FORM = SignatureForm(sha1=True, signs_set=True, own_author=False)


@dataclass(slots=True)
class Allowance:
    """How many stored documents the signatures of one submission may still name, and how many octets of them be read."""

    documents: int = 100
    octets: int = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class SignedSet:
    """The submission that a signature belongs to, as far as it matters.

    `documents` are those of the submission by uniqueId, this signature left out; those in `optional` (other signatures) need not
    be listed. `stored` finds documents of this repository by uniqueId, of those only that the submitter may know: what he may not
    know is told like what is unknown. `allowance` is shared by the signatures of a submission. `targets` are the uniqueIds of the
    submission's entries at which `signs` ends, `signs_set` tells that it ends at the SubmissionSet, `elsewhere` how often at
    registered objects. `people` and `structures` are the ids of those who answer for the documents.
    """

    uniqueId: str
    submission_time: datetime | None
    documents: Mapping[str, Content]
    optional: frozenset[str] = frozenset()
    stored: Callable[[Sequence[str]], Mapping[str, Content]] = lambda _: {}
    allowance: Allowance = field(default_factory=Allowance)
    targets: frozenset[str] = frozenset()
    signs_set: bool = False
    elsewhere: int = 0
    people: frozenset[str] = frozenset()
    structures: frozenset[str] = frozenset()


@dataclass(slots=True)
class Verdict:
    """What was found. `signer` (RFC 4514) and `signing_time` (as written) are what the signature says: believed when `good`."""

    signer: str = ""
    signing_time: str = ""
    findings: list[Denied] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not self.findings


def verify_signed_set(
    content: bytes, signed: SignedSet, form: SignatureForm, trust: TrustStore | None, now: datetime | None = None
) -> Verdict:
    """Every finding against the signature in `content`; `findings` hold `Denied` of rules DSG-002 to DSG-020."""
    verdict = Verdict()
    try:
        block = read_block(content)
    except Denied as denied:
        verdict.findings.append(denied)
        return verdict
    verdict.signing_time = block.signing_time
    verdict.findings += _algorithms(block, form)
    verdict.findings += _parts(block, form)
    verdict.findings += _policy(block)
    signer, problem = _signer(block, form)
    if problem is not None:
        verdict.findings.append(problem)
    if signer is not None:
        verdict.signer = signer.subject.rfc4514_string()
        verdict.findings += _tied(signer, signed)
    time, problem = _time(block.signing_time, signed, now or datetime.now(UTC))
    if problem is not None:
        verdict.findings.append(problem)
    elif signer is not None and time is not None:
        verdict.findings += _trusted(signer, trust, time)
    good = all(denied.rule in _BESIDE for denied in verdict.findings)
    verdict.findings += _documents(block, signed, form, good)
    verdict.findings += _targets(block, signed, form)
    return verdict


# ---------------------------------------------------------------------------------------------------------------- the block


def _algorithms(block: Block, form: SignatureForm) -> Iterator[Denied]:
    digests = [a for a in DIGESTS if form.accepts(a)]
    methods = [a for a in METHODS if form.accepts(a)]
    references = [reference for reference, _ in block.parts] + list(block.listed)
    used = [(block.canonicalization, list(CANONICALIZATIONS)), (block.method, methods)]
    used += [(reference.digest_method, digests) for reference in references]
    used += [(digest.method, digests) for digest in block.certificate_digests]
    refused = {algorithm: accepted for algorithm, accepted in used if algorithm not in accepted}
    for algorithm, accepted in refused.items():
        names = ", ".join(dict.fromkeys(one.rpartition("#")[2] or one for one in accepted))
        yield rules.ALGORITHM.denied(algorithm=algorithm or "without a name", accepted=names)


def canonical_part(element: etree._Element, algorithm: str) -> bytes:
    """The canonical form of a part of a block where it stands. `algorithm` is a URI of CANONICALIZATIONS.

    libxml2's inclusive form of a part loses the namespaces that are declared above it; the exclusive one with every prefix in its
    list is the same and does not.
    """
    exclusive, comments = CANONICALIZATIONS[algorithm]
    prefixes: set[str] = set()
    if not exclusive:
        prefixes = {prefix or "#default" for child in element.iter(etree.Element) for prefix in child.nsmap}
        # A namespace name is interned: now the dictionary of this thread, which is that of the tree, has the words.
        etree.fromstring("<a " + " ".join(f'xmlns:p{n}="{prefix}"' for n, prefix in enumerate(sorted(prefixes))) + "/>")
    form: bytes = etree.tostring(
        element,
        method="c14n",
        exclusive=True,
        with_comments=comments,
        inclusive_ns_prefixes=sorted(prefixes) or None,
        with_tail=False,
    )
    return form


def _parts(block: Block, form: SignatureForm) -> Iterator[Denied]:
    """A Reference to `#id` without Transform means the canonical form of 2001 without comments (XML Signature 1.1: 4.4.3.2)."""
    for reference, part in block.parts:
        if form.accepts(reference.digest_method):
            octets = canonical_part(part, reference.canonicalization or C14N)
            if hashlib.new(DIGESTS[reference.digest_method], octets).digest() != reference.value:
                yield rules.INNER.denied(uri=reference.uri)


def _policy(block: Block) -> Iterator[Denied]:
    if block.policy not in (None, "", POLICY):
        yield rules.POLICY.denied(policy=block.policy)


# --------------------------------------------------------------------------------------------------------------- the signer


def _signer(block: Block, form: SignatureForm) -> tuple[x509.Certificate | None, Denied | None]:
    """The certificate that SigningCertificate names, of those in KeyInfo; the one whose key made the value where it names several
    (the French samples give the whole chain)."""
    named = [c for c in block.certificates if _is_named(c, block, form)]
    if not named:
        problem = "SigningCertificate names none of those in KeyInfo"
        if not block.certificate_digests:
            problem = "SigningCertificate is missing"
        return None, rules.CERTIFICATE.denied(problem=problem)
    if block.canonicalization not in CANONICALIZATIONS or not form.accepts(block.method):
        return named[0], None
    octets = canonical_part(block.signed_info, block.canonicalization)
    for certificate in named:
        if _verifies(certificate, block.method, octets, block.value):
            return certificate, None
    return named[0], rules.VALUE.denied()


def _is_named(certificate: x509.Certificate, block: Block, form: SignatureForm) -> bool:
    der = certificate.public_bytes(serialization.Encoding.DER)
    return any(
        form.accepts(named.method)
        and hashlib.new(DIGESTS[named.method], der).digest() == Reference("", "", "", "", named.digest).value
        for named in block.certificate_digests
    )


def _verifies(certificate: x509.Certificate, method: str, octets: bytes, value: bytes) -> bool:
    family, algorithm = METHODS[method]
    try:
        key = certificate.public_key()
        if family == "RSA" and isinstance(key, rsa.RSAPublicKey):
            key.verify(value, octets, padding.PKCS1v15(), algorithm)
            return True
        if family == "EC" and isinstance(key, ec.EllipticCurvePublicKey):
            half = (key.curve.key_size + 7) // 8
            if len(value) != 2 * half:
                return False
            pair = (int.from_bytes(value[:half], "big"), int.from_bytes(value[half:], "big"))
            key.verify(encode_dss_signature(*pair), octets, ec.ECDSA(algorithm))
            return True
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        return False
    return False


def _time(text: str, signed: SignedSet, now: datetime) -> tuple[datetime | None, Denied | None]:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        problem = "it is no xs:dateTime" if text else "it is missing"
        return None, rules.TIME.denied(time=text, problem=problem)
    if time.tzinfo is None:
        return None, rules.TIME.denied(time=text, problem="it has no time zone")
    if time > now + _SKEW:
        return None, rules.TIME.denied(time=text, problem="it is in the future")
    if signed.submission_time is not None and abs(time - signed.submission_time) > _NEAR and _of_the_set(signed):
        return None, rules.TIME.denied(time=text, problem=f"the submissionTime is {signed.submission_time:%Y-%m-%d %H:%M} UTC")
    return time, None


def _of_the_set(signed: SignedSet) -> bool:
    """A single document may have been signed long before it is shared; a set is signed when it is made."""
    return signed.signs_set or not (signed.targets or signed.elsewhere)


def _trusted(signer: x509.Certificate, trust: TrustStore | None, time: datetime) -> Iterator[Denied]:
    try:
        (trust or TrustStore()).check(signer, Use.NON_REPUDIATION, at=time)
    except Denied as denied:
        yield rules.UNTRUSTED.denied(reason_en=f"{denied.rule}: {denied.text_en}", reason_fr=denied.text_fr, log=denied.log)


def _tied(signer: x509.Certificate, signed: SignedSet) -> Iterator[Denied]:
    """A person's certificate names the national id in CN, a structure's in OU (IGC-Sante)."""
    names = signer.subject
    people = {str(a.value) for oid in (NameOID.COMMON_NAME, NameOID.SERIAL_NUMBER) for a in names.get_attributes_for_oid(oid)}
    structures = {str(a.value) for a in names.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)}
    if not people & signed.people and not structures & signed.structures:
        yield rules.SIGNER.denied(signer=signer.subject.rfc4514_string())


# ------------------------------------------------------------------------------------------------------------ the documents


def _documents(block: Block, signed: SignedSet, form: SignatureForm, good: bool) -> Iterator[Denied]:
    """`good`: the signature itself is; else nothing is told, or looked for, that the submission does not hold."""
    whole = _signs_whole_set(block, signed, form)
    yield from _set_reference(block, signed, whole)
    listed: set[str] = set()
    before: list[Reference] = []
    for reference in block.listed:
        id = reference.unique_id
        listed.add(id)
        if id == signed.uniqueId or (whole and _is_set(reference, signed)):
            continue
        content = signed.documents.get(id)
        if content is not None:
            if form.accepts(reference.digest_method):
                yield from _digest(reference, id, content)
        elif whole:
            yield rules.EXTRA.denied(document=id)
        else:
            before.append(reference)
    if before and good:
        yield from _stored_before(before, signed)
    if whole:
        for id in signed.documents:
            if id not in listed and id not in signed.optional:
                yield rules.MISSING.denied(document=id)


def _stored_before(references: Sequence[Reference], signed: SignedSet) -> Iterator[Denied]:
    """Single documents that came with other submissions. The algorithms are accepted ones."""
    left = signed.allowance
    if len(references) > left.documents:
        problem = f"it names {len(references)} documents that are not submitted with it, {left.documents} are looked for"
        yield rules.FORM.denied(problem=problem)
        return
    left.documents -= len(references)
    found = signed.stored([reference.unique_id for reference in references])
    for reference in references:
        id = reference.unique_id
        content = found.get(id)
        if content is None:
            yield rules.EXTRA.denied(document=id)
            continue
        read = content.size if reference.canonicalization or DIGESTS[reference.digest_method] not in _KEPT else 0
        if read > left.octets:
            algorithm = reference.canonicalization or reference.digest_method
            over = f"{algorithm} over {read} bytes that were stored before ({id})"
            yield rules.ALGORITHM.denied(algorithm=over, accepted=f"{SHA256} without Transform, which needs no reading")
            continue
        left.octets -= read
        yield from _digest(reference, id, content)


def _signs_whole_set(block: Block, signed: SignedSet, form: SignatureForm) -> bool:
    return form.signs_set or signed.signs_set or any(_is_set(reference, signed) for reference in block.listed)


def _is_set(reference: Reference, signed: SignedSet) -> bool:
    """A set is meant: this one, or one that is no document and has no octets."""
    id = reference.unique_id
    return id == signed.uniqueId or (reference.digest in SET_DIGESTS and id not in signed.documents)


def _set_reference(block: Block, signed: SignedSet, whole: bool) -> Iterator[Denied]:
    if not whole:
        return
    own = [reference for reference in block.listed if reference.unique_id == signed.uniqueId]
    others = [r.unique_id for r in block.listed if r.unique_id != signed.uniqueId and _is_set(r, signed)]
    if not own:
        problem = f"it names {others[0]}" if others else "no Reference names it"
        yield rules.WRONG_SET.denied(problem=f"{problem}, the set is {signed.uniqueId}")
    elif own[0].digest not in SET_DIGESTS:
        yield rules.WRONG_SET.denied(problem=f"its digest is {own[0].digest}")
    elif others:
        yield rules.WRONG_SET.denied(problem=f"it names {others[0]} as well")


def _digest(reference: Reference, id: str, content: Content) -> Iterator[Denied]:
    algorithm = DIGESTS[reference.digest_method]
    if reference.canonicalization:
        try:
            octets = _canonical_document(content, reference.canonicalization)
        except ParseError as error:
            yield rules.NOT_CANONICAL.denied(document=id, problem=str(error))
            return
        found = hashlib.new(algorithm, octets).digest()
    elif algorithm in _KEPT:
        found = bytes.fromhex(content.sha1 if algorithm == "sha1" else content.sha256)
    else:
        state = hashlib.new(algorithm)
        for chunk in content.chunks():
            state.update(chunk)
        found = state.digest()
    if found != reference.value:
        yield rules.DIGEST.denied(document=id)


def canonical_document(data: bytes, algorithm: str) -> bytes:
    """The canonical form of a whole document. Raises ParseError."""
    exclusive, comments = CANONICALIZATIONS[algorithm]
    tree = parse(data, limits=CANONICAL, what="document", instructions=True).getroottree()
    form: bytes = etree.tostring(tree, method="c14n", exclusive=exclusive, with_comments=comments)
    return form


def _canonical_document(content: Content, algorithm: str) -> bytes:
    if content.size > CANONICAL.max_bytes:
        raise ParseError("XML-007", f"The document has {content.size} bytes, the limit is {CANONICAL.max_bytes}")
    return canonical_document(b"".join(content.chunks()), algorithm)


def _targets(block: Block, signed: SignedSet, form: SignatureForm) -> Iterator[Denied]:
    listed = {reference.unique_id for reference in block.listed}
    if form.signs_set:
        if not (signed.signs_set or signed.targets):
            yield rules.TARGET.denied(problem="there is none", accepted="the SubmissionSet")
        return
    accepted = "each signed DocumentEntry"
    stray = sorted(signed.targets - listed)
    if signed.signs_set:
        yield rules.TARGET.denied(problem="the target is the SubmissionSet", accepted=accepted)
    elif stray:
        yield rules.TARGET.denied(problem=f"{stray[0]} is a target and is not signed", accepted=accepted)
    elif not _signs_whole_set(block, signed, form):
        without = sorted((listed & set(signed.documents)) - signed.targets)
        if without:
            yield rules.TARGET.denied(problem=f"{without[0]} is signed and is no target", accepted=accepted)
        elif not signed.targets and not signed.elsewhere:
            yield rules.TARGET.denied(problem="there is none", accepted=accepted)
