"""The log of exchanges: a refusal is one line, a quirk is told once, and no text of a message stands in it."""

from __future__ import annotations

import pytest

from metadata.rules.rule import Finding
from metadata.vocabulary import ErrorCode, ResponseStatus, Transaction
from server.journal import Journal
from soap.call import Caller, Note
from soap.endpoint import Exchange

UUID = "urn:uuid:6e0f8d5c-52a5-4a57-8f5b-0d1f7a0f6a01"


def exchange(**changes: object) -> Exchange:
    made = Exchange("POST", "/xds/registry", Transaction.ITI_42, Caller("192.0.2.7"), UUID, http_status=200)
    for name, value in {"status": ResponseStatus.SUCCESS, **changes}.items():
        setattr(made, name, value)
    return made


def finding(rule: str) -> Finding:
    return Finding(rule=rule, code=ErrorCode.XDSRegistryError, message="DUPONT", remedy="", value="DUPONT")


def lines(caplog: pytest.LogCaptureFixture, *exchanges: Exchange) -> list[str]:
    journal = Journal()
    with caplog.at_level("INFO", "carnet.exchange"):
        for one in exchanges:
            journal(one)
    return [record.getMessage() for record in caplog.records]


def test_a_success_is_silent(caplog: pytest.LogCaptureFixture) -> None:
    assert lines(caplog, exchange()) == []


def test_a_refusal_names_codes_and_rules_and_counts_them(caplog: pytest.LogCaptureFixture) -> None:
    found = [finding("A-1"), finding("B-2"), finding("A-1"), *(finding(f"C-{n}") for n in range(5))]
    (line,) = lines(caplog, exchange(status=ResponseStatus.FAILURE, findings=found))
    assert line.startswith(f"ITI-42 from 192.0.2.7 {UUID} FAILURE: XDSRegistryError [A-1] x2, XDSRegistryError [B-2], ")
    assert line.endswith(" and 2 more")
    assert "DUPONT" not in line


def test_a_message_id_that_is_no_uuid_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    told = lines(caplog, exchange(fault="WIRE-060", status=None, http_status=500, message_id=UUID + "\nITI-41 from nowhere"))
    assert told == ["ITI-42 from 192.0.2.7 FAULT, HTTP 500: WIRE-060"]


def test_a_quirk_is_told_when_it_is_met_first(caplog: pytest.LogCaptureFixture) -> None:
    noted = exchange(notes=[Note("WIRE-053", "DUPONT")])
    told = lines(caplog, noted, noted, exchange(notes=[Note("WIRE-017", "DUPONT")]))
    assert [line.partition(" noted ")[2].split(",")[0] for line in told] == ["WIRE-053", "WIRE-017"]
    assert "DUPONT" not in "".join(told)
