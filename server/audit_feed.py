"""The audit record of an identity message that comes as HL7 version 2 (ITI-8, ITI-64; ITI TF-2: 3.8.5.1, 3.64.5.1).

Read is what a record names: sender and receiver, the message's id and trigger, the identifiers of PID-3 and MRG-1.
"""

from __future__ import annotations

from collections.abc import Callable

from metadata.hl7 import unescape
from metadata.vocabulary import Transaction
from registry.patient_feed import EVENTS, LINK_CHANGE, Reply
from security.audit import MAJOR, SERIOUS, SUCCESS
from security.audit_store import entry
from server.audit import Trail
from server.audit_events import Deed, Part, identity_parts
from server.mllp import PEER
from soap.call import Caller

_WORK = {"A08": "revise", "A40": "merge", LINK_CHANGE: "revise"}


def audited(trail: Trail, answer: Callable[[bytes], Reply]) -> Callable[[bytes], Reply]:
    """`answer`, with a record of every message: in the transaction of what it changes, or before it is acknowledged."""

    def handle(message: bytes) -> Reply:
        events = trail.events_of(deed_of(message))
        with trail.deed(message, events) as act:
            reply = answer(message)
        outcome = {"AA": SUCCESS, "AE": SERIOUS}.get(reply.code, MAJOR)
        if not act.places or outcome != SUCCESS:
            rules = ", ".join(f"{one.code.value} [{one.rule}]" for one in reply.findings[:5]) or reply.code
            said = "" if outcome == SUCCESS else rules
            trail.store.write([entry(one.ended(outcome, said)) for one in events])
        return reply

    return handle


def deed_of(message: bytes) -> Deed:
    """What a record tells of a message, however broken it is."""
    text = message.decode("utf-8", "replace").lstrip("\r\n\ufeff ").replace("\n", "\r")
    lines = {line[:3]: line for line in reversed(text.split("\r"))}
    header = lines.get("MSH", "MSH|^~\\&")
    field, component = (header[3:4] or "|"), (header[4:5] or "^")
    msh = _fields(header, field, 12)
    trigger = [*msh[8].split(component), ""][1]
    stays = _identifiers(_fields(lines.get("PID", ""), field, 4)[3], header)
    goes = _identifiers(_fields(lines.get("MRG", ""), field, 2)[1], header)
    said = ("MSH-10", msh[9])
    if trigger == LINK_CHANGE:  # the XAD-PIDs stand first (ITI TF-2: 3.64.4.1.2.3)
        parts = identity_parts("revise", [*goes[:1], *stays[:1]], [], said)
    else:
        parts = identity_parts(_WORK.get(trigger, "add"), stays, goes, said)
    return Deed(
        Transaction.ITI_64 if trigger == LINK_CHANGE else Transaction.ITI_8,
        Caller(address=PEER.get()),
        f"{msh[5]}|{msh[4]}",
        f"{msh[3]}|{msh[2]}",
        parts=tuple(parts) or (Part(action="U" if trigger not in EVENTS else ""),),
    )


def _fields(line: str, separator: str, count: int) -> list[str]:
    """At least `count` fields, numbered as the segment's: MSH-1 is the separator itself, so MSH-3 has index 2."""
    fields = line.split(separator)
    return fields + [""] * (count - len(fields))


def _identifiers(text: str, header: str) -> list[str]:
    """The repetitions of a CX field as CX with the authority's OID; nothing is refused here."""
    component, repetition, subcomponent = (header[4:5] or "^"), (header[5:6] or "~"), (header[7:8] or "&")
    found = []
    for one in text.split(repetition):
        parts = one.split(component) + [""] * 4
        authority = parts[3].split(subcomponent) + [""] * 3
        if parts[0].strip():
            namespace, oid, kind = (unescape(piece).strip() for piece in authority[:3])
            found.append(f"{unescape(parts[0]).strip()}^^^{namespace if not oid else ''}&{oid}&{kind or 'ISO'}")
    return found
