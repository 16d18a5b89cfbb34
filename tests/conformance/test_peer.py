"""The suite against a real peer: what fails there is what docs/peers.md tells of, case by case."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance import report
from conformance.case import read_suite
from conformance.result import Run, Status
from conformance.runner import Runner, chosen
from conformance.target import Target, read_target
from tests.server_process import ROOT, _die_with_parent

PEER = Path(__file__).parent / "peer_ipf"
PAGE = ROOT / "docs" / "peers.md"
SUITE = read_suite()
#: From what is at hand, and with what has to be fetched first.
BUILD_SECONDS = {"-o": 90, "-U": 120}


def _digest() -> str:
    """What the peer is made of."""
    sources = sorted(path for path in (PEER / "pom.xml", *PEER.rglob("*.java")))
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]


def built(folder: Path) -> Path:
    """The compiled peer, kept beside the environment for the next run.

    Skips where it cannot be built: without Java, without Maven, or when the artefacts are not to be had.
    """
    missing = [name for name in ("java", "javac", "mvn") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed (Debian: default-jdk-headless maven)")
    kept = ROOT / ".carnet" / f"peer-ipf-{_digest()}"
    if not kept.is_dir():
        shutil.copytree(PEER, folder, ignore=shutil.ignore_patterns("target"))
        _build(folder)
        shutil.copytree(folder / "target", folder.with_suffix(".built"))
        kept.parent.mkdir(exist_ok=True)
        shutil.move(folder.with_suffix(".built"), kept)
    return kept


def _build(folder: Path) -> None:
    said = ""
    for option, seconds in BUILD_SECONDS.items():  # what is at hand first: nothing is asked of Maven Central then
        command = ["mvn", "-q", "-B", option, "package"]
        try:
            made = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=seconds, check=False)
        except subprocess.TimeoutExpired:
            pytest.skip(f"`{' '.join(command)}` has not ended within {seconds} s; the next run goes on with what it has fetched")
        if made.returncode == 0:
            return
        said = made.stdout
    if "Could not" in said:  # resolve, transfer, find
        pytest.skip(f"IPF's artefacts cannot be had from Maven Central: {said[-300:]}")
    raise AssertionError(said[-3000:])


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp("peer")
    target = built(folder / "ipf")
    log = folder / "peer.log"
    process = subprocess.Popen(
        ["java", "-XX:TieredStopAtLevel=1", "-cp", f"{target}/classes:{target}/lib/*", "peer.Peer", "0"],
        stdout=subprocess.PIPE, stderr=log.open("w"), text=True, preexec_fn=_die_with_parent,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("peer at "), log.read_text()[-3000:]
        told = (PEER / "target.toml").read_text(encoding="utf-8").replace("http://127.0.0.1:8642/services", line.split()[-1])
        (folder / "target.toml").write_text(told, encoding="utf-8")
        yield read_target(str(folder / "target.toml"))
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture(scope="module")
def performed(peer: Target) -> Run:
    return Runner(peer, SUITE).run(chosen(SUITE, ["registry", "repository", "wire"]), "registry,repository,wire")


def _told() -> set[str]:
    """The cases that docs/peers.md names: in the last column of its table, and of our store."""
    text = PAGE.read_text(encoding="utf-8")
    cells = [line.rsplit("|", 2)[1] for line in text.splitlines() if line.startswith("| ")]
    cells += [line for line in text.splitlines() if line.startswith("`")]
    return {name for cell in cells for name in re.findall(r"`([a-z0-9-]+)`", cell)}


def test_the_page_names_cases_of_the_suite() -> None:
    assert len(_told()) > 60 and _told() <= set(SUITE)


def test_what_fails_at_the_peer_is_what_the_page_tells(performed: Run) -> None:
    failed = {case.id for case in performed.cases if case.bad}
    assert failed - _told() == set(), "fails, and the page does not say why"
    assert _told() - failed == set(), "the page says that it fails"
    assert [case.id for case in performed.cases if case.status is Status.ERROR] == []
    assert f"{len(failed)} fail" in PAGE.read_text(encoding="utf-8")
    assert performed.counts["passed"] > 330


def test_each_failure_can_be_read_by_a_stranger(performed: Run, tmp_path: Path) -> None:
    report.write(performed, tmp_path, "en")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    for case in performed.cases:
        if case.bad:
            assert case.mend.en and case.mend.fr and case.section, case.id
            assert all(finding.text.en and finding.expected for _, finding in case.findings), case.id
            assert any(step.request and step.response for step in case.steps), case.id
            assert case.id in page
