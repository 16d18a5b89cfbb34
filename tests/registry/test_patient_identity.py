"""Identifiers that are joined and merged, as queries and registrations see them afterwards (ITI TF-2: 3.8.4.2.4)."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence

import pytest

from metadata.rules.rule import Refused
from registry import patients
from registry.codes import CodeBook
from registry.iti42 import RegisterDocumentSet
from registry.patient_identity import Authorities, IdentityFeed
from registry.tables import PatientState
from storage.database import Database
from tests.registry.asking import Consumer
from tests.registry.submissions import (
    HAS_MEMBER,
    documents,
    folder,
    link,
    new_oid,
    new_patient,
    register_one,
    replacement,
)

INS_C = "1197854176879056415520^^^&1.2.250.1.213.1.4.2&ISO"
INS_NIR = "207058575627097^^^&1.2.250.1.213.1.4.8&ISO"


@pytest.fixture(scope="module")
def registry(database: Database) -> RegisterDocumentSet:
    return RegisterDocumentSet(database, CodeBook())


@pytest.fixture(scope="module")
def consumer(database: Database) -> Consumer:
    return Consumer(database)


@pytest.fixture(scope="module")
def feed(database: Database) -> IdentityFeed:
    return IdentityFeed(database)


def unknown(authority: str = "1.2.250.1.999.1") -> str:
    return f"{new_oid()}^^^&{authority}&ISO"


def documents_of(consumer: Consumer, cx: str) -> list[str]:
    """Sorted: new entryUUIDs grow, so this is the order of registration."""
    return sorted(entry.entryUUID for entry in consumer.everything(cx).documentEntries)


def refusal(act: Callable[[], object]) -> list[str]:
    with pytest.raises(Refused) as refused:
        act()
    assert all(f.remedy and f.section for f in refused.value.findings)
    return [f.rule for f in refused.value.findings]


def state(database: Database, cx: str) -> tuple[PatientState, str]:
    with database.read() as connection:
        one = patients.find(connection, [cx])[cx]
    return one.state, one.surviving


# ------------------------------------------------------------------------------------------------------------------- merge


def test_after_a_merge_everything_is_the_surviving_ids(
    database: Database, registry: RegisterDocumentSet, consumer: Consumer, feed: IdentityFeed
) -> None:
    old, new = new_patient(database), new_patient(database)
    mine = register_one(registry, new)
    other = register_one(registry, old, folder(old), link(HAS_MEMBER, "SubmissionSet01", "Folder01"))
    feed.merge(old, new)
    found = consumer.everything(new)
    assert {e.entryUUID for e in found.documentEntries} == {mine, other}
    said = [o.patientId for o in found.documentEntries] + [o.patientId for o in found.submissionSets]
    assert {*said, *(o.patientId for o in found.folders)} == {new}, "the returned patientId is the surviving one"
    assert {e.sourcePatientId for e in found.documentEntries} == {old, new}, "what the source said stays"
    assert documents_of(consumer, old) == []
    assert consumer.entry(other).patientId == new
    with pytest.raises(Refused) as refused:
        registry.register(documents(old, "Document01"))
    (finding,) = refused.value.findings
    assert finding.code == "XDSUnknownPatientId" and new in finding.text()


def test_a_chain_of_merges(database: Database, registry: RegisterDocumentSet, consumer: Consumer, feed: IdentityFeed) -> None:
    chain = [new_patient(database) for _ in range(4)]
    made = [register_one(registry, cx) for cx in chain]
    for old, new in itertools.pairwise(chain):
        feed.merge(old, new)
    assert documents_of(consumer, chain[-1]) == made
    assert [documents_of(consumer, cx) for cx in chain[:-1]] == [[], [], []]
    assert [state(database, cx)[1] for cx in chain] == [chain[-1]] * 4


def test_every_refusal_leaves_everything_as_it_was(database: Database, feed: IdentityFeed) -> None:
    old, new, third, nobody = new_patient(database), new_patient(database), new_patient(database), unknown()
    assert refusal(lambda: feed.merge(old, old)) == ["PIF-003"]
    assert refusal(lambda: feed.merge(old, nobody)) == ["PIF-004"]
    assert refusal(lambda: feed.merge(nobody, new)) == ["PIF-004"]
    assert refusal(lambda: feed.merge(nobody, unknown())) == ["PIF-004", "PIF-004"]
    assert refusal(lambda: feed.merge("4711", new)) == ["PIF-001"]
    assert [state(database, cx) for cx in (old, new)] == [(PatientState.ACTIVE, old), (PatientState.ACTIVE, new)]
    feed.merge(old, new)
    assert refusal(lambda: feed.merge(old, new)) == ["PIF-005"], "the subsumed one was subsumed before"
    assert refusal(lambda: feed.merge(old, third)) == ["PIF-005"]
    assert refusal(lambda: feed.merge(third, old)) == ["PIF-005"], "the surviving one was subsumed"
    assert refusal(lambda: feed.merge(new, old)) == ["PIF-005"], "there is no way back"
    assert refusal(lambda: feed.add([old])) == ["PIF-005"], "nor by announcing it again"
    assert [state(database, cx) for cx in (old, new, third)] == [
        (PatientState.SUBSUMED, new), (PatientState.ACTIVE, new), (PatientState.ACTIVE, third),
    ]  # fmt: skip


def test_documents_of_merged_patients_may_be_related(
    database: Database, registry: RegisterDocumentSet, consumer: Consumer, feed: IdentityFeed
) -> None:
    old, new = new_patient(database), new_patient(database)
    target = register_one(registry, old)
    with pytest.raises(Refused):
        registry.register(replacement(new, target))
    feed.merge(old, new)
    registry.register(replacement(new, target))
    assert len(documents_of(consumer, new)) == 2


# ------------------------------------------------------------------------------------------------------------------ aliases


def test_identifiers_fed_together_are_one_patient(
    database: Database, registry: RegisterDocumentSet, consumer: Consumer, feed: IdentityFeed
) -> None:
    ipp, ins = unknown(), unknown("1.2.250.1.999.2")
    assert feed.add([ipp, ins])
    assert not feed.add([ins, ipp]), "known already"
    made = [register_one(registry, ipp), register_one(registry, ins)]
    assert documents_of(consumer, ipp) == documents_of(consumer, ins) == made
    assert {o.patientId for o in consumer.everything(ins).documentEntries} == {ipp}, "the first stands for the person"
    registry.register(replacement(ins, made[0]))  # documents under two identifiers of one person may be related
    assert feed.add([unknown(), ins]), "a third one joins later"
    record = patients.show(database, ipp)
    assert record is not None and len({p.cx for p in record.identifiers}) == 3


def test_two_records_with_documents_are_joined_by_an_operator_only(
    database: Database, registry: RegisterDocumentSet, consumer: Consumer, feed: IdentityFeed
) -> None:
    a, b, empty = new_patient(database), new_patient(database), new_patient(database)
    made = [register_one(registry, a), register_one(registry, b)]
    assert refusal(lambda: feed.add([a, b])) == ["PIF-007"]
    assert documents_of(consumer, a) == made[:1]
    assert feed.add([empty, b]), "one without documents joins the other"
    assert state(database, empty) == (PatientState.ALIAS, b)
    assert feed.join([b, a])
    assert documents_of(consumer, a) == documents_of(consumer, b) == documents_of(consumer, empty) == made


def test_aliases_follow_a_merge(
    database: Database, registry: RegisterDocumentSet, consumer: Consumer, feed: IdentityFeed
) -> None:
    old, alias, new = unknown(), unknown(), new_patient(database)
    feed.add([old, alias])
    made = [register_one(registry, cx) for cx in (old, alias, new)]
    feed.merge(old, new)
    assert documents_of(consumer, alias) == documents_of(consumer, new) == made
    assert state(database, alias) == (PatientState.ALIAS, new)
    last = new_patient(database)
    feed.merge(alias, last)  # an alias is merged: its person goes along
    assert documents_of(consumer, new) == documents_of(consumer, last) == made
    assert [state(database, cx)[0] for cx in (alias, new)] == [PatientState.SUBSUMED, PatientState.ALIAS]


def test_an_alias_may_outlive_the_first_identifier(database: Database, consumer: Consumer, feed: IdentityFeed) -> None:
    first, second, third = unknown(), unknown(), unknown()
    feed.add([first, second, third])
    feed.merge(first, second)
    assert [state(database, cx) for cx in (first, second, third)] == [
        (PatientState.SUBSUMED, second), (PatientState.ACTIVE, second), (PatientState.ALIAS, second),
    ]  # fmt: skip
    feed.merge(third, second)
    assert state(database, third) == (PatientState.SUBSUMED, second)


# ---------------------------------------------------------------------------------------------------------------------- INS


def test_ins_c_and_ins_nir_are_one_patient(registry: RegisterDocumentSet, consumer: Consumer, feed: IdentityFeed) -> None:
    feed.add([INS_C])
    made = register_one(registry, INS_C)
    feed.add([INS_NIR, INS_C])
    assert documents_of(consumer, INS_NIR) == documents_of(consumer, INS_C) == [made]


@pytest.mark.parametrize("cx", [INS_C.replace("520^", "521^"), INS_NIR.replace("097^", "098^"), INS_NIR.replace("4.8", "4.2")])
def test_a_wrong_ins_is_refused_with_the_reason(database: Database, feed: IdentityFeed, cx: str) -> None:
    assert refusal(lambda: feed.add([cx])) == ["PIF-002"]
    lenient = IdentityFeed(database, Authorities(check_ins=False))
    assert lenient.add([cx])


# -------------------------------------------------------------------------------------------------------------------- races


def together(*acts: Callable[[], object]) -> list[BaseException | None]:
    """What each of the acts raised, all begun at one moment on threads of their own."""
    gate = threading.Barrier(len(acts))
    outcome: list[BaseException | None] = [None] * len(acts)

    def run(number: int, act: Callable[[], object]) -> None:
        gate.wait()
        try:
            act()
        except BaseException as error:
            outcome[number] = error

    threads = [threading.Thread(target=run, args=item) for item in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return outcome


@pytest.mark.parametrize("turn", range(8))
def test_a_merge_racing_a_submission_ends_in_a_legal_state(
    database: Database, registry: RegisterDocumentSet, consumer: Consumer, feed: IdentityFeed, turn: int
) -> None:
    old, new = new_patient(database), new_patient(database)
    submitted = documents(old, "Document01")
    merged, registered = together(lambda: feed.merge(old, new), lambda: registry.register(submitted))
    assert merged is None
    assert registered is None or isinstance(registered, Refused), registered
    expected = 0 if registered else 1
    assert len(documents_of(consumer, new)) == expected and documents_of(consumer, old) == []


def test_merges_that_cross_cannot_both_win(database: Database, feed: IdentityFeed) -> None:
    for _ in range(5):
        a, b = new_patient(database), new_patient(database)
        errors = together(lambda a=a, b=b: feed.merge(a, b), lambda a=a, b=b: feed.merge(b, a))  # type: ignore[misc]
        assert sorted(type(e).__name__ for e in errors) == ["NoneType", "Refused"], errors
        assert {state(database, cx)[0] for cx in (a, b)} == {PatientState.ACTIVE, PatientState.SUBSUMED}


def test_the_same_identifiers_fed_at_one_moment_are_one_patient(database: Database, feed: IdentityFeed) -> None:
    def add(cxs: Sequence[str]) -> Callable[[], object]:
        return lambda: feed.add(cxs)

    for _ in range(5):
        a, b, c = unknown(), unknown(), unknown()
        assert together(add([a, b]), add([b, c]), add([c, a])) == [None, None, None]
        assert len({state(database, cx)[1] for cx in (a, b, c)}) == 1
