"""The door for rights: what one caller must not learn of, as SQL conditions on every statement of a query.

A hidden object is left out where rows are chosen, before they are counted, limited, compared with one another or followed: it
shows in no result, no count, no error. An association is hidden with either of its ends, and so is the membership of a
hidden association in a SubmissionSet. Without a `Visibility` no statement changes and nothing is paid.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, Protocol

import sqlalchemy as sa

from registry.search_sql import TABLES, Condition, Item, true_only
from registry.tables import Kind, association, object_locator
from storage.database import Connection


class Visibility(Protocol):
    """What is hidden from one caller.

    `shape` stands for the text of the conditions: callers whose conditions differ only in parameter values share one shape,
    and with it the prepared statements. Parameter names start with `visible_`, so that they meet no other.
    """

    @property
    def shape(self) -> Hashable: ...

    @property
    def parameters(self) -> Mapping[str, Any]: ...

    def hidden(self, kind: Kind, item: Item) -> Condition | None:
        """True for a row of this kind that the caller must not learn of; NULL counts as visible. None: nothing of it is hidden,
        but that an association follows from its ends."""

    def settled(self, connection: Connection) -> Visibility:
        """What is asked in its place by the statements of one query, which run in the snapshot of `connection`."""


def visible(visibility: Visibility | None, kind: Kind, item: Item) -> list[Condition]:
    """The conditions under which a row of this kind may be returned or counted."""
    if visibility is None:
        return []
    hidden = visibility.hidden(kind, item)
    if hidden is not None:
        return [~true_only(hidden)]
    return _ends_visible(visibility, item) if kind is Kind.ASSOCIATION else []


def _ends_visible(visibility: Visibility, link: Item) -> list[Condition]:
    conditions = [~end for end in _hidden_ends(visibility, link)]
    there, inner = object_locator.alias("inner_there"), association.alias("inner_link")
    inner_ends = _hidden_ends(visibility, inner)
    if inner_ends:
        found = sa.and_(inner.c.patient == there.c.patient, inner.c.id == there.c.id, there.c.uuid == link.c.target)
        conditions.append(~sa.exists().where(there.c.kind == Kind.ASSOCIATION.value, found, sa.or_(*inner_ends)))
    return conditions


def _hidden_ends(visibility: Visibility, link: Item) -> list[Condition]:
    """One EXISTS per end and kind that can be hidden."""
    ends: list[Condition] = []
    for kind in (Kind.DOCUMENT_ENTRY, Kind.SUBMISSION_SET, Kind.FOLDER):
        for end in ("source", "target"):
            there, item = object_locator.alias("end_there"), TABLES[kind].alias("end_item")
            hidden = visibility.hidden(kind, item)
            if hidden is not None:
                found = sa.and_(there.c.uuid == link.c[end], item.c.patient == there.c.patient, item.c.id == there.c.id)
                ends.append(sa.exists().where(there.c.kind == kind.value, found, true_only(hidden)))
    return ends
