"""What is hidden is unknown: over the wire, by every transaction that could name it; records not open to one look like none."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from lxml import etree

from registry.rights import Right
from security import saml_names as names
from security.identity import Coded, Mode
from server.access import ROWS_OF, Guard, PatientCheck
from server.preparation import prepare
from server.settings import load
from server.wiring import handlers, open_kit
from tests.nist.target import run_command
from tests.nist.wire import Answer
from tests.proof.conftest import unknown_patient
from tests.proof.messages import (
    APND,
    REPOSITORY,
    RPLC,
    SIGNS,
    Association,
    Entry,
    Submission,
    new_oid,
    new_uuid,
    query,
    quoted,
    single,
)
from tests.proof.rights_callers import (
    INVISIBLE,
    MASKED,
    NORMAL,
    SECRET,
    Caller,
    Imputed,
    RightsWorld,
    content_of,
    open_rights,
    person_xcn,
    refused_by,
)
from tests.proof.test_summary import summary_entry
from tests.proof.update_messages import APPROVED, ARCHIVED, DELETED

NOT_OPEN = "ACC-005"
BPPC = "urn:ihe:iti:bppc:2007^^1.3.6.1.4.1.19376.1.2.3"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RightsWorld]:
    with open_rights(tmp_path_factory.mktemp("masking")) as opened:
        yield opened


@dataclass(frozen=True)
class People:
    author: Caller
    reader: Caller
    chief: Caller
    secretary: Caller


@pytest.fixture(scope="module")
def people(world: RightsWorld) -> People:
    cards = world.cards
    return People(
        cards.person("author", 11), cards.person("reader", 12), cards.person("chief", 13),
        cards.other("secretary", "899900000014", "SECRETARIAT_MEDICAL"),
    )  # fmt: skip


@dataclass
class Record:
    """A patient with a plain document, a masked one that is its addendum, and a signature over the set."""

    patient: str
    plain: Entry
    masked: Entry
    signature: Entry
    submission: Submission
    addendum: Association


@pytest.fixture
def record(world: RightsWorld, people: People) -> Record:
    patient = world.patient()
    for one in (people.author, people.reader):
        world.rights.give(patient, Right.AUTHORISED, one.subject)
    world.rights.give(patient, Right.TREATING, people.chief.subject)
    plain, masked = Entry(patient), Entry(patient, confidentiality=(NORMAL, MASKED))
    signature = Entry(
        patient, format_code="http://www.w3.org/2000/09/xmldsig#^^URN", class_code="urn:oid:1.3.6.1.4.1.19376.1.2.1.1.1^^URN"
    )
    addendum = Association(APND, masked.id, plain.id)
    first = Submission(patient, [plain])
    second = Submission(
        patient, [masked, signature], associations=[addendum, Association(SIGNS, signature.id, plain.id)]
    )
    for one in (first, second):
        answer = world.provide(people.author.says(patient), one)
        assert answer.status == "Success", (answer.fault, answer.errors)
    return Record(patient, plain, masked, signature, second, addendum)


def ids(answer: Answer) -> set[str]:
    kinds = ("ExtrinsicObject", "RegistryPackage", "Association", "ObjectRef")
    found = [e for e in answer.body.iter() if isinstance(e.tag, str)]
    return {e.get("id", "") for e in found if e.tag.rpartition("}")[2] in kinds}


def alike(a: Answer, b: Answer) -> bool:
    """The same bytes but for ids, times and the ids that were asked for."""
    def plain(answer: Answer) -> str:
        text = etree.tostring(answer.body).decode()
        return re.sub(r"urn:uuid:[0-9a-f-]{36}|1\.2\.42(\.\d+)+|R?P\d+-\d+", "#", text)

    return a.status == b.status and plain(a) == plain(b)


# --------------------------------------------------------------------------------------------------------------- queries


def test_author_and_treating_physician_see_a_masked_document_and_nobody_sees_the_signature(
    world: RightsWorld, people: People, record: Record
) -> None:
    for caller, seen in ((people.author, True), (people.chief, True), (people.reader, False)):
        found = ids(world.find(caller.says(record.patient), record.patient))
        assert record.plain.id in found
        assert (record.masked.id in found) == seen
        assert record.signature.id not in found


def test_no_query_tells_of_a_hidden_document(world: RightsWorld, people: People, record: Record) -> None:
    said = people.reader.says(record.patient)
    secret = {record.masked.id, record.masked.uid, record.submission.id, record.submission.uid, record.addendum.id}
    asked = {
        "GetAll": {"$patientId": single(record.patient), **{
            f"$XDS{kind}Status": quoted(APPROVED) for kind in ("DocumentEntry", "SubmissionSet", "Folder")}},
        "FindSubmissionSets": {"$XDSSubmissionSetPatientId": single(record.patient), "$XDSSubmissionSetStatus": quoted(APPROVED)},
        "GetDocuments": {"$XDSDocumentEntryUniqueId": quoted(record.masked.uid)},
        "GetDocumentsAndAssociations": {"$XDSDocumentEntryEntryUUID": quoted(record.masked.id, record.plain.id)},
        "GetAssociations": {"$uuid": quoted(record.masked.id, record.plain.id, record.submission.id, record.addendum.id)},
        "GetSubmissionSets": {"$uuid": quoted(record.masked.id)},
        "GetSubmissionSetAndContents": {"$XDSSubmissionSetEntryUUID": single(record.submission.id)},
        "GetRelatedDocuments": {"$XDSDocumentEntryEntryUUID": single(record.plain.id), "$AssociationTypes": quoted(APND)},
    }  # fmt: skip
    for name, slots in asked.items():
        for return_type in ("LeafClass", "ObjectRef"):
            answer = world.send(said, "ITI-18", query(name, slots, return_type))
            assert answer.status == "Success", (name, answer.fault, answer.errors)
            text = etree.tostring(answer.body).decode()
            assert not [one for one in secret if one in text], (name, return_type)


# ------------------------------------------------------------------------------------- the other transactions: as unknown


def test_what_is_hidden_is_answered_like_what_is_unknown(world: RightsWorld, people: People, record: Record) -> None:
    said = people.reader.says(record.patient)
    nothing = Entry(record.patient)  # registered nowhere
    assert alike(world.retrieve(said, [record.masked]), world.retrieve(said, [nothing]))
    unknown = world.retrieve(said, [record.masked])
    assert unknown.codes == ["XDSDocumentUniqueIdError"] and unknown.status == "Failure"
    pairs = [
        (world.reference(said, record.masked), world.reference(said, nothing)),
        (world.recode(said, record.masked, (NORMAL,)), world.recode(said, nothing, (NORMAL,))),
        (world.recode(said, record.masked, (NORMAL,), "ITI-92"), world.recode(said, nothing, (NORMAL,), "ITI-92")),
        (world.restatus(said, record.masked, APPROVED, DELETED), world.restatus(said, nothing, APPROVED, DELETED)),
        (remove(world, said, record.masked.id), remove(world, said, nothing.id)),
        (remove_documents(world, said, record.masked.uid), remove_documents(world, said, nothing.uid)),
        (replacing(world, said, record.masked), replacing(world, said, nothing)),
    ]
    for hidden, absent in pairs:
        assert alike(hidden, absent), (hidden.errors, absent.errors, hidden.fault)
    assert world.retrieve(people.author.says(record.patient), [record.masked]).status == "Success"


def replacing(world: RightsWorld, said: bytes, old: Entry) -> Answer:
    fresh = Entry(old.patient)
    return world.provide(said, Submission(old.patient, [fresh], associations=[Association(RPLC, fresh.id, old.id)]))


def remove(world: RightsWorld, said: bytes, *uuids: str) -> Answer:
    refs = "".join(f'<rim:ObjectRef id="{one}"/>' for one in uuids)
    return world.send(said, "ITI-62", (
        '<lcm:RemoveObjectsRequest xmlns:lcm="urn:oasis:names:tc:ebxml-regrep:xsd:lcm:3.0" '
        f'xmlns:rim="urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0"><rim:ObjectRefList>{refs}</rim:ObjectRefList>'
        "</lcm:RemoveObjectsRequest>"
    ).encode())  # fmt: skip


def remove_documents(world: RightsWorld, said: bytes, uid: str) -> Answer:
    return world.send(said, "ITI-86", (
        '<rmd:RemoveDocumentsRequest xmlns:rmd="urn:ihe:iti:rmd:2017" xmlns:x="urn:ihe:iti:xds-b:2007"><x:DocumentRequest>'
        f"<x:RepositoryUniqueId>{REPOSITORY}</x:RepositoryUniqueId><x:DocumentUniqueId>{uid}</x:DocumentUniqueId>"
        "</x:DocumentRequest></rmd:RemoveDocumentsRequest>"
    ).encode())  # fmt: skip


def test_an_older_version_tells_no_more_than_the_newest(world: RightsWorld, people: People, record: Record) -> None:
    said = people.reader.says(record.patient)
    assert world.retrieve(said, [record.plain]).status == "Success"
    answer = world.recode(people.author.says(record.patient), record.plain, (NORMAL, MASKED))
    assert answer.status == "Success", (answer.fault, answer.errors)
    slots = {"$XDSDocumentEntryEntryUUID": quoted(record.plain.id), "$MetadataLevel": "2"}
    assert ids(world.send(said, "ITI-18", query("GetDocuments", slots))) == set()
    assert record.plain.id in ids(world.send(people.author.says(record.patient), "ITI-18", query("GetDocuments", slots)))
    assert world.retrieve(said, [record.plain]).codes == ["XDSDocumentUniqueIdError"]


def test_a_removal_takes_hidden_associations_along_and_tells_nothing(world: RightsWorld, people: People) -> None:
    """The reader's own document has an addendum that is hidden from him: he removes what he sees, and it works."""
    patient = world.patient()
    for one in (people.author, people.reader):
        world.rights.give(patient, Right.AUTHORISED, one.subject)
    own = Entry(patient)
    mine = Submission(patient, [own])
    assert world.provide(people.reader.says(patient), mine).status == "Success"
    masked = Entry(patient, confidentiality=(NORMAL, MASKED))
    link = Association(APND, masked.id, own.id)
    assert world.provide(people.author.says(patient), Submission(patient, [masked], associations=[link])).status == "Success"
    said = people.reader.says(patient)
    slots = {"$uuid": quoted(own.id)}
    links = ids(world.send(said, "ITI-18", query("GetAssociations", slots, "ObjectRef")))
    assert link.id not in links
    other = remove(world, people.author.says(patient), own.id, mine.id, *links)
    assert refused_by(other) or other.status == "Failure"
    answer = remove(world, said, own.id, mine.id, *links)
    assert answer.status == "Success", (answer.fault, answer.errors)
    assert ids(world.send(people.author.says(patient), "ITI-18", query("GetAssociations", {"$uuid": quoted(masked.id)}))) - {
        link.id
    }
    assert masked.id in ids(world.find(people.author.says(patient), patient))


# ------------------------------------------------------------------------------------------------------ records not open


def test_unknown_empty_and_closed_to_the_caller_are_answered_alike(world: RightsWorld, people: People, record: Record) -> None:
    stranger = world.cards.person(f"stranger{new_oid().rpartition('.')[2]}", int(new_oid().rpartition(".")[2]) + 500)
    world.rights.give(record.patient, Right.BLOCKED, stranger.subject)
    answers = [world.find(stranger.says(one), one) for one in (record.patient, world.patient(), unknown_patient())]
    assert {refused_by(one) for one in answers} == {NOT_OPEN}
    assert len({one.fault for one in answers}) == 1
    retrieved = [world.retrieve(stranger.says(one), [record.plain]) for one in (record.patient, unknown_patient())]
    assert {refused_by(one) for one in retrieved} == {NOT_OPEN}


def test_another_patients_document_is_unknown(world: RightsWorld, people: People, record: Record) -> None:
    elsewhere = world.patient()
    world.rights.give(elsewhere, Right.AUTHORISED, people.author.subject)
    said = people.author.says(elsewhere)
    assert world.retrieve(said, [record.plain]).codes == ["XDSDocumentUniqueIdError"]
    assert ids(world.reference(said, record.plain)) == set()
    answer = world.find(said, record.patient)
    assert refused_by(answer) == "SAM-040" and "XDSPatientIdDoesNotMatch" in answer.fault
    assert refused_by(world.provide(said, Submission(record.patient, [Entry(record.patient)]))) == "SAM-040"


def test_an_emergency_opens_what_is_not_opposed(world: RightsWorld, people: People, record: Record) -> None:
    stranger = world.cards.person("emergency", 77)
    said = stranger.says(record.patient, names.EMERGENCY)
    assert record.plain.id in ids(world.find(said, record.patient))
    assert refused_by(world.find(stranger.says(record.patient), record.patient)) == NOT_OPEN
    world.rights.give(record.patient, Right.OPPOSED, names.EMERGENCY)
    assert refused_by(world.find(said, record.patient)) == NOT_OPEN
    centre = stranger.says(record.patient, names.CENTRE_15)
    assert record.plain.id in ids(world.find(centre, record.patient))


def test_a_closed_record_says_so_only_to_whom_it_was_open(world: RightsWorld, people: People, record: Record) -> None:
    run_command([sys.executable, "-m", "server", "patient", "close", record.patient, "--data", str(world.data)])
    assert "closed" in world.find(people.author.says(record.patient), record.patient).errors[0].context
    stranger = world.cards.person("late", 78)
    assert refused_by(world.find(stranger.says(record.patient), record.patient)) == NOT_OPEN


# ------------------------------------------------------------------------------------------------------- the patient's side


def test_patient_and_representative_see_what_is_theirs(world: RightsWorld, people: People) -> None:
    patient = world.patient()
    world.rights.give(patient, Right.REPRESENTATIVE, "mother-79")
    entries = [Entry(patient, confidentiality=(NORMAL, *code)) for code in ((), (MASKED,), (INVISIBLE,), (SECRET,))]
    assert world.provide(people.author.says(patient), Submission(patient, entries)).status == "Success"
    plain, masked, invisible, secret = (entry.id for entry in entries)
    child = world.cards.other("child", patient.partition("^")[0], "EXP_PATIENT")
    mother = world.cards.other("mother", "mother-79", "EXP_PATIENT")
    somebody = world.cards.other("somebody", "somebody-80", "EXP_PATIENT")
    assert ids(world.find(child.says(patient), patient)) >= {plain, masked, secret}
    assert invisible not in ids(world.find(child.says(patient), patient))
    found = ids(world.find(mother.says(patient), patient))
    assert found >= {plain, masked} and not found & {invisible, secret}
    assert refused_by(world.find(somebody.says(patient), patient)) == NOT_OPEN


def test_a_secret_session_feeds_secret_documents_only(world: RightsWorld, people: People) -> None:
    patient = world.patient()
    session = replace(people.author, session=(Coded("INVISIBLE_REPRESENTANTS_LEGAUX", names.MASKING),))
    said = session.says(patient)
    assert refused_by(world.provide(said, Submission(patient, [Entry(patient)]))) == "ACC-007"
    answer = world.provide(said, Submission(patient, [Entry(patient, confidentiality=(NORMAL, SECRET))]))
    assert answer.status == "Success", (answer.fault, answer.errors)


def test_what_the_patient_wrote_is_put_away_by_patient_and_treating_physician(world: RightsWorld, people: People) -> None:
    patient = world.patient()
    world.rights.give(patient, Right.TREATING, people.chief.subject)
    writer = world.cards.other("writer", patient.partition("^")[0], "EXP_PATIENT")
    written = Entry(patient)
    assert world.provide(writer.says(patient), Submission(patient, [written])).status == "Success"
    doctor = world.cards.person("regulating", 81)
    answer = world.restatus(doctor.says(patient, names.CENTRE_15), written, APPROVED, ARCHIVED)
    assert refused_by(answer) == "ACC-015"
    assert world.restatus(people.chief.says(patient), written, APPROVED, ARCHIVED).status == "Success"


# ------------------------------------------------------------------------------------------------------------ the author


def test_who_is_named_as_author_owns_what_the_hospital_sends(world: RightsWorld, people: People) -> None:
    patient = world.patient()
    hospital = world.cards.by_hospital(people.secretary, Mode.INDIRECT)
    entry = Entry(patient, confidentiality=(NORMAL, MASKED), authors=(person_xcn(people.author.subject),))
    hospital = replace(hospital, roles=(Coded("10", names.PROFESSIONS), Coded("SM26", names.KNOW_HOWS)))
    answer = world.provide(hospital.says(patient), Imputed(patient, [entry]))
    assert answer.status == "Success", (answer.fault, answer.errors)
    for one in (people.author, people.reader):
        world.rights.give(patient, Right.AUTHORISED, one.subject)
    assert world.retrieve(people.author.says(patient), [entry]).documents()[entry.uid].content == content_of(entry)
    assert world.retrieve(people.reader.says(patient), [entry]).codes == ["XDSDocumentUniqueIdError"]
    assert world.restatus(hospital.says(patient), entry, APPROVED, DELETED).status == "Success"


# ------------------------------------------------------------------------------------------------------- on-demand documents


def test_a_summary_is_made_of_what_nobody_is_kept_from(world: RightsWorld, people: People) -> None:
    patient = world.patient()
    for one in (people.author, people.reader):
        world.rights.give(patient, Right.AUTHORISED, one.subject)
    said = people.author.says(patient)
    shown = [Entry(patient, title="Open"), Entry(patient, title="Hidden", confidentiality=(NORMAL, MASKED))]
    assert world.provide(said, Submission(patient, shown)).status == "Success"
    summaries = [summary_entry(patient), summary_entry(patient)]
    summaries[1].confidentiality = (NORMAL, MASKED)
    for one in summaries:
        assert world.send(said, "ITI-61", Submission(patient, [one]).xml()).status == "Success"
    for caller in (people.author, people.reader):
        content = world.retrieve(caller.says(patient), summaries[:1]).documents()[summaries[0].uid].content
        assert b"Open" in content and b"Hidden" not in content
    assert world.retrieve(people.reader.says(patient), summaries[1:]).codes == ["XDSDocumentUniqueIdError"]
    elsewhere = world.patient()
    world.rights.give(elsewhere, Right.AUTHORISED, people.reader.subject)
    assert world.retrieve(people.reader.says(elsewhere), summaries[:1]).codes == ["XDSDocumentUniqueIdError"]


# -------------------------------------------------------------------------------------------------- feeds, consents, the rest


def test_other_transactions_ask_as_well(world: RightsWorld, people: People, record: Record) -> None:
    """ITI-42, ITI-62 and ITI-86 by the row of what they do; without an assertion nothing is done."""
    said = people.author.says(record.patient)
    registered = Submission(record.patient, [Entry(record.patient).registered()])
    assert world.send(said, "ITI-42", registered.xml()).status == "Success"
    reinforced = world.cards.by_hospital(people.author, Mode.REINFORCED).says(record.patient)
    assert refused_by(world.send(reinforced, "ITI-42", registered.xml())) == "ACC-003"
    assert refused_by(remove_documents(world, people.reader.says(record.patient), record.plain.uid)) == "ACC-006"
    assert remove(world, people.reader.says(record.patient), record.plain.id).status == "Failure"
    assert remove_documents(world, said, record.plain.uid).status == "Success"
    client = world.proof.client
    anonymous = client.query(query("GetDocuments", {"$XDSDocumentEntryUniqueId": quoted(record.plain.uid)}))
    assert refused_by(anonymous) == "ACC-001"


def test_every_handler_has_the_policy_before_it(tmp_path: Path) -> None:
    for policy, guard in (("dmp-fr", Guard), ("ihe", PatientCheck)):
        settings = load(options={"store.data": str(tmp_path / policy), "security.policy": policy}, environ={})
        prepare(settings)
        kit = open_kit(settings)
        try:
            served = handlers(kit)
            assert all(type(handler) is guard for handler in served.values())
            assert set(served) - set(ROWS_OF) == {one for one in served if one.code == "ITI-44"}
        finally:
            kit.close()


def test_consents_are_recorded_and_asked(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("consents")
    with open_rights(folder, {"CARNET_SECURITY_CONSENT_POLICIES": "1.2.3.4.5"}) as world:
        author = world.cards.person("author", 1)
        patient = world.patient()
        world.rights.give(patient, Right.AUTHORISED, author.subject)
        said = author.says(patient)
        assert refused_by(world.find(said, patient)) == "ACC-013"
        assert refused_by(world.find(author.says(patient, names.EMERGENCY), patient)) == ""
        consent = Entry(patient, format_code=BPPC, events=("1.2.3.4.5^^1.2.3",), start="20200101", stop="20210101")
        assert world.provide(said, Submission(patient, [consent])).status == "Success"
        assert refused_by(world.find(said, patient)) == "ACC-013"  # its time is over
        fresh = replace(consent, id=new_uuid(), uid=new_oid(), stop="29990101")
        assert world.provide(said, Submission(patient, [fresh])).status == "Success"
        assert fresh.id in ids(world.find(said, patient))
        told = json.loads(run_command([
            sys.executable, "-m", "server", "patient", "show", patient, "--data", str(world.data), "--json"
        ]))  # fmt: skip
        assert [(one["policy"], one["in_force"]) for one in told["consents"]] == [("1.2.3.4.5", False), ("1.2.3.4.5", True)]
