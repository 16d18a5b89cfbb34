"""The commands that work on a store or on nothing: help, completion, config, patient, migrate, check-store, test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from server.__main__ import Program, program
from server.commands import COMMANDS, conformance
from server.preparation import prepare
from server.settings import TABLE, load
from tests.server.exchange import announce, package
from tests.server_process import ROOT, ServerProcess

CX = "4711^^^&1.2.3.4.5&ISO"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(program, arguments, prog_name="carnet")


def test_help_lists_the_commands_that_are_there() -> None:
    result = run("--help")
    assert result.exit_code == 0
    for name, (module, about) in COMMANDS.items():
        assert (about in " ".join(result.output.split())) is (ROOT / "server" / "commands" / f"{module}.py").is_file(), name


def test_every_module_of_the_folder_is_listed() -> None:
    modules = {path.stem for path in (ROOT / "server" / "commands").glob("*.py")}
    listed = {module for module, _ in COMMANDS.values()} | {module for module, _ in conformance._COMMANDS.values()}
    helpers = {name for name in modules - listed if "command = " not in _source(name) and "\ndef command(" not in _source(name)}
    assert modules - listed == helpers


def _source(module: str) -> str:
    return (ROOT / "server" / "commands" / f"{module}.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help(name: str) -> None:
    import click

    context = click.Context(program)
    assert isinstance(program, Program)
    command = program.get_command(context, name)
    if command is None:
        assert not (ROOT / "server" / "commands" / f"{COMMANDS[name][0]}.py").is_file()
        return
    assert command.help


def test_help_loads_no_library_but_click() -> None:
    code = (
        "import sys\nfrom server.__main__ import program\n"
        "program(['--help'], standalone_mode=False)\n"
        "loaded = {name.partition('.')[0] for name in sys.modules}\n"
        "print(sorted(loaded & {'lxml', 'sqlalchemy', 'rich', 'gunicorn', 'spyne', 'zeep'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    assert done.stdout.strip().endswith("[]")


def test_version() -> None:
    result = run("--version")
    assert result.exit_code == 0 and result.output.startswith("carnet 0.")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str) -> None:
    result = run("completion", shell)
    assert result.exit_code == 0
    assert "_CARNET_COMPLETE" in result.output


def test_completion_completes_commands() -> None:
    typed = {"_CARNET_COMPLETE": "bash_complete", "COMP_WORDS": "carnet pat", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "server"], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT), **typed},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["plain,patient"]


def test_config_prints_every_setting_with_its_origin(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text("[limits]\ndepth = 50\n")
    result = run("config", "--config", str(file), "--port", "81", "--set", "domain.patients=open", "--json")
    rows = {row["key"]: row for row in json.loads(result.output)}
    assert list(rows) == list(TABLE)
    assert (rows["limits.depth"]["value"], rows["limits.depth"]["origin"]) == (50, str(file))
    assert (rows["server.port"]["value"], rows["server.port"]["origin"]) == (81, "command line")
    assert (rows["domain.patients"]["value"], rows["server.host"]["origin"]) == ("open", "default")
    table = run("config", "--config", str(file))
    assert table.exit_code == 0 and all(key in table.output for key in TABLE)


def test_a_wrong_setting_ends_a_command_with_2() -> None:
    for arguments in (("--set", "limits.depth=x"), ("--set", "limits.depth"), ("--set", "x.y=1"), ("--config", "absent.toml")):
        result = run("config", *arguments)
        assert result.exit_code == 2, arguments
        assert "Error: " in result.output


def test_a_mistyped_store_is_told_and_not_taken_for_the_servers(tmp_path: Path) -> None:
    data = ("--data", str(tmp_path / "typo"))
    for arguments in (("list",), ("show", CX), ("alias", CX, "2^^^&1.2.3.4.5&ISO"), ("merge", CX, "2^^^&1.2.3.4.5&ISO")):
        result = run("patient", *arguments, *data)
        assert result.exit_code == 1 and "there is no store" in result.output, arguments
    assert not (tmp_path / "typo").exists()
    made = run("patient", "add", CX, *data)
    assert made.exit_code == 0 and f"a new store was made in {tmp_path / 'typo'}" in made.stderr
    assert "new store" not in run("patient", "add", "2^^^&1.2.3.4.5&ISO", *data).stderr


def test_patients_are_added_listed_and_shown(tmp_path: Path) -> None:
    data = ("--data", str(tmp_path / "data"))
    assert "added" in run("patient", "add", CX, "4712^^^&1.2.3.4.5&ISO", *data).output
    assert "known already" in run("patient", "add", CX, *data).output
    added = json.loads(run("patient", "add", CX, "9^^^&1.2.3.4.5&ISO", "--json", *data).output)
    assert [row["added"] for row in added] == [False, True]
    listed = json.loads(run("patient", "list", "--json", *data).output)
    assert [row["patient"] for row in listed] == [CX, "4712^^^&1.2.3.4.5&ISO", "9^^^&1.2.3.4.5&ISO"]
    page = run("patient", "list", "--limit", "2", *data).output
    assert CX in page and f"--after {listed[1]['id']}" in page
    assert [row["id"] for row in json.loads(run("patient", "list", "--after", str(listed[1]["id"]), "--json", *data).output)] == [
        listed[2]["id"]
    ]
    shown = json.loads(run("patient", "show", CX, "--json", *data).output)
    assert shown["patient"] == CX and shown["documentEntries"] == 0
    assert CX in run("patient", "show", CX, *data).output


def test_a_patient_id_of_another_form_is_refused_and_an_unknown_one_told(tmp_path: Path) -> None:
    data = ("--data", str(tmp_path / "data"))
    for wrong in ("4711", "4711^^^1.2.3", "4711^^^&1.2.3", "^^^&1.2.3&ISO", "4711^^^&x&ISO"):
        result = run("patient", "add", wrong, *data)
        assert result.exit_code == 2, wrong
        assert "ID^^^&OID&ISO" in result.output
    prepare(load(options={"store.data": data[1]}, environ={}))
    result = run("patient", "show", CX, *data)
    assert result.exit_code == 1 and "carnet patient add" in result.output
    assert json.loads(run("patient", "list", "--json", *data).output) == []
    assert "patient add" in run("patient", "list", *data).output


def test_migrate_tells_versions_and_makes_no_store(tmp_path: Path) -> None:
    missing = run("migrate", "--data", str(tmp_path / "none"))
    assert missing.exit_code == 1 and "no store" in missing.output
    assert not (tmp_path / "none").exists()
    announce(tmp_path / "data")
    data = ("--data", str(tmp_path / "data"))
    told = json.loads(run("migrate", "--json", *data).output)
    assert told["before"] == told["after"] and not told["changed"]
    assert run("migrate", "--check", *data).exit_code == 0
    wrong = run("migrate", "--to", "nine", *data)
    assert wrong.exit_code == 1 and "nine" in wrong.output


def test_check_store_finds_a_damaged_document(tmp_path: Path) -> None:
    missing = run("check-store", "--data", str(tmp_path / "none"))
    assert missing.exit_code == 1 and "no store" in missing.output
    announce(tmp_path / "data")
    data = ("--data", str(tmp_path / "data"))
    with ServerProcess(tmp_path / "data") as server:
        assert package(b"small", b"x" * 100_000).send(server).accepted
        beside = json.loads(run("check-store", "--json", *data).output)  # a server may be running
        assert beside["sound"] and (beside["documents"], beside["contents"], beside["entries"]) == (2, 2, 2)
    whole = run("check-store", *data)
    assert whole.exit_code == 0 and "the store is sound" in whole.output
    (file,) = (path for path in (tmp_path / "data" / "blobs").rglob("*") if path.is_file())
    file.write_bytes(b"y" + file.read_bytes()[1:])
    damaged = run("check-store", "--json", *data)
    assert damaged.exit_code == 1
    assert json.loads(damaged.output)["counts"] == {"DAMAGED": 1}
    assert "NOT sound" in run("check-store", *data).output


def test_the_test_command_runs_pytest_on_the_checkout(tmp_path: Path) -> None:
    """Called from elsewhere, with pytest's own arguments, and ending as pytest ends."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"}

    def tested(*arguments: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "server", "test", *arguments]
        return subprocess.run(line, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=300, check=False)

    good = tested("-p", "no:xdist", "tests/server/test_settings.py", "-q", "-k", "groups_are")
    assert good.returncode == 0 and "1 passed" in good.stdout, good.stdout + good.stderr
    assert tested("tests/absent.py").returncode == 4
