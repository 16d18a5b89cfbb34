"""The schema: made once whoever comes first, the same as the tables say, forward and back on a filled store."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

import registry.tables
import repository.tables
import security.audit_tables
import security.hourly
import security.replay
import security.saml_uses
from registry.codes import CodeBook
from registry.iti42 import RegisterDocumentSet
from storage.database import METADATA, open_database
from storage.errors import StorageError, StorageUnavailable, StoreVersionError
from storage.migrate import History, current, downgrade, head, prepare, upgrade
from tests.registry.asking import BOTH, Consumer
from tests.registry.submissions import documents, new_patient

#: Whoever compares METADATA must have imported every room that declares tables in it.
ROOMS = (registry.tables, repository.tables, security.hourly, security.replay, security.saml_uses)

#: One step more, as a later release might bring it: another column, filled from what is there, and a table.
SECOND = f'''
import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = "9999", "{head()}", None, None


def upgrade():
    op.add_column("document_entry", sa.Column("title_length", sa.Integer()))
    op.execute("UPDATE document_entry SET title_length = length(title)")
    op.create_table("later", sa.Column("id", sa.Integer(), primary_key=True))
    op.execute("INSERT INTO later (id) SELECT count(*) FROM document_entry")


def downgrade():
    op.drop_table("later")
    op.drop_column("document_entry", "title_length")
'''
BROKEN = SECOND.replace('op.execute("INSERT', 'op.execute("INSERT INTO nowhere VALUES (1)")\n    op.execute("INSERT')


def history(folder: Path, text: str = SECOND) -> History:
    """The shipped steps and one more."""
    (folder / "9999_later.py").write_text(text)
    return History((*History().folders, folder))


def dump(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table that the program knows."""
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        return {
            name: sorted(tuple(map(repr, row)) for row in connection.execute(sa.select(table)))
            for name, table in METADATA.tables.items()
        }


def fill(url: str) -> dict[str, str]:
    """A patient with a hundred documents, and a question that finds them."""
    database = open_database(url)
    patient = new_patient(database)
    RegisterDocumentSet(database, CodeBook()).register(documents(patient, *(f"Document{n}" for n in range(100))))
    database.close()
    return {"$XDSDocumentEntryPatientId": f"'{patient}'", "$XDSDocumentEntryStatus": BOTH}


def ask(url: str, question: dict[str, str]) -> bytes:
    database = open_database(url)
    try:
        return Consumer(database).octets("FindDocuments", question)
    finally:
        database.close()


def test_the_first_use_makes_the_schema_and_the_second_finds_it(store_url: str) -> None:
    assert current(store_url) is None
    prepare(store_url)
    assert current(store_url) == head()
    prepare(store_url)
    assert upgrade(store_url) == (head(), head())


def test_the_steps_make_what_the_tables_say(store_url: str) -> None:
    prepare(store_url)
    engine = sa.create_engine(store_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []
    engine.dispose()


def test_the_steps_make_the_very_text_that_the_tables_make_on_sqlite(tmp_path: Path) -> None:
    """WITHOUT ROWID, partial indexes and the names of constraints are in the text alone."""
    stepped, direct = f"sqlite:///{tmp_path}/stepped.db", f"sqlite:///{tmp_path}/direct.db"
    prepare(stepped)
    METADATA.create_all(sa.create_engine(direct))

    def schema(url: str) -> dict[str, list[str]]:
        with sa.create_engine(url).connect() as connection:
            rows = connection.execute(sa.text("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL")).fetchall()
        texts = {name: sorted(line.strip().rstrip(",") for line in sql.splitlines()) for name, sql in rows}
        return {name: text for name, text in texts.items() if not name.startswith("alembic")}

    assert schema(stepped) == schema(direct)


def test_a_new_sqlite_file_has_our_page_size(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    prepare(url)
    with sa.create_engine(url).connect() as connection:
        assert connection.execute(sa.text("PRAGMA page_size")).scalar() == 8192


@pytest.mark.postgres
def test_documents_in_rows_are_not_compressed_again(postgres_url: str) -> None:
    prepare(postgres_url)
    with sa.create_engine(postgres_url).connect() as connection:
        kind = sa.text("SELECT attstorage FROM pg_attribute WHERE attrelid = 'blob'::regclass AND attname = 'bytes'")
        assert connection.execute(kind).scalar() in ("e", b"e")


def test_four_processes_at_once_make_one_schema(store_url: str) -> None:
    program = "import sys; from storage.migrate import prepare; prepare(sys.argv[1])"
    workers = [
        subprocess.Popen([sys.executable, "-c", program, store_url], stderr=subprocess.PIPE, text=True) for _ in range(4)
    ]
    for worker in workers:
        _, errors = worker.communicate(timeout=60)
        assert worker.returncode == 0, errors
    assert current(store_url) == head()


def test_forward_and_back_on_a_filled_store_loses_nothing(store_url: str, tmp_path: Path) -> None:
    prepare(store_url)
    question = fill(store_url)
    rows, answer = dump(store_url), ask(store_url, question)
    later = history(tmp_path)

    assert upgrade(store_url, later) == (head(), "9999")
    assert dump(store_url) == rows
    assert ask(store_url, question) == answer
    with sa.create_engine(store_url).connect() as connection:
        assert connection.execute(sa.text("SELECT id FROM later")).scalar() == 100
        assert connection.execute(sa.text("SELECT count(*) FROM document_entry WHERE title_length = 12")).scalar() == 100

    assert downgrade(store_url, head(), later) == ("9999", head())
    assert dump(store_url) == rows
    assert ask(store_url, question) == answer
    assert current(store_url) == head()
    assert upgrade(store_url, later) == (head(), "9999")


def test_every_shipped_step_goes_back_and_forward_on_a_filled_store(store_url: str) -> None:
    prepare(store_url)
    question = fill(store_url)
    rows, answer = dump(store_url), ask(store_url, question)
    assert downgrade(store_url, "0001") == (head(), "0001")
    assert upgrade(store_url) == ("0001", head())
    assert dump(store_url) == rows
    assert ask(store_url, question) == answer


def test_a_step_that_fails_leaves_the_store_as_it_was(store_url: str, tmp_path: Path) -> None:
    prepare(store_url)
    rows = (fill(store_url), dump(store_url))[1]
    with pytest.raises(StorageError, match="nowhere"):
        upgrade(store_url, history(tmp_path, BROKEN))
    assert current(store_url) == head()
    assert dump(store_url) == rows
    assert not sa.inspect(sa.create_engine(store_url)).has_table("later")


def test_an_older_store_is_refused_until_it_is_migrated(store_url: str, tmp_path: Path) -> None:
    prepare(store_url)
    with pytest.raises(StoreVersionError, match=rf"version {head()}, this program works with 9999.*carnet migrate"):
        prepare(store_url, history(tmp_path))


def test_a_newer_store_is_refused_with_a_clear_word(store_url: str, tmp_path: Path) -> None:
    upgrade(store_url, history(tmp_path))
    for action in (prepare, upgrade, lambda url: downgrade(url, "0001")):
        with pytest.raises(StoreVersionError, match=r"version 9999, which this program does not know .*newer Carnet"):
            action(store_url)


def test_there_is_no_way_back_to_nothing_or_to_a_version_that_never_was(store_url: str) -> None:
    with pytest.raises(StoreVersionError, match="holds no store"):
        downgrade(store_url, "0001")
    prepare(store_url)
    for revision in ("base", "0815"):
        with pytest.raises(ValueError, match=r"known are .*0001"):
            downgrade(store_url, revision)


def test_a_database_of_others_is_not_touched(store_url: str) -> None:
    with sa.create_engine(store_url).begin() as connection:
        connection.execute(sa.text("CREATE TABLE document_entry (id integer)"))
    for action in (prepare, upgrade):
        with pytest.raises(StoreVersionError, match="no Carnet made it"):
            action(store_url)
    assert sa.inspect(sa.create_engine(store_url)).get_table_names() == ["document_entry"]


def test_a_store_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable):
        prepare(f"sqlite:///{tmp_path}/nowhere/store.db")
    with pytest.raises(StorageUnavailable) as caught:
        prepare("postgresql+psycopg://somebody:secret@127.0.0.1:9/nothing")
    assert "secret" not in str(caught.value)
