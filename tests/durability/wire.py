"""The smallest client that can tell what a server has kept: ITI-41, ITI-18 and ITI-43 over `http.client`, nothing of ours in it.

An answer that never comes raises `NoAnswer`: whether the submission was registered is then unknown, as for a real source.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from lxml import etree

from metadata.fragments import build_submit_objects_request
from server.description import build_submission, document_id, new_oid
from tests.repository.submissions import describe

SECONDS = 60
SUCCESS = "urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Success"
FAILURE = "urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Failure"
GET_DOCUMENTS = "urn:uuid:5c4f972b-d56b-40ac-a5fc-c8ca9b40b9d4"
_SOAP, _WSA = "http://www.w3.org/2003/05/soap-envelope", "http://www.w3.org/2005/08/addressing"
_RIM, _XDS = "urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0", "urn:ihe:iti:xds-b:2007"
_QUERY, _RS = "urn:oasis:names:tc:ebxml-regrep:xsd:query:3.0", "urn:oasis:names:tc:ebxml-regrep:xsd:rs:3.0"
_XOP = "http://www.w3.org/2004/08/xop/include"
_NS = {"rim": _RIM, "xds": _XDS, "rs": _RS, "s": _SOAP}
_BOUNDARY = "uuid-of-the-durability-tests"


class NoAnswer(Exception):
    """The connection broke before a whole answer had come."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: status and errors of the rs:RegistryResponse (or the fault's text), the body and its parts."""

    http: int
    status: str
    errors: tuple[tuple[str, str], ...]
    root: etree._Element
    parts: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    @property
    def codes(self) -> list[str]:
        return [code for code, _ in self.errors]

    def __str__(self) -> str:
        return f"HTTP {self.http} {self.status} {self.errors}"


@dataclass(frozen=True, slots=True)
class Submission:
    """One ITI-41 that can be sent again as it was: documents by uniqueId, and the message's metadata."""

    documents: Mapping[str, bytes]
    metadata: bytes


def submission(*sizes: int) -> Submission:
    """A new submission of random documents of these sizes."""
    documents = {new_oid(): os.urandom(size) for size in sizes}
    described = build_submission([describe(unique_id) for unique_id in documents], source_id="1.2.3.4")
    return Submission(documents, build_submit_objects_request(described))


class Wire:
    """A server's two addresses. One connection per request: a broken one breaks nothing else."""

    def __init__(self, repository: str, registry: str) -> None:
        self.repository = repository
        self.registry = registry

    def provide(self, sent: Submission) -> Reply:
        """ITI-41 as MTOM."""
        ids = [document_id(number) for number in range(len(sent.documents))]
        documents = "".join(
            f'<xds:Document id="{i}"><xop:Include xmlns:xop="{_XOP}" href="cid:{i}@test"/></xds:Document>' for i in ids
        )
        body = f'<xds:ProvideAndRegisterDocumentSetRequest xmlns:xds="{_XDS}">'.encode()
        body += sent.metadata + documents.encode() + b"</xds:ProvideAndRegisterDocumentSetRequest>"
        parts = {f"{i}@test": content for i, content in zip(ids, sent.documents.values(), strict=True)}
        return _mtom(self.repository, "urn:ihe:iti:2007:ProvideAndRegisterDocumentSet-b", body, parts)

    def query(self, unique_ids: Iterable[str]) -> dict[str, tuple[str, int, str, str]]:
        """ITI-18 GetDocuments: (hash, size, repositoryUniqueId, status) by uniqueId."""
        values = "".join(f"<rim:Value>('{unique_id}')</rim:Value>" for unique_id in unique_ids)
        body = (
            f'<q:AdhocQueryRequest xmlns:q="{_QUERY}" xmlns:rim="{_RIM}"><q:ResponseOption returnComposedObjects="true" '
            f'returnType="LeafClass"/><rim:AdhocQuery id="{GET_DOCUMENTS}"><rim:Slot name="$XDSDocumentEntryUniqueId">'
            f"<rim:ValueList>{values}</rim:ValueList></rim:Slot></rim:AdhocQuery></q:AdhocQueryRequest>"
        )
        reply = _soap(self.registry, "urn:ihe:iti:2007:RegistryStoredQuery", body.encode())
        assert reply.status == SUCCESS, reply
        return dict(_entry(entry) for entry in reply.root.iterfind(".//rim:ExtrinsicObject", _NS))

    def retrieve(self, repository_unique_id: str, unique_ids: Iterable[str]) -> tuple[Reply, dict[str, bytes]]:
        """ITI-43 as MTOM: the reply, and the bytes by uniqueId."""
        asked = "".join(
            f"<xds:DocumentRequest><xds:RepositoryUniqueId>{repository_unique_id}</xds:RepositoryUniqueId>"
            f"<xds:DocumentUniqueId>{unique_id}</xds:DocumentUniqueId></xds:DocumentRequest>"
            for unique_id in unique_ids
        )
        body = f'<xds:RetrieveDocumentSetRequest xmlns:xds="{_XDS}">{asked}</xds:RetrieveDocumentSetRequest>'
        reply = _mtom(self.repository, "urn:ihe:iti:2007:RetrieveDocumentSet", body.encode(), {})
        documents = {}
        for response in reply.root.iterfind(".//xds:DocumentResponse", _NS):
            include = response.find(f"xds:Document/{{{_XOP}}}Include", _NS)
            assert include is not None
            content_id = (include.get("href") or "").removeprefix("cid:").replace("%40", "@")
            documents[response.findtext("xds:DocumentUniqueId", "", _NS)] = reply.parts[content_id]
        return reply, documents


def sha1(content: bytes) -> str:
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()


def _entry(entry: etree._Element) -> tuple[str, tuple[str, int, str, str]]:
    slots = {s.get("name"): s.findtext(".//rim:Value", "", _NS) for s in entry.iterfind("rim:Slot", _NS)}
    identifiers = entry.iterfind("rim:ExternalIdentifier", _NS)
    unique_id = next(i.get("value", "") for i in identifiers if "2e82c1f6" in i.get("identificationScheme", ""))
    return unique_id, (slots["hash"], int(slots["size"]), slots["repositoryUniqueId"], entry.get("status", ""))


def _envelope(url: str, action: str, body: bytes) -> bytes:
    head = (
        f'<s:Envelope xmlns:s="{_SOAP}" xmlns:a="{_WSA}"><s:Header><a:Action s:mustUnderstand="1">{action}</a:Action>'
        f"<a:MessageID>urn:uuid:{uuid.uuid4()}</a:MessageID><a:To>{url}</a:To></s:Header><s:Body>"
    )
    return head.encode() + body + b"</s:Body></s:Envelope>"


def _soap(url: str, action: str, body: bytes) -> Reply:
    media = f'application/soap+xml; charset=UTF-8; action="{action}"'
    return _reply(*_post(url, media, [_envelope(url, action, body)]))


def _mtom(url: str, action: str, body: bytes, parts: Mapping[str, bytes]) -> Reply:
    media = (
        f'multipart/related; type="application/xop+xml"; start="<root@test>"; start-info="application/soap+xml"; '
        f'action="{action}"; boundary="{_BOUNDARY}"'
    )
    root = 'application/xop+xml; charset=UTF-8; type="application/soap+xml"'
    pieces = [_part_head(root, "root@test"), _envelope(url, action, body)]
    for content_id, content in parts.items():
        pieces += [_part_head("text/plain", content_id), content]
    return _reply(*_post(url, media, [*pieces, f"\r\n--{_BOUNDARY}--\r\n".encode()]))


def _part_head(media: str, content_id: str) -> bytes:
    lines = (f"--{_BOUNDARY}", f"Content-Type: {media}", "Content-Transfer-Encoding: binary", f"Content-ID: <{content_id}>")
    return "".join(f"\r\n{line}" for line in lines).encode() + b"\r\n\r\n"


def _post(url: str, media: str, pieces: list[bytes]) -> tuple[int, str, bytes]:
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=SECONDS)
    try:
        connection.putrequest("POST", address.path)
        connection.putheader("Content-Type", media)
        connection.putheader("Content-Length", str(sum(map(len, pieces))))
        connection.endheaders()
        for piece in pieces:
            connection.send(piece)
        answer = connection.getresponse()
        return answer.status, answer.getheader("Content-Type", ""), answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise NoAnswer(f"{type(error).__name__}: {error}") from error
    finally:
        connection.close()


def _reply(status: int, media: str, body: bytes) -> Reply:
    parts: dict[str, bytes] = {}
    if media.startswith("multipart/"):
        found = re.search(r'boundary="?([^";]+)', media)
        assert found, media
        split = dict(_split(body, found[1].encode()))
        start = re.search(r'start="?<([^>]+)', media)
        content_id = start[1] if start else next(iter(split))
        parts, body = split, split.pop(content_id)
    if "xml" not in media:
        raise AssertionError(f"HTTP {status} {media}: {body[:500]!r}")
    root = etree.fromstring(body)
    with_status = [e for e in root.iter("{*}RegistryResponse", "{*}AdhocQueryResponse") if e.get("status")]
    errors = tuple((e.get("errorCode", ""), e.get("codeContext", "")) for e in root.iter(f"{{{_RS}}}RegistryError"))
    faults = tuple(("Fault", " ".join(map(str, f.itertext()))) for f in root.iter(f"{{{_SOAP}}}Fault"))
    return Reply(status, with_status[0].get("status", "") if with_status else "", errors + faults, root, parts)


def _split(body: bytes, boundary: bytes) -> Iterator[tuple[str, bytes]]:
    pieces = (b"\r\n" + body).split(b"\r\n--" + boundary)
    if not pieces[-1].startswith(b"--"):
        raise NoAnswer("the closing delimiter is missing")
    for piece in pieces[1:-1]:
        head, _, content = piece.partition(b"\r\n\r\n")
        content_id = re.search(rb"content-id:\s*<([^>]+)>", head, re.IGNORECASE)
        yield (content_id[1].decode() if content_id else "", content)
