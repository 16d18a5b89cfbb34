"""One real server for all tests of the client side, and the commands run against it as a user types them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from server.__main__ import program
from server.sample_people import Patient, make_patients
from tests.server_process import ServerProcess

Carnet = Callable[..., Result]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The server with the ten patients of `people` known to it."""
    data = tmp_path_factory.mktemp("client") / "data"
    known = [patient.cx() for patient in make_patients(10, 7)]
    added = CliRunner().invoke(program, ["patient", "add", *known, "--data", str(data)])
    assert added.exit_code == 0, added.output
    with ServerProcess(data) as process:
        yield process


@pytest.fixture(scope="session")
def people() -> list[Patient]:
    """Patients known to the server; each test takes its own."""
    return make_patients(10, 7)


@pytest.fixture
def carnet(server: ServerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Carnet:
    """`carnet("query", "--patient", cx)`: the command in this process, in a folder of its own, against the server."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CARNET_URL", server.url)
    return lambda *arguments: CliRunner().invoke(program, list(map(str, arguments)))
