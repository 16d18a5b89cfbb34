"""What an affinity domain makes of single rules: refuse, warn, off."""

from __future__ import annotations

import pytest
from rules_message import Message, text

from metadata import schemes
from metadata.rules.rule import Refused
from metadata.rules.table import Policy, check, check_documents, check_facts, under
from metadata.vocabulary import Severity, Transaction


def broken() -> Message:
    """Breaks DE-424 (refused by the table) and OBJ-021 (warned of), and nothing else."""
    message = Message(full=False)
    message.change("doc", name=text("x" * 128))
    message.identifier("doc", schemes.DE_UNIQUE_ID, name=text("id"))
    return message


def severities(policies: dict[str, Policy] | None) -> dict[str, Severity]:
    return {f.rule: f.severity for f in check(broken().context(), policies)}


def test_without_policies_the_table_decides() -> None:
    assert severities(None) == severities({}) == {"DE-424": Severity.ERROR, "OBJ-021": Severity.WARNING}


@pytest.mark.parametrize(
    ("policy", "severity"), [(Policy.REFUSE, Severity.ERROR), (Policy.WARN, Severity.WARNING), (Policy.OFF, None)]
)
@pytest.mark.parametrize("rule", ["DE-424", "OBJ-021"])
def test_a_policy_changes_its_rule_and_no_other(rule: str, policy: Policy, severity: Severity | None) -> None:
    expected = severities(None)
    if severity is None:
        del expected[rule]
    else:
        expected[rule] = severity
    assert severities({rule: policy}) == expected


def test_all_off_is_silence() -> None:
    assert severities({"DE-424": Policy.OFF, "OBJ-021": Policy.OFF}) == {}


def test_a_policy_changes_nothing_but_the_severity() -> None:
    before = {f.rule: f for f in check(broken().context())}
    after = {f.rule: f for f in check(broken().context(), {"DE-424": Policy.WARN})}
    assert after["DE-424"].text() == before["DE-424"].text()
    assert after["DE-424"].code is before["DE-424"].code


def test_policies_reach_the_rounds_about_facts_and_documents() -> None:
    message = Message(Transaction.ITI_41, full=False)
    message.state.patients.clear()
    message.documents = {}
    context = message.context()
    assert [f.rule for f in check_facts(context, {"PAT-003": Policy.OFF})] == []
    assert [(f.rule, f.severity) for f in check_facts(context, {"PAT-003": Policy.WARN})] == [("PAT-003", Severity.WARNING)]
    assert [f.rule for f in check_documents(context, {"REP-001": Policy.OFF})] == []
    assert [f.rule for f in check(context, {"REP-001": Policy.OFF})] == ["PAT-003"]


def test_findings_made_elsewhere_obey_too() -> None:
    """A handler's own finding is judged by the same policies."""
    found = check(broken().context())
    assert [f.rule for f in under({"DE-424": Policy.OFF}, found)] == ["OBJ-021"]
    assert under(None, found) == found


def test_a_refusal_carries_every_finding() -> None:
    found = check(broken().context())
    refused = Refused(found)
    assert list(refused.findings) == found
    assert all(f.text() in str(refused) for f in found)
