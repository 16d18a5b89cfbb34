"""xds:RetrieveDocumentSetRequest and its response (ITI TF-2: 3.43.4.1.2, 3.43.4.2.2)."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import quote
from xml.sax.saxutils import escape

from lxml import etree

from metadata.rules.rule import Finding
from metadata.vocabulary import ResponseStatus
from schemas.namespaces import RS, XDS, XOP, q
from soap.body.registry_response import build_error_list
from soap.call import Answer, Attachment, Call, Inline

_REQUEST = q(XDS, "DocumentRequest")
_HOME, _REPOSITORY, _DOCUMENT = q(XDS, "HomeCommunityId"), q(XDS, "RepositoryUniqueId"), q(XDS, "DocumentUniqueId")


@dataclass(frozen=True, slots=True)
class DocumentRequest:
    """One document asked for, the ids as they came: the response repeats them. `home` is empty where it was absent."""

    home: str
    repositoryUniqueId: str
    documentUniqueId: str
    line: int | None = None


def parse_document_requests(element: etree._Element) -> tuple[DocumentRequest, ...]:
    """The requests of an ITI-43 or ITI-86 body, in order (WIRE-065: any number). A urn: prefix too many or too few is the
    repository's to judge (WIRE-061): it alone knows how an id is stored."""
    return tuple(_document_request(request) for request in element.iterchildren(_REQUEST))


def _document_request(element: etree._Element) -> DocumentRequest:
    home, repository, document = ((element.findtext(name) or "").strip() for name in (_HOME, _REPOSITORY, _DOCUMENT))
    return DocumentRequest(home, repository, document, cast(Any, element.sourceline))


def build_retrieve_request(requests: Iterable[tuple[str, str, str]]) -> bytes:
    """A finished xds:RetrieveDocumentSetRequest of (home or "", repositoryUniqueId, documentUniqueId)."""
    root = etree.Element(q(XDS, "RetrieveDocumentSetRequest"), nsmap={"xds": XDS})
    for home, repository, document in requests:
        item = etree.SubElement(root, _REQUEST)
        for name, value in ((_HOME, home), (_REPOSITORY, repository), (_DOCUMENT, document)):
            if value:
                etree.SubElement(item, name).text = value
    return etree.tostring(root)


@dataclass(frozen=True, slots=True)
class Retrieved:
    """One document found: the request it answers, what it is, and its content as a stream of exactly `size` octets."""

    request: DocumentRequest
    mimeType: str
    size: int
    chunks: Iterable[bytes]
    newRepositoryUniqueId: str = ""
    newDocumentUniqueId: str = ""


def build_retrieve_answer(
    call: Call, status: ResponseStatus, documents: Sequence[Retrieved], findings: Sequence[Finding] = (), explain_base: str = ""
) -> Answer:
    """The answer in the form of the request: parts with xop:Include for MTOM, streamed base64 for plain SOAP."""
    pieces: list[bytes | Inline] = [build_retrieve_head(status, findings, explain_base)]
    attachments = []
    for number, document in enumerate(documents, 1):
        attachment = Attachment(f"document{number}@carnet", document.mimeType, document.size, document.chunks)
        pieces.append(_response_head(document))
        if call.mtom:
            attachments.append(attachment)
            pieces.append(f'<xop:Include xmlns:xop="{XOP}" href="cid:{quote(attachment.content_id)}"/>'.encode())
        else:
            pieces.append(Inline(attachment))
        pieces.append(b"</xds:Document></xds:DocumentResponse>")
    pieces.append(RETRIEVE_TAIL)
    return Answer(pieces, status, findings, attachments)


RETRIEVE_TAIL = b"</xds:RetrieveDocumentSetResponse>"


def build_retrieve_head(status: ResponseStatus, findings: Iterable[Finding], explain_base: str = "") -> bytes:
    """Opens xds:RetrieveDocumentSetResponse, with the rs:RegistryResponse inside."""
    errors = build_error_list(findings, explain_base)
    head = f'<xds:RetrieveDocumentSetResponse xmlns:xds="{XDS}"><rs:RegistryResponse xmlns:rs="{RS}" status="{status.value}"'
    return head.encode() + (b">" + errors + b"</rs:RegistryResponse>" if errors else b"/>")


def _response_head(document: Retrieved) -> bytes:
    fields = (
        ("HomeCommunityId", document.request.home),
        ("RepositoryUniqueId", document.request.repositoryUniqueId),
        ("DocumentUniqueId", document.request.documentUniqueId),
        ("NewRepositoryUniqueId", document.newRepositoryUniqueId),
        ("NewDocumentUniqueId", document.newDocumentUniqueId),
        ("mimeType", document.mimeType),
    )
    written = "".join(f"<xds:{name}>{escape(value)}</xds:{name}>" for name, value in fields if value)
    return f"<xds:DocumentResponse>{written}<xds:Document>".encode()


def base64_size(size: int) -> int:
    """Characters of the base64 of `size` octets."""
    return (size + 2) // 3 * 4


def base64_stream(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """base64 of a stream, chunk by chunk."""
    rest = b""
    for chunk in chunks:
        data = rest + chunk
        whole = len(data) - len(data) % 3
        rest = data[whole:]
        yield base64.b64encode(memoryview(data)[:whole])
    if rest:
        yield base64.b64encode(rest)
