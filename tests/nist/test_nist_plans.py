"""Every NIST test plan, each a test, over the wire."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from conformance.nist.exceptions import read_exceptions
from conformance.nist.plan import read_folder
from conformance.nist.report import PROPERTY
from conformance.nist.runner import Runner
from tests.nist.folder import base_data, plans_folder
from tests.nist.target import own_target

FOLDER = plans_folder()
NAMES = sorted(read_folder(FOLDER)) if FOLDER is not None and FOLDER.is_dir() else []
WHY = "no test plans: NIST_PLANS names no folder of them, and the reference material (CARNET_SHARED, else ../shared) is not here"
DECIDED_BY_SQL = {
    "11897", "11899", "11905", "11908", "11909", "12022", "12326", "15803", "15805", "12364", "30001", "30004", "30007",
}  # fmt: skip


@pytest.mark.skipif(not NAMES, reason=WHY)
@pytest.mark.parametrize("name", NAMES)
def test_plan(name: str, runner: Runner, record_property: Callable[[str, object], None]) -> None:
    results = runner.run(name)
    for result in results:
        record_property(PROPERTY, result.row())
    print("\n".join(result.line() for result in results))
    assert not [result.line() for result in results if result.bad]


@pytest.mark.postgres
@pytest.mark.skipif(not NAMES, reason=WHY)
def test_plans_on_postgresql(postgres_url: str, long: bool) -> None:
    """The same against a server of our own on PostgreSQL: those whose answers SQL decides, or all of them with --long."""
    assert FOLDER is not None
    chosen = [name for name in NAMES if long or name in DECIDED_BY_SQL] or NAMES
    with own_target(postgres_url) as target:
        runner = Runner(read_folder(FOLDER), target, read_exceptions(), base_data(FOLDER))
        assert not [result.line() for name in chosen for result in runner.run(name) if result.bad]
