"""Whatever is sent, French rules yield findings and never raise: metadata of any text, headers cut, bent and in any encoding."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from french_cases import CDA, FrenchMessage
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metadata import schemes
from metadata.model import Slot
from metadata.rules.rule import ReceivedDocument
from metadata.rules.table import check
from metadata.vocabulary import Transaction

TEXT = st.text(st.sampled_from("^&|~\\ A1.éISONH0\n"), max_size=40) | st.text(max_size=20)
BYTES = CDA.encode()
ENCODINGS = ("utf-8", "utf-16", "latin-1")


@pytest.fixture(scope="module")
def budget(rounds: Callable[[int, int], int]) -> int:
    return rounds(60, 2000)


def test_any_text_in_the_metadata(budget: int) -> None:
    @settings(max_examples=budget, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(TEXT, min_size=8, max_size=8))
    def judged(texts: list[str]) -> None:
        message = FrenchMessage(Transaction.ITI_41)
        for id, scheme in (("ss", schemes.SS_PATIENT_ID), ("doc", schemes.DE_PATIENT_ID)):
            message.identifier(id, scheme, value=texts[0])
        names = ("authorPerson", "authorInstitution", "authorSpecialty")
        slots = tuple(Slot(name, (text,)) for name, text in zip(names, texts[1:4], strict=True))
        message.classification("doc", schemes.DE_AUTHOR, slots=slots)
        others = ("sourcePatientId", "legalAuthenticator", "creationTime", "sourcePatientInfo")
        for name, text in zip(others, texts[4:], strict=True):
            message.slot("doc", name, text)
        assert all(finding.text() for finding in check(message.context()))

    judged()


def test_any_damage_to_a_header(budget: int) -> None:
    @settings(max_examples=budget, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, len(BYTES)), st.integers(0, 30), st.binary(max_size=12), st.sampled_from(ENCODINGS))
    def judged(place: int, cut: int, put: bytes, encoding: str) -> None:
        damaged = CDA.encode(encoding)
        damaged = damaged[:place] + put + damaged[place + cut :]
        message = FrenchMessage(Transaction.ITI_41)
        assert message.documents is not None
        message.documents["doc"] = ReceivedDocument(100, message.documents["doc"].sha1, damaged)
        assert all(finding.text() for finding in check(message.context()))

    judged()
