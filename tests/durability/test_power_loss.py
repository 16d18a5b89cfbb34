"""The current fails: an ext4 of its own in a file, stopped at a random moment so that everything that was not flushed is lost.

Needs root and a loop device. The server's process survives its disk for a moment, which no real one does: what it answers once
the failure has begun never left the building, so those submissions count as unanswered.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import shutil
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.durability.campaign import Campaign, Ledger
from tests.durability.wire import SUCCESS, NoAnswer, Wire, submission

#: EXT4_IOC_SHUTDOWN, and its way of failing without writing the journal first.
_SHUTDOWN, _NO_FLUSH = 0x8004587D, 2
#: Then the disk is full of documents, and a new one is taken.
ROUNDS_OF_A_STORE = 10
SHAPES = ((900,), (40_000,), (70_000, 500), (300_000,), (1_200_000,))


class Disk:
    """An ext4 in a loop file. `fail` takes the current away; `restart` mounts it again, which replays its journal."""

    def __init__(self, folder: Path) -> None:
        self.image = folder / "image"
        self.mounted_at = folder / "disk"
        self.mounted_at.mkdir()
        self.format()

    def format(self) -> None:
        """Make it empty."""
        with self.image.open("wb") as file:
            file.truncate(400 << 20)
        self._run("mkfs.ext4", "-q", "-F", str(self.image))
        self._mount()

    @staticmethod
    def _run(*command: str) -> None:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")

    def _mount(self) -> None:
        self._run("mount", "-o", "loop,data=ordered", str(self.image), str(self.mounted_at))

    def fail(self) -> None:
        descriptor = os.open(self.mounted_at, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _SHUTDOWN, struct.pack("I", _NO_FLUSH))
        finally:
            os.close(descriptor)

    def restart(self) -> None:
        self.unmount()
        self._mount()

    def unmount(self) -> None:
        """The dying server may hold it for a moment."""
        for _ in range(100):
            with contextlib.suppress(OSError):
                self._run("umount", str(self.mounted_at))
                break
            time.sleep(0.05)
        else:
            raise OSError("the disk cannot be unmounted")
        for _ in range(100):
            users = subprocess.run(["losetup", "-j", str(self.image)], capture_output=True, text=True, check=False).stdout
            if not users.strip():
                return
            time.sleep(0.05)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    if os.geteuid() or not all(map(shutil.which, ("mkfs.ext4", "mount", "losetup"))):
        pytest.skip("a disk whose current can be cut needs root, mkfs.ext4 and mount")
    try:
        made = Disk(tmp_path)
    except OSError as error:
        pytest.skip(f"no loop device here: {error}")
    yield made
    subprocess.run(["umount", "-l", str(made.mounted_at)], capture_output=True, check=False)  # frees the loop device as well


@pytest.mark.long
def test_power_loss(disk: Disk, rounds: Callable[[int, int], int]) -> None:
    """Documents and SQLite on the disk that fails; a round takes up the store that the one before has left."""
    draw = random.Random(7)
    acknowledged = 0
    for number in range(rounds(1, 50)):
        if number % ROUNDS_OF_A_STORE == 0:
            if number:
                disk.unmount()
                disk.format()
            campaign = Campaign(disk.mounted_at / "data")
        ledger = _until_the_current_fails(campaign, disk, draw.uniform(0.3, 1.0))
        acknowledged += len(ledger.acknowledged)
        disk.restart()
        campaign.remember(ledger)
        campaign.check()
        campaign.finish()
    assert acknowledged > 0


def _until_the_current_fails(campaign: Campaign, disk: Disk, seconds: float) -> Ledger:
    """Clients submit side by side; after `seconds` everything that is not on the disk is gone."""
    ledger, over = Ledger(), threading.Event()
    server = campaign.server()
    server.start(healthy=False)
    try:
        wire = Wire(server.repository, server.registry)
        with ThreadPoolExecutor(4) as pool:
            clients = [pool.submit(_client, wire, ledger, over, number) for number in range(3)]
            time.sleep(seconds)
            over.set()
            disk.fail()
            for client in clients:
                client.result()
    finally:
        server.kill()
    return ledger


def _client(wire: Wire, ledger: Ledger, over: threading.Event, seed: int) -> None:
    draw = random.Random(seed)
    while not over.is_set():
        sent = submission(*draw.choice(SHAPES))
        try:
            promised = wire.provide(sent).status == SUCCESS and not over.is_set()
        except NoAnswer:
            promised = False
        with ledger.guard:
            (ledger.acknowledged if promised else ledger.unanswered).append(sent)
