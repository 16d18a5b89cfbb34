"""`carnet patient open | close | reopen | events | export | import | destroy`: the record of a patient as one thing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from server.commands.options import settings_of, takes_settings
from server.commands.patient import canonical, command, database_of
from server.settings import Settings

if TYPE_CHECKING:
    from registry.record import Records
    from server.wiring import Kit


@contextmanager
def records_of(settings: Settings, make: bool = False) -> Iterator[Records]:
    """The store's records. A refusal ends the command with every reason."""
    from metadata.rules.rule import Refused
    from registry.record import Records

    with database_of(settings, make=make) as database:
        try:
            yield Records(database, settings.domain.retention_years)
        except Refused as refused:
            raise click.ClickException("\n".join(finding.text() for finding in refused.findings)) from None


@contextmanager
def kit_of(settings: Settings) -> Iterator[Kit]:
    """The open store, documents and all. What is refused or cannot be done ends the command."""
    from metadata.rules.rule import Refused
    from server import wiring
    from server.record_archive import ArchiveError
    from storage.errors import StorageError

    with database_of(settings):
        kit = wiring.open_kit(settings)
        try:
            yield kit
        except Refused as refused:
            raise click.ClickException("\n".join(finding.text() for finding in refused.findings)) from None
        except FileExistsError as error:
            raise click.ClickException(f"{error.filename} is there already: name a new file") from None
        except (ArchiveError, StorageError, OSError) as error:
            raise click.ClickException(str(error)) from None
        finally:
            kit.close()


@command.command("open")
@click.argument("identifier", metavar="CX")
@takes_settings("data", "database")
def open_(identifier: str, **given: Any) -> None:
    """Open a record for a patient whom nobody knows yet."""
    cx = canonical(identifier)
    with records_of(settings_of(given), make=True) as records:
        records.open(cx)
    click.echo(f"{cx}  opened")


@command.command("close")
@click.argument("identifier", metavar="CX")
@click.option("--reason", default="", metavar="TEXT", help="Why; kept with the event.")
@takes_settings("data", "database")
def close(identifier: str, reason: str, **given: Any) -> None:
    """Close the record: nothing enters it and nobody reads it, but nothing is lost."""
    cx = canonical(identifier)
    with records_of(settings_of(given)) as records:
        records.close(cx, reason)
    click.echo(f"{cx}  closed")


@command.command("reopen")
@click.argument("identifier", metavar="CX")
@click.option("--reason", default="", metavar="TEXT", help="Why; kept with the event.")
@takes_settings("data", "database")
def reopen(identifier: str, reason: str, **given: Any) -> None:
    """Reopen a closed record, as long as it is retained."""
    cx = canonical(identifier)
    with records_of(settings_of(given)) as records:
        records.reopen(cx, reason)
    click.echo(f"{cx}  open again")


@command.command("events")
@click.argument("identifier", metavar="CX")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@takes_settings("data", "database")
def events(identifier: str, as_json: bool, **given: Any) -> None:
    """List what was done to the record as a whole."""
    with records_of(settings_of(given)) as records:
        told = records.events(canonical(identifier))
    if as_json:
        click.echo(json.dumps([{"at": one.at, "event": one.event.value, **one.detail} for one in told], indent=2))
        return
    for one in told:
        click.echo("  ".join([one.at, one.event.value, *(f"{name}: {value}" for name, value in one.detail.items())]))


@command.command("export")
@click.argument("identifier", metavar="CX")
@click.argument("file", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))
@takes_settings("data", "database")
def export(identifier: str, file: Path, **given: Any) -> None:
    """Write the whole record into FILE: identifiers, all objects and versions, documents, events (docs/record-archive.md)."""
    cx = canonical(identifier)
    with kit_of(settings_of(given)) as kit:
        from server.record_archive import export_record

        done = export_record(kit, cx, file)
    click.echo(f"{file}  {done}")


@command.command("import")
@click.argument("file", metavar="FILE", type=click.Path(dir_okay=False, exists=True, path_type=Path))
@takes_settings("data", "database")
def import_(file: Path, **given: Any) -> None:
    """Bring the record in FILE into this store, where its patient must have none."""
    with kit_of(settings_of(given)) as kit:
        from server.record_archive import import_record

        done = import_record(kit, file)
    click.echo(f"{file}  {done}")


@command.command("destroy")
@click.argument("identifier", metavar="CX")
@click.option("--confirm", metavar="WORD", help="The second step: the word that the first one gave.")
@click.option("--on-request", is_flag=True, help="The patient asks for it: the time of retention need not be over.")
@click.option("--reason", default="", metavar="TEXT", help="Why; kept with the event.")
@takes_settings("data", "database")
def destroy(identifier: str, confirm: str | None, on_request: bool, reason: str, **given: Any) -> None:
    """Destroy a closed record, in two steps: ask, then confirm. There is no way back; the events stay."""
    cx = canonical(identifier)
    with kit_of(settings_of(given)) as kit:
        if confirm is None:
            from registry.record import Records

            years = kit.settings.domain.retention_years
            word = Records(kit.database, years).ask_destruction(cx, reason, on_request=on_request)
            click.echo(f"{cx}  will be destroyed for ever when you confirm: carnet patient destroy '{cx}' --confirm {word}")
            return
        from server.record_destruction import destroy_record

        done = destroy_record(kit, cx, confirm)
    counts = "  ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in done.objects.items())
    click.echo(f"{cx}  destroyed: {counts}  {done.documents} documents")
