"""Where received content waits until a handler takes it: small in memory, large in a staging file, hashed on the way.

SHA-1 is the `hash` of XDS metadata, SHA-256 the store's own key. A part over one megabyte is hashed with SHA-1 and written by
a second thread while this one receives and computes SHA-256: hashing releases the interpreter lock, so both run at once.
"""

from __future__ import annotations

import builtins
import hashlib
import os
import queue
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol

CHUNK = 256 * 1024
_SECOND_THREAD_FROM = 1024 * 1024
_WAITING_CHUNKS = 4


class StagingFile(Protocol):
    """A file open for writing, and where it is."""

    @property
    def path(self) -> str: ...

    def write(self, data: bytes | memoryview, /) -> int | None: ...

    def close(self) -> None: ...


class Staging(Protocol):
    """Makes staging files; the repository's store gives one whose files can be renamed into place."""

    def create(self) -> StagingFile: ...


class _File:
    """A staging file of `FolderStaging`."""

    __slots__ = ("_file", "path")

    def __init__(self, file: BinaryIO, path: str) -> None:
        self._file = file
        self.path = path

    def write(self, data: bytes | memoryview, /) -> int | None:
        """All of `data`: an unbuffered file may take less at a time."""
        rest = memoryview(data)
        while len(rest) > 0:
            rest = rest[self._file.write(rest) :]
        return len(data)

    def close(self) -> None:
        self._file.close()


class FolderStaging:
    """Staging files in one folder, made when it is absent. Raises OSError when the folder cannot be written."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder)

    def create(self) -> StagingFile:
        self._folder.mkdir(parents=True, exist_ok=True)
        descriptor, path = tempfile.mkstemp(prefix="part-", dir=self._folder)
        return _File(os.fdopen(descriptor, "wb", buffering=0), path)


class Part:
    """A received part, complete: `soap.call.StagedPart`."""

    __slots__ = ("_content", "_path", "content_id", "content_type", "sha1", "sha256", "size")

    def __init__(
        self, content_id: str, content_type: str, size: int, sha1: str, sha256: str, content: bytes | None, path: str | None
    ) -> None:
        self.content_id = content_id
        self.content_type = content_type
        self.size = size
        self.sha1 = sha1
        self.sha256 = sha256
        self._content = content
        self._path = path

    def bytes(self) -> builtins.bytes | None:
        return self._content

    def path(self) -> str | None:
        return self._path

    def chunks(self) -> Iterator[builtins.bytes]:
        if self._content is not None:
            yield self._content
        elif self._path is not None:
            with open(self._path, "rb", buffering=0) as file:
                while chunk := file.read(CHUNK):
                    yield chunk

    def remove(self) -> None:
        """Deletes the staging file unless somebody has renamed it away."""
        if self._path is not None:
            with suppress(FileNotFoundError):
                Path(self._path).unlink()


class _SecondThread:
    """Writes and hashes chunks behind the receiver's back, at most `_WAITING_CHUNKS` behind."""

    def __init__(self, file: StagingFile, sha1: hashlib._Hash) -> None:
        self._sha1 = sha1
        self._file = file
        self._error: OSError | None = None
        self._queue: queue.Queue[bytes | memoryview | None] = queue.Queue(_WAITING_CHUNKS)
        self._thread = threading.Thread(target=self._run, name="staging", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while (chunk := self._queue.get()) is not None:
            if self._error is None:
                try:
                    self._sha1.update(chunk)
                    self._file.write(chunk)
                except OSError as error:
                    self._error = error

    def put(self, chunk: bytes | memoryview) -> None:
        if self._error is not None:
            raise self._error
        self._queue.put(chunk)

    def join(self) -> None:
        self._queue.put(None)
        self._thread.join()

    def finish(self) -> None:
        self.join()
        if self._error is not None:
            raise self._error


class PartWriter:
    """Takes the content of one part in chunks. `finish` gives the `Part`; without it `close` leaves nothing behind.

    Raises OSError when the staging file cannot be written.
    """

    def __init__(self, staging: Staging, memory: int, content_id: str, content_type: str) -> None:
        self.content_id = content_id
        self.content_type = content_type
        self.size = 0
        self._staging = staging
        self._memory = memory
        self._held: list[bytes] = []
        self._sha256 = hashlib.sha256()
        self._sha1 = hashlib.sha1(usedforsecurity=False)
        self._file: StagingFile | None = None
        self._second: _SecondThread | None = None
        self._kept = False

    def write(self, chunk: bytes | memoryview) -> None:
        """`chunk` must not change afterwards: a second thread may still read it."""
        self.size += len(chunk)
        if self._file is None:
            if self.size <= self._memory:
                self._held.append(bytes(chunk))
                return
            self._file = self._staging.create()
            for held in self._held:
                self._pass_on(held)
            self._held.clear()
        self._pass_on(chunk)

    def _pass_on(self, chunk: bytes | memoryview) -> None:
        assert self._file is not None
        self._sha256.update(chunk)
        if self._second is None and self.size > _SECOND_THREAD_FROM:
            self._second = _SecondThread(self._file, self._sha1)
        if self._second is not None:
            self._second.put(chunk)
            return
        self._sha1.update(chunk)
        self._file.write(chunk)

    def finish(self) -> Part:
        """The part, its file closed (its data with the operating system; flushing to disk is the store's business)."""
        content: bytes | None = None
        path: str | None = None
        if self._file is None:
            content = b"".join(self._held)
            self._held.clear()
            self._sha256.update(content)
            self._sha1.update(content)
        else:
            if self._second is not None:
                self._second.finish()
                self._second = None
            self._file.close()
            path = self._file.path
        self._kept = True
        return Part(
            self.content_id, self.content_type, self.size, self._sha1.hexdigest(), self._sha256.hexdigest(), content, path
        )

    def close(self) -> None:
        """Ends the second thread and, unless `finish` succeeded, deletes the file."""
        if self._kept:
            return
        if self._second is not None:
            self._second.join()
            self._second = None
        if self._file is not None:
            self._file.close()
            with suppress(FileNotFoundError):
                Path(self._file.path).unlink()

    def __enter__(self) -> PartWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
