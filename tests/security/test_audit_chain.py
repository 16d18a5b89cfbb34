"""The audit trail is sealed: every way to tamper with it is found and the record named; what was committed is whole."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa

from security.audit import SUCCESS, AuditEvent, End, Participant, patient_object
from security.audit_chain import AnchorFile, AuditKeyError, make_key, read_key, unended, verify
from security.audit_codes import QUERY, SOURCE
from security.audit_store import AuditStore, Place, entry
from storage.database import open_database
from storage.errors import StorageError
from storage.migrate import prepare
from tests.conftest import new_postgres_database

KEY = bytes(range(32))
CX = "4711^^^&1.2.3.4.5&ISO"


def event(number: int, at: int = 1_700_000_000_000) -> AuditEvent:
    people = (Participant(f"user {number}", True, (SOURCE,)),)
    return AuditEvent(QUERY, "E", at + number, SUCCESS, participants=people, objects=(patient_object(CX),))


@dataclass
class Trail:
    store: AuditStore
    anchors: AnchorFile

    def add(self, count: int = 1, **fields: int) -> list[Place]:
        return [self.store.write([entry(event(number, **fields))])[0] for number in range(count)]

    def anchor(self) -> None:
        self.anchors.add(self.store.heads())

    def wrong(self) -> tuple[str, ...]:
        return verify(self.store, KEY, self.anchors).wrong

    def run(self, *statements: str) -> None:
        """What somebody does who can write to the database and has no key."""

        engine = sa.create_engine(self.store.database.url)
        with engine.begin() as connection:
            for statement in statements:
                connection.execute(sa.text(statement))
        engine.dispose()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def trail(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Trail]:
    if request.param == "sqlite":
        yield from _opened(f"sqlite:///{tmp_path / 'trail.sqlite'}", tmp_path)
    else:
        with new_postgres_database() as url:
            yield from _opened(url, tmp_path)


def _opened(url: str, folder: Path) -> Iterator[Trail]:
    prepare(url)
    database = open_database(url)
    yield Trail(AuditStore(database, KEY), AnchorFile(folder / "anchors", KEY))
    database.close()


def test_an_untouched_trail_is_whole(trail: Trail) -> None:
    trail.add(20)
    trail.anchor()
    trail.add(5)
    found = verify(trail.store, KEY, trail.anchors)
    assert (found.wrong, found.records, found.anchors) == ((), 25, 1)


#: What is done to the rows of lane 0, in which 20 records stand with an anchor at the 20th, and what is said of it.
TAMPERING: dict[str, tuple[tuple[str, ...], str]] = {
    "time changed": (
        ("UPDATE audit_record SET at = at + 1 WHERE number = 7",), "record 0.7 was changed"),
    "patient changed": (
        ("UPDATE audit_record SET patient = 5 WHERE number = 7",), "record 0.7 was changed"),
    "patient taken away": (
        ("UPDATE audit_record SET patient = NULL WHERE number = 7",), "record 0.7 was changed"),
    "kind changed": (
        ("UPDATE audit_record SET kind = 2 WHERE number = 7",), "record 0.7 was changed"),
    "body changed": (
        ("UPDATE audit_record SET body = (SELECT body FROM audit_record WHERE number = 8) WHERE number = 7",),
        "record 0.7 was changed",
    ),
    "removed": (
        ("DELETE FROM audit_record WHERE number = 7",), "record 0.7 is missing"),
    "several removed": (
        ("DELETE FROM audit_record WHERE number BETWEEN 7 AND 9",), "records 0.7 to 0.9 are missing"),
    "removed and closed up": (
        ("DELETE FROM audit_record WHERE number = 20", "UPDATE audit_record SET number = 20 WHERE number = 7"),
        "record 0.7 is missing",
    ),
    "swapped": (
        ("UPDATE audit_record SET number = -1 WHERE number = 7", "UPDATE audit_record SET number = 7 WHERE number = 8",
         "UPDATE audit_record SET number = 8 WHERE number = -1"),
        "record 0.7 was changed, swapped or put in",
    ),
    "put in": (
        ("INSERT INTO audit_record SELECT lane, 21, at, kind, patient, body, mac FROM audit_record WHERE number = 7",
         "UPDATE audit_lane SET number = 21 WHERE lane = 0"),
        "record 0.21 was changed, swapped or put in",
    ),
    "put before the first": (
        ("INSERT INTO audit_record SELECT lane, 0, at, kind, patient, body, mac FROM audit_record WHERE number = 7",),
        "record 0.0 was put in",
    ),
    "end cut off": (
        ("DELETE FROM audit_record WHERE number > 15",), "records 0.16 to 0.20 are missing"),
    "end cut off with its head": (
        ("UPDATE audit_lane SET number = 15, mac = (SELECT mac FROM audit_record WHERE lane = 0 AND number = 15) WHERE lane = 0",
         "DELETE FROM audit_record WHERE number > 15"),
        "records 0.16 to 0.20 are missing: the anchor of",
    ),
    "everything removed": (
        ("DELETE FROM audit_record", "UPDATE audit_lane SET number = 0"), "records 0.1 to 0.20 are missing: the anchor of",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TAMPERING)
def test_tampering_is_found_and_named(trail: Trail, name: str) -> None:
    trail.add(20)
    trail.anchor()
    statements, said = TAMPERING[name]
    trail.run(*statements)
    assert any(line.startswith(said) for line in trail.wrong()), trail.wrong()


def test_a_trail_written_with_another_key_is_found(trail: Trail) -> None:
    trail.add(3)
    trail.anchor()
    forged = AuditStore(trail.store.database, bytes(32))
    forged.write([entry(event(9))])
    assert trail.wrong() == ("record 0.4 was changed, swapped or put in",)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda lines: lines[:1] + lines[2:], "before anchor 2 in anchors others were removed or put in"),
        (lambda lines: [lines[0].replace('"at":1', '"at":2'), *lines[1:]], "anchor 1 in anchors was changed"),
        (lambda lines: [lines[1], lines[0], lines[2]], "before anchor 1 in anchors others were removed or put in"),
        (lambda lines: [], "there are records and no anchors"),
    ],
)
def test_anchors_are_sealed_too(trail: Trail, tmp_path: Path, harm: Callable[[list[str]], list[str]], said: str) -> None:
    for _ in range(3):
        trail.add(2)
        trail.anchor()
    path = tmp_path / "anchors"
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text("".join(harm(path.read_text().splitlines(keepends=True))))
    assert any(line.startswith(said) for line in trail.wrong()), trail.wrong()


@pytest.mark.parametrize("written", [b"\xff\xfe {}\n", "\u00e9 {}\n".encode(), b"\n", b"\x0c \x85\n"])
def test_anchors_that_cannot_be_read_are_named(trail: Trail, tmp_path: Path, written: bytes) -> None:
    trail.add(2)
    trail.anchor()
    path = tmp_path / "anchors"
    path.write_bytes(path.read_bytes() + written)
    trail.add(2)
    trail.anchor()
    assert trail.wrong() == ("anchor 2 in anchors was changed",)


@pytest.mark.parametrize("column", ["at", "kind", "patient", "body", "mac"])
def test_a_value_of_another_type_is_named(tmp_path: Path, column: str) -> None:
    """SQLite keeps whatever it is given; PostgreSQL refuses."""
    for trail in _opened(f"sqlite:///{tmp_path / 'trail.sqlite'}", tmp_path):
        trail.add(3)
        trail.anchor()
        trail.run(f"UPDATE audit_record SET {column} = '\u00e9' WHERE number = 2")
        assert "record 0.2 was changed, swapped or put in" in trail.wrong()


def test_a_line_that_a_crash_cut_off_is_no_harm(trail: Trail, tmp_path: Path) -> None:
    trail.add(2)
    trail.anchor()
    path = tmp_path / "anchors"
    with path.open("a") as file:
        file.write('abc {"at":17')
    assert trail.wrong() == ()
    trail.add(1)
    trail.anchor()
    assert trail.wrong() == () and [json.loads(line.partition(" ")[2])["heads"]["0"][0] for line in path.open()] == [2, 3]


def test_the_record_of_an_act_lives_and_dies_with_the_act(trail: Trail) -> None:
    def work(connection: object) -> None:
        trail.store.append(connection, [entry(event(1))])  # type: ignore[arg-type]
        raise KeyError("the act fails")

    with pytest.raises(KeyError):
        trail.store.database.write(work)
    assert (trail.store.heads(), trail.wrong()) == ({}, ())


def test_many_writers_leave_a_whole_trail(trail: Trail) -> None:
    """Alone, in acts, later: every record is there once, in lanes without a gap."""
    places: list[Place] = []
    guard = threading.Lock()

    def work(number: int) -> None:
        for turn in range(25):
            one = entry(event(number * 100 + turn))
            if turn % 3 == 0:
                found = trail.store.write([one, one])
            elif turn % 3 == 1:
                found = trail.store.database.write(lambda c, e=one: trail.store.append(c, [e]))  # type: ignore[misc]
            else:
                assert trail.store.later(one)
                found = []
            with guard:
                places.extend(found)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    trail.store.flush()
    trail.anchor()
    found = verify(trail.store, KEY, trail.anchors)
    assert (found.wrong, found.records) == ((), 8 * (9 * 2 + 8 + 8))
    assert len({*places}) == len(places) == 8 * (9 * 2 + 8)


def test_what_waits_is_not_lost_when_the_store_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path / 'trail.sqlite'}"
    prepare(url)
    database = open_database(url)
    store = AuditStore(database, KEY)
    store.later(entry(event(1)))
    write = database.write

    def fails(work: object) -> None:
        raise StorageError("the disk is full")

    monkeypatch.setattr(database, "write", fails)
    with pytest.raises(StorageError):
        store.flush()
    with pytest.raises(StorageError):
        store.write([entry(event(2))])
    monkeypatch.setattr(database, "write", write)
    store.write([entry(event(3))])
    assert [record.at - 1_700_000_000_000 for record in store.all(0)] == [3, 1]
    database.close()


def test_events_without_an_end_are_found_once(trail: Trail) -> None:
    begun = [trail.store.write([entry(event(n, at=at), begun=True)])[0] for n, at in ((0, 1000), (1, 2000), (2, 9000))]
    trail.store.write([entry(End(begun[1], 2500, SUCCESS, patient=CX))])
    places, marks = unended(trail.store, 5000)
    assert places == [begun[0]]
    trail.store.advance("settled", marks)
    assert unended(trail.store, 5000)[0] == []
    assert unended(trail.store, 10_000)[0] == [begun[2]], "what was young is looked at again"


def test_marks_never_go_back(trail: Trail) -> None:
    trail.store.advance("x", {0: 5, 3: 1})
    trail.store.advance("x", {0: 4})
    trail.store.advance("y", {0: 9})
    assert (trail.store.marks("x"), trail.store.marks("y")) == ({0: 5, 3: 1}, {0: 9})


def test_the_key_is_made_once_and_must_be_ours_alone(tmp_path: Path) -> None:
    path = tmp_path / "key"
    make_key(path)
    key = read_key(path)
    make_key(path)
    assert (read_key(path), len(key), path.stat().st_mode & 0o777) == (key, 32, 0o600)
    path.chmod(0o640)
    with pytest.raises(AuditKeyError, match="chmod 600"):
        read_key(path)
    path.chmod(0o600)
    for content in ("abcd", "zz" * 32, ""):
        path.write_text(content)
        with pytest.raises(AuditKeyError, match="64 hexadecimal digits"):
            read_key(path)
    path.unlink()
    with pytest.raises(AuditKeyError, match="cannot be read"):
        read_key(path)
