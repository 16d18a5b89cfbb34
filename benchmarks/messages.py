"""Requests as octets, made before the clock starts: what a client would send, with fresh ids where they must be fresh."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace

from metadata.fragments import build_submit_objects_request
from metadata.vocabulary import Transaction
from server.description import build_submission
from server.sample import make_documents
from server.sample_people import make_patients

ENVELOPE = "http://www.w3.org/2003/05/soap-envelope"
ADDRESSING = "http://www.w3.org/2005/08/addressing"
APPROVED = "urn:oasis:names:tc:ebxml-regrep:StatusType:Approved"
SOURCE = "1.2.250.1.213.99.7"
FIND_DOCUMENTS = "urn:uuid:14d4debf-8f97-4251-9a74-a90016b0af0d"
GET_DOCUMENTS = "urn:uuid:5c4f972b-d56b-40ac-a5fc-c8ca9b40b9d4"
BOUNDARY = "carnet-benchmark-0001"

#: A request made anew at every call: the octets of header and body.
Make = Callable[[], bytes]


def patient_cx(number: int) -> str:
    """The identifier of the patient `number` of a filled store."""
    return f"{number:010d}^^^&1.2.250.1.71.4.2.7&ISO"


def unique_id(patient: int, number: int) -> str:
    """The uniqueId of entry `number` of a patient of a filled store."""
    return f"1.2.250.1.213.99.1.{patient + 1}.{number + 1}"


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")


def envelope(transaction: Transaction, body: bytes) -> bytes:
    """A SOAP 1.2 message around `body`."""
    head = (
        f'<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="{ENVELOPE}" xmlns:a="{ADDRESSING}"><s:Header>'
        f'<a:Action s:mustUnderstand="1">{transaction.action}</a:Action>'
        "<a:MessageID>urn:uuid:5c3b1e04-9f0f-4c5e-a0e9-2f3f0a6f1d11</a:MessageID>"
        f"<a:ReplyTo><a:Address>{ADDRESSING}/anonymous</a:Address></a:ReplyTo>"
        f"<a:To>http://localhost{transaction.path}</a:To></s:Header><s:Body>"
    )
    return head.encode() + body + b"</s:Body></s:Envelope>"


def http(path: str, content_type: str, body: bytes) -> bytes:
    """One HTTP/1.1 request on a connection that stays open."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def soap(transaction: Transaction, body: bytes) -> bytes:
    """A plain SOAP request of this transaction."""
    return http(transaction.path, "application/soap+xml; charset=UTF-8", envelope(transaction, body))


def mtom_ends(transaction: Transaction, body: bytes, content_id: str = "document", mime: str = "text/xml") -> tuple[bytes, bytes]:
    """What stands in a package before the octets of its one document, and what after them."""
    before = (
        f"--{BOUNDARY}\r\nContent-Type: application/xop+xml; charset=UTF-8; type=\"application/soap+xml\"\r\n"
        "Content-Transfer-Encoding: binary\r\nContent-ID: <root@benchmark>\r\n\r\n"
    ).encode()
    part = (
        f"\r\n--{BOUNDARY}\r\nContent-Type: {mime}\r\nContent-Transfer-Encoding: binary\r\n"
        f"Content-ID: <{content_id}@benchmark>\r\n\r\n"
    ).encode()
    return before + envelope(transaction, body) + part, f"\r\n--{BOUNDARY}--\r\n".encode()


MTOM = (
    f'multipart/related; boundary="{BOUNDARY}"; type="application/xop+xml"; start="<root@benchmark>"; '
    'start-info="application/soap+xml"'
)


# ---------------------------------------------------------------------------------------------------------------- queries


def query_body(id: str, slots: dict[str, str], leaf: bool) -> bytes:
    inner = "".join(
        f'<r:Slot name="{name}"><r:ValueList><r:Value>{_escape(value)}</r:Value></r:ValueList></r:Slot>'
        for name, value in slots.items()
    )
    kind = "LeafClass" if leaf else "ObjectRef"
    return (
        '<q:AdhocQueryRequest xmlns:q="urn:oasis:names:tc:ebxml-regrep:xsd:query:3.0" '
        'xmlns:r="urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0">'
        f'<q:ResponseOption returnComposedObjects="true" returnType="{kind}"/>'
        f'<r:AdhocQuery id="{id}">{inner}</r:AdhocQuery></q:AdhocQueryRequest>'
    ).encode()


def find_slots(patient: int) -> dict[str, str]:
    """FindDocuments for the prescriptions of a patient: 20 of 200 entries."""
    return {
        "$XDSDocumentEntryPatientId": f"'{patient_cx(patient)}'",
        "$XDSDocumentEntryStatus": f"('{APPROVED}')",
        "$XDSDocumentEntryClassCode": "('42^^1.2.250.1.213.1.1.4.1')",
    }


def find_documents(patient: int, leaf: bool = True) -> bytes:
    """ITI-18 FindDocuments."""
    return soap(Transaction.ITI_18, query_body(FIND_DOCUMENTS, find_slots(patient), leaf))


def get_documents(patient: int, number: int) -> bytes:
    """ITI-18 GetDocuments by uniqueId."""
    slots = {"$XDSDocumentEntryUniqueId": f"('{unique_id(patient, number)}')"}
    return soap(Transaction.ITI_18, query_body(GET_DOCUMENTS, slots, leaf=True))


# ------------------------------------------------------------------------------------------------------------ submissions


def cda(size: int) -> bytes:
    """A discharge report of `size` bytes: real, and filled up by a comment behind its end."""
    (patient,) = make_patients(1, 1)
    data = next(iter(make_documents(patient, 1, 1))).data
    room = size - len(data) - len("<!---->\n")
    return data + b"<!--" + b"carnet " * (room // 7) + b"x" * (room % 7) + b"-->\n" if room >= 0 else data


class Submissions:
    """One document for one known patient, again and again under fresh ids."""

    def __init__(self, seed: int, patients: int) -> None:
        (person,) = make_patients(1, 1)
        description = next(iter(make_documents(person, 1, 1))).description
        marked = replace(description, uniqueId="@@DOCUMENT@@", patientId="@@PATIENT@@", sourcePatientId=patient_cx(0))
        submission = build_submission([marked], source_id=SOURCE, unique_id="@@SET@@")
        self._template = build_submit_objects_request(submission).decode()
        self.made = 0
        self.seed = seed
        self._patients = patients

    def completed(self, repository: str, document: bytes, sha1: str) -> bytes:
        """The next lcm:SubmitObjectsRequest with what a repository adds for this document."""
        added = (("hash", sha1), ("size", str(len(document))), ("repositoryUniqueId", repository))
        return self.body(
            "".join(
                f'<rim:Slot name="{name}"><rim:ValueList><rim:Value>{value}</rim:Value></rim:ValueList></rim:Slot>'
                for name, value in added
            )
        )

    def body(self, extra_slots: str = "") -> bytes:
        """The next lcm:SubmitObjectsRequest. `extra_slots` go into the DocumentEntry."""
        return self.body_for(patient_cx((self.made + 1) % self._patients), extra_slots)

    def body_for(self, cx: str, extra_slots: str = "") -> bytes:
        """The next one for this patient."""
        self.made += 1
        number = self.made
        text = self._template
        if extra_slots:
            text = text.replace('<rim:Slot name="creationTime">', extra_slots + '<rim:Slot name="creationTime">', 1)
        return (
            text.replace("@@DOCUMENT@@", f"1.2.250.1.213.99.2.{self.seed}.{number}")
            .replace("@@SET@@", f"1.2.250.1.213.99.3.{self.seed}.{number}")
            .replace("@@PATIENT@@", _escape(cx))
            .encode()
        )

    def provide_body(self) -> bytes:
        """The next xds:ProvideAndRegisterDocumentSetRequest; its document is the part `document@benchmark`."""
        return (
            b'<x:ProvideAndRegisterDocumentSetRequest xmlns:x="urn:ihe:iti:xds-b:2007">'
            + self.body()
            + b'<x:Document id="Document01"><i:Include xmlns:i="http://www.w3.org/2004/08/xop/include" '
            b'href="cid:document@benchmark"/></x:Document></x:ProvideAndRegisterDocumentSetRequest>'
        )

    def provide(self, document: bytes) -> bytes:
        """The next ITI-41 with this document."""
        before, after = mtom_ends(Transaction.ITI_41, self.provide_body())
        return http(Transaction.ITI_41.path, MTOM, b"".join((before, document, after)))

    def register(self, repository: str, document: bytes, sha1: str) -> bytes:
        """The next ITI-42: what a repository elsewhere would send for this document."""
        return soap(Transaction.ITI_42, self.completed(repository, document, sha1))


# --------------------------------------------------------------------------------------------------------------- retrieve


def retrieve_body(repository: str, document: str) -> bytes:
    """An xds:RetrieveDocumentSetRequest for one document."""
    return (
        '<x:RetrieveDocumentSetRequest xmlns:x="urn:ihe:iti:xds-b:2007"><x:DocumentRequest>'
        f"<x:RepositoryUniqueId>{repository}</x:RepositoryUniqueId><x:DocumentUniqueId>{document}</x:DocumentUniqueId>"
        "</x:DocumentRequest></x:RetrieveDocumentSetRequest>"
    ).encode()


def retrieve(repository: str, document: str) -> bytes:
    """ITI-43 as a package without attachments, which makes the answer a package too."""
    body = (
        f"--{BOUNDARY}\r\nContent-Type: application/xop+xml; charset=UTF-8; type=\"application/soap+xml\"\r\n"
        "Content-Transfer-Encoding: binary\r\nContent-ID: <root@benchmark>\r\n\r\n"
    ).encode() + envelope(Transaction.ITI_43, retrieve_body(repository, document))
    return http(Transaction.ITI_43.path, MTOM, body + f"\r\n--{BOUNDARY}--\r\n".encode())


def cycled(requests: list[bytes]) -> Make:
    """The same requests over and over."""
    turn: Iterator[bytes] = itertools.cycle(requests)
    return lambda: next(turn)
