"""The application log holds nothing of a patient and nothing that a caller could pass for a line of its own.

Canaries stand in every place of messages that are accepted, refused, broken and not understood; then every line that the server
has written is searched, in the most talkative mode. The audit trail is the one place that may name a patient.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.durability.wire import Wire
from tests.ports import free_port
from tests.proof.conftest import Proof, open_proof
from tests.proof.messages import APPROVED, Entry, Submission, query, quoted, single, slot
from tests.server.audit_reader import messages
from tests.server.test_mllp import Sender, adt
from tests.soap.raw_http import ask, request

CANARY = "ZQCANARY"
INJECTED = "2026-01-01 00:00:00,000 CRITICAL carnet.store: alarm"
_LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (DEBUG|INFO|WARNING|ERROR|CRITICAL) [\w.]+: .*")


@pytest.fixture
def mllp() -> int:
    return free_port()


@pytest.fixture
def proof(tmp_path: Path, mllp: int) -> Iterator[Proof]:
    environ = {"CARNET_SERVER_LOG_LEVEL": "debug", "CARNET_SERVER_ACCESS_LOG": "true", "CARNET_MLLP_PORT": str(mllp)}
    with open_proof(tmp_path / "data", environ=environ) as opened:
        yield opened


def marked(patient: str) -> Submission:
    """A submission with a canary in every text."""
    person = slot("sourcePatientInfo", f"PID-5|{CANARY}^Jean", f"PID-7|{CANARY}19800101", f"PID-11|1 rue {CANARY}")
    entry = Entry(
        patient, title=f"Scanner {CANARY}", authors=(f"{CANARY}^Martin^{CANARY}",), extra=person, references=(f"{CANARY}^^^^x",)
    )
    return Submission(patient, [entry], title=f"{CANARY} title", author=f"^{CANARY}^Anne", extra=slot("comments", CANARY))


def messages_of_every_fate(proof: Proof) -> None:
    patient = proof.patient()
    sent = marked(patient)
    document = {sent.entries[0].id: f"letter about {CANARY}".encode()}
    proof.client.provide(sent.xml(), document)
    proof.client.provide(sent.xml(), document)  # refused: a duplicate
    stranger = marked(f"{CANARY}77^^^&1.2.3.4&ISO")
    proof.client.provide(stranger.xml(), {stranger.entries[0].id: CANARY.encode()})
    body = sent.xml().decode()
    for broken in (
        body.replace("</rim:ExtrinsicObject>", f"<{CANARY}/></rim:ExtrinsicObject>"),
        body.replace("creationTime", CANARY),
        body.replace("20240102030405", f"20240102\n{INJECTED} {CANARY}"),
        body.replace('nodeRepresentation="', f'nodeRepresentation="{CANARY}&#10;'),
    ):
        proof.client.register(broken.encode())
    for value in (f"{CANARY}^^^&1.2.3.4&ISO", f"not a patient {CANARY}\n{INJECTED}"):
        asked = {"$XDSDocumentEntryPatientId": single(value), "$XDSDocumentEntryStatus": quoted(APPROVED)}
        proof.client.query(query("FindDocuments", asked))
        proof.client.query(query("FindDocuments", {**asked, f"${CANARY}": single(CANARY)}))


def octets_of_every_fate(proof: Proof, mllp: int) -> None:
    """What is no message at all."""
    soap = "application/soap+xml"
    envelope = (
        '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://www.w3.org/2005/08/addressing"><s:Header>'
        f"<a:Action>{CANARY}</a:Action><a:MessageID>{CANARY}\n{INJECTED}</a:MessageID><x:{CANARY} xmlns:x='urn:x'/></s:Header>"
        f"<s:Body><{CANARY}>{CANARY}</{CANARY}></s:Body></s:Envelope>"
    )
    package = f'multipart/related; boundary={CANARY}; start="<{CANARY}>"'
    for content in (
        f"<{CANARY}", f"<!DOCTYPE {CANARY}><x/>", CANARY, envelope, envelope.replace("</s:Body>", ""),
        f"<s:Envelope xmlns:s='{CANARY}'><s:Body/></s:Envelope>", envelope.replace("<s:Header>", f"<s:Header><?{CANARY}?>"),
    ):  # fmt: skip
        ask(proof.server.url, request("/xds/registry", soap, content.encode()))
        ask(proof.server.url, request("/xds/repository", package, content.encode()))
    ask(proof.server.url, request(f"/xds/%0A{INJECTED.replace(' ', '%20')}", soap, b""))
    ask(proof.server.url, request("/xds/registry", f"{CANARY}/x", b"x", X_Patient=CANARY, SOAPAction=CANARY))
    sender = Sender(mllp)
    for pid in (f"{CANARY}^^^&1.2.3&ISO", f"{CANARY}\n{INJECTED}", ""):
        sender.ask(adt("A04", pid, control=CANARY) + f"NK1||{CANARY}^Anne\r".encode())
    sender.send(f"{CANARY}\n{INJECTED}".encode() * 400)
    sender.close()


def test_no_log_holds_a_canary_or_a_line_of_somebody_else(proof: Proof, mllp: int) -> None:
    messages_of_every_fate(proof)
    octets_of_every_fate(proof, mllp)
    Wire(proof.server.repository, proof.server.registry).query(["1.2.3"])
    proof.server.stop()  # what it writes of the last answer it writes after it
    log = proof.server.log()
    assert len(log.splitlines()) > 20, "the log tells of refusals"
    assert CANARY not in log, [line for line in log.splitlines() if CANARY in line][:5]
    assert INJECTED not in log and CANARY.lower() not in log
    assert not any(line.startswith("2026-01-01") for line in log.splitlines())
    told = [line for line in log.splitlines() if _LINE.fullmatch(line)]
    assert len(told) > 20


def test_the_trail_names_patients_and_no_more(proof: Proof) -> None:
    """Identifiers stand in it, and the parameters of queries; names, titles and contents do not."""
    patient = proof.patient()
    sent = marked(patient)
    before = len(messages(proof.server.data))
    proof.client.provide(sent.xml(), {sent.entries[0].id: CANARY.encode()})
    proof.client.provide(sent.xml(), {sent.entries[0].id: CANARY.encode()})
    from lxml import etree

    found = [etree.tostring(one.root).decode() for one in messages(proof.server.data, since=before)]
    assert len(found) == 2 and all(patient.replace("&", "&amp;") in text for text in found)
    assert not any(CANARY in text for text in found)
