"""The DMP's messages about a record by themselves: every refusal with its code, every state, and what is kept of a person."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from metadata.demographics import Demographics, Part, Representative, Telecom, of_json, to_json
from metadata.vocabulary import ErrorCode, ResponseStatus, Transaction
from registry import patients
from registry.codes import CodeBook
from registry.demographics import read_demographics
from registry.dmp_habilitations import PatientAuthorizations
from registry.dmp_patients import PatientRecords
from registry.patient_identity import Authorities, IdentityFeed
from registry.record import Records
from registry.record_rows import delete_rows, read_rows, write_rows
from registry.rights import Right, Rights
from security.identity import Assertion
from security.refusal import Denied
from soap.body.gdp import parse_record_request
from soap.call import Call, Caller
from storage.database import Database, open_database
from storage.errors import StorageUnavailable
from storage.migrate import prepare
from tests.proof import dmp_messages as m
from tests.proof.dmp_messages import Told, change, new_ins, question

OURS = Authorities(frozenset({m.TEST_OID, m.INS_C}))
INS_C = f"1197854176879056415520^^^&{m.INS_C}&ISO"


class Service:
    """The handler over a database, asked without a wire."""

    def __init__(self, database: Database, years: float = 10) -> None:
        self.records = Records(database, years)
        self.handler = PatientRecords(database, self.records, OURS)

    def ask(self, text: str, action: str = "") -> Told:
        body = etree.fromstring(text)
        answer = self.handler(Call(Transaction.DMP_PATIENTS, body, action=action))
        (piece,) = answer.payload
        assert isinstance(piece, bytes)
        done = self._read(etree.QName(body).localname, piece)
        assert answer.status is (ResponseStatus.SUCCESS if done.type == "AA" else ResponseStatus.FAILURE)
        unknown = [one.code for one in answer.findings] == [ErrorCode.XDSUnknownPatientId]
        assert bool(answer.findings) is (done.type != "AA") or (unknown and b'queryResponseCode code="NF"' in piece)
        return done

    def _read(self, name: str, piece: bytes) -> Told:
        class Plain:
            body = etree.fromstring(piece)

        return m.read_told(name, Plain())  # type: ignore[arg-type]

    def done(self, *texts: str) -> None:
        for text in texts:
            told = self.ask(text)
            assert told.type == "AA", told.text


@pytest.fixture(scope="module")
def service(database: Database) -> Service:
    return Service(database)


# ------------------------------------------------------------------------------------------------------------------ states


def test_a_record_is_opened_once_closed_and_reactivated(service: Service) -> None:
    cx = new_ins()
    asked = service.ask(question("TEST_EXST", cx))
    assert (asked.type, asked.xpath("//v3:queryResponseCode/@code")) == ("AA", ["NF"])
    assert not asked.xpath("//v3:patient")
    service.done(m.opening(cx))
    for text, codes in (
        (m.opening(cx), ["DMPFound"]), (m.reactivating(cx), ["DMPFound"]), (m.closing(cx), []), (m.closing(cx), ["DMPClosed"]),
        (m.modifying(cx), ["DMPClosed"]), (m.opening(cx), ["DMPClosed"]), (m.reactivating(cx), []), (m.modifying(cx), []),
    ):  # fmt: skip
        told = service.ask(text)
        assert (told.codes, told.type) == (codes, "AE" if codes else "AA"), text
        assert not codes or "DMP-00" in told.text
    events = service.records.events(cx)
    assert [one.event.value for one in events] == ["opened", "closed", "reopened"]
    assert {one.detail["by"] for one in events} == {"899900063480"}
    closed = {"reason": "the patient asks", "code": "FERMETURE_DEMANDE_PATIENT"}
    assert events[1].detail == {"by": "899900063480", "structure": "499900063480001", **closed}


def test_who_asks_for_patients_whom_nobody_knows_can_be_counted(service: Service) -> None:
    """`server/enumeration.py` counts findings of this code; an existence test that finds nobody is no failure."""
    cx = new_ins()
    for text, status in ((question("TEST_EXST", cx), "SUCCESS"), (m.closing(cx), "FAILURE"), (m.reactivating(cx), "FAILURE")):
        answer = service.handler(Call(Transaction.DMP_PATIENTS, etree.fromstring(text)))
        assert answer.status.name == status
        assert [(one.rule, one.code, one.value) for one in answer.findings] == [("REC-002", ErrorCode.XDSUnknownPatientId, cx)]


def test_what_is_found_of_a_record(service: Service, database: Database) -> None:
    cx, opposed = new_ins(), m.observation("OPPOSITION_BRIS_DE_GLACE", True)
    service.done(m.opening(cx, INS_C, observed=m.OPENING + opposed))
    for reason in ("TEST_EXST", "CNSLT_DATA"):
        found = service.ask(question(reason, cx))
        assert found.xpath("//v3:patient/v3:id/@root") == [m.INS_C, m.TEST_OID]
        assert found.xpath("//v3:patient/v3:statusCode/@code") == ["active"]
        assert found.xpath("//v3:patientPerson/v3:name/*/text()") == ["M", "patb-quatre", "LAURENCE"]
        assert found.xpath("//v3:family/@qualifier") == ["SP"]
        assert found.xpath("//v3:birthTime/@value | //v3:administrativeGenderCode/@code") == ["F", "19790328"]
        assert found.xpath("//v3:queryId/@extension | //v3:targetMessage/v3:id/@extension") == ["m-1", "q-1"]
        assert found.xpath("v3:receiver//v3:softwareName/text() | v3:sender//v3:softwareName/text()") == ["LPS", "DMP"]
        assert found.xpath("//v3:attentionLine") == [], "nobody's rights are asked"
        observed = dict(zip(
            found.xpath("//v3:administrativeObservation/v3:code/@code"),
            found.xpath("//v3:administrativeObservation/v3:value/@value"), strict=True,
        ))  # fmt: skip
        assert observed == (
            {"COMPTE_INTERNET_OUVERT": "false", "RATTACHEMENT_ENS": "false"} if reason == "TEST_EXST"
            else {"OPPOSITION_BRIS_DE_GLACE": "true", "OPPOSITION_ACCES_URGENCE": "false"}
        )  # fmt: skip
        assert found.xpath("//v3:addr/v3:city/text()") == ([] if reason == "TEST_EXST" else ["Paris"])
    assert [one.right for one in Rights(database).listed(cx)] == [Right.OPPOSED]
    service.done(m.modifying(cx, observed=m.observation("OPPOSITION_BRIS_DE_GLACE", False)))
    assert Rights(database).listed(cx) == []
    service.done(m.closing(cx))
    found = service.ask(question("TEST_EXST", cx))
    (closed,) = (one for one in service.records.events(cx) if one.event.value == "closed")
    assert found.xpath("//v3:registrationEvent/v3:effectiveTime/@value") == [closed.at]
    assert found.xpath("//v3:patient/v3:statusCode/@code") == ["terminated"]
    assert found.xpath("//v3:detectedIssueEvent/v3:code/@code") == ["FERMETURE_DEMANDE_PATIENT"]


def test_what_a_change_says_replaces_what_is_kept_and_the_rest_stays(service: Service) -> None:
    cx = new_ins()
    service.done(m.opening(cx))
    mother = (
        '<personalRelationship classCode="PRS"><code code="MTH" codeSystem="2.16.840.1.113883.1.11.19579"/>'
        '<addr><city>LILLE</city></addr><telecom use="HP" value="tel:0923456789"/>'
        '<relationshipHolder1 classCode="PSN" determinerCode="INSTANCE"><name>'
        "<given>Jeanne</given><family>REPLEG &amp; Fils</family></name></relationshipHolder1></personalRelationship>"
    )
    service.done(m.modifying(cx, person=f'<name><family qualifier="BR">DURAND</family></name>{mother}'))
    found = service.ask(question("CNSLT_DATA", cx))
    assert found.xpath("//v3:patientPerson/v3:name/*/text()") == ["DURAND"]
    assert found.xpath("//v3:patientPerson/v3:birthTime/@value") == ["19790328"]
    assert found.xpath("//v3:relationshipHolder1/v3:name/*/text()") == ["Jeanne", "REPLEG & Fils"]
    assert found.xpath("//v3:personalRelationship//v3:city/text() | //v3:personalRelationship/v3:telecom/@value") == [
        "LILLE", "tel:0923456789"
    ]  # fmt: skip


def test_a_patient_of_whom_only_identifiers_are_known(service: Service, database: Database) -> None:
    cx = new_ins()
    IdentityFeed(database, OURS).add([cx])
    found = service.ask(question("CNSLT_DATA", cx))
    assert found.xpath("//v3:patientPerson/v3:name/@nullFlavor") == ["UNK"]
    assert service.ask(m.opening(cx)).codes == ["DMPFound"]


def test_a_merge_is_followed(service: Service, database: Database) -> None:
    old, new = new_ins(), new_ins()
    service.done(m.opening(old), m.opening(new, person="<name><family>SURVIVES</family></name>"))
    IdentityFeed(database, OURS).merge(old, new)
    assert service.ask(question("TEST_EXST", old)).xpath("//v3:queryResponseCode/@code") == ["NF"]
    found = service.ask(question("TEST_EXST", new))
    assert found.xpath("//v3:family/text()") == ["SURVIVES"]
    assert found.xpath("//v3:patient/v3:id/@extension") == [new.partition("^")[0]]
    for text in (m.opening(old), m.closing(old)):
        told = service.ask(text)
        assert (told.codes, told.type) == (["REC-002"], "AE") and new in told.text


def test_a_record_whose_time_is_over_is_not_reactivated_and_a_destroyed_one_not_found(database: Database) -> None:
    service, cx = Service(database, 0), new_ins()
    service.done(m.opening(cx), m.closing(cx))
    assert service.ask(m.reactivating(cx)).codes == ["REC-004"]
    one = service.records.begin_destruction(cx, service.records.ask_destruction(cx))
    database.write(lambda connection: delete_rows(connection, [one.id]))
    with database.read() as connection:
        assert read_demographics(connection, one) == Demographics()
    assert service.ask(question("TEST_EXST", cx)).xpath("//v3:queryResponseCode/@code") == ["NF"]
    for text in (m.reactivating(cx), m.opening(cx), m.modifying(cx)):
        assert service.ask(text).codes == ["DMPClosed"]


# ---------------------------------------------------------------------------------------------------------------- refusals

FRESH = f"279035121518989^^^&{m.TEST_OID}&ISO"
CONSENT = "CONSENTEMENT_OUVERTURE_DMP"
WRONG: list[tuple[str, str, list[str], str]] = [
    ("no consent", m.opening(FRESH, observed=""), ["DMP-004"], "none"),
    ("consent refused", m.opening(FRESH, observed=m.observation(CONSENT, False)), ["DMP-004"], "false"),
    ("consent of another system", m.opening(FRESH, observed=m.OPENING.replace(m.OBSERVATIONS, "1.2.3")), ["DMP-004"], CONSENT),
    ("the other consent", m.opening(FRESH, observed=m.REACTIVATION), ["DMP-004"], CONSENT),
    ("reactivated without consent", change(m.REVISE, "REAC", [FRESH]), ["DMP-004"], "CONSENTEMENT_REACTIVATION_DMP"),
    ("unknown reason", change(m.ADD, "CREATE", [FRESH], observed=m.OPENING), ["DMP-005"], "CREATE"),
    ("reason of another message", change(m.REVISE, "CREA_RD", [FRESH], observed=m.OPENING), ["DMP-005"], "REAC"),
    ("reason of another system", m.opening(FRESH).replace(m.REASONS, "1.2.3"), ["DMP-005"], m.REASONS),
    ("two reasons", re.sub("(<reasonCode[^>]*>)", r"\1\1", m.opening(FRESH)), ["DMP-005"], "once"),
    ("question without a known reason", question("FERM", FRESH), ["DMP-005"], "TEST_EXST"),
    ("closed and active", change(m.REVISE, "FERM", [FRESH], closing=m.CLOSING), ["DMP-006"], "terminated"),
    ("opened and terminated", change(m.ADD, "CREA_RD", [FRESH], status="terminated", observed=m.OPENING), ["DMP-006"], "active"),
    ("closed without a reason", change(m.REVISE, "FERM", [FRESH], status="terminated"), ["DMP-006"], "FERMETURE_DEMANDE_PATIENT"),
    ("closed for another", m.closing(FRESH).replace("FERMETURE_DEMANDE_PATIENT", "ERREUR"), ["DMP-006"], "ERREUR"),
    ("of another system", m.closing(FRESH).replace("1.2.250.1.213.4.1.2.4", "1.2.3"), ["DMP-006"], "another code system"),
    ("nobody", change(m.ADD, "CREA_RD", [], observed=m.OPENING), ["DMP-007"], "names no patient"),
    ("nobody in a question", question("TEST_EXST", FRESH).replace('extension="279035121518989"', ""), ["DMP-007"], "empty"),
    ("another authority", m.opening("1^^^&1.2.3&ISO"), ["DMP-007"], "1.2.3^1"),
    ("a wrong key", m.opening(f"279035121518988^^^&{m.TEST_OID}&ISO"), ["PIF-002"], "key"),
    ("no author", change(m.ADD, "CREA_RD", [FRESH], observed=m.OPENING, author=""), ["DMP-008"], "assignedEntity"),
    ("an author without a name", m.opening(FRESH).replace("<family>LIBRE</family>", "<family/>"), ["DMP-008"], "given"),
    ("an author of another root", m.opening(FRESH).replace("1.2.250.1.71.4.2.1", "1.2.3"), ["DMP-008"], "1.2.250.1.71.4.2.1"),
    ("a birth in words", m.opening(FRESH).replace("19790328", "28/03/1979"), ["DMP-009"], "28/03/1979"),
    (
        "everything at once", change(m.ADD, "CREA_RD", [], status="x", author=""),
        ["DMP-007", "DMP-006", "DMP-004", "DMP-008"], "statusCode",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("text", "codes", "word"), [one[1:] for one in WRONG], ids=[one[0] for one in WRONG])
def test_every_refusal_tells_code_and_reason_and_keeps_nothing(
    service: Service, database: Database, text: str, codes: list[str], word: str
) -> None:
    told = service.ask(text)
    assert (told.type, told.codes) == ("AE", codes) and word in told.text, told.text
    with database.read() as connection:
        assert patients.find(connection, [FRESH]) == {}


def test_the_identifiers_of_two_people_are_no_patient(service: Service, database: Database) -> None:
    one, two = new_ins(), new_ins()
    service.done(m.opening(one), m.opening(two))
    for text in (question("TEST_EXST", one, two), change(m.REVISE, "MODIF_DATA", [one, two])):
        assert service.ask(text).codes == ["DMP-007"]
    fresh = new_ins()
    assert service.ask(change(m.REVISE, "MODIF_DATA", [one, fresh])).codes == ["REC-002"], "an alias is not made in passing"
    assert service.ask(question("TEST_EXST", fresh, one)).xpath("//v3:queryResponseCode/@code") == ["OK"]
    assert service.ask(m.opening(fresh, f"1^^^&{m.INS_C}&ISO")).codes == ["PIF-002"]
    with database.read() as connection:
        assert patients.find(connection, [fresh]) == {}, "half of it was taken"


@pytest.mark.parametrize(
    ("text", "codes", "word"),
    [
        (f'<{m.ADD} xmlns="{m.V3}"/>', ["DMP-001"], "interactionId"),
        (question("TEST_EXST", FRESH).replace(f'extension="{m.QUERY}"', 'extension="PRPA_IN201305UV02"'), ["DMP-001"], "201305"),
    ],
)
def test_a_message_that_contradicts_itself_is_rejected(service: Service, text: str, codes: list[str], word: str) -> None:
    told = service.ask(text)
    assert (told.type, told.codes) == ("AR", codes) and word in told.text
    told = service.ask(m.closing(FRESH), f"{m.V3}:{m.ADD}")
    assert (told.type, told.codes) == ("AR", ["DMP-001"]) and "wsa:Action" in told.text


@pytest.mark.parametrize("name", [m.QUERY, m.ADD, m.REVISE])
def test_a_message_against_the_schema_is_refused_with_every_finding(service: Service, name: str) -> None:
    told = service.ask(f'<{name} xmlns="{m.V3}"><interactionId extension="{name}"/><x/></{name}>')
    assert told.type == "AE" and told.codes[0] == "XSD-001" and {"DMP-005", "DMP-007"} <= set(told.codes)
    assert "v3:interactionId is not allowed here" in told.text
    text = m.opening(FRESH).replace('value="true"', 'value="maybe"').replace("<given>LAURENCE</given>", "<first>L</first>")
    told = service.ask(text)
    assert told.codes == ["XSD-001", "XSD-001", "DMP-004"] and "v3:value" in told.text and "v3:first " in told.text


@given(st.data())
def test_a_message_cut_anywhere_is_answered(sqlite_service: Service, data: st.DataObject) -> None:
    """An element is taken out, or an attribute: nothing is raised, and the answer is one by the schema."""
    root = etree.fromstring(data.draw(st.sampled_from([m.opening(FRESH), m.closing(FRESH), question("CNSLT_DATA", FRESH)])))
    victim = data.draw(st.sampled_from(list(root.iter())))
    if victim.attrib and data.draw(st.booleans()):
        del victim.attrib[data.draw(st.sampled_from(sorted(victim.attrib)))]
    elif victim.getparent() is not None:
        victim.getparent().remove(victim)
    told = sqlite_service.ask(etree.tostring(root, encoding="unicode"))
    assert told.type in ("AA", "AE", "AR")


@pytest.fixture(scope="module")
def sqlite_service(tmp_path_factory: pytest.TempPathFactory) -> Service:
    url = f"sqlite:///{tmp_path_factory.mktemp('cut') / 'carnet.db'}"
    prepare(url)
    return Service(open_database(url))


class Unavailable:
    """A store that takes nothing now."""

    dialect = "sqlite"

    def write(self, work: Callable[[object], object]) -> object:
        raise StorageUnavailable("the disk is full")

    def snapshot(self) -> object:
        raise StorageUnavailable("database is locked")


def test_a_store_that_fails_is_told_and_nothing_of_why() -> None:
    handler = PatientRecords(Unavailable(), Records(Unavailable()), OURS)  # type: ignore[arg-type]
    for text, code in ((m.opening(FRESH), "SRV-002"), (question("TEST_EXST", FRESH), "SRV-001")):
        answer = handler(Call(Transaction.DMP_PATIENTS, etree.fromstring(text)))
        (piece,) = answer.payload
        assert isinstance(piece, bytes)
        assert b'typeCode="AR"' in piece and f'code="{code}"'.encode() in piece and b"reference" in piece
        assert b"locked" not in piece
    assertion = Assertion("_1", "CN=x", "899900063480", patient=FRESH)
    body = etree.fromstring(f'<setAuthorization xmlns="{m.HAB}"><action>AJOUT</action></setAuthorization>')
    call = Call(Transaction.DMP_HABILITATIONS, body, caller=Caller(assertion=assertion))
    answer = PatientAuthorizations(Unavailable())(call)  # type: ignore[arg-type]
    assert b"<status>SRV-002</status>" in answer.payload[0]  # type: ignore[operator]


def test_authorisations_without_an_assertion_or_its_patient(database: Database) -> None:
    body = etree.fromstring(f'<listAuthorizationByPatient xmlns="{m.HAB}"/>')
    for caller, rule in ((Caller(), "ACC-001"), (Caller(assertion=Assertion("_1", "CN=x", "8999")), "ACC-002")):
        with pytest.raises(Denied) as refused:
            PatientAuthorizations(database)(Call(Transaction.DMP_HABILITATIONS, body, caller=caller))
        assert refused.value.rule == rule


# ---------------------------------------------------------------------------------------------------------------- the person

_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_PARTS = st.lists(st.builds(Part, st.sampled_from(["family", "given"]), _TEXTS.filter(bool), _TEXTS), max_size=3).map(tuple)
_TELECOMS = st.lists(st.builds(Telecom, _TEXTS.filter(bool), _TEXTS), max_size=2).map(tuple)
_PERSONS = st.builds(
    Demographics, _PARTS, _TELECOMS, _TEXTS, _TEXTS, _PARTS,
    st.lists(st.builds(Representative, _TEXTS.filter(bool), _TEXTS, _PARTS, _TELECOMS, _PARTS), max_size=2).map(tuple),
)  # fmt: skip


@given(_PERSONS)
def test_a_person_is_kept_as_json(person: Demographics) -> None:
    assert of_json(to_json(person)) == person
    assert Demographics().changed_by(person) == person == person.changed_by(Demographics())


def test_a_person_moves_with_the_record(service: Service, database: Database, tmp_path_factory: pytest.TempPathFactory) -> None:
    cx = new_ins()
    service.done(m.opening(cx))
    with database.snapshot() as connection:
        kept = read_rows(connection, CodeBook(), patients.find(connection, [cx])[cx])
    assert kept["demographics"]["birth"] == "19790328"
    url = f"sqlite:///{tmp_path_factory.mktemp('moved') / 'carnet.db'}"
    prepare(url)
    other = open_database(url)
    try:
        other.write(lambda connection: write_rows(connection, CodeBook(), kept))
        with other.read() as connection:
            moved = read_demographics(connection, patients.find(connection, [cx])[cx])
        assert moved == parse_record_request(etree.fromstring(m.opening(cx))).person
        found = Service(other).ask(question("CNSLT_DATA", cx))
        assert found.xpath("//v3:family/text()") == ["patb-quatre"]
    finally:
        other.close()
