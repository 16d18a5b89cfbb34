"""Performs a case: announces its patients, sends its steps one after the other, judges the answers, and tidies up."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from conformance import authorisations, messages, records
from conformance.case import REFUSED, Case, Expect, Step
from conformance.change import ChangeError, changed
from conformance.exchange import Connections, Exchanged, ExchangeError, Unreachable, mllp
from conformance.judge import Judge, read_reply
from conformance.messages import Outgoing, WireChangeError
from conformance.phrases import french
from conformance.result import CaseResult, Finding, Status, StepResult, Text
from conformance.saying import SaidError
from conformance.scene import Names, Scene, UnknownWord
from conformance.securing import Securing, Unperformable
from conformance.signing import SealedError
from conformance.submission import Made, Maker
from conformance.target import Target
from conformance.values import STYLES
from metadata.schemes import ON_DEMAND, STABLE

_SUBMISSIONS = ("ITI-41", "ITI-42", "ITI-57", "ITI-61", "ITI-92")
_SUCCESS, _ANNOUNCED, _ANY = Expect(("Success",)), Expect(("CA", "AA")), Expect(("Success", "Failure"))
_PATIENT = Text("The patient is announced", "Le patient est annoncé")
_CLEAN = Text("What the case has left is taken out", "Ce que le cas a laissé est retiré")
_STATUSES = "('urn:oasis:names:tc:ebxml-regrep:StatusType:Approved','urn:oasis:names:tc:ebxml-regrep:StatusType:Deprecated')"
_EVERYTHING = [
    ["$XDSDocumentEntryStatus", _STATUSES],
    ["$XDSSubmissionSetStatus", _STATUSES],
    ["$XDSFolderStatus", _STATUSES],
    ["$XDSDocumentEntryType", f"('{STABLE}','{ON_DEMAND}')"],
    ["$MetadataLevel", "2"],
]
_TWO = "it needs two patients: name a second one (--patient)", "il faut deux patients : en nommer un second (--patient)"
_NO_FEED = "no feed announces patients: give --feed or --patient", "aucun flux n'annonce de patients : donner --feed ou --patient"
_NO_ID = (
    "no document could be submitted and found to learn the repositoryUniqueId; name it in the target's file",
    "aucun document n'a pu être déposé et retrouvé pour connaître le repositoryUniqueId ; le donner dans le fichier de la cible",
)
_NAMED = (
    "it is for two patients who are named (--patient), whose rights the operator has set",
    "il vaut pour deux patients nommés (--patient), dont l'exploitant a réglé les droits",
)
_NO_REPOSITORY = (
    "repository_unique_id is not in the target's file, and cannot be asked for",
    "repository_unique_id manque au fichier de la cible et ne peut être demandé",
)
#: What a step of this transaction is called when the case gives it no title.
TITLES = {
    "ITI-8": Text("Patient Identity Feed", "Alimentation des identités"),
    "ITI-18": Text("Registry Stored Query", "Recherche dans le registre"),
    "ITI-41": Text("Provide and Register Document Set-b", "Dépôt et enregistrement de documents"),
    "ITI-42": Text("Register Document Set-b", "Enregistrement de documents"),
    "ITI-43": Text("Retrieve Document Set", "Récupération de documents"),
    "ITI-44": Text("Patient Identity Feed HL7 V3", "Alimentation des identités HL7 V3"),
    "ITI-51": Text("Multi-Patient Stored Query", "Recherche sur plusieurs patients"),
    "ITI-57": Text("Update Document Set", "Mise à jour des métadonnées"),
    "ITI-61": Text("Register On-Demand Document Entry", "Enregistrement d'un document à la demande"),
    "ITI-62": Text("Remove Metadata", "Suppression de métadonnées"),
    "ITI-64": Text("Notify XAD-PID Link Change", "Changement de rattachement d'un patient"),
    "ITI-86": Text("Remove Documents", "Suppression de documents"),
    "ITI-92": Text("Restricted Update Document Set", "Mise à jour restreinte"),
    "DMP-habilitations": Text("Authorisations", "Habilitations"),
    "DMP-patients": Text("The record as a whole", "Gestion du dossier patient partagé"),
}


class BadCase(ValueError):
    """The case itself is wrong; the text names it."""


@dataclass(slots=True)
class Performer:
    """Performs cases against one target; safe for several threads. `repository` is asked for once, when a case needs it.

    `unreachable` says why, once nobody could be asked at an address of the target.
    """

    target: Target
    connections: Connections
    names: Names
    clean: bool = True
    repository: str = ""
    unreachable: str = ""
    scenes: dict[str, Scene] = field(default_factory=dict)
    _asking: threading.Lock = field(default_factory=threading.Lock)
    _securing: Securing = field(init=False)

    def __post_init__(self) -> None:
        self._securing = Securing(self.target, self.connections)

    def perform(self, case: Case) -> CaseResult:
        """The result of one case. Raises BadCase."""
        result = CaseResult(
            case.id, case.title, case.transaction, case.profiles, case.proves, case.section, Status.PASSED, case.requirements,
            why=case.why, mend=case.mend, started=_now(),
        )  # fmt: skip
        scene = Scene(self.names, self.repository)
        begun = time.monotonic()
        try:
            if case.needs:
                scene.after(self.scenes[case.needs])
            self._announce(case, scene, result)
            self._steps(case, scene, result)
        except Unperformable as error:
            result.status, result.reason = error.status, error.text
        except (UnknownWord, ChangeError, WireChangeError, SaidError, SealedError, KeyError) as error:
            raise BadCase(f"{case.source}: {case.id}: {error!r}") from error
        self.scenes[case.id] = scene
        result.patients = tuple(scene.patients[name] for name in ("patient", "patient2") if name in scene.patients)
        result.seconds = round(time.monotonic() - begun, 4)
        return result

    def tidy(self, case: Case, result: CaseResult) -> None:
        """Takes out what the case has left, where the target lets it; whether it does says nothing of the case."""
        if self.clean:
            self._take_out(self.scenes[case.id], result)

    def _take_out(self, scene: Scene, result: CaseResult) -> None:
        if scene.registered and self.target.url("ITI-62"):
            ids = [thing.id for thing in scene.registered]
            remove = Step("ITI-62", _ANY, "clean", _CLEAN)
            self._exchange(remove, messages.removal(ids), scene, result)
            left = [] if result.steps[-1].outcome == "Success" else self._left(ids, scene, result)
            if left:
                self._exchange(remove, messages.removal(left), scene, result)
        if scene.stored and self.target.url("ITI-86"):
            pairs = [(scene.repository, thing.uid) for thing in scene.stored]
            self._exchange(Step("ITI-86", _ANY, "clean", _CLEAN), messages.removal_of_documents(pairs), scene, result)

    def _left(self, ids: Sequence[str], scene: Scene, result: CaseResult) -> list[str]:
        """What the registry has of the case by its own account: it makes associations itself, and gives UUIDs."""
        if self.target.patients:
            uuids = "(" + ",".join(f"'{id}'" for id in ids) + ")"
            asked = [("GetAssociations", [["$uuid", uuids], ["$MetadataLevel", "2"]])]
        else:
            patients = [cx for name, cx in scene.patients.items() if name != "unknown"]
            asked = [("GetAll", [["$patientId", f"'{cx}'"], *_EVERYTHING]) for cx in patients]
        found = [] if not self.target.patients else list(ids)
        for query, parameters in asked:
            body = messages.adhoc_query(query, parameters, "ObjectRef")
            self._exchange(Step("ITI-18", _ANY, "clean", _CLEAN), body, scene, result)
            answer = result.steps[-1].response.body.decode("utf-8", "replace")
            found += re.findall(r'ObjectRef [^>]*?id="([^"]+)"', answer)
        return list(dict.fromkeys(found))

    # ------------------------------------------------------------------------------------------------------- patients

    def _announce(self, case: Case, scene: Scene, result: CaseResult) -> None:
        if "dmp-rights" in case.options and not self.target.patients:
            raise Unperformable(*_NAMED)
        text = repr(case.steps)
        wanted = ["patient", *(["patient2"] if "patient2" in text else [])]
        scene.patients.setdefault("unknown", self._new_patient(case))
        for number, name in enumerate(wanted):
            if name in scene.patients:
                continue
            if self.target.patients:
                if number >= len(self.target.patients):
                    raise Unperformable(*_TWO)
                scene.patients[name] = self.target.patients[number]
                continue
            cx = scene.patients[name] = self._new_patient(case)
            if f"feed='add', patient='{{{name}}}'" in text and "patient-feed" in self.target.options:
                continue  # the case announces it itself
            self._feed("add", cx, "", scene, result)

    def _new_patient(self, case: Case) -> str:
        return self.names.ins() if (case.domain or self.target.domain) == "ci-sis" else self.names.patient()

    def _feed(self, feed: str, cx: str, prior: str, scene: Scene, result: CaseResult) -> None:
        transaction = self.target.feed_transaction
        if not transaction:
            if "patient-feed" in self.target.options:
                raise Unperformable(*_NO_FEED)
            return
        step = Step(transaction, _ANNOUNCED, "patient", _PATIENT, feed=feed, patient=cx, prior=prior, prepares=True)
        answered = self._step(step, scene, result)
        if not answered or result.steps[-1].findings:
            said = result.steps[-1].findings[0].text if answered else result.reason
            raise Unperformable(
                f"the target has not taken the patient who was announced to it by {transaction}: {said.en}",
                f"la cible n'a pas pris le patient qui lui a été annoncé par {transaction} : {said.fr}",
                Status.ERROR,
            )

    # ---------------------------------------------------------------------------------------------------------- steps

    def _steps(self, case: Case, scene: Scene, result: CaseResult) -> None:
        if "{repository}" in repr(case.steps) or any(step.send in ("ITI-43", "ITI-86") for step in case.steps):
            scene.repository = self.repository_id(case, result)
        scene.repository = scene.repository or "1.2.250.1.213.99.9"
        if "{workplace}" in repr(case.steps):
            scene.words["workplace"] = self._securing.workplace(case.steps[0])
        for step in case.steps:
            if step.wait:
                time.sleep(1.05 - time.time() % 1)
            if not self._step(step, scene, result):
                return
            done = result.steps[-1]
            for finding in done.findings:
                result.status = Status.FAILED
                done.findings[done.findings.index(finding)] = _about(finding, case)
            if done.findings:
                return

    def repository_id(self, case: Case, result: CaseResult) -> str:
        """repositoryUniqueId of the target: named by its file, or read from the entry of a document that it has registered."""
        with self._asking:
            self.repository = self.repository or self.target.repository_unique_id or self._ask_repository(case, result)
        return self.repository

    def _ask_repository(self, case: Case, result: CaseResult) -> str:
        """By a document of a patient of its own, so that the case finds no object that is not its own."""
        if not (self.target.url("ITI-41") and self.target.url("ITI-18")):
            raise Unperformable(*_NO_REPOSITORY)
        scene = Scene(self.names)
        scene.patients["patient"] = self.target.patients[0] if self.target.patients else self._new_patient(case)
        if not self.target.patients:
            self._feed("add", scene.patients["patient"], "", scene, result)
        parameters = (("$XDSDocumentEntryUniqueId", "('{entry0.uid}')"),)
        for step in (
            Step("ITI-41", _SUCCESS, "repository", TITLES["ITI-41"], make="set0 entry0", prepares=True),
            Step("ITI-18", _SUCCESS, "repository", TITLES["ITI-18"], query="GetDocuments", parameters=parameters, prepares=True),
        ):
            self._step(step, scene, result)
        found = result.steps[-1].response.body.partition(b'"repositoryUniqueId"')[2]
        repository = found.partition(b"Value>")[2].partition(b"<")[0].decode().strip()
        if not repository:
            raise Unperformable(*_NO_ID, Status.ERROR)
        scene.repository = repository
        self._take_out(scene, result)
        return repository

    def _step(self, step: Step, scene: Scene, result: CaseResult) -> bool:
        """Performs one step. False when there was no answer, which ends the case."""
        if step.send in _SUBMISSIONS and not step.body:
            return self._submit(step, scene, result)
        if step.feed:
            return self._identify(step, scene, result)
        if step.body:
            body = scene.fill(step.body).encode()
        elif step.query:
            parameters = scene.rows(step.parameters)
            body = messages.adhoc_query(step.query, parameters, step.return_type, scene.fill(step.home))
        elif step.send == "ITI-62":
            body = messages.removal([scene.fill(id) for id in step.remove])
        else:
            pairs = list(_pairs(step.retrieve or step.remove, scene))
            body = messages.retrieval(pairs) if step.send == "ITI-43" else messages.removal_of_documents(pairs)
        if not self._exchange(step, body, scene, result):
            return False
        if step.send == "ITI-62" and result.steps[-1].outcome == "Success":
            gone = {scene.fill(id) for id in step.remove}
            scene.registered = [thing for thing in scene.registered if thing.id not in gone]
        return True

    def _submit(self, step: Step, scene: Scene, result: CaseResult) -> bool:
        made = scene.made[step.again] if step.again else self._make(step, scene)
        scene.made[step.name or f"step{len(result.steps)}"] = made
        scene.things.update(made.things)
        rows = scene.rows(step.change)
        xml = changed(made.xml, [row for row in rows if row[0] != "documents"], made.things)
        parts: list[tuple[str, bytes, str]] = []
        if step.send == "ITI-41" and step.as_ == "inline":
            xml = messages.inline(xml, made.documents)
        elif step.send == "ITI-41":
            signer = self._securing.set_signer(step)
            changes = [row[1:] for row in rows if row[0] == "documents"]
            xml, parts = messages.provided(xml, made.documents, changes, signer.resigned if signer is not None else None)
        if not self._exchange(step, xml, scene, result, parts):
            return False
        if result.steps[-1].outcome.startswith("Success"):
            scene.registered += made.things.values()
            scene.stored += made.documents.values() if step.send == "ITI-41" else ()
        return True

    def _make(self, step: Step, scene: Scene) -> Made:
        style = STYLES[self.target.domain].with_codes(self.target.codes)
        signer = self._securing.set_signer(step)
        repository = scene.repository or "1.2.250.1.213.99.9"
        maker = Maker(scene.patients["patient"], repository, scene.oids, scene.things, style, signer)
        return maker.make(step.make, step.send)

    def _identify(self, step: Step, scene: Scene, result: CaseResult) -> bool:
        cx, prior = scene.fill(step.patient), scene.fill(step.prior)
        if step.send == "ITI-44":
            return self._exchange(step, messages.identity_v3(step.feed, cx, prior, next(scene.oids)), scene, result)
        if step.send == records.TRANSACTION:
            return self._exchange(step, records.record_message(step.feed, cx, next(scene.oids)), scene, result)
        if step.send == authorisations.TRANSACTION:
            return self._exchange(step, authorisations.request(step.feed, step.prior), scene, result)
        text = messages.identity_v2(step.feed, cx, prior, str(self.names.number()))
        done, begun = self._begin(step, result)
        try:
            exchanged = mllp(self.target.url(step.send), text)
        except ExchangeError as error:
            return self._unanswered(done, error, result)
        self._end(done, step, exchanged, begun, scene, "")
        return True

    # ------------------------------------------------------------------------------------------------------- exchange

    def _exchange(
        self, step: Step, body: bytes, scene: Scene, result: CaseResult, parts: Sequence[tuple[str, bytes, str]] = ()
    ) -> bool:
        url = self.target.url(step.send)
        with_parts = step.as_ == "mtom" or (not step.as_ and step.send in ("ITI-41", "ITI-43"))
        action = _action_of(step)
        if with_parts or step.as_ == "inline":
            outgoing = messages.mtom(step.send, body, url, parts)
        else:
            outgoing = messages.soap(step.send, body, url, action)
        message_id = outgoing.message_id
        value = self._securing.secure(outgoing, parts, step, scene)
        outgoing = messages.altered(outgoing, scene.rows(step.wire))
        scene.sent = outgoing.body
        done, begun = self._begin(step, result)
        try:
            exchanged = self._securing.connections_of(step).post(url, outgoing.headers, outgoing.body)
        except ExchangeError as error:
            if error.hung_up and REFUSED in step.expect.statuses:
                done.request, done.outcome = error.request, f"{REFUSED}: {error}"
                return True
            return self._unanswered(done, error, result)
        told = message_id if _has_id(outgoing, message_id) else ""
        self._end(done, step, exchanged, begun, scene, told)
        if self.target.signs and step.signature != "none" and not (step.prepares or done.cleans):
            done.findings += self._securing.findings(step, exchanged, told, value)
        return True

    def _begin(self, step: Step, result: CaseResult) -> tuple[StepResult, float]:
        done = StepResult(
            step.name or f"step{len(result.steps) + 1}", step.title or TITLES[step.send], step.send, self.target.url(step.send),
            _now(), expected=step.expect.words(), prepares=step.prepares, cleans=step.name == "clean",
        )  # fmt: skip
        result.steps.append(done)
        return done, time.monotonic()

    def _end(self, done: StepResult, step: Step, exchanged: Exchanged, begun: float, scene: Scene, message_id: str) -> None:
        done.seconds = round(time.monotonic() - begun, 4)
        done.request, done.response, done.http_status = exchanged.request, exchanged.response, exchanged.status
        reply = read_reply(step.send, exchanged)
        done.outcome, done.told = reply.outcome, tuple(reply.told)
        if not done.cleans:
            expect = replace(step.expect, holds=tuple(scene.fill(expression) for expression in step.expect.holds))
            judge = Judge(step.send, expect, reply, scene.things, message_id, bool(self.target.patients))
            done.findings = list(judge.findings())

    def _unanswered(self, done: StepResult, error: ExchangeError, result: CaseResult) -> bool:
        done.request, done.outcome = error.request, str(error)
        if isinstance(error, Unreachable):
            self.unreachable = str(error)
        if not done.cleans:
            result.status = Status.ERROR
            result.reason = Text(f"No answer: {error}", f"Pas de réponse : {french(str(error))}")
        return False


def _has_id(outgoing: Outgoing, message_id: str) -> bool:
    return not outgoing.headers.get("Content-Encoding") and message_id.encode() in outgoing.body


def _about(finding: Finding, case: Case) -> Finding:
    """With what the case proves, unless it is about something that holds for every answer (then it says its own section)."""
    if finding.section:
        return finding
    return replace(finding, rules=case.proves, section=case.section)


def _pairs(items: Sequence[str], scene: Scene) -> Iterator[tuple[str, str]]:
    """`entry` is the entry's document in the target's repository; `REPOSITORY DOCUMENT` says both."""
    for item in items:
        repository, _, document = scene.fill(item).partition(" ")
        yield (repository, document) if document else (scene.repository, scene.things[repository].uid)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _action_of(step: Step) -> str:
    """wsa:Action where it is not that of the transaction: one address takes several messages."""
    if step.send == "ITI-44":
        return f"urn:hl7-org:v3:{messages.INTERACTIONS[step.feed]}"
    if step.send == authorisations.TRANSACTION:
        return authorisations.action_of(step.feed)
    return records.action_of(step.feed) if step.send == records.TRANSACTION else ""
