"""`docs/integration-statement.md`, made from the tables: `python -m server.statement > docs/integration-statement.md`.

The form is IHE's (ITI TF-1: Appendix C): product, actors, profiles, options; then what an integrator asks next. Only what is
served stands here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from metadata.query_table import QUERIES, QueryDefinition
from metadata.vocabulary import TRANSACTION_NAMES, Actor, AssociationType, ErrorCode, Transaction
from schemas.namespaces import XDS
from server.version import version

#: Actor, transaction, and the side the actor takes in it.
TRANSACTIONS: tuple[tuple[Actor, Transaction, str], ...] = (
    (Actor.REGISTRY, Transaction.ITI_42, "responder"),
    (Actor.REGISTRY, Transaction.ITI_18, "responder"),
    (Actor.REGISTRY, Transaction.ITI_8, "responder, HL7 2.3.1 over MLLP, with `mllp.port`"),
    (Actor.REGISTRY, Transaction.ITI_64, "responder, HL7 2.5 over MLLP, with `mllp.port` and `domain.link_change`"),
    (Actor.REGISTRY, Transaction.ITI_44, "responder; also PRPA_IN201302UV02, PRPA_IN201304UV02"),
    (Actor.REGISTRY, Transaction.ITI_51, "responder, with `domain.multi_patient`"),
    (Actor.REGISTRY, Transaction.ITI_57, "responder"),
    (Actor.REGISTRY, Transaction.ITI_61, "responder"),
    (Actor.REGISTRY, Transaction.ITI_92, "responder (RMU: Update Responder)"),
    (Actor.REGISTRY, Transaction.ITI_62, "responder"),
    (Actor.REPOSITORY, Transaction.ITI_41, "responder"),
    (Actor.REPOSITORY, Transaction.ITI_42, "initiator, where the registry is elsewhere"),
    (Actor.REPOSITORY, Transaction.ITI_43, "responder"),
    (Actor.REPOSITORY, Transaction.ITI_86, "responder"),
)
#: Services of the French DMP, which are no transactions of IHE: its name for each thing done, wsa:Action, answers.
DMP_SERVICES: tuple[tuple[Transaction, str, str, str], ...] = (
    (Transaction.DMP_PATIENTS, "TD0.2, TD1.3a", "urn:hl7-org:v3:PRPA_IN201307UV02", "PRPA_IN201308UV02"),
    (Transaction.DMP_PATIENTS, "TD1.1", "urn:hl7-org:v3:PRPA_IN201311UV02", "PRPA_IN201312UV02 or 201313"),
    (Transaction.DMP_PATIENTS, "TD1.2, TD1.3b, TD1.4", "urn:hl7-org:v3:PRPA_IN201314UV02", "PRPA_IN201315UV02 or 201316"),
    (Transaction.DMP_HABILITATIONS, "TD0.3", Transaction.DMP_HABILITATIONS.action, "setAuthorizationResponse"),
    (
        Transaction.DMP_HABILITATIONS, "TD1.6",
        Transaction.DMP_HABILITATIONS.action.replace("setAuthorization", "listAuthorizationByPatient"),
        "listAuthorizationByPatientResponse",
    ),
)  # fmt: skip
#: Options of ITI TF-1: Table 10.2-1 by actor, with what stands for each.
OPTIONS = (
    (Actor.REGISTRY, "Reference ID", "referenceIdList is stored; FindDocumentsByReferenceId is answered"),
    (Actor.REGISTRY, "Document Metadata Update", "ITI-57 with all six operations; `$MetadataLevel`, `$XDSAssociationStatus`"),
    (Actor.REGISTRY, "On-Demand Documents", "ITI-61, $XDSDocumentEntryType, IsSnapshotOf"),
    (Actor.REGISTRY, "XAD-PID Change Management", "ITI-64, where `domain.link_change` names its contentTypeCode"),
)
_E = ErrorCode
_SUBMISSION = (
    _E.UnresolvedReferenceException,
    _E.XDSDuplicateUniqueIdInRegistry,
    _E.XDSNonIdenticalHash,
    _E.XDSNonIdenticalSize,
    _E.XDSPatientIdDoesNotMatch,
    _E.XDSRegistryBusy,
    _E.XDSRegistryDeprecatedDocumentError,
    _E.XDSRegistryDuplicateUniqueIdInMessage,
    _E.XDSRegistryError,
    _E.XDSRegistryMetadataError,
    _E.XDSRegistryOutOfResources,
    _E.XDSUnknownPatientId,
)
#: What only a document with a hash can be answered.
_BY_CONTENT = (_E.XDSNonIdenticalHash, _E.XDSNonIdenticalSize)
_UPDATE = (
    _E.UnresolvedReferenceException,
    _E.XDSDuplicateUniqueIdInRegistry,
    _E.XDSInvalidRequestException,
    _E.XDSMetadataIdentifierError,
    _E.XDSMetadataVersionError,
    _E.XDSPatientIDReconciliationError,
    _E.XDSRegistryBusy,
    _E.XDSRegistryDuplicateUniqueIdInMessage,
    _E.XDSRegistryError,
    _E.XDSRegistryMetadataError,
    _E.XDSRegistryOutOfResources,
    _E.XDSUnknownPatientId,
)
#: The error codes with which each transaction may be answered (ITI TF-3: Table 4.2.4.1-2). An ITI-41 relays the registry's.
CODES: dict[Transaction, tuple[ErrorCode, ...]] = {
    Transaction.ITI_57: (
        *_UPDATE,
        _E.XDSMetadataUpdateError,
        _E.XDSMetadataUpdateOperationError,
        _E.XDSRegistryDeprecatedDocumentError,
    ),
    Transaction.ITI_92: (
        *_UPDATE,
        _E.UnmodifiableMetadataError,
        _E.XDSMetadataAnnotationError,
        _E.XDSMetadataUpdateOperationError,
        _E.XDSObjectTypeError,
    ),
    Transaction.ITI_42: _SUBMISSION,
    Transaction.ITI_41: (
        *_SUBMISSION,
        _E.XDSMissingDocument,
        _E.XDSMissingDocumentMetadata,
        _E.XDSRegistryNotAvailable,
        _E.XDSRepositoryBusy,
        _E.XDSRepositoryError,
        _E.XDSRepositoryMetadataError,
        _E.XDSRepositoryOutOfResources,
    ),
    Transaction.ITI_18: (
        _E.XDSRegistryBusy,
        _E.XDSRegistryError,
        _E.XDSRegistryOutOfResources,
        _E.XDSResultNotSinglePatient,
        _E.XDSStoredQueryMissingParam,
        _E.XDSStoredQueryParamNumber,
        _E.XDSTooManyResults,
        _E.XDSUnknownCommunity,
        _E.XDSUnknownPatientId,
        _E.XDSUnknownStoredQuery,
    ),
    Transaction.ITI_51: (
        _E.XDSRegistryBusy,
        _E.XDSRegistryError,
        _E.XDSRegistryOutOfResources,
        _E.XDSStoredQueryMissingParam,
        _E.XDSStoredQueryParamNumber,
        _E.XDSTooManyResults,
        _E.XDSUnknownStoredQuery,
    ),
    Transaction.ITI_61: tuple(c for c in _SUBMISSION if c not in _BY_CONTENT),
    Transaction.ITI_86: (
        _E.XDSDocumentUniqueIdError,
        _E.XDSRemoveDocumentsError,
        _E.XDSRepositoryBusy,
        _E.XDSRepositoryError,
        _E.XDSRepositoryOutOfResources,
        _E.XDSTooManyResults,
        _E.XDSUnknownCommunity,
        _E.XDSUnknownRepositoryId,
    ),
    Transaction.ITI_62: (
        _E.ReferencesExistException,
        _E.UnresolvedReferenceException,
        _E.XDSRegistryBusy,
        _E.XDSRegistryError,
        _E.XDSRegistryOutOfResources,
        _E.XDSUnreferencedObjectException,
    ),
    Transaction.ITI_43: (
        _E.XDSDocumentUniqueIdError,
        _E.XDSRepositoryBusy,
        _E.XDSRepositoryError,
        _E.XDSRepositoryOutOfResources,
        _E.XDSTooManyResults,
        _E.XDSUnknownCommunity,
        _E.XDSUnknownRepositoryId,
    ),
}
#: The identity feeds acknowledge with reasons in words; behind each reason stands one of these codes.
CODES[Transaction.ITI_8] = CODES[Transaction.ITI_44] = CODES[Transaction.ITI_64] = (_E.XDSRegistryError, _E.XDSUnknownPatientId)
#: Association types that a submission may bring.
_RELATIONSHIPS = tuple(t for t in AssociationType if t.db <= AssociationType.IS_SNAPSHOT_OF.db)

_INTRODUCTION = """# IHE Integration Statement

This page is made from the tables of the program: `python -m server.statement > docs/integration-statement.md`. It states what
this version serves, and nothing that is planned.
"""
_PATHS = f"""Both actors also have one path each for all of their transactions but ITI-51: `/xds/registry` and
`/xds/repository`. The WSDL is served at `?wsdl` of every path (target namespace `{XDS}`). ITI-41 and ITI-43 are
answered in the form of the request, MTOM/XOP or plain SOAP; the others are plain SOAP."""
_PARAMETERS = """**Bold** parameters are required; of those in *italics* exactly one is given; `+` marks a parameter that takes
several values. The return types are LeafClass and ObjectRef."""
_EXTENSION = """Queries marked as an extension are not IHE's. They are answered unless `domain.title_query` is false or
`domain.wire` is `strict`; then their ids are unknown here."""
_DMP = """Served with `domain.dmp_services`, which the domain `dmp-fr` switches on ([dmp-services.md](dmp-services.md)). An
acknowledgement that refuses has the code `DMPFound` or `DMPClosed`, or the id of the rule;
`setAuthorization` answers `DMPOk` or one of these."""
_PAGES = """The rules behind them are listed in [rules.md](rules.md), the settings in [settings.md](settings.md), what is accepted
on the wire beyond the standard in [wire.md](wire.md)."""
_LIMITS = """## What is not claimed

The groupings with a CT Time Client and with an ATNA Secure Node, the Forward Update Option of RMU and Asynchronous Web
Services Exchange are not claimed by this version. Patients are made known by the identity feeds, by the command
`carnet patient add`, or by their first submission where the setting `patients` is `open`.
"""


def integration_statement() -> str:
    """The whole page, in Markdown."""
    parts = [_INTRODUCTION]
    product = ("Carnet", version(), "IT Infrastructure (ITI)", "XDS.b")
    parts += _table("Product", ("Product", "Version", "Domain", "Profile"), [product])
    parts += _table(
        "Actors and transactions",
        ("Actor", "Transaction", "Side", "SOAP 1.2 action", "Path"),
        ((a.value, f"{t.code} {TRANSACTION_NAMES[t]}", side, *_where(t)) for a, t, side in TRANSACTIONS),
    )
    parts += [_PATHS, ""]
    parts += _table(
        "Services of the French DMP",
        ("Service", "What", "SOAP 1.2 action", "Answer", "Path"),
        ((TRANSACTION_NAMES[t], what, f"`{action}`", answer, f"`{t.path}`") for t, what, action, answer in DMP_SERVICES),
    )
    parts += [_DMP, ""]
    parts += _table("Options", ("Actor", "Option", "What it means here"), ((a.value, name, text) for a, name, text in OPTIONS))
    head = ("Query", "Id", "Answers with", "Parameters", "Source")
    parts += _table("Stored queries (ITI-18)", head, map(_query, _queries(Transaction.ITI_18)))
    parts += [_PARAMETERS, "", _EXTENSION, ""]
    parts += _table("Multi-patient queries (ITI-51)", head, map(_query, _queries(Transaction.ITI_51)))
    parts += _table("Associations", ("Type", "URN"), ((t.urn.rpartition(":")[2], f"`{t.urn}`") for t in _RELATIONSHIPS))
    parts += _table(
        "Error codes",
        ("Transaction", "Codes"),
        ((t.code, ", ".join(f"`{c.value}`" for c in sorted(codes, key=lambda c: c.value))) for t, codes in CODES.items()),
    )
    parts += [_PAGES, "", _LIMITS]
    return "\n".join(parts).rstrip() + "\n"


def _where(transaction: Transaction) -> tuple[str, str]:
    """Action and path; ITI-8 and ITI-64 are no web services and have neither."""
    return (f"`{transaction.action}`", f"`{transaction.path}`") if transaction.action else ("", "")


def _queries(transaction: Transaction) -> list[QueryDefinition]:
    return [q for q in QUERIES if transaction in q.transactions]


def _query(query: QueryDefinition) -> tuple[str, ...]:
    shown = []
    for parameter in query.parameters:
        text = f"`{parameter.name}`" + ("+" if parameter.many else "")
        shown.append(f"**{text}**" if parameter.required else f"*{text}*" if parameter.group else text)
    name = f"{query.name} (extension)" if query.extension else query.name
    return name, f"`{query.id}`", query.returns.value, " ".join(shown), query.section


def _table(title: str, head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    lines = [f"## {title}", "", "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return [*lines, *("| " + " | ".join(row) + " |" for row in rows), ""]


if __name__ == "__main__":
    sys.stdout.write(integration_statement())
