"""Each broken variant of our server is caught by a case that names the rule; the sound one passes the same cases."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping

import pytest

from conformance.case import Case, read_suite
from conformance.result import CaseResult, Status
from conformance.runner import Runner, chosen
from conformance.target import read_target
from tests.conformance.variants import SOUND, VARIANTS, Variant
from tests.server_process import ROOT, _die_with_parent

SUITE = read_suite()


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """All variants, served; by name."""
    folder = tmp_path_factory.mktemp("variants")
    names = [SOUND.name, *(variant.name for variant in VARIANTS)]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.conformance.variants_serve", str(folder), *names],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=_die_with_parent,
    )
    try:
        assert process.stdout is not None
        found = {}
        for _ in names:
            line = process.stdout.readline()
            assert line, "".join(log.read_text() for log in folder.glob("*.log"))[-2000:]
            name, url = line.split()
            found[name] = url
        yield found
        process.terminate()
        assert process.wait(60) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def performed(url: str, ids: list[str]) -> dict[str, CaseResult]:
    cases: list[Case] = chosen(SUITE, ["integrated"], ids)
    run = Runner(read_target(url), SUITE, clean=False).run(cases, "integrated")
    return {case.id: case for case in run.cases}


def test_there_are_at_least_twelve() -> None:
    assert len({variant.fault for variant in VARIANTS}) == len(VARIANTS) >= 12


def test_the_sound_server_passes_the_same_cases(addresses: Mapping[str, str]) -> None:
    results = performed(addresses[SOUND.name], sorted({id for one in VARIANTS for id in (one.caught_by, *one.also)}))
    assert {id: result.status for id, result in results.items() if result.status is not Status.PASSED} == {}


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_a_broken_server_is_caught_by_a_case_that_names_the_rule(variant: Variant, addresses: Mapping[str, str]) -> None:
    results = performed(addresses[variant.name], [variant.caught_by, *variant.also])
    caught = results[variant.caught_by]
    assert caught.status is Status.FAILED, caught.reason
    findings = [finding for _, finding in caught.findings]
    named = {name for finding in findings for name in (*finding.rules, finding.section)}
    assert variant.names in named or any(variant.names in section for section in named)
    assert all(finding.text.en and finding.text.fr for finding in findings)
    assert caught.mend.en and caught.mend.fr
