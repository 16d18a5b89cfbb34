"""`carnet test`: the tests of the checkout, in the environment that the launcher has made."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parents[2]
#: Whoever names a test wants to see it run, not workers being started.
_NAMES_TESTS = ("tests", "::", ".py")


@click.command("test", context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.option("--long", is_flag=True, help="Search and repeat far longer.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(long: bool, arguments: tuple[str, ...]) -> None:
    """Run the tests. ARGUMENTS are pytest's: `carnet test -k query`, `carnet test tests/soap -x`."""
    if not (ROOT / "tests").is_dir() or importlib.util.find_spec("pytest") is None:
        raise click.ClickException("the tests are run from a checkout, by its launcher: git clone, then ./carnet test")
    line = [sys.executable, "-m", "pytest", *(["--long"] if long else []), *arguments]
    named = any(mark in argument for argument in arguments for mark in _NAMES_TESTS)
    chosen = any(argument.startswith(("-n", "--numprocesses", "--dist")) for argument in arguments)
    if not named and not chosen and (os.cpu_count() or 1) > 1:
        line += ["-n", str(min(os.cpu_count() or 1, 8)), "--dist", "loadfile"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    sys.exit(subprocess.run(line, cwd=ROOT, env=environment, check=False).returncode)
