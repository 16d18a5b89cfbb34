"""WIRE-061 and WIRE-065: identifiers with and without their urn: prefix, and any number of documents, at the real ITI-43."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from repository.content import Alarms, FileStore
from repository.index import DocumentIndex
from repository.iti41 import RepositoryOptions
from repository.iti43 import RetrieveDocumentSet
from repository.tables import METADATA
from soap.wire import Wire
from storage.database import open_database
from tests.repository.received import ROOMY, small
from tests.soap.messages import ITI_43, RETRIEVE, Got, Recorder, envelope, package

REQUEST = RETRIEVE[RETRIEVE.index("<xds:DocumentRequest>") : RETRIEVE.index("</xds:Retrieve")]


class Repository:
    """A repository 1.2.3 that holds 1.2.3.4 and, under its urn, urn:oid:1.2.3.5; in either profile."""

    def __init__(self, folder: Path) -> None:
        url = f"sqlite:///{folder / 'store.sqlite'}"
        engine = sa.create_engine(url)
        METADATA.create_all(engine)
        engine.dispose()
        self.database = open_database(url)
        store = FileStore(folder / "data", ROOMY, Alarms())
        index = DocumentIndex(self.database)
        self.database.write(small({"1.2.3.4": b"four", "urn:oid:1.2.3.5": b"five"}).store)
        handler = RetrieveDocumentSet(store, index, RepositoryOptions("1.2.3", home_community_id="urn:oid:9.9"))
        self.recorders = {strict: Recorder(folder, Wire(strict=strict)) for strict in (False, True)}
        for recorder in self.recorders.values():
            recorder.instead = handler

    def ask(self, *changes: tuple[str, str], strict: bool = False, times: int = 1) -> Got:
        body = RETRIEVE.replace(REQUEST, REQUEST * times)
        for old, new in changes:
            assert old in body
            body = body.replace(old, new)
        return self.recorders[strict].post(package(envelope(body, ITI_43), None))


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    repository = Repository(tmp_path)
    yield repository
    repository.database.close()


@pytest.mark.parametrize(
    "change",
    [
        (">1.2.3<", ">urn:oid:1.2.3<"),
        (">1.2.3.4<", ">urn:oid:1.2.3.4<"),
        (">1.2.3.4<", ">1.2.3.5<"),
        ("<xds:RepositoryUniqueId>", "<xds:HomeCommunityId>9.9</xds:HomeCommunityId><xds:RepositoryUniqueId>"),
    ],
)
def test_prefix_of_an_identifier(repository: Repository, change: tuple[str, str]) -> None:
    """WIRE-061: found all the same, with a note; the strict profile refuses."""
    got = repository.ask(change)
    assert (got.status, got.notes) == (200, {"WIRE-061"}), got.reason
    assert b"four" in got.body or b"five" in got.body
    refused = repository.ask(change, strict=True)
    assert (refused.status, refused.rule) == (400, "WIRE-061")


def test_an_identifier_as_it_is_stored(repository: Repository) -> None:
    for strict in (False, True):
        assert not repository.ask(strict=strict).notes
        got = repository.ask((">1.2.3.4<", ">urn:oid:1.2.3.5<"), strict=strict)
        assert (got.status, got.notes) == (200, set())
        assert got.envelope.xpath("string(//*[local-name()='DocumentUniqueId'])") == "urn:oid:1.2.3.5"


@pytest.mark.parametrize("times", [1, 2, 9, 200])
def test_any_number_of_documents(repository: Repository, times: int) -> None:
    """WIRE-065."""
    got = repository.ask(times=times)
    assert got.envelope.xpath("count(//*[local-name()='DocumentResponse'])") == times
    assert got.body.count(b"\r\n\r\nfour\r\n") == times
