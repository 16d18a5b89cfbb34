"""docs/wire.md says what the tables say."""

from __future__ import annotations

from pathlib import Path

from tests.soap.wire_page import page


def test_the_page_is_written_from_the_tables() -> None:
    found = Path(__file__).resolve().parents[2] / "docs" / "wire.md"
    assert found.read_text(encoding="utf-8") == page(), "run: python -m tests.soap.wire_page > docs/wire.md"
