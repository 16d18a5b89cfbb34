"""The envelope's octets: small ones parsed at once, large ones while they come, with the same outcome."""

from __future__ import annotations

import base64
from pathlib import Path
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from soap.call import Note
from soap.fault import Fault
from soap.inline import MARK
from soap.limits import Limits
from soap.root import RootSink
from soap.staging import FolderStaging, Part
from soap.wire import Wire

DOCUMENT = "{urn:ihe:iti:xds-b:2007}Document"


class Sink:
    """A root sink, its parts and its notes; `root` bounds what is parsed at once."""

    def __init__(self, folder: Path, root: int, **limits: int) -> None:
        self.parts: list[Part] = []
        self.notes: list[Note] = []
        self.folder = folder
        self._sink = RootSink(Limits(root=root, **limits), Wire(), self.notes, FolderStaging(folder), self.parts)

    def read(self, octets: bytes, sizes: list[int] | None = None, charset: str | None = "UTF-8") -> etree._Element:
        start = 0
        try:
            for size in sizes or []:
                self._sink.write(octets[start : start + size])
                start += size
            self._sink.write(octets[start:])
            return self._sink.close(charset)
        finally:
            for part in self.parts:
                part.remove()
            assert not list(self.folder.glob("*"))


def message(*contents: str) -> bytes:
    documents = "".join(f'<x:Document id="d{n}">{content}</x:Document>' for n, content in enumerate(contents))
    return f'<x:P xmlns:x="urn:ihe:iti:xds-b:2007"><m>metadata é</m>{documents}</x:P>'.encode()


@given(data=st.data())
def test_documents_of_a_large_envelope_are_decoded_as_they_come(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    contents = data.draw(st.lists(st.binary(max_size=400), min_size=1, max_size=4))
    octets = message(*(base64.encodebytes(content).decode() for content in contents), "A" * 4000)
    sizes = data.draw(st.lists(st.integers(0, 200), max_size=30))
    sink = Sink(tmp_path_factory.getbasetemp() / "inline", root=1500, memory=10**6)
    root = sink.read(octets, sizes)
    assert [b"".join(part.chunks()) for part in sink.parts] == [*contents, bytes(3000)]
    assert [e.get(MARK) for e in root.iterfind(DOCUMENT)] == [str(n) for n in range(len(contents) + 1)]
    assert root.findtext("m") == "metadata é"
    assert not any((e.text or "").strip() for e in root.iterfind(DOCUMENT))


@pytest.mark.parametrize(
    ("octets", "rule"),
    [
        (message("A" * 4000).replace(b"</x:P>", b""), "XML-001"),
        (message("A" * 4000).replace(b"</m>", b"</n>"), "XML-001"),
        (message("A" * 4000) + b"<more/>", "XML-001"),
        (message("@" * 4000), "WIRE-046-raw"),
        (message("é" * 4000), "WIRE-046-raw"),
        (message("AAA" + "A" * 4000), "WIRE-046-raw"),
        (message("A" * 4000, "A" * 400 + "<y/>"), "WIRE-046-raw"),
        (b"<!DOCTYPE x []>" + message("A" * 4000), "WIRE-050"),
        (message("A" * 4000).replace(b"<m>", b"<?php?><m>"), "WIRE-050"),
        (b'<?xml version="1.0" encoding="ISO-8859-1"?>' + message("A" * 4000), "WIRE-048-two"),
        (message("A" * 4000).decode().encode("utf-16"), "WIRE-048-two"),
        (message("A" * 4000).replace("é".encode(), b"\xe9"), "XML-001"),
        (message("A" * 4000).replace(b'id="d0"', b'id="d0" k:part="0" xmlns:k="urn:carnet:inline"'), "SOAP-BODY"),
        (message("A" * 4000).replace(b"<m>", b'<m><r xmlns="urn:a"><s xmlns=""/></r>'), "SOAP-BODY"),
        (message("A" * 4000).replace(b"<m>", b"<m>" + b"y" * 3000), "LIM-001"),
        (message("A" * 4000).replace(b"<m>", b"<m>" + b"<y>" * 100 + b"</y>" * 100), "LIM-002"),
        (message("A" * 4000).replace(b"<m>", b"<m>" + b"<y/>" * 200), "LIM-002"),
        (message("A" * 4000).replace(b"<m>", b"<m " + b" ".join(b'a%d=""' % n for n in range(70)) + b">"), "LIM-002"),
    ],
)
def test_a_large_envelope_that_is_refused(octets: bytes, rule: str, tmp_path: Path) -> None:
    for sizes in ([], [100] * 60):
        with pytest.raises(Fault) as caught:
            Sink(tmp_path, root=2000, memory=10, elements=150).read(octets, sizes)
        assert caught.value.rule == rule, caught.value
        assert caught.value.status in (400, 413)


@pytest.mark.parametrize("place", [b"<m>", b'<x:Document id="d0">'])
@pytest.mark.parametrize("bomb", [b"<!--", b'<y z="', b"<y"])
def test_what_is_kept_whole_before_it_is_told_is_bounded(bomb: bytes, place: bytes, tmp_path: Path) -> None:
    """A comment, an attribute, a name without an end: refused while it comes, and not when there is no room left."""
    octets = message("A" * 4000).partition(place)
    sink = Sink(tmp_path, root=2000)
    with pytest.raises(Fault) as caught:
        sink.read(octets[0] + place + bomb + b"y" * 10**6, [100] * 60)
    assert caught.value.rule == "LIM-001"


def test_another_charset_in_the_content_type_of_a_large_envelope(tmp_path: Path) -> None:
    with pytest.raises(Fault) as caught:
        Sink(tmp_path, root=2000).read(message("A" * 4000), charset="ISO-8859-1")
    assert caught.value.rule == "WIRE-048-two"
    assert Sink(tmp_path, root=2000).read(message("A" * 4000), charset=None) is not None


def test_an_include_inside_a_large_envelope_is_left_where_it_is(tmp_path: Path) -> None:
    include = '\n <i:Include xmlns:i="http://www.w3.org/2004/08/xop/include" href="cid:x"/>\n '
    sink = Sink(tmp_path, root=2000, memory=10)
    root = sink.read(message(include, "A" * 4000))
    first, second = root.iterfind(DOCUMENT)
    assert (first.get(MARK), len(first), second.get(MARK), len(sink.parts)) == (None, 1, "0", 1)


@pytest.mark.parametrize(
    "inner",
    [
        '<r xmlns="urn:a"><s xmlns:b="urn:b" b:c="1"/></r>',
        '<r xmlns=""><s xmlns="urn:a"/><t/></r>',
        '<a:r xmlns:a="urn:a"><b:s xmlns:b="urn:a" b:c="1"/><s xmlns="urn:a" xmlns:unused="urn:u"/></a:r>',
        '<r xmlns:x="urn:inner" x:c="1"><x:s/></r>',
        '<r value="4711^^^&amp;1.2.3&amp;ISO">4711^^^&amp;1.2.3&amp;ISO</r>',
        '<r v="&lt;&#38;&amp;#38;&amp;amp;&quot;&#10;&#233;&amp;lt;"/>',
        "<r>&lt;&#38;&amp;#38;&amp;amp;&quot;&#10;&#233;<![CDATA[&amp;]]></r>",
        "<r>8999<!-- a & b -->00063480</r>",
    ],
)
def test_a_large_envelope_says_what_was_sent(inner: str, tmp_path: Path) -> None:
    """Default namespaces, ampersands, comments: the canonical form is that of the same message parsed at once."""
    octets = message("A" * 4000).replace(b"<m>metadata", f"<m>{inner}metadata".encode())
    large, whole = Sink(tmp_path, root=2000).read(octets), Sink(tmp_path, root=100_000).read(octets)
    forms = []
    for root in (large, whole):
        held = root.find("m")
        assert held is not None
        forms.append(etree.tostring(held, method="c14n", exclusive=True))
    assert forms[0] == forms[1]


TEXTS = st.text(st.sampled_from("aé&<>\"'#;x\t\n "), max_size=8)
NAMES = st.sampled_from(["r", "a:r", "b:r"])
DECLARED = st.sampled_from(["", ' xmlns="urn:a"', ' xmlns:c="urn:a"', ' xmlns:a="urn:b"', ' xmlns:b="urn:a"'])


@st.composite
def elements(draw: st.DrawFn, depth: int = 3) -> str:
    """Any element with text, attributes, declarations and children; a and b are declared around it."""
    name, attribute = draw(NAMES), draw(st.sampled_from(["v", "a:v", "b:v"]))
    inner = escape(draw(TEXTS))
    for _ in range(draw(st.integers(0, 2)) if depth else 0):
        inner += draw(elements(depth - 1)) + draw(st.sampled_from(["", "<!-- & -->", "<![CDATA[&<]]>"])) + escape(draw(TEXTS))
    value = escape(draw(TEXTS), {'"': "&quot;", "\n": "&#10;", "\t": "&#9;"})
    return f'<{name}{draw(DECLARED)} {attribute}="{value}">{inner}</{name}>'


@given(inner=elements(), sizes=st.lists(st.integers(0, 200), max_size=30))
def test_a_large_envelope_is_read_like_a_small_one(
    inner: str, sizes: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    held = f'<h xmlns:a="urn:a" xmlns:b="urn:b">{inner}</h>'
    octets = message("A" * 8000).replace(b"<m>metadata", f"<m>{held}metadata".encode())
    folder = tmp_path_factory.getbasetemp() / "alike"
    large, whole = Sink(folder, root=6000).read(octets, sizes), Sink(folder, root=10**6).read(octets)
    forms = []
    for root in (large, whole):
        found = root.find("m")
        assert found is not None
        # Of two prefixes of one namespace the builder takes its own: a signature over that is refused, and nothing misread.
        forms.append(etree.canonicalize(etree.tostring(found, encoding="unicode"), with_comments=True, rewrite_prefixes=True))
    assert forms[0] == forms[1]


def test_a_small_envelope_is_kept_whole(tmp_path: Path) -> None:
    root = Sink(tmp_path, root=2000).read(message("QUJD"), [3, 1, 1])
    assert root.findtext(DOCUMENT) == "QUJD"


def test_place_of_a_fault(tmp_path: Path) -> None:
    with pytest.raises(Fault, match=r"line 2, column \d+") as caught:
        Sink(tmp_path, root=2000).read(b"<a>\n<wsu:Timestamp/></a>")
    assert caught.value.rule == "WIRE-052"
