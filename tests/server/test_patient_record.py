"""`carnet patient open | close | reopen | events` beside a running server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from server.__main__ import program
from soap.client import Client, Wanted
from tests.server.exchange import GET_DOCUMENTS, PATIENT, fetch, package
from tests.server_process import ServerProcess


def patient(data: Path, *arguments: str) -> Result:
    return CliRunner().invoke(program, ["patient", *arguments, "--data", str(data)])


def test_a_record_is_opened_closed_and_reopened_beside_the_server(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with ServerProcess(data) as server:
        assert patient(data, "open", PATIENT).exit_code == 0
        again = patient(data, "open", PATIENT)
        assert again.exit_code == 1 and "REC-001" in again.output
        sent = package(b"first", b"second")
        assert sent.send(server).accepted
        wanted = _wanted(server, sent.unique_ids[0])
        assert patient(data, "close", PATIENT, "--reason", "asked for").exit_code == 0
        refused = package(b"third").send(server)
        assert not refused.accepted and "is closed" in refused.errors[0].code_context
        with Client(server.repository, server.registry) as client, client.retrieve([wanted]) as got:
            assert [*got.documents] == []
            assert "is closed" in got.errors[0].code_context
        assert patient(data, "reopen", PATIENT).exit_code == 0
        assert fetch(server.repository, server.registry, sent) == dict(zip(sent.unique_ids, (b"first", b"second"), strict=True))
        told = json.loads(patient(data, "events", PATIENT, "--json").output)
    assert [(one["event"], one.get("reason")) for one in told] == [("opened", None), ("closed", "asked for"), ("reopened", None)]


def test_a_repository_apart_asks_whether_the_record_is_closed(tmp_path: Path) -> None:
    here = tmp_path / "registry"
    with ServerProcess(here, "--role", "registry") as registry:
        assert patient(here, "open", PATIENT).exit_code == 0
        line = ("--role", "repository", "--registry", registry.registry)
        with ServerProcess(tmp_path / "asks", *line) as asks:
            sent = package(b"first")
            assert sent.send(asks).accepted
            with Client(asks.repository, registry.registry) as client:
                found = client.query(GET_DOCUMENTS, [("$XDSDocumentEntryUniqueId", [f"('{sent.unique_ids[0]}')"])])
                wanted = Wanted(found.objects.documentEntries[0].repositoryUniqueId or "", sent.unique_ids[0])
                assert patient(here, "close", PATIENT).exit_code == 0
                with client.retrieve([wanted]) as got:
                    assert [*got.documents] == []
                    assert "is closed" in got.errors[0].code_context
                assert patient(here, "reopen", PATIENT).exit_code == 0
                with client.retrieve([wanted]) as got:
                    assert [one.bytes() for one in got.documents] == [b"first"]
                assert patient(here, "close", PATIENT).exit_code == 0
        with (
            ServerProcess(tmp_path / "asks", *line, "--set", "role.ask_closed=false") as trusts,
            Client(trusts.repository) as client,
            client.retrieve([wanted]) as got,
        ):
            assert [one.bytes() for one in got.documents] == [b"first"], "the operator chose not to ask"


def test_a_record_moves_to_another_server(tmp_path: Path) -> None:
    here, there, archive = tmp_path / "here", tmp_path / "there", str(tmp_path / "record.zip")
    with ServerProcess(here) as server:
        patient(here, "open", PATIENT)
        sent = package(b"first", b"x" * 100_000)
        assert sent.send(server).accepted
        name = _wanted(server, sent.unique_ids[0]).repositoryUniqueId
        exported = patient(here, "export", PATIENT, archive)
        assert exported.exit_code == 0 and "2 documents" in exported.output, exported.output
        again = patient(here, "export", PATIENT, archive)
        assert again.exit_code == 1 and "is there already" in again.output
    with ServerProcess(there, environ={"CARNET_ROLE_REPOSITORY_UNIQUE_ID": name}) as server:
        imported = patient(there, "import", archive)
        assert imported.exit_code == 0, imported.output
        assert list(fetch(server.repository, server.registry, sent).values()) == [b"first", b"x" * 100_000]
        twice = patient(there, "import", archive)
        assert twice.exit_code == 1 and "REC-007" in twice.output


def _wanted(server: ServerProcess, unique_id: str) -> Wanted:
    with Client(server.repository, server.registry) as client:
        (one,) = client.query(GET_DOCUMENTS, [("$XDSDocumentEntryUniqueId", [f"('{unique_id}')"])]).objects.documentEntries
    return Wanted(one.repositoryUniqueId or "", unique_id)


@pytest.mark.parametrize("command", ["close", "reopen", "events"])
def test_a_patient_whom_nobody_knows(tmp_path: Path, command: str) -> None:
    assert patient(tmp_path / "data", "open", PATIENT).exit_code == 0
    unknown = patient(tmp_path / "data", command, "nobody^^^&1.2.3&ISO")
    assert unknown.exit_code == 1 and "not known" in unknown.output
