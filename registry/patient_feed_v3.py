"""ITI-44 Patient Identity Feed HL7 V3: the same changes as ITI-8, asked for by SOAP (ITI TF-2: 3.44).

Added and Revised make the identifiers in patient/id known, those of one message as one person's; Duplicates Resolved merges
priorRegisteredRole/id into patient/id. The answer is always an acknowledgement with every reason; a fault is for what is no
message of the transaction at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lxml import etree

from metadata.rules.rule import Finding, Refused
from metadata.vocabulary import ResponseStatus
from registry.patient_identity import IdentityFeed, finding
from soap.body.patient_identity import IdentityMessage, InstanceIdentifier, build_acknowledgement, parse_identity_message
from soap.call import Answer, Call

ADD = "ITI TF-2: 3.44.4.1"
MERGE = "ITI TF-2: 3.44.4.2.4"


class PatientIdentityFeedV3:
    """The handler of ITI-44. One object serves all threads."""

    def __init__(self, feed: IdentityFeed) -> None:
        self._feed = feed

    def __call__(self, call: Call) -> Answer:
        """One of the three interactions in, MCCI_IN000002UV01 out."""
        message = parse_identity_message(call.body)
        try:
            _refuse(list(_form(message, etree.QName(call.body).localname, call.action)))
            self._act(message)
        except Refused as refused:
            errors = [(one.rule, one.linked(call.explain_base)) for one in refused.findings]
            return Answer([build_acknowledgement(message, "E", errors)], ResponseStatus.FAILURE, refused.findings)
        return Answer([build_acknowledgement(message, "A")], ResponseStatus.SUCCESS)

    def _act(self, message: IdentityMessage) -> None:
        stays, foreign = self._known(message.ids)
        if message.work != "merge":
            if not stays and not foreign:
                raise Refused([_wrong(ADD, "the patient has no id", "Send patient/id with root and extension.")])
            if stays:  # identifiers of other authorities are ignored
                self._feed.add(stays, section=ADD)
            return
        goes, foreign_prior = self._known(message.prior)
        what = "the assigning authority is not one of this affinity domain"
        remedy = "Merge identifiers of the domain's authorities only."
        not_ours = (*(() if stays else foreign), *(() if goes else foreign_prior))
        _refuse([finding("PIF-008", MERGE, what, remedy, one) for one in not_ours])
        if len(stays) != 1 or len(goes) != 1:
            text = "a merge needs one identifier of the domain that stays and one that goes"
            raise Refused([_wrong(MERGE, text, "Send the former in patient/id, the latter in priorRegisteredRole/id.")])
        self._feed.merge(goes[0], stays[0], section=MERGE)

    def _known(self, ids: Sequence[InstanceIdentifier]) -> tuple[list[str], list[str]]:
        """The identifiers of the domain as the registry keeps them, and the others."""
        ours: dict[str, None] = {}
        foreign: list[str] = []
        for one in ids:
            cx = self._feed.authorities.cx(one.extension, one.authority, one.root) if one.extension else None
            if cx is None:
                foreign.append(f"{one.extension}^^^{one.authority}&{one.root}&ISO")
            else:
                ours[cx] = None
        return list(ours), foreign


def _form(message: IdentityMessage, name: str, action: str) -> Iterator[Finding]:
    """What the message itself lacks."""
    if not message.id.root:
        yield _wrong(ADD, "the message has no id", "Send id with root, so that the acknowledgement can name it.")
    if message.interaction != name:
        yield _wrong(ADD, f"interactionId says '{message.interaction}' of a {name}", f"Send extension='{name}'.")
    if action and not action.endswith(f":{name}"):
        yield _wrong(ADD, f"wsa:Action {action} is not that of a {name}", f"Send urn:hl7-org:v3:{name}.")
    if message.events != 1:
        text = f"the message holds {message.events} registration events; it is about one patient"
        yield _wrong(ADD, text, "Send controlActProcess/subject/registrationEvent once.")


def _wrong(section: str, message: str, remedy: str) -> Finding:
    return finding("PIF-009", section, message, remedy)


def _refuse(findings: Sequence[Finding]) -> None:
    if findings:
        raise Refused(findings)
