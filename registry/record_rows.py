"""The registry's rows of one record as plain data, and back: what an archive of a record carries.

Numbers that mean something in this store only are told in full: patients by their place in the list of identifiers, coded values
as code and scheme. Fragments are ebRIM text. Everything else is the column of `registry/tables.py` of that name, digests and
UUIDs in hex, absent values left out. Ids are kept, and identifiers come back in their order: equal queries give equal bytes on
both sides.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from metadata.demographics import of_json, to_json
from registry import patients
from registry.codes import CodeBook, CodeKey
from registry.demographics import read_demographics
from registry.fragments import pack_foreign, unpack
from registry.patients import Patient
from registry.record import refusal
from registry.rights import Right, Writer
from registry.search_sql import TABLES
from registry.tables import (
    REPOSITORY_SCHEME,
    Kind,
    PatientState,
    entry_writer,
    object_locator,
    patient,
    patient_demographics,
    patient_right,
    record_event,
    removed,
    unique_id_key,
    unique_identifier,
)
from storage.database import Connection, in_list
from storage.statement import insert_or_ignore

Item = dict[str, Any]

_CODES = frozenset("class_code type_code format_code facility_code practice_code content_type_code".split())
_CODE_LISTS = frozenset("confidentiality_codes event_codes codes".split())
_BINARY = frozenset("uuid lid source target hash".split())

_ROWS = {kind: sa.select(t).where(in_list(t.c.patient, "ids")).order_by(t.c.patient, t.c.id) for kind, t in TABLES.items()}
_INSERT = {kind: sa.insert(table) for kind, table in TABLES.items()}
_DELETE = [
    sa.delete(table).where(in_list(table.c.patient, "ids"))
    for table in (*TABLES.values(), object_locator, unique_identifier, removed, patient_right, patient_demographics)
]
_COUNT = {
    kind: sa.select(sa.func.count(sa.distinct(t.c.uuid))).where(in_list(t.c.patient, "ids")) for kind, t in TABLES.items()
}
_entries, _links = TABLES[Kind.DOCUMENT_ENTRY], TABLES[Kind.ASSOCIATION]
_LIDS = sa.select(sa.func.coalesce(_entries.c.lid, _entries.c.uuid)).where(in_list(_entries.c.patient, "ids"))
_RIGHTS = (
    sa.select(patient_right.c.kind, patient_right.c.holder, sa.func.max(patient_right.c.at))
    .where(in_list(patient_right.c.patient, "ids"))
    .group_by(patient_right.c.kind, patient_right.c.holder)
    .order_by(patient_right.c.kind, patient_right.c.holder)
)
_WRITERS = (
    sa.select(entry_writer.c.lid, entry_writer.c.role, entry_writer.c.who)
    .where(in_list(entry_writer.c.lid, "lids"))
    .order_by(entry_writer.c.lid, entry_writer.c.role, entry_writer.c.who)
)
_INSERT_RIGHT, _INSERT_WRITER = insert_or_ignore(patient_right), insert_or_ignore(entry_writer)
_INSERT_PERSON = insert_or_ignore(patient_demographics)
_DELETE_WRITERS = sa.delete(entry_writer).where(in_list(entry_writer.c.lid, "lids"))
_LINKS = sa.select(_links.c.uuid).where(in_list(_links.c.patient, "ids"))
_DELETE_LINKS = sa.delete(_links).where(in_list(_links.c.uuid, "uuids"))
_DELETE_LINK_LOCATORS = sa.delete(object_locator).where(in_list(object_locator.c.uuid, "uuids"))
_IDENTIFIED = (in_list(_entries.c.patient, "ids"), _entries.c.unique_id.is_not(None))
_UNIQUE_IDS = sa.select(_entries.c.unique_id).where(*_IDENTIFIED).distinct()
_DESCRIBED = sa.select(unique_identifier.c.digest, unique_identifier.c.patient).where(
    in_list(unique_identifier.c.digest, "digests")
)
_SECURE_ON, _SECURE_OFF = sa.text("PRAGMA secure_delete=ON"), sa.text("PRAGMA secure_delete=OFF")
_INSERT_LOCATOR, _INSERT_IDENTIFIER = sa.insert(object_locator), sa.insert(unique_identifier)
_INSERT_PATIENT = sa.insert(patient).values(
    {name: sa.bindparam(name) for name in ("cx", "cluster", "state", "created")}
)
_SET_CLUSTER = sa.update(patient).where(patient.c.cx == sa.bindparam("name")).values(cluster=sa.bindparam("new"))
_DELETE_PATIENT = sa.delete(patient).where(in_list(patient.c.id, "ids"))
_INSERT_EVENT = sa.insert(record_event).values(
    {name: sa.bindparam(name) for name in ("patient", "at", "event", "detail")}
)
_EVENTS = sa.select(record_event).where(in_list(record_event.c.patient, "ids")).order_by(record_event.c.id)


def read_rows(connection: Connection, codes: CodeBook, one: Patient) -> Item:
    """Everything the registry holds of the person: `identifiers`, `objects`, `events`, `rights`, `writers`, `demographics`."""
    members = patients.cluster_of(connection, one.cluster)
    places = {member.id: place for place, member in enumerate(members)}
    ids = {"ids": list(places)}
    identifiers = [
        {"cx": m.cx, "state": m.state.name.lower(), "created": m.created, **({"stands": True} if m.id == m.cluster else {})}
        for m in members
    ]
    objects = [
        _told(connection, codes, kind, row, places) for kind in TABLES for row in connection.execute(_ROWS[kind], ids)
    ]
    told = connection.execute(_EVENTS, ids)
    events = [{"at": str(at), "event": event, "detail": json.loads(detail)} for _, _, at, event, detail in told]
    given = connection.execute(_RIGHTS, ids)
    lids = [lid for (lid,) in connection.execute(_LIDS, ids)]
    wrote = connection.execute(_WRITERS, {"lids": list(dict.fromkeys(lids))})
    return {
        "identifiers": identifiers,
        "objects": objects,
        "events": events,
        "rights": [{"right": Right(kind).name.lower(), "holder": holder, "at": str(at)} for kind, holder, at in given],
        "writers": [{"lid": bytes(lid).hex(), "role": Writer(role).name.lower(), "who": who} for lid, role, who in wrote],
        "demographics": json.loads(to_json(read_demographics(connection, one))),
    }


def _told(connection: Connection, codes: CodeBook, kind: Kind, row: Sequence[Any], places: Mapping[int, int]) -> Item:
    item: Item = {"object": kind.name.lower()}
    for column, value in zip(TABLES[kind].columns.keys(), row, strict=True):
        if value is None:
            continue
        if column == "patient":
            item[column] = places[value]
        elif column == "repository":
            item[column] = codes.key(connection, value)[0]
        elif column in _CODES:
            item[column] = codes.key(connection, value)
        elif column in _CODE_LISTS:
            item[column] = [codes.key(connection, int(number)) for number in value.split(",") if number]
        elif column == "fragment":
            item["ebrim"] = unpack(value).decode()
        else:
            item[column] = value.hex() if column in _BINARY else value
    return item


def write_rows(connection: Connection, codes: CodeBook, content: Item) -> Mapping[CodeKey, int]:
    """The reverse, in the caller's transaction. Returns the codes to remember after the commit.

    Raises Refused where an identifier is known here and not empty, `storage.errors.UniqueViolation` where an object is.
    """
    numbers = _write_patients(connection, content["identifiers"])
    keys = {key for item in content["objects"] for key in _keys_of(item)}
    ids, fresh = codes.interned(connection, keys)
    for kind, table in TABLES.items():
        rows = [_row(table, item, numbers, ids) for item in content["objects"] if item["object"] == kind.name.lower()]
        if rows:
            connection.execute_many(_INSERT[kind], rows)
        own = [row for row in rows if not row.get("mirror")]
        connection.execute_many(
            _INSERT_LOCATOR, [{"uuid": r["uuid"], "patient": r["patient"], "kind": int(kind), "id": r["id"]} for r in own]
        )
        connection.execute_many(_INSERT_IDENTIFIER, [_identifier(kind, row) for row in own if row.get("unique_id")])
    root = next(n for item, n in zip(content["identifiers"], numbers, strict=True) if item.get("stands"))
    events = [(int(e["at"]), e["event"], json.dumps(e["detail"])) for e in content["events"]]
    told = [{"patient": root, "at": at, "event": event, "detail": detail} for at, event, detail in events]
    connection.execute_many(_INSERT_EVENT, told)
    given = [(int(Right[one["right"].upper()]), one["holder"], int(one["at"])) for one in content.get("rights", ())]
    connection.execute_many(
        _INSERT_RIGHT, [{"patient": root, "kind": kind, "holder": holder, "at": at} for kind, holder, at in given]
    )
    wrote = [(bytes.fromhex(one["lid"]), int(Writer[one["role"].upper()]), one["who"]) for one in content.get("writers", ())]
    connection.execute_many(_INSERT_WRITER, [{"lid": lid, "role": role, "who": who} for lid, role, who in wrote])
    person = to_json(of_json(json.dumps(content.get("demographics", {}))))
    connection.execute_many(_INSERT_PERSON, [{"patient": root, "content": person}])
    return fresh


def delete_rows(connection: Connection, ids: Sequence[int]) -> dict[str, int]:
    """Delete every object of these patient rows, and the Associations of others that lead to them. Returns how many of each kind.

    The identifiers and the events stay. On SQLite the freed pages are overwritten.
    """
    counts = {kind.name.lower(): connection.execute(_COUNT[kind], {"ids": ids})[0][0] for kind in TABLES}
    lids = [lid for (lid,) in connection.execute(_LIDS, {"ids": ids})]
    sqlite = connection.dialect == "sqlite"
    if sqlite:
        connection.execute(_SECURE_ON)
    links = [uuid for (uuid,) in connection.execute(_LINKS, {"ids": ids})]
    connection.execute(_DELETE_LINKS, {"uuids": links})
    connection.execute(_DELETE_LINK_LOCATORS, {"uuids": links})
    connection.execute(_DELETE_WRITERS, {"lids": lids})
    for statement in _DELETE:
        connection.execute(statement, {"ids": ids})
    if sqlite:
        connection.execute(_SECURE_OFF)
    return counts


def unique_ids_of(connection: Connection, ids: Sequence[int]) -> tuple[list[str], set[str]]:
    """The uniqueIds of the stable documents of these patient rows; and those of them that other records describe as well."""
    own = [unique_id for (unique_id,) in connection.execute(_UNIQUE_IDS, {"ids": ids})]
    digests = {unique_id_key(one): one for one in own}
    shared: set[str] = set()
    for start in range(0, len(own), 500):
        asked = list(digests)[start : start + 500]
        rows = connection.execute(_DESCRIBED, {"digests": asked})
        shared |= {digests[digest] for digest, number in rows if number not in ids}
    return own, shared


def _write_patients(connection: Connection, identifiers: Sequence[Item]) -> list[int]:
    """The identifiers in their order, as one person. Returns the ids of their rows."""
    cxs = [item["cx"] for item in identifiers]
    known = patients.lock(connection, cxs)
    for one in known.values():
        members = {m.cx for m in patients.cluster_of(connection, one.cluster)}
        filled = any(connection.execute(_ROWS[kind], {"ids": [one.id]}) for kind in TABLES)
        if filled or members - set(cxs) or one.cluster_state is not PatientState.ACTIVE:
            remedy = "Export from the one and import into a server that does not know the patient."
            raise refusal("REC-007", "the patient has a record here already", remedy, one.cx)
    if known:
        connection.execute(_DELETE_PATIENT, {"ids": [one.id for one in known.values()]})
    for item in identifiers:  # one at a time: the ids must grow in this order
        state = int(PatientState[item["state"].upper()])
        values = {"cx": item["cx"], "cluster": 0, "state": state, "created": int(item["created"])}
        connection.execute_many(_INSERT_PATIENT, [values])
    # Until now each row is a cluster of nobody: their numbers are asked for without the join of `patients.find`.
    numbers = {cx: number for number, cx in connection.execute(_NUMBERS, {"cxs": cxs})}
    root = numbers[next(item["cx"] for item in identifiers if item.get("stands"))]
    connection.execute_many(_SET_CLUSTER, [{"name": cx, "new": root} for cx in cxs])
    return [numbers[cx] for cx in cxs]


_NUMBERS = sa.select(patient.c.id, patient.c.cx).where(in_list(patient.c.cx, "cxs"))


def _keys_of(item: Item) -> Iterator[CodeKey]:
    for column, value in item.items():
        if column in _CODES:
            yield value[0], value[1]
        elif column in _CODE_LISTS:
            yield from ((code, scheme) for code, scheme in value)
        elif column == "repository":
            yield value, REPOSITORY_SCHEME


def _row(table: sa.Table, item: Item, numbers: Sequence[int], ids: Mapping[CodeKey, int]) -> Item:
    row: Item = dict.fromkeys(table.columns.keys())
    for column, value in item.items():
        if column == "patient":
            row[column] = numbers[value]
        elif column == "repository":
            row[column] = ids[value, REPOSITORY_SCHEME]
        elif column in _CODES:
            row[column] = ids[value[0], value[1]]
        elif column in _CODE_LISTS:
            row[column] = "".join(f",{ids[code, scheme]}" for code, scheme in value) + ","
        elif column == "ebrim":
            row["fragment"] = pack_foreign(value.encode())
        elif column != "object":
            row[column] = bytes.fromhex(value) if column in _BINARY else value
    return row


def _identifier(kind: Kind, row: Item) -> Item:
    turn = row["id"] if kind is Kind.DOCUMENT_ENTRY else 0
    digest = unique_id_key(row["unique_id"])
    return {"digest": digest, "turn": turn, "kind": int(kind), "patient": row["patient"], "id": row["id"]}
