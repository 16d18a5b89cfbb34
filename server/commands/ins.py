"""`carnet ins`: the French national health identifier, computed and checked (arithmetic only: no store, no teleservice)."""

from __future__ import annotations

import json

import click


@click.group("ins")
def command() -> None:
    """Compute an INS-C; say what a value is."""


@command.command("compute")
@click.option("--first", required=True, metavar="NAME", help="First given name, as on the insurance card.")
@click.option("--birth", required=True, metavar="YYMMDD", help="Birth date as on the card; 00 where a part is not known.")
@click.option("--nir", required=True, metavar="NIR", help="The person's own NIR: 13 characters, with its key or without.")
@click.option("--cx", "as_cx", is_flag=True, help="Print it as an HL7 CX, as it stands in XDS metadata.")
def compute(first: str, birth: str, nir: str, as_cx: bool) -> None:
    """Print the INS-C, 22 digits. Exit status 1 with the reason when a trait cannot be right."""
    from metadata import ins

    number = "".join(nir.split()).upper()
    try:
        if len(number) == 15:
            number = ins.check(number).value[:13]
        value = ins.compute_ins_c(first, birth, number)
    except ins.InsError as error:
        raise click.ClickException(str(error)) from None
    click.echo(ins.cx(value, ins.INS_C) if as_cx else value)


@command.command("check")
@click.argument("value")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(value: str, as_json: bool) -> None:
    """Say what VALUE is: a number with its key, or a CX with its authority. Exit status 1 with the reason when wrong."""
    from metadata import ins

    try:
        found = ins.check_cx(value) if "^" in value else ins.check(value)
    except ins.InsError as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        click.echo(json.dumps({"kind": found.kind, "value": found.value}))
    else:
        click.echo(f"{found.value} is an {found.kind}; its key is right")
