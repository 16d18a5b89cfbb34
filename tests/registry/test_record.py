"""A record that is closed and opened again (`carnet patient`): what is refused meanwhile, and that nothing is lost."""

from __future__ import annotations

import pytest

from metadata.rules.rule import Refused
from metadata.vocabulary import Transaction
from registry.codes import CodeBook
from registry.iti42 import RegisterDocumentSet
from registry.patient_identity import IdentityFeed
from registry.record import Event, Records
from storage.database import Database
from tests.registry.asking import BOTH, Consumer, request
from tests.registry.submissions import documents, new_oid, new_patient, register_one


@pytest.fixture(scope="module")
def registry(database: Database) -> RegisterDocumentSet:
    return RegisterDocumentSet(database, CodeBook())


@pytest.fixture(scope="module")
def records(database: Database) -> Records:
    return Records(database)


def refusals(caught: pytest.ExceptionInfo[Refused]) -> list[tuple[str, str]]:
    return [(f.rule, f.code.value) for f in caught.value.findings]


def rule_of(act: object) -> str:
    with pytest.raises(Refused) as caught:
        act()  # type: ignore[operator]
    (finding,) = caught.value.findings
    assert finding.remedy
    return finding.rule


def test_a_closed_record_takes_nothing_and_tells_nothing(
    database: Database, registry: RegisterDocumentSet, records: Records
) -> None:
    cx, alias = new_patient(database), f"{new_oid()}^^^&1.2.250.1.999.2&ISO"
    IdentityFeed(database).add([cx, alias])
    uuid, empty, consumer = register_one(registry, cx), new_patient(database), Consumer(database)
    before = consumer.octets("GetAll", {"$patientId": f"'{cx}'", **statuses()})
    for one in (cx, empty):
        records.close(one, "asked for")
    for one in (cx, alias):
        with pytest.raises(Refused) as caught:
            registry.register(documents(one, "Document01"))
        assert refusals(caught) == [("PAT-009", "XDSRegistryError")]
    questions: list[tuple[str, dict[str, str]]] = [
        ("GetAll", {"$patientId": f"'{cx}'", **statuses()}),
        ("FindDocuments", {"$XDSDocumentEntryPatientId": f"'{alias}'", "$XDSDocumentEntryStatus": BOTH}),
        ("FindDocuments", {"$XDSDocumentEntryPatientId": f"'{empty}'", "$XDSDocumentEntryStatus": BOTH}),
        ("GetDocuments", {"$XDSDocumentEntryEntryUUID": f"('{uuid}')"}),
        ("GetAssociations", {"$uuid": f"('{uuid}')"}),
    ]
    for name, slots in questions:
        with pytest.raises(Refused) as caught:
            consumer.octets(name, slots, "ObjectRef")
        assert refusals(caught) == [("SQ-CLOSED", "XDSRegistryError")], name
        assert "closed" in caught.value.findings[0].text()
    assert records.not_open([cx, alias, empty, "x^^^&1.2.3&ISO"]) == {cx: "closed", alias: "closed", empty: "closed"}
    records.reopen(alias)
    assert consumer.octets("GetAll", {"$patientId": f"'{cx}'", **statuses()}) == before
    registry.register(documents(cx, "Document01"))
    assert [(told.event, told.detail) for told in records.events(cx)] == [
        (Event.CLOSED, {"reason": "asked for"}), (Event.REOPENED, {}),
    ]  # fmt: skip


def statuses() -> dict[str, str]:
    return {f"$XDS{kind}Status": BOTH for kind in ("DocumentEntry", "SubmissionSet", "Folder")}


def test_a_query_over_several_patients_leaves_closed_records_out(
    database: Database, registry: RegisterDocumentSet, records: Records
) -> None:
    open_, closed = new_patient(database), new_patient(database)
    kept = register_one(registry, open_)
    register_one(registry, closed)
    records.close(closed)
    slots = {
        "$XDSDocumentEntryPatientId": f"('{open_}','{closed}')",
        "$XDSDocumentEntryStatus": BOTH,
        "$XDSDocumentEntryClassCode": "('10^^1.2.3.4')",
    }
    call = request("FindDocumentsForMultiplePatients", slots, "ObjectRef", Transaction.ITI_51)
    answer = b"".join(p for p in Consumer(database).handler(call).payload if isinstance(p, bytes)).decode()
    assert kept in answer and answer.count("ObjectRef ") == 1


def test_what_may_not_be_done_is_refused_with_the_reason(database: Database, records: Records) -> None:
    cx, nobody = new_patient(database), f"{new_oid()}^^^&1.2.250.1.999.1&ISO"
    assert rule_of(lambda: records.open(cx)) == "REC-001"
    assert rule_of(lambda: records.close(nobody)) == "REC-002"
    assert rule_of(lambda: records.reopen(cx)) == "REC-003"
    records.close(cx)
    assert rule_of(lambda: records.close(cx)) == "REC-003"
    assert rule_of(lambda: Records(database, 0).reopen(cx)) == "REC-004", "the time of retention is over"
    feed, other = IdentityFeed(database), new_patient(database)
    for act in (lambda: feed.merge(cx, other), lambda: feed.merge(other, cx), lambda: feed.add([cx, nobody])):
        assert rule_of(act) == "PIF-006"
    records.reopen(cx)
    feed.merge(cx, other)
    assert rule_of(lambda: records.close(cx)) == "REC-002", "a merged identifier stands for nobody"
    records.open(nobody)
    assert [told.event for told in records.events(nobody)] == [Event.OPENED]
