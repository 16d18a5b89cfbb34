"""`carnet config`: every setting, its value and where it came from."""

from __future__ import annotations

import json
from typing import Any

import click

from server.commands.options import settings_of, takes_settings
from server.commands.table import print_table
from server.settings import TABLE


@click.command("config")
@takes_settings("data", "host", "port", "database", "workers", "role", "registry", "patients")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--markdown", is_flag=True, help="Print docs/settings.md: every setting, its default and what is accepted.")
def command(as_json: bool, markdown: bool, **given: Any) -> None:
    """Print every setting, its value and where it came from: default, file, environment or command line."""
    settings = settings_of(given)
    if markdown:
        from server.settings_page import settings_page

        click.echo(settings_page(), nl=False)
        return
    rows = [
        {"key": key, "value": settings.value(key, secret=False), "origin": settings.origins.get(key, "default"), "unit": row.unit}
        for key, row in TABLE.items()
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    print_table(
        ("setting", "value", "unit", "from"),
        [(one["key"], _shown(one["value"]), one["unit"], one["origin"]) for one in rows],
        bold=[number for number, one in enumerate(rows) if one["origin"] != "default"],
    )


def _shown(value: object) -> str:
    """As the settings file would have it."""
    return json.dumps(value)
