"""How this program is called, for every text that tells a person what to type next."""

from __future__ import annotations

import shlex
from pathlib import Path


def program() -> str:
    """How this program is called from where the user stands: by the launcher of the checkout, or installed."""
    launcher = Path(__file__).resolve().parents[1] / "carnet"
    if not launcher.is_file():
        return "carnet"
    return "./carnet" if launcher.parent == Path.cwd() else shlex.quote(str(launcher))
