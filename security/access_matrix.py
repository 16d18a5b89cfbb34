"""The matrix of rights as data: read from a file, cell by cell, or refused with everything that is wrong in it.

A file has the form of `security/rights/dmp-fr.toml`. A row that a sheet leaves out is open to nobody.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from importlib import resources
from pathlib import Path
from typing import Any


class Cell(Enum):
    """What a cell says; the words of a file."""

    YES = "Y"
    NO = "N"
    OWN = "own"
    STRUCTURE = "struct"
    PATIENT_OK = "patient_ok"
    REFERENCE_ONLY = "ref_only"
    SAME_STRUCTURE = "same_struct"
    NEW_BY_DATE = "new_by_date"


#: Every row that a sheet may have, by the name of the transaction in the guide.
ROWS: Mapping[str, str] = {
    "TD0.1": "authentication",
    "TD0.2": "existence test and authorisation check",
    "TD0.3-add": "declare oneself authorised",
    "TD0.3-remove": "remove one's own authorisation",
    "TD0.3-removeMT": "remove one's own role of treating physician",
    "TD0.4": "list of authorised records",
    "TD0.5": "search for a patient without INS",
    "TD0.9": "web access",
    "TD0.10": "web access in AIR mode",
    "TD1.1": "open a record",
    "TD1.2": "reactivate a closed record",
    "TD1.3a": "read administrative data",
    "TD1.3b": "change administrative data",
    "TD1.4": "close a record",
    "TD1.6": "list of the professionals of a record",
    "TD2.1": "feed the record",
    "TD2.2": "feed the record by staff",
    "TD3.1-meta": "search for documents: metadata",
    "TD3.1-ref": "search for documents: reference",
    "TD3.2-plain": "read a document",
    "TD3.2-masked": "read a document masked to professionals",
    "TD3.2-invisible": "read a document invisible to the patient or the representatives",
    "TD3.2-archived": "read an archived document",
    "TD3.2-obsolete": "read an obsolete document",
    "TD3.2-deleted": "read a deleted document",
    "TD3.3a-mask": "mask a document to professionals",
    "TD3.3a-unmask": "unmask a document",
    "TD3.3b-visible": "make a document visible to the patient or the representatives",
    "TD3.3d-archive": "archive a document",
    "TD3.3d-unarchive": "take a document out of the archive",
    "TD3.3c-delete": "delete a document",
}
#: The columns of each sheet.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "m526": ("NMn", "NMr", "NMb", "MDn", "MDr", "MDb", "OP", "MTn", "MTb", "CPE", "ESn", "ESr"),
    "air": ("NMn", "NMr", "NMb", "MDn", "MDr", "MDb", "MTn", "MTb", "PE"),
    "own": ("PA", "RL"),
}
FEEDS = ("ITI-8", "ITI-44", "ITI-64")
FEED_WORDS = ("partner", "anybody", "nobody")

_WORDS = {cell.value: cell for cell in Cell}


class MatrixError(ValueError):
    """A file that is no matrix of rights; the text names every row and column at fault and the accepted words."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """`cells` by sheet, row and column; `feeds` by transaction; `operator` by command."""

    name: str
    cells: Mapping[str, Mapping[str, Mapping[str, Cell]]]
    feeds: Mapping[str, str]
    operator: Mapping[str, bool]

    def cell(self, sheet: str, row: str, column: str) -> Cell:
        """NO where the sheet has no such row."""
        return self.cells[sheet].get(row, {}).get(column, Cell.NO)


def shipped(name: str) -> Matrix | None:
    """The matrix of this name that comes with the program; None where there is none."""
    file = resources.files("security").joinpath("rights", f"{name}.toml")
    return read_matrix(file.read_text(encoding="utf-8"), name) if file.is_file() else None


def load_matrix(path: str) -> Matrix:
    """A matrix of one's own. Raises MatrixError, also for a file that cannot be read."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise MatrixError(f"{path} cannot be read: {error}") from None
    return read_matrix(text, path)


def read_matrix(text: str, source: str) -> Matrix:
    """`source` stands before each finding. Raises MatrixError with all of them."""
    try:
        said = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise MatrixError(f"{source}: no TOML: {error}") from None
    wrong: list[str] = []
    cells = {sheet: dict(_sheet(said.get(sheet), sheet, wrong)) for sheet in COLUMNS}
    feeds = _words(said.get("feeds", {}), "feeds", FEEDS, FEED_WORDS, wrong)
    operator = _words(said.get("operator", {}), "operator", None, ("Y", "N"), wrong)
    tables = ("name", *COLUMNS, "feeds", "operator")
    wrong += [f"{name} is no table of a matrix; accepted: {', '.join(tables)}" for name in said if name not in tables]
    if wrong:
        raise MatrixError("\n".join(f"{source}: {one}" for one in wrong))
    return Matrix(str(said.get("name", source)), cells, feeds, {command: word == "Y" for command, word in operator.items()})


def _sheet(said: Any, sheet: str, wrong: list[str]) -> Iterator[tuple[str, Mapping[str, Cell]]]:
    """The rows of a sheet that can be read; what is wrong goes to `wrong`."""
    expected = COLUMNS[sheet]
    if not isinstance(said, dict) or not isinstance(said.get("rows"), dict):
        wrong.append(f"[{sheet}] with [{sheet}.rows] is missing; its columns are: {' '.join(expected)}")
        return
    columns = str(said.get("columns", "")).split()
    if sorted(columns) != sorted(expected):
        wrong.append(f"[{sheet}] columns: {' '.join(columns) or 'none'}; accepted, in any order: {' '.join(expected)}")
        return
    for row, line in said["rows"].items():
        if row not in ROWS:
            wrong.append(f"[{sheet}.rows] {row}: there is no such row; accepted: {', '.join(ROWS)}")
            continue
        words = str(line).split()
        if len(words) != len(columns):
            wrong.append(f"[{sheet}.rows] {row}: {len(words)} cells for the {len(columns)} columns {' '.join(columns)}")
            continue
        wrong += [
            f"[{sheet}.rows] {row}, column {column}: {word!r} is not accepted; accepted: {', '.join(_WORDS)}"
            for column, word in zip(columns, words, strict=True)
            if word not in _WORDS
        ]
        yield row, {column: _WORDS.get(word, Cell.NO) for column, word in zip(columns, words, strict=True)}


def _words(said: Any, table: str, keys: tuple[str, ...] | None, words: tuple[str, ...], wrong: list[str]) -> dict[str, str]:
    if not isinstance(said, dict):
        wrong.append(f"[{table}] is no table")
        return {}
    for key, word in said.items():
        if keys is not None and key not in keys:
            wrong.append(f"[{table}] {key}: there is no such row; accepted: {', '.join(keys)}")
        elif word not in words:
            wrong.append(f"[{table}] {key}: {word!r} is not accepted; accepted: {', '.join(words)}")
    return {str(key): str(word) for key, word in said.items()}
