"""Where parts wait: hashed on the way, in memory or in a file, gone when nobody takes them; errors of the disk come through."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soap.staging import FolderStaging, PartWriter


@given(chunks=st.lists(st.binary(max_size=50), max_size=20), memory=st.integers(-1, 200))
def test_content_and_hashes(chunks: list[bytes], memory: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp() / "parts"
    with PartWriter(FolderStaging(folder), memory, "a@x", "text/plain") as writer:
        for chunk in chunks:
            writer.write(chunk)
        part = writer.finish()
    content = b"".join(chunks)
    assert (part.content_id, part.content_type, part.size) == ("a@x", "text/plain", len(content))
    assert part.sha1 == hashlib.sha1(content, usedforsecurity=False).hexdigest()
    assert part.sha256 == hashlib.sha256(content).hexdigest()
    assert b"".join(part.chunks()) == content
    assert (part.path() is None) == (part.bytes() is not None)
    if content:
        assert (part.path() is None) == (len(content) <= memory)
    part.remove()
    part.remove()
    assert not list(folder.glob("*"))


def test_a_large_part_by_the_second_thread(tmp_path: Path) -> None:
    content = os.urandom(5_000_000)
    with PartWriter(FolderStaging(tmp_path), 100, "a", "") as writer:
        for start in range(0, len(content), 70_000):
            writer.write(memoryview(content)[start : start + 70_000])
        part = writer.finish()
    assert Path(part.path() or "").read_bytes() == content
    assert part.sha1 == hashlib.sha1(content, usedforsecurity=False).hexdigest()


def test_a_writer_that_is_not_finished_leaves_nothing(tmp_path: Path) -> None:
    for size in (10, 1000, 3_000_000):
        with pytest.raises(KeyError), PartWriter(FolderStaging(tmp_path), 100, "a", "") as writer:
            writer.write(bytes(size))
            raise KeyError
        assert not list(tmp_path.iterdir())


def test_a_file_that_was_renamed_away_is_not_removed(tmp_path: Path) -> None:
    with PartWriter(FolderStaging(tmp_path / "tmp"), 0, "a", "") as writer:
        writer.write(b"kept")
        part = writer.finish()
    (tmp_path / "kept").parent.mkdir(exist_ok=True)
    Path(part.path() or "").rename(tmp_path / "kept")
    part.remove()
    assert (tmp_path / "kept").read_bytes() == b"kept"


class Full:
    """A staging file on a disk that is full after `room` octets."""

    def __init__(self, folder: Path, room: int) -> None:
        self.path = str(folder / "file")
        self._file = Path(self.path).open("wb")  # noqa: SIM115 - closed by whoever was given it
        self._room = room

    def write(self, data: bytes | memoryview, /) -> int:
        self._room -= len(data)
        if self._room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self._file.write(data)

    def close(self) -> None:
        self._file.close()


class FullStaging:
    def __init__(self, folder: Path, room: int) -> None:
        self._folder, self._room = folder, room

    def create(self) -> Full:
        return Full(self._folder, self._room)


@pytest.mark.parametrize("room", [0, 500_000, 1_500_000, 3_900_000])
def test_a_full_disk_is_told_from_either_thread(room: int, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left"), PartWriter(FullStaging(tmp_path, room), 0, "a", "") as writer:
        for _ in range(40):
            writer.write(bytes(100_000))
        writer.finish()
    assert not list(tmp_path.iterdir())
