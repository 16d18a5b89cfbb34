"""`submit`, `query`, `get`, `sample`, `demo` against the real server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import zeep

from metadata.query_table import FIND_DOCUMENTS
from metadata.vocabulary import Transaction
from server.commands.query import BY_NAME
from server.description import to_json
from server.launcher import program
from server.sample import SampleDocument, make_documents
from server.sample_people import Patient, make_patients
from soap.client import addresses_of_wsdl
from soap.client_errors import ClientError
from tests.client.answering_server import AnsweringServer, answer
from tests.client.conftest import Carnet
from tests.client.test_client_answers import MTOM, package
from tests.server_process import ROOT, ServerProcess

APPROVED = "urn:oasis:names:tc:ebxml-regrep:StatusType:Approved"


def write(document: SampleDocument, folder: Path, described: bool = False) -> Path:
    path = folder / document.file_name
    path.write_bytes(document.data)
    if described:
        path.with_name(path.name + ".json").write_text(json.dumps(to_json(document.description)), encoding="utf-8")
    return path


def first(patient: Patient, seed: int = 1) -> SampleDocument:
    return next(iter(make_documents(patient, 1, seed)))


# -------------------------------------------------------------------------------------------------------- in, found and out


def test_whole_set_goes_in_is_found_and_comes_out(carnet: Carnet, people: list[Patient], tmp_path: Path) -> None:
    patient = people[0]
    documents = list(make_documents(patient, 10, 1))
    files = [write(document, tmp_path, described=document.kind.mime_type != "text/xml") for document in documents]
    submitted = carnet("submit", *files)
    assert submitted.exit_code == 0, submitted.output
    assert submitted.output.count("accepted  ") == 10
    assert f"10 documents for {patient.cx()}. Next: {program()} get {documents[0].description.uniqueId}" in submitted.output

    table = carnet("query", "--patient", patient.cx())
    assert table.exit_code == 0
    assert "10 documents" in table.output
    for document in documents:
        assert document.description.uniqueId in table.output

    found = json.loads(carnet("query", "--patient", patient.cx(), "--json").output)["objects"]
    by_id = {entry["uniqueId"]: entry for entry in found}
    for document in documents:
        entry, said = by_id[document.description.uniqueId], document.description
        assert entry["title"] == said.title
        assert entry["typeCode"] == {"code": said.typeCode.code, "scheme": said.typeCode.scheme, "display": said.typeCode.display}
        assert (entry["creationTime"], entry["size"]) == (said.creationTime, str(len(document.data)))

    (tmp_path / "out").mkdir()
    got = carnet("get", *by_id, "--folder", tmp_path / "out", "--json")
    assert got.exit_code == 0, got.output
    rows = {row["uniqueId"]: row for row in json.loads(got.output)["documents"]}
    for document in documents:
        row = rows[document.description.uniqueId]
        assert Path(row["file"]).read_bytes() == document.data
        assert row["sha1"] == by_id[document.description.uniqueId]["hash"]
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".xml", ".pdf", ".txt"}


def test_filters_and_ids(carnet: Carnet, people: list[Patient], tmp_path: Path) -> None:
    patient = people[1]
    documents = list(make_documents(patient, 4, 1))
    assert carnet("submit", *(write(document, tmp_path) for document in documents)).exit_code == 0

    def ids(*options: str) -> list[str]:
        result = carnet("query", "--patient", patient.cx(), *options, "--json")
        assert result.exit_code == 0, result.output
        return sorted(entry["uniqueId"] for entry in json.loads(result.output)["objects"])

    every = sorted(document.description.uniqueId for document in documents)
    discharge, consultation, laboratory, imaging = (document.description for document in documents)
    assert ids() == every
    assert ids("--type", "34112-3^^2.16.840.1.113883.6.1") == [discharge.uniqueId]
    both = ids("--type", "34112-3^^2.16.840.1.113883.6.1", "--type", "11488-4^named^2.16.840.1.113883.6.1")
    assert both == sorted([discharge.uniqueId, consultation.uniqueId])
    assert ids("--class", "31^^1.2.250.1.213.1.1.4.1") == [imaging.uniqueId]
    assert ids("--created-from", laboratory.creationTime) == sorted([laboratory.uniqueId, imaging.uniqueId])
    assert ids("--created-to", laboratory.creationTime) == sorted([discharge.uniqueId, consultation.uniqueId])
    assert ids("--author", "%NGUYEN%") == [laboratory.uniqueId]
    assert ids("--status", "deprecated") == []
    one = json.loads(carnet("query", "--id", imaging.uniqueId, "--json").output)["objects"]
    references = json.loads(carnet("query", "--id", one[0]["entryUUID"], "--objectref", "--json").output)["references"]
    assert references == [{"id": one[0]["entryUUID"]}]
    assert "<rim:ExtrinsicObject" in carnet("query", "--id", imaging.uniqueId, "--xml").output


def test_everything_of_a_patient(carnet: Carnet, people: list[Patient], tmp_path: Path) -> None:
    patient = people[2]
    assert carnet("submit", write(first(patient), tmp_path), "--title", "Autre titre").exit_code == 0
    result = json.loads(carnet("query", "--patient", patient.cx(), "--all", "--json").output)
    assert [found["kind"] for found in result["objects"]] == ["SubmissionSet", "DocumentEntry", "Association"]
    assert result["objects"][1]["title"] == "Autre titre"
    table = carnet("query", "--patient", patient.cx(), "--all").output
    for words in ("1 document", "1 submission set", "1 association", "HasMember"):
        assert words in table


def test_replacement_by_id_and_by_the_cda_header(carnet: Carnet, people: list[Patient], tmp_path: Path) -> None:
    patient = people[3]
    old, new, newest = (first(patient, seed) for seed in (1, 2, 3))
    assert carnet("submit", write(old, tmp_path)).exit_code == 0
    replaced = carnet("submit", write(new, tmp_path), "--replace", old.description.uniqueId)
    assert replaced.exit_code == 0, replaced.output
    related = (
        '<relatedDocument typeCode="RPLC"><parentDocument><id root="'
        f'{new.description.uniqueId}"/></parentDocument></relatedDocument><componentOf>'
    )
    path = tmp_path / "newest.xml"
    path.write_bytes(newest.data.replace(b"<componentOf>", related.encode()))
    assert carnet("submit", path).exit_code == 0

    def status(option: str) -> list[str]:
        result = carnet("query", "--patient", patient.cx(), "--status", option, "--json")
        return sorted(entry["uniqueId"] for entry in json.loads(result.output)["objects"])

    assert status("approved") == [newest.description.uniqueId]
    assert status("deprecated") == sorted([old.description.uniqueId, new.description.uniqueId])
    again = carnet("submit", path, "--unique-id", "1.2.3.99")
    assert again.exit_code == 1
    assert f"the document {new.description.uniqueId} that it replaces is not approved any more" in again.output
    nowhere = carnet("submit", path, "--unique-id", "1.2.3.98", "--replace", "1.2.3.97")
    assert "1.2.3.97 that it replaces is not known to the registry; nothing was sent" in nowhere.output


def test_any_file_with_its_metadata_by_options(carnet: Carnet, people: list[Patient], tmp_path: Path) -> None:
    (tmp_path / "scan.pdf").write_bytes(b"%PDF-1.4 not really")
    options = [
        "--patient", people[4].cx(), "--title", "Ordonnance & <notes>", "--class", "42^Traitements^1.2.250.1.213.1.1.4.1",
        "--type", "57833-6^Prescription^2.16.840.1.113883.6.1", "--facility", "SA07^Cabinet^1.2.250.1.71.4.2.4",
        "--practice", "AMBULATOIRE^^1.2.250.1.213.1.1.4.9", "--author", "7^MOREL^Jean", "--specialty", "Médecine",
        "--created", "2024-01-31T10:15", "--unique-id", "1.2.3.4.42", "--patient-info", "PID-5|DOE^Jane",
    ]  # fmt: skip
    dry = json.loads(carnet("submit", "scan.pdf", *options, "--dry-run").output)
    assert dry[0]["creationTime"] == "202401311015"
    assert carnet("query", "--id", "1.2.3.4.42").output.strip() == "nothing was found"
    assert carnet("submit", "scan.pdf", *options).exit_code == 0
    entry = json.loads(carnet("query", "--id", "1.2.3.4.42", "--json").output)["objects"][0]
    assert entry["title"] == "Ordonnance & <notes>"
    assert entry["mimeType"] == "application/pdf"
    assert entry["author"] == [{"authorPerson": ["7^MOREL^Jean"], "authorSpecialty": ["Médecine"]}]
    assert entry["practiceSettingCode"]["display"] == "AMBULATOIRE"
    assert entry["sourcePatientInfo"] == ["PID-5|DOE^Jane"]
    printed = carnet("get", "1.2.3.4.42", "--output", "-")
    assert printed.stdout_bytes == b"%PDF-1.4 not really"
    assert [path.name for path in tmp_path.iterdir()] == ["scan.pdf"]


# ----------------------------------------------------------------------------------------------------------------- refusals


def test_what_is_missing_is_told_at_once_and_nothing_is_sent(carnet: Carnet, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("x")
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "bad.xml").write_text('<ClinicalDocument xmlns="urn:hl7-org:v3"><id></title>')
    (tmp_path / "side.txt").write_text("x")
    (tmp_path / "side.txt.json").write_text('{"titel": "x"}')
    result = carnet("submit", "note.txt", "empty.txt", "bad.xml", "side.txt")
    assert result.exit_code == 2
    for words in (
        "note.txt: patientId is not known; give --patient",
        "note.txt: typeCode is not known; give --type code^display^system",
        "note.txt: practiceSettingCode is not known; give --practice",
        "empty.txt: the file is empty",
        "bad.xml: the file is not well-formed XML",
        "side.txt.json: 'titel' is no attribute of a document",
    ):
        assert words in result.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("submit", "x.txt", "--class", "10"), "'10' is no code"),
        (("submit", "x.txt", "--created", "last week"), "write YYYY"),
        (("submit", "x.txt", "x.txt", "--unique-id", "1.2"), "belong to one document"),
        (("submit", "nowhere.txt"), "does not exist"),
        (("query",), "say what is asked for"),
        (("query", "--patient", "x", "--id", "1.2"), "--id takes no --patient"),
        (("query", "--patient", "x", "--type", "10"), "write code^^system"),
        (("query", "--id", "1.2", "--id", "urn:uuid:1"), "not for both in one query"),
        (("query", "--query", "FindFolders", "--param", "x"), "NAME=VALUE is expected"),
        (("query", "--query", "Find"), "is not one of"),
        (("query", "--patient", "x", "--all", "--author", "y"), "takes no filter"),
        (("get", "1.2", "1.3", "--output", "x"), "--output takes one document"),
        (("get", "1.2", "--output", "no/such/x"), "is no folder"),
        (("get", "urn:uuid:1", "--repository-id", "1.2"), "known to the registry alone"),
        (("query", "--patient", "x", "--url", "nonsense"), "is no address of a server"),
        (("query", "--patient", "x", "--key", "x.txt"), "give --cert too"),
        (("query", "--patient", "x", "--ca", "x.txt"), "the certificates cannot be used"),
        (("sample", "."), "is not empty"),
    ],
)
def test_wrong_usage_is_status_2(carnet: Carnet, tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    (tmp_path / "x.txt").write_text("x")
    result = carnet(*arguments)
    assert result.exit_code == 2, result.output
    assert words in result.output


def test_cda_is_judged_before_it_is_sent(carnet: Carnet, people: list[Patient], tmp_path: Path) -> None:
    document = first(people[6], seed=8)
    wrong = document.data.replace(b'<realmCode code="FR"/>', b"").replace(b'value="1"', b'value="one"')
    (tmp_path / "wrong.xml").write_bytes(wrong)
    result = carnet("submit", "wrong.xml", "--check")
    assert result.exit_code == 1
    assert "nothing was sent:" in result.output
    assert "realmCode is not FR" in result.output
    assert "'one' is no number" in result.output
    assert carnet("query", "--id", document.description.uniqueId).output.strip() == "nothing was found"
    assert carnet("submit", write(document, tmp_path), "--check").exit_code == 0


def test_files_of_two_patients_are_no_submission(carnet: Carnet, people: list[Patient], tmp_path: Path) -> None:
    for number, patient in enumerate(people[:2]):
        (tmp_path / f"{number}.xml").write_bytes(first(patient).data)
    result = carnet("submit", "0.xml", "1.xml")
    assert result.exit_code == 2
    assert "the files are of 2 patients" in result.output


def test_refusal_is_shown_in_the_servers_words(carnet: Carnet, tmp_path: Path) -> None:
    path = write(first(make_patients(1, 99)[0]), tmp_path)
    result = carnet("submit", path)
    assert result.exit_code == 1
    assert "error XDSUnknownPatientId" in result.output
    assert "patient add" in result.output
    shown = json.loads(carnet("submit", path, "--json").output)
    assert shown["status"] == "Failure"
    assert shown["errors"][0]["errorCode"] == "XDSUnknownPatientId"


def test_nobody_there_is_status_1(carnet: Carnet) -> None:
    for arguments in (("query", "--patient", "1^^^&1.2&ISO"), ("get", "1.2.3")):
        result = carnet(*arguments, "--url", "http://127.0.0.1:9")
        assert result.exit_code == 1
        assert "cannot be reached: connection refused" in result.output


def test_missing_and_damaged_documents(carnet: Carnet, server: ServerProcess, people: list[Patient], tmp_path: Path) -> None:
    document = first(people[5])
    assert carnet("submit", write(document, tmp_path)).exit_code == 0
    unique_id = document.description.uniqueId
    result = carnet("get", "1.2.3.4.404")
    assert (result.exit_code, "the registry knows no document 1.2.3.4.404" in result.output) == (1, True)
    entry = json.loads(carnet("query", "--id", unique_id, "--json").output)["objects"][0]
    half = carnet("get", unique_id, "1.2.3.4.404", "--repository-id", entry["repositoryUniqueId"])
    assert half.exit_code == 1
    assert "error XDSDocumentUniqueIdError (1.2.3.4.404)" in half.output
    assert "missing   1.2.3.4.404" in half.output
    assert (tmp_path / f"{unique_id}.xml").read_bytes() == document.data
    (tmp_path / f"{unique_id}.xml").unlink()

    body = package(b"other bytes").replace(b">1.2.9<", f">{unique_id}<".encode())
    with AnsweringServer(answer(200, MTOM, body)) as liar:
        damaged = carnet("get", unique_id, "--repository", liar.url)
    assert damaged.exit_code == 1
    assert f"damaged   {unique_id}: 11 bytes came, the metadata say {len(document.data)}; it was not written" in damaged.output
    assert not (tmp_path / f"{unique_id}.xml").exists()


# -------------------------------------------------------------------------------------------------------------- any query


@pytest.mark.parametrize("name", sorted(set(BY_NAME) - {"FindDocumentsByTitle"}))
def test_every_stored_query_can_be_asked_by_name(carnet: Carnet, people: list[Patient], name: str) -> None:
    """Parameters are quoted by their type, so that the server takes each of them."""
    values = {
        "patient id": people[6].cx(), "string": "1.2.3.4.5", "code": "1^^1.2.3", "time": "2024", "status": APPROVED,
        "UUID": "urn:uuid:00000000-0000-4000-8000-000000000001", "number": "1", "pattern": "%O'Brien%",
        "document entry type": "urn:uuid:7edca82f-054d-47f2-a032-9b2a5b5186c1",
        "association type": "urn:ihe:iti:2007:AssociationType:RPLC",
    }  # fmt: skip
    arguments: list[str] = []
    alternatives = False
    for parameter in BY_NAME[name].parameters:
        if parameter.group and alternatives:
            continue
        alternatives |= bool(parameter.group)
        arguments += ["--param", f"{parameter.name.removeprefix('$')}={values[parameter.type.value]}"]
        if parameter.many:
            arguments += ["--param", f"{parameter.name}={values[parameter.type.value]}"]
    result = carnet("query", "--query", name, *arguments, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.output)["status"] == "Success"


def test_raw_values_and_unknown_parameters_are_sent_as_they_are(carnet: Carnet, people: list[Patient]) -> None:
    raw = ["--param", f"XDSDocumentEntryPatientId='{people[6].cx()}'", "--param", f"XDSDocumentEntryStatus=('{APPROVED}')"]
    events = ["--param", "XDSDocumentEntryEventCodeList=('1^^1.2')", "--param", "XDSDocumentEntryEventCodeList=('2^^1.2')"]
    assert carnet("query", "--query", "FindDocuments", *raw, *events).exit_code == 0
    assert carnet("query", "--query", "FindDocuments", *raw[:2]).exit_code == 1
    assert "XDSStoredQueryMissingParam" in carnet("query", "--query", "FindDocuments", *raw[:2]).output


# ------------------------------------------------------------------------------------------------------------ another stack


def test_zeep_finds_what_submit_stored(carnet: Carnet, server: ServerProcess, people: list[Patient], tmp_path: Path) -> None:
    document = first(people[7])
    assert carnet("submit", write(document, tmp_path)).exit_code == 0
    client = zeep.Client(f"{server.registry}?wsdl")  # type: ignore[no-untyped-call]
    slots = {"XDSDocumentEntryPatientId": f"'{people[7].cx()}'", "XDSDocumentEntryStatus": f"('{APPROVED}')"}
    answer = client.service["DocumentRegistry_RegistryStoredQuery"](
        ResponseOption={"returnType": "LeafClass", "returnComposedObjects": True},
        AdhocQuery={
            "id": FIND_DOCUMENTS.id,
            "Slot": [{"name": f"${name}", "ValueList": {"Value": [value]}} for name, value in slots.items()],
        },
    )
    assert answer.status.endswith(":Success")
    assert document.description.uniqueId in str(answer)


def test_addresses_are_read_from_a_wsdl(carnet: Carnet, server: ServerProcess, people: list[Patient]) -> None:
    found = addresses_of_wsdl(f"{server.registry}?wsdl")
    assert found[Transaction.ITI_18.action] == server.registry
    assert addresses_of_wsdl(f"{server.repository}?wsdl")[Transaction.ITI_41.action] == server.repository
    asked = carnet("query", "--patient", people[8].cx(), "--registry", f"{server.registry}?wsdl")
    assert asked.output.strip() == "nothing was found"
    wrong = carnet("query", "--patient", people[8].cx(), "--registry", f"{server.repository}?wsdl")
    assert (wrong.exit_code, "declares neither ITI-18 nor ITI-42" in wrong.output) == (1, True)
    with pytest.raises(ClientError, match="cannot be used"):
        addresses_of_wsdl(f"{server.url}/health")


# ------------------------------------------------------------------------------------------------------------- large ones

_LARGE = """
import resource, sys
from pathlib import Path
from metadata.fragments import build_submit_objects_request
from server.description import Description, build_submission, attributes_from_json
from soap.client import Client, Content, Wanted
from metadata.query_table import GET_DOCUMENTS
import json
path, repository, registry, description = Path(sys.argv[1]), sys.argv[2], sys.argv[3], json.loads(sys.argv[4])
described = Description(**attributes_from_json(description))
client = Client(repository, registry)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
def send(content):
    submission = build_submit_objects_request(build_submission([described], source_id="1.2.3"))
    assert client.provide(submission, [Content("Document01", "application/octet-stream", content)]).accepted
before = peak()
send(path)
sent = peak()
found = client.query(GET_DOCUMENTS.id, [("$XDSDocumentEntryUniqueId", [f"('{described.uniqueId}')"])])
entry = found.objects.documentEntries[0]
wanted = [Wanted(entry.repositoryUniqueId, entry.uniqueId, hash=entry.hash, size=entry.size)]
with client.retrieve(wanted, path.parent) as retrieved:
    assert not retrieved.documents[0].damage
    retrieved.documents[0].save(path.with_suffix(".back"))
print(sent - before, peak() - sent)
"""


def test_a_large_document_is_never_in_memory(server: ServerProcess, people: list[Patient], tmp_path: Path) -> None:
    """80 MB out of a file and back into one: the process grows by a few chunks."""
    path = tmp_path / "large.bin"
    block = os.urandom(1_000_000)
    with path.open("wb") as file:
        for number in range(80):
            file.write(number.to_bytes(4, "big") + block)
    described = replace(first(people[9]).description, uniqueId="1.2.3.4.1000", mimeType="application/octet-stream")
    done = subprocess.run(
        [sys.executable, "-c", _LARGE, path, server.repository, server.registry, json.dumps(to_json(described))],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    sending, receiving = map(int, done.stdout.split())
    assert sending < 32
    assert receiving < 32
    assert path.with_suffix(".back").read_bytes() == path.read_bytes()


# ---------------------------------------------------------------------------------------------------------- sample and demo


def test_sample_writes_a_set_that_submit_reads(carnet: Carnet, tmp_path: Path) -> None:
    written = carnet("sample", "set", "--patients", 2, "--documents", 10, "--seed", 5)
    assert written.exit_code == 0, written.output
    listed = json.loads((tmp_path / "set" / "patients.json").read_text(encoding="utf-8"))
    assert listed["documents"] == 20
    for row in listed["patients"]:
        folder = tmp_path / "set" / row["folder"]
        expected = [*row["files"], *(f"{name}.json" for name in row["files"])]
        assert sorted(path.name for path in folder.iterdir()) == sorted(expected)
        for name in row["files"]:
            dry = carnet("submit", folder / name, "--dry-run")
            assert dry.exit_code == 0, dry.output
            assert json.loads(dry.output)[0]["patientId"] == row["patientId"]
    assert carnet("sample", "again", "--patients", 2, "--seed", 5, "--json").exit_code == 0
    for path in (tmp_path / "set").rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(tmp_path / "set")).read_bytes()
    typed = carnet("sample", "typed", "--patients", 1, "--documents", 1, "--dmp", "--json")
    assert json.loads(typed.output)["patients"][0]["patientId"].endswith("&ISO^NH")


def test_demo(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "server", "demo"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    same = "10 of 10 documents came back byte for byte"
    for words in ("2. A server", "10 documents", same, "XDSUnknownPatientId", "All of it worked"):
        assert words in done.stdout
    assert list(tmp_path.iterdir()) == []
