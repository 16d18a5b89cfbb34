"""The cases of the suite as data: what the files below `cases/` hold, read and checked.

A file has a table `[file]` with what holds for all its cases (`transaction`, `profiles`, `options`, `section`, `mend`) and
`[[case]]` tables. A case has `id`, `title` and `mend` (each `{ en = "...", fr = "..." }`), `section`, `proves` (rule ids) and
either `[[case.step]]` tables or the short form of a refusal:

    make = "entry"                              what is submitted (`conformance.submission` reads the notation)
    before = ["entry0"]                         what is submitted before it, and accepted
    wrong = [["entry", "slot:creationTime"]]    how the message is made wrong (`conformance.change`)
    codes = ["XDSRegistryMetadataError"]        the answer: Failure with one of these codes
    right = []                                  how the same message is made right; it is sent again and accepted

so that each refusal is proved together with its mend, and that nothing of what was refused had been kept. With
`status = "Success"` the wrong message is one that a registry takes, with a warning if it likes; with `["Failure", "Fault"]`
the schemas of the standard forbid it, so that a fault is as right.

Expectations are typed here from the standard; nothing of them is computed from the rule table.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from conformance.cards import WORDS
from conformance.result import Text

#: What a target may be asked to prove; `integrated` stands for all of them.
PROFILES = (
    "registry", "repository", "on-demand", "update", "restricted-update", "removal", "multi-patient", "identity-feed", "wire",
    "french", "secure", "dmp",
)  # fmt: skip
INTEGRATED = "integrated"
#: The target ends the TLS connection: whoever shows such a certificate gets no answer at all.
REFUSED = "Refused"
STATUSES = ("Success", "PartialSuccess", "Failure", "Fault", "CA", "CE", "AA", "AE", "AR", REFUSED)

_FILE_KEYS = {"transaction", "profiles", "options", "section", "mend", "why", "needs", "codes", "make", "domain"}
_CASE_KEYS = _FILE_KEYS | {
    "id",
    "title",
    "proves",
    "step",
    "before",
    "wrong",
    "right",
    "status",
    "requirements",
    "alone",
    "right_make",
}
_STEP_KEYS = {
    "send", "name", "title", "make", "change", "again", "query", "with", "return_type", "home", "retrieve", "remove", "feed",
    "patient", "prior", "body", "as", "wire", "status", "codes", "warns", "fault", "http", "returns", "holds", "documents",
    "wait", "assertion", "signature", "by", "said", "sealed", "shown", "signer", "speaker",
    "set_by",
}  # fmt: skip


class CaseError(ValueError):
    """A file of cases that cannot be used; the text names file, case and key."""


@dataclass(frozen=True, slots=True)
class Expect:
    """What the answer must be. Empty fields are not looked at.

    `statuses`: one of these words. `codes`: at least one rs:RegistryError of severity Error has one of these codes. `warns`: the
    same for warnings. `fault`: local names of the fault's code or subcode, one of which must stand there. `http`: HTTP statuses.
    `returns`: the names of exactly the objects that come back. `holds`: XPath expressions that must be true of the answer's
    body. `documents`: names of the entries whose bytes come back unchanged.
    """

    statuses: tuple[str, ...]
    codes: tuple[str, ...] = ()
    warns: tuple[str, ...] = ()
    fault: tuple[str, ...] = ()
    http: tuple[int, ...] = ()
    returns: tuple[str, ...] | None = None
    holds: tuple[str, ...] = ()
    documents: tuple[str, ...] | None = None

    def words(self) -> str:
        """As a person reads it: `Failure XDSUnknownPatientId`."""
        return " ".join(filter(None, [" or ".join(self.statuses), " or ".join(self.codes or self.fault or self.warns)]))


@dataclass(frozen=True, slots=True)
class Step:
    """One exchange. `send` is the transaction; which of the other fields count depends on it (docs/conformance.md).

    `again` is the name of an earlier step whose submission is sent once more, objects and ids the same, with its own changes.
    """

    send: str
    expect: Expect
    name: str = ""
    title: Text = field(default_factory=Text)
    make: str = ""
    again: str = ""
    change: tuple[tuple[str, ...], ...] = ()
    query: str = ""
    parameters: tuple[tuple[str, ...], ...] = ()
    return_type: str = "LeafClass"
    home: str = ""
    retrieve: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    feed: str = ""
    patient: str = ""
    prior: str = ""
    body: str = ""
    as_: str = ""
    assertion: str = ""
    signature: str = ""
    by: str = ""
    said: tuple[tuple[str, ...], ...] = ()
    sealed: tuple[tuple[str, ...], ...] = ()
    shown: str = ""
    signer: str = ""
    speaker: str = ""
    set_by: str = ""
    wire: tuple[tuple[str, ...], ...] = ()
    wait: bool = False
    prepares: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """One case. `needs` is another case, performed first, whose objects this one speaks of; `alone`: nothing runs beside it."""

    id: str
    title: Text
    transaction: str
    profiles: tuple[str, ...]
    section: str
    steps: tuple[Step, ...]
    proves: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()
    why: Text = field(default_factory=Text)
    mend: Text = field(default_factory=Text)
    needs: str = ""
    domain: str = ""
    alone: bool = False
    source: str = ""

    @property
    def transactions(self) -> set[str]:
        """Every transaction it sends."""
        return {step.send for step in self.steps}


def read_suite(folder: Traversable | None = None) -> dict[str, Case]:
    """All cases by id, in the order of the files. Raises CaseError."""
    found: dict[str, Case] = {}
    for path in _toml_files(folder or files("conformance") / "cases"):
        for case in read_file(path.read_text(encoding="utf-8"), path.name):
            if case.id in found:
                raise CaseError(f"{path.name}: the case {case.id} stands in {found[case.id].source} already")
            found[case.id] = case
    for case in found.values():
        if case.needs and case.needs not in found:
            raise CaseError(f"{case.source}: {case.id} needs the case {case.needs}, which is not there")
    return found


def _toml_files(folder: Traversable) -> Iterator[Traversable]:
    for entry in sorted(folder.iterdir(), key=lambda one: one.name):
        if entry.is_dir():
            yield from _toml_files(entry)
        elif entry.name.endswith(".toml"):
            yield entry


def read_file(content: str, name: str) -> list[Case]:
    """The cases of one file. Raises CaseError."""
    try:
        data = tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        raise CaseError(f"{name}: {error}") from None
    shared = data.get("file", {})
    known_keys(shared, _FILE_KEYS, f"{name}: [file]")
    return [_case({**shared, **table}, name) for table in data.get("case", [])]


def _case(table: Mapping[str, Any], source: str) -> Case:
    where = f"{source}: {table.get('id', 'a case without id')}"
    known_keys(table, _CASE_KEYS, where)
    missing = {"id", "title", "transaction", "profiles", "section", "mend"} - set(table)
    if missing:
        raise CaseError(f"{where}: {', '.join(sorted(missing))} is missing")
    wrong = set(table["profiles"]) - set(PROFILES)
    if wrong:
        raise CaseError(f"{where}: profiles {sorted(wrong)}: expected one of {', '.join(PROFILES)}")
    if "step" in table and {"wrong", "right", "before", "right_make"} & set(table):
        raise CaseError(f"{where}: a case has either steps, or before, wrong and right")
    steps = tuple(_step(step, table, where) for step in table["step"]) if "step" in table else tuple(_refusal(table, where))
    return Case(
        id=table["id"],
        title=_text(table["title"], where),
        transaction=table["transaction"],
        profiles=tuple(table["profiles"]),
        section=table["section"],
        steps=steps,
        proves=tuple(table.get("proves", ())),
        options=tuple(table.get("options", ())),
        requirements=tuple(table.get("requirements", ())),
        why=_text(table.get("why", {}), where),
        mend=_mend(table, where),
        needs=table.get("needs", ""),
        domain=table.get("domain", ""),
        alone=table.get("alone", False),
        source=source,
    )


def _mend(table: Mapping[str, Any], where: str) -> Text:
    """A case of a refusal says how its message is mended; whoever makes the server wants to know what the server must do."""
    mend, codes = _text(table["mend"], where), table.get("codes", ())
    if "step" in table or not codes or "Failure" not in _statuses(table.get("status", "Failure"), where):
        return mend
    en = f"Refuse such a message with {' or '.join(codes)}, and accept it once it is mended. What its sender has to mend:"
    fr = f"Refuser un tel message avec {' ou '.join(codes)}, et l'accepter une fois corrigé. À corriger chez l'émetteur :"
    return Text(f"{en} {mend.en}", f"{fr} {mend.fr}")


def _refusal(table: Mapping[str, Any], where: str) -> Iterator[Step]:
    """The steps of the short form."""
    send, make = table["transaction"], table.get("make", "entry")
    accepted = Expect(("Success",))
    for number, earlier in enumerate(table.get("before", ()), 1):
        transaction, _, pieces = earlier.rpartition(": ")
        yield Step(transaction or send, accepted, f"before-{number}", _TEXTS["before"], make=pieces, prepares=True)
    statuses, codes = _statuses(table.get("status", "Failure"), where), tuple(table.get("codes", ()))
    refused = "Failure" in statuses
    if refused and not codes:
        raise CaseError(f"{where}: codes is missing")
    expect = Expect(statuses, codes if refused else ())
    title = _TEXTS["wrong"] if refused else _TEXTS["odd"]
    yield Step(send, expect, "wrong", title, make=make, change=_rows(table.get("wrong", ()), where))
    if refused:
        right = _rows(table.get("right", ()), where)
        if "right_make" in table:
            yield Step(send, accepted, "right", _TEXTS["right"], make=table["right_make"], change=right)
        else:
            yield Step(send, accepted, "right", _TEXTS["right"], again="wrong", change=right)


_TEXTS = {
    "before": Text("What stands in the registry before", "Ce que contient déjà le registre"),
    "wrong": Text("The message with the fault is refused", "Le message fautif est refusé"),
    "odd": Text(
        "The message is accepted, with a warning if the server likes", "Le message est accepté, avec un avertissement au besoin"
    ),
    "right": Text("The same message, mended, is accepted", "Le même message, corrigé, est accepté"),
}


def _step(table: Mapping[str, Any], case: Mapping[str, Any], where: str) -> Step:
    known_keys(table, _STEP_KEYS, where)
    expect = Expect(
        _statuses(table.get("status", "Success"), where),
        tuple(table.get("codes", ())),
        tuple(table.get("warns", ())),
        tuple(table.get("fault", ())),
        tuple(table.get("http", ())),
        tuple(table["returns"]) if "returns" in table else None,
        tuple(table.get("holds", ())),
        tuple(table["documents"]) if "documents" in table else None,
    )
    texts: dict[str, Any] = {
        key: str(table.get(key, "")) for key in ("name", "make", "again", "query", "home", "feed", "patient", "prior", "body")
    }
    return Step(
        send=table.get("send", case["transaction"]),
        expect=expect,
        title=_text(table.get("title", {}), where),
        change=_rows(table.get("change", ()), where),
        parameters=_rows(table.get("with", ()), where),
        return_type=table.get("return_type", "LeafClass"),
        retrieve=tuple(table.get("retrieve", ())),
        remove=tuple(table.get("remove", ())),
        as_=table.get("as", ""),
        assertion=table.get("assertion", ""),
        signature=table.get("signature", ""),
        said=_rows(table.get("said", ()), where),
        sealed=_rows(table.get("sealed", ()), where),
        by=_card(table.get("by", ""), where),
        shown=_card(table.get("shown", ""), where),
        signer=_card(table.get("signer", ""), where),
        speaker=_card(table.get("speaker", ""), where),
        set_by=_card(table.get("set_by", ""), where),
        wire=_rows(table.get("wire", ()), where),
        wait=table.get("wait", False),
        **texts,
    )


def _card(word: str, where: str) -> str:
    if word and word not in WORDS:
        raise CaseError(f"{where}: {word!r} is no card; known are {', '.join(WORDS)}")
    return word


def _statuses(status: str | Sequence[str], where: str) -> tuple[str, ...]:
    statuses = (status,) if isinstance(status, str) else tuple(status)
    unknown = set(statuses) - set(STATUSES)
    if unknown:
        raise CaseError(f"{where}: status {sorted(unknown)}: expected one of {', '.join(STATUSES)}")
    return statuses


def _rows(rows: Sequence[Sequence[str]], where: str) -> tuple[tuple[str, ...], ...]:
    for row in rows:
        if not (isinstance(row, list | tuple) and row and all(isinstance(word, str) for word in row)):
            raise CaseError(f"{where}: {row!r}: expected a list of strings")
    return tuple(tuple(row) for row in rows)


def _text(value: Mapping[str, str], where: str) -> Text:
    if value and set(value) != {"en", "fr"}:
        raise CaseError(f"{where}: {value!r}: a text has en and fr")
    return Text(**value)


def known_keys(table: Mapping[str, Any], keys: set[str], where: str, error: type[ValueError] = CaseError) -> None:
    """Raises `error` for a key of `table` that is none of `keys`."""
    unknown = set(table) - keys
    if unknown:
        raise error(f"{where}: {', '.join(sorted(unknown))} is not known here; known are {', '.join(sorted(keys))}")
