"""What a query found, as a table for a person and as JSON for a program."""

from __future__ import annotations

import dataclasses
from typing import Any

import click

from metadata.model import Association, Code, DocumentEntry, Entity, Folder, Submission, SubmissionSet
from metadata.schemes import REFERENCE_ID_LIST_SLOT
from server.commands.connection import size_of, size_text
from server.commands.table import printable

#: Width of a table that no terminal bounds.
_WIDE = 220
_UNBROKEN = frozenset({"unique id", "created", "submitted", "updated", "size"})


def entity_json(entity: Entity) -> dict[str, Any]:
    """The attributes that have a value, under their IHE names; extra slots as they are under `slots`."""
    values = {f.name: getattr(entity, f.name) for f in dataclasses.fields(entity) if f.name != "raw"}
    known = {name: _plain(value) for name, value in values.items() if value not in (None, (), "", False)}
    extra = {s.name: list(s.values) for s in entity.raw.slots if s.name.startswith("urn:") and s.name != REFERENCE_ID_LIST_SLOT}
    return {"kind": entity.kind.value, **known, **({"slots": extra} if extra else {})}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {name: item for name, item in dataclasses.asdict(value).items() if item}
    return value


def objects_json(objects: Submission) -> list[dict[str, Any]]:
    """Every object of an answer, kind by kind in the order of the answer."""
    return [entity_json(entity) for entity in objects.entities()]


def print_objects(objects: Submission) -> None:
    """One table for each kind that was found, newest document first."""
    entries = sorted(objects.documentEntries, key=lambda entry: entry.creationTime or "", reverse=True)
    _table("documents", ("created", "title", "type", "status", "size", "unique id"), [_document(entry) for entry in entries])
    _table("submission sets", ("submitted", "title", "content", "status", "unique id"), list(map(_set, objects.submissionSets)))
    _table("folders", ("updated", "title", "codes", "status", "unique id"), list(map(_folder, objects.folders)))
    _table("associations", ("type", "status", "source", "target"), list(map(_association, objects.associations)))


def print_references(references: tuple[tuple[str, str | None], ...]) -> None:
    """One id a line, its home behind it."""
    for entry_uuid, home in references:
        click.echo(printable(f"{entry_uuid} {home}" if home else entry_uuid))


def _table(title: str, head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    if not rows:
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDE)
    count = f"{len(rows)} {title if len(rows) > 1 else title[:-1]}"
    table = Table(box=None, header_style="bold", title=count, title_justify="left")
    for name in head:
        table.add_column(name, no_wrap=name in _UNBROKEN, justify="right" if name == "size" else "left")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))  # Text: what a server sends is never read as markup
    console.print(table)


def _document(entry: DocumentEntry) -> tuple[str, ...]:
    octets = size_of(entry.size)
    size = size_text(octets) if octets is not None else ""
    status = _last(entry.availabilityStatus)
    return _time(entry.creationTime), entry.title or "", _shown(entry.typeCode), status, size, entry.uniqueId or ""


def _set(submission_set: SubmissionSet) -> tuple[str, ...]:
    return (
        _time(submission_set.submissionTime), submission_set.title or "", _shown(submission_set.contentTypeCode),
        _last(submission_set.availabilityStatus), submission_set.uniqueId or "",
    )  # fmt: skip


def _folder(folder: Folder) -> tuple[str, ...]:
    codes = ", ".join(map(_shown, folder.codeList))
    return _time(folder.lastUpdateTime), folder.title or "", codes, _last(folder.availabilityStatus), folder.uniqueId or ""


def _association(association: Association) -> tuple[str, ...]:
    status = _last(association.availabilityStatus)
    return _last(association.associationType), status, association.sourceObject, association.targetObject


def _shown(code: Code | None) -> str:
    return (code.display or code.code) if code else ""


def _last(urn: str | None) -> str:
    return (urn or "").rpartition(":")[2]


def _time(text: str | None) -> str:
    """20240131101500 as 2024-01-31 10:15."""
    value = text or ""
    if len(value) < 8 or not value.isdigit():
        return value
    clock = f" {value[8:10]}:{value[10:12]}" if len(value) >= 12 else ""
    return f"{value[:4]}-{value[4:6]}-{value[6:8]}{clock}"
