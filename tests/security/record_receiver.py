"""Audit Record Repositories: a real rsyslog with TLS, and one of our own making that behaves as badly as a test wants."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path

import pytest

from security.pki import TestAuthority, tls_files
from tests.ports import free_port

RSYSLOG = shutil.which("rsyslogd") or "/usr/sbin/rsyslogd"
_MODULES = (Path("/usr/lib/x86_64-linux-gnu/rsyslog"), Path("/usr/lib/aarch64-linux-gnu/rsyslog"), Path("/usr/lib/rsyslog"))
SECONDS = 20


def require_rsyslog(driver: str) -> None:
    """Skips where rsyslog or its TLS driver (`ossl`, `gtls`) is not installed."""
    if not Path(RSYSLOG).exists() or not any((folder / f"lmnsd_{driver}.so").exists() for folder in _MODULES):
        package = {"ossl": "rsyslog-openssl", "gtls": "rsyslog-gnutls"}[driver]
        pytest.skip(f"no rsyslog with its TLS driver {driver} here: apt-get install rsyslog {package}")


def _certified(folder: Path) -> tuple[Path, Path, Path]:
    """An authority of its own and what it has issued to localhost: files of authority, certificate and key."""
    authority = TestAuthority.create(folder / "pki")
    authority.issue("server", "localhost")
    return folder / "pki" / "ca.crt", *tls_files(folder / "pki", "localhost")


class Rsyslog:
    """`rsyslogd` that writes PROCID and message of each record into a file at once; `kill` is SIGKILL, `start` begins again."""

    def __init__(self, folder: Path, driver: str = "ossl") -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.output = folder / "received"
        self.authorities, self._certificate, self._key = _certified(folder)
        self.port = free_port()
        self._configuration = folder / "rsyslog.conf"
        text = _CONFIGURATION.format(
            folder=folder, driver=driver, port=self.port, output=self.output, authorities=self.authorities,
            certificate=self._certificate, key=self._key,
        )  # fmt: skip
        self._configuration.write_text(text)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, wait: bool = True) -> None:
        pid = self.folder / "pid"
        pid.unlink(missing_ok=True)
        command = [RSYSLOG, "-n", "-f", str(self._configuration), "-i", str(pid)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + SECONDS
        while wait:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            assert time.monotonic() < deadline and self._process.poll() is None, "rsyslogd has not started"
            time.sleep(0.02)

    def kill(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def __enter__(self) -> Rsyslog:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def received(self) -> list[tuple[str, str]]:
        """PROCID and message of every record that was written, repetitions kept. A line that the kill cut off is not one.

        A record begins with a line break of its own, or it would go on in a line that was cut off.
        """
        if not self.output.exists():
            return []
        lines = self.output.read_text(encoding="utf-8").splitlines(keepends=True)
        whole = [line.rstrip("\n").partition(" ") for line in lines if line.endswith("</AuditMessage>\n")]
        return [(id, message.lstrip()) for id, _, message in whole]


_CONFIGURATION = """\
global(workDirectory="{folder}" maxMessageSize="256k" defaultNetstreamDriver="{driver}"
  defaultNetstreamDriverCAFile="{authorities}" defaultNetstreamDriverCertFile="{certificate}"
  defaultNetstreamDriverKeyFile="{key}")
main_queue(queue.type="Direct")
module(load="imtcp" streamDriver.name="{driver}" streamDriver.mode="1" streamDriver.authMode="anon" maxSessions="50")
input(type="imtcp" port="{port}" address="127.0.0.1" supportOctetCountedFraming="on")
template(name="record" type="string" string="\\n%procid% %msg%\\n")
action(type="omfile" file="{output}" template="record" asyncWriting="off" flushOnTXEnd="on" queue.type="Direct")
"""


class Reluctant:
    """A receiver of TLS whose behaviour is a word: `good`; `reset` and `fin` end after `most` octets, without close_notify;
    `silent` reads everything and never ends; `plain` speaks no TLS."""

    def __init__(self, folder: Path, behaviour: str, most: int = 2000) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.authorities, certificate, key = _certified(folder)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._behaviour = behaviour
        self._most = most
        self._ended = threading.Event()
        self.octets = b""
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while not self._ended.is_set():
            with contextlib.suppress(OSError):
                connection, _ = self._listener.accept()
                with connection:
                    self._serve(connection)

    def _serve(self, connection: socket.socket) -> None:
        if self._behaviour == "plain":
            connection.sendall(b"go away\n")
            return
        with self._context.wrap_socket(connection, server_side=True) as secure:
            taken = b""
            while len(taken) < self._most or self._behaviour in ("good", "silent"):
                try:
                    piece = secure.recv(1000)
                except ssl.SSLError:
                    break
                if not piece:
                    break
                taken += piece
            self.octets += taken
            if self._behaviour == "good":
                secure.unwrap()
            elif self._behaviour == "silent":
                self._ended.wait(SECONDS)
            elif self._behaviour == "reset":
                secure.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    def __enter__(self) -> Reluctant:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._listener.close()
