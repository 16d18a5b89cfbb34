"""What signed messages and assertions cost: the same server asked with and without them, in turn, beside the bare cryptography.

U is the rate of the unsigned request, C that of the bare cryptography of one signed request in a loop, in as many processes as
the server has: each signature of the request (and of the assertion, where there is one) verified, the answer's made, and SHA-256
over the octets of every signed part of both, which lie ready in canonical form. That is the strict reading, and the share is that
of F(U,C). CX is C with the canonical forms made in the loop too, out of trees that are parsed already: the other reading. The CPU
of the server's processes for each answer is told beside the rates, since other work on the machine changes it least. What is
signed is signed before the clock starts: each message with an id and a time of its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import shutil
import socket
import statistics
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import xmlsec as _xmlsec
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from lxml import etree

from benchmarks import load, messages, processes
from benchmarks.fill import PER_PATIENT, fill
from benchmarks.measure import MB, Databases, Plan, is_sqlite, processes_for
from benchmarks.report import Row, both
from metadata.vocabulary import Transaction
from schemas.namespaces import DS, WSU, q
from security.assertion_writer import assertion_of_card
from security.pki import TestAuthority, signing_files
from soap.addressing import ANONYMOUS
from soap.signing import Block, MessageSigner, sign_request

xmlsec: Any = _xmlsec  # its type stubs lack half of the module
_PATIENTS = 50
_WSU_ID, _SIGNATURE = q(WSU, "Id"), q(DS, "Signature")
_RSA = xmlsec.Transform.RSA_SHA256
_ITI_18, _ITI_41 = Transaction.ITI_18, Transaction.ITI_41
_TAIL = b"</s:Body></s:Envelope>"
_QUERY = "FindDocuments LeafClass, 20 of 200"


class Cards:
    """A test authority with a client and a server, RSA 2048 as cards have it."""

    def __init__(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        self.folder = folder
        authority = TestAuthority.create(folder)
        authority.issue("person", "alice")
        authority.issue("server", "server")
        certificate, key = signing_files(folder, "alice")
        self.signer = MessageSigner(certificate.read_bytes(), key.read_bytes())
        self._tokens: dict[str, bytes] = {}

    def token(self, cx: str) -> bytes:
        """An assertion of the client for this patient; one serves many requests."""
        if cx not in self._tokens:
            self._tokens[cx] = assertion_of_card(self.folder, "alice", patient=cx)
        return self._tokens[cx]

    def head(self, transaction: Transaction, body: list[bytes], tokens: bytes = b"", **contents: object) -> bytes:
        """Everything in front of the payload, signed."""
        blocks = [
            Block("Action", transaction.action, must_understand=True),
            Block("MessageID", uuid.uuid4().urn),
            Block("ReplyTo", ANONYMOUS, address=True),
            Block("To", f"http://localhost{transaction.path}"),
        ]
        return sign_request(self.signer, blocks, body, contents.get("contents", {}), tokens)[0]  # type: ignore[arg-type]


def signed(databases: Databases, plan: Plan) -> Iterator[Row]:
    """ITI-18 that finds 20 documents: unsigned, signed, signed with an assertion."""
    store = "SQLite" if is_sqlite(databases.base) else "PostgreSQL"
    workers = processes_for(databases.base, plan)
    url = databases.fresh("signed")
    fill(url, _PATIENTS * PER_PATIENT)
    cards = Cards(plan.folder / "signed-pki")
    data = plan.folder / "data-signed"
    shutil.rmtree(data, ignore_errors=True)
    draw = random.Random(11)
    chosen = [draw.randrange(_PATIENTS) for _ in range(500)]
    plain = messages.cycled([messages.find_documents(patient) for patient in chosen])
    with processes.carnet(data, url, workers, None, "domain.patients=open", f"security.pki={cards.folder}") as server:
        for assertion in (False, True):
            for clients in plan.clients:
                plan.say(f"{store}: signed ITI-18{' with assertion' if assertion else ''}, {clients} clients")
                yield _queries(server, cards, plain, store, clients, workers, assertion, plan)


def _queries(
    server: processes.Process,
    cards: Cards,
    plain: messages.Make,
    store: str,
    clients: int,
    workers: int,
    assertion: bool,
    plan: Plan,
) -> Row:
    runs: dict[str, list[tuple[load.Load, float]]] = {"unsigned": [], "signed": []}
    bare: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    samples = _samples(server, cards, assertion)
    for _ in range(plan.rounds):
        runs["unsigned"].append(_with_cpu(server, partial(load.run, server.address, plain, clients, plan.seconds)))
        for forms, found in bare.items():
            found.append(bare_cryptography(cards.folder, *samples, workers, plan.seconds / 2, forms))
        # No more than could be answered, and none older than its five minutes.
        rate = runs["unsigned"][-1][0].rate
        made = [_signed_query(cards, assertion) for _ in range(int(rate * plan.seconds * 0.9) + clients)]
        asked = partial(load.run, server.address, made.pop, clients, plan.seconds, most=len(made))
        runs["signed"].append(_with_cpu(server, asked))
    middle = sorted((run for run, _ in runs["signed"]), key=lambda run: run.rate)[plan.rounds // 2]
    unsigned = statistics.median(run.rate for run, _ in runs["unsigned"])
    c, cx = (statistics.median(rate for rate, _ in found) for found in bare.values())
    floor, other = both(unsigned, c), both(unsigned, cx)
    cpu_unsigned, cpu_signed = (statistics.median(cpu for _, cpu in found) for found in runs.values())
    cpu_bare = statistics.median(cpu for _, cpu in bare[False])
    return Row(
        what=f"signed{' with assertion' if assertion else ''}: {_QUERY}",
        store=store,
        clients=clients,
        rate=middle.rate,
        unit="requests/s",
        p50=middle.quantile(0.5),
        p99=middle.quantile(0.99),
        floors={
            "U": unsigned,
            "C": c,
            "CX": cx,
            "F(U,C)": floor,
            "F(U,CX)": other,
            "share of F(U,CX)": middle.rate / other,
            "CPU ms unsigned": cpu_unsigned * 1000,
            "CPU ms C": cpu_bare * 1000,
            "CPU ms signed": cpu_signed * 1000,
            "share by CPU": (cpu_unsigned + cpu_bare) / cpu_signed,
        },
        share=middle.rate / floor,
    )


def _with_cpu(server: processes.Process, run: Callable[[], load.Load]) -> tuple[load.Load, float]:
    """The run, and the seconds of the server's CPU for each of its answers."""
    before = server.cpu()
    done = run()
    return done, (server.cpu() - before) / max(done.answers, 1)


def _signed_query(cards: Cards, assertion: bool) -> bytes:
    patient = random.randrange(_PATIENTS)
    body = messages.query_body(messages.FIND_DOCUMENTS, messages.find_slots(patient), leaf=True)
    head = cards.head(_ITI_18, [body], cards.token(messages.patient_cx(patient)) if assertion else b"")
    return messages.http(_ITI_18.path, "application/soap+xml; charset=UTF-8", head + body + _TAIL)


def _samples(server: processes.Process, cards: Cards, assertion: bool) -> tuple[bytes, bytes]:
    """A signed request and its answer."""
    request = _signed_query(cards, assertion)
    with socket.create_connection(server.address, timeout=60) as sock:
        sock.sendall(request.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
        answer = b"".join(iter(partial(sock.recv, 65536), b""))
    return request.partition(b"\r\n\r\n")[2], answer.partition(b"\r\n\r\n")[2]


def bare_cryptography(
    folder: Path, request: bytes, answer: bytes, workers: int, seconds: float, forms: bool
) -> tuple[float, float]:
    """Signed requests per second if nothing but their cryptography had to be done, and the seconds of CPU for each. With `forms`,
    canonical forms are part of it."""
    loop = partial(_loop, folder, request, answer, forms)
    if workers == 1:
        return loop(seconds)
    with ProcessPoolExecutor(workers) as pool:
        found = list(pool.map(loop, [seconds] * workers))
    return sum(rate for rate, _ in found), statistics.mean(cpu for _, cpu in found)


def _loop(folder: Path, request: bytes, answer: bytes, forms: bool, seconds: float) -> tuple[float, float]:
    client = _public_key(signing_files(folder, "alice")[0])
    own = xmlsec.Key.from_file(str(folder / "server.key"), xmlsec.KeyFormat.PEM, None)
    trees = [etree.fromstring(octets) for octets in (request, answer)]
    parts = [element for tree in trees for element in _signed_parts(tree)]
    infos = [*(signature[0] for signature in trees[0].iter(_SIGNATURE)), next(trees[1].iter(_SIGNATURE))[0]]
    digested, signed = (list(map(_canonical, elements)) for elements in (parts, infos))
    value = _context(own).sign_binary(signed[-1], _RSA)
    done, start, cpu = 0, time.perf_counter(), time.process_time()
    while (spent := time.perf_counter() - start) < seconds:
        if forms:
            digested, signed = (list(map(_canonical, elements)) for elements in (parts, infos))
        for one in digested:
            hashlib.sha256(one).digest()
        for one in signed[:-1]:
            with contextlib.suppress(xmlsec.VerificationError):  # another's value: the work is the same
                _context(client).verify_binary(one, _RSA, value)
        _context(own).sign_binary(signed[-1], _RSA)
        done += 1
    return done / spent, (time.process_time() - cpu) / done


def _public_key(certificate: Path) -> Any:
    """The bare key: with a certificate around it each use would copy that."""
    key = x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()
    pem = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return xmlsec.Key.from_memory(pem, xmlsec.KeyFormat.PEM, None)


def _signed_parts(tree: etree._Element) -> list[etree._Element]:
    named = {reference.get("URI", "")[1:] for reference in tree.iter(q(DS, "Reference"))}
    return [element for element in tree.iter(etree.Element) if {element.get(_WSU_ID), element.get("ID")} & named]


def _canonical(element: etree._Element) -> bytes:
    form: bytes = etree.tostring(element, method="c14n", exclusive=True, with_comments=False, with_tail=False)
    return form


def _context(key: Any) -> Any:
    context = xmlsec.SignatureContext()
    context.key = key
    return context


def large(plan: Plan) -> Iterator[Row]:
    """ITI-41 of one large document, unsigned and signed in turn, on the embedded store."""
    size = min(256 * MB, max(plan.large))
    cards = Cards(plan.folder / "signed-pki")
    data = plan.folder / "data-signed-large"
    shutil.rmtree(data, ignore_errors=True)
    made = messages.Submissions(random.getrandbits(40), 5)
    chunk = os.urandom(MB)
    speeds: dict[bool, list[float]] = {False: [], True: []}
    growth = 0
    try:
        with processes.carnet(data, "", 1, None, "domain.patients=open", f"security.pki={cards.folder}") as server:
            for number in range(plan.rounds):
                for sign in (False, True):
                    plan.say(f"{'signed' if sign else 'unsigned'} upload {number + 1} of {plan.rounds}")
                    before, after = _package(made, cards, chunk, size // MB, sign)
                    head = f"POST {_ITI_41.path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {messages.MTOM}\r\n"
                    head += f"Content-Length: {len(before) + size + len(after)}\r\n\r\n"
                    with processes.peak(server) as grown:
                        seconds, answer = load.upload(server.address, head.encode() + before, chunk, size // MB, after)
                    if load.SUCCESS not in answer:
                        raise load.LoadError(f"ITI-41 of {size} bytes: {answer[:1500]!r}")
                    speeds[sign].append(size / seconds)
                    growth = max(growth, grown[0])
    finally:
        shutil.rmtree(data, ignore_errors=True)
    unsigned, rate = (statistics.median(speeds[sign]) / MB for sign in (False, True))
    yield Row(
        what=f"signed: ITI-41 {size // MB} MB",
        store="SQLite",
        clients=1,
        rate=rate,
        unit="MB/s",
        floors={"unsigned": unsigned},
        share=rate / unsigned,
        memory=growth,
    )


def _package(made: messages.Submissions, cards: Cards, chunk: bytes, count: int, sign: bool) -> tuple[bytes, bytes]:
    """What stands before the octets of the document and what after them."""
    body = made.provide_body()
    before, after = messages.mtom_ends(_ITI_41, body, mime="application/octet-stream")
    if sign:
        contents = {"document@benchmark": lambda: (chunk for _ in range(count))}
        envelope = cards.head(_ITI_41, [body], contents=contents) + body + _TAIL
        before = before.replace(messages.envelope(_ITI_41, body), envelope)
    return before, after
