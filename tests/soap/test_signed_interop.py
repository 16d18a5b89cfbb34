"""Messages of other stacks verify here and ours verify there: Apache WSS4J (Java) and xmlsec1 (the program).

WSS4J is looked for as Debian's libwss4j-java installs it; without it, or without Java or xmlsec1, these tests are skipped.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12
from lxml import etree

from security.message_writer import Block, Message, MessageSigner
from tests.security import foreign_signing as peer
from tests.security.foreign_signing import PARTS, Pki, ds, part, wsa, wsse, wsu
from tests.soap.messages import ITI_18, QUERY, RETRIEVE, Recorder
from tests.soap.test_signed_answers import CONFIRMATION, EVERYTHING, ask, whole
from tests.soap.test_signed_attacks import URL, post

JARS = ("wss4j", "xmlsec", "slf4j-api", "slf4j-nop", "commons-logging", "commons-codec")
FOLDER = Path("/usr/share/java")
PASSWORD = "changeit"
SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
RSA_SHA256 = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
ADDRESSING = ("Action", "MessageID", "To", "ReplyTo")
SIGNED = ",".join([f"{{{peer.S12}}}Body", f"{{{peer.WSU}}}Timestamp", *(f"{{{peer.WSA}}}{name}" for name in ADDRESSING)])


@dataclass(slots=True)
class Wss4j:
    """One Java process that takes a job for each line."""

    process: subprocess.Popen[str]
    folder: Path
    made: int = 0

    def _do(self, *job: str) -> str:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(" ".join(job) + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def _file(self, octets: bytes = b"") -> Path:
        self.made += 1
        path = self.folder / f"message-{self.made}.xml"
        path.write_bytes(octets)
        return path

    def verify(self, octets: bytes) -> set[str]:
        """The local names of the signed elements. Fails when WSS4J refuses."""
        said, *names = self._do("verify", str(self._file(octets))).split(" ")
        assert said == "ok", names
        return set(names)

    def sign(
        self, envelope: etree._Element, form: str, method: str = RSA_SHA256, digest: str = SHA256, parts: str = SIGNED
    ) -> bytes:
        out = self._file()
        said = self._do("sign", form, method, digest, str(self._file(etree.tostring(envelope))), str(out), parts)
        assert said == "ok", said
        return out.read_bytes()


def _stores(folder: Path, pki: Pki) -> tuple[Path, Path]:
    """Java's way to hold authorities and a key: PKCS#12."""
    hidden = serialization.BestAvailableEncryption(PASSWORD.encode())
    authority = peer.Peer((pki.folder / "believed" / "ca.crt").read_bytes(), b"").x509
    alice = pki.peer("alice")
    key = serialization.load_pem_private_key(alice.key, None)
    trust, own = folder / "trust.p12", folder / "alice.p12"
    trust.write_bytes(pkcs12.serialize_java_truststore([pkcs12.PKCS12Certificate(authority, b"authority")], hidden))
    own.write_bytes(pkcs12.serialize_key_and_certificates(b"1", key, alice.x509, [authority], hidden))  # type: ignore[arg-type]
    return trust, own


@pytest.fixture(scope="session")
def wss4j(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wss4j]:
    if shutil.which("javac") is None or not (FOLDER / "wss4j.jar").exists():
        pytest.skip("no WSS4J here: apt-get install libwss4j-java default-jdk-headless")
    folder = tmp_path_factory.mktemp("wss4j")
    jars = ":".join(str(FOLDER / f"{name}.jar") for name in JARS)
    source = Path(__file__).parent / "wss4j" / "Wss4jPeer.java"
    command = ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", jars, str(source), *map(str, _stores(folder, pki)), PASSWORD]
    with open(folder / "errors", "wb") as errors:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=folder)
    yield Wss4j(process, folder)
    assert process.stdin
    process.stdin.close()
    assert process.wait(60) == 0, (folder / "errors").read_text(errors="replace")


def ours(pki: Pki, who: str, tokens: bytes = b"") -> bytes:
    """A query as our client signs it."""
    one = pki.peer(who)
    blocks = [
        Block("Action", ITI_18, must_understand=True),
        Block("MessageID", "urn:uuid:0fbfdced-6c01-4d09-a110-2201afedaa02"),
        Block("ReplyTo", peer.WSA + "/anonymous", address=True),
        Block("To", URL),
    ]
    head = MessageSigner(one.certificate, one.key).sign(Message(peer.S12, blocks, [QUERY.encode()], tokens=tokens))
    return head.octets + QUERY.encode() + b"</s:Body></s:Envelope>"


# ----------------------------------------------------------------------------------------------------------------- WSS4J


@pytest.mark.parametrize("who", ["alice", "carole"])
def test_our_requests_verify_in_wss4j(who: str, wss4j: Wss4j, pki: Pki) -> None:
    assert wss4j.verify(ours(pki, who)) == {*PARTS, "BinarySecurityToken"}


@pytest.mark.parametrize("mtom", [False, True], ids=["plain", "mtom"])
def test_our_answers_verify_in_wss4j(mtom: bool, wss4j: Wss4j, signed: Recorder, pki: Pki) -> None:
    answer = whole(ask(signed, pki, RETRIEVE, "urn:ihe:iti:2007:RetrieveDocumentSet", mtom=mtom)[0])
    assert next(answer.iter(CONFIRMATION)).get("Value")
    assert wss4j.verify(etree.tostring(answer)) == EVERYTHING


def test_wss4j_refuses_what_was_changed(wss4j: Wss4j, pki: Pki) -> None:
    changed = ours(pki, "alice").replace(b'returnType="ObjectRef"', b'returnType="LeafClass"')
    with pytest.raises(AssertionError, match=r"signature|verification"):
        wss4j.verify(changed)


@pytest.mark.parametrize("form", ["direct", "issuer-serial", "x509", "ski", "thumbprint"])
@pytest.mark.parametrize("default", [False, True], ids=["", "default namespace"])
def test_what_wss4j_signs_verifies_here(form: str, default: bool, wss4j: Wss4j, signed: Recorder, pki: Pki) -> None:
    """With a default namespace in scope its PrefixList holds #default, and prefixes that nothing uses."""
    envelope = peer.build(QUERY.encode(), ITI_18, URL)
    if default:
        text = etree.tostring(envelope).replace(b"<s:Envelope", b'<s:Envelope xmlns="urn:default" xmlns:unused="urn:unused"', 1)
        envelope = etree.fromstring(text)
    octets = wss4j.sign(envelope, form)
    assert (b"#default" in octets) == default
    answer = post(signed, octets)
    assert answer.status == 200, answer.body
    assert signed.calls[0].caller.signer_der == pki.peer("alice").der


def test_the_str_transform_of_wss4j(wss4j: Wss4j, signed: Recorder, pki: Pki) -> None:
    octets = wss4j.sign(peer.build(QUERY.encode(), ITI_18, URL), "direct", parts=f"{SIGNED},STRTransform")
    assert b"#STR-Transform" in octets
    assert post(signed, octets).status == 200


def test_the_algorithms_that_wss4j_takes_by_itself_are_refused_by_name(wss4j: Wss4j, signed: Recorder, pki: Pki) -> None:
    """RSA-SHA1 unless told otherwise: integrators must find the reason."""
    answer = post(signed, wss4j.sign(peer.build(QUERY.encode(), ITI_18, URL), "direct", "default", "default"))
    assert answer.rule == "SIG-006"
    assert "rsa-sha1" in answer.reason and "rsa-sha256" in answer.reason
    assert b":UnsupportedAlgorithm<" in answer.body


# --------------------------------------------------------------------------------------------------------------- xmlsec1


@pytest.fixture(scope="module")
def xmlsec1() -> list[str]:
    """The program, told which attributes are ids."""
    program = shutil.which("xmlsec1")
    if program is None:
        pytest.skip("no xmlsec1 here: apt-get install xmlsec1")
    spaces = {**dict.fromkeys(ADDRESSING, peer.WSA), "RelatesTo": peer.WSA, "Body": peer.S12, "Timestamp": peer.WSU}
    spaces |= {"BinarySecurityToken": peer.WSSE, "SignatureConfirmation": CONFIRMATION[1:].partition("}")[0]}
    return [program, *(word for name, space in spaces.items() for word in ("--id-attr:Id", f"{space}:{name}"))]


def run(program: list[str], command: str, *rest: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program[0], command, *program[1:], *rest], capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.parametrize("who", ["alice", "carole"])
def test_our_requests_verify_in_xmlsec1(who: str, xmlsec1: list[str], pki: Pki, tmp_path: Path) -> None:
    message, certificate = tmp_path / "message.xml", tmp_path / "signer.crt"
    certificate.write_bytes(pki.peer(who).certificate)
    message.write_bytes(ours(pki, who))
    done = run(xmlsec1, "--verify", "--pubkey-cert-pem", str(certificate), str(message))
    assert done.returncode == 0, done.stderr
    assert re.search(r"SignedInfo References \(ok/all\): 7/7", done.stderr + done.stdout)
    message.write_bytes(ours(pki, who).replace(b"ObjectRef", b"LeafClass"))
    assert run(xmlsec1, "--verify", "--pubkey-cert-pem", str(certificate), str(message)).returncode != 0


def test_our_answers_verify_in_xmlsec1(xmlsec1: list[str], signed: Recorder, pki: Pki, tmp_path: Path) -> None:
    message, certificate = tmp_path / "message.xml", tmp_path / "signer.crt"
    certificate.write_bytes(pki.peer("server").certificate)
    message.write_bytes(etree.tostring(whole(ask(signed, pki)[0])))
    done = run(xmlsec1, "--verify", "--pubkey-cert-pem", str(certificate), str(message))
    assert done.returncode == 0, done.stderr


def test_what_xmlsec1_signs_verifies_here(xmlsec1: list[str], signed: Recorder, pki: Pki, tmp_path: Path) -> None:
    """A message of the foreign stack with its values emptied is a template that the program fills."""
    envelope = peer.sign(peer.build(QUERY.encode(), ITI_18, URL), pki.peer("alice"))
    for name in ("DigestValue", "SignatureValue"):
        for element in part(envelope, "Signature").iter(ds(name)):
            element.text = None
    template, key, out = tmp_path / "template.xml", tmp_path / "alice.key", tmp_path / "signed.xml"
    template.write_bytes(etree.tostring(envelope))
    key.write_bytes(pki.peer("alice").key)
    done = run(xmlsec1, "--sign", "--privkey-pem", str(key), "--output", str(out), str(template))
    assert done.returncode == 0, done.stderr
    assert post(signed, out.read_bytes()).status == 200


def test_an_assertion_beside_stays_what_it_was(pki: Pki) -> None:
    """What a client puts into wsse:Security is there, inside the one header, before the signature."""
    token = b'<x:Assertion xmlns:x="urn:x" ID="a1"><x:y/></x:Assertion>'
    envelope = peer.parse(ours(pki, "carole", token))
    peer.verify(envelope, pki.peer("carole").x509)
    children = [etree.QName(child).localname for child in part(envelope, "Security")]
    assert children == ["BinarySecurityToken", "Timestamp", "Assertion", "Signature"]
    assert [wsa("To"), wsse("Security"), wsu("Timestamp")] == [
        part(envelope, name).tag for name in ("To", "Security", "Timestamp")
    ]
