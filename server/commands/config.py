"""`carnet config`: every setting, its value and where it came from."""

from __future__ import annotations

import json
from typing import Any

import click

from server.commands.options import settings_of, takes_settings
from server.settings import TABLE


@click.command("config")
@takes_settings("data", "host", "port", "database", "workers", "role", "registry", "patients")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool, **given: Any) -> None:
    """Print every setting, its value and where it came from: default, file, environment or command line."""
    settings = settings_of(given)
    rows = [
        {"key": key, "value": settings.value(key, secret=False), "origin": settings.origins.get(key, "default"), "unit": row.unit}
        for key, row in TABLE.items()
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("setting", "value", "unit", "from", box=None, header_style="bold")
    for one in rows:
        origin = one["origin"]
        style = "" if origin == "default" else "bold"
        table.add_row(one["key"], _shown(one["value"]), one["unit"], origin, style=style)
    Console(soft_wrap=True).print(table)


def _shown(value: object) -> str:
    """As the settings file would have it."""
    return json.dumps(value)
