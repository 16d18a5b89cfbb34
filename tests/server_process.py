"""The server as a user starts it: a process of its own, a real port, a folder of its own.

    with ServerProcess(tmp_path / "data") as server:
        urllib.request.urlopen(server.url + "/health")

Leaving the block stops the server by SIGTERM and demands that it ends with 0; `kill()` is the power cut.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
import weakref
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).resolve().parents[1]
START_SECONDS = 120
STOP_SECONDS = 120
#: A guard only: how long a test waits for what must come before it says that it has not come.
PATIENCE_SECONDS = 60
_ADDRESS = re.compile(r"(https?://[^\s/]+)/")
_GROUPS = re.compile(r"CARNET_(SERVER|STORE|ROLE|DOMAIN|MLLP|SECURITY|AUDIT|LIMITS)_")
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def _die_with_parent() -> None:
    """A test run that is killed leaves no server behind."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


#: The servers of this test run, for the report of a test that fails.
SERVERS: weakref.WeakSet[ServerProcess] = weakref.WeakSet()


class ServerProcess:
    """`python -m server serve --port 0 --data DATA ...` and what it printed.

    `arguments` are further options of `serve`; `environ` is added to the environment (settings of the caller's environment are
    left out); `database` is a database URL. `wrapper` stands before the command (`["strace", "-f", ...]`). May be started
    again after it was stopped: on the same folder and, unless `--port` says otherwise, on another port.
    """

    def __init__(
        self,
        data: Path,
        *arguments: str,
        environ: Mapping[str, str] | None = None,
        database: str = "",
        wrapper: tuple[str, ...] = (),
        python: str = sys.executable,
    ) -> None:
        self.data = data
        self.database = database
        self._command = [*wrapper, python, "-m", "server", "serve", "--data", str(data)]
        if "--port" not in arguments:
            self._command += ["--port", "0"]
        if database:
            self._command += ["--database", database]
        self._command += arguments
        inherited = {name: value for name, value in os.environ.items() if not _GROUPS.match(name)}
        self._environ = {**inherited, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **(environ or {})}
        self._process: subprocess.Popen[str] | None = None
        self._lines: list[str] = []
        self._printed = threading.Condition()
        self._announced = threading.Event()
        self._reader: threading.Thread | None = None
        self.url = ""
        SERVERS.add(self)

    # ------------------------------------------------------------------------------------------------------ life

    def start(self, healthy: bool = True) -> ServerProcess:
        """Start, and return when the server has greeted and (`healthy`) answers /health with 200."""
        self.data.parent.mkdir(parents=True, exist_ok=True)
        self._lines, self.url = [], ""
        self._announced.clear()
        self._process = subprocess.Popen(
            self._command,
            cwd=self.data.parent,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()
        self._announced.wait(START_SECONDS)
        if not self.url:
            self.kill()
            raise AssertionError(f"the server has not started:\n{self.log()}")
        if healthy:
            try:
                with urllib.request.urlopen(self.url + "/health", timeout=START_SECONDS) as answer:
                    assert answer.status == 200
            except BaseException:  # whoever fails to start it has nothing to stop
                self.kill()
                raise
        return self

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout
        greeting = last = False
        for line in process.stdout:
            with self._printed:
                self._lines.append(line)
                self._printed.notify_all()
            if line.endswith(" is ready.\n"):
                greeting = True
            match = _ADDRESS.search(line) if greeting else None  # an address that is fetched may stand in the log before it
            if match and not self.url:
                self.url = match[1]
            if last:
                self._announced.set()
            last = line == "Type next:\n"
        self._announced.set()

    def stop(self) -> None:
        """SIGTERM; the server must drain and end with 0."""
        process = self._running()
        process.send_signal(signal.SIGTERM)
        code = self.wait()
        assert code == 0, f"the server ended with {code}:\n{self.log()}"

    def kill(self) -> None:
        """SIGKILL to the server and its workers, as a power cut would."""
        process = self._running()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        self.wait()

    def wait(self) -> int:
        """The exit status, once it has ended by itself or by a signal sent before (negative: the signal's number)."""
        process = self._running()
        try:
            code = process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise AssertionError(f"the server did not end:\n{self.log()}") from None
        if self._reader is not None:
            self._reader.join(STOP_SECONDS)
        return code

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise AssertionError("the server has not been started")
        return self._process

    def __enter__(self) -> ServerProcess:
        """Starts it, unless `start` was called before."""
        return self if self.alive else self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._running().poll() is not None:
            return
        if kind is None:
            self.stop()
        else:
            self.kill()

    # ----------------------------------------------------------------------------------------------------- facts

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def registry(self) -> str:
        """Address of ITI-42 and ITI-18."""
        return f"{self.url}/xds/registry"

    @property
    def repository(self) -> str:
        """Address of ITI-41 and ITI-43."""
        return f"{self.url}/xds/repository"

    @property
    def pid(self) -> int:
        """The process that was started (it watches the workers)."""
        return self._running().pid

    @property
    def workers(self) -> list[int]:
        """The processes that answer requests."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text(encoding="ascii")
        return [int(pid) for pid in children.split()]

    def log(self) -> str:
        """Everything it has printed so far."""
        return "".join(self._lines)

    # ------------------------------------------------------------------------------- what is told after an answer is out

    # The server counts, logs and watches an exchange when its answer is out: whoever has just read the answer may be earlier.
    # What it counts comes last, so that whatever else an exchange leaves is there when it is counted.

    def told(self, *texts: str, times: int = 1) -> str:
        """The log, once it holds each of these so many times."""

        def missing() -> list[str]:
            log = self.log()
            return [text for text in texts if log.count(text) < times]

        with self._printed:
            if self._printed.wait_for(lambda: not missing(), PATIENCE_SECONDS):
                return self.log()
        raise AssertionError(f"the log does not tell {times} times {missing()}:\n{self.log()}")

    def metrics(self) -> str:
        """What /metrics says now."""
        with urllib.request.urlopen(self.url + "/metrics", timeout=PATIENCE_SECONDS) as answer:
            return str(answer.read().decode())

    def counted(self, name: str, least: float = 1) -> float:
        """The sum of the counts in /metrics whose lines begin with `name` (with labels, or some of them), once it is `least`."""
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            text = self.metrics()
            value = sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name))
            if value >= least:
                return value
            if time.monotonic() > until:
                raise AssertionError(f"{name} is {value:g} and not {least:g}:\n{text}\n{self.log()}")
            time.sleep(0.02)
