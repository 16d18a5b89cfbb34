"""Every command that README.md and docs/operations.md show is run, in the order of the page, against a real server.

A block that starts the server is what the fixture does; the one that runs the tests is what is happening now.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from checkout import ROOT, text

from tests.server_process import ServerProcess

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_ELSEWHERE = ("./carnet serve\n", "./carnet test\n")
#: The section that has a server of its own.
_SECURE = re.compile(r"^## Secure in one minute\n.*?(?=^## )", re.MULTILINE | re.DOTALL)
_SECURE_START = "./carnet serve --secure --pki pki --port 8443\n"


def blocks(page: str) -> list[tuple[str, str]]:
    return _BLOCK.findall(_SECURE.sub("", text(page)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder like a clone's: `./carnet` (this interpreter) in it, a server on its `carnet-data`."""
    made = tmp_path_factory.mktemp("readme")
    program = made / "carnet"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(ROOT))} exec {shlex.quote(sys.executable)} -m server "$@"\n')
    program.chmod(0o755)
    yield made


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[ServerProcess]:
    with ServerProcess(folder / "carnet-data") as running:
        yield running


def run(server: ServerProcess, folder: Path, program: list[str], source: str) -> str:
    """The output of a block, with the reader's address made this server's."""
    done = subprocess.run(
        program,
        input=source.replace("http://127.0.0.1:8080", server.url).replace("https://localhost:8443", server.url),
        cwd=folder,
        env={**os.environ, "CARNET_URL": server.url},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, f"{source}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def run_page(page: str, server: ServerProcess, folder: Path) -> dict[str, str]:
    """Output by language: all shell blocks in one shell, then each Python block."""
    shell = "".join(source for language, source in blocks(page) if language == "sh" and source not in _ELSEWHERE)
    output = {"sh": run(server, folder, ["sh", "-eu"], shell)}
    output["python"] = "".join(
        run(server, folder, [sys.executable, "-"], source) for language, source in blocks(page) if language == "python"
    )
    return output


@pytest.mark.skipif(not shutil.which("curl"), reason="the curl program is not installed")
def test_the_readme_does_what_it_says(server: ServerProcess, folder: Path) -> None:
    output = run_page("README.md", server, folder)
    assert "All of it worked" in output["sh"]
    assert "ResponseStatusType:Success" in output["sh"]
    assert "Blood pressure" in output["python"] and "1.2.3.4.900.1" in output["python"]
    assert (folder / "discharge.xml").read_bytes() == next((folder / "sample").glob("*/discharge-1.xml")).read_bytes()
    for start in ("./carnet serve\n", "./carnet test\n"):
        assert ("sh", start) in blocks("README.md")


@pytest.mark.skipif(not shutil.which("curl"), reason="the curl program is not installed")
def test_the_readme_is_secure_in_one_minute(tmp_path: Path, folder: Path) -> None:
    section = _SECURE.search(text("README.md"))
    assert section
    shown = [source for _, source in _BLOCK.findall(section[0])]
    start = shown.index(_SECURE_START)
    shutil.copy(folder / "carnet", tmp_path)
    server = ServerProcess(tmp_path / "carnet-data", "--secure", "--pki", "pki")
    run(server, tmp_path, ["sh", "-eu"], "".join(shown[:start]))
    with server.start(healthy=False):
        server.url = server.url.replace("127.0.0.1", "localhost")
        output = run(server, tmp_path, ["sh", "-eu"], "".join(shown[start + 1 :]))
        assert output.count("accepted  ") == 8 and "discharge-1.xml differ" not in output
        assert output.endswith('value="2.25.298614307.3.1.1627530188414775430645.1"\n')
        run(server, tmp_path, ["sh", "-eu"], "./carnet pki revoke pki dr-martin")
        refused = "! ./carnet query --patient '103116748231282^^^&1.2.250.1.213.1.4.10&ISO' --pki pki --as dr-martin 2>&1"
        assert "PKI-004" in run(server, tmp_path, ["sh", "-eu"], refused)


@pytest.mark.skipif(not shutil.which("curl"), reason="the curl program is not installed")
def test_the_page_of_the_operator_does_what_it_says(server: ServerProcess, folder: Path) -> None:
    output = run_page("docs/operations.md", server, folder)
    assert "carnet_store_free_bytes" in output["sh"]
    assert (folder / "restored" / "carnet.sqlite").is_file()


def test_a_restored_store_serves_what_was_submitted_before(tmp_path: Path, folder: Path, server: ServerProcess) -> None:
    """The backup is taken while the server works; its copy answers the same query with the same documents."""
    big = tmp_path / "big.txt"
    big.write_text("a line of text\n" * 20_000)
    patient = "815^^^&1.2.3.4.5&ISO"

    def carnet(*arguments: str, url: str) -> str:
        done = subprocess.run(
            [str(folder / "carnet"), *arguments],
            cwd=folder,
            env={**os.environ, "CARNET_URL": url},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    carnet("patient", "add", patient, url=server.url)
    codes = [
        item
        for option in ("class", "type", "format", "facility", "practice", "event")
        for item in (f"--{option}", f"X^{option}^1.2.3.4.9")
    ]
    carnet("submit", str(big), "--patient", patient, "--title", "Big", "--unique-id", "1.2.3.77", *codes, url=server.url)
    backup = next(source for language, source in blocks("docs/operations.md") if language == "sh" and "mode=ro" in source)
    shutil.rmtree(folder / "backup", ignore_errors=True)
    run(server, folder, ["sh", "-eu"], backup)
    shutil.copytree(folder / "backup", tmp_path / "again")
    with ServerProcess(tmp_path / "again") as restored:
        carnet("get", "1.2.3.77", "--output", str(tmp_path / "back"), url=restored.url)
    assert (tmp_path / "back").read_bytes() == big.read_bytes()
