"""The fuzz targets: everything that was ever found is tried again, and each target is fuzzed for a bounded time.

`--long` fuzzes each for ten minutes. What it finds is written into the failure; with the repair it goes into
`corpus/TARGET/NAME.bin`.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS
from tests.server_process import ROOT

CORPUS = Path(__file__).parent / "corpus"
SEEDS = [(target, path) for target in TARGETS for path in sorted((CORPUS / target).iterdir())]


@pytest.mark.parametrize(("target", "path"), SEEDS, ids=lambda value: value if isinstance(value, str) else value.stem)
def test_what_was_kept_is_understood_or_refused(target: str, path: Path) -> None:
    TARGETS[target](path.read_bytes())


@pytest.mark.parametrize(("target", "seed"), [("mtom", "provide"), ("envelope", "query"), ("query", "06"), ("signed_set", "ihe")])
def test_each_target_understands_what_is_right(target: str, seed: str) -> None:
    """A target that refuses everything would find nothing."""
    assert TARGETS[target]((CORPUS / target / f"{seed}.bin").read_bytes()) is not None


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is not installed (Linux on x86-64 has it)")
@pytest.mark.parametrize("target", TARGETS)
def test_fuzzing_finds_nothing(target: str, tmp_path: Path, long: bool) -> None:
    seconds = 600 if long else 1
    found = tmp_path / "corpus"
    found.mkdir()
    command = [sys.executable, "-m", "tests.fuzz.run", target, f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=1024"]
    command += ["-max_len=20000", f"-artifact_prefix={tmp_path}/", str(found), str(CORPUS / target)]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, cwd=tmp_path, env=environ, check=False)
    crashes = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    assert ran.returncode == 0 and not crashes, f"{crashes}\n{ran.stderr[-4000:]}"
    assert "Done " in ran.stderr, ran.stderr[-4000:]
