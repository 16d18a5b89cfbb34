"""Signed messages whose documents travel as MIME parts: what was signed is the base64, and nothing else passes for it.

The naive receiver, which verifies before it puts the parts back, is shown to accept any attachment; ours is not that receiver.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Mapping, Sequence

import pytest
from lxml import etree

from soap.limits import KB, Limits
from tests.security import foreign_signing as peer
from tests.security.foreign_signing import DOCUMENT, Pki, parse, part
from tests.soap.messages import ITI_41, SUBMIT, Got, Recorder, Sent

URL = "http://xds.example.org/xds/repository"
SMALL, LARGE = b"%PDF-1.4\r\n\x00\xff small", os.urandom(100_001)
TYPE = 'multipart/related; type="application/xop+xml"; start="<root@peer>"; start-info="application/soap+xml"; boundary="{}"'
BOUNDARY = "MIMEBoundary_1"


def request(*contents: str) -> bytes:
    """An ITI-41 body; each content is the text of one xds:Document, or an xop:Include."""
    documents = "".join(f'<xdsb:Document id="Document{n:02d}">{text}</xdsb:Document>' for n, text in enumerate(contents, 1))
    return (
        f'<xdsb:ProvideAndRegisterDocumentSetRequest xmlns:xdsb="urn:ihe:iti:xds-b:2007">{SUBMIT}{documents}'
        "</xdsb:ProvideAndRegisterDocumentSetRequest>"
    ).encode()


def text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def include(content_id: str) -> str:
    return f'<xop:Include xmlns:xop="{peer.XOP}" href="cid:{content_id}"/>'


def signed_request(pki: Pki, *contents: str, prefixes: Sequence[str] = ()) -> etree._Element:
    return peer.sign(peer.build(request(*contents), ITI_41, URL), pki.peer("alice"), prefixes=prefixes)


def wrap(root: bytes, parts: Mapping[str, bytes]) -> bytes:
    head = (
        b'Content-Type: application/xop+xml; charset=UTF-8; type="application/soap+xml"\r\n'
        b"Content-Transfer-Encoding: binary\r\nContent-ID: <root@peer>\r\n\r\n"
    )
    pieces = [head + root]
    for name, content in parts.items():
        pieces.append(
            b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\nContent-ID: <%s>\r\n\r\n%s"
            % (name.encode(), content)
        )
    mark = BOUNDARY.encode()
    return b"".join(b"--" + mark + b"\r\n" + piece + b"\r\n" for piece in pieces) + b"--" + mark + b"--\r\n"


def post(recorder: Recorder, octets: bytes, content_type: str = TYPE.format(BOUNDARY)) -> Got:
    return recorder.post(Sent("/xds/repository", content_type, octets))


def package(pki: Pki, *contents: bytes, prefixes: Sequence[str] = (), token: bool = False) -> tuple[bytes, dict[str, bytes]]:
    return peer.optimise(signed_request(pki, *map(text, contents), prefixes=prefixes), token=token)


@pytest.mark.parametrize("content", [SMALL, LARGE, b"", b"x"], ids=["small", "large", "empty", "one octet"])
def test_signed_over_base64_and_sent_as_parts(content: bytes, signed: Recorder, pki: Pki) -> None:
    answer = post(signed, wrap(*package(pki, content, prefixes=["s", "wsa"])))
    assert answer.status == 200, answer.body
    assert signed.documents == [{"Document01": content}]
    assert signed.calls[0].caller.signer_der == pki.peer("alice").der


def test_the_token_may_travel_as_a_part_too(signed: Recorder, pki: Pki) -> None:
    """As CXF (storeBytesInAttachment) and WCF (everything over 767 octets) send it."""
    answer = post(signed, wrap(*package(pki, LARGE, token=True)))
    assert answer.status == 200, answer.body
    assert signed.documents == [{"Document01": LARGE}]


def test_several_documents(signed: Recorder, pki: Pki) -> None:
    answer = post(signed, wrap(*package(pki, SMALL, LARGE, b"third")))
    assert answer.status == 200, answer.body
    assert signed.documents == [{"Document01": SMALL, "Document02": LARGE, "Document03": b"third"}]


def test_inline_base64_is_digested_as_sent(signed: Recorder, pki: Pki) -> None:
    wrapped = "\n".join(text(LARGE)[i : i + 76] for i in range(0, len(text(LARGE)), 76))
    for content in (text(LARGE), wrapped):
        answer = post(signed, wrap(etree.tostring(signed_request(pki, content)), {}))
        assert answer.status == 200, answer.body
    assert signed.documents == [{"Document01": LARGE}] * 2


def test_inline_base64_that_is_decoded_while_it_comes(signed: Recorder, pki: Pki) -> None:
    content = os.urandom(3 * 1024 * KB)
    assert post(signed, wrap(etree.tostring(signed_request(pki, text(content))), {})).status == 200
    assert signed.documents == [{"Document01": content}]
    # Of what was decoded the white space is not known any more: it counts as base64 without.
    wrapped = text(content)[:76] + "\n" + text(content)[76:]
    assert post(signed, wrap(etree.tostring(signed_request(pki, wrapped)), {})).rule == "SIG-019"


Form = Callable[[bytes, dict[str, bytes]], tuple[bytes, str]]


def changed(old: bytes, new: bytes) -> Form:
    def run(root: bytes, parts: dict[str, bytes]) -> tuple[bytes, str]:
        octets = wrap(root, parts)
        assert old in octets
        return octets.replace(old, new, 1), TYPE.format(BOUNDARY)

    return run


def typed(content_type: str) -> Form:
    return lambda root, parts: (wrap(root, parts), content_type)


def with_parts(change: Callable[[dict[str, bytes]], dict[str, bytes]]) -> Form:
    return lambda root, parts: (wrap(root, change(parts)), TYPE.format(BOUNDARY))


def doubled(root: bytes, parts: dict[str, bytes]) -> tuple[bytes, str]:
    first, head, content, closing = wrap(root, parts).split(b"--" + BOUNDARY.encode())
    return (b"--" + BOUNDARY.encode()).join([first, head, content, content, closing]), TYPE.format(BOUNDARY)


#: What is done to a good package of one large document, and the rule that refuses it ("" where a limit does).
FORMS: dict[str, tuple[str, Form]] = {
    "the attachment swapped": ("SIG-019", with_parts(lambda parts: dict.fromkeys(parts, LARGE[:-1] + b"X"))),
    "the attachment emptied": ("SIG-019", with_parts(lambda parts: dict.fromkeys(parts, b""))),
    "an octet more": ("SIG-019", with_parts(lambda parts: {name: content + b"\0" for name, content in parts.items()})),
    "external href": ("WIRE-036", changed(b"cid:p0@peer", b"http://127.0.0.1/x")),
    "file href": ("WIRE-036", changed(b"cid:p0@peer", b"file:///etc/passwd")),
    "dangling cid": ("WIRE-041-missing", changed(b"cid:p0@peer", b"cid:zz@peer")),
    "duplicate Content-ID": ("WIRE-041-double", doubled),
    "an unreferenced part": ("SIG-035", with_parts(lambda parts: {**parts, "x@peer": b"abc"})),
    "truncated": ("WIRE-027", lambda root, parts: (wrap(root, parts)[:-20], TYPE.format(BOUNDARY))),
    "no boundary": ("WIRE-014-nowhere", typed('multipart/related; type="application/xop+xml"')),
    "another boundary": ("WIRE-015", typed(TYPE.format("other"))),
    "ten thousand parts": ("LIM-002", with_parts(lambda parts: {**parts, **{f"{n}@peer": b"" for n in range(10_000)}})),
    "a part header of a megabyte": ("LIM-002", changed(b"Content-ID: <p0", b"X-A: " + b"a" * 1_000_000 + b"\r\nContent-ID: <p0")),
    "two boundaries": ("WIRE-011-broken", typed(TYPE.format(BOUNDARY) + "; boundary=other")),
    "a boundary of 3000 characters": ("WIRE-013-illegal", typed(TYPE.format("A" * 3000))),
    "said to be base64": (
        "WIRE-037-bad",
        changed(b"Encoding: binary\r\nContent-ID: <p0", b"Encoding: base64\r\nContent-ID: <p0"),
    ),
    "the Include not alone": ("WIRE-036-place", changed(b'href="cid:p0@peer"/>', b'href="cid:p0@peer"/>text')),
}


@pytest.mark.parametrize("name", FORMS)
def test_the_form_is_refused(name: str, signed: Recorder, pki: Pki) -> None:
    rule, form = FORMS[name]
    answer = post(signed, *form(*package(pki, LARGE)))
    assert (answer.rule, signed.calls) == (rule, [])
    assert answer.status in (400, 413)


def test_two_documents_of_one_message_cannot_change_places(signed: Recorder, pki: Pki) -> None:
    root, parts = package(pki, SMALL, LARGE)
    first, second = parts
    assert post(signed, wrap(root, {first: parts[second], second: parts[first]})).rule == "SIG-019"
    assert signed.calls == []


def test_signed_in_the_optimised_form(signed: Recorder, pki: Pki) -> None:
    """CXF with expandXopInclude=false: the content is not authenticated; whoever verifies it as it comes believes anything."""
    envelope = signed_request(pki, include("p0@peer"))
    peer.verify(parse(etree.tostring(envelope)), pki.peer("alice").x509)  # the naive receiver: accepted, with any attachment
    assert post(signed, wrap(etree.tostring(envelope), {"p0@peer": LARGE})).rule == "SIG-019"
    assert signed.calls == []


def test_signed_over_wrapped_base64_and_sent_as_a_part(signed: Recorder, pki: Pki) -> None:
    wrapped = "\n".join(text(LARGE)[i : i + 76] for i in range(0, len(text(LARGE)), 76))
    assert post(signed, wrap(*peer.optimise(signed_request(pki, wrapped)))).rule == "SIG-019"


def test_no_part_is_taken_for_a_token_of_another_header(signed: Recorder, pki: Pki) -> None:
    root, parts = package(pki, SMALL, token=True)
    assert post(signed, wrap(root, {**parts, "p1@peer": pki.peer("xmallory").der})).rule == "PKI-001"


def test_the_tree_is_as_it_was_after_the_digest(signed: Recorder, pki: Pki) -> None:
    """What verification puts aside is back when the transaction reads it."""
    root, parts = package(pki, LARGE)
    assert post(signed, wrap(root, parts)).status == 200
    document = signed.calls[0].body.find(DOCUMENT)
    assert document is not None
    assert (document.text, [child.tag for child in document]) == (None, [f"{{{peer.XOP}}}Include"])


def test_a_message_that_finds_no_room_is_not_believed(pki: Pki, signed: Recorder) -> None:
    """Where a document could not be kept, nothing can be verified: what is answered then goes to nobody in particular."""

    class Full:
        def create(self) -> None:
            raise OSError(28, "No space left on device")

    endpoint = signed.endpoint
    object.__setattr__(endpoint._options, "staging", Full())
    answer = post(signed, wrap(*package(pki, os.urandom(200 * KB))))
    assert b"XDSRepositoryOutOfResources" in answer.body
    assert (answer.exchange.caller.signer_der, signed.calls) == (None, [])


def test_the_limits_hold_for_signed_messages_too(pki: Pki, signed: Recorder) -> None:
    object.__setattr__(signed.endpoint._options, "limits", Limits(part=50 * KB))
    assert "the limit is" in post(signed, wrap(*package(pki, LARGE))).reason
    assert part(signed_request(pki, text(SMALL)), "Signature") is not None
