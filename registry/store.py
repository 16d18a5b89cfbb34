"""The plan of a submission as rows: everything in one transaction, or nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from metadata import schemes
from metadata.model import Author, Code, DocumentEntry, Folder, SubmissionSet
from metadata.vocabulary import AvailabilityStatus
from registry import changes, fragments
from registry.codes import CodeKey
from registry.facts import Location, SqlFacts
from registry.identifiers import uuid_bytes
from registry.plan import FIRST, NewAssociation, Plan, Version
from registry.tables import (
    REPOSITORY_SCHEME,
    EntryType,
    Kind,
    association,
    document_entry,
    folder,
    new_ids,
    object_locator,
    padded_time,
    submission_set,
    unique_id_key,
    unique_identifier,
)
from storage.database import Connection

Values = dict[str, Any]

_APPROVED = AvailabilityStatus.APPROVED.db

_INSERT_ENTRY = sa.insert(document_entry)
_INSERT_SET = sa.insert(submission_set)
_INSERT_FOLDER = sa.insert(folder)
_INSERT_ASSOCIATION = sa.insert(association)
_INSERT_OBJECT = sa.insert(object_locator)
_INSERT_UNIQUE_ID = sa.insert(unique_identifier)


# ------------------------------------------------------------------------------------------------------------ coded values


def _single(code: Code | None) -> list[CodeKey]:
    return [(code.code, code.scheme)] if code else []


def codes_of(plan: Plan) -> set[CodeKey]:
    """Every value of the plan that is stored as an interned number."""
    keys: set[CodeKey] = set(_single(plan.submissionSet.contentTypeCode))
    for entry in plan.documentEntries:
        for coded in (
            entry.classCode,
            entry.typeCode,
            entry.formatCode,
            entry.healthcareFacilityTypeCode,
            entry.practiceSettingCode,
            *entry.confidentialityCode,
            *entry.eventCodeList,
        ):
            keys.update(_single(coded))
        if entry.repositoryUniqueId:
            keys.add((entry.repositoryUniqueId, REPOSITORY_SCHEME))
    for one in plan.folders:
        keys.update((c.code, c.scheme) for c in one.codeList)
    return keys


def _number(code: Code | None, ids: Mapping[CodeKey, int]) -> int | None:
    return ids[(code.code, code.scheme)] if code else None


def _numbers(codes: Sequence[Code], ids: Mapping[CodeKey, int]) -> str | None:
    """`,12,15,`; NULL for none."""
    return f",{','.join(str(ids[(c.code, c.scheme)]) for c in codes)}," if codes else None


def _texts(values: Iterable[str]) -> str | None:
    """A JSON array of strings; NULL for none."""
    listed = list(values)
    return json.dumps(listed, ensure_ascii=False, separators=(",", ":")) if listed else None


def _persons(authors: Sequence[Author]) -> str | None:
    return _texts(person for author in authors for person in author.authorPerson)


# -------------------------------------------------------------------------------------------------------------------- rows


def _entry_row(
    entry: DocumentEntry, uuid: str, at: Location, ids: Mapping[CodeKey, int], version: Version = FIRST
) -> Values:
    return {
        "patient": at[0],
        "id": at[1],
        "uuid": uuid_bytes(uuid),
        "lid": uuid_bytes(version.logicalID),
        "version": version.number,
        "status": version.status.db,
        "kind": EntryType.ON_DEMAND.value if entry.objectType == schemes.ON_DEMAND else EntryType.STABLE.value,
        "class_code": _number(entry.classCode, ids),
        "type_code": _number(entry.typeCode, ids),
        "format_code": _number(entry.formatCode, ids),
        "facility_code": _number(entry.healthcareFacilityTypeCode, ids),
        "practice_code": _number(entry.practiceSettingCode, ids),
        "creation_time": padded_time(entry.creationTime),
        "service_start": padded_time(entry.serviceStartTime),
        "service_stop": padded_time(entry.serviceStopTime),
        "confidentiality_codes": _numbers(entry.confidentialityCode, ids),
        "event_codes": _numbers(entry.eventCodeList, ids),
        "author_persons": _persons(entry.author),
        "reference_ids": _texts(entry.referenceIdList),
        "title": entry.title,
        "offline": 1 if entry.documentAvailability == schemes.DOCUMENT_AVAILABILITY_OFFLINE else None,
        "home": entry.homeCommunityId,
        "hash": bytes.fromhex(entry.hash) if entry.hash else None,
        "size": int(entry.size) if entry.size else None,
        "repository": ids[(entry.repositoryUniqueId, REPOSITORY_SCHEME)] if entry.repositoryUniqueId else None,
        "unique_id": entry.uniqueId,
        "fragment": fragments.entry_fragment(entry, uuid, version),
    }


def _set_row(one: SubmissionSet, uuid: str, at: Location, ids: Mapping[CodeKey, int]) -> Values:
    return {
        "patient": at[0],
        "id": at[1],
        "uuid": uuid_bytes(uuid),
        "status": _APPROVED,
        "source_id": one.sourceId,
        "submission_time": padded_time(one.submissionTime),
        "content_type_code": _number(one.contentTypeCode, ids),
        "author_persons": _persons(one.author),
        "home": one.homeCommunityId,
        "unique_id": one.uniqueId,
        "fragment": fragments.set_fragment(one, uuid),
    }


def _folder_row(
    one: Folder, uuid: str, at: Location, ids: Mapping[CodeKey, int], now: str, version: Version = FIRST
) -> Values:
    return {
        "patient": at[0],
        "id": at[1],
        "uuid": uuid_bytes(uuid),
        "lid": uuid_bytes(version.logicalID),
        "version": version.number,
        "status": version.status.db,
        "last_update": int(now),
        "codes": _numbers(one.codeList, ids),
        "home": one.homeCommunityId,
        "unique_id": one.uniqueId,
        "fragment": fragments.folder_fragment(one, uuid, now, version),
    }


def _association_row(link: NewAssociation, at: Location, mirror: bool, fragment: bytes | None) -> Values:
    return {
        "patient": at[0],
        "id": at[1],
        "uuid": uuid_bytes(link.uuid),
        "type": link.type.db,
        "source": uuid_bytes(link.source),
        "target": uuid_bytes(link.target),
        "status": link.status.db,
        "label": link.label.value if link.label else None,
        "mirror": int(mirror),
        "fragment": fragment,
    }


class _Rows:
    """The rows of one plan, gathered by table."""

    def __init__(self, plan: Plan, facts: SqlFacts, ids: Mapping[CodeKey, int]) -> None:
        self.plan, self.facts, self.code_ids = plan, facts, ids
        self.entries: list[Values] = []
        self.folders: list[Values] = []
        self.associations: list[Values] = []
        self.objects: list[Values] = []
        self.unique_ids: list[Values] = []
        self.places: dict[str, int] = {}  # entryUUID of a new object -> patient row
        count = 1 + len(plan.documentEntries) + len(plan.folders) + len(plan.associations)
        self._next = iter(new_ids(count))
        self.set = self._submission_set()
        self._entries()
        self._folders()
        for link in plan.associations:  # first all places, then the ends: a HasMember may point at a later association
            self.places[link.uuid] = self._patient_of(link.source)
        for link in plan.associations:
            self._association(link)

    def _place(self, kind: Kind, uuid: str, patient: int) -> Location:
        at = (patient, next(self._next))
        self.places[uuid] = patient
        self.objects.append({"uuid": uuid_bytes(uuid), "patient": patient, "kind": int(kind), "id": at[1]})
        return at

    def _identify(self, kind: Kind, unique_id: str | None, at: Location, shared: bool = False) -> None:
        if unique_id:
            turn = at[1] if shared else 0
            row = {"digest": unique_id_key(unique_id), "turn": turn, "kind": int(kind), "patient": at[0], "id": at[1]}
            self.unique_ids.append(row)

    def _submission_set(self) -> Values:
        one = self.plan.submissionSet
        uuid = self.plan.ids[one.entryUUID]
        at = self._place(Kind.SUBMISSION_SET, uuid, self.facts.row_of(one.patientId))
        self._identify(Kind.SUBMISSION_SET, one.uniqueId, at)
        return _set_row(one, uuid, at, self.code_ids)

    def _entries(self) -> None:
        for entry in self.plan.documentEntries:
            uuid = self.plan.ids[entry.entryUUID]
            at = self._place(Kind.DOCUMENT_ENTRY, uuid, self.facts.row_of(entry.patientId))
            self._identify(Kind.DOCUMENT_ENTRY, entry.uniqueId, at, shared=True)
            self.entries.append(_entry_row(entry, uuid, at, self.code_ids, self._version(entry)))

    def _folders(self) -> None:
        for one in self.plan.folders:
            uuid = self.plan.ids[one.entryUUID]
            at = self._place(Kind.FOLDER, uuid, self.facts.row_of(one.patientId))
            version = self._version(one)
            self._identify(Kind.FOLDER, one.uniqueId, at, shared=version.number > 1)
            self.folders.append(_folder_row(one, uuid, at, self.code_ids, self.plan.now, version))

    def _version(self, one: DocumentEntry | Folder) -> Version:
        return self.plan.versions.get(one.entryUUID, FIRST)

    def _patient_of(self, uuid: str) -> int:
        place = self.places.get(uuid)
        return self.facts.location(uuid)[0] if place is None else place

    def _association(self, link: NewAssociation) -> None:
        at = self._place(Kind.ASSOCIATION, link.uuid, self.places[link.uuid])
        fragment = fragments.association_fragment(link)
        self.associations.append(_association_row(link, at, False, fragment))
        other = self._patient_of(link.target)
        if other != at[0]:
            self.associations.append(_association_row(link, (other, at[1]), True, fragment))


# ------------------------------------------------------------------------------------------------------------------- write


def write(connection: Connection, plan: Plan, facts: SqlFacts, ids: Mapping[CodeKey, int]) -> None:
    """Insert and update everything the plan says. UniqueViolation on a race that the facts could not see."""
    rows = _Rows(plan, facts, ids)
    connection.execute_many(_INSERT_OBJECT, rows.objects)
    connection.execute_many(_INSERT_UNIQUE_ID, rows.unique_ids)
    connection.execute_many(_INSERT_SET, [rows.set])
    for statement, values in (
        (_INSERT_ENTRY, rows.entries),
        (_INSERT_FOLDER, rows.folders),
        (_INSERT_ASSOCIATION, rows.associations),
    ):
        if values:
            connection.execute_many(statement, values)
    statuses = [*((e, AvailabilityStatus.DEPRECATED) for e in plan.deprecated), *plan.statuses]
    if statuses:
        changes.set_statuses(connection, facts, statuses)
    if plan.touched:
        changes.touch(connection, [facts.location(e.entryUUID) for e in plan.touched], plan.now)
