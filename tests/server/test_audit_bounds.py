"""What one message may cost the trail, and a trail of which somebody has damaged a record."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from lxml import etree

from metadata.vocabulary import Transaction
from schemas.parse import parse
from security.audit import ROLE_QUERY, AuditEvent, AuditSource, End, Participant, patient_object
from security.audit_chain import unended
from security.audit_codes import EXPORT, SOURCE
from security.audit_forward import Forwarder
from security.audit_store import AuditStore, entry
from security.syslog import Receiver
from server.audit_events import QUERY_COPIES, Deed, events_of
from server.audit_report import traces
from soap.call import Caller
from storage.database import open_database
from storage.errors import StorageError
from storage.migrate import prepare
from tests.proof.messages import query, quoted
from tests.security.test_audit_delivery import SCHEMA
from tests.server.test_audit_trail import Nobody

PATIENT = "4711^^^&1.2.3.4.5&ISO"


def events(patients: list[str]) -> list[AuditEvent]:
    body = parse(query("FindDocumentsForMultiplePatients", {"$XDSDocumentEntryPatientId": quoted(*patients)}))
    return events_of(Deed(Transaction.ITI_51, Caller(), "https://h/xds/iti51", body=body), Nobody())


def told(event: AuditEvent) -> tuple[str, bool]:
    """The query of a record, and whether the record says that it is cut."""
    found = next(one for one in event.objects if one.role == ROLE_QUERY)
    return found.query, any(kind == "QueryCut" for kind, _ in found.details)


def test_a_query_of_thousands_of_patients_fills_no_trail_with_its_square() -> None:
    patients = [f"{number}^^^&1.2.3.4.5&ISO" for number in range(3000)]
    found = events(patients)
    assert [one.patient for one in found] == patients
    first, *others = map(told, found)
    assert not first[1] and all(f"'{number}^^^" in first[0] for number in range(3000))
    assert all(cut and first[0].startswith(text) for text, cut in others)
    assert 0 < sum(len(text) for text, _ in others) <= QUERY_COPIES


@pytest.mark.parametrize("count", [1, 2, 20])
def test_a_query_of_some_patients_stands_whole_in_the_record_of_each(count: int) -> None:
    found = list(map(told, events([f"{number}^^^&1.2.3.4.5&ISO" for number in range(count)])))
    assert len(found) == count and len(set(found)) == 1 and not found[0][1]


@pytest.mark.parametrize(
    "harm", ["DELETE FROM audit_record WHERE number = 2", "UPDATE audit_record SET body = x'0100' WHERE number = 2",
             "UPDATE audit_record SET body = x'0100' WHERE number = 3", "UPDATE audit_record SET at = 'then' WHERE number = 3",
             "UPDATE audit_record SET at = 9223372036854775807 WHERE number = 3"],
)  # fmt: skip
def test_a_record_that_is_damaged_keeps_back_none_behind_it(tmp_path: Path, harm: str) -> None:
    """Record 2 begins what 3 ends. It is told in its place that something is wrong, and everything else arrives."""
    url = f"sqlite:///{tmp_path / 'trail.sqlite'}"
    prepare(url)
    database = open_database(url)
    store = AuditStore(database, bytes(32))
    people = (Participant("user", True, (SOURCE,)),)
    made = AuditEvent(EXPORT, "R", 1_700_000_000_000, participants=people, objects=(patient_object(PATIENT),))
    store.write([entry(made)])
    begun = store.write([entry(made, begun=True)])[0]
    store.write([entry(End(begun, 1_700_000_000_001, 0, patient=PATIENT))])
    store.write([entry(made)])
    database.write(lambda connection: connection.execute(sa.text(harm)))
    sent: list[bytes] = []
    forwarder = Forwarder(
        store, Receiver("localhost", 1, ""), AuditSource("node"), "h", "t", lambda _, __, batch: sent.extend(batch)
    )
    forwarder.lag()
    assert (forwarder.run(), forwarder.lag().records) == (3, 0)
    codes = [etree.fromstring(octets[octets.index(b"<AuditMessage") :]).find("*/EventID").get("csd-code") for octets in sent]  # type: ignore[union-attr]
    assert codes == ["110106", "110113", "110106"]
    for octets in sent:
        SCHEMA.assertValid(etree.fromstring(octets[octets.index(b"<AuditMessage") :]))
    unended(store, 1_800_000_000_000)
    if harm.startswith("UPDATE"):
        with pytest.raises(StorageError, match="carnet audit verify"):
            traces(store, [PATIENT])
    database.close()
