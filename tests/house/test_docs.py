"""The documentation in step with the code: files it names exist, settings and commands it shows are the program's."""

from __future__ import annotations

import re

import pytest
from checkout import ROOT, files, packages, setup, text

from server.__main__ import program
from server.settings import TABLE

PAGES = [name for name in files() if name.endswith(".md")]
_TOPS = tuple({name.split("/")[0] for name in packages()} | {"docs", "tests", "benchmarks", "deploy"})
_PATH = re.compile(r"`((?:" + "|".join(_TOPS) + r")/[\w./-]+?)(?:::\w+)?`")
_LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")
_SETTING = re.compile(r"`((?:" + "|".join({key.split(".")[0] for key in TABLE}) + r")\.[a-z0-9_]+)`")
_COMMAND = re.compile(r"\./carnet ([a-z-]+)")


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_names_is_there(page: str) -> None:
    content = text(page)
    folder = (ROOT / page).parent
    missing = [name for name in _PATH.findall(content) if not (ROOT / name).exists() and not list(ROOT.glob(name + "*"))]
    missing += [link for link in _LINK.findall(content) if not (folder / link).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES)
def test_settings_and_commands_on_a_page_are_the_programs(page: str) -> None:
    content = text(page)
    modules = {name.replace("/", ".").removesuffix(".py") for name in files() if name.endswith(".py")}
    assert [key for key in _SETTING.findall(content) if key not in TABLE and key not in modules] == []
    known = set(program.list_commands(None))  # type: ignore[arg-type]
    assert [command for command in _COMMAND.findall(content) if command not in known] == []


def test_every_setting_stands_in_the_documentation() -> None:
    page = text("docs/settings.md")
    assert [key for key in TABLE if key not in page] == []


def test_every_command_stands_in_the_readme() -> None:
    page = text("README.md")
    assert [name for name in program.list_commands(None) if f"carnet {name}" not in page] == []  # type: ignore[arg-type]


def test_the_changelog_has_an_entry_for_the_version() -> None:
    version = setup()["metadata"]["version"]
    assert re.search(rf"^## {re.escape(version)}\b", text("CHANGELOG.md"), re.MULTILINE)


def test_every_floor_and_every_module_of_the_way_is_on_the_page_of_the_house() -> None:
    page = text("docs/architecture.md")
    for top in sorted({name.split("/")[0] for name in packages()}):
        assert f"`{top}/`" in page, top
