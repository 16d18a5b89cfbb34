"""Stored bytes that decay: never delivered, and the operator hears of it, in the log, in the metrics and from `check-store`."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from repository.tables import blob
from storage.database import open_database
from tests.conftest import ROOT, new_postgres_database
from tests.durability.wire import FAILURE, SUCCESS, NoAnswer, Submission, Wire, submission
from tests.server_process import ServerProcess

#: `store.check_before` of these tests; the setting's default is 8 MB.
CHECK_BEFORE = 1_000_000
ROW, CHECKED, STREAMED = 1_000, CHECK_BEFORE, CHECK_BEFORE + 300_000
PARTIAL = "urn:ihe:iti:2007:ResponseStatusType:PartialSuccess"


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    data = tmp_path_factory.mktemp("damage") / "data"
    environ = {"CARNET_STORE_CHECK_BEFORE": str(CHECK_BEFORE)}
    if request.param == "sqlite":
        with ServerProcess(data, "--patients", "open", environ=environ) as running:
            yield running
        return
    with new_postgres_database() as url, ServerProcess(data, "--patients", "open", environ=environ, database=url) as running:
        yield running


@pytest.fixture
def wire(server: ServerProcess) -> Wire:
    return Wire(server.repository, server.registry)


def alarms(server: ServerProcess, least: float = 0) -> float:
    """How often the alarm was sounded, once it was `least` times."""
    return server.counted('carnet_alarms_total{kind="damaged"}', least)


def path_of(server: ServerProcess, content: bytes) -> Path:
    name = hashlib.sha256(content).hexdigest()
    return server.data / "blobs" / name[:2] / name[2:4] / name


def damage(server: ServerProcess, content: bytes, at: int = -1) -> None:
    """Turn one bit of a stored content, wherever it is kept."""
    wrong = bytearray(content)
    wrong[at] ^= 1
    if len(content) > ROW:
        with path_of(server, content).open("r+b") as file:
            file.seek(at, os.SEEK_END if at < 0 else os.SEEK_SET)
            file.write(wrong[at:][:1])
        return
    database = open_database(server.database or f"sqlite:///{server.data / 'carnet.sqlite'}")
    change = sa.update(blob).where(blob.c.sha256 == sa.bindparam("key")).values(bytes=sa.bindparam("content"))
    key = hashlib.sha256(content).digest()
    database.write(lambda connection: connection.execute(change, {"key": key, "content": bytes(wrong)}))
    database.close()


def provided(wire: Wire, *sizes: int) -> tuple[Submission, str]:
    """A registered submission and the repository that holds it."""
    sent = submission(*sizes)
    assert wire.provide(sent).status == SUCCESS
    return sent, next(iter(wire.query(sent.documents).values()))[2]


@pytest.mark.parametrize("at", [0, -1], ids=["first bit", "last bit"])
@pytest.mark.parametrize("size", [ROW, CHECKED])
def test_up_to_the_limit_it_is_refused_before_the_first_byte(server: ServerProcess, wire: Wire, size: int, at: int) -> None:
    sent, repository = provided(wire, size)
    (unique_id, content), *_ = sent.documents.items()
    before = alarms(server)
    damage(server, content, at)
    reply, documents = wire.retrieve(repository, sent.documents)
    assert (reply.status, reply.codes, documents) == (FAILURE, ["XDSRepositoryError"], {})
    assert unique_id in reply.errors[0][1] and "hash" in reply.errors[0][1]
    assert alarms(server, before + 1) == before + 1
    server.told(f"alarm damaged: stored content {hashlib.sha256(content).hexdigest()}")


def test_the_documents_beside_it_are_delivered(server: ServerProcess, wire: Wire) -> None:
    sent, repository = provided(wire, ROW, CHECKED, 70_000)
    unique_id, content = list(sent.documents.items())[1]
    damage(server, content)
    reply, documents = wire.retrieve(repository, sent.documents)
    assert (reply.status, reply.codes) == (PARTIAL, ["XDSRepositoryError"])
    assert documents == {key: value for key, value in sent.documents.items() if key != unique_id}


@pytest.mark.parametrize("at", [0, -1], ids=["first bit", "last bit"])
def test_beyond_the_limit_the_connection_breaks(server: ServerProcess, wire: Wire, at: int) -> None:
    sent, repository = provided(wire, STREAMED)
    before = alarms(server)
    damage(server, next(iter(sent.documents.values())), at)
    with pytest.raises(NoAnswer, match="IncompleteRead"):
        wire.retrieve(repository, sent.documents)
    assert alarms(server, before + 1) == before + 1
    assert server.alive


def test_a_file_that_is_gone(server: ServerProcess, wire: Wire) -> None:
    sent, repository = provided(wire, STREAMED)
    path_of(server, next(iter(sent.documents.values()))).unlink()
    reply, documents = wire.retrieve(repository, sent.documents)
    assert (reply.status, reply.codes, documents) == (FAILURE, ["XDSRepositoryError"], {})


def test_check_store_names_each_and_a_new_submission_heals(tmp_path: Path) -> None:
    """The same bytes under another uniqueId replace the damaged ones, and both documents are whole again."""
    with ServerProcess(tmp_path / "data", "--patients", "open") as server:
        wire = Wire(server.repository, server.registry)
        sent, repository = provided(wire, ROW, 70_000)
        for content in sent.documents.values():
            damage(server, content)
        code, report = check_store(tmp_path / "data")
        assert code != 0
        text = json.dumps(report)
        assert all(hashlib.sha256(content).hexdigest() in text for content in sent.documents.values())
        again = submission(ROW, 70_000)
        healing = dict(zip(again.documents, sent.documents.values(), strict=True))
        assert wire.provide(Submission(healing, again.metadata)).status == SUCCESS
        for one in (sent.documents, healing):
            assert wire.retrieve(repository, one)[1] == one
        code, report = check_store(tmp_path / "data")
        assert code == 0, report


def check_store(data: Path) -> tuple[int, object]:
    """Exit status and JSON of the command."""
    command = [sys.executable, "-m", "server", "check-store", "--data", str(data), "--json"]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=data.parent, env=environ, capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)
