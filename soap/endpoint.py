"""The way of one web-service call: the file to read first.

(Skeleton: the shapes on which the rooms above and below agree.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from lxml import etree

from metadata.rules.rule import Finding
from metadata.vocabulary import ResponseStatus, Transaction


class StagedPart(Protocol):
    """A received MIME part (or decoded inline base64) outside memory or small enough to be in it; hashed while it came in."""

    content_id: str
    content_type: str
    size: int
    sha1: str
    sha256: str

    def bytes(self) -> bytes | None:
        """The content when it is held in memory (small), else None."""

    def path(self) -> str | None:
        """The staging file when there is one, else None. Whoever keeps the file renames it; the endpoint removes what is left."""

    def chunks(self) -> Iterator[bytes]: ...


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is calling, as far as it is proved. Anonymous on a plain server."""

    address: str = ""
    certificate_der: bytes | None = None
    subject: str = ""
    assertion: Any = None


@dataclass(frozen=True, slots=True)
class Note:
    """A tolerated quirk of the wire (`WIRE-017`), for the log, the lint and the conformance report."""

    id: str
    text: str


@dataclass(slots=True)
class Call:
    """One understood request: what a transaction handler gets."""

    transaction: Transaction
    body: etree._Element
    message_id: str = ""
    mtom: bool = False
    parts: Mapping[str, StagedPart] = field(default_factory=dict)
    caller: Caller = field(default_factory=Caller)
    notes: list[Note] = field(default_factory=list)
    headers: Sequence[etree._Element] = ()
    endpoint_url: str = ""


@dataclass(frozen=True, slots=True)
class Attachment:
    """One MIME part of an answer, streamed. `size` is exact, so that the answer can carry a Content-Length."""

    content_id: str
    content_type: str
    size: int
    chunks: Iterable[bytes]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a handler returns: the finished child of s:Body in pieces (self-contained namespaces), and attachments.

    `findings` and `status` are for audit, metrics and log: they are already inside `payload`.
    """

    payload: Sequence[bytes]
    status: ResponseStatus
    findings: Sequence[Finding] = ()
    attachments: Sequence[Attachment] = ()


class Handler(Protocol):
    """A transaction of `registry/` or `repository/`. Raises `Refused` for a business refusal, `soap.fault.Fault` for a fault."""

    def __call__(self, call: Call) -> Answer: ...
