"""AuditMessages: valid whatever a caller has made up, one line, and nothing of it read as a record of its own."""

from __future__ import annotations

import re
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from schemas.validate import XSD_FOLDER
from security.audit import (
    ROLE_QUERY,
    SERIOUS,
    AuditEvent,
    AuditObject,
    AuditSource,
    End,
    Participant,
    pack,
    patient_key,
    patient_object,
    unpack,
)
from security.audit_codes import EXPORT, IHE, QUERY, REPORT_NUMBER, SOURCE, AuditCode
from security.audit_message import build_audit_message
from security.syslog import build_syslog, framed, header

SCHEMA = etree.XMLSchema(etree.parse(str(XSD_FOLDER / "audit.xsd")))
OURS = AuditSource("node", "site")
#: What somebody would send who wants a record of his own in the log.
INJECTIONS = (
    "\n<85>1 2026-01-01T00:00:00Z h carnet 0.1 IHE+RFC-3881 - <AuditMessage/>",
    "\r\n99 <85>1 - - - - - -",
    '"/><AuditMessage>',
    "</UserID>&amp;&#10;<!--",
    "\x00\x1b[2J\u2028\u0085\ud800",
    "]]>",
    "x" * 5000,
)

text = st.one_of(st.text(max_size=40), st.sampled_from(INJECTIONS))
name = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)
codes = st.builds(AuditCode, text, text, text)
participants = st.builds(
    Participant, text, st.booleans(), st.lists(codes, max_size=2).map(tuple), text, text, text, text, text
)
objects = st.builds(
    AuditObject, text, codes, st.sampled_from((1, 2)), st.sampled_from((1, 3, 13, 20, 24)), text, text,
    st.lists(st.tuples(text, text), max_size=2).map(tuple), st.sampled_from((0, 15)),
)  # fmt: skip
events = st.builds(
    AuditEvent, codes, st.sampled_from("CRUDE"), st.integers(0, 4_000_000_000_000), st.sampled_from((0, 4, 8, 12)),
    st.lists(codes, max_size=2).map(tuple), st.lists(participants, min_size=1, max_size=3).map(tuple),
    st.lists(objects, max_size=3).map(tuple), st.lists(codes, max_size=1).map(tuple), text, text,
    st.none() | st.builds(AuditSource, text, text),
)  # fmt: skip


@given(events)
def test_every_event_is_one_valid_line(event: AuditEvent) -> None:
    octets = build_audit_message(event, OURS)
    SCHEMA.assertValid(etree.fromstring(octets))
    assert not re.search(rb"[\x00-\x1f]", octets) and b"<AuditMessage>" not in octets[14:]
    assert all(mark not in octets.decode() for mark in ("\u2028", "\u2029", "\u0085"))


@given(events)
def test_an_event_comes_back_as_it_was_kept(event: AuditEvent) -> None:
    body = pack(event)
    assert unpack(body, event.at) == event
    assert pack(unpack(body, event.at)) == body


@given(st.builds(End, st.tuples(st.integers(0, 63), st.integers(1)), st.just(7), st.sampled_from((0, 4, 8)), text, st.integers(0),
                 st.lists(text, max_size=2).map(tuple)))  # fmt: skip
def test_an_end_comes_back_as_it_was_kept(end: End) -> None:
    assert unpack(pack(end), 7) == end


@pytest.mark.parametrize("length", [7_000, 20_000, 200_000])
def test_a_question_longer_than_the_window_comes_back(length: int) -> None:
    text = "".join(f"<Value>{number * 7919 % 100_003}</Value>" for number in range(length // 20))
    event = AuditEvent(QUERY, "E", 1, objects=(AuditObject("urn:uuid:1", QUERY, role=ROLE_QUERY, query=text),))
    assert unpack(pack(event), 1) == event


def test_a_record_of_the_first_version_is_read() -> None:
    """Written with a window of 32 kB, before the smaller one."""
    body = bytes.fromhex("01ab86c4aab18ea189a111c83258f400cb45582403c3d000185b842a0ca0b108a72a815c69ac145b0b00")
    assert unpack(body, 7) == End((3, 1412), 7, SERIOUS, "XDSRepositoryError", 20_000, ("1.2.3",))


@pytest.mark.parametrize("octets", [b"", b"\x01", b"\x01abc", pack(End((0, 1), 0, 0))[:-3], b"{}"])
def test_what_we_never_wrote_is_no_record(octets: bytes) -> None:
    with pytest.raises(ValueError):
        unpack(octets, 0)


@pytest.mark.parametrize("injection", INJECTIONS)
def test_an_injection_makes_no_record_of_its_own(injection: str) -> None:
    """In every place at once: one frame, one header, one message."""
    code = AuditCode(injection, injection, injection)
    person = Participant(injection, True, (code,), injection, injection, injection, injection, injection)
    thing = AuditObject(injection, code, name=injection, details=((injection, injection),))
    query = replace(thing, role=ROLE_QUERY, query=injection)
    event = AuditEvent(
        code, "R", 0, 8, (code,), (person,), (thing, query), (code,), injection, injection, AuditSource(injection, injection)
    )
    message = build_syslog(build_audit_message(event, OURS), at=0, host=injection, id=injection)
    frame = framed([message])
    length, _, rest = frame.partition(b" ")
    assert int(length) == len(rest) == len(message)
    assert b"\n" not in frame and b"\r" not in frame and frame.count(b"<85>") == 1
    priority, id, kind = header(message)
    assert (priority, kind) == (85, "IHE+RFC-3881") and " " not in id
    head, _, xml = message.partition(b" - ")
    assert len(head.split(b" ")) == 6 and len(etree.fromstring(xml).findall(".//AuditMessage")) == 0


def test_the_message_of_a_retrieve() -> None:
    """Written out once, so that a person sees one."""
    event = AuditEvent(
        EXPORT, "R", 1_700_000_000_123, 0, (AuditCode("ITI-43", IHE, "Retrieve Document Set"),),
        (Participant("http://h/xds", False, (SOURCE,), "77", address="xds.example.org"),
         Participant("a<7@urn:x>", True, (AuditCode("10", "1.2.250", "Médecin"),), name="a<7@urn:x>", person="Dr Who")),
        (patient_object("4711^^^&1.2&ISO"), AuditObject("1.2.3", REPORT_NUMBER, details=(("Repository Unique Id", "1.2"),))),
        purposes=(AuditCode("normal", "1.2.250.1.213.1.1.4.248", "Accès normal"),), reason="not for the receiver",
    )  # fmt: skip
    said = build_audit_message(event, OURS).decode()
    assert said == (
        '<AuditMessage><EventIdentification EventActionCode="R" EventDateTime="2023-11-14T22:13:20.123Z" '
        'EventOutcomeIndicator="0"><EventID csd-code="110106" codeSystemName="DCM" originalText="Export"/>'
        '<EventTypeCode csd-code="ITI-43" '
        'codeSystemName="IHE Transactions" originalText="Retrieve Document Set"/><PurposeOfUse csd-code="normal" '
        'codeSystemName="1.2.250.1.213.1.1.4.248" originalText="Accès normal"/></EventIdentification><ActiveParticipant '
        'UserID="http://h/xds" AlternativeUserID="77" UserIsRequestor="false" NetworkAccessPointID="xds.example.org" '
        'NetworkAccessPointTypeCode="1"><RoleIDCode csd-code="110153" codeSystemName="DCM" originalText="Source Role ID"/>'
        '</ActiveParticipant><ActiveParticipant UserID="a&lt;7@urn:x&gt;" UserName="a&lt;7@urn:x&gt;" UserIsRequestor="true">'
        '<RoleIDCode csd-code="10" codeSystemName="1.2.250" originalText="Médecin"/></ActiveParticipant>'
        '<AuditSourceIdentification AuditEnterpriseSiteID="site" AuditSourceID="node"><AuditSourceTypeCode csd-code="4"/>'
        '</AuditSourceIdentification><ParticipantObjectIdentification ParticipantObjectID="4711^^^&amp;1.2&amp;ISO" '
        'ParticipantObjectTypeCode="1" ParticipantObjectTypeCodeRole="1"><ParticipantObjectIDTypeCode csd-code="2" '
        'codeSystemName="RFC-3881" originalText="Patient Number"/><ParticipantObjectName></ParticipantObjectName>'
        '</ParticipantObjectIdentification><ParticipantObjectIdentification ParticipantObjectID="1.2.3" '
        'ParticipantObjectTypeCode="2" ParticipantObjectTypeCodeRole="3"><ParticipantObjectIDTypeCode csd-code="9" '
        'codeSystemName="RFC-3881" originalText="Report Number"/><ParticipantObjectName></ParticipantObjectName>'
        '<ParticipantObjectDetail type="Repository Unique Id" value="MS4y"/></ParticipantObjectIdentification></AuditMessage>'
    )


def test_the_schema_refuses_what_is_no_record() -> None:
    good = etree.fromstring(build_audit_message(AuditEvent(QUERY, "E", 0, participants=(Participant("x"),)), OURS))
    SCHEMA.assertValid(good)
    for path, attribute, value in (
        ("EventIdentification", "EventActionCode", "X"),
        ("EventIdentification", "EventOutcomeIndicator", "1"),
        ("EventIdentification", "EventDateTime", "yesterday"),
        ("ActiveParticipant", "UserIsRequestor", "maybe"),
    ):
        broken = etree.fromstring(etree.tostring(good))
        element = broken.find(path)
        assert element is not None
        element.set(attribute, value)
        assert not SCHEMA.validate(broken), (path, attribute)


def test_a_patient_is_found_by_every_spelling_of_the_identifier() -> None:
    assert patient_key("4711^^^&1.2.3&ISO") == patient_key("4711^^^NS&1.2.3&ISO")
    assert patient_key("4711^^^&1.2.3&ISO") != patient_key("4712^^^&1.2.3&ISO") and patient_key("") is None
    assert {f.name for f in fields(Participant)} >= {"person", "organisation"}
