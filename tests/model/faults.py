"""Servers that are wrong in one place: what the state machine must find.

Each fault is a patch of one function of the product, applied while the server is open. It stands in for a mistake that
somebody could make, and leaves everything else as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest
import sqlalchemy as sa

from metadata.rules.removal import check
from metadata.rules.rule import Existing, Facts, Linked
from metadata.update import MetadataUpdate, Outlook
from metadata.vocabulary import AssociationType
from registry import iti57, iti62, plan, search_run, search_sql, update_plan
from registry.facts import SqlFacts
from registry.identifiers import uuid_bytes, uuid_text
from registry.plan import NewAssociation
from registry.search_run import Run
from registry.search_visibility import visible
from registry.tables import Kind, association, folder
from storage.database import in_list

Fault = Callable[[pytest.MonkeyPatch], None]


def folder_inheritance_forgotten(patch: pytest.MonkeyPatch) -> None:
    """A replacement does not enter the Folders of what it replaces."""
    nothing: tuple[list[NewAssociation], list[Existing]] = ([], [])
    patch.setattr(plan, "_inherited", lambda *arguments: nothing)


def cascade_of_one_level(patch: pytest.MonkeyPatch) -> None:
    """What hangs on an addendum of a replaced document keeps its approval."""
    whole = SqlFacts.dependents
    direct = sa.select(association.c.source).where(in_list(association.c.target, "uuids"))

    def dependents(self: SqlFacts, entry_uuids: Iterable[str]) -> Sequence[Existing]:
        wanted = list(entry_uuids)
        rows = self._connection.execute(direct, {"uuids": [uuid_bytes(u) for u in wanted]})
        sources = {uuid_text(source) for (source,) in rows}
        return [one for one in whole(self, wanted) if one.entryUUID in sources]

    patch.setattr(SqlFacts, "dependents", dependents)


def association_status_ignored(patch: pytest.MonkeyPatch) -> None:
    """$XDSAssociationStatus and the level are looked at for no association."""
    patch.setattr(Run, "_links", lambda self, link: visible(self._visibility, Kind.ASSOCIATION, link))


def merge_without_folders(patch: pytest.MonkeyPatch) -> None:
    """Folders that were registered under a merged id are not found under the surviving one."""

    def of_patient(item: Any) -> tuple[sa.FromClause, list[search_sql.Condition]]:
        rows, conditions = search_sql.of_patient(item)
        own = [search_sql.MEMBER.c.id == search_sql.ROOT.c.id] if item.element is folder else []
        return rows, [*conditions, *own]

    patch.setitem(search_run._PATIENT_WAYS, "patient", of_patient)


def subsumed_id_accepted(patch: pytest.MonkeyPatch) -> None:
    """Submissions under an id that was merged away are registered."""
    patch.setattr(SqlFacts, "subsumed_by", lambda self, cx: "")
    known = SqlFacts.patient_is_known
    patch.setattr(SqlFacts, "patient_is_known", lambda self, cx: known(self, cx) or self._patient(cx) is not None)


def version_check_skipped(patch: pytest.MonkeyPatch) -> None:
    """A new version is stored whatever version its sender had seen."""
    patch.setattr(iti57, "settled", lambda findings, last: [f for f in findings if f.rule not in last])


def propagation_without_folders(patch: pytest.MonkeyPatch) -> None:
    """A new version is in none of the Folders of the version before."""
    whole = update_plan._goes_on

    def goes_on(update: MetadataUpdate, link: Linked, ahead: Outlook, facts: Facts) -> bool:
        return link.association.associationType != AssociationType.HAS_MEMBER.urn and whole(update, link, ahead, facts)

    patch.setattr(update_plan, "_goes_on", goes_on)


def orphans_left(patch: pytest.MonkeyPatch) -> None:
    """A removal may leave an object without a SubmissionSet."""
    patch.setattr(iti62, "check", lambda *arguments: [f for f in check(*arguments) if f.rule != "RM-008"])


FAULTS: tuple[Fault, ...] = (
    folder_inheritance_forgotten,
    cascade_of_one_level,
    association_status_ignored,
    merge_without_folders,
    subsumed_id_accepted,
    version_check_skipped,
    propagation_without_folders,
    orphans_left,
)
