"""A table to write into: interned codes, with a unique key and nothing else to say."""

from __future__ import annotations

import sqlalchemy as sa

from registry.tables import code
from storage.database import Connection, Database

INSERT = sa.insert(code).values(code=sa.bindparam("word"), scheme="test")
ALL = sa.select(code.c.code).order_by(code.c.code)
DELETE = sa.delete(code).where(code.c.code == sa.bindparam("word"))


def put(connection: Connection, *words: str) -> None:
    for word in words:
        connection.execute(INSERT, {"word": word})


def words(database: Database) -> list[str]:
    with database.read() as connection:
        return [row[0] for row in connection.execute(ALL)]
