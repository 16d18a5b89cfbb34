"""A disk that is full or read-only: a clear error, nothing half stored, and service as before without a restart."""

from __future__ import annotations

import contextlib
import resource
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.conftest import new_postgres_database
from tests.durability.campaign import Campaign, seen
from tests.durability.disk import filled, remount, small_disk
from tests.durability.wire import FAILURE, SUCCESS, Reply, Submission, Wire, submission
from tests.server_process import PATIENCE_SECONDS, ServerProcess

OUT_OF_RESOURCES, BROKEN = "XDSRepositoryOutOfResources", "XDSRepositoryError"
NO_HEADROOM = {"CARNET_STORE_HEADROOM": "0"}


def serving(data: Path, database: str = "", **settings: str) -> ServerProcess:
    environ = {**NO_HEADROOM, **settings}
    return ServerProcess(data, "--patients", "open", environ=environ, database=database)


def refused(wire: Wire, sent: Submission, *codes: str) -> Reply:
    """The submission is refused with one of the codes and leaves nothing that can be found."""
    reply = wire.provide(sent)
    assert reply.status == FAILURE, reply
    assert set(reply.codes) <= set(codes), reply
    assert "again when the operator" in reply.errors[0][1], reply
    return reply


def accepted(wire: Wire, *sent: Submission) -> None:
    """Each submission succeeds and comes back whole."""
    for one in sent:
        reply = wire.provide(one)
        assert reply.status == SUCCESS, reply
        assert seen(wire, one)


def unread(wire: Wire, sent: Submission) -> None:
    """What cannot be recorded in the audit trail is not read: the answer is an error and holds nothing."""
    with pytest.raises(AssertionError, match=r"XDSRegistry(Error|OutOfResources)"):
        wire.query(sent.documents)


def healthy(server: ServerProcess, expected: bool) -> bool:
    """Whether /health says so: 200 or 503. Probes share an answer for a moment, so it is asked again."""
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(server.url + "/health", timeout=60) as answer:
                status = answer.status
        except urllib.error.HTTPError as error:
            status = error.code
        if status == (200 if expected else 503):
            return True
        time.sleep(0.1)
    return False


@contextlib.contextmanager
def no_file_may_grow(server: ServerProcess) -> Iterator[None]:
    """The kernel refuses the server every write to a file (EFBIG), as a full disk does; works without root."""
    (worker,) = server.workers
    before = resource.prlimit(worker, resource.RLIMIT_FSIZE)
    resource.prlimit(worker, resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.prlimit(worker, resource.RLIMIT_FSIZE, before)


def test_a_full_disk(tmp_path: Path) -> None:
    """Documents and database on one small disk."""
    with small_disk(tmp_path / "disk", 24) as disk, serving(disk / "data") as server:
        wire = Wire(server.repository, server.registry)
        before, after = [submission(1_000), submission(200_000)], [submission(1_000), submission(200_000)]
        accepted(wire, *before)
        small, large, wider = submission(1_000), submission(300_000), submission(60_000, 60_000, 60_000)
        with filled(disk):
            refused(wire, large, OUT_OF_RESOURCES)
            refused(wire, small, OUT_OF_RESOURCES)
            unread(wire, before[0])
            assert healthy(server, False)
        assert all(seen(wire, one) for one in before)
        with filled(disk, leave=64 * 1024):
            refused(wire, large, OUT_OF_RESOURCES)
            refused(wire, wider, OUT_OF_RESOURCES)
        assert not any(seen(wire, one) for one in (small, large, wider))
        assert list((disk / "data" / "tmp").iterdir()) == [], "nobody keeps a staging file of a refused submission"
        accepted(wire, *after, small, large, wider)
        assert healthy(server, True)
        server.stop()
        assert Campaign(disk / "data").check().documents == 9


def test_the_headroom_is_refused_before_it_is_eaten(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 16) as disk, serving(disk / "data", CARNET_STORE_HEADROOM=str(6 << 20)) as server:
        wire = Wire(server.repository, server.registry)
        accepted(wire, submission(1_000))
        with filled(disk, leave=5 << 20):
            reply = refused(wire, submission(1_000), OUT_OF_RESOURCES)
            assert "headroom" in reply.errors[0][1]
            refused(wire, submission(100_000), OUT_OF_RESOURCES)
        accepted(wire, submission(100_000))


def test_read_only_documents(tmp_path: Path) -> None:
    """The database is on another disk: only what needs a file is refused."""
    with small_disk(tmp_path / "data", 24) as disk:
        database = f"sqlite:///{tmp_path / 'elsewhere.sqlite'}"
        with serving(disk, database) as server:
            wire = Wire(server.repository, server.registry)
            before, large = submission(200_000), submission(300_000)
            accepted(wire, before)
            remount(disk, "ro")
            reply = refused(wire, large, BROKEN)
            assert str(tmp_path) not in reply.errors[0][1]
            assert seen(wire, before)
            assert healthy(server, False)
            remount(disk, "rw")
            assert not seen(wire, large)
            accepted(wire, large)


def test_a_process_that_may_write_no_file(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as server:
        wire = Wire(server.repository, server.registry)
        before, small, large = submission(1_000, 100_000), submission(1_000), submission(300_000)
        accepted(wire, before)
        with no_file_may_grow(server):
            refused(wire, small, OUT_OF_RESOURCES, BROKEN)
            refused(wire, large, OUT_OF_RESOURCES, BROKEN)
            assert healthy(server, False)
        assert seen(wire, before)
        assert not seen(wire, small)
        assert not seen(wire, large)
        accepted(wire, small, large)


@pytest.mark.postgres
def test_a_database_that_became_read_only(tmp_path: Path) -> None:
    """As a PostgreSQL server after a failover to a standby; its connections break as well."""
    with new_postgres_database() as url, serving(tmp_path / "data", url) as server:
        wire = Wire(server.repository, server.registry)
        before, small, large = submission(1_000, 100_000), submission(1_000), submission(300_000)
        accepted(wire, before)
        database_mode(url, "on")
        refused(wire, small, BROKEN)
        refused(wire, large, BROKEN)
        unread(wire, before)
        assert healthy(server, False)
        database_mode(url, "off")
        assert seen(wire, before)
        assert not seen(wire, small)
        assert not seen(wire, large)
        accepted(wire, small, large)


def database_mode(url: str, read_only: str) -> None:
    """Switch the database's default and break the connections that had the other."""
    name = url.rpartition("/")[2]
    with psycopg.connect(url.replace("+psycopg", "").replace(f"/{name}", "/postgres"), autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {read_only}")
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
