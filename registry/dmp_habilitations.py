"""Who may consult a record, by message: setAuthorization (TD0.3) and listAuthorizationByPatient (TD1.6) of the French DMP.

Patient and professional are those of the assertion; the messages name nobody. What is written is what
`./carnet patient authorise` and `treating` write (`registry/rights.py`), and a record that is not open refuses both alike.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence

from metadata.french import PS_OID, is_rpps
from metadata.rules.rule import Finding, Refused
from metadata.vocabulary import ResponseStatus, Transaction
from registry.dmp_patients import CODES, of_state, reasons_of, schema_findings
from registry.record import WrongState, expect
from registry.rights import Given, Right, give_in, listed_in, take_in
from registry.rights_acting import ACTING
from registry.tables import PatientState
from security import rules_access as rules
from security import saml_names as names
from security.access import DOCTOR, Authorisation
from security.identity import Assertion
from soap.body import habilitations as body
from soap.body.gdp_form import dmp_finding
from soap.body.habilitations import AuthorizationRequest, ListedAuthorization
from soap.call import Answer, Call
from soap.outcome import of_storage_error
from storage.database import Connection, Database
from storage.errors import StorageError

LOG = logging.getLogger("carnet.dmp")


class PatientAuthorizations:
    """The handler of `/dmp/habilitations`. One object serves all threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def __call__(self, call: Call) -> Answer:
        """One of the two requests in, its answer out. Raises Denied without an assertion that names a patient."""
        request, assertion = body.parse_authorization_request(call.body), call.caller.assertion
        if assertion is None:
            raise rules.NO_ASSERTION.denied()
        if not assertion.patient:
            raise rules.NO_PATIENT.denied()
        try:
            _refused(_form(request, call, assertion))
            return self._list(request, assertion) if request.name == body.LIST else self._set(request, assertion)
        except WrongState as wrong:
            return _failed(request, [of_state(wrong)], call.explain_base)
        except Refused as refused:
            return _failed(request, reasons_of(refused), call.explain_base)
        except StorageError as error:
            reference = os.urandom(4).hex()
            LOG.error("reference %s: %s", reference, request.name, exc_info=error)
            return _failed(request, [of_storage_error(error, Transaction.DMP_HABILITATIONS, reference)], call.explain_base)

    def _set(self, request: AuthorizationRequest, assertion: Assertion) -> Answer:
        right, holder = Right.TREATING if request.role else Right.AUTHORISED, _holder(assertion)

        def work(connection: Connection) -> bool:
            one = expect(connection, assertion.patient, PatientState.ACTIVE)
            if request.action == body.REMOVE:
                return take_in(connection, one, right, holder)
            if any(_holds(given, right, holder) for given in listed_in(connection, one)):
                return False  # what holds is not begun again: the year runs from the patient's word
            give_in(connection, one, right, holder)
            return True

        if self._database.write(work):
            return _done(request, "Done")
        if request.action == body.REMOVE:
            return _done(request, "The authorisation is not there: nothing was to be done")
        return _done(request, "The authorisation is there already: nothing was to be done")

    def _list(self, request: AuthorizationRequest, assertion: Assertion) -> Answer:
        with self._database.snapshot() as connection:
            one = expect(connection, assertion.patient, PatientState.ACTIVE, lock=False)
            given = listed_in(connection, one)
        treating = {one.holder for one in given if one.right is Right.TREATING}
        blocked = {one.holder for one in given if one.right is Right.BLOCKED}
        rows = []
        for right in given:
            if right.right is Right.BLOCKED:
                rows.append(_row(right, body.FORBIDDEN, False))
            elif _holds(right, Right.AUTHORISED, right.holder) and right.holder not in blocked:
                rows.append(_row(right, body.ACTIVE, right.holder in treating))
        return _done(request, "", [row for row in rows if request.mode in (row.mode, body.ALL)])


def _form(request: AuthorizationRequest, call: Call, assertion: Assertion) -> list[Finding]:
    findings = schema_findings(call)
    if call.action and call.action != request.action_uri:
        what = f"wsa:Action belongs to another operation than {request.name}"
        findings.append(dmp_finding("DMP-001", what, f"Send {request.action_uri}.", "wsa:Action", call.action))
    is_doctor = any((role.code, role.system) == (DOCTOR, names.PROFESSIONS) for role in assertion.roles)
    if request.role == body.TREATING and not is_doctor:
        what = "a treating physician is a doctor"
        findings.append(dmp_finding("DMP-010", what, "Leave the role out.", "role", request.role))
    if request.name == body.SET and not _holder(assertion):
        remedy = "Send a NameID, and the Identifiant_Structure where staff acts."
        findings.append(dmp_finding("DMP-008", "the assertion names nobody to be authorised", remedy, "NameID"))
    return findings


def _holder(assertion: Assertion) -> str:
    """Who is authorised: the person, or for staff without a profession the structure."""
    acting = ACTING.get()
    return assertion.structure if acting is not None and acting.grant.base in ("CPE", "PE") else assertion.subject


def _holds(given: Given, right: Right, holder: str) -> bool:
    """Whether this row is that right of that holder, and not over."""
    over = right is Right.AUTHORISED and given.state != Authorisation.VALID.value
    return given.right is right and given.holder == holder and not over


def _row(given: Given, mode: str, treating: bool) -> ListedAuthorization:
    id_type = PS_OID if is_rpps(given.holder) else ""
    return ListedAuthorization(given.holder, mode, id_type, given.at, treating)


def _done(request: AuthorizationRequest, context: str, rows: Sequence[ListedAuthorization] = ()) -> Answer:
    payload = body.build_authorization_answer(request, body.OK, context, rows)
    return Answer([payload], ResponseStatus.SUCCESS, response_action=request.response_action)


def _failed(request: AuthorizationRequest, findings: Sequence[Finding], explain_base: str) -> Answer:
    """`status` is the code of the first reason; `context` tells all."""
    status = CODES.get(findings[0].rule, findings[0].rule)
    payload = body.build_authorization_answer(request, status, " ".join(one.linked(explain_base) for one in findings))
    return Answer([payload], ResponseStatus.FAILURE, findings, response_action=request.response_action)


def _refused(findings: Sequence[Finding]) -> None:
    if findings:
        raise Refused(findings)
