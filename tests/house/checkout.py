"""The checkout as the house tests see it: its tracked files, or, in an exported tree without git, all files below it."""

from __future__ import annotations

import ast
import subprocess
from configparser import ConfigParser
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@cache
def files() -> tuple[str, ...]:
    """Every tracked file that is there, as a path below ROOT."""
    if (ROOT / ".git").exists():
        done = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=True, timeout=300)
        names = [name for name in done.stdout.split("\0") if name]
    else:
        names = [str(p.relative_to(ROOT)) for p in ROOT.rglob("*") if p.is_file() and ".carnet" not in p.parts]
    return tuple(sorted(name for name in names if (ROOT / name).is_file()))


@cache
def python_files() -> list[str]:
    return [name for name in files() if name.endswith(".py")]


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@cache
def setup() -> ConfigParser:
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    return config


def packages() -> list[str]:
    """The packages that setup.cfg lists, as folders."""
    return [name.replace(".", "/") for name in setup()["options"]["packages"].split()]


def product_files() -> list[str]:
    """The Python files of the packages: what is shipped."""
    tops = {name.split("/")[0] for name in packages()}
    return [name for name in python_files() if name.split("/")[0] in tops and "/" in name]


@cache
def imported(name: str) -> set[str]:
    """Every module that a file imports anywhere in it, whole: `sqlalchemy.dialects` too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(text(name))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(node.module or "")
    return found
