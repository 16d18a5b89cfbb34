"""Is the audit trail whole? The key, the anchors, and the check that names each record that is not as it was written.

An anchor is a line of the file `audit-anchors` beside the store: the ends of all lanes at one moment, sealed by the key to the
line before it. A copy of that file elsewhere proves the trail up to its last line even against somebody who has the key.
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from security.audit import End, is_moment
from security.audit_message import instant
from security.audit_store import AuditStore, Kind, Place, seal
from storage.errors import StorageError

KEY_BYTES = 32
KEY_FILE = "audit-key"
ANCHOR_FILE = "audit-anchors"
#: More than the longest line of the file.
_TAIL = 64 * 1024


class AuditKeyError(StorageError):
    """The key cannot be used; the text names the file, what is wrong and what to do."""


def make_key(path: Path) -> None:
    """A new key, readable by this user only, unless there is one. OSError when it cannot be written."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_hex(KEY_BYTES) + "\n")
        file.flush()
        os.fsync(file.fileno())
    _sync_folder(path.parent)


def read_key(path: Path) -> bytes:
    """The key. Raises AuditKeyError when it is missing, readable by others, or not 64 hexadecimal digits."""
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="ascii").strip()
        key = bytes.fromhex(text)
    except OSError as error:
        remedy = "bring it back from a backup"
        raise AuditKeyError(f"{path}: the key of the audit trail cannot be read: {error.strerror}; {remedy}") from None
    except ValueError:
        raise AuditKeyError(f"{path}: {KEY_BYTES * 2} hexadecimal digits are expected; bring it back from a backup") from None
    if mode & 0o077:
        raise AuditKeyError(f"{path}: mode {mode & 0o777:04o} lets others read the key of the audit trail; chmod 600 it")
    if len(key) != KEY_BYTES:
        raise AuditKeyError(f"{path}: {KEY_BYTES * 2} hexadecimal digits are expected, there are {len(text)}")
    return key


# ----------------------------------------------------------------------------------------------------------------- anchors


@dataclass(frozen=True, slots=True)
class Anchor:
    """The ends of the lanes at one moment: lane to (number, seal in hex). `at` is milliseconds since 1970."""

    at: int
    heads: Mapping[int, tuple[int, str]]


class AnchorFile:
    """The anchors of one store, appended by one process at a time."""

    def __init__(self, path: Path, key: bytes) -> None:
        self._path = path
        self._key = key

    def add(self, heads: Mapping[int, tuple[int, bytes]]) -> None:
        """One anchor more, durable when it returns. Nothing when there is no record yet."""
        if not heads:
            return
        before = self._last_seal()
        told = json.dumps(
            {
                "at": time.time_ns() // 1_000_000,
                "heads": {str(lane): [number, mac.hex()] for lane, (number, mac) in heads.items()},
                "before": before,
            },
            separators=(",", ":"),
        )
        new = not self._path.exists()
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, f"{self._seal(told)} {told}\n".encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if new:
            _sync_folder(self._path.parent)

    def read(self) -> tuple[list[Anchor], list[str]]:
        """All anchors that hold, and what is wrong with the file."""
        anchors: list[Anchor] = []
        wrong: list[str] = []
        before = ""
        lines = self._lines()
        if lines and not lines[-1].endswith("\n"):
            lines.pop()
        for count, line in enumerate(lines, 1):
            mac, _, told = line.rstrip("\n").partition(" ")
            if not hmac.compare_digest(mac.encode(), self._seal(told).encode()):
                wrong.append(f"anchor {count} in {self._path.name} was changed")
                before = mac
                continue
            anchor = json.loads(told)
            if anchor["before"] != before:
                wrong.append(f"before anchor {count} in {self._path.name} others were removed or put in")
            before = mac
            anchors.append(Anchor(anchor["at"], {int(lane): (n, m) for lane, (n, m) in anchor["heads"].items()}))
        return anchors, wrong

    def _last_seal(self) -> str:
        """The seal of the last whole line. A line that a crash cut off says nothing: it is taken away."""
        try:
            with open(self._path, "r+b") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - _TAIL))
                tail = file.read()
                whole = tail[: tail.rfind(b"\n") + 1]
                if len(whole) < len(tail):
                    file.truncate(size - len(tail) + len(whole))
        except FileNotFoundError:
            return ""
        return whole[:-1].rpartition(b"\n")[2].partition(b" ")[0].decode("utf-8", "replace")

    def _lines(self) -> list[str]:
        try:
            # Not by `splitlines`: a line ends where one was written to end. What is no UTF-8 was never written.
            text = self._path.read_bytes().decode("utf-8", "replace")
        except FileNotFoundError:
            return []
        return [f"{line}\n" for line in text.split("\n")[:-1]] + [rest for rest in text.split("\n")[-1:] if rest]

    def _seal(self, told: str) -> str:
        return hmac.digest(self._key, b"anchor|" + told.encode(), "sha256").hex()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# ------------------------------------------------------------------------------------------------------------------- check


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found: how many records and anchors it read, and everything that is wrong."""

    records: int
    anchors: int
    wrong: tuple[str, ...]


def verify(store: AuditStore, key: bytes, anchors: AnchorFile) -> Checked:
    """Read every record and every anchor again. The ends are read first, so that records which come meanwhile do no harm."""
    heads = store.heads()
    known, wrong = anchors.read()
    if heads and not known and not wrong:
        wrong.append("there are records and no anchors: the file of the anchors was removed")
    expected: dict[int, dict[int, tuple[str, int]]] = {}
    for anchor in known:
        for lane, (number, mac) in anchor.heads.items():
            expected.setdefault(lane, {})[number] = (mac, anchor.at)
    records = 0
    for lane in sorted({*store.lanes(), *heads, *expected}):
        counted, found = _check_lane(store, key, lane, heads.get(lane, (0, b"")), expected.get(lane, {}))
        records += counted
        wrong += found
    return Checked(records, len(known), tuple(wrong))


def _check_lane(
    store: AuditStore, key: bytes, lane: int, head: tuple[int, bytes], anchored: Mapping[int, tuple[str, int]]
) -> tuple[int, list[str]]:
    wrong: list[str] = []
    records = last = 0
    before = b""
    for record in store.all(lane):
        place = record.place
        if place.number != last + 1:
            wrong += _missing(lane, last + 1, place.number - 1) if place.number > last + 1 else [f"record {place} was put in"]
        elif record.mac != seal(key, record, before):
            wrong.append(f"record {place} was changed, swapped or put in")
        if place.number in anchored and anchored[place.number][0] != record.mac.hex():
            wrong.append(f"record {place} is not the one that the anchor of {instant(anchored[place.number][1])} has seen")
        records, last, before = records + 1, place.number, record.mac
    wrong += _check_end(lane, last, head, anchored)
    return records, wrong


def _check_end(lane: int, last: int, head: tuple[int, bytes], anchored: Mapping[int, tuple[str, int]]) -> Iterator[str]:
    """What the end of a lane, and the last anchor, tell of records that are not there."""
    latest = max(anchored, default=0)
    if last < latest:
        at = instant(anchored[latest][1])
        yield from (f"{text}: the anchor of {at} has seen it" for text in _missing(lane, last + 1, latest))
    elif last < head[0]:
        yield from _missing(lane, last + 1, head[0])


def _missing(lane: int, first: int, last: int) -> list[str]:
    if first == last:
        return [f"record {Place(lane, first)} is missing"]
    return [f"records {Place(lane, first)} to {Place(lane, last)} are missing"]


# -------------------------------------------------------------------------------------------------------------- open ends


def unended(store: AuditStore, before: int) -> tuple[list[Place], dict[int, int]]:
    """Events that began before `before` (milliseconds since 1970) and of which no end is recorded; and how far that was looked,
    to be kept as the mark `settled`.

    What is older than `before` is looked at once: an end is never recorded before its beginning.
    """
    begun: list[Place] = []
    ended: set[tuple[int, int]] = set()
    marks: dict[int, int] = {}
    settled = store.marks("settled")
    for lane, (end, _) in store.heads().items():
        number = settled.get(lane, 0)
        old = True  # nothing behind the first record that is young is settled
        while number < end and (page := store.after(lane, number)):
            for record in page:
                number = record.place.number
                old = old and not (is_moment(record.at) and record.at >= before)
                if record.kind == Kind.END and isinstance(told := record.readable, End):
                    ended.add(told.of)
                elif record.kind == Kind.BEGUN and old:
                    begun.append(record.place)
                if old:
                    marks[lane] = number
    return [place for place in begun if place not in ended], marks
