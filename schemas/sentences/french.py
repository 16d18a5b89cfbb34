"""The French of a sentence that is said in English.

Findings, faults and refusals are made where something is wrong, with values of the message in them, in one language. Here stands
the other: a table of sentences with places. `{0}` is a value, which stays as it is; `{0~}` in the French sentence is a sentence
of the table again. `sentence: detail` needs no row of its own where the sentence has one. A sentence that no table has is
somebody else's (a library's, another server's) and has no French.

Values come from messages: a sentence is found by looking for its fixed pieces from left to right, in time that grows with its
length alone.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_PLACE = re.compile(r"\{(\d)\}")
_SAID = re.compile(r"\{(\d)(~?)\}")
#: `Send {0}.` is said of a value. With more words than one it is another sentence, and no half of it is French.
_VERB = re.compile(r"\w+ ")
#: How deep sentences stand in one another.
_DEPTH = 4
#: So many characters at the beginning or the end of a sentence tell which patterns it may be: a refusal is not to cost much.
_KEY = 3


@dataclass(frozen=True, slots=True)
class Pattern:
    """A sentence with places: the fixed `pieces` around them, the `numbers` of the places, and what it is in French."""

    pieces: Sequence[str]
    numbers: Sequence[str]
    french: str

    @classmethod
    def of(cls, english: str, french: str) -> Pattern:
        split = _PLACE.split(english)
        return cls(split[::2], split[1::2], french)

    def values(self, text: str) -> dict[str, str] | None:
        """What stands in the places; None where `text` is not this sentence."""
        first, *between, last = self.pieces
        if not text.startswith(first) or not text.endswith(last) or len(text) < len(first) + len(last):
            return None
        at, end = len(first), len(text) - len(last)
        found: list[str] = []
        for piece in between:
            next_at = text.find(piece, at, end)
            if next_at < 0:
                return None
            found.append(text[at:next_at])
            at = next_at + len(piece)
        if _VERB.fullmatch(first) and not between and last == "." and " " in text[at:end]:
            return None
        return dict(zip(self.numbers, [*found, text[at:end]], strict=True))


class Sentences:
    """A table of sentences, English to French."""

    def __init__(self, rows: Iterable[tuple[str, str]]) -> None:
        rows = list(rows)
        self._whole = {english: french for english, french in rows if not _PLACE.search(english)}
        patterns = [Pattern.of(english, french) for english, french in rows if _PLACE.search(english)]
        # What is longer says more: it goes before the shorter sentence that it may hold.
        patterns.sort(key=lambda one: -sum(map(len, one.pieces)))
        self._beginning: dict[str, list[tuple[int, Pattern]]] = {}
        self._ending: dict[str, list[tuple[int, Pattern]]] = {}
        self._others: list[tuple[int, Pattern]] = []
        for ranked in enumerate(patterns):
            first, last = ranked[1].pieces[0], ranked[1].pieces[-1]
            if len(first) >= _KEY:
                self._beginning.setdefault(first[:_KEY], []).append(ranked)
            elif len(last) >= _KEY:
                self._ending.setdefault(last[-_KEY:], []).append(ranked)
            else:
                self._others.append(ranked)

    def _candidates(self, text: str) -> Iterator[Pattern]:
        """The patterns that begin or end as the text does, and those that do neither, in their order."""
        beginning, ending = self._beginning.get(text[:_KEY], ()), self._ending.get(text[-_KEY:], ())
        return (pattern for _, pattern in sorted((*beginning, *ending, *self._others), key=_rank))

    def french(self, text: str, depth: int = _DEPTH) -> str | None:
        """`text` in French, None where the table does not have it."""
        whole = self._whole.get(text) or self._with_detail(text, depth)
        if whole is not None or not text:
            return whole
        for pattern in self._candidates(text):
            values = pattern.values(text)
            if values is not None:
                return self._filled(pattern.french, values, depth)
        return None

    def _filled(self, sentence: str, values: Mapping[str, str], depth: int) -> str:
        return _SAID.sub(lambda place: self._placed(values[place[1]], bool(place[2]), depth), sentence)

    def _with_detail(self, text: str, depth: int) -> str | None:
        """A whole sentence, a colon, and what was met."""
        at = text.find(": ")
        while at >= 0:
            if text[:at] in self._whole:
                return f"{self._whole[text[:at]]} : {self._placed(text[at + 2 :], True, depth)}"
            at = text.find(": ", at + 2)
        return None

    def _placed(self, value: str, translated: bool, depth: int) -> str:
        return (self.french(value, depth - 1) or value) if translated and depth else value


def _rank(ranked: tuple[int, Pattern]) -> int:
    return ranked[0]


def read_rows() -> Mapping[str, str]:
    """Every row of the tables. A sentence in two of them is a mistake: ValueError."""
    rows: dict[str, str] = {}
    for path in sorted(Path(__file__).parent.glob("*.toml")):
        for english, french in tomllib.loads(path.read_text("utf-8")).items():
            if english in rows:
                raise ValueError(f"{path.name}: this sentence stands twice: {english}")
            rows[english] = french
    return rows


@cache
def _sentences() -> Sentences:
    return Sentences(read_rows().items())


def known_french(text: str) -> str | None:
    """The sentence in French, None where no table has it."""
    return _sentences().french(text)


def french(text: str) -> str:
    """The sentence in French; as it is, where no table has it."""
    return known_french(text) or text
