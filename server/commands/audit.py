"""`carnet audit verify | show`: is the audit trail whole, and what does it tell a patient? Works beside a server or without."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from server.commands.options import UsageError, settings_of, takes_settings
from server.commands.patient import canonical, database_of
from server.settings import Settings

if TYPE_CHECKING:
    from security.audit_store import AuditStore
    from storage.database import Database


@click.group("audit")
def command() -> None:
    """Check the audit trail, and show a patient who read what. Each use is recorded in the trail itself."""


@command.command("verify")
@takes_settings("data", "database")
def verify(**given: Any) -> None:
    """Read the whole trail again: exit 1 when a record was changed, removed, swapped, put in, or the end cut off.

    Each such record is named.
    """
    settings = settings_of(given)
    from security import audit_chain
    from server.audit_setup import anchors_of
    from server.audit_traces import used

    with _trail_of(settings) as (store, key, _):
        checked = audit_chain.verify(store, key, anchors_of(settings, key))
        if not checked.wrong:  # a trail that is not whole is left as it was found
            used(store, settings, (), "verify")
    for line in checked.wrong:
        click.echo(line)
    click.echo(f"{checked.records} records  {checked.anchors} anchors  {len(checked.wrong) or 'nothing'} wrong")
    sys.exit(1 if checked.wrong else 0)


@command.command("show")
@click.option("--patient", "identifier", required=True, metavar="CX", help="The patient, by any identifier of the person.")
@click.option("--since", default="", metavar="DATE", help="Only what happened since then, YYYY-MM-DD (UTC).")
@click.option("--lang", "language", type=click.Choice(("en", "fr")), default="en", show_default=True, help="Language.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@takes_settings("data", "database")
def show(identifier: str, since: str, language: str, as_json: bool, **given: Any) -> None:
    """Answer the patient's question: who read or changed what, when, in which role, for which purpose."""
    cx, begin = canonical(identifier), _milliseconds(since)
    settings = settings_of(given)
    from server.audit_report import traces
    from server.audit_traces import used

    with _trail_of(settings) as (store, _, database):
        told = traces(store, _identifiers(database, cx), begin)
        used(store, settings, (cx,), "show")  # before anything of it is printed
    if as_json:
        click.echo(json.dumps([one.fields(language) for one in told], indent=2, ensure_ascii=language == "en"))
        return
    from server.commands.table import print_table

    heads = {
        "en": ("when (UTC)", "who", "role", "organisation", "purpose", "what", "on what", "outcome"),
        "fr": ("quand (UTC)", "qui", "rôle", "structure", "motif", "action", "objet", "résultat"),
    }
    columns = ("when", "who", "role", "organisation", "purpose", "action", "documents", "outcome")
    mark = {"en": "!! EMERGENCY: ", "fr": "!! URGENCE : "}[language]
    lines = []
    for one in told:
        words = one.words(language)
        words["action"] = (mark if one.emergency else "") + words["action"]
        if one.event.reason:
            words["purpose"] += f" ({one.event.reason})"
        lines.append([words[name] for name in columns])
    print_table(heads[language], lines, bold=[number for number, one in enumerate(told) if one.emergency])


def _identifiers(database: Database, cx: str) -> list[str]:
    """Every identifier of the person, as far as the registry is here and knows it."""
    from registry import patients

    with database.read() as connection:
        known = patients.find(connection, [cx]).get(cx)
        others = patients.cluster_of(connection, known.cluster) if known is not None else ()
        return [cx, *(one.cx for one in others if one.cx != cx)]


@contextmanager
def _trail_of(settings: Settings) -> Iterator[tuple[AuditStore, bytes, Database]]:
    """The trail of the store, and its key. What cannot be read ends the command."""
    from security.audit_chain import AuditKeyError
    from server.audit_traces import trail_of
    from storage.errors import StorageError

    with database_of(settings) as database:
        try:
            yield *trail_of(settings, database), database
        except (AuditKeyError, StorageError) as error:
            raise click.ClickException(str(error)) from None


def _milliseconds(date: str) -> int:
    if not date:
        return 0
    try:
        return int(datetime.fromisoformat(date).replace(tzinfo=UTC).timestamp() * 1000)
    except ValueError:
        raise UsageError(f"--since {date}: expected YYYY-MM-DD, for example 2026-01-31") from None
