"""ITI-57, and the merge of patients with a thousand documents each, beside the same SQL run by the bare driver."""

from __future__ import annotations

import itertools
import random
import re
import shutil
import statistics
import time
from collections.abc import Callable, Iterator, Sequence

import sqlalchemy as sa

from benchmarks import floors, load, messages, processes
from benchmarks.fill import fill
from benchmarks.measure import Databases, Plan, is_sqlite, processes_for
from benchmarks.report import Row, both
from metadata.ebrim import parse_submission
from metadata.fragments import with_patient
from metadata.vocabulary import Transaction
from registry.codes import CodeBook
from registry.fragments import unpack
from registry.identifiers import uuid_text
from registry.iti57 import UpdateDocumentSet
from registry.patient_identity import IdentityFeed
from registry.tables import document_entry
from schemas.parse import parse
from storage.database import open_database

PATIENTS, DOCUMENTS = 40, 1000
_TITLE = re.compile(r'(<rim:Name><rim:LocalizedString[^>]* value=")[^"]*')
_ENTRY = re.compile(r"<rim:ExtrinsicObject.*</rim:ExtrinsicObject>", re.DOTALL)
_PREVIOUS = '<rim:Slot name="PreviousVersion"><rim:ValueList><rim:Value>{}</rim:Value></rim:ValueList></rim:Slot>'
_STATUS = '<rim:Slot name="SubmissionSetStatus">'


class Updates:
    """New versions of one patient's documents, one document after the other, each with another title."""

    def __init__(self, entries: Sequence[tuple[str, str]], cx: str) -> None:
        """`entries` are (entryUUID, fragment) of first versions."""
        self._entries = entries
        self._made = messages.Submissions(random.getrandbits(40), 1)
        self._turns = itertools.count()
        self._cx = cx

    def body(self) -> bytes:
        """The next lcm:SubmitObjectsRequest of ITI-57."""
        turn = next(self._turns)
        uuid, fragment = self._entries[turn % len(self._entries)]
        version = 1 + turn // len(self._entries)
        entry = fragment.replace(uuid, "Document01").replace('lid="Document01"', f'lid="{uuid}"', 1)
        entry = _TITLE.sub(rf"\g<1>Version {version + 1}", entry, count=1)
        request = _ENTRY.sub(lambda _: entry, self._made.body_for(self._cx).decode(), count=1)
        return request.replace(_STATUS, _PREVIOUS.format(version) + _STATUS, 1).encode()

    def message(self) -> bytes:
        """The same as an HTTP request."""
        return messages.soap(Transaction.ITI_57, self.body())


def _entries(url: str, patient: int) -> tuple[list[tuple[str, str]], str]:
    """The documents of a patient of the filled store, and its identifier."""
    cx = messages.patient_cx(patient)
    database = open_database(url)
    try:
        with database.read() as connection:
            from registry.patients import find

            row = find(connection, [cx])[cx]
            columns = (document_entry.c.uuid, document_entry.c.fragment)
            rows = connection.execute(sa.select(*columns).where(document_entry.c.patient == row.id).order_by(document_entry.c.id))
    finally:
        database.close()
    return [(uuid_text(u), with_patient(unpack(f), cx).decode()) for u, f in rows], cx


def _recorded(url: str, act: Callable[[floors.RecordingDatabase], None]) -> list[list[floors.Statement]]:
    """The transactions of `act`, each as the statements that the driver got."""
    database = floors.RecordingDatabase(open_database(url))
    try:
        act(database)
        return [statements for statements in database.work if floors.inserts(statements)]
    finally:
        database.close()


def lifecycle(databases: Databases, plan: Plan) -> Iterator[Row]:
    """Rates and shares; the floors run on copies of the same store."""
    plan.say(f"filling {PATIENTS} patients with {DOCUMENTS} documents each")
    url = databases.fresh("lifecycle")
    fill(url, PATIENTS * DOCUMENTS, per_patient=DOCUMENTS)
    yield from _updates(databases, url, plan)
    yield from _merges(databases, url, plan)


def _updates(databases: Databases, url: str, plan: Plan) -> Iterator[Row]:
    count = min(plan.submissions, DOCUMENTS // 2)
    recorded = databases.copy(url, "lifecycle_recorded")
    updates = Updates(*_entries(recorded, 0))

    def act(database: floors.RecordingDatabase) -> None:
        handler = UpdateDocumentSet(database, CodeBook())
        for _ in range(count):
            handler.update(parse_submission(parse(updates.body())))

    work = _recorded(recorded, act)
    store = "SQLite" if is_sqlite(url) else "PostgreSQL"
    workers = processes_for(url, plan)
    data = plan.folder / "data-lifecycle"
    shutil.rmtree(data, ignore_errors=True)
    for clients in plan.clients:
        plan.say(f"{store}: ITI-57, {clients} clients")
        served = databases.copy(url, "lifecycle_served")
        made = Updates(*_entries(served, 0))
        w, d, runs = [], [], []
        with processes.carnet(data, served, workers) as server, processes.bare(plan.folder, workers) as bare:
            constant = messages.http("/?size=400", "application/soap+xml", made.message().partition(b"\r\n\r\n")[2])
            made = Updates(*_entries(served, 0))
            for _ in range(plan.rounds):
                w.append(load.run(bare.address, messages.cycled([constant]), clients, plan.seconds / 2, b"").rate)
                # One client: the statements of one update depend on no other's.
                d.append(floors.sql_writes(databases.copy(url, "lifecycle_floor"), work, 1))
                runs.append(load.run(server.address, made.message, clients, plan.seconds))
        runs.sort(key=lambda r: r.rate)
        middle = runs[len(runs) // 2]
        floor = both(statistics.median(w), statistics.median(d))
        yield Row(
            what="ITI-57 of a patient with 1,000 documents",
            store=store,
            clients=clients,
            rate=middle.rate,
            unit="updates/s",
            p50=middle.quantile(0.5),
            p99=middle.quantile(0.99),
            floors={"W": statistics.median(w), "SQL": statistics.median(d), "F(SQL,W)": floor},
            share=middle.rate / floor,
        )


def _merges(databases: Databases, url: str, plan: Plan) -> Iterator[Row]:
    pairs = [(messages.patient_cx(n), messages.patient_cx(n + 1)) for n in range(0, PATIENTS, 2)]

    def act(database: floors.RecordingDatabase) -> None:
        feed = IdentityFeed(database)
        for subsumed, surviving in pairs:
            feed.merge(subsumed, surviving)

    work = _recorded(databases.copy(url, "lifecycle_recorded"), act)
    rates, floor = [], []
    for _ in range(plan.rounds):
        database = open_database(databases.copy(url, "lifecycle_served"))
        try:
            feed = IdentityFeed(database)
            start = time.perf_counter()
            for subsumed, surviving in pairs:
                feed.merge(subsumed, surviving)
            rates.append(len(pairs) / (time.perf_counter() - start))
        finally:
            database.close()
        floor.append(floors.sql_writes(databases.copy(url, "lifecycle_floor"), work, 1))
    yield Row(
        what="merge of two patients with 1,000 documents each",
        store="SQLite" if is_sqlite(url) else "PostgreSQL",
        clients=1,
        rate=statistics.median(rates),
        unit="merges/s",
        floors={"SQL": statistics.median(floor)},
        share=statistics.median(rates) / statistics.median(floor),
    )
