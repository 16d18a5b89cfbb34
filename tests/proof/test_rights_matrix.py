"""The matrix of rights over the wire: every cell that concerns a transaction of this server, generated from the data file.

What a cell means is said here once more and not taken from the engine. Each column has a patient of its own with a document in
every state, one written by the caller (`own`) and one by another doctor.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from registry.rights import Right
from security.identity import Mode
from tests.nist.wire import Answer
from tests.proof.dmp_messages import LIST, QUERY, ask_record, authorise, question, read_told, status_of
from tests.proof.messages import RPLC, Association, Entry, Submission
from tests.proof.rights_callers import (
    HOSPITAL,
    INVISIBLE,
    MASKED,
    NORMAL,
    PURPOSES,
    SECRET,
    Caller,
    Cards,
    Imputed,
    RightsWorld,
    open_rights,
    refused_by,
)
from tests.proof.update_messages import APPROVED, ARCHIVED, DELETED, Update
from tests.server_process import ROOT

DATA = tomllib.loads((ROOT / "security" / "rights" / "dmp-fr.toml").read_text(encoding="utf-8"))
SHEETS = ("m526", "air", "own")
#: Rows that a transaction of this server asks; the others are listed in docs/rights.md.
ROWS = (
    "TD2.1", "TD2.2", "TD3.1-meta", "TD3.1-ref", "TD3.2-plain", "TD3.2-masked", "TD3.2-invisible", "TD3.2-archived",
    "TD3.2-obsolete", "TD3.2-deleted", "TD3.3a-mask", "TD3.3a-unmask", "TD3.3b-visible", "TD3.3d-archive", "TD3.3d-unarchive",
    "TD3.3c-delete", "TD0.2", "TD1.3a", "TD1.6", "TD0.3-add", "TD0.3-remove", "TD0.3-removeMT",
)  # fmt: skip
READ = [row for row in ROWS if row.startswith("TD3.2")]
CHANGES = [row for row in ROWS if row.startswith("TD3.3")]
STATES = (
    "plain", "masked", "invisible", "archived", "obsolete", "deleted", "mask", "unmask", "visible", "archive", "unarchive",
    "delete",
)  # fmt: skip
NOT_IN_MATRIX, NOT_OWN, NOT_IMPUTED, REFERENCE_ONLY = "ACC-003", "ACC-006", "ACC-008", "ACC-009"


def cells(sheet: str) -> dict[tuple[str, str], str]:
    """(row, column) to word."""
    columns = DATA[sheet]["columns"].split()
    return {
        (row, column): word
        for row, line in DATA[sheet]["rows"].items()
        for column, word in zip(columns, line.split(), strict=True)
    }


CELLS = {sheet: cells(sheet) for sheet in SHEETS}
COLUMNS = [(sheet, column) for sheet in SHEETS for column in DATA[sheet]["columns"].split()]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RightsWorld]:
    with open_rights(tmp_path_factory.mktemp("matrix")) as opened:
        yield opened


@pytest.fixture(scope="module")
def people(world: RightsWorld) -> dict[str, Caller]:
    return people_of(world.cards)


def people_of(cards: Cards) -> dict[str, Caller]:
    """Who acts in the columns, by the column's name."""
    return {
        "NM": cards.person("nurse", 1, "60", ""),
        "MD": cards.person("doctor", 2),
        "OP": cards.person("occupational", 3, "10", "SM25"),
        "MT": cards.person("treating", 4),
        "other": cards.person("other", 5),
        "chief": cards.person("chief", 6),
        "CPE": cards.other("staff", "899900000007", "SECRETARIAT_MEDICAL"),
        "RL": cards.other("mother", "representative-8", "EXP_PATIENT"),
        "ES": cards.by_hospital(cards.person("stated", 9), Mode.INDIRECT),
    }


@dataclass
class Stage:
    """One column: its caller, its patient, and the documents by state and whose they are."""

    world: RightsWorld
    sheet: str
    column: str
    patient: str
    caller: Caller
    base: str
    assertion: bytes
    entries: dict[tuple[str, str], Entry] = field(default_factory=dict)

    def cell(self, row: str) -> str:
        return CELLS[self.sheet].get((row, self.column), "N")

    def is_hidden(self, state: str, whose: str) -> bool:
        """Whether the caller must not learn of this document."""
        if state in ("masked", "unmask"):
            return whose == "other" and self.cell("TD3.2-masked") != "Y"
        return state in ("invisible", "visible") and self.base == "RL"


@pytest.fixture(scope="module")
def stages(world: RightsWorld, people: dict[str, Caller]) -> dict[tuple[str, str], Stage]:
    return {(sheet, column): set_up(world, people, sheet, column) for sheet, column in COLUMNS}


def set_up(world: RightsWorld, people: dict[str, Caller], sheet: str, column: str) -> Stage:
    base = column.rstrip("nrb") if column not in ("OP", "CPE", "PE", "PA", "RL") else column
    purpose = PURPOSES[column[-1]] if column[-1] in PURPOSES else PURPOSES["n"]
    patient = world.patient()
    if base == "PA":
        people = {**people, "PA": world.cards.other("patient", patient.partition("^")[0], "EXP_PATIENT")}
    writer = people["ES" if base == "PE" else base]
    caller = writer
    if sheet == "air":
        caller = world.cards.by_hospital(people["CPE"] if base == "PE" else writer, Mode.REINFORCED)
    give = world.rights.give
    give(patient, Right.TREATING, people["chief"].subject)
    if base == "RL":
        give(patient, Right.REPRESENTATIVE, caller.subject)
    elif not column.endswith(("r", "b")):
        give(patient, Right.TREATING if base == "MT" else Right.AUTHORISED, caller.subject)
    elif base == "MT":
        give(patient, Right.TREATING, caller.subject)
    give(patient, Right.AUTHORISED, people["other"].subject)
    stage = Stage(world, sheet, column, patient, caller, base, caller.says(patient, purpose))
    for whose, author in (("own", writer), ("other", people["other"])):
        feed_all(stage, whose, author.says(patient, purpose if whose == "own" else PURPOSES["n"]))
    reach_states(stage, people["chief"])
    return stage


def feed_all(stage: Stage, whose: str, said: bytes) -> None:
    """A document for each state, and those that are to be deleted are."""
    hiding = SECRET if stage.sheet == "own" else INVISIBLE
    codes = {"masked": MASKED, "unmask": MASKED, "invisible": hiding, "visible": hiding}
    entries = {
        state: Entry(stage.patient, confidentiality=(NORMAL, codes[state]) if state in codes else (NORMAL,)) for state in STATES
    }
    stage.entries |= {(state, whose): entry for state, entry in entries.items()}
    answer = stage.world.provide(said, Imputed(stage.patient, list(entries.values())))
    assert answer.status == "Success", (answer.fault, answer.errors)
    answer = stage.world.restatus(said, entries["deleted"], APPROVED, DELETED)
    assert answer.status == "Success", (answer.fault, answer.errors)


def reach_states(stage: Stage, chief: Caller) -> None:
    """The treating physician archives, and replaces what is to be obsolete."""
    said = chief.says(stage.patient)
    update = Update(stage.patient)
    for state in ("archived", "unarchive"):
        for whose in ("own", "other"):
            update.status(stage.entries[state, whose].id, APPROVED, ARCHIVED)
    answer = stage.world.send(said, "ITI-57", update.xml())
    assert answer.status == "Success", (answer.fault, answer.errors)
    fresh = [Entry(stage.patient) for _ in range(2)]
    old = [stage.entries["obsolete", whose].id for whose in ("own", "other")]
    links = [Association(RPLC, new.id, before) for new, before in zip(fresh, old, strict=True)]
    answer = stage.world.provide(said, Submission(stage.patient, fresh, associations=links))
    assert answer.status == "Success", (answer.fault, answer.errors)


# ------------------------------------------------------------------------------------------------------------- the cells


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize(("sheet", "column"), COLUMNS)
def test_cell(stages: dict[tuple[str, str], Stage], sheet: str, column: str, row: str) -> None:
    stage = stages[sheet, column]
    if row in ("TD2.1", "TD2.2"):
        check_feeding(stage, row)
    elif row == "TD3.1-meta":
        check_metadata(stage)
    elif row == "TD3.1-ref":
        check_reference(stage)
    elif row in READ:
        check_reading(stage, row)
    elif row in ("TD0.2", "TD1.3a"):
        check_record(stage, row)
    elif row.startswith(("TD0", "TD1")):
        check_authorisation(stage, row)
    else:
        check_change(stage, row)


def check_feeding(stage: Stage, row: str) -> None:
    """Staff feeds by TD2.2, everybody else by TD2.1: the other row of a column has no message of its own."""
    own_row = "TD2.2" if stage.base in ("CPE", "PE") else "TD2.1"
    if row != own_row:
        assert stage.cell(row) == "N"
        return
    answer = stage.world.provide(stage.assertion, Imputed(stage.patient, [Entry(stage.patient)]))
    if stage.cell(row) == "N":
        assert refused_by(answer) == NOT_IN_MATRIX
        return
    assert answer.status == "Success", (answer.fault, answer.errors)
    answer = stage.world.provide(stage.assertion, Submission(stage.patient, [Entry(stage.patient)]))
    assert refused_by(answer) == (NOT_IMPUTED if stage.cell(row) == "struct" else "")


def check_metadata(stage: Stage) -> None:
    answer = stage.world.find(stage.assertion, stage.patient)
    if stage.cell("TD3.1-meta") == "Y":
        assert answer.status == "Success"
        found = {e.get("id") for e in answer.body.iter() if isinstance(e.tag, str) and e.tag.endswith("}ExtrinsicObject")}
        assert found >= {entry.id for key, entry in stage.entries.items() if not stage.is_hidden(*key) and key[0] in STATES[:1]}
        assert not found & {entry.id for key, entry in stage.entries.items() if stage.is_hidden(*key)}
    else:
        assert refused_by(answer) in (NOT_IN_MATRIX, REFERENCE_ONLY)


def check_reference(stage: Stage) -> None:
    answer = stage.world.find(stage.assertion, stage.patient, "ObjectRef")
    word = stage.cell("TD3.1-ref")
    assert word in ("Y", "ref_only")
    assert (answer.status == "Success") == (word == "Y")
    answer = stage.world.reference(stage.assertion, stage.entries["plain", "other"])
    assert stage.entries["plain", "other"].id in [e.get("id") for e in answer.body.iter() if isinstance(e.tag, str)]


def check_reading(stage: Stage, row: str) -> None:
    state = row.rpartition("-")[2]
    own, other = stage.entries[state, "own"], stage.entries[state, "other"]
    word = stage.cell(row)
    answer = stage.world.retrieve(stage.assertion, [own, other])
    if all(stage.cell(one) == "N" for one in READ):
        assert refused_by(answer) == NOT_IN_MATRIX
        return
    given = {"Y": {own.uid, other.uid}, "own": {own.uid}, "patient_ok": {own.uid}, "N": set[str]()}[word]
    if stage.is_hidden(state, "own"):
        given = set()
    assert_given(answer, given, {own.uid, other.uid})
    if word == "patient_ok":
        stage.world.rights.give(stage.patient, Right.MASKED_IN_EMERGENCY)
        assert_given(stage.world.retrieve(stage.assertion, [own, other]), {own.uid, other.uid}, {own.uid, other.uid})
        stage.world.rights.take(stage.patient, Right.MASKED_IN_EMERGENCY)


def assert_given(answer: Answer, given: set[str], asked: set[str]) -> None:
    assert set(answer.documents()) == given
    assert answer.codes == ["XDSDocumentUniqueIdError"] * len(asked - given)


def check_record(stage: Stage, row: str) -> None:
    answer = ask_record(stage.world, stage.assertion, question("TEST_EXST" if row == "TD0.2" else "CNSLT_DATA", stage.patient))
    if stage.cell(row) == "N":
        assert refused_by(answer) == NOT_IN_MATRIX
        return
    found = read_told(QUERY, answer)
    assert (found.type, found.xpath("//v3:queryResponseCode/@code")) == ("AA", ["OK"])
    keys = ["AUTORISATION", "STATUT_MT"] if row == "TD0.2" else []
    assert found.xpath("v3:attentionLine/v3:keyWordText/@code") == keys


def check_authorisation(stage: Stage, row: str) -> None:
    """What a cell opens is done, and undone again for the cells that follow."""
    words, right = {
        "TD0.3-add": (("AJOUT",), Right.AUTHORISED), "TD0.3-remove": (("SUPPRESSION",), Right.AUTHORISED),
        "TD0.3-removeMT": (("SUPPRESSION", "MEDECIN_TRAITANT"), Right.TREATING), "TD1.6": (("TOUTE",), Right.AUTHORISED),
    }[row]  # fmt: skip
    rights, patient = stage.world.rights, stage.patient
    before = rights.listed(patient)
    answer = authorise(stage.world, stage.assertion, *words, operation="" if row != "TD1.6" else LIST)
    if stage.cell(row) == "N":
        assert refused_by(answer) == NOT_IN_MATRIX
        assert rights.listed(patient) == before
        return
    assert status_of(answer)[0] == "DMPOk", answer.fault
    holder = HOSPITAL if stage.cell(row) == "struct" else stage.caller.subject
    if row != "TD1.6":
        assert ((right, holder) in [(one.right, one.holder) for one in rights.listed(patient)]) is (row == "TD0.3-add")
        had = [one.right for one in before if one.holder == holder]
        for kind in {Right.AUTHORISED, Right.TREATING}:
            (rights.give if kind in had else rights.take)(patient, kind, holder)


def check_change(stage: Stage, row: str) -> None:
    state = row.rpartition("-")[2]
    word = stage.cell(row)
    for whose in ("own", "other"):
        entry = stage.entries[state, whose]
        answer = change(stage, row, entry)
        allowed = word == "Y" or (word in ("own", "struct") and whose == "own")
        if all(stage.cell(one) == "N" for one in CHANGES):
            assert refused_by(answer) == NOT_IN_MATRIX
        elif stage.is_hidden(state, whose):
            assert answer.status == "Failure" and answer.codes, (whose, answer.fault)
        elif allowed:
            assert answer.status == "Success", (whose, answer.fault, answer.errors)
        else:
            assert refused_by(answer) == (NOT_IN_MATRIX if word == "N" else NOT_OWN), (whose, answer.fault, answer.errors)


def change(stage: Stage, row: str, entry: Entry) -> Answer:
    send = stage.world
    if row == "TD3.3a-mask":
        return send.recode(stage.assertion, entry, (NORMAL, MASKED), "ITI-92" if stage.column.endswith("n") else "ITI-57")
    if row in ("TD3.3a-unmask", "TD3.3b-visible"):
        return send.recode(stage.assertion, entry, (NORMAL,))
    original, new = {
        "TD3.3d-archive": (APPROVED, ARCHIVED), "TD3.3d-unarchive": (ARCHIVED, APPROVED), "TD3.3c-delete": (APPROVED, DELETED)
    }[row]  # fmt: skip
    return send.restatus(stage.assertion, entry, original, new)


def test_every_row_of_the_data_is_asked_here_or_listed_as_without_a_transaction() -> None:
    page = (ROOT / "docs" / "rights.md").read_text(encoding="utf-8")
    without = page.partition("## Rows that no transaction asks")[2]
    for sheet in SHEETS:
        for row in DATA[sheet]["rows"]:
            assert (row in ROWS) != (f"| `{row}` |" in without), row


def test_the_page_names_this_file() -> None:
    assert Path(__file__).name in (ROOT / "docs" / "rights.md").read_text(encoding="utf-8")
