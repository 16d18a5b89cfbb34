"""ITI-18 Registry Stored Query, and ITI-51 in the same way: a request becomes rows, the rows become joined bytes.

(ITI TF-2: 3.18, 3.51.) Nothing is built that was built when the object was registered: a LeafClass answer is the stored
fragments, inflated, with the patient id put in that stands for the person today.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from metadata.fragments import build_association, with_patient
from metadata.queries import LEAF_CLASS, StoredQuery, read_query
from metadata.rules.rule import Finding, Refused
from metadata.vocabulary import AssociationType, AvailabilityStatus, ErrorCode, ResponseStatus, Transaction
from registry import patients
from registry.fragments import canonical, unpack
from registry.identifiers import uuid_text
from registry.search import Found, Search
from registry.search_run import CONTENT, LABEL, ROOT_CX, SOURCE, STATUS, TARGET, TYPE, UUID
from registry.search_visibility import Visibility
from registry.tables import Label, PatientState
from soap.body.adhoc_query import build_adhoc_query_response, build_object_ref, parse_adhoc_query
from soap.call import Answer, Call
from storage.database import Database, Row

_TYPES = {one.db: one.urn for one in AssociationType}
_STATUSES = {one.db: one.urn for one in AvailabilityStatus}
_LABELS = {Label.ORIGINAL.value: "Original", Label.REFERENCE.value: "Reference"}

#: What a caller may not learn of: asked once for each call, with what the query asks for and whether it wants objects whole
#: (LeafClass); None hides nothing.
VisibilityOf = Callable[[StoredQuery, bool], Visibility | None]


@dataclass(frozen=True, slots=True)
class QueryOptions:
    """How queries are answered.

    `unknown_patient_is_error`: a patient id that nobody has announced is answered XDSUnknownPatientId instead of an empty
    list; ITI TF-2: 3.18.4.1.3 leaves the choice to the affinity domain. `explain_base` + rule id is the address of the page
    that explains a rule, when there is one. `extensions`: queries that are not of the Technical Framework are answered as well.
    `typed_patient_ids`: a patient id may carry its type (CX-5), which does not count.
    """

    unknown_patient_is_error: bool = False
    explain_base: str = ""
    extensions: bool = True
    typed_patient_ids: bool = False


class RegistryStoredQuery:
    """The handler of ITI-18 and of ITI-51. One object serves all threads."""

    def __init__(
        self,
        database: Database,
        search: Search,
        options: QueryOptions | None = None,
        visibility_of: VisibilityOf | None = None,
    ) -> None:
        self._database = database
        self._search = search
        self._options = options or QueryOptions()
        self._visibility_of = visibility_of

    def __call__(self, call: Call) -> Answer:
        """query:AdhocQueryRequest in, query:AdhocQueryResponse out. Raises Refused with every finding.

        AdhocQuery/@home is accepted and not looked at: this registry is one community (ITI TF-2: 3.18.4.1.3).
        """
        request = call.asked = parse_adhoc_query(call.body)
        options = self._options
        query = read_query(
            request.id,
            request.slots,
            call.transaction,
            return_type=request.returnType,
            extensions=options.extensions,
            typed_patient_ids=options.typed_patient_ids,
        )
        leaf = request.returnType == LEAF_CLASS
        visibility = self._visibility_of(query, leaf) if self._visibility_of else None
        found = self._search.find(query, leaf=leaf, visibility=visibility)
        if call.transaction is Transaction.ITI_51:
            found.leave_out_closed()
        elif found.closed() or not len(found):
            self._refuse_closed(query, found)
        if self._options.unknown_patient_is_error and not len(found):
            self._refuse_unknown(query)
        status = ResponseStatus.SUCCESS
        payload = build_adhoc_query_response(status, list(objects_of(found)), (), self._options.explain_base)
        return Answer(payload, status, canonical=_canonical(found))

    def _refuse_closed(self, query: StoredQuery, found: Found) -> None:
        """A closed record is read by nobody: the answer says so, and not that there is nothing."""
        closed = dict.fromkeys((cx, state) for cx, state in found.closed())
        asked = query.patient_ids
        if asked and not closed:
            with self._database.read() as connection:
                rows = patients.find(connection, asked).values()
            closed = dict.fromkeys(
                (row.cx, row.cluster_state) for row in rows
                if row.state is not PatientState.SUBSUMED and row.cluster_state is not PatientState.ACTIVE
            )  # fmt: skip
        if closed:
            raise Refused([_closed(query, cx, state) for cx, state in closed])

    def _refuse_unknown(self, query: StoredQuery) -> None:
        """Asked only where nothing was found: an answer with objects has proved its patient."""
        asked = query.patient_ids
        if not asked:
            return
        with self._database.read() as connection:
            known = patients.find(connection, asked)
        findings = [_unknown_patient(query, cx) for cx in asked if cx not in known]
        if findings:
            raise Refused(findings)


def _closed(query: StoredQuery, cx: str, state: PatientState) -> Finding:
    return Finding(
        rule="SQ-CLOSED",
        code=ErrorCode.XDSRegistryError,
        message=f"the record of the patient {cx} is {state.name.lower()}",
        remedy="Ask the operator of the registry",
        object=query.definition.name,
        section="ITI TF-2: 3.18.4.1.3",
    )


def _unknown_patient(query: StoredQuery, cx: str) -> Finding:
    return Finding(
        rule="SQ-UNKNOWN-PATIENT",
        code=ErrorCode.XDSUnknownPatientId,
        message=f"the patient id {cx} is not known to this registry",
        remedy=f"Ask for another patient, or make this one known: carnet patient add '{cx}' --data DIR",
        object=query.definition.name,
        attribute=next(name for name in query.parameters if name.lower().endswith("patientid")),
        value=cx,
        section="ITI TF-2: 3.18.4.1.3",
    )


def objects_of(found: Found) -> Iterator[bytes]:
    """The finished children of rim:RegistryObjectList, in the order of the answer: equal results give equal bytes."""
    if not found.leaf:
        for row in found.objects():
            yield build_object_ref(uuid_text(row[UUID]), row[CONTENT] or "")
        for row in found.associations:
            yield build_object_ref(uuid_text(row[UUID]))
        return
    for row in found.objects():
        yield with_patient(unpack(row[CONTENT]), row[ROOT_CX])
    for row in found.associations:
        yield association_fragment(row)


def _canonical(found: Found) -> bool:
    """Whether every object is written in canonical form. Those that an earlier version registered are not."""
    if not found.leaf:
        return True
    packed = (row[CONTENT] for rows in (found.objects(), found.associations) for row in rows)
    return all(canonical(one) for one in packed if one is not None)


def association_fragment(row: Row) -> bytes:
    """An association row as ebRIM: its stored fragment, or one made of its columns where they say all."""
    if row[CONTENT] is not None:
        return unpack(row[CONTENT])
    return build_association(
        uuid_text(row[UUID]),
        _TYPES[row[TYPE]],
        uuid_text(row[SOURCE]),
        uuid_text(row[TARGET]),
        status=_STATUSES[row[STATUS]],
        slots={"SubmissionSetStatus": (_LABELS[row[LABEL]],)} if row[LABEL] else None,
    )
