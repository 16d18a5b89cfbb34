"""What a careless or hostile sender may send to the real server: a clear fault or error each, the server goes on, nothing is
stored, nothing is opened or fetched because a message says so.
"""

# ruff: noqa: E501 - a case is read as a row

from __future__ import annotations

import gzip
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from metadata.fragments import build_submit_objects_request
from server.description import build_submission, new_oid
from tests.repository.submissions import describe
from tests.server_process import ServerProcess
from tests.soap.messages import ITI_18, ITI_42, MESSAGE_ID, QUERY, RETRIEVE, SUBMIT, Sent, envelope, mtom, package, plain, provide
from tests.soap.raw_http import ask, kept, request

PATIENT = "st3498702"


@dataclass(slots=True)
class Trap:
    """A port and a FIFO that nobody may touch: opening the FIFO would hang the server, the port counts its callers."""

    url: str
    fifo: Path
    listener: socket.socket

    def callers(self) -> int:
        self.listener.setblocking(False)
        try:
            self.listener.accept()
        except BlockingIOError:
            return 0
        return 1


@pytest.fixture(scope="module")
def trap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trap]:
    fifo = tmp_path_factory.mktemp("trap") / "secret"
    os.mkfifo(fifo)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield Trap(f"http://127.0.0.1:{listener.getsockname()[1]}/x", fifo, listener)


def submission(unique_id: str = "", title: str = "Compte rendu", mime_type: str = "text/plain") -> str:
    described = describe(unique_id or new_oid(), title, mime_type)
    return build_submit_objects_request(build_submission([described], source_id="1.2.3.4.5")).decode()


def query(value: str) -> Sent:
    return plain(QUERY.replace("'st3498702^^^&amp;1.3.6.1.4.1.21367.2005.3.7&amp;ISO'", value))


def doctype(sent: Sent, subset: str) -> Sent:
    return Sent(sent.path, sent.content_type, f"<!DOCTYPE s {subset}>".encode() + sent.body.replace(b"st3498702", b"&e;"))


#: Name, request, outcome (a rule, a fault code, Failure or Success), HTTP status. {url} and {file} are the trap.
BAD: list[tuple[str, Sent, str, int]] = [
    ("malformed XML", plain().swap(b"</s:Body>", b""), "XML-001", 400),
    ("not XML", Sent("/xds/registry", "application/soap+xml", b"hello"), "XML-001", 400),
    ("empty", Sent("/xds/registry", "application/soap+xml", b""), "XML-002", 400),
    ("NUL", plain().swap(b"st3498702", b"st\x00"), "XML-001", 400),
    ("DOCTYPE", doctype(plain(), ""), "WIRE-050", 400),
    ("internal entity", doctype(plain(), '[<!ENTITY e "x">]'), "WIRE-050", 400),
    ("external entity, file", doctype(plain(), '[<!ENTITY e SYSTEM "file://{file}">]'), "WIRE-050", 400),
    ("external entity, http", doctype(plain(), '[<!ENTITY e SYSTEM "{url}">]'), "WIRE-050", 400),
    ("external DTD", doctype(plain(), 'SYSTEM "{url}"'), "WIRE-050", 400),
    ("parameter entity", doctype(plain(), '[<!ENTITY % p SYSTEM "{url}"> %p;]'), "WIRE-050", 400),
    ("many laughs", doctype(plain(), '[<!ENTITY a "aaaaaaaa"><!ENTITY e "&a;&a;&a;&a;">]'), "WIRE-050", 400),
    ("stylesheet", Sent("/xds/registry", plain().content_type, b'<?xml-stylesheet href="{url}"?>' + plain().body), "WIRE-050", 400),
    ("XInclude", plain(more='<i:include xmlns:i="http://www.w3.org/2001/XInclude" href="{file}"/>'), "WIRE-050", 400),
    ("DOCTYPE in UTF-16", Sent("/xds/registry", "application/soap+xml", doctype(plain(), "").body.decode().encode("utf-16")), "WIRE-050", 400),
    ("unknown action", plain(action="urn:ihe:iti:2007:Nothing"), "WSA-ACTION", 400),
    ("action of another actor", plain().on("/xds/repository"), "WSA-ACTION", 400),
    ("body of another action", plain(SUBMIT, ITI_18), "SOAP-BODY", 400),
    ("body in no namespace", plain("<AdhocQueryRequest/>"), "SOAP-BODY", 400),
    ("no body element", plain(""), "SOAP-ENVELOPE", 400),
    ("two body elements", plain(QUERY + QUERY), "SOAP-ENVELOPE", 400),
    ("no such path", plain().on("/xds/nothing"), "SRV-006", 404),
    ("schema", plain(QUERY.replace("returnType", "returntype")), "Failure", 200),
    ("schema of a submission", plain(SUBMIT.replace("RegistryObjectList", "ObjectList"), ITI_42), "Failure", 200),
    ("empty submission", mtom(), "Failure", 200),
    ("document without entry", mtom(provide(submit=submission()).replace('id="Document01"', 'id="Other"')), "Failure", 200),
    ("dangling cid", mtom(provide(submit=submission()), document=None), "WIRE-041-missing", 400),
    ("href to http", mtom(provide(submit=submission()).replace("cid:doc@x", "{url}")), "WIRE-036", 400),
    ("href to a file", mtom(provide(submit=submission()).replace("cid:doc@x", "file://{file}")), "WIRE-036", 400),
    ("boundary nowhere", mtom().typed('boundary="MIMEBoundary_1"; ', ""), "WIRE-014-nowhere", 400),
    ("another boundary", mtom().typed("MIMEBoundary_1", "x"), "WIRE-015", 400),
    ("nested package", mtom().swap(b"Content-Type: text/plain", b"Content-Type: multipart/mixed; boundary=y"), "Failure", 200),
    ("charset unknown", plain().typed("UTF-8", "x-none"), "WIRE-048-two", 400),
    ("charset wrong", plain().typed("UTF-8", "utf-16"), "WIRE-048-two", 400),
    ("not UTF-8", plain().swap(b"st3498702", b"\xe9"), "XML-001", 400),
    ("gzip bomb", Sent("/xds/registry", "application/soap+xml", gzip.compress(b' ' * 20_000_000, 1), {"Content-Encoding": "gzip"}), "WIRE-004-bomb", 400),
    ("gzip in gzip", Sent("/xds/registry", "application/soap+xml", gzip.compress(gzip.compress(plain().body)), {"Content-Encoding": "gzip"}), "XML-001", 400),
    ("depth", plain(more="<a>" * 200 + "</a>" * 200), "XML-008", 400),
    ("attributes", plain(more="<a " + " ".join(f'a{n}=""' for n in range(500)) + "/>"), "XML-010", 400),
    ("long envelope", plain(more=f"<a>{'x' * 3_000_000}</a>"), "LIM-001", 413),
    ("many parts", mtom().swap(b"--MIMEBoundary_1--", b"--MIMEBoundary_1\r\n\r\n\r\n" * 2000 + b"--MIMEBoundary_1--"), "LIM-002", 400),
    ("long part header", mtom().swap(b"Content-ID: <doc@x>", b"X: " + b"y" * 100_000 + b"\r\nContent-ID: <doc@x>"), "LIM-002", 400),
    ("many header fields", mtom().swap(b"Content-ID: <doc@x>", b"".join(b"X-%d: y\r\n" % n for n in range(100)) + b"Content-ID: <doc@x>"), "LIM-002", 400),
    ("path-like uniqueId", package(envelope(RETRIEVE.replace("1.2.3.4", "../../../../etc/passwd"), "urn:ihe:iti:2007:RetrieveDocumentSet"), None), "Failure", 200),
    ("quotes", query("'a''b^^^&amp;1.2.3&amp;ISO'' OR 1=1 --'"), "Failure", 200),
    ("open quote", query("'a^^^&amp;1.2.3&amp;ISO"), "Failure", 200),
    ("statement", query("'a^^^&amp;1.2.3&amp;ISO'); DROP TABLE document_entry; --"), "Failure", 200),
    ("wildcard where none is allowed", query("'%^^^&amp;1.3.6.1.4.1.21367.2005.3.7&amp;ISO'"), "Success", 200),
    ("reply to elsewhere", plain(more="<wsa:ReplyTo><wsa:Address>{url}</wsa:Address></wsa:ReplyTo>"), "WIRE-058", 400),
    ("schemaLocation", plain(QUERY.replace("<query:AdhocQueryRequest ", '<query:AdhocQueryRequest xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:schemaLocation="urn:x {url}" ')), "Success", 200),
    ("reserved attribute", mtom(provide(submit=submission(), attributes=' xmlns:k="urn:carnet:inline" k:part="0"')), "Failure", 200),
    ("JSON", Sent("/xds/registry", "application/json", b"{}"), "WIRE-022-type", 415),
    ("form", Sent("/xds/registry", "application/x-www-form-urlencoded", b"a=b"), "WIRE-022-type", 415),
    ("content type not readable", Sent("/xds/registry", "text", b"x"), "WIRE-011-broken", 400),
]  # fmt: skip


@pytest.mark.parametrize(("name", "sent", "outcome", "status"), BAD, ids=[row[0] for row in BAD])
def test_bad_input(name: str, sent: Sent, outcome: str, status: int, server: ServerProcess, trap: Trap) -> None:
    body = sent.body.replace(b"{url}", trap.url.encode()).replace(b"{file}", str(trap.fifo).encode())
    headers = {key: value for key, value in sent.environ.items() if value is not None}
    before = kept(server.data)
    answer = ask(server.url, request(sent.path, sent.content_type, body, **headers))
    assert (answer.status, answer.outcome.removeprefix("s:")) == (status, outcome.removeprefix("s:")), answer.text
    assert kept(server.data) == before
    assert trap.callers() == 0
    if answer.outcome == "Failure":
        assert answer.envelope.xpath("//*[local-name()='RegistryError'][@errorCode and string-length(@codeContext) > 20]")
    elif answer.outcome != "Success":
        assert len(answer.envelope.xpath("string(//*[local-name()='Text'][1])")) > 20
    again = ask(server.url, request(plain().path, plain().content_type, plain().body))
    assert again.outcome == "Success"
    assert MESSAGE_ID in again.text


def test_path_like_ids_name_no_file(server: ServerProcess) -> None:
    """uniqueId is opaque (ITI TF-3: 4.2.3.2.26) and Content-ID too: both are taken as they are and become no path."""
    unique_id = f"../../../../../../tmp/{new_oid()}"
    body = provide(submit=submission(unique_id)).replace("cid:doc@x", "cid:../../../../tmp/carnet-evil")
    sent = mtom(body, document=bytes(100_000)).swap(b"<doc@x>", b"<../../../../tmp/carnet-evil>")
    before = kept(server.data)
    assert ask(server.url, request(sent.path, sent.content_type, sent.body)).outcome == "Success"
    after = kept(server.data)
    assert (after["files"], after["staged"]) == (before["files"] + 1, before["staged"])
    assert not Path("/tmp/carnet-evil").exists() and not Path("/tmp", unique_id.rpartition("/")[2]).exists()
    names = {path.name for path in (server.data / "blobs").rglob("*") if path.is_file()}
    assert all(len(name) == 64 and not set(name) - set("0123456789abcdef") for name in names)


def test_it_is_still_one_and_the_same_server(server: ServerProcess) -> None:
    """No worker died on the way, and the log holds no traceback."""
    assert server.alive
    assert "Traceback" not in server.log()
