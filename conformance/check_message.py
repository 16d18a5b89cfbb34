"""A SOAP message, judged level by level: HTTP, MIME package, envelope, addressing, security header, body.

Each level is read by the code that serves requests, with the lenient profile of the wire. What that code refuses is a finding,
and the next level is looked at all the same, as far as something of it can be found.
"""

from __future__ import annotations

import difflib
import io
import re
from collections.abc import Callable

from lxml import etree

from conformance.check_body import TRANSACTIONS, check_body
from conformance.check_capture import Capture
from conformance.check_lint import LIMITS, Lint
from conformance.check_parts import INCLUDE, STAGING, Transport, documents_of
from conformance.check_places import NOWHERE, Passage, Place, Tree
from conformance.check_result import Level
from conformance.check_saml import ASSERTION, check_assertion
from metadata.vocabulary import TRANSACTION_BY_ACTION, Transaction
from schemas.namespaces import SOAP12, WSA, WSA_2004, q
from soap.addressing import BODY, Address, choose, read_addressing
from soap.call import Note
from soap.envelope import Envelope, check_headers, open_envelope, put_back_in_headers
from soap.fault import Fault
from soap.mime import Fields, parse_content_type
from soap.mtom import SOAP_TYPE, XOP_TYPE, Parts, read_package
from soap.receive import Body
from soap.root import RootSink
from soap.staging import Part

_ENVELOPE = rb"<(?:[\w.-]+:)?Envelope[\s>]"
_ENVELOPE_END = re.compile(rb"</(?:[\w.-]+:)?Envelope\s*>")
_ACTION, _RELATES = q(WSA, "Action"), q(WSA, "RelatesTo")
#: Rows about the Content-Type of HTTP, of a part, about other headers of HTTP.
_ON_TYPE = tuple(f"WIRE-0{number}" for number in (11, 12, 13, 14, 15, 17, 18, 19, 22, 43))
_MTOM_ONLY = {Transaction.ITI_41: "WIRE-043", Transaction.ITI_43: "WIRE-043-retrieve"}
_UNDERSTOOD: frozenset[str] = frozenset()


class _Kept(RootSink):
    """Keeps the octets of the root part as they come."""

    def __init__(self, lint: Lint, notes: list[Note], staged: list[Part]) -> None:
        super().__init__(LIMITS, lint.wire, notes, STAGING, staged)
        self._pieces: list[bytes] = []

    def write(self, chunk: bytes | memoryview) -> None:
        self._pieces.append(bytes(chunk))
        self.size += len(chunk)

    @property
    def octets(self) -> bytes:
        return b"".join(self._pieces)


def check_http(lint: Lint, capture: Capture) -> None:
    """A capture of a request or a response."""
    _check_head(lint, capture)
    transport = Transport(capture, capture.body)
    root = _unpack(lint, transport)
    if root is not None:
        check_envelope(lint, root, transport)
    for part in transport.staged:
        part.remove()


def check_package(lint: Lint, package: Passage, content_type: str) -> None:
    """A MIME package that was saved without its HTTP header; `content_type` is that of the file's own first lines, or empty."""
    transport = Transport(None, package)
    text = package.text.lstrip(b"\r\n")
    first = text.split(b"\n", 1)[0].strip()
    if not content_type:
        boundary = first[2:].decode("latin-1")
        content_type = f'multipart/related; boundary="{boundary}"; type="{XOP_TYPE}"; start-info="{SOAP_TYPE}"'
    root = _read_parts(lint, transport, content_type, lambda id: id not in ("WIRE-019", "WIRE-014"))
    if root is not None:
        check_envelope(lint, root, transport)
    for part in transport.staged:
        part.remove()


# ------------------------------------------------------------------------------------------------------------------ HTTP


def _check_head(lint: Lint, capture: Capture) -> None:
    for name, offset in capture.twice:
        if name in ("content-length", "content-type"):
            rule = "WIRE-002-two" if name == "content-length" else "WIRE-011-broken"
            lint.fault(lint.wire.refuse(rule, f"the header {name} is sent twice"), lint.source.place(offset))
    if "content-length" in capture.fields and "transfer-encoding" in capture.fields:
        lint.fault(lint.wire.refuse("WIRE-002-two", "Content-Length beside Transfer-Encoding"), capture.place("content-length"))
    coding = capture.value("content-encoding").lower()
    if coding in ("gzip", "x-gzip", "deflate"):
        lint.wire.meet("WIRE-004", lint.notes, coding)
        lint.tell(lambda id, detail: capture.place("content-encoding"))
    elif coding not in ("", "identity"):
        lint.fault(lint.wire.refuse("WIRE-004-coding", f"'{coding[:40]}'"), capture.place("content-encoding"))
    if capture.damaged:
        lint.fault(lint.wire.refuse("WIRE-004-bomb", capture.damaged), capture.place("content-encoding"))
    if capture.short:
        lint.fault(lint.wire.refuse("WIRE-027", capture.short), lint.source.place(len(lint.source.data)))
    if capture.method and capture.method != "POST":
        lint.add("HTTP-001", Level.ERROR, f"the request is a {capture.method}", (1, 1), remedy="Send SOAP by POST.",
                 section="SOAP 1.2 Part 2: 7")  # fmt: skip


def _unpack(lint: Lint, transport: Transport) -> Passage | None:
    """The envelope's passage, with the parts of the package in `transport`."""
    capture = transport.capture
    assert capture is not None and capture.body is not None
    if not capture.body.text.strip() and (capture.method not in ("", "POST") or capture.damaged):
        return None
    stated = capture.value("content-type")
    try:
        if not stated:
            raise lint.wire.refuse("WIRE-022-type", "there is no Content-Type")
        media, parameters = parse_content_type(stated, lint.wire)
        if media == XOP_TYPE:
            raise lint.wire.refuse("WIRE-022")
        if media not in ("multipart/related", SOAP_TYPE, "text/xml"):
            raise lint.wire.refuse("WIRE-022-type", f"'{media[:80]}'")
    except Fault as fault:
        lint.fault(fault, capture.place("content-type"))
        return _found_envelope(capture.body)
    if media == "multipart/related":
        return _read_parts(lint, transport, stated, lambda id: True)
    if not capture.body.text.strip():
        lint.add(
            "XML-002", Level.ERROR, "the body is empty", capture.place(""), remedy="Send a SOAP envelope.", section="XML 1.0: 2.1"
        )
        return None
    transport.charset, transport.announced = parameters.get("charset"), (media,)
    transport.parts = Parts()
    _actions(transport, parameters, "")
    return capture.body


def _actions(transport: Transport, parameters: Fields, inner: str) -> None:
    capture = transport.capture
    stated = [parameters.get("action", ""), capture.value("soapaction").strip('"') if capture else "", inner]
    transport.http_actions = tuple(action for action in stated if action)


def _read_parts(lint: Lint, transport: Transport, content_type: str, counts: Callable[[str], bool]) -> Passage | None:
    """The root part, by the reader that serves requests. What it refuses is a finding, and the envelope is looked for."""
    package = transport.package
    assert package is not None
    notes: list[Note] = []
    environ = {"wsgi.input": io.BytesIO(package.text), "CONTENT_LENGTH": str(len(package.text))}
    place = _of_package(lint, transport)
    try:
        _, parameters = parse_content_type(content_type, lint.wire)
        sink = _Kept(lint, notes, transport.staged)
        body = Body(environ, lint.wire, LIMITS, notes)
        read = read_package(body, parameters, sink, STAGING, lint.wire, LIMITS, notes, transport.staged)
    except Fault as fault:
        lint.notes += [note for note in notes if counts(note.id)]
        lint.tell(place, package.name)
        if fault.rule != "WIRE-027" or not (transport.capture and transport.capture.short):
            lint.fault(fault, place(fault.rule, fault.reason), package.name)
        return _found_envelope(package)
    lint.notes += [note for note in notes if counts(note.id)]
    lint.tell(place, package.name)
    transport.parts, transport.charset, transport.announced, transport.mtom = read.parts, read.root_charset, read.announced, True
    _actions(transport, parameters, read.action)
    octets = sink.octets
    start = package.text.find(octets)
    if start < 0:
        return Passage(lint.source, octets, (), "root part, decoded")
    return package.part(start, len(octets))


def _found_envelope(text: Passage) -> Passage | None:
    """The envelope in a text that could not be taken apart, from its first tag to its last."""
    start = text.find(_ENVELOPE)
    if start < 0:
        return None
    ends = [match.end() for match in _ENVELOPE_END.finditer(text.text, start)]
    return text.part(start, (ends[-1] if ends else len(text.text)) - start)


def _of_package(lint: Lint, transport: Transport) -> Callable[[str, str], Place]:
    """Where a row about the package stands: the HTTP header, a header line of a part, the first boundary, the end."""
    capture, package = transport.capture, transport.package
    assert package is not None

    def line(pattern: bytes) -> Place:
        offset = package.find(pattern)
        return package.place(offset) if offset >= 0 else package.place(0)

    def place(id: str, detail: str) -> Place:
        if id == "WIRE-027":
            return lint.source.place(len(lint.source.data))
        if id == "WIRE-020":
            return line(rb"^Content-Type:[^\r\n]*")
        if id.startswith("WIRE-035"):
            named = re.search(r"'(.*)'", detail)
            return line(rb"^Content-ID:[^\r\n]*" + (re.escape(named[1].split("\\")[0].encode()) if named else b""))
        if id.startswith("WIRE-037"):
            return line(rb"^Content-Transfer-Encoding:(?![ \t]*(?:binary|8bit))")
        if id.startswith("WIRE-028"):
            return line(rb"^--[^\n]*(?<!\r)\n")
        if id == "WIRE-019" and "names no part" not in detail and capture is None:
            return package.place(0)
        if id.startswith(_ON_TYPE) and capture is not None:
            return capture.place("content-type")
        return package.place(0)

    return place


# -------------------------------------------------------------------------------------------------------------- envelope


def check_envelope(lint: Lint, passage: Passage, transport: Transport) -> None:
    """An envelope and all that is in it."""
    tree = lint.parse(passage, transport.charset)
    if tree is None:
        return
    envelope = _open(lint, tree, transport)
    if envelope is None:
        return
    _check_headers(lint, tree, envelope, transport)
    action = _addressing(lint, tree, envelope)
    response = not _is_request(envelope.body, action)
    transaction = None
    if response:
        _check_relation(lint, tree, envelope, action)
    else:
        transaction = _transaction(lint, tree, envelope, action, transport)
    for assertion in [a for header in envelope.headers for a in header.iter(ASSERTION)]:
        check_assertion(lint, tree, assertion)
    documents = documents_of(lint, tree, envelope.body, transport)
    check_body(lint, tree, envelope.body, transaction, documents)


def _open(lint: Lint, tree: Tree, transport: Transport) -> Envelope | None:
    root = tree.root
    envelope: Envelope | None
    try:
        envelope = open_envelope(root, lint.wire, lint.notes)
    except Fault as fault:
        lint.notes.clear()
        lint.fault(fault, tree.place(root), tree.part)
        envelope = _guessed(root)
    lint.tell(lambda id, detail: tree.place(root), tree.part)
    if envelope is not None and "text/xml" in transport.announced and root.tag == q(SOAP12, "Envelope"):
        lint.wire.meet("WIRE-017", lint.notes)
        lint.tell(lambda id, detail: transport.capture.place("content-type") if transport.capture else NOWHERE)
    return envelope


def _guessed(root: etree._Element) -> Envelope | None:
    """Header blocks and first body element of something that is nearly an envelope."""
    bodies = [e for e in root.iter() if isinstance(e.tag, str) and etree.QName(e).localname == "Body"]
    children = [e for body in bodies for e in body if isinstance(e.tag, str)]
    blocks = [e for e in root if isinstance(e.tag, str) and etree.QName(e).localname == "Header"]
    headers = [e for block in blocks for e in block if isinstance(e.tag, str)]
    return Envelope(root, children[0], headers) if children else None


def _check_headers(lint: Lint, tree: Tree, envelope: Envelope, transport: Transport) -> None:
    try:
        check_headers(envelope, _UNDERSTOOD, lint.wire)
    except Fault as fault:
        unknown = [h for h in envelope.headers if h.tag in fault.not_understood] or [envelope.root]
        for header in unknown:
            lint.fault(fault, tree.place(header), tree.part)
    if transport.parts is None:
        return
    try:
        put_back_in_headers(envelope, transport.parts, lint.wire, lint.notes)
    except Fault as fault:
        include = next((i for h in envelope.headers for i in h.iter(INCLUDE)), None)
        lint.fault(fault, tree.place(include), tree.part)
    lint.tell(lambda id, detail: tree.place(next(iter(envelope.headers), envelope.root)), tree.part)


def _addressing(lint: Lint, tree: Tree, envelope: Envelope) -> str:
    """wsa:Action, as far as there is one."""
    headers = envelope.headers
    action = next((h for h in headers if h.tag == _ACTION), None)

    def place(id: str, detail: str) -> Place:
        if id == "WIRE-058":
            named = q(WSA, detail.split(" ")[0])
            return tree.place(next((h for h in headers if h.tag == named), None))
        return tree.place(action)

    try:
        found = read_addressing(headers, lint.wire, lint.notes).action
    except Fault as fault:
        old = next((h for h in headers if str(h.tag).startswith(f"{{{WSA_2004}}}")), None)
        twice = [h for h in headers if str(h.tag).startswith(f"{{{WSA}}}") and sum(o.tag == h.tag for o in headers) > 1]
        lint.fault(fault, tree.place(old if fault.rule == "WIRE-056" else twice[-1] if twice else None), tree.part)
        found = (action.text or "").strip() if action is not None else ""
    lint.tell(place, tree.part)
    return found


def _is_request(body: etree._Element, action: str) -> bool:
    if body.tag in TRANSACTIONS or action in TRANSACTION_BY_ACTION:
        return True
    local = etree.QName(body).localname
    return not local.endswith("Response") and local != "Fault" and not local.startswith(("MCCI", "PRPA"))


def _check_relation(lint: Lint, tree: Tree, envelope: Envelope, action: str) -> None:
    if envelope.headers and not any(h.tag == _RELATES for h in envelope.headers):
        header = next(iter(envelope.headers))
        lint.add("ANS-003", Level.TOLERATED, "the answer has no wsa:RelatesTo", tree.place(header), part=tree.part,
                 remedy="Repeat the MessageID of the request in wsa:RelatesTo.", section="WS-Addressing 1.0: 3.2")  # fmt: skip
    lint.checked.says.append(f"answer with the action {action}" if action else "answer without wsa:Action")


def _transaction(lint: Lint, tree: Tree, envelope: Envelope, action: str, transport: Transport) -> Transaction | None:
    path = transport.capture.target.partition("?")[0].rstrip("/") if transport.capture else ""
    own = next((t for t in Transaction if path and path.endswith(t.path)), None)
    address = Address(path or "this address", frozenset(BODY), own)
    header = next((h for h in envelope.headers if h.tag == _ACTION), None)
    spot = header if header is not None else _header_or_envelope(envelope)
    stated = transport.http_actions
    http_action = next((one for one in stated if one != action), next(iter(stated), ""))
    transaction: Transaction | None = None
    try:
        transaction = choose(address, action, envelope.body, http_action, lint.wire, lint.notes)
    except Fault as fault:
        near = difflib.get_close_matches(action, TRANSACTION_BY_ACTION, n=1) if fault.rule == "WSA-ACTION" else []
        if near:
            fault.remedy = f"Write {near[0]}."
        lint.fault(fault, tree.place(envelope.body if fault.rule == "SOAP-BODY" else spot), tree.part)
        transaction = TRANSACTION_BY_ACTION.get(action) or TRANSACTIONS.get(str(envelope.body.tag))
        if transaction is not None and action in TRANSACTION_BY_ACTION and envelope.body.tag in TRANSACTIONS:
            transaction = TRANSACTIONS[str(envelope.body.tag)]
    lint.tell(lambda id, detail: tree.place(spot), tree.part)
    if transaction in _MTOM_ONLY and transport.capture is not None and not transport.mtom and transport.parts is not None:
        lint.wire.meet(_MTOM_ONLY[transaction], lint.notes)
        lint.tell(lambda id, detail: transport.capture.place("content-type") if transport.capture else NOWHERE)
    return transaction


def _header_or_envelope(envelope: Envelope) -> etree._Element:
    children = [e for e in envelope.root if isinstance(e.tag, str)]
    return next((e for e in children if etree.QName(e).localname == "Header"), envelope.root)
