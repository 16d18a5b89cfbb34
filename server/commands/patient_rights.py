"""`carnet patient authorise | block | treating | represent | oppose | masked-in-emergency | rights`: who may read a record."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from server.commands.options import UsageError, settings_of, takes_settings
from server.commands.patient import canonical, command, database_of
from server.commands.table import print_table

if TYPE_CHECKING:
    from registry.rights import Right, Rights
    from server.settings import Settings


@contextmanager
def rights_of(settings: Settings) -> Iterator[Rights]:
    """The store's rights. A refusal ends the command with every reason."""
    from metadata.rules.rule import Refused
    from registry.rights import Rights

    with database_of(settings) as database:
        try:
            yield Rights(database)
        except Refused as refused:
            raise click.ClickException("\n".join(finding.text() for finding in refused.findings)) from None


def _holder(text: str) -> str:
    holder = text.strip()
    if not holder or any(c.isspace() or c in "^&|" for c in holder):
        raise UsageError(
            f"{text!r} is no identifier. Accepted: NameID or Identifiant_Structure of the assertions, for example 899900000001"
        )
    return holder


def _change(identifier: str, right: str, holder: str, remove: bool, given: dict[str, Any]) -> None:
    from registry.rights import Right

    cx, kind = canonical(identifier), Right[right]
    settings = settings_of(given)
    with rights_of(settings) as rights:
        changed = rights.take(cx, kind, holder) if remove else rights.give(cx, kind, holder)
    click.echo(f"{cx}  {holder or _WORDS[right]}  {_outcome(right, remove, changed)}")


_WORDS = {
    "AUTHORISED": "authorised", "BLOCKED": "blocked", "TREATING": "treating physician", "REPRESENTATIVE": "legal representative",
    "OPPOSED": "opposed", "MASKED_IN_EMERGENCY": "masked documents in an emergency",
}  # fmt: skip


def _outcome(right: str, remove: bool, changed: bool) -> str:
    if remove:
        return f"no longer {_WORDS[right]}" if changed else f"was not {_WORDS[right]}"
    return _WORDS[right] if changed else f"{_WORDS[right]} already; its time begins again"


_remove = click.option("--remove", is_flag=True, help="Take it back.")


@command.command("authorise")
@click.argument("identifier", metavar="CX")
@click.argument("holder", metavar="ID")
@_remove
@takes_settings("data", "database")
def authorise(identifier: str, holder: str, remove: bool, **given: Any) -> None:
    """Authorise the professional or structure ID to consult the record of CX, for a year from now."""
    _change(identifier, "AUTHORISED", _holder(holder), remove, given)


@command.command("block")
@click.argument("identifier", metavar="CX")
@click.argument("holder", metavar="ID")
@_remove
@takes_settings("data", "database")
def block(identifier: str, holder: str, remove: bool, **given: Any) -> None:
    """Block the professional or structure ID: the record of CX is closed to it in every mode."""
    _change(identifier, "BLOCKED", _holder(holder), remove, given)


@command.command("treating")
@click.argument("identifier", metavar="CX")
@click.argument("holder", metavar="ID")
@_remove
@takes_settings("data", "database")
def treating(identifier: str, holder: str, remove: bool, **given: Any) -> None:
    """Make the doctor ID a treating physician of CX, and authorise him."""
    _change(identifier, "TREATING", _holder(holder), remove, given)


@command.command("represent")
@click.argument("identifier", metavar="CX")
@click.argument("holder", metavar="ID")
@_remove
@takes_settings("data", "database")
def represent(identifier: str, holder: str, remove: bool, **given: Any) -> None:
    """Make ID, as its assertions name it, a legal representative of CX."""
    _change(identifier, "REPRESENTATIVE", _holder(holder), remove, given)


@command.command("oppose")
@click.argument("identifier", metavar="CX")
@click.argument("purpose", metavar="PURPOSE", type=click.Choice(["bris_de_glace", "centre_15"]))
@_remove
@takes_settings("data", "database")
def oppose(identifier: str, purpose: str, remove: bool, **given: Any) -> None:
    """Close the record of CX to emergency access for PURPOSE: bris_de_glace or centre_15."""
    _change(identifier, "OPPOSED", purpose, remove, given)


@command.command("masked-in-emergency")
@click.argument("identifier", metavar="CX")
@_remove
@takes_settings("data", "database")
def masked_in_emergency(identifier: str, remove: bool, **given: Any) -> None:
    """Allow emergency access to read the masked documents of CX as well."""
    _change(identifier, "MASKED_IN_EMERGENCY", "", remove, given)


@command.command("rights")
@click.argument("identifier", metavar="CX")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@takes_settings("data", "database")
def rights_(identifier: str, as_json: bool, **given: Any) -> None:
    """List who is authorised, blocked, treats or represents CX, what CX opposes, and the consents that CX has acknowledged."""
    cx = canonical(identifier)
    from registry.consents import Consents

    with rights_of(settings_of(given)) as rights:
        found = rights.listed(cx)
        consents = Consents(rights.database).of_patient(cx)
    if as_json:
        told = [{"right": _name(one.right), "holder": one.holder, "at": one.at, "state": one.state} for one in found]
        said = [{"policy": one.policy, "scheme": one.scheme, "from": one.start, "until": one.stop, "inForce": one.in_force}
                for one in consents]  # fmt: skip
        click.echo(json.dumps({"rights": told, "consents": said}, indent=2))
        return
    if not found and not consents:
        click.echo("nothing is said; authorise somebody: carnet patient authorise CX ID")
    if found:
        rows = [(_name(one.right), one.holder, one.at, one.state) for one in found]
        print_table(("right", "of", "since (UTC)", "state"), rows)
    if consents:
        print_table(("consent policy", "from", "until", "in force"), [
            (f"{one.policy} ({one.scheme})", one.start or "", one.stop or "", "yes" if one.in_force else "no") for one in consents
        ])  # fmt: skip


def _name(right: Right) -> str:
    return _WORDS[right.name]
