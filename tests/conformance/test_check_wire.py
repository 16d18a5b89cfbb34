"""The lint meets the same quirks as the server: every case of the wire's rows, as a file."""

from __future__ import annotations

import pytest

from conformance.check import check_octets
from conformance.check_result import Level
from soap.wire import QUIRKS, Do
from tests.conformance import files
from tests.conformance.files import at
from tests.soap.messages import Sent
from tests.soap.test_wire_rows import CASES, A

#: What a file cannot show: two lengths in one header, and a media type against metadata that these messages do not have.
NOT_IN_A_FILE = {("WIRE-002-two", "two lengths"), ("WIRE-002-two", "signed length"), ("WIRE-040", "text/xml")}


def as_file(sent: Sent) -> bytes:
    """The request as it is captured."""
    environ: dict[str, str | None] = {
        "CONTENT_TYPE": sent.content_type, "CONTENT_LENGTH": str(len(sent.body)), **sent.environ,
    }  # fmt: skip
    lines = [f"POST {sent.path} HTTP/1.1", "Host: xds.example.org"]
    for name, value in environ.items():
        if value is not None:
            lines.append(f"{name.removeprefix('HTTP_').replace('_', '-').title()}: {value}")
    body = sent.body
    if environ.get("HTTP_TRANSFER_ENCODING") == "chunked":
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]} {case[4]}")
def test_the_lint_meets_what_the_server_meets(case: tuple[str, Sent, str, str, str]) -> None:
    row, sent, _, strict, shown = case
    if (row, shown) in NOT_IN_A_FILE:
        return
    checked = check_octets(as_file(sent))
    found = {one.rule: one.level for one in checked.found}
    if strict == A:
        assert row not in found
        assert not [rule for rule, level in found.items() if rule.startswith("WIRE") and level is Level.ERROR]
    else:
        wanted = Level.ERROR if QUIRKS[row].default is Do.REFUSE else Level.TOLERATED
        assert found.get(row) is wanted, [(one.rule, one.message) for one in checked.found]


def test_the_media_type_of_a_part_is_compared_with_its_entry() -> None:
    data = files.request(files.package(files.envelope(files.provide()), media="application/octet-stream"))
    found = next(one for one in check_octets(data).found if one.rule == "WIRE-040")
    assert found.level is Level.TOLERATED and (found.line, found.column) == at(data, "Content-Type: application/octet-stream")


def test_prefixes_of_identifiers_are_told() -> None:
    body = """<xds:RetrieveDocumentSetRequest xmlns:xds="urn:ihe:iti:xds-b:2007"><xds:DocumentRequest>
<xds:HomeCommunityId>1.2.3</xds:HomeCommunityId>
<xds:RepositoryUniqueId>urn:oid:1.2.3</xds:RepositoryUniqueId>
<xds:DocumentUniqueId>urn:oid:1.2.3.4</xds:DocumentUniqueId>
</xds:DocumentRequest></xds:RetrieveDocumentSetRequest>"""
    data = files.envelope(body, "urn:ihe:iti:2007:RetrieveDocumentSet").encode()
    places = [(one.line, one.column) for one in check_octets(data).found if one.rule == "WIRE-061"]
    assert places == [at(data, f"<xds:{name}") for name in ("HomeCommunityId", "RepositoryUniqueId", "DocumentUniqueId")]
