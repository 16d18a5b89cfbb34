"""Every error code of ITI TF-3: Table 4.2.4.1-2 for ITI-41, 42, 18 and 43: a request that brings it about, or why none can.

The table is typed here from the standard; where the reference material is at hand it is compared with that too.
"""

from __future__ import annotations

import contextlib
import hashlib
import socket
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.nist.target import run_command
from tests.nist.wire import Answer, Client
from tests.proof.conftest import Proof, open_proof, unknown_patient
from tests.proof.error_table import NEVER, RS, SQ, TABLE, P, R, read_table
from tests.proof.messages import (
    APND,
    APPROVED,
    RPLC,
    Association,
    Entry,
    Folder,
    Submission,
    new_oid,
    new_uuid,
    query,
    quoted,
    retrieval,
    single,
)

MAKERS: dict[tuple[str, str], Callable[[Proof], Answer]] = {}
Maker = Callable[[Proof], Answer]


def makes(code: str, *transactions: str) -> Callable[[Maker], Maker]:
    def keep(maker: Maker) -> Maker:
        for transaction in transactions:
            MAKERS[code, transaction] = maker
        return maker

    return keep


def both(code: str) -> Callable[[Callable[[Proof], Submission]], Callable[[Proof], Submission]]:
    """A submission that is refused alike by ITI-41 and ITI-42."""

    def keep(build: Callable[[Proof], Submission]) -> Callable[[Proof], Submission]:
        MAKERS[code, P] = lambda proof: provide(proof.client, build(proof))
        MAKERS[code, R] = lambda proof: register(proof.client, build(proof))
        return build

    return keep


def provide(client: Client, submission: Submission) -> Answer:
    for entry in submission.entries:
        entry.hash = entry.size = entry.repository = None
    return client.provide(submission.xml(), {entry.id: entry.id.encode() for entry in submission.entries})


def register(client: Client, submission: Submission) -> Answer:
    for entry in submission.entries:
        entry.registered(entry.hash or hashlib.sha1(entry.id.encode(), usedforsecurity=False).hexdigest(), entry.size or 45)
    return client.register(submission.xml())


def registered(proof: Proof, *entries: Entry, folders: tuple[Folder, ...] = ()) -> Submission:
    submission = Submission(entries[0].patient if entries else folders[0].patient, entries, folders)
    answer = register(proof.client, submission)
    assert answer.status == "Success", answer.errors
    return submission


def new(patient: str, **fields: str) -> Entry:
    entry = Entry(patient)
    for name, value in fields.items():
        setattr(entry, name, value)
    return entry


@both("UnresolvedReferenceException")
def _replaces_what_is_not_there(proof: Proof) -> Submission:
    entry = new(proof.patient())
    return Submission(entry.patient, [entry], associations=[Association(RPLC, entry.id, new_uuid())])


@both("XDSDuplicateUniqueIdInRegistry")
def _submission_set_again(proof: Proof) -> Submission:
    first = registered(proof, new(proof.patient()))
    return Submission(first.patient, [new(first.patient)], uid=first.uid)


@both("XDSPatientIdDoesNotMatch")
def _entry_of_another_patient(proof: Proof) -> Submission:
    return Submission(proof.patient(), [new(proof.patient())])


@both("XDSRegistryDeprecatedDocumentError")
def _appended_to_what_is_deprecated(proof: Proof) -> Submission:
    old = new(proof.patient())
    registered(proof, old)
    heir = new(old.patient)
    replaced = register(proof.client, Submission(old.patient, [heir], associations=[Association(RPLC, heir.id, old.id)]))
    assert replaced.status == "Success", replaced.errors
    late = new(old.patient)
    return Submission(old.patient, [late], associations=[Association(APND, late.id, old.id)])


@both("XDSRegistryDuplicateUniqueIdInMessage")
def _one_unique_id_twice(proof: Proof) -> Submission:
    patient, uid = proof.patient(), new_oid()
    return Submission(patient, [new(patient)], [Folder(patient, uid=uid), Folder(patient, uid=uid)])


@both("XDSRegistryMetadataError")
def _without_creation_time(proof: Proof) -> Submission:
    entry = new(proof.patient())
    entry.creation = None
    return Submission(entry.patient, [entry])


@both("XDSUnknownPatientId")
def _of_nobody(proof: Proof) -> Submission:
    patient = unknown_patient()
    return Submission(patient, [new(patient)])


@makes("XDSNonIdenticalHash", R)
def _other_hash(proof: Proof) -> Answer:
    first = new(proof.patient()).registered("a" * 40, 5)
    registered(proof, first)
    return register(proof.client, Submission(first.patient, [new(first.patient, uid=first.uid).registered("b" * 40, 5)]))


@makes("XDSNonIdenticalSize", R)
def _other_size(proof: Proof) -> Answer:
    first = new(proof.patient()).registered("a" * 40, 5)
    registered(proof, first)
    return register(proof.client, Submission(first.patient, [new(first.patient, uid=first.uid).registered("a" * 40, 6)]))


def submitted_twice(proof: Proof, first: bytes, second: bytes) -> Answer:
    """One document uniqueId, twice, with these bytes."""
    entry = new(proof.patient())
    assert proof.client.provide(Submission(entry.patient, [entry]).xml(), {entry.id: first}).status == "Success"
    again = new(entry.patient, uid=entry.uid)
    return proof.client.provide(Submission(entry.patient, [again]).xml(), {again.id: second})


@makes("XDSNonIdenticalHash", P)
def _other_bytes(proof: Proof) -> Answer:
    return submitted_twice(proof, b"one", b"two")


@makes("XDSNonIdenticalSize", P)
def _more_bytes(proof: Proof) -> Answer:
    return submitted_twice(proof, b"one", b"three")


@makes("XDSMissingDocument", P)
def _entry_without_document(proof: Proof) -> Answer:
    entry = new(proof.patient())
    return proof.client.provide(Submission(entry.patient, [entry]).xml(), {})


@makes("XDSMissingDocumentMetadata", P)
def _document_without_entry(proof: Proof) -> Answer:
    entry = new(proof.patient())
    return proof.client.provide(Submission(entry.patient, [entry]).xml(), {entry.id: b"x", "stray": b"y"})


@makes("XDSRepositoryMetadataError", P)
def _wrong_hash(proof: Proof) -> Answer:
    entry = new(proof.patient(), hash="a" * 40)
    return proof.client.provide(Submission(entry.patient, [entry]).xml(), {entry.id: b"x"})


@makes("XDSDocumentUniqueIdError", RS)
def _document_nobody_has(proof: Proof) -> Answer:
    return proof.client.retrieve(retrieval([new_oid()]))


@makes("XDSUnknownRepositoryId", RS)
def _repository_nobody_knows(proof: Proof) -> Answer:
    return proof.client.retrieve(retrieval([new_oid()], "1.2.3.4.5.6.7"))


@makes("XDSUnknownStoredQuery", SQ)
def _query_nobody_knows(proof: Proof) -> Answer:
    return proof.client.query(query("00000000-0000-4000-8000-000000000000", {}))


@makes("XDSStoredQueryMissingParam", SQ)
def _query_without_parameters(proof: Proof) -> Answer:
    return proof.client.query(query("FindDocuments", {}))


@makes("XDSStoredQueryParamNumber", SQ)
def _two_patients_where_one_may_stand(proof: Proof) -> Answer:
    slots = {"$XDSDocumentEntryPatientId": quoted("1", "2"), "$XDSDocumentEntryStatus": quoted(APPROVED)}
    return proof.client.query(query("FindDocuments", slots))


@both("XDSRegistryError")
def of_a_closed_record(proof: Proof) -> Submission:
    patient = proof.patient()
    close = [sys.executable, "-m", "server", "patient", "close", patient, "--data", str(proof.server.data)]
    run_command([*close, "--database", proof.server.database] if proof.server.database else close)
    return Submission(patient, [Entry(patient)])


@makes("XDSRegistryError", SQ)
def _value_that_cannot_be_read(proof: Proof) -> Answer:
    return proof.client.query(query("GetDocuments", {"$XDSDocumentEntryEntryUUID": "('x' 'y')"}))


@makes("XDSResultNotSinglePatient", SQ)
def _two_patients_in_one_answer(proof: Proof) -> Answer:
    one, other = new(proof.patient()), new(proof.patient())
    registered(proof, one)
    registered(proof, other)
    return proof.client.query(query("GetDocuments", {"$XDSDocumentEntryEntryUUID": quoted(one.id, other.id)}))


@pytest.mark.parametrize(("code", "transaction"), sorted(MAKERS))
def test_code(proof: Proof, code: str, transaction: str) -> None:
    """The code comes, with Failure, severity Error and a text; and the server goes on."""
    answer = MAKERS[code, transaction](proof)
    assert answer.status == "Failure" and code in answer.codes, answer.errors
    assert all(error.context and error.severity.endswith(":Error") for error in answer.errors)
    patient = proof.patient()
    assert register(proof.client, Submission(patient, [new(patient)])).status == "Success"


# ------------------------------------------------------------------------- codes for which a server must be set up so


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proof]:
    """A server that does one transaction at once, finds two objects and hands out two documents."""
    limits = {"WORKING": "1", "WORKING_WAIT": "0", "QUERY_RESULTS": "2", "RETRIEVE_DOCUMENTS": "2"}
    # The audit trail waits for a locked database as well, when the place is free again: here the place is all that is asked.
    environ = {"CARNET_AUDIT_ENABLED": "false"} | {f"CARNET_LIMITS_{name}": value for name, value in limits.items()}
    with open_proof(tmp_path_factory.mktemp("narrow") / "data", environ=environ, known=2) as opened:
        yield opened


BUSY = {("XDSRegistryBusy", SQ), ("XDSRegistryBusy", R), ("XDSRepositoryBusy", P), ("XDSRepositoryBusy", RS)}


def test_busy(narrow: Proof) -> None:
    """One transaction waits for a database that somebody else has locked: the others are told so, and go when it is free."""
    told: set[tuple[str, str]] = set()
    patient, client = narrow.patient(), narrow.client
    first: list[Answer] = []
    held, other = Submission(patient, [new(patient)]), Submission(patient, [new(patient)])

    def hold() -> None:
        """Until it has the only place: it may come while one of the queries below has it."""
        while (answer := register(client, held)).codes == ["XDSRegistryBusy"]:
            time.sleep(0.01)
        first.append(answer)

    waiting = threading.Thread(target=hold)
    asked = query("GetDocuments", {"$XDSDocumentEntryEntryUUID": quoted(new_uuid())})
    with contextlib.closing(sqlite3.connect(narrow.server.data / "carnet.sqlite", isolation_level=None)) as lock:
        lock.execute("BEGIN IMMEDIATE")
        waiting.start()
        until = time.monotonic() + 60
        while (answer := client.query(asked)).status == "Success" and time.monotonic() < until:
            time.sleep(0.02)
        for transaction, sent in (
            (SQ, answer),
            (R, register(client, other)),
            (P, provide(client, other)),
            (RS, client.retrieve(retrieval([new_oid()]))),
        ):
            assert sent.status == "Failure"
            told.update((code, transaction) for code in sent.codes)
        lock.execute("ROLLBACK")
    waiting.join(60)
    assert [answer.status for answer in first] == ["Success"], [answer.errors for answer in first]
    assert told == BUSY
    assert register(client, other).status == "Success"


def test_too_many_results(narrow: Proof) -> None:
    """XDSTooManyResults, and no results, for ITI-18 and ITI-43."""
    entries = [new(patient) for patient in [narrow.patient()] * 3]
    registered(narrow, *entries)
    slots = {"$XDSDocumentEntryPatientId": single(entries[0].patient), "$XDSDocumentEntryStatus": quoted(APPROVED)}
    found = narrow.client.query(query("FindDocuments", slots))
    assert (found.status, found.codes) == ("Failure", ["XDSTooManyResults"])
    assert not list(found.body.iter("{*}ExtrinsicObject"))
    retrieved = narrow.client.retrieve(retrieval([entry.uid for entry in entries]))
    assert retrieved.status == "Failure" and set(retrieved.codes) == {"XDSTooManyResults"}


def test_registry_not_available(tmp_path: Path) -> None:
    """A repository whose registry is nowhere: the submission is refused, and its document is not to be had."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        registry = f"http://127.0.0.1:{taken.getsockname()[1]}/xds/registry"
        with open_proof(tmp_path / "data", "--role", "repository", "--registry", registry) as proof:
            entry = new(unknown_patient())
            answer = provide(proof.client, Submission(entry.patient, [entry]))
            assert (answer.status, answer.codes) == ("Failure", ["XDSRegistryNotAvailable"])
            assert proof.client.retrieve(retrieval([entry.uid])).codes == ["XDSDocumentUniqueIdError"]


def test_a_document_that_was_changed_on_the_disk(proof: Proof) -> None:
    """XDSRepositoryError instead of bytes that are not those that were stored."""
    content = b"the bytes of a document" * 9001
    entry = new(proof.patient())
    assert proof.client.provide(Submission(entry.patient, [entry]).xml(), {entry.id: content}).status == "Success"
    (file,) = [f for f in proof.server.data.rglob("*") if f.is_file() and f.stat().st_size == len(content)]
    file.chmod(0o600)
    file.write_bytes(content[:-1] + b"!")
    answer = proof.client.retrieve(retrieval([entry.uid]))
    assert (answer.status, answer.codes, answer.documents()) == ("Failure", ["XDSRepositoryError"], {})


def test_no_room(tmp_path: Path) -> None:
    """XDSRepositoryOutOfResources when less room is left on the disk than the operator wants to keep free."""
    with open_proof(tmp_path / "data", environ={"CARNET_STORE_HEADROOM": str(1 << 40)}, known=2, healthy=False) as proof:
        entry = new(proof.patient())
        answer = proof.client.provide(Submission(entry.patient, [entry]).xml(), {entry.id: b"x" * 200_000})
        assert (answer.status, answer.codes) == ("Failure", ["XDSRepositoryOutOfResources"])


SET_UP = {
    *BUSY,
    ("XDSTooManyResults", SQ),
    ("XDSTooManyResults", RS),
    ("XDSRegistryNotAvailable", P),
    ("XDSRepositoryError", RS),
    ("XDSRepositoryOutOfResources", P),
}
"""Codes that the tests of this part bring about."""


def test_every_code_is_brought_about_or_told_why_not() -> None:
    table = {(code, transaction) for code, transactions in TABLE.items() for transaction in transactions}
    told = [set(MAKERS), SET_UP, set(NEVER)]
    assert table == set().union(*told)
    assert sum(map(len, told)) == len(table), "no code is listed twice"
    assert all(NEVER.values())


def test_the_table_is_the_reference_material(shared: Path) -> None:
    """The same codes for the same transactions as in the facts, read from their table."""
    facts = (shared / "facts" / "ihe.md").read_text(encoding="utf-8")
    assert {code: set(transactions) for code, transactions in TABLE.items()} == dict(read_table(facts))
