"""Repository and registry in one process and in two: a Document Source cannot tell which it was."""

from __future__ import annotations

import hashlib
import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from metadata.fragments import build_submit_objects_request
from server.__main__ import program
from server.description import Replacement, build_submission, document_id
from server.registry_view import RemoteView
from soap.client import Client, Content, Reply
from soap.client_errors import ClientError
from tests.ports import free_port
from tests.server.exchange import announce, described, fetch, get, package
from tests.server_process import ServerProcess

REPOSITORY_ID = ("--set", "role.repository_unique_id=1.2.3.4.5.6.7")


@dataclass(frozen=True, slots=True)
class Apart:
    """A repository whose registry is another process, and both in one."""

    registry: ServerProcess
    repository: ServerProcess
    together: ServerProcess


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apart]:
    home = tmp_path_factory.mktemp("apart")
    for name in ("registry", "together"):
        announce(home / name)
    with (
        ServerProcess(home / "registry", "--role", "registry") as registry,
        ServerProcess(home / "repository", "--role", "repository", "--registry", registry.registry, *REPOSITORY_ID) as repository,
        ServerProcess(home / "together", *REPOSITORY_ID) as together,
    ):
        yield Apart(registry, repository, together)


Message = tuple[bytes, tuple[Content, ...]]


def _message(*contents: bytes, change: Callable[[bytes], bytes] = lambda xml: xml, **attributes: object) -> Message:
    entries = [described(**attributes) for _ in contents]  # type: ignore[arg-type]
    submission = build_submission(entries, source_id="1.2.3.4")
    documents = tuple(Content(document_id(n), "application/octet-stream", content) for n, content in enumerate(contents))
    return change(build_submit_objects_request(submission)), documents


def _slot(name: str, value: str) -> Callable[[bytes], bytes]:
    """Adds a Slot to the first DocumentEntry."""

    def change(xml: bytes) -> bytes:
        slot = f'<rim:Slot name="{name}"><rim:ValueList><rim:Value>{value}</rim:Value></rim:ValueList></rim:Slot>'
        return re.sub(rb"(<(?:rim:)?ExtrinsicObject[^>]*>)", rb"\1" + slot.encode(), xml, count=1)

    return change


def _replacing(entry_uuid: str) -> Message:
    submission = build_submission([described()], source_id="1.2.3.4", replacements=[Replacement(entry_uuid)])
    return build_submit_objects_request(submission), (Content(document_id(0), "application/octet-stream", b"new"),)


_LARGE = b"0123456789" * 20_000

CASES: dict[str, Callable[[], Message]] = {
    "good": lambda: _message(b"good"),
    "several, one of them a file": lambda: _message(b"one", _LARGE),
    "right hash and size": lambda: _message(b"", change=_slot("size", "0")),
    "unknown patient": lambda: _message(b"x", patient_id="nobody^^^&1.2.3.4.5&ISO"),
    "patient id without authority": lambda: _message(b"x", patient_id="4711"),
    "wrong hash": lambda: _message(b"x", change=_slot("hash", "0" * 40)),
    "wrong size": lambda: _message(b"x", change=_slot("size", "2")),
    "two faults in two places": lambda: _message(b"x", languageCode="", creationTime="yesterday"),
    "replaces what is unknown": lambda: _replacing("urn:uuid:11111111-2222-4333-8444-555555555555"),
    "entry without a document": lambda: (_message(b"x", b"y")[0], _message(b"x")[1]),
    "document without an entry": lambda: (_message(b"x")[0], _message(b"x", b"y")[1]),
    "no element of the schema": lambda: _message(b"x", change=lambda xml: xml.replace(b"</", b"<wrong/></", 1)),
}


def _told(server: ServerProcess, message: Message) -> tuple[object, ...]:
    """Everything that a Document Source sees of an answer, but for the host in the links to explanations: each server explains
    its own findings, so that what a registry elsewhere found is explained there."""
    with Client(repository=server.repository) as client:
        try:
            reply: Reply = client.provide(*message)
        except ClientError as error:
            return (type(error).__name__, _anywhere(str(error)))
    errors = [replace(error, code_context=_anywhere(error.code_context)) for error in reply.errors]
    return (reply.response.status_text, errors)


def _anywhere(text: str) -> str:
    return re.sub(r"http://127\.0\.0\.1:\d+/", "http://server/", text)


@pytest.mark.parametrize("name", CASES)
def test_the_answer_is_the_same(servers: Apart, name: str) -> None:
    message = CASES[name]()
    together = _told(servers.together, message)
    assert _told(servers.repository, message) == together
    good = name in ("good", "several, one of them a file", "right hash and size")
    assert str(together[0]).endswith("Success") is good, together
    # Once more: what was registered is a duplicate, what was refused is refused as before.
    assert _told(servers.repository, message) == _told(servers.together, message)


def test_a_link_leads_to_the_explanation_whoever_found_it(servers: Apart) -> None:
    for case, finder in (("unknown patient", servers.registry), ("wrong hash", servers.repository)):
        with Client(repository=servers.repository.repository) as client:
            (error,) = client.provide(*CASES[case]()).errors
        (link,) = re.findall(r"http://\S+", error.code_context)
        assert link.startswith(f"{finder.url}/explain/")
        status, _, page = get(link)
        assert status == 200 and link.rpartition("/")[2].encode() in page


def test_what_is_stored_apart_is_found_and_comes_out(servers: Apart) -> None:
    sent = package(b"apart", _LARGE)
    assert sent.send(servers.repository).accepted
    found = fetch(servers.repository.repository, servers.registry.registry, sent)
    assert found == dict(zip(sent.unique_ids, (b"apart", _LARGE), strict=True))


def test_each_serves_its_own_actor_only(servers: Apart) -> None:
    assert get(servers.registry.url + "/xds/repository?wsdl")[0] == 404
    assert get(servers.repository.url + "/xds/registry?wsdl")[0] == 404
    assert get(servers.registry.url + "/xds/iti42?wsdl")[0] == get(servers.repository.url + "/xds/iti43?wsdl")[0] == 200
    assert b'"role": "repository"' in get(servers.repository.url + "/health")[2]


def test_without_its_registry_a_repository_says_so_and_goes_on_when_it_is_back(tmp_path: Path) -> None:
    announce(tmp_path / "registry")
    port = str(free_port())
    first = ServerProcess(tmp_path / "registry", "--role", "registry", "--port", port).start()
    with ServerProcess(tmp_path / "repository", "--role", "repository", "--registry", first.registry) as repository:
        before, during = package(b"before"), package(b"during", _LARGE)
        assert before.send(repository).accepted
        first.stop()
        reply = during.send(repository)
        assert [error.error_code for error in reply.errors] == ["XDSRegistryNotAvailable"]
        assert "Submit the same submission again" in reply.errors[0].code_context
        with ServerProcess(tmp_path / "registry", "--role", "registry", "--port", port):
            assert during.send(repository).accepted
            again = before.send(repository)
            assert [error.error_code for error in again.errors] == ["XDSDuplicateUniqueIdInRegistry"]


def test_check_store_of_a_repository_says_how_it_is_told_where_the_registry_is(servers: Apart) -> None:
    assert package(b"checked").send(servers.repository).accepted
    line = ["check-store", "--data", str(servers.repository.data), *REPOSITORY_ID]
    alone = CliRunner().invoke(program, line)
    assert alone.exit_code == 1 and "--role repository --registry URL" in alone.stderr
    told = CliRunner().invoke(program, [*line, "--role", "repository", "--registry", servers.registry.registry])
    assert told.exit_code == 0, told.output
    assert "--role" not in told.output


def test_a_registry_that_accepts_and_stays_silent_is_given_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/xds/registry"
        line = ("--role", "repository", "--registry", url, "--set", "role.registry_seconds=0.3")
        with ServerProcess(tmp_path / "repository", *line) as repository:
            reply = package(b"x").send(repository)
            assert [error.error_code for error in reply.errors] == ["XDSRegistryNotAvailable"]


def test_the_collector_asks_a_registry_elsewhere_what_it_knows(servers: Apart) -> None:
    sent = package(b"known")
    assert sent.send(servers.repository).accepted
    with Client(registry=servers.registry.registry) as client:
        view = RemoteView(client)
        known = view.registered([*sent.unique_ids, *(f"1.2.3.{number}" for number in range(150)), "it's^not there"])
        assert known == {sent.unique_ids[0]: {hashlib.sha1(b"known").hexdigest()}}
        assert list(view.documents()) == []
    with Client(registry="http://127.0.0.1:1/xds/registry") as nobody, pytest.raises(ClientError):
        RemoteView(nobody).registered(["1.2.3"])
