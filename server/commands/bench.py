"""`carnet bench`: the server measured against floors taken in the same run (`benchmarks/`, part of the source checkout)."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from benchmarks.measure import Databases, Plan
    from benchmarks.report import Row

PARTS = ("reads", "writes", "lifecycle", "audit", "signed", "tls", "flush", "large")


@click.command(name="bench")
@click.option("--database", "databases", multiple=True, metavar="URL", help="A PostgreSQL server to measure as well; repeatable.")
@click.option("--no-sqlite", is_flag=True, help="Leave the embedded store out.")
@click.option("--entries", default="10000,100000", show_default=True, help="Sizes of the filled stores, with commas.")
@click.option("--clients", default="1,8", show_default=True, help="Clients at once, with commas.")
@click.option("--only", "parts", multiple=True, type=click.Choice(PARTS), help="Measure this part alone; repeatable.")
@click.option("--folder", default="carnet-bench", show_default=True, help="Where filled stores are kept for the next run.")
@click.option("--seconds", default=3.0, show_default=True, help="Length of one round.")
@click.option("--rounds", default=3, show_default=True, help="Rounds of each figure; the median counts.")
@click.option("--large", default="10,1024", show_default=True, help="Sizes of large documents in MB, with commas.")
@click.option("--quick", is_flag=True, help="Two minutes: 10,000 entries, 8 clients, one short round, 64 MB. For a look only.")
@click.option("--json", "as_json", type=click.Path(dir_okay=False, path_type=Path), help="Write rows and verdicts to this file.")
def command(
    databases: tuple[str, ...],
    no_sqlite: bool,
    entries: str,
    clients: str,
    parts: tuple[str, ...],
    folder: str,
    seconds: float,
    rounds: int,
    large: str,
    quick: bool,
    as_json: Path | None,
) -> None:
    """Measure the server beside its floors and print shares.

    W is a constant answer of the same size from the same HTTP server, S the same SQL by the bare driver, D the same rows made
    durable without HTTP; F(a,b) = 1/(1/a + 1/b). Exit 0 when every target that was measured is met, 1 otherwise.
    """
    if importlib.util.find_spec("benchmarks") is None:
        raise click.ClickException("the benchmarks are part of the source checkout; run ./carnet bench there")
    from benchmarks.measure import MB, Databases, Plan
    from benchmarks.report import as_json as rows_as_json
    from benchmarks.report import verdicts

    place = Path(folder).resolve()
    place.mkdir(parents=True, exist_ok=True)
    if quick:
        entries, large, clients, seconds, rounds = "10000", "64", "8", 0.5, 1
    plan = Plan(
        place,
        seconds=seconds,
        rounds=rounds,
        clients=_numbers(clients),
        large=tuple(size * MB for size in _numbers(large)),
        submissions=240 if quick else 2000,
        say=lambda text: click.echo(f"... {text}", err=True),
    )
    stores = ([] if no_sqlite else [Databases("sqlite://", place)]) + [Databases(url, place) for url in databases]
    rows: list[Row] = []
    for row in _measured(stores, _numbers(entries), parts or PARTS, plan):
        rows.append(row)
        click.echo(_line(row), err=True)
        if as_json:
            as_json.write_text(rows_as_json(rows), encoding="utf-8")
    _print(rows)
    sys.exit(0 if all(v.met for v in verdicts(rows)) else 1)


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(item) for item in text.split(","))
    except ValueError:
        raise click.BadParameter(f"'{text}': give whole numbers with commas, 10000,100000") from None


def _measured(stores: list[Databases], sizes: tuple[int, ...], parts: tuple[str, ...], plan: Plan) -> Iterator[Row]:
    from benchmarks import audit, large, lifecycle, measure, signed, tls

    for databases in stores:
        if "reads" in parts:
            for size in sizes:
                url = databases.kept(f"entries_{size}")
                yield measure.filled(url, size, plan)
                yield from measure.reads(url, size, plan)
            if len(sizes) > 1:
                least, most = ((databases.kept(f"entries_{size}"), size) for size in (min(sizes), max(sizes)))
                yield measure.growth(least, most, plan)
        if "writes" in parts:
            yield from measure.writes(databases, plan)
        if "lifecycle" in parts:
            yield from lifecycle.lifecycle(databases, plan)
        if "audit" in parts:
            yield from audit.audit(databases, plan)
        if "signed" in parts:
            yield from signed.signed(databases, plan)
        if "tls" in parts:
            yield from tls.tls(databases, plan)
    if "flush" in parts:
        yield from _flush(stores, plan)
    if "large" in parts:
        yield from large.large(plan)
    if "signed" in parts:
        yield from signed.large(plan)


def _flush(stores: list[Databases], plan: Plan) -> Iterator[Row]:
    """The slow flush, on each kind of database that is measured; PostgreSQL by a server of our own."""
    from benchmarks import measure, slow_postgres

    library = measure.build_slow_flush(plan.folder)
    if library is None:
        plan.say("no C compiler here: the slow flush is not measured")
        return
    if any(measure.is_sqlite(databases.base) for databases in stores):
        yield from measure.slow_flush(measure.Databases("sqlite://", plan.folder), plan, library)
    if all(measure.is_sqlite(databases.base) for databases in stores):
        return
    programs = slow_postgres.programs()
    if programs is None:
        plan.say("no initdb and pg_ctl here: the slow flush is not measured on PostgreSQL")
        return
    with slow_postgres.slow_server(programs, library) as url:
        yield from measure.slow_flush(measure.Databases(url, plan.folder), plan, library)


def _line(row: Row) -> str:
    share = f"  share {row.share:.2f}" if row.share else ""
    return f"{row.what} [{row.store} {row.entries or ''}] {row.clients} clients: {row.rate:,.0f} {row.unit}{share}"


def _print(rows: list[Row]) -> None:
    from rich.console import Console
    from rich.table import Table

    from benchmarks.report import machine, verdicts

    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    table = Table(title="Measured", caption=", ".join(f"{k} {v}" for k, v in machine().items()))
    for column in ("what", "store", "entries", "clients", "rate", "p50 ms", "p99 ms", "floors", "share", "memory +MB"):
        table.add_column(column, justify="left" if column in ("what", "store", "floors") else "right")
    for row in rows:
        table.add_row(
            row.what,
            row.store,
            f"{row.entries:,}" if row.entries else "",
            str(row.clients or ""),
            f"{row.rate:,.0f} {row.unit}",
            f"{row.p50 * 1000:.1f}" if row.p50 else "",
            f"{row.p99 * 1000:.1f}" if row.p99 else "",
            ", ".join(f"{name} {value:,.{0 if value >= 10 else 2}f}" for name, value in row.floors.items()),
            f"{row.share:.2f}" if row.share else "",
            f"{row.memory / 2**20:.1f}" if row.memory >= 0 else "",
        )
    console.print(table)
    judged = Table(title="Targets")
    for column in ("target", "measured", "limit", ""):
        judged.add_column(column)
    for v in verdicts(rows):
        limit = f"{'≥' if v.at_least else '≤'} {v.limit:g}"
        judged.add_row(v.target, f"{v.value:,.2f}", limit, "[green]met[/]" if v.met else "[red]missed[/]")
    console.print(judged)
