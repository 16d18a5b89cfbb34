"""`carnet get ID...`: Retrieve Document Set (ITI-43), to files or to the standard output, every byte checked."""

from __future__ import annotations

import json
import mimetypes
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from metadata.model import DocumentEntry
from metadata.query_table import GET_DOCUMENTS
from server.commands.connection import (
    Failed,
    client_of,
    error_rows,
    print_errors,
    size_of,
    size_text,
    status_word,
    takes_server,
)
from server.commands.options import UsageError
from server.commands.query import documents_by_id
from server.commands.submit import progress_bar
from server.commands.table import printable
from soap.client import Client, Received, Retrieved, Wanted
from soap.client_errors import ClientError

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command("get")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.option("--output", "-o", metavar="FILE", help="Where to write the one document; - is the standard output.")
@click.option("--folder", type=_FOLDER, default=".", metavar="DIR", help="Folder for the files (default: here).")
@click.option("--repository-id", metavar="OID", help="repositoryUniqueId: ask the repository at once, without the registry.")
@click.option("--patient", default="", metavar="CX", help="Whose documents they are: the assertion of --as names the patient.")
@click.option("--home", default="", metavar="URN", help="homeCommunityId to put on the request.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@takes_server
def command(
    ids: tuple[str, ...],
    output: str | None,
    folder: Path,
    repository_id: str | None,
    patient: str,
    home: str,
    as_json: bool,
    **given: Any,
) -> None:
    """Retrieve documents by uniqueId or entryUUID (ITI-43).

    The registry says where each document is, how long it is and what its hash is; what comes is checked against that before it
    is given its name. Exit status 1 when a document is missing or its bytes are not the right ones.
    """
    client = client_of(given, patient)
    if output and len(ids) > 1:
        raise UsageError("--output takes one document; use --folder for several")
    if output == "-" and as_json:
        raise UsageError("--json and the document cannot both go to the standard output")
    target = Path(output).parent if output else folder
    if not target.is_dir():
        raise UsageError(f"{target} is no folder; make it first")
    with client:
        try:
            wanted = _wanted(client, ids, repository_id, home)
            with progress_bar("receiving", sum(size_of(w.size) or 0 for w in wanted)) as progress, \
                    client.retrieve(wanted, None if output == "-" else target, progress) as retrieved:  # fmt: skip
                complete = _deliver(retrieved, wanted, output, folder, as_json)
        except ClientError as error:
            raise Failed(str(error)) from None
        except OSError as error:
            raise Failed(f"{error.filename or target}: cannot be written: {error.strerror}") from None
    if not complete:
        sys.exit(1)


def _wanted(client: Client, ids: Sequence[str], repository_id: str | None, home: str) -> list[Wanted]:
    if repository_id:
        if any(value.startswith("urn:uuid:") for value in ids):
            raise UsageError("an entryUUID is known to the registry alone; give the uniqueId, or leave --repository-id out")
        return [Wanted(repository_id, value, home) for value in ids]
    found = client.query(GET_DOCUMENTS.id, documents_by_id(ids))
    if not found.accepted:
        print_errors(found.response)
        raise Failed(f"the registry answered {status_word(found.response)}")
    entries = found.objects.documentEntries
    known = {entry.uniqueId for entry in entries} | {entry.entryUUID for entry in entries}
    missing = [value for value in ids if value not in known]
    if missing:
        raise Failed(f"the registry knows no document {', '.join(missing)}")
    return [_from_entry(entry, home) for entry in {entry.uniqueId: entry for entry in entries}.values()]


def _from_entry(entry: DocumentEntry, home: str) -> Wanted:
    home = home or entry.homeCommunityId or ""
    return Wanted(entry.repositoryUniqueId or "", entry.uniqueId or "", home, entry.hash or "", entry.size or "")


def _deliver(retrieved: Retrieved, wanted: Sequence[Wanted], output: str | None, folder: Path, as_json: bool) -> bool:
    """Writes what came whole and tells of the rest. True when every document is there."""
    rows: list[dict[str, Any]] = []
    for document in retrieved.documents:
        row: dict[str, Any] = {"uniqueId": document.documentUniqueId, "mimeType": document.mimeType, "size": document.part.size}
        if document.damage:
            row["damage"] = document.damage
        elif output == "-":
            for chunk in document.part.chunks():
                sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
        else:
            path = Path(output) if output else folder / _file_name(document)
            document.save(path)
            row |= {"file": str(path), "sha1": document.part.sha1}
        rows.append(row)
    came = {document.documentUniqueId for document in retrieved.documents if not document.damage}
    missing = [w.documentUniqueId for w in wanted if w.documentUniqueId not in came]
    _print(retrieved, rows, missing, output, as_json)
    return not missing and not any("damage" in row for row in rows)


def _print(
    retrieved: Retrieved, rows: Sequence[dict[str, Any]], missing: Sequence[str], output: str | None, as_json: bool
) -> None:
    if as_json:
        result = {"status": status_word(retrieved.response), "documents": rows, "errors": error_rows(retrieved.errors)}
        click.echo(json.dumps(result, indent=2, ensure_ascii=False))
        return
    print_errors(retrieved.response)
    for row in rows:
        if "damage" in row:
            click.echo(printable(f"damaged   {row['uniqueId']}: {row['damage']}; it was not written"), err=True)
        elif output != "-":
            click.echo(printable(f"received  {row['uniqueId']}  {size_text(row['size']):>9}  {row['mimeType']}  {row['file']}"))
    for unique_id in missing:
        if unique_id not in {row["uniqueId"] for row in rows}:
            click.echo(f"missing   {unique_id}", err=True)


_EXTENSIONS = {"text/xml": ".xml", "text/plain": ".txt", "image/jpeg": ".jpg"}


def _file_name(document: Received) -> str:
    """The uniqueId and the extension of its media type: nothing that a server says leads out of the folder."""
    stem = re.sub(r"[^0-9A-Za-z._-]", "_", document.documentUniqueId).lstrip(".") or "document"
    media_type = document.mimeType.split(";")[0].strip().lower()
    return stem + (_EXTENSIONS.get(media_type) or mimetypes.guess_extension(media_type) or ".bin")
