"""Toolkits of others with the served WSDL: zeep performs ITI-18 and ITI-42, suds reads the same description.

suds sends SOAP 1.1 even for a SOAP 1.2 binding. Where the server is told to allow that, it performs its query; by default it is
told to upgrade. PHP reads whole objects, where it is installed.
"""

from __future__ import annotations

import io
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import suds
import zeep
from lxml import etree
from suds.client import Client as Suds

from metadata.fragments import build_submit_objects_request
from server.description import build_submission, new_oid
from soap.wire import Do, Wire
from tests.repository.submissions import PATIENT, describe
from tests.server_process import ServerProcess
from tests.soap.messages import Recorder, Sent

FIND_DOCUMENTS = "urn:uuid:14d4debf-8f97-4251-9a74-a90016b0af0d"
SUCCESS = "urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Success"
APPROVED = "urn:oasis:names:tc:ebxml-regrep:StatusType:Approved"
LCM = "urn:oasis:names:tc:ebxml-regrep:xsd:lcm:3.0"


@pytest.fixture(scope="module")
def client(server: ServerProcess) -> Iterator[zeep.Client]:
    with zeep.Client(f"{server.registry}?wsdl") as client:
        yield client


def slot(name: str, *values: str) -> dict[str, Any]:
    return {"name": name, "ValueList": {"Value": list(values)}}


def find_documents(client: zeep.Client, patient: str = PATIENT, return_type: str = "LeafClass") -> Any:
    query = client.service["DocumentRegistry_RegistryStoredQuery"]
    slots = [slot("$XDSDocumentEntryPatientId", f"'{patient}'"), slot("$XDSDocumentEntryStatus", f"('{APPROVED}')")]
    return query(
        ResponseOption={"returnComposedObjects": True, "returnType": return_type},
        AdhocQuery={"id": FIND_DOCUMENTS, "Slot": slots},
    )


def register(client: zeep.Client) -> str:
    """ITI-42 of one entry by nothing but zeep and the served WSDL; its uniqueId."""
    unique_id = new_oid()
    message = etree.fromstring(build_submit_objects_request(build_submission([describe(unique_id)], source_id="1.2.3.4.5")))
    for extrinsic in message.iter("{urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0}ExtrinsicObject"):
        for name, value in (("hash", "0" * 40), ("size", "5"), ("repositoryUniqueId", "1.2.3")):
            made = etree.SubElement(extrinsic, "{urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0}Slot", name=name)
            values = etree.SubElement(made, "{urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0}ValueList")
            etree.SubElement(values, "{urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0}Value").text = value
            extrinsic.insert(0, made)
    submit = client.get_element(f"{{{LCM}}}SubmitObjectsRequest").parse(message, client.wsdl.types)
    values = {name: submit[name] for name in submit}
    response = client.service["DocumentRegistry_RegisterDocumentSet-b"](**values)
    assert response.status == SUCCESS, response
    return unique_id


def test_zeep_registers_and_finds(client: zeep.Client) -> None:
    unique_id = register(client)
    found = find_documents(client)
    assert found.status == SUCCESS
    answer = zeep.helpers.serialize_object(found)
    assert unique_id in str(answer)


def test_zeep_is_told_what_is_wrong(client: zeep.Client) -> None:
    refused = find_documents(client, "not a patient id")
    assert refused.status.endswith(":Failure")
    (error,) = refused.RegistryErrorList.RegistryError
    assert error.errorCode == "XDSRegistryError"
    assert "not a patient id" in error.codeContext


def references(client: zeep.Client, query_id: str, parameter: str, value: str) -> list[dict[str, str]]:
    """The ObjectRefs of a query with one parameter, as ITI-62 takes them."""
    query = client.service["DocumentRegistry_RegistryStoredQuery"]
    option = {"returnComposedObjects": True, "returnType": "ObjectRef"}
    found = query(ResponseOption=option, AdhocQuery={"id": f"urn:uuid:{query_id}", "Slot": [slot(parameter, f"('{value}')")]})
    return [{"id": one["ObjectRef"]["id"]} for one in found.RegistryObjectList["_value_1"]]


def test_zeep_removes_what_it_has_registered(client: zeep.Client) -> None:
    """ITI-62: the entry, its membership and its SubmissionSet; asked for again they are unknown."""
    entries = references(client, "5c4f972b-d56b-40ac-a5fc-c8ca9b40b9d4", "$XDSDocumentEntryUniqueId", register(client))
    holders = references(client, "51224314-5390-4169-9b91-b1980040715a", "$uuid", entries[0]["id"])
    named = {"ObjectRef": [*entries, *holders]}
    assert len(named["ObjectRef"]) == 3
    remove = client.service["DocumentRegistry_DeleteDocumentSet"]
    removed = remove(ObjectRefList=named)
    assert removed.status == SUCCESS, removed
    refused = remove(ObjectRefList=named)
    codes = {error.errorCode for error in refused.RegistryErrorList.RegistryError}
    assert refused.status.endswith(":Failure") and codes == {"UnresolvedReferenceException"}


def test_zeep_reads_the_repository_too(server: ServerProcess) -> None:
    with zeep.Client(f"{server.repository}?wsdl") as client:
        (service,) = client.wsdl.services.values()
        (port,) = service.ports.values()
        assert {"DocumentRepository_ProvideAndRegisterDocumentSet-b", "DocumentRepository_RetrieveDocumentSet"} <= set(
            port.binding._operations
        )
        refused = client.service["DocumentRepository_RetrieveDocumentSet"](
            DocumentRequest=[{"RepositoryUniqueId": "1.2.3", "DocumentUniqueId": "1.2.3.4"}]
        )
        assert refused.RegistryResponse.RegistryErrorList.RegistryError[0].errorCode == "XDSUnknownRepositoryId"
        refused = client.service["DocumentRepository_RemoveDocuments"](
            DocumentRequest=[{"RepositoryUniqueId": "1.2.3", "DocumentUniqueId": "1.2.3.4"}]
        )
        assert refused.RegistryErrorList.RegistryError[0].errorCode == "XDSUnknownRepositoryId"


class ToRecorder(suds.transport.Transport):  # type: ignore[misc]
    """suds's transport, to the endpoint in this process; descriptions come from it too."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self.recorder = recorder

    def open(self, request: Any) -> Any:
        path, _, query = request.url.removeprefix("http://xds.example.org").partition("?")
        return io.BytesIO(self.recorder.get(path, query).body)

    def send(self, request: Any) -> Any:
        path = request.url.removeprefix("http://xds.example.org")
        headers = {name.lower(): value for name, value in request.headers.items()}
        headers = {k: v.decode() if isinstance(v, bytes) else v for k, v in headers.items()}
        sent = Sent(path, headers["content-type"], request.message, {"HTTP_SOAPACTION": headers.get("soapaction")})
        got = self.recorder.post(sent)
        if got.status != 200:
            raise suds.transport.TransportError("fault", got.status, io.BytesIO(got.body))
        return suds.transport.Reply(got.status, got.headers, got.body)


def suds_query(recorder: Recorder) -> Any:
    client = Suds("http://xds.example.org/xds/registry?wsdl", transport=ToRecorder(recorder), cache=None)
    methods = {method.name for method in client.wsdl.services[0].ports[0].methods.values()}
    assert {"DocumentRegistry_RegistryStoredQuery", "DocumentRegistry_RegisterDocumentSet-b"} <= methods
    query = client.factory.create("{urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0}AdhocQueryType")
    query._id = FIND_DOCUMENTS
    option = client.factory.create("{urn:oasis:names:tc:ebxml-regrep:xsd:query:3.0}ResponseOptionType")
    option._returnType = "ObjectRef"
    return client.service.DocumentRegistry_RegistryStoredQuery(ResponseOption=option, AdhocQuery=query)


def test_suds_reads_the_description_and_is_told_to_upgrade(recorder: Recorder) -> None:
    with pytest.raises(suds.WebFault, match=r"SOAP 1\.1; IHE XDS\.b is SOAP 1\.2"):
        suds_query(recorder)
    assert recorder.exchanges[-1].fault == "WIRE-023"


def test_suds_performs_its_query_where_soap_1_1_is_allowed(tmp_path: Any) -> None:
    recorder = Recorder(tmp_path, Wire(overrides={"WIRE-023": Do.NOTE}))
    assert suds_query(recorder).RegistryObjectList == ""
    assert recorder.exchanges[-1].status is not None
    assert {"WIRE-023", "WIRE-053"} <= {note.id for note in recorder.exchanges[-1].notes}


_PHP = r"""
$client = new SoapClient($argv[1], ["soap_version" => SOAP_1_2, "cache_wsdl" => WSDL_CACHE_NONE]);
$slots = [["name" => '$XDSDocumentEntryPatientId', "ValueList" => ["Value" => ["'" . $argv[2] . "'"]]],
          ["name" => '$XDSDocumentEntryStatus', "ValueList" => ["Value" => ["('" . $argv[3] . "')"]]]];
$answer = $client->__soapCall("DocumentRegistry_RegistryStoredQuery", [[
    "ResponseOption" => ["returnComposedObjects" => true, "returnType" => "LeafClass"],
    "AdhocQuery" => ["id" => $argv[4], "Slot" => $slots]]]);
echo json_encode($answer);
"""


@pytest.mark.skipif(shutil.which("php") is None, reason="php is not installed")
def test_php_reads_the_objects_of_a_query(client: zeep.Client, server: ServerProcess) -> None:
    """PHP's own SoapClient, in WSDL mode, down to the title of an entry."""
    if "soap" not in subprocess.run(["php", "-m"], capture_output=True, text=True, check=True).stdout.split():
        pytest.skip("php has no soap extension")
    unique_id = register(client)
    ran = subprocess.run(
        ["php", "-r", _PHP, "--", f"{server.registry}?wsdl", PATIENT, APPROVED, FIND_DOCUMENTS],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert unique_id in ran.stdout
