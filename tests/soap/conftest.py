"""The recording endpoint, in each profile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from soap.wire import Wire
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
