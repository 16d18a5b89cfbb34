"""ITI-61 Register On-Demand Document Entry: entries whose document is made when it is asked for (ITI TF-2: 3.61).

What it registers and how is ITI-42's; the rules that differ are rows of the rule table for this transaction: every entry
On-Demand and at least one, no creationTime, hash or size, a repositoryUniqueId, and a uniqueId that may be that of another
On-Demand entry but of no Stable one.
"""

from __future__ import annotations

from dataclasses import replace
from enum import Enum

from registry.iti42 import RegisterDocumentSet
from soap.call import Answer, Call


class ResponseAction(Enum):
    """wsa:Action of the response. The prose of ITI TF-2: 3.61.4.2.2 leaves out the word Entry, the pattern of every other
    transaction keeps it; clients exist that insist on either."""

    ENTRY = "urn:ihe:iti:2010:RegisterOnDemandDocumentEntryResponse"
    DOCUMENT = "urn:ihe:iti:2010:RegisterOnDemandDocumentResponse"


class RegisterOnDemandDocumentEntry:
    """The handler of ITI-61: lcm:SubmitObjectsRequest in, rs:RegistryResponse out. Safe for threads."""

    def __init__(self, registry: RegisterDocumentSet, response: ResponseAction = ResponseAction.ENTRY) -> None:
        self._registry = registry
        self._response = response

    def __call__(self, call: Call) -> Answer:
        """Raises `Refused` with every finding."""
        return replace(self._registry(call), response_action=self._response.value)
