"""The end of a record: two steps, nothing of its content left anywhere, the evidence kept (`carnet patient destroy`)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from metadata.rules.rule import Refused
from registry.codes import CodeBook
from registry.iti42 import RegisterDocumentSet
from registry.patient_identity import IdentityFeed
from registry.record import Event, Records
from server.__main__ import program
from server.record_destruction import destroy_record
from server.wiring import Kit
from storage.database import METADATA
from storage.errors import StorageUnavailable
from tests.registry.asking import BOTH, Consumer
from tests.registry.submissions import (
    documents,
    entry,
    new_oid,
    new_patient,
    original,
    register_one,
    submission,
    submission_set,
)
from tests.repository.received import small
from tests.server.exchange import PATIENT, package
from tests.server.test_record_archive import Made, contents_of, open_store
from tests.server_process import ServerProcess


def rule_of(act: object) -> str:
    with pytest.raises(Refused) as caught:
        act()  # type: ignore[operator]
    return caught.value.findings[0].rule


def rows(kit: Kit) -> dict[str, int]:
    """How many rows each table has."""
    engine = sa.create_engine(kit.database.url)
    with engine.connect() as connection:
        return {
            name: connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            for name, table in METADATA.tables.items()
        }


def test_two_steps_and_nothing_before_them(tmp_path: Path) -> None:
    with open_store(tmp_path / "data") as kit:
        records, made = Records(kit.database), Made(kit, 1, 4)
        assert rule_of(lambda: records.ask_destruction(made.cx)) == "REC-003", "it is open"
        assert rule_of(lambda: destroy_record(kit, made.cx, "x")) == "REC-003"
        records.close(made.cx)
        assert rule_of(lambda: records.ask_destruction(made.cx)) == "REC-005", "it is retained"
        assert rule_of(lambda: destroy_record(kit, made.cx, "x")) == "REC-006"
        word = records.ask_destruction(made.cx, on_request=True)
        assert rule_of(lambda: destroy_record(kit, made.cx, "other")) == "REC-006"
        records.reopen(made.cx)
        assert contents_of(kit, made) == made.contents, "until then everything is there"
        records.close(made.cx)
        assert rule_of(lambda: destroy_record(kit, made.cx, word)) == "REC-006", "reopening has ended it"
        assert Records(kit.database, 0).ask_destruction(made.cx), "the retention is over"


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def test_nothing_is_left_but_the_evidence(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue("postgres_url") if kind == "postgresql" else ""
    with open_store(tmp_path / "data", url) as kit:
        other = new_patient(kit.database)
        kept = register_one(RegisterDocumentSet(kit.database, CodeBook()), other)
        before = rows(kit)
        made, records = Made(kit, 3, 4), Records(kit.database)
        records.close(made.alias)
        done = destroy_record(kit, made.cx, records.ask_destruction(made.cx, "the patient wrote", on_request=True))
        assert (done.objects["document_entry"], done.objects["submission_set"], done.objects["folder"]) == (12, 3, 3)
        assert done.documents == len(made.contents) == 12
        after = rows(kit)
        gone = ("document_entry", "submission_set", "folder", "association", "object", "unique_identifier", "removed", "blob")
        assert {name: after[name] for name in gone} == {name: before[name] for name in gone}
        assert kit.index.find(made.contents) == {}
        assert [path for path in (tmp_path / "data" / "blobs").rglob("*") if path.is_file()] == []
        if kind == "sqlite":
            for file in (tmp_path / "data").glob("carnet.sqlite*"):
                stored = file.read_bytes()
                assert not any(content in stored for content in made.contents.values() if len(content) < 1000), file
        told = records.events(made.alias)
        assert [one.event for one in told] == [Event.CLOSED, Event.DESTRUCTION_ASKED, Event.DESTROYED]
        assert told[1].detail["reason"] == "the patient wrote" and told[2].detail["document_entry"] == 12
        assert Consumer(kit.database).entry(kept).patientId == other, "others are as they were"
        refused_for_ever(kit, made, records)


def refused_for_ever(kit: Kit, made: Made, records: Records) -> None:
    feed, asked = IdentityFeed(kit.database), {"$XDSDocumentEntryPatientId": f"'{made.cx}'", "$XDSDocumentEntryStatus": BOTH}
    assert rule_of(lambda: Consumer(kit.database).octets("FindDocuments", asked)) == "SQ-CLOSED"
    assert rule_of(lambda: made.registry.register(documents(made.alias, "Document01"))) == "PAT-009"
    assert rule_of(lambda: feed.add([made.cx])) == "PIF-006"
    assert rule_of(lambda: records.reopen(made.cx)) == "REC-003"
    assert rule_of(lambda: records.ask_destruction(made.cx, on_request=True)) == "REC-003"


def test_a_document_that_another_record_describes_stays(tmp_path: Path) -> None:
    with open_store(tmp_path / "data") as kit:
        registry, records = RegisterDocumentSet(kit.database, CodeBook()), Records(kit.database)
        one, other, shared = new_patient(kit.database), new_patient(kit.database), new_oid()
        for cx in (one, other):
            deposit = small({shared: b"of both"})
            message = submission(submission_set(cx), entry(cx, unique_id=shared), original())
            registry.register(message, companion=deposit.store)
        records.close(one)
        assert destroy_record(kit, one, records.ask_destruction(one, on_request=True)).documents == 0
        assert kit.index.find([shared]).keys() == {shared}


def test_a_death_on_the_way_can_be_made_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_store(tmp_path / "data") as kit:
        made, records = Made(kit, 1, 4), Records(kit.database)
        records.close(made.cx)
        word = records.ask_destruction(made.cx, on_request=True)

        def dies(*_: object) -> None:
            raise StorageUnavailable("gone")

        with monkeypatch.context() as patch:
            patch.setattr("server.record_destruction.delete_rows", dies)
            with pytest.raises(StorageUnavailable):
                destroy_record(kit, made.cx, word)
        assert rule_of(lambda: records.reopen(made.cx)) == "REC-003"
        assert destroy_record(kit, made.cx, word).objects["document_entry"] == 4
        assert rule_of(lambda: destroy_record(kit, made.cx, word)) == "REC-006", "it is over"


def patient(data: Path, *arguments: str) -> Result:
    return CliRunner().invoke(program, ["patient", *arguments, "--data", str(data)])


def test_the_command_beside_a_running_server(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with ServerProcess(data) as server:
        patient(data, "open", PATIENT)
        assert package(b"first", b"x" * 100_000).send(server).accepted
        early = patient(data, "destroy", PATIENT, "--on-request")
        assert early.exit_code == 1 and "Close it first" in early.output
        patient(data, "close", PATIENT)
        asked = patient(data, "destroy", PATIENT, "--on-request", "--reason", "asked for")
        word = re.search(r"--confirm (\w+)", asked.output)
        assert word, asked.output
        done = patient(data, "destroy", PATIENT, "--confirm", word[1])
        assert done.exit_code == 0 and "2 document entry" in done.output and "2 documents" in done.output, done.output
        refused = package(b"third").send(server)
        assert not refused.accepted and "is destroyed" in refused.errors[0].code_context
    checked = CliRunner().invoke(program, ["check-store", "--data", str(data)])
    assert checked.exit_code == 0, checked.output
