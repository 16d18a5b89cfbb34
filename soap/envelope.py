"""The SOAP envelope: its structure, its headers, and the frame around an answer (SOAP 1.2 Part 1: 5)."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from xml.sax.saxutils import escape

from lxml import etree

from schemas.namespaces import SOAP11, SOAP12, WSA, WSSE, XOP, q
from soap.call import Note
from soap.fault import Fault, FaultCode, sender
from soap.mtom import Parts
from soap.wire import Wire

_ENVELOPE12, _ENVELOPE11 = q(SOAP12, "Envelope"), q(SOAP11, "Envelope")
_SECURITY = q(WSSE, "Security")
_INCLUDE = q(XOP, "Include")
_WSA_PREFIX = f"{{{WSA}}}"

#: SOAP 1.2 Part 1: 2.2: roles that the last node plays.
_OUR_ROLES = frozenset({"", SOAP12 + "/role/next", SOAP12 + "/role/ultimateReceiver"})
_TRUE = frozenset({"1", "true", "True"})
_FALSE = frozenset({"0", "false", "False"})

_IN_HEADER_LIMIT = 64 * 1024


@dataclass(frozen=True, slots=True)
class Envelope:
    """An envelope taken apart. `body` is the one child of the SOAP body."""

    root: etree._Element
    body: etree._Element
    headers: Sequence[etree._Element] = ()
    soap11: bool = False


def open_envelope(root: etree._Element, wire: Wire, notes: list[Note]) -> Envelope:
    """Checks the structure. Raises VersionMismatch for SOAP 1.1 (WIRE-023) and Sender for everything that is no envelope."""
    soap11 = root.tag == _ENVELOPE11
    if soap11:
        try:
            wire.meet("WIRE-023", notes)
        except Fault:
            raise wire.refuse("WIRE-023", soap11=True) from None
    elif root.tag != _ENVELOPE12:
        raise wire.refuse("WIRE-023-other", f"the root element is {str(root.tag)[:200]}")
    namespace = SOAP11 if soap11 else SOAP12
    children = [child for child in root if isinstance(child.tag, str)]
    header = children.pop(0) if children and children[0].tag == q(namespace, "Header") else None
    if len(children) != 1 or children[0].tag != q(namespace, "Body"):
        found = ", ".join(str(child.tag)[:80] for child in children) or "nothing"
        raise _structure(f"An Envelope holds an optional Header and one Body; behind the Header stands {found}")
    contents = [child for child in children[0] if isinstance(child.tag, str)]
    if len(contents) != 1:
        raise _structure(f"The Body has {len(contents)} child elements, a request has one")
    headers = [child for child in header if isinstance(child.tag, str)] if header is not None else []
    return Envelope(root, contents[0], headers, soap11)


def check_headers(envelope: Envelope, understood: frozenset[str], wire: Wire) -> None:
    """mustUnderstand (SOAP 1.2 Part 1: 5.2.3, 5.4.8). Raises WIRE-060 naming every header that is not understood.

    wsa: and wsse:Security are understood (WIRE-059); `understood` names more as `{namespace}local`.
    """
    namespace = SOAP11 if envelope.soap11 else SOAP12
    flag, role = q(namespace, "mustUnderstand"), q(namespace, "actor" if envelope.soap11 else "role")
    unknown = []
    for header in envelope.headers:
        value = header.get(flag)
        if value is None:
            continue
        value = value.strip()
        if value in _FALSE:
            continue
        if value not in _TRUE:
            raise _structure(f"mustUnderstand='{value[:20]}' on {str(header.tag)[:120]} is no boolean")
        tag = str(header.tag)
        if tag.startswith(_WSA_PREFIX) or tag == _SECURITY or tag in understood:
            continue
        if (header.get(role) or "").strip() in _OUR_ROLES:
            unknown.append(tag)
    if unknown:
        raise wire.refuse("WIRE-060", ", ".join(name[:120] for name in unknown), not_understood=unknown)


def put_back_in_headers(envelope: Envelope, parts: Parts, wire: Wire, notes: list[Note]) -> None:
    """WIRE-044: binary values of wsse:Security that came as parts become text again, before anybody verifies anything.

    An Include elsewhere in the header is refused (WIRE-036-place).
    """
    if next(envelope.root.iter(_INCLUDE), None) is None:
        return
    for header in envelope.headers:
        for include in list(header.iter(_INCLUDE)):
            parent = include.getparent()
            if (
                header.tag != _SECURITY
                or parent is None
                or len(parent) != 1
                or (parent.text or "").strip()
                or (include.tail or "").strip()
            ):
                raise wire.refuse("WIRE-036-place", f"in header {str(header.tag)[:120]}")
            wire.meet("WIRE-044", notes)
            part = parts.include(include.get("href") or "", wire, notes)
            if part.size > _IN_HEADER_LIMIT:
                raise sender(
                    f"A binary value in a header has {part.size} octets, the limit is {_IN_HEADER_LIMIT}",
                    rule="LIM-001",
                    remedy="Send a certificate or a signature value there, nothing else.",
                )
            parent.remove(include)
            parent.text = base64.b64encode(b"".join(part.chunks())).decode("ascii")


def _structure(reason: str) -> Fault:
    return Fault(
        FaultCode.SENDER,
        reason,
        rule="SOAP-ENVELOPE",
        remedy="Send <s:Envelope><s:Header/><s:Body>one element</s:Body></s:Envelope>.",
    )


# --------------------------------------------------------------------------------------------------------------- answers


@lru_cache(maxsize=64)
def _head(action: str, soap11: bool) -> tuple[bytes, bytes]:
    """What stands before the value of wsa:RelatesTo, and what without one."""
    namespace = SOAP11 if soap11 else SOAP12
    start = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<s:Envelope xmlns:s="{namespace}" xmlns:wsa="{WSA}"><s:Header>'
        f'<wsa:Action s:mustUnderstand="1">{escape(action)}</wsa:Action>'
    ).encode()
    return start + b"<wsa:RelatesTo>", start


def answer_head(action: str, relates_to: str, soap11: bool = False) -> bytes:
    """Everything in front of the payload: envelope, wsa:Action, wsa:RelatesTo (the request's MessageID, as it came)."""
    related, bare = _head(action, soap11)
    if not relates_to:
        return bare + b"</s:Header><s:Body>"
    return b"".join((related, escape(relates_to).encode(), b"</wsa:RelatesTo></s:Header><s:Body>"))


ANSWER_TAIL = b"</s:Body></s:Envelope>"
