"""Fixtures for whoever tests a document source or consumer with pytest; installed with Carnet, no import needed.

    def test_my_export(carnet_server, carnet_patient, carnet_messages):
        my_software.export(carnet_patient.cx, to=carnet_server.repository)
        message = carnet_messages.wait(1)[0]
        assert message.accepted, message.explain()
        assert message.found == []                 # the check found nothing to mend

`carnet_server` starts once for a test run, as a process beside the tests, on a scratch store; `--carnet-url URL` uses a server
that runs elsewhere (then `--carnet-patient CX` names the patient, and no messages are captured).
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from server.sample_people import Patient

_SANDBOX = "tests"
START_SECONDS = 60.0
_ADDRESS = re.compile(r"all\s+(http://\S+?)/\s*$")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("carnet", "a Carnet server for tests")
    group.addoption("--carnet-url", metavar="URL", help="use this server (http://host:port) instead of starting one")
    group.addoption("--carnet-patient", metavar="CX", help="a patient that the server of --carnet-url knows")


@dataclass(frozen=True, slots=True)
class CarnetServer:
    """A running server. `folder` holds what it captures; None for a server of `--carnet-url`."""

    url: str
    folder: Path | None = None

    @property
    def registry(self) -> str:
        """Address of ITI-18, ITI-42, ITI-57, ITI-62."""
        return f"{self.url}/xds/registry"

    @property
    def repository(self) -> str:
        """Address of ITI-41, ITI-43, ITI-86."""
        return f"{self.url}/xds/repository"


@dataclass(frozen=True, slots=True)
class CarnetPatient:
    """A patient that the server knows. `cx` is the id as queries and metadata want it; the rest is empty with `--carnet-url`."""

    cx: str
    family: str = ""
    given: str = ""
    born: str = ""
    sex: str = ""


@dataclass(frozen=True, slots=True)
class CarnetDocument:
    """A sample document of the patient: its octets, and values its metadata may take."""

    name: str
    content: bytes
    mime_type: str
    title: str
    unique_id: str


@dataclass(frozen=True, slots=True)
class CarnetFinding:
    """One finding of the check: rule, level (error, warning, tolerated, advice), place in the request, what to mend."""

    rule: str
    level: str
    line: int
    column: int
    message: str
    remedy: str

    def __str__(self) -> str:
        message = self.message if self.message.endswith((".", "!", "?")) else f"{self.message}."
        return f"{self.rule} ({self.level}), line {self.line}:{self.column}: {message} {self.remedy}".rstrip()


@dataclass(frozen=True, slots=True)
class CarnetMessage:
    """One message that the server received in this test.

    `request` and `response` are the HTTP messages, whole; `status` is Success, PartialSuccess, Failure or empty for a
    fault; `refusals` are the texts that were answered; `found` is what the check finds in the request.
    """

    number: int
    transaction: str
    status: str
    http_status: int
    request: bytes
    response: bytes
    refusals: tuple[str, ...]
    found: list[CarnetFinding]

    @property
    def accepted(self) -> bool:
        return self.status == "Success"

    def explain(self) -> str:
        """Everything to read when a test fails."""
        head = f"{self.transaction or 'message'} {self.number}: {self.status or 'fault'}, HTTP {self.http_status}"
        return "\n".join([head, *self.refusals, *map(str, self.found)])


class CarnetMessages:
    """What the server has received since the test began."""

    def __init__(self, folder: Path) -> None:
        from server.capture import Messages

        self._messages = Messages(folder)
        self._before = self._messages.last  # one that is still on its way is of the test before

    def wait(self, count: int, seconds: float = 60.0) -> list[CarnetMessage]:
        """The messages of this test, once the first `count` are there; the test fails when they have not come in `seconds`.

        A message is kept just after its answer has gone out, so that a later one may be there before an earlier one.
        """
        ends = time.monotonic() + seconds
        while True:
            found = self.all()
            if len(found) >= count and (count == 0 or found[count - 1].number == self._before + count):
                return found
            if time.monotonic() > ends:
                pytest.fail(f"{count} messages were expected, {len(found)} came in {seconds:.0f} s")
            time.sleep(0.02)

    def all(self) -> list[CarnetMessage]:
        """Those that are here now."""
        from conformance.check import check_octets

        made = []
        for one in self._messages:
            if one.number <= self._before:
                continue
            request = self._messages.request(one.number)
            found = [
                CarnetFinding(f.rule, f.level.value, f.line, f.column, f.message, f.remedy) for f in check_octets(request).found
            ]
            refusals = tuple(f"{each['code']}: {each['text']}" for each in one.findings)
            if one.fault:
                refusals = (one.fault_text, *refusals)
            made.append(
                CarnetMessage(
                    one.number, one.transaction, one.status, one.http_status, request, self._messages.response(one.number),
                    refusals, found,
                )
            )  # fmt: skip
        return made


# -------------------------------------------------------------------------------------------------------------- fixtures


@pytest.fixture(scope="session")
def carnet_server(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CarnetServer]:
    """A registry and repository on a free port of this machine, with a store that goes with the test run."""
    given = pytestconfig.getoption("--carnet-url")
    if given:
        yield CarnetServer(given.rstrip("/"))
        return
    data = tmp_path_factory.mktemp("carnet")
    log = data / "server.log"
    program = [sys.executable, "-m", "server", "conformance", "listen", "--vendor", _SANDBOX, "--port", "0"]
    program += ["--data", str(data / "v")]
    with log.open("w") as errors:
        process = subprocess.Popen(program, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True)
    try:
        assert process.stdout is not None
        address = next((found[1] for line in process.stdout if (found := _ADDRESS.search(line))), None)
        if address is None:
            pytest.fail(f"the Carnet server has not started:\n{log.read_text()}")
        yield CarnetServer(f"{address}/v/{_SANDBOX}", data / "v" / _SANDBOX / "messages")
    finally:
        process.terminate()
        process.wait(START_SECONDS)


@pytest.fixture
def carnet_patient(carnet_server: CarnetServer, pytestconfig: pytest.Config, request: pytest.FixtureRequest) -> CarnetPatient:
    """A patient of this test's own, with a valid test INS, whom the server knows."""
    if carnet_server.folder is None:
        given = pytestconfig.getoption("--carnet-patient")
        if not given:
            pytest.skip("--carnet-url needs --carnet-patient CX: a patient that this server knows")
        return CarnetPatient(given)
    patient = _patient(request.node.nodeid)
    data = urllib.parse.urlencode({"patient": patient.cx()}).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{carnet_server.url}/patients", data), timeout=START_SECONDS):
        pass
    return CarnetPatient(patient.cx(), patient.family, patient.given[0], f"{patient.birth:%Y%m%d}", patient.sex)


def _patient(test: str) -> Patient:
    """Always the same person for the same test."""
    from server.sample_people import make_patients

    return make_patients(1, seed=int.from_bytes(hashlib.sha256(test.encode()).digest()[:4], "big"))[0]


@pytest.fixture
def carnet_documents(request: pytest.FixtureRequest, carnet_patient: CarnetPatient) -> Sequence[CarnetDocument]:
    """Sample documents of the patient: valid CDA of several kinds, a PDF, a text."""
    from server.sample import make_documents

    patient = _patient(request.node.nodeid)
    return [
        CarnetDocument(one.file_name, one.data, one.kind.mime_type, one.description.title, one.description.uniqueId)
        for one in make_documents(patient, 10, seed=1)
    ]


@pytest.fixture
def carnet_messages(carnet_server: CarnetServer) -> CarnetMessages:
    """The messages that the server receives from now on, whole, with what was answered and what the check finds."""
    if carnet_server.folder is None:
        pytest.skip("messages are captured by a server that the tests start, not by that of --carnet-url")
    return CarnetMessages(carnet_server.folder)
