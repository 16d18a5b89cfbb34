"""What was measured, as rows, as a table and as JSON, with the targets beside it."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field


def both(a: float, b: float) -> float:
    """F(a, b): the rate of doing first the one, then the other."""
    return 1 / (1 / a + 1 / b)


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. Times in seconds; `memory` is the growth of anonymous memory in bytes; `share` is rate / floor."""

    what: str
    store: str
    clients: int
    rate: float
    unit: str
    entries: int = 0
    p50: float = 0.0
    p99: float = 0.0
    floors: Mapping[str, float] = field(default_factory=dict)
    share: float = 0.0
    memory: int = -1
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """A target and whether it was met."""

    target: str
    value: float
    limit: float
    at_least: bool

    @property
    def met(self) -> bool:
        return self.value >= self.limit if self.at_least else self.value <= self.limit


def verdicts(rows: Iterable[Row]) -> list[Verdict]:
    """The targets to which these rows say something."""
    found: list[Verdict] = []
    rows = list(rows)
    finds = [r for r in rows if r.what.startswith("FindDocuments LeafClass") and r.clients == 8]
    for row in finds:
        if row.entries == max(r.entries for r in finds):
            name = f"FindDocuments LeafClass, {row.store}, {row.entries} entries, 8 clients"
            found.append(Verdict(f"{name}: share of F(W,S)", row.share, 0.30, True))
            found.append(Verdict(f"{name}: p99 / p50", row.p99 / row.p50, 8.0, False))
    for row in rows:
        if row.what == "ITI-41 20 kB" and row.clients == 8:
            found.append(Verdict(f"ITI-41 20 kB, {row.store}, 8 clients: share of F(D,W)", row.share, 0.40, True))
        elif row.what.startswith("ITI-41 20 kB, every flush"):
            found.append(Verdict(f"{row.what}, {row.store}, {row.clients} clients: share of D", row.share, 0.40, True))
        elif row.what.startswith("audited: ") and row.clients == 8:
            found.append(Verdict(f"{row.what}, {row.store}, 8 clients: share of the rate without", row.share, 0.7, True))
        elif row.what.startswith("signed: ITI-41"):
            found.append(Verdict(f"{row.what}: share of the speed unsigned", row.share, 0.5, True))
        elif row.what.startswith("signed") and row.clients == 8:
            found.append(Verdict(f"{row.what}, {row.store}, 8 clients: share of F(U,C)", row.share, 0.7, True))
        elif row.what == "ITI-41 1024 MB":
            found.append(Verdict("ITI-41 1 GB: share of F(upload, hashes+write+fsync)", row.share, 0.65, True))
        elif row.what == "ITI-43 1024 MB":
            found.append(Verdict("ITI-43 1 GB: share of F(bare file, SHA-256)", row.share, 0.80, True))
        elif row.what == "FindDocuments, two stores in turn":
            name = f"FindDocuments LeafClass, {row.store}, {row.entries} entries: rate {' and '.join(row.floors)}"
            found.append(Verdict(name.replace("rate with", "rate against that with"), row.share, 0.85, True))
        elif row.what.startswith("idle worker"):
            found.append(Verdict("idle worker, resident MB", row.rate, 80.0, False))
        elif row.what.startswith("database bytes an entry"):
            found.append(Verdict(f"database bytes an entry, {row.store}, {row.entries} entries", row.rate, 1200.0, False))
        if row.memory >= 0:
            limit = 4.0 if row.what.endswith("each further one at once") else 16.0
            found.append(Verdict(f"{row.what}: anonymous memory grows by MB", row.memory / 2**20, limit, False))
    return found


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            model = next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), model)
    except OSError:
        pass
    return {"cpu": model, "cores": str(os.cpu_count()), "system": platform.platform(), "python": platform.python_version()}


def as_json(rows: Iterable[Row]) -> str:
    """Machine, rows and verdicts."""
    rows = list(rows)
    judged = [{**asdict(v), "met": v.met} for v in verdicts(rows)]
    return json.dumps({"machine": machine(), "rows": [asdict(r) for r in rows], "targets": judged}, indent=2)
