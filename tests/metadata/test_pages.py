"""The pages made from the tables are those that are committed, and say what the tables say."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from metadata.query_table import QUERIES
from metadata.rules.page import GROUPS, rules_page
from metadata.rules.removal import RULES as REMOVAL_RULES
from metadata.rules.table import RULES
from metadata.vocabulary import Actor, ErrorCode, Transaction
from server.statement import CODES, TRANSACTIONS, integration_statement

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


def test_the_rules_page_is_up_to_date() -> None:
    page = (DOCS / "rules.md").read_text(encoding="utf-8")
    assert page == rules_page(), "make it again: python -m metadata.rules.page > docs/rules.md"


def test_the_rules_page_has_every_rule_once() -> None:
    listed = re.findall(r"^\| ([A-Z]+-\d{3}) \|", rules_page(), re.MULTILINE)
    assert sorted(id for id in listed if not id.startswith("XML-")) == sorted(r.id for r in (*RULES, *REMOVAL_RULES))
    assert {r.id.partition("-")[0] for r in RULES} == set(GROUPS)


def test_the_integration_statement_is_up_to_date() -> None:
    page = (DOCS / "integration-statement.md").read_text(encoding="utf-8")
    assert page == integration_statement(), "make it again: python -m server.statement > docs/integration-statement.md"


def test_the_statement_has_the_fourteen_queries() -> None:
    page = integration_statement()
    of_ihe = [q for q in QUERIES if Transaction.ITI_18 in q.transactions and q.section.startswith("ITI TF-2")]
    assert len(of_ihe) == 14
    assert [q.id for q in of_ihe if f"`{q.id}`" not in page] == []


@pytest.mark.parametrize("transaction", [Transaction.ITI_41, Transaction.ITI_42], ids=lambda t: t.code)
def test_every_code_of_a_rule_is_stated_for_its_transaction(transaction: Transaction) -> None:
    """A rule about ITI-41 is judged by both actors, one about ITI-42 by the registry."""
    judges = [Actor.REGISTRY] if transaction is Transaction.ITI_42 else list(Actor)
    applied = [r for r in RULES if transaction in r.transactions and not (Actor.REPOSITORY in judges and r.id == "SUB-009")]
    assert {r.code(actor) for r in applied for actor in judges} - set(CODES[transaction]) == set()


def test_every_code_that_the_program_names_is_stated() -> None:
    """`ErrorCode.X` anywhere in the rooms that answer."""
    named = set()
    for room in ("registry", "repository", "soap"):
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "ErrorCode":
                    named.add(ErrorCode[node.attr])
    assert named, "no code is named anywhere: this test looks in the wrong place"
    assert named - {code for codes in CODES.values() for code in codes} == set()


def test_every_stated_transaction_has_its_codes() -> None:
    assert {t for _, t, _ in TRANSACTIONS} == set(CODES)
