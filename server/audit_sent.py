"""The audit records of what a repository sends to a registry elsewhere: ITI-42 as its Source (ITI TF-2: 3.42.5.1.1), and ITI-18
as a consumer that asks (3.18.5.1.1). The registry keeps records of its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from urllib.parse import urlsplit

from metadata.vocabulary import Transaction
from repository.index import Deposit
from repository.registry_port import Outcome, RegistryPort, Request
from schemas.parse import parse
from security.audit import MAJOR, SERIOUS, SUCCESS, AuditEvent, Participant
from security.audit_codes import DESTINATION, EXPORT, QUERY, SOURCE
from security.audit_store import entry
from security.refusal import Denied
from server.audit import Trail, outcome_of_response
from server.audit_events import Deed, human
from soap.body.adhoc_query import LEAF_CLASS, build_adhoc_query
from soap.call import Caller
from soap.client import Client, Found
from soap.client_errors import ClientError

_SENT = {Transaction.ITI_18: (QUERY, "E"), Transaction.ITI_42: (EXPORT, "R")}


def sent_events(trail: Trail, deed: Deed) -> list[AuditEvent]:
    """The events of a request that this server sends to `deed.endpoint_url`. `deed.caller` is for whom: his assertion names the
    person and the purpose."""
    event, action = _SENT[deed.transaction]
    person = human(deed.caller.assertion)
    ours = Participant(
        trail.base_url, person is None, (SOURCE,), alternative=str(os.getpid()), address=urlsplit(trail.base_url).hostname or ""
    )
    theirs = Participant(deed.endpoint_url, False, (DESTINATION,), address=urlsplit(deed.endpoint_url).hostname or "")
    people = (ours, *((person,) if person is not None else ()), theirs)
    return [replace(one, event=event, action=action, participants=people) for one in trail.events_of(deed)]


class AuditedPort:
    """`port`, the way to the registry at `url`, with a record of each ITI-42: begun with the first write of the ITI-41 behind it,
    which is before anything is sent, and ended with the registry's answer."""

    def __init__(self, port: RegistryPort, trail: Trail, url: str) -> None:
        self._port = port
        self._trail = trail
        self._url = url

    def register(self, request: Request, deposit: Deposit) -> Outcome:
        """As `port` does."""
        trail = self._trail
        act = trail.current()
        caller = act.call.caller if act is not None else Caller()
        (event,) = sent_events(trail, Deed(Transaction.ITI_42, caller, self._url, body=request.element))
        opened = trail.begin(event)
        try:
            outcome = self._port.register(request, deposit)
        except Denied as denied:
            trail.end(opened, SERIOUS, denied.rule)
            raise
        except Exception as error:
            trail.end(opened, MAJOR, type(error).__name__)
            raise
        trail.end(opened, *outcome_of_response(outcome.status, outcome.findings))
        return outcome


class AuditedClient(Client):
    """A client whose stored queries are recorded; `caller_of` tells for whom it asks. Nobody waits for these records: what was
    asked gives nobody anything before it stands in an answer, and that has a record of its own."""

    trail: Trail
    caller_of: Callable[[], Caller]

    @classmethod
    def of(cls, client: Client, trail: Trail, caller_of: Callable[[], Caller] = Caller) -> AuditedClient:
        """One like `client`."""
        made = cls(**{one.name: getattr(client, one.name) for one in fields(client) if one.init})
        made.trail = trail
        made.caller_of = caller_of
        return made

    def query(
        self, query_id: str, slots: Sequence[tuple[str, Sequence[str]]], return_type: str = LEAF_CLASS, home: str = ""
    ) -> Found:
        """ITI-18, as `Client` does it."""
        body = parse(build_adhoc_query(query_id, slots, return_type, home))
        events = sent_events(self.trail, Deed(Transaction.ITI_18, self.caller_of(), self.registry, body=body))
        outcome, description = SERIOUS, "no usable answer"
        try:
            found = super().query(query_id, slots, return_type, home)
            if found.accepted:
                outcome, description = SUCCESS, ""
            else:
                description = ", ".join(dict.fromkeys(error.error_code for error in found.errors))
        except ClientError as error:
            description = type(error).__name__
            raise
        finally:
            for one in events:
                self.trail.later(entry(one.ended(outcome, description)))
        return found
