"""A client of any XDS.b server: ITI-41, ITI-42, ITI-18 and ITI-43, streamed both ways. The gate to zeep.

    client = Client(repository="http://host/xds/repository", registry="http://host/xds/registry")
    answer = client.provide(build_submit_objects_request(submission), [document])
    if not answer.accepted: ...answer.errors

What was understood and refused comes back as data, with every rs:RegistryError as the server sent it; what gives no usable
answer raises `soap.client_errors.ClientError`. Streaming MTOM is `soap/mtom.py` in both directions, since zeep holds every
document in memory; zeep reads what another server says of itself (`addresses_of_wsdl`).

Source: ITI TF-2: 3.18, 3.41, 3.42, 3.43, V.3.
"""

from __future__ import annotations

import os
import ssl
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from xml.sax.saxutils import escape

from lxml import etree

from metadata.ebrim import parse_object_refs, parse_response_objects
from metadata.model import Submission
from metadata.vocabulary import Actor, ResponseStatus, Transaction
from schemas.namespaces import LCM, QUERY, RIM, RS, SOAP12, WSA, XDS, q
from soap.addressing import ACTOR_PATH, ANONYMOUS
from soap.body.adhoc_query import LEAF_CLASS, build_adhoc_query
from soap.body.provide import PROVIDE_TAIL, build_document, build_provide_head
from soap.body.registry_response import RegistryError, RegistryResponse, parse_registry_response
from soap.body.retrieve import build_retrieve_request
from soap.call import Attachment, StagedPart
from soap.client_answer import ANSWER_LIMITS, DOCUMENT_LIMITS, SoapAnswer, read_answer
from soap.client_errors import BadAnswer, ClientError
from soap.client_http import DEFAULT_TIMEOUT, Connections, Response, split_url
from soap.limits import Limits
from soap.mtom import SOAP_TYPE, Written, write_package
from soap.signing import AnswerVerifier, Block, Signs, security_tokens, sign_request
from soap.staging import CHUNK, FolderStaging

Progress = Callable[[int], None]

_REGISTRY_RESPONSE = q(RS, "RegistryResponse")
_QUERY_RESPONSE = q(QUERY, "AdhocQueryResponse")
_RETRIEVE_RESPONSE = q(XDS, "RetrieveDocumentSetResponse")
_OBJECTS = q(RIM, "RegistryObjectList")
_DOCUMENT_RESPONSE = q(XDS, "DocumentResponse")
_SUBMIT = q(LCM, "SubmitObjectsRequest")


@dataclass(frozen=True, slots=True)
class Content:
    """A document to send: the id of its DocumentEntry, its media type, its bytes in memory or in a file (never read whole)."""

    entry_id: str
    mime_type: str
    source: bytes | Path

    @property
    def size(self) -> int:
        return len(self.source) if isinstance(self.source, bytes) else self.source.stat().st_size

    def chunks(self, progress: Progress | None = None) -> Iterator[bytes]:
        """The bytes; `progress` is told the length of each piece once it is on its way."""
        for chunk in self._pieces():
            yield chunk
            if progress is not None:
                progress(len(chunk))

    def _pieces(self) -> Iterator[bytes]:
        if isinstance(self.source, bytes):
            yield self.source
            return
        with open(self.source, "rb", buffering=0) as file:
            while chunk := file.read(CHUNK):
                yield chunk


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered: status URN and every error and warning, untouched."""

    response: RegistryResponse

    @property
    def accepted(self) -> bool:
        """Success, with or without warnings."""
        return self.response.status is ResponseStatus.SUCCESS

    @property
    def errors(self) -> tuple[RegistryError, ...]:
        return self.response.errors


@dataclass(frozen=True, slots=True)
class Found(Reply):
    """The answer of a query: `objects` for LeafClass, `references` (id, home) for ObjectRef; `xml` is the answer's body."""

    objects: Submission = field(default_factory=Submission)
    references: tuple[tuple[str, str | None], ...] = ()
    xml: bytes = b""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A document to retrieve. `hash` and `size`, as the metadata give them, are what its bytes are checked against."""

    repositoryUniqueId: str
    documentUniqueId: str
    home: str = ""
    hash: str = ""
    size: str = ""


@dataclass(frozen=True, slots=True)
class Received:
    """A document as it came. `damage` says how its bytes differ from the metadata; empty when they agree or nothing is known."""

    repositoryUniqueId: str
    documentUniqueId: str
    mimeType: str
    part: StagedPart
    damage: str = ""

    def bytes(self) -> bytes:
        """The whole content."""
        return b"".join(self.part.chunks())

    def save(self, target: Path) -> None:
        """Puts the content where it belongs: all of it or, when that fails, nothing. Raises OSError."""
        staged = self.part.path()
        if staged is not None and Path(staged).parent.resolve() == target.parent.resolve():
            Path(staged).chmod(0o666 & ~_umask())
            Path(staged).replace(target)
            return
        descriptor, name = tempfile.mkstemp(prefix=".carnet-", dir=target.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.writelines(self.part.chunks())
            Path(name).chmod(0o666 & ~_umask())
            Path(name).replace(target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def _umask() -> int:
    current = os.umask(0o077)
    os.umask(current)
    return current


@dataclass(frozen=True, slots=True)
class Retrieved(Reply):
    """The answer of a retrieve. Use it in a `with`: files of documents that were not saved are removed at its end."""

    documents: tuple[Received, ...] = ()
    answer: SoapAnswer | None = None

    def __enter__(self) -> Retrieved:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.answer is not None:
            self.answer.remove()


@dataclass(slots=True)
class Client:
    """One Document Source and Consumer.

    `repository` and `registry` are the addresses of the two actors; one may stay empty when nothing is asked of it. A client
    certificate comes with `ssl_context`; `security` gives the finished wsse:Security element of each message, as bytes with
    its namespaces declared. With `signer` every message is signed, what `security` gave included; with `verifier` every answer
    must be. `timeout` are seconds of silence. Safe for several threads.
    """

    repository: str = ""
    registry: str = ""
    timeout: float = DEFAULT_TIMEOUT
    ssl_context: ssl.SSLContext | None = None
    security: Callable[[Transaction], bytes] | None = None
    signer: Signs | None = None
    verifier: AnswerVerifier | None = None
    _connections: Connections = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for url in (self.repository, self.registry):
            if url:
                split_url(url)
        self._connections = Connections(self.timeout, self.ssl_context)

    def close(self) -> None:
        """Closes the kept connections; the client can be used again afterwards."""
        self._connections.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # ------------------------------------------------------------------------------------------------------ transactions

    def provide(self, submission: bytes, documents: Sequence[Content], progress: Progress | None = None) -> Reply:
        """ITI-41. `submission` is a finished lcm:SubmitObjectsRequest; documents in files are never in memory as a whole.

        Raises ClientError, OSError for a file that cannot be read, ValueError for one that changes its length on the way: the
        server never sees the end of the message then.
        """
        payload, attachments, contents = [build_provide_head(submission)], [], {}
        for number, document in enumerate(documents, 1):
            content_id = f"document{number}@carnet"
            payload.append(build_document(document.entry_id, content_id))
            attachments.append(Attachment(content_id, document.mime_type, document.size, document.chunks(progress)))
            contents[content_id] = document.chunks
        answer = self._mtom(Transaction.ITI_41, self.repository, [*payload, PROVIDE_TAIL], attachments, contents)
        return Reply(self._response(answer, _REGISTRY_RESPONSE))

    def register(self, submission: bytes) -> Reply:
        """ITI-42. `submission` is a finished lcm:SubmitObjectsRequest. Raises ClientError."""
        return Reply(self._response(self._plain(Transaction.ITI_42, self.registry, submission), _REGISTRY_RESPONSE))

    def query(
        self, query_id: str, slots: Sequence[tuple[str, Sequence[str]]], return_type: str = LEAF_CLASS, home: str = ""
    ) -> Found:
        """ITI-18. `slots` are (name, values), values quoted and in parentheses as ITI-18 has them. A name
        given twice means AND. Raises ClientError."""
        answer = self._plain(Transaction.ITI_18, self.registry, build_adhoc_query(query_id, slots, return_type, home))
        response = self._response(answer, _QUERY_RESPONSE)
        objects = answer.body.find(_OBJECTS)
        found = parse_response_objects(objects) if objects is not None else Submission()
        references = parse_object_refs(objects) if objects is not None else ()
        return Found(response, found, references, etree.tostring(answer.body))

    def retrieve(self, wanted: Sequence[Wanted], folder: Path | None = None, progress: Progress | None = None) -> Retrieved:
        """ITI-43. Documents over 64 kB are written to files in `folder` (default: the system's temporary one) while they come.

        Raises ClientError, and OSError when `folder` cannot be written. PartialSuccess is no error: see `errors`.
        """
        staging = FolderStaging(folder or Path(tempfile.gettempdir()))
        request = build_retrieve_request((w.home, w.repositoryUniqueId, w.documentUniqueId) for w in wanted)
        head = self._head(Transaction.ITI_43, self.repository, [request])
        package = write_package([head.octets, request, _TAIL], (), Transaction.ITI_43.action)
        answer = self._exchange(self.repository, package, staging, DOCUMENT_LIMITS, head, progress)
        try:
            response = self._response(answer, _RETRIEVE_RESPONSE)
            documents = tuple(_received(element, answer, wanted) for element in answer.body.iterchildren(_DOCUMENT_RESPONSE))
        except BaseException:
            answer.remove()
            raise
        return Retrieved(response, documents, answer)

    def send_register(self, element: etree._Element) -> tuple[str, Sequence[RegistryError]]:
        """ITI-42 for a repository whose registry is elsewhere: status URN and errors of the answer. Raises ClientError."""
        if element.tag != _SUBMIT:
            raise ValueError(f"lcm:SubmitObjectsRequest is sent by ITI-42, not {element.tag}")
        reply = self.register(etree.tostring(element, with_tail=False))
        return reply.response.status_text, reply.errors

    # ---------------------------------------------------------------------------------------------------------- messages

    def _plain(self, transaction: Transaction, url: str, payload: bytes) -> SoapAnswer:
        head = self._head(transaction, url, [payload])
        data = b"".join((head.octets, payload, _TAIL))
        message = Written(f'{SOAP_TYPE}; charset=UTF-8; action="{transaction.action}"', len(data), (data,))
        return self._exchange(url, message, FolderStaging(tempfile.gettempdir()), ANSWER_LIMITS, head)

    def _mtom(
        self,
        transaction: Transaction,
        url: str,
        payload: Sequence[bytes],
        attachments: Sequence[Attachment],
        contents: Mapping[str, Callable[[], Iterable[bytes]]],
    ) -> SoapAnswer:
        head = self._head(transaction, url, payload, contents)
        package = write_package([head.octets, *payload, _TAIL], attachments, transaction.action)
        return self._exchange(url, package, FolderStaging(tempfile.gettempdir()), ANSWER_LIMITS, head)

    def _head(
        self,
        transaction: Transaction,
        url: str,
        payload: Sequence[bytes],
        contents: Mapping[str, Callable[[], Iterable[bytes]]] | None = None,
    ) -> _Head:
        """Everything in front of the payload (ITI TF-2: V.3.2.2), signed where there is a signer: documents are read for it."""
        if not url:
            actor = "registry" if transaction.actor is Actor.REGISTRY else "repository"
            raise ClientError(f"{transaction.code} needs the address of a {actor}, and none was given")
        message_id = uuid.uuid4().urn
        security = self.security(transaction) if self.security is not None else b""
        if self.signer is not None:
            blocks = [
                Block("Action", transaction.action, must_understand=True),
                Block("MessageID", message_id),
                Block("ReplyTo", ANONYMOUS, address=True),
                Block("To", url),
            ]
            octets, value = sign_request(self.signer, blocks, payload, contents or {}, security_tokens(security))
            return _Head(octets, message_id, value)
        octets = (
            (
                f'<?xml version="1.0" encoding="UTF-8"?>\n<s:Envelope xmlns:s="{SOAP12}" xmlns:wsa="{WSA}"><s:Header>'
                f'<wsa:Action s:mustUnderstand="1">{transaction.action}</wsa:Action><wsa:MessageID>{message_id}</wsa:MessageID>'
                f"<wsa:ReplyTo><wsa:Address>{ANONYMOUS}</wsa:Address></wsa:ReplyTo><wsa:To>{escape(url)}</wsa:To>"
            ).encode()
            + security
            + b"</s:Header><s:Body>"
        )
        return _Head(octets, message_id)

    def _exchange(
        self,
        url: str,
        message: Written,
        staging: FolderStaging,
        limits: Limits,
        head: _Head,
        progress: Progress | None = None,
    ) -> SoapAnswer:
        headers = {
            "Content-Type": message.content_type,
            "Content-Length": str(message.length),
            "Accept": "multipart/related, application/soap+xml",
            "User-Agent": "carnet",
        }
        check = None
        if self.verifier is not None:
            check = partial(self.verifier.verify, message_id=head.message_id, value=head.value)
        with self._connections.post(url, headers, message.pieces) as response:
            return read_answer(_Counted(response, progress) if progress is not None else response, staging, limits, check)

    def _response(self, answer: SoapAnswer, expected: str) -> RegistryResponse:
        if answer.body.tag != expected:
            raise BadAnswer(answer.url, f"it holds {str(answer.body.tag)[:160]}, not {expected}")
        response = parse_registry_response(answer.body)
        if not response.status_text:
            raise BadAnswer(answer.url, "it names no status")
        return response


_TAIL = b"</s:Body></s:Envelope>"


@dataclass(frozen=True, slots=True)
class _Head:
    """The octets in front of a payload, the message's id and, of a signed one, its signature value."""

    octets: bytes
    message_id: str
    value: bytes | None = None


class _Counted(Response):
    """A response that tells how much of it has come."""

    def __init__(self, response: Response, progress: Progress) -> None:
        super().__init__(response.raw, response.url)
        self._progress = progress

    def read(self, n: int) -> bytes:
        data = super().read(n)
        self._progress(len(data))
        return data


def _received(element: etree._Element, answer: SoapAnswer, wanted: Sequence[Wanted]) -> Received:
    repository, document, mime_type = (
        (element.findtext(q(XDS, name)) or "").strip() for name in ("RepositoryUniqueId", "DocumentUniqueId", "mimeType")
    )
    part = answer.content(element)
    asked = [w for w in wanted if _bare(w.documentUniqueId) == _bare(document)]
    asked = [w for w in asked if _bare(w.repositoryUniqueId) == _bare(repository)] or asked
    if not asked:
        return Received(repository, document, mime_type, part, f"document {document} was not asked for")
    # Under the ids of the request: some servers put urn:oid: before theirs (WIRE-061).
    return Received(asked[0].repositoryUniqueId, asked[0].documentUniqueId, mime_type, part, _damage(part, asked[0]))


def _bare(identifier: str) -> str:
    return identifier.strip().removeprefix("urn:oid:").removeprefix("urn:uuid:")


def _damage(part: StagedPart, wanted: Wanted) -> str:
    """ITI TF-3: 4.2.3.2.10: hash is the SHA-1 of the bytes in hexadecimal, without regard to case."""
    if wanted.size and wanted.size.strip() != str(part.size):
        return f"{part.size} bytes came, the metadata say {wanted.size}"
    if wanted.hash and wanted.hash.strip().lower() != part.sha1:
        return f"the SHA-1 of the bytes that came is {part.sha1}, the metadata say {wanted.hash}"
    return ""


# -------------------------------------------------------------------------------------------------------------- addresses


def addresses(base: str) -> tuple[str, str]:
    """Repository and registry address of one of our servers from its base URL, `http://host:port`."""
    split_url(base)
    stem = base.rstrip("/").removesuffix("/xds")
    return stem + ACTOR_PATH[Actor.REPOSITORY], stem + ACTOR_PATH[Actor.REGISTRY]


def addresses_of_wsdl(url: str, timeout: float = DEFAULT_TIMEOUT) -> dict[str, str]:
    """wsa:Action to address, of every SOAP 1.2 operation that the WSDL at `url` declares. Raises ClientError.

    The WSDL is read by zeep: other servers' descriptions are split, imported and nested in every way that WSDL allows.
    """
    import zeep  # here, because its import takes longer than most calls of this client
    from zeep.transports import Transport

    try:
        transport = Transport(timeout=timeout, operation_timeout=timeout)  # type: ignore[no-untyped-call]
        described = zeep.Client(url, transport=transport)  # type: ignore[no-untyped-call]
    except Exception as error:
        raise ClientError(f"The WSDL at {url} cannot be used: {error}") from error
    found: dict[str, str] = {}
    for service in described.wsdl.services.values():
        for port in service.ports.values():
            address = port.binding_options.get("address", "")
            for operation in port.binding.all().values():
                action = operation.abstract.wsa_action or getattr(operation, "soapaction", "")
                if action and address:
                    found.setdefault(action, address)
    return found
