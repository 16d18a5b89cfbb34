"""The list of departures, `exceptions.toml`, read and checked."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

FILE = Path(__file__).with_name("exceptions.toml")
_SECTION = re.compile(r"ITI TF-[123]: [\dA-Z][\w.-]*")


@dataclass(frozen=True)
class Exceptions:
    """`steps`: test/section/step to section and reason. `not_yet`: kind of transaction to what it needs. `french`: of both."""

    steps: Mapping[str, tuple[str, str]]
    not_yet: Mapping[str, str]
    french: Mapping[str, str] = field(default_factory=dict)

    def in_french(self, text: str) -> str:
        """What the runner says of a step that is listed or follows one, in French."""
        for said, french in self.french.items():
            text = text.replace(said, french)
        return text.replace(": follows ", " : suit ")


def read_exceptions(path: Path = FILE) -> Exceptions:
    """Raises ValueError for an entry without step, section or reason, or one that is there twice."""
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    steps: dict[str, tuple[str, str]] = {}
    french: dict[str, str] = dict(content.get("not-yet-fr", {}))
    for entry in content.get("exception", []):
        step, section, reason = (str(entry.get(key, "")) for key in ("step", "section", "reason"))
        if step.count("/") != 2 or not reason or not entry.get("reason_fr") or not _SECTION.fullmatch(section):
            raise ValueError(f"{path.name}: {entry}: needs step = test/section/step, section = ITI TF-n: x.y, reason, reason_fr")
        if step in steps:
            raise ValueError(f"{path.name}: {step} is listed twice")
        steps[step] = (section, reason)
        french[reason] = str(entry["reason_fr"])
    return Exceptions(steps, dict(content.get("not-yet", {})), french)
