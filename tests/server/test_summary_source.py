"""The summary source without a wire: what a registry that fails or refuses makes of it, and the document of odd metadata."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from lxml import etree

from metadata.cda import check_cda
from metadata.model import Author, Code, DocumentEntry, RegistryObject
from metadata.query_table import FIND_DOCUMENTS, GET_DOCUMENTS, QueryDefinition
from metadata.rules.rule import Finding
from metadata.schemes import ON_DEMAND, STABLE
from metadata.vocabulary import AvailabilityStatus, ErrorCode, ResponseStatus
from repository.iti43 import NotProduced
from repository.registry_port import Outcome
from server.summary import SummarySource
from server.summary_cda import build_summary
from server.summary_records import NoAnswer, Records, Slots
from soap.call import Caller

REPOSITORY, PATIENT = "1.2.250.1.999.7", "P1^^^&1.2.250.1.999.1&ISO"
CODE = Code("60591-5", "2.16.840.1.113883.6.1", "Synthèse")
APPROVED = AvailabilityStatus.APPROVED.urn


def entry(kind: str, **attributes: Any) -> DocumentEntry:
    values: dict[str, Any] = {
        "objectType": kind, "uniqueId": "1.2.3", "patientId": PATIENT, "availabilityStatus": APPROVED, "classCode": CODE,
        "typeCode": CODE, "formatCode": CODE, "healthcareFacilityTypeCode": CODE, "practiceSettingCode": CODE,
        "repositoryUniqueId": REPOSITORY, "languageCode": "fr-FR", "mimeType": "text/xml", "version": "1", **attributes,
    }  # fmt: skip
    return DocumentEntry(RegistryObject("ExtrinsicObject", "urn:uuid:1"), values.pop("entryUUID", "urn:uuid:1"), **values)


class Registry:
    """Answers the questions of the source; `fails` are queries that get no answer."""

    def __init__(self, *entries: DocumentEntry, fails: Sequence[QueryDefinition] = ()) -> None:
        self.entries, self.fails = entries, fails

    def __call__(self, query: QueryDefinition, slots: Slots) -> Sequence[DocumentEntry]:
        if query in self.fails:
            raise NoAnswer("the registry does not answer")
        wanted = ON_DEMAND if query is GET_DOCUMENTS else STABLE
        return [e for e in self.entries if e.objectType == wanted]


class Index:
    def find(self, unique_ids: Sequence[str]) -> dict[str, object]:
        return {}


class Refusing:
    """A repository whose registry refuses the snapshot."""

    def provide(self, request: etree._Element, documents: object) -> Outcome:
        finding = Finding("X-001", ErrorCode.XDSRegistryMetadataError, "the registry wants no snapshot")
        return Outcome(ResponseStatus.FAILURE, (finding,))


def source(registry: Registry, provide: Any = None, **options: Any) -> SummarySource:
    return SummarySource(Records(registry), Index(), REPOSITORY, provide, **options)  # type: ignore[arg-type]


def test_what_is_no_on_demand_entry_of_ours() -> None:
    ours = entry(ON_DEMAND)
    assert source(Registry()).produce("1.2.3", Caller()) is None
    assert source(Registry(entry(STABLE))).produce("1.2.3", Caller()) is None
    assert source(Registry(replace(ours, repositoryUniqueId="1.2"))).produce("1.2.3", Caller()) is None
    assert source(Registry(ours, fails=[GET_DOCUMENTS])).produce("1.2.3", Caller()) is None
    assert source(Registry(ours), not_open=lambda patients: dict.fromkeys(patients, "closed")).produce("1.2.3", Caller()) is None
    assert source(Registry(ours)).produce("1.2.3", Caller()) is not None


def test_a_registry_that_falls_silent_or_refuses_the_snapshot() -> None:
    ours = entry(ON_DEMAND)
    with pytest.raises(NotProduced, match="does not answer"):
        source(Registry(ours, fails=[FIND_DOCUMENTS])).produce("1.2.3", Caller())
    with pytest.raises(NotProduced, match="wants no snapshot"):
        source(Registry(ours), Refusing()).produce("1.2.3", Caller())
    with pytest.raises(NotProduced, match="lacks a code"):
        source(Registry(replace(ours, formatCode=None)), Refusing()).produce("1.2.3", Caller())


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"creationTime": "2024", "title": "<&>\"'", "classCode": None, "typeCode": Code("X", "1.2.3")},
        {"creationTime": "20240229235959", "author": (Author(("1^Durand^Anne^^^^^^&1.2&ISO", "seule"), ("CHU^^^^^^^^^1.2",)),)},
        {"sourcePatientInfo": ("PID-5|O'NEIL^Jean Marie~X^Y", "PID-7|1956", "PID-8|U", "PID-3|1"), "title": "é𝔘"},
        {"confidentialityCode": (Code("V", "2.16.840.1.113883.5.25"), Code("UN", "1.2.3"))},
    ],
)
def test_every_summary_is_a_valid_document(attributes: dict[str, Any]) -> None:
    """Whatever the metadata lack or hold, and twice the same."""
    ours = entry(ON_DEMAND)
    listed = [entry(STABLE, entryUUID="urn:uuid:2", **attributes), entry(STABLE, entryUUID="urn:uuid:3")]
    for documents in ([], listed[:1], listed):
        made = build_summary(ours, documents, REPOSITORY, "20240301")
        assert [finding.text() for finding in check_cda(etree.fromstring(made.content))] == []
        assert build_summary(ours, list(reversed(documents)), REPOSITORY, "20240301") == made
        rows = list(etree.fromstring(made.content).iter("{*}tbody"))
        assert sum(map(len, rows)) == len(documents)


def test_what_changes_a_summary_changes_its_id() -> None:
    ours, document = entry(ON_DEMAND), entry(STABLE, entryUUID="urn:uuid:2", creationTime="20240101")
    ids = {
        build_summary(ours, documents, REPOSITORY, "20240301").unique_id
        for documents in ([], [document], [replace(document, title="Autre")], [replace(document, version="2")])
    }
    assert len(ids) == 4 and all(one.startswith("2.25.") and len(one) <= 64 for one in ids)
