"""A signed SOAP message: what is signed is proved by identity of elements, by whom, when, and for whom.

The order is that of cost and of danger: the place of the header, the structural gate (`signed_info`), the certificate (`signer`,
`trust`), the signature value (`signature`, by xmlsec), what is covered, time and destination, then the digests, documents
last. Nothing of the message is believed before all of it is done. Replay is asked by the caller (`replay`), when it is.

Source: WSS SOAP Message Security 1.1; WSS X.509 Token Profile 1.1; WS-I BSP 1.1.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from cryptography import x509
from lxml import etree

from schemas.namespaces import DS, WSA, WSSE, WSSE11, WSU, q
from security import rules_signature as rules
from security.canonical import Contents, canonical, digest
from security.signature import METHODS, BadSignature, family_of, value_size, verify_octets
from security.signed_info import Ids, Reference, SignedInfo, ids_of, read_signature
from security.signer import Enrolled, Signer, find_signer
from security.trust import TrustStore, Use, der_of

SECURITY, SIGNATURE, _TIMESTAMP = q(WSSE, "Security"), q(DS, "Signature"), q(WSU, "Timestamp")
_CONFIRMATION = q(WSSE11, "SignatureConfirmation")
_XENC = ("{http://www.w3.org/2001/04/xmlenc#}*", "{http://www.w3.org/2009/xmlenc11#}*")
_ONCE = ("Action", "MessageID", "To")
_IN_ANSWERS = ("Action", "MessageID", "RelatesTo")
#: Every addressing header that has to be signed where it is present, by its tag.
_ADDRESSING = {q(WSA, name): name for name in (*_ONCE, "ReplyTo", "FaultTo", "From", "RelatesTo")}
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z", re.ASCII)
#: So long is a moment with more digits than microseconds have.
_FINER = len("2026-01-01T00:00:00.0000000Z")
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Window:
    """How long a message counts: `lifetime` after Created whatever Expires says; `skew` is how far two clocks may differ."""

    lifetime: timedelta = timedelta(seconds=300)
    skew: timedelta = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class SignedMessage:
    """What a verified message proves. `value` is its signature value, `until` when it has become too old to be replayed,
    `signed` are the signed elements, `relates_to` the message that it answers."""

    certificate: x509.Certificate
    certificate_der: bytes
    message_id: str
    action: str
    value: bytes
    until: datetime
    relates_to: str = ""
    signed: tuple[etree._Element, ...] = ()


@dataclass(frozen=True, slots=True)
class Expected:
    """What the message must say: `addresses` for wsa:To (empty: any), `actions` of HTTP, and whether it is an answer: an answer
    needs no wsa:To and has wsa:RelatesTo."""

    addresses: Sequence[str] = ()
    actions: Sequence[str] = ()
    answer: bool = False


def signatures_of(headers: Sequence[etree._Element]) -> int:
    """How many signatures of the message its header blocks carry; those inside an assertion are not counted."""
    return sum(len(header.findall(SIGNATURE)) for header in headers if header.tag == SECURITY)


@dataclass(frozen=True, slots=True)
class MessageVerifier:
    """Verifies messages against the `TrustStore` in force, which `trust` gives. Safe for threads."""

    trust: Callable[[], TrustStore]
    enrolled: Enrolled = field(default_factory=Enrolled)
    window: Window = Window()
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def verify(self, root: etree._Element, contents: Contents, expected: Expected) -> SignedMessage:
        """`root` is the Envelope, `contents` the documents that are not in its tree. Raises Denied, SIG- or PKI-."""
        header, body = _structure(root)
        security, signature = _place(root, header)
        ids = ids_of(root)
        info = read_signature(signature, ids)
        signer = find_signer(info.key_info, security, ids, self.enrolled)
        self.trust().check(signer.certificate, Use.SIGNATURE)
        _verify_value(info, signer.certificate)
        headers = _addressing(header, expected.answer)
        timestamp = _only_timestamp(security)
        _covered(info, {"Body": body, "Timestamp": timestamp, **{f"wsa:{name}": e for name, e in headers.items()}})
        texts = {name: _text(element, f"wsa:{name}") for name, element in headers.items() if name in (*_ONCE, "RelatesTo")}
        until = _check_time(timestamp, self.window, self.clock())
        _check_destination(texts, expected)
        _verify_digests(info, signer, ids, contents, body)
        der = der_of(signer.certificate)
        signed = tuple(reference.element for reference in info.references if not reference.via_token)
        return SignedMessage(
            signer.certificate, der, texts["MessageID"], texts["Action"], info.value, until, texts.get("RelatesTo", ""), signed
        )


def confirmed_values(root: etree._Element, message: SignedMessage) -> list[bytes]:
    """The signature values that a verified answer confirms (WSS 1.1: 8.5): those in signed SignatureConfirmation elements."""
    found = []
    for element in root.iter(_CONFIRMATION):
        if any(element is one for one in message.signed):
            with suppress(ValueError, binascii.Error):
                found.append(binascii.a2b_base64(element.get("Value", ""), strict_mode=True))
    return found


# ---------------------------------------------------------------------------------------------------------------- places


def _structure(root: etree._Element) -> tuple[etree._Element, etree._Element]:
    """Header and Body of an Envelope that has these two children and no other."""
    namespace = etree.QName(root).namespace or ""
    children = [child for child in root if isinstance(child.tag, str)]
    if [child.tag for child in children] != [q(namespace, "Header"), q(namespace, "Body")]:
        raise rules.FORM.denied(problem="the Envelope is not one Header and one Body")
    return children[0], children[1]


def _place(root: etree._Element, header: etree._Element) -> tuple[etree._Element, etree._Element]:
    """The one wsse:Security and its one ds:Signature."""
    anywhere, placed = list(root.iter(SECURITY)), header.findall(SECURITY)
    if len(anywhere) != 1 or len(placed) != 1:
        raise rules.ONE_HEADER.denied(count=len(anywhere), placed=len(placed))
    signatures = placed[0].findall(SIGNATURE)
    if len(signatures) != 1:
        raise rules.ONE_SIGNATURE.denied(count=len(signatures))
    if next(root.iter(*_XENC), None) is not None:
        raise rules.ENCRYPTED.denied()
    return placed[0], signatures[0]


def _addressing(header: etree._Element, answer: bool) -> Mapping[str, etree._Element]:
    """The addressing headers that are present, by local name."""
    needed = _IN_ANSWERS if answer else _ONCE
    elements: dict[str, list[etree._Element]] = {}
    for child in header.iterchildren(*_ADDRESSING):
        elements.setdefault(_ADDRESSING[str(child.tag)], []).append(child)
    for name in _ADDRESSING.values():
        count = len(elements.get(name, ()))
        if count > 1 or (not count and name in needed):
            raise rules.HEADER_COUNT.denied(part=f"wsa:{name}", count=count)
    return {name: found[0] for name, found in elements.items()}


def _only_timestamp(security: etree._Element) -> etree._Element:
    timestamps = list(security.iter(_TIMESTAMP))
    if len(timestamps) != 1 or timestamps[0].getparent() is not security:
        raise rules.TIMESTAMP.denied(problem=f"wsse:Security has {len(timestamps)}")
    return timestamps[0]


def _covered(info: SignedInfo, parts: Mapping[str, etree._Element]) -> None:
    """Each of `parts` is one of the elements that the references name: the same object, not one with the same name or id."""
    signed = [reference.element for reference in info.references if not reference.via_token]
    for name, part in parts.items():
        if not any(element is part for element in signed):
            raise rules.UNSIGNED_PART.denied(part=name)


def _text(element: etree._Element, name: str) -> str:
    text = (element.text or "").strip()
    if len(element) or not text:
        raise rules.HEADER_COUNT.denied(part=f"the text of {name}", count=0)
    return text


# ---------------------------------------------------------------------------------------------------------- cryptography


def _verify_value(info: SignedInfo, certificate: x509.Certificate) -> None:
    family = family_of(certificate)
    if METHODS[info.method].family != family:
        raise rules.KEY_FAMILY.denied(algorithm=info.method, kind=family)
    if len(info.value) != value_size(certificate):
        raise rules.ENCODING.denied(name="SignatureValue")
    try:
        verify_octets(certificate, info.method, info.octets, info.value)
    except BadSignature as error:
        raise rules.VALUE.denied(log=str(error)) from None


def _verify_digests(info: SignedInfo, signer: Signer, ids: Ids, contents: Contents, body: etree._Element) -> None:
    # The Body last: it may be large, and what is wrong elsewhere shows sooner.
    for reference in sorted(info.references, key=lambda reference: reference.element is body):
        if reference.via_token:
            found = _token_digest(reference, signer)
        else:
            found = digest(reference.element, reference.prefixes, reference.algorithm, contents)
        if not hmac.compare_digest(found, reference.value):
            raise rules.DIGEST.denied(part=etree.QName(reference.element).localname)


def _token_digest(reference: Reference, signer: Signer) -> bytes:
    """STR-Transform (WSS 1.1: 8.3): the token in canonical form, `xmlns=""` added to it.

    With a default namespace in scope toolkits do not agree with themselves what that form is: refused, not guessed.
    """
    token = signer.token
    if token is None:
        raise rules.STR_TRANSFORM.denied(problem="the reference names no BinarySecurityToken of the message")
    if token.nsmap.get(None):
        raise rules.STR_TRANSFORM.denied(problem="a default namespace is in scope")
    form = canonical(token, [prefix for prefix in reference.prefixes if prefix != "#default"])
    form = re.sub(rb"^(<[^\s>]+)", rb'\1 xmlns=""', form, count=1)
    return hashlib.new(reference.algorithm, form).digest()


# -------------------------------------------------------------------------------------------------- time and destination


def _check_time(timestamp: etree._Element, window: Window, now: datetime) -> datetime:
    """Whether the message counts now; the moment from which it would be too old in any case."""
    if any(isinstance(child.tag, str) and child.tag not in (q(WSU, "Created"), q(WSU, "Expires")) for child in timestamp):
        raise rules.TIMESTAMP.denied(problem="it holds more than Created and Expires")
    created, expires = _moment(timestamp, "Created"), _moment(timestamp, "Expires")
    if expires <= created:
        raise rules.TIMESTAMP.denied(problem="it expires before it was created")
    if created > now + window.skew:
        raise rules.FUTURE.denied(created=_shown(created), now=_shown(now))
    if min(expires, created + window.lifetime) <= now - window.skew:
        raise rules.EXPIRED.denied(created=_shown(created), expires=_shown(expires), now=_shown(now))
    return created + window.lifetime + 2 * window.skew


def _shown(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _moment(timestamp: etree._Element, name: str) -> datetime:
    elements = timestamp.findall(q(WSU, name))
    if len(elements) != 1 or len(elements[0]):
        raise rules.TIMESTAMP.denied(problem=f"it has {len(elements)} {name}")
    text = (elements[0].text or "").strip()
    try:
        if not _MOMENT.fullmatch(text):
            raise ValueError
        return datetime.fromisoformat(text if len(text) < _FINER else re.sub(r"(\.\d{6})\d+", r"\1", text))
    except ValueError:
        raise rules.TIMESTAMP.denied(problem=f"{name} is '{text[:40]}'") from None


def _check_destination(texts: Mapping[str, str], expected: Expected) -> None:
    to, action = texts.get("To", ""), texts["Action"]
    if expected.addresses and normal_address(to) not in {normal_address(address) for address in expected.addresses}:
        raise rules.DESTINATION.denied(to=to, expected=expected.addresses[0])
    for stated in expected.actions:
        if stated != action:
            raise rules.ACTION.denied(http=stated, action=action)


def normal_address(url: str) -> tuple[str, str, int | None, str]:
    """Scheme, host, port and path of an address, so that two ways to write the same are equal."""
    try:
        parts = urlsplit(url)
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return ("", url, None, "")
    if parts.query or parts.fragment or parts.username is not None:
        return ("", url, None, "")
    return (parts.scheme, (parts.hostname or "").lower(), port, parts.path.rstrip("/"))
