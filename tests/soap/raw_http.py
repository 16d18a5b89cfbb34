"""HTTP by hand: octets to a port, and what came back."""

from __future__ import annotations

import contextlib
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from lxml import etree

SECONDS = 60


@dataclass(frozen=True, slots=True)
class Answer:
    """`interim` are the 1xx statuses before the answer; status 0 means that the connection closed without one."""

    status: int
    headers: dict[str, str]
    body: bytes
    interim: tuple[int, ...] = ()
    whole: bool = True

    @property
    def envelope(self) -> etree._Element:
        match = re.search(rb"<\?xml.*Envelope>", self.body, re.DOTALL)
        assert match, self.body[:500]
        return etree.fromstring(match[0])

    @property
    def outcome(self) -> str:
        """`Success`, `Failure`, or the rule id of the fault (its code where it has no rule)."""
        responses = "//*[local-name()='RegistryResponse' or local-name()='AdhocQueryResponse']"
        status = str(self.envelope.xpath(f"string({responses}/@status)"))
        if status:
            return status.rpartition(":")[2]
        rule = str(self.envelope.xpath("string(//*[local-name()='Diagnosis']/@rule)"))
        return rule or str(self.envelope.xpath("string(//*[local-name()='Value'])"))

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


def ask(url: str, octets: bytes, close_after: bool = False) -> Answer:
    """Send these octets. `close_after`: the sending side is closed behind them, as by a client that died."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname or "", address.port or 80), SECONDS) as connection:
        connection.settimeout(SECONDS)
        with contextlib.suppress(ConnectionError):
            connection.sendall(octets)
        if close_after:
            connection.shutdown(socket.SHUT_WR)
        return receive(connection)


def receive(connection: socket.socket) -> Answer:
    """The answer on an open connection, interim ones passed over."""
    data, interim = b"", []
    while True:
        while b"\r\n\r\n" not in data:
            piece = _recv(connection)
            if not piece:
                return Answer(0, {}, data, tuple(interim), False)
            data += piece
        head, _, data = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        status = int(lines[0].split()[1])
        if status >= 200:
            break
        interim.append(status)
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    length = int(headers.get("content-length", "0"))
    while len(data) < length:
        piece = _recv(connection)
        if not piece:
            return Answer(status, headers, data, tuple(interim), False)
        data += piece
    return Answer(status, headers, data, tuple(interim))


def _recv(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65536)
    except ConnectionError:
        return b""


def request(path: str, content_type: str, body: bytes, **headers: str) -> bytes:
    """A POST as octets; keyword `Accept_Encoding="x"` becomes the header Accept-Encoding."""
    lines = [f"POST {path} HTTP/1.1", "Host: xds.example.org", f"Content-Type: {content_type}"]
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if "Content-Length" not in named and "Transfer-Encoding" not in named:
        lines.append(f"Content-Length: {len(body)}")
    lines += [f"{name}: {value}" for name, value in named.items()]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def chunked(body: bytes, size: int = 1000) -> bytes:
    """A body in chunked transfer coding."""
    chunks = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


def dechunked(body: bytes) -> tuple[bytes, bool]:
    """The content of a chunked body, and whether its end was there."""
    content = b""
    while True:
        size, _, body = body.partition(b"\r\n")
        if not size:
            return content, False
        count = int(size, 16)
        if count == 0:
            return content, True
        content += body[:count]
        body = body[count + 2 :]


def kept(data: Path) -> dict[str, int]:
    """What a store on SQLite holds: rows of every table that a message can fill, files of every folder. The audit trail is not
    looked at: it grows by every refusal."""
    import pysqlite3.dbapi2 as sqlite

    with contextlib.closing(sqlite.connect(f"file:{data / 'carnet.sqlite'}?mode=ro", uri=True)) as database:
        names = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        looked_at = [name for name in names if not name.startswith("audit_")]
        counts = {name: database.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in looked_at}
    counts["files"] = sum(1 for path in (data / "blobs").rglob("*") if path.is_file())
    counts["staged"] = sum(1 for path in (data / "tmp").rglob("*") if path.is_file())
    return counts
