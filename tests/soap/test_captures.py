"""Every capture of a real client, its framing untouched, around a valid body: to the real server, to the endpoint for notes.

The captures are no part of the project; the table of outcomes is, and stands in docs/wire.md.
"""

from __future__ import annotations

import gzip
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from metadata.fragments import build_submit_objects_request
from server.description import build_submission, new_oid
from tests.repository.submissions import describe
from tests.server_process import ServerProcess
from tests.soap.messages import ITI_18, ITI_41, QUERY, Recorder, Sent
from tests.soap.raw_http import ask, chunked, dechunked, kept

#: Capture: what is sent in its frame, outcome, and the rows that are noted.
OUTCOMES: dict[str, tuple[str, str, set[str]]] = {
    "gsoap-2.8.124-mtom": ("ITI-41", "Success", {"WIRE-053"}),
    "gsoap-2.8.124-mtom-chunked": ("ITI-41", "Success", {"WIRE-053"}),
    "metro-2.3.0.2-mtom": ("ITI-41", "Success", set()),
    "metro-2.3.0.2-mtom-chunked-truncated": ("ITI-41", "WIRE-027", set()),
    "mono-6.8-wcf-mtom": ("ITI-41", "Success", {"WIRE-014", "WIRE-020"}),
    "node-soap-1.13-forceMTOM": ("ITI-41", "Success", {"WIRE-017", "WIRE-055-absent"}),
    "node-soap-1.13-mtom-attachment": ("ITI-41", "Success", {"WIRE-017", "WIRE-055-absent"}),
    "node-soap-1.13-soap12": ("ITI-18", "Success", {"WIRE-055-absent"}),
    "php-8.2-soapclient": ("ITI-18", "Success", {"WIRE-053"}),
    "php-8.2-soapclient-gzip": ("ITI-18", "Success", {"WIRE-053"}),
    "strong-soap-5.0.10": ("ITI-18", "Success", {"WIRE-053"}),
    "suds-1.2.0": ("ITI-18", "WIRE-023", set()),
    "zeep-4.3.3-soap12": ("ITI-18", "Success", {"WIRE-053"}),
}
_BODY = re.compile(rb"(<[\w-]+:Body>\s*)(.*?)(\s*</[\w-]+:Body>)", re.DOTALL)
_DOCUMENT = re.compile(rb"<([\w]+:)?Document>(.*)</([\w]+:)?Document>", re.DOTALL)
_OURS = {b"host", b"content-length"}


@dataclass(frozen=True, slots=True)
class Framed:
    """A capture with another body: the request line and headers as captured, the body in the captured transfer coding."""

    head: list[bytes]
    content: bytes
    wire: bytes

    def octets(self, path: str) -> bytes:
        lines = [b"POST " + path.encode() + b" HTTP/1.1", *self.head]
        return b"\r\n".join(lines) + b"\r\n\r\n" + self.wire

    def sent(self, path: str) -> Sent:
        """The same for the endpoint, without a server between."""
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in self.head)}
        environ: dict[str, str | None] = {
            "HTTP_" + name.decode().upper().replace("-", "_"): value.decode("latin-1")
            for name, value in headers.items()
            if name not in (b"content-type", b"content-length")
        }
        environ["CONTENT_LENGTH"] = headers[b"content-length"].decode() if b"content-length" in headers else None
        return Sent(path, headers[b"content-type"].decode("latin-1"), self.content, environ)


def frame(capture: bytes, transaction: str) -> Framed:
    head, _, wire = capture.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")[1:]
    names = {line.partition(b":")[0].strip().lower(): line.partition(b":")[2].strip() for line in lines}
    is_chunked = names.get(b"transfer-encoding") == b"chunked"
    content, complete = dechunked(wire) if is_chunked else (wire, True)
    packed = names.get(b"content-encoding") == b"gzip"
    plain = gzip.decompress(content) if packed else content
    plain = _BODY.sub(lambda match: match[1] + _body(match[2], transaction) + match[3], plain, count=1)
    if transaction == "ITI-18":
        plain = plain.replace(ITI_41.encode(), ITI_18.encode())
        lines = [line.replace(ITI_41.encode(), ITI_18.encode()) for line in lines]
    content = gzip.compress(plain) if packed else plain
    wire = chunked(content) if is_chunked else content
    if not complete:
        wire = wire.removesuffix(b"0\r\n\r\n")
    kept_lines = [line for line in lines if line.partition(b":")[0].strip().lower() not in _OURS]
    kept_lines.append(b"Host: xds.example.org")
    if not is_chunked:
        kept_lines.append(b"Content-Length: %d" % len(content))
    return Framed(kept_lines, content, wire)


def _body(captured: bytes, transaction: str) -> bytes:
    """The valid body that takes the captured one's place; how the document is referred to stays as captured."""
    if transaction == "ITI-18":
        return QUERY.encode()
    document = _DOCUMENT.search(captured)
    assert document
    submission = build_submission([describe(new_oid(), mime_type="text/xml")], source_id="1.2.3.4.5")
    return (
        b'<xds:ProvideAndRegisterDocumentSetRequest xmlns:xds="urn:ihe:iti:xds-b:2007">'
        + build_submit_objects_request(submission)
        + b'<xds:Document id="Document01">'
        + document[2]
        + b"</xds:Document></xds:ProvideAndRegisterDocumentSetRequest>"
    )


def captured(shared: Path, name: str) -> bytes:
    return (shared / "data" / "captures" / f"{name}.http").read_bytes()


def test_every_capture_has_an_outcome(shared: Path) -> None:
    assert {path.stem for path in (shared / "data" / "captures").glob("*.http")} == set(OUTCOMES)


@pytest.mark.parametrize("name", OUTCOMES)
def test_outcome(name: str, shared: Path, server: ServerProcess) -> None:
    """Over TCP, to the server as it is started."""
    transaction, outcome, _ = OUTCOMES[name]
    path = "/xds/registry" if transaction == "ITI-18" else "/xds/repository"
    before = kept(server.data)
    answer = ask(server.url, frame(captured(shared, name), transaction).octets(path), close_after=outcome == "WIRE-027")
    assert answer.outcome == outcome, answer.text
    after = kept(server.data)
    if transaction == "ITI-41" and outcome == "Success":
        assert after["document_entry"] == before["document_entry"] + 1
        assert after["staged"] == before["staged"]
    else:
        assert after == before


@pytest.mark.parametrize("name", OUTCOMES)
def test_notes(name: str, shared: Path, recorder: Recorder) -> None:
    """The same octets to the endpoint alone: which rows are met, and that the document is what the client had sent."""
    transaction, outcome, notes = OUTCOMES[name]
    recorder.mime_type = ""
    framed = frame(captured(shared, name), transaction)
    got = recorder.post(framed.sent("/xds/registry" if transaction == "ITI-18" else "/xds/repository"))
    if outcome != "Success":
        assert got.rule == outcome
        return
    assert (got.status, got.notes) == (200, notes), got.reason
    if transaction == "ITI-41":
        (document,) = recorder.documents[0].values()
        (element,) = recorder.calls[0].body.iterfind("{urn:ihe:iti:xds-b:2007}Document")
        if len(element):
            assert b"\r\n\r\n" + document + b"\r\n--" in framed.content
        else:
            assert document == b"hello"
