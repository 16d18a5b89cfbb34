"""A secured server whose revocation lists come over HTTP; a plain server on a unix socket."""

from __future__ import annotations

import http.client
import socket
import stat
import time
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest

from security.pki import TestAuthority
from security.tls import client_context
from server.http import listen_at
from tests.server.exchange import announce
from tests.server.test_secure import CERTIFICATES_ALONE, asked, rule_of
from tests.server.test_serve import refused_start
from tests.server_process import PATIENCE_SECONDS, ServerProcess


def test_lists_come_over_http_and_outlive_their_authority(tmp_path: Path) -> None:
    authority = TestAuthority.create(tmp_path / "pki")
    authority.issue("person", "card", key_type="ec")
    folder = authority.folder

    class Quiet(SimpleHTTPRequestHandler):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, directory=str(folder), **kwargs)

        def log_message(self, format: str, *args: Any) -> None:
            """Says nothing."""

    web = ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    Thread(target=web.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    announce(tmp_path / "store")
    options = {"crl_urls": f"http://127.0.0.1:{web.server_port}/ca.crl", "crl_minutes": "0.01"}
    words = [word for key, value in options.items() for word in ("--set", f"security.{key}={value}")]
    server = ServerProcess(tmp_path / "store", "--secure", "--pki", str(folder), *words, *CERTIFICATES_ALONE)
    context = client_context(*(str(folder / name) for name in ("ca.crt", "card.crt", "card.key")))

    def ask() -> tuple[int, bytes]:
        return asked(http.client.HTTPSConnection("localhost", urlsplit(server.url).port, timeout=60, context=context))

    with server.start(healthy=False):
        assert ask()[0] == 200, "the first list is there before the first request"
        authority.revoke("card")
        until = time.monotonic() + PATIENCE_SECONDS
        while (answer := ask())[0] == 200 and time.monotonic() < until:
            time.sleep(0.05)
        assert rule_of(answer[1]) == "PKI-004"
    web.shutdown()
    web.server_close()
    with server.start(healthy=False):
        assert rule_of(ask()[1]) == "PKI-004", "the list that was kept is in force, the authority is gone"
        server.told("revocation list not fetched")


# ---------------------------------------------------------------------------------------------------------- unix sockets


def over_socket(path: Path, target: str) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(60)
        sock.connect(str(path))
        sock.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        data = b""
        while piece := sock.recv(65536):
            data += piece
    return data


def test_a_unix_socket_is_served(tmp_path: Path) -> None:
    path = tmp_path / "carnet.sock"
    with ServerProcess(tmp_path / "one", "--socket", str(path)).start(healthy=False) as server:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert b'"status": "ok"' in over_socket(path, "/health")
        assert b" 403 " in over_socket(path, "/metrics").split(b"\r\n")[0], "who comes over a socket is nobody known"
        assert f"unix socket {path}" in server.log()


def test_what_stands_at_the_path_of_a_socket_is_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "carnet.sock"
    with listen_at(str(path)), pytest.raises(OSError, match="a server listens there"):
        listen_at(str(path))
    assert path.exists(), "a dead server leaves it behind"
    listen_at(str(path)).close()
    path.unlink()
    path.write_text("precious")
    with pytest.raises(OSError, match="something that is no socket stands there"):
        listen_at(str(path))
    assert path.read_text() == "precious"
    assert f"server.socket = {path}: something that is no socket" in refused_start(tmp_path / "store", "--socket", str(path))
