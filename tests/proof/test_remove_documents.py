"""ITI-86 over the wire: what cannot be retrieved any more, that deleted bytes are nowhere, and every error code."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from html import escape
from pathlib import Path

import pytest

from tests.nist.wire import Answer, Client
from tests.proof.conftest import Proof, open_proof
from tests.proof.messages import REPOSITORY, Entry, Submission, new_oid, query, quoted, retrieval
from tests.server_process import ROOT, ServerProcess


def removal(*documents: str | tuple[str, str]) -> bytes:
    """`documents`: uniqueIds, or (repositoryUniqueId, uniqueId)."""
    pairs = [one if isinstance(one, tuple) else (REPOSITORY, one) for one in documents]
    inner = "".join(
        f"<x:DocumentRequest><x:RepositoryUniqueId>{repository}</x:RepositoryUniqueId>"
        f"<x:DocumentUniqueId>{escape(uid)}</x:DocumentUniqueId></x:DocumentRequest>"
        for repository, uid in pairs
    )
    return (
        f'<r:RemoveDocumentsRequest xmlns:r="urn:ihe:iti:rmd:2017" xmlns:x="urn:ihe:iti:xds-b:2007">{inner}'
        "</r:RemoveDocumentsRequest>"
    ).encode()


def remove(proof: Proof, *documents: str | tuple[str, str]) -> Answer:
    return proof.client.soap("ITI-86", removal(*documents), proof.client.repository)


def stored(proof: Proof, content: bytes, patient: str = "") -> str:
    """A document, provided and registered; its uniqueId."""
    entry = Entry(patient or proof.patient())
    answer = proof.client.provide(Submission(entry.patient, [entry]).xml(), {entry.id: content})
    assert answer.status == "Success", answer.errors
    return entry.uid


def bytes_of(proof: Proof, uid: str) -> bytes | None:
    answer = proof.client.retrieve(retrieval([uid]))
    if answer.status == "Failure":
        assert answer.codes == ["XDSDocumentUniqueIdError"]
        return None
    return answer.documents()[uid].content


def check_store(data: Path) -> tuple[int, dict[str, int]]:
    """Exit status and counts of `check-store`."""
    command = [sys.executable, "-m", "server", "check-store", "--data", str(data), "--json"]
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "CARNET_ROLE_REPOSITORY_UNIQUE_ID": REPOSITORY}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=environ)
    return done.returncode, json.loads(done.stdout)["counts"]


def traces(data: Path, marker: bytes) -> list[str]:
    """Files of the store that hold these bytes."""
    return [file.name for file in data.rglob("*") if file.is_file() and marker in file.read_bytes()]


SMALL, LARGE = b"small and secret ", b"large and secret "
DELETE = {"CARNET_DOMAIN_REMOVAL": "delete"}


@pytest.fixture(scope="module")
def deleting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proof]:
    with open_proof(tmp_path_factory.mktemp("deleting") / "data", environ=DELETE, known=12) as opened:
        yield opened


@pytest.mark.parametrize("policy", ["hide", "delete"])
def test_a_removed_document_cannot_be_retrieved(proof: Proof, deleting: Proof, policy: str) -> None:
    server = proof if policy == "hide" else deleting
    small, large, other = stored(server, b"small"), stored(server, b"large" * 20_000), stored(server, b"other")
    answer = remove(server, small, large)
    assert (answer.status, answer.errors) == ("Success", [])
    assert answer.action == "urn:ihe:iti:2017:RemoveDocumentsResponse"
    assert [bytes_of(server, uid) for uid in (small, large, other)] == [None, None, b"other"]
    assert remove(server, small).codes == ["XDSDocumentUniqueIdError"]
    entries = server.client.query(query("GetDocuments", {"$XDSDocumentEntryUniqueId": quoted(small)}))
    assert len(list(entries.body.iter("{*}ExtrinsicObject"))) == 1  # metadata are ITI-62's


def test_partial_success_and_each_error(proof: Proof) -> None:
    kept, gone, unknown = stored(proof, b"kept"), stored(proof, b"gone"), new_oid()
    answer = remove(proof, gone, ("1.2.1.1.1", kept), unknown)
    assert answer.status == "PartialSuccess"
    assert {(error.code, error.location) for error in answer.errors} == {
        ("XDSUnknownRepositoryId", kept), ("XDSDocumentUniqueIdError", unknown),
    }  # fmt: skip
    assert all(error.location in error.context for error in answer.errors)
    assert (bytes_of(proof, kept), bytes_of(proof, gone)) == (b"kept", None)
    assert (remove(proof, ("1.2.1.1.1", kept)).status, bytes_of(proof, kept)) == ("Failure", b"kept")


@pytest.mark.parametrize(
    "environ", [{"CARNET_DOMAIN_REMOVAL": "refuse"}, {"CARNET_DOMAIN_REMOVE_REGISTERED": "false"}], ids=["refuse", "registered"]
)
def test_not_removable(tmp_path: Path, environ: dict[str, str]) -> None:
    with open_proof(tmp_path / "data", environ={**environ, "CARNET_LIMITS_RETRIEVE_DOCUMENTS": "2"}, known=1) as strict:
        uid = stored(strict, b"stays")
        answer = remove(strict, uid)
        assert (answer.status, answer.codes, bytes_of(strict, uid)) == ("Failure", ["XDSRemoveDocumentsError"], b"stays")
        assert remove(strict, new_oid(), new_oid(), new_oid()).codes == ["XDSTooManyResults"]


def test_deleted_bytes_are_gone_from_the_disk(tmp_path: Path) -> None:
    """Not a byte of them is left in any file once the server has ended, and check-store is content."""
    data = tmp_path / "data"
    with open_proof(data, environ=DELETE, known=1) as server:
        patient = server.patient()
        small, large, kept = (stored(server, c * n, patient) for c, n in ((SMALL, 9), (LARGE, 9000), (b"kept and known ", 9)))
        assert remove(server, small, large).status == "Success"
        assert bytes_of(server, kept) == b"kept and known " * 9
    assert traces(data, SMALL) == traces(data, LARGE) == []
    assert check_store(data) == (0, {"REMOVED": 2})


@pytest.mark.parametrize("step", ["removal-committed", "removal-unlinked"])
def test_killed_between_the_steps(tmp_path: Path, step: str) -> None:
    """The document is gone for everybody, the store sound; the next collection takes what the death has left."""
    data = tmp_path / "data"
    with open_proof(data, environ=DELETE, known=1) as server:
        patient = server.patient()
        large, kept = stored(server, LARGE * 9000, patient), stored(server, b"kept", patient)
    with open_proof(data, environ={**DELETE, "CARNET_CRASH_AT": step}, known=1) as dying:
        with pytest.raises((OSError, http.client.HTTPException)):
            remove(dying, large)
        dying.server.kill()
    code, counts = check_store(data)
    assert code == 0 and set(counts) <= {"REMOVED", "ORPHAN"}
    with open_proof(data, environ={**DELETE, "CARNET_STORE_COLLECT_HOURS": "0.0001"}, known=1) as server:
        assert (bytes_of(server, large), bytes_of(server, kept)) == (None, b"kept")
        collected(server)
    assert traces(data, LARGE) == [] and check_store(data) == (0, {"REMOVED": 1})


def collected(server: Proof) -> None:
    """Wait for the collector's first run."""
    until = time.monotonic() + 60
    while "collector: removed" not in server.server.log():
        assert time.monotonic() < until, server.server.log()
        time.sleep(0.05)


def test_apart(tmp_path: Path) -> None:
    """The registry elsewhere: documents go all the same, unless it describes them and the metadata are to go first."""
    with open_proof(tmp_path / "registry", "--role", "registry", known=3) as registry:
        for describes in ("true", "false"):
            own = {"CARNET_DOMAIN_REMOVE_REGISTERED": describes, "CARNET_ROLE_REPOSITORY_UNIQUE_ID": REPOSITORY}
            environ = {**DELETE, **own}
            arguments = ("--role", "repository", "--registry", registry.server.registry)
            with ServerProcess(tmp_path / describes, *arguments, environ=environ) as process:
                server = Proof(process, Client(registry.server.registry, process.repository), registry.patient)
                uid = stored(server, LARGE * 9000)
                answer = remove(server, uid)
                if describes == "true":
                    assert (answer.status, bytes_of(server, uid)) == ("Success", None)
                else:
                    assert (answer.codes, bytes_of(server, uid)) == (["XDSRemoveDocumentsError"], LARGE * 9000)
        assert traces(tmp_path / "true", LARGE) == []
