"""Signed messages on the wire: requests are verified, answers are signed, and the other way round for a client.

What is signed and what a signature proves is in `security/signed_message.py` and `security/message_writer.py`; here stands what
knows of parts, attachments and answers. A document is read once for its digest and, in an answer, once more when it is sent.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from lxml import etree

from schemas.namespaces import SOAP11, SOAP12, WSU, XOP, q
from security import rules_signature as rules
from security.message_writer import Block, Message, MessageSigner, Signs
from security.signed_message import Expected, MessageVerifier, SignedMessage, confirmed_values, signatures_of
from soap.body.retrieve import base64_stream
from soap.call import Attachment, Inline, StagedPart
from soap.mtom import Parts
from soap.wire import Wire

__all__ = [
    "SIGNER", "AnswerVerifier", "Block", "MessageSigner", "RequestVerifier", "Signature", "Signs", "security_tokens",
    "sign_answer", "sign_request",
]  # fmt: skip

#: Key of the WSGI environ under which `identify` finds the certificate (DER) that signed the message.
SIGNER = "carnet.signer_der"

_INCLUDE = q(XOP, "Include")
Pieces = Callable[[], Iterable[bytes]]


@dataclass(frozen=True, slots=True)
class RequestVerifier:
    """What a server does with the signatures of requests. `remember` makes each message count once (signer, id, until; what it
    returns waits until that is durable); `required` refuses unsigned ones; `addresses` are base URLs (`https://host`) that wsa:To
    may begin with, beside the one that the request was sent to."""

    messages: MessageVerifier
    remember: Callable[[bytes, str, datetime], Callable[[], None]]
    required: bool = False
    addresses: tuple[str, ...] = ()

    def verify(
        self,
        root: etree._Element,
        headers: Sequence[etree._Element],
        contents: Mapping[etree._Element, StagedPart],
        url: str,
        path: str,
        actions: Sequence[str],
    ) -> SignedMessage | None:
        """None for an unsigned message where that is accepted. `contents` are the documents that are not in the tree.

        `url` is the address asked, `path` that without scheme and host; `actions` are those that HTTP names. Raises Denied.
        """
        if not signatures_of(headers):
            if self.required:
                raise rules.UNSIGNED.denied()
            return None
        expected = Expected((url, *(base.rstrip("/") + path for base in self.addresses)), actions)
        return self.messages.verify(root, {element: _pieces(part) for element, part in contents.items()}, expected)

    def first(self, signed: SignedMessage) -> Callable[[], None]:
        """Raises Denied SIG-029 for a message that was here before, StorageError when that cannot be known.

        What it returns is called before the answer leaves, and raises the same.
        """
        return self.remember(signed.certificate_der, signed.message_id, signed.until)


def included(body: etree._Element, parts: Parts, wire: Wire) -> dict[etree._Element, StagedPart]:
    """The element around each xop:Include in `body`, and the part that it stands for.

    Raises the faults of WIRE-036 and 041, and SIG-035 for a part that nothing refers to.
    """
    found: dict[etree._Element, StagedPart] = {}
    for include in body.iter(_INCLUDE):
        holder = include.getparent()
        if holder is not None:
            found[holder] = parts.find(include.get("href") or "", wire)
    for content_id in parts.left(found.values())[:1]:
        raise rules.UNSIGNED_DOCUMENT.denied(part=f"<{content_id}>")
    return found


def _pieces(part: StagedPart) -> Pieces:
    return lambda: base64_stream(part.chunks())


# --------------------------------------------------------------------------------------------------------------- answers


@dataclass(frozen=True, slots=True)
class Signature:
    """An answer is to be signed: by whom, and which signatures of the request it confirms (None: the request's was not good)."""

    signer: MessageSigner
    confirms: Sequence[bytes] | None = None


def sign_answer(
    signature: Signature,
    action: str,
    relates_to: str,
    body: Sequence[bytes | Inline],
    attachments: Sequence[Attachment] = (),
    *,
    soap11: bool = False,
    others: bytes = b"",
    canonical: bool = False,
) -> bytes:
    """Everything in front of the payload `body`, as `soap.envelope.answer_head` gives it for an unsigned answer."""
    blocks = [Block("Action", action, must_understand=True), Block("MessageID", uuid.uuid4().urn)]
    if relates_to:
        blocks.append(Block("RelatesTo", relates_to))
    sent = [*attachments, *(piece.attachment for piece in body if isinstance(piece, Inline))]
    message = Message(
        SOAP11 if soap11 else SOAP12,
        blocks,
        [_placed(piece) for piece in body],
        {attachment.content_id: _read_again(attachment) for attachment in sent},
        others=others,
        confirms=signature.confirms,
        canonical=canonical,
    )
    return signature.signer.sign(message).octets


def _placed(piece: bytes | Inline) -> bytes:
    if isinstance(piece, Inline):
        return f'<xop:Include xmlns:xop="{XOP}" href="cid:{quote(piece.attachment.content_id)}"/>'.encode()
    return piece


def _read_again(attachment: Attachment) -> Pieces:
    if iter(attachment.chunks) is attachment.chunks:
        raise TypeError(f"attachment {attachment.content_id} can be read once only, and a signed message reads it twice")
    return lambda: base64_stream(attachment.chunks)


# ---------------------------------------------------------------------------------------------------------------- client


def sign_request(
    signer: Signs,
    blocks: Sequence[Block],
    body: Sequence[bytes],
    contents: Mapping[str, Callable[[], Iterable[bytes]]],
    tokens: bytes = b"",
) -> tuple[bytes, bytes]:
    """Everything in front of the payload `body`, and the signature value. `contents` gives the octets of each document by
    Content-ID; `tokens` are further children of wsse:Security."""
    pieces = {content_id: _in_base64(read) for content_id, read in contents.items()}
    head = signer.sign(Message(SOAP12, blocks, body, pieces, tokens=tokens))
    return head.octets, head.value


def security_tokens(security: bytes) -> bytes:
    """The children of a finished wsse:Security element, each with its namespaces; a Timestamp is left out, since what is signed
    brings its own. Empty for none."""
    if not security:
        return b""
    element = etree.fromstring(security)
    return b"".join(etree.tostring(child, with_tail=False) for child in element if child.tag != q(WSU, "Timestamp"))


def _in_base64(read: Pieces) -> Pieces:
    return lambda: base64_stream(read())


@dataclass(frozen=True, slots=True)
class AnswerVerifier:
    """What a client does with the signatures of answers: all must be signed."""

    messages: MessageVerifier

    def verify(
        self, root: etree._Element, contents: Mapping[etree._Element, StagedPart], message_id: str, value: bytes | None
    ) -> SignedMessage:
        """`message_id` is that of the request, `value` its signature value (None: it was not signed). Raises Denied."""
        headers = [h for child in root if child.tag == q(etree.QName(root).namespace or "", "Header") for h in child]
        if not signatures_of(headers):
            raise rules.UNSIGNED.denied()
        signed = self.messages.verify(root, {element: _pieces(part) for element, part in contents.items()}, Expected(answer=True))
        if signed.relates_to != message_id:
            raise rules.CONFIRMATION.denied(problem="it relates to another message")
        confirmed = confirmed_values(root, signed)
        if value is not None and value not in confirmed and not _is_fault(root):
            raise rules.CONFIRMATION.denied(problem="it does not confirm the signature of the request")
        return signed


def _is_fault(root: etree._Element) -> bool:
    """A fault about a signature that was not believed confirms nothing."""
    return any(child.tag in (q(SOAP12, "Fault"), q(SOAP11, "Fault")) for body in list(root)[-1:] for child in body)
