"""`submit --sign` against a real server: both forms are verified there, damage is refused, what was found is shown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from security.pki import TestAuthority
from server.__main__ import program
from server.sample import make_documents
from server.sample_people import make_patients
from tests.server_process import ServerProcess

DOMAINS = ("ihe", "dmp-fr")


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    authority = TestAuthority.create(folder)
    authority.issue("structure", "hospital", identifier="1750000001")
    authority.issue("person", "doctor", identifier="899900000017", structure="hospital")
    authority.issue("person", "revoked")
    authority.revoke("revoked")
    return folder


@pytest.fixture(scope="module", params=DOMAINS)
def server(request: pytest.FixtureRequest, pki: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    options = ["--set", f"domain.profile={request.param}", "--set", "domain.patients=open"]
    options += ["--set", f"security.authorities={pki / 'ca.crt'}"]
    options += ["--set", f"security.crl_files={pki / 'ca.crl'}", "--set", "security.signed_sets=true"]
    options += ["--set", "security.document_signatures=refuse"]
    with ServerProcess(tmp_path_factory.mktemp("store") / "data", *options) as started:
        yield started


def submit(server: ServerProcess, pki: Path, files: list[Path], name: str = "", *more: str) -> tuple[int, str]:
    french = "domain.profile=dmp-fr" in server._command
    card = ["--sign", "--pki", str(pki), "--as", name, "--no-assertion"] if name else []
    options = ["--url", server.url, *(["--dmp"] if french else []), *card, *more]
    ran = CliRunner().invoke(program, ["submit", *options, *map(str, files)])
    return ran.exit_code, ran.output


def sample(folder: Path, seed: int) -> list[Path]:
    [patient] = make_patients(1, seed)
    paths = []
    for document in make_documents(patient, 3, seed, dmp=True):
        path = folder / document.file_name
        path.write_bytes(document.data)
        paths.append(path)
    return paths


@pytest.mark.parametrize("name", ["doctor", "hospital"])
def test_a_set_signed_here_is_taken(server: ServerProcess, pki: Path, tmp_path: Path, name: str) -> None:
    files = sample(tmp_path, seed=DOMAINS.index("dmp-fr") + len(name))
    status, output = submit(server, pki, files, name)
    assert status == 0, output + server.log()
    assert "DSG-" not in output
    # What is to be typed next reaches the same server, as the same person.
    assert f"--url {server.url} --pki {pki} --as {name}" in output


def test_an_unsigned_or_wrongly_signed_set_is_refused(server: ServerProcess, pki: Path, tmp_path: Path) -> None:
    files = sample(tmp_path, seed=77)
    status, output = submit(server, pki, files)
    assert status == 1 and "DSG-001" in output and "le lot n'est pas signé" in output
    status, output = submit(server, pki, files, "revoked")
    assert status == 1 and "DSG-012" in output and "PKI-004" in output
    assert server.counted('carnet_signature_findings_total{rule="DSG-012"}') == 1


def test_the_store_tells_what_was_found(server: ServerProcess, pki: Path, tmp_path: Path) -> None:
    status, output = submit(server, pki, sample(tmp_path, seed=78), "doctor")
    assert status == 0, output
    ran = CliRunner().invoke(program, ["check-store", "--data", str(server.data)])
    assert ran.exit_code == 0 and "signatures over submission sets: " in ran.output and " 0 with findings" in ran.output
    ran = CliRunner().invoke(program, ["check-store", "--data", str(server.data), "--json"])
    assert json.loads(ran.stdout)["signedSets"]["findings"] == []


def test_a_card_is_needed(pki: Path, tmp_path: Path) -> None:
    [file, *_] = sample(tmp_path, seed=79)
    ran = CliRunner().invoke(program, ["submit", "--sign", str(file)])
    assert ran.exit_code == 2 and "--pki DIR and --as NAME" in ran.output


def test_everything_signed_at_once(pki: Path, tmp_path: Path) -> None:
    """The card connects, asserts, signs the message and the set; the server believes the folder's authority for all of it."""
    options = ["--secure", "--pki", str(pki), "--set", "domain.patients=open", "--set", "security.document_signatures=refuse"]
    server = ServerProcess(tmp_path / "data", *options, "--set", "security.signed_sets=true").start(healthy=False)
    with server:
        [patient] = make_patients(1, 80)
        [document] = make_documents(patient, 1, 80)
        file = tmp_path / document.file_name
        file.write_bytes(document.data)
        card = ["--url", server.url, "--sign", "--sign-message", "--pki", str(pki), "--as", "doctor", "--structure", "hospital"]
        ran = CliRunner().invoke(program, ["submit", *card, str(file)])
        assert ran.exit_code == 0 and "warning" not in ran.output, ran.output + server.log()
        unsigned = [option for option in card if option != "--sign"]
        ran = CliRunner().invoke(program, ["submit", *unsigned, "--unique-id", "2.25.77", str(file)])
        assert ran.exit_code == 1 and "DSG-001" in ran.output, ran.output
