"""What each transaction's audit record says: the table, and what a message tells of patients and objects.

(IHE ITI TF-2: the section 3.nn.5.1 of each transaction; RMU: 3.92.5, RMD: 3.62.5, 3.86.5.) One event concerns one patient: what
touches several makes several events (3.20.7.1). Where a message names no patient, that of the verified assertion stands for it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Protocol
from urllib.parse import urlsplit

from lxml import etree

from metadata import schemes
from metadata.vocabulary import TRANSACTION_NAMES, Transaction
from schemas.namespaces import LCM, RIM, q
from security.audit import (
    ERASED,
    ROLE_JOB,
    ROLE_QUERY,
    ROLE_REPORT,
    SUCCESS,
    AuditEvent,
    AuditObject,
    AuditSource,
    Participant,
    patient_object,
)
from security.audit_codes import (
    DCM,
    DESTINATION,
    EXPORT,
    IHE,
    IMPORT,
    OBJECT_REF,
    PATIENT_RECORD,
    QUERY,
    REPORT_NUMBER,
    SOURCE,
    SUBMISSION_SET,
    AuditCode,
)
from security.identity import Assertion, Coded
from soap.body.adhoc_query import AdhocQueryRequest, parse_adhoc_query
from soap.body.gdp import ADD, REVISE, parse_record_request
from soap.body.habilitations import LIST, parse_authorization_request
from soap.body.patient_identity import InstanceIdentifier, parse_identity_message
from soap.body.remove import parse_remove_objects
from soap.body.retrieve import DocumentRequest, parse_document_requests
from soap.call import Caller

ANONYMOUS = "http://www.w3.org/2005/08/addressing/anonymous"
HOME = "ihe:homeCommunityID"
REPOSITORY = "Repository Unique Id"
HOME_OF_QUERY = "urn:ihe:iti:xca:2010:homeCommunityId"
#: Characters of one query that the records of all its patients hold together, beside the first record, which has it whole: one
#: message of some thousand patients would otherwise fill the trail with the square of its size.
QUERY_COPIES = 256 * 1024

#: EventID and action of each transaction; the action of an identity message is that of its event.
EVENTS: Mapping[Transaction, tuple[AuditCode, str]] = {
    Transaction.ITI_8: (PATIENT_RECORD, "C"),
    Transaction.ITI_18: (QUERY, "E"),
    Transaction.ITI_41: (IMPORT, "C"),
    Transaction.ITI_42: (IMPORT, "C"),
    Transaction.ITI_43: (EXPORT, "R"),
    Transaction.ITI_44: (PATIENT_RECORD, "C"),
    Transaction.ITI_51: (QUERY, "E"),
    Transaction.ITI_57: (IMPORT, "U"),
    Transaction.ITI_61: (IMPORT, "C"),
    Transaction.ITI_62: (PATIENT_RECORD, "D"),
    Transaction.ITI_64: (PATIENT_RECORD, "U"),
    Transaction.ITI_86: (PATIENT_RECORD, "D"),
    Transaction.ITI_92: (IMPORT, "U"),
    Transaction.DMP_PATIENTS: (PATIENT_RECORD, "R"),
    Transaction.DMP_HABILITATIONS: (PATIENT_RECORD, "U"),
}

#: EventTypeCode of each.
_TYPES = {one: AuditCode(one.code, IHE, TRANSACTION_NAMES[one]) for one in EVENTS}

#: Purposes of use by which somebody sees what he may not see otherwise: of the French domain, of HL7 (POU).
EMERGENCY = frozenset({"bris_de_glace", "centre_15", "BTG", "ETREAT"})

_LIST, _PACKAGE, _EXTERNAL = q(RIM, "RegistryObjectList"), q(RIM, "RegistryPackage"), q(RIM, "ExternalIdentifier")
_SUBMIT = q(LCM, "SubmitObjectsRequest")
_CN = re.compile(r"(?:^|,)CN=((?:\\.|[^,\\])*)")
_QUOTED = re.compile(r"'((?:[^']|'')*)'")


class Owners(Protocol):
    """Whose documents and registered objects are."""

    def documents(self, unique_ids: Iterable[str]) -> Mapping[str, str]: ...

    def objects(self, entry_uuids: Iterable[str]) -> Mapping[str, str]: ...


@dataclass(frozen=True, slots=True)
class Part:
    """What one event says: its patient, other objects, an action of its own, the id of the message (type and value)."""

    patient: str = ""
    objects: tuple[AuditObject, ...] = ()
    action: str = ""
    message: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Deed:
    """One request as far as it was understood: what an event is made of. `body` is None when it was not understood; `parts` are
    given where the message is no XML. What its handler has read already is not read again: `asked` is its stored query,
    `patients` whose the documents are (by uniqueId)."""

    transaction: Transaction
    caller: Caller
    endpoint_url: str
    reply_to: str = ""
    body: etree._Element | None = None
    parts: tuple[Part, ...] = ()
    process: str = ""
    source: AuditSource | None = None
    asked: AdhocQueryRequest | None = None
    patients: Mapping[str, str] = field(default_factory=dict)
    at: int = field(default_factory=lambda: time.time_ns() // 1_000_000)


def events_of(deed: Deed, owners: Owners) -> list[AuditEvent]:
    """The events of a request, as successes; at least one."""
    code, action = EVENTS[deed.transaction]
    parts = _understood(deed, owners)
    assertion = deed.caller.assertion
    fallback = assertion.patient if assertion is not None else ""
    types = (_TYPES[deed.transaction],)
    participants = tuple(participants_of(deed))
    purposes = tuple(_code(one) for one in (assertion.purpose if assertion else None,) if one is not None)
    reason = assertion.reason if assertion else ""
    made = []
    for part in parts or [Part()]:
        patient = part.patient or fallback
        objects = (*((patient_object(patient),) if patient else ()), *part.objects)
        if patient and part.message:
            objects = (replace(objects[0], details=(part.message,)), *objects[1:])
        does = part.action or action
        made.append(AuditEvent(code, does, deed.at, SUCCESS, types, participants, objects, purposes, "", reason, deed.source))
    return made


# ------------------------------------------------------------------------------------------------------------ participants


def participants_of(deed: Deed) -> list[Participant]:
    """Source, the person who acts, destination. The documents' direction counts: in ITI-43 the repository is the source."""
    caller, person = deed.caller, human(deed.caller.assertion)
    gives = deed.transaction is Transaction.ITI_43
    theirs = Participant(
        deed.reply_to or ANONYMOUS, person is None, (DESTINATION if gives else SOURCE,), name=_common_name(caller.subject),
        address=caller.address,
    )  # fmt: skip
    ours = _server(deed.endpoint_url, gives, deed.process)
    people = [person] if person is not None else []
    return [ours, *people, theirs] if gives else [theirs, *people, ours]


@lru_cache(maxsize=64)
def _server(url: str, gives: bool, process: str) -> Participant:
    """This server under the name that the client used: a header line at most."""
    host = urlsplit(url).hostname or ""
    return Participant(url, False, (SOURCE if gives else DESTINATION,), alternative=process, address=host)


def human(assertion: Assertion | None) -> Participant | None:
    """Who acts, by a verified assertion: `alias<user@issuer>` (ITI TF-2: 3.40.4.2)."""
    if assertion is None:
        return None
    roles = tuple(_code(role) for role in assertion.roles)
    return Participant(
        assertion.user_name, True, roles, name=assertion.user_name, person=assertion.name, organisation=assertion.structure
    )


def is_emergency(assertion: Assertion | None) -> bool:
    """Whether the purpose of use is one that breaks the glass."""
    return assertion is not None and assertion.purpose is not None and assertion.purpose.code in EMERGENCY


def _code(coded: Coded) -> AuditCode:
    return AuditCode(coded.code, coded.system or DCM, coded.label or coded.code)


def _common_name(subject: str) -> str:
    match = _CN.search(subject)
    return re.sub(r"\\(.)", r"\1", match[1]) if match else subject


# ----------------------------------------------------------------------------------------------------------------- objects


def _understood(deed: Deed, owners: Owners) -> list[Part]:
    """Nothing for a body that was refused because it is none of the transaction's."""
    if deed.parts:
        return list(deed.parts)
    try:
        return list(_parts(deed, owners)) if deed.body is not None else []
    except (KeyError, ValueError):
        return []


def _parts(deed: Deed, owners: Owners) -> Iterable[Part]:
    body = deed.body
    assert body is not None
    match deed.transaction:
        case Transaction.ITI_18 | Transaction.ITI_51:
            return _query(deed.transaction, body, deed.asked or parse_adhoc_query(body))
        case Transaction.ITI_43:
            return _documents(parse_document_requests(body), owners, known=deed.patients)
        case Transaction.ITI_86:
            return _documents(parse_document_requests(body), owners, ERASED)
        case Transaction.ITI_62:
            return _removed(parse_remove_objects(body).ids, owners)
        case Transaction.ITI_44:
            message = parse_identity_message(body)
            stays, goes = ([_cx(one) for one in ids] for ids in (message.ids, message.prior))
            return identity_parts(message.work, stays, goes, ("II", _instance(message.id)))
        case Transaction.DMP_PATIENTS:
            return _record(body)
        case Transaction.DMP_HABILITATIONS:
            return [Part(action="R" if parse_authorization_request(body).name == LIST else "U")]
        case _:
            return _submission(body)


def _submission(body: etree._Element) -> list[Part]:
    """The SubmissionSet and its patient, of ITI-41, 42, 57, 61 and 92."""
    request = body if body.tag == _SUBMIT else body.find(_SUBMIT)
    objects = request.find(_LIST) if request is not None else None
    for package in objects.iterchildren(_PACKAGE) if objects is not None else ():
        found = {e.get("identificationScheme"): e.get("value", "") for e in package.iterchildren(_EXTERNAL)}
        unique_id = found.get(schemes.SS_UNIQUE_ID)
        if unique_id is not None:
            one = AuditObject(unique_id, SUBMISSION_SET, role=ROLE_JOB)
            return [Part(found.get(schemes.SS_PATIENT_ID, ""), (one,))]
    return []


def _record(body: etree._Element) -> list[Part]:
    """The patient of a message of the DMP: one person, whatever the number of identifiers."""
    request = parse_record_request(body)
    action = {ADD: "C", REVISE: "U"}.get(request.name, "R")
    message = ("II", _instance(request.id))
    return [Part(_cx(one), action=action, message=message) for one in request.ids[:1]] or [Part(action=action)]


def _query(transaction: Transaction, body: etree._Element, request: AdhocQueryRequest) -> list[Part]:
    details = [("QueryEncoding", "UTF-8"), *([(HOME_OF_QUERY, request.home)] if request.home else [])]
    asked = AuditObject(
        request.id,
        _TYPES[transaction],
        role=ROLE_QUERY,
        query=etree.tostring(body, encoding="unicode", with_tail=False),
        details=tuple(details),
    )
    values = [value for slot in request.slots if slot.name.lower().endswith("patientid") for value in slot.values]
    patients = dict.fromkeys(name.replace("''", "'") for value in values for name in _QUOTED.findall(value))
    first, *others = patients or ("",)
    beside = asked
    if len(others) * len(asked.query) > QUERY_COPIES:
        cut = asked.query[: max(QUERY_COPIES // len(others), 1)]
        beside = replace(asked, query=cut, details=(*asked.details, ("QueryCut", "the record of its first patient has it whole")))
    return [Part(first, (asked,)), *(Part(cx, (beside,)) for cx in others)]


def _documents(
    requests: Sequence[DocumentRequest], owners: Owners, cycle: int = 0, known: Mapping[str, str] = MappingProxyType({})
) -> list[Part]:
    """The documents of each patient. Those of whom nobody knows whose they are stand together."""
    missing = [request.documentUniqueId for request in requests if request.documentUniqueId not in known]
    if missing:
        known = {**owners.documents(missing), **known}
    by_patient: dict[str, dict[str, AuditObject]] = {}
    for request in requests:
        id = request.documentUniqueId
        details = [(REPOSITORY, request.repositoryUniqueId), *([(HOME, request.home)] if request.home else [])]
        one = AuditObject(id, REPORT_NUMBER, role=ROLE_REPORT, details=tuple(details), lifeCycle=cycle)
        by_patient.setdefault(known.get(id, ""), {})[id] = one
    return [Part(cx, tuple(objects.values())) for cx, objects in by_patient.items()]


def _removed(entry_uuids: Sequence[str], owners: Owners) -> list[Part]:
    known = owners.objects(entry_uuids)
    by_patient: dict[str, list[AuditObject]] = {}
    for id in dict.fromkeys(entry_uuids):
        by_patient.setdefault(known.get(id, ""), []).append(AuditObject(id, OBJECT_REF, role=ROLE_REPORT, lifeCycle=ERASED))
    return [Part(cx, tuple(objects)) for cx, objects in by_patient.items()]


def identity_parts(work: str, stays: Sequence[str], goes: Sequence[str], message: tuple[str, str]) -> list[Part]:
    """The patients of an identity message: `add`, `revise`, `merge`. A merge deletes the one and updates the other
    (ITI TF-2: 3.8.5.1)."""
    action = {"add": "C", "revise": "U", "merge": "U"}[work]
    gone = [Part(cx, action="D", message=message) for cx in dict.fromkeys(goes)] if work == "merge" else []
    return [*gone, *(Part(cx, action=action, message=message) for cx in dict.fromkeys(stays))]


def _cx(one: InstanceIdentifier) -> str:
    return f"{one.extension}^^^{one.authority}&{one.root}&ISO"


def _instance(one: InstanceIdentifier) -> str:
    return f"{one.root}^{one.extension}" if one.extension else one.root
