"""Repository and registry in two processes, and what becomes of a document when one of them dies or falls silent between them.

The repository may hold a document of which the registry knows nothing (it is pending, and given up in time); the registry may
never know a document that the repository does not deliver.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

from repository.collector import Collected, CollectorOptions, collect
from repository.tables import DocumentState
from repository.verify import Defect, check_store
from server import settings, wiring
from storage.crash import VARIABLE
from tests.durability.campaign import REGISTERED_ALREADY
from tests.durability.wire import FAILURE, SUCCESS, NoAnswer, Submission, Wire, sha1, submission
from tests.ports import free_port
from tests.server_process import ServerProcess

SIZES = (1_000, 100_000)


class Pair:
    """One repository and one registry, each with a store of its own; either may be stopped and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._port = str(free_port())
        self.registry = self._new_registry().start()
        self.registry_url = self.registry.registry
        self.repository = self._new_repository().start()
        self.harmed: set[str] = set()  # those that run with an order to die

    def _new_repository(self, **environ: str) -> ServerProcess:
        arguments = ("--role", "repository", "--registry", self.registry_url)
        return ServerProcess(self.folder / "repository", *arguments, environ=environ)

    def _new_registry(self, **environ: str) -> ServerProcess:
        arguments = ("--role", "registry", "--patients", "open", "--port", self._port)
        return ServerProcess(self.folder / "registry", *arguments, environ=environ)

    def restart_repository(self, **environ: str) -> None:
        self.harmed.discard("repository")
        if environ:
            self.harmed.add("repository")
        if self.repository.alive:
            self.repository.kill()
        self.repository = self._new_repository(**environ).start(healthy=False)

    def restart_registry(self, **environ: str) -> None:
        """On the address that the repository knows."""
        self.harmed.discard("registry")
        if environ:
            self.harmed.add("registry")
        if self.registry.alive:
            self.registry.kill()
        self.registry = self._new_registry(**environ).start(healthy=False)

    @property
    def wire(self) -> Wire:
        return Wire(self.repository.repository, self.registry_url)

    def kit(self) -> wiring.Kit:
        """The repository's store as its own collector sees it."""
        options = {"store.data": str(self.folder / "repository"), "role.role": "repository"}
        options["role.registry_url"] = self.registry_url
        return wiring.open_kit(settings.load(options=options, environ={}))

    @functools.cached_property
    def own_id(self) -> str:
        """The repositoryUniqueId."""
        kit = self.kit()
        try:
            return kit.repository_unique_id
        finally:
            kit.close()

    def states(self, sent: Submission) -> list[DocumentState]:
        """Of those documents that the repository holds; first the store is checked, as `check-store` does."""
        kit = self.kit()
        try:
            report = check_store(kit.store, kit.index, kit.registry)
            assert report.sound, report.findings
            states = [document.state for document in kit.index.find(sent.documents).values()]
            assert report.counts[Defect.PENDING] >= states.count(DocumentState.PENDING)
            return states
        finally:
            kit.close()

    def collect(self, options: CollectorOptions) -> Collected:
        kit = self.kit()
        try:
            return collect(kit.store, kit.index, kit.registry, options)
        finally:
            kit.close()

    def close(self) -> None:
        for server in (self.repository, self.registry):
            if server.alive:
                server.kill()


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    pair = Pair(tmp_path_factory.mktemp("apart"))
    try:
        yield pair
    finally:
        pair.close()


@pytest.fixture
def pair(stores: Pair) -> Iterator[Pair]:
    """Both servers as they should be, after whatever the test did to them."""
    yield stores
    if "registry" in stores.harmed or not stores.registry.alive:
        stores.restart_registry()
    if "repository" in stores.harmed or not stores.repository.alive:
        stores.restart_repository()


def whole(pair: Pair, sent: Submission) -> bool:
    """Whether the registry knows the submission; then the repository must deliver all of it."""
    found = pair.wire.query(sent.documents)
    assert set(found) in (set(), set(sent.documents)), "a submission is half visible"
    if not found:
        return False
    assert {key: value[:3] for key, value in found.items()} == {
        key: (sha1(content), len(content), pair.own_id) for key, content in sent.documents.items()
    }
    reply, contents = pair.wire.retrieve(pair.own_id, sent.documents)
    assert contents == sent.documents, reply
    return True


def test_a_submission_travels(pair: Pair) -> None:
    sent = submission(*SIZES)
    assert pair.wire.provide(sent).status == SUCCESS
    assert whole(pair, sent)
    assert pair.states(sent) == [DocumentState.REGISTERED] * 2


def test_what_the_registry_refuses_is_not_kept(pair: Pair) -> None:
    """Its findings are answered as they came, and the documents are taken back."""
    sent = submission(*SIZES)
    broken = Submission(sent.documents, sent.metadata.replace(b"languageCode", b"languageCodes"))
    reply = pair.wire.provide(broken)
    assert reply.status == FAILURE
    assert set(reply.codes) == {"XDSRegistryMetadataError"}
    assert any("languageCode" in text for _, text in reply.errors), reply
    assert pair.states(sent) == []
    assert pair.wire.provide(sent).status == SUCCESS
    assert whole(pair, sent)


def test_the_registry_is_down_and_comes_back(pair: Pair) -> None:
    sent = submission(*SIZES)
    pair.registry.kill()
    reply = pair.wire.provide(sent)
    assert (reply.status, reply.codes) == (FAILURE, ["XDSRegistryNotAvailable"])
    pair.restart_registry()
    assert pair.states(sent) == [], "it cannot have accepted what it has not seen"
    assert not whole(pair, sent)
    assert pair.wire.provide(sent).status == SUCCESS
    assert whole(pair, sent)
    assert pair.states(sent) == [DocumentState.REGISTERED] * 2


#: Where the repository dies: step, passage, and whether the registry has accepted by then. It commits twice for a submission:
#: to announce the documents, and to confirm them.
DEATHS = {
    "while it keeps a document": ("blob-renamed", 1, False),
    "before it announces": ("commit-before", 1, False),
    "before it asks the registry": ("commit-after", 1, False),
    "before it confirms": ("commit-before", 2, True),
    "after it has confirmed": ("commit-after", 2, True),
    "before it answers": ("answer-before", 1, True),
}


@pytest.mark.parametrize("moment", DEATHS)
def test_the_repository_dies(pair: Pair, moment: str) -> None:
    step, passage, accepted = DEATHS[moment]
    sent = submission(*SIZES)
    pair.restart_repository(**{VARIABLE: f"{step}:{passage}"})
    with pytest.raises(NoAnswer):
        pair.wire.provide(sent)
    pair.restart_repository()
    assert whole(pair, sent) is accepted
    retried(pair, sent, accepted)


def test_the_registry_dies_after_its_commit(pair: Pair) -> None:
    """Its answer is lost on the way: the repository cannot know, and the retry is told what happened."""
    sent = submission(*SIZES)
    pair.restart_registry(**{VARIABLE: "commit-after:1"})
    reply = pair.wire.provide(sent)
    assert (reply.status, reply.codes) == (FAILURE, ["XDSRegistryNotAvailable"])
    assert whole(pair, sent)
    assert pair.states(sent) == [DocumentState.PENDING] * 2
    retried(pair, sent, accepted=True)


def retried(pair: Pair, sent: Submission, accepted: bool) -> None:
    """The same submission again: Success, or the word that it is registered. Either way it is settled on both sides."""
    reply = pair.wire.provide(sent)
    if accepted:
        assert (reply.status, reply.codes) == (FAILURE, ["XDSDuplicateUniqueIdInRegistry"]), reply
        assert REGISTERED_ALREADY in reply.errors[0][1], reply
    else:
        assert reply.status == SUCCESS, reply
    assert whole(pair, sent)
    assert pair.states(sent) == [DocumentState.REGISTERED] * 2


def test_nobody_retries_and_the_collector_asks(pair: Pair) -> None:
    """One answer lost before the registry's commit, one after it: it takes the first away and settles the second."""
    refused, kept = submission(*SIZES), submission(*SIZES)
    for sent, step in ((refused, "commit-before"), (kept, "commit-after")):
        pair.restart_registry(**{VARIABLE: f"{step}:1"})
        assert pair.wire.provide(sent).codes == ["XDSRegistryNotAvailable"]
    pair.restart_registry()
    assert pair.states(refused) == pair.states(kept) == [DocumentState.PENDING] * 2
    done = pair.collect(CollectorOptions(pending_age=-1))
    assert done.pending == 2
    assert pair.states(refused) == []
    assert pair.states(kept) == [DocumentState.REGISTERED] * 2
    assert whole(pair, kept)
    assert not whole(pair, refused)
