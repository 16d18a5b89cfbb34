"""The receiver of the audit trail is killed again and again while a server answers requests: no record is missing at the end."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests.durability.wire import Wire, submission
from tests.security.record_receiver import Rsyslog, require_rsyslog
from tests.server.audit_reader import KINDS, checked, opened
from tests.server.exchange import announce
from tests.server_process import ServerProcess

CLIENTS = 4
#: How long the last records may take to arrive once the receiver lives again.
SECONDS = 150


@contextmanager
def killed(receiver: Rsyslog, times: int, done: threading.Event) -> Iterator[list[int]]:
    """Meanwhile the receiver dies `times` times, most of them while it is writing; the list counts the deaths."""
    deaths = [0]
    draw = random.Random(3)

    def kill() -> None:
        while deaths[0] < times:
            size = receiver.output.stat().st_size if receiver.output.exists() else 0
            deadline = time.monotonic() + draw.choice((0.3, 5.0))
            while time.monotonic() < deadline and (receiver.output.stat().st_size if receiver.output.exists() else 0) == size:
                time.sleep(0.0005)
            time.sleep(draw.choice((0, 0, 0.001, 0.003)))
            receiver.kill()
            deaths[0] += 1
            time.sleep(draw.choice((0, 0.2)))
            receiver.start(wait=False)
        done.set()

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield deaths
    finally:
        thread.join()


def test_no_record_is_missing(tmp_path: Path, rounds: Callable[[int, int], int]) -> None:
    require_rsyslog("ossl")
    deaths, requests = rounds(4, 100), rounds(200, 5000)
    data = tmp_path / "data"
    announce(data)
    done = threading.Event()
    with Rsyslog(tmp_path / "rsyslog") as receiver:
        environ = {
            "CARNET_AUDIT_SYSLOG": f"localhost:{receiver.port}", "CARNET_AUDIT_SYSLOG_AUTHORITIES": str(receiver.authorities),
        }  # fmt: skip
        with ServerProcess(data, "--patients", "open", environ=environ) as server:
            with killed(receiver, deaths, done) as died:
                sent = _requests(server, requests, done)
            wanted = _forwarded(data)
            assert sent >= requests and len(wanted) >= sent and died[0] == deaths
            deadline = time.monotonic() + SECONDS
            while missing := wanted - {id.partition(".")[2] for id, _ in receiver.received()}:
                assert time.monotonic() < deadline, f"{len(missing)} of {len(wanted)} records are missing: {sorted(missing)[:5]}"
                time.sleep(0.2)
        received = receiver.received()
    by_id: dict[str, set[str]] = {}
    for id, message in received:
        by_id.setdefault(id, set()).add(message)
    assert all(len(messages) == 1 for messages in by_id.values()), "what came twice is the same"
    first = list(dict.fromkeys(int(id.rpartition(".")[2]) for id, _ in received))
    assert first == sorted(first), "in the order of the trail"
    assert checked(data).wrong == ()
    print(f"{sent} requests, {died[0]} deaths, {len(by_id)} records, {len(received) - len(by_id)} came again")


def _requests(server: ServerProcess, count: int, done: threading.Event) -> int:
    """Submissions, queries and retrievals by several clients: at least `count`, and until the last death."""
    guard = threading.Lock()
    sent = [0]

    def work(_: int) -> None:
        wire = Wire(server.repository, server.registry)
        one = submission(900)
        assert wire.provide(one).status.endswith("Success")
        while sent[0] < count or not done.is_set():
            with guard:
                sent[0] += 1
            assert {*wire.query(one.documents)} == {*one.documents}
            if sent[0] >= count:
                time.sleep(0.05)

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(work, range(CLIENTS)))
    return sent[0]


def _forwarded(data: Path) -> set[str]:
    """The places of all records that a receiver must get."""
    with opened(data) as (store, _):
        return {str(one.place) for lane in store.lanes() for one in store.all(lane) if KINDS[one.kind] != "begun"}
