"""ITI-64 Notify XAD-PID Link Change: the documents of one local patient id go over to another patient of the domain.

(ITI TF-2: 3.64.4.1.3.) What the local id brought in is found by sourcePatientId. Each document gets a new version under the new
patient, as ITI-57 would make it, all of them in one new SubmissionSet, in one transaction. A relationship or a Folder that would
then join two patients is not carried over: the versions before keep it (the first strategy of ITI TF-2: 3.64.4.1.3.2).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypeVar

import sqlalchemy as sa

from metadata import schemes
from metadata.datatypes import canonical_cx
from metadata.ebrim import typed
from metadata.fragments import parse_fragment, with_slots
from metadata.model import (
    Association,
    Classification,
    Code,
    DocumentEntry,
    ExternalIdentifier,
    Folder,
    LocalizedString,
    RegistryObject,
    Slot,
    Submission,
    SubmissionSet,
)
from metadata.rules.rule import Finding, Refused
from metadata.vocabulary import AssociationType, AvailabilityStatus, ErrorCode, ObjectKind
from registry import fragments, patients, store
from registry.codes import CodeBook, CodeKey
from registry.facts import SqlFacts
from registry.identifiers import new_uuid, uuid_text
from registry.patient_identity import finding, unusable
from registry.patients import Patient
from registry.plan import NewAssociation, Plan
from registry.tables import Label, association, document_entry, folder
from registry.update_plan import plan_update
from storage.database import Connection, Database, in_list

ACTIONS = "ITI TF-2: 3.64.4.1.3"
SEMANTICS = "ITI TF-2: 3.64.4.1.2"

_T = TypeVar("_T", DocumentEntry, Folder)

_HAS_MEMBER = AssociationType.HAS_MEMBER
_DEPRECATED = AvailabilityStatus.DEPRECATED
_ENTRIES = (
    sa.select(document_entry.c.fragment)
    .where(
        in_list(document_entry.c.patient, "ids"),
        document_entry.c.status != sa.literal_column(str(_DEPRECATED.db)),
    )
    .order_by(document_entry.c.id)
)
_FOLDER = sa.select(folder.c.fragment).where(folder.c.patient == sa.bindparam("patient"), folder.c.id == sa.bindparam("id"))
#: Memberships by reference: the only associations that may join objects of two patients (ITI TF-2: 3.64.4.1.3.1.4).
_REFERENCES = (
    sa.select(association.c.uuid, association.c.source, association.c.target)
    .where(
        in_list(association.c.patient, "ids"),
        association.c.label == sa.literal_column(str(int(Label.REFERENCE))),
        association.c.status == sa.literal_column(str(AvailabilityStatus.APPROVED.db)),
    )
    .order_by(association.c.id)
)

#: What another room writes in the same transaction: these documents (uniqueIds) are that patient's now.
Moved = Callable[[Connection, Sequence[str], str], None]


@dataclass(frozen=True, slots=True)
class LinkChange:
    """One message. `previous` and `new` are identifiers of the domain, `local` is the source's own, all as `id^^^&OID&ISO`;
    `subsumed` is the local id that goes up in `local`, or empty; `sender` the OID of the system that says so."""

    previous: str
    new: str
    local: str
    subsumed: str
    sender: str


class NotifyLinkChange:
    """The Document Registry's XAD-PID Change Management Option. One object serves all threads.

    `content_type` is the contentTypeCode by which the affinity domain knows the SubmissionSets that are made here.
    """

    def __init__(self, database: Database, codes: CodeBook, content_type: Code, moved: Moved | None = None) -> None:
        self._database = database
        self._codes = codes
        self._content_type = content_type
        self._moved = moved

    def change(self, asked: LinkChange) -> int:
        """Carry out a link change. Returns how many documents have a new version; for none nothing is written.

        Raises `Refused` with every finding, and `storage.errors.StorageError` when the store could not do it.
        """
        asked = replace(asked, previous=canonical_cx(asked.previous), new=canonical_cx(asked.new))
        _refuse(list(_contradictions(asked)))
        fresh: Mapping[CodeKey, int] = {}

        def work(connection: Connection) -> int:
            nonlocal fresh
            ids, same_person = _people(connection, asked)
            submission = self._submission(connection, asked, ids, same_person)
            if submission is None:
                return 0
            facts = SqlFacts.load(connection, self._codes, submission)
            plan = _complete(connection, facts, submission, plan_update(submission, facts, _now()), ids)
            numbers, fresh = self._codes.interned(connection, store.codes_of(plan))
            store.write(connection, plan, facts, numbers)
            if self._moved is not None and not same_person:
                self._moved(connection, [one.uniqueId for one in submission.documentEntries if one.uniqueId], asked.new)
            return len(submission.documentEntries)

        count = self._database.write(work)
        self._codes.remember(fresh)
        return count

    def _submission(
        self, connection: Connection, asked: LinkChange, ids: Sequence[int], same_person: bool
    ) -> Submission | None:
        """The update that an administrator would have sent; None where no document is concerned."""
        facts = SqlFacts(connection, self._codes)
        before = list(_concerned(connection, facts, asked, ids, same_person))
        if not before:
            return None
        folders = [] if same_person else list(_whole_folders(connection, facts, before, asked.new))
        entries = [_next_entry(one, asked) for one in before]
        holders = [_next(one, one.raw) for one in folders]
        one = _submission_set(asked, self._content_type)
        triggers = [
            *(_trigger(one, new, facts, label="Original") for new in entries),
            *(_trigger(one, new, facts) for new in holders),
        ]
        return Submission((one,), tuple(entries), tuple(holders), tuple(triggers))


def _now() -> str:
    return datetime.now(UTC).strftime("%Y%m%d%H%M%S")


def _refuse(findings: Sequence[Finding]) -> None:
    if findings:
        raise Refused(findings)


# ---------------------------------------------------------------------------------------------------------------- refusals


def _contradictions(asked: LinkChange) -> Iterator[Finding]:
    """What the message itself shows."""
    if asked.subsumed and asked.subsumed == asked.local:
        remedy = "Send the local identifier that goes in the second repetition of MRG-1, the one that stays in PID-3."
        yield finding("XPC-001", SEMANTICS, "a local identifier cannot be merged into itself", remedy, asked.local)
    elif asked.subsumed and _authority(asked.subsumed) != _authority(asked.local):
        message = f"the assigning authority is not that of the local identifier, {_authority(asked.local)}"
        yield finding("XPC-002", SEMANTICS, message, "Merge local identifiers of one authority only.", asked.subsumed)
    if not asked.subsumed and asked.previous == asked.new:
        remedy = "Send the XAD-PID before the change in MRG-1, the new one in PID-3."
        yield finding("XPC-003", SEMANTICS, "the previous and the new XAD-PID are the same", remedy, asked.new)


def _authority(cx: str) -> str:
    return cx.partition("^^^")[2]


def _people(connection: Connection, asked: LinkChange) -> tuple[list[int], bool]:
    """The patient rows of the previous XAD-PID, locked with those of the new one; and whether both are one person's."""
    rows = patients.lock(connection, [asked.previous, asked.new])
    remedy = "Make it known first (A01, A04 or ./carnet patient add)."
    missing = [
        finding("XPC-004", ACTIONS, "the identifier is not known", remedy, cx, ErrorCode.XDSUnknownPatientId)
        for cx in dict.fromkeys((asked.previous, asked.new))
        if cx not in rows
    ]
    _refuse([*missing, *unusable(rows.values(), ACTIONS)])
    previous, new = rows[asked.previous], rows[asked.new]
    if previous.cluster == new.cluster and not asked.subsumed:
        message = f"{asked.previous} and {asked.new} are identifiers of one patient: there is nothing to move"
        raise Refused([finding("XPC-003", ACTIONS, message, "Query under either of them.", asked.new)])
    return _rows_of(connection, previous), previous.cluster == new.cluster


def _rows_of(connection: Connection, one: Patient) -> list[int]:
    return [member.id for member in patients.cluster_of(connection, one.cluster)]


# ----------------------------------------------------------------------------------------------------- what goes over


def _concerned(
    connection: Connection, facts: SqlFacts, asked: LinkChange, ids: Sequence[int], same_person: bool
) -> Iterator[DocumentEntry]:
    """The newest versions, none of them Deprecated, that the local id brought in (ITI TF-2: 3.64.4.1.3.1.3)."""
    wanted = {asked.subsumed} if same_person else {asked.local, asked.subsumed} - {""}
    found = []
    for (packed,) in connection.execute(_ENTRIES, {"ids": ids}):
        entry = parse_fragment(fragments.unpack(packed), asked.new)
        if isinstance(entry, DocumentEntry) and canonical_cx(entry.sourcePatientId or "") in wanted:
            found.append(entry)
    facts.know(entry.entryUUID for entry in found)
    for entry in found:
        newest = facts.latest(_logical_id(entry))
        if newest is not None and newest.entryUUID == entry.entryUUID:
            yield entry


def _whole_folders(
    connection: Connection, facts: SqlFacts, entries: Sequence[DocumentEntry], patient_id: str
) -> Iterator[Folder]:
    """The approved Folders all of whose documents go over (ITI TF-2: 3.64.4.1.3.1.6)."""
    going = {entry.entryUUID for entry in entries}
    holders = {one.entryUUID: one for uuid in going for one in facts.folders_of(uuid)}
    for holder in sorted(holders.values(), key=lambda one: facts.location(one.entryUUID)):
        staying = [
            link
            for link in facts.links_of(holder.entryUUID)
            if link.other.kind is ObjectKind.DOCUMENT_ENTRY
            and link.newest
            and link.other.status != _DEPRECATED.urn
            and link.other.entryUUID not in going
        ]
        newest = facts.latest(holder.logicalID)
        if staying or newest is None or newest.entryUUID != holder.entryUUID:
            continue
        patient, number = facts.location(holder.entryUUID)
        ((packed,),) = connection.execute(_FOLDER, {"patient": patient, "id": number})
        one = parse_fragment(fragments.unpack(packed), patient_id)
        if isinstance(one, Folder):
            yield one


# ------------------------------------------------------------------------------------------------------- the new versions


def _logical_id(one: DocumentEntry | Folder) -> str:
    return one.logicalID or one.entryUUID


def _next_entry(entry: DocumentEntry, asked: LinkChange) -> DocumentEntry:
    """The new version of a DocumentEntry; the fragment has been read under the new patient."""
    sent = entry.sourcePatientId or ""
    if not asked.subsumed or canonical_cx(sent) != asked.subsumed:
        return _next(entry, entry.raw)
    components = sent.split("^")
    local = "^".join([asked.local, *components[4:]])  # the type of the identifier, where the source gave one, stays
    return _next(replace(entry, sourcePatientId=local), with_slots(entry.raw, {"sourcePatientId": (local,)}))


def _next(one: _T, raw: RegistryObject) -> _T:
    """The object once more with a UUID of its own; those of what it holds are derived from it (ITI TF-2: 3.64.4.1.3.1.4)."""
    own, lid = new_uuid(), _logical_id(one)
    raw = replace(
        raw,
        id=own,
        lid=lid,
        versionName=None,
        classifications=tuple(replace(c, id=None, classifiedObject=own) for c in raw.classifications),
        externalIdentifiers=tuple(replace(e, id=None, registryObject=own) for e in raw.externalIdentifiers),
    )
    return replace(one, entryUUID=own, logicalID=lid, raw=raw)


def _submission_set(asked: LinkChange, content_type: Code) -> SubmissionSet:
    """ITI TF-2: Table 3.64.4.1.3.1.1-1."""
    own = new_uuid()
    identified = {
        schemes.SS_PATIENT_ID: asked.new,
        schemes.SS_SOURCE_ID: asked.sender,
        schemes.SS_UNIQUE_ID: f"2.25.{uuid.uuid4().int}",
    }
    coded = Classification(
        None,
        schemes.SS_CONTENT_TYPE_CODE,
        None,
        own,
        content_type.code,
        (LocalizedString(content_type.display or content_type.code),),
        (Slot("codingScheme", (content_type.scheme,)),),
    )
    marker = Classification(None, None, schemes.SUBMISSION_SET_NODE, own, None)
    raw = RegistryObject(
        "RegistryPackage",
        own,
        slots=(Slot("submissionTime", (_now(),)),),
        classifications=(coded, marker),
        externalIdentifiers=tuple(ExternalIdentifier(None, scheme, own, value) for scheme, value in identified.items()),
    )
    made = typed(raw)
    assert isinstance(made, SubmissionSet), "the marker makes it one"
    return made


def _trigger(one: SubmissionSet, new: DocumentEntry | Folder, facts: SqlFacts, label: str = "") -> Association:
    """HasMember from the SubmissionSet to a new version; PreviousVersion is kept with it."""
    previous = facts.latest(_logical_id(new))
    assert previous is not None, "it was found in this transaction"
    said = {"SubmissionSetStatus": label, "PreviousVersion": str(previous.version)}
    own = new_uuid()
    raw = RegistryObject(
        "Association",
        own,
        associationType=_HAS_MEMBER.urn,
        sourceObject=one.entryUUID,
        targetObject=new.entryUUID,
        slots=tuple(Slot(name, (value,)) for name, value in said.items() if value),
    )
    made = typed(raw)
    assert isinstance(made, Association)
    return made


def _complete(connection: Connection, facts: SqlFacts, submission: Submission, plan: Plan, ids: Sequence[int]) -> Plan:
    """The plan of an update with what ITI-64 asks beyond it: PreviousVersion stays with the memberships, and SubmissionSets that
    hold a document by reference hold its new version (ITI TF-2: 3.64.4.1.3.1.4, 5)."""
    triggers = {trigger.entryUUID: trigger for trigger in submission.associations}
    links = [replace(link, sent=triggers[link.uuid]) if link.uuid in triggers else link for link in plan.associations]
    successors = {
        before.entryUUID: new.entryUUID
        for new in submission.documentEntries
        if (before := facts.latest(_logical_id(new))) is not None
    }
    rows = connection.execute(_REFERENCES, {"ids": ids})
    ends_of = {bytes(link): (uuid_text(source), uuid_text(target)) for link, source, target in rows}
    held = {link: ends for link, ends in ends_of.items() if ends[1] in successors}
    old = facts.known(held)
    facts.know(source for source, _ in held.values())
    links += [NewAssociation(new_uuid(), _HAS_MEMBER, s, successors[t], Label.REFERENCE) for s, t in held.values()]
    return replace(plan, associations=links, statuses=(*plan.statuses, *((one, _DEPRECATED) for one in old)))
