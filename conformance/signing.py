"""Signed messages (WS-Security, X.509 Token Profile 1.1): requests signed by a card, rightly or wrongly, and answers verified.

A case may have the signature made wrong: `none`, `again` (the message before, octet for octet), `old`, `future`, `no-time`,
`open-body` (the Body is not signed), `open-action`, `elsewhere` (signed for another address), `sha1-signature`, `sha1-digest`,
`value` (that of something else), `twice` (two signatures), `key-value` (a bare key in place of the token), `comments`
(another canonical form), `family` (a method of another kind of key), `wrapping` (the signed Body elsewhere, another in its
place).
What is changed behind a right signature is a change of the wire. Or it says so in rows (`sealed`), in their order:

    ["without", "To"]           this addressing header is not sent
    ["info", PATTERN, TEXT]     the first match in SignedInfo becomes TEXT, and it is signed again
    ["token", WORD]             the certificate of this card (`conformance.cards`) is sent, and its digest signed
    ["after", PATTERN, TEXT]    once it is signed: the first match in the header becomes TEXT

Source: WSS SOAP Message Security 1.1: 8; XML Signature 1.1.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lxml import etree

from conformance.result import Text
from conformance.wire import SOAP, WSA, XOP, Answer
from schemas.namespaces import EXC_C14N
from security import rules_signature as rules
from security.document_signature import RSA_SHA1
from security.document_signature_making import sign_octets_of_pem
from security.message_writer import Block, Message, MessageSigner
from security.pki import signing_files
from security.refusal import Denied
from security.signature import SigningKey
from security.signed_message import Expected, MessageVerifier, confirmed_values, signatures_of
from security.trust_files import LiveTrust, TrustSources

SHA1 = b"http://www.w3.org/2000/09/xmldsig#sha1"
_SHA256 = b"http://www.w3.org/2001/04/xmlenc#sha256"
_ECDSA_SHA1 = b"http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha1"
_ECDSA = b"http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"
_RSA = b"http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
_TOKEN = re.compile(rb'<wsse:BinarySecurityToken [^>]*wsu:Id="([^"]+)">([^<]*)</wsse:BinarySecurityToken>')
_INFO = re.compile(rb"<ds:SignedInfo .*?</ds:SignedInfo>", re.DOTALL)
_VALUE = re.compile(rb"(?<=<ds:SignatureValue>)[^<]*")
_TIMESTAMP = re.compile(rb'<wsu:Timestamp [^>]*wsu:Id="([^"]+)".*?</wsu:Timestamp>', re.DOTALL)
_ACTION = re.compile(rb'<wsa:Action [^>]*wsu:Id="([^"]+)".*?</wsa:Action>', re.DOTALL)
_KEY_INFO = re.compile(rb"<ds:KeyInfo>.*</ds:KeyInfo>", re.DOTALL)
_EXCLUSIVE = EXC_C14N.encode()
_METHOD = re.compile(rb'(?<=<ds:SignatureMethod Algorithm=")[^"]+')
_START, _END = b"<soap:Body>", b"</soap:Body></soap:Envelope>"
_UNRELATED = Text("its wsa:RelatesTo names another message", "son wsa:RelatesTo désigne un autre message")
_UNCONFIRMED = Text(
    "no signed SignatureConfirmation has the signature value of the request",
    "aucun SignatureConfirmation signé ne reprend la valeur de signature de la requête",
)
_AGES = {"old": timedelta(minutes=-20), "future": timedelta(minutes=20)}


class SealedError(ValueError):
    """A row that changes nothing; the text names it."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A signed envelope, and its signature value (None: it is not signed)."""

    octets: bytes
    value: bytes | None


@dataclass(slots=True)
class Signing:
    """Signs as `name` of a test authority's `folder`, whose authority is believed of answers. Raises PkiError, TrustFileError."""

    folder: Path
    name: str
    _key: SigningKey = field(init=False)
    _pem: bytes = field(init=False)
    _signer: MessageSigner = field(init=False)
    _verifier: MessageVerifier = field(init=False)

    def __post_init__(self) -> None:
        certificate, key = (file.read_bytes() for file in signing_files(self.folder, self.name))
        self._key, self._pem = SigningKey(certificate, key), key
        self._signer = MessageSigner(certificate, key)
        trust = LiveTrust(TrustSources(authorities=(self.folder / "ca.crt",), lists=(self.folder / "ca.crl",)))
        self._verifier = MessageVerifier(trust.refresh)

    def signed(
        self, package: bytes, parts: Sequence[tuple[str, bytes, str]], tokens: bytes, how: str,
        rows: Sequence[Sequence[str]] = (), der_of: Callable[[str], bytes] = lambda word: b"",
    ) -> Signed:  # fmt: skip
        """`package` with its envelope signed; it is as `conformance.wire` writes it, plain or with `parts` behind it.

        `tokens` are further children of wsse:Security. `how` is a word of the head of this module, `rows` are those there.
        `der_of` gives the certificate of a card. Raises SealedError.
        """
        begin, start = package.index(b"<?xml"), package.index(_START)
        end = package.index(_END)
        message = Message(
            SOAP,
            [block for block in _blocks(package[begin:start], how) if ["without", block.name] not in [list(row) for row in rows]],
            [package[start + len(_START) : end]],
            {content_id: _once(content) for content_id, content, _ in parts},
            tokens=tokens,
        )
        head = self._signer.sign(message, datetime.now(UTC) + _AGES.get(how, timedelta(0)))
        octets = self._in_rows(self._wrong(head.octets, how), rows, der_of)
        body = package[start + len(_START) : end]
        if how == "wrapping":
            octets, body = _wrapped(octets, body)
        rest = body + b"</s:Body></s:Envelope>" + package[end + len(_END) :]
        return Signed(package[:begin] + octets + rest, head.value if octets == head.octets else None)

    # ------------------------------------------------------------------------------------------------- made wrong

    def _in_rows(self, octets: bytes, rows: Sequence[Sequence[str]], der_of: Callable[[str], bytes]) -> bytes:
        for word, *values in rows:
            if word == "after":
                octets = _substituted(octets, values)
            elif word == "token":
                octets = self._tokened(octets, base64.b64encode(der_of(values[0])))
            elif word == "info":
                start = octets.rindex(b"<ds:Signature ")
                edit: Callable[[bytes], bytes] = functools.partial(_substituted, values=values)
                octets = octets[:start] + self._anew(octets[start:], edit)
            elif word != "without":
                raise SealedError(f"sealed: {word}: known are after, info, token, without")
        return octets

    def _tokened(self, octets: bytes, token: bytes) -> bytes:
        """With another certificate as BinarySecurityToken, whose digest is signed."""
        old = _one(_TOKEN, octets)
        new = old[0].replace(old[2], token)
        octets = octets.replace(old[0], new, 1)
        start = octets.rindex(b"<ds:Signature ")
        digest = base64.b64encode(hashlib.sha256(new).digest())
        return octets[:start] + self._anew(octets[start:], lambda info: _digested(info, old[1], digest))

    def _wrong(self, octets: bytes, how: str) -> bytes:
        """The head of a message, wrong as `how` says. Its signature is the last one, behind that of an assertion."""
        start, end = octets.rindex(b"<ds:Signature "), octets.rindex(b"</ds:Signature>") + len(b"</ds:Signature>")
        front, signature, rest = octets[:start], octets[start:end], octets[end:]
        if how == "no-time":
            time = _one(_TIMESTAMP, front)
            return front.replace(time[0], b"") + self._anew(signature, lambda info: _without(info, time[1])) + rest
        if how == "twice":
            return front + signature * 2 + rest
        return front + self._wrong_signature(signature, how, front, rest) + rest

    def _wrong_signature(self, signature: bytes, how: str, front: bytes, rest: bytes) -> bytes:
        edits: dict[str, Callable[[bytes], bytes]] = {
            "open-action": lambda info: _without(info, _one(_ACTION, front)[1]),
            "open-body": lambda info: _without(info, rest.rpartition(b'wsu:Id="')[2].partition(b'"')[0]),
            "sha1-digest": lambda info: _weakly_digested(info, _one(_ACTION, front)),
            "comments": lambda info: info.replace(_EXCLUSIVE, _EXCLUSIVE + b"WithComments", 1),
            "family": lambda info: _METHOD.sub(_ECDSA if b"#rsa-" in info else _RSA, info),
        }
        if how in edits:
            return self._anew(signature, edits[how])
        if how == "value":
            return _VALUE.sub(base64.b64encode(self._key.sign(b"something else")), signature)
        if how == "sha1-signature":
            return self._weakly_signed(signature)
        if how == "key-value":
            return _KEY_INFO.sub(b"<ds:KeyInfo><ds:KeyValue></ds:KeyValue></ds:KeyInfo>", signature)
        return signature

    def _anew(self, signature: bytes, edit: Callable[[bytes], bytes]) -> bytes:
        """Signed again after SignedInfo was edited: nothing is wrong but that."""
        info = edit(_one(_INFO, signature)[0])
        value = base64.b64encode(self._key.sign(info))
        return _VALUE.sub(value, signature.replace(_one(_INFO, signature)[0], info))

    def _weakly_signed(self, signature: bytes) -> bytes:
        """As old toolkits sign unless they are told otherwise: RSA or ECDSA with SHA-1."""
        method = RSA_SHA1.encode() if "#rsa-" in self._key.method else _ECDSA_SHA1
        old = _one(_INFO, signature)[0]
        new = _METHOD.sub(method, old)
        value = base64.b64encode(sign_octets_of_pem(self._pem, RSA_SHA1, new))
        return _VALUE.sub(value, signature.replace(old, new))

    # ---------------------------------------------------------------------------------------------------- answers

    def problem(self, answer: Answer, message_id: str, value: bytes | None) -> tuple[str, Text] | None:
        """What is wrong with the signature of an answer, with the rule; None when it is right.

        `message_id` is that of the request, `value` its signature value.
        """
        try:
            header = answer.envelope.find(f"{{{SOAP}}}Header")
            if header is None or not signatures_of(list(header)):
                raise rules.UNSIGNED.denied()
            signed = self._verifier.verify(answer.envelope, _contents(answer), Expected(answer=True))
            if message_id and signed.relates_to != message_id:
                return rules.CONFIRMATION.id, _UNRELATED
            if value is not None and value not in confirmed_values(answer.envelope, signed):
                return rules.CONFIRMATION.id, _UNCONFIRMED
        except Denied as denied:
            return denied.rule, Text(denied.text_en, denied.text_fr)
        return None


def _contents(answer: Answer) -> Mapping[etree._Element, Callable[[], Iterator[bytes]]]:
    """The element around each xop:Include, with the base64 of its part."""
    found = {}
    for include in answer.envelope.iter(f"{{{XOP}}}Include"):
        holder, content = include.getparent(), answer.included(include)
        if holder is not None:
            found[holder] = _once(content)
    return found


def _once(content: bytes) -> Callable[[], Iterator[bytes]]:
    return lambda: iter((base64.b64encode(content),))


def _blocks(head: bytes, how: str) -> Iterator[Block]:
    """The addressing headers of an envelope, to be signed."""
    header = etree.fromstring(head + _START + _END)[0]
    for element in header:
        if etree.QName(element).namespace != WSA:
            continue
        name, address = etree.QName(element).localname, element.findtext(f"{{{WSA}}}Address")
        text = address if address is not None else element.text or ""
        if name == "To" and how == "elsewhere":
            text = "https://elsewhere.example/xds"
        understood = bool(element.get(f"{{{SOAP}}}mustUnderstand"))
        yield Block(name, text.strip(), must_understand=understood, address=address is not None)


def _one(pattern: re.Pattern[bytes], octets: bytes) -> re.Match[bytes]:
    found = pattern.search(octets)
    if found is None:
        raise ValueError(f"the signed message has no {pattern.pattern!r}")
    return found


def _substituted(octets: bytes, values: Sequence[str]) -> bytes:
    pattern, text = (value.encode() for value in values)
    changed, count = re.subn(pattern, text, octets, count=1, flags=re.DOTALL)
    if not count:
        raise SealedError(f"sealed: {values[0]} does not occur in what is signed")
    return changed


def _digested(info: bytes, id: bytes, digest: bytes) -> bytes:
    """SignedInfo with another digest of `id`."""
    start = info.index(b'<ds:Reference URI="#' + id + b'">')
    end = info.index(b"</ds:Reference>", start)
    return info[:start] + re.sub(rb"(?<=<ds:DigestValue>)[^<]*", digest, info[start:end]) + info[end:]


def _wrapped(octets: bytes, body: bytes) -> tuple[bytes, bytes]:
    """The signed Body in a header that nobody asks for, and an unsigned one where the Body belongs."""
    start = octets.rindex(b"<s:Body ")
    holder = b'<x:Wrapper xmlns:x="urn:example:wrapper">' + octets[start:] + body + b"</s:Body></x:Wrapper></s:Header>"
    return octets[:start].replace(b"</s:Header>", holder, 1) + b"<s:Body>", body


def _without(info: bytes, id: bytes) -> bytes:
    """SignedInfo without the reference to `id`."""
    return re.sub(rb'<ds:Reference URI="#' + re.escape(id) + rb'">.*?</ds:Reference>', b"", info, flags=re.DOTALL)


def _weakly_digested(info: bytes, element: re.Match[bytes]) -> bytes:
    """SignedInfo with the SHA-1 of `element`, which stands there in canonical form."""
    start = info.index(b'<ds:Reference URI="#' + element[1] + b'">')
    end = info.index(b"</ds:Reference>", start)
    digest = base64.b64encode(hashlib.sha1(element[0], usedforsecurity=False).digest())
    reference = re.sub(rb"(?<=<ds:DigestValue>)[^<]*", digest, info[start:end].replace(_SHA256, SHA1))
    return info[:start] + reference + info[end:]
