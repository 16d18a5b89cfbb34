"""What a message of the DMP about a record must hold beyond its schema: judged by the server that takes it, and by the lint.

(DMP integration guide: TD0.2, TD1.1 to TD1.4; PDT-INF-617 on names that are empty.) The schema is `schemas/xsd/hl7v3.xsd`; what
the state of a record forbids is said in `registry/record.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from metadata.rules.rule import Finding
from metadata.vocabulary import ErrorCode
from soap.body import gdp
from soap.body.gdp import RecordRequest

SECTION = "DMP integration guide: TD1"
#: HL7 v3 TS: digits, a fraction, an offset.
_TIME = re.compile(r"[0-9]{4,14}(\.[0-9]{1,4})?([+-][0-9]{4})?")
_CONSENTS = {gdp.CREATE: gdp.CONSENT_OPEN, gdp.REACTIVATE: gdp.CONSENT_REACTIVATE}


def dmp_finding(rule: str, message: str, remedy: str, attribute: str = "", value: str = "") -> Finding:
    """One reason why a message of the DMP's services is refused."""
    return Finding(
        rule=rule, code=ErrorCode.XDSRegistryError, message=message, remedy=remedy, attribute=attribute, value=value,
        section=SECTION,
    )  # fmt: skip


def addressed(request: RecordRequest, action: str) -> Iterator[Finding]:
    """Whether the message is what it says."""
    name = request.name
    if request.interaction != name:
        yield dmp_finding("DMP-001", f"interactionId is not that of a {name}", f"Send extension='{name}'.", "interactionId",
                          request.interaction)  # fmt: skip
    if action and not action.endswith(f":{name}"):
        yield dmp_finding("DMP-001", f"wsa:Action is not that of a {name}", f"Send urn:hl7-org:v3:{name}.", "wsa:Action", action)


def form_of(request: RecordRequest) -> Iterator[Finding]:
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
