"""ITI-18 and ITI-51 in SQL: one stored query is a fixed small number of statements, whatever it finds.

The patient queries are one statement each (GetAll: four), the others at most five in one snapshot (`registry.search_run`
builds them). Rows come in the order of registration.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from metadata.queries import StoredQuery
from metadata.rules.rule import Finding, Refused
from metadata.vocabulary import ErrorCode
from registry import search_sql as sql
from registry.codes import CodeBook
from registry.search_filters import (
    CONTENT_FILTERS,
    DOCUMENT_FILTERS,
    FOLDER_FILTERS,
    FOLDER_STATUS_FILTER,
    SET_FILTERS,
    SET_STATUS_FILTER,
    STATUS_FILTER,
    TYPE_FILTER,
    code_keys,
)
from registry.search_run import DE, FD, ROOT_ID, SOURCE, SS, TARGET, UUID, Found, Run, found_uuids, uuids_of
from registry.search_visibility import Visibility
from registry.tables import Kind
from storage.database import Database

__all__ = ["Found", "Search", "SearchOptions"]


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """How many objects one answer may hold; more is XDSTooManyResults (ITI TF-2: 3.18.4.1.2.6).

    A DocumentEntry is about 6 kB on the wire, an ObjectRef 70 bytes: `leaf_class` keeps an answer under some 30 MB.
    """

    leaf_class: int = 5_000
    object_ref: int = 50_000


class Search:
    """The stored queries over one database. Safe for use by many threads."""

    def __init__(self, database: Database, codes: CodeBook | None = None, options: SearchOptions | None = None) -> None:
        self._database = database
        self._codes = codes or CodeBook()
        self._options = options or SearchOptions()
        self.statements = sql.Statements()

    def find(self, query: StoredQuery, *, leaf: bool, visibility: Visibility | None = None) -> Found:
        """What the query asks for, as rows.

        Raises Refused with XDSTooManyResults, or with XDSResultNotSinglePatient where a LeafClass answer to a query by
        identifiers would hold objects of several patients (ITI TF-2: 3.18.4.1.2.3.7.5).
        """
        limit = self._options.leaf_class if leaf else self._options.object_ref
        answer = _ANSWERS[query.definition.name]
        reading = self._database.read if answer in _ONE_STATEMENT and visibility is None else self._database.snapshot
        with reading() as connection:
            visibility = visibility and visibility.settled(connection)
            keys = code_keys(query)
            ids = self._codes.known(connection, keys) if keys else {}
            run = Run(connection, self.statements, query, leaf, visibility, limit, ids)
            answer(run)
        if leaf and query.definition.single_patient and len({row[ROOT_ID] for row in run.found.objects()}) > 1:
            raise Refused([_not_single_patient(query)])
        return run.found


def _not_single_patient(query: StoredQuery) -> Finding:
    return Finding(
        rule="SQ-SINGLE-PATIENT",
        code=ErrorCode.XDSResultNotSinglePatient,
        message="the objects asked for belong to more than one patient",
        remedy="Ask with returnType='ObjectRef', or for one patient's objects at a time",
        object=query.definition.name,
        section=query.definition.section,
    )


# --------------------------------------------------------------------------------------------- the queries, one by one


def _by_patient(run: Run, name: str) -> tuple[str, Any]:
    """The way to a person's objects: one id, several, or none at all."""
    ids = run.query.texts(name)
    if not run.query.definition.by_name[name].many:
        return "patient", ids[0]
    return ("patients", list(ids)) if ids else ("anybody", None)


def _find_documents(run: Run) -> None:
    way, values = _by_patient(run, f"{DE}PatientId")
    run.found.entries = run.objects(Kind.DOCUMENT_ENTRY, way, values, DOCUMENT_FILTERS, typed=True)


def _find_submission_sets(run: Run) -> None:
    run.found.sets = run.objects(Kind.SUBMISSION_SET, *_by_patient(run, f"{SS}PatientId"), SET_FILTERS)


def _find_folders(run: Run) -> None:
    way, values = _by_patient(run, f"{FD}PatientId")
    run.found.folders = run.objects(Kind.FOLDER, way, values, FOLDER_FILTERS, shown_by_status=True)


def _get_all(run: Run) -> None:
    way, values = _by_patient(run, "$patientId")
    filters = {**STATUS_FILTER, **CONTENT_FILTERS}
    found = run.found
    found.entries = run.objects(Kind.DOCUMENT_ENTRY, way, values, filters, typed=True)
    found.sets = run.objects(Kind.SUBMISSION_SET, way, values, SET_STATUS_FILTER)
    found.folders = run.objects(Kind.FOLDER, way, values, FOLDER_STATUS_FILTER, shown_by_status=True)
    found.associations = run.touching(found_uuids(found.objects()))


def _get_documents(run: Run) -> None:
    run.found.entries = run.anchors(Kind.DOCUMENT_ENTRY)


def _get_folders(run: Run) -> None:
    run.found.folders = run.anchors(Kind.FOLDER)


def _get_associations(run: Run) -> None:
    run.found.associations = run.touching(uuids_of(run.query.texts("$uuid")))


def _get_documents_and_associations(run: Run) -> None:
    run.found.entries = run.anchors(Kind.DOCUMENT_ENTRY)
    run.found.associations = run.touching(found_uuids(run.found.entries))


def _get_submission_sets(run: Run) -> None:
    links = run.members_by_target(uuids_of(run.query.texts("$uuid")))
    run.found.associations = links  # first, so that the limit counts them
    run.found.sets = run.objects(Kind.SUBMISSION_SET, "uuids", list({row[SOURCE]: None for row in links}))


def _get_submission_set_and_contents(run: Run) -> None:
    found = run.found
    found.sets = run.anchors(Kind.SUBMISSION_SET)
    sets = found_uuids(found.sets)
    if not sets:
        return
    found.entries = run.objects(Kind.DOCUMENT_ENTRY, "sources", sets, CONTENT_FILTERS, typed=True)
    found.folders = run.objects(Kind.FOLDER, "sources", sets)
    ends = found_uuids(found.objects())
    found.associations = run.contained_links(sets, ends)
    contained = found_uuids(found.associations)
    found.associations = found.associations + [row for row in run.members(sets, ends + contained) if row[UUID] not in contained]


def _get_folder_and_contents(run: Run) -> None:
    found = run.found
    found.folders = run.anchors(Kind.FOLDER)
    folders = found_uuids(found.folders)
    if not folders:
        return
    found.entries = run.objects(Kind.DOCUMENT_ENTRY, "sources", folders, CONTENT_FILTERS, typed=True)
    found.associations = run.members(folders, found_uuids(found.entries))


def _get_folders_for_document(run: Run) -> None:
    run.found.folders = run.objects(Kind.FOLDER, "targets", run.anchor_uuids(Kind.DOCUMENT_ENTRY))


def _get_related_documents(run: Run) -> None:
    links = run.touching(run.anchor_uuids(Kind.DOCUMENT_ENTRY), related=True)
    ends = list({row[end]: None for row in links for end in (SOURCE, TARGET)})
    run.found.associations = links
    run.found.entries = run.objects(Kind.DOCUMENT_ENTRY, "uuids", ends, TYPE_FILTER, typed=True)


_ANSWERS: Mapping[str, Callable[[Run], None]] = {
    "FindDocuments": _find_documents,
    "FindDocumentsByReferenceId": _find_documents,
    "FindDocumentsByTitle": _find_documents,
    "FindDocumentsForMultiplePatients": _find_documents,
    "FindDocumentsByReferenceIdForMultiplePatients": _find_documents,
    "FindSubmissionSets": _find_submission_sets,
    "FindFolders": _find_folders,
    "FindFoldersForMultiplePatients": _find_folders,
    "GetAll": _get_all,
    "GetDocuments": _get_documents,
    "GetFolders": _get_folders,
    "GetAssociations": _get_associations,
    "GetDocumentsAndAssociations": _get_documents_and_associations,
    "GetSubmissionSets": _get_submission_sets,
    "GetSubmissionSetAndContents": _get_submission_set_and_contents,
    "GetFolderAndContents": _get_folder_and_contents,
    "GetFoldersForDocument": _get_folders_for_document,
    "GetRelatedDocuments": _get_related_documents,
}
#: These need no snapshot: one statement sees one moment by itself.
_ONE_STATEMENT = frozenset(
    {_find_documents, _find_submission_sets, _find_folders, _get_documents, _get_folders, _get_associations}
)
