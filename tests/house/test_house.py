"""The rules of the house that no linter knows: gates, sizes, words, and the package list in step with the tree."""

from __future__ import annotations

import ast
import re
import stat

import pytest
from checkout import ROOT, files, imported, packages, product_files, python_files, setup, text

#: A dependency and the only product files (or folders) that may import it: when it has to be changed, these change.
GATES = {
    "spyne": ("soap/service.py",),
    "zeep": ("soap/client.py", "soap/description.py"),
    "xmlsec": ("security/signature.py",),
    "gunicorn": ("server/http.py",),
    "hl7": ("registry/patient_feed.py",),
    "prometheus_client": ("server/metrics.py",),
    "psycopg": ("storage/",),
    "pysqlite3": ("storage/",),
    "sqlite3": ("storage/",),
    "alembic": ("storage/",),
    # The two of the server touch a row to see whether the store can be written, and keep the OID that names this repository.
    "sqlalchemy": ("storage/", "registry/", "repository/", "security/", "server/health.py", "server/identity.py"),
    "cryptography": ("security/",),
    "click": ("server/__main__.py", "server/commands/"),
    "rich": ("server/__main__.py", "server/commands/"),
    "fpdf": ("conformance/pdf.py",),
    "saxonche": ("conformance/schematron.py",),
}
LINES = 450
_REASON = re.compile(r"\b(lines|one piece|one file)\b")


@pytest.mark.parametrize("dependency", GATES)
def test_a_dependency_is_imported_at_its_gate_only(dependency: str) -> None:
    allowed = GATES[dependency]
    outside = [
        name
        for name in product_files()
        if any(m == dependency or m.startswith(dependency + ".") for m in imported(name)) and not name.startswith(allowed)
    ]
    assert outside == [], f"{dependency} belongs into {', '.join(allowed)}"


def test_every_dependency_has_a_gate_or_is_everybodys() -> None:
    """lxml is the language of three floors; legacy-cgi is spyne's and never imported by name."""
    distribution_of = {
        "psycopg": "psycopg[binary]",
        "pysqlite3": "pysqlite3-binary",
        "prometheus_client": "prometheus-client",
        "fpdf": "fpdf2",
    }
    required = {re.split(r"[>=<;\s]", line)[0] for line in setup()["options"]["install_requires"].split("\n") if line}
    extras = {re.split(r"[>=<;\s]", line)[0] for line in setup()["options.extras_require"]["schematron"].split("\n") if line}
    gated = {distribution_of.get(name, name) for name in GATES} - {"sqlite3"}
    assert required - gated == {"lxml", "legacy-cgi"}
    assert gated - required == extras, "an optional dependency has its gate too"


def test_the_package_list_is_the_tree() -> None:
    tree = {name.rpartition("/")[0] for name in files() if name.endswith("/__init__.py")}
    ours = {name for name in tree if name.split("/")[0] not in ("tests", "benchmarks")}
    assert sorted(packages()) == sorted(ours)


def test_every_folder_of_product_modules_is_a_package() -> None:
    without = {name.rpartition("/")[0] for name in product_files()} - set(packages())
    assert without == set()


def test_no_room_without_a_name() -> None:
    names = {part.removesuffix(".py") for name in python_files() for part in name.split("/")}
    assert not names & {"utils", "util", "common", "helpers", "helper", "manager", "misc"}


def test_a_test_module_has_a_name_of_its_own() -> None:
    """pytest imports them by their last name alone: two of one name cannot be collected in one run."""
    names = [name.rpartition("/")[2] for name in python_files() if name.startswith("tests/")]
    twice = {name for name in names if name.startswith("test_") and names.count(name) > 1}
    assert twice == set()


def test_a_long_module_says_why() -> None:
    unexplained = []
    for name in python_files():
        lines = text(name).count("\n")
        if lines > LINES and not _REASON.search(ast.get_docstring(ast.parse(text(name))) or ""):
            unexplained.append(f"{name}: {lines} lines")
    assert unexplained == [], f"more than {LINES} lines: split it, or say at its head why its lines belong together"


def test_every_product_module_says_what_it_is_for() -> None:
    assert [name for name in product_files() if text(name).strip() and not ast.get_docstring(ast.parse(text(name)))] == []


_MARKERS = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X|NotImplemented" + r"Error)\b")
#: Absolute folders that exist on the machine of whoever wrote a file and nowhere else.
#: The test of path-like ids names one as the place where nothing may appear.
_EXCUSED = ("tests/house/test_house.py", "tests/soap/test_bad_input.py")
_MACHINE = re.compile(r"(?<![\w.])/(root|work|tmp|home/(?!carnet\b)\w+|Users)/\w")


def written_files() -> list[str]:
    binary = (".dict", ".bin", ".png", ".pdf", ".gz", ".zip")
    return [name for name in files() if not name.endswith((*binary, ".lock"))]


def test_nothing_is_left_for_later() -> None:
    assert [name for name in written_files() if name != "tests/house/test_house.py" and _MARKERS.search(text(name))] == []


def test_no_machine_stands_in_a_file() -> None:
    found = {name: match[0] for name in written_files() if (match := _MACHINE.search(text(name)))}
    assert {name: found[name] for name in found if name not in _EXCUSED} == {}


def test_programs_carry_the_run_bit() -> None:
    for name in ("carnet", ".ci/run"):
        assert (ROOT / name).stat().st_mode & stat.S_IXUSR, name


def test_a_cited_section_has_one_grammar() -> None:
    """`ITI TF-2: 3.42.4.1.3`, never `ITI TF-2 3.42` or `ITI-TF 2:3.42`."""
    wrong = re.compile(r"\bITI[ -]?TF[- ]?\d[a-z]?(?!: )(?=[ :]*\d)")
    found = {name: match[0] for name in product_files() if (match := wrong.search(text(name)))}
    assert found == {}
