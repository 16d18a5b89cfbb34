"""The client of the kit: http.client and lxml, SOAP 1.2, MTOM. It shares no line with the server.

What it builds and reads is typed from W3C XOP (2005) and ITI TF-2 Appendix V, never from `soap/`, so that one misreading
cannot pass on both sides of the wire.
"""

from __future__ import annotations

import base64
import http.client
import re
import socket
import urllib.parse
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from lxml import etree

from conformance.exchange import Connections, Exchanged, ExchangeError

SOAP = "http://www.w3.org/2003/05/soap-envelope"
WSA = "http://www.w3.org/2005/08/addressing"
XOP = "http://www.w3.org/2004/08/xop/include"
RIM = "urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0"
RS = "urn:oasis:names:tc:ebxml-regrep:xsd:rs:3.0"
LCM = "urn:oasis:names:tc:ebxml-regrep:xsd:lcm:3.0"
QUERY = "urn:oasis:names:tc:ebxml-regrep:xsd:query:3.0"
XDSB = "urn:ihe:iti:xds-b:2007"
ACTIONS = {
    "ITI-41": "urn:ihe:iti:2007:ProvideAndRegisterDocumentSet-b",
    "ITI-42": "urn:ihe:iti:2007:RegisterDocumentSet-b",
    "ITI-18": "urn:ihe:iti:2007:RegistryStoredQuery",
    "ITI-43": "urn:ihe:iti:2007:RetrieveDocumentSet",
    "ITI-51": "urn:ihe:iti:2009:MultiPatientStoredQuery",
    "ITI-57": "urn:ihe:iti:2010:UpdateDocumentSet",
    "ITI-61": "urn:ihe:iti:2010:RegisterOnDemandDocumentEntry",
    "ITI-62": "urn:ihe:iti:2010:DeleteDocumentSet",
    "ITI-86": "urn:ihe:iti:2017:RemoveDocuments",
    "ITI-92": "urn:ihe:iti:2018:RestrictedUpdateDocumentSet",
}
_PARSER = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True, remove_blank_text=False)
TIMEOUT_SECONDS = 120
#: What a system of the kit calls itself in MSH-3.
SENDER = "1.3.6.1.4.1.21367.2017.2"


class WireError(Exception):
    """The answer is not what the standards allow; the text says where."""


@dataclass(frozen=True)
class Part:
    """One document part of a package."""

    content_id: str
    content: bytes
    content_type: str = "application/octet-stream"


@dataclass(frozen=True)
class RegistryError:
    code: str
    context: str
    severity: str
    location: str


@dataclass(frozen=True)
class Answer:
    """One HTTP answer with what it carried. `body` is the child of soap:Body; a fault is told by `fault`."""

    http_status: int
    content_type: str
    body: etree._Element
    envelope: etree._Element
    parts: dict[str, bytes] = field(default_factory=dict)
    exchanged: Exchanged | None = None

    @property
    def fault(self) -> str:
        """The fault's code and reason, empty when there is none."""
        if self.body.tag != f"{{{SOAP}}}Fault":
            return ""
        code = self.body.findtext(f"{{{SOAP}}}Code/{{{SOAP}}}Value", "")
        return f"{code}: {self.body.findtext(f'{{{SOAP}}}Reason/{{{SOAP}}}Text', '')}"

    @property
    def action(self) -> str:
        return self.envelope.findtext(f"{{{SOAP}}}Header/{{{WSA}}}Action", "").strip()

    @property
    def status(self) -> str:
        """Success, PartialSuccess, Failure or Fault."""
        if self.fault:
            return "Fault"
        response = self.body if "status" in self.body.attrib else self.body.find(f"{{{RS}}}RegistryResponse")
        if response is None:
            raise WireError(f"{self.body.tag} has no RegistryResponse")
        return response.get("status", "").rpartition(":")[2]

    @property
    def errors(self) -> list[RegistryError]:
        return [
            RegistryError(e.get("errorCode", ""), e.get("codeContext", ""), e.get("severity", ""), e.get("location", ""))
            for e in self.body.iter(f"{{{RS}}}RegistryError")
        ]

    @property
    def codes(self) -> list[str]:
        return [error.code for error in self.errors]

    def documents(self) -> dict[str, RetrievedDocument]:
        """DocumentUniqueId to what was retrieved, of a RetrieveDocumentSetResponse."""
        found = {}
        for response in self.body.iter(f"{{{XDSB}}}DocumentResponse"):
            document = response.find(f"{{{XDSB}}}Document")
            if document is None:
                raise WireError("DocumentResponse without Document")
            name = response.findtext(f"{{{XDSB}}}DocumentUniqueId", "").strip()
            found[name] = RetrievedDocument(
                repository=response.findtext(f"{{{XDSB}}}RepositoryUniqueId", "").strip(),
                mime_type=response.findtext(f"{{{XDSB}}}mimeType", "").strip(),
                content=self._content(document),
            )
        return found

    def _content(self, document: etree._Element) -> bytes:
        include = document.find(f"{{{XOP}}}Include")
        if include is None:
            return base64.b64decode(document.text or "", validate=False)
        return self.included(include)

    def included(self, include: etree._Element) -> bytes:
        """The octets of the part that an xop:Include stands for."""
        href = include.get("href", "")
        if not href.startswith("cid:"):
            raise WireError(f"xop:Include/@href is no cid: {href}")
        content_id = urllib.parse.unquote(href[4:])
        if content_id not in self.parts:
            raise WireError(f"no part has the Content-ID {content_id}; there are {sorted(self.parts)}")
        return self.parts[content_id]


@dataclass(frozen=True)
class RetrievedDocument:
    repository: str
    mime_type: str
    content: bytes


# ------------------------------------------------------------------------------------------------------------ building


def envelope(action: str, body: bytes, to: str) -> bytes:
    """A SOAP 1.2 envelope with WS-Addressing around `body`, which is a serialised element without declaration."""
    head = (
        f'<soap:Envelope xmlns:soap="{SOAP}" xmlns:wsa="{WSA}"><soap:Header>'
        f'<wsa:Action soap:mustUnderstand="true">{action}</wsa:Action>'
        f"<wsa:MessageID>urn:uuid:{uuid.uuid4()}</wsa:MessageID>"
        f"<wsa:ReplyTo><wsa:Address>{WSA}/anonymous</wsa:Address></wsa:ReplyTo>"
        f"<wsa:To>{to}</wsa:To></soap:Header><soap:Body>"
    )
    return b"<?xml version='1.0' encoding='UTF-8'?>" + head.encode() + body + b"</soap:Body></soap:Envelope>"


def soap_request(action: str, body: bytes, to: str) -> tuple[str, bytes]:
    """Content-Type and body of a plain SOAP 1.2 request."""
    return f'application/soap+xml; charset=UTF-8; action="{action}"', envelope(action, body, to)


def mtom_frame(action: str, body: bytes, to: str) -> tuple[str, bytes, str]:
    """Content-Type, the package up to the end of the root part, and the boundary."""
    boundary = f"kit-{uuid.uuid4().hex}"
    content_type = (
        f'multipart/related; boundary="{boundary}"; type="application/xop+xml"; start="<root@kit>"; '
        f'start-info="application/soap+xml"; action="{action}"'
    )
    root = (
        f'--{boundary}\r\nContent-Type: application/xop+xml; charset=UTF-8; type="application/soap+xml"\r\n'
        "Content-Transfer-Encoding: binary\r\nContent-ID: <root@kit>\r\n\r\n"
    ).encode() + envelope(action, body, to)
    return content_type, root, boundary


def part_head(boundary: str, content_id: str, content_type: str = "application/octet-stream") -> bytes:
    """What stands between the end of the part before and the first byte of this one."""
    return (
        f"\r\n--{boundary}\r\nContent-Type: {content_type}\r\nContent-Transfer-Encoding: binary\r\n"
        f"Content-ID: <{content_id}>\r\n\r\n"
    ).encode()


def mtom_request(action: str, body: bytes, to: str, parts: Sequence[Part]) -> tuple[str, bytes]:
    """Content-Type and body of an MTOM request."""
    content_type, root, boundary = mtom_frame(action, body, to)
    pieces = [root]
    for part in parts:
        pieces += [part_head(boundary, part.content_id, part.content_type), part.content]
    return content_type, b"".join([*pieces, f"\r\n--{boundary}--\r\n".encode()])


def provide_body(submission: bytes, documents: Sequence[tuple[str, str]]) -> bytes:
    """A ProvideAndRegisterDocumentSetRequest; `documents` are pairs of Document/@id and Content-ID."""
    includes = "".join(
        f'<xdsb:Document id="{_attribute(name)}"><xop:Include xmlns:xop="{XOP}" '
        f'href="cid:{urllib.parse.quote(content_id, safe="@.-")}"/></xdsb:Document>'
        for name, content_id in documents
    )
    return (
        f'<xdsb:ProvideAndRegisterDocumentSetRequest xmlns:xdsb="{XDSB}">'.encode()
        + submission
        + includes.encode()
        + b"</xdsb:ProvideAndRegisterDocumentSetRequest>"
    )


def _attribute(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")


# ------------------------------------------------------------------------------------------------------------- sending


def post(url: str, content_type: str, body: bytes, headers: dict[str, str] | None = None) -> Answer:
    """POST and read the whole answer. Raises `WireError` for what is no SOAP."""
    status, answered, content = post_raw(url, content_type, body, headers)
    return read_answer(status, answered, content)


def post_raw(url: str, content_type: str, body: bytes, headers: dict[str, str] | None = None) -> tuple[int, str, bytes]:
    """Status, Content-Type and body of the answer, unread."""
    target = urllib.parse.urlsplit(url)
    connection_type = http.client.HTTPSConnection if target.scheme == "https" else http.client.HTTPConnection
    connection = connection_type(target.hostname or "", target.port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("POST", target.path, body=body, headers={"Content-Type": content_type, **(headers or {})})
        response = connection.getresponse()
        return response.status, response.getheader("Content-Type", ""), response.read()
    finally:
        connection.close()


def move_patient(address: str, pid3: str, mrg1: str) -> tuple[str, str]:
    """A43 (ITI-64) over MLLP to `HOST:PORT`. MSA-1 and MSA-3 of the answer."""
    host, _, port = address.rpartition(":")
    if not port:
        raise WireError("no MLLP listener is named (NIST_MLLP)")
    header = f"MSH|^~\\&|{SENDER}|KIT|REGISTRY|KIT|20240102||ADT^A43^ADT_A43|1|P|2.5"
    message = f"{header}\rEVN||20240102\rPID|||{pid3}|| \rMRG|{mrg1}\r"
    with socket.create_connection((host, int(port)), timeout=TIMEOUT_SECONDS) as connection:
        connection.sendall(b"\x0b" + message.encode() + b"\x1c\r")
        answer = b""
        while not answer.endswith(b"\x1c\r"):
            chunk = connection.recv(4096)
            if not chunk:
                raise WireError(f"the listener has ended the connection after {answer!r}")
            answer += chunk
    fields = [*answer.decode().partition("MSA|")[2].partition("\r")[0].split("|"), "", ""]
    return fields[0], fields[2]


def read_answer(status: int, content_type: str, content: bytes) -> Answer:
    """An answer in either form as its envelope and parts."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "multipart/related":
        root, parts = read_package(content_type, content)
    elif kind == "application/soap+xml":
        root, parts = content, {}
    else:
        raise WireError(f"HTTP {status} with Content-Type {content_type!r}: {content[:300]!r}")
    document = etree.fromstring(root, _PARSER)
    if document.tag != f"{{{SOAP}}}Envelope":
        raise WireError(f"the root element is {document.tag}")
    body = document.find(f"{{{SOAP}}}Body")
    children = [] if body is None else [child for child in body if isinstance(child.tag, str)]
    if len(children) != 1:
        raise WireError("soap:Body must hold exactly one element")
    return Answer(status, content_type, children[0], document, parts)


def read_package(content_type: str, content: bytes) -> tuple[bytes, dict[str, bytes]]:
    """Root part and the other parts by Content-ID. Strict: what departs from RFC 2046 and 2387 is a `WireError`."""
    boundary = parameter(content_type, "boundary")
    if not boundary:
        raise WireError(f"no boundary in {content_type!r}")
    if parameter(content_type, "type").lower() != "application/xop+xml":
        raise WireError(f"type is not application/xop+xml in {content_type!r}")
    delimiter = b"\r\n--" + boundary.encode()
    pieces = (b"\r\n" + content).split(delimiter)
    if len(pieces) < 3 or not pieces[-1].startswith(b"--"):
        raise WireError("the package has no closing delimiter")
    start = parameter(content_type, "start").strip("<>")
    parts: dict[str, bytes] = {}
    order: list[str] = []
    for piece in pieces[1:-1]:
        head, blank, data = piece.partition(b"\r\n\r\n")
        if not blank:
            raise WireError(f"a part has no end of its header: {piece[:200]!r}")
        match = re.search(rb"(?im)^content-id:\s*<([^>\r\n]+)>\s*$", head)
        if not match:
            raise WireError(f"a part has no Content-ID: {head!r}")
        if not match[1].isascii():
            raise WireError(f"a Content-ID is not ASCII: {match[1]!r}")
        name = match[1].decode()
        if name in parts:
            raise WireError(f"two parts have the Content-ID {name}")
        parts[name] = data
        order.append(name)
    root = start or order[0]
    if root not in parts:
        raise WireError(f"start names {root}, the parts are {order}")
    return parts.pop(root), parts


def parameter(content_type: str, name: str) -> str:
    """A parameter of a Content-Type, quoted or not; empty when it is absent."""
    match = re.search(rf';\s*{name}\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;\s]+))', content_type, re.IGNORECASE)
    if not match:
        return ""
    return re.sub(r"\\(.)", r"\1", match[1]) if match[1] is not None else match[2]


@dataclass(frozen=True)
class Client:
    """The transactions by name, towards one registry and one repository."""

    registry: str
    repository: str
    connections: Connections | None = None
    """With it both messages of each exchange are kept in `Answer.exchanged`."""
    secured: Callable[[bytes], bytes] | None = None
    """What puts wsse:Security into each message, a plain one or a package."""

    @property
    def multi_patient(self) -> str:
        """Address of ITI-51: a server of ours has it apart from the registry's others."""
        head, _, tail = self.registry.rpartition("/")
        return f"{head}/iti51" if tail == "registry" else self.registry

    def soap(self, transaction: str, body: bytes, url: str = "") -> Answer:
        target = url or self.registry
        return self.post(target, *soap_request(ACTIONS[transaction], body, target))

    def mtom(self, transaction: str, body: bytes, parts: Sequence[Part] = (), url: str = "") -> Answer:
        target = url or self.repository
        return self.post(target, *mtom_request(ACTIONS[transaction], body, target, parts))

    def post(self, url: str, content_type: str, body: bytes, headers: dict[str, str] | None = None) -> Answer:
        """Raises `WireError` for what is no SOAP, and for no answer."""
        body = self.secured(body) if self.secured is not None else body
        if self.connections is None:
            return post(url, content_type, body, headers)
        try:
            exchanged = self.connections.post(url, {"Content-Type": content_type, **(headers or {})}, body)
        except ExchangeError as error:
            raise WireError(str(error)) from None
        return replace(read_answer(exchanged.status, exchanged.content_type, exchanged.response.body), exchanged=exchanged)

    def provide(self, submission: bytes, documents: dict[str, bytes]) -> Answer:
        """ITI-41. `documents`: Document/@id to bytes."""
        names = {name: f"part-{n}@kit" for n, name in enumerate(documents, 1)}
        body = provide_body(submission, list(names.items()))
        return self.mtom("ITI-41", body, [Part(names[name], content) for name, content in documents.items()])

    def register(self, submission: bytes) -> Answer:
        return self.soap("ITI-42", submission)

    def query(self, body: bytes) -> Answer:
        return self.soap("ITI-18", body)

    def retrieve(self, body: bytes) -> Answer:
        return self.mtom("ITI-43", body)
