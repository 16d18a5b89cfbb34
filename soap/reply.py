"""From an `Answer` or a `Fault` to the octets of the HTTP answer: plain SOAP or MTOM, always with its exact length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from soap.body.retrieve import base64_size, base64_stream
from soap.call import Answer, Attachment, Inline
from soap.envelope import ANSWER_TAIL, answer_head
from soap.fault import Fault, build_fault, fault_body, fault_headers
from soap.mtom import SOAP_TYPE, write_package
from soap.receive import CHUNK
from soap.signing import Signature, sign_answer

#: An answer up to this many octets is finished before the first one is sent: what fails until then is a clear fault.
WHOLE = CHUNK


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP answer. `length` is the sum of `pieces`, which are read once."""

    status: int
    content_type: str
    length: int
    pieces: Iterable[bytes]
    retry_after: int | None = None


@dataclass(frozen=True, slots=True)
class Form:
    """How a request came, and so how it is answered (ITI TF-2: V.8.1). `signature` signs the answer."""

    mtom: bool = False
    soap11: bool = False
    message_id: str = ""
    signature: Signature | None = None


def reply_of_answer(answer: Answer, action: str, form: Form) -> Reply:
    """HTTP 200 with the answer; `action` is its wsa:Action."""
    if form.signature is not None:
        head = sign_answer(
            form.signature,
            action,
            form.message_id,
            answer.payload,
            answer.attachments if form.mtom else (),
            soap11=form.soap11,
            canonical=answer.canonical,
        )
    else:
        head = answer_head(action, form.message_id, form.soap11)
    if form.mtom:
        root = [head, *_without_inline(answer.payload), ANSWER_TAIL]
        written = write_package(root, answer.attachments, action)
        return _whole_when_small(Reply(200, written.content_type, written.length, written.pieces))
    content_type = "text/xml; charset=UTF-8" if form.soap11 else f'{SOAP_TYPE}; charset=UTF-8; action="{action}"'
    if (bare := _without_documents(answer.payload)) is not None:
        whole = b"".join((head, *bare, ANSWER_TAIL))
        return Reply(200, content_type, len(whole), (whole,))
    pieces = [head, *answer.payload, ANSWER_TAIL]
    inline = sum(base64_size(p.attachment.size) for p in pieces if isinstance(p, Inline))
    length = inline + sum(len(p) for p in pieces if not isinstance(p, Inline))
    return _whole_when_small(Reply(200, content_type, length, _plain(pieces)))


def reply_of_fault(fault: Fault, form: Form, explain_base: str = "") -> Reply:
    """The fault with its HTTP status; in a package when the request was read as one."""
    if form.signature is not None and not fault.soap11:
        body = fault_body(fault, explain_base)
        head = sign_answer(form.signature, fault.action, form.message_id, [body], others=fault_headers(fault))
        envelope = head + body + ANSWER_TAIL
    else:
        envelope = build_fault(fault, form.message_id, explain_base)
    if fault.soap11:
        return Reply(fault.status, "text/xml; charset=UTF-8", len(envelope), (envelope,), fault.retry_after)
    if form.mtom:
        written = write_package([envelope], (), fault.action)
        return Reply(fault.status, written.content_type, written.length, written.pieces, fault.retry_after)
    content_type = f'{SOAP_TYPE}; charset=UTF-8; action="{fault.action}"'
    return Reply(fault.status, content_type, len(envelope), (envelope,), fault.retry_after)


def _without_documents(payload: Sequence[bytes | Inline]) -> Sequence[bytes] | None:
    """The payload of an answer that carries no document, as nearly all do, while it is small; None for any other."""
    size = 0
    bare: list[bytes] = []
    for piece in payload:
        if isinstance(piece, Inline):
            return None
        bare.append(piece)
        size += len(piece)
    return bare if size <= WHOLE else None


def _without_inline(payload: Sequence[bytes | Inline]) -> Iterator[bytes]:
    for piece in payload:
        if isinstance(piece, Inline):
            raise TypeError("an MTOM answer carries documents as attachments, not inline")
        yield piece


def _whole_when_small(reply: Reply) -> Reply:
    if reply.length > WHOLE:
        return reply
    whole = b"".join(reply.pieces)
    if len(whole) != reply.length:
        raise ValueError(f"an answer of {len(whole)} octets was announced with {reply.length}")
    return Reply(reply.status, reply.content_type, reply.length, (whole,), reply.retry_after)


def _plain(pieces: Sequence[bytes | Inline]) -> Iterator[bytes]:
    """Small neighbours travel in one piece. Raises ValueError for a document of another size than announced."""
    waiting: list[bytes] = []
    size = 0
    for piece in pieces:
        for chunk in base64_stream(_exactly(piece.attachment)) if isinstance(piece, Inline) else (piece,):
            if waiting and size + len(chunk) > CHUNK:
                yield b"".join(waiting)
                waiting, size = [], 0
            waiting.append(chunk)
            size += len(chunk)
    yield b"".join(waiting)


def _exactly(attachment: Attachment) -> Iterator[bytes]:
    sent = 0
    for chunk in attachment.chunks:
        sent += len(chunk)
        if sent > attachment.size:
            break
        yield chunk
    if sent != attachment.size:
        raise ValueError(f"attachment {attachment.content_id} has not the {attachment.size} octets that were announced")
