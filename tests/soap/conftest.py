"""The recording endpoint, in each profile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from soap.wire import Wire
from tests.server_process import ServerProcess
from tests.soap.messages import Recorder


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    """Default profile; at the end no staging file may be left."""
    recorder = Recorder(tmp_path)
    yield recorder
    assert not recorder.staged()


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[Recorder]:
    recorder = Recorder(tmp_path, Wire(strict=True))
    yield recorder
    assert not recorder.staged()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The server as a user starts it, for patients that nobody has announced."""
    data = tmp_path_factory.mktemp("wire") / "data"
    with ServerProcess(data, environ={"CARNET_DOMAIN_PATIENTS": "open"}) as server:
        yield server
