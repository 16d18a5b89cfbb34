"""Examples of identity feeds: the messages of the wrong one are refused by its rule, those of the right one are all taken."""

from __future__ import annotations

import re

import pytest

from conformance.explanations.catalogue import explanations
from metadata.model import Code
from registry.codes import CodeBook
from registry.iti64 import NotifyLinkChange
from registry.patient_feed import PatientIdentityFeed
from registry.patient_identity import Authorities, IdentityFeed
from registry.record import Records
from storage.database import Database
from tests.registry.submissions import new_oid

#: PIF-007 needs documents of both patients, PIF-009 is about HL7 v3.
JUDGED_FEEDS = frozenset(
    {f"PIF-{n:03d}" for n in (1, 2, 3, 4, 5, 6, 8, 10)} | {f"XPC-{n:03d}" for n in (1, 2, 3, 4, 5)}
)  # fmt: skip
_STEP = re.compile(r"ADT\^(?P<event>A\d\d): PID-3 (?P<pid3>\S+?)(?:, MRG-1 (?P<mrg1>\S+))?")


def message(event: str, pid3: str, mrg1: str) -> bytes:
    """What a sender whose MSH-3 is an OID sends (ITI-64 asks for one)."""
    trigger, version = ("ADT^A43^ADT_A43", "2.5") if event == "A43" else (f"ADT^{event}", "2.3.1")
    head = f"MSH|^~\\&|PIX^1.2.250.1.999.6^ISO|HOSPITAL|CARNET|REGION|20240102030405||{trigger}|4711|P|{version}"
    return f"{head}\rEVN||20240102030405\rPID|||{pid3}||DURAND^Anne\r{f'MRG|{mrg1}' if mrg1 else 'PV1||I'}\r".encode()


def played(database: Database, text: str) -> list[str]:
    """What is answered to each step, by ids of this test's own."""
    number = new_oid().rpartition(".")[2]
    text = re.sub(r"\b(1001|2002)\b", rf"{number}\1", text)
    accepted = frozenset({"1.2.250.1.99", "1.2.250.1.213.1.4.8"})
    domain = Authorities(accepted, merges="domain.merge = refuse" not in text)
    changes = NotifyLinkChange(database, CodeBook(), Code("LINK", "1.2.250.1.999.65", "Link change"))
    feed, records = PatientIdentityFeed(IdentityFeed(database, domain), changes), Records(database)
    told = []
    for line in text.splitlines():
        step = _STEP.fullmatch(line)
        if step:
            told.append(feed(message(step["event"], step["pid3"], step["mrg1"] or "")).text)
        elif line.startswith("carnet patient "):
            _, _, act, cx = line.split(" ", 3)
            (records.close if act == "close" else records.reopen)(cx.strip("'"))
        else:
            assert line.startswith("domain.merge = "), line
    return told


@pytest.mark.parametrize("id", sorted(JUDGED_FEEDS))
def test_an_example_of_a_feed(id: str, database: Database) -> None:
    one = explanations()[id]
    *before, last = played(database, one.wrong)
    assert f"[{id}," in last and not any("[" in told for told in before), last
    assert not any("[" in told for told in played(database, one.right))
