"""A stored query as text: what is read, and each parameter error with its code (ITI TF-2: 3.18.4.1.2.3)."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata.model import Slot
from metadata.queries import CodeValue, StoredQuery, read_query
from metadata.query_table import AT_LEAST_ONE, EXACTLY_ONE, QUERIES, QUERY_BY_ID, ParameterType, QueryDefinition
from metadata.query_values import QueryValueError, split_value
from metadata.rules.rule import Finding, Refused
from metadata.vocabulary import Transaction
from tests.proof.messages import QUERIES as STANDARD

IDS = {query.name: query.id for query in QUERIES}
STATUS = "urn:oasis:names:tc:ebxml-regrep:StatusType:"
PATIENT = ("$XDSDocumentEntryPatientId", "'1^^^&1.2.3&ISO'")
APPROVED = ("$XDSDocumentEntryStatus", f"('{STATUS}Approved')")
UUID = "urn:uuid:7edca82f-054d-47f2-a032-9b2a5b5186c1"


def read(name: str, *slots: tuple[str, ...], return_type: str = "LeafClass") -> StoredQuery:
    sent = [Slot(slot, tuple(values)) for slot, *values in slots]
    return read_query(IDS.get(name, name), sent, Transaction.ITI_18, return_type=return_type)


def findings(name: str, *slots: tuple[str, ...], return_type: str = "LeafClass") -> tuple[Finding, ...]:
    with pytest.raises(Refused) as caught:
        read(name, *slots, return_type=return_type)
    return caught.value.findings


def codes(name: str, *slots: tuple[str, ...], return_type: str = "LeafClass") -> list[str]:
    return [finding.code.value for finding in findings(name, *slots, return_type=return_type)]


# --------------------------------------------------------------------------------------------------- the table itself


def test_the_fourteen_queries_have_the_ids_of_the_standard() -> None:
    """ITI TF-2: 3.18.4.1.2.4, typed again."""
    known = {query.name: query for query in QUERIES if query.name in STANDARD}
    assert len(known) == 14
    assert {name: query.id for name, query in known.items()} == {name: f"urn:uuid:{id}" for name, id in STANDARD.items()}
    assert all(query.transactions == {Transaction.ITI_18} for query in known.values())
    assert len(QUERY_BY_ID) == len(QUERIES)


@pytest.mark.parametrize("query", QUERIES, ids=lambda q: q.name)
def test_an_empty_request_misses_exactly_what_the_query_requires(query: QueryDefinition) -> None:
    """Every required parameter and every group of alternatives is named once."""
    (transaction,) = query.transactions
    with pytest.raises(Refused) as caught:
        read_query(query.id, [], transaction)
    groups = sum(bool(query.group(name)) for name in (EXACTLY_ONE, AT_LEAST_ONE))
    required = [p for p in query.parameters if p.required]
    assert [f.code.value for f in caught.value.findings] == ["XDSStoredQueryMissingParam"] * (len(required) + groups)


# ------------------------------------------------------------------------------------------------------------- values


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("'a'", ["a"]),
        ("('a')", ["a"]),
        ("('a','b')", ["a", "b"]),
        ("( 'a' , 'b' )", ["a", "b"]),
        ("('a',\n  'b')", ["a", "b"]),
        ("'Children''s Hospital'", ["Children's Hospital"]),
        ("('it''s','a,b','(c)')", ["it's", "a,b", "(c)"]),
        ("20040101", ["20040101"]),
        ("(1,2)", ["1", "2"]),
        ("(a, 'b')", ["a", "b"]),
        ("1^^^&1.2.3&ISO", ["1^^^&1.2.3&ISO"]),
        ("  'a'  ", ["a"]),
        ("''", [""]),
        ("('')", [""]),
    ],
)
def test_values_are_read(text: str, values: list[str]) -> None:
    assert split_value(text) == values


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("()", "list is empty"),
        ("('a'", "closing parenthesis"),
        ("('a)", "quote is not closed"),
        ("'a", "closing quote"),
        ("'it's'", "not doubled"),
        ("'a','b'", "without the parentheses"),
        ("'a' b", "follows the closing quote"),
        ("('a' 'b')", "separated by commas"),
        ("('a',)", "separated by commas"),
        ("('a'))", "separated by commas"),
    ],
)
def test_what_cannot_be_read_is_explained(text: str, words: str) -> None:
    with pytest.raises(QueryValueError, match=words) as caught:
        split_value(text)
    assert "two quotes" in caught.value.remedy


@given(st.lists(st.text(), min_size=1))
def test_any_list_written_by_the_rules_comes_back(values: list[str]) -> None:
    assert split_value("(" + ",".join("'" + v.replace("'", "''") + "'" for v in values) + ")") == values


@given(st.text(alphabet="('a ,)", max_size=256))
def test_no_text_breaks_the_reader(text: str) -> None:
    with contextlib.suppress(QueryValueError):
        assert split_value(text)


@pytest.mark.parametrize("piece", ["a ,", "a  ", "'' ,", "'','", "''"])
def test_a_hostile_list_is_refused_in_one_pass(piece: str) -> None:
    """An ambiguous grammar would try every reading of these: it would not end in our time."""
    with pytest.raises(QueryValueError):
        split_value("(" + piece * (100_000 // len(piece)))


# ----------------------------------------------------------------------------------------------------------- requests


def test_a_request_is_understood() -> None:
    query = read(
        "FindDocuments",
        PATIENT,
        ("$XDSDocumentEntryStatus", f"('{STATUS}Approved')", f"('{STATUS}Deprecated')"),
        ("$XDSDocumentEntryClassCode", "('10^^1.2','11^^1.2')"),
        ("$XDSDocumentEntryEventCodeList", "('a^^1')"),
        ("$XDSDocumentEntryEventCodeList", "('b^^1','c^^1')"),
        ("$XDSDocumentEntryCreationTimeFrom", "2005"),
        ("$XDSDocumentEntryAuthorPerson", "('%Martin%')"),
        ("$MetadataLevel", "'2'"),
        ("$XDSDocumentEntryPracticeSettingCodeScheme", "('ignored')"),
    )
    assert query.patient_ids == ("1^^^&1.2.3&ISO",)
    assert query.texts("$XDSDocumentEntryStatus") == (f"{STATUS}Approved", f"{STATUS}Deprecated")
    assert query.any_of("$XDSDocumentEntryClassCode") == (CodeValue("10", "1.2"), CodeValue("11", "1.2"))
    assert query.all_of("$XDSDocumentEntryEventCodeList") == (
        (CodeValue("a", "1"),),
        (CodeValue("b", "1"), CodeValue("c", "1")),
    )
    assert query.number("$XDSDocumentEntryCreationTimeFrom") == 20050101000000
    assert query.metadata_level == 2
    assert "$XDSDocumentEntryPracticeSettingCodeScheme" not in query.parameters


def test_unknown_status_words_are_ignored_until_none_is_left() -> None:
    query = read("FindDocuments", PATIENT, ("$XDSDocumentEntryStatus", f"('nonsense','{STATUS}Approved')"))
    assert query.texts("$XDSDocumentEntryStatus") == (f"{STATUS}Approved",)
    (finding,) = findings("FindDocuments", PATIENT, ("$XDSDocumentEntryStatus", "('urn:x:ResponseStatusType:Approved')"))
    assert finding.code.value == "XDSStoredQueryMissingParam"
    assert f"{STATUS}Approved" in finding.text()
    assert finding.value == "urn:x:ResponseStatusType:Approved"


def test_a_misspelt_parameter_is_named_where_it_is_missed() -> None:
    (finding,) = findings("FindDocuments", ("$XDSDocumentEntryPatientID", "'1^^^&1.2.3&ISO'"), APPROVED)
    assert finding.code.value == "XDSStoredQueryMissingParam"
    assert "$XDSDocumentEntryPatientID" in finding.remedy


@pytest.mark.parametrize("return_type", ["", "RegistryObject", "LeafClassWithRepositoryItem", "leafclass"])
def test_other_return_types_are_refused(return_type: str) -> None:
    assert codes("FindDocuments", PATIENT, APPROVED, return_type=return_type) == ["XDSRegistryError"]


def test_an_unknown_query_is_refused_with_the_names_of_the_known() -> None:
    for query_id in ("urn:uuid:00000000-0000-4000-8000-000000000000", "", "FindDocument"):
        (finding,) = findings(query_id)
        assert finding.code.value == "XDSUnknownStoredQuery"
        assert "FindDocuments" in finding.remedy


def test_a_query_of_another_transaction_is_sent_there() -> None:
    (finding,) = findings("FindDocumentsForMultiplePatients")
    assert finding.code.value == "XDSUnknownStoredQuery"
    assert "ITI-51" in finding.remedy
    with pytest.raises(Refused):
        read_query(IDS["FindDocuments"], [], Transaction.ITI_51)


SINGLE = "XDSStoredQueryParamNumber"
MISSING = "XDSStoredQueryMissingParam"
OTHER = "XDSRegistryError"


@pytest.mark.parametrize(
    ("name", "slots", "expected"),
    [
        ("FindDocuments", [APPROVED], [MISSING]),
        ("FindDocuments", [PATIENT], [MISSING]),
        ("FindDocuments", [PATIENT, ("$XDSDocumentEntryStatus",)], [MISSING]),
        ("FindDocuments", [("$XDSDocumentEntryPatientId", "('1^^^&1.2.3&ISO','2^^^&1.2.3&ISO')"), APPROVED], [SINGLE]),
        ("FindDocuments", [PATIENT, PATIENT, APPROVED], [SINGLE]),
        ("FindDocuments", [("$XDSDocumentEntryPatientId", "'nobody'"), APPROVED], [OTHER]),
        ("FindDocuments", [PATIENT, APPROVED, APPROVED], [OTHER]),
        ("FindDocuments", [PATIENT, APPROVED, ("$XDSDocumentEntryClassCode", "('10')")], [OTHER]),
        ("FindDocuments", [PATIENT, APPROVED, ("$XDSDocumentEntryClassCode", "('10^^')")], [OTHER]),
        ("FindDocuments", [PATIENT, APPROVED, ("$XDSDocumentEntryClassCode", "('10^Text^1.2^x')")], [OTHER]),
        ("FindDocuments", [PATIENT, APPROVED, ("$XDSDocumentEntryClassCode",)], [OTHER]),
        ("FindDocuments", [PATIENT, APPROVED, ("$XDSDocumentEntryCreationTimeFrom", "yesterday")], [OTHER]),
        ("FindDocuments", [PATIENT, APPROVED, ("$XDSDocumentEntryCreationTimeTo", "20230230")], [OTHER]),
        ("FindDocuments", [PATIENT, APPROVED, ("$XDSDocumentEntryCreationTimeTo", "2023", "2024")], [SINGLE]),
        ("FindDocuments", [PATIENT, APPROVED, ("$MetadataLevel", "3")], [OTHER]),
        ("FindDocuments", [PATIENT, APPROVED, ("$MetadataLevel", "two")], [OTHER]),
        ("FindDocuments", [PATIENT, ("$XDSDocumentEntryStatus", f"('{STATUS}Approved'")], [OTHER]),
        ("GetDocuments", [], [MISSING]),
        ("GetDocuments", [("$XDSDocumentEntryUniqueId", "('1.2')"), ("$XDSDocumentEntryEntryUUID", f"('{UUID}')")], [SINGLE]),
        ("GetFolderAndContents", [("$XDSFolderUniqueId", "('1.2','1.3')")], [SINGLE]),
        ("GetSubmissionSetAndContents", [("$XDSSubmissionSetEntryUUID", "'a'"), ("$XDSSubmissionSetUniqueId", "'b'")], [SINGLE]),
        ("GetRelatedDocuments", [("$XDSDocumentEntryUniqueId", "'1.2'")], [MISSING]),
        ("GetRelatedDocuments", [("$XDSDocumentEntryUniqueId", "'1.2'"), ("$AssociationTypes", "('APND')")], [OTHER]),
        ("FindSubmissionSets", [("$XDSSubmissionSetPatientId", "'1^^^&1.2.3&ISO'")], [MISSING]),
        ("FindDocumentsByReferenceId", [PATIENT, APPROVED], [MISSING]),
        ("GetAll", [("$patientId", "'1^^^&1.2.3&ISO'")], [MISSING] * 3),
    ],
)
def test_each_parameter_error_has_its_code(name: str, slots: list[tuple[str, ...]], expected: list[str]) -> None:
    assert codes(name, *slots) == expected


def test_every_fault_is_reported_at_once() -> None:
    found = findings(
        "FindDocuments",
        ("$XDSDocumentEntryPatientId", "'x'"),
        ("$XDSDocumentEntryClassCode", "('10','11')"),
        ("$XDSDocumentEntryServiceStartTimeFrom", "20230230"),
        return_type="Everything",
    )
    assert sorted(f.code.value for f in found) == [OTHER] * 5 + [MISSING]
    assert all(f.remedy and f.attribute and f.section for f in found)


def test_conjunctive_parameters_are_those_of_the_standard() -> None:
    """ITI TF-2: 3.18.4.1.2.3.5: eventCodeList, confidentialityCode, Folder codeList, referenceIdList."""
    repeated = {p.name for query in QUERIES for p in query.parameters if p.conjunctive}
    assert repeated == {
        "$XDSDocumentEntryEventCodeList",
        "$XDSDocumentEntryConfidentialityCode",
        "$XDSFolderCodeList",
        "$XDSDocumentEntryReferenceIdList",
    }


def test_every_code_parameter_takes_a_list() -> None:
    assert all(p.many for query in QUERIES for p in query.parameters if p.type is ParameterType.CODE)
