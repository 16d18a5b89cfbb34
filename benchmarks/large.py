"""ITI-41 and ITI-43 of large documents on the embedded store: MB/s, shares of their floors, memory of the server."""

from __future__ import annotations

import os
import random
import shutil
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import BindParameter, bindparam, select

from benchmarks import floors, load, messages, processes
from benchmarks.measure import MB, Plan
from benchmarks.report import Row, both
from metadata.vocabulary import Transaction
from registry.tables import REPOSITORY_SCHEME, code
from repository.tables import document
from storage.database import open_database

#: How many transfers run at once where memory for each further one is measured, and how long each is at most.
TOGETHER = 4
_TOGETHER_SIZE = 256 * MB


def large(plan: Plan) -> Iterator[Row]:
    """Every size of the plan alone, then several transfers of the largest at once."""
    data = plan.folder / "data-large"
    shutil.rmtree(data, ignore_errors=True)
    try:
        with (
            processes.carnet(data, "", 1, None, "domain.patients=open") as server,
            processes.bare(plan.folder) as bare,
        ):
            parent, worker = server.resident()
            yield Row(what="idle worker, resident", store="SQLite", clients=0, rate=worker / MB, unit="MB")
            yield Row(what="the process that starts workers, resident", store="SQLite", clients=0, rate=parent / MB, unit="MB")
            for size in plan.large:
                plan.say(f"documents of {size // MB} MB")
                yield from _alone(server, bare, data, size, plan)
            yield from _together(server, min(max(plan.large), _TOGETHER_SIZE), plan)
    finally:
        shutil.rmtree(data, ignore_errors=True)


class _Upload:
    """One ITI-41 of `size` random octets, sent in pieces; `to` names the path."""

    def __init__(self, made: messages.Submissions, size: int) -> None:
        self._chunk = os.urandom(floors.CHUNK)
        self._count = size // len(self._chunk)
        self.unique_id = f"1.2.250.1.213.99.2.{made.seed}.{made.made + 1}"
        self._before, self._after = messages.mtom_ends(
            Transaction.ITI_41, made.provide_body(), mime="application/octet-stream"
        )
        self._length = len(self._before) + self._count * len(self._chunk) + len(self._after)

    def send(self, address: tuple[str, int], path: str) -> float:
        """Seconds until the answer is whole. Raises LoadError when it tells no success."""
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {messages.MTOM}\r\n"
        head += f"Content-Length: {self._length}\r\n\r\n"
        seconds, answer = load.upload(address, head.encode() + self._before, self._chunk, self._count, self._after)
        if path == Transaction.ITI_41.path and load.SUCCESS not in answer:
            raise load.LoadError(f"ITI-41 of {self._length} bytes: {answer[:1500]!r}")
        return seconds


def _alone(server: processes.Process, bare: processes.Process, data: Path, size: int, plan: Plan) -> Iterator[Row]:
    made = messages.Submissions(random.getrandbits(40), 5)
    raw, kept, speeds, growth = [], [], [], 0
    for number in range(plan.rounds):
        plan.say(f"upload {number + 1} of {plan.rounds}")
        one = _Upload(made, size)
        raw.append(size / one.send(bare.address, "/?size=400"))
        kept.append(floors.hash_and_write(plan.folder, size))
        with processes.peak(server) as grown:
            speeds.append(size / one.send(server.address, Transaction.ITI_41.path))
        growth = max(growth, grown[0])
    yield _row(f"ITI-41 {size // MB} MB", speeds, growth, ("raw upload", raw), ("hashes+write+fsync", kept))
    request, link = messages.retrieve(_repository(data), one.unique_id), plan.folder / "bare.bin"
    link.unlink(missing_ok=True)
    os.link(next(data.rglob(_digest(data, one.unique_id))), link)
    raw, hashed, speeds, growth = [], [], [], 0
    for _ in range(plan.rounds):
        seconds, _ = load.download(bare.address, f"GET /file?{link.name} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        raw.append(size / seconds)
        hashed.append(floors.hashing(size))
        with processes.peak(server) as grown:
            speeds.append(size / _download(server, request, size))
        growth = max(growth, grown[0])
    link.unlink()
    yield _row(f"ITI-43 {size // MB} MB", speeds, growth, ("bare file", raw), ("SHA-256", hashed))


def _download(server: processes.Process, request: bytes, size: int) -> float:
    seconds, got = load.download(server.address, request)
    if got < size:
        raise load.LoadError(f"ITI-43 of {size} bytes answered {got}")
    return seconds


def _row(what: str, speeds: list[float], growth: int, *parts: tuple[str, list[float]]) -> Row:
    """Medians in MB/s, and the share of doing both parts in turn."""
    floors_ = {name: statistics.median(values) for name, values in parts}
    floor, speed = both(*floors_.values()), statistics.median(speeds)
    shown = {name: value / MB for name, value in {**floors_, "F": floor}.items()}
    return Row(what, "SQLite", 1, speed / MB, "MB/s", floors=shown, share=speed / floor, memory=growth)


def _together(server: processes.Process, size: int, plan: Plan) -> Iterator[Row]:
    """What each further transfer adds to the memory that one takes."""
    made = messages.Submissions(random.getrandbits(40), 5)
    ups = [_Upload(made, size) for _ in range(TOGETHER + 1)]
    plan.say(f"{TOGETHER} documents of {size // MB} MB at once")
    sends = [partial(one.send, server.address, Transaction.ITI_41.path) for one in ups]
    yield _further(server, f"ITI-41 {size // MB} MB, each further one at once", size, sends)
    data = plan.folder / "data-large"
    name = _repository(data)
    requests = [messages.retrieve(name, one.unique_id) for one in ups]
    takes = [partial(_download, server, request, size) for request in requests]
    yield _further(server, f"ITI-43 {size // MB} MB, each further one at once", size, takes)


def _further(server: processes.Process, what: str, size: int, transfers: Sequence[Callable[[], float]]) -> Row:
    """The first transfer alone, the others at once."""
    with processes.peak(server) as one:
        transfers[0]()
    with processes.peak(server) as several, ThreadPoolExecutor(TOGETHER) as pool:
        start = time.perf_counter()
        for done in [pool.submit(transfer) for transfer in transfers[1:]]:
            done.result()
        seconds = time.perf_counter() - start
    further = max(0, several[0] - one[0]) // (TOGETHER - 1)
    return Row(what, "SQLite", TOGETHER, TOGETHER * size / seconds / MB, "MB/s", memory=further)


def _value(data: Path, statement: Any, value: str) -> Any:
    """The one value of a statement with one parameter."""
    database = open_database(f"sqlite:///{data / 'carnet.sqlite'}")
    try:
        with database.read() as connection:
            return connection.execute(statement, {"value": value})[0][0]
    finally:
        database.close()


_VALUE: BindParameter[Any] = bindparam("value", required=True)
_CONTENT = select(document.c.sha256).where(document.c.unique_id == _VALUE)
_CODE = select(code.c.code).where(code.c.scheme == _VALUE)


def _digest(data: Path, unique_id: str) -> str:
    """The name of the file that holds a document."""
    return bytes(_value(data, _CONTENT, unique_id)).hex()


def _repository(data: Path) -> str:
    """The repositoryUniqueId of a store, as the registry has it."""
    return str(_value(data, _CODE, REPOSITORY_SCHEME))
