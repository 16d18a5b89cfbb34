"""Several processes on one PostgreSQL: every one answers, they count together, one that dies is replaced."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from server.metrics import FOLDER_VARIABLE, prepare
from tests.conftest import new_postgres_database
from tests.server.exchange import announce, fetch, get, package
from tests.server_process import ServerProcess


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    data = tmp_path_factory.mktemp("workers") / "data"
    with new_postgres_database() as url:
        announce(data, database=url)
        with ServerProcess(data, "--workers", "2", database=url) as running:
            yield running


@pytest.mark.postgres
def test_two_workers_share_store_repository_id_and_counts(server: ServerProcess) -> None:
    sent = [package(b"small %d" % number, os.urandom(90_000)) for number in range(24)]
    with ThreadPoolExecutor(6) as pool:
        replies = list(pool.map(lambda one: one.send(server), sent))
    assert all(reply.accepted for reply in replies), [reply.errors for reply in replies]
    for one in sent:
        contents = tuple(document.source for document in one.documents)
        assert fetch(server.repository, server.registry, one) == dict(zip(one.unique_ids, contents, strict=True))
    server.counted('carnet_transactions_total{outcome="SUCCESS",transaction="ITI-41"}', 24)
    counts = set()
    for _ in range(10):
        text = get(server.url + "/metrics")[2].decode()
        counts.add(re.findall(r'carnet_transactions_total\{outcome="SUCCESS",transaction="ITI-41"\} (\d+)', text)[0])
    assert counts == {"24"}
    assert "carnet_store_free_bytes" in text
    assert len(server.workers) == 2


@pytest.mark.postgres
def test_a_worker_that_dies_is_replaced_and_nothing_is_lost(server: ServerProcess) -> None:
    kept = package(b"kept")
    assert kept.send(server).accepted
    before = server.workers
    os.kill(before[0], signal.SIGKILL)
    while len(server.workers) < 2 or before[0] in server.workers:
        assert get(server.url + "/health")[0] == 200
    assert fetch(server.repository, server.registry, kept) == {kept.unique_ids[0]: b"kept"}
    assert package(b"next").send(server).accepted


@pytest.mark.postgres
def test_a_database_that_goes_and_comes_back(tmp_path: Path) -> None:
    """Without its database the server tells so in IHE's words, goes on, and works again without a restart."""
    import sqlalchemy as sa

    from tests.conftest import POSTGRES

    with new_postgres_database() as url:
        announce(tmp_path / "data", database=url)
        name = sa.make_url(url).database
        admin = sa.create_engine(POSTGRES, isolation_level="AUTOCOMMIT")
        with ServerProcess(tmp_path / "data", database=url) as server, admin.connect() as connection:
            assert package(b"before").send(server).accepted
            connection.exec_driver_sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            connection.exec_driver_sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
            reply = package(b"meanwhile").send(server)
            assert [error.error_code for error in reply.errors] == ["XDSRepositoryError"]
            status = 200
            while status == 200:  # an answer of a moment ago may still be given
                status, _, body = get(server.url + "/health")
            assert status == 503 and b"StorageUnavailable" in body
            connection.exec_driver_sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
            assert package(b"after").send(server).accepted
            while status != 200:
                status, _, _ = get(server.url + "/health")
        admin.dispose()


def test_one_worker_needs_no_folder_for_its_counts_and_several_remove_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    prepare(1)()
    assert FOLDER_VARIABLE not in os.environ
    monkeypatch.setenv(FOLDER_VARIABLE, "")  # so that it is put back at the end
    remove = prepare(2)
    folder = Path(os.environ[FOLDER_VARIABLE])
    assert folder.is_dir()
    remove()
    assert not folder.exists()
