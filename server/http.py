"""The gate to the HTTP server (gunicorn's threaded worker), and the only file that knows it
(a gate is one file: that is why it has so many lines).

What this file adds to gunicorn, because it is also served without a proxy in front:

- a connection takes a thread only when its TLS handshake is done and its header is whole, and its body too when that is small:
  slow senders wait in the event loop, where they cost a buffer and no thread;
- each TLS handshake is made with the certificates as they are then, and one that fails is told (`Tls`);
- a thread that receives a large body or sends an answer waits at most `stall_seconds`, and for a body no longer than
  `body_rate` allows;
- closing lingers in the event loop, not on the thread that serves everybody;
- a server that stops serves everybody whom the kernel has let in, and only then closes its door;
- `server/admission.py` answers 503 with Retry-After when too many requests are worked on at once.

gunicorn itself refuses ambiguous framing (two lengths, length and chunked, bare LF, obs-fold); forwarded headers are not
believed, and header names with an underscore are dropped.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import socket
import ssl
import stat
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any
from urllib.parse import quote

from gunicorn.app.base import BaseApplication
from gunicorn.http.body import Body, LengthReader
from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers import gthread

from server.admission import SMALL_BODY, Admission, Environ, StartResponse, WSGIApp
from server.door import let_nobody_in

#: The most header bytes collected; more is answered 431.
HEADER_BYTES = 64 * 1024
#: How long a closed connection may stay half open for the client to read the end of the answer.
LINGER_SECONDS = 2.0
#: How long a thread may keep the interpreter when others want it.
SWITCH_SECONDS = 0.0005
LINGER_BYTES = 1024 * 1024
_SWEEP_SECONDS = 0.5
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,9})[ \t]*\r\n", re.IGNORECASE)
_IN_THREAD = re.compile(rb"\r\n(?:transfer-encoding|expect|upgrade)[ \t]*:", re.IGNORECASE)
_REFUSALS = {
    408: b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    431: b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
}


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """How the listener behaves; the meaning and range of each is in `server/settings.py`, group server."""

    workers: int = 1
    threads: int = 32
    connections: int = 1000
    busy: int = 24
    uploads: int = 16
    keepalive: int = 30
    header_seconds: float = 10.0
    stall_seconds: float = 30.0
    body_rate: int = 16 * 1024
    drain_seconds: int = 30
    header_line: int = 8190
    header_count: int = 60
    log_level: str = "info"
    access_log: bool = False


@dataclass(slots=True)
class Tls:
    """How connections are secured: `context` is asked before every handshake; `failed` is told of each that did not succeed, with
    the address and the exception, on a thread of the pool. It may be set in the worker, once there is somebody to tell."""

    context: Callable[[], ssl.SSLContext]
    failed: Callable[[str, Exception], None]


def listen(host: str, port: int) -> socket.socket:
    """A bound and listening socket. Raises OSError when the address is taken or not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(1024)
    except OSError:
        listener.close()
        raise
    return listener


def listen_at(path: str) -> socket.socket:
    """A listening unix socket of mode 0660. One that a dead server has left there is removed.

    Raises OSError when a server listens there, or when something else stands at the path.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if os.path.lexists(path):
            if not stat.S_ISSOCK(os.lstat(path).st_mode):
                raise OSError(errno.EEXIST, "something that is no socket stands there")
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                if probe.connect_ex(path) == 0:
                    raise OSError(errno.EADDRINUSE, "a server listens there")
            Path(path).unlink()
        mask = os.umask(0o117)
        try:
            listener.bind(path)
        finally:
            os.umask(mask)
        listener.listen(1024)
    except OSError:
        listener.close()
        raise
    return listener


def serve(
    listener: socket.socket,
    load: Callable[[], WSGIApp],
    options: HttpOptions,
    ready: Callable[[], None],
    tls: Tls | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then drain and return (by `SystemExit`).

    `load` builds the application in each worker, after the fork: it opens the database there. `ready` is called once, in the
    first worker, when requests can be answered. With `tls` nothing is spoken but https.
    """
    _Application(listener, load, options, ready, tls).run()


def peer_certificate(environ: Mapping[str, Any]) -> bytes | None:
    """The DER certificate of the client as TLS has verified it, or None on a plain connection."""
    sock = environ.get("gunicorn.socket")
    return sock.getpeercert(True) if isinstance(sock, ssl.SSLSocket) else None


class _Application(BaseApplication):  # type: ignore[misc]
    def __init__(
        self,
        listener: socket.socket,
        load: Callable[[], WSGIApp],
        options: HttpOptions,
        ready: Callable[[], None],
        tls: Tls | None,
    ) -> None:
        self._tls = tls
        self._fd = listener.detach()
        self._load = load
        self._options = options
        self._ready = ready
        super().__init__()

    def load_config(self) -> None:
        o = self._options

        def announce(worker: Any) -> None:
            if worker.age == 1:
                self._ready()

        values = {
            "bind": f"fd://{self._fd}",
            "worker_class": _worker_class(o, self._tls),
            "workers": o.workers,
            "threads": o.threads,
            "worker_connections": o.connections,
            "keepalive": o.keepalive,
            "timeout": 120,
            "graceful_timeout": o.drain_seconds,
            "limit_request_line": 4094,
            "limit_request_field_size": o.header_line,
            "limit_request_fields": o.header_count,
            "header_map": "drop",
            "forwarded_allow_ips": "",
            "forwarder_headers": "",
            "secure_scheme_headers": {},
            "sendfile": False,
            "control_socket_disable": True,
            "proc_name": "carnet",
            "errorlog": "-",
            # gunicorn greets and says goodbye at "info"; our own words are enough there.
            "loglevel": "warning" if o.log_level == "info" else o.log_level,
            "accesslog": "-" if o.access_log else None,
            # Neither the query string nor any header: they may hold what belongs in no log.
            "access_log_format": "%(h)s %(m)s %({carnet.path}e)s %(s)s %(B)s bytes %(M)s ms",
            "post_worker_init": announce,
        }
        for name, value in values.items():
            self.cfg.set(name, value)

    def load(self) -> WSGIApp:
        return _named(Admission(self._load(), self._options.busy, self._options.uploads))


def _named(app: WSGIApp) -> WSGIApp:
    """Adds to the environment what gunicorn does not say: the path for the log, and that TLS is spoken."""

    def named(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        environ["carnet.path"] = quote(environ.get("PATH_INFO", ""))  # decoded it could hold a line break
        if isinstance(environ.get("gunicorn.socket"), ssl.SSLSocket):
            environ["wsgi.url_scheme"] = "https"
        return app(environ, start_response)

    return named


class _Unreader(SocketUnreader):  # type: ignore[misc]
    """Reads a request in a thread, and gives up on a sender that stalls or trickles."""

    def __init__(self, sock: socket.socket, options: HttpOptions) -> None:
        super().__init__(sock, max_chunk=64 * 1024)
        self._options = options
        self.begin()

    def begin(self) -> None:
        """A new request starts: its time and bytes are counted from here."""
        self._waited = 0.0
        self._received = 0

    def chunk(self, size_hint: int | None = None) -> bytes:
        return self.receive(min(max(size_hint or 0, self.mxchunk), self.max_body_chunk))

    def piece(self, size: int) -> bytes:
        """At most `size` bytes: what is buffered, or one recv. Nothing beyond `size` is taken from the socket."""
        held = self.take_buffered()
        if not held:
            return self.receive(min(size, self.max_body_chunk))
        if len(held) > size:
            self.unread(held[size:])
        return bytes(held[:size])

    def receive(self, size: int) -> bytes:
        start = time.monotonic()
        try:
            data: bytes = self.sock.recv(size)
        except TimeoutError:
            raise ConnectionResetError(errno.ECONNRESET, "the client sent nothing for too long") from None
        self._waited += time.monotonic() - start
        self._received += len(data)
        late = self._waited - self._options.stall_seconds
        if late > 0 and self._received < late * self._options.body_rate:
            raise ConnectionResetError(errno.ECONNRESET, "the client sends too slowly")
        return data


class _LengthReader(LengthReader):  # type: ignore[misc]
    """A body of known length, from the socket to the application with one copy at most (gunicorn makes three)."""

    def read(self, size: int) -> bytes:
        pieces = []
        wanted = min(size, self.length)
        while wanted:
            piece = self.unreader.piece(wanted)
            if not piece:
                break
            pieces.append(piece)
            wanted -= len(piece)
            self.length -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


class _Body(Body):  # type: ignore[misc]
    def read(self, size: int | None = None) -> bytes:
        if size is None or size < 0 or self.buf.tell():
            data: bytes = super().read(size)
            return data
        data = self._read_reader(size)
        return data


class _Waiting:
    """The body of a client that waits to be asked for it: 100 is sent when it is wanted, and never when it is not.

    (RFC 9110: 10.1.1; WIRE-001.) A body that nobody has asked for may still come or not: its connection is closed.
    """

    def __init__(self, reader: Any, sock: socket.socket) -> None:
        self._reader = reader
        self._sock = sock
        self.asked = False

    def read(self, size: int) -> bytes:
        if not self.asked:
            self.asked = True
            self._sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        data: bytes = self._reader.read(size)
        return data


class _Connection(gthread.TConn):  # type: ignore[misc]
    """One client connection, first in the event loop (collecting a request), then in a thread (working on it)."""

    def __init__(self, worker: _Worker, sock: socket.socket, client: Any, server: Any) -> None:
        super().__init__(worker.cfg, sock, client, server)
        self.worker = worker
        self.buffer = bytearray()
        self.needed = 0  # bytes to collect before a thread is taken; 0 while the header is not whole
        self.greeting = False  # the TLS handshake goes on
        self.deadline = time.monotonic() + worker.options.header_seconds

    def init(self) -> None:
        """In the thread, at the start of each request."""
        super().init()
        options = self.worker.options
        self.sock.settimeout(options.stall_seconds)
        if self.is_http2:
            return
        if not isinstance(self.parser.unreader, _Unreader):
            self.parser.unreader = _Unreader(self.sock, options)
        self.parser.unreader.begin()
        if self.buffer:
            self.parser.unreader.unread(bytes(self.buffer))
            self.buffer = bytearray()
            self.needed = 0

    def complete(self) -> bool:
        """Whether enough is collected for a thread to go on without waiting for the client."""
        if not self.needed:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return False
            header = bytes(self.buffer[: end + 2])
            lengths = _LENGTH.findall(header)
            length = int(lengths[0]) if len(lengths) == 1 and not _IN_THREAD.search(header) else 0
            # This only decides where to wait; the parser in the thread judges the header.
            self.needed = end + 4 + (length if length <= SMALL_BODY else 0)
        return len(self.buffer) >= self.needed

    def close(self, graceful: bool = False) -> None:
        if graceful:
            self.worker.linger(self)
        else:
            super().close()


class _Worker(gthread.ThreadWorker):  # type: ignore[misc]
    """gunicorn's threaded worker with requests collected, and connections closed, in its event loop."""

    options = HttpOptions()
    tls: Tls | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.collecting: set[_Connection] = set()
        self.lingering: dict[socket.socket, tuple[float, int]] = {}
        self.next_sweep = 0.0
        self.stopping = False

    def init_process(self) -> None:
        # A thread that has waited for a socket or the disk asks for the interpreter back, and the one that computes keeps it for
        # this long. With Python's 5 ms an answer in nine TLS records waits nine times: 0.5 ms gives a quarter more requests.
        sys.setswitchinterval(SWITCH_SECONDS)
        super().init_process()

    def set_accept_enabled(self, enabled: bool) -> None:
        super().set_accept_enabled(enabled)
        if not self.alive:
            # Whom the kernel has let in already would be reset when the listener is closed: they are served. Whoever comes
            # later knocks at a door that is being closed, and is told a second later that nobody listens.
            for listener in self.sockets:
                let_nobody_in(listener.sock)
                while self.accept(listener):
                    pass
                listener.close()
            self.sockets.clear()

    def accept(self, listener: Any) -> bool:
        """True when somebody was there."""
        try:
            sock, client = listener.accept()
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.ECONNABORTED, errno.EMFILE, errno.ENFILE):
                raise
            return error.errno == errno.ECONNABORTED
        self.nr_conns += 1
        conn = _Connection(self, sock, client, listener.getsockname())
        self.collecting.add(conn)
        if self.tls is not None:
            self.greet(conn, self.tls)
        else:
            self.collect(conn)
        return True

    def greet(self, conn: _Connection, tls: Tls) -> None:
        """Begin TLS, with the certificates as they are now."""
        try:
            conn.sock = tls.context().wrap_socket(conn.sock, server_side=True, do_handshake_on_connect=False)
        except (OSError, ValueError):  # gone already
            self.drop(conn, False)
            return
        conn.greeting = True
        self.shake_hands(conn)

    def shake_hands(self, conn: _Connection, registered: bool = False) -> None:
        """Go on with the handshake as far as the client has come."""
        event = EVENT_READ
        try:
            conn.sock.do_handshake()
            conn.greeting = False
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLWantWriteError:
            event = EVENT_WRITE
        except (OSError, ValueError) as error:
            self.not_met(conn, error)
            self.drop(conn, registered)
            return
        if registered:
            self.poller.unregister(conn.sock)
        if conn.greeting:
            self.poller.register(conn.sock, event, lambda _: self.shake_hands(conn, True))
        else:
            self.collect(conn)

    def not_met(self, conn: _Connection, error: Exception) -> None:
        """Tell of a handshake that failed; not of connections that were only tried and closed."""
        if self.tls is None or not isinstance(error, ssl.SSLError) or isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return
        self.tpool.submit(self.tls.failed, conn.client[0] if isinstance(conn.client, tuple) else "", error)

    def finish_request(self, conn: _Connection, fs: Any) -> None:
        super().finish_request(conn, fs)
        pending = getattr(conn.sock, "pending", None)
        if pending is not None and conn.sock.fileno() >= 0 and pending() and conn in self.keepalived_conns:
            # The next request is decrypted already: the socket will not become readable for it.
            self.on_client_socket_readable(conn, conn.sock)

    def on_client_socket_readable(self, conn: _Connection, client: Any) -> None:
        """A kept-alive connection speaks again."""
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        conn.deadline = time.monotonic() + self.options.header_seconds
        self.collecting.add(conn)
        self.collect(conn)

    def handle_request(self, req: Any, conn: _Connection) -> Any:
        if type(req.body.reader) is LengthReader:
            req.body = _Body(_LengthReader(req.body.reader.unreader, req.body.reader.length))
        if not req._expected_100_continue:
            return super().handle_request(req, conn)
        req._expected_100_continue = False  # gunicorn would send 100 before anybody has looked at the request
        waiting = req.body.reader = _Waiting(req.body.reader, conn.sock)
        return super().handle_request(req, conn) and waiting.asked

    def collect(self, conn: _Connection, registered: bool = False) -> None:
        """Read what is there; hand the connection to a thread when that is enough."""
        try:
            data = conn.sock.recv(64 * 1024)
        except (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            data = None
        except OSError as error:
            self.not_met(conn, error)  # with TLS 1.3 a client refuses our certificate after the handshake
            data = b""
        if data == b"":
            self.drop(conn, registered)
            return
        if data:
            first = not conn.needed
            conn.buffer += data
            if conn.complete():
                if registered:
                    self.poller.unregister(conn.sock)
                self.collecting.discard(conn)
                conn.data_ready = True
                self.enqueue_req(conn)
                return
            if not conn.needed and len(conn.buffer) > HEADER_BYTES:
                self.drop(conn, registered, 431)
                return
            if first and conn.needed:
                conn.deadline = time.monotonic() + self.options.stall_seconds
        if not registered:
            self.poller.register(conn.sock, EVENT_READ, lambda _: self.collect(conn, True))

    def drop(self, conn: _Connection, registered: bool, status: int = 0) -> None:
        if registered:
            self.poller.unregister(conn.sock)
        self.collecting.discard(conn)
        self.nr_conns -= 1
        if status:
            try:
                conn.sock.send(_REFUSALS[status])
            except OSError:
                pass
            else:
                self.linger(conn)
                return
        conn.close()

    def linger(self, conn: _Connection) -> None:
        """Half-close and wait, in the loop, for the client to have read the end (RFC 9112: 9.6)."""
        sock = conn.sock
        try:
            sock.setblocking(False)
            if isinstance(sock, ssl.SSLSocket):
                with contextlib.suppress(OSError, ValueError):
                    sock.unwrap()  # says that this is the end; the client's own end is not waited for
            sock.shutdown(socket.SHUT_WR)
        except (OSError, ValueError):
            sock.close()
            return
        self.lingering[sock] = (time.monotonic() + LINGER_SECONDS, 0)
        if not self.drain(sock):
            self.poller.register(sock, EVENT_READ, partial(self.drain, registered=True))

    def drain(self, sock: socket.socket, registered: bool = False) -> bool:
        """Read and forget; True when the connection is closed."""
        deadline, drained = self.lingering[sock]
        try:
            data = sock.recv(64 * 1024)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            data = b""
        if data and drained + len(data) < LINGER_BYTES:
            self.lingering[sock] = (deadline, drained + len(data))
            return False
        self._forget(sock, registered)
        return True

    def _forget(self, sock: socket.socket, registered: bool) -> None:
        if registered:
            self.poller.unregister(sock)
        del self.lingering[sock]
        sock.close()

    def murder_pending(self) -> None:
        """Called in every turn of the loop: end what has waited too long."""
        super().murder_pending()
        now = time.monotonic()
        if not self.alive and not self.stopping:
            # Whoever has not begun a request when the server stops has nothing to lose.
            self.stopping = True
            self.next_sweep = now
            for conn in self.collecting:
                if not conn.buffer:
                    conn.deadline = min(conn.deadline, now + LINGER_SECONDS)
        if now < self.next_sweep:
            return
        self.next_sweep = now + _SWEEP_SECONDS
        for conn in [c for c in self.collecting if c.deadline < now]:
            self.drop(conn, True, 408 if conn.buffer else 0)
        for sock in [s for s, (deadline, _) in self.lingering.items() if deadline < now]:
            self._forget(sock, True)


def _worker_class(options: HttpOptions, tls: Tls | None) -> type[_Worker]:
    """gunicorn makes its workers without arguments of ours: the options ride on the class."""
    return type("Worker", (_Worker,), {"options": options, "tls": tls})
