"""Every sentence that readers of answers and checks of plans can say has a French one."""

# ruff: noqa: E501 - a case is read as a row

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from conformance.phrases import PHRASES, french, french_context, known_french
from tests.schemas.test_sentences import sentences as everything
from tests.server_process import ROOT

SOURCES = (
    *(f"nist/{name}" for name in ("checks", "contents", "state", "runner")), "wire", "exchange",
)  # fmt: skip
CHECKS = (
    "check", "check_answer", "check_body", "check_capture", "check_lint", "check_message", "check_parts", "check_saml", "schematron",
    "schematron_compiler", "schematron_reach",
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


#: What is no sentence: headings of a part, names, and words that the table has with what stands around them.
_NO_SENTENCES = re.compile(r"^(answer x|concat\(|starts-with\(|RegistryObjectList |PAT-001|ITI |OASIS|NIST|SOAP 1|XML 1|WS-|multipart|rim:|xds:)|^x\dx( x\dx)?( mimeType)?$|"
                           r"^x0x: x1x$|has \[0-9|^(without status|more than once|Give |Answer |"
                           r"Send an rs|Success, |Use a code|transaction x|of the realm| of the realm|Content-Length |expected )")  # fmt: skip


@pytest.mark.parametrize("source", CHECKS)
def test_what_a_check_says_has_a_french_sentence(source: str) -> None:
    """Remedies stand aside where the rule has its own in French."""
    said = {text for text in everything(ROOT / "conformance" / f"{source}.py") if not _NO_SENTENCES.search(text)}
    assert [text for text in sorted(said) if known_french(text) is None] == []


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("PatientID doc: the patient is not known to the registry (value: '1^^^&1.2&ISO'). Send 2. [PAT-003, ITI TF-2: 3.42] http://h/explain/PAT-003",
         "PatientID doc : le patient n'est pas connu du registre (valeur : « 1^^^&1.2&ISO »). Envoyez 2. [PAT-003, ITI TF-2: 3.42] http://h/explain/PAT-003"),
        ("doc title: title is missing. [DE-101]", "doc title : title manque. [DE-101]"),
        ("the message is not signed. sign it [SIG-001]", None),
        ("Xds gives up on you.", None),
        ("The upload was cut short: the body is empty. End the package with --BOUNDARY-- on a line of its own; where it was sent so, send "
         "it again. Nothing was stored. [WIRE-027]", "L'envoi est incomplet : le corps est vide. Terminez le paquet par --BOUNDARY-- sur une "
         "ligne à part ; s'il l'était, renvoyez-le. Rien n'a été enregistré. [WIRE-027]"),
        ("the message carries no SAML assertion. put one signed SAML 2.0 assertion into wsse:Security [SAM-001]",
         "le message ne porte pas d'assertion SAML (VIHF). placez une assertion SAML 2.0 signée dans wsse:Security [SAM-001]"),
    ],
)  # fmt: skip
def test_what_a_server_says_is_read_in_french(said: str, wanted: str | None) -> None:
    if wanted is None:
        assert french_context(said) is None or said.endswith("[SIG-001]")
    else:
        assert french_context(said) == wanted


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
        places = sorted(re.findall(r"\{(\d)\}", english))
        assert places == sorted(re.findall(r"\{(\d)~?\}", sentence)), english
        said = re.sub(r"\{(\d)\}", r"v\1", english)
        assert french(said) == re.sub(r"\{(\d)~?\}", r"v\1", sentence), english


def test_what_is_not_ours_stays_as_it_is() -> None:
    assert french("Quelque chose") == "Quelque chose"
    assert french("http://h/: nothing listens there") == "http://h/ : rien n'écoute à cette adresse"
