"""The sight of a caller (`security.access.Sight`) as SQL: what of one person's record no statement of a query may touch.

A version of a document is hidden as long as it or a later version of it is masked: history tells no more than today. A Folder is
hidden when it holds documents and all of them are hidden; an association with either of its ends; a SubmissionSet when everything
that it holds is hidden, or when it holds nothing, as one that only changed a status.

What is hidden is listed in the snapshot of the query (`SightVisibility.settled`), kind by kind, and left out by that list: every
statement stays small, and all callers share its text.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import sqlalchemy as sa

from metadata.french import MASKING_OID
from metadata.signature_entry import FORMAT_CODES, SIGNATURE_CLASS
from registry.codes import CodeBook
from registry.rights import Writer
from registry.search_sql import APPROVED, HAS_MEMBER, Condition, Item, Statements, any_like, true_only
from registry.tables import Kind, association, code, document_entry, entry_writer, folder, object_locator, submission_set
from security.access import MASKED, MASKS, Sight
from storage.database import Connection, in_list

#: Matches no list of codes.
_NOTHING = "%,-,%"


class SightVisibility:
    """`registry.search_visibility.Visibility` of one caller.

    The sight of nobody in particular (`patients` None) is not settled: it hides documents, wherever they are.
    """

    def __init__(self, connection: Connection, codes: CodeBook, sight: Sight) -> None:
        known = codes.known(connection, [(mask, MASKING_OID) for mask in MASKS])
        patterns = {mask: f"%,{number},%" for (mask, _), number in known.items()}
        self._sight = sight
        self.shape: Hashable = ("sight", sight.masked, bool(sight.invisible), sight.signatures, sight.patient_writes)
        self.parameters: Mapping[str, Any] = {
            "visible_patients": list(sight.patients or ()),
            "visible_masked": [patterns.get(MASKED, _NOTHING)],
            "visible_invisible": [patterns[mask] for mask in sorted(sight.invisible) if mask in patterns],
            "visible_person": sight.person,
            "visible_structure": sight.structure,
        }

    def hidden(self, kind: Kind, item: Item) -> Condition | None:
        """See `Visibility`: documents, and nothing else, before it is settled."""
        return self.masked(item) if kind is Kind.DOCUMENT_ENTRY else None

    def settled(self, connection: Connection) -> SightVisibility | SettledVisibility:
        """What is hidden of the person's record now. `connection` is in the snapshot in which the query runs."""
        if self._sight.patients is None:
            return self
        hidden = list(self.documents(connection))
        hidden += self.folders(connection, hidden)
        hidden += self.links(connection, hidden)
        hidden += self.sets(connection, hidden)
        return SettledVisibility(self._sight.patients, hidden)

    # ------------------------------------------------------------------------------------------- what is hidden, by kind

    def documents(self, connection: Connection) -> Sequence[bytes]:
        """The DocumentEntries, by entryUUID."""
        statement = _STATEMENTS.get(("documents", type(self), self.shape), partial(_documents, self))
        return [bytes(uuid) for (uuid,) in connection.execute(statement, self.parameters)]

    def folders(self, connection: Connection, hidden: Sequence[bytes]) -> Sequence[bytes]:
        """The Folders of which all documents are among `hidden` or in another record."""
        return self._listed(connection, _FOLDERS, hidden)

    def links(self, connection: Connection, hidden: Sequence[bytes]) -> Sequence[bytes]:
        """The associations with an end among `hidden` or in another record, and those that have such a one as an end."""
        asked = {"visible_patients": self.parameters["visible_patients"]}
        found = dict.fromkeys(bytes(uuid) for (uuid,) in connection.execute(_FOREIGN_LINKS, asked))
        fresh = [*hidden, *found]
        while fresh:
            fresh = [uuid for uuid in self._listed(connection, _LINKS, fresh) if uuid not in found]
            found.update(dict.fromkeys(fresh))
        return list(found)

    def sets(self, connection: Connection, hidden: Sequence[bytes]) -> Sequence[bytes]:
        """The SubmissionSets of which all members are among `hidden` or in another record."""
        return self._listed(connection, _SETS, hidden)

    def _listed(self, connection: Connection, statement: sa.Executable, hidden: Sequence[bytes]) -> list[bytes]:
        asked = {"visible_patients": self.parameters["visible_patients"], "visible_hidden": hidden}
        return [bytes(uuid) for (uuid,) in connection.execute(statement, asked)]

    # ------------------------------------------------------------------------------------------------------ documents

    def masked(self, item: Item) -> Condition:
        """True for a document that the caller must not learn of."""
        sight = self._sight
        conditions: list[Condition] = []
        if sight.signatures:
            conditions += [_coded(item.c.format_code, FORMAT_CODES), _coded(item.c.class_code, {SIGNATURE_CLASS})]
        if sight.invisible:
            conditions.append(_now_or_later(item, "visible_invisible"))
        if sight.masked:
            conditions.append(sa.and_(_now_or_later(item, "visible_masked"), ~self.own(item)))
        return true_only(sa.or_(sa.false(), *conditions))

    def own(self, item: Item) -> Condition:
        """True for a document of the caller's."""
        wrote = entry_writer.alias()
        mine = [
            sa.and_(wrote.c.role == int(role), wrote.c.who == sa.bindparam(name, type_=sa.Text, required=True), wrote.c.who != "")
            for role, name in ((Writer.PERSON, "visible_person"), (Writer.STRUCTURE, "visible_structure"))
        ]
        if self._sight.patient_writes:
            mine.append(wrote.c.role == int(Writer.PATIENT))
        return sa.exists().where(wrote.c.lid == _lid(item), sa.or_(*mine))


class SettledVisibility:
    """One person's record without what is listed as hidden (entryUUIDs)."""

    shape: Hashable = "settled sight"

    def __init__(self, patients: Sequence[int], hidden: Sequence[bytes]) -> None:
        self.parameters: Mapping[str, Any] = {"visible_patients": list(patients), "visible_hidden": hidden}

    def settled(self, connection: Connection) -> SettledVisibility:
        return self

    def hidden(self, kind: Kind, item: Item) -> Condition | None:
        """See `Visibility`. Another person's objects are hidden whatever they are."""
        hidden = [~in_list(item.c.patient, "visible_patients"), in_list(item.c.uuid, "visible_hidden")]
        if kind is Kind.SUBMISSION_SET:
            link = association.alias()
            hidden.append(~sa.exists().where(link.c.patient == item.c.patient, link.c.source == item.c.uuid, _is_member(link)))
        if kind is Kind.ASSOCIATION:
            hidden += [in_list(item.c.source, "visible_hidden"), in_list(item.c.target, "visible_hidden"), _foreign(item)]
        return sa.or_(*hidden)


# ------------------------------------------------------------------------------------------------------------------- SQL


def _is_member(link: Item) -> Condition:
    return link.c.type == HAS_MEMBER


def _lid(item: Item) -> sa.ColumnElement[Any]:
    return sa.func.coalesce(item.c.lid, item.c.uuid)


def _coded(column: sa.ColumnElement[Any], words: Iterable[str]) -> Condition:
    """The column holds one of these codes, of whatever scheme."""
    named = sa.or_(*(code.c.code == sa.literal(word, sa.Text) for word in sorted(words)))
    return column.in_(sa.select(code.c.id).where(named))


def _now_or_later(item: Item, name: str) -> Condition:
    """This version or a later one has a code of list parameter `name`. An Approved version is the newest."""
    later = document_entry.alias()
    follows = sa.exists().where(
        later.c.lid == _lid(item), later.c.version > item.c.version, any_like(later.c.confidentiality_codes, name)
    )
    return sa.or_(any_like(item.c.confidentiality_codes, name), sa.and_(item.c.status != APPROVED, follows))


def _documents(sight: SightVisibility) -> sa.Executable:
    item = document_entry.alias("item")
    return sa.select(item.c.uuid).where(in_list(item.c.patient, "visible_patients"), sight.masked(item))


def _foreign(link: Item) -> Condition:
    """An end of the association stands in another record."""
    ends = []
    for end in ("source", "target"):
        there = object_locator.alias()
        ends.append(sa.exists().where(there.c.uuid == link.c[end], ~in_list(there.c.patient, "visible_patients")))
    return sa.or_(*ends)


def _in_record(item: Item) -> Condition:
    return in_list(item.c.patient, "visible_patients")


def _holders(table: sa.Table) -> sa.Select[Any]:
    """Those with a hidden member and no visible one."""
    item = table.alias("item")

    def holds(*more: Condition) -> Condition:
        return sa.exists().where(
            _member.c.patient == item.c.patient, _member.c.source == item.c.uuid, _is_member(_member), *more
        )

    unseen = sa.or_(in_list(_member.c.target, "visible_hidden"), _foreign(_member))
    shown = ~unseen
    if table is folder:  # a Folder holds documents; whatever else somebody put into it shows nothing
        document = object_locator.alias()
        is_document = sa.exists().where(document.c.uuid == _member.c.target, document.c.kind == int(Kind.DOCUMENT_ENTRY))
        shown = sa.and_(shown, is_document)
    return sa.select(item.c.uuid).where(_in_record(item), holds(unseen), ~holds(shown))


_STATEMENTS = Statements()
_member = association.alias("member")
_FOLDERS, _SETS = _holders(folder), _holders(submission_set)
_LINKS = sa.union(
    *(
        sa.select(association.c.uuid).where(_in_record(association), in_list(association.c[end], "visible_hidden"))
        for end in ("source", "target")
    )
)
_FOREIGN_LINKS = sa.select(association.c.uuid).where(
    _in_record(association), _foreign(association)
)
