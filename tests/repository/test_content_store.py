"""The files of the store: order, atomicity, damage, and what happens when the disk does not play along."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from metadata.vocabulary import ErrorCode
from repository.content import CHUNK, ContentMismatch, FileStore, StoreOptions
from repository.refusals import StoreRefusal
from tests.durability.disk import remount, small_disk
from tests.repository.received import ROOMY, name_of, staged

LARGE = os.urandom(3 * CHUNK + 17)


def blob_of(store: FileStore, content: bytes) -> Path:
    name = name_of(content)
    return store.blobs / name[:2] / name[2:4] / name


def read(store: FileStore, content: bytes) -> bytes:
    return b"".join(store.chunks(name_of(content), len(content)))


def test_what_is_kept_comes_back_and_leaves_no_staging_file(store: FileStore) -> None:
    part = staged(store, LARGE)
    assert part.bytes() is None
    store.keep(part)
    assert read(store, LARGE) == LARGE
    assert list((store.root / "tmp").iterdir()) == []
    assert blob_of(store, LARGE).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK])
def test_chunks_at_the_seams(store: FileStore, size: int) -> None:
    content = os.urandom(size)
    store.keep(staged(store, content, memory=-1 if size else 0))
    assert read(store, content) == content
    assert all(len(chunk) <= CHUNK for chunk in store.chunks(name_of(content), size))


def test_a_document_in_memory_is_written_out(store: FileStore) -> None:
    part = staged(store, LARGE, memory=len(LARGE))
    assert part.path() is None
    store.keep(part)
    assert read(store, LARGE) == LARGE


def test_the_same_content_again_is_kept_once(store: FileStore) -> None:
    store.keep(staged(store, LARGE))
    os.utime(blob_of(store, LARGE), (1, 1))
    inode = blob_of(store, LARGE).stat().st_ino
    store.keep(staged(store, LARGE))
    assert blob_of(store, LARGE).stat().st_ino == inode
    assert blob_of(store, LARGE).stat().st_mtime > 1, "the collector must see that it is wanted again"
    assert list((store.root / "tmp").iterdir()) == []


def test_the_same_content_heals_a_damaged_one_and_keeps_the_evidence(store: FileStore) -> None:
    store.keep(staged(store, LARGE))
    flip(blob_of(store, LARGE))
    store.keep(staged(store, LARGE))
    assert read(store, LARGE) == LARGE
    assert [p.name.partition(".")[0] for p in store.quarantine.iterdir()] == [name_of(LARGE)]
    assert store.alarms.counts["damaged"] == 1


def test_many_threads_keep_the_same_content(store: FileStore) -> None:
    parts = [staged(store, LARGE) for _ in range(8)]
    failures: list[BaseException] = []

    def keep(part: object) -> None:
        try:
            store.keep(part)  # type: ignore[arg-type]
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=keep, args=(part,)) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert read(store, LARGE) == LARGE


@pytest.mark.parametrize("name", ["../../../../etc/passwd", "A" * 64, "a" * 63, "a" * 65, "", "/" * 64, "a" * 64 + "\n"])
def test_only_our_own_names_become_paths(store: FileStore, name: str) -> None:
    with pytest.raises(ValueError, match="SHA-256"):
        list(store.chunks(name, 1))


def test_a_symbolic_link_is_not_followed(store: FileStore, tmp_path: Path) -> None:
    target = blob_of(store, LARGE)
    target.parent.mkdir(parents=True)
    (tmp_path / "elsewhere").write_bytes(LARGE)
    target.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ContentMismatch):
        read(store, LARGE)


# ------------------------------------------------------------------------------------------------------------------ damage


def flip(path: Path, at: int = -1) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "first bit": lambda path: flip(path, 0),
    "last bit": lambda path: flip(path, -1),
    "truncated": lambda path: os.truncate(path, len(LARGE) - 1),
    "longer": lambda path: os.truncate(path, len(LARGE) + 1),
    "empty": lambda path: os.truncate(path, 0),
    "deleted": lambda path: path.unlink(),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_content_never_comes_back_whole(store: FileStore, damage: str) -> None:
    store.keep(staged(store, LARGE))
    DAMAGE[damage](blob_of(store, LARGE))
    delivered = b""
    with pytest.raises(ContentMismatch):
        for chunk in store.chunks(name_of(LARGE), len(LARGE)):
            delivered += chunk
    assert len(delivered) < len(LARGE)
    with pytest.raises(ContentMismatch):
        store.check(name_of(LARGE), len(LARGE), whole=True)
    assert store.alarms.counts["damaged"] == 2


def test_a_content_changed_between_check_and_delivery(store: FileStore) -> None:
    store.keep(staged(store, LARGE))
    checked = store.check(name_of(LARGE), len(LARGE), whole=True)
    flip(blob_of(store, LARGE))
    with pytest.raises(ContentMismatch):
        next(store.chunks(name_of(LARGE), len(LARGE), checked))


# -------------------------------------------------------------------------------------------------------- unwilling disks


def codes(refused: pytest.ExceptionInfo[StoreRefusal]) -> list[ErrorCode]:
    return [finding.code for finding in refused.value.findings]


def test_a_full_disk_is_refused_and_forgotten(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 4):
        store = FileStore(tmp_path / "disk", ROOMY)
        filler = tmp_path / "disk" / "filler"
        filler.write_bytes(b"x" * (3 * 1024 * 1024))
        with pytest.raises(OSError) as full:
            staged(store, os.urandom(2 * 1024 * 1024))
        assert full.value.errno == errno.ENOSPC
        for left in store.strays(float("inf")):
            left.unlink()
        with pytest.raises(StoreRefusal) as refused:  # from memory, the store writes it itself
            store.keep(staged(store, os.urandom(2 * 1024 * 1024), memory=4 * 1024 * 1024))
        assert codes(refused) == [ErrorCode.XDSRepositoryOutOfResources]
        assert list(store.strays(float("inf"))) == []
        assert list(store.blobs.rglob("*")) == []
        filler.unlink()
        store.keep(staged(store, LARGE))
        assert read(store, LARGE) == LARGE


def test_the_headroom_is_kept_free(tmp_path: Path) -> None:
    free = os.statvfs(tmp_path)
    store = FileStore(tmp_path / "data", StoreOptions(headroom=free.f_blocks * free.f_frsize + 1))
    with pytest.raises(StoreRefusal) as refused:
        store.staging.create()
    assert codes(refused) == [ErrorCode.XDSRepositoryOutOfResources]
    assert list((tmp_path / "data" / "tmp").iterdir()) == []


def test_a_read_only_store_is_refused_and_recovers(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 8):
        store = FileStore(tmp_path / "disk", ROOMY)
        part = staged(store, LARGE)
        remount(tmp_path / "disk", "ro")
        with pytest.raises(StoreRefusal) as refused:
            store.keep(part)
        assert codes(refused) == [ErrorCode.XDSRepositoryError]
        assert str(tmp_path) not in str(refused.value)
        with pytest.raises(OSError):
            store.staging.create()
        remount(tmp_path / "disk", "rw")
        store.keep(staged(store, LARGE))
        assert read(store, LARGE) == LARGE


def test_a_failed_flush_of_the_file_is_final(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    part = staged(store, LARGE)
    real, failing = os.fsync, iter([True])

    def fsync(descriptor: int) -> None:
        if next(failing, False):
            raise OSError(errno.EIO, "Input/output error")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(StoreRefusal) as refused:
        store.keep(part)
    assert codes(refused) == [ErrorCode.XDSRepositoryError]
    assert list((store.root / "tmp").iterdir()) == [], "its pages may be gone: nobody may flush it again"
    assert store.stat(part.sha256) is None
    assert store.alarms.counts["store"] == 1


def test_a_failed_flush_of_the_folder_is_not_trusted_later(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.keep(staged(store, LARGE[:CHUNK] + b"warm the folders"))
    real, descriptors = os.fsync, []

    def fsync(descriptor: int) -> None:
        descriptors.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        if descriptors[-1] == str(blob_of(store, LARGE).parent):
            raise OSError(errno.EIO, "Input/output error")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(StoreRefusal):
        store.keep(staged(store, LARGE))
    before = blob_of(store, LARGE).stat().st_ino
    monkeypatch.undo()
    again = staged(store, LARGE)
    fresh = Path(again.path() or "").stat().st_ino
    store.keep(again)
    assert blob_of(store, LARGE).stat().st_ino == fresh != before


def test_a_staging_file_that_lost_bytes_is_not_kept(store: FileStore) -> None:
    part = staged(store, LARGE)
    os.truncate(part.path() or "", 100)
    with pytest.raises(StoreRefusal):
        store.keep(part)
    assert store.stat(part.sha256) is None
