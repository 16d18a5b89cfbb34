"""Where things stand in the octets of a file: lines and columns, start tags, attributes, and what was sent in chunks.

lxml knows lines only, and of an element that spans several lines the last one. So the start tags are found in the octets
themselves, in document order, and paired with the elements of the tree.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator, Sequence
from typing import cast

from lxml import etree

#: Where markup begins; a start tag is taken whole. Nothing that was matched is given back: a text may be full of beginnings that
#: have no end, and is read in one pass all the same.
_MARKUP = re.compile(
    rb"<(?:!--|!\[CDATA\[|!DOCTYPE|\?|/|(?P<name>[^\s/<>!?]++)(?P<rest>(?:[^<>\"']++|\"[^\"]*+\"|'[^']*+')*+)>)"
)
_SUBSET = re.compile(rb"[^\[<>]*+\[")
_ENDS = {b"<!--": b"-->", b"<![CDATA[": b"]]>", b"<!DOCTYPE": b">", b"<?": b"?>", b"</": b">"}
_ATTRIBUTE = re.compile(rb"\s([^\s=/]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)')")

Place = tuple[int, int]
NOWHERE: Place = (0, 0)


def line_of(element: etree._Element) -> int:
    """The line of an element as lxml counts it: that in which its start tag ends."""
    return cast(int, element.sourceline) or 0


class Source:
    """The octets of a file; `place` turns an offset into line and column (characters of UTF-8)."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._starts = [0, *(match.end() for match in re.finditer(rb"\n", data))]

    def place(self, offset: int) -> Place:
        """Line and column, from 1, of the octet at `offset`; behind the end: of the end."""
        offset = max(0, min(offset, len(self.data)))
        line = bisect.bisect_right(self._starts, offset) - 1
        before = self.data[self._starts[line] : offset]
        return line + 1, len(before.decode("utf-8", "replace")) + 1


class Passage:
    """A text that stands somewhere in a file: whole at an offset, or in pieces (chunks), or decoded, so nowhere exactly.

    `pieces` are (offset in the text, offset in the file); empty where the text was unpacked or decoded: then `place` counts in
    the text itself and `name` says in which.
    """

    def __init__(self, source: Source, text: bytes, pieces: Sequence[tuple[int, int]], name: str = "") -> None:
        self.text = text
        self.source = source
        self._pieces = list(pieces)
        self._own = Source(text) if not pieces else None
        self.name = name if not pieces else ""

    def place(self, offset: int) -> Place:
        """Line and column of an offset of the text."""
        if self._own is not None:
            return self._own.place(offset)
        at = bisect.bisect_right([start for start, _ in self._pieces], offset) - 1
        start, there = self._pieces[max(at, 0)]
        return self.source.place(there + offset - start)

    def part(self, start: int, length: int, name: str = "") -> Passage:
        """The passage of a stretch of this one."""
        text = self.text[start : start + length]
        if not self._pieces:
            assert self._own is not None
            return Passage(self.source, text, (), name or self.name)
        at = max(bisect.bisect_right([begin for begin, _ in self._pieces], start) - 1, 0)
        first = self._pieces[at]
        pieces = [(0, first[1] + start - first[0])]
        pieces += [(begin - start, there) for begin, there in self._pieces[at + 1 :] if begin < start + length]
        return Passage(self.source, text, pieces, name)

    def find(self, pattern: bytes, start: int = 0) -> int:
        """Offset of the first match of a regular expression (any case, lines), -1 without one."""
        found = re.compile(pattern, re.IGNORECASE | re.MULTILINE).search(self.text, start)
        return found.start() if found else -1


def whole(source: Source) -> Passage:
    """The file itself."""
    return Passage(source, source.data, ((0, 0),))


def start_tags(text: bytes) -> Iterator[re.Match[bytes]]:
    """The start tags of a text, `name` and `rest` of each; those in comments, CDATA, instructions are none. The text may be
    broken: what has no end is passed over."""
    position = 0
    without: set[bytes] = set()  # ends that are not there any more
    while found := _MARKUP.search(text, position):
        position = found.end()
        if found["name"] is not None:
            yield found
            continue
        for end in _ends(found[0], text, position):
            at = text.find(end, position) if end not in without else -1
            if at < 0:
                without.add(end)
            else:
                position = at + len(end)


def _ends(markup: bytes, text: bytes, position: int) -> tuple[bytes, ...]:
    """What ends this markup; a DOCTYPE may have an internal subset, which ends before it."""
    if markup == b"<!DOCTYPE" and _SUBSET.match(text, position):
        return b"]", b">"
    return (_ENDS[markup],)


class Tree:
    """A parsed text whose elements know where their start tags and attributes stand."""

    def __init__(self, root: etree._Element, passage: Passage) -> None:
        self.root = root
        self.passage = passage
        self.elements = [e for e in root.iter() if isinstance(e.tag, str)]
        tags = list(start_tags(passage.text))
        self._tags: dict[etree._Element, re.Match[bytes]] = {}
        at: dict[str, list[int]] = {}
        for index, tag in enumerate(tags):
            at.setdefault(tag["name"].rpartition(b":")[2].decode("utf-8", "replace"), []).append(index)
        position = 0
        for element in self.elements:
            known = at.get(etree.QName(element).localname, [])
            following = bisect.bisect_left(known, position)
            if following == len(known):
                continue  # a mended tree has names of its own, and lacks what could not be read
            self._tags[element] = tags[known[following]]
            position = known[following] + 1

    @property
    def part(self) -> str:
        return self.passage.name

    def place(self, element: etree._Element | None, attribute: str = "") -> Place:
        """Where the start tag of `element` begins, or its attribute of this local name where it has one."""
        tag = self._tags.get(element) if element is not None else None
        if tag is None:
            return NOWHERE
        if attribute:
            for found in _ATTRIBUTE.finditer(tag["rest"]):
                if found[1].rpartition(b":")[2].decode("utf-8", "replace") == attribute:
                    return self.passage.place(tag.start("rest") + found.start(1))
        return self.passage.place(tag.start())

    def offset(self, element: etree._Element) -> int:
        """Offset in the text behind the start tag of `element`; -1 where it is not known."""
        tag = self._tags.get(element)
        return tag.end() if tag is not None else -1

    def at_line(self, line: int) -> list[etree._Element]:
        """The elements whose line, as lxml counts, is this one."""
        return [element for element in self.elements if line_of(element) == line]
