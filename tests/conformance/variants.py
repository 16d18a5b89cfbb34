"""Servers of ours that are wrong in one place, each as somebody could have built it: what `carnet conformance run` must find.

A fault is a patch of a function or two of the product, and leaves everything else as it is. None of this ships: the product
knows of no fault, and `tests.conformance.variants_serve` puts it in before the server starts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
import sqlalchemy as sa

from metadata.rules.rule import Finding, Refused
from metadata.vocabulary import ErrorCode, ResponseStatus
from registry import fragments, iti42, plan, search, search_run, search_sql
from registry.facts import SqlFacts
from registry.search_filters import Filter
from repository import iti41, iti43
from soap import reply, request
from soap.body import retrieve
from soap.body.registry_response import build_registry_response
from soap.call import Answer, Call
from soap.envelope import Envelope, check_headers
from soap.wire import Wire
from tests.model.faults import orphans_left, version_check_skipped

Fault = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True, slots=True)
class Variant:
    """`caught_by`: the case that must fail, what it proves (rule ids) or, where it proves no rule, cites (section)."""

    fault: Fault
    caught_by: str
    names: str
    also: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.fault.__name__


def no_fault(patch: pytest.MonkeyPatch) -> None:
    """Nothing is wrong."""


def second_document_lost(patch: pytest.MonkeyPatch) -> None:
    """Of several documents of an ITI-41 each gets the octets of the first MIME part."""
    parse = iti41.parse_provide

    def parse_provide(call: Call) -> Any:
        provided = parse(call)
        first = provided.documents[0].part if provided.documents else None
        return replace(provided, documents=tuple(replace(one, part=first) for one in provided.documents))

    patch.setattr(iti41, "parse_provide", parse_provide)


def _without(patch: pytest.MonkeyPatch, room: Any, name: str, *rules: str) -> None:
    """`room.name`, a function that gives findings, gives none of these rules."""
    whole = getattr(room, name)

    def check(*arguments: Any) -> list[Finding]:
        return [finding for finding in whole(*arguments) if finding.rule not in rules]

    patch.setattr(room, name, check)


def wrong_hash_accepted(patch: pytest.MonkeyPatch) -> None:
    """The repository does not compare the hash of an entry with the document."""
    _without(patch, iti41, "check_documents", "REP-003")


def status_filter_ignored(patch: pytest.MonkeyPatch) -> None:
    """FindDocuments looks at no $XDSDocumentEntryStatus."""
    anything = Filter(lambda item, name: sa.true(), lambda clause, ids: None)
    filters: Mapping[str, Filter] = {**search.DOCUMENT_FILTERS, "$XDSDocumentEntryStatus": anything}
    patch.setattr(search, "DOCUMENT_FILTERS", filters)


def duplicate_unique_id_accepted(patch: pytest.MonkeyPatch) -> None:
    """A SubmissionSet.uniqueId that comes again is answered Success, and nothing is stored."""
    whole = iti42.RegisterDocumentSet.__call__

    def call(self: iti42.RegisterDocumentSet, request: Call) -> Answer:
        try:
            return whole(self, request)
        except Refused as refused:
            if any(finding.rule != "REG-001" for finding in refused.findings):
                raise
        return Answer([build_registry_response(ResponseStatus.SUCCESS)], ResponseStatus.SUCCESS)

    patch.setattr(iti42.RegisterDocumentSet, "__call__", call)


def must_understand_ignored(patch: pytest.MonkeyPatch) -> None:
    """A header block that nobody here understands is passed over, mustUnderstand or not."""

    def check(envelope: Envelope, understood: frozenset[str], wire: Wire) -> None:
        check_headers(envelope, understood | {str(header.tag) for header in envelope.headers}, wire)

    patch.setattr(request, "check_headers", check)


def relates_to_something_else(patch: pytest.MonkeyPatch) -> None:
    """wsa:RelatesTo of the answers of XDS is a new id in place of the request's MessageID."""
    head = reply.answer_head
    other = "urn:uuid:00000000-0000-4000-8000-000000000001"

    def answer_head(action: str, relates_to: str, soap11: bool = False) -> bytes:
        return head(action, other if action.startswith("urn:ihe:iti:") else relates_to, soap11)

    patch.setattr(reply, "answer_head", answer_head)


def slot_dropped(patch: pytest.MonkeyPatch) -> None:
    """legalAuthenticator is registered but not given back."""
    build = fragments.build_fragment

    def build_fragment(entity: Any, **more: Any) -> bytes:
        raw = replace(entity.raw, slots=tuple(slot for slot in entity.raw.slots if slot.name != "legalAuthenticator"))
        return build(replace(entity, raw=raw), **more)

    patch.setattr(fragments, "build_fragment", build_fragment)


def unknown_patient_accepted(patch: pytest.MonkeyPatch) -> None:
    """Whoever a submission is about is taken as known."""
    load = SqlFacts.load.__func__  # type: ignore[attr-defined]

    def opened(cls: type[SqlFacts], *arguments: Any, open_domain: bool = False, **more: Any) -> SqlFacts:
        facts: SqlFacts = load(cls, *arguments, open_domain=True, **more)
        return facts

    patch.setattr(SqlFacts, "load", classmethod(opened))


def replaced_stays_approved(patch: pytest.MonkeyPatch) -> None:
    """RPLC is registered, and what it replaces keeps its approval."""
    patch.setattr(plan, "_deprecated", lambda replacements, facts: ())


def wrong_error_code(patch: pytest.MonkeyPatch) -> None:
    """An unknown patient is refused with XDSRegistryMetadataError."""
    whole = iti42.check_facts

    def check_facts(*arguments: Any) -> list[Finding]:
        found = whole(*arguments)
        unknown = ErrorCode.XDSUnknownPatientId
        return [replace(f, code=ErrorCode.XDSRegistryMetadataError) if f.code is unknown else f for f in found]

    patch.setattr(iti42, "check_facts", check_facts)


def merged_patient_not_followed(patch: pytest.MonkeyPatch) -> None:
    """What was registered under an id that was merged away is not found under the surviving one."""

    def of_patient(item: Any) -> tuple[sa.FromClause, list[search_sql.Condition]]:
        rows, conditions = search_sql.of_patient(item)
        return rows, [*conditions, search_sql.MEMBER.c.id == search_sql.ROOT.c.id]

    patch.setitem(search_run._PATIENT_WAYS, "patient", of_patient)


def wrong_content_id(patch: pytest.MonkeyPatch) -> None:
    """The xop:Include of an ITI-43 answer points at a part that is not there."""
    quote = retrieve.quote
    patch.setattr(retrieve, "quote", lambda text: quote(text.replace("document", "part")))


def other_bytes(patch: pytest.MonkeyPatch) -> None:
    """A retrieved document has its last octet changed, as a text converter would."""
    build = iti43.build_retrieve_answer

    def changed(chunks: Iterable[bytes]) -> list[bytes]:
        whole = b"".join(chunks)
        return [whole[:-1] + b" "] if whole else []

    def answer(call: Call, status: Any, documents: Sequence[Any], *more: Any) -> Any:
        return build(call, status, [replace(one, chunks=changed(one.chunks)) for one in documents], *more)

    patch.setattr(iti43, "build_retrieve_answer", answer)


def folder_time_as_sent(patch: pytest.MonkeyPatch) -> None:
    """A Folder keeps the lastUpdateTime that its sender wrote."""
    build = fragments.build_fragment

    def build_fragment(entity: Any, *, slots: Mapping[str, Any] | None = None, **more: Any) -> bytes:
        sent = any(slot.name == "lastUpdateTime" for slot in entity.raw.slots)
        return build(entity, slots=None if sent else slots, **more)

    patch.setattr(fragments, "build_fragment", build_fragment)


def refused_is_half_stored(patch: pytest.MonkeyPatch) -> None:
    """Of a submission with one wrong entry the rest is registered: errors are left out with their object."""
    found = iti42.together

    def together(said: Sequence[Finding], more: Sequence[Finding]) -> list[Finding]:
        return [finding for finding in found(said, more) if not finding.rule.startswith("DE-")]

    patch.setattr(iti42, "together", together)


VARIANTS = (
    Variant(second_document_lost, "iti41-two-documents", "REP-001"),
    Variant(wrong_hash_accepted, "rep-003-hash", "REP-003"),
    Variant(status_filter_ignored, "iti18-fd-status", "ITI TF-2: 3.18.4.1.2.3.7.1", ("iti18-world",)),
    Variant(duplicate_unique_id_accepted, "reg-001-set", "REG-001"),
    Variant(must_understand_ignored, "wire-must-understand", "WIRE-060"),
    Variant(relates_to_something_else, "iti43-unknown", "WS-Addressing 1.0 Core: 3.4"),
    Variant(slot_dropped, "sub-valid-attributes", "DE-414"),
    Variant(unknown_patient_accepted, "pat-003-unknown", "PAT-003"),
    Variant(replaced_stays_approved, "as-valid-rplc", "AS-016"),
    Variant(wrong_error_code, "pat-003-unknown", "PAT-003"),
    Variant(merged_patient_not_followed, "iti44-merge", "PAT-004"),
    Variant(wrong_content_id, "iti43-one", "ITI TF-2: 3.43.4.2.2"),
    Variant(other_bytes, "iti43-one", "ITI TF-2: 3.43.4.2.2"),
    Variant(folder_time_as_sent, "fd-valid-updated", "FD-001"),
    Variant(refused_is_half_stored, "de-103-absent", "DE-103"),
    Variant(version_check_skipped, "upd-104-version", "UPD-104"),
    Variant(orphans_left, "rm-008-unheld", "RM-008"),
)
SOUND = Variant(no_fault, "", "")
