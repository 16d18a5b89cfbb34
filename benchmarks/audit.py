"""What the audit trail costs: the same server with and without it, asked in turn, on stores of the same content."""

from __future__ import annotations

import random
import shutil
import statistics
from collections.abc import Callable, Iterator
from functools import partial

from benchmarks import load, messages, processes
from benchmarks.fill import PER_PATIENT, REPOSITORY, fill
from benchmarks.measure import KB, Databases, Plan, is_sqlite, processes_for, provide
from benchmarks.report import Row

_PATIENTS = 50


def audit(databases: Databases, plan: Plan) -> Iterator[Row]:
    """ITI-18 that finds 20 documents, ITI-41 and ITI-43 of 20 kB: rates with the trail, shares of those without."""
    store = "SQLite" if is_sqlite(databases.base) else "PostgreSQL"
    workers = processes_for(databases.base, plan)
    served = {}
    for name in ("with", "without"):
        url = databases.fresh(f"audit_{name}")
        fill(url, _PATIENTS * PER_PATIENT)
        data = plan.folder / f"data-audit-{name}"
        shutil.rmtree(data, ignore_errors=True)
        enabled = f"audit.enabled={'true' if name == 'with' else 'false'}"
        settings = ("domain.patients=open", f"role.repository_unique_id={REPOSITORY}", enabled)
        served[name] = partial(processes.carnet, data, url, workers, None, *settings)
    with served["with"]() as audited, served["without"]() as bare:
        for what, make in _kinds(audited, bare).items():
            for clients in plan.clients:
                plan.say(f"{store}: {what} with and without audit trail, {clients} clients")
                runs, floors, shares = [], [], []
                for _ in range(plan.rounds):
                    floors.append(load.run(bare.address, make(bare), clients, plan.seconds).rate)
                    runs.append(load.run(audited.address, make(audited), clients, plan.seconds))
                    shares.append(runs[-1].rate / floors[-1])
                middle = sorted(runs, key=lambda run: run.rate)[len(runs) // 2]
                yield Row(
                    what=f"audited: {what}",
                    store=store,
                    clients=clients,
                    rate=middle.rate,
                    unit="requests/s",
                    p50=middle.quantile(0.5),
                    p99=middle.quantile(0.99),
                    floors={"without": statistics.median(floors)},
                    share=statistics.median(shares),
                )


def _kinds(*servers: processes.Process) -> dict[str, Callable[[processes.Process], messages.Make]]:
    """The requests of each kind for a server; a document to retrieve is submitted to each."""
    draw = random.Random(7)
    queries = messages.cycled([messages.find_documents(draw.randrange(_PATIENTS)) for _ in range(500)])
    document = messages.cda(20 * KB - 8)
    made = messages.Submissions(random.getrandbits(40), _PATIENTS)
    retrieves = {}
    for server in servers:
        load.run(server.address, partial(provide, made, document), 1, 0.0, most=1)
        unique_id = f"1.2.250.1.213.99.2.{made.seed}.{made.made}"
        retrieves[id(server)] = messages.cycled([messages.retrieve(REPOSITORY, unique_id)])
    return {
        "FindDocuments LeafClass, 20 of 200": lambda server: queries,
        "ITI-41 20 kB": lambda server: partial(provide, made, document),
        "ITI-43 20 kB": lambda server: retrieves[id(server)],
    }
