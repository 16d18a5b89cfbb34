"""`carnet patient`: which patient identifiers the registry knows. Works on the store, beside a running server or without one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from server.commands.options import UsageError, settings_of, takes_settings
from server.commands.table import print_table, printable
from server.settings import Settings
from storage.database import Database

if TYPE_CHECKING:
    from registry.patient_identity import IdentityFeed


@click.group("patient")
def command() -> None:
    """Make patients known to the registry, join and merge their identifiers; list and show them."""


@command.command("add")
@click.argument("identifiers", metavar="CX...", nargs=-1, required=True)
@takes_settings("data", "database")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def add(identifiers: tuple[str, ...], as_json: bool, **given: Any) -> None:
    """Make each CX known, for example '4711^^^&1.2.3.4.5&ISO'. One that is known already is left as it is."""
    wanted = [canonical(text) for text in identifiers]
    settings = settings_of(given)
    _refuse_wrong_ins(wanted, settings)
    from registry import patients

    with database_of(settings, make=True) as database:
        added = [{"patient": cx, "added": patients.add(database, cx)} for cx in wanted]
    if as_json:
        click.echo(json.dumps(added, indent=2))
        return
    for one in added:
        click.echo(f"{one['patient']}  {'added' if one['added'] else 'known already'}")


@command.command("alias")
@click.argument("identifiers", metavar="CX CX...", nargs=-1, required=True)
@takes_settings("data", "database")
def alias(identifiers: tuple[str, ...], **given: Any) -> None:
    """Make identifiers of one person one patient, for every query and every check. The first stands for the person in answers."""
    wanted = [canonical(text) for text in identifiers]
    if len(set(wanted)) < 2:
        raise UsageError("name at least two different identifiers of the person")
    settings = settings_of(given)
    with _feed_of(settings) as feed:
        changed = feed.join(wanted)
    click.echo(f"{wanted[0]}  {'also' if changed else 'known already'}: {', '.join(wanted[1:])}")


@command.command("merge")
@click.argument("subsumed", metavar="OLD_CX")
@click.argument("surviving", metavar="NEW_CX")
@takes_settings("data", "database")
def merge(subsumed: str, surviving: str, **given: Any) -> None:
    """Merge the patient OLD_CX into NEW_CX, as A40 does. There is no way back."""
    old, new = canonical(subsumed), canonical(surviving)
    settings = settings_of(given)
    with _feed_of(settings) as feed:
        feed.merge(old, new)
    click.echo(f"{old} was merged into {new}")


@command.command("list")
@takes_settings("data", "database")
@click.option("--limit", type=click.IntRange(1), default=1000, show_default=True, help="Most patients to print.")
@click.option("--after", type=int, default=0, metavar="ID", help="Go on behind this id of the list before.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(limit: int, after: int, as_json: bool, **given: Any) -> None:
    """List the known identifiers in the order in which they became known."""
    from registry import patients

    with database_of(settings_of(given)) as database:
        found = patients.list_patients(database, after, limit)
    if as_json:
        rows = [
            {"id": p.id, "patient": p.cx, "state": p.state.name.lower(), "surviving": p.surviving, "created": p.created}
            for p in found
        ]
        click.echo(json.dumps(rows, indent=2))
        return
    if not found:
        click.echo("no patient is known; make one known: carnet patient add '4711^^^&1.2.3.4.5&ISO'")
        return
    print_table(("id", "patient", "state", "stands for", "since"), [
        (str(p.id), p.cx, p.state.name.lower(), "" if p.surviving == p.cx else p.surviving, _moment(p.created)) for p in found
    ])  # fmt: skip
    if len(found) == limit:
        click.echo(f"there may be more: carnet patient list --after {found[-1].id}")


@command.command("show")
@click.argument("identifier", metavar="CX")
@takes_settings("data", "database")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(identifier: str, as_json: bool, **given: Any) -> None:
    """Show the person behind CX: every identifier, who it is where that was said, and how many objects are registered.

    Exit status 1 when it is unknown.
    """
    cx = canonical(identifier)
    from metadata.demographics import to_json
    from registry import patients
    from registry.consents import Consents
    from registry.demographics import of_patient

    with database_of(settings_of(given)) as database:
        record = patients.show(database, cx)
        consents = Consents(database).of_patient(record.asked.surviving) if record is not None else []
        person = of_patient(database, record.asked) if record is not None else None
    if record is None:
        raise click.ClickException(f"no patient {cx} is known; make it known: carnet patient add '{cx}'")
    counts = {
        "documentEntries": record.documentEntries,
        "submissionSets": record.submissionSets,
        "folders": record.folders,
    }
    if as_json:
        identifiers = [{"patient": p.cx, "state": p.state.name.lower(), "created": p.created} for p in record.identifiers]
        said: dict[str, Any] = {"consents": [asdict(one) for one in consents]} if consents else {}
        said |= {"demographics": json.loads(to_json(person))} if person else {}
        click.echo(json.dumps({"patient": record.asked.surviving, "identifiers": identifiers, **counts, **said}, indent=2))
        return
    click.echo(f"{record.asked.surviving}")
    if person:
        click.echo(printable("  ".join(filter(None, [*(one.text for one in person.name), person.birth, person.gender]))))
    print_table(("identifier", "state", "since"), [(p.cx, p.state.name.lower(), _moment(p.created)) for p in record.identifiers])
    click.echo("  ".join(f"{name} {count}" for name, count in counts.items()))
    for one in consents:
        state = "in force" if one.in_force else "not in force"
        click.echo(f"consent {one.policy}  from {one.start or '-'}  until {one.stop or '-'}  {state}")


def canonical(text: str) -> str:
    """The CX as the registry keeps it; a usage error that shows the form for anything else."""
    from metadata.hl7 import canonical_cx, problem_with_cx

    cx = canonical_cx(text.strip())
    problem = problem_with_cx(cx)
    if problem is not None:
        raise UsageError(
            f"{text!r} is no patient identifier: {problem}. Accepted: ID^^^&OID&ISO, for example '4711^^^&1.2.3.4.5&ISO' "
            "(ITI TF-3: 4.2.3.1.7)"
        )
    return cx


def _refuse_wrong_ins(cxs: list[str], settings: Settings) -> None:
    from metadata.ins import problem_with_ins

    wrong = [f"{cx}: {problem}" for cx in cxs if (problem := problem_with_ins(cx))] if settings.domain.ins == "check" else []
    if wrong:
        hint = "nothing was added; the setting domain.ins = accept takes any value under an INS authority"
        raise UsageError("\n".join([*wrong, hint]))


@contextmanager
def _feed_of(settings: Settings) -> Iterator[IdentityFeed]:
    """The store's identities. A refusal ends the command with every reason."""
    from metadata.rules.rule import Refused
    from registry.patient_identity import IdentityFeed
    from server.identity_feed import authorities

    with database_of(settings) as database:
        try:
            yield IdentityFeed(database, authorities(settings))
        except Refused as refused:
            raise click.ClickException("\n".join(finding.text() for finding in refused.findings)) from None


@contextmanager
def database_of(settings: Settings, make: bool = False) -> Iterator[Database]:
    """The store's database. A store that cannot be used ends the command, as does one that is not there unless `make`."""
    from server import preparation
    from storage.database import open_database
    from storage.errors import StorageError

    ask_policy(settings)
    new = preparation.is_new(settings)
    if new and not make:
        raise click.ClickException(f"store.data = {settings.store.data}: there is no store; `serve` or `patient add` makes one")
    try:
        preparation.prepare(settings)
        if new:  # a typing error in --data is seen here, and not when the server still does not know the patient
            click.echo(f"a new store was made in {settings.store.data}", err=True)
        database = open_database(settings.database_url())
        try:
            yield database
        finally:
            database.close()
    except (preparation.StoreError, StorageError) as error:
        raise click.ClickException(str(error)) from None


def ask_policy(settings: Settings) -> None:
    """The policy of rights, before a command of the operator reads or changes a record. What it refuses ends the command."""
    from security.access import Ihe
    from security.refusal import Denied
    from server.access import policy_in_force
    from server.settings import SettingError

    context = click.get_current_context(silent=True)
    words = context.command_path.split()[1:] if context is not None else []
    try:
        policy = policy_in_force(settings)
        if context is not None and not isinstance(policy, Ihe):
            _refuse_unknown(context, policy.matrix.operator)
            policy.demand_command(" ".join(words))
    except (Denied, SettingError) as refused:
        raise click.ClickException(str(refused)) from None


def _refuse_unknown(context: click.Context, commands: Iterable[str]) -> None:
    """A row of the matrix that no command reads would leave open what it is meant to close. Raises SettingError."""
    from server.settings import SettingError

    wrong = []
    for name in commands:
        found: click.Command | None = context.find_root().command
        for word in name.split():
            found = found.get_command(context, word) if isinstance(found, click.Group) else None
        if found is None or isinstance(found, click.Group):
            wrong.append(name)
    if wrong:
        accepted = "accepted: those on a record, for example patient show"
        raise SettingError(f"security.policy: [operator] {', '.join(wrong)}: no such command; {accepted}")


def _moment(created: str) -> str:
    return f"{created[:4]}-{created[4:6]}-{created[6:8]} {created[8:10]}:{created[10:12]}" if len(created) == 14 else created


from server.commands import patient_record as _patient_record  # noqa: E402, F401  - it adds its commands to the group
from server.commands import patient_rights as _patient_rights  # noqa: E402, F401  - so does it
