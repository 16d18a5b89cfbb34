"""Callers with real cards and signed assertions, a server that asks a matrix of rights, and what each caller can send.

    world = open_rights(tmp_path)            # a server under security.policy = dmp-fr
    anne = world.callers["doctor"]           # a card of the test authority
    world.send(anne.says(patient), "ITI-18", query(...))
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from registry.rights import Rights
from security import saml_names as names
from security.assertion_writer import SigningCard, Statement, write_assertion
from security.identity import Coded, Mode
from security.pki import TestAuthority
from storage.database import open_database
from tests.nist.wire import ACTIONS, SOAP, WSA, Answer, Part, mtom_request, post, provide_body, soap_request
from tests.proof.conftest import Proof, open_proof
from tests.proof.messages import REPOSITORY, Entry, Submission, query, quoted, retrieval, slot
from tests.proof.update_messages import APPROVED, ARCHIVED, DELETED, DEPRECATED, Update, again

WSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
MASKING = "1.2.250.1.213.1.1.4.13"
NORMAL = "N^^2.16.840.1.113883.5.25"
_WORDS = ("MASQUE_PS", "INVISIBLE_PATIENT", "INVISIBLE_REPRESENTANTS_LEGAUX")
MASKED, INVISIBLE, SECRET = (f"{word}^^{MASKING}" for word in _WORDS)
PS_OID = "1.2.250.1.71.4.2.1"
HOSPITAL = "10B0127189"
PURPOSES = {"n": names.NORMAL, "r": names.CENTRE_15, "b": names.EMERGENCY}
#: The domain of these servers: nothing but the statuses of the DMP.
DOMAIN = 'name = "rights"\noptions = ["update-archive"]\n'
#: Who may be an emergency is the matrix's to say.
ISSUERS = """
[[issuer]]
profile = "vihf"
emergency = ["10", "60"]
[[issuer]]
profile = "xua"
"""
_numbers = itertools.count(1)
_STEM = f"R{time.time_ns() // 1_000_000}"


def new_patient() -> str:
    return f"{_STEM}-{next(_numbers)}^^^&1.2.250.1.999.1.4.8&ISO"


@dataclass(frozen=True)
class Caller:
    """A card and who it is. `mode` is that of the assertion; a structure signs in the others than DIRECTE."""

    card: SigningCard
    subject: str
    roles: tuple[Coded, ...]
    mode: Mode = Mode.DIRECT
    structure: str = HOSPITAL
    session: tuple[Coded, ...] = ()

    def says(self, patient: str, purpose: str = names.NORMAL) -> bytes:
        """A signed assertion for a record."""
        reason = "inconscient" if purpose == names.EMERGENCY else ""
        return write_assertion(self.card, Statement(
            patient=patient, subject=self.subject, mode=self.mode, roles=self.roles, structure=self.structure,
            session=self.session, purpose=Coded(purpose, names.PURPOSES), reason=reason, name="Test",
        ))  # fmt: skip


class Cards:
    """The test authority, and the callers of every column."""

    def __init__(self, folder: Path) -> None:
        self.authority = TestAuthority.create(folder)
        self.folder = folder
        self.hospital = self._card("structure", "hospital", identifier=HOSPITAL, organisation="Hospital")

    def _card(self, kind: str, name: str, **about: str) -> SigningCard:
        self.authority.issue(kind, name, key_type="ec", **about)
        return SigningCard((self.folder / f"{name}.crt").read_bytes(), (self.folder / f"{name}.key").read_bytes())

    def person(self, name: str, number: int, profession: str = "10", know_how: str = "SM26") -> Caller:
        subject = f"8999{number:08}"
        card = self._card(
            "person", name, identifier=subject, profession=profession, know_how=know_how, structure=HOSPITAL
        )
        roles = (Coded(profession, names.PROFESSIONS), *((Coded(know_how, names.KNOW_HOWS),) if know_how else ()))
        return Caller(card, subject, roles)

    def other(self, name: str, subject: str, role: str) -> Caller:
        """No professional: staff, a patient, a representative."""
        card = self._card("person", name, identifier=subject, profession="", know_how="", structure=HOSPITAL)
        return Caller(card, subject, (Coded(role, names.OTHER_ROLES),))

    def by_hospital(self, caller: Caller, mode: Mode) -> Caller:
        """The same person, stated by the structure."""
        return replace(caller, card=self.hospital, mode=mode)


@dataclass
class RightsWorld:
    """A server under a matrix, and its cards. `rights` writes straight into its store."""

    proof: Proof
    cards: Cards
    rights: Rights
    data: Path

    def patient(self) -> str:
        return self.proof.patient()

    def send(self, assertion: bytes, transaction: str, body: bytes, parts: Sequence[Part] = (), url: str = "") -> Answer:
        """One message with the assertion in its header; as MTOM where it has parts, or is an ITI-43."""
        client = self.proof.client
        repository = transaction in ("ITI-41", "ITI-43", "ITI-86")
        target = url or (client.repository if repository else client.registry)
        make = mtom_request if parts or transaction in ("ITI-41", "ITI-43") else None
        action = ACTIONS[transaction]
        kind, package = make(action, body, target, parts) if make else soap_request(action, body, target)
        if assertion:
            security = f'<wsse:Security xmlns:wsse="{WSSE}">'.encode() + assertion + b"</wsse:Security></soap:Header>"
            package = package.replace(b"</soap:Header>", security, 1)
        return self.post(assertion, target, kind, package)

    def post(self, assertion: bytes, url: str, content_type: str, body: bytes) -> Answer:
        """To a server that asks nobody for a certificate."""
        return post(url, content_type, body)

    def provide(self, assertion: bytes, submission: Submission, url: str = "", content: bytes = b"") -> Answer:
        """ITI-41, each document with its own uniqueId as content unless it is given."""
        ids = {entry.id: f"part-{n}@kit" for n, entry in enumerate(submission.entries, 1)}
        parts = [Part(ids[e.id], content or content_of(e)) for e in submission.entries]
        return self.send(assertion, "ITI-41", provide_body(submission.xml(), list(ids.items())), parts, url)

    def find(self, assertion: bytes, patient: str, return_type: str = "LeafClass") -> Answer:
        statuses = quoted(APPROVED, DEPRECATED, ARCHIVED, DELETED)
        slots = {"$XDSDocumentEntryPatientId": f"'{patient}'", "$XDSDocumentEntryStatus": statuses}
        return self.send(assertion, "ITI-18", query("FindDocuments", slots, return_type))

    def reference(self, assertion: bytes, entry: Entry) -> Answer:
        return self.send(
            assertion, "ITI-18", query("GetDocuments", {"$XDSDocumentEntryUniqueId": quoted(entry.uid)}, "ObjectRef")
        )

    def retrieve(self, assertion: bytes, entries: Iterable[Entry]) -> Answer:
        return self.send(assertion, "ITI-43", retrieval(entry.uid for entry in entries))

    def recode(self, assertion: bytes, entry: Entry, confidentiality: Sequence[str], transaction: str = "ITI-57") -> Answer:
        """A new version with other confidentiality codes."""
        content = content_of(entry)
        stored = replace(entry, hash=hashlib.sha1(content).hexdigest(), size=len(content), repository=REPOSITORY)
        update = Update(entry.patient).entry(again(stored, confidentiality=confidentiality), entry.id)
        return self.send(assertion, transaction, update.xml())

    def restatus(self, assertion: bytes, entry: Entry, original: str, new: str) -> Answer:
        return self.send(assertion, "ITI-57", Update(entry.patient).status(entry.id, original, new).xml())


def content_of(entry: Entry) -> bytes:
    return f"document {entry.uid}".encode()


def person_xcn(subject: str) -> str:
    return f"{subject}^Durand^Zoé^^^^^^&{PS_OID}&ISO^D^^^IDNPS"


@dataclass
class Imputed(Submission):
    """A submission that has the hospital among the authors of its SubmissionSet."""

    def set_xml(self) -> str:
        institution = slot("authorInstitution", f"Hospital^^^^^&1.2.250.1.71.4.2.2&ISO^IDNST^^^{HOSPITAL}")
        person = '<rim:Slot name="authorPerson">'
        return super().set_xml().replace(person, institution + person, 1)


def refused_by(answer: Answer) -> str:
    """The rule of a fault (`ACC-003`), or an empty string."""
    found = [e.get("rule", "") for e in answer.envelope.iter() if isinstance(e.tag, str) and e.tag.endswith("}Diagnosis")]
    return found[0] if found else ""


def question_of(answer: Answer) -> str:
    """The MessageID of the request that was answered: the server's log names it."""
    return answer.envelope.findtext(f"{{{SOAP}}}Header/{{{WSA}}}RelatesTo", "")


def rights_settings(folder: Path) -> dict[str, str]:
    """A server under the matrix of the DMP, its authority in `folder`/pki."""
    (folder / "domains").mkdir(exist_ok=True)
    (folder / "domains" / "rights.toml").write_text(DOMAIN)
    (folder / "issuers.toml").write_text(ISSUERS)
    return {
        "CARNET_SECURITY_PKI": str(folder / "pki"),
        "CARNET_SECURITY_POLICY": "dmp-fr",
        "CARNET_SECURITY_ASSERTION_ISSUERS": str(folder / "issuers.toml"),
        "CARNET_DOMAIN_FOLDER": str(folder / "domains"),
        "CARNET_DOMAIN_PROFILE": "rights",
        "CARNET_DOMAIN_DMP_SERVICES": "true",
    }


@contextlib.contextmanager
def open_rights(folder: Path, environ: Mapping[str, str] | None = None) -> Iterator[RightsWorld]:
    """A server under the matrix of the DMP."""
    cards = Cards(folder / "pki")
    settings = {**rights_settings(folder), **(environ or {})}
    with open_proof(folder / "data", environ=settings) as proof:
        database = open_database(f"sqlite:///{folder / 'data' / 'carnet.sqlite'}")
        try:
            yield RightsWorld(proof, cards, Rights(database), folder / "data")
        finally:
            database.close()
