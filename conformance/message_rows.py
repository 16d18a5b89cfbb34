"""A message as rows that a person can read: long XML lines are broken between elements, octets that are no text are not shown.

A row knows where it stands in the file (line and column, from 1), so that a finding finds its row however the rows were broken.
"""

from __future__ import annotations

import difflib
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

#: What is shown of one message at most.
MOST_OCTETS = 400_000
MOST_ROWS = 4_000
_WIDE = 160
_BETWEEN = re.compile(r"(?<=>)(?=<)")
_NO_TEXT = re.compile(r"[^\t\x20-\x7e\x80-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Row:
    """`first` tells a row that begins a line of the file."""

    line: int
    column: int
    text: str
    first: bool


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one message; `cut` tells that there is more."""

    rows: tuple[Row, ...]
    cut: bool

    def index_of(self, line: int, column: int) -> int:
        """The index of the row that holds this place; the last row where the place is not shown."""
        places = [(row.line, row.column) for row in self.rows]
        return max(0, bisect_right(places, (line, max(column, 1))) - 1)


def rows_of(data: bytes) -> Rows:
    """The rows of a message."""
    text = data[:MOST_OCTETS].decode("utf-8", "replace")
    found: list[Row] = []
    for number, line in enumerate(text.split("\n"), 1):
        for column, piece in _pieces(line.removesuffix("\r")):
            if len(found) == MOST_ROWS:
                return Rows(tuple(found), True)
            found.append(Row(number, column, _NO_TEXT.sub("\ufffd", piece), column == 1))
    return Rows(tuple(found), len(data) > MOST_OCTETS)


def _pieces(line: str) -> Iterator[tuple[int, str]]:
    """Where each piece of a line begins (column from 1), and the piece."""
    if len(line) <= _WIDE:
        yield 1, line
        return
    column = 1
    for element in _BETWEEN.split(line):
        for start in range(0, len(element), 2_000):
            yield column + start, element[start : start + 2_000]
        column += len(element)


@dataclass(frozen=True, slots=True)
class Pair:
    """One row of a comparison: `kind` is same, changed, removed or added."""

    kind: str
    left: str
    right: str


def compare(left: Rows, right: Rows) -> list[Pair]:
    """The rows of two messages side by side."""
    a, b = [row.text for row in left.rows], [row.text for row in right.rows]
    head = _alike(a, b)
    tail = _alike(a[head:][::-1], b[head:][::-1])
    middle = _compared(a[head : len(a) - tail], b[head : len(b) - tail])
    return [*(Pair("same", text, text) for text in a[:head]), *middle, *(Pair("same", t, t) for t in a[len(a) - tail :])]


def _alike(a: Sequence[str], b: Sequence[str]) -> int:
    """How many rows are the same at the beginning."""
    return next((count for count, (one, other) in enumerate(zip(a, b, strict=False)) if one != other), min(len(a), len(b)))


def _compared(a: Sequence[str], b: Sequence[str]) -> Iterator[Pair]:
    """What both begin or end with is the caller's. Rows that stand everywhere are no place to begin a match at (`autojunk`): with
    them two messages of few different rows would take hours."""
    for kind, a1, a2, b1, b2 in difflib.SequenceMatcher(None, a, b).get_opcodes():
        if kind == "equal":
            yield from (Pair("same", text, text) for text in a[a1:a2])
            continue
        lefts, rights = _padded(a[a1:a2], b2 - b1), _padded(b[b1:b2], a2 - a1)
        word = {"replace": "changed", "delete": "removed", "insert": "added"}[kind]
        yield from (Pair(word, one, other) for one, other in zip(lefts, rights, strict=True))


def _padded(texts: Sequence[str], length: int) -> list[str]:
    return [*texts, *[""] * (length - len(texts))]
