"""MLLP: HL7 version 2 messages over TCP, framed by VT ... FS CR, each answered before the next is read (ITI TF-2: C.2.1).

A thread for each connection, a bounded number of them. What comes slowly, never ends or is too large is given up; a peer that
sends rubbish loses its own connection and nothing else. The sockets are made before the server forks: every process accepts.
With TLS each connection is made with the certificates as they are then, and its sender is asked for anew at every message.
"""

from __future__ import annotations

import logging
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol

from security.refusal import Denied

LOG = logging.getLogger("carnet.mllp")

START, END = b"\x0b", b"\x1c\r"
#: Octets outside a frame that are skipped before the connection is given up.
_RUBBISH = 4096
_CHUNK = 65536

#: The address of the peer whose message is worked on.
PEER: ContextVar[str] = ContextVar("peer", default="")


class Acknowledged(Protocol):
    """What a handler answers: the octets of the acknowledgement."""

    @property
    def message(self) -> bytes: ...


Handler = Callable[[bytes], Acknowledged]


@dataclass(frozen=True, slots=True)
class MllpOptions:
    """`message` is the most octets of one message; `connections` at once; `idle` and `seconds` bound the silence between
    messages, and the time from the first octet of one to its last; `drain`: how long `close` waits for messages begun."""

    message: int = 256 * 1024
    connections: int = 64
    idle: float = 300.0
    seconds: float = 30.0
    drain: float = 30.0


@dataclass(frozen=True, slots=True)
class Secured:
    """TLS of every connection. `context` is asked before each handshake; `admit` is given the sender's certificate (DER) before
    each message, and raises Denied; `failed` is told of whoever was not let in, with address and exception."""

    context: Callable[[], ssl.SSLContext]
    admit: Callable[[bytes | None], None] | None = None
    failed: Callable[[str, Exception], None] = lambda address, error: None


class _GivenUp(Exception):
    """The connection is of no more use; the text says why."""


class MllpListener:
    """Answers on `listener` until `close`. `secured` makes every connection a TLS connection."""

    def __init__(
        self, listener: socket.socket, handler: Handler, options: MllpOptions | None = None, secured: Secured | None = None
    ) -> None:
        self._listener = listener
        self._handler = handler
        self._options = options or MllpOptions()
        self._secured = secured
        self._places = threading.BoundedSemaphore(self._options.connections)
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._open: dict[socket.socket, bool] = {}  # connection -> a message is being worked on

    def start(self) -> None:
        self._listener.settimeout(0.5)
        threading.Thread(target=self._accept, name="mllp", daemon=True).start()

    def close(self) -> None:
        """Take no more messages; those begun are answered within `drain` seconds."""
        self._ended.set()
        deadline = time.monotonic() + self._options.drain
        while time.monotonic() < deadline:
            with self._lock:
                for connection, working in self._open.items():
                    if not working:
                        _shut(connection)
                if not any(self._open.values()):
                    break
            time.sleep(0.02)

    def _accept(self) -> None:
        while not self._ended.is_set():
            if not self._places.acquire(timeout=0.5):
                continue  # those that wait stand in the queue of the kernel
            try:
                connection, address = self._listener.accept()
            except OSError as error:
                self._places.release()
                if not isinstance(error, TimeoutError | BlockingIOError):
                    if self._ended.wait(0.2) or self._listener.fileno() < 0:
                        return
                    LOG.warning("a connection could not be accepted: %s", error)
                continue
            threading.Thread(target=self._serve, args=(connection, address[0]), name="mllp", daemon=True).start()

    def _serve(self, connection: socket.socket, peer: str) -> None:
        PEER.set(peer)  # of this thread, which serves nobody else
        try:
            connection.settimeout(self._options.seconds)
            if self._secured is not None:
                connection = self._secured.context().wrap_socket(connection, server_side=True)
            with self._lock:
                self._open[connection] = False
            self._talk(connection)
        except (OSError, _GivenUp, Denied) as error:
            LOG.info("connection from %s given up: %s", peer, error)
            if self._secured is not None and isinstance(error, Denied | ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
                self._secured.failed(peer, error)
        finally:
            with self._lock:
                self._open.pop(connection, None)
            connection.close()
            self._places.release()

    def _talk(self, connection: socket.socket) -> None:
        waiting = bytearray()
        while not self._ended.is_set():
            message = self._next(connection, waiting)
            if message is None:
                return
            if isinstance(connection, ssl.SSLSocket) and self._secured is not None and self._secured.admit is not None:
                self._secured.admit(connection.getpeercert(True))
            with self._lock:
                if self._ended.is_set():
                    return
                self._open[connection] = True
            try:
                connection.settimeout(self._options.seconds)
                connection.sendall(START + self._answer(message) + END)
            finally:
                with self._lock:
                    self._open[connection] = False

    def _answer(self, message: bytes) -> bytes:
        try:
            return self._handler(message).message
        except Exception as error:
            # The border: whatever a handler has missed, the peer gets an answer and the listener lives.
            reference = os.urandom(4).hex()
            LOG.error("reference %s: a message failed", reference, exc_info=error)
            text = f"the server failed on this message; nothing is known to be wrong with it (reference {reference})"
            now = time.strftime("%Y%m%d%H%M%S", time.gmtime())
            return f"MSH|^~\\&|||||{now}||ACK|{reference}|P|2.3.1\rMSA|AR||{text}\r".encode()

    def _next(self, connection: socket.socket, waiting: bytearray) -> bytes | None:
        """The content of the next frame; None when the peer has ended. `waiting` keeps what came behind it."""
        options = self._options
        deadline = time.monotonic() + options.idle
        begun = False
        looked = 0  # octets of the frame in which its end has been looked for
        while True:
            if not begun:
                begun = _skip_to_frame(waiting)
                if begun:
                    deadline = time.monotonic() + options.seconds
            if begun:
                end = waiting.find(END, looked)
                if end >= 0:
                    message = bytes(waiting[1:end])
                    del waiting[: end + len(END)]
                    return message
                looked = len(waiting) - 1
                if len(waiting) > options.message:
                    raise _GivenUp(f"a message of more than {options.message} octets")
            left = deadline - time.monotonic()
            if left <= 0:
                raise _GivenUp("silent, or too slow")
            connection.settimeout(left)
            chunk = connection.recv(_CHUNK)
            if not chunk:
                if begun:
                    raise _GivenUp("it ended within a message")
                return None
            waiting += chunk


def _skip_to_frame(waiting: bytearray) -> bool:
    """Drops what stands before the first frame. True when a frame has begun."""
    start = waiting.find(START)
    if start < 0:
        if len(waiting) > _RUBBISH:
            raise _GivenUp("no MLLP frame: it begins with octet 0B")
        return False
    if start > _RUBBISH:
        raise _GivenUp("no MLLP frame: it begins with octet 0B")
    del waiting[:start]
    return True


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
