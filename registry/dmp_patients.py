"""The records of the French DMP as objects, by message: does one exist, open, read, change, close and reopen it.

(DMP integration guide: TD0.2, TD1.1 to TD1.4; messages in `soap/body/gdp.py`.) What may be done to a record in which state is
said in `registry/record.py`, for these messages as for the commands. Every answer is an acknowledgement: AA done, AE refused with
every reason, AR not for this service or not now. A reason has the DMP's code where one is known (DMPFound, DMPClosed), else the
id of our rule.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Sequence

from metadata.ins import INS_C
from metadata.rules.rule import Finding, Refused
from metadata.vocabulary import ErrorCode, ResponseStatus, Transaction
from registry import patients
from registry.demographics import read_demographics, write_demographics
from registry.patient_identity import Authorities, problems_of_form
from registry.patients import Patient
from registry.record import Event, Records, WrongState, events, expect, of
from registry.rights import Right, give_in, listed_in, take_in
from registry.rights_acting import ACTING
from registry.tables import PatientState
from schemas.validate import validate
from security import saml_names as names
from security.access import Authorisation, Grant
from soap.body import gdp
from soap.body.gdp import Attention, Found, RecordRequest
from soap.body.patient_identity import InstanceIdentifier
from soap.call import Answer, Call
from soap.outcome import of_storage_error
from storage.database import Connection, Database
from storage.errors import StorageError

LOG = logging.getLogger("carnet.dmp")

SECTION = "DMP integration guide: TD1"
#: The codes that clients of the DMP know, by rule; every other reason has the id of its rule.
CODES = {"DMP-002": "DMPFound", "DMP-003": "DMPClosed"}
#: Observations that are rights of the patient, with the purpose that is opposed.
_OPPOSITIONS = {gdp.OPPOSED_GLASS: names.EMERGENCY, gdp.OPPOSED_CENTRE: names.CENTRE_15}
#: HL7 v3 TS: digits, a fraction, an offset.
_TIME = re.compile(r"[0-9]{4,14}(\.[0-9]{1,4})?([+-][0-9]{4})?")
_CONSENTS = {gdp.CREATE: gdp.CONSENT_OPEN, gdp.REACTIVATE: gdp.CONSENT_REACTIVATE}


def dmp_finding(rule: str, message: str, remedy: str, attribute: str = "", value: str = "") -> Finding:
    """One reason why a message of the DMP's services is refused."""
    return Finding(
        rule=rule, code=ErrorCode.XDSRegistryError, message=message, remedy=remedy, attribute=attribute, value=value,
        section=SECTION,
    )  # fmt: skip


def of_state(wrong: WrongState) -> Finding:
    """The record is not in the state for this: DMPFound where it is open, DMPClosed where it is closed or gone."""
    value = wrong.findings[0].value
    if wrong.state is PatientState.ACTIVE:
        return dmp_finding("DMP-002", "the record exists and is open", "Feed it, or change it by MODIF_DATA.", "patientId", value)
    if wrong.state is PatientState.CLOSED:
        return dmp_finding("DMP-003", "the record is closed", "Reactivate it (REAC).", "patientId", value)
    return dmp_finding("DMP-003", "the record is destroyed", "It is gone.", "patientId", value)


def schema_findings(call: Call) -> list[Finding]:
    """What our schema has against the body."""
    found = validate(call.body, str(call.body.tag).rpartition("}")[2])
    remedy = "Write it as the schemas at ?xsd= of this address demand"
    return [
        Finding("XSD-001", ErrorCode.XDSRegistryError, one.message, remedy, one.path, line=one.line or None) for one in found
    ]


class _Rejected(Refused):
    """The message is none for this service: AR."""


class PatientRecords:
    """The handler of `/dmp/patients`. One object serves all threads."""

    def __init__(self, database: Database, records: Records, authorities: Authorities) -> None:
        self._database = database
        self._records = records
        self._authorities = authorities

    def __call__(self, call: Call) -> Answer:
        """One of the three requests in, its answer out; nothing is raised but what no message can tell."""
        request = gdp.parse_record_request(call.body)
        try:
            _rejected(list(_addressed(request, call.action)))
            _refused([*schema_findings(call), *_form(request)])
            cxs = self._identifiers(request)
            payload = self._found(request, cxs) if request.name == gdp.QUERY else self._changed(request, cxs)
        except WrongState as wrong:
            return _answer(request, "AE", [of_state(wrong)])
        except _Rejected as rejected:
            return _answer(request, "AR", rejected.findings)
        except Refused as refused:
            return _answer(request, "AE", refused.findings)
        except StorageError as error:
            reference = os.urandom(4).hex()
            LOG.error("reference %s: %s", reference, request.name, exc_info=error)
            return _answer(request, "AR", [of_storage_error(error, Transaction.DMP_PATIENTS, reference)])
        return Answer([payload], ResponseStatus.SUCCESS, response_action=gdp.ANSWERS[request.name][2])

    def _identifiers(self, request: RecordRequest) -> list[str]:
        """The patient's identifiers as the registry keeps them. Raises Refused for those of other authorities and wrong ones."""
        wrong: list[Finding] = []
        cxs: dict[str, None] = {}
        for one in request.ids:
            cx = self._authorities.cx(one.extension, one.authority, one.root) if one.extension else None
            if cx is None:
                shown = f"{one.root}^{one.extension}"
                what = "the identifier is empty, or its authority is not one of this affinity domain"
                wrong.append(dmp_finding("DMP-007", what, "Send root and extension of an INS.", "patient/id", shown))
            else:
                cxs[cx] = None
        wrong += problems_of_form(list(cxs), self._authorities, SECTION)
        _refused(wrong)
        return list(cxs)

    # -------------------------------------------------------------------------------------------------------- changes

    def _changed(self, request: RecordRequest, cxs: Sequence[str]) -> bytes:
        def work(connection: Connection) -> None:
            known = _one_person(connection, cxs)
            reason, by = request.reason, {"by": request.author.id, "structure": request.author.structure}
            if reason == gdp.CREATE:
                if known is not None and known.state is PatientState.SUBSUMED:
                    of(connection, known.cx)  # refused: it was merged into another
                one = self._records.open_in(connection, cxs, **by)
                write_demographics(connection, one, request.person)
                _oppose(connection, one, request)
            elif reason == gdp.REACTIVATE:
                self._records.reopen_in(connection, cxs[0], **by)
            elif reason == gdp.CLOSE:
                code, text = request.closing[0]
                self._records.close_in(connection, cxs[0], reason=text, code=code, **by)
            else:
                one = expect(connection, cxs[0], PatientState.ACTIVE)
                write_demographics(connection, one, read_demographics(connection, one).changed_by(request.person))
                _oppose(connection, one, request)

        self._database.write(work)
        return gdp.build_accepted(request)

    # -------------------------------------------------------------------------------------------------------- reading

    def _found(self, request: RecordRequest, cxs: Sequence[str]) -> bytes:
        with self._database.snapshot() as connection:
            one = _one_person(connection, cxs)
            gone = one is None or one.state is PatientState.SUBSUMED or one.cluster_state is PatientState.DESTROYED
            found = None if one is None or gone else _told(connection, one)
        acting = ACTING.get()
        attention = attention_of(acting.grant) if acting is not None and request.reason == gdp.TEST else None
        return gdp.build_found(request, found, attention)


def attention_of(grant: Grant) -> Attention:
    """The caller's state with the patient: of who acts, or of the structure in whose name it is done; blocked wins."""
    rights = grant.rights
    own = rights.structure if grant.base in ("ES", "CPE", "PE") else rights.authorisation
    blocked = Authorisation.BLOCKED in (rights.authorisation, rights.structure)
    return Attention((Authorisation.BLOCKED if blocked else own).value, rights.treating)


def _told(connection: Connection, one: Patient) -> Found:
    """What is known of a record, an INS-C first, the others in the order in which they became known."""
    members = [m for m in patients.cluster_of(connection, one.cluster) if m.state is not PatientState.SUBSUMED]
    ids = sorted((_instance(member.cx) for member in members), key=lambda id: id.root != INS_C)
    opposed = {given.holder for given in listed_in(connection, one) if given.right is Right.OPPOSED}
    closings = [told for told in events(connection, one) if told.event is Event.CLOSED]
    closed = closings[-1] if one.cluster_state is PatientState.CLOSED and closings else None
    return Found(
        ids=ids,
        person=read_demographics(connection, one),
        closed=closed.at if closed else "",
        why=str(closed.detail.get("code", "")) if closed else "",
        observations={code: purpose in opposed for code, purpose in _OPPOSITIONS.items()},
    )


def _instance(cx: str) -> InstanceIdentifier:
    extension, _, rest = cx.partition("^^^&")
    return InstanceIdentifier(rest.partition("&")[0], extension)


def _oppose(connection: Connection, one: Patient, request: RecordRequest) -> None:
    """What the patient opposes, as far as the message says it."""
    for code, purpose in _OPPOSITIONS.items():
        if code in request.observations:
            (give_in if request.observations[code] else take_in)(connection, one, Right.OPPOSED, purpose)


def _one_person(connection: Connection, cxs: Sequence[str]) -> Patient | None:
    """The person of these identifiers, None where nobody has any. Raises Refused where they are several people's."""
    rows = patients.find(connection, cxs)
    if len({row.cluster for row in rows.values()}) > 1:
        what = "the identifiers are those of several patients"
        raise Refused([dmp_finding("DMP-007", what, "Send those of one patient.", "patient/id", ", ".join(rows))])
    return next(iter(rows.values()), None)


# ----------------------------------------------------------------------------------------------------------------- the form


def _addressed(request: RecordRequest, action: str) -> Iterator[Finding]:
    """Whether the message is what it says."""
    name = request.name
    if request.interaction != name:
        yield dmp_finding("DMP-001", f"interactionId is not that of a {name}", f"Send extension='{name}'.", "interactionId",
                          request.interaction)  # fmt: skip
    if action and not action.endswith(f":{name}"):
        yield dmp_finding("DMP-001", f"wsa:Action is not that of a {name}", f"Send urn:hl7-org:v3:{name}.", "wsa:Action", action)


def _form(request: RecordRequest) -> Iterator[Finding]:
    """What the schema cannot say."""
    known = gdp.REASONS[request.name]
    if not request.transaction:
        said = ", ".join(f"{code} ({system})" for code, system in request.reasons) or "none"
        what = f"a {request.name} has one of the reasons {', '.join(known)}"
        yield dmp_finding("DMP-005", what, f"Send it once, in code system {gdp.REASONS_SYSTEM}.", "reasonCode", said)
    if not request.ids:
        yield dmp_finding("DMP-007", "the message names no patient", "Send root and extension of the INS.", "patient/id")
    if request.name != gdp.QUERY:
        yield from _change_form(request)


def _change_form(request: RecordRequest) -> Iterator[Finding]:
    reason, status = request.reason, "terminated" if request.reason == gdp.CLOSE else "active"
    if request.transaction and request.status != status:
        what = f"patient/statusCode of a {reason} is {status}"
        yield dmp_finding("DMP-006", what, f"Send code='{status}'.", "patient/statusCode", request.status)
    if reason == gdp.CLOSE and [code for code, _ in request.closing] != [gdp.CLOSING]:
        said = ", ".join(code or "(another code system)" for code, _ in request.closing)
        remedy = f"Send {gdp.CLOSING} in code system {gdp.CLOSING_SYSTEM}, once."
        yield dmp_finding("DMP-006", "a record is closed for the reason that is known", remedy, "detectedIssueEvent/code", said)
    consent = _CONSENTS.get(reason)
    if consent and not request.observations.get(consent):
        what = f"the patient consents: observation {consent} of {gdp.OBSERVATIONS}, true"
        said = "false" if consent in request.observations else "none"
        yield dmp_finding("DMP-004", what, "Ask the patient, then send it.", "administrativeObservation", said)
    author = request.author
    if not (author.id and author.family and author.given):
        what = f"the requester has an id of {gdp.PROFESSIONAL}, a family and a given name"
        shown = f"{author.id}^{author.family}^{author.given}"
        yield dmp_finding("DMP-008", what, "Fill author/assignedEntity.", "author/assignedEntity", shown)
    birth = request.person.birth
    if birth and not _TIME.fullmatch(birth):
        yield dmp_finding("DMP-009", "a point in time is written in digits", "Send YYYYMMDD.", "birthTime", birth)


def _answer(request: RecordRequest, type_code: str, findings: Sequence[Finding]) -> Answer:
    details = [(CODES.get(one.rule, one.rule), one.text()) for one in findings]
    payload = gdp.build_refused(request, type_code, details)
    return Answer([payload], ResponseStatus.FAILURE, findings, response_action=gdp.ANSWERS[request.name][2])


def _refused(findings: Sequence[Finding]) -> None:
    if findings:
        raise Refused(findings)


def _rejected(findings: Sequence[Finding]) -> None:
    if findings:
        raise _Rejected(findings)
