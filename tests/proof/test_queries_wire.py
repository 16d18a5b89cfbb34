"""The fourteen stored queries over the wire: what they return of a known world, and how they refuse.

What is expected is typed from ITI TF-2: 3.18.4.1.2.3 (value coding 3.18.4.1.2.3.4-.5, the queries 3.18.4.1.2.3.7.1-.14), not
from the server's own tables.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.nist.wire import Answer
from tests.proof.conftest import Proof, unknown_patient
from tests.proof.messages import (
    APND,
    APPROVED,
    DEPRECATED,
    HAS_MEMBER,
    QUERIES,
    RPLC,
    SIGNS,
    XFRM,
    Entry,
    Folder,
    Submission,
    query,
    quoted,
    single,
)
from tests.proof.world import ORDER, World, build_world

DE, SS, FOL = "$XDSDocumentEntry", "$XDSSubmissionSet", "$XDSFolder"
Pairs = list[tuple[str, str]]


@pytest.fixture(scope="module")
def world(proof: Proof) -> Iterator[World]:
    yield build_world(proof)


def fill(text: str, world: World) -> str:
    """`A.id` and `A.uid` in braces become what the world has; {p} the patient."""
    text = text.replace("{p}", world.patient)
    return re.sub(r"\{(\w+)\.(id|uid)\}", lambda m: (world.ids if m[2] == "id" else world.uids)[m[1]], text)


def ask(proof: Proof, world: World, name: str, pairs: Pairs, return_type: str = "LeafClass") -> Answer:
    return proof.client.query(query(name, [(key, fill(value, world)) for key, value in pairs], return_type))


def objects(answer: Answer) -> int:
    """How many came back."""
    return sum(len(found) for found in answer.body.iter("{*}RegistryObjectList"))


OK = quoted(APPROVED)
BOTH = quoted(APPROVED, DEPRECATED)
ENTRIES: Pairs = [(f"{DE}PatientId", "'{p}'"), (f"{DE}Status", OK)]
ALL_ENTRIES: Pairs = [(f"{DE}PatientId", "'{p}'"), (f"{DE}Status", BOTH)]
SETS: Pairs = [(f"{SS}PatientId", "'{p}'"), (f"{SS}Status", OK)]
FOLDERS: Pairs = [(f"{FOL}PatientId", "'{p}'"), (f"{FOL}Status", OK)]
ALL: Pairs = [("$patientId", "'{p}'"), (f"{DE}Status", BOTH), (f"{SS}Status", OK), (f"{FOL}Status", OK)]
EVERY_ASSOCIATION = (
    "S1>A S1>B S1>F F>A S1>(F>A) S2>C C-RPLC>A F>C S2>(F>C) S3>D S3>X D-APND>B X-XFRM>B S4>E E-signs>B S5>G S5>B"
)

ANSWERS: list[tuple[str, Pairs, str]] = [
    # 1 FindDocuments: OR within a slot, AND across slots, code and scheme, LIKE, From inclusive, To exclusive
    ("FindDocuments", ENTRIES, "B C D X E"),
    ("FindDocuments", ALL_ENTRIES, "A B C D X E"),
    ("FindDocuments", [ENTRIES[0], (f"{DE}Status", quoted(DEPRECATED))], "A"),
    ("FindDocuments", [(f"{DE}PatientId", "{p}"), ENTRIES[1]], "B C D X E"),
    ("FindDocuments", [*ENTRIES, (f"{DE}ClassCode", quoted("CB^^1.2.3", "CD^^1.2.3"))], "B D"),
    ("FindDocuments", [*ENTRIES, (f"{DE}ClassCode", quoted("CB^^1.2.4"))], ""),
    ("FindDocuments", [*ENTRIES, (f"{DE}ClassCode", quoted("cb^^1.2.3"))], ""),
    ("FindDocuments", [*ENTRIES, (f"{DE}ClassCode", quoted("CB^^1.2.3")), (f"{DE}TypeCode", quoted("TYPE^^1.2.3"))], ""),
    ("FindDocuments", [*ENTRIES, (f"{DE}TypeCode", quoted("TB^^1.2.3"))], "B"),
    ("FindDocuments", [*ENTRIES, (f"{DE}PracticeSettingCode", quoted("PB^^1.2.3"))], "B"),
    ("FindDocuments", [*ENTRIES, (f"{DE}HealthcareFacilityTypeCode", quoted("HB^^1.2.3"))], "B"),
    ("FindDocuments", [*ENTRIES, (f"{DE}FormatCode", quoted("FB^^1.2.3", "FC^^1.2.3"))], "B C"),
    ("FindDocuments", [*ENTRIES, (f"{DE}EventCodeList", quoted("E1^^1.2.3"))], "B C"),
    ("FindDocuments", [*ENTRIES, *((f"{DE}EventCodeList", quoted(f"E{n}^^1.2.3")) for n in (1, 2))], "C"),
    ("FindDocuments", [*ENTRIES, (f"{DE}ConfidentialityCode", quoted("R^^2.16.840.1.113883.5.25"))], "C"),
    ("FindDocuments", [*ENTRIES, *((f"{DE}ConfidentialityCode", quoted(f"{c}^^2.16.840.1.113883.5.25")) for c in "NR")], "C"),
    ("FindDocuments", [*ENTRIES, (f"{DE}AuthorPerson", quoted("^O'Brien%"))], "B"),
    ("FindDocuments", [*ENTRIES, (f"{DE}AuthorPerson", quoted("%Ann_"))], "B C D X E"),
    ("FindDocuments", [*ENTRIES, (f"{DE}AuthorPerson", quoted("%anne"))], ""),
    ("FindDocuments", [*ENTRIES, (f"{DE}CreationTimeFrom", "20240601"), (f"{DE}CreationTimeTo", "20240701")], "C"),
    ("FindDocuments", [*ENTRIES, (f"{DE}CreationTimeTo", "20240102030405")], ""),
    ("FindDocuments", [*ENTRIES, (f"{DE}CreationTimeTo", "20240102030406")], "B"),
    ("FindDocuments", [*ENTRIES, (f"{DE}ServiceStartTimeFrom", "202402")], "C D X E"),
    ("FindDocuments", [*ENTRIES, (f"{DE}ServiceStartTimeFrom", "2024"), (f"{DE}ServiceStopTimeTo", "2025")], "B C D X E"),
    ("FindDocuments", [*ENTRIES, (f"{DE}ServiceStopTimeTo", "202403")], "C D X E"),
    ("FindDocuments", [*ENTRIES, ("$SomethingElse", "'x'")], "B C D X E"),
    # 2 FindSubmissionSets
    ("FindSubmissionSets", SETS, "S1 S2 S3 S4 S5"),
    ("FindSubmissionSets", [*SETS, (f"{SS}SourceId", quoted("1.2.3.1"))], "S1"),
    ("FindSubmissionSets", [*SETS, (f"{SS}SubmissionTimeFrom", "202402"), (f"{SS}SubmissionTimeTo", "20240401")], "S2 S3"),
    ("FindSubmissionSets", [*SETS, (f"{SS}AuthorPerson", "'%Petit%'")], "S2"),
    ("FindSubmissionSets", [*SETS, (f"{SS}ContentType", quoted("OTHER^^1.2.3"))], "S3"),
    # 3 FindFolders
    ("FindFolders", FOLDERS, "F G"),
    ("FindFolders", [*FOLDERS, (f"{FOL}CodeList", quoted("K1^^1.2.3", "K2^^1.2.3"))], "F G"),
    ("FindFolders", [*FOLDERS, (f"{FOL}CodeList", quoted("K1^^1.2.3")), (f"{FOL}CodeList", quoted("K2^^1.2.3"))], "F"),
    ("FindFolders", [*FOLDERS, (f"{FOL}LastUpdateTimeTo", "2020")], ""),
    ("FindFolders", [*FOLDERS, (f"{FOL}LastUpdateTimeFrom", "2020")], "F G"),
    # 4 GetAll: Associations that touch any of what is returned
    ("GetAll", ALL, f"A B C D X E F G S1 S2 S3 S4 S5 {EVERY_ASSOCIATION}"),
    (
        "GetAll",
        [*ALL, (f"{DE}FormatCode", quoted("FB^^1.2.3"))],
        f"B F G S1 S2 S3 S4 S5 {EVERY_ASSOCIATION.replace('C-RPLC>A ', '')}",
    ),
    # 5 to 9: by id
    ("GetDocuments", [(f"{DE}EntryUUID", "('{A.id}','{B.id}')")], "A B"),
    ("GetDocuments", [(f"{DE}UniqueId", "('{A.uid}')")], "A"),
    ("GetDocuments", [(f"{DE}EntryUUID", "('{F.id}')")], ""),
    ("GetFolders", [(f"{FOL}EntryUUID", "('{F.id}')")], "F"),
    ("GetFolders", [(f"{FOL}UniqueId", "('{F.uid}','{G.uid}')")], "F G"),
    ("GetAssociations", [("$uuid", "('{A.id}')")], "S1>A F>A C-RPLC>A"),
    ("GetAssociations", [("$uuid", "('{G.id}','{E.id}')")], "S5>G S4>E E-signs>B"),
    ("GetDocumentsAndAssociations", [(f"{DE}UniqueId", "('{B.uid}')")], "B S1>B S5>B D-APND>B X-XFRM>B E-signs>B"),
    ("GetDocumentsAndAssociations", [(f"{DE}EntryUUID", "('{C.id}')")], "C S2>C C-RPLC>A F>C"),
    ("GetSubmissionSets", [("$uuid", "('{A.id}','{F.id}')")], "S1 S1>A S1>F"),
    ("GetSubmissionSets", [("$uuid", "('{B.id}')")], "S1 S5 S1>B S5>B"),
    # 10, 11: an association only with both its ends
    ("GetSubmissionSetAndContents", [(f"{SS}EntryUUID", "'{S1.id}'")], "S1 A B F S1>A S1>B S1>F F>A S1>(F>A)"),
    ("GetSubmissionSetAndContents", [(f"{SS}UniqueId", "'{S3.uid}'")], "S3 D X S3>D S3>X"),
    (
        "GetSubmissionSetAndContents",
        [(f"{SS}UniqueId", "'{S1.uid}'"), (f"{DE}FormatCode", quoted("FA^^1.2.3"))],
        "S1 A F S1>A S1>F F>A S1>(F>A)",
    ),
    ("GetFolderAndContents", [(f"{FOL}EntryUUID", "'{F.id}'")], "F A C F>A F>C"),
    ("GetFolderAndContents", [(f"{FOL}UniqueId", "'{F.uid}'"), (f"{DE}FormatCode", quoted("FC^^1.2.3"))], "F C F>C"),
    (
        "GetFolderAndContents",
        [(f"{FOL}UniqueId", "'{F.uid}'"), *((f"{DE}ConfidentialityCode", quoted(f"{c}^^2.16.840.1.113883.5.25")) for c in "NV")],
        "F",
    ),
    # 12, 13
    ("GetFoldersForDocument", [(f"{DE}EntryUUID", "'{C.id}'")], "F"),
    ("GetFoldersForDocument", [(f"{DE}UniqueId", "'{B.uid}'")], ""),
    (
        "GetRelatedDocuments",
        [(f"{DE}UniqueId", "'{B.uid}'"), ("$AssociationTypes", quoted(APND, XFRM))],
        "B D X D-APND>B X-XFRM>B",
    ),
    ("GetRelatedDocuments", [(f"{DE}EntryUUID", "'{B.id}'"), ("$AssociationTypes", quoted(SIGNS))], "B E E-signs>B"),
    ("GetRelatedDocuments", [(f"{DE}EntryUUID", "'{C.id}'"), ("$AssociationTypes", quoted(RPLC))], "C A C-RPLC>A"),
    ("GetRelatedDocuments", [(f"{DE}EntryUUID", "'{B.id}'"), ("$AssociationTypes", quoted(RPLC, HAS_MEMBER))], ""),
    # 14 FindDocumentsByReferenceId
    ("FindDocumentsByReferenceId", [*ENTRIES, (f"{DE}ReferenceIdList", quoted(ORDER.format(1)))], "B C"),
    ("FindDocumentsByReferenceId", [*ENTRIES, *((f"{DE}ReferenceIdList", quoted(ORDER.format(n))) for n in (1, 2))], "B"),
    ("FindDocumentsByReferenceId", [*ENTRIES, (f"{DE}ReferenceIdList", quoted("O-2%"))], "B"),
    ("FindDocumentsByReferenceId", [*ENTRIES, (f"{DE}ReferenceIdList", quoted("O-3%"))], ""),
]


@pytest.mark.parametrize(("name", "pairs", "expected"), ANSWERS, ids=[f"{n}-{row[0]}" for n, row in enumerate(ANSWERS)])
def test_answers(proof: Proof, world: World, name: str, pairs: Pairs, expected: str) -> None:
    """LeafClass returns these objects and no others; ObjectRef a reference to each of them."""
    leaf = ask(proof, world, name, pairs)
    assert (leaf.http_status, leaf.status, leaf.errors) == (200, "Success", [])
    assert world.names(leaf) == set(expected.split())
    references = ask(proof, world, name, pairs, "ObjectRef")
    assert references.status == "Success"
    assert len(list(references.body.iter("{*}ObjectRef"))) == len(expected.split())
    assert world.names(references) - {"?"} == {word for word in expected.split() if word in world.ids}


def test_every_query_is_asked() -> None:
    """The fourteen of ITI-18; those of ITI-51 and the extension are asked in `test_multi_patient.py`."""
    elsewhere = {name for name in QUERIES if name.endswith("ForMultiplePatients")} | {"FindDocumentsByTitle"}
    asked = {name for name, _, _ in ANSWERS}
    assert asked == set(QUERIES) - elsewhere and len(asked) == 14


MISSING: dict[str, tuple[Pairs, tuple[str, ...]]] = {
    "FindDocuments": (ENTRIES, (f"{DE}PatientId", f"{DE}Status")),
    "FindSubmissionSets": (SETS, (f"{SS}PatientId", f"{SS}Status")),
    "FindFolders": (FOLDERS, (f"{FOL}PatientId", f"{FOL}Status")),
    "GetAll": (ALL, ("$patientId", f"{DE}Status", f"{SS}Status", f"{FOL}Status")),
    "GetDocuments": ([(f"{DE}EntryUUID", "('{A.id}')")], (f"{DE}EntryUUID",)),
    "GetFolders": ([(f"{FOL}EntryUUID", "('{F.id}')")], (f"{FOL}EntryUUID",)),
    "GetAssociations": ([("$uuid", "('{A.id}')")], ("$uuid",)),
    "GetDocumentsAndAssociations": ([(f"{DE}UniqueId", "('{A.uid}')")], (f"{DE}UniqueId",)),
    "GetSubmissionSets": ([("$uuid", "('{A.id}')")], ("$uuid",)),
    "GetSubmissionSetAndContents": ([(f"{SS}EntryUUID", "'{S1.id}'")], (f"{SS}EntryUUID",)),
    "GetFolderAndContents": ([(f"{FOL}EntryUUID", "'{F.id}'")], (f"{FOL}EntryUUID",)),
    "GetFoldersForDocument": ([(f"{DE}EntryUUID", "'{A.id}'")], (f"{DE}EntryUUID",)),
    "GetRelatedDocuments": (
        [(f"{DE}EntryUUID", "'{A.id}'"), ("$AssociationTypes", quoted(RPLC))],
        (f"{DE}EntryUUID", "$AssociationTypes"),
    ),
    "FindDocumentsByReferenceId": (
        [*ENTRIES, (f"{DE}ReferenceIdList", quoted("O-1%"))],
        (f"{DE}PatientId", f"{DE}Status", f"{DE}ReferenceIdList"),
    ),
}


@pytest.mark.parametrize("name", MISSING)
def test_a_required_parameter_that_is_missing(proof: Proof, world: World, name: str) -> None:
    """Each alone, and all at once: XDSStoredQueryMissingParam, the parameter named, no objects."""
    pairs, required = MISSING[name]
    for parameter in required:
        answer = ask(proof, world, name, [pair for pair in pairs if pair[0] != parameter])
        assert (answer.status, answer.codes) == ("Failure", ["XDSStoredQueryMissingParam"])
        assert parameter in answer.errors[0].context and objects(answer) == 0
    answer = ask(proof, world, name, [])
    assert answer.status == "Failure" and set(answer.codes) == {"XDSStoredQueryMissingParam"}
    assert len(answer.codes) == len(required)


NUMBER: list[tuple[str, Pairs]] = [
    ("FindDocuments", [(f"{DE}PatientId", "('{p}','{p}')"), ENTRIES[1]]),
    ("FindDocuments", [*ENTRIES, (f"{DE}CreationTimeFrom", "(2024,2025)")]),
    ("FindSubmissionSets", [*SETS, (f"{SS}AuthorPerson", "('%a%','%b%')")]),
    ("GetAll", [("$patientId", "('{p}','{p}')"), *ALL[1:]]),
    ("GetDocuments", [(f"{DE}EntryUUID", "('{A.id}')"), (f"{DE}UniqueId", "('{A.uid}')")]),
    ("GetFolders", [(f"{FOL}EntryUUID", "('{F.id}')"), (f"{FOL}UniqueId", "('{F.uid}')")]),
    ("GetDocumentsAndAssociations", [(f"{DE}EntryUUID", "('{A.id}')"), (f"{DE}UniqueId", "('{A.uid}')")]),
    ("GetSubmissionSetAndContents", [(f"{SS}EntryUUID", "'{S1.id}'"), (f"{SS}UniqueId", "'{S1.uid}'")]),
    ("GetSubmissionSetAndContents", [(f"{SS}UniqueId", "('{S1.uid}','{S2.uid}')")]),
    ("GetFolderAndContents", [(f"{FOL}EntryUUID", "'{F.id}'"), (f"{FOL}UniqueId", "'{F.uid}'")]),
    ("GetFolderAndContents", [(f"{FOL}EntryUUID", "('{F.id}','{G.id}')")]),
    ("GetFoldersForDocument", [(f"{DE}EntryUUID", "'{A.id}'"), (f"{DE}UniqueId", "'{A.uid}'")]),
    ("GetFoldersForDocument", [(f"{DE}UniqueId", "('{A.uid}','{B.uid}')")]),
    ("GetRelatedDocuments", [(f"{DE}EntryUUID", "('{A.id}','{B.id}')"), ("$AssociationTypes", quoted(RPLC))]),
]


@pytest.mark.parametrize(("name", "pairs"), NUMBER, ids=[f"{n}-{row[0]}" for n, row in enumerate(NUMBER)])
def test_several_values_where_one_may_stand(proof: Proof, world: World, name: str, pairs: Pairs) -> None:
    """XDSStoredQueryParamNumber: a list for a single-valued parameter, or two parameters that exclude each other."""
    answer = ask(proof, world, name, pairs)
    assert answer.status == "Failure" and "XDSStoredQueryParamNumber" in answer.codes, answer.errors


MALFORMED: list[tuple[str, Pairs]] = [
    ("FindDocuments", [*ENTRIES, (f"{DE}ClassCode", quoted("CB"))]),
    ("FindDocuments", [*ENTRIES, (f"{DE}ClassCode", quoted("CB^^1.2.3", "a^^"))]),
    ("FindDocuments", [*ENTRIES, (f"{DE}ClassCode", "('CB^^1.2.3'")]),
    ("FindDocuments", [*ENTRIES, (f"{DE}CreationTimeFrom", "'not a time'")]),
    ("FindDocuments", [*ENTRIES, (f"{DE}CreationTimeFrom", "20241301")]),
    ("FindFolders", [*FOLDERS, (f"{FOL}CodeList", quoted("K1"))]),
    ("GetDocuments", [(f"{DE}EntryUUID", "()")]),
    ("GetAssociations", [("$uuid", "('{A.id}' '{B.id}')")]),
]


@pytest.mark.parametrize(("name", "pairs"), MALFORMED, ids=[f"{n}-{row[0]}" for n, row in enumerate(MALFORMED)])
def test_a_value_that_cannot_be_read(proof: Proof, world: World, name: str, pairs: Pairs) -> None:
    answer = ask(proof, world, name, pairs)
    assert (answer.status, bool(answer.codes)) == ("Failure", True)
    assert pairs[-1][0] in answer.errors[0].context, "the error names the parameter"


def test_statuses_that_do_not_exist_are_ignored(proof: Proof, world: World) -> None:
    """ITI TF-2: 3.18.4.1.2.3.6: and when none remains, the parameter counts as missing."""
    some = ask(proof, world, "FindDocuments", [ENTRIES[0], (f"{DE}Status", quoted("urn:x:Odd", APPROVED))])
    assert (some.status, world.names(some)) == ("Success", set("BCDXE"))
    none = ask(proof, world, "FindDocuments", [ENTRIES[0], (f"{DE}Status", quoted("urn:x:Odd"))])
    assert (none.status, none.codes) == ("Failure", ["XDSStoredQueryMissingParam"])


def test_a_query_that_does_not_exist(proof: Proof, world: World) -> None:
    answer = ask(proof, world, "00000000-0000-4000-8000-000000000000", ENTRIES)
    assert (answer.status, answer.codes) == ("Failure", ["XDSUnknownStoredQuery"])


@pytest.mark.parametrize("return_type", ["RegistryObject", "RepositoryItem", "LeafClassWithRepositoryItem"])
def test_return_types_of_others(proof: Proof, world: World, return_type: str) -> None:
    """ITI TF-2: 3.18.4.1.2.3.1 knows LeafClass and ObjectRef."""
    answer = ask(proof, world, "FindDocuments", ENTRIES, return_type)
    assert answer.status in ("Failure", "Fault") and not list(answer.body.iter("{*}ExtrinsicObject"))


def test_a_patient_whom_nobody_knows(proof: Proof) -> None:
    """The affinity domain's choice (ITI TF-2: 3.18.4.1.3); ours by default is an empty answer."""
    slots = {f"{DE}PatientId": single(unknown_patient()), f"{DE}Status": OK}
    answer = proof.client.query(query("FindDocuments", slots))
    assert (answer.status, answer.errors, list(answer.body.iter("{*}ExtrinsicObject"))) == ("Success", [], [])


BY_ID = [
    ("GetDocuments", f"{DE}EntryUUID", "entry"),
    ("GetDocumentsAndAssociations", f"{DE}EntryUUID", "entry"),
    ("GetFolders", f"{FOL}EntryUUID", "folder"),
    ("GetSubmissionSets", "$uuid", "entry"),
]


@pytest.mark.parametrize(("name", "parameter", "kind"), BY_ID, ids=[row[0] for row in BY_ID])
def test_two_patients_in_one_answer(proof: Proof, name: str, parameter: str, kind: str) -> None:
    """XDSResultNotSinglePatient with LeafClass and no metadata; ObjectRef is exempt."""
    ids = []
    for _ in range(2):
        entry, folder = Entry(patient := proof.patient()).registered(), Folder(patient)
        assert proof.client.register(Submission(patient, [entry], [folder]).xml()).status == "Success"
        ids.append(entry.id if kind == "entry" else folder.id)
    answer = proof.client.query(query(name, {parameter: quoted(*ids)}))
    assert (answer.status, answer.codes) == ("Failure", ["XDSResultNotSinglePatient"])
    assert objects(answer) == 0
    references = proof.client.query(query(name, {parameter: quoted(*ids)}, "ObjectRef"))
    assert references.status == "Success" and len(list(references.body.iter("{*}ObjectRef"))) >= 2


def test_a_list_over_several_values(proof: Proof, world: World) -> None:
    """A list may be split over Values, each parenthesised (ITI TF-2: 3.18.4.1.2.3.5)."""
    values = [quoted(world.ids["A"]), quoted(world.ids["B"], world.ids["C"])]
    answer = proof.client.query(query("GetDocuments", {f"{DE}EntryUUID": values}))
    assert (answer.status, world.names(answer)) == ("Success", set("ABC"))
