"""A PostgreSQL server of our own whose flushes are slower: the library that slows them has to be there when it starts."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import delayed

#: Where Debian keeps the programs that are not on the PATH.
_DEBIAN = "/usr/lib/postgresql"


def programs() -> Path | None:
    """The folder with initdb and pg_ctl, of the newest version; None where there is none."""
    found = shutil.which("pg_ctl")
    if found:
        return Path(found).resolve().parent
    folders = [f for f in Path(_DEBIAN).glob("*/bin") if (f / "pg_ctl").exists()]
    return max(folders, key=lambda f: float(f.parent.name), default=None)


@contextlib.contextmanager
def slow_server(bin_folder: Path, library: Path) -> Iterator[str]:
    """The URL of a fresh server, gone with everything in it at the end. PostgreSQL refuses root: it then runs as postgres."""
    user = "postgres" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="carnet-slow-"))
    try:
        own = Path(shutil.copy(library, folder))
        if user:
            shutil.chown(folder, user)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        data, log = folder / "data", folder / "log"
        settings = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c max_connections=200 -c shared_buffers=256MB"

        def call(program: str, *arguments: str, **environ: str) -> None:
            command = [str(bin_folder / program), "-D", str(data), *arguments]
            quiet = subprocess.DEVNULL  # a pipe would be held open by the server
            subprocess.run(
                command, user=user, group=user, extra_groups=[] if user else None, cwd=folder, env={**os.environ, **environ},
                stdin=quiet, stdout=quiet, check=True, timeout=120,
            )  # fmt: skip

        call("initdb", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
        call("pg_ctl", "-l", str(log), "-w", "-o", settings, "start", **delayed(own))
        try:
            yield f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres"
        finally:
            call("pg_ctl", "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
