"""The attribute table against the standard, typed again (ITI TF-3: 4.2.3.2 to 4.2.3.4, 4.2.5, Table 4.3.1-3)."""

from __future__ import annotations

import dataclasses

import pytest

from metadata import schemes
from metadata.attributes import ATTRIBUTES, AUTHOR_SLOTS, BY_NAME, IDENTIFIER_NAMES, PATIENT_ID_SCHEMES, Sender
from metadata.model import Association, Author, DocumentEntry, Folder, SubmissionSet
from metadata.vocabulary import AssociationType, AvailabilityStatus, ObjectKind, ResponseStatus, Severity, Transaction

# attribute | carrier | UUID or slot name | type | multiplicity | section. Multiplicity as ITI TF-3: Table 4.2.3.2-1 gives it.
DOCUMENT_ENTRY = """
author                     | Classification     | 93606bcf-9494-43ec-9b4e-a7748d1a838d | Author        | 0..n | 1
availabilityStatus         | @status            |                                      | Status URN    | 0..1 | 2
classCode                  | Classification     | 41a5887f-8865-4c09-adf7-e362475b143a | Code          | 0..1 | 3
comments                   | Description        |                                      | String        | 0..1 | 4
confidentialityCode        | Classification     | f4f85eac-e6cb-4883-b524-f2705394840f | Code          | 0..n | 5
creationTime               | Slot               | creationTime                         | DTM           | 0..1 | 6
entryUUID                  | @id                |                                      | UUID          | 1..1 | 7
eventCodeList              | Classification     | 2c6b8cb7-8b2a-4051-b291-b1ae6a575ef4 | Code          | 0..n | 8
formatCode                 | Classification     | a09d5840-386c-46f2-b5ad-9c3699a4309d | Code          | 0..1 | 9
hash                       | Slot               | hash                                 | SHA1          | 0..1 | 10
healthcareFacilityTypeCode | Classification     | f33fb8ac-18af-42cc-ae0e-ed0b0bdb91e1 | Code          | 0..1 | 11
homeCommunityId            | @home              |                                      | Home community id | 0..1 | 12
languageCode               | Slot               | languageCode                         | Language tag  | 0..1 | 13
legalAuthenticator         | Slot               | legalAuthenticator                   | XCN           | 0..1 | 14
mimeType                   | @mimeType          |                                      | MIME type     | 1..1 | 15
patientId                  | ExternalIdentifier | 58a6f841-87b3-4a3e-92fd-a8ffeff98427 | CX            | 0..1 | 16
practiceSettingCode        | Classification     | cccf5598-8b07-4b77-a05e-ae952c785ead | Code          | 0..1 | 17
repositoryUniqueId         | Slot               | repositoryUniqueId                   | OID           | 0..1 | 18
serviceStartTime           | Slot               | serviceStartTime                     | DTM           | 0..1 | 19
serviceStopTime            | Slot               | serviceStopTime                      | DTM           | 0..1 | 20
size                       | Slot               | size                                 | Integer       | 0..1 | 21
sourcePatientId            | Slot               | sourcePatientId                      | CX            | 0..1 | 22
sourcePatientInfo          | Slot               | sourcePatientInfo                    | Field         | 0..n | 23
title                      | Name               |                                      | String        | 0..1 | 24
typeCode                   | Classification     | f0306f51-975f-434e-a61c-c59651d33983 | Code          | 0..1 | 25
uniqueId                   | ExternalIdentifier | 2e82c1f6-a085-4c72-9da3-8640a32e42ab | Identifier    | 1..1 | 26
URI                        | Slot               | URI                                  | URI           | 0..1 | 27
referenceIdList            | Slot               | urn:ihe:iti:xds:2013:referenceIdList | CXi           | 0..n | 28
limitedMetadata            | node               | ab9b591b-83ab-4d03-8f5d-f93b1fb92e85 | Flag          | 0..1 | 29
documentAvailability       | Slot               | documentAvailability                 | Document availability URN | 0..1 | 30
logicalID                  | @lid               |                                      | UUID          | 0..1 | 31
version                    | VersionInfo        |                                      | Integer       | 0..1 | 32
objectType                 | @objectType        |                                      | UUID          | 1..1 | 4.2.5.2
"""
SUBMISSION_SET = """
author                     | Classification     | a7058bb9-b4e4-4307-ba5b-e3f0ab85e12d | Author        | 0..n | 1
availabilityStatus         | @status            |                                      | Status URN    | 0..1 | 2
comments                   | Description        |                                      | String        | 0..1 | 3
contentTypeCode            | Classification     | aa543740-bdda-424e-8c96-df4873be8500 | Code          | 0..1 | 4
entryUUID                  | @id                |                                      | UUID          | 1..1 | 5
homeCommunityId            | @home              |                                      | Home community id | 0..1 | 6
intendedRecipient          | Slot               | intendedRecipient                    | Recipient     | 0..n | 7
patientId                  | ExternalIdentifier | 6b5aea1a-874d-4603-a4bc-96a0a7b38446 | CX            | 0..1 | 8
sourceId                   | ExternalIdentifier | 554ac39e-e3fe-47fe-b233-965d2a147832 | OID           | 1..1 | 9
submissionTime             | Slot               | submissionTime                       | DTM           | 1..1 | 10
title                      | Name               |                                      | String        | 0..1 | 11
uniqueId                   | ExternalIdentifier | 96fdda7c-d067-4183-912e-bf5ee74998a8 | OID           | 1..1 | 12
limitedMetadata            | node               | 5003a9db-8d8d-49e6-bf0c-990e34ac7707 | Flag          | 0..1 | 13
"""
FOLDER = """
availabilityStatus         | @status            |                                      | Status URN    | 0..1 | 1
codeList                   | Classification     | 1ba97051-7806-41a8-a48b-8fce7af683c5 | Code          | 0..n | 2
comments                   | Description        |                                      | String        | 0..1 | 3
entryUUID                  | @id                |                                      | UUID          | 1..1 | 4
homeCommunityId            | @home              |                                      | Home community id | 0..1 | 5
lastUpdateTime             | Slot               | lastUpdateTime                       | DTM           | 0..1 | 6
patientId                  | ExternalIdentifier | f64ffdf0-4b97-4e06-b79f-a52b38ec2f8a | CX            | 0..1 | 7
title                      | Name               |                                      | String        | 0..1 | 8
uniqueId                   | ExternalIdentifier | 75df8f67-9973-4fbe-a900-df66cefecc5a | OID           | 1..1 | 9
limitedMetadata            | node               | 2c144a76-29a9-4b7c-af54-b25409fe7d03 | Flag          | 0..1 | 10
logicalID                  | @lid               |                                      | UUID          | 0..1 | 11
version                    | VersionInfo        |                                      | Integer       | 0..1 | 12
"""

# Table 4.3.1-3. Columns: XDS Document Source, XDS Repository, XDM Media Creator, XDR Document Source, XDR Metadata-Limited
# Source, On-Demand Source, XCDR Initiating Gateway.
OPTIONALITY = {
    ObjectKind.DOCUMENT_ENTRY: """
author                                                 R2 R2 R2 R2 R2 R2 R2
classCode confidentialityCode formatCode healthcareFacilityTypeCode practiceSettingCode typeCode languageCode \
                                                       R  R  R2 R  R2 R  R
creationTime                                           R  R  R2 R  R2 X  R
entryUUID mimeType objectType uniqueId                 R  R  R  R  R  R  R
hash size                                              O  R  R  O  O  X  O
limitedMetadata                                        X  X  O  X  R  X  X
patientId                                              R  R  R2 R  R2 R  R2
repositoryUniqueId                                     O  R  O  O  O  R  O
serviceStartTime serviceStopTime                       R2 R2 R2 R2 R2 O  R2
sourcePatientId                                        R  R  R2 R  R2 R  R
sourcePatientInfo                                      O  O  R2 O  R2 O  O
URI                                                    O  O  R  O  O  O  O
availabilityStatus comments eventCodeList homeCommunityId legalAuthenticator referenceIdList title \
                                                       O  O  O  O  O  O  O
documentAvailability                                   O  O  O  O  O  X  -
logicalID version                                      O  O  O  O  O  O  -
""",
    ObjectKind.SUBMISSION_SET: """
author                                                 R2 R2 R2 R2 R2 R2 R2
contentTypeCode                                        R  R  R2 R  R2 R  R
entryUUID sourceId submissionTime uniqueId             R  R  R  R  R  R  R
intendedRecipient                                      O  O  R2 R2 R2 O  R2
limitedMetadata                                        X  X  O  X  R  X  X
patientId                                              R  R  R2 R  R2 R  R2
availabilityStatus comments homeCommunityId title      O  O  O  O  O  O  O
""",
    ObjectKind.FOLDER: """
codeList                                               R  R  R2 R  R2 R  R
entryUUID uniqueId                                     R  R  R  R  R  R  R
patientId                                              R  R  R2 R  R2 R  R2
title                                                  R  R  O  R  O  R  R
limitedMetadata                                        X  X  O  X  R  X  X
availabilityStatus comments homeCommunityId lastUpdateTime logicalID version \
                                                       O  O  O  O  O  O  O
""",
}
CARRIERS = {
    "Classification": "Classification/@classificationScheme",
    "node": "Classification/@classificationNode",
    "ExternalIdentifier": "ExternalIdentifier/@identificationScheme",
    "VersionInfo": "VersionInfo/@versionName",
}
TABLES = {
    ObjectKind.DOCUMENT_ENTRY: ("4.2.3.2", DOCUMENT_ENTRY),
    ObjectKind.SUBMISSION_SET: ("4.2.3.3", SUBMISSION_SET),
    ObjectKind.FOLDER: ("4.2.3.4", FOLDER),
}
MODELS = {
    ObjectKind.DOCUMENT_ENTRY: DocumentEntry,
    ObjectKind.SUBMISSION_SET: SubmissionSet,
    ObjectKind.FOLDER: Folder,
    ObjectKind.ASSOCIATION: Association,
}


def typed_rows() -> list[tuple[ObjectKind, list[str]]]:
    rows = []
    for kind, (_, table) in TABLES.items():
        rows += [(kind, [cell.strip() for cell in line.split("|")]) for line in table.strip().splitlines()]
    return rows


@pytest.mark.parametrize(("kind", "row"), typed_rows(), ids=lambda v: v.value if isinstance(v, ObjectKind) else v[0])
def test_row(kind: ObjectKind, row: list[str]) -> None:
    name, carrier, key, data_type, multiplicity, section = row
    attribute = BY_NAME[kind, name]
    base, _ = TABLES[kind]
    is_scheme = len(key) == 36 and key.count("-") == 4
    assert attribute.carrier.value == CARRIERS.get(carrier, carrier)
    assert attribute.key == (f"urn:uuid:{key}" if is_scheme else key)
    assert attribute.type.value == data_type
    assert attribute.multiplicity == multiplicity
    assert attribute.section == f"ITI TF-3: {section if '.' in section else f'{base}.{section}'}"
    expected_name = f"XDS{kind.value}.{name}" if carrier == "ExternalIdentifier" else ""
    assert attribute.identifier_name == expected_name == IDENTIFIER_NAMES.get(attribute.key, "")


def test_the_table_has_no_other_rows() -> None:
    typed = {(kind, row[0]) for kind, row in typed_rows()}
    assert {(a.kind, a.name) for a in ATTRIBUTES if a.kind is not ObjectKind.ASSOCIATION} == typed
    assert len(ATTRIBUTES) == len(BY_NAME)


@pytest.mark.parametrize("kind", OPTIONALITY, ids=lambda k: k.value)
def test_optionality(kind: ObjectKind) -> None:
    senders = list(Sender)
    seen = set()
    for line in OPTIONALITY[kind].strip().splitlines():
        *names, c1, c2, c3, c4, c5, c6, c7 = line.split()
        for name in names:
            sent = BY_NAME[kind, name].sent
            assert [sent[s].value for s in senders] == [c1, c2, c3, c4, c5, c6, c7], name
            seen.add(name)
    assert seen == {a.name for a in ATTRIBUTES if a.kind is kind}


@pytest.mark.parametrize("kind", ObjectKind, ids=lambda k: k.value)
def test_the_model_has_a_field_for_each_row_and_no_other(kind: ObjectKind) -> None:
    fields = {f.name for f in dataclasses.fields(MODELS[kind])} - {"raw"}
    assert fields == {a.name for a in ATTRIBUTES if a.kind is kind}


def test_author_slots() -> None:
    """ITI TF-3: 4.2.3.1.4."""
    assert {name: (data_type.value, multiplicity) for name, (data_type, multiplicity) in AUTHOR_SLOTS.items()} == {
        "authorPerson": ("XCN", "0..1"),
        "authorInstitution": ("XON", "0..n"),
        "authorRole": ("Coded String", "0..n"),
        "authorSpecialty": ("Coded String", "0..n"),
        "authorTelecommunication": ("XTN", "0..n"),
    }
    assert [f.name for f in dataclasses.fields(Author)] == list(AUTHOR_SLOTS)


def test_nodes_and_types() -> None:
    assert schemes.STABLE == "urn:uuid:7edca82f-054d-47f2-a032-9b2a5b5186c1"
    assert schemes.ON_DEMAND == "urn:uuid:34268e47-fdf5-41a6-ba33-82133c465248"
    assert schemes.SUBMISSION_SET_NODE == "urn:uuid:a54d6aa5-d40d-43f9-88c5-b4633d873bdd"
    assert schemes.FOLDER_NODE == "urn:uuid:d9d542f3-6cc4-48b6-8870-ea235fbc94c2"
    assert schemes.ASSOCIATION_DOCUMENTATION == "urn:uuid:abd807a3-4432-4053-87b4-fd82c643d1f3"
    assert {s.partition("urn:uuid:")[2][:8] for s in PATIENT_ID_SCHEMES} == {"58a6f841", "6b5aea1a", "f64ffdf0"}


def test_association_types() -> None:
    """ITI TF-3: Table 4.2.2-1, and those of Metadata Update."""
    assert {t.urn for t in AssociationType} == {
        "urn:oasis:names:tc:ebxml-regrep:AssociationType:HasMember",
        "urn:ihe:iti:2007:AssociationType:RPLC",
        "urn:ihe:iti:2007:AssociationType:XFRM",
        "urn:ihe:iti:2007:AssociationType:APND",
        "urn:ihe:iti:2007:AssociationType:XFRM_RPLC",
        "urn:ihe:iti:2007:AssociationType:signs",
        "urn:ihe:iti:2010:AssociationType:IsSnapshotOf",
        "urn:ihe:iti:2010:AssociationType:UpdateAvailabilityStatus",
        "urn:ihe:iti:2010:AssociationType:SubmitAssociation",
    }
    assert {t.name for t in AssociationType if t.replaces} == {"RPLC", "XFRM_RPLC"}
    assert {t.name for t in AssociationType if t.is_relationship} == {
        "RPLC", "XFRM", "APND", "XFRM_RPLC", "SIGNS", "IS_SNAPSHOT_OF"
    }  # fmt: skip


def test_urns_of_answers() -> None:
    """ITI TF-3: 4.2.4: PartialSuccess is in a namespace of its own."""
    assert [s.value for s in ResponseStatus] == [
        "urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Success",
        "urn:ihe:iti:2007:ResponseStatusType:PartialSuccess",
        "urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Failure",
    ]
    assert [s.value for s in Severity] == [
        "urn:oasis:names:tc:ebxml-regrep:ErrorSeverityType:Error",
        "urn:oasis:names:tc:ebxml-regrep:ErrorSeverityType:Warning",
    ]
    assert AvailabilityStatus.APPROVED.urn == "urn:oasis:names:tc:ebxml-regrep:StatusType:Approved"
    assert AvailabilityStatus.DEPRECATED.urn == "urn:oasis:names:tc:ebxml-regrep:StatusType:Deprecated"


@pytest.mark.parametrize(
    ("transaction", "sent", "answered", "path"),
    [
        ("ITI_18", "RegistryStoredQuery", "RegistryStoredQueryResponse", "/xds/iti18"),
        ("ITI_41", "ProvideAndRegisterDocumentSet-b", "ProvideAndRegisterDocumentSet-bResponse", "/xds/iti41"),
        ("ITI_42", "RegisterDocumentSet-b", "RegisterDocumentSet-bResponse", "/xds/iti42"),
        ("ITI_43", "RetrieveDocumentSet", "RetrieveDocumentSetResponse", "/xds/iti43"),
    ],
)
def test_actions(transaction: str, sent: str, answered: str, path: str) -> None:
    found = Transaction[transaction]
    assert (found.action, found.response_action) == (f"urn:ihe:iti:2007:{sent}", f"urn:ihe:iti:2007:{answered}")
    assert found.path == path
