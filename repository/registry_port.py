"""How the repository registers what it was given: a call in one process, an ITI-42 message to a registry elsewhere.

Both answer with the same `Outcome`, so that a Document Source cannot tell which it was (ITI TF-2: 3.41.4.1.3.2: every error
and every warning of the ITI-42 response is copied into the ITI-41 response).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Protocol

from lxml import etree

from metadata.model import Submission
from metadata.rules.rule import Finding, Refused
from metadata.vocabulary import ErrorCode, ResponseStatus, Severity
from repository import refusals
from repository.index import Deposit
from security.refusal import Denied
from storage.database import Connection, Database
from storage.errors import StorageError

LOG = logging.getLogger("carnet.repository")


@dataclass(frozen=True, slots=True)
class Request:
    """One submission, completed by the repository: as message (`element`, lcm:SubmitObjectsRequest) and as what it says."""

    element: etree._Element
    submission: Submission


@dataclass(frozen=True, slots=True)
class Outcome:
    """The registry's answer. Success may carry warnings."""

    status: ResponseStatus
    findings: tuple[Finding, ...] = ()


class RegistryPort(Protocol):
    """Registers a submission and, in the right order with it, makes its deposit visible. A refusal is an outcome too, but for
    Denied: who sends it may not."""

    def register(self, request: Request, deposit: Deposit) -> Outcome: ...


class Registers(Protocol):
    """The registry in this process: `registry.iti42.RegisterDocumentSet.register`.

    `companion` is run inside the transaction that registers, so that both are committed or neither. Returns the warnings;
    raises `Refused`.
    """

    def __call__(self, submission: Submission, companion: Callable[[Connection], None]) -> Sequence[Finding]: ...


class InProcess:
    """Registry and repository share a process and a database: one commit for both, nothing ever half visible."""

    def __init__(self, register: Registers) -> None:
        self._register = register

    def register(self, request: Request, deposit: Deposit) -> Outcome:
        """Errors of the database pass through: they are the store's, not the submission's."""
        try:
            warnings = self._register(request.submission, companion=deposit.store)
        except Refused as refused:
            return Outcome(ResponseStatus.FAILURE, refused.findings)
        return Outcome(ResponseStatus.SUCCESS, tuple(warnings))


@dataclass(frozen=True, slots=True)
class RelayedFinding(Finding):
    """A registry's rs:RegistryError, to be passed on as it came: `message` is its whole codeContext."""

    def text(self) -> str:
        """`@codeContext` of the other registry, untouched."""
        return self.message


@dataclass(frozen=True, slots=True)
class RegistryError:
    """One rs:RegistryError of an answer, as sent."""

    code: str
    context: str
    severity: str
    location: str = ""


class RegistryUnreachable(Exception):
    """ITI-42 got no answer that can be read: no connection, a timeout, a fault. The text says which."""


class RegistryNotReached(RegistryUnreachable):
    """ITI-42 was not sent: there was no connection. The registry cannot have accepted what it has not seen."""


class Sends(Protocol):
    """The ITI-42 client: sends the lcm:SubmitObjectsRequest, returns status URN and errors; raises `RegistryUnreachable`, and
    Denied where the registry lets nobody register this for the caller."""

    def __call__(self, element: etree._Element) -> tuple[str, Sequence[RegistryError]]: ...


class Knows(Protocol):
    """ITI-18 to the same registry: those of the uniqueIds that it knows, with their hashes (SHA-1, lower-case hex).

    Raises `RegistryUnreachable`: an unanswered question is no "no".
    """

    def __call__(self, unique_ids: Sequence[str]) -> Mapping[str, Set[str]]: ...


class Remote:
    """The registry is another server.

    The documents are committed first, so that they are retrievable when the registry or a consumer asks for them early. A
    refusal takes them back, and so does a registry that was not even reached. Sent but without an answer they stay, pending: the
    registry may have accepted, and then a consumer will ask for them; what was never registered is given up by the collector.

    Some refusals leave a doubt: a duplicate may be this very submission, whose first answer was lost, and a registry that
    failed may have failed after its commit. Then the registry is asked what it knows, which settles the documents.
    """

    DOUBTFUL = frozenset({ErrorCode.XDSDuplicateUniqueIdInRegistry, ErrorCode.XDSRegistryError})

    def __init__(self, database: Database, send: Sends, knows: Knows) -> None:
        self._database = database
        self._send = send
        self._knows = knows

    def register(self, request: Request, deposit: Deposit) -> Outcome:
        self._database.write(deposit.announce)
        try:
            status, errors = self._send(request.element)
        except RegistryUnreachable as error:
            if isinstance(error, RegistryNotReached):
                self._mark(deposit.withdraw)
            return Outcome(ResponseStatus.FAILURE, (refusals.registry_not_available(str(error)),))
        except Denied:
            self._mark(deposit.withdraw)
            raise
        findings = tuple(relayed(error) for error in errors)
        if status == ResponseStatus.SUCCESS.value:
            self._mark(deposit.confirm)
            return Outcome(ResponseStatus.SUCCESS, findings)
        if any(finding.code in self.DOUBTFUL for finding in findings):
            self._settle(deposit)
        else:
            self._mark(deposit.withdraw)
        return Outcome(ResponseStatus.FAILURE, findings)

    def _mark(self, work: Callable[[Connection], None]) -> None:
        """Note the registry's decision. Where that fails the decision stands all the same: the documents are durable and can be
        retrieved since they were announced, and the collector will ask the registry again."""
        try:
            self._database.write(work)
        except StorageError as error:
            LOG.error("the registry's answer could not be noted, its documents stay pending: %s", error)

    def _settle(self, deposit: Deposit) -> None:
        """Confirm what the registry knows with these very bytes, else take it back; without an answer it stays pending."""
        try:
            known = self._knows([d.uniqueId for d in deposit.documents])
        except RegistryUnreachable:
            return
        if deposit.documents and all(d.sha1.hex() in known.get(d.uniqueId, ()) for d in deposit.documents):
            self._mark(deposit.confirm)
        else:
            self._mark(deposit.withdraw)


def relayed(error: RegistryError) -> RelayedFinding:
    """A registry's error for our own answer. A code outside the standard's table stands in the text, under the general code."""
    severity = Severity.WARNING if error.severity == Severity.WARNING.value else Severity.ERROR
    try:
        code, text = ErrorCode(error.code), error.context
    except ValueError:
        code, text = ErrorCode.XDSRegistryError, f"{error.code}: {error.context}"
    return RelayedFinding(rule="", code=code, message=text, severity=severity, location=error.location)
