"""What the server counts, in the format of Prometheus; the only file that knows prometheus-client.

Several workers each keep a file of their own in one folder (`prepare`), and whichever is asked adds them up. No label ever
holds a patient, a document or an address.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
#: Where workers keep their counts; read by prometheus-client when it is imported.
FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)


def prepare(workers: int) -> Callable[[], None]:
    """Before the workers are made: a folder for their counts when there are several. Returns what removes it at the end."""
    if workers == 1 or os.environ.get(FOLDER_VARIABLE):
        return lambda: None
    folder = tempfile.mkdtemp(prefix="carnet-metrics-")
    os.environ[FOLDER_VARIABLE] = folder
    return lambda: shutil.rmtree(folder, ignore_errors=True)


class Metrics:
    """The counts of this process. `gauges` (name to meaning and value) are asked when somebody reads; others may join them."""

    def __init__(self, gauges: dict[str, tuple[str, Callable[[], float]]] | None = None) -> None:
        # Imported here: prometheus-client decides at its import whether several processes count together.
        from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics

        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._gauges = {} if gauges is None else gauges
        self._registry = CollectorRegistry()
        self._together = bool(os.environ.get(FOLDER_VARIABLE))
        self._http = Counter(
            "carnet_http_requests", "HTTP requests by path and status.", ["path", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "carnet_transaction_seconds",
            "Seconds from a request's header to the last byte of its answer.",
            ["transaction"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._outcomes = Counter(
            "carnet_transactions", "Understood requests by transaction and outcome.", ["transaction", "outcome"],
            registry=self._registry,
        )  # fmt: skip
        self._errors = Counter(
            "carnet_errors", "Errors and warnings answered, by transaction and IHE error code.", ["transaction", "code"],
            registry=self._registry,
        )  # fmt: skip
        self._notes = Counter(
            "carnet_wire_notes", "Tolerated quirks of clients, by row of docs/wire.md.", ["row"], registry=self._registry
        )
        self._children: dict[tuple[str, ...], Any] = {}  # looking one up by its labels costs as much as counting
        self._signatures = Counter(
            "carnet_signature_findings", "Submissions whose signatures break a rule, by rule.", ["rule"], registry=self._registry
        )
        self._limits = Counter(
            "carnet_limits_met", "Requests refused by a limit of one hour, by rule.", ["rule"], registry=self._registry
        )
        self._alarms = Counter(
            "carnet_alarms", "What an operator must look at: damaged documents, a store that fails.", ["kind"],
            registry=self._registry,
        )  # fmt: skip

    def http(self, path: str, status: str) -> None:
        """One HTTP request answered. `path` is one of ours, never what a client made up."""
        self._child(self._http, path, status).inc()

    def transaction(self, name: str, outcome: str, seconds: float, codes: Iterable[str] = ()) -> None:
        """One understood request: `ITI-41`, `Success | PartialSuccess | Failure | Fault`, and the codes in its answer."""
        self._child(self._seconds, name).observe(seconds)
        self._child(self._outcomes, name, outcome).inc()
        for code in codes:
            self._errors.labels(name, code).inc()

    def _child(self, metric: Any, *labels: str) -> Any:
        """The child with these labels; they are few, since none is made up by a client."""
        key = (metric._name, *labels)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = metric.labels(*labels)
        return child

    def note(self, row: str) -> None:
        """One tolerated quirk."""
        self._notes.labels(row).inc()

    def signature(self, rule: str) -> None:
        """One submission whose signature breaks this rule (DSG-...)."""
        self._signatures.labels(rule).inc()

    def limit(self, rule: str) -> None:
        """One request refused by a limit of one hour (SRV-007, SRV-008, ACC-017)."""
        self._limits.labels(rule).inc()

    def alarm(self, kind: str) -> None:
        """One alarm of the store."""
        self._alarms.labels(kind).inc()

    def render(self) -> bytes:
        """Everything, of all workers, as Prometheus reads it."""
        from prometheus_client import CollectorRegistry, Gauge, generate_latest

        together = self._together_registry() if self._together else self._registry
        text: bytes = generate_latest(together)
        now = CollectorRegistry()
        for name, (meaning, value) in self._gauges.items():
            Gauge(name, meaning, registry=now).set(value())
        return text + generate_latest(now)

    @staticmethod
    def _together_registry() -> CollectorRegistry:
        from prometheus_client import CollectorRegistry
        from prometheus_client.multiprocess import MultiProcessCollector

        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return registry
