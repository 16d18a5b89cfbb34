"""Servers under measurement, as processes: Carnet's and the bare one. Their memory is read from /proc."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class Process:
    """A server process group: `address`, and what its processes hold in memory."""

    def __init__(self, arguments: Sequence[str], ready: str, environ: dict[str, str] | None = None) -> None:
        """`ready` is a regular expression whose first group is the port, searched in what the process prints."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), **(environ or {})},
            text=True,
        )
        self.output: list[str] = []
        self._ready = threading.Event()
        self._pattern = re.compile(ready)
        self.address = ("127.0.0.1", 0)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if not self._ready.wait(60) or not self.address[1]:
            self.stop()
            raise RuntimeError(f"{' '.join(arguments)} did not start:\n{''.join(self.output)}")

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.output.append(line)
            match = None if self.address[1] else self._pattern.search(line)
            if match:
                self.address = ("127.0.0.1", int(match[1]))
                self._ready.set()
        self._ready.set()

    def stop(self) -> None:
        """SIGTERM, and SIGKILL for one that does not go."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(40)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(5)

    def pids(self) -> list[int]:
        """The process and its children."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        return [self._process.pid, *map(int, children.read_text().split())]

    def memory(self, field: str = "RssAnon") -> int:
        """Bytes of a field of /proc/PID/status, the largest of its processes."""
        return max(_status(pid, field) for pid in self.pids())

    def resident(self) -> tuple[int, int]:
        """VmRSS in bytes of the process that was started, and of the largest of its children: the workers. Much of what a worker
        has not written to stands in both, and in memory once."""
        parent, *workers = (_status(pid, "VmRSS") for pid in self.pids())
        return parent, max(workers, default=parent)

    def cpu(self) -> float:
        """Seconds of CPU that its processes have used."""
        return sum(_cpu(pid) for pid in self.pids())

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _status(pid: int, field: str) -> int:
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
    except FileNotFoundError:
        pass
    return 0


def _cpu(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def peak(process: Process) -> Iterator[list[int]]:
    """Sample anonymous memory while the block runs; afterwards the list holds the growth in bytes."""
    before = process.memory()
    growth = [0]
    stop = threading.Event()

    def sample() -> None:
        while not stop.is_set():
            growth[0] = max(growth[0], process.memory() - before)
            time.sleep(0.05)

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield growth
    finally:
        stop.set()
        thread.join()


def carnet(data: Path, database: str = "", workers: int = 1, environ: dict[str, str] | None = None, *settings: str) -> Process:
    """`./carnet serve` on this store."""
    arguments = ["server", "serve", "--port", "0", "--data", str(data), "--workers", str(workers)]
    if database:
        arguments += ["--database", database]
    for setting in settings:
        arguments += ["--set", setting]
    return Process(arguments, r"https?://127\.0\.0\.1:([1-9]\d*)", environ)


def bare(folder: Path, workers: int = 1, environ: dict[str, str] | None = None) -> Process:
    """The bare server with the same number of processes."""
    return Process(["benchmarks.bare", "--workers", str(workers), "--folder", str(folder)], r"port (\d+)", environ)
