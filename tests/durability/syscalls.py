"""What a traced process asked of the kernel, in the order in which the questions began and were answered.

Of two calls, one is surely before the other when it has returned before the other began (`before`): in a process with threads
lines alone prove nothing.
"""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

TRACED = "mkdir,openat,write,pwrite64,writev,fsync,fdatasync,ftruncate,rename,renameat,renameat2,sendto,sendmsg,recvfrom"
_WHOLE = re.compile(r"(\d+) +(\w+)\((.*)\)\s+= (-?\w+)")
_BEGUN = re.compile(r"(\d+) +(\w+)\((.*) <unfinished \.\.\.>$")
_ENDED = re.compile(r"(\d+) +<\.\.\. (\w+) resumed>(.*)\)\s+= (-?\w+)")


@dataclass(slots=True)
class Syscall:
    """`arguments` as strace writes them, file descriptors with their paths; `begin` and `end` are line numbers."""

    name: str
    arguments: str
    result: str
    begin: int
    end: int

    def before(self, other: Syscall) -> bool:
        return self.end < other.begin


def wrapper(trace: Path) -> tuple[str, ...]:
    """What stands before a command to be traced into `trace`; skips where processes cannot be traced."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    tried = subprocess.run([strace, "-o", "/dev/null", "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"processes cannot be traced here: {tried.stderr.strip()[-200:]}")
    return (strace, "-f", "-qq", "-y", "-s", "400", "-e", f"trace={TRACED}", "-o", str(trace))


def read(trace: Path) -> list[Syscall]:
    """The calls of a trace that have returned, in the order of their returns."""
    calls: list[Syscall] = []
    open_calls: dict[str, tuple[int, str]] = {}
    for number, line in enumerate(trace.read_text(encoding="utf-8", errors="replace").splitlines()):
        if match := _WHOLE.match(line):
            calls.append(Syscall(match[2], match[3], match[4], number, number))
        elif match := _BEGUN.match(line):
            open_calls[match[1]] = (number, match[3])
        elif (match := _ENDED.match(line)) and match[1] in open_calls:
            begun, arguments = open_calls.pop(match[1])
            calls.append(Syscall(match[2], arguments + match[3], match[4], begun, number))
    return calls


def requests(calls: list[Syscall]) -> Iterator[list[Syscall]]:
    """The calls of one request after another, each with the start of its answer as the last, for a client that waits."""
    rest: list[Syscall] = []
    for call in calls:
        rest.append(call)
        if call.name in ("sendto", "sendmsg", "write", "writev") and '"HTTP/1.1 200' in call.arguments:
            yield rest
            rest = []


def some(calls: list[Syscall], *names: str, having: str) -> list[Syscall]:
    """The successful calls of these names whose arguments hold `having`."""
    return [c for c in calls if c.name in names and having in c.arguments and not c.result.startswith("-")]


def only(calls: list[Syscall], *names: str, having: str) -> Syscall:
    found = some(calls, *names, having=having)
    assert len(found) == 1, (names, having, found)
    return found[0]


def in_order(*calls: Syscall) -> bool:
    """Each has returned before the next began."""
    return all(first.before(second) for first, second in itertools.pairwise(calls))
