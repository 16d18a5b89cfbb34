"""The load: a number of clients, each sending its next request when the last answer is whole. One thread, little CPU."""

from __future__ import annotations

import re
import selectors
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.messages import Make

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]+)", re.IGNORECASE)
_BUFFER = bytearray(1024 * 1024)
#: What every right answer holds near its beginning.
SUCCESS = b"ResponseStatusType:Success"


class LoadError(Exception):
    """An answer that is not what a measurement may count; the text holds its beginning."""


@dataclass(slots=True)
class Load:
    """What one run saw. Times in seconds, `bytes` of answers."""

    clients: int
    seconds: float
    answers: int
    bytes: int
    times: list[float] = field(repr=False)

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.answers / self.seconds

    def quantile(self, share: float) -> float:
        """The time within which this share of the answers came."""
        ordered = sorted(self.times)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


class _Client:
    """One connection and the answer it waits for."""

    __slots__ = ("begun", "head", "left", "out", "sock")

    def __init__(self, address: tuple[str, int], context: ssl.SSLContext | None = None) -> None:
        self.sock = socket.create_connection(address, timeout=60)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is not None:
            self.sock = context.wrap_socket(self.sock, server_hostname="localhost")
        self.begun = 0.0
        self.head = b""
        self.left = -1  # octets of the body still to come; -1: the header is not whole
        self.out = memoryview(b"")

    def send(self, request: bytes) -> None:
        self.begun = time.perf_counter()
        self.head, self.left = b"", -1
        self.sock.sendall(request)

    def receive(self, expected: bytes) -> tuple[bool, int]:
        """Take what is there: whether the answer is whole, and the octets taken."""
        count = self.sock.recv_into(_BUFFER)
        if not count:
            raise LoadError(f"the server closed the connection after {self.head[:300]!r}")
        if self.left < 0:
            self.head += bytes(_BUFFER[:count])
            end = self.head.find(b"\r\n\r\n")
            if end < 0:
                return False, count
            length = _LENGTH.search(self.head, 0, end + 2)
            if length is None:
                raise LoadError(f"an answer without Content-Length: {self.head[:300]!r}")
            self.left = int(length[1]) - (len(self.head) - end - 4)
            if not self.head.startswith(b"HTTP/1.1 200"):
                raise LoadError(f"not 200: {self.head[:1500]!r}")
            if expected and self.left == 0 and expected not in self.head:
                raise LoadError(f"not a success: {self.head[:1500]!r}")
        else:
            self.left -= count
        return self.left <= 0, count


def run(
    address: tuple[str, int],
    make: Make,
    clients: int,
    seconds: float,
    expected: bytes = SUCCESS,
    most: int = 0,
    context: ssl.SSLContext | None = None,
) -> Load:
    """Send for `seconds` (or until `most` answers), by TLS with `context`. Raises LoadError at the first answer that is wrong."""
    loop = selectors.DefaultSelector()
    members = [_Client(address, context) for _ in range(clients)]
    times: list[float] = []
    received = 0
    try:
        for client in members:
            loop.register(client.sock, selectors.EVENT_READ, client)
            client.send(make())
        start = time.perf_counter()
        end = start + seconds
        waiting = clients
        while waiting:
            ready = loop.select(timeout=60)
            if not ready:
                raise LoadError("no answer for 60 seconds")
            for key, _ in ready:
                client = key.data
                whole, count = client.receive(expected)
                received += count
                if not whole:
                    continue
                now = time.perf_counter()
                times.append(now - client.begun)
                if now < end and (not most or len(times) + waiting <= most):
                    client.send(make())
                else:
                    waiting -= 1
        return Load(clients, time.perf_counter() - start, len(times), received, times)
    finally:
        for client in members:
            client.sock.close()
        loop.close()


def connections(
    address: tuple[str, int], make: Make, seconds: float, context: ssl.SSLContext | None = None, expected: bytes = SUCCESS
) -> Load:
    """One request on each new connection, one connection after the other: the time of each from the first SYN on."""
    times: list[float] = []
    received, start = 0, time.perf_counter()
    while (begun := time.perf_counter()) - start < seconds:
        client = _Client(address, context)
        try:
            client.send(make())
            whole = False
            while not whole:
                whole, count = client.receive(expected)
                received += count
        finally:
            client.sock.close()
        times.append(time.perf_counter() - begun)
    return Load(1, time.perf_counter() - start, len(times), received, times)


def upload(address: tuple[str, int], head: bytes, chunk: bytes, count: int, tail: bytes) -> tuple[float, bytes]:
    """One large request, its middle `count` times `chunk`: seconds until the answer is whole, and the answer."""
    with socket.create_connection(address, timeout=600) as sock:
        start = time.perf_counter()
        sock.sendall(head)
        for _ in range(count):
            sock.sendall(chunk)
        sock.sendall(tail)
        answer = _whole(sock)
        return time.perf_counter() - start, answer


def _whole(sock: socket.socket) -> bytes:
    data = b""
    while True:
        end = data.find(b"\r\n\r\n")
        if end >= 0:
            length = _LENGTH.search(data, 0, end + 2)
            if length and len(data) >= end + 4 + int(length[1]):
                return data
        more = sock.recv(65536)
        if not more:
            return data
        data += more


def download(address: tuple[str, int], request: bytes, take: Callable[[memoryview], object] | None = None) -> tuple[float, int]:
    """One large answer: seconds, and the octets of its body. `take` sees every piece."""
    buffer = memoryview(_BUFFER)
    with socket.create_connection(address, timeout=600) as sock:
        start = time.perf_counter()
        sock.sendall(request)
        head = b""
        while b"\r\n\r\n" not in head:
            more = sock.recv(65536)
            if not more:
                raise LoadError(f"the server closed the connection after {head[:300]!r}")
            head += more
        end = head.index(b"\r\n\r\n") + 4
        length = _LENGTH.search(head, 0, end)
        if length is None or not head.startswith(b"HTTP/1.1 200"):
            raise LoadError(f"not a sized 200: {head[:1500]!r}")
        got, wanted = len(head) - end, int(length[1])
        while got < wanted:
            count = sock.recv_into(buffer)
            if not count:
                raise LoadError(f"the answer ends after {got} of {wanted} octets")
            if take:
                take(buffer[:count])
            got += count
        return time.perf_counter() - start, got
