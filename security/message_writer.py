"""Signs SOAP messages: the header of a message up to its Body, with wsse:Security over everything that matters.

What is signed in the header is written in canonical form from the start, with its namespaces on it, so that its digest is that
of the very octets. So has a Body whose builder wrote it in that form (`Message.canonical`); any other goes through `canonical`.
Documents are streamed into its digest in their base64 form, whether they travel as MIME parts or as text (XOP 1.0: 4).

Source: WSS SOAP Message Security 1.1: 8; WSS X.509 Token Profile 1.1: 3.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol
from urllib.parse import unquote
from xml.sax.saxutils import escape

from cryptography.hazmat.primitives import serialization
from lxml import etree

from schemas.namespaces import DS, EXC_C14N, WSA, WSSE, WSSE11, WSU, XOP, q
from security.canonical import Contents, canonical, digest
from security.signature import SigningKey
from security.signer import BASE64, X509V3

_SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
_INCLUDE = q(XOP, "Include")


@dataclass(frozen=True, slots=True)
class Block:
    """One addressing header to sign: local name, text, mustUnderstand. `address` puts the text into wsa:Address."""

    name: str
    text: str
    must_understand: bool = False
    address: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """A message to sign. `body` is the finished content of the Body, an xop:Include wherever a document goes; `contents` gives
    the base64 of each in pieces, by Content-ID, from the start at each call.

    `others` are header blocks that are not signed, `tokens` children of wsse:Security (an assertion), both with their namespaces.
    `confirms` are the signature values of the request that this message answers; None: it answers none. `canonical` is the word
    of whoever wrote `body` that it is in exclusive canonical form where it stands, and needs nothing of the Envelope's prefixes.
    """

    namespace: str
    blocks: Sequence[Block]
    body: Sequence[bytes]
    contents: Mapping[str, Callable[[], Iterable[bytes]]] = field(default_factory=dict)
    others: bytes = b""
    tokens: bytes = b""
    confirms: Sequence[bytes] | None = None
    canonical: bool = False


@dataclass(frozen=True, slots=True)
class SignedHead:
    """Everything up to and including the start tag of the Body, and the signature value."""

    octets: bytes
    value: bytes


class Signs(Protocol):
    """Whoever signs messages."""

    def sign(self, message: Message) -> SignedHead: ...


class MessageSigner:
    """Signs with one key. `lifetime` is how long a message counts. Raises ValueError for a key and certificate that do not fit.

    Safe for threads.
    """

    def __init__(self, certificate_pem: bytes, key_pem: bytes, lifetime: timedelta = timedelta(seconds=300)) -> None:
        self._key = SigningKey(certificate_pem, key_pem)
        self._lifetime = lifetime
        self.certificate = self._key.certificate
        token = base64.b64encode(self.certificate.public_bytes(serialization.Encoding.DER)).decode()
        self._token_id = f"c{os.urandom(8).hex()}-token"
        self._token = _canonical_token(token, self._token_id)
        self._token_digest = hashlib.sha256(self._token).digest()

    def sign(self, message: Message, now: datetime | None = None) -> SignedHead:
        """Reads every document once. Raises what reading them raises."""
        unique = f"c{os.urandom(8).hex()}"
        blocks = [_block(block, f"{unique}-{number}", message.namespace) for number, block in enumerate(message.blocks)]
        created = now or datetime.now(UTC)
        timestamp = _timestamp(created, created + self._lifetime, f"{unique}-time")
        confirmations = [
            _confirmation(value, f"{unique}-confirmed-{number}") for number, value in enumerate(_values(message.confirms))
        ]
        body_start = f'<s:Body xmlns:s="{message.namespace}" xmlns:wsu="{WSU}" wsu:Id="{unique}-body">'.encode()
        signed = {f"{unique}-{number}": octets for number, octets in enumerate(blocks)}
        signed[f"{unique}-time"] = timestamp
        signed |= {f"{unique}-confirmed-{number}": octets for number, octets in enumerate(confirmations)}
        digests = {name: hashlib.sha256(octets).digest() for name, octets in signed.items()}
        digests[self._token_id] = self._token_digest
        digests[f"{unique}-body"] = _body_digest(message, body_start)
        info = _signed_info(self._key.method, digests)
        value = self._key.sign(info)
        envelope = (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<s:Envelope xmlns:s="{message.namespace}" xmlns:wsa="{WSA}"><s:Header>'
        )
        security = f'<wsse:Security xmlns:wsse="{WSSE}" s:mustUnderstand="1">'
        octets = b"".join(
            (
                envelope.encode(),
                *blocks,
                message.others,
                security.encode(),
                self._token,
                timestamp,
                *confirmations,
                message.tokens,
                _signature(info, value, self._token_id),
                b"</wsse:Security></s:Header>",
                body_start,
            )
        )
        return SignedHead(octets, value)


def _values(confirms: Sequence[bytes] | None) -> Sequence[bytes]:
    """WSS 1.1: 8.5: the answer to a request without a signature has one confirmation without a value."""
    return () if confirms is None else (confirms or (b"",))


def _text(value: str) -> str:
    return escape(value).replace("\r", "&#xD;")


def _block(block: Block, id: str, namespace: str) -> bytes:
    understand, declared = ("", "")
    if block.must_understand:
        understand, declared = ' s:mustUnderstand="1"', f' xmlns:s="{namespace}"'
    content = f"<wsa:Address>{_text(block.text)}</wsa:Address>" if block.address else _text(block.text)
    return (
        f'<wsa:{block.name}{declared} xmlns:wsa="{WSA}" xmlns:wsu="{WSU}" wsu:Id="{id}"{understand}>{content}</wsa:{block.name}>'
    ).encode()


def _canonical_token(token: str, id: str) -> bytes:
    return (
        f'<wsse:BinarySecurityToken xmlns:wsse="{WSSE}" xmlns:wsu="{WSU}" EncodingType="{BASE64}" ValueType="{X509V3}" '
        f'wsu:Id="{id}">{token}</wsse:BinarySecurityToken>'
    ).encode()


def _timestamp(created: datetime, expires: datetime, id: str) -> bytes:
    return (
        f'<wsu:Timestamp xmlns:wsu="{WSU}" wsu:Id="{id}"><wsu:Created>{_moment(created)}</wsu:Created>'
        f"<wsu:Expires>{_moment(expires)}</wsu:Expires></wsu:Timestamp>"
    ).encode()


def _moment(value: datetime) -> str:
    """Milliseconds: some toolkits read no finer ones."""
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _confirmation(value: bytes, id: str) -> bytes:
    confirmed = f' Value="{base64.b64encode(value).decode()}"' if value else ""
    return (
        f'<wsse11:SignatureConfirmation xmlns:wsse11="{WSSE11}" xmlns:wsu="{WSU}"{confirmed} wsu:Id="{id}">'
        "</wsse11:SignatureConfirmation>"
    ).encode()


def _signed_info(method: str, digests: Mapping[str, bytes]) -> bytes:
    references = "".join(
        f'<ds:Reference URI="#{id}"><ds:Transforms><ds:Transform Algorithm="{EXC_C14N}"></ds:Transform></ds:Transforms>'
        f'<ds:DigestMethod Algorithm="{_SHA256}"></ds:DigestMethod><ds:DigestValue>{base64.b64encode(value).decode()}'
        "</ds:DigestValue></ds:Reference>"
        for id, value in digests.items()
    )
    return (
        f'<ds:SignedInfo xmlns:ds="{DS}"><ds:CanonicalizationMethod Algorithm="{EXC_C14N}"></ds:CanonicalizationMethod>'
        f'<ds:SignatureMethod Algorithm="{method}"></ds:SignatureMethod>{references}</ds:SignedInfo>'
    ).encode()


def _signature(info: bytes, value: bytes, token: str) -> bytes:
    return (
        f'<ds:Signature xmlns:ds="{DS}">'.encode()
        + info
        + (
            f"<ds:SignatureValue>{base64.b64encode(value).decode()}</ds:SignatureValue><ds:KeyInfo>"
            f'<wsse:SecurityTokenReference><wsse:Reference URI="#{token}" ValueType="{X509V3}"/></wsse:SecurityTokenReference>'
            "</ds:KeyInfo></ds:Signature>"
        ).encode()
    )


def _body_digest(message: Message, body_start: bytes) -> bytes:
    if message.canonical and not message.contents:
        state = hashlib.sha256(body_start)
        for piece in (*message.body, b"</s:Body>"):
            state.update(piece)
        return state.digest()
    envelope = f'<s:Envelope xmlns:s="{message.namespace}" xmlns:wsa="{WSA}">'.encode()
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True, collect_ids=False)
    root = etree.fromstring(b"".join((envelope, body_start, *message.body, b"</s:Body></s:Envelope>")), parser)
    body = root[0]
    if not message.contents:
        return hashlib.sha256(canonical(body)).digest()
    return digest(body, (), "sha256", _holders(body, message.contents))


def _holders(body: etree._Element, contents: Mapping[str, Callable[[], Iterable[bytes]]]) -> Contents:
    """The element around each xop:Include, with what it stands for."""
    found = {}
    for include in body.iter(_INCLUDE):
        holder = include.getparent()
        if holder is not None:
            found[holder] = contents[unquote((include.get("href") or "").removeprefix("cid:"))]
    if len(found) != len(contents):
        raise ValueError(f"{len(contents)} documents, but {len(found)} places for them in the Body")
    return found
