"""Files that were made to stop their reader: what once took minutes is read in one pass, what once broke it is a finding.

Nothing is timed: a reader that looks back again would not end within the patience of whoever waits for these tests.
"""

from __future__ import annotations

import pytest

from conformance.check import check_octets
from conformance.check_places import start_tags
from conformance.exchange import Exchanged
from conformance.judge import read_reply
from conformance.message_rows import compare, rows_of
from conformance.result import Message
from conformance.wire import read_answer
from tests.conformance import files

#: Each so often that looking for its end once for each would be billions of octets.
_OPEN = [b"<!--", b"<![CDATA[", b"<?", b"</", b"<!DOCTYPE[", b"<!DOCTYPE a", b"<a '\"", b"<a b='", b"<"]
ENVELOPE = b"<s:Envelope xmlns:s='http://www.w3.org/2003/05/soap-envelope'>"


@pytest.mark.parametrize("start", [b"<e>", ENVELOPE], ids=["file", "envelope"])
@pytest.mark.parametrize("markup", _OPEN, ids=lambda markup: markup.decode())
def test_beginnings_without_an_end_are_read_in_one_pass(start: bytes, markup: bytes) -> None:
    assert check_octets(start + markup * (200_000 // len(markup))).found


def test_a_tag_without_an_end_is_read_in_one_pass() -> None:
    assert check_octets(b"<e><" + b"a" * 500_000).found
    assert check_octets(b"<e><a " + b"b " * 250_000).found


@pytest.mark.parametrize("head", [b"POST / HTTP/1.1\r\nX: a\r\n", b"MIME-Version: 1.0\r\nContent-Type:"], ids=["http", "mime"])
def test_a_header_line_of_blanks_is_read_in_one_pass(head: bytes) -> None:
    assert check_octets(head + b" " * 500_000).found


def test_only_start_tags_are_start_tags() -> None:
    text = b"<!DOCTYPE a [<!ENTITY b '<c/>'>]><a x='>'><!-- <d/> --><![CDATA[<e/>]]><?f <g/>?><h:i y=\"<'/\"/></a><!-- <j/>"
    assert [tag["name"] for tag in start_tags(text)] == [b"a", b"h:i", b"j"]


@pytest.mark.parametrize("length", ["\xb2", "9" * 5000, "-1", "1_0"], ids=["superscript", "digits", "sign", "underscore"])
def test_a_length_that_is_none_breaks_nothing(length: str) -> None:
    checked = check_octets(b"POST /xds/registry HTTP/1.1\r\nContent-Length: " + length.encode("latin-1") + b"\r\n\r\n<a/>")
    assert checked.kind == "http-request" and checked.found


def test_messages_of_few_different_rows_are_compared_in_one_pass() -> None:
    one, other = b"x\nz\n" * 1_900, b"x\ny\n" * 1_900
    pairs = compare(rows_of(one), rows_of(other))
    assert [pair.left for pair in pairs if pair.left] == one.decode().split()
    assert [pair.right for pair in pairs if pair.right] == other.decode().split()
    assert {pair.kind for pair in compare(rows_of(one), rows_of(one))} == {"same"}


def test_what_differs_is_shown_beside_each_other() -> None:
    pairs = compare(rows_of(b"a\nb\nc\nd"), rows_of(b"a\nB\nc\nx\nd"))
    assert [(pair.kind, pair.left, pair.right) for pair in pairs] == [
        ("same", "a", "a"), ("changed", "b", "B"), ("same", "c", "c"), ("added", "", "x"), ("same", "d", "d"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "markup",
    ["<a:3.0/>", "<a:2007 x='1'>", "&unknown;", '<b xmlns="urn:a}b"/>', '<b xmlns:z="urn:{b" z:c="1"/>', '<b a:3="1" :="2"/>',
     "<:/>", "<b x y='1'/>", "<?xml?>", "\x01", "<rim:Slot"],
)  # fmt: skip
def test_names_that_are_none_break_nothing(markup: str) -> None:
    """What libxml2 mends it mends as it stands; the findings behind the break have their places all the same."""
    right = files.envelope(files.provide())
    at = right.index("<rim:RegistryObjectList>") + len("<rim:RegistryObjectList>")
    data = (right[:at] + markup + right[at:]).replace('mimeType="', 'mimeType="\u00e9', 1).encode()
    found = check_octets(data).found
    assert any(one.rule.startswith(("XML-", "WIRE-05")) and one.line for one in found), [(one.rule, one.message) for one in found]


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"<d@x>", b"<d\xdf@x>"), (b"<r@x>", b"<\xff>"), (b"<a/>", b"<!-- a -->"), (b"<a/>", b"<?a?>"), (b"<a/>", b"<a/><a/>"),
     (b"--b--", b"--\xe9--"), (b"<s:Body>", b"<s:Body>\x00")],
)  # fmt: skip
def test_an_answer_that_is_none_ends_no_run(old: bytes, new: bytes) -> None:
    envelope = b'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body><a/></s:Body></s:Envelope>'
    head = b"--b\r\nContent-Type: application/xop+xml\r\nContent-ID: <r@x>\r\n\r\n"
    right = head + envelope + b"\r\n--b\r\nContent-ID: <d@x>\r\n\r\nhello\r\n--b--\r\n"
    kind = 'multipart/related; boundary="b"; type="application/xop+xml"; start="<r@x>"'
    assert read_answer(200, kind, right).body.tag == "a"
    assert old in right
    answer = Message(b"HTTP/1.1 200 OK\r\n\r\n", right.replace(old, new))
    assert read_reply("ITI-18", Exchanged(Message(b"", b""), answer, 200, kind)).unreadable
