"""What the registry says of documents, for a repository that compares: which are registered, with which hash and size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from registry.tables import REPOSITORY_SCHEME, EntryType, code, document_entry, unique_id_key, unique_identifier
from storage.database import Database, Row, in_list

#: Rows of one statement.
PAGE = 500


class DocumentFacts(NamedTuple):
    """Of a stable DocumentEntry: uniqueId, SHA-1 in lower-case hex, size in bytes."""

    uniqueId: str
    hash: str
    size: int


_SELECTED = tuple(document_entry.c[name] for name in ("patient", "id", "unique_id", "hash", "size"))
_STABLE = document_entry.c.kind == sa.literal_column(str(int(EntryType.STABLE)))
_PAGE = (
    sa.select(*_SELECTED)
    .where(
        sa.tuple_(document_entry.c.patient, document_entry.c.id) > sa.tuple_(sa.bindparam("patient"), sa.bindparam("after")),
        document_entry.c.repository
        == sa.select(code.c.id)
        .where(code.c.code == sa.bindparam("repository"), code.c.scheme == REPOSITORY_SCHEME)
        .scalar_subquery(),
        _STABLE,
    )
    .order_by(document_entry.c.patient, document_entry.c.id)
    .limit(sa.literal_column(str(PAGE)))
)
_BY_UNIQUE_ID = (
    sa.select(*_SELECTED)
    .select_from(
        unique_identifier.join(
            document_entry,
            sa.and_(document_entry.c.patient == unique_identifier.c.patient, document_entry.c.id == unique_identifier.c.id),
        )
    )
    .where(in_list(unique_identifier.c.digest, "digests"), _STABLE)
)


class RegisteredDocuments:
    """The registered documents of the repository `repository_unique_id`."""

    def __init__(self, database: Database, repository_unique_id: str) -> None:
        self._database = database
        self._repository = repository_unique_id

    def pages(self) -> Iterator[list[DocumentFacts]]:
        """Every stable DocumentEntry of this repository, in pages of one statement each."""
        at: dict[str, Any] = {"patient": 0, "after": 0, "repository": self._repository}
        while True:
            with self._database.read() as connection:
                rows = connection.execute(_PAGE, at)
            if not rows:
                return
            yield [_facts(row) for row in rows]
            at = {**at, "patient": rows[-1][0], "after": rows[-1][1]}

    def hashes(self, unique_ids: Sequence[str]) -> dict[str, set[str]]:
        """Those of the uniqueIds that some stable DocumentEntry has, whatever its repository, with its hashes."""
        found: dict[str, set[str]] = {}
        with self._database.read() as connection:
            for start in range(0, len(unique_ids), PAGE):
                digests = [unique_id_key(one) for one in unique_ids[start : start + PAGE]]
                for one in map(_facts, connection.execute(_BY_UNIQUE_ID, {"digests": digests})):
                    found.setdefault(one.uniqueId, set()).add(one.hash)
        return found


def _facts(row: Row) -> DocumentFacts:
    return DocumentFacts(row[2] or "", row[3].hex() if row[3] else "", row[4] or 0)
