"""Answers are signed when the request was: judged by whole xmlsec and by our own client, which refuses what was changed."""

from __future__ import annotations

import base64
import email
import email.policy
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from metadata.rules.rule import Finding
from metadata.vocabulary import ErrorCode, ResponseStatus
from security.message_writer import Block, Message, MessageSigner
from security.refusal import Denied
from security.signed_message import MessageVerifier
from soap.body.retrieve import Retrieved, build_retrieve_answer, parse_document_requests
from soap.signing import AnswerVerifier, RequestVerifier
from storage.errors import StorageUnavailable
from tests.security import foreign_signing as peer
from tests.security.foreign_signing import PARTS, Pki, ds, parse, part, soap, wsa, wsu
from tests.soap.messages import DOCUMENT, ITI_18, ITI_43, QUERY, RETRIEVE, Got, Recorder, Sent, package, plain, refuse

ROOT = "http://xds.example.org/xds/"
CONFIRMATION = "{http://docs.oasis-open.org/wss/oasis-wss-wssecurity-secext-1.1.xsd}SignatureConfirmation"


def ask(
    recorder: Recorder, pki: Pki, body: str = QUERY, action: str = ITI_18, *, mtom: bool = False
) -> tuple[Got, etree._Element]:
    """A signed request and its answer."""
    path = "/xds/registry" if action == ITI_18 else "/xds/repository"
    message = peer.sign(peer.build(body.encode(), action, "http://xds.example.org" + path), pki.peer("alice"))
    octets = etree.tostring(message)
    sent = package(octets, None, path) if mtom else Sent(path, f'application/soap+xml; action="{action}"', octets)
    return recorder.post(sent), message


def whole(answer: Got) -> etree._Element:
    """The answer with every document back in the tree as base64: what was signed (XOP 1.0: 4)."""
    if not answer.headers["Content-Type"].startswith("multipart/"):
        return parse(answer.body)
    head = f"Content-Type: {answer.headers['Content-Type']}\r\n\r\n".encode()
    message = email.message_from_bytes(head + answer.body, policy=email.policy.HTTP)
    root, *parts = message.iter_parts()  # type: ignore[attr-defined]
    contents = {p["Content-ID"].strip("<>"): p.get_payload(decode=True) for p in parts}
    envelope = parse(root.get_payload(decode=True))
    for include in list(envelope.iter(f"{{{peer.XOP}}}Include")):
        holder = include.getparent()
        assert holder is not None
        holder.remove(include)
        holder.text = base64.b64encode(contents[include.get("href", "").removeprefix("cid:").replace("%40", "@")]).decode()
    return envelope


def signed_parts(envelope: etree._Element) -> set[str]:
    names = {f"#{e.get(wsu('Id'))}": etree.QName(e).localname for e in envelope.iter(etree.Element) if e.get(wsu("Id"))}
    return {names[reference.get("URI", "")] for reference in part(envelope, "Signature").iter(ds("Reference"))}


EVERYTHING = {"Action", "MessageID", "RelatesTo", "Body", "Timestamp", "BinarySecurityToken", "SignatureConfirmation"}


@pytest.mark.parametrize("mtom", [False, True], ids=["plain", "mtom"])
@pytest.mark.parametrize(("body", "action"), [(QUERY, ITI_18), (RETRIEVE, ITI_43)], ids=["query", "retrieve"])
def test_an_answer_is_signed_over_everything_that_matters(body: str, action: str, mtom: bool, signed: Recorder, pki: Pki) -> None:
    answer, request = ask(signed, pki, body, action, mtom=mtom)
    assert answer.status == 200, answer.body
    envelope = whole(answer)
    peer.verify(envelope, pki.peer("server").x509)
    assert signed_parts(envelope) == EVERYTHING
    assert part(envelope, "RelatesTo").text == part(request, "MessageID").text
    confirmed = next(envelope.iter(CONFIRMATION)).get("Value")
    assert confirmed == "".join((next(request.iter(ds("SignatureValue"))).text or "").split())
    if action == ITI_43:
        assert base64.b64encode(DOCUMENT).decode() in etree.tostring(envelope).decode()


def test_a_refusal_is_signed_like_any_answer(signed: Recorder, pki: Pki) -> None:
    signed.instead = refuse(Finding("X-1", ErrorCode.XDSRegistryError, 'wrong: <&> "\u00e9"', "mend it"))
    envelope = whole(ask(signed, pki)[0])
    peer.verify(envelope, pki.peer("server").x509)
    assert b"XDSRegistryError" in etree.tostring(envelope)


def test_a_fault_is_signed_and_confirms_only_a_good_signature(signed: Recorder, pki: Pki) -> None:
    message = peer.sign(peer.build(QUERY.encode(), ITI_18, ROOT + "registry"), pki.peer("alice"))
    part(message, "MessageID").text = "urn:uuid:tampered"
    answer = signed.post(Sent("/xds/registry", "application/soap+xml", etree.tostring(message)))
    envelope = whole(answer)
    peer.verify(envelope, pki.peer("server").x509)
    assert (answer.rule, signed_parts(envelope)) == ("SIG-019", EVERYTHING - {"SignatureConfirmation"})


@pytest.mark.parametrize("mtom", [False, True], ids=["plain", "mtom"])
def test_an_unexpected_error_is_a_signed_fault_too(mtom: bool, signed: Recorder, pki: Pki) -> None:
    def broken(call: Any) -> Any:
        raise ZeroDivisionError

    signed.instead = broken
    answer, _ = ask(signed, pki, mtom=mtom)
    peer.verify(whole(answer), pki.peer("server").x509)
    assert answer.rule == "SRV-005"


def test_a_fault_about_headers_carries_them_beside_the_signature(signed: Recorder, pki: Pki) -> None:
    message = peer.build(QUERY.encode(), ITI_18, ROOT + "registry")
    etree.SubElement(part(message, "Header"), "{urn:x}Unknown").set(soap("mustUnderstand"), "1")
    answer = signed.post(Sent("/xds/registry", "application/soap+xml", etree.tostring(peer.sign(message, pki.peer("alice")))))
    peer.verify(whole(answer), pki.peer("server").x509)
    assert answer.envelope.find(f"{soap('Header')}/{soap('NotUnderstood')}") is not None


@pytest.mark.parametrize(("always", "elements"), [(False, 0), (True, 1)])
def test_answers_to_unsigned_requests(always: bool, elements: int, tmp_path: Path, pki: Pki) -> None:
    """`sign_always` signs them too, with the confirmation without value that WSS 1.1: 8.5 has for them."""
    server = MessageSigner(pki.peer("server").certificate, pki.peer("server").key)
    recorder = Recorder(tmp_path, signer=lambda: server, sign_always=always)
    answer = recorder.post(plain())
    assert len(list(answer.envelope.iter(ds("Signature")))) == elements
    if always:
        peer.verify(whole(answer), pki.peer("server").x509)
        assert [dict(e.attrib).keys() for e in answer.envelope.iter(CONFIRMATION)] == [{wsu("Id")}]


def test_a_document_that_can_be_read_once_only_is_told(signed: Recorder, pki: Pki) -> None:
    def once(call: Any) -> Any:
        found = [Retrieved(r, "text/plain", 1, iter([b"x"])) for r in parse_document_requests(call.body)]
        return build_retrieve_answer(call, ResponseStatus.SUCCESS, found)

    signed.instead = once
    assert ask(signed, pki, RETRIEVE, ITI_43, mtom=True)[0].rule == "SRV-005"


# --------------------------------------------------------------------------------------------------------------- client


def checked(envelope: etree._Element, request: etree._Element, pki: Pki, **changes: Any) -> str:
    """The rule by which our client refuses an answer; "" when it believes it."""
    value = base64.b64decode(next(request.iter(ds("SignatureValue"))).text or "")
    known = {"message_id": part(request, "MessageID").text, "value": value, **changes}
    try:
        AnswerVerifier(MessageVerifier(pki.trust.refresh)).verify(parse(etree.tostring(envelope)), {}, **known)
    except Denied as denied:
        return denied.rule
    return ""


def _nothing(envelope: etree._Element) -> None:
    """The answer as it is."""


def _text(envelope: etree._Element) -> None:
    next(part(envelope, "Body").iter("{*}AdhocQueryResponse")).set("status", "urn:evil")


def _unsigned(envelope: etree._Element) -> None:
    part(envelope, "Security").remove(part(envelope, "Signature"))


def _confirmation(envelope: etree._Element) -> None:
    element = next(envelope.iter(CONFIRMATION))
    element.getparent().remove(element)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("change", "rule"), [(_nothing, ""), (_text, "SIG-019"), (_unsigned, "SIG-001"), (_confirmation, "SIG-011")]
)
def test_the_client_believes_only_what_was_signed(
    change: Callable[[etree._Element], None], rule: str, signed: Recorder, pki: Pki
) -> None:
    answer, request = ask(signed, pki)
    envelope = whole(answer)
    change(envelope)
    assert checked(envelope, request, pki) == rule


def test_the_client_believes_only_the_answer_to_its_own_request(signed: Recorder, pki: Pki) -> None:
    answer, request = ask(signed, pki)
    envelope = whole(answer)
    assert checked(envelope, request, pki, message_id="urn:uuid:another") == "SIG-033"
    assert checked(envelope, request, pki, value=b"another") == "SIG-033"
    assert checked(envelope, request, pki, value=None) == ""


def test_the_client_does_not_take_an_answer_without_relatesto_or_with_a_foreign_key(pki: Pki) -> None:
    def answer(who: str, relates_to: str) -> etree._Element:
        envelope = peer.build(QUERY.encode(), ITI_18 + "Response", ROOT)
        names: list[str | etree._Element] = [*PARTS]
        if relates_to:
            element = etree.SubElement(part(envelope, "Header"), wsa("RelatesTo"))
            element.text = relates_to
            names.append(element)
        return peer.sign(envelope, pki.peer(who), names)

    request = peer.sign(peer.build(QUERY.encode(), ITI_18, ROOT), pki.peer("alice"))
    own = part(request, "MessageID").text or ""
    assert checked(answer("server", ""), request, pki) == "SIG-023"
    assert checked(answer("xmallory", own), request, pki) == "PKI-001"
    assert checked(answer("server", own), request, pki) == "SIG-033"  # nothing confirms the request's signature
    assert checked(answer("server", own), request, pki, value=None) == ""


# --------------------------------------------------------------------------------------------------------------- writer


def test_a_key_that_is_not_the_certificate_s_is_refused(pki: Pki) -> None:
    with pytest.raises(ValueError, match="not that of the certificate"):
        MessageSigner(pki.peer("alice").certificate, pki.peer("server").key)


def test_what_is_written_in_canonical_form_is_in_canonical_form(pki: Pki) -> None:
    """Any text in any header: the digest is over the octets as they were written, so a parser must give the same back."""
    signer = MessageSigner(pki.peer("carole").certificate, pki.peer("carole").key)
    for text in ("a&b<c>d", "\u00e9\u20ac\U0001f600", "x\ry\n z\t", "]]>", "\"'"):
        blocks = [Block("Action", text, must_understand=True), Block("MessageID", text), Block("ReplyTo", text, address=True)]
        body = f"<b xmlns='urn:b' a='1'><![CDATA[{text.replace(']]>', '')}]]></b>".encode()
        head = signer.sign(Message(peer.S12, blocks, [body], others=b"<o xmlns='urn:o'/>", confirms=[b"\0", b"\1"])).octets
        envelope = parse(head + body + b"</s:Body></s:Envelope>")
        peer.verify(envelope, pki.peer("carole").x509)
        assert part(envelope, "Action").text == text
        assert len(list(envelope.iter(CONFIRMATION))) == 2


def test_a_timestamp_is_in_milliseconds_and_utc(pki: Pki) -> None:
    signer = MessageSigner(pki.peer("carole").certificate, pki.peer("carole").key, lifetime=timedelta(seconds=90))
    now = datetime(2026, 1, 31, 23, 59, 59, 999_999, UTC)
    octets = signer.sign(Message(peer.S12, [], [b"<b/>"]), now).octets
    assert re.findall(rb"(?:Created|Expires)>([^<]+)<", octets) == [b"2026-01-31T23:59:59.999Z", b"2026-02-01T00:01:29.999Z"]


def test_every_document_needs_its_place(pki: Pki) -> None:
    signer = MessageSigner(pki.peer("carole").certificate, pki.peer("carole").key)
    message = Message(peer.S12, [], [b"<b/>"], {"a@b": lambda: [b"eA=="]})
    with pytest.raises(ValueError, match="1 documents, but 0 places"):
        signer.sign(message)
    placed = f'<b><xop:Include xmlns:xop="{peer.XOP}" href="cid:a%40b"/></b>'.encode()
    head = signer.sign(replace(message, body=[placed])).octets
    peer.verify(parse(head + b"<b>eA==</b></s:Body></s:Envelope>"), pki.peer("carole").x509)


# ------------------------------------------------------------------------------------------------------ memory of messages


def test_an_answer_waits_for_the_memory_of_messages(tmp_path: Path, pki: Pki) -> None:
    """What was to be given is given up when the message cannot be remembered; a refusal leaves all the same."""
    server = pki.peer("server")
    steps: list[str] = []

    def remember(signer: bytes, message_id: str, until: datetime) -> Callable[[], None]:
        def settle() -> None:
            steps.append("settled")
            raise StorageUnavailable("the disk is away")

        return settle

    verifier = RequestVerifier(MessageVerifier(pki.trust.refresh), remember, required=True)
    recorder = Recorder(tmp_path, verifier=verifier, signer=lambda: MessageSigner(server.certificate, server.key))
    answer, _ = ask(recorder, pki)
    assert steps == ["settled"]
    assert b"SRV-003" in answer.body and b"ResponseStatusType:Success" not in answer.body
    peer.verify(whole(answer), server.x509)
    recorder.instead = refuse(Finding("X-1", ErrorCode.XDSRegistryError, "wrong", "mend it"))
    answer, _ = ask(recorder, pki)
    assert (steps, b"X-1" in answer.body) == (["settled"], True)
