"""The plans as tests: one server and one runner for all of them, and the summary at the end of the run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.nist.exceptions import read_exceptions
from tests.nist.folder import base_data, plans_folder
from tests.nist.plan import read_folder
from tests.nist.report import SEEN, summary
from tests.nist.runner import Runner
from tests.nist.target import open_target


@pytest.fixture(scope="session")
def runner() -> Iterator[Runner]:
    folder = plans_folder()
    assert folder is not None, "the test that asks for a runner has not been skipped"
    with open_target() as target:
        yield Runner(read_folder(folder), target, read_exceptions(), base_data(folder))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if SEEN:
        terminalreporter.section("NIST test plans")
        for line in summary(SEEN):
            terminalreporter.write_line(line)
