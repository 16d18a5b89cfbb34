"""Random lives of records: the server and an independent model answer alike, on SQLite and on PostgreSQL.

That the comparison would notice a mistake is shown with servers that have one (`tests.model.faults`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.errors import Flaky
from hypothesis.stateful import run_state_machine_as_test

from tests.conftest import new_postgres_database
from tests.model.faults import FAULTS, Fault
from tests.model.machine import RegistryMachine
from tests.model.wire import Server, open_server

KINDS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


@contextlib.contextmanager
def new_server(kind: str, data: Path) -> Iterator[Server]:
    """A server on a new database of this kind."""
    with contextlib.ExitStack() as ending:
        url = f"sqlite:///{data / 'carnet.sqlite'}" if kind == "sqlite" else ending.enter_context(new_postgres_database())
        yield ending.enter_context(open_server(data, url))


def machine_of(server: Server) -> type[RegistryMachine]:
    return type("Machine", (RegistryMachine,), {"server": server})


def calm(examples: int, steps: int, **more: Any) -> settings:
    return settings(
        max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=list(HealthCheck), **more
    )


def finds_something(server: Server, number: int) -> bool:
    """Whether the machine fails within 60 runs from this seed."""
    machine = machine_of(server)
    seed(number)(machine)
    found = calm(60, 30, database=None, phases=[Phase.generate], report_multiple_bugs=False)
    try:
        run_state_machine_as_test(machine, settings=found)
    except (AssertionError, Flaky):  # Flaky: what depends on the second in which it happens
        return True
    return False


@pytest.mark.parametrize("kind", KINDS)
def test_the_server_answers_like_the_model(kind: str, tmp_path: Path, long: bool) -> None:
    with new_server(kind, tmp_path) as server:
        phases = [Phase.reuse, Phase.generate, *([Phase.shrink] if long else [])]  # shrinking takes minutes
        asked = calm(600 if long else 8, 60 if long else 25, print_blob=True, phases=phases)
        run_state_machine_as_test(machine_of(server), settings=asked)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_is_found(fault: Fault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, long: bool) -> None:
    """By the machine as it is, from one seed. With --long from twenty, each of which must find it."""
    fault(monkeypatch)
    with new_server("sqlite", tmp_path) as server:
        missed = [number for number in (range(20) if long else [3]) if not finds_something(server, number)]
        assert not missed, f"not found from the seeds {missed}"
