"""The messages of ITI-44: HL7 v3 Patient Registry Record Added, Revised, Duplicates Resolved, and their acknowledgement.

(ITI TF-2: 3.44.4, Appendix O.) Read is what a registry needs: who sends, and the identifiers.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from xml.sax.saxutils import escape, quoteattr

from lxml import etree

from schemas.namespaces import HL7V3, q

#: What each interaction asks for.
INTERACTIONS = {"PRPA_IN201301UV02": "add", "PRPA_IN201302UV02": "revise", "PRPA_IN201304UV02": "merge"}
ACKNOWLEDGEMENT = "MCCI_IN000002UV01"

#: Root of HL7's interaction ids.
_INTERACTION_ROOT = "2.16.840.1.113883.1.6"
_NS = {"v3": HL7V3}
_EVENT = "v3:controlActProcess/v3:subject/v3:registrationEvent"
_PATIENT_ID = "v3:subject1/v3:patient/v3:id"
_PRIOR_ID = "v3:replacementOf/v3:priorRegistration/v3:subject1/v3:priorRegisteredRole/v3:id"


@dataclass(frozen=True, slots=True)
class InstanceIdentifier:
    """HL7 v3 II: `root` is the assigning authority's OID, `extension` the identifier, `authority` its name."""

    root: str = ""
    extension: str = ""
    authority: str = ""

    def xml(self) -> str:
        extension = f" extension={quoteattr(self.extension)}" if self.extension else ""
        return f"<id root={quoteattr(self.root)}{extension}/>"


@dataclass(frozen=True, slots=True)
class IdentityMessage:
    """One request. `events` counts the registration events: a message about one patient has one.

    `work` is add, revise or merge; `prior` are the identifiers that are subsumed. `wants_accept` tells whether the sender asks
    for an accept acknowledgement (acceptAckCode AL), and so whether the answer speaks of acceptance or of application.
    """

    work: str
    interaction: str
    id: InstanceIdentifier
    sender: InstanceIdentifier
    receiver: InstanceIdentifier
    processing: str
    wants_accept: bool
    events: int
    ids: Sequence[InstanceIdentifier]
    prior: Sequence[InstanceIdentifier]


def parse_identity_message(element: etree._Element) -> IdentityMessage:
    """Of a body that is one of INTERACTIONS; what is missing is empty."""
    events = element.xpath(_EVENT, namespaces=_NS)
    assert isinstance(events, list)
    return IdentityMessage(
        work=INTERACTIONS[etree.QName(element).localname],
        interaction=element.xpath("string(v3:interactionId/@extension)", namespaces=_NS),  # type: ignore[arg-type]
        id=_first(element, "v3:id"),
        sender=_first(element, "v3:sender/v3:device/v3:id"),
        receiver=_first(element, "v3:receiver/v3:device/v3:id"),
        processing=_code(element, "processingCode") or "P",
        wants_accept=_code(element, "acceptAckCode") == "AL",
        events=len(events),
        ids=_ids(element, f"{_EVENT}/{_PATIENT_ID}"),
        prior=_ids(element, f"{_EVENT}/{_PRIOR_ID}"),
    )


def _code(element: etree._Element, name: str) -> str:
    found = element.find(q(HL7V3, name))
    return "" if found is None else found.get("code", "")


def _ids(element: etree._Element, path: str) -> list[InstanceIdentifier]:
    """Those with a value: an id with a nullFlavor says that there is none."""
    found = element.iterfind(path, namespaces=_NS)
    return [
        InstanceIdentifier(one.get("root", "").strip(), one.get("extension", "").strip(), one.get("assigningAuthorityName", ""))
        for one in found
        if one.get("nullFlavor") is None and (one.get("root") or one.get("extension"))
    ]


def _first(element: etree._Element, path: str) -> InstanceIdentifier:
    return next(iter(_ids(element, path)), InstanceIdentifier())


def build_acknowledgement(request: IdentityMessage, done: str, errors: Sequence[tuple[str, str]] = ()) -> bytes:
    """A finished MCCI_IN000002UV01. `done` is `A` (done) or `E` (refused); `errors` are (code, text).

    typeCode is CA or CE for a sender that asks for an accept acknowledgement, otherwise AA or AE (HL7 v3, AcknowledgementType).
    """
    code = ("C" if request.wants_accept else "A") + done
    details = "".join(
        f'<acknowledgementDetail typeCode="E"><code code={quoteattr(rule)}/><text>{escape(text)}</text></acknowledgementDetail>'
        for rule, text in errors
    )
    now = datetime.now(UTC).strftime("%Y%m%d%H%M%S")
    return (
        f'<{ACKNOWLEDGEMENT} xmlns="{HL7V3}" ITSVersion="XML_1.0"><id root="{uuid.uuid4()}"/><creationTime value="{now}"/>'
        f'<interactionId root="{_INTERACTION_ROOT}" extension="{ACKNOWLEDGEMENT}"/>'
        f'<processingCode code={quoteattr(request.processing)}/><processingModeCode code="T"/><acceptAckCode code="NE"/>'
        f'<receiver typeCode="RCV"><device classCode="DEV" determinerCode="INSTANCE">{request.sender.xml()}</device></receiver>'
        f'<sender typeCode="SND"><device classCode="DEV" determinerCode="INSTANCE">{request.receiver.xml()}</device></sender>'
        f'<acknowledgement><typeCode code="{code}"/><targetMessage>{request.id.xml()}</targetMessage>{details}</acknowledgement>'
        f"</{ACKNOWLEDGEMENT}>"
    ).encode()
