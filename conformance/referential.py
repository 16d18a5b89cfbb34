"""Referentials: the requirement codes of a homologation, each with the cases or rules that show it, as data.

A file is TOML; two are shipped (`conformance/referentials/`), and anybody may bring another (`--referential FILE`):

    name = { en = "...", fr = "..." }
    source = "the document that the codes are of"

    [[requirement]]
    code = "EX_2.1-1071"
    title = { en = "...", fr = "..." }
    cases = ["fr-cda-*"]           # ids of cases, or patterns
    rules = ["FR-100"]             # every case that proves one of these
    reason = { en = "...", fr = "..." }     # why no case shows it, or what of it none shows

A requirement has cases or rules that exist, or a reason; or both, where the cases show a part of it.
"""

from __future__ import annotations

import fnmatch
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from conformance.case import Case, known_keys
from conformance.result import Required, Text

#: The word that asks for none.
NONE = "none"
#: Which of the shipped ones count when nothing is asked, by affinity domain of the target.
DEFAULTS: Mapping[str, tuple[str, ...]] = {"ci-sis": ("dmp-fr", "dmp-scenarios")}
_FOLDER = "referentials"
_FILE_KEYS = {"name", "source", "requirement"}
_KEYS = {"code", "title", "cases", "rules", "reason"}


class ReferentialError(ValueError):
    """A referential that cannot be used; the text names file, code and key."""


def shipped() -> tuple[str, ...]:
    """Names of those that come with the kit."""
    folder = files("conformance") / _FOLDER
    return tuple(sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")))


def read_referentials(asked: Sequence[str], domain: str, suite: Mapping[str, Case]) -> tuple[Required, ...]:
    """The requirements of the referentials `asked` (a shipped name or a path), or of those of the domain.

    Raises ReferentialError.
    """
    if NONE in asked and len(asked) > 1:
        raise ReferentialError(f"--referential {NONE} excludes any other")
    names = asked or DEFAULTS.get(domain, ())
    found: dict[str, Required] = {}
    for name in names:
        for one in () if name == NONE else read_referential(name, suite):
            if one.code in found:
                raise ReferentialError(f"{name}: {one.code} stands in {found[one.code].referential.en} already")
            found[one.code] = one
    return tuple(found.values())


def read_referential(name: str, suite: Mapping[str, Case]) -> list[Required]:
    """The requirements of one. Raises ReferentialError."""
    source: Traversable = files("conformance") / _FOLDER / f"{name}.toml" if name in shipped() else Path(name)
    try:
        data = tomllib.loads(source.read_text(encoding="utf-8"))
    except OSError as error:
        raise ReferentialError(
            f"--referential {name}: {error.strerror}; a file, or one of {', '.join((*shipped(), NONE))} is expected"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ReferentialError(f"{name}: {error}") from None
    known_keys(data, _FILE_KEYS, name, ReferentialError)
    title, rows = _text(data.get("name", {}), f"{name}: name"), data.get("requirement", [])
    if not title or not isinstance(rows, list) or not rows:
        raise ReferentialError(f"{name}: expected are name = {{ en, fr }} and one or more [[requirement]]")
    found = [_requirement(row, title, name, suite) for row in rows]
    codes = [one.code for one in found]
    twice = sorted({code for code in codes if codes.count(code) > 1})
    if twice:
        raise ReferentialError(f"{name}: {', '.join(twice)} stands there twice")
    return found


def _requirement(row: Any, referential: Text, name: str, suite: Mapping[str, Case]) -> Required:
    code = row.get("code", "") if isinstance(row, dict) else ""
    if not isinstance(code, str) or not code.strip():
        raise ReferentialError(f"{name}: a [[requirement]] has no code")
    where = f"{name}: {code}"
    known_keys(row, _KEYS, where, ReferentialError)
    title, reason = _text(row.get("title", {}), f"{where}: title"), _text(row.get("reason", {}), f"{where}: reason")
    if not title:
        raise ReferentialError(f"{where}: title is missing")
    cases = dict.fromkeys(
        (*_named(_texts(row, "cases", where), where, suite), *_proving(_texts(row, "rules", where), where, suite))
    )
    if not cases and not reason:
        raise ReferentialError(f"{where}: expected are cases, rules, or the reason why there is none")
    return Required(code, title, referential, tuple(cases), reason)


def _named(patterns: Iterable[str], where: str, suite: Mapping[str, Case]) -> Iterable[str]:
    for pattern in patterns:
        matching = [id for id in suite if fnmatch.fnmatchcase(id, pattern)]
        if not matching:
            raise ReferentialError(f"{where}: cases: no case has the id {pattern} (carnet conformance cases lists them)")
        yield from matching


def _proving(rules: Iterable[str], where: str, suite: Mapping[str, Case]) -> Iterable[str]:
    for rule in rules:
        proving = [case.id for case in suite.values() if rule in case.proves]
        if not proving:
            raise ReferentialError(f"{where}: rules: no case proves {rule}")
        yield from proving


def with_requirements(suite: Mapping[str, Case], required: Iterable[Required]) -> dict[str, Case]:
    """The suite, each case with the codes that it shows beside those that it has itself."""
    codes: dict[str, list[str]] = {}
    for one in required:
        for id in one.cases:
            codes.setdefault(id, []).append(one.code)
    shown = {id: tuple(dict.fromkeys((*case.requirements, *codes.get(id, ())))) for id, case in suite.items()}
    return {id: replace(case, requirements=shown[id]) for id, case in suite.items()}


def _texts(row: Mapping[str, Any], key: str, where: str) -> list[str]:
    value = row.get(key, [])
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ReferentialError(f"{where}: {key}: expected a list of texts, not {value!r}")
    return value


def _text(value: Any, where: str) -> Text:
    right = isinstance(value, dict) and (not value or set(value) == {"en", "fr"})
    if not right or not all(isinstance(text, str) for text in value.values()):
        raise ReferentialError(f"{where}: {value!r}: a text has en and fr")
    return Text(**value)
