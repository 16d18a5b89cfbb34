"""Each rule of ITI-62: a request that trips it and no other, and requests that trip none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from metadata.rules.removal import DELETE_ALL, RULES, Removal, RemovalPolicy, check
from metadata.rules.rule import Existing
from metadata.vocabulary import AssociationType, AvailabilityStatus, ObjectKind
from schemas.sentences.french import known_french

HAS_MEMBER, APND = AssociationType.HAS_MEMBER.urn, AssociationType.APND.urn
OTHER_SCOPE = DELETE_ALL.replace("DeleteAll", "DeleteRepositoryItemOnly")
APPROVED = AvailabilityStatus.APPROVED.urn
KINDS = {"S": ObjectKind.SUBMISSION_SET, "D": ObjectKind.DOCUMENT_ENTRY, "F": ObjectKind.FOLDER}


@dataclass
class Registered:
    """`RemovalFacts` by a dict. Objects are named S1, D1, F1; an association `a` is (source, target)."""

    objects: dict[str, Existing] = field(default_factory=dict)
    closed: set[str] = field(default_factory=set)

    def add(self, *names: str, lid: str = "", version: int = 1) -> Registered:
        for name in names:
            self.objects[name] = Existing(KINDS[name[0]], name, "P", APPROVED, logicalID=lid or name, version=version)
        return self

    def link(self, name: str, source: str, target: str, kind: str = HAS_MEMBER) -> Registered:
        self.objects[name] = Existing(
            ObjectKind.ASSOCIATION, name, "P", APPROVED, associationType=kind, sourceObject=source, targetObject=target
        )
        return self

    def find(self, entry_uuid: str) -> Existing | None:
        return self.objects.get(entry_uuid)

    def referring(self, removed: Sequence[str]) -> Sequence[Existing]:
        return [o for o in self.objects.values() if o.sourceObject in removed or o.targetObject in removed]

    def members_of(self, entry_uuid: str) -> Sequence[Existing]:
        return [o for o in self.objects.values() if o.sourceObject == entry_uuid and o.associationType == HAS_MEMBER]

    def sets_of(self, entry_uuid: str) -> Sequence[Existing]:
        found = [o for o in self.objects.values() if o.targetObject == entry_uuid and o.associationType == HAS_MEMBER]
        return [o for o in found if o.sourceObject.startswith("S")]

    def record_state(self, cx: str) -> str:
        return "closed" if cx in self.closed else ""

    def versions_of(self, logical_id: str) -> Sequence[Existing]:
        return [o for o in self.objects.values() if o.logicalID == logical_id and o.entryUUID != logical_id]


def world() -> Registered:
    """S1 holds D1 and F1 with D1 in it; S2 holds D2, an addendum of D1, and refers to D1; S3 holds two versions of D3."""
    facts = Registered().add("S1", "S2", "S3", "D1", "D2", "F1").link("s1d1", "S1", "D1").link("s1f1", "S1", "F1")
    facts.link("f1d1", "F1", "D1").link("s1f1d1", "S1", "f1d1").link("s2d2", "S2", "D2").link("d2d1", "D2", "D1", APND)
    facts.link("s2d1", "S2", "D1").add("D3").add("D4", lid="D3", version=2)
    facts.link("s3d3", "S3", "D3").link("s3d4", "S3", "D4")
    facts.objects["x"] = Existing(ObjectKind.ASSOCIATION, "x", "Q", APPROVED, associationType=APND)
    facts.closed.add("Q")
    return facts


CASES: dict[str, tuple[Removal, RemovalPolicy, str]] = {
    "RM-001": (Removal(("d2d1",), adhocQuery=True), RemovalPolicy.DELETE, ""),
    "RM-002": (Removal(("d2d1",), deletionScope=OTHER_SCOPE), RemovalPolicy.DELETE, ""),
    "RM-003": (Removal(()), RemovalPolicy.DELETE, ""),
    "RM-004": (Removal(("d2d1",)), RemovalPolicy.REFUSE, ""),
    "RM-005": (Removal(("D9",)), RemovalPolicy.HIDE, "D9"),
    "RM-006": (Removal(("D2", "s2d2")), RemovalPolicy.DELETE, "D2"),
    "RM-007": (Removal(("D3", "s3d3")), RemovalPolicy.DELETE, "D3"),
    "RM-008": (Removal(("s2d2",)), RemovalPolicy.HIDE, "D2"),
    "RM-009": (Removal(("D2", "s2d2", "d2d1", "s2d1")), RemovalPolicy.DELETE, "S2"),
    "RM-010": (Removal(("x",)), RemovalPolicy.DELETE, "x"),
}


def test_every_rule_has_a_case_and_an_id_of_its_own() -> None:
    ids = [rule.id for rule in RULES]
    assert ids == sorted(CASES) and len(set(ids)) == len(ids)
    for rule in RULES:
        assert rule.statement.endswith(".") and rule.section.startswith("ITI RMD: 3.62") and rule.remedy


@pytest.mark.parametrize("id", sorted(CASES))
def test_a_case_trips_its_rule_and_no_other(id: str) -> None:
    removal, policy, about = CASES[id]
    findings = check(removal, world(), policy)
    assert [(f.rule, f.object) for f in findings] == [(id, about)]
    (finding,) = findings
    assert known_french(finding.message), "said in English only"
    assert about in finding.text() and f"[{id}, ITI RMD" in finding.text()


def test_the_scope_that_the_schema_gives_by_default_says_nothing() -> None:
    assert check(Removal(("d2d1",), deletionScope=DELETE_ALL), world(), RemovalPolicy.DELETE) == []


@pytest.mark.parametrize(
    "ids",
    [
        ("d2d1",),
        ("S2", "D2", "s2d2", "d2d1", "s2d1"),
        ("s2d1",),
        ("s1d1",),
        ("D4", "s3d4"),
        ("S3", "D3", "D4", "s3d3", "s3d4"),
        ("f1d1", "s1f1d1"),
        ("S1", "D1", "F1", "s1d1", "s1f1", "f1d1", "s1f1d1", "d2d1", "s2d1"),
    ],
)
def test_what_may_go(ids: tuple[str, ...]) -> None:
    assert check(Removal(ids), world(), RemovalPolicy.DELETE) == []
