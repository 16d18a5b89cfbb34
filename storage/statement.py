"""From a SQLAlchemy Core statement to the text and the parameter order of the bare driver, once per statement and dialect.

Only text, parameter names and constants are taken from SQLAlchemy: values pass to the driver as they are, so columns hold
what both drivers speak natively (int, str, bytes, None). A list parameter is one value whatever its length: `in_list`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from json.encoder import encode_basestring_ascii as _quoted
from operator import itemgetter
from typing import Any
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import psycopg
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

DIALECTS: dict[str, Dialect] = {
    "sqlite": sqlite.dialect(paramstyle="qmark"),
    "postgresql": psycopg.dialect(paramstyle="format"),  # type: ignore[no-untyped-call]
}

Parameters = Mapping[str, Any]


class _ListType(sa.types.UserDefinedType[Any]):
    """The type of a list parameter; `binary` when its items are bytes."""

    cache_ok = True

    def __init__(self, binary: bool) -> None:
        self.binary = binary

    def get_col_spec(self, **_: Any) -> str:
        return "LIST"


class _InList(FunctionElement[bool]):
    name = "in_list"
    type = sa.Boolean()
    inherit_cache = True

    def self_group(self, against: Any = None) -> _InList:
        """Itself: SQLite has no booleans, and `(x IN ...) = 1`, as SQLAlchemy would write it, uses no index."""
        return self


@compiles(_InList, "postgresql")
def _any_of_array(element: _InList, compiler: SQLCompiler, **options: Any) -> str:
    column, values = element.clauses
    item_type = compiler.dialect.type_compiler_instance.process(column.type)
    return f"{compiler.process(column, **options)} = ANY ({compiler.process(values, **options)}::{item_type}[])"


@compiles(_InList, "sqlite")
def _in_json_list(element: _InList, compiler: SQLCompiler, **options: Any) -> str:
    column, values = element.clauses
    item = "unhex(value)" if isinstance(column.type, sa.LargeBinary) else "value"
    return f"{compiler.process(column, **options)} IN (SELECT {item} FROM json_each({compiler.process(values, **options)}))"


def in_list(column: sa.ColumnElement[Any], name: str) -> sa.ColumnElement[bool]:
    """`column IN (the items of parameter name)`: one statement text for every length of the list, an empty one included.

    The parameter is given as any iterable of the column's values (without None).
    """
    values = sa.bindparam(name, type_=_ListType(isinstance(column.type, sa.LargeBinary)), required=True)
    return _InList(column, values)


def list_parameter(name: str) -> sa.BindParameter[Any]:
    """A list of strings or numbers as one parameter, for a construct that unpacks it itself."""
    return sa.bindparam(name, type_=_ListType(binary=False), required=True)


def _sqlite_list(items: Iterable[Any]) -> str:
    """JSON by hand: an encoder takes four times as long for the few short items of most lists."""
    return f"[{','.join([_quoted(item) if type(item) is str else _plain(item) for item in items])}]"


def _plain(item: Any) -> str:
    return str(item) if type(item) is int else json.dumps(item)


def _sqlite_binary_list(items: Iterable[bytes]) -> str:
    return f"[{','.join([_quoted(item.hex()) for item in items])}]"


def insert_or_ignore(table: sa.Table, *columns: str) -> sa.Executable:
    """INSERT of the named columns (all when none is named) that leaves an existing row with the same key as it is."""
    names = columns or tuple(c.name for c in table.columns)
    # SQLite understands PostgreSQL's clause, and its compiler the same element.
    return postgresql.insert(table).values({n: sa.bindparam(n) for n in names}).on_conflict_do_nothing()


#: A plain INSERT of one row: its end.
_ONE_ROW = re.compile(r"^INSERT INTO .* VALUES (\([^()]*\))$", re.DOTALL)


class Compiled:
    """One statement for one dialect: `sql`, `returns_rows`, and `bind` from named parameters to the driver's tuple."""

    __slots__ = ("_constants", "_lists", "_pick", "_several", "_single", "returns_rows", "sql")

    def __init__(self, statement: sa.Executable, dialect: str) -> None:
        compiled = statement.compile(dialect=DIALECTS[dialect])  # type: ignore[attr-defined]
        if compiled.post_compile_params:
            raise TypeError(f"a list of values belongs in in_list(column, name), not in in_(): {compiled}")
        names = list(compiled.positiontup or ())
        self.sql: str = str(compiled)
        self.returns_rows = bool(getattr(statement, "is_select", False) or compiled.effective_returning or _is_text(statement))
        self._constants = {n: compiled.binds[n].value for n in names if not compiled.binds[n].required}
        self._lists = tuple((n, _list_converter(compiled.binds[n].type, dialect)) for n in dict.fromkeys(names)
                            if isinstance(compiled.binds[n].type, _ListType))
        self._single = names[0] if len(names) == 1 else None
        self._pick: Callable[[Parameters], tuple[Any, ...]] = itemgetter(*names) if len(names) > 1 else lambda _: ()
        self._several: dict[int, str] = {}

    def bind(self, parameters: Parameters) -> tuple[Any, ...]:
        """The driver's parameters in order. KeyError names a missing one."""
        if self._constants or self._lists:
            parameters = {**self._constants, **parameters}
            for name, convert in self._lists:
                parameters[name] = convert(parameters[name])
        if self._single is not None:
            return (parameters[self._single],)
        return self._pick(parameters)

    def several(self, count: int) -> str:
        """The same INSERT with `count` rows in it; "" for any other statement. One text for each count: ask for small ones."""
        found = self._several.get(count)
        if found is None:
            row = _ONE_ROW.match(self.sql)
            found = self._several[count] = self.sql + f", {row[1]}" * (count - 1) if row else ""
        return found


def _is_text(statement: sa.Executable) -> bool:
    """A text() statement is counted as one that returns rows: write what changes data with Core."""
    return isinstance(statement, sa.TextClause)


def _list_converter(kind: _ListType, dialect: str) -> Callable[[Iterable[Any]], Any]:
    if dialect == "postgresql":
        return list
    return _sqlite_binary_list if kind.binary else _sqlite_list


_compiled: dict[str, WeakKeyDictionary[sa.Executable, Compiled]] = {name: WeakKeyDictionary() for name in DIALECTS}


def compiled(statement: sa.Executable, dialect: str) -> Compiled:
    """The compiled form, made at the first use and kept as long as the statement object lives.

    The key is the object itself: build a statement once (at import, or in a cache of shapes), never per call.
    """
    cache = _compiled[dialect]
    found = cache.get(statement)
    if found is None:
        found = cache[statement] = Compiled(statement, dialect)
    return found
