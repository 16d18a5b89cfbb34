"""The trail as commands open it: by its key, each reading recorded in it before anything is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from security.audit_chain import AuditKeyError, read_key
from security.audit_store import AuditStore, entry
from server.audit_report import log_used, traces
from server.audit_setup import key_path, source_of
from server.settings import Settings
from storage.database import Database


def trail_of(settings: Settings, database: Database) -> tuple[AuditStore, bytes]:
    """The trail in this database, and its key. Raises AuditKeyError."""
    key = read_key(key_path(settings))
    return AuditStore(database, key), key


def used(store: AuditStore, settings: Settings, cxs: Sequence[str], what: str) -> None:
    """Record that the trail was read by the command `what`, for these patients."""
    where = settings.value("store.database", secret=False) or f"file:{settings.store.data}"
    store.write([entry(one) for one in log_used(cxs, what, where, source_of(settings))])


def exported(settings: Settings, database: Database, cxs: Sequence[str]) -> list[dict[str, Any]]:
    """The traces of a patient for an archive; none where no trail is kept."""
    if not settings.audit.enabled:
        return []
    try:
        store, _ = trail_of(settings, database)
    except AuditKeyError:
        if AuditStore(database, b"").heads():
            raise
        return []
    told = [one.fields("en") for one in traces(store, cxs)]
    used(store, settings, cxs[:1], "patient export")
    return told
