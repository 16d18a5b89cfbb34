"""Kill the server at a named step, again and again, and hold against its store everything that it has ever acknowledged.

A worker that reaches the step dies by SIGKILL; what was in the memory of the process is gone, as after `kill -9`, and the next
worker finds the store as it was left. After the last round the whole server is killed and the store is checked from outside.
"""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from repository.tables import DocumentState
from repository.verify import StoreReport, check_store
from server import settings, wiring
from storage.crash import VARIABLE
from tests.durability.wire import FAILURE, SUCCESS, NoAnswer, Submission, Wire, sha1, submission
from tests.server_process import ServerProcess

CLIENTS = 3
#: Submissions of one client before it is said that the step is never reached.
PATIENCE = 40
#: What a submission holds: rows of the transaction, files, and both.
SHAPES = ((900,), (40_000,), (70_000,), (300_000,), (2_000, 90_000), (1_500_000, 500))
#: The answers of queries and retrievals pass `answer-before` too: so many that the deaths fall among submissions.
PASSAGE_OF_ANSWERS = 24
REGISTERED_ALREADY = "this very submission is registered already"


@dataclass(slots=True)
class Ledger:
    """What clients know: answered with Success, and sent without an answer."""

    acknowledged: list[Submission] = field(default_factory=list)
    unanswered: list[Submission] = field(default_factory=list)
    guard: threading.Lock = field(default_factory=threading.Lock, repr=False)


class Campaign:
    """One store through many deaths. `database` is a URL, or empty for SQLite in `data`."""

    def __init__(self, data: Path, database: str = "") -> None:
        self.data = data
        self.database = database
        self.shas: dict[str, bytes] = {}
        self._last = Ledger()
        self._random = random.Random(20)

    def kill_at(self, step: str, passage: int, rounds: int) -> None:
        """`rounds` deaths at the given passage of `step`, all promises checked after each of them."""
        server = self.server(f"{step}:{passage}")
        server.start(healthy=False)
        try:
            wire = Wire(server.repository, server.registry)
            for _ in range(rounds):
                self._verify(wire, self._last)
                self._until_death(server, wire, self._settle(wire, self._last.unanswered))
            wire.query(["1.2.3"])  # answered by the next worker: the last death has been noticed
        finally:
            server.kill()
        deaths = server.log().count("SIGKILL")
        assert deaths >= rounds, f"{deaths} of {rounds} deaths:\n{server.log()[-2000:]}"
        self.check()

    def finish(self) -> None:
        """A server that nobody kills: the last doubts are settled, and the store holds what was promised and nothing else."""
        with self.server() as server:
            wire = Wire(server.repository, server.registry)
            self._verify(wire, self._last)
            self._last = self._settle(wire, self._last.unanswered)
            assert not self._last.unanswered
            self._verify(wire, self._last)
        assert self.check().documents == len(self.shas)

    def server(self, crash_at: str = "") -> ServerProcess:
        """The server of this store, not started."""
        environ = {VARIABLE: crash_at, "CARNET_STORE_COLLECT_HOURS": "0", "CARNET_STORE_HEADROOM": "0"}
        return ServerProcess(self.data, "--patients", "open", environ=environ, database=self.database)

    # ------------------------------------------------------------------------------------------------------- one life

    def _until_death(self, server: ServerProcess, wire: Wire, ledger: Ledger) -> None:
        """Clients submit side by side until the worker dies. When a retry has met its death already, they need not."""
        if not ledger.unanswered:
            dead = threading.Event()
            shapes = [[self._random.choice(SHAPES) for _ in range(PATIENCE)] for _ in range(CLIENTS)]
            with ThreadPoolExecutor(CLIENTS) as clients:
                list(clients.map(lambda mine: _submit(wire, ledger, mine, dead), shapes))
            assert dead.is_set(), f"no worker has reached the step:\n{server.log()[-2000:]}"
        self.remember(ledger)

    def remember(self, ledger: Ledger) -> None:
        """From now on this is what the last clients know, and what the store is held against."""
        for sent in (*ledger.acknowledged, *ledger.unanswered):
            self.shas.update({key: hashlib.sha256(content).digest() for key, content in sent.documents.items()})
        self._last = ledger

    @staticmethod
    def _verify(wire: Wire, ledger: Ledger) -> None:
        """Every acknowledged document is found with its hash and size and comes back whole."""
        for some in _groups(ledger.acknowledged):
            documents = {key: content for sent in some for key, content in sent.documents.items()}
            found = wire.query(documents)
            assert {key: value[:2] for key, value in found.items()} == {
                key: (sha1(content), len(content)) for key, content in documents.items()
            }, "an acknowledged document is not found"
            repository = {value[2] for value in found.values()}.pop()
            reply, contents = wire.retrieve(repository, documents)
            assert reply.status == SUCCESS, reply
            assert contents == documents, "an acknowledged document is not whole"

    @staticmethod
    def _settle(wire: Wire, unanswered: Sequence[Submission]) -> Ledger:
        """Each submission without an answer is there whole and a retry says so, or is not there and a retry succeeds.

        A retry may itself be killed: it is without an answer again.
        """
        ledger = Ledger()
        for number, sent in enumerate(unanswered):
            there = seen(wire, sent)
            try:
                reply = wire.provide(sent)
            except NoAnswer:
                ledger.unanswered = list(unanswered[number:])
                return ledger
            if there:
                assert (reply.status, reply.codes) == (FAILURE, ["XDSDuplicateUniqueIdInRegistry"]), reply
                assert REGISTERED_ALREADY in reply.errors[0][1], reply
            else:
                assert reply.status == SUCCESS, reply
            ledger.acknowledged.append(sent)
        return ledger

    # --------------------------------------------------------------------------------------------------- from outside

    def check(self) -> StoreReport:
        """The store without a server: `check_store` is clean and everything promised is there under its hash."""
        options = {"store.data": str(self.data), "store.database": self.database or None}
        kit = wiring.open_kit(settings.load(options=options, environ={}))
        try:
            report = check_store(kit.store, kit.index, kit.registry)
            assert report.sound, report.findings
            open_ids = {key for sent in self._last.unanswered for key in sent.documents}
            promised = {key: sha for key, sha in self.shas.items() if key not in open_ids}
            stored = kit.index.find(promised)
            lost = [key for key, sha in promised.items() if key not in stored or stored[key].sha256 != sha]
            assert not lost, f"{len(lost)} of {len(promised)} acknowledged documents are lost: {lost[:5]}"
            assert {document.state for document in stored.values()} <= {DocumentState.REGISTERED}
            assert report.entries == report.documents
        finally:
            kit.close()
        return report


def _submit(wire: Wire, ledger: Ledger, shapes: Sequence[tuple[int, ...]], dead: threading.Event) -> None:
    """One client: submit until no answer comes, or another client has seen the death."""
    for shape in shapes:
        if dead.is_set():
            return
        sent = submission(*shape)
        try:
            reply = wire.provide(sent)
        except NoAnswer:
            dead.set()
            with ledger.guard:
                ledger.unanswered.append(sent)
            return
        assert reply.status == SUCCESS, reply
        with ledger.guard:
            ledger.acknowledged.append(sent)


def seen(wire: Wire, sent: Submission) -> bool:
    """Whether a submission is registered: with all its documents, whole, or with none of them."""
    found = wire.query(sent.documents)
    assert set(found) in (set(), set(sent.documents)), "a submission is half visible"
    own = _own(found) or _repository_of(wire)
    reply, contents = wire.retrieve(own, sent.documents)
    if found:
        assert contents == dict(sent.documents), reply
        return True
    assert (contents, set(reply.codes)) == ({}, {"XDSDocumentUniqueIdError"}), "a document is retrievable and not registered"
    return False


def _own(found: dict[str, tuple[str, int, str, str]]) -> str:
    return next((value[2] for value in found.values()), "")


def _repository_of(wire: Wire) -> str:
    """The repository's own id, which it tells whoever asks for another."""
    reply, _ = wire.retrieve("1.2.3", ["1.2.3"])
    assert reply.codes == ["XDSUnknownRepositoryId"], reply
    return reply.errors[0][1].partition("this repository is ")[2].split(" ")[0].rstrip(".;,")


def _groups(submissions: Sequence[Submission], size: int = 40) -> Iterator[Sequence[Submission]]:
    for start in range(0, len(submissions), size):
        yield submissions[start : start + size]
