"""Limits of one hour over the wire. An hour may end in between: of so many messages some are refused all the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from lxml import etree

from metadata.vocabulary import ResponseStatus, Transaction
from security.hourly import HourlyUse
from security.identity import Assertion
from security.refusal import Denied
from security.rules_access import TOO_MANY_PATIENTS
from server.hourly import PatientBound, Quota, asker_of, source_of
from server.settings import load
from soap.call import Answer as Answered
from soap.call import Call, Caller
from storage.database import open_database
from storage.migrate import prepare
from tests.nist.wire import Answer
from tests.proof.conftest import Proof, open_proof, unknown_patient
from tests.proof.dmp_messages import new_ins, question
from tests.proof.messages import Entry, Submission, query, quoted, retrieval, single
from tests.proof.rights_callers import refused_by

LIMITS = {
    "CARNET_LIMITS_PATIENT_DOCUMENTS": "2",
    "CARNET_LIMITS_SOURCE_BYTES": "10000",
    "CARNET_SECURITY_PATIENTS_PER_HOUR": "3",
}
APPROVED = quoted("urn:oasis:names:tc:ebxml-regrep:StatusType:Approved")


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proof]:
    with open_proof(tmp_path_factory.mktemp("limited") / "data", environ=LIMITS, known=20) as opened:
        yield opened


def submit(limited: Proof, patient: str, content: bytes = b"x") -> tuple[Entry, Answer]:
    entry = Entry(patient)
    return entry, limited.client.provide(Submission(patient, [entry]).xml(), {entry.id: content + entry.uid.encode()})


def refusals_of_submissions(limited: Proof) -> list[Answer]:
    """One of a patient who has had enough, and one of the source."""
    for _ in range(8):  # what is refused for another reason is given back: 32000 bytes in two hours at most
        assert submit(limited, unknown_patient(), b"x" * 4000)[1].codes == ["XDSUnknownPatientId"]
    patient = limited.patient()
    flood = [submit(limited, patient)[1] for _ in range(5)]
    large = [submit(limited, limited.patient(), b"x" * 6000)[1] for _ in range(3)]
    return [next(one for one in answers if one.status != "Success") for answers in (flood, large)]


def answers_to_questions(limited: Proof, documents: list[Entry]) -> list[set[str]]:
    """Of each patient the rules by which questions are refused: by name, by uniqueId, and by retrieval."""
    client, refused = limited.client, []
    for entry in documents:
        by_name = {"$XDSDocumentEntryPatientId": single(entry.patient), "$XDSDocumentEntryStatus": APPROVED}
        by_id = {"$XDSDocumentEntryUniqueId": quoted(entry.uid)}
        answers = (
            client.query(query("FindDocuments", by_name)), client.query(query("GetDocuments", by_id)),
            client.retrieve(retrieval([entry.uid])),
        )  # fmt: skip
        refused.append({refused_by(one) for one in answers})
    return refused


def test_who_has_had_enough_is_refused_told_when_to_come_back_and_counted(limited: Proof) -> None:
    documents = [submit(limited, limited.patient())[0] for _ in range(8)]
    refused = answers_to_questions(limited, documents)
    assert refused[0] == {""} and refused.count({"ACC-017"}) >= 2, refused  # in two hours six of the eight may be asked about
    expected = (("2 documents", "patient", "SRV-008"), ("10000 bytes", "source", "SRV-007"))
    for answer, (most, whose, rule) in zip(refusals_of_submissions(limited), expected, strict=True):
        assert answer.codes == ["XDSRepositoryBusy"]
        text = answer.errors[0].context
        assert f"at most {most} of one {whose} within an hour" in text and "UTC" in text and f"[{rule}," in text
    for rule in ("SRV-007", "SRV-008", "ACC-017"):
        limited.server.counted(f'carnet_limits_met_total{{rule="{rule}"}}')


def test_a_size_that_nobody_has_is_too_much_and_breaks_nothing(limited: Proof) -> None:
    """What ITI-42 says of sizes is the sender's word, and the sums are numbers of 64 bits."""
    patient = limited.patient()
    sized = Submission(patient, [Entry(patient).registered(size=int("9" * 200))])
    for _ in range(2):
        answer = limited.client.soap("ITI-42", sized.xml())
        assert (answer.fault, answer.codes) == ("", ["XDSRegistryBusy"]), answer.errors
        assert "[SRV-007," in answer.errors[0].context


_DROP, _MADE = sa.text("ALTER TABLE hourly_use RENAME TO gone"), sa.text("ALTER TABLE gone RENAME TO hourly_use")


class KnownPatients:
    """Of each document its patient, as a test says."""

    def documents(self, unique_ids: Iterable[str]) -> dict[str, str]:
        return {id: f"{id}^^^&1.2.3&ISO" for id in unique_ids if not id.startswith("urn:")}

    def objects(self, entry_uuids: Iterable[str]) -> dict[str, str]:
        return {}


def test_whom_a_message_names_is_counted_where_everything_is_allowed(tmp_path: Path) -> None:
    """Not the patient of the assertion alone, about whom a retrieval need not be; without an assertion by the DMP's messages too.
    Under a matrix it is he alone: whose another document is a refusal would tell."""
    url = f"sqlite:///{tmp_path / 'carnet.sqlite'}"
    prepare(url)
    database = open_database(url)
    use = HourlyUse(database, lambda: 1_700_000_000.0)
    done = Answered([], ResponseStatus.SUCCESS)
    said = Caller(assertion=Assertion("_1", "CN=A", "899900000001", patient="1^^^&1.2.3&ISO"))

    def retrieved(everything: bool, caller: Caller) -> list[str]:
        bound, found = PatientBound(lambda call: done, use, 1, KnownPatients(), everything=everything), []
        for uid in ("1", "2"):
            try:
                bound(Call(Transaction.ITI_43, etree.fromstring(retrieval([uid])), caller=caller))
                found.append("")
            except Denied as denied:
                found.append(denied.rule)
        return found

    try:
        assert retrieved(False, said) == ["", ""] and retrieved(True, said) == ["", "ACC-017"]
        bound = PatientBound(lambda call: done, use, 1, KnownPatients(), everything=True)
        questions = [etree.fromstring(question("CNSLT_DATA", new_ins())) for _ in range(2)]
        call = Call(Transaction.DMP_PATIENTS, questions[0], caller=Caller("192.0.2.9"))
        assert bound(call) is done and bound(call) is done
        with pytest.raises(Denied, match="1 patients"):
            bound(replace(call, body=questions[1]))
    finally:
        database.close()


def test_a_store_that_takes_nothing_back_hides_no_refusal(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The sender is told of his own fault; that his share of the hour stays counted is told by the log."""
    url = f"sqlite:///{tmp_path / 'carnet.sqlite'}"
    prepare(url)
    database = open_database(url)
    settings = load(options={"store.data": str(tmp_path), "limits.source_documents": 2}, environ={})
    entry = Entry("1^^^&1.2.3&ISO").registered()
    call = Call(Transaction.ITI_42, etree.fromstring(Submission(entry.patient, [entry]).xml()), caller=Caller("192.0.2.9"))
    failed = Answered([], ResponseStatus.FAILURE)

    def failing(call: Call) -> Answered:
        database.write(lambda connection: connection.execute(_DROP))
        return failed

    def refusing(call: Call) -> Answered:
        raise TOO_MANY_PATIENTS.denied(limit=2)

    use = HourlyUse(database, lambda: 1_700_000_000.0)
    try:
        assert Quota(failing, use, settings)(call) is failed
        database.write(lambda connection: connection.execute(_MADE))
        with pytest.raises(Denied, match="2 patients"):
            Quota(lambda call: failing(call) and refusing(call), use, settings)(call)
    finally:
        database.close()
    told = [record for record in caplog.records if record.name == "server.hourly"]
    assert [record.exc_info is not None and record.levelname for record in told] == ["ERROR", "ERROR"]


def test_who_is_counted() -> None:
    """A source is a system, who asks is a person; each by what is proved best."""
    said = Assertion("_1", "CN=A", "899900000001")
    system = Caller("192.0.2.7", b"certificate", assertion=said)
    assert source_of(system) == source_of(Caller("192.0.2.8", b"certificate")) != source_of(Caller("192.0.2.7", assertion=said))
    assert source_of(Caller("192.0.2.7", assertion=said)) == asker_of(system) == "899900000001"
    assert source_of(Caller("192.0.2.7")) == asker_of(Caller("192.0.2.7")) == "192.0.2.7"
    assert source_of(Caller(signer_der=b"signer")) == asker_of(Caller(signer_der=b"signer")) != ""
