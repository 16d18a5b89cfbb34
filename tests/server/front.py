"""A real nginx with the configuration that `deploy/` ships, in front of a server on a unix socket."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType

from tests.ports import free_port
from tests.server_process import PATIENCE_SECONDS

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
_MAIN = """
daemon off;
{user}
pid {home}/nginx.pid;
error_log {home}/error.log info;
worker_processes 1;
events {{ worker_connections 1024; }}
http {{
    client_body_temp_path {home}/bodies;
    proxy_temp_path {home}/answers;
    fastcgi_temp_path {home}/unused;
    uwsgi_temp_path {home}/unused;
    scgi_temp_path {home}/unused;
    lingering_timeout 300ms;
    include {home}/carnet.conf;
}}
"""


class Front:
    """nginx on `port`; files of certificates are those of a test authority. `changes` replace text of the configuration."""

    def __init__(self, home: Path, pki: Path, server_socket: Path, **changes: str) -> None:
        self.home = home
        self.port = free_port()
        home.mkdir(parents=True, exist_ok=True)
        text = (ROOT / "deploy" / "nginx.conf").read_text(encoding="utf-8")
        places = {
            "/etc/carnet/tls/server": f"{pki}/server",
            "/etc/carnet/tls/authorities.crt": f"{pki}/ca.crt",
            "/run/carnet/carnet.sock": str(server_socket),
            "/var/log/nginx/carnet.log": f"{home}/access.log",
            "listen 443 ssl": f"listen 127.0.0.1:{self.port} ssl",
        }
        for old, new in places.items():
            assert old in text, old
            text = text.replace(old, new)
        for name, value in changes.items():
            text, count = re.subn(rf"\b{name}\s+[^;]+;", f"{name} {value};", text)
            assert count, name
        (home / "carnet.conf").write_text(text, encoding="utf-8")
        user = "user root;" if os.geteuid() == 0 else ""
        (home / "main.conf").write_text(_MAIN.format(home=home, user=user), encoding="utf-8")

    def command(self, *options: str) -> list[str]:
        assert PROGRAM
        return [PROGRAM, "-p", str(self.home), "-e", str(self.home / "error.log"), "-c", str(self.home / "main.conf"), *options]

    def __enter__(self) -> Front:
        self._process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL)
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_SECONDS).close()
                return self
            except OSError:
                if self._process.poll() is not None:
                    break
                time.sleep(0.02)
        self._end()
        raise AssertionError((self.home / "error.log").read_text())

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end()

    def _end(self) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE_SECONDS)

    def logs(self, *words: str) -> bool:
        """Whether a line of nginx's access log comes to hold all these words: it is written after the answer."""
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            if any(all(word in line for word in words) for line in (self.home / "access.log").read_text("utf-8").splitlines()):
                return True
            time.sleep(0.02)
        return False
