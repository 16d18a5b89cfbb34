"""Serves variants of the server, each in a process of its own, from one program that was loaded once.

    python -m tests.conformance.variants_serve FOLDER NAME...

prints `NAME URL` for each as soon as it answers; SIGTERM ends them all. What a variant prints is in FOLDER/NAME.log.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest

from server.__main__ import program
from tests.conformance.variants import SOUND, VARIANTS, Variant
from tests.server_process import _die_with_parent

_ADDRESS = re.compile(r"(http://[^\s/]+)/")
_SECONDS = 60


def _serve(variant: Variant, folder: Path) -> None:
    """In the child: the fault is put in, and `carnet serve` runs as it always does. Never returns."""
    code = 1
    try:
        log = os.open(folder / f"{variant.name}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        variant.fault(pytest.MonkeyPatch())
        program(["serve", "--data", str(folder / variant.name), "--port", "0"], standalone_mode=False)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    finally:
        sys.stdout.flush()
        os._exit(code)


def _address(variant: Variant, folder: Path, child: int) -> str:
    """Waits for the greeting. Raises RuntimeError when the child ends before it."""
    for _ in range(_SECONDS * 50):
        log = folder / f"{variant.name}.log"
        found = _ADDRESS.search(log.read_text(encoding="utf-8")) if log.exists() else None
        if found:
            return found[1]
        if os.waitpid(child, os.WNOHANG)[0]:
            break
        time.sleep(0.02)
    raise RuntimeError(f"{variant.name} has not started")


def main(folder: Path, names: list[str]) -> int:
    """Exit status: 0 when every variant ended with 0."""
    import server.commands.serve  # noqa: F401 - loaded before the forks
    from server import http, identify, identity_feed, metrics, preparation, signing, trust, wiring  # noqa: F401

    chosen = [variant for variant in (SOUND, *VARIANTS) if variant.name in names]
    children: dict[int, Variant] = {}
    ended = []
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        for variant in chosen:
            child = os.fork()
            if not child:
                _die_with_parent()
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                _serve(variant, folder)
            children[child] = variant
        for child, variant in children.items():
            print(variant.name, _address(variant, folder, child), flush=True)
        signal.pause()
    finally:
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGTERM)
        for child in children:
            with contextlib.suppress(ChildProcessError):
                ended.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        for variant in chosen:
            shutil.rmtree(folder / variant.name, ignore_errors=True)
        if any(ended):
            os._exit(1)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
