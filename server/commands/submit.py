"""`carnet submit FILE...`: Provide and Register (ITI-41), several files in one submission."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from metadata.fragments import build_submit_objects_request
from metadata.model import Code, Submission
from metadata.query_table import GET_DOCUMENTS
from metadata.vocabulary import AvailabilityStatus
from server.cda import is_cda, judge
from server.commands.connection import (
    Failed,
    client_of,
    error_rows,
    print_errors,
    same_server,
    size_text,
    status_word,
    takes_server,
)
from server.commands.options import UsageError
from server.commands.submit_options import LOOKED_AT, CodeType, Read, given_attributes, read_file, takes_metadata
from server.commands.submit_signature import SetSignature, signature_over
from server.description import CONTENT_TYPE, Replacement, build_submission, document_id, new_oid, to_json
from server.launcher import program
from soap.client import Client, Content, Reply
from soap.client_errors import ClientError

#: sourceId of this client (ITI TF-3: 4.2.3.3.9), under the arc of the sample set.
SOURCE_ID = "2.25.298614307.9"
_SHOW_PROGRESS_FROM = 1_000_000
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("submit")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=_FILE)
@click.option("--replace", "replaced", multiple=True, metavar="ID", help="entryUUID or uniqueId of what FILE replaces.")
@click.option("--source-id", default=SOURCE_ID, metavar="OID", help="sourceId: the OID of the sending system.")
@click.option("--content-type", type=CodeType(), default=None, help="contentTypeCode of the submission.")
@click.option("--dmp", is_flag=True, help="Patient ids with their type (CX-5: NH, PI), as the French DMP has them.")
@click.option("--check", is_flag=True, help="Judge CDA documents first (CDA R2, French profile); send nothing when one is wrong.")
@click.option("--sign", is_flag=True, help="Add a signature over the set, with the card of --pki and --as (--dmp: French form).")
@click.option("--dry-run", is_flag=True, help="Print the metadata as JSON and send nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@takes_metadata
@takes_server
def command(
    files: tuple[Path, ...],
    replaced: tuple[str, ...],
    source_id: str,
    content_type: Code | None,
    dmp: bool,
    check: bool,
    sign: bool,
    dry_run: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Submit documents to a repository (ITI-41).

    The metadata come from the CDA header, from FILE.json beside the file (as `carnet sample` writes it), and from the options,
    which overrule both. Several files become one submission; options hold for each of them. A CDA document that replaces another
    (relatedDocument RPLC) is sent as its replacement.
    """
    if len(files) > 1 and (given["a_uniqueId"] or replaced):
        raise UsageError("--unique-id and --replace belong to one document: submit that file alone")
    if sign and not (given["pki"] and given["as_name"]):
        raise UsageError("--sign needs a card: give --pki DIR and --as NAME, a folder of `carnet pki` and whose card there signs")
    card = (Path(given["pki"]), str(given["as_name"])) if sign else None
    read = _read(files, given, dmp)
    client = client_of(given, next((one.description.patientId for one in read if one.description is not None), ""))
    if check:
        _check(files)
    if dry_run:
        click.echo(json.dumps([to_json(one.description) for one in read if one.description], indent=2, ensure_ascii=False))
        return
    with client:
        try:
            set_id = new_oid()
            signature = _signature(read, set_id, card, dmp) if card else None
            submission = _submission(client, read, replaced, source_id, content_type, set_id, signature)
            reply = _send(client, submission, read, signature)
        except ClientError as error:
            raise Failed(str(error)) from None
        except OSError as error:
            raise Failed(f"{error.filename}: cannot be read: {error.strerror}") from None
        except ValueError as error:
            raise Failed(f"a file changed while it was sent, nothing was accepted: {error}") from None
    _print(client, submission, read, reply, as_json)
    if not reply.accepted:
        sys.exit(1)


def _read(files: Sequence[Path], given: dict[str, Any], dmp: bool) -> list[Read]:
    """All files described, and of one patient. Raises UsageError with everything that keeps them from it."""
    read = [read_file(path, given_attributes(given), dmp) for path in files]
    problems = [problem for one in read for problem in one.problems]
    if problems:
        raise UsageError("\n".join(["nothing was sent:", *problems]))
    patients = {one.description.patientId: one.path for one in read if one.description is not None}
    if len(patients) > 1:
        shown = "\n".join(f"{path}: {patient}" for patient, path in patients.items())
        raise UsageError(f"nothing was sent: the files are of {len(patients)} patients, a submission is of one\n{shown}")
    return read


def _check(files: Sequence[Path]) -> None:
    """Raises Failed with every finding in the CDA documents among the files."""
    lines = []
    for path in files:
        with path.open("rb") as file:
            if is_cda(file.read(LOOKED_AT)):
                file.seek(0)
                lines += [f"{path}: {finding.text()}" for finding in judge(file)]
    if lines:
        raise Failed("\n".join(["nothing was sent:", *lines]))


def _signature(read: Sequence[Read], set_id: str, card: tuple[Path, str], dmp: bool) -> SetSignature:
    described = [(one.description, one.path) for one in read if one.description is not None]
    return signature_over(described, set_id, *card, french=dmp)


def _submission(
    client: Client,
    read: Sequence[Read],
    replaced: Sequence[str],
    source_id: str,
    content_type: Code | None,
    set_id: str,
    signature: SetSignature | None,
) -> Submission:
    replacements = [_replacement(client, one, replaced) for one in read]
    descriptions = [one.description for one in read if one.description is not None]
    if signature is not None:
        descriptions.append(signature.description)
    return build_submission(
        descriptions,
        source_id=source_id,
        replacements=replacements,
        content_type=content_type or CONTENT_TYPE,
        unique_id=set_id,
        author=(signature.author,) if signature else (),
        signs=[(document_id(len(read)), target) for target in signature.targets] if signature else (),
    )


def _replacement(client: Client, read: Read, replaced: Sequence[str]) -> Replacement | None:
    """The entryUUID that this file replaces; a uniqueId is looked up in the registry (ITI-18 GetDocuments)."""
    wanted = tuple(replaced) or read.replaces
    if not wanted:
        return None
    if len(wanted) > 1:
        raise Failed(f"{read.path}: replaces {len(wanted)} documents ({', '.join(wanted)}); a replacement has one predecessor")
    if wanted[0].startswith("urn:uuid:"):
        return Replacement(wanted[0])
    found = client.query(GET_DOCUMENTS.id, [("$XDSDocumentEntryUniqueId", [f"('{wanted[0]}')"])])
    approved = [e for e in found.objects.documentEntries if e.availabilityStatus == AvailabilityStatus.APPROVED.urn]
    if not approved:
        print_errors(found.response)
        state = "is not approved any more" if found.objects.documentEntries else "is not known to the registry"
        raise Failed(f"{read.path}: the document {wanted[0]} that it replaces {state}; nothing was sent")
    return Replacement(approved[0].entryUUID)


def _send(client: Client, submission: Submission, read: Sequence[Read], signature: SetSignature | None) -> Reply:
    contents = [
        Content(document_id(number), one.description.mimeType, one.path)
        for number, one in enumerate(read)
        if one.description is not None
    ]
    if signature is not None:
        contents.append(Content(document_id(len(read)), signature.description.mimeType, signature.content))
    try:
        message = build_submit_objects_request(submission)
    except ValueError as error:
        raise UsageError(f"the metadata cannot be written as XML: {error}") from None
    with progress_bar("sending", sum(content.size for content in contents)) as progress:
        return client.provide(message, contents, progress)


@contextmanager
def progress_bar(what: str, total: int) -> Iterator[Callable[[int], None] | None]:
    """A bar on the error stream while something long is under way and a person looks on; yields what is told the progress."""
    if total < _SHOW_PROGRESS_FROM or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda octets: bar.update(task, advance=octets)


def _print(client: Client, submission: Submission, read: Sequence[Read], reply: Reply, as_json: bool) -> None:
    rows = [
        {
            "file": str(one.path),
            "uniqueId": d.uniqueId,
            "patientId": d.patientId,
            "title": d.title,
            "size": one.path.stat().st_size,
        }
        for one in read
        if (d := one.description) is not None
    ]
    if as_json:
        result = {
            "status": status_word(reply.response),
            "submissionSet": submission.submissionSet.uniqueId if submission.submissionSet else "",
            "documents": rows,
            "errors": error_rows(reply.errors),
        }
        click.echo(json.dumps(result, indent=2, ensure_ascii=False))
        return
    print_errors(reply.response)
    if not reply.accepted:
        click.echo(f"{status_word(reply.response)}: {client.repository} refused the submission", err=True)
        return
    for row in rows:
        click.echo(f"accepted  {row['uniqueId']}  {size_text(int(str(row['size']))):>9}  {row['title']}")
    count, patient = f"{len(rows)} document{'s' if len(rows) > 1 else ''}", str(rows[0]["patientId"])
    click.echo(f"{count} for {patient}. Next: {program()} get {rows[0]['uniqueId']}{same_server(patient)}")
