"""The records of the French DMP as objects, by message: does one exist, open, read, change, close and reopen it.

(DMP integration guide: TD0.2, TD1.1 to TD1.4; messages in `soap/body/gdp.py`.) What may be done to a record in which state is
said in `registry/record.py`, for these messages as for the commands. Every answer is an acknowledgement: AA done, AE refused with
every reason, AR not for this service or not now. A reason has the DMP's code where one is known (DMPFound, DMPClosed), else the
id of our rule.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence

from metadata.ins import INS_C
from metadata.rules.rule import Finding, Refused
from metadata.vocabulary import ErrorCode, ResponseStatus, Severity, Transaction
from registry import patients
from registry.demographics import read_demographics, write_demographics
from registry.patient_identity import Authorities, problems_of_form
from registry.patients import Patient
from registry.record import Event, Records, WrongState, events, expect, of
from registry.rights import Right, give_in, listed_in, take_in
from registry.rights_acting import ACTING
from registry.tables import PatientState
from security import saml_names as names
from security.access import Authorisation, Grant
from security.identity import Assertion
from soap.body import gdp
from soap.body.gdp import Attention, Found, RecordRequest
from soap.body.gdp_form import SECTION, addressed, dmp_finding, form_of
from soap.body.patient_identity import InstanceIdentifier
from soap.call import Answer, Call
from soap.outcome import body_findings, of_storage_error
from storage.database import Connection, Database
from storage.errors import StorageError

LOG = logging.getLogger("carnet.dmp")

#: The codes that clients of the DMP know, by rule; every other reason has the id of its rule.
CODES = {"DMP-002": "DMPFound", "DMP-003": "DMPClosed"}
#: Observations that are rights of the patient, with the purpose that is opposed.
_OPPOSITIONS = {gdp.OPPOSED_GLASS: names.EMERGENCY, gdp.OPPOSED_CENTRE: names.CENTRE_15}


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
    return body_findings(call, str(call.body.tag).rpartition("}")[2])


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
            _rejected(list(addressed(request, call.action)))
            _refused([*schema_findings(call), *form_of(request)])
            cxs = self._identifiers(request)
            told: Sequence[Finding] = ()
            if request.name == gdp.QUERY:
                payload, told = self._found(request, cxs)
            else:
                payload = self._changed(request, cxs, call.caller.assertion)
        except WrongState as wrong:
            return _answer(request, "AE", [of_state(wrong)], call.explain_base)
        except _Rejected as rejected:
            return _answer(request, "AR", rejected.findings, call.explain_base)
        except Refused as refused:
            return _answer(request, "AE", reasons_of(refused), call.explain_base)
        except StorageError as error:
            reference = os.urandom(4).hex()
            LOG.error("reference %s: %s", reference, request.name, exc_info=error)
            return _answer(request, "AR", [of_storage_error(error, Transaction.DMP_PATIENTS, reference)], call.explain_base)
        return Answer([payload], ResponseStatus.SUCCESS, told, response_action=gdp.ANSWERS[request.name][2])

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

    def _changed(self, request: RecordRequest, cxs: Sequence[str], assertion: Assertion | None) -> bytes:
        """One transaction. Its event keeps who asks, as the message names him, and who acts, where that is proved."""
        by = {"by": request.author.id, "structure": request.author.structure, "acting": assertion.subject if assertion else ""}

        def work(connection: Connection) -> None:
            known = _one_person(connection, cxs)
            reason = request.reason
            if reason != gdp.CREATE or (known is not None and known.state is PatientState.SUBSUMED):
                for cx in cxs:
                    of(connection, cx)  # refused: one that is unknown, or was merged into another
            if reason == gdp.CREATE:
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

    def _found(self, request: RecordRequest, cxs: Sequence[str]) -> tuple[bytes, Sequence[Finding]]:
        """The answer, and for whoever watches (`server/enumeration.py`) that a patient was asked about whom nobody knows."""
        with self._database.snapshot() as connection:
            one = _one_person(connection, cxs)
            gone = one is None or one.state is PatientState.SUBSUMED or one.cluster_state is PatientState.DESTROYED
            found = None if one is None or gone else _told(connection, one)
        acting = ACTING.get()
        attention = attention_of(acting.grant) if acting is not None and request.reason == gdp.TEST else None
        unknown = [unknown_patient(cxs[0], Severity.WARNING)] if found is None else []
        return gdp.build_found(request, found, attention), unknown


def unknown_patient(cx: str, severity: Severity = Severity.ERROR) -> Finding:
    """Nobody knows this patient."""
    return Finding(
        rule="REC-002", code=ErrorCode.XDSUnknownPatientId, message="the patient is not known", remedy="Correct the identifier.",
        attribute="patientId", value=cx, section=SECTION, severity=severity,
    )  # fmt: skip


def reasons_of(refused: Refused) -> list[Finding]:
    """The findings of a refusal; of an unknown patient, one by which whoever watches knows it."""
    return [
        unknown_patient(one.value) if one.rule == "REC-002" and one.message == "the patient is not known" else one
        for one in refused.findings
    ]


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


def _answer(request: RecordRequest, type_code: str, findings: Sequence[Finding], explain_base: str) -> Answer:
    details = [(CODES.get(one.rule, one.rule), one.linked(explain_base)) for one in findings]
    payload = gdp.build_refused(request, type_code, details)
    return Answer([payload], ResponseStatus.FAILURE, findings, response_action=gdp.ANSWERS[request.name][2])


def _refused(findings: Sequence[Finding]) -> None:
    if findings:
        raise Refused(findings)


def _rejected(findings: Sequence[Finding]) -> None:
    if findings:
        raise _Rejected(findings)
