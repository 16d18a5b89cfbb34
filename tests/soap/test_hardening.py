"""The acceptance list of docs/security.md on the wire, as far as no other file holds it: cut uploads, hostile ids, metadata that
only the registry may set, addresses that a message names, floods of MIME parts, and what the log says of all of it.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape

import pytest

from metadata.fragments import build_submit_objects_request
from server.description import build_submission, new_oid
from tests.repository.submissions import describe
from tests.server_process import ServerProcess
from tests.soap.messages import ITI_18, ITI_41, PACKAGE_TYPE, PART_HEAD, ROOT_HEAD, Sent, envelope, mtom, plain, provide
from tests.soap.raw_http import Answer, ask, kept, request

#: Stands in every field that a message has; never in a log.
CANARY = "CANARI7f3a"
GET_DOCUMENTS = "urn:uuid:5c4f972b-d56b-40ac-a5fc-c8ca9b40b9d4"


def submission(unique_id: str = "", **changes: object) -> str:
    described = describe(unique_id or new_oid(), str(changes.pop("title", "Compte rendu")))
    return build_submit_objects_request(build_submission([described], source_id="1.2.3.4.5")).decode()


def send(server: ServerProcess, sent: Sent) -> Answer:
    return ask(server.url, request(sent.path, sent.content_type, sent.body))


def found(server: ServerProcess, unique_id: str) -> Answer:
    """ITI-18 GetDocuments."""
    slot = f"<Slot name=\"$XDSDocumentEntryUniqueId\"><ValueList><Value>('{unique_id}')</Value></ValueList></Slot>"
    body = (
        '<q:AdhocQueryRequest xmlns:q="urn:oasis:names:tc:ebxml-regrep:xsd:query:3.0" '
        'xmlns="urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0"><q:ResponseOption returnType="LeafClass"/>'
        f'<AdhocQuery id="{GET_DOCUMENTS}">{slot}</AdhocQuery></q:AdhocQueryRequest>'
    )
    return send(server, plain(body))


# ------------------------------------------------------------------------------------------------------ uploads that end early


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_an_upload_cut_at_every_hundredth_leaves_nothing(server: ServerProcess, framing: str, long: bool) -> None:
    unique_id = new_oid()
    sent = mtom(provide(submit=submission(unique_id)), document=bytes(range(256)) * 400)
    whole = request(sent.path, sent.content_type, sent.body)
    if framing == "chunked":
        head = whole.partition(b"\r\n\r\n")[0]
        head = re.sub(rb"\r\nContent-Length: \d+", b"\r\nTransfer-Encoding: chunked", head)
        assert b"chunked" in head
        pieces = [sent.body[n : n + 4096] for n in range(0, len(sent.body), 4096)]
        whole = head + b"\r\n\r\n" + b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"
    start = whole.index(b"\r\n\r\n") + 4
    before = kept(server.data)
    for percent in range(0, 100, 1 if long else 4):
        answer = ask(server.url, whole[: start + (len(whole) - start - 1) * percent // 100], close_after=True)
        assert answer.status != 200, f"cut at {percent} %"
    assert kept(server.data) == before
    assert "ExtrinsicObject" not in found(server, unique_id).text
    assert ask(server.url, whole).outcome == "Success", "whole it is taken"


# --------------------------------------------------------------------------------------------------------------------- MIME


def many_parts(count: int) -> bytes:
    part = b"--MIMEBoundary_1\r\n" + PART_HEAD
    return b"".join(part.replace(b"<doc@x>", b"<d%d@x>" % n) + b"x\r\n" for n in range(count))


FLOODS = {
    "10 000 parts": many_parts(10_000),
    "header of a megabyte": b"--MIMEBoundary_1\r\nX-Long: " + b"a" * 1_000_000 + b"\r\n\r\nx\r\n",
    "ten thousand header lines": b"--MIMEBoundary_1\r\n" + b"X-A: b\r\n" * 10_000 + b"\r\nx\r\n",
    "a megabyte without a line end": b"--MIMEBoundary_1" + b" " * 1_000_000,
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
def test_floods_of_mime_are_refused_and_leave_no_file(server: ServerProcess, flood: bytes) -> None:
    root = b"--MIMEBoundary_1\r\n" + ROOT_HEAD + envelope(provide(submit=submission()), ITI_41) + b"\r\n"
    before = kept(server.data)
    sent = Sent("/xds/repository", PACKAGE_TYPE, root + flood + b"--MIMEBoundary_1--\r\n")
    assert send(server, sent).status in (0, 400, 413, 500)
    assert kept(server.data) == before


# ---------------------------------------------------------------------------------------------------------------------- ids

_UP = ["../", "..\\", "%2e%2e/", "%2e%2e%2f", "..%c0%af", "....//", "/", "file:///", "C:\\", "\\\\host\\share\\"]
_TO = ["etc/passwd", "tmp/{}", "proc/self/environ", "carnet.sqlite", "blobs/aa/bb"]
_ENDS = ["", ".xml", "%00", ";id"]
HOSTILE = [up * times + to.format("x") + end for up in _UP for to in _TO for end, times in zip(_ENDS, (1, 3, 6, 12), strict=True)]


def test_two_hundred_hostile_ids_name_no_file(server: ServerProcess, tmp_path: Path) -> None:
    """As uniqueId of one submission each; the store's names are its own hashes, whatever a client calls its document."""
    assert len(set(HOSTILE)) == 200
    outside = set(server.data.parent.iterdir())
    entries = [describe(f"{hostile}-{new_oid()}") for hostile in HOSTILE]
    for start in range(0, 200, 50):
        metadata = build_submit_objects_request(build_submission(entries[start : start + 50], source_id="1.2.3")).decode()
        document = '<xds:Document id="Document{:02d}">eA==</xds:Document>'
        contents = "".join(document.format(n + 1) for n in range(50))
        body = (
            f'<xds:ProvideAndRegisterDocumentSetRequest xmlns:xds="urn:ihe:iti:xds-b:2007">{metadata}{contents}'
            "</xds:ProvideAndRegisterDocumentSetRequest>"
        )
        assert send(server, mtom(body, document=None)).outcome in ("Success", "Failure")
    large = mtom(provide(submit=submission(f"{HOSTILE[0]}-{new_oid()}")), document=bytes(200_000))
    assert send(server, large).outcome == "Success"
    assert set(server.data.parent.iterdir()) == outside
    names = [path.name for path in (server.data / "blobs").rglob("*") if path.is_file()]
    assert names and all(re.fullmatch("[0-9a-f]{64}", name) for name in names)


# ------------------------------------------------------------------------------------------------- what only the server sets


def test_metadata_that_only_the_server_sets_are_set_by_it(server: ServerProcess) -> None:
    unique_id = new_oid()
    message = submission(unique_id)
    forged = (
        '<rim:Slot name="repositoryUniqueId"><rim:ValueList><rim:Value>9.9.9.9</rim:Value></rim:ValueList></rim:Slot>'
        '<rim:Slot name="urn:example:admin"><rim:ValueList><rim:Value>true</rim:Value></rim:ValueList></rim:Slot>'
    )
    status = 'status="urn:oasis:names:tc:ebxml-regrep:StatusType:Deprecated" '
    message = re.sub("(<rim:ExtrinsicObject )([^>]*>)", rf"\1{status}\2{forged}", message, count=1)
    assert "9.9.9.9" in message and "StatusType:Deprecated" in message
    answer = send(server, mtom(provide(submit=message)))
    assert answer.outcome == "Success", answer.text
    text = found(server, unique_id).text
    assert "9.9.9.9" not in text and "StatusType:Approved" in text and "StatusType:Deprecated" not in text


# ---------------------------------------------------------------------------------------------------------- outbound: nothing


def spellings(port: int) -> list[str]:
    """Forty ways to write an address of this machine or of its neighbourhood."""
    hosts = [
        "127.0.0.1", "localhost", "LOCALHOST", "localhost.", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.0.0.1",
        "0177.0.0.1", "017700000001", "0", "0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
        "[0:0:0:0:0:0:0:1]",
        "127.0.0.1.nip.io", "user@127.0.0.1", "registry.example@127.0.0.1", "127.127.127.127", "%31%32%37.0.0.1", "127。0。0。1",
        "①②⑦.⓪.⓪.①", "169.254.169.254", "[fe80::1%25lo]", "10.0.0.1", "metadata.google.internal", "127.0.0.1%00.example",
    ]  # fmt: skip
    urls = [f"http://{host}:{port}/x" for host in hosts]
    return [
        *urls,
        f"https://127.0.0.1:{port}/x", f"//127.0.0.1:{port}/x", f"HTTP://127.0.0.1:{port}", f"http:\\\\127.0.0.1:{port}",
        f"http://127.0.0.1:{port}#@registry.example/", f"ftp://127.0.0.1:{port}/x", f"gopher://127.0.0.1:{port}/_x",
        "file:///etc/passwd", f"dict://127.0.0.1:{port}/info", f"jar:http://127.0.0.1:{port}!/x",
    ]  # fmt: skip


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        made.setblocking(False)
        yield made


@pytest.mark.parametrize("header", ["ReplyTo", "FaultTo"])
def test_addresses_that_a_message_names_are_never_called(server: ServerProcess, listener: socket.socket, header: str) -> None:
    urls = spellings(listener.getsockname()[1])
    assert len(set(urls)) == 40
    for url in urls:
        named = f"<wsa:{header}><wsa:Address>{url.replace('&', '&amp;')}</wsa:Address></wsa:{header}>"
        assert send(server, plain(more=named)).outcome == "WIRE-058", url
    with pytest.raises(BlockingIOError):
        listener.accept()


# ------------------------------------------------------------------------------------------------------------------- the log


def test_nothing_of_a_message_stands_in_the_log(server: ServerProcess) -> None:
    """A canary in every field, with line ends in it, in messages that are taken, refused and not understood."""
    injected = f"{CANARY}&#10;2026-01-01 ERROR root: &#13;&lt;85&gt;1 {CANARY}"
    good = submission(title=CANARY)
    messages = [
        mtom(provide(submit=good)),
        mtom(provide(submit=good.replace("Compte rendu", injected).replace("20240102030405", CANARY))),
        mtom(provide(submit=good.replace("text/plain", CANARY))),
        mtom(provide(submit=re.sub(r'value="[^"]*ISO"', f'value="{injected}"', good))),
        mtom(provide(submit=good)).swap(b"<doc@x>", f"<{CANARY}>".encode()),
        mtom(provide(submit=good)).typed("<root@x>", f"<{CANARY}>"),
        plain(more=f'<x:h xmlns:x="urn:{CANARY}" s:mustUnderstand="1">{injected}</x:h>'),
        plain(action=f"urn:{CANARY}"),
        plain(body=f"<{CANARY}/>"),
        Sent("/xds/registry", "application/soap+xml", f"<s:{CANARY}".encode()),
        Sent("/xds/registry", "application/soap+xml", envelope(f"<a>{injected}</a>", ITI_18) + CANARY.encode()),
        Sent(f"/xds/{CANARY}", "application/soap+xml", b""),
    ]
    outcomes = [send(server, sent).status for sent in messages]
    assert 200 in outcomes and len(set(outcomes)) > 1
    log = server.log()
    assert CANARY not in log and "<85>" not in log
    assert "Traceback" not in log


# ----------------------------------------------------------------------------------------------------------- stored queries

_QUOTED = [
    "' OR '1'='1", "') OR ('1'='1", "' OR 1=1--", "'; DROP TABLE document;--", "' UNION SELECT * FROM blob--",
    "'||(SELECT 1)||'", "' AND SLEEP(9)--", "\\' OR 1=1--", "' OR ''='", "%' OR '%'='", "'/**/OR/**/1=1--",
    "' OR x'41'='A", "'\t OR 1=1", "''''", "') UNION ALL SELECT NULL,NULL--", "' OR sqlite_version()>'",
    "' OR pg_sleep(9) IS NULL--", "1); ATTACH 'x' AS y;--", "' HAVING 1=1--", "' GROUP BY 1--",
    "';SELECT load_extension('x');--", "\u02bc OR 1=1--", "\uff07 OR 1=1--", "$1", ":ids", "?", "%s", "{0}", "%(ids)s",
    "NULL", "0x27 OR 1=1",
]  # fmt: skip
_PARAMETERS = [
    *("$XDSDocumentEntryPatientId", "$XDSDocumentEntryStatus", "$XDSDocumentEntryClassCode", "$XDSDocumentEntryAuthorPerson"),
]


def find_documents(server: ServerProcess, changed: str, value: str) -> Answer:
    """ITI-18 FindDocuments for the patient of `describe`, one parameter set to `value` as it stands."""
    values = {
        "$XDSDocumentEntryPatientId": f"'{describe('1.2').patientId}'",
        "$XDSDocumentEntryStatus": "('urn:oasis:names:tc:ebxml-regrep:StatusType:Approved')",
        changed: value,
    }
    slots = "".join(
        f'<Slot name="{name}"><ValueList><Value>{escape(text)}</Value></ValueList></Slot>' for name, text in values.items()
    )
    body = (
        '<q:AdhocQueryRequest xmlns:q="urn:oasis:names:tc:ebxml-regrep:xsd:query:3.0" '
        'xmlns="urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0"><q:ResponseOption returnType="ObjectRef"/>'
        f'<AdhocQuery id="urn:uuid:14d4debf-8f97-4251-9a74-a90016b0af0d">{slots}</AdhocQuery></q:AdhocQueryRequest>'
    )
    return send(server, plain(body))


@pytest.mark.parametrize("parameter", _PARAMETERS)
def test_no_value_of_a_query_is_sql(server: ServerProcess, parameter: str) -> None:
    """Each as it stands, quoted, quoted with its quotes doubled, and in a list: none finds the document that is there."""
    assert send(server, mtom(provide(submit=submission()))).outcome == "Success"
    assert "ObjectRef id" in find_documents(server, "$XDSDocumentEntryTitle", "x").text, "without the attack it is found"
    before = kept(server.data)
    for text in _QUOTED:
        doubled = text.replace("'", "''")
        for value in (text, f"'{text}'", f"'{doubled}'", f"('{doubled}')", f"('a','{doubled}')"):
            answer = find_documents(server, parameter, value)
            assert answer.status == 200 and "ObjectRef id" not in answer.text, value
    assert kept(server.data) == before


@pytest.mark.parametrize("size", [5_000, 30_000])
def test_a_list_of_thousands_is_answered_or_refused(server: ServerProcess, size: int) -> None:
    value = "(" + ",".join(f"'1.2.{n}'" for n in range(size)) + ")"
    answer = find_documents(server, "$XDSDocumentEntryClassCode", value)
    assert answer.status == 200 and answer.outcome in ("Success", "Failure")
    assert found(server, "','".join(f"1.2.{n}" for n in range(size))).outcome in ("Success", "Failure")
