"""An alarm about who is refused one patient after the other: distinct ones only, once an hour, nothing of them in the log."""

from __future__ import annotations

import pytest

from metadata.rules.rule import Finding
from metadata.vocabulary import ErrorCode
from security.identity import Assertion
from security.refusal import TrustRule
from security.rules_access import NOT_AUTHORISED, NOT_IN_MATRIX
from server.enumeration import Enumeration
from soap.call import Caller
from soap.endpoint import Exchange


class Hour:
    """A clock that stands still until it is set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def refused(patient: str, who: str = "899900000001", rule: TrustRule = NOT_AUTHORISED) -> Exchange:
    made = Exchange("POST", "/xds/registry", caller=Caller("192.0.2.7", assertion=Assertion("_1", "CN=A", who, patient=patient)))
    made.denied = rule.denied(row="TD2.1", column="ES") if rule is NOT_IN_MATRIX else rule.denied()
    return made


def unknown(patient: str) -> Exchange:
    made = Exchange("POST", "/xds/registry", caller=Caller("192.0.2.7", b"certificate"))
    made.findings = [Finding(rule="PAT-1", code=ErrorCode.XDSUnknownPatientId, message="", remedy="", value=patient)]
    return made


def test_different_patients_are_counted_and_told_once_an_hour(caplog: pytest.LogCaptureFixture) -> None:
    told: list[str] = []
    clock = Hour()
    watch = Enumeration(3, told.append, clock)
    for patient in ("DUPONT-1", "DUPONT-1", "DUPONT-2", "DUPONT-1"):
        watch(refused(patient))
    watch(refused("DUPONT-3", "899900000002"))
    watch(refused("DUPONT-3", rule=NOT_IN_MATRIX))  # what a role may not do is no question about a patient
    assert told == []
    watch(refused("DUPONT-3"))
    watch(refused("DUPONT-4"))
    assert told == ["enumeration"]
    assert "899900000001" in caplog.text and "DUPONT" not in caplog.text
    clock.now = 3601
    for n in range(3):
        watch(refused(f"DUPONT-{n}"))
    assert told == ["enumeration"] * 2


def test_unknown_patients_count_for_the_certificate_that_asks(caplog: pytest.LogCaptureFixture) -> None:
    told: list[str] = []
    watch, silent = Enumeration(2, told.append), Enumeration(0, told.append)
    for n in range(2):
        watch(unknown(f"DUPONT-{n}"))
        silent(unknown(f"DUPONT-{n}"))
    assert told == ["enumeration"]
    assert "SHA-256" in caplog.text and "DUPONT" not in caplog.text
