"""The rule table as a whole: every rule trips alone, none trips on a right message, all findings come at once."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

import pytest
from french_cases import CDA, MASKING, FrenchMessage, french_messages
from rule_cases import SHORT, messages
from rules_message import (
    DOCUMENT,
    DYNAMIC,
    FOLDER,
    FOREIGN_DOCUMENT,
    HAS_MEMBER,
    MERGED_PATIENT,
    PATIENT,
    SNAPSHOT,
    Message,
    association,
    coded,
    marker,
    text,
)

from metadata import schemes
from metadata.model import Slot
from metadata.rules.advice import ADVICE
from metadata.rules.attribute_rows import LONG_TITLE, TYPED_PATIENT_ID
from metadata.rules.french import CI_SIS
from metadata.rules.limited import ACCEPT_LIMITED_METADATA
from metadata.rules.rule import Finding, Rule
from metadata.rules.table import RULES, check, check_documents, check_facts, rule
from metadata.vocabulary import Actor, ErrorCode, Severity, Transaction
from schemas.sentences.french import known_french

CASES = messages() + french_messages()
REGISTRY, REPOSITORY = Actor.REGISTRY, Actor.REPOSITORY

#: ITI TF-3: Table 4.2.4.1-2, typed again: the codes of the rules that have one of their own, the same from both actors.
OWN_CODES = {
    "XDSRegistryError": "PAT-009",
    "UnmodifiableMetadataError": "RMU-002 RMU-103",
    "UnresolvedReferenceException": "AS-004 AS-015 AS-016 REG-008 UPD-101 UPD-106",
    "XDSDuplicateUniqueIdInRegistry": "REG-001 REG-002",
    "XDSInvalidRequestException": "UPD-001",
    "XDSMetadataAnnotationError": "RMU-003 RMU-004 RMU-005",
    "XDSMetadataIdentifierError": "UPD-102 RMU-101",
    "XDSMetadataUpdateError": "UPD-004 UPD-103 UPD-105 UPD-108 UPD-109 UPD-110 UPD-112 UPD-114",
    "XDSMetadataUpdateOperationError": (
        "UPD-002 UPD-003 UPD-005 UPD-006 UPD-007 UPD-008 UPD-009 UPD-010 UPD-012 UPD-107 UPD-111"
    ),
    "XDSMetadataVersionError": "UPD-104",
    "XDSMissingDocument": "REP-001",
    "XDSMissingDocumentMetadata": "REP-002",
    "XDSNonIdenticalHash": "REG-003",
    "XDSNonIdenticalSize": "REG-004",
    "XDSObjectTypeError": "RMU-001 RMU-102",
    "XDSPatientIDReconciliationError": "UPD-011 UPD-115",
    "XDSPatientIdDoesNotMatch": "PAT-001 PAT-002 PAT-005 PAT-006 PAT-007 PAT-008",
    "XDSRegistryDeprecatedDocumentError": "REG-009 UPD-113",
    "XDSUnknownPatientId": "PAT-003 PAT-004",
}
#: The rules that do not refuse. All others do.
WARNINGS = (
    "OBJ-014 OBJ-021 DE-007 FD-001 AU-001 AU-004 RID-001 RID-002 AS-020 CODE-012 ADV-001 ADV-002 ADV-003 ADV-004 ADV-005".split()
)
#: Citations: `ITI TF-3: 4.2.3.1.2, Table 4.3.1-3; ITI TF-2: 3.42.4.1.2`.
_PLACE = r"(?:[0-9]+(?:\.[0-9]+)+|Table [0-9]+(?:\.[0-9]+)+-[0-9]+|Appendix [A-Z])"
_CITATION = rf"ITI TF-[123]: {_PLACE}(?:, {_PLACE})*"
_FRENCH = r"(?:CI-SIS|DMP): [A-Z][A-Za-z0-9_.' -]+"
SECTION = re.compile(rf"{_CITATION}(?:; {_CITATION})*|{_FRENCH}")


def ids(findings: list[Finding]) -> set[str]:
    return {f.rule for f in findings}


def expected_codes(id: str) -> dict[Actor, str]:
    """The code of each actor by the table above; "metadata wrong" where it names no other."""
    for code, rules in OWN_CODES.items():
        if id in rules.split():
            return {REGISTRY: code, REPOSITORY: code}
    if id == "SUB-009":
        return {REGISTRY: "XDSRegistryDuplicateUniqueIdInMessage", REPOSITORY: "XDSRepositoryDuplicateUniqueIdInMessage"}
    return {REGISTRY: "XDSRegistryMetadataError", REPOSITORY: "XDSRepositoryMetadataError"}


# ------------------------------------------------------------------------------------------------------------- the table


def test_every_rule_has_a_case() -> None:
    assert {id for id, _ in CASES} == {r.id for r in RULES}


def test_ids_are_unique() -> None:
    assert [id for id, count in Counter(r.id for r in RULES).items() if count > 1] == []
    assert all(re.fullmatch(r"[A-Z]{2,4}-[0-9]{3}", r.id) for r in RULES)


@pytest.mark.parametrize("row", RULES, ids=lambda r: r.id)
def test_a_row_says_what_it_must(row: Rule) -> None:
    assert SECTION.fullmatch(row.section), row.section
    assert row.statement.endswith(".") and row.statement[0].strip() and len(row.statement) <= 130
    assert row.transactions and row.transactions <= {
        Transaction.ITI_41, Transaction.ITI_42, Transaction.ITI_57, Transaction.ITI_61, Transaction.ITI_92
    }  # fmt: skip
    assert {actor: str(code.value) for actor, code in row.codes.items()} == expected_codes(row.id)
    assert row.severity is (Severity.WARNING if row.id in WARNINGS else Severity.ERROR)
    assert rule(row.id) is row


def test_an_unknown_rule_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="DE-999"):
        rule("DE-999")


# ------------------------------------------------------------------------------------------------------------- the cases


@pytest.mark.parametrize(("id", "message"), CASES, ids=[f"{id}-{n}" for n, (id, _) in enumerate(CASES)])
def test_a_broken_rule_is_found_and_no_other(id: str, message: Message) -> None:
    context = message.context()
    findings = check(context)
    assert ids(findings) == {id}, [f.text() for f in findings]
    assert [f.message for f in findings if known_french(f.message) is None] == [], "said in English only"
    assert list(rule(id).check(context)) == findings, "a rule alone judges as the table in one pass"
    for finding in findings:
        assert (finding.code, finding.section, finding.severity) == (
            rule(id).code(message.actor),
            rule(id).section,
            rule(id).severity,
        )
        assert finding.message and finding.message[0].strip() and not finding.message.endswith(".")
        assert finding.remedy, "every finding says how to mend it"
        assert finding.text().count("\n") == 0 and f"[{id}, " in finding.text()


@pytest.mark.parametrize(("id", "message"), CASES, ids=[f"{id}-{n}" for n, (id, _) in enumerate(CASES)])
def test_the_code_is_that_of_the_answering_actor(id: str, message: Message) -> None:
    for actor, code in expected_codes(id).items():
        assert {f.code.value for f in check(message.context(actor))} == {code}


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("transaction", [Transaction.ITI_41, Transaction.ITI_42, Transaction.ITI_61], ids=lambda t: t.code)
@pytest.mark.parametrize("options", [(), (ADVICE,)])
def test_a_right_submission_breaks_no_rule(transaction: Transaction, full: bool, options: tuple[str, ...]) -> None:
    message = Message(transaction, full)
    message.options = frozenset(options)
    assert check(message.context()) == []
    context = message.context()
    assert [f for r in RULES if transaction in r.transactions and _is_answerable(r, message) for f in r.check(context)] == []


def _is_answerable(row: Rule, message: Message) -> bool:
    return CI_SIS not in row.tags and ("documents" not in row.tags or message.documents is not None)


@pytest.mark.parametrize("transaction", [Transaction.ITI_41, Transaction.ITI_42, Transaction.ITI_61], ids=lambda t: t.code)
def test_a_right_french_submission_breaks_no_rule(transaction: Transaction) -> None:
    message = FrenchMessage(transaction)
    assert check(message.context()) == []
    context = message.context()
    judged = [r for r in RULES if transaction in r.transactions and (_is_answerable(r, message) or CI_SIS in r.tags)]
    assert [f for r in judged if "documents" not in r.tags or message.documents for f in r.check(context)] == []


def test_the_type_of_a_patient_id_is_allowed_where_the_domain_says_so() -> None:
    message = FrenchMessage()
    message.options = frozenset()
    assert ids(check(message.context())) == {"SS-408", "DE-416", "DE-422"}
    message.options = frozenset({TYPED_PATIENT_ID})
    assert check(message.context()) == []


@pytest.mark.parametrize(("length", "options", "found"), [
    (127, (), set()), (128, (), {"DE-424"}), (128, (LONG_TITLE,), set()), (129, (LONG_TITLE,), {"DE-424"}),
    (128, (LONG_TITLE, TYPED_PATIENT_ID), set()), (128, (TYPED_PATIENT_ID,), {"DE-424"}),
])  # fmt: skip
def test_a_title_may_be_longer_by_one_where_the_domain_says_so(length: int, options: tuple[str, ...], found: set[str]) -> None:
    message = Message(full=False)
    message.options = frozenset(options)
    message.change("doc", name=text("x" * length))
    assert ids(check(message.context())) == found


def test_the_signature_of_a_submission_is_excepted_from_what_it_cannot_have() -> None:
    message = FrenchMessage()
    message.classification("doc", schemes.DE_TYPE_CODE, nodeRepresentation="E1762", slots=(Slot("codingScheme", ("ASTM",)),))
    for code in ("MASQUE_PS", "INVISIBLE_PATIENT"):
        message.classify("doc", coded("doc", schemes.DE_CONFIDENTIALITY_CODE, code, MASKING))
    for slot in ("sourcePatientInfo", "serviceStartTime", "serviceStopTime", "legalAuthenticator"):
        message.slot("doc", slot)
    assert check(message.context()) == []


def test_a_family_name_of_the_header_is_enough_whatever_its_spelling() -> None:
    message = FrenchMessage(Transaction.ITI_41)
    message.attach(CDA.replace("<family>DUPONT</family>", "<family qualifier='BR'>Durand</family><family>Dùpont</family>"))
    assert check(message.context()) == []


def test_what_a_header_does_not_say_is_not_judged() -> None:
    message = FrenchMessage(Transaction.ITI_41)
    message.attach('<ClinicalDocument xmlns="urn:hl7-org:v3"><component/></ClinicalDocument>')
    assert check(message.context()) == []
    message.attach("<other/>")
    assert check(message.context()) == []


def test_french_rules_are_silent_elsewhere() -> None:
    for id, message in french_messages():
        if id.startswith("FR"):
            message.options -= {CI_SIS}
            assert check(message.context()) == [], id


def test_advice_is_given_only_where_it_is_asked_for() -> None:
    message = Message(full=False)
    message.slot("doc", "sourcePatientInfo", "PID-5|DUPONT^Marie")
    assert check(message.context()) == []
    message.options = frozenset({ADVICE})
    assert Counter(f.rule for f in check(message.context())) == {"ADV-001": 3}


# -------------------------------------------------------------------------------------------------------- all at once


def test_all_findings_come_at_once() -> None:
    """One message with thirty faults, each in its own place: thirty rules speak."""
    chosen = (
        "SUB-002 SUB-003 SUB-005 SUB-010 OBJ-005 OBJ-007 OBJ-009 OBJ-012 OBJ-014 OBJ-015 SS-304 SS-406 SS-407 SS-409 SS-410 "
        "SS-411 DE-007 DE-303 DE-406 DE-109 DE-412 DE-413 DE-414 DE-117 DE-424 DE-427 DE-430 CODE-002 CODE-006 REG-005"
    ).split()
    message = Message(full=False)
    bends = {row[0]: row[1] for row in reversed(SHORT)}
    for id in chosen:
        bends[id](message)
    assert ids(check(message.context())) == set(chosen)


def test_one_rule_is_found_as_often_as_it_is_broken() -> None:
    message = Message()
    for id in ("doc", "doc2"):
        message.slot(id, "creationTime", "20241301")
    message.slot("doc", "size", "many")
    found = check(message.context())
    assert sorted((f.rule, f.object, f.value) for f in found) == [
        ("DE-406", "doc", "20241301"),
        ("DE-406", "doc2", "20241301"),
        ("DE-421", "doc", "many"),
    ]


def test_a_finding_names_object_attribute_value_remedy_and_rule() -> None:
    message = Message(full=False)
    message.slot("doc", "creationTime", "20241301")
    (finding,) = check(message.context())
    assert finding.text() == (
        "doc creationTime: there is no month 13 (value: '20241301'). A time is YYYY[MM[DD[hh[mm[ss]]]]] in UTC, without "
        "fraction and without zone: 20240131101500. [DE-406, ITI TF-3: 4.2.3.2.6]"
    )
    assert replace(finding, remedy="Write it so").text().endswith(" Write it so. [DE-406, ITI TF-3: 4.2.3.2.6]")


def test_a_long_value_is_shortened_in_the_text_and_whole_in_the_finding() -> None:
    message = Message(full=False)
    message.change("doc", name=text("x" * 5000))
    message.change("doc", description=text("y" * 5000))
    for finding in check(message.context()):
        assert len(finding.value) == 5000 or finding.rule == "DE-424"
        assert len(finding.text()) < 500


# --------------------------------------------------------------------------------------- the rounds of the two actors


def test_the_message_alone_is_judged_without_facts() -> None:
    for id, message in CASES:
        row = rule(id)
        context = replace(message.context(), facts=None, documents=None)
        alone = not row.needs_facts and "documents" not in row.tags
        assert ids(check(context)) == ({id} if alone else set()), id


def test_facts_are_judged_alone_inside_the_transaction() -> None:
    for id, message in CASES:
        found = check_facts(message.context())
        assert ids(found) == ({id} if rule(id).needs_facts else set()), id


def test_facts_are_needed_for_the_rules_about_them() -> None:
    context = replace(Message().context(), facts=None)
    with pytest.raises(ValueError, match="facts"):
        check_facts(context)
    with pytest.raises(ValueError, match="facts"):
        list(rule("PAT-003").check(context))


def test_the_repository_judges_documents_and_what_it_cannot_do_without() -> None:
    """ITI TF-2: 3.41.4.1.3.2: all else it leaves to the registry."""
    for id, message in CASES:
        if message.transaction is Transaction.ITI_41:
            assert ids(check_documents(message.context())) == ({id} if "documents" in rule(id).tags else set()), id
    message = Message(Transaction.ITI_41, full=False)
    message.change("doc", mimeType=None)
    message.identifier("doc", schemes.DE_UNIQUE_ID)
    message.slot("doc", "creationTime")
    assert ids(check_documents(message.context())) == {"DE-115", "DE-126"}
    with pytest.raises(ValueError, match="documents"):
        check_documents(Message().context())


def test_hash_and_size_are_the_repositorys_to_add() -> None:
    message = Message(Transaction.ITI_41, full=False)
    for name in ("hash", "size", "repositoryUniqueId"):
        message.slot("doc", name)
    assert check(message.context()) == []


# ----------------------------------------------------------------------------------------------- what is not refused


def test_a_reference_of_another_patient_is_allowed() -> None:
    """ITI TF-3: 4.2.2.1.1: mother and child."""
    message = Message(full=False)
    message.add(association("x", HAS_MEMBER, "ss", FOREIGN_DOCUMENT, "Reference"))
    assert check(message.context()) == []


@pytest.mark.parametrize("type", ["RPLC", "XFRM", "APND", "XFRM_RPLC", "signs"])
def test_every_relationship_to_a_registered_document_is_allowed(type: str) -> None:
    message = Message()
    message.relate(type, DOCUMENT)
    assert check(message.context()) == []


def test_a_snapshot_of_an_on_demand_document_is_allowed() -> None:
    message = Message()
    message.relate(SNAPSHOT, DYNAMIC)
    assert check(message.context()) == []


def test_existing_folder_and_existing_document_are_joined() -> None:
    """ITI TF-3: 4.2.2.1.5, all four ways: new-new is in the full form, the other three here."""
    message = Message()
    for number, (source, target) in enumerate(((FOLDER, DOCUMENT), ("folder", DOCUMENT), (FOLDER, "doc2"))):
        message.add(
            association(f"link{number}", HAS_MEMBER, source, target),
            association(f"ss-link{number}", HAS_MEMBER, "ss", f"link{number}"),
        )
    assert check(message.context()) == []


def test_a_merged_patient_relates_to_the_surviving_one() -> None:
    message = Message()
    for object in message.state.objects:
        if object.entryUUID == DOCUMENT:
            message.state.objects.remove(object)
            message.state.objects.append(replace(object, patientId=MERGED_PATIENT))
            break
    message.relate("RPLC", DOCUMENT)
    assert check(message.context()) == []


def test_the_same_document_again_is_accepted() -> None:
    """ITI TF-2: 3.42.4.1.3.3.1: one uniqueId, the same hash and size; the case of the hash does not count."""
    message = Message(full=False)
    message.identifier("doc", schemes.DE_UNIQUE_ID, value="1.2.3.1")
    message.slot("doc", "hash", "DA39A3EE5E6B4B0D3255BFEF95601890AFD80709")
    message.slot("doc", "size", "0100")
    assert check(message.context()) == []


def test_an_on_demand_document_may_come_again() -> None:
    message = Message(Transaction.ITI_61, full=False)
    message.identifier("doc", schemes.DE_UNIQUE_ID, value="1.2.3.4")
    assert check(message.context()) == []


def test_a_retry_is_told_that_it_had_succeeded() -> None:
    message = Message(full=False)
    message.state.resubmitted = True
    message.identifier("ss", schemes.SS_UNIQUE_ID, value="1.2.3.8")
    (finding,) = check(message.context())
    assert finding.code is ErrorCode.XDSDuplicateUniqueIdInRegistry
    assert "registered already" in finding.message and "nothing to send again" in finding.remedy


def test_an_unknown_patient_is_told_the_command() -> None:
    message = Message(full=False)
    message.state.patients.clear()
    (finding,) = check(message.context())
    assert finding.value == PATIENT and f"./carnet patient add '{PATIENT}'" in finding.remedy


def test_limited_metadata_excuses_what_a_limited_source_need_not_send() -> None:
    message = Message(full=False)
    message.options = frozenset({ACCEPT_LIMITED_METADATA})
    message.classify("ss", marker("ss", schemes.SS_LIMITED_METADATA))
    message.classify("doc", marker("doc", schemes.DE_LIMITED_METADATA))
    for name in ("creationTime", "languageCode", "sourcePatientId"):
        message.slot("doc", name)
    for scheme in (schemes.DE_CLASS_CODE, schemes.DE_CONFIDENTIALITY_CODE, schemes.DE_TYPE_CODE):
        message.classification("doc", scheme)
    message.classification("ss", schemes.SS_CONTENT_TYPE_CODE)
    message.identifier("doc", schemes.DE_PATIENT_ID)
    assert check(message.context()) == []
    message.change("doc", mimeType=None)
    assert ids(check(message.context())) == {"DE-115"}
