"""A model world written into a real store, row by row, and stored queries asked of it."""

from __future__ import annotations

import json
from collections.abc import Iterable

import sqlalchemy as sa

from metadata.queries import CodeValue, StoredQuery, Value
from metadata.query_table import QUERIES, ParameterType
from metadata.vocabulary import ASSOCIATION_BY_URN, STATUS_BY_URN
from registry.identifiers import uuid_bytes
from registry.tables import (
    EntryType,
    Kind,
    Label,
    PatientState,
    association,
    code,
    document_entry,
    folder,
    object_locator,
    padded_time,
    patient,
    submission_set,
    unique_id_key,
    unique_identifier,
)
from storage.database import Connection, Database
from tests.registry.search_model import OFFLINE, ON_DEMAND, ModelEntry, ModelFolder, ModelSet, Slots, World
from tests.registry.search_worlds import CODES

TABLES = (association, document_entry, folder, submission_set, object_locator, unique_identifier, code, patient)
_DELETE = [sa.delete(table) for table in TABLES]
_INSERT = {table.name: sa.insert(table) for table in TABLES}
CODE_IDS = {value: number for number, value in enumerate(CODES, start=11)}
_DEFINITIONS = {query.name: query for query in QUERIES}


def fill(database: Database, world: World) -> None:
    """Replace everything in the store by the world. Codes have the same numbers in every world."""

    def work(connection: Connection) -> None:
        for statement in _DELETE:
            connection.execute(statement)
        for table, rows in _rows(world).items():
            connection.execute_many(_INSERT[table], rows)

    database.write(work)


def _key(uuid: str) -> bytes:
    key = uuid_bytes(uuid)
    assert key is not None
    return key


def _rows(world: World) -> dict[str, list[dict[str, object]]]:
    rows: dict[str, list[dict[str, object]]] = {name: [] for name in ("patient", "code", "document_entry", "submission_set")}
    rows |= {name: [] for name in ("folder", "association", "object", "unique_identifier")}
    for number, person in enumerate(world.patients, start=1):
        state = PatientState.SUBSUMED if not person.alive else PatientState.ACTIVE if person.head else PatientState.ALIAS
        row = {"id": number, "cx": person.cx, "cluster": person.cluster + 1, "state": int(state), "created": 20240101000000}
        rows["patient"].append(row)
    for value, n in CODE_IDS.items():
        text, scheme = value.split("^^")
        rows["code"].append({"id": n, "code": text, "scheme": scheme})
    places: dict[str, int] = {}
    number = 100
    items: list[ModelEntry | ModelSet | ModelFolder] = [*world.entries, *world.sets, *world.folders]
    for item in items:
        number += 1
        places[item.uuid] = item.patient + 1
        table, kind, row = _object_row(item)
        key = {"patient": item.patient + 1, "id": number}
        rows[table].append({**key, "uuid": _key(item.uuid), "unique_id": item.uniqueId, "home": None, "fragment": b"x", **row})
        rows["object"].append({**key, "uuid": _key(item.uuid), "kind": int(kind)})
        turn = number if not isinstance(item, ModelSet) else 0
        rows["unique_identifier"].append({**key, "digest": unique_id_key(item.uniqueId), "turn": turn, "kind": int(kind)})
    for link in world.associations:
        number += 1
        first, second = places[link.source], places[link.target]
        places[link.uuid] = first
        for place, mirror in [(first, 0)] + ([(second, 1)] if second != first else []):
            rows["association"].append(
                {
                    "patient": place,
                    "id": number,
                    "uuid": _key(link.uuid),
                    "type": ASSOCIATION_BY_URN[link.type].db,
                    "source": _key(link.source),
                    "target": _key(link.target),
                    "status": STATUS_BY_URN[link.status].db,
                    "label": int(Label[link.label.upper()]) if link.label else None,
                    "mirror": mirror,
                    "fragment": None,
                }
            )
        rows["object"].append({"uuid": _key(link.uuid), "patient": first, "kind": int(Kind.ASSOCIATION), "id": number})
    return rows


def _many(values: Iterable[str]) -> str | None:
    ids = [str(CODE_IDS[v]) for v in values]
    return f",{','.join(ids)}," if ids else None


def _array(values: list[str]) -> str | None:
    return json.dumps(values, ensure_ascii=False) if values else None


def _object_row(item: ModelEntry | ModelSet | ModelFolder) -> tuple[str, Kind, dict[str, object]]:
    status = STATUS_BY_URN[item.status].db
    if isinstance(item, ModelSet):
        return "submission_set", Kind.SUBMISSION_SET, {
            "status": status,
            "source_id": item.sourceId,
            "submission_time": padded_time(item.submissionTime),
            "content_type_code": CODE_IDS.get(item.contentType),
            "author_persons": _array(item.authors),
        }  # fmt: skip
    version = {"status": status, "version": item.version, "lid": None if item.lid == item.uuid else _key(item.lid)}
    if isinstance(item, ModelFolder):
        return "folder", Kind.FOLDER, {**version, "last_update": padded_time(item.lastUpdate), "codes": _many(item.codes)}
    return "document_entry", Kind.DOCUMENT_ENTRY, {
        **version,
        "kind": int(EntryType.ON_DEMAND if item.type == ON_DEMAND else EntryType.STABLE),
        "class_code": CODE_IDS.get(item.classCode),
        "type_code": CODE_IDS.get(item.typeCode),
        "format_code": CODE_IDS.get(item.formatCode),
        "facility_code": CODE_IDS.get(item.facility),
        "practice_code": CODE_IDS.get(item.practice),
        "creation_time": padded_time(item.creation),
        "service_start": padded_time(item.start),
        "service_stop": padded_time(item.stop),
        "confidentiality_codes": _many(item.confidentiality),
        "event_codes": _many(item.events),
        "author_persons": _array(item.authors),
        "reference_ids": _array(item.references),
        "offline": 1 if item.availability == OFFLINE else None,
        "title": item.title or None,
        "hash": None,
        "size": None,
        "repository": None,
    }  # fmt: skip


def stored_query(name: str, slots: Slots) -> StoredQuery:
    """The understood form of a request, without its textual form."""
    definition = _DEFINITIONS[name]

    def value(kind: ParameterType, text: str) -> Value:
        if kind is ParameterType.CODE:
            return CodeValue(*text.split("^^"))
        if kind is ParameterType.TIME:
            return padded_time(text) or 0
        return int(text) if kind is ParameterType.NUMBER else text

    read: dict[str, tuple[tuple[Value, ...], ...]] = {}
    for slot, clauses in slots.items():
        if slot in definition.by_name:
            kind = definition.by_name[slot].type
            read[slot] = tuple(tuple(value(kind, text) for text in clause) for clause in clauses)
    return StoredQuery(definition, read)
