"""The way of one web-service call: the file to read first.

1. The path gives an `Address`: an actor's (/xds/registry, /xds/repository) or one transaction's (/xds/iti18). GET with ?wsdl or
   ?xsd=name gets the description (`soap/description.py`).
2. `soap/request.py` reads a POST: length and coding (`receive`), the MIME package with every document straight to a staging
   file (`mtom`, `staging`), the envelope (`root`, `inline`, `envelope`), the addressing headers, which transaction it is
   (`addressing`), who is calling (`EndpointOptions.identify`). What cannot be understood ends as a `Fault`.
3. The body is validated against our XSDs. From here on a refusal is the transaction's own response with every finding.
4. At most `Limits.working` transactions run at once; `soap/service.py` hands the `Call` to the handler.
5. `soap/reply.py` writes the `Answer` in the form of the request, streamed where it is long, with its exact length.
6. Whatever happened, staging files that nobody took are deleted and `EndpointOptions.observe` is told, once.

This file holds the only `except Exception` on the way: the one border at which errors become messages.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any

from lxml import etree

from metadata.rules.rule import Finding, Refused
from metadata.vocabulary import Actor, ResponseStatus, Transaction
from security.refusal import Denied
from soap.addressing import ACTOR_PATH, OWN_ADDRESS_ONLY, Address
from soap.call import Answer, Call, Caller, Handler, Note
from soap.description import describe
from soap.fault import Fault, FaultCode, of_denied, sender
from soap.limits import Limits
from soap.outcome import FOREIGN, busy, of_storage_error, refusal, schema_findings
from soap.reply import Form, Reply, reply_of_answer, reply_of_fault
from soap.request import Identify, Request
from soap.service import Services
from soap.signing import MessageSigner, RequestVerifier, Signature
from soap.staging import Staging
from soap.wire import Wire
from storage.crash import crash_point
from storage.errors import StorageError

LOG = logging.getLogger("carnet.soap")

Environ = dict[str, Any]
StartResponse = Callable[..., Any]


def anonymous(environ: Mapping[str, Any], headers: Sequence[etree._Element]) -> Caller:
    """Nobody in particular, at the address that the connection shows."""
    return Caller(address=environ.get("REMOTE_ADDR", ""))


@dataclass(slots=True)
class Exchange:
    """What happened with one request: what metrics, log and audit are made of.

    `http_status` is that of the answer; `status` that of the response, None for a fault; `fault` the rule id of a fault, or its
    code where it has none; `denied` the refusal of trust behind it; `reference` the number under which the log has an
    unexpected error. `seconds` run from the request's header to the last octet of the answer;
    `received` and `sent` count octets of the bodies on the wire. `broken` tells that the answer did not go out whole.
    `trace` is what `EndpointOptions.record` wants to find again when the exchange is over.
    """

    method: str
    path: str
    transaction: Transaction | None = None
    caller: Caller = field(default_factory=Caller)
    message_id: str = ""
    action: str = ""
    mtom: bool = False
    call: Call | None = None
    http_status: int = 0
    status: ResponseStatus | None = None
    findings: Sequence[Finding] = ()
    notes: Sequence[Note] = ()
    fault: str = ""
    fault_text: str = ""
    denied: Denied | None = None
    reference: str = ""
    seconds: float = 0.0
    received: int = 0
    sent: int = 0
    broken: bool = False
    explain_base: str = ""
    trace: object = None


def unobserved(exchange: Exchange) -> None:
    """Tells nobody."""


@dataclass(frozen=True, slots=True)
class EndpointOptions:
    """How an endpoint behaves.

    `staging` makes the files in which documents wait. `public_url` (`https://xds.example.org`) is what the WSDL names; empty: the
    host that the request names. `explain_base` + rule id is the address of the page that explains a rule; one that begins with a
    slash stands below `public_url`, or below the host that the request names; empty: none.
    `identify` says who is calling, or raises Fault; it sees the WSGI environ and the SOAP headers. `record` is called once for
    every POST to an address of ours, when its answer is made and nothing of it is sent: what it raises is answered instead, and
    the answer is given up. `observe` is called once for every request, after its answer. `understood` are header blocks
    (`{namespace}local`) that a handler or `identify` processes, beside WS-Addressing and wsse:Security.
    """

    staging: Staging
    limits: Limits = field(default_factory=Limits)
    wire: Wire = field(default_factory=Wire)
    explain_base: str = ""
    public_url: str = ""
    identify: Identify = anonymous
    observe: Callable[[Exchange], None] = unobserved
    record: Callable[[Exchange], None] = unobserved
    understood: frozenset[str] = frozenset()
    verifier: RequestVerifier | None = None
    signer: Callable[[], MessageSigner] | None = None
    sign_always: bool = False


class Endpoint:
    """The WSGI application of all enabled transactions. Safe for threads."""

    def __init__(self, handlers: Mapping[Transaction, Handler], options: EndpointOptions) -> None:
        if options.wire.strict:
            options = replace(options, limits=options.limits.strict())
        self._options = options
        self._services = Services(handlers)
        self._addresses = addresses_of(handlers)
        self._working = threading.BoundedSemaphore(options.limits.working)

    @property
    def paths(self) -> Sequence[str]:
        """The URL paths served, the actors' first."""
        return tuple(self._addresses)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        exchange = Exchange(environ["REQUEST_METHOD"], environ.get("PATH_INFO", ""), explain_base=self._explain_base(environ))
        started = time.perf_counter()
        address = self._addresses.get(exchange.path.rstrip("/"))
        if address is None:
            served = f"Addresses served here: {', '.join(self._addresses)}."
            reply = self._fault(
                sender(f"Nothing is served at {exchange.path[:200]}", rule="SRV-006", remedy=served, status=404), Form(), exchange
            )
        elif exchange.method == "POST":
            reply = self._post(environ, address, exchange)
        else:
            reply = describe(environ, exchange.method, address, self._url(environ))
            if exchange.method == "HEAD":
                reply = replace(reply, pieces=())
        exchange.http_status = reply.status
        headers = [("Content-Type", reply.content_type), ("Content-Length", str(reply.length))]
        if reply.retry_after is not None:
            headers.append(("Retry-After", str(reply.retry_after)))
        if reply.status == HTTPStatus.METHOD_NOT_ALLOWED:
            headers.append(("Allow", "GET, POST"))
        start_response(f"{reply.status} {HTTPStatus(reply.status).phrase}", headers)
        return _Sending(reply, exchange, started, self._options.observe)

    def _post(self, environ: Environ, address: Address, exchange: Exchange) -> Reply:
        options = self._options
        request = Request(environ, address, options.wire, options.limits, options.staging)
        try:
            reply = self._work(request, self._url(environ), exchange)
            crash_point("answer-before")
        except Exception as error:
            reply = self._settle(error, request, exchange)
            request.drain()
        finally:
            request.remove_staged()
            exchange.transaction = request.transaction
            proved = request.caller or (exchange.denied.caller if exchange.denied is not None else None)
            exchange.caller = proved if isinstance(proved, Caller) else Caller(address=environ.get("REMOTE_ADDR", ""))
            exchange.message_id, exchange.action, exchange.mtom = request.message_id, request.action, request.mtom
            exchange.notes, exchange.received = request.notes, request.received
        return self._recorded(reply, request, exchange)

    def _recorded(self, reply: Reply, request: Request, exchange: Exchange) -> Reply:
        """No record, no answer: what a failing `record` leaves is a refusal, which gives nothing away. A good answer waits for
        the memory of messages too, which as a rule reached the disk with the record."""
        try:
            self._options.record(exchange)
            if exchange.status not in (None, ResponseStatus.FAILURE):
                request.settle()
        except Exception as error:
            _give_up(reply)
            exchange.status, exchange.fault, exchange.findings = None, "", ()
            return self._settle(error, request, exchange)
        return reply

    def _work(self, request: Request, url: str, exchange: Exchange) -> Reply:
        """Everything goes well, or an exception says what did not."""
        options = self._options
        call = exchange.call = request.read(options.identify, options.understood, url, exchange.explain_base, options.verifier)
        if request.lack is not None:
            raise request.lack
        findings = schema_findings(call, lenient=not options.wire.strict)
        if findings:
            raise Refused(findings)
        self._take_turn(call.transaction)
        try:
            answer = self._services.dispatch(call)
        finally:
            self._working.release()
        return self._answer(answer, call.transaction, self._form(request), exchange)

    def _take_turn(self, transaction: Transaction) -> None:
        """Waits a little for a place among the transactions that run, which is given back; refuses when there is none."""
        limits = self._options.limits
        if not self._working.acquire(timeout=limits.working_wait):
            raise Refused([busy(transaction, limits.working)])

    # ------------------------------------------------------------------------------------------------ errors to messages

    def _settle(self, error: Exception, request: Request, exchange: Exchange) -> Reply:
        """The message that tells of `error`: a fault, or the response of the transaction with every finding."""
        form = self._form(request)
        transaction = request.transaction or request.address.own
        if isinstance(error, Denied):
            exchange.denied = error
            error = of_denied(error)
        if isinstance(error, Fault):
            return self._fault(error, form, exchange)
        if transaction is not None and transaction not in FOREIGN:
            if isinstance(error, Refused):
                answer = refusal(transaction, error.findings, exchange.explain_base)
                return self._answer(answer, transaction, form, exchange)
            if isinstance(error, StorageError | OSError):
                finding = of_storage_error(error, transaction, self._log(error, exchange))
                return self._answer(refusal(transaction, [finding], exchange.explain_base), transaction, form, exchange)
        return self._fault(self._unexpected(error, exchange), form, exchange)

    def _unexpected(self, error: Exception, exchange: Exchange) -> Fault:
        """A fault of ours. The sender gets a number, the log the rest."""
        reference = self._log(error, exchange)
        remedy = f"Send the message again; if this comes back, give the operator the reference number {reference}."
        # A refusal before the transaction is known can only be that of the store, which has no room.
        exhausted = isinstance(error, MemoryError | OSError | StorageError | Refused)
        return Fault(
            FaultCode.RECEIVER,
            "The server could not do this now"
            if exhausted
            else "The server failed on this message; nothing is wrong with its form",
            rule="SRV-005",
            remedy=remedy,
            reason_fr=f"Erreur interne du serveur, référence {reference}",
            status=503 if exhausted else None,
            retry_after=self._options.limits.retry_after if exhausted else None,
        )

    def _log(self, error: Exception, exchange: Exchange) -> str:
        exchange.reference = os.urandom(4).hex()
        LOG.error("reference %s: %s %s", exchange.reference, exchange.method, exchange.path, exc_info=error)
        return exchange.reference

    def _fault(self, fault: Fault, form: Form, exchange: Exchange) -> Reply:
        exchange.fault = fault.rule or fault.code.local
        exchange.fault_text = fault.text()
        return reply_of_fault(fault, form, exchange.explain_base)

    def _answer(self, answer: Answer, transaction: Transaction, form: Form, exchange: Exchange) -> Reply:
        reply = reply_of_answer(answer, answer.response_action or transaction.response_action, form)
        exchange.status, exchange.findings = answer.status, answer.findings
        return reply

    def _form(self, request: Request) -> Form:
        options, signature = self._options, None
        if options.signer is not None and (options.sign_always or request.carries_signature):
            good = (request.signed.value,) if request.signed is not None else None
            signature = Signature(options.signer(), good if request.carries_signature else ())
        return Form(request.mtom, request.soap11, request.message_id, signature)

    def _url(self, environ: Mapping[str, Any]) -> str:
        """The absolute URL of the address that was asked, without query."""
        path: str = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        return self._origin(environ) + path

    def _origin(self, environ: Mapping[str, Any]) -> str:
        """Scheme and host by which this server is reached."""
        if self._options.public_url:
            return self._options.public_url.rstrip("/")
        host = environ.get("HTTP_HOST") or f"{environ.get('SERVER_NAME', 'localhost')}:{environ.get('SERVER_PORT', '80')}"
        return f"{environ.get('wsgi.url_scheme', 'http')}://{host}"

    def _explain_base(self, environ: Mapping[str, Any]) -> str:
        base = self._options.explain_base
        return self._origin(environ) + base if base.startswith("/") else base


def addresses_of(handlers: Mapping[Transaction, Handler]) -> dict[str, Address]:
    """Every path with what is served there: one for each actor, one for each transaction."""
    addresses: dict[str, Address] = {}
    server = frozenset(handlers)
    for actor in Actor:
        shared = frozenset(t for t in handlers if t.actor is actor and t not in OWN_ADDRESS_ONLY)
        if shared:
            addresses[ACTOR_PATH[actor]] = Address(ACTOR_PATH[actor], shared, None, server)
    for transaction in handlers:
        addresses[transaction.path] = Address(transaction.path, frozenset({transaction}), transaction, server)
    return addresses


def _give_up(reply: Reply) -> None:
    """Ends what the pieces of an answer that is not sent hold open."""
    close = getattr(reply.pieces, "close", None)
    if close is not None:
        close()


class _Sending:
    """An answer on its way. A piece that fails breaks the connection: the server cannot have sent the whole length.

    PEP 3333: `close` is called whatever happened; only then the exchange is over.
    """

    __slots__ = ("_exchange", "_observe", "_reply", "_started")

    def __init__(self, reply: Reply, exchange: Exchange, started: float, observe: Callable[[Exchange], None]) -> None:
        self._reply: Reply | None = reply
        self._exchange = exchange
        self._started = started
        self._observe = observe

    def __iter__(self) -> Iterator[bytes]:
        exchange = self._exchange
        if self._reply is None:
            return
        try:
            for piece in self._reply.pieces:
                exchange.sent += len(piece)
                yield piece
        except Exception as error:
            exchange.reference = exchange.reference or os.urandom(4).hex()
            LOG.error("reference %s: the answer broke off after %d octets", exchange.reference, exchange.sent, exc_info=error)
            raise

    def close(self) -> None:
        reply, self._reply = self._reply, None
        if reply is None:
            return
        _give_up(reply)
        exchange = self._exchange
        exchange.broken = exchange.sent != reply.length and exchange.method != "HEAD"
        exchange.seconds = time.perf_counter() - self._started
        try:
            self._observe(exchange)
        except Exception as error:
            LOG.error("the observer of %s failed", exchange.path, exc_info=error)
