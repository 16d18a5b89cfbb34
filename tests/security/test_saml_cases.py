"""Every rule of assertions has cases that trip it and nothing else: each differs from a good assertion in one thing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from security.rules_assertion import ASSERTION_RULES
from security.rules_vihf import VIHF_RULES
from tests.security.assertions import (
    World,
    headers_of,
    make_world,
    refused,
)
from tests.security.saml_cases import Case
from tests.security.saml_said_cases import ALL_CASES


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    yield make_world(tmp_path_factory.mktemp("world"))


# ------------------------------------------------------------------------------------------------------------- judged


@pytest.mark.parametrize("one", ALL_CASES, ids=[f"{one.rule} {one.what}" for one in ALL_CASES])
def test_each_case_is_refused_by_its_rule(world: World, one: Case) -> None:
    denied = refused(one.rule, lambda: world.verify(one.headers(world), one.sender(world), **one.options(world)))
    assert denied.text_en and denied.text_fr and denied.text_en != denied.text_fr


def test_every_rule_has_a_case() -> None:
    """Those that need two messages, or the body of one, have tests in test_saml.py and test_assertion_wire.py."""
    apart = {"SAM-022", "SAM-026", "SAM-040"}
    assert {one.rule for one in ALL_CASES} - {"PKI-001", "PKI-003", "PKI-004", "SIG-012"} | apart == {
        rule.id for rule in (*ASSERTION_RULES, *VIHF_RULES)
    }


def test_what_the_cases_start_from_is_accepted(world: World) -> None:
    """Each case above differs from one of these in one thing."""
    for who in ("doctor", "nurse", "clinic", "apart"):
        assert world.verify(headers_of(world.signed(world.statement(who), who)))
    assert world.verify(headers_of(world.signed(world.statement("clinic", profile="xua"), "clinic")))
    assert world.verify(headers_of(world.signed()), world.sender("doctor"), secured=True)


def test_the_texts_that_the_dmp_is_known_for_are_there(world: World) -> None:
    def text(rule: str) -> str:
        one = next(one for one in ALL_CASES if one.rule == rule)
        return refused(rule, lambda: world.verify(one.headers(world), one.sender(world), **one.options(world))).text_en

    assert text("SAM-014").startswith("DMPInvalidCertificate: Not a valid signature certificate")
    assert text("SAM-038").startswith("Aucune specialite dans le vihf")
    assert text("SAM-046").startswith("Structure introuvable ou Inactive")
    assert text("SAM-047").startswith("PS et Structure non lies")
