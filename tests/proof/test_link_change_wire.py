"""ITI-64 over the wire: A43 by MLLP, seen through ITI-18 and ITI-43 (ITI TF-2: 3.64)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from lxml import etree

from tests.nist.wire import Client, move_patient, post, soap_request
from tests.ports import free_port
from tests.proof.messages import REPOSITORY, Entry, Submission, query, quoted, retrieval, single
from tests.server_process import ROOT, ServerProcess

OID, LOCAL_OID = "1.2.250.1.999.46", "1.2.3.4"
APPROVED = "urn:oasis:names:tc:ebxml-regrep:StatusType:Approved"
SETTINGS = {
    "CARNET_ROLE_REPOSITORY_UNIQUE_ID": REPOSITORY,
    "CARNET_DOMAIN_AUTHORITIES": OID,
    "CARNET_DOMAIN_PATIENTS": "open",
    "CARNET_DOMAIN_LINK_CHANGE": "LINK^Link change^1.2.250.1.999.48",
}


@dataclass
class World:
    server: ServerProcess
    client: Client
    mllp: str

    def found(self, cx: str) -> int:
        slots = {"$XDSDocumentEntryPatientId": single(cx), "$XDSDocumentEntryStatus": quoted(APPROVED)}
        answer = self.client.query(query("FindDocuments", slots, "ObjectRef"))
        assert answer.status == "Success", answer.errors
        return len(list(answer.body.iter("{*}ObjectRef")))


def cx(id: str, oid: str = OID) -> str:
    return f"{id}^^^&{oid}&ISO"


def _served(folder: Path, environ: dict[str, str]) -> Iterator[World]:
    port = free_port()
    with ServerProcess(folder / "data", "--mllp-port", str(port), environ=environ) as server:
        yield World(server, Client(server.registry, server.repository), f"127.0.0.1:{port}")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    yield from _served(tmp_path, SETTINGS)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    yield from _served(tmp_path_factory.mktemp("plain"), {})


def test_documents_follow_their_local_id_with_their_bytes(world: World) -> None:
    old, new, content = cx("X1"), cx("X2"), b"document of 77"
    local = cx("77", LOCAL_OID)  # the sourcePatientId of all entries of messages.py
    entry = Entry(old)
    assert world.client.provide(Submission(old, [entry]).xml(), {entry.id: content}).status == "Success"
    unknown = move_patient(world.mllp, f"{new}~{local}", old)
    assert unknown[0] == "AE" and "XPC-004" in unknown[1], unknown
    _patient(world, "add", new)
    assert move_patient(world.mllp, f"{new}~{local}", old) == ("AA", "new versions of documents: 1")
    assert (world.found(old), world.found(new)) == (0, 1)
    _patient(world, "close", old)
    assert _bytes(world, entry) == content, "the document is no longer of the record that was closed"
    word = _patient(world, "destroy", old, "--on-request").split()[-1]
    assert "destroyed" in _patient(world, "destroy", old, "--confirm", word)
    assert _bytes(world, entry) == content, "nor of the one that was destroyed"
    assert world.found(new) == 1
    assert world.server.counted('carnet_transactions_total{outcome="AA",transaction="ITI-64"}') == 1


def test_without_the_option_a43_is_no_message_for_the_registry(plain: World) -> None:
    code, text = move_patient(plain.mllp, f"{cx('X2')}~{cx('L1', LOCAL_OID)}", cx("X1"))
    assert code == "AR" and "A43" in text


@pytest.mark.parametrize("name", ["PRPA_IN201307UV02", "PRPA_IN201311UV02", "PRPA_IN201314UV02"])
def test_the_messages_of_the_dmp_on_a_record_are_answered_as_the_page_says(plain: World, name: str) -> None:
    url = f"{plain.server.url}/xds/iti44"
    answer = post(url, *soap_request(f"urn:hl7-org:v3:{name}", f'<{name} xmlns="urn:hl7-org:v3"/>'.encode(), url))
    assert answer.fault and "ActionNotSupported" in etree.tostring(answer.body).decode()


def _bytes(world: World, entry: Entry) -> bytes:
    (document,) = world.client.retrieve(retrieval([entry.uid])).documents().values()
    return document.content


def _patient(world: World, word: str, patient: str, *more: str) -> str:
    """What the command printed."""
    command = [sys.executable, "-m", "server", "patient", word, patient, *more, "--data", str(world.server.data)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env={**os.environ, **SETTINGS}, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout
