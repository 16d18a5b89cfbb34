"""What holds inside one case: its patients, the objects that its steps have brought, and the words in braces of its texts.

{patient} {patient2}   patients known to the target          {unknown}   a patient that was never announced
{workplace}   id of the structure in which the acting person works (secured targets)
{patient.id} {patient.authority}   the two parts of a CX     {repository}   repositoryUniqueId
{entry} {entry.uid} {entry.hash} {entry.size} {entry.lid}    of an object of the case
{oid} {oid:a} {uuid:a}  made up, the same again under the same letter      {x*300}   300 times x
"""

from __future__ import annotations

import itertools
import re
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from conformance.submission import Made, Thing

_WORD = re.compile(r"\{([^{}]+)\}")
_REPEATED = re.compile(r"(.)\*(\d+)")
_INS_TEST = "1.2.250.1.213.1.4.10"


class Names:
    """Identifiers that no other run has used; safe for several threads."""

    def __init__(self, authority: str) -> None:
        self._authority = authority
        self._start = time.time_ns() // 1000
        self._count = itertools.count(1)
        self._lock = threading.Lock()

    def number(self) -> int:
        with self._lock:
            return next(self._count)

    def oids(self) -> Iterator[str]:
        """OIDs without end."""
        while True:
            yield f"1.2.250.1.213.99.{self._start}.{self.number()}"

    def patient(self) -> str:
        """A CX."""
        return f"K{self._start}-{self.number()}^^^&{self._authority}&ISO"

    def ins(self) -> str:
        """A CX that is an INS of the French test authority, with its right key (97 less the rest of the number by 97)."""
        number = 2_79_03_51_000_000 + (self._start + self.number() * 7919) % 1_000_000
        return f"{number}{97 - number % 97:02}^^^&{_INS_TEST}&ISO^NH"


class UnknownWord(KeyError):
    """A word in braces that names nothing."""


@dataclass(slots=True)
class Scene:
    """`patients` by name; `things` by name; `made` are the submissions by name of their step; `sent` is the last message; `words`
    are further words with what they stand for."""

    names: Names
    repository: str = ""
    patients: dict[str, str] = field(default_factory=dict)
    things: dict[str, Thing] = field(default_factory=dict)
    made: dict[str, Made] = field(default_factory=dict)
    registered: list[Thing] = field(default_factory=list)
    stored: list[Thing] = field(default_factory=list)
    sent: bytes = b""
    words: dict[str, str] = field(default_factory=dict)
    _made_up: dict[str, str] = field(default_factory=dict)
    _oids: Iterator[str] | None = None

    @property
    def oids(self) -> Iterator[str]:
        if self._oids is None:
            self._oids = self.names.oids()
        return self._oids

    def after(self, other: Scene) -> None:
        """Takes over what another case has left."""
        self.patients, self.repository = dict(other.patients), other.repository or self.repository
        self.things, self.made, self._made_up = dict(other.things), dict(other.made), dict(other._made_up)

    def fill(self, text: str) -> str:
        """`text` with its words replaced. Raises UnknownWord."""
        return _WORD.sub(lambda match: self._word(match[1]), text)

    def rows(self, rows: Iterable[Iterable[str]]) -> list[list[str]]:
        """The same for rows of texts."""
        return [[self.fill(text) for text in row] for row in rows]

    def _word(self, word: str) -> str:
        if repeated := _REPEATED.fullmatch(word):
            return repeated[1] * int(repeated[2])
        name, _, part = word.rpartition(".") if "." in word and ">" not in word else (word, "", "")
        if name in self.patients:
            return _part(self.patients[name], part)
        if name in self.things:
            thing = self.things[name]
            values = {"": thing.id, "uid": thing.uid, "hash": thing.hash, "size": thing.size, "lid": thing.lid}
            if part in values:
                return values[part]
        if word == "repository":
            return self.repository
        if word in self.words:
            return self.words[word]
        if word in ("oid", "uuid") or word.startswith(("oid:", "uuid:")):
            return self._make_up(word)
        raise UnknownWord(word)

    def _make_up(self, word: str) -> str:
        fresh = next(self.oids) if word.startswith("oid") else f"urn:uuid:{uuid.uuid4()}"
        return self._made_up.setdefault(word, fresh) if ":" in word else fresh


def _part(cx: str, part: str) -> str:
    fields = cx.split("^")
    authority = fields[3].split("&")[1] if len(fields) > 3 and "&" in fields[3] else ""
    return {"": cx, "id": fields[0], "authority": authority}[part]
