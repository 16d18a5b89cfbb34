"""The filters of the stored queries: one row per parameter, from its values to a condition on a column.

ITI TF-2: 3.18.4.1.2.3. Values of one clause are joined by OR, clauses by AND. From is inclusive, To is exclusive; an attribute
that an entry has not got does not decide by time (3.18.4.1.2.3.3) and does not match by value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from metadata.queries import CodeValue, StoredQuery, Value
from metadata.schemes import DOCUMENT_AVAILABILITY_OFFLINE, DOCUMENT_AVAILABILITY_ONLINE, ON_DEMAND, STABLE
from metadata.vocabulary import STATUS_BY_URN
from registry.codes import CodeKey
from registry.search_sql import Condition, Item, any_item_like, any_like
from registry.tables import EntryType
from storage.database import in_list

Clause = tuple[Value, ...]
CodeIds = Mapping[CodeKey, int]
#: Which filters a request uses and with how many clauses each: it decides the text of the condition.
FilterShape = tuple[tuple[str, int], ...]

_TYPES = {STABLE: EntryType.STABLE.value, ON_DEMAND: EntryType.ON_DEMAND.value}
_OFFLINE = {DOCUMENT_AVAILABILITY_ONLINE: 0, DOCUMENT_AVAILABILITY_OFFLINE: 1}


@dataclass(frozen=True, slots=True)
class Filter:
    """`condition(item, name)` with the clause as parameter `name`; `value(clause, code ids)` gives that parameter."""

    condition: Callable[[Item, str], Condition]
    value: Callable[[Clause, CodeIds], Any]


def status_numbers(clause: Clause) -> list[int]:
    """Statuses as stored; words that are no status are left out (3.18.4.1.2.3.6)."""
    return [STATUS_BY_URN[v].db for v in clause if isinstance(v, str) and v in STATUS_BY_URN]


def _texts(clause: Clause, _: CodeIds) -> list[str]:
    return [str(v) for v in clause]


def _numbers(of: Mapping[str, int]) -> Callable[[Clause, CodeIds], list[int]]:
    return lambda clause, _: [of[v] for v in clause if isinstance(v, str) and v in of]


def _code_ids(clause: Clause, ids: CodeIds) -> list[int]:
    """A code that no object carries has no id: it matches nothing."""
    keys = [(v.code, v.scheme) for v in clause if isinstance(v, CodeValue)]
    return [ids[key] for key in keys if key in ids]


def _status() -> Filter:
    return Filter(lambda item, name: in_list(item.c.status, name), lambda clause, _: status_numbers(clause))


def _code(column: str) -> Filter:
    return Filter(lambda item, name: in_list(item.c[column], name), _code_ids)


def _codes(column: str) -> Filter:
    """A multi-valued coded attribute, stored as `,12,15,`."""
    return Filter(
        lambda item, name: any_like(item.c[column], name),
        lambda clause, ids: [f"%,{number},%" for number in _code_ids(clause, ids)],
    )


def _text(column: str) -> Filter:
    return Filter(lambda item, name: in_list(item.c[column], name), _texts)


def _pattern(column: str) -> Filter:
    return Filter(lambda item, name: any_like(item.c[column], name), _texts)


def _item_pattern(column: str) -> Filter:
    return Filter(lambda item, name: any_item_like(item.c[column], name), _texts)


def _time(column: str, *, upper: bool, otherwise: Callable[[Item], Condition] | None = None) -> Filter:
    """`otherwise`: the rows that stay in whatever the time says."""

    def condition(item: Item, name: str) -> Condition:
        bound = sa.bindparam(name, type_=sa.BigInteger, required=True)
        within: Condition = item.c[column] < bound if upper else item.c[column] >= bound
        return within if otherwise is None else sa.or_(otherwise(item), within)

    return Filter(condition, lambda clause, _: clause[0])


def _times(stem: str, column: str, otherwise: Callable[[Item], Condition] | None = None) -> dict[str, Filter]:
    return {
        f"{stem}From": _time(column, upper=False, otherwise=otherwise),
        f"{stem}To": _time(column, upper=True, otherwise=otherwise),
    }


def _missing(column: str) -> Callable[[Item], Condition]:
    return lambda item: item.c[column].is_(None)


_DE = "$XDSDocumentEntry"
#: The filters of the "and contents" queries.
CONTENT_FILTERS: Mapping[str, Filter] = {
    f"{_DE}FormatCode": _code("format_code"),
    f"{_DE}ConfidentialityCode": _codes("confidentiality_codes"),
    f"{_DE}Type": Filter(lambda item, name: in_list(item.c.kind, name), _numbers(_TYPES)),
}
TYPE_FILTER = {f"{_DE}Type": CONTENT_FILTERS[f"{_DE}Type"]}
STATUS_FILTER = {f"{_DE}Status": _status()}
DOCUMENT_FILTERS: Mapping[str, Filter] = {
    **STATUS_FILTER,
    **CONTENT_FILTERS,
    f"{_DE}ClassCode": _code("class_code"),
    f"{_DE}TypeCode": _code("type_code"),
    f"{_DE}PracticeSettingCode": _code("practice_code"),
    f"{_DE}HealthcareFacilityTypeCode": _code("facility_code"),
    f"{_DE}EventCodeList": _codes("event_codes"),
    f"{_DE}AuthorPerson": _item_pattern("author_persons"),
    f"{_DE}ReferenceIdList": _item_pattern("reference_ids"),
    f"{_DE}Title": _pattern("title"),
    f"{_DE}DocumentAvailability": Filter(
        lambda item, name: in_list(sa.func.coalesce(item.c.offline, 0), name), _numbers(_OFFLINE)
    ),
    # An on-demand document is created when it is asked for: its creationTime says nothing (3.18.4.1.2.3.7.1).
    **_times(f"{_DE}CreationTime", "creation_time", lambda item: item.c.kind == EntryType.ON_DEMAND.value),
    **_times(f"{_DE}ServiceStartTime", "service_start", _missing("service_start")),
    **_times(f"{_DE}ServiceStopTime", "service_stop", _missing("service_stop")),
}
_SS = "$XDSSubmissionSet"
SET_STATUS_FILTER = {f"{_SS}Status": _status()}
SET_FILTERS: Mapping[str, Filter] = {
    **SET_STATUS_FILTER,
    f"{_SS}SourceId": _text("source_id"),
    f"{_SS}ContentType": _code("content_type_code"),
    f"{_SS}AuthorPerson": _item_pattern("author_persons"),
    **_times(f"{_SS}SubmissionTime", "submission_time"),
}
_FD = "$XDSFolder"
FOLDER_STATUS_FILTER = {f"{_FD}Status": _status()}
FOLDER_FILTERS: Mapping[str, Filter] = {
    **FOLDER_STATUS_FILTER,
    f"{_FD}CodeList": _codes("codes"),
    **_times(f"{_FD}LastUpdateTime", "last_update"),
}


def filter_shape(filters: Mapping[str, Filter], query: StoredQuery) -> FilterShape:
    """Those of `filters` that the request uses, in the order of the table."""
    sent = query.parameters
    return tuple((name, len(sent[name])) for name in filters if name in sent)


def filter_conditions(filters: Mapping[str, Filter], shape: FilterShape, item: Item) -> list[Condition]:
    return [filters[name].condition(item, _parameter(name, n)) for name, count in shape for n in range(count)]


def filter_parameters(filters: Mapping[str, Filter], shape: FilterShape, query: StoredQuery, ids: CodeIds) -> dict[str, Any]:
    sent = query.parameters
    return {_parameter(name, n): filters[name].value(clause, ids) for name, _ in shape for n, clause in enumerate(sent[name])}


def _parameter(name: str, clause: int) -> str:
    return f"{name[1:]}_{clause}"


def code_keys(query: StoredQuery) -> list[CodeKey]:
    """Every coded value of the request, to be looked up in one go."""
    return [
        (value.code, value.scheme)
        for clauses in query.parameters.values()
        for clause in clauses
        for value in clause
        if isinstance(value, CodeValue)
    ]
