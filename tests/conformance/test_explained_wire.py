"""Examples of the wire and of queries that stand in `examples_*.toml`: put into a right request, the wrong one has the lint find
its rule, the right one not. Line ends are written out in them where they matter."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from conformance.check import check_octets
from conformance.explanations.catalogue import explanations
from tests.conformance import files

BOOK = explanations()
QUERY = "urn:ihe:iti:2007:RegistryStoredQuery"
_DOCUMENT = re.compile(r"<xds:Document .*?</xds:Document>", re.DOTALL)
_ENVELOPE = files.envelope(files.query(), QUERY)
_RETRIEVE = files.envelope(
    '<xds:RetrieveDocumentSetRequest xmlns:xds="urn:ihe:iti:xds-b:2007"><xds:DocumentRequest><xds:RepositoryUniqueId>1.2.3'
    "</xds:RepositoryUniqueId><xds:DocumentUniqueId>1.2</xds:DocumentUniqueId></xds:DocumentRequest></xds:RetrieveDocumentSetRequest>",
    "urn:ihe:iti:2007:RetrieveDocumentSet",
)
#: What the parser says of a file alone, and the row of the wire that says it of a message.
_IN_A_MESSAGE = {
    "XML-004": "WIRE-050", "XML-005": "WIRE-048-two", "XML-011": "WIRE-050", "XML-101": "WIRE-049", "XML-102": "WIRE-048-name"
}  # fmt: skip


def octets(text: str) -> bytes:
    r"""The lines with the ends that are written out (`\r\n`, `\n`); others end as the text does."""
    lines = [line.replace("\\r\\n", "\r\n").replace("\\n", "\n") for line in text.splitlines()]
    return "".join(line if line.endswith("\n") else line + "\n" for line in lines).encode()


def content_type(text: str) -> str:
    found = re.search(r"^Content-Type: (.*)$", text, re.MULTILINE)
    assert found
    return found[1]


def mtom_header(text: str) -> bytes:
    return files.request(files.package(files.envelope(files.provide())), content_type(text))


def retrieve(text: str) -> bytes:
    stated = content_type(text)
    body = files.package(_RETRIEVE) if stated.startswith("multipart") else _RETRIEVE.encode()
    return files.request(body, stated)


def plain(text: str) -> bytes:
    """A query under the Content-Type of the example, if it has one, and behind its first lines."""
    head, _, rest = text.rpartition("\n\n")
    rest, _, value = rest.partition("\n<rim:")
    said = _ENVELOPE.replace("IPP1001", "é") if "é" in value else _ENVELOPE
    return files.request(octets(rest) + said.encode(), content_type(head) if head else "application/soap+xml", "/xds/registry")


def package(text: str) -> bytes:
    return files.request(octets(text.replace("<s:Envelope>...</s:Envelope>", files.envelope(files.provide()))))


def head_of_root(text: str) -> bytes:
    whole = files.package(files.envelope(files.provide()))
    bent = octets(text) + whole.partition(b"\r\n\r\n")[2]
    return files.request(bent if b"\r" in octets(text) else bent.replace(b"\r\n", b"\n"))


def document_part(text: str) -> bytes:
    whole = files.package(files.envelope(files.provide()))
    at = whole.rindex(b"Content-Transfer-Encoding")
    return files.request(whole[:at] + text.encode() + whole[whole.index(b"\r\n", at) :])


def documents(text: str) -> bytes:
    """As many xds:Document and parts as the example names."""
    elements, _, headers = text.partition("\n\n")
    elements = elements.replace("<xop:Include", '<xop:Include xmlns:xop="http://www.w3.org/2004/08/xop/include"')
    root = files.envelope(_DOCUMENT.sub(lambda _: elements, files.provide()))
    whole = files.package(root)
    start = whole.rindex(b"--MIME_a1\r\n")
    part, end = whole[start : whole.rindex(b"--MIME_a1--")], whole[whole.rindex(b"--MIME_a1--") :]
    ids = re.findall(r"<([^>]+)>", headers)
    return files.request(whole[:start] + b"".join(part.replace(b"doc@example.org", id.encode()) for id in ids) + end)


def in_document(text: str) -> bytes:
    root = files.envelope(_DOCUMENT.sub(lambda _: text, files.provide()))
    return files.request(files.package(root))


def query(id: str) -> Callable[[str], bytes]:
    def made(text: str) -> bytes:
        body = files.query()
        for name in re.findall(r'<rim:Slot name="([^"]+)"', text):
            body = re.sub(rf'<rim:Slot name="{re.escape(name)}">.*?</rim:Slot>', "", body, flags=re.DOTALL)
        other = BOOK[id].place.get("query")
        if other:
            body = re.sub(r'(?s)(<rim:AdhocQuery id=")[^"]+(">).*?(?=</rim:AdhocQuery>)', rf"\g<1>{other}\g<2>", body)
        return files.envelope(body.replace("</rim:AdhocQuery>", text + "</rim:AdhocQuery>"), QUERY).encode()

    return made


def body(text: str) -> bytes:
    tag = re.match(r"<([\w:]+)", text)
    assert tag
    inner = files.provide().partition(">")[2].rpartition("</")[0]
    return files.envelope(f"{text}{inner}</{tag[1]}>".replace("xds:Document ", 'Document xmlns="urn:ihe:iti:xds-b:2007" ')
                          .replace("</xds:Document>", "</Document>")).encode()  # fmt: skip


def headers(text: str) -> bytes:
    """Header blocks in the place of wsa:Action; start tags alone are closed."""
    if "</" not in text:
        text += f"{QUERY}</wsa:Action>" if "wsa:Action" in text else "</saml2:Assertion>"
    return re.sub(r"<wsa:Action .*?</wsa:Action>", lambda _: text, _ENVELOPE).encode()


def in_preamble(text: str) -> bytes:
    """Where the HTTP header names no boundary, the MIME headers stand before the package, as some stacks write them."""
    named = re.search(r'boundary="(\w+)"', text)
    whole = files.package(files.envelope(files.provide()), boundary=named[1] if named else "MIME_a1")
    before = b"" if named else b"MIME-Version: 1.0\r\nContent-Type: " + files.MTOM.encode() + b"\r\n\r\n"
    return files.request(before + whole, content_type(text))


def cut(text: str) -> bytes:
    whole = files.package(files.envelope(files.provide()), boundary="b")
    stated = files.MTOM.replace("MIME_a1", "b")
    return files.request(whole if text.endswith("--b--") else whole[: whole.rindex(b"\r\n--b--")], stated)


def log_or_capture(text: str) -> bytes:
    """A log is a file as it stands; a capture is one with the rest of the request."""
    if text.startswith("POST"):
        return files.request(_ENVELOPE.encode(), content_type(text), "/xds/registry")
    return text.encode()


CASES: dict[str, Callable[[str], bytes]] = {
    "WIRE-014-nowhere": mtom_header, "WIRE-019-empty": package, "WIRE-028": head_of_root, "WIRE-028-mixed": head_of_root,
    "WIRE-037-bad": document_part, "WIRE-041": documents, "WIRE-041-twice": documents, "WIRE-041-double": documents,
    "SOAP-BODY": body, "WSA-HEADER": headers, "WIRE-014": in_preamble, "WIRE-027": cut, "WIRE-048-two": plain,
    "WIRE-052": headers, "WIRE-056": headers, "WIRE-043-retrieve": retrieve, "WIRE-048-name": plain, "WIRE-049": plain,
    "XML-004": plain, "XML-005": plain, "XML-011": in_document, "XML-101": plain, "XML-102": plain,
    "HTTP-002": log_or_capture, "SQ-EXCLUSIVE": query("SQ-EXCLUSIVE"), "SQ-SINGLE": query("SQ-SINGLE"),
    "SQ-REPEATED": query("SQ-REPEATED"),
}  # fmt: skip
#: What these judge.
JUDGED_WIRE = frozenset(CASES)


@pytest.mark.parametrize("id", CASES)
def test_the_lint_finds_it(id: str) -> None:
    one, rule = BOOK[id], _IN_A_MESSAGE.get(id, id)
    wrong, right = ({found.rule for found in check_octets(CASES[id](text)).found} for text in (one.wrong, one.right))
    assert rule in wrong
    assert rule not in right
