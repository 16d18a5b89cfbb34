"""Oracles of what is hidden: every way to name it in a message, every stored query with its counts, and the time an answer takes.

Each is compared with the same message about something that is registered nowhere.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import pytest
from lxml import etree

from registry.rights import Right
from tests.nist.wire import Answer
from tests.proof.conftest import unknown_patient
from tests.proof.messages import (
    APND,
    DEPRECATED,
    HAS_MEMBER,
    RPLC,
    SIGNS,
    XFRM,
    XFRM_RPLC,
    Association,
    Entry,
    Folder,
    Submission,
    new_uuid,
    query,
    quoted,
    single,
)
from tests.proof.rights_callers import MASKED, NORMAL, Caller, RightsWorld, open_rights, question_of, refused_by
from tests.proof.test_masking import alike, remove_documents
from tests.proof.update_messages import APPROVED, Update

MASKED_DOCUMENTS = 12
LIMITS = {"CARNET_LIMITS_QUERY_RESULTS": "10", "CARNET_SECURITY_ENUMERATION": "4"}
REFERENCE = "77^^^&1.2.3&ISO^urn:ihe:iti:xds:2013:order"


@dataclass
class Oracle:
    """A record of which one document shows to the reader and everything else hides from him."""

    world: RightsWorld
    author: Caller
    reader: Caller
    patient: str
    plain: Entry
    masked: list[Entry]
    folder: Folder
    submission: Submission

    @property
    def said(self) -> bytes:
        return self.reader.says(self.patient)


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oracle]:
    with open_rights(tmp_path_factory.mktemp("oracles"), LIMITS) as world:
        author, reader = world.cards.person("author", 21), world.cards.person("reader", 22)
        patient = world.patient()
        for one in (author, reader):
            world.rights.give(patient, Right.AUTHORISED, one.subject)
        plain = Entry(patient)
        masked = [Entry(patient, confidentiality=(NORMAL, MASKED), references=[REFERENCE]) for _ in range(MASKED_DOCUMENTS)]
        folder = Folder(patient)
        members = [Association(HAS_MEMBER, folder.id, one.id) for one in masked]
        hidden = Submission(patient, masked, [folder], members)
        for made in (Submission(patient, [plain]), hidden):
            answer = world.provide(author.says(patient), made)
            assert answer.status == "Success", (answer.fault, answer.errors)
        yield Oracle(world, author, reader, patient, plain, masked, folder, hidden)


# ------------------------------------------------------------------------------------------ ways to name it in a message


def linked(kind: str) -> Callable[[Oracle, str, str], Answer]:
    def send(oracle: Oracle, entry: str, folder: str) -> Answer:
        fresh = Entry(oracle.patient)
        made = Submission(oracle.patient, [fresh], associations=[Association(kind, fresh.id, entry)])
        return oracle.world.provide(oracle.said, made)

    return send


def referred(oracle: Oracle, entry: str, folder: str) -> Answer:
    return oracle.world.provide(oracle.said, Submission(oracle.patient, [Entry(oracle.patient)], references=[entry]))


def referred_folder(oracle: Oracle, entry: str, folder: str) -> Answer:
    return oracle.world.provide(oracle.said, Submission(oracle.patient, [Entry(oracle.patient)], references=[folder]))


def put_into_folder(oracle: Oracle, entry: str, folder: str) -> Answer:
    fresh = Entry(oracle.patient)
    member = Association(HAS_MEMBER, folder, fresh.id)
    return oracle.world.provide(oracle.said, Submission(oracle.patient, [fresh], associations=[member]))


def folder_takes_it(oracle: Oracle, entry: str, folder: str) -> Answer:
    own = Folder(oracle.patient)
    member = Association(HAS_MEMBER, own.id, entry)
    made = Submission(oracle.patient, [Entry(oracle.patient)], [own], [member])
    return oracle.world.provide(oracle.said, made)


def updated(make: Callable[[Oracle, str, str], Update]) -> Callable[[Oracle, str, str], Answer]:
    def send(oracle: Oracle, entry: str, folder: str) -> Answer:
        return oracle.world.send(oracle.said, "ITI-57", make(oracle, entry, folder).xml())

    return send


NAMED: dict[str, Callable[[Oracle, str, str], Answer]] = {
    **{kind.rpartition(":")[2]: linked(kind) for kind in (APND, XFRM, XFRM_RPLC, RPLC, SIGNS)},
    "reference": referred,
    "reference of a Folder": referred_folder,
    "member of its Folder": put_into_folder,
    "own Folder": folder_takes_it,
    "status": updated(lambda o, entry, folder: Update(o.patient).status(entry, APPROVED, DEPRECATED)),
    "status of a Folder": updated(lambda o, entry, folder: Update(o.patient).status(folder, APPROVED, DEPRECATED)),
    "version of a Folder": updated(lambda o, entry, folder: Update(o.patient).folder(Folder(o.patient), folder)),
    "submitted association": updated(lambda o, entry, folder: Update(o.patient).submit(APND, o.plain.id, entry)),
    "submitted membership": updated(lambda o, entry, folder: Update(o.patient).submit(HAS_MEMBER, folder, o.plain.id)),
}


@pytest.mark.parametrize("way", NAMED)
def test_naming_what_is_hidden_is_answered_like_naming_nothing(oracle: Oracle, way: str) -> None:
    hidden = NAMED[way](oracle, oracle.masked[0].id, oracle.folder.id)
    absent = NAMED[way](oracle, new_uuid(), new_uuid())
    assert hidden.status != "Success"
    assert alike(hidden, absent), (hidden.errors, hidden.fault, absent.errors, absent.fault)


# ---------------------------------------------------------------------------------------------------- queries and counts


def asked(oracle: Oracle) -> dict[tuple[str, str], dict[str, str]]:
    """(transaction, query) to slots: each stored query there is, about the whole record or by the ids of what is hidden."""
    statuses = quoted(APPROVED, DEPRECATED)
    entry, set_, folder = quoted(oracle.masked[0].id), oracle.submission.id, oracle.folder.id
    one = single(oracle.patient)
    documents = {"$XDSDocumentEntryPatientId": one, "$XDSDocumentEntryStatus": statuses}
    many = {"$XDSDocumentEntryPatientId": quoted(oracle.patient), "$XDSDocumentEntryStatus": statuses}
    reference = {"$XDSDocumentEntryReferenceIdList": quoted(REFERENCE)}
    return {
        ("ITI-18", "FindDocuments"): documents,
        ("ITI-18", "FindDocumentsByReferenceId"): {**documents, **reference},
        ("ITI-18", "FindSubmissionSets"): {"$XDSSubmissionSetPatientId": one, "$XDSSubmissionSetStatus": statuses},
        ("ITI-18", "FindFolders"): {"$XDSFolderPatientId": one, "$XDSFolderStatus": statuses},
        ("ITI-18", "GetAll"): {
            "$patientId": one, **{f"$XDS{k}Status": statuses for k in ("DocumentEntry", "SubmissionSet", "Folder")}},
        ("ITI-18", "GetDocuments"): {"$XDSDocumentEntryEntryUUID": entry},
        ("ITI-18", "GetFolders"): {"$XDSFolderEntryUUID": quoted(folder)},
        ("ITI-18", "GetAssociations"): {"$uuid": quoted(oracle.masked[0].id, set_, folder)},
        ("ITI-18", "GetDocumentsAndAssociations"): {"$XDSDocumentEntryEntryUUID": entry},
        ("ITI-18", "GetSubmissionSets"): {"$uuid": quoted(oracle.masked[0].id, folder)},
        ("ITI-18", "GetSubmissionSetAndContents"): {"$XDSSubmissionSetEntryUUID": single(set_)},
        ("ITI-18", "GetFolderAndContents"): {"$XDSFolderEntryUUID": single(folder)},
        ("ITI-18", "GetFoldersForDocument"): {"$XDSDocumentEntryEntryUUID": single(oracle.masked[0].id)},
        ("ITI-18", "GetRelatedDocuments"): {
            "$XDSDocumentEntryEntryUUID": single(oracle.masked[0].id), "$AssociationTypes": quoted(APND, RPLC)},
        ("ITI-51", "FindDocumentsForMultiplePatients"): many,
        ("ITI-51", "FindFoldersForMultiplePatients"): {
            "$XDSFolderPatientId": quoted(oracle.patient), "$XDSFolderStatus": statuses},
        ("ITI-51", "FindDocumentsByReferenceIdForMultiplePatients"): {**many, **reference},
    }  # fmt: skip


def test_no_stored_query_tells_of_it_nor_counts_it(oracle: Oracle) -> None:
    """More documents are hidden than an answer may hold: a limit that counted them would say so."""
    secret = {x for e in oracle.masked for x in (e.id, e.uid)} | {oracle.submission.id, oracle.folder.id, oracle.folder.uid}
    questions = asked(oracle)
    assert len(questions) == 17
    for (transaction, name), slots in questions.items():
        for return_type in ("LeafClass", "ObjectRef"):
            body = query(name, slots, return_type)
            target = oracle.world.proof.client.registry.replace("/registry", "/iti51") if transaction == "ITI-51" else ""
            answer = oracle.world.send(oracle.said, transaction, body, url=target)
            text = etree.tostring(answer.body).decode()
            assert answer.status == "Success", (name, return_type, answer.fault, answer.errors)
            assert not [one for one in secret if one in text], (name, return_type)
            assert not answer.errors, (name, answer.errors)


# --------------------------------------------------------------------------------------------------------------- the time


def rank_test(one: Sequence[float], other: Sequence[float]) -> float:
    """The p of Mann and Whitney's test, two-sided, by its normal approximation: how likely samples of one kind differ so."""
    ranked = sorted((value, group) for group, values in enumerate((one, other)) for value in values)
    ranks = sum(rank for rank, (_, group) in enumerate(ranked, 1) if group == 0)
    n, m = len(one), len(other)
    u = ranks - n * (n + 1) / 2
    z = (u - n * m / 2) / math.sqrt(n * m * (n + m + 1) / 12)
    return math.erfc(abs(z) / math.sqrt(2))


def timed(makes: Mapping[str, Callable[[], Answer]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each, in turn and in changing order, so that whatever else the machine does falls on all alike."""
    taken: dict[str, list[float]] = {name: [] for name in makes}
    draw = random.Random(5)
    for _ in range(rounds):
        for name in draw.sample(list(makes), len(makes)):
            start = time.perf_counter()
            makes[name]()
            taken[name].append(time.perf_counter() - start)
    return taken


@dataclass(frozen=True)
class Comparison:
    """Requests that must look alike and take alike long: what is asked for differs, by name."""

    requests: dict[str, Callable[[], Answer]]
    rounds: int

    def distinguished(self) -> set[tuple[str, str]]:
        """The pairs that two samples in a row tell apart: chance alone does that once in ten thousand times."""
        apart = [self._once() for _ in range(2)]
        return apart[0] & apart[1]

    def _once(self) -> set[tuple[str, str]]:
        taken = timed(self.requests, self.rounds)
        pairs = [(one, other) for one in taken for other in taken if one < other]
        return {(one, other) for one, other in pairs if rank_test(taken[one], taken[other]) < 0.01}


def comparisons(oracle: Oracle, rounds: int) -> dict[str, Comparison]:
    world, said, absent, masked = oracle.world, oracle.said, Entry(oracle.patient), oracle.masked[0]
    stranger = world.cards.person(f"stranger-{rounds}", 23)
    records = {"closed": oracle.patient, "empty": world.patient(), "unknown": unknown_patient()}
    assertions = {name: stranger.says(patient) for name, patient in records.items()}

    def each(send: Callable[[Entry], Answer]) -> dict[str, Callable[[], Answer]]:
        return {"absent": partial(send, absent), "hidden": partial(send, masked)}

    asked: dict[str, dict[str, Callable[[], Answer]]] = {
        "search of a record": {n: partial(world.find, assertions[n], cx) for n, cx in records.items()},
        "retrieve from a record": {n: partial(world.retrieve, assertions[n], [oracle.plain]) for n in records},
        "retrieve": each(lambda entry: world.retrieve(said, [entry])),
        "search by uniqueId": each(lambda entry: world.reference(said, entry)),
        "search by entryUUID": each(
            lambda entry: world.send(said, "ITI-18", query("GetDocuments", {"$XDSDocumentEntryEntryUUID": quoted(entry.id)}))
        ),
        "removal": each(lambda entry: remove_documents(world, said, entry.uid)),
    }
    return {name: Comparison(requests, rounds) for name, requests in asked.items()}


def test_the_time_of_an_answer_does_not_tell(oracle: Oracle, long: bool) -> None:
    """With `--long` by two samples of a thousand; otherwise only that the answers that are timed are alike."""
    for name, comparison in comparisons(oracle, 1000).items():
        first, *others = [send() for send in comparison.requests.values()]
        assert all(alike(first, other) for other in others), name
        assert not long or not comparison.distinguished(), name


def test_who_tries_patient_after_patient_sounds_an_alarm(oracle: Oracle) -> None:
    """Records that are closed to him, empty and unknown ones alike, each counted once."""
    world, said = oracle.world, oracle.world.cards.person("trying", 24)
    patients = [oracle.patient, oracle.patient, world.patient(), unknown_patient(), unknown_patient()]
    server, alarms = world.proof.server, []
    for patient in patients:
        answer = world.find(said.says(patient), patient)
        assert refused_by(answer) == "ACC-005"
        log = server.told(f"{question_of(answer)} FAULT")  # written after the alarm that this refusal may sound
        alarms.append(log.count("alarm enumeration"))
    assert alarms == [0, 0, 0, 0, 1]
    assert server.counted('carnet_alarms_total{kind="enumeration"}') == 1


def test_a_difference_in_time_would_be_found() -> None:
    draw = random.Random(7)
    one, same, slower = ([draw.gauss(3.3, 0.4) + late for _ in range(1000)] for late in (0, 0, 0.12))
    assert rank_test(one, same) > 0.01 > rank_test(one, slower)
