"""Signed messages and a real server: large documents in bounded memory, each message once over all workers, keys replaced."""

from __future__ import annotations

import itertools
import os
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.error import HTTPError

import pytest
from lxml import etree

from security.message_writer import MessageSigner
from security.pki import TestAuthority, signing_files
from security.refusal import Denied
from security.replay import MESSAGE_SEEN, ReplayStore
from security.signed_message import MessageVerifier
from server.settings import SettingError, load
from server.signing import LiveSigner, check, signer_of
from soap.client import Client, Content
from soap.client_errors import BadAnswer, SoapFault
from soap.signing import AnswerVerifier
from storage.database import open_database
from storage.errors import StorageUnavailable
from storage.migrate import prepare
from tests.conftest import new_postgres_database
from tests.security import foreign_signing as peer
from tests.security.foreign_signing import Pki, make_pki
from tests.server.exchange import GET_DOCUMENTS, announce, fetch_by, package
from tests.server_process import ServerProcess
from tests.soap.messages import ITI_18, QUERY

MB = 1024 * 1024


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return make_pki(tmp_path_factory.mktemp("pki"))


def options(pki: Pki, *more: str) -> list[str]:
    """Of a server that takes signed messages only."""
    rows = [f"security.pki={pki.folder / 'believed'}", "security.signed_messages=require", *more]
    return [word for row in rows for word in ("--set", row)]


@pytest.fixture(scope="module")
def server(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    data = tmp_path_factory.mktemp("signed") / "data"
    announce(data)
    with ServerProcess(data, *options(pki)) as server:
        yield server


def client(server: ServerProcess, pki: Pki, who: str = "alice") -> Client:
    """Signs, and believes signed answers only."""
    one = pki.peer(who)
    verifier = AnswerVerifier(MessageVerifier(pki.trust.refresh))
    return Client(server.repository, server.registry, signer=MessageSigner(one.certificate, one.key), verifier=verifier)


@pytest.mark.parametrize("who", ["alice", "carole"])
def test_what_was_signed_arrives_and_comes_back_signed(who: str, server: ServerProcess, pki: Pki) -> None:
    sent = package(b"small", os.urandom(300_000))
    with client(server, pki, who) as signing:
        assert signing.provide(sent.metadata, sent.documents).accepted
        contents = [document.source for document in sent.documents]
        assert fetch_by(signing, sent) == dict(zip(sent.unique_ids, contents, strict=True))


def test_an_unsigned_request_is_told_how_to_sign(server: ServerProcess) -> None:
    with pytest.raises(SoapFault) as refused:
        package(b"x").send(server)
    assert (refused.value.rule, refused.value.subcode) == ("SIG-001", "InvalidSecurity")
    assert "BinarySecurityToken" in refused.value.remedy


def test_a_signed_fault_tells_the_client_more_than_that_it_is_one(server: ServerProcess, pki: Pki) -> None:
    """What a client that demands signatures reads of a refusal: the fault, since it is signed too."""
    with client(server, pki, "xmallory") as signing, pytest.raises(SoapFault) as refused:
        signing.query(GET_DOCUMENTS, [])
    assert refused.value.rule == "PKI-001"


def test_an_unsigned_answer_is_not_believed(pki: Pki, tmp_path: Path) -> None:
    announce(tmp_path / "data")
    with (
        ServerProcess(tmp_path / "data", *options(pki, "security.sign_answers=never")) as silent,
        client(silent, pki) as signing,
        pytest.raises(BadAnswer, match="SIG-001"),
    ):
        signing.query(GET_DOCUMENTS, [])


def test_a_repository_signs_what_it_tells_its_registry(server: ServerProcess, pki: Pki, tmp_path: Path) -> None:
    certificate, key = signing_files(pki.folder / "believed", "carole")
    rows = (f"role.registry_url={server.registry}", f"security.signing_certificate={certificate}", f"security.signing_key={key}")
    told = [word for row in rows for word in ("--set", row)]
    with ServerProcess(tmp_path / "data", "--role", "repository", *told) as repository:
        assert package(b"through two servers").send(repository).accepted


def resident(pid: int, field: str) -> int:
    """Bytes of a field of /proc/PID/status."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.split(f"{field}:")[1].split()[0]) * 1024


def test_a_large_signed_document_takes_little_memory_both_ways(pki: Pki, tmp_path: Path, long: bool) -> None:
    """256 MB (64 MB in the quick run), signed, in under 100 MB of the worker's memory, its program and libraries included."""
    size = (256 if long else 64) * MB
    file = tmp_path / "large.bin"
    with open(file, "wb") as out:
        block = os.urandom(MB)
        for number in range(size // MB):
            out.write(number.to_bytes(8, "big") + block[8:])
    announce(tmp_path / "data")
    with ServerProcess(tmp_path / "data", *options(pki)) as server, client(server, pki) as signing:
        sent = package(b"placeholder")
        documents = [Content(sent.documents[0].entry_id, "application/octet-stream", file)]
        assert signing.provide(sent.metadata, documents).accepted
        pid = server.workers[0]
        uploaded = resident(pid, "VmHWM")
        found = signing.query(GET_DOCUMENTS, [("$XDSDocumentEntryUniqueId", [f"('{sent.unique_ids[0]}')"])])
        entry = found.objects.documentEntries[0]
        from soap.client import Wanted

        wanted = Wanted(entry.repositoryUniqueId or "", entry.uniqueId or "", hash=entry.hash or "", size=entry.size or "")
        with signing.retrieve([wanted], tmp_path) as answer:
            assert [(one.damage, one.part.size) for one in answer.documents] == [("", size)]
        assert max(uploaded, resident(pid, "VmHWM")) < 100 * MB


# --------------------------------------------------------------------------------------------------------------- replay


def post(url: str, octets: bytes) -> str:
    """ "" when the message was answered, else the rule of the fault."""
    request = urllib.request.Request(url, octets, {"Content-Type": "application/soap+xml", "Connection": "close"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            answer.read()
            return ""
    except HTTPError as error:
        return str(etree.fromstring(error.read()).xpath("string(//*[local-name()='Diagnosis']/@rule)"))


def messages(pki: Pki, url: str) -> Iterator[bytes]:
    while True:
        yield etree.tostring(peer.sign(peer.build(QUERY.encode(), ITI_18, url), pki.peer("carole")))


def _one_of_eight(url: str, pki: Pki, rounds: int) -> None:
    with ThreadPoolExecutor(8) as pool:
        for message in itertools.islice(messages(pki, url), rounds):
            verdicts = sorted(pool.map(lambda _, message=message: post(url, message), range(8)))  # type: ignore[misc]
            assert verdicts == ["", *["SIG-029"] * 7]


def test_of_eight_copies_at_once_one_passes(server: ServerProcess, pki: Pki, rounds: Callable[[int, int], int]) -> None:
    _one_of_eight(server.registry, pki, rounds(5, 200))


@pytest.mark.postgres
def test_of_eight_copies_at_once_over_two_workers_one_passes(pki: Pki, tmp_path: Path, rounds: Callable[[int, int], int]) -> None:
    with new_postgres_database() as url:
        announce(tmp_path / "data", database=url)
        with ServerProcess(tmp_path / "data", *options(pki), "--workers", "2", database=url) as server:
            _one_of_eight(server.registry, pki, rounds(10, 200))
            assert len(server.workers) == 2


def test_a_message_is_remembered_over_a_restart(pki: Pki, tmp_path: Path) -> None:
    announce(tmp_path / "data")
    server = ServerProcess(tmp_path / "data", *options(pki, "security.message_addresses=http://named.example.org"))
    message = next(messages(pki, "http://named.example.org/xds/registry"))
    with server:
        assert post(server.registry, message) == ""
    with server:
        assert post(server.registry, message) == "SIG-029"


def test_rows_go_when_they_are_of_no_use(store_url: str) -> None:
    from sqlalchemy import func, select

    prepare(store_url)
    database = open_database(store_url)
    count = select(func.count()).select_from(MESSAGE_SEEN)
    try:
        store, now = ReplayStore(database), datetime.now(UTC)
        assert store.first(b"a" * 32, now - timedelta(seconds=5))
        assert store.first(b"b" * 32, now + timedelta(seconds=500))
        assert not store.first(b"b" * 32, now + timedelta(seconds=500))
        assert ReplayStore(database).first(b"c" * 32, now)  # another process, which clears at its first message
        with database.read() as connection:
            assert connection.execute(count)[0][0] == 2
        store.message(b"der", "urn:uuid:1", now + timedelta(seconds=500))()
        store.message(b"another", "urn:uuid:1", now + timedelta(seconds=500))()
        for one in (store, ReplayStore(database)):  # the same process, and another one afterwards
            with pytest.raises(Denied, match="SIG-029"):
                one.message(b"der", "urn:uuid:1", now + timedelta(seconds=500))
        with database.read() as connection:
            assert connection.execute(count)[0][0] == 4
    finally:
        database.close()


def test_of_two_processes_on_one_file_one_passes(tmp_path: Path) -> None:
    """Where each has a memory of its own, the index decides before an answer leaves."""
    prepare(f"sqlite:///{tmp_path}/store.sqlite")
    databases = [open_database(f"sqlite:///{tmp_path}/store.sqlite") for _ in range(2)]
    try:
        until = datetime.now(UTC) + timedelta(seconds=500)
        first, second = (ReplayStore(database) for database in databases)
        first.message(b"der", "urn:uuid:1", until)()
        settle = second.message(b"der", "urn:uuid:1", until)
        with pytest.raises(Denied, match="SIG-029"):
            settle()
    finally:
        for database in databases:
            database.close()


def test_without_the_database_nothing_is_accepted(pki: Pki, tmp_path: Path) -> None:
    from security.signer import Enrolled
    from soap.signing import RequestVerifier
    from tests.soap.messages import Recorder, Sent

    def gone(der: bytes, message_id: str, until: datetime) -> None:
        raise StorageUnavailable("the server closed the connection")

    verifier = RequestVerifier(MessageVerifier(pki.trust.refresh, Enrolled()), gone, required=True)
    recorder = Recorder(tmp_path, verifier=verifier)
    message = next(messages(pki, "http://xds.example.org/xds/registry"))
    answer = recorder.post(Sent("/xds/registry", "application/soap+xml", message))
    assert (b"SRV-003" in answer.body, recorder.calls) == (True, [])


# ------------------------------------------------------------------------------------------------------------- settings


def settings(**rows: str) -> object:
    return load(options={key.replace("__", "."): value for key, value in rows.items()}, environ={})


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ({"security__signed_messages": "require"}, "needs authorities"),
        ({"security__sign_answers": "always"}, "needs a certificate"),
        ({"security__signing_certificate": "x.pem"}, "set together"),
        (
            {"security__signing_certificate": "no.pem", "security__signing_key": "no.key"},
            "cannot be signed with certificate no.pem",
        ),
        ({"security__message_addresses": "xds.example.org"}, "'xds.example.org' is no base address"),
        ({"security__message_addresses": "https://a.example.org, https://b.example.org/x?y"}, "b.example.org/x.y' is no base"),
    ],
)
def test_settings_that_cannot_be_used_are_told_at_the_start(rows: dict[str, str], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        check(settings(**rows))  # type: ignore[arg-type]


def test_without_a_key_answers_are_not_signed() -> None:
    plain = settings()
    check(plain)  # type: ignore[arg-type]
    assert signer_of(plain) is None  # type: ignore[arg-type]


def test_the_signing_key_is_replaced_while_it_is_used(tmp_path: Path) -> None:
    authority = TestAuthority.create(tmp_path / "pki")
    for name in ("one", "two"):
        authority.issue("server", name, key_type="ec")
    certificate, key = tmp_path / "live.crt", tmp_path / "live.key"

    def put(source: str, target: Path) -> None:
        partial = target.with_suffix(".new")
        partial.write_bytes((tmp_path / "pki" / f"{source}{target.suffix}").read_bytes())
        partial.replace(target)

    put("one", certificate)
    put("one", key)
    signer = LiveSigner(certificate, key)
    first = signer().certificate
    put("two", certificate)
    assert signer().certificate == first  # the pair does not fit together yet: the old one stays
    put("two", key)
    assert signer().certificate != first
