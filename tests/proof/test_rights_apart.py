"""Rights where registry and repository are two processes: the registry decides, the repository asks and passes on who is calling.

Both over mutual TLS with real cards. The cells of the matrix are those of `test_rights_matrix.py`, and so are the checks.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from lxml import etree

from metadata.rules.rule import Refused
from metadata.vocabulary import ErrorCode, ResponseStatus, Transaction
from registry.record import Records
from registry.rights import Right
from schemas.namespaces import WSSE, q
from security.identity import Assertion
from server.__main__ import program
from server.closed_elsewhere import ClosedElsewhere
from server.preparation import prepare
from server.relay import PassedOn, RemoteAccess, caller_passed_on, security_passed_on
from server.settings import load
from server.wiring import handlers, open_kit
from soap.call import Answer as Answered
from soap.call import Call, Caller
from soap.client import Client
from tests.nist.wire import Answer
from tests.proof.messages import Entry, Submission, query, quoted, retrieval
from tests.proof.rights_apart import ApartWorld, open_apart
from tests.proof.rights_callers import MASKED, NORMAL, refused_by
from tests.proof.rights_callers import Caller as Person
from tests.proof.test_masking import alike, remove_documents
from tests.proof.test_rights_matrix import COLUMNS, READ, Stage, check_feeding, check_reading, people_of, set_up
from tests.proof.test_summary import summary_entry
from tests.proof.update_messages import APPROVED, ARCHIVED

#: With `--long` all of them.
SOME = (("m526", "NMn"), ("m526", "CPE"), ("own", "RL"))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApartWorld]:
    with open_apart(tmp_path_factory.mktemp("apart")) as opened:
        yield opened


@pytest.fixture(scope="module")
def people(world: ApartWorld) -> dict[str, Person]:
    return people_of(world.cards)


@pytest.fixture(scope="module")
def stages(world: ApartWorld, people: dict[str, Person], long: bool) -> list[Stage]:
    return [set_up(world, people, sheet, column) for sheet, column in (COLUMNS if long else SOME)]


def test_feeding_and_reading_by_the_cells_of_the_matrix(stages: list[Stage]) -> None:
    for stage in stages:
        for row in ("TD2.1", "TD2.2"):
            check_feeding(stage, row)
        for row in READ:
            check_reading(stage, row)


# -------------------------------------------------------------------------------------------------------- what is hidden


@pytest.fixture(scope="module")
def masked(world: ApartWorld, people: dict[str, Person]) -> tuple[str, Entry, Entry]:
    """A patient, a plain document and a masked one of another doctor, whom the nurse may consult but for the masked one."""
    patient = world.patient()
    for one in ("NM", "other"):
        world.rights.give(patient, Right.AUTHORISED, people[one].subject)
    plain, hidden = Entry(patient, title="Open"), Entry(patient, title="Hidden", confidentiality=(NORMAL, MASKED))
    answer = world.provide(people["other"].says(patient), Submission(patient, [plain, hidden]))
    assert answer.status == "Success", (answer.fault, answer.errors)
    return patient, plain, hidden


def test_what_is_hidden_is_retrieved_and_removed_like_what_is_unknown(
    world: ApartWorld, people: dict[str, Person], masked: tuple[str, Entry, Entry]
) -> None:
    patient, plain, hidden = masked
    said, absent = people["NM"].says(patient), Entry(patient)
    assert alike(world.retrieve(said, [hidden]), world.retrieve(said, [absent]))
    both = world.retrieve(said, [plain, hidden])
    assert list(both.documents()) == [plain.uid] and both.codes == ["XDSDocumentUniqueIdError"]
    assert alike(remove_documents(world, said, hidden.uid), remove_documents(world, said, absent.uid))
    assert refused_by(remove_documents(world, said, plain.uid)) == "ACC-006"  # seen, and another's
    assert list(world.retrieve(people["other"].says(patient), [hidden]).documents()) == [hidden.uid]


def test_an_id_longer_than_any_is_unknown_and_spoils_nothing(
    world: ApartWorld, people: dict[str, Person], masked: tuple[str, Entry, Entry]
) -> None:
    """253 characters, with quotes and brackets or a prefix more than the 256 that the schema allows a rim:Value."""
    patient, plain, _ = masked
    said, long = people["NM"].says(patient), "1." * 125 + "123"
    both = world.send(said, "ITI-43", retrieval([long, plain.uid]), url=world.proof.server.repository)
    assert list(both.documents()) == [plain.uid] and both.codes == ["XDSDocumentUniqueIdError"], both.errors
    alone = world.send(said, "ITI-43", retrieval([long]), url=world.proof.server.repository)
    assert alone.codes == ["XDSDocumentUniqueIdError"], (alone.fault, alone.errors)
    assert remove_documents(world, said, long).codes == remove_documents(world, said, Entry(patient).uid).codes
    stranger = people["MD"].says(patient)  # what rights say comes before it
    assert refused_by(world.send(stranger, "ITI-43", retrieval([long]), url=world.proof.server.repository)) == "ACC-005"


def test_a_record_that_is_not_open_and_one_that_nobody_knows_are_refused_alike(
    world: ApartWorld, people: dict[str, Person], masked: tuple[str, Entry, Entry]
) -> None:
    patient, plain, _ = masked
    stranger = people["MD"]
    answers = [world.retrieve(stranger.says(one), [plain]) for one in (patient, world.patient(), "9^^^&1.2.250.1.999.1.4.8&ISO")]
    assert [refused_by(one) for one in answers] == ["ACC-005"] * 3
    assert alike(answers[0], answers[1]) and alike(answers[0], answers[2])
    texts = [e.text for e in answers[0].envelope.iter() if isinstance(e.tag, str) and e.tag.endswith("}Text")]
    assert len(texts) == 2 and "le dossier n'est pas ouvert" in str(texts[1]), texts


def test_what_the_registry_refuses_is_not_kept(
    world: ApartWorld, people: dict[str, Person], masked: tuple[str, Entry, Entry]
) -> None:
    """The refusal is the registry's, word for word; of the document nothing can be found, and nothing is told of others."""
    patient = world.patient()
    world.rights.give(patient, Right.BLOCKED, people["NM"].subject)
    entry = Entry(patient)
    answer = world.provide(people["NM"].says(patient), Submission(patient, [entry]))
    assert refused_by(answer) == "ACC-005" and "DMPAccessDeniedByRightsService" in str(answer.fault)
    direct = world.send(people["NM"].says(patient), "ITI-42", Submission(patient, [Entry(patient).registered()]).xml())
    assert etree.tostring(direct.body).partition(b"href=")[0] == etree.tostring(answer.body).partition(b"href=")[0]
    store = world.data.parent / "repository" / "carnet.sqlite"
    with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as rows:
        assert rows.execute("select count(*) from document where unique_id = ?", (entry.uid,)).fetchone() == (0,)
    assert refused_by(world.retrieve(b"", [entry])) == "SAM-001"
    taken = world.provide(people["NM"].says(patient), Submission(patient, [Entry(patient, uid=masked[2].uid)]), content=b"other")
    assert alike(taken, answer)
    told = world.provide(people["MD"].says(patient), Submission(patient, [Entry(patient, uid=masked[2].uid)]), content=b"other")
    assert told.status == "Failure" and told.codes != ["XDSRegistryNotAvailable"], (told.fault, told.errors)


def test_the_author_is_who_sent_it_to_the_repository(world: ApartWorld, people: dict[str, Person]) -> None:
    patient = world.patient()
    world.rights.give(patient, Right.AUTHORISED, people["MD"].subject)
    said, entry = people["MD"].says(patient), Entry(patient)
    assert world.provide(said, Submission(patient, [entry])).status == "Success"
    assert world.restatus(said, entry, APPROVED, ARCHIVED).status == "Success"  # TD3.3d-archive: own documents only


def test_a_closed_record_says_so_to_whom_it_is_open_alone(world: ApartWorld, people: dict[str, Person]) -> None:
    patient = world.patient()
    for one in ("NM", "other"):
        world.rights.give(patient, Right.AUTHORISED, people[one].subject)
    plain, hidden = Entry(patient), Entry(patient, confidentiality=(NORMAL, MASKED))
    assert world.provide(people["other"].says(patient), Submission(patient, [plain, hidden])).status == "Success"
    Records(world.rights.database).close(patient)
    said = people["NM"].says(patient)
    closed = world.retrieve(said, [plain])
    assert closed.codes == ["XDSRepositoryError"] and "closed" in closed.errors[0].context
    assert alike(world.retrieve(said, [hidden]), world.retrieve(said, [Entry(patient)]))
    assert refused_by(world.retrieve(people["MD"].says(patient), [plain])) == "ACC-005"


def test_a_summary_is_made_of_what_nobody_is_kept_from_for_whom_may_read_its_entry(
    world: ApartWorld, people: dict[str, Person], masked: tuple[str, Entry, Entry]
) -> None:
    patient = masked[0]
    summaries = [summary_entry(patient), summary_entry(patient)]
    summaries[1].confidentiality = (NORMAL, MASKED)
    for one in summaries:
        answer = world.send(people["other"].says(patient), "ITI-61", Submission(patient, [one]).xml())
        assert answer.status == "Success", (answer.fault, answer.errors)
    made = world.retrieve(people["NM"].says(patient), summaries[:1])
    assert made.status == "Success", (made.fault, made.errors)
    (content,) = [one.content for one in made.documents().values()]
    assert b"Open" in content and b"Hidden" not in content
    assert world.retrieve(people["NM"].says(patient), summaries[1:]).codes == ["XDSDocumentUniqueIdError"]


# ----------------------------------------------------------------------------------------------------- who may pass on


def by_nobody(world: ApartWorld, card: str, said: bytes, entry: Entry, behalf: str) -> Answer:
    """The question of a repository, sent by somebody else."""
    slots = {"$XDSDocumentEntryUniqueId": quoted(entry.uid), "$carnetTransaction": f"'{behalf}'"}
    return world.send(said, "ITI-18", query("GetDocuments", slots), url=world.proof.client.registry)


def test_only_an_enrolled_repository_is_told_what_others_may_do(
    world: ApartWorld, people: dict[str, Person], masked: tuple[str, Entry, Entry]
) -> None:
    patient, plain, _ = masked
    said = people["NM"].says(patient)
    for behalf in ("ITI-43", "ITI-86", "ITI-41", "ITI-57"):
        assert refused_by(by_nobody(world, "nurse", said, plain, behalf)) == "ACC-016"


def test_an_assertion_that_another_partner_passes_on_is_not_believed(
    world: ApartWorld, people: dict[str, Person], masked: tuple[str, Entry, Entry]
) -> None:
    patient, plain, _ = masked
    world.cards.authority.issue("server", "other-server", key_type="ec")
    said = people["NM"].says(patient)
    body = query("GetDocuments", {"$XDSDocumentEntryUniqueId": quoted(plain.uid)})
    world_as = ApartWorld(world.proof, world.cards, world.rights, world.data, world.registry, world.settings)
    world_as.post = lambda assertion, url, kind, package: world.post_as("other-server", url, kind, package)  # type: ignore[method-assign]
    assert refused_by(world_as.send(said, "ITI-18", body)) == "SAM-027"
    world_as.post = lambda assertion, url, kind, package: world.post_as("repository", url, kind, package)  # type: ignore[method-assign]
    assert world_as.send(said, "ITI-18", body).status == "Success"
    unsaid = world_as.send(b"", "ITI-42", Submission(patient, [Entry(patient)]).xml())
    assert refused_by(unsaid) == "SAM-001"  # in its own name a repository asks, and does nothing else


def test_the_trail_of_the_registry_names_who_calls_the_repository(
    world: ApartWorld, people: dict[str, Person], masked: tuple[str, Entry, Entry]
) -> None:
    patient, plain, _ = masked
    assert list(world.retrieve(people["NM"].says(patient), [plain]).documents()) == [plain.uid]
    show = ["audit", "show", "--data", str(world.data), "--patient", patient, "--json"]
    told = json.loads(CliRunner().invoke(program, show).output)
    assert [one for one in told if "ITI-18" in json.dumps(one) and people["NM"].subject in json.dumps(one)], told


def test_a_repository_that_is_not_believed_gives_and_takes_nothing(
    world: ApartWorld, people: dict[str, Person], masked: tuple[str, Entry, Entry], tmp_path: Path
) -> None:
    patient, plain, _ = masked
    world.cards.authority.issue("server", "unbelieved", key_type="ec")
    with world.another_repository(tmp_path / "data", "unbelieved") as url:
        said, fresh = people["other"].says(patient), Entry(patient)
        for answer in (
            world.send(said, "ITI-43", retrieval([plain.uid]), url=url),
            world.provide(said, Submission(patient, [fresh]), url=url),
        ):
            assert answer.status == "Failure" and answer.codes == ["XDSRegistryNotAvailable"], (answer.fault, answer.errors)


def test_without_a_registry_that_answers_nothing_is_given() -> None:
    """Port 9 discards, and nobody listens there."""
    access = RemoteAccess(Client(registry="http://127.0.0.1:9/xds/registry"))
    closed = ClosedElsewhere(access.client, demanded=True)
    for ask in (
        lambda: access.may_retrieve(Caller(), ["1.2.3"]), lambda: access.may_remove(Caller(), ["1.2.3"]),
        lambda: closed(["1^^^&1.2.3&ISO"]),
    ):  # fmt: skip
        with pytest.raises(Refused) as refused:
            ask()
        assert [one.code for one in refused.value.findings] == [ErrorCode.XDSRegistryNotAvailable]
    assert ClosedElsewhere(access.client)(["1^^^&1.2.3&ISO"]) == {}  # where everything is allowed anyway


def test_without_a_matrix_the_caller_is_passed_on_where_that_is_set(tmp_path: Path) -> None:
    """role.relay, under the policy `ihe`."""
    elsewhere = {"role.role": "repository", "role.registry_url": "https://registry.example/xds/registry"}
    for relay in (False, True):
        settings = load(options={"store.data": str(tmp_path), **elsewhere, "role.relay": relay}, environ={})
        prepare(settings)
        kit = open_kit(settings)
        try:
            assert all(isinstance(one, PassedOn) is relay for one in handlers(kit).values())
            assert (kit.relay is not None and kit.relay.security is security_passed_on) is relay
        finally:
            kit.close()


def test_the_assertion_of_the_call_is_passed_on_and_of_no_other(world: ApartWorld, people: dict[str, Person]) -> None:
    said = people["NM"].says(world.patient())
    header = etree.Element(q(WSSE, "Security"))
    header.append(etree.fromstring(said))
    sent: list[bytes] = []

    def handler(call: Call) -> Answered:
        sent.append(security_passed_on(Transaction.ITI_42))
        assert caller_passed_on() is call.caller
        return Answered([], ResponseStatus.SUCCESS)

    for caller in (Caller(assertion=Assertion("_1", "CN=A", "1")), Caller()):
        PassedOn(handler)(Call(Transaction.ITI_41, etree.Element("x"), caller=caller, headers=[header]))
    assert etree.fromstring(sent[0]).tag == q(WSSE, "Security") and people["NM"].subject.encode() in sent[0]
    assert sent[1] == security_passed_on(Transaction.ITI_42) == b"" and caller_passed_on() == Caller()
