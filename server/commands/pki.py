"""`carnet pki`: a test authority in a folder, and cards like the real ones, to try the secured server with."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import click

from metadata.vocabulary import Transaction
from security.pki import KINDS, Issued, PkiError, TestAuthority
from security.trust import RELAYED
from server.commands.options import UsageError
from server.commands.table import print_table


@click.group("pki")
def command() -> None:
    """A test authority: issue, revoke and list the certificates of persons, structures and servers.

    A server started with `serve --secure --pki DIR` believes and has enrolled what is issued here. Not fit for production: keys
    lie unencrypted in the folder.
    """


@command.command("init")
@click.argument("folder", metavar="DIR")
def init(folder: str) -> None:
    """Make the authority: ca.crt (the root), ca.key, ca.crl, index.json."""
    try:
        authority = TestAuthority.create(folder)
    except (PkiError, OSError) as error:
        raise UsageError(str(error)) from None
    click.echo(f"{authority.folder / 'ca.crt'}  {authority.certificate.subject.rfc4514_string()}")


@command.command("issue")
@click.argument("folder", metavar="DIR")
@click.argument("name", metavar="NAME")
@click.option("--kind", type=click.Choice(KINDS), required=True, help="Of whom: a professional, an organisation, a server.")
@click.option("--identifier", default="", metavar="ID", help="PS_IdNat or Struct_IdNat (default: made up from the name).")
@click.option("--organisation", default="", metavar="TEXT", help="Name of the organisation.")
@click.option("--profession", default="10", show_default=True, metavar="CODE", help="Of a person: 10 doctor, 21 pharmacist...")
@click.option("--know-how", default="SM26", show_default=True, metavar="CODE", help="Of a person; empty: none.")
@click.option("--structure", default="", metavar="NAME|ID", help="Workplace of a person: a structure issued here, or its id.")
@click.option("--host", "hosts", multiple=True, metavar="HOST", help="Of a server; repeatable (default: localhost, 127.0.0.1).")
@click.option(
    "--transaction", "transactions", multiple=True, metavar="ITI-41",
    help="It may send; repeatable (default: all; with --relays ITI-18 and ITI-42).",
)  # fmt: skip
@click.option("--days", default=730, show_default=True, help="How long it is valid; below 0: expired already.")
@click.option("--key-type", type=click.Choice(["rsa", "ec"]), default="rsa", show_default=True, help="RSA 2048 or P-256.")
@click.option("--relays", is_flag=True, help="Of a repository's server: its registry believes it about who calls it.")
@click.option("--apart", is_flag=True, help="Of a person: NAME.crt to authenticate, NAME.sign.crt to sign, as on a real card.")
def issue(folder: str, name: str, kind: str, hosts: tuple[str, ...], transactions: tuple[str, ...], **about: Any) -> None:
    """Write NAME.crt and NAME.key, and enrol them."""
    known = {t.code for t in Transaction}
    for wrong in (one for one in transactions if one not in known):
        raise UsageError(f"--transaction {wrong}: there is no such transaction here; accepted: {', '.join(sorted(known))}")
    days, key_type, apart, relays = (about.pop(key) for key in ("days", "key_type", "apart", "relays"))
    if hosts:
        about["hosts"] = hosts
    try:
        authority = TestAuthority(folder)
        row = authority.issue(
            kind, name, days=days, key_type=key_type, apart=apart, relays=relays, transactions=transactions, **about
        )
    except (PkiError, OSError, ValueError) as error:
        raise UsageError(str(error)) from None
    click.echo(f"{authority.folder / row.name}.crt  {row.subject}")


@command.command("revoke")
@click.argument("folder", metavar="DIR")
@click.argument("name", metavar="NAME")
def revoke(folder: str, name: str) -> None:
    """Put the certificate on the revocation list ca.crl; a running server refuses it from then on."""
    try:
        row = TestAuthority(folder).revoke(name)
    except (PkiError, OSError) as error:
        raise UsageError(str(error)) from None
    click.echo(f"{row.name}  revoked {row.revoked}, serial number {row.serial}")


@command.command("list")
@click.argument("folder", metavar="DIR")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(folder: str, as_json: bool) -> None:
    """List what was issued."""
    try:
        rows = TestAuthority(folder).issued()
    except (PkiError, OSError) as error:
        raise UsageError(str(error)) from None
    if as_json:
        click.echo(json.dumps([asdict(row) for row in rows], indent=2, ensure_ascii=False))
        return
    print_table(["name", "kind", "identifier", "until", "revoked", "may send"], [_cells(row) for row in rows])


def _cells(row: Issued) -> list[str]:
    sends = (" ".join(row.transactions or sorted(RELAYED if row.relays else ())) or "all") + (" (relays)" if row.relays else "")
    return [row.name, row.kind, row.identifier, row.not_after[:10], row.revoked or "-", sends]
