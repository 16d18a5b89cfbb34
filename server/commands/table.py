"""What commands print for a person: tables, and texts that others have written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def printable(text: str) -> str:
    """A text that others have written, as one line: nothing in it moves the cursor of a terminal, colours it, begins a line that
    looks like one of ours, or turns the order in which the rest is read."""
    return "".join(character if character.isprintable() else " " for character in text)


def print_table(head: Sequence[str], rows: Iterable[Sequence[str]], bold: Iterable[int] = ()) -> None:
    """As wide as the terminal, or as wide as it needs to be where there is none. `bold` are the numbers of rows to stand out.
    Long values are folded, never cut."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold")
    for name in head:
        table.add_column(name, overflow="fold")
    strong = frozenset(bold)
    for number, row in enumerate(rows):
        table.add_row(*map(printable, row), style="bold" if number in strong else "")
    console = Console(markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = max(console.width, 240)
    console.print(table)
