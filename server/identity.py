"""The repositoryUniqueId of a store whose settings name none: made once, kept in the database, the same for every process."""

from __future__ import annotations

import uuid

import sqlalchemy as sa

from registry.tables import code
from storage.database import Connection, Database
from storage.statement import insert_or_ignore

#: `code.scheme` of the row: an interned value like the others, of which there is one.
SCHEME = "#thisRepository"

_FIND = sa.select(code.c.code).where(code.c.scheme == SCHEME).order_by(code.c.id).limit(sa.literal_column("1"))
_INSERT = insert_or_ignore(code, "code", "scheme")


def repository_unique_id(database: Database) -> str:
    """The kept id; the first call on a new store makes one (an OID under 2.25, from a UUID: ITU-T X.667)."""
    with database.read() as connection:
        rows = connection.execute(_FIND)
    if rows:
        return str(rows[0][0])

    def work(connection: Connection) -> str:
        connection.execute_many(_INSERT, [{"code": f"2.25.{uuid.uuid4().int}", "scheme": SCHEME}])
        return str(connection.execute(_FIND)[0][0])

    return database.write(work)
