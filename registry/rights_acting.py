"""Who acts while a transaction runs: what is hidden from him is unknown to it, and what he changes is judged.

`ACTING` is set by whoever has asked the policy (`server/access.py`) for the time of one call; nothing is set where everything is
allowed. Transactions take it before they enter the database: their work may run in another thread.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence, Set
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import sqlalchemy as sa

from metadata.model import DocumentEntry
from metadata.rules.rule import Existing, Facts, Finding
from metadata.update import Outlook
from metadata.vocabulary import ObjectKind
from registry import rights_entries as entries
from registry.codes import CodeBook
from registry.identifiers import uuid_bytes, uuid_text
from registry.removal import RemovalState
from registry.rights_visibility import SightVisibility
from registry.search_sql import TABLES, Statements
from registry.search_visibility import Visibility, visible
from registry.tables import Kind, object_locator
from security.access import EntryState, Grant
from security.access_changes import row_of_status, rows_of_version
from storage.database import Connection, in_list

_UUID = re.compile(r"urn:uuid:[0-9a-fA-F-]{36}")
_THERE = sa.select(object_locator.c.uuid, object_locator.c.kind).where(in_list(object_locator.c.uuid, "uuids"))


@dataclass(frozen=True, slots=True)
class Acting:
    """One caller and what he was granted, for the length of one call."""

    grant: Grant
    codes: CodeBook

    def visibility(self, connection: Connection) -> SightVisibility:
        return SightVisibility(connection, self.codes, self.grant.sight)

    # --------------------------------------------------------------------------------------------------- what is unknown

    def hidden(self, connection: Connection, entry_uuids: Iterable[str]) -> Set[str]:
        """Those of the registered objects that the caller must not learn of."""
        keys = {key: one for one in entry_uuids if (key := uuid_bytes(one)) is not None}
        if not keys:
            return frozenset()
        there = {bytes(uuid) for uuid, _ in connection.execute(_THERE, {"uuids": list(keys)})}
        sight = self.visibility(connection).settled(connection)
        asked: dict[str, Any] = {**sight.parameters, "uuids": list(keys)}
        for kind in Kind:
            statement = _STATEMENTS.get((kind, sight.shape), partial(_visible, kind, sight))
            there -= {bytes(uuid) for (uuid,) in connection.execute(statement, asked)}
        return {keys[uuid] for uuid in there}

    def widened(self, connection: Connection, state: RemovalState, ids: Sequence[str]) -> list[str]:
        """What a removal (ITI-62) of these objects is, so that it tells of nothing hidden: hidden associations of the documents
        go with them, and a SubmissionSet that holds something hidden as well stays, hidden from now on."""
        named = [one for id in dict.fromkeys(ids) if (one := state.find(id)) is not None]
        documents = [one.entryUUID for one in named if one.kind is ObjectKind.DOCUMENT_ENTRY]
        if not documents:
            return list(ids)
        links = {one.entryUUID for one in state.referring(documents)} - set(ids)
        sets = {
            one.entryUUID: {link.targetObject for link in state.members_of(one.entryUUID)}
            for one in named if one.kind is ObjectKind.SUBMISSION_SET
        }  # fmt: skip
        hidden = self.hidden(connection, links.union(*sets.values()))
        staying = {uuid for uuid, members in sets.items() if members & hidden}
        kept = {link.entryUUID for uuid in staying for link in state.members_of(uuid) if link.targetObject in hidden}
        return [id for id in ids if id not in staying and id not in kept] + sorted(links & hidden)

    def told(self, connection: Connection, findings: Sequence[Finding], named: Sequence[str]) -> Sequence[Finding]:
        """Without what speaks of something hidden that was not `named`; one that speaks of nothing where none is left."""
        said = [(one, set(_UUID.findall(f"{one.object} {one.message} {one.value}"))) for one in findings]
        hidden = self.hidden(connection, set[str]().union(*(uuids for _, uuids in said)) - set(named))
        shown = [one for one, uuids in said if not uuids & hidden]
        return shown or [replace(one, object="", value="", message="it is not possible") for one in findings[:1]]

    # ---------------------------------------------------------------------------------------------------- what is changed

    def judge_update(self, connection: Connection, facts: Facts, ahead: Outlook) -> None:
        """Every operation of an update (ITI-57, ITI-92) by the rows that it asks. Raises Denied."""
        asked: list[tuple[str, str]] = []
        others: list[tuple[str, str]] = []
        operations = ahead.operations
        for update in operations.updates:
            before = ahead.by_id.get(update.entity.entryUUID)
            old = facts.document_entry(before.entryUUID) if before is not None else None
            if before is None or old is None or not isinstance(update.entity, DocumentEntry):
                others.append((before.entryUUID if before else "", "a Folder"))
                continue
            rows, attributes = rows_of_version(old, update.entity)
            asked += [(before.entryUUID, row) for row in rows]
            others += [(before.entryUUID, name) for name in attributes or ([] if rows else ["nothing"])]
        for id, status in ahead.statuses.items():
            if id in ahead.by_id:
                others.append((ahead.by_id[id].entryUUID, "the status of a new version"))
                continue
            found = facts.find(id)
            row = row_of_status(found.status, status) if found and found.kind is ObjectKind.DOCUMENT_ENTRY else None
            (asked if row else others).append((id, row or "availabilityStatus"))
        others += [("", "associations") for _ in operations.links[:1]]
        states = self._states(connection, [id for id, _ in (*asked, *others)])
        for id, what in others:
            self.grant.judge_unlisted(what, [states.get(id, _NOBODYS)])
        for id, row in asked:
            self.grant.demand(row)
            self.grant.judge(row, states[id])

    def judge_removal(self, connection: Connection, objects: Sequence[Existing]) -> None:
        """Objects that leave the registry (ITI-62): documents, and what goes with them. Raises Denied."""
        documents = [one.entryUUID for one in objects if one.kind is ObjectKind.DOCUMENT_ENTRY]
        states = self._states(connection, documents)
        for uuid in documents:
            self.grant.judge("TD3.3c-delete", states[uuid])
        for one in objects:
            goes_along = one.kind is ObjectKind.SUBMISSION_SET or _joins(one, objects)
            if one.kind is not ObjectKind.DOCUMENT_ENTRY and not (documents and goes_along):
                self.grant.judge_unlisted(f"{one.kind.name} without its document", [_NOBODYS])

    def _states(self, connection: Connection, entry_uuids: Iterable[str]) -> dict[str, EntryState]:
        keys = {key for one in entry_uuids if (key := uuid_bytes(one)) is not None}
        return {uuid_text(one.uuid): one.state for one in entries.by_uuid(connection, self.codes, keys)}


def _visible(kind: Kind, sight: Visibility) -> sa.Executable:
    """Those of the objects in list parameter `uuids` that are of this kind and visible."""
    item, at = TABLES[kind].alias("item"), object_locator.alias("at")
    rows = at.join(item, sa.and_(item.c.patient == at.c.patient, item.c.id == at.c.id))
    found = (in_list(at.c.uuid, "uuids"), at.c.kind == int(kind))
    return sa.select(item.c.uuid).select_from(rows).where(*found, *visible(sight, kind, item))


_STATEMENTS = Statements()

#: An object that has no author.
_NOBODYS = EntryState(patient=0)


def _joins(link: Existing, objects: Sequence[Existing]) -> bool:
    """One end of the association is among the objects and is a document or a SubmissionSet."""
    ends, kinds = (link.sourceObject, link.targetObject), (ObjectKind.DOCUMENT_ENTRY, ObjectKind.SUBMISSION_SET)
    return link.kind is ObjectKind.ASSOCIATION and any(one.entryUUID in ends and one.kind in kinds for one in objects)


ACTING: ContextVar[Acting | None] = ContextVar("acting", default=None)
