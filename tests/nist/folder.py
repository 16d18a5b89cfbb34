"""Where the plans are: NIST_PLANS, else data/nist of the reference material (CARNET_SHARED, else ../shared)."""

from __future__ import annotations

import os
from pathlib import Path

from conformance.nist.plan import Test, read_folder

ROOT = Path(__file__).resolve().parents[2]


def reference_folder() -> Path | None:
    """The plans of the reference material, where it is."""
    shared = os.environ.get("CARNET_SHARED", "")
    folder = (Path(shared) if shared else ROOT.parent / "shared") / "data" / "nist"
    return folder if folder.is_dir() else None


def plans_folder() -> Path | None:
    """The folder to run, or None."""
    named = os.environ.get("NIST_PLANS", "")
    return Path(named) if named else reference_folder()


def base_data(folder: Path) -> dict[str, Test]:
    """Tests that those of another folder may ask for (12346 loads what the queries look for), from the reference material."""
    reference = reference_folder()
    return read_folder(reference) if reference is not None and reference.resolve() != folder.resolve() else {}
