"""Packages: read whole, octet by octet and cut anywhere; written with their exact length."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soap.call import Attachment, Note
from soap.fault import Fault
from soap.limits import Limits
from soap.mime import parse_content_type
from soap.mtom import Package, read_package, write_package
from soap.receive import Body
from soap.root import RootSink
from soap.staging import FolderStaging, Part
from soap.wire import Wire

ENVELOPE = b"<e/>"
BOUNDARIES = st.text("abc'()+_,-./:=?09", min_size=1, max_size=70)


class Pieces:
    """wsgi.input that gives the octets in pieces of the sizes drawn, then in large ones."""

    def __init__(self, data: bytes, sizes: Iterable[int]) -> None:
        self._data = io.BytesIO(data)
        self._sizes = iter(sizes)

    def read(self, n: int) -> bytes:
        return self._data.read(min(n, next(self._sizes, n)))


def read(
    octets: bytes,
    content_type: str,
    folder: Path,
    sizes: Iterable[int] = (),
    limits: Limits | None = None,
    wire: Wire | None = None,
) -> tuple[Package, bytes, list[Part], list[Note]]:
    """The package, the root's octets, the parts, the notes."""
    limits, wire = limits or Limits(), wire or Wire()
    notes: list[Note] = []
    staged: list[Part] = []
    staging = FolderStaging(folder)
    environ = {"wsgi.input": Pieces(octets, sizes), "CONTENT_LENGTH": str(len(octets))}
    sink = RootSink(limits, wire, notes, staging, staged)
    body = Body(environ, wire, limits, notes)
    _, parameters = parse_content_type(content_type, wire)
    try:
        package = read_package(body, parameters, sink, staging, wire, limits, notes, staged)
    except BaseException:
        for part in staged:
            part.remove()
        raise
    return package, b"".join(sink._held), staged, notes


def build(boundary: str, contents: list[bytes], newline: bytes = b"\r\n", preamble: bytes = b"", epilogue: bytes = b"") -> bytes:
    mark = b"--" + boundary.encode()
    parts = [b"Content-Type: application/xop+xml" + newline + b"Content-ID: <r@x>" + newline * 2 + ENVELOPE]
    parts += [b"Content-ID: <p%d@x>" % n + newline * 2 + content for n, content in enumerate(contents)]
    return preamble + b"".join(mark + newline + part + newline for part in parts) + mark + b"--" + newline + epilogue


def content_type(boundary: str) -> str:
    return f'multipart/related; boundary="{boundary}"; type="application/xop+xml"; start="<r@x>"'


def near(boundary: str) -> st.SearchStrategy[bytes]:
    """Content that resembles delimiters as closely as content may."""
    mark = b"--" + boundary.encode()
    pieces = [b"\r\n", b"\n", b"\r", b"-", b"--", mark, mark[:-1], b"\r\n" + mark[:-1], b"\r\n" + mark + b"x", b"x", b"\0"]
    return st.lists(st.sampled_from(pieces), max_size=12).map(b"".join)


def is_content(content: bytes, boundary: str, newline: bytes) -> bool:
    """Whether no delimiter line is inside, with the line end before the next one counted in."""
    mark = newline + b"--" + re.escape(boundary.encode())
    framed = newline + content + newline + b"--" + boundary.encode() + newline
    found = re.search(mark + rb"(--)?[ \t]*(\r?\n|\Z)", framed)
    return found is not None and found.start() == len(newline) + len(content)


@given(data=st.data(), boundary=BOUNDARIES.filter(lambda b: not b.endswith(" ")), newline=st.sampled_from([b"\r\n", b"\n"]))
def test_any_split_of_the_octets_reads_the_same(
    data: st.DataObject, boundary: str, newline: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    contents = data.draw(st.lists(near(boundary), max_size=3))
    contents = [c for c in contents if is_content(c, boundary, newline)]
    octets = build(boundary, contents, newline, data.draw(st.sampled_from([b"", b"\r\n", b"preamble\r\n"])), b"end")
    folder = tmp_path_factory.getbasetemp() / "staging"
    limits = Limits(memory=data.draw(st.integers(0, 20)))
    sizes = data.draw(st.one_of(st.just([1] * len(octets)), st.lists(st.integers(1, 40), max_size=60)))
    outcomes = []
    for split in ([], sizes):
        try:
            _, root, parts, notes = read(octets, content_type(boundary), folder, split, limits)
        except Fault as fault:
            outcomes.append((fault.rule, b"", [], []))
            continue
        outcomes.append(("", root, [b"".join(part.chunks()) for part in parts], [note.id for note in notes]))
        for part in parts:
            assert part.sha256 == hashlib.sha256(b"".join(part.chunks())).hexdigest()
            part.remove()
    assert outcomes[0] == outcomes[1]
    if newline == b"\r\n" or not any(c.endswith(b"\r") for c in contents):
        assert outcomes[0][:3] == ("", ENVELOPE, contents)
    else:
        assert outcomes[0][0] == "WIRE-028-mixed"
    assert not list(folder.glob("*"))


@given(data=st.data())
def test_a_cut_anywhere_is_noticed(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    octets = build("b", [b"one\r\n--", b"two" * 100])
    whole = octets.rindex(b"--b--") + len(b"--b--")
    cut = data.draw(st.integers(0, whole - 1))
    folder = tmp_path_factory.getbasetemp() / "cut"
    with pytest.raises(Fault) as caught:
        read(octets[:cut], content_type("b"), folder, limits=Limits(memory=10))
    assert caught.value.rule in ("WIRE-027", "WIRE-015", "WIRE-028-mixed")
    assert not list(folder.glob("*"))


def test_parts_by_size_in_memory_or_in_a_file(tmp_path: Path) -> None:
    octets = build("b", [b"x" * 10, b"y" * 11, b"z" * 3_000_000])
    _, _, parts, _ = read(octets, content_type("b"), tmp_path, limits=Limits(memory=10))
    assert [part.bytes() is not None for part in parts] == [True, False, False]
    assert [part.size for part in parts] == [10, 11, 3_000_000]
    assert parts[2].sha1 == hashlib.sha1(b"z" * 3_000_000, usedforsecurity=False).hexdigest()
    assert parts[2].sha256 == hashlib.sha256(b"z" * 3_000_000).hexdigest()


def test_many_small_parts_are_not_all_kept_in_memory(tmp_path: Path) -> None:
    octets = build("b", [b"x" * 10] * 10)
    _, _, parts, _ = read(octets, content_type("b"), tmp_path, limits=Limits(memory=10, memory_total=35))
    assert sum(part.bytes() is not None for part in parts) == 4
    assert all(b"".join(part.chunks()) == b"x" * 10 for part in parts)


def test_the_root_may_come_later(tmp_path: Path) -> None:
    head = b"Content-Type: application/xop+xml\r\nContent-ID: <r@x>\r\n\r\n"
    octets = b"--b\r\nContent-ID: <p@x>\r\n\r\ndoc\r\n--b\r\n" + head + b"<e/>\r\n--b--"
    package, root, _, _ = read(octets, content_type("b"), tmp_path)
    assert root == ENVELOPE
    assert package.parts["p@x"].bytes() == b"doc"


def test_a_missing_boundary_shows_both(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="header 'b', the body begins a part with '--other'"):
        read(build("other", []), content_type("b"), tmp_path)
    with pytest.raises(Fault, match=r"octet 100 \(Content-Length is 100\)"):
        read(build("b", [b"x" * 50])[:100], content_type("b"), tmp_path)


# ------------------------------------------------------------------------------------------------------------- writing


def attachment(content: bytes, size: int | None = None, chunk: int = 100_000) -> Attachment:
    chunks = [content[start : start + chunk] for start in range(0, len(content), chunk)]
    return Attachment(f"d{len(content)}@x", "text/plain", len(content) if size is None else size, chunks)


@given(contents=st.lists(st.binary(max_size=2000), max_size=4), chunk=st.integers(1, 700))
def test_what_is_written_is_read_again(contents: list[bytes], chunk: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    attachments = [Attachment(f"d{n}@x", "text/plain", len(c), attachment(c, chunk=chunk).chunks) for n, c in enumerate(contents)]
    written = write_package([b"<e>", b"</e>"], attachments, "urn:a")
    octets = b"".join(written.pieces)
    assert len(octets) == written.length
    package, root, parts, notes = read(
        octets, written.content_type, tmp_path_factory.getbasetemp() / "again", wire=Wire(strict=True)
    )
    assert (root, [part.bytes() for part in parts], notes, package.action) == (b"<e></e>", contents, [], "urn:a")


def test_large_attachments_are_streamed(tmp_path: Path) -> None:
    written = write_package([b"<e/>"], [attachment(b"x" * 3_000_000), attachment(b"y" * 10)], "")
    sizes = [len(piece) for piece in written.pieces]
    assert sum(sizes) == written.length
    assert max(sizes) <= 256 * 1024


@pytest.mark.parametrize("size", [0, 9, 11, 5_000_000])
def test_an_attachment_of_another_size_never_reaches_the_closing_boundary(size: int) -> None:
    sent = b""
    with pytest.raises(ValueError, match=f"not the {size} octets"):
        for piece in write_package([b"<e/>"], [attachment(b"x" * 10, size)], "").pieces:
            sent += piece
    assert b"--\r\n" not in sent


def test_a_media_type_from_metadata_cannot_end_its_line() -> None:
    evil = Attachment("d@x", "text/plain\r\nX: y\r\n\r\nz", 1, [b"x"])
    octets = b"".join(write_package([b"<e/>"], [evil], "").pieces)
    assert b"Content-Type: text/plainX: yz\r\n" in octets
