"""No rule of the table, no query and no parameter of a query is without a case."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from conformance.case import Case, Step, read_suite
from conformance.coverage import OUT_OF_REACH, coverage_of, rule_ids
from conformance.messages import QUERIES
from metadata.query_table import QUERIES as TABLE
from metadata.rules.removal import RULES as REMOVAL_RULES
from metadata.rules.table import RULES
from metadata.vocabulary import ErrorCode, Severity
from schemas.problems import RULES as PARSER_RULES
from security.rules import TRUST_RULES
from soap.wire import QUIRKS

SUITE = read_suite()
RULE_IDS = {rule.id for table in (RULES, REMOVAL_RULES, TRUST_RULES) for rule in table}
#: Judged by the kit itself, of every answer.
OF_ANSWERS = {"SIG-033"}
WARNINGS = {rule.id for rule in RULES if rule.severity is Severity.WARNING}
#: Refused by default, taken with a warning in the only domain that has the rule (what is known of the lists is not certain).
WARNED_OF = WARNINGS | {"FR-010", "FR-013", "FR-018", "FR-019"}
REFUSALS = ("Failure", "Fault")


def proving(rule: str) -> Iterator[Case]:
    return (case for case in SUITE.values() if rule in case.proves)


def refuses(step: Step) -> bool:
    return bool(set(step.expect.statuses) & set(REFUSALS))


def test_there_are_more_than_seven_hundred_and_eighty_cases() -> None:
    assert len(SUITE) > 780


def test_every_rule_is_proved_or_stands_among_those_out_of_reach() -> None:
    proved = set(coverage_of(SUITE.values()))
    assert sorted(RULE_IDS - proved) == sorted(OUT_OF_REACH)


def test_the_report_says_which_rules_no_case_proves() -> None:
    coverage = coverage_of(SUITE.values(), rule_ids())
    assert {rule for rule, cases in coverage.items() if not cases} == set(OUT_OF_REACH)
    assert set(rule_ids()) == RULE_IDS
    assert all(reason.en and reason.fr and reason.en != reason.fr for reason in OUT_OF_REACH.values())


def test_what_the_cases_name_exists() -> None:
    known = RULE_IDS | set(PARSER_RULES) | set(QUIRKS)
    assert sorted(set(coverage_of(SUITE.values())) - known) == []


@pytest.mark.parametrize("rule", sorted(RULE_IDS - set(OUT_OF_REACH)))
def test_a_rule_is_broken_by_one_case_and_kept_by_one(rule: str) -> None:
    steps = [step for case in proving(rule) for step in case.steps if not step.prepares]
    assert any(refuses(step) for step in steps) or rule in WARNED_OF | OF_ANSWERS, "no case is refused"
    accepted = [step for step in steps if not refuses(step)]
    assert accepted, "no case is accepted"


def test_every_parameter_of_every_query_is_asked_with() -> None:
    asked = {(step.query, row[0]) for case in SUITE.values() for step in case.steps for row in step.parameters}
    titles_only = {"$XDSDocumentEntryTitle", "$XDSDocumentEntryPatientId", "$XDSDocumentEntryStatus"}
    wanted = {(query.name, p.name) for query in TABLE for p in query.parameters if not query.extension or p.name in titles_only}
    assert sorted(wanted - asked) == []


def test_the_kit_knows_the_queries_as_the_registry_does() -> None:
    assert {name: f"urn:uuid:{id}" for name, id in QUERIES.items()} == {query.name: query.id for query in TABLE}


def test_expected_codes_are_the_standards() -> None:
    codes = {code for case in SUITE.values() for step in case.steps for code in (*step.expect.codes, *step.expect.warns)}
    assert sorted(codes - {code.value for code in ErrorCode}) == ["DMPClosed", "DMPFound"], "these are the DMP's"
