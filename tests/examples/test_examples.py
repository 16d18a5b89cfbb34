"""The clients of `examples/`, built and run as their README says, against the server as a process.

They share no code with us: that the six stacks get their document back byte for byte is the proof of interoperability.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.server.exchange import PATIENT, announce
from tests.server_process import ROOT, ServerProcess

BUILD_SECONDS = 400


@dataclass(frozen=True)
class Example:
    """`needs` are programs; `probe` a command that fails where a library is missing; `{url}` in `build` is the server's."""

    folder: str
    needs: tuple[str, ...]
    run: tuple[str, ...]
    build: tuple[str, ...] = ()
    probe: tuple[str, ...] = ()


EXAMPLES = [
    Example("python", (), (sys.executable, "client.py")),
    Example("node", ("node",), ("node", "client.js"), probe=("node", "-e", "if (!globalThis.fetch) process.exit(1)")),
    Example(
        "php",
        ("php",),
        ("php", "client.php"),
        probe=("php", "-r", "exit(array_diff(['soap', 'curl', 'dom'], get_loaded_extensions()) ? 1 : 0);"),
    ),
    Example(
        "csharp-mono",
        ("mcs", "mono"),
        ("mono", "Client.exe"),
        ("mcs", "-r:System.Xml.Linq.dll", "-r:System.Numerics.dll", "Client.cs"),
    ),
    Example("cpp-gsoap", ("wsdl2h", "soapcpp2", "g++", "make"), ("./client",), ("make", "URL={url}")),
    Example(
        "java",
        ("mvn", "java", "javac"),
        ("java", "-cp", "target/client.jar:target/lib/*", "Client"),
        ("mvn", "-q", "-B", "-Durl={url}", "package"),
    ),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    data = tmp_path_factory.mktemp("examples") / "data"
    announce(data)
    with ServerProcess(data) as running:
        yield running


def _run(command: tuple[str, ...], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=BUILD_SECONDS)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda one: one.folder)
def test_the_client_submits_finds_retrieves_and_reads_a_refusal(
    example: Example, server: ServerProcess, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    missing = [program for program in example.needs if shutil.which(program) is None]
    if missing:
        pytest.skip(f"not installed here: {', '.join(missing)} (examples/README.md names the packages)")
    if example.probe and _run(example.probe, tmp_path).returncode:
        pytest.skip(f"{example.folder}: a library that examples/README.md names is not installed here")
    folder = Path(shutil.copytree(ROOT / "examples", tmp_path / "examples")) / example.folder
    document = tmp_path / "compte rendu.xml"
    document.write_bytes("<ClinicalDocument xmlns='urn:hl7-org:v3'>--é\r\n\r\n--MIMEBoundary\r\n</ClinicalDocument>\r\n".encode())
    if example.build:
        built = _run(tuple(part.format(url=server.url) for part in example.build), folder)
        assert built.returncode == 0, built.stdout + built.stderr
    done = _run((*example.run, server.url, PATIENT, str(document)), folder)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["submit", "Success"]
    assert lines[1].split()[:2] == ["find", "Success"]
    assert lines[2].split() == ["retrieve", "Success", "the", "same", "bytes"]
    assert lines[3].split() == ["refused", "Failure"]
    assert "XDSNonIdenticalSize" in lines[4] or "XDSNonIdenticalHash" in lines[4], done.stdout
