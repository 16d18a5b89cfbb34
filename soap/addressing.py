"""WS-Addressing headers, and which transaction a message asks for (ITI TF-2: V.3; WS-Addressing 1.0 SOAP Binding: 3 to 6).

wsa:Action decides. Without it the body element does, as far as the address leaves no doubt. The HTTP action never decides
(ITI TF-2: V.3, SOAPAction is not relied upon).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from lxml import etree

from metadata.vocabulary import TRANSACTION_BY_ACTION, Actor, Transaction
from schemas.namespaces import HABILITATIONS, HL7V3, LCM, QUERY, RMD, SOAP11, SOAP12, WSA, WSA_2004, XDS, q
from soap.call import Note
from soap.fault import Fault, sender
from soap.wire import Wire

ANONYMOUS = "http://www.w3.org/2005/08/addressing/anonymous"

_ACTION, _MESSAGE_ID, _REPLY_TO, _FAULT_TO, _ADDRESS = (
    q(WSA, n) for n in ("Action", "MessageID", "ReplyTo", "FaultTo", "Address")
)
_SINGLE = {_ACTION: "Action", _MESSAGE_ID: "MessageID", _REPLY_TO: "ReplyTo", _FAULT_TO: "FaultTo", q(WSA, "To"): "To"}
_MUST_UNDERSTAND = (q(SOAP12, "mustUnderstand"), q(SOAP11, "mustUnderstand"))
_OLD_PREFIX = f"{{{WSA_2004}}}"

T = Transaction

#: Body element of each transaction's request.
BODY: dict[Transaction, tuple[str, ...]] = {
    T.ITI_18: (q(QUERY, "AdhocQueryRequest"),),
    T.ITI_51: (q(QUERY, "AdhocQueryRequest"),),
    T.ITI_41: (q(XDS, "ProvideAndRegisterDocumentSetRequest"),),
    T.ITI_42: (q(LCM, "SubmitObjectsRequest"),),
    T.ITI_43: (q(XDS, "RetrieveDocumentSetRequest"),),
    T.ITI_44: tuple(q(HL7V3, f"PRPA_IN20130{n}UV02") for n in (1, 2, 4)),
    T.ITI_57: (q(LCM, "SubmitObjectsRequest"),),
    T.ITI_61: (q(LCM, "SubmitObjectsRequest"),),
    T.ITI_62: (q(LCM, "RemoveObjectsRequest"),),
    T.ITI_86: (q(RMD, "RemoveDocumentsRequest"),),
    T.ITI_92: (q(LCM, "SubmitObjectsRequest"),),
    T.DMP_PATIENTS: tuple(q(HL7V3, f"PRPA_IN2013{n}UV02") for n in ("07", "11", "14")),
    T.DMP_HABILITATIONS: tuple(q(HABILITATIONS, name) for name in ("setAuthorization", "listAuthorizationByPatient")),
}

#: The transaction that a body element alone means at an actor's address: the basic one.
_BY_BODY: dict[str, Transaction] = {
    name: t for t in (T.ITI_44, T.ITI_86, T.ITI_62, T.ITI_43, T.ITI_42, T.ITI_41, T.ITI_18) for name in BODY[t]
}

#: Transactions that are served at their own address only: ITI-51 differs from ITI-18 by the action alone, ITI-44 and the
#: services of the DMP are no XDS.b messages.
OWN_ADDRESS_ONLY = frozenset({T.ITI_51, T.ITI_44, T.DMP_PATIENTS, T.DMP_HABILITATIONS})

_ACTIONS: dict[str, Transaction] = {
    **TRANSACTION_BY_ACTION,
    **{f"{HL7V3}:PRPA_IN20130{n}UV02": T.ITI_44 for n in (1, 2, 4)},
    **{f"{HL7V3}:PRPA_IN2013{n}UV02": T.DMP_PATIENTS for n in ("07", "11", "14")},
    f"{HABILITATIONS}:HabilitationsEndPoint:listAuthorizationByPatient": T.DMP_HABILITATIONS,
}

ACTOR_PATH = {Actor.REGISTRY: "/xds/registry", Actor.REPOSITORY: "/xds/repository"}


@dataclass(frozen=True, slots=True)
class Addressing:
    """The addressing headers of a request, as they came; empty strings where they were absent."""

    action: str = ""
    message_id: str = ""
    reply_to: str = ""


def find_message_id(headers: Sequence[etree._Element]) -> str:
    """wsa:MessageID, for wsa:RelatesTo of whatever is answered; "" without one."""
    return next(((header.text or "").strip() for header in headers if header.tag == _MESSAGE_ID), "")


def read_addressing(headers: Sequence[etree._Element], wire: Wire, notes: list[Note]) -> Addressing:
    """Raises the faults of WIRE-056, WIRE-058 and of WS-Addressing for headers that occur twice."""
    found: dict[str, etree._Element] = {}
    for header in headers:
        tag = header.tag
        if tag in _SINGLE:
            if tag in found:
                raise sender(
                    f"The header wsa:{_SINGLE[tag]} occurs twice",
                    rule="WSA-HEADER",
                    subcode=(WSA, "InvalidAddressingHeader"),
                    remedy="Send it once.",
                )
            found[tag] = header
        elif tag.startswith(_OLD_PREFIX):
            raise wire.refuse("WIRE-056", f"header {etree.QName(header).localname}")
    action = _action(found.get(_ACTION), wire, notes)
    reply_to = ""
    for name in (_REPLY_TO, _FAULT_TO):
        reply = found.get(name)
        address = _address(reply) if reply is not None else ""
        if address and address != ANONYMOUS:
            wire.meet("WIRE-058", notes, f"{_SINGLE[name]} '{address[:100]}'")
        if name == _REPLY_TO:
            reply_to = address
    return Addressing(action, find_message_id(headers), reply_to)


def _address(reply: etree._Element) -> str:
    """The text of the first wsa:Address."""
    return next(((child.text or "").strip() for child in reply if child.tag == _ADDRESS), "")


def _action(header: etree._Element | None, wire: Wire, notes: list[Note]) -> str:
    if header is None:
        return ""
    text = header.text or ""
    action = text.strip()
    if action != text:
        wire.meet("WIRE-054", notes)
    if action and all(header.get(mark) is None for mark in _MUST_UNDERSTAND):
        wire.meet("WIRE-055-absent", notes)
    return action


@dataclass(frozen=True, slots=True)
class Address:
    """What is served at one URL path: its own transaction, or an actor's. `server` is what the whole server serves."""

    path: str
    transactions: Collection[Transaction]
    own: Transaction | None = None
    server: Collection[Transaction] = frozenset(Transaction)


def choose(address: Address, action: str, body: etree._Element, http_action: str, wire: Wire, notes: list[Note]) -> Transaction:
    """The transaction of this message at this address.

    Raises a Sender fault, wsa:ActionNotSupported, when the action is unknown or not served here, and a Sender fault when the
    body does not belong to the action.
    """
    if action:
        transaction = _by_action(address, action)
        if http_action and http_action != action:
            wire.meet("WIRE-009", notes, f"'{http_action[:100]}' against '{action}'")
    else:
        wire.meet("WIRE-053", notes)
        transaction = _by_body(address, body, http_action)
    if body.tag not in BODY[transaction]:
        raise sender(
            f"The body of {transaction.code} is {_names(transaction)}, this one is {_shown(body)}",
            rule="SOAP-BODY",
            remedy="Send the body that belongs to wsa:Action, in its namespace.",
        )
    return transaction


def _by_action(address: Address, action: str) -> Transaction:
    transaction = _ACTIONS.get(action)
    if transaction is not None and transaction in address.transactions:
        return transaction
    if transaction is None:
        served = sorted((t.code, action) for action, t in _ACTIONS.items() if t in address.transactions)
        remedy = "Actions served here: " + ", ".join(action for _, action in served) + "."
        raise _not_supported(f"wsa:Action '{action[:120]}' is not known", remedy)
    raise _not_supported(f"{transaction.code} is not served at {address.path}", _right_path(address, transaction))


def _by_body(address: Address, body: etree._Element, http_action: str) -> Transaction:
    if address.own is not None:
        return address.own
    transaction = _BY_BODY.get(body.tag)
    if transaction is None or transaction not in address.transactions:
        served = ", ".join(sorted({_names(t) for t in address.transactions}))
        remedy = f"Send wsa:Action and one of {served}."
        if transaction is not None:
            remedy = _right_path(address, transaction)
        raise sender(f"The body {_shown(body)} is not served at {address.path}", rule="SOAP-BODY", remedy=remedy)
    named = _ACTIONS.get(http_action)
    if named is not None and named is not transaction and body.tag in BODY[named]:
        # Several transactions share this body. To take an update for a registration would do what nobody asked for.
        raise sender(
            f"Without wsa:Action the body means {transaction.code}, but the HTTP action names {named.code}",
            rule="WIRE-053",
            remedy=f'Send <wsa:Action s:mustUnderstand="1">{named.action}</wsa:Action>, or use {named.path}.',
        )
    return transaction


def _not_supported(reason: str, remedy: str) -> Fault:
    return sender(reason, rule="WSA-ACTION", remedy=remedy, subcode=(WSA, "ActionNotSupported"))


def _right_path(address: Address, transaction: Transaction) -> str:
    if transaction not in address.server:
        served = ", ".join(sorted(t.code for t in address.server))
        return f"No address of this server takes it; served here: {served}."
    own_only = transaction in OWN_ADDRESS_ONLY
    return f"Send it to {transaction.path}." if own_only else f"Send it to {ACTOR_PATH[transaction.actor]} or {transaction.path}."


def _names(transaction: Transaction) -> str:
    return " or ".join(BODY[transaction])


def _shown(body: etree._Element) -> str:
    return str(body.tag)[:200]
