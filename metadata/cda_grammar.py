"""The content model of CDA R2 as far as a header and ordinary sections need it, one line a class (HL7 CDA R2: POCD_HD000040).

A model is the ordered list of child elements with `?` (at most one), `*` (any number), `+` (one or more) or nothing (exactly
one); `a|b` is a choice. Every class may begin with realmCode, typeId and templateId (the infrastructure root).
Classes that are not in the table are not judged, nor are elements of other namespaces: CDA is open for extensions.
"""

from __future__ import annotations

import re
from functools import lru_cache

_INFRASTRUCTURE = "realmCode* typeId? templateId*"

_ENTITY = "id+ code? addr* telecom* assignedPerson? representedOrganization?"
_ORGANIZATION = "id* name* telecom* addr* standardIndustryClassCode? asOrganizationPartOf?"
_ACT_END = (
    "subject? specimen* performer* author* informant* participant* entryRelationship* reference* precondition* referenceRange*"
)

#: Element, or parent/element where the name has two meanings, to its model.
MODELS: dict[str, str] = {
    "ClinicalDocument": (
        "id code title? effectiveTime confidentialityCode languageCode? setId? versionNumber? copyTime? recordTarget+ author+ "
        "dataEnterer? informant* custodian informationRecipient* legalAuthenticator? authenticator* participant* "
        "inFulfillmentOf* documentationOf* relatedDocument* authorization* componentOf? component"
    ),
    "recordTarget": "patientRole",
    "patientRole": "id+ addr* telecom* patient? providerOrganization?",
    "patient": (
        "id? name* administrativeGenderCode? birthTime? maritalStatusCode? religiousAffiliationCode? raceCode? "
        "ethnicGroupCode? guardian* birthplace? languageCommunication*"
    ),
    "birthplace": "place",
    "place": "name? addr?",
    "author": "functionCode? time assignedAuthor",
    "assignedAuthor": "id+ code? addr* telecom* assignedPerson|assignedAuthoringDevice? representedOrganization?",
    "assignedEntity": _ENTITY,
    "assignedPerson": "name*",
    "associatedPerson": "name*",
    "representedOrganization": _ORGANIZATION,
    "scopingOrganization": _ORGANIZATION,
    "providerOrganization": _ORGANIZATION,
    "receivedOrganization": _ORGANIZATION,
    "dataEnterer": "time? assignedEntity",
    "informant": "assignedEntity|relatedEntity",
    "custodian": "assignedCustodian",
    "assignedCustodian": "representedCustodianOrganization",
    "representedCustodianOrganization": "id+ name? telecom? addr?",
    "ClinicalDocument/informationRecipient": "intendedRecipient",
    "intendedRecipient": "id* addr* telecom* informationRecipient? receivedOrganization?",
    "legalAuthenticator": "time signatureCode assignedEntity",
    "authenticator": "time signatureCode assignedEntity",
    "ClinicalDocument/participant": "functionCode? time? associatedEntity",
    "associatedEntity": "id* code? addr* telecom* associatedPerson? scopingOrganization?",
    "inFulfillmentOf": "order",
    "order": "id+ code? priorityCode?",
    "documentationOf": "serviceEvent",
    "serviceEvent": "id* code? effectiveTime? performer*",
    "serviceEvent/performer": "functionCode? time? assignedEntity",
    "relatedDocument": "parentDocument",
    "parentDocument": "id+ code? text? setId? versionNumber?",
    "authorization": "consent",
    "consent": "id* code? statusCode",
    "componentOf": "encompassingEncounter",
    "encompassingEncounter": (
        "id* code? effectiveTime dischargeDispositionCode? responsibleParty? encounterParticipant* location?"
    ),
    "responsibleParty": "assignedEntity",
    "encounterParticipant": "time? assignedEntity",
    "encompassingEncounter/location": "healthCareFacility",
    "healthCareFacility": "id* code? location? serviceProviderOrganization?",
    "healthCareFacility/location": "name? addr?",
    "ClinicalDocument/component": "nonXMLBody|structuredBody",
    "nonXMLBody": "text confidentialityCode? languageCode?",
    "structuredBody": "confidentialityCode? languageCode? component+",
    "structuredBody/component": "section",
    "section/component": "section",
    "section": "id? code? title? text? confidentialityCode? languageCode? subject? author* informant* entry* component*",
    "entry": (
        "act|encounter|observation|observationMedia|organizer|procedure|regionOfInterest|substanceAdministration|supply"
    ),
    "observation": (
        "id* code derivationExpr? text? statusCode? effectiveTime? priorityCode? repeatNumber? languageCode? value* "
        f"interpretationCode* methodCode* targetSiteCode* {_ACT_END}"
    ),
    "act": f"id* code text? statusCode? effectiveTime? priorityCode? languageCode? {_ACT_END}",
    "substanceAdministration": (
        "id* code? text? statusCode? effectiveTime* priorityCode? repeatNumber? routeCode? approachSiteCode* doseQuantity? "
        f"rateQuantity? maxDoseQuantity? administrationUnitCode? consumable {_ACT_END}"
    ),
    "consumable": "manufacturedProduct",
    "manufacturedProduct": "id* manufacturedLabeledDrug|manufacturedMaterial manufacturerOrganization?",
    "manufacturedMaterial": "code? name? lotNumberText?",
}  # fmt: skip



def model_of(parent: str, element: str) -> str:
    """The model of `element` under `parent`; "" when it is not judged."""
    return MODELS.get(f"{parent}/{element}") or MODELS.get(element, "")


@lru_cache(maxsize=256)
def _pattern(model: str) -> re.Pattern[str]:
    pieces = []
    for word in f"{_INFRASTRUCTURE} {model}".split():
        names, times = (word[:-1], word[-1]) if word[-1] in "?*+" else (word, "")
        pieces.append(f"(?:(?:{names}) ){times}")
    return re.compile("".join(pieces))


def order_problem(model: str, children: list[str]) -> str:
    """What is wrong with the sequence of children; "" when it fits the model."""
    if _pattern(model).fullmatch("".join(f"{name} " for name in children)):
        return ""
    words = f"{_INFRASTRUCTURE} {model}".split()
    position = 0
    for name in children:
        following = next((n for n in range(position, len(words)) if name in words[n].rstrip("?*+").split("|")), None)
        if following is None:
            known = any(name in word.rstrip("?*+").split("|") for word in words)
            return f"{name} stands too late or too often" if known else f"{name} does not belong here"
        lacking = _lacking(words[position:following])
        if lacking:
            return f"{lacking} is missing before {name}"
        # One that may be repeated stays open; one that was required is satisfied now.
        position = following if words[following][-1] in "*+" else following + 1
        if words[following].endswith("+"):
            words[following] = words[following][:-1] + "*"
    return f"{_lacking(words[position:])} is missing at the end"


def _lacking(words: list[str]) -> str:
    return next((word.rstrip("+").replace("|", " or ") for word in words if word[-1] not in "?*"), "")
