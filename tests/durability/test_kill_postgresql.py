"""`kill -9` at all twelve steps with the registry and the small documents in PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from storage.crash import CRASH_POINTS
from tests.conftest import new_postgres_database
from tests.durability.campaign import PASSAGE_OF_ANSWERS, Campaign

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campaign]:
    """One store through all deaths."""
    with new_postgres_database() as url:
        yield Campaign(tmp_path_factory.mktemp("postgresql") / "data", url)


@pytest.mark.parametrize("step", CRASH_POINTS)
def test_kill(campaign: Campaign, step: str, rounds: Callable[[int, int], int]) -> None:
    passage = PASSAGE_OF_ANSWERS if step == "answer-before" else 2 + CRASH_POINTS.index(step) % 3
    campaign.kill_at(step, passage, rounds(2, 50))


def test_nothing_is_lost_in_the_end(campaign: Campaign) -> None:
    campaign.finish()
