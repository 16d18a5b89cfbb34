"""Servers for the proofs, processes of their own. What one test registers, no other sees: each works for patients of its own."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.nist.target import add_patients
from tests.nist.wire import Client
from tests.proof.messages import REPOSITORY
from tests.server_process import ServerProcess

_STEM = f"P{time.time_ns() // 1_000_000}"
_numbers = itertools.count(1)


def unknown_patient() -> str:
    """A patient id that nobody has announced."""
    return f"{_STEM}-{next(_numbers)}^^^&1.2.250.1.999.1.4.8&ISO"


@dataclass
class Proof:
    """A server, a client that shares nothing with it, and patients that it knows."""

    server: ServerProcess
    client: Client
    patient: Callable[[], str]


@contextlib.contextmanager
def open_proof(
    data: Path, *arguments: str, environ: dict[str, str] | None = None, known: int = 60, healthy: bool = True
) -> Iterator[Proof]:
    """A server on `data` that knows `known` patients; more are made known when these are used up. `healthy`: wait for it."""
    settings = {"CARNET_ROLE_REPOSITORY_UNIQUE_ID": REPOSITORY, **(environ or {})}
    server = ServerProcess(data, *arguments, environ=settings).start(healthy)
    with contextlib.ExitStack() as ending:
        ending.push(server.__exit__)
        add = add_patients(data)
        ready: list[str] = []

        def patient() -> str:
            if not ready:
                ready.extend(unknown_patient() for _ in range(known))
                add(ready)
            return ready.pop()

        yield Proof(server, Client(server.registry, server.repository), patient)


@pytest.fixture(scope="session")
def proof(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proof]:
    """A server with every setting at its default."""
    with open_proof(tmp_path_factory.mktemp("proof") / "data") as opened:
        yield opened
