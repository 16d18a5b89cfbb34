"""The collector runs when it is due, once for all processes, and what it took away is what interrupted submissions left."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

import pytest

from repository.collector import Collected, collect
from server.housekeeping import Housekeeping
from server.settings import load
from server.wiring import open_kit
from tests.server.exchange import announce

HOUR = 3600.0


def test_it_runs_at_first_and_then_after_its_time(tmp_path: Path) -> None:
    runs: list[float] = []

    def run() -> Collected:
        runs.append(time.time())
        return Collected()

    stamp = tmp_path / "collected"
    keeping = Housekeeping(run, stamp, hours=24)
    assert keeping.run_when_due() is not None
    assert keeping.run_when_due() is None
    assert Housekeeping(run, stamp, hours=24).run_when_due() is None  # another process, or this one after a restart
    old = time.time() - 25 * HOUR
    os.utime(stamp, (old, old))
    assert keeping.run_when_due() is not None
    assert len(runs) == 2


def test_one_process_at_a_time(tmp_path: Path) -> None:
    stamp = tmp_path / "collected"
    with stamp.open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert Housekeeping(Collected, stamp, hours=24).run_when_due() is None
    assert Housekeeping(Collected, stamp, hours=24).run_when_due() is not None


def test_a_run_that_fails_is_due_again(tmp_path: Path) -> None:
    def fail() -> Collected:
        raise OSError("the disk is away")

    stamp = tmp_path / "collected"
    with pytest.raises(OSError, match="the disk is away"):
        Housekeeping(fail, stamp, hours=24).run_when_due()
    assert Housekeeping(Collected, stamp, hours=24).run_when_due() is not None


def test_what_a_broken_upload_left_is_removed_from_a_real_store(tmp_path: Path) -> None:
    announce(tmp_path / "data")
    kit = open_kit(load(options={"store.data": str(tmp_path / "data")}, environ={}))
    try:
        stray = kit.store.root / "tmp" / "part"
        stray.write_bytes(b"half a document")
        keeping = Housekeeping(lambda: collect(kit.store, kit.index, kit.registry), tmp_path / "collected", hours=24)
        done = keeping.run_when_due()
        assert done is not None and done.staging == 0 and stray.exists()  # it may still be arriving
        old = time.time() - 25 * HOUR
        os.utime(stray, (old, old))
        os.utime(tmp_path / "collected", (old, old))
        done = keeping.run_when_due()
        assert done is not None and done.staging == 1 and not stray.exists()
    finally:
        kit.close()
