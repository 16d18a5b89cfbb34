"""libxml2 makes its table of built-in types at the first compilation, without a lock: threads of new processes begin at once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_ALL_AT_ONCE = """
import threading
from lxml import etree
from schemas.validate import validate

body = etree.fromstring('<q:AdhocQueryRequest xmlns:q="urn:oasis:names:tc:ebxml-regrep:xsd:query:3.0"/>')
together, wrong = threading.Barrier(16), []

def first():
    mine = etree.fromstring(etree.tostring(body))
    together.wait()
    try:
        assert validate(mine, "AdhocQueryRequest")
    except Exception as error:
        wrong.append(error)

threads = [threading.Thread(target=first) for _ in range(16)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
raise SystemExit("; ".join(map(str, wrong)) or 0)
"""


def test_the_first_requests_of_a_process_may_come_together(rounds: Callable[[int, int], int]) -> None:
    for _ in range(rounds(10, 500)):
        done = subprocess.run([sys.executable, "-c", _ALL_AT_ONCE], cwd=ROOT, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
