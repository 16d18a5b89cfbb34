"""The reference material's own messages, sent as they are in the files, in the order in which they make sense."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nist.target import add_patients
from tests.nist.wire import RIM, Answer, post
from tests.server_process import ServerProcess

PATIENT = "pat-0001^^^&1.3.6.1.4.1.21367.13.20.1000&ISO"
REPOSITORY = "1.19.6.24.109.42.1"


@pytest.fixture(scope="module")
def samples(shared: Path) -> Path:
    return shared / "data" / "samples-soap"


@pytest.fixture(scope="module")
def server(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One that has been given what the submission samples hold."""
    data = tmp_path_factory.mktemp("samples") / "data"
    with ServerProcess(data, environ={"CARNET_ROLE_REPOSITORY_UNIQUE_ID": REPOSITORY}) as running:
        add_patients(data)([PATIENT])
        mtom = (samples / "iti41-provide-mtom.mime").read_bytes()
        content_type = (samples / "iti41-provide-mtom.content-type.txt").read_text(encoding="ascii").strip()
        assert post(running.repository, content_type, mtom).status == "Success"
        assert send_packed(running.repository, samples / "iti41-provide-inline-base64.soap.xml").status == "Success"
        assert send(running.registry, samples / "iti42-register.soap.xml").status == "Success"
        yield running


def send(url: str, file: Path) -> Answer:
    return post(url, "application/soap+xml; charset=UTF-8", file.read_bytes())


def send_packed(url: str, file: Path) -> Answer:
    """The file as the root, and only, part of an MTOM package."""
    head = b'--b\r\nContent-Type: application/xop+xml; charset=UTF-8; type="application/soap+xml"\r\nContent-ID: <r>\r\n\r\n'
    content_type = 'multipart/related; boundary=b; type="application/xop+xml"; start="<r>"; start-info="application/soap+xml"'
    return post(url, content_type, head + file.read_bytes() + b"\r\n--b--\r\n")


def test_a_submission_without_a_package_is_refused(server: ServerProcess, samples: Path) -> None:
    """ITI TF-2: Appendix V.8 gives ITI-41 MTOM; the answer says how to send it."""
    answer = send(server.repository, samples / "iti41-provide-inline-base64.soap.xml")
    assert answer.status == "Fault" and 'multipart/related; type="application/xop+xml"' in answer.fault


@pytest.mark.parametrize(
    ("name", "element", "count"),
    [
        ("finddocuments-leafclass", "ExtrinsicObject", 3),
        ("finddocuments-objectref", "ObjectRef", 3),
        ("finddocuments-timerange", "ExtrinsicObject", 3),
        ("finddocuments-codes-and", "ExtrinsicObject", 0),
        ("getall", "RegistryPackage", 3),
        ("getdocuments-uniqueid", "ExtrinsicObject", 1),
    ],
)
def test_queries(server: ServerProcess, samples: Path, name: str, element: str, count: int) -> None:
    answer = send(server.registry, samples / f"iti18-{name}.soap.xml")
    assert (answer.http_status, answer.status) == (200, "Success")
    assert len(list(answer.body.iter(f"{{{RIM}}}{element}"))) == count


@pytest.mark.parametrize(
    ("name", "code"), [("neg-missing-status", "XDSStoredQueryMissingParam"), ("neg-unknown-query", "XDSUnknownStoredQuery")]
)
def test_refusals(server: ServerProcess, samples: Path, name: str, code: str) -> None:
    answer = send(server.registry, samples / f"iti18-{name}.soap.xml")
    assert (answer.status, answer.codes) == ("Failure", [code])


@pytest.mark.parametrize("packed", [True, False])
def test_retrieval(server: ServerProcess, samples: Path, packed: bool) -> None:
    """In either form, and answered in the form of the request."""
    answer = (send_packed if packed else send)(server.repository, samples / "iti43-retrieve.soap.xml")
    assert answer.status == "Success"
    assert answer.content_type.startswith("multipart/related" if packed else "application/soap+xml")
    (document,) = answer.documents().values()
    assert document.content == (samples / "doc.txt").read_bytes()
