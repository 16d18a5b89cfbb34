"""`carnet conformance cases`: what the suite holds."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from conformance.case import INTEGRATED, PROFILES, CaseError, read_suite
from conformance.runner import chosen
from server.commands.options import UsageError
from server.commands.table import print_table


@click.command("cases")
@click.option("--profile", "profiles", multiple=True, type=click.Choice([INTEGRATED, *PROFILES]), default=(INTEGRATED,))
@click.option("--case", "patterns", multiple=True, metavar="GLOB", help="Only cases whose id matches; repeatable.")
@click.option("--lang", type=click.Choice(["en", "fr"]), default="en", show_default=True, help="Language of the titles.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(profiles: tuple[str, ...], patterns: tuple[str, ...], lang: str, as_json: bool) -> None:
    """List the cases of the suite: transaction, what they prove, the section."""
    try:
        cases = chosen(read_suite(), profiles, patterns)
    except (CaseError, ValueError) as error:
        raise UsageError(str(error)) from None
    if as_json:
        click.echo(json.dumps([asdict(case) for case in cases], indent=2, ensure_ascii=False))
        return
    rows = [[case.id, case.transaction, " ".join(case.proves), case.title.in_(lang)] for case in cases]
    print_table(["case", "sends", "proves", "title"], rows)
    click.echo(f"{len(cases)} cases")
