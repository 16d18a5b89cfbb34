"""The policy of rights is asked on every transaction there is, on the feeds, and by every command that reads or changes a record.

The lists are typed here and compared with what the program has: what is added without being named here is found.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from lxml import etree

from metadata.model import Code
from metadata.vocabulary import Transaction
from registry.codes import CodeBook
from registry.iti64 import NotifyLinkChange
from registry.patient_feed import PatientIdentityFeed
from registry.patient_identity import IdentityFeed
from security import saml_names as names
from security.access_matrix import COLUMNS
from security.identity import Assertion, Coded, Mode
from security.refusal import Denied
from security.trust import Partner
from server.__main__ import program
from server.access import policy_in_force
from server.identity_feed import feed_allowed
from server.preparation import prepare
from server.settings import Settings, load
from server.wiring import handlers, open_kit
from soap.call import Call, Caller
from storage.database import open_database
from tests.proof.messages import query
from tests.server_process import ROOT

PATIENT = "4711^^^&1.2.3.4.5&ISO"
#: By which rule each transaction refuses whom the matrix below lets do nothing: a row of the matrix, or the feeds.
ASKED = {
    Transaction.ITI_8: "ACC-011", Transaction.ITI_44: "ACC-011", Transaction.ITI_64: "ACC-011",
    **dict.fromkeys(
        (Transaction.ITI_18, Transaction.ITI_41, Transaction.ITI_42, Transaction.ITI_43, Transaction.ITI_51, Transaction.ITI_57,
         Transaction.ITI_61, Transaction.ITI_62, Transaction.ITI_86, Transaction.ITI_92), "ACC-003",
    ),
}  # fmt: skip
OVER_MLLP = {Transaction.ITI_8, Transaction.ITI_64}
REPOSITORYS = {Transaction.ITI_41, Transaction.ITI_43, Transaction.ITI_86}


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A matrix that lets nobody do anything."""
    folder = tmp_path_factory.mktemp("closed")
    text = (ROOT / "security" / "rights" / "dmp-fr.toml").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith('"TD')]
    columns = {len(one) for one in COLUMNS.values()}
    for line in rows:
        name, _, cells = line.partition("=")
        count = len(cells.strip().strip('"').split())
        assert count in columns
        text = text.replace(line, f'{name}= "{" ".join(["N"] * count)}"', 1)
    text = text.replace('"partner"', '"nobody"').partition("[operator]")[0] + "[operator]\n"
    text += "".join(f'"{command}" = "N"\n' for command, how in COMMANDS.items() if how is not None)
    (folder / "closed.toml").write_text(text, encoding="utf-8")
    return folder / "closed.toml"


def settings_of(folder: Path, matrix: Path, **options: object) -> Settings:
    given = {"store.data": str(folder), "security.policy": str(matrix), "domain.multi_patient": True, "domain.on_demand": "off"}
    return load(options={**given, **options}, environ={})


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, closed: Path) -> Path:
    folder = tmp_path_factory.mktemp("everywhere")
    prepare(settings_of(folder, closed))
    return folder


def doctor() -> Caller:
    """Whoever has everything that can be shown."""
    said = Assertion(
        "_1", "CN=A", "899900000001", Mode.DIRECT, roles=(Coded("10", names.PROFESSIONS),), patient=PATIENT,
        purpose=Coded(names.NORMAL, names.PURPOSES), issued_at=datetime.now(UTC),
    )  # fmt: skip
    return Caller(assertion=said, partner=Partner("00", "Hospital"))


def test_the_list_is_that_of_all_transactions() -> None:
    assert set(ASKED) == {one for one in Transaction if one.code.startswith("ITI-")}


@pytest.mark.parametrize("role", ["all", "registry", "repository"])
def test_every_transaction_over_http_asks(store: Path, closed: Path, role: str) -> None:
    """Whoever serves it, before its handler sees anything of the message."""
    apart = {"role.role": role, "role.registry_url": "https://registry.example/xds/registry"} if role == "repository" else {}
    kit = open_kit(settings_of(store, closed, **(apart or {"role.role": role})))
    try:
        served = handlers(kit)
    finally:
        kit.close()
    iti = {one for one in served if one.code.startswith("ITI-")}
    expected = {"all": set(ASKED) - OVER_MLLP, "repository": REPOSITORYS, "registry": set(ASKED) - OVER_MLLP - REPOSITORYS}
    assert iti == expected[role]
    kit = open_kit(settings_of(store, closed, **(apart or {"role.role": role})))
    try:
        for transaction, handler in handlers(kit).items():
            refused = [refusal(handler, transaction, caller) for caller in (Caller(), doctor())]
            if transaction in ASKED and role != "repository":
                assert refused[1] == ASKED[transaction], transaction
            assert refused[0] == ("ACC-011" if ASKED.get(transaction) == "ACC-011" else "ACC-001"), transaction
    finally:
        kit.close()


def test_on_behalf_of_nobody_nothing_is_told(store: Path, closed: Path) -> None:
    """The question of a repository: under a matrix it needs an assertion, whoever the repository is; where everything is allowed
    nobody is answered it, whether assertions are looked at or not."""
    slots = {"$XDSDocumentEntryUniqueId": "('1.2.3')", "$carnetTransaction": "'ITI-43'"}
    question = etree.fromstring(query("GetDocuments", slots))
    repository, nobody = Caller(partner=Partner("00", "Hospital", relays=True)), Caller()
    for policy, rules in ((str(closed), ["ACC-001", "ACC-016"]), ("ihe", ["ACC-016", "ACC-016"])):
        kit = open_kit(settings_of(store, closed, **{"security.policy": policy, "role.role": "registry"}))
        try:
            asked = handlers(kit)[Transaction.ITI_18]
            assert [refusal(asked, Transaction.ITI_18, one, question) for one in (repository, nobody)] == rules
        finally:
            kit.close()


def refusal(handler: object, transaction: Transaction, caller: Caller, body: etree._Element | None = None) -> str:
    """The rule by which a message (an empty one) is refused; what else becomes of it."""
    message = etree.Element("nothing") if body is None else body
    try:
        answer = handler(Call(transaction, message, caller=caller))  # type: ignore[operator]
    except Denied as denied:
        return denied.rule
    except Exception as error:
        return type(error).__name__
    return str(answer)


ADT = (
    b"MSH|^~\\&|1.2.3|B|C|D|20240101||ADT^%s|1|P|2.3.1\rEVN||20240101\r"
    b"PID|||4711^^^&1.2.3.4.5&ISO~1^^^&1.2.3&ISO||Durand^Zoe\rMRG|4712^^^&1.2.3.4.5&ISO\rPV1||O\r"
)


@pytest.fixture
def feed(store: Path, closed: Path) -> Iterator[PatientIdentityFeed]:
    settings = settings_of(store, closed)
    database = open_database(settings.database_url())
    links = NotifyLinkChange(database, CodeBook(), Code("LINK", "1.2.3", "Link change"), None)
    yield PatientIdentityFeed(IdentityFeed(database), links, feed_allowed(settings))
    database.close()


@pytest.mark.parametrize(("event", "transaction"), [(b"A01", "ITI-8"), (b"A40", "ITI-8"), (b"A43", "ITI-64")])
def test_every_feed_over_mllp_asks(feed: PatientIdentityFeed, event: bytes, transaction: str) -> None:
    reply = feed(ADT % event)
    assert reply.code == "AR" and "[ACC-011]" in reply.text and f"{transaction} is taken" in reply.text


# ---------------------------------------------------------------------------------------------------------------- commands

#: Every command with what it is called with here where it reads or changes a record in the store itself; None for all others:
#: they speak to a server, which asks (submit, query, get, conformance run), serve a store of their settings or of their own and
#: ask by them (serve, demo, bench, conformance listen), or touch no record.
COMMANDS: dict[str, tuple[str, ...] | None] = {
    "patient add": (PATIENT,),
    "patient alias": (PATIENT, "4712^^^&1.2.3.4.5&ISO"),
    "patient authorise": (PATIENT, "899900000001"),
    "patient block": (PATIENT, "899900000001"),
    "patient close": (PATIENT,),
    "patient destroy": (PATIENT,),
    "patient events": (PATIENT,),
    "patient export": (PATIENT, "record.zip"),
    "patient import": ("pyproject.toml",),
    "patient list": (),
    "patient masked-in-emergency": (PATIENT,),
    "patient merge": (PATIENT, "4712^^^&1.2.3.4.5&ISO"),
    "patient open": (PATIENT,),
    "patient oppose": (PATIENT, "bris_de_glace"),
    "patient reopen": (PATIENT,),
    "patient represent": (PATIENT, "mother"),
    "patient rights": (PATIENT,),
    "patient show": (PATIENT,),
    "patient treating": (PATIENT, "899900000001"),
    "audit show": ("--patient", PATIENT),
    "audit verify": (),
    "check-store": (),
    **dict.fromkeys(("submit", "query", "get", "conformance run")),
    **dict.fromkeys(("serve", "demo", "bench", "conformance listen")),
    **dict.fromkeys((
        "ins check", "ins compute", "partner add", "partner list", "pki init", "pki issue", "pki list", "pki revoke",
        "conformance check", "conformance cases", "explain", "sample", "config", "assertion", "migrate", "test", "completion",
    )),
}  # fmt: skip


def commands(command: click.Command, context: click.Context, path: tuple[str, ...] = ()) -> Iterator[str]:
    if not isinstance(command, click.Group):
        yield " ".join(path)
        return
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        assert found
        yield from commands(found, context, (*path, name))


def test_the_list_is_that_of_all_commands() -> None:
    assert set(COMMANDS) == set(commands(program, click.Context(program)))


@pytest.mark.parametrize("command", [name for name, words in COMMANDS.items() if words is not None])
def test_every_command_on_a_record_asks(store: Path, closed: Path, command: str) -> None:
    words = [*command.split(), *(COMMANDS[command] or ()), "--data", str(store)]
    words = [str(ROOT / word) if word == "pyproject.toml" else word for word in words]
    done = CliRunner().invoke(program, words, prog_name="carnet", env={"CARNET_SECURITY_POLICY": str(closed)})
    assert done.exit_code == 1 and "[ACC-014]" in done.output and command in done.output, done.output
    assert "4711" not in done.output


def test_a_row_of_the_matrix_that_no_command_reads_is_refused(store: Path, closed: Path, tmp_path: Path) -> None:
    file = tmp_path / "typo.toml"
    file.write_text(closed.read_text("utf-8").replace('"patient show"', '"patient sohw"'), encoding="utf-8")
    assert policy_in_force(settings_of(store, file)).name
    words = ["patient", "show", PATIENT, "--data", str(store)]
    done = CliRunner().invoke(program, words, prog_name="carnet", env={"CARNET_SECURITY_POLICY": str(file)})
    assert done.exit_code == 1 and "[operator] patient sohw: no such command" in done.output
