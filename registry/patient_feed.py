"""ITI-8 Patient Identity Feed: one HL7 2.3.1 message in, one acknowledgement out; the only file that knows the hl7 package.

(ITI TF-2: 3.8.) Only PID-3 and MRG-1 are looked at. A01, A04 and A05 make identifiers known, A40 merges, A08 changes nothing
that a registry keeps. ITI-64 comes by the same door where the domain takes it: A43, HL7 2.5 (ITI TF-2: 3.64). MSA-1 is AA when
done (or nothing was to be done), AE when the content is refused, AR when the message is not for this receiver or the receiver
could not work on it (HL7 2.3.1: 2.13.1). Whatever arrives is answered; nothing is raised.
"""

from __future__ import annotations

import itertools
import logging
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import hl7

from metadata.datatypes import is_oid
from metadata.hl7 import escape, unescape
from metadata.rules.rule import Finding, Refused
from registry.iti64 import SEMANTICS, LinkChange, NotifyLinkChange
from registry.patient_identity import MERGE, IdentityFeed, finding
from security.refusal import Denied
from storage.errors import StorageError

LOG = logging.getLogger("carnet.feed")

EVENTS = {"A01": "add", "A04": "add", "A05": "add", "A08": "ignore", "A40": "merge"}
#: The event of ITI-64.
LINK_CHANGE = "A43"

_MSH = re.compile(r"MSH([^\w\s\x00-\x1f\x7f])([^\w\s\x00-\x1f\x7f]{4})?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
#: Longest text that is echoed.
_SHOWN = 200
_control_ids = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Reply:
    """What is sent back, and what it says: `code` is MSA-1, `event` the trigger as far as understood, `text` the outcome."""

    message: bytes
    code: str
    event: str
    text: str
    findings: Sequence[Finding] = ()


class _Unusable(Exception):
    """The message cannot be worked on: MSA-1, and why."""

    def __init__(self, code: str, text: str) -> None:
        self.code = code
        self.text = text
        super().__init__(text)


@dataclass(slots=True)
class _Header:
    """MSH as far as the answer repeats it; empty where the message has none."""

    sender: tuple[str, str] = ("", "")
    receiver: tuple[str, str] = ("", "")
    event: str = ""
    control_id: str = ""
    processing: str = "P"
    version: str = "2.3.1"
    component: str = "^"


class PatientIdentityFeed:
    """The registry's side of ITI-8, and of ITI-64 with `link_change`. One object serves all threads.

    `allowed` is asked of each message with the name of its transaction, and raises Denied. `explain_base` + rule id is the
    address of the page that explains a rule; empty: none.
    """

    def __init__(
        self,
        feed: IdentityFeed,
        link_change: NotifyLinkChange | None = None,
        allowed: Callable[[str], None] | None = None,
        explain_base: str = "",
    ) -> None:
        self._allowed = allowed
        self._explain_base = explain_base
        self._feed = feed
        self._link_change = link_change
        self._events = (*EVENTS, LINK_CHANGE) if link_change else tuple(EVENTS)

    def __call__(self, octets: bytes) -> Reply:
        """The acknowledgement of one message, without the frame of its transport."""
        header = _Header()
        try:
            message = _read(octets, header, self._events)
            if self._allowed is not None:
                self._allowed("ITI-64" if header.event == LINK_CHANGE else "ITI-8")
            return _reply(header, "AA", self._act(message, header))
        except Refused as refused:
            texts = [f"{one.message}. {one.remedy} [{one.rule}, {one.section}]{self._link(one.rule)}" for one in refused.findings]
            return _reply(header, "AE", " ".join(texts), refused.findings)
        except Denied as denied:
            return _reply(header, "AR", f"{denied.text_en}. {denied.remedy} [{denied.rule}]{self._link(denied.rule)}")
        except _Unusable as unusable:
            return _reply(header, unusable.code, unusable.text)
        except StorageError as error:
            reference = os.urandom(4).hex()
            LOG.error("reference %s: ADT %s", reference, header.event, exc_info=error)
            return _reply(header, "AR", f"the store did not take it now; send it again (reference {reference})")

    def _link(self, rule: str) -> str:
        return f" {self._explain_base}{rule}" if self._explain_base else ""

    def _act(self, message: hl7.Message, header: _Header) -> str:
        """What was done, in words."""
        if header.event == LINK_CHANGE and self._link_change is not None:
            return self._changed(self._link_change, message, header)
        work = EVENTS[header.event]
        if work == "ignore":
            return f"{header.event} changes nothing that a registry keeps"
        pid = _single(message, "PID")
        stays, foreign = self._ids(pid, 3)
        if work == "add":
            if not stays and not foreign:
                raise _Unusable("AE", "PID-3 holds no patient identifier")
            if not stays:
                return "no identifier of this affinity domain: nothing was to be done"
            return "added" if self._feed.add(stays) else "known already"
        goes, foreign_goes = self._ids(_single(message, "MRG"), 1)
        wrong = [_foreign(cx) for cx in (*(() if stays else foreign), *(() if goes else foreign_goes))]
        if wrong:
            raise Refused(wrong)
        if len(goes) != 1 or len(stays) != 1:
            raise _Unusable("AE", "A40 needs one identifier of the domain in PID-3, that which stays, and one in MRG-1")
        self._feed.merge(goes[0], stays[0])
        return "merged"

    def _changed(self, link_change: NotifyLinkChange, message: hl7.Message, header: _Header) -> str:
        """ITI-64: which identifier is which is told by its place (ITI TF-2: 3.64.4.1.2.3, 3.64.4.1.2.4)."""
        now, before = _repetitions(_single(message, "PID"), 3), _repetitions(_single(message, "MRG"), 1)
        if len(now) != 2 or len(before) not in (1, 2):
            what = "A43 needs the new XAD-PID and the local identifier in PID-3, the previous XAD-PID in MRG-1, and may have"
            raise _Unusable("AE", f"{what} a subsumed local identifier behind it [{SEMANTICS}]")
        sender = next(filter(is_oid, map(unescape, header.sender[0].split(header.component))), "")
        if not sender:
            raise _Unusable("AE", f"MSH-3 holds no OID of the system that sends; it becomes the sourceId [{SEMANTICS}.1]")
        domain = [self._cx(one) for one in (now[0], before[0])]
        local = [self._cx(one, anybody=True) for one in (now[1], *before[1:])]
        wrong = [_foreign(shown) for cx, shown in domain if not cx]
        wrong += [_no_authority(shown) for cx, shown in local if not cx]
        if wrong:
            raise Refused(wrong)
        subsumed = local[1][0] if len(local) > 1 else ""
        count = link_change.change(LinkChange(domain[1][0], domain[0][0], local[0][0], subsumed, sender))
        return f"new versions of documents: {count}" if count else "no document of the local identifier: nothing was to be done"

    def _cx(self, repetition: hl7.Container | str, *, anybody: bool = False) -> tuple[str, str]:
        """One identifier as the registry keeps it, and as it came; the former empty when it is not one of the domain, or, where
        `anybody` may have assigned it, names no authority by OID."""
        id = _part(repetition, 1)
        namespace, oid, kind = (_part(repetition, 4, n) for n in (1, 2, 3))
        shown = f"{id}^^^{namespace}&{oid}&{kind}"
        if anybody and is_oid(oid) and kind in ("ISO", ""):
            return f"{id}^^^&{oid}&ISO" if id else "", shown
        return (self._feed.authorities.cx(id, namespace, oid, kind) or "") if id else "", shown

    def _ids(self, segment: hl7.Segment, number: int) -> tuple[list[str], list[str]]:
        """The identifiers of a CX field: those of the domain as the registry keeps them, and the others as they came."""
        ours: list[str] = []
        foreign: list[str] = []
        for repetition in _repetitions(segment, number):
            id = _part(repetition, 1)
            namespace, oid, kind = (_part(repetition, 4, n) for n in (1, 2, 3))
            if not id:
                continue
            cx = self._feed.authorities.cx(id, namespace, oid, kind)
            (ours if cx else foreign).append(cx or f"{id}^^^{namespace}&{oid}&{kind}")
        return list(dict.fromkeys(ours)), foreign


def _foreign(cx: str) -> Finding:
    message = "the assigning authority is not one of this affinity domain"
    return finding("PIF-008", MERGE, message, "Merge identifiers of the domain's authorities only.", cx)


def _no_authority(cx: str) -> Finding:
    message = "the local identifier is empty, or does not name its assigning authority by OID"
    return finding("XPC-005", SEMANTICS, message, "Send id^^^&OID&ISO.", cx)


# --------------------------------------------------------------------------------------------------------------- reading


def _read(octets: bytes, header: _Header, events: Sequence[str]) -> hl7.Message:
    """The message as segments; fills `header` as far as it can be read. Raises _Unusable."""
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError:
        text = octets.decode("iso-8859-1")  # nothing but identifiers is looked at, and those are ASCII
    text = text.lstrip("\r\n\ufeff ").replace("\r\n", "\r").replace("\n", "\r")
    if not _MSH.match(text):
        raise _Unusable("AR", "no HL7 message: it begins with MSH and its separators, MSH|^~\\&|")
    _read_header(text, header)
    # The rest of the message is not looked at, and what is not parsed costs nothing.
    looked_at = "\r".join(line for line in text.split("\r") if line[:3] in ("MSH", "PID", "MRG"))
    try:
        message = hl7.parse(looked_at)
    except (hl7.HL7Exception, ValueError, LookupError, TypeError, RecursionError, AssertionError):
        # An assertion is how the library finds separators that are too few or the same twice.
        reason = "its separators in MSH-1 and MSH-2 and its segments do not go together; send MSH|^~\\&| and segments ended by CR"
        raise _Unusable("AE", f"the message cannot be read as HL7 2: {reason}") from None
    if not header.control_id:
        raise _Unusable("AE", "MSH-10, the message control id, is missing")
    if not header.version.startswith("2."):
        raise _Unusable("AR", f"version {header.version or 'none'} in MSH-12: HL7 2.3.1 is spoken here")
    kind, _, event = header.event.partition("^")
    header.event = event.partition("^")[0]
    if kind != "ADT" or header.event not in events:
        raise _Unusable("AR", f"{kind} {header.event} in MSH-9: this registry takes ADT {', '.join(events)}")
    return message


def _read_header(text: str, header: _Header) -> None:
    """MSH by hand: it must be answered even when the rest cannot be read."""
    line = text.partition("\r")[0]
    fields = [_CONTROL.sub(" ", field)[:_SHOWN] for field in line.split(line[3])]
    fields += [""] * (12 - len(fields))
    header.component = component = line[4:5] or "^"
    header.sender, header.receiver = (fields[2], fields[3]), (fields[4], fields[5])
    header.event = "^".join(fields[8].split(component))
    header.control_id = fields[9]
    header.processing = fields[10].split(component)[0] or "P"
    header.version = fields[11].split(component)[0]


def _single(message: hl7.Message, name: str) -> hl7.Segment:
    found = [segment for segment in message if str(segment[0]) == name]
    if len(found) != 1:
        raise _Unusable("AE", f"the message has {len(found)} {name} segments; it needs one")
    return found[0]


def _repetitions(segment: hl7.Segment, number: int) -> list[hl7.Container | str]:
    return list(segment[number]) if len(segment) > number else []


def _part(repetition: hl7.Container | str, component: int, subcomponent: int = 1) -> str:
    """A subcomponent as text, unescaped and without blanks around it; empty where there is none."""
    for position in (component, subcomponent):
        if isinstance(repetition, str):
            repetition = repetition if position == 1 else ""
        else:
            repetition = repetition[position - 1] if len(repetition) >= position else ""
    return unescape(str(repetition)).strip()


# -------------------------------------------------------------------------------------------------------------- answering


def _reply(header: _Header, code: str, text: str, findings: Sequence[Finding] = ()) -> Reply:
    now = datetime.now(UTC).strftime("%Y%m%d%H%M%S")
    # What came is echoed as it came where it stands between separators of ours, and shortened.
    echo: Callable[[str], str] = lambda value: re.sub(r"[|\r\n]", " ", value)[:_SHOWN]  # noqa: E731
    shown = escape(_CONTROL.sub(" ", text))[:2000]
    own_id = f"{now}{os.getpid()}{next(_control_ids)}"[-20:]
    msh = (
        "MSH", "^~\\&", *map(echo, header.receiver), *map(echo, header.sender), now, "",
        f"ACK^{echo(header.event)}" if header.event in (*EVENTS, LINK_CHANGE) else "ACK", own_id, echo(header.processing),
        "2.5" if header.event == LINK_CHANGE else "2.3.1",
    )  # fmt: skip
    segments = ["|".join(msh), "|".join(("MSA", code, echo(header.control_id), shown if code != "AA" else escape(text)))]
    if code != "AA":
        segments.append(f"ERR|^^^{'207' if code == 'AR' else '204'}&{shown}")
    return Reply("".join(f"{segment}\r" for segment in segments).encode(), code, header.event, text, findings)
