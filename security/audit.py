"""One audit event as data: who did what to what, when, and how it ended (DICOM PS3.15 A.5, IHE ITI TF-2: 3.20).

The store keeps an event as `pack` writes it; `security/audit_message.py` makes the AuditMessage of it, the same octets each time.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from json.encoder import encode_basestring_ascii as _quoted
from typing import Any

from security.audit_codes import EXPORT, IMPORT, PATIENT_NUMBER, QUERY, REPORT_NUMBER, AuditCode

#: EventOutcomeIndicator.
SUCCESS, MINOR, SERIOUS, MAJOR = 0, 4, 8, 12

#: ParticipantObjectTypeCode and ...Role of what is named in records here.
PERSON, SYSTEM_OBJECT = 1, 2
ROLE_PATIENT, ROLE_REPORT, ROLE_SECURITY_RESOURCE, ROLE_JOB, ROLE_QUERY = 1, 3, 13, 20, 24
#: ParticipantObjectDataLifeCycle.
ERASED = 15


@dataclass(frozen=True, slots=True)
class AuditSource:
    """Who reports: AuditSourceID, AuditEnterpriseSiteID and AuditSourceTypeCode (4: application server)."""

    id: str
    site: str = ""
    type: str = "4"


@dataclass(frozen=True, slots=True)
class Participant:
    """An ActiveParticipant. `address` is an IP address or a host name, `alternative` a process id.

    `person` and `organisation` are what a verified assertion calls them; the AuditMessage has no place for them.
    """

    userID: str
    requestor: bool = False
    roles: tuple[AuditCode, ...] = ()
    alternative: str = ""
    name: str = ""
    address: str = ""
    person: str = ""
    organisation: str = ""


@dataclass(frozen=True, slots=True)
class AuditObject:
    """A ParticipantObjectIdentification. `query` is what was asked, as text; `details` are (type, value) pairs."""

    id: str
    idType: AuditCode
    type: int = SYSTEM_OBJECT
    role: int = ROLE_REPORT
    name: str = ""
    query: str = ""
    details: tuple[tuple[str, str], ...] = ()
    lifeCycle: int = 0


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One event about at most one patient.

    `at` is milliseconds since 1970. `outcome` is EventOutcomeIndicator; `description` tells of a failure and holds no health
    data. `reason` is what a person typed to justify an emergency: kept here, not sent. `source` is who recorded it.
    """

    event: AuditCode
    action: str
    at: int
    outcome: int = SUCCESS
    types: tuple[AuditCode, ...] = ()
    participants: tuple[Participant, ...] = ()
    objects: tuple[AuditObject, ...] = ()
    purposes: tuple[AuditCode, ...] = ()
    description: str = ""
    reason: str = ""
    source: AuditSource | None = None

    @property
    def patient(self) -> str:
        """The patient's identifier as it was said; empty when the event has none."""
        return next((one.id for one in self.objects if one.role == ROLE_PATIENT), "")

    def ended(self, outcome: int, description: str, objects: Sequence[str] = ()) -> AuditEvent:
        """The same with its end. `objects`: of the documents only these were concerned; empty: all."""
        if not objects and (outcome, description) == (self.outcome, self.description):
            return self
        kept = tuple(one for one in self.objects if not objects or one.role != ROLE_REPORT or one.id in objects)
        return replace(self, outcome=outcome, description=description, objects=kept)


@dataclass(frozen=True, slots=True)
class End:
    """How an event ended that was recorded when it began: `of` is its place (lane, number), `octets` of the answer went out."""

    of: tuple[int, int]
    at: int
    outcome: int
    description: str = ""
    octets: int = 0
    objects: tuple[str, ...] = ()
    patient: str = field(default="", compare=False)


def patient_object(cx: str) -> AuditObject:
    """The patient of a record."""
    return AuditObject(cx, PATIENT_NUMBER, PERSON, ROLE_PATIENT)


def patient_key(cx: str) -> int | None:
    """The number under which records of a patient are found: 63 bits of a hash over identifier and authority, whatever else the
    CX says; None without a patient."""
    if not cx:
        return None
    id, _, _, authority = [*cx.split("^"), "", "", ""][:4]
    namespace, oid = [*authority.split("&"), ""][:2]
    return int.from_bytes(hashlib.sha256(f"{id.strip()}|{oid or namespace}".encode("utf-8", "replace")).digest()[:8], "big") >> 1


# -------------------------------------------------------------------------------------------------------------- as octets


#: Milliseconds from 1970 to the year 10000.
_END_OF_TIME = 253_402_300_800_000
def pack(what: AuditEvent | End) -> bytes:
    """The octets that the store keeps: a number of the dictionary, then deflated JSON of ASCII."""
    told = _event_text(what) if isinstance(what, AuditEvent) else _end_text(what)
    compressor = _compressor().copy()
    return b"".join((b"\x01", compressor.compress(told.encode()), compressor.flush()))


def unpack(body: bytes, at: int) -> AuditEvent | End:
    """What `pack` was given. ValueError for octets that it never wrote, and for a time that is none."""
    if not is_moment(at):
        raise ValueError(f"no audit record: its time is {at!r}")
    try:
        decompressor = _decompressor().copy()
        told = json.loads(decompressor.decompress(body[1:]))
        return _end_of(told, at) if "of" in told else _event_of(told, at)
    except (zlib.error, KeyError, TypeError) as error:
        raise ValueError(f"no audit record: {error}") from None


def is_moment(at: object) -> bool:
    """Whether it is a time of a record: milliseconds since 1970, below the year 10000. What stands in a row may be anything."""
    return isinstance(at, int) and 0 <= at < _END_OF_TIME


# JSON is written by hand, in half the time of an encoder that is told of lists: every answer waits for it.


def _event_text(event: AuditEvent) -> str:
    told = [
        f'{{"event":{_pair_text(event.event)},"action":{_quoted(event.action)},"outcome":{event.outcome}',
        f',"types":[{_pairs_text(event.types)}],"participants":[',
        ",".join(map(_participant_text, event.participants)),
        '],"objects":[',
        ",".join(map(_object_text, event.objects)),
        "]",
    ]
    if event.purposes:
        told.append(f',"purposes":[{_pairs_text(event.purposes)}]')
    if event.description:
        told.append(f',"description":{_quoted(event.description)}')
    if event.reason:
        told.append(f',"reason":{_quoted(event.reason)}')
    source = event.source
    if source is not None:
        told.append(f',"source":[{_quoted(source.id)},{_quoted(source.site)},{_quoted(source.type)}]')
    return "".join(told) + "}"


def _participant_text(one: Participant) -> str:
    return (
        f"[{_quoted(one.userID)},{int(one.requestor)},[{_pairs_text(one.roles)}],{_quoted(one.address)},{_quoted(one.name)},"
        f"{_quoted(one.alternative)},{_quoted(one.person)},{_quoted(one.organisation)}]"
    )


def _object_text(one: AuditObject) -> str:
    details = ",".join([f"[{_quoted(kind)},{_quoted(value)}]" for kind, value in one.details])
    return (
        f"[{_quoted(one.id)},{_pair_text(one.idType)},{one.type},{one.role},{_quoted(one.name)},{_quoted(one.query)},"
        f"[{details}],{one.lifeCycle}]"
    )


def _end_text(end: End) -> str:
    lane, number = end.of
    told = f'{{"of":[{lane},{number}],"outcome":{end.outcome},"octets":{end.octets}'
    if end.description:
        told += f',"description":{_quoted(end.description)}'
    if end.objects:
        told += f',"objects":[{",".join(map(_quoted, end.objects))}]'
    return told + "}"


def _pairs_text(codes: Sequence[AuditCode]) -> str:
    return ",".join(map(_pair_text, codes))


def _pair_text(code: AuditCode) -> str:
    return f"[{_quoted(code.code)},{_quoted(code.system)},{_quoted(code.text)}]"


def _pair(code: AuditCode) -> list[str]:
    return [code.code, code.system, code.text]


def _event_of(told: dict[str, Any], at: int) -> AuditEvent:
    return AuditEvent(
        event=AuditCode(*told["event"]),
        action=told["action"],
        at=at,
        outcome=told["outcome"],
        types=_codes(told["types"]),
        participants=tuple(
            Participant(user, bool(asked), _codes(roles), alternative, name, address, person, organisation)
            for user, asked, roles, address, name, alternative, person, organisation in told["participants"]
        ),
        objects=tuple(
            AuditObject(id, AuditCode(*kind), type, role, name, query, tuple((t, v) for t, v in details), cycle)
            for id, kind, type, role, name, query, details, cycle in told["objects"]
        ),
        purposes=_codes(told.get("purposes", ())),
        description=told.get("description", ""),
        reason=told.get("reason", ""),
        source=AuditSource(*told["source"]) if "source" in told else None,
    )


def _end_of(told: dict[str, Any], at: int) -> End:
    lane, number = told["of"]
    return End(
        (lane, number), at, told["outcome"], told.get("description", ""), told["octets"], tuple(told.get("objects", ()))
    )


def _codes(values: Sequence[Any]) -> tuple[AuditCode, ...]:
    return tuple(AuditCode(*one) for one in values)


#: Words of usual records, the most usual last. It lives as long as any record that was written with it.
_DICTIONARY = json.dumps(
    {
        "description": "XDSRepositoryError [XDSRegistryError [", "objects": [["", _pair(REPORT_NUMBER)]],
        "types": [["ITI-57", "", "Update Document Set"], ["ITI-42", "IHE Transactions", "Register Document Set-b"]],
        "event": _pair(IMPORT), "action": "C", "outcome": 8,
        "request": '<query:AdhocQueryRequest xmlns:query="urn:oasis:names:tc:ebxml-regrep:xsd:query:3.0" xmlns:rim='
        '"urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0"><query:ResponseOption returnComposedObjects="true" '
        'returnType="LeafClass"/><rim:AdhocQuery id="urn:uuid:14d4debf-8f97-4251-9a74-a90016b0af0d"><rim:Slot name='
        '"$XDSDocumentEntryPatientId"><rim:ValueList><rim:Value>\'^^^&amp;&amp;ISO\'</rim:Value></rim:ValueList></rim:Slot>'
        '<rim:Slot name="$XDSDocumentEntryStatus"><rim:ValueList><rim:Value>(\'urn:oasis:names:tc:ebxml-regrep:StatusType:'
        "Approved')</rim:Value></rim:ValueList></rim:Slot></rim:AdhocQuery></query:AdhocQueryRequest>",
        "more": [[_pair(EXPORT), "R", [["ITI-43", "IHE Transactions", "Retrieve Document Set"]]],
                 [["ITI-41", "IHE Transactions", "Provide and Register Document Set-b"]]],
        "of": [0, 0], "octets": 0,
    },
    separators=(",", ":"),
) + json.dumps(
    {
        "event": _pair(QUERY), "action": "E", "outcome": 0, "types": [["ITI-18", "IHE Transactions", "Registry Stored Query"]],
        "participants": [
            ["http://www.w3.org/2005/08/addressing/anonymous", 1, [["110153", "DCM", "Source Role ID"]], "127.0.0.1", "", ""],
            ["http://127.0.0.1:8080/xds/registry", 0, [["110152", "DCM", "Destination Role ID"]], "127.0.0.1", "", "", "", ""],
        ],
        "objects": [["^^^&1.2.250.1.213.1.4.10&ISO", _pair(PATIENT_NUMBER), 1, 1, "", "", [], 0]],
    },
    separators=(",", ":"),
)  # fmt: skip


@cache
def _compressor() -> zlib._Compress:
    # A window of 4 kB holds the dictionary and most records. The compressor is copied for each, so its size counts: 24 kB like
    # this, 64 kB with a window of 8 kB and more memory, which makes no record smaller.
    return zlib.compressobj(6, zlib.DEFLATED, -12, 4, zlib.Z_DEFAULT_STRATEGY, _DICTIONARY.encode())


@cache
def _decompressor() -> zlib._Decompress:
    return zlib.decompressobj(-15, _DICTIONARY.encode())
