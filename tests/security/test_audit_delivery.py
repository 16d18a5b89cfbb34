"""Store and forward: a real rsyslog gets every record, and receivers that end badly get them again."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from lxml import etree

from schemas.validate import XSD_FOLDER
from security.audit import SUCCESS, AuditEvent, AuditSource, End, Participant, patient_object
from security.audit_codes import EXPORT, SOURCE
from security.audit_forward import Forwarder
from security.audit_store import AuditStore, entry
from security.syslog import NotDelivered, Receiver, build_syslog, deliver
from storage.database import open_database
from storage.migrate import prepare
from tests.security.record_receiver import Reluctant, Rsyslog, require_rsyslog

SCHEMA = etree.XMLSchema(etree.parse(str(XSD_FOLDER / "audit.xsd")))


def event(number: int) -> AuditEvent:
    people = (Participant(f"user {number}", True, (SOURCE,)),)
    return AuditEvent(EXPORT, "R", number, SUCCESS, participants=people, objects=(patient_object("4711^^^&1.2&ISO"),))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[AuditStore]:
    url = f"sqlite:///{tmp_path / 'trail.sqlite'}"
    prepare(url)
    database = open_database(url)
    yield AuditStore(database, bytes(32))
    database.close()


def forwarder(store: AuditStore, receiver: Receiver) -> Forwarder:
    return Forwarder(store, receiver, AuditSource("node"), "host", "trail")


@pytest.mark.parametrize(("driver", "fin"), [("ossl", False), ("gtls", True)])
def test_a_real_rsyslog_gets_every_record_once_and_in_order(store: AuditStore, tmp_path: Path, driver: str, fin: bool) -> None:
    require_rsyslog(driver)
    store.write([entry(event(number)) for number in range(1200)])
    begun = store.write([entry(event(5000), begun=True)])[0]
    with Rsyslog(tmp_path / "rsyslog", driver) as receiver:
        sends = forwarder(store, Receiver("localhost", receiver.port, str(receiver.authorities), fin=fin))
        assert (sends.lag().records, sends.run(), sends.lag().records) == (1201, 1200, 0)
        assert sends.run() == 0
        store.write([entry(End(begun, 6000, 4, "broke off"))])
        assert forwarder(store, sends._receiver).run() == 1, "the mark is in the store"
        received = receiver.received()
    assert [id for id, _ in received] == [f"trail.0.{number}" for number in (*range(1, 1201), 1202)]
    for _, message in received:
        SCHEMA.assertValid(etree.fromstring(message))
    last = etree.fromstring(received[-1][1])
    assert last.find("EventIdentification").get("EventOutcomeIndicator") == "4"  # type: ignore[union-attr]
    assert last.findtext("EventIdentification/EventOutcomeDescription") == "broke off"


def test_rsyslog_with_gnutls_ends_without_close_notify(store: AuditStore, tmp_path: Path) -> None:
    """It looks as if it had been killed, and the message tells what to set."""
    require_rsyslog("gtls")
    store.write([entry(event(1))])
    with Rsyslog(tmp_path / "rsyslog", "gtls") as receiver:
        sends = forwarder(store, Receiver("localhost", receiver.port, str(receiver.authorities)))
        with pytest.raises(NotDelivered, match=r"audit\.syslog_end = fin"):
            sends.run()
    assert sends.lag().records == 1


@pytest.mark.parametrize("behaviour", ["reset", "fin", "silent", "plain"])
def test_what_may_be_lost_is_sent_again(store: AuditStore, tmp_path: Path, behaviour: str) -> None:
    store.write([entry(event(number)) for number in range(50)])
    with Reluctant(tmp_path / "bad", behaviour) as bad:
        sends = forwarder(store, Receiver("localhost", bad.port, str(bad.authorities), seconds=0.5))
        for _ in range(2):
            with pytest.raises(NotDelivered):
                sends.run()
        assert sends.lag().records == 50
        name = sends._name
    with Reluctant(tmp_path / "good", "good") as good:
        better = forwarder(store, Receiver("localhost", good.port, str(good.authorities)))
        better._name = name  # the same receiver, mended
        assert (better.run(), better.lag().records) == (50, 0)
        assert good.octets.count(b"<AuditMessage>") == 50


def test_a_receiver_of_another_authority_gets_nothing(store: AuditStore, tmp_path: Path) -> None:
    store.write([entry(event(1))])
    with Reluctant(tmp_path / "one", "good") as one, Reluctant(tmp_path / "other", "good") as other:
        with pytest.raises(NotDelivered, match="certificate verify failed"):
            forwarder(store, Receiver("localhost", one.port, str(other.authorities), seconds=2)).run()
        assert one.octets == b""


def test_nobody_listens(tmp_path: Path) -> None:
    receiver = Receiver("localhost", 1, "")
    with pytest.raises(NotDelivered, match="localhost:1"):
        deliver(receiver, ssl.create_default_context(), [build_syslog(b"<x/>", at=0, host="h", id="1")])


def test_a_long_message_goes_whole(store: AuditStore, tmp_path: Path) -> None:
    """Records of more than a batch's octets, one after the other."""
    require_rsyslog("ossl")
    big = AuditEvent(EXPORT, "R", 1, participants=tuple(Participant(f"{n} " + "é" * 900) for n in range(100)))
    store.write([entry(big) for _ in range(8)])
    with Rsyslog(tmp_path / "rsyslog") as receiver:
        sends = forwarder(store, Receiver("localhost", receiver.port, str(receiver.authorities)))
        assert sends.run() == 8
        received = receiver.received()
    assert len(received) == 8 and len({message for _, message in received}) == 1
    assert len(received[0][1].encode()) > 180_000
