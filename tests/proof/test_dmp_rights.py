"""The DMP's services under a matrix of rights: what a caller is told of himself, about whom he may ask, who authorises whom."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from lxml import etree

from metadata.vocabulary import ResponseStatus, Transaction
from registry.patient_identity import IdentityFeed
from registry.record import Records
from registry.rights import Right
from registry.tables import patient_right
from security.identity import Assertion
from security.refusal import Denied
from server.access import PatientCheck
from soap.call import Answer, Call, Caller
from tests.proof import dmp_messages as m
from tests.proof.conftest import unknown_patient
from tests.proof.dmp_messages import LIST, Told, ask_record, authorise, question, read_told, status_of
from tests.proof.rights_callers import HOSPITAL, RightsWorld, open_rights, refused_by
from tests.proof.rights_callers import Caller as Person
from tests.server.audit_reader import messages
from tests.server.audit_table import TABLE
from tests.server_process import ROOT

MATRIX = (ROOT / "security" / "rights" / "dmp-fr.toml").read_text(encoding="utf-8")
MT = "MEDECIN_TRAITANT"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RightsWorld]:
    """A matrix of its own, in which doctors also open, change and close records."""
    folder = tmp_path_factory.mktemp("dmp-rights")
    rows = "".join(f'"TD1.{row}" = "N N N Y N N N Y N N N N"\n' for row in ("1", "2", "3b", "4"))
    (folder / "mine.toml").write_text(MATRIX.replace("[m526.rows]\n", f"[m526.rows]\n{rows}"), encoding="utf-8")
    with open_rights(folder, {"CARNET_SECURITY_POLICY": str(folder / "mine.toml")}) as opened:
        yield opened


@pytest.fixture(scope="module")
def doctor(world: RightsWorld) -> Person:
    return world.cards.person("doctor", 71)


@pytest.fixture(scope="module")
def nurse(world: RightsWorld) -> Person:
    return world.cards.person("nurse", 72, "60", "")


def asked(world: RightsWorld, caller: Person, patient: str) -> Told:
    """The answer to an existence test."""
    return read_told(m.QUERY, ask_record(world, caller.says(patient), question("TEST_EXST", patient)))


def attention(told: Told) -> tuple[str, str]:
    """AUTORISATION and STATUT_MT."""
    assert told.type == "AA", told.text
    state = told.xpath("v3:attentionLine[v3:keyWordText/@code='AUTORISATION']/v3:value/@code")
    treats = told.xpath("v3:attentionLine[v3:keyWordText/@code='STATUT_MT']/v3:value/@value")
    return state[0], treats[0]


def test_an_existence_test_tells_the_caller_of_himself(world: RightsWorld, doctor: Person) -> None:
    patient, rights = world.patient(), world.rights
    assert attention(asked(world, doctor, patient)) == ("NON_EXISTE", "false")
    rights.give(patient, Right.AUTHORISED, doctor.subject)
    assert attention(asked(world, doctor, patient)) == ("VALIDE", "false")
    past = sa.update(patient_right).where(patient_right.c.holder == doctor.subject).values(at=sa.bindparam("past"))
    rights.database.write(lambda connection: connection.execute(past, {"past": 20200101000000}))
    assert attention(asked(world, doctor, patient)) == ("EXPIRE", "false")
    rights.give(patient, Right.TREATING, doctor.subject)
    assert attention(asked(world, doctor, patient)) == ("VALIDE", "true")
    rights.give(patient, Right.BLOCKED, doctor.subject)
    assert attention(asked(world, doctor, patient))[0] == "INTERDIT"
    assert refused_by(ask_record(world, doctor.says(patient), question("CNSLT_DATA", patient))) == "ACC-005"
    assert refused_by(authorise(world, doctor.says(patient), "AJOUT")) == "ACC-005"
    stranger = unknown_patient()
    told = asked(world, doctor, stranger)
    assert (attention(told), told.xpath("//v3:queryResponseCode/@code")) == (("NON_EXISTE", "false"), ["NF"])


def test_staff_is_told_of_its_structure(world: RightsWorld) -> None:
    staff, patient = world.cards.other("staff", "899900000073", "SECRETARIAT_MEDICAL"), world.patient()
    assert attention(asked(world, staff, patient)) == ("NON_EXISTE", "false")
    assert status_of(authorise(world, staff.says(patient), "AJOUT"))[0] == "DMPOk"
    assert [(one.right, one.holder) for one in world.rights.listed(patient)] == [(Right.AUTHORISED, HOSPITAL)]
    assert attention(asked(world, staff, patient)) == ("VALIDE", "false")


def test_a_message_is_about_the_patient_of_its_assertion(world: RightsWorld, doctor: Person) -> None:
    patient, other = world.patient(), world.patient()
    alias = unknown_patient()
    IdentityFeed(world.rights.database).add([patient, alias])
    assert refused_by(ask_record(world, doctor.says(patient), question("TEST_EXST", other))) == "SAM-040"
    assert refused_by(ask_record(world, doctor.says(patient), m.closing(other))) == "SAM-040"
    found = read_told(m.QUERY, ask_record(world, doctor.says(patient), question("TEST_EXST", alias)))
    assert found.xpath("//v3:queryResponseCode/@code") == ["OK"]
    for answer in (ask_record(world, b"", question("TEST_EXST", patient)), authorise(world, b"", "AJOUT")):
        assert refused_by(answer) == "ACC-001"


def test_without_a_matrix_too(world: RightsWorld) -> None:
    """Where everything is allowed, a message with an assertion is about its patient."""
    handler = PatientCheck(world.rights, lambda call: Answer([b"<x/>"], ResponseStatus.SUCCESS))
    patient, other = world.patient(), world.patient()

    def ask(cx: str) -> Answer:
        caller = Caller(assertion=Assertion("_1", "CN=x", "8999", patient=patient))
        return handler(Call(Transaction.DMP_PATIENTS, etree.fromstring(question("TEST_EXST", cx)), caller=caller))

    assert ask(patient).status is ResponseStatus.SUCCESS
    with pytest.raises(Denied) as refused:
        ask(other)
    assert refused.value.rule == "SAM-040"


def test_a_matrix_may_let_records_be_opened_changed_and_closed(world: RightsWorld, doctor: Person, nurse: Person) -> None:
    patient = unknown_patient()
    for caller, text, refusal in (
        (nurse, m.opening(patient), "ACC-003"), (doctor, m.opening(patient), ""), (doctor, m.modifying(patient), ""),
        (nurse, m.closing(patient), "ACC-003"), (doctor, m.closing(patient), ""), (doctor, m.reactivating(patient), ""),
        (doctor, m.modifying(patient).replace("MODIF_DATA", "ANYTHING"), "DMP-005"),
    ):  # fmt: skip
        answer = ask_record(world, caller.says(patient), text)
        if refusal.startswith("ACC"):
            assert refused_by(answer) == refusal and "DMPAccessDeniedByRightsService" in answer.fault
            continue
        told = read_told(text[1:].partition(" ")[0], answer)
        assert told.codes == ([refusal] if refusal else [])
    events = Records(world.rights.database).events(patient)
    assert [one.event.value for one in events] == ["opened", "closed", "reopened"]
    assert {(one.detail["by"], one.detail["acting"]) for one in events} == {("899900063480", doctor.subject)}


def test_the_shipped_matrix_opens_and_closes_nothing() -> None:
    """M526 has no rows for it: the DMP refuses software that opens a record (DMPAccessDeniedByRightsService)."""
    assert not [row for row in ("TD1.1", "TD1.2", "TD1.3b", "TD1.4") if f'"{row}"' in MATRIX]


# ---------------------------------------------------------------------------------------------------------- authorisations


def listed(world: RightsWorld, caller: Person, patient: str, mode: str) -> list[list[str]]:
    """Id, kind of id, mode and role of each row."""
    answer = authorise(world, caller.says(patient), mode, operation=LIST)
    assert status_of(answer)[0] == "DMPOk"
    rows = answer.body.iterfind(".//hab:listOfAuthorizationByPatient", m.NS)
    names = ("nationalId", "nationalIdType", "mode", "specificRight")
    return [[row.findtext(f"hab:{name}", "", m.NS) for name in names] for row in rows]


def test_a_doctor_authorises_himself_and_takes_it_back(world: RightsWorld, doctor: Person) -> None:
    patient, said = world.patient(), doctor.says
    assert status_of(authorise(world, said(patient), "SUPPRESSION")) == (
        "DMPOk", "The authorisation is not there: nothing was to be done",
    )  # fmt: skip
    assert status_of(authorise(world, said(patient), "AJOUT"))[0] == "DMPOk"
    (before,) = world.rights.listed(patient)
    past = sa.update(patient_right).where(patient_right.c.holder == doctor.subject).values(at=sa.bindparam("past"))
    world.rights.database.write(lambda connection: connection.execute(past, {"past": int(before.at) - 1}))
    assert "already" in status_of(authorise(world, said(patient), "AJOUT"))[1]
    assert [one.at for one in world.rights.listed(patient)] == [str(int(before.at) - 1)], "its year does not begin again"
    world.rights.database.write(lambda connection: connection.execute(past, {"past": 20200101000000}))
    assert status_of(authorise(world, said(patient), "AJOUT")) == ("DMPOk", "Done")
    assert [one.state for one in world.rights.listed(patient)] == ["VALIDE"]
    assert status_of(authorise(world, said(patient), "AJOUT", MT))[0] == "DMPOk"
    assert {one.right for one in world.rights.listed(patient)} == {Right.AUTHORISED, Right.TREATING}
    assert status_of(authorise(world, said(patient), "SUPPRESSION", MT)) == ("DMPOk", "Done")
    assert status_of(authorise(world, said(patient), "SUPPRESSION")) == ("DMPOk", "Done")
    assert world.rights.listed(patient) == []


def test_the_list_of_a_record(world: RightsWorld, doctor: Person) -> None:
    patient, give = world.patient(), world.rights.give
    give(patient, Right.TREATING, doctor.subject)
    give(patient, Right.AUTHORISED, HOSPITAL)
    give(patient, Right.BLOCKED, "899900000099")
    give(patient, Right.OPPOSED, "bris_de_glace")
    own = [doctor.subject, "1.2.250.1.71.4.2.1", "ACTIVE", MT]
    hospital, blocked = [HOSPITAL, "", "ACTIVE", ""], ["899900000099", "1.2.250.1.71.4.2.1", "INTERDITE", ""]
    assert listed(world, doctor, patient, "TOUTE") == [hospital, own, blocked]
    assert listed(world, doctor, patient, "ACTIVE") == [hospital, own]
    assert listed(world, doctor, patient, "INTERDITE") == [blocked]
    answer = authorise(world, doctor.says(patient), operation=LIST)
    assert len(answer.body.findall(".//hab:startOfAuthorization", m.NS)) == 3, "without a mode all are listed"


@pytest.mark.parametrize(
    ("words", "operation", "code", "word"),
    [
        (("AJOUTER",), "", "XSD-001", "AJOUT"),
        ((), "", "XSD-001", "hab:action"),
        (("AJOUT", "CHEF"), "", "XSD-001", MT),
        (("TOUT",), LIST, "XSD-001", "TOUTE"),
    ],
)
def test_a_wrong_request_is_answered(
    world: RightsWorld, doctor: Person, words: tuple[str, ...], operation: str, code: str, word: str
) -> None:
    status, context = status_of(authorise(world, doctor.says(world.patient()), *words, operation=operation))
    assert status == code and word in context


def test_who_is_no_doctor_treats_nobody(world: RightsWorld, nurse: Person) -> None:
    patient = world.patient()
    status, context = status_of(authorise(world, nurse.says(patient), "AJOUT", MT))
    assert status == "DMP-010" and "doctor" in context
    assert world.rights.listed(patient) == []


def test_an_action_of_another_operation_and_records_that_are_not_open(world: RightsWorld, doctor: Person) -> None:
    patient, records = world.patient(), Records(world.rights.database)
    action = f"{m.HAB}:HabilitationsEndPoint:{LIST}"
    body = f'<{m.SET} xmlns="{m.HAB}"><action>AJOUT</action></{m.SET}>'
    assert status_of(m.dmp(world, doctor.says(patient), "habilitations", action, body))[0] == "DMP-001"
    records.close(patient)
    for words, operation in ((("AJOUT",), ""), (("SUPPRESSION",), ""), (("TOUTE",), LIST)):
        assert status_of(authorise(world, doctor.says(patient), *words, operation=operation))[0] == "DMPClosed"
    assert status_of(authorise(world, doctor.says(unknown_patient()), "AJOUT"))[0] == "REC-002"


def test_the_trail_tells_who_authorised_himself(world: RightsWorld, doctor: Person) -> None:
    patient, data = world.patient(), world.data
    for name, words, operation in (("set", ("AJOUT",), ""), ("list", ("TOUTE",), LIST)):
        before, expected = len(messages(data)), TABLE[f"DMP-habilitations {name}"]
        assert status_of(authorise(world, doctor.says(patient), *words, operation=operation))[0] == "DMPOk"
        (one,) = messages(data, since=before)
        assert (one.id, one.event["EventActionCode"]) == (expected.event, expected.action)
        assert one.types[0] == ("DMP-habilitations", "IHE Transactions", expected.name)
        assert one.objects[0].id == patient
        assert any(doctor.subject in attributes["UserID"] for attributes, _ in one.participants)
