"""Every NIST test plan, each a test, over the wire."""

from __future__ import annotations

import pytest

from tests.nist.folder import plans_folder
from tests.nist.plan import read_folder
from tests.nist.report import SEEN
from tests.nist.runner import Runner

FOLDER = plans_folder()
NAMES = sorted(read_folder(FOLDER)) if FOLDER is not None and FOLDER.is_dir() else []
WHY = "no test plans: NIST_PLANS names no folder of them, and the reference material (CARNET_SHARED, else ../shared) is not here"


@pytest.mark.skipif(not NAMES, reason=WHY)
@pytest.mark.parametrize("name", NAMES)
def test_plan(name: str, runner: Runner) -> None:
    results = runner.run(name)
    SEEN.extend(results)
    print("\n".join(result.line() for result in results))
    assert not [result.line() for result in results if result.bad]
