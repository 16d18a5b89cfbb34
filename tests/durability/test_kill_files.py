"""`kill -9` while a document becomes durable: before any transaction, on SQLite. What was not answered is not there."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from storage.crash import CRASH_POINTS
from tests.durability.campaign import Campaign

STEPS = CRASH_POINTS[: CRASH_POINTS.index("write-begun")]


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    """One store through all deaths: each step also finds what the deaths before have left behind."""
    return Campaign(tmp_path_factory.mktemp("files") / "data")


@pytest.mark.parametrize("step", STEPS)
def test_kill(campaign: Campaign, step: str, rounds: Callable[[int, int], int]) -> None:
    campaign.kill_at(step, 2 + STEPS.index(step) % 3, rounds(10, 200))


def test_nothing_is_lost_in_the_end(campaign: Campaign) -> None:
    campaign.finish()
