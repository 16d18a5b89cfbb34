"""The state machine: random operations on a real server and on the model, every answer compared.

An operation is one rule: it draws a request, asks the model for the error codes, sends the request, and hands both to `_sent`.
After each operation everything the registry tells of the persons concerned (GetAll, every version and status) must be what
the model holds. Machines share one server: each works for patients of its own.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from copy import deepcopy
from random import Random

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.model import sight
from tests.model.asking import Question, draw_question, everything
from tests.model.identifying import ADD, MERGE, action_of, identity_message, is_accepted
from tests.model.registry_model import RegistryModel, Sent, Verdict
from tests.model.removing import draw_removal, removal
from tests.model.submitting import Writer, draw_filed, draw_relation, draw_submission, spoil
from tests.model.update_model import Update, UpdateModel
from tests.model.updating import draw_links, draw_status, draw_versions, touched_patients, update_message
from tests.model.wire import Server
from tests.nist.wire import Answer

_patients = itertools.count(1)
_STEM = time.time_ns() // 1000


def now() -> str:
    """DTM in UTC, as lastUpdateTime is told."""
    return time.strftime("%Y%m%d%H%M%S", time.gmtime())


def transaction_of(sent: Sent) -> str:
    return "ITI-61" if sent.on_demand else "ITI-42"


class RegistryMachine(RuleBasedStateMachine):
    """`server` is put in by the test that runs the machine."""

    server: Server

    @initialize(seed=st.integers(0, 2**64 - 1))
    def begin(self, seed: int) -> None:
        """Three announced patients with some documents, and one whom nobody knows."""
        self.seed, self.turns = seed, Counter[str]()
        self.model = RegistryModel()
        self.writer = Writer(self.model)
        self.kept: list[tuple[Sent, bytes]] = []
        random = self._random("begin")
        for _ in range(3):
            self._announce()
        self._new_patient()
        for _ in range(2):
            self._submit(draw_filed(self.model, random))

    # ------------------------------------------------------------------------------------------------------- operations

    @rule()
    def submit(self) -> None:
        random = self._random("submit")
        self._submit(draw_submission(self.model, random))

    @precondition(lambda self: self.model.world.entries)
    @rule()
    def relate(self) -> None:
        random = self._random("relate")
        for _ in range(random.choice([1, 2, 3])):
            sent = draw_relation(self.model, random)
            if sent is not None:
                self._submit(sent)

    @rule()
    def submit_wrong(self) -> None:
        """One thing wrong, or a message that was accepted once more: its sender has not seen our answer."""
        random = self._random("submit_wrong")
        if self.kept and random.random() < 0.2:
            sent, text = random.choice(self.kept)
            self._submit(deepcopy(sent), text)
            return
        sent = (draw_relation(self.model, random) if random.random() < 0.3 else None) or draw_submission(self.model, random)
        note(f"spoilt: {spoil(self.model, random, sent)}")
        self._submit(sent)

    @rule()
    def update_metadata(self) -> None:
        self._update(draw_versions(self.model, self._random("update_metadata")))

    @precondition(lambda self: self.model.world.sets)
    @rule()
    def update_status(self) -> None:
        self._update(draw_status(self.model, self._random("update_status")))

    @rule()
    def submit_association(self) -> None:
        self._update(draw_links(self.model, self._random("submit_association")))

    @precondition(lambda self: len(self.model.world.sets) > 2)
    @rule()
    def remove(self) -> None:
        """Objects leave the registry, and nothing refers to them afterwards."""
        ids = draw_removal(self.model, self._random("remove"))
        verdict = Verdict(self.model.judge_removal(ids))
        patients = [one.patient for one in self.model.objects() if one.uuid in ids] or self.model.alive()[:1]
        if not verdict.sure:
            self.model.apply_removal(ids)
        self._sent("ITI-62", removal(ids), verdict, patients)

    @rule()
    def merge(self) -> None:
        """One person turns out to be another. Refused for ids that are unknown or were merged away."""
        random = self._random("merge")
        if random.random() < 0.5 or len(self.model.alive()) < 2:
            self._announce()
        people = list(range(len(self.model.world.patients)))
        old, new = random.choices(people, k=2) if random.random() < 0.3 else random.sample(self.model.alive(), 2)
        refused, text = self.model.refuses_merge(old, new), identity_message(MERGE, [self._cx(new)], self._cx(old))
        if not refused:
            self.model.apply_merge(old, new)
        self._identify(MERGE, text, refused, [old, new])

    @rule()
    def alias(self) -> None:
        """Two ids are announced as those of one person; the second may be a new one."""
        random = self._random("alias")
        known = [n for n in range(len(self.model.world.patients)) if n not in self.model.unknown]
        pair = random.sample(known, 2)
        if random.random() < 0.6:
            pair[1] = len(self.model.world.patients)
            self._new_patient()
        refused, text = self.model.refuses_alias(pair), identity_message(ADD, [self._cx(n) for n in pair])
        if not refused:
            self.model.apply_alias(pair)
        self._identify(ADD, text, refused, pair)

    @rule()
    def ask(self) -> None:
        random = self._random("ask")
        for _ in range(5):
            self._ask(draw_question(self.model, random))

    # ----------------------------------------------------------------------------------------------------------- pieces

    def _random(self, name: str) -> Random:
        """The randomness of the next turn of a rule: from the run's seed, so that Hypothesis has nothing to copy from turn to
        turn, and from the rule's own count, so that a run goes on alike when turns of other rules are taken out."""
        self.turns[name] += 1
        self.random = Random(f"{self.seed} {name} {self.turns[name]}")
        return self.random

    def _new_patient(self) -> None:
        """A CX of this run's own, unknown to the registry."""
        self.model.add_patient(f"P{_STEM}x{next(_patients)}^^^&1.2.250.9.1&ISO", known=False)

    def _announce(self) -> None:
        self._new_patient()
        newest = len(self.model.world.patients) - 1
        self.model.apply_alias([newest])
        self._identify(ADD, identity_message(ADD, [self._cx(newest)]), False, [])

    def _cx(self, patient: int) -> str:
        return self.model.world.patients[patient].cx

    def _identify(self, name: str, text: bytes, refused: bool, patients: list[int]) -> None:
        """A change of identities whose effect the model has taken over already."""
        note(f"{name} {patients} {'refused' if refused else 'accepted'} {text.decode()}")
        answer = self.server.soap("ITI-44", text, action_of(name))
        assert not answer.fault, answer.fault
        assert is_accepted(answer) != refused, f"the model {'refuses' if refused else 'accepts'} this"
        self._look_at(patients, now())

    def _submit(self, sent: Sent, text: bytes = b"") -> None:
        verdict, text = self.model.judge_submission(sent), text or self.writer.submission(sent)
        if not verdict.sure:
            self.kept.append((deepcopy(sent), text))
            self.model.apply_submission(sent)
        self._sent(transaction_of(sent), text, verdict, [sent.set.patient])

    def _update(self, update: Update | None) -> None:
        if update is None:
            return
        state = UpdateModel(self.model, update)
        verdict, text = state.judge(), update_message(self.writer, update)
        patients = touched_patients(self.model, update)
        if not verdict.sure:
            state.apply()
        self._sent("ITI-57", text, verdict, patients)

    def _sent(self, transaction: str, body: bytes, verdict: Verdict, patients: list[int]) -> None:
        """Send a request whose effect the model has taken over already, and look at everything afterwards."""
        note(f"{transaction} {verdict} {body.decode()}")
        earliest = now()
        answer = self.server.soap(transaction, body)
        self._compare_codes(answer, verdict)
        self._look_at(patients, earliest)

    def _compare_codes(self, answer: Answer, verdict: Verdict) -> None:
        told = {error.code: error.context for error in answer.errors if error.severity.endswith("Error")}
        assert not answer.fault, answer.fault
        assert verdict.allows(set(told)), f"expected {verdict}, answered {told}"
        assert answer.status == ("Failure" if verdict.sure else "Success"), answer.status

    def _look_at(self, patients: list[int], earliest: str) -> None:
        """Everything the registry tells of these persons, under the id that stands for each, and a question more."""
        for cx in sorted({self.model.surviving(patient) for patient in patients}):
            question = everything(cx)
            answer = self.server.soap("ITI-18", question.message())
            seen = sight.Seen(answer)
            sight.learn(self.model, seen, earliest, now())
            self._compare(question, answer, seen)
        if patients:
            self._ask(draw_question(self.model, self.random))

    def _ask(self, question: Question) -> None:
        note(f"{question}")
        answer = self.server.soap(question.transaction, question.message())
        self._compare(question, answer, sight.Seen(answer))

    def _compare(self, question: Question, answer: Answer, seen: sight.Seen) -> None:
        if question.error:
            self._compare_codes(answer, Verdict({question.error}))
            return
        found = self.model.queries.ask(question.name, question.slots, question.return_type)
        self._compare_codes(answer, Verdict(found.errors))
        world = self.model.world
        if question.return_type == "ObjectRef":
            ordered = [*found.entries, *found.sets, *found.folders]
            assert seen.references[: len(ordered)] == ordered, f"{question}: {seen.references}, expected {ordered}"
            assert sorted(seen.references[len(ordered) :]) == sorted(found.associations), f"{question}: associations"
            return
        expected = {
            "entries": [sight.told_entry(self.model, e) for e in world.entries if e.uuid in found.entries],
            "sets": [sight.told_set(self.model, s) for s in world.sets if s.uuid in found.sets],
            "folders": [sight.told_folder(self.model, f) for f in world.folders if f.uuid in found.folders],
            "associations": [sight.told_association(a) for a in world.associations if a.uuid in found.associations],
        }
        for kind, told in expected.items():
            wrong = sight.differences(told, getattr(seen, kind))
            assert not wrong, f"{question}: {kind}: {wrong}"
            if kind != "associations":
                order = [one["uuid"] for one in getattr(seen, kind)]
                assert order == getattr(found, kind), f"{question}: {kind} in the order {order}, expected {getattr(found, kind)}"
