"""Who the patient of a record is: kept beside its identifiers, changed by the services of the DMP, gone with the record."""

from __future__ import annotations

import sqlalchemy as sa

from metadata.demographics import Demographics, of_json, to_json
from registry import patients
from registry.patients import Patient
from registry.tables import patient_demographics
from storage.database import Connection, Database, in_list

_kept = patient_demographics.c
_READ = sa.select(_kept.patient, _kept.content).where(in_list(_kept.patient, "rows")).order_by(_kept.patient)
_DELETE = sa.delete(patient_demographics).where(in_list(_kept.patient, "rows"))
_INSERT = sa.insert(patient_demographics).values({name: sa.bindparam(name) for name in ("patient", "content")})


def read_demographics(connection: Connection, one: Patient) -> Demographics:
    """What is kept of the person: after a merge that of the surviving identifier, else of the one known longest."""
    rows = [member.id for member in patients.cluster_of(connection, one.cluster)]
    kept = [(number != one.cluster, number, content) for number, content in connection.execute(_READ, {"rows": rows})]
    return of_json(min(kept)[2]) if kept else Demographics()


def of_patient(database: Database, one: Patient) -> Demographics | None:
    """What is kept of the person; None where nothing is."""
    with database.snapshot() as connection:
        person = read_demographics(connection, one)
    return None if person == Demographics() else person


def write_demographics(connection: Connection, one: Patient, person: Demographics) -> None:
    """This is who the person is from now on."""
    connection.execute(_DELETE, {"rows": [member.id for member in patients.cluster_of(connection, one.cluster)]})
    connection.execute_many(_INSERT, [{"patient": one.cluster, "content": to_json(person)}])
