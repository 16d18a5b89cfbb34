"""The bytes of the documents of one answer, from rows and from files, checked, in bounded memory.

Small documents are loaded by groups of at most `HELD` bytes, one statement a group: once to be checked before the answer
begins, and again when they are sent unless their group is still the one at hand. Of files nothing is held but one chunk.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence

from repository.content import ContentMismatch, ContentStore
from repository.index import DocumentIndex, StoredDocument

#: Bytes of small documents in memory at a time.
HELD = 4 * 1024 * 1024


class _Again:
    """What is open already, and opens it again for everyone who comes later."""

    def __init__(self, opened: Iterator[bytes], again: Callable[[], Iterator[bytes]]) -> None:
        self._opened: Iterator[bytes] | None = opened
        self._again = again

    def __iter__(self) -> Iterator[bytes]:
        opened, self._opened = self._opened, None
        return opened if opened is not None else self._again()


class Delivery:
    """`documents` are those of the answer in its order. For one thread."""

    def __init__(self, store: ContentStore, index: DocumentIndex, documents: Sequence[StoredDocument], check_before: int) -> None:
        self._store = store
        self._index = index
        self._check_before = check_before
        self._held: dict[bytes, bytes] = {}
        self._sound: set[bytes] = set()
        self._group_of: dict[bytes, list[bytes]] = {}
        self._group([d for d in documents if d.size <= store.options.inline_limit])

    def _group(self, documents: Sequence[StoredDocument]) -> None:
        group: list[bytes] = []
        held = 0
        for document in documents:
            if document.sha256 in self._group_of:
                continue
            if held + document.size > HELD:
                group, held = [], 0
            group.append(document.sha256)
            held += document.size
            self._group_of[document.sha256] = group

    def chunks(self, document: StoredDocument) -> Iterable[bytes]:
        """The bytes of one document, to be read later, and once more where the answer is signed. What is to be checked
        before the answer begins is checked now.

        Raises `ContentMismatch` now or while they are read, `refusals.StoreRefusal` when the disk fails.
        """
        return _Again(self._open(document), lambda: self._open(document))

    def _open(self, document: StoredDocument) -> Iterator[bytes]:
        name = document.sha256.hex()
        # Not by size alone: the limit may have been another one when the document came.
        may_be_row = document.sha256 in self._group_of or self._store.stat(name) is None
        if may_be_row and self._row(document) is not None:
            return self._stream_row(document)
        checked = self._store.check(name, document.size, document.size <= self._check_before)
        return self._store.chunks(name, document.size, checked)

    def _row(self, document: StoredDocument) -> bytes | None:
        """The bytes of a blob row, whole and sound; None when the content is no row."""
        key = document.sha256
        if key not in self._held:
            self._held = self._index.load(self._group_of.get(key, [key]))
            self._sound.clear()
        content = self._held.get(key)
        if content is not None and key not in self._sound:
            if len(content) != document.size or hashlib.sha256(content).digest() != key:
                self._store.alarms.sound("damaged", f"stored content {key.hex()} (a row) was damaged; it was not delivered")
                raise ContentMismatch(f"stored content {key.hex()}")
            self._sound.add(key)
        return content

    def _stream_row(self, document: StoredDocument) -> Iterator[bytes]:
        content = self._row(document)
        if content is None:
            raise ContentMismatch(f"stored content {document.sha256.hex()} went away while it was sent")
        yield content
