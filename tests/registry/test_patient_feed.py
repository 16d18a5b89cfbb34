"""ITI-8 message by message: what is done, what is answered, and that nothing that arrives can do harm (ITI TF-2: 3.8)."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from registry import patients
from registry.patient_feed import PatientIdentityFeed, Reply
from registry.patient_identity import Authorities, IdentityFeed
from registry.tables import PatientState
from storage.database import Database
from tests.registry.submissions import new_oid, new_patient

OURS = "1.2.250.1.999.1"
DOMAIN = Authorities(frozenset({OURS, "1.2.250.1.999.2"}), {"OURS": OURS, "SECOND": "1.2.250.1.999.2"})


@pytest.fixture(scope="module")
def feed(database: Database) -> PatientIdentityFeed:
    return PatientIdentityFeed(IdentityFeed(database, DOMAIN))


def message(event: str, pid3: str, mrg1: str = "", *, msh9: str = "", control: str = "4711", version: str = "2.3.1") -> bytes:
    lines = [
        f"MSH|^~\\&|ADT|HOSPITAL|CARNET|REGION|20240102030405||{msh9 or f'ADT^{event}'}|{control}|P|{version}",
        f"EVN|{event}|20240102030405",
        f"PID|1||{pid3}||DURAND^Anne||19700101|F",
    ]
    if mrg1:
        lines.append(f"MRG|{mrg1}")
    else:
        lines.append("PV1||I")
    return "".join(f"{line}\r" for line in lines).encode()


def fields(reply: Reply) -> dict[str, list[str]]:
    segments = [line.split("|") for line in reply.message.decode().split("\r") if line]
    return {segment[0]: segment for segment in segments}


def states(database: Database, *cxs: str) -> list[tuple[PatientState, str] | None]:
    with database.read() as connection:
        found = patients.find(connection, cxs)
    return [(found[cx].state, found[cx].surviving) if cx in found else None for cx in cxs]


def cx(id: str, oid: str = OURS) -> str:
    return f"{id}^^^&{oid}&ISO"


# ------------------------------------------------------------------------------------------------------------ what is done


@pytest.mark.parametrize("event", ["A01", "A04", "A05"])
def test_an_identifier_becomes_known(database: Database, feed: PatientIdentityFeed, event: str) -> None:
    id = new_oid()
    reply = feed(message(event, f"{cx(id)}^PI"))
    answer = fields(reply)
    assert (reply.code, answer["MSA"][1:3]) == ("AA", ["AA", "4711"])
    assert answer["MSH"][2:6] == ["CARNET", "REGION", "ADT", "HOSPITAL"], "sender and receiver change places"
    assert (answer["MSH"][8], answer["MSH"][10:]) == (f"ACK^{event}", ["P", "2.3.1"])
    assert "ERR" not in answer
    assert states(database, cx(id)) == [(PatientState.ACTIVE, cx(id))]
    assert feed(message(event, cx(id))).code == "AA", "the same again changes nothing"


def test_a08_is_acknowledged_and_ignored(database: Database, feed: PatientIdentityFeed) -> None:
    id = new_oid()
    assert feed(message("A08", cx(id))).code == "AA"
    assert states(database, cx(id)) == [None]


def test_identifiers_of_one_message_are_one_patient_and_foreign_ones_are_ignored(
    database: Database, feed: PatientIdentityFeed
) -> None:
    a, b, c = new_oid(), new_oid(), new_oid()
    foreign = f"{c}^^^&1.9.9&ISO"
    reply = feed(message("A04", f"{foreign}~{a}^^^OURS~{b}^^^&1.2.250.1.999.2&ISO~{c}^^^ELSE~{c}"))
    assert reply.code == "AA"
    assert states(database, cx(a), cx(b, "1.2.250.1.999.2"), cx(c, "1.9.9")) == [
        (PatientState.ACTIVE, cx(a)), (PatientState.ALIAS, cx(a)), None,
    ]  # fmt: skip
    only = feed(message("A04", foreign))
    assert (only.code, states(database, cx(c, "1.9.9"))) == ("AA", [None])


@pytest.mark.parametrize("msh9", ["ADT^A40", "ADT^A40^ADT_A39"])
def test_a40_merges(database: Database, feed: PatientIdentityFeed, msh9: str) -> None:
    old, new = new_patient(database), new_patient(database)
    assert feed(message("A40", new, f"{old.partition('^')[0]}^^^OURS", msh9=msh9)).code == "AA"
    assert states(database, old, new) == [(PatientState.SUBSUMED, new), (PatientState.ACTIVE, new)]


def test_a40_is_refused_without_a_change(database: Database, feed: PatientIdentityFeed) -> None:
    old, new, third, nobody = new_patient(database), new_patient(database), new_patient(database), cx(new_oid())
    foreign = f"{new_oid()}^^^&1.9.9&ISO"
    for pid3, mrg1, word in [
        (new, new, "into itself"),
        (new, nobody, "not known"),
        (nobody, old, "not known"),
        (foreign, old, "assigning authority"),
        (new, foreign, "assigning authority"),
        (f"{new}~{third}", old, "one identifier"),
        (new, f"{old}~{third}", "one identifier"),
        ("", old, "one identifier"),
        (new, "^^^OURS", "one identifier"),
    ]:
        reply = feed(message("A40", pid3, mrg1))
        assert reply.code == "AE" and word in reply.text, (pid3, mrg1, reply.text)
        assert fields(reply)["MSA"][1] == "AE" and "ERR" in fields(reply)
    assert states(database, old, new, third, nobody) == [
        *((PatientState.ACTIVE, one) for one in (old, new, third)), None,
    ]  # fmt: skip
    feed(message("A40", new, old))
    for pid3, mrg1 in [(new, old), (third, old), (old, third), (old, new)]:
        assert feed(message("A40", pid3, mrg1)).code == "AE"
    assert feed(message("A04", old)).code == "AE", "a subsumed identifier does not come back"
    assert states(database, old, new, third)[1:] == [(PatientState.ACTIVE, new), (PatientState.ACTIVE, third)]


# ------------------------------------------------------------------------------------------------- what cannot be worked on


@pytest.mark.parametrize(
    ("octets", "code", "word"),
    [
        (b"", "AR", "no HL7 message"),
        (b"GET / HTTP/1.1\r\n\r\n", "AR", "no HL7 message"),
        (b"MSH", "AR", "no HL7 message"),
        (b"MSH|", "AE", "separators in MSH-1 and MSH-2"),
        (b"MSH|^~\\&|\r", "AE", "MSH-10"),
        (message("A04", "1^^^OURS", control=""), "AE", "MSH-10"),
        (message("A04", "1^^^OURS", version="3.0"), "AR", "MSH-12"),
        (message("A04", "1^^^OURS", msh9="ORU^R01"), "AR", "ORU R01"),
        (message("A02", "1^^^OURS"), "AR", "ADT A02"),
        (message("A04", ""), "AE", "PID-3 holds no"),
        (message("A04", "^^^OURS"), "AE", "PID-3 holds no"),
        (message("A04", "a b^^^OURS").replace(b"PID|", b"PIX|"), "AE", "0 PID segments"),
        (message("A40", "1^^^OURS"), "AE", "0 MRG segments"),
        (message("A40", "1^^^OURS", "2^^^OURS") + b"PID|1||3^^^OURS\rMRG|4^^^OURS\r", "AE", "2 PID segments"),
        (message("A04", "207058575627098^^^&1.2.250.1.213.1.4.8&ISO"), "AA", "nothing"),
        (message("A04", "x\\T\\y^^^OURS"), "AE", "PIF-001"),
    ],
)
def test_what_is_wrong_is_told_with_the_right_code(feed: PatientIdentityFeed, octets: bytes, code: str, word: str) -> None:
    reply = feed(octets)
    assert reply.code == code and word in reply.text, reply.text
    assert fields(reply)["MSA"][1] == code


def test_a_wrong_ins_is_refused_with_the_reason(database: Database) -> None:
    everybody = PatientIdentityFeed(IdentityFeed(database))
    reply = everybody(message("A04", "207058575627098^^^&1.2.250.1.213.1.4.8&ISO"))
    assert reply.code == "AE" and "is 97, not 98" in reply.text


def test_line_ends_separators_and_encodings_of_real_senders(database: Database, feed: PatientIdentityFeed) -> None:
    a, b, c = new_oid(), new_oid(), new_oid()
    assert feed(message("A04", cx(a)).replace(b"\r", b"\r\n")).code == "AA"
    other = message("A04", cx(b)).translate(bytes.maketrans(b"|^~\\&", b"#@!/%"))
    assert feed(other).code == "AA"
    latin = message("A04", cx(c)).replace(b"DURAND", "DÜRÀND".encode("iso-8859-1"))
    assert feed(latin).code == "AA"
    assert None not in states(database, cx(a), cx(b), cx(c))


_PIECES = st.sampled_from(
    [*"|^~\\&\r\n\x0b\x1c", "MSH", "PID", "MRG", "ADT^A04", "ADT^A40", "1^^^OURS", "A08", "2.3.1", "\\F"]
)
_ANYTHING = st.one_of(st.binary(max_size=300), st.lists(_PIECES, max_size=60).map(lambda pieces: "".join(pieces).encode()))


@settings(deadline=None)
@given(octets=_ANYTHING)
@example(octets=b"MSH^~")
@example(octets=b"MSH||||||")
@example(octets=b"MSH|^^^^|")
def test_whatever_arrives_is_answered(feed: PatientIdentityFeed, octets: bytes) -> None:
    merged = message("A40", octets.decode("latin-1"), "2^^^OURS")
    for sent in (octets, b"MSH|^~\\&|" + octets, message("A04", "1^^^OURS") + octets, merged):
        reply = feed(sent)
        assert reply.code in ("AA", "AE", "AR")
        lines = reply.message.decode().split("\r")
        assert lines[0].startswith("MSH|^~\\&|") and lines[1].startswith(f"MSA|{reply.code}|")
        assert not set("\x0b\x1c\n") & set(reply.message.decode())


@settings(deadline=None, max_examples=60)
@given(at=st.integers(0, 200), octet=st.integers(0, 255))
def test_a_message_with_one_octet_changed_is_answered(feed: PatientIdentityFeed, at: int, octet: int) -> None:
    sent = bytearray(message("A04", "1^^^OURS"))
    sent[at % len(sent)] = octet
    assert feed(bytes(sent)).code in ("AA", "AE", "AR")


def test_a_refusal_links_to_the_page_of_its_rule(database: Database) -> None:
    """Where the server knows by which address it is reached; the colons of an address are no separators of HL7."""
    linked = PatientIdentityFeed(IdentityFeed(database, DOMAIN), explain_base="https://xds.example.org/explain/")
    reply = linked(message("A40", cx("1001"), cx("1001")))
    assert reply.text.endswith("] https://xds.example.org/explain/PIF-003"), reply.text
    assert "https://xds.example.org/explain/PIF-003" in fields(reply)["ERR"][1]
