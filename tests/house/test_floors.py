"""The floors of the house, and that the check bites: wrong imports planted into a copy are found, each of them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from checkout import ROOT, files, packages

#: A wrong import of each kind: where it is planted, what it imports.
WRONG = [
    ("metadata/model.py", "storage.database"),
    ("schemas/parse.py", "metadata.model"),
    ("metadata/model.py", "soap.mtom"),
    ("security/refusal.py", "soap.fault"),
    ("soap/mtom.py", "registry.store"),
    ("registry/store.py", "repository.content"),
    ("repository/content.py", "registry.store"),
    ("registry/store.py", "server.settings"),
    ("conformance/__init__.py", "registry.store"),
    ("conformance/__init__.py", "repository.content"),
    ("conformance/__init__.py", "server.settings"),
]


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [str(program), "--no-cache"], cwd=folder, capture_output=True, text=True, timeout=120, env={"PYTHONPATH": str(folder)}
    )


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("house")
    tops = {name.split("/")[0] for name in packages()}
    for name in files():
        if name == "setup.cfg" or (name.split("/")[0] in tops and name.endswith(".py")):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target)
    return folder


def test_a_floor_imports_only_floors_below_it(copy: Path) -> None:
    done = lint(copy)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_wrong_import_is_found(copy: Path) -> None:
    """All are planted at once (one analysis), and each must stand in the report by its own two modules."""
    saved = {}
    for name, module in WRONG:
        path = copy / name
        saved.setdefault(path, path.read_text(encoding="utf-8"))
        path.write_text(path.read_text(encoding="utf-8") + f"\nimport {module}  # planted\n", encoding="utf-8")
    try:
        done = lint(copy)
    finally:
        for path, content in saved.items():
            path.write_text(content, encoding="utf-8")
    assert done.returncode == 1, done.stdout + done.stderr
    for name, module in WRONG:
        importer = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        assert f"{importer} -> {module}" in done.stdout, f"{importer} -> {module} was not found:\n{done.stdout}"
