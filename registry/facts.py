"""What the rules and the plan of a submission may ask of the registry's state, answered by SQL.

`SqlFacts.load` reads everything a submission refers to in a bounded number of statements, whatever its size: the patients
(locked on PostgreSQL, so that two submissions about one person follow each other), the objects it names by entryUUID, those
that carry one of its uniqueIds, and the Folders of what it replaces. A question about anything else is asked when it comes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence, Set
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from metadata import schemes
from metadata.datatypes import canonical_cx
from metadata.fragments import parse_fragment
from metadata.model import DocumentEntry, Folder, Submission, SubmissionSet
from metadata.rules.rule import Existing, Linked
from metadata.update import versioned_objects
from metadata.vocabulary import ASSOCIATION_BY_URN, AssociationType, AvailabilityStatus, ObjectKind
from registry import fragments, links, patients
from registry.codes import CodeBook
from registry.identifiers import uuid_bytes, uuid_text
from registry.patients import Patient
from registry.tables import (
    OBJECT_KIND,
    EntryType,
    Kind,
    PatientState,
    association,
    document_entry,
    folder,
    object_locator,
    submission_set,
    unique_id_key,
    unique_identifier,
)
from storage.database import Connection, Row, in_list

if TYPE_CHECKING:
    from registry.rights_acting import Acting

#: Where an object stands: its patient's row and its id.
Location = tuple[int, int]

_STATUS = {s.db: s.urn for s in AvailabilityStatus}
_TYPE = {t.db: t.urn for t in AssociationType}
_OBJECT_TYPE = {EntryType.STABLE.value: schemes.STABLE, EntryType.ON_DEMAND.value: schemes.ON_DEMAND}

_APPROVED = AvailabilityStatus.APPROVED.db
_HAS_MEMBER = AssociationType.HAS_MEMBER.db

# ------------------------------------------------------------------------------------------------------------ statements

_LOCATE = sa.select(object_locator.c.kind, object_locator.c.patient, object_locator.c.id).where(
    in_list(object_locator.c.uuid, "uuids")
)
_BY_UNIQUE_ID = sa.select(unique_identifier.c.kind, unique_identifier.c.patient, unique_identifier.c.id).where(
    in_list(unique_identifier.c.digest, "digests")
)
#: Whoever brings one of these uniqueIds waits for the other who does: uniqueness holds across patients and processes.
_LOCK_UNIQUE_IDS = sa.text("SELECT pg_advisory_xact_lock(k) FROM unnest(CAST(:keys AS bigint[])) AS k")

_ENTRY = document_entry.c
_ENTRY_COLUMNS = (
    _ENTRY.patient, _ENTRY.id, _ENTRY.uuid, _ENTRY.status, _ENTRY.unique_id, _ENTRY.lid, _ENTRY.version,
    _ENTRY.kind, _ENTRY.hash, _ENTRY.size, _ENTRY.repository,
)  # fmt: skip
_FOLDER_COLUMNS = (
    folder.c.patient, folder.c.id, folder.c.uuid, folder.c.status, folder.c.unique_id, folder.c.lid, folder.c.version,
)  # fmt: skip
_SET_COLUMNS = (
    submission_set.c.patient, submission_set.c.id, submission_set.c.uuid, submission_set.c.status,
    submission_set.c.unique_id, submission_set.c.source_id,
)  # fmt: skip
_ASSOCIATION_COLUMNS = (
    association.c.patient, association.c.id, association.c.uuid, association.c.status,
    association.c.type, association.c.source, association.c.target,
)  # fmt: skip


def _by_location(table: sa.Table, columns: Sequence[sa.Column[Any]]) -> sa.Select[Any]:
    return sa.select(*columns).where(in_list(table.c.patient, "patients"), in_list(table.c.id, "ids"))


_FRAGMENT = _by_location(document_entry, (_ENTRY.fragment,))
_LOAD = {
    Kind.DOCUMENT_ENTRY: _by_location(document_entry, _ENTRY_COLUMNS),
    Kind.SUBMISSION_SET: _by_location(submission_set, _SET_COLUMNS),
    Kind.FOLDER: _by_location(folder, _FOLDER_COLUMNS),
    Kind.ASSOCIATION: _by_location(association, _ASSOCIATION_COLUMNS),
}

_member = object_locator.alias("member")
_container = object_locator.alias("container")
_FOLDERS_OF = (
    sa.select(_member.c.uuid, *_FOLDER_COLUMNS)
    .select_from(
        _member.join(association, sa.and_(association.c.patient == _member.c.patient, association.c.target == _member.c.uuid))
        .join(_container, _container.c.uuid == association.c.source)
        .join(folder, sa.and_(folder.c.patient == _container.c.patient, folder.c.id == _container.c.id))
    )
    .where(
        in_list(_member.c.uuid, "uuids"),
        association.c.type == _HAS_MEMBER,
        association.c.status == _APPROVED,
        _container.c.kind == int(Kind.FOLDER),
        folder.c.status == _APPROVED,
    )
    .order_by(folder.c.id)
)


def _dependents() -> sa.Select[Any]:
    """Approved entries that are, through any number of steps, an addendum or a transformation of the given ones."""
    follows = sa.or_(association.c.type == AssociationType.XFRM.db, association.c.type == AssociationType.APND.db)
    of_target = sa.and_(
        association.c.patient == object_locator.c.patient,
        association.c.target == object_locator.c.uuid,
        follows,
        association.c.status == _APPROVED,  # a relationship that was deprecated (ITI-57) holds nothing any more
    )
    first = (
        sa.select(association.c.source.label("uuid"))
        .select_from(object_locator.join(association, of_target))
        .where(in_list(object_locator.c.uuid, "uuids"))
    )
    closure = first.cte("closure", recursive=True)
    further = sa.select(association.c.source).select_from(
        closure.join(object_locator, object_locator.c.uuid == closure.c.uuid).join(association, of_target)
    )
    closure = closure.union(further)
    return (
        sa.select(*_ENTRY_COLUMNS)
        .select_from(
            closure.join(object_locator, object_locator.c.uuid == closure.c.uuid).join(
                document_entry, sa.and_(_ENTRY.patient == object_locator.c.patient, _ENTRY.id == object_locator.c.id)
            )
        )
        .where(_ENTRY.status == _APPROVED)
        .order_by(_ENTRY.id)
    )


_DEPENDENTS = _dependents()

_LATER_VERSIONS = sa.select(*_ENTRY_COLUMNS).where(_ENTRY.lid == sa.bindparam("lid"))
_LATER_FOLDER_VERSIONS = sa.select(*_FOLDER_COLUMNS).where(folder.c.lid == sa.bindparam("lid"))

# ------------------------------------------------------------------------------------------------------------- the answers


class SqlFacts:
    """`metadata.rules.rule.Facts` inside one transaction, and what the plan and the store ask beyond it."""

    def __init__(self, connection: Connection, codes: CodeBook, *, open_domain: bool = False) -> None:
        self._connection = connection
        self._codes = codes
        self._open = open_domain
        self.patients: dict[str, Patient] = {}
        self._patients_by_id: dict[int, Patient] = {}
        self._asked: set[str] = set()
        self._found: dict[str, Existing] = {}
        self._locations: dict[str, Location] = {}
        self._sources: dict[str, str] = {}  # entryUUID of a SubmissionSet -> its sourceId
        self._unique: dict[str, list[Existing]] = {}
        self._folders: dict[str, list[Existing]] = {}
        self._latest: dict[str, Existing | None] = {}
        self._links: dict[str, list[Linked]] = {}
        self._acting: Acting | None = None
        self._concealed: Set[str] = frozenset()

    @classmethod
    def load(
        cls,
        connection: Connection,
        codes: CodeBook,
        submission: Submission,
        *,
        open_domain: bool = False,
        acting: Acting | None = None,
    ) -> SqlFacts:
        """Everything this submission refers to. In an open domain its patients are made known first. What is hidden from who
        is `acting` cannot be found by naming it."""
        facts = cls(connection, codes, open_domain=open_domain)
        unique_ids = {e.uniqueId for e in _identified(submission) if e.uniqueId}
        if connection.dialect == "postgresql" and unique_ids:
            keys = sorted(int.from_bytes(unique_id_key(u)[:8], "big", signed=True) for u in unique_ids)
            connection.execute(_LOCK_UNIQUE_IDS, {"keys": keys})
        facts._load_patients(e.patientId for e in _identified(submission))
        named = _named(submission)
        facts._load_objects(named, unique_ids)
        if acting is not None:
            facts.conceal(acting, named)
        replaced = [
            a.targetObject for a in submission.associations
            if (kind := ASSOCIATION_BY_URN.get(a.associationType)) and kind.replaces and a.targetObject in facts._found
        ]  # fmt: skip
        if replaced:
            facts._load_folders(replaced)
        return facts

    # ---------------------------------------------------------------------------------------------------------- loading

    def know(self, entry_uuids: Iterable[str]) -> None:
        """Load these objects and lock their patients, in a bounded number of statements."""
        self._load_objects([u for u in entry_uuids if u not in self._asked and u not in self._found], ())

    def conceal(self, acting: Acting, named: Iterable[str]) -> None:
        """What is hidden from `acting` of the objects that a message names is unknown to the rules from now on."""
        self._acting, self._concealed = acting, acting.hidden(self._connection, named)

    def known(self, uuids: Iterable[bytes]) -> list[Existing]:
        """The objects with these entryUUIDs as stored, loaded and locked, each once."""
        names = list(dict.fromkeys(uuid_text(bytes(one)) for one in uuids))
        self.know(names)
        return [found for name in names if (found := self._found.get(name)) is not None]

    def _load_patients(self, cxs: Iterable[str | None]) -> None:
        wanted = list(dict.fromkeys(canonical_cx(cx) for cx in cxs if cx))
        found = patients.lock(self._connection, wanted)
        unknown = [cx for cx in wanted if cx not in found]
        if unknown and self._open:
            patients.announce(self._connection, unknown)
            found |= patients.lock(self._connection, unknown)
        self._remember_patients(found.values())

    def _remember_patients(self, rows: Iterable[Patient]) -> None:
        for row in rows:
            self.patients[row.cx] = row
            self._patients_by_id[row.id] = row

    def _load_objects(self, uuids: Iterable[str], unique_ids: Iterable[str]) -> None:
        """Objects by entryUUID and by uniqueId: the locators, then one statement per kind found."""
        binary = {u: b for u in uuids if (b := uuid_bytes(u)) is not None}
        unique = list(unique_ids)
        rows: list[Row] = []
        if binary:
            rows += self._connection.execute(_LOCATE, {"uuids": list(binary.values())})
        if unique:
            rows += self._connection.execute(_BY_UNIQUE_ID, {"digests": [unique_id_key(u) for u in unique]})
        self._asked.update(binary)
        self._unique.update((u, []) for u in unique)
        for existing in self._load_located(rows):
            if existing.uniqueId in self._unique:
                self._unique[existing.uniqueId].append(existing)

    def _load_located(self, rows: Iterable[Row]) -> list[Existing]:
        """The objects at (kind, patient, id)."""
        places: dict[int, set[Location]] = defaultdict(set)
        for kind, patient, number in rows:
            places[kind].add((patient, number))
        self._know_patients({patient for located in places.values() for patient, _ in located})
        loaded = []
        for kind, located in places.items():
            asked = {"patients": sorted({p for p, _ in located}), "ids": sorted({i for _, i in located})}
            for row in self._connection.execute(_LOAD[Kind(kind)], asked):
                if (row[0], row[1]) in located:
                    loaded.append(self._existing(Kind(kind), row))
        return loaded

    def _know_patients(self, ids: set[int]) -> None:
        """The patients of existing objects, locked like the submission's own: their objects may be about to change."""
        unknown = ids - self._patients_by_id.keys()
        if unknown:
            self._remember_patients(patients.lock_by_id(self._connection, sorted(unknown)).values())

    def _load_folders(self, entry_uuids: Iterable[str]) -> None:
        binary = {b: u for u in entry_uuids if (b := uuid_bytes(u)) is not None}
        self._folders.update((u, []) for u in binary.values())
        rows = self._connection.execute(_FOLDERS_OF, {"uuids": list(binary)})
        self._know_patients({row[1] for row in rows})
        for member, *row in rows:
            existing = self._existing(Kind.FOLDER, row)
            if existing not in self._folders[binary[bytes(member)]]:
                self._folders[binary[bytes(member)]].append(existing)

    def _existing(self, kind: Kind, row: Row) -> Existing:
        """One row of `_LOAD` as the rules see it."""
        patient, number, raw_uuid, status, *rest = row
        uuid = uuid_text(raw_uuid)
        more: dict[str, Any] = {}
        if kind is Kind.ASSOCIATION:
            type_, source, target = rest
            more = {"associationType": _TYPE[type_], "sourceObject": uuid_text(source), "targetObject": uuid_text(target)}
        elif kind is Kind.SUBMISSION_SET:
            more = {"uniqueId": rest[0] or ""}
            self._sources[uuid] = rest[1] or ""
        else:
            unique_id, lid, version, *content = rest
            more = {"uniqueId": unique_id or "", "logicalID": uuid_text(lid) if lid else uuid, "version": version}
            if content:
                more |= self._content(*content)
        self._locations[uuid] = (patient, number)
        surviving = self._patients_by_id[patient].surviving
        existing = Existing(OBJECT_KIND[kind], uuid, surviving, _STATUS[status], **more)
        self._found[uuid] = existing
        return existing

    def _content(self, kind: int, hash: bytes | None, size: int | None, repository: int | None) -> dict[str, str]:
        return {
            "objectType": _OBJECT_TYPE[kind],
            "hash": hash.hex() if hash else "",
            "size": "" if size is None else str(size),
            "repositoryUniqueId": self._codes.key(self._connection, repository)[0] if repository else "",
        }

    # ------------------------------------------------------------------------------------------------------------ Facts

    def patient_is_known(self, cx: str) -> bool:
        row = self._patient(cx)
        return row.accepts if row else self._open

    def subsumed_by(self, cx: str) -> str:
        row = self._patient(cx)
        return row.surviving if row and row.state is PatientState.SUBSUMED else ""

    def record_state(self, cx: str) -> str:
        row = self._patient(cx)
        return row.cluster_state.name.lower() if row and row.cluster_state is not PatientState.ACTIVE else ""

    def same_patient(self, a: str, b: str) -> bool:
        if canonical_cx(a) == canonical_cx(b):
            return True
        one, other = self._patient(a), self._patient(b)
        return bool(one and other and one.cluster == other.cluster)

    def _patient(self, cx: str) -> Patient | None:
        cx = canonical_cx(cx)
        if cx not in self.patients:
            self._remember_patients(patients.find(self._connection, [cx]).values())
        return self.patients.get(cx)

    def find(self, entry_uuid: str) -> Existing | None:
        return None if entry_uuid in self._concealed else self._find(entry_uuid)

    def _find(self, entry_uuid: str) -> Existing | None:
        if entry_uuid not in self._asked and entry_uuid not in self._found:
            self._load_objects([entry_uuid], ())
        return self._found.get(entry_uuid)

    def with_unique_id(self, unique_id: str) -> Sequence[Existing]:
        if unique_id not in self._unique:
            self._load_objects((), [unique_id])
        return self._unique[unique_id]

    def folders_of(self, entry_uuid: str) -> Sequence[Existing]:
        if entry_uuid not in self._folders:
            self._load_folders([entry_uuid])
        return self._folders.get(entry_uuid, ())

    def latest(self, logical_id: str) -> Existing | None:
        if logical_id not in self._latest:
            found = self._newest(logical_id)
            if found and self._acting and self._acting.hidden(self._connection, [found.entryUUID]):
                found = None
            self._latest[logical_id] = found
        return self._latest[logical_id]

    def _newest(self, logical_id: str) -> Existing | None:
        first, lid = self._find(logical_id), uuid_bytes(logical_id)
        found = [] if first is None else [first]
        for kind, statement in ((Kind.DOCUMENT_ENTRY, _LATER_VERSIONS), (Kind.FOLDER, _LATER_FOLDER_VERSIONS)):
            if lid is not None and (first is None or first.kind is OBJECT_KIND[kind]):  # the first may have been removed
                rows = self._connection.execute(statement, {"lid": lid})
                elsewhere = {row[0] for row in rows} - self._patients_by_id.keys()
                if elsewhere:  # another update may have come before the lock
                    self._know_patients(elsewhere)
                    rows = self._connection.execute(statement, {"lid": lid})
                found += [self._existing(kind, row) for row in rows]
        return max(found, key=lambda e: e.version, default=None)

    def same_submission(self, unique_id: str, submission: Submission) -> bool:
        registered = [e for e in self.with_unique_id(unique_id) if e.kind is ObjectKind.SUBMISSION_SET]
        sent = submission.submissionSet
        if not registered or sent is None or self._sources[registered[0].entryUUID] != (sent.sourceId or ""):
            return False
        return all(
            any(
                e.kind is ObjectKind.DOCUMENT_ENTRY and (not entry.hash or e.hash == entry.hash.lower())
                for e in self.with_unique_id(entry.uniqueId or "")
            )
            for entry in submission.documentEntries
        )

    def is_transformation(self, entry_uuid: str) -> bool:
        uuid = uuid_bytes(entry_uuid)
        return uuid is not None and links.is_transformation(self._connection, uuid)

    def links_of(self, entry_uuid: str) -> Sequence[Linked]:
        if entry_uuid not in self._links:
            uuid = uuid_bytes(entry_uuid)
            rows = links.approved(self._connection, uuid) if uuid else []
            found = [self._existing(Kind.ASSOCIATION, row) for row in rows]
            far = {e.entryUUID: e.targetObject if e.sourceObject == entry_uuid else e.sourceObject for e in found}
            self._load_objects([u for u in far.values() if u not in self._found], ())
            self._links[entry_uuid] = links.linked(self._connection, found, far, self._found)
        return self._links[entry_uuid]

    def document_entry(self, entry_uuid: str) -> DocumentEntry | None:
        found = self.find(entry_uuid)
        if found is None or found.kind is not ObjectKind.DOCUMENT_ENTRY:
            return None
        patient, number = self._locations[entry_uuid]
        ((packed,),) = self._connection.execute(_FRAGMENT, {"patients": [patient], "ids": [number]})
        entry = parse_fragment(fragments.unpack(packed), found.patientId)
        return entry if isinstance(entry, DocumentEntry) else None

    # ---------------------------------------------------------------------------------------------- for plan and store

    def dependents(self, entry_uuids: Iterable[str]) -> Sequence[Existing]:
        """The approved DocumentEntries that lose their ground when these are replaced: their transformations and addenda,
        and those of those (ITI TF-3: 4.2.2.2.3; the recursion is this registry's reading of it)."""
        rows = self._connection.execute(_DEPENDENTS, {"uuids": [b for u in entry_uuids if (b := uuid_bytes(u))]})
        self._know_patients({row[0] for row in rows})
        return [self._existing(Kind.DOCUMENT_ENTRY, row) for row in rows]

    def row_of(self, cx: str | None) -> int:
        """The patient row of an identifier that the rules have let pass."""
        return self.patients[canonical_cx(cx or "")].id

    def location(self, entry_uuid: str) -> Location:
        """Where a registered object stands; KeyError when it has not been loaded."""
        return self._locations[entry_uuid]


def _identified(submission: Submission) -> Iterator[SubmissionSet | DocumentEntry | Folder]:
    """The objects that have a uniqueId and a patientId."""
    yield from submission.submissionSets
    yield from submission.documentEntries
    yield from submission.folders


def _named(submission: Submission) -> set[str]:
    """Every entryUUID that may be registered already: ids given to new objects, logicalIDs, the ends of associations."""
    named = {e.entryUUID for e in submission.entities()}
    named.update(e.logicalID for e in versioned_objects(submission) if e.logicalID)
    for link in submission.associations:
        named.add(link.sourceObject)
        named.add(link.targetObject)
    return named
