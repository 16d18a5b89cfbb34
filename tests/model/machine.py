"""The state machine: random operations on a real server and on the model, every answer compared.

An operation is one rule: it draws a request, asks the model for the error codes, sends the request, and hands both to `_sent`.
After each operation everything the registry tells of the persons concerned (GetAll, every version and status) must be what
the model holds. Machines share one server: each works for patients of its own.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable
from random import Random

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from registry.patients import add
from tests.model import sight
from tests.model.asking import Question, draw_question, everything
from tests.model.registry_model import RegistryModel, Sent
from tests.model.submitting import Writer, draw_relation, draw_submission, spoil
from tests.model.wire import Server
from tests.nist.wire import Answer

#: A seed by Hypothesis, the numbers by `random`: see `tests.model.submitting`.
RANDOM = st.randoms(use_true_random=True)
_runs = itertools.count(1)
_STEM = time.time_ns() // 1000


def now() -> str:
    """DTM in UTC, as lastUpdateTime is told."""
    return time.strftime("%Y%m%d%H%M%S", time.gmtime())


class RegistryMachine(RuleBasedStateMachine):
    """`server` is put in by the test that runs the machine."""

    server: Server

    @initialize(random=RANDOM)
    def begin(self, random: Random) -> None:
        """Three announced patients and one whom nobody knows."""
        self.model = RegistryModel()
        self.writer = Writer(self.model)
        self.kept: list[tuple[Sent, bytes]] = []
        run = next(_runs)
        for name in ("Ana", "Bo", "Cy"):
            cx = f"{name}{_STEM}x{run}^^^&1.2.250.9.1&ISO"
            add(self.server.application.kit.database, cx)
            self.model.add_patient(cx)
        self.model.add_patient(f"Nobody{_STEM}x{run}^^^&1.2.250.9.1&ISO", alive=False)

    # ------------------------------------------------------------------------------------------------------- operations

    @rule(random=RANDOM)
    def submit(self, random: Random) -> None:
        self._submit(draw_submission(self.model, random))

    @precondition(lambda self: self.model.world.entries)
    @rule(random=RANDOM)
    def relate(self, random: Random) -> None:
        sent = draw_relation(self.model, random)
        if sent is not None:
            self._submit(sent)

    @rule(random=RANDOM)
    def submit_wrong(self, random: Random) -> None:
        sent = (draw_relation(self.model, random) if random.random() < 0.3 else None) or draw_submission(self.model, random)
        what = spoil(self.model, random, sent)
        note(f"spoilt: {what}")
        self._submit(sent)

    @precondition(lambda self: self.kept)
    @rule(random=RANDOM)
    def submit_again(self, random: Random) -> None:
        """A message that was accepted comes once more: its sender has not seen our answer."""
        sent, text = random.choice(self.kept)
        self._sent("ITI-42", text, self.model.judge_submission(sent), [sent.set.patient])

    @rule(random=RANDOM)
    def ask(self, random: Random) -> None:
        for _ in range(5):
            self._ask(draw_question(self.model, random))

    # ----------------------------------------------------------------------------------------------------------- pieces

    def _submit(self, sent: Sent) -> None:
        expected, text = self.model.judge_submission(sent), self.writer.submission(sent)
        if not expected:
            self.model.apply_submission(sent)
            self.kept.append((sent, text))
        self._sent("ITI-42", text, expected, [sent.set.patient])

    def _sent(self, transaction: str, body: bytes, expected: set[str], patients: Iterable[int]) -> None:
        """Send a request whose effect the model has taken over already, and look at everything afterwards."""
        note(f"{transaction} {sorted(expected)} {body.decode()}")
        earliest = now()
        answer = self.server.soap(transaction, body)
        self._compare_codes(answer, expected)
        for cluster in {self.model.cluster(patient) for patient in patients}:
            self._look(cluster, earliest)

    def _compare_codes(self, answer: Answer, expected: set[str]) -> None:
        told = {error.code: error.context for error in answer.errors if error.severity.endswith("Error")}
        assert not answer.fault, answer.fault
        assert set(told) == expected, f"expected {sorted(expected)}, answered {told}"
        assert answer.status == ("Failure" if expected else "Success"), answer.status

    def _look(self, cluster: int, earliest: str) -> None:
        """What the registry tells of one person under each of its ids."""
        for patient in [p for p in self.model.world.patients if p.cluster == cluster]:
            question = everything(patient.cx)
            answer = self.server.soap("ITI-18", question.message())
            sight.learn(self.model, sight.Seen(answer), earliest, now())
            self._compare(question, answer)

    def _ask(self, question: Question) -> None:
        note(f"{question}")
        self._compare(question, self.server.soap(question.transaction, question.message()))

    def _compare(self, question: Question, answer: Answer) -> None:
        if question.error:
            self._compare_codes(answer, {question.error})
            return
        found = self.model.queries.ask(question.name, question.slots, question.return_type)
        self._compare_codes(answer, found.errors)
        seen, world = sight.Seen(answer), self.model.world
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
