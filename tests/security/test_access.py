"""The policy of rights without a server: the data file beside the published table, wrong files, every rule, every reading."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from metadata import ins
from metadata.model import Code, DocumentEntry, RegistryObject
from security import saml_names as names
from security.access import (
    INVISIBLE,
    MASKED,
    SECRET,
    Authorisation,
    EntryState,
    Grant,
    Ihe,
    MatrixPolicy,
    Reading,
    RecordRights,
    opened_by,
    policy_of,
    rows_of_reading,
)
from security.access_changes import row_of_status, rows_of_version
from security.access_matrix import COLUMNS, ROWS, Cell, MatrixError, read_matrix
from security.identity import Assertion, Coded, Mode
from security.refusal import Denied
from security.rules_access import ACCESS_RULES
from tests.server_process import ROOT

TEXT = (ROOT / "security" / "rights" / "dmp-fr.toml").read_text(encoding="utf-8")
SHARED = Path(os.environ.get("CARNET_SHARED") or ROOT.parent / "shared")
PATIENT = "207058575627097^^^&1.2.250.1.213.1.4.10&ISO"
DOCTOR, NURSE = Coded("10", names.PROFESSIONS), Coded("60", names.PROFESSIONS)
PATIENT_ROLE = Coded("EXP_PATIENT", names.OTHER_ROLES)
OPEN = RecordRights((1,), frozenset({PATIENT}), Authorisation.VALID)


def assertion(**changes: object) -> Assertion:
    said = Assertion(
        "_1", "CN=x", "899900000001", Mode.DIRECT, patient=PATIENT, roles=(DOCTOR, Coded("SM26", names.KNOW_HOWS)),
        structure="10B0127189", purpose=Coded(names.NORMAL, names.PURPOSES),
    )  # fmt: skip
    return replace(said, **changes)  # type: ignore[arg-type]


def grant(rights: RecordRights = OPEN, reading: str = "strict", **changes: object) -> Grant:
    policy = policy_of("dmp-fr", reading)
    assert isinstance(policy, MatrixPolicy)
    return policy.grant(assertion(**changes), lambda patient, person, structure: rights)


def purpose(code: str) -> Coded:
    return Coded(code, names.PURPOSES)


# ---------------------------------------------------------------------------------------------------------- the data file


def test_the_sheet_m526_is_the_published_one_by_cell() -> None:
    facts = SHARED / "facts" / "dmp.md"
    if not facts.is_file():
        pytest.skip("CARNET_SHARED names no folder with facts/dmp.md")
    block = facts.read_text(encoding="utf-8").partition("columns NMn NMr")[2].partition("```\n")[2].partition("```")[0]
    published = {line.split()[0]: line.split()[1:] for line in block.splitlines() if line.strip()}
    matrix = read_matrix(TEXT, "dmp-fr.toml")
    assert published.keys() == matrix.cells["m526"].keys()
    for row, words in published.items():
        assert [matrix.cell("m526", row, column).value for column in COLUMNS["m526"]] == words, row


def test_air_differs_where_the_guide_says_so() -> None:
    matrix = read_matrix(TEXT, "dmp-fr.toml")
    shared = [column for column in COLUMNS["air"] if column != "PE"]
    differing = {
        (row, column) for row in ROWS for column in shared
        if matrix.cell("air", row, column) is not matrix.cell("m526", row, column)
    }  # fmt: skip
    rows = {row for row, _ in differing}
    assert rows == {"TD0.3-removeMT", "TD0.9", "TD0.10", "TD2.1", "TD3.3d-archive", "TD3.3d-unarchive"}
    assert {column for row, column in differing if row.startswith("TD3.3d")} == {"MDn"}
    staff = {row: matrix.cell("air", row, "PE") for row in ROWS if matrix.cell("air", row, "PE") is not Cell.NO}
    assert staff == {
        "TD0.1": Cell.YES, "TD0.2": Cell.YES, "TD0.3-add": Cell.STRUCTURE, "TD0.4": Cell.SAME_STRUCTURE, "TD0.10": Cell.YES,
        "TD1.3a": Cell.YES, "TD3.1-ref": Cell.REFERENCE_ONLY, "TD3.3c-delete": Cell.STRUCTURE,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: re.sub(r'"TD1.6" +=\s"Y', '"TD1.6" = "maybe', t, count=1), ("TD1.6, column NMn", "'maybe'", "patient_ok")),
        (lambda t: t.replace('"TD0.5" ', '"TD0.6" '), ("[m526.rows] TD0.6", "TD0.5")),
        (lambda t: t.replace(' OP MTn MTb CPE', ' MTn MTb CPE'), ("[m526] columns", "OP")),
        (lambda t: re.sub(r'"TD2.2" +=\s"N +N"', '"TD2.2" = "N"', t), ("[own.rows] TD2.2", "1 cells", "PA RL")),
        (lambda t: t.replace("[own", "[owns"), ("[own]", "owns")),
        (lambda t: t.replace('"ITI-8" = "partner"', '"ITI-8" = "everybody"'), ("[feeds] ITI-8", "'everybody'", "partner")),
        (lambda t: t.replace('"ITI-8" = ', '"ITI-9" = '), ("[feeds] ITI-9", "ITI-44")),
        (lambda t: t.replace('"patient show" = "Y"', '"patient show" = "yes"'), ("[operator] patient show", "Y, N")),
        (lambda t: t + "x", ("no TOML",)),
    ],
)  # fmt: skip
def test_a_wrong_matrix_is_refused_with_row_column_and_accepted_words(
    tmp_path: Path, change: Callable[[str], str], words: tuple[str, ...]
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(change(TEXT), encoding="utf-8")
    with pytest.raises(MatrixError) as refused:
        policy_of(str(file))
    assert str(file) in str(refused.value)
    for word in words:
        assert word in str(refused.value)


def test_every_fault_of_a_matrix_is_told_at_once_and_a_right_file_replaces_the_shipped_one(tmp_path: Path) -> None:
    with pytest.raises(MatrixError) as refused:
        read_matrix(TEXT.replace("patient_ok", "perhaps").replace('"TD0.5"', '"TD0.6"'), "mine")
    assert str(refused.value).count("'perhaps'") == 10
    assert "TD0.6" in str(refused.value)
    (tmp_path / "mine.toml").write_text(TEXT.replace('name = "dmp-fr"', 'name = "mine"'), encoding="utf-8")
    assert policy_of(str(tmp_path / "mine.toml")).name == "mine"
    assert isinstance(policy_of("ihe"), Ihe)
    with pytest.raises(MatrixError, match=r"nowhere\.toml cannot be read"):
        policy_of(str(tmp_path / "nowhere.toml"))


def test_readings_are_strict_open_or_named() -> None:
    assert opened_by("strict") == frozenset() and opened_by("open") == frozenset(Reading)
    assert opened_by("imputation, plain-feed") == {Reading.IMPUTATION, Reading.PLAIN_FEED}
    with pytest.raises(ValueError, match="mild: accepted: strict, open, or of masked-emergency"):
        opened_by("mild")


# -------------------------------------------------------------------------------------------------------------- the column


@pytest.mark.parametrize(
    ("changes", "rights", "column"),
    [
        ({}, OPEN, "MDn"),
        ({"roles": (NURSE,)}, OPEN, "NMn"),
        ({"purpose": purpose(names.CENTRE_15)}, OPEN, "MDr"),
        ({"purpose": purpose(names.EMERGENCY), "reason": "coma"}, OPEN, "MDb"),
        ({}, replace(OPEN, treating=True), "MTn"),
        ({"purpose": purpose(names.CENTRE_15)}, replace(OPEN, treating=True), "MDr"),
        ({"roles": (NURSE,)}, replace(OPEN, treating=True), "NMn"),
        ({"roles": (DOCTOR, Coded("SM25", names.KNOW_HOWS))}, OPEN, "OP"),
        ({"roles": (Coded("SECRETARIAT_MEDICAL", names.OTHER_ROLES),)}, OPEN, "CPE"),
        ({"roles": (Coded("SECRETARIAT_MEDICAL", names.OTHER_ROLES),), "mode": Mode.REINFORCED}, OPEN, "PE"),
        ({"mode": Mode.INDIRECT}, OPEN, "ESn"),
        ({"mode": Mode.XUA}, OPEN, "ESn"),
        ({"roles": (Coded("EXP_PATIENT", names.OTHER_ROLES),), "subject": "207058575627097"}, OPEN, "PA"),
        ({"roles": (Coded("EXP_PATIENT", names.OTHER_ROLES),)}, replace(OPEN, represents=True), "RL"),
        # Whom a structure calls a patient is no more than its staff.
        ({"roles": (PATIENT_ROLE,), "subject": "207058575627097", "mode": Mode.INDIRECT}, OPEN, "ESn"),
        ({"roles": (PATIENT_ROLE,), "subject": "207058575627097", "mode": Mode.XUA}, OPEN, "ESn"),
        ({"roles": (PATIENT_ROLE,), "subject": "207058575627097", "mode": Mode.REINFORCED}, OPEN, "PE"),
        ({"roles": (PATIENT_ROLE,), "mode": Mode.INDIRECT}, replace(OPEN, represents=True), "ESn"),
    ],
)
def test_role_mode_purpose_and_record_give_the_column(changes: dict[str, object], rights: RecordRights, column: str) -> None:
    assert grant(rights, **changes).column == column


INS, INS_C = "207058575627097", "0123456789012345678942"
LOCAL, ELSEWHERE = "12345^^^&1.2.3&ISO", "12345^^^&1.2.4&ISO"


@pytest.mark.parametrize(
    ("subject", "named", "identifiers", "column"),
    [
        (INS, PATIENT, {PATIENT}, "PA"),
        (INS, f"{INS_C}^^^&{ins.INS_C}&ISO", {PATIENT, f"{INS_C}^^^&{ins.INS_C}&ISO"}, "PA"),  # aliases are one patient
        (INS_C, f"{PATIENT}^NH", {PATIENT, f"{INS_C}^^^&{ins.INS_C}&ISO"}, "PA"),
        (INS, LOCAL, {PATIENT, LOCAL}, "PA"),
        ("12345", LOCAL, {LOCAL}, "PA"),
        ("12345", f"{LOCAL}^PI", {LOCAL}, "PA"),
        (LOCAL, PATIENT, {PATIENT, LOCAL}, "PA"),
        (f"{PATIENT}^NH", LOCAL, {PATIENT, LOCAL}, "PA"),
        # The same number under another authority is somebody else's.
        (ELSEWHERE, LOCAL, {LOCAL}, ""),
        (ELSEWHERE, PATIENT, {PATIENT, LOCAL}, ""),
        ("12345", PATIENT, {PATIENT, LOCAL}, ""),
        ("12345", LOCAL, {PATIENT, LOCAL}, ""),
        ("12345", "6^^^&1.2.4&ISO", {LOCAL, "6^^^&1.2.4&ISO"}, ""),
        (f"{INS}^^^&1.2.3&ISO", PATIENT, {PATIENT}, ""),
        (INS, "6^^^&1.2.4&ISO", {f"{INS}^^^&1.2.3&ISO", "6^^^&1.2.4&ISO"}, ""),
        ("12345^^^", LOCAL, {LOCAL}, ""),
        ("", LOCAL, {LOCAL, "^^^&1.2.3&ISO"}, ""),
    ],
)
def test_the_patient_is_known_by_number_and_authority(subject: str, named: str, identifiers: set[str], column: str) -> None:
    rights = replace(OPEN, identifiers=frozenset(identifiers))
    said = {"subject": subject, "patient": named, "roles": (PATIENT_ROLE,)}
    if column:
        assert grant(rights, **said).column == column
    else:
        with pytest.raises(Denied) as refused:
            grant(rights, **said)
        assert refused.value.rule == "ACC-005"
    assert grant(replace(rights, represents=True), **said).column == (column or "RL")


# --------------------------------------------------------------------------------------------------------------- the rules

PLAIN, MINE = EntryState(1), EntryState(1, persons=frozenset({"899900000001"}))
UNKNOWN = RecordRights()
EMERGENCY = {"purpose": purpose(names.EMERGENCY), "reason": "coma"}


def _feed(rule_policy: MatrixPolicy) -> None:
    rule_policy.demand_feed("ITI-44", assertion(), True)


def _operator() -> None:
    matrix = read_matrix(TEXT.replace('"patient show" = "Y"', '"patient show" = "N"'), "mine")
    MatrixPolicy(matrix).demand_command("patient show")


def _dmp() -> MatrixPolicy:
    policy = policy_of("dmp-fr")
    assert isinstance(policy, MatrixPolicy)
    return policy


CASES: list[tuple[str, Callable[[], object]]] = [
    ("ACC-001", lambda: _dmp().grant(None, lambda *_: OPEN)),
    ("ACC-002", lambda: grant(patient="")),
    ("ACC-003", lambda: grant(mode=Mode.INDIRECT).demand("TD3.2-plain")),
    ("ACC-004", lambda: grant(roles=())),
    ("ACC-004", lambda: grant(purpose=None)),
    ("ACC-004", lambda: grant(purpose=Coded(names.NORMAL, names.XUA_PURPOSES))),
    ("ACC-004", lambda: grant(purpose=Coded(names.EMERGENCY, "1.2.3"), reason="coma")),
    ("ACC-004", lambda: grant(roles=(Coded("10", "1.2.3"),))),
    ("ACC-004", lambda: grant(mode=Mode.INDIRECT, **EMERGENCY)),
    ("ACC-004", lambda: grant(mode=Mode.REINFORCED, roles=(DOCTOR, Coded("SM25", names.KNOW_HOWS)))),
    ("ACC-005", lambda: grant(replace(OPEN, authorisation=Authorisation.NONE)).demand("TD3.1-meta")),
    ("ACC-005", lambda: grant(replace(OPEN, authorisation=Authorisation.EXPIRED)).demand("TD3.1-meta")),
    ("ACC-005", lambda: grant(replace(OPEN, authorisation=Authorisation.BLOCKED)).demand("TD2.1")),
    ("ACC-005", lambda: grant(replace(OPEN, structure=Authorisation.BLOCKED), **EMERGENCY).demand("TD3.1-meta")),
    ("ACC-005", lambda: grant(replace(OPEN, opposed=frozenset({names.EMERGENCY})), **EMERGENCY).demand("TD3.1-meta")),
    ("ACC-005", lambda: grant(UNKNOWN, **EMERGENCY).demand("TD3.1-meta")),
    ("ACC-005", lambda: grant(roles=(Coded("EXP_PATIENT", names.OTHER_ROLES),))),
    ("ACC-006", lambda: grant().judge("TD3.3c-delete", PLAIN)),
    ("ACC-007", lambda: grant(session=(SECRET,)).demand_feeding([], [frozenset()])),
    ("ACC-008", lambda: grant(mode=Mode.INDIRECT).demand_feeding(["Other^^^^^&1&ISO^^^^2000"], [])),
    ("ACC-009", lambda: grant(mode=Mode.INDIRECT).demand_references("FindDocuments", leaf=False)),
    ("ACC-010", lambda: grant().judge_unlisted("title", [MINE])),
    ("ACC-011", lambda: _feed(_dmp())),
    ("ACC-011", lambda: _dmp().demand_feed("ITI-8", None, proved=False)),
    ("ACC-012", lambda: grant(purpose=purpose(names.EMERGENCY), reason=" ")),
    ("ACC-014", _operator),
    ("ACC-015", lambda: grant().judge("TD3.3d-archive", replace(MINE, by_patient=True))),
]


@pytest.mark.parametrize(("rule", "act"), CASES)
def test_each_refusal_has_its_rule_in_two_languages(rule: str, act: Callable[[], object]) -> None:
    with pytest.raises(Denied) as refused:
        act()
    assert refused.value.rule == rule
    assert refused.value.text_en and refused.value.text_fr and refused.value.text_en != refused.value.text_fr


def test_every_rule_is_tripped_here_or_over_the_wire() -> None:
    ids = [row.id for row in ACCESS_RULES]
    assert len(ids) == len(set(ids))
    assert {rule for rule, _ in CASES} | {"ACC-013", "ACC-016", "ACC-017"} == set(ids)  # on the wire


def test_unknown_expired_blocked_and_opposed_read_the_same() -> None:
    states = [replace(OPEN, authorisation=one) for one in (Authorisation.NONE, Authorisation.EXPIRED, Authorisation.BLOCKED)]
    texts = set()
    for rights in (UNKNOWN, *states):
        with pytest.raises(Denied) as refused:
            grant(rights).demand("TD3.1-meta")
        texts.add((refused.value.text_en, refused.value.text_fr, refused.value.remedy))
    assert len(texts) == 1


# --------------------------------------------------------------------------------------------------------------- readings


def test_each_reading_opens_what_the_strict_one_refuses() -> None:
    masked, written = EntryState(1, frozenset({MASKED})), EntryState(1, by_patient=True)
    treating = replace(OPEN, treating=True)
    patient = {"roles": (Coded("EXP_PATIENT", names.OTHER_ROLES),)}
    represents = replace(OPEN, represents=True)
    structure = replace(OPEN, authorisation=Authorisation.NONE, structure=Authorisation.VALID)
    blocked = replace(OPEN, authorisation=Authorisation.BLOCKED)
    cases: dict[Reading, Callable[[str], bool]] = {
        Reading.MASKED_EMERGENCY: lambda r: grant(OPEN, r, **EMERGENCY).reads(masked),
        Reading.PATIENT_WRITTEN: lambda r: _passes(lambda: grant(treating, r).judge("TD3.3c-delete", written)),
        Reading.BLOCKED_FEEDS: lambda r: _passes(lambda: grant(blocked, r).demand("TD2.1")),
        Reading.REPRESENTATIVE: lambda r: grant(represents, r, **patient).reads(EntryState(1, frozenset({INVISIBLE}))),
        Reading.XUA_PROFESSION: lambda r: grant(OPEN, r, mode=Mode.XUA).column == "MDn",
        Reading.REFERENCES: lambda r: _passes(lambda: grant(OPEN, r, mode=Mode.INDIRECT).demand_references("GetAll", False)),
        Reading.IMPUTATION: lambda r: _passes(lambda: grant(OPEN, r, mode=Mode.INDIRECT).demand_feeding([], [])),
        Reading.OTHER_CHANGES: lambda r: _passes(lambda: grant(OPEN, r).judge_unlisted("title", [MINE])),
        Reading.STRUCTURE: lambda r: _passes(lambda: grant(structure, r).demand("TD3.1-meta")),
        Reading.PATIENT_BY_STRUCTURE: lambda r: (
            grant(OPEN, r, mode=Mode.INDIRECT, roles=(PATIENT_ROLE,), subject="207058575627097").column == "PA"
        ),
        Reading.PLAIN_FEED: lambda r: _passes(lambda: _reading(r).demand_feed("ITI-8", None, False)),
    }
    assert cases.keys() == set(Reading)
    for reading, allowed in cases.items():
        assert not allowed("strict"), reading
        assert allowed(reading.value), reading
        assert allowed("open"), reading


def _reading(reading: str) -> MatrixPolicy:
    policy = policy_of("dmp-fr", reading)
    assert isinstance(policy, MatrixPolicy)
    return policy


def _passes(act: Callable[[], object]) -> bool:
    try:
        act()
    except Denied:
        return False
    return True


# ---------------------------------------------------------------------------------------------------------------- changes


def test_a_new_version_asks_the_rows_of_what_changes() -> None:
    def entry(*masks: str, **changes: object) -> DocumentEntry:
        codes = (Code("N", "2.16.840.1.113883.5.25"), *(Code(one, names.MASKING) for one in masks))
        one = DocumentEntry(RegistryObject("ExtrinsicObject", "x"), "x", confidentialityCode=codes, title="a")
        return replace(one, **changes)  # type: ignore[arg-type]

    assert rows_of_version(entry(), entry(MASKED)) == (["TD3.3a-mask"], [])
    assert rows_of_version(entry(MASKED), entry()) == (["TD3.3a-unmask"], [])
    assert rows_of_version(entry(MASKED, INVISIBLE), entry()) == (["TD3.3a-unmask", "TD3.3b-visible"], [])
    assert rows_of_version(entry(SECRET), entry()) == (["TD3.3b-visible"], [])
    assert rows_of_version(entry(), entry(INVISIBLE)) == ([], ["confidentialityCode INVISIBLE_PATIENT"])
    assert rows_of_version(entry(), entry(MASKED, title="b")) == (["TD3.3a-mask"], ["title"])
    restricted = entry(confidentialityCode=(Code("R", "2.16.840.1.113883.5.25"),))
    assert rows_of_version(entry(), restricted) == ([], ["confidentialityCode"])
    assert rows_of_version(entry(), entry(author=())) == ([], [])


def test_a_status_asks_its_row_or_none() -> None:
    approved, deprecated = (f"urn:oasis:names:tc:ebxml-regrep:StatusType:{one}" for one in ("Approved", "Deprecated"))
    archived, deleted = (f"urn:asip:ci-sis:2010:StatusType:{one}" for one in ("Archived", "Deleted"))
    assert row_of_status(approved, archived) == "TD3.3d-archive"
    assert row_of_status(archived, approved) == "TD3.3d-unarchive"
    assert row_of_status(approved, deleted) == row_of_status(archived, deleted) == "TD3.3c-delete"
    assert row_of_status(approved, deprecated) is None and row_of_status(deleted, approved) is None


def test_a_document_in_several_states_asks_all_their_rows() -> None:
    both = EntryState(1, frozenset({MASKED, INVISIBLE}), status="ARCHIVED")
    assert rows_of_reading(both) == ["TD3.2-masked", "TD3.2-invisible", "TD3.2-archived"]
    assert rows_of_reading(EntryState(1)) == ["TD3.2-plain"]
