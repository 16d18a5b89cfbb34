"""Disks that can be filled and made read-only: a small file system of its own (needs root)."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """An empty tmpfs at `folder`, which is made. Skips where it cannot be mounted."""
    folder.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here (needs root): {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def remount(folder: Path, how: str) -> None:
    """`ro` or `rw`."""
    subprocess.run(["mount", "-o", f"remount,{how}", str(folder)], check=True)


@contextlib.contextmanager
def filled(folder: Path, leave: int = 0) -> Iterator[None]:
    """The disk of `folder` full but for `leave` bytes, as another program would fill it."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(64 * 1024))
    size = filler.stat().st_size
    if leave:
        with filler.open("r+b") as file:
            file.truncate(max(size - leave, 0))
    try:
        yield
    finally:
        filler.unlink()
