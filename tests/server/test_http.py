"""The HTTP gate alone, around a handler that counts bytes: slow clients, framing, limits, draining."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from server import http
from tests.server_process import PATIENCE_SECONDS, _die_with_parent

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import os, sys, threading, time
from server import http
from tests.server_process import PATIENCE_SECONDS, _die_with_parent
from server.http import HttpOptions, listen, serve
gate, seconds, linger = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
http.LINGER_SECONDS = linger
held, lock = 0, threading.Lock()
def hold(number):
    global held
    with lock:
        held += number
def load():
    def app(environ, start_response):
        if environ["PATH_INFO"] == "/slow":
            hold(1)
            while not os.path.exists(gate):
                time.sleep(0.005)
            hold(-1)
        count = held if environ["PATH_INFO"] == "/health" else 0
        while piece := environ["wsgi.input"].read(100_000):
            count += len(piece)
        body = ("%d %s" % (count, environ.get("HTTP_X_SSL", "-"))).encode()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]
    return app
listener = listen("127.0.0.1", 0)
port = listener.getsockname()[1]
serve(listener, load, HttpOptions(threads=6, busy=4, uploads=2, header_seconds=seconds, stall_seconds=seconds, drain_seconds=60,
      connections=300), lambda: print(port, flush=True))
"""


@dataclass
class Running:
    """A server. Its `/slow` answers while the file `gate` exists; its `/health` tells how many requests wait for that."""

    process: subprocess.Popen[str]
    port: int
    gate: Path

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def exchange(self, *pieces: bytes) -> bytes:
        with self.connect() as sock:
            with contextlib.suppress(ConnectionError):
                for piece in pieces:
                    sock.sendall(piece)
            return read_all(sock)

    def until(self, message: bytes, start: bytes, end: bytes = b"") -> bytes:
        """Sends a message again and again until the answer begins and ends so; places are given back when an answer is out."""
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            answer = self.exchange(message)
            if answer.startswith(start) and answer.endswith(end):
                return answer
            assert time.monotonic() < until, answer
            time.sleep(0.005)


def read_all(sock: socket.socket) -> bytes:
    data = b""
    try:
        while piece := sock.recv(65536):
            data += piece
    except ConnectionResetError:
        pass
    return data


def start(folder: Path, seconds: float, linger: float) -> Running:
    """A client may be silent for `seconds`, and a closed connection stays half open for `linger` seconds."""
    gate = folder / "gate"
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(gate), str(seconds), str(linger)],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True, preexec_fn=_die_with_parent,
    )  # fmt: skip
    assert process.stdout
    return Running(process, int(process.stdout.readline()), gate)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One that gives nobody up: what is answered here does not wait for that."""
    server = start(tmp_path_factory.mktemp("running"), 600, 600)
    yield server
    server.process.kill()
    server.process.wait()


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One that gives everybody up soon."""
    server = start(tmp_path_factory.mktemp("strict"), 0.5, 0.5)
    yield server
    server.process.terminate()
    assert server.process.wait(60) == 0


def post(body: bytes, *headers: str, path: str = "/", close: bool = True) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: x", *headers] + (["Connection: close"] if close else [])
    return "\r\n".join([*lines, "", ""]).encode() + body


HEALTH = post(b"", "Content-Length: 0", path="/health")


def length(body: bytes) -> str:
    return f"Content-Length: {len(body)}"


@pytest.mark.parametrize("size", [0, 1, 1000, 65536, 65537, 300_000, 3_000_000])
def test_body_arrives_whole(running: Running, size: int) -> None:
    body = b"x" * size
    assert running.exchange(post(body, length(body))).endswith(f"\r\n\r\n{size} -".encode())


def test_body_in_small_pieces(running: Running) -> None:
    message = post(b"abcdef", "Content-Length: 6")
    assert running.exchange(*(message[i : i + 1] for i in range(len(message)))).endswith(b"\r\n\r\n6 -")


def test_chunked_body(running: Running) -> None:
    assert running.exchange(post(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", "Transfer-Encoding: chunked")).endswith(b"5 -")


def test_expect_100_continue_is_answered_before_the_body(running: Running) -> None:
    with running.connect() as sock:
        sock.sendall(post(b"", "Content-Length: 3", "Expect: 100-continue"))
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"abc")
        assert read_all(sock).endswith(b"3 -")


def test_keep_alive_and_pipelining(running: Running) -> None:
    first, second = post(b"abc", "Content-Length: 3", close=False), post(b"abcd", "Content-Length: 4")
    answer = running.exchange(first + second)
    assert re.findall(rb"\r\n\r\n(\d+) -", answer) == [b"3", b"4"]
    answer = running.exchange(first, first, second)
    assert re.findall(rb"\r\n\r\n(\d+) -", answer) == [b"3", b"3", b"4"]


@pytest.mark.parametrize(
    "headers",
    [
        ("Content-Length: 3", "Content-Length: 4"),
        ("Content-Length: 3", "Transfer-Encoding: chunked"),
        ("Content-Length: +3",),
        ("Content-Length : 3",),
        ("Content-Length: 3", "X: a", " folded"),
        ("Transfer-Encoding: gzip, x",),
    ],
)
def test_ambiguous_framing_is_refused(running: Running, headers: tuple[str, ...]) -> None:
    assert re.match(rb"HTTP/1.1 (400|501) ", running.exchange(post(b"abc", *headers)))


def test_header_limits(running: Running) -> None:
    assert running.exchange(post(b"", "X: " + "a" * 9000)).startswith(b"HTTP/1.1 431 ")
    assert running.exchange(post(b"", *(f"X{i}: a" for i in range(80)))).startswith(b"HTTP/1.1 431 ")
    assert running.exchange(b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: " + b"a" * 200_000).startswith(b"HTTP/1.1 431 ")


def test_header_with_an_underscore_is_dropped(running: Running) -> None:
    assert running.exchange(post(b"", "Content-Length: 0", "X_SSL: forged")).endswith(b"0 -")
    assert running.exchange(post(b"", "Content-Length: 0", "X-SSL: sent")).endswith(b"0 sent")


def test_slow_headers_and_small_slow_bodies_cost_no_thread(running: Running) -> None:
    """100 dribbling connections against 6 threads: others are answered."""
    slow = [running.connect() for _ in range(100)]
    try:
        for i, sock in enumerate(slow):
            sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\n" if i % 2 else post(b"a", "Content-Length: 5000"))
        for _ in range(10):
            assert running.exchange(post(b"abc", "Content-Length: 3")).endswith(b"3 -")
    finally:
        for sock in slow:
            sock.close()


@pytest.mark.parametrize("sent", [b"POST / HTTP/1.1\r\nHost: x\r\n", post(b"a", "Content-Length: 5000")], ids=["header", "body"])
def test_who_is_slow_is_sent_away(strict: Running, sent: bytes) -> None:
    strict.until(sent, b"HTTP/1.1 408 ")  # not at the first time where this side is too slow to begin at all


def test_who_is_slow_with_a_large_body_is_cut_off(strict: Running) -> None:
    assert strict.exchange(post(b"a" * 70_000, "Content-Length: 1000000")) == b""


def test_slow_large_bodies_leave_room_for_others(running: Running) -> None:
    large = post(b"a" * 70_000, "Content-Length: 70000")
    slow = [running.connect() for _ in range(2)]
    for sock in slow:
        sock.sendall(post(b"a" * 70_000, "Content-Length: 1000000"))
    refused = running.until(large, b"HTTP/1.1 503 ")
    assert re.search(rb"\r\nRetry-After: [1-3]\r\n", refused)
    assert running.exchange(post(b"abc", "Content-Length: 3")).endswith(b"3 -")
    for sock in slow:
        sock.close()
    running.until(large, b"HTTP/1.1 200 ", b"70000 -")


def test_too_many_at_once_are_answered_503_and_health_is_let_in(running: Running) -> None:
    held = [running.connect() for _ in range(4)]
    running.gate.unlink(missing_ok=True)
    for sock in held:
        sock.sendall(post(b"", "Content-Length: 0", path="/slow"))
    running.until(HEALTH, b"HTTP/1.1 200 ", b"4 -")
    assert running.exchange(post(b"", "Content-Length: 0")).startswith(b"HTTP/1.1 503 ")
    running.gate.touch()
    for sock in held:
        assert read_all(sock).endswith(b"0 -")
        sock.close()
    running.until(post(b"", "Content-Length: 0"), b"HTTP/1.1 200 ")


def test_a_client_that_never_closes_does_not_hold_up_others(running: Running) -> None:
    """More of them than there are threads."""
    silent = [running.connect() for _ in range(9)]
    for sock in silent:
        sock.sendall(post(b"", "Content-Length: 0"))
        assert read_all(sock).endswith(b"0 -")
    assert running.exchange(post(b"", "Content-Length: 0")).endswith(b"0 -")
    for sock in silent:
        sock.close()


def test_sigterm_finishes_what_was_begun(tmp_path: Path) -> None:
    server = start(tmp_path, 600, 0.5)
    with server.connect() as begun, server.connect() as idle:
        begun.sendall(post(b"", "Content-Length: 0", path="/slow"))
        server.until(HEALTH, b"HTTP/1.1 200 ", b"1 -")
        server.process.send_signal(signal.SIGTERM)
        assert read_all(idle) == b""
        server.gate.touch()
        assert read_all(begun).endswith(b"\r\n\r\n0 -")
        assert server.process.wait(60) == 0
    with pytest.raises(ConnectionRefusedError):
        server.connect()


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's filter is Linux's")
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_whoever_is_let_in_is_served_and_nobody_else_is_let_in(host: str) -> None:
    """Between the last accept() and close() nobody comes in who would be reset."""
    try:
        listener = http.listen(host, 0)
    except OSError:
        pytest.skip(f"{host} cannot be listened on here")
    with listener, socket.create_connection(listener.getsockname()[:2], timeout=60) as before:
        http.let_nobody_in(listener)
        with pytest.raises(TimeoutError):
            socket.create_connection(listener.getsockname()[:2], timeout=0.2)
        served, _ = listener.accept()
        with served:
            before.sendall(b"asked")
            assert served.recv(5) == b"asked"
            served.sendall(b"answered")
            assert before.recv(8) == b"answered"
