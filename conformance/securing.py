"""What a message needs on a secured target: the card that connects, assertion and signature, and the signature of the answer."""

from __future__ import annotations

import re
import ssl
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from conformance.acting import Card
from conformance.cards import NOBODY
from conformance.case import Step
from conformance.exchange import Connections, Exchanged
from conformance.judge import read_reply
from conformance.messages import Outgoing
from conformance.result import Finding, Status, Text
from conformance.scene import Scene
from conformance.set_signature import SetSigner
from conformance.target import Target
from security.pki import PkiError
from security.tls import TlsError, client_context

_NO_CARD = {
    "other": "le dossier de l'autorité ne contient pas de second professionnel de la même profession",
    "workplace": "le dossier de l'autorité ne contient pas la structure où exerce le professionnel (--structure)",
    "revoked": "le dossier de l'autorité ne contient pas de carte révoquée (carnet pki revoke)",
    "limited": "le dossier de l'autorité ne contient pas de carte limitée à d'autres transactions (--transaction)",
}


class Unperformable(Exception):
    """The case cannot be performed against this target: the reason, in both languages.

    SKIPPED: it is nothing for this target. ERROR: what must go before it went wrong, so that nobody knows.
    """

    def __init__(self, en: str, fr: str, status: Status = Status.SKIPPED) -> None:
        super().__init__(en)
        self.text = Text(en, fr)
        self.status = status


@dataclass(slots=True)
class Securing:
    """Secures the messages to one target; safe for several threads. `connections` are those of the acting card."""

    target: Target
    connections: Connections
    _others: dict[str, Connections] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def secure(self, outgoing: Outgoing, parts: Sequence[tuple[str, bytes, str]], step: Step, scene: Scene) -> bytes | None:
        """Puts assertion and signature into the message. The signature value, None where it has no right one."""
        card = self._card(step, step.by)
        if card is None:
            return None
        assertion = self._assertion(card, outgoing.body, step, scene)
        if not self.target.signs or step.signature == "none":
            outgoing.body = card.put_into(outgoing.body, assertion)
            return None
        if step.signature == "again":
            outgoing.body = scene.sent
            return None
        signer = self._card(step, step.signer or step.by) or card

        def der_of(word: str) -> bytes:
            return (self._card(step, word) or card).der()

        signed = signer.signing.signed(outgoing.body, parts, assertion, step.signature, step.sealed, der_of)
        outgoing.body = signed.octets
        return signed.value

    def _assertion(self, card: Card, body: bytes, step: Step, scene: Scene) -> bytes:
        patient, other = _spoken_of(body, scene), scene.patients.get("unknown", "")
        if not step.said and not step.speaker:
            return card.assertion(patient, other, step.assertion)
        self._card(step, step.speaker)
        for word in (row[1] for row in step.said if row[0] == "holder"):
            self._card(step, word)
        rows = tuple(tuple(scene.fill(text) if row[0] not in ("after", "xpath") else text for text in row) for row in step.said)
        with self._lock:
            return card.saying(patient, rows, step.speaker, step.send)

    def _card(self, step: Step, word: str) -> Card | None:
        """Whose card that is. Raises Unperformable where the folder has none."""
        card = self.target.card
        if card is None:
            return None
        try:
            with self._lock:
                return card.by(word, step.send)
        except PkiError as error:
            raise Unperformable(str(error), _NO_CARD.get(word, str(error))) from None

    def workplace(self, step: Step) -> str:
        """The id of the structure in which the acting person works. Raises Unperformable."""
        card = self._card(step, "workplace")
        return card.identifier if card is not None else ""

    def set_signer(self, step: Step) -> SetSigner | None:
        """Who signs the sets of this step."""
        card = self._card(step, step.set_by or step.by)
        return card.set_signer(self.target.domain == "ci-sis") if card is not None else None

    def connections_of(self, step: Step) -> Connections:
        """Each card has connections of its own, since it shows its certificate there."""
        word = step.shown or step.by
        if not word or self.connections.context is None:
            return self.connections
        key = word if word != "limited" else f"{word} {step.send}"
        if key not in self._others:
            made = Connections(self._context(step, word))
            with self._lock:
                self._others.setdefault(key, made)
        return self._others[key]

    def _context(self, step: Step, word: str) -> ssl.SSLContext | None:
        own = self.target.card
        if own is None:
            return None
        try:
            if word == NOBODY:
                return client_context(own.ca or str(own.folder / "ca.crt"))
            card = self._card(step, word)
            return card.context() if card is not None else None
        except TlsError as error:
            raise Unperformable(str(error), str(error)) from None

    def findings(self, step: Step, exchanged: Exchanged, message_id: str, value: bytes | None) -> list[Finding]:
        """What is wrong with the signature of an answer. A fault about a message that was not believed need not be signed; every
        other answer must be."""
        reply, card = read_reply(step.send, exchanged), self._card(step, step.by)
        if reply.answer is None or reply.status == "Fault" or card is None:
            return []
        problem = card.signing.problem(reply.answer, message_id, value)
        if problem is None:
            return []
        rule, said = problem
        text = Text(f"The signature of the answer is not right: {said.en}", f"La signature de la réponse est fautive : {said.fr}")
        return [Finding("signature", "a signed answer", rule, text, None, (rule,), "WSS SOAP Message Security 1.1: 8")]


def _spoken_of(body: bytes, scene: Scene) -> str:
    """The patient of the case that a message names, else the case's own."""
    envelope = body.partition(b"</soap:Envelope>")[0]
    for name in ("patient", "patient2", "unknown"):
        cx = scene.patients.get(name, "")
        if cx and re.search(re.escape(cx.partition("^")[0]).encode() + rb"(?!\d)", envelope):
            return cx
    return scene.patients.get("patient", "")
