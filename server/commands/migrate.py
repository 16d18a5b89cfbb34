"""`carnet migrate`: the schema of a store, forward to this program's, or back to an older one."""

from __future__ import annotations

import json
from typing import Any

import click

from server.commands.options import settings_of, takes_settings


@click.command("migrate")
@takes_settings("data", "database")
@click.option("--to", "revision", metavar="VERSION", help="Go back to this older version (for the program that wrote it).")
@click.option("--check", is_flag=True, help="Change nothing; exit status 1 when the store has another version than this program.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(revision: str | None, check: bool, as_json: bool, **given: Any) -> None:
    """Bring a store to the schema of this program. Stop every server on it and make a backup before."""
    settings = settings_of(given)
    from pathlib import Path

    from storage import migrate
    from storage.errors import StorageError

    url = settings.database_url()
    if not settings.store.database and not Path(settings.store.data).is_dir():
        raise click.ClickException(f"store.data = {settings.store.data}: there is no store to migrate")
    before: str | None
    try:
        if check:
            before, after = migrate.current(url), migrate.head()
        elif revision is not None:
            before, after = migrate.downgrade(url, revision)
        else:
            before, after = migrate.upgrade(url)
    except (StorageError, ValueError) as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        click.echo(json.dumps({"before": before, "after": after, "changed": before != after and not check}))
    elif check:
        click.echo(f"store {before or 'empty'}, program {after}")
    elif before == after:
        click.echo(f"the store has schema version {after} already")
    else:
        click.echo(f"the store went from schema version {before or 'none'} to {after}")
    if check and before != after:
        raise SystemExit(1)
