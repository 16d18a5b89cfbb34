"""The recording endpoint, in each profile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from security.enrolled import EnrolledFiles
from security.message_writer import MessageSigner
from security.replay import ReplayStore
from security.signed_message import MessageVerifier
from security.signer import Enrolled
from soap.signing import RequestVerifier
from soap.wire import Wire
from storage.database import open_database
from storage.migrate import prepare
from tests.security.foreign_signing import Pki, make_pki
from tests.server_process import ServerProcess
from tests.soap.messages import Recorder


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    """Default profile; at the end no staging file may be left."""
    recorder = Recorder(tmp_path)
    yield recorder
    assert not recorder.staged()


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[Recorder]:
    recorder = Recorder(tmp_path, Wire(strict=True))
    yield recorder
    assert not recorder.staged()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The server as a user starts it, for patients that nobody has announced."""
    data = tmp_path_factory.mktemp("wire") / "data"
    with ServerProcess(data, environ={"CARNET_DOMAIN_PATIENTS": "open"}) as server:
        yield server


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """Certificates for signed messages."""
    return make_pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="session")
def replay_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplayStore]:
    """The memory of message ids, in a store of its own."""
    url = f"sqlite:///{tmp_path_factory.mktemp('replay')}/store.db"
    prepare(url)
    database = open_database(url)
    yield ReplayStore(database)
    database.close()


@pytest.fixture
def signed(tmp_path: Path, pki: Pki, replay_store: ReplayStore) -> Iterator[Recorder]:
    """Takes signed messages only and signs its answers; at the end no staging file may be left."""
    server = pki.peer("server")
    messages = MessageVerifier(pki.trust.refresh, Enrolled(EnrolledFiles(pki.trust)))
    signer = MessageSigner(server.certificate, server.key)
    recorder = Recorder(tmp_path, verifier=RequestVerifier(messages, replay_store.message, required=True), signer=lambda: signer)
    yield recorder
    assert not recorder.staged()
