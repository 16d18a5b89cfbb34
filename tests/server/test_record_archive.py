"""A record that changes its host: export, import, and the same octets for the same questions (docs/record-archive.md)."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from metadata.rules.rule import Refused
from registry.codes import CodeBook
from registry.iti42 import RegisterDocumentSet
from registry.patient_identity import IdentityFeed
from registry.record import Event, Records
from registry.rights import Right, Rights, Writer
from registry.tables import document_entry, entry_writer
from repository.delivery import Delivery
from repository.index import Deposit
from server import wiring
from server.preparation import prepare
from server.record_archive import ArchiveError, export_record, import_record
from server.settings import load
from server.wiring import Kit
from tests.conftest import new_postgres_database
from tests.registry.asking import BOTH, Consumer
from tests.registry.submissions import (
    APND,
    HAS_MEMBER,
    RPLC,
    entry,
    folder,
    link,
    new_oid,
    new_patient,
    original,
    submission,
    submission_set,
)
from tests.repository.received import row, small, staged

LARGE = 100_000


@contextlib.contextmanager
def open_store(folder: Path, database: str = "") -> Iterator[Kit]:
    settings = load(options={"store.data": str(folder), "store.database": database or None, "store.headroom": 0}, environ={})
    prepare(settings)
    kit = wiring.open_kit(settings)
    try:
        yield kit
    finally:
        kit.close()


@pytest.fixture(
    params=[
        ("sqlite", "sqlite"),
        pytest.param(("postgresql", "sqlite"), marks=pytest.mark.postgres),
        pytest.param(("sqlite", "postgresql"), marks=pytest.mark.postgres),
    ]
)
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Kit, Kit]]:
    with contextlib.ExitStack() as ending:
        opened = []
        for name, kind in zip(("here", "there"), request.param, strict=True):
            url = ending.enter_context(new_postgres_database()) if kind == "postgresql" else ""
            opened.append(ending.enter_context(open_store(tmp_path / name, url)))
        yield opened[0], opened[1]


class Made:
    """A record as a life makes it."""

    def __init__(self, kit: Kit, rounds: int, per_round: int = 5) -> None:
        self.kit = kit
        self.registry = RegisterDocumentSet(kit.database, CodeBook())
        self.cx, self.old = new_patient(kit.database), new_patient(kit.database)
        self.alias = f"{new_oid()}^^^&1.2.250.1.999.2&ISO"
        IdentityFeed(kit.database).add([self.cx, self.alias])
        self.contents: dict[str, bytes] = {}
        self.uuids: list[str] = []
        self.folders: list[str] = []
        for number in range(rounds):
            self._submit(number, (self.cx, self.alias, self.old)[number % 3], per_round)
        IdentityFeed(kit.database).merge(self.old, self.cx)

    def _submit(self, number: int, cx: str, count: int) -> None:
        ids = [f"Document{n}" for n in range(count)]
        contents = {new_oid(): f"{number} {n} {cx} é".encode() for n in range(count)}
        if number == 0:
            contents[next(iter(contents))] = os.urandom(LARGE)
        objects = [submission_set(cx)]
        for id, (unique_id, content) in zip(ids, contents.items(), strict=True):
            sha1 = hashlib.sha1(content, usedforsecurity=False).hexdigest()
            objects.append(entry(cx, id, unique_id=unique_id, hash=sha1, size=str(len(content)), class_code=f"{number % 4}"))
            objects.append(original(id))
        objects += [folder(cx), link(HAS_MEMBER, "SubmissionSet01", "Folder01")]
        objects += [link(HAS_MEMBER, "Folder01", "Document0", id="in"), link(HAS_MEMBER, "SubmissionSet01", "in")]
        objects.append(link(APND, "Document1", "Document2"))
        if number >= 3:  # the same identifier's first document of three rounds ago
            objects.append(link(RPLC, "Document3", self.uuids[-3 * count]))
        small_ones = {k: v for k, v in contents.items() if len(v) < LARGE}
        deposit = small(small_ones)
        for unique_id, content in contents.items():
            if unique_id not in small_ones:
                self.kit.store.keep(staged(self.kit.store, content))
                deposit = Deposit((*deposit.documents, row(unique_id, content)), deposit.blobs)
        outcome = self.registry.register(submission(*objects), companion=deposit.store)
        self.uuids += [outcome.ids[id] for id in ids]
        self.folders.append(outcome.ids["Folder01"])
        self.contents |= contents


def answers(kit: Kit, made: Made) -> list[bytes | str]:
    """Every kind of question, in both forms, about every identifier."""
    consumer = Consumer(kit.database)
    several = "(" + ",".join(f"'{uuid}'" for uuid in made.uuids[::7]) + ")"
    folders = "(" + ",".join(f"'{uuid}'" for uuid in made.folders[:5]) + ")"
    one, held = f"'{made.uuids[5]}'", f"'{made.folders[-1]}'"
    statuses = {f"$XDS{kind}Status": BOTH for kind in ("DocumentEntry", "SubmissionSet", "Folder")}
    asked: list[tuple[str, dict[str, str]]] = []
    for cx in (made.cx, made.alias, made.old):
        asked += [
            ("FindDocuments", {"$XDSDocumentEntryPatientId": f"'{cx}'", "$XDSDocumentEntryStatus": BOTH}),
            ("FindDocuments", {
                "$XDSDocumentEntryPatientId": f"'{cx}'", "$XDSDocumentEntryStatus": BOTH,
                "$XDSDocumentEntryClassCode": "('1^^1.2.3.4')", "$MetadataLevel": "2",
            }),
            ("FindSubmissionSets", {"$XDSSubmissionSetPatientId": f"'{cx}'", "$XDSSubmissionSetStatus": BOTH}),
            ("FindFolders", {"$XDSFolderPatientId": f"'{cx}'", "$XDSFolderStatus": BOTH}),
            ("GetAll", {"$patientId": f"'{cx}'", **statuses}),
        ]  # fmt: skip
    asked += [
        ("GetDocuments", {"$XDSDocumentEntryEntryUUID": several}),
        ("GetFolders", {"$XDSFolderEntryUUID": folders}),
        ("GetAssociations", {"$uuid": several}),
        ("GetDocumentsAndAssociations", {"$XDSDocumentEntryEntryUUID": several}),
        ("GetSubmissionSets", {"$uuid": several}),
        ("GetFolderAndContents", {"$XDSFolderEntryUUID": held}),
        ("GetFoldersForDocument", {"$XDSDocumentEntryEntryUUID": one}),
        ("GetRelatedDocuments", {"$XDSDocumentEntryEntryUUID": one, "$AssociationTypes": f"('{APND}','{RPLC}')"}),
    ]
    found: list[bytes | str] = []
    for name, slots in asked:
        for form in ("LeafClass", "ObjectRef"):
            try:
                found.append(consumer.octets(name, slots, form))
            except Refused as refused:
                found.append(str(refused))
    return found


def test_every_question_is_answered_alike_on_both_sides(stores: tuple[Kit, Kit], tmp_path: Path) -> None:
    here, there = stores
    made = Made(here, 60)
    assert len(made.contents) == 300
    new_patient(there.database)  # the rows there have other numbers
    Rights(here.database).give(made.cx, Right.TREATING, "899900000001")
    with here.database.read() as connection:
        (uuid,) = connection.execute(_ONE_ENTRY)[0]
    written = {"lid": uuid, "role": int(Writer.PERSON), "who": "899900000001"}
    here.database.write(lambda connection: connection.execute_many(_WRITE, [written]))
    archive = tmp_path / "record.zip"
    exported = export_record(here, made.alias, archive)
    assert (exported.identifiers, exported.documents) == (3, 300)
    imported = import_record(there, archive)
    assert imported == exported
    before, after = answers(here, made), answers(there, made)
    assert [len(a) for a in before] == [len(a) for a in after]
    assert before == after
    assert sum(len(a) > 1000 for a in before) > 30, "the questions find something"
    assert contents_of(there, made) == made.contents
    rights = [Rights(kit.database).listed(made.cx) for kit in stores]
    assert rights[0] == rights[1] and len(rights[0]) == 2
    with there.database.read() as connection:
        assert [(bytes(lid), role, who) for lid, role, who in connection.execute(_WRITERS)] == [tuple(written.values())]
    assert [told.event for told in Records(there.database).events(made.cx)] == [Event.EXPORTED, Event.IMPORTED]
    registry = RegisterDocumentSet(there.database, CodeBook())
    registry.register(submission(submission_set(made.alias), entry(made.alias), original()))
    again = Records(there.database)
    again.close(made.cx)
    again.reopen(made.cx)


_ONE_ENTRY = sa.select(document_entry.c.uuid).where(document_entry.c.lid.is_(None)).order_by(document_entry.c.id).limit(1)
_WRITE, _WRITERS = sa.insert(entry_writer), sa.select(entry_writer)


def contents_of(kit: Kit, made: Made) -> dict[str, bytes]:
    stored = kit.index.find(made.contents)
    delivery = Delivery(kit.store, kit.index, list(stored.values()), 1 << 20)
    return {unique_id: b"".join(delivery.chunks(document)) for unique_id, document in stored.items()}


def test_an_import_over_something_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    archive = tmp_path / "record.zip"
    with open_store(tmp_path / "here") as here, open_store(tmp_path / "there") as there:
        made = Made(here, 3, 4)
        export_record(here, made.cx, archive)
        with pytest.raises(Refused, match="has a record here already"):
            import_record(here, archive)
        IdentityFeed(there.database).add([made.cx])  # known, and empty: the record may come
        import_record(there, archive)
        assert answers(there, made) == answers(here, made)
        with pytest.raises(Refused, match="has a record here already"):
            import_record(there, archive)
    with open_store(tmp_path / "taken") as taken:
        unique_id = next(iter(made.contents))
        taken.database.write(small({unique_id: b"something else"}).store)
        with pytest.raises(Refused, match="REC-008"):
            import_record(taken, archive)
        assert Consumer(taken.database).everything(made.cx).documentEntries == ()
        assert list((tmp_path / "taken" / "tmp").iterdir()) == []


def _changed(source: Path, goal: Path, change: Callable[[dict[str, bytes]], None]) -> None:
    with zipfile.ZipFile(source) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(goal, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def _document(members: dict[str, bytes]) -> str:
    return next(name for name in members if name.startswith("documents/"))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda m: m.update({_document(m): b"other"}), "does not agree"),
        (lambda m: m.update({"record.json": m["record.json"] + b" "}), "does not agree"),
        (lambda m: m.pop(_document(m)), "does not list"),
        (lambda m: m.update({"more": b""}), "does not list"),
        (lambda m: m.pop("manifest.json"), "no archive"),
        (lambda m: m.update({"manifest.json": b"[]"}), "no archive"),
        (lambda m: m.update({"manifest.json": m["manifest.json"].replace(b'"version": 1', b'"version": 2')}), "is read here"),
    ],
)
def test_a_damaged_archive_is_refused(tmp_path: Path, change: Callable[[dict[str, bytes]], None], word: str) -> None:
    archive, damaged = tmp_path / "record.zip", tmp_path / "damaged.zip"
    with open_store(tmp_path / "here") as here, open_store(tmp_path / "there") as there:
        made = Made(here, 1, 4)
        export_record(here, made.cx, archive)
        _changed(archive, damaged, change)
        with pytest.raises(ArchiveError, match=word):
            import_record(there, damaged)
        assert Records(there.database).not_open([made.cx]) == {}
        assert list((tmp_path / "there" / "tmp").iterdir()) == []
        with pytest.raises(ArchiveError, match="no archive"):
            (tmp_path / "text").write_text("text")
            import_record(there, tmp_path / "text")


def test_the_archive_is_as_its_page_says(tmp_path: Path) -> None:
    with open_store(tmp_path / "here") as here:
        made = Made(here, 1, 4)
        export_record(here, made.cx, tmp_path / "record.zip")
        with pytest.raises(FileExistsError):
            export_record(here, made.cx, tmp_path / "record.zip")
    with zipfile.ZipFile(tmp_path / "record.zip") as archive:
        manifest, record = (json.loads(archive.read(name)) for name in ("manifest.json", "record.json"))
        assert all(hashlib.sha256(archive.read(name)).hexdigest() == digest for name, digest in manifest["sha256"].items())
    assert (manifest["format"], manifest["version"]) == ("carnet-record-archive", 1)
    assert set(record) == {"identifiers", "objects", "documents", "events", "traces", "rights", "writers", "demographics"}
    assert {o["object"] for o in record["objects"]} == {"document_entry", "submission_set", "folder", "association"}
