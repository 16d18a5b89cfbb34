"""Every sentence that readers of answers and checks of plans can say has a French one."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from conformance.phrases import PHRASES, french
from tests.server_process import ROOT

SOURCES = (
    *(f"nist/{name}" for name in ("checks", "contents", "state", "runner")), "wire", "exchange",
)  # fmt: skip
RAISED = {"WireError", "ExchangeError", "Unresolved"}


def sentences(source: str) -> Iterator[str]:
    """What is yielded, raised or (of `exchange`) returned as text, with a word in each place."""
    for node in ast.walk(ast.parse((ROOT / "conformance" / f"{source}.py").read_text(encoding="utf-8"))):
        value: ast.expr | None = None
        if isinstance(node, ast.Yield):
            value = node.value
        elif isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and isinstance(node.exc.func, ast.Name):
            value = node.exc.args[0] if node.exc.func.id in RAISED else None
        elif isinstance(node, ast.GeneratorExp):
            value = node.elt
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            yield value.value
        elif isinstance(value, ast.JoinedStr):
            parts = enumerate(value.values, 1)
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else f"x{n}x" for n, part in parts)


@pytest.mark.parametrize("source", SOURCES)
def test_each_sentence_has_a_french_one(source: str) -> None:
    said = [text for text in sentences(source) if " " in text and re.sub(r"x(\d)x", "", text).strip(" :") and "<" not in text]
    assert said
    assert [text for text in said if french(text) == text] == []
    assert [text for text in said if set(re.findall(r"x\dx", text)) - set(re.findall(r"x\dx", french(text)))] == []


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("CDA document of the realm FR: Note", "document CDA du domaine FR : Note"),
        ("CDA document: Note", "document CDA : Note"),
        ("ExtrinsicObject, judged as in ITI-41", "ExtrinsicObject, jugé comme dans ITI-41"),
        ("answer Failure, 2 error(s)", "réponse Failure, 2 erreur(s)"),
        ("answer without status, 0 error(s)", "réponse sans statut, 0 erreur(s)"),
        ("answer with the action urn:x", "réponse avec l'action urn:x"),
        ("SOAP fault Sender: no", "fault SOAP Sender : no"),
        ("signed with SHA-2 by CN=a", "signée en SHA-2 par CN=a"),
        ("transaction ITI-41", "transaction ITI-41"),
    ],
)
def test_what_a_check_says_that_a_file_is(said: str, wanted: str) -> None:
    assert french(said) == wanted


def test_places_agree_and_the_order_reaches_each_row() -> None:
    for english, sentence in PHRASES:
        assert sorted(re.findall(r"\{\d\}", english)) == sorted(re.findall(r"\{\d\}", sentence)), english
        said = re.sub(r"\{(\d)\}", r"v\1", english)
        assert french(said) == re.sub(r"\{(\d)\}", r"v\1", sentence), english


def test_what_is_not_ours_stays_as_it_is() -> None:
    assert french("Quelque chose") == "Quelque chose"
    assert french("http://h/: nothing listens there") == "http://h/ : rien n'écoute à cette adresse"
