"""`carnet check-store`: is everything that was acknowledged still there, whole, and known on both sides?"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from server.commands.options import settings_of, takes_settings

if TYPE_CHECKING:
    from repository.index import SignatureRecord
    from repository.verify import StoreReport
    from server.wiring import Kit

#: Findings printed one by one; `--json` gives all of them.
SHOWN = 50


@click.command("check-store")
@takes_settings("data", "database", "role", "registry")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool, **given: Any) -> None:
    """Read every stored byte again, compare it with its hash, and compare registry and repository.

    Changes nothing and may run beside a working server. Exit status 1 when a document is damaged, missing or known to one side
    only; what interrupted submissions left behind is told and harmless.
    """
    settings = settings_of(given)
    from server import preparation, wiring
    from server.commands.patient import ask_policy
    from storage.errors import StorageError

    ask_policy(settings)
    if not Path(settings.store.data).is_dir():
        raise click.ClickException(f"store.data = {settings.store.data}: there is no store")
    try:
        preparation.prepare(settings)
        kit = wiring.open_kit(settings)
    except (preparation.StoreError, StorageError, OSError) as error:
        raise click.ClickException(str(error)) from None
    try:
        report = _checked(kit, quiet=as_json)
        signatures = [record for page in kit.index.signatures() for record in page]
    finally:
        kit.close()
    if as_json:
        click.echo(json.dumps({**_content(report), "signedSets": _signed_sets(signatures)}, indent=2))
    else:
        _print(report)
        _print_signatures(signatures)
    if settings.role.role == "all" and report.documents and not report.entries:
        click.echo(
            "No document is known to the registry of this store. Where the registry is elsewhere, say so as `serve` was told: "
            "--role repository --registry URL.",
            err=True,
        )
    sys.exit(0 if report.sound else 1)


def _checked(kit: Kit, quiet: bool) -> StoreReport:
    """The check, with a progress bar for a person who waits."""
    from repository.verify import check_store

    # A registry elsewhere has no question for all documents of a repository; what it has of ours is asked id by id.
    registry = kit.registry
    if quiet:
        return check_store(kit.store, kit.index, registry)
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("reading")

        def tell(report: StoreReport) -> None:
            progress.update(task, description=_count(report))

        watched: Callable[[StoreReport], None] = tell
        return check_store(kit.store, kit.index, registry, watched)


def _count(report: StoreReport) -> str:
    return (
        f"{report.documents} documents, {report.contents} contents ({report.bytes / 1e6:.1f} MB) read, "
        f"{report.entries} registered entries compared"
    )


def _content(report: StoreReport) -> dict[str, Any]:
    return {
        "sound": report.sound,
        "documents": report.documents,
        "contents": report.contents,
        "bytes": report.bytes,
        "entries": report.entries,
        "counts": {defect.name: count for defect, count in report.counts.items()},
        "findings": [{"defect": f.defect.name, "meaning": f.defect.value, "subject": f.subject} for f in report.findings],
    }


def _signed_sets(signatures: Sequence[SignatureRecord]) -> dict[str, Any]:
    """What was found of signatures when they were submitted."""
    return {
        "good": sum(not one.rules for one in signatures),
        "findings": [
            {"signature": one.signature, "submissionSet": one.submissionSet, "signer": one.signer, "rules": list(one.rules)}
            for one in signatures
            if one.rules
        ],
    }


def _print_signatures(signatures: Sequence[SignatureRecord]) -> None:
    if not signatures:
        return
    doubtful = [one for one in signatures if one.rules]
    click.echo(f"signatures over submission sets: {len(signatures) - len(doubtful)} good, {len(doubtful)} with findings")
    for one in doubtful[:SHOWN]:
        click.echo(f"  {' '.join(one.rules)}  {one.signature} over {one.submissionSet}, by {one.signer or 'nobody known'}")
    if len(doubtful) > SHOWN:
        click.echo(f"  and {len(doubtful) - SHOWN} more; --json prints them")


def _print(report: StoreReport) -> None:
    from repository.verify import HARMLESS

    click.echo(_count(report))
    for defect, count in report.counts.items():
        click.echo(f"{defect.name.lower()}: {count} ({defect.value}{'; harmless' if defect in HARMLESS else ''})")
    for finding in report.findings[:SHOWN]:
        click.echo(f"  {finding.defect.name.lower()}  {finding.subject}")
    if len(report.findings) > SHOWN:
        click.echo(f"  and {len(report.findings) - SHOWN} more; --json prints them")
    click.echo("the store is sound" if report.sound else "the store is NOT sound")
