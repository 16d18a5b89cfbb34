"""`carnet demo`: everything once, on a scratch store: a server of its own, documents in, found, out again, bytes compared."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from metadata.fragments import build_submit_objects_request
from metadata.query_table import FIND_DOCUMENTS
from metadata.vocabulary import AvailabilityStatus
from server.commands.connection import Failed, print_errors, size_text, status_word
from server.commands.found import print_objects
from server.commands.submit import SOURCE_ID
from server.description import build_submission, document_id
from server.launcher import program
from server.sample import SampleDocument, make_documents
from server.sample_people import Patient, make_patients
from soap.client import Client, Content, Found, Wanted, addresses
from soap.client_errors import ClientError

_START_SECONDS = 60
_STOP_SECONDS = 30
_ADDRESS = re.compile(r"(https?://[^\s/]+)/")
T = TypeVar("T")
_ROOT = Path(__file__).resolve().parents[2]


@click.command("demo")
@click.option("--seed", type=int, default=1, show_default=True, help="Another seed, other patients and documents.")
def command(seed: int) -> None:
    """Start a server on a scratch store, submit, query and retrieve generated documents, and show each step.

    Nothing is left behind. Exit status 0 when every document came back byte for byte.
    """
    started = time.monotonic()
    patient, stranger = make_patients(2, seed)
    documents = list(make_documents(patient, 10, seed))
    with tempfile.TemporaryDirectory(prefix="carnet-demo-") as scratch:
        store = Path(scratch) / "store"
        _step("1. A patient", f"{patient.given[0]} {patient.family}, born {patient.birth:%d.%m.%Y}, INS {patient.ins}")
        _run("patient", "add", patient.cx(), "--data", str(store))
        server = Server(store)
        try:
            url = server.start()
            _step("2. A server", f"registry and repository at {url}, store in {store}")
            with Client(*addresses(url), timeout=_START_SECONDS) as client:
                _steps(client, patient, stranger, documents)
        except ClientError as error:
            raise Failed(f"{error}\n{server.log()}") from None
        finally:
            server.stop()
    click.echo()
    seconds = time.monotonic() - started
    click.secho(f"All of it worked, in {seconds:.1f} seconds. Now with your own: {program()} serve", fg="green", bold=True)


def _steps(client: Client, patient: Patient, stranger: Patient, documents: list[SampleDocument]) -> None:
    total = sum(len(document.data) for document in documents)
    _step("3. Submit", f"{len(documents)} documents, {size_text(total)}, in one submission (ITI-41, MTOM)")
    _timed(lambda: _submit(client, documents))
    _step("4. Query", f"FindDocuments of {patient.cx()} (ITI-18)")
    found = _timed(lambda: _find(client, patient))
    print_objects(found.objects)
    _step("5. Retrieve", f"all {len(documents)} in one request (ITI-43), hash and size checked against the metadata")
    _timed(lambda: _retrieve(client, found, documents))
    _step("6. Refuse", f"a document of {stranger.given[0]} {stranger.family}, whom nobody has announced")
    _refuse(client, list(make_documents(stranger, 1, 1)))


def _submit(client: Client, documents: list[SampleDocument]) -> None:
    reply = client.provide(*_message(documents))
    if not reply.accepted:
        print_errors(reply.response)
        raise Failed(f"the repository answered {status_word(reply.response)}")


def _message(documents: list[SampleDocument]) -> tuple[bytes, list[Content]]:
    submission = build_submission([document.description for document in documents], source_id=SOURCE_ID)
    contents = [Content(document_id(n), d.description.mimeType, d.data) for n, d in enumerate(documents)]
    return build_submit_objects_request(submission), contents


def _find(client: Client, patient: Patient) -> Found:
    found = client.query(
        FIND_DOCUMENTS.id,
        [
            ("$XDSDocumentEntryPatientId", [f"'{patient.cx()}'"]),
            ("$XDSDocumentEntryStatus", [f"('{AvailabilityStatus.APPROVED.urn}')"]),
        ],
    )
    if not found.accepted:
        print_errors(found.response)
        raise Failed(f"the registry answered {status_word(found.response)}")
    return found


def _retrieve(client: Client, found: Found, documents: list[SampleDocument]) -> None:
    entries = found.objects.documentEntries
    wanted = [Wanted(e.repositoryUniqueId or "", e.uniqueId or "", hash=e.hash or "", size=e.size or "") for e in entries]
    sent = {document.description.uniqueId: document for document in documents}
    with client.retrieve(wanted) as retrieved:
        print_errors(retrieved.response)
        same = 0
        for document in retrieved.documents:
            equal = not document.damage and document.bytes() == sent.pop(document.documentUniqueId).data
            same += equal
            if not equal:
                click.echo(f"   {document.documentUniqueId} differs: {document.damage or 'other bytes'}", err=True)
    if sent or same != len(documents):
        raise Failed(f"{same} of {len(documents)} documents came back as they were sent; missing: {', '.join(sent) or 'none'}")
    click.echo(f"   {same} of {len(documents)} documents came back byte for byte")


def _refuse(client: Client, documents: list[SampleDocument]) -> None:
    reply = client.provide(*_message(documents))
    if reply.accepted:
        raise Failed("a document of an unknown patient was accepted")
    for error in reply.errors[:1]:
        click.echo(f"   {error.error_code}: {error.code_context}")


def _step(title: str, text: str) -> None:
    click.echo()
    click.secho(title, bold=True)
    click.echo(f"   {text}")


def _timed(work: Callable[[], T]) -> T:
    begin = time.monotonic()
    result = work()
    click.echo(f"   done in {(time.monotonic() - begin) * 1000:.0f} ms")
    return result


# ------------------------------------------------------------------------------------------------------ a server of its own


def _environment() -> dict[str, str]:
    """Settings of the caller's environment are left out: the demonstration has its own."""
    groups = re.compile(r"CARNET_(SERVER|STORE|ROLE|DOMAIN|LIMITS)_")
    kept = {name: value for name, value in os.environ.items() if not groups.match(name)}
    return {**kept, "PYTHONPATH": str(_ROOT), "PYTHONUNBUFFERED": "1"}


def _run(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "server", *arguments], env=_environment(), capture_output=True, text=True, check=False, cwd=os.sep
    )
    if done.returncode:
        raise Failed(f"carnet {' '.join(arguments[:2])} ended with {done.returncode}:\n{done.stdout}{done.stderr}")


class Server:
    """`carnet serve` as a process on a free port, as a user starts it."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._process: subprocess.Popen[str] | None = None
        self._log = store.parent / "server.log"

    def start(self) -> str:
        """Its base URL, once it has printed it. Raises Failed when it ends or says nothing for a minute."""
        command = [sys.executable, "-m", "server", "serve", "--data", str(self._store), "--port", "0"]
        with self._log.open("w", encoding="utf-8") as log:
            self._process = subprocess.Popen(
                command, env=_environment(), stdout=log, stderr=log, text=True, cwd=self._store.parent
            )
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            match = _ADDRESS.search(self.log())
            if match:
                return match[1]
            time.sleep(0.05)
        raise Failed(f"the server has not started:\n{self.log()}")

    def log(self) -> str:
        """What it has printed so far."""
        return self._log.read_text(encoding="utf-8", errors="replace") if self._log.exists() else ""

    def stop(self) -> None:
        """SIGTERM, and SIGKILL when that does not help."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
