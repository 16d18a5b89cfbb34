"""ITI-18 as a Document Consumer meets it: answers, statements, order, unknown patients (ITI TF-2: 3.18.4.1.3)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from lxml import etree

from metadata.query_table import QUERIES
from metadata.rules.rule import Refused
from metadata.vocabulary import Transaction
from registry.codes import CodeBook
from registry.iti18 import QueryOptions, RegistryStoredQuery
from registry.iti42 import RegisterDocumentSet
from registry.search import Search, SearchOptions
from storage.database import Connection, Database
from tests.registry.asking import BOTH, Consumer, request
from tests.registry.submissions import APND, HAS_MEMBER, RPLC, documents, folder, link, new_oid, new_patient, replacement

APPROVED = "('urn:oasis:names:tc:ebxml-regrep:StatusType:Approved')"
STATUS = "$XDSDocumentEntryStatus"


@pytest.fixture(scope="module")
def registry(database: Database) -> RegisterDocumentSet:
    return RegisterDocumentSet(database, CodeBook())


@pytest.fixture(scope="module")
def consumer(database: Database) -> Consumer:
    return Consumer(database)


@pytest.fixture(scope="module")
def record(database: Database, registry: RegisterDocumentSet) -> dict[str, str]:
    """A patient with six documents, one of them replaced, one an addendum, three in a Folder: ids by name."""
    patient = new_patient(database)
    also = (
        folder(patient),
        link(HAS_MEMBER, "SubmissionSet01", "Folder01"),
        *(link(HAS_MEMBER, "Folder01", f"Document0{n}", id=f"Member{n}") for n in (1, 2, 3)),
        *(link(HAS_MEMBER, "SubmissionSet01", f"Member{n}") for n in (1, 2, 3)),
    )
    ids = dict(registry.register(documents(patient, "Document01", "Document02", "Document03", "Document04", also=also)).ids)
    ids["Addendum"] = registry.register(replacement(patient, ids["Document02"], APND)).ids["Document01"]
    ids["Replacement"] = registry.register(replacement(patient, ids["Document01"], RPLC)).ids["Document01"]
    return {**ids, "patient": patient}


def questions(record: dict[str, str]) -> dict[str, dict[str, str]]:
    """Each query of ITI-18 with parameters that find something."""
    patient, one = f"'{record['patient']}'", record["Document02"]
    found = {"$XDSDocumentEntryPatientId": patient, STATUS: BOTH}
    statuses = {f"$XDS{kind}Status": BOTH for kind in ("DocumentEntry", "SubmissionSet", "Folder")}
    return {
        "FindDocuments": found,
        "FindSubmissionSets": {"$XDSSubmissionSetPatientId": patient, "$XDSSubmissionSetStatus": BOTH},
        "FindFolders": {"$XDSFolderPatientId": patient, "$XDSFolderStatus": BOTH},
        "GetAll": {"$patientId": patient, **statuses},
        "GetDocuments": {"$XDSDocumentEntryEntryUUID": f"('{one}')"},
        "GetFolders": {"$XDSFolderEntryUUID": f"('{record['Folder01']}')"},
        "GetAssociations": {"$uuid": f"('{one}')"},
        "GetDocumentsAndAssociations": {"$XDSDocumentEntryEntryUUID": f"('{one}')"},
        "GetSubmissionSets": {"$uuid": f"('{one}')"},
        "GetSubmissionSetAndContents": {"$XDSSubmissionSetEntryUUID": f"'{record['SubmissionSet01']}'"},
        "GetFolderAndContents": {"$XDSFolderEntryUUID": f"'{record['Folder01']}'"},
        "GetFoldersForDocument": {"$XDSDocumentEntryEntryUUID": f"'{one}'"},
        "GetRelatedDocuments": {"$XDSDocumentEntryEntryUUID": f"'{one}'", "$AssociationTypes": f"('{APND}')"},
        "FindDocumentsByReferenceId": {**found, "$XDSDocumentEntryReferenceIdList": "('%')"},
        "FindDocumentsByTitle": {**found, "$XDSDocumentEntryTitle": "('Compte%')"},
    }


# --------------------------------------------------------------------------------------------------------- the answers


def test_every_query_answers_with_well_formed_objects_in_both_forms(consumer: Consumer, record: dict[str, str]) -> None:
    asked = questions(record)
    assert asked.keys() == {q.name for q in QUERIES if Transaction.ITI_18 in q.transactions}
    for name, slots in asked.items():
        whole = consumer.ask(name, slots)
        ids = [e.entryUUID for e in whole.entities()]
        assert len(ids) == len(set(ids))
        assert bool(ids) != (name == "FindDocumentsByReferenceId"), name
        assert sorted(ids) == sorted(consumer.refs(name, slots))


def test_equal_questions_give_equal_bytes(database: Database, consumer: Consumer, record: dict[str, str]) -> None:
    other = Consumer(database)
    for name, slots in questions(record).items():
        for return_type in ("LeafClass", "ObjectRef"):
            assert consumer.octets(name, slots, return_type) == other.octets(name, slots, return_type)


def test_documents_come_in_the_order_of_registration(consumer: Consumer, record: dict[str, str]) -> None:
    found = consumer.refs("FindDocuments", {"$XDSDocumentEntryPatientId": f"'{record['patient']}'", STATUS: BOTH})
    expected = ["Document01", "Document02", "Document03", "Document04", "Addendum", "Replacement"]
    assert found == [record[name] for name in expected]


def test_an_answer_without_results_is_a_success_with_an_empty_list(consumer: Consumer) -> None:
    for name, slots in questions(dict.fromkeys(("Document02", "Folder01", "SubmissionSet01"), f"urn:uuid:{0:032x}") | {
        "patient": "nobody^^^&1.2.250.1.999.1&ISO"
    }).items():  # fmt: skip
        answer = etree.fromstring(consumer.octets(name, slots))
        assert answer.get("status", "").endswith(":Success")
        assert [len(child) for child in answer] == [0]


def test_wildcards_and_quotes_in_parameters_are_data(consumer: Consumer, record: dict[str, str]) -> None:
    for cx in ("%", "' OR 1=1 --", "_"):
        quoted = cx.replace("'", "''")
        slots = {"$XDSDocumentEntryPatientId": f"'{quoted}^^^&1.2.250.1.999.1&ISO'", STATUS: BOTH}
        assert consumer.refs("FindDocuments", slots) == []
    assert consumer.refs("GetDocuments", {"$XDSDocumentEntryUniqueId": "('%')"}) == []


# ------------------------------------------------------------------------------------------------------------ refusals


def test_an_unknown_patient_is_an_error_where_the_domain_says_so(database: Database, record: dict[str, str]) -> None:
    strict = Consumer(database, QueryOptions(unknown_patient_is_error=True))
    nobody = "nobody^^^&1.2.250.1.999.1&ISO"
    with pytest.raises(Refused) as caught:
        strict.refs("FindDocuments", {"$XDSDocumentEntryPatientId": f"'{nobody}'", STATUS: APPROVED})
    (finding,) = caught.value.findings
    assert finding.code.value == "XDSUnknownPatientId"
    assert finding.attribute == "$XDSDocumentEntryPatientId"
    assert f"carnet patient add '{nobody}'" in finding.text()
    known = new_patient(database)
    assert strict.refs("FindDocuments", {"$XDSDocumentEntryPatientId": f"'{known}'", STATUS: APPROVED}) == []
    with pytest.raises(Refused):
        strict.refs("GetAll", {**questions(record)["GetAll"], "$patientId": f"'{nobody}'"})


def test_whole_objects_of_two_patients_are_refused_and_their_ids_are_not(
    database: Database, registry: RegisterDocumentSet, consumer: Consumer
) -> None:
    uuids = [registry.register(documents(new_patient(database), "Document01")).ids["Document01"] for _ in range(2)]
    slots = {"$XDSDocumentEntryEntryUUID": [f"('{uuid}')" for uuid in uuids]}
    with pytest.raises(Refused) as caught:
        consumer.ask("GetDocuments", slots)
    assert [f.code.value for f in caught.value.findings] == ["XDSResultNotSinglePatient"]
    assert sorted(consumer.refs("GetDocuments", slots)) == sorted(uuids)


def test_more_results_than_the_limit_are_refused(database: Database, record: dict[str, str]) -> None:
    limited = RegistryStoredQuery(database, Search(database, options=SearchOptions(leaf_class=5, object_ref=6)))
    slots = {"$XDSDocumentEntryPatientId": f"'{record['patient']}'", STATUS: BOTH}
    with pytest.raises(Refused) as caught:
        limited(request("FindDocuments", slots))
    (finding,) = caught.value.findings
    assert finding.code.value == "XDSTooManyResults"
    assert "ObjectRef" in finding.remedy
    limited(request("FindDocuments", slots, "ObjectRef"))


# ---------------------------------------------------------------------------------------------------------- statements


class Counting:
    """A database that counts the statements of reads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.dialect, self.url = database.dialect, database.url
        self.statements = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    def read(self) -> AbstractContextManager[Connection]:
        return self._counted(self._database.read())

    def snapshot(self) -> AbstractContextManager[Connection]:
        return self._counted(self._database.snapshot())

    def _counted(self, opened: AbstractContextManager[Connection]) -> AbstractContextManager[Connection]:
        @contextmanager
        def entered() -> Iterator[Connection]:
            with opened as connection:
                yield _CountedConnection(connection, self)

        return entered()


class _CountedConnection:
    def __init__(self, connection: Connection, counter: Counting) -> None:
        self._connection, self._counter = connection, counter
        self.dialect = connection.dialect

    def execute(self, *arguments: Any) -> Any:
        self._counter.statements += 1
        return self._connection.execute(*arguments)

    def execute_many(self, *arguments: Any) -> None:
        raise AssertionError("a query writes")


#: ITI-18: at most so many statements, whatever is found; every other query is one statement.
MOST = {
    "GetAll": 4,
    "GetDocumentsAndAssociations": 2,
    "GetSubmissionSets": 2,
    "GetSubmissionSetAndContents": 5,
    "GetFolderAndContents": 3,
    "GetRelatedDocuments": 2,
}


def test_the_number_of_statements_does_not_depend_on_what_is_found(
    database: Database, registry: RegisterDocumentSet, record: dict[str, str]
) -> None:
    counting = Counting(database)
    handler = RegistryStoredQuery(database, Search(counting))
    for name, slots in questions(record).items():
        for return_type in ("LeafClass", "ObjectRef"):
            counting.statements = 0
            handler(request(name, slots, return_type))
            assert counting.statements == MOST.get(name, 1), name


def test_codes_cost_one_statement_once(database: Database, record: dict[str, str]) -> None:
    counting = Counting(database)
    handler = RegistryStoredQuery(database, Search(counting))
    slots = {**questions(record)["FindDocuments"], "$XDSDocumentEntryClassCode": "('10^^1.2.3.4')"}
    counts = []
    for _ in range(2):
        counting.statements = 0
        assert handler(request("FindDocuments", slots)).payload
        counts.append(counting.statements)
    assert counts == [2, 1]


def test_a_big_record_is_answered_whole(database: Database, registry: RegisterDocumentSet, consumer: Consumer) -> None:
    patient = new_patient(database)
    ids = [f"Document{n:03}" for n in range(120)]
    outcome = registry.register(documents(patient, *ids))
    slots = {"$XDSDocumentEntryPatientId": f"'{patient}'", STATUS: APPROVED}
    assert [e.entryUUID for e in consumer.ask("FindDocuments", slots).documentEntries] == [outcome.ids[i] for i in ids]
    contents = consumer.ask("GetSubmissionSetAndContents", {"$XDSSubmissionSetEntryUUID": f"'{outcome.ids['SubmissionSet01']}'"})
    assert (len(contents.documentEntries), len(contents.associations)) == (120, 120)


def test_several_filters_join_by_and(database: Database, registry: RegisterDocumentSet, consumer: Consumer) -> None:
    """`,12,` in a list of codes is not found within `,112,`: every number is looked for with its commas."""
    patient = new_patient(database)
    registry.register(documents(patient, "Document01"))
    base = {"$XDSDocumentEntryPatientId": f"'{patient}'", STATUS: APPROVED}
    hit = {**base, "$XDSDocumentEntryClassCode": "('10^^1.2.3.4')", "$XDSDocumentEntryConfidentialityCode": "('N^^1.2.3.4')"}
    assert len(consumer.refs("FindDocuments", hit)) == 1
    misses = {"ClassCode": "('11^^1.2.3.4')", "ConfidentialityCode": "('N^^1.2.3')", "TypeCode": f"('{new_oid()}^^1')"}
    for name, value in misses.items():
        assert consumer.refs("FindDocuments", {**hit, f"$XDSDocumentEntry{name}": value}) == []


def test_the_same_handler_serves_the_queries_for_several_patients(
    database: Database, registry: RegisterDocumentSet, consumer: Consumer
) -> None:
    """ITI TF-2: 3.51: whole objects of several patients are what is asked for there."""
    patients = [new_patient(database) for _ in range(3)]
    ids = [registry.register(documents(patient, "Document01")).ids["Document01"] for patient in patients]
    asked = ",".join(f"'{patient}'" for patient in patients[:2])
    call = request(
        "FindDocumentsForMultiplePatients",
        {"$XDSDocumentEntryPatientId": f"({asked})", STATUS: APPROVED},
        transaction=Transaction.ITI_51,
    )
    answer = b"".join(piece for piece in consumer.handler(call).payload if isinstance(piece, bytes))
    assert [id.encode() in answer for id in ids] == [True, True, False]
    for patient, shown in zip(patients, (True, True, False), strict=True):
        assert (patient.replace("&", "&amp;").encode() in answer) is shown
