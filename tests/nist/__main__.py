"""`python -m tests.nist [FOLDER] [TEST...]`: run NIST test plans, print a line per step, end with 1 when one fails.

FOLDER defaults to NIST_PLANS, then to data/nist of the reference material. Without NIST_TARGET a server of our own is started.
"""

from __future__ import annotations

import sys
from pathlib import Path

from conformance.nist.exceptions import read_exceptions
from conformance.nist.plan import PlanError, read_folder
from conformance.nist.report import summary
from conformance.nist.runner import Runner
from tests.nist.folder import base_data, plans_folder
from tests.nist.target import open_target


def main(arguments: list[str]) -> int:
    folder = Path(arguments[0]) if arguments else plans_folder()
    if folder is None:
        print("no folder of plans: name one, set NIST_PLANS, or CARNET_SHARED", file=sys.stderr)
        return 2
    try:
        tests = read_folder(folder)
    except PlanError as error:
        print(error, file=sys.stderr)
        return 2
    chosen = arguments[1:] or list(tests)
    unknown = sorted(set(chosen) - set(tests))
    if unknown or not tests:
        print(f"{folder} has no test {', '.join(unknown) or 'at all'}", file=sys.stderr)
        return 2
    results = []
    with open_target() as target:
        runner = Runner(tests, target, read_exceptions(), base_data(folder))
        for name in chosen:
            for result in runner.run(name):
                results.append(result)
                print(result.line(), flush=True)
    for line in summary(results):
        print(line)
    return 1 if any(result.bad for result in results) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
