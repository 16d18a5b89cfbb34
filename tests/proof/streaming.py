"""A large document up and down with little memory, and the memory of the server meanwhile."""

from __future__ import annotations

import hashlib
import http.client
import re
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from tests.nist.wire import ACTIONS, Answer, WireError, mtom_frame, parameter, part_head, provide_body, read_answer

CHUNK = 1 << 20
SECONDS = 600


def pattern(size: int) -> Iterator[bytes]:
    """`size` bytes, no two megabytes alike, with lines that look like delimiters among them."""
    block = b"\r\n--proof-" + hashlib.sha256(b"carnet").digest() * 40
    block = (block * (CHUNK // len(block) + 1))[:CHUNK]
    for number in range(0, size, CHUNK):
        piece = number.to_bytes(8, "big") + block[8:]
        yield piece[: min(CHUNK, size - number)]


@dataclass
class Sum:
    """Size and SHA-256 of what went by."""

    size: int = 0

    def __post_init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, piece: bytes) -> None:
        self.size += len(piece)
        self._hash.update(piece)

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()


def upload(url: str, submission: bytes, document_id: str, size: int) -> tuple[Answer, Sum]:
    """ITI-41 with one document of `size` bytes, sent with a Content-Length, a megabyte at a time."""
    content_type, root, boundary = mtom_frame(ACTIONS["ITI-41"], provide_body(submission, [(document_id, "big@proof")]), url)
    before = root + part_head(boundary, "big@proof")
    after = f"\r\n--{boundary}--\r\n".encode()
    total = Sum()
    connection, path = _connect(url)
    try:
        connection.putrequest("POST", path)
        connection.putheader("Content-Type", content_type)
        connection.putheader("Content-Length", str(len(before) + size + len(after)))
        connection.endheaders(before)
        for piece in pattern(size):
            total.add(piece)
            connection.send(piece)
        connection.send(after)
        response = connection.getresponse()
        return read_answer(response.status, response.getheader("Content-Type", ""), response.read()), total
    finally:
        connection.close()


def download(url: str, body: bytes) -> tuple[str, Sum]:
    """ITI-43 of one document: the response's status, and the sum of the document part, which is never held whole."""
    content_type, content, boundary = mtom_frame(ACTIONS["ITI-43"], body, url)
    content += f"\r\n--{boundary}--\r\n".encode()
    connection, path = _connect(url)
    try:
        connection.request("POST", path, body=content, headers={"Content-Type": content_type})
        response = connection.getresponse()
        limit = parameter(response.getheader("Content-Type", ""), "boundary")
        if not limit:
            raise WireError(f"HTTP {response.status}: {response.read(500)!r}")
        return _sum_of_second_part(response, limit.encode())
    finally:
        connection.close()


def _sum_of_second_part(response: http.client.HTTPResponse, boundary: bytes) -> tuple[str, Sum]:
    delimiter, end = b"\r\n--" + boundary, b"\r\n--" + boundary + b"--"
    held = b"\r\n"
    while not re.search(re.escape(delimiter) + rb"[^-].*?" + re.escape(delimiter) + rb"\r\n.*?\r\n\r\n", held, re.DOTALL):
        piece = response.read(CHUNK)
        if not piece:
            raise WireError(f"no second part: {held[:2000]!r}")
        held += piece
    start = held.index(delimiter, held.index(delimiter) + 1)
    status = re.search(rb'status="[^"]*:(\w+)"', held[:start])
    held = held[held.index(b"\r\n\r\n", start) + 4 :]
    total = Sum()
    while True:
        piece = response.read(CHUNK)
        held += piece
        if piece and len(held) > len(end) + 2:
            keep = len(end) + 2
            total.add(held[:-keep])
            held = held[-keep:]
        if not piece:
            break
    tail = held.removesuffix(b"\r\n")
    if not tail.endswith(end):
        raise WireError(f"no closing delimiter: {held[-100:]!r}")
    total.add(tail.removesuffix(end))
    return status[1].decode() if status else "", total


def _connect(url: str) -> tuple[http.client.HTTPConnection, str]:
    target = urllib.parse.urlsplit(url)
    return http.client.HTTPConnection(target.hostname or "", target.port, timeout=SECONDS), target.path


def anonymous(pids: list[int]) -> int:
    """Anonymous memory of these processes together, in bytes: RssAnon of /proc/PID/status."""
    total = 0
    for pid in pids:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
        match = re.search(r"^RssAnon:\s+(\d+) kB$", status, re.MULTILINE)
        total += int(match[1]) * 1024 if match else 0
    return total


class MemoryWatch:
    """The highest anonymous memory while the block runs; `growth` is it above what there was at its beginning."""

    def __init__(self, pids: Callable[[], list[int]]) -> None:
        self._pids = pids
        self._stop = threading.Event()
        self.before = self.highest = 0

    def __enter__(self) -> MemoryWatch:
        self.before = self.highest = anonymous(self._pids())
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._stop.is_set():
            self.highest = max(self.highest, anonymous(self._pids()))
            time.sleep(0.01)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()
        self.highest = max(self.highest, anonymous(self._pids()))

    @property
    def growth(self) -> int:
        return self.highest - self.before
