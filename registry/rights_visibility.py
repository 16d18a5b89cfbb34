"""The sight of a caller (`security.access.Sight`) as SQL: the conditions that hide rows from every statement of a query.

A version of a document is hidden as long as it or a later version of it is masked: history tells no more than today. A
SubmissionSet is hidden when every document that it touches is (its members, and the ends of associations that are its members),
or when it has no member, as one that only changed a status; a Folder when it holds documents and all of them are hidden.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from metadata.french import MASKING_OID
from metadata.signature_entry import FORMAT_CODES, SIGNATURE_CLASS
from registry.codes import CodeBook
from registry.rights import Writer
from registry.search_sql import APPROVED, HAS_MEMBER, Condition, Item, any_like, true_only
from registry.tables import Kind, association, code, document_entry, entry_writer, object_locator
from security.access import MASKED, MASKS, Sight
from storage.database import Connection, in_list

#: Matches no list of codes.
_NOTHING = "%,-,%"


class SightVisibility:
    """`registry.search_visibility.Visibility` of one caller. Sights with the same switches share their statements."""

    def __init__(self, connection: Connection, codes: CodeBook, sight: Sight) -> None:
        known = codes.known(connection, [(mask, MASKING_OID) for mask in MASKS])
        patterns = {mask: f"%,{number},%" for (mask, _), number in known.items()}
        self._sight = sight
        anybody = sight.patients is None
        self.shape: Hashable = ("sight", anybody, sight.masked, bool(sight.invisible), sight.signatures, sight.patient_writes)
        self.parameters: Mapping[str, Any] = {
            "visible_patients": list(sight.patients or ()),
            "visible_masked": [patterns.get(MASKED, _NOTHING)],
            "visible_invisible": [patterns[mask] for mask in sorted(sight.invisible) if mask in patterns],
            "visible_person": sight.person,
            "visible_structure": sight.structure,
        }

    def hidden(self, kind: Kind, item: Item) -> Condition | None:
        """See `Visibility`. Another patient's objects are hidden whatever they are."""
        elsewhere = self._elsewhere(item)
        if kind is Kind.DOCUMENT_ENTRY:
            return sa.or_(elsewhere, self._document(item))
        if kind is Kind.SUBMISSION_SET:
            return sa.or_(elsewhere, self._set(item))
        if kind is Kind.FOLDER:
            return sa.or_(elsewhere, self._folder(item))
        return None

    def _elsewhere(self, item: Item) -> Condition:
        return sa.false() if self._sight.patients is None else ~in_list(item.c.patient, "visible_patients")

    # ------------------------------------------------------------------------------------------------------ documents

    def _document(self, item: Item) -> Condition:
        sight = self._sight
        conditions: list[Condition] = []
        if sight.signatures:
            conditions += [_coded(item.c.format_code, FORMAT_CODES), _coded(item.c.class_code, {SIGNATURE_CLASS})]
        if sight.invisible:
            conditions.append(_now_or_later(item, "visible_invisible"))
        if sight.masked:
            conditions.append(sa.and_(_now_or_later(item, "visible_masked"), ~self._own(item)))
        return true_only(sa.or_(sa.false(), *conditions))

    def _own(self, item: Item) -> Condition:
        wrote = entry_writer.alias()
        mine = [
            sa.and_(wrote.c.role == int(role), wrote.c.who == sa.bindparam(name, type_=sa.Text, required=True), wrote.c.who != "")
            for role, name in ((Writer.PERSON, "visible_person"), (Writer.STRUCTURE, "visible_structure"))
        ]
        if self._sight.patient_writes:
            mine.append(wrote.c.role == int(Writer.PATIENT))
        return sa.exists().where(wrote.c.lid == _lid(item), sa.or_(*mine))

    # -------------------------------------------------------------------------------------------------------- holders

    def _set(self, item: Item) -> Condition:
        touches = (_direct, _through)
        seen = sa.or_(*(self._touched(touch, item, visible=True) for touch in touches))
        unseen = sa.or_(*(self._touched(touch, item, visible=False) for touch in touches))
        link = association.alias()
        member = sa.exists().where(link.c.patient == item.c.patient, link.c.source == item.c.uuid, link.c.type == HAS_MEMBER)
        return sa.and_(~seen, sa.or_(unseen, ~member))

    def _folder(self, item: Item) -> Condition:
        seen, unseen = (self._touched(_direct, item, visible=visible) for visible in (True, False))
        return sa.and_(~seen, unseen)

    def _touched(self, touch: Callable[[Item], tuple[Item, list[Condition]]], item: Item, *, visible: bool) -> Condition:
        """One document that the holder touches is visible, or is hidden."""
        entry, conditions = touch(item)
        hidden = sa.or_(self._elsewhere(entry), self._document(entry))
        return sa.exists().where(*conditions, ~hidden if visible else hidden)


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


def _direct(item: Item) -> tuple[Item, list[Condition]]:
    """The documents that are HasMember targets of the holder."""
    link, there, entry = association.alias(), object_locator.alias(), document_entry.alias()
    return entry, [
        link.c.patient == item.c.patient, link.c.source == item.c.uuid, link.c.type == HAS_MEMBER,
        there.c.uuid == link.c.target, there.c.kind == int(Kind.DOCUMENT_ENTRY),
        entry.c.patient == there.c.patient, entry.c.id == there.c.id,
    ]  # fmt: skip


def _through(item: Item) -> tuple[Item, list[Condition]]:
    """The documents at either end of associations that are HasMember targets of the holder."""
    link, between, inner = association.alias(), object_locator.alias(), association.alias()
    there, entry = object_locator.alias(), document_entry.alias()
    return entry, [
        link.c.patient == item.c.patient, link.c.source == item.c.uuid, link.c.type == HAS_MEMBER,
        between.c.uuid == link.c.target, between.c.kind == int(Kind.ASSOCIATION),
        inner.c.patient == between.c.patient, inner.c.id == between.c.id,
        sa.or_(there.c.uuid == inner.c.source, there.c.uuid == inner.c.target), there.c.kind == int(Kind.DOCUMENT_ENTRY),
        entry.c.patient == there.c.patient, entry.c.id == there.c.id,
    ]  # fmt: skip
