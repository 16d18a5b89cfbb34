"""From the octets of a POST to a `Call`: everything that is done before a transaction is asked.

`Request` keeps what is known so far, so that whatever goes wrong is answered in the form and with the MessageID of the
request, as far as that was read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from lxml import etree

from metadata.rules.rule import Refused
from metadata.vocabulary import Transaction
from schemas.namespaces import SOAP12
from security.signed_message import SignedMessage, signatures_of
from security.trust import require_transaction
from soap.addressing import Address, choose, find_message_id, read_addressing
from soap.body.provide import Contents
from soap.call import Call, Caller, Note
from soap.envelope import Envelope, check_headers, open_envelope, put_back_in_headers
from soap.inline import DOCUMENT, MARK
from soap.limits import Limits
from soap.mime import Fields, parse_content_type
from soap.mtom import SOAP_TYPE, XOP_TYPE, Package, Parts, read_package
from soap.receive import CHUNK, Body
from soap.root import RootSink
from soap.signing import SIGNER, RequestVerifier, included
from soap.staging import Part, Staging
from soap.wire import Wire

PACKAGE_TYPE = "multipart/related"
SOAP11_TYPE = "text/xml"

Identify = Callable[[Mapping[str, Any], Sequence[etree._Element]], Caller]

#: Transactions that are sent as MTOM (ITI TF-2: V.8), and the row that judges them when they come as plain SOAP.
_MTOM_ONLY = {Transaction.ITI_41: "WIRE-043", Transaction.ITI_43: "WIRE-043-retrieve"}


def _nothing() -> None:
    """There is nothing to wait for."""


class Request:
    """One POST. `read` fills it; `call` is None until everything was understood.

    `staged` are all parts received so far, complete or not needed any more: `remove_staged` deletes what nobody took.
    """

    def __init__(self, environ: Mapping[str, Any], address: Address, wire: Wire, limits: Limits, staging: Staging) -> None:
        self.environ = environ
        self.address = address
        self.notes: list[Note] = []
        self.staged: list[Part] = []
        self.mtom = False
        self.soap11 = False
        self.message_id = ""
        self.action = ""
        self.transaction: Transaction | None = None
        self.caller: Caller | None = None
        self.carries_signature = False
        """The message has a signature of its own, good or not."""
        self.signed: SignedMessage | None = None
        """What the signature proves, once it is verified."""
        self.settle: Callable[[], None] = _nothing
        """Waits until what makes a signed message count once is durable; called before the answer leaves."""
        self.lack: OSError | Refused | None = None
        """What kept a document from being staged; the envelope was read all the same."""
        self._wire = wire
        self._limits = limits
        self._staging = staging
        self._body: Body | None = None

    @property
    def received(self) -> int:
        """Octets of the body that came over the wire so far."""
        return self._body.received if self._body is not None else 0

    def read(
        self,
        identify: Identify,
        understood: frozenset[str],
        endpoint_url: str,
        explain_base: str,
        verifier: RequestVerifier | None = None,
    ) -> Call:
        """The understood call. Raises Fault for everything that cannot be understood, Denied for what is not trusted."""
        self._body = Body(self.environ, self._wire, self._limits, self.notes)
        media, parameters = self._media_type()
        sink = RootSink(self._limits, self._wire, self.notes, self._staging, self.staged)
        package = self._receive(media, parameters, sink)
        charset = package.root_charset if package is not None else parameters.get("charset")
        envelope = self._open(sink.close(charset), package.announced if package is not None else (media,))
        self.carries_signature = verifier is not None and bool(signatures_of(envelope.headers))
        parts = package.parts if package is not None else Parts()
        self.message_id = find_message_id(envelope.headers)
        addressing = read_addressing(envelope.headers, self._wire, self.notes)
        self.action = addressing.action
        check_headers(envelope, understood, self._wire)
        put_back_in_headers(envelope, parts, self._wire, self.notes)
        actions = self._http_actions(parameters, package)
        http_action = next((action for action in actions if action != self.action), actions[0] if actions else "")
        self.transaction = choose(self.address, self.action, envelope.body, http_action, self._wire, self.notes)
        if not self.mtom and self.transaction in _MTOM_ONLY:
            self._wire.meet(_MTOM_ONLY[self.transaction], self.notes)
        inline = self._inline(envelope.body) if sink.streamed else {}
        if verifier is not None and self.lack is None:
            self._verify(verifier, envelope, parts, inline, endpoint_url, actions)
        self.caller = self._identified(identify, envelope.headers, self.transaction)
        if verifier is not None and self.signed is not None:
            self.settle = verifier.first(self.signed)
        contents = Contents(parts, inline, self._staging, self.staged, self._limits, self._wire)
        if self.lack is None:
            contents.resolve(envelope.body, self.notes)
        return Call(
            transaction=self.transaction,
            body=envelope.body,
            message_id=self.message_id,
            mtom=self.mtom,
            parts=parts,
            caller=self.caller,
            notes=self.notes,
            headers=envelope.headers,
            endpoint_url=endpoint_url,
            reply_to=addressing.reply_to,
            action=self.action,
            wire=self._wire,
            contents=contents,
            explain_base=explain_base,
        )

    def drain(self) -> None:
        """Reads the rest of a refused body, as far as it is short."""
        if self._body is not None:
            self._body.drain()

    def remove_staged(self) -> None:
        """Deletes the staging files that no handler has taken."""
        for part in self.staged:
            part.remove()

    # ---------------------------------------------------------------------------------------------------------- octets

    def _media_type(self) -> tuple[str, Fields]:
        value = self.environ.get("CONTENT_TYPE") or ""
        if not value.strip():
            raise self._wire.refuse("WIRE-022-type", "there is no Content-Type")
        media, parameters = parse_content_type(value, self._wire)
        if media == XOP_TYPE:
            raise self._wire.refuse("WIRE-022")
        if media not in (PACKAGE_TYPE, SOAP_TYPE, SOAP11_TYPE):
            raise self._wire.refuse("WIRE-022-type", f"'{media[:80]}'")
        return media, parameters

    def _receive(self, media: str, parameters: Fields, sink: RootSink) -> Package | None:
        """Reads the body to its end: the envelope into `sink`, parts into `staged`."""
        assert self._body is not None
        if media != PACKAGE_TYPE:
            while chunk := self._body.read(CHUNK):
                sink.write(chunk)
            return None
        try:
            package = read_package(self._body, parameters, sink, self._staging, self._wire, self._limits, self.notes, self.staged)
        except (OSError, Refused) as error:  # the disk fails, or the store says that it has no room
            if not sink.size or sink.streamed:
                raise
            # No room for a document: the envelope came before it, and tells what to answer and in which words.
            self.lack = error
            package = Package(None, Parts(self.staged))
        self.mtom = True
        return package

    # -------------------------------------------------------------------------------------------------------- envelope

    def _open(self, root: etree._Element, announced: Sequence[str]) -> Envelope:
        envelope = open_envelope(root, self._wire, self.notes)
        self.soap11 = envelope.soap11
        if SOAP11_TYPE in announced and root.nsmap.get(root.prefix) == SOAP12:
            self._wire.meet("WIRE-017", self.notes)
        return envelope

    def _verify(
        self,
        verifier: RequestVerifier,
        envelope: Envelope,
        parts: Parts,
        inline: Mapping[etree._Element, Part],
        url: str,
        actions: Sequence[str],
    ) -> None:
        """The signature, before anybody believes or changes anything of the message."""
        path = self.environ.get("SCRIPT_NAME", "") + self.environ.get("PATH_INFO", "")
        contents = {**included(envelope.body, parts, self._wire), **inline} if self.carries_signature else {}
        self.signed = verifier.verify(envelope.root, envelope.headers, contents, url, path, actions)

    def _identified(self, identify: Identify, headers: Sequence[etree._Element], transaction: Transaction) -> Caller:
        signer = self.signed.certificate_der if self.signed is not None else None
        caller = identify({**self.environ, SIGNER: signer} if signer is not None else self.environ, headers)
        self.caller = caller
        require_transaction(caller.partner, transaction.code)
        return replace(caller, signer_der=signer) if signer is not None else caller

    def _http_actions(self, parameters: Fields, package: Package | None) -> list[str]:
        """The actions that HTTP names: in the header and in that of the package."""
        stated = [parameters.get("action", ""), self.environ.get("HTTP_SOAPACTION", "").strip().strip('"')]
        if package is not None:
            stated.append(package.action)
        return [action for action in stated if action]

    def _inline(self, body: etree._Element) -> Mapping[etree._Element, Part]:
        """The documents that the reader of large envelopes has decoded already, by their element; its marks are taken off."""
        return {e: self.staged[int(e.attrib.pop(MARK))] for e in body.iterchildren(DOCUMENT) if MARK in e.attrib}
