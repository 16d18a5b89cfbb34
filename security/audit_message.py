"""The AuditMessage of an event (DICOM PS3.15 A.5.1), as octets of UTF-8 without line breaks.

Built by hand, element after element in the order of the schema (`schemas/xsd/audit.xsd`): every value passes through `_attribute`
or `_text`, which leave no mark-up, no line break and no character that XML forbids.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from xml.sax.saxutils import escape

from security.audit import AuditEvent, AuditObject, AuditSource, Participant
from security.audit_codes import AuditCode

#: What XML 1.0 cannot hold; line breaks and tabulators too, which a syslog receiver might take for the end of a record.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")
#: Longest value of an attribute: what a client makes up must not fill the log.
LONGEST = 1024


def build_audit_message(event: AuditEvent, source: AuditSource) -> bytes:
    """The finished element, without XML declaration. `source` reports what names no source itself."""
    return "".join(_message(event, event.source or source)).encode()


def _message(event: AuditEvent, source: AuditSource) -> Iterator[str]:
    yield "<AuditMessage><EventIdentification"
    yield _attributes(EventActionCode=event.action, EventDateTime=instant(event.at), EventOutcomeIndicator=str(event.outcome))
    yield ">" + _code("EventID", event.event)
    yield from (_code("EventTypeCode", one) for one in event.types)
    if event.description:
        yield f"<EventOutcomeDescription>{_text(event.description)}</EventOutcomeDescription>"
    yield from (_code("PurposeOfUse", one) for one in event.purposes)
    yield "</EventIdentification>"
    for participant in event.participants:
        yield from _participant(participant)
    yield "<AuditSourceIdentification"
    yield _attributes(AuditEnterpriseSiteID=source.site) + f" AuditSourceID={_attribute(source.id)}"
    yield f'><AuditSourceTypeCode csd-code="{source.type}"/></AuditSourceIdentification>'
    for one in event.objects:
        yield from _object(one)
    yield "</AuditMessage>"


def _participant(one: Participant) -> Iterator[str]:
    yield f"<ActiveParticipant UserID={_attribute(one.userID)}"
    yield _attributes(AlternativeUserID=one.alternative, UserName=one.name)
    yield f' UserIsRequestor="{"true" if one.requestor else "false"}"'
    if one.address:
        yield _attributes(NetworkAccessPointID=one.address, NetworkAccessPointTypeCode="2" if _is_ip(one.address) else "1")
    yield ">"
    yield from (_code("RoleIDCode", role) for role in one.roles)
    yield "</ActiveParticipant>"


def _object(one: AuditObject) -> Iterator[str]:
    yield f"<ParticipantObjectIdentification ParticipantObjectID={_attribute(one.id)}"
    yield _attributes(
        ParticipantObjectTypeCode=str(one.type),
        ParticipantObjectTypeCodeRole=str(one.role),
        ParticipantObjectDataLifeCycle=str(one.lifeCycle or ""),
    )
    yield ">" + _code("ParticipantObjectIDTypeCode", one.idType)
    if one.query:
        yield f"<ParticipantObjectQuery>{_base64(one.query)}</ParticipantObjectQuery>"
    else:
        # The schema wants a name or a query; where no name is known it is an empty one.
        yield f"<ParticipantObjectName>{_text(one.name)}</ParticipantObjectName>"
    for kind, value in one.details:
        yield f'<ParticipantObjectDetail type={_attribute(kind)} value="{_base64(value)}"/>'
    yield "</ParticipantObjectIdentification>"


def _code(element: str, code: AuditCode) -> str:
    """The text is demanded by the schema: where none is known the code stands for it."""
    system = code.system or "unknown"
    return f"<{element} csd-code={_attribute(code.code)} codeSystemName={_attribute(system)}" + (
        f" originalText={_attribute(code.text or code.code)}/>"
    )


def _attributes(**values: str) -> str:
    """Those that are not empty."""
    return "".join(f" {name}={_attribute(value)}" for name, value in values.items() if value)


def _attribute(value: str) -> str:
    return f'"{escape(_clean(value), _QUOTE)}"'


_QUOTE = {'"': "&quot;"}


def _text(value: str) -> str:
    return escape(_clean(value))


def _clean(value: str) -> str:
    return _FORBIDDEN.sub(" ", value[:LONGEST])


def _base64(value: str) -> str:
    return base64.b64encode(value.encode("utf-8", "replace")).decode()


def instant(at: int) -> str:
    """Milliseconds since 1970 as xs:dateTime in UTC."""
    whole = datetime.fromtimestamp(at // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{at % 1000:03d}Z"


def _is_ip(address: str) -> bool:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True
