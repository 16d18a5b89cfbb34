"""An XDS.b client with zeep: submit (ITI-41, MTOM), find (ITI-18), retrieve (ITI-43).

    python client.py URL PATIENT_CX FILE

zeep builds messages from the WSDL that the server serves. It knows no MTOM: `MtomTransport` takes the documents out of the
finished envelope and sends them as MIME parts; what zeep reads is unchanged, since it understands MTOM answers.
"""

from __future__ import annotations

import base64
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path

import zeep
from lxml import etree
from zeep.transports import Transport

XDS = "urn:ihe:iti:xds-b:2007"
XOP = "http://www.w3.org/2004/08/xop/include"
SUCCESS = "urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Success"
APPROVED = "urn:oasis:names:tc:ebxml-regrep:StatusType:Approved"
LOINC = "2.16.840.1.113883.6.1"
MIME_TYPES = {".xml": "text/xml", ".pdf": "application/pdf"}


class MtomTransport(Transport):
    """Sends every xds:Document of a message as a MIME part of its own."""

    def post(self, address, message, headers):
        envelope = etree.fromstring(message)
        documents = [element for element in envelope.iter(f"{{{XDS}}}Document") if element.text]
        if not documents:
            return super().post(address, message, headers)
        boundary = f"MIMEBoundary-{uuid.uuid4()}"
        parts = []
        for number, element in enumerate(documents):
            content, element.text = base64.b64decode(element.text), None
            etree.SubElement(element, f"{{{XOP}}}Include", href=f"cid:document{number}@carnet.example")
            parts.append((f"document{number}@carnet.example", "application/octet-stream", content))
        kind = 'application/xop+xml; charset=UTF-8; type="application/soap+xml"'
        root = ("root@carnet.example", kind, etree.tostring(envelope))
        body = b"".join(
            f"--{boundary}\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: binary\r\nContent-ID: <{name}>\r\n\r\n".encode()
            + content
            + b"\r\n"
            for name, kind, content in [root, *parts]
        )
        kind = (
            f'multipart/related; boundary="{boundary}"; type="application/xop+xml"; start="<root@carnet.example>"; '
            'start-info="application/soap+xml"'
        )
        return super().post(address, body + f"--{boundary}--\r\n".encode(), {**headers, "Content-Type": kind})


def new_oid() -> str:
    """A UUID as an OID under 2.25: a unique id that needs no registration (ITU-T X.667)."""
    return f"2.25.{uuid.uuid4().int}"


# ---- the metadata: ebRIM has three ways to say a thing ----


def slot(name, *values):
    return {"name": name, "ValueList": {"Value": list(values)}}


def coded(scheme, code, system, label):
    """A coded attribute: the scheme says which, `code` in the code system `system` is the value."""
    return {
        "id": f"urn:uuid:{uuid.uuid4()}",
        "classificationScheme": f"urn:uuid:{scheme}",
        "nodeRepresentation": code,
        "Slot": [slot("codingScheme", system)],
        "Name": {"LocalizedString": [{"value": label}]},
    }


def identifier(scheme, value, name):
    return {
        "id": f"urn:uuid:{uuid.uuid4()}",
        "identificationScheme": f"urn:uuid:{scheme}",
        "value": value,
        "Name": {"LocalizedString": [{"value": name}]},
    }


def of(owner, **lists):
    """Every Classification and ExternalIdentifier names the object it belongs to."""
    for one in lists["Classification"]:
        one["classifiedObject"] = owner
    for one in lists["ExternalIdentifier"]:
        one["registryObject"] = owner
    return {"id": owner, **lists}


def submission(patient_id, document_id, file):
    now = datetime.now(UTC).strftime("%Y%m%d%H%M%S")  # DTM is UTC
    entry = of(
        "Document01",
        Slot=[slot("creationTime", now), slot("languageCode", "fr-FR"), slot("sourcePatientId", patient_id)],
        Classification=[
            coded("41a5887f-8865-4c09-adf7-e362475b143a", "REPORT", "1.2.3.4.100", "Report"),
            coded("f0306f51-975f-434e-a61c-c59651d33983", "34112-3", LOINC, "Hospital stay report"),
            coded("f4f85eac-e6cb-4883-b524-f2705394840f", "N", "2.16.840.1.113883.5.25", "normal"),
            coded(
                "a09d5840-386c-46f2-b5ad-9c3699a4309d",
                "urn:ihe:iti:xds:2017:mimeTypeSufficient",
                "1.3.6.1.4.1.19376.1.2.3",
                "by media type",
            ),
            coded("f33fb8ac-18af-42cc-ae0e-ed0b0bdb91e1", "SA01", "1.2.250.1.71.4.2.4", "Public hospital"),
            coded("cccf5598-8b07-4b77-a05e-ae952c785ead", "ETABLISSEMENT", "1.2.250.1.213.1.1.4.9", "Hospital"),
        ],
        ExternalIdentifier=[
            identifier("58a6f841-87b3-4a3e-92fd-a8ffeff98427", patient_id, "XDSDocumentEntry.patientId"),
            identifier("2e82c1f6-a085-4c72-9da3-8640a32e42ab", document_id, "XDSDocumentEntry.uniqueId"),
        ],
    )
    entry |= {
        "mimeType": MIME_TYPES.get(file.suffix, "text/plain"),
        "objectType": "urn:uuid:7edca82f-054d-47f2-a032-9b2a5b5186c1",
        "Name": {"LocalizedString": [{"value": file.name}]},
    }
    submission_set = of(
        "Set01",
        Slot=[slot("submissionTime", now)],
        Classification=[
            {"id": "set", "classificationNode": "urn:uuid:a54d6aa5-d40d-43f9-88c5-b4633d873bdd"},
            coded("aa543740-bdda-424e-8c96-df4873be8500", "03", "1.2.250.1.213.2.2", "Full hospitalisation"),
        ],
        ExternalIdentifier=[
            identifier("6b5aea1a-874d-4603-a4bc-96a0a7b38446", patient_id, "XDSSubmissionSet.patientId"),
            identifier("96fdda7c-d067-4183-912e-bf5ee74998a8", new_oid(), "XDSSubmissionSet.uniqueId"),
            identifier("554ac39e-e3fe-47fe-b233-965d2a147832", "1.2.3.4.5", "XDSSubmissionSet.sourceId"),
        ],
    )
    member = {
        "id": "member",
        "associationType": "urn:oasis:names:tc:ebxml-regrep:AssociationType:HasMember",
        "sourceObject": "Set01",
        "targetObject": "Document01",
        "Slot": [slot("SubmissionSetStatus", "Original")],
    }
    objects = [{"ExtrinsicObject": entry}, {"RegistryPackage": submission_set}, {"Association": member}]
    return {"RegistryObjectList": {"_value_1": objects}}


# ---- the three transactions ----


def errors(response):
    """Every reason of a refusal, not only the first."""
    listed = response.RegistryErrorList.RegistryError if response.RegistryErrorList else []
    return [f"{error.errorCode}: {error.codeContext}" for error in listed]


def submit(repository, patient_id, document_id, file):
    return repository.service["DocumentRepository_ProvideAndRegisterDocumentSet-b"](
        SubmitObjectsRequest=submission(patient_id, document_id, file),
        Document=[{"id": "Document01", "_value_1": file.read_bytes()}],
    )


def find(registry, patient_id):
    answer = registry.service["DocumentRegistry_RegistryStoredQuery"](
        ResponseOption={"returnComposedObjects": True, "returnType": "LeafClass"},
        AdhocQuery={
            "id": "urn:uuid:14d4debf-8f97-4251-9a74-a90016b0af0d",  # FindDocuments
            "Slot": [
                slot("$XDSDocumentEntryPatientId", f"'{patient_id}'"),  # strings stand in single quotes,
                slot("$XDSDocumentEntryStatus", f"('{APPROVED}')"),  # lists in brackets
            ],
        },
    )
    entries = [one["ExtrinsicObject"] for one in answer.RegistryObjectList._value_1 or []]
    found = {}
    for entry in entries:
        ids = {one.identificationScheme: one.value for one in entry.ExternalIdentifier}
        slots = {one.name: one.ValueList.Value for one in entry.Slot}
        found[ids["urn:uuid:2e82c1f6-a085-4c72-9da3-8640a32e42ab"]] = slots["repositoryUniqueId"][0]
    return answer, found


def retrieve(repository, document_id, repository_id):
    return repository.service["DocumentRepository_RetrieveDocumentSet"](
        DocumentRequest=[{"RepositoryUniqueId": repository_id, "DocumentUniqueId": document_id}]
    )


def main(url, patient_id, name):
    transport, file = MtomTransport(), Path(name)
    repository = zeep.Client(f"{url}/xds/repository?wsdl", transport=transport)
    registry = zeep.Client(f"{url}/xds/registry?wsdl", transport=transport)
    document_id = new_oid()

    stored = submit(repository, patient_id, document_id, file)
    print("submit  ", "\n          ".join([stored.status.rpartition(":")[2], *errors(stored)]))
    if stored.status != SUCCESS:
        return 1

    answer, found = find(registry, patient_id)
    print("find    ", answer.status.rpartition(":")[2], len(found), "documents")
    if document_id not in found:
        return 1

    got = retrieve(repository, document_id, found[document_id])
    same = bool(got.DocumentResponse) and got.DocumentResponse[0].Document == file.read_bytes()
    print("retrieve", got.RegistryResponse.status.rpartition(":")[2], "the same bytes" if same else "OTHER BYTES")
    if not same:
        return 1

    # What a refusal looks like: a unique id that exists, with other content.
    refused = submit(repository, patient_id, document_id, Path(__file__))
    print("refused ", "\n          ".join([refused.status.rpartition(":")[2], *errors(refused)]))
    return 0 if errors(refused) else 1


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
