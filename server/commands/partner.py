"""`carnet partner`: who is enrolled with a secured server, and what each may send."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click

from metadata.vocabulary import Transaction
from security.trust import Partner
from security.trust_files import TrustFileError, fingerprints, partners_of_index, partners_of_toml
from server.commands.options import UsageError, settings_of, takes_settings
from server.commands.table import print_table


@click.group("partner")
def command() -> None:
    """Enrol partners: whose certificates a secured server takes, and which transactions each may send.

    The enrolment is a TOML file (setting security.partners; docs/operations.md). What `carnet pki issue` makes is enrolled.
    """


@command.command("add")
@click.argument("file", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("certificate", metavar="CERTIFICATE", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--organisation", required=True, metavar="TEXT", help="Whose certificate it is.")
@click.option("--identifier", default="", metavar="ID", help="Its national identifier (Struct_IdNat).")
@click.option(
    "--transaction", "transactions", multiple=True, metavar="ITI-41",
    help="It may send; repeatable (default: all; with --relays ITI-18 and ITI-42).",
)  # fmt: skip
@click.option("--relays", is_flag=True, help="It is a repository, which is believed about who calls it (docs/rights.md).")
def add(file: Path, certificate: Path, transactions: tuple[str, ...], **about: Any) -> None:
    """Enrol the certificate(s) of a PEM file in FILE, which is made when it is not there. A running server reads it at once."""
    known = {t.code for t in Transaction}
    for wrong in (one for one in transactions if one not in known):
        raise UsageError(f"--transaction {wrong}: there is no such transaction here; accepted: {', '.join(sorted(known))}")
    try:
        prints = fingerprints(certificate)
        before = file.read_text("utf-8") if file.exists() else ""
        if before:
            partners_of_toml(file)  # a file that is wrong is mended first
        said = {**about, "sha256": prints, "transactions": list(transactions)}
        rows = [f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in said.items() if value]
        partial = file.with_name(f".{file.name}.{os.getpid()}")
        partial.write_text(before + ("\n" if before else "") + "[[partner]]\n" + "".join(rows), encoding="utf-8")
        try:
            partners_of_toml(partial)
            partial.replace(file)
        except TrustFileError as error:
            raise UsageError(str(error).replace(str(partial), str(file))) from None
        finally:
            partial.unlink(missing_ok=True)
    except TrustFileError as error:
        raise UsageError(str(error)) from None
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}") from None
    for one in prints:
        click.echo(f"{about['organisation']}  {one}  {' '.join(transactions) or 'all'}")


@command.command("list")
@takes_settings("pki")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(as_json: bool, **given: Any) -> None:
    """List who is enrolled: by the settings, or in the test authority of --pki. A file that is wrong is told with its places."""
    from server.trust import sources_of

    sources = sources_of(settings_of(given))
    partners: dict[str, Partner] = {}
    try:
        if sources.index is not None:
            partners |= partners_of_index(sources.index)
        if sources.partners is not None:
            partners |= partners_of_toml(sources.partners)
    except TrustFileError as error:
        raise UsageError(str(error)) from None
    if sources.index is None and sources.partners is None:
        raise UsageError("nobody can be enrolled: set security.partners (a TOML file), or give --pki DIR")
    rows = sorted(partners.values(), key=lambda one: (one.organisation, one.name, one.sha256))
    if as_json:
        click.echo(json.dumps([_row(one) for one in rows], indent=2, ensure_ascii=False))
        return
    head = ["organisation", "name", "identifier", "may send", "SHA-256 of the certificate"]
    print_table(head, [[one.organisation, one.name, one.identifier, _sends(one), one.sha256] for one in rows])


def _sends(partner: Partner) -> str:
    return (" ".join(sorted(partner.allowed)) or "all") + (" (relays)" if partner.relays else "")


def _row(partner: Partner) -> dict[str, object]:
    return {
        "organisation": partner.organisation, "name": partner.name, "kind": partner.kind, "identifier": partner.identifier,
        "transactions": sorted(partner.transactions), "relays": partner.relays, "sha256": partner.sha256,
    }  # fmt: skip
