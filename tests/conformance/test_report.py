"""The reports of a run: each file is what it says it is, in both languages, and holds nothing that acts on its reader."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from lxml import etree

from conformance import report, report_words
from conformance.case import Expect
from conformance.evidence import codes_of, write_evidence
from conformance.exchange import Exchanged
from conformance.judge import Judge, Reply
from conformance.report_html import _told, build_html
from conformance.result import Anchor, CaseResult, Finding, Message, Run, Status, StepResult, Text, Told
from tests.web.listener import browsing

_HOSTILE = "</pre><script>document.title='run'</script><img src=x onerror=\"document.title='run'\">\x00\x1b"
_REQUEST = Message(b"POST /xds/registry HTTP/1.1\r\nContent-Type: application/soap+xml\r\n\r\n", b"<a>\n<b/>\n</a>")
_RESPONSE = Message(b"HTTP/1.1 200 OK\r\n\r\n", f"<r>\n{_HOSTILE}\n</r>".encode())


def _case(id: str, status: Status, *, rules: tuple[str, ...] = ("PAT-003",), requirements: tuple[str, ...] = ()) -> CaseResult:
    finding = Finding(
        "status", "Failure XDSUnknownPatientId or XDSRegistryMetadataError", f"Success {_HOSTILE}",
        Text("It must be refused.", "Il doit être refusé."), Anchor("response", 4, "onerror"), rules,
    )  # fmt: skip
    step = StepResult(
        "submit", Text("A submission for nobody", "Un dépôt pour personne"), "ITI-42", "http://x/xds/registry",
        "2026-01-02T03:04:05+00:00", 0.01, _REQUEST, _RESPONSE, 200, "Failure", "Success",
        (Told("XDSRegistryError", _HOSTILE),), [finding] if status is Status.FAILED else [],
    )  # fmt: skip
    return CaseResult(
        id, Text(f"Case {id} {_HOSTILE}", f"Cas {id}"), "ITI-42", ("registry",), rules, "ITI TF-2: 3.42.4.1.3", status,
        requirements, Text("not offered", "non offert") if status is Status.SKIPPED else Text(), Text("why", "pourquoi"),
        Text("mend it so", "corriger ainsi"), [] if status is Status.SKIPPED else [step], (), "2026-01-02T03:04:05+00:00", 0.02,
    )  # fmt: skip


def _run(*cases: CaseResult) -> Run:
    return Run(
        f"http://x {_HOSTILE}", "registry", "carnet", "en", "2026-01-02T03:04:05+00:00", "2026-01-02T03:04:06+00:00", 1.0,
        "carnet 0", {"ITI-42": "http://x/xds/registry"}, ("merge",), list(cases),
        {"PAT-003": tuple(case.id for case in cases), "PAT-004": ()},
    )  # fmt: skip


_ALL = [_case("c-1", Status.PASSED), _case("c-2", Status.FAILED, requirements=("DMP 12/3",)), _case("c-3", Status.SKIPPED)]


def test_every_phrase_is_in_both_languages_and_differs() -> None:
    same = {"suite", "kit", "verdict", "transaction", "here", "page"}
    for name, (english, french) in report_words._WORDS.items():
        assert english, name
        assert french, name
        assert (english == french) == (name in same), name


@pytest.mark.parametrize("language", ["en", "fr"])
def test_the_five_files(tmp_path: Path, language: str) -> None:
    written = report.write(_run(*_ALL), tmp_path, language)
    assert [path.name for path in written] == ["report.html", "report.pdf", "junit.xml", "report.json", "evidence.zip"]
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert ("Conformance report" if language == "en" else "Rapport de conformité") in page
    assert ("It must be refused." if language == "en" else "Il doit être refusé.") in page
    assert ("not offered" if language == "en" else "non offert") in page
    assert Run.of_json(json.loads((tmp_path / "report.json").read_bytes())).cases == _ALL


@pytest.mark.parametrize(
    "code", ["..", ".", "", "a\x00b", "/etc/x", "..\\..\\x", "../../x", "DMP_12_3", "dmp_12_3", "C:x", "con\n"]
)
def test_no_code_leads_out_of_the_archive(tmp_path: Path, code: str) -> None:
    """A vendor's own cases bring their codes, and an archive is unpacked by somebody else."""
    write_evidence(_run(_case("../c-1", Status.FAILED, requirements=(code, "DMP 12/3"))), tmp_path / "evidence.zip")
    with zipfile.ZipFile(tmp_path / "evidence.zip") as archive:
        names = archive.namelist()
    assert len({name.casefold() for name in names}) == len(names)
    assert sum(name.endswith("/verdict.json") for name in names) == 3
    for name in names:
        assert re.fullmatch(r"[^/\\\x00-\x1f:]+(?:/[^/\\\x00-\x1f:]+)*", name) and not {".", ".."} & set(name.split("/")), name


@pytest.mark.parametrize(
    "history",
    [5, [5], [{"started": 5, "counts": {}, "bad": []}], [{"started": "x", "counts": {"<script>": 1}, "bad": []}],
     [{"started": "x", "counts": {"passed": "<script>"}, "bad": []}], [{"started": "x", "counts": [], "bad": 3}],
     [{"started": "x", "counts": {"passed": True}, "bad": []}], [{"started": "x", "counts": {"passed": 1}, "bad": [[]]}]],
)  # fmt: skip
def test_a_report_of_somebody_else_in_the_folder_is_left_out(tmp_path: Path, history: object) -> None:
    (tmp_path / "report.json").write_text(json.dumps({"history": history}))
    report.write(_run(*_ALL), tmp_path, "en")
    assert len(json.loads((tmp_path / "report.json").read_bytes())["history"]) == 1
    assert (tmp_path / "report.html").read_text(encoding="utf-8").count("<script>") == 1


def test_the_page_asks_for_nothing_and_allows_only_its_own_script(tmp_path: Path) -> None:
    page = build_html(_run(*_ALL), "en")
    assert re.findall(r"(?:src|href)=\"(?!#)[^\"]*\"", page) == []
    assert page.count("<script>") == 1
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy
    assert policy[1].startswith("default-src 'none'")
    assert "unsafe" not in policy[1]


def test_a_browser_opens_cases_filters_them_and_runs_nothing_of_a_message(tmp_path: Path) -> None:
    report.write(_run(*_ALL), tmp_path / "report", "en")
    with browsing(tmp_path) as browser:
        browser.go((tmp_path / "report" / "report.html").as_uri())
        assert browser.run("return document.querySelectorAll('details.case').length") == 3
        assert browser.run("return document.querySelector('details.case').id") == "c-2"  # what failed stands first
        browser.run("location.hash = '#c-2'")
        shown = browser.until("return document.querySelector('#c-2 .rows tr.hit') && document.querySelector('#c-2').innerText")
        assert "onerror=" in shown
        assert browser.run("return document.querySelector('#c-2 .rows tr.hit').innerText").startswith("4")
        browser.run("document.querySelector('button[data-status=passed]').click()")
        assert browser.run("return [...document.querySelectorAll('details.case:not([hidden])')].map(x => x.id)") == ["c-1"]
        browser.run("const s = document.getElementById('search'); s.value = 'nothing such'; s.dispatchEvent(new Event('input'))")
        assert browser.run("return document.querySelectorAll('details.case:not([hidden])').length") == 0
        assert "Conformance report" in browser.run("return document.title")
        assert browser.run("return document.images.length") == 0
        assert [one for one in browser.log() if one["level"] == "SEVERE"] == []


@pytest.mark.parametrize(("language", "said"), [("en", "passed: 1"), ("fr", "réussi\u00a0: 1")])
def test_a_colon_stands_as_its_language_has_it_and_a_family_of_rules_is_one_row(tmp_path: Path, language: str, said: str) -> None:
    run = _run(*_ALL)
    run.coverage |= {"WIRE-001": ("c-1",), "WIRE-014-absent": ("c-1",)}
    report.write(run, tmp_path, language)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert said in page
    assert "<div>WIRE</div>" in page and "<div>WIRE-" not in page


def test_junit_counts_and_says_why(tmp_path: Path) -> None:
    report.write(_run(*_ALL, _case("c-4", Status.ERROR)), tmp_path, "fr")
    root = etree.fromstring((tmp_path / "junit.xml").read_bytes())
    assert root.tag == "testsuites"
    assert [root.get(name) for name in ("tests", "failures", "errors", "skipped")] == ["4", "1", "1", "1"]
    failure = root.find(".//failure")
    assert failure is not None
    assert failure.get("message") == "Il doit être refusé."
    assert failure.get("type") == "PAT-003"
    assert "corriger ainsi" in (failure.text or "")
    assert [case.get("name", "").split()[0] for case in root.iter("testcase")] == ["c-1", "c-2", "c-3", "c-4"]


def test_the_evidence_has_a_directory_for_each_requirement(tmp_path: Path) -> None:
    report.write(_run(*_ALL), tmp_path, "en")
    archive = zipfile.ZipFile(tmp_path / "evidence.zip")
    assert {name.split("/")[0] for name in archive.namelist()} == {"DMP_12_3", "PAT-003", "manifest.json"}
    for name, digest in json.loads(archive.read("manifest.json"))["sha256"].items():
        assert hashlib.sha256(archive.read(name)).hexdigest() == digest
    assert archive.read("PAT-003/c-2/01-request.http") == _REQUEST.octets
    assert archive.read("PAT-003/c-2/01-response.http") == _RESPONSE.octets
    verdict = json.loads(archive.read("PAT-003/verdict.json"))
    assert verdict["verdict"] == "failed"
    assert [case["status"] for case in verdict["cases"]] == ["passed", "failed", "skipped"]
    assert "patient" in archive.read("PAT-003/rule.txt").decode()
    assert codes_of(replace(_ALL[0], proves=())) == ("c-1",)


def test_the_same_run_gives_the_same_evidence(tmp_path: Path) -> None:
    for name in ("a", "b"):
        report.write(_run(*_ALL), tmp_path / name, "en")
    assert (tmp_path / "a" / "evidence.zip").read_bytes() == (tmp_path / "b" / "evidence.zip").read_bytes()


def test_the_pdf_is_one_and_says_it_in_french(tmp_path: Path) -> None:
    report.write(_run(*_ALL), tmp_path, "fr")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF-")
    if shutil.which("pdftotext") is None:
        pytest.skip("pdftotext is not installed (Debian: poppler-utils)")
    command = ["pdftotext", "-layout", str(tmp_path / "report.pdf"), "-"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert "Rapport de conformité" in said.stdout
    assert "1 cas a échoué" in said.stdout
    assert "Il doit être refusé." in said.stdout


def test_what_has_changed_since_the_last_run(tmp_path: Path) -> None:
    report.write(_run(*_ALL), tmp_path, "en")
    mended = [_case("c-1", Status.FAILED), _case("c-2", Status.PASSED), _case("c-3", Status.SKIPPED)]
    report.write(_run(*mended), tmp_path, "en")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert 'Failing since the last run: <a href="#c-1">' in page
    assert 'Mended since the last run: <a href="#c-2">' in page
    report.write(_run(*mended), tmp_path, "en")
    assert "The same cases fail as in the last run." in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert len(json.loads((tmp_path / "report.json").read_bytes())["history"]) == 3


def test_a_report_of_the_folder_that_cannot_be_read_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text('{"history": [1]}')
    report.write(_run(*_ALL), tmp_path, "en")
    assert len(json.loads((tmp_path / "report.json").read_bytes())["history"]) == 1


def test_a_finding_is_not_said_twice() -> None:
    text = Text("The answer must be Success; it is Failure XDSRegistryError", "La réponse doit être Success ; elle est ...")
    finding = Finding("status", "Success", "Failure XDSRegistryError", text)
    assert report_words.told_already(finding)
    assert not report_words.told_already(replace(finding, got="another answer"))
    assert not report_words.told_already(replace(finding, expected="PartialSuccess"))
    step = StepResult("wrong", Text("A step", "Une étape"), "ITI-42", findings=[finding])
    page = build_html(_run(replace(_case("c-9", Status.FAILED), steps=[step])), "en")
    assert page.count("it is Failure XDSRegistryError") == 1 and "Came" not in page


def test_what_a_server_of_this_project_says_is_told_in_french_too() -> None:
    said = "doc patientId: the patient is not known to the registry (value: '1^^^&1.2&ISO'). Send 2. [PAT-003, ITI TF-2: 3.42]"
    shown = _told(said, "fr")
    assert shown.startswith("doc patientId : le patient n&#x27;est pas connu du registre") and 'lang="en"' in shown
    assert "<" not in _told(said, "en") and "is not known" in _told(said, "en")
    assert _told(_HOSTILE, "fr") == _told(_HOSTILE, "en") and "<script" not in _told(_HOSTILE, "fr")


def test_a_wrong_status_is_told_in_both_languages() -> None:
    said = "title is missing. Send it. [DE-101]"
    code = "XDSRegistryMetadataError"
    reply = Reply(Exchanged(_REQUEST, _RESPONSE, 200, ""), "Failure", [code], [Told(code, said)])
    (finding,) = Judge("ITI-42", Expect(("Success",)), reply, {}).findings()
    assert "title is missing" in finding.text.en and "title manque" in finding.text.fr
