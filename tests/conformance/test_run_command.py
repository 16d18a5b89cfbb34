"""`carnet conformance run` and `cases`, as a user types them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from lxml import etree

from conformance.result import Run, Status
from security.pki import TestAuthority
from tests.server_process import ROOT, ServerProcess

FILES = ("report.html", "report.pdf", "junit.xml", "report.json", "evidence.zip", "journal.jsonl")


def carnet(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "server", "conformance", *map(str, arguments)]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, env=environ, timeout=300, check=False)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("command") / "data") as running:
        yield running


def read_run(folder: Path) -> Run:
    return Run.of_json(json.loads((folder / "report.json").read_text()))


def test_a_run_writes_its_files_and_ends_with_0(server: ServerProcess, tmp_path: Path) -> None:
    done = carnet("run", "--target", server.url, "--report", tmp_path, "--case", "de-103-*", "--case", "iti8-add")
    assert (done.returncode, done.stderr) == (0, "")
    assert "passed" in done.stdout and "de-103-absent  classCode of a DocumentEntry is absent" in done.stdout
    assert all((tmp_path / name).stat().st_size for name in FILES)
    run = read_run(tmp_path)
    assert {case.id: case.status for case in run.cases} == {"de-103-absent": Status.PASSED, "iti8-add": Status.SKIPPED}
    assert etree.parse(tmp_path / "junit.xml").getroot().tag == "testsuites"
    assert zipfile.ZipFile(tmp_path / "evidence.zip").testzip() is None
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")


def test_a_failure_ends_with_1_and_is_performed_again(server: ServerProcess, tmp_path: Path) -> None:
    """A target file that promises what the server does not do."""
    target = tmp_path / "target.toml"
    base = f'[endpoints]\nregistry = "{server.registry}"\n"ITI-44" = "{server.url}/xds/iti44"\n'
    target.write_text('options = ["limits", "patient-feed"]\n' + base)
    cases = ("--case", "dom-002-many", "--case", "de-103-absent", "--quiet")
    first = carnet("run", "--target", target, "--profile", "registry", "--report", tmp_path, "--lang", "fr", *cases)
    assert first.returncode == 1 and "1 réussi, 1 échoué" in first.stdout
    before = {case.id: case for case in read_run(tmp_path).cases}
    again = carnet("run", "--target", target, "--profile", "registry", "--report", tmp_path, "--failed", *cases)
    assert again.returncode == 1
    after = {case.id: case for case in read_run(tmp_path).cases}
    assert after["de-103-absent"] == before["de-103-absent"] and after["dom-002-many"] != before["dom-002-many"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--target", "nothing.toml"), "nothing.toml: No such file or directory"),
        (("--target", "ftp://h/"), "ftp://h/: expected http://HOST:PORT"),
        (("--target", "http://127.0.0.1:9", "--case", "zzz"), "--case zzz: no case of this profile has such an id"),
        (("--target", "http://127.0.0.1:9", "--resume", "--failed"), "exclude each other"),
        (("--target", "http://127.0.0.1:9", "--resume"), "nothing was begun in this folder"),
        (("--target", "http://127.0.0.1:9", "--as", "x"), "are given together"),
        (("--target", "http://127.0.0.1:9", "--option", "signed"), "the option signed needs a card: --pki DIR --as NAME"),
        (("--target", "http://127.0.0.1:9", "--option", "fast"), "--option: fast: known are"),
        (("--target", "http://127.0.0.1:9", "--suite", "nist"), "needs --plans DIR"),
        (("--target", "http://127.0.0.1:9", "--patient", "4711"), "--patient 4711: the CX has no assigning authority"),
        (("--target", "http://127.0.0.1:9", "--feed", "host:1"), "--feed host:1: expected mllp://"),
        (("--target", "http://127.0.0.1:9", "--key", __file__), "--key is the private key of a certificate: give --cert too"),
        (("--target", "http://127.0.0.1:9", "--ca", __file__), "the certificates cannot be used"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_what_is_right(arguments: tuple[str, ...], told: str, tmp_path: Path) -> None:
    done = carnet("run", "--report", tmp_path / "r", *arguments)
    assert done.returncode == 2 and told in done.stderr


def test_a_run_of_skipped_cases_proves_nothing_and_ends_with_1(server: ServerProcess, tmp_path: Path) -> None:
    done = carnet("run", "--target", server.url, "--report", tmp_path, "--profile", "secure", "--lang", "fr", "--quiet")
    assert done.returncode == 1 and "Aucun cas n'a été exécuté" in done.stdout
    assert "Aucun cas n&#x27;a été exécuté" in (tmp_path / "report.html").read_text()


def test_a_target_where_nothing_listens_ends_with_3(shared: Path, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        for more in (("--case", "de-1*"), ("--suite", "nist", "--plans", shared / "data" / "nist")):
            done = carnet("run", "--target", url, "--report", tmp_path, "--quiet", "--lang", "fr", *more)
            assert done.returncode == 3, done.stdout + done.stderr
            assert "Le passage a été arrêté" in done.stdout and "rien n'écoute à cette adresse" in done.stdout
            assert "Le passage a été arrêté" in (tmp_path / "report.html").read_text()


def test_certificates_of_ones_own_instead_of_a_test_authority(tmp_path: Path) -> None:
    """A server that asks for cards but for no assertions; without --ca its certificate is not believed."""
    authority = TestAuthority.create(tmp_path / "pki")
    authority.issue("structure", "hospital")
    authority.issue("server", "localhost")
    settings = ("--secure", "--pki", str(tmp_path / "pki"), "--set", "security.assertions=off")
    with ServerProcess(tmp_path / "data", *settings).start(healthy=False) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        run = ("run", "--target", url, "--report", tmp_path / "r", "--case", "iti43-one", "--quiet")
        pki = tmp_path / "pki"
        shown = carnet(*run, "--ca", pki / "ca.crt", "--cert", pki / "hospital.crt", "--key", pki / "hospital.key")
        unbelieved = carnet(*run)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert unbelieved.returncode == 3 and "certificate verify failed" in unbelieved.stdout


def test_failed_performs_nothing_that_was_not_performed_before(server: ServerProcess, tmp_path: Path) -> None:
    carnet("run", "--target", server.url, "--report", tmp_path, "--case", "de-103-*", "--quiet")
    again = carnet("run", "--target", server.url, "--report", tmp_path, "--failed", "--quiet")
    assert again.returncode == 0 and "1 passed, 0 failed" in again.stdout


def test_nist_plans_run_from_the_command(server: ServerProcess, shared: Path, tmp_path: Path) -> None:
    plans = shared / "data" / "nist"
    done = carnet(
        "run",
        "--suite",
        "nist",
        "--plans",
        plans,
        "--target",
        server.url,
        "--report",
        tmp_path,
        "--case",
        "16101",
        "--case",
        "11990",
        "--case",
        "15816",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    run = read_run(tmp_path)
    status = {case.id: case.status for case in run.cases}
    assert status == {"nist-11990": Status.PASSED, "nist-15816": Status.PASSED, "nist-16101": Status.SKIPPED}
    (sent,) = [step for case in run.cases for step in case.steps][:1]
    assert b"SubmitObjectsRequest" in sent.request.body and b"RegistryResponse" in sent.response.body


def test_cases_are_listed(tmp_path: Path) -> None:
    rows = json.loads(carnet("cases", "--json", "--case", "rm-00*").stdout)
    assert [row["id"] for row in rows] == [f"rm-{n:03}" + row["id"][6:] for n, row in enumerate(rows, 1)] and len(rows) == 9
    assert "9 cases" in carnet("cases", "--case", "rm-00*", "--lang", "fr").stdout
