"""ITI-44 as text, and what its acknowledgement says (ITI TF-2: 3.44)."""

from __future__ import annotations

from collections.abc import Sequence

from tests.nist.wire import Answer

V3 = "urn:hl7-org:v3"
ADD, MERGE = "PRPA_IN201301UV02", "PRPA_IN201304UV02"


def action_of(name: str) -> str:
    return f"{V3}:{name}"


def _id(cx: str) -> str:
    """`id^^^&OID&ISO` as an II."""
    extension, _, rest = cx.partition("^^^&")
    return f'<id extension="{extension}" root="{rest.partition("&")[0]}"/>'


def identity_message(name: str, cxs: Sequence[str], prior: str = "") -> bytes:
    """One patient with these identifiers; `prior` is the identifier that was merged into it."""
    replaced = (
        f"<replacementOf><priorRegistration><subject1><priorRegisteredRole>{_id(prior)}</priorRegisteredRole></subject1>"
        "</priorRegistration></replacementOf>"
    )
    return (
        f'<{name} xmlns="{V3}" ITSVersion="XML_1.0"><id root="1.2.250.9.2" extension="1"/><creationTime value="2024"/>'
        f'<interactionId root="2.16.840.1.113883.1.6" extension="{name}"/><processingCode code="T"/>'
        '<processingModeCode code="T"/><acceptAckCode code="AL"/>'
        '<receiver typeCode="RCV"><device classCode="DEV" determinerCode="INSTANCE"><id root="1.2.250.9.3"/></device></receiver>'
        '<sender typeCode="SND"><device classCode="DEV" determinerCode="INSTANCE"><id root="1.2.250.9.2"/></device></sender>'
        '<controlActProcess classCode="CACT" moodCode="EVN"><subject typeCode="SUBJ"><registrationEvent classCode="REG" '
        'moodCode="EVN"><subject1 typeCode="SBJ"><patient classCode="PAT">'
        f'{"".join(map(_id, cxs))}<statusCode code="active"/><patientPerson><name><family>DURAND</family></name></patientPerson>'
        f"</patient></subject1>{replaced if prior else ''}</registrationEvent></subject></controlActProcess></{name}>"
    ).encode()


def is_accepted(answer: Answer) -> bool:
    """Whether MCCI_IN000002UV01 accepts; an answer that is no acknowledgement is an error of the test."""
    assert answer.body.tag == f"{{{V3}}}MCCI_IN000002UV01", answer.body.tag
    codes = [element.get("code", "") for element in answer.body.iter(f"{{{V3}}}typeCode")]
    assert len(codes) == 1 and codes[0] in ("AA", "CA", "AE", "CE"), codes
    return codes[0] in ("AA", "CA")
