"""The order of one ITI-41 as the kernel sees it: nothing is answered before it is durable, no row speaks of a file that is not.

staging write, fsync of the file, rename, fsync of the folder, commit of the database, answer: each begins after the one
before has returned. What the database's own server does with a commit is PostgreSQL's business; here ends what we can see.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import new_postgres_database
from tests.durability import syscalls
from tests.durability.syscalls import Syscall, in_order, only, some
from tests.durability.wire import SUCCESS, Submission, Wire, submission
from tests.server_process import ServerProcess

SMALL, LARGE = 3_000, 3_000_000
WRITES = ("write", "pwrite64", "writev")
FLUSHES = ("fsync", "fdatasync")

Traced = tuple[str, Path, dict[int, tuple[Submission, list[Syscall]]]]


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def traced(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    """One small and one large submission to a traced server that is warm: kind of database, data folder, calls by size."""
    folder = tmp_path_factory.mktemp("order")
    wrapper = syscalls.wrapper(folder / "trace")
    if request.param == "sqlite":
        yield _trace(folder, wrapper, "")
    else:
        with new_postgres_database() as url:
            yield _trace(folder, wrapper, url)


def _trace(folder: Path, wrapper: tuple[str, ...], database: str) -> Traced:
    server = ServerProcess(folder / "data", "--patients", "open", database=database, wrapper=wrapper)
    server.start()
    sent = {size: submission(size) for size in (SMALL, LARGE)}
    try:
        wire = Wire(server.repository, server.registry)
        for one in (submission(SMALL), submission(LARGE), *sent.values()):
            assert wire.provide(one).status == SUCCESS
    finally:
        server.kill()
    answered = list(syscalls.requests(syscalls.read(folder / "trace")))[-len(sent) :]
    kind = "postgresql" if database else "sqlite"
    return kind, folder / "data", {size: (sent[size], calls) for size, calls in zip(sent, answered, strict=True)}


def commit(kind: str, data: Path, calls: list[Syscall]) -> tuple[Syscall, Syscall]:
    """The first sign of the transaction, and the moment from which it is durable."""
    if kind == "sqlite":
        files = str(data / "carnet.sqlite")
        written, flushed = some(calls, *WRITES, "ftruncate", having=files), some(calls, *FLUSHES, having=files)
        assert written and flushed
        assert written[-1].before(flushed[-1]), "a page of the database was written and not flushed"
        return written[0], flushed[-1]
    begun = next(c for c in some(calls, "recvfrom", having="BEGIN"))
    return begun, only(calls, "recvfrom", having="COMMIT")


def test_a_small_document_is_committed_before_the_answer(traced: Traced) -> None:
    kind, data, requests = traced
    _, calls = requests[SMALL]
    _, committed = commit(kind, data, calls)
    assert in_order(committed, calls[-1])
    assert some(calls, "rename", "renameat", "renameat2", having="/blobs/") == [], "it travels in the transaction"


def test_a_large_document_is_durable_before_the_transaction_and_that_before_the_answer(traced: Traced) -> None:
    kind, data, requests = traced
    sent, calls = requests[LARGE]
    name = hashlib.sha256(next(iter(sent.documents.values()))).hexdigest()
    folder = data / "blobs" / name[:2] / name[2:4]
    renamed = only(calls, "rename", "renameat", "renameat2", having=f'"{folder / name}"')
    staging = renamed.arguments.split('"')[1]
    assert Path(staging).parent == data / "tmp", "on the same file system"
    written = some(calls, *WRITES, having=f"<{staging}>")
    assert sum(int(call.result) for call in written) == LARGE
    file_flushed = only(calls, *FLUSHES, having=f"<{staging}>")
    folder_flushed = [c for c in some(calls, "fsync", having=f"<{folder}>") if renamed.before(c)]
    begun, committed = commit(kind, data, calls)
    assert all(call.before(file_flushed) for call in written)
    assert in_order(file_flushed, renamed, folder_flushed[0], begun)
    assert in_order(folder_flushed[0], committed, calls[-1])


def test_new_folders_are_durable_before_the_transaction(traced: Traced) -> None:
    kind, data, requests = traced
    _, calls = requests[LARGE]
    begun, _ = commit(kind, data, calls)
    made = some(calls, "mkdir", having=str(data / "blobs"))
    for call in made:
        above = Path(call.arguments.split('"')[1]).parent
        flushed = [c for c in some(calls, "fsync", having=f"<{above}>") if call.before(c)]
        assert flushed and flushed[0].before(begun), f"{above} was not flushed"
    assert made, "a content of random name needs a folder of its own in a store as small as this one"
