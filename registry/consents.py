"""Consents that patients have acknowledged: what their BPPC documents say (ITI TF-3: 5.1).

A consent is a DocumentEntry with a BPPC formatCode; each code of its eventCodeList is a policy that the patient acknowledged,
from serviceStartTime to serviceStopTime. Nothing is kept beside the entry: what is replaced, deprecated or removed says nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from registry import patients
from registry.record import now, of
from registry.search_sql import APPROVED
from registry.tables import code, document_entry
from storage.database import Connection, Database, in_list

#: formatCodes of a consent: without and with a scanned part. Both spellings of the latter are in use.
FORMATS = ("urn:ihe:iti:bppc:2007", "urn:ihe:iti:bppc-sd:2007", "urn:ihe:iti:bppc:2007-sd")

_entry = document_entry.c
_CONSENTS = (
    sa.select(_entry.event_codes, _entry.service_start, _entry.service_stop, _entry.unique_id)
    .select_from(document_entry.join(code, code.c.id == _entry.format_code))
    .where(
        in_list(_entry.patient, "rows"),
        _entry.status == APPROVED,
        sa.or_(*(code.c.code == sa.literal(one, sa.Text) for one in FORMATS)),
    )
    .order_by(_entry.id)
)
_CODES = sa.select(code.c.id, code.c.code, code.c.scheme).where(in_list(code.c.id, "ids"))


@dataclass(frozen=True, slots=True)
class Consent:
    """One acknowledged policy. `start` and `stop` are UTC, YYYYMMDDhhmmss, None where the document does not say."""

    policy: str
    scheme: str
    start: str | None
    stop: str | None
    uniqueId: str
    in_force: bool


class Consents:
    """The consents over one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of_patient(self, cx: str) -> list[Consent]:
        """What the person behind an identifier has acknowledged, oldest document first. Raises Refused for an unknown patient."""
        with self._database.snapshot() as connection:
            one = of(connection, cx, lock=False)
            return acknowledged(connection, [member.id for member in patients.cluster_of(connection, one.cluster)])

    def in_force(self, rows: Sequence[int], policies: Collection[str]) -> bool:
        """Whether one of the policies is acknowledged today by the person of these patient rows."""
        with self._database.snapshot() as connection:
            return any(one.in_force and one.policy in policies for one in acknowledged(connection, rows))


def acknowledged(connection: Connection, rows: Sequence[int]) -> list[Consent]:
    """Every policy of every approved consent document of these patient rows."""
    found = connection.execute(_CONSENTS, {"rows": list(rows)})
    ids = {int(number) for events, *_ in found for number in (events or "").split(",") if number}
    words = {number: (value, scheme) for number, value, scheme in connection.execute(_CODES, {"ids": sorted(ids)})}
    today, consents = int(now()), []
    for events, start, stop, unique_id in found:
        in_force = (start is None or start <= today) and (stop is None or today < stop)
        for number in filter(None, (events or "").split(",")):
            policy, scheme = words[int(number)]
            shown = (None if start is None else str(start), None if stop is None else str(stop))
            consents.append(Consent(policy, scheme, *shown, unique_id or "", in_force))
    return consents
