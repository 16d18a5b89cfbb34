"""Rights of a record on both databases: states of an authorisation, merges, what is refused, what a destruction leaves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from metadata.rules.rule import Refused
from registry.codes import CodeBook
from registry.consents import Consents
from registry.identifiers import uuid_bytes
from registry.iti42 import RegisterDocumentSet
from registry.patient_identity import IdentityFeed
from registry.record import Records
from registry.record_rows import delete_rows
from registry.rights import VALIDITY, Right, Rights, Writer
from registry.tables import entry_writer, patient_right
from security.access import Authorisation
from storage.database import Database, Row
from tests.registry.submissions import documents, new_patient

ANNE, ZOE, HOUSE = "899900000001", "899900000002", "10B0000001"


def age(database: Database, holder: str, by: timedelta) -> None:
    """Let the rights of a holder be that old."""
    at = int((datetime.now(UTC) - by).strftime("%Y%m%d%H%M%S"))
    database.write(lambda connection: connection.execute(_AGE, {"whom": holder, "then": at}))


_AGE = sa.update(patient_right).where(patient_right.c.holder == sa.bindparam("whom")).values(at=sa.bindparam("then"))


def test_an_authorisation_is_valid_for_a_year_and_then_begins_again(database: Database) -> None:
    rights, patient = Rights(database), new_patient(database)
    holder = f"8{patient.partition('^')[0]}"
    assert rights.of_caller(patient, holder, "").authorisation is Authorisation.NONE
    assert rights.give(patient, Right.AUTHORISED, holder)
    assert rights.of_caller(patient, holder, "").authorisation is Authorisation.VALID
    age(database, holder, VALIDITY - timedelta(minutes=1))
    assert rights.of_caller(patient, holder, "").authorisation is Authorisation.VALID
    age(database, holder, VALIDITY + timedelta(minutes=1))
    assert rights.of_caller(patient, holder, "").authorisation is Authorisation.EXPIRED
    assert not rights.give(patient, Right.AUTHORISED, holder)  # known, and anew
    assert rights.of_caller(patient, holder, "").authorisation is Authorisation.VALID
    assert rights.take(patient, Right.AUTHORISED, holder) and not rights.take(patient, Right.AUTHORISED, holder)
    assert rights.of_caller(patient, holder, "").authorisation is Authorisation.NONE


def test_blocked_wins_over_authorised_and_is_taken_back(database: Database) -> None:
    rights, patient = Rights(database), new_patient(database)
    for right in (Right.AUTHORISED, Right.BLOCKED):
        rights.give(patient, right, HOUSE)
    assert rights.of_caller(patient, ANNE, HOUSE).structure is Authorisation.BLOCKED
    assert [one.state for one in rights.listed(patient) if one.right is Right.AUTHORISED] == ["INTERDIT"]
    rights.take(patient, Right.BLOCKED, HOUSE)
    assert rights.of_caller(patient, ANNE, HOUSE).structure is Authorisation.VALID
    assert rights.of_caller(patient, ANNE, HOUSE).authorisation is Authorisation.NONE


def test_each_right_is_read_for_its_holder_alone(database: Database) -> None:
    rights, patient = Rights(database), new_patient(database)
    rights.give(patient, Right.TREATING, ANNE)
    rights.give(patient, Right.REPRESENTATIVE, ZOE)
    rights.give(patient, Right.OPPOSED, "bris_de_glace")
    rights.give(patient, Right.MASKED_IN_EMERGENCY)
    anne, zoe = rights.of_caller(patient, ANNE, ""), rights.of_caller(patient, ZOE, "")
    assert (anne.treating, anne.represents, anne.authorisation) == (True, False, Authorisation.VALID)
    assert (zoe.treating, zoe.represents, zoe.authorisation) == (False, True, Authorisation.NONE)
    assert anne.opposed == {"bris_de_glace"} and anne.masked_allowed
    assert anne.identifiers == {patient} and len(anne.rows) == 1
    nobody = rights.of_caller(patient, "", "")
    assert not nobody.treating and not nobody.represents


def test_rights_follow_a_merge_and_blocked_wins(database: Database) -> None:
    rights, old, new = Rights(database), new_patient(database), new_patient(database)
    rights.give(old, Right.TREATING, ANNE)
    rights.give(old, Right.BLOCKED, ZOE)
    rights.give(new, Right.AUTHORISED, ZOE)
    IdentityFeed(database).merge(old, new)
    assert rights.of_caller(new, ANNE, "").treating
    assert rights.of_caller(new, ZOE, "").authorisation is Authorisation.BLOCKED
    assert rights.of_caller(old, ANNE, "").rows == ()  # a subsumed identifier names nobody
    assert rights.of_caller(new, ANNE, "").identifiers == {new}
    assert rights.take(new, Right.TREATING, ANNE)
    assert not rights.of_caller(new, ANNE, "").treating


class Counting:
    """A database that keeps the statements which are run on it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.run: list[object] = []

    @contextmanager
    def read(self) -> Iterator[Counting]:
        with self._database.read() as self._connection:
            yield self

    def execute(self, statement: sa.Executable, parameters: Mapping[str, Any]) -> list[Row]:
        self.run.append(statement)
        return self._connection.execute(statement, parameters)


def test_an_unknown_patient_costs_what_a_known_one_does(database: Database) -> None:
    """T39: nothing that is done before a refusal depends on whether the patient is known."""
    patient = new_patient(database)
    Rights(database).give(patient, Right.BLOCKED, ANNE)
    run = []
    for cx in (patient, new_patient(database), "nobody^^^&1.2.3&ISO"):
        counting = Counting(database)
        Rights(counting).of_caller(cx, ANNE, HOUSE)  # type: ignore[arg-type]
        run.append(counting.run)
    assert len(run[0]) == 1 and run[0] == run[1] == run[2]


def test_an_alias_is_the_same_record(database: Database) -> None:
    rights, first, second = Rights(database), new_patient(database), new_patient(database)
    IdentityFeed(database).join([first, second])
    rights.give(second, Right.AUTHORISED, ANNE)
    found = rights.of_caller(first, ANNE, "")
    assert found.authorisation is Authorisation.VALID and found.identifiers == {first, second}


def test_rights_are_changed_of_open_records_only(database: Database) -> None:
    rights, patient = Rights(database), new_patient(database)
    Records(database).close(patient)
    for change in (rights.give, rights.take):
        with pytest.raises(Refused, match="the record is closed"):
            change(patient, Right.AUTHORISED, ANNE)
    with pytest.raises(Refused):
        rights.give("nobody^^^&1.2.3&ISO", Right.AUTHORISED, ANNE)
    assert rights.of_caller("nobody^^^&1.2.3&ISO", ANNE, "").rows == ()
    assert Consents(database).of_patient(patient) == []


def test_a_destroyed_record_leaves_no_rights_and_no_writers(database: Database) -> None:
    rights, patient = Rights(database), new_patient(database)
    rights.give(patient, Right.AUTHORISED, ANNE)
    rows = list(rights.of_caller(patient, ANNE, "").rows)
    outcome = RegisterDocumentSet(database, CodeBook()).register(documents(patient, "Document01"))
    lid = uuid_bytes(outcome.ids["Document01"])
    written = {"lid": lid, "role": int(Writer.PERSON), "who": ANNE}
    database.write(lambda connection: connection.execute_many(_WRITE, [written]))

    def writers() -> list[object]:
        with database.read() as connection:
            return list(connection.execute(_WRITERS, {"one": lid}))

    assert len(writers()) == 1
    database.write(lambda connection: delete_rows(connection, rows))
    assert rights.listed(patient) == [] and writers() == []


_WRITE = sa.insert(entry_writer)
_WRITERS = sa.select(entry_writer.c.who).where(entry_writer.c.lid == sa.bindparam("one"))
