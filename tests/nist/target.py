"""The server that the plans are run against: one of our own, or the one that NIST_TARGET names.

NIST_TARGET            base URL of a server with /xds/registry and /xds/repository, or two URLs "REGISTRY REPOSITORY"
NIST_REPOSITORY_ID     its repositoryUniqueId (our own server is told one)
NIST_MLLP              HOST:PORT of its listener for ITI-64, where it has one
NIST_PATIENT_COMMAND   command that makes patients known to it; the ids are appended as arguments. Unset: it is taken to
                       accept any patient
"""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from conformance.nist.target import Target
from conformance.wire import Client
from tests.ports import free_port
from tests.server_process import ROOT, ServerProcess

REPOSITORY_ID = "1.3.6.1.4.1.21367.2011.2.3.7"
COMMAND_SECONDS = 120


def add_patients(data: Path, database: str = "") -> Callable[[Iterable[str]], None]:
    """`patient add` on the store of a server of our own."""
    store = ["--data", str(data), *(["--database", database] if database else [])]

    def announce(patients: Iterable[str]) -> None:
        run_command([sys.executable, "-m", "server", "patient", "add", *store, *patients])

    return announce


def run_command(command: list[str]) -> str:
    """What the command printed; AssertionError with all of it when it fails."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environ, timeout=COMMAND_SECONDS, check=False)
    assert done.returncode == 0, f"{command[:6]} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout


@contextlib.contextmanager
def open_target() -> Iterator[Target]:
    """The target that the environment names, or a server of our own that ends with the block."""
    named = os.environ.get("NIST_TARGET", "").split()
    if named:
        yield _foreign(named)
    else:
        with own_target() as target:
            yield target


@contextlib.contextmanager
def own_target(database: str = "") -> Iterator[Target]:
    """A server of our own, on SQLite or the database of this URL."""
    with tempfile.TemporaryDirectory(prefix="carnet-nist-") as folder:
        data = Path(folder) / "data"
        environ = {
            "CARNET_ROLE_REPOSITORY_UNIQUE_ID": REPOSITORY_ID,
            "CARNET_DOMAIN_PATIENTS": "known",
            "CARNET_DOMAIN_LINK_CHANGE": "LinkChange^Link change^1.3.6.1.4.1.21367.2017.3",
        }
        port = free_port()
        with ServerProcess(data, "--mllp-port", str(port), environ=environ, database=database) as server:
            client = Client(server.registry, server.repository)
            yield Target(client, REPOSITORY_ID, add_patients(data, database), f"127.0.0.1:{port}")


def _foreign(named: list[str]) -> Target:
    base = named[0].rstrip("/")
    registry, repository = named if len(named) == 2 else (f"{base}/xds/registry", f"{base}/xds/repository")
    command = shlex.split(os.environ.get("NIST_PATIENT_COMMAND", ""))

    def announce(patients: Iterable[str]) -> None:
        if command:
            run_command([*command, *patients])

    client, environ = Client(registry, repository), os.environ
    return Target(client, environ.get("NIST_REPOSITORY_ID", ""), announce, environ.get("NIST_MLLP", ""))
