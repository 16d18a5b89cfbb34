"""`carnet assertion`: print one signed assertion, of a card in a test authority's folder."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import timedelta
from typing import Any

import click

from server.commands.options import UsageError

_MODES = ("DIRECTE", "INDIRECTE", "INDIRECTE_RENFORCEE")
_PURPOSES = ("normal", "bris_de_glace", "centre_15")


@click.command("assertion")
@click.option(
    "--pki", required=True, metavar="DIR", type=click.Path(exists=True, file_okay=False), help="Folder of `carnet pki`."
)
@click.option("--as", "as_name", required=True, metavar="NAME", help="Whose card there signs: a person's, or a structure's.")
@click.option("--patient", required=True, metavar="CX", help="The patient: ID^^^&OID&ISO, with ^NH where the domain wants it.")
@click.option("--purpose", default="", metavar="CODE", help=f"Purpose of use: {', '.join(_PURPOSES)} (VIHF; default: normal).")
@click.option("--reason", default="", metavar="TEXT", help="Why, with --purpose bris_de_glace.")
@click.option("--mode", type=click.Choice(_MODES), help="How the person was authenticated (default: as the card is).")
@click.option("--structure", default="", metavar="NAME", help="Structure that asserts a person, or his workplace.")
@click.option("--person", default="", metavar="NAME", help="Person whom the structure --as asserts.")
@click.option("--profile", type=click.Choice(["vihf", "xua"]), default="vihf", show_default=True, help="VIHF, or plain IHE XUA.")
@click.option("--audience", multiple=True, metavar="URI", help="Whom it is for; repeatable (XUA: urn:carnet:xds).")
@click.option("--minutes", default=30, show_default=True, type=click.IntRange(1, 1440), help="How long it holds.")
@click.option("--one-time", is_flag=True, help="It may be used once (OneTimeUse).")
@click.option("--base64", "as_base64", is_flag=True, help="Print it as one line of base64.")
def command(pki: str, as_name: str, as_base64: bool, **about: Any) -> None:
    """Print a signed SAML 2.0 assertion, ready to stand in wsse:Security.

    A person's card speaks for its holder (DIRECTE), a structure's for a person who was authenticated there (INDIRECTE). Nothing
    is checked but what the folder says: assertions that a server must refuse can be made too.
    """
    from security.assertion_writer import write_assertion
    from security.pki import PkiError

    try:
        card, statement = _statement(pki, as_name, about)
        written = write_assertion(card, statement)
    except (PkiError, OSError, ValueError) as error:
        raise UsageError(f"no assertion: {error}") from None
    click.echo(base64.b64encode(written) if as_base64 else written)


def _statement(pki: str, as_name: str, about: dict[str, Any]) -> Any:
    """Who signs, and what is to be said. Raises PkiError."""
    from security import saml_names as names
    from security.assertion_writer import card_statement
    from security.identity import Coded, Mode

    mode = Mode(about["mode"]) if about["mode"] else None
    card, statement = card_statement(
        pki,
        as_name,
        patient=about["patient"],
        mode=mode,
        structure=about["structure"],
        person=about["person"],
        profile=about["profile"],
    )
    vihf = about["profile"] == "vihf"
    purpose = about["purpose"] or (names.NORMAL if vihf else "TREATMENT")
    if vihf and purpose not in _PURPOSES:
        raise UsageError(f"--purpose {purpose}: there is no such purpose; accepted: {', '.join(_PURPOSES)}")
    if purpose == names.EMERGENCY and not about["reason"]:
        raise UsageError("--purpose bris_de_glace: breaking the glass needs --reason TEXT")
    return card, replace(
        statement,
        purpose=Coded(purpose, names.PURPOSES if purpose in _PURPOSES else names.XUA_PURPOSES),
        reason=about["reason"],
        audience=about["audience"] or (() if vihf else ("urn:carnet:xds",)),
        valid=timedelta(minutes=about["minutes"]),
        one_time=about["one_time"],
    )
