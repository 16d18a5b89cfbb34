"""The messages of the suite: bodies of every transaction, their envelopes, and what a case does to them on the wire.

Typed from ITI TF-2: 3.8, 3.18, 3.41, 3.43, 3.44, Appendix V, and the supplement RMD.
"""

from __future__ import annotations

import base64
import gzip
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from conformance.submission import Thing
from conformance.wire import ACTIONS, QUERY, RIM, XDSB, mtom_frame, part_head, provide_body, soap_request

QUERIES = {
    "FindDocuments": "14d4debf-8f97-4251-9a74-a90016b0af0d",
    "FindSubmissionSets": "f26abbcb-ac74-4422-8a30-edb644bbc1a9",
    "FindFolders": "958f3006-baad-4929-a4de-ff1114824431",
    "GetAll": "10b545ea-725c-446d-9b95-8aeb444eddf3",
    "GetDocuments": "5c4f972b-d56b-40ac-a5fc-c8ca9b40b9d4",
    "GetFolders": "5737b14c-8a1a-4539-b659-e03a34a5e1e4",
    "GetAssociations": "a7ae438b-4bc2-4642-93e9-be891f7bb155",
    "GetDocumentsAndAssociations": "bab9529a-4a10-40b3-a01f-f68a615d247a",
    "GetSubmissionSets": "51224314-5390-4169-9b91-b1980040715a",
    "GetSubmissionSetAndContents": "e8e3cb2c-e39c-46b9-99e4-c12f57260b83",
    "GetFolderAndContents": "b909a503-523d-4517-8acf-8e5834dfc4c7",
    "GetFoldersForDocument": "10cae35a-c7f9-4cf5-b61e-fc3278ffb578",
    "GetRelatedDocuments": "d90e5407-b356-4d91-a89f-873917b4b0e6",
    "FindDocumentsByReferenceId": "12941a89-e02e-4be5-967c-ce4bfc8fe492",
    "FindDocumentsByTitle": "ab474085-82b5-402d-8115-3f37cb1e2405",
    "FindDocumentsForMultiplePatients": "3d1bdb10-39a2-11de-89c2-2f44d94eaa9f",
    "FindFoldersForMultiplePatients": "50d3f5ac-39a2-11de-a1ca-b366239e58df",
    "FindDocumentsByReferenceIdForMultiplePatients": "1191642d-86c4-42d8-b784-f95445f9f0d5",
}
#: A message of HL7 v3 by what it asks for.
INTERACTIONS = {
    "add": "PRPA_IN201301UV02", "revise": "PRPA_IN201302UV02", "merge": "PRPA_IN201304UV02", "join": "PRPA_IN201302UV02",
}  # fmt: skip
EVENTS = {"add": "A04", "admit": "A01", "preadmit": "A05", "revise": "A08", "merge": "A40", "move": "A43", "join": "A08"}
BOUNDARY = "kit-boundary"


@dataclass(slots=True)
class Outgoing:
    """A request: its address, headers and body. `message_id` is its wsa:MessageID."""

    headers: dict[str, str]
    body: bytes

    @property
    def message_id(self) -> str:
        return self.body.partition(b"MessageID>")[2].partition(b"<")[0].decode("utf-8", "replace").strip()


class WireChangeError(ValueError):
    """What a case wants to replace does not occur in its message."""


def soap(transaction: str, body: bytes, url: str, action: str = "") -> Outgoing:
    """Plain SOAP 1.2."""
    content_type, content = soap_request(action or ACTIONS[transaction], body, url)
    return Outgoing({"Content-Type": content_type}, content)


def mtom(transaction: str, body: bytes, url: str, documents: Sequence[tuple[str, bytes, str]] = ()) -> Outgoing:
    """MTOM with a boundary that is always the same. `documents`: Content-ID, octets, media type."""
    content_type, root, boundary = mtom_frame(ACTIONS[transaction], body, url)
    pieces = [root]
    for content_id, content, media_type in documents:
        pieces += [part_head(boundary, content_id, media_type), content]
    whole = b"".join([*pieces, f"\r\n--{boundary}--\r\n".encode()])
    return Outgoing(
        {"Content-Type": content_type.replace(boundary, BOUNDARY)}, whole.replace(boundary.encode(), BOUNDARY.encode())
    )


# -------------------------------------------------------------------------------------------------------------- bodies


def provided(
    submission: bytes,
    documents: Mapping[str, Thing],
    changes: Iterable[Sequence[str]],
    resigned: Callable[[bytes, str, str], bytes] | None = None,
) -> tuple[bytes, list[tuple[str, bytes, str]]]:
    """Body and parts of an ITI-41. Changes of `documents`: drop NAME, add ID, content NAME TEXT, replace NAME OLD NEW, and resign
    NAME PATTERN TEXT for the signature of a set, which `resigned` signs again."""
    contents = {id: thing.content for id, thing in documents.items()}
    ids = {thing.name: id for id, thing in documents.items()}
    for word, name, *values in changes:
        id = ids.get(name, name)
        if word == "drop":
            del contents[id]
        elif word == "resign" and resigned is not None:
            contents[id] = resigned(contents[id], *values)
        elif word == "replace":
            if values[0].encode() not in contents[id]:
                raise WireChangeError(f"the document of {name} has no {values[0]!r}")
            contents[id] = contents[id].replace(values[0].encode(), values[1].encode(), 1)
        else:
            contents[id] = (values or ["A document.\n"])[0].encode()
    pairs = [(id, f"document{number}@kit") for number, id in enumerate(contents, 1)]
    media = {id: thing.mime_type for id, thing in documents.items()}
    parts = [(content_id, contents[id], media.get(id, "text/plain")) for id, content_id in pairs]
    return provide_body(submission, pairs), parts


def inline(submission: bytes, documents: Mapping[str, Thing]) -> bytes:
    """Body of an ITI-41 whose documents stand in it as base64."""

    inner = "".join(
        f'<xdsb:Document id="{escape(id)}">{base64.b64encode(thing.content).decode()}</xdsb:Document>'
        for id, thing in documents.items()
    )
    name = "ProvideAndRegisterDocumentSetRequest"
    return f'<xdsb:{name} xmlns:xdsb="{XDSB}">'.encode() + submission + f"{inner}</xdsb:{name}>".encode()


def adhoc_query(query: str, parameters: Iterable[Sequence[str]], return_type: str, home: str = "") -> bytes:
    """An AdhocQueryRequest. `query` is a name or a UUID in URN form; the values are in the syntax of ITI TF-2: 3.18.4.1.2.3.5."""
    slots = "".join(
        f'<rim:Slot name="{escape(name)}"><rim:ValueList>'
        + "".join(f"<rim:Value>{escape(value, quote=False)}</rim:Value>" for value in values)
        + "</rim:ValueList></rim:Slot>"
        for name, *values in parameters
    )
    identity = f"urn:uuid:{QUERIES[query]}" if query in QUERIES else query
    at_home = f' home="{escape(home)}"' if home else ""
    return (
        f'<query:AdhocQueryRequest xmlns:query="{QUERY}" xmlns:rim="{RIM}">'
        f'<query:ResponseOption returnComposedObjects="true" returnType="{return_type}"/>'
        f'<rim:AdhocQuery id="{identity}"{at_home}>{slots}</rim:AdhocQuery></query:AdhocQueryRequest>'
    ).encode()


def retrieval(pairs: Iterable[tuple[str, str]]) -> bytes:
    """A RetrieveDocumentSetRequest; `pairs` are RepositoryUniqueId and DocumentUniqueId."""
    return _document_requests("RetrieveDocumentSetRequest", XDSB, pairs)


def removal_of_documents(pairs: Iterable[tuple[str, str]]) -> bytes:
    """A RemoveDocumentsRequest (ITI-86)."""
    return _document_requests("RemoveDocumentsRequest", "urn:ihe:iti:rmd:2017", pairs)


def _document_requests(name: str, namespace: str, pairs: Iterable[tuple[str, str]]) -> bytes:
    inner = "".join(
        f"<x:DocumentRequest><x:RepositoryUniqueId>{escape(repository)}</x:RepositoryUniqueId>"
        f"<x:DocumentUniqueId>{escape(document)}</x:DocumentUniqueId></x:DocumentRequest>"
        for repository, document in pairs
    )
    return f'<r:{name} xmlns:r="{namespace}" xmlns:x="{XDSB}">{inner}</r:{name}>'.encode()


def removal(ids: Iterable[str]) -> bytes:
    """A RemoveObjectsRequest (ITI-62)."""
    inner = "".join(f'<rim:ObjectRef id="{escape(id)}"/>' for id in ids)
    return (
        f'<lcm:RemoveObjectsRequest xmlns:lcm="urn:oasis:names:tc:ebxml-regrep:xsd:lcm:3.0" xmlns:rim="{RIM}">'
        f"<rim:ObjectRefList>{inner}</rim:ObjectRefList></lcm:RemoveObjectsRequest>"
    ).encode()


# -------------------------------------------------------------------------------------------------------- patient feeds


def identity_v3(feed: str, patient: str, prior: str, message_id: str) -> bytes:
    """The HL7 v3 message of ITI-44; `feed` is add, revise, merge, or join: then `prior` is a second id of the same patient."""
    name, ids = INTERACTIONS[feed], _ii(patient)
    if feed == "join":
        ids, prior = ids + _ii(prior), ""
    role = f'<priorRegisteredRole classCode="PAT">{_ii(prior)}</priorRegisteredRole>' if prior else ""
    replaced = (
        f'<replacementOf typeCode="RPLC"><priorRegistration classCode="REG" moodCode="EVN"><statusCode code="obsolete"/>'
        f'<subject1 typeCode="SBJ">{role}</subject1></priorRegistration></replacementOf>'
        if prior
        else ""
    )
    device = '<device classCode="DEV" determinerCode="INSTANCE"><id root="{}"/></device>'
    return (
        f'<{name} xmlns="urn:hl7-org:v3" ITSVersion="XML_1.0"><id root="{message_id}"/><creationTime value="20240131101500"/>'
        f'<interactionId root="2.16.840.1.113883.1.6" extension="{name}"/><processingCode code="P"/>'
        f'<processingModeCode code="T"/><acceptAckCode code="AL"/><receiver typeCode="RCV">{device.format("1.2.3.1")}</receiver>'
        f'<sender typeCode="SND">{device.format("1.2.3.2")}</sender><controlActProcess classCode="CACT" moodCode="EVN">'
        f'<subject typeCode="SUBJ"><registrationEvent classCode="REG" moodCode="EVN"><statusCode code="active"/>'
        f'<subject1 typeCode="SBJ"><patient classCode="PAT">{ids}<statusCode code="active"/>'
        f'<patientPerson classCode="PSN" determinerCode="INSTANCE"><name><family>DUPONT</family><given>Marie</given></name>'
        f"</patientPerson></patient></subject1>{replaced}</registrationEvent></subject></controlActProcess></{name}>"
    ).encode()


def _ii(cx: str) -> str:
    id, _, rest = cx.partition("^^^&")
    return f'<id root="{escape(rest.partition("&")[0])}" extension="{escape(id)}"/>'


def identity_v2(feed: str, patient: str, prior: str, control_id: str) -> str:
    """The HL7 v2.3.1 message of ITI-8, or the v2.5 message A43 of ITI-64."""
    event = EVENTS[feed]
    ids = patient.replace("^NH", "")
    if feed == "join":
        ids, prior = f"{ids}~{prior.replace('^NH', '')}", ""
    structure = {"A40": "ADT_A39", "A43": "ADT_A43", "A05": "ADT_A05"}.get(event, "ADT_A01")
    version, sender = ("2.5", "1.2.250.1.213.99.2") if event == "A43" else ("2.3.1", "KIT")
    lines = [
        f"MSH|^~\\&|{sender}|CARNET|REGISTRY|TARGET|20240131101500||ADT^{event}^{structure}|{control_id}|P|{version}",
        f"EVN|{event}|20240131101500",
        f"PID|||{ids}||DUPONT^Marie||19560527|F",
        f"MRG|{prior}" if prior else "PV1||O",
    ]
    return "\r".join(lines) + "\r"


# ----------------------------------------------------------------------------------------------------- on the wire


def altered(message: Outgoing, changes: Iterable[Sequence[str]]) -> Outgoing:
    """The request as a case wants it on the wire.

    replace OLD NEW (once), replace-all OLD NEW, prefix TEXT, suffix TEXT, lf, utf-16, gzip, chunked; type OLD NEW in the
    Content-Type; header NAME VALUE. Raises WireChangeError where OLD does not occur.
    """
    for word, *values in changes:
        if word in ("replace", "replace-all"):
            old, new = (value.encode() for value in values)
            _occurs(old in message.body, values[0])
            message.body = message.body.replace(old, new, -1 if word == "replace-all" else 1)
        elif word == "type":
            _occurs(values[0] in message.headers["Content-Type"], values[0])
            message.headers["Content-Type"] = message.headers["Content-Type"].replace(values[0], values[1])
        elif word == "header":
            message.headers[values[0]] = values[1]
        else:
            _SIMPLE[word](message, values)
    return message


def _occurs(true: bool, text: str) -> None:
    if not true:
        raise WireChangeError(f"{text!r} does not occur")


def _lf(message: Outgoing, values: list[str]) -> None:
    message.body = message.body.replace(b"\r\n", b"\n")


def _utf16(message: Outgoing, values: list[str]) -> None:
    body = message.body.decode().replace("encoding='UTF-8'", "encoding='UTF-16'")
    message.body = body.encode("utf-16")
    message.headers["Content-Type"] = message.headers["Content-Type"].replace("UTF-8", "UTF-16")


def _gzip(message: Outgoing, values: list[str]) -> None:
    message.body = gzip.compress(message.body, mtime=0)
    message.headers["Content-Encoding"] = "gzip"


def _chunked(message: Outgoing, values: list[str]) -> None:
    message.headers["Transfer-Encoding"] = "chunked"


def _prefix(message: Outgoing, values: list[str]) -> None:
    message.body = values[0].encode() + message.body


def _suffix(message: Outgoing, values: list[str]) -> None:
    message.body += values[0].encode()


def _body(message: Outgoing, values: list[str]) -> None:
    message.body = values[0].encode()


_SIMPLE = {
    "lf": _lf, "utf-16": _utf16, "gzip": _gzip, "chunked": _chunked, "prefix": _prefix, "suffix": _suffix, "body": _body,
}  # fmt: skip
