"""The measurements: each next to its floors, interleaved with them, the median of some rounds.

`reads`, `writes` and `slow_flush` yield finished rows (`large.py` those of large documents); `server/commands/bench.py` prints
them and `report.py` says what they mean.
Its lines stay in one file because each measurement is read beside the floor it is divided by.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import random
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import sqlalchemy as sa

from benchmarks import floors, load, messages, processes
from benchmarks.fill import PER_PATIENT, REPOSITORY, bytes_per_entry, fill
from benchmarks.report import Row, both
from metadata.ebrim import parse_submission
from metadata.queries import LEAF_CLASS, read_query
from metadata.vocabulary import Transaction
from registry.codes import CodeBook
from registry.iti42 import RegisterDocumentSet, RegisterOptions
from registry.search import Search
from schemas.parse import parse
from soap.body.adhoc_query import parse_adhoc_query
from storage.database import open_database
from storage.migrate import upgrade

KB, MB = 1024, 1024 * 1024
_QUERY = "{urn:oasis:names:tc:ebxml-regrep:xsd:query:3.0}AdhocQueryRequest"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured. `seconds` a round, `rounds` of each figure, `large` bytes of the large documents."""

    folder: Path
    seconds: float = 3.0
    rounds: int = 3
    clients: tuple[int, ...] = (1, 8)
    large: tuple[int, ...] = (10 * MB, 1024 * MB)
    workers: int = 2
    submissions: int = 2000
    say: Callable[[str], None] = field(default=lambda text: None)


def is_sqlite(url: str) -> bool:
    return url.startswith("sqlite")


def processes_for(url: str, plan: Plan) -> int:
    """SQLite is served by one process."""
    return 1 if is_sqlite(url) else plan.workers


def _median(values: Sequence[float]) -> float:
    return statistics.median(values)


# ------------------------------------------------------------------------------------------------------------------ reads


def _kinds(entries: int) -> dict[str, Callable[[], bytes]]:
    patients = entries // PER_PATIENT
    draw = random.Random(5)
    chosen = [draw.randrange(patients) for _ in range(2000)]
    return {
        "FindDocuments LeafClass, 20 of 200": messages.cycled([messages.find_documents(p) for p in chosen]),
        "FindDocuments ObjectRef, 20 of 200": messages.cycled([messages.find_documents(p, leaf=False) for p in chosen]),
        "GetDocuments by uniqueId": messages.cycled([messages.get_documents(p, p % PER_PATIENT) for p in chosen]),
    }


def _recorded(url: str, make: Callable[[], bytes], count: int = 400) -> list[list[floors.Statement]]:
    """The SQL of so many of these requests."""
    database = floors.RecordingDatabase(open_database(url))
    try:
        search = Search(database, CodeBook())
        for _ in range(count):
            body = make().partition(b"\r\n\r\n")[2]
            element = next(parse(body).iter(_QUERY))
            request = parse_adhoc_query(element)
            query = read_query(request.id, request.slots, Transaction.ITI_18, return_type=request.returnType)
            search.find(query, leaf=request.returnType == LEAF_CLASS)
        return [statements for statements in database.work[1:] if statements]
    finally:
        database.close()


def reads(url: str, entries: int, plan: Plan) -> Iterator[Row]:
    """ITI-18 on a filled store: rates, quantiles, shares of F(W, S)."""
    store = "SQLite" if is_sqlite(url) else "PostgreSQL"
    workers = processes_for(url, plan)
    data = plan.folder / f"data-{entries}"
    settings = ("domain.patients=open",)
    with (
        processes.carnet(data, url, workers, None, *settings) as server,
        processes.bare(plan.folder, workers) as bare,
    ):
        for name, make in _kinds(entries).items():
            work = _recorded(url, make)
            answer = load.run(server.address, make, 1, 1.0)  # warms up, and tells the size
            size = answer.bytes // answer.answers
            constant = messages.http(f"/?size={size}", "application/soap+xml", make().partition(b"\r\n\r\n")[2])
            for clients in plan.clients:
                plan.say(f"{store}, {entries} entries: {name}, {clients} clients")
                w, s, runs = [], [], []
                for _ in range(plan.rounds):
                    w.append(load.run(bare.address, messages.cycled([constant]), clients, plan.seconds / 2, b"").rate)
                    s.append(floors.sql_reads(url, work, clients, plan.seconds / 2))
                    runs.append(load.run(server.address, make, clients, plan.seconds))
                runs.sort(key=lambda r: r.rate)
                middle = runs[len(runs) // 2]
                floor = both(_median(w), _median(s))
                yield Row(
                    what=name,
                    store=store,
                    entries=entries,
                    clients=clients,
                    rate=middle.rate,
                    unit="requests/s",
                    p50=middle.quantile(0.5),
                    p99=middle.quantile(0.99),
                    floors={"W": _median(w), "S": _median(s), "F(W,S)": floor},
                    share=middle.rate / floor,
                    bytes=size,
                )


def growth(small: tuple[str, int], big: tuple[str, int], plan: Plan, clients: int = 8) -> Row:
    """FindDocuments on two stores (URL, entries) in turn: what more entries cost, whatever else the machine does meanwhile."""
    name, made = "FindDocuments LeafClass, 20 of 200", []
    workers = processes_for(big[0], plan)
    with (
        processes.carnet(plan.folder / f"data-{small[1]}", small[0], workers, None, "domain.patients=open") as less,
        processes.carnet(plan.folder / f"data-{big[1]}", big[0], workers, None, "domain.patients=open") as more,
    ):
        pairs = [(server, _kinds(entries)[name]) for server, (_, entries) in ((less, small), (more, big))]
        for server, make in pairs:
            load.run(server.address, make, clients, 1.0)
        for _ in range(2 * plan.rounds):
            plan.say(f"{small[1]} and {big[1]} entries in turn")
            made.append([load.run(server.address, make, clients, plan.seconds).rate for server, make in pairs])
    before, after = _median([a for a, _ in made]), _median([b for _, b in made])
    return Row(
        what="FindDocuments, two stores in turn",
        store="SQLite" if is_sqlite(big[0]) else "PostgreSQL",
        entries=big[1],
        clients=clients,
        rate=after,
        unit="requests/s",
        floors={f"with {small[1]} entries": before},
        share=_median([b / a for a, b in made]),
    )


def filled(url: str, entries: int, plan: Plan) -> Row:
    """Fill the store where it is empty; bytes of database for each entry."""
    data = plan.folder / f"data-{entries}"
    data.mkdir(parents=True, exist_ok=True)
    if not _is_filled(url):
        plan.say(f"filling {url.partition(':')[0]} with {entries} entries")
        fill(url, entries, lambda done, whole: plan.say(f"filled {done} of {whole} patients") if done % 1000 == 0 else None)
    sizes = bytes_per_entry(url, entries)
    return Row(
        what="database bytes an entry, documents not counted",
        store="SQLite" if is_sqlite(url) else "PostgreSQL",
        entries=entries,
        clients=0,
        rate=sizes["entry"],
        unit="bytes",
        floors={name: size for name, size in sizes.items() if name != "entry"},
    )


def _is_filled(url: str) -> bool:
    upgrade(url)
    database = open_database(url)
    try:
        with database.read() as connection:
            from sqlalchemy import func, select

            from registry.tables import patient

            return bool(connection.execute(select(func.count()).select_from(patient))[0][0] > 1)
    finally:
        database.close()


# ----------------------------------------------------------------------------------------------------------------- writes


def _insert_work(scratch: str, document: bytes, plan: Plan) -> list[list[floors.Statement]]:
    """The inserts of real submissions with their document as a row, recorded on a scratch store."""
    from repository.index import Deposit, StoredDocument
    from repository.tables import DocumentState

    upgrade(scratch)
    database = floors.RecordingDatabase(open_database(_hasty(scratch)))
    made = messages.Submissions(1, 500)
    try:
        register = RegisterDocumentSet(database, CodeBook(), RegisterOptions(open_domain=True))
        for number in range(plan.submissions):
            content = document + str(number).encode()
            digest, sha1 = hashlib.sha256(content).digest(), hashlib.sha1(content, usedforsecurity=False).digest()
            submission = parse_submission(parse(made.completed(REPOSITORY, content, sha1.hex())))
            (entry,) = submission.documentEntries
            id = entry.uniqueId or ""
            stored = StoredDocument(id, digest, sha1, len(content), "text/xml", entry.patientId, DocumentState.REGISTERED, 1)
            register.register(submission, companion=Deposit((stored,), {digest: content}).store)
        return [floors.inserts(work) for work in database.work if floors.inserts(work)]
    finally:
        database.close()


def _hasty(url: str) -> str:
    """The same database without waiting for flushes: what is recorded there need not last."""
    if is_sqlite(url):
        return url
    return sa.make_url(url).update_query_dict({"options": "-c synchronous_commit=off"}).render_as_string(hide_password=False)


class Databases:
    """Fresh databases of one kind, and their end."""

    def __init__(self, base: str, folder: Path) -> None:
        self.base = base
        self._folder = folder
        self._made: list[str] = []

    def fresh(self, name: str) -> str:
        """The URL of a new empty database."""
        if is_sqlite(self.base):
            path = self._folder / f"{name}.sqlite"
            for old in self._folder.glob(f"{name}.sqlite*"):
                old.unlink()
            return f"sqlite:///{path}"
        self._admin(f"DROP DATABASE IF EXISTS carnet_bench_{name} WITH (FORCE)")
        return self.kept(name)

    def kept(self, name: str) -> str:
        """The URL of a database that stays for the next run; made where it is missing."""
        if is_sqlite(self.base):
            return f"sqlite:///{self._folder / f'{name}.sqlite'}"
        url = sa.make_url(self.base).set(database=f"carnet_bench_{name}")
        engine = sa.create_engine(self.base)
        with engine.connect() as connection:
            there = connection.execute(sa.text("SELECT 1 FROM pg_database WHERE datname = :n"), {"n": url.database}).first()
        engine.dispose()
        if there is None:
            self._admin(f"CREATE DATABASE {url.database}")
        return url.render_as_string(hide_password=False)

    def copy(self, url: str, name: str) -> str:
        """The URL of a new database with the contents of `url`, which nobody has open."""
        target = self.fresh(name)
        if is_sqlite(self.base):
            shutil.copyfile(sa.make_url(url).database or "", sa.make_url(target).database or "")
        else:
            made = sa.make_url(target).database
            self._admin(f"DROP DATABASE {made}")
            self._admin(f"CREATE DATABASE {made} TEMPLATE {sa.make_url(url).database}")
        return target

    def _admin(self, statement: str) -> None:
        engine = sa.create_engine(self.base, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)
        engine.dispose()


def writes(databases: Databases, plan: Plan) -> Iterator[Row]:
    """ITI-41 of 20 kB and ITI-42: documents per second, shares of F(D, W)."""
    store = "SQLite" if is_sqlite(databases.base) else "PostgreSQL"
    document = messages.cda(20 * KB - 8)
    work = _insert_work(databases.fresh("scratch"), document, plan)
    workers = processes_for(databases.base, plan)
    sha1 = hashlib.sha1(document, usedforsecurity=False).hexdigest()
    for name, setting in (
        ("ITI-41 20 kB", ()),
        ("ITI-41 20 kB, document as a file", ("store.small_document=0",)),
        ("ITI-42", ()),
    ):
        url = databases.fresh("writes")
        data = plan.folder / "data-writes"
        shutil.rmtree(data, ignore_errors=True)
        with (
            processes.carnet(data, url, workers, None, "domain.patients=open", *setting) as server,
            processes.bare(plan.folder, workers) as bare,
        ):
            made = messages.Submissions(random.getrandbits(40), 500)
            make = partial(made.register, REPOSITORY, document, sha1) if name == "ITI-42" else partial(provide, made, document)
            load.run(server.address, make, 2, 1.0)
            constant = messages.http("/?size=400", "application/soap+xml", make().partition(b"\r\n\r\n")[2])
            for clients in plan.clients:
                plan.say(f"{store}: {name}, {clients} clients")
                w, d, grouped, runs = [], [], [], []
                for _ in range(plan.rounds):
                    w.append(load.run(bare.address, messages.cycled([constant]), clients, plan.seconds / 2, b"").rate)
                    d.append(_durable(databases, work, clients))
                    if is_sqlite(databases.base):
                        grouped.append(_durable(databases, work, clients, grouped=True))
                    runs.append(load.run(server.address, make, clients, plan.seconds))
                runs.sort(key=lambda r: r.rate)
                middle = runs[len(runs) // 2]
                floor = both(_median(w), _median(d))
                yield Row(
                    what=name,
                    store=store,
                    clients=clients,
                    rate=middle.rate,
                    unit="documents/s",
                    p50=middle.quantile(0.5),
                    p99=middle.quantile(0.99),
                    floors={"W": _median(w), "D": _median(d), "F(D,W)": floor} | _grouped(grouped),
                    share=middle.rate / floor,
                )


def provide(made: messages.Submissions, document: bytes) -> bytes:
    """The next ITI-41; no two documents have the same bytes."""
    return made.provide(document + f"{made.made:08d}".encode())


def _grouped(rates: list[float]) -> dict[str, float]:
    """The grouped floor where there is one."""
    return {"D grouped": _median(rates)} if rates else {}


def _durable(databases: Databases, work: list[list[floors.Statement]], clients: int, grouped: bool = False) -> float:
    """D on an empty database of its own: the recorded inserts, and the patients they refer to."""
    url = databases.fresh("floor")
    upgrade(url)
    patients, rest = _split(work)
    floors.sql_writes(url, [patients], 1)
    return floors.sql_writes(url, rest[: _enough(rest, clients * (3 if grouped else 1))], clients, grouped)


def _enough(work: list[list[floors.Statement]], clients: int) -> int:
    """How many submissions tell a rate: fewer where one client waits for every flush."""
    return min(len(work), 60 * clients)


def _split(work: list[list[floors.Statement]]) -> tuple[list[floors.Statement], list[list[floors.Statement]]]:
    """Patients and codes first, in one transaction: in a server's life they are there."""
    early: list[floors.Statement] = []
    rest: list[list[floors.Statement]] = []
    for statements in work:
        own = [s for s in statements if _is_reference(s[0])]
        early += own
        rest.append([s for s in statements if not _is_reference(s[0])])
    return early, rest


def _is_reference(sql: str) -> bool:
    words = sql.split()
    return words[2] in ("patient", "code") if words[0] == "INSERT" else words[1] == "patient"


def slow_flush(databases: Databases, plan: Plan, library: Path, clients: int = 32) -> Iterator[Row]:
    """ITI-41 of 20 kB with a millisecond added to every flush of server and floor alike.

    On PostgreSQL `databases` has to be a server that was started with the library (`slow_postgres.py`).
    """
    store = "SQLite" if is_sqlite(databases.base) else "PostgreSQL"
    environ = delayed(library)
    document = messages.cda(20 * KB - 8)
    work = _insert_work(databases.fresh("scratch"), document, plan)
    url = databases.fresh("writes")
    data = plan.folder / "data-writes"
    shutil.rmtree(data, ignore_errors=True)
    with processes.carnet(data, url, processes_for(url, plan), environ, "domain.patients=open") as server:
        made = messages.Submissions(random.getrandbits(40), 500)
        make = partial(provide, made, document)
        load.run(server.address, make, 2, 1.0)
        d, grouped, runs = [], [], []
        for _ in range(plan.rounds):
            plan.say(f"{store}: ITI-41 20 kB, every flush 1 ms slower, {clients} clients")
            if is_sqlite(url):
                d.append(_slow_floor(databases, work[:400], clients, environ, plan, False))
                grouped.append(_slow_floor(databases, work, clients, environ, plan, True))
            else:
                d.append(_durable(databases, work, clients))
            runs.append(load.run(server.address, make, clients, plan.seconds))
    runs.sort(key=lambda r: r.rate)
    middle = runs[len(runs) // 2]
    yield Row(
        what="ITI-41 20 kB, every flush 1 ms slower",
        store=store,
        clients=clients,
        rate=middle.rate,
        unit="documents/s",
        p50=middle.quantile(0.5),
        p99=middle.quantile(0.99),
        floors={"D": _median(d)} | _grouped(grouped),
        share=middle.rate / _median(d),
    )


def delayed(library: Path) -> dict[str, str]:
    """The environment in which a process loads the library."""
    return {"LD_PRELOAD": str(library), "CARNET_FLUSH_DELAY_US": "1000"}


def _slow_floor(
    databases: Databases, work: list[list[floors.Statement]], clients: int, environ: dict[str, str], plan: Plan, grouped: bool
) -> float:
    """`floors.sql_writes` on an empty database, in a process that has the library loaded."""
    url = databases.fresh("floor")
    upgrade(url)
    patients, rest = _split(work)
    floors.sql_writes(url, [patients], 1)
    recorded = plan.folder / "floor.pickle"
    recorded.write_bytes(pickle.dumps((url, rest, clients, grouped)))
    code = (
        "import pickle,sys; from benchmarks.floors import sql_writes; "
        "print(sql_writes(*pickle.load(open(sys.argv[1], 'rb'))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(recorded)],
        env={**os.environ, **environ, "PYTHONPATH": str(processes.ROOT)},
        cwd=processes.ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    recorded.unlink()
    return float(done.stdout)


def build_slow_flush(folder: Path) -> Path | None:
    """Compile the library that slows flushes; None where no C compiler is."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    library = folder / "slow_flush.so"
    source = Path(__file__).with_name("slow_flush.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(source), "-ldl"], check=True)
    return library
