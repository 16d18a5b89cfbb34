"""Whose a document is: kept when it is registered (`entry_writer`), under every policy, where it is proved who submits.

Later versions change nothing of that. `SUBMITTER` is set by whoever knows the caller (`server/access.py`) for the time of one
submission; nothing is kept where nobody is proved.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextvars import ContextVar

from metadata.french import PS_OID
from metadata.model import DocumentEntry
from registry.identifiers import uuid_bytes
from registry.plan import Plan
from registry.rights import Writer
from registry.tables import entry_writer
from security.access import PATIENT_CLASS
from security.submitter import Submitter
from storage.database import Connection
from storage.statement import insert_or_ignore

SUBMITTER: ContextVar[Submitter | None] = ContextVar("submitter", default=None)
_WRITE = insert_or_ignore(entry_writer, "lid", "role", "who")


def keep_writers(connection: Connection, plan: Plan, submitter: Submitter) -> None:
    """Whose the new documents of a submission are: of who sends it, and of the authors with a national id."""
    rows = [
        {"lid": uuid_bytes(plan.ids[entry.entryUUID]), "role": int(role), "who": who}
        for entry in plan.documentEntries
        if entry.entryUUID not in plan.versions
        for role, who in dict.fromkeys(_writers(entry, submitter))
    ]
    if rows:
        connection.execute_many(_WRITE, rows)


def _writers(entry: DocumentEntry, submitter: Submitter) -> Iterator[tuple[Writer, str]]:
    if submitter.structure:
        yield Writer.STRUCTURE, submitter.structure
    if submitter.person:
        yield Writer.PERSON, submitter.person
    if submitter.patient or (entry.classCode is not None and entry.classCode.code == PATIENT_CLASS):
        yield Writer.PATIENT, ""
    for author in entry.author:
        for person in author.authorPerson:
            if f"&{PS_OID}&" in person:
                yield Writer.PERSON, person.partition("^")[0]
