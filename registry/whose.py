"""Whose are these objects? Asked by the audit trail before a removal takes them away."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from registry.identifiers import uuid_bytes
from registry.tables import object_locator, patient, unique_id_key, unique_identifier
from storage.database import Database, in_list

_root = patient.alias("root")
_PERSON = patient.join(_root, _root.c.id == patient.c.cluster)
_OBJECTS = (
    sa.select(object_locator.c.uuid, _root.c.cx)
    .select_from(object_locator.join(_PERSON, patient.c.id == object_locator.c.patient))
    .where(in_list(object_locator.c.uuid, "uuids"))
)
_DOCUMENTS = (
    sa.select(unique_identifier.c.digest, _root.c.cx)
    .select_from(unique_identifier.join(_PERSON, patient.c.id == unique_identifier.c.patient))
    .where(in_list(unique_identifier.c.digest, "digests"))
)


class Whose:
    """The patients of registered objects, as the identifier that stands for the person today."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def objects(self, entry_uuids: Iterable[str]) -> dict[str, str]:
        """By entryUUID; what is not registered is not in the answer."""
        keys = {key: one for one in entry_uuids if (key := uuid_bytes(one)) is not None}
        with self._database.read() as connection:
            return {keys[bytes(key)]: cx for key, cx in connection.execute(_OBJECTS, {"uuids": list(keys)})} if keys else {}

    def documents(self, unique_ids: Iterable[str]) -> dict[str, str]:
        """By uniqueId; what is not registered is not in the answer."""
        keys = {unique_id_key(one): one for one in unique_ids}
        with self._database.read() as connection:
            return {keys[bytes(key)]: cx for key, cx in connection.execute(_DOCUMENTS, {"digests": list(keys)})} if keys else {}
