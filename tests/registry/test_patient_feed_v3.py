"""ITI-44 by its messages (ITI TF-2: 3.44): the same rules as ITI-8, told in HL7 v3."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from lxml import etree

from metadata.vocabulary import ResponseStatus, Transaction
from registry import patients
from registry.patient_feed_v3 import PatientIdentityFeedV3
from registry.patient_identity import Authorities, IdentityFeed
from registry.tables import PatientState
from soap.call import Answer, Call
from storage.database import Database
from tests.registry.submissions import new_oid, new_patient

V3 = "urn:hl7-org:v3"
OURS = "1.2.250.1.999.1"
DOMAIN = Authorities(frozenset({OURS, "1.2.250.1.999.2"}), {"OURS": OURS})
ADD, REVISE, MERGE = ("PRPA_IN201301UV02", "PRPA_IN201302UV02", "PRPA_IN201304UV02")


@pytest.fixture(scope="module")
def feed(database: Database) -> PatientIdentityFeedV3:
    return PatientIdentityFeedV3(IdentityFeed(database, DOMAIN))


def ids(values: Sequence[str]) -> str:
    """Of `extension root`, or `extension` alone."""
    parts = (value.split() for value in values)
    return "".join(f'<id extension="{p[0]}"' + (f' root="{p[1]}"' if len(p) > 1 else "") + "/>" for p in parts)


def message(
    name: str,
    patient: Sequence[str],
    prior: Sequence[str] = (),
    *,
    accept: str = "AL",
    interaction: str = "",
    own_id: str = "1.2.3",
) -> str:
    replaced = "".join(
        f"<replacementOf><priorRegistration><subject1><priorRegisteredRole>{ids([one])}"
        "</priorRegisteredRole></subject1></priorRegistration></replacementOf>"
        for one in prior
    )
    return (
        f'<{name} xmlns="{V3}" ITSVersion="XML_1.0"><id root="{own_id}" extension="77"/><creationTime value="2024"/>'
        f'<interactionId root="2.16.840.1.113883.1.6" extension="{interaction or name}"/><processingCode code="T"/>'
        f'<processingModeCode code="T"/><acceptAckCode code="{accept}"/>'
        '<receiver typeCode="RCV"><device classCode="DEV" determinerCode="INSTANCE"><id root="1.9.1"/></device></receiver>'
        '<sender typeCode="SND"><device classCode="DEV" determinerCode="INSTANCE"><id root="1.9.2"/></device></sender>'
        '<controlActProcess classCode="CACT" moodCode="EVN"><subject typeCode="SUBJ"><registrationEvent classCode="REG" '
        f'moodCode="EVN"><subject1 typeCode="SBJ"><patient classCode="PAT">{ids(patient)}<statusCode code="active"/>'
        "<patientPerson>"
        f"<name><family>DURAND</family></name></patientPerson></patient></subject1>{replaced}</registrationEvent></subject>"
        f"</controlActProcess></{name}>"
    )


def send(feed: PatientIdentityFeedV3, text: str, action: str = "") -> tuple[str, str, Answer]:
    """typeCode, the reasons in one text, and the answer."""
    answer = feed(Call(Transaction.ITI_44, etree.fromstring(text), action=action))
    (piece,) = answer.payload
    assert isinstance(piece, bytes)
    root = etree.fromstring(piece)
    assert root.tag == f"{{{V3}}}MCCI_IN000002UV01"
    reasons = " ".join(root.xpath("//v:acknowledgementDetail/v:text/text()", namespaces={"v": V3}))  # type: ignore[arg-type]
    return str(root.xpath("string(//v:acknowledgement/v:typeCode/@code)", namespaces={"v": V3})), reasons, answer


def states(database: Database, *cxs: str) -> list[tuple[PatientState, str] | None]:
    with database.read() as connection:
        found = patients.find(connection, cxs)
    return [(found[cx].state, found[cx].surviving) if cx in found else None for cx in cxs]


def cx(id: str, oid: str = OURS) -> str:
    return f"{id}^^^&{oid}&ISO"


def plain(cx: str) -> str:
    id, _, rest = cx.partition("^^^&")
    return f"{id} {rest.partition('&')[0]}"


@pytest.mark.parametrize("name", [ADD, REVISE])
def test_identifiers_become_known_as_one_patient(database: Database, feed: PatientIdentityFeedV3, name: str) -> None:
    a, b, c = new_oid(), new_oid(), new_oid()
    code, reasons, answer = send(feed, message(name, [f"{c} 1.9.9", f"{a} {OURS}", f"{b} 1.2.250.1.999.2"]), f"{V3}:{name}")
    assert (code, reasons, answer.status) == ("CA", "", ResponseStatus.SUCCESS)
    assert states(database, cx(a), cx(b, "1.2.250.1.999.2"), cx(c, "1.9.9")) == [
        (PatientState.ACTIVE, cx(a)), (PatientState.ALIAS, cx(a)), None,
    ]  # fmt: skip


def test_the_acknowledgement_names_the_message_and_changes_the_sides(feed: PatientIdentityFeedV3) -> None:
    _, _, answer = send(feed, message(ADD, [f"{new_oid()} {OURS}"]))
    root = etree.fromstring(b"".join(p for p in answer.payload if isinstance(p, bytes)))
    asked = {
        "string(v:acknowledgement/v:targetMessage/v:id/@extension)": "77",
        "string(v:receiver/v:device/v:id/@root)": "1.9.2",
        "string(v:sender/v:device/v:id/@root)": "1.9.1",
        "string(v:processingCode/@code)": "T",
        "string(v:interactionId/@extension)": "MCCI_IN000002UV01",
    }
    assert {path: root.xpath(path, namespaces={"v": V3}) for path in asked} == asked


def test_a_sender_that_wants_no_accept_acknowledgement_is_told_of_the_application(feed: PatientIdentityFeedV3) -> None:
    assert send(feed, message(ADD, [f"{new_oid()} {OURS}"], accept="NE"))[0] == "AA"
    assert send(feed, message(ADD, [], accept="NE"))[0] == "AE"


def test_identifiers_of_others_alone_are_ignored(database: Database, feed: PatientIdentityFeedV3) -> None:
    id = new_oid()
    assert send(feed, message(ADD, [f"{id} 1.9.9"]))[0] == "CA"
    assert states(database, cx(id, "1.9.9")) == [None]


def test_a_merge(database: Database, feed: PatientIdentityFeedV3) -> None:
    old, new = new_patient(database), new_patient(database)
    assert send(feed, message(MERGE, [plain(new)], [plain(old)]))[0] == "CA"
    assert states(database, old, new) == [(PatientState.SUBSUMED, new), (PatientState.ACTIVE, new)]


def test_every_refusal_of_a_merge_leaves_everything_as_it_was(database: Database, feed: PatientIdentityFeedV3) -> None:
    old, new, third, nobody = (*(plain(new_patient(database)) for _ in range(3)), f"{new_oid()} {OURS}")
    foreign = f"{new_oid()} 1.9.9"
    for patient, prior, word in [
        ([new], [new], "into itself"),
        ([new], [nobody], "not known"),
        ([nobody], [old], "not known"),
        ([foreign], [old], "assigning authority"),
        ([new], [foreign], "assigning authority"),
        ([new], [], "one that goes"),
        ([new], [old, third], "one that goes"),
        ([new, third], [old], "one that goes"),
    ]:
        code, reasons, answer = send(feed, message(MERGE, patient, prior))
        assert (code, answer.status) == ("CE", ResponseStatus.FAILURE) and word in reasons, (patient, prior, reasons)
    send(feed, message(MERGE, [new], [old]))
    for patient, prior in [([new], [old]), ([third], [old]), ([old], [third]), ([old], [new])]:
        assert send(feed, message(MERGE, patient, prior))[0] == "CE"
    assert send(feed, message(ADD, [old]))[0] == "CE"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (message(ADD, []), "has no id"),
        (message(ADD, ["1"]).replace('<id extension="1"/>', '<id nullFlavor="UNK"/>'), "has no id"),
        (message(ADD, [f"1 {OURS}"], interaction=MERGE), "interactionId"),
        (message(ADD, [f"1 {OURS}"], own_id=""), "message has no id"),
        (f'<{ADD} xmlns="{V3}"/>', "0 registration events"),
        (f'<{MERGE} xmlns="{V3}"><controlActProcess/></{MERGE}>', "0 registration events"),
        (message(ADD, [f"a&amp;b {OURS}"]), "PIF-001"),
    ],
)
def test_a_message_that_lacks_something_is_refused_with_the_reason(feed: PatientIdentityFeedV3, text: str, word: str) -> None:
    code, reasons, _ = send(feed, text)
    assert code in ("CE", "AE") and word in reasons


def test_an_action_of_another_message_is_refused(feed: PatientIdentityFeedV3) -> None:
    code, reasons, _ = send(feed, message(ADD, [f"1 {OURS}"]), f"{V3}:{MERGE}")
    assert code == "CE" and "wsa:Action" in reasons
