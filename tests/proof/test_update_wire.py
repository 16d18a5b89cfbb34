"""ITI-57 and ITI-92 over the wire: every error code, versions in queries, the French forms, two updates at the same moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from lxml import etree

from tests.conftest import new_postgres_database
from tests.nist.wire import ACTIONS, RIM, Answer, Client, post, soap_request
from tests.proof.conftest import Proof, open_proof, unknown_patient
from tests.proof.messages import (
    APND,
    APPROVED,
    DEPRECATED,
    HAS_MEMBER,
    RPLC,
    Association,
    Entry,
    Folder,
    Submission,
    new_oid,
    new_uuid,
    query,
    quoted,
)
from tests.proof.update_messages import ARCHIVED, DELETED, Update, again
from tests.server_process import ServerProcess

ON_DEMAND = "urn:uuid:34268e47-fdf5-41a6-ba33-82133c465248"
Send = Callable[[Proof], Answer]
MAKERS: dict[tuple[str, str], Send] = {}


def update(proof: Proof, message: Update, transaction: str = "ITI-57") -> Answer:
    return proof.client.soap(transaction, message.xml())


def registered(proof: Proof, *, folder: bool = False, patient: str = "") -> tuple[Entry, Folder]:
    """One document, and in a Folder where asked for."""
    who = patient or proof.patient()
    entry, container = Entry(who).registered(), Folder(who)
    inside = [Association(HAS_MEMBER, container.id, entry.id)] if folder else []
    sent = Submission(who, [entry], [container] if folder else [], inside)
    answer = proof.client.register(sent.xml())
    assert answer.status == "Success", answer.errors
    return entry, container


def rows(proof: Proof, name: str, slots: dict[str, str], level: str = "2") -> list[etree._Element]:
    answer = proof.client.soap("ITI-18", query(name, {**slots, "$MetadataLevel": level}))
    assert answer.status == "Success", answer.errors
    found = answer.body.find(f"{{{RIM}}}RegistryObjectList")
    assert found is not None
    return list(found)


def versions(proof: Proof, uid: str, level: str = "2") -> list[tuple[str, str, str]]:
    """(entryUUID, version, status) of the DocumentEntries with this uniqueId."""
    found = rows(proof, "GetDocuments", {"$XDSDocumentEntryUniqueId": quoted(uid)}, level)
    return [_version(one) for one in found if one.tag == f"{{{RIM}}}ExtrinsicObject"]


def _version(one: etree._Element) -> tuple[str, str, str]:
    info = one.find(f"{{{RIM}}}VersionInfo")
    assert info is not None
    return one.get("id", ""), info.get("versionName", ""), one.get("status", "")


# ------------------------------------------------------------------------------------------------------------ error codes


def makes(code: str, *transactions: str) -> Callable[[Callable[[Proof, str], Answer]], Callable[[Proof, str], Answer]]:
    def keep(maker: Callable[[Proof, str], Answer]) -> Callable[[Proof, str], Answer]:
        for one in transactions:
            MAKERS[code, one] = lambda proof, one=one: maker(proof, one)  # type: ignore[misc]
        return maker

    return keep


BOTH = ("ITI-57", "ITI-92")
#: What cannot be wrong alone.
ALSO = {("XDSUnknownPatientId", "ITI-92"): {"UnmodifiableMetadataError"}}


@makes("XDSInvalidRequestException", *BOTH)
def _first_version(proof: Proof, transaction: str) -> Answer:
    entry = Entry(proof.patient()).registered()
    return update(proof, Update(entry.patient).entry(entry, entry.id), transaction)


@makes("UnresolvedReferenceException", *BOTH)
def _unknown_lid(proof: Proof, transaction: str) -> Answer:
    entry = Entry(proof.patient()).registered()
    return update(proof, Update(entry.patient).entry(entry, new_uuid()), transaction)


@makes("XDSMetadataIdentifierError", *BOTH)
def _other_unique_id(proof: Proof, transaction: str) -> Answer:
    entry, _ = registered(proof)
    return update(proof, Update(entry.patient).entry(again(entry, uid=new_oid()), entry.id), transaction)


@makes("XDSMetadataVersionError", *BOTH)
def _wrong_version(proof: Proof, transaction: str) -> Answer:
    entry, _ = registered(proof)
    return update(proof, Update(entry.patient).entry(again(entry), entry.id, "2"), transaction)


@makes("XDSPatientIDReconciliationError", *BOTH)
def _two_patients(proof: Proof, transaction: str) -> Answer:
    entry, _ = registered(proof)
    return update(proof, Update(proof.patient()).entry(again(entry), entry.id), transaction)


@makes("XDSUnknownPatientId", *BOTH)
def _nobody(proof: Proof, transaction: str) -> Answer:
    entry, _ = registered(proof)
    who = unknown_patient()
    return update(proof, Update(who).entry(again(entry, patient=who), entry.id), transaction)


@makes("XDSRegistryMetadataError", *BOTH)
def _incomplete(proof: Proof, transaction: str) -> Answer:
    entry, _ = registered(proof)
    return update(proof, Update(entry.patient).entry(again(entry, creation=None), entry.id), transaction)


@makes("XDSDuplicateUniqueIdInRegistry", *BOTH)
def _set_again(proof: Proof, transaction: str) -> Answer:
    entry, _ = registered(proof)
    other, _ = registered(proof)
    return update(proof, Update(entry.patient, other.uid).entry(again(entry), entry.id), transaction)


@makes("XDSRegistryDuplicateUniqueIdInMessage", *BOTH)
def _uid_twice(proof: Proof, transaction: str) -> Answer:
    one, _ = registered(proof)
    other, _ = registered(proof, patient=one.patient)
    message = Update(one.patient).entry(again(one), one.id).entry(again(other, uid=one.uid), other.id)
    return update(proof, message, transaction)


@makes("XDSMetadataUpdateOperationError", *BOTH)
def _twice(proof: Proof, transaction: str) -> Answer:
    entry, _ = registered(proof)
    message = Update(entry.patient).entry(again(entry), entry.id).entry(again(entry), entry.id)
    return update(proof, message, transaction)


@makes("XDSMetadataUpdateError", "ITI-57")
def _untrue_status(proof: Proof, transaction: str) -> Answer:
    entry, _ = registered(proof)
    return update(proof, Update(entry.patient).status(entry.id, DEPRECATED, APPROVED))


@makes("XDSRegistryDeprecatedDocumentError", "ITI-57")
def _to_a_deprecated_one(proof: Proof, transaction: str) -> Answer:
    one, _ = registered(proof)
    other, _ = registered(proof, patient=one.patient)
    assert update(proof, Update(one.patient).status(other.id)).status == "Success"
    return update(proof, Update(one.patient).submit(APND, one.id, other.id))


@makes("UnmodifiableMetadataError", "ITI-92")
def _other_size(proof: Proof, transaction: str) -> Answer:
    entry, _ = registered(proof)
    return update(proof, Update(entry.patient).entry(again(entry, size=5), entry.id), transaction)


@makes("XDSMetadataAnnotationError", "ITI-92")
def _no_annotation(proof: Proof, transaction: str) -> Answer:
    entry, _ = registered(proof)
    return update(proof, Update(entry.patient).entry(again(entry), entry.id, None), transaction)


@makes("XDSObjectTypeError", "ITI-92")
def _a_folder(proof: Proof, transaction: str) -> Answer:
    _, folder = registered(proof, folder=True)
    renewed = Folder(folder.patient, uid=folder.uid)
    return update(proof, Update(folder.patient).folder(renewed, folder.id), transaction)


@pytest.mark.parametrize(("code", "transaction"), MAKERS, ids=[f"{t}-{c}" for c, t in MAKERS])
def test_every_error_code_is_brought_about(proof: Proof, code: str, transaction: str) -> None:
    answer = MAKERS[code, transaction](proof)
    assert answer.status == "Failure"
    assert set(answer.codes) == {code} | ALSO.get((code, transaction), set()), answer.errors
    for error in answer.errors:
        assert error.location and error.context.startswith(error.location), "the id stands in @location and in @codeContext"


def test_the_stated_codes_are_those(proof: Proof) -> None:
    from metadata.vocabulary import Transaction
    from server.statement import CODES

    general = {"XDSRegistryBusy", "XDSRegistryError", "XDSRegistryOutOfResources"}  # of any transaction: tests of the endpoint
    for transaction in (Transaction.ITI_57, Transaction.ITI_92):
        stated = {code.value for code in CODES[transaction]} - general
        assert stated == {code for code, of in MAKERS if of == transaction.code}


# --------------------------------------------------------------------------------------------------- what becomes of it


@pytest.mark.parametrize("path", ["/xds/registry", "/xds/iti57"])
def test_a_new_version_is_the_one_found(proof: Proof, path: str) -> None:
    entry, _ = registered(proof)
    renewed = again(entry, title="Corrected")
    message = Update(entry.patient).entry(renewed, entry.id).xml()
    answer = post(proof.server.url + path, *soap_request(ACTIONS["ITI-57"], message, proof.server.url + path))
    assert answer.status == "Success", answer.errors
    assert versions(proof, entry.uid) == [(entry.id, "1", DEPRECATED), (renewed.id, "2", APPROVED)]
    assert versions(proof, entry.uid, "1") == [(renewed.id, "2", APPROVED)]
    by_lid = rows(proof, "GetDocuments", {"$XDSDocumentEntryLogicalID": quoted(entry.id)})
    assert [one.get("lid") for one in by_lid] == [entry.id, entry.id]
    found = rows(
        proof, "FindDocuments", {"$XDSDocumentEntryPatientId": f"'{entry.patient}'", "$XDSDocumentEntryStatus": quoted(APPROVED)}
    )
    assert [_version(one) for one in found] == [(renewed.id, "2", APPROVED)]


@pytest.mark.parametrize("path", ["/xds/registry", "/xds/iti92"])
def test_a_restricted_update_makes_a_version_too(proof: Proof, path: str) -> None:
    entry, _ = registered(proof)
    renewed = again(entry, confidentiality=("R^^2.16.840.1.113883.5.25",))
    message = Update(entry.patient).entry(renewed, entry.id).xml()
    answer = post(proof.server.url + path, *soap_request(ACTIONS["ITI-92"], message, proof.server.url + path))
    assert answer.status == "Success", answer.errors
    assert versions(proof, entry.uid) == [(entry.id, "1", DEPRECATED), (renewed.id, "2", APPROVED)]


def test_all_findings_come_at_once_and_nothing_is_stored(proof: Proof) -> None:
    one, _ = registered(proof)
    other, _ = registered(proof, patient=one.patient)
    message = Update(one.patient).entry(again(one), one.id).entry(again(other, uid=new_oid()), other.id, "7")
    message.status(new_uuid()).submit(APND, one.id, new_uuid())
    answer = update(proof, message)
    assert sorted(answer.codes) == ["UnresolvedReferenceException", "UnresolvedReferenceException", "XDSMetadataIdentifierError"]
    assert versions(proof, one.uid) == [(one.id, "1", APPROVED)]


def test_documents_are_replaced_by_submissions_only(proof: Proof) -> None:
    one, _ = registered(proof)
    other, _ = registered(proof, patient=one.patient)
    assert update(proof, Update(one.patient).submit(RPLC, one.id, other.id)).codes == ["XDSMetadataUpdateOperationError"]


# ------------------------------------------------------------------------------------------------------------ French forms


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proof]:
    """A domain that archives and deletes documents by their status."""
    home = tmp_path_factory.mktemp("archive")
    (home / "domains").mkdir()
    (home / "domains" / "archive.toml").write_text('name = "archive"\ntitle = "Archives"\noptions = ["update-archive"]\n')
    arguments = ("--set", "domain.profile=archive", "--set", f"domain.folder={home / 'domains'}")
    with open_proof(home / "data", *arguments, known=4) as opened:
        yield opened


def test_a_document_is_archived_brought_back_and_deleted_for_good(archive: Proof) -> None:
    entry, _ = registered(archive)
    for before, after in ((APPROVED, ARCHIVED), (ARCHIVED, APPROVED), (APPROVED, ARCHIVED), (ARCHIVED, DELETED)):
        assert update(archive, Update(entry.patient).status(entry.id, before, after)).status == "Success"
        assert versions(archive, entry.uid) == [(entry.id, "1", after)]
        asked = {"$XDSDocumentEntryPatientId": f"'{entry.patient}'", "$XDSDocumentEntryStatus": quoted(after)}
        assert [one.get("id") for one in rows(archive, "FindDocuments", asked)] == [entry.id]
    assert update(archive, Update(entry.patient).status(entry.id, DELETED, APPROVED)).codes == ["XDSMetadataUpdateError"]


def test_an_archived_document_keeps_its_status_through_an_update(archive: Proof) -> None:
    entry, _ = registered(archive)
    assert update(archive, Update(entry.patient).status(entry.id, APPROVED, ARCHIVED)).status == "Success"
    renewed = again(entry)
    assert update(archive, Update(entry.patient).entry(renewed, entry.id)).status == "Success"
    assert versions(archive, entry.uid) == [(entry.id, "1", DEPRECATED), (renewed.id, "2", ARCHIVED)]


def test_elsewhere_nothing_is_archived(proof: Proof) -> None:
    entry, _ = registered(proof)
    answer = update(proof, Update(entry.patient).status(entry.id, APPROVED, ARCHIVED))
    assert answer.codes == ["XDSMetadataUpdateOperationError"] and "update-archive" in answer.errors[0].context


# ------------------------------------------------------------------------------------------------------- at the same time


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def busy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proof]:
    """Threads on SQLite, processes on PostgreSQL."""
    data: Path = tmp_path_factory.mktemp("busy") / "data"
    environ = {"CARNET_DOMAIN_PATIENTS": "open"}
    if request.param == "sqlite":
        with ServerProcess(data, environ=environ) as server:
            yield Proof(server, Client(server.registry, server.repository), unknown_patient)
    else:
        with (
            new_postgres_database() as url,
            ServerProcess(data, "--workers", "2", environ=environ, database=url) as server,
        ):
            yield Proof(server, Client(server.registry, server.repository), unknown_patient)


def test_of_two_updates_of_one_entry_exactly_one_wins(busy: Proof, rounds: Callable[[int, int], int]) -> None:
    for _ in range(rounds(6, 60)):
        entry, _ = registered(busy)
        renewed = [again(entry, title=f"Version of client {n}") for n in range(4)]
        start = threading.Barrier(len(renewed))

        def send(one: Entry, entry: Entry = entry, start: threading.Barrier = start) -> Answer:
            message = Update(entry.patient).entry(one, entry.id)
            start.wait()
            return update(busy, message)

        with ThreadPoolExecutor(len(renewed)) as clients:
            answers = list(clients.map(send, renewed))
        won = [one.id for one, answer in zip(renewed, answers, strict=True) if answer.status == "Success"]
        assert len(won) == 1, [answer.errors for answer in answers]
        assert [answer.codes for answer in answers if answer.status != "Success"] == [["XDSMetadataVersionError"]] * 3
        assert versions(busy, entry.uid) == [(entry.id, "1", DEPRECATED), (won[0], "2", APPROVED)]


def test_an_update_and_a_replacement_of_one_entry_do_not_both_win(busy: Proof, rounds: Callable[[int, int], int]) -> None:
    for _ in range(rounds(4, 40)):
        entry, _ = registered(busy)
        renewed, other = again(entry), Entry(entry.patient).registered()
        start = threading.Barrier(2)

        def change(entry: Entry = entry, renewed: Entry = renewed, start: threading.Barrier = start) -> Answer:
            start.wait()
            return update(busy, Update(entry.patient).entry(renewed, entry.id))

        def replace(entry: Entry = entry, other: Entry = other, start: threading.Barrier = start) -> Answer:
            sent = Submission(entry.patient, [other], associations=[Association(RPLC, other.id, entry.id)])
            start.wait()
            return busy.client.register(sent.xml())

        with ThreadPoolExecutor(2) as clients:
            changed, replaced = clients.submit(change), clients.submit(replace)
        assert changed.result().status == "Success", "a replaced document may still get a version, Deprecated as it is"
        status = {one: state for one, _, state in versions(busy, entry.uid)}
        if replaced.result().status == "Success":
            assert status == {entry.id: DEPRECATED, renewed.id: DEPRECATED}
        else:
            assert replaced.result().codes == ["XDSRegistryDeprecatedDocumentError"]
            assert status == {entry.id: DEPRECATED, renewed.id: APPROVED}


def test_of_two_replacements_of_one_document_exactly_one_wins(busy: Proof, rounds: Callable[[int, int], int]) -> None:
    for _ in range(rounds(4, 40)):
        entry, _ = registered(busy)
        others = [Entry(entry.patient).registered() for _ in range(3)]
        start = threading.Barrier(len(others))

        def replace(other: Entry, entry: Entry = entry, start: threading.Barrier = start) -> Answer:
            sent = Submission(entry.patient, [other], associations=[Association(RPLC, other.id, entry.id)])
            start.wait()
            return busy.client.register(sent.xml())

        with ThreadPoolExecutor(len(others)) as clients:
            answers = list(clients.map(replace, others))
        assert sorted(answer.status for answer in answers) == ["Failure", "Failure", "Success"]
        lost = [answer.codes for answer in answers if answer.status != "Success"]
        assert lost == [["XDSRegistryDeprecatedDocumentError"]] * 2
        assert versions(busy, entry.uid) == [(entry.id, "1", DEPRECATED)]
        found = [versions(busy, other.uid) for other in others]
        assert [bool(one) for one in found] == [answer.status == "Success" for answer in answers], "a loser leaves nothing"
