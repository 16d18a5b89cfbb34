"""Requirement codes: the shipped referentials, those of a user, the matrix of the report, the directories of the evidence."""

from __future__ import annotations

import json
import re
import socket
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from conformance import report
from conformance.case import read_suite
from conformance.referential import NONE, ReferentialError, read_referentials, shipped, with_requirements
from conformance.report_html import build_html
from conformance.result import CaseResult, Required, Run, Status, Text
from tests.conformance.test_run_command import carnet
from tests.server_process import ROOT

SUITE = read_suite()
RIGHT = """
name = { en = "Ours", fr = "Le nôtre" }
[[requirement]]
code = "A 1/2"
title = { en = "Class codes are sent", fr = "Les classCode sont envoyés" }
cases = ["de-103-*"]
rules = ["DE-105"]
[[requirement]]
code = "B"
title = { en = "The user is asked", fr = "L'utilisateur est interrogé" }
reason = { en = "No message shows it.", fr = "Aucun message ne le montre." }
"""


def all_shipped() -> dict[str, Required]:
    return {one.code: one for one in read_referentials(shipped(), "", SUITE)}


def test_the_shipped_ones_hold_the_codes_that_are_known() -> None:
    found = all_shipped()
    assert shipped() == ("dmp-fr", "dmp-scenarios")
    scenarios = [*(f"P{number:02}" for number in range(1, 23)), *(f"N{number:02}" for number in range(1, 35))]
    assert [code for code in found if re.fullmatch(r"[PN]\d\d", code)] == scenarios
    for one in found.values():
        assert one.cases or one.reason, one.code
        assert one.title.en != one.title.fr or one.title.en.istitle(), one.code
    assert sum(1 for code in scenarios if found[code].cases) > 45


def test_every_code_of_the_facts_is_there(shared: Path) -> None:
    """And none is invented, neither of a rule nor of a transaction."""
    facts = (shared / "facts" / "dmp.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\b(?:EX|REC)_[A-Z0-9.]+-\d+|\bRG_\d+", facts))
    ours = {code for code in all_shipped() if code.startswith(("EX_", "REC_", "RG_"))}
    assert named <= ours
    assert [code for code in ours if code.removeprefix("EX_") not in facts] == []
    assert [code for code in all_shipped() if code.startswith("TD") and code not in facts] == []


def test_by_default_those_of_the_domain_count() -> None:
    assert {one.code for one in read_referentials((), "ci-sis", SUITE)} == set(all_shipped())
    assert read_referentials((), "", SUITE) == () and read_referentials((NONE,), "ci-sis", SUITE) == ()


def test_one_of_a_user(tmp_path: Path) -> None:
    file = tmp_path / "ours.toml"
    file.write_text(RIGHT)
    first, second = read_referentials((str(file),), "ci-sis", SUITE)
    assert {"de-103-absent", "de-105-absent"} <= set(first.cases) and not first.reason
    assert (second.cases, second.reason.fr) == ((), "Aucun message ne le montre.")
    assert with_requirements(SUITE, (first, second))["de-103-absent"].requirements == ("A 1/2",)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('code = "B"', 'code = "A 1/2"', "A 1/2 stands there twice"),
        ('code = "B"', "", "a [[requirement]] has no code"),
        ('"de-103-*"', '"de-9999"', "A 1/2: cases: no case has the id de-9999"),
        ('"DE-105"', '"DE-999"', "A 1/2: rules: no case proves DE-999"),
        ('rules = ["DE-105"]', "rules = 105", "A 1/2: rules: expected a list of texts, not 105"),
        ("reason =", "because =", "B: because is not known here"),
        ('reason = { en = "No message shows it.", fr = "Aucun message ne le montre." }', "", "B: expected are cases, rules, or"),
        (', fr = "L\'utilisateur est interrogé"', "", "B: title: {'en': 'The user is asked'}: a text has en and fr"),
        ('name = { en = "Ours", fr = "Le nôtre" }', "", "expected are name = { en, fr } and one or more"),
        ("[[requirement]]", "[[requirements]]", "requirements is not known here"),
        ("name = {", "name {", "ours.toml: "),
    ],
)
def test_what_is_wrong_is_named(old: str, new: str, told: str, tmp_path: Path) -> None:
    assert old in RIGHT
    file = tmp_path / "ours.toml"
    file.write_text(RIGHT.replace(old, new))
    with pytest.raises(ReferentialError, match=re.escape(told)):
        read_referentials((str(file),), "", SUITE)


def test_the_one_of_the_page_is_read(tmp_path: Path) -> None:
    blocks = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "conformance.md").read_text(), re.DOTALL)
    (block,) = [block for block in blocks if "[[requirement]]" in block]
    file = tmp_path / "page.toml"
    file.write_text(block)
    first, second = read_referentials((str(file),), "", SUITE)
    assert "as-valid-rplc" in first.cases and second.reason


def test_what_cannot_be_together_is_named(tmp_path: Path) -> None:
    with pytest.raises(ReferentialError, match="dmp-fr, dmp-scenarios, none is expected"):
        read_referentials(("nowhere.toml",), "", SUITE)
    with pytest.raises(ReferentialError, match="--referential none excludes any other"):
        read_referentials((NONE, "dmp-fr"), "", SUITE)
    with pytest.raises(ReferentialError, match="stands in DMP compatibility already"):
        read_referentials(("dmp-fr", "dmp-fr"), "", SUITE)


def case(id: str, status: Status, requirements: Iterable[str]) -> CaseResult:
    return CaseResult(id, Text(id, id), "ITI-42", ("registry",), (), "ITI TF-2: 3.42", status, tuple(requirements))


REQUIRED = (
    Required("A 1/2", Text("First <b>", "Premier <b>"), Text("Ours", "Le nôtre"), ("one", "two")),
    Required("B", Text("Second", "Deuxième"), Text("Ours", "Le nôtre"), (), Text("No message shows it.", "Rien ne le montre.")),
    Required("C", Text("Third", "Troisième"), Text("Ours", "Le nôtre"), ("three",)),
    Required("D", Text("Fourth", "Quatrième"), Text("Ours", "Le nôtre"), ("four", "three")),
)
RUN = Run(
    "http://x", "registry", "carnet", "en", "2026-01-02T03:04:05+00:00",
    cases=[case("one", Status.PASSED, ["A 1/2"]), case("two", Status.FAILED, ["A 1/2"]), case("four", Status.PASSED, ["D"])],
    required=REQUIRED,
)  # fmt: skip


def test_the_evidence_has_one_directory_per_code(tmp_path: Path) -> None:
    report.write(RUN, tmp_path, "fr")
    archive = zipfile.ZipFile(tmp_path / "evidence.zip")
    names = [name for name in archive.namelist() if name.endswith("verdict.json")]
    verdicts = {name.partition("/")[0]: json.loads(archive.read(name)) for name in names}
    assert {code: one["verdict"] for code, one in verdicts.items()} == {
        "A_1_2": "failed", "B": "not covered", "C": "not asked", "D": "passed, not all asked",
    }  # fmt: skip
    assert [one["case"] for one in verdicts["A_1_2"]["cases"]] == ["one", "two"]
    assert verdicts["B"]["reason"]["fr"] == "Rien ne le montre."
    told = archive.read("A_1_2/rule.txt").decode()
    assert told.startswith("A 1/2  Ours / Le nôtre") and "Premier <b>" in told
    assert Run.of_json(json.loads((tmp_path / "report.json").read_bytes())) == RUN


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ("failed", "no case", "not asked", "passed, not all asked")),
        ("fr", ("échoué", "aucun cas", "non examinée", "réussi, non tout examiné")),
    ],
)
def test_the_page_has_a_row_for_each_code(language: str, words: tuple[str, ...]) -> None:
    page = build_html(RUN, language)
    rows = re.findall(r'<tr id="required-([^"]*)">.*?<td class="(\w+)">([^<]*)</td><td>(.*?)</td></tr>', page)
    assert [(code, name, word) for code, name, word, _ in rows] == [
        ("A 1/2", "failed", words[0]), ("B", "not_covered", words[1]), ("C", "unasked", words[2]), ("D", "partly", words[3]),
    ]  # fmt: skip
    assert rows[0][3] == '<a href="#one">one</a>, <a href="#two">two</a>' and rows[2][3] == "three"
    assert "First <b>" not in page and "Premier <b>" not in page
    assert page.count('href="#required-') == 4


def test_the_command_takes_a_file(tmp_path: Path) -> None:
    """Nobody listens at the target: the codes are in report and evidence all the same."""
    file = tmp_path / "ours.toml"
    file.write_text(RIGHT)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        run = ("run", "--target", url, "--report", tmp_path / "r", "--case", "de-103-*", "--quiet")
        assert carnet(*run, "--referential", file).returncode == 3
    page = (tmp_path / "r" / "report.html").read_text()
    assert "Class codes are sent" in page and "No message shows it." in page
    assert "A_1_2/rule.txt" in zipfile.ZipFile(tmp_path / "r" / "evidence.zip").namelist()
    done = carnet(*run, "--referential", "nowhere")
    assert done.returncode == 2 and "--referential nowhere: No such file" in done.stderr
