"""What travels between the wire and a transaction: one request understood, one answer to write.

`soap/endpoint.py` makes a `Call` of a request and writes an `Answer`; the handlers of `registry/` and `repository/` see
nothing else of the wire.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from lxml import etree

from metadata.rules.rule import Finding
from metadata.vocabulary import ResponseStatus, Transaction

if TYPE_CHECKING:
    import builtins

    from security.identity import Assertion
    from security.trust import Partner
    from soap.body.adhoc_query import AdhocQueryRequest
    from soap.body.provide import Contents
    from soap.wire import Wire


class StagedPart(Protocol):
    """A received MIME part (or decoded inline base64) outside memory or small enough to be in it; hashed while it came in.

    `sha1` and `sha256` are lower-case hexadecimal digests of the content, `size` its octets.
    """

    content_id: str
    content_type: str
    size: int
    sha1: str
    sha256: str

    def bytes(self) -> builtins.bytes | None:
        """The content when it is held in memory (small), else None."""

    def path(self) -> str | None:
        """The staging file when there is one, else None. Whoever keeps the file renames it; the endpoint removes what is left."""

    def chunks(self) -> Iterator[builtins.bytes]: ...


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is calling, as far as it is proved. Anonymous on a plain server.

    `certificate_der` is the TLS client's certificate and `subject` its name (RFC 4514); `partner` its enrolment; `signer_der` the
    certificate that signed the message; `assertion` says who acts. Each is None when it was not given and not demanded.
    """

    address: str = ""
    certificate_der: bytes | None = None
    subject: str = ""
    assertion: Assertion | None = None
    partner: Partner | None = None
    signer_der: bytes | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """A tolerated quirk of the wire (`WIRE-017`), for the log, the lint and the conformance report."""

    id: str
    text: str


@dataclass(slots=True)
class Call:
    """One understood request: what a transaction handler gets.

    `parts` are the MIME parts by Content-ID (without the angle brackets); `contents` resolves what stands in xds:Document to
    parts (`soap.body.provide.parse_provide` asks it); `wire` is the profile by which quirks are judged; `explain_base` + rule id
    is the address of the page that explains a rule, for the `build_...` functions of `soap.body`.

    What a handler has found out and the audit record tells as well, so that it is not looked for twice: `asked` is the stored
    query, `patients` whose documents were asked for (by uniqueId, as far as they are known).
    """

    transaction: Transaction
    body: etree._Element
    message_id: str = ""
    mtom: bool = False
    parts: Mapping[str, StagedPart] = field(default_factory=dict)
    caller: Caller = field(default_factory=Caller)
    notes: list[Note] = field(default_factory=list)
    headers: Sequence[etree._Element] = ()
    endpoint_url: str = ""
    reply_to: str = ""
    action: str = ""
    wire: Wire | None = None
    contents: Contents | None = None
    explain_base: str = ""
    asked: AdhocQueryRequest | None = None
    patients: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Attachment:
    """One MIME part of an answer, streamed. `size` is exact, so that the answer can carry a Content-Length.

    `chunks` can be iterated more than once: a signed answer is digested before it is sent.
    """

    content_id: str
    content_type: str
    size: int
    chunks: Iterable[bytes]


@dataclass(frozen=True, slots=True)
class Inline:
    """In a payload: the place where an attachment is written as base64 because the answer is plain SOAP."""

    attachment: Attachment


@dataclass(frozen=True, slots=True)
class Answer:
    """What a handler returns: the finished child of s:Body in pieces (self-contained namespaces), and attachments.

    `findings` and `status` are for audit, metrics and log: they are already inside `payload`. An `Inline` piece occurs
    only where `Call.mtom` is false. `response_action` replaces the transaction's own where one address has several. `canonical`:
    the joined payload is already in exclusive canonical form, so that a signature over it needs no parse.
    """

    payload: Sequence[bytes | Inline]
    status: ResponseStatus
    findings: Sequence[Finding] = ()
    attachments: Sequence[Attachment] = ()
    response_action: str = ""
    canonical: bool = False


class Handler(Protocol):
    """A transaction of `registry/` or `repository/`. Raises `Refused` for a business refusal, `soap.fault.Fault` for a fault."""

    def __call__(self, call: Call) -> Answer: ...
