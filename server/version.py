"""The version of the program, installed or run from its checkout."""

from __future__ import annotations

import configparser
from importlib import metadata
from pathlib import Path


def version() -> str:
    """As `setup.cfg` has it."""
    try:
        return metadata.version("carnet-xds")
    except metadata.PackageNotFoundError:
        setup = configparser.ConfigParser()
        setup.read(Path(__file__).resolve().parents[1] / "setup.cfg", encoding="utf-8")
        return setup.get("metadata", "version", fallback="unknown")
