"""SOAP faults: what cannot be understood ends as one (SOAP 1.2 Part 1: 5.4; WS-Addressing 1.0 SOAP Binding: 6; ITI TF-2: V.3).

A `Fault` is raised anywhere in `soap/` or by a handler and turned into octets at one place, `build_fault`. It says what is
wrong, where, and how to mend it; the rule id stands in the text and, for machines, in the detail.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from urllib.parse import quote
from xml.sax.saxutils import escape, quoteattr

from schemas.namespaces import SOAP11, SOAP12, WSA, WSSE, WSU
from schemas.sentences.french import known_french
from security.refusal import Denied

#: Namespace of our own fault detail.
DIAGNOSIS = "urn:carnet:diagnosis:1"

ACTION_ADDRESSING_FAULT = "http://www.w3.org/2005/08/addressing/fault"
ACTION_SOAP_FAULT = "http://www.w3.org/2005/08/addressing/soap/fault"


class FaultCode(Enum):
    """SOAP 1.2 fault code: local name, HTTP status (SOAP 1.2 Part 2: Table 20), the code's name in SOAP 1.1."""

    SENDER = ("Sender", 400, "Client")
    RECEIVER = ("Receiver", 500, "Server")
    MUST_UNDERSTAND = ("MustUnderstand", 500, "MustUnderstand")
    VERSION_MISMATCH = ("VersionMismatch", 500, "VersionMismatch")
    DATA_ENCODING_UNKNOWN = ("DataEncodingUnknown", 500, "Client")

    def __init__(self, local: str, status: int, soap11: str) -> None:
        self.local = local
        self.status = status
        self.soap11 = soap11


class Fault(Exception):
    """A refusal at the level of the message.

    `reason` and `remedy` are English; `reason_fr` and `remedy_fr` French, where `schemas/sentences` does not have them;
    `subcode` a (namespace, local name); `not_understood` the `{namespace}local` names of headers for MustUnderstand; `status`
    replaces the HTTP status of the code; `soap11` asks for a SOAP 1.1 fault, the only one that a SOAP 1.1 sender can read;
    `own_code` writes the rule's id as a fault code below `subcode`, for programs that look at codes only.
    """

    def __init__(
        self,
        code: FaultCode,
        reason: str,
        *,
        rule: str = "",
        remedy: str = "",
        reason_fr: str = "",
        remedy_fr: str = "",
        subcode: tuple[str, str] | None = None,
        status: int | None = None,
        not_understood: Sequence[str] = (),
        soap11: bool = False,
        retry_after: int | None = None,
        own_code: bool = False,
    ) -> None:
        super().__init__(f"{rule}: {reason}" if rule else reason)
        self.code = code
        self.reason = reason
        self.rule = rule
        self.remedy = remedy
        self.reason_fr = reason_fr
        self.remedy_fr = remedy_fr
        self.subcode = subcode
        self.status = status or code.status
        self.not_understood = tuple(not_understood)
        self.soap11 = soap11
        self.retry_after = retry_after
        self.own_code = own_code

    @property
    def action(self) -> str:
        """wsa:Action of the fault message."""
        addressing = self.subcode is not None and self.subcode[0] == WSA
        return ACTION_ADDRESSING_FAULT if addressing else ACTION_SOAP_FAULT

    def text(self) -> str:
        """Reason, remedy and rule in one English line."""
        return _line(self.reason, self.remedy, self.rule)

    def french(self) -> str:
        """The same line in French; empty where there is no French reason."""
        reason = self.reason_fr or known_french(self.reason) or ""
        return _line(reason, self.remedy_fr or known_french(self.remedy) or "", self.rule) if reason else ""


def _line(reason: str, remedy: str, rule: str) -> str:
    parts = [reason if reason.endswith((".", "!", "?")) else reason + ".", remedy, f"[{rule}]" if rule else ""]
    return " ".join(filter(None, parts))


def sender(
    reason: str, *, rule: str = "", remedy: str = "", subcode: tuple[str, str] | None = None, status: int | None = None
) -> Fault:
    """The commonest fault: the message is at fault."""
    return Fault(FaultCode.SENDER, reason, rule=rule, remedy=remedy, subcode=subcode, status=status)


def of_denied(denied: Denied) -> Fault:
    """A refusal of trust as the fault that WS-Security has for it (WSS SOAP Message Security 1.1: 12)."""
    return Fault(
        FaultCode.SENDER,
        denied.text_en,
        rule=denied.rule,
        remedy=denied.remedy,
        reason_fr=denied.text_fr,
        remedy_fr=denied.remedy_fr,
        subcode=(WSU if denied.subcode == "MessageExpired" else WSSE, denied.subcode),
        own_code=True,
    )


def build_fault(fault: Fault, relates_to: str = "", explain_base: str = "") -> bytes:
    """The whole envelope. `explain_base` + rule id is the address of the page that explains the rule, when there is one."""
    if fault.soap11:
        return _build_soap11(fault, explain_base)
    related = f"<wsa:RelatesTo>{escape(relates_to)}</wsa:RelatesTo>" if relates_to else ""
    head = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<s:Envelope xmlns:s="{SOAP12}" xmlns:wsa="{WSA}"><s:Header>'
        f'<wsa:Action s:mustUnderstand="1">{fault.action}</wsa:Action>{related}'
    )
    pieces = (
        head.encode(),
        fault_headers(fault),
        b"</s:Header><s:Body>",
        fault_body(fault, explain_base),
        b"</s:Body></s:Envelope>",
    )
    return b"".join(pieces)


def fault_headers(fault: Fault) -> bytes:
    """The header blocks beside WS-Addressing: NotUnderstood and Upgrade (SOAP 1.2 Part 1: 5.4.7, 5.4.8)."""
    headers = []
    for name in fault.not_understood:
        namespace, local = name[1:].split("}") if name.startswith("{") else ("", name)
        declaration = f"xmlns:nu={quoteattr(namespace)} " if namespace else ""
        qname = f"nu:{local}" if namespace else local
        headers.append(f"<s:NotUnderstood {declaration}qname={quoteattr(qname)}/>")
    if fault.code is FaultCode.VERSION_MISMATCH:
        headers.append(_upgrade())
    return "".join(headers).encode()


def fault_body(fault: Fault, explain_base: str = "") -> bytes:
    """The s:Fault; the prefix s is that of the envelope."""
    subcode = ""
    if fault.subcode is not None:
        namespace, local = fault.subcode
        own = f'<s:Subcode><s:Value xmlns:own="{DIAGNOSIS}">own:{fault.rule}</s:Value></s:Subcode>' if fault.own_code else ""
        subcode = f"<s:Subcode><s:Value xmlns:sub={quoteattr(namespace)}>sub:{local}</s:Value>{own}</s:Subcode>"
    said = fault.french()
    french = f'<s:Text xml:lang="fr">{_xml(said)}</s:Text>' if said else ""
    return (
        f"<s:Fault><s:Code><s:Value>s:{fault.code.local}</s:Value>{subcode}</s:Code>"
        f'<s:Reason><s:Text xml:lang="en">{_xml(fault.text())}</s:Text>{french}</s:Reason>'
        f"{_detail(fault, explain_base, 's:Detail')}</s:Fault>"
    ).encode()


def _build_soap11(fault: Fault, explain_base: str) -> bytes:
    """SOAP 1.2 Part 1: A: a 1.1 sender gets a 1.1 fault, with the Upgrade header that names 1.2."""
    header = f"<e:Header>{_upgrade()}</e:Header>" if fault.code is FaultCode.VERSION_MISMATCH else ""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<e:Envelope xmlns:e="{SOAP11}" xmlns:s="{SOAP12}">{header}'
        f"<e:Body><e:Fault><faultcode>e:{fault.code.soap11}</faultcode>"
        f'<faultstring xml:lang="en">{_xml(fault.text())}</faultstring>{_detail(fault, explain_base, "detail")}'
        "</e:Fault></e:Body></e:Envelope>"
    ).encode()


def _upgrade() -> str:
    return f'<s:Upgrade><s:SupportedEnvelope xmlns:ns1="{SOAP12}" qname="ns1:Envelope"/></s:Upgrade>'


def _detail(fault: Fault, explain_base: str, tag: str) -> str:
    if not fault.rule:
        return ""
    href = f" href={quoteattr(explain_base + quote(fault.rule))}" if explain_base else ""
    remedy = f"<d:Remedy>{_xml(fault.remedy)}</d:Remedy>" if fault.remedy else ""
    return f'<{tag}><d:Diagnosis xmlns:d="{DIAGNOSIS}" rule={quoteattr(fault.rule)}{href}>{remedy}</d:Diagnosis></{tag}>'


def _xml(text: str) -> str:
    """Escaped, and without the characters that XML 1.0 forbids: what a sender wrote may be quoted here."""
    return escape(
        "".join(
            c if c in "\t\n\r" or (c >= " " and not "\ud800" <= c <= "\udfff" and c not in "\ufffe\uffff") else "\ufffd"
            for c in text
        )
    )
