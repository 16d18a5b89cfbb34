"""Whose a document is, is kept under every policy: a matrix that is switched on later finds it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from registry.rights import Right, Writer
from security import saml_names as names
from security.access import Reading
from security.identity import Assertion, Coded, Mode
from security.submitter import Submitter, submitter_of
from security.trust import Partner
from tests.nist.wire import Client
from tests.proof.messages import Entry, Submission
from tests.proof.rights_callers import HOSPITAL, open_rights, refused_by, rights_settings
from tests.proof.update_messages import APPROVED, ARCHIVED
from tests.server_process import ServerProcess

DOCTOR, STAFF = Coded("10", names.PROFESSIONS), Coded("SECRETARIAT_MEDICAL", names.OTHER_ROLES)
PATIENT = Coded("EXP_PATIENT", names.OTHER_ROLES)


def acts(mode: Mode, *roles: Coded) -> Assertion:
    return Assertion("_1", "CN=A", "899900000001", mode, structure=HOSPITAL, roles=roles)


@pytest.mark.parametrize(
    ("assertion", "partner", "submitter"),
    [
        (acts(Mode.DIRECT, DOCTOR), None, Submitter("899900000001")),
        (acts(Mode.REINFORCED, DOCTOR), None, Submitter("899900000001")),
        (acts(Mode.DIRECT, STAFF), None, Submitter(structure=HOSPITAL)),
        (acts(Mode.INDIRECT, DOCTOR), None, Submitter("899900000001", HOSPITAL)),
        (acts(Mode.XUA, DOCTOR), None, Submitter("899900000001", HOSPITAL)),
        (acts(Mode.DIRECT, PATIENT), None, Submitter(patient=True)),
        (acts(Mode.INDIRECT, PATIENT), None, Submitter("899900000001", HOSPITAL)),
        (acts(Mode.REINFORCED, PATIENT), None, Submitter(structure=HOSPITAL)),
        (None, Partner("00", "Hospital", kind="structure", identifier=HOSPITAL), Submitter(structure=HOSPITAL)),
        (None, Partner("00", "A", kind="person", identifier="899900000001"), Submitter("899900000001")),
        (None, Partner("00", "Hospital", kind="server", relays=True), None),
        (None, None, None),
    ],
)
def test_who_submits(assertion: Assertion | None, partner: Partner | None, submitter: Submitter | None) -> None:
    assert submitter_of(assertion, partner) == submitter


def test_an_assertion_without_a_mode_counts_as_a_card_where_that_is_opened() -> None:
    assert submitter_of(acts(Mode.XUA, DOCTOR), None, frozenset({Reading.XUA_PROFESSION})) == Submitter("899900000001")


def test_a_structure_states_the_patient_where_that_is_opened() -> None:
    opened = frozenset({Reading.PATIENT_BY_STRUCTURE})
    assert submitter_of(acts(Mode.INDIRECT, PATIENT), None, opened) == Submitter(patient=True)


def test_a_matrix_that_is_switched_on_later_finds_whose_a_document_is(tmp_path: Path) -> None:
    """Archiving is for own documents (TD3.3d-archive)."""
    with open_rights(tmp_path, {"CARNET_SECURITY_POLICY": "ihe"}) as world:
        author, other = world.cards.person("author", 1), world.cards.person("other", 2)
        patient = world.patient()
        entries = [Entry(patient), Entry(patient)]
        for one, entry in zip((author, other), entries, strict=True):
            answer = world.provide(one.says(patient), Submission(patient, [entry]))
            assert answer.status == "Success", (answer.fault, answer.errors)
        anonymous = world.provide(b"", Submission(patient, [Entry(patient)]))
        assert anonymous.status == "Success", (anonymous.fault, anonymous.errors)
        with sqlite3.connect(f"file:{world.data / 'carnet.sqlite'}?mode=ro", uri=True) as rows:
            kept = rows.execute("select role, who from entry_writer order by who").fetchall()
        assert kept == [(int(Writer.PERSON), one.subject) for one in (author, other)]  # and nothing of who is nobody
        world.rights.give(patient, Right.AUTHORISED, author.subject)
        world.proof.server.stop()
        with ServerProcess(world.data, environ={**rights_settings(tmp_path)}) as later:
            world.proof.client = Client(later.registry, later.repository)
            answers = [world.restatus(author.says(patient), entry, APPROVED, ARCHIVED) for entry in entries]
            assert [(one.status, refused_by(one)) for one in answers] == [("Success", ""), ("Fault", "ACC-006")]
