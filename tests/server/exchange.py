"""Documents to send and a patient to send them for, for tests of the server as a process."""

from __future__ import annotations

import urllib.request
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.error import HTTPError

from metadata.fragments import build_submit_objects_request
from metadata.hl7 import canonical_cx
from registry import patients
from server.description import Description, build_submission, document_id, new_oid
from server.preparation import prepare
from server.sample import make_documents
from server.sample_people import make_patients
from server.settings import load
from soap.client import Client, Content, Reply, Retrieved, Wanted
from storage.database import open_database
from tests.server_process import ServerProcess

GET_DOCUMENTS = "urn:uuid:5c4f972b-d56b-40ac-a5fc-c8ca9b40b9d4"
_DOCUMENT = next(iter(make_documents(make_patients(1, seed=7)[0], 1, seed=7))).description
PATIENT = canonical_cx(_DOCUMENT.patientId)
_SAMPLE = replace(_DOCUMENT, mimeType="application/octet-stream", sourcePatientId=canonical_cx(_DOCUMENT.sourcePatientId))


def described(patient_id: str = "", **changes: object) -> Description:
    """A valid DocumentEntry under a new uniqueId."""
    return replace(_SAMPLE, uniqueId=new_oid(), patientId=patient_id or PATIENT, **changes)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Package:
    """One submission, to be sent any number of times."""

    metadata: bytes
    documents: tuple[Content, ...]
    unique_ids: tuple[str, ...]

    def send(self, server: ServerProcess) -> Reply:
        with Client(repository=server.repository) as client:
            return client.provide(self.metadata, self.documents)


def package(*contents: bytes, patient_id: str = "") -> Package:
    """A new valid submission of these documents."""
    entries = [described(patient_id) for _ in contents]
    metadata = build_submit_objects_request(build_submission(entries, source_id="1.2.3.4"))
    documents = tuple(Content(document_id(n), "application/octet-stream", content) for n, content in enumerate(contents))
    return Package(metadata, documents, tuple(one.uniqueId for one in entries))


def announce(data: Path, cx: str = "", database: str = "") -> None:
    """What `carnet patient add` does."""
    settings = load(options={"store.data": str(data), "store.database": database or None}, environ={})
    prepare(settings)
    opened = open_database(settings.database_url())
    patients.add(opened, cx or PATIENT)
    opened.close()


def fetch(repository: str, registry: str, package: Package) -> dict[str, bytes]:
    """What the registry finds and the repository gives, by uniqueId."""
    with Client(repository, registry) as client:
        return fetch_by(client, package)


def fetch_by(client: Client, package: Package) -> dict[str, bytes]:
    """What `client` finds and is given, by uniqueId."""
    asked = ",".join(f"'{one}'" for one in package.unique_ids)
    found = client.query(GET_DOCUMENTS, [("$XDSDocumentEntryUniqueId", [f"({asked})"])])
    wanted = [Wanted(e.repositoryUniqueId or "", e.uniqueId or "") for e in found.objects.documentEntries]
    if not wanted:
        return {}
    answer: Retrieved
    with client.retrieve(wanted) as answer:
        return {one.documentUniqueId: one.bytes() for one in answer.documents}


def get(url: str) -> tuple[int, str, bytes]:
    """Status, media type and body of a GET."""
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read()
    except HTTPError as error:
        return error.code, error.headers["Content-Type"], error.read()
