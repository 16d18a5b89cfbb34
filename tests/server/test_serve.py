"""The server as a user starts it: a document goes in, is found, comes out; what it says of itself; how it starts and stops."""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from security.pki import TestAuthority
from soap.client import Client, Reply, Wanted
from soap.client_errors import ClientError
from tests.server.exchange import GET_DOCUMENTS, PATIENT, announce, fetch, get, package
from tests.server_process import ROOT, ServerProcess

LARGE = os.urandom(300_000)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    data = tmp_path_factory.mktemp("serve") / "data"
    announce(data)
    with ServerProcess(data) as running:
        yield running


def sent_whole(server: ServerProcess, *contents: bytes) -> None:
    sent = package(*contents)
    reply = sent.send(server)
    assert reply.accepted, reply.errors
    assert fetch(server.repository, server.registry, sent) == dict(zip(sent.unique_ids, contents, strict=True))


def test_documents_go_in_are_found_and_come_out(server: ServerProcess) -> None:
    sent_whole(server, b"small", LARGE, b"")


def test_health_tells_json(server: ServerProcess) -> None:
    status, kind, body = get(server.url + "/health")
    assert (status, kind) == (200, "application/json")
    told = json.loads(body)
    assert (told["status"], told["role"], told["database"], told["documents"]) == ("ok", "all", "ok", "ok")
    assert told["version"]


def test_health_really_writes_and_says_what_fails_and_the_server_recovers(server: ServerProcess) -> None:
    staging = server.data / "tmp"
    aside = server.data / "aside"
    staging.rename(aside)
    try:
        status, body = 200, b""
        while status == 200:  # an answer of a moment ago may still be given
            status, _, body = get(server.url + "/health")
        assert status == 503
        told = json.loads(body)
        assert (told["status"], told["database"]) == ("unavailable", "ok")
        assert "cannot be written: No such file or directory" in told["documents"]
        reply = package(LARGE).send(server)
        assert [error.error_code for error in reply.errors] == ["XDSRepositoryError"]
    finally:
        aside.rename(staging)
    while status != 200:
        status, _, _ = get(server.url + "/health")
    sent_whole(server, LARGE)


def test_metrics_count_transactions_errors_and_paths(server: ServerProcess) -> None:
    sent = package(b"counted")
    assert sent.send(server).accepted
    assert not sent.send(server).accepted
    get(server.url + "/made/up/by/a/client")
    for count in (
        'carnet_transactions_total{outcome="SUCCESS",transaction="ITI-41"}',
        'carnet_errors_total{code="XDSDuplicateUniqueIdInRegistry",transaction="ITI-41"}',
        'carnet_http_requests_total{path="other",status="404"}',
    ):
        server.counted(count)
    status, kind, body = get(server.url + "/metrics")
    text = body.decode()
    assert status == 200 and kind.startswith("text/plain; version=0.0.4")
    assert "made/up" not in text and PATIENT.split("^")[0] not in text
    assert "carnet_store_free_bytes" in text


def test_a_damaged_document_is_not_delivered_and_raises_an_alarm(server: ServerProcess) -> None:
    content = os.urandom(120_000)
    sent = package(content)
    assert sent.send(server).accepted
    name = hashlib.sha256(content).hexdigest()
    file = server.data / "blobs" / name[:2] / name[2:4] / name
    file.write_bytes(b"?" + content[1:])
    assert fetch(server.repository, server.registry, sent) == {}
    server.counted('carnet_alarms_total{kind="damaged"}')
    server.told("alarm damaged")


def test_front_page_names_the_addresses(server: ServerProcess) -> None:
    status, kind, body = get(server.url + "/")
    assert status == 200 and kind.startswith("text/html")
    assert f"{server.registry}?wsdl" in body.decode() and f"{server.repository}?wsdl" in body.decode()


def test_wsdl_names_the_address_that_was_asked(server: ServerProcess) -> None:
    status, _, body = get(server.registry + "?wsdl")
    assert status == 200
    assert f'location="{server.registry}"' in body.decode()


def test_what_is_served_nowhere_is_404_with_the_addresses(server: ServerProcess) -> None:
    status, _, body = get(server.url + "/xds/nothing")
    assert status == 404
    assert "/xds/registry" in body.decode()


def test_it_tells_what_to_type_next(server: ServerProcess) -> None:
    log = server.log()
    assert server.registry in log and server.repository in log
    assert "Type next:" in log
    line = log.split("Type next:\n")[1].strip().splitlines()[0]
    assert "patient add" in line and str(server.data) in line
    shown = subprocess.run(line, shell=True, capture_output=True, text=True, cwd=server.data, timeout=300, check=False)
    assert shown.returncode == 0, shown.stderr
    assert "added" in shown.stdout


def test_an_idle_worker_takes_at_most_80_mb(server: ServerProcess) -> None:
    for pid in server.workers:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
        resident = int(status.split("VmRSS:")[1].split()[0])
        assert resident <= 80 * 1024


def test_what_was_stored_is_there_after_a_restart_under_the_same_repository_id(tmp_path: Path) -> None:
    announce(tmp_path / "data")
    server = ServerProcess(tmp_path / "data")
    sent = package(b"kept", LARGE)
    with server:
        assert sent.send(server).accepted
    with server:
        assert fetch(server.repository, server.registry, sent) == dict(zip(sent.unique_ids, (b"kept", LARGE), strict=True))


def test_an_unknown_patient_is_told_with_the_command_that_makes_it_known(server: ServerProcess) -> None:
    reply = package(b"x", patient_id="unheard-of^^^&1.2.3.4.5&ISO").send(server)
    assert [error.error_code for error in reply.errors] == ["XDSUnknownPatientId"]
    assert "patient add" in reply.errors[0].code_context


def test_sigterm_under_load_fails_no_request(tmp_path: Path) -> None:
    """Eight clients submit without pause; at SIGTERM each request that was begun is answered, none is lost after its answer."""
    announce(tmp_path / "data")
    server = ServerProcess(tmp_path / "data").start()
    stopping = threading.Event()
    begun = threading.Barrier(9)
    contents = [os.urandom(size) for size in (2_000, 90_000)]

    def submit_until_stopped(_: int) -> tuple[list[tuple[str, ...]], list[Reply]]:
        accepted: list[tuple[str, ...]] = []
        refused: list[Reply] = []
        first = True
        while True:
            sent = package(*contents)
            try:
                reply = sent.send(server)
            except ClientError as error:
                # Nobody listens any more. Whoever was let in before has been answered.
                assert stopping.is_set() and "refused" in str(error), error
                return accepted, refused
            if reply.accepted:
                accepted.append(sent.unique_ids)
            else:
                refused.append(reply)
            if first:
                first = False
                begun.wait(60)

    with ThreadPoolExecutor(8) as pool:
        results = [pool.submit(submit_until_stopped, number) for number in range(8)]
        begun.wait(60)
        stopping.set()
        server.stop()
        outcomes = [result.result() for result in results]
    assert [refused for _, refused in outcomes] == [[]] * 8
    with server:
        for accepted, _ in outcomes:
            for unique_ids in accepted:
                with Client(server.repository, server.registry) as client:
                    asked = ",".join(f"'{one}'" for one in unique_ids)
                    found = client.query(GET_DOCUMENTS, [("$XDSDocumentEntryUniqueId", [f"({asked})"])])
                    assert {e.uniqueId for e in found.objects.documentEntries} == set(unique_ids)


# ------------------------------------------------------------------------------------------------------------- how it starts


def refused_start(data: Path, *arguments: str, environ: dict[str, str] | None = None) -> str:
    """What `serve` prints when it does not start; the exit status must not be 0."""
    line = [sys.executable, "-m", "server", "serve", "--data", str(data), "--port", "0", *arguments]
    done = subprocess.run(
        line, cwd=data.parent, env={**os.environ, "PYTHONPATH": str(ROOT), **(environ or {})},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode in (1, 2), done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--set", "limits.dept=4"), ("limits.dept", "did you mean limits.depth")),
        (("--set", "limits.depth=1"), ("command line", "limits.depth", "16 to 4096")),
        (("--patients", "some"), ("domain.patients", "known", "open")),
        (("--role", "repository"), ("role.registry_url", "--registry")),
        (("--role", "repository", "--registry", "registry"), ("role.registry_url", "'registry'", "http://host:port/path")),
        (("--workers", "2"), ("server.workers", "PostgreSQL")),
        (("--database", "mysql://x/y"), ("store.database", "postgresql+psycopg://")),
        (("--set", "domain.rules=NO-1=off"), ("domain.rules", "NO-1")),
        (("--set", "domain.rules=DE-416=perhaps"), ("domain.rules", "perhaps", "refuse", "warn", "off")),
        (("--set", "domain.wire_rows=WIRE-0=note"), ("domain.wire_rows", "WIRE-0")),
        (("--database", "postgresql+psycopg://nobody@127.0.0.1:1/none"), ("store.database", "127.0.0.1")),
        (("--host", "203.0.113.1"), ("server.host", "203.0.113.1")),
    ],
)
def test_what_cannot_be_used_is_refused_at_start(tmp_path: Path, arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    told = refused_start(tmp_path / "data", *arguments)
    assert all(word in told for word in words), told


def test_a_taken_port_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        told = refused_start(tmp_path / "data", "--port", str(other.getsockname()[1]))
    assert "server.port" in told and "--port" in told


def test_a_store_that_another_server_serves_is_told(server: ServerProcess) -> None:
    told = refused_start(server.data)
    assert str(server.data) in told and "another server" in told and "--data" in told


def test_what_to_type_next_is_a_command_where_every_patient_is_known(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data", "--patients", "open") as server:
        line = server.log().split("Type next:\n")[1].strip().splitlines()[0]
        shown = subprocess.run(line, shell=True, capture_output=True, text=True, cwd=tmp_path, timeout=300, check=False)
    assert (shown.returncode, shown.stderr) == (0, ""), shown.stderr
    assert " query " in line


def test_what_a_secured_repository_apart_says_to_type_next_shows_a_certificate(tmp_path: Path) -> None:
    authority = TestAuthority.create(tmp_path / "pki")
    authority.issue("server", "server", key_type="ec")
    apart = ("--role", "repository", "--registry", "https://localhost:1/xds/registry")
    server = ServerProcess(tmp_path / "data", "--secure", "--pki", str(authority.folder), *apart)
    with server.start(healthy=False):
        line = server.log().split("Type next:\n")[1].strip().splitlines()[0]
        shown = subprocess.run(f"{line} --silent", shell=True, capture_output=True, text=True, timeout=300, check=False)
    assert shown.returncode == 0 and '"ok"' in shown.stdout, line + shown.stderr


def test_a_store_that_is_no_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("not a folder")
    assert "store.data" in refused_start(tmp_path / "data")


def test_a_store_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    from storage.sqlite import driver

    announce(tmp_path / "data")
    database = driver.connect(tmp_path / "data" / "carnet.sqlite")
    database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.commit()
    database.close()
    assert "newer" in refused_start(tmp_path / "data")


def test_file_environment_and_options_in_this_order(tmp_path: Path) -> None:
    file = tmp_path / "site.toml"
    file.write_text('[domain]\npatients = "open"\n[limits]\nquery_results = 1\nretrieve_documents = 7\n')
    environ = {"CARNET_LIMITS_QUERY_RESULTS": "2"}
    line = ("--config", str(file), "--set", "limits.retrieve_documents=1")
    with ServerProcess(tmp_path / "data", *line, environ=environ) as server:
        two, three = package(b"1", b"2"), package(b"1", b"2", b"3")
        assert two.send(server).accepted and three.send(server).accepted  # patients = open, from the file
        with Client(server.repository, server.registry) as client:
            asked = ",".join(f"'{one}'" for one in three.unique_ids)
            answer = client.query(GET_DOCUMENTS, [("$XDSDocumentEntryUniqueId", [f"({asked})"])])
            assert [error.error_code for error in answer.errors] == ["XDSTooManyResults"]  # 2, from the environment
            assert "more than 2 objects" in answer.errors[0].code_context
            with client.retrieve([Wanted("1.2.3", one) for one in two.unique_ids]) as retrieved:
                assert "at most 1" in retrieved.errors[0].code_context  # from the command line


def test_an_open_address_without_tls_warns_and_the_access_log_tells_no_secret(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data", "--host", "0.0.0.0", "--set", "server.access_log=true") as server:
        assert "warning: listens on 0.0.0.0 without TLS" in server.log()
        status, _, _ = get(server.url.replace("0.0.0.0", "127.0.0.1") + "/metrics?patient=4711")
        assert status == 200
    assert "127.0.0.1 GET /metrics 200 " in server.log()
    assert "4711" not in server.log().replace("'4711^^^", "")


def test_the_log_tells_of_refusals_and_first_notes_without_a_patient(tmp_path: Path) -> None:
    announce(tmp_path / "data")
    with ServerProcess(tmp_path / "data") as server:
        assert package(b"x").send(server).accepted
        server.counted('carnet_transactions_total{outcome="SUCCESS",transaction="ITI-41"}')  # after what might be told of it
        silent = server.log()
        assert not package(b"x", patient_id="secret-4711^^^&1.2.3.4.5&ISO").send(server).accepted
        server.told("XDSUnknownPatientId [PAT-003]")  # before the next ones
        for _ in range(2):
            send = urllib.request.Request(server.registry, b"<secret-4711/>", {"Content-Type": "application/soap+xml"})
            with pytest.raises(urllib.error.HTTPError):
                urllib.request.urlopen(send, timeout=60)
    assert "carnet.exchange" not in silent
    told = [line for line in server.log().splitlines() if "carnet.exchange" in line]
    assert re.search(r"ITI-41 from 127\.0\.0\.1 urn:uuid:[0-9a-f-]{36} FAILURE: XDSUnknownPatientId \[PAT-003\]$", told[0])
    assert [line.partition("carnet.exchange: ")[2] for line in told[1:]] == [
        "POST from 127.0.0.1 FAULT, HTTP 500: WIRE-023-other"
    ] * 2
    assert "4711" not in "".join(told)


@pytest.mark.parametrize(("readers", "status"), [("nobody", 403), ("everyone", 200)])
def test_metrics_are_given_to_whom_the_setting_says(tmp_path: Path, readers: str, status: int) -> None:
    with ServerProcess(tmp_path / "data", "--set", f"server.metrics={readers}") as server:
        assert get(server.url + "/metrics")[0] == status


def test_no_room_above_the_headroom(tmp_path: Path) -> None:
    announce(tmp_path / "data")
    server = ServerProcess(tmp_path / "data", "--set", f"store.headroom={2**40}").start(healthy=False)
    with server:
        status, _, body = get(server.url + "/health")
        assert status == 503 and "no room left" in json.loads(body)["documents"]
        for content in (b"small", LARGE):
            reply = package(content).send(server)
            assert [error.error_code for error in reply.errors] == ["XDSRepositoryOutOfResources"], reply.errors


def test_more_requests_than_it_takes_on_are_answered_503(tmp_path: Path) -> None:
    few = ("--set", "server.threads=3", "--set", "server.busy=1", "--set", "server.uploads=1")
    with ServerProcess(tmp_path / "data", *few) as server:
        host, port = server.url.removeprefix("http://").split(":")
        head = b"POST /xds/repository HTTP/1.1\r\nHost: x\r\nContent-Type: application/soap+xml\r\nConnection: close\r\n"
        with socket.create_connection((host, int(port)), timeout=60) as first:
            first.sendall(head + b"Content-Length: 200000\r\n\r\n" + b" " * 100_000)
            answer = b"HTTP/1.1 4"
            while answer.startswith(b"HTTP/1.1 4"):  # until the first one has got its place
                with socket.create_connection((host, int(port)), timeout=60) as second:
                    second.sendall(head + b"Content-Length: 0\r\n\r\n")
                    answer = second.recv(65536)
            assert answer.startswith(b"HTTP/1.1 503 ") and b"Retry-After: " in answer
            assert get(server.url + "/health")[0] == 200
