"""The built-in On-Demand source over the wire: a summary made when it is asked for, and its snapshots where they are kept."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from lxml import etree

from metadata.cda import check_cda
from tests.nist.wire import XDSB, Answer, Client
from tests.proof.conftest import Proof, open_proof
from tests.proof.messages import REPOSITORY, STABLE, Association, Entry, Submission, query, quoted, retrieval, single, slot
from tests.proof.test_on_demand import ON_DEMAND, found, on_demand, registered
from tests.server_process import ServerProcess

TYPE = "60591-5^^2.16.840.1.113883.6.1"
IS_SNAPSHOT_OF = "urn:ihe:iti:2010:AssociationType:IsSnapshotOf"
WHO = slot("sourcePatientInfo", "PID-5|DUPONT^Jeanne^^^^^L", "PID-7|19560527", "PID-8|F")


def summary_entry(patient: str) -> Entry:
    entry = on_demand(patient, type_code=TYPE, title="Synthèse", mime_type="text/xml")
    entry.extra = WHO
    return entry


def provided(proof: Proof, patient: str, **fields: str) -> Entry:
    entry = Entry(patient)
    for name, value in fields.items():
        setattr(entry, name, value)
    answer = proof.client.provide(Submission(patient, [entry]).xml(), {entry.id: entry.id.encode()})
    assert answer.status == "Success", answer.errors
    return entry


def retrieve(proof: Proof, uid: str) -> tuple[Answer, bytes, str, str]:
    """The answer, the bytes, NewDocumentUniqueId and NewRepositoryUniqueId."""
    answer = proof.client.retrieve(retrieval([uid]))
    assert answer.status == "Success", answer.errors
    (response,) = answer.body.iter(f"{{{XDSB}}}DocumentResponse")
    new, repository = (response.findtext(f"{{{XDSB}}}{name}", "") for name in ("NewDocumentUniqueId", "NewRepositoryUniqueId"))
    return answer, answer.documents()[uid].content, new, repository


def titles(content: bytes) -> set[str]:
    """What stands in the tables of a summary."""
    return {cell.text or "" for cell in etree.fromstring(content).iter("{*}td")}


def test_a_summary_of_what_is_registered_now(proof: Proof) -> None:
    """Valid CDA, with the person, every document and its highest confidentiality; made anew when something is registered."""
    patient = proof.patient()
    entry = registered(proof, summary_entry(patient))
    _, empty, _, _ = retrieve(proof, entry.uid)
    assert check_cda(etree.fromstring(empty)) == [] and titles(empty) == set()
    first = provided(proof, patient, title="Compte rendu d'été", creation="20240601120000", class_code="11^^1.2.3")
    provided(proof, patient, title="Biologie", creation="20240502", class_code="33^^1.2.3",
             confidentiality=["R^^2.16.840.1.113883.5.25"])  # type: ignore[arg-type]  # fmt: skip
    answer, content, new, repository = retrieve(proof, entry.uid)
    root = etree.fromstring(content)
    assert check_cda(root) == []
    assert {"Compte rendu d'été", "Biologie", "2024-06-01", "2024-05-02", first.uid} <= titles(content)
    assert len(list(root.iter("{*}section"))) == 2
    names = {name: root.findtext(f"{{*}}recordTarget//{{*}}{name}") for name in ("family", "given")}
    assert names == {"family": "DUPONT", "given": "Jeanne"}
    assert [e.get("code") for e in root.findall("{*}confidentialityCode")] == ["R"]
    assert [e.get("root") for e in root.findall("{*}id")] == [new] and new != entry.uid and repository == ""
    assert answer.documents()[entry.uid].mime_type == "text/xml"
    assert retrieve(proof, entry.uid)[1:3] == (content, new)  # the same id, the same bytes
    provided(proof, patient, title="Ordonnance")
    _, later, newer, _ = retrieve(proof, entry.uid)
    assert newer != new and "Ordonnance" in titles(later)


def test_nobody_elses_documents(proof: Proof) -> None:
    patient, other = proof.patient(), proof.patient()
    provided(proof, other, title="Autre personne")
    entry = registered(proof, summary_entry(patient))
    assert "Autre personne" not in titles(retrieve(proof, entry.uid)[1])


def test_an_entry_of_another_repository_is_unknown(proof: Proof) -> None:
    elsewhere = summary_entry(proof.patient())
    elsewhere.repository = "1.2.3.4.5"
    registered(proof, elsewhere)
    assert proof.client.retrieve(retrieval([elsewhere.uid])).codes == ["XDSDocumentUniqueIdError"]


@pytest.fixture(scope="module")
def persisting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proof]:
    environ = {"CARNET_DOMAIN_ON_DEMAND": "persist"}
    with open_proof(tmp_path_factory.mktemp("persisting") / "data", environ=environ, known=8) as opened:
        yield opened


def snapshots(proof: Proof, entry: Entry) -> dict[str, str]:
    """The snapshots of an On-Demand entry: entryUUID to status."""
    slots = {
        "$XDSDocumentEntryEntryUUID": single(entry.id),
        "$AssociationTypes": quoted(IS_SNAPSHOT_OF),
        "$XDSDocumentEntryType": quoted(STABLE, ON_DEMAND),
    }
    answer = proof.client.query(query("GetRelatedDocuments", slots))
    assert answer.status == "Success"
    entries = {e.get("id", ""): e.get("status", "").rpartition(":")[2] for e in answer.body.iter("{*}ExtrinsicObject")}
    return {id: status for id, status in entries.items() if id != entry.id}


def test_snapshots_are_kept_and_registered_first(persisting: Proof) -> None:
    """NewRepositoryUniqueId and NewDocumentUniqueId lead to the same bytes; the next snapshot replaces the one before."""
    patient = persisting.patient()
    provided(persisting, patient, title="Compte rendu")
    entry = registered(persisting, summary_entry(patient))
    _, content, new, repository = retrieve(persisting, entry.uid)
    assert repository == REPOSITORY
    assert persisting.client.retrieve(retrieval([new])).documents()[new].content == content
    assert list(snapshots(persisting, entry).values()) == ["Approved"]
    assert retrieve(persisting, entry.uid)[1:] == (content, new, repository)
    assert len(snapshots(persisting, entry)) == 1
    provided(persisting, patient, title="Biologie")
    _, later, newer, _ = retrieve(persisting, entry.uid)
    assert newer != new and "Biologie" in titles(later) and "Synthèse" not in titles(later)
    assert sorted(snapshots(persisting, entry).values()) == ["Approved", "Deprecated"]
    assert persisting.client.retrieve(retrieval([new])).documents()[new].content == content
    assert len(found(persisting, patient, STABLE)) == 3 and found(persisting, patient, ON_DEMAND) == {entry.id}


def test_asked_for_by_many_at_once(persisting: Proof) -> None:
    patient = persisting.patient()
    entry = registered(persisting, summary_entry(patient))
    provided(persisting, patient)
    got: list[tuple[bytes, str]] = []

    def ask() -> None:
        got.append(retrieve(persisting, entry.uid)[1:3])

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(got) == 6 and len(set(got)) == 1
    assert list(snapshots(persisting, entry).values()).count("Approved") >= 1


def test_switched_off(tmp_path: Path) -> None:
    with open_proof(tmp_path / "data", environ={"CARNET_DOMAIN_ON_DEMAND": "off"}, known=1) as off:
        entry = registered(off, summary_entry(off.patient()))
        assert off.client.retrieve(retrieval([entry.uid])).codes == ["XDSDocumentUniqueIdError"]


def test_apart_and_when_the_registry_is_silent(tmp_path: Path) -> None:
    """The registry elsewhere is asked by ITI-18 and takes the snapshot by ITI-42; without an answer nobody knows the document."""
    own = {"CARNET_DOMAIN_ON_DEMAND": "persist", "CARNET_ROLE_REPOSITORY_UNIQUE_ID": REPOSITORY}
    with open_proof(tmp_path / "registry", "--role", "registry", known=1) as registry:
        arguments = ("--role", "repository", "--registry", registry.server.registry)
        with ServerProcess(tmp_path / "repository", *arguments, environ=own) as process:
            apart = Proof(process, Client(registry.server.registry, process.repository), registry.patient)
            patient = apart.patient()
            provided(apart, patient, title="Compte rendu")
            entry = registered(apart, summary_entry(patient))
            _, content, new, _ = retrieve(apart, entry.uid)
            assert check_cda(etree.fromstring(content)) == [] and "Compte rendu" in titles(content)
            assert list(snapshots(apart, entry).values()) == ["Approved"]
            registry.server.kill()
            answer = apart.client.retrieve(retrieval([entry.uid]))
            assert (answer.status, answer.codes) == ("Failure", ["XDSDocumentUniqueIdError"])
            assert apart.client.retrieve(retrieval([new])).documents()[new].content == content


def test_a_snapshot_of_somebody_else_by_iti_42(proof: Proof) -> None:
    """IsSnapshotOf as another source registers it (ITI TF-2: 3.42.4.1.3.5): found by who asks, refused of a Stable target."""
    patient = proof.patient()
    entry = registered(proof, summary_entry(patient))
    for target, status in ((entry.id, "Success"), (provided(proof, patient).id, "Failure")):
        snapshot = Entry(patient).registered()
        submission = Submission(patient, [snapshot], associations=[Association(IS_SNAPSHOT_OF, snapshot.id, target)])
        answer = proof.client.register(submission.xml())
        assert answer.status == status, answer.errors
    assert len(snapshots(proof, entry)) == 1
