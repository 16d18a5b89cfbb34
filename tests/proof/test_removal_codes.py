"""Every error code stated for ITI-51, 61, 62 and 86: the test of this folder that brings it about, or why none does.

What is not brought about elsewhere is brought about here: a busy server, a body that the schema refuses, a foreign community.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.statement import CODES
from tests.nist.wire import LCM, RIM, Answer
from tests.proof.conftest import Proof, open_proof
from tests.proof.messages import APPROVED, Entry, Submission, new_oid, new_uuid, query, quoted
from tests.proof.test_on_demand import REFUSALS, on_demand
from tests.proof.test_removal import removal as removal_of_metadata
from tests.proof.test_remove_documents import removal as removal_of_documents

MPQ, ODDE, RM, RD = "ITI-51", "ITI-61", "ITI-62", "ITI-86"
FOLDER = Path(__file__).parent
#: The tests that bring codes about, by transaction; each names its codes in its text.
BY_TESTS = {
    MPQ: "test_multi_patient.py",
    ODDE: "test_on_demand.py",
    RM: "test_removal.py",
    RD: "test_remove_documents.py",
}
HERE = {
    (MPQ, "XDSRegistryBusy"),
    (ODDE, "XDSRegistryBusy"),
    (RM, "XDSRegistryBusy"),
    (RD, "XDSRepositoryBusy"),
    (RM, "XDSRegistryError"),
    (RD, "XDSRepositoryError"),
    (RD, "XDSUnknownCommunity"),
}
_FULL = "the disk would have to fill during the run; the durability tests do that"
_LAST = "a last resort for what no other code tells; every cause that a message can have is told by a better one"
NEVER = {
    (MPQ, "XDSRegistryOutOfResources"): "a query needs no room",
    (ODDE, "XDSRegistryOutOfResources"): _FULL,
    (RM, "XDSRegistryOutOfResources"): _FULL,
    (RD, "XDSRepositoryOutOfResources"): _FULL,
    (ODDE, "XDSRegistryError"): _LAST,
}


def test_every_stated_code_is_brought_about_or_told_why_not() -> None:
    stated = {(t.code, code.value) for t, codes in CODES.items() if t.code in BY_TESTS for code in codes}
    named = {
        (transaction, code)
        for transaction, file in BY_TESTS.items()
        for code in re.findall(r'"((?:XDS|Unresolved|References)\w+)"', (FOLDER / file).read_text(encoding="utf-8"))
    }
    assert stated == (named & stated) | HERE | set(NEVER)
    assert not set(NEVER) & (named | HERE)
    assert {code for _, code, _ in REFUSALS} <= {code for transaction, code in stated if transaction == ODDE}


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proof]:
    """A server that does one transaction at once, in a community of its own."""
    environ = {
        "CARNET_LIMITS_WORKING": "1",
        "CARNET_LIMITS_WORKING_WAIT": "0",
        "CARNET_ROLE_HOME_COMMUNITY_ID": "urn:oid:1.2.3.4",
        "CARNET_AUDIT_ENABLED": "false",  # it waits for a locked database as well, when the place is free again
    }
    with open_proof(tmp_path_factory.mktemp("narrow") / "data", environ=environ, known=2) as opened:
        yield opened


def test_busy(narrow: Proof) -> None:
    """One submission waits for a database that somebody else has locked; everybody else is told to come again."""
    client, patient = narrow.client, narrow.patient()
    held = Submission(patient, [Entry(patient).registered()])
    first: list[Answer] = []

    def hold() -> None:
        while (answer := client.register(held.xml())).codes == ["XDSRegistryBusy"]:
            time.sleep(0.01)
        first.append(answer)

    waiting = threading.Thread(target=hold)
    slots = {"$XDSDocumentEntryClassCode": "('A^^B')", "$XDSDocumentEntryStatus": quoted(APPROVED)}
    asked = query("FindDocumentsForMultiplePatients", slots)
    with contextlib.closing(sqlite3.connect(narrow.server.data / "carnet.sqlite", isolation_level=None)) as lock:
        lock.execute("BEGIN IMMEDIATE")
        waiting.start()
        until = time.monotonic() + 60
        while (answer := client.soap(MPQ, asked, client.multi_patient)).codes != ["XDSRegistryBusy"] and time.monotonic() < until:
            time.sleep(0.02)
        told = {
            MPQ: answer,
            ODDE: client.soap(ODDE, Submission(patient, [on_demand(patient)]).xml()),
            RM: client.soap(RM, removal_of_metadata(new_uuid())),
            RD: client.soap(RD, removal_of_documents(new_oid()), client.repository),
        }
        lock.execute("ROLLBACK")
    waiting.join(60)
    assert {transaction: answer.codes for transaction, answer in told.items()} == {
        MPQ: ["XDSRegistryBusy"], ODDE: ["XDSRegistryBusy"], RM: ["XDSRegistryBusy"], RD: ["XDSRepositoryBusy"],
    }  # fmt: skip
    assert [answer.status for answer in first] == ["Success"]


def test_what_the_schema_refuses(proof: Proof) -> None:
    """A removal that names nothing, and a document without its uniqueId."""
    nothing = f'<lcm:RemoveObjectsRequest xmlns:lcm="{LCM}" xmlns:rim="{RIM}"><rim:Nothing/></lcm:RemoveObjectsRequest>'
    answer = proof.client.soap(RM, nothing.encode())
    assert answer.status == "Failure" and set(answer.codes) == {"XDSRegistryError"}
    empty = removal_of_metadata()
    answer = proof.client.soap(RM, empty)
    assert answer.status == "Failure" and set(answer.codes) == {"XDSRegistryError"}
    without = removal_of_documents("1.2.3").replace(b"DocumentUniqueId", b"DocumentName")
    answer = proof.client.soap(RD, without, proof.client.repository)
    assert answer.status == "Failure" and set(answer.codes) == {"XDSRepositoryError"}


def test_a_foreign_community(narrow: Proof) -> None:
    uid = new_oid()
    home = b"<x:HomeCommunityId>urn:oid:9.9.9</x:HomeCommunityId><x:RepositoryUniqueId>"
    body = removal_of_documents(uid).replace(b"<x:RepositoryUniqueId>", home)
    answer = narrow.client.soap(RD, body, narrow.client.repository)
    assert (answer.status, answer.codes) == ("Failure", ["XDSUnknownCommunity"])
