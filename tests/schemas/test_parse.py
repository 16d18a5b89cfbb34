"""The hardened parser: what must never become a tree does not, and what is legal does."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest
from lxml import etree

from schemas.parse import RULES, FeedParser, Limits, ParseError, ParseNote, parse

ENVELOPE = '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body>é</s:Body></s:Envelope>'


def refused(data: bytes, **options: object) -> ParseError:
    with pytest.raises(ParseError) as caught:
        parse(data, **options)  # type: ignore[arg-type]
    error = caught.value
    assert error.rule in RULES
    assert error.message and error.remedy
    assert error.rule in str(error) and error.remedy in str(error)
    return error


# ---- document type declarations ----


def doctypes(canary: Path, port: int) -> dict[str, str]:
    return {
        "bare": "<!DOCTYPE a><a/>",
        "internal entity": '<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>',
        "entity in an attribute": '<!DOCTYPE a [<!ENTITY x "y">]><a b="&x;"/>',
        "external file": f'<!DOCTYPE a [<!ENTITY x SYSTEM "file://{canary}">]><a>&x;</a>',
        "external http": f'<!DOCTYPE a [<!ENTITY x SYSTEM "http://127.0.0.1:{port}/x">]><a>&x;</a>',
        "external DTD": f'<!DOCTYPE a SYSTEM "http://127.0.0.1:{port}/x.dtd"><a/>',
        "parameter entity": f'<!DOCTYPE a [<!ENTITY % p SYSTEM "file://{canary}"> %p;]><a/>',
        "billion laughs": "<!DOCTYPE a [<!ENTITY l0 'ha'>"
        + "".join(f"<!ENTITY l{i} '{f'&l{i - 1};' * 10}'>" for i in range(1, 10))
        + "]><a>&l9;</a>",
        "quadratic blowup": f"<!DOCTYPE a [<!ENTITY x '{'x' * 50_000}'>]><a>{'&x;' * 5_000}</a>",
        "default attribute": "<!DOCTYPE a [<!ATTLIST a id CDATA 'planted'>]><a/>",
        "behind a comment": "<!-- c --><!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>",
    }


FORMS = sorted(doctypes(Path("/x"), 1))
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-7"]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("declared", [False, True])
def test_doctype_is_refused_in_every_form_and_encoding(form: str, encoding: str, declared: bool, tmp_path: Path) -> None:
    canary = tmp_path / "canary.txt"
    canary.write_text("CANARY")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)
        text = doctypes(canary, listener.getsockname()[1])[form]
        if declared:
            name = {"utf-8-sig": "utf-8", "utf-16-le": "utf-16", "utf-16-be": "utf-16"}.get(encoding, encoding)
            text = f'<?xml version="1.0" encoding="{name}"?>' + text
        data = text.encode(encoding)
        if declared and encoding == "utf-7":
            head, _, body = text.partition("?>")
            data = (head + "?>").encode() + body.encode("utf-7")
        error = refused(data)
        expected = {"XML-003"} if encoding != "utf-7" else {"XML-005"} if declared else {"XML-001", "XML-003"}
        assert error.rule in expected
        assert "CANARY" not in str(error)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_doctype_word_in_content_is_text() -> None:
    root = parse(b"<a><!-- <!DOCTYPE x> --><![CDATA[<!DOCTYPE html>]]></a>")
    assert "".join(root.itertext(with_tail=True)).endswith("<!DOCTYPE html>")


@pytest.mark.parametrize("reference", [b"<a>&x;</a>", b'<a b="&x;"/>', b"<a>&nbsp;</a>"])
def test_undefined_entity_is_not_well_formed(reference: bytes) -> None:
    assert refused(reference).rule == "XML-001"


def test_the_five_entities_and_character_references_are_read() -> None:
    assert parse(b"<a>&lt;&gt;&amp;&quot;&apos;&#233;&#x1F600;</a>").text == "<>&\"'é\U0001f600"


# ---- processing instructions, XInclude ----


@pytest.mark.parametrize(
    "data",
    [
        b"<?x y?><a/>",
        b"<a><?x y?></a>",
        b"<a/><?x y?>",
        b'<?xml version="1.0"?><?xml-stylesheet href="x"?><a/>',
        b"<!-- c --><?x?><a/>",
    ],
)
def test_processing_instruction_is_refused(data: bytes) -> None:
    error = refused(data)
    assert error.rule == "XML-004"
    assert error.line == 1


def test_question_marks_and_pictured_instructions_are_text() -> None:
    assert parse(b"<a b='?'>who?<!-- <?x y?> --><![CDATA[<?x y?>]]></a>").get("b") == "?"


def test_xinclude_is_refused_and_nothing_is_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("CANARY")
    data = f'<a xmlns:i="http://www.w3.org/2001/XInclude">\n<i:include href="file://{secret}" parse="text"/></a>'
    error = refused(data.encode())
    assert (error.rule, error.line) == ("XML-011", 2)


# ---- limits ----


def test_bytes() -> None:
    limits = Limits(max_bytes=100)
    assert parse(b"<a>" + b"x" * 93 + b"</a>", limits=limits).text == "x" * 93
    assert refused(b"<a>" + b"x" * 94 + b"</a>", limits=limits).rule == "XML-007"


@pytest.mark.parametrize(("depth", "good"), [(96, True), (97, False), (255, False), (300, False), (100_000, False)])
def test_depth(depth: int, good: bool) -> None:
    data = b"<a>" * depth + b"</a>" * depth
    if good:
        assert parse(data).tag == "a"
    else:
        assert refused(data).rule == "XML-008"


def test_depth_limit_above_that_of_libxml2() -> None:
    limits = Limits(max_depth=1000)
    assert parse(b"<a>" * 1000 + b"</a>" * 1000, limits=limits).tag == "a"
    assert refused(b"<a>" * 1001 + b"</a>" * 1001, limits=limits).rule == "XML-008"


@pytest.mark.parametrize(("count", "good"), [(399_999, True), (400_000, False)])
def test_width(count: int, good: bool) -> None:
    data = b"<a>" + b"<b/>" * count + b"</a>"
    if good:
        assert len(parse(data)) == count
    else:
        assert refused(data).rule == "XML-009"


def test_small_element_limit_holds_in_small_messages() -> None:
    limits = Limits(max_elements=3)
    assert len(parse(b"<a><b/><b/></a>", limits=limits)) == 2
    assert refused(b"<a><b/><b/><b/></a>", limits=limits).rule == "XML-009"


def attributes(count: int) -> bytes:
    return b" ".join(b'a%d="=>"' % number for number in range(count))


@pytest.mark.parametrize("padding", [0, 300_000])
@pytest.mark.parametrize(("count", "good"), [(64, True), (65, False), (20_000, False)])
def test_attributes(count: int, good: bool, padding: int) -> None:
    """Small messages are looked at as a tree, large ones as bytes: the verdict is the same."""
    data = b"<a><b %s/>%s</a>" % (attributes(count), b"=" * padding)
    if good:
        assert len(parse(data)[0].attrib) == count
    else:
        assert refused(data).rule == "XML-010"


def test_flood_of_attributes_builds_no_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("the bytes reached libxml2")

    monkeypatch.setattr(etree, "fromstring", never)
    assert refused(b"<a %s/>" % attributes(60_000)).rule == "XML-010"
    many = b"<a>" + b"<b/>" * 20_000 + b"<c %s/>" % attributes(40_000) + b"</a>"
    assert refused(many).rule == "XML-010"


def test_inline_base64_of_32_megabytes() -> None:
    size = 32 * 1024 * 1024
    data = b"<a><b>" + b"QUJD" * (size // 4) + b"</b></a>"
    assert refused(data).rule == "XML-007"
    root = parse(data, limits=Limits(max_bytes=size + 1000))
    assert len(root[0].text or "") == size


# ---- what is not XML ----


@pytest.mark.parametrize("data", [b"", b" \r\n\t", b"\xef\xbb\xbf"])
def test_empty(data: bytes) -> None:
    assert refused(data, what="root part").rule in {"XML-001", "XML-002"}


@pytest.mark.parametrize(
    "data",
    [
        b"<a>",
        b"<a></b>",
        b"text",
        b"<a/><b/>",
        b"<a b=1/>",
        b"<x:a/>",
        b'<a b="1" b="2"/>',
        b"\0",
        b"<a>\0</a>",
        b"<a>\x01</a>",
        b"<",
    ],
)
def test_not_well_formed(data: bytes) -> None:
    assert refused(data).rule in {"XML-001", "XML-005"}


def test_the_place_of_the_fault_is_named() -> None:
    error = refused(b"<a>\n<b>\n  <wsu:Timestamp/></b></a>", what="SOAP envelope")
    assert (error.rule, error.line) == ("XML-001", 3)
    assert "SOAP envelope" in error.message and "wsu" in error.message


def test_every_prefix_of_a_message_is_refused_and_the_whole_is_read() -> None:
    data = ENVELOPE.encode()
    for length in range(len(data)):
        refused(data[:length])
    assert parse(data)[0].text == "é"


# ---- feeding ----


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_feed_equals_parse(size: int) -> None:
    data = ('<?xml version="1.0" encoding="UTF-16"?>' + ENVELOPE).encode("utf-16")
    notes: list[ParseNote] = []
    parser = FeedParser(charset="utf-16", notes=notes)
    for start in range(0, len(data), size):
        parser.feed(memoryview(data)[start : start + size])
    assert etree.tostring(parser.close()) == etree.tostring(parse(data))
    assert notes == []


def test_feed_stops_at_the_limit() -> None:
    parser = FeedParser(limits=Limits(max_bytes=10), what="root part")
    parser.feed(b"<a>12345")
    with pytest.raises(ParseError, match="root part") as caught:
        parser.feed(b"678</a>")
    assert caught.value.rule == "XML-007"


def test_parsers_run_side_by_side() -> None:
    data = ENVELOPE.encode()
    seen: list[str | None] = []

    def work() -> None:
        for _ in range(200):
            seen.append(parse(data)[0].text)
            with pytest.raises(ParseError):
                parse(b"<a>")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == ["é"] * 800
