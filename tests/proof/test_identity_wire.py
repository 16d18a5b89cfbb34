"""Identities over the wire: ITI-44 by SOAP, ITI-8 by MLLP, and merges that race submissions (ITI TF-2: 3.8.4.2.4, 3.44)."""

from __future__ import annotations

import itertools
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import new_postgres_database
from tests.nist.wire import Client, post, soap_request
from tests.ports import free_port
from tests.proof.messages import Entry, Submission, query, quoted, single
from tests.server_process import ROOT, ServerProcess

V3 = "urn:hl7-org:v3"
OID = "1.2.250.1.999.44"
APPROVED = "urn:oasis:names:tc:ebxml-regrep:StatusType:Approved"
_numbers = itertools.count(1)


@dataclass
class World:
    server: ServerProcess
    client: Client
    mllp: int

    def announce(self) -> str:
        """A new patient, made known by ITI-8."""
        cx = f"W{next(_numbers)}^^^&{OID}&ISO"
        assert self.adt("A04", cx) == "AA"
        return cx

    def adt(self, event: str, pid3: str, mrg1: str = "") -> str:
        """MSA-1 of the answer, on a connection of its own."""
        merge = f"MRG|{mrg1}\r" if mrg1 else ""
        message = f"MSH|^~\\&|A|B|C|D|20240102||ADT^{event}|1|P|2.3.1\rPID|||{pid3}\r{merge}"
        with socket.create_connection(("127.0.0.1", self.mllp), timeout=60) as connection:
            connection.sendall(b"\x0b" + message.encode() + b"\x1c\r")
            answer = b""
            while not answer.endswith(b"\x1c\r"):
                answer += connection.recv(4096)
        return answer.partition(b"MSA|")[2][:2].decode()

    def v3(self, name: str, patient: str, prior: str = "") -> str:
        """typeCode of the acknowledgement."""
        id, replaced = (f'<id root="{OID}" extension="{one.partition("^")[0]}"/>' for one in (patient, prior))
        merge = (
            f"<replacementOf><priorRegistration><subject1><priorRegisteredRole>{replaced}</priorRegisteredRole></subject1>"
            "</priorRegistration></replacementOf>"
        )
        body = (
            f'<{name} xmlns="{V3}"><id root="1.2.3"/><interactionId extension="{name}"/><acceptAckCode code="AL"/>'
            f"<controlActProcess><subject><registrationEvent><subject1><patient>{id}</patient></subject1>"
            f"{merge if prior else ''}</registrationEvent></subject></controlActProcess></{name}>"
        )
        url = f"{self.server.url}/xds/iti44"
        answer = post(url, *soap_request(f"{V3}:{name}", body.encode(), url))
        assert answer.action == f"{V3}:MCCI_IN000002UV01", answer.fault
        return answer.body.find(f"{{{V3}}}acknowledgement/{{{V3}}}typeCode").get("code", "")  # type: ignore[union-attr]

    def found(self, cx: str) -> list[str]:
        slots = {"$XDSDocumentEntryPatientId": single(cx), "$XDSDocumentEntryStatus": quoted(APPROVED)}
        answer = self.client.query(query("FindDocuments", slots, "ObjectRef"))
        assert answer.status == "Success", answer.errors
        return [one.get("id", "") for one in answer.body.iter("{*}ObjectRef")]

    def register(self, cx: str) -> tuple[str, list[str]]:
        entry = Entry(cx)
        entry.registered("da39a3ee5e6b4b0d3255bfef95601890afd80709", 0)
        answer = self.client.register(Submission(cx, [entry]).xml())
        return answer.status, answer.codes


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    if request.param == "sqlite":
        yield from _served(tmp_path_factory, "")
    else:
        with new_postgres_database() as url:
            yield from _served(tmp_path_factory, url, "--workers", "2")


def _served(
    folder: pytest.TempPathFactory, database: str, *arguments: str, environ: dict[str, str] | None = None
) -> Iterator[World]:
    port = free_port()
    data = folder.mktemp("identity") / "data"
    with ServerProcess(data, "--mllp-port", str(port), *arguments, database=database, environ=environ) as server:
        yield World(server, Client(server.registry, server.repository), port)


def test_a_life_of_identifiers_by_hl7_v3(world: World) -> None:
    old, new = (f"V{next(_numbers)}^^^&{OID}&ISO" for _ in range(2))
    assert world.register(old) == ("Failure", ["XDSUnknownPatientId"])
    assert world.v3("PRPA_IN201301UV02", old) == "CA"
    assert world.register(old) == ("Success", [])
    assert world.v3("PRPA_IN201304UV02", new, old) == "CE", "the surviving one is not known yet"
    assert world.v3("PRPA_IN201302UV02", new) == "CA"
    assert world.v3("PRPA_IN201304UV02", new, old) == "CA"
    assert (len(world.found(new)), world.found(old)) == (1, [])
    assert world.register(old) == ("Failure", ["XDSUnknownPatientId"])
    assert world.v3("PRPA_IN201301UV02", old) == "CE", "a subsumed one does not come back"


@pytest.fixture
def unmerging(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A domain whose file refuses merges."""
    (tmp_path / "apart.toml").write_text('name = "apart"\n[settings]\nmerge = "refuse"\n')
    environ = {"CARNET_DOMAIN_FOLDER": str(tmp_path), "CARNET_DOMAIN_PROFILE": "apart"}
    yield from _served(tmp_path_factory, "", environ=environ)


def test_a_domain_may_refuse_merges(unmerging: World) -> None:
    old, new = unmerging.announce(), unmerging.announce()
    assert unmerging.register(old) == ("Success", [])
    assert unmerging.adt("A40", new, old) == "AE"
    assert unmerging.v3("PRPA_IN201304UV02", new, old) == "CE"
    command = [sys.executable, "-m", "server", "patient", "merge", old, new, "--data", str(unmerging.server.data)]
    environ = {**os.environ, "CARNET_DOMAIN_MERGE": "refuse"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environ, timeout=300)
    assert done.returncode == 1 and "domain.merge = accept" in done.stderr, done.stderr
    assert (len(unmerging.found(old)), unmerging.found(new)) == (1, [])


def together(*acts: Callable[[], object]) -> list[object]:
    """What each act returned, all begun at one moment by clients of their own."""
    gate, results = threading.Barrier(len(acts)), [None] * len(acts)

    def run(number: int, act: Callable[[], object]) -> None:
        gate.wait(60)
        results[number] = act()  # type: ignore[call-overload]

    threads = [threading.Thread(target=run, args=item) for item in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return list(results)


def test_a_merge_that_races_submissions_ends_in_a_legal_state(world: World) -> None:
    """Each submission was registered before the merge and is found under the surviving id, or is refused; nothing is lost."""
    for _ in range(6):
        old, new = world.announce(), world.announce()
        merged, *registered = together(
            lambda old=old, new=new: world.adt("A40", new, old),  # type: ignore[misc]
            *(lambda old=old: world.register(old) for _ in range(3)),
        )
        assert merged == "AA"
        assert all(one in (("Success", []), ("Failure", ["XDSUnknownPatientId"])) for one in registered), registered
        assert len(world.found(new)) == registered.count(("Success", []))
        assert world.found(old) == []


def test_merges_that_cross_over_the_wire(world: World) -> None:
    for _ in range(4):
        a, b = world.announce(), world.announce()
        codes = together(
            lambda a=a, b=b: world.adt("A40", a, b),  # type: ignore[misc]
            lambda a=a, b=b: world.v3("PRPA_IN201304UV02", b, a)[-1],  # type: ignore[misc]
        )
        assert sorted(str(code)[-1] for code in codes) == ["A", "E"], codes
