"""The plans as tests: one server and one runner for all of them, and the summary at the end of the run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from conformance.nist.exceptions import read_exceptions
from conformance.nist.plan import read_folder
from conformance.nist.report import PROPERTY, summary
from conformance.nist.runner import Result, Runner
from tests.nist.folder import base_data, plans_folder
from tests.nist.target import open_target


@pytest.fixture(scope="session")
def runner() -> Iterator[Runner]:
    folder = plans_folder()
    assert folder is not None, "the test that asks for a runner has not been skipped"
    with open_target() as target:
        yield Runner(read_folder(folder), target, read_exceptions(), base_data(folder))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """From the properties of the reports, for the tests may have run in other processes than this one."""
    reports = [*terminalreporter.stats.get("passed", ()), *terminalreporter.stats.get("failed", ())]
    rows = [value for report in reports for key, value in report.user_properties if key == PROPERTY]
    if rows:
        terminalreporter.section("NIST test plans")
        for line in summary(Result.of_row(row) for row in rows):
            terminalreporter.write_line(line)
