"""Where the bytes of large documents are: files named by their own SHA-256.

    <data>/tmp/            documents that are arriving, under random names
    <data>/blobs/ab/cd/    abcd...: finished ones, written once, never changed
    <data>/quarantine/     what was found damaged or belonged to no document

A document arrives in `tmp`, on the same file system; `keep` makes it durable in this order, each step after the one before
has returned: fsync of the file, rename, fsync of the folder (and of each folder above that may be new). Only then may a
database row speak of it. An fsync that fails is final: Linux has dropped the pages, a second fsync would succeed and lie.
Every name is made here from hex digits; no text of a message ever becomes part of a path.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import io
import logging
import os
import re
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from repository import refusals
from soap.call import StagedPart
from storage.crash import crash_point

LOG = logging.getLogger("carnet.repository")

#: Bytes read or written at once: below 64 kB the calls cost, far above it the memory does.
CHUNK = 256 * 1024

#: Size, inode and time of a file that was read and agreed: what tells whether it is still the same when it is sent.
Checked = tuple[int, int, int]

_NAME = re.compile(r"[0-9a-f]{64}")
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class ContentMismatch(Exception):
    """The stored bytes are not those that were received (or are gone). Raised before the last of them could be handed on."""


class Alarms:
    """What an operator must hear at once. Logged, counted by kind, and handed to `listener` (the metrics, a pager)."""

    def __init__(self, listener: Callable[[str], None] | None = None) -> None:
        self.counts: Counter[str] = Counter()
        self._listener = listener

    def sound(self, kind: str, message: str) -> None:
        """`kind` is one word for the metrics (`damaged`, `fsync`), `message` one line without patient data."""
        self.counts[kind] += 1
        LOG.critical("alarm %s: %s", kind, message)
        if self._listener is not None:
            self._listener(kind)


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """`inline_limit`: documents up to this many bytes become database rows. `headroom`: bytes of the disk left free."""

    inline_limit: int = 64 * 1024
    headroom: int = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class StoredContent:
    """One finished content as the walk meets it. `modified` is seconds since 1970."""

    sha256: str
    size: int
    modified: float


class ContentStore(Protocol):
    """The door of the large documents: files here (`FileStore`); an object store would stand behind the same door.

    Names are SHA-256 in lower-case hex. Every method may raise `StoreRefusal`.
    """

    alarms: Alarms
    options: StoreOptions

    def admit(self, size: int) -> None:
        """Refuse when `size` more bytes would eat into the headroom."""

    def keep(self, staged: StagedPart) -> None:
        """Make a received document durable under its SHA-256. Nothing to do when it is kept already."""

    def lock(self, exclusive: bool) -> AbstractContextManager[None]:
        """Held shared from `keep` until the rows are committed, so that no removal gives the content up in between."""

    def stat(self, sha256: str) -> StoredContent | None:
        """What is stored under this name, None when nothing is."""

    def check(self, sha256: str, size: int, whole: bool) -> Checked | None:
        """Is this content there, with this size, and (`whole`) with this hash? Raises `ContentMismatch`.

        What was read whole is told to `chunks`, which then need not hash it again.
        """

    def chunks(self, sha256: str, size: int, checked: Checked | None = None) -> Iterator[bytes]:
        """The content. Unless it was `checked`, its hash is taken on the way and the last chunk is held back until it agrees."""


class StagingFile:
    """A file for one arriving document. `write` takes the whole chunk or raises OSError, as a disk filling up may take a part."""

    __slots__ = ("_file", "path")

    def __init__(self, file: io.FileIO, path: str) -> None:
        self._file = file
        self.path = path

    def write(self, data: bytes | memoryview, /) -> int:
        """Bytes written: all of them."""
        written = self._file.write(data)
        while written < len(data):
            written += self._file.write(memoryview(data)[written:])
        return written

    def close(self) -> None:
        """Its data stay with the operating system until `FileStore.keep` makes them durable."""
        self._file.close()


class Staging:
    """Files for documents that are arriving. What is left here longer than a day is nobody's (`collector.py`)."""

    def __init__(self, folder: Path, admit: Callable[[int], None]) -> None:
        self._folder = folder
        self._admit = admit

    def create(self) -> StagingFile:
        """A new empty file. Raises `StoreRefusal` when there is no room, OSError when the folder cannot be written."""
        self._admit(0)
        path = str(self._folder / secrets.token_hex(16))
        file = io.FileIO(path, "x", opener=lambda name, _: os.open(name, _NEW, 0o600))
        crash_point("staging-opened")
        return StagingFile(file, path)


class FileStore:
    """The content store on a local file system, under `root`. Safe for threads and for several processes."""

    def __init__(self, root: str | os.PathLike[str], options: StoreOptions | None = None, alarms: Alarms | None = None) -> None:
        self.options = options or StoreOptions()
        self.alarms = alarms or Alarms()
        self.root = Path(root)
        self.blobs = self.root / "blobs"
        self.quarantine = self.root / "quarantine"
        self._lock = self.root / "lock"
        self._flushed: set[Path] = set()
        self._distrusted: set[str] = set()
        self._guard = threading.Lock()
        for folder in (self.root / "tmp", self.blobs, self.quarantine):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock.touch(mode=0o600)
        _fsync_folder(self.root)
        self.staging = Staging(self.root / "tmp", self.admit)

    # ------------------------------------------------------------------------------------------------------------ writing

    def admit(self, size: int) -> None:
        """Refuse before the disk is full: a database that meets ENOSPC costs more than a submission that waits."""
        state = os.statvfs(self.root)
        if state.f_bavail * state.f_frsize - size < self.options.headroom:
            raise refusals.StoreRefusal([refusals.full("the document store has no room left above its headroom")])

    def keep(self, staged: StagedPart) -> None:
        """See `ContentStore.keep`; the order of the steps is at the head of this file."""
        name = staged.sha256
        received = staged.path()
        path: Path | None = None
        try:
            path = Path(received or self._write_out(staged))
            crash_point("staging-written")
            self._flush_file(path, staged.size)
            crash_point("staging-synced")
            with self.lock(exclusive=False):
                self._place(path, name, staged.size)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                self.alarms.sound("store", f"a document could not be kept: {error.strerror}")
            raise refusals.of_os_error(error, "a document was kept") from error
        finally:
            if received is None and path is not None:
                path.unlink(missing_ok=True)

    def _write_out(self, staged: StagedPart) -> str:
        """A document that arrived in memory (inline base64) but is too large for a row."""
        file = self.staging.create()
        try:
            for chunk in staged.chunks():
                file.write(chunk)
        except BaseException:
            Path(file.path).unlink(missing_ok=True)
            raise
        finally:
            file.close()
        return file.path

    def _flush_file(self, path: Path, size: int) -> None:
        descriptor = os.open(path, _READ)
        try:
            if os.fstat(descriptor).st_size != size:
                raise OSError(errno.EIO, "staging file is shorter or longer than what was received")
            os.fsync(descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                path.unlink()
            raise
        finally:
            os.close(descriptor)

    def _place(self, path: Path, name: str, size: int) -> None:
        target = self._path(name)
        self._make_folder(target.parent)
        if name not in self._distrusted and self._is_kept(target, name, size):
            path.unlink()
        else:
            path.rename(target)
            crash_point("blob-renamed")
        with self._guard:
            self._distrusted.add(name)  # until the folder's flush has told that the name is durable
        _fsync_folder(target.parent)
        with self._guard:
            self._distrusted.discard(name)
        crash_point("blob-folder-synced")

    def _is_kept(self, target: Path, name: str, size: int) -> bool:
        """True when the same content is there, whole; it is then marked young for the collector. A damaged one is set aside."""
        try:
            if target.lstat().st_size == size and self._digest(target) == name:
                os.utime(target)
                return True
        except FileNotFoundError:
            return False
        self.alarms.sound("damaged", f"stored content {name} was damaged; set aside, and replaced by the same bytes sent again")
        self.set_aside(name, time.time())
        return False

    def _make_folder(self, folder: Path) -> None:
        """Make `folder` and its parent durable. Another process may have made them a moment ago without having flushed them
        yet, so the first time this process meets a folder it flushes the one above, whoever made it."""
        if folder in self._flushed:
            return
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _fsync_folder(folder.parent)
        _fsync_folder(self.blobs)
        with self._guard:
            self._flushed.add(folder)

    # ------------------------------------------------------------------------------------------------------------ reading

    def check(self, sha256: str, size: int, whole: bool) -> Checked | None:
        """See `ContentStore.check`."""
        with self._open(sha256) as file:
            if _identity(file)[0] != size or (whole and hashlib.file_digest(file, "sha256").hexdigest() != sha256):
                raise self._mismatch(sha256)
            return _identity(file) if whole else None

    def chunks(self, sha256: str, size: int, checked: Checked | None = None) -> Iterator[bytes]:
        """See `ContentStore.chunks`. The file is opened at the first chunk, not before."""
        with self._open(sha256) as file:
            if _identity(file)[0] != size or (checked is not None and checked != _identity(file)):
                raise self._mismatch(sha256)
            digest = hashlib.sha256() if checked is None else None
            left = size
            while left:
                chunk = file.read(min(CHUNK, left))
                left -= len(chunk)
                if digest is not None:
                    digest.update(chunk)
                if not chunk or (digest is not None and not left and digest.hexdigest() != sha256):
                    raise self._mismatch(sha256)
                yield chunk

    def _open(self, sha256: str) -> io.FileIO:
        try:
            return _open(self._path(sha256))
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR):
                raise self._mismatch(sha256, "is missing") from error
            raise refusals.of_os_error(error, "a document was read") from error

    def _mismatch(self, sha256: str, what: str = "does not agree with its hash or size") -> ContentMismatch:
        self.alarms.sound("damaged", f"stored content {sha256} {what}; it was not delivered")
        return ContentMismatch(f"stored content {sha256} {what}")

    def _digest(self, path: Path) -> str:
        with _open(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    # ----------------------------------------------------------------------------------------------- checking and collecting

    def digest(self, sha256: str) -> str:
        """The hash that a content really has, read from the disk; empty when it cannot be read."""
        try:
            return self._digest(self._path(sha256))
        except OSError:
            return ""

    def stat(self, sha256: str) -> StoredContent | None:
        """What is stored under this name, None when nothing is."""
        try:
            state = self._path(sha256).lstat()
        except FileNotFoundError:
            return None
        return StoredContent(sha256, state.st_size, state.st_mtime)

    def folders(self) -> Iterator[list[StoredContent]]:
        """Every finished content, by outermost folder (at most 256 lists)."""
        for outer in _entries(self.blobs):
            yield [
                StoredContent(entry.name, state.st_size, state.st_mtime)
                for inner in _entries(outer.path)
                for entry in _entries(inner.path)
                for state in (entry.stat(follow_symlinks=False),)
            ]

    def strays(self, before: float) -> Iterator[Path]:
        """Staging files last written before that time: their request has long ended."""
        for entry in _entries(self.root / "tmp"):
            if entry.stat(follow_symlinks=False).st_mtime < before:
                yield Path(entry.path)

    def quarantined(self, before: float) -> Iterator[Path]:
        """What was set aside before that time; the time stands in the name, for a rename keeps that of the file."""
        for entry in _entries(self.quarantine):
            if int(entry.name.rpartition(".")[2]) < before:
                yield Path(entry.path)

    def set_aside(self, sha256: str, now: float) -> None:
        """Move a content to the quarantine. The caller holds the lock: shared to replace it, exclusive to give it up."""
        source = self._path(sha256)
        source.rename(self.quarantine / f"{sha256}.{int(now)}")
        _fsync_folder(self.quarantine)
        _fsync_folder(source.parent)

    def delete(self, sha256: str) -> int:
        """Delete a content, and what was set aside under its name, for good; how many files went. The caller holds the lock."""
        own = self._path(sha256)
        stale = [Path(entry.path) for entry in _entries(self.quarantine) if entry.name.startswith(sha256)]
        gone = 0
        for path in (own, *stale):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
                gone += 1
                _fsync_folder(path.parent)
        return gone

    @contextlib.contextmanager
    def try_lock(self, seconds: float) -> Iterator[bool]:
        """The exclusive lock, waited for no longer than that: who keeps documents holds it shared until they are registered."""
        descriptor = os.open(self._lock, os.O_RDONLY | os.O_CLOEXEC)
        end = time.monotonic() + seconds
        held = False
        try:
            while not held:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    held = True
                except BlockingIOError:
                    if time.monotonic() >= end:
                        break
                    time.sleep(0.02)
            yield held
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def lock(self, exclusive: bool) -> Iterator[None]:
        """Between the one who keeps a content (shared) and the one who gives contents up (exclusive), over all processes."""
        descriptor = os.open(self._lock, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
            yield
        finally:
            os.close(descriptor)

    def _path(self, sha256: str) -> Path:
        if not _NAME.fullmatch(sha256):
            raise ValueError("a content is named by its SHA-256 in lower-case hex")
        return self.blobs / sha256[:2] / sha256[2:4] / sha256


def _identity(file: io.FileIO) -> Checked:
    state = os.fstat(file.fileno())
    return state.st_size, state.st_ino, state.st_mtime_ns


def _open(path: Path) -> io.FileIO:
    """For reading, never through a symbolic link."""
    return io.FileIO(str(path), "rb", opener=lambda name, _: os.open(name, _READ))


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, _FOLDER)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _entries(folder: Path | str) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)
