"""Interned values: a code with its scheme is a small integer in every row, cached for the life of the process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import sqlalchemy as sa

from registry.tables import code
from storage.database import Connection, in_list
from storage.statement import insert_or_ignore

#: A code and its scheme; the display name is no part of it (ITI TF-3: 4.2.3.1.2).
CodeKey = tuple[str, str]

_BY_CODE = sa.select(code.c.id, code.c.code, code.c.scheme).where(in_list(code.c.code, "codes"))
_BY_ID = sa.select(code.c.id, code.c.code, code.c.scheme).where(in_list(code.c.id, "ids"))
_INSERT = insert_or_ignore(code, "code", "scheme")


class CodeBook:
    """The two directions of the table `code`. A row never changes, so what is cached stays true."""

    def __init__(self) -> None:
        self._ids: dict[CodeKey, int] = {}
        self._keys: dict[int, CodeKey] = {}

    def known(self, connection: Connection, keys: Iterable[CodeKey]) -> dict[CodeKey, int]:
        """The ids of those keys that have one: a query for another code finds nothing. At most one statement."""
        wanted = set(keys)
        missing = wanted - self._ids.keys()
        if missing:
            self.remember(self._load(connection, missing))
        return {key: self._ids[key] for key in wanted if key in self._ids}

    def interned(self, connection: Connection, keys: Iterable[CodeKey]) -> tuple[Mapping[CodeKey, int], Mapping[CodeKey, int]]:
        """Ids for all keys, made where there is none; and those not cached yet, for `remember` after the commit.

        A transaction that is rolled back takes its new ids with it: they must not be in the cache before.
        """
        wanted = set(keys)
        missing = wanted - self._ids.keys()
        if not missing:
            return self._ids, {}
        fresh = self._load(connection, missing)
        absent = sorted(missing - fresh.keys())  # one order for everybody: no deadlock
        if absent:
            connection.execute_many(_INSERT, [{"code": value, "scheme": scheme} for value, scheme in absent])
            fresh = self._load(connection, missing)
        return {**self._ids, **fresh}, fresh

    def key(self, connection: Connection, id: int) -> CodeKey:
        """The code and scheme of an id that stands in a row."""
        if id not in self._keys:
            self.remember({(value, scheme): number for number, value, scheme in connection.execute(_BY_ID, {"ids": [id]})})
        return self._keys[id]

    def remember(self, ids: Mapping[CodeKey, int]) -> None:
        """Cache committed rows."""
        self._ids.update(ids)
        self._keys.update((number, key) for key, number in ids.items())

    @staticmethod
    def _load(connection: Connection, keys: set[CodeKey]) -> dict[CodeKey, int]:
        rows = connection.execute(_BY_CODE, {"codes": sorted({value for value, _ in keys})})
        return {(value, scheme): number for number, value, scheme in rows if (value, scheme) in keys}
