"""Random lives of records: the server and an independent model answer alike, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.conftest import new_postgres_database
from tests.model.machine import RegistryMachine
from tests.model.wire import Server, open_server


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data: Path = tmp_path_factory.mktemp("model")
    if request.param == "sqlite":
        with open_server(data, f"sqlite:///{data / 'carnet.sqlite'}") as opened:
            yield opened
        return
    with new_postgres_database() as url, open_server(data, url) as opened:
        yield opened


def machine_of(server: Server) -> type[RegistryMachine]:
    return type("Machine", (RegistryMachine,), {"server": server})


def calm(examples: int, steps: int) -> settings:
    return settings(
        max_examples=examples, stateful_step_count=steps, deadline=None, print_blob=True, suppress_health_check=list(HealthCheck)
    )


def test_the_server_answers_like_the_model(server: Server, long: bool) -> None:
    run_state_machine_as_test(machine_of(server), settings=calm(600 if long else 12, 60 if long else 25))
