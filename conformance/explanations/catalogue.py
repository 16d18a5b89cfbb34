"""The explanations by id: what a rule means, where it stands, what usually causes it, a wrong and a right example.

What the tables of the program say of themselves (statement, section, remedy, codes) is taken from them; the files `*.toml`
beside this module add the French statement, the meaning (`why`), the usual cause and what to change (`fix`), and the examples.
Rules about one attribute each (`DE-106`) are composed in `attribute_texts`. Ids that no table below this floor holds (faults of
the server, refusals of the repository, queries, feeds) have their statement in the files too. Examples that would make those
files too long stand in `examples_*.toml`.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from conformance.explanations import attribute_texts
from conformance.explanations.text import Text
from metadata.rules.removal import RULES as REMOVAL_RULES
from metadata.rules.table import RULES
from metadata.vocabulary import Actor, ErrorCode
from schemas.problems import RULES as PARSER_RULES
from schemas.sentences.french import french
from security.refusal import TrustRule
from security.rules import TRUST_RULES
from soap.wire import QUIRKS

LANGUAGES = ("en", "fr")
_COMMENT = re.compile(r"(?<=<!-- ).*?(?= -->)", re.DOTALL)
#: How the files begin that hold examples only.
_EXAMPLES = "examples_"
#: What the rules of trust are about, by what stands before the dash of their ids; `trust_rows.toml` has the cause of each.
TRUST_FAMILIES = ("PKI", "SIG", "SAM", "ACC", "DSG")


@dataclass(frozen=True, slots=True)
class Explanation:
    """One id explained.

    `kind` is rule, wire, code, trust or fault; `statement` the rule in one sentence; `why` what it means and what it is good for;
    `fix` the usual cause in a sender's code and what to change; `wrong` and `right` are fragments of a message, facts of a
    certificate, or steps. `section` cites the standard; `codes` are the error codes that answer it; `related` ids that are worth
    reading too. `place` says to a test where the fragments belong, `unjudged` why no test can put them anywhere.
    A code has the fragments of the rule `example`, which it answers.
    """

    id: str
    kind: str
    statement: Text
    why: Text
    fix: Text
    remedy: Text
    section: str = ""
    wrong: str = ""
    right: str = ""
    codes: tuple[str, ...] = ()
    transactions: tuple[str, ...] = ()
    related: tuple[str, ...] = ()
    place: Mapping[str, Any] = field(default_factory=dict, repr=False)
    example: str = ""
    unjudged: str = ""

    def examples(self, language: str) -> list[tuple[str, str]]:
        """(`wrong` or `right`, the fragment) of those that there are; what their comments say is said in this language."""
        shown = [(name, text) for name, text in (("wrong", self.wrong), ("right", self.right)) if text]
        return [(name, _COMMENT.sub(_commented, text) if language == "fr" else text) for name, text in shown]


def _commented(comment: re.Match[str]) -> str:
    return french(comment[0])


def explain(id: str) -> Explanation:
    """The explanation of a rule id, a wire id or an error code, in any case of letters. Raises KeyError."""
    book = explanations()
    return book[id] if id in book else book[_by_folded()[id.casefold()]]


def nearest(word: str, count: int = 5) -> list[str]:
    """The ids that resemble an unknown one, best first; words of a statement find their rules as well."""
    ids = list(explanations())
    folded = {id.casefold(): id for id in ids}
    close = [folded[one] for one in difflib.get_close_matches(word.casefold(), folded, n=count, cutoff=0.55)]
    starting = [id for id in ids if id.casefold().startswith(word.casefold()[:4])] if len(close) < count else []
    about = [one.id for one in explanations().values() if len(word) > 3 and word.casefold() in one.statement.en.casefold()]
    return list(dict.fromkeys([*close, *about, *starting]))[:count]


@cache
def explanations() -> Mapping[str, Explanation]:
    """Every explanation by id, in the order of the tables."""
    return {one.id: one for one in _all(_entries())}


@cache
def _by_folded() -> Mapping[str, str]:
    return {id.casefold(): id for id in explanations()}


@cache
def _entries() -> Mapping[str, Mapping[str, Any]]:
    """The data files, one table per id, its example joined to it. An id explained or shown twice is a mistake: ValueError."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(Path(__file__).parent.glob("*.toml"), key=lambda path: (path.name.startswith(_EXAMPLES), path.name)):
        for id, entry in tomllib.loads(path.read_text("utf-8")).items():
            known = found.setdefault(id, {}) if path.name.startswith(_EXAMPLES) or id not in found else None
            if known is None or set(known) & set(entry):
                raise ValueError(f"{path.name}: {id} is explained twice")
            known.update(entry)
    return found


def _all(entries: Mapping[str, Mapping[str, Any]]) -> Iterator[Explanation]:
    tabled: dict[str, Explanation] = {}
    for one in (*_of_rules(entries), *_of_wire(entries), *_of_parser(entries), *_of_trust(entries)):
        tabled[one.id] = one
        yield one
    for id, entry in entries.items():
        if id not in tabled and id not in ErrorCode.__members__ and "en" in entry:
            statement = Text(entry["en"], entry["fr"])
            tabled[id] = _made(
                id, "fault", statement, entry, section=entry.get("section", ""), codes=tuple(entry.get("codes", ()))
            )
            yield tabled[id]
    yield from _of_codes(entries, tabled)


def _of_rules(entries: Mapping[str, Mapping[str, Any]]) -> Iterator[Explanation]:
    for row in RULES:
        codes = tuple(dict.fromkeys(row.code(actor).value for actor in (Actor.REGISTRY, Actor.REPOSITORY)))
        composed = attribute_texts.entry_of(row.id)
        entry = {**_inherited(entries, row.id), **composed} if composed else _inherited(entries, row.id)
        transactions = tuple(sorted((t.code for t in row.transactions), key=lambda code: int(code[4:])))
        yield _made(
            row.id, "rule", Text(row.statement, entry["fr"]), entry, row.section, codes, transactions, row.remedy,
        )  # fmt: skip
    for removal in REMOVAL_RULES:
        entry = _inherited(entries, removal.id)
        statement = Text(removal.statement, entry["fr"])
        yield _made(removal.id, "rule", statement, entry, removal.section, (removal.code.value,), ("ITI-62",), removal.remedy)


def _of_wire(entries: Mapping[str, Mapping[str, Any]]) -> Iterator[Explanation]:
    for quirk in QUIRKS.values():
        entry = _inherited(entries, quirk.id)
        statement = Text(_sentence(quirk.refusal or quirk.text), entry["fr"])
        yield _made(quirk.id, "wire", statement, entry, section=quirk.source, remedy=quirk.remedy)


def _of_parser(entries: Mapping[str, Mapping[str, Any]]) -> Iterator[Explanation]:
    for id, statement in PARSER_RULES.items():
        entry = _inherited(entries, id)
        yield _made(id, "fault", Text(_sentence(statement), entry["fr"]), entry, section=entry.get("section", "XML 1.0"))


def _of_trust(entries: Mapping[str, Mapping[str, Any]]) -> Iterator[Explanation]:
    """A row of trust says itself what is refused and how to mend it, in both languages; its family says what that is about."""
    for row in TRUST_RULES:
        entry = {**entries[_family(row)], **entries.get(row.id, {})}
        section = row.section or entry["section"]
        remedy = Text(_plain(row.remedy_en), _plain(row.remedy_fr))
        one = _made(row.id, "trust", Text(_sentence(row.statement_en), _sentence(row.statement_fr)), entry, section)
        yield Explanation(
            one.id, one.kind, one.statement, one.why, one.fix, remedy, one.section, one.wrong, one.right,
            codes=(_answered(row),), related=one.related, place=one.place, unjudged=one.unjudged,
        )  # fmt: skip


def _answered(row: TrustRule) -> str:
    """A fault of WS-Security; what is wrong with a signed set is a finding of the repository."""
    return ErrorCode.XDSRepositoryError.value if _family(row) == "DSG" else f"wsse:{row.subcode}"


def _family(row: TrustRule) -> str:
    return row.id.partition("-")[0]


def _of_codes(entries: Mapping[str, Mapping[str, Any]], rules: Mapping[str, Explanation]) -> Iterator[Explanation]:
    for code in ErrorCode:
        entry = entries[code.value]
        section = entry.get("section", "ITI TF-3: Table 4.2.4.1-2")
        one = _made(code.value, "code", Text(entry["en"], entry["fr"]), entry, section=section)
        shown = next((rules[id] for id in one.related if rules[id].wrong and rules[id].right), None)
        yield one if shown is None else replace(one, wrong=shown.wrong, right=shown.right, example=shown.id)


def _inherited(entries: Mapping[str, Mapping[str, Any]], id: str) -> Mapping[str, Any]:
    """The entry, on top of the one that it is `like`."""
    entry = entries.get(id, {})
    return {**_inherited(entries, entry["like"]), **entry} if "like" in entry else entry


def _made(
    id: str,
    kind: str,
    statement: Text,
    entry: Mapping[str, Any],
    section: str = "",
    codes: tuple[str, ...] = (),
    transactions: tuple[str, ...] = (),
    remedy: str = "",
) -> Explanation:
    """`fix_fr` stands for the remedy in French: it begins with what to change."""
    return Explanation(
        id,
        kind,
        statement,
        Text(entry["why"], entry["why_fr"]),
        Text(entry["fix"], entry["fix_fr"]),
        Text(remedy or entry["fix"], entry["fix_fr"]),
        section,
        str(entry.get("wrong", "")).strip("\n"),
        str(entry.get("right", "")).strip("\n"),
        codes,
        transactions,
        tuple(entry.get("see", ())),
        {name: entry[name] for name in attribute_texts.PLACES if name in entry},
        unjudged=entry.get("unjudged", ""),
    )


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else text + "."


def _plain(pattern: str) -> str:
    """A `str.format` pattern without values: the names stand in angle brackets."""
    return pattern.replace("{", "<").replace("}", ">")


def ids(kinds: Sequence[str] = ()) -> list[str]:
    """The ids of these kinds, or all."""
    return [one.id for one in explanations().values() if not kinds or one.kind in kinds]
