"""What is large or unusual goes in, is found and comes out byte for byte: over the wire, with the server as a process."""

from __future__ import annotations

import hashlib
import resource
from collections.abc import Iterator

import pytest
from lxml import etree

from tests.nist.wire import RIM, Answer
from tests.proof.conftest import Proof, open_proof
from tests.proof.messages import (
    APPROVED,
    EVENT,
    HAS_MEMBER,
    Association,
    Entry,
    Folder,
    Submission,
    query,
    quoted,
    retrieval,
    single,
)
from tests.proof.streaming import MemoryWatch, download, upload

MB = 1 << 20
GROWTH = 16 * MB


@pytest.fixture(scope="module")
def roomy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proof]:
    """A server whose limits are raised as an operator would raise them."""
    limits = {"CARNET_LIMITS_ROOT_PART": str(64 * MB), "CARNET_LIMITS_RETRIEVE_DOCUMENTS": "2000"}
    with open_proof(tmp_path_factory.mktemp("roomy") / "data", environ=limits, known=10) as opened:
        yield opened


def pids(proof: Proof) -> list[int]:
    return [proof.server.pid, *proof.server.workers]


def find(proof: Proof, patient: str, **slots: str) -> Answer:
    wanted = {"$XDSDocumentEntryPatientId": single(patient), "$XDSDocumentEntryStatus": quoted(APPROVED)}
    answer = proof.client.query(query("FindDocuments", wanted | {f"$XDSDocumentEntry{k}": v for k, v in slots.items()}))
    assert answer.status == "Success", answer.errors
    return answer


def entries(answer: Answer) -> dict[str, etree._Element]:
    return {e.get("id", ""): e for e in answer.body.iter(f"{{{RIM}}}ExtrinsicObject")}


def slot_of(entry: etree._Element, name: str) -> str:
    return str(entry.xpath("string(r:Slot[@name=$n]/r:ValueList/r:Value)", namespaces={"r": RIM}, n=name))


def test_a_large_document(proof: Proof, long: bool) -> None:
    """64 MB, or 1 GB with --long: the server's anonymous memory may grow by 16 MB (asserted with --long, told otherwise)."""
    size = 1024 * MB if long else 64 * MB
    warm = Entry(proof.patient())
    assert upload(proof.server.repository, Submission(warm.patient, [warm]).xml(), warm.id, MB)[0].status == "Success"
    assert download(proof.server.repository, retrieval([warm.uid]))[0] == "Success"
    entry = Entry(proof.patient(), mime_type="application/octet-stream")
    with MemoryWatch(lambda: pids(proof)) as rising:
        answer, sent = upload(proof.server.repository, Submission(entry.patient, [entry]).xml(), entry.id, size)
    assert answer.status == "Success", answer.errors
    found = entries(find(proof, entry.patient))[entry.id]
    assert slot_of(found, "size") == str(size)
    with MemoryWatch(lambda: pids(proof)) as falling:
        status, received = download(proof.server.repository, retrieval([entry.uid]))
    assert (status, received.size, received.digest) == ("Success", size, sent.digest)
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(
        f"{size // MB} MB: server {rising.before / MB:.1f} MB, +{rising.growth / MB:.1f} MB in, "
        f"+{falling.growth / MB:.1f} MB out; this client's peak {own} MB"
    )
    if long:
        assert max(rising.growth, falling.growth) <= GROWTH


def test_a_folder_of_two_thousand_documents(roomy: Proof) -> None:
    """In four submissions; GetFolderAndContents returns every entry and membership, and every document comes out."""
    patient = roomy.patient()
    folder = Folder(patient)
    assert roomy.client.register(Submission(patient, folders=[folder]).xml()).status == "Success"
    documents: dict[str, bytes] = {}
    ids = set()
    for _ in range(4):
        new = [Entry(patient) for _ in range(500)]
        ids |= {entry.id for entry in new}
        documents |= {entry.uid: b"document of " + entry.id.encode() for entry in new}
        members = [Association(HAS_MEMBER, folder.id, entry.id) for entry in new]
        submission = Submission(patient, new, associations=members)
        answer = roomy.client.provide(submission.xml(), {entry.id: documents[entry.uid] for entry in new})
        assert answer.status == "Success", answer.errors[:3]
    answer = roomy.client.query(query("GetFolderAndContents", {"$XDSFolderEntryUUID": single(folder.id)}))
    assert answer.status == "Success", answer.errors
    assert set(entries(answer)) == ids
    held = [a for a in answer.body.iter(f"{{{RIM}}}Association") if a.get("sourceObject") == folder.id]
    assert {a.get("targetObject") for a in held} == ids and len(held) == 2000
    retrieved = roomy.client.retrieve(retrieval(documents))
    assert retrieved.status == "Success", retrieved.errors[:3]
    assert {uid: document.content for uid, document in retrieved.documents().items()} == documents


def test_five_hundred_documents_in_one_submission(roomy: Proof) -> None:
    patient = roomy.patient()
    documents = {f"d{n}": f"document {n}\r\n--proof\x00".encode() * (n % 40 + 1) for n in range(500)}
    listed = [Entry(patient, id=name) for name in documents]
    answer = roomy.client.provide(Submission(patient, listed).xml(), documents)
    assert answer.status == "Success", answer.errors[:3]
    uids = {entry.uid: documents[entry.id] for entry in listed}
    wanted = {"$XDSDocumentEntryPatientId": single(patient), "$XDSDocumentEntryStatus": quoted(APPROVED)}
    references = roomy.client.query(query("FindDocuments", wanted, "ObjectRef"))
    assert len(list(references.body.iter(f"{{{RIM}}}ObjectRef"))) == 500
    retrieved = roomy.client.retrieve(retrieval(uids))
    assert retrieved.status == "Success", retrieved.errors[:3]
    assert {uid: document.content for uid, document in retrieved.documents().items()} == uids


@pytest.mark.parametrize(
    "title",
    ["تقرير الخروج من المستشفى", "𝔇𝔦𝔰𝔠𝔥𝔞𝔯𝔤𝔢 🏥 𠮷田 𝟚𝟘𝟚𝟜", "L'été <à> \"Noël\" & c\u0327a"],
    ids=["arabic", "four-byte", "marks"],
)
def test_titles_of_every_script(proof: Proof, title: str) -> None:
    """Code points come back as they went in, not even normalised."""
    patient = proof.patient()
    content = title.encode()
    entry = Entry(patient, title=title, authors=["^" + title.replace("&", "\\T\\")])
    answer = proof.client.provide(Submission(patient, [entry], title=title).xml(), {entry.id: content})
    assert answer.status == "Success", answer.errors
    found = entries(find(proof, patient, AuthorPerson=single("%" + title.split()[-1].replace("&", "%") + "%")))[entry.id]
    assert found.xpath("string(r:Name/r:LocalizedString/@value)", namespaces={"r": RIM}) == title
    assert proof.client.retrieve(retrieval([entry.uid])).documents()[entry.uid].content == content


def test_an_entry_with_fifty_event_codes(proof: Proof) -> None:
    """All come back, in their order; each finds the entry, and two by AND as well; one more does not."""
    patient = proof.patient()
    codes = [f"E{n}^^1.2.{n % 7 + 3}" for n in range(50)]
    entry = Entry(patient, events=codes)
    content = hashlib.sha256(b"fifty").digest()
    assert proof.client.provide(Submission(patient, [entry]).xml(), {entry.id: content}).status == "Success"
    found = entries(find(proof, patient, EventCodeList=quoted(codes[49])))[entry.id]
    returned = [
        f"{c.get('nodeRepresentation')}^^{slot_of(c, 'codingScheme')}"
        for c in found.iterfind(f"{{{RIM}}}Classification")
        if c.get("classificationScheme") == EVENT
    ]
    assert returned == codes
    base = [("$XDSDocumentEntryPatientId", single(patient)), ("$XDSDocumentEntryStatus", quoted(APPROVED))]
    for extra, hits in (([codes[0], codes[31]], 1), ([codes[0], "E0^^1.2.4"], 0)):
        events = [("$XDSDocumentEntryEventCodeList", quoted(c)) for c in extra]
        both = proof.client.query(query("FindDocuments", [*base, *events]))
        assert (both.status, len(entries(both))) == ("Success", hits)
    for one in codes:
        assert list(entries(find(proof, patient, EventCodeList=quoted(one)))) == [entry.id]
    assert proof.client.retrieve(retrieval([entry.uid])).documents()[entry.uid].content == content
