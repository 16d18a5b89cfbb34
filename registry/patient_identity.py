"""What an identity source may change: make identifiers known, join those of one person, merge one person into another.

(ITI TF-2: 3.8.4.1.4, 3.8.4.2.4, 3.44.4.2.4.) Every function works inside the caller's transaction, locks the rows it judges and
raises `Refused` with every finding, leaving nothing. Documents are never touched: identifiers move from person to person.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import sqlalchemy as sa

from metadata.datatypes import canonical_cx
from metadata.hl7 import problem_with_cx
from metadata.ins import problem_with_ins
from metadata.rules.rule import Finding, Refused
from metadata.vocabulary import ErrorCode
from registry import patients
from registry.patients import Patient
from registry.tables import PatientState, document_entry, folder, patient, submission_set
from storage.database import Connection, Database, in_list

ADD = "ITI TF-2: 3.8.4.1.4"
MERGE = "ITI TF-2: 3.8.4.2.4"

_MOVE = sa.update(patient).where(patient.c.cluster == sa.bindparam("old")).values(cluster=sa.bindparam("new"))
_SET_STATE = sa.update(patient).where(patient.c.id == sa.bindparam("row")).values(state=sa.bindparam("new_state"))


def _any_of(table: sa.Table) -> sa.Select[tuple[int]]:
    return (
        sa.select(patient.c.cluster)
        .select_from(patient.join(table, table.c.patient == patient.c.id))
        .where(in_list(patient.c.cluster, "clusters"))
    )


#: The persons that have anything registered.
_FILLED = sa.union(_any_of(document_entry), _any_of(submission_set), _any_of(folder))


@dataclass(frozen=True, slots=True)
class Authorities:
    """The assigning authorities of the affinity domain (ITI TF-2: 3.8.4.1.4).

    `accepted` are OIDs; none: every authority is the domain's. `by_namespace` completes an identifier that names its authority
    by namespace only. `check_ins` refuses an identifier of an INS authority whose form or key is wrong. `merges` false: in this
    domain no patient is merged into another.
    """

    accepted: frozenset[str] = frozenset()
    by_namespace: Mapping[str, str] | None = None
    check_ins: bool = True
    merges: bool = True

    def cx(self, id: str, namespace: str, oid: str, kind: str = "ISO") -> str | None:
        """The identifier as the registry keeps it; None for one of another authority, which the registry ignores.

        A missing OID is completed from the namespace; `kind` is the type of the universal id (HD.3).
        """
        if not oid or kind not in ("ISO", ""):
            oid = (self.by_namespace or {}).get(namespace, "")
        if not oid or (self.accepted and oid not in self.accepted):
            return None
        return f"{id}^^^&{oid}&ISO"


def finding(rule: str, section: str, message: str, remedy: str, value: str = "", code: ErrorCode | None = None) -> Finding:
    """One reason why an identity message is refused."""
    chosen = code or ErrorCode.XDSRegistryError
    return Finding(rule=rule, code=chosen, message=message, remedy=remedy, attribute="patientId", value=value, section=section)


def problems_of_form(cxs: Sequence[str], authorities: Authorities, section: str) -> Iterator[Finding]:
    """What is wrong with the identifiers themselves: no CX with an OID, or an INS that cannot be one."""
    for cx in cxs:
        problem = problem_with_cx(cx)
        if problem is not None:
            yield finding("PIF-001", section, problem, "Send id^^^&OID&ISO.", cx)
        elif authorities.check_ins and (wrong := problem_with_ins(cx)) is not None:
            yield finding("PIF-002", section, wrong, "Correct the identifier at its source.", cx)


# ------------------------------------------------------------------------------------------------------------------- known


def make_known(connection: Connection, cxs: Sequence[str], *, also_filled: bool = False, section: str = ADD) -> bool:
    """These identifiers are one person's. True when something changed.

    Who stands for the person: the one known longest, or else the first of the list. Persons known apart are joined when at most
    one of them has anything registered; `also_filled` joins them whatever they have: an operator says so, no feed.
    """
    wanted = list(dict.fromkeys(canonical_cx(cx) for cx in cxs))
    before = patients.find(connection, wanted)
    patients.announce(connection, [cx for cx in wanted if cx not in before])
    rows = patients.lock(connection, wanted)
    _refuse(list(unusable(rows.values(), section)))
    roots = {row.cluster: row for row in sorted(rows.values(), key=lambda row: (row.cx not in before, row.id))}
    if len(roots) < 2:
        return len(before) < len(wanted)
    filled = {number for (number,) in connection.execute(_FILLED, {"clusters": list(roots)})}
    if len(filled) > 1 and not also_filled:
        shown = " and ".join(sorted(row.surviving for row in roots.values() if row.cluster in filled))
        remedy = "Merge them (A40), or join them with ./carnet patient alias."
        message = f"these are identifiers of two records that both hold documents: {shown}"
        raise Refused([finding("PIF-007", section, message, remedy)])
    first = _standing(wanted, rows, before, filled, also_filled)
    _join(connection, first.cluster, [cluster for cluster in roots if cluster != first.cluster])
    return True


def _standing(
    wanted: Sequence[str], rows: Mapping[str, Patient], before: Mapping[str, Patient], filled: set[int], operator: bool
) -> Patient:
    """The identifier whose person the others join. An operator names it first."""
    if operator:
        return rows[wanted[0]]

    def order(row: Patient) -> tuple[bool, bool, int]:
        known = row.cx in before
        return row.cluster not in filled, not known, row.id if known else wanted.index(row.cx)

    return min(rows.values(), key=order)


def _join(connection: Connection, into: int, others: Sequence[int]) -> None:
    """The persons `others` become aliases of the person `into`."""
    for cluster in others:
        connection.execute(_SET_STATE, {"row": cluster, "new_state": int(PatientState.ALIAS)})
        connection.execute(_MOVE, {"old": cluster, "new": into})


def unusable(rows: Iterable[Patient], section: str) -> Iterator[Finding]:
    """Identifiers that stand for nobody any more, and records that take nothing in."""
    for row in rows:
        if row.state is PatientState.SUBSUMED:
            message = f"the identifier was merged into {row.surviving}; there is no way back"
            yield finding("PIF-005", section, message, f"Send {row.surviving}.", row.cx)
        elif row.cluster_state is not PatientState.ACTIVE:
            word = row.cluster_state.name.lower()
            remedy = "Reopen it first: ./carnet patient reopen." if row.cluster_state is PatientState.CLOSED else "It is gone."
            yield finding("PIF-006", section, f"the record of this patient is {word}", remedy, row.cx)


def _refuse(findings: Sequence[Finding]) -> None:
    if findings:
        raise Refused(findings)


# ------------------------------------------------------------------------------------------------------------------- merge


def merge(connection: Connection, subsumed: str, surviving: str, *, section: str = MERGE) -> None:
    """The person `subsumed` is the person `surviving`: everything is found under the latter from now on, for ever.

    Refused when both are the same, either is unknown, either was merged away before, or the record of either is not open.
    Other identifiers of the subsumed person stay valid, as aliases of the surviving one.
    """
    old, new = canonical_cx(subsumed), canonical_cx(surviving)
    if old == new:
        remedy = "Send the identifier that goes in MRG-1 and the one that stays in PID-3."
        raise Refused([finding("PIF-003", section, "an identifier cannot be merged into itself", remedy, old)])
    rows = patients.lock(connection, [old, new])
    remedy = "Make it known first (A01, A04 or ./carnet patient add)."
    missing = [
        finding("PIF-004", section, "the identifier is not known", remedy, cx, ErrorCode.XDSUnknownPatientId)
        for cx in (old, new)
        if cx not in rows
    ]
    _refuse([*missing, *unusable([rows[cx] for cx in (old, new) if cx in rows], section)])
    _absorb(connection, rows[old], rows[new])


def _absorb(connection: Connection, old: Patient, new: Patient) -> None:
    goal = new.cluster
    if old.id == goal:  # an alias outlives the identifier that stood for the person
        goal = new.id
        connection.execute(_SET_STATE, {"row": goal, "new_state": int(PatientState.ACTIVE)})
    if goal != old.cluster:
        if old.cluster != old.id:  # an alias is merged, and takes its person along
            connection.execute(_SET_STATE, {"row": old.cluster, "new_state": int(PatientState.ALIAS)})
        connection.execute(_MOVE, {"old": old.cluster, "new": goal})
    connection.execute(_SET_STATE, {"row": old.id, "new_state": int(PatientState.SUBSUMED)})


# -------------------------------------------------------------------------------------------------------------- operations


class IdentityFeed:
    """The changes of ITI-8, ITI-44 and the command line over one database. One object serves all threads."""

    def __init__(self, database: Database, authorities: Authorities | None = None) -> None:
        self._database = database
        self.authorities = authorities or Authorities()

    def add(self, cxs: Sequence[str], *, section: str = ADD) -> bool:
        """`make_known`, as a feed asks for it, in one transaction. Raises Refused."""
        _refuse(list(problems_of_form(cxs, self.authorities, section)))
        return self._write(lambda connection: make_known(connection, cxs, section=section))

    def join(self, cxs: Sequence[str]) -> bool:
        """`make_known`, as an operator asks for it: the first identifier stands for the person. Raises Refused."""
        _refuse(list(problems_of_form(cxs, self.authorities, ADD)))
        return self._write(lambda connection: make_known(connection, cxs, also_filled=True))

    def merge(self, subsumed: str, surviving: str, *, section: str = MERGE) -> None:
        """`merge` in one transaction. Raises Refused, also where the domain takes no merges."""
        if not self.authorities.merges:
            remedy = "Correct the identifiers at their source, or set domain.merge = accept."
            raise Refused([finding("PIF-010", section, "merges are not taken in this affinity domain", remedy, subsumed)])
        anything = replace(self.authorities, check_ins=False)  # a wrong INS may be merged away
        _refuse(list(problems_of_form([subsumed, surviving], anything, section)))

        def work(connection: Connection) -> bool:
            merge(connection, subsumed, surviving, section=section)
            return True

        self._write(work)

    def _write(self, work: Callable[[Connection], bool]) -> bool:
        return self._database.write(work)
