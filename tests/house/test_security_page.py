"""docs/security.md names a test for each promise: those tests exist, and no threat is passed over in silence."""

from __future__ import annotations

import re

from tests.server_process import ROOT

PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", PAGE)


def test_every_named_test_exists() -> None:
    texts = {file: (ROOT / file).read_text(encoding="utf-8") for file, _ in NAMED if (ROOT / file).is_file()}
    missing = [f"{file}::{name}" for file, name in NAMED if f"\ndef {name}(" not in texts.get(file, "")]
    assert missing == [] and len(NAMED) > 60


def test_every_threat_has_a_promise_or_a_reason() -> None:
    """The list of threats has numbers 1 to 51."""
    spoken_of = {int(number) for number in re.findall(r"\bT(\d+)\b", PAGE)}
    assert spoken_of == set(range(1, 52))


def test_every_row_of_a_promise_names_a_test() -> None:
    promises = PAGE.partition("## Promises and their tests")[2].partition("## What is not promised")[0]
    rows = [line for line in promises.splitlines() if line.startswith("| ") and not line.startswith("| what is promised")]
    assert rows and [row for row in rows if "::test_" not in row] == []


def test_settings_of_the_page_exist() -> None:
    from server.settings import TABLE

    named = set(re.findall(r"`((?:security|audit|server|limits)\.[a-z_0-9]+)", PAGE))
    assert {key for key in named if key not in TABLE} == set()
