"""What TLS with client certificates costs: the same store served with it and without, asked in turn.

On kept connections it is the cipher and the check of the certificate at every request; on new ones the handshake, with RSA 2048
on both sides, as cards have it. Assertions are not asked for here (`benchmarks/signed.py`).
"""

from __future__ import annotations

import random
import shutil
import statistics
from collections.abc import Callable, Iterator

from benchmarks import load, messages, processes
from benchmarks.fill import PER_PATIENT, fill
from benchmarks.measure import Databases, Plan, is_sqlite, processes_for
from benchmarks.report import Row
from security.pki import TestAuthority
from security.tls import client_context

_PATIENTS = 50
_QUERY = "FindDocuments LeafClass, 20 of 200"


def tls(databases: Databases, plan: Plan) -> Iterator[Row]:
    """ITI-18 that finds 20 documents, on kept connections and on a new one for each request."""
    store = "SQLite" if is_sqlite(databases.base) else "PostgreSQL"
    workers = processes_for(databases.base, plan)
    folder = plan.folder / "tls-pki"
    shutil.rmtree(folder, ignore_errors=True)
    authority = TestAuthority.create(folder)
    authority.issue("server", "server")
    authority.issue("structure", "client")
    context = client_context(*(str(folder / name) for name in ("ca.crt", "client.crt", "client.key")))
    served = []
    for name, settings in (("plain", ()), ("tls", ("security.secure=true", f"security.pki={folder}", "security.assertions=off"))):
        url, data = databases.fresh(f"tls_{name}"), plan.folder / f"data-tls-{name}"
        fill(url, _PATIENTS * PER_PATIENT)
        shutil.rmtree(data, ignore_errors=True)
        served.append(lambda d=data, u=url, s=settings: processes.carnet(d, u, workers, None, "domain.patients=open", *s))
    draw = random.Random(13)
    make = messages.cycled([messages.find_documents(draw.randrange(_PATIENTS)) for _ in range(500)])
    with served[0]() as plain, served[1]() as secured:
        for clients in plan.clients:
            plan.say(f"{store}: ITI-18 by TLS and without, {clients} clients")
            yield _row(
                f"TLS: {_QUERY}", store, clients, plan,
                lambda n=clients: load.run(plain.address, make, n, plan.seconds),  # type: ignore[misc]  # bound as it is now
                lambda n=clients: load.run(secured.address, make, n, plan.seconds, context=context),  # type: ignore[misc]
            )  # fmt: skip
        plan.say(f"{store}: ITI-18 by TLS and without, a new connection for each")
        yield _row(
            f"TLS, new connections: {_QUERY}", store, 1, plan,
            lambda: load.connections(plain.address, make, plan.seconds),
            lambda: load.connections(secured.address, make, plan.seconds, context),
        )  # fmt: skip


def _row(what: str, store: str, clients: int, plan: Plan, bare: Callable[[], load.Load], by_tls: Callable[[], load.Load]) -> Row:
    floors, runs = [], []
    for _ in range(plan.rounds):
        floors.append(bare().rate)
        runs.append(by_tls())
    shares = [run.rate / floor for run, floor in zip(runs, floors, strict=True)]
    middle = sorted(runs, key=lambda run: run.rate)[len(runs) // 2]
    return Row(
        what=what,
        store=store,
        clients=clients,
        rate=middle.rate,
        unit="requests/s",
        p50=middle.quantile(0.5),
        p99=middle.quantile(0.99),
        floors={"without": statistics.median(floors)},
        share=statistics.median(shares),
    )
