"""Refusals that the endpoint itself has to give as a business answer: schema, overload, a store that fails.

A message that was understood is answered in the words of its transaction, with every finding; the codes are those of the actor
asked (ITI TF-3: 4.2.4.1). What the store said stays in the log, under the reference number that the answer carries.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence

from metadata.rules.rule import Finding
from metadata.vocabulary import Actor, ErrorCode, ResponseStatus, Transaction
from schemas.validate import ROOTS, SchemaFinding, validate
from soap.body.adhoc_query import build_adhoc_query_response
from soap.body.registry_response import build_registry_response
from soap.body.retrieve import RETRIEVE_TAIL, build_retrieve_head
from soap.call import Answer, Call
from storage.errors import CommitUncertain, StorageError, is_busy

_SECTION = "ITI TF-3: 4.2.4.1"
_QUERIES = frozenset({Transaction.ITI_18, Transaction.ITI_51})
_SUBMISSIONS = frozenset({Transaction.ITI_41, Transaction.ITI_42, Transaction.ITI_57, Transaction.ITI_61, Transaction.ITI_92})
#: Transactions whose answer is no ebRS response: nothing can be refused in it by this module.
FOREIGN = frozenset(
    {Transaction.ITI_44, Transaction.ITI_8, Transaction.ITI_64, Transaction.DMP_PATIENTS, Transaction.DMP_HABILITATIONS}
)

#: Most findings of the schema in one answer.
_SHOWN = 200
_ROOT_BY_TAG = {tag: name for name, tag in ROOTS.items()}

E = ErrorCode
_BUSY = {Actor.REGISTRY: E.XDSRegistryBusy, Actor.REPOSITORY: E.XDSRepositoryBusy}
_NO_ROOM = {Actor.REGISTRY: E.XDSRegistryOutOfResources, Actor.REPOSITORY: E.XDSRepositoryOutOfResources}
_ERROR = {Actor.REGISTRY: E.XDSRegistryError, Actor.REPOSITORY: E.XDSRepositoryError}
_METADATA = {Actor.REGISTRY: E.XDSRegistryMetadataError, Actor.REPOSITORY: E.XDSRepositoryMetadataError}

_FULL_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
#: Words by which SQLite and PostgreSQL tell a full store and a busy one.
_FULL_WORDS = ("is full", "no space left", "disk full", "could not extend")
_AGAIN = "Send the same message again in a moment; nothing of this one was kept"


def refusal(transaction: Transaction, findings: Sequence[Finding], explain_base: str = "") -> Answer:
    """Failure, in the response element of the transaction (ITI TF-3: 4.2.4)."""
    status = ResponseStatus.FAILURE
    if transaction in _QUERIES:
        payload = build_adhoc_query_response(status, (), findings, explain_base)
    elif transaction is Transaction.ITI_43:
        payload = [build_retrieve_head(status, findings, explain_base) + RETRIEVE_TAIL]
    else:
        payload = [build_registry_response(status, findings, explain_base)]
    return Answer(payload, status, findings)


def schema_findings(call: Call, lenient: bool) -> list[Finding]:
    """What the XSD has against the body. Bodies that have no XSD here (ITI-44) are their handler's to judge."""
    name = _ROOT_BY_TAG.get(call.body.tag)
    return body_findings(call, name, lenient) if name is not None else []


def body_findings(call: Call, name: str, lenient: bool = False) -> list[Finding]:
    """What the XSD has against the body, whose root is `name`: the first of it, and how much more."""
    found = validate(call.body, name, lenient=lenient)
    findings = [_of_schema(one, call.transaction) for one in found[:_SHOWN]]
    if len(found) > _SHOWN:
        more = SchemaFinding(0, "", "", f"{len(found) - _SHOWN} further findings of the schema are not shown", "")
        findings.append(_of_schema(more, call.transaction))
    return findings


def _of_schema(found: SchemaFinding, transaction: Transaction) -> Finding:
    codes = _METADATA if transaction in _SUBMISSIONS else _ERROR
    return Finding(
        rule="XSD-001",
        code=codes[transaction.actor],
        message=found.message,
        remedy="Write it as the schemas at ?xsd= of this address demand",
        object=f"{found.path} (line {found.line})" if found.line else found.path,
        line=found.line or None,
    )


def busy(transaction: Transaction, working: int) -> Finding:
    """Too many transactions run at once."""
    return Finding(
        rule="SRV-001",
        code=_BUSY[transaction.actor],
        message=f"{working} requests are being worked on, the most that this server takes on at once",
        remedy=_AGAIN,
        section=_SECTION,
    )


def of_storage_error(error: StorageError | OSError, transaction: Transaction, reference: str) -> Finding:
    """The store did not do it. `reference` is the number under which the log has the reason."""
    actor = transaction.actor
    known = f" (reference {reference})"
    if isinstance(error, CommitUncertain):
        message = "the database broke off while it confirmed, so what was asked may have been done" + known
        remedy = "Send the same message again: the answer will say whether it was"
        return Finding(rule="SRV-004", code=_ERROR[actor], message=message, remedy=remedy, section=_SECTION)
    words = str(error).lower()
    if (isinstance(error, OSError) and error.errno in _FULL_ERRORS) or any(word in words for word in _FULL_WORDS):
        remedy = "Send the same message again when the operator has made room; nothing of this one was kept"
        return Finding(
            rule="SRV-002", code=_NO_ROOM[actor], message="the store has no room left" + known, remedy=remedy, section=_SECTION
        )
    if is_busy(error):
        return Finding(rule="SRV-001", code=_BUSY[actor], message="the database is busy" + known, remedy=_AGAIN, section=_SECTION)
    remedy = "Send the same message again when the operator has mended the store; nothing of this one was kept"
    return Finding(rule="SRV-003", code=_ERROR[actor], message="the store failed" + known, remedy=remedy, section=_SECTION)
