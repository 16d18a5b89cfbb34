"""The end of a record: its documents with their bytes, its objects with all versions; the evidence stays.

Two steps (`registry.record.Records`): the destruction is asked for, and confirmed with the word that this gave. The order is such
that a death on the way leaves a record that nobody reads, and the second step can be taken again.
"""

from __future__ import annotations

from dataclasses import dataclass

from registry import patients
from registry.record import Event, Records, tell
from registry.record_rows import delete_rows, unique_ids_of
from repository import removal
from server.wiring import Kit
from storage.crash import crash_point
from storage.database import Connection


@dataclass(frozen=True, slots=True)
class Destroyed:
    """How much is gone: objects by kind, and documents of this repository."""

    objects: dict[str, int]
    documents: int


def destroy_record(kit: Kit, cx: str, word: str) -> Destroyed:
    """Destroy the record of a patient, for ever. Raises Refused.

    What is left: its identifiers, so that nobody takes them again unseen; its events, the last of which counts what there was;
    and for each document a row that says that it was removed. A document that another record describes as well stays.
    """
    one = Records(kit.database).begin_destruction(cx, word)
    crash_point("destruction-begun")
    with kit.database.snapshot() as connection:
        members = patients.cluster_of(connection, one.cluster)
        ids = [member.id for member in members]
        own, shared = unique_ids_of(connection, ids)
    documents = [d for d in kit.index.of_patients([m.cx for m in members], own) if d.uniqueId not in shared]
    if documents:
        removal.delete(kit.store, kit.index, documents)
    crash_point("destruction-documents")

    def work(connection: Connection) -> Destroyed:
        counts = delete_rows(connection, ids)
        tell(connection, one, Event.DESTROYED, **counts, documents=len(documents))
        return Destroyed(counts, len(documents))

    done = kit.database.write(work)
    kit.database.scrub()
    return done
