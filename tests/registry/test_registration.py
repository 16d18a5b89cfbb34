"""What a submission does to the registry, seen through stored queries (ITI TF-2: 3.42.4.1.3; ITI TF-3: 4.2.2)."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from metadata.model import Submission
from metadata.rules.rule import Refused
from metadata.vocabulary import Severity
from registry.codes import CodeBook
from registry.iti42 import Outcome, RegisterDocumentSet, RegisterOptions
from storage.database import Connection, Database
from tests.registry.asking import Consumer
from tests.registry.submissions import (
    APND,
    APPROVED,
    DEPRECATED,
    HAS_MEMBER,
    RPLC,
    SIGNS,
    XFRM,
    XFRM_RPLC,
    documents,
    entry,
    folder,
    link,
    new_oid,
    new_patient,
    new_uuid,
    original,
    register_one,
    replacement,
    submission,
    submission_set,
)


@pytest.fixture(scope="module")
def registry(database: Database) -> RegisterDocumentSet:
    return RegisterDocumentSet(database, CodeBook())


@pytest.fixture(scope="module")
def consumer(database: Database) -> Consumer:
    return Consumer(database)


@pytest.fixture
def patient(database: Database) -> str:
    return new_patient(database)


def refusal(registry: RegisterDocumentSet, sent: Submission) -> list[str]:
    """The codes of the refusal; what it warns of beside them is left out."""
    with pytest.raises(Refused) as caught:
        registry.register(sent)
    return [finding.code.value for finding in caught.value.findings if finding.severity is Severity.ERROR]


def folder_with(registry: RegisterDocumentSet, patient: str) -> tuple[str, str]:
    """A new Folder with a new document in it: their entryUUIDs."""
    outcome = registry.register(
        documents(
            patient,
            "Document01",
            also=(
                folder(patient),
                link(HAS_MEMBER, "SubmissionSet01", "Folder01"),
                link(HAS_MEMBER, "Folder01", "Document01", id="Membership"),
                link(HAS_MEMBER, "SubmissionSet01", "Membership"),
            ),
        )
    )
    return outcome.ids["Folder01"], outcome.ids["Document01"]


# ------------------------------------------------------------------------------------------------------ new documents


def test_a_new_document_is_found_with_all_that_was_sent(registry: RegisterDocumentSet, consumer: Consumer, patient: str) -> None:
    extra = {"urn:example:keep-me": ("one", "two")}
    sent = entry(patient, slots=extra, title="Ordonnance « é »")
    outcome = registry.register(submission(submission_set(patient), sent, original()))
    found = consumer.entry(outcome.ids["Document01"])
    assert (found.title, found.patientId, found.availabilityStatus) == ("Ordonnance « é »", patient, APPROVED)
    assert [s.values for s in found.raw.slots if s.name == "urn:example:keep-me"] == [("one", "two")]
    assert (found.raw.lid, found.raw.versionName) == (found.entryUUID, "1")
    assert not outcome.findings


def test_a_submitted_uuid_is_kept_and_a_symbolic_id_becomes_one(
    registry: RegisterDocumentSet, consumer: Consumer, patient: str
) -> None:
    own = new_uuid()
    entries = (entry(patient, own), entry(patient, "Document02"))
    sent = submission(submission_set(patient), *entries, original(own), original("Document02"))
    outcome = registry.register(sent)
    assert outcome.ids[own] == own
    assert outcome.ids["Document02"].startswith("urn:uuid:")
    everything = consumer.everything(patient)
    assert {e.entryUUID for e in everything.documentEntries} == {own, outcome.ids["Document02"]}
    ends = {(a.sourceObject, a.targetObject) for a in everything.associations}
    assert ends == {(outcome.ids["SubmissionSet01"], e.entryUUID) for e in everything.documentEntries}
    assert {a.submissionSetStatus for a in everything.associations} == {"Original"}


def test_by_reference_a_document_of_another_patient_joins_the_submission(
    database: Database, registry: RegisterDocumentSet, consumer: Consumer, patient: str
) -> None:
    mother = new_patient(database)
    existing = register_one(registry, mother)
    reference = link(HAS_MEMBER, "SubmissionSet01", existing, label="Reference")
    outcome = registry.register(submission(submission_set(patient), reference))
    (found,) = [a for a in consumer.links(existing) if a.submissionSetStatus == "Reference"]
    assert found.sourceObject == outcome.ids["SubmissionSet01"]
    sets = consumer.refs("GetSubmissionSets", {"$uuid": f"('{existing}')"})
    assert outcome.ids["SubmissionSet01"] in sets


def test_the_same_document_may_be_registered_again_with_the_same_bytes_only(
    registry: RegisterDocumentSet, consumer: Consumer, patient: str
) -> None:
    unique_id = new_oid()
    for _ in range(2):
        registry.register(submission(submission_set(patient), entry(patient, unique_id=unique_id), original()))
    found = consumer.ask("GetDocuments", {"$XDSDocumentEntryUniqueId": f"('{unique_id}')"})
    assert len(found.documentEntries) == 2
    other = entry(patient, unique_id=unique_id, hash="0" * 40, size="7")
    assert set(refusal(registry, submission(submission_set(patient), other, original()))) == {
        "XDSNonIdenticalHash",
        "XDSNonIdenticalSize",
    }


# ------------------------------------------------------------------------------------------------------ relationships


@pytest.mark.parametrize("kind", [RPLC, XFRM_RPLC])
def test_a_replacement_deprecates_what_it_replaces_and_all_that_hangs_on_it(
    registry: RegisterDocumentSet, consumer: Consumer, patient: str, kind: str
) -> None:
    first = register_one(registry, patient)
    addendum = register_one(registry, patient, link(APND, "Document01", first))
    transformed = register_one(registry, patient, link(XFRM, "Document01", first))
    addendum_of_addendum = register_one(registry, patient, link(APND, "Document01", addendum))
    signature = register_one(registry, patient, link(SIGNS, "Document01", first))
    bystander = register_one(registry, patient)
    new = registry.register(replacement(patient, first, kind)).ids["Document01"]
    statuses = {e.entryUUID: e.availabilityStatus for e in consumer.everything(patient).documentEntries}
    assert statuses == {
        first: DEPRECATED,
        addendum: DEPRECATED,
        transformed: DEPRECATED,
        addendum_of_addendum: DEPRECATED,
        signature: APPROVED,
        bystander: APPROVED,
        new: APPROVED,
    }


@pytest.mark.parametrize("kind", [APND, XFRM, SIGNS])
def test_other_relationships_leave_their_target_approved(
    registry: RegisterDocumentSet, consumer: Consumer, patient: str, kind: str
) -> None:
    first = register_one(registry, patient)
    second = register_one(registry, patient, link(kind, "Document01", first))
    assert consumer.entry(first).availabilityStatus == APPROVED
    assert (kind, second, first) in {(a.associationType, a.sourceObject, a.targetObject) for a in consumer.links(first)}


def test_one_signature_signs_several_documents(registry: RegisterDocumentSet, consumer: Consumer, patient: str) -> None:
    first, second = register_one(registry, patient), register_one(registry, patient)
    signature = register_one(registry, patient, link(SIGNS, "Document01", first), link(SIGNS, "Document01", second))
    signed = {a.targetObject for a in consumer.links(signature) if a.associationType == SIGNS}
    assert signed == {first, second}


def test_a_replacement_enters_every_folder_of_what_it_replaces(
    registry: RegisterDocumentSet, consumer: Consumer, patient: str
) -> None:
    holder, first = folder_with(registry, patient)
    before = datetime.now(UTC).strftime("%Y%m%d%H%M%S")
    outcome = registry.register(replacement(patient, first))
    new, new_set = outcome.ids["Document01"], outcome.ids["SubmissionSet01"]
    memberships = {a.targetObject: a for a in consumer.links(holder) if a.sourceObject == holder}
    assert memberships.keys() == {first, new}, "the replaced document stays in the Folder"
    assert any(a.sourceObject == new_set for a in consumer.links(memberships[new].entryUUID)), "SS-HM to the new membership"
    assert (consumer.folder(holder).lastUpdateTime or "") >= before
    contents = consumer.ask("GetFolderAndContents", {"$XDSFolderEntryUUID": f"'{holder}'"})
    assert {e.entryUUID for e in contents.documentEntries} == {first, new}


def test_a_folder_that_gains_a_document_is_touched(registry: RegisterDocumentSet, consumer: Consumer, patient: str) -> None:
    holder, _ = folder_with(registry, patient)
    assert (consumer.folder(holder).lastUpdateTime or "") > "2024", "the submitted time is not taken over"
    database_time = consumer.folder(holder).lastUpdateTime or ""
    also = (link(HAS_MEMBER, holder, "Document01", id="Membership"), link(HAS_MEMBER, "SubmissionSet01", "Membership"))
    new = register_one(registry, patient, *also)
    found = consumer.ask("GetFoldersForDocument", {"$XDSDocumentEntryEntryUUID": f"'{new}'"})
    assert [f.entryUUID for f in found.folders] == [holder]
    assert (found.folders[0].lastUpdateTime or "") >= database_time
    assert len([s for s in found.folders[0].raw.slots if s.name == "lastUpdateTime"]) == 1


# ----------------------------------------------------------------------------------------------------------- refusals


def test_a_refused_submission_leaves_nothing_not_even_a_deprecation(
    registry: RegisterDocumentSet, consumer: Consumer, patient: str
) -> None:
    holder, first = folder_with(registry, patient)
    before = consumer.octets("GetAll", _all_of(patient))
    taken = consumer.everything(patient).submissionSets[0].uniqueId or ""
    sent = submission(
        submission_set(patient, unique_id=taken), entry(patient), original(), link(RPLC, "Document01", first)
    )
    assert refusal(registry, sent) == ["XDSDuplicateUniqueIdInRegistry"]
    assert consumer.octets("GetAll", _all_of(patient)) == before
    assert consumer.folder(holder).availabilityStatus == APPROVED


def test_a_failing_companion_takes_the_registration_back(
    registry: RegisterDocumentSet, consumer: Consumer, patient: str
) -> None:
    first = register_one(registry, patient)
    before = consumer.octets("GetAll", _all_of(patient))

    def fail(connection: Connection) -> None:
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        registry.register(replacement(patient, first), companion=fail)
    assert consumer.octets("GetAll", _all_of(patient)) == before


def test_codes_of_a_refused_submission_are_usable_afterwards(registry: RegisterDocumentSet, patient: str) -> None:
    """Interned numbers that were rolled back are not remembered."""
    code = f"fresh-{new_oid()}"
    sent = submission(submission_set(patient), entry(patient, class_code=code), original())

    def fail(connection: Connection) -> None:
        raise OSError("stop")

    with pytest.raises(OSError, match="stop"):
        registry.register(sent, companion=fail)
    registry.register(sent)


def test_the_retry_of_an_own_submission_is_told_that_it_is_registered(registry: RegisterDocumentSet, patient: str) -> None:
    sent = documents(patient, "Document01")
    registry.register(sent)
    with pytest.raises(Refused) as caught:
        registry.register(sent)
    (finding,) = [f for f in caught.value.findings if f.code.value == "XDSDuplicateUniqueIdInRegistry"]
    assert "registered already" in finding.text()
    stranger = submission(submission_set(patient, unique_id=sent.submissionSets[0].uniqueId or ""), entry(patient), original())
    with pytest.raises(Refused) as caught:
        registry.register(stranger)
    assert "registered already" not in caught.value.findings[0].text()


def test_a_submission_set_may_not_take_the_unique_id_of_anything(registry: RegisterDocumentSet, patient: str) -> None:
    unique_id = new_oid()
    registry.register(submission(submission_set(patient), entry(patient, unique_id=unique_id), original()))
    assert refusal(registry, submission(submission_set(patient, unique_id=unique_id), entry(patient), original())) == [
        "XDSDuplicateUniqueIdInRegistry"
    ]


def test_a_folder_may_not_take_a_used_unique_id(registry: RegisterDocumentSet, patient: str) -> None:
    unique_id = new_oid()
    sent = [
        submission(submission_set(patient), folder(patient, unique_id=unique_id), link(HAS_MEMBER, "SubmissionSet01", "Folder01"))
        for _ in range(2)
    ]
    registry.register(sent[0])
    assert refusal(registry, sent[1]) == ["XDSDuplicateUniqueIdInRegistry"]


def test_what_the_message_and_what_the_store_shows_come_in_one_answer(registry: RegisterDocumentSet) -> None:
    stranger = "nobody-knows-me^^^&1.2.250.1.999.1&ISO"
    wrong_time = entry(stranger, slots={"creationTime": ("yesterday",)})
    found = refusal(registry, submission(submission_set(stranger), wrong_time, original()))
    assert set(found) == {"XDSRegistryMetadataError", "XDSUnknownPatientId"}


def test_of_a_malformed_patient_id_it_is_not_said_that_it_is_unknown(registry: RegisterDocumentSet) -> None:
    assert set(refusal(registry, submission(submission_set("4711"), entry("4711"), original()))) == {"XDSRegistryMetadataError"}


WRONG = ("", " ", "urn:uuid:", "urn:uuid:x", "'", "%", "^^^&amp;&amp;", "x" * 300, "\u00e9\U0001f600", "2.25.-1")


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_value_never_stops_the_look_into_the_store(registry: RegisterDocumentSet, patient: str, wrong: str) -> None:
    related = (link(RPLC, "Document01", wrong), link(wrong, wrong, wrong))
    for sent in (
        submission(submission_set(wrong), entry(wrong), original()),
        submission(submission_set(patient, unique_id=wrong), entry(patient, unique_id=wrong, hash=wrong, size=wrong), original()),
        submission(submission_set(patient), entry(patient), original(), *related),
        submission(entry(patient), folder(wrong), link(HAS_MEMBER, "Folder01", wrong)),
    ):
        assert refusal(registry, sent) or not wrong.strip(), wrong


def test_a_used_entry_uuid_is_refused(registry: RegisterDocumentSet, patient: str) -> None:
    own = register_one(registry, patient)
    sent = submission(submission_set(patient), entry(patient, own), original(own))
    assert refusal(registry, sent) == ["XDSRegistryMetadataError"]


def test_references_to_what_is_not_there_or_no_longer_approved(registry: RegisterDocumentSet, patient: str) -> None:
    first = register_one(registry, patient)
    assert refusal(registry, replacement(patient, new_uuid())) == ["UnresolvedReferenceException"]
    registry.register(replacement(patient, first))
    for kind in (RPLC, APND, XFRM, SIGNS):
        assert refusal(registry, replacement(patient, first, kind)) == ["XDSRegistryDeprecatedDocumentError"]


def test_patients_must_be_known_and_the_same(database: Database, registry: RegisterDocumentSet, patient: str) -> None:
    stranger = f"nobody{new_oid()}^^^&1.2.250.1.999.1&ISO"
    with pytest.raises(Refused) as caught:
        registry.register(documents(stranger, "Document01"))
    (finding,) = caught.value.findings
    assert finding.code.value == "XDSUnknownPatientId"
    assert stranger in finding.text() and "carnet patient add" in finding.text()
    other = new_patient(database)
    first = register_one(registry, other)
    assert refusal(registry, replacement(patient, first)) == ["XDSPatientIdDoesNotMatch"]
    mixed = submission(submission_set(patient), entry(other), original())
    assert "XDSPatientIdDoesNotMatch" in refusal(registry, mixed)


def test_an_open_domain_takes_every_patient(database: Database, consumer: Consumer) -> None:
    stranger = f"newcomer{new_oid()}^^^&1.2.250.1.999.1&ISO"
    open_registry = RegisterDocumentSet(database, CodeBook(), RegisterOptions(open_domain=True))
    uuid = register_one(open_registry, stranger)
    assert consumer.entry(uuid).patientId == stranger


# --------------------------------------------------------------------------------------------------------- concurrency


def at_once(registry: RegisterDocumentSet, sent: Sequence[Submission]) -> list[Outcome | list[str]]:
    """Register each from a thread of its own, all starting together: outcomes, or the codes of the refusals."""
    start = threading.Barrier(len(sent))

    def one(submission: Submission) -> Outcome | list[str]:
        start.wait()
        try:
            return registry.register(submission)
        except Refused as refused:
            return [finding.code.value for finding in refused.findings]

    with ThreadPoolExecutor(len(sent)) as threads:
        return list(threads.map(one, sent))


def test_of_concurrent_replacements_of_one_document_exactly_one_wins(
    registry: RegisterDocumentSet, consumer: Consumer, patient: str
) -> None:
    for _ in range(4):
        first = register_one(registry, patient)
        outcomes = at_once(registry, [replacement(patient, first) for _ in range(4)])
        winners = [o for o in outcomes if isinstance(o, Outcome)]
        assert len(winners) == 1
        assert [o for o in outcomes if o not in winners] == [["XDSRegistryDeprecatedDocumentError"]] * 3
        replaced = [a for a in consumer.links(first) if a.associationType == RPLC]
        assert [a.sourceObject for a in replaced] == [winners[0].ids["Document01"]]


def test_of_concurrent_submissions_with_one_unique_id_exactly_one_wins(registry: RegisterDocumentSet, patient: str) -> None:
    for _ in range(4):
        unique_id = new_oid()
        sent = [submission(submission_set(patient, unique_id=unique_id), entry(patient), original()) for _ in range(4)]
        outcomes = at_once(registry, sent)
        assert sorted(isinstance(o, Outcome) for o in outcomes) == [False, False, False, True]
        assert {code for o in outcomes if isinstance(o, list) for code in o} == {"XDSDuplicateUniqueIdInRegistry"}


def test_concurrent_submissions_for_different_patients_all_succeed(
    database: Database, registry: RegisterDocumentSet, consumer: Consumer
) -> None:
    patients = [new_patient(database) for _ in range(6)]
    outcomes = at_once(registry, [documents(p, "Document01", "Document02") for p in patients])
    assert all(isinstance(o, Outcome) for o in outcomes)
    assert all(len(consumer.everything(p).documentEntries) == 2 for p in patients)


def _all_of(patient: str) -> dict[str, str]:
    both = "('urn:oasis:names:tc:ebxml-regrep:StatusType:Approved','urn:oasis:names:tc:ebxml-regrep:StatusType:Deprecated')"
    return {"$patientId": f"'{patient}'", **{f"$XDS{k}Status": both for k in ("DocumentEntry", "SubmissionSet", "Folder")}}
