"""Requests for the tests of the wire, and an endpoint that records what reached its handlers.

Namespaces, actions and MIME headers are typed again here, so that an error in the code's own constants cannot hide.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lxml import etree

from metadata.rules.rule import Refused
from metadata.vocabulary import ResponseStatus, Transaction
from soap.body.adhoc_query import build_adhoc_query_response
from soap.body.provide import judge_media_type, parse_provide
from soap.body.registry_response import build_registry_response
from soap.body.retrieve import Retrieved, build_retrieve_answer, parse_document_requests
from soap.call import Answer, Call
from soap.endpoint import Endpoint, EndpointOptions, Exchange
from soap.limits import Limits
from soap.staging import FolderStaging
from soap.wire import Wire

S12 = "http://www.w3.org/2003/05/soap-envelope"
S11 = "http://schemas.xmlsoap.org/soap/envelope/"
WSA = "http://www.w3.org/2005/08/addressing"
ITI_18 = "urn:ihe:iti:2007:RegistryStoredQuery"
ITI_41 = "urn:ihe:iti:2007:ProvideAndRegisterDocumentSet-b"
ITI_42 = "urn:ihe:iti:2007:RegisterDocumentSet-b"
ITI_43 = "urn:ihe:iti:2007:RetrieveDocumentSet"
MESSAGE_ID = "urn:uuid:0fbfdced-6c01-4d09-a110-2201afedaa02"

SUBMIT = (
    '<lcm:SubmitObjectsRequest xmlns:lcm="urn:oasis:names:tc:ebxml-regrep:xsd:lcm:3.0">'
    '<rim:RegistryObjectList xmlns:rim="urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0"/></lcm:SubmitObjectsRequest>'
)
QUERY = (
    '<query:AdhocQueryRequest xmlns:query="urn:oasis:names:tc:ebxml-regrep:xsd:query:3.0">'
    '<query:ResponseOption returnComposedObjects="true" returnType="ObjectRef"/>'
    '<rim:AdhocQuery xmlns:rim="urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0" id="urn:uuid:14d4debf-8f97-4251-9a74-a90016b0af0d">'
    '<rim:Slot name="$XDSDocumentEntryPatientId"><rim:ValueList><rim:Value>'
    "'st3498702^^^&amp;1.3.6.1.4.1.21367.2005.3.7&amp;ISO'</rim:Value></rim:ValueList></rim:Slot>"
    '<rim:Slot name="$XDSDocumentEntryStatus"><rim:ValueList><rim:Value>'
    "('urn:oasis:names:tc:ebxml-regrep:StatusType:Approved')</rim:Value></rim:ValueList></rim:Slot>"
    "</rim:AdhocQuery></query:AdhocQueryRequest>"
)
RETRIEVE = (
    '<xds:RetrieveDocumentSetRequest xmlns:xds="urn:ihe:iti:xds-b:2007"><xds:DocumentRequest>'
    "<xds:RepositoryUniqueId>1.2.3</xds:RepositoryUniqueId><xds:DocumentUniqueId>1.2.3.4</xds:DocumentUniqueId>"
    "</xds:DocumentRequest></xds:RetrieveDocumentSetRequest>"
)
DOCUMENT = b"%PDF-1.4\r\n--not a boundary\r\n\x00\xff\r\n"


def provide(content: str = "", submit: str = SUBMIT, attributes: str = "") -> str:
    """An ITI-41 body with one xds:Document, by default an Include of the part doc@x."""
    include = '<xop:Include xmlns:xop="http://www.w3.org/2004/08/xop/include" href="cid:doc@x"/>'
    document = f'<xds:Document id="Document01"{attributes}>{content or include}</xds:Document>'
    return (
        f'<xds:ProvideAndRegisterDocumentSetRequest xmlns:xds="urn:ihe:iti:xds-b:2007">{submit}{document}'
        "</xds:ProvideAndRegisterDocumentSetRequest>"
    )


def envelope(body: str, action: str, more: str = "") -> bytes:
    """A SOAP 1.2 envelope as the standard wants it; `more` are further headers."""
    return (
        f'<s:Envelope xmlns:s="{S12}" xmlns:wsa="{WSA}"><s:Header><wsa:Action s:mustUnderstand="1">{action}</wsa:Action>'
        f"<wsa:MessageID>{MESSAGE_ID}</wsa:MessageID>{more}</s:Header><s:Body>{body}</s:Body></s:Envelope>"
    ).encode()


@dataclass(frozen=True, slots=True)
class Sent:
    """One request. `environ` overrides what the WSGI server would set; None takes a key away."""

    path: str
    content_type: str
    body: bytes
    environ: dict[str, str | None] = field(default_factory=dict)

    def swap(self, old: bytes, new: bytes) -> Sent:
        """The same with the first `old` in the body made `new`; `old` must be there."""
        assert old in self.body, old
        return replace(self, body=self.body.replace(old, new, 1))

    def swap_all(self, old: bytes, new: bytes) -> Sent:
        assert old in self.body, old
        return replace(self, body=self.body.replace(old, new))

    def typed(self, old: str, new: str) -> Sent:
        """The same with another piece of Content-Type."""
        assert old in self.content_type, old
        return replace(self, content_type=self.content_type.replace(old, new))

    def with_headers(self, **environ: str | None) -> Sent:
        """The same with HTTP headers by their WSGI names."""
        return replace(self, environ={**self.environ, **environ})

    def on(self, path: str) -> Sent:
        return replace(self, path=path)


PACKAGE_TYPE = (
    'multipart/related; boundary="MIMEBoundary_1"; type="application/xop+xml"; start="<root@x>"; '
    'start-info="application/soap+xml"'
)
ROOT_HEAD = (
    b'Content-Type: application/xop+xml; charset=UTF-8; type="application/soap+xml"\r\n'
    b"Content-Transfer-Encoding: binary\r\nContent-ID: <root@x>\r\n\r\n"
)
PART_HEAD = b"Content-Type: text/plain\r\nContent-Transfer-Encoding: binary\r\nContent-ID: <doc@x>\r\n\r\n"


def package(root: bytes, document: bytes | None = DOCUMENT, path: str = "/xds/repository") -> Sent:
    """A package as the standard wants it: the root, and the part doc@x unless `document` is None."""
    parts = [ROOT_HEAD + root] + ([PART_HEAD + document] if document is not None else [])
    body = b"".join(b"--MIMEBoundary_1\r\n" + part + b"\r\n" for part in parts) + b"--MIMEBoundary_1--\r\n"
    return Sent(path, PACKAGE_TYPE, body)


def mtom(body: str | None = None, more: str = "", document: bytes | None = DOCUMENT) -> Sent:
    """ITI-41 as MTOM."""
    return package(envelope(body if body is not None else provide(), ITI_41, more), document)


def plain(body: str = QUERY, action: str = ITI_18, more: str = "", path: str = "/xds/registry") -> Sent:
    """ITI-18 (or another) as plain SOAP."""
    return Sent(path, f'application/soap+xml; charset=UTF-8; action="{action}"', envelope(body, action, more))


@dataclass(slots=True)
class Got:
    """The answer to one request, and what the endpoint tells of it."""

    status: int
    headers: dict[str, str]
    body: bytes
    exchange: Exchange

    @property
    def envelope(self) -> etree._Element:
        """The envelope, out of its package where there is one."""
        match = re.search(rb"<\?xml.*?:Envelope>(?=\r\n--MIME|\Z)", self.body, re.DOTALL)
        assert match, self.body[:200]
        return etree.fromstring(match[0])

    @property
    def rule(self) -> str:
        """The rule id in the detail of a fault, "" where the answer is none. A fault of SOAP 1.2 says its reason twice."""
        languages = self.envelope.xpath("//*[local-name()='Reason']/*[local-name()='Text']/@xml:lang")
        assert languages in ([], ["en", "fr"]), self.reason
        return str(self.envelope.xpath("string(//*[local-name()='Diagnosis']/@rule)"))

    @property
    def reason(self) -> str:
        return str(self.envelope.xpath("string(//*[local-name()='Text' or local-name()='faultstring'])"))

    @property
    def notes(self) -> set[str]:
        return {note.id for note in self.exchange.notes}

    def header(self, local: str) -> str:
        """Text of a WS-Addressing header of the answer."""
        return str(self.envelope.xpath(f"string(/*/*[local-name()='Header']/*[local-name()='{local}'])"))


class Recorder:
    """An endpoint whose handlers answer Success and keep what they were given."""

    def __init__(self, folder: Path, wire: Wire | None = None, limits: Limits | None = None, **options: Any) -> None:
        self.folder = folder / "staging"
        self.calls: list[Call] = []
        self.documents: list[dict[str, bytes]] = []
        self.exchanges: list[Exchange] = []
        self.instead: Callable[[Call], Answer] | None = None
        self.mime_type = "text/plain"
        handlers = dict.fromkeys((Transaction.ITI_18, Transaction.ITI_41, Transaction.ITI_42, Transaction.ITI_43), self._handle)
        self.endpoint = Endpoint(
            handlers,
            EndpointOptions(
                FolderStaging(self.folder), limits or Limits(), wire or Wire(), observe=self.exchanges.append, **options
            ),
        )

    def _handle(self, call: Call) -> Answer:
        self.calls.append(call)
        if self.instead is not None:
            return self.instead(call)
        if call.transaction is Transaction.ITI_18:
            return Answer(build_adhoc_query_response(ResponseStatus.SUCCESS), ResponseStatus.SUCCESS)
        if call.transaction is Transaction.ITI_43:
            found = [Retrieved(r, "text/plain", len(DOCUMENT), [DOCUMENT]) for r in parse_document_requests(call.body)]
            return build_retrieve_answer(call, ResponseStatus.SUCCESS, found)
        if call.transaction is Transaction.ITI_41:
            provided = parse_provide(call)
            for document in provided.documents:
                judge_media_type(document, self.mime_type, call)
            self.documents.append({d.id: b"".join(d.part.chunks()) for d in provided.documents})
        return Answer([build_registry_response(ResponseStatus.SUCCESS)], ResponseStatus.SUCCESS)

    def post(self, sent: Sent, chunk: int = 0, source: Any = None) -> Got:
        """Sends a request. `chunk`: the body comes in pieces of that many octets."""
        body = source or (Dribble(sent.body, chunk) if chunk else io.BytesIO(sent.body))
        environ: dict[str, Any] = {
            "REQUEST_METHOD": "POST",
            "SCRIPT_NAME": "",
            "PATH_INFO": sent.path,
            "QUERY_STRING": "",
            "CONTENT_TYPE": sent.content_type,
            "CONTENT_LENGTH": str(len(sent.body)),
            "HTTP_HOST": "xds.example.org",
            "REMOTE_ADDR": "192.0.2.7",
            "wsgi.url_scheme": "http",
            "wsgi.input": body,
        }
        environ.update(sent.environ)
        return self.ask({name: value for name, value in environ.items() if value is not None})

    def get(self, path: str, query: str = "", method: str = "GET", host: str = "xds.example.org") -> Got:
        return self.ask(
            {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query, "HTTP_HOST": host, "wsgi.input": io.BytesIO()}
        )

    def ask(self, environ: dict[str, Any]) -> Got:
        started: list[Any] = []
        answer: Any = self.endpoint(environ, lambda status, headers: started.extend((status, headers)))
        try:
            body = b"".join(answer)
        finally:
            answer.close()
        headers = dict(started[1])
        assert int(headers["Content-Length"]) == len(body)
        return Got(int(started[0][:3]), headers, body, self.exchanges[-1])

    def staged(self) -> list[str]:
        """Files left in the staging folder."""
        return [path.name for path in self.folder.iterdir()] if self.folder.exists() else []


class Dribble:
    """wsgi.input that gives at most `size` octets at a time."""

    def __init__(self, data: bytes, size: int) -> None:
        self._data = io.BytesIO(data)
        self._size = size

    def read(self, n: int) -> bytes:
        return self._data.read(min(n, self._size))


class Repeated:
    """wsgi.input of a head, a block many times over, and a tail, without holding it."""

    def __init__(self, head: bytes, block: bytes, times: int, tail: bytes) -> None:
        self.length = len(head) + len(block) * times + len(tail)
        self._pieces = self._make(head, block, times, tail)
        self._rest = b""

    @staticmethod
    def _make(head: bytes, block: bytes, times: int, tail: bytes) -> Iterable[bytes]:
        yield head
        for _ in range(times):
            yield block
        yield tail

    def read(self, n: int) -> bytes:
        while len(self._rest) < n:
            piece = next(iter(self._pieces), None)
            if piece is None:
                break
            self._rest += piece
        data, self._rest = self._rest[:n], self._rest[n:]
        return data


def refuse(*findings: Any) -> Callable[[Call], Answer]:
    """A handler that refuses."""

    def handler(call: Call) -> Answer:
        raise Refused(findings)

    return handler
